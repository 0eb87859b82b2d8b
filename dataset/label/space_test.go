package label

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"k8ntext/dataset/audit"
)

var updateGolden = flag.Bool("update", false, "write the golden files anew")

// The values that the reference and its paper show with their meaning (REFERENCE 3.7).
func TestKnownLabels(t *testing.T) {
	for _, c := range []struct {
		want      Label
		text      string
		verb      string
		objectRef audit.ObjectRef
	}{
		{4176, "watch core/pods (unnamed, cluster)", "watch", ref("v1", "pods")},
		{4400, "get core/pods (unnamed, namespaced)", "list", in("v1", "pods")},
		{4496, "create core/pods (one, namespaced)", "create", one("v1", "pods")},
		{12688, "create core/configmaps (one, namespaced)", "create", one("v1", "configmaps")},
		{12752, "watch core/configmaps (one, namespaced)", "watch", one("v1", "configmaps")},
		{17808, "create core/serviceaccounts/token (one, namespaced)", "create", one("v1", "serviceaccounts/token")},
		{38080, "update certificates.k8s.io/certificatesigningrequests/approval (one, cluster)", "update", named("certificates.k8s.io/v1", "certificatesigningrequests/approval")},
		{41376, "delete core/namespaces (one, namespaced)", "delete", one("v1", "namespaces")},
		{61616, "get core/nodes (one, cluster)", "get", named("v1", "nodes")},
		{61632, "update core/nodes (one, cluster)", "patch", named("v1", "nodes")},
		{65936, "create apps/deployments (one, namespaced)", "create", one("apps/v1", "deployments")},
		{65952, "delete apps/deployments (one, namespaced)", "delete", one("apps/v1", "deployments")},
		{65984, "update apps/deployments (one, namespaced)", "patch", one("apps/v1", "deployments")},
		{70048, "delete apps/replicasets (one, namespaced)", "delete", one("apps/v1", "replicasets")},
		{74128, "create apps/statefulsets (one, namespaced)", "create", one("apps/v1", "statefulsets")},
		{75200, "update apps/statefulsets/scale (one, namespaced)", "patch", one("apps/v1", "statefulsets/scale")},
		{82320, "create batch/jobs (one, namespaced)", "create", one("batch/v1", "jobs")},
		{86416, "create core/persistentvolumeclaims (one, namespaced)", "create", one("v1", "persistentvolumeclaims")},
		{86432, "delete core/persistentvolumeclaims (one, namespaced)", "delete", one("v1", "persistentvolumeclaims")},
		{90256, "create core/persistentvolumes (one, cluster)", "create", named("v1", "persistentvolumes")},
		{94640, "get discovery.k8s.io/endpointslices (one, namespaced)", "get", one("discovery.k8s.io/v1", "endpointslices")},
		{98384, "watch networking.k8s.io/ingressclasses (unnamed, cluster)", "watch", ref("networking.k8s.io/v1", "ingressclasses")},
		{102480, "watch networking.k8s.io/ingresses (unnamed, cluster)", "watch", ref("networking.k8s.io/v1", "ingresses")},
		{119232, "update coordination.k8s.io/leases (one, namespaced)", "update", one("coordination.k8s.io/v1", "leases")},
		{147536, "watch scheduling.k8s.io/priorityclasses (unnamed, cluster)", "watch", ref("scheduling.k8s.io/v1", "priorityclasses")},
		{172112, "watch admissionregistration.k8s.io/validatingwebhookconfigurations (unnamed, cluster)", "watch", ref("admissionregistration.k8s.io/v1", "validatingwebhookconfigurations")},
		{180624, "create apps/daemonsets (one, namespaced)", "create", one("apps/v1", "daemonsets")},
		{2727984, "get external/cluster (unnamed, cluster)", "list", ref("example.org/v1", "widgets")},
		{3276944, "create apiregistration.k8s.io/apiservices (one, cluster)", "create", named("apiregistration.k8s.io/v1", "apiservices")},
		{3276960, "delete apiregistration.k8s.io/apiservices (one, cluster)", "delete", named("apiregistration.k8s.io/v1", "apiservices")},
		{3281040, "create apiextensions.k8s.io/customresourcedefinitions (one, cluster)", "create", named("apiextensions.k8s.io/v1", "customresourcedefinitions")},
		{3281056, "delete apiextensions.k8s.io/customresourcedefinitions (one, cluster)", "delete", named("apiextensions.k8s.io/v1", "customresourcedefinitions")},
		{3695024, "get core/endpoints (one, namespaced)", "get", one("v1", "endpoints")},
	} {
		for _, s := range []*Space{Paper(), Default()} {
			if got := s.Own(event(c.verb, c.objectRef)); got != c.want {
				t.Errorf("%s: %s %+v is %d %s, want %d", s.Name(), c.verb, c.objectRef, got, s.Describe(got), c.want)
			}
			if got := s.Describe(c.want); got != c.text {
				t.Errorf("%s: %d is %q, want %q", s.Name(), c.want, got, c.text)
			}
		}
	}
	// "patch lease (n=0, old)": an older way to label, which no request of today has. The paper's space
	// takes every (n, u), the default one only what an API server serves.
	if got := Paper().Describe(118976); got != "update coordination.k8s.io/leases (one, cluster)" {
		t.Errorf("paper: 118976 is %q", got)
	}
	if Default().Valid(118976) {
		t.Error("default: 118976, a lease without a namespace, is valid")
	}
}

