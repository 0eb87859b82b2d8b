package label

import (
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"k8ntext/dataset/audit"
)

// Rule names the label that the control-plane rules give to an event, and the rule: what Kubernetes'
// own components do all the time without being asked. It is Unknown and "" if no rule applies.
//
// The rules are the reference's (REFERENCE 4.1), in its order, first match wins, with its errors
// mended; each deviation is told beside the rule. Three hold for all of them: an event without
// namespace goes through all rules, one without objectRef matches none, and a rule gives no label
// where the own label is none ([Unknown] or [Ignore]). An impersonated request matches none: the
// components never impersonate, people do.
func (s *Space) Rule(e *audit.Event) (Label, string) {
	if e.ObjectRef == nil || e.ImpersonatedUser != nil {
		return Unknown, ""
	}
	own := s.Own(e)
	if own < 0 {
		return Unknown, ""
	}
	for _, r := range s.rules {
		if !r.matches(e) {
			continue
		}
		if r.label == ownLabel || s.binary {
			return own, r.Name
		}
		return r.label, r.Name
	}
	return Unknown, ""
}

// RuleInfo describes a control-plane rule.
type RuleInfo struct {
	Name   string `json:"name"`
	Reason string `json:"reason"` // why the event is the component's own business
}

// Rules lists the rules in the order in which they are tried.
func (s *Space) Rules() []RuleInfo {
	infos := make([]RuleInfo, len(s.rules))
	for i, r := range s.rules {
		infos[i] = r.RuleInfo
	}
	return infos
}

// rule is a row of the table: all conditions must hold.
type rule struct {
	RuleInfo
	who       []principal // any of them
	verbs     verbSet
	resources []string // resource or resource/subresource, any of them; nil: all
	namespace string   // a name, or one of the two below
	name      string   // a name, or anyName or noName
	secret    string   // key of a label that the request's body must carry
	label     Label    // ownLabel: the event's own
}

const (
	anyNamespace = "*"
	noNamespace  = ""
	anyName      = "*"
	noName       = ""

	ownLabel Label = 0
)

// leaseRenewal is update coordination.k8s.io/leases (one, namespaced), in both spaces. The reference
// gives it to the read before a renewal too: one exchange, one label.
const leaseRenewal Label = 119232

// principal is a kind of user by which the rules tell components apart.
type principal int

const (
	apiServer principal = iota
	controllerManager
	scheduler
	node
	kubeProxy
	coreDNS
	serviceAccount
)

func (p principal) is(u audit.User) bool {
	switch p {
	case apiServer:
		return u.Username == "system:apiserver"
	case controllerManager:
		return u.Username == "system:kube-controller-manager"
	case scheduler:
		return u.Username == "system:kube-scheduler"
	case node:
		return slices.Contains(u.Groups, "system:nodes")
	case kubeProxy:
		return u.Username == "system:serviceaccount:kube-system:kube-proxy"
	case coreDNS:
		return u.Username == "system:serviceaccount:kube-system:coredns"
	case serviceAccount:
		return slices.Contains(u.Groups, "system:serviceaccounts")
	}
	return false
}

func (r *rule) matches(e *audit.Event) bool {
	ref := e.ObjectRef
	if r.verbs>>mergedVerb(e.Verb)&1 == 0 {
		return false
	}
	if r.namespace != anyNamespace && r.namespace != ref.Namespace {
		return false
	}
	if r.name != anyName && r.name != ref.Name {
		return false
	}
	if r.resources != nil {
		resource := ref.Resource
		if ref.Subresource != "" {
			resource += "/" + ref.Subresource
		}
		if !slices.Contains(r.resources, resource) {
			return false
		}
	}
	if !slices.ContainsFunc(r.who, func(p principal) bool { return p.is(e.User) }) {
		return false
	}
	return r.secret == "" || carriesLabel(e.RequestObject, r.secret)
}

// carriesLabel reports whether the object in body has a label (metadata.labels) with this key.
func carriesLabel(body jsontext.Value, key string) bool {
	d := jsontext.NewDecoder(strings.NewReader(string(body)))
	path := jsontext.Pointer("").AppendToken("metadata").AppendToken("labels").AppendToken(key)
	for {
		if _, err := d.ReadToken(); err != nil {
			return false // the end, or a body cut short
		}
		if d.StackPointer() == path {
			return true
		}
	}
}

