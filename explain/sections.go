package explain

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"

	"k8ntext/explain/tree"
)

// How much of a list a report shows.
const (
	maxListed   = 20
	maxClasses  = 8 // of one node or leaf
	maxValues   = 8 // of one feature
	maxExamples = 40
)

// Unexplained is the reporting rows on which tree and teacher differ: what the tree must not be
// believed about.
type Unexplained struct {
	Rows     int       `json:"rows"`
	Share    Interval  `json:"share"`
	Pairs    []Mixup   `json:"pairs"`     // most frequent first
	Examples []Example `json:"examples"`  // evenly over time
	Unknown  int       `json:"new_class"` // of these, rows whose class the teacher gave no training row
	// Abstain is what a tree is worth that keeps silent in leaves on which it was wrong too often.
	Abstain []Abstention `json:"abstain"`
}

// Mixup is a pair of answers.
type Mixup struct {
	Teacher string `json:"teacher"`
	Tree    string `json:"tree"`
	Rows    int    `json:"rows"`
}

// Example is one row.
type Example struct {
	Row     int    `json:"row"`
	Where   string `json:"where"`
	Teacher string `json:"teacher"`
	Tree    string `json:"tree"`
	Leaf    int    `json:"leaf"`
	Rule    string `json:"rule"`
}

// Abstention is a tree that answers only in leaves on which it agreed with the teacher on at least
// that share of the selecting rows, and on three of them.
type Abstention struct {
	AtLeast   float64 `json:"at_least"`
	Answered  float64 `json:"answered"`  // share of the reporting rows
	Agreement float64 `json:"agreement"` // on those
}

func (s *study) unexplained() error {
	u := &s.r.Unexplained
	rows := s.h.Parts.Report
	train := make(map[int32]bool)
	for _, r := range s.h.Parts.Train {
		train[s.a.of[r]] = true
	}
	pairs := make(map[[2]int32]int)
	var wrong []int
	for i := range rows {
		if s.teacher[i] == s.given[i] {
			continue
		}
		wrong = append(wrong, i)
		pairs[[2]int32{s.teacher[i], s.given[i]}]++
		if !train[s.teacher[i]] {
			u.Unknown++
		}
	}
	u.Rows = len(wrong)
	a := s.r.Tree.Fidelity.Agreement
	u.Share = Interval{1 - a.Value, 1 - a.High, 1 - a.Low}
	for pair, n := range pairs {
		u.Pairs = append(u.Pairs, Mixup{s.p.Classes[pair[0]], s.p.Classes[pair[1]], n})
	}
	slices.SortFunc(u.Pairs, func(a, b Mixup) int {
		return cmp.Or(b.Rows-a.Rows, cmp.Compare(a.Teacher, b.Teacher), cmp.Compare(a.Tree, b.Tree))
	})
	u.Pairs = u.Pairs[:min(maxListed, len(u.Pairs))]
	for _, i := range spread(wrong, maxExamples) {
		row := int(rows[i])
		leaf := s.h.Tree.FindRow(s.p.Table, row)
		u.Examples = append(u.Examples, Example{
			row, s.p.where(row), s.p.Classes[s.teacher[i]], s.p.Classes[s.given[i]], leaf, s.p.rule(s.h.Tree, leaf).String(),
		})
	}

	right, all := make(map[int]int), make(map[int]int) // by leaf, on the selecting rows
	for _, r := range s.h.Parts.Select {
		leaf := s.h.Tree.FindRow(s.p.Table, int(r))
		all[leaf]++
		if s.h.Tree.Nodes[leaf].Class == s.a.of[r] {
			right[leaf]++
		}
	}
	for _, least := range []float64{.5, .7, .9, .95} {
		answered, agreed := 0, 0
		for i, r := range rows {
			leaf := s.h.Tree.FindRow(s.p.Table, int(r))
			if all[leaf] < 3 || float64(right[leaf]) < least*float64(all[leaf]) {
				continue
			}
			answered++
			if s.teacher[i] == s.given[i] {
				agreed++
			}
		}
		x := Abstention{AtLeast: least, Answered: float64(answered) / float64(len(rows))}
		if answered > 0 {
			x.Agreement = float64(agreed) / float64(answered)
		}
		u.Abstain = append(u.Abstain, x)
	}
	return nil
}

