package model

import (
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"k8ntext/model/device"
	"k8ntext/model/device/opencl"
	"k8ntext/model/rnn"
)

// The two kinds of input of a network.
const (
	InputIDs       = "ids"       // ids as numbers, one input per field: the paper
	InputEmbedding = "embedding" // the sum of a learned vector per id
)

// NetworkConfig is the shape of the network: (embedding), bidirectional LSTM, batch normalisation,
// bidirectional LSTM, dropout, dense layer with ReLU at every position, batch normalisation, and one
// softmax over Classes for each of Components (paper, section 4.3); or another [Architecture] before the
// dropout.
type NetworkConfig struct {
	Window       int     // W, events of a window; the paper: 60
	Fields       int     // features of an event; the paper: 39
	Components   int     // parts of a label: 5
	Classes      int     // m, values of one part; label space "paper": 59
	Input        string  // InputIDs or InputEmbedding
	Vocabulary   int     // rows of the embedding table, over all fields; 0 for InputIDs
	EmbeddingDim int     // length of an embedded event; 0 for InputIDs
	Units1       int     // units of the first LSTM in each direction; the paper: 4*39
	Units2       int     // units of the second; the paper: 3*39
	Dropout      float32 // before the dense layer; the paper: 0.4

	Architecture Architecture
	Depth        int // layers of the body, all but the first of Units2; 0: the paper's 2
	Reach        int // MLP and CNN: events on either side that a layer takes in
	Heads        int // Transformer: of the attention
}

// Validate reports the first setting that no network can have.
func (c NetworkConfig) Validate() error {
	type field struct {
		name  string
		value int
	}
	positive := []field{
		{"Window", c.Window},
		{"Fields", c.Fields},
		{"Components", c.Components},
		{"Classes", c.Classes},
		{"Units1", c.Units1},
		{"Units2", c.Units2},
	}
	switch c.Input {
	case InputEmbedding:
		positive = append(positive, field{"Vocabulary", c.Vocabulary}, field{"EmbeddingDim", c.EmbeddingDim})
	case InputIDs:
		if c.Vocabulary != 0 || c.EmbeddingDim != 0 {
			return fmt.Errorf("network: input %q has no embedding, but Vocabulary is %d and EmbeddingDim is %d: set both to 0", c.Input, c.Vocabulary, c.EmbeddingDim)
		}
	default:
		return fmt.Errorf("network: unknown input %q: want %q or %q", c.Input, InputIDs, InputEmbedding)
	}
	for _, f := range positive {
		// The bound keeps every product of two of them far from overflow.
		if f.value < 1 || f.value > 1<<20 {
			return fmt.Errorf("network: %s is %d: want 1 to %d", f.name, f.value, 1<<20)
		}
	}
	if c.Depth < 0 || c.Depth > maxLayers {
		return fmt.Errorf("network: Depth is %d: want 0 to %d", c.Depth, maxLayers)
	}
	body := c.body()
	if body == nil {
		return fmt.Errorf("network: unknown architecture %q: want one of %q", c.Architecture, Architectures())
	}
	if err := body.validate(c); err != nil {
		return err
	}
	if !(c.Dropout >= 0 && c.Dropout < 1) {
		return fmt.Errorf("network: Dropout is %v: want at least 0 and below 1", c.Dropout)
	}
	return nil
}

// Parameters counts the values of all trainable tensors and of all statistics of the batch
// normalisations. The paper's network has 717627 and 1214, in sum the 718841 that it states.
func (c NetworkConfig) Parameters() (trainable, statistics int) {
	for _, s := range c.tensors() {
		if s.trainable {
			trainable += s.size()
		} else {
			statistics += s.size()
		}
	}
	return trainable, statistics
}

// Tensor is a named array of weights, row-major.
type Tensor struct {
	Name  string
	Shape []int
	Data  []float32
}

