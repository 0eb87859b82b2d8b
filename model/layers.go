package model

import "strings"

// Layer is one layer of a network, for people to read.
type Layer struct {
	Name       string `json:"name"`
	Kind       string `json:"kind"`
	Output     int    `json:"output"`     // values per event
	Trainable  int    `json:"trainable"`  // parameters
	Statistics int    `json:"statistics"` // running mean and variance of a batch normalisation
}

// Layers describes a valid network from input to output. The numbers add up to those of Parameters.
func (c NetworkConfig) Layers() []Layer {
	out := c.Components * c.Classes
	input := Layer{Name: "embedding", Kind: "sum of a learned vector per field", Output: c.EmbeddingDim}
	if c.Input == InputIDs {
		input = Layer{Name: "ids", Kind: "one number per field", Output: c.Fields}
	}
	layers := append([]Layer{input}, c.body().layers(c)...)
	layers = append(layers,
		Layer{Name: "dropout", Kind: "dropout", Output: layers[len(layers)-1].Output},
		Layer{Name: "dense", Kind: "dense, ReLU", Output: out},
		Layer{Name: "norm2", Kind: "batch normalisation", Output: out},
		Layer{Name: "softmax", Kind: "one softmax per component", Output: out},
	)
	for _, s := range c.tensors() {
		layer, _, _ := strings.Cut(s.name, "/")
		for i := range layers {
			if layers[i].Name != layer {
				continue
			}
			if s.trainable {
				layers[i].Trainable += s.size()
			} else {
				layers[i].Statistics += s.size()
			}
		}
	}
	return layers
}
