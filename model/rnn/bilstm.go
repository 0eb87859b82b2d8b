package rnn

import (
	"errors"
	"sync"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"k8ntext/model/device"
)

// LSTMWeights are the weights of one direction, as Keras lays them out: gates in the order input,
// forget, cell, output, each H columns wide, and one bias per gate.
type LSTMWeights struct {
	Kernel    *gorgonia.Node // [F x 4H]
	Recurrent *gorgonia.Node // [H x 4H]
	Bias      *gorgonia.Node // [4H]
}

// BiLSTM reads x [R x F] forwards and backwards in time and returns y [R x 2H], the forward
// direction's outputs beside the backward direction's. Where present [R] is zero, output and state
// are zero. With input gradients (inputGradient) x is differentiated too: leave it out for the first
// layer of a network.
func (g *Graph) BiLSTM(x, present *gorgonia.Node, forward, backward LSTMWeights, inputGradient bool) (*gorgonia.Node, error) {
	return g.lstm("BiLSTM", x, present, []LSTMWeights{forward, backward}, inputGradient)
}

// LSTM is the forward direction of a [Graph.BiLSTM] alone: y [R x H]. It does not run on an accelerator.
func (g *Graph) LSTM(x, present *gorgonia.Node, forward LSTMWeights, inputGradient bool) (*gorgonia.Node, error) {
	const name = "LSTM"
	if err := g.onHost(name); err != nil {
		return nil, err
	}
	return g.lstm(name, x, present, []LSTMWeights{forward}, inputGradient)
}

// lstm makes a layer of as many directions as it is given weights.
func (g *Graph) lstm(name string, x, present *gorgonia.Node, weights []LSTMWeights, inputGradient bool) (*gorgonia.Node, error) {
	l := &biLSTM{g: g, window: g.o.Window, batch: g.o.Batch, dir: make([]direction, len(weights))}
	rows := g.Rows()
	err := errors.Join(check(name, "x", x, rows, -1), check(name, "present", present, rows),
		check(name, "forward recurrent kernel", weights[0].Recurrent, -1, -1))
	if err != nil {
		return nil, err
	}
	l.in, l.units = x.Shape()[1], weights[0].Recurrent.Shape()[0]
	l.wide = len(weights) * l.units
	in := gorgonia.Nodes{x, present}
	for _, w := range weights {
		err = errors.Join(err, check(name, "kernel", w.Kernel, l.in, 4*l.units),
			check(name, "recurrent kernel", w.Recurrent, l.units, 4*l.units), check(name, "bias", w.Bias, 4*l.units))
		in = append(in, w.Kernel, w.Recurrent, w.Bias)
	}
	if err != nil {
		return nil, err
	}

	var out *tensor.Dense
	out, l.y = g.memory.dense(rows, l.wide)
	grads := make([]*tensor.Dense, len(in))
	if g.o.Training {
		if inputGradient {
			grads[0], l.dx = g.memory.dense(rows, l.in)
		}
		for d := range l.dir {
			dir, at := &l.dir[d], 2+3*d
			grads[at], dir.dKernel = g.memory.dense(l.in, 4*l.units)
			grads[at+1], dir.dRecurrent = g.memory.dense(l.units, 4*l.units)
			grads[at+2], dir.dBias = g.memory.dense(4 * l.units)
		}
	}
	if a := g.o.Accelerator; a != nil {
		d := a.lstm(l)
		return g.add(layer{name: name, in: in, out: out, forward: d.forward, grads: grads, backward: d.backward})
	}
	l.allocate()
	l.forwardPart, l.backwardPart = l.forwardDirection, l.backwardDirection
	return g.add(layer{
		name: name, in: in, out: out, forward: l.forward,
		grads: grads, backward: l.backward,
	})
}

// blockRows is about how many rows make a block of positions: enough for the matrix kernel, few enough
// to stay in the cache from the input projection to the recurrence, and backwards from the recurrence to
// the gradients of weights and input.
const blockRows = 192

type biLSTM struct {
	g                        *Graph
	window, batch, in, units int
	wide                     int // H for each direction: columns of y
	steps                    int // positions of a block, which are computed together where possible
	blocks                   []inputBlock

	dir []direction // forward and, if there are two, backward in time
	y   []float32   // [R x wide]
	dx  []float32   // [R x F]; nil if not wanted

	// Inputs of the run at hand.
	x, present, dy []float32
	padded         bool // some row is not present

	forwardPart, backwardPart func(part int)
}

