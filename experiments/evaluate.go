package experiments

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8ntext/dataset"
	"k8ntext/dataset/audit"
	"k8ntext/dataset/feature"
	"k8ntext/dataset/label"
	"k8ntext/metrics"
	"k8ntext/model"
	"k8ntext/model/baseline"
	"k8ntext/model/device"
)

// MethodNetwork is the trained network among the methods; the others are the baselines.
const MethodNetwork = "network"

// Methods lists what can be scored: the network, then the baselines.
func Methods() []string {
	names := []string{MethodNetwork}
	for _, b := range baseline.All(baseline.Options{}) {
		names = append(names, b.Name())
	}
	return names
}

// LoadCorpus loads a corpus in the label space called space, with a pseudo label for each CRD group of the corpus.
func LoadCorpus(ctx context.Context, name, space string) (*dataset.Corpus, error) {
	if space == "paper" {
		return dataset.Load(ctx, name, label.Paper())
	}
	return dataset.Load(ctx, name, nil)
}

// run trains and scores one trial into r.
func (t *Trial) run(ctx context.Context, corpora *corpora, k device.Kernels, r *Result) error {
	corpus, err := corpora.get(ctx, t.Corpus, t.model.Labels)
	if err != nil {
		return err
	}
	split, err := t.split(corpus)
	if err != nil {
		return err
	}
	e := &Evaluation{
		Corpus: corpus, Split: split, Config: t.model, Seed: t.Seed, Methods: t.experiment.Methods,
		Kernels: k, Threads: 1, Commit: r.Provenance.Commit,
	}
	return e.Run(ctx, r)
}

// split cuts the corpus as the trial's protocol says.
func (t *Trial) split(c *dataset.Corpus) (*dataset.Split, error) {
	e := t.experiment
	if e.Protocol == ProtocolPaper {
		return dataset.SplitPaper(c, dataset.PaperOptions{
			Length: t.model.Window, TestShare: e.TestShare, ValidationShare: e.ValidationShare, Seed: t.Seed,
		})
	}
	folds, err := dataset.SplitBlocked(c, dataset.BlockedOptions{Length: t.model.Window, Folds: e.Folds})
	if err != nil {
		return nil, err
	}
	return folds[t.Fold], nil
}

// Evaluation scores methods on the test part of one split.
type Evaluation struct {
	Corpus  *dataset.Corpus
	Split   *dataset.Split
	Config  model.Config
	Seed    uint64
	Methods []string
	Kernels device.Kernels
	Threads int
	Commit  string
	Hooks   []model.Hook // of the training
}

// Run trains what the methods need and fills r's records, classes, sizes, history and cost. Under
// the paper protocol scores are over the positions of the test windows, as the paper counts; under
// every other over the test events, each labelled once by the vote of its windows.
func (e *Evaluation) Run(ctx context.Context, r *Result) error {
	split := e.Split
	r.Sizes = Sizes{
		TrainEvents: len(split.TrainEvents()), ValidationEvents: len(split.ValidationEvents()), TestEvents: len(split.TestEvents()),
		TrainWindows: len(split.Train), Batch: e.Config.Batch, Purged: split.Purged, Gap: split.Gap,
	}
	for _, method := range e.Methods {
		predict, err := e.predictor(ctx, method, r)
		if err != nil {
			return fmt.Errorf("method %s: %w", method, err)
		}
		id := metrics.Record{Corpus: e.Corpus.Name, Protocol: split.Protocol, Fold: split.Fold, Method: method, Seed: e.Seed}
		if split.Protocol == ProtocolPaper {
			confusion, err := predict.windows()
			if err != nil {
				return fmt.Errorf("method %s: %w", method, err)
			}
			r.Records = append(r.Records, confusion.WindowRecords(id)...)
			if method == MethodNetwork {
				r.Classes = e.classes(confusion)
			}
			continue
		}
		outcomes, err := predict.events()
		if err != nil {
			return fmt.Errorf("method %s: %w", method, err)
		}
		r.Records = append(r.Records, metrics.Score(outcomes, metrics.Options{ID: id, BootstrapSeed: e.Seed})...)
	}
	return nil
}

// prediction gives a method's answers in the two forms that protocols score.
type prediction struct {
	windows func() (*metrics.Confusion, error) // over the positions of the test windows
	events  func() ([]metrics.Outcome, error)  // over the test events
}

// predictor trains a method on the split's training part.
func (e *Evaluation) predictor(ctx context.Context, method string, r *Result) (*prediction, error) {
	if method == MethodNetwork {
		return e.network(ctx, r)
	}
	profile, err := feature.ByName(e.Config.Features)
	if err != nil {
		return nil, err
	}
	encoder := feature.Fit(profile, pickEvents(e.Corpus, e.Split.FitEvents))
	fitted, err := e.baseline(method).Fit(ctx, baseline.Data{Corpus: e.Corpus, Split: e.Split, Features: encoder.Matrix(e.Corpus.Events)})
	if err != nil {
		return nil, err
	}
	test := e.Split.TestEvents()
	labels, err := fitted.Predict(ctx, test)
	if err != nil {
		return nil, err
	}
	byEvent := make(map[int32]label.Label, len(labels))
	for i, event := range test {
		byEvent[event] = labels[i]
	}
	return &prediction{
		events: func() ([]metrics.Outcome, error) {
			return e.outcomes(func(i int32) label.Label { return byEvent[i] }), nil
		},
		windows: func() (*metrics.Confusion, error) {
			return e.confusion(func(window, position int, event int32) label.Label { return byEvent[event] }), nil
		},
	}, nil
}