// controlPlaneRules is the table. The numbers in comments are those of REFERENCE 4.1; where nothing
// else is said a row is the reference's.
func controlPlaneRules() []rule {
	who := func(p ...principal) []principal { return p }
	these := func(names ...string) []string { return names }
	return []rule{
		{ // 1; the reference calls a watch a renewal too, here it keeps its own label (next row)
			RuleInfo: RuleInfo{"service-account-lease", "a controller in the cluster renews its leader election"},
			who:      who(serviceAccount), verbs: ge | up, resources: these("leases"),
			namespace: "kube-system", name: anyName, label: leaseRenewal,
		},
		{ // 1
			RuleInfo: RuleInfo{"service-account-watch-leases", "a controller in the cluster watches who leads"},
			who:      who(serviceAccount), verbs: wa, resources: these("leases"), namespace: "kube-system", name: anyName,
		},
		{ // 2; a watch keeps its own label, as in 1
			RuleInfo: RuleInfo{"scheduler-lease", "the scheduler renews its leader election"},
			who:      who(scheduler), verbs: ge | up, resources: these("leases"),
			namespace: "kube-system", name: anyName, label: leaseRenewal,
		},
		{ // 2
			RuleInfo: RuleInfo{"scheduler-watch-leases", "the scheduler watches who leads"},
			who:      who(scheduler), verbs: wa, resources: these("leases"), namespace: "kube-system", name: anyName,
		},
		{ // 3
			RuleInfo: RuleInfo{"scheduler-watch", "the scheduler's informers"},
			who:      who(scheduler), verbs: wa, namespace: noNamespace, name: anyName,
		},
		{ // 4
			RuleInfo: RuleInfo{"scheduler-watch-configmaps", "the scheduler watches its authentication settings"},
			who:      who(scheduler), verbs: wa, resources: these("configmaps"), namespace: "kube-system", name: anyName,
		},
		{ // 5
			RuleInfo: RuleInfo{"controller-manager-lease", "the controller manager renews its leader election"},
			who:      who(controllerManager), verbs: ge | up, resources: these("leases"),
			namespace: "kube-system", name: anyName, label: leaseRenewal,
		},
		{ // 6
			RuleInfo: RuleInfo{"control-plane-watch", "informers of the API server and the controller manager"},
			who:      who(apiServer, controllerManager), verbs: wa, namespace: noNamespace, name: noName,
		},
		{ // 7
			RuleInfo: RuleInfo{"api-server-endpoint", "the API server checks that it is listed as an address of itself"},
			who:      who(apiServer), verbs: ge, resources: these("endpoints", "endpointslices"), namespace: "default", name: "kubernetes",
		},
		{ // 8
			RuleInfo: RuleInfo{"api-server-lease", "the API server renews its identity lease"},
			who:      who(apiServer), verbs: up, resources: these("leases"), namespace: "kube-system", name: anyName,
		},
		{ // 9
			RuleInfo: RuleInfo{"api-server-repair", "the API server checks addresses, ports and quotas"},
			who:      who(apiServer), verbs: ge, resources: these("services", "resourcequotas"), namespace: anyNamespace, name: anyName,
		},
		{ // 10
			RuleInfo: RuleInfo{"api-server-watch-system", "the API server watches its own settings"},
			who:      who(apiServer), verbs: wa, resources: these("configmaps", "leases"), namespace: "kube-system", name: anyName,
		},
		{ // 11
			RuleInfo: RuleInfo{"legacy-token-last-used", "the API server notes the day on which an old token was used"},
			who:      who(apiServer), verbs: up, resources: these("secrets"), namespace: anyNamespace, name: anyName,
			secret: "kubernetes.io/legacy-token-last-used",
		},
		{ // 12; the reference labels all of them as update core/nodes (one, cluster), reads included
			RuleInfo: RuleInfo{"node-status", "a kubelet reads and reports its node"},
			who:      who(node), verbs: ge | up | wa, resources: these("nodes", "nodes/status"), namespace: anyNamespace, name: anyName,
		},
		{ // 13
			RuleInfo: RuleInfo{"node-lease", "a kubelet's heartbeat"},
			who:      who(node), verbs: up, resources: these("leases"), namespace: "kube-node-lease", name: anyName,
		},
		{ // 14
			RuleInfo: RuleInfo{"node-watch", "a kubelet's informers"},
			who:      who(node), verbs: wa, namespace: noNamespace, name: noName,
		},
		{ // 15
			RuleInfo: RuleInfo{"node-watch-system", "a kubelet watches what the system's pods need"},
			who:      who(node), verbs: wa, namespace: "kube-system", name: anyName,
		},
		// 16, a kubelet creates a token (the reference: "unsure"), is left out: a pod's first token belongs
		// to what made the pod, and only its renewals, 80 % of its life later, to nobody. One such event
		// does not tell which it is; in the starter corpus all 73 are first tokens.
		{ // 17; the reference has get and list too, but they belong to the start of a pod
			RuleInfo: RuleInfo{"node-root-ca", "a kubelet keeps the cluster's certificate of its pods up to date"},
			who:      who(node), verbs: wa, resources: these("configmaps"), namespace: anyNamespace, name: "kube-root-ca.crt",
		},
		{ // 18
			RuleInfo: RuleInfo{"kube-proxy-watch", "kube-proxy's informers"},
			who:      who(kubeProxy), verbs: wa, namespace: noNamespace, name: anyName,
		},
		{ // 18
			RuleInfo: RuleInfo{"kube-proxy-watch-system", "kube-proxy watches its settings"},
			who:      who(kubeProxy), verbs: wa, namespace: "kube-system", name: anyName,
		},
		{ // 19
			RuleInfo: RuleInfo{"coredns-watch", "CoreDNS follows what it must resolve"},
			who:      who(coreDNS), verbs: wa, resources: these("services", "namespaces", "endpointslices"), namespace: noNamespace, name: anyName,
		},
		// 20 holds in the reference for everyone, so that a person who looks at an account of kube-system is
		// said to create a token. Here it is the controller manager alone, and a look keeps its own label.
		{ // 20
			RuleInfo: RuleInfo{"controller-credentials", "the controller manager gets a token for one of its controllers"},
			who:      who(controllerManager), verbs: cr, resources: these("serviceaccounts/token"), namespace: "kube-system", name: anyName,
		},
		{ // 20
			RuleInfo: RuleInfo{"controller-credentials-account", "it looks up the account before it asks for the token"},
			who:      who(controllerManager), verbs: ge, resources: these("serviceaccounts"), namespace: "kube-system", name: anyName,
		},
		{ // 21
			RuleInfo: RuleInfo{"service-account-watch", "informers of controllers in the cluster"},
			who:      who(serviceAccount), verbs: ge | wa, namespace: noNamespace, name: noName,
		},
		// The reference's last rule, own label for every request about a foreign group, whoever asks, is left
		// out: people work with custom resources, and controllers touch them because people did. What
		// informers do with them the rules above say already.
	}
}
