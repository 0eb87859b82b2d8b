package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"k8ntext/bench/contest"
	"k8ntext/bench/results"
)

// readSpeeds reads a machine's folder; what was not measured is zero.
func readSpeeds(folder string) (speeds, error) {
	var s speeds
	for name, v := range map[string]any{"peers.json": &s.peers, "training.json": &s.training} {
		if err := results.Read(filepath.Join(folder, name), v); err != nil {
			return s, err
		}
	}
	var err error
	s.kernels, err = readKernels(filepath.Join(folder, "kernels.txt"))
	return s, err
}

// brand is what a machine is called in headings.
func (s *speeds) brand() string {
	name, _, _ := strings.Cut(s.peers.Machine.CPU, " (family")
	return name
}

// eachMachine writes a table for every machine, under its name.
func eachMachine(table func(w io.Writer, s *speeds)) func(w io.Writer, m *measurements) {
	return func(w io.Writer, m *measurements) {
		for i := range m.machines {
			fmt.Fprintf(w, "\n**%s**\n", m.machines[i].brand())
			table(w, &m.machines[i])
		}
	}
}

func machineTable(w io.Writer, m *measurements) {
	for _, s := range m.machines {
		v, machine := s.peers.Versions, s.peers.Machine
		fmt.Fprintf(w, "* %s, %d cores, %s; %s; PyTorch %s, Keras %s on TensorFlow %s (Python %s).\n",
			machine.CPU, machine.Cores, machine.OS, strings.Replace(machine.Go, "go", "Go ", 1), v["torch"], v["keras"], v["tensorflow_cpu"], v["python"])
	}
}

// names of the contestants in tables.
var names = map[string]string{
	"k8ntext": "**k8ntext**", "pytorch": "PyTorch", "keras": "Keras", "elementary": "Gorgonia, elementary operations",
}

func contestant(r contest.Result) string {
	name := names[r.Name]
	if r.Setting != "" {
		name += ", " + r.Setting
	}
	return name
}

// of picks the results of one contest.
func of(s *speeds, against, task string, window, batch int) []contest.Result {
	var out []contest.Result
	for _, r := range s.peers.Results {
		if r.Against == against && r.Task == task && r.Window == window && r.Batch == batch {
			out = append(out, r)
		}
	}
	return out
}

func wall(r contest.Result) float64 { return r.WallMin }
func cpu(r contest.Result) float64  { return r.CPUMin }

// best is the smallest value of a program at any setting, or of one setting and number of threads
// where given; NaN if it took no part.
func best(rs []contest.Result, value func(contest.Result) float64, name, setting string, threads int) float64 {
	b := math.NaN()
	for _, r := range rs {
		if r.Name == name && (setting == "" || r.Setting == setting) && (threads == 0 || r.Threads == threads) {
			if v := value(r); !(v >= b) {
				b = v
			}
		}
	}
	return b
}

func number(x float64) string {
	switch {
	case math.IsNaN(x):
		return "-"
	case x >= 100:
		return fmt.Sprintf("%.0f", x)
	case x >= 10:
		return fmt.Sprintf("%.1f", x)
	}
	return fmt.Sprintf("%.2f", x)
}

func ratio(x float64) string {
	if math.IsNaN(x) {
		return "-"
	}
	return fmt.Sprintf("%.2f", x)
}

func percent(x float64) string { return fmt.Sprintf("%.1f %%", 100*x) }

func peersTable(w io.Writer, m *speeds) {
	for _, c := range []struct {
		task, title   string
		window, batch int
	}{
		{"train", "A training step, W=60, batch 32", 60, 32},
		{"train", "A training step, W=60, batch 128", 60, 128},
		{"infer", "Inference of a batch, W=60, batch 1", 60, 1},
		{"infer", "Inference of a batch, W=60, batch 32", 60, 32},
		{"infer", "Inference of a batch, W=60, batch 128", 60, 128},
	} {
		rs := of(m, "peers", c.task, c.window, c.batch)
		if len(rs) == 0 {
			continue
		}
		fmt.Fprintf(w, "\n%s (ms; n = %d each; load %.1f):\n\n", c.title, rs[0].N, rs[0].Load)
		head(w, 1, "", "threads", "best wall", "median wall", "best CPU", "median CPU", "best wall, PyTorch's best = 1", "best wall, Keras' best = 1")
		torch, keras := best(rs, wall, "pytorch", "", 0), best(rs, wall, "keras", "", 0)
		for _, r := range rs {
			row(w, contestant(r), strconv.Itoa(r.Threads), number(r.WallMin), number(r.WallMedian), number(r.CPUMin), number(r.CPUMedian),
				ratio(r.WallMin/torch), ratio(r.WallMin/keras))
		}
	}
	worst := 0.
	for _, l := range m.peers.Losses {
		if l.Name != "elementary" {
			worst = max(worst, l.Difference)
		}
	}
	fmt.Fprintf(w, "\nLosses of the first five steps from equal weights: the peers' are within %.1g of ours, relative.\n", worst)
}

