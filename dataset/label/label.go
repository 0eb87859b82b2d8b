// Package label knows the space of action labels: which kinds of requests Kubernetes has, how each
// is numbered, and which label an event gives by itself.
package label

// Label is an action label L = (r, s, v, n, u) packed into 22 bits as the reference does:
// r<<12 | (s&7)<<9 | n<<8 | u<<7 | v<<4 | s>>3. Negative values are the special labels below.
// The packing is the same in every [Space]; only the meaning of resource ids is the space's.
type Label int32

const (
	Unknown Label = -1 // no label of the space fits
	Ignore  Label = -2 // the reference's mark for requests that are not labelled
)

// Tuple is a label unpacked.
type Tuple struct {
	Resource    int  // r, 0..1023
	Subresource int  // s, 0..127
	Verb        int  // v: 1 create, 2 delete, 3 get, 4 update, 5 watch
	Namespaced  bool // n: objectRef.namespace is present and not empty
	Single      bool // u: objectRef.name is present and not empty
}
