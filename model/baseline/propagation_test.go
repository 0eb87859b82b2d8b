package baseline

import (
	"context"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"k8ntext/dataset"
	"k8ntext/dataset/audit"
	"k8ntext/dataset/label"
)

// TestPropagation reads logs written as one request a line:
//
//	user verb resource[/subresource][.group] namespace/name [owner=Kind/name] [code=N] -> want
//
// where want is the label, as the verb and resource of the request whose own label it is.
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
	} {
		t.Run(test.name, func(t *testing.T) {
			corpus := &dataset.Corpus{}
			kinds := make(map[string]label.Label) // of verb and resource
			number := func(kind string) label.Label {
				if _, ok := kinds[kind]; !ok {
					kinds[kind] = label.Label(16 * (len(kinds) + 1))
				}
				return kinds[kind]
			}
			names := func(labels []label.Label) []string {
				out := make([]string, len(labels))
				for i, l := range labels {
					for kind, n := range kinds {
						if n == l {
							out[i] = kind
						}
					}
				}
				return out
			}
			var events []int32
			var want []string
			for line := range strings.Lines(strings.TrimSpace(test.log)) {
				request, wanted, _ := strings.Cut(line, "->")
				e, kind := parseEvent(t, strings.Fields(request))
				events = append(events, int32(len(events)))
				want = append(want, strings.TrimSpace(wanted))
				number(strings.TrimSpace(wanted))
				corpus.Events = append(corpus.Events, e)
				corpus.Own = append(corpus.Own, number(kind))
			}
			p, err := propagation{}.Fit(context.Background(), Data{Corpus: corpus})
			if err != nil {
				t.Fatal(err)
			}
			got, err := p.Predict(context.Background(), events)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, names(got)); diff != "" {
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

func parseEvent(t *testing.T, fields []string) (*audit.Event, string) {
	t.Helper()
	user, verb, resource := fields[0], fields[1], fields[2]
	e := &audit.Event{Verb: verb, User: audit.User{Username: user}, ResponseStatus: &audit.ResponseStatus{Code: 200}}
	if user == "system" {
		e.User.Username = "system:serviceaccount:kube-system:some-controller"
	}
	if resource == "-" {
		return e, verb + " " + resource
	}
	ref := &audit.ObjectRef{}
	ref.Resource, ref.APIGroup, _ = strings.Cut(resource, ".")
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
	return e, verb + " " + resource
}
