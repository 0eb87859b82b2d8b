package model

import (
	"fmt"
	"math"
	"slices"

	"k8ntext/dataset"
	"k8ntext/dataset/feature"
)

// Config is everything that decides which model a training gives, besides the corpus, its split and
// the seed. Its TOML form is the section [model] of an experiment and the header of a model file.
type Config struct {
	// Window is W, the number of consecutive events that the network sees at once.
	Window int `toml:"window" json:"window"`
	// Features names the feature profile: "paper", "honest" or "linked".
	Features string `toml:"features" json:"features"`
	// Without lists the paths of the profile's features that are left out.
	Without []string `toml:"without" json:"without,omitempty"`
	// Labels names the label space: "paper", "default" or "controlplane". It must be the one of the corpus.
	Labels string `toml:"labels" json:"labels"`

	// Copy adds a softmax that says which of the requests that an event is tied to has its label, so
	// that the network can give labels that it never saw. It needs features = "linked".
	Copy bool `toml:"copy" json:"copy,omitzero"`

	// Input is "ids" (every field is one number, as the paper) or "embedding" (every field's value
	// has a learned vector; an event is the sum of its fields' vectors).
	Input string `toml:"input" json:"input"`
	// Embedding is the length of those vectors; 0 with input "ids".
	Embedding int `toml:"embedding" json:"embedding,omitempty"`
	// Architecture is "bilstm", the paper's, "lstm", "mlp", "cnn" or "transformer", see [Architecture].
	Architecture Architecture `toml:"architecture" json:"architecture,omitzero"`
	// Layers is the number of recurrent, dense or convolution layers, or of the Transformer's blocks; 0
	// means 2, as the paper.
	Layers int `toml:"layers" json:"layers,omitzero"`
	// Units1 is the number of units per direction of the first recurrent layer, or of the first layer of
	// another architecture, and the width of a Transformer; 0 means four per feature, as the paper.
	Units1 int `toml:"units1" json:"units1"`
	// Units2 is the same for every further layer, and for a Transformer's dense layers; 0 means three per
	// feature, as the paper.
	Units2 int `toml:"units2" json:"units2"`
	// Reach is how many events on either side a layer of an mlp or cnn takes in.
	Reach int `toml:"reach" json:"reach,omitzero"`
	// Heads is the number of a Transformer's attentions side by side; it divides units1.
	Heads int `toml:"heads" json:"heads,omitzero"`
	// Dropout is the share of the second layer's outputs that a training step leaves out.
	Dropout float64 `toml:"dropout" json:"dropout"`

	// Batch is the number of windows per training step.
	Batch int `toml:"batch" json:"batch"`
	// MaxEpochs is the number of epochs after which a training ends at the latest.
	MaxEpochs int `toml:"max_epochs" json:"max_epochs"`
	// LearningRate is Adam's at the start.
	LearningRate float64 `toml:"learning_rate" json:"learning_rate"`
	// Patience is how many epochs in a row the monitored loss may fail to fall before the training
	// stops; 0 means that it never stops early. The best epoch's weights are kept in any case.
	Patience int `toml:"patience" json:"patience"`
	// ReduceFactor is what the learning rate is multiplied with on a plateau.
	ReduceFactor float64 `toml:"reduce_factor" json:"reduce_factor"`
	// ReducePatience is how many epochs in a row without a fall make a plateau; 0 means that the
	// learning rate stays as it is.
	ReducePatience int `toml:"reduce_patience" json:"reduce_patience"`

	// Stride makes an epoch use every n-th training window, beginning at an offset drawn anew for
	// each epoch, so that over the epochs all windows take part; 1 uses all in every epoch.
	Stride int `toml:"stride" json:"stride"`
	// WindowsPerEpoch caps the windows of one epoch (the first of the shuffled ones); 0: no cap.
	WindowsPerEpoch int `toml:"windows_per_epoch" json:"windows_per_epoch,omitempty"`
	// ValidationStride makes the validation loss use every n-th validation window.
	ValidationStride int `toml:"validation_stride" json:"validation_stride"`

	// DropUserAgent is the probability with which a training window is shown without any of its user
	// agents: half of the times as if no client had sent one, half as if none were known. A log whose
	// tools the corpus never saw is then no surprise.
	DropUserAgent float64 `toml:"drop_user_agent" json:"drop_user_agent,omitempty"`
	// DropValue is the probability with which one value of one field is shown as unknown throughout a
	// training window, so that the unknown value's vector is learned too.
	DropValue float64 `toml:"drop_value" json:"drop_value,omitempty"`
	// BodyDropout is the probability with which a training window is shown as level Metadata would log
	// it, without bodies and what follows from them.
	BodyDropout float64 `toml:"body_dropout" json:"body_dropout,omitzero"`
	// Interleave is how many recordings may run at once in training: 1 or 0 shows them as they are; more
	// adds overlays of 2 to so many pieces of them, see [dataset.Interleave].
	Interleave int `toml:"interleave" json:"interleave,omitzero"`
}

