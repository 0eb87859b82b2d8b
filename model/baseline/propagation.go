package baseline

import (
	"context"
	"iter"
	"strings"

	"k8ntext/dataset/audit"
	"k8ntext/dataset/identity"
	"k8ntext/dataset/label"
)

// propagation gives an event the own label of the change that it goes back to: the latest change by a
// person or CI account to its object, to what that depends on or what the event is about (by uid,
// owner, or name); failing these, the latest such change to anything in the namespace; failing that,
// its own label. A change to the namespace itself counts for all in it. Requests of people are their
// own causes. It reads a log once, forwards, and needs no training.
type propagation struct{}

func (propagation) Name() string { return "identity" }

func (propagation) Fit(_ context.Context, d Data) (Predictor, error) {
	return propagator{d.Corpus.Events, d.Corpus.Own}, nil
}

type propagator struct {
	events []*audit.Event
	own    []label.Label
}

func (propagator) Note() string { return "" }

// Predict sees nothing before the first of the events: like every running state it starts anew with
// the part that it is asked about.
func (p propagator) Predict(ctx context.Context, events []int32) ([]label.Label, error) {
	causes := newCauses()
	labels := make([]label.Label, len(events))
	for i, e := range events {
		if i%1024 == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		labels[i] = causes.label(p.events[e], p.own[e])
	}
	return labels, nil
}

// A change is a cause: the own label of a request that changed something, and when it came.
type change struct {
	label label.Label
	at    int // 0: no change
}

func (c change) orLater(other change) change {
	if other.at > c.at {
		return other
	}
	return c
}

// causes holds the latest change to each object, and to anything in each namespace. Of objects that
// the tracker forgets the changes are kept: a few bytes for each object of a log.
type causes struct {
	tracker  *identity.Tracker
	objects  map[identity.ID]change
	inside   map[identity.ID]change // by namespace
	observed int
}

func newCauses() *causes {
	return &causes{
		tracker: identity.NewTracker(identity.Options{}),
		objects: make(map[identity.ID]change), inside: make(map[identity.ID]change),
	}
}

// label returns the label of the next event, whose own label is own.
func (c *causes) label(e *audit.Event, own label.Label) label.Label {
	v := c.tracker.Observe(e)
	c.observed++
	if e.ObjectRef == nil {
		return own
	}
	if byPerson(e) {
		if changes(e) {
			c.note(v, change{own, c.observed})
		}
		return own
	}

	cause := c.along(v.Object)
	for _, r := range v.Related {
		cause = cause.orLater(c.along(r.ID))
	}
	if cause.at == 0 {
		cause = c.inside[v.Namespace]
	}
	cause = cause.orLater(c.objects[v.Namespace])
	if cause.at == 0 {
		return own
	}
	return cause.label
}

// note records a change to an object, and with it to all that the object is part of: who deletes a
// pod causes what its replica set does next.
func (c *causes) note(v identity.View, ch change) {
	for id := range c.ancestry(v.Object) {
		c.objects[id] = ch
	}
	if v.Namespace != 0 {
		c.inside[v.Namespace] = ch
	}
}

// along is the latest change to an object or to what it depends on.
func (c *causes) along(id identity.ID) change {
	var latest change
	for id := range c.ancestry(id) {
		latest = latest.orLater(c.objects[id])
	}
	return latest
}

// ancestry yields an object and what it depends on, nearest first. Real chains have four links; a
// circle of owners has no end.
func (c *causes) ancestry(id identity.ID) iter.Seq[identity.ID] {
	return func(yield func(identity.ID) bool) {
		for range 16 {
			if id == 0 || !yield(id) {
				return
			}
			known, ok := c.tracker.Instance(id)
			if !ok {
				return
			}
			id = known.Parent
		}
	}
}

// byPerson tells whether a person or a CI account asked, and no part of the cluster.
func byPerson(e *audit.Event) bool { return !strings.HasPrefix(e.User.Username, "system:") }

func changes(e *audit.Event) bool {
	switch e.Verb {
	case "get", "list", "watch":
		return false
	}
	return e.ResponseStatus == nil || e.ResponseStatus.Code < 400
}
