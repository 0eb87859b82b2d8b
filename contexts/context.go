// Package contexts groups the events of an audit log: each with the event that started it and all
// that it caused, directly or indirectly.
//
// A [Builder] takes labelled events in order of time and gives contexts. It knows no network: a label
// is a number that comes with an event, or does not.
package contexts

import (
	"cmp"
	"slices"
	"time"

	"k8ntext/dataset/identity"
	"k8ntext/dataset/label"
)

// Context is an event that started something and all that it caused, as rebuilt from a log.
type Context struct {
	// ID is unique among the contexts of one log, and the same whenever the log is read again.
	ID string

	Label   label.Label // of its events; [label.Unknown] where it is not known
	Trigger Trigger
	Actor   Actor
	Verb    string          // of the trigger, as logged
	Object  identity.Object // what the trigger is about; a list has no name
	Sub     string          // the trigger's subresource
	URI     string          // the trigger's path, without its query
	Outcome int             // HTTP code of the trigger; 0: no answer was logged
	User    bool            // started by a person or a CI account; false: background

	Operation string // shared by the contexts of one command; empty: the only one of its command
	Parent    string // ID of the context whose clock or threshold started this one; may be empty

	First, Last time.Time // receive times of its earliest and latest event

	// Objects are those that its events changed, in the order in which they did, without Events and at
	// most [MaxObjects] of them; MoreObjects counts the others.
	Objects     []identity.Object
	MoreObjects int

	Members []Member // by event number

	// Provisional tells that more events may come for it, in another Context with the same ID: see
	// [Options].
	Provisional bool
	// Continued tells that this is the rest of a context that was given before, with the members that
	// came since.
	Continued bool
}

// MaxObjects bounds the objects that a context names.
const MaxObjects = 64

// Trigger is the event that started a context.
type Trigger struct {
	Event     int  // number of the event; -1: it is not in the log
	Line      int  // of the event's last stage in its file; -1: it is not in the log
	Estimated bool // it was taken for the trigger because nothing in the log came before it
}

// Actor is who started a context.
type Actor struct {
	User         string
	Impersonated string // as whom; empty: as themselves
	Agent        string // the user agent
}

// Member is an event of a context.
type Member struct {
	Event      int     // in the order in which the builder was given events, from 0
	Line       int     // of its last stage in its file
	Reason     Reason  // why it is here
	Confidence float32 // how sure that is, 0 to 1: the share of such events that are right on development recordings
}

// Reason is why an event belongs to a context.
type Reason uint8

const (
	Own         Reason = iota // it is an action of its own: the trigger, or background
	Preliminary               // the same client asked for it just before, on the way to the trigger
	SameUser                  // the same client asked for it for the same object, within one command
	ObjectRef                 // it is about the object that the context changed, by name
	UID                       // it is about that object, by uid
	Owner                     // its object belongs to that object, by owner references
	Named                     // its object is called after that object, as controllers do
	Involved                  // it is an Event about an object of the context
	Claim                     // its volume or claim is bound to one of the context
	Bound                     // it binds, or makes a token for, an object of the context
	Namespace                 // it happened to all that is in a namespace that came or went
	Custom                    // it is about a custom resource, or its definition, and what its operator made of it
	Selected                  // it recounts or lists a set of objects, one of which the context changed
	Nested                    // the API server asked for it while it served an event of the context
	Time                      // nothing but the time ties it: it came right after an event of the context
	Label                     // the network gave it the label of the context, and nothing contradicts
	Score                     // the level paper's weights
	Told                      // the log itself says so, as a stripped one does; not why
	Uniform                   // nothing ties it; one of as many equal events as there are contexts, dealt out in order
)

var reasons = [...]string{
	Own: "own", Preliminary: "preliminary", SameUser: "user", ObjectRef: "objectRef", UID: "uid", Owner: "owner", Named: "named",
	Involved: "involved", Claim: "claim", Bound: "bound", Namespace: "namespace", Custom: "custom", Selected: "selected",
	Nested: "nested", Time: "time", Label: "label", Score: "score", Told: "told", Uniform: "uniform",
}

func (r Reason) String() string {
	if int(r) < len(reasons) {
		return reasons[r]
	}
	return "unknown"
}

// Reasons are all reasons, in their order.
func Reasons() []Reason {
	all := make([]Reason, len(reasons))
	for i := range all {
		all[i] = Reason(i)
	}
	return all
}

// confidence is how often a member with the reason is where it belongs: at level identity on base-dev,
// busy-dev, metadata-dev, other-version-dev and work-dev together (Score: at level paper with true labels
// on base-dev, Uniform on base-dev, busy-dev, metadata-dev and work-dev; Label has too few events there to tell).
func (r Reason) confidence() float32 {
	switch r {
	case Own, Preliminary, SameUser, UID, Owner, Involved, Bound, Namespace:
		return .99
	case Named, Claim, Selected, Nested:
		return .98
	case Custom:
		return .97
	case ObjectRef, Time:
		return .94
	case Score:
		return .85
	case Uniform:
		return .82
	case Told:
		return 1
	}
	return .9
}

// Whole puts contexts together that were given in parts, and orders them by their first events.
func Whole(parts []*Context) []*Context {
	byID := make(map[string]*Context, len(parts))
	whole := make([]*Context, 0, len(parts))
	for _, p := range parts {
		c := byID[p.ID]
		if c == nil {
			copied := *p
			c = &copied
			c.Members, c.Objects = slices.Clone(p.Members), slices.Clone(p.Objects)
			byID[p.ID] = c
			whole = append(whole, c)
			continue
		}
		c.add(p)
	}
	for _, c := range whole {
		sortMembers(c.Members)
	}
	slices.SortStableFunc(whole, func(a, b *Context) int { return cmp.Compare(a.Members[0].Event, b.Members[0].Event) })
	return whole
}

// add adds a later part.
func (c *Context) add(p *Context) {
	if c.Trigger.Event < 0 && p.Trigger.Event >= 0 {
		members, objects, more, first, last := c.Members, c.Objects, c.MoreObjects, c.First, c.Last
		*c = *p
		c.Members, c.Objects, c.MoreObjects, c.First, c.Last = members, objects, more, first, last
	}
	c.Members = append(c.Members, p.Members...)
	for _, o := range p.Objects {
		c.note(o)
	}
	c.MoreObjects += p.MoreObjects
	if p.First.Before(c.First) {
		c.First = p.First
	}
	if p.Last.After(c.Last) {
		c.Last = p.Last
	}
	c.Provisional = p.Provisional
	c.Continued = c.Continued && p.Continued
}
