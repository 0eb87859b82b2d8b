package model

import (
	"fmt"
	"math/rand/v2"

	"gorgonia.org/gorgonia"

	"k8ntext/model/rnn"
)

// Architecture names what lies between the input and the softmaxes of a network. All end alike: dropout, a
// dense layer with ReLU at every position, batch normalisation.
type Architecture string

// The architectures. The empty name is [BiLSTM].
const (
	// BiLSTM is the paper's: bidirectional LSTMs with batch normalisation between them.
	BiLSTM Architecture = "bilstm"
	// LSTM reads forwards only.
	LSTM Architecture = "lstm"
	// MLP is dense layers over an event and those within its reach.
	MLP Architecture = "mlp"
	// CNN is convolutions over the window, the step between the events that one takes in doubling from
	// layer to layer.
	CNN Architecture = "cnn"
	// Transformer is blocks of self-attention over the window.
	Transformer Architecture = "transformer"
)

// Architectures lists all.
func Architectures() []Architecture { return []Architecture{BiLSTM, LSTM, MLP, CNN, Transformer} }

// IsZero is true of the default under either name, so that JSON may leave it out.
func (a Architecture) IsZero() bool { return a == "" || a == BiLSTM }

// body is one architecture: its part of a network's tensors, graph and description, between the input and
// the dropout.
type body interface {
	// validate reports what of c the architecture cannot have.
	validate(c NetworkConfig) error
	// tensors adds the body's to l, for an input of that many values for each event, and gives the values
	// of its output.
	tensors(c NetworkConfig, l *tensorList, in int) (out int)
	// build adds the body's layers to b.
	build(c NetworkConfig, b *builder)
	// layers describes them; the numbers of parameters are for the caller to fill in.
	layers(c NetworkConfig) []Layer
}

// body is the architecture of the network; nil if it has no known one.
func (c NetworkConfig) body() body {
	switch c.Architecture {
	case "", BiLSTM:
		return recurrent{directions: 2}
	case LSTM:
		return recurrent{directions: 1}
	case MLP:
		return feedForward{}
	case CNN:
		return feedForward{convolutions: true}
	case Transformer:
		return transformer{}
	}
	return nil
}

// depth is the number of the body's layers, the paper's two where none is given.
func (c NetworkConfig) depth() int {
	if c.Depth == 0 {
		return 2
	}
	return c.Depth
}

// units are those of the body's layer, from 0.
func (c NetworkConfig) units(layer int) int {
	if layer == 0 {
		return c.Units1
	}
	return c.Units2
}

// tensorList gathers the tensors of a network in their order.
type tensorList []tensorSpec

func (l *tensorList) add(name string, trainable bool, init func([]float32, *rand.Rand), shape ...int) {
	*l = append(*l, tensorSpec{name: name, shape: shape, trainable: trainable, init: init})
}

func constant(v float32) func([]float32, *rand.Rand) {
	return func(data []float32, _ *rand.Rand) {
		for i := range data {
			data[i] = v
		}
	}
}

func glorot(in, out int) func([]float32, *rand.Rand) {
	return func(data []float32, r *rand.Rand) { rnn.GlorotUniform(data, in, out, r) }
}

// kernel is a matrix without bias.
func (l *tensorList) kernel(name string, in, out int) { l.add(name, true, glorot(in, out), in, out) }

func (l *tensorList) dense(name string, in, out int) {
	l.kernel(name+"/kernel", in, out)
	l.add(name+"/bias", true, constant(0), out)
}

func (l *tensorList) norm(name string, n int) {
	l.add(name+"/gamma", true, constant(1), n)
	l.add(name+"/beta", true, constant(0), n)
	l.add(name+"/mean", false, constant(0), n)
	l.add(name+"/variance", false, constant(1), n)
}

// builder lays out the layers of a graph in order; each does nothing after an error.
type builder struct {
	graph   *rnn.Graph
	nodes   map[string]*gorgonia.Node // trainable tensors
	moments map[string][]float32      // the others
	present *gorgonia.Node
	x       *gorgonia.Node // the output of the last layer
	err     error
}

func (b *builder) apply(name string, f func() (*gorgonia.Node, error)) {
	if b.err != nil {
		return
	}
	if b.x, b.err = f(); b.err != nil {
		b.err = fmt.Errorf("network: build %s: %w", name, b.err)
	}
}

func (b *builder) norm(name string) {
	b.apply(name, func() (*gorgonia.Node, error) {
		return b.graph.BatchNorm(b.x, b.present, b.nodes[name+"/gamma"], b.nodes[name+"/beta"],
			rnn.Moments{Mean: b.moments[name+"/mean"], Variance: b.moments[name+"/variance"]})
	})
}

func (b *builder) dense(name string) {
	b.apply(name, func() (*gorgonia.Node, error) {
		return b.graph.DenseReLU(b.x, b.nodes[name+"/kernel"], b.nodes[name+"/bias"])
	})
}
