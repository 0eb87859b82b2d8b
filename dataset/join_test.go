package dataset

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"k8ntext/dataset/audit"
	"k8ntext/dataset/label"
)

// joined puts made-up corpora together as Join does, whose labels need real events.
func joined(t *rapid.T, n int) *Corpus {
	c := &Corpus{Name: "joined"}
	for range n {
		part := drawCorpus(t)
		from := len(c.Events)
		c.Recordings = append(c.Recordings, Recording{"part", from, from + len(part.Events)})
		c.Events, c.Labels = append(c.Events, part.Events...), append(c.Labels, part.Labels...)
		for _, x := range part.Context {
			if x >= 0 {
				x += int32(len(c.Contexts))
			}
			c.Context = append(c.Context, x)
		}
		for _, x := range part.Contexts {
			for i := range x.Events {
				x.Events[i] += int32(from)
			}
			c.Contexts = append(c.Contexts, x)
		}
	}
	return c
}

// No sequence, and so no window, reaches over the end of a recording, whatever the protocol.
func TestSplitsOfSeveralRecordings(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := joined(t, rapid.IntRange(2, 4).Draw(t, "recordings"))
		length := rapid.IntRange(1, 10).Draw(t, "length")
		training := rapid.IntRange(1, len(c.Recordings)-1).Draw(t, "training")
		var splits []*Split
		if s, err := SplitPaper(c, PaperOptions{Length: length}); err == nil {
			splits = append(splits, s)
		}
		if s, err := SplitAll(c, AllOptions{Length: length}); err == nil {
			splits = append(splits, s)
		}
		if s, err := SplitBlocked(c, BlockedOptions{Length: length, Folds: 3}); err == nil {
			splits = append(splits, s...)
		}
		for i, e := range c.Events {
			e.AuditID = string(rune('a' + i)) // else all are one event, and tested ones were trained on
		}
		if s, err := SplitCross(c, CrossOptions{Length: length, Training: training}); err == nil {
			splits = append(splits, s)
			border := int32(c.Recordings[training].From)
			for _, e := range slices.Concat(s.TrainEvents(), s.ValidationEvents(), s.FitEvents) {
				if e >= border {
					t.Fatalf("event %d of a tested recording is used in training", e)
				}
			}
			if got := s.TestEvents(); len(got) != len(c.Events)-int(border) || got[0] != border {
				t.Fatalf("%d events are tested, from %d on", len(got), got[0])
			}
		}
		recording := func(e int32) int {
			return slices.IndexFunc(c.Recordings, func(r Recording) bool { return int(e) < r.To })
		}
		for _, s := range splits {
			for _, seq := range s.Sequences {
				for _, e := range seq {
					if recording(e) != recording(seq[0]) {
						t.Fatalf("%s: a sequence has events %d and %d of two recordings", s.Protocol, seq[0], e)
					}
				}
			}
			for _, w := range slices.Concat(s.Train, s.Validation, s.Test) {
				if len(s.Events(w)) == 0 {
					t.Fatalf("%s: an empty window", s.Protocol)
				}
			}
			if s.Protocol == "paper" {
				continue
			}
			in := make(map[int32]int)
			for part, events := range [][]int32{s.TrainEvents(), s.ValidationEvents(), s.TestEvents()} {
				for _, e := range events {
					if before, ok := in[e]; ok {
						t.Fatalf("%s: event %d is in parts %d and %d", s.Protocol, e, before, part)
					}
					in[e] = part
				}
			}
		}
	})
}

func TestJoin(t *testing.T) {
	c := sequential(t)
	other := *c
	other.Name = "other"
	other.Events = slices.Clone(c.Events[:200])
	first := *other.Events[0]
	first.ObjectRef = &audit.ObjectRef{APIGroup: "shop.example.com", Resource: "carts"}
	other.Events[0] = &first
	other.Space = label.Default("shop.example.com")
	other.Labels, other.Own, other.Context, other.Contexts = nil, nil, nil, nil
	other.Digest = digest(other.Events)
	other.gather()
	other.label()
	other.classify()

	both, err := Join(c, &other)
	if err != nil {
		t.Fatal(err)
	}
	if both.Name != "sequential-1.34+other" || len(both.Events) != len(c.Events)+200 || both.Digest == c.Digest {
		t.Errorf("joined: %s of %d events, digest %s", both.Name, len(both.Events), both.Digest)
	}
	if got := both.Recordings; len(got) != 2 || got[1] != (Recording{"other", len(c.Events), len(c.Events) + 200}) {
		t.Errorf("recordings: %v", got)
	}
	if got := both.Space.CRDGroups(); !slices.Contains(got, "shop.example.com") {
		t.Errorf("the joined space has the groups %q", got)
	}
	// Each event means what it meant.
	for i := range both.Events {
		from, j := c, i
		if i >= len(c.Events) {
			from, j = &other, i-len(c.Events)
		}
		describe := func(c *Corpus, l label.Label) string {
			if l < 0 {
				return "none"
			}
			return c.Space.Describe(l)
		}
		if got, want := describe(both, both.Labels[i]), describe(from, from.Labels[j]); got != want || both.Class[i] != from.Class[j] {
			t.Fatalf("event %d of %s: label %s, class %d; joined %s, %d", j, from.Name, want, from.Class[j], got, both.Class[i])
		}
		if x, y := both.Context[i], from.Context[j]; x >= 0 && both.Contexts[x].ID != from.Contexts[y].ID {
			t.Fatalf("event %d of %s is in context %s, joined in %s", j, from.Name, from.Contexts[y].ID, both.Contexts[x].ID)
		}
	}
	for _, x := range both.Contexts {
		for _, e := range x.Events {
			if both.Contexts[both.Context[e]].ID != x.ID {
				t.Fatalf("context %s lists event %d of context %s", x.ID, e, both.Contexts[both.Context[e]].ID)
			}
		}
	}

	if _, err := SplitCross(both, CrossOptions{Length: 40, Training: 1}); err == nil || !strings.Contains(err.Error(), "events of the training recordings") {
		t.Errorf("a recording is tested that shares events with training: %v", err)
	}
	if _, err := SplitCross(c, CrossOptions{Length: 40, Training: 1}); err == nil || !strings.Contains(err.Error(), "leave at least one") {
		t.Errorf("nothing is left to test: %v", err)
	}
	paper := *c
	paper.Space = label.Paper()
	if _, err := Join(c, &paper); err == nil || !strings.Contains(err.Error(), `"paper"`) {
		t.Errorf("corpora of two label spaces were joined: %v", err)
	}
	if _, err := Join(); err == nil {
		t.Error("no corpora were joined")
	}
	if same, err := Join(c); same != c || err != nil {
		t.Error("one corpus is joined as it is")
	}
}
