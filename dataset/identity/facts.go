// Package identity finds out which objects an event speaks of: by uid, owner references, the objects
// that Events, bindings, claims and tokens name, and by name where nothing better was logged.
//
// [Extract] reads what one event says by itself. A [Tracker] sees the events of a log in order and
// ties each to the objects of earlier ones. Nothing here knows of labels or contexts.
package identity

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"k8ntext/dataset/audit"
)

// Object names an object as far as a log does; any field may be empty.
type Object struct {
	Group     string // empty: the core group
	Resource  string // in the plural, lower case
	Namespace string // empty: not namespaced, also for a namespace itself
	Name      string
	UID       string
}

// Relation is how an event ties the object that it is about to another.
type Relation uint8

const (
	None     Relation = iota
	Owner             // metadata.ownerReferences, the controller first
	Involved          // an Event's involvedObject or regarding
	Claim             // a volume's spec.claimRef, a claim's spec.volumeName
	Bound             // a Binding's target, the object that a token is bound to
	Named             // nothing but the name tells: what controllers call what they make
)

func (r Relation) String() string {
	return [...]string{"none", "owner", "involved", "claim", "bound", "named"}[r]
}

// Link is a tie to another object.
type Link struct {
	Relation Relation
	To       Object
}

// Facts are what one event says about objects.
type Facts struct {
	// Object is what the request is about. A list, a watch or a deletecollection has no name; a create
	// with generateName has one only if the answer was logged.
	Object Object
	// GenerateName is the prefix that the server should complete; only from level Request on.
	GenerateName string
	// Links in the order of the relations, as logged within one, at most 16. Never Named.
	Links []Link
	// Shown tells that the object's metadata was logged, so that what Links lacks is not there.
	Shown bool
}

// maxLinks bounds the links of one event. A real object has one or two owners.
const maxLinks = 16

// maxName bounds what is taken for a name, in bytes: Kubernetes allows 253. Longer text from a log is
// left out, so that a tracker's memory stays bounded.
const maxName = 512

// Extract reads the facts of an event at any audit level. From level Metadata on there is the
// objectRef; request and answer add uid and links. Bodies that are cut, or not of the type that their
// kind says, add what could be read of them.
func Extract(e *audit.Event) Facts {
	var f Facts
	if e.ObjectRef == nil {
		return f
	}
	ref := e.ObjectRef
	f.Object = Object{Group: ref.APIGroup, Resource: ref.Resource, Namespace: ref.Namespace, Name: ref.Name, UID: ref.UID}
	if f.Object.Group == "core" { // as the reference's labeller writes it
		f.Object.Group = ""
	}
	if ref.Resource == "namespaces" && ref.APIGroup == "" {
		f.Object.Namespace = ""
	}

	switch e.Verb {
	case "list", "watch", "deletecollection":
		return f.bounded() // the answer is about many objects or one of them, the request about none
	}
	response, request := readBody(e.ResponseObject), readBody(e.RequestObject)
	if e.Verb == "create" && ref.Subresource == "" && f.Object.Name == "" && !response.isStatus() {
		f.Object.Name = response.Metadata.Name
	}
	if e.Verb == "create" && ref.Subresource == "" {
		f.GenerateName = request.Metadata.GenerateName
	}
	for _, b := range [...]*body{&response, &request} {
		if f.Object.Name == "" {
			break
		}
		if f.Object.UID == "" {
			f.Object.UID = b.uidOf(f.Object.Name)
		}
	}
	// The answer shows the object as it is then; a request's own view stands in where it was not logged.
	for _, b := range [...]*body{&response, &request} {
		if b.isStatus() {
			continue
		}
		if f.Links = b.links(f.Object); len(f.Links) > 0 {
			break
		}
	}
	f.Shown = showsObject(ref.Subresource) && !response.isStatus() && response.Metadata.UID != "" && response.Metadata.Name == f.Object.Name
	return f.bounded()
}

// bounded leaves out facts whose texts no real object has.
func (f Facts) bounded() Facts {
	if tooLong(f.Object) || len(f.GenerateName) > maxName {
		return Facts{}
	}
	return f
}

