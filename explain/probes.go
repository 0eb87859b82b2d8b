package explain

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"k8ntext/explain/tree"
)

// Shortcut is how far a tree of few features comes.
type Shortcut struct {
	Features []string `json:"features"` // that it may ask for, or that were taken away
	Leaves   int      `json:"leaves"`
	Fidelity Fidelity `json:"fidelity"` // on the reporting rows
}

// limited grows a tree of some features and measures it like the explanation.
func (s *study) limited(features []int) (t *tree.Tree, onSelect float64, err error) {
	if err := s.ctx.Err(); err != nil {
		return nil, 0, err
	}
	g := grower{p: s.p, answers: s.a.of, o: HonestOptions{Features: features, Workers: s.o.Honest.Workers}}
	full, err := g.grow(s.h.Parts.Train, nil, 0)
	if err != nil {
		return nil, 0, err
	}
	curve := s.p.sizes(full, s.h.Parts.Select, s.a.of)
	best, leaves := chooseSize(curve, s.o.Honest.MaxLeaves)
	return full.MaxLeaves(leaves), best.Agreement, nil
}

func (s *study) shortcut(named []int, t *tree.Tree) Shortcut {
	x := Shortcut{Leaves: t.Leaves(), Fidelity: s.p.fidelity(s.h.Parts.Report, s.teacher, classesOf(t, s.p.Table, s.h.Parts.Report))}
	for _, f := range named {
		x.Features = append(x.Features, s.p.Features[f].Name())
	}
	return x
}

// How many features are tried as the next of a shortcut, and how many are taken away in turn.
const (
	maxTried    = 60
	maxShortcut = 3
	maxRemovals = 5
)

// shortcuts looks for the best trees of one, two and three features (each feature is added to the best
// so far, chosen on the selecting rows), and takes the most used features away one after the other.
func (s *study) shortcuts() error {
	use := make(map[int32]float64)
	for i, n := range s.h.Full.Nodes {
		if n.Feature != tree.Leaf {
			use[n.Feature] += s.h.Full.Gain(i)
		}
	}
	var tried []int
	for f := range use {
		tried = append(tried, int(f))
	}
	slices.SortFunc(tried, func(a, b int) int {
		return cmp.Or(cmp.Compare(use[int32(b)], use[int32(a)]), cmp.Compare(a, b))
	})
	tried = tried[:min(maxTried, len(tried))]

	var chosen []int
	for range min(maxShortcut, len(tried)) {
		best, bestScore := -1, -1.0
		var bestTree *tree.Tree
		for _, f := range tried {
			if slices.Contains(chosen, f) {
				continue
			}
			t, score, err := s.limited(append(slices.Clone(chosen), f))
			if err != nil {
				return err
			}
			if score > bestScore {
				best, bestScore, bestTree = f, score, t
			}
		}
		chosen = append(chosen, best)
		s.r.Shortcuts = append(s.r.Shortcuts, s.shortcut(chosen, bestTree))
	}

	// The feature that is used most is taken away, and the tree grown anew: what it falls back on.
	rest := make([]int, 0, len(s.p.Features))
	for f := range s.p.Features {
		if s.o.Honest.Features == nil || slices.Contains(s.o.Honest.Features, f) {
			rest = append(rest, f)
		}
	}
	var removed []int
	t := s.h.Tree
	for range maxRemovals {
		most := mostUsed(t)
		if most < 0 || len(rest) < 2 {
			break
		}
		removed = append(removed, most)
		rest = slices.DeleteFunc(rest, func(f int) bool { return f == most })
		var err error
		if t, _, err = s.limited(rest); err != nil {
			return err
		}
		s.r.Removals = append(s.r.Removals, s.shortcut(removed, t))
	}
	return nil
}

// mostUsed is the feature of largest gain, the lowest of equals; -1 if the tree asks nothing.
func mostUsed(t *tree.Tree) int {
	gain := make(map[int32]float64)
	for i, n := range t.Nodes {
		if n.Feature != tree.Leaf {
			gain[n.Feature] += t.Gain(i)
		}
	}
	best := int32(-1)
	for f, g := range gain {
		if best < 0 || g > gain[best] || g == gain[best] && f < best {
			best = f
		}
	}
	return int(best)
}

// Reach is a tree that sees only events so near.
type Reach struct {
	Events   int      `json:"events"` // on each side of the explained one
	Leaves   int      `json:"leaves"`
	Fidelity Fidelity `json:"fidelity"`
}

