package feature

import (
	"strings"
	"testing"
)

func TestPaperAgent(t *testing.T) {
	null := agent{}
	for _, c := range []struct {
		text string
		want agent
	}{
		{
			"kube-controller-manager/v1.28.7 (linux/amd64) kubernetes/c8dcb00/shared-informers",
			agent{just("kube-controller-manager"), just("v1.28.7"), just("shared-informers")},
		},
		{
			"kube-controller-manager/v1.34.4 (linux/amd64) kubernetes/0000000/system:serviceaccount:kube-system:job-controller",
			agent{just("kube-controller-manager"), just("v1.34.4"), just("system:serviceaccount:kube-system:job-controller")},
		},
		{"kubelet/v1.34.4 (linux/amd64) kubernetes/0000000", agent{just("kubelet"), just("v1.34.4"), value{}}},
		{"kubectl-dispatcher/v1.0 (linux/amd64)", agent{just("kubectl-dispatcher"), just("v1.0"), value{}}},
		{"Go-http-client/2.0", agent{just("Go-http-client"), just("2.0"), value{}}},
		{"a/b/c", agent{just("a"), just("b/c"), value{}}},              // cut at the first slash only
		{"a/b (x/y) m/h/", agent{just("a"), just("b"), just("")}},      // an empty extra is a value
		{"a/b (x/y) m/h/e more", agent{just("a"), just("b"), value{}}}, // four parts: meta is dropped
		{"a/b x/y m/h/e", agent{just("a"), just("b"), just("e")}},      // brackets are optional
		{"curl", null},                           // a tool without slash
		{"", null},                               // absent
		{"a/b linux", null},                      // a platform without slash
		{"a/b (linux/amd64/v3)", null},           // a platform with two
		{"a/b (linux/amd64) meta", null},         // meta without slash
		{"a/b (linux/amd64) m/h/e/x", null},      // meta with three
		{"a/b  (linux/amd64)", null},             // two spaces make an empty platform
		{"Mozilla/5.0 (X11; Linux) Gecko", null}, // "(X11;" is no platform
	} {
		if got := paperAgent(c.text); got != c.want {
			t.Errorf("%q: got %+v, want %+v", c.text, got, c.want)
		}
	}
}

func TestHonestAgent(t *testing.T) {
	for text, want := range map[string]agent{
		"kube-controller-manager/v1.34.4 (linux/amd64) kubernetes/0/system:serviceaccount:kube-system:job-controller": {tool: just("kube-controller-manager"), extra: just("job-controller")},
		"kube-scheduler/v1.34.4 (linux/amd64) kubernetes/0/leader-election":                                           {tool: just("kube-scheduler"), extra: just("leader-election")},
		"kubectl/v1.33.1 (linux/amd64) kubernetes/8adc0f0":                                                            {tool: just("kubectl")},
		"kubectl/v1.33.1 (linux/amd64) kubernetes/8adc0f0/":                                                           {tool: just("kubectl"), extra: value{state: empty}},
		"manager/v0 (linux/amd64) kubernetes/0/acme-reconciler":                                                       {tool: just("manager"), extra: just("other")},
		"x/v0 (linux/amd64) kubernetes/0/system:serviceaccount:acme:robot":                                            {tool: just("other"), extra: just("serviceaccount")},
		"acme-deployer/v17": {tool: just("other")},
		"curl":              {tool: just("curl")},
		"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)": {tool: just("Mozilla")},
		"/usr/bin/thing": {tool: just("other")},
		"":               {},
		"   ":            {},
	} {
		if got := honestAgent(text); got != want {
			t.Errorf("%q: got %+v, want %+v", text, got, want)
		}
	}
}

