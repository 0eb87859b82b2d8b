package plots

import (
	"fmt"
	"image/color"
	"math"

	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// Curve is one quantity over the epochs of several trainings.
type Curve struct {
	Name   string
	Values [][]float64 // by training, then by epoch; trainings may differ in length, NaN: not measured
}

// Curves draws quantities by epoch, as the reference draws losses: the mean over the trainings that reached
// the epoch, a band of a standard deviation around it where there are two, and a dashed line at each
// training's last epoch. A logarithmic y axis needs values above 0, the other is for shares, whose bands end at 0 and 1.
// It fails for no values and for values that are not finite.
func Curves(id, title, y, note string, logarithmic bool, curves []Curve) (*Figure, error) {
	f := newFigure(id, title, 6.4*vg.Inch, 3.6*vg.Inch)
	f.Note = note
	colours := []color.NRGBA{solidBlue, {R: 0xc0, G: 0x30, B: 0x48, A: 0xff}, green, purple}
	shapes := []draw.GlyphDrawer{draw.CircleGlyph{}, draw.PyramidGlyph{}, draw.BoxGlyph{}, draw.CrossGlyph{}}
	low, high, epochs := math.Inf(1), math.Inf(-1), 0
	scaled := func(v float64) float64 {
		if logarithmic {
			return math.Log10(v)
		}
		return v
	}
	ends := make(map[int]bool)
	for i, curve := range curves {
		longest := 0
		for _, training := range curve.Values {
			longest = max(longest, len(training))
			if len(training) > 0 {
				ends[len(training)] = true
			}
			for j, v := range training {
				if math.IsInf(v, 0) || logarithmic && v <= 0 || !logarithmic && (v < 0 || v > 1) {
					return nil, fmt.Errorf("draw %s: %s is %g after epoch %d", id, curve.Name, v, j+1)
				}
			}
		}
		var line, upper, lower plotter.XYs
		for epoch := range longest {
			var values []float64
			for _, training := range curve.Values {
				if epoch < len(training) && !math.IsNaN(training[epoch]) {
					values = append(values, training[epoch])
				}
			}
			if len(values) == 0 {
				continue
			}
			x := float64(epoch + 1)
			mean, spread := stat.Mean(values, nil), 0.0
			if len(values) > 1 {
				spread = stat.StdDev(values, nil)
			}
			bottom, top := mean-spread, mean+spread
			if logarithmic {
				bottom = max(bottom, mean/10) // a band must not reach 0, which is endless on this axis
			} else {
				bottom, top = max(bottom, 0), min(top, 1)
			}
			line = append(line, plotter.XY{X: x, Y: scaled(mean)})
			upper = append(upper, plotter.XY{X: x, Y: scaled(top)})
			lower = append(lower, plotter.XY{X: x, Y: scaled(bottom)})
			low, high = min(low, scaled(bottom)), max(high, scaled(top))
		}
		if len(line) == 0 {
			continue
		}
		epochs = max(epochs, longest)
		for j := len(lower) - 1; j >= 0; j-- {
			upper = append(upper, lower[j])
		}
		if band, err := plotter.NewPolygon(upper); err == nil && len(line) > 1 {
			band.LineStyle.Width = 0
			pale := colours[i%len(colours)]
			pale.A = 0x30
			band.Color = pale
			f.plot.Add(band)
		}
		drawn, err := plotter.NewLine(line)
		if err != nil {
			return nil, fmt.Errorf("draw %s: %w", id, err)
		}
		drawn.Color, drawn.Width = colours[i%len(colours)], vg.Points(1.3)
		f.plot.Add(drawn)
		if err := f.add(curve.Name, line, colours[i%len(colours)], shapes[i%len(shapes)]); err != nil {
			return nil, err
		}
	}
	if low > high {
		return nil, fmt.Errorf("draw %s: no values", id)
	}
	margin := max((high-low)*.06, .005)
	a := f.plot
	a.Y.Min, a.Y.Max = low-margin, high+margin
	if !logarithmic {
		a.Y.Min = max(a.Y.Min, 0)
	}
	for end := range epochs {
		if !ends[end+1] {
			continue
		}
		mark, err := plotter.NewLine(plotter.XYs{{X: float64(end + 1), Y: a.Y.Min}, {X: float64(end + 1), Y: a.Y.Max}})
		if err != nil {
			return nil, fmt.Errorf("draw %s: %w", id, err)
		}
		mark.Color, mark.Width, mark.Dashes = color.Gray{Y: 0x80}, vg.Points(.7), []vg.Length{vg.Points(2), vg.Points(2)}
		a.Add(mark)
	}
	a.X.Label.Text, a.Y.Label.Text = "epoch", y
	a.X.Min, a.X.Max = .7, float64(epochs)+.3
	if epochs > 3 {
		a.X.Tick.Marker = evenTicks(1, float64(epochs))
	}
	if logarithmic {
		a.Y.Tick.Marker = logTicks(a.Y.Min, a.Y.Max)
	} else {
		a.Y.Tick.Marker = evenTicks(a.Y.Min, a.Y.Max)
	}
	return f, nil
}
