// Elementary is a contestant of package contest: the paper's network made of Gorgonia's elementary
// operations and unrolled over time, as Gorgonia's own examples make recurrent networks. It trains
// only, on the processor and with the BLAS that Gorgonia chooses.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"k8ntext/bench/contest"
	"k8ntext/bench/problem"
	"k8ntext/model"
)

func main() {
	if err := run(os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "elementary:", err)
		os.Exit(1)
	}
}

func run(args []string, in io.Reader, out io.Writer) error {
	flags := flag.NewFlagSet("elementary", flag.ContinueOnError)
	flags.Bool("contestant", true, "answer requests from standard input; nothing else can be asked for")
	window := flags.Int("window", 60, "events of a window")
	batch := flags.Int("batch", 32, "windows of a batch")
	if err := flags.Parse(args); err != nil {
		return err
	}
	p, err := problem.New(context.Background(), *window, *batch)
	if err != nil {
		return err
	}
	network, err := build(p, float64(p.Config.Dropout))
	if err != nil {
		return err
	}
	defer network.machine.Close()
	return contest.Serve(in, out, func(task string, n int) contest.Answer {
		switch task {
		case "train":
			return contest.Time(n, func() error { _, err := network.step(); return err })
		case "losses":
			return losses(p, n)
		}
		return contest.Answer{Error: fmt.Sprintf("unknown task %q: ask for train or losses", task)}
	})
}

// losses are of the first two steps only: Keras adds Adam's epsilon to the uncorrected moment, and
// Gorgonia's solver, which adds it to the corrected one, cannot change its epsilon from step to step.
func losses(p *problem.Problem, n int) contest.Answer {
	network, err := build(p, 0)
	if err != nil {
		return contest.Answer{Error: err.Error()}
	}
	defer network.machine.Close()
	var a contest.Answer
	for range min(n, 2) {
		loss, err := network.step()
		if err != nil {
			return contest.Answer{Error: err.Error()}
		}
		a.Losses = append(a.Losses, loss)
	}
	return a
}

// network is a compiled graph with its data.
type network struct {
	p       *problem.Problem
	g       *gorgonia.ExprGraph
	x       []*gorgonia.Node // [B x F] for each position
	onehot  *gorgonia.Node   // [R*components x classes]
	weights gorgonia.Nodes
	loss    *gorgonia.Node
	machine gorgonia.VM
	solver  gorgonia.Solver
	steps   int
	err     error // the first of building
}

func build(p *problem.Problem, dropout float64) (*network, error) {
	c := p.Config
	n := &network{p: p, g: gorgonia.NewGraph()}
	rows := c.Window * p.Size
	for t := range c.Window {
		n.x = append(n.x, gorgonia.NewMatrix(n.g, tensor.Float32, gorgonia.WithShape(p.Size, c.Fields), gorgonia.WithName(fmt.Sprintf("x%d", t))))
	}
	n.onehot = gorgonia.NewMatrix(n.g, tensor.Float32, gorgonia.WithShape(rows*c.Components, c.Classes), gorgonia.WithName("onehot"))

	y := n.normalise("norm1", n.biLSTM("lstm1", n.x, c.Units1), 2*c.Units1)
	// Cut (and joined, see biLSTM) by position, not by row: Gorgonia v0.9.18 hashes one byte of a slice's
	// ends and merges nodes of equal hash, so that rows from 0 and rows from 256 would be the same rows.
	y = n.must(gorgonia.Reshape(y, tensor.Shape{c.Window, p.Size, 2 * c.Units1}))
	var parts []*gorgonia.Node
	for t := range c.Window {
		parts = append(parts, n.must(gorgonia.Slice(y, gorgonia.S(t))))
	}
	y = n.biLSTM("lstm2", parts, c.Units2)
	if dropout > 0 {
		y = n.must(gorgonia.Dropout(y, dropout))
	}
	out := c.Components * c.Classes
	y = n.must(gorgonia.Mul(y, n.weight("dense/kernel", 0, out)))
	y = n.must(gorgonia.Rectify(n.addRow(y, n.weight("dense/bias", 0, out))))
	y = n.normalise("norm2", y, out)
	n.loss = n.focal(n.must(gorgonia.Reshape(y, tensor.Shape{rows * c.Components, c.Classes})))
	if n.err != nil {
		return nil, fmt.Errorf("build the network of elementary operations: %w", n.err)
	}
	if _, err := gorgonia.Grad(n.loss, n.weights...); err != nil {
		return nil, fmt.Errorf("differentiate the network of elementary operations: %w", err)
	}
	n.machine = gorgonia.NewTapeMachine(n.g, gorgonia.BindDualValues(n.weights...))
	n.solver = gorgonia.NewAdamSolver(gorgonia.WithLearnRate(problem.LearningRate),
		gorgonia.WithEps(1e-7/math.Sqrt(1-.999))) // right for the first step, see losses
	return n, nil
}

