package experiments

import (
	"fmt"
	"strings"
	"testing"
)

// A search of six settings goes on with its best two, and then with one.
func TestNextRung(t *testing.T) {
	serial(t)
	corpus := writeCorpus(t, toyLines(blocks(120), 1))
	c := parse(t, fmt.Sprintf("name = \"search\"\ncorpus = %q\nseed = 3\n[[experiment]]\nname = \"s\"\nprotocol = \"blocked\"\nfolds = 2\nsample = 6\n[experiment.model]%s"+
		"[experiment.grid]\n\"model.learning_rate\" = [0.05, 0.02, 0.01, 0.0001]\n\"model.dropout\" = [0.1, 0.2]\n", corpus, toyModel))
	dir := t.TempDir()
	s := Store{Dir: dir}
	if _, err := NextRung(t.Context(), c, s, RungOptions{}); err == nil || !strings.Contains(err.Error(), "12 of 12 trials have no result") {
		t.Errorf("before the run: %v", err)
	}
	for rung, want := range []struct {
		name             string
		settings, epochs int
	}{{"search-rung2", 2, 3}, {"search-rung3", 1, 9}} {
		if err := Run(t.Context(), c, RunOptions{Store: s, Devices: on(portable(t))}); err != nil {
			t.Fatal(err)
		}
		text, err := NextRung(t.Context(), c, s, RungOptions{})
		if err != nil {
			t.Fatal(err)
		}
		losses := make(map[string]float64) // by setting
		trials, _, err := c.plan(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		results, _, err := s.LoadAll(trials)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range results {
			losses[settingText(r.Trial.Setting)] += r.History.Epochs[r.History.Best-1].ValidationLoss
		}
		next, err := ParseConfig("next.toml", text)
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		if next.Name != want.name || len(next.Experiments[0].Settings) != want.settings {
			t.Fatalf("rung %d: %s with %d settings, want %+v", rung, next.Name, len(next.Experiments[0].Settings), want)
		}
		kept := make(map[string]bool)
		worst := 0.
		for _, p := range next.Experiments[0].Settings {
			kept[settingText(p)] = true
			worst = max(worst, losses[settingText(p)])
			if _, m, err := next.Experiments[0].at(p); err != nil || m.MaxEpochs != want.epochs || m.Units1 != 8 {
				t.Errorf("rung %d: %d epochs, %d units (%v), want %d and the search's 8", rung, m.MaxEpochs, m.Units1, err, want.epochs)
			}
		}
		for name, loss := range losses {
			if !kept[name] && loss < worst {
				t.Errorf("rung %d: %s with loss %g was dropped, one with %g kept", rung, name, loss, worst)
			}
		}
		c, s = next, Store{Dir: t.TempDir()}
	}
	if err := Run(t.Context(), c, RunOptions{Store: s, Devices: on(portable(t))}); err != nil {
		t.Fatal(err)
	}
	if _, err := NextRung(t.Context(), c, s, RungOptions{}); err == nil || !strings.Contains(err.Error(), "at its end") {
		t.Errorf("after the last rung: %v", err)
	}
}
