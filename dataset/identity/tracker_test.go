package identity

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"k8ntext/dataset/audit"
)

func TestOwnerChain(t *testing.T) {
	tr := NewTracker(Options{})
	deployment := tr.Observe(request("create", "apps/deployments", "shop/web", 201, object("web", "d1"))).Object
	set := tr.Observe(request("create", "apps/replicasets", "shop/web-6d5f", 201, object("web-6d5f", "r1", "apps/v1 Deployment web d1"))).Object
	pod := tr.Observe(request("create", "/pods", "shop/", 201, object("web-6d5f-x2k4z", "p1", "apps/v1 ReplicaSet web-6d5f r1"))).Object
	for name, id := range map[string]ID{"deployment": deployment, "replica set": set, "pod": pod} {
		if root := tr.Root(id); root != deployment {
			t.Errorf("the root of the %s is %d, want the deployment %d", name, root, deployment)
		}
	}
	if x := instance(t, tr, pod); x.ParentBy != Owner || x.Parent != set || x.Created != 2 {
		t.Errorf("pod: %+v", x)
	}
	event := tr.Observe(request("create", "/events", "shop/web-6d5f-x2k4z.17f", 201,
		`{"kind":"Event","metadata":{"name":"web-6d5f-x2k4z.17f","uid":"e1"},"involvedObject":{"kind":"Pod","namespace":"shop","name":"web-6d5f-x2k4z","uid":"p1"}}`))
	if diff := cmp.Diff([]Related{{Involved, pod}}, event.Related); diff != "" {
		t.Error(diff)
	}
	if tr.Root(event.Object) != deployment {
		t.Error("an event about the pod does not lead to the deployment")
	}
	binding := tr.Observe(request("create", "/pods/binding", "shop/web-6d5f-x2k4z", 201, `{"kind":"Status"}`))
	if binding.Object != pod {
		t.Error("the binding is not about the pod")
	}
}

// An object's owner may be older than the log.
func TestOwnerNotYetSeen(t *testing.T) {
	tr := NewTracker(Options{})
	pod := tr.Observe(request("get", "/pods", "shop/p", 200, object("p", "p1", "batch/v1 Job j j1"))).Object
	job := instance(t, tr, tr.Root(pod))
	if diff := cmp.Diff(Object{"batch", "jobs", "shop", "j", "j1"}, job.Object); diff != "" {
		t.Error(diff)
	}
	if got := tr.Observe(request("patch", "batch/jobs/status", "shop/j", 200, "")).Object; got != tr.Root(pod) {
		t.Error("the job that the pod named is not the job that is patched later")
	}
}

// At level Metadata only names tell.
func TestNamesAtMetadata(t *testing.T) {
	for _, c := range []struct{ maker, made string }{
		{"apps/deployments shop/web", "apps/replicasets shop/web-6d5f"},
		{"apps/replicasets shop/web-6d5f", "/pods shop/web-6d5f-x2k4z"},
		{"apps/statefulsets shop/db", "/pods shop/db-0"},
		{"batch/cronjobs shop/tick", "batch/jobs shop/tick-29000000"},
		{"apps/daemonsets shop/agent", "apps/controllerrevisions shop/agent-7f9c"},
		{"/services shop/web", "discovery.k8s.io/endpointslices shop/web-abcde"},
		{"/services shop/web", "/endpoints shop/web"},
		{"/pods shop/web-1", "/events shop/web-1.17f3a"},
		{"/nodes n1", "/events default/n1.17f3a"},
	} {
		tr := NewTracker(Options{})
		resource, name, _ := strings.Cut(c.maker, " ")
		maker := tr.Observe(request("get", resource, name, 200, "")).Object
		resource, name, _ = strings.Cut(c.made, " ")
		made := tr.Observe(request("patch", resource, name, 200, "")).Object
		if x := instance(t, tr, made); x.Parent != maker || x.ParentBy != Named {
			t.Errorf("%s: parent %d by %s, want %s", c.made, x.Parent, x.ParentBy, c.maker)
		}
		_, name, _ = strings.Cut(name, "/")
		elsewhere := tr.Observe(request("patch", resource, "elsewhere/"+name, 200, "")).Object
		if x := instance(t, tr, elsewhere); c.maker[:6] != "/nodes" && x.Parent != 0 {
			t.Errorf("%s has a parent in another namespace", c.made)
		}
	}
}

