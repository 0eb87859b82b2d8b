package dataset

import (
	"bytes"
	"compress/gzip"
	"context"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"k8ntext/dataset/label"
)

// request is one event of a made-up log.
type request struct {
	id, verb, user, uri string
	ref                 string // "resource group namespace name", - for none; empty: no objectRef
	truth               string // further keys of every line
}

// logOf writes requests a second apart, each with two stages.
func logOf(requests ...request) string {
	var b strings.Builder
	start := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	for i, r := range requests {
		received := start.Add(time.Duration(i) * time.Second)
		ref := ""
		if r.ref != "" {
			f := strings.Fields(r.ref)
			for j := range f {
				f[j] = strings.TrimPrefix(f[j], "-")
			}
			ref = fmt.Sprintf(`,"objectRef":{"resource":%q,"apiGroup":%q,"namespace":%q,"name":%q,"apiVersion":"v1"}`, f[0], f[1], f[2], f[3])
		}
		truth := r.truth
		if truth != "" {
			truth = "," + truth
		}
		for j, stage := range []string{"RequestReceived", "ResponseComplete"} {
			fmt.Fprintf(&b, `{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":%q,"stage":%q,"requestURI":%q,"verb":%q,"user":{"username":%q},"userAgent":"kubectl/v1.33.1 (linux/amd64)"%s,"requestReceivedTimestamp":%q,"stageTimestamp":%q%s}`+"\n",
				r.id, stage, r.uri, r.verb, r.user, ref, received.Format("2006-01-02T15:04:05.000000Z"), received.Add(time.Duration(j)*time.Millisecond).Format("2006-01-02T15:04:05.000000Z"), truth)
		}
	}
	return b.String()
}