func TestOwn(t *testing.T) {
	ignored := func(e *audit.Event, uri string) *audit.Event { e.RequestURI = uri; return e }
	crd := Default("widgets.example.org", "cert-manager.io")
	for _, c := range []struct {
		what           string
		event          *audit.Event
		paper, current string // as Describe says
	}{
		{"a version that the table does not have", event("create", named("flowcontrol.apiserver.k8s.io/v1", "flowschemas")), "unknown", "create flowcontrol.apiserver.k8s.io/flowschemas (one, cluster)"},
		{"the table's version", event("create", named("flowcontrol.apiserver.k8s.io/v1beta3", "flowschemas")), "create flowcontrol.apiserver.k8s.io/flowschemas (one, cluster)", "create flowcontrol.apiserver.k8s.io/flowschemas (one, cluster)"},
		{"autoscaling v1", event("get", one("autoscaling/v1", "horizontalpodautoscalers")), "unknown", "get autoscaling/horizontalpodautoscalers (one, namespaced)"},
		{"an unknown resource of a known group", event("get", one("apps/v1", "gizmos")), "unknown", "unknown"},
		{"an unknown subresource", event("get", one("v1", "pods/gizmo")), "unknown", "unknown"},
		{"a newer subresource", event("patch", one("v1", "pods/resize")), "unknown", "update core/pods/resize (one, namespaced)"},
		{"an eviction", event("create", one("v1", "pods/eviction")), "create core/pods/eviction (one, namespaced)", "create core/pods/eviction (one, namespaced)"},
		{"a newer group", event("list", ref("resource.k8s.io/v1", "deviceclasses")), "get external/cluster (unnamed, cluster)", "get resource.k8s.io/deviceclasses (unnamed, cluster)"},
		{"both event APIs: core", event("create", one("v1", "events")), "create core/events (one, namespaced)", "create core/events (one, namespaced)"},
		{"both event APIs: events.k8s.io", event("create", one("events.k8s.io/v1", "events")), "create events.k8s.io/events (one, namespaced)", "create events.k8s.io/events (one, namespaced)"},
		{"an unknown verb", event("impersonate", named("v1", "nodes")), "unknown", "unknown"},
		{"no verb", event("", named("v1", "nodes")), "unknown", "unknown"},
		{"a verb that the resource has not", event("delete", one("v1", "pods/log")), "unknown", "unknown"},
		{"no API server serves an update without a name", event("update", in("v1", "pods")), "update core/pods (unnamed, namespaced)", "unknown"},
		{"deletecollection", event("deletecollection", in("apps/v1", "deployments")), "delete apps/deployments (unnamed, namespaced)", "delete apps/deployments (unnamed, namespaced)"},
		{"generateName", event("create", in("v1", "pods")), "create core/pods (unnamed, namespaced)", "create core/pods (unnamed, namespaced)"},
		{"a field selector on the name over all namespaces", event("watch", named("v1", "secrets")), "watch core/secrets (one, cluster)", "watch core/secrets (one, cluster)"},
		{"a namespace is created without one", event("create", named("v1", "namespaces")), "create core/namespaces (one, cluster)", "create core/namespaces (one, cluster)"},
		{"a useless namespace in a manifest", event("create", one("rbac.authorization.k8s.io/v1", "clusterroles")), "create rbac.authorization.k8s.io/clusterroles (one, namespaced)", "create rbac.authorization.k8s.io/clusterroles (one, namespaced)"},
		{"the labeller's name for the core group", event("get", one("core/v1", "pods")), "get core/pods (one, namespaced)", "get core/pods (one, namespaced)"},
		{"a foreign group", event("create", one("cert-manager.io/v1", "issuers")), "create external/namespaced (one, namespaced)", "create cert-manager.io/* (one, namespaced)"},
		{"its status", event("patch", named("cert-manager.io/v1", "issuers/status")), "update external/cluster (one, cluster)", "update cert-manager.io/*/status (one, cluster)"},
		{"another subresource of it", event("get", one("widgets.example.org/v1", "widgets/vnc")), "get external/namespaced (one, namespaced)", "get widgets.example.org/*/* (one, namespaced)"},
		{"a foreign group never seen", event("patch", one("other.example.org/v1", "widgets/scale")), "update external/namespaced (one, namespaced)", "update external/namespaced/scale (one, namespaced)"},
		{"a group that is called like our pseudo group", event("get", one("external/v1", "cluster")), "get external/namespaced (one, namespaced)", "get external/namespaced (one, namespaced)"},
		{"no objectRef", &audit.Event{Verb: "get", RequestURI: "/healthz"}, "unknown", "nonresource"},
		{"an ignored namespace", event("get", audit.ObjectRef{APIVersion: "v1", Resource: "pods", Namespace: "kube-flannel", Name: "x"}), "ignored", "get core/pods (one, namespaced)"},
		{"a URI that is not of an API", ignored(event("get", one("v1", "pods")), "/healthz"), "ignored", "get core/pods (one, namespaced)"},
		{"a URI of two segments", ignored(event("list", ref("v1", "pods")), "/api/v1?timeout=32s"), "ignored", "get core/pods (unnamed, cluster)"},
		{"a URI of an API", ignored(event("list", ref("v1", "pods")), "/api/v1/pods?limit=500"), "get core/pods (unnamed, cluster)", "get core/pods (unnamed, cluster)"},
	} {
		before := fmt.Sprintf("%+v %+v", *c.event, c.event.ObjectRef)
		if got := Paper().Describe(Paper().Own(c.event)); got != c.paper {
			t.Errorf("%s: paper: %q, want %q", c.what, got, c.paper)
		}
		if got := crd.Describe(crd.Own(c.event)); got != c.current {
			t.Errorf("%s: default: %q, want %q", c.what, got, c.current)
		}
		if after := fmt.Sprintf("%+v %+v", *c.event, c.event.ObjectRef); after != before {
			t.Errorf("%s: labelling changed the event", c.what)
		}
	}
}