// A name is only a guess: it yields to an owner reference, and to a body that shows none.
func TestNameYieldsToBody(t *testing.T) {
	tr := NewTracker(Options{})
	guess := tr.Observe(request("get", "apps/replicasets", "shop/web", 200, "")).Object
	pod := tr.Observe(request("patch", "/pods", "shop/web-x2k4z", 200, "")).Object
	if x := instance(t, tr, pod); x.Parent != guess {
		t.Fatalf("no guess: %+v", x)
	}
	tr.Observe(request("get", "/pods", "shop/web-x2k4z", 200, object("web-x2k4z", "p1", "batch/v1 Job web j1")))
	if x := instance(t, tr, pod); x.ParentBy != Owner || instance(t, tr, x.Parent).Resource != "jobs" {
		t.Errorf("the owner reference did not win: %+v", x)
	}

	other := tr.Observe(request("patch", "/pods", "shop/web-abcde", 200, "")).Object
	tr.Observe(request("get", "/pods", "shop/web-abcde", 200, object("web-abcde", "p2")))
	if x := instance(t, tr, other); x.Parent != 0 || x.ParentBy != None {
		t.Errorf("a pod that has no owner keeps the guess: %+v", x)
	}
}

func TestLifeCycle(t *testing.T) {
	tr := NewTracker(Options{})
	look := func(code int) ID { return tr.Observe(request("get", "/pods", "shop/p", code, "")).Object }
	create := func(code int, body string) ID {
		return tr.Observe(request("create", "/pods", "shop/p", code, body)).Object
	}

	asked := look(404) // 0: kubectl apply asks first
	first := create(201, "")
	if asked != first {
		t.Error("what was asked for is not what was then created")
	}
	if again := create(409, ""); again != first {
		t.Error("a refused create made an instance")
	}
	dry := request("create", "/pods", "shop/p", 201, "")
	dry.RequestURI += "?fieldManager=x&dryRun=All"
	if tr.Observe(dry).Object != first {
		t.Error("a dry run made an instance")
	}
	if x := instance(t, tr, first); x.Created != 1 || x.Deleted != -1 {
		t.Errorf("created %d, deleted %d; want 1, -1", x.Created, x.Deleted)
	}
	tr.Observe(request("delete", "/pods", "shop/p", 403, ""))
	tr.Observe(request("create", "/pods/eviction", "shop/p", 201, "")) // 5
	tr.Observe(request("delete", "/pods", "shop/p", 200, ""))
	if x := instance(t, tr, first); x.Deleted != 5 {
		t.Errorf("deleted %d, want 5: the first that asked and was heard", x.Deleted)
	}
	if look(200) != first {
		t.Error("an object that is being deleted is still what its name means")
	}
	second := create(201, object("p", "u2"))
	if second == first {
		t.Error("created anew under the same name, but the same instance")
	}
	if look(200) != second {
		t.Error("the name does not mean the newer instance")
	}
	// Others may have replaced it unseen: the uid tells.
	if third := tr.Observe(request("get", "/pods", "shop/p", 200, object("p", "u3"))).Object; third == second {
		t.Error("another uid, but the same instance")
	}
	if old := tr.Observe(request("patch", "/pods/status", "shop/p", 200, object("p", "u2"))).Object; old != second {
		t.Error("the uid does not lead to the older instance")
	}
}

func TestDeleteCollection(t *testing.T) {
	tr := NewTracker(Options{})
	ids := make(map[string]ID)
	for _, n := range []string{"shop/a", "shop/b", "other/a"} {
		ids[n] = tr.Observe(request("create", "/pods", n, 201, "")).Object
	}
	selected := request("deletecollection", "/pods", "shop/", 200, "")
	selected.RequestURI = "/api/v1/namespaces/shop/pods?labelSelector=a%3Db"
	tr.Observe(selected)
	if x := instance(t, tr, ids["shop/a"]); x.Deleted != -1 {
		t.Error("a deletion of some of them marked one that may be another")
	}
	tr.Observe(request("deletecollection", "/pods", "shop/", 200, ""))
	for n, want := range map[string]int{"shop/a": 4, "shop/b": 4, "other/a": -1} {
		if x := instance(t, tr, ids[n]); x.Deleted != want {
			t.Errorf("%s: deleted %d, want %d", n, x.Deleted, want)
		}
	}
}

func TestNamespaceLifeCycle(t *testing.T) {
	tr := NewTracker(Options{})
	made := tr.Observe(request("create", "/namespaces", "shop", 201, object("shop", "n1"))).Object
	inside := tr.Observe(request("create", "/configmaps", "shop/c", 201, ""))
	if inside.Namespace != made {
		t.Error("an object is not in the namespace that was made for it")
	}
	gone := request("delete", "/namespaces", "shop", 200, object("shop", "n1"))
	gone.ObjectRef.Namespace = "shop" // as the API server writes it
	if tr.Observe(gone).Object != made {
		t.Error("the deleted namespace is another")
	}
	if x := instance(t, tr, tr.Observe(request("delete", "/configmaps", "shop/c", 200, "")).Namespace); x.Deleted != 2 {
		t.Errorf("the namespace's deletion was at %d, want 2", x.Deleted)
	}
	tr.Observe(request("create", "/namespaces", "shop", 201, object("shop", "n2")))
	if v := tr.Observe(request("create", "/configmaps", "shop/c", 201, "")); v.Namespace == made {
		t.Error("the namespace is still the deleted one")
	}
}

