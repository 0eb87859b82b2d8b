package experiments

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const baseText = `
name = "base"
corpus = "sequential-1.34"
seed = 7
[[experiment]]
name = "a"
protocol = "blocked"
repetitions = 2
[experiment.model]
units1 = 4
[experiment.grid]
"model.window" = [5, 10]
[[experiment]]
name = "b"
protocol = "paper"
[experiment.model]
preset = "paper"
`

// TestLayers: what a config becomes of a base, a file over it and overrides.
func TestLayers(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("base.toml", baseText)
	over := write("over.toml", `
base = "base.toml"
name = "over"
[[experiment]]
name = "b"
repetitions = 3
[[experiment]]
name = "c"
protocol = "blocked"
[experiment.model]
dropout = 0.25
`)
	c, err := LoadConfig(over, "seed=8", "model.dropout = 0.5", "a.grid.model.window=[20]", "b.model.preset=paper", "experiment.folds=3")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range c.Experiments {
		for _, s := range e.settings() {
			_, m, err := e.at(s)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, strings.Join([]string{e.Name, e.Protocol, number(e.Repetitions), number(e.Folds), number(m.Window), number(min(m.Units1, 9)), number(int(100 * m.Dropout))}, " "))
		}
	}
	if diff := cmp.Diff([]string{"a blocked 2 3 20 4 50", "b paper 3 3 60 0 50", "c blocked 1 3 40 9 50"}, got); diff != "" {
		t.Errorf("experiments (-want +got):\n%s", diff)
	}
	if c.Name != "over" || c.Seed != 8 {
		t.Errorf("name %q, seed %d", c.Name, c.Seed)
	}
	plain, err := ParseConfig("base.toml", []byte(baseText))
	if err != nil {
		t.Fatal(err)
	}
	if same, err := LoadConfig(filepath.Join(dir, "base.toml")); err != nil || len(same.Experiments) != len(plain.Experiments) {
		t.Errorf("the base by itself: %v", err)
	}

	write("second.toml", strings.NewReplacer("\"a\"", "\"c\"", "\"b\"", "\"d\"").Replace(baseText))
	both, err := LoadConfig(write("both.toml", "base = [\"base.toml\", \"second.toml\"]\nname = \"both\"\n[[experiment]]\nname = \"d\"\nrepetitions = 4\n"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range both.Experiments {
		names = append(names, e.Name+number(e.Repetitions))
	}
	if want := "a2 b1 c2 d4"; strings.Join(names, " ") != want {
		t.Errorf("experiments of two bases and their repetitions %q, want %s", names, want)
	}

	asks := write("asks.toml", "base = \"base.toml\"\nname = \"asks\"\n[[experiment]]\nname = \"q\"\nprotocol = \"query\"\n")
	if c, err := LoadConfig(asks, "model.dropout=0.5"); err != nil || c.Experiments[2].Model != nil || c.Experiments[1].Model["dropout"] != 0.5 {
		t.Errorf("a key of every network, beside an experiment without one: %v", err)
	}

	write("circle.toml", "base = \"circle.toml\"\nname = \"x\"\n")
	write("nameless.toml", "base = \"base.toml\"\n")
	write("lost.toml", "base = \"gone.toml\"\nname = \"x\"\n")
	write("wrongbase.toml", strings.Replace(baseText, "seed", "sed", 1))
	write("overwrong.toml", "base = \"wrongbase.toml\"\nname = \"x\"\n")
	write("oldvalue.toml", strings.Replace(baseText, "repetitions = 2", "repetitions = -2", 1))
	write("overold.toml", "# nothing\nbase = \"oldvalue.toml\"\nname = \"x\"\n")
	write("newvalue.toml", "base = \"base.toml\"\nname = \"x\"\n[[experiment]]\nname = \"a\"\nfolds = 1\n")
	for _, c := range []struct {
		file string
		set  []string
		want []string
	}{
		{file: "circle.toml", want: []string{"circle.toml:1: key base", "itself"}},
		{file: "nameless.toml", want: []string{"nameless.toml", "key name"}},
		{file: "lost.toml", want: []string{"gone.toml"}},
		{file: "overwrong.toml", want: []string{"wrongbase.toml:4:", `unknown key "sed"`, `"seed"`}},
		{file: "overold.toml", want: []string{"oldvalue.toml:8:", "repetitions"}},
		{file: "newvalue.toml", want: []string{"newvalue.toml:5:", "key folds: 1"}},
		{file: "base.toml", set: []string{"seed"}, want: []string{"--set seed: write KEY=VALUE"}},
		{file: "base.toml", set: []string{"sed=1"}, want: []string{`--set sed=1: unknown key "sed"`, `"seed"`}},
		{file: "base.toml", set: []string{"base=x.toml"}, want: []string{`unknown key "base"`}},
		{file: "base.toml", set: []string{"seed=x"}, want: []string{"--set seed=x: key seed:", "integer"}},
		{file: "base.toml", set: []string{"aa.folds=3"}, want: []string{`unknown key "aa.folds"`, `"a.folds"`}},
		{file: "base.toml", set: []string{"a.fold=3"}, want: []string{`unknown key "experiment.fold"`, `"experiment.folds"`}},
		{file: "base.toml", set: []string{"a.name=x"}, want: []string{"names of experiments"}},
		{file: "base.toml", set: []string{"b.model.widnow=40"}, want: []string{"--set b.model.widnow=40:", `experiment "b"`, `"window"`}},
		{file: "base.toml", set: []string{"b.folds=1"}, want: []string{"--set b.folds=1:", `experiment "b"`, "key folds"}},
		{file: "base.toml", set: []string{"model.window=40"}, want: []string{"base.toml:12:", "key grid.model.window: the same experiment sets model.window"}},
		{file: "base.toml", set: []string{"workers=-1"}, want: []string{"--set workers=-1: key workers"}},
	} {
		_, err := LoadConfig(filepath.Join(dir, c.file), c.set...)
		if err == nil {
			t.Errorf("%s %q: no error", c.file, c.set)
			continue
		}
		for _, part := range c.want {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%s %q: error %q does not say %q", c.file, c.set, err, part)
			}
		}
	}
	if _, err := ParseConfig("f.toml", []byte("base = \"x\"\n"+baseText)); err == nil || !strings.Contains(err.Error(), "f.toml:1: key base") {
		t.Errorf("a base of a text: %v", err)
	}
}
