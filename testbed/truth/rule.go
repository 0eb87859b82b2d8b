package truth

import (
	"cmp"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// rule finds the cause of a request that no person sent.
func (a *attribution) rule(q *Request) verdict {
	t := q.Received
	switch {
	case t < a.journal.Started.UnixNano():
		return a.background(q, "before-start")
	case q.harness, !a.journal.Ended.IsZero() && t > a.journal.Ended.UnixNano():
		return a.background(q, "harness")
	case a.journal.isPerson(q.User):
		return verdict{class: "person-without-stamp"}
	}
	worker := q.worker()
	if worker == "namespace-controller" && q.Namespace != "" {
		if d := a.deletion(q.Namespace, t); d != nil {
			return a.attribute(d).as("namespace-deletion")
		}
	}
	if v, ok := a.customInformer(q); ok {
		return v
	}
	if q.node() != "" && q.Resource == "nodes" && q.Verb == "create" {
		if v, ok := a.fault(q.node(), t, "node-fault"); ok {
			return v
		}
	}
	if class := backgroundOf(q); class != "" {
		return a.background(q, "background:"+class)
	}
	if q.User == "" && q.Code == http.StatusUnauthorized && q.Subresource != "binding" {
		// Credentials that have run out: the server does not know who asks, and what for is not told by what was
		// sent. A component asks by itself, for as long as it lives.
		return a.background(q, "background:unauthenticated")
	}
	v := a.effect(q, worker)
	if len(v.of) > 0 {
		return v
	}
	switch {
	case isSystemNamespace(q.Namespace) || q.Namespace == "default" && q.instance == nil:
		return a.background(q, "background:system-namespace")
	case q.User == "system:apiserver" && q.Namespace == "":
		return a.background(q, "background:apiserver-self")
	case q.User == "system:apiserver" && q.Namespace == "default" && q.Name == "kubernetes":
		return a.background(q, "background:apiserver-self")
	}
	return v
}

// effect is the heart: which object is the request for, and what happened to that object.
func (a *attribution) effect(q *Request, worker string) verdict {
	i, t := q.instance, q.Received
	switch {
	case isTransient(q.Resource) && q.changes():
		return a.event(q)
	case q.Subresource == "binding":
		return a.made(i, "scheduling")
	case q.Subresource == "token":
		if q.sent != nil {
			var bound struct {
				Object *reference `json:"boundObjectRef"`
			}
			decodeInto(q.sent.Spec, &bound)
			if bound.Object != nil && bound.Object.Kind == "Pod" {
				return a.startOf(a.objects.ofReference(bound.Object, q.Namespace, t), t, q, "pod-token")
			}
		}
		return verdict{class: "token"}
	case worker == "generic-garbage-collector":
		return a.collected(q)
	case worker == "apiserver":
		return a.inside(q)
	case isReview(q):
		return a.review(q)
	case worker == "horizontal-pod-autoscaler":
		return a.autoscaler(q)
	case worker == "cronjob-controller":
		return a.cronJob(q)
	case worker == "ttl-after-finished-controller" && i != nil:
		return a.clock("ttl "+i.uid, a.work(i, t, "").or(a.made(i, "")), "clock:ttl")
	case q.Resource == "pods":
		return a.pod(q, worker)
	case worker == "kubelet":
		return a.kubeletReads(q)
	case worker == "endpointslice-controller" || worker == "endpoint-controller":
		return a.endpoints(q)
	case worker == "disruption-controller" && strings.HasPrefix(q.Resource, "poddisruptionbudgets."):
		return a.budget(q)
	case worker == "resourcequota-controller" && q.Resource == "resourcequotas":
		return a.quota(q)
	case worker == "root-ca-cert-publisher" || worker == "service-account-controller":
		return a.furnished(q)
	case q.Resource == "nodes":
		return a.node(q)
	case q.Resource == "persistentvolumes" || q.Resource == "persistentvolumeclaims":
		return a.volume(q, worker)
	case worker == "clusterrole-aggregation-controller":
		return a.aggregated(q)
	}
	return a.owned(q)
}

// owned is work on an object's tree: of the object, or of the owner that a creation names.
func (a *attribution) owned(q *Request) verdict {
	class := "owner-chain"
	i := q.instance
	if q.sent != nil && q.Verb == "create" {
		for _, o := range q.sent.Metadata.Owners {
			if owner := a.objects.byUID[o.UID]; owner != nil {
				return a.work(owner, q.Received, class)
			}
		}
	}
	if i == nil {
		if q.Namespace != "" && q.Resource == "namespaces" {
			return a.ended(a.objects.at("namespaces", "", q.Name, q.Received, q.Ended), q.Received, "namespace-deletion")
		}
		return a.soughtBefore(q)
	}
	if a.root(i, q.Received) == i && len(i.children) == 0 {
		class = "object"
	}
	v := a.work(i, q.Received, class)
	if len(v.of) == 0 {
		v = a.made(i, class)
	}
	return v
}

// soughtBefore ties the look-up of an object that is not there to its creation by the same component,
// which follows.
func (a *attribution) soughtBefore(q *Request) verdict {
	if q.Code != 404 {
		return verdict{class: "unknown-object"}
	}
	for _, i := range a.objects.byName[objectName{q.Resource, namespaceOf(q), q.Name}] {
		if i.creator != nil && i.creator.User == q.User && i.created >= q.Received && i.created-q.Ended < 1_000_000_000 {
			return a.attribute(i.creator).as("before-creation")
		}
	}
	// or it was there and is gone
	list := a.objects.byName[objectName{q.Resource, namespaceOf(q), q.Name}]
	for n := len(list) - 1; n >= 0; n-- {
		if list[n].created < q.Received {
			return a.ended(list[n], q.Received, "after-deletion")
		}
	}
	return verdict{class: "unknown-object"}
}

// event is an Event (core or events.k8s.io) that a component reports.
func (a *attribution) event(q *Request) verdict {
	i, e := a.aboutObject(q)
	t := q.Received
	if e == nil {
		return verdict{class: "event-without-object"}
	}
	about := e.Involved
	if about == nil {
		about = e.Regarding
	}
	text := e.Message + e.Note
	if about.Kind == "Node" {
		return a.nodeEvent(q, about, e)
	}
	if about.Kind == "Lease" || i == nil && isSystemNamespace(q.Namespace) {
		return a.background(q, "background:system-event")
	}
	if i == nil {
		return verdict{class: "event-unknown-object"}
	}
	switch i.resource {
	case "pods":
		return a.podEvent(q, i, e)
	case "horizontalpodautoscalers.autoscaling":
		return a.round(q, i)
	case "persistentvolumeclaims":
		if d := i.asked(t); d != nil && t-d.Received < lag {
			return a.ended(i, t, "event:volume")
		}
		if c := i.lastChange(t); q.worker() == "persistent-volume-binder" && q.Verb == "patch" && t-max(i.created, c.time()) > lag {
			return a.clock(fmt.Sprintf("resync %s %d", i.uid, t), a.work(i, t, "").or(a.made(i, "")), "clock:resync")
		}
	case "cronjobs.batch":
		if m := jobOfEvent.FindStringSubmatch(text); m != nil {
			if job := a.objects.at("jobs.batch", i.namespace, m[1], t, t); job != nil {
				if strings.HasPrefix(text, "Deleted") {
					return a.ended(job, t, "event:job")
				}
				return a.made(job, "event:job")
			}
		}
		return a.work(i, t, "event:cronjob")
	}
	switch e.Reason {
	case "FailedCreate", "FailedToUpdateEndpoint", "FailedToCreateEndpoint", "FailedToUpdateEndpointSlices":
		if by := a.failed(q, i); by != nil {
			return a.attribute(by).as("event:failure")
		}
	}
	if m := claimOfEvent.FindStringSubmatch(text); m != nil && !strings.Contains(text, " failed") {
		if claim := a.lastBefore("persistentvolumeclaims", i.namespace, m[1], t); claim != nil {
			return a.made(claim, "event:workload-claim")
		}
	}
	if m := podOfEvent.FindStringSubmatch(text); m != nil && !strings.Contains(text, " failed") && i.resource != "poddisruptionbudgets.policy" {
		return a.podOfWorkload(i, m[1]+m[2], e.Reason, t)
	}
	return a.work(i, t, "event:workload").or(a.made(i, "event:workload"))
}

var (
	jobOfEvent   = regexp.MustCompile(`(?:Created job |Deleted job |[Cc]ompleted job: |went missing: |or forgot: )([a-z0-9.-]*[a-z0-9])`)
	claimOfEvent = regexp.MustCompile(`create Claim (\S+) Pod `)
	podOfEvent   = regexp.MustCompile(`(?:Created|Deleted) pod: (\S+)|(?:create|delete) Pod (\S+) in `)
)

// aboutObject is the instance that an Event tells of, and the Event.
func (a *attribution) aboutObject(q *Request) (*instance, *object) {
	e := q.answer
	if e == nil || e.Kind != "Event" {
		e = q.sent
	}
	if e == nil || e.Involved == nil && e.Regarding == nil {
		e = a.events[objectName{"events", q.Namespace, q.Name}] // a patch that found nothing
	}
	if e == nil {
		return nil, nil
	}
	about := e.Involved
	if about == nil {
		about = e.Regarding
	}
	return a.objects.ofReference(about, q.Namespace, q.Received), e
}

// failed is the last request of the one who reports an Event that was refused, and was for the object
// of the Event.
func (a *attribution) failed(q *Request, i *instance) *Request {
	const within = int64(2_000_000_000)
	list := a.byWorker[q.User]
	n, _ := slices.BinarySearchFunc(list, q.Received, func(r *Request, t int64) int { return cmp.Compare(r.Received, t) })
	for n--; n >= 0 && q.Received-list[n].Received < within; n-- {
		r := list[n]
		if r.Code < 400 || !r.changes() || isTransient(r.Resource) || r.Namespace != i.namespace || r.Ended > q.Received+slack {
			continue
		}
		owned := r.instance == i || r.Name == i.name
		if r.sent != nil {
			for _, o := range r.sent.Metadata.Owners {
				owned = owned || o.UID == i.uid
			}
		}
		if owned {
			return r
		}
	}
	return nil
}

// podOfWorkload is the Event of a controller that it made or removed a pod.
func (a *attribution) podOfWorkload(owner *instance, name, reason string, t int64) verdict {
	const class = "event:workload-pod"
	var pods []*instance
	for _, p := range a.objects.byName[objectName{"pods", owner.namespace, name}] {
		if p.owner(t) == owner.uid && p.created <= t+slack && (reason != "SuccessfulDelete" || dying(p, t)) {
			pods = append(pods, p)
		}
	}
	if len(pods) == 0 {
		return verdict{class: class}
	}
	cause := func(p *instance) verdict {
		if reason == "SuccessfulDelete" {
			return a.ended(p, t, class)
		}
		return a.made(p, class)
	}
	last := pods[len(pods)-1]
	// Events are sent a moment after the deed; with two pods of one name within that moment it is
	// not sure which is meant.
	if n := len(pods); n > 1 && t-pods[n-2].created < 4_000_000_000 {
		return either(class, cause(pods[n-2]), cause(last))
	}
	return cause(last)
}

// collected is the garbage collector's work on an object: its owner was deleted.
func (a *attribution) collected(q *Request) verdict {
	const class = "gc"
	i, t := q.instance, q.Received
	if i == nil {
		return a.soughtBefore(q).as(class)
	}
	for _, d := range i.deletes {
		if d.Received <= t+slack && d.worker() != "generic-garbage-collector" && !isKubelets(d) {
			return a.attribute(d).as(class)
		}
	}
	for _, o := range i.owners {
		if owner := a.objects.byUID[o.uid]; owner != nil {
			if v := a.ended(owner, t, class); len(v.of) > 0 {
				return v
			}
		}
	}
	if v := a.ended(i, t, class); len(v.of) > 0 {
		return v
	}
	// It makes sure that an owner is still there: because something just changed, or when it starts.
	if tree := a.trees[a.root(i, t)]; tree != nil && i.resource != "nodes" {
		for _, c := range tree.changes {
			if c.at <= t && t-c.at < 2*lag {
				return a.work(i, t, class)
			}
		}
	}
	return a.background(q, "background:gc-check")
}

// furnished is what every namespace gets: its account and the cluster's certificate.
func (a *attribution) furnished(q *Request) verdict {
	t := q.Received
	if d := a.deletion(q.Namespace, t); d != nil {
		return a.attribute(d).as("namespace-deletion")
	}
	list := a.objects.byName[objectName{q.Resource, q.Namespace, q.Name}]
	var before *instance // the one that somebody removed or changed
	for _, i := range list {
		if i.created < t-slack && i != createdBy(q) {
			before = i
		}
	}
	if before != nil {
		if before.asked(t) != nil {
			return a.ended(before, t, "restored")
		}
		return a.work(before, t, "restored").or(a.made(before, "restored"))
	}
	return a.made(a.objects.at("namespaces", "", q.Namespace, t, t), "namespace-creation")
}

func createdBy(q *Request) *instance {
	if q.instance != nil && q.instance.creator == q {
		return q.instance
	}
	return nil
}

// aggregated is a cluster role that is put together of others: the last of these that changed.
func (a *attribution) aggregated(q *Request) verdict {
	const class = "aggregated-role"
	var last *change
	for _, i := range a.objects.byKind[objectKind{"clusterroles.rbac.authorization.k8s.io", ""}] {
		o := i.first()
		if o == nil || !aggregates(o.Metadata.Labels) {
			continue
		}
		for _, c := range i.changes {
			if c.at <= q.Received+slack && (last == nil || c.at > last.at) {
				last = c
			}
		}
	}
	if last == nil {
		return a.owned(q)
	}
	return a.attribute(last.request).as(class)
}

func aggregates(labels map[string]string) bool {
	for key := range labels {
		if strings.Contains(key, "/aggregate-to-") {
			return true
		}
	}
	return false
}

// customInformer is the first list of a custom resource by a component that follows all resources: it
// found the new definition. After the definition's end the first list fails because of that; that the
// component tries again for minutes, ever more rarely, is its clock.
func (a *attribution) customInformer(q *Request) (verdict, bool) {
	if q.Verb != "list" || q.Namespace != "" || !strings.Contains(q.Resource, ".") {
		return verdict{}, false
	}
	const crd = "customresourcedefinitions.apiextensions.k8s.io"
	var last *instance
	for _, i := range a.objects.byName[objectName{crd, "", q.Resource}] {
		if i.created <= q.Received {
			last = i
		}
	}
	if last == nil || last.creator == nil {
		return verdict{}, false
	}
	since := last.created
	if d := last.asked(q.Received); d != nil {
		since = d.Received
	}
	first := !slices.ContainsFunc(a.byWorker[q.User], func(p *Request) bool {
		return p.Resource == q.Resource && p.Verb == "list" && p.Namespace == "" && p.Received >= since && p.Received < q.Received
	})
	switch {
	case first && since > last.created:
		return a.ended(last, q.Received, "custom-informer"), true
	case first:
		return a.made(last, "custom-informer"), true
	}
	return a.background(q, "background:informer-retry"), true
}
