package feature

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"k8ntext/dataset/audit"
	"k8ntext/dataset/identity"
)

// scene writes logs of small stories. All that only one cluster has goes through rename.
type scene struct {
	events []*audit.Event
	at     time.Time
	rename func(kind, text string) string
}

const (
	deploymentController = "system:serviceaccount:kube-system:deployment-controller"
	replicaController    = "system:serviceaccount:kube-system:replicaset-controller"
	namespaceController  = "system:serviceaccount:kube-system:namespace-controller"
)

func newScene() *scene {
	return &scene{at: time.Unix(1700000000, 0).UTC(), rename: func(_, text string) string { return text }}
}

// ask adds a request; what is "resource/subresource" with the group in front, as "apps/deployments".
func (s *scene) ask(user, verb, group, what, namespace, name string) *audit.Event {
	resource, sub, _ := strings.Cut(what, "/")
	e := &audit.Event{
		Level: "RequestResponse", Verb: verb, User: audit.User{Username: user}, RequestReceived: s.at,
		ResponseStatus: &audit.ResponseStatus{Code: 200},
	}
	if !strings.HasPrefix(user, "system:") {
		e.User.Username = s.rename("user", user)
		e.SourceIPs = []string{s.rename("address", "10.0.0.1")}
	}
	if resource != "" {
		e.ObjectRef = &audit.ObjectRef{APIGroup: group, Resource: resource, Subresource: sub}
		if namespace != "" {
			e.ObjectRef.Namespace = namespace
			if !strings.HasPrefix(namespace, "kube-") { // else a name that every cluster has
				e.ObjectRef.Namespace = s.rename("namespace", namespace)
			}
		}
		if name != "" {
			e.ObjectRef.Name = s.rename("name", name)
		}
		if resource == "namespaces" {
			e.ObjectRef.Name = s.rename("namespace", name)
		}
	}
	s.events = append(s.events, e)
	return e
}

// answer gives the last request an answer that shows the object, with an owner if there is one.
func (s *scene) answer(uid, ownerKind, ownerName, ownerUID string) {
	e := s.events[len(s.events)-1]
	body := fmt.Sprintf(`{"kind":"X","metadata":{"name":%q,"uid":%q`, e.ObjectRef.Name, s.rename("uid", uid))
	if ownerKind != "" {
		body += fmt.Sprintf(`,"ownerReferences":[{"apiVersion":"apps/v1","kind":%q,"name":%q,"uid":%q,"controller":true}]`,
			ownerKind, s.rename("name", ownerName), s.rename("uid", ownerUID))
	}
	e.ResponseObject = jsontext.Value(body + "}}")
}

// deployment is what creating one leaves: the request, the replica set and a pod.
func (s *scene) deployment(user, namespace, name string) {
	s.ask(user, "create", "apps", "deployments", namespace, name)
	s.answer("u-"+namespace+name, "", "", "")
	s.pass(30 * time.Millisecond)
	s.ask(deploymentController, "create", "apps", "replicasets", namespace, name+"-5d")
	s.answer("r-"+namespace+name, "Deployment", name, "u-"+namespace+name)
	s.pass(30 * time.Millisecond)
	s.ask(replicaController, "create", "", "pods", namespace, name+"-5d-x")
	s.answer("p-"+namespace+name, "ReplicaSet", name+"-5d", "r-"+namespace+name)
}

func (s *scene) pass(d time.Duration) { s.at = s.at.Add(d) }

// values is the value of a field in each event of one log.
func values(events []*audit.Event, path string) []string {
	e := Fit(Linked(), events)
	f := slices.IndexFunc(e.profile.fields, func(f Field) bool { return f.Path == path })
	m := e.Matrix(events)
	var out []string
	for i := range events {
		out = append(out, e.Decode(f, m.Row(i)[f]))
	}
	return out
}

func expect(t *testing.T, events []*audit.Event, path, want string) {
	t.Helper()
	if got := strings.Join(values(events, path), " "); got != want {
		t.Errorf("%s:\n got %s\nwant %s", path, got, want)
	}
}

