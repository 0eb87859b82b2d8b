package plots

import (
	"fmt"
	"image/color"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// TreeNode is a node of a drawn decision tree. Node 0 is the root.
type TreeNode struct {
	Lines   []string // the first is the question or the class
	Yes, No int      // numbers of the children, larger than the node's own; 0, 0: a leaf
	Share   float64  // of all rows, 0 to 1: the thickness of the line that leads here
	Class   int      // of a leaf: leaves of a class have a colour
}

// Measures of a tree, in points.
const (
	treeFont   = 8.5
	treeLine   = 10.5 // from line to line
	treePad    = 4
	treeRow    = 2*treeLine + 2*treePad + 9 // a box with two lines and the space under it
	treeGap    = 46                         // between columns: room for "yes"
	treeMargin = 6
	treeWide   = 320 // a longer text is cut
	thickest   = 9
)

// DecisionTree draws a tree as it is read: a question's answer yes leads to the right, no leads down.
// So a chain of questions about one value after the other is a list, and a tree of n leaves is n rows
// high, however deep it is. It fails for nodes that make no tree.
func DecisionTree(id, title, note string, nodes []TreeNode) (*Figure, error) {
	rows, err := treeRows(nodes)
	if err != nil {
		return nil, fmt.Errorf("draw %s: %w", id, err)
	}
	style := sans(treeFont, draw.XLeft)
	places := make([]vg.Point, len(nodes)) // left end and middle, from the top left
	var widths []vg.Length                 // of columns
	column := make([]int, len(nodes))
	lines := make([][]string, len(nodes))
	var walk func(node, col, row int)
	walk = func(node, col, row int) {
		if len(widths) == col {
			widths = append(widths, 0)
		}
		n := &nodes[node]
		column[node] = col
		places[node].Y = vg.Points(treeRow*float64(row) + treeRow/2)
		for _, l := range n.Lines {
			l = fit(style, Printable(l), vg.Points(treeWide))
			lines[node] = append(lines[node], l)
			widths[col] = max(widths[col], style.Width(l)+vg.Points(2*treePad))
		}
		if n.Yes != 0 {
			walk(n.Yes, col+1, row)
			walk(n.No, col, row+rows[n.Yes])
		}
	}
	walk(0, 0, 0)
	left := make([]vg.Length, len(widths)+1)
	for i, w := range widths {
		left[i+1] = left[i] + w + vg.Points(treeGap)
	}
	for i := range places {
		places[i].X = left[column[i]]
	}
	f := &Figure{ID: id, Title: title, Note: note}
	f.width = left[len(widths)] - vg.Points(treeGap) + vg.Points(2*treeMargin)
	f.height = vg.Points(treeRow*float64(rows[0]) + 2*treeMargin)
	f.paint = func(c draw.Canvas) {
		for i, n := range nodes { // lines first: boxes lie on them
			if n.Yes == 0 {
				continue
			}
			for _, child := range []int{n.Yes, n.No} {
				edge(c, places[i], places[child], widths[column[i]], nodes[child].Share, child == n.Yes)
			}
		}
		for i, n := range nodes {
			box(c, style, places[i], widths[column[i]], lines[i], boxColour(n))
		}
	}
	return f, nil
}

// treeRows counts the leaves under each node.
func treeRows(nodes []TreeNode) ([]int, error) {
	if len(nodes) == 0 {
		return nil, fmt.Errorf("a tree without nodes")
	}
	rows := make([]int, len(nodes))
	parents := make([]int, len(nodes))
	for i := len(nodes) - 1; i >= 0; i-- {
		n := &nodes[i]
		if n.Yes == 0 && n.No == 0 {
			rows[i] = 1
			continue
		}
		for _, child := range []int{n.Yes, n.No} {
			if child <= i || child >= len(nodes) {
				return nil, fmt.Errorf("node %d of %d has the child %d: children come after their parents", i, len(nodes), child)
			}
			if parents[child]++; parents[child] > 1 {
				return nil, fmt.Errorf("node %d has two parents", child)
			}
			rows[i] += rows[child]
		}
	}
	return rows, nil
}

// sans is a style of the house's letters.
func sans(points float64, align text.XAlignment) text.Style {
	f := font.From(plot.DefaultFont, vg.Points(points))
	f.Variant = "Sans"
	return text.Style{
		Color: color.Gray{Y: 0x18}, Font: f, Handler: plot.DefaultTextHandler, XAlign: align, YAlign: draw.YCenter,
	}
}

// fit cuts a text to a width, at its beginning: a path's end and a question's value say most.
func fit(style text.Style, s string, width vg.Length) string {
	if style.Width(s) <= width {
		return s
	}
	runes := []rune(s)
	for len(runes) > 1 && style.Width("…"+string(runes)) > width {
		runes = runes[1:]
	}
	return "…" + string(runes)
}

// boxColour is pale: text stands on it. Neighbouring classes get hues far apart.
func boxColour(n TreeNode) color.Color {
	if n.Yes != 0 {
		return color.NRGBA{R: 0xee, G: 0xf2, B: 0xf7, A: 0xff}
	}
	_, hue := math.Modf(float64(n.Class) * 0.6180339887)
	channel := func(shift float64) uint8 {
		return uint8(215 + 35*math.Cos(2*math.Pi*(hue-shift)))
	}
	return color.NRGBA{R: channel(0), G: channel(1. / 3), B: channel(2. / 3), A: 0xff}
}

// top turns a place from the top left into one of the canvas.
func top(c draw.Canvas, p vg.Point) vg.Point {
	return vg.Point{X: c.Min.X + p.X, Y: c.Max.Y - p.Y}
}

func box(c draw.Canvas, style text.Style, at vg.Point, width vg.Length, lines []string, fill color.Color) {
	half := vg.Points(float64(len(lines))*treeLine/2 + treePad)
	min, max := top(c, vg.Point{X: at.X, Y: at.Y + half}), top(c, vg.Point{X: at.X + width, Y: at.Y - half})
	corners := []vg.Point{min, {X: max.X, Y: min.Y}, max, {X: min.X, Y: max.Y}}
	c.FillPolygon(fill, corners)
	c.StrokeLines(draw.LineStyle{Color: color.Gray{Y: 0x70}, Width: vg.Points(.6)}, append(corners, min))
	for i, l := range lines {
		y := at.Y + vg.Points((float64(i)-float64(len(lines)-1)/2)*treeLine)
		c.FillText(style, top(c, vg.Point{X: at.X + vg.Points(treePad), Y: y}), l)
	}
}

// edge draws the way from a question to what its answer leads to: yes to the right, no down.
func edge(c draw.Canvas, from, to vg.Point, width vg.Length, share float64, yes bool) {
	line := draw.LineStyle{Color: color.NRGBA{R: 0x80, G: 0x96, B: 0xb0, A: 0xff}, Width: vg.Points(.8 + (thickest-.8)*share)}
	label := sans(7, draw.XLeft)
	if yes {
		c.StrokeLine2(line, c.Min.X+from.X+width, c.Max.Y-from.Y, c.Min.X+to.X, c.Max.Y-to.Y)
		c.FillText(label, top(c, vg.Point{X: from.X + width + vg.Points(16), Y: from.Y - vg.Points(thickest/2+4)}), "yes")
		return
	}
	x := from.X + vg.Points(14)
	a, b := top(c, vg.Point{X: x, Y: from.Y}), top(c, vg.Point{X: x, Y: to.Y})
	c.StrokeLine2(line, a.X, a.Y, b.X, b.Y)
	c.FillText(label, top(c, vg.Point{X: x + vg.Points(thickest/2+3), Y: from.Y + vg.Points(treeRow/2)}), "no")
}
