package rnn

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"k8ntext/model/device"
	"k8ntext/model/device/opencl"
)

// parameter is one float input of a layer under test.
type parameter struct {
	name  string
	shape []int
	data  []float32
	fixed bool // not differentiated
}

// layerTest builds a layer on a graph and computes it by the reference.
type layerTest struct {
	name       string
	shape      refShape
	parameters []parameter
	loss       bool // the layer's output is a scalar to be differentiated as it is
	host       bool // the layer does not run on an accelerator
	build      func(g *Graph, in []*gorgonia.Node) (*gorgonia.Node, error)
	reference  func(in [][]float64) []float64
}

// layerTests are small layers of odd shapes, with padding if padded. The last two shapes are wider
// than every kernel's vectors and longer than a block of rows.
func layerTests(padded bool) []layerTest {
	var tests []layerTest
	for _, s := range []struct {
		refShape
		in, units int
	}{{refShape{5, 3}, 4, 3}, {refShape{1, 1}, 1, 1}, {refShape{3, 2}, 19, 9}, {refShape{130, 3}, 2, 2}} {
		r := rand.New(rand.NewPCG(uint64(s.in), 7))
		rows := s.window * s.batch
		random := func(name string, scale float64, shape ...int) parameter {
			p := parameter{name: name, shape: shape, data: make([]float32, tensor.Shape(shape).TotalSize())}
			for i := range p.data {
				p.data[i] = float32(scale * r.NormFloat64())
			}
			return p
		}
		present := parameter{name: "present", shape: []int{rows}, data: make([]float32, rows), fixed: true}
		for i := range present.data {
			present.data[i] = 1
			// A short window, a window missing, and a hole.
			if t, b := i/s.batch, i%s.batch; padded && rows > 1 && (b == 0 && t > s.window/2 || b == 1 || b == 2 && t == 1) {
				present.data[i] = 0
			}
		}
		name := func(layer string) string {
			return fmt.Sprintf("%s window %d batch %d in %d units %d", layer, s.window, s.batch, s.in, s.units)
		}
		u := s.units
		tests = append(tests, layerTest{
			name: name("BiLSTM"), shape: s.refShape,
			parameters: []parameter{
				random("x", 1, rows, s.in), present,
				random("forward kernel", .5, s.in, 4*u), random("forward recurrent", .5, u, 4*u), random("forward bias", .5, 4*u),
				random("backward kernel", .5, s.in, 4*u), random("backward recurrent", .5, u, 4*u), random("backward bias", .5, 4*u),
			},
			build: func(g *Graph, in []*gorgonia.Node) (*gorgonia.Node, error) {
				return g.BiLSTM(in[0], in[1], LSTMWeights{in[2], in[3], in[4]}, LSTMWeights{in[5], in[6], in[7]}, true)
			},
			reference: func(in [][]float64) []float64 { return refBiLSTM(s.refShape, in) },
		}, layerTest{
			name: name("DenseReLU"), shape: s.refShape,
			parameters: []parameter{random("x", 1, rows, s.in), random("kernel", 1, s.in, u), random("bias", 1, u)},
			build: func(g *Graph, in []*gorgonia.Node) (*gorgonia.Node, error) {
				return g.DenseReLU(in[0], in[1], in[2])
			},
			reference: func(in [][]float64) []float64 { return refDenseReLU(s.refShape, in) },
		}, layerTest{
			name: name("BatchNorm"), shape: s.refShape,
			parameters: []parameter{random("x", 1, rows, s.in), present, random("gamma", 1, s.in), random("beta", 1, s.in)},
			build: func(g *Graph, in []*gorgonia.Node) (*gorgonia.Node, error) {
				return g.BatchNorm(in[0], in[1], in[2], in[3], Moments{make([]float32, s.in), make([]float32, s.in)})
			},
			reference: func(in [][]float64) []float64 { return refBatchNorm(s.refShape, in) },
		}, focalTest(name("SoftmaxFocal"), s.refShape, s.units, random("logits", 1, rows, 3*s.units), present, r))

		const reach, step = 1, 2
		heads := 2 - s.in%2
		tests = append(tests, layerTest{
			name: name("LSTM"), shape: s.refShape, host: true,
			parameters: []parameter{
				random("x", 1, rows, s.in), present, random("kernel", .5, s.in, 4*u), random("recurrent", .5, u, 4*u), random("bias", .5, 4*u),
			},
			build: func(g *Graph, in []*gorgonia.Node) (*gorgonia.Node, error) {
				return g.LSTM(in[0], in[1], LSTMWeights{in[2], in[3], in[4]}, true)
			},
			reference: func(in [][]float64) []float64 {
				return refLSTM(s.refShape, in[0], in[1], in[2], in[3], in[4], u, false)
			},
		}, layerTest{
			name: name("Neighbours"), shape: s.refShape, host: true,
			parameters: []parameter{random("x", 1, rows, s.in), present},
			build: func(g *Graph, in []*gorgonia.Node) (*gorgonia.Node, error) {
				return g.Neighbours(in[0], in[1], reach, step)
			},
			reference: func(in [][]float64) []float64 { return refNeighbours(s.refShape, in[0], in[1], reach, step) },
		}, layerTest{
			name: name("Positions"), shape: s.refShape, host: true,
			parameters: []parameter{random("x", 1, rows, s.in), random("table", 1, s.window, s.in)},
			build: func(g *Graph, in []*gorgonia.Node) (*gorgonia.Node, error) {
				return g.Positions(in[0], in[1])
			},
			reference: func(in [][]float64) []float64 { return refPositions(s.refShape, in) },
		}, layerTest{
			name: name("FeedForward"), shape: s.refShape, host: true,
			parameters: []parameter{random("x", 1, rows, s.in), random("first", 1, s.in, u), random("bias", 1, u), random("second", 1, u, s.in)},
			build: func(g *Graph, in []*gorgonia.Node) (*gorgonia.Node, error) {
				return g.FeedForward(in[0], in[1], in[2], in[3])
			},
			reference: func(in [][]float64) []float64 { return refFeedForward(s.refShape, in) },
		})
		if s.window < 100 { // central differences of an attention over 130 places take too long
			tests = append(tests, layerTest{
				name: name("SelfAttention"), shape: s.refShape, host: true,
				parameters: []parameter{random("x", 1, rows, s.in), present, random("qkv", .5, s.in, 3*s.in), random("output", 1, s.in, s.in)},
				build: func(g *Graph, in []*gorgonia.Node) (*gorgonia.Node, error) {
					return g.SelfAttention(in[0], in[1], in[2], in[3], heads)
				},
				reference: func(in [][]float64) []float64 { return refSelfAttention(s.refShape, in, heads) },
			})
		}

		const fields = 3
		ids := make([]int32, rows*fields)
		for i := range ids {
			ids[i] = r.Int32N(7)
		}
		tests = append(tests, layerTest{
			name: name("Embedding"), shape: s.refShape,
			parameters: []parameter{random("table", 1, 7, s.in)},
			build: func(g *Graph, in []*gorgonia.Node) (*gorgonia.Node, error) {
				return g.Embedding(g.Ints("ids", ids, rows, fields), in[0])
			},
			reference: func(in [][]float64) []float64 { return refEmbedding(ids, fields, in[0], s.in) },
		})
	}
	return tests
}

