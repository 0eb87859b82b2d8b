package rnn_test

import (
	"fmt"
	"math/rand/v2"

	"gorgonia.org/gorgonia"

	"k8ntext/model/device"
	"k8ntext/model/rnn"
)

// A tagger that learns to say, at every position of a sequence, whether a 1 comes anywhere later: only
// the backward direction of an LSTM can know.
func Example() {
	const window, batch, units, classes = 8, 32, 6, 2
	kernels, err := device.Select("generic")
	if err != nil {
		fmt.Println(err)
		return
	}
	g := rnn.NewGraph(rnn.Options{Window: window, Batch: batch, Kernels: kernels, Training: true})

	// Inputs: these slices are read at every run.
	x, targets := make([]float32, g.Rows()), make([]int32, g.Rows())
	ones := make([]float32, g.Rows())
	for i := range ones {
		ones[i] = 1
	}
	present := g.Floats("present", ones, g.Rows())

	// Weights: updated in place.
	random := rand.New(rand.NewPCG(1, 2))
	var weights []*gorgonia.Node
	weight := func(name string, rows, cols int) *gorgonia.Node {
		data := make([]float32, rows*cols)
		rnn.GlorotUniform(data, rows, cols, random)
		weights = append(weights, g.Floats(name, data, rows, cols))
		return weights[len(weights)-1]
	}
	bias := func(name string, data ...float32) *gorgonia.Node {
		weights = append(weights, g.Floats(name, data, len(data)))
		return weights[len(weights)-1]
	}
	direction := func() rnn.LSTMWeights {
		gates := make([]float32, 4*units)
		rnn.LSTMBias(gates, units)
		return rnn.LSTMWeights{Kernel: weight("kernel", 1, 4*units), Recurrent: weight("recurrent", units, 4*units), Bias: bias("bias", gates...)}
	}

	h, err := g.BiLSTM(g.Floats("x", x, g.Rows(), 1), present, direction(), direction(), false)
	if err == nil {
		// The biases start above zero, where a ReLU has a gradient.
		h, err = g.DenseReLU(h, weight("dense", 2*units, classes), bias("dense bias", 1, 1))
	}
	var loss *gorgonia.Node
	if err == nil {
		loss, err = g.SoftmaxFocal(h, g.Ints("targets", targets, g.Rows(), 1), present)
	}
	if err == nil {
		err = g.Gradients(loss, weights...)
	}
	if err != nil {
		fmt.Println(err)
		return
	}

	machine := gorgonia.NewTapeMachine(g.Expr)
	defer machine.Close()
	solver := rnn.NewAdam(rnn.AdamOptions{LearningRate: .02}, kernels, nil)
	model := gorgonia.NodesToValueGrads(weights)
	for range 300 {
		for b := range batch {
			later := int32(0)
			for t := window - 1; t >= 0; t-- {
				x[t*batch+b], targets[t*batch+b] = 0, later
				if random.IntN(window) == 0 {
					x[t*batch+b], later = 1, 1
				}
			}
		}
		g.WeightsChanged()
		if err := machine.RunAll(); err != nil {
			fmt.Println(err)
			return
		}
		machine.Reset()
		if err := solver.Step(model); err != nil {
			fmt.Println(err)
			return
		}
	}
	fmt.Printf("loss below 0.001: %v\n", float32(*loss.Value().(*gorgonia.F32)) < .001)
	// Output: loss below 0.001: true
}
