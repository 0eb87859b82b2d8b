// Training measures what surrounds the steps of a training: the peak memory of a training on a long
// log, two single-threaded trainings side by side, Gorgonia's share of a step, and where the rest of
// a step goes. It writes training.json in this machine's folder of bench/results/speed:
//
//	go run ./bench/training
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
	"path/filepath"
	"regexp"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/klauspost/compress/zstd"

	"k8ntext/bench/contest"
	"k8ntext/bench/host"
	"k8ntext/bench/problem"
	"k8ntext/bench/results"
	"k8ntext/dataset"
	"k8ntext/dataset/label"
	"k8ntext/model"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "training:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	flags := flag.NewFlagSet("training", flag.ContinueOnError)
	output := flags.String("o", "", "file of results (default: training.json in this machine's folder of bench/results/speed)")
	long := flags.String("train", "", "train on this log, print what memory that took and end")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *long != "" {
		m, err := train(*long)
		if err != nil {
			return err
		}
		return json.MarshalWrite(os.Stdout, m)
	}
	r := results.Training{Machine: host.Describe()}
	if *output == "" {
		folder, err := results.Here()
		if err != nil {
			return err
		}
		*output = filepath.Join(folder, "training.json")
	}
	var err error
	if r.Memory, err = memory(); err != nil {
		return err
	}
	p, err := problem.New(context.Background(), 60, 32)
	if err != nil {
		return err
	}
	if r.Pair, err = pair(p); err != nil {
		return err
	}
	if r.Graph, err = graph(p); err != nil {
		return err
	}
	if r.Profile, err = profile(p); err != nil {
		return err
	}
	return results.Write(*output, r)
}

// memory trains in a process of its own, whose peak is the training's.
func memory() (results.Memory, error) {
	dir, err := os.MkdirTemp("", "k8ntext-training")
	if err != nil {
		return results.Memory{}, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "twice.jsonl")
	if err := twice(filepath.Join("dataset", "corpora", problem.Corpus+".jsonl.zst"), path); err != nil {
		return results.Memory{}, err
	}
	self, err := os.Executable()
	if err != nil {
		return results.Memory{}, err
	}
	c := exec.Command(self, "-train", path)
	c.Stderr = os.Stderr
	out, err := c.Output()
	if err != nil {
		return results.Memory{}, fmt.Errorf("measure memory: %w", err)
	}
	var m results.Memory
	if err := json.Unmarshal(out, &m); err != nil {
		return results.Memory{}, fmt.Errorf("measure memory: %w", err)
	}
	return m, nil
}

// later is how much the second half of the long log is behind the first.
const later = time.Hour

var (
	stamps = regexp.MustCompile(`"(requestReceivedTimestamp|stageTimestamp)":"([^"]*)"`)
	audits = regexp.MustCompile(`"auditID":"`)
	causes = regexp.MustCompile(`"context":"`)
)

// twice writes a recording and the same again, an hour later, with audit ids and contexts of its own.
func twice(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return fmt.Errorf("make a long log: %w: run it from the repository's root", err)
	}
	defer in.Close()
	z, err := zstd.NewReader(in)
	if err != nil {
		return fmt.Errorf("make a long log: %w", err)
	}
	defer z.Close()
	var text bytes.Buffer
	if _, err := text.ReadFrom(z); err != nil {
		return fmt.Errorf("make a long log: %w", err)
	}
	out, err := os.Create(to)
	if err != nil {
		return fmt.Errorf("make a long log: %w", err)
	}
	defer out.Close()
	w := bufio.NewWriter(out)
	w.Write(text.Bytes())
	for line := range bytes.Lines(text.Bytes()) {
		line = audits.ReplaceAll(line, []byte(`"auditID":"2-`))
		line = causes.ReplaceAll(line, []byte(`"context":"2-`))
		line = stamps.ReplaceAllFunc(line, func(s []byte) []byte {
			m := stamps.FindSubmatch(s)
			t, err := time.Parse(time.RFC3339Nano, string(m[2]))
			if err != nil {
				return s
			}
			return fmt.Appendf(nil, `"%s":"%s"`, m[1], t.Add(later).Format("2006-01-02T15:04:05.000000Z"))
		})
		w.Write(line)
	}
	if err := errors.Join(w.Flush(), out.Close()); err != nil {
		return fmt.Errorf("make a long log: %w", err)
	}
	return nil
}

// memorySteps are enough for memory: nothing grows from one step to the next.
const memorySteps = 60

// train trains the paper's network on a log, from loading to validation.
func train(path string) (results.Memory, error) {
	ctx := context.Background()
	corpus, err := dataset.Load(ctx, path, label.Paper())
	if err != nil {
		return results.Memory{}, err
	}
	c := model.PaperConfig()
	c.MaxEpochs, c.WindowsPerEpoch, c.ValidationStride = 2, memorySteps/2*c.Batch, 10
	split, err := dataset.SplitAll(corpus, dataset.AllOptions{Length: c.Window})
	if err != nil {
		return results.Memory{}, err
	}
	m := results.Memory{Events: len(corpus.Events), Window: c.Window, Batch: c.Batch, Steps: memorySteps, Loaded: host.PeakMemory()}
	if _, _, err := model.Train(ctx, c, corpus, split, model.TrainOptions{Seed: 1, Threads: 2}); err != nil {
		return results.Memory{}, err
	}
	m.Peak = host.PeakMemory()
	return m, nil
}