func TestLinkedFollowsOwners(t *testing.T) {
	s := newScene()
	s.ask("alice", "create", "", "namespaces", "", "shop")
	s.deployment("alice", "shop", "web")
	s.pass(20 * time.Second)
	s.ask("bob", "update", "apps", "deployments/scale", "shop", "web")
	s.pass(50 * time.Millisecond)
	s.ask(deploymentController, "update", "apps", "replicasets", "shop", "web-5d")
	s.ask("system:node:n1", "patch", "", "pods/status", "shop", "web-5d-x")
	s.ask("system:node:n1", "update", "coordination.k8s.io", "leases", "kube-node-lease", "n1")
	events := s.events
	expect(t, events, "cause.resource", "(absent) (absent) deployments.apps deployments.apps deployments.apps deployments.apps deployments.apps (absent)")
	expect(t, events, "cause.verb", "(absent) (absent) create create create update update (absent)")
	expect(t, events, "cause.subresource", "(absent) (absent) (empty) (empty) (empty) scale scale (absent)")
	expect(t, events, "cause.via", "(absent) (absent) owner root object owner root (absent)")
	expect(t, events, "cause.since", "(absent) (absent) 0 0 0 0 0 (absent)")
	expect(t, events, "cause.age", "(absent) (absent) <100ms <100ms <1m0s <100ms <100ms (absent)")
	expect(t, events, "born.actor", "(absent) (absent) person person person person person (absent)")
	expect(t, events, "touch.actor", "(absent) (absent) (absent) (absent) person deployment-controller replicaset-controller (absent)")
	expect(t, events, "inside.verb", "(absent) (absent) create create create update update (absent)")
	expect(t, events, "namespace.verb", "(absent) create create create create create create (absent)")
	expect(t, events, "choice.by", "own own cause cause own cause cause own")
}

func TestLinkedKnowsWhatIsBeingDeleted(t *testing.T) {
	s := newScene()
	s.deployment("alice", "shop", "web")
	s.ask("bob", "delete", "", "namespaces", "", "shop")
	s.ask(namespaceController, "deletecollection", "", "pods", "shop", "")
	s.ask("system:node:n1", "delete", "", "pods", "shop", "web-5d-x")
	s.ask(namespaceController, "delete", "apps", "deployments", "shop", "web")
	s.ask("system:node:n1", "get", "", "pods", "shop", "web-5d-x")
	expect(t, s.events, "closes.actor", "(absent) (absent) (absent) (absent) person person person person")
	expect(t, s.events, "gone.actor", "(absent) (absent) (absent) (absent) (absent) namespace-controller (absent) namespace-controller")
	expect(t, s.events, "ends.actor", "(absent) (absent) (absent) (absent) (absent) (absent) (absent) namespace-controller")
	expect(t, s.events, "choice.verb", "create create create delete delete delete delete delete")
	expect(t, s.events, "choice.resource", "deployments.apps deployments.apps deployments.apps namespaces namespaces namespaces namespaces namespaces")
}

// What a person reads belongs to what the same person does next, whoever acts in between.
func TestLinkedLooksAhead(t *testing.T) {
	s := newScene()
	s.ask("alice", "get", "", "", "", "")
	s.ask("bob", "get", "", "configmaps", "shop", "a")
	s.ask("alice", "get", "apps", "deployments", "shop", "web")
	s.ask("bob", "create", "", "secrets", "shop", "b")
	s.pass(100 * time.Millisecond)
	s.ask("alice", "patch", "apps", "deployments", "shop", "web")
	s.pass(10 * time.Second)
	s.ask("alice", "get", "", "pods", "shop", "c")
	expect(t, s.events, "change.resource", "deployments.apps secrets deployments.apps (absent) (absent) (absent)")
	expect(t, s.events, "change.age", "<300ms <20ms <300ms (absent) (absent) (absent)")
	expect(t, s.events, "change.same", "other other object (absent) (absent) (absent)")
	expect(t, s.events, "next.resource", "deployments.apps secrets deployments.apps (absent) (absent) (absent)")
	expect(t, s.events, "previous.resource", "(absent) (absent) (absent) configmaps deployments.apps deployments.apps")
	expect(t, s.events, "burst.resource", "(absent) (absent) (absent) configmaps deployments.apps (absent)")
	expect(t, s.events, "active", "1 2 2 2 2 1")
	expect(t, s.events, "choice.resource", "deployments.apps secrets deployments.apps secrets deployments.apps pods")
}

