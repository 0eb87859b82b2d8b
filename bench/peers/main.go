// Peers runs this project's network, PyTorch's, Keras' and one of Gorgonia's elementary operations in
// turns, on the same weights and data, and writes what they took to peers.json in this machine's folder of bench/results/speed:
//
//	make bench-peers            all contests, some quarter of an hour
//	make bench-peers RESUME=1   those that an interrupted run has left
//
// Before anything is timed, every program has to compute our losses over the first steps.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"golang.org/x/sync/errgroup"

	"k8ntext/bench/contest"
	"k8ntext/bench/host"
	"k8ntext/bench/problem"
	"k8ntext/bench/results"
	"k8ntext/model/device"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

// lossSteps are compared (a contestant may give fewer; the second tells that gradients agree), and tolerance is how far apart they may be: rounding alone grows to some
// 1e-6 in a few steps.
const (
	lossSteps = 5
	tolerance = 2e-5
)

// bout is one size at which contestants meet.
type bout struct {
	window, batch int
	tasks         []string
	entries       []entry
}

// entry is a contestant with its setting, on one and on two threads unless single.
type entry struct {
	name, setting string
	single        bool
}

func bouts() []bout {
	both := []string{"train", "infer"}
	kernels := device.Available()
	ours := []entry{{name: "k8ntext", setting: kernels[0]}}
	paths := slices.Clone(ours)
	for _, k := range kernels[1:] {
		if k != "generic" { // seconds a step
			paths = append(paths, entry{name: "k8ntext", setting: k})
		}
	}
	python := []entry{{name: "pytorch"}, {name: "keras", setting: "graph"}}
	elementary := []entry{{name: "elementary", single: true}}

	out := []bout{{60, 32, both, slices.Concat(paths, python, []entry{{name: "keras", setting: "fit"}})}}
	for _, w := range []int{5, 10, 20, 30, 40, 50} {
		out = append(out, bout{w, 32, both, slices.Concat(ours, python)})
	}
	for _, w := range []int{10, 60} {
		out = append(out, bout{w, 32, []string{"train"}, slices.Concat(ours, elementary)})
	}
	return append(out,
		bout{60, 128, both, slices.Concat(paths, python)},
		bout{60, 1, []string{"infer"}, slices.Concat(paths, python)})
}

func run(args []string) error {
	flags := flag.NewFlagSet("peers", flag.ContinueOnError)
	python := flags.String("python", "bench/peers/.venv/bin/python", "interpreter that has the peers")
	output := flags.String("o", "", "file of results (default: peers.json in this machine's folder of bench/results/speed)")
	rounds := flags.Int("rounds", 10, "rounds of every contest")
	n := flags.Int("n", 3, "runs of a contestant in a round")
	only := flags.Int("only", -1, "number of the one contest to run, from 0; its results replace those in the file")
	missing := flags.Bool("missing", false, "run only contests of which the file has no results")
	limit := flags.Duration("limit", 45*time.Second, "time after which a task of a contest begins no further round, of three at least")
	if err := flags.Parse(args); err != nil {
		return err
	}
	interpreter, err := filepath.Abs(*python)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "k8ntext-peers")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	r := runner{dir: dir, python: interpreter}
	for _, name := range []string{"step", "elementary"} {
		if err := command("go", "build", "-o", filepath.Join(dir, name), "./bench/"+name); err != nil {
			return err
		}
	}

	if *output == "" {
		folder, err := results.Here()
		if err != nil {
			return err
		}
		*output = filepath.Join(folder, "peers.json")
	}
	var record results.Peers
	if *only >= 0 || *missing {
		if err := results.Read(*output, &record); err != nil {
			return err
		}
	}
	if here := host.Describe(); *missing && len(record.Results) > 0 && record.Machine != here {
		return fmt.Errorf("%s was measured on %+v, this is %+v: run without -missing to measure all anew", *output, record.Machine, here)
	}
	record.Machine = host.Describe()
	if record.Versions, err = r.versions(); err != nil {
		return err
	}
	for i, b := range bouts() {
		if *only >= 0 && i != *only || *missing && b.done(&record) {
			continue
		}
		fmt.Fprintf(os.Stderr, "contest %d: W=%d, batch %d\n", i, b.window, b.batch)
		losses, times, err := r.contest(b, *rounds, *n, *limit)
		if err != nil {
			return err
		}
		replace(&record, b, losses, times)
		// After every contest: the next may fail.
		if err := results.Write(*output, record); err != nil {
			return err
		}
	}
	return nil
}

// against names a contest among those of one size: ours meets the elementary operations in some of their own.
func (b *bout) against() string {
	if last := b.entries[len(b.entries)-1].name; last == "elementary" {
		return last
	}
	return "peers"
}

// done tells whether the results of every entry are there.
func (b *bout) done(r *results.Peers) bool {
	for _, task := range b.tasks {
		for _, e := range b.entries {
			if !slices.ContainsFunc(r.Results, func(o contest.Result) bool {
				return o.Window == b.window && o.Batch == b.batch && o.Against == b.against() && o.Task == task && o.Name == e.name && o.Setting == e.setting
			}) {
				return false
			}
		}
	}
	return true
}

