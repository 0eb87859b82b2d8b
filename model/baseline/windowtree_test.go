package baseline

import (
	"slices"
	"testing"

	"k8ntext/dataset/label"
)

// The tree that sees neighbours tells apart what no single event does: events that look the same, by the
// event before them.
func TestWindowTree(t *testing.T) {
	var training, others []event
	for i := range 40 {
		first, want := int32(1), a
		if i%3 == 0 {
			first, want = 2, b
		}
		pair := []event{{own: c, label: d, ids: []int32{first}}, {own: c, label: want, ids: []int32{9}}}
		if i < 30 {
			training = append(training, pair...)
		} else {
			others = append(others, pair...)
		}
	}
	corpus := data(training, others)
	var want []label.Label
	for _, e := range others {
		want = append(want, e.label)
	}
	got, note := run(t, WindowTree(Options{}), corpus)
	if !slices.Equal(got, want) {
		t.Errorf("labels %v, want %v", got, want)
	}
	if note != "trained on 60 events" {
		t.Errorf("note %q", note)
	}
	if again, note := run(t, WindowTree(Options{TreeRows: 20, Seed: 1}), corpus); note != "trained on 20 of 60 events, drawn at random: it is slow" || len(again) != len(want) {
		t.Errorf("note %q", note)
	}
}
