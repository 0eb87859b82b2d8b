package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"k8ntext/bench/contest"
)

func machineTable(w io.Writer, m *measurements) {
	v := m.peers.Versions
	machine := m.peers.Machine
	fmt.Fprintf(w, "%s, %d cores, %s; %s; PyTorch %s, Keras %s on TensorFlow %s (Python %s).\n",
		machine.CPU, machine.Cores, machine.OS, strings.Replace(machine.Go, "go", "Go ", 1), v["torch"], v["keras"], v["tensorflow_cpu"], v["python"])
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
func of(m *measurements, against, task string, window, batch int) []contest.Result {
	var out []contest.Result
	for _, r := range m.peers.Results {
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

func peersTable(w io.Writer, m *measurements) {
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

func windowsTable(w io.Writer, m *measurements) {
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

func elementaryTable(w io.Writer, m *measurements) {
	head(w, 1, "", "W", "threads", "best wall", "median wall", "best CPU", "n", "load")
	for _, window := range []int{10, 60} {
		for _, r := range of(m, "elementary", "train", window, 32) {
			row(w, contestant(r), strconv.Itoa(window), strconv.Itoa(r.Threads), number(r.WallMin), number(r.WallMedian), number(r.CPUMin), strconv.Itoa(r.N), fmt.Sprintf("%.1f", r.Load))
		}
	}
}

func trainingTable(w io.Writer, m *measurements) {
	t := m.training
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
func (m *measurements) product(name string) map[string]kernel {
	r := make(map[string]kernel)
	for _, k := range m.kernels {
		if k.product == name {
			r[k.path] = k
		}
	}
	return r
}

func kernelsTable(w io.Writer, m *measurements) {
	peak := m.product("")
	paths := slices.SortedFunc(maps.Keys(peak), func(a, b string) int { return cmp.Compare(peak[b].rate, peak[a].rate) })
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

// goalsTable compares with what was to be reached.
func goalsTable(w io.Writer, m *measurements) {
	head(w, 1, "", "at most", "measured", "")
	line := func(what string, limit, got float64, form func(float64) string) {
		verdict := "holds"
		if !(got <= limit) {
			verdict = "**does not hold**"
		}
		row(w, what, form(limit), form(got), verdict)
	}
	least := func(what string, limit, got float64, form func(float64) string) {
		verdict := "holds"
		if !(got >= limit) {
			verdict = "**does not hold**"
		}
		row(w, what, "at least "+form(limit), form(got), verdict)
	}
	rs := of(m, "peers", "train", 60, 32)
	torch := best(rs, wall, "pytorch", "", 0)
	line("training step, batch 32, wall, against PyTorch's best setting", .33, best(rs, wall, "k8ntext", "", 0)/torch, ratio)
	line("the same on AVX2 kernels", .50, best(rs, wall, "k8ntext", "avx2", 0)/torch, ratio)
	line("the same, CPU time on one thread", .50, best(rs, cpu, "k8ntext", "", 1)/best(rs, cpu, "pytorch", "", 1), ratio)
	line("training step, wall, against Keras on TensorFlow", .20, best(rs, wall, "k8ntext", "", 0)/best(rs, wall, "keras", "", 0), ratio)
	line("Gorgonia's share of a step", .03, m.training.Graph.Share, percent)
	if c, ok := chosen(m, "paper"); ok {
		line(fmt.Sprintf("inference of a file at W=60, CPU time per event at stride %d (stride 1: %s ms)", c.stride, number(c.first/1e3)), .15, c.micros/1e3,
			func(ms float64) string { return fmt.Sprintf("%.3f ms", ms) })
	}
	line("peak memory of a training on about 20,000 events, W=60, batch 32", 400, float64(m.training.Memory.Peak)/1e6, func(mb float64) string { return fmt.Sprintf("%.0f MB", mb) })
	low := math.Inf(1)
	for _, k := range m.kernels {
		if k.product != "" && k.path == "avx512" {
			low = min(low, k.share())
		}
	}
	least("matrix products, of the measured peak: the slowest shape at batch 32", .85, low, percent)
	least("two single-threaded trainings side by side, against one", 1.85, m.training.Pair.Gain, ratio)
}