// Weights are all tensors of a network in a fixed order: the trainable ones, and the running
// statistics ("mean", "variance") of the batch normalisations. Several networks may share one
// Weights.
type Weights []Tensor

// NewWeights returns the weights of an untrained network, initialised as Keras does. Each tensor
// depends on seed and its own name and shape only. c must be valid.
func NewWeights(c NetworkConfig, seed uint64) Weights {
	var w Weights
	for _, s := range c.tensors() {
		t := Tensor{Name: s.name, Shape: s.shape, Data: make([]float32, s.size())}
		name := fnv.New64a()
		name.Write([]byte(s.name))
		s.init(t.Data, rand.New(rand.NewPCG(seed, name.Sum64())))
		w = append(w, t)
	}
	return w
}

// Clone returns a deep copy.
func (w Weights) Clone() Weights {
	c := make(Weights, len(w))
	for i, t := range w {
		c[i] = Tensor{Name: t.Name, Shape: append([]int(nil), t.Shape...), Data: append([]float32(nil), t.Data...)}
	}
	return c
}

// CopyFrom overwrites the data of w, in place, with that of other, which must have the same tensors.
func (w Weights) CopyFrom(other Weights) error {
	if len(w) != len(other) {
		return fmt.Errorf("weights: copy %d tensors to %d", len(other), len(w))
	}
	for i := range w {
		if w[i].Name != other[i].Name || len(w[i].Data) != len(other[i].Data) {
			return fmt.Errorf("weights: copy tensor %s of %d values to %s of %d", other[i].Name, len(other[i].Data), w[i].Name, len(w[i].Data))
		}
	}
	for i := range w {
		copy(w[i].Data, other[i].Data)
	}
	return nil
}

// check reports the first tensor that differs from what c needs.
func (w Weights) check(specs []tensorSpec) error {
	if len(w) != len(specs) {
		return fmt.Errorf("weights: %d tensors, the network has %d", len(w), len(specs))
	}
	for i, s := range specs {
		t := w[i]
		ok := t.Name == s.name && len(t.Shape) == len(s.shape) && len(t.Data) == s.size()
		for j := 0; ok && j < len(s.shape); j++ {
			ok = t.Shape[j] == s.shape[j]
		}
		if !ok {
			return fmt.Errorf("weights: tensor %d is %q %v with %d values, the network has %q %v", i, t.Name, t.Shape, len(t.Data), s.name, s.shape)
		}
	}
	return nil
}

// tensorSpec is one tensor of a network.
type tensorSpec struct {
	name      string
	shape     []int
	trainable bool
	init      func(data []float32, r *rand.Rand)
}

func (s tensorSpec) size() int {
	n := 1
	for _, d := range s.shape {
		n *= d
	}
	return n
}

// tensors are all of the network in their order; none where its architecture is not known.
func (c NetworkConfig) tensors() []tensorSpec {
	body := c.body()
	if body == nil {
		return nil
	}
	var l tensorList
	in, out := c.Fields, c.Components*c.Classes
	if c.Input == InputEmbedding {
		l.add("embedding/table", true, func(data []float32, r *rand.Rand) { rnn.Uniform(data, .05, r) }, c.Vocabulary, c.EmbeddingDim)
		in = c.EmbeddingDim
	}
	l.dense("dense", body.tensors(c, &l, in), out)
	l.norm("norm2", out)
	return l
}

// Batch is the input of a network: B windows of W events, time-major. Row t*B+b is event t of window
// b; R = W*B. Short windows and partial batches are padded.
type Batch struct {
	// IDs [R x Fields]. For InputEmbedding they are rows of the one table of all fields: each
	// field's ids start where those of the field before end.
	IDs []int32
	// Targets [R x Components] are the right classes; needed for training and Evaluate. Those of
	// rows of weight 0 are not read.
	Targets []int32
	// Weight [R] of a row in the loss; 0 is an input that is not scored. Nil: all 1.
	Weight []float32
	// Present [R] is 1 for an event and 0 for padding. Nil: all 1.
	Present []float32
}

