package plots

import (
	"cmp"
	"fmt"
	"image/color"
	"math"
	"slices"
	"strings"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// ContextEvent is an event of a drawn context.
type ContextEvent struct {
	Actor     string
	Verb      string
	Resource  string // with its subresource, as pods/status
	Namespace string // empty: of no namespace
	Name      string // empty: a list, or a new object without a name
	After     time.Duration
	Trigger   bool
}

// verbColours are the reference's (REFERENCE 11), which are Okabe and Ito's.
func verbColours() map[string]color.NRGBA {
	rgb := func(r, g, b uint8) color.NRGBA { return color.NRGBA{R: r, G: g, B: b, A: 0xff} }
	return map[string]color.NRGBA{
		"create": rgb(0x00, 0x9e, 0x73), "patch": rgb(0x56, 0xb4, 0xe9), "update": rgb(0x00, 0x72, 0xb2), "delete": rgb(0xd5, 0x5e, 0x00),
		"deletecollection": rgb(0xcc, 0x79, 0xa7), "get": rgb(0xd9, 0xc0, 0x10), "list": rgb(0xe6, 0x9f, 0x00), "watch": rgb(0x55, 0x55, 0x55),
	}
}

func verbColour(verb string) color.NRGBA {
	if c, ok := verbColours()[verb]; ok {
		return c
	}
	return color.NRGBA{R: 0x99, G: 0x99, B: 0x99, A: 0xff}
}

// Measures of a context's graph, in points.
const (
	graphRow    = 15.0
	graphActor  = 190.0
	graphArrows = 150.0
	graphObject = 230.0
	graphInset  = 8.0
	graphTitle  = 15.0
	// graphRows bounds what is drawn: more rows than these nobody reads.
	graphRows = 60
)

// graphEdge is what an actor did to an object.
type graphEdge struct {
	actor, namespace, resource, name string
	verbs                            []string // in the order in which they came first
	counts                           map[string]int
	trigger                          bool
}

func (e *graphEdge) text() string {
	var parts []string
	for _, v := range e.verbs {
		if n := e.counts[v]; n > 1 {
			v = fmt.Sprintf("%d× %s", n, v)
		}
		parts = append(parts, v)
	}
	return strings.Join(parts, ", ")
}

// ContextGraph is a context as the paper's Figure 3 draws the creation of a namespace: who acted on the
// left; on the right a box for each namespace, in it one for each resource, in that one the objects;
// arrows carry what was asked. The trigger's arrow is thick. It fails for a context without events.
func ContextGraph(id, title, note string, events []ContextEvent) (*Figure, error) {
	if len(events) == 0 {
		return nil, fmt.Errorf("draw %s: the context has no events", id)
	}
	edges, left := contextEdges(events)
	var actors []string
	for _, e := range edges {
		if !slices.Contains(actors, e.actor) {
			actors = append(actors, e.actor)
		}
	}
	type box struct {
		title         string
		x, y, w, h    float64
		fill, outline color.Color
	}
	var boxes []box
	rows := make([]float64, len(edges)) // middle of each edge's row, from the top
	y := 4.0
	innerX := graphActor + graphArrows
	for i := 0; i < len(edges); {
		space := box{title: edges[i].namespace, x: innerX - 2*graphInset, y: y, w: graphObject + 4*graphInset, fill: color.White, outline: color.Gray{Y: 0x60}}
		if space.title == "" {
			space.title = "(no namespace)"
		}
		at := len(boxes)
		boxes = append(boxes, space)
		y += graphTitle + 2
		for j := i; i < len(edges) && edges[i].namespace == edges[j].namespace; {
			kind := box{title: edges[i].resource, x: innerX - graphInset, y: y, w: graphObject + 2*graphInset, fill: color.NRGBA{R: 0xe8, G: 0xf1, B: 0xfa, A: 0xff}, outline: color.NRGBA{R: 0x8a, G: 0xa8, B: 0xc8, A: 0xff}}
			if kind.title == "" {
				kind.title = "(no object)"
			}
			in := len(boxes)
			boxes = append(boxes, kind)
			y += graphTitle
			for k := i; i < len(edges) && edges[i].namespace == edges[k].namespace && edges[i].resource == edges[k].resource; {
				first := i
				for ; i < len(edges) && edges[i].namespace == edges[first].namespace && edges[i].resource == edges[first].resource && edges[i].name == edges[first].name; i++ {
					rows[i] = y + (float64(i-first)+.5)*graphRow
				}
				height := float64(i-first) * graphRow
				name := edges[first].name
				if name == "" {
					name = "*"
				}
				boxes = append(boxes, box{title: name, x: innerX, y: y + 1, w: graphObject, h: height - 2, fill: color.NRGBA{R: 0x1f, G: 0x4e, B: 0x79, A: 0xff}})
				y += height
			}
			y += 5
			boxes[in].h = y - 2 - boxes[in].y
			y += 2
		}
		y += 2
		boxes[at].h = y - boxes[at].y
		y += 8
	}
	if left > 0 {
		y += graphRow
	}
	height := math.Max(y, float64(len(actors))*(graphRow+14)+8)
	f := &Figure{ID: id, Title: title, Note: note, width: vg.Points(innerX + graphObject + 3*graphInset), height: vg.Points(height + 8)}
	f.paint = func(c draw.Canvas) {
		small, mid := sans(7.5, draw.XLeft), sans(8.5, draw.XLeft)
		rect := func(b box) {
			p, q := top(c, vg.Point{X: vg.Points(b.x), Y: vg.Points(b.y)}), top(c, vg.Point{X: vg.Points(b.x + b.w), Y: vg.Points(b.y + b.h)})
			corners := []vg.Point{p, {X: q.X, Y: p.Y}, q, {X: p.X, Y: q.Y}}
			c.FillPolygon(b.fill, corners)
			if b.outline != nil {
				c.StrokeLines(draw.LineStyle{Color: b.outline, Width: vg.Points(.8)}, append(corners, p))
			}
		}
		for _, b := range boxes {
			rect(b)
			style, dy := small, graphTitle/2
			if b.outline == nil {
				style.Color, dy = color.White, b.h/2
			}
			c.FillText(style, top(c, vg.Point{X: vg.Points(b.x + 4), Y: vg.Points(b.y + dy)}), fit(style, Printable(b.title), vg.Points(b.w-8)))
		}
		place := make(map[string]float64, len(actors))
		for i, a := range actors {
			mid2 := height * (float64(i) + .5) / float64(len(actors))
			place[a] = mid2
			rect(box{x: 2, y: mid2 - 9, w: graphActor - 6, h: 18, fill: color.NRGBA{R: 0xfb, G: 0xe4, B: 0xee, A: 0xff}, outline: color.NRGBA{R: 0xb8, G: 0x20, B: 0x60, A: 0xff}})
			c.FillText(mid, top(c, vg.Point{X: vg.Points(7), Y: vg.Points(mid2)}), fit(mid, Printable(a), vg.Points(graphActor-16)))
		}
		right := sans(7, draw.XRight)
		for i, e := range edges {
			colour := verbColour(e.verbs[0])
			width := vg.Points(.9)
			if e.trigger {
				width = vg.Points(2.2)
			}
			from := top(c, vg.Point{X: vg.Points(graphActor - 4), Y: vg.Points(place[e.actor])})
			to := top(c, vg.Point{X: vg.Points(innerX - 1), Y: vg.Points(rows[i])})
			turn := vg.Point{X: to.X - vg.Points(2*graphInset+66), Y: to.Y}
			c.StrokeLines(draw.LineStyle{Color: colour, Width: width}, []vg.Point{from, turn, to})
			head(c, turn, to, colour)
			text := fit(right, Printable(e.text()), vg.Points(78))
			w := right.Width(text)
			x, yText := to.X-vg.Points(2*graphInset+5), to.Y+vg.Points(.5)
			c.FillPolygon(color.White, []vg.Point{{X: x - w - 1, Y: yText - vg.Points(4)}, {X: x + 1, Y: yText - vg.Points(4)}, {X: x + 1, Y: yText + vg.Points(4)}, {X: x - w - 1, Y: yText + vg.Points(4)}})
			c.FillText(right, vg.Point{X: x, Y: yText}, text)
		}
		if left > 0 {
			c.FillText(small, top(c, vg.Point{X: vg.Points(innerX), Y: vg.Points(y - graphRow/2)}), fmt.Sprintf("and %s more pairs of an actor and an object", thousands(float64(left))))
		}
	}
	return f, nil
}

// contextEdges joins the events of the same actor and object, and orders them by namespace, resource
// and object as they came first. Left counts those that are too many to draw.
func contextEdges(events []ContextEvent) (edges []graphEdge, left int) {
	type key struct{ actor, namespace, resource, name string }
	at := make(map[key]int)
	first := make(map[[3]string]int) // of a namespace, of a resource in it, of an object
	note := func(k [3]string, i int) {
		if _, ok := first[k]; !ok {
			first[k] = i
		}
	}
	for i, e := range events {
		note([3]string{e.Namespace, "\x00"}, i)
		note([3]string{e.Namespace, e.Resource, "\x00"}, i)
		note([3]string{e.Namespace, e.Resource, e.Name}, i)
		k := key{e.Actor, e.Namespace, e.Resource, e.Name}
		n, ok := at[k]
		if !ok {
			if len(edges) == graphRows {
				left++
				at[k] = -1
				continue
			}
			n = len(edges)
			at[k] = n
			edges = append(edges, graphEdge{actor: e.Actor, namespace: e.Namespace, resource: e.Resource, name: e.Name, counts: make(map[string]int)})
		}
		if n < 0 {
			continue
		}
		x := &edges[n]
		if x.counts[e.Verb]++; x.counts[e.Verb] == 1 {
			x.verbs = append(x.verbs, e.Verb)
		}
		x.trigger = x.trigger || e.Trigger
	}
	slices.SortStableFunc(edges, func(a, b graphEdge) int {
		return cmp.Or(
			cmp.Compare(first[[3]string{a.namespace, "\x00"}], first[[3]string{b.namespace, "\x00"}]),
			cmp.Compare(first[[3]string{a.namespace, a.resource, "\x00"}], first[[3]string{b.namespace, b.resource, "\x00"}]),
			cmp.Compare(first[[3]string{a.namespace, a.resource, a.name}], first[[3]string{b.namespace, b.resource, b.name}]),
		)
	})
	return edges, left
}

// ContextTimeline is a context over time: one line for each actor, a point for each event in its verb's
// colour, the trigger as a ring. It fails for a context without events.
func ContextTimeline(id, title, note string, events []ContextEvent) (*Figure, error) {
	if len(events) == 0 {
		return nil, fmt.Errorf("draw %s: the context has no events", id)
	}
	var actors, verbs []string
	end := 0.0
	for _, e := range events {
		if !slices.Contains(actors, e.Actor) {
			actors = append(actors, e.Actor)
		}
		if !slices.Contains(verbs, e.Verb) {
			verbs = append(verbs, e.Verb)
		}
		end = math.Max(end, e.After.Seconds())
	}
	slices.Sort(verbs)
	f := newFigure(id, title, 7*vg.Inch, vg.Points(90+18*float64(len(actors))))
	f.Note = note
	f.legend.TextStyle.Font.Size = vg.Points(9)
	shapes := []draw.GlyphDrawer{draw.CircleGlyph{}, draw.PyramidGlyph{}, draw.BoxGlyph{}, draw.PlusGlyph{}}
	var ticks plot.ConstantTicks
	style := sans(9, draw.XRight)
	for i, a := range actors {
		ticks = append(ticks, plot.Tick{Value: float64(len(actors) - i), Label: fit(style, Printable(a), vg.Points(170))})
	}
	for i, v := range verbs {
		var xys plotter.XYs
		for _, e := range events {
			if e.Verb == v {
				xys = append(xys, plotter.XY{X: e.After.Seconds(), Y: float64(len(actors) - slices.Index(actors, e.Actor))})
			}
		}
		if err := f.add(Printable(v), xys, verbColour(v), shapes[i%len(shapes)]); err != nil {
			return nil, err
		}
	}
	for _, e := range events {
		if !e.Trigger {
			continue
		}
		ring, err := plotter.NewScatter(plotter.XYs{{X: e.After.Seconds(), Y: float64(len(actors) - slices.Index(actors, e.Actor))}})
		if err != nil {
			return nil, fmt.Errorf("draw %s: %w", id, err)
		}
		ring.GlyphStyle = draw.GlyphStyle{Color: color.Black, Radius: vg.Points(6), Shape: draw.RingGlyph{}}
		f.plot.Add(ring)
	}
	x, y := &f.plot.X, &f.plot.Y
	x.Label.Text = "seconds after the first event"
	end = math.Max(end, .001)
	x.Min, x.Max = -end*.02, end*1.02
	x.Tick.Marker = evenTicks(0, end)
	y.Min, y.Max = .4, float64(len(actors))+.6
	y.Tick.Marker = ticks
	y.Tick.Label.Font.Size = vg.Points(9)
	return f, nil
}

// sizeBins are those of the paper's Figure 10: from so many events on.
func sizeBins() []sizeBin {
	return []sizeBin{{1, "1 to 5"}, {5, "5 to 10"}, {10, "10 to 20"}, {20, "20 to 50"}, {50, "50 to 100"}, {100, "100 and more"}}
}

type sizeBin struct {
	from float64
	name string
}

// binned counts the sizes in each of the bins. It fails for a size that no context can have.
func binned(sizes []float64) ([]int, error) {
	bins := sizeBins()
	counts := make([]int, len(bins))
	for _, s := range sizes {
		if !(s >= 1 && s < math.Inf(1)) {
			return nil, fmt.Errorf("a label's contexts have %g events on average", s)
		}
		for i, b := range slices.Backward(bins) {
			if s >= b.from {
				counts[i]++
				break
			}
		}
	}
	return counts, nil
}

// ContextSizes is the paper's Figure 10: how many labels have contexts of which average size. Sizes is
// the mean number of events of the contexts of each label. It fails where there is none.
func ContextSizes(note string, sizes []float64) (*Figure, error) {
	if len(sizes) == 0 {
		return nil, fmt.Errorf("draw figure10: no labels")
	}
	counts, err := binned(sizes)
	if err != nil {
		return nil, fmt.Errorf("draw figure10: %w", err)
	}
	bins, largest := sizeBins(), max(1, slices.Max(counts))
	const left, length, row = 110.0, 300.0, 30.0
	f := &Figure{ID: "figure10", Title: "Figure 10: labels by the average size of their contexts", Note: note, width: vg.Points(left + length + 60), height: vg.Points(float64(len(bins))*row + 44)}
	f.paint = func(c draw.Canvas) {
		name, number := sans(10, draw.XRight), sans(10, draw.XLeft)
		for i, b := range bins {
			y := vg.Points(6 + (float64(i)+.5)*row)
			c.FillText(name, top(c, vg.Point{X: vg.Points(left - 8), Y: y}), b.name)
			end := vg.Points(left + length*float64(counts[i])/float64(largest))
			p, q := top(c, vg.Point{X: vg.Points(left), Y: y + vg.Points(10)}), top(c, vg.Point{X: end, Y: y - vg.Points(10)})
			c.FillPolygon(color.NRGBA{R: 0x30, G: 0x70, B: 0xc8, A: 0xff}, []vg.Point{p, {X: q.X, Y: p.Y}, q, {X: p.X, Y: q.Y}})
			c.FillText(number, top(c, vg.Point{X: end + vg.Points(5), Y: y}), fmt.Sprintf("%d (%.0f %%)", counts[i], 100*float64(counts[i])/float64(len(sizes))))
		}
		foot := sans(9, draw.XLeft)
		c.FillText(foot, top(c, vg.Point{X: vg.Points(left), Y: vg.Points(float64(len(bins))*row + 20)}), "number of labels (share), by the average number of events of a context")
	}
	return f, nil
}

// SizeTable has the numbers of [ContextSizes] for all labels and for those of people's contexts, beside what
// the paper says of its own. Sizes must be such as ContextSizes takes.
func SizeTable(all, user []float64, paper PaperCorpus, note string) *Table {
	t := &Table{
		ID: "figure10", Title: "Labels by the average size of their contexts", Note: note,
		Columns: []string{"events of a context", "labels", "share", "of people's contexts", "share", "paper: labels"},
	}
	a, errAll := binned(all)
	u, errUser := binned(user)
	if errAll != nil || errUser != nil {
		return t
	}
	theirs := func(from float64) string {
		switch from {
		case 1:
			return fmt.Sprintf("%.0f %%", 100*paper.Sizes[0].Share)
		case 5:
			return "more than half\nwith all below"
		case 50:
			return fmt.Sprintf("%d\nwith the row below", paper.LabelsOf50)
		case 100:
			return fmt.Sprint(paper.LabelsOf100)
		}
		return none
	}
	share := func(n, of int) string {
		if of == 0 {
			return none
		}
		return fmt.Sprintf("%.1f %%", 100*float64(n)/float64(of))
	}
	for i, b := range sizeBins() {
		t.Rows = append(t.Rows, []string{b.name, fmt.Sprint(a[i]), share(a[i], len(all)), fmt.Sprint(u[i]), share(u[i], len(user)), theirs(b.from)})
	}
	return t
}
