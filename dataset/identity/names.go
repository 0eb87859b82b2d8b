package identity

import "strings"

// namedParent is the instance of that name, in o's namespace, which makes objects like o; 0: none
// is known. It is the way to tie objects at level Metadata, where a log has names and little else.
func (t *Tracker) namedParent(o Object, name string) ID {
	if name == "" {
		return 0
	}
	for _, maker := range makers(o) {
		key := Object{Group: maker.Group, Resource: maker.Resource, Namespace: o.Namespace, Name: name}
		if maker.Resource == "nodes" || maker.Resource == "namespaces" {
			key.Namespace = ""
		}
		if id, ok := t.byName[key]; ok {
			t.touch(id)
			return id
		}
	}
	return 0
}

// makers are the resources whose controllers make objects of o's resource and name them after
// themselves, the most frequent first.
func makers(o Object) []Object {
	switch o.Group + "/" + o.Resource {
	case "/pods":
		return []Object{
			{Group: "apps", Resource: "replicasets"},
			{Group: "batch", Resource: "jobs"},
			{Group: "apps", Resource: "daemonsets"},
			{Group: "apps", Resource: "statefulsets"},
			{Resource: "replicationcontrollers"},
		}
	case "apps/replicasets":
		return []Object{{Group: "apps", Resource: "deployments"}}
	case "batch/jobs":
		return []Object{{Group: "batch", Resource: "cronjobs"}}
	case "apps/controllerrevisions":
		return []Object{{Group: "apps", Resource: "statefulsets"}, {Group: "apps", Resource: "daemonsets"}}
	case "discovery.k8s.io/endpointslices", "/endpoints":
		return []Object{{Resource: "services"}}
	case "/events", "events.k8s.io/events":
		return []Object{
			{Resource: "pods"},
			{Group: "apps", Resource: "replicasets"},
			{Group: "apps", Resource: "deployments"},
			{Group: "batch", Resource: "jobs"},
			{Group: "apps", Resource: "statefulsets"},
			{Group: "apps", Resource: "daemonsets"},
			{Group: "batch", Resource: "cronjobs"},
			{Resource: "persistentvolumeclaims"},
			{Group: "policy", Resource: "poddisruptionbudgets"},
			{Group: "autoscaling", Resource: "horizontalpodautoscalers"},
			{Resource: "nodes"},
		}
	}
	return nil
}

// hasOwners tells whether controllers put an owner reference on what they make of o's resource, so
// that an object without one was not made by them.
func hasOwners(o Object) bool {
	switch o.Group + "/" + o.Resource {
	case "/endpoints", "/events", "events.k8s.io/events":
		return false
	}
	return true
}

// parentName is the part of an object's name that is its maker's name: of "web-6d5f-x2k4z" it is
// "web-6d5f", of an Event "web-6d5f-x2k4z.17f3a" it is what stands before the last dot, and
// Endpoints are called as their service. "" if the name has no such part.
func parentName(o Object) string {
	separator := "-"
	switch o.Group + "/" + o.Resource {
	case "/endpoints":
		return o.Name
	case "/events", "events.k8s.io/events":
		separator = "."
	}
	i := strings.LastIndex(o.Name, separator)
	if i < 0 {
		return ""
	}
	return o.Name[:i]
}
