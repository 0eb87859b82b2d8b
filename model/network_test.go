package model

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"k8ntext/dataset"
	"k8ntext/dataset/label"
	"k8ntext/model/device"
)

// paperConfig is the paper's network (REFERENCE 6.1 and 6.2).
func paperConfig() NetworkConfig {
	return NetworkConfig{
		Window: 60, Fields: 39, Components: 5, Classes: 59,
		Input: InputIDs, Units1: 4 * 39, Units2: 3 * 39, Dropout: .4,
	}
}

// smallConfig is a network with embedding that trains in a moment.
func smallConfig() NetworkConfig {
	return NetworkConfig{
		Window: 7, Fields: 3, Components: 5, Classes: 6,
		Input: InputEmbedding, Vocabulary: 20, EmbeddingDim: 8, Units1: 9, Units2: 7, Dropout: .25,
	}
}

// randomBatch has a padded window, a missing one and rows that are not scored.
func randomBatch(c NetworkConfig, batch int, seed uint64) *Batch {
	r := rand.New(rand.NewPCG(seed, 1))
	rows := c.Window * batch
	b := &Batch{
		IDs: make([]int32, rows*c.Fields), Targets: make([]int32, rows*c.Components),
		Weight: make([]float32, rows), Present: make([]float32, rows),
	}
	values := int32(8)
	if c.Input == InputEmbedding {
		values = int32(c.Vocabulary)
	}
	for i := range b.IDs {
		b.IDs[i] = r.Int32N(values)
	}
	for i := range b.Targets {
		b.Targets[i] = r.Int32N(int32(c.Classes))
	}
	for i := range rows {
		t, w := i/batch, i%batch
		if w == batch-1 && batch > 1 || w == 0 && t > c.Window/2 {
			b.IDs[i*c.Fields], b.Targets[i*c.Components] = -1, -1 // not read
			continue
		}
		b.Present[i] = 1
		if t != 2 {
			b.Weight[i] = 1
		}
	}
	return b
}

