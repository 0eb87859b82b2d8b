// Package page writes an explanation to a folder: one self-contained page with its figures, the report
// as JSON, the figures by themselves, and the trees in every form.
package page

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"html/template"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"k8ntext/explain"
	"k8ntext/explain/tree"
	"k8ntext/plots"
)

//go:embed explain.html.tmpl
var pageText string

// Write writes everything to dir, which it makes, and returns the paths of the files. The page is
// explain.html.
func Write(dir string, e *explain.Explanation) (paths []string, err error) {
	fail := func(err error) ([]string, error) { return paths, fmt.Errorf("write the explanation: %w", err) }
	figures, err := Figures(e)
	if err != nil {
		return fail(err)
	}
	files := []explain.File{
		{Name: "explain.html", Write: func(w io.Writer) error { return HTML(w, e, figures) }},
		{Name: "report.json", Write: e.Report.WriteJSON},
	}
	for _, f := range figures {
		for _, format := range plots.Formats() {
			files = append(files, explain.File{Name: filepath.Join("figures", f.ID+"."+format), Write: func(w io.Writer) error { return f.Write(w, format) }})
		}
	}
	for _, mode := range []string{"honest", "trustee"} {
		for _, f := range e.Files(mode) {
			files = append(files, explain.File{Name: filepath.Join(mode, f.Name), Write: f.Write})
		}
	}
	for _, f := range files {
		path := filepath.Join(dir, f.Name)
		if err := writeFile(path, f.Write); err != nil {
			return fail(err)
		}
		paths = append(paths, path)
	}
	return paths, nil
}

func writeFile(path string, write func(io.Writer) error) (err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return write(f)
}

// readable is how many leaves a drawing shows: of a larger tree the best ones first.
const readable = 30

// Figures draws an explanation.
func Figures(e *explain.Explanation) ([]*plots.Figure, error) {
	var figures []*plots.Figure
	var failed error
	add := func(f *plots.Figure, err error) {
		if err != nil {
			failed = errors.Join(failed, err)
			return
		}
		figures = append(figures, f)
	}
	r := e.Report
	unseen := fmt.Sprintf("%d rows that the tree was neither grown nor chosen on", r.Report)

	shown := e.Honest.Tree.MaxLeaves(readable)
	note := fmt.Sprintf("%d leaves; the thickness of a line is the share of the training rows", shown.Leaves())
	if all := e.Honest.Tree.Leaves(); all > shown.Leaves() {
		note = fmt.Sprintf("the %d leaves that growing best first makes first, of %d; the thickness of a line is the share of the training rows", shown.Leaves(), all)
	}
	add(plots.DecisionTree("tree", "The explanation", note, drawn(e.Problem, shown)))
	if e.Trustee != nil {
		cut := e.Trustee.Pruned.MaxLeaves(readable)
		add(plots.DecisionTree("tree-trustee", "The explanation of mode trustee", fmt.Sprintf("%d leaves of %d", cut.Leaves(), e.Trustee.Pruned.Leaves()), drawn(e.Problem, cut)))
	}

	for _, by := range []struct {
		id, title, axis string
		of              func(explain.Pruned) int
		logarithmic     bool
	}{
		{"prunings", "Agreement by size, for the ways to prune", "leaves", func(t explain.Pruned) int { return t.Leaves }, true},
		{"prunings-depth", "Agreement by depth, for the ways to prune", "depth", func(t explain.Pruned) int { return t.Depth }, false},
	} {
		var lines []plots.Line
		for _, p := range r.Prunings {
			l := plots.Line{Name: p.Method}
			for _, t := range p.Trees {
				l.X, l.Y = append(l.X, float64(by.of(t))), append(l.Y, t.Agreement)
			}
			lines = append(lines, leftToRight(l))
		}
		add(plots.Lines(by.id, by.title, fmt.Sprintf("on the %d selecting rows", r.Select), by.axis, "agreement with the teacher", by.logarithmic, lines))
	}
	for _, draw := range []func(*explain.Report) (*plots.Figure, error){nodesByClass, histograms, branches, branchesByClass, removals, iterations, classStability} {
		if f, err := draw(r); f != nil || err != nil {
			add(f, err)
		}
	}

	if len(r.Reaches) > 1 {
		l := plots.Line{Name: "tree that sees only events so near"}
		for _, x := range r.Reaches {
			l.X, l.Y = append(l.X, float64(x.Events)), append(l.Y, x.Fidelity.Agreement.Value)
		}
		add(plots.Lines("reach", "Fidelity against window length", unseen, "events on each side", "agreement with the teacher", false, []plots.Line{l}))
	}
	if len(r.Importance) > 0 {
		add(heat(r.Importance))
	}
	if len(r.Top) > 0 {
		var bars []plots.Bar
		for _, u := range r.Top[:min(20, len(r.Top))] {
			bars = append(bars, plots.Bar{Name: u.Feature, Value: u.Gain})
		}
		add(plots.Bars("features", "Top features", "share of the impurity that the tree takes away", bars))
	}
	for _, kind := range []struct {
		id, title string
		offsets   bool
	}{{"permuted-fields", "Fields exchanged between rows", false}, {"permuted-offsets", "Events exchanged between rows", true}} {
		var bars []plots.Bar
		for _, x := range r.Permuted {
			if strings.HasPrefix(x.What, "@") == kind.offsets && len(bars) < 25 {
				bars = append(bars, plots.Bar{Name: x.What, Value: x.Teacher.Value, Low: x.Teacher.Low, High: x.Teacher.High})
			}
		}
		if len(bars) > 0 {
			add(plots.Bars(kind.id, kind.title, "share of rows to which the teacher, asked again, gives another class", bars))
		}
	}
	if n := len(r.Stability.Pairs); n > 1 {
		var names []string
		for i := range n {
			names = append(names, fmt.Sprint(i+1))
		}
		add(plots.Matrix("stability", "Agreement of the candidates", unseen+"; the first was grown on all training rows, the others on resampled groups", names, names, r.Stability.Pairs))
	}
	var rows []plots.Line
	nodes, leaves := plots.Line{Name: "share of training rows that come so far"}, plots.Line{Name: "share of the leaves"}
	for _, l := range r.Levels {
		nodes.X, leaves.X = append(nodes.X, float64(l.Depth)), append(leaves.X, float64(l.Depth))
		nodes.Y = append(nodes.Y, float64(l.Rows)/float64(r.Levels[0].Rows))
		leaves.Y = append(leaves.Y, float64(l.Leaves)/float64(r.Tree.Leaves))
	}
	rows = append(rows, nodes, leaves)
	add(plots.Lines("levels", "Rows and leaves by level", "", "depth", "share", false, rows))
	return figures, failed
}