// PaperConfig is the paper's setting (REFERENCE 6.2, newest): its 39 features as numbers, W = 60 and
// 717,627 trainable parameters.
func PaperConfig() Config {
	return Config{
		Window: 60, Features: "paper", Labels: "paper",
		Input: InputIDs, Dropout: 0.4,
		Batch: 32, MaxEpochs: 35, LearningRate: 0.004, Patience: 8, ReduceFactor: 0.1, ReducePatience: 4,
		Stride: 1, ValidationStride: 1,
	}
}

// DefaultConfig is the setting of the shipped model: no names and versions but how an event lies to others
// of its log, embedded, labels copied from related requests, and what a foreign log may lack or have at
// once dropped and overlaid at random in training (docs/learning.md).
func DefaultConfig() Config {
	return Config{
		Window: 40, Features: "linked", Labels: "default", Copy: true,
		Input: InputEmbedding, Embedding: 64, Units1: 128, Units2: 96, Dropout: 0.4,
		Batch: 32, MaxEpochs: 20, LearningRate: 0.004, Patience: 8, ReduceFactor: 0.3, ReducePatience: 3,
		Stride: 4, WindowsPerEpoch: 8000, ValidationStride: 4,
		DropUserAgent: 0.2, DropValue: 0.02, BodyDropout: 0.3, Interleave: 4,
	}
}

// Preset gives a configuration by name: "paper" or "default".
func Preset(name string) (Config, error) {
	switch name {
	case "paper":
		return PaperConfig(), nil
	case "default":
		return DefaultConfig(), nil
	}
	return Config{}, fmt.Errorf("unknown model preset %q: use paper or default", name)
}

// Limits of a configuration. They bound what a hostile model file can make its reader allocate, and
// lie far above anything that trains.
const (
	maxWindow    = 4096
	maxBatch     = 1 << 16
	maxUnits     = 1 << 14
	maxEmbedding = 1 << 14
	maxLayers    = 64
	maxCount     = 1 << 30
)

// Validate reports the first key whose value cannot be used, and what it may be.
func (c Config) Validate() error {
	integers := []struct {
		key       string
		value     int
		low, high int
	}{
		{key: "window", value: c.Window, low: 1, high: maxWindow},
		{key: "layers", value: c.Layers, low: 0, high: maxLayers},
		{key: "reach", value: c.Reach, low: 0, high: maxWindow},
		{key: "heads", value: c.Heads, low: 0, high: maxUnits},
		{key: "units1", value: c.Units1, low: 0, high: maxUnits},
		{key: "units2", value: c.Units2, low: 0, high: maxUnits},
		{key: "batch", value: c.Batch, low: 1, high: maxBatch},
		{key: "max_epochs", value: c.MaxEpochs, low: 1, high: maxCount},
		{key: "patience", value: c.Patience, low: 0, high: maxCount},
		{key: "reduce_patience", value: c.ReducePatience, low: 0, high: maxCount},
		{key: "stride", value: c.Stride, low: 1, high: maxCount},
		{key: "windows_per_epoch", value: c.WindowsPerEpoch, low: 0, high: maxCount},
		{key: "interleave", value: c.Interleave, low: 0, high: dataset.MaxTracks},
		{key: "validation_stride", value: c.ValidationStride, low: 1, high: maxCount},
	}
	for _, v := range integers {
		if v.value < v.low || v.value > v.high {
			return fmt.Errorf("model config: %s = %d: must be from %d to %d", v.key, v.value, v.low, v.high)
		}
	}
	shares := []struct {
		key   string
		value float64
	}{
		{"dropout", c.Dropout},
		{"drop_user_agent", c.DropUserAgent},
		{"drop_value", c.DropValue},
		{"body_dropout", c.BodyDropout},
	}
	for _, v := range shares {
		if !(v.value >= 0 && v.value < 1) { // also refuses NaN
			return fmt.Errorf("model config: %s = %v: must be at least 0 and below 1", v.key, v.value)
		}
	}
	if !(c.LearningRate > 0) || math.IsInf(c.LearningRate, 1) {
		return fmt.Errorf("model config: learning_rate = %v: must be above 0", c.LearningRate)
	}
	if c.ReducePatience > 0 && !(c.ReduceFactor > 0 && c.ReduceFactor < 1) {
		return fmt.Errorf("model config: reduce_factor = %v: must be above 0 and below 1 (or set reduce_patience = 0)", c.ReduceFactor)
	}
	switch c.Input {
	case InputIDs:
		if c.Embedding != 0 {
			return fmt.Errorf("model config: embedding = %d: has no use with input = %q; leave it out or set input = %q", c.Embedding, InputIDs, InputEmbedding)
		}
	case InputEmbedding:
		if c.Embedding < 1 || c.Embedding > maxEmbedding {
			return fmt.Errorf("model config: embedding = %d: must be from 1 to %d with input = %q", c.Embedding, maxEmbedding, InputEmbedding)
		}
	default:
		return fmt.Errorf("model config: input = %q: use %q or %q", c.Input, InputIDs, InputEmbedding)
	}
	if err := c.validateArchitecture(); err != nil {
		return err
	}
	switch c.Labels {
	case "paper", "default", labelsControlPlane:
	default:
		return fmt.Errorf("model config: labels = %q: use paper, default or %s", c.Labels, labelsControlPlane)
	}
	if c.Copy && c.Labels == labelsControlPlane {
		return fmt.Errorf("model config: copy = true: labels = %q has no label that the network might not know", c.Labels)
	}
	if _, err := c.profile(); err != nil {
		return err
	}
	if c.Copy && c.ties() == 0 {
		return fmt.Errorf("model config: copy = true: features = %q ties events to no others; use features = \"linked\"", c.Features)
	}
	return nil
}

