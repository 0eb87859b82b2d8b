package audit

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// request makes raw lines: one per stage, all of one request.
type request struct {
	id, verb, uri, user string
	received            time.Time
	body                string // members to add to every line, with a leading comma
}

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func newRequest(id string, after time.Duration) request {
	return request{id: id, verb: "create", uri: "/api/v1/namespaces/shop/pods", user: "alice", received: noon.Add(after)}
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000Z") }

// stage gives the raw line of a stage that was logged so long after the request came.
func (r request) stage(name string, after time.Duration) string {
	return fmt.Sprintf(`{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":%q,"stage":%q,"requestURI":%q,"verb":%q,`+
		`"user":{"username":%q,"groups":["system:authenticated"]},"sourceIPs":["10.0.0.1"],"userAgent":"kubectl",`+
		`"objectRef":{"resource":"pods","namespace":"shop","apiVersion":"v1"},"requestReceivedTimestamp":%q,"stageTimestamp":%q%s}`,
		r.id, name, r.uri, r.verb, r.user, stamp(r.received), stamp(r.received.Add(after)), r.body)
}

// with gives the request with more members in its lines.
func (r request) with(members string) request {
	r.body = "," + members
	return r
}

// done gives the raw line of the end of the request.
func (r request) done() string { return r.stage(stageComplete, time.Millisecond) }

// whole is a line that every table may lean on: the end of request id, received id's length seconds after noon.
func whole(id string) string { return newRequest(id, time.Duration(len(id))*time.Second).done() }

type result struct {
	events   []*Event
	problems []*Problem
	summary  Summary
}

// ids gives the audit IDs of the events, in order.
func (r result) ids() string {
	var s []string
	for _, e := range r.events {
		s = append(s, e.AuditID)
	}
	return strings.Join(s, " ")
}

// kinds gives the problems as "line kind", in order.
func (r result) kinds() string {
	var s []string
	for _, p := range r.problems {
		s = append(s, fmt.Sprintf("%d %s", p.Line, p.Kind))
	}
	return strings.Join(s, ", ")
}

// drain reads everything and checks what must hold for any input.
func drain(t testing.TB, r *Reader) result {
	t.Helper()
	var res result
	stages := 0
	for {
		rec, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("Next: %v", err)
		}
		if (rec.Event == nil) == (rec.Problem == nil) {
			t.Fatalf("record has %v and %v", rec.Event, rec.Problem)
		}
		if rec.Problem != nil {
			res.problems = append(res.problems, rec.Problem)
			continue
		}
		res.events = append(res.events, rec.Event)
		stages += len(rec.Event.Stages)
	}
	if _, err := r.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("Next after the end gives %v", err)
	}
	s := r.Summary()
	res.summary = s
	if s.Items != s.Stages+s.Repeated+s.Late+s.Skipped {
		t.Errorf("%d items are not %d stages + %d repeated + %d late + %d skipped", s.Items, s.Stages, s.Repeated, s.Late, s.Skipped)
	}
	if s.Dropped == 0 && s.Stages != int64(stages) {
		t.Errorf("%d stages counted, %d in events", s.Stages, stages)
	}
	if s.Events-s.Dropped != int64(len(res.events)) {
		t.Errorf("%d events counted, %d dropped, %d yielded", s.Events, s.Dropped, len(res.events))
	}
	var counted int64
	for _, c := range s.Problems {
		counted += c.Count
	}
	if counted != int64(len(res.problems)) {
		t.Errorf("%d problems counted, %d yielded", counted, len(res.problems))
	}
	if s.OutOfOrder == 0 {
		for i := 1; i < len(res.events); i++ {
			a, b := res.events[i-1].RequestReceived, res.events[i].RequestReceived
			if b.Before(a) && !b.IsZero() {
				t.Errorf("event %d came at %v, the one before at %v", i, b, a)
			}
		}
	}
	return res
}

// read reads text, and checks that goroutines make no difference.
func read(t testing.TB, opts Options, text string) result {
	t.Helper()
	res := drain(t, NewReader(strings.NewReader(text), "audit.log", opts))
	opts.Decoders = 3
	ahead := drain(t, NewReader(strings.NewReader(text), "audit.log", opts))
	if !reflect.DeepEqual(res, ahead) {
		t.Errorf("three decoders read (+) otherwise than one (-):\n%s", cmp.Diff(res, ahead, cmp.AllowUnexported(result{})))
	}
	return res
}

// golden compares got with a file in testdata, or writes it.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := "testdata/" + name
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs (go test -update rewrites it); got:\n%s\nwant:\n%s", path, got, want)
	}
}
