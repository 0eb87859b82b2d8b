package plots

import (
	"fmt"
	"image/color"
	"math"

	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// AbstentionCurve is what a method answers as the confidence that it needs rises: at each threshold three
// shares, NaN where one is not defined.
type AbstentionCurve struct {
	Name     string
	Answered []float64 // of the events of seen labels
	Right    []float64 // of those answered
	Unseen   []float64 // of the events of unseen labels: not answered, so recognised
}

// Abstention draws, against the share of seen work that is answered, how much of it is right (lines, filled
// shapes) and how much unseen work is recognised by not being answered (dashes, open shapes). It fails for
// no curves, for more than four, for lists of different lengths and for what is no share.
func Abstention(id, title, note string, curves []AbstentionCurve) (*Figure, error) {
	f := newFigure(id, title, 6.4*vg.Inch, 4.2*vg.Inch)
	f.Note = note
	colours := []color.NRGBA{solidBlue, red, green, purple}
	filled := []draw.GlyphDrawer{draw.CircleGlyph{}, draw.PyramidGlyph{}, draw.BoxGlyph{}, draw.CrossGlyph{}}
	open := []draw.GlyphDrawer{draw.RingGlyph{}, draw.TriangleGlyph{}, draw.SquareGlyph{}, draw.PlusGlyph{}}
	if len(curves) == 0 || len(curves) > len(colours) {
		return nil, fmt.Errorf("draw %s: %d curves: give 1 to %d", id, len(curves), len(colours))
	}
	for i, curve := range curves {
		if len(curve.Right) != len(curve.Answered) || len(curve.Unseen) != len(curve.Answered) {
			return nil, fmt.Errorf("draw %s: %s has %d, %d and %d thresholds", id, curve.Name, len(curve.Answered), len(curve.Right), len(curve.Unseen))
		}
		for _, part := range []struct {
			name   string
			values []float64
			shape  draw.GlyphDrawer
			dashes []vg.Length
		}{
			{"right, of seen work answered", curve.Right, filled[i], nil},
			{"not answered, of unseen work", curve.Unseen, open[i], []vg.Length{vg.Points(4), vg.Points(2)}},
		} {
			var line plotter.XYs
			for j, y := range part.values {
				x := curve.Answered[j]
				if math.IsNaN(x) || math.IsNaN(y) {
					continue
				}
				if x < 0 || x > 1 || y < 0 || y > 1 {
					return nil, fmt.Errorf("draw %s: %s has shares %g and %g", id, curve.Name, x, y)
				}
				line = append(line, plotter.XY{X: x, Y: y})
			}
			if len(line) == 0 {
				continue
			}
			drawn, err := plotter.NewLine(line)
			if err != nil {
				return nil, fmt.Errorf("draw %s: %w", id, err)
			}
			drawn.Color, drawn.Width, drawn.Dashes = colours[i], vg.Points(1.3), part.dashes
			f.plot.Add(drawn)
			if err := f.add(Printable(curve.Name)+": "+part.name, line, colours[i], part.shape); err != nil {
				return nil, err
			}
		}
	}
	a := f.plot
	a.X.Label.Text, a.Y.Label.Text = "share of seen work that is answered", "share"
	a.X.Min, a.X.Max, a.Y.Min, a.Y.Max = -.01, 1.01, -.01, 1.01
	a.X.Tick.Marker, a.Y.Tick.Marker = evenTicks(0, 1), evenTicks(0, 1)
	return f, nil
}
