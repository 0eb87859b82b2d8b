package experiments

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestShippedConfigs loads every file of configs/: what the README tells people to run must be valid.
func TestShippedConfigs(t *testing.T) {
	files, err := filepath.Glob("../configs/*.toml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no configs found: %v", err)
	}
	for _, f := range files {
		c, err := LoadConfig(f)
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		if want := strings.TrimSuffix(filepath.Base(f), ".toml"); c.Name != want {
			t.Errorf("%s: name is %q, want the file's name %q: make reproduce looks for results by it", f, c.Name, want)
		}
	}
}

const valid = `
name = "x"
corpus = "sequential-1.34"
[[experiment]]
name = "a"
protocol = "blocked"
[experiment.model]
preset = "paper"
[experiment.grid]
"model.window" = [5, 10]
`

func TestParseConfigErrors(t *testing.T) {
	for _, test := range []struct {
		name        string
		old, change string   // a replacement in valid
		want        []string // parts of the message
	}{
		{"syntax", `name = "x"`, `name = `, []string{"f.toml:2"}},
		{"unknown key at the top", `corpus =`, `corpsu =`, []string{"f.toml:3", `"corpsu"`, `"corpus"`}},
		{"unknown key of an experiment", `protocol =`, `protokol =`, []string{"f.toml:6", `"experiment.protokol"`, `"experiment.protocol"`}},
		{"wrong type", `name = "a"`, `name = 7`, []string{"f.toml:5: key experiment.name:", "string"}},
		{"unknown protocol", `"blocked"`, `"bloked"`, []string{`f.toml:6: experiment "a": key protocol:`, `"blocked"`}},
		{"unknown preset", `"paper"`, `"papper"`, []string{"f.toml:8:", "key model.preset:", "papper", "paper"}},
		{"unknown model key", `preset = "paper"`, `widnow = 5`, []string{"f.toml:8:", "key model.widnow:", `"window"`}},
		{"wrong type in the model", `preset = "paper"`, `dropout = "x"`, []string{"f.toml:8:", "key model.dropout: x:", "string", "float"}},
		{"wrong type in the grid", `[5, 10]`, `[5, "x"]`, []string{"f.toml:10:", "key grid.model.window: x:", "string", "integer"}},
		{"unknown key in the grid", `"model.window"`, `"model.widnow"`, []string{"f.toml:10:", "key grid.model.widnow:", `"window"`}},
		{"an array for a number", `preset = "paper"`, `units1 = [1]`, []string{"f.toml:8:", "model.units1"}},
		{"the second experiment", `[experiment.grid]`, "[[experiment]]\nname = \"b\"\nprotocol = \"paper\"\nfolds = -3\n[experiment.grid]", []string{"f.toml:12:", `experiment "b"`, "key folds: -3"}},
		{"impossible value", `[5, 10]`, `[5, 0]`, []string{"window", "0"}},
		{"grid of something else", `"model.window"`, `"window"`, []string{"f.toml:10:", "key grid.window:", "model.KEY"}},
		{"no corpus", `corpus = "sequential-1.34"`, ``, []string{"corpus"}},
		{"unknown method", `protocol = "blocked"`, "protocol = \"blocked\"\nmethods = [\"netwerk\"]", []string{"methods", "netwerk", "own-label"}},
		{"a name that is a path", `name = "x"`, `name = "../x"`, []string{"name"}},
		{"an experiment's name for a shell", `name = "a"`, `name = "$(a)"`, []string{"f.toml:5: key name:", "$(a)"}},
		{"two experiments of one name", `[experiment.model]`, "[[experiment]]\nname = \"a\"\nprotocol = \"paper\"\n[experiment.model]", []string{"f.toml:8: key name:", "twice"}},
		{"share", `protocol = "blocked"`, "protocol = \"paper\"\ntest_share = 1.5", []string{"test_share", "1.5"}},
		{"share that is no number", `protocol = "blocked"`, "protocol = \"paper\"\nvalidation_share = nan", []string{"validation_share"}},
		{"negative repetitions", `protocol = "blocked"`, "protocol = \"paper\"\nrepetitions = -1", []string{"repetitions"}},
		{"empty grid", `[5, 10]`, `[]`, []string{"model.window", "at least one"}},
		{"endless plan", `protocol = "blocked"`, "protocol = \"paper\"\nrepetitions = 1000000000000", []string{"trials", "100000"}},
		{"cross without a test", `"blocked"`, `"cross"`, []string{`f.toml:6: experiment "a": key protocol:`, "needs corpora to test"}},
		{"test without cross", `protocol = "blocked"`, "protocol = \"blocked\"\ntest = \"y\"", []string{"f.toml:7:", "key test:", `"cross"`}},
		{"training recording tested", `protocol = "blocked"`, "protocol = \"cross\"\ntest = [\"y\", \"sequential-1.34\"]", []string{"sequential-1.34", "twice"}},
		{"no name of a corpus", `corpus = "sequential-1.34"`, `corpus = ["a", 7]`, []string{"f.toml:3", "7", "list of strings"}},
		{"empty name of a corpus", `corpus = "sequential-1.34"`, `corpus = ["a", ""]`, []string{"corpus", "empty name"}},
		{"overlays of shuffled windows", `protocol = "blocked"`, "protocol = \"paper\"\n[experiment.model]\ninterleave = 2\nlabels = \"default\"\n[[experiment]]\nname = \"b\"\nprotocol = \"blocked\"", []string{"f.toml:8:", "model.interleave", "overlaid"}},
		{"folds", `protocol = "blocked"`, "protocol = \"blocked\"\nfolds = 1", []string{"folds"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if !strings.Contains(valid, test.old) {
				t.Fatalf("%q is not in the valid config", test.old)
			}
			_, err := ParseConfig("f.toml", []byte(strings.Replace(valid, test.old, test.change, 1)))
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

func TestPlan(t *testing.T) {
	c, err := ParseConfig("f.toml", []byte(strings.Replace(valid, `protocol = "blocked"`, "protocol = \"blocked\"\nrepetitions = 2\nfolds = 3", 1)))
	if err != nil {
		t.Fatal(err)
	}
	plan := func(corpus string) []Trial {
		trials, err := c.trials(func(Corpora) (string, error) { return corpus, nil })
		if err != nil {
			t.Fatal(err)
		}
		return trials
	}
	trials := plan("digest")
	if len(trials) != 2*2*3 {
		t.Fatalf("%d trials, want 2 repetitions x 2 windows x 3 folds", len(trials))
	}
	ids := make(map[string]bool)
	seeds := make(map[int]uint64)
	for i, trial := range trials {
		ids[trial.ID] = true
		if s, ok := seeds[trial.Repetition]; ok && s != trial.Seed {
			t.Errorf("trial %d: seed %d, but another setting of repetition %d has %d: settings would not pair", i, trial.Seed, trial.Repetition, s)
		}
		seeds[trial.Repetition] = trial.Seed
		if again := plan("digest")[i]; again.ID != trial.ID {
			t.Errorf("trial %d: planned again it is %s, not %s", i, again.ID, trial.ID)
		}
		if other := plan("other corpus")[i]; other.ID == trial.ID {
			t.Errorf("trial %d: the corpus is not part of its identity", i)
		}
	}
	if len(ids) != len(trials) || seeds[0] == seeds[1] {
		t.Errorf("%d identities for %d trials, seeds %v", len(ids), len(trials), seeds)
	}
}

func TestStoreKeepsWholeResults(t *testing.T) {
	s := Store{Dir: t.TempDir()}
	r := &Result{Trial: Trial{ID: "0123456789abcdef", Experiment: "a", Corpus: "c", Seed: 1}, Protocol: ProtocolBlocked}
	if err := s.Save(r); err != nil {
		t.Fatal(err)
	}
	got, err := s.Load(r.Trial.ID)
	if err != nil || got.Trial.Experiment != "a" {
		t.Fatalf("loaded %+v, %v", got, err)
	}
	whole, err := os.ReadFile(s.trialPath(r.Trial.ID))
	if err != nil {
		t.Fatal(err)
	}
	for _, cut := range []int{0, 1, len(whole) / 2, len(whole) - 3} {
		if err := os.WriteFile(s.trialPath(r.Trial.ID), whole[:cut], 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Load(r.Trial.ID); !errors.Is(err, errDamaged) {
			t.Errorf("cut to %d bytes: error %v is not that it is damaged", cut, err)
		}
	}
	left, err := filepath.Glob(filepath.Join(s.Dir, "trials", ".tmp-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("temporary files left: %v, %v", left, err)
	}
}

// FuzzParseConfig: any text gives a config whose trials can be planned, or an error.
func FuzzParseConfig(f *testing.F) {
	f.Add(valid)
	f.Add("name = \"x\"\ncorpus = \"c\"\n[[experiment]]\nname = \"a\"\nprotocol = \"paper\"\n[experiment.grid]\n\"model.dropout\" = [0.1, nan]\n\"model.window\" = [1, \"x\"]\n")
	f.Add("name = \"x\"\ncorpus = \"c\"\n[[experiment]]\nname = \"a\"\nprotocol = \"blocked\"\nfolds = 3\nrepetitions = 2\nmethods = [\"own-label\"]\n[experiment.model]\nwithout = [\"verb\"]\n")
	f.Add("[experiment]\nmodel = 1\n")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := ParseConfig("f.toml", []byte(text))
		if err != nil {
			if !strings.HasPrefix(err.Error(), "f.toml") {
				t.Errorf("error %q does not name the file", err)
			}
			return
		}
		if trials, err := c.trials(func(Corpora) (string, error) { return "digest", nil }); err != nil || len(trials) == 0 {
			t.Errorf("a valid config plans %d trials: %v", len(trials), err)
		}
	})
}
