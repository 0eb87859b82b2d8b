package plots

import (
	"fmt"
	"image/color"
	"math"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// The reference's palette (P. Tol's "bright", safe for every kind of colour vision) beside blue and red.
var (
	cyan   = color.NRGBA{R: 0x66, G: 0xcc, B: 0xee, A: 0xff}
	green  = color.NRGBA{R: 0x22, G: 0x88, B: 0x33, A: 0xff}
	purple = color.NRGBA{R: 0xaa, G: 0x33, B: 0x77, A: 0xff}
	grey   = color.NRGBA{R: 0xbb, G: 0xbb, B: 0xbb, A: 0xff}
	black  = color.NRGBA{R: 0x18, G: 0x18, B: 0x18, A: 0xff}
)

// A diagram is boxes and arrows on a page whose origin is the top left; measures are in points.
type diagram struct {
	boxes  []diagramBox
	arrows []diagramArrow
	texts  []diagramText
}

type diagramBox struct {
	x, y, w, h float64
	lines      []string // the first is bold where there are several
	fill       color.Color
	edge       color.Color
	dashed     bool
	atTop      bool // the text stands at the box's top, since other boxes lie in it
}

// diagramArrow goes along the places and has its head at the last; without a head it is a line.
type diagramArrow struct {
	way    [][2]float64
	dotted bool
	colour color.Color
	label  string
	at     [2]float64 // of the label's middle
	both   bool       // a head at the first place too
}

type diagramText struct {
	x, y float64
	text string
	size float64
	left bool
}

// box adds a box and returns it, so that arrows can find it.
func (d *diagram) box(x, y, w, h float64, fill color.Color, lines ...string) diagramBox {
	b := diagramBox{x: x, y: y, w: w, h: h, fill: fill, edge: color.Gray{Y: 0x40}, lines: lines}
	d.boxes = append(d.boxes, b)
	return b
}

// around adds a box in which others lie.
func (d *diagram) around(x, y, w, h float64, title string) {
	d.boxes = append(d.boxes, diagramBox{
		x: x, y: y, w: w, h: h, fill: color.NRGBA{R: 0xf6, G: 0xf7, B: 0xf9, A: 0xff},
		edge: color.Gray{Y: 0x90}, dashed: true, atTop: true, lines: []string{title},
	})
}

func (d *diagram) arrow(way ...[2]float64) *diagramArrow {
	d.arrows = append(d.arrows, diagramArrow{way: way, colour: color.Gray{Y: 0x30}})
	return &d.arrows[len(d.arrows)-1]
}

func (b diagramBox) top() [2]float64    { return [2]float64{b.x + b.w/2, b.y} }
func (b diagramBox) bottom() [2]float64 { return [2]float64{b.x + b.w/2, b.y + b.h} }
func (b diagramBox) left() [2]float64   { return [2]float64{b.x, b.y + b.h/2} }
func (b diagramBox) right() [2]float64  { return [2]float64{b.x + b.w, b.y + b.h/2} }

// figure draws the diagram on a page of the size.
func (d *diagram) figure(id, title, note string, width, height float64) *Figure {
	const margin = 8 // what Write crops, both sides
	return &Figure{ID: id, Title: title, Note: note, width: vg.Points(width + margin), height: vg.Points(height + margin), paint: d.paint}
}

func (d *diagram) paint(c draw.Canvas) {
	at := func(x, y float64) vg.Point { return top(c, vg.Point{X: vg.Points(x), Y: vg.Points(y)}) }
	for _, b := range d.boxes {
		corners := []vg.Point{at(b.x, b.y), at(b.x+b.w, b.y), at(b.x+b.w, b.y+b.h), at(b.x, b.y+b.h)}
		c.FillPolygon(b.fill, corners)
		line := draw.LineStyle{Color: b.edge, Width: vg.Points(.8)}
		if b.dashed {
			line.Dashes = []vg.Length{vg.Points(4), vg.Points(2)}
		}
		c.StrokeLines(line, append(corners, corners[0]))
		const pitch = 11.5
		y := b.y + b.h/2 - pitch*float64(len(b.lines)-1)/2
		if b.atTop {
			y = b.y + 10
		}
		for i, l := range b.lines {
			style := sans(9, draw.XCenter)
			if i > 0 {
				style = sans(8, draw.XCenter)
			}
			style.Color = readableOn(b.fill)
			c.FillText(style, at(b.x+b.w/2, y+pitch*float64(i)), fit(style, Printable(l), vg.Points(b.w-4)))
		}
	}
	for _, a := range d.arrows {
		line := draw.LineStyle{Color: a.colour, Width: vg.Points(1.1)}
		if a.dotted {
			line.Dashes = []vg.Length{vg.Points(1.5), vg.Points(2.5)}
		}
		var way []vg.Point
		for _, p := range a.way {
			way = append(way, at(p[0], p[1]))
		}
		c.StrokeLines(line, way)
		n := len(way)
		head(c, way[n-2], way[n-1], a.colour)
		if a.both {
			head(c, way[1], way[0], a.colour)
		}
		if a.label != "" {
			c.FillText(sans(8, draw.XCenter), at(a.at[0], a.at[1]), Printable(a.label))
		}
	}
	for _, t := range d.texts {
		align := draw.XCenter
		if t.left {
			align = draw.XLeft
		}
		c.FillText(sans(t.size, align), at(t.x, t.y), Printable(t.text))
	}
}

// head draws the head of an arrow that ends at to.
func head(c draw.Canvas, from, to vg.Point, colour color.Color) {
	const length, half = 6, 2.6
	dx, dy := float64(to.X-from.X), float64(to.Y-from.Y)
	norm := math.Hypot(dx, dy)
	if norm == 0 {
		return
	}
	dx, dy = dx/norm, dy/norm
	back := func(side float64) vg.Point {
		return vg.Point{
			X: to.X - vg.Points(length*dx-side*half*dy),
			Y: to.Y - vg.Points(length*dy+side*half*dx),
		}
	}
	c.FillPolygon(colour, []vg.Point{to, back(1), back(-1)})
}

// readableOn is black or white, whichever stands out from the colour (by its luminance in sRGB's weights).
func readableOn(fill color.Color) color.Color {
	if luminance(fill) < .45 {
		return color.White
	}
	return black
}

func luminance(c color.Color) float64 {
	r, g, b, _ := c.RGBA()
	return (.2126*float64(r) + .7152*float64(g) + .0722*float64(b)) / 0xffff
}

// mix goes from one colour to another, share 0 to 1.
func mix(from, to color.NRGBA, share float64) color.NRGBA {
	share = min(max(share, 0), 1)
	part := func(a, b uint8) uint8 { return uint8(math.Round(float64(a) + (float64(b)-float64(a))*share)) }
	return color.NRGBA{R: part(from.R, to.R), G: part(from.G, to.G), B: part(from.B, to.B), A: 0xff}
}

// ramp goes through colours at places, the first at 0 and the last at 1.
func ramp(places []float64, colours []color.NRGBA) func(float64) color.NRGBA {
	if len(places) != len(colours) || len(places) < 2 {
		panic(fmt.Sprintf("plots: a ramp of %d places and %d colours", len(places), len(colours)))
	}
	return func(x float64) color.NRGBA {
		for i := 1; i < len(places); i++ {
			if x <= places[i] || i == len(places)-1 {
				return mix(colours[i-1], colours[i], (x-places[i-1])/(places[i]-places[i-1]))
			}
		}
		panic("unreachable")
	}
}

// white and solidBlue are the ends of the reference's scale.
var (
	white     = color.NRGBA{R: 0xff, G: 0xff, B: 0xff, A: 0xff}
	solidBlue = color.NRGBA{R: 0x30, G: 0x70, B: 0xc8, A: 0xff}
)

// whiteToBlue is the scale of the paper's heat maps.
func whiteToBlue() func(float64) color.NRGBA {
	return ramp([]float64{0, 1}, []color.NRGBA{white, solidBlue})
}
