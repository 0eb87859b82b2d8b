package identity

import (
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"k8ntext/dataset/audit"
)

func TestExtract(t *testing.T) {
	pod := audit.ObjectRef{APIVersion: "v1", Resource: "pods", Namespace: "shop", Name: "web-6d5f-x2k4z"}
	podObject := Object{Resource: "pods", Namespace: "shop", Name: "web-6d5f-x2k4z"}
	withUID := func(o Object, uid string) Object { o.UID = uid; return o }
	for _, c := range []struct {
		what              string
		verb              string
		ref               *audit.ObjectRef
		request, response string
		want              Facts
	}{
		{"a non-resource request", "get", nil, ``, `{"metadata":{"name":"x","uid":"u"}}`, Facts{}},
		{"level Metadata", "patch", &pod, ``, ``, Facts{Object: podObject}},
		{
			"the labeller's group", "get",
			&audit.ObjectRef{APIGroup: "core", Resource: "pods", Namespace: "shop", Name: "web-6d5f-x2k4z"},
			``, ``,
			Facts{Object: podObject},
		},
		{
			"a namespace is not in itself", "get", &audit.ObjectRef{Resource: "namespaces", Namespace: "shop", Name: "shop"}, ``,
			`{"kind":"Namespace","metadata":{"name":"shop","uid":"n1"}}`,
			Facts{Object: Object{Resource: "namespaces", Name: "shop", UID: "n1"}, Shown: true},
		},
		{
			"generateName, answered", "create", &audit.ObjectRef{Resource: "pods", Namespace: "shop"},
			`{"kind":"Pod","metadata":{"generateName":"web-6d5f-","ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"web-6d5f","uid":"r1","controller":true}]}}`,
			`{"kind":"Pod","metadata":{"name":"web-6d5f-x2k4z","generateName":"web-6d5f-","uid":"p1","ownerReferences":[{"apiVersion":"v1","kind":"Node","name":"n","uid":"o2"},{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"web-6d5f","uid":"r1","controller":true}]}}`,
			Facts{Object: withUID(podObject, "p1"), GenerateName: "web-6d5f-", Shown: true, Links: []Link{
				{Owner, Object{"apps", "replicasets", "shop", "web-6d5f", "r1"}},
				{Owner, Object{"", "nodes", "", "n", "o2"}},
			}},
		},
		{
			"generateName, refused", "create", &audit.ObjectRef{Resource: "pods", Namespace: "shop"},
			`{"kind":"Pod","metadata":{"generateName":"web-6d5f-","ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"web-6d5f","uid":"r1","controller":true}]}}`,
			`{"kind":"Status","metadata":{},"status":"Failure","message":"exceeded quota"}`,
			Facts{Object: Object{Resource: "pods", Namespace: "shop"}, GenerateName: "web-6d5f-", Links: []Link{
				{Owner, Object{"apps", "replicasets", "shop", "web-6d5f", "r1"}},
			}},
		},
		{
			"a deletion's answer", "delete", &pod, `{"kind":"DeleteOptions","preconditions":{"uid":"p0"}}`,
			`{"kind":"Status","details":{"name":"web-6d5f-x2k4z","kind":"pods","uid":"p1"}}`,
			Facts{Object: withUID(podObject, "p1")},
		},
		{
			"preconditions", "delete", &pod, `{"kind":"DeleteOptions","preconditions":{"uid":"p0"}}`, ``, Facts{Object: withUID(podObject, "p0")},
		},
		{
			"the uid of the objectRef", "update", &audit.ObjectRef{Resource: "pods", Namespace: "shop", Name: "web-6d5f-x2k4z", UID: "p1"}, ``, ``,
			Facts{Object: withUID(podObject, "p1")},
		},
		{
			"a binding", "create",
			&audit.ObjectRef{Resource: "pods", Subresource: "binding", Namespace: "shop", Name: "web-6d5f-x2k4z"},
			`{"kind":"Binding","metadata":{"name":"web-6d5f-x2k4z","uid":"p1"},"target":{"kind":"Node","name":"node-1"}}`, `{"kind":"Status","status":"Success"}`,
			Facts{Object: withUID(podObject, "p1"), Links: []Link{{Bound, Object{Resource: "nodes", Name: "node-1"}}}},
		},
		{
			"a pod's token", "create",
			&audit.ObjectRef{Resource: "serviceaccounts", Subresource: "token", Namespace: "shop", Name: "default"},
			`{"kind":"TokenRequest","spec":{"boundObjectRef":{"kind":"Pod","apiVersion":"v1","name":"web-6d5f-x2k4z","uid":"p1"}}}`, ``,
			Facts{
				Object: Object{Resource: "serviceaccounts", Namespace: "shop", Name: "default"},
				Links:  []Link{{Bound, withUID(podObject, "p1")}},
			},
		},
		{
			"a core event", "create", &audit.ObjectRef{Resource: "events", Namespace: "shop", Name: "web.17f"}, ``,
			`{"kind":"Event","metadata":{"name":"web.17f","uid":"e1"},"involvedObject":{"kind":"Deployment","apiVersion":"apps/v1","namespace":"shop","name":"web","uid":"d1"}}`,
			Facts{
				Object: Object{Resource: "events", Namespace: "shop", Name: "web.17f", UID: "e1"}, Shown: true,
				Links: []Link{{Involved, Object{"apps", "deployments", "shop", "web", "d1"}}},
			},
		},
		{
			"an event of events.k8s.io about a node", "create", &audit.ObjectRef{APIGroup: "events.k8s.io", Resource: "events", Namespace: "default", Name: "n.17f"},
			`{"kind":"Event","metadata":{"name":"n.17f"},"regarding":{"kind":"Node","namespace":"default","name":"n"}}`, ``,
			Facts{
				Object: Object{Group: "events.k8s.io", Resource: "events", Namespace: "default", Name: "n.17f"},
				Links:  []Link{{Involved, Object{Resource: "nodes", Name: "n"}}},
			},
		},
		{
			"a volume", "update", &audit.ObjectRef{Resource: "persistentvolumes", Name: "pv"}, ``,
			`{"kind":"PersistentVolume","metadata":{"name":"pv","uid":"v1"},"spec":{"claimRef":{"kind":"PersistentVolumeClaim","namespace":"shop","name":"data","uid":"c1"}}}`,
			Facts{
				Object: Object{Resource: "persistentvolumes", Name: "pv", UID: "v1"}, Shown: true,
				Links: []Link{{Claim, Object{"", "persistentvolumeclaims", "shop", "data", "c1"}}},
			},
		},
		{
			"a claim", "update", &audit.ObjectRef{Resource: "persistentvolumeclaims", Namespace: "shop", Name: "data"}, ``,
			`{"kind":"PersistentVolumeClaim","metadata":{"name":"data","uid":"c1"},"spec":{"volumeName":"pv"}}`,
			Facts{
				Object: Object{"", "persistentvolumeclaims", "shop", "data", "c1"}, Shown: true,
				Links: []Link{{Claim, Object{Resource: "persistentvolumes", Name: "pv"}}},
			},
		},
		{
			"a scale shows the uid, but not the owners", "patch",
			&audit.ObjectRef{APIGroup: "apps", Resource: "deployments", Subresource: "scale", Namespace: "shop", Name: "web"}, ``,
			`{"kind":"Scale","metadata":{"name":"web","uid":"d1"}}`,
			Facts{Object: Object{"apps", "deployments", "shop", "web", "d1"}},
		},
		{"another object's uid", "get", &pod, ``, `{"kind":"Pod","metadata":{"name":"other","uid":"p9"}}`, Facts{Object: podObject}},
		{"the answer to a list", "list", &audit.ObjectRef{Resource: "pods", Namespace: "shop"}, ``, `{"kind":"PodList","metadata":{"name":"x","uid":"u"}}`, Facts{Object: Object{Resource: "pods", Namespace: "shop"}}},
		{"a body cut short", "get", &pod, ``, `{"kind":"Pod","metadata":{"name":"web-6d5f-x2k4z","uid":"p1","owner`, Facts{Object: withUID(podObject, "p1"), Shown: true}},
		{"bodies of other types", "get", &pod, `"text"`, `[1]`, Facts{Object: podObject}},
		{"metadata of another type", "get", &pod, ``, `{"kind":"Pod","metadata":"none"}`, Facts{Object: podObject}},
		{"a spec of another type", "get", &audit.ObjectRef{Resource: "persistentvolumes", Name: "pv"}, ``, `{"kind":"PersistentVolume","metadata":{"name":"pv","uid":"v1"},"spec":[1]}`, Facts{Object: Object{Resource: "persistentvolumes", Name: "pv", UID: "v1"}, Shown: true}},
		{"an owner without a name", "get", &pod, ``, `{"kind":"Pod","metadata":{"name":"web-6d5f-x2k4z","uid":"p1","ownerReferences":[{"uid":"r1"}]}}`, Facts{Object: withUID(podObject, "p1"), Shown: true}},
	} {
		got := Extract(&audit.Event{Verb: c.verb, ObjectRef: c.ref, RequestObject: []byte(c.request), ResponseObject: []byte(c.response)})
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.what, diff)
		}
	}
}

