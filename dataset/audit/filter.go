package audit

import (
	"fmt"
	"slices"
	"strings"
)

// Mode is what a filter does with its decisions: the reference's three modes.
type Mode string

// The modes. The empty one looks at no rule and keeps every event.
const (
	Labelling      Mode = "labelling"       // keeps everything, counts the decisions
	Reduction      Mode = "reduction"       // keeps what is neither background nor removed
	LightReduction Mode = "light-reduction" // drops only what is removed: what the reference trains on
)

// Decision is the verdict of a filter on an event.
type Decision string

// The decisions.
const (
	Keep       Decision = "kept"
	Background Decision = "background"
	Remove     Decision = "removed"
)

// Filter leaves out events by the reference's rules. The zero value keeps everything.
type Filter struct {
	mode  Mode
	rules []FilterRule // those that are on
}

// NewFilter gives the filter of a mode with the rules named switched on beside those that are always
// on; "all" switches on every rule. Names are those of FilterRules.
func NewFilter(mode Mode, names ...string) (Filter, error) {
	switch mode {
	case "", Labelling, Reduction, LightReduction:
	default:
		return Filter{}, fmt.Errorf("filter mode %q: there are %s, %s and %s", mode, Labelling, Reduction, LightReduction)
	}
	rules := FilterRules()
	for _, name := range names {
		if mode == "" {
			return Filter{}, fmt.Errorf("filter rule %q without a mode: choose %s, %s or %s", name, Labelling, Reduction, LightReduction)
		}
		if name == "all" || slices.ContainsFunc(rules, func(r FilterRule) bool { return r.Name == name }) {
			continue
		}
		known := make([]string, len(rules))
		for i, r := range rules {
			known[i] = r.Name
		}
		return Filter{}, fmt.Errorf("unknown filter rule %q: there are %s, or all", name, strings.Join(known, ", "))
	}
	rules = slices.DeleteFunc(rules, func(r FilterRule) bool {
		return mode == "" || !r.Always && !slices.Contains(names, r.Name) && !slices.Contains(names, "all")
	})
	return Filter{mode, rules}, nil
}

// FilterRule describes one rule.
type FilterRule struct {
	Name      string
	Condition string
	Decision  Decision
	Always    bool // on in every mode; the others are switched on by name

	match func(*Event) bool
}

// Decide gives the filter's decision on an event and the rule that made it, "" if none matched. The
// reference judges raw lines; an event is judged as its last stage.
func (f Filter) Decide(e *Event) (Decision, string) {
	for _, r := range f.rules {
		if r.match(e) {
			return r.Decision, r.Name
		}
	}
	return Keep, ""
}

// keeps says whether the mode lets events of this decision through.
func (f Filter) keeps(d Decision) bool {
	switch f.mode {
	case Reduction:
		return d == Keep
	case LightReduction:
		return d != Remove
	default:
		return true
	}
}

const (
	userAPIServer  = "system:apiserver"
	userController = "system:kube-controller-manager"
	userScheduler  = "system:kube-scheduler"
	userCoreDNS    = "system:serviceaccount:kube-system:coredns"
	userKubeProxy  = "system:serviceaccount:kube-system:kube-proxy"
	userFlannel    = "system:serviceaccount:kube-flannel:flannel"
)

