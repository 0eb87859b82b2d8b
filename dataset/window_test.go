package dataset

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"k8ntext/dataset/audit"
	"k8ntext/dataset/label"
)

// embeddedCorpus loads the first corpus once for all tests. Do not change it.
var embeddedCorpus = sync.OnceValues(func() (*Corpus, error) { return Load(context.Background(), "sequential-1.34", nil) })

func sequential(t *testing.T) *Corpus {
	t.Helper()
	c, err := embeddedCorpus()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// madeUp is a corpus of n events whose contexts are given by event; -1: none.
func madeUp(contexts []int) *Corpus {
	c := &Corpus{Name: "made-up"}
	index := make(map[int]int32)
	for i, id := range contexts {
		c.Events = append(c.Events, &audit.Event{})
		if id < 0 {
			c.Context = append(c.Context, -1)
			c.Labels = append(c.Labels, label.Unknown)
			continue
		}
		x, ok := index[id]
		if !ok {
			x = int32(len(c.Contexts))
			index[id] = x
			c.Contexts = append(c.Contexts, Context{ID: fmt.Sprint(id), Trigger: int32(i)})
		}
		c.Context = append(c.Context, x)
		c.Contexts[x].Events = append(c.Contexts[x].Events, int32(i))
		c.Labels = append(c.Labels, 70048)
	}
	return c
}

// plain is a corpus in which each event is its own context.
func plain(n int) *Corpus {
	contexts := make([]int, n)
	for i := range contexts {
		contexts[i] = i
	}
	return madeUp(contexts)
}

// drawCorpus draws contexts that overlap, some of them long.
func drawCorpus(t *rapid.T) *Corpus {
	n := rapid.IntRange(1, 400).Draw(t, "events")
	reach := rapid.SampledFrom([]int{1, 3, 10, 40}).Draw(t, "reach")
	contexts := make([]int, n)
	next := 0
	for i := range contexts {
		switch back := rapid.IntRange(-1, reach).Draw(t, "back"); {
		case back < 0:
			contexts[i] = -1
		case back == 0 || back > next:
			contexts[i] = next
			next++
		default:
			contexts[i] = next - back
		}
	}
	return madeUp(contexts)
}

// faults is what is wrong with a blocked split. It knows the rules but not how a split is made.
func faults(c *Corpus, s *Split) []string {
	var out []string
	fault := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }

	// 1: training, 2: validation, 3: test.
	part := make([]int, len(c.Events))
	for p, windows := range [][]Window{1: s.Train, 2: s.Validation, 3: s.Test} {
		for _, w := range windows {
			events := s.Events(w)
			if len(events) == 0 || len(events) != s.Length && len(events) != len(s.Sequences[w.Sequence]) {
				fault("window %v of part %d has %d events", w, p, len(events))
			}
			for i, e := range events {
				if i > 0 && events[i-1] >= e {
					fault("window %v of part %d is not in time order", w, p)
				}
				if part[e] != 0 && part[e] != p {
					fault("event %d is in parts %d and %d", e, part[e], p)
				}
				part[e] = p
			}
		}
	}

	last := -1 // the last event that is in a part
	for e, p := range part {
		if p == 0 {
			continue
		}
		if last >= 0 && part[last] != p && e-last < s.Length {
			fault("parts %d and %d come as near as events %d and %d with windows of %d", part[last], p, last, e, s.Length)
		}
		last = e
	}

	in := make(map[int32]int)
	for e, p := range part {
		x := c.Context[e]
		if p == 0 || x < 0 {
			continue
		}
		if q := in[x]; q != 0 && q != p {
			fault("context %s is in parts %d and %d", c.Contexts[x].ID, q, p)
		}
		in[x] = p
	}

	var left int
	for _, p := range part {
		if p == 0 {
			left++
		}
	}
	if left != s.Gap+s.Purged {
		fault("%d events are in no part, %d by gaps and %d by purging", left, s.Gap, s.Purged)
	}
	if want := s.TrainEvents(); !slices.Equal(s.FitEvents, want) {
		fault("%d events fit vocabularies, %d train", len(s.FitEvents), len(want))
	}
	for p, events := range [][]int32{1: s.TrainEvents(), 2: s.ValidationEvents(), 3: s.TestEvents()} {
		for _, e := range events {
			if part[e] != p {
				fault("event %d is told to be in part %d and is in %d", e, p, part[e])
			}
		}
	}
	return out
}

