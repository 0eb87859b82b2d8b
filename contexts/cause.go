package contexts

import (
	"regexp"
	"slices"
	"strings"

	"k8ntext/dataset/identity"
)

// cause is why a component sent a request: the context, and what tells so.
type cause struct {
	group  *group
	reason Reason
}

func (m mark) because(r Reason) cause { return cause{m.g, r} }

// effect takes a request that no person sent.
func (b *Builder) effect(x *event) {
	b.passed = b.passed[:0]
	c := b.cause(x)
	if b.o.Level == Full {
		c = b.labelled(x, c)
	}
	g := c.group
	if g != nil && b.over(g) {
		g, c.group = nil, nil
	}
	starts := false
	switch {
	case g == nil:
		g = b.alone(x)
		starts = x.Changed && startsSomething(x)
	default:
		b.join(g, x, c.reason)
	}
	if x.Changed && (c.group != nil || starts) {
		b.affect(g, x)
	}
	if x.ObjectRef != nil {
		if starts && x.Object != 0 {
			b.thing(x.Object).work.set(x.mark(g))
			b.spread(x.Object, x.mark(g))
		}
		if x.Verb != "get" && x.Verb != "list" && x.Verb != "watch" {
			b.board(g, x)
		}
		b.after(g, x)
	}
}

// mark is what is remembered of an event.
func (x *event) mark(g *group) mark { return mark{g, x.number, x.RequestReceived} }

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
	switch w {
	case "namespace-controller":
		return b.namespaceEnds(x)
	case "generic-garbage-collector":
		return b.collected(x)
	case "horizontal-pod-autoscaler":
		return b.scaled(x)
	case "ttl-after-finished-controller":
		return b.expired(x)
	case "cronjob-controller":
		return b.ticked(x)
	}
	switch o.Resource {
	case "leases":
		return cause{}
	case "namespaces":
		if o.Subresource == "finalize" {
			return b.namespaceEnds(x)
		}
	case "events":
		return b.told(x)
	case "nodes":
		return b.node(x, w)
	case "pods":
		return b.pod(x, w)
	case "endpoints", "endpointslices":
		return b.addresses(x)
	case "poddisruptionbudgets":
		if w == "disruption-controller" {
			return b.counted(x)
		}
	case "resourcequotas":
		if w == "resourcequota-controller" {
			return b.counted(x)
		}
	case "apiservices":
		if _, group, ok := strings.Cut(o.Name, "."); ok && w == "apiserver" {
			if d := b.groups[group]; d != nil {
				return d.change.because(Custom)
			}
		}
	case "serviceaccounts":
		if o.Subresource == "token" && w != "kubelet" {
			return cause{}
		}
	}
	switch w {
	case "apiserver":
		return b.nested(x)
	case "kubelet":
		return b.kubelet(x)
	case "root-ca-cert-publisher", "service-account-controller":
		return b.furnished(x)
	}
	if x.Verb == "list" && x.Object == 0 && x.ResponseStatus != nil && x.ResponseStatus.Code == 404 {
		// An informer finds that its resource is gone, once; it tries again until somebody tells it.
		if d := b.groups[o.APIGroup]; d != nil && !d.missed {
			d.missed = true
			return d.change.because(Custom)
		}
		return cause{}
	}
	if w == "account" {
		return b.operated(x)
	}
	return b.owned(x)
}

// operated is what an operator does, a controller in the cluster that works on custom resources. What it
// makes without saying for which, as far as is logged, is for the one that it worked on last and after
// which it is called.
func (b *Builder) operated(x *event) cause {
	c := b.owned(x)
	key := x.User.Username
	if o, ok := b.tracker.Instance(x.Object); ok && b.o.Space.External(o.Group) {
		if len(b.operators) < maxOperators {
			b.operators[key] = x.Object
		}
		return c
	}
	works, ok := b.tracker.Instance(b.operators[key])
	if c.group != nil || !ok || x.ObjectRef.Namespace != works.Namespace || !strings.HasPrefix(x.ObjectRef.Name, works.Name) {
		return c
	}
	if t := b.thing(x.Object); x.Object != b.operators[key] {
		t.owner = b.operators[key]
	}
	return b.worked(b.operators[key]).because(Custom)
}

