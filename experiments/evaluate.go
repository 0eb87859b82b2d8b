package experiments

import (
	"cmp"
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

// UsualMethods lists the network and the baselines that take little time.
func UsualMethods() []string {
	names := []string{MethodNetwork}
	for _, b := range baseline.All(baseline.Options{}) {
		names = append(names, b.Name())
	}
	return names
}

// Methods lists what can be scored: the network, then the baselines.
func Methods() []string {
	return append(UsualMethods(), baseline.WindowTree(baseline.Options{}).Name())
}

// LoadCorpus loads corpora in the label space called space, with a pseudo label for each CRD group of
// theirs, and joins them.
func LoadCorpus(ctx context.Context, names Corpora, space string) (*dataset.Corpus, error) {
	switch space {
	case "paper":
		return dataset.LoadAll(ctx, names, label.Paper())
	case "controlplane":
		return dataset.LoadAll(ctx, names, label.ControlPlane())
	}
	return dataset.LoadAll(ctx, names, nil)
}

// run trains and scores one trial into r.
func (t *Trial) run(ctx context.Context, corpora *corpora, on device.Target, r *Result) error {
	if t.experiment.Protocol == ProtocolQuery {
		return t.ask(ctx, corpora, r)
	}
	e, err := t.evaluation(ctx, corpora)
	if err != nil {
		return err
	}
	e.on, e.threads, e.commit = on, 1, r.Provenance.Commit
	return e.run(ctx, r)
}

// evaluation is what the trial scores, on its corpus, cut as its protocol says.
func (t *Trial) evaluation(ctx context.Context, corpora *corpora) (*evaluation, error) {
	corpus, err := t.corpus(ctx, corpora)
	if err != nil {
		return nil, err
	}
	x := t.experiment
	if x.Level != "" {
		corpus = corpus.AtLevel(x.Level, nil)
	}
	split, err := t.split(corpus)
	if err != nil {
		return nil, err
	}
	if x.TestLevel != "" {
		corpus = corpus.AtLevel(x.TestLevel, split.TestEvents())
	}
	return &evaluation{
		corpus: corpus, split: split.Shorter(x.TrainShare), config: t.model, seed: t.Seed, methods: x.Methods, votes: x.Votes, abstain: x.Abstain, explain: x.Explain,
	}, nil
}

// corpus gives the trial's recordings, joined. It fails with errCorpus if they are not those that were
// planned for.
func (t *Trial) corpus(ctx context.Context, corpora *corpora) (*dataset.Corpus, error) {
	corpus, err := corpora.get(ctx, t.experiment.recordings(), t.model.Labels)
	if err != nil {
		return nil, err
	}
	if t.digest != "" && corpus.Digest != t.digest {
		return nil, fmt.Errorf("%w: corpus %s (digest %.12s then, %.12s now): plan again", errCorpus, corpus.Name, t.digest, corpus.Digest)
	}
	return corpus, nil
}

// split cuts the corpus as the trial's protocol says.
func (t *Trial) split(c *dataset.Corpus) (*dataset.Split, error) {
	e := t.experiment
	switch e.Protocol {
	case ProtocolPaper:
		return dataset.SplitPaper(c, dataset.PaperOptions{
			Length: t.model.Window, TestShare: e.TestShare, ValidationShare: e.ValidationShare, Seed: t.Seed,
		})
	case ProtocolCross:
		return dataset.SplitCross(c, dataset.CrossOptions{Length: t.model.Window, Training: e.training()})
	case ProtocolUnseen:
		folds, err := dataset.SplitUnseen(c, dataset.UnseenOptions{Length: t.model.Window, Folds: e.Folds, LeaveOut: e.LeaveOut, Seed: t.Seed})
		if err != nil {
			return nil, err
		}
		return folds[t.Fold], nil
	}
	folds, err := dataset.SplitBlocked(c, dataset.BlockedOptions{Length: t.model.Window, Folds: e.Folds})
	if err != nil {
		return nil, err
	}
	return folds[t.Fold], nil
}

// evaluation scores methods on the test part of one split.
type evaluation struct {
	corpus  *dataset.Corpus
	split   *dataset.Split
	config  model.Config
	seed    uint64
	methods []string
	votes   []Vote    // of the network; none: its windows' sum at stride 1
	abstain []float64 // thresholds of the network's confidence
	explain bool
	on      device.Target
	threads int
	commit  string
	hooks   []model.Hook // of the training
}

// run trains what the methods need and fills r's records, classes, sizes, history and cost. Under
// the paper protocol scores are over the positions of the test windows, as the paper counts; under
// every other over the test events, each labelled once by the vote of its windows.
func (e *evaluation) run(ctx context.Context, r *Result) error {
	train, test := e.split.TrainEvents(), e.split.TestEvents()
	r.Sizes = Sizes{
		TrainEvents: len(train), ValidationEvents: len(e.split.ValidationEvents()), TestEvents: len(test), SharedEvents: shared(train, test),
		TrainWindows: len(e.split.Train), Batch: e.config.Batch, Purged: e.split.Purged, Gap: e.split.Gap,
	}
	r.Training = make(map[string]string)
	for _, method := range e.methods {
		predictions, err := e.predictors(ctx, method, r)
		if err != nil {
			return fmt.Errorf("method %s: %w", method, err)
		}
		for _, p := range predictions {
			if err := e.score(p, r); err != nil {
				return fmt.Errorf("method %s: %w", p.method, err)
			}
		}
	}
	return nil
}

// score adds the records of a method.
func (e *evaluation) score(p prediction, r *Result) error {
	id := metrics.Record{Corpus: e.corpus.Name, Protocol: e.split.Protocol, Fold: e.split.Fold, Method: p.method, Seed: e.seed}
	if e.split.Protocol == ProtocolPaper {
		confusion, err := p.windows()
		if err != nil {
			return err
		}
		r.Records = append(r.Records, confusion.WindowRecords(id)...)
		if p.method == MethodNetwork {
			r.Classes, r.Confusion = e.classes(confusion), confusion.Cells()
		}
		return nil
	}
	outcomes, err := p.events()
	if err != nil {
		return err
	}
	if p.method == MethodNetwork {
		r.Confusion = confusionOf(outcomes)
	}
	for _, part := range e.byRecording(outcomes) {
		id.Corpus = part.name
		o := metrics.Options{ID: id, BootstrapSeed: e.seed}
		r.Records = append(r.Records, metrics.Score(part.outcomes, o)...)
		if len(e.abstain) > 0 && strings.HasPrefix(p.method, MethodNetwork) { // no baseline says how sure it is
			r.Records = append(r.Records, metrics.Abstain(part.outcomes, e.abstain, o)...)
		}
	}
	return nil
}

// scored are the outcomes of one recording's test events.
type scored struct {
	name     string
	outcomes []metrics.Outcome
}

// byRecording cuts the outcomes of all test events where a recording ends.
func (e *evaluation) byRecording(outcomes []metrics.Outcome) []scored {
	if e.corpus.Recordings == nil {
		return []scored{{e.corpus.Name, outcomes}}
	}
	var parts []scored
	events := e.split.TestEvents()
	for _, r := range e.corpus.Recordings {
		n, _ := slices.BinarySearch(events, int32(r.To))
		if n > 0 {
			parts = append(parts, scored{r.Name, outcomes[:n]})
		}
		events, outcomes = events[n:], outcomes[n:]
	}
	return parts
}

// shared counts what two ascending lists have in common.
func shared(a, b []int32) int {
	n := 0
	for _, x := range a {
		if _, found := slices.BinarySearch(b, x); found {
			n++
		}
	}
	return n
}

// prediction gives a method's answers in the two forms that protocols score.
type prediction struct {
	method  string
	windows func() (*metrics.Confusion, error) // over the positions of the test windows
	events  func() ([]metrics.Outcome, error)  // over the test events
}

// predictors trains a method on the split's training part: one prediction, or the network's for each vote.
func (e *evaluation) predictors(ctx context.Context, method string, r *Result) ([]prediction, error) {
	if method == MethodNetwork {
		return e.network(ctx, r)
	}
	profile, err := feature.ByName(e.config.Features)
	if err != nil {
		return nil, err
	}
	var fit [][]*audit.Event
	for _, part := range e.split.FitParts() {
		fit = append(fit, pickEvents(e.corpus, part))
	}
	encoder := feature.Fit(profile, fit...)
	ids, _ := encoder.Parts(e.corpus.Events, e.split.Sequences)
	fitted, err := e.baseline(method).Fit(ctx, baseline.Data{
		Corpus: e.corpus, Split: e.split, Features: ids,
	})
	if err != nil {
		return nil, err
	}
	if note := fitted.Note(); note != "" {
		r.Training[method] = note
	}
	byEvent := make(map[int32]label.Label)
	for _, test := range e.testParts() {
		labels, err := fitted.Predict(ctx, test)
		if err != nil {
			return nil, err
		}
		for i, event := range test {
			byEvent[event] = labels[i]
		}
	}
	return []prediction{{
		method: method,
		events: func() ([]metrics.Outcome, error) {
			return e.outcomes(func(i int32) label.Label { return byEvent[i] }), nil
		},
		windows: func() (*metrics.Confusion, error) {
			return e.confusion(func(window, position int, event int32) label.Label { return byEvent[event] }), nil
		},
	}}, nil
}

// baseline is the baseline of that name, which [Experiment.check] found among [Methods].
func (e *evaluation) baseline(method string) baseline.Baseline {
	o := baseline.Options{Seed: e.seed}
	all := append(baseline.All(o), baseline.WindowTree(o))
	return all[slices.IndexFunc(all, func(b baseline.Baseline) bool { return b.Name() == method })]
}

// network trains the network and notes what that took. The time of labelling is that of the last vote.
func (e *evaluation) network(ctx context.Context, r *Result) ([]prediction, error) {
	start := time.Now()
	tagger, history, err := model.Train(ctx, e.config, e.corpus, e.split, model.TrainOptions{
		Seed: e.seed, Kernels: e.on.Kernels, Device: e.on.OpenCL, FallBack: e.on.FallBack, Threads: e.threads, Commit: e.commit, Hooks: e.hooks,
	})
	r.History = history
	if err != nil {
		return nil, err
	}
	r.Provenance.Kernels = tagger.Provenance.Kernels // the processor's, where it had to take over
	r.Cost.TrainSeconds = time.Since(start).Seconds()
	for _, epoch := range history.Epochs {
		r.Sizes.Steps += (epoch.Windows + e.config.Batch - 1) / e.config.Batch
	}
	if e.explain {
		if err := e.imitate(ctx, tagger, r); err != nil {
			return nil, err
		}
	}
	vote := model.VoteOptions{Stride: 1, Kernels: e.on.Kernels, Device: e.on.OpenCL, FallBack: e.on.FallBack, Threads: e.threads}
	timed := func(events int, start time.Time) {
		r.Cost.InferSeconds, r.Cost.InferEvents = time.Since(start).Seconds(), events
	}
	labelled := func(vote model.VoteOptions) ([]metrics.Outcome, error) {
		start := time.Now()
		byEvent := make(map[int32]model.Prediction)
		for _, s := range testSequences(e.split) {
			predictions, err := tagger.Label(ctx, pickEvents(e.corpus, s), vote)
			if err != nil {
				return nil, err
			}
			for i, p := range predictions {
				byEvent[s[i]] = p
			}
		}
		timed(len(byEvent), start)
		if len(e.votes) == 0 {
			r.Margins = e.margins(byEvent)
		}
		outcomes := e.outcomes(func(i int32) label.Label { return byEvent[i].Label })
		for i, event := range e.split.TestEvents() {
			outcomes[i].Confidence = byEvent[event].Confidence
		}
		return outcomes, nil
	}
	var voted []prediction
	for _, v := range e.votes {
		voted = append(voted, prediction{
			method: v.name(), events: func() ([]metrics.Outcome, error) { return labelled(v.options(vote)) },
		})
	}
	if len(voted) > 0 {
		return voted, nil
	}
	return []prediction{{
		method: MethodNetwork,
		windows: func() (*metrics.Confusion, error) {
			start := time.Now()
			labels, err := tagger.LabelWindows(ctx, e.corpus, e.split, e.split.Test, vote)
			if err != nil {
				return nil, err
			}
			// Stride 1: a log has about as many windows as events, so a window's time is an event's.
			timed(len(e.split.Test), start)
			return e.confusion(func(window, position int, event int32) label.Label {
				return labels[window*e.split.Length+position]
			}), nil
		},
		events: func() ([]metrics.Outcome, error) { return labelled(vote) },
	}}, nil
}

// testParts are the test events by the recordings that they are of: what runs through a log starts anew
// with each.
func (e *evaluation) testParts() [][]int32 {
	if e.split.Protocol != ProtocolPaper {
		return testSequences(e.split)
	}
	return [][]int32{e.split.TestEvents()}
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
func (e *evaluation) confusion(predict func(window, position int, event int32) label.Label) *metrics.Confusion {
	c := new(metrics.Confusion)
	for i, w := range e.split.Test {
		for j, event := range e.split.Events(w) {
			if truth := e.corpus.Labels[event]; truth >= 0 {
				c.Add(truth, predict(i, j, event), 1)
			}
		}
	}
	return c
}

// outcomes are the test events with a method's labels.
func (e *evaluation) outcomes(predict func(event int32) label.Label) []metrics.Outcome {
	seen := make(map[label.Label]bool)
	for _, i := range e.split.TrainEvents() {
		seen[e.corpus.Labels[i]] = true
	}
	events := e.split.TestEvents()
	outcomes := outcomesOf(e.corpus, events, predict, func(l label.Label) bool { return seen[l] })
	for i, event := range events {
		if _, held := slices.BinarySearch(e.split.Held, event); held {
			outcomes[i].Seen = false // of a scenario that is left out, whose labels may be seen elsewhere
		}
	}
	return outcomes
}

// outcomesOf are events of a corpus with a method's labels, ready to score. seen tells whether a label
// occurs in the training part.
func outcomesOf(c *dataset.Corpus, events []int32, predict func(event int32) label.Label, seen func(label.Label) bool) []metrics.Outcome {
	// Recordings number their contexts alike.
	recording := func(event int32) int {
		i, _ := slices.BinarySearchFunc(c.Recordings, event, func(r dataset.Recording, e int32) int { return cmp.Compare(int32(r.To), e+1) })
		return i
	}
	type context struct {
		recording int
		id        string
	}
	triggered := make(map[context]label.Label, len(c.Contexts))
	for _, x := range c.Contexts {
		if x.Trigger >= 0 {
			triggered[context{recording(x.Trigger), x.ID}] = c.Own[x.Trigger]
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
				if l, ok := triggered[context{recording(event), id}]; ok {
					outcomes[i].Candidates = append(outcomes[i].Candidates, l)
				}
			}
		}
	}
	return outcomes
}

// classes are the labels of the test windows for Figure 9.
func (e *evaluation) classes(c *metrics.Confusion) []Class {
	var classes []Class
	for _, s := range c.Classes() {
		classes = append(classes, Class{
			Label: int32(s.Label), Name: e.corpus.Space.Describe(s.Label), Weight: int(s.Weight), Accuracy: s.Accuracy,
		})
	}
	return classes
}

// EvaluateOptions say how [Evaluate] computes; results depend on them in the last bits at most.
type EvaluateOptions struct {
	Device   device.Target
	Threads  int
	Progress func(fold, folds int, p model.Progress) // may be nil
}

// Evaluate runs one experiment without a results folder: every fold once with the seed, whatever its
// grid and repetitions. The records of the folds come first, those over all folds after them.
func Evaluate(ctx context.Context, x Experiment, seed uint64, o EvaluateOptions) ([]metrics.Record, error) {
	x.Name, x.Grid, x.Repetitions = "evaluate", nil, 1
	c := &Config{Name: x.Name, Experiments: []Experiment{x}}
	if err := c.check(); err != nil {
		return nil, err
	}
	trials, corpora, err := c.plan(ctx)
	if err != nil {
		return nil, err
	}
	var records []metrics.Record
	for i := range trials {
		trials[i].Seed = seed // as given: a record's seed makes the record anew
		e, err := trials[i].evaluation(ctx, corpora)
		if err != nil {
			return nil, err
		}
		e.on, e.threads = o.Device, o.Threads
		if o.Progress != nil {
			e.hooks = []model.Hook{{Name: "progress", Step: func(l *model.Loop) error {
				o.Progress(i+1, len(trials), l.Progress())
				return nil
			}}}
		}
		var r Result
		if err := e.run(ctx, &r); err != nil {
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
		records = append(records, metrics.Score(outcomesOf(c, events, method.predict, seen), metrics.Options{ID: id, BootstrapSeed: t.Provenance.Seed})...)
	}
	if includeSeen && trained > 0 {
		for i := range records {
			records[i].Note = strings.TrimPrefix(fmt.Sprintf("%s; %s (%d of %d events)", records[i].Note, seenInTraining, trained, len(events)), "; ")
		}
	}
	return records, nil
}
