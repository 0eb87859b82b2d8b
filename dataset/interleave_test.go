package dataset

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"k8ntext/dataset/audit"
	"k8ntext/dataset/label"
)

// timed gives the events of a made-up corpus a time and its place as audit id, and makes every third
// context a user's.
func timed(t *rapid.T, c *Corpus) *Corpus {
	at := time.Unix(1700000000, 0).UTC()
	c.Own = make([]label.Label, len(c.Events))
	c.Class = make([]Class, len(c.Events))
	for i, e := range c.Events {
		at = at.Add(time.Duration(rapid.IntRange(0, 2000).Draw(t, "milliseconds")) * time.Millisecond)
		e.RequestReceived, e.AuditID = at, strconv.Itoa(i)
		c.Own[i] = label.Label(i)
		if x := c.Context[i]; x >= 0 && x%3 == 0 {
			c.Class[i] = User
		}
	}
	return c
}

func original(t *rapid.T, e *audit.Event) int32 {
	i, err := strconv.Atoi(e.AuditID)
	if err != nil {
		t.Fatal(err)
	}
	return int32(i)
}

func TestInterleave(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := timed(t, drawCorpus(t))
		splits, err := SplitBlocked(c, BlockedOptions{Length: rapid.IntRange(1, 8).Draw(t, "length"), Folds: 3})
		if err != nil {
			return // too short for three parts
		}
		s := splits[rapid.IntRange(0, 2).Draw(t, "fold")]
		tracks, seed := rapid.IntRange(2, 5).Draw(t, "tracks"), rapid.Uint64().Draw(t, "seed")
		training := s.TrainEvents()
		wide, split, err := Interleave(c, s, tracks, seed)
		if len(training) < tracks {
			if err == nil {
				t.Fatalf("%d events were cut into %d tracks", len(training), tracks)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}

		// What there was is as it was; overlays are training and nothing else.
		old := len(c.Events)
		if !slices.Equal(wide.Events[:old], c.Events) || len(split.Sequences) != len(s.Sequences)+tracks-1 {
			t.Fatalf("%d sequences became %d", len(s.Sequences), len(split.Sequences))
		}
		if d := cmp.Diff(s.Sequences, split.Sequences[:len(s.Sequences)]); d != "" {
			t.Fatal(d)
		}
		if !slices.Equal(split.Validation, s.Validation) || !slices.Equal(split.Test, s.Test) || !slices.Equal(split.Train[:len(s.Train)], s.Train) {
			t.Fatal("other parts changed")
		}
		if !slices.IsSorted(split.FitEvents) || len(split.FitEvents) != len(s.FitEvents)+len(wide.Events)-old {
			t.Fatal("vocabularies are not fitted to what is shown")
		}

		sources := make(map[uint32]int)
		for n, overlay := range split.Sequences[len(s.Sequences):] {
			seen := make(map[int32]bool)
			active := make(map[uint32]bool)
			background := make(map[uint32]bool)
			last := make(map[uint32]int32)
			for i, e := range overlay {
				copied := wide.Events[e]
				of := original(t, copied)
				if seen[of] || !slices.Contains(training, of) {
					t.Fatalf("overlay %d shows event %d twice, or it is not of training", n, of)
				}
				seen[of], active[copied.Source] = true, true
				if wide.Labels[e] != c.Labels[of] || wide.Own[e] != c.Own[of] || wide.Context[e] != c.Context[of] || wide.Class[e] != c.Class[of] {
					t.Fatalf("the copy of event %d has another truth", of)
				}
				if !c.Class[of].Has(User) {
					background[copied.Source] = true
				}
				if i > 0 && copied.RequestReceived.Before(wide.Events[overlay[i-1]].RequestReceived) {
					t.Fatalf("overlay %d is not in time order", n)
				}
				// A piece is a run of the recording at the recording's speed.
				if before, ok := last[copied.Source]; ok {
					was := c.Events[of].RequestReceived.Sub(c.Events[before].RequestReceived)
					is := copied.RequestReceived.Sub(wide.Events[overlay[slices.IndexFunc(overlay, func(x int32) bool { return original(t, wide.Events[x]) == before })]].RequestReceived)
					if of < before || was != is {
						t.Fatalf("events %d and %d were %v apart and are %v", before, of, was, is)
					}
				}
				last[copied.Source] = of
				if at, ok := sources[copied.Source]; copied.Source == 0 || ok && at != n {
					t.Fatalf("source %d is used again", copied.Source)
				}
				sources[copied.Source] = n
			}
			for _, of := range training {
				if c.Class[of].Has(User) && !seen[of] {
					t.Fatalf("overlay %d lacks the user-caused event %d", n, of)
				}
			}
			// One track has background; it has as many pieces as sequences and the turn cut.
			if len(background) > len(s.Sequences)+1 {
				t.Fatalf("%d pieces have background", len(background))
			}
		}

		again, splitAgain, _ := Interleave(c, s, tracks, seed)
		if d := cmp.Diff(split, splitAgain); d != "" || len(again.Events) != len(wide.Events) {
			t.Fatal("the same seed gives another overlay: " + d)
		}
	})
}

// Side by side is what overlays are for: a quarter of the way in, all tracks of an overlay have begun and
// most go on.
func TestInterleaveIsConcurrent(t *testing.T) {
	c := sequential(t)
	s, err := SplitAll(c, AllOptions{Length: 40})
	if err != nil {
		t.Fatal(err)
	}
	wide, split, err := Interleave(c, s, 4, 1)
	if err != nil {
		t.Fatal(err)
	}
	overlay := split.Sequences[len(split.Sequences)-1]
	sources := make(map[uint32]bool)
	for _, e := range overlay[len(overlay)/4 : len(overlay)/2] {
		sources[wide.Events[e].Source] = true
	}
	if len(sources) < 3 {
		t.Errorf("%d pieces run side by side, want 4 or nearly", len(sources))
	}
}

func TestInterleaveRefuses(t *testing.T) {
	c := plain(60)
	paper, err := SplitPaper(c, PaperOptions{Length: 5})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := Interleave(c, paper, 2, 1); err == nil || !strings.Contains(err.Error(), "protocol than paper") {
		t.Errorf("overlays of shuffled windows: %v", err)
	}
	if _, _, err := Interleave(c, paper, MaxTracks+1, 1); err == nil || !strings.Contains(err.Error(), "at most 64") {
		t.Errorf("too many tracks: %v", err)
	}
	if same, split, err := Interleave(c, paper, 1, 1); same != c || split != paper || err != nil {
		t.Error("one track is the recording as it is")
	}
}
