package model

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"k8ntext/dataset"
	"k8ntext/dataset/feature"
	"k8ntext/dataset/label"
)

func toySamples(t testing.TB, c Config, blocks int) (*samples, *dataset.Corpus, *feature.Encoder) {
	t.Helper()
	p, err := c.profile()
	if err != nil {
		t.Fatal(err)
	}
	corpus := toyCorpus(blocks, 1)
	e := feature.Fit(p, corpus.Events)
	l := newLayout(c.Network(e.Sizes(), corpus.Space.M()), e.Sizes(), c.Batch)
	s := newSamples(l, toySplit(corpus, c.Window), view{ids: e.Matrix(corpus.Events)}, corpus.Labels, corpus.Own, corpus.Space)
	s.augment = newAugmenter(c, e)
	return s, corpus, e
}

func TestGather(t *testing.T) {
	c := toyConfig()
	c.Window, c.Batch = 6, 3
	s, corpus, e := toySamples(t, c, 40)
	ids := e.Matrix(corpus.Events)
	// A sequence shorter than a window, one window, and no third.
	s.split.Sequences = append(s.split.Sequences, []int32{3, 1})
	windows := []dataset.Window{{Sequence: 2, Start: 0}, {Sequence: 0, Start: 4}}
	b := s.newBatch()
	for i := range b.IDs {
		b.IDs[i] = 1 << 20 // what was there before must not shine through
	}
	for i := range b.Present {
		b.Present[i], b.Weight[i] = 7, 7
	}
	weight := s.gather(b, windows, nil)

	var offsets []int32
	next := int32(0)
	for _, size := range e.Sizes() {
		offsets = append(offsets, next)
		next += int32(size)
	}
	sum := 0.0
	for slot := range 3 {
		var events []int32
		if slot < len(windows) {
			events = s.split.Events(windows[slot])
		}
		for pos := range 6 {
			row := pos*3 + slot
			got := b.IDs[row*s.fields : (row+1)*s.fields]
			if pos >= len(events) {
				if b.Present[row] != 0 || b.Weight[row] != 0 || !slices.Equal(got, offsets) {
					t.Errorf("slot %d, position %d is padding: present %v, weight %v, ids %v", slot, pos, b.Present[row], b.Weight[row], got)
				}
				continue
			}
			ev := events[pos]
			want := slices.Clone(ids.Row(int(ev)))
			for f := range want {
				want[f] += offsets[f]
			}
			if b.Present[row] != 1 || !slices.Equal(got, want) {
				t.Errorf("slot %d, position %d: present %v, ids %v, want %v", slot, pos, b.Present[row], got, want)
			}
			lb := corpus.Labels[ev]
			if scored := b.Weight[row] == 1; scored != (lb != label.Unknown) {
				t.Errorf("slot %d, position %d: label %d has weight %v", slot, pos, lb, b.Weight[row])
			}
			if lb == label.Unknown {
				continue
			}
			sum++
			for k, v := range corpus.Space.Components(lb) {
				if b.Targets[row*components+k] != int32(v) {
					t.Errorf("slot %d, position %d: target %d is %d, want %d", slot, pos, k, b.Targets[row*components+k], v)
				}
			}
		}
	}
	if weight != sum {
		t.Errorf("weight %v, want %v", weight, sum)
	}
}

func TestGatherIDs(t *testing.T) {
	c := toyConfig()
	c.Input, c.Embedding, c.DropUserAgent, c.DropValue = InputIDs, 0, 0, 0
	s, corpus, e := toySamples(t, c, 10)
	b := s.newBatch()
	s.gather(b, s.split.Train[:1], nil)
	want := e.Matrix(corpus.Events).Row(2)
	if row := 2 * s.batch; !slices.Equal(b.IDs[row*s.fields:(row+1)*s.fields], want) {
		t.Errorf("ids as numbers have no offsets: got %v, want %v", b.IDs[row*s.fields:(row+1)*s.fields], want)
	}
}

