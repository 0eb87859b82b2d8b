package feature

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"sync"

	"k8ntext/dataset/audit"
)

// Ids that every field of [Honest] and [Linked] has, whatever events it was fitted on. [Paper] has none of them.
const (
	idUnknown = 0
	idAbsent  = 1
	idEmpty   = 2
	idFirst   = 3
)

// What values without a text are called.
const (
	textAbsent = "(absent)"
	textEmpty  = "(empty)"
	textNull   = "(null)"
)

// Bounds of an encoder's vocabularies. Values beyond them are unknown; a model file that breaks them is refused.
const (
	maxVocabularyBytes = 8 << 20 // text of all fields together
	maxVocabulary      = 1<<16 - 1
)

// Encoder is a profile with vocabularies: it gives every value of every field its id. It does not change
// after it is made and may be used by several goroutines. Make one with [Fit], or by unmarshalling
// the JSON of another.
type Encoder struct {
	profile Profile
	columns []column
	bodies  *tree
	slots   [][]int // of each field, the slots that its read is given
	spare   sync.Pool
}

// column is one field's vocabulary.
type column struct {
	words []word
	ids   map[string]int32 // of words that have a text
	null  int32            // of the word null; -1: it has none
}

// word is one value with an id. Only [Paper] has null as a word.
type word struct {
	null bool
	text string
}

// Fit makes the encoder of a profile whose vocabularies are the values of these events, and of no
// others. Each of the parts is a log of its own. The same events in the same order give the same
// encoder.
//
// Paper: ids in order of first appearance. Honest: sorted by text; of more than 256 values of a
// field the most frequent are kept, of equals the alphabetically first. A value of more than 1 KiB
// gets no id, nor does one that comes after 65,535 values of its field or 8 MiB of values in all.
func Fit(p Profile, parts ...[]*audit.Event) *Encoder {
	e := newEncoder(p)
	counts := make([]map[string]int, len(p.fields))
	for f := range counts {
		counts[f] = map[string]int{}
	}
	bytes := 0
	count := func(_, f int, v value) {
		if v.state != present {
			if p.rising && e.columns[f].null < 0 {
				e.columns[f].add(word{null: true})
			}
			return
		}
		if counts[f][v.text]++; counts[f][v.text] > 1 {
			return
		}
		if len(v.text) > maxText || len(counts[f]) > maxVocabulary-1 || bytes+len(v.text) > maxVocabularyBytes {
			delete(counts[f], v.text)
			return
		}
		bytes += len(v.text)
		if p.rising {
			e.columns[f].add(word{text: v.text})
		}
	}
	for _, events := range parts {
		e.each(events, count)
	}
	if !p.rising {
		for f := range e.columns {
			for _, text := range mostFrequent(counts[f], p.limit) {
				e.columns[f].add(word{text: text})
			}
		}
	}
	return e
}

// mostFrequent is at most limit keys of counts, the largest counts first chosen, in alphabetical order.
func mostFrequent(counts map[string]int, limit int) []string {
	texts := slices.Sorted(maps.Keys(counts))
	if len(texts) > limit {
		slices.SortStableFunc(texts, func(a, b string) int { return cmp.Compare(counts[b], counts[a]) })
		texts = texts[:limit]
		slices.Sort(texts)
	}
	return texts
}

// newEncoder is an encoder without vocabularies.
func newEncoder(p Profile) *Encoder {
	e := &Encoder{profile: p, columns: make([]column, len(p.fields)), bodies: newTree(), slots: make([][]int, len(p.fields))}
	for f, field := range p.fields {
		e.columns[f] = column{ids: map[string]int32{}, null: -1}
		for _, path := range field.needs {
			e.slots[f] = append(e.slots[f], e.bodies.add(path))
		}
	}
	e.spare.New = func() any { return newPicker(len(e.bodies.paths)) }
	return e
}

func (c *column) add(w word) {
	id := int32(len(c.words))
	c.words = append(c.words, w)
	if w.null {
		c.null = id
		return
	}
	c.ids[w.text] = id
}

// each reads every field of every event of one log, events in order and fields in order.
func (e *Encoder) each(events []*audit.Event, visit func(event, field int, v value)) {
	p := e.spare.Get().(*picker)
	defer e.spare.Put(p)
	if !e.profile.linked {
		for i, ev := range events {
			e.read(p, &row{event: ev}, func(f int, v value) { visit(i, f, v) })
		}
		return
	}
	relate(events, func(i int, r *relations) {
		e.read(p, &row{event: events[i], relations: r}, func(f int, v value) { visit(i, f, v) })
	})
}

// relate gives every event of one log its relations. Deeds have the events' places as tags.
func relate(events []*audit.Event, visit func(event int, r *relations)) {
	links, given := newLinker(), 0
	give := func(end bool) {
		for w, ok := links.next(end); ok; w, ok = links.next(end) {
			visit(given, &w.relations)
			given++
		}
	}
	for i, ev := range events {
		links.push(ev, int32(i))
		give(false)
	}
	give(true)
}

