// Package baseline labels events without the network: rules of thumb and classic learners that every
// score of the network stands beside.
//
// A baseline sees the same split as the network. It learns from the labelled events of the training
// part (never from those of validation) and answers for any events of the corpus.
package baseline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"k8ntext/dataset"
	"k8ntext/dataset/feature"
	"k8ntext/dataset/label"
)

// Baseline is a method that can be fitted to a split.
type Baseline interface {
	// Name is the method's name in records.
	Name() string
	// Fit learns from the training part of d's split. It fails if it needs labelled training events
	// and there are none, if d does not fit together, and if ctx ends.
	Fit(ctx context.Context, d Data) (Predictor, error)
}

// Predictor is a fitted baseline.
type Predictor interface {
	// Predict labels events, given as indices into the corpus, ascending; the result has their order.
	// [label.Unknown] stands where the method has no answer. It depends on nothing but the corpus'
	// events, what was fitted, and events.
	Predict(ctx context.Context, events []int32) ([]label.Label, error)
	// Note says what it was trained on, for records; empty if it needs no training.
	Note() string
}

// Data is what baselines may look at.
type Data struct {
	Corpus *dataset.Corpus
	Split  *dataset.Split
	// Features holds one row for each event of the corpus, encoded with vocabularies of the split's
	// FitEvents.
	Features feature.Matrix
}

// Options are the sizes of the learners.
type Options struct {
	// TreeRows bounds the training events of the decision tree, the only slow one: of more, so many are
	// drawn. 0 means 10,000.
	TreeRows int
	// Seed seeds the drawing.
	Seed uint64
}

// All returns every baseline, in the order that tables show them.
func All(o Options) []Baseline {
	return []Baseline{majority{}, ownLabel{}, perOwn{}, propagation{}, naiveBayes{}, newTree(o)}
}

// check tells whether the parts of d belong together.
func (d Data) check() error {
	if n := len(d.Corpus.Events); d.Features.Rows != n {
		return fmt.Errorf("the feature matrix has %d rows for %d events: encode the events of this corpus", d.Features.Rows, n)
	}
	return nil
}

var errNoTraining = errors.New("no labelled event in the training part: use a labelled corpus and a split with a training part")

// training returns the labelled events of the training part, ascending, or errNoTraining.
func (d Data) training() ([]int32, error) {
	events := slices.DeleteFunc(d.Split.TrainEvents(), func(e int32) bool { return d.Corpus.Labels[e] < 0 })
	if len(events) == 0 {
		return nil, errNoTraining
	}
	return events, nil
}

// mostFrequent returns the label with the highest count, the lowest of equals.
func mostFrequent(counts map[label.Label]int) label.Label {
	best := label.Unknown
	for l, n := range counts {
		if best < 0 || cmp.Or(cmp.Compare(counts[best], n), cmp.Compare(l, best)) < 0 {
			best = l
		}
	}
	return best
}

func trainedOn(n int) string { return fmt.Sprintf("trained on %d events", n) }
