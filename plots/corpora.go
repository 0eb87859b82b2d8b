package plots

import (
	"fmt"
	"image/color"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// CorpusRow is one corpus in the overview. Counts are of events, but for contexts and labels.
type CorpusRow struct {
	Name, Kubernetes, Level               string
	Events, Labels, UserContexts          int
	Triggers, NonTriggers, ByRule, Others int // the events by what caused them; Others: other background
	OwnWrong, Ambiguous                   int
}

// Corpora is the overview of the corpora as a table, the paper's dataset in its last row.
func Corpora(rows []CorpusRow, p Paper, note string) *Table {
	t := &Table{
		ID: "corpora", Title: "Corpora", Note: note,
		Columns: []string{"corpus", "Kubernetes", "level", "events", "labels", "contexts of people", "non-trigger events of people", "own label wrong", "ambiguous"},
	}
	for _, r := range rows {
		t.Rows = append(t.Rows, []string{
			r.Name, r.Kubernetes, r.Level, thousands(float64(r.Events)), thousands(float64(r.Labels)), thousands(float64(r.UserContexts)),
			thousands(float64(r.NonTriggers)), thousands(float64(r.OwnWrong)), thousands(float64(r.Ambiguous)),
		})
	}
	t.Rows = append(t.Rows, []string{
		"the paper's (lines)", "v" + p.Corpus.Kubernetes, "RequestResponse", thousands(float64(p.Corpus.Lines)), thousands(float64(p.Corpus.Actions)),
		thousands(float64(p.Corpus.Executions)), none, none, none,
	})
	return t
}

// CorpusBars draws what caused the events of each corpus. It fails for none and for negative counts.
func CorpusBars(id, title, note string, rows []CorpusRow) (*Figure, error) {
	if len(rows) == 0 {
		return nil, fmt.Errorf("draw %s: no corpora", id)
	}
	parts := []struct {
		name string
		fill color.NRGBA
		of   func(CorpusRow) int
	}{
		{"triggers of people", color.NRGBA{R: 0x10, G: 0x40, B: 0x90, A: 0xff}, func(r CorpusRow) int { return r.Triggers }},
		{"what people caused", cyan, func(r CorpusRow) int { return r.NonTriggers }},
		{"background by rule", color.NRGBA{R: 0xdd, G: 0xdd, B: 0xdd, A: 0xff}, func(r CorpusRow) int { return r.ByRule }},
		{"other background", color.NRGBA{R: 0x88, G: 0x88, B: 0x88, A: 0xff}, func(r CorpusRow) int { return r.Others }},
	}
	name := sans(9, draw.XRight)
	wide, most := vg.Length(0), 1
	names := make([]string, len(rows))
	for i, r := range rows {
		total := 0
		for _, p := range parts {
			n := p.of(r)
			if n < 0 {
				return nil, fmt.Errorf("draw %s: corpus %q has %d events (%s)", id, r.Name, n, p.name)
			}
			total += n
		}
		most = max(most, total)
		names[i] = fit(name, Printable(r.Name), vg.Points(180))
		wide = max(wide, name.Width(names[i]))
	}
	wide += vg.Points(8)
	const pitch, length, above = 18, 330, 20
	f := &Figure{ID: id, Title: title, Note: note, width: wide + vg.Points(length+70), height: vg.Points(above + pitch*float64(len(rows)) + 14)}
	f.paint = func(c draw.Canvas) {
		x := vg.Points(4)
		small := sans(8.5, draw.XLeft)
		for _, p := range parts {
			a := top(c, vg.Point{X: x, Y: vg.Points(12)})
			c.FillPolygon(p.fill, []vg.Point{a, {X: a.X + vg.Points(8), Y: a.Y}, {X: a.X + vg.Points(8), Y: a.Y + vg.Points(8)}, {X: a.X, Y: a.Y + vg.Points(8)}})
			c.FillText(small, top(c, vg.Point{X: x + vg.Points(11), Y: vg.Points(8)}), p.name)
			x += small.Width(p.name) + vg.Points(26)
		}
		for i, r := range rows {
			y := vg.Points(above + pitch*float64(i) + 4)
			c.FillText(name, top(c, vg.Point{X: wide - vg.Points(5), Y: y + vg.Points(5.5)}), names[i])
			x, total := wide, 0
			for _, p := range parts {
				n := p.of(r)
				total += n
				w := vg.Points(length * float64(n) / float64(most))
				a := top(c, vg.Point{X: x, Y: y + vg.Points(11)})
				c.FillPolygon(p.fill, []vg.Point{a, {X: a.X + w, Y: a.Y}, {X: a.X + w, Y: a.Y + vg.Points(11)}, {X: a.X, Y: a.Y + vg.Points(11)}})
				x += w
			}
			c.FillText(small, top(c, vg.Point{X: x + vg.Points(4), Y: y + vg.Points(5.5)}), thousands(float64(total)))
		}
	}
	return f, nil
}
