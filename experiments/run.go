package experiments

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"k8ntext/dataset"
	"k8ntext/model/device"
	"k8ntext/model/device/opencl"
)

// RunOptions says how trials are run, not what they compute: results depend on it in their last bits at
// most, by the device.
type RunOptions struct {
	Store      Store
	Devices    []device.Target // where trials run, see [Config.OpenDevices]; at least one
	Workers    int             // trials side by side on the processor; 0: the config's, else one for each core
	MemoryMB   int             // that trials on the processor may need together, see [Config]; 0: the config's
	Provenance Provenance
	Again      []string       // run these trials and no other, whatever results they have
	Only       []string       // run the trials of these experiments and no other; none: of all
	FailFast   bool           // end with the first trial that fails
	Progress   func(Progress) // called at the start and after every trial, never twice at once; may be nil
	Remark     func(string)   // called with what a person should know of; may be nil
	FinalAgain bool           // make a final evaluation anew that has been made; see [ErrUsed]
	// Drain, when it is closed, lets running trials end and starts no more; may be nil.
	Drain <-chan struct{}

	do func(ctx context.Context, t *Trial, on device.Target) (*Result, error) // in place of runTrial: for tests
}

// ErrDrained is why a run ended that was asked to start no more trials.
var ErrDrained = errors.New("stopped before all trials had run")

// setAside moves a damaged result out of the way.
func (o *RunOptions) setAside(t *Trial) error {
	path, err := o.Store.setAside(t.ID)
	if err == nil {
		o.remark(fmt.Sprintf("the result of trial %s was cut or edited: kept as %s and computed again", t.ID, path))
	}
	return err
}

func (o *RunOptions) remark(text string) {
	if o.Remark != nil {
		o.Remark(text)
	}
}

// Run plans the config, keeps the manifest in the results folder and runs it as [Manifest.Run] does.
func Run(ctx context.Context, c *Config, o RunOptions) error {
	release, err := o.Store.lock()
	if err != nil {
		return err
	}
	defer release()
	if err := c.checkNames(o.Only); err != nil {
		return err
	}
	m, err := Freeze(ctx, c, o.Devices)
	if err != nil {
		return err
	}
	changed, err := m.keep(o.Store)
	if err != nil {
		return err
	}
	if len(changed) > 0 {
		o.remark(fmt.Sprintf("%s is planned anew; since it was last, %s", c.Name, someOf(changed)))
	}
	return m.run(ctx, o)
}

// Run runs every trial of the manifest that has no valid result yet, each at most once, the first
// repetition of everything before the second of anything (see breadthFirst). A trial that
// fails is recorded and does not stop the others; nor does a device that is lost, as long as another one
// is left. When ctx ends, running trials stop and leave no result, and the error is the context's. Run
// fails at once if another run works on the folder and if the folder cannot be written. The error is an
// opencl.ErrUnavailable where devices alone are to blame.
func (m *Manifest) Run(ctx context.Context, o RunOptions) error {
	release, err := o.Store.lock()
	if err != nil {
		return err
	}
	defer release()
	return m.run(ctx, o)
}

