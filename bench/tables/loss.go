package main

import (
	"bytes"
	"fmt"
	"image/color"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"

	"k8ntext/bench/results"
)

func curveName(c results.Curve) string {
	if c.Engine == "" {
		return names[c.Program]
	}
	return names[c.Program] + ", " + c.Engine
}

// off is the relative difference of two losses.
func off(a, b float64) float64 { return math.Abs(a-b) / b }

func wholeTable(w io.Writer, m *measurements) {
	t := m.loss.Whole
	if len(t.Curves) == 0 {
		return
	}
	fmt.Fprintf(w, "Corpus %s without its last tenth: epochs of %d windows of %d events (stride %d), %d steps of %d; validation on %d windows of the last tenth; seed %d, one training of each (n = 1):\n\n",
		t.Corpus, t.Windows, t.Window, t.Stride, t.Steps, t.Batch, t.Validation, t.Seed)
	head(w, 1, "", "epochs", "steps", "best epoch", "its training loss", "its validation loss", "learning rate lowered before epoch", "CPU seconds", "load")
	longest := 0
	for _, c := range t.Curves {
		longest = max(longest, len(c.Epochs))
		best := c.Epochs[c.Best-1]
		row(w, curveName(c), strconv.Itoa(len(c.Epochs)), strconv.Itoa(len(c.Epochs)*t.Steps), strconv.Itoa(c.Best),
			loss(best.Loss), loss(best.Validation), lowered(c), fmt.Sprintf("%.0f", c.CPUSeconds), fmt.Sprintf("%.1f", c.Load))
	}
	fmt.Fprintf(w, "\n")
	cells := []string{"epoch"}
	for _, what := range []string{"training", "validation"} {
		for _, c := range t.Curves {
			cells = append(cells, what+", "+curveName(c))
		}
	}
	head(w, 0, cells...)
	for i := range longest {
		cells := []string{strconv.Itoa(i + 1)}
		for _, of := range []func(results.Epoch) float64{
			func(e results.Epoch) float64 { return e.Loss },
			func(e results.Epoch) float64 { return e.Validation },
		} {
			for _, c := range t.Curves {
				cell := ""
				if i < len(c.Epochs) {
					cell = loss(of(c.Epochs[i]))
				}
				cells = append(cells, cell)
			}
		}
		row(w, cells...)
	}
}

// lowered lists the epochs that began with a lower learning rate than the one before.
func lowered(c results.Curve) string {
	var epochs []string
	for i := 1; i < len(c.Epochs); i++ {
		if c.Epochs[i].LearningRate < c.Epochs[i-1].LearningRate {
			epochs = append(epochs, strconv.Itoa(i+1))
		}
	}
	return strings.Join(epochs, ", ")
}

func loss(x float64) string { return fmt.Sprintf("%.4g", x) }

// promised is how far apart the losses of two engines may be.
const promised = 1e-4

func firstTable(w io.Writer, m *measurements) {
	for _, t := range []results.Trainings{m.loss.First, m.loss.Slow} {
		if len(t.Curves) > 1 {
			differences(w, t)
		}
	}
}

// differences tells how far the first steps of each engine are from those of the first.
func differences(w io.Writer, t results.Trainings) {
	want := t.Curves[0]
	fmt.Fprintf(w, "\nLearning rate %v, %d steps of %d windows, %d to an epoch (seed %d, n = 1): the largest relative difference of a step's training loss from that of the %s path, and behind the stroke that of the validation loss after the steps:\n\n",
		t.Rate, len(want.Steps), t.Batch, t.Steps, t.Seed, want.Engine)
	spans := [][2]int{{0, 10}, {10, 20}, {20, 40}, {40, 60}, {60, 80}, {80, 120}}
	cells := []string{"engine"}
	for len(spans) > 0 && spans[len(spans)-1][1] > len(want.Steps) {
		spans = spans[:len(spans)-1]
	}
	for _, s := range spans {
		cells = append(cells, fmt.Sprintf("steps %d to %d", s[0]+1, s[1]))
	}
	head(w, 1, append(cells, "first step above 1e-4")...)
	for _, c := range t.Curves[1:] {
		cells := []string{curveName(c)}
		for _, s := range spans {
			worst := 0.
			for i := s[0]; i < s[1]; i++ {
				worst = max(worst, off(c.Steps[i], want.Steps[i]))
			}
			e := s[1]/t.Steps - 1
			cells = append(cells, fmt.Sprintf("%.1e / %.1e", worst, off(c.Epochs[e].Validation, want.Epochs[e].Validation)))
		}
		first := "none"
		for i := range c.Steps {
			if off(c.Steps[i], want.Steps[i]) > promised {
				first = strconv.Itoa(i + 1)
				break
			}
		}
		row(w, append(cells, first)...)
	}
}

