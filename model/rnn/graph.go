package rnn

import (
	"fmt"
	"hash"
	"hash/fnv"

	"github.com/chewxy/hm"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"k8ntext/model/device"
)

// Options say what a graph is for.
type Options struct {
	Window, Batch int // positions of a window, windows of a batch
	Kernels       device.Kernels
	Workers       *Workers // nil: the calling goroutine only
	// Accelerator, where not nil, runs every layer instead of Kernels and Workers, which may be nil.
	Accelerator *Accelerator
	// Training keeps what the backward pass needs. Without it the graph takes much less memory,
	// can only run with gorgonia.EvalMode and has no gradients.
	Training bool
}

// Graph is a Gorgonia expression graph to which its methods add fused layers.
type Graph struct {
	Expr *gorgonia.ExprGraph
	// Step numbers the training step that runs next. Together with a layer's seed it determines a
	// Dropout's mask, so that a resumed training drops what the uninterrupted one would have.
	Step uint64

	o       Options
	ops     int
	memory  memory // of the layers' buffers
	version uint64 // of the weights; packed weights of an older version are packed anew
}

// NewGraph returns an empty graph. Window and Batch must be positive and Kernels not nil.
func NewGraph(o Options) *Graph {
	return &Graph{Expr: gorgonia.NewGraph(), o: o, version: 1}
}

// WeightsChanged must be called when the data of a weight was changed since the last run: layers
// keep a copy of their weights in the order in which their kernels read them.
func (g *Graph) WeightsChanged() { g.version++ }

// Rows is R, the number of rows of every activation.
func (g *Graph) Rows() int { return g.o.Window * g.o.Batch }

// Floats adds an input node whose value is data, shared and not copied.
func (g *Graph) Floats(name string, data []float32, shape ...int) *gorgonia.Node {
	return g.input(name, tensor.Float32, data, shape)
}

// Ints adds an input node whose value is data, shared and not copied.
func (g *Graph) Ints(name string, data []int32, shape ...int) *gorgonia.Node {
	return g.input(name, tensor.Int32, data, shape)
}

func (g *Graph) input(name string, of tensor.Dtype, data any, shape []int) *gorgonia.Node {
	value := tensor.New(tensor.WithShape(shape...), tensor.WithBacking(data))
	return gorgonia.NewTensor(g.Expr, of, len(shape), gorgonia.WithName(name),
		gorgonia.WithShape(shape...), gorgonia.WithValue(value))
}

// Gradients adds the backward pass of the scalar loss. Afterwards each node of wrt carries its
// gradient (gorgonia.Node.Grad), valid from one run to the next.
func (g *Graph) Gradients(loss *gorgonia.Node, wrt ...*gorgonia.Node) error {
	// Not gorgonia.Grad: it starts from a node that all graphs of the process share, whose hash is
	// computed lazily, so that two graphs could not be built at the same time.
	one := gorgonia.NewConstant(float32(1))
	if _, err := gorgonia.Backpropagate(gorgonia.Nodes{loss}, gorgonia.Nodes{g.Expr.AddNode(one)}, wrt); err != nil {
		return err
	}
	return g.onDevice()
}

// onDevice verifies that an accelerated graph has no operation of Gorgonia's own, such as the sum of
// two gradients of one node: it would read the host's counterparts of what is on the device.
func (g *Graph) onDevice() error {
	if g.o.Accelerator == nil {
		return nil
	}
	for _, n := range g.Expr.AllNodes() {
		if _, ours := n.Op().(*op); n.Op() != nil && !ours && n.Op().Arity() > 0 { // a constant takes nothing
			return fmt.Errorf("rnn: differentiate: the graph needs Gorgonia's %v, which does not run on %s: use each layer's output once", n.Op(), g.o.Accelerator.Device())
		}
	}
	return nil
}

// onHost refuses a layer that has no accelerated form.
func (g *Graph) onHost(layer string) error {
	if g.o.Accelerator == nil {
		return nil
	}
	return fmt.Errorf("rnn: %s does not run on %s: use the processor", layer, g.o.Accelerator.Device())
}

// layer is a fused operation as Gorgonia sees it: some nodes in, one out, and one gradient for each
// input that has one. Forward and backward write to tensors that stay the same from run to run.
type layer struct {
	name    string
	in      gorgonia.Nodes
	out     gorgonia.Value
	forward func(in []gorgonia.Value) error
	// grads has an entry for each input, nil where the layer is not differentiated by it.
	grads    []*tensor.Dense
	backward func(in []gorgonia.Value, dOut gorgonia.Value)
	// training, where not nil, is told the mode of the machine that runs the graph.
	training func(bool)
}

func (g *Graph) add(l layer) (*gorgonia.Node, error) {
	out := g.newOp(l.name, l.in, l.out, l.forward)
	out.training = l.training
	out.wrt = make([]bool, len(l.in))
	for i, grad := range l.grads {
		out.wrt[i] = grad != nil
	}
	out.diff = func(in gorgonia.Nodes, y, dy *gorgonia.Node) (gorgonia.Nodes, error) {
		return g.addBackward(&l, in, y, dy)
	}
	return gorgonia.ApplyOp(out, l.in...)
}

