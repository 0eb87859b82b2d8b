package experiments

import (
	"slices"
	"testing"

	"github.com/go-json-experiment/json"
	"pgregory.net/rapid"

	"k8ntext/dataset/label"
	"k8ntext/metrics"
	"k8ntext/model"
)

func TestCellsAsText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := Cells(rapid.SliceOf(rapid.Custom(func(t *rapid.T) metrics.Cell {
			return metrics.Cell{
				True:      label.Label(rapid.Int32().Draw(t, "true")),
				Predicted: label.Label(rapid.Int32().Draw(t, "given")),
				Count:     rapid.Int64Min(1).Draw(t, "count"),
			}
		})).Draw(t, "cells"))
		text, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		var got Cells
		if err := json.Unmarshal(text, &got); err != nil || !slices.Equal(got, want) {
			t.Fatalf("%s is read as %v, %v", text, got, err)
		}
	})
	for _, bad := range []string{"x", "1>2", "1>2:", "1>2:0", "1>2:-3", "1:2>3", "99999999999>1:1"} {
		if err := new(Cells).UnmarshalText([]byte(bad)); err == nil {
			t.Errorf("%q is read", bad)
		}
	}
}

func TestMargins(t *testing.T) {
	m := new(Margins)
	for _, p := range []model.Prediction{
		{Label: 1, RunnerUp: 2, Margin: 1},
		{Label: 2, RunnerUp: 1, Margin: 0},
		{Label: 2, RunnerUp: 3, Margin: .049},
		{Label: 1, RunnerUp: label.Unknown, Margin: .05},
	} {
		m.add(p, 1)
	}
	want := Margins{}
	want.Events[0], want.Events[1], want.Events[marginBins-1] = 2, 1, 1
	want.Right[1], want.Right[marginBins-1], want.Second[0] = 1, 1, 1
	if *m != want {
		t.Errorf("%+v, want %+v", *m, want)
	}
}

// TestResultsHaveDetail: what figures of confusion and margins need is in a result, and adds up.
func TestResultsHaveDetail(t *testing.T) {
	serial(t)
	c := sweep(t, writeCorpus(t, toyLines(blocks(120), 1)))
	s := Store{Dir: t.TempDir()}
	if err := Run(t.Context(), c, RunOptions{Store: s, Devices: on(portable(t))}); err != nil {
		t.Fatal(err)
	}
	trials, _, err := c.plan(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	results, _, err := s.LoadAll(trials)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		var all, right int64
		for _, cell := range r.Confusion {
			all += cell.Count
			if cell.True == cell.Predicted {
				right += cell.Count
			}
		}
		subset := metrics.SubsetAll
		if r.Protocol == ProtocolPaper {
			subset = metrics.SubsetWindows
		}
		accuracy, _ := value(r, MethodNetwork, subset, metrics.Accuracy)
		if all == 0 || float64(right)/float64(all) != accuracy {
			t.Errorf("%s: %d of %d right in the confusion matrix, accuracy %g", r.Trial.Experiment, right, all, accuracy)
		}
		if (r.Margins == nil) != (r.Protocol == ProtocolPaper) {
			t.Errorf("%s has margins %v", r.Trial.Experiment, r.Margins)
		}
		if r.Margins != nil {
			events, good := 0, 0
			for i := range r.Margins.Events {
				events += r.Margins.Events[i]
				good += r.Margins.Right[i]
			}
			if int64(events) != all || int64(good) != right {
				t.Errorf("%s: %d of %d right by margins, %d of %d by the confusion matrix", r.Trial.Experiment, good, events, right, all)
			}
		}
	}
}
