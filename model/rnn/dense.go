package rnn

import (
	"errors"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"k8ntext/model/device"
)

// DenseReLU returns max(x*kernel + bias, 0) for x [R x I], kernel [I x O] and bias [O].
func (g *Graph) DenseReLU(x, kernel, bias *gorgonia.Node) (*gorgonia.Node, error) {
	const name = "DenseReLU"
	rows := g.Rows()
	if err := errors.Join(check(name, "x", x, rows, -1), check(name, "kernel", kernel, -1, -1)); err != nil {
		return nil, err
	}
	l := &denseReLU{g: g, rows: rows, in: x.Shape()[1], units: kernel.Shape()[1]}
	if err := errors.Join(check(name, "kernel", kernel, l.in, l.units), check(name, "bias", bias, l.units)); err != nil {
		return nil, err
	}
	var out *tensor.Dense
	out, l.y = g.memory.dense(rows, l.units)
	grads := make([]*tensor.Dense, 3)
	if g.o.Training {
		grads[0], l.dx = g.memory.dense(rows, l.in)
		grads[1], l.dKernel = g.memory.dense(l.in, l.units)
		grads[2], l.dBias = g.memory.dense(l.units)
	}
	if a := g.o.Accelerator; a != nil {
		d := a.dense(l)
		return g.add(layer{
			name: name, in: gorgonia.Nodes{x, kernel, bias}, out: out, forward: d.forward,
			grads: grads, backward: d.backward,
		})
	}
	if g.o.Training {
		l.dz = g.memory.floats(rows * l.units)
		l.blocks = make([]denseBlock, (rows+blockRows-1)/blockRows)
		for i := range l.blocks {
			l.blocks[i].dBias = g.memory.floats(l.units)
		}
	}
	l.forwardPart, l.blockPart, l.kernelPart = l.forwardRows, l.backwardBlock, l.kernelGradientRows
	return g.add(layer{
		name: name, in: gorgonia.Nodes{x, kernel, bias}, out: out, forward: l.forward,
		grads: grads, backward: l.backward,
	})
}

type denseReLU struct {
	g               *Graph
	rows, in, units int

	y, dx, dKernel, dBias []float32
	dz                    []float32 // gradient before the ReLU [R x O]
	blocks                []denseBlock

	version uint64 // of the weights packed below
	w, wT   device.Packed

	// Inputs of the run at hand.
	x, kernel, bias, dy []float32

	forwardPart, blockPart, kernelPart func(part int)
}

type denseBlock struct {
	dz    device.Packed
	dBias []float32
}

func (l *denseReLU) bind(in []gorgonia.Value) {
	l.x, l.kernel, l.bias = floats(in[0]), floats(in[1]), floats(in[2])
}

func (l *denseReLU) forward(in []gorgonia.Value) error {
	l.bind(in)
	if l.version != l.g.version {
		l.version = l.g.version
		l.g.o.Kernels.Pack(&l.w, l.in, l.units, l.kernel, l.units, 1)
	}
	l.g.o.Workers.do(l.g.o.Workers.count(), l.forwardPart)
	return nil
}

func (l *denseReLU) forwardRows(part int) {
	from, end := span(l.rows, part, l.g.o.Workers.count())
	for from < end {
		to := min(from+blockRows, end)
		y := l.y[from*l.units : to*l.units]
		l.g.o.Kernels.Gemm(to-from, l.x[from*l.in:], l.in, 1, &l.w, 0, l.in, y, l.units, false)
		l.g.o.Kernels.AddBiasReLU(to-from, l.units, y, l.bias)
		from = to
	}
}

func (l *denseReLU) backward(_ []gorgonia.Value, dOut gorgonia.Value) {
	l.dy = floats(dOut)
	l.g.o.Kernels.Pack(&l.wT, l.units, l.in, l.kernel, 1, l.units)
	l.g.o.Workers.do(len(l.blocks), l.blockPart)
	clear(l.dBias)
	for i := range l.blocks {
		l.g.o.Kernels.Add(l.dBias, l.blocks[i].dBias, l.dBias)
	}
	l.g.o.Workers.do(l.g.o.Workers.count(), l.kernelPart)
}

func (l *denseReLU) backwardBlock(part int) {
	k, block := l.g.o.Kernels, &l.blocks[part]
	from, to := part*blockRows, min((part+1)*blockRows, l.rows)
	n, rows := l.units, to-from
	dz := l.dz[from*n : to*n]
	clear(block.dBias)
	k.ReLUBackward(rows, n, l.y[from*n:to*n], l.dy[from*n:to*n], dz, block.dBias)
	k.Gemm(rows, dz, n, 1, &l.wT, 0, n, l.dx[from*l.in:], l.in, false)
	k.Pack(&block.dz, rows, n, dz, n, 1)
}

// kernelGradientRows computes some rows of the kernel's gradient: one row per input.
func (l *denseReLU) kernelGradientRows(part int) {
	from, to := span(l.in, part, l.g.o.Workers.count())
	if from == to {
		return
	}
	for i := range l.blocks {
		dz := &l.blocks[i].dz
		l.g.o.Kernels.Gemm(to-from, l.x[i*blockRows*l.in+from:], 1, l.in, dz, 0, dz.K, l.dKernel[from*l.units:], l.units, i > 0)
	}
}