func (s *study) reaches() error {
	far := 0
	for _, f := range s.p.Features {
		far = max(far, f.Offset, -f.Offset)
	}
	if far == 0 {
		return nil // rows of one event
	}
	for _, reach := range []int{0, 1, 2, 4, 8, 16} {
		if reach >= far {
			break
		}
		var near []int
		for f, x := range s.p.Features {
			if max(x.Offset, -x.Offset) <= reach && (s.o.Honest.Features == nil || slices.Contains(s.o.Honest.Features, f)) {
				near = append(near, f)
			}
		}
		if len(near) == 0 {
			continue
		}
		t, _, err := s.limited(near)
		if err != nil {
			return err
		}
		s.r.Reaches = append(s.r.Reaches, Reach{reach, t.Leaves(), s.shortcut(nil, t).Fidelity})
	}
	s.r.Reaches = append(s.r.Reaches, Reach{far, s.r.Tree.Leaves, s.r.Tree.Fidelity})
	return nil
}

// Permutation is what exchanging something between rows changes, nothing being trained anew.
type Permutation struct {
	// What is a field with all its offsets ("verb"), all fields that tell of one thing ("cause.*"), or an
	// offset with all its fields ("@-1").
	What    string   `json:"what"`
	Rows    int      `json:"rows"`    // that were asked again
	Teacher Interval `json:"teacher"` // share of them to which the teacher now gives another class
	Tree    float64  `json:"tree"`    // the same for the tree
}

// permutations exchanges each field between rows and asks the teacher again.
func (s *study) permutations() error {
	if s.o.Probes < 0 {
		return nil
	}
	rows := spread(upTo(len(s.h.Parts.Report)), s.o.Probes)
	if len(rows) < 2 {
		return nil
	}
	var names []string
	members := make(map[string][]int)
	related := make(map[string]map[string]bool) // the fields of each kin
	for _, x := range s.p.Features {
		if related[x.Kin] == nil {
			related[x.Kin] = make(map[string]bool)
		}
		related[x.Kin][x.Field] = true
	}
	offsets := false
	for f, x := range s.p.Features {
		if len(s.p.Table.Values(f)) < 2 {
			continue // the same in all rows
		}
		keys := []string{x.Field}
		if x.Kin != "" && len(related[x.Kin]) > 1 {
			keys = append(keys, x.Kin+".*")
		}
		if !x.Single {
			keys = append(keys, fmt.Sprintf("@%d", x.Offset))
			offsets = offsets || x.Offset != 0
		}
		for _, k := range keys {
			if members[k] == nil {
				names = append(names, k)
			}
			members[k] = append(members[k], f)
		}
	}
	rng := rand.New(rand.NewPCG(s.o.Honest.Seed, 0x7065726d)) // the stream "perm"
	partner := permutation(rng, len(rows))
	for i, j := range partner { // nobody keeps its own
		if int32(i) == j {
			k := (i + 1) % len(partner)
			partner[i], partner[k] = partner[k], partner[i]
		}
	}
	for _, name := range names {
		if strings.HasPrefix(name, "@") && !offsets {
			continue
		}
		changed := make([][]int32, len(rows))
		for i, at := range rows {
			changed[i] = s.p.Table.Row(int(s.h.Parts.Report[at]), nil)
			other := int(s.h.Parts.Report[rows[partner[i]]])
			for _, f := range members[name] {
				changed[i][f] = s.p.Table.Value(other, f)
			}
		}
		answers, err := s.a.ask(s.ctx, changed)
		if err != nil {
			return err
		}
		x := Permutation{What: name, Rows: len(rows)}
		teacher, tree := 0, 0
		groups := make(map[int32]bool)
		for i, at := range rows {
			groups[s.p.group(s.h.Parts.Report[at])] = true
			if answers[i] != s.teacher[at] {
				teacher++
			}
			if s.h.Tree.Nodes[s.h.Tree.Find(changed[i])].Class != s.given[at] {
				tree++
			}
		}
		x.Teacher, x.Tree = wilson(ratio(teacher, len(rows)), len(groups)), ratio(tree, len(rows))
		s.r.Permuted = append(s.r.Permuted, x)
	}
	slices.SortStableFunc(s.r.Permuted, func(a, b Permutation) int { return cmp.Compare(b.Teacher.Value, a.Teacher.Value) })
	return nil
}

// Change is one value that is replaced.
type Change struct {
	Feature string `json:"feature"`
	From    string `json:"from"`
	To      string `json:"to"`
}

