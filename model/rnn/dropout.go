package rnn

import (
	"errors"
	"math"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Dropout sets in training each value of x to zero with probability rate, 0 <= rate < 1, and divides
// the others by 1-rate; in evaluation it is the identity. Which values are dropped is a function of
// seed, [Graph.Step] and the value's index only.
func (g *Graph) Dropout(x *gorgonia.Node, rate float32, seed uint64) (*gorgonia.Node, error) {
	if !(rate >= 0 && rate < 1) {
		return nil, errors.New("rnn: Dropout: the rate must be at least 0 and below 1")
	}
	if rate == 0 || !g.o.Training {
		return x, nil // the identity in evaluation, which is all that such a graph is for
	}
	n := x.Shape().TotalSize()
	l := &dropout{g: g, n: n, seed: seed, threshold: uint64(float64(rate) * (1 << 32)), scale: 1 / (1 - rate)}
	var out, dx *tensor.Dense
	out, l.y = g.memory.dense(x.Shape()...)
	dx, l.dx = g.memory.dense(x.Shape()...)
	training := func(t bool) { l.training = t }
	if a := g.o.Accelerator; a != nil {
		d := a.dropout(l)
		return g.add(layer{
			name: "Dropout", in: gorgonia.Nodes{x}, out: out, forward: d.forward,
			grads: []*tensor.Dense{dx}, backward: d.backward, training: training,
		})
	}
	l.mask = g.memory.floats(n)
	l.forwardPart, l.backwardPart = l.forwardRange, l.backwardRange
	return g.add(layer{
		name: "Dropout", in: gorgonia.Nodes{x}, out: out, forward: l.forward,
		grads: []*tensor.Dense{dx}, backward: l.backward, training: training,
	})
}

type dropout struct {
	g         *Graph
	n         int
	seed      uint64
	threshold uint64 // a value is dropped if its 32 random bits are below this
	scale     float32
	training  bool

	mask, y, dx []float32 // mask is 0 or scale

	// Inputs of the run at hand.
	x, dy []float32

	forwardPart, backwardPart func(part int)
}

func (l *dropout) forward(in []gorgonia.Value) error {
	l.x = floats(in[0])
	if !l.training {
		copy(l.y, l.x)
		return nil
	}
	l.g.o.Workers.do(l.g.o.Workers.count(), l.forwardPart)
	return nil
}

func (l *dropout) forwardRange(part int) {
	const block = 4096 // values, whose mask stays in the cache
	from, end := span(l.n, part, l.g.o.Workers.count())
	for from < end {
		to := min(from+block, end)
		dropoutMask(l.mask[from:to], uint64(from), l.seed, l.g.Step, l.threshold, l.scale)
		l.g.o.Kernels.Mul(l.x[from:to], l.mask[from:to], l.y[from:to])
		from = to
	}
}

// dropoutMask fills mask, which starts at the given even index of the whole one. Each two values take
// the halves of one SplitMix64 output (Steele, Lea and Flood, 2014), computed from the index and not
// from a state, without a branch: it would be mispredicted every other time.
func dropoutMask(mask []float32, index, seed, step, threshold uint64, scale float32) {
	base := dropoutBase(seed, step)
	keep := math.Float32bits(scale)
	value := func(random uint32) float32 {
		below := (uint64(random) - threshold) >> 63 // 1 if random < threshold
		return math.Float32frombits(keep & (uint32(below) - 1))
	}
	i := 0
	for ; i+1 < len(mask); i += 2 {
		bits := mix(base + (index+uint64(i))*golden)
		mask[i] = value(uint32(bits))
		mask[i+1] = value(uint32(bits >> 32))
	}
	if i < len(mask) {
		mask[i] = value(uint32(mix(base + (index+uint64(i))*golden)))
	}
}

// dropoutBase is where the random numbers of a step begin.
func dropoutBase(seed, step uint64) uint64 { return mix(seed ^ mix(step+1)) }

const golden = 0x9E3779B97F4A7C15

// mix is SplitMix64's output function.
func mix(z uint64) uint64 {
	z += golden
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return z ^ z>>31
}

func (l *dropout) backward(_ []gorgonia.Value, dOut gorgonia.Value) {
	l.dy = floats(dOut)
	l.g.o.Workers.do(l.g.o.Workers.count(), l.backwardPart)
}

func (l *dropout) backwardRange(part int) {
	from, to := span(l.n, part, l.g.o.Workers.count())
	l.g.o.Kernels.Mul(l.dy[from:to], l.mask[from:to], l.dx[from:to])
}