// purgeFaults looks for training events of contexts that lie across a border, wherever their other
// events are. Test events are never purged, so the ends of the test part are borders; validation may
// begin a little behind its border.
func purgeFaults(c *Corpus, s *Split) []string {
	borders := []int32{s.ValidationEvents()[0]}
	if test := s.TestEvents(); len(test) > 0 {
		borders = append(borders, test[0], test[len(test)-1]+1)
	}
	var out []string
	for _, e := range s.TrainEvents() {
		x := c.Context[e]
		if x < 0 {
			continue
		}
		events := c.Contexts[x].Events
		for _, b := range borders {
			if events[0] < b && b <= events[len(events)-1] {
				out = append(out, fmt.Sprintf("event %d trains, though its context %s lies across the border at %d", e, c.Contexts[x].ID, b))
			}
		}
	}
	return out
}

func TestBlockedSharesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawCorpus(t)
		o := BlockedOptions{Length: rapid.IntRange(1, 30).Draw(t, "W"), Folds: rapid.IntRange(2, 7).Draw(t, "K")}
		o.Stride = rapid.IntRange(1, o.Length).Draw(t, "stride")
		splits, err := SplitBlocked(c, o)
		if err != nil {
			t.Skip(err) // too short: see TestSplitErrors and TestBlockedLongEnough
		}
		if len(splits) != o.Folds {
			t.Fatalf("%d splits for %d folds", len(splits), o.Folds)
		}
		var tested []int32
		for k, s := range splits {
			if f := append(faults(c, s), purgeFaults(c, s)...); len(f) > 0 {
				t.Fatalf("fold %d: %s", k, strings.Join(f, "\n"))
			}
			test := s.TestEvents()
			tested = append(tested, test...)
			if want := max(1, len(test)-o.Length+1); len(s.Test) != want {
				t.Fatalf("fold %d: %d test windows over %d events, want %d", k, len(s.Test), len(test), want)
			}
		}
		if !slices.Equal(tested, upTo(0, len(c.Events))) {
			t.Fatalf("the folds test %d of %d events, or some twice", len(tested), len(c.Events))
		}
		again, err := SplitBlocked(c, o)
		if err != nil || !cmp.Equal(splits, again) {
			t.Fatalf("the same options gave another split (%v): %s", err, cmp.Diff(splits, again))
		}
	})
}

func TestAllSharesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawCorpus(t)
		s, err := SplitAll(c, AllOptions{Length: rapid.IntRange(1, 30).Draw(t, "W")})
		if err != nil {
			t.Skip(err)
		}
		if f := append(faults(c, s), purgeFaults(c, s)...); len(f) > 0 || len(s.Test) > 0 {
			t.Fatalf("%d test windows; %s", len(s.Test), strings.Join(f, "\n"))
		}
		validation := s.ValidationEvents()
		if want := (len(c.Events) + 9) / 10; len(validation) != want || int(validation[0]) != len(c.Events)-want {
			t.Fatalf("validation is %d events from %d, want the last %d of %d", len(validation), validation[0], want, len(c.Events))
		}
	})
}

// The tests above must be able to fail.
func TestFaultsAreFound(t *testing.T) {
	contexts := make([]int, 100)
	for i := range contexts {
		contexts[i] = i / 7
	}
	c := madeUp(contexts)
	good := func() *Split {
		splits, err := SplitBlocked(c, BlockedOptions{Length: 4})
		if err != nil {
			t.Fatal(err)
		}
		return splits[2]
	}
	if f := append(faults(c, good()), purgeFaults(c, good())...); len(f) > 0 {
		t.Fatal(f)
	}
	for _, test := range []struct {
		name  string
		spoil func(*Split)
		want  string
	}{
		{"a test window in training", func(s *Split) { s.Train = append(s.Train, s.Test[0]) }, "is in parts"},
		{"no gap", func(s *Split) { s.Sequences[s.Train[0].Sequence][3] = 39; s.Train = s.Train[:1] }, "come as near"},
		{"a purged event trains", func(s *Split) {
			s.Sequences = append(s.Sequences, []int32{35})
			s.Train = append(s.Train, Window{int32(len(s.Sequences) - 1), 0})
		}, "context 5 lies across the border"},
		{"gap not counted", func(s *Split) { s.Gap-- }, "are in no part"},
		{"vocabulary from elsewhere", func(s *Split) { s.FitEvents = append(s.FitEvents, 50) }, "fit vocabularies"},
	} {
		s := good()
		test.spoil(s)
		if f := strings.Join(append(faults(c, s), purgeFaults(c, s)...), "\n"); !strings.Contains(f, test.want) {
			t.Errorf("%s: found %q, want %q", test.name, f, test.want)
		}
	}
}

