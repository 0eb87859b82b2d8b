package feature

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"

	"k8ntext/dataset/audit"
)

func TestPaperHasThe39(t *testing.T) {
	want := strings.Fields(`
		annotations.authorization.k8s.io/decision
		objectRef.apiGroup objectRef.namespace objectRef.resource objectRef.subresource
		requestObject.apiVersion requestObject.kind requestObject.metadata.namespace
		requestObject.metadata.ownerReferences.apiVersion requestObject.metadata.ownerReferences.blockOwnerDeletion
		requestObject.metadata.ownerReferences.controller requestObject.metadata.ownerReferences.kind
		requestObject.spec.volumeMode requestObject.volumeBindingMode
		responseObject.count
		responseObject.involvedObject.apiVersion responseObject.involvedObject.kind responseObject.involvedObject.namespace
		responseObject.involvedObject.resource responseObject.involvedObject.subresource
		responseObject.kind responseObject.metadata.namespace
		responseObject.metadata.ownerReferences.apiVersion responseObject.metadata.ownerReferences.blockOwnerDeletion
		responseObject.metadata.ownerReferences.controller responseObject.metadata.ownerReferences.kind
		responseObject.reason responseObject.reportingComponent responseObject.source.component responseObject.spec.volumeMode
		responseObject.type responseStatus.code
		user.groups[0] user.groups[1] user.groups[2]
		userAgent.extra userAgent.tool userAgent.version
		verb`)
	var got []string
	for _, f := range Paper().Fields() {
		got = append(got, f.Path)
	}
	if d := cmp.Diff(want, got); d != "" || len(got) != 39 {
		t.Errorf("%d columns:\n%s", len(got), d)
	}
	if !slices.IsSorted(got) {
		t.Error("columns are not in alphabetical order")
	}
}

// Ten columns are dead by the flattening rule, not by decree: real owner references are a list.
func TestPaperDeadColumns(t *testing.T) {
	_, events := sample(t)
	e := Fit(Paper(), events)
	var dead []string
	for f, field := range e.profile.fields {
		if len(e.columns[f].words) == 1 && e.columns[f].null == 0 && strings.HasPrefix(field.Meaning, "always null") {
			dead = append(dead, field.Path)
		}
	}
	if len(dead) != 10 {
		t.Errorf("%d columns are always null: %q", len(dead), dead)
	}
	owned := 0
	for _, ev := range events {
		if bytes.Contains(ev.ResponseObject, []byte("ownerReferences")) {
			owned++
		}
	}
	if owned == 0 {
		t.Error("the sample has no owner references: the test shows nothing")
	}
}

func TestPaperRisingIDs(t *testing.T) {
	event := func(resource string) *audit.Event {
		return &audit.Event{Verb: "get", ObjectRef: &audit.ObjectRef{Resource: resource, APIGroup: "core"}}
	}
	p, err := Paper().Without(slices.DeleteFunc(paths(Paper()), func(s string) bool {
		return s == "objectRef.resource" || s == "objectRef.apiGroup" || s == "verb"
	})...)
	if err != nil {
		t.Fatal(err)
	}
	e := Fit(p, []*audit.Event{event("pods"), {}, event("leases"), event("pods")})
	m := e.Matrix([]*audit.Event{event("pods"), {}, event("leases"), event("nodes"), event("secrets"), {Verb: "proxy"}})
	// Columns: apiGroup (core is null), resource, verb.
	want := []int32{
		0, 0, 0,
		0, 1, 1, // null is the second value that appeared
		0, 2, 0,
		0, 3, 0, // unseen: the next free id
		0, 3, 0, // another unseen: the same
		0, 1, 1, // a verb that the reference does not have is null
	}
	if d := cmp.Diff(want, m.IDs); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]int{2, 4, 3}, e.Sizes()); d != "" {
		t.Error(d)
	}
	if got := e.Decode(1, 1) + e.Decode(1, 2) + e.Decode(1, 3) + e.Decode(1, 4); got != "(null)leases(unknown)(no such id)" {
		t.Error(got)
	}
	if fit := Fit(p, []*audit.Event{event("pods")}); fit.AbsentID(1) != fit.UnknownID(1) {
		t.Error("null never occurred, but has an id of its own")
	}
}