// read reads every field of one event, in order. r has the event and, if the profile needs them, its
// relations.
func (e *Encoder) read(p *picker, r *row, visit func(field int, v value)) {
	p.clear()
	p.pick(e.bodies, "requestObject", r.event.RequestObject)
	p.pick(e.bodies, "responseObject", r.event.ResponseObject)
	if e.profile.rising {
		r.agent = paperAgent(r.event.UserAgent)
	} else {
		r.agent = honestAgent(r.event.UserAgent)
		r.request = parseRequest(r.event.RequestURI)
	}
	var in [16]slot
	for f := range e.profile.fields {
		given := in[:0]
		for _, s := range e.slots[f] {
			given = append(given, p.slots[s])
		}
		visit(f, e.profile.fields[f].read(r, given).clean())
	}
}

// Profile is the table of fields that the encoder was made for.
func (e *Encoder) Profile() Profile { return e.profile }

// Sizes is the number of ids of each field, special ids included: ids are 0 to size-1.
func (e *Encoder) Sizes() []int {
	sizes := make([]int, len(e.columns))
	for f, c := range e.columns {
		sizes[f] = len(c.words) + idFirst
		if e.profile.rising {
			sizes[f] = len(c.words) + 1
		}
	}
	return sizes
}

// Encode writes the ids of an event's fields to dst, as if it were the only event of its log. It panics if
// dst has another length than the profile has fields: that is a mistake in the program, not in the data.
func (e *Encoder) Encode(ev *audit.Event, dst []int32) {
	e.check(dst)
	e.each([]*audit.Event{ev}, func(_, f int, v value) { dst[f] = e.id(f, v) })
}

func (e *Encoder) check(dst []int32) {
	if len(dst) != len(e.columns) {
		panic(fmt.Sprintf("feature: encode into %d ids, but profile %s has %d fields", len(dst), e.profile.name, len(e.columns)))
	}
}

func (e *Encoder) id(f int, v value) int32 {
	c := &e.columns[f]
	switch v.state {
	case absent:
		return e.AbsentID(f)
	case empty:
		return idEmpty // no field of Paper has this state
	}
	id, known := c.ids[v.text]
	switch {
	case !known:
		return e.UnknownID(f)
	case e.profile.rising:
		return id
	}
	return id + idFirst
}

// UnknownID is the id of every value of the field that the encoder was not fitted on. In [Paper] it is
// the next free id.
func (e *Encoder) UnknownID(field int) int32 {
	if e.profile.rising {
		return int32(len(e.columns[field].words))
	}
	return idUnknown
}

// AbsentID is the id of the field where an event does not have it. In [Paper] it is null's, which
// is unknown if null never occurred.
func (e *Encoder) AbsentID(field int) int32 {
	if !e.profile.rising {
		return idAbsent
	}
	if null := e.columns[field].null; null >= 0 {
		return null
	}
	return e.UnknownID(field)
}

// UserAgentFields lists the fields that derive from the client's user agent, which the client chooses
// freely: training may drop them at random so that a model does not rest on them alone.
func (e *Encoder) UserAgentFields() []int {
	var fields []int
	for f, field := range e.profile.fields {
		if field.agent {
			fields = append(fields, f)
		}
	}
	return fields
}

// Decode is the value that an id of a field stands for; "(unknown)", "(absent)", "(empty)" and
// "(null)" for those without one, and "(no such id)".
//
// A value of [Paper] is the text of the log, which may hold anything: quote it before it is shown.
func (e *Encoder) Decode(field int, id int32) string {
	if field < 0 || field >= len(e.columns) || id < 0 {
		return "(no such id)"
	}
	words := e.columns[field].words
	if !e.profile.rising {
		switch id {
		case idUnknown:
			return "(unknown)"
		case idAbsent:
			return textAbsent
		case idEmpty:
			return textEmpty
		}
		id -= idFirst
	} else if int(id) == len(words) {
		return "(unknown)"
	}
	switch {
	case int(id) >= len(words):
		return "(no such id)"
	case words[id].null:
		return textNull
	}
	return words[id].text
}

// Matrix holds the ids of several events: row i is IDs[i*Fields : (i+1)*Fields].
type Matrix struct {
	Rows, Fields int
	IDs          []int32
}

// Row is row i of the matrix, not a copy.
func (m Matrix) Row(i int) []int32 { return m.IDs[i*m.Fields : (i+1)*m.Fields : (i+1)*m.Fields] }

// Matrix encodes the events of one log, one row each.
func (e *Encoder) Matrix(events []*audit.Event) Matrix {
	m := e.newMatrix(len(events))
	e.each(events, func(i, f int, v value) { m.IDs[i*m.Fields+f] = e.id(f, v) })
	return m
}

