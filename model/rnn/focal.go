package rnn

import (
	"errors"
	"math"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Keras' defaults for CategoricalFocalCrossentropy (Lin et al., "Focal loss for dense object
// detection", 2017). The formulas below are written out for this gamma.
const (
	focalAlpha = .25
	focalGamma = 2
)

// SoftmaxFocal is the categorical focal cross-entropy of softmaxes: a row of logits [R x K*M] is cut
// into K parts of M values, and part k of row r should choose class targets[r, k] of [R x K]. With
// p the probability of that class, the loss of one part is -alpha*(1-p)^gamma*log(p).
//
// The node is their mean over all rows and parts, weighted by weight [R] and divided by the sum of
// the weights: for weights of 0 and 1 this is Keras' CategoricalFocalCrossentropy on a tensor of
// shape (batch, window, K, M), reduced by its default over every axis but the last and with rows of
// weight 0 masked. If all weights are 0, so is the loss. Targets of rows of weight 0 are not read.
//
// It differs from Keras where p is within 1e-7 of 0 or 1: Keras clips p there, which also stops the
// gradient, and this does not.
func (g *Graph) SoftmaxFocal(logits, targets, weight *gorgonia.Node) (*gorgonia.Node, error) {
	const name = "SoftmaxFocal"
	rows := g.Rows()
	err := errors.Join(check(name, "logits", logits, rows, -1), check(name, "targets", targets, rows, -1),
		check(name, "weight", weight, rows))
	if err != nil {
		return nil, err
	}
	wide, parts := logits.Shape()[1], targets.Shape()[1]
	if parts == 0 || wide%parts != 0 {
		return nil, errors.New("rnn: SoftmaxFocal: the logits of a row do not divide into one part for each target")
	}
	l := &softmaxFocal{g: g, rows: rows, parts: parts, classes: wide / parts, loss: gorgonia.NewF32(0)}
	var dx *tensor.Dense
	dx, l.p = g.memory.dense(rows, wide)
	if a := g.o.Accelerator; a != nil {
		d := a.focal(l)
		return g.add(layer{
			name: name, in: gorgonia.Nodes{logits, targets, weight}, out: l.loss, forward: d.forward,
			grads: []*tensor.Dense{dx, nil, nil}, backward: d.backward,
		})
	}
	l.logZ = g.memory.floats(rows * parts)
	l.slope = g.memory.floats(rows * parts)
	l.sums = make([]float64, focalBlocks)
	l.forwardPart, l.backwardPart = l.forwardBlock, l.backwardBlock
	return g.add(layer{
		name: name, in: gorgonia.Nodes{logits, targets, weight}, out: l.loss, forward: l.forward,
		grads: []*tensor.Dense{dx, nil, nil}, backward: l.backward,
	})
}

// focalBlocks is the fixed number of blocks of rows whose losses are summed up separately.
const focalBlocks = 16

type softmaxFocal struct {
	g                    *Graph
	rows, parts, classes int

	loss  *gorgonia.F32
	p     []float32 // probabilities; the backward pass turns them into the gradient
	logZ  []float32
	slope []float32 // of each part's term of the loss by its log-probability
	sums  []float64
	scale float64 // 1 / (parts * sum of weights)

	// Inputs of the run at hand.
	logits, weight []float32
	targets        []int32
	upstream       float32

	forwardPart, backwardPart func(part int)
}

func (l *softmaxFocal) block(part int) (from, to int) {
	size := (l.rows + focalBlocks - 1) / focalBlocks
	return min(part*size, l.rows), min((part+1)*size, l.rows)
}

func (l *softmaxFocal) bind(in []gorgonia.Value) {
	l.logits, l.targets, l.weight = floats(in[0]), ints(in[1]), floats(in[2])
	l.scale = focalScale(l.weight, l.parts)
}

func (l *softmaxFocal) forward(in []gorgonia.Value) error {
	l.bind(in)
	l.g.o.Workers.do(focalBlocks, l.forwardPart)
	var sum float64
	for _, s := range l.sums {
		sum += s
	}
	*l.loss = gorgonia.F32(sum * l.scale)
	return nil
}

func (l *softmaxFocal) forwardBlock(part int) {
	from, to := l.block(part)
	wide := l.parts * l.classes
	l.g.o.Kernels.Softmax((to-from)*l.parts, l.classes, l.logits[from*wide:to*wide], l.p[from*wide:to*wide], l.logZ[from*l.parts:to*l.parts])
	var sum float64
	for r := from; r < to; r++ {
		weight := float64(l.weight[r])
		if weight == 0 {
			continue
		}
		for i := r * l.parts; i < (r+1)*l.parts; i++ {
			at := i*l.classes + int(l.targets[i])
			logP, p := float64(l.logits[at])-float64(l.logZ[i]), float64(l.p[at])
			sum += weight * focal(logP, p)
			l.slope[i] = float32(weight * l.scale * focalSlope(logP, p))
		}
	}
	l.sums[part] = sum
}

func (l *softmaxFocal) backward(_ []gorgonia.Value, dOut gorgonia.Value) {
	l.upstream = float32(*dOut.(*gorgonia.F32))
	l.g.o.Workers.do(focalBlocks, l.backwardPart)
}

// backwardBlock uses d log(p_y) / d x_j = [j = y] - p_j.
func (l *softmaxFocal) backwardBlock(part int) {
	from, to := l.block(part)
	for r := from; r < to; r++ {
		if l.weight[r] == 0 {
			clear(l.p[r*l.parts*l.classes : (r+1)*l.parts*l.classes])
			continue
		}
		for i := r * l.parts; i < (r+1)*l.parts; i++ {
			slope := l.slope[i] * l.upstream
			p := l.p[i*l.classes : (i+1)*l.classes]
			for j := range p {
				p[j] *= -slope
			}
			p[l.targets[i]] += slope
		}
	}
}

// focal is the loss of one part whose right class has probability p, and focalSlope its derivative
// by log(p).
func focal(logP, p float64) float64 { return -focalAlpha * (1 - p) * (1 - p) * logP }

func focalSlope(logP, p float64) float64 {
	q := 1 - p
	return -focalAlpha * (q*q - focalGamma*q*p*logP)
}

// focalScale is the factor from the weighted sum of the losses of all parts to their mean.
func focalScale(weight []float32, parts int) float64 {
	var sum float64
	for _, w := range weight {
		sum += float64(w)
	}
	if sum == 0 {
		return 0
	}
	return 1 / (sum * float64(parts))
}

// FocalLoss is the value of [Graph.SoftmaxFocal] for log-probabilities [R x parts*classes] that are
// known already.
func FocalLoss(logP []float32, targets []int32, weight []float32, parts, classes int) float64 {
	var sum float64
	for r, w := range weight {
		if w == 0 {
			continue
		}
		for i := r * parts; i < (r+1)*parts; i++ {
			lp := float64(logP[i*classes+int(targets[i])])
			sum += float64(w) * focal(lp, math.Exp(lp))
		}
	}
	return sum * focalScale(weight, parts)
}

// LogSoftmax returns the logarithm of the softmax of each of the given number of equal parts of every
// row of logits [R x parts*M]. It is for evaluation and has no gradient.
func (g *Graph) LogSoftmax(logits *gorgonia.Node, parts int) (*gorgonia.Node, error) {
	rows := g.Rows()
	if err := check("LogSoftmax", "logits", logits, rows, -1); err != nil {
		return nil, err
	}
	wide := logits.Shape()[1]
	if parts < 1 || wide%parts != 0 {
		return nil, errors.New("rnn: LogSoftmax: the logits of a row do not divide into equal parts")
	}
	l := &logSoftmax{g: g, rows: rows, parts: parts, classes: wide / parts}
	var out *tensor.Dense
	out, l.y = g.memory.dense(rows, wide)
	if a := g.o.Accelerator; a != nil {
		d := &acceleratedLogSoftmax{l, a, a.session.Kernel("log_softmax")}
		return g.add(layer{name: "LogSoftmax", in: gorgonia.Nodes{logits}, out: out, forward: d.forward})
	}
	l.logZ = g.memory.floats(rows * parts)
	l.forwardPart = l.forwardRows
	return g.add(layer{name: "LogSoftmax", in: gorgonia.Nodes{logits}, out: out, forward: l.forward})
}

type logSoftmax struct {
	g                    *Graph
	rows, parts, classes int
	x, y, logZ           []float32
	forwardPart          func(part int)
}

func (l *logSoftmax) forward(in []gorgonia.Value) error {
	l.x = floats(in[0])
	l.g.o.Workers.do(l.g.o.Workers.count(), l.forwardPart)
	return nil
}

func (l *logSoftmax) forwardRows(part int) {
	from, to := span(l.rows, part, l.g.o.Workers.count())
	wide := l.parts * l.classes
	x, y, logZ := l.x[from*wide:to*wide], l.y[from*wide:to*wide], l.logZ[from*l.parts:to*l.parts]
	l.g.o.Kernels.Softmax((to-from)*l.parts, l.classes, x, y, logZ)
	for i, z := range logZ {
		x, y := x[i*l.classes:(i+1)*l.classes], y[i*l.classes:(i+1)*l.classes]
		for j := range y {
			y[j] = x[j] - z
		}
	}
}
