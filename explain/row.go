package explain

import (
	"cmp"
	"context"
	"fmt"
	"maps"
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
	// Features and Events are what the teacher's answer hangs on: hidden, it gives another. Besides whole
	// events, Events has what several fields tell of at offset 0, such as "cause.*@0".
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
	What  string `json:"what"` // a feature, all of an event ("@-1"), or all that is told of one thing ("cause.*@0")
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
	wholes := make(map[whole][]int32) // the row without them
	fields := make(map[whole]map[string]bool)
	for f := range values {
		x := hide(f)
		for _, w := range p.Features[f].wholes() {
			if wholes[w] == nil {
				wholes[w], fields[w] = slices.Clone(values), make(map[string]bool)
			}
			wholes[w][f] = x
			fields[w][p.Features[f].Field] = true
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

	maps.DeleteFunc(wholes, func(w whole, _ []int32) bool { return w.kin != "" && len(fields[w]) < 2 })
	order := slices.SortedFunc(maps.Keys(wholes), func(x, y whole) int {
		return cmp.Or(cmp.Compare(x.kin, y.kin), cmp.Compare(x.offset, y.offset))
	})
	rows := make([][]int32, len(order))
	for i, w := range order {
		rows[i] = wholes[w]
	}
	answers, err := a.ask(ctx, rows)
	if err != nil {
		return err
	}
	for i, w := range order {
		if answers[i] != class {
			r.Events = append(r.Events, Occlusion{What: w.String(), Then: p.Classes[answers[i]]})
		}
	}
	return nil
}

// whole is several features that are hidden at once: an event, or what is told of one thing at offset 0.
type whole struct {
	kin    string // "": the event
	offset int
}

func (w whole) String() string {
	if w.kin == "" {
		return fmt.Sprintf("@%d", w.offset)
	}
	return fmt.Sprintf("%s.*@%d", w.kin, w.offset)
}

// wholes are what a feature is part of.
func (f Feature) wholes() []whole {
	if f.Single {
		return nil
	}
	list := []whole{{offset: f.Offset}}
	if f.Kin != "" && f.Offset == 0 {
		list = append(list, whole{kin: f.Kin})
	}
	return list
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