// The colours of lines, apart in lightness too.
var palette = []color.Color{
	color.NRGBA{R: 0x20, G: 0x60, B: 0xb8, A: 0xff},
	color.NRGBA{R: 0xc0, G: 0x30, B: 0x48, A: 0xff},
	color.NRGBA{R: 0x30, G: 0x90, B: 0x50, A: 0xff},
	color.NRGBA{R: 0xd8, G: 0x90, B: 0x20, A: 0xff},
	color.NRGBA{R: 0x70, G: 0x40, B: 0xa0, A: 0xff},
}

// figures draws the losses into a folder, as loss.svg and loss.png: whole trainings on the left, how
// engines drift apart on the right. Without measurements it draws nothing.
func figures(m *measurements, folder string) error {
	if len(m.loss.Whole.Curves) < 2 || len(m.loss.First.Curves) < 2 {
		return nil
	}
	left, err := wholePanel(m.loss.Whole)
	if err != nil {
		return fmt.Errorf("draw losses: %w", err)
	}
	right, err := firstPanel(m.loss.First)
	if err != nil {
		return fmt.Errorf("draw losses: %w", err)
	}
	const width, height = 10 * vg.Inch, 4.2 * vg.Inch
	for _, format := range []string{"svg", "png"} {
		var canvas vg.CanvasWriterTo = vgimg.PngCanvas{Canvas: vgimg.NewWith(vgimg.UseWH(width, height), vgimg.UseDPI(120))}
		if format == "svg" {
			if canvas, err = draw.NewFormattedCanvas(width, height, format); err != nil {
				return fmt.Errorf("draw losses: %w", err)
			}
		}
		page := draw.NewCanvas(canvas, width, height)
		page.FillPolygon(color.White, []vg.Point{{}, {X: width}, {X: width, Y: height}, {Y: height}})
		left.Draw(draw.Crop(page, vg.Points(6), -width/2-vg.Points(6), vg.Points(6), -vg.Points(8)))
		right.Draw(draw.Crop(page, width/2+vg.Points(6), -vg.Points(10), vg.Points(6), -vg.Points(8)))
		var b bytes.Buffer
		if _, err := canvas.WriteTo(&b); err != nil {
			return fmt.Errorf("draw losses as %s: %w", format, err)
		}
		if err := os.WriteFile(filepath.Join(folder, "loss."+format), b.Bytes(), 0o644); err != nil {
			return fmt.Errorf("draw losses as %s: %w", format, err)
		}
	}
	return nil
}

// panel has a logarithmic y axis: its values are decimal logarithms.
func panel(title, x, y string) *plot.Plot {
	p := plot.New()
	sans := func(f *font.Font, size float64) { f.Variant, f.Size = "Sans", vg.Points(size) }
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = title, x, y
	sans(&p.Title.TextStyle.Font, 12)
	for _, a := range []*plot.Axis{&p.X, &p.Y} {
		sans(&a.Label.TextStyle.Font, 11)
		sans(&a.Tick.Label.Font, 10)
	}
	sans(&p.Legend.TextStyle.Font, 10)
	p.Legend.Padding = vg.Points(2)
	p.Y.Tick.Marker = plot.TickerFunc(func(low, high float64) []plot.Tick {
		var ticks []plot.Tick
		for e := math.Floor(low); e <= high; e++ {
			for step := 1.0; step < 10; step++ {
				t := plot.Tick{Value: e + math.Log10(step)}
				if step == 1 {
					t.Label = fmt.Sprintf("1e%+.0f", e)
				}
				if t.Value >= low && t.Value <= high {
					ticks = append(ticks, t)
				}
			}
		}
		return ticks
	})
	grid := plotter.NewGrid()
	grid.Vertical.Color, grid.Horizontal.Color = color.Gray{Y: 0xdd}, color.Gray{Y: 0xdd}
	p.Add(grid)
	return p
}

