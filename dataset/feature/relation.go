package feature

import (
	"cmp"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"k8ntext/dataset/audit"
	"k8ntext/dataset/identity"
)

// How far a relation looks ahead, for what a person reads: so many events, or so much time. One command
// asks for several things before it does what it is for.
const (
	aheadEvents = 64
	aheadTime   = 5 * time.Second
)

// What counts as one burst of a client, and who counts as active.
const (
	pause       = 500 * time.Millisecond // between two requests of a burst, at most
	activeTime  = 10 * time.Second
	activeCount = 64 // people's requests that are looked back at, at most
)

// Bounds of a linker's memory beside its tracker's.
const (
	maxClients = 4096
	maxWiped   = 256
)

// deed is what is remembered of a request: its kind and who asked, in words that every cluster has.
type deed struct {
	number      int // of the event, from 1; 0: there is no deed
	resource    string
	subresource string
	verb        string // merged as in the labels
	shape       string // whether it names a namespace and an object
	actor       string // class of the user
	at          time.Time
	object      identity.ID
	changes     int   // people's changes up to this deed
	tag         int32 // the caller's, see [Stream.Push]
	before      *deed // of a person's change: the client's change of another kind before it, itself without one
}

func (d deed) there() bool { return d.number > 0 }

// like tells whether two deeds are of one kind.
func (d deed) like(other deed) bool {
	return d.resource == other.resource && d.subresource == other.subresource && d.verb == other.verb
}

func deedOf(e *audit.Event, object identity.ID, number int, tag int32) deed {
	d := deed{number: number, tag: tag, verb: e.Verb, actor: userClass(e.User.Username), at: e.RequestReceived, object: object}
	switch e.Verb {
	case "list":
		d.verb = "get"
	case "patch":
		d.verb = "update"
	case "deletecollection":
		d.verb = "delete"
	case "get", "create", "update", "delete", "watch":
	default:
		d.verb = other
	}
	if e.ObjectRef == nil {
		return d
	}
	o := e.ObjectRef
	switch group := groupClass(o.APIGroup); group {
	case "core":
		d.resource = lower(o.Resource)
	case custom, other:
		d.resource = group
	default:
		d.resource = lower(o.Resource) + "." + group
	}
	if o.Subresource != "" {
		d.subresource = lower(o.Subresource)
	}
	scope, count := "cluster", "many"
	if o.Namespace != "" {
		scope = "namespace"
	}
	if o.Name != "" {
		count = "one"
	}
	d.shape = scope + " " + count
	return d
}

// relations are how an event lies to those before it, and where a person reads to the next few.
type relations struct {
	self    deed
	person  bool
	changes int // people's changes before the event
	active  int // clients of people with a request in the last seconds, this one included

	cause     deed // people's latest change to the object, to what it depends on or is tied to
	via       string
	inside    deed // people's latest change to anything in the namespace
	namespace deed // people's latest change to the namespace itself
	latest    deed // people's latest change to anything
	stir      deed // what the latest change to a pod of the namespace goes back to: endpoints and budgets follow pods

	touch  deed // anyone's latest change to the object
	parent deed // to what that depends on or is tied to
	place  deed // to anything in the namespace
	born   deed // the creation of the root of the owners
	gone   deed // who asked to delete the object,
	ends   deed // the root,
	closes deed // the namespace

	previous deed // the client's request before; clients are people's
	burst    deed // the first of the client's burst
	did      deed // the client's latest change
	before   deed // the change of another kind before that, or before the cause: a drain cordons, then evicts
	next     deed // the client's next request about an object
	change   deed // the client's next change or watch
	own      deed // the client's next change to the same object, where it asks for one
}

// choice is what following the relations by the simplest rule gives, and by which, for the network to see:
// identity propagation without what [Causes] knows of certain kinds of objects. What a person reads just before
// a change is part of that.
func (r *relations) choice() (deed, string) {
	if r.person {
		soon := func(d deed) bool { return d.there() && d.at.Sub(r.self.at) < time.Second }
		switch {
		case soon(r.change):
			return r.change, "change"
		case r.self.resource == "" && soon(r.next):
			return r.next, "next"
		}
		return r.self, "own"
	}
	d, by := r.cause, "cause"
	if !d.there() {
		d, by = r.inside, "inside"
	}
	if r.namespace.number > d.number {
		d, by = r.namespace, "namespace"
	}
	if !d.there() || r.self.resource == "" {
		return r.self, "own"
	}
	return d, by
}

