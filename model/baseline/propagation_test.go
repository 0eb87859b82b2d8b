package baseline

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"k8ntext/dataset"
	"k8ntext/dataset/audit"
	"k8ntext/dataset/label"
)

// TestPropagation reads logs written as one request a line:
//
//	user verb resource[.group][/subresource] namespace/name [owner=Kind/name] [code=N] [after=duration] -> want
//
// where want is the label, as the verb and resource of the request whose own label it is. Without after
// a request comes two seconds after the one before.
func TestPropagation(t *testing.T) {
	for _, test := range []struct{ name, log string }{
		{"a change reaches what the object owns", `
			alice  create deployments.apps shop/web                          -> create deployments.apps
			system create replicasets.apps shop/web-1 owner=Deployment/web   -> create deployments.apps
			system create pods             shop/web-1-a owner=ReplicaSet/web-1 -> create deployments.apps
			alice  patch  deployments.apps shop/web                          -> patch deployments.apps
			system delete pods             shop/web-1-a owner=ReplicaSet/web-1 -> patch deployments.apps
		`},
		{"deleting a pod causes its successor", `
			alice  create deployments.apps shop/web                          -> create deployments.apps
			system create replicasets.apps shop/web-1 owner=Deployment/web   -> create deployments.apps
			system create pods             shop/web-1-a owner=ReplicaSet/web-1 -> create deployments.apps
			bob    delete pods             shop/web-1-a                      -> delete pods
			system create pods             shop/web-1-b owner=ReplicaSet/web-1 -> delete pods
		`},
		{"two trees in one namespace", `
			alice  create deployments.apps shop/web                          -> create deployments.apps
			bob    create jobs.batch       shop/once                         -> create jobs.batch
			system create replicasets.apps shop/web-1 owner=Deployment/web   -> create deployments.apps
			system create pods             shop/once-x owner=Job/once        -> create jobs.batch
		`},
		{"an object of its own goes to the latest change in the namespace", `
			alice  create namespaces       /shop                             -> create namespaces
			system create serviceaccounts  shop/default                      -> create namespaces
			alice  create deployments.apps shop/web                          -> create deployments.apps
			system list   limitranges      shop/                             -> create deployments.apps
			system list   limitranges      other/                            -> list limitranges
		`},
		{"deleting the namespace takes all", `
			alice  create deployments.apps shop/web                          -> create deployments.apps
			alice  delete namespaces       /shop                             -> delete namespaces
			system delete deployments.apps shop/web                          -> delete namespaces
		`},
		{"reading and failing change nothing", `
			alice  get    deployments.apps shop/web                          -> get deployments.apps
			alice  create deployments.apps shop/web code=409                 -> create deployments.apps
			system update deployments.apps shop/web                          -> update deployments.apps
		`},
		{"no cause is its own", `
			system update nodes            /node-1                           -> update nodes
			system get    -                                                  -> get -
		`},
		{"what is read just before a change is part of it", `
			alice  get    -                                                  -> patch deployments.apps
			alice  get    deployments.apps shop/web after=100ms              -> patch deployments.apps
			alice  patch  deployments.apps shop/web after=100ms              -> patch deployments.apps
			alice  get    deployments.apps shop/web                          -> get deployments.apps
			bob    patch  deployments.apps shop/web after=100ms              -> patch deployments.apps
		`},
		{"describing lists events", `
			alice  get    pods             shop/web                          -> get pods
			alice  list   events           shop/ after=50ms                  -> get pods
			alice  list   events           shop/                             -> list events
		`},
		{"endpoints go where the pods behind them go", `
			alice  create services         shop/web                          -> create services
			system create endpoints        shop/web                          -> create services
			alice  create deployments.apps shop/web                          -> create deployments.apps
			system create replicasets.apps shop/web-1 owner=Deployment/web   -> create deployments.apps
			system create pods             shop/web-1-a owner=ReplicaSet/web-1 -> create deployments.apps
			system update endpoints        shop/web                          -> create deployments.apps
			alice  delete services         shop/web                          -> delete services
			system delete endpoints        shop/web                          -> delete services
		`},
		{"a drain cordons and evicts", `
			alice  create pods             shop/web                          -> create pods
			alice  patch  nodes            /node-1                           -> patch nodes
			alice  create pods/eviction    shop/web after=100ms              -> create pods/eviction
			system delete pods             shop/web                          -> patch nodes
		`},
		{"watches and heartbeats are their own", `
			alice  create configmaps       kube-system/x                     -> create configmaps
			system watch  configmaps       kube-system/x                     -> watch configmaps
			system list   limitranges      kube-system/                      -> create configmaps
			kcm    update leases.coordination.k8s.io kube-system/kube-controller-manager -> update leases.coordination.k8s.io
		`},
	} {
		t.Run(test.name, func(t *testing.T) {
			corpus := &dataset.Corpus{Space: label.Default()}
			own := make(map[string]label.Label) // of verb and resource
			var events []int32
			var kinds []string // wanted
			at := time.Unix(1700000000, 0)
			for line := range strings.Lines(strings.TrimSpace(test.log)) {
				request, wanted, _ := strings.Cut(line, "->")
				e, kind, after := parseEvent(t, strings.Fields(request))
				at = at.Add(after)
				e.RequestReceived = at
				events = append(events, int32(len(events)))
				corpus.Events = append(corpus.Events, e)
				corpus.Own = append(corpus.Own, corpus.Space.Own(e))
				own[kind] = corpus.Space.Own(e)
				kinds = append(kinds, strings.TrimSpace(wanted))
			}
			names := func(labels []label.Label) []string {
				var out []string
				for _, l := range labels {
					out = append(out, corpus.Space.Describe(l))
				}
				return out
			}
			var want []label.Label
			for _, kind := range kinds {
				if _, ok := own[kind]; !ok {
					t.Fatalf("nobody asks for %q", kind)
				}
				want = append(want, own[kind])
			}
			p, err := propagation{}.Fit(context.Background(), Data{Corpus: corpus})
			if err != nil {
				t.Fatal(err)
			}
			got, err := p.Predict(context.Background(), events)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(names(want), names(got)); diff != "" {
				t.Errorf("labels (-want +got):\n%s", diff)
			}

			// Asked about the end alone, it knows nothing of the beginning.
			last := events[len(events)-1:]
			got, err = p.Predict(context.Background(), last)
			if err != nil {
				t.Fatal(err)
			}
			if got[0] != corpus.Own[last[0]] {
				t.Errorf("the last event alone is %v, want its own label", names(got))
			}
		})
	}
}

