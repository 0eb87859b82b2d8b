package baseline

import (
	"context"

	"k8ntext/dataset/label"
)

// ownLabel takes every event for its own cause.
type ownLabel struct{}

func (ownLabel) Name() string { return "own-label" }

func (ownLabel) Fit(_ context.Context, d Data) (Predictor, error) {
	return lookup{own: d.Corpus.Own}, nil
}

// majority gives every event the most frequent label of training.
type majority struct{}

func (majority) Name() string { return "majority" }

func (majority) Fit(_ context.Context, d Data) (Predictor, error) {
	events, err := d.training()
	if err != nil {
		return nil, err
	}
	counts := make(map[label.Label]int)
	for _, e := range events {
		counts[d.Corpus.Labels[e]]++
	}
	return constant{mostFrequent(counts), len(events)}, nil
}

// perOwn gives an event the label that events with its own label had most often in training, and its
// own label if there was none. No look at the neighbours: what it gains over ownLabel is what the mere
// kind of a request says of its cause.
type perOwn struct{}

func (perOwn) Name() string { return "majority-per-own-label" }

func (perOwn) Fit(_ context.Context, d Data) (Predictor, error) {
	events, err := d.training()
	if err != nil {
		return nil, err
	}
	counts := make(map[label.Label]map[label.Label]int)
	for _, e := range events {
		own := d.Corpus.Own[e]
		if counts[own] == nil {
			counts[own] = make(map[label.Label]int)
		}
		counts[own][d.Corpus.Labels[e]]++
	}
	table := make(map[label.Label]label.Label, len(counts))
	for own, c := range counts {
		table[own] = mostFrequent(c)
	}
	return lookup{own: d.Corpus.Own, table: table, trained: len(events)}, nil
}

// lookup answers by own label: what the table has for it, else the own label itself.
type lookup struct {
	own     []label.Label // of each event of the corpus
	table   map[label.Label]label.Label
	trained int
}

func (l lookup) Predict(_ context.Context, events []int32) ([]label.Label, error) {
	labels := make([]label.Label, len(events))
	for i, e := range events {
		labels[i] = l.own[e]
		if usual, ok := l.table[l.own[e]]; ok {
			labels[i] = usual
		}
	}
	return labels, nil
}

func (l lookup) Note() string {
	if l.table == nil {
		return ""
	}
	return trainedOn(l.trained)
}

// constant answers the same for every event.
type constant struct {
	label   label.Label
	trained int
}

func (c constant) Predict(_ context.Context, events []int32) ([]label.Label, error) {
	labels := make([]label.Label, len(events))
	for i := range labels {
		labels[i] = c.label
	}
	return labels, nil
}

func (c constant) Note() string { return trainedOn(c.trained) }