func paths(p Profile) []string {
	var out []string
	for _, f := range p.fields {
		out = append(out, f.Path)
	}
	return out
}

func TestAbsentEmptyPresent(t *testing.T) {
	for _, c := range []struct{ field, body, paper, honest string }{
		{"requestObject.metadata.namespace", `{}`, "(null)", "(absent)"},
		{"requestObject.metadata.namespace", `{"metadata":{"namespace":""}}`, "", "(empty)"},
		{"requestObject.metadata.namespace", `{"metadata":{"namespace":null}}`, "(null)", "(empty)"},
		{"requestObject.metadata.namespace", `{"metadata":{"namespace":"kube-system"}}`, "kube-system", "kube-system"},
		{"requestObject.metadata.namespace", `{"metadata":{"namespace":"ns-1"}}`, "ns-1", "other"},
		{"requestObject.metadata.namespace", `{"metadata":{"namespace":["x"]}}`, "(null)", "other"},
		{"responseObject.metadata.namespace", `{}`, "(null)", "(absent)"},
		{"responseObject.metadata.namespace", `{"metadata":{"namespace":""}}`, "0", "(empty)"},
		{"responseObject.metadata.namespace", `{"metadata":{"namespace":null}}`, "0", "(empty)"},
		{"responseObject.metadata.namespace", `{"metadata":{"namespace":"ns-1"}}`, "1", "other"},
		{"requestObject.metadata.finalizers[0]", `{"metadata":{}}`, "", "(absent)"},
		{"requestObject.metadata.finalizers[0]", `{"metadata":{"finalizers":null}}`, "", "(empty)"},
		{"requestObject.metadata.finalizers[0]", `{"metadata":{"finalizers":[]}}`, "", "(empty)"},
		{"requestObject.metadata.finalizers[0]", `{"metadata":{"finalizers":["orphan","x"]}}`, "", "orphan"},
		{"requestObject.metadata.ownerReferences", `{"metadata":{}}`, "", "(absent)"},
		{"requestObject.metadata.ownerReferences", `{"metadata":{"ownerReferences":[]}}`, "", "0"},
		{"requestObject.metadata.ownerReferences", `{"metadata":{"ownerReferences":null}}`, "", "(empty)"},
		{"requestObject.metadata.ownerReferences", `{"metadata":{"ownerReferences":[{},{}]}}`, "", "2"},
		{"requestObject.metadata.ownerReferences[0].kind", `{"metadata":{"ownerReferences":[{"kind":"Job","apiVersion":"batch/v1"}]}}`, "", "Job"},
		{"requestObject.metadata.ownerReferences[0].kind", `{"metadata":{"ownerReferences":[{"kind":"Job","apiVersion":"acme.example.org/v1"}]}}`, "", "custom"},
		{"requestObject.metadata.ownerReferences[0].controller", `{"metadata":{"ownerReferences":[{"controller":false}]}}`, "", "false"},
		{"requestObject", ``, "", "(absent)"},
		{"requestObject", `{}`, "", "(empty)"},
		{"requestObject", `null`, "", "(empty)"},
		{"requestObject", `[{"op":"add"}]`, "", "array"},
		{"requestObject", `{"spec":{}}`, "", "object"},
		{"requestObject", `7`, "", "scalar"},
		{"requestObject.spec", `{"spec":{}}`, "", "(empty)"},
		{"requestObject.spec", `{"spec":{"a":1}}`, "", "yes"},
		{"requestObject.spec.replicas", `{"spec":{"replicas":0}}`, "", "0"},
		{"requestObject.spec.unschedulable", `{"spec":{"unschedulable":null}}`, "", "(empty)"},
		{"responseObject.status", `{"status":"Success"}`, "", "Success"},
		{"responseObject.status", `{"status":"ns-1"}`, "", "other"},
		{"responseObject.status", `{"status":{"x":1}}`, "", "yes"},
		{"responseObject.status.phase", `{"status":{"phase":"Running"}}`, "", "Running"},
		{"responseObject.items", `{"items":[]}`, "", "0"},
		{"responseObject.items", `{"items":[1,2,3]}`, "", "3-4"},
		{"responseObject.metadata.managedFields[last].manager", `{"metadata":{"managedFields":[{"manager":"kubectl-create"},{"manager":"kubelet"}]}}`, "", "kubelet"},
		{"responseObject.metadata.managedFields[last].subresource", `{"metadata":{"managedFields":[{"subresource":"status"},{"manager":"kubelet"}]}}`, "", "(absent)"},
		{"requestObject.metadata.annotations.kubectl.kubernetes.io/last-applied-configuration", `{"metadata":{"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{}"}}}`, "", "yes"},
		{"delete.propagationPolicy", `{"propagationPolicy":"Foreground"}`, "", "Foreground"},
		{"delete.propagationPolicy", `{}`, "", "Background"}, // the query's
	} {
		ev := &audit.Event{RequestObject: []byte(c.body), ResponseObject: []byte(c.body), RequestURI: "/x?propagationPolicy=Background"}
		if slices.Contains(paths(Paper()), c.field) {
			if got := read(Paper(), ev)[c.field]; got != c.paper {
				t.Errorf("paper: %s of %s = %q, want %q", c.field, c.body, got, c.paper)
			}
		}
		got, ok := read(Honest(), ev)[c.field]
		if got != c.honest || !ok {
			t.Errorf("honest: %s of %s = %q, want %q", c.field, c.body, got, c.honest)
		}
	}
}

