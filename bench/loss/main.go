// Loss trains the paper's network at W=60 on every engine of this machine and in PyTorch, all from the
// same weights, on the same batches and with the same dropout, and writes their losses to
// bench/results/loss.json:
//
//	go run ./bench/loss
//
// Three trainings are whole ones, by the paper's rules: on the two fastest kernel paths, which shows how
// far two equal trainings come apart by rounding alone, and in PyTorch. All engines do the same first
// steps, at the paper's learning rate and at a small one, at which differences of rounding stay small.
// Every training is written when it is done; with -missing only those are done that the file lacks.
package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"k8ntext/bench/host"
	"k8ntext/bench/problem"
	"k8ntext/bench/results"
	"k8ntext/model"
	"k8ntext/model/device"
	"k8ntext/model/device/opencl"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "loss:", err)
		os.Exit(1)
	}
}

// The first steps: epochs of a few batches, so that there is a validation loss for each few.
const (
	firstEpochs = 12
	slowEpochs  = 6
	shortSteps  = 10 // of an epoch
)

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("loss", flag.ContinueOnError)
	output := flags.String("o", "bench/results/loss.json", "file of results")
	python := flags.String("python", "bench/peers/.venv/bin/python", "interpreter that has PyTorch; where it is not there, only ours are trained")
	stride := flags.Int("stride", 1, "every n-th training window, in the whole trainings")
	seed := flags.Uint64("seed", 1, "seed of weights, order and dropout")
	missing := flags.Bool("missing", false, "do only the trainings that the file lacks")
	if err := flags.Parse(args); err != nil {
		return err
	}
	r := results.Loss{}
	if *missing {
		if err := results.Read(*output, &r); err != nil {
			return err
		}
		if here := host.Describe(); r.Machine != here {
			return fmt.Errorf("%s was measured on %+v, this is %+v: run without -missing to measure all anew", *output, r.Machine, here)
		}
	}
	r.Machine = host.Describe()
	version, err := torchVersion(*python)
	if err != nil {
		fmt.Fprintf(os.Stderr, "loss: without PyTorch: %v\n", err)
	} else {
		r.PyTorch = version
	}
	whole := model.PaperConfig()
	whole.Stride = *stride
	first := whole
	first.MaxEpochs, first.Patience, first.WindowsPerEpoch, first.ValidationStride = firstEpochs, 0, shortSteps*first.Batch, 10
	slow := first
	slow.MaxEpochs, slow.LearningRate = slowEpochs, problem.LearningRate
	all := engines()
	for _, p := range []struct {
		name    string
		config  model.Config
		engines []device.Target
		to      *results.Trainings
		steps   int // whose losses are kept
	}{
		{"first steps", first, all, &r.First, firstEpochs * shortSteps},
		{"first steps at a small learning rate", slow, all, &r.Slow, slowEpochs * shortSteps},
		{"whole trainings", whole, all[:min(2, len(all))], &r.Whole, 0},
	} {
		t, err := problem.NewTraining(ctx, p.config, *seed)
		if err != nil {
			return err
		}
		same := results.Trainings{
			Corpus: problem.Corpus, Window: p.config.Window, Batch: p.config.Batch, Stride: p.config.Stride, Seed: *seed, Rate: p.config.LearningRate,
			Steps: t.Steps(), Windows: t.Windows(), Validation: t.ValidationWindows(), Curves: p.to.Curves,
		}
		if len(p.to.Curves) > 0 && !reflect.DeepEqual(same, *p.to) {
			return fmt.Errorf("%s has %s of another corpus, seed or stride: run without -missing", *output, p.name)
		}
		*p.to = same
		add := func(program, engine string, train func() (results.Curve, error)) error {
			if slices.ContainsFunc(p.to.Curves, func(c results.Curve) bool { return c.Program == program && c.Engine == engine }) {
				return nil
			}
			c, err := train()
			if err != nil {
				return err
			}
			p.to.Curves = append(p.to.Curves, c)
			return results.Write(*output, r)
		}
		for _, e := range p.engines {
			err := add("k8ntext", e.Name(), func() (results.Curve, error) { return train(ctx, t, e, p.steps) })
			if err != nil {
				return err
			}
		}
		if version == "" {
			continue
		}
		if err := add("pytorch", "", func() (results.Curve, error) { return torch(ctx, t, *python, p.steps) }); err != nil {
			return err
		}
	}
	return nil
}

