package contexts

import (
	"regexp"
	"strings"

	"k8ntext/dataset/identity"
)

// cause is why a component sent a request: the context, and what tells so.
type cause struct {
	group  *group
	reason Reason
	clock  bool // a clock acted: a new context whose parent is group
}

func (m mark) because(r Reason) cause { return cause{group: m.g, reason: r} }

// orElse is the cause, or another where there is none.
func (c cause) orElse(other func() cause) cause {
	if c.group != nil {
		return c
	}
	return other()
}

// effect takes a request that no person sent.
func (b *Builder) effect(x *event) {
	c := b.cause(x)
	g := c.group
	switch {
	case g == nil:
		g = b.alone(x)
		if x.Changed && startsSomething(x) {
			b.affect(g, x)
			b.thingWork(g, x)
		}
	default:
		b.join(g, x, c.reason)
		if x.Changed {
			b.affect(g, x)
		}
	}
	if x.Verb != "get" && x.Verb != "list" && x.Verb != "watch" {
		b.board(g, x)
	}
	if x.ObjectRef != nil {
		b.after(g, x)
	}
}

// worker names the component that sent a request, the same whether controllers have accounts of their
// own or not.
func worker(x *event) string {
	name := x.User.Username
	switch {
	case strings.HasPrefix(name, "system:serviceaccount:kube-system:"):
		return strings.TrimPrefix(name, "system:serviceaccount:kube-system:")
	case strings.HasPrefix(name, "system:node:"):
		return "kubelet"
	case strings.HasPrefix(name, "system:serviceaccount:"):
		return "account"
	}
	return strings.TrimPrefix(name, "system:")
}

// cause finds why a component sent a request.
func (b *Builder) cause(x *event) cause {
	o := x.ObjectRef
	if o == nil || x.Verb == "watch" {
		return cause{}
	}
	w := worker(x)
	if w == "namespace-controller" || o.Resource == "namespaces" && o.Subresource == "finalize" {
		return b.namespaceEnds(x)
	}
	switch o.Resource {
	case "leases":
		return cause{}
	case "events":
		return b.told(x)
	case "pods":
		return b.pod(x, w)
	case "endpoints", "endpointslices":
		if w == "generic-garbage-collector" {
			return b.collected(x)
		}
		return b.addresses(x)
	case "poddisruptionbudgets":
		if w == "disruption-controller" {
			return b.budget(x)
		}
	case "resourcequotas":
		if w == "resourcequota-controller" {
			return b.budget(x)
		}
	case "nodes":
		return b.node(x, w)
	}
	switch w {
	case "generic-garbage-collector":
		return b.collected(x)
	case "apiserver":
		return b.nested(x)
	case "kubelet":
		return b.kubelet(x)
	case "root-ca-cert-publisher", "service-account-controller":
		return b.furnished(x)
	}
	if o.Subresource == "token" {
		return cause{}
	}
	return b.owned(x)
}

// owned is work on an object: it belongs to the latest change of what the object depends on.
func (b *Builder) owned(x *event) cause {
	m, r := b.worked(x.Object), ObjectRef
	if o, ok := b.tracker.Instance(x.Object); ok {
		switch {
		case o.Parent != 0 && o.ParentBy == identity.Named:
			r = Named
		case o.Parent != 0:
			r = Owner
		case x.ObjectRef.UID != "":
			r = UID
		}
	}
	for _, related := range x.Related {
		if n := b.worked(related.ID); later(m, n) != m {
			m, r = n, reasonOf(related.Relation)
		}
	}
	if x.ResponseStatus != nil && x.ResponseStatus.Code == 403 && x.Namespace != 0 {
		if end := b.ended(x.Namespace); end.there() {
			return end.because(Namespace)
		}
	}
	return m.because(r)
}

func reasonOf(r identity.Relation) Reason {
	switch r {
	case identity.Involved:
		return Involved
	case identity.Claim:
		return Claim
	case identity.Bound:
		return Bound
	case identity.Named:
		return Named
	}
	return Owner
}

