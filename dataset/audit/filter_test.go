package audit

import (
	"slices"
	"strings"
	"testing"
)

// filtered are events that each rule must match, and near misses.
func filtered() map[string][2]*Event {
	ev := func(user, verb, resource string, change ...func(*Event)) *Event {
		e := &Event{
			Verb: verb, RequestURI: "/api/v1/" + resource, User: User{Username: user},
			ObjectRef: &ObjectRef{Resource: resource, APIVersion: "v1"}, Stages: []Stage{{Name: stageComplete}},
		}
		for _, f := range change {
			f(e)
		}
		return e
	}
	name := func(s string) func(*Event) { return func(e *Event) { e.ObjectRef.Name = s } }
	namespace := func(s string) func(*Event) { return func(e *Event) { e.ObjectRef.Namespace = s } }
	sub := func(s string) func(*Event) { return func(e *Event) { e.ObjectRef.Subresource = s } }
	uri := func(s string) func(*Event) { return func(e *Event) { e.RequestURI = s } }
	started := func(e *Event) { e.Stages[0].Name = stageStarted }
	const node = "system:node:n1"
	return map[string][2]*Event{
		"no_object_ref":                      {{Verb: "get", RequestURI: "/healthz", Stages: []Stage{{}}}, ev("alice", "get", "pods")},
		"root_and_health":                    {ev("alice", "get", "x", uri("/apis")), ev("alice", "get", "x", uri("/apis/apps/v1"))},
		"discovery":                          {ev("alice", "get", "x", uri("/api?timeout=32s")), ev("alice", "get", "x", uri("/api/v1?timeout=32s"))},
		"openapi":                            {ev("alice", "get", "x", uri("/openapi/v3/apis/apps/v1?hash=A")), ev("alice", "get", "x", uri("/openapi"))},
		"response_started_watch":             {ev("alice", "watch", "pods", started), ev("alice", "get", "pods", started)},
		"cni_and_external_namespaces":        {ev(userFlannel, "get", "nodes"), ev("alice", "get", "pods", namespace("flannel"))},
		"api_server_watching_objects":        {ev(userAPIServer, "watch", "roles"), ev(userAPIServer, "watch", "leases")},
		"kube_controller_watching_objects":   {ev(userController, "watch", "certificatesigningrequests"), ev(userController, "watch", "leases")},
		"kube_scheduler_watching_objects":    {ev(userScheduler, "watch", "nodes"), ev(userScheduler, "list", "nodes")},
		"extension_apiserver_authentication": {ev(userScheduler, "watch", "configmaps", name("extension-apiserver-authentication")), ev(userScheduler, "watch", "configmaps")},
		"nodes_watching_pods_and_nodes":      {ev(node, "watch", "pods"), ev("node", "watch", "pods")},
		"nodes_watching_configmaps":          {ev(node, "watch", "configmaps", namespace("kube-system")), ev(node, "watch", "configmaps")},
		"nodes_creating_sas_token":           {ev(node, "create", "serviceaccounts", sub("token")), ev(node, "create", "serviceaccounts")},
		"coredns_watching_namespaces":        {ev(userCoreDNS, "watch", "namespaces"), ev(userCoreDNS, "watch", "services")},
		"kube_proxy_watching_nodes":          {ev(userKubeProxy, "watch", "nodes"), ev(userKubeProxy, "watch", "services")},
		"nodes_getting_their_own_status":     {ev(node, "get", "nodes"), ev("alice", "get", "nodes")},
		"nodes_patching_their_own_status":    {ev(node, "patch", "nodes"), ev(node, "update", "nodes")},
		"kube_controller_gc_and_rq_token":    {ev(userController, "get", "serviceaccounts", name("resourcequota-controller")), ev(userController, "get", "serviceaccounts")},
	}
}

