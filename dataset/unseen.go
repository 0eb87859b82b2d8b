package dataset

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"

	"k8ntext/dataset/label"
)

// What [SplitUnseen] leaves out.
const (
	LeaveAction   = "action"   // a label: what a person or CI account asked for
	LeaveScenario = "scenario" // commands of one kind
)

// UnseenOptions say what [SplitUnseen] leaves out and how it cuts.
type UnseenOptions struct {
	Length   int    // W, events of a window
	Folds    int    // groups of what is left out; 0 means 5
	Stride   int    // between training windows, and between validation windows; 0 means 1
	LeaveOut string // LeaveAction or LeaveScenario; "" is LeaveAction
	Seed     uint64 // of the groups
}

// SplitUnseen cuts a corpus as [SplitBlocked] does, and leaves out of the training and the validation part
// of each fold a random group of what people do, so that a network meets in the test part what it has
// never seen: the events of [Split.Held]. The groups are disjoint, and what occurs is left out once. The other
// test events show how the same network does what it knows.
//
// An action is a label that contexts of people have and none of the background: what the background
// does cannot be unseen. All of its contexts are left out. A scenario is the commands whose contexts have the same labels, a
// chart of one kind of objects for instance; a context without an operation is a command of its own. Its
// labels may well occur elsewhere.
//
// Each is in the group of a fold in whose test part a context of it begins, else nothing of it would be
// tested: of these folds in the one that has the fewest so far, in an order drawn by the seed.
//
// It fails as [SplitBlocked] does, and for a corpus with fewer things to leave out than folds.
func SplitUnseen(c *Corpus, o UnseenOptions) ([]*Split, error) {
	fail := splitError(c, "unseen")
	if o.Folds == 0 {
		o.Folds = 5
	}
	if o.Stride == 0 {
		o.Stride = 1
	}
	if err := cmp.Or(checkSplit(c, o.Length, o.Stride), checkFolds(c, o.Folds)); err != nil {
		return nil, fail(err)
	}
	var kinds []string // by context; "": never left out
	switch o.LeaveOut {
	case LeaveAction, "":
		kinds = c.actions()
	case LeaveScenario:
		kinds = c.scenarios()
	default:
		return nil, fail(fmt.Errorf("leave out %q: is not known: use %s or %s", o.LeaveOut, LeaveAction, LeaveScenario))
	}
	group := c.groups(kinds, o)
	if len(group) < o.Folds {
		return nil, fail(fmt.Errorf("people do %d things that can be left out, for %d folds: use fewer folds or a longer log", len(group), o.Folds))
	}

	splits := make([]*Split, o.Folds)
	for k := range splits {
		held := make([]bool, len(c.Contexts))
		for x, kind := range kinds {
			if fold, ok := group[kind]; ok && kind != "" {
				held[x] = fold == k
			}
		}
		s := &Split{Protocol: "unseen", Fold: k, Length: o.Length}
		for _, r := range c.recordings() {
			s.add(cutParts(c, span{r.From, r.To}, foldOf(r, k, o.Folds), held, o.Length, o.Stride))
		}
		err := s.checkParts()
		if err == nil && len(s.Held) == 0 {
			err = errors.New("no event of what is left out is in the test part")
		}
		if err != nil {
			return nil, fail(fmt.Errorf("fold %d of %d: %w: use a shorter window, fewer folds or a longer log", k, o.Folds, err))
		}
		splits[k] = s
	}
	return splits, nil
}

// labelOf is the label of a context's events.
func (c *Corpus) labelOf(x int) label.Label {
	if t := c.Contexts[x].Trigger; t >= 0 {
		return c.Labels[t]
	}
	return label.Unknown
}

// actions are the labels of people's contexts, by context, as text; "" for those that the background has too.
func (c *Corpus) actions() []string {
	background := make(map[label.Label]bool)
	for x := range c.Contexts {
		if !c.Contexts[x].User {
			background[c.labelOf(x)] = true
		}
	}
	kinds := make([]string, len(c.Contexts))
	for x := range c.Contexts {
		if l := c.labelOf(x); l >= 0 && !background[l] {
			kinds[x] = fmt.Sprint(l)
		}
	}
	return kinds
}

// scenarios are the kinds of commands, by context: the labels of all contexts of the command.
func (c *Corpus) scenarios() []string {
	type command struct {
		recording int
		operation string
		context   int // that has no operation
	}
	of := make([]command, len(c.Contexts))
	labels := make(map[command]map[label.Label]bool)
	for x := range c.Contexts {
		l := c.labelOf(x)
		if !c.Contexts[x].User || l < 0 {
			continue
		}
		of[x] = command{c.recordingOf(x), c.Contexts[x].Operation, 0}
		if of[x].operation == "" {
			of[x].context = x + 1
		}
		if labels[of[x]] == nil {
			labels[of[x]] = make(map[label.Label]bool)
		}
		labels[of[x]][l] = true
	}
	kinds := make([]string, len(c.Contexts))
	for x := range c.Contexts {
		if set := labels[of[x]]; set != nil {
			kinds[x] = fmt.Sprint(slices.Sorted(maps.Keys(set)))
		}
	}
	return kinds
}

// recordingOf is the recording that a context is of: operations are numbered alike in all of them.
func (c *Corpus) recordingOf(x int) int {
	i, _ := slices.BinarySearchFunc(c.recordings(), int(c.Contexts[x].Events[0]), func(r Recording, e int) int { return cmp.Compare(r.To, e+1) })
	return i
}

// groups puts each kind into the group of one fold.
func (c *Corpus) groups(kinds []string, o UnseenOptions) map[string]int {
	begins := make(map[string][]bool) // by kind, then by fold
	recordings := c.recordings()
	for x, kind := range kinds {
		if kind == "" {
			continue
		}
		if begins[kind] == nil {
			begins[kind] = make([]bool, o.Folds)
		}
		r := recordings[c.recordingOf(x)]
		first := int(c.Contexts[x].Events[0])
		for k := range o.Folds {
			if s := foldOf(r, k, o.Folds); s.from <= first && first < s.to {
				begins[kind][k] = true
			}
		}
	}
	order := slices.Sorted(maps.Keys(begins))
	rng := rand.New(rand.NewPCG(o.Seed, 0x756e7365656e)) // the stream "unseen"
	rng.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	group := make(map[string]int)
	sizes := make([]int, o.Folds)
	for _, kind := range order {
		best := -1
		for k, begun := range begins[kind] {
			if begun && (best < 0 || sizes[k] < sizes[best]) {
				best = k
			}
		}
		group[kind] = best
		sizes[best]++
	}
	return group
}
