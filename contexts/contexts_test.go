package contexts

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"k8ntext/dataset/audit"
	"k8ntext/dataset/label"
)

var start = time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)

// line makes an event of "SECONDS USER VERB [GROUP/]RESOURCE[/SUB] [NAMESPACE/]NAME CODE", with a body.
// Users that are no persons are named as worker names them. A name that ends in / has no object.
func line(text, body string) *audit.Event {
	f := strings.Fields(text)
	seconds, err := time.ParseDuration(f[0] + "s")
	if err != nil {
		panic(err)
	}
	e := &audit.Event{AuditID: text, Verb: f[2], RequestURI: "/" + f[3], RequestReceived: start.Add(seconds), UserAgent: "kubectl/v1.34"}
	e.User.Username = f[1]
	switch name, system := strings.CutPrefix(f[1], "~"); {
	case strings.HasPrefix(f[1], "~node"):
		e.User.Username, e.UserAgent = "system:node:"+strings.TrimPrefix(name, "node:"), "kubelet"
	case system && (name == "apiserver" || name == "kube-scheduler"):
		e.User.Username, e.UserAgent = "system:"+name, name
	case system:
		e.User.Username, e.UserAgent = "system:serviceaccount:kube-system:"+name, "controllers"
	}
	if f[3] != "-" {
		o := &audit.ObjectRef{APIVersion: "v1", Name: f[4]}
		parts := strings.Split(f[3], "/")
		if strings.Contains(parts[0], ".") || parts[0] == "apps" || parts[0] == "batch" {
			o.APIGroup, parts = parts[0], parts[1:]
		}
		o.Resource = parts[0]
		if len(parts) > 1 {
			o.Subresource = parts[1]
		}
		if ns, name, ok := strings.Cut(f[4], "/"); ok {
			o.Namespace, o.Name = ns, name
		}
		e.ObjectRef = o
	} else {
		e.RequestURI = f[4]
	}
	code := 0
	fmt.Sscan(f[5], &code)
	e.ResponseStatus = &audit.ResponseStatus{Code: code}
	if body != "" {
		e.ResponseObject = []byte(body)
	}
	e.Stages = []audit.Stage{{Name: "ResponseComplete", Time: e.RequestReceived.Add(3 * time.Millisecond), Position: audit.Position{File: "log", Line: 1}}}
	return e
}

func owned(name, uid, ownerKind, owner, ownerUID string) string {
	return fmt.Sprintf(`{"kind":"X","metadata":{"name":%q,"uid":%q,"ownerReferences":[{"apiVersion":"apps/v1","kind":%q,"name":%q,"uid":%q,"controller":true}]}}`,
		name, uid, ownerKind, owner, ownerUID)
}

func about(kind, name, uid, reason, message string) string {
	return fmt.Sprintf(`{"kind":"Event","metadata":{"name":"x"},"reason":%q,"message":%q,"involvedObject":{"kind":%q,"namespace":"shop","name":%q,"uid":%q,"apiVersion":"v1"}}`,
		reason, message, kind, name, uid)
}

// rebuilt gives the whole contexts of events, as "EVENT EVENT ..." in the order of their first events.
func rebuilt(o Options, events ...*audit.Event) []*Context {
	b := New(o)
	var parts []*Context
	for i, e := range events {
		_ = i
		parts = append(parts, b.Push(e, label.Unknown)...)
	}
	return Whole(append(parts, b.Flush()...))
}

func members(list []*Context) []string {
	var out []string
	for _, c := range list {
		text := ""
		for _, m := range c.Members {
			if m.Event == c.Trigger.Event {
				text += "*"
			}
			text += fmt.Sprint(m.Event, " ")
		}
		out = append(out, strings.TrimSpace(text))
	}
	return out
}