// NetworkOptions say how a network runs. The zero value is for inference with the best kernels on
// one thread.
type NetworkOptions struct {
	Kernels device.Kernels // nil: the best that the processor has
	// Device, where not nil, runs the network instead of the processor. A network for training keeps
	// its weights there: see Sync. Results differ from the processor's in the last bits.
	Device *opencl.Device
	// FallBack lets the processor take over where the device fails: in NewNetwork, and for inference at
	// any time. A training step that fails is an error in any case, since the weights are lost.
	FallBack bool
	// Threads that one step may use. Two are nearly twice as fast as one, more add little; the
	// results are the same bits. Several single-threaded networks side by side are faster still.
	Threads  int
	Training bool   // else TrainStep is an error, and less memory is needed
	Seed     uint64 // of the dropout
	Adam     rnn.AdamOptions
	// Frozen promises that nobody writes to the weights while the network exists, so that their
	// copy in the kernels' order is made once and not for each batch. Inference only.
	Frozen bool
}

// ErrNotFinite is returned by TrainStep when the loss is NaN or infinite.
var ErrNotFinite = errors.New("the loss is not finite")

// Network runs the model on batches of one size. It is not safe for concurrent use; separate networks
// are independent, even when they share weights that none of them trains.
type Network struct {
	config  NetworkConfig
	specs   []tensorSpec
	weights Weights
	batch   int
	options NetworkOptions
	workers *rnn.Workers
	closed  bool

	accelerator *rnn.Accelerator // nil without a device
	stale       bool             // the device has older weights than the host
	behind      bool             // the host has older weights than the device

	// Inputs of both graphs.
	numbers []float32 // InputIDs
	ids     []int32   // InputEmbedding
	targets []int32
	weight  []float32 // zero where not present
	present []float32

	training  *graph // nil unless options.Training
	inference *graph // built when first used
	adam      *rnn.Adam
	model     []gorgonia.ValueGrad
}

// graph is a compiled Gorgonia graph of the network.
type graph struct {
	layers  *rnn.Graph
	machine gorgonia.VM
	weights []*gorgonia.Node // in the order of Weights; nil for statistics
	output  *gorgonia.Node   // training: the loss; inference: log-probabilities
}

// NewNetwork compiles the network for batches of the given number of windows. The data of w is used in
// place: training writes to it, and networks made from the same w share it.
func NewNetwork(c NetworkConfig, w Weights, batch int, o NetworkOptions) (*Network, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if batch < 1 || batch > 1<<20 {
		return nil, fmt.Errorf("network: a batch of %d windows: want 1 to %d", batch, 1<<20)
	}
	if o.Frozen && o.Training {
		return nil, errors.New("network: weights that are trained cannot be frozen: unset Frozen or Training")
	}
	specs := c.tensors()
	if err := w.check(specs); err != nil {
		return nil, err
	}
	if o.Kernels == nil {
		k, err := device.Select("")
		if err != nil {
			return nil, fmt.Errorf("network: choose kernels: %w", err)
		}
		o.Kernels = k
	}
	rows := c.Window * batch
	n := &Network{
		config: c, specs: specs, weights: w, batch: batch, options: o,
		targets: make([]int32, rows*c.Components), weight: make([]float32, rows), present: make([]float32, rows),
	}
	if c.Input == InputEmbedding {
		n.ids = make([]int32, rows*c.Fields)
	} else {
		n.numbers = make([]float32, rows*c.Fields)
	}
	if err := n.open(o.Device); err != nil {
		if o.Device == nil || !o.FallBack {
			n.Close()
			return nil, err
		}
		n.leaveDevice()
		if err := n.open(nil); err != nil {
			n.Close()
			return nil, err
		}
	}
	return n, nil
}