// Parts encodes the events of the parts of a corpus, each of which is a log of its own: events in order,
// as indices. The matrix has a row for every event of the corpus; those of events in no part are of no
// use. An event in several parts has the row of the last. Of a profile with ties, so has the second
// matrix: the indices of the events that the event is tied to, in the order of [Encoder.Ties]; -1: none.
func (e *Encoder) Parts(events []*audit.Event, parts [][]int32) (ids, tied Matrix) {
	ids = e.newMatrix(len(events))
	tied = Matrix{Rows: len(events), Fields: e.Ties(), IDs: make([]int32, len(events)*e.Ties())}
	p := e.spare.Get().(*picker)
	defer e.spare.Put(p)
	for _, part := range parts {
		log := make([]*audit.Event, len(part))
		for i, x := range part {
			log[i] = events[x]
		}
		if !e.profile.linked {
			e.each(log, func(i, f int, v value) { ids.IDs[int(part[i])*ids.Fields+f] = e.id(f, v) })
			continue
		}
		relate(log, func(i int, r *relations) {
			at := int(part[i])
			e.read(p, &row{event: log[i], relations: r}, func(f int, v value) { ids.Row(at)[f] = e.id(f, v) })
			for k, d := range r.ties() {
				tied.Row(at)[k] = -1
				if d.there() {
					tied.Row(at)[k] = part[d.tag]
				}
			}
		})
	}
	return ids, tied
}

// Ties is the number of requests that an event can be tied to: 0 for all profiles but [Linked]. The
// first is the event itself, and in nearly all cases the request that caused the event is among them.
func (e *Encoder) Ties() int { return e.profile.Ties() }

// TieNames are what the ties are called, in their order: the words with which the paths of the fields
// begin that tell of the same request, and "self".
func (e *Encoder) TieNames() []string {
	names := tieNames()
	return names[:e.Ties()]
}

func (e *Encoder) newMatrix(rows int) Matrix {
	return Matrix{Rows: rows, Fields: len(e.columns), IDs: make([]int32, rows*len(e.columns))}
}

// Stream encodes a log event by event. It has the state of the log; one goroutine at a time may use it.
type Stream struct {
	encoder *Encoder
	links   *linker // nil if the profile needs none
	waiting []*audit.Event
	ended   bool
}

// Stream starts a log.
func (e *Encoder) Stream() *Stream {
	s := &Stream{encoder: e}
	if e.profile.linked {
		s.links = newLinker()
	}
	return s
}

// Push adds the next event. The tag is kept with what is remembered of the event, for [Stream.Next].
func (s *Stream) Push(ev *audit.Event, tag int32) {
	if s.links != nil {
		s.links.push(ev, tag)
		return
	}
	s.waiting = append(s.waiting, ev)
}

// End says that no event follows: what is waiting for later ones waits no longer.
func (s *Stream) End() { s.ended = true }

// Next returns the oldest event that it has not yet given; nil if there is none, or if it waits for later
// ones. It writes the event's ids to ids and to tied, which has [Encoder.Ties] places, the tags of the
// events that it is tied to; -1: none. It panics if a length is wrong, as [Encoder.Encode] does.
func (s *Stream) Next(ids, tied []int32) *audit.Event {
	s.encoder.check(ids)
	r := s.next()
	if r == nil {
		return nil
	}
	if r.relations != nil {
		for k, d := range r.relations.ties() {
			tied[k] = -1
			if d.there() {
				tied[k] = d.tag
			}
		}
	}
	s.read(r, func(f int, v value) { ids[f] = s.encoder.id(f, v) })
	return r.event
}

// NextText is [Stream.Next] without a vocabulary: it returns the values of the event's fields as
// [Encoder.Decode] writes them, for people to read.
func (s *Stream) NextText() (*audit.Event, []string) {
	r := s.next()
	if r == nil {
		return nil, nil
	}
	texts := make([]string, len(s.encoder.columns))
	s.read(r, func(f int, v value) {
		switch {
		case v.state == present:
			texts[f] = v.text
		case s.encoder.profile.rising:
			texts[f] = textNull
		case v.state == empty:
			texts[f] = textEmpty
		default:
			texts[f] = textAbsent
		}
	})
	return r.event, texts
}

// next is the oldest event that is known well enough; nil: there is none.
func (s *Stream) next() *row {
	if s.links != nil {
		w, ok := s.links.next(s.ended)
		if !ok {
			return nil
		}
		return &row{event: w.event, relations: &w.relations}
	}
	if len(s.waiting) == 0 {
		return nil
	}
	r := &row{event: s.waiting[0]}
	s.waiting = slices.Delete(s.waiting, 0, 1)
	return r
}

func (s *Stream) read(r *row, visit func(field int, v value)) {
	p := s.encoder.spare.Get().(*picker)
	defer s.encoder.spare.Put(p)
	s.encoder.read(p, r, visit)
}