// scenario is a small labelled log: what came before, a person's delete of a ReplicaSet and what it
// caused, a lease, an unsure event, a discovery request and a custom resource.
func scenario() []request {
	return []request{
		{"e0", "get", "system:apiserver", "/api/v1/nodes", "nodes - - -", `"context":"bg-0","trigger":true,"attribution":"before-start"`},
		{"e1", "get", "admin", "/api/v1/nodes", "nodes - - -", `"context":"bg-1","trigger":true,"attribution":"harness"`},
		{"e2", "delete", "alice", "/apis/apps/v1/namespaces/a/replicasets/r", "replicasets apps a r", `"context":"a1","trigger":true,"attribution":"direct","operation":"op1"`},
		{"e3", "update", "system:kube-scheduler", "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/kube-scheduler", "leases coordination.k8s.io kube-system kube-scheduler", `"context":"bg-2","trigger":true,"attribution":"background:lease"`},
		{"e4", "delete", "system:serviceaccount:kube-system:generic-garbage-collector", "/api/v1/namespaces/a/pods/p", "pods - a p", `"context":"a1","trigger":false,"attribution":"gc"`},
		{"e5", "get", "system:node:n", "/api/v1/namespaces/a/pods/p", "pods - a p", `"context":null,"trigger":false,"attribution":"ambiguous","candidates":["a1","a2"]`},
		{"e6", "get", "alice", "/api?timeout=32s", "", `"context":"a2","trigger":false,"attribution":"direct"`},
		{"e7", "create", "alice", "/apis/example.org/v1/namespaces/a/things", "things example.org a -", `"context":"a2","trigger":true,"attribution":"direct","parent":"a1"`},
	}
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

func mustLoad(t *testing.T, file string, space *label.Space) *Corpus {
	t.Helper()
	c, err := Load(context.Background(), file, space)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestLoad(t *testing.T) {
	c := mustLoad(t, write(t, "log.jsonl", logOf(scenario()...)), nil)
	var ids []string
	for _, e := range c.Events {
		ids = append(ids, e.AuditID)
	}
	if diff := cmp.Diff([]string{"e2", "e3", "e4", "e5", "e6", "e7"}, ids); diff != "" {
		t.Error(diff)
	}
	if want := (Dropped{BeforeStart: 1, Harness: 1}); c.Dropped != want {
		t.Errorf("dropped %+v, want %+v", c.Dropped, want)
	}
	var names, own []string
	for i := range c.Events {
		names = append(names, c.Space.Describe(c.Labels[i]))
		own = append(own, c.Space.Describe(c.Own[i]))
	}
	if diff := cmp.Diff([]string{
		"delete apps/replicasets (one, namespaced)",
		"update coordination.k8s.io/leases (one, namespaced)",
		"delete apps/replicasets (one, namespaced)",
		"unknown",
		"create example.org/* (unnamed, namespaced)",
		"create example.org/* (unnamed, namespaced)",
	}, names); diff != "" {
		t.Error("labels", diff)
	}
	if diff := cmp.Diff([]string{
		"delete apps/replicasets (one, namespaced)",
		"update coordination.k8s.io/leases (one, namespaced)",
		"delete core/pods (one, namespaced)",
		"get core/pods (one, namespaced)",
		"nonresource",
		"create example.org/* (unnamed, namespaced)",
	}, own); diff != "" {
		t.Error("own labels", diff)
	}
	if diff := cmp.Diff([]int32{0, 1, 0, -1, 2, 2}, c.Context); diff != "" {
		t.Error("context", diff)
	}
	if diff := cmp.Diff([]Context{
		{ID: "a1", Operation: "op1", Trigger: 0, User: true, Events: []int32{0, 2}},
		{ID: "bg-2", Trigger: 1, Events: []int32{1}},
		{ID: "a2", Parent: "a1", Trigger: 5, User: true, Events: []int32{4, 5}},
	}, c.Contexts); diff != "" {
		t.Error("contexts", diff)
	}
	if diff := cmp.Diff([]Class{User | Trigger, Trigger | ByRule, User, Ambiguous, User | NonResource, User | Trigger}, c.Class); diff != "" {
		t.Error("class", diff)
	}
	if want := (Counts{
		RawLines: 16, DroppedStart: 1, DroppedHarness: 1, Events: 6, Labels: 3, Contexts: 3, UserContexts: 2, UserEvents: 4,
		NonTriggerEvents: 2, BackgroundEvents: 1, ByRuleEvents: 1, AmbiguousEvents: 1, NonResourceEvents: 1, OwnWrongEvents: 2,
	}); c.Count() != want {
		t.Errorf("counts\n got %+v\nwant %+v", c.Count(), want)
	}
	if got := c.Space.CRDGroups(); !slices.Equal(got, []string{"example.org"}) {
		t.Errorf("custom groups %q", got)
	}
	if !c.Labelled() || c.Manifest != nil {
		t.Errorf("labelled %v, manifest %v", c.Labelled(), c.Manifest)
	}
}

// A context whose trigger is not in the log has no label.
func TestLoadWithoutTrigger(t *testing.T) {
	requests := slices.DeleteFunc(scenario(), func(r request) bool { return r.id == "e2" })
	c := mustLoad(t, write(t, "log.jsonl", logOf(requests...)), nil)
	for i, e := range c.Events {
		if e.AuditID == "e4" && (c.Labels[i] != label.Unknown || c.Class[i] != 0 || c.Contexts[c.Context[i]].Trigger != -1) {
			t.Errorf("label %v, class %b, context %+v", c.Labels[i], c.Class[i], c.Contexts[c.Context[i]])
		}
	}
}

// A CI account is a service account: its contexts are a user's by their operation. Without one the name counts.
func TestLoadUsers(t *testing.T) {
	const ci, controller = "system:serviceaccount:team-blue:worker", "system:serviceaccount:kube-system:job-controller"
	truth := func(trigger bool, operation string) string {
		text := fmt.Sprintf(`"context":"x","trigger":%v,"attribution":"direct"`, trigger)
		if operation != "" {
			text += fmt.Sprintf(`,"operation":%q`, operation)
		}
		return text
	}
	for _, test := range []struct {
		name, user string
		trigger    bool
		operation  string
		want       bool
	}{
		{"person", "alice", true, "", true},
		{"person's command", "alice", true, "op1", true},
		{"CI account's command", ci, true, "op1", true},
		{"service account without a command", ci, true, "", false},
		{"controller", controller, true, "", false},
		{"nobody the server knows", "", true, "", false},
		{"command of one whose credentials have run out", "", true, "op1", true},
		{"command whose trigger is not in the log", controller, false, "op1", true},
		{"no trigger in the log", "alice", false, "", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := mustLoad(t, write(t, "log.jsonl", logOf(request{
				"e1", "create", test.user, "/api/v1/namespaces/a/pods", "pods - a p", truth(test.trigger, test.operation),
			})), nil)
			if got := c.Contexts[0].User; got != test.want || c.Class[0].Has(User) != test.want {
				t.Errorf("a user's: %v, class %b; want %v", got, c.Class[0], test.want)
			}
		})
	}
}

// The reference's files have numbers for labels, and a group that its labelling tool wrote.
func TestLoadReferenceFormat(t *testing.T) {
	text := logOf(
		request{"r0", "delete", "alice", "/apis/apps/v1/namespaces/a/replicasets/r", "replicasets apps a r", `"label":70048`},
		request{"r1", "delete", "system:serviceaccount:kube-system:generic-garbage-collector", "/api/v1/namespaces/a/pods/p", "pods core a p", `"label":70048`},
		request{"r2", "get", "alice", "/api/v1/pods", "pods core - -", `"label":-2`},
		request{"r3", "get", "alice", "/api/v1/pods", "pods core - -", `"label":99999999999`},
		request{"r4", "get", "alice", "/api/v1/pods", "pods core - -", ""},
	)
	text = strings.ReplaceAll(text, `"namespace":""`, `"namespace":null`)
	file := write(t, "0-stitched-category-1n.json_apionly", text)
	for _, space := range []*label.Space{nil, label.Paper(), label.Default("example.org")} {
		c := mustLoad(t, file, space)
		var names []string
		for _, l := range c.Labels {
			names = append(names, c.Space.Describe(l))
		}
		const wanted = "delete apps/replicasets (one, namespaced)"
		if diff := cmp.Diff([]string{wanted, wanted, "unknown", "unknown", "unknown"}, names); diff != "" {
			t.Error(diff)
		}
		if got := c.Space.Describe(c.Own[1]); got != "delete core/pods (one, namespaced)" || c.Events[1].ObjectRef.APIGroup != "" {
			t.Errorf("own label %s, group %q: the group core is the labelling tool's", got, c.Events[1].ObjectRef.APIGroup)
		}
		if len(c.Contexts) != 0 || slices.ContainsFunc(c.Context, func(x int32) bool { return x != -1 }) || !c.Labelled() {
			t.Errorf("contexts %v of a format without", c.Contexts)
		}
		if slices.ContainsFunc(c.Class, func(f Class) bool { return f != 0 }) {
			t.Errorf("classes %b cannot be known", c.Class)
		}
	}
}

func TestLoadUnlabelled(t *testing.T) {
	requests := scenario()
	for i := range requests {
		requests[i].truth = ""
	}
	c := mustLoad(t, write(t, "audit.log", logOf(requests...)), nil)
	if c.Labelled() || len(c.Events) != 8 || c.Class[6] != NonResource || c.Own[2] == label.Unknown {
		t.Errorf("labelled %v, %d events, classes %b", c.Labelled(), len(c.Events), c.Class)
	}
	if _, err := SplitAll(c, AllOptions{Length: 2}); err == nil || !strings.Contains(err.Error(), "known label") {
		t.Errorf("split: %v", err)
	}
}

func TestLoadCompressed(t *testing.T) {
	text := logOf(scenario()...)
	want := mustLoad(t, write(t, "a.jsonl", text), nil)
	var zipped, zst bytes.Buffer
	z := gzip.NewWriter(&zipped)
	_, _ = z.Write([]byte(text))
	_ = z.Close()
	enc, err := zstd.NewWriter(&zst)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = enc.Write([]byte(text))
	_ = enc.Close()
	for _, file := range []string{write(t, "a.gz", zipped.String()), write(t, "a.zst", zst.String()), write(t, "none", text+"\n\n")} {
		if c := mustLoad(t, file, nil); c.Digest != want.Digest {
			t.Errorf("%s: digest %s, want %s", file, c.Digest, want.Digest)
		}
	}
}

// The digest tells events and truth apart, and nothing else.
func TestDigest(t *testing.T) {
	digestOf := func(change func([]request)) string {
		requests := scenario()
		change(requests)
		return mustLoad(t, write(t, "log.jsonl", logOf(requests...)), nil).Digest
	}
	want := digestOf(func([]request) {})
	if got := digestOf(func(r []request) { r[0].uri = "/api/v1/other" }); got != want {
		t.Error("a dropped event changed the digest")
	}
	seen := map[string]string{want: "nothing"}
	for name, change := range map[string]func([]request){
		"event":      func(r []request) { r[2].uri += "x" },
		"order":      func(r []request) { r[2], r[3] = r[3], r[2] },
		"context":    func(r []request) { r[4].truth = strings.Replace(r[4].truth, "a1", "a2", 1) },
		"trigger":    func(r []request) { r[4].truth = strings.Replace(r[4].truth, "false", "true", 1) },
		"operation":  func(r []request) { r[2].truth = strings.Replace(r[2].truth, "op1", "op2", 1) },
		"parent":     func(r []request) { r[7].truth = strings.Replace(r[7].truth, "a1", "a3", 1) },
		"candidates": func(r []request) { r[5].truth = strings.Replace(r[5].truth, `"a1","a2"`, `"a1"`, 1) },
		"label":      func(r []request) { r[5].truth = `"label":70048` },
	} {
		got := digestOf(change)
		if other, ok := seen[got]; ok {
			t.Errorf("changing %s gives the digest of changing %s", name, other)
		}
		seen[got] = name
	}
}

func TestLoadErrors(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"", "", `is neither a corpus nor a file: the nearest is sequential-1.34; there are: sequential-1.34`},
		{"empty.log", "\n", "no valid audit event in it: give an audit log as JSON lines"},
		{"text.log", "hello\n", "no valid audit event in it, the first problem being"},
		{"object.log", `{"kind":"Pod"}`, "no valid audit event"},
		{"cut.zst", "\x28\xb5\x2f\xfd", "no valid audit event"},
	} {
		name := "sequental-1.34"
		if test.name != "" {
			name = write(t, test.name, test.text)
		}
		_, err := Load(context.Background(), name, nil)
		if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), filepath.Base(name)) {
			t.Errorf("%s: %v, want ... %s", name, err, test.want)
		}
	}
	if _, err := Load(context.Background(), "no/such/file", nil); err == nil || !strings.Contains(err.Error(), "no/such/file: no such file") {
		t.Errorf("a path: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Load(ctx, "sequential-1.34", nil); err == nil {
		t.Error("loading went on after it was cancelled")
	}
}