const maxOperators = 1024

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
	if x.Verb == "create" && x.ObjectRef.Subresource == "" {
		if gone := b.place(x.Namespace).gone[x.ObjectRef.Resource+"/"+x.ObjectRef.Name]; gone.there() {
			return later(m, gone).because(ObjectRef) // it is put back
		}
		if !m.there() && x.ObjectRef.Resource == "persistentvolumeclaims" {
			return b.worked(b.claimant(x)).because(Named)
		}
	}
	if x.ResponseStatus != nil && x.ResponseStatus.Code == 403 && x.Namespace != 0 {
		if end := b.ended(x.Namespace); end.there() {
			return end.because(Namespace)
		}
	}
	return m.because(r)
}

// claimant is the StatefulSet after which a claim is called: TEMPLATE-SET-ORDINAL.
func (b *Builder) claimant(x *event) identity.ID {
	name := x.ObjectRef.Name
	end := strings.LastIndexByte(name, '-')
	for i := 0; i < end; i++ {
		if name[i] != '-' || end <= i {
			continue
		}
		if id := b.latest(identity.Object{Group: "apps", Resource: "statefulsets", Namespace: x.ObjectRef.Namespace, Name: name[i+1 : end]}); id != 0 {
			return id
		}
	}
	return 0
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
		if worker(x) == "node-controller" {
			return b.evicted(x, about)
		}
		if claim := b.claimNamed(x, o.Namespace); claim.there() {
			return later(b.made(about), claim).because(reason)
		}
		end := b.ended(about)
		if end.there() && (s.Reason == "Killing" || s.Reason == "TaintManagerEviction" || s.Reason == "Preempted" || s.Reason == "Evicted" || s.Reason == "") {
			return end.because(reason)
		}
		return b.made(about).because(reason)
	case "nodes":
		return b.nodeTold(x, o.Name, s.Reason)
	case "cronjobs":
		if m := jobNamed.FindStringSubmatch(text); m != nil {
			if id := b.latest(identity.Object{Group: "batch", Resource: "jobs", Namespace: o.Namespace, Name: m[1]}); id != 0 {
				return b.made(id).because(reason)
			}
		}
	case "horizontalpodautoscalers":
		if worker(x) == "horizontal-pod-autoscaler" {
			return b.scaled(x)
		}
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

var (
	podNamed = regexp.MustCompile(`(Created|Deleted) pod: (\S+)`)
	jobNamed = regexp.MustCompile(`(?:Created job|Deleted job|ompleted job:|went missing:|or forgot:) ([a-z0-9.-]*[a-z0-9])`)
)

var claimNamed = regexp.MustCompile(`persistentvolumeclaim \\?"([a-z0-9.-]+)\\?"`)

// claimNamed is what happened to the claim for which a pod waits, as the scheduler tells.
func (b *Builder) claimNamed(x *event, namespace string) mark {
	if worker(x) != "kube-scheduler" {
		return mark{}
	}
	s := x.look()
	text := []byte(s.Message + s.Note)
	if !isEvent(x) {
		text = s.Status
	}
	m := claimNamed.FindSubmatch(text)
	if m == nil {
		return mark{}
	}
	name := string(m[1])
	gone := b.place(x.Namespace).gone["persistentvolumeclaims/"+name]
	return later(gone, b.worked(b.latest(identity.Object{Resource: "persistentvolumeclaims", Namespace: namespace, Name: name})))
}

// makes is the resource whose controller makes pods, and at level Metadata does not say for which.
func makes(worker string) string {
	switch worker {
	case "replicaset-controller":
		return "replicasets"
	case "job-controller":
		return "jobs"
	case "daemon-set-controller":
		return "daemonsets"
	case "statefulset-controller":
		return "statefulsets"
	case "replication-controller":
		return "replicationcontrollers"
	}
	return ""
}

// pod is a request for a pod.
func (b *Builder) pod(x *event, w string) cause {
	o := x.ObjectRef
	id := x.Object
	switch {
	case w == "pvc-protection-controller":
		return later(b.place(x.Namespace).claims, b.ended(x.Namespace)).because(Selected)
	case w == "node-controller":
		return b.evicted(x, id)
	case x.Verb == "list" || x.Verb == "deletecollection":
		return b.owned(x)
	case x.Verb == "create" && o.Subresource == "":
		if c := b.owned(x); c.group != nil {
			return c
		}
		return b.place(x.Namespace).wants[makes(w)].because(Time)
	case o.Subresource == "binding":
		return b.made(id).because(Bound)
	case w == "kube-scheduler":
		return later(b.made(id), b.claimNamed(x, o.Namespace)).because(UID)
	case w == "kubelet":
		if end := b.ended(id); end.there() {
			return end.because(UID)
		}
		return later(b.made(id), b.thing(id).work).because(UID)
	case x.Verb == "delete" && o.Subresource == "":
		return b.owned(x)
	}
	return b.owned(x)
}

// collected is what the garbage collector does: an object goes, or stays, because its owner went.
func (b *Builder) collected(x *event) cause {
	var m mark
	for id := range b.owners(x.Object) {
		m = later(m, b.ended(id))
	}
	for _, r := range x.Related {
		if r.Relation == identity.Owner {
			for id := range b.owners(r.ID) {
				m = later(m, b.ended(id))
			}
		}
	}
	if m.there() {
		return m.because(Owner)
	}
	return cause{}
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
	if x.Verb != "update" && x.Verb != "patch" {
		return own
	}
	if m.there() {
		t.counted = x.number
		return m.because(Selected)
	}
	if len(now) == 0 && len(before) == 0 && x.ResponseObject == nil && x.RequestObject == nil {
		if service := b.worked(x.Object); service.at < t.counted || !service.there() {
			t.counted = x.number
			return later(service, b.place(x.Namespace).stir).because(Time)
		}
		t.counted = x.number
	}
	return own
}

// stirred is the latest thing that happened to the pod of a name.
func (b *Builder) stirred(x *event, name string) mark {
	id := b.latest(identity.Object{Resource: "pods", Namespace: x.ObjectRef.Namespace, Name: name})
	return later(b.made(id), b.ended(id))
}

// counted is a count of pods, or of what a quota counts. The first after a change of the budget is for
// that; else something happened to one of the pods.
func (b *Builder) counted(x *event) cause {
	t := b.thing(x.Object)
	own := b.worked(x.Object)
	first := own.there() && own.at > t.counted
	if x.Changed {
		t.counted = x.number
	}
	if t.labels == nil {
		t.labels = x.look().selected()
	}
	if first {
		return own.because(ObjectRef)
	}
	p := b.place(x.Namespace)
	for _, s := range slices.Backward(p.stirs) {
		if s.mark.g != nil && b.selects(t.labels, s.pod) {
			return later(own, s.mark).because(Selected)
		}
	}
	return later(own, p.stir).because(Selected)
}

// selects tells whether a pod may be among those with the labels.
func (b *Builder) selects(labels map[string]string, pod identity.ID) bool {
	t := b.things[pod]
	if t == nil || t.labels == nil {
		return true
	}
	for k, v := range labels {
		if t.labels[k] != v {
			return false
		}
	}
	return true
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
		return b.starting(x.User.Username, o.Namespace, "").because(Time)
	}
	if isQuestion(x.Event) {
		return b.served(x)
	}
	switch o.Resource {
	case "configmaps", "secrets", "persistentvolumeclaims", "serviceaccounts", "persistentvolumes":
		return b.starting(x.User.Username, o.Namespace, o.Name).because(Selected)
	}
	return cause{}
}

