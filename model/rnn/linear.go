package rnn

import "k8ntext/model/device"

// linear is a product with a kernel [in x out], as a part of a layer.
type linear struct {
	g             *Graph
	rows, in, out int
	kernel        []float32 // of the run at hand
	dKernel       []float32 // nil without training

	version uint64 // of the weights packed below
	w, wT   device.Packed
	dy      []device.Packed // of blocks of rows
}

func newLinear(g *Graph, in, out int, dKernel []float32) linear {
	l := linear{g: g, rows: g.Rows(), in: in, out: out, dKernel: dKernel}
	if g.o.Training {
		l.dy = make([]device.Packed, (l.rows+blockRows-1)/blockRows)
	}
	return l
}

// forward computes y = x*kernel, or y += x*kernel if add.
func (l *linear) forward(kernel, x, y []float32, add bool) {
	k, workers := l.g.o.Kernels, l.g.o.Workers
	l.kernel = kernel
	if l.version != l.g.version {
		l.version = l.g.version
		k.Pack(&l.w, l.in, l.out, kernel, l.out, 1)
	}
	workers.do(workers.count(), func(part int) {
		from, end := span(l.rows, part, workers.count())
		for from < end {
			to := min(from+blockRows, end)
			k.Gemm(to-from, x[from*l.in:], l.in, 1, &l.w, 0, l.in, y[from*l.out:], l.out, add)
			from = to
		}
	})
}

// backward computes dKernel = x'*dy and dx = dy*kernel', or dx += dy*kernel' if add.
func (l *linear) backward(x, dy, dx []float32, add bool) {
	k, workers := l.g.o.Kernels, l.g.o.Workers
	k.Pack(&l.wT, l.out, l.in, l.kernel, 1, l.out)
	workers.do(len(l.dy), func(part int) {
		from, to := part*blockRows, min((part+1)*blockRows, l.rows)
		k.Gemm(to-from, dy[from*l.out:], l.out, 1, &l.wT, 0, l.out, dx[from*l.in:], l.in, add)
		k.Pack(&l.dy[part], to-from, l.out, dy[from*l.out:], l.out, 1)
	})
	workers.do(workers.count(), func(part int) {
		from, to := span(l.in, part, workers.count())
		if from == to {
			return
		}
		for i := range l.dy {
			k.Gemm(to-from, x[i*blockRows*l.in+from:], 1, l.in, &l.dy[i], 0, l.dy[i].K, l.dKernel[from*l.out:], l.out, i > 0)
		}
	})
}
