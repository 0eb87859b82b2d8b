package device

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// eachPath runs a benchmark on every implementation that this processor has.
func eachPath(b *testing.B, bench func(b *testing.B, k Kernels)) {
	for _, name := range Available() {
		b.Run("kernels="+name, func(b *testing.B) {
			k, err := Select(name)
			if err != nil {
				b.Fatal(err)
			}
			bench(b, k)
		})
	}
}

// noise is n small random values.
func noise(n int) []float32 {
	rng := rand.New(rand.NewPCG(1, 2))
	s := make([]float32, n)
	for i := range s {
		s[i] = rng.Float32() - .5
	}
	return s
}

// measure runs the benchmark and reports its rate, work per call in units of 1e9, per second of CPU
// time: other processes on the machine then matter less.
func measure(b *testing.B, work float64, unit string, call func()) {
	call()
	start := cpuTime()
	for b.Loop() {
		call()
	}
	b.ReportMetric(work*float64(b.N)/(cpuTime()-start).Seconds()/1e9, unit)
}

// measureProduct runs a product in turns with the processor's peak, some 200 µs each, and reports the
// product's rate also as a part of the peak's: the frequency changes from one moment to the next.
func measureProduct(b *testing.B, k Kernels, operations float64, call func()) {
	run, peakOperations := peak(k.Name())
	if run == nil {
		measure(b, operations, "GFLOP/s", call)
		return
	}
	const turn = 40e6 // operations
	calls, runs := max(1, int(turn/operations)), int(turn/peakOperations)
	call()
	var product, yardstick time.Duration
	var n, turns int
	for b.Loop() {
		start := cpuTime()
		for range calls {
			call()
		}
		middle := cpuTime()
		for range runs {
			run()
		}
		product += middle - start
		yardstick += cpuTime() - middle
		n += calls
		turns++
	}
	rate := operations * float64(n) / product.Seconds()
	b.ReportMetric(rate/1e9, "GFLOP/s")
	b.ReportMetric(100*rate/(peakOperations*float64(turns*runs)/yardstick.Seconds()), "%peak")
	b.ReportMetric(0, "ns/op") // of a turn: says nothing
}

// The network of the paper: W=60, 39 features, two bidirectional layers of 156 and 117 units.
const (
	window, features = 60, 39
	hidden1, hidden2 = 4 * features, 3 * features
	dense            = 5 * 59
	blockRows        = 192 // that a layer multiplies at once
)

// BenchmarkGemm runs the products of a training step at batch 32 and 128 and of inference at batch 1.
// The layers multiply blocks of rows.
func BenchmarkGemm(b *testing.B) {
	for _, batch := range []int{1, 32, 128} {
		for _, p := range []struct {
			name       string
			m, k, n    int
			transposed bool // A is stored by columns, as in the gradient of weights
		}{
			{"input1", min(window*batch, blockRows), features, 4 * hidden1, false},
			{"recurrent1", batch, hidden1, 4 * hidden1, false},
			{"recurrentBack1", batch, 4 * hidden1, hidden1, false},
			{"weightGradient1", hidden1, blockRows, 4 * hidden1, true},
			{"input2", min(window*batch, blockRows), 2 * hidden1, 4 * hidden2, false},
			{"recurrent2", batch, hidden2, 4 * hidden2, false},
			{"recurrentBack2", batch, 4 * hidden2, hidden2, false},
			{"inputBack2", min(window*batch, blockRows), 4 * hidden2, 2 * hidden1, false},
			{"weightGradient2", 2 * hidden1, blockRows, 4 * hidden2, true},
			{"dense", min(window*batch, blockRows), 2 * hidden2, dense, false},
		} {
			if p.transposed && batch != 32 { // these do not depend on the batch
				continue
			}
			b.Run(fmt.Sprintf("batch=%d/%s=%dx%dx%d", batch, p.name, p.m, p.k, p.n), func(b *testing.B) {
				eachPath(b, func(b *testing.B, k Kernels) {
					var packed Packed
					k.Pack(&packed, p.k, p.n, noise(p.k*p.n), p.n, 1)
					a, c := noise(p.m*p.k), make([]float32, p.m*p.n)
					rs, cs := p.k, 1
					if p.transposed {
						rs, cs = 1, p.m
					}
					measureProduct(b, k, 2*float64(p.m*p.n*p.k), func() {
						k.Gemm(p.m, a, rs, cs, &packed, 0, p.k, c, p.n, false)
					})
				})
			})
		}
	}
}

