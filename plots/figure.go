package plots

import (
	"bytes"
	"fmt"
	"image/color"
	"io"
	"math"
	"regexp"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
)

// Figure is a drawn figure with what its page says of it.
type Figure struct {
	ID    string // file name without extension
	Title string
	Note  string // what the reader must know: corpus, protocol, n

	width, height vg.Length
	plot          *plot.Plot
	legend        plot.Legend         // stands above the axes, where it covers no point
	paint         func(c draw.Canvas) // where not nil, draws the figure instead of plot and legend
}

// Formats are the file formats in which every figure is written.
func Formats() []string { return []string{"svg", "png", "pdf"} }

// pngDPI is enough for a screen; print has PDF, browsers get SVG.
const pngDPI = 150

// Write draws the figure in one of [Formats]. The same figure gives the same bytes.
func (f *Figure) Write(w io.Writer, format string) error {
	canvas, err := f.canvas(format)
	if err != nil {
		return fmt.Errorf("draw %s as %s: %w", f.ID, format, err)
	}
	page := draw.NewCanvas(canvas, f.width, f.height)
	page.FillPolygon(color.White, []vg.Point{{}, {X: f.width}, {X: f.width, Y: f.height}, {Y: f.height}})
	inside := draw.Crop(page, vg.Points(4), -vg.Points(4), vg.Points(4), -vg.Points(4))
	if f.paint != nil {
		f.paint(inside)
	} else {
		legend := f.legend.Rectangle(inside).Size().Y + vg.Points(6)
		f.legend.Draw(inside)
		f.plot.Draw(draw.Crop(inside, 0, 0, 0, -legend))
	}
	var b bytes.Buffer
	if _, err := canvas.WriteTo(&b); err != nil {
		return fmt.Errorf("draw %s as %s: %w", f.ID, format, err)
	}
	if _, err := w.Write(undated(b.Bytes(), format)); err != nil {
		return fmt.Errorf("write %s as %s: %w", f.ID, format, err)
	}
	return nil
}

// Pixels is the figure's width on a screen of 96 pixels to the inch, at which its text is as large as it is
// meant to be.
func (f *Figure) Pixels() int { return int(math.Round(f.width.Dots(96))) }

var pdfDate = regexp.MustCompile(`/(CreationDate|ModDate) \(D:\d{14}`)

// undated sets the dates in a PDF to a fixed one of the same length, since the rest of the file is
// found by offsets. The drawing library has no way to say so but for a global variable.
func undated(drawn []byte, format string) []byte {
	if format != "pdf" {
		return drawn
	}
	return pdfDate.ReplaceAll(drawn, []byte("/$1 (D:20000101000000"))
}

func (f *Figure) canvas(format string) (vg.CanvasWriterTo, error) {
	if format == "png" {
		return vgimg.PngCanvas{Canvas: vgimg.NewWith(vgimg.UseWH(f.width, f.height), vgimg.UseDPI(pngDPI))}, nil
	}
	return draw.NewFormattedCanvas(f.width, f.height, format)
}

// The reference's blue and red, made further apart in lightness, so that they differ for every kind of
// colour vision and in print; shapes differ too.
var (
	blue = color.NRGBA{R: 0x30, G: 0x70, B: 0xc8, A: 0xb0} // lets a pile of points be seen as one
	red  = color.NRGBA{R: 0xc0, G: 0x30, B: 0x48, A: 0xff}
)

// newFigure has the house's fonts and no title: captions belong to the page.
func newFigure(id, title string, width, height vg.Length) *Figure {
	f := &Figure{ID: id, Title: title, width: width, height: height, plot: plot.New(), legend: plot.NewLegend()}
	text := func(size float64) func(*font.Font) {
		return func(o *font.Font) { o.Variant, o.Size = "Sans", vg.Points(size) }
	}
	for _, a := range []*plot.Axis{&f.plot.X, &f.plot.Y} {
		text(12)(&a.Label.TextStyle.Font)
		text(11)(&a.Tick.Label.Font)
		a.Label.Padding = vg.Points(3)
		a.Padding = vg.Points(4)
	}
	text(11)(&f.legend.TextStyle.Font)
	f.legend.Top, f.legend.Left = true, true
	f.legend.XOffs = vg.Points(40) // about where the axes begin
	f.legend.ThumbnailWidth = vg.Points(16)
	f.legend.Padding = vg.Points(3)
	grid := plotter.NewGrid()
	for _, l := range []*draw.LineStyle{&grid.Vertical, &grid.Horizontal} {
		l.Color = color.Gray{Y: 0xcc}
		l.Dashes = []vg.Length{vg.Points(3), vg.Points(3)}
		l.Width = vg.Points(0.5)
	}
	f.plot.Add(grid)
	return f
}

// add draws points with an entry in the legend; none leave no entry.
func (f *Figure) add(name string, xys plotter.XYs, c color.Color, shape draw.GlyphDrawer) error {
	if len(xys) == 0 {
		return nil
	}
	scatter, err := plotter.NewScatter(xys)
	if err != nil {
		return fmt.Errorf("draw %s: %w", f.ID, err)
	}
	scatter.GlyphStyle = draw.GlyphStyle{Color: c, Radius: vg.Points(2.8), Shape: shape}
	f.plot.Add(scatter)
	f.legend.Add(name, scatter)
	return nil
}

// powersOfTen marks an axis of decimal logarithms from low to high: powers of ten by their number, the
// steps between them by a line.
func powersOfTen(low, high float64) plot.ConstantTicks {
	var ticks plot.ConstantTicks
	for e := math.Floor(low); e <= high; e++ {
		for step := 1.0; step < 10; step++ {
			t := plot.Tick{Value: e + math.Log10(step)}
			if step == 1 {
				t.Label = thousands(math.Pow(10, e))
			}
			if low <= t.Value && t.Value <= high {
				ticks = append(ticks, t)
			}
		}
	}
	return ticks
}

// evenTicks marks an axis from low to high at the multiples of the coarsest of 1, 2 and 5 times a
// power of ten that leaves at least four.
func evenTicks(low, high float64) plot.ConstantTicks {
	step := math.Pow(10, math.Ceil(math.Log10(high-low)))
	decimals := int(math.Round(-math.Log10(step)))
	for i := 0; math.Floor(high/step)-math.Ceil(low/step) < 3; i++ {
		step /= [3]float64{2, 2.5, 2}[i%3]
		if i%3 == 0 {
			decimals++
		}
	}
	var ticks plot.ConstantTicks
	for i := math.Ceil(low / step); i*step <= high; i++ {
		ticks = append(ticks, plot.Tick{Value: i * step, Label: fmt.Sprintf("%.*f", max(decimals, 0), i*step)})
	}
	return ticks
}

// logTicks marks an axis of decimal logarithms that may be short: the powers of ten and, where fewer than
// three of them are on it, 2 and 5 times them too.
func logTicks(low, high float64) plot.ConstantTicks {
	labelled := math.Floor(high)-math.Ceil(low) >= 2
	var ticks plot.ConstantTicks
	for e := math.Floor(low); e <= high; e++ {
		for step := 1.0; step < 10; step++ {
			t := plot.Tick{Value: e + math.Log10(step)}
			if step == 1 || !labelled && (step == 2 || step == 5) {
				t.Label = strconv.FormatFloat(step*math.Pow(10, e), 'g', 3, 64)
			}
			if low <= t.Value && t.Value <= high {
				ticks = append(ticks, t)
			}
		}
	}
	return ticks
}
