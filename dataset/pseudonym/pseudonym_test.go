package pseudonym

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"k8ntext/dataset/audit"
	"k8ntext/dataset/identity"
	"k8ntext/dataset/label"
)

// TestReplace: what goes and what stays, on lines as they are logged.
func TestReplace(t *testing.T) {
	lines := []string{
		`{"kind":"Event","verb":"create","requestURI":"/apis/apps/v1/namespaces/shop/deployments?fieldSelector=metadata.name%3Dpayments-web&limit=5","user":{"username":"alice@acme.example","groups":["acme:devs","system:authenticated"]},"sourceIPs":["10.1.2.3","203.0.113.7","127.0.0.1","2001:db8::7"],"userAgent":"acme-deployer/v1.2 (linux/amd64)","objectRef":{"resource":"deployments","namespace":"shop","name":"payments-web","apiGroup":"apps"},"requestObject":{"kind":"Deployment","metadata":{"name":"payments-web","labels":{"app":"payments-web","acme.example/team":"red"},"annotations":{"acme.example/owner":"bob the builder","kubectl.kubernetes.io/last-applied-configuration":"{\"metadata\":{\"name\":\"payments-web\"}}\n"}},"spec":{"template":{"spec":{"containers":[{"name":"main","image":"registry.acme.example:5000/team/web:1.2@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef","env":[{"name":"DB","value":"db.acme.example"}],"command":["run","acme"]}]}}}}}`,
		`{"kind":"Event","verb":"create","user":{"username":"system:serviceaccount:kube-system:replicaset-controller","groups":["system:serviceaccounts:kube-system"]},"userAgent":"kube-controller-manager/v1.34.4 (linux/amd64) kubernetes/0000000/system:serviceaccount:kube-system:replicaset-controller","objectRef":{"resource":"pods","namespace":"shop","name":"payments-web-6549f4f78d-2lpsv"},"responseObject":{"kind":"Pod","metadata":{"name":"payments-web-6549f4f78d-2lpsv","generateName":"payments-web-6549f4f78d-","uid":"1ed478f4-7716-4c92-85d2-6d05abfef86e"},"message":"pods \"payments-web-6549f4f78d-2lpsv\" of alice@acme.example, see https://wiki.acme.example/help?x=1"}}`,
		`{"kind":"Event","verb":"get","user":{"username":"system:node:ip-10-1-2-3.acme.example"},"objectRef":{"resource":"nodes","name":"ip-10-1-2-3.acme.example"},"requestObject":{"kind":"ConfigMap","metadata":{"name":"kube-root-ca.crt","managedFields":[{"fieldsV1":{"f:metadata":{"f:labels":{"f:acme.example/team":{}}}}}]},"data":{"a":"acme"}}}`,
	}
	n := New([]byte("key"))
	for _, line := range lines {
		if err := n.Learn([]byte(line)); err != nil {
			t.Fatal(err)
		}
	}
	var out []string
	for _, line := range lines {
		replaced, err := n.Replace([]byte(line))
		if err != nil {
			t.Fatal(err)
		}
		if name, found := n.remains(replaced); found {
			t.Errorf("%q remains in %s", name, replaced)
		}
		out = append(out, string(replaced))
	}
	all := strings.Join(out, "\n")
	for _, gone := range []string{
		"alice", "acme", "shop", "payments", "web", "red", "bob", "deployer", "6549f4f78d", "2lpsv", "10.1.2.3", "203.0", "2001:db8", "10-1-2-3",
		"wiki", "help", "main\"", "0123456789abcdef", "team", "db.",
	} {
		if strings.Contains(all, gone) {
			t.Errorf("%q is still there:\n%s", gone, all)
		}
	}
	for _, stays := range []string{
		"/apis/apps/v1/namespaces/", "fieldSelector=metadata.name%3D", "&limit=5", `"system:serviceaccount:kube-system:replicaset-controller"`,
		`"system:authenticated"`, "127.0.0.1", `"resource":"deployments"`, "1ed478f4-7716-4c92-85d2-6d05abfef86e", `"kube-root-ca.crt"`, "/v1.2 (linux/amd64)",
		"kube-controller-manager/v1.34.4", "system:node:ip-10-", `"app":`, "@sha256:",
	} {
		if !strings.Contains(all, stays) {
			t.Errorf("%q is gone:\n%s", stays, all)
		}
	}
	web, set, pod := n.text("payments-web"), n.text("payments-web-6549f4f78d"), n.text("payments-web-6549f4f78d-2lpsv")
	if !strings.HasPrefix(set, web+"-") || !strings.HasPrefix(pod, set+"-") || len(pod)-len(set) != 6 {
		t.Errorf("%s, %s, %s: not derived from each other", web, set, pod)
	}
	again, err := New([]byte("key")), error(nil)
	for i := range lines { // another order
		err = again.Learn([]byte(lines[len(lines)-1-i]))
	}
	if err != nil || cmp.Diff(n.Mapping(), again.withAddresses(t, lines).Mapping()) != "" {
		t.Errorf("the same key gave another mapping: %v", cmp.Diff(n.Mapping(), again.Mapping()))
	}
	if other := New([]byte("other")); other.word("payments") == n.word("payments") || other.word("2lpsv") == n.word("2lpsv") {
		t.Error("another key gave the same pseudonyms")
	}
}

