package truth

import (
	"regexp"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

func decodeInto(body jsontext.Value, to any) {
	if len(body) > 0 {
		_ = json.Unmarshal(body, to, lenient) // what cannot be read says nothing
	}
}

// canonical is a value as JSON with sorted keys.
func canonical(v any) string {
	b, err := json.Marshal(v, json.Deterministic(true))
	if err != nil {
		return ""
	}
	return string(b)
}

// pod is a request of a component about a pod. A pod's start belongs to what made the pod, whatever it
// had to wait for, and its end to what asked for it.
func (a *attribution) pod(q *Request, worker string) verdict {
	i, t := q.instance, q.Received
	if q.Verb == "create" && q.Subresource == "" {
		if q.sent != nil {
			for _, o := range q.sent.Metadata.Owners {
				if owner := a.objects.byUID[o.UID]; owner != nil {
					return a.work(owner, t, "owner-chain")
				}
			}
		}
		return verdict{class: "pod-without-owner"}
	}
	if i == nil {
		return a.soughtBefore(q)
	}
	switch worker {
	case "kubelet":
		if q.Verb == "get" { // a kubelet reads a pod just before it writes its status
			for _, p := range a.statuses[i] {
				if p.Received >= q.Received && p.Received-q.Received < 1_000_000_000 && p.User == q.User {
					return a.attribute(p)
				}
			}
		}
		return a.podWork(q, i)
	case "kube-scheduler":
		if q.Verb == "delete" || q.Verb == "patch" && q.answer != nil && preempted(q.answer) {
			return a.preemption(i, t)
		}
		if v := a.retried(i, t); v.sure() {
			return v
		}
		return a.podWork(q, i)
	case "job-controller":
		if q.Verb == "patch" && dying(i, t) {
			return a.ended(i, t, "pod-deletion")
		}
	case "taint-eviction-controller", "node-controller":
		return a.nodeCause(i.nodeName(t), t, "node-eviction", taintsPods)
	case "pod-garbage-collector":
		if node := a.objects.at("nodes", "", i.nodeName(t), t, t); node != nil && dying(node, t) {
			return a.ended(node, t, "node-gone")
		}
		return a.nodeCause(i.nodeName(t), t, "node-gone", taintsPods)
	}
	return a.work(i, t, "owner-chain")
}

// podWork is a kubelet's or the scheduler's work on one pod.
func (a *attribution) podWork(q *Request, i *instance) verdict {
	t := q.Received
	if !dying(i, t) {
		return a.startOf(i, t, q, "pod-creation")
	}
	d := i.asked(t).Received
	end := a.ended(i, t, "pod-deletion")
	if q.Verb == "delete" || q.Verb == "get" && q.Code == 404 || q.Code == 404 {
		return end
	}
	if up := i.readySince(d); up != 0 && up < d-200_000_000 {
		return end
	}
	if q.Verb == "patch" && q.ok() && q.answer != nil {
		now, before := containers(q.answer), []containerState(nil)
		if o, _ := i.before(q); o != nil {
			before = containers(o)
		}
		switch {
		case len(now) > 0 && !slices.ContainsFunc(now, func(c containerState) bool { return !c.ended }):
			return end
		case slices.ContainsFunc(now, func(c containerState) bool { return c.running && !runs(before, c.name) }):
			return a.startOf(i, t, q, "pod-creation")
		case len(now) > 0 && slices.Equal(now, before): // no container moved: the end was noted
			return end
		}
	}
	return either("pod-started-while-deleted", a.made(i, ""), end)
}

// retried is why the scheduler looked again at a pod that waited for a claim: the claim was taken away
// just before.
func (a *attribution) retried(i *instance, t int64) verdict {
	o := i.first()
	if o == nil {
		return verdict{}
	}
	for _, claim := range a.objects.byKind[objectKind{"persistentvolumeclaims", i.namespace}] {
		d := claim.asked(t)
		if d != nil && d.Received > i.created && t-d.Received < 3_000_000_000 && strings.Contains(string(o.Spec), `"claimName":"`+claim.name+`"`) {
			return a.attribute(d).as("pod-claim")
		}
	}
	return verdict{}
}

// startOf is the cause of a pod's life: its creation, a later change of its spec that its kubelet has
// taken up, or the fault after which its node came back.
func (a *attribution) startOf(i *instance, t int64, q *Request, class string) verdict {
	if i == nil {
		return verdict{class: class}
	}
	if up := i.readySince(t); up != 0 {
		if v, ok := a.fault(i.nodeName(t), t, "node-fault"); ok && a.faultAfter(i.nodeName(t), up, t) {
			return v
		}
		if a.root(i, t) == i {
			var last *change
			for _, c := range i.changes {
				if c.request != i.creator && c.at <= t && respecified(i, c) {
					last = c
				}
			}
			if last != nil {
				return a.work(i, t, class)
			}
		}
	}
	return a.made(i, class)
}

// faultAfter tells whether the node had a fault between two times.
func (a *attribution) faultAfter(node string, from, to int64) bool {
	return slices.ContainsFunc(a.journal.Faults, func(f Fault) bool {
		return isNode(f.Component, node) && f.At.UnixNano() > from && f.At.UnixNano() <= to
	})
}

// respecified tells whether a change of a pod is one that its kubelet acts on.
func respecified(i *instance, c *change) bool {
	if c.request.answer == nil {
		return false
	}
	before, _ := i.before(c.request)
	return before == nil || string(before.Spec) != string(c.request.answer.Spec)
}

// readySince is when a pod was first seen to be up or over, before t; 0: it was not.
func (i *instance) readySince(t int64) int64 {
	for _, v := range i.versions {
		if v.at > t {
			break
		}
		if v.object != nil && ready(v.object) {
			return v.at
		}
	}
	return 0
}

// nodeName is the node of a pod, as far as it is known at t.
func (i *instance) nodeName(t int64) string {
	name := ""
	for _, v := range i.versions {
		if v.object != nil {
			var spec struct {
				Node string `json:"nodeName"`
			}
			decodeInto(v.object.Spec, &spec)
			if spec.Node != "" {
				name = spec.Node
			}
		}
		if v.at > t && name != "" {
			break
		}
	}
	return name
}

type containerState struct {
	name           string
	running, ended bool
	waiting        string // for what
}

func containers(o *object) []containerState {
	var status struct {
		Containers []struct {
			Name  string `json:"name"`
			State struct {
				Running    jsontext.Value `json:"running"`
				Terminated jsontext.Value `json:"terminated"`
				Waiting    struct {
					Reason string `json:"reason"`
				} `json:"waiting"`
			} `json:"state"`
		} `json:"containerStatuses"`
	}
	decodeInto(o.State, &status)
	var list []containerState
	for _, c := range status.Containers {
		list = append(list, containerState{c.Name, c.State.Running != nil, c.State.Terminated != nil, c.State.Waiting.Reason})
	}
	return list
}

func runs(list []containerState, name string) bool {
	return slices.ContainsFunc(list, func(c containerState) bool { return c.name == name && c.running })
}

func preempted(o *object) bool {
	w := decodeWorkload(o.State)
	return slices.ContainsFunc(w.Conditions, func(c condition) bool { return c.Type == "DisruptionTarget" && c.Reason == "PreemptionByScheduler" })
}

var preemptor = regexp.MustCompile(`^Preempted by (?:pod )?([0-9a-f-]{36})`)

// preemption is the removal of a pod for one of higher priority, which an Event names.
func (a *attribution) preemption(victim *instance, t int64) verdict {
	const class = "preemption"
	for name, e := range a.events {
		about := e.Regarding
		if about == nil {
			about = e.Involved
		}
		if name.namespace == victim.namespace && about.UID == victim.uid && e.Reason == "Preempted" {
			if m := preemptor.FindStringSubmatch(e.Note + e.Message); m != nil {
				return a.made(a.objects.byUID[m[1]], class)
			}
		}
	}
	return verdict{class: class}
}

// podEvent is an Event about a pod.
func (a *attribution) podEvent(q *Request, i *instance, e *object) verdict {
	t := q.Received
	switch e.Reason {
	case "FailedScheduling":
		if v := a.retried(i, t); v.sure() {
			return v
		}
		return a.made(i, "event:pod-start")
	case "Scheduled":
		return a.made(i, "event:pod-start")
	case "Pulling", "Pulled", "Created", "Started":
		if i.readySince(t) != 0 && !dying(i, t) {
			return a.startOf(i, t, q, "event:pod-start")
		}
		return a.made(i, "event:pod-start")
	case "Killing":
		if v := a.ended(i, t, "event:pod-killing"); len(v.of) > 0 {
			return v
		}
		return a.startOf(i, t, q, "event:pod-restart")
	case "Preempted":
		return a.preemption(i, t)
	case "TaintManagerEviction", "NodeNotReady":
		return a.nodeCause(i.nodeName(t), t, "event:node-eviction", taintsPods)
	}
	if dying(i, t) {
		return either("event:pod-while-deleted", a.made(i, ""), a.ended(i, t, ""))
	}
	return a.startOf(i, t, q, "event:pod")
}

// kubeletReads are the look-ups of a kubelet for a pod: its configuration, secrets and volumes.
func (a *attribution) kubeletReads(q *Request) verdict {
	const class = "pod-volume"
	t, node := q.Received, q.node()
	var using, starting []verdict
	for _, b := range a.bound[node] {
		p := b.pod
		if b.at > t+slack || p.gone != 0 && p.gone < t || !a.uses(p, q) {
			continue
		}
		using = append(using, a.made(p, class))
		if up := p.readySince(t); up == 0 {
			starting = append(starting, a.made(p, class))
		}
	}
	switch {
	case len(starting) > 0:
		return either(class, starting...)
	case len(using) > 0 && q.Verb == "list":
		return a.background(q, "background:relist") // the watch ended after its time
	case len(using) > 0:
		return either(class, using...)
	}
	return a.readAfterEnd(q)
}

// readAfterEnd is a look-up for pods that are gone already.
func (a *attribution) readAfterEnd(q *Request) verdict {
	var causes []verdict
	for _, b := range a.bound[q.node()] {
		p := b.pod
		if b.at <= q.Received && p.gone != 0 && p.gone < q.Received && q.Received-p.gone < 2_000_000_000 && a.uses(p, q) {
			causes = append(causes, a.made(p, ""), a.ended(p, q.Received, ""))
		}
	}
	if len(causes) == 0 {
		return verdict{class: "kubelet-read"}
	}
	return either("pod-volume-late", causes...)
}

// uses tells whether a pod's spec names what the kubelet looked up.
func (a *attribution) uses(p *instance, q *Request) bool {
	o := p.first()
	if o == nil || q.Name == "" {
		return false
	}
	switch q.Resource {
	case "configmaps", "secrets", "persistentvolumeclaims", "serviceaccounts":
		return p.namespace == q.Namespace && strings.Contains(string(o.Spec), `"`+q.Name+`"`)
	case "persistentvolumes":
		for _, claim := range a.objects.byKind[objectKind{"persistentvolumeclaims", p.namespace}] {
			c := claim.object(q.Ended)
			if c != nil && strings.Contains(string(c.Spec), `"volumeName":"`+q.Name+`"`) && strings.Contains(string(o.Spec), `"`+claim.name+`"`) {
				return true
			}
		}
	}
	return false
}
