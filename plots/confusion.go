package plots

import (
	"cmp"
	"fmt"
	"image/color"
	"math"
	"slices"
	"strconv"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// ConfusionCell counts how often the label with number True was given the label with number Predicted.
type ConfusionCell struct {
	True, Predicted int32
	Count           float64
}

// Confusion draws a confusion matrix: rows are true labels, heaviest at the top, columns predictions in the
// same order, shades the share of the row. top > 0 shows the heaviest labels alone, that share of them (the
// reference shows a fifth); what they are taken for beside each other is then summed in the last column. It
// returns how many labels it shows of how many. It fails for no cells.
func Confusion(id, title, note string, cells []ConfusionCell, name func(int32) string, share float64) (f *Figure, shown, all int, err error) {
	weight := make(map[int32]float64)
	count := make(map[[2]int32]float64)
	for _, c := range cells {
		if !(c.Count >= 0) {
			return nil, 0, 0, fmt.Errorf("draw %s: a cell of %g", id, c.Count)
		}
		weight[c.True] += c.Count
		count[[2]int32{c.True, c.Predicted}] += c.Count
	}
	var labels []int32
	for l, w := range weight {
		if w > 0 {
			labels = append(labels, l)
		}
	}
	all = len(labels)
	if all == 0 {
		return nil, 0, 0, fmt.Errorf("draw %s: no labels", id)
	}
	slices.SortFunc(labels, func(a, b int32) int { return cmp.Or(cmp.Compare(weight[b], weight[a]), cmp.Compare(a, b)) })
	cut := share > 0 && share < 1
	if cut {
		labels = labels[:max(1, int(math.Ceil(share*float64(all))))]
	}
	shown = len(labels)

	// Names need room; a matrix of hundreds of labels has none for them.
	named := shown <= 110
	cell := 9.0
	if !named {
		cell = max(1.2, 560/float64(shown))
	}
	names, style := make([]string, shown), sans(7, draw.XRight)
	left := 30.0
	if named {
		for i, l := range labels {
			names[i] = fit(style, strconv.Itoa(i+1)+"  "+Printable(name(l)), vg.Points(230))
			left = max(left, style.Width(names[i]).Points()+8)
		}
	}
	columns := shown + 1
	width, height := cell*float64(columns), cell*float64(shown)
	const above = 14
	f = &Figure{ID: id, Title: title, Note: note, width: vg.Points(left + width + 64), height: vg.Points(above + height + 34)}
	scale := ramp([]float64{0, 1}, []color.NRGBA{{R: 0xf4, G: 0xf6, B: 0xf9, A: 0xff}, {R: 0x10, G: 0x40, B: 0x90, A: 0xff}})
	wrong := ramp([]float64{0, 1}, []color.NRGBA{{R: 0xfb, G: 0xe3, B: 0xd4, A: 0xff}, {R: 0xb0, G: 0x28, B: 0x20, A: 0xff}})
	f.paint = func(c draw.Canvas) {
		at := func(x, y float64) vg.Point { return top(c, vg.Point{X: vg.Points(x), Y: vg.Points(y)}) }
		gap := .4
		if cell < 4 {
			gap = 0
		}
		rect := func(i, j int, fill color.Color) {
			x, y := left+cell*float64(j), above+cell*float64(i)
			c.FillPolygon(fill, []vg.Point{at(x, y), at(x+cell-gap, y), at(x+cell-gap, y+cell-gap), at(x, y+cell-gap)})
		}
		c.FillPolygon(color.NRGBA{R: 0xf8, G: 0xf9, B: 0xfa, A: 0xff}, []vg.Point{at(left, above), at(left+width, above), at(left+width, above+height), at(left, above+height)})
		for i, t := range labels {
			rest := weight[t]
			for j, p := range labels {
				n := count[[2]int32{t, p}]
				rest -= n
				switch s := n / weight[t]; {
				case n == 0:
				case i == j:
					rect(i, j, scale(s))
				default:
					rect(i, j, wrong(math.Sqrt(s))) // a root, so that rare mistakes show
				}
			}
			if s := rest / weight[t]; s > 1e-9 {
				rect(i, shown, wrong(math.Sqrt(s)))
			}
			if named {
				c.FillText(style, at(left-4, above+cell*(float64(i)+.5)), names[i])
			}
		}
		if named {
			every := 1 + shown/60
			for j := 0; j < shown; j += every {
				c.FillText(sans(5.5, draw.XCenter), at(left+cell*(float64(j)+.5), above-5), strconv.Itoa(j+1))
			}
			c.FillText(sans(5.5, draw.XLeft), at(left+cell*float64(shown)+1, above-5), "other")
		}
		c.StrokeLines(draw.LineStyle{Color: color.Gray{Y: 0xa0}, Width: vg.Points(.5)},
			[]vg.Point{at(left, above), at(left+width, above), at(left+width, above+height), at(left, above+height), at(left, above)})
		c.FillText(sans(8.5, draw.XCenter), at(left+width/2, above+height+12), "given label, in the order of the rows")
		if !named {
			turned := sans(8.5, draw.XCenter)
			turned.Rotation = math.Pi / 2
			c.FillText(turned, at(16, above+height/2), "true label, heaviest first")
		}
		bar := min(height, 120)
		x := left + width + 10
		scaleBar(c, x, above, 9, bar*.45, 0, 1, scale, "right")
		scaleBar(c, x, above+bar*.55, 9, bar*.45, 0, 1, func(v float64) color.NRGBA { return wrong(math.Sqrt(v)) }, "wrong")
	}
	return f, shown, all, nil
}
