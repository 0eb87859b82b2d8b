package actor

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"

	"k8ntext/testbed/scenario"
)

// fakeCluster answers as a server would, and starts a shell where kubectl is meant.
type fakeCluster struct {
	dir    string
	url    string
	client kubernetes.Interface
	mu     sync.Mutex
	files  int
	faults []string
}

func (c *fakeCluster) write(user, token string) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.files++
	path := filepath.Join(c.dir, fmt.Sprintf("%d.kubeconfig", c.files))
	text := fmt.Sprintf(`{"apiVersion":"v1","kind":"Config","clusters":[{"name":"c","cluster":{"server":%q,"insecure-skip-tls-verify":true}}],
"users":[{"name":%q,"user":{"token":%q}}],"contexts":[{"name":"c","context":{"cluster":"c","user":%q}}],"current-context":"c"}`, c.url, user, token, user)
	return path, os.WriteFile(path, []byte(text), 0o600)
}

func (c *fakeCluster) Kubeconfig(user string, _ []string, _ time.Duration) (string, error) {
	return c.write(user, "")
}

func (c *fakeCluster) TokenKubeconfig(name, token string) (string, error) {
	return c.write(name, token)
}

func (c *fakeCluster) Command(ctx context.Context, argv ...string) *exec.Cmd {
	// The last word is the exit code, the name of the program goes to the output.
	return exec.CommandContext(ctx, "/bin/sh", "-c", `echo "$0"; exit "$1"`, argv[0], argv[len(argv)-1])
}
func (c *fakeCluster) Client() kubernetes.Interface { return c.client }
func (c *fakeCluster) fault(what string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults = append(c.faults, what)
	return nil
}
func (c *fakeCluster) Kill(name string) error  { return c.fault("kill " + name) }
func (c *fakeCluster) Start(name string) error { return c.fault("start " + name) }
func (c *fakeCluster) Reissue(name string, valid time.Duration) error {
	return c.fault(fmt.Sprintf("reissue %s %s", name, valid))
}
func (c *fakeCluster) AddNode() (string, error)        { return "node-9", c.fault("add") }
func (c *fakeCluster) RemoveNode(name string) error    { return c.fault("remove " + name) }
func (c *fakeCluster) WaitNodes(context.Context) error { return nil }
func (c *fakeCluster) AuditLog() string                { return filepath.Join(c.dir, "audit.log") }
func (c *fakeCluster) Version() string                 { return "v0" }
func (c *fakeCluster) Failed() <-chan struct{}         { return nil }
func (c *fakeCluster) Err() error                      { return nil }

// newRunner is a runner without the start of a recording.
func newRunner(t *testing.T, handler http.Handler, actions ...*scenario.Action) (*runner, *fakeCluster) {
	t.Helper()
	server := httptest.NewTLSServer(handler) // credentials are sent over TLS only
	t.Cleanup(server.Close)
	c := &fakeCluster{dir: t.TempDir(), url: server.URL, client: fake.NewClientset(
		&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web-1", Namespace: "shop", Labels: map[string]string{"app": "web"}}, Status: corev1.PodStatus{Phase: corev1.PodRunning}},
	)}
	lib := &scenario.Library{Roles: map[string]*scenario.Role{"admin": {Users: []string{"anna"}, Group: "admins"}}}
	j, err := newJournal(filepath.Join(c.dir, JournalFile))
	if err != nil {
		t.Fatal(err)
	}
	r := &runner{
		cluster: c, plan: &scenario.Plan{Mode: scenario.Sequential, Lanes: 1, Actions: actions}, tail: newTail(), journal: j, saved: map[string]string{},
		options: Options{Dir: c.dir, Library: lib, Progress: func(string, ...any) {}},
	}
	r.people = newPeople(c, lib)
	r.client = newClient(r.people)
	t.Cleanup(func() { _ = j.close() })
	return r, c
}

func readJournal(t *testing.T, dir string) []map[string]any {
	t.Helper()
	f, err := os.Open(filepath.Join(dir, JournalFile))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []map[string]any
	for s := bufio.NewScanner(f); s.Scan(); {
		m := map[string]any{}
		if err := json.Unmarshal(s.Bytes(), &m); err != nil {
			t.Fatalf("line %d: %v", len(out)+1, err)
		}
		out = append(out, m)
	}
	return out
}