// starting is the pod that a node began to start last, in a namespace if that is told.
func (b *Builder) starting(name, namespace, needs string) mark {
	var m mark
	for _, id := range slices.Backward(b.nodeOf(name).pods) {
		o, ok := b.tracker.Instance(id)
		if !ok || namespace != "" && o.Namespace != namespace {
			continue
		}
		if !m.there() {
			m = b.made(id)
		}
		if slices.Contains(b.thing(id).needs, needs) {
			return b.made(id)
		}
	}
	if !m.there() && namespace != "" { // where it runs is not told at level Metadata
		if bound := b.place(b.latest(identity.Object{Resource: "namespaces", Name: namespace})).bound; len(bound) > 0 {
			return b.made(bound[len(bound)-1])
		}
	}
	return m
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
	gone := b.place(x.Namespace).gone[x.ObjectRef.Resource+"/"+x.ObjectRef.Name]
	return later(b.changedLast(x.Namespace), gone).because(Namespace)
}

// startsSomething tells whether a component's change that nothing caused may cause others: an account in
// the cluster that works on its own.
func startsSomething(x *event) bool {
	return worker(x) == "account" && x.ObjectRef != nil && x.ObjectRef.Resource != "leases" && !isEvent(x) && x.ObjectRef.Subresource == ""
}