func windowsTable(w io.Writer, m *speeds) {
	for _, task := range []string{"train", "infer"} {
		title := "Training step"
		if task == "infer" {
			title = "Inference of a batch"
		}
		fmt.Fprintf(w, "\n%s, batch 32, each program at its best number of threads (ms, best wall; CPU on one thread):\n\n", title)
		head(w, 0, "W", "k8ntext", "PyTorch", "Keras", "against PyTorch", "against Keras", "CPU against PyTorch", "CPU against Keras", "load")
		for _, window := range []int{5, 10, 20, 30, 40, 50, 60} {
			rs := of(m, "peers", task, window, 32)
			if len(rs) == 0 {
				continue
			}
			ours, torch, keras := best(rs, wall, "k8ntext", "", 0), best(rs, wall, "pytorch", "", 0), best(rs, wall, "keras", "", 0)
			own := best(rs, cpu, "k8ntext", "", 1)
			row(w, strconv.Itoa(window), number(ours), number(torch), number(keras), ratio(ours/torch), ratio(ours/keras),
				ratio(own/best(rs, cpu, "pytorch", "", 1)), ratio(own/best(rs, cpu, "keras", "", 1)), fmt.Sprintf("%.1f", rs[0].Load))
		}
	}
}

func elementaryTable(w io.Writer, m *speeds) {
	if of(m, "elementary", "train", 10, 32) == nil {
		fmt.Fprintf(w, "\nNot measured on it.\n")
		return
	}
	fmt.Fprintln(w)
	head(w, 1, "", "W", "threads", "best wall", "median wall", "best CPU", "n", "load")
	for _, window := range []int{10, 60} {
		for _, r := range of(m, "elementary", "train", window, 32) {
			row(w, contestant(r), strconv.Itoa(window), strconv.Itoa(r.Threads), number(r.WallMin), number(r.WallMedian), number(r.CPUMin), strconv.Itoa(r.N), fmt.Sprintf("%.1f", r.Load))
		}
	}
}

func trainingTable(w io.Writer, m *speeds) {
	t := m.training
	fmt.Fprintln(w)
	fmt.Fprintf(w, "* Peak memory of a training of the paper's network on %d events, W=%d, batch %d, from loading the log to the validation: %d MB; %d MB of it when the log was loaded and cut.\n",
		t.Memory.Events, t.Memory.Window, t.Memory.Batch, t.Memory.Peak/1e6, t.Memory.Loaded/1e6)
	fmt.Fprintf(w, "* Two single-threaded trainings side by side do %.2f times the steps of one (best rounds: %s ms a step alone, %s ms for a step of each; median of %d rounds %.2f; load %.1f, of which 2 are these).\n",
		t.Pair.Gain, number(t.Pair.One), number(t.Pair.Two), t.Pair.Rounds, t.Pair.Median, t.Pair.Load)
	fmt.Fprintf(w, "* Gorgonia's graph and tape take %.0f µs of a step's %.1f ms at W=60, batch 32: %s. (Measured as a step of the same graph with layers of one unit, so it includes calling every kernel once.)\n",
		t.Graph.Micros, t.Graph.Step/1e3, percent(t.Graph.Share))
	fmt.Fprintf(w, "\nWhere a step's CPU time goes, one thread, best kernels:\n\n")
	head(w, 1, "part", "share")
	for _, p := range t.Profile {
		row(w, p.Part, percent(p.Share))
	}
}

// kernel is a line of the kernels' benchmarks: the rate of a product, or the processor's peak.
type kernel struct {
	product string // "" is the peak
	path    string
	rate    float64   // GFLOP/s of CPU time, the best run's
	shares  []float64 // of the peak that each run measured beside it
}

var kernelLine = regexp.MustCompile(`^Benchmark(Peak|Gemm/batch=32/([^/]*))/kernels=(\w+?)(?:-\d+)?\s(?:.*\s([\d.]+) %peak)?.*\s([\d.]+) GFLOP/s`)

// readKernels reads the output of the benchmarks of package device.
func readKernels(path string) ([]kernel, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the kernels' benchmarks: %w: make bench writes them", err)
	}
	var out []kernel
	for line := range strings.Lines(string(text)) {
		f := kernelLine.FindStringSubmatch(line)
		if f == nil {
			continue
		}
		i := slices.IndexFunc(out, func(o kernel) bool { return o.product == f[2] && o.path == f[3] })
		if i < 0 {
			i = len(out)
			out = append(out, kernel{product: f[2], path: f[3]})
		}
		rate, err := strconv.ParseFloat(f[5], 64)
		if err != nil {
			return nil, fmt.Errorf("read the kernels' benchmarks: %w", err)
		}
		out[i].rate = max(out[i].rate, rate)
		share := 100. // the peak's
		if f[4] != "" {
			if share, err = strconv.ParseFloat(f[4], 64); err != nil {
				return nil, fmt.Errorf("read the kernels' benchmarks: %w", err)
			}
		}
		out[i].shares = append(out[i].shares, share/100)
	}
	return out, nil
}