// The same Event in both APIs, sent or returned, reads the same.
func TestBothEventAPIs(t *testing.T) {
	old := []byte(`{"kind":"Event","apiVersion":"v1","involvedObject":{"kind":"Pod","namespace":"ns-1","apiVersion":"v1",
		"fieldPath":"spec.containers{nginx}"},"reason":"Pulled","type":"Normal","count":3,"reportingComponent":"kubelet","source":{"component":"kubelet","host":"h"}}`)
	series := []byte(`{"kind":"Event","apiVersion":"events.k8s.io/v1","regarding":{"kind":"Pod","namespace":"ns-1","apiVersion":"v1",
		"fieldPath":"spec.containers{nginx}"},"reason":"Pulled","type":"Normal","series":{"count":3},"reportingController":"kubelet","deprecatedSource":{"component":"kubelet"}}`)
	want := map[string]string{
		"event.object.kind": "Pod", "event.object.apiVersion": "v1", "event.object.namespace": "other", "event.object.fieldPath": "spec.containers",
		"event.related.kind": "(absent)", "event.reason": "Pulled", "event.action": "(absent)", "event.type": "Normal", "event.count": "3-4",
		"event.reporter": "kubelet", "event.source": "kubelet",
	}
	refusal := []byte(`{"kind":"Status","reason":"AlreadyExists","status":"Failure"}`)
	for name, ev := range map[string]*audit.Event{
		"v1 sent": {RequestObject: old}, "v1 returned": {ResponseObject: old}, "v1 both": {RequestObject: old, ResponseObject: old},
		"events.k8s.io sent": {RequestObject: series}, "events.k8s.io returned": {ResponseObject: series},
		"v1 refused": {RequestObject: old, ResponseObject: refusal}, "patch": {RequestObject: []byte(`{"count":3}`), ResponseObject: old},
	} {
		got := read(Honest(), ev)
		for field, w := range want {
			if got[field] != w {
				t.Errorf("%s: %s = %q, want %q", name, field, got[field], w)
			}
		}
	}
	if got := read(Honest(), &audit.Event{ResponseObject: refusal})["event.reason"]; got != "(absent)" {
		t.Errorf("a refusal has the Event reason %q", got)
	}
}

