package main

import (
	"testing"

	"k8ntext/bench/contest"
	"k8ntext/bench/results"
)

// TestResume: which contests are left after each, and that a contest's results replace its own only.
func TestResume(t *testing.T) {
	var r results.Peers
	all := bouts()
	for i, b := range all {
		if b.done(&r) {
			t.Fatalf("contest %d (W=%d, batch %d) is done before it was run", i, b.window, b.batch)
		}
		var times []contest.Result
		for _, task := range b.tasks {
			for _, e := range b.entries {
				times = append(times, contest.Result{Task: task, Window: b.window, Batch: b.batch, Name: e.name, Setting: e.setting})
			}
		}
		losses := []results.Losses{{Window: b.window, Batch: b.batch, Name: b.entries[len(b.entries)-1].name}}
		replace(&r, b, losses, times[1:])
		if b.done(&r) {
			t.Errorf("contest %d is done without the first entry's results", i)
		}
		replace(&r, b, losses, times)
		for j := range all[:i+1] {
			if !all[j].done(&r) {
				t.Errorf("contest %d is not done after contest %d", j, i)
			}
		}
	}
	if len(r.Losses) != len(all) {
		t.Errorf("losses of %d contests, want %d", len(r.Losses), len(all))
	}
}
