package experiments

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// TestImpossibleCuts: what no trial can be run with is an error before any is, with the place of its key.
func TestImpossibleCuts(t *testing.T) {
	corpus := writeCorpus(t, toyLines(60, 1)) // some 95 events
	for name, test := range map[string]struct{ experiment, want string }{
		"window longer than a fold": {
			"protocol = \"blocked\"\nfolds = 5\n[experiment.model]\nwindow = 30",
			`toy.toml:9: experiment "a": key model.window: the corpus cannot be cut so: windows of 30 events are longer than a fold of 5 of `,
		},
		"one of a grid": {
			"protocol = \"blocked\"\n[experiment.grid]\n\"model.window\" = [5, 40]",
			`toy.toml:8: experiment "a": key grid.model.window: the corpus cannot be cut so: windows of 40 events`,
		},
		"too many folds": {
			"protocol = \"blocked\"\nfolds = 40",
			`toy.toml:7: experiment "a": key folds: the corpus cannot be cut so: windows of 40 events are longer than a fold of 40 of `,
		},
		"window longer than the recording": {
			"protocol = \"paper\"\n[experiment.model]\ninterleave = 1\nwindow = 4000",
			`toy.toml:9: experiment "a": key model.window: the corpus cannot be cut so: windows of 4,000 events are longer than the whole recording of `,
		},
		"no window left for training": {
			"protocol = \"paper\"\n[experiment.model]\ninterleave = 1\n[experiment.grid]\ntest_share = [0.1, 0.99]",
			`toy.toml:10: experiment "a": key grid.test_share: the corpus cannot be cut so: split corpus`,
		},
		"gaps that leave nothing": {
			"protocol = \"blocked\"\nfolds = 2\n[experiment.model]\nwindow = 44",
			`key model.window: the corpus cannot be cut so: split corpus`,
		},
		"nothing to leave out": {
			"protocol = \"unseen\"\nfolds = 8\n[experiment.model]\nwindow = 5",
			`key model.window: the corpus cannot be cut so: split corpus`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := parse(t, fmt.Sprintf("name = \"toy\"\ncorpus = %q\n\n[[experiment]]\nname = \"a\"\n%s\n", corpus, test.experiment))
			s := Store{Dir: filepath.Join(t.TempDir(), "toy")}
			err := Run(t.Context(), c, RunOptions{Store: s, Devices: on(portable(t))})
			if !errors.Is(err, ErrCut) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got  %v\nwant %s", err, test.want)
			}
		})
	}
}