// focalTest weighs present rows with 1 or 0.5 and keeps only them in the loss.
func focalTest(name string, s refShape, classes int, logits, present parameter, r *rand.Rand) layerTest {
	const parts = 3
	rows := s.window * s.batch
	weight := parameter{name: "weight", shape: present.shape, data: slices.Clone(present.data), fixed: true}
	targets := make([]int32, rows*parts)
	for i := range targets {
		targets[i] = r.Int32N(int32(classes))
		if i/parts%2 == 1 && i%parts == 0 {
			weight.data[i/parts] /= 2
		}
	}
	return layerTest{
		name: name, shape: s, loss: true,
		parameters: []parameter{logits, weight},
		build: func(g *Graph, in []*gorgonia.Node) (*gorgonia.Node, error) {
			return g.SoftmaxFocal(in[0], g.Ints("targets", targets, rows, parts), in[1])
		},
		reference: func(in [][]float64) []float64 {
			return []float64{refFocal(in[0], targets, in[1], parts)}
		},
	}
}

// TestLayers compares every layer's output with the reference's, and its gradients with central
// differences of the reference, through Gorgonia's own product, sum, differentiation and machine. All
// runs of all kernels and thread counts of one kernel path must agree to the bit, and a second run
// must repeat the first. The same holds on every OpenCL device.
func TestLayers(t *testing.T) {
	var accelerators []*Accelerator
	devices, err := opencl.Devices()
	if err != nil {
		t.Logf("no OpenCL device here: %v", err)
	}
	for _, d := range devices {
		accelerators = append(accelerators, accelerate(t, d))
	}
	for _, padded := range []bool{false, true} {
		for _, l := range layerTests(padded) {
			t.Run(fmt.Sprintf("%s padded %v", l.name, padded), func(t *testing.T) {
				want := numericGradients(l)
				for _, name := range device.Available() {
					k, err := device.Select(name)
					if err != nil {
						t.Fatal(err)
					}
					var first [][]float32
					for _, threads := range []int{1, 2, 3} {
						got := runLayer(t, l, k, threads)
						if first == nil {
							first = got
							compareLayer(t, name, l, got, want)
						} else if !slices.EqualFunc(first, got, slices.Equal[[]float32]) {
							t.Errorf("%s: %d threads give other bits than one", name, threads)
						}
					}
				}
				for _, a := range accelerators {
					if l.host {
						continue
					}
					first, second := runAccelerated(t, l, a), runAccelerated(t, l, a)
					compareLayer(t, a.Device().Name, l, first, want)
					if !slices.EqualFunc(first, second, slices.Equal[[]float32]) {
						t.Errorf("%s: a second run gives other bits than the first", a.Device().Name)
					}
				}
			})
		}
	}
}

