package truth

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// instance is one object from its creation to its end: a name means several in the course of time.
type instance struct {
	uid       string
	resource  string // with its group
	namespace string
	name      string

	created  int64    // when its creation was asked for, or it was first seen
	creator  *Request // nil: it was there before
	deletes  []*Request
	gone     int64 // when it was really gone; 0: not known to be
	versions []version
	owners   []ownership
	children []*instance

	changes []*change // by others than the controllers that work on it, by time
}

// version is a state of an object as an answer showed it.
type version struct {
	at      int64 // end of the request
	object  *object
	request *Request
}

type ownership struct {
	at  int64
	uid string // empty: none
}

// objectSubresources answer with the object itself.
func answersWithObject(subresource string) bool {
	switch subresource {
	case "", "status", "finalize", "ephemeralcontainers", "approval", "resize":
		return true
	}
	return false
}

// objects indexes all instances of a log.
type objects struct {
	byUID  map[string]*instance
	byName map[objectName][]*instance // by creation
	byKind map[objectKind][]*instance // by creation
	kinds  map[string]string          // resource of a kind
}

type objectName struct{ resource, namespace, name string }

type objectKind struct{ resource, namespace string }

// index finds the instances that the requests are about.
func index(requests []*Request) *objects {
	x := &objects{
		byUID:  make(map[string]*instance),
		byName: make(map[objectName][]*instance),
		byKind: make(map[objectKind][]*instance),
		kinds:  make(map[string]string),
	}
	for _, q := range requests {
		x.see(q)
	}
	for _, i := range x.byUID {
		slices.SortStableFunc(i.versions, func(a, b version) int { return cmp.Compare(a.at, b.at) })
		slices.SortStableFunc(i.owners, func(a, b ownership) int { return cmp.Compare(a.at, b.at) })
	}
	for _, list := range x.byName {
		slices.SortFunc(list, byCreation)
	}
	for _, list := range x.byKind {
		slices.SortFunc(list, byCreation)
	}
	for _, q := range requests {
		x.find(q)
	}
	x.deletions(requests)
	for _, i := range x.byUID {
		owners := make(map[string]bool)
		for _, o := range i.owners {
			if owner := x.byUID[o.uid]; owner != nil && !owners[o.uid] {
				owners[o.uid] = true
				owner.children = append(owner.children, i)
			}
		}
	}
	for _, i := range x.byUID {
		slices.SortFunc(i.children, byCreation)
	}
	return x
}

func byCreation(a, b *instance) int {
	return cmp.Or(cmp.Compare(a.created, b.created), cmp.Compare(a.uid, b.uid))
}

// isTransient tells of resources whose objects have no life that matters here.
func isTransient(resource string) bool {
	return resource == "events" || resource == "events.events.k8s.io"
}

// namespaceOf is the namespace under which an object of a request is filed: the audit log gives
// namespaces the namespace of their own name.
func namespaceOf(q *Request) string {
	if q.Resource == "namespaces" {
		return ""
	}
	return q.Namespace
}

// see takes the object of an answer, or of a write of which the answer is not logged.
func (x *objects) see(q *Request) {
	o := q.answer
	if o == nil || o.Kind == "" || o.Kind == "Status" || o.Metadata.UID == "" || !q.ok() || q.dry() || q.Verb == "watch" ||
		!answersWithObject(q.Subresource) && q.Subresource != "scale" || isTransient(q.Resource) || q.Resource == "" {
		return
	}
	if q.Subresource != "scale" {
		x.kinds[o.Kind] = q.Resource
	}
	i := x.byUID[o.Metadata.UID]
	if i == nil {
		i = &instance{uid: o.Metadata.UID, resource: q.Resource, namespace: namespaceOf(q), name: o.Metadata.Name, created: q.Received}
		x.byUID[i.uid] = i
		name := objectName{i.resource, i.namespace, i.name}
		x.byName[name] = append(x.byName[name], i)
		kind := objectKind{i.resource, i.namespace}
		x.byKind[kind] = append(x.byKind[kind], i)
	}
	q.instance = i
	i.created = min(i.created, q.Received)
	if q.Verb == "create" && q.Subresource == "" || (q.Verb == "patch" || q.Verb == "update") && q.Code == 201 {
		i.creator, i.created = q, q.Received
	}
	if q.Subresource == "scale" {
		i.versions = append(i.versions, version{at: q.Ended, request: q})
		return
	}
	i.versions = append(i.versions, version{q.Ended, o, q})
	owner := ""
	for _, r := range o.Metadata.Owners {
		if r.Controller || strings.HasPrefix(q.Resource, "endpointslices.") || len(o.Metadata.Owners) == 1 {
			owner = r.UID
		}
	}
	if len(i.owners) == 0 || i.owners[len(i.owners)-1].uid != owner {
		i.owners = append(i.owners, ownership{q.Ended, owner})
	}
}

