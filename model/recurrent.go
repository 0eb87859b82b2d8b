package model

import (
	"fmt"
	"math/rand/v2"

	"gorgonia.org/gorgonia"

	"k8ntext/model/rnn"
)

// recurrent is LSTMs one on the other, with batch normalisation between them, in one or two directions:
// the paper's network (section 4.3) with two layers of two.
type recurrent struct{ directions int }

// names are those of the directions of a layer.
func (r recurrent) names(layer int) []string {
	return []string{fmt.Sprintf("lstm%d/forward", layer+1), fmt.Sprintf("lstm%d/backward", layer+1)}[:r.directions]
}

// between is the normalisation behind a layer. (norm2 is the one behind the dense layer.)
func (recurrent) between(layer int) string {
	if layer == 0 {
		return "norm1"
	}
	return fmt.Sprintf("between%d", layer+1)
}

func (recurrent) validate(NetworkConfig) error { return nil }

func (r recurrent) tensors(c NetworkConfig, l *tensorList, in int) int {
	for layer := range c.depth() {
		units := c.units(layer)
		for _, name := range r.names(layer) {
			l.kernel(name+"/kernel", in, 4*units)
			l.add(name+"/recurrent", true, func(data []float32, rng *rand.Rand) {
				rnn.Orthogonal(data, units, 4*units, rng)
			}, units, 4*units)
			l.add(name+"/bias", true, func(data []float32, _ *rand.Rand) { rnn.LSTMBias(data, units) }, 4*units)
		}
		in = r.directions * units
		if layer < c.depth()-1 {
			l.norm(r.between(layer), in)
		}
	}
	return in
}

func (r recurrent) build(c NetworkConfig, b *builder) {
	for layer := range c.depth() {
		inputGradient := layer > 0 || c.Input == InputEmbedding
		var weights []rnn.LSTMWeights
		for _, name := range r.names(layer) {
			weights = append(weights, rnn.LSTMWeights{
				Kernel: b.nodes[name+"/kernel"], Recurrent: b.nodes[name+"/recurrent"], Bias: b.nodes[name+"/bias"],
			})
		}
		b.apply(fmt.Sprintf("lstm%d", layer+1), func() (*gorgonia.Node, error) {
			if r.directions == 1 {
				return b.graph.LSTM(b.x, b.present, weights[0], inputGradient)
			}
			return b.graph.BiLSTM(b.x, b.present, weights[0], weights[1], inputGradient)
		})
		if layer < c.depth()-1 {
			b.norm(r.between(layer))
		}
	}
}

func (r recurrent) layers(c NetworkConfig) []Layer {
	kind := "bidirectional LSTM"
	if r.directions == 1 {
		kind = "LSTM"
	}
	var layers []Layer
	for layer := range c.depth() {
		out := r.directions * c.units(layer)
		layers = append(layers, Layer{Name: fmt.Sprintf("lstm%d", layer+1), Kind: kind, Output: out})
		if layer < c.depth()-1 {
			layers = append(layers, Layer{Name: r.between(layer), Kind: "batch normalisation", Output: out})
		}
	}
	return layers
}