// spread picks at most n elements, evenly.
func spread[T any](s []T, n int) []T {
	if len(s) <= n {
		return s
	}
	out := make([]T, n)
	for i := range out {
		out[i] = s[i*len(s)/n]
	}
	return out
}

// ClassReport is how the tree does on one class, the teacher being right by definition.
type ClassReport struct {
	Class     string   `json:"class"`
	Rows      int      `json:"rows"`      // to which the teacher gives it
	Given     int      `json:"given"`     // to which the tree gives it
	Recall    Interval `json:"recall"`    // share of Rows that the tree gives it: its fidelity there
	Precision float64  `json:"precision"` // share of Given to which the teacher gives it; 0 of none
	F1        float64  `json:"f1"`
	Trained   int      `json:"trained"` // training rows to which the teacher gives it
}

// LeafReport is a rule with what became of it on the reporting rows.
type LeafReport struct {
	Rule
	Text string `json:"text"`
	// ClassShare is the share of the class's training rows that come here, and Classes what the leaf's
	// training rows are, as shares of all training rows, those of most rows.
	ClassShare float64     `json:"class_share"`
	Classes    []ClassPart `json:"classes"`
	Unseen     int         `json:"unseen"`   // reporting rows that come here
	Fidelity   Interval    `json:"fidelity"` // share of those with the leaf's class; 0 to 1 of none
}

// ClassPart is a class with its share of something.
type ClassPart struct {
	Class string  `json:"class"`
	Share float64 `json:"share"`
}

// AgainstTruth compares everybody with the truth on the reporting rows whose truth is known.
type AgainstTruth struct {
	Rows    int       `json:"rows"`
	Teacher Fidelity  `json:"teacher"`
	Tree    Fidelity  `json:"tree"`
	Own     *Fidelity `json:"own,omitempty"` // the row's own class against the truth
	// TeacherOwn is how often the teacher gives a row its own class, and TreeOwn how often the tree does.
	TeacherOwn float64 `json:"teacher_gives_own"`
	TreeOwn    float64 `json:"tree_gives_own"`
	// Errors is the share of the teacher's errors that the tree makes too, the very same ones.
	Errors int     `json:"teacher_errors"`
	Copied float64 `json:"errors_copied"`
}

func (s *study) fidelities() error {
	rows := s.h.Parts.Report
	type tally struct{ rows, given, both, trained int }
	classes := make(map[int32]*tally)
	of := func(c int32) *tally {
		if classes[c] == nil {
			classes[c] = &tally{}
		}
		return classes[c]
	}
	groups := make(map[int32]map[int32]bool)
	for i, r := range rows {
		of(s.teacher[i]).rows++
		of(s.given[i]).given++
		if s.teacher[i] == s.given[i] {
			of(s.given[i]).both++
		}
		if groups[s.teacher[i]] == nil {
			groups[s.teacher[i]] = make(map[int32]bool)
		}
		groups[s.teacher[i]][s.p.group(r)] = true
	}
	for _, r := range s.h.Parts.Train {
		if c := classes[s.a.of[r]]; c != nil {
			c.trained++
		}
	}
	for c, t := range classes {
		x := ClassReport{Class: s.p.Classes[c], Rows: t.rows, Given: t.given, Trained: t.trained, F1: 2 * float64(t.both) / float64(t.rows+t.given)}
		x.Recall = wilson(ratio(t.both, t.rows), len(groups[c]))
		x.Precision = ratio(t.both, t.given)
		s.r.Answers = append(s.r.Answers, x)
	}
	slices.SortFunc(s.r.Answers, func(a, b ClassReport) int { return cmp.Or(b.Rows-a.Rows, cmp.Compare(a.Class, b.Class)) })

	type leaf struct {
		rows, same int
		groups     map[int32]bool
	}
	leaves := make(map[int]*leaf)
	for i, r := range rows {
		at := s.h.Tree.FindRow(s.p.Table, int(r))
		if leaves[at] == nil {
			leaves[at] = &leaf{groups: make(map[int32]bool)}
		}
		l := leaves[at]
		l.rows++
		l.groups[s.p.group(r)] = true
		if s.teacher[i] == s.given[i] {
			l.same++
		}
	}
	root := &s.h.Tree.Nodes[0]
	weights := make(map[int32]int64)
	for _, w := range root.Classes {
		weights[w.Class] = int64(w.Weight)
	}
	for _, rule := range s.p.Rules(s.h.Tree) {
		x := LeafReport{Rule: rule, Text: rule.String(), Fidelity: wilson(0, 0)}
		for _, w := range s.h.Tree.Nodes[rule.Leaf].Classes {
			x.Classes = append(x.Classes, ClassPart{s.p.Classes[w.Class], float64(w.Weight) / float64(root.Weight)})
			if w.Class == s.h.Tree.Nodes[rule.Leaf].Class {
				x.ClassShare = float64(w.Weight) / float64(weights[w.Class])
			}
		}
		slices.SortStableFunc(x.Classes, func(a, b ClassPart) int { return cmp.Compare(b.Share, a.Share) })
		x.Classes = x.Classes[:min(maxClasses, len(x.Classes))]
		if l := leaves[rule.Leaf]; l != nil {
			x.Unseen, x.Fidelity = l.rows, wilson(ratio(l.same, l.rows), len(l.groups))
		}
		s.r.Leaves = append(s.r.Leaves, x)
	}
	s.againstTruth()
	return nil
}

