package explain

import (
	"bytes"
	"fmt"
	"go/format"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"k8ntext/explain/tree"
)

// WriteRules writes a tree's rules, one a line, those of most training rows first.
func (p *Problem) WriteRules(w io.Writer, t *tree.Tree) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%d rules by the number of training rows; %d rows in all\n", t.Leaves(), t.Nodes[0].Weight)
	for i, r := range p.Rules(t) {
		fmt.Fprintf(&b, "%4d. %6.2f %% of rows, %3.0f %% pure: %s\n", i+1, 100*r.Share, 100*r.Purity, r)
	}
	return written(w, b.Bytes(), "rules")
}

// WriteText writes a tree as nested questions, to a depth; 0: all of it.
func (p *Problem) WriteText(w io.Writer, t *tree.Tree, depth int) error {
	var b bytes.Buffer
	var walk func(node int32, answer string)
	walk = func(node int32, answer string) {
		n := &t.Nodes[node]
		indent := strings.Repeat("|   ", int(n.Depth))
		if answer != "" {
			indent = strings.Repeat("|   ", int(n.Depth)-1) + "|-- " + answer
		}
		switch {
		case n.Feature == tree.Leaf:
			fmt.Fprintf(&b, "%sclass: %s (%d rows, %.0f %% pure)\n", indent, p.Classes[n.Class], n.Weight, 100*n.Purity())
			return
		case depth > 0 && int(n.Depth) >= depth:
			fmt.Fprintf(&b, "%struncated, mostly %s (%d rows)\n", indent, p.Classes[n.Class], n.Weight)
			return
		}
		fmt.Fprintf(&b, "%s%s? (%d rows)\n", indent, p.Question(n), n.Weight)
		walk(n.Left, "yes: ")
		walk(n.Right, "no: ")
	}
	walk(0, "")
	return written(w, b.Bytes(), "tree")
}

// WriteDOT writes a tree in Graphviz' language.
func (p *Problem) WriteDOT(w io.Writer, t *tree.Tree) error {
	var b bytes.Buffer
	b.WriteString("digraph tree {\n  node [shape=box, style=\"rounded,filled\", fontname=\"Helvetica\", fillcolor=\"#eef3f7\"];\n  edge [fontname=\"Helvetica\"];\n")
	for i := range t.Nodes {
		n := &t.Nodes[i]
		rows := fmt.Sprintf("%d rows (%.1f %%)", n.Weight, 100*float64(n.Weight)/float64(t.Nodes[0].Weight))
		if n.Feature == tree.Leaf {
			fmt.Fprintf(&b, "  n%d [label=%s, fillcolor=\"#e6f2e2\"];\n", i, dotText(p.Classes[n.Class], rows, fmt.Sprintf("%.0f %% pure", 100*n.Purity())))
			continue
		}
		fmt.Fprintf(&b, "  n%d [label=%s];\n", i, dotText(p.Question(n), rows, fmt.Sprintf("gini %.2f", n.Gini)))
		fmt.Fprintf(&b, "  n%d -> n%d [label=\"yes\"];\n  n%d -> n%d [label=\"no\"];\n", i, n.Left, i, n.Right)
	}
	b.WriteString("}\n")
	return written(w, b.Bytes(), "DOT")
}

