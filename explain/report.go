package explain

import (
	"context"
	"fmt"

	"k8ntext/explain/tree"
)

// Options say what [Explain] looks into. The zero value is the default.
type Options struct {
	Honest  HonestOptions  `json:"honest"`
	Trustee TrusteeOptions `json:"trustee"` // zero iterations: 10, stability 3, half of the rows in a draw
	// Folds is over how many cuts both modes are compared; 0: the one that the report shows, at most [Folds].
	Folds int `json:"folds"`
	// Probes is about how many reporting rows the teacher is asked again with something changed; 0: 150,
	// negative: none.
	Probes int `json:"probes"`
	// Single is how many classes get a tree of their own; 0: 10, negative: none.
	Single int `json:"single"`
	// Progress, where not nil, is told what comes next.
	Progress func(step string) `json:"-"`
}

// Report is a trust report. Shares and scores lie between 0 and 1; where nothing could be measured a
// section is missing.
type Report struct {
	Name     string `json:"name"`
	Seen     bool   `json:"seen_in_training"` // the teacher was trained on these rows
	Rows     int    `json:"rows"`
	Features int    `json:"features"`
	Varying  int    `json:"varying_features"` // those that are not the same in all rows
	Classes  int    `json:"classes"`          // that the teacher gave at least once
	Train    int    `json:"train_rows"`
	Select   int    `json:"select_rows"`
	Report   int    `json:"report_rows"`
	Parts    Parts  `json:"parts"`

	Unexplained Unexplained `json:"unexplained"`
	Tree        Summary     `json:"tree"` // mode honest: the explanation
	Full        Summary     `json:"full"` // what it was cut from
	Trustee     *Published  `json:"trustee"`
	Folds       []Fold      `json:"folds,omitempty"`

	Answers    []ClassReport    `json:"classes_explained"` // tree against teacher on the reporting rows
	BlackBox   *AgainstTruth    `json:"against_truth,omitempty"`
	Leaves     []LeafReport     `json:"leaves"`
	Top        []FeatureUse     `json:"top_features"`
	Nodes      []NodeUse        `json:"top_nodes"`
	Levels     []Level          `json:"levels"`
	Sizes      []Size           `json:"sizes"`
	Prunings   []Pruning        `json:"prunings"`
	Shortcuts  []Shortcut       `json:"shortcuts"`
	Removals   []Shortcut       `json:"removals"`
	Permuted   []Permutation    `json:"permuted,omitempty"`
	Importance []Cell           `json:"importance"`
	Reaches    []Reach          `json:"reaches,omitempty"`
	Single     []SingleClass    `json:"single_classes,omitempty"`
	Changes    []Counterfactual `json:"counterfactuals,omitempty"`
	Tried      int              `json:"counterfactuals_tried"` // of which Changes has some
	Confirmed  *Interval        `json:"counterfactuals_confirmed,omitempty"`
	Stability  Stability        `json:"stability"`

	Asked   int      `json:"asked"`   // distinct rows that the teacher was asked about
	Repeats int      `json:"repeats"` // questions whose answer was known
	Notes   []string `json:"notes,omitempty"`
	Options Options  `json:"options"`
}

// Explanation is a report with the trees that it speaks of.
type Explanation struct {
	Report  *Report
	Problem *Problem
	Honest  *HonestResult
	Trustee *TrusteeResult

	answers []int32 // of the teacher for the reporting rows
}

// study is what the sections are made from.
type study struct {
	ctx     context.Context
	p       *Problem
	a       *asker
	o       Options
	h       *HonestResult
	t       *TrusteeResult
	r       *Report
	teacher []int32 // its answers for the reporting rows
	given   []int32 // the tree's
}