func TestBlockedEmbedded(t *testing.T) {
	c := sequential(t)
	for _, o := range []BlockedOptions{{Length: 40}, {Length: 60, Folds: 10, Stride: 4}} {
		splits, err := SplitBlocked(c, o)
		if err != nil {
			t.Fatal(err)
		}
		for k, s := range splits {
			if f := append(faults(c, s), purgeFaults(c, s)...); len(f) > 0 {
				t.Errorf("%+v fold %d: %d faults, the first: %s", o, k, len(f), f[0])
			}
			if s.Purged > len(c.Events)/20 {
				t.Errorf("%+v fold %d: %d of %d events purged: contexts of one action at a time are short", o, k, s.Purged, len(c.Events))
			}
		}
	}
}

func TestBlockedByHand(t *testing.T) {
	// Three folds of ten events, windows of three: gaps of two. Context 100 lies across the border
	// at 10, context 200 across that between training and validation, 300 across the test fold.
	contexts := make([]int, 30)
	for i := range contexts {
		contexts[i] = i
	}
	contexts[6], contexts[11] = 100, 100
	contexts[24], contexts[28] = 200, 200
	contexts[1], contexts[27] = 300, 300
	splits, err := SplitBlocked(madeUp(contexts), BlockedOptions{Length: 3, Folds: 3})
	if err != nil {
		t.Fatal(err)
	}
	s := splits[1] // test 10-19; training 0-7 and 22-29, of these the last 2 for validation, so 22-25 train
	want := &Split{
		Protocol: "blocked", Fold: 1, Length: 3,
		Sequences:  [][]int32{{0, 2, 3, 4, 5, 7}, {22, 23, 25}, {28, 29}, upTo(10, 20)},
		Train:      []Window{{0, 0}, {0, 1}, {0, 2}, {0, 3}, {1, 0}},
		Validation: []Window{{2, 0}},
		Test:       []Window{{3, 0}, {3, 1}, {3, 2}, {3, 3}, {3, 4}, {3, 5}, {3, 6}, {3, 7}},
		FitEvents:  []int32{0, 2, 3, 4, 5, 7, 22, 23, 25},
		Gap:        6, // 8, 9, 20, 21, 26, 27
		Purged:     3, // 1, 6, 24
	}
	if diff := cmp.Diff(want, s); diff != "" {
		t.Error(diff)
	}
}

func TestBlockedLongEnough(t *testing.T) {
	// With 4 W events to a fold and short contexts, no window length is impossible.
	for _, length := range []int{1, 2, 10, 60} {
		for _, folds := range []int{2, 5, 10} {
			if _, err := SplitBlocked(plain(4*length*folds), BlockedOptions{Length: length, Folds: folds}); err != nil {
				t.Errorf("W=%d K=%d: %v", length, folds, err)
			}
		}
	}
}

func TestStrideCoversEverything(t *testing.T) {
	for _, stride := range []int{1, 3, 7, 10} {
		splits, err := SplitBlocked(plain(500), BlockedOptions{Length: 10, Stride: stride})
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range splits {
			held := make(map[int32]bool)
			for _, w := range append(s.Train, s.Validation...) {
				held[w.Sequence] = true
			}
			events := 0
			for q := range held {
				events += len(s.Sequences[q])
			}
			if got := len(s.TrainEvents()) + len(s.ValidationEvents()); got != events {
				t.Errorf("stride %d fold %d: windows hold %d of %d events", stride, s.Fold, got, events)
			}
		}
	}
}

func TestPaperCounts(t *testing.T) {
	for _, test := range []struct{ events, length, windows, test, train, validation int }{
		// The paper's 18,478 lines and W=60 (REFERENCE 5.1 and 6.3): scikit-learn rounds the test part
		// up, Keras the training part down.
		{18478, 60, 18419, 1842, 14919, 1658},
		{9802, 40, 9763, 977, 7907, 879},
		{109, 10, 100, 10, 81, 9},
	} {
		s, err := SplitPaper(plain(test.events), PaperOptions{Length: test.length, Seed: 1})
		if err != nil {
			t.Fatal(err)
		}
		if len(s.Test) != test.test || len(s.Train) != test.train || len(s.Validation) != test.validation {
			t.Errorf("%d events, W=%d: %d test, %d train, %d validation; want %d, %d, %d",
				test.events, test.length, len(s.Test), len(s.Train), len(s.Validation), test.test, test.train, test.validation)
		}
		all := slices.Concat(s.Test, s.Train, s.Validation)
		slices.SortFunc(all, func(a, b Window) int { return int(a.Start - b.Start) })
		for i, w := range all {
			if w != (Window{0, int32(i)}) {
				t.Fatalf("%d events: window %d is %v: not every window with stride 1 once", test.events, i, w)
			}
		}
		if len(all) != test.windows || len(s.FitEvents) != test.events {
			t.Errorf("%d windows and %d events for vocabularies, want %d and all", len(all), len(s.FitEvents), test.windows)
		}
	}
}