// What is hidden: user agents of a whole window or none; a value everywhere in a window or nowhere;
// both at the stated rates; never what is absent.
func TestAugmenter(t *testing.T) {
	c := toyConfig()
	c.Batch, c.DropUserAgent, c.DropValue = 1, 0.3, 0.1
	s, _, e := toySamples(t, c, 60)
	agent := e.UserAgentFields()
	if len(agent) != 1 {
		t.Fatalf("user agent fields %v, want one", agent)
	}
	plain, b := s.newBatch(), s.newBatch()
	const rounds = 4000
	var whole [2]int // dropped agents: as absent, as unknown
	var hidden, values float64
	for i := range rounds {
		w := s.split.Train[i%len(s.split.Train) : i%len(s.split.Train)+1]
		s.gather(plain, w, nil)
		s.gather(b, w, func(kind uint64, _ int) *rand.Rand { return stream(9, kind, uint64(i)) })
		type cell struct {
			field int
			id    int32
		}
		fate := make(map[cell]bool)
		var as [2]int
		for row := range c.Window {
			for f := range s.fields {
				was, is := plain.IDs[row*s.fields+f]-s.offsets[f], b.IDs[row*s.fields+f]-s.offsets[f]
				if f == agent[0] {
					if is == e.AbsentID(f) {
						as[0]++
					} else if is == e.UnknownID(f) {
						as[1]++
					}
					continue
				}
				if is != was && is != e.UnknownID(f) {
					t.Fatalf("field %d: %d became %d", f, was, is)
				}
				if was == e.AbsentID(f) && is != was {
					t.Fatalf("field %d: absent became %d", f, is)
				}
				k := cell{f, was}
				if before, ok := fate[k]; ok && before != (is != was) {
					t.Fatalf("field %d: value %d is hidden at one place of a window and not at another", f, was)
				}
				fate[k] = is != was
			}
		}
		for k, h := range fate {
			if k.id != e.AbsentID(k.field) {
				values++
				if h {
					hidden++
				}
			}
		}
		for kind, n := range as {
			if n == c.Window {
				whole[kind]++
			}
		}
	}
	if rate := hidden / values; math.Abs(rate-c.DropValue) > .01 {
		t.Errorf("values hidden at a rate of %.3f, want %.2f", rate, c.DropValue)
	}
	if rate := float64(whole[0]) / rounds; math.Abs(rate-c.DropUserAgent/2) > .02 {
		t.Errorf("user agents absent at a rate of %.3f, want %.2f", rate, c.DropUserAgent/2)
	}
	// Hidden values add a few windows in which the one agent that occurs is unknown.
	if rate := float64(whole[1]) / rounds; rate < c.DropUserAgent/2-.02 || rate > c.DropUserAgent/2+.05 {
		t.Errorf("user agents unknown at a rate of %.3f, want about %.2f", rate, c.DropUserAgent/2)
	}
}

func TestEpochWindows(t *testing.T) {
	corpus := toyCorpus(60, 1)
	split := toySplit(corpus, 6)
	short := dataset.Window{Sequence: 2}
	split.Sequences = append(split.Sequences, []int32{1, 2})
	split.Train = append(split.Train, short)
	rapid.Check(t, func(t *rapid.T) {
		c := toyConfig()
		c.Stride = rapid.IntRange(1, 9).Draw(t, "stride")
		seed := rapid.Uint64().Draw(t, "seed")
		epoch := rapid.IntRange(1, 1000).Draw(t, "epoch")
		windows := EpochWindows(c, split, seed, epoch)
		if again := EpochWindows(c, split, seed, epoch); !slices.Equal(again, windows) {
			t.Fatal("an epoch's windows differ from call to call")
		}
		if !slices.Contains(windows, short) {
			t.Fatal("the padded window is missing")
		}
		regular := (len(split.Train) - 1) / c.Stride
		if n := len(windows) - 1; n < regular || n > regular+1 {
			t.Fatalf("%d windows with stride %d of %d", n, c.Stride, len(split.Train)-1)
		}
		offset := int32(-1)
		seen := make(map[dataset.Window]bool)
		for _, w := range windows {
			if seen[w] {
				t.Fatalf("%+v twice", w)
			}
			seen[w] = true
			if w == short {
				continue
			}
			if offset < 0 {
				offset = w.Start % int32(c.Stride)
			}
			if w.Start%int32(c.Stride) != offset {
				t.Fatalf("%+v is off the stride", w)
			}
		}
		c.WindowsPerEpoch = 5
		if capped := EpochWindows(c, split, seed, epoch); !slices.Equal(capped, windows[:5]) {
			t.Fatal("the cap changes more than the number")
		}
	})

	// Over the epochs every window takes part.
	c := toyConfig()
	c.Stride = 4
	seen := make(map[dataset.Window]bool)
	for epoch := range 40 {
		for _, w := range EpochWindows(c, split, 1, epoch+1) {
			seen[w] = true
		}
	}
	if len(seen) != len(split.Train) {
		t.Errorf("%d of %d windows were ever shown", len(seen), len(split.Train))
	}

	// A stride beyond the number of windows still gives some.
	c.Stride = 1 << 20
	split.Train = split.Train[:3]
	for epoch := range 3 {
		if len(EpochWindows(c, split, 1, epoch)) == 0 {
			t.Error("an epoch without windows")
		}
	}
}