func TestExtractIsBounded(t *testing.T) {
	long := string(make([]byte, maxName+1))
	for _, ref := range []audit.ObjectRef{{Resource: "pods", Name: long}, {Resource: long}, {Resource: "pods", Name: "x", UID: long}} {
		if got := Extract(&audit.Event{Verb: "get", ObjectRef: &ref}); got.Object != (Object{}) {
			t.Errorf("a text of %d bytes was taken for part of a name", len(long))
		}
	}
	owners := `{"kind":"ReplicaSet","apiVersion":"apps/v1","name":"r","uid":"u"}`
	body := `{"kind":"Pod","metadata":{"name":"x","ownerReferences":[` + owners
	for range 100 {
		body += "," + owners
	}
	got := Extract(&audit.Event{Verb: "get", ObjectRef: &audit.ObjectRef{Resource: "pods", Name: "x"}, ResponseObject: []byte(body + "]}}")})
	if len(got.Links) != maxLinks {
		t.Errorf("%d links, want %d", len(got.Links), maxLinks)
	}
}

func TestResourceOf(t *testing.T) {
	for kind, want := range map[string]string{
		"Pod": "pods", "NetworkPolicy": "networkpolicies", "Ingress": "ingresses", "Endpoints": "endpoints", "IngressClass": "ingressclasses", "": "",
	} {
		if got := resourceOf(kind); got != want {
			t.Errorf("%s is %s, want %s", kind, got, want)
		}
	}
}