// run is Run in a folder that is locked.
func (m *Manifest) run(ctx context.Context, o RunOptions) error {
	if err := o.Store.tidy(); err != nil {
		return err
	}
	if err := m.config.checkNames(o.Only); err != nil {
		return err
	}
	trials := distinct(breadthFirst(ofExperiments(m.trials, o.Only)))
	places := newPlaces(o.Devices, cmp.Or(o.Workers, m.config.Workers, runtime.NumCPU()))
	places.memory, places.budget = memoryBudget(cmp.Or(o.MemoryMB, m.config.MemoryMB))
	o.Provenance.Workers, o.Provenance.Threads = places.count, 1
	if m.config.Final {
		if len(o.Only) > 0 {
			return fmt.Errorf("%s is a final evaluation, which is one run and logged as one: run all of its experiments", m.head.Name)
		}
		if err := m.config.use(o, distinct(m.trials)); err != nil {
			return err
		}
	}
	todo, tracker, err := m.todo(trials, &o)
	if err != nil {
		return err
	}
	tracker.tell(nil)
	var unavailable, drained atomic.Int64 // trials that a device failed; that were not begun
	err = schedule(ctx, todo, places, func(ctx context.Context, t *Trial, on device.Target) (lost, err error) {
		select {
		case <-o.Drain:
			drained.Add(1)
			return nil, nil
		default:
		}
		tracker.begin(t)
		r, failure := o.trial(ctx, t, m.corpora, on)
		if err := ctx.Err(); err != nil && failure != nil {
			return nil, err // an interrupted trial is not a failed one
		}
		if errors.Is(failure, errCorpus) { // no trial's fault
			return nil, failure
		}
		if err := o.Store.Save(r); err != nil {
			return nil, fmt.Errorf("%w: earlier results are kept; mend this and run again to go on", err)
		}
		tracker.done(t, r)
		switch {
		case errors.Is(failure, opencl.ErrUnavailable):
			unavailable.Add(1)
			if on.Answers() { // it has too little memory for this network
				return nil, nil
			}
			return failure, nil
		case failure != nil && o.FailFast:
			return nil, fmt.Errorf("trial %s (%s, %s) failed: %w", t.ID, t.Experiment, t.Describe(), failure)
		}
		return nil, nil
	})
	switch {
	case err != nil:
		return err
	case drained.Load() > 0:
		return fmt.Errorf("%d of %d trials are left: %w", drained.Load(), len(trials), ErrDrained)
	case tracker.failed == 0:
		return nil
	}
	err = fmt.Errorf("%d of %d trials failed; their result files under %s say why; to try them again: experiment rerun --failed",
		tracker.failed, tracker.total, o.Store.Dir)
	if tracker.failed == int(unavailable.Load()) {
		err = fmt.Errorf("%w (%w)", err, opencl.ErrUnavailable)
	}
	return err
}

// todo are the trials to be run, and what has been done already.
func (m *Manifest) todo(trials []Trial, o *RunOptions) ([]Trial, *tracker, error) {
	if o.Again != nil {
		trials = slices.DeleteFunc(trials, func(t Trial) bool { return !slices.Contains(o.Again, t.ID) })
	}
	k := newTracker(len(trials), time.Now, o.Progress)
	states, err := o.Store.states(trials)
	if err != nil {
		return nil, nil, err
	}
	var todo []Trial
	for i, t := range trials {
		if states[i] == Damaged {
			if err := o.setAside(&t); err != nil {
				return nil, nil, err
			}
		}
		if o.Again == nil && !o.FinalAgain && (states[i] == Done || states[i] == Failed) {
			k.had(states[i])
			continue
		}
		if err := m.resolve(&t); err != nil {
			return nil, nil, err
		}
		todo = append(todo, t)
		k.expect(&t)
	}
	return todo, k, nil
}

// trial runs one trial.
func (o *RunOptions) trial(ctx context.Context, t *Trial, corpora *corpora, on device.Target) (*Result, error) {
	if o.do != nil {
		return o.do(ctx, t, on)
	}
	return runTrial(ctx, t, corpora, on, o.Provenance)
}

// errCorpus is why no trial of a manifest can be run.
var errCorpus = errors.New("a corpus is not the one that was planned for")

// RunOne runs the trial of that index in the manifest, unless it has a result, beside other processes
// that run others of the same folder: what a task of a cluster does. The error is an [ErrRecorded] if
// the trial fails for a reason of its own, now or before: another try would give the same.
func (m *Manifest) RunOne(ctx context.Context, index int, o RunOptions) error {
	if index < 0 || index >= len(m.trials) {
		return fmt.Errorf("manifest %s has trials 0 to %d: there is no %d", m.path, len(m.trials)-1, index)
	}
	if m.config.Final {
		return fmt.Errorf("manifest %s is of a final evaluation, which is one run and logged as one: run it without an index", m.path)
	}
	t := &m.trials[index]
	release, err := o.Store.share()
	if err != nil {
		return err
	}
	defer release()
	if state, err := o.Store.State(t.ID); err != nil || state == Done {
		return err
	}
	releaseTrial, err := o.Store.lockTrial(t.ID)
	if err != nil {
		return err
	}
	defer releaseTrial()
	o.Provenance.Workers, o.Provenance.Threads = 1, 1
	one := *m
	one.trials = []Trial{*t}
	todo, tracker, err := one.todo(one.trials, &o)
	if err != nil {
		return err
	}
	tracker.tell(nil)
	if len(todo) == 0 {
		if tracker.failed > 0 {
			return fmt.Errorf("trial %s: %w before: experiment rerun tries it again", t.ID, ErrRecorded)
		}
		return nil
	}
	tracker.begin(&todo[0])
	r, failure := o.trial(ctx, &todo[0], m.corpora, o.Devices[0])
	if err := ctx.Err(); err != nil && failure != nil {
		return err
	}
	if errors.Is(failure, errCorpus) {
		return failure
	}
	if err := o.Store.Save(r); err != nil {
		return err
	}
	tracker.done(&todo[0], r)
	switch {
	case failure == nil:
		return nil
	case r.Retry:
		return fmt.Errorf("trial %s (%s, %s) failed, and may succeed another time: %w", t.ID, t.Experiment, todo[0].Describe(), failure)
	}
	return fmt.Errorf("trial %s (%s, %s): %w: %w", t.ID, t.Experiment, todo[0].Describe(), ErrRecorded, failure)
}