func newNetwork(t testing.TB, c NetworkConfig, w Weights, batch int, o NetworkOptions) *Network {
	t.Helper()
	n, err := NewNetwork(c, w, batch, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	return n
}

func trainSteps(t testing.TB, n *Network, c NetworkConfig, from, to uint64) (losses []float64) {
	t.Helper()
	for step := from; step < to; step++ {
		loss, err := n.TrainStep(randomBatch(c, n.batch, step))
		if err != nil {
			t.Fatal(err)
		}
		losses = append(losses, loss)
	}
	return losses
}

func sameWeights(t *testing.T, what string, a, b Weights) {
	t.Helper()
	for i := range a {
		if !slices.Equal(a[i].Data, b[i].Data) {
			t.Errorf("%s: %s has other bits", what, a[i].Name)
		}
	}
}

func eachKernels(t *testing.T, f func(t *testing.T, k device.Kernels)) {
	for _, name := range device.Available() {
		t.Run(name, func(t *testing.T) { f(t, kernels(t, name)) })
	}
}

func TestNetworkParameters(t *testing.T) {
	if trainable, statistics := paperConfig().Parameters(); trainable != 717627 || statistics != 1214 {
		t.Errorf("the paper's network has %d + %d parameters, want 717627 + 1214", trainable, statistics)
	}
	c := smallConfig()
	trainable, statistics := c.Parameters()
	sum := 0
	for _, w := range NewWeights(c, 1) {
		sum += len(w.Data)
	}
	if sum != trainable+statistics {
		t.Errorf("weights hold %d values, Parameters says %d", sum, trainable+statistics)
	}
}

func TestNewWeights(t *testing.T) {
	c := smallConfig()
	w, again, other := NewWeights(c, 1), NewWeights(c, 1), NewWeights(c, 2)
	sameWeights(t, "equal seeds", w, again)
	for i, v := range w {
		constant := slices.Min(v.Data) == slices.Max(v.Data) || strings.HasSuffix(v.Name, "/bias")
		if equal := slices.Equal(v.Data, other[i].Data); equal != constant {
			t.Errorf("%s: equal for two seeds: %v, want %v", v.Name, equal, constant)
		}
	}
	// A tensor does not depend on those before it.
	ids := c
	ids.Input, ids.Vocabulary, ids.EmbeddingDim, ids.Fields = InputIDs, 0, 0, c.EmbeddingDim
	sameWeights(t, "without the embedding", w[1:], NewWeights(ids, 1))
}

// TestNetworkDeterminism: the same seed gives the same bits, on one thread and on two, and after an
// interruption that keeps weights and optimizer state.
func TestNetworkDeterminism(t *testing.T) {
	eachKernels(t, func(t *testing.T, k device.Kernels) {
		c := smallConfig()
		const batch, steps = 5, 6
		run := func(threads int, seed uint64) (Weights, []float64) {
			w := NewWeights(c, 3)
			n := newNetwork(t, c, w, batch, NetworkOptions{Kernels: k, Training: true, Threads: threads, Seed: seed})
			return w, trainSteps(t, n, c, 0, steps)
		}
		w, losses := run(1, 8)
		if first, last := NewWeights(c, 3), w; slices.Equal(first[0].Data, last[0].Data) {
			t.Fatal("training changed nothing")
		}
		for _, threads := range []int{1, 2, 3} {
			again, repeated := run(threads, 8)
			sameWeights(t, fmt.Sprintf("%d threads", threads), w, again)
			if !slices.Equal(losses, repeated) {
				t.Errorf("%d threads: losses %v, want %v", threads, repeated, losses)
			}
		}
		if _, others := run(1, 9); slices.Equal(losses, others) {
			t.Error("the seed of the dropout changes nothing")
		}

		w2 := NewWeights(c, 3)
		o := NetworkOptions{Kernels: k, Training: true, Seed: 8}
		a := newNetwork(t, c, w2, batch, o)
		trainSteps(t, a, c, 0, 2)
		saved, state := w2.Clone(), a.OptimizerState()
		trainSteps(t, a, c, 10, 12) // must not reach the saved state
		b := newNetwork(t, c, saved, batch, o)
		if err := b.SetOptimizerState(state); err != nil {
			t.Fatal(err)
		}
		trainSteps(t, b, c, 2, steps)
		sameWeights(t, "resumed", w, saved)
	})
}

// TestNetworkPadding: padding must be as if it were not there. A batch with missing windows and one
// whose windows are all short train like the smaller network they stand for.
func TestNetworkPadding(t *testing.T) {
	eachKernels(t, func(t *testing.T, k device.Kernels) {
		c := smallConfig()
		c.Dropout = 0
		const batch, steps = 4, 3
		full := func(c NetworkConfig, batch int) *Batch {
			b := randomBatch(c, batch+1, 5)
			b.Present, b.Weight = nil, nil
			rows := c.Window * batch
			for i, id := range b.IDs {
				b.IDs[i] = max(id, 0)
			}
			for i, v := range b.Targets {
				b.Targets[i] = max(v, 0)
			}
			b.IDs, b.Targets = b.IDs[:rows*c.Fields], b.Targets[:rows*c.Components]
			return b
		}
		train := func(c NetworkConfig, batch int, b *Batch) (Weights, []float64) {
			w := NewWeights(c, 4)
			n := newNetwork(t, c, w, batch, NetworkOptions{Kernels: k, Training: true})
			var losses []float64
			for range steps {
				loss, err := n.TrainStep(b)
				if err != nil {
					t.Fatal(err)
				}
				losses = append(losses, loss)
			}
			loss, _, err := n.Evaluate(b)
			if err != nil {
				t.Fatal(err)
			}
			return w, append(losses, loss)
		}
		// pad copies a batch into a larger one whose other rows are garbage that is not present.
		pad := func(c NetworkConfig, b *Batch, window, batch int, large NetworkConfig, largeBatch int) *Batch {
			p := randomBatch(large, largeBatch, 6)
			clear(p.Present)
			for r := range window * batch {
				to := r/batch*largeBatch + r%batch
				p.Present[to], p.Weight[to] = 1, 1
				copy(p.IDs[to*c.Fields:], b.IDs[r*c.Fields:(r+1)*c.Fields])
				copy(p.Targets[to*c.Components:], b.Targets[r*c.Components:(r+1)*c.Components])
			}
			return p
		}
		b := full(c, batch)
		w, losses := train(c, batch, b)
		long := c
		long.Window += 4
		for name, other := range map[string]struct {
			c     NetworkConfig
			batch int
		}{"missing windows": {c, batch + 3}, "short windows": {long, batch}, "both": {long, batch + 2}} {
			padded, paddedLosses := train(other.c, other.batch, pad(c, b, c.Window, batch, other.c, other.batch))
			for i, loss := range losses {
				if d := math.Abs(loss-paddedLosses[i]) / loss; !(d < 1e-5) {
					t.Errorf("%s: loss %d is %v, want %v", name, i, paddedLosses[i], loss)
				}
			}
			for i := range w {
				if d := distance(padded[i].Data, w[i].Data); !(d < 1e-3) {
					t.Errorf("%s: %s differs by %.2g", name, w[i].Name, d)
				}
			}
		}
	})
}

// distance is |a-b| / |b|.
func distance(a, b []float32) float64 {
	var square, norm float64
	for i := range a {
		d := float64(a[i]) - float64(b[i])
		square += d * d
		norm += float64(b[i]) * float64(b[i])
	}
	return math.Sqrt(square / norm)
}

// TestNetworkNumericGradient moves each tensor along its gradient and compares the change of the
// training loss with the gradient's square. (The golden test is far sharper; this one needs no peer.)
func TestNetworkNumericGradient(t *testing.T) {
	eachKernels(t, func(t *testing.T, k device.Kernels) {
		c := smallConfig()
		w := NewWeights(c, 4)
		n := newNetwork(t, c, w, 5, NetworkOptions{Kernels: k, Training: true})
		if err := n.load(randomBatch(c, 5, 3), true); err != nil {
			t.Fatal(err)
		}
		loss := func() float64 {
			if err := n.run(n.training); err != nil {
				t.Fatal(err)
			}
			return float64(*n.training.output.Value().(*gorgonia.F32))
		}
		loss()
		trainable := 0
		for i, s := range n.specs {
			if !s.trainable {
				continue
			}
			v, err := n.model[trainable].Grad()
			if err != nil {
				t.Fatal(err)
			}
			trainable++
			grad := slices.Clone(v.(*tensor.Dense).Float32s())
			var square float64
			for _, g := range grad {
				square += float64(g) * float64(g)
			}
			// A step that changes the loss by about 2e-5 either way.
			h := 2e-5 / square
			before := slices.Clone(w[i].Data)
			move := func(by float64) float64 {
				for j, g := range grad {
					w[i].Data[j] = float32(float64(before[j]) + by*float64(g))
				}
				return loss()
			}
			slope := (move(h) - move(-h)) / (2 * h)
			copy(w[i].Data, before)
			if math.Abs(slope/square-1) > .03 {
				t.Errorf("%s: numeric slope %.4g, gradient %.4g", s.name, slope, square)
			}
		}
	})
}

// TestNetworkSharedWeights: inference networks of other batch sizes see what training writes, frozen
// ones keep what they saw first, and Infer's probabilities do not depend on the batch.
func TestNetworkSharedWeights(t *testing.T) {
	c := smallConfig()
	k := kernels(t, "generic")
	w := NewWeights(c, 4)
	trainer := newNetwork(t, c, w, 5, NetworkOptions{Kernels: k, Training: true})
	single := newNetwork(t, c, w, 1, NetworkOptions{Kernels: k})
	frozen := newNetwork(t, c, w, 1, NetworkOptions{Kernels: k, Frozen: true})
	b := randomBatch(c, 1, 9)
	infer := func(n *Network, b *Batch) []float32 {
		t.Helper()
		logP, err := n.Infer(b)
		if err != nil {
			t.Fatal(err)
		}
		return slices.Clone(logP)
	}
	before := infer(single, b)
	if !slices.Equal(before, infer(frozen, b)) {
		t.Error("a frozen network differs")
	}
	trainSteps(t, trainer, c, 0, 3)
	after := infer(single, b)
	if slices.Equal(before, after) {
		t.Error("training did not reach the inference network")
	}

	for i := 0; i < len(after); i += c.Classes {
		sum := 0.
		for _, v := range after[i : i+c.Classes] {
			sum += math.Exp(float64(v))
		}
		if b.Present[i/c.Classes/c.Components] != 0 && math.Abs(sum-1) > 1e-5 {
			t.Fatalf("probabilities sum up to %v", sum)
		}
	}

	// The same window as number 3 of five.
	five := randomBatch(c, 5, 10)
	for t := range c.Window {
		row := t*5 + 3
		five.Present[row] = b.Present[t]
		copy(five.IDs[row*c.Fields:], b.IDs[t*c.Fields:(t+1)*c.Fields])
	}
	wide := infer(trainer, five)
	n := c.Components * c.Classes
	for t0 := range c.Window {
		if b.Present[t0] == 0 {
			continue
		}
		row := t0*5 + 3
		if d := distance(wide[row*n:(row+1)*n], after[t0*n:(t0+1)*n]); !(d < 1e-5) {
			t.Errorf("position %d: another batch size differs by %.2g", t0, d)
		}
	}
	if loss, _, err := single.Evaluate(b); err != nil || loss <= 0 {
		t.Errorf("evaluate: %v, %v", loss, err)
	}
}

// TestEvaluateCountsRight aims some rows at what the network says, all components or all but one.
func TestEvaluateCountsRight(t *testing.T) {
	c := smallConfig()
	n := newNetwork(t, c, NewWeights(c, 8), 4, NetworkOptions{Kernels: kernels(t, "generic")})
	b := randomBatch(c, 4, 12)
	logP, err := n.Infer(b)
	if err != nil {
		t.Fatal(err)
	}
	logP = slices.Clone(logP)
	want := 0
	for row := range b.Weight {
		if b.Present[row] == 0 {
			continue
		}
		for k := range c.Components {
			p := logP[(row*c.Components+k)*c.Classes:][:c.Classes]
			b.Targets[row*c.Components+k] = int32(slices.Index(p, slices.Max(p)))
		}
		switch wrong := b.Targets[row*c.Components:]; {
		case row%3 == 0:
			wrong[row%min(c.Components, components)]++
			wrong[row%min(c.Components, components)] %= int32(c.Classes)
		case b.Weight[row] > 0:
			want++
		}
	}
	_, got, err := n.Evaluate(b)
	if err != nil || got != want || want == 0 {
		t.Errorf("%d rows right, want %d; %v", got, want, err)
	}
}

// TestNetworksInParallel trains networks side by side; the race detector watches.
func TestNetworksInParallel(t *testing.T) {
	c := smallConfig()
	k := kernels(t, "generic")
	const networks = 3
	var wait sync.WaitGroup
	weights := make([]Weights, networks)
	for i := range networks {
		weights[i] = NewWeights(c, 3)
		wait.Go(func() {
			n, err := NewNetwork(c, weights[i], 4, NetworkOptions{Kernels: k, Training: true, Threads: 1 + i})
			if err != nil {
				t.Error(err)
				return
			}
			defer n.Close()
			for step := range uint64(3) {
				b := randomBatch(c, 4, step)
				_, err := n.TrainStep(b)
				_, _, err2 := n.Evaluate(b)
				if err = errors.Join(err, err2); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wait.Wait()
	for _, w := range weights[1:] {
		sameWeights(t, "in parallel", weights[0], w)
	}
}

func TestNetworkNotFinite(t *testing.T) {
	c := smallConfig()
	w := NewWeights(c, 3)
	n := newNetwork(t, c, w, 4, NetworkOptions{Kernels: kernels(t, "generic"), Training: true})
	w[0].Data[0] = float32(math.NaN())
	before := w.Clone()
	b := randomBatch(c, 4, 1)
	b.IDs[1] = 0
	if _, err := n.TrainStep(b); !errors.Is(err, ErrNotFinite) {
		t.Fatalf("error %v, want ErrNotFinite", err)
	}
	for i, s := range n.specs {
		if s.trainable && !slices.Equal(w[i].Data[1:], before[i].Data[1:]) {
			t.Errorf("%s was changed", s.name)
		}
	}
}

func TestNetworkErrors(t *testing.T) {
	k := kernels(t, "generic")
	c := smallConfig()
	for name, change := range map[string]func(*NetworkConfig){
		"Window":       func(c *NetworkConfig) { c.Window = 0 },
		"Fields":       func(c *NetworkConfig) { c.Fields = -1 },
		"Components":   func(c *NetworkConfig) { c.Components = 0 },
		"Classes":      func(c *NetworkConfig) { c.Classes = math.MaxInt },
		"Units1":       func(c *NetworkConfig) { c.Units1 = 0 },
		"Units2":       func(c *NetworkConfig) { c.Units2 = 1 << 40 },
		"Dropout":      func(c *NetworkConfig) { c.Dropout = float32(math.NaN()) },
		"\"words\"":    func(c *NetworkConfig) { c.Input = "words" },
		"Vocabulary":   func(c *NetworkConfig) { c.Vocabulary = 0 },
		"EmbeddingDim": func(c *NetworkConfig) { c.Input, c.Vocabulary = InputIDs, 0 },
	} {
		bad := c
		change(&bad)
		if _, err := NewNetwork(bad, nil, 4, NetworkOptions{Kernels: k}); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("bad %s: error %v", name, err)
		}
	}

	w := NewWeights(c, 1)
	other := c
	other.Units1++
	for name, err := range map[string]error{
		"batch":   second(NewNetwork(c, w, 0, NetworkOptions{Kernels: k})),
		"frozen":  second(NewNetwork(c, w, 1, NetworkOptions{Kernels: k, Frozen: true, Training: true})),
		"tensors": second(NewNetwork(c, w[1:], 1, NetworkOptions{Kernels: k})),
		"kernel":  second(NewNetwork(other, w, 1, NetworkOptions{Kernels: k})),
	} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: error %v", name, err)
		}
	}

	n := newNetwork(t, c, w, 4, NetworkOptions{Kernels: k, Training: true})
	row := 1*4 + 1 // present and scored
	for name, change := range map[string]func(*Batch){
		"ids":          func(b *Batch) { b.IDs = b.IDs[1:] },
		"targets":      func(b *Batch) { b.Targets = nil },
		"weights":      func(b *Batch) { b.Weight = b.Weight[1:] },
		"present":      func(b *Batch) { b.Present[row] = .5 },
		"flags":        func(b *Batch) { b.Present = b.Present[1:] },
		"vocabulary":   func(b *Batch) { b.IDs[row*c.Fields] = int32(c.Vocabulary) },
		"field 1":      func(b *Batch) { b.IDs[row*c.Fields+1] = -1 },
		"classes":      func(b *Batch) { b.Targets[row*c.Components] = int32(c.Classes) },
		"component 2":  func(b *Batch) { b.Targets[row*c.Components+2] = -1 },
		"finite":       func(b *Batch) { b.Weight[row] = float32(math.Inf(1)) },
		"loss weight":  func(b *Batch) { b.Weight[row] = float32(math.NaN()) },
		"at least 0":   func(b *Batch) { b.Weight[row] = -1 },
		"want 0 or 1":  func(b *Batch) { b.Present[row] = float32(math.NaN()) },
		"4 windows of": func(b *Batch) { *b = *randomBatch(c, 3, 1) },
	} {
		b := randomBatch(c, 4, 1)
		change(b)
		if _, err := n.TrainStep(b); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("bad %s: error %v", name, err)
		}
	}
	if _, err := n.TrainStep(randomBatch(c, 4, 1)); err != nil {
		t.Errorf("a good batch after bad ones: %v", err)
	}
	state := n.OptimizerState()
	state.First[0].Data = state.First[0].Data[1:]
	if err := n.SetOptimizerState(state); err == nil {
		t.Error("moments of another size: no error")
	}
	if err := w.CopyFrom(w[1:]); err == nil {
		t.Error("copy of other weights: no error")
	}

	reader := newNetwork(t, c, w, 4, NetworkOptions{Kernels: k})
	if _, err := reader.TrainStep(randomBatch(c, 4, 1)); err == nil {
		t.Error("training with an inference network: no error")
	}
	if err := reader.SetOptimizerState(OptimizerState{}); err == nil {
		t.Error("optimizer state of an inference network: no error")
	}
	reader.Close()
	if _, err := reader.Infer(randomBatch(c, 4, 1)); err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("use after Close: error %v", err)
	}
}

