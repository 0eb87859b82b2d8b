package rnn

import (
	"errors"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Neighbours puts beside each row of x [R x F] those of the same window that lie up to reach positions
// before and after it, every step-th: y [R x (2*reach+1)*F], the earliest first. What lies outside of the
// window or is not present [R] is zero. A dense layer on top is a convolution over the window. It does not
// run on an accelerator.
func (g *Graph) Neighbours(x, present *gorgonia.Node, reach, step int) (*gorgonia.Node, error) {
	const name = "Neighbours"
	rows := g.Rows()
	err := errors.Join(g.onHost(name), check(name, "x", x, rows, -1), check(name, "present", present, rows))
	if reach < 0 || step < 1 {
		err = errors.Join(err, errors.New("rnn: Neighbours: reach must be at least 0 and step at least 1"))
	}
	if err != nil {
		return nil, err
	}
	l := &neighbours{g: g, in: x.Shape()[1], reach: reach, step: step}
	l.wide = (2*reach + 1) * l.in
	var out *tensor.Dense
	out, l.y = g.memory.dense(rows, l.wide)
	grads := make([]*tensor.Dense, 2)
	if g.o.Training {
		grads[0], l.dx = g.memory.dense(rows, l.in)
	}
	return g.add(layer{
		name: name, in: gorgonia.Nodes{x, present}, out: out, forward: l.forward, grads: grads, backward: l.backward,
	})
}

type neighbours struct {
	g              *Graph
	in, wide       int
	reach, step    int
	y, dx          []float32
	x, present, dy []float32 // of the run at hand
}

func (l *neighbours) forward(in []gorgonia.Value) error {
	l.x, l.present = floats(in[0]), floats(in[1])
	l.g.o.Workers.do(l.g.o.Window, l.forwardPosition)
	return nil
}

// each calls f with every place of a window beside which place t stands, as it is numbered there.
func (l *neighbours) each(t int, f func(i, other int)) {
	for i := range 2*l.reach + 1 {
		if other := t + (i-l.reach)*l.step; other >= 0 && other < l.g.o.Window {
			f(i, other)
		}
	}
}

func (l *neighbours) forwardPosition(t int) {
	batch := l.g.o.Batch
	clear(l.y[t*batch*l.wide : (t+1)*batch*l.wide])
	l.each(t, func(i, other int) {
		for b := range batch {
			if row := other*batch + b; l.present[row] != 0 {
				copy(l.y[(t*batch+b)*l.wide+i*l.in:][:l.in], l.x[row*l.in:])
			}
		}
	})
}

func (l *neighbours) backward(_ []gorgonia.Value, dOut gorgonia.Value) {
	l.dy = floats(dOut)
	l.g.o.Workers.do(l.g.o.Window, l.backwardPosition)
}

// backwardPosition adds up what place t is in the rows of its neighbours: in that of the place i before
// it, it stands as many places behind the middle.
func (l *neighbours) backwardPosition(t int) {
	batch := l.g.o.Batch
	clear(l.dx[t*batch*l.in : (t+1)*batch*l.in])
	l.each(t, func(i, other int) {
		mirrored := 2*l.reach - i
		for b := range batch {
			if row := t*batch + b; l.present[row] != 0 {
				dx := l.dx[row*l.in : (row+1)*l.in]
				l.g.o.Kernels.Add(dx, l.dy[(other*batch+b)*l.wide+mirrored*l.in:][:l.in], dx)
			}
		}
	})
}
