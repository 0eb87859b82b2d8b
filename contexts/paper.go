package contexts

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8ntext/dataset/audit"
	"k8ntext/dataset/identity"
	"k8ntext/dataset/label"
)

// paper is the reference's clusterer (REFERENCE 9.2): the events of one label are dealt to that label's
// triggers, the events whose own label it is, by weights for what they have in common. It deals the
// events of the whole log at once, so what it keeps of them grows with the log, up to a bound.
//
// Events without a label, which the reference does not have, are a context each.
type paper struct {
	byLabel map[label.Label][]*light
	held    int
}

// light is what the weights need of an event. Texts are kept once, as numbers.
type light struct {
	event  *audit.Event // without its bodies
	number int
	line   int
	person bool
	at     time.Time
	own    bool // its own label is its label
	is     label.Label

	object   identity.Object // without uid
	uid      string
	owners   []identity.Object
	involved []identity.Object
	claims   []identity.Object
}

// The reference's weights and limits.
const (
	sameUser     = 50
	sameObject   = 100
	isOwner      = 80 // also: an object of the cluster is the owner
	sameInvolved = 60
	involves     = 70
	sameClaim    = 60
	claims       = 60
	limitRanges  = 90
	emptied      = 95
	enough       = 50

	paperSpan   = 300 * time.Second
	paperEvents = 1000
)

func (p *paper) push(e *audit.Event, number int, l, own label.Label) {
	x := &light{event: withoutBodies(e), number: number, line: -1, at: e.RequestReceived, own: l == own, is: own, person: isPerson(e)}
	if n := len(e.Stages); n > 0 {
		x.line = e.Stages[n-1].Position.Line
	}
	f := identity.Extract(e)
	x.object, x.uid = f.Object, f.Object.UID
	x.object.UID = ""
	for _, link := range f.Links {
		to := link.To
		switch link.Relation {
		case identity.Owner:
			x.owners = append(x.owners, to)
		case identity.Involved:
			to.UID = ""
			x.involved = append(x.involved, to)
		case identity.Claim:
			to.UID = ""
			x.claims = append(x.claims, to)
		}
	}
	p.byLabel[l] = append(p.byLabel[l], x)
	p.held++
}

// cluster is one of the contexts that a label's events are dealt to.
type cluster struct {
	events   []*light
	reasons  []Reason
	users    map[string]bool
	objects  map[identity.Object]bool
	uids     map[string]bool
	owners   map[string]bool
	involved map[identity.Object]bool
	claims   map[identity.Object]bool
	spaces   map[string]bool // namespaces in which a person acted
	ends     map[string]bool // namespaces that it deletes
}

func (c *cluster) take(x *light, r Reason) {
	if c.users == nil {
		c.users, c.objects, c.uids, c.owners = make(map[string]bool), make(map[identity.Object]bool), make(map[string]bool), make(map[string]bool)
		c.involved, c.claims = make(map[identity.Object]bool), make(map[identity.Object]bool)
		c.spaces, c.ends = make(map[string]bool), make(map[string]bool)
	}
	c.events = append(c.events, x)
	c.reasons = append(c.reasons, r)
	c.users[x.event.User.Username] = true
	if x.object.Name != "" {
		c.objects[x.object] = true
	}
	if x.uid != "" {
		c.uids[x.uid] = true
	}
	for _, o := range x.owners {
		if o.UID != "" {
			c.owners[o.UID] = true
		}
	}
	for _, o := range x.involved {
		c.involved[o] = true
	}
	for _, o := range x.claims {
		c.claims[o] = true
	}
	if x.person && x.object.Namespace != "" {
		c.spaces[x.object.Namespace] = true
	}
	if x.object.Resource == "namespaces" && x.object.Name != "" {
		c.spaces[x.object.Name] = c.spaces[x.object.Name] || x.person
		if x.event.Verb == "delete" {
			c.ends[x.object.Name] = true
		}
	}
}

// score is how much an event has in common with a cluster.
func (c *cluster) score(x *light) int {
	sum := 0
	if c.users[x.event.User.Username] {
		sum += sameUser
	}
	if x.object.Name != "" && c.objects[x.object] {
		sum += sameObject
	}
	if x.uid != "" && c.owners[x.uid] {
		sum += isOwner
	}
	for _, o := range x.owners {
		if o.UID != "" && c.uids[o.UID] {
			sum += isOwner
			break
		}
	}
	for _, o := range x.involved {
		if c.involved[o] {
			sum += sameInvolved
		}
		if c.objects[o] {
			sum += involves
		}
	}
	for _, o := range x.claims {
		if c.claims[o] {
			sum += sameClaim
		}
		if c.objects[o] {
			sum += claims
		}
	}
	if ref := x.event.ObjectRef; ref != nil && ref.Namespace != "" {
		if x.event.User.Username == "system:apiserver" && x.event.Verb == "list" && ref.Resource == "limitranges" && c.spaces[ref.Namespace] {
			sum += limitRanges
		}
		if (x.event.Verb == "deletecollection" || x.event.Verb == "get" || x.event.Verb == "list") && c.ends[ref.Namespace] {
			sum += emptied
		}
	}
	return sum
}