// within names the objects of an overlaid log apart from those of the others: as if each log's objects
// had other names and uids. The namespaces that every cluster has are shared, what is in them is not.
func (f Facts) within(source uint32) Facts {
	if source == 0 {
		return f
	}
	prefix := strconv.FormatUint(uint64(source), 10) + "/" // no name or uid has a slash
	mark := func(text string) string {
		if text == "" {
			return ""
		}
		return prefix + text
	}
	namespace := func(name string) string {
		switch name {
		case "default", "kube-system", "kube-public", "kube-node-lease":
			return name
		}
		return mark(name)
	}
	object := func(o Object) Object {
		o.UID, o.Namespace = mark(o.UID), namespace(o.Namespace)
		if o.Group == "" && o.Resource == "namespaces" {
			if o.Name = namespace(o.Name); !strings.HasPrefix(o.Name, prefix) {
				o.UID = "" // each log has its own
			}
		} else {
			o.Name = mark(o.Name)
		}
		return o
	}
	f.Object = object(f.Object)
	f.GenerateName = mark(f.GenerateName)
	for i, l := range f.Links {
		f.Links[i].To = object(l.To)
	}
	return f
}

// showsObject tells whether requests for a subresource are answered with the object itself.
func showsObject(subresource string) bool {
	switch subresource {
	case "", "status", "finalize", "approval", "ephemeralcontainers", "resize":
		return true
	}
	return false
}

func tooLong(o Object) bool {
	for _, s := range [...]string{o.Group, o.Resource, o.Namespace, o.Name, o.UID} {
		if len(s) > maxName {
			return true
		}
	}
	return false
}

// body is what this package reads of a request's or an answer's object.
type body struct {
	Kind     string `json:"kind"`
	Metadata struct {
		Name            string           `json:"name"`
		GenerateName    string           `json:"generateName"`
		UID             string           `json:"uid"`
		OwnerReferences []ownerReference `json:"ownerReferences"`
	} `json:"metadata"`
	InvolvedObject objectReference `json:"involvedObject"` // v1 Event
	Regarding      objectReference `json:"regarding"`      // events.k8s.io Event
	Target         objectReference `json:"target"`         // Binding
	Spec           jsontext.Value  `json:"spec"`           // means something only together with Kind
	Details        struct {
		Name string `json:"name"`
		UID  string `json:"uid"`
	} `json:"details"` // Status
	Preconditions struct {
		UID string `json:"uid"`
	} `json:"preconditions"` // DeleteOptions
}

type ownerReference struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Name       string `json:"name"`
	UID        string `json:"uid"`
	Controller bool   `json:"controller"`
}

type objectReference struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Namespace  string `json:"namespace"`
	Name       string `json:"name"`
	UID        string `json:"uid"`
}

type spec struct {
	ClaimRef       objectReference `json:"claimRef"`       // PersistentVolume
	VolumeName     string          `json:"volumeName"`     // PersistentVolumeClaim
	BoundObjectRef objectReference `json:"boundObjectRef"` // TokenRequest
}

// readBody reads what it can. An error leaves what was read before it: such a body is of another
// type than its kind says, and cost nobody a panic.
func readBody(v jsontext.Value) body {
	var b body
	if len(v) == 0 || b.scan(v) {
		return b
	}
	return decodeBody(v)
}

// decodeBody is readBody by the book.
func decodeBody(v jsontext.Value) body {
	var b body
	_ = json.Unmarshal(v, &b, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	return b
}

// scan reads a body as it nearly always is, stepping over what is not asked for: most of the bytes. It gives
// up, and says so, where a value is not of the type that is expected.
func (b *body) scan(v []byte) bool {
	ok := true
	whole := audit.Members(v, func(name, value []byte) bool {
		switch string(name) {
		case `"kind"`:
			ok = text(value, &b.Kind)
		case `"metadata"`:
			ok = b.scanMetadata(value)
		case `"spec"`:
			b.Spec = value
		case `"involvedObject"`:
			ok = fill(value, &b.InvolvedObject)
		case `"regarding"`:
			ok = fill(value, &b.Regarding)
		case `"target"`:
			ok = fill(value, &b.Target)
		case `"details"`:
			ok = fill(value, &b.Details)
		case `"preconditions"`:
			ok = fill(value, &b.Preconditions)
		default:
			ok = bytes.IndexByte(name, '\\') < 0
		}
		return ok
	})
	return ok && whole
}

func (b *body) scanMetadata(v []byte) bool {
	ok := true
	whole := audit.Members(v, func(name, value []byte) bool {
		switch string(name) {
		case `"name"`:
			ok = text(value, &b.Metadata.Name)
		case `"generateName"`:
			ok = text(value, &b.Metadata.GenerateName)
		case `"uid"`:
			ok = text(value, &b.Metadata.UID)
		case `"ownerReferences"`:
			ok = value[0] == '[' && b.Metadata.OwnerReferences == nil && fill(value, &b.Metadata.OwnerReferences)
		default:
			ok = bytes.IndexByte(name, '\\') < 0
		}
		return ok
	})
	return ok && whole
}

// text reads a string that is written plainly.
func text(v []byte, to *string) bool {
	if len(v) < 2 || v[0] != '"' || bytes.IndexByte(v, '\\') >= 0 || !utf8.Valid(v) {
		return false
	}
	*to = string(v[1 : len(v)-1])
	return true
}

// fill reads any value.
func fill(v []byte, to any) bool {
	return json.Unmarshal(v, to, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)) == nil
}

