package model

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"k8ntext/dataset"
	"k8ntext/dataset/audit"
	"k8ntext/dataset/feature"
	"k8ntext/dataset/label"
	"k8ntext/model/device"
	"k8ntext/model/device/opencl"
)

// TrainOptions says how a training is carried out. Apart from Seed, Kernels and Device, nothing here changes
// a bit of the result.
type TrainOptions struct {
	// Seed decides the first weights, the order of the windows, what is hidden and dropped.
	Seed uint64
	// Kernels does the arithmetic; nil is the best that this machine has.
	Kernels device.Kernels
	// Device, where not nil, trains the network instead of the processor.
	Device *opencl.Device
	// FallBack lets the processor take over where the device fails: it does the epoch at hand again.
	FallBack bool
	// Threads is how many threads a step may use; 0 is 1.
	Threads int
	// Checkpoint is the path of a file that holds the state after every epoch and after an interrupt.
	// If it exists, the training goes on from there as if it had never stopped; if it is of another
	// training, that is an error. Kernels and Device may be others than before: the result then differs
	// in its last bits from either's, and its provenance names both. "" keeps none. It stays when the
	// training is done.
	Checkpoint string
	// Hooks are called as the training goes on.
	Hooks []Hook
	// Commit is noted in the tagger's provenance.
	Commit string
	// Log gets a line per epoch and on each change of course; nil is silence.
	Log *slog.Logger
}

// Hook looks on at fixed points of a training. Any of its functions may be nil; an error of one ends
// the training with that error. Hooks of smaller Order are called first, those of equal Order in the
// order in which they were given. The training's own have orders below -10: numbers that are not
// finite, best weights and early stopping, learning rate, log.
type Hook struct {
	Name  string
	Order int
	Start func(*Loop) error // once, before the first step of this run
	Step  func(*Loop) error // after each training step
	Epoch func(*Loop) error // after each epoch, when its record is in the history
	End   func(*Loop) error // once, after the last step; not after an error
}

// History is what happened in a training.
type History struct {
	// Monitored is the loss that decides: "validation", or "training" where no event of a validation
	// window has a label.
	Monitored string  `json:"monitored"`
	Epochs    []Epoch `json:"epochs"`
	// Best is the number of the epoch whose weights were kept, from 1; 0: none was completed.
	Best int `json:"best"`
	// Stopped says why the training ended; "" while it has not.
	Stopped string `json:"stopped,omitempty"`
}

// Epoch is the record of one epoch.
type Epoch struct {
	Epoch          int     `json:"epoch"` // from 1
	Loss           float64 `json:"loss"`  // mean over the scored positions, as the training went
	ValidationLoss float64 `json:"validation_loss,omitzero"`
	// ValidationAccuracy is the share of the scored positions of the validation windows whose label is right, as
	// the network tells it of one window: before windows vote, before a tie is followed. 0 too in
	// histories from before it was measured.
	ValidationAccuracy float64 `json:"validation_accuracy,omitzero"`
	LearningRate       float64 `json:"learning_rate"`
	Windows            int     `json:"windows"` // training windows shown
	Seconds            float64 `json:"seconds"`
	CPUSeconds         float64 `json:"cpu_seconds"` // of the whole process; 0 where the system does not tell
}

// monitored is the loss by which the epoch is judged.
func (h *History) monitored(e Epoch) float64 {
	if h.Monitored == "validation" {
		return e.ValidationLoss
	}
	return e.Loss
}

// Progress is where a training stands.
type Progress struct {
	Epoch, MaxEpochs int     // the current epoch, from 1
	Step, Steps      int     // steps done of the current epoch
	Loss             float64 // of the current epoch so far
	StepLoss         float64 // of the last step; 0 before the first of this run and where no row had a label
	LearningRate     float64
	BestEpoch        int     // 0: none yet
	BestLoss         float64 // the monitored loss of that epoch
	Elapsed          time.Duration
	// Remaining is the time until MaxEpochs at the speed so far, at most: training may stop early. 0
	// before the first step.
	Remaining time.Duration
}

// DivergedError says that a training produced numbers that are not finite.
type DivergedError struct {
	Epoch, Step  int    // from 1; step 0: at the epoch's end
	What         string // "training loss", "validation loss" or "weights"
	LearningRate float64
}

func (e *DivergedError) Error() string {
	at := fmt.Sprintf("epoch %d", e.Epoch)
	if e.Step > 0 {
		at += fmt.Sprintf(", step %d", e.Step)
	}
	return fmt.Sprintf("training diverged at %s: the %s is not a finite number: lower learning_rate (now %g)", at, e.What, e.LearningRate)
}

