package explain

import (
	"fmt"
	"slices"
	"strings"

	"k8ntext/explain/tree"
)

// Condition is what a rule asks of one feature.
type Condition struct {
	Feature string `json:"feature"` // name of the feature
	// Is is the one value that fits; then IsNot, Above and AtMost are empty.
	Is     *string  `json:"is,omitempty"`
	IsNot  []string `json:"is_not,omitempty"`
	Above  *float64 `json:"above,omitempty"`
	AtMost *float64 `json:"at_most,omitempty"`
}

// String is the condition for people: resource@0 = namespaces.
func (c Condition) String() string {
	switch {
	case c.Is != nil:
		return c.Feature + " = " + *c.Is
	case len(c.IsNot) == 1:
		return c.Feature + " ≠ " + c.IsNot[0]
	case len(c.IsNot) > 1:
		return c.Feature + " not in {" + strings.Join(c.IsNot, ", ") + "}"
	case c.Above != nil && c.AtMost != nil:
		return fmt.Sprintf("%g < %s ≤ %g", *c.Above, c.Feature, *c.AtMost)
	case c.Above != nil:
		return fmt.Sprintf("%s > %g", c.Feature, *c.Above)
	case c.AtMost != nil:
		return fmt.Sprintf("%s ≤ %g", c.Feature, *c.AtMost)
	}
	return c.Feature + " is anything"
}

// Rule is the path to a leaf, each feature named once, positive conditions first.
type Rule struct {
	Leaf       int         `json:"leaf"` // number of the node
	Conditions []Condition `json:"conditions"`
	Class      string      `json:"class"`
	Weight     int64       `json:"weight"` // training rows
	Share      float64     `json:"share"`  // of all training rows
	Purity     float64     `json:"purity"` // share of the class among them
}

// String is the rule on one line.
func (r Rule) String() string {
	parts := make([]string, len(r.Conditions))
	for i, c := range r.Conditions {
		parts[i] = c.String()
	}
	if len(parts) == 0 {
		parts = []string{"always"}
	}
	return "if " + strings.Join(parts, " and ") + " then " + r.Class
}

// Rules are the leaves of a tree as rules, those of most training rows first.
func (p *Problem) Rules(t *tree.Tree) []Rule {
	var rules []Rule
	for i := range t.Nodes {
		if t.Nodes[i].Feature == tree.Leaf {
			rules = append(rules, p.rule(t, i))
		}
	}
	slices.SortStableFunc(rules, func(a, b Rule) int { return int(b.Weight - a.Weight) })
	return rules
}

// rule is the path to a node.
func (p *Problem) rule(t *tree.Tree, node int) Rule {
	n := &t.Nodes[node]
	r := Rule{
		Leaf: node, Class: p.Classes[n.Class], Weight: n.Weight,
		Share: float64(n.Weight) / float64(t.Nodes[0].Weight), Purity: n.Purity(),
	}
	at := make(map[int32]int) // place of a feature's condition
	path := t.Path(node)
	for i, step := range path[:len(path)-1] {
		s := &t.Nodes[step]
		c, known := at[s.Feature]
		if !known {
			c = len(r.Conditions)
			at[s.Feature] = c
			r.Conditions = append(r.Conditions, Condition{Feature: p.Features[s.Feature].Name()})
		}
		r.Conditions[c].narrow(s, path[i+1] == int(s.Left), func() string { return p.value(int(s.Feature), int32(s.Threshold)) })
	}
	slices.SortStableFunc(r.Conditions, func(a, b Condition) int { return len(a.IsNot) - len(b.IsNot) })
	return r
}

// narrow adds the answer to a node's question.
func (c *Condition) narrow(n *tree.Node, left bool, value func() string) {
	switch {
	case n.Equal && left:
		v := value()
		c.Is, c.IsNot = &v, nil
	case n.Equal:
		c.IsNot = append(c.IsNot, value())
	case left:
		c.AtMost = &n.Threshold
	default:
		c.Above = &n.Threshold
	}
}

// Question is what a node asks, for people.
func (p *Problem) Question(n *tree.Node) string {
	name := p.Features[n.Feature].Name()
	if n.Equal {
		return name + " = " + p.value(int(n.Feature), int32(n.Threshold))
	}
	return fmt.Sprintf("%s ≤ %g", name, n.Threshold)
}
