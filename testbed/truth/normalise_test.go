package truth

import (
	"strings"
	"testing"
	"time"
)

func testJournal(t *testing.T, lines ...string) *Journal {
	t.Helper()
	j, err := readJournal(strings.NewReader(strings.Join(lines, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func TestNormalise(t *testing.T) {
	j := testJournal(t,
		`{"id":"a00001","start":"2026-01-01T00:00:00Z","token":"q3f7k2","names":[{"recorded":"web-q3f7k2","logical":"web"}]}`,
		`{"id":"a00002","start":"2026-01-01T00:00:01Z","token":"z9x8c7","names":[{"recorded":"web-q3f7k2","logical":"web"}]}`,
		`{"id":"a00003","start":"2026-01-01T00:00:02Z","names":[{"recorded":"crds.shop-m1n2b3.example.org","logical":"crds.shop.example.org"},{"recorded":"db-h4j5k6","logical":"db"}]}`,
		`{"kind":"harness","stamp":"h00001","at":"2026-01-01T00:00:03Z"}`)
	n := newNormaliser(j)
	for _, c := range []struct{ name, in, want string }{
		{"name of a pod", `{"name":"web-q3f7k2-d48b9578c-h6vkj"}`, `{"name":"web-d48b9578c-h6vkj"}`},
		{"name in a URI", `"/api/v1/namespaces/team-z9x8c7/pods?fieldSelector=metadata.name%3Dweb-q3f7k2"`, `"/api/v1/namespaces/team/pods?fieldSelector=metadata.name%3Dweb"`},
		{"name in a text in a text", `"{\"metadata\":{\"name\":\"web-q3f7k2\"}}\n"`, `"{\"metadata\":{\"name\":\"web\"}}\n"`},
		{"key of managed fields", `{"k:{\"name\":\"web-q3f7k2\"}":{}}`, `{"k:{\"name\":\"web\"}":{}}`},
		{"inside a name", `/apis/shop-m1n2b3.example.org/v1`, `/apis/shop.example.org/v1`},
		{"only known from names", `"db-h4j5k6.18ea33210ba21635"`, `"db.18ea33210ba21635"`},
		{"stamp of kubectl", `"userAgent":"kubectl-a00001/v1.34.4 (linux/amd64)"`, `"userAgent":"kubectl/v1.34.4 (linux/amd64)"`},
		{"stamp of a client", `"userAgent":"helm/v3.16 a00002"`, `"userAgent":"helm/v3.16"`},
		{"manager named after the program", `"manager":"kubectl-a00001"`, `"manager":"kubectl"`},
		{"value of an annotation", `{"testbed/taint":"t-z9x8c7"}`, `{"example.org/revision":"r1"}`},
		{"key of an annotation in managed fields", `{"f:testbed/taint":{}}`, `{"f:example.org/revision":{}}`},
		{"path of a patch", `"/metadata/annotations/testbed~1taint"`, `"/metadata/annotations/example.org~1revision"`},
		{"longer words are others", `"q3f7k2x xq3f7k2 web-q3f7k22"`, `"q3f7k2x xq3f7k2 web-q3f7k22"`},
		{"a stamp that is none", `"a00001"`, `"a00001"`},
		{"the recording's own", `"testbed-h00001"`, `"testbed"`},
	} {
		if got := string(n.appendLine(nil, []byte(c.in))); got != c.want {
			t.Errorf("%s: %s became %s, want %s", c.name, c.in, got, c.want)
		}
	}
	if left := n.left([]byte(`a00001 web-q3f7k2 q3f7k2x`)); strings.Join(left, " ") != "a00001 q3f7k2" {
		t.Errorf("left over: %q", left)
	}
}

func TestMachine(t *testing.T) {
	lease := func(user, holder string) *Request {
		return &Request{User: user, Resource: "leases.coordination.k8s.io", answer: decodeObject([]byte(`{"kind":"Lease","spec":{"holderIdentity":"` + holder + `"}}`))}
	}
	log := &Log{Requests: []*Request{
		lease("system:kube-scheduler", "box_79c4dcdf-0c32-40b8-b1e5-4b3cf05a2d25"),
		lease("system:serviceaccount:apps:operator", "box"),
		lease("system:serviceaccount:apps:other", "other-7d9c5b5f9-x2x4k"),
	}}
	n := newNormaliser(testJournal(t, `{"id":"a00001","start":"2026-01-01T00:00:00Z"}`))
	n.machine(log)
	for in, want := range map[string]string{
		`{"holderIdentity":"box","x":"box"}`:         `{"holderIdentity":"operator-0","x":"box"}`,
		`{"holderIdentity":"other-7d9c5b5f9-x2x4k"}`: `{"holderIdentity":"other-7d9c5b5f9-x2x4k"}`,
	} {
		if got := string(n.appendLine(nil, []byte(in))); got != want {
			t.Errorf("%s became %s, want %s", in, got, want)
		}
	}
}

func TestTokenOf(t *testing.T) {
	for _, c := range []struct{ recorded, logical, want string }{
		{"web-q3f7k2", "web", "q3f7k2"},
		{"widgets.web-q3f7k2.example.org", "widgets.web.example.org", "q3f7k2"},
		{"shop-front-q3f7k2", "shop-front", "q3f7k2"},
		{"web-web123", "web", "web123"},
		{"web", "web", ""},
		{"web-a-b", "web", ""},
		{"other", "web", ""},
		{"", "", ""},
		{"a", "bcd", ""},
	} {
		if got := tokenOf(Name{c.recorded, c.logical}); got != c.want {
			t.Errorf("%s for %s has token %q, want %q", c.recorded, c.logical, got, c.want)
		}
	}
}

func TestJournal(t *testing.T) {
	const first = `{"id":"a00001","start":"2026-01-01T00:00:00Z","quiet":"2026-01-01T00:00:02Z"}`
	for _, c := range []struct {
		name, text, fault string
		commands          int
		sequential        bool
	}{
		{"one after the other", first + "\n" + `{"id":"a00002","start":"2026-01-01T00:00:02Z","quiet":"2026-01-01T00:00:03Z"}`, "", 2, true},
		{"at once", first + "\n" + `{"id":"a00002","start":"2026-01-01T00:00:01Z","quiet":"2026-01-01T00:00:03Z"}`, "", 2, false},
		{"cut off", first + "\n" + `{"id":"a0000`, "", 1, true},
		{"unknown kinds", first + "\n" + `{"kind":"weather","at":"2026-01-01T00:00:00Z"}`, "", 1, true},
		{"empty", "\n", "no command in it", 0, false},
		{"garbage in the middle", first + "\n{\n" + first, "line 2", 0, false},
		{"twice", first + "\n" + first + "\n", "comes twice", 0, false},
		{"no start", `{"id":"a00001"}` + "\n", "no start", 0, false},
	} {
		j, err := readJournal(strings.NewReader(c.text))
		switch {
		case c.fault != "":
			if err == nil || !strings.Contains(err.Error(), c.fault) {
				t.Errorf("%s: error %v, want one that says %q", c.name, err, c.fault)
			}
		case err != nil:
			t.Errorf("%s: %v", c.name, err)
		case len(j.Commands) != c.commands || j.Sequential() != c.sequential:
			t.Errorf("%s: %d commands, sequential %t", c.name, len(j.Commands), j.Sequential())
		}
	}
}

// TestRanOut: whose a request without user is, the faults and the program tell.
func TestRanOut(t *testing.T) {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	j := &Journal{Faults: []Fault{{Component: "kube-scheduler", What: "expire", At: at}, {Component: "kube-controller-manager", What: "kill", At: at}}}
	for agent, want := range map[string]bool{
		"kube-scheduler/v1.34.4 (linux/amd64)": true, "kube-controller-manager/v1.34.4": false, "kubectl/v1.34.4": false, "": false,
	} {
		if got := j.ranOut(&Request{Agent: agent, Received: at.Add(time.Minute).UnixNano()}); got != want {
			t.Errorf("%q: %t", agent, got)
		}
		if j.ranOut(&Request{Agent: agent, Received: at.Add(-time.Minute).UnixNano()}) {
			t.Errorf("%q ran out before the fault", agent)
		}
	}
}

func TestLevels(t *testing.T) {
	const line = `{"kind":"Event","level":"RequestResponse","auditID":"x","objectRef":{"name":"requestObject"},"requestObject":{"a":"\"level\""},"responseObject":{"b":[1,{"level":"x"}]},"annotations":{"k":"v"}}`
	for _, c := range []struct{ level, want string }{
		{LevelRequestResponse, line},
		{LevelRequest, `{"kind":"Event","level":"Request","auditID":"x","objectRef":{"name":"requestObject"},"requestObject":{"a":"\"level\""},"annotations":{"k":"v"}}`},
		{LevelMetadata, `{"kind":"Event","level":"Metadata","auditID":"x","objectRef":{"name":"requestObject"},"annotations":{"k":"v"}}`},
	} {
		got, err := appendAtLevel(nil, []byte(line), c.level)
		if err != nil || string(got) != c.want {
			t.Errorf("%s: %s, %v, want %s", c.level, got, err, c.want)
		}
	}
	if _, err := appendAtLevel(nil, []byte(`{"level":`), LevelMetadata); err == nil {
		t.Error("a line that is cut off has no error")
	}
}