// Nothing that only this environment knows reaches a value: everything renamed, all values stay.
func TestHonestKnowsNoNames(t *testing.T) {
	rename := strings.NewReplacer(
		"ns-", "tenant-", "web-zp", "shop-", "node-1", "ip-10-0-0-1.eu", "node-2", "ip-10-0-0-2.eu", "node-3", "ip-10-0-0-3.eu",
		"kubernetes-admin", "eve", "kubernetes-super-admin", "mallory", `"bob"`, `"trent"`, "viewers", "auditors",
		"v1.34.4", "v1.29.0-eks", "v1.33.1", "v1.27.2", "nginx:1.27", "registry.acme/x:9", "busybox:1.36", "registry.acme/y:8",
		"g-kd0045.example.org", "things.acme.io", "widgets", "gadgets", "Widget", "Gadget",
		"linux/amd64", "linux/arm64", "2026-11-21", "2027-01-02", "8adc0f0", "1234567", "nginx", "shopd", "Container", "Behälter",
	)
	uid := regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	address := regexp.MustCompile(`\d+\.\d+\.\d+\.\d+`)
	lines, _ := sample(t)
	changed := 0
	for i, raw := range lines {
		renamed := uid.ReplaceAllString(rename.Replace(string(raw)), "00000000-0000-4000-8000-000000000000")
		renamed = address.ReplaceAllString(renamed, "192.0.2.1")
		if renamed != string(raw) {
			changed++
		}
		before, after := read(Honest(), parseLine(t, raw)), read(Honest(), parseLine(t, []byte(renamed)))
		if d := cmp.Diff(before, after); d != "" {
			t.Errorf("event %d:\n%s", i+1, d)
		}
	}
	if changed != len(lines) {
		t.Errorf("only %d of %d events were renamed", changed, len(lines))
	}
}

func TestGolden(t *testing.T) {
	_, events := sample(t)
	for _, p := range []Profile{Paper(), Honest(), Linked()} {
		e := Fit(p, events)
		m := e.Matrix(events)
		var b strings.Builder
		for i, ev := range events {
			fmt.Fprintf(&b, "# %d %s %s\n", i+1, ev.Verb, ev.RequestURI)
			for f, id := range m.Row(i) {
				if id != e.AbsentID(f) {
					fmt.Fprintf(&b, "%s = %d %s\n", p.fields[f].Path, id, e.Decode(f, id))
				}
			}
		}
		golden(t, p.Name()+".golden", b.String())
		golden(t, p.Name()+".md", p.Table())
	}
}

func TestUnseenIsUnknown(t *testing.T) {
	_, events := sample(t)
	for _, p := range []Profile{Paper(), Honest()} {
		e := Fit(p, events)
		seen := slices.Index(paths(p), "responseStatus.code")
		ids := make([]int32, len(p.fields))
		e.Encode(&audit.Event{ResponseStatus: &audit.ResponseStatus{Code: 418}}, ids)
		if ids[seen] != e.UnknownID(seen) || e.Decode(seen, ids[seen]) != "(unknown)" {
			t.Errorf("%s: a code never seen is %q", p.Name(), e.Decode(seen, ids[seen]))
		}
		before := e.Sizes()
		if d := cmp.Diff(before, e.Sizes()); d != "" {
			t.Errorf("%s: encoding changed the encoder: %s", p.Name(), d)
		}
	}
}

func TestVocabularyBounds(t *testing.T) {
	var events []*audit.Event
	for i := range 400 {
		ev := &audit.Event{Verb: "v" + strings.Repeat("a", i%40) + string(rune('a'+i/40))}
		events = append(events, ev)
		if i >= 390 {
			events = append(events, ev)
		}
	}
	e := Fit(Honest(), events)
	f := slices.Index(paths(Honest()), "verb")
	if got := e.Sizes()[f]; got != 256+3 {
		t.Errorf("size %d, want 256 values and three special ids", got)
	}
	ids := make([]int32, len(e.columns))
	if e.Encode(events[len(events)-1], ids); ids[f] == e.UnknownID(f) {
		t.Error("a frequent value lost its place to rare ones")
	}

	long := &audit.Event{UserAgent: "x/" + strings.Repeat("v", maxText+1)}
	p := Fit(Paper(), []*audit.Event{long})
	f = slices.Index(paths(Paper()), "userAgent.version")
	ids = make([]int32, len(p.columns))
	if p.Encode(long, ids); ids[f] != p.UnknownID(f) {
		t.Error("an overlong value has an id")
	}
}