// The paper's figures: 59 values per component, and a label space of 1,356 = 339 pairs of resource and
// merged verb, four (n, u) each.
func TestPaperFigures(t *testing.T) {
	s := Paper()
	if s.M() != 59 {
		t.Errorf("m is %d, want 59", s.M())
	}
	if n := len(s.Labels()); n != 1356 {
		t.Errorf("%d labels, want 1356", n)
	}
	for value := range 45 { // 0 to 44 keep their number, so that n, u, v and s index themselves
		l := Tuple{Resource: 44, Verb: create}.Label()
		if c := s.Components(l); s.ids[value] != value || c != [5]int{44, 0, 0, 0, 1} {
			t.Fatalf("place %d holds %d; components of %d are %v", value, s.ids[value], l, c)
		}
	}
}

// The default space differs from the paper's only by what it adds and by requests nobody can make.
func TestDefaultKeepsPaperIDs(t *testing.T) {
	paper, current := Paper(), Default()
	for _, l := range paper.Labels() {
		if current.Valid(l) && paper.Describe(l) != current.Describe(l) {
			t.Errorf("%d is %q in the paper's space, %q in the default one", l, paper.Describe(l), current.Describe(l))
		}
	}
	for _, s := range []*Space{paper, current} {
		ids := make(map[[2]int]address)
		for _, k := range s.kinds {
			if other, ok := ids[[2]int{k.id, k.subID}]; ok {
				t.Errorf("%s: %v and %v share id (%d, %d)", s.Name(), other, k.address, k.id, k.subID)
			}
			ids[[2]int{k.id, k.subID}] = k.address
		}
	}
}

func TestForeignGroups(t *testing.T) {
	s := Default("b.example.org", "a.example.org", "b.example.org", "apps", "", "events.k8s.io", "nodot", "Bad.Case", "a b.org", "x..org", "-x.org", "external", "*", "n.\x1b[31m")
	if diff := cmp.Diff([]string{"a.example.org", "b.example.org"}, s.CRDGroups()); diff != "" {
		t.Errorf("groups (-want +got):\n%s", diff)
	}
	again := Default(s.CRDGroups()...)
	if diff := cmp.Diff(s.Labels(), again.Labels()); diff != "" {
		t.Errorf("Default(CRDGroups()) is another space:\n%s", diff)
	}
	for group, want := range map[string]bool{"": false, "core": false, "apps": false, "a.example.org": true, "never.example.org": true} {
		if got := s.External(group); got != want {
			t.Errorf("External(%q) is %v", group, got)
		}
	}
	if !Paper().External("resource.k8s.io") || s.External("resource.k8s.io") {
		t.Error("resource.k8s.io is foreign to the paper's space and built into the default one")
	}

	var many []string
	for i := range 500 {
		many = append(many, fmt.Sprintf("g%03d.example.org", i))
	}
	s = Default(many...)
	if n := len(s.CRDGroups()); n != 400 {
		t.Errorf("%d groups of 500 have an id, want 400", n)
	}
	if got := s.Describe(s.Own(event("get", one("g499.example.org/v1", "widgets")))); got != "get external/namespaced (one, namespaced)" {
		t.Errorf("a group beyond the last id is labelled %q", got)
	}
}