// find gives a request without an object in its answer the instance that it must have meant.
func (x *objects) find(q *Request) {
	if q.instance != nil || q.Name == "" || q.Resource == "" || isTransient(q.Resource) {
		return
	}
	for _, o := range []*object{q.answer, q.sent} {
		if o == nil {
			continue
		}
		for _, uid := range []string{o.detailsUID(), o.preconditionUID(), o.Metadata.UID} {
			if i := x.byUID[uid]; i != nil && i.resource == q.Resource && i.name == q.Name {
				q.instance = i
				return
			}
		}
	}
	if q.Verb == "create" && q.Subresource == "" && q.Code != 409 {
		return // it would have been a new one
	}
	q.instance = x.at(q.Resource, namespaceOf(q), q.Name, q.Received, q.Ended)
}

func (o *object) detailsUID() string {
	if o.Details == nil {
		return ""
	}
	return o.Details.UID
}

func (o *object) preconditionUID() string {
	if o.Preconditions == nil {
		return ""
	}
	return o.Preconditions.UID
}

// slack is how far two stamps of one moment may lie apart: they are taken in different goroutines.
const slack = int64(500_000)

// at is the one instance that a name can have meant from a time to another; nil where there was none,
// or a new one began meanwhile.
func (x *objects) at(resource, namespace, name string, from, to int64) *instance {
	if resource == "namespaces" {
		namespace = ""
	}
	var found *instance
	for _, i := range x.byName[objectName{resource, namespace, name}] {
		switch {
		case i.created <= from+slack:
			found = i
		case i.created <= to && found == nil:
			return i
		case i.created <= to:
			return nil
		}
	}
	return found
}

// ofReference is the instance that a reference means at a time.
func (x *objects) ofReference(r *reference, namespace string, t int64) *instance {
	if r == nil {
		return nil
	}
	if i := x.byUID[r.UID]; i != nil {
		return i
	}
	if r.Namespace != "" {
		namespace = r.Namespace
	}
	resource, ok := x.kinds[r.Kind]
	if !ok {
		return nil
	}
	return x.at(resource, namespace, r.Name, t, t)
}

// deletions gathers the requests that asked for an instance's end, and when it came.
func (x *objects) deletions(requests []*Request) {
	for _, q := range requests {
		if q.took() && q.instance != nil &&
			(q.Verb == "delete" && q.Subresource == "" || q.Resource == "pods" && q.Subresource == "eviction") {
			q.instance.deletes = append(q.instance.deletes, q)
		}
	}
	for _, q := range requests {
		if q.Verb != "deletecollection" || !q.took() {
			continue
		}
		for _, i := range x.byKind[objectKind{q.Resource, q.Namespace}] {
			over := slices.ContainsFunc(i.deletes, func(d *Request) bool { return d.Ended < q.Received && endsAtOnce(i, d) })
			if i.created < q.Received && !over && selects(q.URI, i, q.Received) {
				i.deletes = append(i.deletes, q)
			}
		}
	}
	for _, i := range x.byUID {
		slices.SortStableFunc(i.deletes, func(a, b *Request) int { return cmp.Compare(a.Received, b.Received) })
		for _, q := range i.deletes {
			if endsAtOnce(i, q) {
				i.gone = q.Ended
			}
		}
	}
}