func TestWithout(t *testing.T) {
	p, err := Honest().Without("verb", "userAgent.tool")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := len(p.Fields()), len(Honest().Fields())-2; got != want || slices.Contains(paths(p), "verb") {
		t.Errorf("%d fields, want %d", got, want)
	}
	if p, err := Honest().Without("userAgent.*", "level"); err != nil || len(p.Fields()) != len(Honest().Fields())-3 {
		t.Errorf("without userAgent.* and level: %d of %d fields, %v", len(p.Fields()), len(Honest().Fields()), err)
	}
	_, events := sample(t)
	if got := Fit(p, events).UserAgentFields(); len(got) != 1 || p.fields[got[0]].Path != "userAgent.extra" {
		t.Errorf("user agent fields %v", got)
	}
	for _, c := range []struct {
		p    Profile
		drop []string
		want string
	}{
		{Honest(), []string{"responseStatus.cod"}, `profile honest has no field "responseStatus.cod": did you mean "responseStatus.code"?`},
		{Paper(), []string{"verbs*"}, `has no field "verbs*"`},
		{Paper(), []string{"*"}, "keep at least one"},
		{Paper(), []string{"Verb"}, `did you mean "verb"?`},
		{Paper(), []string{strings.Repeat("x", 1<<20)}, "has no field"},
		{Paper(), paths(Paper()), "keep at least one"},
	} {
		if _, err := c.p.Without(c.drop...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("without %.40q: %v, want %q", c.drop, err, c.want)
		}
	}
	if _, err := ByName("papr"); err == nil || !strings.Contains(err.Error(), "honest, linked, paper") {
		t.Errorf("unknown profile: %v", err)
	}
}

func TestFieldsAreUniqueAndSaid(t *testing.T) {
	for _, name := range Names() {
		p, err := ByName(name)
		if err != nil || p.Name() != name {
			t.Fatalf("%s: %v %s", name, err, p.Name())
		}
		seen := map[string]bool{}
		for _, f := range p.Fields() {
			if seen[f.Path] || f.Meaning == "" || f.Encoding == "" || f.Source == "" || strings.ContainsAny(f.Path+f.Meaning, "|\n") {
				t.Errorf("%s: bad or double field %+v", name, f)
			}
			seen[f.Path] = true
		}
	}
}

func TestJSONRoundTrip(t *testing.T) {
	_, events := sample(t)
	short, err := Honest().Without("verb", "event.reason")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []Profile{Paper(), Honest(), short} {
		e := Fit(p, events[:20])
		data, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		again, err := json.Marshal(Fit(p, events[:20]))
		if err != nil || !bytes.Equal(data, again) {
			t.Errorf("%s: the same events gave another encoder (%v)", p.Name(), err)
		}
		var back Encoder
		if err := json.Unmarshal(data, &back); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(e.Matrix(events), back.Matrix(events)); d != "" {
			t.Errorf("%s: ids differ after the round trip:\n%s", p.Name(), d)
		}
		if d := cmp.Diff(e.Sizes(), back.Sizes()); d != "" {
			t.Error(d)
		}
	}
}

