package rnn

import (
	"errors"
	"math"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"k8ntext/model/device"
)

// Positions adds to each row of x [R x D] the row of table [W x D] of its place in the window: what a
// layer without order knows of order (Vaswani et al., 2017). It does not run on an accelerator.
func (g *Graph) Positions(x, table *gorgonia.Node) (*gorgonia.Node, error) {
	const name = "Positions"
	rows := g.Rows()
	if err := errors.Join(g.onHost(name), check(name, "x", x, rows, -1)); err != nil {
		return nil, err
	}
	n := x.Shape()[1]
	if err := check(name, "table", table, g.o.Window, n); err != nil {
		return nil, err
	}
	out, y := g.memory.dense(rows, n)
	var dx, dTable []float32
	grads := make([]*tensor.Dense, 2)
	if g.o.Training {
		grads[0], dx = g.memory.dense(rows, n)
		grads[1], dTable = g.memory.dense(g.o.Window, n)
	}
	return g.add(layer{
		name: name, in: gorgonia.Nodes{x, table}, out: out, grads: grads,
		forward: func(in []gorgonia.Value) error {
			x, table := floats(in[0]), floats(in[1])
			for r := range rows {
				t := r / g.o.Batch
				g.o.Kernels.Add(x[r*n:(r+1)*n], table[t*n:(t+1)*n], y[r*n:(r+1)*n])
			}
			return nil
		},
		backward: func(_ []gorgonia.Value, dOut gorgonia.Value) {
			copy(dx, floats(dOut))
			clear(dTable)
			of := g.o.Batch * n
			for t := range g.o.Window {
				g.o.Kernels.ColumnSums(g.o.Batch, n, dx[t*of:(t+1)*of], nil, dTable[t*n:(t+1)*n], nil)
			}
		},
	})
}

// FeedForward returns x + max(x*first + bias, 0)*second for x [R x D], first [D x H], bias [H] and second
// [H x D]: the second half of a Transformer's block, to be followed by a normalisation. It does not run on
// an accelerator.
func (g *Graph) FeedForward(x, first, bias, second *gorgonia.Node) (*gorgonia.Node, error) {
	const name = "FeedForward"
	rows := g.Rows()
	err := errors.Join(g.onHost(name), check(name, "x", x, rows, -1), check(name, "bias", bias, -1))
	if err != nil {
		return nil, err
	}
	n, hidden := x.Shape()[1], bias.Shape()[0]
	if err := errors.Join(check(name, "first kernel", first, n, hidden), check(name, "second kernel", second, hidden, n)); err != nil {
		return nil, err
	}
	l := &feedForward{g: g, rows: rows, n: n, hidden: hidden}
	var out *tensor.Dense
	out, l.y = g.memory.dense(rows, n)
	grads := make([]*tensor.Dense, 4)
	var dFirst, dSecond []float32
	if g.o.Training {
		grads[0], l.dx = g.memory.dense(rows, n)
		grads[1], dFirst = g.memory.dense(n, hidden)
		grads[2], l.dBias = g.memory.dense(hidden)
		grads[3], dSecond = g.memory.dense(hidden, n)
		l.dh = g.memory.floats(rows * hidden)
	}
	l.h = g.memory.floats(rows * hidden)
	l.first, l.second = newLinear(g, n, hidden, dFirst), newLinear(g, hidden, n, dSecond)
	return g.add(layer{
		name: name, in: gorgonia.Nodes{x, first, bias, second}, out: out, forward: l.forward, grads: grads, backward: l.backward,
	})
}

type feedForward struct {
	g               *Graph
	rows, n, hidden int
	first, second   linear
	h, y            []float32 // h is the hidden layer's output
	dh, dx, dBias   []float32
}

func (l *feedForward) forward(in []gorgonia.Value) error {
	x := floats(in[0])
	l.first.forward(floats(in[1]), x, l.h, false)
	l.g.o.Kernels.AddBiasReLU(l.rows, l.hidden, l.h, floats(in[2]))
	copy(l.y, x)
	l.second.forward(floats(in[3]), l.h, l.y, true)
	return nil
}

func (l *feedForward) backward(in []gorgonia.Value, dOut gorgonia.Value) {
	dy := floats(dOut)
	l.second.backward(l.h, dy, l.dh, false)
	clear(l.dBias)
	l.g.o.Kernels.ReLUBackward(l.rows, l.hidden, l.h, l.dh, l.dh, l.dBias)
	copy(l.dx, dy)
	l.first.backward(floats(in[0]), l.dh, l.dx, true)
}

