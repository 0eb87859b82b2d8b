package experiments

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"k8ntext/model"
)

// named are trials of names like "a5.0.1": experiment a, window 5, repetition 0, fold 1.
func named(names ...string) (trials []Trial) {
	for _, name := range names {
		parts := strings.Split(name[1:], ".")
		t := Trial{ID: name, Experiment: name[:1], Setting: setting{"model.window": parts[0]}}
		fmt.Sscan(parts[1], &t.Repetition)
		fmt.Sscan(parts[2], &t.Fold)
		trials = append(trials, t)
	}
	return trials
}

func TestBreadthFirst(t *testing.T) {
	// As a plan has them: by experiment, repetition, setting, fold.
	planned := named(
		"a5.0.0", "a6.0.0", "a7.0.0", "a5.1.0", "a6.1.0", "a7.1.0",
		"b5.0.0", "b5.0.1", "b5.0.2", "b5.1.0", "b5.1.1", "b5.1.2",
		"c5.0.0", "c6.0.0", "c6.0.1", // a grid of folds
	)
	var got []string
	for _, x := range breadthFirst(planned) {
		got = append(got, x.ID)
	}
	want := []string{
		"a5.0.0", "b5.0.0", "c5.0.0", "a6.0.0", "c6.0.0", "a7.0.0",
		"a5.1.0", "b5.0.1", "a6.1.0", "c6.0.1", "a7.1.0",
		"b5.0.2", "b5.1.0", "b5.1.1", "b5.1.2",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}

// TestBreadthFirstProperties: nothing is lost, and any beginning of a run has every setting before it has
// one of them twice.
func TestBreadthFirstProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var names []string
		for e := range rapid.IntRange(1, 4).Draw(t, "experiments") {
			settings := rapid.IntRange(1, 4).Draw(t, "settings")
			folds := rapid.SliceOfN(rapid.IntRange(1, 4), settings, settings).Draw(t, "folds")
			for r := range rapid.IntRange(1, 3).Draw(t, "repetitions") {
				for s := range settings {
					for f := range folds[s] {
						names = append(names, fmt.Sprintf("%c%d.%d.%d", 'a'+e, s, r, f))
					}
				}
			}
		}
		planned := named(names...)
		order := breadthFirst(planned)
		var got []string
		count := make(map[string]int)
		last := 0
		for _, x := range order {
			got = append(got, x.ID)
			s := x.Experiment + settingText(x.Setting)
			count[s]++
			if count[s] < last {
				t.Fatalf("%s is the %d. of its setting, after a %d. of another", x.ID, count[s], last)
			}
			last = count[s]
		}
		slices.Sort(got)
		slices.Sort(names)
		if !slices.Equal(got, names) {
			t.Fatalf("trials %v, want %v", got, names)
		}
	})
}

// TestRunTakesTurns: a run takes trials in that order, also after a stop, and only those it is asked for.
func TestRunTakesTurns(t *testing.T) {
	c := sweep(t, writeCorpus(t, toyLines(60, 1)))
	c.Experiments[0].Methods, c.Experiments[1].Methods = []string{"own-label"}, []string{"own-label"} // nothing is trained
	s := Store{Dir: t.TempDir()}
	run := func(o RunOptions) (order []string, err error) {
		o.Store, o.Devices, o.Workers = s, on(portable(t)), 1
		o.Progress = func(p Progress) {
			if p.Last != nil {
				order = append(order, fmt.Sprintf("%s %d.%d", p.Last.Trial.Experiment, p.Last.Trial.Repetition, p.Last.Trial.Fold))
			}
		}
		return order, Run(t.Context(), c, o)
	}
	if _, err := run(RunOptions{Only: []string{"windowsize"}}); !errors.Is(err, ErrNoExperiment) || !strings.Contains(err.Error(), `did you mean "window-size"?`) {
		t.Errorf("an unknown name: %v", err)
	}
	blocked, err := run(RunOptions{Only: []string{"protocol-blocked"}})
	if want := []string{"protocol-blocked 0.0", "protocol-blocked 0.1"}; err != nil || !slices.Equal(blocked, want) {
		t.Errorf("one experiment: %v, %v, want %v", blocked, err, want)
	}
	all, err := run(RunOptions{})
	if want := []string{"window-size 0.0", "window-size 1.0"}; err != nil || !slices.Equal(all, want) {
		t.Errorf("then the rest: %v, %v, want %v", all, err, want)
	}
	s = Store{Dir: t.TempDir()}
	all, err = run(RunOptions{})
	if want := []string{"window-size 0.0", "protocol-blocked 0.0", "window-size 1.0", "protocol-blocked 0.1"}; err != nil || !slices.Equal(all, want) {
		t.Errorf("all: %v, %v, want %v", all, err, want)
	}
}

// TestRemaining has two experiments whose trials take other times than their windows' length says.
func TestRemaining(t *testing.T) {
	clock := time.Unix(0, 0)
	var last Progress
	var trials []Trial
	for i := range 6 {
		for _, name := range []string{"long", "short"} {
			trials = append(trials, Trial{ID: fmt.Sprint(name, i), Experiment: name, model: model.Config{Window: 10}})
		}
	}
	k := newTracker(len(trials), func() time.Time { return clock }, func(p Progress) { last = p })
	for i := range trials {
		k.expect(&trials[i])
	}
	ok := new(Result)
	minutes := func(n int) { clock = clock.Add(time.Duration(n) * time.Minute) }

	// Two places: a long trial of 20 minutes, beside it short ones of 1 minute.
	k.begin(&trials[0])
	k.begin(&trials[1])
	if k.tell(nil); last.Remaining != 0 {
		t.Errorf("%v are left before anything has ended", last.Remaining)
	}
	minutes(1)
	k.done(&trials[1], ok)
	k.begin(&trials[3])
	// Nothing is known of long ones but that one has run for a minute: 11 trials of 1 minute, two abreast.
	if want := 5 * time.Minute; last.Remaining != want {
		t.Errorf("after a short trial %v are left, want %v", last.Remaining, want)
	}
	minutes(19)
	k.done(&trials[0], ok)
	// 5 long ones of 20 minutes and 5 short ones of 1, of which one has run for longer than it should.
	if got := last.Remaining; got < 40*time.Minute || got > 55*time.Minute {
		t.Errorf("after a long trial %v are left, want about 45m", got)
	}
	minutes(1)
	k.done(&trials[3], ok)
	for i := range trials {
		if i != 0 && i != 1 && i != 3 {
			k.begin(&trials[i])
			minutes(rand.IntN(3))
			k.done(&trials[i], ok)
		}
	}
	if last.Remaining != 0 || last.Done != len(trials) {
		t.Errorf("at the end %v are left, %d of %d done", last.Remaining, last.Done, last.Total)
	}
}