// origin is the request that the event goes back to, as [Causes] says.
func (r *relations) origin() deed {
	d, by := r.choice()
	switch {
	case r.person && by == "own" && r.self.resource == "events" && r.self.verb == "get" && r.burst.there():
		return r.burst
	case r.person || r.self.resource == "":
		return d
	case r.self.verb == "watch":
		return r.self
	case !r.cause.there():
		return d
	}
	d = r.cause
	switch {
	case r.self.followsPods() && r.stir.there():
		d = r.stir
	case d.resource == "pods" && d.subresource == "eviction" && r.before.resource == "nodes":
		d = r.before
	}
	if r.namespace.number > d.number {
		d = r.namespace
	}
	return d
}

// followsPods tells of what controllers write anew when pods of the namespace come, go and change, whoever
// made the object itself.
func (d deed) followsPods() bool {
	switch d.resource {
	case "endpoints", "endpointslices.discovery.k8s.io":
		return d.verb == "update" && d.subresource == ""
	case "poddisruptionbudgets.policy":
		return d.verb == "update" && d.subresource == "status"
	}
	return false
}

// Causes gives for every event of one log the event that it goes back to by rule, as an index; the event
// itself where the rule names no other. It is identity propagation and learns nothing:
//
//   - What a person or a CI account reads goes to the change or watch that the same client begins within a
//     second, discovery to the next request of any kind; events that are listed go to the first request of
//     the burst, which describes their object. All else that people ask for is its own cause.
//   - What the cluster does goes to people's latest change to the object, to what that depends on or what
//     the event is about (by uid, owner, or name); failing these, to their latest change to anything in the
//     namespace. A later change to the namespace itself comes before both.
//   - Endpoints and disruption budgets that are written anew go to what the latest change to a pod of the
//     namespace goes back to; the effects of an eviction to the cordon that it follows.
//   - Watches, and requests without an object, are their own causes.
//
// It looks ahead as far as [Linked] does. The state is that of one log: what was before it is not known.
func Causes(events []*audit.Event) []int {
	causes := make([]int, len(events))
	relate(events, func(i int, r *relations) {
		causes[i] = int(r.origin().tag)
	})
	return causes
}

// ties are the requests among the relations, the more telling first; an event's cause is among them as
// good as always. Their order is that of [Encoder.Ties].
func (r *relations) ties() [ties]deed {
	return [ties]deed{
		r.self, r.own, r.change, r.next, r.burst, r.previous, r.cause, r.namespace, r.inside, r.stir, r.before, r.did,
		r.closes, r.ends, r.gone, r.born, r.touch, r.parent, r.place, r.latest,
	}
}

const ties = 20

// tieNames are what [relations.ties] are called, in its order.
func tieNames() [ties]string {
	return [ties]string{
		"self", "own", "change", "next", "burst", "previous", "cause", "namespace", "inside", "stir", "before", "did",
		"closes", "ends", "gone", "born", "touch", "parent", "place", "latest",
	}
}

// linker derives relations from the events of one log or one part of a corpus, in order: [Linked] has
// no other state.
type linker struct {
	tracker  *identity.Tracker
	observed int
	newest   time.Time
	changes  int
	latest   deed
	objects  map[identity.ID]memory
	inside   map[identity.ID]memory // by namespace
	wiped    map[int]deed           // deletions of collections, by the tracker's position
	clients  map[client]habit
	people   []appearance // the latest, oldest first
	waiting  []waiting    // events that are not yet given, oldest first
}

// memory is what is remembered of an object, or of all that is in a namespace.
type memory struct{ touch, person, born, gone, stir deed }

// client is a person at a terminal, or a CI job.
type client struct {
	source           uint32
	user, agent, via string
}

// habit is what is remembered of a client.
type habit struct {
	seen        appearance
	last, burst deed
	did, before deed
}

type appearance struct {
	client client
	number int
	at     time.Time
}

// waiting is an event whose relations may still be open ahead.
type waiting struct {
	relations
	event  *audit.Event
	client client
	open   bool
}

func newLinker() *linker {
	return &linker{
		tracker: identity.NewTracker(identity.Options{}),
		objects: make(map[identity.ID]memory), inside: make(map[identity.ID]memory),
		wiped: make(map[int]deed), clients: make(map[client]habit),
	}
}