// open starts what the network runs on, and builds the graph for training.
func (n *Network) open(d *opencl.Device) error {
	o := n.options
	if d != nil {
		a, err := rnn.NewAccelerator(d)
		if err != nil {
			return fmt.Errorf("network: %w", err)
		}
		n.accelerator, n.stale = a, true
	} else if o.Threads > 1 {
		n.workers = rnn.NewWorkers(o.Threads)
	}
	if !o.Training {
		return nil
	}
	g, err := n.build(true)
	if err != nil {
		return err
	}
	n.training = g
	n.adam = rnn.NewAdam(o.Adam, o.Kernels, n.workers)
	if d != nil {
		n.adam = rnn.NewAcceleratedAdam(o.Adam, n.accelerator)
	}
	for _, w := range g.weights {
		if w != nil {
			n.model = append(n.model, w)
		}
	}
	return nil
}

// leaveDevice frees the device, after which the network runs on the processor.
func (n *Network) leaveDevice() {
	if n.accelerator != nil {
		n.accelerator.Close() // it has failed: nothing to say that the caller does not know
	}
	n.accelerator, n.inference, n.stale, n.behind = nil, nil, false, false
}

// Engine names what the network runs on: the kernels, or "opencl: " and the device.
func (n *Network) Engine() string {
	t := device.Target{Kernels: n.options.Kernels}
	if n.accelerator != nil {
		t.OpenCL = n.accelerator.Device()
	}
	return t.Name()
}

// Close ends the network's goroutines and frees its device, after a Sync. The network cannot be used
// afterwards, its weights can.
func (n *Network) Close() error {
	if n.closed {
		return nil
	}
	n.closed = true
	if n.accelerator != nil {
		defer n.accelerator.Close()
	}
	if n.workers != nil {
		n.workers.Close()
	}
	err := n.Sync()
	for _, g := range []*graph{n.training, n.inference} {
		if g != nil {
			err = errors.Join(err, g.machine.Close())
		}
	}
	return err
}

// TrainStep runs one batch forwards and backwards and updates the weights. The loss is that of the
// batch before the update, the mean over all scored rows and components. If it is not finite the
// error is ErrNotFinite and no trainable weight was changed (the running statistics were).
func (n *Network) TrainStep(b *Batch) (loss float64, err error) {
	if n.training == nil {
		return 0, errors.New("network: train: the network was built for inference")
	}
	if err := n.load(b, true); err != nil {
		return 0, fmt.Errorf("network: train: %w", err)
	}
	n.training.layers.Step = n.adam.Steps()
	n.behind = n.accelerator != nil
	if err := n.run(n.training); err != nil {
		return 0, fmt.Errorf("network: train: %w", err)
	}
	loss = float64(*n.training.output.Value().(*gorgonia.F32))
	if math.IsNaN(loss) || math.IsInf(loss, 0) {
		return loss, fmt.Errorf("network: train: step %d: %w", n.adam.Steps()+1, ErrNotFinite)
	}
	if err := n.adam.Step(n.model); err != nil {
		return loss, fmt.Errorf("network: train: %w", err)
	}
	return loss, nil
}

// Evaluate scores a batch in inference mode: running statistics, no dropout. The loss is the mean over
// all scored rows and components; 0 if none is scored. Right counts the scored rows of which the likeliest
// class of each component of the label is the true one; a tie has no part in it.
func (n *Network) Evaluate(b *Batch) (loss float64, right int, err error) {
	logP, err := n.infer(b, true)
	if err != nil {
		return 0, 0, fmt.Errorf("network: evaluate: %w", err)
	}
	return rnn.FocalLoss(logP, n.targets, n.weight, n.config.Components, n.config.Classes), n.right(logP), nil
}

// right counts the scored rows whose label the likeliest classes make.
func (n *Network) right(logP []float32) int {
	outputs, classes := n.config.Components, n.config.Classes
	right := 0
	for row, weight := range n.weight {
		if weight == 0 {
			continue
		}
		all := true
		for k := 0; k < min(outputs, components) && all; k++ {
			at := row*outputs + k
			p := logP[at*classes : (at+1)*classes]
			for _, other := range p {
				all = all && other <= p[n.targets[at]]
			}
		}
		if all {
			right++
		}
	}
	return right
}

