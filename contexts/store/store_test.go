package store

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"k8ntext/contexts"
	"k8ntext/dataset/audit"
	"k8ntext/dataset/label"
	"k8ntext/dataset/packed"
)

func file(t rapid.TB, write func(w *packed.Writer)) *packed.File {
	t.Helper()
	var out bytes.Buffer
	w := packed.NewWriter(&out, packed.Options{Workers: 1})
	write(w)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := packed.Open(bytes.NewReader(out.Bytes()), int64(out.Len()))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestContexts: what is written is read again, whatever the contexts are.
func TestContexts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		events := rapid.IntRange(0, 60).Draw(t, "events")
		n := rapid.IntRange(1, 8).Draw(t, "contexts")
		list := make([]*contexts.Context, n)
		for i := range list {
			list[i] = &contexts.Context{
				ID:    rapid.SampledFrom([]string{"c%d", "bg-%05d", "", "\x00c%d"}).Draw(t, "id"),
				Label: label.Label(rapid.IntRange(-2, 1<<22).Draw(t, "label")), User: rapid.Bool().Draw(t, "user"),
				Operation: rapid.SampledFrom([]string{"", "apply", "\x00"}).Draw(t, "operation"),
				Trigger:   contexts.Trigger{Event: -1, Line: -1, Estimated: rapid.Bool().Draw(t, "estimated")},
			}
			if strings.Contains(list[i].ID, "%") {
				list[i].ID = fmt.Sprintf(list[i].ID, i)
			} else {
				list[i].ID = strings.Repeat("x", i)
			}
			list[i].Parent = rapid.SampledFrom([]string{"", list[0].ID, "elsewhere"}).Draw(t, "parent")
		}
		for e := range events {
			at := rapid.IntRange(-1, n-1).Draw(t, "of")
			if at < 0 {
				continue
			}
			c := list[at]
			m := contexts.Member{
				Event: e, Line: rapid.IntRange(1, 1000).Draw(t, "line"), Reason: rapid.SampledFrom(contexts.Reasons()).Draw(t, "reason"),
				Confidence: rapid.SampledFrom([]float32{0, .5, 1}).Draw(t, "confidence"),
			}
			if rapid.Bool().Draw(t, "trigger") && c.Trigger.Event < 0 {
				c.Trigger.Event, c.Trigger.Line = m.Event, m.Line
			}
			c.Members = append(c.Members, m)
		}
		var whole []*contexts.Context
		for _, c := range list {
			if len(c.Members) > 0 {
				whole = append(whole, c)
			}
		}
		h := Header{Level: "identity", Space: "default", Groups: []string{"example.org"}, Events: events}
		f := file(t, func(w *packed.Writer) {
			if err := Write(w, h, whole); err != nil {
				t.Fatal(err)
			}
		})
		gotHeader, got, err := Read(f)
		if err != nil {
			t.Fatal(err)
		}
		byID := make(map[string]Entry)
		for _, e := range got {
			byID[e.ID] = e
		}
		if diff := cmp.Diff(h, gotHeader); diff != "" || len(got) != len(whole) {
			t.Fatalf("%d of %d contexts, header (-want +got):\n%s", len(got), len(whole), diff)
		}
		for _, c := range whole {
			want := Entry{ID: c.ID, Label: c.Label, User: c.User, Operation: c.Operation, Parent: c.Parent, Trigger: c.Trigger, Members: c.Members}
			if diff := cmp.Diff(want, byID[c.ID]); diff != "" {
				t.Fatalf("context %q (-want +got):\n%s", c.ID, diff)
			}
		}
	})
}

