package plots

import (
	"fmt"
	"image/color"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// MarginBin counts the events whose label won by a margin from Low to High.
type MarginBin struct {
	Low, High float64
	N, Right  int
}

// Calibration draws how often a label is right by the margin at which it won, and under it how many events
// have such a margin. A margin is no probability, so no diagonal is drawn: what counts is that the
// steps rise. It fails if no bin has events.
func Calibration(id, title, note string, bins []MarginBin) (*Figure, error) {
	most := 0
	for _, b := range bins {
		if b.N < 0 || b.Right < 0 || b.Right > b.N || !(b.Low < b.High) {
			return nil, fmt.Errorf("draw %s: %d of %d right at margins %g to %g", id, b.Right, b.N, b.Low, b.High)
		}
		most = max(most, b.N)
	}
	if most == 0 {
		return nil, fmt.Errorf("draw %s: no events", id)
	}
	const left, above, length, tall, gap, short = 52, 8, 360, 160, 14, 56
	f := &Figure{ID: id, Title: title, Note: note, width: vg.Points(left + length + 20), height: vg.Points(above + tall + gap + short + 44)}
	f.paint = func(c draw.Canvas) {
		at := func(x, y float64) vg.Point { return top(c, vg.Point{X: vg.Points(left + length*x), Y: vg.Points(y)}) }
		grid := draw.LineStyle{Color: color.Gray{Y: 0xcc}, Width: vg.Points(.5), Dashes: []vg.Length{vg.Points(3), vg.Points(3)}}
		for i := range 6 {
			v := float64(i) / 5
			a, b := at(0, above+tall*(1-v)), at(1, above+tall*(1-v))
			c.StrokeLine2(grid, a.X, a.Y, b.X, b.Y)
			c.FillText(sans(9, draw.XRight), at(-.012, above+tall*(1-v)), fmt.Sprintf("%.1f", v))
			c.FillText(sans(9, draw.XCenter), at(v, above+tall+gap+short+9), fmt.Sprintf("%.1f", v))
		}
		bar := func(b MarginBin, from, to float64, fill color.Color) {
			c.FillPolygon(fill, []vg.Point{at(b.Low, from), at(b.High, from), at(b.High, to), at(b.Low, to)})
			c.StrokeLines(draw.LineStyle{Color: color.White, Width: vg.Points(.6)}, []vg.Point{at(b.Low, from), at(b.Low, to), at(b.High, to), at(b.High, from)})
		}
		base := float64(above + tall + gap + short)
		for _, b := range bins {
			if b.N == 0 {
				continue
			}
			share := float64(b.Right) / float64(b.N)
			bar(b, above+tall, above+tall*(1-share), solidBlue)
			bar(b, base, base-short*float64(b.N)/float64(most), grey)
			style := sans(8, draw.XCenter)
			y := above + tall*(1-share) - 5
			if share > .9 {
				y, style.Color = above+tall*(1-share)+7, color.White
			}
			c.FillText(style, at((b.Low+b.High)/2, y), fmt.Sprintf("%.2f", share))
		}
		axis := draw.LineStyle{Color: color.Black, Width: vg.Points(.7)}
		for _, y := range []float64{above + tall, base} {
			a, b := at(0, y), at(1, y)
			c.StrokeLine2(axis, a.X, a.Y, b.X, b.Y)
		}
		c.FillText(sans(10.5, draw.XCenter), at(.5, base+26), "margin between the first and the second label")
		turned := sans(10.5, draw.XCenter)
		turned.Rotation = 1.5707963267948966
		c.FillText(turned, at(-.115, above+tall/2), "share right")
		small := sans(8, draw.XLeft)
		c.FillText(small, at(.01, above+tall+gap+4), "events, most "+thousands(float64(most)))
	}
	return f, nil
}