func action(id, tool string, change func(*scenario.Action)) *scenario.Action {
	a := &scenario.Action{ID: id, Scenario: "s", Name: "n", User: "anna", Tool: tool, Expect: "ok", Wait: "none", Timeout: 5 * time.Second}
	change(a)
	return a
}

func TestActions(t *testing.T) {
	type seen struct{ Method, URI, Agent, Type, Auth, Body string }
	var mu sync.Mutex
	var requests []seen
	handler := http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, _ := io.ReadAll(q.Body)
		mu.Lock()
		requests = append(requests, seen{q.Method, q.RequestURI, q.UserAgent(), q.Header.Get("Content-Type"), q.Header.Get("Authorization"), string(body)})
		n := len(requests)
		mu.Unlock()
		switch {
		case q.Method == "PUT" && n < 3:
			w.WriteHeader(http.StatusConflict)
		case strings.HasSuffix(q.URL.Path, "/missing"):
			w.WriteHeader(http.StatusNotFound)
		case strings.HasSuffix(q.URL.Path, "/token"):
			fmt.Fprint(w, "s3cret\n")
		case strings.HasSuffix(q.URL.Path, "/pods"):
			fmt.Fprint(w, `{"kind":"PodList","metadata":{"resourceVersion":"42"}}`)
		default:
			fmt.Fprint(w, `{"kind":"ConfigMap","metadata":{"name":"c","resourceVersion":"7"},"data":{"a":"1","b":"2"}}`)
		}
	})
	req := func(verb, path, typ, body string) scenario.Request {
		return scenario.Request{Verb: verb, Path: path, Type: typ, Body: body}
	}
	client := func(id string, requests ...scenario.Request) *scenario.Action {
		return action(id, scenario.ToolClient, func(a *scenario.Action) { a.Agent, a.Requests = "tool/1.0", requests })
	}
	inform := client("a00004", req("GET", "/api/v1/pods?limit=500", "", ""), req("GET", "/api/v1/pods?watch=true", "", ""))
	inform.Requests[1].Resume = true
	mayFail := client("a00005", req("GET", "/x/missing", "", ""), req("POST", "/x", "", `{"a":1}`))
	mayFail.Requests[0].MayFail = true
	fails := client("a00006", req("GET", "/x/missing", "", ""), req("POST", "/never", "", ""))
	save := client("a00007", req("POST", "/x/token", "", "{}"))
	save.Save = "1.key"
	with := client("a00008", req("GET", "/x/who", "", ""))
	with.With = "1.key"
	actions := []*scenario.Action{
		client("a00001", req("UPDATE", "/api/v1/c?fieldManager=f", "", `{"data":{"b":null,"c":"3"}}`)),
		client("a00002", req("PATCH", "/api/v1/c", "application/merge-patch+json", "{}")),
		client("a00003", req("POST", "/api/v1/namespaces/shop/pods/${pod:shop/app=web}/eviction", "", `{"name":"${pod:shop/app=web}"}`)),
		inform, mayFail, fails, save, with,
		action("a00009", scenario.ToolKubectl, func(a *scenario.Action) { a.Argv = []string{"get", "0"} }),
		action("a00010", scenario.ToolKubectl, func(a *scenario.Action) { a.Argv, a.Expect = []string{"get", "3"}, "fail" }),
		action("a00011", scenario.ToolKubectl, func(a *scenario.Action) { a.Argv = []string{"get", "4"} }),
		action("a00012", scenario.ToolCluster, func(a *scenario.Action) { a.Argv = []string{"kill", "node/node-2"} }),
		action("a00013", scenario.ToolCluster, func(a *scenario.Action) { a.Argv, a.Save = []string{"add-node"}, "1.added" }),
		action("a00014", scenario.ToolCluster, func(a *scenario.Action) { a.Argv = []string{"remove-node", "${out:1.added}"} }),
		action("a00015", scenario.ToolCluster, func(a *scenario.Action) { a.Argv = []string{"expire", "kube-scheduler", "30"} }),
		action("a00016", scenario.ToolCluster, func(a *scenario.Action) { a.Argv = []string{"renew", "kube-scheduler"} }),
	}
	r, c := newRunner(t, handler, actions...)
	r.lanes(t.Context())

	want := []seen{
		{"GET", "/api/v1/c", "tool/1.0 a00001", "", "", ""},
		{"PUT", "/api/v1/c?fieldManager=f", "tool/1.0 a00001", "application/json", "", `{"data":{"a":"1","c":"3"},"kind":"ConfigMap","metadata":{"name":"c","resourceVersion":"7"}}`},
		{"GET", "/api/v1/c", "tool/1.0 a00001", "", "", ""},
		{"PUT", "/api/v1/c?fieldManager=f", "tool/1.0 a00001", "application/json", "", `{"data":{"a":"1","c":"3"},"kind":"ConfigMap","metadata":{"name":"c","resourceVersion":"7"}}`},
		{"PATCH", "/api/v1/c", "tool/1.0 a00002", "application/merge-patch+json", "", "{}"},
		{"POST", "/api/v1/namespaces/shop/pods/web-1/eviction", "tool/1.0 a00003", "application/json", "", `{"name":"web-1"}`},
		{"GET", "/api/v1/pods?limit=500", "tool/1.0 a00004", "", "", ""},
		{"GET", "/api/v1/pods?watch=true&resourceVersion=42", "tool/1.0 a00004", "", "", ""},
		{"GET", "/x/missing", "tool/1.0 a00005", "", "", ""},
		{"POST", "/x", "tool/1.0 a00005", "application/json", "", `{"a":1}`},
		{"GET", "/x/missing", "tool/1.0 a00006", "", "", ""},
		{"POST", "/x/token", "tool/1.0 a00007", "application/json", "", "{}"},
		{"GET", "/x/who", "tool/1.0 a00008", "", "Bearer s3cret", ""},
	}
	if d := cmp.Diff(want, requests); d != "" {
		t.Errorf("requests (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]string{"kill node/2", "add", "remove node-9", "reissue kube-scheduler 30s", "reissue kube-scheduler 0s"}, c.faults); d != "" {
		t.Errorf("faults (-want +got):\n%s", d)
	}

	exits := map[string]float64{}
	var faults, lookups int
	for _, line := range readJournal(t, c.dir) {
		switch line["kind"] {
		case "fault":
			faults++
		case "harness":
			lookups++
		default:
			exits[line["id"].(string)] = line["exit"].(float64)
			if line["stamp"] != line["id"] || line["quiet"] == nil {
				t.Errorf("%v: stamp %v, quiet %v", line["id"], line["stamp"], line["quiet"])
			}
			if strings.HasPrefix(line["id"].(string), "a00011") && !strings.HasPrefix(fmt.Sprint(line["output"]), "kubectl-a00011") {
				t.Errorf("kubectl was not started under its stamped name: %v", line["output"])
			}
		}
	}
	if faults != 5 || lookups != 2 {
		t.Errorf("%d faults and %d look-ups in the journal, want 5 and 2", faults, lookups)
	}
	for id, exit := range map[string]float64{"a00001": 0, "a00005": 0, "a00006": 1, "a00009": 0, "a00010": 3, "a00011": 4} {
		if exits[id] != exit {
			t.Errorf("%s ended with %v, want %v", id, exits[id], exit)
		}
	}
	if r.done != len(actions) || r.unexpected != 2 {
		t.Errorf("%d done, %d unexpected; want %d and 2", r.done, r.unexpected, len(actions))
	}
}

