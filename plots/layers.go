package plots

import (
	"fmt"
	"image/color"
)

// NetworkLayer is one layer in Figure 5.
type NetworkLayer struct {
	Kind       string
	Output     string // per event
	Parameters int    // trainable
	Statistics int    // running mean and variance of a normalisation
}

// Layers is the paper's Figure 5: the stack of the network's layers, input at the top. It fails for none.
func Layers(id, title, note, input string, layers []NetworkLayer) (*Figure, error) {
	if len(layers) == 0 {
		return nil, fmt.Errorf("draw %s: no layers", id)
	}
	d := new(diagram)
	const left, width, height, pitch = 4, 220, 34, 50
	d.texts = append(d.texts, diagramText{left + width/2, 8, input, 9, false})
	before := [2]float64{left + width/2, 14}
	for i, l := range layers {
		fill := color.NRGBA{R: 0xdd, G: 0xe8, B: 0xf8, A: 0xff}
		if l.Parameters > 0 {
			fill = solidBlue
		}
		b := d.box(left, 26+pitch*float64(i), width, height, fill, l.Kind, l.Output)
		d.arrow(before, b.top())
		before = b.bottom()
		text := "no parameters"
		if l.Parameters > 0 {
			text = thousands(float64(l.Parameters)) + " parameters"
		}
		y := b.y + height/2
		if l.Statistics > 0 {
			d.texts = append(d.texts, diagramText{left + width + 12, y + 6, thousands(float64(l.Statistics)) + " running statistics", 8, true})
			y -= 6
		}
		d.texts = append(d.texts, diagramText{left + width + 12, y, text, 9, true})
	}
	return d.figure(id, title, note, left+width+140, 26+pitch*float64(len(layers))-pitch+height+6), nil
}
