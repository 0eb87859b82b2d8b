// Package windows makes a problem of explanation from a trained model and a log: each row is a window
// of events, and the class that the network gives it is the label of the event at its centre.
//
// A row holds all that the model's answer depends on and nothing else: the values of the window's fields
// and, for a model that copies labels, the own labels of the events that the centre is tied to, as the
// features tie(NAME)@0. So every row can be put to the model again with something changed.
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
	// Tie is which of the events that the explained one is tied to has the label that the model gives, the
	// first in the model's order: of a model that copies labels the shortest account. A class is the name
	// of a tie, or "none of them".
	Tie = "tie"
)

// Components lists them.
func Components() []string {
	return []string{Label, Resource, Subresource, Verb, Namespaced, Single, Tie}
}

// noTie is the class of a label that no tied event has as its own.
const noTie = "none of them"

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
	ties    []string // that the model copies labels from; none for a model that does not
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
	if o.Component == Tie && !t.Config.Copy {
		return fail(errors.New("the model copies no labels, so it has no ties to explain: use another component"))
	}
	logs := logsOf(c, o.Events)
	starts, seen, err := choose(t, c, logs, o)
	if err != nil {
		return fail(err)
	}
	r := &Rows{Position: o.Position - 1, tagger: t, classes: make(map[string]int32), part: o.Component}
	if t.Config.Copy {
		r.ties = t.Encoder.TieNames()
	}
	ids, tied := t.Encoder.Parts(c.Events, logs)
	own := make([]label.Label, len(c.Events))
	for i, e := range c.Events {
		own[i] = t.Space.Own(e)
	}
	tiedTo := func(event int32, tie int) label.Label {
		if x := tied.Row(int(event))[tie]; x >= 0 {
			return own[x]
		}
		return label.Unknown
	}

	fields := t.Encoder.Profile().Fields()
	coded := length * len(fields) // features that are ids; ties follow
	table, err := tree.NewTable(len(starts), coded+len(r.ties), func(f int, dst []int32) {
		event, field := f/len(fields), f%len(fields)
		for i, s := range starts {
			if f < coded {
				dst[i] = ids.IDs[(int(s)+event)*ids.Fields+field]
			} else {
				dst[i] = int32(tiedTo(s+int32(r.Position), f-coded))
			}
		}
	})
	if err != nil {
		return fail(err)
	}
	name := o.Component
	switch o.Component {
	case Label:
		name = "the label"
	case Tie:
		name = "whose label it is"
	}
	p := &explain.Problem{
		Name: fmt.Sprintf("%s of %s", name, c.Name), Teacher: (*teacher)(r), Table: table, Reach: length, Seen: seen,
		Decode: func(f int, id int32) string {
			if f < coded {
				return Printable(t.Encoder.Decode(f%len(fields), id))
			}
			return Printable(describeTie(t.Space, label.Label(id)))
		},
		Unknown: func(f int) int32 {
			if f < coded {
				return t.Encoder.UnknownID(f % len(fields))
			}
			return int32(label.Unknown)
		},
	}
	for f := range coded {
		path := fields[f%len(fields)].Path
		p.Features = append(p.Features, explain.Feature{Field: path, Offset: f/len(fields) - r.Position, Nominal: true, Kin: kin(path)})
	}
	for _, tie := range r.ties {
		p.Features = append(p.Features, explain.Feature{Field: "tie(" + tie + ")", Nominal: true, Kin: tie})
	}
	for _, name := range r.classNames() {
		if !has(r.classes, name) {
			r.classes[name] = int32(len(p.Classes))
			p.Classes = append(p.Classes, name)
		}
	}
	around := make([]label.Label, len(r.ties))
	for _, s := range starts {
		e := s + int32(r.Position)
		r.Centre = append(r.Centre, e)
		p.Time = append(p.Time, s)
		p.Group = append(p.Group, c.Context[e])
		for k := range around {
			around[k] = tiedTo(e, k)
		}
		p.Truth = append(p.Truth, r.class(r.inSpace(c, c.Labels[e]), around))
		p.Own = append(p.Own, r.class(own[e], around))
	}
	p.Where = func(row int) string { return where(c, int(r.Centre[row])) }
	r.Problem = p
	o.Vote.Rule = model.RuleSum
	if r.labeler, err = t.WindowLabeler(o.Vote); err != nil {
		return fail(err)
	}
	return r, nil
}