func (s *study) againstTruth() {
	if s.p.Truth == nil {
		return
	}
	var rows, truth, teacher, given, own []int32
	for i, r := range s.h.Parts.Report {
		if s.p.Truth[r] < 0 {
			continue
		}
		rows, truth = append(rows, r), append(truth, s.p.Truth[r])
		teacher, given = append(teacher, s.teacher[i]), append(given, s.given[i])
		if s.p.Own != nil {
			own = append(own, s.p.Own[r])
		}
	}
	if len(rows) == 0 {
		return
	}
	b := &AgainstTruth{Rows: len(rows), Teacher: s.p.fidelity(rows, truth, teacher), Tree: s.p.fidelity(rows, truth, given)}
	copied := 0
	for i := range rows {
		if teacher[i] != truth[i] {
			b.Errors++
			if given[i] == teacher[i] {
				copied++
			}
		}
	}
	b.Copied = ratio(copied, b.Errors)
	if s.p.Own != nil {
		f := s.p.fidelity(rows, truth, own)
		b.Own, b.TeacherOwn, b.TreeOwn = &f, agreement(teacher, own), agreement(given, own)
	}
	s.r.BlackBox = b
}

// ratio is a/b, 0 of none.
func ratio(a, b int) float64 {
	if b == 0 {
		return 0
	}
	return float64(a) / float64(b)
}

// FeatureUse is how a tree uses a feature.
type FeatureUse struct {
	Feature   string  `json:"feature"`
	Nodes     int     `json:"nodes"`
	NodeShare float64 `json:"node_share"` // of the nodes that ask
	Rows      float64 `json:"row_share"`  // training rows of its nodes, of those of all nodes that ask
	Gain      float64 `json:"gain_share"` // of the impurity that all nodes take away
}

// NodeUse is a question that parts the rows well.
type NodeUse struct {
	Node      int          `json:"node"`
	Question  string       `json:"question"`
	Depth     int          `json:"depth"`
	Weight    int64        `json:"weight"`    // training rows that come here
	Rows      float64      `json:"row_share"` // of the training rows
	Left      float64      `json:"left_share"`
	Right     float64      `json:"right_share"`
	GiniLeft  float64      `json:"gini_left"`
	GiniRight float64      `json:"gini_right"`
	Gain      float64      `json:"gain_share"`
	Classes   []ClassSides `json:"classes"` // of most rows
	Values    []ValueShare `json:"values"`  // of the feature that it asks for: the one that is asked for and the most frequent, then all others as one
}

// ValueShare is how frequent a value is among all training rows and among those that come to a node.
type ValueShare struct {
	Value string  `json:"value"`
	All   float64 `json:"all"`
	Here  float64 `json:"here"`
}

