package rnn

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"k8ntext/model/device"
)

func everyKernels(t *testing.T, f func(t *testing.T, k device.Kernels)) {
	for _, name := range device.Available() {
		t.Run(name, func(t *testing.T) {
			k, err := device.Select(name)
			if err != nil {
				t.Fatal(err)
			}
			f(t, k)
		})
	}
}

// stack is a small network of all layers on one graph.
type stack struct {
	graph   *Graph
	loss    *gorgonia.Node
	wrt     gorgonia.Nodes
	weights [][]float32
	present []float32
	moments Moments
}

func newStack(t *testing.T, o Options) *stack {
	t.Helper()
	const vocabulary, fields, dim, units, parts, classes = 11, 3, 6, 5, 2, 4
	g := NewGraph(o)
	rows := g.Rows()
	r := rand.New(rand.NewPCG(5, 6))
	s := &stack{graph: g, present: make([]float32, rows)}
	weight := func(name string, shape ...int) *gorgonia.Node {
		data := make([]float32, tensor.Shape(shape).TotalSize())
		Uniform(data, .5, r)
		// Gorgonia merges nodes of equal name and shape.
		n := g.Floats(fmt.Sprint(name, len(s.weights)), data, shape...)
		s.wrt, s.weights = append(s.wrt, n), append(s.weights, data)
		return n
	}
	integers := func(name string, n, below int) *gorgonia.Node {
		data := make([]int32, rows*n)
		for i := range data {
			data[i] = r.Int32N(int32(below))
		}
		return g.Ints(name, data, rows, n)
	}
	for i := range s.present {
		s.present[i] = 1
	}
	present := g.Floats("present", s.present, rows)
	must := func(n *gorgonia.Node, err error) *gorgonia.Node {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	lstm := func(in int) LSTMWeights {
		return LSTMWeights{weight("kernel", in, 4*units), weight("recurrent", units, 4*units), weight("bias", 4*units)}
	}
	x := must(g.Embedding(integers("ids", fields, vocabulary), weight("table", vocabulary, dim)))
	x = must(g.BiLSTM(x, present, lstm(dim), lstm(dim), true))
	s.moments = Moments{make([]float32, 2*units), make([]float32, 2*units)}
	x = must(g.BatchNorm(x, present, weight("gamma", 2*units), weight("beta", 2*units), s.moments))
	x = must(g.Dropout(x, .3, 9))
	x = must(g.Dropout(x, .1, 9))
	x = must(g.DenseReLU(x, weight("kernel", 2*units, parts*classes), weight("bias", parts*classes)))
	s.loss = must(g.SoftmaxFocal(x, integers("targets", parts, classes), present))
	return s
}

// TestAllocations runs every operation of a graph again with the inputs that Gorgonia gave it, and
// wants no allocation.
func TestAllocations(t *testing.T) {
	everyKernels(t, func(t *testing.T, k device.Kernels) {
		for _, threads := range []int{1, 2} {
			workers := NewWorkers(threads)
			defer workers.Close()
			s := newStack(t, Options{Window: 7, Batch: 5, Kernels: k, Workers: workers, Training: true})
			s.present[3] = 0
			if err := s.graph.Gradients(s.loss, s.wrt...); err != nil {
				t.Fatal(err)
			}
			var calls []func()
			for _, n := range s.graph.Expr.AllNodes() {
				if o, ok := n.Op().(*op); ok {
					run := o.run
					o.run = func(in []gorgonia.Value) error {
						in = slices.Clone(in)
						calls = append(calls, func() { run(in) })
						return run(in)
					}
				}
			}
			machine := gorgonia.NewTapeMachine(s.graph.Expr)
			if err := machine.RunAll(); err != nil {
				t.Fatal(err)
			}
			adam := NewAdam(AdamOptions{}, k, workers)
			model := gorgonia.NodesToValueGrads(s.wrt)
			calls = append(calls, func() { adam.Step(model) })
			if len(calls) < 2*7 {
				t.Fatalf("only %d operations ran", len(calls))
			}
			allocations := testing.AllocsPerRun(20, func() {
				s.graph.WeightsChanged()
				for _, call := range calls {
					call()
				}
			})
			if allocations != 0 {
				t.Errorf("%d threads: %v allocations in a step, want none", threads, allocations)
			}
		}
	})
}

// TestParallelGraphs builds and runs graphs side by side: under the race detector this shows that
// nothing is shared, and the results must be the same bits.
func TestParallelGraphs(t *testing.T) {
	k, err := device.Select("generic")
	if err != nil {
		t.Fatal(err)
	}
	const n = 4
	var wait sync.WaitGroup
	losses := make([]gorgonia.F32, n)
	for i := range n {
		wait.Go(func() {
			s := newStack(t, Options{Window: 6, Batch: 3, Kernels: k, Training: true})
			if err := s.graph.Gradients(s.loss, s.wrt...); err != nil {
				t.Error(err)
				return
			}
			machine := gorgonia.NewTapeMachine(s.graph.Expr)
			adam := NewAdam(AdamOptions{}, k, nil)
			for range 5 {
				if err := errors.Join(machine.RunAll(), adam.Step(gorgonia.NodesToValueGrads(s.wrt))); err != nil {
					t.Error(err)
					return
				}
				s.graph.WeightsChanged()
				s.graph.Step++
				machine.Reset()
			}
			losses[i] = *s.loss.Value().(*gorgonia.F32)
		})
	}
	wait.Wait()
	for _, l := range losses {
		if l != losses[0] || l == 0 {
			t.Fatalf("losses differ: %v", losses)
		}
	}
}

// TestWeightsChanged shows that a layer sees new weights only when told, which is what makes the
// call necessary.
func TestWeightsChanged(t *testing.T) {
	k, err := device.Select("generic")
	if err != nil {
		t.Fatal(err)
	}
	g := NewGraph(Options{Window: 2, Batch: 1, Kernels: k})
	kernel := []float32{1, 2}
	y, err := g.DenseReLU(g.Floats("x", []float32{1, 10}, 2, 1), g.Floats("kernel", kernel, 1, 2), g.Floats("bias", []float32{0, 0}, 2))
	if err != nil {
		t.Fatal(err)
	}
	machine := gorgonia.NewTapeMachine(g.Expr, gorgonia.EvalMode())
	run := func() []float32 {
		t.Helper()
		if err := machine.RunAll(); err != nil {
			t.Fatal(err)
		}
		machine.Reset()
		return slices.Clone(y.Value().(*tensor.Dense).Float32s())
	}
	before := run()
	kernel[0] = 5
	stale := run()
	g.WeightsChanged()
	after := run()
	if want := []float32{1, 2, 10, 20}; !slices.Equal(before, want) || !slices.Equal(stale, want) {
		t.Errorf("before the call: %v and %v, want %v", before, stale, want)
	}
	if want := []float32{5, 2, 50, 20}; !slices.Equal(after, want) {
		t.Errorf("after the call: %v, want %v", after, want)
	}
}

func TestInferenceGraphNeedsEvalMode(t *testing.T) {
	k, err := device.Select("generic")
	if err != nil {
		t.Fatal(err)
	}
	s := newStack(t, Options{Window: 3, Batch: 2, Kernels: k})
	if err := gorgonia.NewTapeMachine(s.graph.Expr).RunAll(); err == nil || !strings.Contains(err.Error(), "EvalMode") {
		t.Errorf("run in training mode: %v, want an error that names EvalMode", err)
	}
	if err := gorgonia.NewTapeMachine(s.graph.Expr, gorgonia.EvalMode()).RunAll(); err != nil {
		t.Errorf("run in evaluation mode: %v", err)
	}
	if err := s.graph.Gradients(s.loss, s.wrt...); err == nil {
		t.Error("differentiate a graph built without Training: no error")
	}
}

func TestShapeErrors(t *testing.T) {
	g := NewGraph(Options{Window: 2, Batch: 3})
	x := g.Floats("x", make([]float32, 24), 6, 4)
	short := g.Floats("short", make([]float32, 20), 5, 4)
	present := g.Floats("present", make([]float32, 6), 6)
	v3, v4, v8 := g.Floats("v3", make([]float32, 3), 3), g.Floats("v4", make([]float32, 4), 4), g.Floats("v8", make([]float32, 8), 8)
	k48, k28 := g.Floats("k48", make([]float32, 32), 4, 8), g.Floats("k28", make([]float32, 16), 2, 8)
	ids := g.Ints("ids", make([]int32, 18), 6, 3)
	w := LSTMWeights{k48, k28, v8}
	moments := Moments{make([]float32, 4), make([]float32, 4)}
	for name, f := range map[string]func() (*gorgonia.Node, error){
		"BiLSTM, rows":         func() (*gorgonia.Node, error) { return g.BiLSTM(short, present, w, w, true) },
		"BiLSTM, present":      func() (*gorgonia.Node, error) { return g.BiLSTM(x, v3, w, w, true) },
		"BiLSTM, recurrent":    func() (*gorgonia.Node, error) { return g.BiLSTM(x, present, w, LSTMWeights{k48, k48, v8}, true) },
		"BiLSTM, bias":         func() (*gorgonia.Node, error) { return g.BiLSTM(x, present, LSTMWeights{k48, k28, v4}, w, true) },
		"BatchNorm, gamma":     func() (*gorgonia.Node, error) { return g.BatchNorm(x, present, v3, v4, moments) },
		"BatchNorm, moments":   func() (*gorgonia.Node, error) { return g.BatchNorm(x, present, v4, v4, Moments{}) },
		"Dropout, rate":        func() (*gorgonia.Node, error) { return g.Dropout(x, 1, 0) },
		"DenseReLU, kernel":    func() (*gorgonia.Node, error) { return g.DenseReLU(x, k28, v8) },
		"DenseReLU, bias":      func() (*gorgonia.Node, error) { return g.DenseReLU(x, k48, v4) },
		"Embedding, rows":      func() (*gorgonia.Node, error) { return g.Embedding(short, k48) },
		"SoftmaxFocal, parts":  func() (*gorgonia.Node, error) { return g.SoftmaxFocal(x, ids, present) },
		"SoftmaxFocal, weight": func() (*gorgonia.Node, error) { return g.SoftmaxFocal(x, x, v3) },
		"LogSoftmax, parts":    func() (*gorgonia.Node, error) { return g.LogSoftmax(x, 3) },
		"LogSoftmax, rows":     func() (*gorgonia.Node, error) { return g.LogSoftmax(short, 2) },
	} {
		layer, _, _ := strings.Cut(name, ",")
		if _, err := f(); err == nil || !strings.Contains(err.Error(), layer) {
			t.Errorf("%s: error %v, want one that names %s", name, err, layer)
		}
	}
}

// TestBatchNormStatistics follows the running statistics by hand, and checks that evaluation uses
// them.
func TestBatchNormStatistics(t *testing.T) {
	everyKernels(t, func(t *testing.T, k device.Kernels) {
		g := NewGraph(Options{Window: 3, Batch: 1, Kernels: k, Training: true})
		x := []float32{1, -4, 3, -4, 1000, 1000} // two columns; the last row is padding
		running := Moments{[]float32{10, 20}, []float32{1, 2}}
		y, err := g.BatchNorm(g.Floats("x", x, 3, 2), g.Floats("present", []float32{1, 1, 0}, 3),
			g.Floats("gamma", []float32{2, 3}, 2), g.Floats("beta", []float32{.5, -.5}, 2), running)
		if err != nil {
			t.Fatal(err)
		}
		if err := gorgonia.NewTapeMachine(g.Expr).RunAll(); err != nil {
			t.Fatal(err)
		}
		// The batch: means 2 and -4, biased variances 1 and 0.
		near(t, "running mean", running.Mean, .99*10+.01*2, .99*20+.01*-4)
		near(t, "running variance", running.Variance, .99*1+.01*1, .99*2)
		s := math.Sqrt(1.001)
		near(t, "training output", y.Value().(*tensor.Dense).Float32s(), .5-2/s, -.5, .5+2/s, -.5, 0, 0)

		mean, variance := slices.Clone(running.Mean), slices.Clone(running.Variance)
		if err := gorgonia.NewTapeMachine(g.Expr, gorgonia.EvalMode()).RunAll(); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(mean, running.Mean) || !slices.Equal(variance, running.Variance) {
			t.Error("evaluation moved the running statistics")
		}
		var want []float64
		for i, v := range x[:4] {
			j := i % 2
			want = append(want, float64([]float32{2, 3}[j]*(v-mean[j]))/math.Sqrt(float64(variance[j])+1e-3)+[]float64{.5, -.5}[j])
		}
		near(t, "evaluation output", y.Value().(*tensor.Dense).Float32s(), append(want, 0, 0)...)
	})
}

// TestBatchNormNothingPresent: a batch of padding only must not spoil the statistics.
func TestBatchNormNothingPresent(t *testing.T) {
	k, err := device.Select("generic")
	if err != nil {
		t.Fatal(err)
	}
	g := NewGraph(Options{Window: 2, Batch: 1, Kernels: k, Training: true})
	running := Moments{[]float32{10}, []float32{3}}
	y, err := g.BatchNorm(g.Floats("x", []float32{7, 8}, 2, 1), g.Floats("present", []float32{0, 0}, 2),
		g.Floats("gamma", []float32{1}, 1), g.Floats("beta", []float32{5}, 1), running)
	if err != nil {
		t.Fatal(err)
	}
	if err := gorgonia.NewTapeMachine(g.Expr).RunAll(); err != nil {
		t.Fatal(err)
	}
	near(t, "running mean", running.Mean, 10)
	near(t, "running variance", running.Variance, 3)
	near(t, "output", y.Value().(*tensor.Dense).Float32s(), 0, 0)
}

func near(t *testing.T, what string, got []float32, want ...float64) {
	t.Helper()
	if d := relative(got, want); !(d < 1e-6) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func TestFocalLossAndLogSoftmax(t *testing.T) {
	everyKernels(t, func(t *testing.T, k device.Kernels) {
		const rows, parts, classes = 6, 2, 5
		r := rand.New(rand.NewPCG(1, 2))
		logits, targets := make([]float32, rows*parts*classes), make([]int32, rows*parts)
		Uniform(logits, 4, r)
		logits[0] = 300 // no overflow, and a probability of 0 beside it
		for i := range targets {
			targets[i] = r.Int32N(classes)
		}
		weight := []float32{1, 0, 2, .5, 1, 1}
		targets[2] = -7 // of weight 0: not read
		g := NewGraph(Options{Window: 3, Batch: 2, Kernels: k})
		x := g.Floats("logits", logits, rows, parts*classes)
		logP, err := g.LogSoftmax(x, parts)
		if err != nil {
			t.Fatal(err)
		}
		loss, err := g.SoftmaxFocal(x, g.Ints("targets", targets, rows, parts), g.Floats("weight", weight, rows))
		if err != nil {
			t.Fatal(err)
		}
		if err := gorgonia.NewTapeMachine(g.Expr, gorgonia.EvalMode()).RunAll(); err != nil {
			t.Fatal(err)
		}
		exact := make([]float64, len(logits))
		for i, v := range logits {
			exact[i] = float64(v)
			if i < classes {
				exact[i] -= 300
			}
		}
		got := logP.Value().(*tensor.Dense).Float32s()
		near(t, "log-probabilities", got, refLogSoftmax(exact, classes)...)
		weight64 := []float64{1, 0, 2, .5, 1, 1}
		targets[2] = 0
		want := refFocal(exact, targets, weight64, parts)
		near(t, "loss", []float32{float32(*loss.Value().(*gorgonia.F32))}, want)
		near(t, "FocalLoss", []float32{float32(FocalLoss(got, targets, weight, parts, classes))}, want)
		if l := FocalLoss(got, targets, make([]float32, rows), parts, classes); l != 0 {
			t.Errorf("nothing scored: loss %v, want 0", l)
		}
	})
}

func TestDropout(t *testing.T) {
	const rows, n, rate = 60, 50, .4
	k, err := device.Select("generic")
	if err != nil {
		t.Fatal(err)
	}
	workers := NewWorkers(3)
	defer workers.Close()
	run := func(seed, step uint64, w *Workers, options ...gorgonia.VMOpt) (y, dx []float32) {
		g := NewGraph(Options{Window: 30, Batch: 2, Kernels: k, Workers: w, Training: true})
		g.Step = step
		ones := make([]float32, rows*n)
		for i := range ones {
			ones[i] = 1
		}
		x := g.Floats("x", ones, rows, n)
		out, err := g.Dropout(x, rate, seed)
		if err != nil {
			t.Fatal(err)
		}
		if err := g.Gradients(gorgonia.Must(gorgonia.Sum(out)), x); err != nil {
			t.Fatal(err)
		}
		if err := gorgonia.NewTapeMachine(g.Expr, options...).RunAll(); err != nil {
			t.Fatal(err)
		}
		grad, err := x.Grad()
		if err != nil {
			t.Fatal(err)
		}
		return out.Value().(*tensor.Dense).Float32s(), grad.(*tensor.Dense).Float32s()
	}
	y, dx := run(1, 5, nil)
	dropped := 0
	for _, v := range y {
		switch v {
		case 0:
			dropped++
		case 1 / (1 - float32(rate)):
		default:
			t.Fatalf("output %v is neither 0 nor 1/(1-rate)", v)
		}
	}
	// Binomial: six standard deviations.
	if share, off := float64(dropped)/(rows*n), 6*math.Sqrt(rate*(1-rate)/(rows*n)); math.Abs(share-rate) > off {
		t.Errorf("share dropped %.3f, want %.3f", share, rate)
	}
	if !slices.Equal(y, dx) {
		t.Error("the gradient was not dropped as the value")
	}
	again, _ := run(1, 5, workers)
	nextStep, _ := run(1, 6, nil)
	otherSeed, _ := run(2, 5, nil)
	if !slices.Equal(y, again) {
		t.Error("the same seed and step dropped other values on three threads")
	}
	for name, other := range map[string][]float32{"step": nextStep, "seed": otherSeed} {
		same := 0
		for i := range y {
			if y[i] == other[i] {
				same++
			}
		}
		// Independent masks agree in .4*.4+.6*.6 = 0.52 of the places.
		if share := float64(same) / (rows * n); math.Abs(share-.52) > .06 {
			t.Errorf("another %s: %.3f of the places agree, want about 0.52", name, share)
		}
	}
	if y, _ := run(1, 5, nil, gorgonia.EvalMode()); slices.Contains(y, 0) {
		t.Error("evaluation dropped values")
	}
}