func second(_ *Network, err error) error { return err }

// BenchmarkTrainStep is one step of the paper's network at its batch size.
func BenchmarkTrainStep(b *testing.B) {
	c := paperConfig()
	for _, e := range engines(b) {
		for _, threads := range []int{1, 2} {
			if e.options.Device != nil && threads > 1 {
				continue
			}
			b.Run(fmt.Sprintf("%s/threads=%d", e.name, threads), func(b *testing.B) {
				o := e.options
				o.Training, o.Threads, o.Adam.LearningRate = true, threads, 1e-4
				n := newNetwork(b, c, NewWeights(c, 1), 32, o)
				batch := randomBatch(c, 32, 1)
				batch.Present, batch.Weight = nil, nil
				for i := range batch.IDs {
					batch.IDs[i] = max(batch.IDs[i], 0)
				}
				for i := range batch.Targets {
					batch.Targets[i] = max(batch.Targets[i], 0)
				}
				step := func() {
					if _, err := n.TrainStep(batch); err != nil {
						b.Fatal(err)
					}
				}
				step()
				b.ReportAllocs()
				for b.Loop() {
					step()
				}
			})
		}
	}
}

// BenchmarkEpoch is an epoch of the paper's training on every sixteenth window of the corpus in the program,
// and the validation loss over every sixteenth.
func BenchmarkEpoch(b *testing.B) {
	corpus, err := dataset.Load(b.Context(), "sequential-1.34", label.Paper())
	if err != nil {
		b.Fatal(err)
	}
	c := PaperConfig()
	c.MaxEpochs, c.Stride, c.ValidationStride = 1, 16, 16
	split, err := dataset.SplitAll(corpus, dataset.AllOptions{Length: c.Window})
	if err != nil {
		b.Fatal(err)
	}
	for _, threads := range []int{1, 2} {
		b.Run(fmt.Sprintf("threads=%d", threads), func(b *testing.B) {
			windows := 0
			for b.Loop() {
				_, h, err := Train(b.Context(), c, corpus, split, TrainOptions{Seed: 1, Threads: threads})
				if err != nil {
					b.Fatal(err)
				}
				windows += h.Epochs[0].Windows
			}
			b.ReportMetric(b.Elapsed().Seconds()*1e3/float64(windows), "ms/window")
		})
	}
}

// BenchmarkInfer labels batches of the paper's windows on one thread.
func BenchmarkInfer(b *testing.B) {
	c := paperConfig()
	w := NewWeights(c, 1)
	for _, e := range engines(b) {
		for _, batch := range []int{1, 32} {
			b.Run(fmt.Sprintf("%s/batch=%d", e.name, batch), func(b *testing.B) {
				o := e.options
				o.Frozen = true
				n := newNetwork(b, c, w, batch, o)
				ids := &Batch{IDs: make([]int32, c.Window*batch*c.Fields)}
				infer := func() {
					if _, err := n.Infer(ids); err != nil {
						b.Fatal(err)
					}
				}
				infer()
				b.ReportAllocs()
				for b.Loop() {
					infer()
				}
			})
		}
	}
}