// push takes the next event.
func (l *linker) push(e *audit.Event, tag int32) {
	v := l.tracker.Observe(e)
	position := l.observed // as the tracker counts
	l.observed++
	if e.RequestReceived.After(l.newest) {
		l.newest = e.RequestReceived
	}
	w := waiting{event: e}
	w.self = deedOf(e, v.Object, l.observed, tag)
	w.person = !strings.HasPrefix(e.User.Username, "system:")
	w.changes, w.latest = l.changes, l.latest
	if e.ObjectRef != nil {
		l.lookBack(&w.relations, v)
	}
	if w.person {
		w.client = clientOf(e)
		w.open = !v.Changed
		l.meet(&w, v.Changed)
	} else if w.cause.before != nil {
		w.before = *w.cause.before
	}
	w.active = l.active(e.RequestReceived)
	l.waiting = append(l.waiting, w)
	l.note(&w.relations, v, position)
}

// next gives the oldest event whose relations are known; false: there is none yet. At the end of the
// log all are as known as they will be.
func (l *linker) next(end bool) (*waiting, bool) {
	if len(l.waiting) == 0 {
		return nil, false
	}
	w := l.waiting[0]
	if w.open && !end && l.observed-w.self.number < aheadEvents && l.newest.Sub(w.self.at) <= aheadTime {
		return nil, false
	}
	// Copying down keeps the array: a log may be endless.
	n := copy(l.waiting, l.waiting[1:])
	l.waiting[n] = waiting{}
	l.waiting = l.waiting[:n]
	return &w, true
}

func clientOf(e *audit.Event) client {
	c := client{source: e.Source, user: e.User.Username, agent: e.UserAgent}
	if len(e.SourceIPs) > 0 {
		c.via = e.SourceIPs[0]
	}
	return c
}

// lookBack fills the relations to earlier events.
func (l *linker) lookBack(r *relations, v identity.View) {
	var depth int
	r.cause, depth = l.along(v.Object)
	r.via = [...]string{"object", "owner", "root"}[min(depth, 2)]
	subject := v.Object
	for _, related := range v.Related {
		if d, _ := l.along(related.ID); d.number > r.cause.number {
			r.cause, r.via = d, related.Relation.String()
		}
		if subject == 0 {
			subject = related.ID
		}
	}
	r.inside, r.namespace = l.inside[v.Namespace].person, l.objects[v.Namespace].person
	r.stir = l.inside[v.Namespace].stir
	r.touch, r.place = l.objects[v.Object].touch, l.inside[v.Namespace].touch
	r.parent = l.objects[l.parentOf(v)].touch
	r.gone, r.closes = l.goneOf(v.Object), l.goneOf(v.Namespace)
	if root := l.tracker.Root(subject); root != 0 {
		r.born = l.objects[root].born
		if root != v.Object {
			r.ends = l.goneOf(root)
		}
	}
}

// parentOf is what the event's object depends on, or else what the event ties it to.
func (l *linker) parentOf(v identity.View) identity.ID {
	if known, ok := l.tracker.Instance(v.Object); ok && known.Parent != 0 {
		return known.Parent
	}
	for _, related := range v.Related {
		if related.ID != v.Object {
			return related.ID
		}
	}
	return 0
}

// goneOf is the request for an object's deletion.
func (l *linker) goneOf(id identity.ID) deed {
	known, ok := l.tracker.Instance(id)
	if !ok || known.Deleted < 0 {
		return deed{}
	}
	if d := l.objects[id].gone; d.there() {
		return d
	}
	return l.wiped[known.Deleted]
}

// along is people's latest change to an object or to what it depends on, and how many links up.
func (l *linker) along(id identity.ID) (latest deed, depth int) {
	for i, id := range l.ancestry(id) {
		if d := l.objects[id].person; d.number > latest.number {
			latest, depth = d, i
		}
	}
	return latest, depth
}

// ancestry yields an object and what it depends on, nearest first. Real chains have four links; a
// circle of owners has no end.
func (l *linker) ancestry(id identity.ID) iter.Seq2[int, identity.ID] {
	return func(yield func(int, identity.ID) bool) {
		for i := range 16 {
			if id == 0 || !yield(i, id) {
				return
			}
			known, ok := l.tracker.Instance(id)
			if !ok {
				return
			}
			id = known.Parent
		}
	}
}