// A command reads all its objects and then makes them one by one: each reading belongs to its object's.
func TestLinkedTiesReadingsToTheirObjects(t *testing.T) {
	s := newScene()
	for _, verb := range []string{"get", "create"} {
		for _, what := range []string{"secrets", "services", "configmaps"} {
			s.ask("alice", verb, "", what, "shop", "web")
			s.pass(20 * time.Millisecond)
		}
	}
	expect(t, s.events, "change.resource", "secrets secrets secrets (absent) (absent) (absent)")
	expect(t, s.events, "own.resource", "secrets services configmaps (absent) (absent) (absent)")
}

// Endpoints follow the pods of their namespace, whoever changed those last.
func TestLinkedEndpointsFollowPods(t *testing.T) {
	s := newScene()
	s.ask("bob", "create", "", "services", "shop", "web")
	s.deployment("alice", "shop", "web")
	s.ask("bob", "create", "", "secrets", "shop", "key")
	s.ask("system:serviceaccount:kube-system:endpoint-controller", "update", "", "endpoints", "shop", "web")
	expect(t, s.events, "stir.resource", "(absent) (absent) (absent) (absent) deployments.apps deployments.apps")
}

// A drain cordons its node, then evicts: what follows the evictions goes back to the cordon.
func TestLinkedDrain(t *testing.T) {
	s := newScene()
	s.deployment("alice", "shop", "web")
	s.ask("bob", "patch", "", "nodes", "", "n1")
	s.ask("bob", "create", "", "pods/eviction", "shop", "web-5d-x")
	s.ask("bob", "create", "", "pods/eviction", "shop", "other")
	s.ask("bob", "get", "", "pods", "shop", "web-5d-x")
	s.ask("system:node:n1", "delete", "", "pods", "shop", "web-5d-x")
	expect(t, s.events, "before.resource", "(absent) (absent) (absent) (absent) (absent) nodes nodes nodes")
	expect(t, s.events, "did.resource", "(absent) (absent) (absent) (absent) nodes pods pods (absent)")
}

// A reader waits for the next change, but not for longer than it is told to.
func TestLinkedWaits(t *testing.T) {
	for _, c := range []struct {
		name  string
		after func(s *scene, i int) // the i-th request after the reader's
		want  int                   // how many it takes
	}{
		{"for the change", func(s *scene, i int) {
			s.ask("alice", []string{"get", "get", "create"}[min(i, 2)], "", "pods", "shop", fmt.Sprint("a", i))
		}, 3},
		{"so many events", func(s *scene, i int) { s.ask("bob", "create", "", "pods", "shop", fmt.Sprint("b", i)) }, aheadEvents},
		{"so long", func(s *scene, i int) {
			s.pass(time.Second)
			s.ask("bob", "create", "", "pods", "shop", fmt.Sprint("b", i))
		}, 6},
	} {
		s := newScene()
		s.ask("alice", "list", "", "pods", "shop", "")
		for i := range 2 * aheadEvents {
			c.after(s, i)
		}
		stream := Fit(Linked(), s.events).Stream()
		ids, tied := make([]int32, len(Linked().Fields())), make([]int32, ties)
		for i, e := range s.events {
			stream.Push(e, 0)
			if got := stream.Next(ids, tied); got != nil {
				if i != c.want || got != s.events[0] {
					t.Errorf("%s: the reader comes out after %d more events, want %d", c.name, i, c.want)
				}
				break
			}
		}
	}
}