// share is the median part of the peak.
func (k kernel) share() float64 {
	s := slices.Sorted(slices.Values(k.shares))
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}

// product is a product's (or, "", the peak's) line for each path.
func (m *speeds) product(name string) map[string]kernel {
	r := make(map[string]kernel)
	for _, k := range m.kernels {
		if k.product == name {
			r[k.path] = k
		}
	}
	return r
}

// paths are those that were measured, the fastest first.
func (s *speeds) paths() []string {
	peak := s.product("")
	return slices.SortedFunc(maps.Keys(peak), func(a, b string) int { return cmp.Compare(peak[b].rate, peak[a].rate) })
}

func kernelsTable(w io.Writer, m *speeds) {
	fmt.Fprintln(w)
	paths := m.paths()
	cells := []string{"product (m x k x n)"}
	for _, p := range paths {
		cells = append(cells, p+", GFLOP/s", "of peak")
	}
	head(w, 1, cells...)
	line := func(name, product string) {
		of := m.product(product)
		cells := []string{name}
		for _, p := range paths {
			k, ok := of[p]
			if !ok {
				cells = append(cells, "", "")
				continue
			}
			cells = append(cells, fmt.Sprintf("%.0f", k.rate), fmt.Sprintf("%.0f %%", 100*k.share()))
		}
		row(w, cells...)
	}
	line("multiply-adds in registers, the peak", "")
	var products []string
	for _, k := range m.kernels {
		if k.product != "" && !slices.Contains(products, k.product) {
			products = append(products, k.product)
		}
	}
	for _, p := range products {
		name, size, _ := strings.Cut(p, "=")
		line(name+", "+size, p)
	}
}

// goalsTable compares with what was to be reached. Where a machine has no measurement it says so by a dash.
func goalsTable(w io.Writer, m *measurements) {
	cells := []string{"", ""}
	for i := range m.machines {
		cells = append(cells, m.machines[i].brand())
	}
	head(w, 2, cells...)
	line := func(what, word string, limit float64, form func(float64) string, holds func(got, limit float64) bool, got func(s *speeds) float64) {
		cells := []string{what, word + " " + form(limit)}
		for i := range m.machines {
			x := got(&m.machines[i])
			switch {
			case math.IsNaN(x) || x == 0:
				cells = append(cells, "-")
			case holds(x, limit):
				cells = append(cells, form(x)+", holds")
			default:
				cells = append(cells, form(x)+", **does not hold**")
			}
		}
		row(w, cells...)
	}
	most := func(what string, limit float64, form func(float64) string, got func(s *speeds) float64) {
		line(what, "at most", limit, form, func(x, limit float64) bool { return x <= limit }, got)
	}
	least := func(what string, limit float64, form func(float64) string, got func(s *speeds) float64) {
		line(what, "at least", limit, form, func(x, limit float64) bool { return x >= limit }, got)
	}
	against := func(value func(contest.Result) float64, setting string, threads int, peer string) func(*speeds) float64 {
		return func(s *speeds) float64 {
			rs := of(s, "peers", "train", 60, 32)
			return best(rs, value, "k8ntext", setting, threads) / best(rs, value, peer, "", threads)
		}
	}
	most("training step, batch 32, wall, against PyTorch's best setting", .33, ratio, against(wall, "", 0, "pytorch"))
	most("the same on AVX2 kernels", .50, ratio, against(wall, "avx2", 0, "pytorch"))
	most("the same, CPU time on one thread", .50, ratio, against(cpu, "", 1, "pytorch"))
	most("training step, wall, against Keras on TensorFlow", .20, ratio, against(wall, "", 0, "keras"))
	most("Gorgonia's share of a step", .03, percent, func(s *speeds) float64 { return s.training.Graph.Share })
	if c, ok := chosen(m, "paper"); ok {
		most(fmt.Sprintf("inference of a file at W=60, CPU time per event at stride %d (stride 1: %s ms)", c.stride, number(c.first/1e3)), .15,
			func(ms float64) string { return fmt.Sprintf("%.3f ms", ms) }, func(s *speeds) float64 {
				if s.peers.Machine != m.accuracy.Machine {
					return math.NaN()
				}
				return c.micros / 1e3
			})
	}
	most("peak memory of a training on about 20,000 events, W=60, batch 32", 400, func(mb float64) string { return fmt.Sprintf("%.0f MB", mb) },
		func(s *speeds) float64 { return float64(s.training.Memory.Peak) / 1e6 })
	least("matrix products, of the measured peak: the slowest shape at batch 32", .85, percent, func(s *speeds) float64 {
		paths, low := s.paths(), math.NaN()
		for _, k := range s.kernels {
			if k.product != "" && k.path == paths[0] && !(k.share() >= low) {
				low = k.share()
			}
		}
		return low
	})
	least("two single-threaded trainings side by side, against one", 1.85, ratio, func(s *speeds) float64 { return s.training.Pair.Gain })
}
