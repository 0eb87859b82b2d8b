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
	Provenance Provenance
	Progress   func(Progress) // called at the start and after every trial, never twice at once; may be nil
	Remark     func(string)   // called with what a person should know of; may be nil
}

// setAside moves a damaged result out of the way.
func (o *RunOptions) setAside(t *Trial) error {
	path, err := o.Store.setAside(t.ID)
	if err == nil && o.Remark != nil {
		o.Remark(fmt.Sprintf("the result of trial %s was cut or edited: kept as %s and computed again", t.ID, path))
	}
	return err
}

// Progress is the state of a run after one more trial.
type Progress struct {
	Done, Total int     // trials
	Skipped     int     // of Done: had a valid result already
	Failed      int     // of Done: recorded as failed, now or before
	Last        *Result // that has just come; nil at the start
	Elapsed     time.Duration
	Remaining   time.Duration // estimate from the trials run so far, weighted by their windows' length
}

// Run runs every trial of the config that has no valid result yet, each at most once; failed ones are
// tried again. A trial that fails is recorded and does not stop the others; nor does a device that is
// lost, as long as another one is left. When ctx ends, running trials stop and leave no result, and the
// error is the context's. Run fails at once if another run works on the folder, if the folder cannot be
// written and if a result in it cannot be read. The error is an opencl.ErrUnavailable where devices
// alone are to blame.
func Run(ctx context.Context, c *Config, o RunOptions) error {
	release, err := o.Store.lock()
	if err != nil {
		return err
	}
	defer release()
	planned, corpora, err := c.plan(ctx)
	if err != nil {
		return err
	}
	trials := distinct(planned)
	places := newPlaces(o.Devices, cmp.Or(o.Workers, c.Workers, runtime.NumCPU()))
	o.Provenance.Workers, o.Provenance.Threads = places.count, 1

	tracker := &tracker{total: len(trials), start: time.Now(), report: o.Progress}
	var todo []Trial
	for _, t := range trials {
		state, err := o.Store.State(t.ID)
		if err != nil {
			return err
		}
		switch state {
		case Done, Failed:
			tracker.had(state)
			continue
		case Damaged:
			if err := o.setAside(&t); err != nil {
				return err
			}
		}
		todo = append(todo, t)
		tracker.remaining += t.work()
	}
	tracker.tell(nil)
	var unavailable atomic.Int64 // trials that a device failed
	err = schedule(ctx, todo, places, func(ctx context.Context, t *Trial, on device.Target) (lost, err error) {
		r, failure := runTrial(ctx, t, corpora, on, o.Provenance)
		if err := ctx.Err(); err != nil && failure != nil {
			return nil, err // an interrupted trial is not a failed one
		}
		if err := o.Store.Save(r); err != nil {
			return nil, fmt.Errorf("%w: earlier results are kept; mend this and run again to go on", err)
		}
		tracker.done(t, r)
		if !errors.Is(failure, opencl.ErrUnavailable) {
			return nil, nil
		}
		unavailable.Add(1)
		if on.Answers() { // it has too little memory for this network
			return nil, nil
		}
		return failure, nil
	})
	if err != nil {
		return err
	}
	if tracker.failed == 0 {
		return nil
	}
	err = fmt.Errorf("%d of %d trials failed; their result files under %s say why; to try them again: experiment rerun --failed",
		tracker.failed, len(trials), o.Store.Dir)
	if tracker.failed == int(unavailable.Load()) {
		err = fmt.Errorf("%w (%w)", err, opencl.ErrUnavailable)
	}
	return err
}

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
		return &Result{Trial: *t, Error: err.Error(), Retry: mayPass(err), Protocol: t.experiment.Protocol, Config: t.model, Provenance: p}, err
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

// mayPass tells whether the same trial may succeed later or elsewhere: the machine failed, not the trial.
func mayPass(err error) bool {
	for _, passing := range []error{opencl.ErrUnavailable, syscall.ENOSPC, syscall.EDQUOT, syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.EIO, syscall.ESTALE} {
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

// work estimates a trial's cost in arbitrary units: cost is linear in the window's length.
func (t *Trial) work() float64 { return float64(t.model.Window) }

// tracker counts trials and estimates the time left.
type tracker struct {
	mu        sync.Mutex
	total     int
	finished  int
	skipped   int
	failed    int
	worked    float64 // units of work done since start
	remaining float64 // units of work left
	start     time.Time
	report    func(Progress)
}

// had counts a trial that has a result already.
func (k *tracker) had(state State) {
	k.finished++
	k.skipped++
	if state == Failed {
		k.failed++
	}
}

// done counts a trial that has just ended.
func (k *tracker) done(t *Trial, r *Result) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.finished++
	k.worked += t.work()
	k.remaining -= t.work()
	if r.Error != "" {
		k.failed++
	}
	k.tell(r)
}

// tell reports; last is the result that has just come, or nil.
func (k *tracker) tell(last *Result) {
	if k.report == nil {
		return
	}
	p := Progress{Done: k.finished, Total: k.total, Skipped: k.skipped, Failed: k.failed, Last: last, Elapsed: time.Since(k.start)}
	if k.worked > 0 {
		p.Remaining = time.Duration(float64(p.Elapsed) * k.remaining / k.worked)
	}
	k.report(p)
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
