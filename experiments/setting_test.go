package experiments

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// plannedSettings are the settings of a config's trials, in words, each once.
func plannedSettings(t *testing.T, c *Config) []string {
	t.Helper()
	trials, err := c.trials(func(Corpora) (string, error) { return "digest", nil })
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	for _, trial := range trials {
		if s := settingText(trial.Setting); !slices.Contains(texts, s) {
			texts = append(texts, s)
		}
	}
	return texts
}

func TestSettings(t *testing.T) {
	const head = "name = \"x\"\ncorpus = \"x\"\nseed = 5\n[[experiment]]\nname = \"a\"\nprotocol = \"blocked\"\n"
	for _, test := range []struct {
		name, text string
		want       []string
		trials     int
	}{
		{
			"keys of the cut", "[experiment.grid]\nfolds = [2, 3]\ntrain_share = [0.5, 1.0]",
			[]string{"folds 2, train_share 0.5", "folds 2, train_share 1", "folds 3, train_share 0.5", "folds 3, train_share 1"},
			10,
		},
		{"listed", "settings = [{\"model.window\" = 5}, {\"model.window\" = 7, level = \"Request\"}]", []string{"window 5", "level Request, window 7"}, 10},
		{
			"listed and a grid", "settings = [{\"model.window\" = 5}, {\"model.window\" = 7}]\n[experiment.grid]\n\"model.batch\" = [4, 8]",
			[]string{"batch 4, window 5", "batch 8, window 5", "batch 4, window 7", "batch 8, window 7"},
			20,
		},
		{
			"features left out", "[experiment.grid]\n\"model.without\" = [[], [\"verb\"], [\"verb\", \"objectRef.resource\"]]",
			[]string{"without []", "without [verb]", "without [verb objectRef.resource]"},
			15,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := parse(t, head+test.text)
			if got := plannedSettings(t, c); !slices.Equal(got, test.want) {
				t.Errorf("settings %q, want %q", got, test.want)
			}
			trials, err := c.trials(func(Corpora) (string, error) { return "digest", nil })
			if err != nil || len(trials) != test.trials {
				t.Errorf("%d trials (%v), want %d", len(trials), err, test.trials)
			}
		})
	}
}

// A random search draws different settings, the same for the same seed; a larger one holds the smaller.
func TestSample(t *testing.T) {
	draw := func(seed, sample int) []string {
		return plannedSettings(t, parse(t, fmt.Sprintf("name = \"x\"\ncorpus = \"x\"\nseed = %d\n[[experiment]]\nname = \"a\"\nprotocol = \"paper\"\nsample = %d\n"+
			"[experiment.grid]\n\"model.window\" = [5, 10, 15, 20, 25]\n\"model.dropout\" = [0.1, 0.2, 0.3, 0.4]\n\"model.learning_rate\" = [0.05, 0.001, 0.005]", seed, sample)))
	}
	small, large := draw(1, 8), draw(1, 20)
	if len(small) != 8 || len(large) != 20 {
		t.Fatalf("%d and %d different settings, want 8 and 20", len(small), len(large))
	}
	if !slices.Equal(small, large[:8]) {
		t.Errorf("the larger sample begins with %q, not with the smaller one %q", large[:8], small)
	}
	if slices.Equal(small, draw(2, 8)) {
		t.Error("another seed draws the same settings")
	}
	if all := draw(1, 60); len(all) != 60 {
		t.Errorf("%d of all 60 settings", len(all))
	}
}

// A setting is part of a trial's identity; what says the same as no setting is not.
func TestSettingIdentity(t *testing.T) {
	id := func(keys string) string {
		c := parse(t, "name = \"x\"\ncorpus = \"x\"\n[[experiment]]\nname = \"a\"\nprotocol = \"blocked\"\n"+keys)
		trials, err := c.trials(func(Corpora) (string, error) { return "digest", nil })
		if err != nil {
			t.Fatal(err)
		}
		return trials[0].ID
	}
	plain := id("")
	for _, same := range []string{"train_share = 1.0", "[experiment.grid]\ntrain_share = [1.0]", "[experiment.grid]\nfolds = [5]", "settings = [{folds = 5}]"} {
		if id(same) != plain {
			t.Errorf("%q is another trial than none", same)
		}
	}
	for _, other := range []string{
		"train_share = 0.5", "level = \"Request\"", "test_level = \"Request\"", "folds = 4", "votes = [{rule = \"sum\"}]", "votes = [{rule = \"sum\", stride = 2}]",
	} {
		if id(other) == plain {
			t.Errorf("%q is the same trial as none", other)
		}
	}
}