// Train trains a model on a split's training windows and keeps the weights of the epoch with the
// smallest validation loss. Events whose label is not known are shown to the network and take no part
// in the loss.
//
// Cancelling ctx ends the training after the current step, with a checkpoint if one is wanted, and
// the error is the context's. Then, as after a [DivergedError] or the error of a hook, the tagger has
// the best weights so far; it is nil if no epoch was completed. The history is never nil once training began.
func Train(ctx context.Context, c Config, corpus *dataset.Corpus, split *dataset.Split, o TrainOptions) (*Tagger, *History, error) {
	fail := func(err error) (*Tagger, *History, error) {
		return nil, nil, fmt.Errorf("train on corpus %s: %w", corpus.Name, err)
	}
	if err := c.Validate(); err != nil {
		return fail(err)
	}
	switch {
	case split.Length != c.Window:
		return fail(fmt.Errorf("the split has windows of %d events, the config of %d: cut the corpus with window = %d", split.Length, c.Window, c.Window))
	case corpus.Space.Name() != c.Labels:
		return fail(fmt.Errorf("its labels are of space %q, the config says labels = %q: load it with that space", corpus.Space.Name(), c.Labels))
	case len(split.Train) == 0:
		return fail(errors.New("the split has no training windows"))
	}
	profile, err := c.profile()
	if err != nil {
		return fail(err)
	}
	if o.Kernels == nil {
		if o.Kernels, err = device.Select(""); err != nil {
			return fail(err)
		}
	}
	o.Threads = max(o.Threads, 1)

	// What is shown has overlays; what is told of the training is of the corpus as it is.
	shown, parts, err := dataset.Interleave(corpus, split, c.Interleave, o.Seed)
	if err != nil {
		return fail(err)
	}
	var bare []*audit.Event
	if c.BodyDropout > 0 {
		bare = bareEvents(shown.Events)
	}
	encoder := fitEncoder(profile, shown.Events, bare, parts)
	t := &Tagger{
		Config: c, Encoder: encoder, Space: corpus.Space,
		Provenance: Provenance{
			Corpus: corpus.Name, CorpusDigest: corpus.Digest, Protocol: split.Protocol, Fold: split.Fold,
			Seed: o.Seed, Commit: o.Commit,
			Labels: seenLabels(corpus, split), TrainingEvents: trainingEvents(corpus, split),
		},
	}
	shape := t.Network()
	t.Weights = NewWeights(shape, o.Seed)
	on := NetworkOptions{
		Kernels: o.Kernels, Device: o.Device, FallBack: o.FallBack, Threads: o.Threads, Training: true,
		Seed: DropoutSeed(o.Seed),
	}
	network, err := NewNetwork(shape, t.Weights, c.Batch, on)
	if err != nil {
		return fail(err)
	}
	defer func() { network.Close() }()

	l := newLayout(shape, encoder.Sizes(), c.Batch)
	encode := func(events []*audit.Event) view {
		ids, tied := encoder.Parts(events, parts.Sequences)
		return view{ids: ids, tied: tied}
	}
	data := newSamples(l, parts, encode(shown.Events), shown.Labels, shown.Own, corpus.Space)
	if bare != nil {
		data.showBare(encode(bare), c.BodyDropout, shown.Labels, shown.Own, corpus.Space)
	}
	data.augment = newAugmenter(c, encoder)
	if !data.anyScored(parts.Train) {
		return fail(errors.New("no event of a training window has a label of its label space: use a labelled corpus"))
	}

	loop := newLoop(c, o, data, network, t.Weights, shape.tensors())
	loop.identity = trainingIdentity(c, corpus, split, o.Seed)
	if wanted := (device.Target{Kernels: o.Kernels, OpenCL: o.Device}); network.Engine() != wanted.Name() {
		loop.log.Warn("the device cannot be used, training on the processor", "device", o.Device, "kernels", network.Engine())
	} else if o.Device != nil && o.FallBack {
		loop.spare = func() (learner, error) {
			network.Close()
			on.Device = nil
			next, err := NewNetwork(shape, t.Weights, c.Batch, on)
			if err != nil {
				return nil, err
			}
			network = next
			return network, nil
		}
	}
	err = loop.run(ctx)
	history := &loop.state.History
	if err != nil {
		err = fmt.Errorf("train on corpus %s: %w", corpus.Name, err)
	}
	if history.Best == 0 {
		return nil, history, err
	}
	t.Weights = loop.best
	t.Provenance.Kernels = strings.Join(loop.state.Engines, ", then ")
	t.Provenance.Epochs = len(history.Epochs)
	t.Provenance.BestEpoch = history.Best
	t.Provenance.Loss = loop.state.BestLoss
	return t, history, err
}

