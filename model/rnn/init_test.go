package rnn

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestOrthogonal(t *testing.T) {
	const rows, cols = 9, 36
	w := make([]float32, rows*cols)
	Orthogonal(w, rows, cols, rand.New(rand.NewPCG(1, 2)))
	for i := range rows {
		for j := range rows {
			sum := 0.
			for k := range cols {
				sum += float64(w[i*cols+k]) * float64(w[j*cols+k])
			}
			want := 0.
			if i == j {
				want = 1
			}
			if math.Abs(sum-want) > 1e-6 {
				t.Errorf("rows %d and %d: product %v, want %v", i, j, sum, want)
			}
		}
	}
}

func TestGlorotUniform(t *testing.T) {
	const in, out = 40, 60
	w := make([]float32, in*out)
	GlorotUniform(w, in, out, rand.New(rand.NewPCG(1, 2)))
	limit := math.Sqrt(6. / (in + out))
	var sum, square float64
	for _, v := range w {
		if math.Abs(float64(v)) > limit {
			t.Fatalf("%v is beyond ±%v", v, limit)
		}
		sum += float64(v)
		square += float64(v) * float64(v)
	}
	// The uniform distribution's mean and variance, within six standard errors.
	n := float64(len(w))
	if mean := sum / n; math.Abs(mean) > 6*limit/math.Sqrt(3*n) {
		t.Errorf("mean %v, want about 0", mean)
	}
	if variance := square / n; math.Abs(variance/(limit*limit/3)-1) > 6*.9/math.Sqrt(n) {
		t.Errorf("variance %v, want about %v", variance, limit*limit/3)
	}
}

func TestLSTMBias(t *testing.T) {
	b := []float32{9, 9, 9, 9, 9, 9, 9, 9}
	LSTMBias(b, 2)
	if want := []float32{0, 0, 1, 1, 0, 0, 0, 0}; !slices.Equal(b, want) {
		t.Errorf("bias %v, want %v", b, want)
	}
}

func TestSpan(t *testing.T) {
	for _, n := range []int{0, 1, 47, 48, 49, 97, 1920} {
		for parts := 1; parts < 6; parts++ {
			end := 0
			for part := range parts {
				from, to := span(n, part, parts)
				if from != end || to < from || from%48 != 0 && from != n {
					t.Errorf("span(%d, %d, %d) = %d, %d after %d", n, part, parts, from, to, end)
				}
				end = to
			}
			if end != n {
				t.Errorf("span(%d, ..., %d) ends at %d", n, parts, end)
			}
		}
	}
}

func TestWorkers(t *testing.T) {
	for _, threads := range []int{1, 2, 5} {
		w := NewWorkers(threads)
		for _, parts := range []int{0, 1, 3, 100} {
			done := make([]int, parts) // each element is written by one part
			for range 20 {
				w.do(parts, func(part int) { done[part]++ })
			}
			for part, n := range done {
				if n != 20 {
					t.Errorf("%d threads: part %d of %d ran %d times, want 20", threads, part, parts, n)
				}
			}
		}
		w.Close()
	}
	var none *Workers
	ran := 0
	none.do(3, func(int) { ran++ })
	if ran != 3 {
		t.Errorf("no workers: %d parts ran, want 3", ran)
	}
}