// baseline is the baseline of that name, which [Experiment.check] found among [Methods].
func (e *Evaluation) baseline(method string) baseline.Baseline {
	all := baseline.All(baseline.Options{Seed: e.Seed})
	return all[slices.IndexFunc(all, func(b baseline.Baseline) bool { return b.Name() == method })]
}

// network trains the network and notes what that took.
func (e *Evaluation) network(ctx context.Context, r *Result) (*prediction, error) {
	start := time.Now()
	tagger, history, err := model.Train(ctx, e.Config, e.Corpus, e.Split, model.TrainOptions{
		Seed: e.Seed, Kernels: e.Kernels, Threads: e.Threads, Commit: e.Commit, Hooks: e.Hooks,
	})
	r.History = history
	if err != nil {
		return nil, err
	}
	r.Cost.TrainSeconds = time.Since(start).Seconds()
	for _, epoch := range history.Epochs {
		r.Sizes.Steps += (epoch.Windows + e.Config.Batch - 1) / e.Config.Batch
	}
	vote := model.VoteOptions{Kernels: e.Kernels, Threads: e.Threads}
	timed := func(events int, start time.Time) {
		r.Cost.InferSeconds, r.Cost.InferEvents = time.Since(start).Seconds(), events
	}
	return &prediction{
		windows: func() (*metrics.Confusion, error) {
			start := time.Now()
			labels, err := tagger.LabelWindows(ctx, e.Corpus, e.Split, e.Split.Test, vote)
			if err != nil {
				return nil, err
			}
			// Stride 1: a log has about as many windows as events, so a window's time is an event's.
			timed(len(e.Split.Test), start)
			return e.confusion(func(window, position int, event int32) label.Label {
				return labels[window*e.Split.Length+position]
			}), nil
		},
		events: func() ([]metrics.Outcome, error) {
			start := time.Now()
			byEvent := make(map[int32]label.Label)
			for _, s := range testSequences(e.Split) {
				predictions, err := tagger.Label(ctx, pickEvents(e.Corpus, s), vote)
				if err != nil {
					return nil, err
				}
				for i, p := range predictions {
					byEvent[s[i]] = p.Label
				}
			}
			timed(len(byEvent), start)
			return e.outcomes(func(i int32) label.Label { return byEvent[i] }), nil
		},
	}, nil
}

// testSequences are the sequences that hold test windows. Under every protocol but the paper's a
// sequence belongs to one part.
func testSequences(s *dataset.Split) [][]int32 {
	var sequences [][]int32
	for i, events := range s.Sequences {
		if slices.ContainsFunc(s.Test, func(w dataset.Window) bool { return int(w.Sequence) == i }) {
			sequences = append(sequences, events)
		}
	}
	return sequences
}

func pickEvents(c *dataset.Corpus, indices []int32) []*audit.Event {
	events := make([]*audit.Event, len(indices))
	for i, e := range indices {
		events[i] = c.Events[e]
	}
	return events
}

// confusion counts a method's labels over the positions of the test windows. Events whose label is
// not known are not scored.
func (e *Evaluation) confusion(predict func(window, position int, event int32) label.Label) *metrics.Confusion {
	c := new(metrics.Confusion)
	for i, w := range e.Split.Test {
		for j, event := range e.Split.Events(w) {
			if truth := e.Corpus.Labels[event]; truth >= 0 {
				c.Add(truth, predict(i, j, event), 1)
			}
		}
	}
	return c
}

// outcomes are the test events with a method's labels.
func (e *Evaluation) outcomes(predict func(event int32) label.Label) []metrics.Outcome {
	seen := make(map[label.Label]bool)
	for _, i := range e.Split.TrainEvents() {
		seen[e.Corpus.Labels[i]] = true
	}
	return Outcomes(e.Corpus, e.Split.TestEvents(), predict, func(l label.Label) bool { return seen[l] })
}

// Outcomes are events of a corpus with a method's labels, ready to score. seen tells whether a label
// occurs in the training part.
func Outcomes(c *dataset.Corpus, events []int32, predict func(event int32) label.Label, seen func(label.Label) bool) []metrics.Outcome {
	triggered := make(map[string]label.Label, len(c.Contexts))
	for _, context := range c.Contexts {
		if context.Trigger >= 0 {
			triggered[context.ID] = c.Own[context.Trigger]
		}
	}
	outcomes := make([]metrics.Outcome, len(events))
	for i, event := range events {
		truth := c.Labels[event]
		outcomes[i] = metrics.Outcome{
			True: truth, Predicted: predict(event), Own: c.Own[event],
			Context: c.Context[event], Class: metrics.Class(c.Class[event]), Seen: seen(truth),
		}
		if t := c.Events[event].Truth; t != nil {
			for _, id := range t.Candidates {
				if l, ok := triggered[id]; ok {
					outcomes[i].Candidates = append(outcomes[i].Candidates, l)
				}
			}
		}
	}
	return outcomes
}