func TestWriteRefuses(t *testing.T) {
	one := []contexts.Member{{Event: 1, Line: 1}}
	for name, test := range map[string]struct {
		list []*contexts.Context
		want string
	}{
		"an event in two":     {[]*contexts.Context{{ID: "a", Members: one}, {ID: "b", Members: one}}, "event 1 is in two of them"},
		"two of one id":       {[]*contexts.Context{{ID: "a", Members: one}, {ID: "a"}}, "put their parts together first"},
		"an event not logged": {[]*contexts.Context{{ID: "a", Members: []contexts.Member{{Event: 7}}}}, "event 7 of 5"},
	} {
		err := Write(packed.NewWriter(new(bytes.Buffer), packed.Options{}), Header{Space: "default", Events: 5}, test.list)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	if _, _, err := Read(file(t, func(*packed.Writer) {})); err != ErrNone {
		t.Errorf("a log without contexts: error %v", err)
	}
}

// FuzzRead: damaged contexts are refused.
func FuzzRead(f *testing.F) {
	good := file(f, func(w *packed.Writer) {
		_ = Write(w, Header{Space: "default", Events: 3}, []*contexts.Context{
			{ID: "c0", Members: []contexts.Member{{Event: 0, Line: 1}, {Event: 2, Line: 3}}}, {ID: "c1", Parent: "c0", Members: []contexts.Member{{Event: 1, Line: 2}}},
		})
	})
	data, err := good.Section(section)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		damaged := file(t, func(w *packed.Writer) {
			if err := w.Section(section, data); err != nil {
				t.Fatal(err)
			}
		})
		_, _, _ = Read(damaged)
	})
}

func TestStripped(t *testing.T) {
	at := time.Date(2026, 11, 22, 5, 4, 3, 999_000_000, time.UTC)
	event := func(user, verb, resource, name string, code int) *audit.Event {
		at = at.Add(200 * time.Millisecond)
		e := &audit.Event{
			Verb: verb, RequestURI: "/secret?token=x", UserAgent: "agent", SourceIPs: []string{"192.0.2.1"}, RequestReceived: at,
			User: audit.User{Username: user, Groups: []string{"group"}}, ResponseStatus: &audit.ResponseStatus{Code: code, Message: "message"},
			RequestObject: []byte(`{"data":"body"}`),
		}
		if resource != "" {
			e.ObjectRef = &audit.ObjectRef{Resource: resource, Namespace: "shop", Name: name}
			e.RequestURI = "/api/" + resource
		}
		return e
	}
	var s Stripped
	for _, e := range []*audit.Event{
		event("alice", "create", "deployments", "web", 201), event("system:node:a", "get", "leases", "a", 200),
		event("system:kcm", "create", "replicasets", "web-\x1b[31m", 201), event("system:kcm", "create", "pods", "web-1", 201),
		event("system:node:a", "get", "leases", "a", 200), event("system:sched", "get", "", "", 200),
	} {
		s.See(e)
	}
	members := func(events ...int) (m []contexts.Member) {
		for _, e := range events {
			m = append(m, contexts.Member{Event: e})
		}
		return m
	}
	var d Dropped
	f := file(t, func(w *packed.Writer) {
		var err error
		d, err = s.Write(w, []*contexts.Context{
			{ID: "c0", User: true, Operation: "op", Trigger: contexts.Trigger{Event: 0}, Members: members(0, 2, 3)},
			{ID: "c1", Members: members(1)},
			{ID: "c4", Members: members(4)},
			{ID: "c5", Members: members(5)},
		})
		if err != nil {
			t.Fatal(err)
		}
	})
	want := Dropped{Events: 3, Contexts: 3, Of: map[string]int{"get leases": 2, "get (no object)": 1}}
	got, err := ReadDropped(f)
	if diff := cmp.Diff(&want, got); diff != "" || err != nil || !cmp.Equal(want, d) {
		t.Errorf("dropped, %v (-want +got):\n%s", err, diff)
	}
	if f.Lines() != 3 {
		t.Fatalf("%d lines", f.Lines())
	}
	line, err := f.Line(0)
	if want := `{"auditID":"1","stage":"ResponseComplete","stageTimestamp":"2026-11-22T05:04:04Z","verb":"create","user":{"username":"alice"},` +
		`"objectRef":{"resource":"deployments","namespace":"shop","name":"web"},"responseStatus":{"code":201},"context":"1","trigger":true,"operation":"1"}`; string(line) != want || err != nil {
		t.Errorf("line 1 is %s, %v, want %s", line, err, want)
	}
	r := audit.NewReader(bytes.NewReader(raw(t, f)), "stripped", audit.Options{})
	n := 0
	for {
		rec, err := r.Next()
		if err != nil {
			break
		}
		if rec.Event != nil && rec.Event.Truth != nil && rec.Event.Truth.Context == "1" {
			n++
		}
	}
	if n != 3 {
		t.Errorf("%d events of the context are read again", n)
	}
}

func raw(t *testing.T, f *packed.File) []byte {
	var b []byte
	for i := range f.Lines() {
		l, err := f.Line(i)
		if err != nil {
			t.Fatal(err)
		}
		b = append(append(b, l...), '\n')
	}
	return b
}
