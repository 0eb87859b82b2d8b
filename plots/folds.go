package plots

import (
	"fmt"
	"image/color"
	"math"
	"slices"
	"strconv"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// FoldRow is the accuracy of every fold of one K, in the order of time.
type FoldRow struct {
	Accuracy []float64 // NaN: not measured
}

// FoldScale is how a figure of folds is coloured.
type FoldScale int

// The two scales of the paper's Figure 8.
const (
	// FoldsRelative goes from white at the lowest value of the figure to blue at the highest: the one that
	// the paper prints.
	FoldsRelative FoldScale = iota
	// FoldsAbsolute goes from red at .5 and below over pale orange at .8 to blue at 1.
	FoldsAbsolute
)

// Folds is the paper's Figure 8: a bar for each K, the smallest at the bottom, cut into K equal parts that
// are the folds in the order of time, each with its accuracy. It fails for no rows and for values that
// are no shares.
func Folds(id, title, note string, rows []FoldRow, by FoldScale) (*Figure, error) {
	rows = slices.DeleteFunc(slices.Clone(rows), func(r FoldRow) bool { return len(r.Accuracy) == 0 })
	low, high := math.Inf(1), math.Inf(-1)
	most := 0
	for _, r := range rows {
		most = max(most, len(r.Accuracy))
		for i, v := range r.Accuracy {
			if math.IsNaN(v) {
				continue
			}
			if !(v >= 0 && v <= 1) {
				return nil, fmt.Errorf("draw %s: fold %d of %d has the accuracy %g", id, i+1, len(r.Accuracy), v)
			}
			low, high = min(low, v), max(high, v)
		}
	}
	if low > high {
		return nil, fmt.Errorf("draw %s: no folds", id)
	}
	slices.SortStableFunc(rows, func(a, b FoldRow) int { return len(b.Accuracy) - len(a.Accuracy) })
	scale := ramp([]float64{0, .5, .8, 1}, []color.NRGBA{{R: 0xcc, G: 0x33, B: 0x3f, A: 0xff}, {R: 0xcc, G: 0x33, B: 0x3f, A: 0xff}, {R: 0xff, G: 0xcc, B: 0x88, A: 0xff}, solidBlue})
	from, to := 0.0, 1.0
	if by == FoldsRelative {
		scale, from, to = whiteToBlue(), low, high
		if from == to {
			from -= .01
		}
	}
	const left, above, pitch, length, height = 42, 6, 24, 520, 24 * .7
	size := 9.0
	if most > 12 {
		size = 7
	}
	total := pitch * float64(len(rows))
	f := &Figure{ID: id, Title: title, Note: note, width: vg.Points(left + length + 78), height: vg.Points(above + max(total, 60) + 44)}
	f.paint = func(c draw.Canvas) {
		at := func(x, y float64) vg.Point { return top(c, vg.Point{X: vg.Points(x), Y: vg.Points(y)}) }
		for i, r := range rows {
			y := above + pitch*float64(i) + (pitch-height)/2
			k := len(r.Accuracy)
			w := length / float64(k)
			c.FillText(sans(10, draw.XRight), at(left-6, y+height/2), strconv.Itoa(k))
			for j, v := range r.Accuracy {
				x := left + w*float64(j)
				corners := []vg.Point{at(x+.6, y), at(x+w-.6, y), at(x+w-.6, y+height), at(x+.6, y+height)}
				if math.IsNaN(v) {
					c.StrokeLines(draw.LineStyle{Color: grey, Width: vg.Points(.6), Dashes: []vg.Length{vg.Points(2), vg.Points(2)}}, append(corners, corners[0]))
					continue
				}
				fill := scale((v - from) / (to - from))
				c.FillPolygon(fill, corners)
				c.StrokeLines(draw.LineStyle{Color: grey, Width: vg.Points(.3)}, append(corners, corners[0]))
				style := sans(size, draw.XCenter)
				style.Color = readableOn(fill)
				c.FillText(style, at(x+w/2, y+height/2), fmt.Sprintf("%.2f", v))
			}
		}
		axis := draw.LineStyle{Color: color.Black, Width: vg.Points(.7)}
		a, b := at(left, above+total+2), at(left+length, above+total+2)
		c.StrokeLine2(axis, a.X, a.Y, b.X, b.Y)
		for i := range 6 {
			v := float64(i) / 5
			c.FillText(sans(9, draw.XCenter), at(left+length*v, above+total+11), fmt.Sprintf("%.1f", v))
		}
		c.FillText(sans(10.5, draw.XCenter), at(left+length/2, above+total+28), "place in the log, first event to last")
		turned := sans(10.5, draw.XCenter)
		turned.Rotation = math.Pi / 2
		c.FillText(turned, at(10, above+total/2), "K")
		scaleBar(c, left+length+14, above, 12, max(total, 60), from, to, scale, "")
	}
	return f, nil
}
