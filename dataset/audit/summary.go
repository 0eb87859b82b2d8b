package audit

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Summary says what a reader read, what it left out, and why. Every item is accounted for:
// Items = Stages + Repeated + Late + Skipped, and after the last record Stages is the sum of the
// stages of all events, yielded or dropped by the filter.
type Summary struct {
	Files int   `json:"files"`
	Bytes int64 `json:"bytes"` // after decompression
	Lines int64 `json:"lines"` // raw lines
	Blank int64 `json:"blank"` // of these: with nothing on them
	Lists int64 `json:"lists"` // EventLists, batches and arrays

	Items    int64 `json:"items"`    // lines and elements of lists that should be one logged stage each
	Stages   int64 `json:"stages"`   // of these: merged into events
	Repeated int64 `json:"repeated"` // delivered more than once
	Late     int64 `json:"late"`     // came after their event had left
	Skipped  int64 `json:"skipped"`  // bad: see Problems

	Events     int64 `json:"events"`       // requests: kept, background and removed together
	Unfinished int64 `json:"unfinished"`   // without an end when they left
	Hurried    int64 `json:"hurried"`      // left before the window had passed, to bound memory
	OutOfOrder int64 `json:"out_of_order"` // received before an event that had left already

	Background int64   `json:"background"` // events that a filter rule calls background
	Removed    int64   `json:"removed"`    // events that a filter rule removes
	Dropped    int64   `json:"dropped"`    // events that the filter's mode did not let through
	Rules      []Count `json:"rules"`      // events by the filter rule that decided
	Problems   []Count `json:"problems"`   // problems by kind, also those that cost no item

	First time.Time `json:"first,omitzero"` // receive times of the events
	Last  time.Time `json:"last,omitzero"`
}

// Count is how often something named was met.
type Count struct {
	Name  string `json:"name"`
	Count int64  `json:"count"`
}

// String gives the summary as a few lines of text, those that say "none" left out.
func (s Summary) String() string {
	var b strings.Builder
	line := func(n int64, format string, args ...any) {
		if n != 0 {
			fmt.Fprintf(&b, format+"\n", args...)
		}
	}
	line(1, "files %d: %d lines, %d bytes, %d items", s.Files, s.Lines, s.Bytes, s.Items)
	line(s.Lists, "  %d lists", s.Lists)
	line(s.Blank, "  %d blank lines", s.Blank)
	line(1, "events %d of %d stages", s.Events, s.Stages)
	if !s.First.IsZero() {
		line(1, "  received %s to %s", s.First.UTC().Format(time.RFC3339Nano), s.Last.UTC().Format(time.RFC3339Nano))
	}
	line(s.Unfinished, "  %d without an end", s.Unfinished)
	line(s.Hurried, "  %d left early to bound memory", s.Hurried)
	line(s.OutOfOrder, "  %d out of order", s.OutOfOrder)
	line(s.Repeated, "repeated stages %d", s.Repeated)
	line(s.Late, "late stages %d", s.Late)
	line(int64(len(s.Rules)), "filter: %d background, %d removed; %d events dropped", s.Background, s.Removed, s.Dropped)
	for _, c := range s.Rules {
		line(1, "  %d %s", c.Count, c.Name)
	}
	line(int64(len(s.Problems)), "problems, %d items skipped", s.Skipped)
	for _, c := range s.Problems {
		line(1, "  %d %s", c.Count, c.Name)
	}
	return b.String()
}

// tally counts while reading.
type tally struct {
	sum      Summary
	rules    map[string]int64
	problems map[string]int64
}

func newTally() *tally {
	return &tally{rules: map[string]int64{}, problems: map[string]int64{}}
}

func (t *tally) problem(p *Problem) {
	t.problems[p.Kind]++
	if p.Skipped {
		t.sum.Skipped++
	}
}

// add adds what another tally counted of items: events are counted when they leave.
func (t *tally) add(o *tally) {
	s := &t.sum
	s.Bytes += o.sum.Bytes
	s.Lines += o.sum.Lines
	s.Blank += o.sum.Blank
	s.Lists += o.sum.Lists
	s.Items += o.sum.Items
	s.Skipped += o.sum.Skipped
	for kind, n := range o.problems {
		t.problems[kind] += n
	}
}

// decide counts an event that leaves and says whether the filter lets it through.
func (t *tally) decide(f Filter, e *Event) bool {
	s := &t.sum
	s.Events++
	if at := e.RequestReceived; !at.IsZero() {
		if s.First.IsZero() || at.Before(s.First) {
			s.First = at
		}
		if at.After(s.Last) {
			s.Last = at
		}
	}
	decision, rule := f.Decide(e)
	switch decision {
	case Background:
		s.Background++
	case Remove:
		s.Removed++
	}
	if rule != "" {
		t.rules[rule]++
	}
	if !f.keeps(decision) {
		s.Dropped++
		return false
	}
	return true
}

func (t *tally) summary() Summary {
	s := t.sum
	s.Rules, s.Problems = counts(t.rules), counts(t.problems)
	return s
}

func counts(m map[string]int64) []Count {
	cs := make([]Count, 0, len(m))
	for _, name := range slices.Sorted(maps.Keys(m)) {
		cs = append(cs, Count{name, m[name]})
	}
	slices.SortStableFunc(cs, func(a, b Count) int { return cmp.Compare(b.Count, a.Count) })
	return cs
}