func TestFilterRules(t *testing.T) {
	cases := filtered()
	for _, rule := range FilterRules() {
		c, ok := cases[rule.Name]
		if !ok {
			t.Errorf("no case for rule %s", rule.Name)
			continue
		}
		on, err := NewFilter(Labelling, rule.Name)
		if err != nil {
			t.Fatal(err)
		}
		if d, name := on.Decide(c[0]); name != rule.Name || d != rule.Decision {
			t.Errorf("%s: decision %s by rule %q, want %s", rule.Name, d, name, rule.Decision)
		}
		if d, name := on.Decide(c[1]); name != "" || d != Keep {
			t.Errorf("%s matches its near miss: decision %s by rule %q", rule.Name, d, name)
		}
		off, err := NewFilter(Labelling)
		if err != nil {
			t.Fatal(err)
		}
		if _, name := off.Decide(c[0]); (name != "") != rule.Always {
			t.Errorf("%s not switched on: decided by rule %q", rule.Name, name)
		}
		var zero Filter
		if d, name := zero.Decide(c[0]); d != Keep || name != "" {
			t.Errorf("%s: the zero filter decides %s by rule %q", rule.Name, d, name)
		}
	}
	if len(cases) != len(FilterRules()) {
		t.Errorf("%d cases for %d rules", len(cases), len(FilterRules()))
	}
}

// TestFilterOrder: the first rule that matches decides, also when named in another order.
func TestFilterOrder(t *testing.T) {
	e := filtered()["kube_scheduler_watching_objects"][0]
	e.ObjectRef.Namespace = "falco"
	for _, names := range [][]string{{"all"}, {"kube_scheduler_watching_objects", "cni_and_external_namespaces"}} {
		f, err := NewFilter(Reduction, names...)
		if err != nil {
			t.Fatal(err)
		}
		if d, name := f.Decide(e); d != Remove || name != "cni_and_external_namespaces" {
			t.Errorf("%v: decision %s by rule %q", names, d, name)
		}
	}
}

func TestFilterModes(t *testing.T) {
	healthz := `{"verb":"get","requestURI":"/healthz","auditID":"h","stage":"ResponseComplete","requestReceivedTimestamp":"2026-03-01T12:00:00Z"}`
	node := newRequest("n", 0)
	node.user, node.verb = "system:node:n1", "watch"
	log := strings.Join([]string{healthz, node.done(), whole("a")}, "\n")
	for _, tc := range []struct {
		mode                         Mode
		events                       string
		background, removed, dropped int64
	}{
		{"", "h n a", 0, 0, 0},
		{Labelling, "h n a", 1, 1, 0},
		{LightReduction, "n a", 1, 1, 1},
		{Reduction, "a", 1, 1, 2},
	} {
		var names []string
		if tc.mode != "" {
			names = []string{"nodes_watching_pods_and_nodes"}
		}
		f, err := NewFilter(tc.mode, names...)
		if err != nil {
			t.Fatal(err)
		}
		res := read(t, Options{Filter: f}, log)
		s := res.summary
		if res.ids() != tc.events || s.Background != tc.background || s.Removed != tc.removed || s.Dropped != tc.dropped {
			t.Errorf("mode %q: events %q, want %q; summary:\n%s", tc.mode, res.ids(), tc.events, s)
		}
		if tc.mode != "" && !slices.Equal(s.Rules, []Count{{"no_object_ref", 1}, {"nodes_watching_pods_and_nodes", 1}}) {
			t.Errorf("mode %q: rules %v", tc.mode, s.Rules)
		}
	}
}

func TestFilterErrors(t *testing.T) {
	for _, tc := range []struct {
		mode  Mode
		names []string
		want  string
	}{
		{"reduce", nil, "labelling, reduction and light-reduction"},
		{"", []string{"all"}, "without a mode"},
		{Reduction, []string{"nodes_watching"}, `unknown filter rule "nodes_watching": there are no_object_ref, `},
	} {
		if _, err := NewFilter(tc.mode, tc.names...); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%q %v: error %v, want one that says %q", tc.mode, tc.names, err, tc.want)
		}
	}
}
