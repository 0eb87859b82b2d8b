package identity

import (
	"container/list"
	"net/url"
	"strings"

	"k8ntext/dataset/audit"
)

// ID stands for one instance of an object within a tracker: an object that is deleted and created
// again under the same name is another. 0 stands for none. Ids rise and are never used again.
type ID int64

// Instance is what a tracker knows of an object.
type Instance struct {
	Object
	// Parent is the instance on which this one depends: its owner, or what an Event is about, or what
	// its name says. It may be forgotten already.
	Parent   ID
	ParentBy Relation // Owner, Involved, Named or None
	// Created and Deleted are the positions, among all events observed, of the request that created
	// the object and of the first that asked for its deletion; -1: not seen.
	Created, Deleted int
}

// View is what a tracker knows of an event's objects.
type View struct {
	Object    ID // what the request is about; 0: nothing that has a name
	Namespace ID // the namespace it is in
	Related   []Related
	Changed   bool // the request took effect and was no read
}

// Related is a link of the event, tied to an instance.
type Related struct {
	Relation Relation
	ID       ID
}

// Options bound a tracker.
type Options struct {
	// MaxObjects is how many instances are kept; those not spoken of for longest are forgotten. 0
	// means 65,536, which is at most some 100 MB with the longest names Kubernetes allows. Below 64,
	// which one event may speak of, it is 64.
	MaxObjects int
}

// Tracker ties events to objects. It is deterministic: the same events in the same order give the
// same ids. Not for use by several goroutines at once. The zero value is not usable; see [NewTracker].
type Tracker struct {
	max       int
	observed  int
	source    uint32 // of the current event
	last      ID
	instances map[ID]*list.Element // of *tracked
	recent    *list.List           // most recently spoken of first
	ofKind    map[kind]map[ID]*tracked
	byUID     map[string]ID
	byName    map[Object]ID // latest instance; the key's UID is empty
}

// kind is what a deletion of a collection is about.
type kind struct{ group, resource, namespace string }

func kindOf(o Object) kind { return kind{o.Group, o.Resource, o.Namespace} }

type tracked struct {
	id     ID
	source uint32 // the log that first spoke of it
	shown  bool   // its metadata was logged, so that it has no owner if none is known
	Instance
}

// NewTracker returns a tracker that has seen nothing.
func NewTracker(o Options) *Tracker {
	if o.MaxObjects <= 0 {
		o.MaxObjects = 1 << 16
	}
	o.MaxObjects = max(o.MaxObjects, 64)
	return &Tracker{
		max: o.MaxObjects, instances: make(map[ID]*list.Element), recent: list.New(),
		ofKind: make(map[kind]map[ID]*tracked), byUID: make(map[string]ID), byName: make(map[Object]ID),
	}
}

// Instance returns what is known of an instance; false if it is 0 or forgotten.
func (t *Tracker) Instance(id ID) (Instance, bool) {
	if e, ok := t.instances[id]; ok {
		return e.Value.(*tracked).Instance, true
	}
	return Instance{}, false
}

// Latest is the latest instance of a name, whatever the uid in o; 0: none is known.
func (t *Tracker) Latest(o Object) ID {
	o.UID = ""
	return t.byName[o]
}

// Root follows parents to the last one known. Root(0) is 0.
func (t *Tracker) Root(id ID) ID {
	const longest = 16 // of a chain; real ones have four links, a circle of owners has no end
	for range longest {
		e, ok := t.instances[id]
		if !ok {
			break
		}
		parent := e.Value.(*tracked).Parent
		if _, known := t.instances[parent]; !known {
			break
		}
		id = parent
	}
	return id
}

// Len is the number of instances kept.
func (t *Tracker) Len() int { return len(t.instances) }

// Observe takes the next event of the log and ties it to what the earlier ones told. Requests that
// failed or were only tried (dryRun) are tied too, but create and delete nothing.
func (t *Tracker) Observe(e *audit.Event) View {
	f := Extract(e).within(e.Source)
	position := t.observed
	t.observed++
	t.source = e.Source
	if e.ObjectRef == nil {
		return View{}
	}
	done := succeeded(e)
	v := View{Changed: done && !reads(e.Verb)}
	if f.Object.Namespace != "" {
		v.Namespace = t.find(Object{Resource: "namespaces", Name: f.Object.Namespace})
	}
	if f.Object.Resource != "" && f.Object.Name != "" {
		v.Object = t.find(f.Object)
		if done && creates(e) {
			v.Object = t.create(f.Object, v.Object, position)
		}
	}
	for _, l := range f.Links {
		v.Related = append(v.Related, Related{l.Relation, t.find(l.To)})
	}
	if v.Object != 0 {
		t.adopt(v.Object, v.Related, f.Shown)
	} else if parent := t.namedParent(f.Object, strings.TrimSuffix(f.GenerateName, "-")); parent != 0 && len(v.Related) == 0 {
		v.Related = append(v.Related, Related{Named, parent})
	}
	if done {
		t.delete(e, f.Object, v.Object, position)
	}
	t.trim()
	return v
}

func reads(verb string) bool { return verb == "get" || verb == "list" || verb == "watch" }

