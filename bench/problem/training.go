package problem

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/go-json-experiment/json"

	"k8ntext/dataset"
	"k8ntext/dataset/feature"
	"k8ntext/dataset/label"
	"k8ntext/model"
)

// Training is a training of the paper's network that other programs can repeat: the same first weights,
// the same windows in the same order, the same dropout, the same rules of the learning rate.
type Training struct {
	Config model.Config
	Seed   uint64
	Corpus *dataset.Corpus
	Split  *dataset.Split // the corpus less its last tenth, which is for validation
}

// NewTraining is a training of c, which must have the paper's features, labels and input.
func NewTraining(ctx context.Context, c model.Config, seed uint64) (*Training, error) {
	if c.Input != model.InputIDs || c.DropUserAgent != 0 || c.DropValue != 0 {
		return nil, fmt.Errorf("make a training: input %q, or values hidden at random: other programs know neither", c.Input)
	}
	corpus, err := dataset.Load(ctx, Corpus, label.Paper())
	if err != nil {
		return nil, fmt.Errorf("make a training: %w", err)
	}
	split, err := dataset.SplitAll(corpus, dataset.AllOptions{Length: c.Window})
	if err != nil {
		return nil, fmt.Errorf("make a training: %w", err)
	}
	return &Training{c, seed, corpus, split}, nil
}

// Windows is how many training windows an epoch shows.
func (t *Training) Windows() int { return len(model.EpochWindows(t.Config, t.Split, t.Seed, 1)) }

// Steps is how many steps they take.
func (t *Training) Steps() int { return (t.Windows() + t.Config.Batch - 1) / t.Config.Batch }

// ValidationWindows is how many windows the validation loss is over.
func (t *Training) ValidationWindows() int { return len(t.validation()) }

// Write writes the training to a folder: config.json; ids.npy [events x fields], targets.npy [events x
// components] and scored.npy [events] (0: the label is not known) of the corpus; the events of every
// window, in the order of the batches, as train-E.npy [windows x W] for each epoch from 1, and as
// validation.npy; the first weights as a [Problem] has them. All numbers but weights are int32.
func (t *Training) Write(dir string) error {
	encoder := feature.Fit(feature.Paper(), pick(t.Corpus.Events, t.Split.FitEvents))
	ids := encoder.Matrix(t.Corpus.Events)
	shape := t.Config.Network(encoder.Sizes(), t.Corpus.Space.M())
	text, err := json.Marshal(map[string]any{
		"window": shape.Window, "batch": t.Config.Batch, "fields": shape.Fields, "batches": 0,
		"components": shape.Components, "classes": shape.Classes, "units1": shape.Units1, "units2": shape.Units2,
		"dropout": t.Config.Dropout, "dropout_seed": fmt.Sprint(model.DropoutSeed(t.Seed)), // a string: more than 53 bits
		"epochs": t.Config.MaxEpochs, "learning_rate": t.Config.LearningRate, "patience": t.Config.Patience,
		"reduce_factor": t.Config.ReduceFactor, "reduce_patience": t.Config.ReducePatience,
	})
	if err != nil {
		return fmt.Errorf("write training: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "config.json"), append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("write training: %w", err)
	}
	events := len(t.Corpus.Events)
	targets, scored := make([]int32, 0, events*shape.Components), make([]int32, events)
	inputs := make([]int32, 0, events*shape.Fields)
	for i, l := range t.Corpus.Labels {
		inputs = append(inputs, ids.Row(i)...)
		var parts [5]int // class 0, which is not scored
		if l >= 0 {
			parts, scored[i] = t.Corpus.Space.Components(l), 1
		}
		for _, v := range parts {
			targets = append(targets, int32(v))
		}
	}
	put := func(name string, data []int32, shape ...int) {
		if err == nil {
			err = writeNPY(filepath.Join(dir, name+".npy"), "<i4", data, shape...)
		}
	}
	put("ids", inputs, events, shape.Fields)
	put("targets", targets, events, shape.Components)
	put("scored", scored, events)
	for e := 1; e <= t.Config.MaxEpochs; e++ {
		windows := model.EpochWindows(t.Config, t.Split, t.Seed, e)
		put(fmt.Sprintf("train-%d", e), t.events(windows), len(windows), t.Config.Window)
	}
	validation := t.validation()
	put("validation", t.events(validation), len(validation), t.Config.Window)
	if err != nil {
		return err
	}
	return writeWeights(dir, model.NewWeights(shape, t.Seed))
}

// validation are the windows of the validation loss.
func (t *Training) validation() []dataset.Window {
	var out []dataset.Window
	for i := 0; i < len(t.Split.Validation); i += t.Config.ValidationStride {
		out = append(out, t.Split.Validation[i])
	}
	return out
}

// events of full windows, one after the other.
func (t *Training) events(windows []dataset.Window) []int32 {
	var out []int32
	for _, w := range windows {
		out = append(out, t.Split.Events(w)...)
	}
	return out
}

func pick[T any](s []T, indices []int32) []T {
	out := make([]T, len(indices))
	for i, j := range indices {
		out[i] = s[j]
	}
	return out
}
