package experiments

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"golang.org/x/sync/errgroup"

	"k8ntext/model"
)

// Tally counts trials by what the results folder has of them.
type Tally struct {
	Experiment string `json:"experiment,omitempty"`
	Planned    int    `json:"planned"`
	Done       int    `json:"done"`
	Failed     int    `json:"failed"`
	Retry      int    `json:"retry"` // failed for a reason that may pass: run again
	Damaged    int    `json:"damaged"`
	Missing    int    `json:"missing"`
}

// Left is how many trials the next run has to do.
func (t Tally) Left() int { return t.Retry + t.Damaged + t.Missing }

func (t *Tally) add(s State) {
	t.Planned++
	*map[State]*int{Done: &t.Done, Failed: &t.Failed, Retry: &t.Retry, Damaged: &t.Damaged, Missing: &t.Missing}[s]++
}

// Status is how far a sweep is.
type Status struct {
	Name        string  `json:"name"`
	Total       Tally   `json:"total"`       // each trial once
	Experiments []Tally `json:"experiments"` // a trial of two experiments counts in both
	States      []State `json:"-"`           // of the planned trials, in their order
}

// Status reads the results folder: nothing else keeps count.
func (m *Manifest) Status(s Store) (*Status, error) {
	states, err := s.states(m.trials)
	if err != nil {
		return nil, err
	}
	status := &Status{Name: m.head.Name, States: states}
	index := make(map[string]int)
	seen := make(map[string]bool, len(m.trials))
	for i, t := range m.trials {
		at, ok := index[t.Experiment]
		if !ok {
			at = len(status.Experiments)
			index[t.Experiment] = at
			status.Experiments = append(status.Experiments, Tally{Experiment: t.Experiment})
		}
		status.Experiments[at].add(states[i])
		if !seen[t.ID] {
			seen[t.ID] = true
			status.Total.add(states[i])
		}
	}
	return status, nil
}

// Pick gives the ids of the trials whose ids begin with one of the given texts, each once, in the order
// of the plan. A text that fits none, or two, is an error.
func (m *Manifest) Pick(prefixes []string) ([]string, error) {
	trials := distinct(m.trials)
	var picked []string
	for _, p := range prefixes {
		var fit []string
		for _, t := range trials {
			if p != "" && strings.HasPrefix(t.ID, p) {
				fit = append(fit, t.ID)
			}
		}
		switch len(fit) {
		case 0:
			return nil, fmt.Errorf("no trial of %s begins with %q: experiment plan lists them", m.head.Name, p)
		case 1:
			picked = append(picked, fit[0])
		default:
			return nil, fmt.Errorf("%d trials of %s begin with %q: give more of it", len(fit), m.head.Name, p)
		}
	}
	var ids []string
	for _, t := range trials {
		if slices.Contains(picked, t.ID) {
			ids = append(ids, t.ID)
		}
	}
	return ids, nil
}

// InState gives the ids of the trials that are in one of the states.
func (m *Manifest) InState(s Store, of ...State) ([]string, error) {
	trials := distinct(m.trials)
	states, err := s.states(trials)
	if err != nil {
		return nil, err
	}
	ids := []string{}
	for i, t := range trials {
		if slices.Contains(of, states[i]) {
			ids = append(ids, t.ID)
		}
	}
	return ids, nil
}

// Draw chooses n of the ids at random.
func Draw(ids []string, n int, seed uint64) []string {
	rng := rand.New(rand.NewPCG(seed, 0x766572696679)) // the stream "verify"
	var drawn []string
	for _, i := range rng.Perm(len(ids))[:min(n, len(ids))] {
		drawn = append(drawn, ids[i])
	}
	return drawn
}

// TookAtMost picks the trials whose network took no longer than d to train and to label: one without a network
// takes no time by this measure. It reads every result.
func (s Store) TookAtMost(ids []string, d time.Duration) ([]string, error) {
	var within []string
	for _, id := range ids {
		r, err := s.Load(id)
		if err != nil {
			return nil, err
		}
		if r.Cost.TrainSeconds+r.Cost.InferSeconds <= d.Seconds() {
			within = append(within, id)
		}
	}
	return within, nil
}

// Verdict is what came of computing a trial again.
type Verdict struct {
	Trial       Trial    `json:"trial"`
	Same        bool     `json:"same"`                  // every value, to the bit
	Differences []string `json:"differences,omitempty"` // the first few, with both values
	Skipped     string   `json:"skipped,omitempty"`     // why it could not be compared here
}

// ErrIncomparable is why nothing was verified: this machine computes otherwise than those that made the results.
var ErrIncomparable = errors.New("no result could be compared on this machine")

// VerifyOptions say how trials are computed again.
type VerifyOptions struct {
	Store      Store
	Workers    int           // trials side by side; 0: one for each core
	Provenance Provenance    // of this program
	Verdict    func(Verdict) // called as each comes, never twice at once; may be nil
}