func pick[T any](s []T, indices []int32) []T {
	out := make([]T, len(indices))
	for i, j := range indices {
		out[i] = s[j]
	}
	return out
}

// fitEncoder makes the encoder for a split's training events, in both forms in which they are shown.
func fitEncoder(p feature.Profile, events, bare []*audit.Event, split *dataset.Split) *feature.Encoder {
	var fit [][]*audit.Event
	for _, form := range [][]*audit.Event{events, bare} {
		if form == nil {
			continue
		}
		for _, part := range split.FitParts() {
			fit = append(fit, pick(form, part))
		}
	}
	return feature.Fit(p, fit...)
}

// bareEvents are the events as level Metadata would have logged them.
func bareEvents(events []*audit.Event) []*audit.Event {
	bare := make([]*audit.Event, len(events))
	for i, e := range events {
		bare[i] = dataset.AtLevel(e, "Metadata")
	}
	return bare
}

func seenLabels(c *dataset.Corpus, split *dataset.Split) []label.Label {
	labels := slices.DeleteFunc(pick(c.Labels, split.TrainEvents()), func(l label.Label) bool { return l < 0 })
	slices.Sort(labels)
	return slices.Compact(labels)
}

func trainingEvents(c *dataset.Corpus, split *dataset.Split) []Digest {
	var out []Digest
	for _, events := range [][]int32{split.TrainEvents(), split.ValidationEvents()} {
		for _, e := range events {
			out = append(out, c.Events[e].Digest())
		}
	}
	slices.SortFunc(out, compareDigests)
	return slices.Compact(out)
}

// trainingIdentity tells trainings apart whose states must not be mixed up.
func trainingIdentity(c Config, corpus *dataset.Corpus, split *dataset.Split, seed uint64) string {
	h := sha256.New()
	config, err := json.Marshal(c, json.Deterministic(true))
	if err != nil {
		panic(err) // a struct of numbers and strings
	}
	fmt.Fprintf(h, "%s %s %d %s\n", config, corpus.Digest, seed, corpus.Space.CRDGroups())
	for _, seq := range split.Sequences {
		binary.Write(h, binary.LittleEndian, int64(len(seq)))
		binary.Write(h, binary.LittleEndian, seq)
	}
	for _, windows := range [][]dataset.Window{split.Train, split.Validation} {
		binary.Write(h, binary.LittleEndian, int64(len(windows)))
		binary.Write(h, binary.LittleEndian, windows)
	}
	binary.Write(h, binary.LittleEndian, split.FitEvents)
	return hex.EncodeToString(h.Sum(nil))
}

// Loop is a running training, as its hooks see it.
type Loop struct {
	config   Config
	options  TrainOptions
	data     *samples
	network  learner
	weights  Weights // the network's, updated in place
	specs    []tensorSpec
	best     Weights // of the best epoch; nil before the first
	identity string
	hooks    []Hook
	log      *slog.Logger

	state loopState
	steps int // of the current epoch

	spare    func() (learner, error) // the network that replaces one whose device failed; or nil
	snapshot *snapshot               // of the last epoch's end, while there is a spare

	started   time.Time // this run
	epochFrom time.Time // this run's part of the current epoch
	epochCPU  float64
	stepsDone int // in this run
	stepLoss  float64
}

// loopState is what a checkpoint holds besides tensors. Step may equal the epoch's number of steps:
// then only its validation is missing.
type loopState struct {
	Epoch        int     `json:"epoch"` // the current one, from 1
	Step         int     `json:"step"`  // steps done of it
	LossSum      float64 `json:"loss_sum"`
	LossWeight   float64 `json:"loss_weight"`
	Seconds      float64 `json:"seconds"` // spent on it before this run
	CPUSeconds   float64 `json:"cpu_seconds"`
	LearningRate float64 `json:"learning_rate"`

	BestLoss    float64 `json:"best_loss"`
	Wait        int     `json:"wait"`         // epochs since the best
	PlateauBest float64 `json:"plateau_best"` // see reduceLearningRate
	PlateauWait int     `json:"plateau_wait"`

	Engines []string `json:"engines"` // on which it was computed, in order

	History History `json:"history"`
}