// Infer returns the logarithm of the probability of every class, [R x Components x Classes]. The slice
// is the network's own and valid until its next call; rows of padding mean nothing. Targets and
// weights of the batch are not needed.
func (n *Network) Infer(b *Batch) (logP []float32, err error) {
	logP, err = n.infer(b, false)
	if err != nil {
		return nil, fmt.Errorf("network: infer: %w", err)
	}
	return logP, nil
}

func (n *Network) infer(b *Batch, scored bool) ([]float32, error) {
	if err := n.load(b, scored); err != nil {
		return nil, err
	}
	logP, err := n.runInference()
	if err != nil && n.accelerator != nil && n.options.FallBack && !n.options.Training {
		n.leaveDevice()
		logP, err = n.runInference()
	}
	return logP, err
}

func (n *Network) runInference() ([]float32, error) {
	if n.inference == nil {
		g, err := n.build(false)
		if err != nil {
			return nil, err
		}
		n.inference = g
	}
	if err := n.run(n.inference); err != nil {
		return nil, err
	}
	logP := n.inference.output.Value().(*tensor.Dense).Float32s()
	if n.accelerator != nil {
		n.accelerator.Pull(logP)
		return logP, n.accelerator.Err()
	}
	return logP, nil
}

func (n *Network) run(g *graph) error {
	if n.accelerator != nil {
		return n.runAccelerated(g)
	}
	if !n.options.Frozen {
		g.layers.WeightsChanged()
	}
	defer g.machine.Reset()
	return g.machine.RunAll()
}

func (n *Network) runAccelerated(g *graph) error {
	a := n.accelerator
	if n.ids != nil {
		a.PushInts(n.ids)
	} else {
		a.Push(n.numbers)
	}
	a.Push(n.present)
	if g == n.training {
		a.Push(n.weight)
		a.PushInts(n.targets)
	}
	if n.stale {
		for _, w := range n.weights {
			a.Push(w.Data)
		}
		// Only a training network is alone with its weights.
		n.stale = !n.options.Training && !n.options.Frozen
	}
	defer g.machine.Reset()
	err := g.machine.RunAll()
	if a.Err() != nil {
		return a.Err() // Gorgonia's errors hide what they wrap
	}
	return err
}

// Sync copies the weights and the optimizer's state back from the device, where a training network
// keeps them: after TrainStep the weights that NewNetwork was given are out of date until Sync or
// Close. Changes of theirs reach the device only before the first step and through SetOptimizerState.
// Without a device Sync does nothing.
func (n *Network) Sync() error {
	if !n.behind {
		return nil
	}
	for _, w := range n.weights {
		n.accelerator.Pull(w.Data)
	}
	first, second := n.adam.Moments()
	n.accelerator.Pull(first...)
	n.accelerator.Pull(second...)
	if err := n.accelerator.Err(); err != nil {
		return fmt.Errorf("network: fetch weights: %w", err)
	}
	n.behind = false
	return nil
}

// SetLearningRate sets Adam's learning rate from the next step on.
func (n *Network) SetLearningRate(rate float64) {
	if n.adam != nil {
		n.adam.SetLearningRate(rate)
	}
}

// LearningRate is Adam's learning rate; 0 for a network built for inference.
func (n *Network) LearningRate() float64 {
	if n.adam == nil {
		return 0
	}
	return n.adam.LearningRate()
}

// OptimizerState is what, beside the weights, a training needs to go on as if it had never stopped.
type OptimizerState struct {
	Step         uint64 // steps done; also numbers the dropout masks
	LearningRate float64
	// Moments of the trainable tensors, under their names; empty at step 0.
	First, Second Weights
}