// FuzzExtract: no body is a panic, and nothing that is kept is longer than a name may be.
func FuzzExtract(f *testing.F) {
	f.Add("create", "pods", `{"kind":"Pod","metadata":{"generateName":"a-"}}`, `{"kind":"Pod","metadata":{"name":"a-1","uid":"u","ownerReferences":[{"kind":"ReplicaSet","name":"a","uid":"r"}]}}`)
	f.Add("create", "serviceaccounts", `{"kind":"TokenRequest","spec":{"boundObjectRef":{"kind":"Pod","name":"p"}}}`, `{"kind":"Status","details":{"name":"x","uid":"u"}}`)
	f.Add("get", "events", `null`, `{"kind":"Event","involvedObject":{"kind":"Node","name":1}}`)
	f.Add("get", "pods", "{\"metadata\":{\"name\":\"\xff\"", `{"metadata":{"metadata":{}},"metadata":3}`)
	f.Add("get", "pods", `{"k\u0069nd":"Pod","metadata":{"name":"a\"b","name":"c","n\u0061me":"d"},"spec":{"x":"\\\\"}}`, `{"metadata":{"name":"x"},"metadata":{"uid":null,"ownerReferences":[{"name":"a","uid":"b"}],"ownerReferences":[{"kind":"c"}]},"kind":""}`)
	f.Add("get", "pods", `{"metadata":{"managedFields":[{"f:metadata":{"f:labels":{".":{},"f:\"}":{}}}}],"uid":"u"},"kind":"Pod"}`, ` { "kind" : "Pod" , "metadata" : { "name" : "x" } } `)
	f.Fuzz(func(t *testing.T, verb, resource, request, response string) {
		e := &audit.Event{Verb: verb, ObjectRef: &audit.ObjectRef{Resource: resource, Name: "x"}, RequestObject: []byte(request), ResponseObject: []byte(response)}
		facts := Extract(e)
		if tooLong(facts.Object) || len(facts.Links) > maxLinks {
			t.Errorf("facts beyond their bounds: %+v", facts)
		}
		for _, l := range facts.Links {
			if tooLong(l.To) || l.To.Name == "" || l.To.Resource == "" {
				t.Errorf("link %+v", l)
			}
		}
		for _, v := range []jsontext.Value{e.RequestObject, e.ResponseObject} {
			valid := v.IsValid(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
			if quick, slow := readBody(v), decodeBody(v); valid && !cmp.Equal(quick, slow) {
				t.Errorf("%s reads %+v, decodes %+v", v, quick, slow)
			}
		}
		tracker := NewTracker(Options{})
		if a, b := tracker.Observe(e), NewTracker(Options{}).Observe(e); !cmp.Equal(a, b) {
			t.Errorf("two trackers disagree: %+v, %+v", a, b)
		}
	})
}
