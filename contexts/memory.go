package contexts

import (
	"slices"
	"time"

	"k8ntext/dataset/identity"
)

// thing is what is remembered of an instance of an object.
type thing struct {
	made mark // it came to be
	work mark // its latest change that was asked for
	end  mark // its deletion was asked for first

	version string            // its resourceVersion after its latest change
	pods    map[string]string // of Endpoints and EndpointSlices: see [sight.pods]
	node    string            // of a pod: where it runs
	stir    mark              // of a pod: see [place]
}

// place is what is remembered of a namespace.
type place struct {
	stir mark // the context of the latest change of a pod in it
}

// flight is a request that is still being served, or was when the events at hand began.
type flight struct {
	end       time.Time
	group     *group
	namespace string
	resource  string
	connects  bool
}

func (b *Builder) thing(id identity.ID) *thing {
	if id == 0 {
		return &thing{}
	}
	t := b.things[id]
	if t == nil {
		t = &thing{}
		b.things[id] = t
	}
	return t
}

func (b *Builder) place(id identity.ID) *place {
	if id == 0 {
		return &place{}
	}
	p := b.places[id]
	if p == nil {
		p = &place{}
		b.places[id] = p
	}
	return p
}

// ended is the deletion of an object: its own, or that of a collection.
func (b *Builder) ended(id identity.ID) mark {
	if t := b.things[id]; t != nil && t.end.there() {
		return t.end
	}
	if o, ok := b.tracker.Instance(id); ok && o.Deleted >= 0 {
		return b.wiped[o.Deleted]
	}
	return mark{}
}

// changedLast is the latest change of an object that was asked for, its deletion included.
func (b *Builder) changedLast(id identity.ID) mark {
	var m mark
	if t := b.things[id]; t != nil {
		m = later(t.made, t.work)
	}
	return later(m, b.ended(id))
}

// maxChain bounds chains of owners; real ones have four links, a circle of owners has no end.
const maxChain = 16

// latest is the latest instance of a name; 0: there is none.
func (b *Builder) latest(o identity.Object) identity.ID { return b.tracker.Latest(o) }

// worked is the latest change along the owners of an object, and of itself.
func (b *Builder) worked(id identity.ID) mark {
	var m mark
	for range maxChain {
		m = later(m, b.changedLast(id))
		o, ok := b.tracker.Instance(id)
		if !ok || o.Parent == 0 || o.ParentBy == identity.Involved {
			break
		}
		id = o.Parent
	}
	return m
}

// made is what brought an object about: its creation, or if that is not in the log its owners' latest change.
func (b *Builder) made(id identity.ID) mark {
	if t := b.things[id]; t != nil && t.made.there() {
		return t.made
	}
	return b.worked(id)
}

// affect notes what a context did to objects.
func (b *Builder) affect(g *group, x *event) {
	m := mark{g, x.number}
	o := x.ObjectRef
	if o == nil {
		return
	}
	if x.Object != 0 && !isEventRef(o) {
		t := b.thing(x.Object)
		switch {
		case o.Subresource == "eviction", x.Verb == "delete" && o.Subresource == "":
			if !t.end.there() {
				t.end.set(m)
			}
		case o.Subresource == "token", o.Subresource == "binding", isQuestion(x.Event):
		default:
			if known, ok := b.tracker.Instance(x.Object); ok && known.Created == x.number {
				t.made.set(m)
			}
			if x.person && !b.inert(t, x) {
				t.work.set(m)
			}
		}
		if v := x.look().Metadata.ResourceVersion; v != "" {
			t.version = v
		}
	}
	if x.Verb == "deletecollection" && len(b.wiped) < maxWiped {
		mm := mark{}
		mm.set(m)
		b.wiped[x.number] = mm
		b.wipes = append(b.wipes, x.number)
	}
}

const maxWiped = 1 << 14

// inert tells a change that changed nothing: the object is at the version that it had before.
func (b *Builder) inert(t *thing, x *event) bool {
	v := x.look().Metadata.ResourceVersion
	return v != "" && v == t.version && x.ObjectRef.Subresource == ""
}

// board notes a request that is being served, for what the API server and kubelets ask meanwhile.
func (b *Builder) board(g *group, x *event) {
	if g == nil || x.ObjectRef == nil || len(x.Stages) == 0 {
		return
	}
	end := x.Stages[len(x.Stages)-1].Time
	if len(b.flight) < maxFlight && end.After(x.RequestReceived) {
		b.flight = append(b.flight, flight{
			end: end, group: g, namespace: x.ObjectRef.Namespace, resource: x.ObjectRef.Resource, connects: connects(x),
		})
	}
}

// maxFlight bounds the requests that are served at once.
const maxFlight = 1024

// prune forgets what the tracker forgot.
func (b *Builder) prune() {
	b.flight = slices.DeleteFunc(b.flight, func(f flight) bool { return b.now.After(f.end) })
	if len(b.things) > 2*b.tracker.Len()+1024 {
		for id, t := range b.things {
			if _, ok := b.tracker.Instance(id); !ok {
				t.made.set(mark{})
				t.work.set(mark{})
				t.end.set(mark{})
				t.stir.set(mark{})
				delete(b.things, id)
			}
		}
		for id, p := range b.places {
			if _, ok := b.tracker.Instance(id); !ok {
				p.stir.set(mark{})
				delete(b.places, id)
			}
		}
	}
}
