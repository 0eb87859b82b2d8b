package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

func zip(t testing.TB, text string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func zst(t testing.TB, text string) string {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return string(w.EncodeAll([]byte(text), nil))
}

func TestCompression(t *testing.T) {
	var text strings.Builder
	for i := range 200 {
		text.WriteString(newRequest("id"+strconv.Itoa(i*i*7919), time.Duration(i)*time.Second).done() + "\n")
	}
	log := text.String()
	half := len(log) / 2 // in the middle of a line
	want := read(t, Options{}, log).ids()
	for _, tc := range []struct{ name, data string }{
		{"gzip", zip(t, log)},
		{"gzip of two members", zip(t, log[:half]) + zip(t, log[half:])},
		{"gzip with an empty member", zip(t, "") + zip(t, log)},
		{"zstd", zst(t, log)},
		{"zstd of two frames", zst(t, log[:half]) + zst(t, log[half:])},
		{"zstd behind a skippable frame", "\x50\x2a\x4d\x18\x03\x00\x00\x00abc" + zst(t, log)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			res := read(t, Options{}, tc.data)
			if res.ids() != want || len(res.problems) != 0 {
				t.Errorf("%d events, problems %q; want %d and none", len(res.events), res.kinds(), 200)
			}
		})
	}
	for _, tc := range []struct{ name, data, problem string }{
		{"gzip cut", zip(t, log)[:len(zip(t, log))/2], cutInput},
		{"gzip without its checksum", zip(t, log)[:len(zip(t, log))-4], cutInput},
		{"zstd cut", zst(t, log[:half]) + zst(t, log[half:])[:20], cutInput},
		{"gzip with garbage behind", zip(t, log) + "garbage of some length", unreadable},
		{"zstd with garbage behind", zst(t, log) + "garbage", unreadable},
		{"gzip with a bad checksum", zip(t, log)[:len(zip(t, log))-8] + "\x00\x00\x00\x00\x00\x00\x00\x00", unreadable},
	} {
		t.Run(tc.name, func(t *testing.T) {
			res := read(t, Options{}, tc.data)
			if len(res.events) < 20 || !strings.HasPrefix(want, res.ids()) {
				t.Errorf("%d events survive, want the start of the log", len(res.events))
			}
			if last := res.problems[len(res.problems)-1]; last.Kind != tc.problem {
				t.Errorf("problems %q, want the last to be %q", res.kinds(), tc.problem)
			}
		})
	}
	for _, data := range []string{"\x1f\x8b", "\x1f\x8b\x08garbage", "\x28\xb5\x2f\xfd", "\x28\xb5\x2f\xfdgarbagegarbage"} {
		if res := read(t, Options{}, data); len(res.problems) == 0 || len(res.events) > 0 {
			t.Errorf("%q: problems %q, events %q", data, res.kinds(), res.ids())
		}
	}
}

