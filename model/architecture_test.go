package model

import (
	"bytes"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"k8ntext/model/rnn"
)

// architectureConfigs are small networks of every kind and of unusual depths.
func architectureConfigs() map[string]NetworkConfig {
	with := func(change func(c *NetworkConfig)) NetworkConfig {
		c := smallConfig()
		change(&c)
		return c
	}
	return map[string]NetworkConfig{
		"one BiLSTM":    with(func(c *NetworkConfig) { c.Depth = 1 }),
		"three BiLSTMs": with(func(c *NetworkConfig) { c.Depth = 3 }),
		"LSTM":          with(func(c *NetworkConfig) { c.Architecture, c.Depth = LSTM, 1 }),
		"two LSTMs":     with(func(c *NetworkConfig) { c.Architecture = LSTM }),
		"MLP":           with(func(c *NetworkConfig) { c.Architecture, c.Reach = MLP, 2 }),
		"event alone":   with(func(c *NetworkConfig) { c.Architecture = MLP }),
		"CNN":           with(func(c *NetworkConfig) { c.Architecture, c.Reach, c.Depth = CNN, 1, 3 }),
		"Transformer":   with(func(c *NetworkConfig) { c.Architecture, c.Heads = Transformer, 3 }),
		"MLP of ids": with(func(c *NetworkConfig) {
			c.Architecture, c.Reach, c.Input, c.Vocabulary, c.EmbeddingDim = MLP, 1, InputIDs, 0, 0
		}),
	}
}

// TestArchitectures: every kind of network learns, gives the same bits on any number of threads, and its
// layers and weights add up to its parameters.
func TestArchitectures(t *testing.T) {
	for _, name := range slices.Sorted(maps.Keys(architectureConfigs())) {
		c := architectureConfigs()[name]
		t.Run(name, func(t *testing.T) {
			if err := c.Validate(); err != nil {
				t.Fatal(err)
			}
			trainable, statistics := c.Parameters()
			for _, l := range c.Layers() {
				trainable, statistics = trainable-l.Trainable, statistics-l.Statistics
			}
			if trainable != 0 || statistics != 0 {
				t.Errorf("the layers lack %d parameters and %d statistics", trainable, statistics)
			}
			run := func(threads int) (Weights, []float64) {
				w := NewWeights(c, 3)
				n := newNetwork(t, c, w, 5, NetworkOptions{Kernels: kernels(t, "generic"), Training: true, Threads: threads, Seed: 8, Adam: rnn.AdamOptions{LearningRate: .02}})
				var losses []float64
				for range 40 {
					loss, err := n.TrainStep(randomBatch(c, 5, 1))
					if err != nil {
						t.Fatal(err)
					}
					losses = append(losses, loss)
				}
				return w, losses
			}
			w, losses := run(1)
			if first, last := losses[0], losses[len(losses)-1]; !(last < .7*first) {
				t.Errorf("the loss of one batch fell from %.3f to %.3f only", first, last)
			}
			again, repeated := run(3)
			sameWeights(t, "three threads", w, again)
			if !slices.Equal(losses, repeated) {
				t.Errorf("losses %v, on three threads %v", losses, repeated)
			}
		})
	}
}

// TestArchitecturePadding: windows that are missing from a batch, and the end of a batch of short windows,
// change nothing.
func TestArchitecturePadding(t *testing.T) {
	k := kernels(t, "generic")
	for name, c := range architectureConfigs() {
		w := NewWeights(c, 3)
		infer := func(c NetworkConfig, batch int, b *Batch) []float32 {
			n := newNetwork(t, c, w, batch, NetworkOptions{Kernels: k})
			logP, err := n.Infer(b)
			if err != nil {
				t.Fatal(err)
			}
			return slices.Clone(logP)
		}
		short := randomBatch(c, 2, 5) // its first window is short, its second is missing
		full := infer(c, 2, short)
		alone := &Batch{Present: make([]float32, c.Window), IDs: make([]int32, c.Window*c.Fields)}
		for r := range c.Window {
			alone.Present[r] = short.Present[2*r]
			copy(alone.IDs[r*c.Fields:(r+1)*c.Fields], short.IDs[2*r*c.Fields:])
			if alone.Present[r] == 0 {
				alone.IDs[r*c.Fields] = int32(c.Fields) // something else, which must not matter
			}
		}
		single := infer(c, 1, alone)
		width := c.Components * c.Classes
		for r := range c.Window {
			if short.Present[2*r] == 0 {
				continue
			}
			for j := range width {
				if d := math.Abs(float64(full[2*r*width+j] - single[r*width+j])); !(d < 1e-5) {
					t.Fatalf("%s: position %d differs by %g without the padding", name, r, d)
				}
			}
		}
	}
}

// TestTrainArchitectures trains a tagger of each kind, whose file gives it again.
func TestTrainArchitectures(t *testing.T) {
	for _, change := range []func(c *Config){
		func(c *Config) { c.Architecture, c.Layers = LSTM, 1 },
		func(c *Config) { c.Architecture, c.Reach = MLP, 2 },
		func(c *Config) { c.Architecture, c.Reach, c.Layers = CNN, 1, 3 },
		func(c *Config) { c.Architecture, c.Heads, c.Units1 = Transformer, 2, 8 },
	} {
		c := toyConfig()
		c.MaxEpochs = 1
		change(&c)
		tagger, _, err := toyTrain(t, c, TrainOptions{Seed: 1, Kernels: kernels(t, "generic")})
		if err != nil {
			t.Fatalf("%s: %v", c.Architecture, err)
		}
		var file bytes.Buffer
		if err := tagger.Write(&file); err != nil {
			t.Fatal(err)
		}
		read, err := Read(&file)
		if err != nil {
			t.Fatalf("%s: %v", c.Architecture, err)
		}
		if read.Network() != tagger.Network() {
			t.Errorf("%s: the file's network is %+v, want %+v", c.Architecture, read.Network(), tagger.Network())
		}
		sameWeights(t, string(c.Architecture), tagger.Weights, read.Weights)
	}
}

func TestArchitectureErrors(t *testing.T) {
	for _, test := range []struct {
		change func(c *Config)
		want   string
	}{
		{func(c *Config) { c.Architecture = "gru" }, `architecture = "gru"`},
		{func(c *Config) { c.Layers = 65 }, "layers = 65"},
		{func(c *Config) { c.Reach = 2 }, `reach = 2: is for architecture = "mlp"`},
		{func(c *Config) { c.Heads = 2 }, `heads = 2: is for architecture = "transformer"`},
		{func(c *Config) { c.Architecture = Transformer }, "heads = 0"},
		{func(c *Config) { c.Architecture, c.Heads, c.Units1 = Transformer, 3, 8 }, "divide units1"},
		{func(c *Config) { c.Architecture, c.Layers = CNN, 13 }, "layers = 13"},
	} {
		c := DefaultConfig()
		test.change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("error %v does not say %q", err, test.want)
		}
	}
	c := DefaultConfig()
	c.Architecture = BiLSTM
	for _, c := range []Config{c, DefaultConfig()} {
		if err := c.Validate(); err != nil {
			t.Error(err)
		}
	}
}
