package truth

import (
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// node is a controller's request about a node. The node controller turns a node's being closed, and its
// conditions, into taints.
func (a *attribution) node(q *Request) verdict {
	if q.instance == nil {
		return a.background(q, "background:node-controller")
	}
	return a.nodeCause(q.Name, q.Received, "node-change", closes).or(a.background(q, "background:node-controller"))
}

// closes tells whether a node was closed to new pods, or opened again.
func closes(before, after *object) bool {
	return unschedulable(before) != unschedulable(after)
}

func unschedulable(o *object) bool {
	var spec struct {
		Unschedulable bool `json:"unschedulable"`
	}
	if o != nil {
		decodeInto(o.Spec, &spec)
	}
	return spec.Unschedulable
}

// taintsPods tells whether the taints of a node changed.
func taintsPods(before, after *object) bool {
	taints := func(o *object) string {
		var spec struct {
			Taints jsontext.Value `json:"taints"`
		}
		if o != nil {
			decodeInto(o.Spec, &spec)
		}
		return string(spec.Taints)
	}
	return taints(before) != taints(after)
}

// nodeCause is what the controllers' work about a node comes from: its last change by a person of the
// kind that matters, its end or beginning, or its last fault.
func (a *attribution) nodeCause(name string, t int64, class string, matters func(before, after *object) bool) verdict {
	node := a.objects.at("nodes", "", name, t, t)
	if node == nil {
		return verdict{class: class}
	}
	var last *change
	for _, c := range node.changes {
		if c.at > t+slack || c.request.command == nil {
			continue
		}
		before, _ := node.before(c.request)
		if c.end || before == nil || matters(before, c.request.answer) {
			last = c
		}
	}
	fault, faulty := a.fault(name, t, class)
	if faulty && (last == nil || a.faultAfter(name, last.at, t)) {
		return fault
	}
	if last != nil {
		return a.attribute(last.request).as(class)
	}
	if node.creator != nil && node.created > a.journal.Started.UnixNano() {
		return a.made(node, class)
	}
	return verdict{class: class}
}

// nodeEvent is an Event about a node.
func (a *attribution) nodeEvent(q *Request, about *reference, e *object) verdict {
	switch e.Reason {
	case "NodeNotSchedulable", "NodeSchedulable":
		if v := a.nodeCause(about.Name, q.Received, "event:node-change", closes); len(v.of) > 0 {
			return v
		}
	case "NodeNotReady", "NodeReady", "Starting", "NodeHasSufficientMemory", "NodeHasNoDiskPressure", "NodeHasSufficientPID", "NodeAllocatableEnforced",
		"RegisteredNode", "RemovingNode", "DeletingNode", "Rebooted", "Shutdown":
		if e.Reason == "RemovingNode" || e.Reason == "DeletingNode" {
			node := a.objects.at("nodes", "", about.Name, q.Received, q.Received)
			if v := a.ended(node, q.Received, "event:node-change"); len(v.of) > 0 {
				return v
			}
		}
		if v, ok := a.fault(about.Name, q.Received, "event:node-fault"); ok {
			return v
		}
	}
	return a.background(q, "background:node-event")
}

// review is a question about an identity or a right: of a kubelet for a person who reached it, or of a
// controller for what it does next.
func (a *attribution) review(q *Request) verdict {
	const class = "nested"
	node := q.node()
	if node == "" {
		return verdict{class: "review"}
	}
	var causes []verdict
	for _, p := range a.connects {
		if p.Received > q.Received || p.Ended < q.Received {
			continue
		}
		if p.Resource == "nodes" && p.Name != node || p.instance != nil && p.Resource == "pods" && p.instance.nodeName(q.Received) != node {
			continue
		}
		causes = append(causes, a.attribute(p))
	}
	if len(causes) == 0 {
		return verdict{class: class}
	}
	return either(class, causes...)
}

// inside is a look-up or a note of the API server itself, in the course of exactly one request.
func (a *attribution) inside(q *Request) verdict {
	const class = "nested"
	mutates := func(p *Request) bool { return p.Verb == "create" || p.Verb == "update" || p.Verb == "patch" }
	var fits func(p *Request) bool
	namespace := q.Namespace
	plain, _, _ := strings.Cut(q.Resource, ".")
	switch plain {
	case "ipaddresses":
		return a.address(q)
	case "namespaces":
		namespace = q.Name
		fits = func(p *Request) bool { return p.Verb == "create" && p.Resource != "namespaces" }
	case "nodes":
		var causes []verdict
		for _, p := range a.connects {
			if p.Received <= q.Received && p.Ended >= q.Received &&
				(p.Resource == "nodes" && p.Name == q.Name || p.Resource == "pods" && p.instance != nil && p.instance.nodeName(q.Received) == q.Name) {
				causes = append(causes, a.attribute(p))
			}
		}
		if len(causes) > 0 {
			return either(class, causes...)
		}
		return verdict{class: class}
	case "resourcequotas":
		kind := a.quotaChange(q)
		fits = func(p *Request) bool {
			return p.changes() && (kind == "" || p.Resource == kind)
		}
	case "poddisruptionbudgets":
		fits = func(p *Request) bool { return p.Subresource == "eviction" }
	case "serviceaccounts":
		fits = func(p *Request) bool { return p.Resource == "pods" && p.Verb == "create" || p.Subresource == "token" }
	case "limitranges":
		fits = func(p *Request) bool {
			return mutates(p) && (p.Resource == "pods" || p.Resource == "persistentvolumeclaims")
		}
	case "secrets":
		if q.Verb == "patch" && q.sent != nil && q.sent.Metadata.Labels["kubernetes.io/legacy-token-last-used"] != "" {
			return a.background(q, "background:legacy-token")
		}
		fits = mutates
	case "configmaps":
		fits = mutates
	case "customresourcedefinitions", "apiservices", "flowschemas", "prioritylevelconfigurations", "validatingadmissionpolicies",
		"mutatingwebhookconfigurations", "validatingwebhookconfigurations", "clusterroles", "clusterrolebindings", "servicecidrs":
		return a.apiServerWork(q)
	default:
		fits = func(*Request) bool { return true }
	}
	if namespace == "" && q.Resource != "namespaces" {
		fits = a.needs(q)
		if fits == nil {
			return verdict{class: class}
		}
		var causes []verdict
		for _, list := range a.byNamespace {
			causes = append(causes, a.enclosing(q, list, fits)...)
		}
		if len(causes) == 0 {
			return verdict{class: class}
		}
		return either(class, causes...)
	}
	causes := a.enclosing(q, a.byNamespace[namespace], fits)
	if len(causes) == 0 {
		causes = a.enclosing(q, a.byNamespace[namespace], func(*Request) bool { return true })
	}
	if len(causes) == 0 {
		return verdict{class: class}
	}
	return either(class, causes...)
}

// needs tells which requests make the API server look up an object of the whole cluster.
func (a *attribution) needs(q *Request) func(*Request) bool {
	plain, _, _ := strings.Cut(q.Resource, ".")
	switch plain {
	case "priorityclasses", "runtimeclasses":
		return func(p *Request) bool {
			return p.Resource == "pods" && p.Verb == "create" && p.sent != nil && strings.Contains(string(p.sent.Spec), `"`+q.Name+`"`)
		}
	case "storageclasses":
		return func(p *Request) bool {
			return (p.Resource == "persistentvolumeclaims" || p.Resource == "pods") && p.Verb == "create"
		}
	case "persistentvolumes":
		return func(p *Request) bool { return p.Resource == "persistentvolumeclaims" || p.Resource == "pods" }
	}
	return nil
}

// enclosing are the causes of the requests in list during which q came and which fit.
func (a *attribution) enclosing(q *Request, list []*Request, fits func(*Request) bool) []verdict {
	var causes []verdict
	for _, p := range list {
		if p.Received > q.Received {
			break
		}
		if p.Ended >= q.Received && p != q && p.Ended >= q.Ended-slack && fits(p) {
			causes = append(causes, a.attribute(p))
		}
	}
	return causes
}

// address is the address of a service, which the API server keeps in an object of its own.
func (a *attribution) address(q *Request) verdict {
	const class = "service-address"
	o := q.answer
	if o == nil || o.Kind == "Status" {
		o = q.sent
	}
	if (o == nil || len(o.Spec) == 0) && q.instance != nil {
		o = q.instance.first()
	}
	if o == nil {
		return verdict{class: class}
	}
	var spec struct {
		Parent *reference `json:"parentRef"`
	}
	decodeInto(o.Spec, &spec)
	if spec.Parent == nil {
		return verdict{class: class}
	}
	var causes []verdict
	for _, p := range a.byNamespace[spec.Parent.Namespace] {
		if p.Resource == "services" && p.Received <= q.Received && p.Ended >= q.Received && (p.Name == spec.Parent.Name || p.Verb == "deletecollection") {
			causes = append(causes, a.attribute(p))
		}
	}
	if len(causes) > 0 {
		return either(class, causes...)
	}
	service := a.objects.at("services", spec.Parent.Namespace, spec.Parent.Name, q.Received, q.Ended)
	if q.Verb == "delete" {
		return a.ended(service, q.Received, class)
	}
	return a.made(service, class)
}

// apiServerWork are controllers within the API server: they answer to changes of the object itself, or
// of the definition that it stands for.
func (a *attribution) apiServerWork(q *Request) verdict {
	const class = "object"
	if strings.HasPrefix(q.Resource, "apiservices.") { // v1.example.org stands for the definitions of example.org
		_, group, _ := strings.Cut(q.Name, ".")
		var last *change
		for _, i := range a.objects.byKind[objectKind{"customresourcedefinitions.apiextensions.k8s.io", ""}] {
			if _, g, _ := strings.Cut(i.name, "."); g != group {
				continue
			}
			for _, c := range i.changes {
				if c.at <= q.Received+slack && (last == nil || c.at > last.at) {
					last = c
				}
			}
		}
		if last != nil {
			return a.attribute(last.request).as("custom-resource-definition")
		}
	}
	if q.instance == nil || len(q.instance.changes) == 0 {
		return verdict{class: class}
	}
	return a.work(q.instance, q.Received, class)
}