// story draws a log. The same draws make the same log, whatever the names.
func story(seed uint64, length int, rename func(kind, text string) string) []*audit.Event {
	rng := rand.New(rand.NewPCG(seed, 0))
	s := newScene()
	s.rename = rename
	people := []string{"alice", "bob", "ci"}
	for len(s.events) < length {
		s.pass(time.Duration(rng.IntN(900)) * time.Millisecond)
		who := people[rng.IntN(len(people))]
		namespace, name := fmt.Sprint("team-", rng.IntN(3)), fmt.Sprint("app-", rng.IntN(4))
		switch rng.IntN(11) {
		case 0:
			s.ask(who, "create", "", "namespaces", "", namespace)
		case 1:
			s.ask(who, "delete", "", "namespaces", "", namespace)
		case 2:
			s.ask(namespaceController, "deletecollection", "", "pods", namespace, "")
		case 3, 4:
			s.deployment(who, namespace, name)
		case 5:
			s.ask(who, "patch", "apps", "deployments/scale", namespace, name)
		case 6:
			s.ask(who, "delete", "apps", "deployments", namespace, name)
			s.ask("system:serviceaccount:kube-system:generic-garbage-collector", "delete", "apps", "replicasets", namespace, name+"-5d")
		case 7:
			s.ask(who, "get", "", "", "", "")
			s.ask(who, "get", "apps", "deployments", namespace, name)
		case 8:
			s.ask("system:node:n1", "patch", "", "pods/status", namespace, name+"-5d-x")
		case 9:
			s.ask("system:node:n1", "create", "", "events", namespace, name+"-5d-x.17f")
		case 10:
			s.ask("system:kube-scheduler", "update", "coordination.k8s.io", "leases", "kube-system", "kube-scheduler")
		}
	}
	return s.events
}

func plain(_, text string) string { return text }

// No value depends on a name, a uid, an address or a person: another cluster's log of the same
// happenings gives the same numbers.
func TestLinkedSeesNoNames(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed, length := rapid.Uint64().Draw(t, "seed"), rapid.IntRange(1, 80).Draw(t, "length")
		suffix := rapid.StringMatching(`[a-z0-9]{1,6}`).Draw(t, "suffix")
		here := story(seed, length, plain)
		there := story(seed, length, func(kind, text string) string { return suffix + kind + text })
		e := Fit(Linked(), here)
		if d := cmp.Diff(e.Matrix(here), e.Matrix(there)); d != "" {
			t.Fatal(d)
		}
		parts := [][]int32{nil}
		for i := range here {
			parts[0] = append(parts[0], int32(i))
		}
		_, tied := e.Parts(here, parts)
		_, tiedThere := e.Parts(there, parts)
		if d := cmp.Diff(tied, tiedThere); d != "" {
			t.Fatal(d)
		}
		// Overlaid logs are told apart the same way, but for the namespaces that every cluster has.
		moved := story(seed, length, plain)
		for _, ev := range moved {
			ev.Source = 7
		}
		if d := cmp.Diff(e.Matrix(here), e.Matrix(moved)); d != "" {
			t.Fatal(d)
		}
	})
}

// A stream gives what the whole log gives, and each part of a corpus is a log of its own.
func TestLinkedStreamAndParts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		events := story(rapid.Uint64().Draw(t, "seed"), 60, plain)
		cut := rapid.IntRange(1, len(events)-1).Draw(t, "cut")
		parts := [][]int32{nil, nil}
		for i := range events {
			part := 0
			if i >= cut {
				part = 1
			}
			parts[part] = append(parts[part], int32(i))
		}
		e := Fit(Linked(), events[:cut], events[cut:])
		ids, tied := e.Parts(events, parts)
		for _, part := range parts {
			var log []*audit.Event
			for _, i := range part {
				log = append(log, events[i])
			}
			alone := e.Matrix(log)
			stream := e.Stream()
			row, tags := make([]int32, ids.Fields), make([]int32, e.Ties())
			given := 0
			take := func() {
				for ev := stream.Next(row, tags); ev != nil; ev = stream.Next(row, tags) {
					at := int(part[given])
					if ev != events[at] || !slices.Equal(row, ids.Row(at)) || !slices.Equal(tags, tied.Row(at)) || !slices.Equal(row, alone.Row(given)) {
						t.Fatalf("event %d: a stream gives %v, tied to %v, a part %v, tied to %v, and its log alone %v",
							at, row, tags, ids.Row(at), tied.Row(at), alone.Row(given))
					}
					given++
				}
			}
			for i, ev := range log {
				stream.Push(ev, part[i])
				take()
			}
			stream.End()
			take()
			if given != len(part) {
				t.Fatalf("a stream gave %d of %d events", given, len(part))
			}
		}
	})
}