func (b *body) isStatus() bool { return b.Kind == "Status" }

// uidOf is the uid that the body gives to the object with this name.
func (b *body) uidOf(name string) string {
	switch {
	case b.isStatus():
		if b.Details.Name == name {
			return b.Details.UID
		}
		return ""
	case b.Preconditions.UID != "":
		return b.Preconditions.UID
	case b.Metadata.Name == name:
		return b.Metadata.UID
	}
	return ""
}

// links are the ties of the object that the body shows; of is that object.
func (b *body) links(of Object) []Link {
	var links []Link
	add := func(r Relation, to Object) {
		if to.Name != "" && to.Resource != "" && !tooLong(to) && len(links) < maxLinks {
			links = append(links, Link{r, to})
		}
	}
	for _, controllers := range [...]bool{true, false} {
		for _, o := range b.Metadata.OwnerReferences {
			if o.Controller != controllers {
				continue
			}
			namespace := of.Namespace // an owner lives in the same namespace or in none
			if clusterScoped(o.Kind) {
				namespace = ""
			}
			add(Owner, Object{groupOf(o.APIVersion), resourceOf(o.Kind), namespace, o.Name, o.UID})
		}
	}
	for _, r := range [...]objectReference{b.InvolvedObject, b.Regarding} {
		add(Involved, r.object(""))
	}
	var s spec
	switch b.Kind {
	case "PersistentVolume", "PersistentVolumeClaim", "TokenRequest":
		_ = json.Unmarshal(b.Spec, &s, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	}
	switch b.Kind {
	case "PersistentVolume":
		s.ClaimRef.Kind = "PersistentVolumeClaim"
		add(Claim, s.ClaimRef.object(""))
	case "PersistentVolumeClaim":
		add(Claim, Object{Resource: "persistentvolumes", Name: s.VolumeName})
	case "TokenRequest":
		add(Bound, s.BoundObjectRef.object(of.Namespace))
	case "Binding":
		add(Bound, b.Target.object(of.Namespace))
	}
	return links
}

// object is what r names; without a namespace of its own a namespaced one is in the namespace given.
func (r objectReference) object(namespace string) Object {
	if r.Namespace != "" {
		namespace = r.Namespace
	}
	if clusterScoped(r.Kind) {
		namespace = ""
	}
	return Object{groupOf(r.APIVersion), resourceOf(r.Kind), namespace, r.Name, r.UID}
}

// groupOf is the API group of an apiVersion.
func groupOf(apiVersion string) string {
	group, _, ok := strings.Cut(apiVersion, "/")
	if !ok {
		return ""
	}
	return group
}

// resourceOf is the plural of a kind, by the rule of apimachinery's meta.UnsafeGuessKindToResource;
// it holds for all kinds of Kubernetes and for nearly all custom ones.
func resourceOf(kind string) string {
	s := strings.ToLower(kind)
	switch {
	case s == "" || strings.HasSuffix(s, "endpoints"):
		return s
	case strings.HasSuffix(s, "s"):
		return s + "es"
	case strings.HasSuffix(s, "y"):
		return strings.TrimSuffix(s, "y") + "ies"
	}
	return s + "s"
}

// clusterScoped are the kinds without namespace that other objects name. An Event about a node says
// "default" or nothing for the node's namespace, depending on who wrote it.
func clusterScoped(kind string) bool {
	switch kind {
	case "Node", "Namespace", "PersistentVolume", "StorageClass", "PriorityClass", "CertificateSigningRequest":
		return true
	}
	return false
}
