package label

import (
	"testing"

	"k8ntext/dataset/audit"
)

func TestRules(t *testing.T) {
	apiserver := audit.User{Username: "system:apiserver", Groups: []string{"system:masters"}}
	kcm := audit.User{Username: "system:kube-controller-manager", Groups: []string{"system:authenticated"}}
	sched := audit.User{Username: "system:kube-scheduler"}
	kubelet := audit.User{Username: "system:node:n1", Groups: []string{"system:nodes", "system:authenticated"}}
	proxy := account("kube-system", "kube-proxy")
	dns := account("kube-system", "coredns")
	controller := account("kube-system", "job-controller")
	robot := account("ci", "deployer")
	alice := audit.User{Username: "alice", Groups: []string{"system:authenticated"}}

	lease := at("coordination.k8s.io/v1", "leases", "kube-system", "x")
	hit := make(map[string]bool)
	for _, c := range []struct {
		what  string
		user  audit.User
		verb  string
		ref   audit.ObjectRef
		rule  string
		label Label // 0: own
	}{
		{"", controller, "update", lease, "service-account-lease", 119232},
		{"a read before a renewal", controller, "get", lease, "service-account-lease", 119232},
		{"a watch is no renewal", controller, "watch", at("coordination.k8s.io/v1", "leases", "kube-system", ""), "service-account-watch-leases", 0},
		{"", sched, "update", lease, "scheduler-lease", 119232},
		{"", sched, "watch", lease, "scheduler-watch-leases", 0},
		{"a lease of another namespace", sched, "update", at("coordination.k8s.io/v1", "leases", "default", "x"), "", 0},
		{"", sched, "watch", ref("v1", "pods"), "scheduler-watch", 0},
		{"", sched, "watch", at("v1", "configmaps", "kube-system", "x"), "scheduler-watch-configmaps", 0},
		{"a binding is caused by whoever made the pod", sched, "create", at("v1", "pods/binding", "default", "x"), "", 0},
		{"", kcm, "update", lease, "controller-manager-lease", 119232},
		{"", kcm, "watch", ref("v1", "pods"), "control-plane-watch", 0},
		{"", apiserver, "watch", ref("v1", "pods"), "control-plane-watch", 0},
		{"one object by field selector", apiserver, "watch", at("networking.k8s.io/v1", "servicecidrs", "", "kubernetes"), "", 0},
		{"", apiserver, "get", at("v1", "endpoints", "default", "kubernetes"), "api-server-endpoint", 0},
		{"", apiserver, "get", at("discovery.k8s.io/v1", "endpointslices", "default", "kubernetes"), "api-server-endpoint", 0},
		{"", apiserver, "update", lease, "api-server-lease", 0},
		{"", apiserver, "list", ref("v1", "services"), "api-server-repair", 0},
		{"", apiserver, "watch", at("v1", "configmaps", "kube-system", "extension-apiserver-authentication"), "api-server-watch-system", 0},
		{"a secret for another reason", apiserver, "patch", at("v1", "secrets", "default", "x"), "", 0},
		{"reads keep their own label", kubelet, "get", at("v1", "nodes", "", "n1"), "node-status", 61616},
		{"", kubelet, "patch", at("v1", "nodes", "", "n1"), "node-status", 61632},
		{"status too", kubelet, "patch", at("v1", "nodes/status", "", "n1"), "node-status", 0},
		{"", kubelet, "update", at("coordination.k8s.io/v1", "leases", "kube-node-lease", "n1"), "node-lease", 0},
		{"", kubelet, "watch", ref("v1", "services"), "node-watch", 0},
		{"", kubelet, "watch", at("v1", "secrets", "kube-system", "x"), "node-watch-system", 0},
		{"", kubelet, "watch", at("v1", "configmaps", "default", "kube-root-ca.crt"), "node-root-ca", 0},
		{"a pod starts", kubelet, "list", at("v1", "configmaps", "default", "kube-root-ca.crt"), "", 0},
		{"a pod's token", kubelet, "create", at("v1", "serviceaccounts/token", "default", "default"), "", 0},
		{"", proxy, "watch", ref("discovery.k8s.io/v1", "endpointslices"), "kube-proxy-watch", 0},
		{"", proxy, "watch", at("v1", "configmaps", "kube-system", "kube-proxy"), "kube-proxy-watch-system", 0},
		{"", dns, "watch", ref("v1", "services"), "coredns-watch", 0},
		{"", kcm, "create", at("v1", "serviceaccounts/token", "kube-system", "x"), "controller-credentials", 17808},
		{"a look keeps its own label", kcm, "get", at("v1", "serviceaccounts", "kube-system", "x"), "controller-credentials-account", 0},
		{"a person looks at an account", alice, "get", at("v1", "serviceaccounts", "kube-system", "x"), "", 0},
		{"a person makes a token", alice, "create", at("v1", "serviceaccounts/token", "kube-system", "x"), "", 0},
		{"a namespace that the event lacks is no reason to skip the rules", robot, "watch", ref("v1", "pods"), "service-account-watch", 0},
		{"", robot, "list", ref("v1", "pods"), "service-account-watch", 0},
		{"a person does the same", alice, "list", ref("v1", "pods"), "", 0},
		{"a person's custom resource", alice, "create", one("example.org/v1", "widgets"), "", 0},
		{"a controller's custom resource", controller, "delete", one("example.org/v1", "widgets"), "", 0},
		{"a label of no space", kubelet, "watch", ref("apps/v1", "gizmos"), "", 0},
	} {
		for _, s := range []*Space{Paper(), Default()} {
			e := event(c.verb, c.ref)
			e.User = c.user
			want := c.label
			if c.rule == "" {
				want = Unknown
			} else if want == 0 {
				want = s.Own(e)
			}
			hit[c.rule] = true
			if l, rule := s.Rule(e); l != want || rule != c.rule {
				t.Errorf("%s: %s %s %+v: label %d by rule %q, want %d by %q (%s)", s.Name(), c.user.Username, c.verb, c.ref, l, rule, want, c.rule, c.what)
			}
		}
	}

	for _, c := range []struct {
		what, body string
		rule       string
	}{
		{"the day of a legacy token", `{"metadata":{"labels":{"kubernetes.io/legacy-token-last-used":"2025-01-01"}}}`, "legacy-token-last-used"},
		{"after other labels", `{"kind":"Secret","metadata":{"name":"x","labels":{"a":{"b":[1]},"kubernetes.io/legacy-token-last-used":"2025-01-01"}}}`, "legacy-token-last-used"},
		{"as an annotation", `{"metadata":{"annotations":{"kubernetes.io/legacy-token-last-used":"2025-01-01"}}}`, ""},
		{"as a value", `{"metadata":{"labels":{"a":"kubernetes.io/legacy-token-last-used"}}}`, ""},
		{"labels of another type", `{"metadata":{"labels":"kubernetes.io/legacy-token-last-used"}}`, ""},
		{"cut short", `{"metadata":{"labels":{`, ""},
		{"no body", ``, ""},
		{"not an object", `[{"metadata":1}]`, ""},
	} {
		e := event("patch", at("v1", "secrets", "kube-system", "x"))
		e.User, e.RequestObject = apiserver, []byte(c.body)
		_, rule := Default().Rule(e)
		if rule != c.rule {
			t.Errorf("%s: rule %q, want %q", c.what, rule, c.rule)
		}
		hit[rule] = true
	}

	for _, r := range Default().Rules() {
		if !hit[r.Name] {
			t.Errorf("no case shows rule %q", r.Name)
		}
		if r.Reason == "" {
			t.Errorf("rule %q has no reason", r.Name)
		}
	}
}

