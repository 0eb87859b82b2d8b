package experiments

import (
	"sync"
	"time"
)

// Progress is the state of a run after one more trial.
type Progress struct {
	Done, Total int     // trials
	Skipped     int     // of Done: had a valid result already
	Failed      int     // of Done: recorded as failed, now or before
	Last        *Result // that has just come; nil at the start
	Elapsed     time.Duration
	// Remaining is an estimate: each trial left takes what those of its experiment took so far, in proportion
	// to its work, or where none has ended those of the others, and as many run side by side as did.
	Remaining time.Duration
}

// work estimates a trial's cost in arbitrary units: cost is linear in the window's length.
func (t *Trial) work() float64 { return float64(t.model.Window) }

// tracker counts trials and estimates the time left.
type tracker struct {
	mu       sync.Mutex
	total    int
	finished int
	skipped  int
	failed   int
	spent    map[string]*effort   // of each experiment
	running  map[string]time.Time // trials, by identity, since when
	start    time.Time
	now      func() time.Time
	report   func(Progress)
}

// effort is what the trials of one experiment took, and how much is left.
type effort struct {
	took time.Duration // all trials that have ended, one after the other
	done float64       // work of those
	left float64       // work of the others
}

func newTracker(trials int, now func() time.Time, report func(Progress)) *tracker {
	return &tracker{total: trials, spent: make(map[string]*effort), running: make(map[string]time.Time), start: now(), now: now, report: report}
}

// had counts a trial that has a result already.
func (k *tracker) had(state State) {
	k.finished++
	k.skipped++
	if state == Failed {
		k.failed++
	}
}

// expect counts a trial that is to be run.
func (k *tracker) expect(t *Trial) {
	e := k.spent[t.Experiment]
	if e == nil {
		e = new(effort)
		k.spent[t.Experiment] = e
	}
	e.left += t.work()
}

// begin notes that a trial runs from now on.
func (k *tracker) begin(t *Trial) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.running[t.ID] = k.now()
}

// done counts a trial that has just ended.
func (k *tracker) done(t *Trial, r *Result) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.finished++
	e := k.spent[t.Experiment]
	e.took += k.now().Sub(k.running[t.ID])
	e.done += t.work()
	e.left -= t.work()
	delete(k.running, t.ID)
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
	now := k.now()
	k.report(Progress{
		Done: k.finished, Total: k.total, Skipped: k.skipped, Failed: k.failed, Last: last,
		Elapsed: now.Sub(k.start), Remaining: k.remaining(now),
	})
}

// remaining estimates the time until the last trial ends; 0 before the first one has.
func (k *tracker) remaining(now time.Time) time.Duration {
	var all effort
	for _, e := range k.spent {
		all.took += e.took
		all.done += e.done
	}
	if all.done == 0 || all.took == 0 {
		return 0
	}
	left := 0.0 // of one trial after the other
	for _, e := range k.spent {
		if e.done == 0 {
			left += float64(all.took) * e.left / all.done
			continue
		}
		left += float64(e.took) * e.left / e.done
	}
	busy := all.took
	for _, since := range k.running {
		busy += now.Sub(since)
		left -= float64(now.Sub(since)) // part of what is left is done
	}
	abreast := max(1, float64(busy)/float64(max(1, now.Sub(k.start))))
	return time.Duration(max(0, left) / abreast)
}