// leftToRight orders a line's points.
func leftToRight(l plots.Line) plots.Line {
	order := make([]int, len(l.X))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return int(l.X[a] - l.X[b]) })
	sorted := plots.Line{Name: l.Name}
	for _, i := range order {
		sorted.X, sorted.Y = append(sorted.X, l.X[i]), append(sorted.Y, l.Y[i])
	}
	return sorted
}

// drawn is a tree for the drawing.
func drawn(p *explain.Problem, t *tree.Tree) []plots.TreeNode {
	nodes := make([]plots.TreeNode, len(t.Nodes))
	total := float64(t.Nodes[0].Weight)
	for i := range t.Nodes {
		n := &t.Nodes[i]
		share := float64(n.Weight) / total
		rows := fmt.Sprintf("%d rows (%.1f %%)", n.Weight, 100*share)
		if n.Feature == tree.Leaf {
			nodes[i] = plots.TreeNode{Lines: []string{p.Classes[n.Class], fmt.Sprintf("%s, %.0f %% pure", rows, 100*n.Purity())}, Share: share, Class: int(n.Class)}
			continue
		}
		nodes[i] = plots.TreeNode{Lines: []string{p.Question(n), fmt.Sprintf("%s, gini %.2f", rows, n.Gini)}, Yes: int(n.Left), No: int(n.Right), Share: share}
	}
	return nodes
}

// heatFields is how many fields the heat map shows, those of largest gain.
const heatFields = 25

// heat draws importance, offset by field.
func heat(cells []explain.Cell) (*plots.Figure, error) {
	sums := make(map[string]float64)
	low, high := 0, 0
	for _, c := range cells {
		sums[c.Field] += c.Gain
		low, high = min(low, c.Offset), max(high, c.Offset)
	}
	var fields []string
	for f := range sums {
		fields = append(fields, f)
	}
	slices.SortFunc(fields, func(a, b string) int {
		if sums[a] != sums[b] {
			if sums[a] > sums[b] {
				return -1
			}
			return 1
		}
		return strings.Compare(a, b)
	})
	fields = fields[:min(heatFields, len(fields))]
	var columns []string
	for o := low; o <= high; o++ {
		columns = append(columns, fmt.Sprint(o))
	}
	values := make([][]float64, len(fields))
	for i := range values {
		values[i] = make([]float64, len(columns))
		for j := range values[i] {
			values[i][j] = math.NaN()
		}
	}
	for _, c := range cells {
		if i := slices.Index(fields, c.Field); i >= 0 {
			values[i][c.Offset-low] = c.Gain
		}
	}
	return plots.Matrix("importance", "Importance: field by offset", "share of the impurity that the tree takes away; columns are offsets, 0 is the explained event", fields, columns, values)
}

// HTML writes the page.
func HTML(w io.Writer, e *explain.Explanation, figures []*plots.Figure) error {
	svgs := make(map[string]template.HTML)
	notes := make(map[string]string)
	for _, f := range figures {
		var b bytes.Buffer
		if err := f.Write(&b, "svg"); err != nil {
			return err
		}
		_, svg, _ := strings.Cut(b.String(), "<svg") // the XML prologue has no place in a page
		svgs[f.ID], notes[f.ID] = template.HTML("<svg"+svg), f.Note
	}
	page, err := template.New("explain").Funcs(template.FuncMap{
		"clean": plots.Printable,
		"share": func(x float64) string { return fmt.Sprintf("%.3f", x) },
		"interval": func(x explain.Interval) string { // does not break
			return fmt.Sprintf("%.3f\u00a0[%.3f,\u00a0%.3f]", x.Value, x.Low, x.High)
		},
		"figure": func(id string) template.HTML { return svgs[id] },
		"note":   func(id string) string { return notes[id] },
		"join":   strings.Join,
		"first": func(n int, leaves []explain.LeafReport) []explain.LeafReport {
			return leaves[:min(n, len(leaves))]
		},
	}).Parse(pageText)
	if err != nil {
		return fmt.Errorf("read the page's template: %w", err)
	}
	var b bytes.Buffer
	if err := page.Execute(&b, e); err != nil {
		return fmt.Errorf("fill in the page: %w", err)
	}
	_, err = w.Write(b.Bytes())
	return err
}