// ClassSides is how a question parts the rows of one class.
type ClassSides struct {
	Class string `json:"class"`
	Left  int64  `json:"left"`
	Right int64  `json:"right"`
}

// Level is one depth of a tree.
type Level struct {
	Depth  int   `json:"depth"`
	Nodes  int   `json:"nodes"`
	Leaves int   `json:"leaves"`
	Rows   int64 `json:"rows"` // training rows that come so far
}

// Cell is one field at one offset and how much of the tree's gain is there.
type Cell struct {
	Field  string  `json:"field"`
	Offset int     `json:"offset"`
	Gain   float64 `json:"gain_share"`
}

func (s *study) structure() error {
	t := s.h.Tree
	s.r.Tree, s.r.Full = s.summary("honest", t), s.summary("honest, before cutting", s.h.Full)
	s.r.Sizes = s.h.Sizes

	uses := make(map[int32]*FeatureUse)
	asking, rows, gain := 0, int64(0), 0.0
	for i := range t.Nodes {
		n := &t.Nodes[i]
		for len(s.r.Levels) <= int(n.Depth) {
			s.r.Levels = append(s.r.Levels, Level{Depth: len(s.r.Levels)})
		}
		l := &s.r.Levels[n.Depth]
		l.Nodes++
		l.Rows += n.Weight
		if n.Feature == tree.Leaf {
			l.Leaves++
			continue
		}
		u := uses[n.Feature]
		if u == nil {
			u = &FeatureUse{Feature: s.p.Features[n.Feature].Name()}
			uses[n.Feature] = u
		}
		u.Nodes++
		u.Rows += float64(n.Weight)
		u.Gain += t.Gain(i)
		asking++
		rows += n.Weight
		gain += t.Gain(i)
	}
	gain = max(gain, math.SmallestNonzeroFloat64) // a tree that gains nothing has no shares to give
	for f, u := range uses {
		u.NodeShare, u.Rows, u.Gain = float64(u.Nodes)/float64(asking), u.Rows/float64(rows), u.Gain/gain
		s.r.Top = append(s.r.Top, *u)
		s.r.Importance = append(s.r.Importance, Cell{s.p.Features[f].Field, s.p.Features[f].Offset, u.Gain})
	}
	slices.SortFunc(s.r.Top, func(a, b FeatureUse) int {
		return cmp.Or(cmp.Compare(b.Gain, a.Gain), cmp.Compare(a.Feature, b.Feature))
	})
	slices.SortFunc(s.r.Importance, func(a, b Cell) int {
		return cmp.Or(cmp.Compare(a.Field, b.Field), cmp.Compare(a.Offset, b.Offset))
	})

	order := t.BestFirst()
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(t.Gain(b), t.Gain(a)) })
	for _, i := range order[:min(maxListed, len(order))] {
		n := &t.Nodes[i]
		left, right := &t.Nodes[n.Left], &t.Nodes[n.Right]
		total := float64(t.Nodes[0].Weight)
		use := NodeUse{
			Node: i, Question: s.p.Question(n), Depth: int(n.Depth), Weight: n.Weight, Rows: float64(n.Weight) / total,
			Left: float64(left.Weight) / total, Right: float64(right.Weight) / total,
			GiniLeft: left.Gini, GiniRight: right.Gini, Gain: t.Gain(i) / gain,
		}
		weight := make(map[int32]int64)
		for _, w := range left.Classes {
			weight[w.Class] = int64(w.Weight)
		}
		for _, w := range n.Classes {
			use.Classes = append(use.Classes, ClassSides{s.p.Classes[w.Class], weight[w.Class], int64(w.Weight) - weight[w.Class]})
		}
		slices.SortStableFunc(use.Classes, func(a, b ClassSides) int { return cmp.Compare(b.Left+b.Right, a.Left+a.Right) })
		use.Classes = use.Classes[:min(maxClasses, len(use.Classes))]
		use.Values = s.values(i)
		s.r.Nodes = append(s.r.Nodes, use)
	}
	return nil
}