// namespaceEnds is what the namespace controller does.
func (b *Builder) namespaceEnds(x *event) cause {
	ns := x.Namespace
	if x.ObjectRef.Resource == "namespaces" {
		ns = x.Object
	}
	return b.ended(ns).because(Namespace)
}

// told is an Event: it belongs to what happened to the object that it tells of.
func (b *Builder) told(x *event) cause {
	about := identity.ID(0)
	reason := Involved
	for _, r := range x.Related {
		if r.Relation == identity.Involved {
			about = r.ID
		}
	}
	if about == 0 {
		if o, ok := b.tracker.Instance(x.Object); ok {
			about, reason = o.Parent, Named
		}
	}
	o, ok := b.tracker.Instance(about)
	if !ok {
		return cause{}
	}
	s := x.look()
	text := s.Message + s.Note
	switch o.Resource {
	case "pods":
		end := b.ended(about)
		if end.there() && (s.Reason == "Killing" || s.Reason == "TaintManagerEviction" || s.Reason == "Preempted" || s.Reason == "Evicted" || s.Reason == "") {
			return end.because(reason)
		}
		return b.made(about).because(reason)
	case "nodes":
		return cause{}
	}
	if m := podNamed.FindStringSubmatch(text); m != nil {
		if id := b.latest(identity.Object{Resource: "pods", Namespace: o.Namespace, Name: m[2]}); id != 0 {
			if m[1] == "Deleted" {
				if end := b.ended(id); end.there() {
					return end.because(reason)
				}
			}
			return b.made(id).because(reason)
		}
	}
	return b.worked(about).because(reason)
}

var podNamed = regexp.MustCompile(`(Created|Deleted) pod: (\S+)`)

// pod is a request for a pod.
func (b *Builder) pod(x *event, w string) cause {
	o := x.ObjectRef
	id := x.Object
	switch {
	case x.Verb == "list" || x.Verb == "deletecollection":
		return b.owned(x)
	case w == "generic-garbage-collector":
		return b.collected(x)
	case x.Verb == "create" && o.Subresource == "":
		return b.owned(x)
	case o.Subresource == "binding" || w == "kube-scheduler":
		return b.made(id).because(Bound)
	case w == "kubelet":
		if end := b.ended(id); end.there() {
			return end.because(UID)
		}
		return b.made(id).because(UID)
	case x.Verb == "delete" && o.Subresource == "":
		return b.owned(x)
	}
	return b.owned(x)
}

// collected is what the garbage collector does: an object goes because its owner went.
func (b *Builder) collected(x *event) cause {
	var m mark
	id := x.Object
	for range maxChain {
		m = later(m, b.ended(id))
		o, ok := b.tracker.Instance(id)
		if !ok || o.Parent == 0 {
			break
		}
		id = o.Parent
	}
	return m.because(Owner).orElse(func() cause { return b.owned(x) })
}

// addresses is what is behind a service.
func (b *Builder) addresses(x *event) cause {
	t := b.thing(x.Object)
	now := x.look().pods()
	before := t.pods
	if x.Changed && x.Verb != "delete" {
		t.pods = now
	}
	var m mark
	if x.Verb == "update" || x.Verb == "patch" || x.Verb == "create" {
		for name, state := range now {
			if before[name] != state {
				m = later(m, b.stirred(x, name))
			}
		}
		for name := range before {
			if _, still := now[name]; !still {
				m = later(m, b.stirred(x, name))
			}
		}
	}
	own := b.owned(x)
	if x.Verb == "update" && m.there() {
		return m.because(Selected)
	}
	return own
}

// stirred is the latest thing that happened to the pod of a name.
func (b *Builder) stirred(x *event, name string) mark {
	id := b.latest(identity.Object{Resource: "pods", Namespace: x.ObjectRef.Namespace, Name: name})
	return later(b.made(id), b.ended(id))
}

// budget counts pods, or what a quota counts.
func (b *Builder) budget(x *event) cause {
	own := b.worked(x.Object)
	return later(own, b.place(x.Namespace).stir).because(Selected)
}