// succeeded tells whether a request took effect. An event without an answer may have: level Metadata
// logs the status too, so it is one that never ended or whose end was lost.
func succeeded(e *audit.Event) bool {
	if s := e.ResponseStatus; s != nil && s.Code != 0 && (s.Code < 200 || s.Code > 299) {
		return false
	}
	_, query, _ := strings.Cut(e.RequestURI, "?")
	if !strings.Contains(query, "dryRun") {
		return true
	}
	values, _ := url.ParseQuery(query)
	return values.Get("dryRun") == ""
}

// creates tells whether a successful request made its object: a create, or an apply that answers 201.
func creates(e *audit.Event) bool {
	return e.ObjectRef.Subresource == "" &&
		(e.Verb == "create" || (e.Verb == "patch" || e.Verb == "update") && e.ResponseStatus != nil && e.ResponseStatus.Code == 201)
}

// find returns the instance that o names: by uid, else the latest of that name, else a new one.
func (t *Tracker) find(o Object) ID {
	if id, ok := t.byUID[o.UID]; ok && o.UID != "" {
		t.touch(id)
		return id
	}
	uid := o.UID
	o.UID = ""
	id, ok := t.byName[o]
	if !ok {
		return t.add(o, uid)
	}
	known := t.touch(id)
	switch {
	case uid == "" || known.UID == uid:
	case known.UID == "": // now we know; what was made anew after a deletion went through create
		known.UID = uid
		t.byUID[uid] = id
	default:
		return t.add(o, uid) // another object under the same name
	}
	return id
}

// create notes that o came to be at a position. known is what find said: the same instance if it was
// only spoken of so far (kubectl apply asks first), else the new one's predecessor.
func (t *Tracker) create(o Object, known ID, position int) ID {
	x := t.instances[known].Value.(*tracked)
	if x.Deleted >= 0 || x.Created >= 0 && (o.UID == "" || x.UID != o.UID) {
		uid := o.UID
		o.UID = ""
		known = t.add(o, uid)
		x = t.instances[known].Value.(*tracked)
	}
	if x.Created < 0 {
		x.Created = position
	}
	return known
}

// delete notes what a request asked to delete.
func (t *Tracker) delete(e *audit.Event, o Object, id ID, position int) {
	mark := func(x *tracked) {
		if x.Deleted < 0 {
			x.Deleted = position
		}
	}
	evicts := e.Verb == "create" && e.ObjectRef.Subresource == "eviction"
	switch {
	case id != 0 && (evicts || (e.Verb == "delete" || e.Verb == "deletecollection") && e.ObjectRef.Subresource == ""):
		mark(t.instances[id].Value.(*tracked))
	case e.Verb == "deletecollection" && !strings.Contains(e.RequestURI, "Selector="): // else: which of them?
		wipe := func(all map[ID]*tracked) {
			for _, x := range all {
				if x.source == t.source {
					mark(x)
				}
			}
		}
		if o.Namespace != "" {
			wipe(t.ofKind[kindOf(o)])
			return
		}
		for k, all := range t.ofKind {
			if k.group == o.Group && k.resource == o.Resource {
				wipe(all)
			}
		}
	}
}

// adopt gives an instance its parent, if it has none that is as sure.
func (t *Tracker) adopt(id ID, related []Related, shown bool) {
	x := t.instances[id].Value.(*tracked)
	for _, r := range related {
		if (r.Relation == Owner || r.Relation == Involved) && r.ID != id && (x.ParentBy == None || r.Relation < x.ParentBy) {
			x.Parent, x.ParentBy = r.ID, r.Relation
		}
	}
	if x.shown = x.shown || shown; x.shown && hasOwners(x.Object) {
		if x.ParentBy == Named { // a guess that turned out wrong
			x.Parent, x.ParentBy = 0, None
		}
		return
	}
	if x.ParentBy != None {
		return
	}
	if parent := t.namedParent(x.Object, parentName(x.Object)); parent != 0 && parent != id {
		x.Parent, x.ParentBy = parent, Named
	}
}

// add makes a new instance, the latest of its name.
func (t *Tracker) add(o Object, uid string) ID {
	t.last++
	x := &tracked{id: t.last, source: t.source, Instance: Instance{Object: o, Created: -1, Deleted: -1}}
	x.UID = uid
	t.instances[t.last] = t.recent.PushFront(x)
	t.byName[o] = t.last
	k := kindOf(o)
	if t.ofKind[k] == nil {
		t.ofKind[k] = make(map[ID]*tracked)
	}
	t.ofKind[k][t.last] = x
	if uid != "" {
		t.byUID[uid] = t.last
	}
	return t.last
}

// touch keeps an instance from being forgotten.
func (t *Tracker) touch(id ID) *tracked {
	e := t.instances[id]
	t.recent.MoveToFront(e)
	return e.Value.(*tracked)
}

// trim forgets the instances not spoken of for longest. Those of the current event are the most recent
// and fewer than the smallest bound.
func (t *Tracker) trim() {
	for t.recent.Len() > t.max {
		x := t.recent.Remove(t.recent.Back()).(*tracked)
		delete(t.instances, x.id)
		k := kindOf(x.Object)
		if delete(t.ofKind[k], x.id); len(t.ofKind[k]) == 0 {
			delete(t.ofKind, k)
		}
		if t.byUID[x.UID] == x.id {
			delete(t.byUID, x.UID)
		}
		key := x.Object
		key.UID = ""
		if t.byName[key] == x.id {
			delete(t.byName, key)
		}
	}
}