// TestEnvelopes: the same event through every envelope.
func TestEnvelopes(t *testing.T) {
	a := whole("a")
	q := strconv.Quote(a)
	for _, tc := range []struct{ name, text string }{
		{"CloudWatch get-log-events", `{"events":[{"timestamp":1772366400000,"message":` + q + `,"ingestionTime":1}],"nextForwardToken":"f/1"}`},
		{"CloudWatch filter-log-events", `{"events":[{"logStreamName":"kube-apiserver-audit-1","timestamp":1,"message":` + q + `,"eventId":"3"}],"searchedLogStreams":[]}`},
		{"CloudWatch subscription", `{"messageType":"DATA_MESSAGE","owner":"1","logGroup":"/aws/eks/x/cluster","logStream":"kube-apiserver-audit-1","logEvents":[{"id":"1","timestamp":1,"message":` + q + `}]}`},
		{"CloudWatch Insights", `{"@timestamp":"2026-03-01 12:00:00.000","@message":` + q + `}`},
		{"CloudWatch export", "2026-03-01T12:00:00.000Z " + a},
		{"Azure diagnostic record", `{"time":"2026-03-01T12:00:00Z","category":"kube-audit","properties":{"log":` + strconv.Quote(a+"\n") + `,"stream":"stdout"}}`},
		{"Azure Event Hub", `{"records":[{"category":"kube-audit","properties":{"log":` + q + `}}]}`},
		{"Azure Log Analytics", `{"Category":"kube-audit","log_s":` + q + `}`},
		{"Docker", `{"log":` + strconv.Quote(a+"\n") + `,"stream":"stdout","time":"2026-03-01T12:00:00Z"}`},
		{"CRI", "2026-03-01T12:00:00.1Z stdout F " + a},
		{"Cloud Logging text", `{"textPayload":` + q + `,"timestamp":"2026-03-01T12:00:00Z"}`},
		{"Cloud Logging JSON", `{"jsonPayload":` + a + `,"timestamp":"2026-03-01T12:00:00Z"}`},
		{"batch in an envelope in a batch", `{"records":[{"properties":{"log":` + strconv.Quote(`{"kind":"EventList","items":[`+a+`]}`) + `}}]}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			res := read(t, Options{KeepRaw: true}, tc.text+"\n"+whole("bb")+"\n")
			if res.ids() != "a bb" {
				t.Fatalf("events %q, problems %q", res.ids(), res.kinds())
			}
			if got := string(res.events[0].Raw); got != a {
				t.Errorf("raw %s, want the event without its envelope", got)
			}
		})
	}
	for _, text := range []string{
		`{"message":"starting"}`,
		`{"properties":{"log":"starting"}}`,
		`{"log":5}`,
		`{"protoPayload":{"serviceName":"compute.googleapis.com","methodName":"v1.compute.instances.list","resourceName":"a/b/c"}}`,
		`{"protoPayload":7}`,
		strings.Repeat(`{"jsonPayload":`, 10) + a + strings.Repeat("}", 10),
	} {
		res := read(t, Options{}, text)
		if len(res.events) != 0 || res.kinds() != "1 "+notAnEvent {
			t.Errorf("%s: events %q, problems %q", text, res.ids(), res.kinds())
		}
	}
}

func TestGoogleEntry(t *testing.T) {
	const entry = `{"protoPayload":{"@type":"type.googleapis.com/google.cloud.audit.AuditLog",
		"authenticationInfo":{"principalEmail":"alice@example.org"},"requestMetadata":{"callerIp":"10.0.0.1","callerSuppliedUserAgent":"kubectl/v1.34"},
		"methodName":"METHOD","resourceName":"RESOURCE","serviceName":"k8s.io","status":{"code":5},"request":{"spec":{}}},
		"labels":{"authorization.k8s.io/decision":"allow"},"operation":{"id":"op-1","first":true,"last":true},"timestamp":"2026-03-01T12:00:00.5Z"}`
	for _, tc := range []struct {
		method, resource, uri string
		want                  ObjectRef
	}{
		{
			"io.k8s.apps.v1.deployments.patch", "apps/v1/namespaces/shop/deployments/web", "/apis/apps/v1/namespaces/shop/deployments/web",
			ObjectRef{APIGroup: "apps", APIVersion: "v1", Resource: "deployments", Namespace: "shop", Name: "web"},
		},
		{
			"io.k8s.core.v1.pods.exec.create", "core/v1/namespaces/shop/pods/web-1/exec", "/api/v1/namespaces/shop/pods/web-1/exec",
			ObjectRef{APIVersion: "v1", Resource: "pods", Namespace: "shop", Name: "web-1", Subresource: "exec"},
		},
		{
			"io.k8s.core.v1.nodes.status.patch", "core/v1/nodes/n1/status", "/api/v1/nodes/n1/status",
			ObjectRef{APIVersion: "v1", Resource: "nodes", Name: "n1", Subresource: "status"},
		},
		{
			"io.k8s.core.v1.namespaces.finalize.update", "core/v1/namespaces/shop/finalize", "/api/v1/namespaces/shop/finalize",
			ObjectRef{APIVersion: "v1", Resource: "namespaces", Namespace: "shop", Name: "shop", Subresource: "finalize"},
		},
		{
			"io.k8s.core.v1.pods.list", "core/v1/namespaces/shop/pods", "/api/v1/namespaces/shop/pods",
			ObjectRef{APIVersion: "v1", Resource: "pods", Namespace: "shop"},
		},
	} {
		text := strings.NewReplacer("METHOD", tc.method, "RESOURCE", tc.resource, "\n", "", "\t", "").Replace(entry)
		res := read(t, Options{KeepRaw: true}, text)
		if len(res.events) != 1 {
			t.Errorf("%s: %d events, problems %q", tc.method, len(res.events), res.kinds())
			continue
		}
		e := res.events[0]
		if diff := cmp.Diff(&tc.want, e.ObjectRef); diff != "" {
			t.Errorf("%s: objectRef (-want +got):\n%s", tc.resource, diff)
		}
		verb := tc.method[strings.LastIndexByte(tc.method, '.')+1:]
		if e.Verb != verb || e.RequestURI != tc.uri || e.AuditID != "op-1" || e.ResponseStatus.Code != 404 ||
			e.User.Username != "alice@example.org" || e.UserAgent != "kubectl/v1.34" || e.RequestReceived.Nanosecond() != 5e8 {
			t.Errorf("%s: %+v", tc.resource, e)
		}
	}
	for code, want := range map[int]int{0: 200, 3: 400, 4: 504, 5: 404, 6: 409, 7: 403, 8: 429, 12: 501, 13: 500, 14: 503, 16: 401, 99: 500} {
		if got := httpCode(code); got != want {
			t.Errorf("gRPC code %d is HTTP %d, want %d", code, got, want)
		}
	}
}

// TestOldVersions reads v1beta1 and v1alpha1 as k8s.io/apiserver's conversions do.
func TestOldVersions(t *testing.T) {
	const alpha = `{"kind":"Event","apiVersion":"audit.k8s.io/v1alpha1","metadata":{"creationTimestamp":"2017-09-01T12:00:02Z"},"level":"Request",` +
		`"timestamp":"2017-09-01T12:00:01Z","auditID":"x","stage":"ResponseComplete","requestURI":"/apis/apps/v1beta1/namespaces/shop/deployments","verb":"create",` +
		`"user":{"username":"alice"},"objectRef":{"resource":"deployments","namespace":"shop","apiVersion":"apps/v1beta1"}}`
	res := read(t, Options{}, alpha)
	if len(res.events) != 1 || len(res.problems) != 0 {
		t.Fatalf("events %q, problems %q", res.ids(), res.kinds())
	}
	e := res.events[0]
	if !e.RequestReceived.Equal(time.Date(2017, 9, 1, 12, 0, 1, 0, time.UTC)) || !e.Stages[0].Time.Equal(time.Date(2017, 9, 1, 12, 0, 2, 0, time.UTC)) {
		t.Errorf("received %v, stage %v", e.RequestReceived, e.Stages[0].Time)
	}
	if e.ObjectRef.APIGroup != "apps" || e.ObjectRef.APIVersion != "v1beta1" {
		t.Errorf("objectRef %+v", e.ObjectRef)
	}
	beta := strings.NewReplacer("v1alpha1", "v1beta1", `"apps/v1beta1"`, `"v1beta1","apiGroup":"apps"`, `"metadata"`,
		`"requestReceivedTimestamp":"2017-09-01T12:00:01.000001Z","stageTimestamp":"2017-09-01T12:00:01.000002003+02:00","metadata"`).Replace(alpha)
	e = read(t, Options{}, beta).events[0]
	if e.RequestReceived.Nanosecond() != 1000 || e.Stages[0].Time.Nanosecond() != 2003 || e.ObjectRef.APIGroup != "apps" {
		t.Errorf("v1beta1: received %v, stage %v, objectRef %+v", e.RequestReceived, e.Stages[0].Time, e.ObjectRef)
	}
}

// TestReferenceFormat reads what the reference's labeller makes of a line: nulls and "core" put in, a label added.
func TestReferenceFormat(t *testing.T) {
	line := strings.NewReplacer(`"namespace":"shop"`, `"namespace":null,"subresource":null,"apiGroup":"core"`, `"groups":["system:authenticated"]`, `"groups":[]`).
		Replace(newRequest("a", 0).with(`"label":4368,"cplabel":true`).done())
	res := read(t, Options{}, line)
	if len(res.events) != 1 || len(res.problems) > 0 {
		t.Fatalf("events %q, problems %q", res.ids(), res.kinds())
	}
	e := res.events[0]
	if diff := cmp.Diff(&ObjectRef{Resource: "pods", APIVersion: "v1"}, e.ObjectRef); diff != "" {
		t.Errorf("objectRef (-want +got):\n%s", diff)
	}
	if e.Truth == nil || e.Truth.Label == nil || *e.Truth.Label != 4368 {
		t.Errorf("truth %+v", e.Truth)
	}
}

// TestRecording reads an embedded corpus: every long watch must merge.
func TestRecording(t *testing.T) {
	r, err := Open(context.Background(), Options{}, "../corpora/sequential-1.34.jsonl.zst")
	if err != nil {
		t.Fatal(err)
	}
	res := drain(t, r)
	watches, contexts, ambiguous := 0, map[string]bool{}, 0
	for _, e := range res.events {
		if len(e.Stages) == 3 {
			watches++
		}
		contexts[e.Truth.Context] = true
		if e.Truth.Attribution == "ambiguous" {
			ambiguous++
		}
	}
	s := res.summary
	if s.Lines != 22_323 || s.Events != 10_841 || watches != 641 || s.Unfinished+s.OutOfOrder+s.Hurried+s.Repeated+s.Late+s.Skipped != 0 {
		t.Errorf("%d watches of three stages, want 641; summary:\n%s", watches, s)
	}
	if len(contexts)-1 != 5260 || ambiguous != 19 {
		t.Errorf("%d contexts, %d ambiguous events; want 5260 and 19", len(contexts)-1, ambiguous)
	}
}

func TestTruth(t *testing.T) {
	label := int64(70048)
	for _, tc := range []struct {
		members string
		want    *Truth
	}{
		{`"x":1`, nil},
		{`"context":"a1","trigger":true,"attribution":"direct"`, &Truth{Context: "a1", Trigger: true, Attribution: "direct"}},
		{`"context":null,"attribution":"ambiguous","candidates":["a1","a2"]`, &Truth{Attribution: "ambiguous", Candidates: []string{"a1", "a2"}}},
		{`"context":null`, &Truth{}},
		{`"context":"a2","operation":"op1","parent":"a1"`, &Truth{Context: "a2", Operation: "op1", Parent: "a1"}},
		{`"label":70048`, &Truth{Label: &label}},
		{`"label":null`, nil},
		{`"label":"pods"`, nil},
	} {
		res := read(t, Options{}, newRequest("a", 0).with(tc.members).done())
		if diff := cmp.Diff(tc.want, res.events[0].Truth); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.members, diff)
		}
	}
}

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	line := func(id string, after time.Duration) string { return newRequest(id, after).done() + "\n" }
	// Two servers that write at once, and a rotated file from before.
	one := file("server-1.log", line("c", 3e9)+"garbage\n"+line("e", 5e9))
	two := file("server-2.log.gz", zip(t, line("d", 4e9)+line("f", 6e9)))
	old := file("server-1-old.log.zst", zst(t, "torn\n"+line("a", 1e9)+line("b", 2e9)))
	file("empty.log", "")

	open := func(paths ...string) (*Reader, error) { return Open(context.Background(), Options{}, paths...) }
	for _, paths := range [][]string{{one, two, old}, {old, two, one}, {filepath.Join(dir, "*.log*")}, {filepath.Join(dir, "server-2*"), filepath.Join(dir, "server-1*")}} {
		r, err := open(paths...)
		if err != nil {
			t.Fatal(err)
		}
		// Reading order, not only the order that the window makes.
		r.merger.opts.ReorderWindow = time.Nanosecond
		res := drain(t, r)
		if res.ids() != "a b c d e f" || res.summary.OutOfOrder != 0 || len(res.problems) != 2 {
			t.Errorf("%v: events %q, problems %q, %d out of order", paths, res.ids(), res.kinds(), res.summary.OutOfOrder)
		}
		if got := res.events[3].Stages[0].Position.String(); got != two+":1" {
			t.Errorf("event d is at %s, want %s:1", got, two)
		}
	}

	odd := file("odd[1].log", line("x", 0))
	if r, err := open(odd); err != nil {
		t.Errorf("a file whose name looks like a pattern: %v", err)
	} else if res := drain(t, r); res.ids() != "x" {
		t.Errorf("events %q, want x", res.ids())
	}

	for _, tc := range []struct {
		paths []string
		want  string
	}{
		{nil, "no audit log named"},
		{[]string{filepath.Join(dir, "none.log")}, "no such file"},
		{[]string{filepath.Join(dir, "none*.log")}, "matches no file"},
		{[]string{one, filepath.Join(dir, "none.log")}, "no such file"},
		{[]string{filepath.Join(dir, "[.log")}, "syntax error in pattern"},
		{[]string{"-", "-"}, "only once"},
		{[]string{dir}, "is a folder"},
		{[]string{one, dir}, "is a folder"},
	} {
		if _, err := open(tc.paths...); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%v: error %v, want one that says %q", tc.paths, err, tc.want)
		}
	}

	// A file that goes away between opening and its turn is a problem, not the end.
	gone := file("gone.log", line("z", 9e9))
	r, err := open(one, gone)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(gone); err != nil {
		t.Fatal(err)
	}
	if res := drain(t, r); res.ids() != "c e" || len(res.problems) != 2 || res.problems[1].Kind != unreadable {
		t.Errorf("events %q, problems %q", res.ids(), res.kinds())
	}
}

func TestContextEndsReading(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	if err := os.WriteFile(path, []byte(whole("a")+"\n"+whole("bb")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r, err := Open(ctx, Options{}, path)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := r.Next(); !errors.Is(err, context.Canceled) {
		t.Errorf("Next gives %v, want %v", err, context.Canceled)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

// failing gives text, then an error that is none of the usual ends.
type failing struct{ io.Reader }

func (f failing) Read(p []byte) (int, error) {
	n, err := f.Reader.Read(p)
	if errors.Is(err, io.EOF) {
		err = errors.New("input/output error")
	}
	return n, err
}

func TestReadError(t *testing.T) {
	for _, text := range []string{whole("a") + "\n", whole("a"), whole("a") + "\n[\n"} {
		r := NewReader(failing{strings.NewReader(text)}, "disk\x1b[31m.log", Options{})
		res := drain(t, r)
		last := res.problems[len(res.problems)-1]
		if res.ids() != "a" || last.Kind != unreadable || last.Skipped {
			t.Errorf("events %q, problems %q", res.ids(), res.kinds())
		}
		if got := last.Error(); !strings.Contains(got, `disk\u001b[31m.log:`) || !strings.Contains(got, "input/output error: what came before is kept") {
			t.Errorf("problem reads %q", got)
		}
	}
}

// TestAgainstEncodingJSON compares every field with what encoding/json makes of the same line.
func TestAgainstEncodingJSON(t *testing.T) {
	data, err := os.ReadFile("testdata/audit.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	compared := 0
	for line := range strings.Lines(string(data)) {
		var want map[string]any
		if json.Unmarshal([]byte(line), &want) != nil || want["apiVersion"] != "audit.k8s.io/v1" {
			continue
		}
		res := read(t, Options{KeepRaw: true}, line)
		if len(res.events) != 1 {
			continue // a line that the summary's golden file speaks of
		}
		compared++
		e := res.events[0]
		var raw map[string]any
		if err := json.Unmarshal(e.Raw, &raw); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, raw); diff != "" {
			t.Errorf("raw (-want +got):\n%s", diff)
		}
		text := func(path ...string) string {
			var v any = want
			for _, p := range path {
				m, _ := v.(map[string]any)
				v = m[p]
			}
			s, _ := v.(string)
			return s
		}
		ref := ObjectRef{}
		if e.ObjectRef != nil {
			ref = *e.ObjectRef
		}
		for _, c := range []struct{ name, got, want string }{
			{"auditID", e.AuditID, text("auditID")},
			{"level", e.Level, text("level")},
			{"verb", e.Verb, text("verb")},
			{"stage", e.Stages[0].Name, text("stage")},
			{"requestURI", e.RequestURI, text("requestURI")},
			{"userAgent", e.UserAgent, text("userAgent")},
			{"username", e.User.Username, text("user", "username")},
			{"uid", e.User.UID, text("user", "uid")},
			{"resource", ref.Resource, text("objectRef", "resource")},
			{"subresource", ref.Subresource, text("objectRef", "subresource")},
			{"namespace", ref.Namespace, text("objectRef", "namespace")},
			{"name", ref.Name, text("objectRef", "name")},
			{"apiGroup", ref.APIGroup, text("objectRef", "apiGroup")},
			{"apiVersion", ref.APIVersion, text("objectRef", "apiVersion")},
			{"decision", e.Annotations["authorization.k8s.io/decision"], text("annotations", "authorization.k8s.io/decision")},
		} {
			if c.got != c.want {
				t.Errorf("%s of %s: %q, want %q", c.name, e.AuditID, c.got, c.want)
			}
		}
		if (e.ObjectRef != nil) != (want["objectRef"] != nil) || (e.ImpersonatedUser != nil) != (want["impersonatedUser"] != nil) {
			t.Errorf("%s: objectRef %v, impersonated user %v", e.AuditID, e.ObjectRef, e.ImpersonatedUser)
		}
		for name, got := range map[string][]byte{"requestObject": e.RequestObject, "responseObject": e.ResponseObject} {
			var v any
			if got != nil {
				if err := json.Unmarshal(got, &v); err != nil {
					t.Error(err)
				}
			}
			if diff := cmp.Diff(want[name], v); diff != "" {
				t.Errorf("%s of %s (-want +got):\n%s", name, e.AuditID, diff)
			}
		}
		if at, err := time.Parse(time.RFC3339Nano, text("requestReceivedTimestamp")); err == nil && !e.RequestReceived.Equal(at) {
			t.Errorf("%s received %v, want %v", e.AuditID, e.RequestReceived, at)
		}
	}
	if compared < 12 {
		t.Errorf("only %d lines compared", compared)
	}
}
