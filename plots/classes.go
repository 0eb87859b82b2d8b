package plots

import (
	"fmt"
	"image/color"
	"math"

	"gonum.org/v1/plot"
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

// The reference's palette, told apart also by shape.
var (
	blue = color.NRGBA{R: 0x30, G: 0x70, B: 0xc8, A: 0xff}
	red  = color.NRGBA{R: 0xee, G: 0x66, B: 0x77, A: 0xff}
)

// ClassAccuracy is the paper's Figure 9: accuracy of every label against its weight, weight on a
// logarithmic axis. Labels that the paper's rule picks (heavy or often wrong) are red triangles.
func ClassAccuracy(points []ClassPoint, p Paper) (*plot.Plot, error) {
	var plain, picked plotter.XYs
	lowest, heaviest := 1.0, 10.0
	for _, c := range points {
		if c.Weight <= 0 || math.IsNaN(c.Accuracy) {
			return nil, fmt.Errorf("draw class accuracy: label %q has weight %g and accuracy %g", c.Name, c.Weight, c.Accuracy)
		}
		xy := plotter.XY{X: c.Weight, Y: c.Accuracy}
		if c.Weight > p.Classes.RedAboveWeight || c.Accuracy < p.Classes.RedBelowAccuracy {
			picked = append(picked, xy)
		} else {
			plain = append(plain, xy)
		}
		lowest, heaviest = min(lowest, c.Accuracy), max(heaviest, c.Weight)
	}
	f := newPlot()
	f.X.Label.Text = "Weight (number of window positions)"
	f.Y.Label.Text = "Accuracy"
	f.X.Scale = plot.LogScale{}
	f.X.Tick.Marker = plot.LogTicks{Prec: 0}
	f.X.Min, f.X.Max = 1, math.Pow(10, math.Ceil(math.Log10(heaviest)))
	// The paper's axis starts at .95; ours must not hide what lies below.
	f.Y.Min, f.Y.Max = math.Floor(lowest*20)/20-0.01, 1.01
	if f.Y.Max-f.Y.Min > 0.5 {
		f.Y.Min = -0.03
		f.Y.Max = 1.03
	}
	f.Add(dashedGrid())
	for _, s := range []struct {
		name  string
		xys   plotter.XYs
		color color.Color
		shape draw.GlyphDrawer
	}{
		{"other labels", plain, blue, draw.CircleGlyph{}},
		{fmt.Sprintf("weight above %.0f or accuracy below %.2f", p.Classes.RedAboveWeight, p.Classes.RedBelowAccuracy), picked, red, draw.PyramidGlyph{}},
	} {
		if len(s.xys) == 0 {
			continue
		}
		scatter, err := plotter.NewScatter(s.xys)
		if err != nil {
			return nil, fmt.Errorf("draw class accuracy: %w", err)
		}
		scatter.GlyphStyle = draw.GlyphStyle{Color: s.color, Radius: vg.Points(2.5), Shape: s.shape}
		f.Add(scatter)
		f.Legend.Add(s.name, scatter)
	}
	f.Legend.Left = false
	f.Legend.Top = false
	f.Legend.YOffs = vg.Points(6)
	f.Legend.XOffs = vg.Points(-6)
	return f, nil
}

// newPlot has the house's fonts and no title: captions belong to the page.
func newPlot() *plot.Plot {
	f := plot.New()
	for _, a := range []*plot.Axis{&f.X, &f.Y} {
		a.Label.TextStyle.Font.Size = vg.Points(12)
		a.Tick.Label.Font.Size = vg.Points(11)
		a.Padding = vg.Points(4)
	}
	f.Legend.TextStyle.Font.Size = vg.Points(10)
	return f
}

func dashedGrid() *plotter.Grid {
	g := plotter.NewGrid()
	for _, l := range []*draw.LineStyle{&g.Vertical, &g.Horizontal} {
		l.Color = color.Gray{Y: 0xcc}
		l.Dashes = []vg.Length{vg.Points(3), vg.Points(3)}
		l.Width = vg.Points(0.5)
	}
	return g
}
