# k8ntext. `make help` lists what can be made.

GO       ?= go
PROFILE  ?= quick
CORPUS   ?=
PYTHON   ?= python3
CORPUSES := $(if $(CORPUS),--corpus $(CORPUS))
TRAINED  := sequential-1.34,base-dev,busy-dev,other-version-dev,metadata-dev,work-dev
TARGETS  := linux/amd64 linux/arm64 darwin/arm64

# Only the race detector needs cgo; everything else must build without a C compiler.
export CGO_ENABLED = 0

.DEFAULT_GOAL := help
.PHONY: help build reproduce final final-contexts test kill-resume test-slurm race check fmt bench bench-peers bench-loss bench-accuracy bench-trees model explain-evidence corpus test-testbed-offline test-testbed clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-20s %s\n", $$1, $$2}'

build: ## the program, as bin/k8ntext
	$(GO) build -buildvcs=auto -trimpath -o bin/k8ntext ./cmd/k8ntext

# What quick draws from: the committed records of longer trainings, of which it computes a few again.
FULL := $(if $(CORPUS),,$(if $(filter quick,$(PROFILE)),$(if $(wildcard results/standard/trials/*.json),configs/standard.toml)))

reproduce: build ## the paper's tables and figures, recomputed: results/$(PROFILE)/report.html (PROFILE=quick, CORPUS=name or path)
	bin/k8ntext experiment run configs/$(PROFILE).toml $(CORPUSES)
ifneq ($(FULL),)
	bin/k8ntext experiment verify $(FULL) -n 3 --at-most 90s -o json > results/$(PROFILE)/verified.json || test $$? -eq 3 # 3: of arithmetic that is not here
endif
	bin/k8ntext experiment report configs/$(PROFILE).toml $(CORPUSES) $(if $(FULL),--full $(FULL))

final: build ## the one evaluation on the final recordings, logged in results/final/uses.jsonl (AGAIN=1: once more)
	bin/k8ntext experiment run configs/final.toml $(if $(AGAIN),--again)
	bin/k8ntext experiment report configs/final.toml

# Labels by the model in the program, which knows the dev recordings; the rules of identity were made looking at these.
final-contexts: build ## likewise the contexts of the final recordings, into results/final/contexts.jsonl (AGAIN=1: once more)
	bin/k8ntext contexts score base-final busy-final other-version-final metadata-final --labels predicted --parts \
		--final results/final $(if $(AGAIN),--again) -o json > results/final/contexts.tmp
	grep -v '"by":"action"' results/final/contexts.tmp > results/final/contexts.jsonl && rm results/final/contexts.tmp

test: ## all tests (a few minutes)
	$(GO) test ./...

kill-resume: ## 100 runs of a sweep killed at random moments and resumed (KILLS=100)
	K8NTEXT_KILLS=$(or $(KILLS),100) $(GO) test -count=1 -timeout 60m -v -run TestKilledRuns ./experiments

# Debian's slurm-wlm; the test starts its own daemons and touches none of the system's.
test-slurm: build ## a sweep through a Slurm of this machine, to the local pool's bits (installs slurm-wlm)
	@{ command -v munged && command -v slurmctld && command -v slurmd; } >/dev/null || \
		{ apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends munge slurm-wlm; }
	K8NTEXT_SLURM=$(CURDIR)/bin/k8ntext $(GO) test -count=1 -timeout 10m -v -run TestSlurm ./cmd/k8ntext

race: ## all tests under the race detector, shortened where only time is saved
	CGO_ENABLED=1 $(GO) test -race -short -timeout 20m ./...

check: ## formatting, vet, staticcheck, tidy go.mod, cross-builds
	@test -z "$$($(GO) tool gofumpt -l . | tee /dev/stderr)" || { echo 'not formatted: run make fmt' >&2; exit 1; }
	$(GO) vet ./...
	$(GO) tool staticcheck ./...
	$(GO) mod tidy -diff
	@for t in $(TARGETS); do echo "build for $$t"; GOOS=$${t%/*} GOARCH=$${t#*/} $(GO) build -o /dev/null ./... || exit 1; done

fmt: ## format every file
	$(GO) tool gofumpt -w .

bench: ## benchmarks of every package, and ours of a step and a training: bench/README.md (some 12 minutes, and 1 GB of temporary files)
	$(GO) test -run '^$$' -bench . -benchmem -benchtime 200ms ./...
	$(GO) run ./bench/training
	$(GO) run ./bench/kernels
	$(GO) run ./bench/step
	$(GO) run ./bench/tables

# The whole wheel of PyTorch, GPU libraries included, is the only one on PyPI: some 7 GB.
bench/peers/.venv: bench/peers/requirements.txt
	python3 -m venv $@
	$@/bin/pip install --quiet --no-cache-dir --requirement $<
	touch $@

bench-peers: bench/peers/.venv ## the step beside PyTorch's, Keras' and Gorgonia's elementary operations: bench/README.md (20 minutes, 7 GB; RESUME=1: what an interrupted run has left)
	$(GO) run ./bench/peers $(if $(RESUME),-missing)
	$(GO) run ./bench/tables

bench-loss: bench/peers/.venv ## whole trainings beside PyTorch's, and first steps on every engine here: bench/README.md (half an hour, 7 GB)
	$(GO) run ./bench/loss
	$(GO) run ./bench/tables

bench-accuracy: ## accuracy against compute, stride, vote and look-ahead: bench/README.md (an hour)
	$(GO) run ./bench/accuracy
	$(GO) run ./bench/tables

bench-trees: ## trees and mode trustee beside scikit-learn's and the package trustee (PYTHON=one with bench/peers/requirements-trees.txt): explain/README.md
	$(GO) run ./bench/peers/tree -python $(PYTHON)

model: build ## train the embedded default model anew, on all dev recordings
	bin/k8ntext train --corpus $(TRAINED) --seed 1 -m model/pretrained/default.k8ntext

# The embedded model was trained on these corpora: the reports say so.
EXPLAINED := base-dev busy-dev

explain-evidence: build ## what explain/README.md says of the embedded model: explain/evidence
	for c in $(EXPLAINED); do \
	  bin/k8ntext explain report --corpus $$c --include-seen --rows 1500 --probes 40 --folds 3 --out bin/explained/$$c && \
	  bin/k8ntext explain report --corpus $$c --include-seen --rows 1500 --probes 40 --component tie --out bin/explained/$$c-tie && \
	  cp bin/explained/$$c/explain.html explain/evidence/$$c.html && cp bin/explained/$$c/report.json explain/evidence/$$c.json && \
	  cp bin/explained/$$c-tie/explain.html explain/evidence/$$c-tie.html && cp bin/explained/$$c-tie/report.json explain/evidence/$$c-tie.json || exit 1; \
	done
	bin/k8ntext explain report --corpus base-dev --fold 3 --rows 800 --probes 30 --iterations 5 --stability 2 --bootstraps 3 --single -1 --set max_epochs=4 --set windows_per_epoch=4000 --out bin/explained/base-dev-fold3
	cp bin/explained/base-dev-fold3/explain.html explain/evidence/base-dev-fold3.html && cp bin/explained/base-dev-fold3/report.json explain/evidence/base-dev-fold3.json

# What a recording's profile asks for; the profiles are testbed/scenarios/profiles.
PART     ?= dev
RECORD    = recordings/$(CORPUS)-$(PART)
PROFILE_MINOR = $(shell sed -n 's/^minor = "\(.*\)"/\1/p' testbed/scenarios/profiles/$(CORPUS).toml)

corpus: ## a labelled recording of a real cluster, in recordings/ (CORPUS=base, PART=dev or final): testbed/README.md
	@test -f testbed/scenarios/profiles/$(CORPUS).toml || { echo 'which one? CORPUS=NAME, one of:' $(basename $(notdir $(wildcard testbed/scenarios/profiles/*.toml))) >&2; exit 2; }
	cd testbed && $(GO) build -buildvcs=false -trimpath -o ../bin/testbed ./cmd/testbed
	bin/testbed build --minor $(PROFILE_MINOR)
	bin/testbed run $(RECORD) --profile $(CORPUS) --part $(PART) --name $(CORPUS)-$(PART)
	bin/testbed label $(RECORD)
	bin/testbed audit $(RECORD)

MINOR    ?= 1.34

test-testbed-offline: ## the testbed's tests that need no cluster
	cd testbed && $(GO) vet ./... && $(GO) test ./...

test-testbed: ## the testbed's tests, on a live cluster too (MINOR=1.34; the first build of Kubernetes takes ten minutes)
	cd testbed && $(GO) vet ./... && $(GO) test ./...
	cd testbed/kube && $(GO) test -modfile=$(MINOR).mod ./container
	cd testbed && $(GO) run ./cmd/testbed build --minor $(MINOR)
	cd testbed && K8NTEXT_TESTBED_LIVE=$(MINOR) $(GO) test -count=1 -p 1 -run Live ./cluster ./cmd/testbed

clean: ## remove what was built
	rm -rf bin
