package rnn

import (
	"errors"
	"math"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Keras' defaults for BatchNormalization.
const (
	batchNormEpsilon  = 1e-3
	batchNormMomentum = .99
)

// Moments are the running statistics of a BatchNorm, one value per column. Training moves them in
// place; several graphs may share them as they share weights.
type Moments struct{ Mean, Variance []float32 }

// BatchNorm returns gamma*(x-mean)/sqrt(variance+0.001) + beta per column of x [R x C], as Keras'
// BatchNormalization does. In training mean and variance are those of the rows that are present
// [R], and the running ones move towards them by a hundredth; both variances are the biased one
// (division by n). In evaluation they are the running ones.
func (g *Graph) BatchNorm(x, present, gamma, beta *gorgonia.Node, running Moments) (*gorgonia.Node, error) {
	const name = "BatchNorm"
	rows := g.Rows()
	err := errors.Join(check(name, "x", x, rows, -1), check(name, "present", present, rows))
	if err != nil {
		return nil, err
	}
	n := x.Shape()[1]
	err = errors.Join(check(name, "gamma", gamma, n), check(name, "beta", beta, n))
	if len(running.Mean) != n || len(running.Variance) != n {
		err = errors.Join(err, errors.New("rnn: BatchNorm: want one running mean and variance for each column"))
	}
	if err != nil {
		return nil, err
	}
	l := &batchNorm{g: g, rows: rows, n: n, running: running}
	var out *tensor.Dense
	out, l.y = g.memory.dense(rows, n)
	grads := make([]*tensor.Dense, 4)
	if g.o.Training {
		grads[0], l.dx = g.memory.dense(rows, n)
		grads[2], l.dGamma = g.memory.dense(n)
		grads[3], l.dBeta = g.memory.dense(n)
	}
	training := func(t bool) { l.training = t }
	if a := g.o.Accelerator; a != nil {
		d := a.norm(l)
		return g.add(layer{
			name: name, in: gorgonia.Nodes{x, present, gamma, beta}, out: out, forward: d.forward,
			grads: grads, backward: d.backward, training: training,
		})
	}
	l.a, l.b = g.memory.floats(n), g.memory.floats(n)
	if g.o.Training {
		l.centred = g.memory.floats(rows * n)
		l.mean, l.inverse, l.c = make([]float64, n), make([]float64, n), g.memory.floats(n)
		for i := range l.blocks {
			l.blocks[i].sum, l.blocks[i].dot = g.memory.floats(n), g.memory.floats(n)
		}
		l.ones = g.memory.floats(n)
		for i := range l.ones {
			l.ones[i] = 1
		}
	}
	l.sumPart, l.squarePart, l.scalePart = l.sumBlock, l.squareBlock, l.scaleRows
	l.dotPart, l.inputPart = l.dotBlock, l.inputGradientRows
	return g.add(layer{
		name: name, in: gorgonia.Nodes{x, present, gamma, beta}, out: out, forward: l.forward,
		grads: grads, backward: l.backward, training: training,
	})
}

// batchNormBlocks is the number of blocks of rows that are summed up separately, in float32, before
// the sums of the blocks are added up in float64. It is fixed, so that the sums do not depend on the
// number of threads.
const batchNormBlocks = 16

type batchNorm struct {
	g        *Graph
	rows, n  int
	running  Moments
	training bool

	y, dx, dGamma, dBeta []float32
	// centred is x less the batch's mean. The variance is computed from it in a second pass: the
	// mean of squares less the squared mean would lose all digits of a nearly constant column.
	centred       []float32
	mean, inverse []float64 // inverse is 1/sqrt(variance+epsilon)
	count         float64   // rows present
	blocks        [batchNormBlocks]struct{ sum, dot []float32 }
	ones, a, b, c []float32 // coefficients of an affine map per column

	// Inputs of the run at hand.
	x, present, gamma, beta, dy []float32

	sumPart, squarePart, scalePart, dotPart, inputPart func(part int)
}

// bind takes the inputs of a run and counts the rows that are present.
func (l *batchNorm) bind(in []gorgonia.Value) error {
	l.x, l.present, l.gamma, l.beta = floats(in[0]), floats(in[1]), floats(in[2]), floats(in[3])
	if l.training && !l.g.o.Training {
		return errors.New("a graph built without Training must run with gorgonia.EvalMode")
	}
	l.count = 0
	for _, p := range l.present {
		if p != 0 {
			l.count++
		}
	}
	return nil
}

func (l *batchNorm) forward(in []gorgonia.Value) error {
	if err := l.bind(in); err != nil {
		return err
	}
	workers := l.g.o.Workers
	if !l.training {
		for j := range l.a {
			inverse := 1 / math.Sqrt(float64(l.running.Variance[j])+batchNormEpsilon)
			l.a[j] = float32(float64(l.gamma[j]) * inverse)
			l.b[j] = float32(float64(l.beta[j]) - float64(l.running.Mean[j])*float64(l.gamma[j])*inverse)
		}
		workers.do(workers.count(), l.scalePart)
		return nil
	}
	n := max(l.count, 1)
	workers.do(batchNormBlocks, l.sumPart)
	for j := range l.mean {
		var sum float64
		for i := range l.blocks {
			sum += float64(l.blocks[i].sum[j])
		}
		l.mean[j] = sum / n
		l.b[j] = float32(-l.mean[j])
	}
	workers.do(batchNormBlocks, l.squarePart)
	for j := range l.mean {
		var sum float64
		for i := range l.blocks {
			sum += float64(l.blocks[i].dot[j])
		}
		variance := sum / n
		l.inverse[j] = 1 / math.Sqrt(variance+batchNormEpsilon)
		l.a[j] = float32(float64(l.gamma[j]) * l.inverse[j])
		if l.count > 0 {
			move(&l.running.Mean[j], l.mean[j])
			move(&l.running.Variance[j], variance)
		}
	}
	workers.do(workers.count(), l.scalePart)
	return nil
}

func move(running *float32, batch float64) {
	*running = float32(batchNormMomentum*float64(*running) + (1-batchNormMomentum)*batch)
}

// runs calls f for each run of present rows of a block.
func (l *batchNorm) runs(block int, f func(from, to int)) {
	size := (l.rows + batchNormBlocks - 1) / batchNormBlocks
	end := min((block+1)*size, l.rows)
	for from := min(block*size, end); from < end; {
		if l.present[from] == 0 {
			from++
			continue
		}
		to := from + 1
		for to < end && l.present[to] != 0 {
			to++
		}
		f(from, to)
		from = to
	}
}

func (l *batchNorm) sumBlock(block int) {
	sum := l.blocks[block].sum
	clear(sum)
	l.runs(block, func(from, to int) {
		l.g.o.Kernels.ColumnSums(to-from, l.n, l.x[from*l.n:to*l.n], nil, sum, nil)
	})
}

func (l *batchNorm) squareBlock(block int) {
	sum, dot := l.blocks[block].sum, l.blocks[block].dot
	clear(sum)
	clear(dot)
	l.runs(block, func(from, to int) {
		centred := l.centred[from*l.n : to*l.n]
		l.g.o.Kernels.Affine(to-from, l.n, l.x[from*l.n:to*l.n], l.ones, l.b, centred)
		l.g.o.Kernels.ColumnSums(to-from, l.n, centred, centred, sum, dot)
	})
}

// scaleRows writes the output: from the centred rows in training, else from x. Padding becomes zero:
// it was centred in no block.
func (l *batchNorm) scaleRows(part int) {
	from, to := span(l.rows, part, l.g.o.Workers.count())
	x, b := l.x, l.b
	if l.training {
		x, b = l.centred, l.beta
	}
	l.g.o.Kernels.Affine(to-from, l.n, x[from*l.n:to*l.n], l.a, b, l.y[from*l.n:to*l.n])
	l.clearPadding(from, to, l.y)
}

func (l *batchNorm) clearPadding(from, to int, y []float32) {
	for r := from; r < to; r++ {
		if l.present[r] == 0 {
			clear(y[r*l.n : (r+1)*l.n])
		}
	}
}

func (l *batchNorm) backward(_ []gorgonia.Value, dOut gorgonia.Value) {
	l.dy = floats(dOut)
	workers := l.g.o.Workers
	workers.do(batchNormBlocks, l.dotPart)
	n := max(l.count, 1)
	for j := range l.mean {
		var sum, dot float64
		for i := range l.blocks {
			sum += float64(l.blocks[i].sum[j])
			dot += float64(l.blocks[i].dot[j])
		}
		dot *= l.inverse[j]
		l.dGamma[j], l.dBeta[j] = float32(dot), float32(sum)
		// dx = gamma*inverse*(dy - mean(dy) - xhat*mean(dy*xhat)), with xhat = centred*inverse.
		a := float64(l.gamma[j]) * l.inverse[j]
		l.a[j] = float32(a)
		l.b[j] = float32(-a * dot * l.inverse[j] / n)
		l.c[j] = float32(-a * sum / n)
	}
	workers.do(workers.count(), l.inputPart)
}

func (l *batchNorm) dotBlock(block int) {
	sum, dot := l.blocks[block].sum, l.blocks[block].dot
	clear(sum)
	clear(dot)
	l.runs(block, func(from, to int) {
		l.g.o.Kernels.ColumnSums(to-from, l.n, l.dy[from*l.n:to*l.n], l.centred[from*l.n:to*l.n], sum, dot)
	})
}

func (l *batchNorm) inputGradientRows(part int) {
	from, to := span(l.rows, part, l.g.o.Workers.count())
	n := l.n
	l.g.o.Kernels.Affine2(to-from, n, l.dy[from*n:to*n], l.centred[from*n:to*n], l.a, l.b, l.c, l.dx[from*n:to*n])
	l.clearPadding(from, to, l.dx)
}