// dotText is lines as a quoted label. Names may hold anything: quotes and backslashes are escaped, what
// does not print is left out.
func dotText(lines ...string) string {
	clean := strings.NewReplacer(`\`, `\\`, `"`, `\"`)
	for i, l := range lines {
		lines[i] = clean.Replace(strings.Map(func(r rune) rune {
			if !strconv.IsPrint(r) {
				return -1
			}
			return r
		}, l))
	}
	return `"` + strings.Join(lines, `\n`) + `"`
}

// NamedNode is a node of a tree that is written for other programs.
type NamedNode struct {
	tree.Node
	Name   string  `json:"name,omitempty"`  // of the feature
	Value  string  `json:"value,omitempty"` // that Threshold stands for, with Equal
	Answer string  `json:"class_name"`
	Purity float64 `json:"purity"`
}

// WriteJSON writes a tree with names beside the numbers.
func (p *Problem) WriteJSON(w io.Writer, t *tree.Tree) error {
	nodes := make([]NamedNode, len(t.Nodes))
	for i, n := range t.Nodes {
		nodes[i] = NamedNode{Node: n, Answer: p.Classes[n.Class], Purity: n.Purity()}
		if n.Feature != tree.Leaf {
			nodes[i].Name = p.Features[n.Feature].Name()
			if n.Equal {
				nodes[i].Value = p.value(int(n.Feature), int32(n.Threshold))
			}
		}
	}
	return writeJSON(w, map[string]any{"explains": p.Name, "nodes": nodes}, "tree")
}

// WriteGo writes a tree as a function of a Go package: from a row of the teacher's input to the name
// of the class.
func (p *Problem) WriteGo(w io.Writer, t *tree.Tree, pkg string) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "// Package %s imitates a classifier by a decision tree.\npackage %s\n\n", pkg, pkg)
	fmt.Fprintf(&b, "// Class is the class of a row of %d features: a tree of %d leaves.\nfunc Class(row []int32) string {\n", len(p.Features), t.Leaves())
	var walk func(node int32)
	walk = func(node int32) {
		n := &t.Nodes[node]
		if n.Feature == tree.Leaf {
			fmt.Fprintf(&b, "return %q\n", p.Classes[n.Class])
			return
		}
		question := fmt.Sprintf("row[%d] == %d", n.Feature, int32(n.Threshold))
		if !n.Equal {
			// Halfway between two whole numbers, or one of them.
			question = fmt.Sprintf("float64(row[%d]) <= %g", n.Feature, n.Threshold)
		}
		fmt.Fprintf(&b, "if %s { // %s\n", question, strings.Map(func(r rune) rune {
			if !strconv.IsPrint(r) {
				return '?'
			}
			return r
		}, p.Question(n)))
		walk(n.Left)
		b.WriteString("}\n")
		walk(n.Right)
	}
	walk(0)
	b.WriteString("}\n")
	code, err := format.Source(b.Bytes())
	if err != nil {
		return fmt.Errorf("write the tree as Go: %w", err)
	}
	return written(w, code, "Go")
}

// WriteJSON writes the report as JSON.
func (r *Report) WriteJSON(w io.Writer) error { return writeJSON(w, r, "report") }

func writeJSON(w io.Writer, v any, what string) error {
	text, err := json.Marshal(v, json.Deterministic(true), jsontext.WithIndent(" "))
	if err != nil {
		return fmt.Errorf("write the %s as JSON: %w", what, err)
	}
	return written(w, append(text, '\n'), what)
}

func written(w io.Writer, text []byte, what string) error {
	if _, err := w.Write(text); err != nil {
		return fmt.Errorf("write the %s: %w", what, err)
	}
	return nil
}

// textDepth is how deep the reference prints a tree.
const textDepth = 10

// Classification is scikit-learn's classification report, as the reference writes it.
type Classification struct {
	Accuracy float64           `json:"accuracy"`
	Macro    Scores            `json:"macro avg"`
	Weighted Scores            `json:"weighted avg"`
	Classes  map[string]Scores `json:"classes"`
}

// Scores are those of one class, or a mean.
type Scores struct {
	Precision float64 `json:"precision"` // 0 where nothing was predicted
	Recall    float64 `json:"recall"`    // 0 where nothing was to be found
	F1        float64 `json:"f1-score"`
	Support   int     `json:"support"`
}

// classification compares answers with what is right.
func (p *Problem) classification(want, got []int32) Classification {
	type tally struct{ both, want, got int }
	classes := make(map[int32]*tally)
	of := func(c int32) *tally {
		if classes[c] == nil {
			classes[c] = &tally{}
		}
		return classes[c]
	}
	for i := range want {
		of(want[i]).want++
		of(got[i]).got++
		if want[i] == got[i] {
			of(want[i]).both++
		}
	}
	c := Classification{Accuracy: agreement(want, got), Classes: make(map[string]Scores)}
	var order []int32
	for k := range classes {
		order = append(order, k)
	}
	slices.Sort(order)
	for _, k := range order {
		t := classes[k]
		s := Scores{ratio(t.both, t.got), ratio(t.both, t.want), 2 * float64(t.both) / float64(t.want+t.got), t.want}
		c.Classes[p.Classes[k]] = s
		for mean, share := range map[*Scores]float64{&c.Macro: 1 / float64(len(order)), &c.Weighted: ratio(t.want, len(want))} {
			mean.Precision += share * s.Precision
			mean.Recall += share * s.Recall
			mean.F1 += share * s.F1
			mean.Support += t.want
		}
	}
	return c
}

