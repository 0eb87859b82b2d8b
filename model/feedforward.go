package model

import (
	"fmt"

	"gorgonia.org/gorgonia"
)

// feedForward is dense layers at every position, each with ReLU and batch normalisation. The first takes in
// the events up to Reach before and after; so does each as a convolution, with twice the step of the one
// before: L of them reach over Reach*(2^L-1) events on either side.
type feedForward struct{ convolutions bool }

// maxConvolutions reach over the longest window.
const maxConvolutions = 12

func (f feedForward) validate(c NetworkConfig) error {
	if c.Reach < 0 || c.Reach > maxWindow {
		return fmt.Errorf("network: Reach is %d: want 0 to %d", c.Reach, maxWindow)
	}
	if f.convolutions && c.depth() > maxConvolutions {
		return fmt.Errorf("network: %d convolutions, each with twice the step of the one before: want at most %d", c.depth(), maxConvolutions)
	}
	return nil
}

// reach is how far a layer takes in neighbours, and how many events lie from one to the next.
func (f feedForward) reach(c NetworkConfig, layer int) (reach, step int) {
	switch {
	case f.convolutions:
		return c.Reach, 1 << layer
	case layer == 0:
		return c.Reach, 1
	}
	return 0, 1
}

func (feedForward) names(layer int) (dense, norm string) {
	return fmt.Sprintf("hidden%d", layer+1), fmt.Sprintf("between%d", layer+1)
}

func (f feedForward) tensors(c NetworkConfig, l *tensorList, in int) int {
	for layer := range c.depth() {
		dense, norm := f.names(layer)
		reach, _ := f.reach(c, layer)
		l.dense(dense, (2*reach+1)*in, c.units(layer))
		in = c.units(layer)
		l.norm(norm, in)
	}
	return in
}

func (f feedForward) build(c NetworkConfig, b *builder) {
	for layer := range c.depth() {
		dense, norm := f.names(layer)
		if reach, step := f.reach(c, layer); reach > 0 {
			b.apply(dense, func() (*gorgonia.Node, error) { return b.graph.Neighbours(b.x, b.present, reach, step) })
		}
		b.dense(dense)
		b.norm(norm)
	}
}

func (f feedForward) layers(c NetworkConfig) []Layer {
	var layers []Layer
	for layer := range c.depth() {
		dense, norm := f.names(layer)
		kind := "dense, ReLU"
		if reach, step := f.reach(c, layer); reach > 0 {
			kind = fmt.Sprintf("dense over %d events, ReLU", 2*reach+1)
			if f.convolutions {
				kind = fmt.Sprintf("convolution over %d events, every %d, ReLU", 2*reach+1, step)
			}
		}
		layers = append(layers, Layer{Name: dense, Kind: kind, Output: c.units(layer)},
			Layer{Name: norm, Kind: "batch normalisation", Output: c.units(layer)})
	}
	return layers
}
