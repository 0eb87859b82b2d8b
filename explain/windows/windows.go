// Package windows makes a problem of explanation from a trained model and a log: each row is a window
// of events, and the class that the network gives it is the label of the event at its centre.
package windows

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"k8ntext/dataset"
	"k8ntext/dataset/label"
	"k8ntext/explain"
	"k8ntext/explain/tree"
	"k8ntext/model"
)

// Components of a label that can be explained by themselves.
const (
	Label       = "label" // all five together: the default
	Resource    = "resource"
	Subresource = "subresource"
	Verb        = "verb"
	Namespaced  = "namespaced"
	Single      = "single"
)

// Components lists them.
func Components() []string { return []string{Label, Resource, Subresource, Verb, Namespaced, Single} }

// Options say which windows are taken and what of them is explained. The zero value is the default.
type Options struct {
	Component string // one of [Components]; "": Label
	// Position is the explained event's place in its window, from 1; 0: the centre, W/2+1.
	Position int
	// Rows bounds the windows: of more, so many are taken, evenly over time; 0: 4000, negative: all.
	Rows int
	// Include lists events whose windows are taken in any case, beyond Rows.
	Include []int32
	// Events, where not nil, are the only events that windows may hold, ascending.
	Events []int32
	// Seen takes windows with events that the model was trained on too; else such windows are left out.
	Seen bool
	Vote model.VoteOptions // device, threads and batch of the network
}

const defaultRows = 4000

// Rows is a problem with what its rows are.
type Rows struct {
	*explain.Problem
	Centre   []int32 // event of the corpus that each row explains
	Position int     // of that event in its window, from 0

	tagger  *model.Tagger
	labeler *model.WindowLabeler
	classes map[string]int32
	part    string
	ids     []int32 // of all events of the corpus
}

// Close frees the network.
func (r *Rows) Close() error { return r.labeler.Close() }

// New makes the problem. The corpus needs no labels; where it has them they are the rows' truth.
//
// It fails for options out of range, for a corpus shorter than a window, and where no window is left
// because the model was trained on all of them.
func New(t *model.Tagger, c *dataset.Corpus, o Options) (*Rows, error) {
	fail := func(err error) (*Rows, error) {
		return nil, fmt.Errorf("take windows of %s to explain: %w", c.Name, err)
	}
	length := t.Config.Window
	if o.Component == "" {
		o.Component = Label
	}
	if !slices.Contains(Components(), o.Component) {
		return fail(fmt.Errorf("unknown component %q: use one of %s", o.Component, strings.Join(Components(), ", ")))
	}
	if o.Position == 0 {
		o.Position = length/2 + 1
	}
	if o.Position < 1 || o.Position > length {
		return fail(fmt.Errorf("position %d of windows of %d events: give 1 to %d", o.Position, length, length))
	}
	if o.Rows == 0 {
		o.Rows = defaultRows
	}
	starts, seen, err := choose(t, c, o)
	if err != nil {
		return fail(err)
	}
	r := &Rows{Position: o.Position - 1, tagger: t, classes: make(map[string]int32), part: o.Component}
	m := t.Encoder.Matrix(c.Events)
	r.ids = m.IDs

	fields := t.Encoder.Profile().Fields()
	table, err := tree.NewTable(len(starts), length*len(fields), func(f int, dst []int32) {
		event, field := f/len(fields), f%len(fields)
		for i, s := range starts {
			dst[i] = m.IDs[(int(s)+event)*m.Fields+field]
		}
	})
	if err != nil {
		return fail(err)
	}
	name := o.Component
	if o.Component == Label {
		name = "the label"
	}
	p := &explain.Problem{
		Name: fmt.Sprintf("%s of %s", name, c.Name), Teacher: (*teacher)(r), Table: table, Reach: length, Seen: seen,
		Decode: func(f int, id int32) string {
			return Printable(t.Encoder.Decode(f%len(fields), id))
		},
		Unknown: func(f int) int32 { return t.Encoder.UnknownID(f % len(fields)) },
	}
	for f := range length * len(fields) {
		p.Features = append(p.Features, explain.Feature{Field: fields[f%len(fields)].Path, Offset: f/len(fields) - r.Position, Nominal: true})
	}
	for _, l := range append([]label.Label{label.Unknown}, t.Space.Labels()...) {
		if name := r.name(l); !has(r.classes, name) {
			r.classes[name] = int32(len(p.Classes))
			p.Classes = append(p.Classes, name)
		}
	}
	for _, s := range starts {
		e := s + int32(r.Position)
		r.Centre = append(r.Centre, e)
		p.Time = append(p.Time, s)
		p.Group = append(p.Group, c.Context[e])
		p.Truth = append(p.Truth, r.class(c, c.Labels[e]))
		p.Own = append(p.Own, r.class(c, c.Own[e]))
	}
	p.Where = func(row int) string { return where(c, int(r.Centre[row])) }
	r.Problem = p
	o.Vote.Rule = model.RuleSum
	if r.labeler, err = t.WindowLabeler(o.Vote); err != nil {
		return fail(err)
	}
	return r, nil
}