// reference is what the reference writes about an explanation.
type reference struct {
	Agreement   float64         `json:"agreement"`
	Reward      float64         `json:"reward"`
	Fidelity    Classification  `json:"fidelity_report"`              // tree against teacher
	Explanation *Classification `json:"explanation_report,omitempty"` // tree against truth
	Features    []string        `json:"feature_names"`                // that the tree asks for
	Summary     string          `json:"summary"`
}

// File is a file of an explanation.
type File struct {
	Name  string
	Write func(w io.Writer) error
}

// Files are the reference's four files, for the pruned tree and, with "full" in their names, for the
// one before pruning, of mode honest or trustee; and the tree as rules, JSON and Go code.
func (e *Explanation) Files(mode string) []File {
	p := e.Problem
	var files []File
	kinds := []struct {
		prefix, name string
		t            *tree.Tree
		agreement    float64
		reward       float64
	}{
		{"", "pruned", e.Honest.Tree, e.Honest.Candidates[e.Honest.Chosen].Agreement, e.Honest.Candidates[e.Honest.Chosen].Teacher},
		{"full_", "full", e.Honest.Full, e.Honest.Candidates[e.Honest.Chosen].Agreement, e.Honest.Candidates[e.Honest.Chosen].Teacher},
	}
	if mode == "trustee" {
		if e.Trustee == nil {
			return nil
		}
		for i, t := range []*tree.Tree{e.Trustee.Pruned, e.Trustee.Full} {
			kinds[i].t, kinds[i].agreement, kinds[i].reward = t, e.Trustee.Agreement, e.Trustee.Reward
		}
	}
	for _, k := range kinds {
		add := func(name string, write func(w io.Writer) error) { files = append(files, File{k.prefix + name, write}) }
		add("trustee_decision_tree.txt", func(w io.Writer) error { return p.WriteText(w, k.t, textDepth) })
		add("trustee_decision_tree.dot", func(w io.Writer) error { return p.WriteDOT(w, k.t) })
		add("trustee_explanation.json", func(w io.Writer) error {
			return writeJSON(w, e.reference(k.t, mode, k.agreement, k.reward), "explanation")
		})
		add("trustee_predictions.json", func(w io.Writer) error { return writeJSON(w, e.predictions(k.t), "predictions") })
		add("rules.txt", func(w io.Writer) error { return p.WriteRules(w, k.t) })
		add("tree.json", func(w io.Writer) error { return p.WriteJSON(w, k.t) })
		add("tree.go.txt", func(w io.Writer) error { return p.WriteGo(w, k.t, "surrogate") })
	}
	return files
}

func (e *Explanation) reference(t *tree.Tree, mode string, agreed, reward float64) reference {
	p, rows := e.Problem, e.Honest.Parts.Report
	got := classesOf(t, p.Table, rows)
	r := reference{
		Agreement: agreed, Reward: reward, Fidelity: p.classification(e.answers, got),
		Summary: fmt.Sprintf("%s, mode %s: %d leaves, depth %d; fidelity %.3f on %d rows that it was not grown or chosen on", p.Name, mode, t.Leaves(), t.Depth(), agreement(e.answers, got), len(rows)),
	}
	used := make(map[int32]bool)
	for _, n := range t.Nodes {
		if n.Feature != tree.Leaf && !used[n.Feature] {
			used[n.Feature] = true
			r.Features = append(r.Features, p.Features[n.Feature].Name())
		}
	}
	if p.Truth != nil {
		var want, given []int32
		for i, row := range rows {
			if p.Truth[row] >= 0 {
				want, given = append(want, p.Truth[row]), append(given, got[i])
			}
		}
		if len(want) > 0 {
			c := p.classification(want, given)
			r.Explanation = &c
		}
	}
	return r
}

// prediction is one reporting row.
type prediction struct {
	Where   string `json:"where"`
	Teacher string `json:"teacher"`
	Tree    string `json:"tree"`
	Truth   string `json:"truth,omitempty"`
}

func (e *Explanation) predictions(t *tree.Tree) []prediction {
	p := e.Problem
	list := make([]prediction, 0, len(e.answers))
	for i, row := range e.Honest.Parts.Report {
		x := prediction{Where: p.where(int(row)), Teacher: p.Classes[e.answers[i]], Tree: p.Classes[t.Class(p.Table, int(row))]}
		if p.Truth != nil && p.Truth[row] >= 0 {
			x.Truth = p.Classes[p.Truth[row]]
		}
		list = append(list, x)
	}
	return list
}