// What an interrupted recording has written can be read to its last whole line.
func TestInterrupted(t *testing.T) {
	var actions []*scenario.Action
	for i := range 50 {
		actions = append(actions, action(fmt.Sprintf("a%05d", i+1), scenario.ToolClient, func(a *scenario.Action) {
			a.Requests = []scenario.Request{{Verb: "GET", Path: "/x"}}
		}))
	}
	ctx, cancel := context.WithCancel(t.Context())
	var served int
	r, c := newRunner(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		if served++; served == 20 {
			cancel()
		}
	}), actions...)
	r.lanes(ctx)
	lines := readJournal(t, c.dir)
	result := r.result(time.Now())
	if len(lines) < 19 || len(lines) > 21 || result.Done != len(lines) {
		t.Errorf("%d lines in the journal, %d done", len(lines), result.Done)
	}
	if want := fmt.Sprintf("the last %d actions of the plan", 50-result.Done); result.Missing != want {
		t.Errorf("missing %q, want %q", result.Missing, want)
	}
}

func line(stage, verb, user, resource, namespace, sub string) string {
	return fmt.Sprintf(`{"kind":"Event","stage":%q,"requestURI":"/api/v1/x","verb":%q,"user":{"username":%q},"userAgent":"x","objectRef":{"resource":%q,"namespace":%q,"name":"n","subresource":%q}}`+"\n",
		stage, verb, user, resource, namespace, sub)
}