func has(m map[string]int32, key string) bool {
	_, ok := m[key]
	return ok
}

// choose gives the first events of the windows, and whether the model was trained on any of theirs.
func choose(t *model.Tagger, c *dataset.Corpus, o Options) (starts []int32, seen bool, err error) {
	length := t.Config.Window
	if len(c.Events) < length {
		return nil, false, fmt.Errorf("it has %d events and a window %d: give a longer log", len(c.Events), length)
	}
	// run is how many events in a row may be in a window, ending with the one at hand.
	run, trained := 0, 0
	for e, event := range c.Events {
		allowed := o.Events == nil
		if !allowed {
			_, allowed = slices.BinarySearch(o.Events, int32(e))
		}
		known := allowed && t.Provenance.SeenInTraining(event)
		if known {
			trained++
			seen = true
		}
		if allowed && (!known || o.Seen) {
			run++
		} else {
			run = 0
		}
		if run >= length {
			starts = append(starts, int32(e+1-length))
		}
	}
	if len(starts) == 0 {
		if trained > 0 && !o.Seen {
			return nil, false, fmt.Errorf("the model was trained on %d of its %d events, and no window of %d others is left: use another corpus, a model that was trained on a part (--fold), or --include-seen, which the report will say",
				trained, len(c.Events), length)
		}
		return nil, false, errors.New("no window lies within the events that may be used")
	}
	if n := len(starts); o.Rows > 0 && n > o.Rows {
		kept := make([]int32, 0, o.Rows)
		for i, s := range starts {
			// Of n starts in Rows equal shares, the first of each share.
			if i == 0 || i*o.Rows/n != (i-1)*o.Rows/n || slices.Contains(o.Include, s+int32(o.Position)-1) {
				kept = append(kept, s)
			}
		}
		starts = kept
	}
	return starts, seen && o.Seen, nil
}

// name is the class that a label belongs to.
func (r *Rows) name(l label.Label) string {
	text := r.tagger.Space.Describe(l)
	if r.part == Label || l < 0 || l == r.tagger.Space.NonResource() {
		return text
	}
	// "delete apps/replicasets/status (one, namespaced)"
	verb, rest, _ := strings.Cut(text, " ")
	kind, flags, _ := strings.Cut(rest, " (")
	single, namespaced, _ := strings.Cut(strings.TrimSuffix(flags, ")"), ", ")
	group, kind, _ := strings.Cut(kind, "/")
	resource, sub, _ := strings.Cut(kind, "/")
	switch r.part {
	case Resource:
		return group + "/" + resource
	case Subresource:
		if sub == "" {
			return "no subresource"
		}
		return sub
	case Verb:
		return verb
	case Namespaced:
		return namespaced
	}
	return single
}

// class is the class of a label of the corpus' space; -1 where there is none.
func (r *Rows) class(c *dataset.Corpus, l label.Label) int32 {
	if l < 0 {
		return -1
	}
	// Spaces may number foreign groups differently: labels are compared by name.
	if c.Space.Name() != r.tagger.Space.Name() || !slices.Equal(c.Space.CRDGroups(), r.tagger.Space.CRDGroups()) {
		var err error
		if l, err = r.tagger.Space.Parse(c.Space.Describe(l)); err != nil {
			return -1
		}
	}
	if k, ok := r.classes[r.name(l)]; ok {
		return k
	}
	return -1
}

// where is where an event ends in its file.
func where(c *dataset.Corpus, event int) string {
	if stages := c.Events[event].Stages; len(stages) > 0 {
		if p := stages[len(stages)-1].Position; p.File != "" {
			return p.File + ":" + strconv.Itoa(p.Line)
		}
	}
	return fmt.Sprintf("event %d", event+1)
}

// Printable is a value as it may be shown: quoted if it has anything but plain text in it, and cut.
func Printable(s string) string {
	if len(s) > 60 {
		s = strings.ToValidUTF8(s[:60], "") + "…"
	}
	if s == "" || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) || r == '"' || r == '\\' }) {
		return strconv.Quote(s)
	}
	return s
}

// teacher is the network of rows as a Teacher.
type teacher Rows

func (t *teacher) Predict(ctx context.Context, rows [][]int32) ([]int32, error) {
	said, err := t.labeler.Label(ctx, rows, t.Position)
	if err != nil {
		return nil, err
	}
	out := make([]int32, len(said))
	for i, s := range said {
		out[i] = t.classes[(*Rows)(t).name(s.Label)]
	}
	return out, nil
}
