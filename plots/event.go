package plots

import (
	"fmt"
	"image/color"
	"strings"
	"unicode/utf8"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// RawEvent is the paper's Figure 1: one line of an audit log as it is, wrapped; names of members are
// blue. It fails for a line that is empty or longer than a page holds.
func RawEvent(id, title, note, line string) (*Figure, error) {
	const (
		columns = 132
		size    = 6.2
		pitch   = 8.2
		most    = 20_000 // characters
	)
	line = Printable(strings.ReplaceAll(line, "\n", " "))
	n := utf8.RuneCountInString(line)
	if n == 0 || n > most {
		return nil, fmt.Errorf("draw %s: a line of %d characters: from 1 to %d can be drawn", id, n, most)
	}
	f := font.From(plot.DefaultFont, vg.Points(size))
	f.Variant = "Mono"
	style := text.Style{Color: black, Font: f, Handler: plot.DefaultTextHandler, XAlign: draw.XLeft, YAlign: draw.YCenter}
	runes := []rune(line)
	names := memberNames(runes)
	wide := style.Width(strings.Repeat("m", columns)) / columns
	rows := (len(runes) + columns - 1) / columns
	fig := &Figure{ID: id, Title: title, Note: note, width: wide*columns + vg.Points(20), height: vg.Points(pitch*float64(rows) + 20)}
	fig.paint = func(c draw.Canvas) {
		for row := range rows {
			from, to := row*columns, min((row+1)*columns, len(runes))
			for i := from; i < to; {
				j := i + 1
				for j < to && names[j] == names[i] {
					j++
				}
				s := style
				if names[i] {
					s.Color = color.NRGBA{R: 0x18, G: 0x50, B: 0xa8, A: 0xff}
				}
				c.FillText(s, top(c, vg.Point{
					X: vg.Points(6) + wide*vg.Length(i-from), Y: vg.Points(6 + pitch*(float64(row)+.5)),
				}), string(runes[i:j]))
				i = j
			}
		}
	}
	return fig, nil
}

// memberNames marks the runes of JSON text that are names of members. Text that is no JSON has odd marks
// and nothing worse.
func memberNames(runes []rune) []bool {
	marks := make([]bool, len(runes))
	for i := 0; i < len(runes); i++ {
		if runes[i] != '"' {
			continue
		}
		start := i
		for i++; i < len(runes) && runes[i] != '"'; i++ {
			if runes[i] == '\\' {
				i++
			}
		}
		if i+1 < len(runes) && runes[i+1] == ':' {
			for j := start; j <= i; j++ {
				marks[j] = true
			}
		}
	}
	return marks
}