// trainer is a training of a problem's network on one thread.
func trainer(p *problem.Problem) (step func() error, done func() error, err error) {
	n, err := model.NewNetwork(p.Config, p.Weights.Clone(), p.Size, model.NetworkOptions{Training: true})
	if err != nil {
		return nil, nil, err
	}
	n.SetLearningRate(problem.LearningRate)
	i := 0
	return func() error {
		i++
		_, err := n.TrainStep(p.Batches[i%len(p.Batches)])
		return err
	}, n.Close, nil
}

func pair(p *problem.Problem) (results.Pair, error) {
	const rounds, steps = 12, 10
	var trainers [2]func() error
	for i := range trainers {
		step, done, err := trainer(p)
		if err != nil {
			return results.Pair{}, err
		}
		defer done()
		trainers[i] = step
	}
	var one, two, gains []float64
	for round := range rounds + 1 {
		times := make([]float64, 3) // one, two at a time, the other one
		for phase, trainers := range [][]func() error{trainers[:1], trainers[:], trainers[1:]} {
			var wait sync.WaitGroup
			errs := make([]error, len(trainers))
			e := host.Measure(func() {
				for i, step := range trainers {
					wait.Go(func() {
						for range steps {
							errs[i] = errors.Join(errs[i], step())
						}
					})
				}
				wait.Wait()
			})
			if err := errors.Join(errs...); err != nil {
				return results.Pair{}, err
			}
			times[phase] = e.Wall.Seconds() * 1e3 / steps
		}
		if round == 0 {
			continue // warming up
		}
		one, two = append(one, times[0], times[2]), append(two, times[1])
		gains = append(gains, (times[0]+times[2])/times[1])
	}
	r := results.Pair{One: slices.Min(one), Two: slices.Min(two), Median: contest.Median(gains), Rounds: rounds, Load: host.Load()}
	r.Gain = 2 * r.One / r.Two
	return r, nil
}

// graph times a network of the same graph whose layers have next to nothing to compute.
func graph(p *problem.Problem) (results.Graph, error) {
	tiny := model.NetworkConfig{Window: 1, Fields: 1, Components: 1, Classes: 2, Input: model.InputIDs, Units1: 1, Units2: 1, Dropout: p.Config.Dropout}
	n, err := model.NewNetwork(tiny, model.NewWeights(tiny, 1), 1, model.NetworkOptions{Training: true})
	if err != nil {
		return results.Graph{}, err
	}
	defer n.Close()
	b := &model.Batch{IDs: []int32{1}, Targets: []int32{1}}
	best := func(rounds, steps int, step func() error) (float64, error) {
		var times []float64
		for range rounds {
			var err error
			e := host.Measure(func() {
				for range steps {
					err = errors.Join(err, step())
				}
			})
			if err != nil {
				return 0, err
			}
			times = append(times, e.CPU.Seconds()*1e6/float64(steps))
		}
		return slices.Min(times), nil
	}
	var r results.Graph
	if r.Micros, err = best(20, 500, func() error { _, err := n.TrainStep(b); return err }); err != nil {
		return r, err
	}
	step, done, err := trainer(p)
	if err != nil {
		return r, err
	}
	defer done()
	if r.Step, err = best(6, 10, step); err != nil {
		return r, err
	}
	r.Share = r.Micros / r.Step
	return r, nil
}

// profile says in which functions of ours the time of a step on one thread goes.
func profile(p *problem.Problem) ([]results.Part, error) {
	step, done, err := trainer(p)
	if err != nil {
		return nil, err
	}
	defer done()
	f, err := os.CreateTemp("", "k8ntext-*.prof")
	if err != nil {
		return nil, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if err := step(); err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, fmt.Errorf("profile a step: %w", err)
	}
	for range 100 {
		if err := step(); err != nil {
			pprof.StopCPUProfile()
			return nil, err
		}
	}
	pprof.StopCPUProfile()
	out, err := exec.Command("go", "tool", "pprof", "-top", "-nodecount=200", "-nodefraction=0", f.Name()).Output()
	if err != nil {
		return nil, fmt.Errorf("read the profile of a step: %w", err)
	}
	return parts(string(out)), nil
}

// kinds name what the assembly functions do, by the end of their names; the first that fits counts.
var kinds = []struct{ pattern, part string }{
	{`[gG]emm`, "matrix products"},
	{`[pP]ack`, "packing matrices"},
	{`LSTMForward`, "LSTM gates, forwards"},
	{`LSTMBackward`, "LSTM gates, backwards"},
	{`(?i)softmax|focal`, "softmax and loss"},
	{`Adam`, "Adam"},
	{`ColumnSums|Affine|ReLU|Mul|Add`, "normalisation, dense, dropout"},
	{`(?i)dropout|rand|PCG`, "drawing dropout's masks"},
	{`gorgonia`, "Gorgonia"},
	{`^runtime\.|^internal/runtime`, "Go's runtime: clearing, copying, scheduling"},
}

func parts(top string) []results.Part {
	share := make(map[string]float64)
	for line := range strings.Lines(top) {
		f := strings.Fields(line)
		if len(f) < 6 || !strings.HasSuffix(f[1], "%") {
			continue
		}
		percent, err := strconv.ParseFloat(strings.TrimSuffix(f[1], "%"), 64)
		if err != nil {
			continue
		}
		part := "all else"
		for _, k := range kinds {
			if regexp.MustCompile(k.pattern).MatchString(f[5]) {
				part = k.part
				break
			}
		}
		share[part] += percent / 100
	}
	var out []results.Part
	for part, s := range share {
		out = append(out, results.Part{Part: part, Share: s})
	}
	slices.SortFunc(out, func(a, b results.Part) int {
		if a.Share != b.Share {
			if a.Share > b.Share {
				return -1
			}
			return 1
		}
		return strings.Compare(a.Part, b.Part)
	})
	return out
}