// learner is what a Loop needs of a [Network].
type learner interface {
	TrainStep(b *Batch) (loss float64, err error)
	Evaluate(b *Batch) (loss float64, right int, err error)
	SetLearningRate(rate float64)
	OptimizerState() OptimizerState
	SetOptimizerState(s OptimizerState) error
	Sync() error // brings the weights up to date
	Engine() string
}

func newLoop(c Config, o TrainOptions, data *samples, network learner, weights Weights, specs []tensorSpec) *Loop {
	l := &Loop{config: c, options: o, data: data, network: network, weights: weights, specs: specs, log: o.Log}
	if l.log == nil {
		l.log = slog.New(slog.DiscardHandler)
	}
	l.state = loopState{Epoch: 1, LearningRate: c.LearningRate, Engines: []string{network.Engine()}}
	l.state.History.Monitored = "validation"
	if !data.anyScored(data.split.Validation) {
		l.state.History.Monitored = "training"
	}
	l.hooks = append([]Hook{
		{Name: "finite numbers", Order: -100, Step: finiteLoss, Epoch: finiteEpoch},
		{Name: "best weights", Order: -50, Epoch: keepBest},
		{Name: "learning rate", Order: -40, Epoch: reduceLearningRate},
		{Name: "log", Order: -30, Epoch: logEpoch},
	}, o.Hooks...)
	slices.SortStableFunc(l.hooks, func(a, b Hook) int { return cmp.Compare(a.Order, b.Order) })
	return l
}

// Progress tells where the training stands.
func (l *Loop) Progress() Progress {
	p := Progress{
		Epoch: l.state.Epoch, MaxEpochs: l.config.MaxEpochs,
		Step: l.state.Step, Steps: l.steps,
		StepLoss: l.stepLoss, LearningRate: l.state.LearningRate,
		BestEpoch: l.state.History.Best, BestLoss: l.state.BestLoss,
		Elapsed: time.Since(l.started),
	}
	if l.state.LossWeight > 0 {
		p.Loss = l.state.LossSum / l.state.LossWeight
	}
	if l.stepsDone > 0 {
		left := (l.config.MaxEpochs-l.state.Epoch)*l.steps + l.steps - l.state.Step
		p.Remaining = time.Duration(float64(p.Elapsed) / float64(l.stepsDone) * float64(left))
	}
	return p
}

// History is what happened so far. It must not be changed.
func (l *Loop) History() *History { return &l.state.History }

// Stop ends the training after the current epoch, as early stopping does.
func (l *Loop) Stop(reason string) {
	if l.state.History.Stopped == "" {
		l.state.History.Stopped = reason
	}
}

func (l *Loop) run(ctx context.Context) error {
	if err := l.resume(); err != nil {
		return err
	}
	l.network.SetLearningRate(l.state.LearningRate)
	l.started = time.Now()
	if err := l.call(func(h Hook) func(*Loop) error { return h.Start }); err != nil {
		return err
	}
	batch := l.data.newBatch()
	l.remember()
	for l.state.History.Stopped == "" {
		err := l.epoch(ctx, batch)
		var failed *opencl.Error
		if errors.As(err, &failed) && l.spare != nil {
			if err := l.fallBack(err); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return l.interrupted(ctx, err)
		}
		l.remember()
	}
	return l.call(func(h Hook) func(*Loop) error { return h.End })
}

// snapshot is what a training needs to begin an epoch.
type snapshot struct {
	state     loopState
	weights   Weights
	optimizer OptimizerState
	best      Weights
}

// remember takes a snapshot, if there is a network that could go on from it.
func (l *Loop) remember() {
	if l.spare == nil {
		return
	}
	s := &snapshot{state: l.state, optimizer: l.network.OptimizerState(), weights: l.weights.Clone(), best: l.best}
	s.state.History.Epochs = slices.Clone(l.state.History.Epochs)
	l.snapshot = s
}

// fallBack goes back to the snapshot, with the spare network instead of the one that failed.
func (l *Loop) fallBack(failure error) error {
	l.log.Warn("the device failed, going on from the last epoch on the processor", "epoch", l.snapshot.state.Epoch, "error", failure)
	next, err := l.spare()
	if err != nil {
		return fmt.Errorf("%w; go on on the processor: %w", failure, err)
	}
	s := l.snapshot
	l.network, l.spare, l.snapshot = next, nil, nil
	l.state, l.best = s.state, s.best
	l.state.Engines = append(slices.Clone(l.state.Engines), next.Engine())
	l.network.SetLearningRate(s.state.LearningRate)
	return errors.Join(l.weights.CopyFrom(s.weights), l.network.SetOptimizerState(s.optimizer))
}

