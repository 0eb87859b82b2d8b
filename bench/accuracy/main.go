// Accuracy measures what speed costs: F1 against compute over the stride of training windows, and
// accuracy against time per event over stride and rule of the vote and over the look-ahead of online
// labelling. It writes bench/results/accuracy.json:
//
//	go run ./bench/accuracy
//
// Everything is on one fold of the blocked protocol of the embedded corpus: choices of this kind are
// made on a development recording, and one fold says which differences are large, not how large.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"k8ntext/bench/host"
	"k8ntext/bench/problem"
	"k8ntext/bench/results"
	"k8ntext/dataset"
	"k8ntext/dataset/audit"
	"k8ntext/dataset/label"
	"k8ntext/metrics"
	"k8ntext/model"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "accuracy:", err)
		os.Exit(1)
	}
}

// fold is the test part: the third of five.
const fold = 2

type runner struct {
	models string // folder of trained models
	seeds  int
	corpus *dataset.Corpus
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("accuracy", flag.ContinueOnError)
	output := flags.String("o", "bench/results/accuracy.json", "file of results")
	models := flags.String("models", "", "folder that keeps the trained models, so that a second run need not train them; \"\" keeps none")
	seeds := flags.Int("seeds", 3, "trainings of each setting")
	parallel := flags.Int("parallel", 2, "trainings at a time")
	part := flags.String("part", "", "training or inference: add what the file lacks of the one, or measure the other anew")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *models == "" {
		dir, err := os.MkdirTemp("", "k8ntext-accuracy")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		*models = dir
	}
	corpus, err := dataset.Load(ctx, problem.Corpus, nil)
	if err != nil {
		return err
	}
	r := runner{models: *models, seeds: *seeds, corpus: corpus}
	var record results.Accuracy
	if *part != "" {
		if err := results.Read(*output, &record); err != nil {
			return err
		}
	}
	record.Machine, record.Corpus = host.Describe(), problem.Corpus
	if *part != "inference" {
		if err := r.strides(ctx, *parallel, &record, *output); err != nil {
			return err
		}
	}
	if *part == "training" {
		return nil
	}
	if record.Inference, err = r.inference(ctx, *parallel); err != nil {
		return err
	}
	return results.Write(*output, record)
}

// strides trains the default model for equal numbers of windows at several strides. Every training is
// written when it is done, and none that the record holds is done again.
func (r *runner) strides(ctx context.Context, parallel int, record *results.Accuracy, output string) error {
	split, err := r.split(model.DefaultConfig().Window)
	if err != nil {
		return err
	}
	done := slices.Clone(record.Training)
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for _, epochs := range []int{1, 4} { // of stride 1
		for _, stride := range []int{1, 2, 4, 8, 16} {
			for seed := range r.seeds {
				t := results.Trained{Stride: stride, Epochs: epochs * stride, Seed: uint64(seed + 1)}
				if slices.ContainsFunc(done, func(o results.Trained) bool {
					return o.Stride == t.Stride && o.Epochs == t.Epochs && o.Seed == t.Seed
				}) {
					continue
				}
				group.Go(func() error {
					if err := r.train(ctx, split, &t); err != nil {
						return err
					}
					mu.Lock()
					defer mu.Unlock()
					record.Training = append(record.Training, t)
					slices.SortFunc(record.Training, func(a, b results.Trained) int {
						return cmp.Or(cmp.Compare(a.Epochs/a.Stride, b.Epochs/b.Stride), cmp.Compare(a.Stride, b.Stride), cmp.Compare(a.Seed, b.Seed))
					})
					return results.Write(output, record)
				})
			}
		}
	}
	return group.Wait()
}

func (r *runner) train(ctx context.Context, split *dataset.Split, t *results.Trained) error {
	c := model.DefaultConfig()
	c.Stride, c.MaxEpochs = t.Stride, t.Epochs
	c.Patience = 0 // equal compute: nobody stops early
	tagger, history, err := model.Train(ctx, c, r.corpus, split, model.TrainOptions{Seed: t.Seed})
	if err != nil {
		return err
	}
	t.BestEpoch = history.Best
	for _, e := range history.Epochs {
		t.Windows += e.Windows
		t.Steps += (e.Windows + c.Batch - 1) / c.Batch
	}
	predictions, err := r.label(ctx, tagger, split, model.VoteOptions{Stride: 1})
	if err != nil {
		return err
	}
	t.Score = r.score(split, predictions)
	fmt.Fprintf(os.Stderr, "training stride %d, %d windows, seed %d: %.4f\n", t.Stride, t.Windows, t.Seed, t.Accuracy)
	return nil
}