// must keeps the first error, so that the network reads as what it is.
func (n *network) must(node *gorgonia.Node, err error) *gorgonia.Node {
	n.err = errors.Join(n.err, err)
	if n.err != nil { // a node to go on with
		return n.onehot
	}
	return node
}

// weight is columns from to to of a tensor, a variable of its own.
func (n *network) weight(name string, from, to int) *gorgonia.Node {
	for _, t := range n.p.Weights {
		if t.Name != name {
			continue
		}
		columns := t.Shape[len(t.Shape)-1]
		var data []float32
		for i := 0; i < len(t.Data); i += columns {
			data = append(data, t.Data[i+from:i+to]...)
		}
		shape := append(append(tensor.Shape{}, t.Shape[:len(t.Shape)-1]...), to-from)
		w := gorgonia.NewTensor(n.g, tensor.Float32, len(shape), gorgonia.WithShape(shape...),
			gorgonia.WithName(fmt.Sprintf("%s/%d", name, from)), gorgonia.WithValue(tensor.New(tensor.WithShape(shape...), tensor.WithBacking(data))))
		n.weights = append(n.weights, w)
		return w
	}
	n.err = errors.Join(n.err, fmt.Errorf("no tensor %s", name))
	return n.onehot
}

func (n *network) addRow(x, row *gorgonia.Node) *gorgonia.Node {
	row = n.must(gorgonia.Reshape(row, tensor.Shape{1, row.Shape()[0]}))
	return n.must(gorgonia.BroadcastAdd(x, row, nil, []byte{0}))
}

func (n *network) mulRow(x, row *gorgonia.Node) *gorgonia.Node {
	row = n.must(gorgonia.Reshape(row, tensor.Shape{1, row.Shape()[0]}))
	return n.must(gorgonia.BroadcastHadamardProd(x, row, nil, []byte{0}))
}

// biLSTM gives the outputs of both directions at all positions, [R x 2*units].
func (n *network) biLSTM(name string, x []*gorgonia.Node, units int) *gorgonia.Node {
	forward := n.lstm(name+"/forward", x, units, func(s int) int { return s })
	backward := n.lstm(name+"/backward", x, units, func(s int) int { return len(x) - 1 - s })
	var y []*gorgonia.Node
	for t := range x {
		both := n.must(gorgonia.Concat(1, forward[t], backward[t]))
		y = append(y, n.must(gorgonia.Reshape(both, tensor.Shape{1, n.p.Size, 2 * units})))
	}
	return n.must(gorgonia.Reshape(n.must(gorgonia.Concat(0, y...)), tensor.Shape{len(x) * n.p.Size, 2 * units}))
}