// call runs one of the functions of every hook, in order.
func (l *Loop) call(which func(Hook) func(*Loop) error) error {
	for _, h := range l.hooks {
		f := which(h)
		if f == nil {
			continue
		}
		if err := f(l); err != nil {
			var diverged *DivergedError
			if errors.As(err, &diverged) {
				return err
			}
			return fmt.Errorf("hook %s: %w", h.Name, err)
		}
	}
	return nil
}

// ended is the error of a context that has ended, with the cause where that says more.
func ended(ctx context.Context) error {
	if cause := context.Cause(ctx); cause != ctx.Err() {
		return fmt.Errorf("%w (%w)", ctx.Err(), cause)
	}
	return ctx.Err()
}

// errInterrupted marks the place where the loop saw that its context had ended.
var errInterrupted = errors.New("interrupted")

// interrupted saves the state if err says that the context has ended.
func (l *Loop) interrupted(ctx context.Context, err error) error {
	if !errors.Is(err, errInterrupted) {
		return err
	}
	l.countTime()
	s := &l.state
	err = fmt.Errorf("stopped in epoch %d after step %d of %d: %w", s.Epoch, s.Step, l.steps, ended(ctx))
	if saveErr := l.save(); saveErr != nil {
		return errors.Join(err, saveErr)
	}
	if l.options.Checkpoint != "" {
		err = fmt.Errorf("%w; the same training goes on from %s", err, l.options.Checkpoint)
	}
	return err
}

// epoch does what is left of the current epoch and moves on to the next.
func (l *Loop) epoch(ctx context.Context, batch *Batch) error {
	s := &l.state
	size := l.data.batch
	windows := EpochWindows(l.config, l.data.split, l.options.Seed, s.Epoch)
	l.steps = (len(windows) + size - 1) / size
	l.epochFrom, l.epochCPU = time.Now(), cpuSeconds()
	for s.Step < l.steps {
		if ctx.Err() != nil {
			return errInterrupted
		}
		from := s.Step * size
		weight := l.data.gather(batch, windows[from:min(from+size, len(windows))], l.hiding(s.Epoch, from))
		l.stepLoss = 0
		if weight > 0 {
			loss, err := l.network.TrainStep(batch)
			if err != nil && !errors.Is(err, ErrNotFinite) { // that is for the hook to say
				return fmt.Errorf("epoch %d, step %d: %w", s.Epoch, s.Step+1, err)
			}
			l.stepLoss = loss
			s.LossSum += loss * weight
			s.LossWeight += weight
		}
		s.Step++
		l.stepsDone++
		if err := l.call(func(h Hook) func(*Loop) error { return h.Step }); err != nil {
			return err
		}
	}
	validation, accuracy, err := l.validate(ctx, batch)
	if err != nil {
		return err
	}
	if err := l.network.Sync(); err != nil {
		return err
	}
	l.countTime()
	record := Epoch{
		Epoch: s.Epoch, ValidationLoss: validation, ValidationAccuracy: accuracy, LearningRate: s.LearningRate, Windows: len(windows),
		Seconds: s.Seconds, CPUSeconds: s.CPUSeconds,
	}
	if s.LossWeight > 0 {
		record.Loss = s.LossSum / s.LossWeight
	}
	s.History.Epochs = append(s.History.Epochs, record)
	if s.Epoch == l.config.MaxEpochs {
		l.Stop("max_epochs reached")
	}
	if err := l.call(func(h Hook) func(*Loop) error { return h.Epoch }); err != nil {
		return err
	}
	if s.History.Stopped == "" {
		s.Epoch, s.Step, s.LossSum, s.LossWeight, s.Seconds, s.CPUSeconds = s.Epoch+1, 0, 0, 0, 0, 0
	}
	return l.save()
}

// hiding gives the generator for the i-th window of a batch that begins at place from of an epoch's
// order. Streams go by place, not by step, so that they do not depend on what was computed before.
func (l *Loop) hiding(epoch, from int) func(kind uint64, i int) *rand.Rand {
	return func(kind uint64, i int) *rand.Rand {
		return stream(l.options.Seed, kind, uint64(epoch)<<32|uint64(from+i))
	}
}