func TestGenerateNameRefused(t *testing.T) {
	tr := NewTracker(Options{})
	job := tr.Observe(request("create", "batch/jobs", "shop/j", 201, "")).Object
	e := request("create", "/pods", "shop/", 403, `{"kind":"Status"}`)
	e.RequestObject = []byte(`{"kind":"Pod","metadata":{"generateName":"j-"}}`)
	if diff := cmp.Diff([]Related{{Named, job}}, tr.Observe(e).Related); diff != "" {
		t.Error(diff)
	}
}

func TestCircleOfOwners(t *testing.T) {
	tr := NewTracker(Options{})
	a := tr.Observe(request("get", "apps/deployments", "shop/a", 200, object("a", "a1", "apps/v1 Deployment b b1"))).Object
	tr.Observe(request("get", "apps/deployments", "shop/b", 200, object("b", "b1", "apps/v1 Deployment a a1")))
	self := tr.Observe(request("get", "apps/deployments", "shop/s", 200, object("s", "s1", "apps/v1 Deployment s s1"))).Object
	if tr.Root(a) == 0 || tr.Root(self) != self {
		t.Error("no root")
	}
	if tr.Root(0) != 0 {
		t.Error("the root of nothing is something")
	}
}

func TestBoundedMemory(t *testing.T) {
	tr := NewTracker(Options{MaxObjects: 100})
	var first ID
	for i := range 10_000 {
		v := tr.Observe(request("create", "/pods", fmt.Sprintf("shop/p%d", i), 201, object(fmt.Sprintf("p%d", i), fmt.Sprintf("u%d", i), fmt.Sprintf("batch/v1 Job j%d k%d", i, i))))
		if i == 0 {
			first = v.Object
		}
		if tr.Len() > 100 || len(tr.byName) > 100 || len(tr.byUID) > 100 || tr.recent.Len() != tr.Len() {
			t.Fatalf("after %d events: %d instances, %d names, %d uids", i+1, tr.Len(), len(tr.byName), len(tr.byUID))
		}
		if _, ok := tr.Instance(v.Namespace); !ok {
			t.Fatal("the namespace in use was forgotten")
		}
	}
	if _, ok := tr.Instance(first); ok {
		t.Error("the first instance is still known")
	}
}

// Whatever order requests come in, ids lead to instances, and the same log gives the same answers.
func TestObserveProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SampledFrom([]string{"a", "a-b", "a-b-c", "a.1"})
		resources := rapid.SampledFrom([]string{"/pods", "apps/replicasets", "apps/deployments", "/events", "/namespaces", "/pods/eviction", "batch/jobs"})
		verbs := rapid.SampledFrom([]string{"create", "delete", "deletecollection", "get", "patch", "list"})
		codes := rapid.SampledFrom([]int{200, 201, 404, 409})
		uids := rapid.SampledFrom([]string{"", "1", "2", "3"})
		one, two := NewTracker(Options{MaxObjects: 64}), NewTracker(Options{MaxObjects: 64})
		var last ID
		for range rapid.IntRange(1, 60).Draw(t, "events") {
			name := names.Draw(t, "name")
			body := object(name, uids.Draw(t, "uid"), "apps/v1 ReplicaSet "+names.Draw(t, "owner")+" "+uids.Draw(t, "owner uid"))
			e := request(verbs.Draw(t, "verb"), resources.Draw(t, "resource"), "ns/"+name, codes.Draw(t, "code"), body)
			v := one.Observe(e)
			if diff := cmp.Diff(v, two.Observe(e)); diff != "" {
				t.Fatal(diff)
			}
			ids := []ID{v.Object, v.Namespace}
			for _, r := range v.Related {
				ids = append(ids, r.ID)
			}
			for _, id := range ids {
				x, ok := one.Instance(id)
				if id != 0 && !ok {
					t.Fatalf("id %d of the view is unknown", id)
				}
				if _, ok := one.Instance(one.Root(id)); ok != (id != 0) {
					t.Fatalf("the root of %d is unknown", id)
				}
				if ok && x.Created >= 0 && x.Deleted >= 0 && x.Deleted < x.Created {
					t.Fatalf("deleted before it was created: %+v", x)
				}
				last = max(last, id)
			}
			if last > one.last {
				t.Fatal("an id above the last one given")
			}
		}
	})
}

func instance(t *testing.T, tr *Tracker, id ID) Instance {
	t.Helper()
	x, ok := tr.Instance(id)
	if !ok {
		t.Fatalf("instance %d is unknown", id)
	}
	return x
}