// OptimizerState returns a copy of the optimizer's state. Where a device was lost it is that of the last
// Sync, whose error tells.
func (n *Network) OptimizerState() OptimizerState {
	if n.adam == nil {
		return OptimizerState{}
	}
	_ = n.Sync() // the device's first error stays: the next call returns it
	s := OptimizerState{Step: n.adam.Steps(), LearningRate: n.adam.LearningRate()}
	first, second := n.adam.Moments()
	if first == nil {
		return s
	}
	i := 0
	for _, spec := range n.specs {
		if spec.trainable {
			s.First = append(s.First, Tensor{Name: spec.name, Shape: spec.shape, Data: first[i]})
			s.Second = append(s.Second, Tensor{Name: spec.name, Shape: spec.shape, Data: second[i]})
			i++
		}
	}
	s.First, s.Second = s.First.Clone(), s.Second.Clone()
	return s
}

// SetOptimizerState continues from a state that OptimizerState returned. It is copied. The weights on
// a device are taken anew from the host.
func (n *Network) SetOptimizerState(s OptimizerState) error {
	if n.adam == nil {
		return errors.New("network: set optimizer state: the network was built for inference")
	}
	n.stale, n.behind = n.accelerator != nil, false
	var trainable []tensorSpec
	for _, spec := range n.specs {
		if spec.trainable {
			trainable = append(trainable, spec)
		}
	}
	if len(s.First) == 0 && len(s.Second) == 0 && s.Step == 0 {
		n.adam.Resume(0, nil, nil)
		n.adam.SetLearningRate(s.LearningRate)
		return nil
	}
	if err := errors.Join(s.First.check(trainable), s.Second.check(trainable)); err != nil {
		return fmt.Errorf("network: set optimizer state: moments: %w", err)
	}
	var first, second [][]float32
	for i := range trainable {
		first, second = append(first, s.First[i].Data), append(second, s.Second[i].Data)
	}
	n.adam.Resume(s.Step, first, second)
	n.adam.SetLearningRate(s.LearningRate)
	return nil
}

// load verifies a batch and copies it to the inputs of the graphs.
func (n *Network) load(b *Batch, scored bool) error {
	if n.closed {
		return errors.New("the network is closed")
	}
	c := n.config
	rows := c.Window * n.batch
	for _, f := range []struct {
		name      string
		got, want int
		needed    bool
	}{
		{"ids", len(b.IDs), rows * c.Fields, true},
		{"targets", len(b.Targets), rows * c.Components, scored},
		{"loss weights", len(b.Weight), rows, b.Weight != nil},
		{"present flags", len(b.Present), rows, b.Present != nil},
	} {
		if f.needed && f.got != f.want {
			return fmt.Errorf("the batch has %d %s, %d windows of %d events need %d", f.got, f.name, n.batch, c.Window, f.want)
		}
	}
	fill(n.present, b.Present)
	fill(n.weight, b.Weight)
	for r := range rows {
		ids := b.IDs[r*c.Fields : (r+1)*c.Fields]
		switch n.present[r] {
		case 0:
			n.weight[r] = 0
			n.clearIDs(r)
			continue
		case 1:
		default:
			return fmt.Errorf("row %d: present is %v: want 0 or 1", r, n.present[r])
		}
		if err := n.loadIDs(r, ids); err != nil {
			return err
		}
		if scored {
			if err := n.loadTargets(r, b.Targets[r*c.Components:(r+1)*c.Components]); err != nil {
				return err
			}
		}
	}
	return nil
}

// fill copies from, or ones where from is nil.
func fill(to, from []float32) {
	if from != nil {
		copy(to, from)
		return
	}
	for i := range to {
		to[i] = 1
	}
}

func (n *Network) clearIDs(row int) {
	from, to := row*n.config.Fields, (row+1)*n.config.Fields
	if n.ids != nil {
		clear(n.ids[from:to])
	} else {
		clear(n.numbers[from:to])
	}
}

