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

	// The tensor at hand.
	w, g, m, v     []float32
	factor         float32
	updatePart     func(part int)
	b1, b2, offset float32
}

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
			a.first = append(a.first, make([]float32, size))
			a.second = append(a.second, make([]float32, size))
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
	for i, n := range model {
		grad, err := n.Grad()
		if err != nil {
			return fmt.Errorf("rnn: Adam: gradient of tensor %d: %w", i, err)
		}
		a.w, a.g, a.m, a.v = floats(n.Value()), floats(grad), a.first[i], a.second[i]
		if len(a.m) != len(a.w) || len(a.v) != len(a.w) || len(a.g) != len(a.w) {
			return errors.New("rnn: Adam: a tensor, its gradient and its moments differ in size")
		}
		if a.on != nil {
			n := len(a.w)
			a.on.adam.Run([]int{n}, lineGroup, int32(n), a.factor, a.b1, a.b2, a.offset,
				a.on.of(a.g), a.on.of(a.w), a.on.of(a.m), a.on.of(a.v))
			continue
		}
		a.workers.do(a.workers.count(), a.updatePart)
	}
	if a.on != nil {
		return a.on.Err()
	}
	return nil
}

func (a *Adam) updateRange(part int) {
	from, to := span(len(a.w), part, a.workers.count())
	if from == to {
		return
	}
	a.kernels.Adam(a.w[from:to], a.g[from:to], a.m[from:to], a.v[from:to], a.factor, 1, a.b1, a.b2, a.offset)
}

var _ gorgonia.Solver = (*Adam)(nil)
