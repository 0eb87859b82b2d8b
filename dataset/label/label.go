// Package label knows the space of action labels: which kinds of requests Kubernetes has, how each
// is numbered, and which label an event gives by itself.
//
// A label is the type of a request, L = (r, s, v, n, u): resource, subresource, verb, whether the
// request names a namespace and whether it names an object. Verbs merge: get means get or list,
// update means update or patch, delete means delete or deletecollection. What the ids mean is the
// business of a [Space]; [Paper] and [Default] are such, and [ControlPlane] has two labels of another kind.
//
// REFERENCE in comments is the project's collection of facts about the system of the paper
// "Sharpening Kubernetes Audit Logs with Context Awareness" (section 3: labels, 4.1: rules,
// 13: known errors).
package label

// Label is an action label L = (r, s, v, n, u) packed into 22 bits as the reference does:
// r<<12 | (s&7)<<9 | n<<8 | u<<7 | v<<4 | s>>3. Negative values are the special labels below.
// The packing is the same in every [Space]; only the meaning of resource ids is the space's.
type Label int32

const (
	Unknown Label = -1 // no label of the space fits
	Ignore  Label = -2 // the reference's mark for requests that are not labelled; the paper space only
)

// Bits of a packed label, from the lowest up: 4 bits s>>3, 3 bits v, u, n, 3 bits s&7, 10 bits r.
const (
	verbShift     = 4
	singleBit     = 1 << 7
	namespacedBit = 1 << 8
	subShift      = 9
	resourceShift = 12
	labelBits     = 22

	maxResource = 1<<10 - 1
	maxSub      = 1<<7 - 1
	maxVerb     = 1<<3 - 1
)

// Tuple is a label unpacked.
type Tuple struct {
	Resource    int  // r, 0..1023
	Subresource int  // s, 0..127
	Verb        int  // v: 1 create, 2 delete, 3 get, 4 update, 5 watch
	Namespaced  bool // n: objectRef.namespace is present and not empty
	Single      bool // u: objectRef.name is present and not empty
}

// Tuple unpacks l. A special label, or a number that no packing gives, is the zero tuple.
func (l Label) Tuple() Tuple {
	if l < 0 || l >= 1<<labelBits {
		return Tuple{}
	}
	return Tuple{
		Resource:    int(l >> resourceShift),
		Subresource: int(l>>subShift)&7 | int(l&15)<<3,
		Verb:        int(l>>verbShift) & maxVerb,
		Namespaced:  l&namespacedBit != 0,
		Single:      l&singleBit != 0,
	}
}

// Label packs t; it is [Unknown] if a component does not fit its bits.
func (t Tuple) Label() Label {
	if t.Resource < 0 || t.Resource > maxResource || t.Subresource < 0 || t.Subresource > maxSub ||
		t.Verb < 0 || t.Verb > maxVerb {
		return Unknown
	}
	l := t.Resource<<resourceShift | (t.Subresource&7)<<subShift | t.Verb<<verbShift | t.Subresource>>3
	if t.Namespaced {
		l |= namespacedBit
	}
	if t.Single {
		l |= singleBit
	}
	return Label(l)
}

// The merged verbs. 0, 6 and 7 are not used (REFERENCE 3.3).
const (
	create = 1 + iota
	deletion
	get
	update
	watch
)

// verbNames are the names of the merged verbs, by id.
func verbNames() [6]string {
	return [...]string{create: "create", deletion: "delete", get: "get", update: "update", watch: "watch"}
}

// mergedVerb is the id of the class that a verb of an audit event belongs to; 0: none.
func mergedVerb(verb string) int {
	switch verb {
	case "create":
		return create
	case "delete", "deletecollection":
		return deletion
	case "get", "list":
		return get
	case "update", "patch":
		return update
	case "watch":
		return watch
	}
	return 0
}