// engines are what this machine can train on: the fastest kernels first, without the portable ones,
// which take seconds a step.
func engines() []device.Target {
	var all []device.Target
	for _, name := range device.Available() {
		if k, err := device.Select(name); err == nil && name != "generic" {
			all = append(all, device.Target{Kernels: k})
		}
	}
	if len(all) == 0 {
		k, _ := device.Select("generic")
		all = append(all, device.Target{Kernels: k})
	}
	if k, err := device.OpenBLAS(); err == nil {
		all = append(all, device.Target{Kernels: k})
	}
	list, _ := opencl.Devices() // none is no error here
	for _, d := range list {
		all = append(all, device.Target{Kernels: all[0].Kernels, OpenCL: d})
	}
	return all
}

// train trains on one thread. It keeps the losses of the first steps.
func train(ctx context.Context, t *problem.Training, on device.Target, steps int) (results.Curve, error) {
	c := results.Curve{Program: "k8ntext", Engine: on.Name()}
	start := time.Now()
	_, h, err := model.Train(ctx, t.Config, t.Corpus, t.Split, model.TrainOptions{
		Seed: t.Seed, Kernels: on.Kernels, Device: on.OpenCL, Hooks: []model.Hook{{
			Name: "note", Step: func(l *model.Loop) error {
				if len(c.Steps) < steps {
					c.Steps = append(c.Steps, l.Progress().StepLoss)
				}
				return nil
			},
			Epoch: func(l *model.Loop) error {
				e := l.History().Epochs
				note(&c, e[len(e)-1])
				return nil
			},
		}},
	})
	if err != nil {
		return c, fmt.Errorf("train on %s: %w", c.Engine, err)
	}
	c.Best, c.Seconds, c.Load = h.Best, time.Since(start).Seconds(), host.Load()
	return c, nil
}

func note(c *results.Curve, e model.Epoch) {
	c.Epochs = append(c.Epochs, results.Epoch{Loss: e.Loss, Validation: e.ValidationLoss, LearningRate: e.LearningRate})
	c.CPUSeconds += e.CPUSeconds
	fmt.Fprintf(os.Stderr, "%s %s: epoch %d, loss %.6f, validation %.6f\n", c.Program, c.Engine, e.Epoch, e.Loss, e.ValidationLoss)
}

func torchVersion(python string) (string, error) {
	out, err := exec.Command(python, "-c", "import torch; print(torch.__version__)").Output()
	if err != nil {
		return "", fmt.Errorf("ask %s for PyTorch's version: %w: make bench-peers installs it", python, err)
	}
	return strings.TrimSpace(string(out)), nil
}

// torchThreads is PyTorch's best setting at this size (bench/README.md).
const torchThreads = 1

// torch has PyTorch train.
func torch(ctx context.Context, t *problem.Training, python string, steps int) (results.Curve, error) {
	c := results.Curve{Program: "pytorch"}
	fail := func(err error) (results.Curve, error) { return c, fmt.Errorf("train in PyTorch: %w", err) }
	dir, err := os.MkdirTemp("", "k8ntext-loss")
	if err != nil {
		return fail(err)
	}
	defer os.RemoveAll(dir)
	if err := t.Write(dir); err != nil {
		return fail(err)
	}
	start := time.Now()
	p := exec.CommandContext(ctx, python, "bench/peers/torch_training.py", dir, strconv.Itoa(torchThreads))
	p.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "OMP_NUM_THREADS=") }), "OMP_WAIT_POLICY=passive")
	p.Stderr = os.Stderr
	out, err := p.StdoutPipe()
	if err != nil {
		return fail(err)
	}
	if err := p.Start(); err != nil {
		return fail(err)
	}
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20) // an epoch's steps
	for lines.Scan() {
		var e struct {
			model.Epoch
			Best  int       `json:"best"`
			Steps []float64 `json:"steps"`
		}
		if err = json.Unmarshal(bytes.TrimSpace(lines.Bytes()), &e); err != nil {
			break
		}
		note(&c, e.Epoch)
		c.Steps = append(c.Steps, e.Steps[:min(len(e.Steps), steps-len(c.Steps))]...)
		c.Best = e.Best
	}
	if err = errors.Join(err, lines.Err()); err != nil {
		p.Process.Kill() // or it would wait for a reader for ever
	}
	if err = errors.Join(err, p.Wait()); err != nil {
		return fail(err)
	}
	c.Seconds, c.Load = time.Since(start).Seconds(), host.Load()
	return c, nil
}