// request is an answered event about group/resource/subresource namespace/name.
func request(verb, resource, name string, code int, response string) *audit.Event {
	parts := strings.Split(resource, "/")
	ref := &audit.ObjectRef{APIGroup: parts[0], APIVersion: "v1", Resource: parts[1], Name: name}
	if len(parts) == 3 {
		ref.Subresource = parts[2]
	}
	if namespace, n, ok := strings.Cut(name, "/"); ok {
		ref.Namespace, ref.Name = namespace, n
	}
	return &audit.Event{
		Verb: verb, RequestURI: "/api", ObjectRef: ref, ResponseStatus: &audit.ResponseStatus{Code: code}, ResponseObject: []byte(response),
	}
}

// object is a body with owners told as "apiVersion kind name uid"; the first is the controller.
func object(name, uid string, owners ...string) string {
	var refs []string
	for i, o := range owners {
		f := strings.SplitN(o, " ", 4)
		refs = append(refs, fmt.Sprintf(`{"apiVersion":%q,"kind":%q,"name":%q,"uid":%q,"controller":%v}`, f[0], f[1], f[2], f[3], i == 0))
	}
	return fmt.Sprintf(`{"kind":"X","metadata":{"name":%q,"uid":%q,"ownerReferences":[%s]}}`, name, uid, strings.Join(refs, ","))
}

// A namespace that is being deleted is still the same one when its uid is first seen, as in the
// namespace controller's last requests at level Metadata; made anew, it is another.
func TestUIDLearntAfterDeletion(t *testing.T) {
	tr := NewTracker(Options{})
	made := tr.Observe(request("create", "/namespaces", "/shop", 201, "")).Object
	tr.Observe(request("delete", "/namespaces", "/shop", 200, ""))
	finalize := request("update", "/namespaces/finalize", "/shop", 200, "")
	finalize.ObjectRef.UID = "n1"
	if got := tr.Observe(finalize).Object; got != made {
		t.Errorf("the namespace that goes is %d, the one that was made %d", got, made)
	}
	again := tr.Observe(request("create", "/namespaces", "/shop", 201, "")).Object
	if again == made {
		t.Error("a namespace made anew is the old one")
	}
	if got := tr.Observe(finalize).Object; got != made {
		t.Errorf("by its uid the old namespace is %d, want %d", got, made)
	}
}

// Overlaid logs share the namespaces that every cluster has, and nothing else, whatever the names and uids.
func TestSourcesAreApart(t *testing.T) {
	tr := NewTracker(Options{})
	observe := func(source uint32, verb, resource, name string) View {
		e := request(verb, resource, name, 200, object("web-1", "u-"+name, "apps/v1 ReplicaSet web r-"+name))
		e.Source = source
		return tr.Observe(e)
	}
	for _, c := range []struct {
		name     string
		together bool // in one namespace
	}{{"shop/web-1", false}, {"default/web-1", true}, {"kube-system/web-1", true}} {
		one, two, again := observe(1, "get", "/pods", c.name), observe(2, "get", "/pods", c.name), observe(1, "get", "/pods", c.name)
		if one.Object == two.Object || one.Related[0].ID == two.Related[0].ID || one.Object != again.Object || one.Related[0] != again.Related[0] {
			t.Errorf("%s: sources 1, 2 and 1 speak of %v, %v and %v", c.name, one, two, again)
		}
		if (one.Namespace == two.Namespace) != c.together {
			t.Errorf("%s: namespaces %d and %d", c.name, one.Namespace, two.Namespace)
		}
	}
	if one, two := observe(1, "get", "/namespaces", "/shop").Object, observe(2, "get", "/namespaces", "/shop").Object; one == two {
		t.Error("two logs have one namespace shop")
	}
	mine, other := observe(1, "get", "/pods", "default/web-1").Object, observe(2, "get", "/pods", "default/web-1").Object
	observe(1, "deletecollection", "/pods", "default/")
	if instance(t, tr, mine).Deleted < 0 || instance(t, tr, other).Deleted >= 0 {
		t.Errorf("deleting the pods of one log in a shared namespace: %+v and %+v", instance(t, tr, mine), instance(t, tr, other))
	}
}

func TestChanged(t *testing.T) {
	for _, c := range []struct {
		verb string
		code int
		uri  string
		want bool
	}{
		{"create", 201, "", true},
		{"patch", 200, "", true},
		{"deletecollection", 200, "", true},
		{"get", 200, "", false},
		{"watch", 200, "", false},
		{"create", 409, "", false},
		{"create", 201, "/x?dryRun=All", false},
	} {
		e := request(c.verb, "/pods", "shop/p", c.code, "")
		if c.uri != "" {
			e.RequestURI = c.uri
		}
		if got := NewTracker(Options{}).Observe(e).Changed; got != c.want {
			t.Errorf("%s %d %s: changed %t", c.verb, c.code, c.uri, got)
		}
	}
}
