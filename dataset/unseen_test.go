package dataset

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"k8ntext/dataset/label"
)

// peopled gives the contexts of a drawn corpus labels, some of which the background has too, and commands.
func peopled(t *rapid.T, c *Corpus) {
	c.Labels = make([]label.Label, len(c.Events))
	for i := range c.Labels {
		c.Labels[i] = label.Unknown
	}
	for x := range c.Contexts {
		context := &c.Contexts[x]
		context.User = rapid.Bool().Draw(t, "user")
		if context.User && rapid.Bool().Draw(t, "has a command") {
			context.Operation = fmt.Sprint("op", rapid.IntRange(0, 20).Draw(t, "command"))
		}
		l := label.Label(16 * rapid.IntRange(1, 12).Draw(t, "label"))
		if !context.User {
			l = label.Label(16 * rapid.IntRange(10, 20).Draw(t, "background"))
		}
		for _, e := range context.Events {
			c.Labels[e] = l
		}
	}
}

// Nothing of what is left out is in training or validation, all else is as in blocked folds, and each
// thing is left out once, where it can be tested.
func TestUnseenIsUnseen(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawCorpus(t)
		peopled(t, c)
		leave := rapid.SampledFrom([]string{LeaveAction, LeaveScenario}).Draw(t, "leave out")
		o := UnseenOptions{Length: rapid.IntRange(1, 6).Draw(t, "W"), Folds: rapid.IntRange(2, 5).Draw(t, "folds"), LeaveOut: leave, Seed: rapid.Uint64().Draw(t, "seed")}
		splits, err := SplitUnseen(c, o)
		if err != nil {
			return // too little to cut
		}
		kinds := c.actions()
		if leave == LeaveScenario {
			kinds = c.scenarios()
		}
		times := make(map[string]int)
		for k, s := range splits {
			held := make(map[string]bool)
			for _, e := range s.Held {
				held[kinds[c.Context[e]]] = true
			}
			if held[""] {
				t.Fatalf("fold %d holds events that cannot be left out", k)
			}
			for kind := range held {
				times[kind]++
			}
			for _, e := range append(s.TrainEvents(), s.ValidationEvents()...) {
				if x := c.Context[e]; x >= 0 && held[kinds[x]] {
					t.Fatalf("fold %d: event %d of %s is in training or validation", k, e, kinds[x])
				}
			}
			for _, e := range s.TestEvents() {
				_, listed := slices.BinarySearch(s.Held, e)
				if x := c.Context[e]; listed != (x >= 0 && held[kinds[x]]) {
					t.Fatalf("fold %d: test event %d is listed as left out: %v", k, e, listed)
				}
			}
			for _, fault := range faults(c, s) {
				t.Fatalf("fold %d: %s", k, fault)
			}
		}
		for x, kind := range kinds {
			if kind != "" && times[kind] != 1 {
				t.Fatalf("%s of context %d is left out %d times", kind, x, times[kind])
			}
		}
		again, err := SplitUnseen(c, o)
		if err != nil || !slices.EqualFunc(splits, again, func(a, b *Split) bool { return slices.Equal(a.Held, b.Held) }) {
			t.Fatal("the same seed leaves out other things", err)
		}
	})
}

func TestUnseenEmbedded(t *testing.T) {
	c := sequential(t)
	splits, err := SplitUnseen(c, UnseenOptions{Length: 40})
	if err != nil {
		t.Fatal(err)
	}
	labels := make(map[label.Label]bool)
	events := 0
	for _, s := range splits {
		seen := make(map[label.Label]bool)
		for _, e := range s.TrainEvents() {
			seen[c.Labels[e]] = true
		}
		for _, e := range s.Held {
			events++
			labels[c.Labels[e]] = true
			if seen[c.Labels[e]] {
				t.Fatalf("fold %d: %s is in training", s.Fold, c.Space.Describe(c.Labels[e]))
			}
		}
	}
	if events != 3502 || len(labels) != 318 {
		t.Errorf("%d events of %d actions are left out", events, len(labels))
	}
}

func TestUnseenErrors(t *testing.T) {
	c := sequential(t)
	for _, test := range []struct {
		name string
		c    *Corpus
		o    UnseenOptions
		want string
	}{
		{"what", c, UnseenOptions{Length: 40, LeaveOut: "verb"}, `leave out "verb": is not known: use action or scenario`},
		{"folds", c, UnseenOptions{Length: 40, Folds: 1}, "1 folds of 9802 events"},
		{"window", c, UnseenOptions{}, "a window of 0 events"},
		{"no people", plain(100), UnseenOptions{Length: 5}, "people do 0 things that can be left out, for 5 folds"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := SplitUnseen(test.c, test.o)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q", err, test.want)
			}
		})
	}
}
