package experiments

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"k8ntext/model/device"
)

// toyLines is a labelled log of short contexts: a person creates a Deployment and controllers its
// ReplicaSet and Pod; or a person deletes a ConfigMap; or a node renews its lease.
func toyLines(blocks int, seed uint64) [][]byte {
	rng := rand.New(rand.NewPCG(seed, 1))
	var lines [][]byte
	add := func(context string, trigger bool, user, verb, group, resource string) {
		n := len(lines)
		at := time.Unix(1_700_000_000+int64(n), 0).UTC().Format(time.RFC3339Nano)
		lines = append(lines, fmt.Appendf(nil, `{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"%d-%d","stage":"ResponseComplete",`+
			`"requestURI":"/apis/%s/v1/namespaces/n/%s/x","verb":"%s","user":{"username":"%s"},"userAgent":"agent/v1",`+
			`"objectRef":{"resource":"%s","namespace":"n","name":"x","apiGroup":"%s","apiVersion":"v1"},"responseStatus":{"code":200},`+
			`"requestReceivedTimestamp":"%s","stageTimestamp":"%s","context":"%s","trigger":%t,"attribution":"direct"}`,
			seed, n, group, resource, verb, user, resource, group, at, at, context, trigger))
	}
	for b := range blocks {
		id := fmt.Sprintf("a%d", b)
		switch rng.IntN(3) {
		case 0:
			add(id, true, "alice", "create", "apps", "deployments")
			add(id, false, "system:serviceaccount:kube-system:deployment-controller", "create", "apps", "replicasets")
			add(id, false, "system:serviceaccount:kube-system:replicaset-controller", "create", "", "pods")
		case 1:
			add(id, true, "bob", "delete", "", "configmaps")
		case 2:
			add("bg-"+id, true, "system:node:n1", "update", "coordination.k8s.io", "leases")
		}
	}
	return lines
}

// serial leaves out, under -short, a test in which nothing runs side by side: short tests are those under the
// race detector, which has nothing to find in it and takes ten times as long.
func serial(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("one goroutine: nothing for the race detector")
	}
}

// blocks is a number of blocks of a toy log, half as many under -short.
func blocks(n int) int {
	if testing.Short() {
		return n / 2
	}
	return n
}

// writeCorpus writes lines as a corpus file and returns its path.
func writeCorpus(t *testing.T, lines [][]byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "toy.jsonl")
	if err := os.WriteFile(path, append(bytes.Join(lines, []byte("\n")), '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// toyModel is a network of a few units that is hardly trained.
const toyModel = `
window = 5
units1 = 8
units2 = 8
embedding = 4
batch = 16
max_epochs = 1
windows_per_epoch = 64
interleave = 1
stride = 1
validation_stride = 2
`

func parse(t *testing.T, text string) *Config {
	t.Helper()
	c, err := ParseConfig("toy.toml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// sweep is a config whose trials all succeed: every protocol, a network and baselines.
func sweep(t *testing.T, corpus string) *Config {
	t.Helper()
	return parse(t, fmt.Sprintf(`
name = "toy"
corpus = %q
seed = 7
[[experiment]]
name = "window-size"
protocol = "paper"
repetitions = 2
[experiment.model]%s
[experiment.grid]
"model.dropout" = [0.1]
[[experiment]]
name = "protocol-blocked"
protocol = "blocked"
folds = 2
methods = ["network", "own-label", "naive-bayes"]
[experiment.model]%s
`, corpus, toyModel, toyModel))
}

// statusOf plans a config and tells what the store has of each trial.
func statusOf(t *testing.T, c *Config, s Store) ([]Trial, []State) {
	t.Helper()
	m, err := Freeze(t.Context(), c, on(portable(t)))
	if err != nil {
		t.Fatal(err)
	}
	status, err := m.Status(s)
	if err != nil {
		t.Fatal(err)
	}
	return m.Trials(), status.States
}

func portable(t *testing.T) device.Kernels {
	t.Helper()
	k, err := device.Select("generic")
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// on is the processor with the kernels.
func on(k device.Kernels) []device.Target { return []device.Target{{Kernels: k}} }

// tripwire calls trip once, at the first step of an optimiser that it sees.
type tripwire struct {
	device.Kernels
	trip func()
}

func (k *tripwire) Adam(w, g, m, v []float32, step, scale, b1, b2, eps float32) {
	if trip := k.trip; trip != nil {
		k.trip = nil
		trip()
	}
	k.Kernels.Adam(w, g, m, v, step, scale, b1, b2, eps)
}
