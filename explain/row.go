package explain

import (
	"cmp"
	"context"
	"fmt"
	"slices"
)

// RowReport is why one row gets its class.
type RowReport struct {
	Where   string `json:"where"`
	Teacher string `json:"teacher"` // its class
	Tree    string `json:"tree"`    // and the tree's
	Path    []Step `json:"path"`    // from the root
	Rule    string `json:"rule"`
	Leaf    Rule   `json:"leaf"`
	// Features and Events are what the teacher's answer hangs on: hidden, it gives another.
	Features []Occlusion `json:"features"`
	Events   []Occlusion `json:"events"`
	Hidden   int         `json:"hidden"` // values that were hidden one by one
	// Nearest is the smallest change that makes the tree give another class; nil: there is none.
	Nearest *Counterfactual `json:"nearest,omitempty"`
}

// Step is one question on the way to a leaf.
type Step struct {
	Question string `json:"question"`
	Value    string `json:"value"` // of the row
	Yes      bool   `json:"yes"`
}

// Occlusion is what hiding something changes.
type Occlusion struct {
	What  string `json:"what"` // a feature, or all of an event: "@-1"
	Value string `json:"value,omitempty"`
	Then  string `json:"then"` // class that the teacher then gives
}

// Row explains one row of the table by a result of [Honest] on the same problem: its path in the tree,
// the values without which the teacher answers otherwise (each hidden alone, then each event as a
// whole), and the nearest counterfactual.
func Row(ctx context.Context, p *Problem, h *HonestResult, row int) (*RowReport, error) {
	fail := func(err error) (*RowReport, error) { return nil, fmt.Errorf("explain %s: %w", p.where(row), err) }
	if row < 0 || row >= p.Table.Rows() {
		return nil, fmt.Errorf("explain row %d: there are 0 to %d", row, p.Table.Rows()-1)
	}
	a := newAsker(p)
	values := p.Table.Row(row, nil)
	first, err := a.ask(ctx, [][]int32{values})
	if err != nil {
		return fail(err)
	}
	class := first[0]
	leaf := h.Tree.Find(values)
	r := &RowReport{Where: p.where(row), Teacher: p.Classes[class], Tree: p.Classes[h.Tree.Nodes[leaf].Class], Leaf: p.rule(h.Tree, leaf)}
	r.Rule = r.Leaf.String()
	path := h.Tree.Path(leaf)
	for i, step := range path[:len(path)-1] {
		n := &h.Tree.Nodes[step]
		r.Path = append(r.Path, Step{p.Question(n), p.value(int(n.Feature), values[n.Feature]), path[i+1] == int(n.Left)})
	}

	if err := r.occlude(ctx, p, a, values, class); err != nil {
		return fail(err)
	}
	s := &study{ctx: ctx, p: p, a: a, h: h}
	if err := a.rows(ctx, h.Parts.Train); err != nil { // models of leaves are rows that the teacher agrees on
		return fail(err)
	}
	if h.Tree.Nodes[leaf].Class == class && h.Tree.Leaves() > 1 {
		if r.Nearest, err = s.nearest().of(s, values, class); err != nil {
			return fail(err)
		}
		if r.Nearest != nil {
			r.Nearest.Row, r.Nearest.Where = row, r.Where
		}
	}
	return r, nil
}

func (r *RowReport) occlude(ctx context.Context, p *Problem, a *asker, values []int32, class int32) error {
	hide := func(f int) int32 {
		if p.Unknown != nil {
			return p.Unknown(f)
		}
		return p.usual(f)
	}
	var features []int
	var changed [][]int32
	offsets := make(map[int][]int32)
	for f := range values {
		if o := p.Features[f].Offset; offsets[o] == nil && !p.Features[f].Single {
			offsets[o] = slices.Clone(values)
		}
		x := hide(f)
		if !p.Features[f].Single {
			offsets[p.Features[f].Offset][f] = x
		}
		if x == values[f] {
			continue
		}
		features = append(features, f)
		c := slices.Clone(values)
		c[f] = x
		changed = append(changed, c)
		if len(changed) == atOnce || f == len(values)-1 { // a row has thousands of values: not all at once
			if err := r.hidden(ctx, p, a, values, class, features, changed); err != nil {
				return err
			}
			features, changed = nil, nil
		}
	}
	if err := r.hidden(ctx, p, a, values, class, features, changed); err != nil {
		return err
	}
	slices.SortStableFunc(r.Features, func(x, y Occlusion) int { return cmp.Compare(x.What, y.What) })

	order := make([]int, 0, len(offsets))
	for o := range offsets {
		order = append(order, o)
	}
	slices.Sort(order)
	rows := make([][]int32, len(order))
	for i, o := range order {
		rows[i] = offsets[o]
	}
	answers, err := a.ask(ctx, rows)
	if err != nil {
		return err
	}
	for i, o := range order {
		if answers[i] != class {
			r.Events = append(r.Events, Occlusion{What: fmt.Sprintf("@%d", o), Then: p.Classes[answers[i]]})
		}
	}
	return nil
}

// hidden asks about rows in which one feature each is hidden.
func (r *RowReport) hidden(ctx context.Context, p *Problem, a *asker, values []int32, class int32, features []int, changed [][]int32) error {
	answers, err := a.ask(ctx, changed)
	if err != nil {
		return err
	}
	r.Hidden += len(changed)
	for i, f := range features {
		if answers[i] != class {
			r.Features = append(r.Features, Occlusion{p.Features[f].Name(), p.value(f, values[f]), p.Classes[answers[i]]})
		}
	}
	return nil
}

// usual is the most frequent value of a feature, the lowest of equals.
func (p *Problem) usual(f int) int32 {
	counts := make(map[int32]int)
	for r := range p.Table.Rows() {
		counts[p.Table.Value(r, f)]++
	}
	best, most := int32(0), 0
	for _, v := range p.Table.Values(f) {
		if counts[v] > most {
			best, most = v, counts[v]
		}
	}
	return best
}