// lstm gives the outputs of one direction, [B x units] for each position.
func (n *network) lstm(name string, x []*gorgonia.Node, units int, position func(step int) int) []*gorgonia.Node {
	type gate struct{ kernel, recurrent, bias *gorgonia.Node }
	var gates [4]gate // in Keras' order: input, forget, cell, output
	for i := range gates {
		from, to := i*units, (i+1)*units
		gates[i] = gate{n.weight(name+"/kernel", from, to), n.weight(name+"/recurrent", from, to), n.weight(name+"/bias", from, to)}
	}
	y := make([]*gorgonia.Node, len(x))
	var h, cell *gorgonia.Node
	for s := range x {
		t := position(s)
		var z [4]*gorgonia.Node
		for i, g := range gates {
			z[i] = n.must(gorgonia.Mul(x[t], g.kernel))
			if h != nil {
				z[i] = n.must(gorgonia.Add(z[i], n.must(gorgonia.Mul(h, g.recurrent))))
			}
			z[i] = n.addRow(z[i], g.bias)
		}
		next := n.must(gorgonia.HadamardProd(n.must(gorgonia.Sigmoid(z[0])), n.must(gorgonia.Tanh(z[2]))))
		if cell != nil {
			next = n.must(gorgonia.Add(next, n.must(gorgonia.HadamardProd(n.must(gorgonia.Sigmoid(z[1])), cell))))
		}
		cell = next
		h = n.must(gorgonia.HadamardProd(n.must(gorgonia.Sigmoid(z[3])), n.must(gorgonia.Tanh(cell))))
		y[t] = h
	}
	return y
}

// normalise is batch normalisation by the batch's own statistics, as in training.
func (n *network) normalise(name string, x *gorgonia.Node, columns int) *gorgonia.Node {
	mean := n.must(gorgonia.Mean(x, 0))
	centred := n.addRow(x, n.must(gorgonia.Neg(mean)))
	variance := n.must(gorgonia.Mean(n.must(gorgonia.Square(centred)), 0))
	deviation := n.must(gorgonia.Sqrt(n.must(gorgonia.Add(variance, gorgonia.NewConstant(float32(1e-3))))))
	scale := n.must(gorgonia.HadamardDiv(n.weight(name+"/gamma", 0, columns), deviation))
	return n.addRow(n.mulRow(centred, scale), n.weight(name+"/beta", 0, columns))
}

// focal is the mean of -0.25 (1-p)^2 log p. The logits come from a normalisation, so that their
// exponentials cannot overflow.
func (n *network) focal(logits *gorgonia.Node) *gorgonia.Node {
	sum := n.must(gorgonia.Sum(n.must(gorgonia.Exp(logits)), 1))
	of := n.must(gorgonia.Sum(n.must(gorgonia.HadamardProd(logits, n.onehot)), 1))
	logP := n.must(gorgonia.Sub(of, n.must(gorgonia.Log(sum))))
	rest := n.must(gorgonia.Sub(gorgonia.NewConstant(float32(1)), n.must(gorgonia.Exp(logP))))
	focal := n.must(gorgonia.HadamardProd(n.must(gorgonia.Square(rest)), logP))
	return n.must(gorgonia.Mul(n.must(gorgonia.Mean(focal)), gorgonia.NewConstant(float32(-.25))))
}

// step trains on the next batch.
func (n *network) step() (float64, error) {
	b := n.p.Batches[n.steps%len(n.p.Batches)]
	n.steps++
	if err := n.load(b); err != nil {
		return 0, err
	}
	if err := n.machine.RunAll(); err != nil {
		return 0, fmt.Errorf("run the network of elementary operations: %w", err)
	}
	loss := float64(n.loss.Value().Data().(float32))
	if err := n.solver.Step(gorgonia.NodesToValueGrads(n.weights)); err != nil {
		return 0, fmt.Errorf("update the network of elementary operations: %w", err)
	}
	n.machine.Reset()
	return loss, nil
}

func (n *network) load(b *model.Batch) error {
	c, size := n.p.Config, n.p.Size
	for t, node := range n.x {
		data := make([]float32, size*c.Fields)
		for i := range data {
			data[i] = float32(b.IDs[t*len(data)+i])
		}
		if err := gorgonia.Let(node, tensor.New(tensor.WithShape(size, c.Fields), tensor.WithBacking(data))); err != nil {
			return fmt.Errorf("set input: %w", err)
		}
	}
	data := make([]float32, len(b.Targets)*c.Classes)
	for i, v := range b.Targets {
		data[i*c.Classes+int(v)] = 1
	}
	if err := gorgonia.Let(n.onehot, tensor.New(tensor.WithShape(len(b.Targets), c.Classes), tensor.WithBacking(data))); err != nil {
		return fmt.Errorf("set targets: %w", err)
	}
	return nil
}
