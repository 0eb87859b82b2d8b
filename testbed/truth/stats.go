package truth

import (
	"cmp"
	"slices"
	"strings"
)

// Stats are the sizes of a labelled recording, in requests but for Lines.
type Stats struct {
	Lines      int `json:"raw_lines"`
	Requests   int `json:"requests"`
	Dropped    int `json:"dropped"` // before the start, and the recording's own
	Direct     int `json:"direct"`
	Caused     int `json:"caused"`
	Background int `json:"background"`
	Ambiguous  int `json:"ambiguous"`
	Contexts   int `json:"contexts"`   // of people
	Operations int `json:"operations"` // commands that sent anything

	ContextSizes   Sizes `json:"context_sizes"`
	OperationSizes Sizes `json:"operation_sizes"`

	Classes []Count `json:"classes"`
	Unsure  []Count `json:"unsure"` // what is ambiguous
}

// Sizes counts contexts by their number of events.
type Sizes struct {
	Of1   int `json:"1-4"`
	Of5   int `json:"5-19"`
	Of20  int `json:"20-49"`
	Of50  int `json:"50-99"`
	Of100 int `json:"100+"`
}

func (s *Sizes) add(n int) {
	switch {
	case n >= 100:
		s.Of100++
	case n >= 50:
		s.Of50++
	case n >= 20:
		s.Of20++
	case n >= 5:
		s.Of5++
	default:
		s.Of1++
	}
}

// Count is how often something occurs.
type Count struct {
	What string `json:"what"`
	N    int    `json:"n"`
}

// Stats counts.
func (r *Recording) Stats() Stats {
	s := Stats{Lines: r.Log.Lines, Requests: len(r.Log.Requests)}
	classes, unsure := make(map[string]int), make(map[string]int)
	for _, q := range r.Log.Requests {
		c := q.verdict.context()
		switch {
		case c == nil:
			s.Ambiguous++
			unsure[strings.Join([]string{q.verdict.class, q.worker(), q.Verb, q.Resource + "/" + q.Subresource}, " ")]++
			classes["ambiguous"]++
			continue
		case c.dropped:
			s.Dropped++
		case c.Command == nil:
			s.Background++
		case q.command != nil:
			s.Direct++
		default:
			s.Caused++
		}
		classes[q.verdict.class]++
	}
	operations := make(map[*Command]int)
	for _, c := range r.Contexts {
		if c.Command != nil {
			s.Contexts++
			s.ContextSizes.add(len(c.Requests))
			operations[c.Command] += len(c.Requests)
		}
	}
	s.Operations = len(operations)
	for _, n := range operations {
		s.OperationSizes.add(n)
	}
	s.Classes, s.Unsure = sortedCounts(classes), sortedCounts(unsure)
	return s
}

func sortedCounts(m map[string]int) []Count {
	list := make([]Count, 0, len(m))
	for what, n := range m {
		list = append(list, Count{what, n})
	}
	slices.SortFunc(list, func(a, b Count) int { return cmp.Or(cmp.Compare(b.N, a.N), cmp.Compare(a.What, b.What)) })
	return list
}