func TestJSONRefuses(t *testing.T) {
	p, err := Honest().Without(slices.DeleteFunc(paths(Honest()), func(s string) bool { return s == "verb" || s == "level" })...)
	if err != nil {
		t.Fatal(err)
	}
	good, err := json.Marshal(Fit(p, []*audit.Event{{Verb: "get"}, {Verb: "list"}}))
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"revision":1,"profile":"honest","fields":["level","verb"],"values":[[],["get","list"]]}`
	if string(good) != want {
		t.Fatalf("got %s, want %s", good, want)
	}
	for _, c := range []struct{ old, with, want string }{
		{`"revision":1`, `"revision":2`, "train the model again"},
		{`"honest"`, `"onest"`, "unknown feature profile"},
		{`["level","verb"]`, `["verb","level"]`, "not in its order"},
		{`["level","verb"]`, `["level","level"]`, "not in its order"},
		{`["level","verb"]`, `["level","vreb"]`, "not in profile"},
		{`["level","verb"]`, `[]`, "without a field"},
		{`["level","verb"]`, `["level"]`, "1 fields but 2 vocabularies"},
		{`"get"`, `"list"`, "twice"},
		{`"get"`, `null`, "null is no value"},
		{`"get"`, `7`, "neither text nor null"},
		{`"get"`, `"` + strings.Repeat("x", maxText+1) + `"`, "more than"},
		{`"get"`, strings.Repeat(`"",`, maxVocabulary) + `""`, "more than 65535"},
		{`"get"`, manyWords(257), "more than 256"},
		{`[[],`, `[7,`, "must be a list"},
		{`[[],`, `[` + strings.Repeat(`[],`, maxFields), "more than 1024 vocabularies"},
		{`[[],["get","list"]]`, `7`, "must be a list"},
		{`"values"`, `"valuse"`, "unknown object member"},
		{`]]}`, `]]`, "unexpected EOF"},
		{`}`, `}x`, "invalid"},
	} {
		data := strings.Replace(string(good), c.old, c.with, 1)
		e := Fit(p, nil)
		err := e.UnmarshalJSON([]byte(data))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.60q for %q: error %v, want %q", c.with, c.old, err, c.want)
		}
		if e.profile.name != "honest" || len(e.columns) != 2 {
			t.Errorf("%.60q: a refused encoder changed the old one", c.with)
		}
	}
	if err := new(Encoder).UnmarshalJSON(make([]byte, maxEncoded+1)); err == nil || !strings.Contains(err.Error(), "may have") {
		t.Errorf("too long: %v", err)
	}
}

func manyWords(n int) string {
	var words []string
	for i := range n {
		words = append(words, fmt.Sprintf("%q", fmt.Sprint("w", i)))
	}
	return strings.Join(words, ",")
}

func FuzzEncoderJSON(f *testing.F) {
	_, events := sample(f)
	for _, p := range []Profile{Paper(), Honest()} {
		data, err := json.Marshal(Fit(p, events[:3]))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(`{"revision":1,"profile":"paper","fields":["verb"],"values":[["3",null,""]]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var e Encoder
		if e.UnmarshalJSON(data) != nil {
			return
		}
		out, err := e.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		var back Encoder
		if err := back.UnmarshalJSON(out); err != nil {
			t.Fatalf("%v: what was written is refused: %s", err, out)
		}
		m := e.Matrix(events)
		if d := cmp.Diff(m, back.Matrix(events)); d != "" {
			t.Fatal(d)
		}
		for f, size := range e.Sizes() {
			for i := range m.Rows {
				if id := m.Row(i)[f]; id < 0 || int(id) >= size {
					t.Fatalf("id %d of %d", id, size)
				}
			}
		}
	})
}

func TestEncoderIsSharedSafely(t *testing.T) {
	_, events := sample(t)
	e := Fit(Honest(), events)
	want := e.Matrix(events)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			ids := make([]int32, want.Fields)
			for i, ev := range events {
				e.Encode(ev, ids)
				if !slices.Equal(ids, want.Row(i)) {
					t.Errorf("event %d differs when encoded beside others", i+1)
				}
			}
		})
	}
	wg.Wait()
}

// A stream reads the values that a matrix numbers.
func TestStreamText(t *testing.T) {
	_, events := sample(t)
	for _, p := range []Profile{Paper(), Honest(), Linked()} {
		e := Fit(p, events)
		m := e.Matrix(events)
		s := p.Stream()
		for _, ev := range events {
			s.Push(ev, 0)
		}
		s.End()
		for i := range events {
			ev, values := s.NextText()
			if ev != events[i] {
				t.Fatalf("%s: event %d is not the next", p.Name(), i)
			}
			for f, text := range values {
				if want := e.Decode(f, m.Row(i)[f]); text != want || p.Absent(text) != (m.Row(i)[f] == e.AbsentID(f)) {
					t.Errorf("%s, event %d, %s: %q, want %q", p.Name(), i, p.fields[f].Path, text, want)
				}
			}
		}
		if ev, _ := s.NextText(); ev != nil {
			t.Errorf("%s: an event more", p.Name())
		}
	}
}

func TestEncodeWrongLength(t *testing.T) {
	defer func() {
		if r := fmt.Sprint(recover()); !strings.Contains(r, "into 1 ids, but profile paper has 39 fields") {
			t.Errorf("panic says %q", r)
		}
	}()
	Fit(Paper(), nil).Encode(&audit.Event{}, make([]int32, 1))
}

func BenchmarkMatrix(b *testing.B) {
	_, events := sample(b)
	var size int64
	for _, ev := range events {
		size += int64(len(ev.RequestObject) + len(ev.ResponseObject))
	}
	for _, p := range []Profile{Paper(), Honest(), Linked()} {
		b.Run(p.Name(), func(b *testing.B) {
			e := Fit(p, events)
			b.SetBytes(size) // of bodies
			b.ReportAllocs()
			for b.Loop() {
				e.Matrix(events)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(events)), "ns/event")
		})
	}
}