// One bad line costs that line.
func TestLoadDamaged(t *testing.T) {
	lines := strings.SplitAfter(logOf(scenario()...), "\n")
	text := "garbage\n" + strings.Join(lines[:8], "") + "\x00\x00\x00\n" + strings.Join(lines[8:], "")
	c := mustLoad(t, write(t, "log.jsonl", text[:len(text)-40]), nil)
	if len(c.Events) != 6 || len(c.Read.Problems) == 0 {
		t.Errorf("%d events, problems %v", len(c.Events), c.Read.Problems)
	}
}

// What TESTBED.md says of the recording, and what its manifest says.
func TestEmbedded(t *testing.T) {
	c := sequential(t)
	n := c.Count()
	if n.RawLines != 22323 || n.Events+n.DroppedStart+n.DroppedHarness != 10841 || n.UserContexts != 1006 || n.AmbiguousEvents != 19 || len(c.Events) != 9802 {
		t.Errorf("%+v", n)
	}
	if n != c.Manifest.Counts || c.Digest != c.Manifest.Digest {
		t.Errorf("measured %+v, %s; the manifest says %+v, %s", n, c.Digest, c.Manifest.Counts, c.Manifest.Digest)
	}
	if got := c.Space.CRDGroups(); !slices.Equal(got, []string{"g-kd0045.example.org"}) {
		t.Errorf("custom groups %q", got)
	}
	for i := 1; i < len(c.Events); i++ {
		if c.Events[i].RequestReceived.Before(c.Events[i-1].RequestReceived) {
			t.Fatalf("event %d came before the one before it", i)
		}
	}
	for x, context := range c.Contexts {
		if context.Trigger < 0 || !slices.IsSorted(context.Events) || c.Context[context.Trigger] != int32(x) || !c.Class[context.Trigger].Has(Trigger) {
			t.Fatalf("context %d: %+v", x, context)
		}
		if context.User != strings.HasPrefix(context.ID, "a") { // the recording's own way to tell
			t.Errorf("context %s: started by a user: %v", context.ID, context.User)
		}
	}
}