// ErrRecorded is a trial's own failure, which is its result.
var ErrRecorded = errors.New("the trial failed")

// distinct leaves out trials that another experiment has planned already.
func distinct(planned []Trial) []Trial {
	seen := make(map[string]bool, len(planned))
	return slices.DeleteFunc(slices.Clone(planned), func(t Trial) bool {
		again := seen[t.ID]
		seen[t.ID] = true
		return again
	})
}

// runTrial turns whatever happens to one trial into a result that can be saved. The error is what the
// result says.
func runTrial(ctx context.Context, t *Trial, corpora *corpora, on device.Target, p Provenance) (r *Result, err error) {
	p.Device, p.Kernels = on.Device(), on.Name()
	failed := func(err error) (*Result, error) {
		return &Result{Trial: *t, Error: err.Error(), Retry: Retryable(err), Protocol: t.experiment.Protocol, Config: t.model, Provenance: p}, err
	}
	defer func() {
		if cause := recover(); cause != nil {
			r, err = failed(fmt.Errorf("panic: %v, at %s", cause, panicSite()))
		}
	}()
	r = &Result{Trial: *t, Protocol: t.experiment.Protocol, Config: t.model, Provenance: p}
	if err := t.run(ctx, corpora, on, r); err != nil {
		return failed(err)
	}
	r.Cost.PeakMemoryMB = peakMemoryMB()
	if _, err := r.encode(); err != nil {
		return failed(err)
	}
	return r, nil
}

// Retryable tells whether the same may succeed later or elsewhere: the machine failed, not the trial.
func Retryable(err error) bool {
	for _, passing := range []error{
		opencl.ErrUnavailable, ErrIncomparable, syscall.ENOSPC, syscall.EDQUOT, syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.EAGAIN, syscall.EIO, syscall.ESTALE,
	} {
		if errors.Is(err, passing) {
			return true
		}
	}
	return false
}

// panicSite names the functions that were running when the panic that is being recovered began, the
// innermost first: file names without folders, since results are passed on.
func panicSite() string {
	var counters [64]uintptr
	frames := runtime.CallersFrames(counters[:runtime.Callers(3, counters[:])])
	var sites []string
	for len(sites) < 5 {
		f, more := frames.Next()
		if !strings.HasPrefix(f.Function, "runtime.") {
			sites = append(sites, fmt.Sprintf("%s (%s:%d)", f.Function, filepath.Base(f.File), f.Line))
		}
		if !more {
			break
		}
	}
	return strings.Join(sites, " < ")
}

// corpora loads each corpus once for each label space that asks for it.
type corpora struct {
	mu     sync.Mutex
	loaded map[[2]string]func() (*dataset.Corpus, error) // by names and label space
}

func newCorpora() *corpora {
	return &corpora{loaded: make(map[[2]string]func() (*dataset.Corpus, error))}
}

// get loads the corpora in the label space called space and joins them.
func (c *corpora) get(ctx context.Context, names Corpora, space string) (*dataset.Corpus, error) {
	key := [2]string{strings.Join(names, "\x00"), space}
	c.mu.Lock()
	load, ok := c.loaded[key]
	if !ok {
		load = sync.OnceValues(func() (*dataset.Corpus, error) { return LoadCorpus(ctx, names, space) })
		if len(names) > 1 { // parts are shared by several joins
			load = sync.OnceValues(func() (*dataset.Corpus, error) {
				var parts []*dataset.Corpus
				for _, name := range names {
					part, err := c.get(ctx, Corpora{name}, space)
					if err != nil {
						return nil, err
					}
					parts = append(parts, part)
				}
				return dataset.Join(parts...)
			})
		}
		c.loaded[key] = load
	}
	c.mu.Unlock()
	return load()
}

func (c *corpora) digest(ctx context.Context, names Corpora) (string, error) {
	corpus, err := c.get(ctx, names, "default")
	if err != nil {
		return "", err
	}
	return corpus.Digest, nil
}