// inference labels the fold in every way with two models: the paper's network and the default one.
func (r *runner) inference(ctx context.Context, parallel int) ([]results.Labelled, error) {
	paper := model.PaperConfig()
	paper.Labels, paper.Stride, paper.ValidationStride, paper.MaxEpochs = "default", 4, 4, 16
	shipped := model.DefaultConfig()
	shipped.MaxEpochs = 16
	var out []results.Labelled
	for _, m := range []struct {
		name   string
		config model.Config
	}{{"paper", paper}, {"default", shipped}} {
		name, c := m.name, m.config
		split, err := r.split(c.Window)
		if err != nil {
			return nil, err
		}
		taggers := make([]*model.Tagger, r.seeds)
		group, groupCtx := errgroup.WithContext(ctx)
		group.SetLimit(parallel)
		for i := range taggers {
			group.Go(func() (err error) {
				taggers[i], err = r.tagger(groupCtx, name, c, split, uint64(i+1))
				return err
			})
		}
		if err := group.Wait(); err != nil {
			return nil, err
		}
		for i, t := range taggers {
			part, err := r.ways(ctx, t, split, results.Labelled{Model: name, Window: c.Window, Seed: uint64(i + 1)})
			if err != nil {
				return nil, err
			}
			out = append(out, part...)
		}
	}
	return out, nil
}

// tagger is a trained model, from its file if there is one.
func (r *runner) tagger(ctx context.Context, name string, c model.Config, split *dataset.Split, seed uint64) (*model.Tagger, error) {
	path := filepath.Join(r.models, fmt.Sprintf("%s-%d.k8ntext", name, seed))
	t, err := model.Load(path)
	if err == nil || !errors.Is(err, os.ErrNotExist) {
		return t, err
	}
	t, _, err = model.Train(ctx, c, r.corpus, split, model.TrainOptions{Seed: seed})
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(os.Stderr, "trained %s, seed %d\n", name, seed)
	return t, t.Save(path)
}

// ways labels the fold by every rule and stride, and online with every look-ahead.
func (r *runner) ways(ctx context.Context, t *model.Tagger, split *dataset.Split, id results.Labelled) ([]results.Labelled, error) {
	var ways []results.Labelled
	for _, rule := range []string{model.RuleSum, model.RuleMajority, model.RuleCentre} {
		for _, stride := range []int{1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 30, 40, 60} {
			if stride > id.Window {
				continue
			}
			way := id
			way.Rule, way.Stride, way.Batch = rule, stride, 32
			ways = append(ways, way)
		}
	}
	for _, lookAhead := range []int{0, 5, 10, 30, 59} {
		// Batch 1 gives each label when it is due; 32 the same labels for less.
		for _, batch := range []int{1, 32} {
			way := id
			way.Rule, way.Stride, way.Batch = model.RuleSum, 1, batch
			way.Online, way.LookAhead = true, min(lookAhead, id.Window-1)
			ways = append(ways, way)
		}
	}
	for i := range ways {
		w := &ways[i]
		o := model.VoteOptions{Rule: w.Rule, Stride: w.Stride, Online: w.Online, LookAhead: w.LookAhead, Batch: w.Batch}
		var predictions []model.Prediction
		var err error
		e := host.Measure(func() { predictions, err = r.label(ctx, t, split, o) })
		if err != nil {
			return nil, err
		}
		w.CPUMicros = e.CPU.Seconds() * 1e6 / float64(len(predictions))
		w.Score = r.score(split, predictions)
		w.Load = host.Load()
	}
	fmt.Fprintf(os.Stderr, "labelled with %s, seed %d\n", id.Model, id.Seed)
	return ways, nil
}

func (r *runner) split(window int) (*dataset.Split, error) {
	folds, err := dataset.SplitBlocked(r.corpus, dataset.BlockedOptions{Length: window})
	if err != nil {
		return nil, err
	}
	return folds[fold], nil
}

// label labels the test part, one stretch of the log: a prediction for each of TestEvents.
func (r *runner) label(ctx context.Context, t *model.Tagger, split *dataset.Split, o model.VoteOptions) ([]model.Prediction, error) {
	test := split.TestEvents()
	events := make([]*audit.Event, len(test))
	for i, e := range test {
		events[i] = r.corpus.Events[e]
	}
	return t.Label(ctx, events, o)
}

func (r *runner) score(split *dataset.Split, predictions []model.Prediction) results.Score {
	seen := make(map[label.Label]bool)
	for _, i := range split.TrainEvents() {
		seen[r.corpus.Labels[i]] = true
	}
	var outcomes []metrics.Outcome
	for i, e := range split.TestEvents() {
		truth := r.corpus.Labels[e]
		outcomes = append(outcomes, metrics.Outcome{
			True: truth, Predicted: predictions[i].Label, Own: r.corpus.Own[e],
			Context: r.corpus.Context[e], Class: metrics.Class(r.corpus.Class[e]), Seen: seen[truth],
		})
	}
	var s results.Score
	for _, m := range metrics.Score(outcomes, metrics.Options{Resamples: -1}) {
		switch {
		case m.Subset == metrics.SubsetAll && m.Metric == metrics.Accuracy:
			s.Accuracy, s.N = m.Value, m.N
		case m.Subset == metrics.SubsetAll && m.Metric == metrics.F1Macro:
			s.F1 = m.Value
		case m.Subset == metrics.SubsetOwnWrong && m.Metric == metrics.Accuracy:
			s.OwnWrong = m.Value
		}
	}
	return s
}
