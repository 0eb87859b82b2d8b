package dataset

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
)

// Window is up to [Split.Length] consecutive events of one sequence.
type Window struct {
	Sequence int32 // index into [Split.Sequences]
	Start    int32 // index into that sequence
}

// Split is a corpus cut into parts by a protocol.
type Split struct {
	Protocol string // paper, blocked, unseen, cross, all
	Fold     int    // which fold is the test part; -1 where the protocol has no folds
	Length   int    // W, events of a full window

	// Sequences holds event indices in time order, each of one recording. Windows never cross a sequence's end. Under the
	// protocol paper the parts share one sequence, under the others each has its own.
	Sequences [][]int32

	// Train, Validation and Test are the parts. The events of a window are
	// Sequences[w.Sequence][w.Start : min(w.Start+Length, len)]: fewer than Length only if the whole
	// sequence is shorter, and then the window is to be padded and masked.
	Train, Validation, Test []Window

	// FitEvents are the events whose values may enter vocabularies, ascending: all of the corpus
	// under the protocol paper (its leak, kept for comparison), otherwise those of the training part.
	FitEvents []int32

	Gap    int // events in no part because they lie in a gap between two parts
	Purged int // events in no part because their context lies on both sides of a border, or is left out

	// Held are the test events whose action or scenario is left out of training and validation, ascending.
	// Only [SplitUnseen] has any.
	Held []int32
}

// Events are the event indices of a window, in time order. The slice is shared: do not change it.
func (s *Split) Events(w Window) []int32 {
	seq := s.Sequences[w.Sequence]
	return seq[w.Start:min(int(w.Start)+s.Length, len(seq))]
}

// TrainEvents are the events that some training window holds: distinct, ascending.
func (s *Split) TrainEvents() []int32 { return s.events(s.Train) }

// ValidationEvents are the events that some validation window holds: distinct, ascending.
func (s *Split) ValidationEvents() []int32 { return s.events(s.Validation) }

// TestEvents are the events that some test window holds: distinct, ascending.
func (s *Split) TestEvents() []int32 { return s.events(s.Test) }

// FitParts are the FitEvents as they lie in the sequences: what has a running state starts anew with
// each part.
func (s *Split) FitParts() [][]int32 {
	var parts [][]int32
	for _, seq := range s.Sequences {
		part := slices.DeleteFunc(slices.Clone(seq), func(e int32) bool {
			_, fit := slices.BinarySearch(s.FitEvents, e)
			return !fit
		})
		if len(part) > 0 {
			parts = append(parts, part)
		}
	}
	return parts
}

func (s *Split) events(windows []Window) []int32 {
	var last int32 = -1
	for _, seq := range s.Sequences {
		for _, e := range seq {
			last = max(last, e)
		}
	}
	in := make([]bool, last+1)
	for _, w := range windows {
		for _, e := range s.Events(w) {
			in[e] = true
		}
	}
	var out []int32
	for e, ok := range in {
		if ok {
			out = append(out, int32(e))
		}
	}
	return out
}

// PaperOptions are the sizes of [SplitPaper].
type PaperOptions struct {
	Length          int     // W, events of a window; the paper's best is 60
	TestShare       float64 // of all windows; 0 means the paper's 0.1
	ValidationShare float64 // of the windows that are not test; 0 means the paper's 0.1
	Seed            uint64  // of the shuffle
}

