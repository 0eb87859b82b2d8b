package page

import (
	"fmt"

	"k8ntext/explain"
	"k8ntext/plots"
)

// How much of a list a figure shows.
const (
	nodesShown    = 8
	branchesShown = 20
	classesShown  = 20
)

// These figures return nil where there is nothing to draw.

// nodesByClass draws which classes the best questions part.
func nodesByClass(r *explain.Report) (*plots.Figure, error) {
	var stacks []plots.Stack
	for _, n := range r.Nodes[:min(nodesShown, len(r.Nodes))] {
		for _, side := range []struct {
			answer string
			share  float64
			of     func(explain.ClassSides) int64
		}{
			{"yes", n.Left, func(c explain.ClassSides) int64 { return c.Left }},
			{"no", n.Right, func(c explain.ClassSides) int64 { return c.Right }},
		} {
			total := int64(0)
			for _, c := range n.Classes {
				total += side.of(c)
			}
			s := plots.Stack{Name: n.Question + ": " + side.answer}
			for _, c := range n.Classes {
				s.Parts = append(s.Parts, plots.Part{Class: c.Class, Value: n.Rows * float64(side.of(c)) / float64(max(n.Weight, 1))})
			}
			s.Parts = append(s.Parts, plots.Part{Value: max(side.share-n.Rows*float64(total)/float64(max(n.Weight, 1)), 0)})
			stacks = append(stacks, s)
		}
	}
	if stacks == nil {
		return nil, nil
	}
	return plots.Stacks("nodes-classes", "Top nodes by class", "share of the training rows on each side of a question; nodes of largest gain", stacks)
}

// histograms draws the values of what the best questions ask for.
func histograms(r *explain.Report) (*plots.Figure, error) {
	var list []plots.Histogram
	for _, n := range r.Nodes[:min(nodesShown, len(r.Nodes))] {
		h := plots.Histogram{Title: fmt.Sprintf("%s (node %d, depth %d, %.1f %% of the rows)", n.Question, n.Node, n.Depth, 100*n.Rows)}
		for _, v := range n.Values {
			h.Bins = append(h.Bins, plots.Bin{Name: v.Value, All: v.All, Here: v.Here})
		}
		list = append(list, h)
	}
	if list == nil {
		return nil, nil
	}
	return plots.Histograms("histograms", "Values of the features that the top nodes ask for", "grey: of all training rows; blue: of those that come to the node", list)
}

// branches draws how many rows the largest branches hold together.
func branches(r *explain.Report) (*plots.Figure, error) {
	trained, unseen, agreed := plots.Line{Name: "training rows"}, plots.Line{Name: "unseen rows"}, plots.Line{Name: "unseen rows on which network and tree agree"}
	var t, u, a float64
	for i, l := range r.Leaves {
		x := float64(i + 1)
		t += l.Share
		u += float64(l.Unseen) / float64(r.Report)
		a += l.Fidelity.Value * float64(l.Unseen) / float64(r.Report)
		trained.X, trained.Y = append(trained.X, x), append(trained.Y, t)
		unseen.X, unseen.Y = append(unseen.X, x), append(unseen.Y, u)
		agreed.X, agreed.Y = append(agreed.X, x), append(agreed.Y, a)
	}
	return plots.Lines("branches", "Rows by number of branches", "branches of most training rows first; shares add up", "branches", "share of the rows", true, []plots.Line{trained, unseen, agreed})
}

// branchesByClass draws what comes to the largest branches.
func branchesByClass(r *explain.Report) (*plots.Figure, error) {
	var stacks []plots.Stack
	for i, l := range r.Leaves[:min(branchesShown, len(r.Leaves))] {
		s := plots.Stack{Name: fmt.Sprintf("%d. %s", i+1, l.Class)}
		left := l.Share
		for _, c := range l.Classes {
			s.Parts = append(s.Parts, plots.Part{Class: c.Class, Value: c.Share})
			left -= c.Share
		}
		stacks = append(stacks, plots.Stack{Name: s.Name, Parts: append(s.Parts, plots.Part{Value: max(left, 0)})})
	}
	return plots.Stacks("branches-classes", "Top branches by class", "share of the training rows; a branch is called by the class that the tree gives there, numbers are those of the rules", stacks)
}

// removals draws how faithful a tree is without the most used features.
func removals(r *explain.Report) (*plots.Figure, error) {
	if len(r.Removals) == 0 {
		return nil, nil
	}
	bar := func(name string, f explain.Fidelity) plots.Bar {
		return plots.Bar{Name: name, Value: f.Agreement.Value, Low: f.Agreement.Low, High: f.Agreement.High}
	}
	bars := []plots.Bar{bar("all features", r.Tree.Fidelity)}
	for _, x := range r.Removals {
		bars = append(bars, bar("and without "+x.Features[len(x.Features)-1], x.Fidelity))
	}
	return plots.Bars("removals", "Fidelity without the most used features", fmt.Sprintf("one after the other, the tree grown anew each time; %d rows that no tree was grown or chosen on", r.Report), bars)
}

// iterations draws the trees that both modes chose from.
func iterations(r *explain.Report) (*plots.Figure, error) {
	lines := []plots.Line{{Name: "honest: fidelity on unseen rows"}, {Name: "honest: agreement with the others"}}
	add := func(l *plots.Line, i int, y float64) { l.X, l.Y = append(l.X, float64(i+1)), append(l.Y, y) }
	for i, t := range r.Stability.Trees {
		add(&lines[0], i, t.Teacher)
		add(&lines[1], i, t.Select)
	}
	if r.Trustee != nil {
		lines = append(lines, plots.Line{Name: "trustee: reward (leaks)"}, plots.Line{Name: "trustee: agreement, its own included"})
		for i, s := range r.Trustee.Students {
			add(&lines[2], i, s.Reward)
			add(&lines[3], i, s.Agreement)
		}
	}
	return plots.Lines("iterations", "Agreement and fidelity by candidate and by outer iteration", "honest: 1 is the tree of all training rows, the others are of resampled groups", "tree", "share, or macro F1 of trustee", false, lines)
}

// classStability draws how faithful each candidate is to each class.
func classStability(r *explain.Report) (*plots.Figure, error) {
	var rows, columns []string
	var values [][]float64
	for _, c := range r.Stability.Classes[:min(classesShown, len(r.Stability.Classes))] {
		rows, values = append(rows, fmt.Sprintf("%s (%d)", c.Class, c.Rows)), append(values, c.Trees)
	}
	if len(rows) == 0 {
		return nil, nil
	}
	for i := range r.Stability.Trees {
		columns = append(columns, fmt.Sprint(i+1))
	}
	return plots.Matrix("stability-classes", "Fidelity of the candidates by class", "share of a class's unseen rows to which a candidate gives it too; in brackets how many", rows, columns, values)
}