// TestEvaluateSettings: what a setting blanks or leaves out is not used, and each vote is scored.
func TestEvaluateSettings(t *testing.T) {
	corpus := writeCorpus(t, toyLines(120, 1))
	run := func(keys string) *Result {
		c := parse(t, fmt.Sprintf("name = \"x\"\ncorpus = %q\n[[experiment]]\nname = \"a\"\nprotocol = \"blocked\"\nfolds = 2\n%s\n[experiment.model]%s", corpus, keys, toyModel))
		trials, corpora, err := c.plan(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		r := &Result{Trial: trials[0]}
		if err := trials[0].run(t.Context(), corpora, on(portable(t))[0], r); err != nil {
			t.Fatal(err)
		}
		return r
	}
	whole, half := run(`methods = ["own-label"]`), run("methods = [\"own-label\"]\ntrain_share = 0.5")
	if got, want := half.Sizes.TrainEvents, whole.Sizes.TrainEvents/2; got > want || got < want-2 || half.Sizes.TestEvents != whole.Sizes.TestEvents {
		t.Errorf("half of %d training events is %d; %d of %d events are tested", whole.Sizes.TrainEvents, got, half.Sizes.TestEvents, whole.Sizes.TestEvents)
	}
	voted := run(`votes = [{rule = "sum"}, {rule = "majority", stride = 3}, {rule = "centre", look_ahead = 2}]`)
	var methods []string
	for _, r := range voted.Records {
		if !slices.Contains(methods, r.Method) {
			methods = append(methods, r.Method)
		}
	}
	if want := []string{"network, sum vote, stride 1", "network, majority vote, stride 3", "network, centre vote, stride 1, look-ahead 2"}; !slices.Equal(methods, want) {
		t.Errorf("methods %q, want %q", methods, want)
	}
}

func TestSettingErrors(t *testing.T) {
	for _, test := range []struct {
		name, text string
		want       []string
	}{
		{"unknown key of the cut", "[experiment.grid]\nrepetitions = [1]", []string{"f.toml:7:", "grid.repetitions", "model.KEY", "train_share"}},
		{"a fold too few", "[experiment.grid]\nfolds = [1]", []string{"f.toml:7:", "grid.folds", "at least 2"}},
		{"share above one", "train_share = 1.5", []string{"f.toml:6:", "train_share", "1.5"}},
		{"unknown level", "level = \"Full\"", []string{"f.toml:6:", "level", "Metadata"}},
		{"wrong type", "settings = [{folds = \"x\"}]", []string{"f.toml:6:", "settings", "x"}},
		{"unknown model key", "settings = [{\"model.widnow\" = 5}]", []string{"f.toml:6:", "settings", "widnow", "window"}},
		{"one key in two places", "settings = [{folds = 3}]\n[experiment.grid]\nfolds = [2]", []string{"grid.folds", "one place"}},
		{"too large a sample", "sample = 3\n[experiment.grid]\nfolds = [2, 3]", []string{"f.toml:6:", "sample", "3 of 2"}},
		{"unknown rule", "votes = [{rule = \"most\"}]", []string{"f.toml:6:", "votes", "majority"}},
		{"unknown key of a vote", "votes = [{rule = \"sum\", strid = 2}]", []string{"strid", "stride"}},
		{"stride beyond the window", "votes = [{rule = \"sum\", stride = 50}]", []string{"votes", "50", "40"}},
		{"look-ahead too small", "votes = [{rule = \"sum\", stride = 3, look_ahead = 1}]", []string{"look_ahead 1", "at least 2"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := ParseConfig("f.toml", []byte("name = \"x\"\ncorpus = \"x\"\n[[experiment]]\nname = \"a\"\nprotocol = \"blocked\"\n"+test.text))
			if err == nil {
				t.Fatal("no error")
			}
			for _, part := range test.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %q does not say %q", err, part)
				}
			}
		})
	}
}
