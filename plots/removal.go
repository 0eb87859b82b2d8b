package plots

import (
	"cmp"
	"fmt"
	"image/color"
	"math"
	"slices"
	"strings"

	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// Removal is what trainings without one feature gave, one value a training.
type Removal struct {
	Feature string
	Values  []float64
}

// FeatureRemoval is the paper's Figure 6: the mean of a metric without each of the five features whose
// removal leaves the highest values and the five whose removal leaves the lowest (blue), with all
// features (red), and the mean of everything but the top five (green), which so holds the bottom five, as
// the paper has it. The lowest stands at the top, as the paper draws it. The axis is the paper's, wider where
// a value needs it. It fails if there are no removals and for values that are no shares.
func FeatureRemoval(id, title, metric, note string, all []float64, removals []Removal, p Paper) (*Figure, error) {
	type row struct {
		name   string
		value  float64
		n      int
		colour color.NRGBA
	}
	var rows []row
	for _, r := range removals {
		if len(r.Values) > 0 {
			rows = append(rows, row{shortFeature(r.Feature), stat.Mean(r.Values, nil), len(r.Values), solidBlue})
		}
	}
	if len(rows) == 0 || len(all) == 0 {
		return nil, fmt.Errorf("draw %s: %d features removed and %d trainings with all: both are needed", id, len(rows), len(all))
	}
	slices.SortStableFunc(rows, func(a, b row) int { return cmp.Compare(b.value, a.value) })
	const shown = 5
	best := min(shown, len(rows))
	rest := rows[best:]
	picked := slices.Clone(rows[:best])
	picked = append(picked, row{"All features", stat.Mean(all, nil), len(all), color.NRGBA{R: 0xee, G: 0x66, B: 0x77, A: 0xff}})
	if len(rest) > 0 {
		sum, n := 0.0, 0
		for _, r := range rest {
			sum += r.value
			n += r.n
		}
		picked = append(picked, row{"Average", sum / float64(len(rest)), n, green})
	}
	picked = append(picked, rest[max(0, len(rest)-shown):]...)
	slices.SortStableFunc(picked, func(a, b row) int { return cmp.Compare(a.value, b.value) })

	low, high := p.Removal.Axis[0], p.Removal.Axis[1]
	for _, r := range picked {
		if !(r.value >= 0 && r.value <= 1) {
			return nil, fmt.Errorf("draw %s: %s has the value %g", id, r.name, r.value)
		}
		low = min(low, math.Floor(r.value*200-.5)/200)
	}
	const height, length = 17, 330
	name, number := sans(9.5, draw.XRight), sans(9, draw.XLeft)
	wide := vg.Length(0)
	for i := range picked {
		picked[i].name = fit(name, Printable(picked[i].name), vg.Points(220))
		wide = max(wide, name.Width(picked[i].name))
	}
	wide += vg.Points(10)
	f := &Figure{ID: id, Title: title, Note: note, width: wide + vg.Points(length+105), height: vg.Points(float64(len(picked))*height + 56)}
	f.paint = func(c draw.Canvas) {
		at := func(v float64) vg.Length { return wide + vg.Points(length*(v-low)/(high-low)) }
		bottom := float64(len(picked))*height + 4
		grid := draw.LineStyle{Color: color.Gray{Y: 0xcc}, Width: vg.Points(.5), Dashes: []vg.Length{vg.Points(3), vg.Points(3)}}
		tick := sans(9, draw.XCenter)
		for _, t := range halfPercents(low, high) {
			a, b := top(c, vg.Point{X: at(t.Value), Y: 0}), top(c, vg.Point{X: at(t.Value), Y: vg.Points(bottom)})
			c.StrokeLine2(grid, a.X, a.Y, b.X, b.Y)
			c.FillText(tick, top(c, vg.Point{X: at(t.Value), Y: vg.Points(bottom + 10)}), t.Label)
		}
		for i, r := range picked {
			y := vg.Points((float64(i)+.5)*height + 2)
			c.FillText(name, top(c, vg.Point{X: wide - vg.Points(6), Y: y}), r.name)
			min, max := top(c, vg.Point{X: wide, Y: y + vg.Points(6)}), top(c, vg.Point{X: at(r.value), Y: y - vg.Points(6)})
			c.FillPolygon(r.colour, []vg.Point{min, {X: max.X, Y: min.Y}, max, {X: min.X, Y: max.Y}})
			c.FillText(number, top(c, vg.Point{X: at(r.value) + vg.Points(4), Y: y}), fmt.Sprintf("%.4f  n %d", r.value, r.n))
		}
		a, b := top(c, vg.Point{X: wide, Y: vg.Points(bottom)}), top(c, vg.Point{X: wide + vg.Points(length), Y: vg.Points(bottom)})
		axis := draw.LineStyle{Color: color.Black, Width: vg.Points(.7)}
		c.StrokeLine2(axis, a.X, a.Y, b.X, b.Y)
		c.FillText(sans(10, draw.XCenter), top(c, vg.Point{X: wide + vg.Points(length/2), Y: vg.Points(bottom + 28)}), metric)
		c.FillText(sans(8.5, draw.XCenter), top(c, vg.Point{X: wide + vg.Points(length/2), Y: vg.Points(bottom + 42)}), fmt.Sprintf("the axis begins at %.3f: bars are no shares of one another", low))
	}
	return f, nil
}

// halfPercents marks an axis every .005, as the paper's, where that leaves room for the numbers.
func halfPercents(low, high float64) plot.ConstantTicks {
	if high-low > .041 {
		return evenTicks(low, high)
	}
	var ticks plot.ConstantTicks
	for i := math.Round(low * 200); i <= math.Round(high*200); i++ {
		ticks = append(ticks, plot.Tick{Value: i / 200, Label: fmt.Sprintf("%.3f", i/200)})
	}
	return ticks
}

// shortFeature shortens a path as the reference does.
func shortFeature(path string) string {
	return strings.NewReplacer("responseObject.metadata", "response", "requestObject.metadata", "request", "[", "", "]", "").Replace(path)
}