func TestClasses(t *testing.T) {
	for _, c := range []struct {
		name string
		f    func(string) string
		want map[string]string
	}{
		{"bucket", bucket, map[string]string{
			"0": "0", "1": "1", "2": "2", "3": "3-4", "4": "3-4", "8": "5-8", "9": "9-16", "17": "17-64", "64": "17-64", "65": "65+",
			"1e999": "other", "-1": "other", "NaN": "other", "x": "other", "1e9": "65+", "-0.0": "0",
		}},
		{"lower", lower, map[string]string{
			"pods": "pods", "deletecollection": "deletecollection", "Pods": "other", "a b": "other", "-x": "other", strings.Repeat("a", 64): "other",
		}},
		{"camel", camel, map[string]string{
			"Pod": "Pod", "SuccessfulCreate": "SuccessfulCreate", "pod": "other", "": "other", "Web-zp0002": "other", "É": "other", strings.Repeat("A", 64): "other",
		}},
		{"group", groupClass, map[string]string{
			"": "core", "core": "core", "apps": "apps", "storage.k8s.io": "storage.k8s.io", "g-kd0045.example.org": "custom",
			"monitoring.coreos.com": "custom", "cluster.x-k8s.io": "custom", "A b": "other",
		}},
		{"version", versionClass, map[string]string{
			"v1": "v1", "v2beta1": "v2beta1", "v1alpha3": "v1alpha3", "__internal": "__internal",
			"v": "other", "1": "other", "v1beta": "other", "v1.34.4": "other", "vx": "other", "v1rc1": "other", "": "other",
		}},
		{"apiVersion", apiVersionClass, map[string]string{
			"v1": "v1", "apps/v1": "apps/v1", "g.example.org/v1": "custom", "g.example.org/x": "other", "/v1": "other",
			"meta.k8s.io/__internal": "meta.k8s.io/__internal", "apps/v1/x": "other", "nginx:1.27": "other",
		}},
		{"namespace", namespaceClass, map[string]string{"kube-system": "kube-system", "default": "default", "ns-br0001": "other"}},
		{"fieldPath", fieldPathClass, map[string]string{"spec.containers{nginx}": "spec.containers", "spec.containers": "spec.containers", "status{x}": "other"}},
		{"user", userClass, map[string]string{
			"alice": "person", "kubernetes-admin": "person", "system:node:node-1": "node", "system:apiserver": "apiserver",
			"system:kube-scheduler": "kube-scheduler", "system:anonymous": "anonymous", "system:acme": "system",
			"system:serviceaccount:kube-system:job-controller": "job-controller", "system:serviceaccount:kube-system:robot": "serviceaccount:kube-system",
			"system:serviceaccount:ns-1:job-controller": "serviceaccount", "system:serviceaccount:": "serviceaccount", "system:": "system",
			"system:kube-scheduler:x": "system",
		}},
		{"component", componentClass, map[string]string{"kubelet": "kubelet", "system:serviceaccount:ns-1:x": "serviceaccount", "admin": "other", "node-controller": "node-controller"}},
		{"manager", managerClass, map[string]string{"kubectl-create": "kubectl-create", "kubelet": "kubelet", "kubectl-acme": "other"}},
		{"type", typeClass, map[string]string{"Warning": "Warning", "kubernetes.io/tls": "kubernetes.io/tls", "acme/secret": "other"}},
		{"finalizer", finalizerClass, map[string]string{"orphan": "orphan", "acme.example.org/keep": "other"}},
		{"path", pathClass, map[string]string{
			"/": "/", "": "/", "/api": "/api", "/api/v1": "/api/version", "/apis": "/apis", "/apis/apps": "/apis/group", "/apis/apps/v1": "/apis/group/version",
			"/apis/apps/v1/x": "other", "/openapi/v3": "/openapi/v3", "/openapi/v3/apis/acme.example.org/v1": "/openapi/v3", "/openapi/v2": "/openapi/v2",
			"/openapi": "/openapi", "/openapi/v9": "other", "/readyz/etcd": "/readyz", "/readyz": "/readyz", "/version": "/version", "/acme/thing": "other",
			"/.well-known/openid-configuration": "/.well-known",
		}},
		{"selector", selectorClass, map[string]string{
			"metadata.name=web": "metadata.name", "spec.nodeName=node-1": "spec.nodeName",
			"status.phase!=Succeeded,status.phase!=Failed": "status.phase",
			"involvedObject.uid=1,involvedObject.name=x":   "involvedObject.name,involvedObject.uid", "spec.acme=1": "other", "": "other",
		}},
	} {
		for in, want := range c.want {
			if got := c.f(in); got != want {
				t.Errorf("%s(%q) = %q, want %q", c.name, in, got, want)
			}
		}
	}
}

func TestGroupSet(t *testing.T) {
	for _, c := range []struct {
		groups []string
		want   value
	}{
		{nil, value{}},
		{[]string{}, value{state: empty}},
		{[]string{"system:authenticated", "system:masters"}, just("masters+authenticated")},
		{[]string{"system:masters", "system:authenticated"}, just("masters+authenticated")}, // a set: order is nothing
		{[]string{"dev-team", "viewers", "system:authenticated"}, just("authenticated+other")},
		{
			[]string{"system:serviceaccounts", "system:serviceaccounts:ns-1", "system:authenticated"},
			just("serviceaccounts+authenticated"),
		},
		{
			[]string{"system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"},
			just("serviceaccounts+serviceaccounts:kube-system+authenticated"),
		},
	} {
		if got := groupSet(c.groups); got != c.want {
			t.Errorf("%q: got %+v, want %+v", c.groups, got, c.want)
		}
	}
}

func TestParseRequest(t *testing.T) {
	r := parseRequest("/api/v1/pods?allowWatchBookmarks=true&fieldSelector=spec.nodeName%3Dnode-1&resourceVersion=0&watch=1" +
		"&labelSelector=app%3Dx&limit=500&dryRun=All&force=&fieldManager=kubectl-create&propagationPolicy=Orphan&fieldValidation=acme")
	for _, c := range []struct {
		name      string
		got, want value
	}{
		{"watch", r.watch, just("true")},
		{"bookmarks", r.bookmarks, just("true")},
		{"fieldSelector", r.fieldSelector, just("spec.nodeName")},
		{"labelSelector", r.labelSelector, just("yes")},
		{"limit", r.limit, just("first")},
		{"resourceVersion", r.resourceVersion, just("0")},
		{"dryRun", r.dryRun, just("yes")},
		{"force", r.force, value{state: empty}},
		{"fieldManager", r.fieldManager, just("kubectl-create")},
		{"propagation", r.propagation, just("Orphan")},
		{"validation", r.validation, just("other")},
		{"follow", r.follow, value{}},
		{"continue after limit", parseRequest("/x?limit=5&continue=abc").limit, just("continued")},
		{"continue before limit", parseRequest("/x?continue=abc&limit=5").limit, just("continued")},
		{"bad escape", parseRequest("/x?fieldManager=%zz").fieldManager, just("other")},
		{"beyond the bound", parseRequest("/x?" + strings.Repeat("a=b&", maxQuery) + "watch=true").watch, value{}},
	} {
		if c.got != c.want {
			t.Errorf("%s: got %+v, want %+v", c.name, c.got, c.want)
		}
	}
}