// Explain makes the whole report of a teacher: the explanation of [Honest], that of [Trustee] on the
// same rows beside it, and what can be found out about both. Everything that is said to hold on unseen
// rows is measured on the reporting rows.
func Explain(ctx context.Context, p *Problem, o Options) (*Explanation, error) {
	o = o.withDefaults()
	s := &study{ctx: ctx, p: p, a: newAsker(p), o: o}
	step := func(format string, args ...any) {
		if o.Progress != nil {
			o.Progress(fmt.Sprintf(format, args...))
		}
	}
	step("growing and choosing a tree")
	var err error
	if s.h, err = honest(ctx, p, s.a, o.Honest); err != nil {
		return nil, err
	}
	s.teacher, s.given = pick(s.a.of, s.h.Parts.Report), classesOf(s.h.Tree, p.Table, s.h.Parts.Report)
	s.r = &Report{
		Name: p.Name, Seen: p.Seen, Rows: p.Table.Rows(), Features: len(p.Features), Parts: s.h.Parts,
		Train: len(s.h.Parts.Train), Select: len(s.h.Parts.Select), Report: len(s.h.Parts.Report), Options: o,
	}
	if s.h.Candidates[s.h.Chosen].Bootstrap {
		s.r.Notes = append(s.r.Notes, "The tree that agrees most with the others was grown on resampled contexts: its numbers of training rows count rows as often as they were drawn.")
	}
	for f := range p.Features {
		if len(p.Table.Values(f)) > 1 {
			s.r.Varying++
		}
	}
	for _, section := range []struct {
		name string
		make func() error
	}{
		{"what the tree is made of", s.structure},
		{"mode trustee", s.published},
		{"rows that the tree does not explain", s.unexplained},
		{"fidelity per class and leaf", s.fidelities},
		{"the ways to prune", s.prunings},
		{"shortcuts", s.shortcuts},
		{"windows of other lengths", s.reaches},
		{"single classes", s.singleClasses},
		{"stability", s.stability},
		{"fields exchanged between rows", s.permutations},
		{"counterfactuals", s.counterfactuals},
		{"other cuts", s.folds},
	} {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("explain %s: %w", p.Name, err)
		}
		step("%s", section.name)
		if err := section.make(); err != nil {
			return nil, fmt.Errorf("explain %s: %s: %w", p.Name, section.name, err)
		}
	}
	s.r.Asked, s.r.Repeats = s.a.asked, s.a.repeats
	classes := make(map[int32]bool)
	for _, c := range s.a.of {
		if c != noClass {
			classes[c] = true
		}
	}
	s.r.Classes = len(classes)
	return &Explanation{s.r, p, s.h, s.t, s.teacher}, nil
}

func (o Options) withDefaults() Options {
	if o.Trustee.Iterations == 0 && o.Trustee.Stability == 0 && o.Trustee.SampleShare == 0 {
		o.Trustee.Iterations, o.Trustee.Stability, o.Trustee.SampleShare = 10, 3, .5
	}
	if o.Probes == 0 {
		o.Probes = 150
	}
	if o.Single == 0 {
		o.Single = 10
	}
	o.Folds = min(max(o.Folds, 0), Folds)
	return o
}

// Summary is a tree in numbers.
type Summary struct {
	Method     string   `json:"method"`
	Nodes      int      `json:"nodes"`
	Leaves     int      `json:"leaves"`
	Depth      int      `json:"depth"`
	Inputs     int      `json:"inputs"`      // features that it asks for
	InputShare float64  `json:"input_share"` // of all features
	Classes    int      `json:"classes"`     // that it can give
	ClassShare float64  `json:"class_share"` // of those that the teacher gave
	Fidelity   Fidelity `json:"fidelity"`    // on the reporting rows
	TrainShare float64  `json:"train_share"` // agreement on the rows that it was grown on, for comparison
}

func (s *study) summary(method string, t *tree.Tree) Summary {
	m := Summary{Method: method, Nodes: len(t.Nodes), Leaves: t.Leaves(), Depth: t.Depth()}
	inputs, classes, given := make(map[int32]bool), make(map[int32]bool), make(map[int32]bool)
	for _, n := range t.Nodes {
		if n.Feature == tree.Leaf {
			classes[n.Class] = true
		} else {
			inputs[n.Feature] = true
		}
	}
	for _, c := range s.a.of {
		if c != noClass {
			given[c] = true
		}
	}
	m.Inputs, m.Classes = len(inputs), len(classes)
	m.InputShare = float64(m.Inputs) / float64(len(s.p.Features))
	m.ClassShare = float64(m.Classes) / float64(len(given))
	rows := s.h.Parts.Report
	m.Fidelity = s.p.fidelity(rows, s.teacher, classesOf(t, s.p.Table, rows))
	m.TrainShare = agreement(pick(s.a.of, s.h.Parts.Train), classesOf(t, s.p.Table, s.h.Parts.Train))
	return m
}