// values counts the values of the feature that a node asks for. Rows count once, also where the tree was
// grown on resampled ones.
func (s *study) values(node int) []ValueShare {
	t := s.h.Tree
	feature := int(t.Nodes[node].Feature)
	path := t.Path(node)
	type count struct {
		value     int32
		all, here int
	}
	counts := make(map[int32]*count)
	total := 0
	for _, r := range s.h.Parts.Train {
		v := s.p.Table.Value(int(r), feature)
		if counts[v] == nil {
			counts[v] = &count{value: v}
		}
		counts[v].all++
		if s.comesTo(path, int(r)) {
			counts[v].here++
			total++
		}
	}
	asked := func(c *count) int { // the value that is asked for comes first
		if t.Nodes[node].Equal && float64(c.value) == t.Nodes[node].Threshold {
			return 0
		}
		return 1
	}
	order := slices.SortedFunc(maps.Values(counts), func(a, b *count) int {
		return cmp.Or(asked(a)-asked(b), cmp.Compare(b.here, a.here), cmp.Compare(b.all, a.all), cmp.Compare(a.value, b.value))
	})
	shares := make([]ValueShare, 0, maxValues+1)
	rest := count{}
	for i, c := range order {
		if i < maxValues {
			shares = append(shares, ValueShare{s.p.value(feature, c.value), ratio(c.all, len(s.h.Parts.Train)), ratio(c.here, total)})
			continue
		}
		rest.all += c.all
		rest.here += c.here
	}
	if n := len(order) - maxValues; n > 0 {
		shares = append(shares, ValueShare{fmt.Sprintf("others (%d)", n), ratio(rest.all, len(s.h.Parts.Train)), ratio(rest.here, total)})
	}
	return shares
}

// comesTo tells whether a row takes a path from the root.
func (s *study) comesTo(path []int, row int) bool {
	for i, step := range path[:len(path)-1] {
		n := &s.h.Tree.Nodes[step]
		if n.GoesLeft(s.p.Table.Value(row, int(n.Feature))) != (path[i+1] == int(n.Left)) {
			return false
		}
	}
	return true
}

// Pruning is the ways to one kind of smaller trees, measured on the selecting rows.
type Pruning struct {
	Method string   `json:"method"` // top-k, alpha, depth or leaves
	Trees  []Pruned `json:"trees"`
}

// Pruned is one of them.
type Pruned struct {
	Value     float64 `json:"value"` // of k, alpha, depth or leaves
	Leaves    int     `json:"leaves"`
	Depth     int     `json:"depth"`
	Agreement float64 `json:"agreement"` // with the teacher
	MacroF1   float64 `json:"macro_f1"`
	Accuracy  float64 `json:"accuracy"` // against truth where it is known; 0 of none
}

func (s *study) prunings() error {
	full := s.h.Full
	scorer := newScorer(len(s.p.Classes))
	rows := s.h.Parts.Select
	want := pick(s.a.of, rows)
	measure := func(value float64, t *tree.Tree) Pruned {
		got := classesOf(t, s.p.Table, rows)
		x := Pruned{Value: value, Leaves: t.Leaves(), Depth: t.Depth(), Agreement: agreement(want, got), MacroF1: scorer.macroF1(want, got, nil)}
		if s.p.Truth != nil {
			right, known := 0, 0
			for i, r := range rows {
				if truth := s.p.Truth[r]; truth >= 0 {
					known++
					if truth == got[i] {
						right++
					}
				}
			}
			x.Accuracy = ratio(right, known)
		}
		return x
	}
	topK, alpha, depth, leaves := Pruning{Method: "top-k"}, Pruning{Method: "alpha"}, Pruning{Method: "depth"}, Pruning{Method: "leaves"}
	for _, k := range []int{1, 2, 5, 10, 20, 50, 100} {
		topK.Trees = append(topK.Trees, measure(float64(k), full.TopBranches(k, pruneAtGini)))
		if k >= full.Leaves() {
			break
		}
	}
	for _, step := range spread(full.CostComplexity(), 16) {
		alpha.Trees = append(alpha.Trees, measure(step.Alpha, full.Alpha(step.Alpha)))
	}
	for d := 1; ; d = max(d+1, d*5/4) {
		depth.Trees = append(depth.Trees, measure(float64(d), full.MaxDepth(d)))
		if d >= full.Depth() {
			break
		}
	}
	for n := 1; ; n *= 2 {
		leaves.Trees = append(leaves.Trees, measure(float64(n), full.MaxLeaves(n)))
		if n >= full.Leaves() {
			break
		}
	}
	s.r.Prunings = []Pruning{topK, alpha, depth, leaves}
	return nil
}