// replace puts in the results of a contest and takes out what they replace.
func replace(r *results.Peers, b bout, losses []results.Losses, times []contest.Result) {
	rival := b.against()
	for i := range times {
		times[i].Against = rival
	}
	r.Results = append(slices.DeleteFunc(r.Results, func(o contest.Result) bool {
		return o.Window == b.window && o.Batch == b.batch && o.Against == rival
	}), times...)
	r.Losses = append(slices.DeleteFunc(r.Losses, func(o results.Losses) bool {
		return o.Window == b.window && o.Batch == b.batch && (o.Name == "elementary") == (rival == "elementary")
	}), losses...)
}

type runner struct {
	dir    string
	python string
}

func command(name string, args ...string) error {
	c := exec.Command(name, args...)
	c.Stderr = os.Stderr
	if err := c.Run(); err != nil {
		return fmt.Errorf("run %s: %w", c, err)
	}
	return nil
}

// versions of the Python packages, by name.
func (r *runner) versions() (map[string]string, error) {
	const program = `import importlib.metadata as m, json, platform
print(json.dumps({"python": platform.python_version(), **{p: m.version(p) for p in ("torch", "tensorflow_cpu", "keras")}}))`
	out, err := exec.Command(r.python, "-c", program).Output()
	if err != nil {
		return nil, fmt.Errorf("ask %s for the versions of the peers: %w: run make bench-peers, which installs them", r.python, err)
	}
	versions := make(map[string]string)
	if err := json.Unmarshal(bytes.TrimSpace(out), &versions); err != nil {
		return nil, fmt.Errorf("read versions of the peers: %w", err)
	}
	return versions, nil
}

func (r *runner) contest(b bout, rounds, n int, limit time.Duration) (losses []results.Losses, times []contest.Result, err error) {
	p, err := problem.New(context.Background(), b.window, b.batch)
	if err != nil {
		return nil, nil, err
	}
	folder, err := os.MkdirTemp(r.dir, "problem")
	if err != nil {
		return nil, nil, err
	}
	if err := p.Write(folder); err != nil {
		return nil, nil, err
	}
	contestants, err := r.start(b, folder)
	defer func() {
		for _, c := range contestants {
			if c != nil {
				err = errors.Join(err, c.Close())
			}
		}
	}()
	if err != nil {
		return nil, nil, err
	}
	if losses, err = compareLosses(b, contestants); err != nil {
		return nil, nil, err
	}
	for _, task := range b.tasks {
		part, err := contest.Rounds(contestants, task, rounds, n, limit)
		if err != nil {
			return nil, nil, err
		}
		for i := range part {
			part[i].Window, part[i].Batch = b.window, b.batch
		}
		times = append(times, part...)
	}
	return losses, times, nil
}

// start starts all contestants at the same time. Those that started are returned in any case.
func (r *runner) start(b bout, folder string) ([]*contest.Contestant, error) {
	var settings []contest.Contestant
	for _, e := range b.entries {
		for threads := range 2 {
			if threads == 0 || !e.single {
				settings = append(settings, contest.Contestant{Name: e.name, Setting: e.setting, Threads: threads + 1})
			}
		}
	}
	// Fair settings for the Python peers: no processor model forced on a BLAS, and threads that sleep
	// while they wait, for all contestants share the machine.
	env := []string{"OMP_WAIT_POLICY=passive", "GOMP_SPINCOUNT=0"}
	unset := []string{"OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "OMP_NUM_THREADS", "MKL_NUM_THREADS"}
	size := []string{"-contestant", "-window", strconv.Itoa(b.window), "-batch", strconv.Itoa(b.batch)}
	started := make([]*contest.Contestant, len(settings))
	var group errgroup.Group
	for i, c := range settings {
		threads, rate := strconv.Itoa(c.Threads), strconv.FormatFloat(problem.LearningRate, 'g', -1, 64)
		name, args := "", []string(nil)
		switch c.Name {
		case "k8ntext":
			name, args = filepath.Join(r.dir, "step"), append(slices.Clone(size), "-threads", threads, "-kernels", c.Setting)
		case "elementary":
			name, args = filepath.Join(r.dir, "elementary"), size
		case "pytorch":
			name, args = r.python, []string{"bench/peers/torch_step.py", folder, threads, rate}
		case "keras":
			name, args = r.python, []string{"bench/peers/keras_step.py", folder, threads, rate, c.Setting}
		}
		group.Go(func() (err error) {
			started[i], err = contest.Start(c, env, unset, name, args...)
			return err
		})
	}
	return started, group.Wait()
}

// compareLosses fails unless all contestants compute the losses of the first. (Keras' fit keeps a
// running mean, in which the single losses are lost to rounding; it is the same network as its graph.)
func compareLosses(b bout, contestants []*contest.Contestant) ([]results.Losses, error) {
	var want []float64
	var out []results.Losses
	for _, c := range contestants {
		if c.Name == "keras" && c.Setting == "fit" {
			continue
		}
		a, err := c.Ask("losses", lossSteps)
		if err != nil {
			return nil, err
		}
		if want == nil {
			want = a.Losses
			continue
		}
		l := results.Losses{Window: b.window, Batch: b.batch, Name: c.Name, Setting: c.Setting, Threads: c.Threads, Steps: len(a.Losses)}
		for i, v := range a.Losses {
			l.Difference = max(l.Difference, math.Abs(v-want[i])/want[i])
		}
		if l.Steps < 2 || !(l.Difference < tolerance) {
			return nil, fmt.Errorf("%s %s computes the losses %v, we %v: a comparison of times would mean nothing", c.Name, c.Setting, a.Losses, want)
		}
		if c.Name != contestants[0].Name {
			out = append(out, l)
		}
	}
	return out, nil
}