// inputBlock is the part of a block of positions in the input's gradient, to which all directions
// contribute.
type inputBlock struct {
	sync.Mutex
	written bool // by one direction
}

// direction is one of the LSTMs. In a training graph gates, c and tanhC hold every position; else
// gates holds `steps` positions, c the last two and tanhC one.
type direction struct {
	kernel, recurrent, bias    []float32 // of the run at hand
	dKernel, dRecurrent, dBias []float32

	gates, c, tanhC []float32 // gates become gradients of the pre-activations in the backward pass
	zero            []float32 // state before the first position
	dh, dc          []float32 // gradients of the state [B x H]

	version      uint64 // of the weights packed below
	wx, wh       device.Packed
	wxT, whT, dz device.Packed
}

func (l *biLSTM) allocate() {
	l.steps = min(l.window, max(1, blockRows/l.batch))
	l.blocks = make([]inputBlock, (l.window+l.steps-1)/l.steps)
	state := l.batch * l.units
	gates, c, tanhC := l.steps, 2, 1
	if l.g.o.Training {
		gates, c, tanhC = l.window, l.window, l.window
	}
	for d := range l.dir {
		dir := &l.dir[d]
		dir.gates = l.g.memory.floats(gates * 4 * state)
		dir.c = l.g.memory.floats(c * state)
		dir.tanhC = l.g.memory.floats(tanhC * state)
		dir.zero = l.g.memory.floats(state)
		if l.g.o.Training {
			dir.dh = l.g.memory.floats(state)
			dir.dc = l.g.memory.floats(state)
		}
	}
}

func (l *biLSTM) forward(in []gorgonia.Value) error {
	l.bind(in)
	l.g.o.Workers.do(len(l.dir), l.forwardPart)
	return nil
}

func (l *biLSTM) bind(in []gorgonia.Value) {
	l.x, l.present = floats(in[0]), floats(in[1])
	l.padded = false
	for _, p := range l.present {
		if p == 0 {
			l.padded = true
			break
		}
	}
	for d := range l.dir {
		dir, w := &l.dir[d], in[2+3*d:]
		dir.kernel, dir.recurrent, dir.bias = floats(w[0]), floats(w[1]), floats(w[2])
	}
}

// position is the position in time of step s of a direction, and before is that of the step before.
func (l *biLSTM) position(d, s int) (t, before int) {
	if d == 0 {
		return s, s - 1
	}
	return l.window - 1 - s, l.window - s
}

func (l *biLSTM) forwardDirection(d int) {
	k, dir := l.g.o.Kernels, &l.dir[d]
	batch, in, units := l.batch, l.in, l.units
	wide, state := 4*units, batch*units
	if dir.version != l.g.version {
		dir.version = l.g.version
		k.Pack(&dir.wx, in, wide, dir.kernel, wide, 1)
		k.Pack(&dir.wh, units, wide, dir.recurrent, wide, 1)
	}
	y := l.y[d*units:]
	cBefore := dir.zero
	first := 0 // position of the first row in gates
	for s := range l.window {
		t, before := l.position(d, s)
		if s%l.steps == 0 {
			from, to := t, min(t+l.steps, l.window)
			if d == 1 {
				from, to = max(t+1-l.steps, 0), t+1
			}
			at := 0
			if l.g.o.Training {
				at = from
			}
			first = from - at
			k.Gemm((to-from)*batch, l.x[from*batch*in:], in, 1, &dir.wx, 0, in, dir.gates[at*batch*wide:], wide, false)
		}
		z := dir.gates[(t-first)*batch*wide:]
		if s > 0 {
			k.Gemm(batch, y[before*batch*l.wide:], l.wide, 1, &dir.wh, 0, units, z, wide, true)
		}
		c, tanhC := dir.c[(s&1)*state:], dir.tanhC
		if l.g.o.Training {
			c, tanhC = dir.c[t*state:], dir.tanhC[t*state:]
		}
		k.LSTMForward(batch, units, z[:batch*wide], dir.bias, cBefore[:state], c[:state], tanhC[:state], y[t*batch*l.wide:], l.wide)
		if l.padded {
			for b := range batch {
				if row := t*batch + b; l.present[row] == 0 {
					clear(c[b*units : (b+1)*units])
					clear(y[row*l.wide : row*l.wide+units])
				}
			}
		}
		cBefore = c
	}
}