func TestByName(t *testing.T) {
	for _, name := range []string{"paper", "default"} {
		s, err := ByName(name, []string{"example.org"})
		if err != nil || s.Name() != name {
			t.Errorf("ByName(%q): %v, %v", name, s, err)
		}
	}
	if _, err := ByName("papper", nil); err == nil || !strings.Contains(err.Error(), "papper") {
		t.Errorf("ByName of an unknown name: %v", err)
	}
}

func TestDescribeParseRoundTrip(t *testing.T) {
	for _, s := range spaces() {
		seen := make(map[string]Label)
		for _, l := range append(s.Labels(), Unknown, Ignore) {
			text := s.Describe(l)
			if other, ok := seen[text]; ok {
				t.Errorf("%s: %d and %d are both %q", s.Name(), other, l, text)
			}
			seen[text] = l
			for _, form := range []string{text, " " + text + "\n", fmt.Sprint(int(l))} {
				if got, err := s.Parse(form); err != nil || got != l {
					t.Errorf("%s: %q is %d, %v; want %d", s.Name(), form, got, err, l)
				}
			}
		}
	}
}

func TestParseErrors(t *testing.T) {
	for text, want := range map[string]string{
		"":                        "empty",
		"delete":                  "want VERB",
		"delete apps/replicasets": "want VERB",
		"delete apps/replicasets (one, namespaced":   "want VERB",
		"destroy apps/replicasets (one, namespaced)": `unknown verb "destroy"`,
		"delete pods (one, namespaced)":              "core/pods",
		"delete apps/gizmos (one, namespaced)":       `no resource "apps/gizmos"`,
		"delete core/pods/a/b (one, namespaced)":     `no resource "core/pods/a/b"`,
		"delete apps/replicasets (two, namespaced)":  `"two"`,
		"delete apps/replicasets (one)":              `"" is neither namespaced`,
		"delete core/pods/log (one, namespaced)":     "no API server serves",
		"70049":                                      "no label of the default space",
		"99999999999999":                             "want VERB",
		"-3":                                         "no label",
		"delete \x1b[31m/x (one, namespaced)":        `\x1b`,
	} {
		_, err := Default().Parse(text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want one that contains %q", text, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "\x1b") {
			t.Errorf("%q: the error carries a terminal escape", text)
		}
	}
	if l, err := Default().Parse("deletecollection apps/replicasets (unnamed, namespaced)"); err != nil || l != 70048-128 {
		t.Errorf("a verb that merges: %d, %v", l, err)
	}
	if _, err := Paper().Parse("nonresource"); err == nil {
		t.Error("the paper's space has no nonresource")
	}
}

// What the API servers of 1.28 to 1.36 say they serve has a label, for each verb and each shape that
// such a request can have; 1.28 is the paper's.
func TestDiscovery(t *testing.T) {
	current := Default()
	pairs := 0
	for _, row := range tsv(t, "discovery.tsv", 6) {
		group, version, resource, scope, verbs, releases := row[0], row[1], row[2], row[3], strings.Fields(row[4]), strings.Fields(row[5])
		name, sub, _ := strings.Cut(resource, "/")
		merged := make(map[int]bool)
		for _, verb := range verbs {
			r := audit.ObjectRef{APIGroup: group, APIVersion: version, Resource: name, Subresource: sub}
			if group == "core" {
				r.APIGroup = ""
			}
			if scope == "Namespaced" || name == "namespaces" && sub+verb != "create" && sub+verb != "list" && sub+verb != "watch" {
				r.Namespace = "ns"
			}
			if sub != "" || verb != "list" && verb != "watch" && verb != "deletecollection" {
				r.Name = "x"
			}
			e := event(verb, r)
			if l := current.Own(e); l < 0 && slices.ContainsFunc(releases, func(r string) bool { return r >= "1.30" }) {
				t.Errorf("%s %s/%s %s of %v has no label in the default space", verb, group, version, resource, releases)
			}
			if Paper().Own(e) >= 0 && !Paper().External(group) {
				merged[mergedVerb(verb)] = true
			}
		}
		if slices.Contains(releases, "1.28") {
			pairs += len(merged)
		}
	}
	if pairs != 329 { // with five verbs for each external id: the 339 of the paper
		t.Errorf("the paper's table covers %d pairs of resource and merged verb of 1.28, want 329", pairs)
	}
}