// validate gives the loss and the accuracy over the validation windows; 0 if there are none.
func (l *Loop) validate(ctx context.Context, batch *Batch) (loss, accuracy float64, err error) {
	windows := validationWindows(l.config, l.data.split)
	var sum, weights float64
	all := 0
	for from := 0; from < len(windows); from += l.data.batch {
		if ctx.Err() != nil {
			return 0, 0, errInterrupted
		}
		weight := l.data.gather(batch, windows[from:min(from+l.data.batch, len(windows))], nil)
		if weight == 0 {
			continue
		}
		loss, right, err := l.network.Evaluate(batch)
		if err != nil {
			return 0, 0, fmt.Errorf("epoch %d, validation: %w", l.state.Epoch, err)
		}
		sum += loss * weight
		weights += weight
		all += right
	}
	if weights == 0 {
		return 0, 0, nil
	}
	return sum / weights, float64(all) / weights, nil
}

// countTime adds this run's time since epochFrom to the current epoch's.
func (l *Loop) countTime() {
	now, cpu := time.Now(), cpuSeconds()
	l.state.Seconds += now.Sub(l.epochFrom).Seconds()
	l.state.CPUSeconds += cpu - l.epochCPU
	l.epochFrom, l.epochCPU = now, cpu
}

// last is the record of the epoch that was just completed.
func (l *Loop) last() Epoch { return l.state.History.Epochs[len(l.state.History.Epochs)-1] }

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

func finiteLoss(l *Loop) error {
	if !finite(l.state.LossSum) {
		return &DivergedError{Epoch: l.state.Epoch, Step: l.state.Step, What: "training loss", LearningRate: l.state.LearningRate}
	}
	return nil
}

func finiteEpoch(l *Loop) error {
	e := l.last()
	if !finite(e.ValidationLoss) {
		l.state.History.Epochs = l.state.History.Epochs[:len(l.state.History.Epochs)-1] // not completed
		return &DivergedError{Epoch: e.Epoch, What: "validation loss", LearningRate: e.LearningRate}
	}
	// The last step's update is in no loss yet.
	if name, ok := l.weights.finite(); !ok {
		l.state.History.Epochs = l.state.History.Epochs[:len(l.state.History.Epochs)-1]
		return &DivergedError{Epoch: e.Epoch, What: "weights of " + name, LearningRate: e.LearningRate}
	}
	return nil
}

// keepBest keeps the weights of the epoch with the smallest monitored loss and stops the training
// when there was none better for Patience epochs, as Keras' EarlyStopping with
// restore_best_weights, which the paper uses.
func keepBest(l *Loop) error {
	s := &l.state
	loss := s.History.monitored(l.last())
	if s.History.Best == 0 || loss < s.BestLoss {
		s.History.Best, s.BestLoss, s.Wait = l.last().Epoch, loss, 0
		l.best = l.weights.Clone()
		return nil
	}
	s.Wait++
	if l.config.Patience > 0 && s.Wait >= l.config.Patience {
		l.Stop(fmt.Sprintf("%s loss did not fall for %d epochs", s.History.Monitored, s.Wait))
	}
	return nil
}

// plateau is how much a loss has to fall to count for the learning rate: Keras' ReduceLROnPlateau
// has this min_delta where the caller gives none.
const plateau = 1e-4

// reduceLearningRate lowers the rate when the monitored loss has not fallen for ReducePatience epochs.
func reduceLearningRate(l *Loop) error {
	s := &l.state
	if l.config.ReducePatience == 0 {
		return nil
	}
	loss := s.History.monitored(l.last())
	if len(s.History.Epochs) == 1 || loss < s.PlateauBest-plateau {
		s.PlateauBest, s.PlateauWait = loss, 0
		return nil
	}
	s.PlateauWait++
	if s.PlateauWait >= l.config.ReducePatience {
		s.LearningRate *= l.config.ReduceFactor
		s.PlateauWait = 0
		l.network.SetLearningRate(s.LearningRate)
		l.log.Info("learning rate lowered", "epoch", l.last().Epoch, "to", s.LearningRate)
	}
	return nil
}

func logEpoch(l *Loop) error {
	e := l.last()
	l.log.Info("epoch done", "epoch", e.Epoch, "of", l.config.MaxEpochs, "loss", e.Loss,
		"validation_loss", e.ValidationLoss, "validation_accuracy", e.ValidationAccuracy, "best", l.state.History.Best, "seconds", e.Seconds)
	if l.state.History.Stopped != "" {
		l.log.Info("training ends", "because", l.state.History.Stopped)
	}
	return nil
}
