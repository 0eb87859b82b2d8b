package model

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"k8ntext/dataset/audit"
)

// oracle stands in for the network: its log-probabilities are a hash of the event and of the place in
// the window, and a row of padding makes it fail the test that reads it.
type oracle struct {
	shape layout
	width int
	logp  []float32
	err   error
}

func (o *oracle) Infer(b *Batch) ([]float32, error) {
	if o.err != nil {
		return nil, o.err
	}
	if o.logp == nil {
		o.logp = make([]float32, len(b.Present)*o.width)
	}
	f := o.shape.fields
	for row := range b.Present {
		h := uint64(row / o.shape.batch) // the place
		for _, id := range b.IDs[row*f : (row+1)*f] {
			h = mix(h ^ uint64(id))
		}
		for i := range o.width {
			o.logp[row*o.width+i] = -float32(mix(h^uint64(i))>>40) / (1 << 20)
			if b.Present[row] == 0 {
				o.logp[row*o.width+i] = 1e9
			}
		}
	}
	return o.logp, nil
}

func (o *oracle) Close() error { return nil }

// oracleLabeler is a labeler over oracles.
func oracleLabeler(tagger *Tagger, o VoteOptions) (*Labeler, error) {
	o, err := o.withDefaults(tagger.Config.Window)
	if err != nil {
		return nil, err
	}
	return newLabeler(tagger, o, func() (inferrer, error) {
		return &oracle{shape: newLayout(tagger.Network(), tagger.Encoder.Sizes(), o.Batch), width: components * tagger.Space.M()}, nil
	})
}

// labelStream pushes all events and gives what comes out, with the number of the push that brought it.
func labelStream(t interface{ Fatal(...any) }, l *Labeler, events []*audit.Event) (out []Labelled, at []int) {
	take := func(n int, done []Labelled, err error) {
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range done {
			out = append(out, d)
			at = append(at, n)
		}
	}
	for i, e := range events {
		done, err := l.Push(e)
		take(i+1, done, err)
	}
	done, err := l.Flush()
	take(len(events)+1, done, err)
	return out, at
}

// cover counts, by the definition, the windows over each event: one every stride events, and one more
// at the end where none ends there.
func cover(events, window, stride int) []int {
	n := make([]int, events)
	add := func(start int) {
		for i := start; i < min(start+window, events); i++ {
			n[i]++
		}
	}
	if events == 0 {
		return n
	}
	last := max(events-window, 0)
	for s := 0; s < last; s += stride {
		add(s)
	}
	add(last)
	return n
}

// coverOnline counts the windows that end with an event or at most lookAhead events later. The one at
// the end of the log is no regular one where stride does not divide: it comes too late for the first.
func coverOnline(events, stride, lookAhead int) []int {
	n := make([]int, events)
	for end := range events {
		first := end - lookAhead
		if end%stride != 0 {
			if end < events-1 {
				continue
			}
			first++
		}
		for i := max(0, first); i <= end; i++ {
			n[i]++
		}
	}
	return n
}

// Online with look-ahead 0, an event's label must not depend on what comes after it.
func TestOnlineLabelsDoNotKnowTheFuture(t *testing.T) {
	tagger := toyTagger(t, 5)
	events := toyCorpus(30, 4).Events
	o := VoteOptions{Online: true}
	all, err := tagger.Label(t.Context(), events, o)
	if err != nil {
		t.Fatal(err)
	}
	for n := 1; n < len(events); n += 3 {
		part, err := tagger.Label(t.Context(), events[:n], o)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(part, all[:n]) {
			t.Errorf("the first %d events are labelled otherwise when others follow", n)
		}
	}
}