// after remembers what later events need.
func (b *Builder) after(g *group, x *event) {
	o := x.ObjectRef
	m := x.mark(g)
	switch {
	case o.Resource == "pods" && x.Object != 0 && strings.HasPrefix(x.User.Username, "system:node:") && b.thing(x.Object).node == "":
		b.thing(x.Object).node = x.User.Username
		b.nodeOf(x.User.Username).start(x.Object)
		if x.Changed {
			b.place(x.Namespace).stirUp(x.Object, m)
		}
	case !x.Changed:
	case o.Resource == "pods" && x.Object != 0:
		b.place(x.Namespace).stirUp(x.Object, m)
		if x.Verb == "create" && o.Subresource == "" {
			t := b.thing(x.Object)
			t.labels, t.needs = x.look().Metadata.Labels, x.look().needs()
		}
		node := ""
		if o.Subresource == "binding" {
			for _, r := range x.Related {
				if n, ok := b.tracker.Instance(r.ID); ok && r.Relation == identity.Bound && n.Resource == "nodes" {
					node = "system:node:" + n.Name
				}
			}
		}
		if o.Subresource == "binding" {
			p := b.place(x.Namespace)
			if len(p.bound) >= maxStarted {
				p.bound = append(p.bound[:0], p.bound[1:]...)
			}
			p.bound = append(p.bound, x.Object)
		}
		if node != "" {
			b.nodeOf(node).start(x.Object)
			b.thing(x.Object).node = node
		}
	case o.Subresource == "" && x.Namespace != 0 && (o.Resource == "replicasets" || o.Resource == "daemonsets" || o.Resource == "statefulsets" || o.Resource == "replicationcontrollers"):
		b.place(x.Namespace).want(o.Resource, m)
	case o.Resource == "persistentvolumeclaims" && (x.Verb == "delete" || x.Verb == "deletecollection") && o.Subresource == "":
		b.place(x.Namespace).claims.set(m)
	case o.Resource == "horizontalpodautoscalers" && x.person && o.Subresource == "" && x.Object != 0:
		p := b.place(x.Namespace)
		if !slices.Contains(p.scalers, x.Object) && len(p.scalers) < maxScalers {
			p.scalers = append(p.scalers, x.Object)
		}
		b.thing(x.Object).target = x.look().scaleTarget()
	case o.Resource == "jobs" && x.Object != 0:
		if o.Subresource == "" {
			b.place(x.Namespace).want(o.Resource, m)
		}
		if job, ok := b.tracker.Instance(x.Object); ok && job.Parent != 0 {
			b.thing(job.Parent).jobs.set(m)
		}
	case o.Resource == "customresourcedefinitions" && x.person && o.Subresource == "":
		if _, group, ok := strings.Cut(o.Name, "."); ok && len(b.groups) < maxGroups {
			d := b.groups[group]
			if d == nil {
				d = &definition{}
				b.groups[group] = d
			}
			d.change.set(m)
			d.missed = false
		}
	}
}

// definition is what is remembered of a group of custom resources.
type definition struct {
	change mark // of a definition of its resources, the latest
	missed bool // an informer found since that it is gone
}

const (
	maxGroups  = 4096 // of the API, from custom definitions
	maxScalers = 64   // autoscalers of a namespace
)
