package rnn

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"k8ntext/model/device"
	"k8ntext/model/device/opencl"
)

// everyDevice runs f with an accelerator for each OpenCL device of this machine. Where there is none it
// only checks that the reason is given.
func everyDevice(t *testing.T, f func(t *testing.T, a *Accelerator)) {
	t.Helper()
	list, err := opencl.Devices()
	if err != nil {
		t.Logf("no OpenCL device here: %v", err)
		if !errors.Is(err, opencl.ErrUnavailable) {
			t.Errorf("%v is not ErrUnavailable", err)
		}
	}
	for _, d := range list {
		t.Run(d.Name, func(t *testing.T) { f(t, accelerate(t, d)) })
	}
}

// accelerate opens a device for the time of a test.
func accelerate(t *testing.T, d *opencl.Device) *Accelerator {
	t.Helper()
	a, err := NewAccelerator(d)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(a.Finish(), a.Close()); err != nil {
			t.Error(err)
		}
	})
	return a
}

// pushInputs copies the data of every input node to the device.
func pushInputs(a *Accelerator, g *Graph) {
	for _, n := range g.Expr.AllNodes() {
		if v, ok := n.Value().(*tensor.Dense); ok && n.Op() == nil {
			if v.Dtype() == tensor.Int32 {
				a.PushInts(v.Int32s())
			} else {
				a.Push(v.Float32s())
			}
		}
	}
}

// contract adds a node that multiplies y with factors and sums up, on the host.
func contract(g *Graph, y *gorgonia.Node, factors []float32) (*gorgonia.Node, error) {
	a, sum := g.o.Accelerator, gorgonia.NewF32(0)
	grad, dy := g.memory.dense(y.Shape()...)
	return g.add(layer{
		name: "contract", in: gorgonia.Nodes{y}, out: sum,
		forward: func(in []gorgonia.Value) error {
			a.Pull(floats(in[0]))
			for i, v := range floats(in[0]) {
				*sum += gorgonia.F32(v * factors[i])
			}
			return a.Err()
		},
		grads: []*tensor.Dense{grad},
		backward: func(_ []gorgonia.Value, dOut gorgonia.Value) {
			for i, f := range factors {
				dy[i] = f * float32(*dOut.(*gorgonia.F32))
			}
			a.Push(dy)
		},
	})
}

// runAccelerated returns the output and the gradients.
func runAccelerated(t *testing.T, l layerTest, a *Accelerator) (results [][]float32) {
	t.Helper()
	g := NewGraph(Options{Window: l.shape.window, Batch: l.shape.batch, Accelerator: a, Training: true})
	var in, wrt []*gorgonia.Node
	for _, p := range l.parameters {
		n := g.Floats(p.name, slices.Clone(p.data), p.shape...)
		in = append(in, n)
		if !p.fixed {
			wrt = append(wrt, n)
		}
	}
	y, err := l.build(g, in)
	if err != nil {
		t.Fatal(err)
	}
	loss := y
	if !l.loss {
		if loss, err = contract(g, y, contraction(y.Shape().TotalSize())); err != nil {
			t.Fatal(err)
		}
	}
	if err := g.Gradients(loss, wrt...); err != nil {
		t.Fatal(err)
	}
	pushInputs(a, g)
	machine := gorgonia.NewTapeMachine(g.Expr)
	defer machine.Close()
	if err := machine.RunAll(); err != nil {
		t.Fatal(err)
	}
	take := func(v gorgonia.Value) {
		if v, ok := v.(*gorgonia.F32); ok {
			results = append(results, []float32{float32(*v)})
			return
		}
		a.Pull(floats(v))
		results = append(results, slices.Clone(floats(v)))
	}
	take(y.Value())
	for _, n := range wrt {
		grad, err := n.Grad()
		if err != nil {
			t.Fatal(err)
		}
		take(grad)
	}
	if err := a.Finish(); err != nil {
		t.Fatal(err)
	}
	return results
}

// TestAcceleratedTraining trains the stack of all layers on the device and with the portable kernels:
// dropout must drop the same values, running statistics and weights must follow.
func TestAcceleratedTraining(t *testing.T) {
	const steps = 6
	k, err := device.Select("generic")
	if err != nil {
		t.Fatal(err)
	}
	train := func(t *testing.T, a *Accelerator) (losses []float32, s *stack) {
		t.Helper()
		s = newStack(t, Options{Window: 7, Batch: 5, Kernels: k, Accelerator: a, Training: true})
		s.present[3] = 0
		if err := s.graph.Gradients(s.loss, s.wrt...); err != nil {
			t.Fatal(err)
		}
		adam := NewAdam(AdamOptions{}, k, nil)
		if a != nil {
			adam = NewAcceleratedAdam(AdamOptions{}, a)
			pushInputs(a, s.graph)
			a.Push(s.moments.Mean, s.moments.Variance)
		}
		machine := gorgonia.NewTapeMachine(s.graph.Expr)
		for range steps {
			if err := errors.Join(machine.RunAll(), adam.Step(gorgonia.NodesToValueGrads(s.wrt))); err != nil {
				t.Fatal(err)
			}
			losses = append(losses, float32(*s.loss.Value().(*gorgonia.F32)))
			s.graph.WeightsChanged()
			s.graph.Step++
			machine.Reset()
			if a != nil && s.graph.Step == steps/2 { // moments go to the host and back
				first, second := adam.Moments()
				a.Pull(first...)
				a.Pull(second...)
				next := NewAcceleratedAdam(AdamOptions{}, a)
				next.Resume(adam.Steps(), first, second)
				adam = next
			}
		}
		if a != nil {
			a.Pull(s.weights...)
			a.Pull(s.moments.Mean, s.moments.Variance)
			if err := a.Finish(); err != nil {
				t.Fatal(err)
			}
		}
		return losses, s
	}
	wantLosses, want := train(t, nil)
	everyDevice(t, func(t *testing.T, a *Accelerator) {
		losses, got := train(t, a)
		near(t, "losses", losses, wide(wantLosses)...)
		for i, w := range want.weights {
			if d := relative(got.weights[i], wide(w)); !(d < 1e-5) {
				t.Errorf("weight %d differs by %.2g of its norm", i, d)
			}
		}
		near(t, "running mean", got.moments.Mean, wide(want.moments.Mean)...)
		near(t, "running variance", got.moments.Variance, wide(want.moments.Variance)...)
	})
}

