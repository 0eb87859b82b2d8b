package feature

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"k8ntext/dataset/audit"
)

var update = flag.Bool("update", false, "write the golden files anew")

// line is a raw line as these tests read it, apart from package audit. The sample file holds real
// events of one recording, their stages merged (key stages), without credentials.
type line struct {
	AuditID    string     `json:"auditID"`
	Level      string     `json:"level"`
	Verb       string     `json:"verb"`
	RequestURI string     `json:"requestURI"`
	User       audit.User `json:"user"`
	UserAgent  string     `json:"userAgent"`
	ObjectRef  *struct {
		APIGroup        string `json:"apiGroup"`
		APIVersion      string `json:"apiVersion"`
		Resource        string `json:"resource"`
		Subresource     string `json:"subresource"`
		Namespace       string `json:"namespace"`
		Name            string `json:"name"`
		UID             string `json:"uid"`
		ResourceVersion string `json:"resourceVersion"`
	} `json:"objectRef"`
	ResponseStatus *struct {
		Code   int    `json:"code"`
		Reason string `json:"reason"`
	} `json:"responseStatus"`
	RequestObject  jsontext.Value    `json:"requestObject"`
	ResponseObject jsontext.Value    `json:"responseObject"`
	Annotations    map[string]string `json:"annotations"`
	Received       time.Time         `json:"requestReceivedTimestamp"`
	Stages         []string          `json:"stages"`
}

func parseLine(t testing.TB, raw []byte) *audit.Event {
	t.Helper()
	var l line
	if err := json.Unmarshal(raw, &l, json.MatchCaseInsensitiveNames(true)); err != nil {
		t.Fatalf("sample line: %v", err)
	}
	ev := &audit.Event{
		AuditID: l.AuditID, Level: l.Level, Verb: l.Verb, RequestURI: l.RequestURI, User: l.User, UserAgent: l.UserAgent,
		RequestObject: l.RequestObject, ResponseObject: l.ResponseObject, Annotations: l.Annotations, RequestReceived: l.Received,
	}
	if l.ObjectRef != nil {
		o := audit.ObjectRef(*l.ObjectRef)
		ev.ObjectRef = &o
	}
	if l.ResponseStatus != nil {
		ev.ResponseStatus = &audit.ResponseStatus{Code: l.ResponseStatus.Code, Reason: l.ResponseStatus.Reason}
	}
	for _, s := range l.Stages {
		ev.Stages = append(ev.Stages, audit.Stage{Name: s})
	}
	return ev
}

// sample is testdata/events.jsonl: its raw lines and the same as events.
func sample(t testing.TB) (lines [][]byte, events []*audit.Event) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "events.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	for raw := range bytes.Lines(data) {
		lines = append(lines, raw)
		events = append(events, parseLine(t, raw))
	}
	if len(events) < 30 {
		t.Fatalf("sample has %d events", len(events))
	}
	return lines, events
}

// golden compares got with a file in testdata, or writes it.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s differs (go test -update writes it anew):\n%s", path, d)
	}
}

// decoded is the values of one event by field path.
func decoded(e *Encoder, ev *audit.Event) map[string]string {
	ids := make([]int32, len(e.columns))
	e.Encode(ev, ids)
	out := map[string]string{}
	for f, id := range ids {
		out[e.profile.fields[f].Path] = e.Decode(f, id)
	}
	return out
}

// read is the values of one event under a profile, whatever they are.
func read(p Profile, ev *audit.Event) map[string]string {
	return decoded(Fit(p, []*audit.Event{ev}), ev)
}