// endsAtOnce tells whether the object is gone when the deletion is answered. A pod is gone when its
// kubelet says so, or somebody does not want to wait for that.
func endsAtOnce(i *instance, q *Request) bool {
	if i.resource == "pods" {
		return q.node() != "" || q.sent != nil && q.sent.Grace != nil && *q.sent.Grace == 0
	}
	return isDeletion(q) && (q.answer == nil || q.answer.Kind == "Status" || len(q.answer.Metadata.Finalizers) == 0)
}

func isDeletion(q *Request) bool { return q.Verb == "delete" || q.Verb == "deletecollection" }

// isKubelets tells of a kubelet's deletion, which only finishes what others asked for.
func isKubelets(q *Request) bool { return q.node() != "" }

// asked is the first request before t that asked for the end of i; nil if nobody did.
func (i *instance) asked(t int64) *Request {
	for _, q := range i.deletes {
		if q.Received > t+slack {
			return nil
		}
		if !isKubelets(q) {
			return q
		}
	}
	return nil
}

// owner is the uid of what owned i at a time, or first owned it.
func (i *instance) owner(t int64) string {
	if len(i.owners) == 0 {
		return ""
	}
	uid := i.owners[0].uid
	for _, o := range i.owners {
		if o.at > t {
			break
		}
		uid = o.uid
	}
	return uid
}

// object is the state of i before t; nil where no answer showed one.
func (i *instance) object(t int64) *object {
	var o *object
	for _, v := range i.versions {
		if v.at > t {
			break
		}
		if v.object != nil {
			o = v.object
		}
	}
	return o
}

// first is the earliest state that was seen; nil where none was.
func (i *instance) first() *object {
	for _, v := range i.versions {
		if v.object != nil {
			return v.object
		}
	}
	return nil
}

// ofVersion is the state with a resource version; nil where it was not seen.
func (i *instance) ofVersion(rv string) *object {
	if rv == "" {
		return nil
	}
	for _, v := range i.versions {
		if v.object != nil && v.object.Metadata.Version == rv {
			return v.object
		}
	}
	return nil
}

// before is the state that a write replaced: the one with the highest resource version below its own.
func (i *instance) before(q *Request) (o *object, by *Request) {
	if q.answer == nil {
		return nil, nil
	}
	own, best := revision(q.answer), int64(-1)
	for _, v := range i.versions {
		if v.object == nil {
			continue
		}
		if r := revision(v.object); r < own && r > best {
			best, o, by = r, v.object, v.request
		}
	}
	return o, by
}

func revision(o *object) int64 {
	n, err := strconv.ParseInt(o.Metadata.Version, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// workload is what of a spec and a status tells whether the controllers are done.
type workload struct {
	Replicas *int64 `json:"replicas"`
	Observed int64  `json:"observedGeneration"`
	Updated  int64  `json:"updatedReplicas"`
	Ready    int64  `json:"readyReplicas"`
	Avail    int64  `json:"availableReplicas"`

	Desired   int64  `json:"desiredNumberScheduled"`
	Scheduled int64  `json:"updatedNumberScheduled"`
	Available int64  `json:"numberAvailable"`
	Current   int64  `json:"currentNumberScheduled"`
	Revision  string `json:"currentRevision"`
	Update    string `json:"updateRevision"`

	Phase      string      `json:"phase"`
	Completed  string      `json:"completionTime"`
	Conditions []condition `json:"conditions"`

	Paused  bool  `json:"paused"`
	Suspend *bool `json:"suspend"`
}

type condition struct {
	Type    string `json:"type"`
	Status  string `json:"status"`
	Reason  string `json:"reason"`
	Message string `json:"message"`
}

func decodeWorkload(body jsontext.Value) workload {
	var w workload
	if len(body) > 0 && body[0] == '{' {
		_ = json.Unmarshal(body, &w, lenient) // a custom resource may hold anything; zero is "not known"
	}
	return w
}

func (w *workload) holds(kind string) bool {
	return slices.ContainsFunc(w.Conditions, func(c condition) bool { return c.Type == kind && c.Status == "True" })
}

// ready tells whether a pod is up, or over.
func ready(o *object) bool {
	w := decodeWorkload(o.State)
	return w.Phase == "Succeeded" || w.Phase == "Failed" || w.holds("Ready")
}
