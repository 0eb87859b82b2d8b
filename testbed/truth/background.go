package truth

import "strings"

// backgroundOf names what a component does by itself all the time; empty: it may be an answer to
// something. A watch is a standing order of its component and counts as background whoever made it
// necessary, as in the corpus sequential-1.34.
func backgroundOf(q *Request) string {
	system := strings.HasPrefix(q.User, "system:")
	switch {
	case strings.HasPrefix(q.Resource, "leases.") && system && q.worker() != "generic-garbage-collector":
		return "lease"
	case q.Verb == "watch":
		return "watch"
	case q.node() != "" && q.Resource == "nodes":
		return "node-status"
	case q.Resource == "":
		return "health/discovery/non-resource"
	case q.Verb == "list" && q.Namespace == "" && system:
		return "informer-list"
	case q.node() != "" && (strings.HasPrefix(q.Resource, "csinodes.") || strings.HasPrefix(q.Resource, "runtimeclasses.") || q.Resource == "services") &&
		(q.Verb == "get" || q.Verb == "list" || q.Verb == "create"):
		return "node-startup"
	case q.worker() == "kube-controller-manager" && q.Namespace == "kube-system" && q.Resource == "serviceaccounts":
		return "controller-credentials"
	}
	return ""
}

func isSystemNamespace(ns string) bool {
	return ns == "kube-system" || ns == "kube-public" || ns == "kube-node-lease"
}