func TestTail(t *testing.T) {
	old := time.Now().Add(-time.Hour)
	for _, c := range []struct {
		name       string
		line       string
		foreground bool
		namespace  string
		finalised  bool
	}{
		{"a person's", line("ResponseComplete", "create", "anna", "pods", "shop", ""), true, "shop", false},
		{"a controller's", line("RequestReceived", "update", "system:serviceaccount:kube-system:job-controller", "jobs", "shop", "status"), true, "shop", false},
		{"a lease", line("ResponseComplete", "update", "system:node:node-1", "leases", "kube-node-lease", ""), false, "", false},
		{"a watch", line("ResponseComplete", "watch", "anna", "pods", "shop", ""), false, "", false},
		{"a node about itself", line("ResponseComplete", "patch", "system:node:node-1", "nodes", "", "status"), false, "", false},
		{"a node about a pod", line("ResponseComplete", "patch", "system:node:node-1", "pods", "shop", "status"), true, "shop", false},
		{"the harness's", line("ResponseComplete", "list", "testbed-harness", "pods", "shop", ""), false, "", false},
		{"the end of a namespace", line("ResponseComplete", "update", "system:serviceaccount:kube-system:namespace-controller", "namespaces", "shop", "finalize"), true, "shop", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			tl := newTail()
			tl.foreground = old
			if rest := tl.take([]byte(c.line + "{half")); string(rest) != "{half" {
				t.Errorf("left %q", rest)
			}
			if got := tl.foreground.After(old); got != c.foreground {
				t.Errorf("foreground: %t", got)
			}
			if _, got := tl.namespaces[c.namespace]; got != c.foreground {
				t.Errorf("namespace seen: %t", got)
			}
			if got := !tl.finalised["shop"].IsZero(); got != c.finalised {
				t.Errorf("finalised: %t", got)
			}
		})
	}
}

func TestSettle(t *testing.T) {
	tl := newTail()
	tl.foreground = time.Now().Add(-time.Hour)
	w := scenario.Wait{Quiet: 30 * time.Millisecond, Most: 5 * time.Second}
	if _, quiet := tl.settle(t.Context(), w, time.Now(), ""); !quiet {
		t.Error("a quiet log did not settle")
	}
	w = scenario.Wait{Quiet: time.Millisecond, Most: 40 * time.Millisecond, Gone: true}
	if _, quiet := tl.settle(t.Context(), w, time.Now(), "shop"); quiet {
		t.Error("settled although the namespace is not finalised")
	}
	tl.take([]byte(line("ResponseComplete", "update", "c", "namespaces", "shop", "finalize")))
	if _, quiet := tl.settle(t.Context(), scenario.Wait{Quiet: time.Millisecond, Most: 5 * time.Second, Gone: true}, time.Now(), "shop"); !quiet {
		t.Error("did not settle although the namespace is finalised")
	}
}

func TestStalledLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	if err := os.WriteFile(path, []byte(line("ResponseComplete", "get", "anna", "pods", "shop", "")), 0o600); err != nil {
		t.Fatal(err)
	}
	tl := newTail()
	tl.patience = 50 * time.Millisecond
	err := tl.follow(t.Context(), path)
	if err == nil || !strings.Contains(err.Error(), "has not grown for") {
		t.Errorf("got %v", err)
	}
	if err := tl.follow(t.Context(), path+".none"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a log that is not there: %v", err)
	}
}