// Stability is how much the explanation owes to the rows that it happened to see: the candidates were
// grown on resampled training groups.
type Stability struct {
	Trees     []TreeFacts `json:"trees"`
	Agreement Interval    `json:"agreement"` // mean over pairs of different trees, lowest and highest pair; 1 of one tree
	Pairs     [][]float64 `json:"pairs"`     // agreement of each pair on the reporting rows
	Classes   []ClassPair `json:"classes"`   // by class of the teacher, those of most rows
	Rules     []RuleCount `json:"rules"`     // positive rules of the explanation, and how many other trees have them
	Features  []RuleCount `json:"features"`  // features of the first three levels, and how many trees have them there
}

// TreeFacts is one candidate.
type TreeFacts struct {
	Bootstrap bool    `json:"bootstrap"`
	Chosen    bool    `json:"chosen"`
	Leaves    int     `json:"leaves"`
	Select    float64 `json:"agreement_with_others"` // on the selecting rows, without itself
	Teacher   float64 `json:"fidelity"`              // on the reporting rows
}

// ClassPair is the agreement of the candidates about one class.
type ClassPair struct {
	Class     string    `json:"class"`
	Rows      int       `json:"rows"`
	Agreement float64   `json:"agreement"` // mean over pairs of trees
	Trees     []float64 `json:"trees"`     // of each tree with the teacher
}

// RuleCount is how many of the trees have something.
type RuleCount struct {
	What  string `json:"what"`
	Trees int    `json:"trees"`
}

func (s *study) stability() error {
	rows := s.h.Parts.Report
	st := &s.r.Stability
	answers := make([][]int32, len(s.h.Candidates))
	for i, c := range s.h.Candidates {
		answers[i] = classesOf(c.Tree, s.p.Table, rows)
		st.Trees = append(st.Trees, TreeFacts{c.Bootstrap, i == s.h.Chosen, c.Tree.Leaves(), c.Agreement, agreement(answers[i], s.teacher)})
	}
	st.Agreement = Interval{1, 1, 1}
	sum, n := 0.0, 0
	for i := range answers {
		st.Pairs = append(st.Pairs, make([]float64, len(answers)))
		for j := range answers {
			x := agreement(answers[i], answers[j])
			st.Pairs[i][j] = x
			if i < j {
				if n == 0 {
					st.Agreement = Interval{0, x, x}
				}
				st.Agreement.Low, st.Agreement.High = min(st.Agreement.Low, x), max(st.Agreement.High, x)
				sum += x
				n++
			}
		}
	}
	if n > 0 {
		st.Agreement.Value = sum / float64(n)
	}

	for _, c := range s.r.Answers[:min(maxListed, len(s.r.Answers))] {
		pair := ClassPair{Class: c.Class}
		same, of := 0, 0
		right := make([]int, len(answers))
		for i := range rows {
			if s.p.Classes[s.teacher[i]] != c.Class {
				continue
			}
			pair.Rows++
			for a := range answers {
				if answers[a][i] == s.teacher[i] {
					right[a]++
				}
				for b := range a {
					of++
					if answers[a][i] == answers[b][i] {
						same++
					}
				}
			}
		}
		if pair.Rows > 0 && of > 0 {
			pair.Agreement = ratio(same, of)
			for _, n := range right {
				pair.Trees = append(pair.Trees, ratio(n, pair.Rows))
			}
			st.Classes = append(st.Classes, pair)
		}
	}

	rules, features := make(map[string]int), make(map[string]int)
	for _, c := range s.h.Candidates {
		for rule := range s.positive(c.Tree) {
			rules[rule]++
		}
		seen := make(map[int32]bool)
		for _, node := range c.Tree.Nodes {
			if node.Feature != tree.Leaf && node.Depth < 3 && !seen[node.Feature] {
				seen[node.Feature] = true
				features[s.p.Features[node.Feature].Name()]++
			}
		}
	}
	for rule := range s.positive(s.h.Tree) {
		st.Rules = append(st.Rules, RuleCount{rule, rules[rule]})
	}
	for f, n := range features {
		st.Features = append(st.Features, RuleCount{f, n})
	}
	for _, list := range []*[]RuleCount{&st.Rules, &st.Features} {
		slices.SortFunc(*list, func(a, b RuleCount) int { return cmp.Or(b.Trees-a.Trees, cmp.Compare(a.What, b.What)) })
		*list = (*list)[:min(2*maxListed, len(*list))]
	}
	return nil
}