// addBackward adds the backward pass of one layer. An operation has one output only: the pass itself
// returns the first gradient, and each further one comes from a node whose input is the pass, which
// therefore runs before it.
func (g *Graph) addBackward(l *layer, in gorgonia.Nodes, y, dy *gorgonia.Node) (gorgonia.Nodes, error) {
	if !g.o.Training {
		return nil, fmt.Errorf("rnn: differentiate %s: the graph was built without Training", l.name)
	}
	grads := make(gorgonia.Nodes, len(in))
	n := len(in)
	var pass *gorgonia.Node
	for i, grad := range l.grads {
		if grad == nil {
			continue
		}
		var err error
		if pass == nil {
			// y is an input so that the pass runs after the forward operation.
			args := append(append(make(gorgonia.Nodes, 0, n+2), in...), y, dy)
			op := g.newOp(l.name+".backward", args, grad, func(v []gorgonia.Value) error {
				l.backward(v[:n], v[n+1])
				return nil
			})
			pass, err = gorgonia.ApplyOp(op, args...)
			grads[i] = pass
		} else {
			op := g.newOp(l.name+".gradient", gorgonia.Nodes{pass}, grad, func([]gorgonia.Value) error { return nil })
			grads[i], err = gorgonia.ApplyOp(op, pass)
		}
		if err != nil {
			return nil, fmt.Errorf("rnn: differentiate %s by input %d: %w", l.name, i, err)
		}
	}
	return grads, nil
}

// op implements gorgonia.Op and gorgonia.SDOp.
type op struct {
	name     string
	id       int
	in       []hm.Type
	out      gorgonia.Value
	run      func(in []gorgonia.Value) error
	wrt      []bool
	diff     func(in gorgonia.Nodes, y, dy *gorgonia.Node) (gorgonia.Nodes, error)
	training func(bool)
}

func (g *Graph) newOp(name string, in gorgonia.Nodes, out gorgonia.Value, run func([]gorgonia.Value) error) *op {
	g.ops++
	o := &op{name: name, id: g.ops, out: out, run: run}
	for _, n := range in {
		o.in = append(o.in, n.Type())
	}
	return o
}

func (o *op) Arity() int { return len(o.in) }

func (o *op) Type() hm.Type {
	types := append([]hm.Type(nil), o.in...)
	return hm.NewFnType(append(types, gorgonia.TypeOf(o.out))...)
}

func (o *op) InferShape(...gorgonia.DimSizer) (tensor.Shape, error) {
	return o.out.Shape().Clone(), nil
}

func (o *op) Do(in ...gorgonia.Value) (gorgonia.Value, error) {
	if err := o.run(in); err != nil {
		return nil, fmt.Errorf("rnn: %s: %w", o.name, err)
	}
	return o.out, nil
}

func (o *op) ReturnsPtr() bool     { return true }
func (o *op) CallsExtern() bool    { return false }
func (o *op) OverwritesInput() int { return -1 }
func (o *op) String() string       { return fmt.Sprintf("%s#%d", o.name, o.id) }

// WriteHash includes the operation's number: the graph merges nodes of equal hash, and two layers of
// equal shape still have buffers of their own.
func (o *op) WriteHash(h hash.Hash) { fmt.Fprint(h, o) }

func (o *op) Hashcode() uint32 {
	h := fnv.New32a()
	o.WriteHash(h)
	return h.Sum32()
}

func (o *op) DiffWRT(int) []bool { return o.wrt }

func (o *op) SymDiff(in gorgonia.Nodes, y, dy *gorgonia.Node) (gorgonia.Nodes, error) {
	return o.diff(in, y, dy)
}

func (o *op) SetTraining(training bool) error {
	if o.training != nil {
		o.training(training)
	}
	return nil
}

var (
	_ gorgonia.SDOp        = (*op)(nil)
	_ gorgonia.TrainModeOp = (*op)(nil)
)

// floats and ints are the data of a value that this package or a caller of Floats and Ints made.
// (Value.Data would build the slice by reflection.)
func floats(v gorgonia.Value) []float32 { return v.(*tensor.Dense).Float32s() }
func ints(v gorgonia.Value) []int32     { return v.(*tensor.Dense).Int32s() }

// check verifies the shape of a layer's input. A dimension of -1 may have any size.
func check(layer, input string, n *gorgonia.Node, want ...int) error {
	got := n.Shape()
	ok := len(got) == len(want)
	for i := 0; ok && i < len(got); i++ {
		ok = want[i] == -1 || want[i] == got[i]
	}
	if !ok {
		return fmt.Errorf("rnn: %s: %s has shape %v, want %v", layer, input, got, want)
	}
	return nil
}