// classes are the labels of the test windows for Figure 9.
func (e *Evaluation) classes(c *metrics.Confusion) []Class {
	var classes []Class
	for _, s := range c.Classes() {
		classes = append(classes, Class{
			Label: int32(s.Label), Name: e.Corpus.Space.Describe(s.Label), Weight: int(s.Weight), Accuracy: s.Accuracy,
		})
	}
	return classes
}

// EvaluateOptions say how [Evaluate] and [EvaluateModel] compute; results do not depend on them.
type EvaluateOptions struct {
	Kernels  device.Kernels
	Threads  int
	Progress func(fold, folds int, p model.Progress) // may be nil
}

// Evaluate runs one experiment without a grid, without a results folder: every fold once, with one
// seed. The records of the folds come first, those over all folds after them.
func Evaluate(ctx context.Context, x Experiment, seed uint64, o EvaluateOptions) ([]metrics.Record, error) {
	c := &Config{Name: "evaluate", Corpus: x.Corpus, Seed: seed, Experiments: []Experiment{x}}
	c.Experiments[0].Name = "evaluate"
	if err := c.check(); err != nil {
		return nil, err
	}
	corpora := newCorpora()
	trials, err := c.Plan(func(name string) (string, error) { return corpora.digest(ctx, name) })
	if err != nil {
		return nil, err
	}
	var records []metrics.Record
	for i := range trials {
		t := &trials[i]
		corpus, err := corpora.get(ctx, t.Corpus, t.model.Labels)
		if err != nil {
			return nil, err
		}
		split, err := t.split(corpus)
		if err != nil {
			return nil, err
		}
		e := &Evaluation{Corpus: corpus, Split: split, Config: t.model, Seed: seed, Methods: t.experiment.Methods, Kernels: o.Kernels, Threads: o.Threads}
		if o.Progress != nil {
			e.Hooks = []model.Hook{{Name: "progress", Step: func(l *model.Loop) error {
				o.Progress(i+1, len(trials), l.Progress())
				return nil
			}}}
		}
		var r Result
		if err := e.Run(ctx, &r); err != nil {
			return nil, fmt.Errorf("fold %d: %w", i+1, err)
		}
		records = append(records, r.Records...)
	}
	if len(trials) > 1 {
		records = append(records, metrics.MergeFolds(records)...)
	}
	return records, nil
}

// ProtocolModel is the protocol of records that score a model as it is, on events that it was not trained on.
const ProtocolModel = "model"

// seenInTraining marks every record of a score that the model's own training events took part in.
const seenInTraining = "SEEN IN TRAINING"

// EvaluateModel scores a trained model and the own label on the events of a corpus that the model was
// not trained on. It fails if none remain. With includeSeen it scores all, and says so in every
// record if there was one.
func EvaluateModel(ctx context.Context, t *model.Tagger, corpusName string, includeSeen bool, vote model.VoteOptions) ([]metrics.Record, error) {
	c, err := dataset.Load(ctx, corpusName, t.Space)
	if err != nil {
		return nil, err
	}
	if !c.Labelled() {
		return nil, fmt.Errorf("score on corpus %s: it has no labels to compare with: use predict, or a labelled corpus (k8ntext corpus list)", c.Name)
	}
	var events []int32
	trained := 0
	for i, e := range c.Events {
		if t.Provenance.SeenInTraining(e) {
			trained++
			if !includeSeen {
				continue
			}
		}
		events = append(events, int32(i))
	}
	if len(events) == 0 {
		return nil, fmt.Errorf("score on corpus %s: the model was trained on all of its %d events: use another corpus, evaluate without a model, or --include-seen", c.Name, trained)
	}
	// All events are shown to the network, as they would be in use; only the unseen ones are scored.
	predictions, err := t.Label(ctx, c.Events, vote)
	if err != nil {
		return nil, err
	}
	var records []metrics.Record
	for _, method := range []struct {
		name    string
		predict func(int32) label.Label
	}{
		{MethodNetwork, func(i int32) label.Label { return predictions[i].Label }},
		{"own-label", func(i int32) label.Label { return c.Own[i] }},
	} {
		id := metrics.Record{Corpus: c.Name, Protocol: ProtocolModel, Fold: metrics.AllFolds, Method: method.name, Seed: t.Provenance.Seed}
		seen := func(l label.Label) bool { return slices.Contains(t.Provenance.Labels, l) }
		records = append(records, metrics.Score(Outcomes(c, events, method.predict, seen), metrics.Options{ID: id, BootstrapSeed: t.Provenance.Seed})...)
	}
	if includeSeen && trained > 0 {
		for i := range records {
			records[i].Note = strings.TrimPrefix(fmt.Sprintf("%s; %s (%d of %d events)", records[i].Note, seenInTraining, trained, len(events)), "; ")
		}
	}
	return records, nil
}
