package query

import (
	"errors"

	"k8ntext/contexts"
	"k8ntext/dataset"
	"k8ntext/dataset/audit"
	"k8ntext/dataset/label"
)

// ErrNoContexts is returned for a log that does not say which contexts its events belong to.
var ErrNoContexts = errors.New("none of its events says which context it belongs to (the keys context and trigger): " +
	"use a labelled corpus, see k8ntext corpus list")

// Contexts are the true contexts of a corpus, in the order of their first events. Their triggers are copies
// of events of the corpus.
func Contexts(c *dataset.Corpus) ([]Context, error) {
	if len(c.Contexts) == 0 {
		return nil, ErrNoContexts
	}
	contexts := make([]Context, len(c.Contexts))
	names := make(map[label.Label]string)
	for i, t := range c.Contexts {
		x := &contexts[i]
		*x = Context{ID: t.ID, Operation: t.Operation, Parent: t.Parent, Events: make([]*audit.Event, len(t.Events))}
		for j, at := range t.Events {
			x.Events[j] = c.Events[at]
		}
		if t.Trigger < 0 {
			continue
		}
		x.Trigger = c.Events[t.Trigger]
		l := c.Own[t.Trigger]
		name, ok := names[l]
		if !ok {
			name = c.Space.Describe(l)
			names[l] = name
		}
		x.Label = name
	}
	gather(contexts)
	return contexts, nil
}

// Rebuilt makes contexts that were rebuilt from the events of a log ones that can be asked. The contexts
// are whole ones, see [contexts.Whole]; their members are the numbers of events. Their triggers are copies.
func Rebuilt(rebuilt []*contexts.Context, events []*audit.Event, space *label.Space) []Context {
	out := make([]Context, len(rebuilt))
	for i, c := range rebuilt {
		x := Context{ID: c.ID, Operation: c.Operation, Parent: c.Parent}
		if c.Label != label.Unknown {
			x.Label = space.Describe(c.Label)
		}
		if c.Trigger.Event >= 0 {
			x.Trigger = events[c.Trigger.Event]
		}
		for _, m := range c.Members {
			x.Events = append(x.Events, events[m.Event])
		}
		out[i] = x
	}
	gather(out)
	return out
}