func TestRuleWithoutObjectRefOrImpersonated(t *testing.T) {
	s := Default()
	if l, rule := s.Rule(&audit.Event{Verb: "get", User: audit.User{Username: "system:apiserver"}}); l != Unknown || rule != "" {
		t.Errorf("no objectRef: label %d by rule %q", l, rule)
	}
	e := event("watch", ref("v1", "pods"))
	e.User.Username = "system:kube-scheduler"
	if _, rule := s.Rule(e); rule == "" {
		t.Fatal("the scheduler's watch matches no rule")
	}
	e.ImpersonatedUser = &audit.User{Username: "bob"}
	if l, rule := s.Rule(e); l != Unknown || rule != "" {
		t.Errorf("impersonated: label %d by rule %q", l, rule)
	}
}

// Labels written as numbers in the table mean the same in every space.
func TestLeaseRenewal(t *testing.T) {
	for _, s := range spaces() {
		if got := s.Describe(leaseRenewal); got != "update coordination.k8s.io/leases (one, namespaced)" {
			t.Errorf("%s: the lease renewal's label is %q", s.Name(), got)
		}
	}
}

func account(namespace, name string) audit.User {
	return audit.User{
		Username: "system:serviceaccount:" + namespace + ":" + name,
		Groups:   []string{"system:serviceaccounts", "system:serviceaccounts:" + namespace, "system:authenticated"},
	}
}

func at(apiVersion, resource, namespace, name string) audit.ObjectRef {
	r := ref(apiVersion, resource)
	r.Namespace, r.Name = namespace, name
	return r
}