// SplitPaper cuts a corpus as the paper did: all N-W+1 windows with stride 1 are shuffled, the first
// ceil(TestShare n) are the test part as in scikit-learn's train_test_split, and of the rest the last
// part is for validation as Keras' validation_split takes it: training keeps floor(m (1-share)).
//
// Nearly every test event lies in training windows too, with its label, and vocabularies see every
// event. Its scores serve for comparison with the paper and for nothing else; see [SplitBlocked].
//
// It fails for a corpus without labels, with options out of range, and where a part would be empty.
func SplitPaper(c *Corpus, o PaperOptions) (*Split, error) {
	fail := splitError(c, "paper")
	if o.TestShare == 0 {
		o.TestShare = 0.1
	}
	if o.ValidationShare == 0 {
		o.ValidationShare = 0.1
	}
	if err := checkSplit(c, o.Length, 1); err != nil {
		return nil, fail(err)
	}
	for _, s := range []struct {
		name  string
		value float64
	}{{"test", o.TestShare}, {"validation", o.ValidationShare}} {
		if !(s.value > 0 && s.value < 1) {
			return nil, fail(fmt.Errorf("the %s share is %v: give a number between 0 and 1", s.name, s.value))
		}
	}

	var sequences [][]int32
	var windows []Window
	for i, r := range c.recordings() {
		sequences = append(sequences, upTo(r.From, r.To))
		windows = slide(windows, sequences, i, o.Length, 1)
	}
	rng := rand.New(rand.NewPCG(o.Seed, 0x7061706572)) // the stream "paper"
	rng.Shuffle(len(windows), func(i, j int) { windows[i], windows[j] = windows[j], windows[i] })

	test := int(math.Ceil(o.TestShare * float64(len(windows))))
	rest := len(windows) - test
	train := int(math.Floor(float64(rest) * (1 - o.ValidationShare)))
	if train < 1 || train == rest {
		return nil, fail(fmt.Errorf("%d events make %d windows of %d, which is %d for training and %d for validation: use a longer log or a shorter window",
			len(c.Events), len(windows), o.Length, max(train, 0), max(rest-train, 0)))
	}
	return &Split{
		Protocol:   "paper",
		Fold:       -1,
		Length:     o.Length,
		Sequences:  sequences,
		Test:       windows[:test],
		Train:      windows[test : test+train],
		Validation: windows[test+train:],
		FitEvents:  upTo(0, len(c.Events)),
	}, nil
}

// BlockedOptions are the sizes of [SplitBlocked].
type BlockedOptions struct {
	Length int // W, events of a window
	Folds  int // K; 0 means 5
	Stride int // between training windows, and between validation windows; 0 means 1
}

// SplitBlocked cuts a corpus in time into K contiguous folds and returns one split for each as the
// test part. A joined corpus has fold k of each recording as its fold k.
//
// What is not test is training, of which the last tenth in time is validation. Between two parts lie
// W-1 events that are in none, so that no window of one reaches the other; the gap at a test fold is
// taken from the others, so every event is tested exactly once. A context with events on both sides
// of a border is purged: its events leave training, and at the border of a test fold validation too.
// A corpus without contexts (the reference's format) has none to purge.
//
// Test windows have stride 1. Where the stride is larger, each sequence of training and validation
// gets a last window at its end, so that every event is in some window. A trainer that wants another
// offset in each epoch leaves Stride 1 and thins the windows itself.
//
// It fails for a corpus without labels, with options out of range, and where a part would be empty.
func SplitBlocked(c *Corpus, o BlockedOptions) ([]*Split, error) {
	fail := splitError(c, "blocked")
	if o.Folds == 0 {
		o.Folds = 5
	}
	if o.Stride == 0 {
		o.Stride = 1
	}
	if err := checkSplit(c, o.Length, o.Stride); err != nil {
		return nil, fail(err)
	}
	if err := checkFolds(c, o.Folds); err != nil {
		return nil, fail(err)
	}
	splits := make([]*Split, o.Folds)
	for k := range splits {
		s := &Split{Protocol: "blocked", Fold: k, Length: o.Length}
		for _, r := range c.recordings() {
			s.add(cutParts(c, span{r.From, r.To}, foldOf(r, k, o.Folds), nil, o.Length, o.Stride))
		}
		if err := s.checkParts(); err != nil {
			return nil, fail(fmt.Errorf("fold %d of %d: %w: use a shorter window, fewer folds or a longer log", k, o.Folds, err))
		}
		splits[k] = s
	}
	return splits, nil
}

// AllOptions are the sizes of [SplitAll].
type AllOptions struct {
	Length int // W, events of a window
	Stride int // between training windows, and between validation windows; 0 means 1
}

// SplitAll cuts a corpus for a model to ship: no test part, and the last tenth in time is validation,
// with gap and purge as in [SplitBlocked]. It fails as that does.
func SplitAll(c *Corpus, o AllOptions) (*Split, error) {
	fail := splitError(c, "all")
	if o.Stride == 0 {
		o.Stride = 1
	}
	if err := checkSplit(c, o.Length, o.Stride); err != nil {
		return nil, fail(err)
	}
	s := &Split{Protocol: "all", Fold: -1, Length: o.Length}
	for _, r := range c.recordings() {
		s.add(cutParts(c, span{r.From, r.To}, span{}, nil, o.Length, o.Stride))
	}
	if err := s.checkParts(); err != nil {
		return nil, fail(fmt.Errorf("%w: use a shorter window or a longer log", err))
	}
	return s, nil
}

