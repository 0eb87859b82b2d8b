package dataset

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"

	"k8ntext/dataset/label"
)

// ActionCost is what actions of one kind leave in a log: of the contexts of people and CI accounts whose
// triggers have one label.
type ActionCost struct {
	Label    label.Label `json:"label"`
	Action   string      `json:"action"` // the label in words
	Contexts int         `json:"contexts"`
	Events   int         `json:"events"` // of all of them
	Median   float64     `json:"median"` // events of a context
	Largest  int         `json:"largest"`
	RawLines int         `json:"raw_lines"` // several stages of a request are a line each
	Bytes    int64       `json:"bytes"`     // of these lines, without line ends and with the corpus' own keys

	MedianBytes  int64 `json:"median_bytes"` // of a context
	LargestBytes int64 `json:"largest_bytes"`
}

// ActionCosts measures the actions in a corpus, by name or path: the costliest kind by events first. It
// fails as [Load] does, and for a corpus without contexts.
func ActionCosts(ctx context.Context, nameOrPath string, space *label.Space) ([]ActionCost, error) {
	c, err := Load(ctx, nameOrPath, space)
	if err != nil {
		return nil, err
	}
	if len(c.Contexts) == 0 {
		return nil, fmt.Errorf("count the events of actions in corpus %s: it has no contexts: use a labelled corpus of this project, see k8ntext corpus list", c.Name)
	}
	var lines lineLengths
	if err := Export(ctx, nameOrPath, &lines); err != nil {
		return nil, err
	}
	lines.end()
	costs := make(map[label.Label]*ActionCost)
	sizes := make(map[label.Label][]int)
	lengths := make(map[label.Label][]int64) // bytes of each context
	for _, x := range c.Contexts {
		if !x.User || x.Trigger < 0 || c.Own[x.Trigger] < 0 {
			continue
		}
		l := c.Own[x.Trigger]
		if costs[l] == nil {
			costs[l] = &ActionCost{Label: l, Action: c.Space.Describe(l)}
		}
		cost := costs[l]
		cost.Contexts++
		cost.Events += len(x.Events)
		cost.Largest = max(cost.Largest, len(x.Events))
		sizes[l] = append(sizes[l], len(x.Events))
		before := cost.Bytes
		for _, e := range x.Events {
			for _, stage := range c.Events[e].Stages {
				if n := stage.Position.Line; n >= 1 && n <= len(lines.lengths) {
					cost.RawLines++
					cost.Bytes += int64(lines.lengths[n-1])
				}
			}
		}
		lengths[l] = append(lengths[l], cost.Bytes-before)
		cost.LargestBytes = max(cost.LargestBytes, cost.Bytes-before)
	}
	all := make([]ActionCost, 0, len(costs))
	for l, cost := range costs {
		slices.Sort(sizes[l])
		n := len(sizes[l])
		cost.Median = float64(sizes[l][(n-1)/2]+sizes[l][n/2]) / 2
		slices.Sort(lengths[l])
		cost.MedianBytes = (lengths[l][(n-1)/2] + lengths[l][n/2]) / 2
		all = append(all, *cost)
	}
	slices.SortFunc(all, func(a, b ActionCost) int {
		return cmp.Or(cmp.Compare(b.Events, a.Events), cmp.Compare(a.Label, b.Label))
	})
	return all, nil
}

// lineLengths is a writer that keeps only how long each line is.
type lineLengths struct {
	lengths []int
	open    int // of the line that has not ended
}

func (l *lineLengths) Write(p []byte) (int, error) {
	n := len(p)
	for {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			l.open += len(p)
			return n, nil
		}
		l.lengths = append(l.lengths, l.open+i)
		l.open, p = 0, p[i+1:]
	}
}

// end counts a last line without an end.
func (l *lineLengths) end() {
	if l.open > 0 {
		l.lengths = append(l.lengths, l.open)
		l.open = 0
	}
}
