package dataset

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"k8ntext/dataset/label"
)

// ActionCount is how often people and CI accounts did one kind of action in each of several corpora.
type ActionCount struct {
	Action string `json:"action"` // the label of the contexts' triggers, in words
	Counts []int  `json:"counts"` // contexts, for each corpus
}

// CountActions counts the actions of corpora, by name or path: the rarest over all of them first. It fails
// as [Load] does.
func CountActions(ctx context.Context, namesOrPaths []string, space *label.Space) ([]ActionCount, error) {
	// Labels of resources that no table knows are numbered as they come: only the words are the same everywhere.
	counts := make(map[string][]int)
	for i, name := range namesOrPaths {
		c, err := Load(ctx, name, space)
		if err != nil {
			return nil, fmt.Errorf("count the actions of corpora: %w", err)
		}
		for _, x := range c.Contexts {
			if !x.User || x.Trigger < 0 || c.Own[x.Trigger] < 0 {
				continue
			}
			action := c.Space.Describe(c.Own[x.Trigger])
			if counts[action] == nil {
				counts[action] = make([]int, len(namesOrPaths))
			}
			counts[action][i]++
		}
	}
	all := make([]ActionCount, 0, len(counts))
	for action, n := range counts {
		all = append(all, ActionCount{Action: action, Counts: n})
	}
	slices.SortFunc(all, func(a, b ActionCount) int {
		return cmp.Or(cmp.Compare(a.Of(len(namesOrPaths)), b.Of(len(namesOrPaths))), cmp.Compare(a.Action, b.Action))
	})
	return all, nil
}

// Of is how often the first n corpora hold it together.
func (a ActionCount) Of(n int) (total int) {
	for _, count := range a.Counts[:n] {
		total += count
	}
	return total
}