// Counterfactual is the smallest change of a row that makes the tree give another class, put to the
// teacher.
type Counterfactual struct {
	Row     int      `json:"row"`
	Where   string   `json:"where"`
	From    string   `json:"from"`    // class that tree and teacher give the row
	To      string   `json:"to"`      // class that the tree gives it after the changes
	Teacher string   `json:"teacher"` // and the teacher
	Changes []Change `json:"changes"`
	// Outcome is confirmed (the teacher follows), other (it gives a third class) or unmoved.
	Outcome string `json:"outcome"`
}

// counterfactuals looks for the nearest leaf of another class of rows that the tree explains.
func (s *study) counterfactuals() error {
	if s.o.Probes < 0 || s.h.Tree.Leaves() < 2 {
		return nil
	}
	var explained []int
	for i := range s.teacher {
		if s.teacher[i] == s.given[i] {
			explained = append(explained, i)
		}
	}
	n := s.nearest()
	groups := make(map[int32]bool)
	confirmed := 0
	for _, i := range spread(explained, s.o.Probes) {
		row := s.h.Parts.Report[i]
		x, err := n.of(s, s.p.Table.Row(int(row), nil), s.teacher[i])
		if err != nil {
			return err
		}
		if x == nil {
			continue
		}
		x.Row, x.Where = int(row), s.p.where(int(row))
		groups[s.p.group(row)] = true
		if x.Outcome == "confirmed" {
			confirmed++
		}
		s.r.Changes = append(s.r.Changes, *x)
	}
	if len(s.r.Changes) == 0 {
		return nil
	}
	share := wilson(ratio(confirmed, len(s.r.Changes)), len(groups))
	s.r.Confirmed, s.r.Tried = &share, len(s.r.Changes)
	s.r.Changes = spread(s.r.Changes, maxExamples)
	return nil
}

// nearest finds leaves near a row.
type nearest struct {
	t      *tree.Tree
	leaves []target
}

// target is a leaf, its path, and a training row of its class that comes to it, whose values show what
// a row there can look like.
type target struct {
	leaf  int
	path  []int
	model int32
}

func (s *study) nearest() *nearest {
	n := &nearest{t: s.h.Tree}
	models := make(map[int]int32)
	for _, r := range s.h.Parts.Train {
		leaf := n.t.FindRow(s.p.Table, int(r))
		if _, known := models[leaf]; !known && s.a.of[r] == n.t.Nodes[leaf].Class {
			models[leaf] = r
		}
	}
	for i := range n.t.Nodes {
		if model, ok := models[i]; ok && n.t.Nodes[i].Feature == tree.Leaf {
			n.leaves = append(n.leaves, target{i, n.t.Path(i), model})
		}
	}
	return n
}

// of changes row, which tree and teacher give class, to the nearest leaf of another class; nil if
// there is none.
func (n *nearest) of(s *study, row []int32, class int32) (*Counterfactual, error) {
	best, bestChanges := -1, 0
	var changes []int32
	for i, l := range n.leaves {
		if n.t.Nodes[l.leaf].Class == class {
			continue
		}
		c := n.changes(s.p, l, row)
		if len(c) == 0 {
			continue
		}
		if best < 0 || len(c) < bestChanges || len(c) == bestChanges && n.t.Nodes[l.leaf].Weight > n.t.Nodes[n.leaves[best].leaf].Weight {
			best, bestChanges, changes = i, len(c), c
		}
	}
	if best < 0 {
		return nil, nil
	}
	l := n.leaves[best]
	x := &Counterfactual{From: s.p.Classes[class], To: s.p.Classes[n.t.Nodes[l.leaf].Class]}
	changed := slices.Clone(row)
	for _, f := range changes {
		changed[f] = s.p.Table.Value(int(l.model), int(f))
		x.Changes = append(x.Changes, Change{s.p.Features[f].Name(), s.p.value(int(f), row[f]), s.p.value(int(f), changed[f])})
	}
	answers, err := s.a.ask(s.ctx, [][]int32{changed})
	if err != nil {
		return nil, err
	}
	x.Teacher = s.p.Classes[answers[0]]
	switch answers[0] {
	case n.t.Nodes[l.leaf].Class:
		x.Outcome = "confirmed"
	case class:
		x.Outcome = "unmoved"
	default:
		x.Outcome = "other"
	}
	return x, nil
}

// changes are the features in which a row differs from what a leaf's path asks, in the path's order.
func (n *nearest) changes(p *Problem, l target, row []int32) []int32 {
	var list []int32
	for i, step := range l.path[:len(l.path)-1] {
		node := &n.t.Nodes[step]
		left := l.path[i+1] == int(node.Left)
		if node.GoesLeft(row[node.Feature]) != left && !slices.Contains(list, node.Feature) {
			list = append(list, node.Feature)
		}
	}
	return list
}
