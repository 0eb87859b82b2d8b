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

// Layers describes the network from input to output. The numbers add up to those of Parameters.
func (c NetworkConfig) Layers() []Layer {
	out := c.Components * c.Classes
	layers := []Layer{
		{Name: "embedding", Kind: "sum of a learned vector per field", Output: c.EmbeddingDim},
		{Name: "lstm1", Kind: "bidirectional LSTM", Output: 2 * c.Units1},
		{Name: "norm1", Kind: "batch normalisation", Output: 2 * c.Units1},
		{Name: "lstm2", Kind: "bidirectional LSTM", Output: 2 * c.Units2},
		{Name: "dropout", Kind: "dropout", Output: 2 * c.Units2},
		{Name: "dense", Kind: "dense, ReLU", Output: out},
		{Name: "norm2", Kind: "batch normalisation", Output: out},
		{Name: "softmax", Kind: "one softmax per component", Output: out},
	}
	if c.Input == InputIDs {
		layers[0] = Layer{Name: "ids", Kind: "one number per field", Output: c.Fields}
	}
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