// validateArchitecture reports a key that the architecture cannot have or has no use for.
func (c Config) validateArchitecture() error {
	a := c.Architecture
	if a != "" && !slices.Contains(Architectures(), a) {
		return fmt.Errorf("model config: architecture = %q: use one of %q", a, Architectures())
	}
	neighbours := a == MLP || a == CNN
	switch {
	case c.Reach != 0 && !neighbours:
		return fmt.Errorf("model config: reach = %d: is for architecture = %q and %q", c.Reach, MLP, CNN)
	case c.Heads != 0 && a != Transformer:
		return fmt.Errorf("model config: heads = %d: is for architecture = %q", c.Heads, Transformer)
	case a == Transformer && (c.Heads == 0 || c.Units1 == 0 || c.Units1%c.Heads != 0):
		return fmt.Errorf("model config: heads = %d with units1 = %d: architecture = %q needs both, and heads that divide units1", c.Heads, c.Units1, a)
	case a == CNN && c.Layers > maxConvolutions:
		return fmt.Errorf("model config: layers = %d: architecture = %q takes at most %d", c.Layers, a, maxConvolutions)
	}
	return nil
}

// profile is the feature profile with the left-out features taken away.
func (c Config) profile() (feature.Profile, error) {
	p, err := feature.ByName(c.Features)
	if err != nil {
		return feature.Profile{}, fmt.Errorf("model config: features = %q: %w", c.Features, err)
	}
	if len(c.Without) == 0 {
		return p, nil
	}
	rest, err := p.Without(c.Without...)
	if err != nil {
		return feature.Profile{}, fmt.Errorf("model config: without = %q: %w", c.Without, err)
	}
	if len(rest.Fields()) == 0 {
		return feature.Profile{}, fmt.Errorf("model config: without leaves no feature of profile %q", c.Features)
	}
	return rest, nil
}

// Network is the shape of the network for an encoder whose fields have the given numbers of ids and a
// label space whose softmaxes have m classes.
func (c Config) Network(sizes []int, m int) NetworkConfig {
	n := NetworkConfig{
		Window: c.Window, Fields: len(sizes), Components: c.outputs(), Classes: m,
		Input: c.Input, EmbeddingDim: c.Embedding,
		Units1: c.Units1, Units2: c.Units2, Dropout: float32(c.Dropout),
		Architecture: c.Architecture, Depth: c.Layers, Reach: c.Reach, Heads: c.Heads,
	}
	if c.Input == InputEmbedding {
		for _, s := range sizes {
			n.Vocabulary += s
		}
	}
	if n.Units1 == 0 {
		n.Units1 = 4 * n.Fields
	}
	if n.Units2 == 0 {
		n.Units2 = 3 * n.Fields
	}
	return n
}

// components is the number of parts of a label: resource, subresource, namespaced, single, verb.
const components = 5

// ties is the number of ties that the network chooses among; 0 without Copy.
func (c Config) ties() int {
	if !c.Copy {
		return 0
	}
	p, err := feature.ByName(c.Features)
	if err != nil {
		return 0 // Validate has said so
	}
	return p.Ties()
}

// labelsControlPlane is the space of two labels, of which only the first part varies.
const labelsControlPlane = "controlplane"

// outputs is the number of the network's softmaxes: one for each part that varies and, with Copy, the one
// that chooses among the ties.
func (c Config) outputs() int {
	if c.Labels == labelsControlPlane {
		return 1
	}
	if c.Copy {
		return components + 1
	}
	return components
}