// Two logs laid over each other have nothing to do with each other, even if they name all things alike.
func TestLinkedKeepsSourcesApart(t *testing.T) {
	one, two := story(3, 120, plain), story(3, 120, plain)
	var both []*audit.Event
	for i := range one {
		two[i].Source = 1
		both = append(both, one[i], two[i])
	}
	shared := func(e *audit.Event) bool { return e.ObjectRef != nil && e.ObjectRef.Namespace == "kube-system" }
	encoder := Fit(Linked(), both)
	alone, together := encoder.Matrix(one), encoder.Matrix(both)
	for f, field := range encoder.profile.fields {
		if strings.HasPrefix(field.Path, "latest.") || strings.HasSuffix(field.Path, ".since") || field.Path == "active" {
			continue // of all that happens at the time
		}
		for i, e := range one {
			if got, want := together.Row(2 * i)[f], alone.Row(i)[f]; got != want && !shared(e) {
				t.Fatalf("event %d, %s: %s beside another log, %s alone", i, field.Path, encoder.Decode(f, got), encoder.Decode(f, want))
			}
		}
	}
}

// Without bodies names are left: the causes of this story are found all the same, and uids never are.
func TestLinkedAtMetadata(t *testing.T) {
	s := newScene()
	s.deployment("alice", "shop", "web")
	for _, e := range s.events {
		e.Level, e.ResponseObject = "Metadata", nil
	}
	expect(t, s.events, "choice.resource", "deployments.apps deployments.apps deployments.apps")
	// A pod that is created by generateName has no name at this level: only its namespace ties it.
	s.events[2].ObjectRef.Name = ""
	expect(t, s.events, "choice.by", "own cause inside")
}

// What is remembered does not grow with the log.
func TestLinkedIsBounded(t *testing.T) {
	l := newLinker()
	s := newScene()
	for i := range 3 * maxClients {
		s.events = s.events[:0]
		s.ask(fmt.Sprint("user-", i), "get", "", "pods", "shop", "a")
		s.ask(fmt.Sprint("user-", i), "deletecollection", "", "pods", fmt.Sprint("n", i%7), "")
		for _, e := range s.events {
			l.push(e, 0)
		}
		s.pass(time.Minute)
		for _, ok := l.next(false); ok; _, ok = l.next(false) {
		}
		if len(l.clients) > maxClients+1 || len(l.wiped) > 2*maxWiped+1 || len(l.people) > activeCount || len(l.waiting) > aheadEvents+1 {
			t.Fatalf("after %d people: %d clients, %d deletions, %d appearances and %d waiting events are kept",
				i+1, len(l.clients), len(l.wiped), len(l.people), len(l.waiting))
		}
	}
	if len(l.clients) < maxClients/2 {
		t.Errorf("%d clients are kept of %d", len(l.clients), 3*maxClients)
	}
	// Objects that the tracker has forgotten are forgotten here too.
	for i := range 5000 {
		l.objects[identity.ID(1<<40+i)] = memory{}
	}
	s.ask("alice", "create", "", "pods", "shop", "z")
	l.push(s.events[len(s.events)-1], 0)
	if len(l.objects) > l.tracker.Len() {
		t.Errorf("%d objects are remembered, the tracker knows %d", len(l.objects), l.tracker.Len())
	}
}