// deal deals the events of one label.
func deal(events []*light) []*cluster {
	triggers := 0
	for _, x := range events {
		if x.own {
			triggers++
		}
	}
	var out []*cluster
	alone := func(x *light, r Reason) *cluster {
		c := &cluster{}
		c.take(x, r)
		out = append(out, c)
		return c
	}
	switch {
	case triggers == len(events):
		for _, x := range events {
			alone(x, Own)
		}
		return out
	case triggers == 1 || len(events) == 1:
		c := &cluster{}
		for _, x := range events {
			r := Label
			if x.own {
				r = Own
			}
			c.take(x, r)
		}
		return []*cluster{c}
	}
	left := make(map[*cluster]bool) // begun by an event that fits none
	for len(events) > 0 {
		n := 1
		for n < len(events) && n < paperEvents && events[n].at.Sub(events[0].at) <= paperSpan {
			n++
		}
		first := len(out)
		for _, x := range events[:n] {
			if x.own {
				alone(x, Own)
			}
		}
		for _, x := range events[:n] {
			if x.own {
				continue
			}
			best, most := -1, enough-1
			for i, c := range out[first:] {
				if s := c.score(x); s > most {
					best, most = first+i, s
				}
			}
			if best < 0 {
				left[alone(x, Own)] = true
			} else {
				out[best].take(x, Score)
			}
		}
		out = append(out[:first], uniform(out[first:], left)...)
		events = events[n:]
	}
	return out
}

// uniform is the paper's last resort (its section 5.9): where as many equal events are left as there are
// triggers, the first goes to the first, and so on. Equal are events of one user whose own label is one;
// left are those that found no company but their own.
func uniform(clusters []*cluster, left map[*cluster]bool) []*cluster {
	type kind struct {
		own  label.Label
		user string
	}
	kindOf := func(x *light) kind { return kind{x.is, x.event.User.Username} }
	var triggers []*cluster
	equal := make(map[kind][]*cluster)
	var kinds []kind // in the order in which they come
	events := make(map[kind]int)
	for _, c := range clusters {
		if !left[c] {
			triggers = append(triggers, c)
			continue
		}
		k := kindOf(c.events[0])
		if !slices.ContainsFunc(c.events, func(x *light) bool { return kindOf(x) != k }) {
			if equal[k] == nil {
				kinds = append(kinds, k)
			}
			equal[k] = append(equal[k], c)
			events[k] += len(c.events)
		}
	}
	dealt := make(map[*cluster]bool)
	for _, k := range kinds {
		if events[k] != len(triggers) {
			continue
		}
		var all []*light
		for _, c := range equal[k] {
			all = append(all, c.events...)
			dealt[c] = true
		}
		slices.SortFunc(all, func(a, b *light) int { return cmp.Compare(a.number, b.number) })
		for i, x := range all {
			triggers[i].take(x, Uniform)
		}
	}
	return slices.DeleteFunc(clusters, func(c *cluster) bool { return dealt[c] })
}

// flush deals all events that are kept.
func (p *paper) flush() []*Context {
	var list []*Context
	labels := make([]label.Label, 0, len(p.byLabel))
	for l := range p.byLabel {
		labels = append(labels, l)
	}
	slices.Sort(labels)
	for _, l := range labels {
		events := p.byLabel[l]
		if l < 0 {
			for _, x := range events {
				c := &cluster{}
				c.take(x, Own)
				list = append(list, c.context(l))
			}
			continue
		}
		for _, c := range deal(events) {
			list = append(list, c.context(l))
		}
	}
	p.byLabel, p.held = make(map[label.Label][]*light), 0
	slices.SortFunc(list, func(a, b *Context) int { return cmp.Compare(a.Members[0].Event, b.Members[0].Event) })
	return list
}

// context is what a cluster is as a context.
func (c *cluster) context(l label.Label) *Context {
	g := &Context{Label: l, Trigger: Trigger{Event: -1, Line: -1, Estimated: true}, First: c.events[0].at, Last: c.events[0].at}
	for i, x := range c.events {
		r := c.reasons[i]
		g.Members = append(g.Members, Member{Event: x.number, Line: x.line, Reason: r, Confidence: r.confidence()})
		if x.at.Before(g.First) {
			g.First = x.at
		}
		if x.at.After(g.Last) {
			g.Last = x.at
		}
		if e := x.event; e.Verb != "get" && e.Verb != "list" && e.Verb != "watch" && x.object.Name != "" && x.object.Resource != "events" {
			g.note(x.object)
		}
	}
	sortMembers(g.Members)
	g.ID = id(g.Members[0].Event)
	// The trigger is the first whose own label it is; without one it is not known.
	for _, x := range c.events {
		if !x.own && l >= 0 {
			continue
		}
		g.fill(x.event, x.number, x.line, x.object)
		break
	}
	if g.Trigger.Event < 0 {
		x := c.events[0]
		g.fill(x.event, x.number, x.line, x.object)
		g.Trigger = Trigger{Event: -1, Line: -1}
	}
	g.Trigger.Estimated = true
	g.User = isPerson(&audit.Event{User: audit.User{Username: g.Actor.User}})
	return g
}

// fill tells of a context what its trigger says.
func (c *Context) fill(e *audit.Event, number, line int, object identity.Object) {
	c.Trigger = Trigger{Event: number, Line: line}
	c.Actor = Actor{User: e.User.Username, Agent: e.UserAgent}
	if e.ImpersonatedUser != nil {
		c.Actor.Impersonated = e.ImpersonatedUser.Username
	}
	c.Verb = e.Verb
	c.URI, _, _ = strings.Cut(e.RequestURI, "?")
	c.Object, c.Sub = object, ""
	if e.ObjectRef != nil {
		c.Sub = e.ObjectRef.Subresource
	}
	c.Outcome = 0
	if e.ResponseStatus != nil {
		c.Outcome = e.ResponseStatus.Code
	}
}

func id(number int) string { return "c" + strconv.Itoa(number) }
