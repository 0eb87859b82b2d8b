package baseline

import (
	"context"
	"testing"

	"k8ntext/dataset"
	"k8ntext/dataset/audit"
	"k8ntext/dataset/feature"
	"k8ntext/metrics"
)

// TestCorpus runs every baseline on a fold of a real recording. The floors are well below what was
// measured, except where a value is known: the own label is right on .43 of this fold's events, on all
// background that rules decide, and by definition nowhere on own-wrong.
func TestCorpus(t *testing.T) {
	ctx := context.Background()
	corpus, err := dataset.Load(ctx, "sequential-1.34", nil)
	if err != nil {
		t.Fatal(err)
	}
	splits, err := dataset.SplitBlocked(corpus, dataset.BlockedOptions{Length: 40, Stride: 20})
	if err != nil {
		t.Fatal(err)
	}
	split := splits[2]
	var fit []*audit.Event
	for _, e := range split.FitEvents {
		fit = append(fit, corpus.Events[e])
	}
	d := Data{corpus, split, feature.Fit(feature.Honest(), fit).Matrix(corpus.Events)}
	test := split.TestEvents()

	type bounds struct{ low, high float64 }
	want := map[string]map[string]bounds{ // accuracy by method and subset
		"majority":               {metrics.SubsetAll: {.05, .4}},
		"own-label":              {metrics.SubsetAll: {.42, .44}, metrics.SubsetByRule: {1, 1}, metrics.SubsetOwnWrong: {0, 0}},
		"majority-per-own-label": {metrics.SubsetAll: {.6, 1}, metrics.SubsetOwnWrong: {.4, 1}},
		"identity":               {metrics.SubsetAll: {.85, 1}, metrics.SubsetOwnWrong: {.8, 1}},
		"naive-bayes":            {metrics.SubsetAll: {.4, 1}, metrics.SubsetOwnWrong: {.35, 1}},
		"tree":                   {metrics.SubsetAll: {.4, 1}, metrics.SubsetOwnWrong: {.35, 1}},
	}
	for _, b := range All(Options{TreeRows: 300}) {
		labels, note := run(t, b, d)
		outcomes := make([]metrics.Outcome, len(test))
		for i, e := range test {
			outcomes[i] = metrics.Outcome{
				True: corpus.Labels[e], Predicted: labels[i], Own: corpus.Own[e],
				Context: corpus.Context[e], Class: metrics.Class(corpus.Class[e]),
			}
		}
		got := make(map[string]float64)
		for _, r := range metrics.Score(outcomes, metrics.Options{Resamples: -1}) {
			if r.Metric == metrics.Accuracy {
				got[r.Subset] = r.Value
			}
		}
		t.Logf("%s (%s): %.3f of all, %.3f of own-wrong", b.Name(), note, got[metrics.SubsetAll], got[metrics.SubsetOwnWrong])
		for subset, within := range want[b.Name()] {
			if v := got[subset]; v < within.low || v > within.high {
				t.Errorf("%s: accuracy %.3f on %s, want %v to %v", b.Name(), v, subset, within.low, within.high)
			}
		}
	}
}

// The bits of a corpus' classes are those of metrics.
func TestClassBits(t *testing.T) {
	for _, c := range []struct {
		corpus  dataset.Class
		metrics metrics.Class
	}{
		{dataset.User, metrics.User},
		{dataset.Trigger, metrics.Trigger},
		{dataset.Ambiguous, metrics.Ambiguous},
		{dataset.NonResource, metrics.NonResource},
		{dataset.ByRule, metrics.ByRule},
	} {
		if metrics.Class(c.corpus) != c.metrics {
			t.Errorf("the corpus has bit %08b for what metrics calls %08b", c.corpus, c.metrics)
		}
	}
}
