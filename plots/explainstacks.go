package plots

import (
	"cmp"
	"fmt"
	"image/color"
	"math"
	"slices"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// Stack is a bar made of parts.
type Stack struct {
	Name  string
	Parts []Part
}

// Part is what a class has of a bar.
type Part struct {
	Class string // "": all classes that are not named
	Value float64
}

// stackColours are those of the classes of largest sums: the palette of M. Okabe and K. Ito, Color
// Universal Design, 2008, without its black. All other classes are grey.
var stackColours = []color.Color{
	color.NRGBA{R: 0x00, G: 0x72, B: 0xb2, A: 0xff},
	color.NRGBA{R: 0xe6, G: 0x9f, B: 0x00, A: 0xff},
	color.NRGBA{R: 0x00, G: 0x9e, B: 0x73, A: 0xff},
	color.NRGBA{R: 0xcc, G: 0x79, B: 0xa7, A: 0xff},
	color.NRGBA{R: 0x56, G: 0xb4, B: 0xe9, A: 0xff},
	color.NRGBA{R: 0xd5, G: 0x5e, B: 0x00, A: 0xff},
	color.NRGBA{R: 0xf0, G: 0xe4, B: 0x42, A: 0xff},
}

var otherColour = color.NRGBA{R: 0xb8, G: 0xbc, B: 0xc0, A: 0xff}

// Stacks draws horizontal bars of parts, from the top. The classes of the largest sums have a colour, which
// a list under the bars names; the others are grey. It fails for no bars and for values that are negative or
// no numbers.
func Stacks(id, title, note string, stacks []Stack) (*Figure, error) {
	if len(stacks) == 0 {
		return nil, fmt.Errorf("draw %s: no bars", id)
	}
	name, number, legend := sans(8.5, draw.XRight), sans(7.5, draw.XLeft), sans(8, draw.XLeft)
	sums := make(map[string]float64)
	var classes []string
	longest, wide := 0.0, vg.Length(0)
	names, totals := make([]string, len(stacks)), make([]float64, len(stacks))
	for i, s := range stacks {
		for _, p := range s.Parts {
			if !(p.Value >= 0 && p.Value < math.Inf(1)) {
				return nil, fmt.Errorf("draw %s: bar %q has the part %g", id, s.Name, p.Value)
			}
			if _, known := sums[p.Class]; !known {
				classes = append(classes, p.Class)
			}
			sums[p.Class] += p.Value
			totals[i] += p.Value
		}
		longest = max(longest, totals[i])
		names[i] = fit(name, Printable(s.Name), vg.Points(330))
		wide = max(wide, name.Width(names[i]))
	}
	if longest == 0 {
		longest = 1
	}
	wide += vg.Points(8)
	slices.SortStableFunc(classes, func(a, b string) int { return cmp.Compare(sums[b], sums[a]) })
	colours := make(map[string]color.Color)
	_, grey := sums[""]
	classes = slices.DeleteFunc(classes, func(c string) bool { return c == "" })
	named := classes[:min(len(stackColours), len(classes))]
	grey = grey || len(classes) > len(named)
	for i, c := range named {
		colours[c] = stackColours[i]
	}
	const height, length, line = 16, 300, 12
	lines := len(named)
	if grey {
		lines++
	}
	f := &Figure{ID: id, Title: title, Note: note, width: wide + vg.Points(length+50), height: vg.Points(float64(len(stacks)*height+lines*line) + 22)}
	f.paint = func(c draw.Canvas) {
		for i, s := range stacks {
			y := vg.Points((float64(i) + .5) * height)
			c.FillText(name, top(c, vg.Point{X: wide - vg.Points(6), Y: y}), names[i])
			at := 0.0
			for _, p := range s.Parts {
				fill, ok := colours[p.Class]
				if !ok {
					fill = otherColour
				}
				bar(c, fill, wide+vg.Points(length*at/longest), wide+vg.Points(length*(at+p.Value)/longest), y, 5.5)
				at += p.Value
			}
			c.FillText(number, top(c, vg.Point{X: wide + vg.Points(length*at/longest+4), Y: y}), fmt.Sprintf("%.3f", totals[i]))
		}
		below := float64(len(stacks))*height + 12
		entry := func(i int, fill color.Color, text string) {
			y := vg.Points(below + (float64(i)+.5)*line)
			bar(c, fill, wide, wide+vg.Points(12), y, 4)
			c.FillText(legend, top(c, vg.Point{X: wide + vg.Points(17), Y: y}), text)
		}
		for i, class := range named {
			entry(i, colours[class], fit(legend, Printable(class), vg.Points(length+30)))
		}
		if grey {
			entry(len(named), otherColour, "other classes")
		}
	}
	return f, nil
}

// bar fills a horizontal bar of half a height around y.
func bar(c draw.Canvas, fill color.Color, from, to, y vg.Length, half float64) {
	low, high := top(c, vg.Point{X: from, Y: y + vg.Points(half)}), top(c, vg.Point{X: to, Y: y - vg.Points(half)})
	c.FillPolygon(fill, []vg.Point{low, {X: high.X, Y: low.Y}, high, {X: low.X, Y: high.Y}})
}

// Histogram is the values of a feature among all rows and among those that come to one place of a tree.
type Histogram struct {
	Title string
	Bins  []Bin
}

// Bin is one value with its shares.
type Bin struct {
	Name      string
	All, Here float64 // shares of all rows, and of those that come here; 0 to 1
}

// Histograms draws one histogram under the other, each value with two bars: grey of all rows, blue of those
// that come to the place. It fails for none, and for shares that are not between 0 and 1.
func Histograms(id, title, note string, histograms []Histogram) (*Figure, error) {
	head, name, number := sans(8.5, draw.XLeft), sans(8, draw.XRight), sans(7, draw.XLeft)
	wide := vg.Length(0)
	lines := 0
	for _, h := range histograms {
		for _, b := range h.Bins {
			if !(b.All >= 0 && b.All <= 1.000001 && b.Here >= 0 && b.Here <= 1.000001) {
				return nil, fmt.Errorf("draw %s: the value %q has the shares %g and %g", id, b.Name, b.All, b.Here)
			}
			lines++
			wide = max(wide, name.Width(fit(name, Printable(b.Name), vg.Points(240))))
		}
	}
	if lines == 0 {
		return nil, fmt.Errorf("draw %s: no values", id)
	}
	wide += vg.Points(10)
	const height, length, above, gap = 17, 260, 18, 10
	f := &Figure{
		ID: id, Title: title, Note: note, width: wide + vg.Points(length+45),
		height: vg.Points(float64(lines*height+len(histograms)*(above+gap)) + 10),
	}
	grey := color.NRGBA{R: 0xa8, G: 0xae, B: 0xb4, A: 0xff}
	f.paint = func(c draw.Canvas) {
		y := 0.0
		for _, h := range histograms {
			c.FillText(head, top(c, vg.Point{X: 0, Y: vg.Points(y + above/2)}), fit(head, Printable(h.Title), f.width-vg.Points(14)))
			y += above
			for _, b := range h.Bins {
				middle := vg.Points(y + height/2)
				c.FillText(name, top(c, vg.Point{X: wide - vg.Points(6), Y: middle}), fit(name, Printable(b.Name), vg.Points(240)))
				for _, x := range []struct {
					fill  color.Color
					share float64
					shift float64
				}{{grey, b.All, -3.8}, {blue, b.Here, 3.8}} {
					at := middle + vg.Points(x.shift)
					bar(c, x.fill, wide, wide+vg.Points(length*x.share), at, 3.2)
					c.FillText(number, top(c, vg.Point{X: wide + vg.Points(length*x.share+3), Y: at}), fmt.Sprintf("%.3f", x.share))
				}
				y += height
			}
			y += gap
		}
	}
	return f, nil
}
