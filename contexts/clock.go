package contexts

import (
	"time"

	"k8ntext/dataset/identity"
)

// Where a clock or a threshold acts a new context begins, whose parent is the context that set the clock:
// the tick of a CronJob, the end of a finished job's time, a look of an autoscaler, a node that dies.

// roundKey names a clock: what it is about, and whose it is.
type roundKey struct {
	of   identity.ID
	what string
}

// round is a context that a clock began.
type round struct {
	group *group
	at    time.Time // its latest event
	after mark      // the change of the object before it
}

// maxRounds bounds the clocks that are remembered.
const maxRounds = 4096

// round joins an event to what its clock began, or begins it, if that is longer ago than a time.
func (b *Builder) round(x *event, of identity.ID, what string, within time.Duration, parent mark) *round {
	key := roundKey{of, what}
	r := b.rounds[key]
	if r == nil || x.RequestReceived.Sub(r.at) > within {
		if len(b.rounds) >= maxRounds {
			for k, old := range b.rounds {
				if x.RequestReceived.Sub(old.at) > time.Minute || len(b.rounds) >= 2*maxRounds {
					delete(b.rounds, k)
				}
			}
		}
		r = &round{group: b.begin(x, nil), after: parent}
		if parent.there() {
			r.group.Parent = parent.g.ID
		}
		b.rounds[key] = r
	}
	r.at = x.RequestReceived
	is := read
	if x.Changed {
		is = changed
	}
	b.trigger(r.group, x, is)
	return r
}

// scaled is what an autoscaler does. Its first look after a change belongs to that; each later one, some
// 15 seconds apart, is a context of its own.
func (b *Builder) scaled(x *event) cause {
	const apart = 5 * time.Second
	hpa := x.Object
	if o, ok := b.tracker.Instance(hpa); ok && o.Resource == "events" {
		hpa = o.Parent
	}
	if o, ok := b.tracker.Instance(hpa); !ok || o.Resource != "horizontalpodautoscalers" {
		// What it scales: it looks at that before it says for whom.
		hpa = b.scaler(x)
	}
	t := b.thing(hpa)
	m := later(t.made, t.work)
	if hpa == 0 || !m.there() {
		return b.owned(x)
	}
	if t.looked.Before(m.when) || x.RequestReceived.Sub(t.looked) < apart && t.first == m.at {
		t.looked, t.first = x.RequestReceived, m.at
		return m.because(ObjectRef)
	}
	r := b.round(x, hpa, "hpa", apart, m)
	if x.Changed && x.ObjectRef.Resource != "events" && x.Object != 0 && x.Object != hpa {
		b.thing(x.Object).work.set(x.mark(r.group))
		b.spread(x.Object, x.mark(r.group))
	}
	return cause{r.group, ObjectRef}
}

// scaler is the autoscaler of the object of an event: the one in the namespace that was looked at the
// least recently, for they take turns.
func (b *Builder) scaler(x *event) identity.ID {
	var found identity.ID
	p := b.place(x.Namespace)
	for _, id := range p.scalers {
		if _, ok := b.tracker.Instance(id); !ok || b.ended(id).there() {
			continue
		}
		t := b.things[id]
		if t == nil {
			continue
		}
		if t.target != "" && x.ObjectRef.Name != "" && t.target != x.ObjectRef.Name {
			continue
		}
		if found == 0 || t.looked.Before(b.things[found].looked) {
			found = id
		}
	}
	return found
}

// expired is what the controller does that deletes finished jobs when their time is over.
func (b *Builder) expired(x *event) cause {
	if x.Object == 0 {
		return cause{}
	}
	r := b.round(x, x.Object, "ttl", 10*time.Second, b.worked(x.Object))
	if x.Changed {
		b.thing(x.Object).end.set(x.mark(r.group))
	}
	return cause{r.group, ObjectRef}
}

// ticked is what the controller of CronJobs does: a job is a tick.
func (b *Builder) ticked(x *event) cause {
	o := x.ObjectRef
	switch {
	case o.Resource == "jobs" && x.Verb == "create":
		parent := b.worked(x.Object)
		for _, r := range x.Related {
			parent = later(parent, b.worked(r.ID))
		}
		id := x.Object
		if id == 0 {
			return parent.because(Owner)
		}
		r := b.round(x, id, "tick", time.Second, parent)
		return cause{r.group, Owner}
	case o.Resource == "jobs":
		return b.owned(x)
	case isEventRef(o):
		return b.told(x)
	}
	// The status of a CronJob is about its jobs: the one that something happened to last.
	m := b.worked(x.Object)
	return later(m, b.thing(x.Object).jobs).because(Owner)
}