// Published is mode trustee on the training and selecting rows, and mode honest at its size.
type Published struct {
	Full   Summary `json:"full"`
	Pruned Summary `json:"pruned"`
	// Equal is the honest tree of as many leaves as the pruned tree has. Its size being given, nothing is
	// to be chosen: it is grown on the selecting rows too, as trustee's is.
	Equal     Summary   `json:"honest_at_equal_leaves"`
	Agreement float64   `json:"agreement"` // as published: its own included
	Reward    float64   `json:"reward"`    // as published: too high, see [TrusteeResult]
	Students  []Student `json:"students"`
	Notes     []string  `json:"notes,omitempty"`
}

func (s *study) published() (err error) {
	rows := s.h.Parts.known()
	if len(rows) < 4 {
		s.r.Notes = append(s.r.Notes, "mode trustee: too few rows to cut twice")
		return nil
	}
	if s.t, err = trustee(s.ctx, s.p, s.a, rows, s.o.Trustee); err != nil {
		return err
	}
	equal, err := s.ofSize(rows, s.t.Pruned.Leaves())
	if err != nil {
		return err
	}
	s.r.Trustee = &Published{
		Full: s.summary("trustee, before pruning", s.t.Full), Pruned: s.summary("trustee", s.t.Pruned),
		Equal:     s.summary("honest, as many leaves", equal),
		Agreement: s.t.Agreement, Reward: s.t.Reward, Students: s.t.Students, Notes: s.t.Notes,
	}
	return nil
}

// ofSize is the tree of so many leaves, grown on rows.
func (s *study) ofSize(rows []int32, leaves int) (*tree.Tree, error) {
	g := grower{p: s.p, answers: s.a.of, o: s.o.Honest}
	full, err := g.grow(rows, nil, 0)
	if err != nil {
		return nil, err
	}
	return full.MaxLeaves(leaves), nil
}

// Fold is both modes on another cut.
type Fold struct {
	Fold    int      `json:"fold"`
	Rows    int      `json:"rows"` // for reporting
	Leaves  int      `json:"leaves"`
	Honest  Fidelity `json:"honest"`
	Trustee Fidelity `json:"trustee"`
	// Pruned is the size of trustee's tree, and Equal the honest tree of that size, see [Published].
	Pruned int      `json:"pruned"`
	Equal  Fidelity `json:"honest_at_equal_leaves"`
	Reward float64  `json:"reward"`
}

func (s *study) folds() error {
	for fold := range s.o.Folds {
		o := s.o.Honest
		o.Cut.Fold, o.Bootstraps = fold, -1
		h, err := honest(s.ctx, s.p, s.a, o)
		if err != nil {
			return err
		}
		known := h.Parts.known()
		t, err := trustee(s.ctx, s.p, s.a, known, s.o.Trustee)
		if err != nil {
			return err
		}
		equal, err := s.ofSize(known, t.Pruned.Leaves())
		if err != nil {
			return err
		}
		rows := h.Parts.Report
		want := pick(s.a.of, rows)
		s.r.Folds = append(s.r.Folds, Fold{
			Fold: fold, Rows: len(rows), Leaves: h.Leaves, Honest: h.Fidelity, Reward: t.Reward, Pruned: t.Pruned.Leaves(),
			Trustee: s.p.fidelity(rows, want, classesOf(t.Pruned, s.p.Table, rows)),
			Equal:   s.p.fidelity(rows, want, classesOf(equal, s.p.Table, rows)),
		})
	}
	return nil
}
