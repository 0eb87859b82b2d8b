package page

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"

	"k8ntext/contexts"
	"k8ntext/dataset/audit"
	"k8ntext/dataset/identity"
	"k8ntext/dataset/label"
	"k8ntext/query"
)

var pictures = flag.String("pictures", "", "folder to write screenshots of the page to")

// hostile is what a log may bring along.
const hostile = `</script><script>document.title="pwned"</script><img src=x onerror=alert(1)>"'` + "\x1b[31m\u202e"

func request(at time.Duration, user, verb, resource, namespace, name string, code int) *audit.Event {
	e := &audit.Event{
		Verb: verb, User: audit.User{Username: user}, UserAgent: "kubectl/v1.34", RequestURI: "/api/v1/" + resource + "?token=secret-of-query",
		RequestReceived: time.Date(2026, 11, 22, 5, 4, 3, 0, time.UTC).Add(at), ObjectRef: &audit.ObjectRef{Resource: resource, Namespace: namespace, Name: name},
		RequestObject: []byte(`{"data":{"password":"c2VjcmV0LW9mLWJvZHk="}}`), SourceIPs: []string{"192.0.2.77"},
		Annotations: map[string]string{"note": "secret-of-annotation"},
	}
	if code != 0 {
		e.ResponseStatus = &audit.ResponseStatus{Code: code}
	}
	if resource == "" {
		e.ObjectRef, e.RequestURI = nil, "/healthz"
	}
	return e
}

// shop is a log with six contexts, as the query's and the page's.
func shop() (Log, []query.Context) {
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	kcm := "system:kube-controller-manager"
	lists := [][]*audit.Event{
		{
			request(0, "alice", "create", "namespaces", "", "shop", 201), request(ms(9), kcm, "create", "configmaps", "shop", "kube-root-ca.crt", 201),
			request(ms(20), kcm, "create", "serviceaccounts", "shop", "default", 201),
		},
		{request(ms(1000), "bob", "delete", "pods", "shop", "web-1", 404)},
		{request(ms(2000), "alice", "create", "secrets", "shop", hostile, 403)},
		{request(ms(3000), hostile, "list", "pods", "", "", 200)},
		{request(ms(4000), "system:node:a", "update", "leases", "kube-node-lease", "a", 200)},
		{request(ms(5000), "carol", "get", "", "", "", 0)},
	}
	space := label.Default()
	l := Log{Name: "shop " + hostile, Level: "identity", Space: space}
	var asked []query.Context
	var events []*Event
	for i, list := range lists {
		c := &contexts.Context{ID: fmt.Sprintf("c%d", len(events)), Label: space.Own(list[0]), First: list[0].RequestReceived, Last: list[len(list)-1].RequestReceived}
		t := list[0]
		c.Actor, c.Verb, c.URI, c.User = contexts.Actor{User: t.User.Username, Agent: t.UserAgent}, t.Verb, t.RequestURI, !strings.HasPrefix(t.User.Username, "system:")
		if o := t.ObjectRef; o != nil {
			c.Object = identity.Object{Resource: o.Resource, Namespace: o.Namespace, Name: o.Name}
		}
		if t.ResponseStatus != nil {
			c.Outcome = t.ResponseStatus.Code
		}
		c.Trigger = contexts.Trigger{Event: len(events), Line: len(events) + 1}
		if i == 5 {
			c.Trigger = contexts.Trigger{Event: -1, Line: -1}
		}
		q := query.Context{ID: c.ID, Label: space.Describe(c.Label), Events: list}
		if i != 5 {
			q.Trigger = t
		}
		for _, e := range list {
			c.Members = append(c.Members, contexts.Member{Event: len(events), Line: len(events) + 1, Confidence: 1})
			x := Extract(e, space)
			events = append(events, &x)
		}
		l.Contexts = append(l.Contexts, c)
		asked = append(asked, q)
	}
	l.Event = func(n int) *Event { return events[n] }
	return l, asked
}

