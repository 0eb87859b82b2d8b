package plots

import (
	"fmt"
	"image/color"
	"math"

	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// Matrix draws values between 0 and 1 as a table of shaded cells, rows from the top. Cells of NaN stay
// empty. Shades grow with the square root of a value's share of the largest, so that small ones show.
// It fails for no cells and for rows of different lengths.
func Matrix(id, title, note string, rows, columns []string, values [][]float64) (*Figure, error) {
	largest := 0.0
	for i, r := range values {
		if len(values) != len(rows) || len(r) != len(columns) {
			return nil, fmt.Errorf("draw %s: row %d has %d cells for %d columns", id, i, len(r), len(columns))
		}
		for _, v := range r {
			if !math.IsNaN(v) {
				largest = max(largest, v)
			}
		}
	}
	if len(rows) == 0 || len(columns) == 0 {
		return nil, fmt.Errorf("draw %s: no cells", id)
	}
	const cell, height = 17, 15
	name, head := sans(8.5, draw.XRight), sans(7.5, draw.XCenter)
	wide := vg.Length(0)
	names := make([]string, len(rows))
	for i, r := range rows {
		names[i] = fit(name, Printable(r), vg.Points(190))
		wide = max(wide, name.Width(names[i]))
	}
	wide += vg.Points(6)
	f := &Figure{ID: id, Title: title, Note: note}
	f.width = wide + vg.Points(float64(len(columns))*cell+14)
	f.height = vg.Points(float64(len(rows)+1)*height + 14)
	every := 1 + (len(columns)-1)/40 // as many heads as there is room for
	f.paint = func(c draw.Canvas) {
		for j, col := range columns {
			if j%every == 0 {
				c.FillText(head, top(c, vg.Point{X: wide + vg.Points((float64(j)+.5)*cell), Y: vg.Points(height / 2)}), Printable(col))
			}
		}
		for i := range rows {
			y := float64(i+1) * height
			c.FillText(name, top(c, vg.Point{X: wide - vg.Points(6), Y: vg.Points(y + height/2)}), names[i])
			for j, v := range values[i] {
				if math.IsNaN(v) {
					continue
				}
				min := top(c, vg.Point{X: wide + vg.Points(float64(j)*cell), Y: vg.Points(y + height)})
				max := vg.Point{X: min.X + vg.Points(cell-1), Y: min.Y + vg.Points(height-1)}
				c.FillPolygon(shade(v, largest), []vg.Point{min, {X: max.X, Y: min.Y}, max, {X: min.X, Y: max.Y}})
			}
		}
	}
	return f, nil
}

// shade goes from nearly white to the house's blue.
func shade(value, largest float64) color.Color {
	x := 0.0
	if largest > 0 {
		x = math.Sqrt(max(value, 0) / largest)
	}
	mix := func(from, to float64) uint8 { return uint8(from + (to-from)*x) }
	return color.NRGBA{R: mix(0xf2, 0x18), G: mix(0xf4, 0x50), B: mix(0xf7, 0xa8), A: 0xff}
}

// Bar is one bar with its interval; Low = High: none.
type Bar struct {
	Name             string
	Value, Low, High float64
}

// Bars draws horizontal bars of values between 0 and 1, from the top, with numbers. It fails for none
// and for values that are no numbers.
func Bars(id, title, note string, bars []Bar) (*Figure, error) {
	if len(bars) == 0 {
		return nil, fmt.Errorf("draw %s: no bars", id)
	}
	largest := 0.0
	name, number := sans(8.5, draw.XRight), sans(7.5, draw.XLeft)
	wide := vg.Length(0)
	names := make([]string, len(bars))
	for i, b := range bars {
		if !(b.Value >= 0 && b.Value < math.Inf(1)) {
			return nil, fmt.Errorf("draw %s: bar %q has the value %g", id, b.Name, b.Value)
		}
		largest = max(largest, b.Value, b.High)
		names[i] = fit(name, Printable(b.Name), vg.Points(230))
		wide = max(wide, name.Width(names[i]))
	}
	if largest == 0 {
		largest = 1
	}
	wide += vg.Points(8)
	const height, length = 15, 260
	f := &Figure{ID: id, Title: title, Note: note, width: wide + vg.Points(length+110), height: vg.Points(float64(len(bars))*height + 12)}
	f.paint = func(c draw.Canvas) {
		at := func(v float64) vg.Length { return wide + vg.Points(length*v/largest) }
		for i, b := range bars {
			y := vg.Points((float64(i) + .5) * height)
			c.FillText(name, top(c, vg.Point{X: wide - vg.Points(6), Y: y}), names[i])
			bar(c, blue, wide, at(b.Value), y, 5)
			label, end := fmt.Sprintf("%.3f", b.Value), b.Value
			if b.Low != b.High {
				low, high := top(c, vg.Point{X: at(b.Low), Y: y}), top(c, vg.Point{X: at(b.High), Y: y})
				c.StrokeLine2(draw.LineStyle{Color: color.Black, Width: vg.Points(.8)}, low.X, low.Y, high.X, high.Y)
				label, end = fmt.Sprintf("%.3f [%.3f, %.3f]", b.Value, b.Low, b.High), math.Max(b.High, b.Value)
			}
			c.FillText(number, top(c, vg.Point{X: at(end) + vg.Points(4), Y: y}), label)
		}
	}
	return f, nil
}

// Line is one line of a diagram.
type Line struct {
	Name string
	X, Y []float64
}

// Lines draws up to four lines over a logarithmic or plain axis; y goes from 0 to 1. It fails where
// there is no point, and for values that are no numbers or, on a logarithmic axis, not positive.
func Lines(id, title, note, x, y string, logarithmic bool, lines []Line) (*Figure, error) {
	f := newFigure(id, title, 6.4*vg.Inch, 3.4*vg.Inch)
	f.Note = note
	low, high := math.Inf(1), math.Inf(-1)
	shapes := []draw.GlyphDrawer{draw.CircleGlyph{}, draw.PyramidGlyph{}, draw.BoxGlyph{}, draw.CrossGlyph{}}
	colours := []color.Color{blue, red, color.NRGBA{R: 0x2a, G: 0x8a, B: 0x4a, A: 0xff}, color.NRGBA{R: 0x80, G: 0x50, B: 0xa8, A: 0xff}}
	for i, l := range lines {
		var points plotter.XYs
		for j := range l.X {
			v := l.X[j]
			if logarithmic {
				v = math.Log10(v)
			}
			if math.IsNaN(v) || math.IsInf(v, 0) || math.IsNaN(l.Y[j]) {
				return nil, fmt.Errorf("draw %s: line %q has the point %g, %g", id, l.Name, l.X[j], l.Y[j])
			}
			low, high = min(low, v), max(high, v)
			points = append(points, plotter.XY{X: v, Y: l.Y[j]})
		}
		if len(points) == 0 {
			continue
		}
		drawn, err := plotter.NewLine(points)
		if err != nil {
			return nil, fmt.Errorf("draw %s: %w", id, err)
		}
		drawn.Color, drawn.Width = colours[i%len(colours)], vg.Points(1.2)
		f.plot.Add(drawn)
		if err := f.add(l.Name, points, colours[i%len(colours)], shapes[i%len(shapes)]); err != nil {
			return nil, err
		}
	}
	if low > high {
		return nil, fmt.Errorf("draw %s: no points", id)
	}
	f.plot.X.Label.Text, f.plot.Y.Label.Text = x, y
	f.plot.Y.Min, f.plot.Y.Max = -.02, 1.02
	f.plot.Y.Tick.Marker = evenTicks(0, 1)
	margin := max(.03*(high-low), .05)
	f.plot.X.Min, f.plot.X.Max = low-margin, high+margin
	if logarithmic {
		f.plot.X.Tick.Marker = powersOfTen(f.plot.X.Min, f.plot.X.Max)
	}
	return f, nil
}