// Every request of a real control plane's log has an own label.
func TestRecordedRequests(t *testing.T) {
	s, paper := Default("g-kd0045.example.org"), Paper()
	own := make(map[Label]bool)
	for _, row := range tsv(t, "requests-1.34.tsv", 7) {
		r := audit.ObjectRef{APIGroup: row[1], APIVersion: row[2], Resource: row[3], Subresource: row[4]}
		if row[6][0] == 'n' {
			r.Namespace = "ns"
		}
		if row[6][1] == 'u' {
			r.Name = "x"
		}
		e := event(row[5], r)
		l := s.Own(e)
		if !s.Valid(l) || l == s.NonResource() {
			t.Errorf("%v: label %d %s", row, l, s.Describe(l))
		}
		own[l] = true
		if l := paper.Own(e); l >= 0 && !paper.Valid(l) {
			t.Errorf("%v: paper's label %d", row, l)
		}
	}
	if len(own) < 300 {
		t.Errorf("only %d distinct labels: the file is cut", len(own))
	}
}

func TestGoldenSpaces(t *testing.T) {
	for name, s := range map[string]*Space{"paper": Paper(), "default": Default("widgets.example.org")} {
		var b strings.Builder
		fmt.Fprintf(&b, "# m %d, %d labels. Shapes: n namespace given, u name given, - neither.\n", s.M(), len(s.Labels()))
		fmt.Fprintln(&b, "# r\ts\tkind\tcreate\tdelete\tget\tupdate\twatch")
		kinds := slices.SortedFunc(slices.Values(s.kinds), func(a, b kind) int {
			return (a.id-b.id)*1000 + a.subID - b.subID
		})
		for _, k := range kinds {
			fmt.Fprintf(&b, "%d\t%d\t%s", k.id, k.subID, strings.TrimSuffix(k.group+"/"+k.resource+"/"+k.sub, "/"))
			for v := create; v <= watch; v++ {
				var cell []string
				for i, word := range []string{"-", "u", "n", "nu"} {
					l := Tuple{k.id, k.subID, v, i&2 != 0, i&1 != 0}.Label()
					if s.Valid(l) {
						cell = append(cell, word)
					}
				}
				fmt.Fprintf(&b, "\t%s", strings.Join(cell, " "))
			}
			fmt.Fprintln(&b)
		}
		golden(t, name+".golden", b.String())
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *updateGolden {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("%s differs (go test -update writes it anew):\n%s", path, diff)
	}
}

// tsv reads a table of testdata, without its comments.
func tsv(t *testing.T, name string, columns int) [][]string {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var rows [][]string
	sc := bufio.NewScanner(f)
	for sc.Scan() {
		if strings.HasPrefix(sc.Text(), "#") {
			continue
		}
		row := strings.Split(sc.Text(), "\t")
		if len(row) != columns {
			t.Fatalf("%s: %d columns in %q", name, len(row), sc.Text())
		}
		rows = append(rows, row)
	}
	if err := sc.Err(); err != nil {
		t.Fatal(err)
	}
	return rows
}

func event(verb string, ref audit.ObjectRef) *audit.Event {
	return &audit.Event{Verb: verb, ObjectRef: &ref}
}

// ref is an objectRef without namespace and name; apiVersion as in a manifest, resource/subresource.
func ref(apiVersion, resource string) audit.ObjectRef {
	var r audit.ObjectRef
	r.APIVersion = apiVersion
	if group, version, ok := strings.Cut(apiVersion, "/"); ok {
		r.APIGroup, r.APIVersion = group, version
	}
	r.Resource, r.Subresource, _ = strings.Cut(resource, "/")
	return r
}

// in is one in a namespace, named one with a name, one one with both.
func in(apiVersion, resource string) audit.ObjectRef {
	r := ref(apiVersion, resource)
	r.Namespace = "default"
	return r
}

func named(apiVersion, resource string) audit.ObjectRef {
	r := ref(apiVersion, resource)
	r.Name = "x"
	return r
}

func one(apiVersion, resource string) audit.ObjectRef {
	r := in(apiVersion, resource)
	r.Name = "x"
	return r
}
