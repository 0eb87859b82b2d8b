package plots

import (
	"fmt"
	"math"

	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// ClassPoint is one label in Figure 9: its weight and accuracy in the test windows.
type ClassPoint struct {
	Name     string
	Weight   float64 // window positions, mean over trainings
	Accuracy float64 // weighted by weight over trainings
}

// Picked tells whether the paper's rule picks the label: heavy or often wrong.
func (p *PaperClasses) Picked(c ClassPoint) bool {
	return c.Weight > p.RedAboveWeight || c.Accuracy < p.RedBelowAccuracy
}

// ClassAccuracy is the paper's Figure 9: accuracy of every label against its weight, weight on a
// logarithmic axis. Labels that the paper's rule picks are red triangles. The accuracy axis begins
// below the lowest label, where the paper's begins at .95. It fails for no labels, for a weight that
// is not positive and for an accuracy outside 0 to 1.
func ClassAccuracy(points []ClassPoint, p Paper) (*Figure, error) {
	var plain, picked plotter.XYs
	lowest, lightest, heaviest := 1.0, math.Inf(1), 0.0
	for _, c := range points {
		if !(c.Weight > 0 && c.Weight < math.Inf(1) && c.Accuracy >= 0 && c.Accuracy <= 1) {
			return nil, fmt.Errorf("draw class accuracy: label %q has weight %g and accuracy %g", c.Name, c.Weight, c.Accuracy)
		}
		xy := plotter.XY{X: math.Log10(c.Weight), Y: c.Accuracy}
		if p.Classes.Picked(c) {
			picked = append(picked, xy)
		} else {
			plain = append(plain, xy)
		}
		lowest, lightest, heaviest = min(lowest, c.Accuracy), min(lightest, c.Weight), max(heaviest, c.Weight)
	}
	if len(points) == 0 {
		return nil, fmt.Errorf("draw class accuracy: no labels")
	}
	f := newFigure("figure9", "Figure 9: class accuracy against weight", 7*vg.Inch, 4*vg.Inch)
	x, y := &f.plot.X, &f.plot.Y
	x.Label.Text, y.Label.Text = "Weight (number of window positions)", "Accuracy"
	// Not plot.LogScale: it makes room for the axis' label in the wrong place.
	x.Min, x.Max = math.Log10(min(lightest, 1)*0.8), math.Log10(max(heaviest, 10)*1.3)
	x.Tick.Marker = powersOfTen(x.Min, x.Max)
	bottom := min(math.Floor(lowest*20)/20, 0.95)
	margin := (1 - bottom) * 0.04 // so that no point is cut
	y.Min, y.Max = bottom-margin, 1+margin
	y.Tick.Marker = evenTicks(bottom, 1)
	if err := f.add("other labels", plain, blue, draw.CircleGlyph{}); err != nil {
		return nil, err
	}
	name := fmt.Sprintf("weight above %s or accuracy below %.2f", thousands(p.Classes.RedAboveWeight), p.Classes.RedBelowAccuracy)
	if err := f.add(name, picked, red, draw.PyramidGlyph{}); err != nil {
		return nil, err
	}
	return f, nil
}