// committed are the files of the corpora of this repository; if short, only the embedded one.
func committed(t *testing.T) []string {
	if testing.Short() {
		return []string{filepath.Join("corpora", "sequential-1.34"+corpusSuffix)}
	}
	files, err := filepath.Glob(filepath.Join("corpora", "*"+corpusSuffix))
	if err != nil || len(files) < 2 {
		t.Fatal(files, err)
	}
	return files
}

var update = flag.Bool("update", false, "measure the committed corpora anew and write their manifests")

func TestVerifyCommitted(t *testing.T) {
	for _, file := range committed(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			if *update {
				remeasure(t, file)
			}
			checks, err := Verify(context.Background(), file)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range checks {
				if c.Err != nil {
					t.Errorf("%s: %v", c.Name, c.Err)
				}
			}
			if len(checks) != 6 {
				t.Errorf("checks %v", checks)
			}
			if info, err := os.Stat(file); err != nil || info.Size() > 6<<20 {
				t.Errorf("%v, %v: a committed corpus may have 6 MiB", info.Size(), err)
			}
		})
	}
}

// remeasure writes the manifest of a corpus with the counts that its events have now. What the events are
// must not have changed: that is for an import.
func remeasure(t *testing.T, file string) {
	t.Helper()
	m, data, err := open(file)
	if err != nil {
		t.Fatal(err)
	}
	was := m.Measured
	if err := m.measure(mustLoad(t, file, nil), data); err != nil {
		t.Fatal(err)
	}
	if m.SHA256 != was.SHA256 || m.ContentSHA256 != was.ContentSHA256 || m.Digest != was.Digest {
		t.Fatalf("%s is another recording than its manifest says: import it", file)
	}
	text, err := m.encode()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(strings.TrimSuffix(file, corpusSuffix)+manifestSuffix, text, 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestNamed(t *testing.T) {
	manifest := func(name string) *fstest.MapFile { return &fstest.MapFile{Data: fmt.Appendf(nil, "name = %q\n", name)} }
	folders := []fs.FS{
		os.DirFS("there is no such folder"),
		fstest.MapFS{"a.jsonl.zst": {Data: []byte("first")}, "a.toml": manifest("a"), "bare.jsonl.zst": {}, "Not a name.jsonl.zst": {}, "b.toml": {}},
		fstest.MapFS{"a.jsonl.zst": {Data: []byte("second")}, "c.jsonl.zst": {Data: []byte("third")}, "c.toml": manifest("c")},
	}
	if got, want := namesIn(folders), []string{"a", "bare", "c"}; !slices.Equal(got, want) {
		t.Errorf("names %q, want %q", got, want)
	}
	for name, want := range map[string]string{"a": "first", "c": "third"} {
		if _, file, err := namedIn(folders, name); string(file) != want || err != nil {
			t.Errorf("%s: %q, %v; want %q", name, file, err, want)
		}
	}
	for name, want := range map[string]string{"bare": "no manifest", "b": "no such corpus", "../a": "no such corpus", "": "no such corpus"} {
		if _, _, err := namedIn(folders, name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", name, err, want)
		}
	}
	if _, _, err := named("sequential-1.34"); err != nil {
		t.Error(err)
	}
}

// Beside the scan that Verify does: patterns of this test's own, over the bytes as they are.
func TestCommittedHaveNoSecrets(t *testing.T) {
	patterns := []struct{ literal, pattern string }{ // a line without the literal cannot match
		{"eyJ", `eyJ[A-Za-z0-9_-]{5}`},
		{"PRIVATE KEY", `PRIVATE KEY-----(\\n)*[^\\T-]`},
		{"BEGIN ", `BEGIN [A-Z ]*-----\\n[^T]`},
		{"LS0tLS1CRUdJTi", `LS0tLS1CRUdJTi[A-Za-z0-9+/]{100}`}, // a masked block is shorter
		{"token", `"token\\*":\\*"[^"\\MT]`},
		{"password", `"password\\*":\\*"[^"\\MT]`},
		{"MI", `[^A-Za-z]MI[EGHI][A-Za-z0-9+/]{60}`},
		{"vm", `\bvm\b`},
		{"AKIA", `AKIA[A-Z0-9]{8}`},
		{"/home/", `/home/[a-z]`},
		{"/root/", `/root/[a-z]`},
	}
	compiled := make([]*regexp.Regexp, len(patterns))
	for i, p := range patterns {
		compiled[i] = regexp.MustCompile(p.pattern)
	}
	for _, name := range committed(t) {
		var raw bytes.Buffer
		if err := Export(context.Background(), name, &raw); err != nil {
			t.Fatal(err)
		}
		n := 0
		for line := range bytes.Lines(raw.Bytes()) {
			n++
			for i, p := range patterns {
				if bytes.Contains(line, []byte(p.literal)) && compiled[i].Match(line) {
					t.Errorf("%s, line %d has something that %s matches", name, n, p.pattern)
				}
			}
		}
		if n < 1000 {
			t.Errorf("%s: only %d lines were looked at", name, n)
		}
	}
}

// The scan must find what is planted in a corpus, wherever.
func TestScanFindsInCorpus(t *testing.T) {
	var raw bytes.Buffer
	if err := Export(context.Background(), "sequential-1.34", &raw); err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(raw.Bytes(), []byte("\n"))[3000:3400]
	if f := scanned(t, string(bytes.Join(lines, nil))); len(f) > 0 {
		t.Fatalf("%v before anything was planted", f)
	}
	i := 0
	for name, secret := range secrets() {
		spoilt := slices.Clone(lines)
		at := i * 17 % len(lines)
		i++
		spoilt[at] = slices.Concat([]byte(`{"requestObject":`), []byte(secret), []byte(`,`), lines[at][1:])
		f := scanned(t, string(bytes.Join(spoilt, nil)))
		if len(f) == 0 || f[0].Line != at+1 {
			t.Errorf("%s planted in line %d: found %v", name, at+1, f)
		}
	}
}
