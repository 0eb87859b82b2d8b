package page

import (
	_ "embed"
	"errors"
	"fmt"
	"html/template"
	"io"
	"math"
	"slices"
	"strings"

	"k8ntext/metrics"
	"k8ntext/plots"
)

//go:embed compare.html.tmpl
var compareText string

// Grouping is one way in which the events of a log are contexts.
type Grouping struct {
	Name     string
	Contexts []Group
}

// Group is a context of a [Grouping]. Who, What and On say what its trigger does.
type Group struct {
	ID, Who, What, On string
	Events            []int // numbers, the same in both groupings
}

// Comparison is what a page says of two groupings of one log.
type Comparison struct {
	A, B   Grouping
	Scores metrics.ClusterScores // of B against A
	ARI    float64
	AMI    float64
	Most   int // rows of each table; 0: 100
}

// difference is a context of one grouping that is several in the other.
type difference struct {
	Group Group
	Parts []piece
	More  int // parts that are not shown
}

type piece struct {
	Group Group
	N     int     // events that are in both
	Share float64 // of the group's, in percent
}

// maxParts bounds the parts of a row that are named.
const maxParts = 12

// Compare writes a page about two groupings: how far they agree, which contexts are split and which are put
// together, and how many there are of each size. It needs no network and no script. It fails where the
// groupings have no event in common.
func Compare(w io.Writer, c Comparison) error {
	if c.Most <= 0 {
		c.Most = 100
	}
	inA, inB := placed(c.A), placed(c.B)
	common := 0
	for e := range inA {
		if _, ok := inB[e]; ok {
			common++
		}
	}
	if common == 0 {
		return errors.New("write the page of a comparison: the groupings have no event in common: they are not of one log")
	}
	split, splits := differences(c.A, c.B, inB, c.Most)
	merged, merges := differences(c.B, c.A, inA, c.Most)
	t, err := template.New("compare").Funcs(template.FuncMap{
		"clean": plots.Printable, "share": func(f float64) string { return fmt.Sprintf("%.4f", f) },
		"colour": func(i int) int { return i % 6 },
	}).Parse(compareText)
	if err != nil {
		return fmt.Errorf("read the template of a comparison: %w", err)
	}
	err = t.Execute(w, map[string]any{
		"C": c, "Common": common, "OnlyA": len(inA) - common, "OnlyB": len(inB) - common, "Style": template.CSS(style),
		"Split": split, "Splits": splits, "Merged": merged, "Merges": merges, "Curve": newCurve(c.A, c.B),
	})
	if err != nil {
		return fmt.Errorf("write the page of a comparison: %w", err)
	}
	return nil
}

// placed says in which context each event is.
func placed(g Grouping) map[int]int {
	in := make(map[int]int)
	for i, x := range g.Contexts {
		for _, e := range x.Events {
			in[e] = i
		}
	}
	return in
}

// differences are the contexts of g, the largest first, whose events are in several of other.
func differences(g, other Grouping, in map[int]int, most int) (rows []difference, all int) {
	for _, x := range g.Contexts {
		parts := make(map[int]int)
		for _, e := range x.Events {
			if i, ok := in[e]; ok {
				parts[i]++
			}
		}
		if len(parts) < 2 {
			continue
		}
		d := difference{Group: x}
		for i, n := range parts {
			d.Parts = append(d.Parts, piece{other.Contexts[i], n, 100 * float64(n) / float64(len(x.Events))})
		}
		slices.SortFunc(d.Parts, func(a, b piece) int {
			if a.N != b.N {
				return b.N - a.N
			}
			return a.Group.Events[0] - b.Group.Events[0]
		})
		if len(d.Parts) > maxParts {
			d.More = len(d.Parts) - maxParts
			d.Parts = d.Parts[:maxParts]
		}
		rows = append(rows, d)
	}
	slices.SortStableFunc(rows, func(a, b difference) int { return len(b.Group.Events) - len(a.Group.Events) })
	return rows[:min(most, len(rows))], len(rows)
}

// curve is a picture of how many contexts have so many events or more, both on a scale of powers of ten.
type curve struct {
	A, B   string // paths
	Across []tick
	Up     []tick
}

type tick struct {
	At   float64
	Text int
}

// The area of the curves in the picture: left, right, top and bottom.
const (
	curveLeft, curveRight, curveTop, curveBottom = 76.0, 590.0, 12.0, 240.0
)

func newCurve(a, b Grouping) curve {
	widest, most := 10, 10
	for _, g := range []Grouping{a, b} {
		for ; most < len(g.Contexts); most *= 10 {
		}
		for _, x := range g.Contexts {
			for ; widest < len(x.Events); widest *= 10 {
			}
		}
	}
	across := func(n int) float64 {
		return curveLeft + (curveRight-curveLeft)*math.Log10(float64(n))/math.Log10(float64(widest))
	}
	up := func(n int) float64 {
		return curveBottom - (curveBottom-curveTop)*math.Log10(float64(n))/math.Log10(float64(most))
	}
	path := func(g Grouping) string {
		var sizes []int
		for _, x := range g.Contexts {
			if len(x.Events) > 0 {
				sizes = append(sizes, len(x.Events))
			}
		}
		slices.Sort(sizes)
		var p strings.Builder
		for i, n := range sizes {
			if i > 0 && sizes[i-1] == n {
				continue
			}
			if i == 0 {
				fmt.Fprintf(&p, "M%.1f %.1fH%.1f", across(1), up(len(sizes)), across(n))
				continue
			}
			fmt.Fprintf(&p, "V%.1fH%.1f", up(len(sizes)-i), across(n))
		}
		if len(sizes) > 0 { // down to one, and none beyond it
			fmt.Fprintf(&p, "V%.1f", curveBottom)
		}
		return p.String()
	}
	c := curve{A: path(a), B: path(b)}
	for n := 1; n <= widest; n *= 10 {
		c.Across = append(c.Across, tick{across(n), n})
	}
	for n := 1; n <= most; n *= 10 {
		c.Up = append(c.Up, tick{up(n), n})
	}
	return c
}
