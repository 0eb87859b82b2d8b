package experiments

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"k8ntext/dataset"
	"k8ntext/metrics"
	"k8ntext/model"
	"k8ntext/model/device"
)

// TestEvaluateIsATrial: the seed of a record makes the same records anew without a results folder.
func TestEvaluateIsATrial(t *testing.T) {
	corpus := writeCorpus(t, toyLines(blocks(120), 1))
	c := sweep(t, corpus)
	s := Store{Dir: t.TempDir()}
	if err := Run(t.Context(), c, RunOptions{Store: s, Devices: on(portable(t))}); err != nil {
		t.Fatal(err)
	}
	trials, _ := statusOf(t, c, s)
	results, _, err := s.LoadAll(trials)
	if err != nil {
		t.Fatal(err)
	}
	x := c.Experiments[1]
	var want []metrics.Record
	for _, r := range of(results, x.Name) {
		want = append(want, r.Records...)
	}
	steps := 0
	got, err := Evaluate(t.Context(), x, results[len(results)-1].Trial.Seed, EvaluateOptions{
		Device: device.Target{Kernels: portable(t)}, Threads: 2, Progress: func(fold, folds int, _ model.Progress) {
			steps++
			if folds != 2 || fold < 1 || fold > folds {
				t.Errorf("progress in fold %d of %d", fold, folds)
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got[:len(want)]); diff != "" {
		t.Errorf("evaluate differs from the trials (-trials +evaluate):\n%s", diff)
	}
	if diff := cmp.Diff(metrics.MergeFolds(want), got[len(want):]); diff != "" {
		t.Errorf("the records over all folds are not the folds merged:\n%s", diff)
	}
	if steps == 0 {
		t.Error("no progress was reported")
	}
}

func TestEvaluateErrors(t *testing.T) {
	labelled := writeCorpus(t, toyLines(80, 1))
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, test := range []struct {
		name string
		ctx  context.Context
		x    Experiment
		want string
	}{
		{"unknown corpus", t.Context(), Experiment{Corpus: Corpora{"sequential"}, Protocol: ProtocolBlocked}, "sequential-1.34"},
		{"unknown protocol", t.Context(), Experiment{Corpus: Corpora{labelled}, Protocol: "papre"}, `"paper"`},
		{"unknown method", t.Context(), Experiment{Corpus: Corpora{labelled}, Protocol: ProtocolPaper, Methods: []string{"x"}}, "own-label"},
		{"too many folds", t.Context(), Experiment{Corpus: Corpora{labelled}, Protocol: ProtocolBlocked, Folds: 1000, Methods: []string{"own-label"}}, "1000 folds"},
		{"interrupted", cancelled, Experiment{Corpus: Corpora{labelled}, Protocol: ProtocolPaper}, "canceled"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := Evaluate(test.ctx, test.x, 1, EvaluateOptions{Device: device.Target{Kernels: portable(t)}})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v does not say %q", err, test.want)
			}
			if test.ctx == cancelled && !errors.Is(err, context.Canceled) {
				t.Errorf("error %v is not context.Canceled", err)
			}
		})
	}
}

// Recordings are trained on together and scored apart: a tested one gets the same scores whether others
// are tested beside it or not, although all number their contexts alike.
func TestEvaluateAcrossRecordings(t *testing.T) {
	paths := make([]string, 4)
	for i := range paths {
		paths[i] = writeCorpus(t, toyLines(blocks(60+10*i), uint64(i+1)))
	}
	config := parse(t, "name = \"x\"\ncorpus = \"x\"\n[[experiment]]\nname = \"x\"\nprotocol = \"blocked\"\n[experiment.model]"+toyModel)
	evaluate := func(protocol string, corpus, test Corpora) map[string][]metrics.Record {
		x := Experiment{
			Corpus: corpus, Test: test, Protocol: protocol, Folds: 2,
			Methods: []string{MethodNetwork, "identity", "own-label"}, Model: config.Experiments[0].Model,
		}
		records, err := Evaluate(t.Context(), x, 3, EvaluateOptions{Device: device.Target{Kernels: portable(t)}})
		if err != nil {
			t.Fatal(err)
		}
		byCorpus := make(map[string][]metrics.Record)
		for _, r := range records {
			byCorpus[r.Corpus] = append(byCorpus[r.Corpus], r)
		}
		return byCorpus
	}
	training := Corpora{paths[0], paths[1]}
	both := evaluate(ProtocolCross, training, Corpora{paths[2], paths[3]})
	if len(both) != 2 {
		t.Fatalf("records of %d corpora, want those of the tested ones", len(both))
	}
	for _, path := range paths[2:] {
		alone := evaluate(ProtocolCross, training, Corpora{path})
		if diff := cmp.Diff(alone[path], both[path]); diff != "" {
			t.Errorf("%s is scored otherwise beside another (-alone +both):\n%s", path, diff)
		}
	}
	if folds := evaluate(ProtocolBlocked, training, nil); len(folds) != 2 || len(folds[paths[0]]) == 0 || len(folds[paths[1]]) == 0 {
		t.Errorf("folds of two recordings have records of %d corpora", len(folds))
	}
	x := Experiment{Corpus: training, Test: Corpora{writeCorpus(t, toyLines(60, 1))}, Protocol: ProtocolCross, Model: config.Experiments[0].Model}
	if _, err := Evaluate(t.Context(), x, 1, EvaluateOptions{Device: device.Target{Kernels: portable(t)}}); err == nil || !strings.Contains(err.Error(), "share none") {
		t.Errorf("a recording is tested that was trained on under another name: %v", err)
	}
}

// trained is a model of all of a log but the gap before its validation part.
func trained(t *testing.T, corpus string) (*model.Tagger, *dataset.Corpus, *dataset.Split) {
	t.Helper()
	c, err := LoadCorpus(t.Context(), Corpora{corpus}, "default")
	if err != nil {
		t.Fatal(err)
	}
	split, err := dataset.SplitAll(c, dataset.AllOptions{Length: 5})
	if err != nil {
		t.Fatal(err)
	}
	config := parse(t, "name = \"x\"\ncorpus = \"x\"\n[[experiment]]\nname = \"x\"\nprotocol = \"paper\"\n[experiment.model]"+toyModel)
	_, m, err := config.Experiments[0].at(nil)
	if err != nil {
		t.Fatal(err)
	}
	tagger, _, err := model.Train(t.Context(), m, c, split, model.TrainOptions{Seed: 1, Kernels: portable(t)})
	if err != nil {
		t.Fatal(err)
	}
	return tagger, c, split
}

// TestEvaluateModel scores a model on logs of which it was trained on all, a part and nothing.
func TestEvaluateModel(t *testing.T) {
	lines := toyLines(120, 1)
	tagger, c, split := trained(t, writeCorpus(t, lines))
	inTraining := make(map[int32]bool)
	for _, e := range append(split.TrainEvents(), split.ValidationEvents()...) { // those chose the epoch
		inTraining[e] = true
	}
	var seen [][]byte
	for i, line := range lines {
		if inTraining[int32(i)] {
			seen = append(seen, line)
		}
	}
	if len(seen) == 0 || len(seen) == len(lines) || len(c.Events) != len(lines) {
		t.Fatalf("%d of %d events were trained on", len(seen), len(lines))
	}
	vote := model.VoteOptions{Kernels: portable(t)}
	for _, test := range []struct {
		name        string
		lines       [][]byte
		includeSeen bool
		n           int // events scored; 0: an error
		marked      bool
	}{
		{"all trained on", seen, false, 0, false},
		{"all trained on, included", seen, true, len(seen), true},
		{"a part trained on", lines, false, len(lines) - len(seen), false},
		{"a part trained on, included", lines, true, len(lines), true},
		{"another log", toyLines(50, 2), false, len(toyLines(50, 2)), false},
		{"another log, included", toyLines(50, 2), true, len(toyLines(50, 2)), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			corpus := writeCorpus(t, test.lines)
			records, err := EvaluateModel(t.Context(), tagger, corpus, test.includeSeen, vote)
			if test.n == 0 {
				if err == nil || !strings.Contains(err.Error(), corpus) || !strings.Contains(err.Error(), "--include-seen") {
					t.Fatalf("error %v, and %d records", err, len(records))
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			methods := make(map[string]int)
			for _, r := range records {
				if marked := strings.Contains(r.Note, "SEEN IN TRAINING"); marked != test.marked {
					t.Fatalf("record %+v: marked %v, want %v", r, marked, test.marked)
				}
				if r.Subset == metrics.SubsetAll && r.Metric == metrics.Accuracy {
					methods[r.Method] = r.N
				}
			}
			if diff := cmp.Diff(map[string]int{MethodNetwork: test.n, "own-label": test.n}, methods); diff != "" {
				t.Errorf("events scored (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("no labels", func(t *testing.T) {
		var bare [][]byte
		for _, line := range lines {
			before, _, _ := strings.Cut(string(line), `,"context"`)
			bare = append(bare, []byte(before+"}"))
		}
		if _, err := EvaluateModel(t.Context(), tagger, writeCorpus(t, bare), false, vote); err == nil || !strings.Contains(err.Error(), "no labels") {
			t.Errorf("error %v", err)
		}
	})
}
