package contexts

import (
	"slices"
	"time"
)

// What the level full adds to identity: the label of a network says of what kind the trigger is, so it
// chooses where identity leaves several changes, has only a hint, or nothing. A label that fits none of
// what identity knows for sure is overruled.

// How long after a context's latest event a label alone may add to it.
const (
	labelReach = 5 * time.Minute
	hintReach  = time.Minute
	atWork     = 3 * time.Second // so long before a change components were still at an earlier one
)

// maxAlike bounds the contexts of one label that are looked back at.
const maxAlike = 32

// labelled looks at the label of an event whose cause identity found, or not.
func (b *Builder) labelled(x *event, c cause) cause {
	if x.label < 0 || c.group != nil && c.group.Label == x.label {
		return c
	}
	if c.group == nil {
		if x.label == x.own || x.ObjectRef == nil || x.Verb == "watch" {
			return c
		}
		return b.alike(x, c, labelReach)
	}
	// An earlier change of the same tree that has the label: the components are still at it.
	var latest mark
	for _, m := range b.passed {
		latest = later(latest, m)
	}
	for _, m := range slices.Backward(b.passed) {
		if m.g != nil && m.g.Label == x.label && m.g != latest.g && latest.when.Sub(m.g.Last) < atWork && latest.when.Sub(m.when) < labelReach {
			return cause{m.g, Label}
		}
	}
	switch c.reason {
	case Time, Selected, Nested:
		return b.alike(x, c, hintReach)
	}
	return c
}

// alike is the latest context with the event's label in its namespace.
func (b *Builder) alike(x *event, c cause, reach time.Duration) cause {
	for _, g := range slices.Backward(b.byLabel[x.label]) {
		if x.RequestReceived.Sub(g.Last) > reach || b.over(g) {
			continue
		}
		if ns := x.ObjectRef.Namespace; ns == "" || ns == g.Object.Namespace || g.Object.Resource == "namespaces" && ns == g.Object.Name {
			return cause{g, Label}
		}
	}
	return c
}