// FilterRules lists the rules in the order in which they are asked; the first that matches decides.
// Source: REFERENCE 1, log_parser.py.
func FilterRules() []FilterRule {
	// The resources whose watches by the control plane are background.
	watched := []string{
		"configmaps", "clusterroles", "namespaces", "serviceaccounts", "resourcequotas", "clusterrolebindings",
		"rolebindings", "secrets", "nodes", "pods", "roles",
	}
	does := func(e *Event, verb string, resources ...string) bool {
		return e.Verb == verb && slices.Contains(resources, e.ObjectRef.Resource)
	}
	// Every function below the first may use ObjectRef: no_object_ref is on whenever a rule is.
	return []FilterRule{
		{
			"no_object_ref", "no objectRef (every non-resource URL)", Remove, true,
			func(e *Event) bool { return e.ObjectRef == nil },
		},
		{
			"root_and_health", "requestURI is /readyz, /livez, /api, /apis or /api/v1", Remove, true,
			func(e *Event) bool {
				return slices.Contains([]string{"/readyz", "/livez", "/api", "/apis", "/api/v1"}, e.RequestURI)
			},
		},
		{
			"discovery", "requestURI begins with /api?timeout or /apis?timeout", Remove, true,
			func(e *Event) bool {
				return strings.HasPrefix(e.RequestURI, "/api?timeout") || strings.HasPrefix(e.RequestURI, "/apis?timeout")
			},
		},
		{
			"openapi", "requestURI begins with /openapi/v2 or /openapi/v3", Remove, true,
			func(e *Event) bool {
				return strings.HasPrefix(e.RequestURI, "/openapi/v2") || strings.HasPrefix(e.RequestURI, "/openapi/v3")
			},
		},
		{
			"response_started_watch", "verb watch, and no stage after ResponseStarted", Remove, false,
			func(e *Event) bool {
				return e.Verb == "watch" && e.Stages[len(e.Stages)-1].Name == stageStarted
			},
		},
		{
			"cni_and_external_namespaces", "namespace falco or kube-flannel, or flannel's service account", Remove, false,
			func(e *Event) bool {
				ns := e.ObjectRef.Namespace
				return ns == "falco" || ns == "kube-flannel" || e.User.Username == userFlannel
			},
		},
		{
			"api_server_watching_objects", "the API server watches " + strings.Join(watched, ", "), Background, false,
			func(e *Event) bool { return e.User.Username == userAPIServer && does(e, "watch", watched...) },
		},
		{
			"kube_controller_watching_objects", "the controller manager watches one of these or certificatesigningrequests", Background, false,
			func(e *Event) bool {
				return e.User.Username == userController &&
					(does(e, "watch", watched...) || does(e, "watch", "certificatesigningrequests"))
			},
		},
		{
			"kube_scheduler_watching_objects", "the scheduler watches pods, nodes or namespaces", Background, false,
			func(e *Event) bool {
				return e.User.Username == userScheduler && does(e, "watch", "pods", "nodes", "namespaces")
			},
		},
		{
			"extension_apiserver_authentication", "the scheduler watches configmap extension-apiserver-authentication", Background, false,
			func(e *Event) bool {
				return e.User.Username == userScheduler && does(e, "watch", "configmaps") &&
					e.ObjectRef.Name == "extension-apiserver-authentication"
			},
		},
		{
			"nodes_watching_pods_and_nodes", "a node watches pods or nodes", Background, false,
			func(e *Event) bool { return isNode(e) && does(e, "watch", "pods", "nodes") },
		},
		{
			"nodes_watching_configmaps", "a node watches configmaps in kube-system", Background, false,
			func(e *Event) bool {
				return isNode(e) && does(e, "watch", "configmaps") && e.ObjectRef.Namespace == "kube-system"
			},
		},
		{
			"nodes_creating_sas_token", "a node creates a service account's token", Background, false,
			func(e *Event) bool {
				return isNode(e) && does(e, "create", "serviceaccounts") && e.ObjectRef.Subresource == "token"
			},
		},
		{
			"coredns_watching_namespaces", "CoreDNS watches namespaces", Background, false,
			func(e *Event) bool { return e.User.Username == userCoreDNS && does(e, "watch", "namespaces") },
		},
		{
			"kube_proxy_watching_nodes", "kube-proxy watches nodes", Background, false,
			func(e *Event) bool { return e.User.Username == userKubeProxy && does(e, "watch", "nodes") },
		},
		{
			"nodes_getting_their_own_status", "a node gets nodes", Background, false,
			func(e *Event) bool { return isNode(e) && does(e, "get", "nodes") },
		},
		{
			"nodes_patching_their_own_status", "a node patches nodes", Background, false,
			func(e *Event) bool { return isNode(e) && does(e, "patch", "nodes") },
		},
		{
			"kube_controller_gc_and_rq_token",
			"the controller manager gets or creates service account generic-garbage-collector or resourcequota-controller", Background, false,
			func(e *Event) bool {
				return e.User.Username == userController &&
					(does(e, "get", "serviceaccounts") || does(e, "create", "serviceaccounts")) &&
					(e.ObjectRef.Name == "generic-garbage-collector" || e.ObjectRef.Name == "resourcequota-controller")
			},
		},
	}
}

func isNode(e *Event) bool { return strings.Contains(e.User.Username, "system:node:") }
