package contexts

import (
	"iter"
	"slices"
	"time"

	"k8ntext/dataset/identity"
)

// thing is what is remembered of an instance of an object.
type thing struct {
	made mark // it came to be
	work mark // its latest change that was asked for
	last mark // the one before it
	tree mark // the latest of what depends on it
	end  mark // its deletion was asked for first

	owner   identity.ID       // where the log does not say it
	version string            // its resourceVersion after its latest change
	pods    map[string]string // of Endpoints and EndpointSlices: see [sight.pods]
	node    string            // of a pod: where it runs
	jobs    mark              // of a CronJob: what happened to one of its jobs
	looked  time.Time         // of an autoscaler: its latest look
	first   int               // the change whose first look that was
	target  string            // what it scales
	counted int               // of a budget or quota: the latest count

	labels map[string]string // of a pod; of a budget: those that it selects; nil: not known
	needs  []string          // names of the objects that a pod's specification names
}

// place is what is remembered of a namespace.
type place struct {
	stir   mark // of a pod in it, the latest change
	claims mark // of a claim in it, the latest deletion
	stirs  []stir
	gone   map[string]mark // what a person deleted, by resource and name
	wants  map[string]mark // by resource: the latest change of something that makes pods
	bound  []identity.ID   // pods that were told where to run, latest last

	scalers []identity.ID // the autoscalers in it
}

// stir is something that happened to a pod.
type stir struct {
	pod  identity.ID
	mark mark
}

const (
	maxStirs = 128 // of a namespace
	maxGone  = 256
)

// stirUp notes what happened to a pod of a namespace.
func (p *place) stirUp(pod identity.ID, m mark) {
	p.stir.set(m)
	if len(p.stirs) >= maxStirs {
		p.stirs = append(p.stirs[:0], p.stirs[maxStirs/2:]...)
	}
	p.stirs = append(p.stirs, stir{pod, m})
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
		m = later(later(t.made, t.work), t.tree)
	}
	return later(m, b.ended(id))
}

// maxChain bounds chains of owners; real ones have four links, a circle of owners has no end.
const maxChain = 16

// want notes a change of something that makes pods.
func (p *place) want(resource string, m mark) {
	if p.wants == nil {
		p.wants = make(map[string]mark)
	}
	p.wants[resource] = m
}

// forget notes that a person deleted something of a namespace, which a component may put back.
func (p *place) forget(what string, m mark) {
	if p.gone == nil || len(p.gone) >= maxGone {
		p.gone = make(map[string]mark)
	}
	p.gone[what] = m
}

// latest is the latest instance of a name; 0: there is none.
func (b *Builder) latest(o identity.Object) identity.ID { return b.tracker.Latest(o) }

// worked is the latest change along the owners of an object, and of itself. The end of its namespace is
// one.
func (b *Builder) worked(id identity.ID) mark {
	m := b.closed(id)
	for id := range b.owners(id) {
		m = later(m, b.changedLast(id))
		if t := b.things[id]; t != nil && b.o.Level == Full {
			b.passed = append(b.passed, t.made, t.last, t.work, t.tree)
		}
	}
	return m
}

// closed is the deletion of the namespace that an object is in.
func (b *Builder) closed(id identity.ID) mark {
	o, ok := b.tracker.Instance(id)
	if !ok || o.Namespace == "" {
		return mark{}
	}
	return b.ended(b.latest(identity.Object{Resource: "namespaces", Name: o.Namespace}))
}

// owners are an object and what it depends on, up to the root.
func (b *Builder) owners(id identity.ID) iter.Seq[identity.ID] {
	return func(yield func(identity.ID) bool) {
		for range maxChain {
			if id == 0 || !yield(id) {
				return
			}
			o, ok := b.tracker.Instance(id)
			if !ok || o.ParentBy == identity.Involved {
				return
			}
			t := b.things[id]
			if id = o.Parent; id == 0 && t != nil {
				id = t.owner
			}
		}
	}
}

// spread tells the owners of an object that something happened to it that they did not do: they will
// act on it.
func (b *Builder) spread(id identity.ID, m mark) {
	for owner := range b.owners(id) {
		if owner != id {
			b.thing(owner).tree.set(m)
		}
	}
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
	m := x.mark(g)
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
			if x.person {
				b.place(x.Namespace).forget(o.Resource+"/"+o.Name, m)
			}
		case o.Subresource == "token", o.Subresource == "binding", isQuestion(x.Event):
		default:
			if known, ok := b.tracker.Instance(x.Object); ok && known.Created == x.number {
				t.made.set(m)
			}
			if x.person && !b.inert(t, x) {
				t.last.set(t.work)
				t.work.set(m)
			}
		}
		if x.person {
			b.spread(x.Object, m)
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
		b.wipe(x, m)
	}
}

// wipe is the deletion of a collection: of all objects, which the tracker knows, or of those that a
// selector chose, which the answer names.
func (b *Builder) wipe(x *event, m mark) {
	if x.person && len(x.look().Items) == 0 {
		for id := range b.things {
			if o, ok := b.tracker.Instance(id); ok && o.Deleted == x.number {
				b.spread(id, m)
			}
		}
	}
	for _, item := range x.look().Items {
		id := b.latest(identity.Object{Group: x.ObjectRef.APIGroup, Resource: x.ObjectRef.Resource, Namespace: x.ObjectRef.Namespace, Name: item.Metadata.Name})
		if id == 0 {
			continue
		}
		if t := b.thing(id); !b.ended(id).there() {
			t.end.set(m)
		}
		b.place(x.Namespace).forget(x.ObjectRef.Resource+"/"+item.Metadata.Name, m)
		if x.person {
			b.spread(id, m)
		}
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
				t.tree.set(mark{})
				t.last.set(mark{})
				t.jobs.set(mark{})
				delete(b.things, id)
			}
		}
		for id, p := range b.places {
			if _, ok := b.tracker.Instance(id); !ok {
				p.stir.set(mark{})
				p.claims.set(mark{})
				delete(b.places, id)
			}
		}
	}
}