// parseEvent returns also verb and resource, and how long after the event before it comes.
func parseEvent(t *testing.T, fields []string) (*audit.Event, string, time.Duration) {
	t.Helper()
	user, verb, resource := fields[0], fields[1], fields[2]
	e := &audit.Event{Verb: verb, User: audit.User{Username: user}, ResponseStatus: &audit.ResponseStatus{Code: 200}}
	after := 2 * time.Second
	switch user {
	case "system":
		e.User.Username = "system:serviceaccount:kube-system:some-controller"
	case "kcm":
		e.User.Username = "system:kube-controller-manager"
	}
	if resource == "-" {
		return e, verb + " " + resource, after
	}
	ref := &audit.ObjectRef{}
	kind, subresource, _ := strings.Cut(resource, "/")
	ref.Subresource = subresource
	ref.Resource, ref.APIGroup, _ = strings.Cut(kind, ".")
	ref.Namespace, ref.Name, _ = strings.Cut(fields[3], "/")
	if ref.Resource == "namespaces" {
		ref.Namespace = ref.Name
	}
	e.ObjectRef = ref
	if verb == "create" {
		e.ResponseStatus.Code = 201
	}
	for _, f := range fields[4:] {
		key, value, _ := strings.Cut(f, "=")
		switch key {
		case "owner":
			kind, name, _ := strings.Cut(value, "/")
			group := map[string]string{"Deployment": "apps/v1", "ReplicaSet": "apps/v1", "Job": "batch/v1"}[kind]
			e.RequestObject = []byte(`{"metadata":{"name":"` + ref.Name + `","ownerReferences":[{"apiVersion":"` + group +
				`","kind":"` + kind + `","name":"` + name + `","controller":true}]}}`)
		case "after":
			d, err := time.ParseDuration(value)
			if err != nil {
				t.Fatal(err)
			}
			after = d
		case "code":
			code, err := strconv.Atoi(value)
			if err != nil {
				t.Fatal(err)
			}
			e.ResponseStatus.Code = code
		default:
			t.Fatalf("unknown field %q", f)
		}
	}
	return e, verb + " " + resource, after
}