// Verify computes trials again from their corpora, which it reads anew, and compares every value with
// the stored results: all but times, memory and provenance. Trials are computed on the device and the
// kernels that they were; where this machine has not got these, nothing is compared. It writes nothing.
func (m *Manifest) Verify(ctx context.Context, ids []string, o VerifyOptions) ([]Verdict, error) {
	corpora := newCorpora()
	workers := o.Workers
	if workers <= 0 {
		workers = runtime.NumCPU()
	}
	o.Provenance.Workers, o.Provenance.Threads = workers, 1
	var trials []Trial
	for _, t := range distinct(m.trials) {
		if slices.Contains(ids, t.ID) {
			if err := m.resolve(&t); err != nil {
				return nil, err
			}
			trials = append(trials, t)
		}
	}
	verdicts := make([]Verdict, len(trials))
	told := make(chan struct{}, 1)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(workers)
	for i, t := range trials {
		group.Go(func() error {
			v, err := verify(ctx, &t, corpora, o)
			if err != nil {
				return err
			}
			verdicts[i] = v
			if o.Verdict != nil {
				told <- struct{}{}
				o.Verdict(v)
				<-told
			}
			return nil
		})
	}
	return verdicts, group.Wait()
}

func verify(ctx context.Context, t *Trial, corpora *corpora, o VerifyOptions) (Verdict, error) {
	v := Verdict{Trial: *t}
	stored, err := o.Store.Load(t.ID)
	if err != nil {
		return v, err
	}
	if stored.Error != "" {
		v.Skipped = "it failed: " + stored.Error
		return v, nil
	}
	on, err := openLike(stored.Provenance.Device, stored.Provenance.Kernels)
	if stored.Provenance.Device == "" { // before results named it
		on, err = openLike("cpu", stored.Provenance.Kernels)
	}
	if err != nil {
		v.Skipped = "it was computed by other arithmetic: " + err.Error()
		return v, nil
	}
	again, failure := runTrial(ctx, t, corpora, on, o.Provenance)
	if err := ctx.Err(); err != nil {
		return v, err
	}
	if failure != nil {
		v.Differences = []string{"it fails now: " + failure.Error()}
		return v, nil
	}
	if v.Differences, err = Differences(stored, again); err != nil {
		return v, err
	}
	v.Same = len(v.Differences) == 0
	return v, nil
}

// values are a result's measured values: equal bits make equal text, since JSON's numbers here are the
// shortest that give the same bits back.
func (r *Result) values() ([]byte, error) {
	c := *r
	// Two experiments may plan one trial and then differ in its name.
	c.Trial, c.Cost, c.Provenance = Trial{ID: r.Trial.ID}, Cost{}, Provenance{}
	c.Asked = slices.Clone(r.Asked)
	for i := range c.Asked {
		c.Asked[i].MS = nil
	}
	if r.History != nil {
		h := *r.History
		h.Epochs = slices.Clone(h.Epochs)
		for i := range h.Epochs {
			h.Epochs[i].Seconds, h.Epochs[i].CPUSeconds = 0, 0
		}
		c.History = &h
	}
	return c.encode()
}

// Differences lists where two results differ in their values, the first few: in all but times, memory and
// provenance.
//
// A validation accuracy that only one of them has is no difference: results from before it was measured are as
// good as they were.
func Differences(a, b *Result) ([]string, error) {
	if !a.tellsAccuracy() || !b.tellsAccuracy() {
		a, b = a.withoutAccuracy(), b.withoutAccuracy()
	}
	var trees [2]any
	for i, r := range []*Result{a, b} {
		text, err := r.values()
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(text, &trees[i], keepText()); err != nil {
			return nil, err
		}
	}
	var found []string
	compare(&found, "", trees[0], trees[1])
	return found, nil
}

func (r *Result) tellsAccuracy() bool {
	return r.History != nil && slices.ContainsFunc(r.History.Epochs, func(e model.Epoch) bool { return e.ValidationAccuracy > 0 })
}

func (r *Result) withoutAccuracy() *Result {
	if r.History == nil {
		return r
	}
	c, h := *r, *r.History
	h.Epochs = slices.Clone(h.Epochs)
	for i := range h.Epochs {
		h.Epochs[i].ValidationAccuracy = 0
	}
	c.History = &h
	return &c
}

// keepText keeps numbers as they are written.
func keepText() json.Options {
	return json.WithUnmarshalers(json.UnmarshalFromFunc(func(d *jsontext.Decoder, v *any) error {
		if d.PeekKind() != '0' {
			return json.SkipFunc
		}
		text, err := d.ReadValue()
		*v = string(text)
		return err
	}))
}

func compare(found *[]string, path string, a, b any) {
	const enough = 5
	if len(*found) >= enough {
		return
	}
	switch x := a.(type) {
	case map[string]any:
		if y, ok := b.(map[string]any); ok {
			for _, k := range sortedKeys(x, y) {
				compare(found, path+"."+k, x[k], y[k])
			}
			return
		}
	case []any:
		if y, ok := b.([]any); ok && len(x) == len(y) {
			for i := range x {
				compare(found, fmt.Sprintf("%s[%d]", path, i), x[i], y[i])
			}
			return
		} else if ok {
			*found = append(*found, fmt.Sprintf("%s: %d stored, %d now", strings.TrimPrefix(path, "."), len(x), len(y)))
			return
		}
	default:
		if a == b {
			return
		}
	}
	*found = append(*found, fmt.Sprintf("%s: %v stored, %v now", strings.TrimPrefix(path, "."), a, b))
}

func sortedKeys(a, b map[string]any) []string {
	var keys []string
	for k := range a {
		keys = append(keys, k)
	}
	for k := range b {
		if _, ok := a[k]; !ok {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	return keys
}
