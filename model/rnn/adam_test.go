package rnn

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"k8ntext/model/device"
)

// tensorGrad is a gorgonia.ValueGrad of given slices.
type tensorGrad struct{ value, grad *tensor.Dense }

func (v tensorGrad) Value() gorgonia.Value         { return v.value }
func (v tensorGrad) Grad() (gorgonia.Value, error) { return v.grad, nil }

func newTensorGrad(n int) (v tensorGrad, w, g []float32) {
	var m memory
	v.value, w = m.dense(n)
	v.grad, g = m.dense(n)
	return v, w, g
}

// TestAdam compares twenty steps with the formula in float64, on tensors smaller and larger than a
// thread's share, and shows where epsilon stands by gradients as small as it.
func TestAdam(t *testing.T) {
	everyKernels(t, func(t *testing.T, k device.Kernels) {
		workers := NewWorkers(2)
		defer workers.Close()
		r := rand.New(rand.NewPCG(1, 1))
		var model []gorgonia.ValueGrad
		var w, g [][]float32
		for _, n := range []int{1, 7, 301} {
			v, vw, vg := newTensorGrad(n)
			Uniform(vw, 1, r)
			model, w, g = append(model, v), append(w, vw), append(g, vg)
		}
		var exact, m, v [][]float64
		for i := range w {
			e := make([]float64, len(w[i]))
			for j := range e {
				e[j] = float64(w[i][j])
			}
			exact, m, v = append(exact, e), append(m, make([]float64, len(e))), append(v, make([]float64, len(e)))
		}
		a := NewAdam(AdamOptions{}, k, workers)
		rate := .004
		for step := 1; step <= 20; step++ {
			if step == 11 {
				rate = .0004
				a.SetLearningRate(rate)
			}
			for i := range g {
				Uniform(g[i], 1, r)
				for j := range g[i] {
					if j%3 == 0 {
						g[i][j] *= 1e-7
					}
				}
			}
			if err := a.Step(model); err != nil {
				t.Fatal(err)
			}
			alpha := rate * math.Sqrt(1-math.Pow(.999, float64(step))) / (1 - math.Pow(.9, float64(step)))
			for i := range exact {
				for j := range exact[i] {
					grad := float64(g[i][j])
					m[i][j] += (grad - m[i][j]) * .1
					v[i][j] += (grad*grad - v[i][j]) * .001
					exact[i][j] -= alpha * m[i][j] / (math.Sqrt(v[i][j]) + 1e-7)
				}
			}
		}
		for i := range w {
			near(t, "weights", w[i], exact[i]...)
		}
		if a.Steps() != 20 || a.LearningRate() != rate {
			t.Errorf("steps %d, rate %v; want 20, %v", a.Steps(), a.LearningRate(), rate)
		}
	})
}

// TestAdamResume: a solver that takes over the moments gives the bits of one that was never replaced.
func TestAdamResume(t *testing.T) {
	k, err := device.Select("generic")
	if err != nil {
		t.Fatal(err)
	}
	run := func(replace bool) []float32 {
		v, w, g := newTensorGrad(50)
		model := []gorgonia.ValueGrad{v}
		a := NewAdam(AdamOptions{LearningRate: .01}, k, nil)
		r := rand.New(rand.NewPCG(1, 1))
		for step := range 10 {
			if replace && step == 5 {
				b := NewAdam(AdamOptions{LearningRate: .01}, k, nil)
				b.Resume(a.Steps(), a.first, a.second)
				a = b
			}
			Uniform(g, 1, r)
			if err := a.Step(model); err != nil {
				t.Fatal(err)
			}
		}
		return w
	}
	if a, b := run(false), run(true); !slices.Equal(a, b) {
		t.Error("resumed training differs")
	}
}

func TestAdamErrors(t *testing.T) {
	k, err := device.Select("generic")
	if err != nil {
		t.Fatal(err)
	}
	v, _, _ := newTensorGrad(3)
	a := NewAdam(AdamOptions{}, k, nil)
	a.Resume(4, [][]float32{make([]float32, 2)}, [][]float32{make([]float32, 2)})
	if err := a.Step([]gorgonia.ValueGrad{v}); err == nil {
		t.Error("moments of another size: no error")
	}
	if err := a.Step([]gorgonia.ValueGrad{v, v}); err == nil {
		t.Error("another number of tensors: no error")
	}
}
