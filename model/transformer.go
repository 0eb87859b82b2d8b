package model

import (
	"fmt"
	"math/rand/v2"

	"gorgonia.org/gorgonia"

	"k8ntext/model/rnn"
)

// transformer is an encoder (Vaswani et al., 2017): the input projected to Units1 values, learned positions
// added, and blocks of self-attention and of a dense layer of Units2, each added to its input and
// normalised over the batch, as is usual for series of few kinds of values (Zerveas et al., KDD 2021).
type transformer struct{}

func (transformer) validate(c NetworkConfig) error {
	if c.Heads < 1 || c.Units1%c.Heads != 0 {
		return fmt.Errorf("network: %d heads of %d units: want a number that divides the units", c.Heads, c.Units1)
	}
	return nil
}

// names are those of a block's parts.
func (transformer) names(layer int) (attention, norm, dense, norm2 string) {
	n := layer + 1
	return fmt.Sprintf("attention%d", n), fmt.Sprintf("attended%d", n), fmt.Sprintf("hidden%d", n), fmt.Sprintf("between%d", n)
}

func (t transformer) tensors(c NetworkConfig, l *tensorList, in int) int {
	l.dense("project", in, c.Units1)
	l.norm("projected", c.Units1)
	l.add("positions/table", true, func(data []float32, r *rand.Rand) { rnn.Uniform(data, .05, r) }, c.Window, c.Units1)
	for layer := range c.depth() {
		attention, norm, dense, norm2 := t.names(layer)
		l.kernel(attention+"/qkv", c.Units1, 3*c.Units1)
		l.kernel(attention+"/output", c.Units1, c.Units1)
		l.norm(norm, c.Units1)
		l.dense(dense, c.Units1, c.Units2)
		l.kernel(dense+"/output", c.Units2, c.Units1)
		l.norm(norm2, c.Units1)
	}
	return c.Units1
}

func (t transformer) build(c NetworkConfig, b *builder) {
	g := b.graph
	b.dense("project")
	b.norm("projected")
	b.apply("positions", func() (*gorgonia.Node, error) { return g.Positions(b.x, b.nodes["positions/table"]) })
	for layer := range c.depth() {
		attention, norm, dense, norm2 := t.names(layer)
		b.apply(attention, func() (*gorgonia.Node, error) {
			return g.SelfAttention(b.x, b.present, b.nodes[attention+"/qkv"], b.nodes[attention+"/output"], c.Heads)
		})
		b.norm(norm)
		b.apply(dense, func() (*gorgonia.Node, error) {
			return g.FeedForward(b.x, b.nodes[dense+"/kernel"], b.nodes[dense+"/bias"], b.nodes[dense+"/output"])
		})
		b.norm(norm2)
	}
}

func (t transformer) layers(c NetworkConfig) []Layer {
	layers := []Layer{
		{Name: "project", Kind: "dense, ReLU", Output: c.Units1},
		{Name: "projected", Kind: "batch normalisation", Output: c.Units1},
		{Name: "positions", Kind: "a learned vector per place added", Output: c.Units1},
	}
	for layer := range c.depth() {
		attention, norm, dense, norm2 := t.names(layer)
		layers = append(layers,
			Layer{Name: attention, Kind: fmt.Sprintf("self-attention, %d heads, added", c.Heads), Output: c.Units1},
			Layer{Name: norm, Kind: "batch normalisation", Output: c.Units1},
			Layer{Name: dense, Kind: fmt.Sprintf("dense %d, ReLU, dense, added", c.Units2), Output: c.Units1},
			Layer{Name: norm2, Kind: "batch normalisation", Output: c.Units1})
	}
	return layers
}