// CrossOptions are the sizes of [SplitCross].
type CrossOptions struct {
	Length   int // W, events of a window
	Stride   int // between training windows, and between validation windows; 0 means 1
	Training int // how many of the corpus's recordings, the first ones, are for training
}

// SplitCross cuts a joined corpus by recordings: the first ones are cut for training and validation as
// [SplitAll] does, the others are tested whole. It fails as that does, without a recording for either,
// and if an event of training occurs in a tested recording again.
func SplitCross(c *Corpus, o CrossOptions) (*Split, error) {
	fail := splitError(c, "cross")
	if o.Stride == 0 {
		o.Stride = 1
	}
	if err := checkSplit(c, o.Length, o.Stride); err != nil {
		return nil, fail(err)
	}
	recordings := c.recordings()
	if o.Training < 1 || o.Training >= len(recordings) {
		return nil, fail(fmt.Errorf("%d of %d recordings are for training: leave at least one for each part", o.Training, len(recordings)))
	}
	trained := make(map[[16]byte]bool)
	for _, e := range c.Events[:recordings[o.Training].From] {
		trained[e.Digest()] = true
	}
	for _, r := range recordings[o.Training:] {
		for _, e := range c.Events[r.From:r.To] {
			if trained[e.Digest()] {
				return nil, fail(fmt.Errorf("%s is to be tested and has events of the training recordings: give recordings that share none", r.Name))
			}
		}
	}
	s := &Split{Protocol: "cross", Fold: -1, Length: o.Length}
	for _, r := range recordings[:o.Training] {
		s.add(cutParts(c, span{r.From, r.To}, span{}, nil, o.Length, o.Stride))
	}
	for _, r := range recordings[o.Training:] {
		s.Sequences = append(s.Sequences, upTo(r.From, r.To))
		s.Test = slide(s.Test, s.Sequences, len(s.Sequences)-1, o.Length, 1)
	}
	if err := s.checkParts(); err != nil {
		return nil, fail(fmt.Errorf("%w: use a shorter window or a longer log", err))
	}
	return s, nil
}

// add appends the parts of another split. Events of later recordings come later in it, so that FitEvents
// stay ascending.
func (s *Split) add(other *Split) {
	first := int32(len(s.Sequences))
	shifted := func(windows []Window) []Window {
		for i := range windows {
			windows[i].Sequence += first
		}
		return windows
	}
	s.Sequences = append(s.Sequences, other.Sequences...)
	s.Train = append(s.Train, shifted(other.Train)...)
	s.Validation = append(s.Validation, shifted(other.Validation)...)
	s.Test = append(s.Test, shifted(other.Test)...)
	s.FitEvents = append(s.FitEvents, other.FitEvents...)
	s.Held = append(s.Held, other.Held...)
	s.Gap += other.Gap
	s.Purged += other.Purged
}

// span is a range of event indices, [from, to).
type span struct{ from, to int }

// foldOf is fold k of folds of a recording.
func foldOf(r Recording, k, folds int) span {
	n := r.To - r.From
	return span{r.From + n*k/folds, r.From + n*(k+1)/folds}
}