func wide(s []float32) []float64 {
	w := make([]float64, len(s))
	for i, v := range s {
		w[i] = float64(v)
	}
	return w
}

// TestAcceleratedDropout: the same values are dropped as on the processor, and none in evaluation.
func TestAcceleratedDropout(t *testing.T) {
	const rows, n, rate, seed, step = 9, 7, .4, 1 << 63, 5 // an odd number of values
	want := make([]float32, rows*n)
	dropoutMask(want, 0, seed, step, uint64(float64(float32(rate))*(1<<32)), 1/(1-float32(rate)))
	everyDevice(t, func(t *testing.T, a *Accelerator) {
		g := NewGraph(Options{Window: 3, Batch: 3, Accelerator: a, Training: true})
		g.Step = step
		ones := make([]float32, rows*n)
		for i := range ones {
			ones[i] = 1
		}
		y, err := g.Dropout(g.Floats("x", ones, rows, n), rate, seed)
		if err != nil {
			t.Fatal(err)
		}
		pushInputs(a, g)
		for name, c := range map[string]struct {
			options []gorgonia.VMOpt
			want    []float32
		}{"training": {nil, want}, "evaluation": {[]gorgonia.VMOpt{gorgonia.EvalMode()}, ones}} {
			if err := gorgonia.NewTapeMachine(g.Expr, c.options...).RunAll(); err != nil {
				t.Fatal(err)
			}
			got := floats(y.Value())
			a.Pull(got)
			if !slices.Equal(got, c.want) {
				t.Errorf("%s: got %v, want %v", name, got, c.want)
			}
		}
	})
}

// TestAcceleratedEvaluation runs what only evaluation has.
func TestAcceleratedEvaluation(t *testing.T) {
	everyDevice(t, func(t *testing.T, a *Accelerator) {
		const rows, parts, classes = 6, 2, 5
		r := rand.New(rand.NewPCG(1, 2))
		logits, ones := make([]float32, rows*parts*classes), make([]float32, rows)
		Uniform(logits, 4, r)
		logits[0] = 300 // no overflow
		for i := range ones {
			ones[i] = 1
		}
		weight := func(v float32) []float32 { return slices.Repeat([]float32{v}, parts*classes) }
		running := Moments{weight(2), weight(4 - 1e-3)}
		g := NewGraph(Options{Window: 3, Batch: 2, Accelerator: a})
		x, err := g.BatchNorm(g.Floats("logits", logits, rows, parts*classes), g.Floats("present", ones, rows),
			g.Floats("gamma", weight(3), parts*classes), g.Floats("beta", weight(-1), parts*classes), running)
		if err != nil {
			t.Fatal(err)
		}
		y, err := g.LogSoftmax(x, parts)
		if err != nil {
			t.Fatal(err)
		}
		pushInputs(a, g)
		a.Push(running.Mean, running.Variance)
		if err := gorgonia.NewTapeMachine(g.Expr, gorgonia.EvalMode()).RunAll(); err != nil {
			t.Fatal(err)
		}
		exact := wide(logits)
		for i := range exact {
			exact[i] = (exact[i]-2)*3/2 - 1
		}
		got := floats(y.Value())
		a.Pull(got)
		near(t, "log-probabilities", got, refLogSoftmax(exact, classes)...)
	})
}

// TestAcceleratedSharing: a node that is used twice needs a sum of gradients, which Gorgonia would
// compute on the host; that must be refused.
func TestAcceleratedSharing(t *testing.T) {
	everyDevice(t, func(t *testing.T, a *Accelerator) {
		g := NewGraph(Options{Window: 2, Batch: 1, Accelerator: a, Training: true})
		x, kernel, bias := g.Floats("x", make([]float32, 4), 2, 2), g.Floats("kernel", make([]float32, 4), 2, 2), g.Floats("bias", make([]float32, 2), 2)
		y, err := g.DenseReLU(x, kernel, bias)
		if err != nil {
			t.Fatal(err)
		}
		if y, err = g.DenseReLU(y, kernel, bias); err != nil {
			t.Fatal(err)
		}
		loss, err := contract(g, y, make([]float32, 4))
		if err != nil {
			t.Fatal(err)
		}
		if err := g.Gradients(loss, kernel, bias); err == nil || !strings.Contains(err.Error(), "does not run on") {
			t.Errorf("a kernel used twice: error %v, want one that says so", err)
		}
	})
}