// kin is the relation or the part of an event that a field tells of: what comes before the first dot.
func kin(path string) string {
	first, _, _ := strings.Cut(path, ".")
	return first
}

// describeTie names the own label of a tied event.
func describeTie(space *label.Space, l label.Label) string {
	if l < 0 {
		return "(no such event)"
	}
	return space.Describe(l)
}

func has(m map[string]int32, key string) bool {
	_, ok := m[key]
	return ok
}

// logsOf cuts a corpus into the logs that it was made of, and leaves out what may not be used. Windows lie
// within one log, and so do relations between events.
func logsOf(c *dataset.Corpus, events []int32) [][]int32 {
	recordings := c.Recordings
	if recordings == nil {
		recordings = []dataset.Recording{{To: len(c.Events)}}
	}
	var logs [][]int32
	for _, r := range recordings {
		var log []int32
		for e := int32(r.From); e < int32(r.To); e++ {
			allowed := events == nil
			if !allowed {
				_, allowed = slices.BinarySearch(events, e)
			}
			if allowed {
				log = append(log, e)
			}
		}
		logs = append(logs, log)
	}
	return logs
}

// choose gives the first events of the windows, and whether the model was trained on any of theirs.
func choose(t *model.Tagger, c *dataset.Corpus, logs [][]int32, o Options) (starts []int32, seen bool, err error) {
	length := t.Config.Window
	if len(c.Events) < length {
		return nil, false, fmt.Errorf("it has %d events and a window %d: give a longer log", len(c.Events), length)
	}
	// run is how many events in a row may be in a window, ending with the one at hand.
	trained := 0
	for _, log := range logs {
		run := 0
		for i, e := range log {
			if i > 0 && log[i-1] != e-1 {
				run = 0
			}
			known := t.Provenance.SeenInTraining(c.Events[e])
			if known {
				trained++
				seen = true
			}
			if run++; known && !o.Seen {
				run = 0
			}
			if run >= length {
				starts = append(starts, e+1-int32(length))
			}
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

// classNames are the names of all classes that the model can give.
func (r *Rows) classNames() []string {
	if r.part == Tie {
		return append([]string{noTie}, r.ties...)
	}
	var names []string
	for _, l := range append([]label.Label{label.Unknown}, r.tagger.Space.Labels()...) {
		names = append(names, r.name(l))
	}
	return names
}

// inSpace is a label of the corpus' space in the model's; unknown where it has none such.
func (r *Rows) inSpace(c *dataset.Corpus, l label.Label) label.Label {
	// Spaces may number foreign groups differently: labels are compared by name.
	if l < 0 || c.Space.Name() == r.tagger.Space.Name() && slices.Equal(c.Space.CRDGroups(), r.tagger.Space.CRDGroups()) {
		return l
	}
	l, err := r.tagger.Space.Parse(c.Space.Describe(l))
	if err != nil {
		return label.Unknown
	}
	return l
}

// class is the class of a label that is given to an event with these ties; -1 where there is none.
func (r *Rows) class(l label.Label, tied []label.Label) int32 {
	if l < 0 {
		return -1
	}
	name := ""
	if r.part == Tie {
		name = r.tie(l, tied)
	} else {
		name = r.name(l)
	}
	if k, ok := r.classes[name]; ok {
		return k
	}
	return -1
}

// tie is the first of the tied events that has a label as its own.
func (r *Rows) tie(l label.Label, tied []label.Label) string {
	if k := slices.Index(tied, l); k >= 0 && l >= 0 {
		return r.ties[k]
	}
	return noTie
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
	coded := t.Table.Features() - len(t.ties)
	windows, tied := make([][]int32, len(rows)), make([][]label.Label, len(rows))
	for i, row := range rows {
		windows[i] = row[:coded]
		for _, l := range row[coded:] {
			tied[i] = append(tied[i], label.Label(l))
		}
	}
	said, err := t.labeler.Label(ctx, windows, tied, t.Position)
	if err != nil {
		return nil, err
	}
	out := make([]int32, len(said))
	for i, s := range said {
		name := (*Rows)(t).name(s.Label)
		if t.part == Tie {
			name = (*Rows)(t).tie(s.Label, tied[i])
		}
		out[i] = t.classes[name]
	}
	return out, nil
}