func TestContexts(t *testing.T) {
	deployment := `{"kind":"Deployment","metadata":{"name":"web","uid":"d1","resourceVersion":"1"}}`
	for _, test := range []struct {
		name   string
		events []*audit.Event
		want   []string
	}{
		{"a deployment and what it causes", []*audit.Event{
			line("0 alice get - /api?timeout=32s 200", ""),
			line("0.01 alice get apps/deployments shop/web 404", ""),
			line("0.02 alice create apps/deployments shop/web 201", deployment),
			line("0.03 ~deployment-controller create apps/replicasets shop/web-1 201", owned("web-1", "r1", "Deployment", "web", "d1")),
			line("0.04 ~replicaset-controller create pods shop/web-1-a 201", owned("web-1-a", "p1", "ReplicaSet", "web-1", "r1")),
			line("0.05 ~apiserver update coordination.k8s.io/leases kube-system/x 200", ""),
			line("0.06 ~kube-scheduler create pods/binding shop/web-1-a 201", `{"kind":"Status"}`),
			line("0.07 ~node:n1 patch pods/status shop/web-1-a 200", owned("web-1-a", "p1", "ReplicaSet", "web-1", "r1")),
			line("0.08 ~node:n1 create events shop/web-1-a.1 201", about("Pod", "web-1-a", "p1", "Started", "x")),
		}, []string{"0 1 *2 3 4 6 7 8", "*5"}},
		{"one context per object, look-ups with their object", []*audit.Event{
			line("0 ci get configmaps shop/a 404", ""),
			line("0.01 ci get configmaps shop/b 404", ""),
			line("0.02 ci create configmaps shop/a 201", ""),
			line("0.03 ci create configmaps shop/b 201", ""),
		}, []string{"0 *2", "1 *3"}},
		{"a pause ends a command", []*audit.Event{
			line("0 alice list pods shop/ 200", ""),
			line("0.9 alice list pods shop/ 200", ""),
		}, []string{"*0", "*1"}},
		{"a namespace ends with all that is in it", []*audit.Event{
			line("0 alice create apps/deployments shop/web 201", deployment),
			line("5 bob delete namespaces shop 200", ""),
			line("5.1 ~namespace-controller deletecollection apps/deployments shop/ 200", ""),
			line("5.2 ~deployment-controller update apps/deployments/status shop/web 200", deployment),
			line("5.3 ~namespace-controller update namespaces/finalize shop 200", ""),
		}, []string{"*0", "*1 2 3 4"}},
		{"the end of a pod, and its replacement, belong to who asked for it", []*audit.Event{
			line("0 alice create apps/replicasets shop/web 201", `{"kind":"ReplicaSet","metadata":{"name":"web","uid":"r1"}}`),
			line("0.1 ~replicaset-controller create pods shop/web-a 201", owned("web-a", "p1", "ReplicaSet", "web", "r1")),
			line("9 bob delete pods shop/web-a 200", owned("web-a", "p1", "ReplicaSet", "web", "r1")),
			line("9.1 ~replicaset-controller create pods shop/web-b 201", owned("web-b", "p2", "ReplicaSet", "web", "r1")),
			line("9.2 ~node:n1 delete pods shop/web-a 200", owned("web-a", "p1", "ReplicaSet", "web", "r1")),
			line("9.3 ~node:n1 patch pods/status shop/web-b 200", owned("web-b", "p2", "ReplicaSet", "web", "r1")),
		}, []string{"*0 1", "*2 3 4 5"}},
		{"a drain is one context", []*audit.Event{
			line("0 olaf patch nodes n1 200", ""),
			line("0.1 olaf list pods / 200", ""),
			line("0.2 olaf create pods/eviction shop/a 201", `{"kind":"Status"}`),
			line("0.3 olaf create pods/eviction shop/b 201", `{"kind":"Status"}`),
			line("1.3 olaf get pods shop/a 404", ""),
		}, []string{"*0 1 2 3 4"}},
		{"a change that changed nothing causes nothing", []*audit.Event{
			line("0 alice create apps/deployments shop/web 201", deployment),
			line("5 bob patch apps/deployments shop/web 200", deployment),
			line("6 ~deployment-controller update apps/deployments/status shop/web 200", `{"kind":"Deployment","metadata":{"name":"web","uid":"d1","resourceVersion":"2"}}`),
		}, []string{"*0 2", "*1"}},
		{"a trigger that is not in the log", []*audit.Event{
			line("0 ~replicaset-controller create pods shop/web-a 201", owned("web-a", "p1", "ReplicaSet", "web", "r1")),
			line("1 ~node:n1 patch pods/status shop/web-a 200", owned("web-a", "p1", "ReplicaSet", "web", "r1")),
		}, []string{"*0", "*1"}},
		{"owners in a circle", []*audit.Event{
			line("0 alice create apps/deployments shop/a 201", owned("a", "u1", "Deployment", "b", "u2")),
			line("1 ~deployment-controller update apps/deployments/status shop/b 200", owned("b", "u2", "Deployment", "a", "u1")),
		}, []string{"*0 1"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, members(rebuilt(Options{Level: Identity}, test.events...))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// logs draws logs of few names, so that everything has to do with everything.
func logs(t *rapid.T) []*audit.Event {
	users := rapid.SampledFrom([]string{
		"alice", "bob", "~deployment-controller", "~replicaset-controller", "~generic-garbage-collector", "~node:n1",
		"~kube-scheduler", "~apiserver", "~namespace-controller", "~horizontal-pod-autoscaler", "~cronjob-controller", "~ttl-after-finished-controller",
		"~node-controller", "~disruption-controller", "~endpointslice-controller", "~job-controller",
	})
	verbs := rapid.SampledFrom([]string{"get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"})
	resources := rapid.SampledFrom([]string{
		"pods", "pods/status", "pods/eviction", "pods/binding", "pods/exec", "events", "namespaces", "nodes", "apps/deployments",
		"apps/replicasets", "batch/jobs", "batch/cronjobs", "policy.x/poddisruptionbudgets", "discovery.k8s.io/endpointslices", "autoscaling.x/horizontalpodautoscalers", "configmaps", "-",
	})
	names := rapid.SampledFrom([]string{"shop/a", "shop/a-1", "shop/a-1-x", "shop/", "n1", "shop"})
	bodies := rapid.SampledFrom([]string{
		"", "{", `{"kind":"Status"}`, owned("a", "u1", "Deployment", "a-1", "u2"), owned("a-1", "u2", "ReplicaSet", "a", "u1"),
		about("Pod", "a", "u1", "Killing", "Created pod: a-1"), about("Node", "n1", "n1", "NodeNotReady", ""), `{"items":[{"metadata":{"name":"a"}}],"spec":{"selector":{"matchLabels":{"x":"y"}}}}`,
	})
	var events []*audit.Event
	at := 0.0
	for range rapid.IntRange(1, 60).Draw(t, "events") {
		at += rapid.SampledFrom([]float64{0, .001, .05, .3, 7, 100, -3, 4000}).Draw(t, "pause")
		text := fmt.Sprintf("%f %s %s %s %s %d", at, users.Draw(t, "user"), verbs.Draw(t, "verb"), resources.Draw(t, "resource"), names.Draw(t, "name"),
			rapid.SampledFrom([]int{200, 201, 403, 404}).Draw(t, "code"))
		events = append(events, line(text, bodies.Draw(t, "body")))
	}
	return events
}

// check tells what is wrong with the parts of contexts that were rebuilt of so many events.
func check(n int, parts []*Context) error {
	seen := make([]string, n)
	last := make(map[string]*Context)
	for _, c := range parts {
		if len(c.Members) == 0 {
			return fmt.Errorf("%s has no event", c.ID)
		}
		if before := last[c.ID]; (before != nil) != c.Continued {
			return fmt.Errorf("%s: continued is %t", c.ID, c.Continued)
		} else if before != nil && !before.Provisional {
			return fmt.Errorf("%s goes on after it was whole", c.ID)
		}
		last[c.ID] = c
		for i, m := range c.Members {
			if m.Event < 0 || m.Event >= n || seen[m.Event] != "" {
				return fmt.Errorf("event %d is in %s and %s", m.Event, seen[m.Event], c.ID)
			}
			if i > 0 && c.Members[i-1].Event >= m.Event {
				return fmt.Errorf("the events of %s are not in order", c.ID)
			}
			seen[m.Event] = c.ID
		}
		if c.First.After(c.Last) {
			return fmt.Errorf("%s ends before it begins", c.ID)
		}
	}
	for i, id := range seen {
		if id == "" {
			return fmt.Errorf("event %d is in no context", i)
		}
	}
	for _, c := range Whole(parts) {
		if c.Trigger.Event >= 0 && seen[c.Trigger.Event] != c.ID {
			return fmt.Errorf("the trigger of %s is in %s", c.ID, seen[c.Trigger.Event])
		}
	}
	return nil
}

// TestPartition: whatever the log, its labels and the bounds, every event is in exactly one context, and
// the same log gives the same contexts.
func TestPartition(t *testing.T) {
	space := label.Default()
	rapid.Check(t, func(t *rapid.T) {
		events := logs(t)
		o := Options{
			Level:   rapid.SampledFrom(Levels()).Draw(t, "level"),
			MaxOpen: rapid.SampledFrom([]int{0, 1, 3}).Draw(t, "open"), MaxMembers: rapid.SampledFrom([]int{0, 5}).Draw(t, "members"),
			Quiet: rapid.SampledFrom([]time.Duration{0, time.Second}).Draw(t, "quiet"), Space: space,
		}
		labels := make([]label.Label, len(events))
		for i := range labels {
			labels[i] = rapid.SampledFrom([]label.Label{label.Unknown, space.Own(events[rapid.IntRange(0, len(events)-1).Draw(t, "like")])}).Draw(t, "label")
		}
		run := func() []*Context {
			b := New(o)
			var parts []*Context
			for i, e := range events {
				parts = append(parts, b.Push(e, labels[i])...)
			}
			parts = append(parts, b.Flush()...)
			if s := b.Summary(); s.Events != len(events) || s.Given != len(parts) {
				t.Fatalf("%d events, %d parts: %+v", len(events), len(parts), s)
			}
			return parts
		}
		parts := run()
		if err := check(len(events), parts); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(parts, run()); diff != "" {
			t.Fatal(diff)
		}
	})
}

// TestPartsMakeWholes: bounds change when contexts are given, not what is in them, as long as objects are
// remembered.
func TestPartsMakeWholes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var events []*audit.Event
		for i := range rapid.IntRange(1, 40).Draw(t, "events") {
			// One client each: no command can be cut by a bound.
			name := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "name")
			text := fmt.Sprintf("%d user%d patch configmaps shop/%s 200", i, i, name)
			if rapid.Bool().Draw(t, "component") {
				text = fmt.Sprintf("%d ~x-controller update configmaps shop/%s 200", i, name)
			}
			events = append(events, line(text, ""))
		}
		free := rebuilt(Options{Level: Identity}, events...)
		bound := rebuilt(Options{Level: Identity, MaxOpen: 1}, events...)
		if diff := cmp.Diff(members(free), members(bound)); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestManyOpen(t *testing.T) {
	b := New(Options{Level: Identity, MaxOpen: 500, MaxObjects: 1000})
	given := 0
	const n = 5000
	for i := range n {
		e := line(fmt.Sprintf("%f user%d create configmaps shop/c%d 201", float64(i)/1000, i, i), "")
		for _, c := range b.Push(e, label.Unknown) {
			given += len(c.Members)
		}
		if b.open.Len() > 501 || len(b.things) > 4096 || len(b.clients) > maxClient {
			t.Fatalf("after %d events: %d open, %d things, %d clients", i+1, b.open.Len(), len(b.things), len(b.clients))
		}
	}
	for _, c := range b.Flush() {
		given += len(c.Members)
	}
	if given != n {
		t.Errorf("%d of %d events were given", given, n)
	}
	if b.Summary().Pressed == 0 {
		t.Error("nothing was given early, or it was not counted")
	}
}

// TestHundredThousandOpen: so many contexts are open at once within the default bounds, and each is given
// once, with its event.
func TestHundredThousandOpen(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a second")
	}
	const n = 100_000
	b := New(Options{Level: Identity})
	given := 0
	e := line("0 user create configmaps shop/c 201", "")
	for i := range n {
		x := *e
		x.User.Username, x.Stages = "user"+strconv.Itoa(i), nil
		x.ObjectRef = &audit.ObjectRef{Resource: "configmaps", Namespace: "shop", Name: "c" + strconv.Itoa(i)}
		x.RequestReceived = start.Add(time.Duration(i) * time.Microsecond)
		given += len(b.Push(&x, label.Unknown))
	}
	if given > 0 || b.open.Len() != n {
		t.Errorf("%d contexts are open, %d were given", b.open.Len(), given)
	}
	if given = len(b.Flush()); given != n || b.Summary().Pressed > 0 {
		t.Errorf("%d contexts of %d were given: %+v", given, n, b.Summary())
	}
}

// TestClockRunsBack: a clock that is set back, by a little or by years, costs no event its context, and does
// not keep contexts open for ever.
func TestClockRunsBack(t *testing.T) {
	for _, level := range Levels() {
		var events []*audit.Event
		for i, at := range []string{"0", "10", "5", "9.5", "-100000000", "-99999999", "11", "100000", "12"} {
			events = append(events, line(fmt.Sprintf("%s alice create configmaps shop/c%d 201", at, i), ""),
				line(fmt.Sprintf("%s ~x-controller update configmaps shop/c%d 200", at, i), ""))
		}
		b := New(Options{Level: level})
		var parts []*Context
		for _, e := range events {
			parts = append(parts, b.Push(e, label.Unknown)...)
		}
		if err := check(len(events), append(parts, b.Flush()...)); err != nil {
			t.Errorf("%s: %v", level, err)
		}
	}
}

func TestPaper(t *testing.T) {
	space := label.Default()
	events := []*audit.Event{
		line("0 alice create configmaps shop/a 201", ""),
		line("1 alice create configmaps shop/b 201", ""),
		line("2 ~x-controller update configmaps shop/b 200", ""),
		line("400 ~x-controller update configmaps shop/b 200", ""),
	}
	own := space.Own(events[0])
	b := New(Options{Level: Paper, Space: space})
	for _, e := range events {
		b.Push(e, own)
	}
	// The same object weighs 100; after 300 s there is no trigger in the window, so the last is alone.
	if diff := cmp.Diff([]string{"*0", "*1 2", "3"}, members(b.Flush())); diff != "" {
		t.Error(diff)
	}
}

// TestLabelChooses: at level full a label chooses between two changes that components are still at.
// TestUniform: as many equal events as triggers that nothing ties are dealt in order; more or fewer are not.
func TestUniform(t *testing.T) {
	space := label.Default()
	run := func(texts ...string) ([]string, []*Context) {
		b := New(Options{Level: Paper, Space: space})
		var own label.Label
		for i, text := range texts {
			e := line(text, "")
			if i == 0 {
				own = space.Own(e)
			}
			b.Push(e, own)
		}
		list := b.Flush()
		return members(list), list
	}
	triggers := []string{"0 alice create configmaps shop/a 201", "1 bob create configmaps shop/b 201"}
	got, list := run(append(triggers, "2 ~x-controller get secrets shop/x 200", "3 ~x-controller get secrets shop/y 200")...)
	if diff := cmp.Diff([]string{"*0 2", "*1 3"}, got); diff != "" {
		t.Error(diff)
	}
	if m := list[0].Members[1]; m.Reason != Uniform || m.Confidence > .9 {
		t.Errorf("the event is there by %s, confidence %g", m.Reason, m.Confidence)
	}
	// Another user, another kind: not equal.
	got, _ = run(append(triggers, "2 ~x-controller get secrets shop/x 200", "3 ~y-controller get secrets shop/y 200", "4 ~z-controller get services shop/z 200")...)
	if diff := cmp.Diff([]string{"*0", "*1", "2", "3", "4"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestLabelChooses(t *testing.T) {
	space := label.Default()
	web := func(version int) string {
		return fmt.Sprintf(`{"kind":"Deployment","metadata":{"name":"web","uid":"d1","resourceVersion":"%d"}}`, version)
	}
	events := []*audit.Event{
		line("0 alice create apps/deployments shop/web 201", web(1)),
		line("0.5 bob patch apps/deployments shop/web 200", web(2)),
		line("0.6 ~deployment-controller update apps/deployments/status shop/web 200", web(3)),
	}
	for _, test := range []struct {
		level Level
		want  []string
	}{{Identity, []string{"*0", "*1 2"}}, {Full, []string{"*0 2", "*1"}}} {
		b := New(Options{Level: test.level, Space: space})
		for i, e := range events {
			l := space.Own(e)
			if i == 2 {
				l = space.Own(events[0])
			}
			b.Push(e, l)
		}
		if diff := cmp.Diff(test.want, members(Whole(b.Flush()))); diff != "" {
			t.Errorf("%s: %s", test.level, diff)
		}
	}
}

func TestReasons(t *testing.T) {
	seen := make(map[string]bool)
	for _, r := range Reasons() {
		if name := r.String(); name == "" || seen[name] {
			t.Errorf("reason %d is called %q", r, name)
		}
		seen[r.String()] = true
		if c := r.confidence(); c <= 0 || c > 1 {
			t.Errorf("%s: confidence %g", r, c)
		}
	}
	if Reason(200).String() != "unknown" {
		t.Error("a reason that is none has a name")
	}
}

func FuzzBuilder(f *testing.F) {
	files, err := filepath.Glob("../query/testdata/*.jsonl")
	if err != nil || len(files) == 0 {
		f.Fatal("no seed: ", err)
	}
	for _, name := range files {
		log, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(log)
	}
	f.Fuzz(func(t *testing.T, log []byte) {
		for _, level := range Levels() {
			r := audit.NewReader(bytes.NewReader(log), "fuzz", audit.Options{})
			b := New(Options{Level: level, MaxOpen: 4, MaxObjects: 64})
			var parts []*Context
			n := 0
			for {
				rec, err := r.Next()
				if err == io.EOF {
					break
				}
				if rec.Event != nil {
					n++
					parts = append(parts, b.Push(rec.Event, b.o.Space.Own(rec.Event))...)
				}
			}
			if err := check(n, append(parts, b.Flush()...)); err != nil {
				t.Fatal(level, err)
			}
		}
	})
}

// BenchmarkOpen has 100,000 contexts open at once.
func BenchmarkOpen(b *testing.B) {
	events := make([]*audit.Event, 100_000)
	for i := range events {
		events[i] = line(fmt.Sprintf("%f user%d create configmaps shop/c%d 201", float64(i)/1e6, i, i), "")
	}
	for b.Loop() {
		r := New(Options{Level: Identity})
		for _, e := range events {
			r.Push(e, label.Unknown)
		}
		r.Flush()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(events)), "ns/event")
}
