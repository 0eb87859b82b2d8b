package experiments

import (
	"bytes"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"k8ntext/model/device"
)

// referenceLines are lines of the toy log as the reference's labelling tool leaves them: a number in place
// of contexts, and a mark where a rule gave it.
func referenceLines(lines [][]byte) [][]byte {
	out := make([][]byte, len(lines))
	for i, line := range lines {
		event, truth, _ := bytes.Cut(line, []byte(`,"context"`))
		number, byRule := 65936, false // create deployment
		switch {
		case bytes.Contains(truth, []byte("bg-")):
			number, byRule = 119232, true // update lease
		case bytes.Contains(line, []byte(`"configmaps"`)):
			number = 12704 // delete configmap
		}
		out[i] = fmt.Appendf(nil, `%s,"label":%d,"cplabel":%t}`, event, number, byRule)
	}
	return out
}

// TestConfigsRun runs a tiny version of every experiment of configs/ end to end: the last trial of two of its
// settings, with one short epoch, on a toy log; the first experiment of every file also on a log in the
// reference's format, as CORPUS=path does.
func TestConfigsRun(t *testing.T) {
	serial(t)
	files, err := filepath.Glob("../configs/*.toml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no configs: %v", err)
	}
	ours, other := writeCorpus(t, toyLines(120, 1)), writeCorpus(t, toyLines(60, 2))
	theirs := writeCorpus(t, referenceLines(toyLines(120, 3)))
	kernels, err := device.Select("")
	if err != nil {
		t.Fatal(err)
	}
	done := make(map[string]bool) // by experiment: profiles repeat them
	for _, f := range files {
		c, err := LoadConfig(f)
		if err != nil {
			t.Error(err) // with the file's name
			continue
		}
		for i := range c.Experiments {
			if !slices.Contains([]string{ProtocolPaper, ProtocolBlocked, ProtocolCross, ProtocolQuery}, c.Experiments[i].Protocol) {
				continue // needs more than a toy
			}
			corpora := []string{ours}
			if i == 0 {
				corpora = append(corpora, theirs)
			}
			for _, corpus := range corpora {
				x := tiny(c.Experiments[i], corpus, other)
				id := fmt.Sprint(x.Name, corpus)
				if done[id] {
					continue
				}
				done[id] = true
				small := &Config{Name: "tiny", Seed: 1, Experiments: []Experiment{x}}
				if err := small.check(); err != nil {
					t.Errorf("%s: %v", f, err)
					continue
				}
				trials, loaded, err := small.plan(t.Context())
				if err != nil {
					t.Errorf("%s: experiment %s: %v", f, x.Name, err)
					continue
				}
				trial := trials[len(trials)-1]
				r := &Result{Trial: trial}
				if err := trial.run(t.Context(), loaded, device.Target{Kernels: kernels}, r); err != nil {
					t.Errorf("%s: experiment %s, %s: %v", f, x.Name, trial.Describe(), err)
					continue
				}
				if len(r.Records) == 0 && len(r.Asked) == 0 {
					t.Errorf("%s: experiment %s: no records", f, x.Name)
				}
			}
		}
	}
}

// tiny is an experiment on a toy log, with a network that is hardly trained.
func tiny(x Experiment, corpus, test string) Experiment {
	x.Corpus, x.Repetitions, x.Folds, x.Explain = Corpora{corpus}, 1, 2, false
	if len(x.Test) > 0 {
		x.Test = Corpora{test}
	}
	if x.Protocol == ProtocolQuery { // nothing is trained
		return x
	}
	x.Model = maps.Clone(x.Model)
	if x.Model == nil {
		x.Model = make(map[string]any)
	}
	window := 8
	for _, v := range x.Votes {
		window = max(window, v.Stride)
	}
	for key, value := range map[string]any{"window": window, "units1": 8, "units2": 8, "batch": 8, "max_epochs": 1, "windows_per_epoch": 16, "validation_stride": 16} {
		if _, varies := x.Grid["model."+key]; !varies {
			x.Model[key] = value
		}
	}
	x.Grid = maps.Clone(x.Grid)
	for key, values := range x.Grid { // long windows, many folds and wide layers take time
		if key != "model.without" && len(values) > 2 && !strings.HasSuffix(key, "architecture") {
			x.Grid[key] = values[:2]
		}
	}
	x.Sample = int(min(2, x.points()))
	return x
}

// TestConfigCounts: the head of every file says how many trials it has.
func TestConfigCounts(t *testing.T) {
	serial(t)
	files, err := filepath.Glob("../configs/*.toml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no configs: %v", err)
	}
	said := regexp.MustCompile(`(?m)^# ([\d,]+) trials?\b`)
	for _, f := range files {
		c, err := LoadConfig(f)
		if err != nil {
			t.Error(err)
			continue
		}
		trials, err := c.trials(func(names Corpora) (string, error) { return names.String(), nil })
		if err != nil {
			t.Error(err)
			continue
		}
		text := readFile(t, f)
		head, _, _ := strings.Cut(text, "\nname ")
		want := number(len(distinct(trials)))
		if m := said.FindStringSubmatch(head); m == nil || m[1] != want {
			t.Errorf("%s has %s trials; its head says %q (a line that begins \"# %s trials\")", f, want, m, want)
		}
	}
}

// TestCorpusOfTheWholePaper replaces the corpus of a report of the whole paper, and that of a question of its own.
func TestCorpusOfTheWholePaper(t *testing.T) {
	for _, test := range []struct {
		file   string
		unseen bool
	}{{"standard.toml", false}, {"unseen.toml", true}} {
		c, err := LoadConfig(filepath.Join("..", "configs", test.file))
		if err != nil {
			t.Fatal(err)
		}
		before := len(c.Experiments)
		c.SetCorpus("theirs.json")
		left := slices.ContainsFunc(c.Experiments, func(e Experiment) bool { return e.Protocol == ProtocolUnseen })
		if left != test.unseen || (len(c.Experiments) == before) != test.unseen {
			t.Errorf("%s: %d of %d experiments, some of protocol unseen: %t", test.file, len(c.Experiments), before, left)
		}
		for _, e := range c.Experiments {
			if e.Corpus.String() != "theirs.json" {
				t.Errorf("%s: experiment %s is of %s", test.file, e.Name, e.Corpus)
			}
		}
	}
}