func TestPaperLeaks(t *testing.T) {
	// What the protocol is known for (REFERENCE 13 A): nearly every test event trains too.
	s, err := SplitPaper(plain(5000), PaperOptions{Length: 60, Seed: 3})
	if err != nil {
		t.Fatal(err)
	}
	both := 0
	train := s.TrainEvents()
	for _, e := range s.TestEvents() {
		if _, ok := slices.BinarySearch(train, e); ok {
			both++
		}
	}
	if share := float64(both) / float64(len(s.TestEvents())); share < .99 {
		t.Errorf("%.3f of the test events train too: the windows were not shuffled", share)
	}
}

func TestPaperSeed(t *testing.T) {
	split := func(seed uint64) *Split {
		s, err := SplitPaper(plain(300), PaperOptions{Length: 5, Seed: seed})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	if diff := cmp.Diff(split(7), split(7)); diff != "" {
		t.Errorf("the same seed gave another split: %s", diff)
	}
	if cmp.Equal(split(7), split(8)) {
		t.Error("another seed gave the same split")
	}
}

func TestSplitErrors(t *testing.T) {
	unlabelled := plain(100)
	for i := range unlabelled.Labels {
		unlabelled.Labels[i] = label.Unknown
	}
	one := make([]int, 100) // one context over everything
	for _, test := range []struct {
		name string
		cut  func() error
		want string // in the error, beside the corpus and the protocol
	}{
		{"paper, unlabelled", paper(unlabelled, PaperOptions{Length: 5}), "known label"},
		{"blocked, unlabelled", blocked(unlabelled, BlockedOptions{Length: 5}), "see k8ntext corpus list"},
		{"all, unlabelled", all(unlabelled, AllOptions{Length: 5}), "known label"},
		{"no events", all(&Corpus{Name: "made-up"}, AllOptions{Length: 5}), "no events"},
		{"paper, no length", paper(plain(100), PaperOptions{}), "window of 0 events"},
		{"paper, shorter than W", paper(plain(100), PaperOptions{Length: 101}), "use a longer log or a shorter window"},
		{"paper, too few windows", paper(plain(100), PaperOptions{Length: 99}), "use a longer log or a shorter window"},
		{"paper, share of all", paper(plain(100), PaperOptions{Length: 5, TestShare: 1}), "test share is 1"},
		{"paper, negative share", paper(plain(100), PaperOptions{Length: 5, ValidationShare: -.1}), "validation share is -0.1"},
		{"paper, share not a number", paper(plain(100), PaperOptions{Length: 5, TestShare: math.NaN()}), "test share is NaN"},
		{"blocked, one fold", blocked(plain(100), BlockedOptions{Length: 5, Folds: 1}), "give 2 to 100 folds"},
		{"blocked, too many folds", blocked(plain(10), BlockedOptions{Length: 5, Folds: 11}), "give 2 to 10 folds"},
		{"blocked, stride", blocked(plain(100), BlockedOptions{Length: 5, Stride: 6}), "give 1 to 5"},
		{"blocked, negative stride", blocked(plain(100), BlockedOptions{Length: 5, Stride: -1}), "stride of -1"},
		{"blocked, gaps eat training", blocked(plain(100), BlockedOptions{Length: 90}), "fold 0 of 5: no events are left for training after gaps of 89"},
		{"blocked, all purged", blocked(madeUp(one), BlockedOptions{Length: 2}), "use a shorter window, fewer folds or a longer log"},
		{"all, gap eats training", all(plain(20), AllOptions{Length: 19}), "no events are left for training"},
	} {
		err := test.cut()
		if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "made-up by protocol") {
			t.Errorf("%s: %v, want ... %s", test.name, err, test.want)
		}
	}
}

func paper(c *Corpus, o PaperOptions) func() error {
	return func() error { _, err := SplitPaper(c, o); return err }
}

func blocked(c *Corpus, o BlockedOptions) func() error {
	return func() error { _, err := SplitBlocked(c, o); return err }
}

func all(c *Corpus, o AllOptions) func() error {
	return func() error { _, err := SplitAll(c, o); return err }
}

// A log shorter than a window still has one, to be padded.
func TestShortSequence(t *testing.T) {
	splits, err := SplitBlocked(plain(60), BlockedOptions{Length: 12, Folds: 6})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range splits {
		if len(s.Test) != 1 || len(s.Events(s.Test[0])) != 10 {
			t.Errorf("fold %d of 10 events with windows of 12: %d test windows, the first of %d events", s.Fold, len(s.Test), len(s.Events(s.Test[0])))
		}
	}
}