func compareLayer(t *testing.T, kernels string, l layerTest, got [][]float32, want [][]float64) {
	t.Helper()
	names := []string{"output"}
	for _, p := range l.parameters {
		if !p.fixed {
			names = append(names, "gradient of "+p.name)
		}
	}
	for i, name := range names {
		if d := relative(got[i], want[i]); !(d < 1e-5) {
			t.Errorf("%s: %s differs by %.2g of its norm", kernels, name, d)
		}
	}
}

// relative is |got-want| / |want|; a gradient of zero must be zero but for rounding.
func relative(got []float32, want []float64) float64 {
	if len(got) != len(want) {
		return math.Inf(1)
	}
	var square, norm float64
	for i, v := range want {
		square += (float64(got[i]) - v) * (float64(got[i]) - v)
		norm += v * v
	}
	return math.Sqrt(square) / max(math.Sqrt(norm), .1)
}

// contraction are the factors whose product with a layer's output is summed up to a scalar.
func contraction(n int) []float32 {
	c := make([]float32, n)
	r := rand.New(rand.NewPCG(3, 4))
	for i := range c {
		c[i] = float32(r.NormFloat64())
	}
	return c
}

// numericGradients returns the reference's output and, for each parameter that is not fixed, the
// gradient of its contraction by central differences.
func numericGradients(l layerTest) [][]float64 {
	in := make([][]float64, len(l.parameters))
	for i, p := range l.parameters {
		for _, v := range p.data {
			in[i] = append(in[i], float64(v))
		}
	}
	y := l.reference(in)
	factors := contraction(len(y))
	if l.loss {
		factors[0] = 1
	}
	value := func() float64 {
		sum := 0.
		for i, v := range l.reference(in) {
			sum += v * float64(factors[i])
		}
		return sum
	}
	out := [][]float64{y}
	const h = 1e-5
	for i, p := range l.parameters {
		if p.fixed {
			continue
		}
		grad := make([]float64, len(in[i]))
		for j, v := range in[i] {
			in[i][j] = v + h
			up := value()
			in[i][j] = v - h
			grad[j] = (up - value()) / (2 * h)
			in[i][j] = v
		}
		out = append(out, grad)
	}
	return out
}

// runLayer returns the output and the gradients, computed twice.
func runLayer(t *testing.T, l layerTest, k device.Kernels, threads int) [][]float32 {
	t.Helper()
	workers := NewWorkers(threads)
	defer workers.Close()
	g := NewGraph(Options{Window: l.shape.window, Batch: l.shape.batch, Kernels: k, Workers: workers, Training: true})
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
		factors := g.Floats("factors", contraction(y.Shape().TotalSize()), y.Shape()...)
		loss = gorgonia.Must(gorgonia.Sum(gorgonia.Must(gorgonia.HadamardProd(y, factors))))
	}
	if err := g.Gradients(loss, wrt...); err != nil {
		t.Fatal(err)
	}
	machine := gorgonia.NewTapeMachine(g.Expr)
	defer machine.Close()
	var results [2][][]float32
	for i := range results {
		if err := machine.RunAll(); err != nil {
			t.Fatal(err)
		}
		out := []float32{}
		switch v := y.Value().(type) {
		case *tensor.Dense:
			out = slices.Clone(v.Float32s())
		case *gorgonia.F32:
			out = append(out, float32(*v))
		}
		results[i] = append(results[i], out)
		for _, n := range wrt {
			grad, err := n.Grad()
			if err != nil {
				t.Fatal(err)
			}
			if !grad.Shape().Eq(n.Shape()) {
				t.Fatalf("gradient of %s has shape %v, want %v", n.Name(), grad.Shape(), n.Shape())
			}
			results[i] = append(results[i], slices.Clone(grad.(*tensor.Dense).Float32s()))
		}
		machine.Reset()
	}
	if !slices.EqualFunc(results[0], results[1], slices.Equal[[]float32]) {
		t.Errorf("%s: a second run gives other bits than the first", k.Name())
	}
	return results[0]
}