func write(t *testing.T, l Log) string {
	t.Helper()
	var b bytes.Buffer
	if err := HTML(&b, l); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestPageIsHarmless(t *testing.T) {
	l, _ := shop()
	text := write(t, l)
	for _, bad := range []string{"<img", "\x1b", "\u202e", `"pwned"`, "secret-of", "c2VjcmV0", "192.0.2.77", "http://www.", "https://", "@import", "url("} {
		if n := strings.Count(text, bad); n > 0 && !(bad == "http://www." && n == strings.Count(text, "http://www.w3.org/2000/svg")) {
			t.Errorf("%q is in the page", bad)
		}
	}
	if n := strings.Count(text, "<script"); n != 2 {
		t.Errorf("%d scripts", n)
	}
	if !strings.Contains(text, `default-src 'none'`) {
		t.Error("the page may load things")
	}
	if err := HTML(new(bytes.Buffer), Log{}); err == nil {
		t.Error("a log without contexts gives no error")
	}
}

// TestPageIsBounded: of a long log the page shows a part, and says so.
func TestPageIsBounded(t *testing.T) {
	l, _ := shop()
	one := *l.Contexts[0]
	for i := range 9000 {
		c := one
		c.ID = fmt.Sprintf("x%d", i)
		l.Contexts = append(l.Contexts, &c)
	}
	v, err := newView(l)
	if err != nil {
		t.Fatal(err)
	}
	if v.Events > MaxEvents || v.Left != len(l.Contexts)-len(v.Contexts) || v.Left == 0 {
		t.Errorf("%d events, %d contexts of %d, %d left", v.Events, len(v.Contexts), len(l.Contexts), v.Left)
	}
}

func chromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Skip("no chromium found: the page's script was not run (Debian: apt-get install chromium)")
	return ""
}

// browse runs a page in a browser and gives what it wrote to standard output.
func browse(t *testing.T, page, hash string, flags ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "page.html")
	if err := os.WriteFile(path, []byte(page), 0o644); err != nil {
		t.Fatal(err)
	}
	args := append([]string{
		"--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--user-data-dir=" + t.TempDir(), "--virtual-time-budget=4000",
	}, flags...)
	var out, problems bytes.Buffer
	cmd := exec.CommandContext(t.Context(), chromium(t), append(args, "file://"+path+hash)...)
	cmd.Stdout, cmd.Stderr = &out, &problems
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %s", err, problems.String())
	}
	return out.String()
}

// expressions are asked of the page and of the program.
var expressions = []string{
	``, `verb == "create"`, `verb != "create"`, `username == "alice" and exists(namespace)`, `username == "alice" or code >= 400`, `not code == 201`,
	`not (verb == "create" or verb == "list")`, `size > 1`, `1 <= size < 3`, `3 > size >= 1`, `any(name == "default")`, `all(verb == "create")`,
	`count(verb == "create") == 3`, `count(username == regexp("controller")) >= 1`, `any(code == 403) and size == 1`, `username == regexp("^system:")`,
	`username != regexp("^system:")`, `requestReceivedTimestamp < 2026-11-22T05:04:04Z`, `2026-11-22T05:04:04Z <= requesttime <= 2026-11-22T05:04:05Z`,
	`requesttime > 2026-11-22`, `requesttime > now-1h`, `namespace == ""`, `name == 'default'`, "verb == `delete`", `objectRef.namespace == "shop"`,
	`label == "delete core/pods (one, namespaced)"`, `id == "c3"`, `id != "c3"`, `exists(objectRef)`, `not exists(objectRef)`, `exists(code)`, `code != 201`,
	`userAgent == regexp("kubectl")`, `USERNAME == "bob"`, `verb == "create" and username == "alice" or verb == "delete"`, `name == "a\"b\\"`,
	`resource == "pods" and (verb == "delete" or verb == "list") and not exists(namespace)`, `requesttime == "2026-11-22T05:04:03Z"`, `size == 1.0`, `parent == ""`,
	// refused by both
	`verb = "x"`, `verb == `, `(verb == "x"`, `verb == "x")`, `verb == 3`, `code == "x"`, `frobnicate(verb)`, `verb == regexp("(")`, `verb < regexp("x")`,
	`1 < size > 3`, `1 < size < 3 < 4`, `verb`, `"x"`, `nosuchname == "x"`, `exists(verb == "x")`, `verb == "x" verb == "y"`, `any(verb)`, `verb == true`, `and`, `objectRef == "x"`,
}

