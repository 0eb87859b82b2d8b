package plots

import (
	"fmt"
	"image/color"
	"math"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// Effect is the difference that one setting makes.
type Effect struct {
	Name            string
	Mean, Low, High float64 // Low = High: no interval
	N               int     // pairs
	Verdict         string  // in a word or two
	Beyond          bool    // noise: drawn filled
}

// Effects draws differences with their intervals around zero, from the top. noise, where above 0, is
// drawn as a band: how far apart two trainings of one setting usually lie. It fails for no effects and for
// values that are not finite.
func Effects(id, title, axis, note string, effects []Effect, noise float64) (*Figure, error) {
	if len(effects) == 0 {
		return nil, fmt.Errorf("draw %s: no effects", id)
	}
	name := sans(9, draw.XRight)
	wide, reach := vg.Length(0), noise*1.15
	names := make([]string, len(effects))
	for i, e := range effects {
		for _, v := range []float64{e.Mean, e.Low, e.High} {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return nil, fmt.Errorf("draw %s: effect %q is %g from %g to %g", id, e.Name, e.Mean, e.Low, e.High)
			}
			reach = max(reach, math.Abs(v)*1.05)
		}
		names[i] = fit(name, Printable(e.Name), vg.Points(230))
		wide = max(wide, name.Width(names[i]))
	}
	if reach == 0 {
		reach = 1
	}
	wide += vg.Points(10)
	const height, length = 15, 300
	f := &Figure{ID: id, Title: title, Note: note, width: wide + vg.Points(length+150), height: vg.Points(float64(len(effects))*height + 46)}
	f.paint = func(c draw.Canvas) {
		at := func(v float64) vg.Length { return wide + vg.Points(length*(v+reach)/(2*reach)) }
		bottom := vg.Points(float64(len(effects))*height + 4)
		if noise > 0 {
			min, max := top(c, vg.Point{X: at(-noise), Y: bottom}), top(c, vg.Point{X: at(noise), Y: 0})
			c.FillPolygon(color.NRGBA{R: 0xec, G: 0xec, B: 0xec, A: 0xff}, []vg.Point{min, {X: max.X, Y: min.Y}, max, {X: min.X, Y: max.Y}})
		}
		grid := draw.LineStyle{Color: color.Gray{Y: 0xcc}, Width: vg.Points(.5), Dashes: []vg.Length{vg.Points(3), vg.Points(3)}}
		for _, t := range evenTicks(-reach, reach) {
			if t.Value == 0 {
				t.Label = "0"
			}
			line := grid
			if t.Value == 0 {
				line = draw.LineStyle{Color: color.Black, Width: vg.Points(.8)}
			}
			a, b := top(c, vg.Point{X: at(t.Value), Y: 0}), top(c, vg.Point{X: at(t.Value), Y: bottom})
			c.StrokeLine2(line, a.X, a.Y, b.X, b.Y)
			c.FillText(sans(8.5, draw.XCenter), top(c, vg.Point{X: at(t.Value), Y: bottom + vg.Points(9)}), t.Label)
		}
		for i, e := range effects {
			y := vg.Points((float64(i)+.5)*height + 2)
			c.FillText(name, top(c, vg.Point{X: wide - vg.Points(6), Y: y}), names[i])
			colour := color.NRGBA{R: 0x70, G: 0x70, B: 0x70, A: 0xff}
			var shape draw.GlyphDrawer = draw.RingGlyph{}
			if e.Beyond {
				colour, shape = solidBlue, draw.CircleGlyph{}
			}
			if e.Low < e.High {
				a, b := top(c, vg.Point{X: at(e.Low), Y: y}), top(c, vg.Point{X: at(e.High), Y: y})
				c.StrokeLine2(draw.LineStyle{Color: colour, Width: vg.Points(1.2)}, a.X, a.Y, b.X, b.Y)
			}
			c.DrawGlyphNoClip(draw.GlyphStyle{Color: colour, Radius: vg.Points(2.8), Shape: shape}, top(c, vg.Point{X: at(e.Mean), Y: y}))
			c.FillText(sans(8.5, draw.XLeft), top(c, vg.Point{X: wide + vg.Points(length+8), Y: y}), fmt.Sprintf("%+.4f  n %d  %s", e.Mean, e.N, Printable(e.Verdict)))
		}
		c.FillText(sans(10, draw.XCenter), top(c, vg.Point{X: wide + vg.Points(length/2), Y: bottom + vg.Points(26)}), Printable(axis))
	}
	return f, nil
}