// withAddresses replaces once, which is when addresses get into the mapping.
func (n *Names) withAddresses(t *testing.T, lines []string) *Names {
	t.Helper()
	for _, line := range lines {
		if _, err := n.Replace([]byte(line)); err != nil {
			t.Fatal(err)
		}
	}
	return n
}

// TestWords: pseudonyms differ where words do, and stay what the words were: drawn ones drawn.
func TestWords(t *testing.T) {
	n := New([]byte("k"))
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.StringOfN(rapid.RuneFrom([]rune(alphabet)), 5, 10, -1)
		a, b := words.Draw(t, "a"), words.Draw(t, "b")
		pa, pb := n.word(a), n.word(b)
		if (a == b) != (pa == pb) {
			t.Fatalf("%s and %s: %s and %s", a, b, pa, pb)
		}
		if generated(a) && !n.stays(a) && (!generated(pa) || len(pa) != len(a)) {
			t.Fatalf("%s: %s", a, pa)
		}
	})
	if n.clash != nil {
		t.Error(n.clash)
	}
	for _, w := range []string{"pods", "Pod", "42", "v1", "v1beta1", "kube"} {
		if n.word(w) != w {
			t.Errorf("%s became %s", w, n.word(w))
		}
	}
}

// TestIsomorphic: a whole recording, with other names, gives the same labels, the same rules and the
// same objects with the same ties, event by event.
func TestIsomorphic(t *testing.T) {
	if testing.Short() {
		t.Skip("reads a corpus three times")
	}
	ctx := context.Background()
	n := New([]byte("isomorphic"))
	if err := eachLine(ctx, "sequential-1.34", n.Learn); err != nil {
		t.Fatal(err)
	}
	var original, renamed bytes.Buffer
	number := 0
	err := eachLine(ctx, "sequential-1.34", func(line []byte) error {
		number++
		out, err := n.Replace(line)
		if name, found := n.remains(out); found {
			t.Errorf("line %d: %s %q remains", number, n.listed[name], name)
		}
		fmt.Fprintf(&original, "%s\n", line)
		fmt.Fprintf(&renamed, "%s\n", out)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	changed := 0
	for _, p := range n.Mapping() {
		if p.Name == "alice" || strings.HasPrefix(p.Name, "ns-") {
			changed++
		}
	}
	if changed < 20 {
		t.Errorf("only %d of the recording's users and namespaces were renamed", changed)
	}

	before := audit.NewReader(&original, "before", audit.Options{})
	after := audit.NewReader(&renamed, "after", audit.Options{})
	space := label.Default()
	one, two := identity.NewTracker(identity.Options{}), identity.NewTracker(identity.Options{})
	events := 0
	for {
		a, errA := before.Next()
		b, errB := after.Next()
		if errA != errB {
			t.Fatalf("event %d: %v, %v", events, errA, errB)
		}
		if errA == io.EOF {
			break
		}
		if a.Event == nil || b.Event == nil {
			t.Fatalf("event %d: %v, %v", events, a.Problem, b.Problem)
		}
		if x, y := space.Own(a.Event), space.Own(b.Event); x != y {
			t.Fatalf("event %d: own label %s became %s: %s and %s", events, space.Describe(x), space.Describe(y), a.Event.RequestURI, b.Event.RequestURI)
		}
		x, rx := space.Rule(a.Event)
		y, ry := space.Rule(b.Event)
		if x != y || rx != ry {
			t.Fatalf("event %d: rule %s became %s", events, rx, ry)
		}
		if diff := cmp.Diff(one.Observe(a.Event), two.Observe(b.Event)); diff != "" {
			t.Fatalf("event %d %s, %s: other objects or ties: %s", events, a.Event.RequestURI, b.Event.RequestURI, diff)
		}
		events++
	}
	if events < 10_000 {
		t.Errorf("only %d events", events)
	}
}

// TestRewrite: a log with secrets, names and a line that is no JSON, from file to file; and one that
// names something as the format does.
func TestRewrite(t *testing.T) {
	dir := t.TempDir()
	log := filepath.Join(dir, "log")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(log, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out := func() *os.File {
		t.Helper()
		f, err := os.CreateTemp(dir, "out")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	write(`{"objectRef":{"resource":"secrets","name":"vault"},"requestObject":{"kind":"Secret","data":{"a":"c2VjcmV0c2VjcmV0"}}}` + "\nno JSON\n" +
		`{"requestObject":{"kind":"Lease","spec":{"holderIdentity":"builder7_a7b4f8fb-14cf-483b-be7d-a2ab66d06ceb"}}}` + "\n")
	f := out()
	report, err := New([]byte("k")).Rewrite(context.Background(), log, f)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	if report.Lines != 2 || report.Skipped != 1 || report.Masked.SecretValues != 1 || report.Masked.Hosts == 0 {
		t.Errorf("report %+v", report)
	}
	for _, gone := range []string{"vault", "c2Vj", "builder7"} {
		if bytes.Contains(text, []byte(gone)) {
			t.Errorf("%q is still there: %s", gone, text)
		}
	}

	write(`{"objectRef":{"resource":"pods","name":"colour"},"requestObject":{"spec":{"colour":1}}}` + "\n")
	if _, err := New(nil).Rewrite(context.Background(), log, out()); err == nil || !strings.Contains(err.Error(), `line 1 of the result still has "colour"`) {
		t.Errorf("error %v", err)
	}
	keeping := New(nil)
	keeping.Keep("colour")
	if _, err := keeping.Rewrite(context.Background(), log, out()); err != nil {
		t.Error(err)
	}
}

// FuzzReplace: no line makes it panic, and what comes out is JSON that a second pass can read.
func FuzzReplace(f *testing.F) {
	f.Add([]byte(`{"user":{"username":"a"},"x":["{\"name\":\"b\"}",1e400,null]}`))
	f.Add([]byte("{\"requestURI\":\"/%zz?%=&continue=x\",\"name\":\"\xff\"}"))
	f.Fuzz(func(t *testing.T, line []byte) {
		n := New(nil)
		if n.Learn(line) != nil {
			return
		}
		out, err := n.Replace(line)
		if err != nil {
			t.Skip()
		}
		if err := n.Learn(out); err != nil {
			t.Errorf("%q: %v", out, err)
		}
	})
}
