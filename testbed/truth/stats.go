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
	Contexts   int `json:"contexts"` // of people

	Classes []Count `json:"classes"`
	Unsure  []Count `json:"unsure"` // what is ambiguous
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
	for _, c := range r.Contexts {
		if c.Command != nil {
			s.Contexts++
		}
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