func (l *biLSTM) backward(in []gorgonia.Value, dOut gorgonia.Value) {
	l.dy = floats(dOut)
	for i := range l.blocks {
		l.blocks[i].written = false
	}
	l.g.o.Workers.do(len(l.dir), l.backwardPart)
}

// backwardDirection goes back in time. Whenever it has passed all positions of a block it takes this
// block's part of all other gradients, while the gradients of the pre-activations are in the cache.
func (l *biLSTM) backwardDirection(d int) {
	k, dir := l.g.o.Kernels, &l.dir[d]
	batch, units := l.batch, l.units
	wide, state := 4*units, batch*units
	k.Pack(&dir.whT, wide, units, dir.recurrent, 1, wide)
	if l.dx != nil {
		k.Pack(&dir.wxT, wide, l.in, dir.kernel, 1, wide)
	}
	clear(dir.dh)
	clear(dir.dc)
	clear(dir.dKernel)
	clear(dir.dRecurrent)
	clear(dir.dBias)
	for s := l.window - 1; s >= 0; s-- {
		t, before := l.position(d, s)
		z := dir.gates[t*batch*wide : (t+1)*batch*wide]
		cBefore := dir.zero
		if s > 0 {
			cBefore = dir.c[before*state : (before+1)*state]
		}
		k.LSTMBackward(batch, units, z, l.dy[t*batch*l.wide+d*units:], l.wide, dir.dh, cBefore, dir.tanhC[t*state:(t+1)*state], dir.dc)
		if l.padded {
			// The state is the constant zero here: nothing flows to the step before. (dh is
			// computed from z below.)
			for b := range batch {
				if l.present[t*batch+b] == 0 {
					clear(z[b*wide : (b+1)*wide])
					clear(dir.dc[b*units : (b+1)*units])
				}
			}
		}
		if s > 0 {
			k.Gemm(batch, z, wide, 1, &dir.whT, 0, wide, dir.dh, units, false)
		}
		block := t / l.steps
		from, to := block*l.steps, min((block+1)*l.steps, l.window)
		if d == 0 && t == from || d == 1 && t == to-1 {
			l.weightGradients(d, from, to)
			l.inputGradient(d, from, to)
		}
	}
}

// weightGradients adds what positions from to to contribute: the products of inputs and former outputs
// with the gradients of the pre-activations.
func (l *biLSTM) weightGradients(d, from, to int) {
	k, dir := l.g.o.Kernels, &l.dir[d]
	batch, in, units := l.batch, l.in, l.units
	wide, rows := 4*units, (to-from)*batch
	z := dir.gates[from*batch*wide : to*batch*wide]
	k.Pack(&dir.dz, rows, wide, z, wide, 1)
	k.Gemm(in, l.x[from*batch*in:], 1, in, &dir.dz, 0, rows, dir.dKernel, wide, true)
	k.ColumnSums(rows, wide, z, nil, dir.dBias, nil)

	// The state before row r is the output of row r-batch, or of r+batch backwards in time; at the
	// first step of a direction it is zero.
	y := l.y[d*units:]
	first, last, state := 0, rows, (from-1)*batch
	if d == 1 {
		state = (from + 1) * batch
		if to == l.window {
			last -= batch
		}
	} else if from == 0 {
		first, state = batch, 0
	}
	if first < last {
		k.Gemm(units, y[state*l.wide:], 1, l.wide, &dir.dz, first, last, dir.dRecurrent, wide, true)
	}
}

// inputGradient writes or adds a direction's part of positions from to to. The sum of two parts has the
// same bits whichever comes first.
func (l *biLSTM) inputGradient(d, from, to int) {
	if l.dx == nil {
		return
	}
	dir, block := &l.dir[d], &l.blocks[from/l.steps]
	wide := 4 * l.units
	block.Lock()
	defer block.Unlock()
	l.g.o.Kernels.Gemm((to-from)*l.batch, dir.gates[from*l.batch*wide:], wide, 1, &dir.wxT, 0, wide, l.dx[from*l.batch*l.in:], l.in, block.written)
	block.written = true
}