func TestEveryEventIsLabelledOnceHoweverItIsStreamed(t *testing.T) {
	corpus := toyCorpus(60, 2)
	taggers := make(map[int]*Tagger)
	for w := 1; w <= 8; w++ {
		taggers[w] = toyTagger(t, w)
	}
	rapid.Check(t, func(t *rapid.T) {
		window := rapid.IntRange(1, 8).Draw(t, "window")
		o := VoteOptions{
			Rule:   rapid.SampledFrom([]string{RuleSum, RuleMajority, RuleCentre}).Draw(t, "rule"),
			Stride: rapid.IntRange(1, window).Draw(t, "stride"),
			Batch:  1,
		}
		if rapid.Bool().Draw(t, "online") {
			o.Online, o.LookAhead = true, rapid.IntRange(o.Stride-1, window+1).Draw(t, "look-ahead")
		}
		events := corpus.Events[:rapid.IntRange(0, 40).Draw(t, "events")]
		tagger := taggers[window]

		l, err := oracleLabeler(tagger, o)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		want, at := labelStream(t, l, events)
		if len(want) != len(events) {
			t.Fatalf("%d events gave %d predictions", len(events), len(want))
		}
		counts := cover(len(events), window, o.Stride)
		earliest := func(i int) int { return earliestRelease(i, len(events), window, o.Stride) }
		if o.Online {
			lookAhead := min(o.LookAhead, window-1)
			counts = coverOnline(len(events), o.Stride, lookAhead)
			earliest = func(i int) int { return min(i+lookAhead, len(events)) + 1 }
		}
		for i, p := range want {
			if p.Event != events[i] {
				t.Fatalf("prediction %d is for another event", i)
			}
			if p.Windows != counts[i] {
				t.Fatalf("event %d of %d: %d windows, want %d", i, len(events), p.Windows, counts[i])
			}
			if !(p.Margin >= 0 && p.Margin <= 1 && p.Confidence >= p.Margin-1e-9 && p.Confidence <= 1) {
				t.Fatalf("event %d: margin %v, confidence %v", i, p.Margin, p.Confidence)
			}
			if at[i] != earliest(i) {
				t.Fatalf("event %d of %d came with push %d, it was certain at %d", i, len(events), at[i], earliest(i))
			}
		}

		// A second stream on the same labeler, another batch and more threads change nothing.
		again, _ := labelStream(t, l, events)
		if !slices.Equal(again, want) {
			t.Fatal("a second stream differs")
		}
		o.Batch = rapid.IntRange(1, 7).Draw(t, "batch")
		o.Threads = rapid.IntRange(1, 3).Draw(t, "threads")
		m, err := oracleLabeler(tagger, o)
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		if got, _ := labelStream(t, m, events); !slices.Equal(got, want) {
			t.Fatalf("batch %d and %d threads differ from batch 1", o.Batch, o.Threads)
		}
	})
}

// earliestRelease is the first push after which no continuation of the stream has a window over event
// i that was not there yet, found by trying continuations; beyond the end it is the flush.
func earliestRelease(i, events, window, stride int) int {
	for pushed := 1; pushed <= events; pushed++ {
		// Windows whose events are all there, whatever follows.
		have := make(map[int]bool)
		for s := 0; s+window <= pushed; s += stride {
			have[s] = true
		}
		certain := true
		for end := pushed; certain && end <= pushed+2*window; end++ {
			last := max(end-window, 0)
			for s := 0; s <= last; s++ {
				isWindow := s == last || s%stride == 0
				if isWindow && s <= i && i < s+window && !have[s] {
					certain = false
				}
			}
		}
		if certain && i < pushed {
			return pushed
		}
	}
	return events + 1
}

func TestLabelerHoldsABoundedNumberOfEvents(t *testing.T) {
	corpus := toyCorpus(400, 3)
	tagger := toyTagger(t, 6)
	for _, o := range []VoteOptions{{Batch: 1}, {Batch: 4, Stride: 3}, {Batch: 2, Threads: 3, Stride: 6}} {
		l, err := oracleLabeler(tagger, o)
		if err != nil {
			t.Fatal(err)
		}
		bound := 6 + l.o.Stride*l.o.Batch*l.o.Threads
		most := 0
		for _, e := range corpus.Events {
			if _, err := l.Push(e); err != nil {
				t.Fatal(err)
			}
			most = max(most, len(l.events), len(l.tally)+len(l.spare))
		}
		if most > bound {
			t.Errorf("%+v: %d events held, want at most %d", o, most, bound)
		}
		l.Close()
	}
}

