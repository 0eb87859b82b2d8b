package rnn

import (
	"errors"
	"fmt"
	"math"

	"gorgonia.org/gorgonia"

	"k8ntext/model/device"
)

// AdamOptions are Adam's hyperparameters. A zero field means its default.
type AdamOptions struct {
	LearningRate float64 // default 0.004, the paper's
	Beta1        float64 // default 0.9
	Beta2        float64 // default 0.999
	Epsilon      float64 // default 1e-7, Keras'
}

// Adam is a gorgonia.Solver: Adam (Kingma and Ba, 2015) in Keras' form, in which epsilon is added
// before the bias correction of the second moment:
//
//	w -= rate * sqrt(1-beta2^t)/(1-beta1^t) * m / (sqrt(v) + epsilon)
//
// Unlike Gorgonia's solvers it leaves the gradients as they are: the layers of this package write
// them anew in each run.
type Adam struct {
	o       AdamOptions
	kernels device.Kernels
	workers *Workers
	on      *Accelerator // or nil
	stale   bool         // the moments were changed on the host
	step    uint64
	first   [][]float32 // moments, in the order of the model
	second  [][]float32
	memory  memory // of the moments

	// The step at hand.
	tensors        []adamTensor
	values         int // of all tensors
	factor         float32
	updatePart     func(part int)
	b1, b2, offset float32
}

// adamTensor is a weight, its gradient and its moments.
type adamTensor struct{ w, g, m, v []float32 }

// NewAdam returns a solver at step 0.
func NewAdam(o AdamOptions, k device.Kernels, workers *Workers) *Adam {
	for _, f := range []struct {
		value *float64
		def   float64
	}{{&o.LearningRate, .004}, {&o.Beta1, .9}, {&o.Beta2, .999}, {&o.Epsilon, 1e-7}} {
		if *f.value == 0 {
			*f.value = f.def
		}
	}
	a := &Adam{o: o, kernels: k, workers: workers, b1: float32(o.Beta1), b2: float32(o.Beta2), offset: float32(o.Epsilon)}
	a.updatePart = a.updateRange
	return a
}

// NewAcceleratedAdam returns a solver at step 0 for the weights of graphs of an accelerator: weights
// and moments change on the device only.
func NewAcceleratedAdam(o AdamOptions, on *Accelerator) *Adam {
	a := NewAdam(o, nil, nil)
	a.on = on
	return a
}

// LearningRate is the rate of the next step.
func (a *Adam) LearningRate() float64 { return a.o.LearningRate }

// SetLearningRate sets the rate from the next step on.
func (a *Adam) SetLearningRate(rate float64) { a.o.LearningRate = rate }

// Steps is the number of steps done.
func (a *Adam) Steps() uint64 { return a.step }

// Moments are the running means of the gradients and of their squares, one slice for each tensor of
// the model; nil before the first step. They are the solver's own, those of an accelerated one
// must be pulled.
func (a *Adam) Moments() (first, second [][]float32) { return a.first, a.second }

// Resume continues after the given number of steps with moments as [Adam.Moments] returned them,
// which are copied.
func (a *Adam) Resume(step uint64, first, second [][]float32) {
	a.step = step
	a.first, a.second = clone(first), clone(second)
	a.stale = true
}

func clone(x [][]float32) [][]float32 {
	c := make([][]float32, len(x))
	for i := range x {
		c[i] = append([]float32(nil), x[i]...)
	}
	return c
}

// Step updates the values of the model in place. The model must have the same tensors in the same
// order at each step.
func (a *Adam) Step(model []gorgonia.ValueGrad) error {
	if a.step == 0 && a.first == nil {
		for _, n := range model {
			size := n.Value().Shape().TotalSize()
			a.first = append(a.first, a.memory.floats(size))
			a.second = append(a.second, a.memory.floats(size))
		}
		a.stale = true
	}
	if len(model) != len(a.first) || len(model) != len(a.second) {
		return fmt.Errorf("rnn: Adam: the model has %d tensors, the moments are for %d", len(model), len(a.first))
	}
	if a.on != nil && a.stale {
		a.on.Push(a.first...)
		a.on.Push(a.second...)
	}
	a.stale = false
	a.step++
	t := float64(a.step)
	a.factor = float32(a.o.LearningRate * math.Sqrt(1-math.Pow(a.o.Beta2, t)) / (1 - math.Pow(a.o.Beta1, t)))
	a.tensors, a.values = a.tensors[:0], 0
	for i, n := range model {
		grad, err := n.Grad()
		if err != nil {
			return fmt.Errorf("rnn: Adam: gradient of tensor %d: %w", i, err)
		}
		t := adamTensor{floats(n.Value()), floats(grad), a.first[i], a.second[i]}
		if len(t.m) != len(t.w) || len(t.v) != len(t.w) || len(t.g) != len(t.w) {
			return errors.New("rnn: Adam: a tensor, its gradient and its moments differ in size")
		}
		a.tensors = append(a.tensors, t)
		a.values += len(t.w)
	}
	if a.on == nil {
		a.workers.do(a.workers.count(), a.updatePart)
		return nil
	}
	for _, t := range a.tensors {
		n := len(t.w)
		a.on.adam.Run([]int{n}, lineGroup, int32(n), a.factor, a.b1, a.b2, a.offset,
			a.on.of(t.g), a.on.of(t.w), a.on.of(t.m), a.on.of(t.v))
	}
	return a.on.Err()
}

// updateRange updates a part of all tensors' values, as if they were one behind the other.
func (a *Adam) updateRange(part int) {
	from, to := span(a.values, part, a.workers.count())
	for _, t := range a.tensors {
		n := len(t.w)
		if i, j := max(from, 0), min(to, n); i < j {
			a.kernels.Adam(t.w[i:j], t.g[i:j], t.m[i:j], t.v[i:j], a.factor, 1, a.b1, a.b2, a.offset)
		}
		from, to = from-n, to-n
	}
}

var _ gorgonia.Solver = (*Adam)(nil)