func (n *Network) loadIDs(row int, ids []int32) error {
	if n.ids == nil {
		for i, id := range ids {
			n.numbers[row*len(ids)+i] = float32(id)
		}
		return nil
	}
	for i, id := range ids {
		if id < 0 || int(id) >= n.config.Vocabulary {
			return fmt.Errorf("row %d, field %d: id %d is outside the vocabulary of %d", row, i, id, n.config.Vocabulary)
		}
	}
	copy(n.ids[row*len(ids):], ids)
	return nil
}

func (n *Network) loadTargets(row int, targets []int32) error {
	w := n.weight[row]
	if w == 0 {
		return nil
	}
	if !(w > 0) || math.IsInf(float64(w), 0) {
		return fmt.Errorf("row %d: loss weight is %v: want a finite number of at least 0", row, w)
	}
	for i, t := range targets {
		if t < 0 || int(t) >= n.config.Classes {
			return fmt.Errorf("row %d, component %d: target %d is outside the %d classes", row, i, t, n.config.Classes)
		}
	}
	copy(n.targets[row*len(targets):], targets)
	return nil
}

// build lays out the graph and compiles it.
func (n *Network) build(training bool) (*graph, error) {
	c := n.config
	g := rnn.NewGraph(rnn.Options{
		Window: c.Window, Batch: n.batch, Kernels: n.options.Kernels, Workers: n.workers, Accelerator: n.accelerator, Training: training,
	})
	rows := g.Rows()
	out := &graph{layers: g}
	nodes := make(map[string]*gorgonia.Node)
	moments := make(map[string][]float32)
	for i, s := range n.specs {
		var node *gorgonia.Node
		if s.trainable {
			node = g.Floats(s.name, n.weights[i].Data, s.shape...)
			nodes[s.name] = node
		} else {
			moments[s.name] = n.weights[i].Data
		}
		out.weights = append(out.weights, node)
	}
	present := g.Floats("present", n.present, rows)

	b := &builder{graph: g, nodes: nodes, moments: moments, present: present}
	if c.Input == InputEmbedding {
		ids := g.Ints("ids", n.ids, rows, c.Fields)
		b.apply("embedding", func() (*gorgonia.Node, error) { return g.Embedding(ids, nodes["embedding/table"]) })
	} else {
		b.x = g.Floats("ids", n.numbers, rows, c.Fields)
	}
	c.body().build(c, b)
	b.apply("dropout", func() (*gorgonia.Node, error) { return g.Dropout(b.x, c.Dropout, n.options.Seed) })
	b.dense("dense")
	b.norm("norm2")
	if !training {
		b.apply("softmax", func() (*gorgonia.Node, error) { return g.LogSoftmax(b.x, c.Components) })
		if b.err != nil {
			return nil, b.err
		}
		out.output = b.x
		out.machine = gorgonia.NewTapeMachine(g.Expr, gorgonia.EvalMode())
		return out, n.allocated()
	}

	targets := g.Ints("targets", n.targets, rows, c.Components)
	weight := g.Floats("weight", n.weight, rows)
	b.apply("loss", func() (*gorgonia.Node, error) { return g.SoftmaxFocal(b.x, targets, weight) })
	if b.err != nil {
		return nil, b.err
	}
	var trainable []*gorgonia.Node
	for _, w := range out.weights {
		if w != nil {
			trainable = append(trainable, w)
		}
	}
	if err := g.Gradients(b.x, trainable...); err != nil {
		return nil, fmt.Errorf("network: differentiate: %w", err)
	}
	out.output = b.x
	out.machine = gorgonia.NewTapeMachine(g.Expr)
	return out, n.allocated()
}

// allocated reports whether the device had room for the layers' buffers.
func (n *Network) allocated() error {
	if n.accelerator == nil || n.accelerator.Err() == nil {
		return nil
	}
	return fmt.Errorf("network: build for %s: %w", n.accelerator.Device(), n.accelerator.Err())
}