func (b *Builder) node(x *event, w string) cause {
	if w == "kubelet" || x.Verb == "list" {
		return cause{}
	}
	return b.owned(x)
}

// kubelet is what a kubelet looks up: what a pod names that it starts.
func (b *Builder) kubelet(x *event) cause {
	o := x.ObjectRef
	if o.Subresource == "token" {
		for _, r := range x.Related {
			if r.Relation == identity.Bound {
				return b.made(r.ID).because(Bound)
			}
		}
	}
	if isQuestion(x.Event) {
		return b.served(x)
	}
	switch o.Resource {
	case "configmaps", "secrets", "persistentvolumeclaims", "serviceaccounts", "persistentvolumes":
		if p := b.starting(x.User.Username, o.Namespace); p.there() {
			return p.because(Selected)
		}
	}
	return cause{}
}

// starting is the pod that a node began to start last, in a namespace if that is told.
func (b *Builder) starting(node, namespace string) mark {
	list := b.nodes[node]
	for i := len(list) - 1; i >= 0; i-- {
		if o, ok := b.tracker.Instance(list[i]); ok && (namespace == "" || o.Namespace == namespace) {
			return b.made(list[i])
		}
	}
	return mark{}
}

// served is what a kubelet asks before it serves a request of a person.
func (b *Builder) served(x *event) cause {
	for i := len(b.flight) - 1; i >= 0; i-- {
		if f := b.flight[i]; f.connects && !f.end.Before(x.RequestReceived) {
			return cause{group: f.group, reason: Nested}
		}
	}
	return cause{}
}

// nested is what the API server asks while it serves another request.
func (b *Builder) nested(x *event) cause {
	o := x.ObjectRef
	if o.Namespace != "" {
		for i := len(b.flight) - 1; i >= 0; i-- {
			if f := b.flight[i]; f.namespace == o.Namespace && !f.end.Before(x.RequestReceived) && !f.connects {
				return cause{group: f.group, reason: Nested}
			}
		}
	}
	if o.Resource == "ipaddresses" && x.Changed {
		for i := len(b.flight) - 1; i >= 0; i-- {
			if f := b.flight[i]; f.resource == "services" && !f.end.Before(x.RequestReceived) {
				return cause{group: f.group, reason: Nested}
			}
		}
	}
	return b.owned(x)
}

// furnished is what every namespace gets: after its creation, or when somebody deleted it.
func (b *Builder) furnished(x *event) cause {
	m := b.changedLast(x.Namespace)
	return later(m, b.ended(x.Object)).because(Namespace)
}

// startsSomething tells whether a component's change that nothing caused may cause others: an account in
// the cluster that works on its own.
func startsSomething(x *event) bool {
	return worker(x) == "account" && x.ObjectRef != nil && x.ObjectRef.Resource != "leases" && !isEvent(x) && x.ObjectRef.Subresource == ""
}

func (b *Builder) thingWork(g *group, x *event) {
	if x.Object != 0 {
		b.thing(x.Object).work.set(mark{g, x.number})
	}
}

// after remembers what later events need.
func (b *Builder) after(g *group, x *event) {
	o := x.ObjectRef
	if o.Resource == "pods" && x.Object != 0 && x.Changed {
		b.place(x.Namespace).stir.set(mark{g, x.number})
		if w := x.User.Username; strings.HasPrefix(w, "system:node:") && x.Verb == "patch" || o.Subresource == "binding" {
			node := w
			if o.Subresource == "binding" {
				node = ""
				for _, r := range x.Related {
					if n, ok := b.tracker.Instance(r.ID); ok && r.Relation == identity.Bound && n.Resource == "nodes" {
						node = "system:node:" + n.Name
					}
				}
			}
			if node != "" {
				list := b.nodes[node]
				if len(list) >= 64 {
					list = append(list[:0], list[1:]...)
				}
				if o.Subresource == "binding" || len(list) == 0 {
					b.nodes[node] = append(list, x.Object)
				}
			}
		}
	}
}