// every marks multiples of step on an axis of whole numbers.
func every(step int) plot.Ticker {
	return plot.TickerFunc(func(low, high float64) []plot.Tick {
		var ticks []plot.Tick
		for v := 0; float64(v) <= high; v += step {
			if float64(v) >= low {
				ticks = append(ticks, plot.Tick{Value: float64(v), Label: strconv.Itoa(v)})
			}
		}
		return ticks
	})
}

// newLine is a line through n values, of the i-th colour; dashes is their length in points, 0 for none.
func newLine(i, dashes, n int, value func(i int) float64) (*plotter.Line, error) {
	xys := make(plotter.XYs, n)
	for i := range xys {
		xys[i] = plotter.XY{X: float64(i + 1), Y: math.Log10(value(i))}
	}
	line, err := plotter.NewLine(xys)
	if err != nil {
		return nil, err
	}
	line.Color, line.Width = palette[i%len(palette)], vg.Points(1.4)
	if dashes > 0 {
		line.Dashes = []vg.Length{vg.Points(float64(dashes)), vg.Points(3)}
	}
	return line, nil
}

func wholePanel(t results.Trainings) (*plot.Plot, error) {
	p := panel("Whole trainings from equal weights and batches", "epoch", "focal loss")
	p.X.Tick.Marker = every(5)
	p.Legend.Top = true
	for i, c := range t.Curves {
		for j, of := range []func(results.Epoch) float64{
			func(e results.Epoch) float64 { return e.Loss },
			func(e results.Epoch) float64 { return e.Validation },
		} {
			// Those after the first are dashed over it, so that both are seen where they are equal.
			line, err := newLine(i, 3*i, len(c.Epochs), func(k int) float64 { return of(c.Epochs[k]) })
			if err != nil {
				return nil, err
			}
			p.Add(line)
			if j == 0 {
				p.Legend.Add(plain(c), line)
			}
		}
	}
	p.Y.Max = 0.3 // room for the legend
	// Named beside the third epoch, where all are still equal.
	at := t.Curves[0].Epochs[min(2, len(t.Curves[0].Epochs)-1)]
	labels, err := plotter.NewLabels(plotter.XYLabels{
		XYs:    plotter.XYs{{X: 4, Y: math.Log10(at.Validation) + .08}, {X: 4, Y: math.Log10(at.Loss) + .08}},
		Labels: []string{"validation", "training"},
	})
	if err != nil {
		return nil, err
	}
	for i := range labels.TextStyle {
		labels.TextStyle[i].Font.Variant, labels.TextStyle[i].Font.Size = "Sans", vg.Points(10)
	}
	p.Add(labels)
	return p, nil
}

// plain is a curve's name without Markdown's stars, and short.
func plain(c results.Curve) string {
	name := strings.ReplaceAll(curveName(c), "**", "")
	if before, _, found := strings.Cut(name, "opencl: "); found {
		name = before + "OpenCL"
	}
	return name
}

// equal is what a difference of nothing is drawn as: half a bit of a float32.
const equal = 3e-8

func firstPanel(t results.Trainings) (*plot.Plot, error) {
	p := panel(fmt.Sprintf("First steps at learning rate %v", t.Rate), "step", "step's loss, relative difference from "+t.Curves[0].Engine)
	p.X.Tick.Marker = every(20)
	p.Legend.Top, p.Legend.Left = true, true
	for i, c := range t.Curves[1:] {
		line, err := newLine(i, 0, len(c.Steps), func(k int) float64 {
			return max(off(c.Steps[k], t.Curves[0].Steps[k]), equal)
		})
		if err != nil {
			return nil, err
		}
		p.Add(line)
		p.Legend.Add(plain(c), line)
	}
	p.Y.Max = 0 // room for the legend
	limit := plotter.NewFunction(func(float64) float64 { return math.Log10(promised) })
	limit.Color, limit.Width = color.Black, vg.Points(0.8)
	p.Add(limit)
	return p, nil
}