// TestQueryInPage: the page's search box understands what the program does, and means the same.
func TestQueryInPage(t *testing.T) {
	l, asked := shop()
	type answer struct {
		Found []string
		Wrong bool
	}
	now := time.Date(2026, 11, 22, 6, 0, 0, 0, time.UTC)
	want := make(map[string]answer)
	for _, e := range expressions {
		a := answer{Found: []string{}}
		q, err := query.Compile(e, query.Options{Now: now, Space: l.Space})
		if err != nil {
			a.Wrong = true
		} else {
			for i := range asked {
				if ok, err := q.Match(&asked[i]); err != nil {
					t.Fatal(err)
				} else if ok {
					a.Found = append(a.Found, asked[i].ID)
				}
			}
		}
		want[e] = a
	}
	list, err := json.Marshal(expressions)
	if err != nil {
		t.Fatal(err)
	}
	probe := `<script>
const out = {};
for (const e of ` + strings.ReplaceAll(string(list), "<", `\u003c`) + `) {
  const a = { Found: [], Wrong: false };
  try { const test = k8ntext.compile(e, ` + fmt.Sprint(now.UnixMilli()) + `); for (const c of k8ntext.contexts) if (test(c)) a.Found.push(k8ntext.id(c)); } catch (err) { a.Wrong = true; }
  out[e] = a;
}
const pre = document.createElement("pre"); pre.id = "answers"; pre.textContent = "ANSWERS" + btoa(unescape(encodeURIComponent(JSON.stringify(out)))) + "END"; document.body.append(pre);
</script></body>`
	dom := browse(t, strings.Replace(write(t, l), "</body>", probe, 1), "", "--dump-dom")
	m := regexp.MustCompile(`ANSWERS([A-Za-z0-9+/=]*)END`).FindStringSubmatch(dom)
	if m == nil {
		t.Fatalf("the page gave no answers: %.2000s", dom)
	}
	var raw []byte
	if err := json.Unmarshal([]byte(`"`+m[1]+`"`), &raw); err != nil {
		t.Fatal(err)
	}
	got := make(map[string]answer)
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the page answers otherwise (-program +page):\n%s", diff)
	}
}

// TestPageInBrowser: each view shows what it should, and nothing of the log is run.
func TestPageInBrowser(t *testing.T) {
	l, _ := shop()
	text := write(t, l)
	for view, want := range map[string][]string{
		"":          {`<title>k8ntext: contexts of shop`, `5 of 6 contexts`, `<circle`, "alice"},
		"#list":     {`create namespaces`, `delete pods`, `404`, "&lt;/script&gt;"},
		"#c0":       {`<polyline`, "kube-root-ca.crt", "create core/configmaps (one, namespaced)", "(no namespace)", "3 in 20 ms"},
		"#lines/c0": {"bodies of 44 bytes", "5 actions", "/api/v1/namespaces"},
	} {
		dom := browse(t, text, view, "--dump-dom")
		for _, w := range want {
			if !strings.Contains(dom, w) {
				t.Errorf("%s: %q is missing", view, w)
			}
		}
		if strings.Contains(dom, "<title>pwned") || strings.Contains(dom, "<img") {
			t.Errorf("%s: the log was run", view)
		}
	}
}

// TestPagePictures draws the page for a person to look at: go test -run Pictures -pictures FOLDER.
func TestPagePictures(t *testing.T) {
	if *pictures == "" {
		t.Skip("no -pictures")
	}
	l, _ := shop()
	text := write(t, l)
	if other := os.Getenv("K8NTEXT_PAGE"); other != "" {
		b, err := os.ReadFile(other)
		if err != nil {
			t.Fatal(err)
		}
		text = string(b)
	}
	for name, hash := range map[string]string{"timeline": "", "list": "#list", "context": "#" + os.Getenv("K8NTEXT_CONTEXT"), "lines": "#lines"} {
		for _, size := range []string{"390,844", "1280,900"} {
			browse(t, text, hash, "--window-size="+size, "--screenshot="+filepath.Join(*pictures, name+"-"+strings.Split(size, ",")[0]+".png"))
		}
	}
}