// cutParts cuts a recording around a test span; an empty one makes no test part. The contexts of held, by
// index, are left out of the other parts; nil: none.
func cutParts(c *Corpus, recording, test span, held []bool, length, stride int) *Split {
	gap := length - 1
	hasTest := test.from < test.to

	// The training part in time order, before validation is taken from it.
	runs := []span{recording}
	if hasTest {
		runs = []span{
			{recording.from, max(recording.from, test.from-gap)},
			{min(recording.to, test.to+gap), recording.to},
		}
	}
	var available int
	for _, r := range runs {
		available += r.to - r.from
	}

	// Validation is taken from the end. It crosses the test fold only where less than a tenth lies
	// behind that.
	borders := make([]int, 0, 3)
	if hasTest {
		borders = append(borders, test.from, test.to)
	}
	var train, validation []span
	want := (available + 9) / 10
	for i := len(runs) - 1; i >= 0; i-- {
		r := runs[i]
		switch size := r.to - r.from; {
		case size == 0:
		case want >= size:
			validation = append(validation, r)
			want -= size
		case want > 0:
			cut := r.to - want
			validation = append(validation, span{cut, r.to})
			train = append(train, span{r.from, max(r.from, cut-gap)})
			borders = append(borders, cut)
			want = 0
		default:
			train = append(train, r)
		}
	}
	slices.Reverse(train)
	slices.Reverse(validation)

	// A context is purged where it lies across a border of the part. The border between training and
	// validation costs training only: validation has just a tenth.
	acrossTest, across := make([]bool, len(c.Contexts)), make([]bool, len(c.Contexts))
	for i, x := range c.Contexts {
		if len(x.Events) == 0 {
			continue
		}
		first, last := int(x.Events[0]), int(x.Events[len(x.Events)-1])
		for j, b := range borders {
			if first < b && b <= last {
				across[i] = true
				acrossTest[i] = acrossTest[i] || hasTest && j < 2
			}
		}
	}

	for i, left := range held {
		across[i], acrossTest[i] = across[i] || left, acrossTest[i] || left
	}

	s := &Split{Length: length}
	part := func(spans []span, purge []bool, stride int) []Window {
		var windows []Window
		for _, r := range spans {
			seq := make([]int32, 0, r.to-r.from)
			for e := r.from; e < r.to; e++ {
				if x := c.Context[e]; x >= 0 && purge != nil && purge[x] {
					s.Purged++
					continue
				}
				seq = append(seq, int32(e))
			}
			if len(seq) == 0 {
				continue
			}
			s.Sequences = append(s.Sequences, seq)
			windows = slide(windows, s.Sequences, len(s.Sequences)-1, length, stride)
		}
		return windows
	}
	s.Train = part(train, across, stride)
	for _, seq := range s.Sequences {
		s.FitEvents = append(s.FitEvents, seq...)
	}
	s.Validation = part(validation, acrossTest, stride)
	if hasTest {
		s.Test = part([]span{test}, nil, 1)
		for e := test.from; e < test.to; e++ {
			if x := c.Context[e]; x >= 0 && held != nil && held[x] {
				s.Held = append(s.Held, int32(e))
			}
		}
	}
	used := s.Purged
	for _, seq := range s.Sequences {
		used += len(seq)
	}
	s.Gap = recording.to - recording.from - used
	return s
}

// checkParts says which part of a blocked split is empty, if one is.
func (s *Split) checkParts() error {
	for _, part := range []struct {
		name    string
		windows []Window
	}{{"training", s.Train}, {"validation", s.Validation}, {"test", s.Test}} {
		if len(part.windows) == 0 && !(part.name == "test" && s.Protocol == "all") {
			return fmt.Errorf("no events are left for %s after gaps of %d and purging %d", part.name, s.Length-1, s.Purged)
		}
	}
	return nil
}

// slide appends the windows of one sequence: every stride-th, one that ends with the sequence, and a
// single short one for a sequence shorter than a window.
func slide(windows []Window, sequences [][]int32, sequence, length, stride int) []Window {
	last := max(0, len(sequences[sequence])-length)
	windows = slices.Grow(windows, last/stride+2)
	for start := 0; start < last; start += stride {
		windows = append(windows, Window{int32(sequence), int32(start)})
	}
	return append(windows, Window{int32(sequence), int32(last)})
}

// upTo is from, from+1, ..., to-1.
func upTo(from, to int) []int32 {
	out := make([]int32, 0, to-from)
	for i := from; i < to; i++ {
		out = append(out, int32(i))
	}
	return out
}

// checkSplit checks what all protocols need.
func checkSplit(c *Corpus, length, stride int) error {
	switch {
	case len(c.Events) == 0:
		return errors.New("it has no events")
	case !c.Labelled():
		return errUnlabelled
	case length < 1:
		return fmt.Errorf("a window of %d events: give 1 or more", length)
	case stride < 1 || stride > length:
		return fmt.Errorf("a stride of %d leaves events between windows of %d: give 1 to %d", stride, length, length)
	}
	return nil
}

// checkFolds checks that every recording can be cut into so many.
func checkFolds(c *Corpus, folds int) error {
	for _, r := range c.recordings() {
		if n := r.To - r.From; folds < 2 || folds > n {
			return fmt.Errorf("%d folds of %d events: give 2 to %d folds", folds, n, n)
		}
	}
	return nil
}

func splitError(c *Corpus, protocol string) func(error) error {
	return func(err error) error { return fmt.Errorf("split corpus %s by protocol %s: %w", c.Name, protocol, err) }
}