func BenchmarkPack(b *testing.B) {
	for _, transposed := range []bool{false, true} {
		b.Run(fmt.Sprintf("transposed=%t", transposed), func(b *testing.B) {
			eachPath(b, func(b *testing.B, k Kernels) {
				const rows, n = 384, 4 * hidden1
				s, packed := noise(rows*n), &Packed{}
				rs, cs := n, 1
				if transposed {
					rs, cs = 1, rows
				}
				measure(b, 4*rows*n, "GB/s", func() {
					k.Pack(packed, rows, n, s, rs, cs)
				})
			})
		})
	}
}

func BenchmarkLSTMForward(b *testing.B) {
	eachPath(b, func(b *testing.B, k Kernels) {
		const rows, h = 32, hidden1
		z, start, bias := noise(rows*4*h), noise(rows*4*h), noise(4*h)
		cPrev, c, tanhC, y := noise(rows*h), noise(rows*h), noise(rows*h), noise(rows*h)
		measure(b, rows*h, "Gcells/s", func() {
			copy(z, start)
			k.LSTMForward(rows, h, z, bias, cPrev, c, tanhC, y, h)
		})
	})
}

func BenchmarkLSTMBackward(b *testing.B) {
	eachPath(b, func(b *testing.B, k Kernels) {
		const rows, h = 32, hidden1
		z, start, dy, dh := noise(rows*4*h), noise(rows*4*h), noise(rows*h), noise(rows*h)
		cPrev, tanhC, dc := noise(rows*h), noise(rows*h), noise(rows*h)
		measure(b, rows*h, "Gcells/s", func() {
			copy(z, start)
			k.LSTMBackward(rows, h, z, dy, h, dh, cPrev, tanhC, dc)
		})
	})
}

// BenchmarkLayers runs the element-wise kernels over the activations of a batch of 32.
func BenchmarkLayers(b *testing.B) {
	const (
		rows = window * 32
		n    = 2 * hidden1
		d, f = 64, 39 // an embedding
		v    = 4000
	)
	x, y, z := noise(rows*n), noise(rows*n), make([]float32, rows*n)
	p, q, r := noise(n), noise(n), noise(n)
	logZ := make([]float32, rows*5)
	ids := make([]int32, rows*f)
	rng := rand.New(rand.NewPCG(3, 4))
	for i := range ids {
		ids[i] = rng.Int32N(v)
	}
	table := noise(v * d)
	for _, c := range []struct {
		name     string
		elements int
		call     func(k Kernels)
	}{
		{"Softmax", rows * dense, func(k Kernels) { k.Softmax(rows*5, 59, x, z, logZ) }},
		{"AddBiasReLU", rows * dense, func(k Kernels) { k.AddBiasReLU(rows, dense, z, p) }},
		{"ReLUBackward", rows * dense, func(k Kernels) { k.ReLUBackward(rows, dense, x, y, z, p) }},
		{"ColumnSums", rows * n, func(k Kernels) { k.ColumnSums(rows, n, x, nil, p, nil) }},
		{"ColumnDots", rows * n, func(k Kernels) { k.ColumnSums(rows, n, x, y, p, q) }},
		{"Affine", rows * n, func(k Kernels) { k.Affine(rows, n, x, p, q, z) }},
		{"Affine2", rows * n, func(k Kernels) { k.Affine2(rows, n, x, y, p, q, r, z) }},
		{"Mul", rows * n, func(k Kernels) { k.Mul(x, y, z) }},
		{"Add", rows * n, func(k Kernels) { k.Add(x, y, z) }},
		{"Gather", rows * f * d, func(k Kernels) { k.Gather(rows, f, d, ids, table, z) }},
		{"Scatter", rows * f * d, func(k Kernels) { k.Scatter(rows, f, d, ids, x, table) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			eachPath(b, func(b *testing.B, k Kernels) {
				measure(b, float64(c.elements), "Gvalues/s", func() {
					c.call(k)
				})
			})
		})
	}
}

// BenchmarkAdam updates all weights of the paper's network.
func BenchmarkAdam(b *testing.B) {
	eachPath(b, func(b *testing.B, k Kernels) {
		const n = 717_627
		w, g, m, v := noise(n), noise(n), noise(n), make([]float32, n)
		measure(b, n, "Gvalues/s", func() {
			k.Adam(w, g, m, v, 1e-4, 1, .9, .999, 1e-7)
		})
	})
}