// SelfAttention returns x + concat(heads)*output for x [R x D]: each head looks with D/heads columns of
// the queries, keys and values x*qkv [D x 3D] from every place of a window at all those that are present
// [R], in both directions (Vaswani et al., 2017). It is to be followed by a normalisation, and does not run
// on an accelerator.
func (g *Graph) SelfAttention(x, present, qkv, output *gorgonia.Node, heads int) (*gorgonia.Node, error) {
	const name = "SelfAttention"
	rows := g.Rows()
	if err := errors.Join(g.onHost(name), check(name, "x", x, rows, -1), check(name, "present", present, rows)); err != nil {
		return nil, err
	}
	n := x.Shape()[1]
	err := errors.Join(check(name, "qkv", qkv, n, 3*n), check(name, "output", output, n, n))
	if heads < 1 || n%heads != 0 {
		err = errors.Join(err, errors.New("rnn: SelfAttention: the columns of x do not divide into that many heads"))
	}
	if err != nil {
		return nil, err
	}
	l := &selfAttention{g: g, n: n, heads: heads, size: n / heads, scale: float32(1 / math.Sqrt(float64(n/heads)))}
	var out *tensor.Dense
	out, l.y = g.memory.dense(rows, n)
	grads := make([]*tensor.Dense, 4)
	var dQKV, dOutput []float32
	if g.o.Training {
		grads[0], l.dx = g.memory.dense(rows, n)
		grads[2], dQKV = g.memory.dense(n, 3*n)
		grads[3], dOutput = g.memory.dense(n, n)
		l.dMixed, l.dProjected = g.memory.floats(rows*n), g.memory.floats(rows*3*n)
	}
	l.projected, l.mixed = g.memory.floats(rows*3*n), g.memory.floats(rows*n)
	l.project, l.output = newLinear(g, n, 3*n, dQKV), newLinear(g, n, n, dOutput)
	l.windows = make([]attended, g.o.Batch)
	square := g.o.Window * g.o.Window
	for i := range l.windows {
		w := &l.windows[i]
		w.logZ = g.memory.floats(g.o.Window)
		w.weights = g.memory.floats(square)
		if g.o.Training {
			w.weights, w.dWeights = g.memory.floats(heads*square), g.memory.floats(square)
		}
	}
	return g.add(layer{
		name: name, in: gorgonia.Nodes{x, present, qkv, output}, out: out, forward: l.forward, grads: grads, backward: l.backward,
	})
}

type selfAttention struct {
	g               *Graph
	n, heads, size  int
	scale           float32
	project, output linear
	projected       []float32 // queries, keys and values [R x 3D]
	mixed, y        []float32 // values of all heads as they are attended to [R x D]
	windows         []attended

	dx, dMixed, dProjected []float32
	present                []float32 // of the run at hand
}

// attended is what one window needs for itself.
type attended struct {
	weights        []float32 // W x W of each head; of one head without training
	dWeights, logZ []float32
	a, b           device.Packed
}

func (l *selfAttention) forward(in []gorgonia.Value) error {
	x := floats(in[0])
	l.present = floats(in[1])
	l.project.forward(floats(in[2]), x, l.projected, false)
	l.g.o.Workers.do(len(l.windows), l.forwardWindow)
	copy(l.y, x)
	l.output.forward(floats(in[3]), l.mixed, l.y, true)
	return nil
}

// head is where the queries, keys and values of a head of a window begin, and its values as mixed.
func (l *selfAttention) head(window, head int) (q, k, v, mixed int) {
	q = window*3*l.n + head*l.size
	return q, q + l.n, q + 2*l.n, window*l.n + head*l.size
}

func (l *selfAttention) weights(w *attended, head int) []float32 {
	square := l.g.o.Window * l.g.o.Window
	if !l.g.o.Training {
		head = 0
	}
	return w.weights[head*square : (head+1)*square]
}

func (l *selfAttention) forwardWindow(window int) {
	kernels, w := l.g.o.Kernels, &l.windows[window]
	length, batch := l.g.o.Window, l.g.o.Batch
	next, wide := batch*l.n, batch*3*l.n // from one place of the window to the next
	for head := range l.heads {
		q, k, v, mixed := l.head(window, head)
		p := l.weights(w, head)
		kernels.Pack(&w.a, l.size, length, l.projected[k:], 1, wide)
		kernels.Gemm(length, l.projected[q:], wide, 1, &w.a, 0, l.size, p, length, false)
		for i := range p {
			p[i] *= l.scale
			if l.present[i%length*batch+window] == 0 {
				p[i] = -math.MaxFloat32
			}
		}
		kernels.Softmax(length, length, p, p, w.logZ)
		kernels.Pack(&w.b, length, l.size, l.projected[v:], wide, 1)
		kernels.Gemm(length, p, length, 1, &w.b, 0, length, l.mixed[mixed:], next, false)
	}
}

func (l *selfAttention) backward(in []gorgonia.Value, dOut gorgonia.Value) {
	dy := floats(dOut)
	l.output.backward(l.mixed, dy, l.dMixed, false)
	l.g.o.Workers.do(len(l.windows), l.backwardWindow)
	copy(l.dx, dy)
	l.project.backward(floats(in[0]), l.dProjected, l.dx, true)
}

func (l *selfAttention) backwardWindow(window int) {
	kernels, w := l.g.o.Kernels, &l.windows[window]
	length, batch := l.g.o.Window, l.g.o.Batch
	next, wide := batch*l.n, batch*3*l.n
	for head := range l.heads {
		q, k, v, mixed := l.head(window, head)
		p, dp := l.weights(w, head), w.dWeights
		// Values, then weights: mixed = p*values.
		kernels.Pack(&w.a, length, l.size, l.dMixed[mixed:], next, 1)
		kernels.Gemm(length, p, 1, length, &w.a, 0, length, l.dProjected[v:], wide, false)
		kernels.Pack(&w.b, l.size, length, l.projected[v:], 1, wide)
		kernels.Gemm(length, l.dMixed[mixed:], next, 1, &w.b, 0, l.size, dp, length, false)
		// The softmax and its scaled argument.
		for i := range length {
			p, dp := p[i*length:(i+1)*length], dp[i*length:(i+1)*length]
			var sum float32
			for j := range p {
				sum += p[j] * dp[j]
			}
			for j := range p {
				dp[j] = p[j] * (dp[j] - sum) * l.scale
				if l.present[j*batch+window] == 0 {
					dp[j] = 0
				}
			}
		}
		// Queries and keys.
		kernels.Pack(&w.a, length, l.size, l.projected[k:], wide, 1)
		kernels.Gemm(length, dp, length, 1, &w.a, 0, length, l.dProjected[q:], wide, false)
		kernels.Pack(&w.b, length, l.size, l.projected[q:], wide, 1)
		kernels.Gemm(length, dp, 1, length, &w.b, 0, length, l.dProjected[k:], wide, false)
	}
}