func TestLabelerStaysBrokenAfterAnError(t *testing.T) {
	tagger := toyTagger(t, 2)
	boom := errors.New("boom")
	l, err := newLabeler(tagger, VoteOptions{Rule: RuleSum, Stride: 1, Batch: 1, Threads: 1}, func() (inferrer, error) {
		return &oracle{err: boom}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	events := toyCorpus(5, 1).Events
	l.Push(events[0])
	for range 2 {
		if _, err := l.Push(events[1]); !errors.Is(err, boom) {
			t.Errorf("got %v", err)
		}
	}
	if _, err := l.Flush(); !errors.Is(err, boom) {
		t.Errorf("got %v", err)
	}
	l.Close()

	made := 0
	_, err = newLabeler(tagger, VoteOptions{Rule: RuleSum, Stride: 1, Batch: 1, Threads: 3}, func() (inferrer, error) {
		if made++; made == 2 {
			return nil, boom
		}
		return &oracle{}, nil
	})
	if !errors.Is(err, boom) {
		t.Errorf("got %v", err)
	}
}

// With the real network: slices and streams, batches and threads give the same bits, also for logs
// shorter than a window, and cancelling ends it.
func TestLabelWithTheNetwork(t *testing.T) {
	tagger := toyTagger(t, 6)
	events := toyCorpus(30, 4).Events
	k := portable(t)
	ctx := context.Background()
	for _, n := range []int{0, 1, 5, 6, 7, len(events)} {
		var want []Prediction
		for _, o := range []VoteOptions{{Batch: 1}, {Batch: 5}, {Batch: 3, Threads: 2}, {}} {
			o.Kernels, o.Stride = k, 2
			got, err := tagger.Label(ctx, events[:n], o)
			if err != nil {
				t.Fatal(err)
			}
			if len(got) != n {
				t.Fatalf("%d events gave %d predictions", n, len(got))
			}
			for i, p := range got {
				if !tagger.Space.Valid(p.Label) {
					t.Errorf("event %d has no valid label: %+v", i, p)
				}
				if own := tagger.Space.Own(events[i]); p.TriggerEstimated != (own == p.Label) {
					t.Errorf("event %d: own %d, %+v", i, own, p)
				}
			}
			if want == nil {
				want = got
			}
			if !slices.Equal(got, want) {
				t.Errorf("%d events: %+v differs from batch 1", n, o)
			}
		}
	}
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := tagger.Label(cancelled, events, VoteOptions{Kernels: k}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got %v", err)
	}
	if _, err := tagger.Label(ctx, events, VoteOptions{Stride: 7}); err == nil {
		t.Error("a stride beyond the window was accepted")
	}
	l, err := tagger.Labeler(VoteOptions{Kernels: k})
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if _, err := l.Push(events[0]); err == nil {
		t.Error("a closed labeler took an event")
	}
}

// LabelWindows and a majority vote over one window say the same.
func TestLabelWindows(t *testing.T) {
	tagger := toyTagger(t, 6)
	corpus := toyCorpus(12, 5)
	split := toySplit(corpus, 6)
	windows := append(slices.Clone(split.Train[:5]), split.Validation...)
	ctx := context.Background()
	o := VoteOptions{Kernels: portable(t), Batch: 3}
	got, err := tagger.LabelWindows(ctx, corpus, split, windows, o)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 6*len(windows) {
		t.Fatalf("%d labels for %d windows of 6", len(got), len(windows))
	}
	for i, w := range windows {
		var events []*audit.Event
		for _, e := range split.Events(w) {
			events = append(events, corpus.Events[e])
		}
		want, err := tagger.Label(ctx, events, VoteOptions{Kernels: o.Kernels, Rule: RuleMajority})
		if err != nil {
			t.Fatal(err)
		}
		for j, p := range want {
			if got[6*i+j] != p.Label {
				t.Errorf("window %d, position %d: %d, alone %d", i, j, got[6*i+j], p.Label)
			}
		}
		for j := len(want); j < 6; j++ {
			if got[6*i+j] >= 0 {
				t.Errorf("window %d, position %d is behind the end and has label %d", i, j, got[6*i+j])
			}
		}
	}
	other := toySplit(corpus, 5)
	if _, err := tagger.LabelWindows(ctx, corpus, other, other.Train, o); err == nil {
		t.Error("windows of another length were accepted")
	}
}

func ExampleVoteOptions() {
	o, err := VoteOptions{Stride: 90}.withDefaults(60)
	fmt.Println(o.Rule, err)
	// Output: sum stride 90: must be from 1 to the model's window of 60 events, or events would be skipped
}