// meet ties a person's request to the client's others.
func (l *linker) meet(w *waiting, changed bool) {
	h := l.clients[w.client]
	now := appearance{w.client, w.self.number, w.self.at}
	w.previous, w.did, w.before = h.last, h.did, h.before
	if h.seen.number > 0 && now.at.Sub(h.seen.at) <= pause {
		w.burst = h.burst
	} else {
		h.burst = deed{}
	}
	about := w.self.resource != ""
	if about {
		h.last = w.self
		if !h.burst.there() {
			h.burst = w.self
		}
		for i := range l.waiting {
			if x := &l.waiting[i]; x.open && x.client == w.client {
				if !x.relations.next.there() {
					x.relations.next = w.self
				}
				x.answer(w.self, changed)
			}
		}
		if changed {
			if h.did.there() && !h.did.like(w.self) {
				h.before = h.did
				h.before.before = nil // or memory would reach back for ever
			}
			if h.before.there() {
				before := h.before
				w.self.before = &before
			}
			h.did = w.self
		}
	}
	h.seen = now
	l.clients[w.client] = h
	if len(l.clients) > maxClients {
		keepLatest(l.clients, maxClients/2, func(_ client, h habit) int { return h.seen.number })
	}
	if l.people = append(l.people, now); len(l.people) > activeCount {
		l.people = slices.Delete(l.people, 0, 1)
	}
}

// answer notes that the client changed or watches something.
func (w *waiting) answer(d deed, changed bool) {
	if !changed && d.verb != "watch" {
		return
	}
	if !w.change.there() {
		w.change = d
	}
	same := changed && d.object != 0 && d.object == w.self.object
	if same {
		w.own = d
	}
	w.open = !same && w.self.object != 0 // a command that reads several objects changes them one by one
}

// active counts the clients of people that asked for something lately.
func (l *linker) active(now time.Time) int {
	var clients []client
	for _, p := range slices.Backward(l.people) {
		if now.Sub(p.at) <= activeTime && !slices.Contains(clients, p.client) {
			clients = append(clients, p.client)
		}
	}
	return len(clients)
}

// note remembers a request.
func (l *linker) note(r *relations, v identity.View, position int) {
	d := r.self
	if !v.Changed || d.resource == "" {
		return
	}
	if r.person {
		l.changes++
		d.changes = l.changes
		l.latest = d
		// With an object that changes all that it is part of: who deletes a pod causes what its replica
		// set does next.
		for _, id := range l.ancestry(v.Object) {
			m := l.objects[id]
			m.person = d
			l.objects[id] = m
		}
	}
	d.changes = l.changes
	if v.Object != 0 {
		m := l.objects[v.Object]
		m.touch = d
		switch known, _ := l.tracker.Instance(v.Object); position {
		case known.Created:
			m.born = d
		case known.Deleted:
			m.gone = d
		}
		l.objects[v.Object] = m
	} else if d.verb == "delete" {
		l.wiped[position] = d
		if len(l.wiped) > 2*maxWiped {
			keepLatest(l.wiped, maxWiped, func(position int, _ deed) int { return position })
		}
	}
	if v.Namespace != 0 {
		m := l.inside[v.Namespace]
		m.touch = d
		if r.person {
			m.person = d
		}
		if d.resource == "pods" {
			switch {
			case r.person:
				m.stir = d
			case r.cause.there():
				m.stir = r.cause
			}
		}
		l.inside[v.Namespace] = m
	}
	l.forget()
}

// forget drops what is remembered of objects that the tracker has forgotten: it never names them again.
func (l *linker) forget() {
	if len(l.objects)+len(l.inside) <= 2*l.tracker.Len()+1024 {
		return
	}
	for _, m := range []map[identity.ID]memory{l.objects, l.inside} {
		maps.DeleteFunc(m, func(id identity.ID, _ memory) bool {
			_, known := l.tracker.Instance(id)
			return !known
		})
	}
}

// keepLatest leaves the n entries of m with the highest numbers, which are distinct.
func keepLatest[K comparable, V any](m map[K]V, n int, number func(K, V) int) {
	keys := slices.SortedFunc(maps.Keys(m), func(a, b K) int { return cmp.Compare(number(b, m[b]), number(a, m[a])) })
	for _, k := range keys[min(n, len(keys)):] {
		delete(m, k)
	}
}