// positive is what a tree's rules ask to be there, without what they ask not to be: two trees that get
// to a rule by other ways then have the same.
func (s *study) positive(t *tree.Tree) map[string]bool {
	rules := make(map[string]bool)
	for _, r := range s.p.Rules(t) {
		r.Conditions = slices.DeleteFunc(r.Conditions, func(c Condition) bool { return len(c.IsNot) > 0 })
		slices.SortFunc(r.Conditions, func(a, b Condition) int { return cmp.Compare(a.String(), b.String()) })
		if len(r.Conditions) > 0 {
			rules[r.String()] = true
		}
	}
	return rules
}

// SingleClass is a small tree for one class against all others: the only form in which a class among
// hundreds can be read.
type SingleClass struct {
	Class     string   `json:"class"`
	Leaves    int      `json:"leaves"`
	Rows      int      `json:"rows"` // reporting rows to which the teacher gives it
	Precision Interval `json:"precision"`
	Recall    Interval `json:"recall"`
	Rules     []string `json:"rules"` // of the leaves that say yes, those of most rows first
}

// singleLeaves bounds the tree of a single class.
const singleLeaves = 6

func (s *study) singleClasses() error {
	if s.o.Single < 0 {
		return nil
	}
	var picked []int32
	byName := make(map[string]int32)
	for c, name := range s.p.Classes {
		byName[name] = int32(c)
	}
	for _, c := range s.r.Answers {
		if len(picked) < s.o.Single && c.Rows >= 5 && c.Trained >= 10 {
			picked = append(picked, byName[c.Class])
		}
	}
	for _, class := range picked {
		if err := s.ctx.Err(); err != nil {
			return err
		}
		x, err := s.single(class)
		if err != nil {
			return err
		}
		s.r.Single = append(s.r.Single, x)
	}
	return nil
}

func (s *study) single(class int32) (SingleClass, error) {
	labels := make([]int32, len(s.a.of))
	for r, c := range s.a.of {
		if c == class {
			labels[r] = 1
		}
	}
	weights := make([]int32, len(labels))
	for _, r := range s.h.Parts.Train {
		weights[r] = 1
	}
	full, err := tree.Fit(s.p.Table, labels, 2, tree.Options{
		Weights: weights, Nominal: s.p.nominal(), Features: s.o.Honest.Features, MaxDepth: singleLeaves, Workers: s.o.Honest.Workers,
	})
	if err != nil {
		return SingleClass{}, err
	}
	_, leaves := chooseSize(s.p.sizes(full, s.h.Parts.Select, labels), singleLeaves)
	t := full.MaxLeaves(max(leaves, 2))
	x := SingleClass{Class: s.p.Classes[class], Leaves: t.Leaves()}
	given, both := 0, 0
	groups, givenGroups := make(map[int32]bool), make(map[int32]bool)
	for _, r := range s.h.Parts.Report {
		yes := t.Class(s.p.Table, int(r)) == 1
		if labels[r] == 1 {
			x.Rows++
			groups[s.p.group(r)] = true
		}
		if yes {
			given++
			givenGroups[s.p.group(r)] = true
			both += int(labels[r])
		}
	}
	x.Precision, x.Recall = wilson(ratio(both, given), len(givenGroups)), wilson(ratio(both, x.Rows), len(groups))
	named := *s.p
	named.Classes = []string{"another class", x.Class}
	for _, r := range named.Rules(t) {
		if r.Class == x.Class {
			x.Rules = append(x.Rules, fmt.Sprintf("%s (%d rows, %.0f %% of them)", r, r.Weight, 100*r.Purity))
		}
	}
	return x, nil
}
