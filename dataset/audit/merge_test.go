package audit

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestStages says for lines of stages which events come out: "id(stages)" in order.
func TestStages(t *testing.T) {
	a, b := newRequest("a", 0), newRequest("b", time.Second)
	watch := func(id string, after time.Duration) request {
		r := newRequest(id, after)
		r.verb = "watch"
		return r
	}
	w := watch("w", 0)
	again := newRequest("a", 5*time.Second) // the same client-chosen ID, used again
	other := a
	other.uri += "?dryRun=All"
	bob := a
	bob.user = "bob"
	anonymous := a
	anonymous.id = ""
	later := newRequest("z", time.Hour)
	noTime := func(s string) string { return strings.NewReplacer(`"requestReceivedTimestamp"`, `"x"`).Replace(s) }
	noTimes := func(s string) string { return strings.NewReplacer(`"stageTimestamp"`, `"y"`).Replace(noTime(s)) }
	denied := newRequest("d", 0).with(`"responseStatus":{"code":401}`)
	denied.user = ""

	for _, tc := range []struct {
		name   string
		lines  []string
		events string
		check  Summary // the counts that must be there
	}{
		{
			"two stages",
			[]string{a.stage(stageReceived, 0), a.done()},
			"a(RequestReceived ResponseComplete)",
			Summary{},
		},
		{
			"stages of two requests mixed",
			[]string{a.stage(stageReceived, 0), b.stage(stageReceived, 0), b.done(), a.stage(stageComplete, 3e9)},
			"a(RequestReceived ResponseComplete) b(RequestReceived ResponseComplete)",
			Summary{},
		},
		{
			"stages in the wrong order",
			[]string{a.done(), a.stage(stageReceived, 0)},
			"a(RequestReceived ResponseComplete)",
			Summary{},
		},
		{
			"only the end is logged (omitStages)",
			[]string{b.done(), a.stage(stageComplete, 2e9)},
			"a(ResponseComplete) b(ResponseComplete)",
			Summary{},
		},
		{
			"a watch of ten minutes",
			[]string{w.stage(stageReceived, 0), w.stage(stageStarted, 1e6), b.done(), w.stage(stageComplete, 10*time.Minute)},
			"w(RequestReceived ResponseStarted ResponseComplete) b(ResponseComplete)",
			Summary{},
		},
		{
			"ResponseStarted twice",
			[]string{w.stage(stageReceived, 0), w.stage(stageStarted, 1e6), w.stage(stageStarted, 2e6), w.stage(stageComplete, 3e6)},
			"w(RequestReceived ResponseStarted ResponseStarted ResponseComplete)",
			Summary{},
		},
		{
			"a line delivered twice",
			[]string{a.stage(stageReceived, 0), a.done(), a.stage(stageReceived, 0), a.done()},
			"a(RequestReceived ResponseComplete)",
			Summary{Repeated: 2},
		},
		{
			"panic",
			[]string{a.stage(stageReceived, 0), a.stage(stagePanic, 1e6)},
			"a(RequestReceived Panic)",
			Summary{},
		},
		{
			"no end",
			[]string{a.stage(stageReceived, 0), b.done()},
			"a(RequestReceived) b(ResponseComplete)",
			Summary{Unfinished: 1},
		},
		{
			"failed authentication has no other end",
			[]string{denied.stage(stageStarted, 0)},
			"d(ResponseStarted)",
			Summary{},
		},
		{
			"auditID used again",
			[]string{a.stage(stageReceived, 0), a.done(), again.stage(stageReceived, 0), again.done()},
			"a(RequestReceived ResponseComplete) a(RequestReceived ResponseComplete)",
			Summary{},
		},
		{
			"auditID used for two requests at once",
			[]string{a.stage(stageReceived, 0), other.stage(stageReceived, 0), bob.stage(stageReceived, 0), other.done(), a.done(), bob.done()},
			"a(RequestReceived ResponseComplete) a(RequestReceived ResponseComplete) a(RequestReceived ResponseComplete)",
			Summary{},
		},
		{
			"twins in one microsecond: two ends are two requests",
			[]string{a.stage(stageReceived, 0), a.stage(stageComplete, 1e6), a.stage(stageComplete, 2e6)},
			"a(RequestReceived ResponseComplete) a(ResponseComplete)",
			Summary{},
		},
		{
			"no auditID: the rest tells",
			[]string{anonymous.stage(stageReceived, 0), anonymous.done()},
			"(RequestReceived ResponseComplete)",
			Summary{},
		},
		{
			"no receive time: the auditID tells",
			[]string{noTime(a.stage(stageReceived, 0)), noTime(a.done())},
			"a(RequestReceived ResponseComplete)",
			Summary{},
		},
		{
			"no receive time, auditID used again",
			[]string{noTime(a.stage(stageReceived, 0)), noTime(a.done()), noTime(again.stage(stageReceived, 0)), noTime(again.done())},
			"a(RequestReceived ResponseComplete) a(RequestReceived ResponseComplete)",
			Summary{},
		},
		{
			"no receive time, auditID used again, ends only",
			[]string{noTime(a.done()), noTime(again.done())},
			"a(ResponseComplete) a(ResponseComplete)",
			Summary{},
		},
		{
			"no times at all",
			[]string{b.done(), noTimes(a.stage(stageReceived, 0)), noTimes(a.done())},
			"a(RequestReceived ResponseComplete) b(ResponseComplete)",
			Summary{},
		},
		{
			"neither auditID nor receive time: never merged",
			[]string{noTime(anonymous.done()), noTime(anonymous.done())},
			"(ResponseComplete) (ResponseComplete)",
			Summary{},
		},
		{
			"a watch longer than the window: its end is late and makes no event",
			[]string{
				w.stage(stageReceived, 0), w.stage(stageStarted, 1e6),
				later.stage(stageReceived, 0), later.done(), w.stage(stageComplete, time.Hour+time.Second),
			},
			"w(RequestReceived ResponseStarted) z(RequestReceived ResponseComplete)",
			Summary{Unfinished: 1, Late: 1},
		},
		{
			"a request that shows only after the window leaves at once",
			[]string{b.done(), later.stage(stageReceived, 0), later.done(), w.stage(stageComplete, time.Hour+time.Second)},
			"b(ResponseComplete) w(ResponseComplete) z(RequestReceived ResponseComplete)",
			Summary{OutOfOrder: 1},
		},
		{
			"one line from the future sends nothing away",
			[]string{w.stage(stageReceived, 0), watch("f", 1e6*time.Hour).done(), b.done(), w.stage(stageComplete, 2e9)},
			"w(RequestReceived ResponseComplete) b(ResponseComplete) f(ResponseComplete)",
			Summary{},
		},
		{
			"a stage that we do not know",
			[]string{a.stage(stageReceived, 0), a.stage("ResponseHalfway", 5e5), a.done()},
			"a(RequestReceived ResponseHalfway ResponseComplete)",
			Summary{},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			res := read(t, Options{}, strings.Join(tc.lines, "\n"))
			var got []string
			for _, e := range res.events {
				var names []string
				for _, s := range e.Stages {
					names = append(names, s.Name)
				}
				got = append(got, fmt.Sprintf("%s(%s)", e.AuditID, strings.Join(names, " ")))
			}
			if strings.Join(got, " ") != tc.events {
				t.Errorf("events %v\nwant   %s", got, tc.events)
			}
			s := res.summary
			if s.Repeated != tc.check.Repeated || s.Late != tc.check.Late || s.OutOfOrder != tc.check.OutOfOrder ||
				(tc.check.Unfinished != 0 && s.Unfinished != tc.check.Unfinished) {
				t.Errorf("summary:\n%swant repeated %d, late %d, out of order %d, unfinished %d",
					s, tc.check.Repeated, tc.check.Late, tc.check.OutOfOrder, tc.check.Unfinished)
			}
			if len(res.problems) > 0 {
				t.Errorf("problems %s", res.kinds())
			}
		})
	}
}

// TestJoin says what a merged event takes from which stage.
func TestJoin(t *testing.T) {
	r := newRequest("a", 0)
	received := r.with(`"annotations":{"early":"yes"},"context":"c1","trigger":true,"attribution":"direct"`).stage(stageReceived, 0)
	started := r.with(`"responseStatus":{"code":200},"requestObject":{"x":1}`).stage(stageStarted, 1e6)
	complete := r.with(`"responseStatus":{"code":504,"message":"late"},"responseObject":{"y":2},"annotations":{"authorization.k8s.io/decision":"allow"},"impersonatedUser":{"username":"carol"}`).
		stage(stageComplete, 2e6)
	for _, lines := range [][]string{{received, started, complete}, {complete, started, received}, {started, complete, received}} {
		res := read(t, Options{KeepRaw: true}, strings.Join(lines, "\n"))
		if len(res.events) != 1 {
			t.Fatalf("%d events, want 1", len(res.events))
		}
		e := res.events[0]
		switch {
		case e.ResponseStatus.Code != 504 || e.ResponseStatus.Message != "late":
			t.Errorf("status %+v, want the last stage's", e.ResponseStatus)
		case string(e.RequestObject) != `{"x":1}`:
			t.Errorf("requestObject %s: the last stage has none, so the one before it counts", e.RequestObject)
		case string(e.ResponseObject) != `{"y":2}`:
			t.Errorf("responseObject %s", e.ResponseObject)
		case len(e.Annotations) != 1 || e.Annotations["authorization.k8s.io/decision"] != "allow":
			t.Errorf("annotations %v, want the last stage's", e.Annotations)
		case e.ImpersonatedUser == nil || e.ImpersonatedUser.Username != "carol":
			t.Errorf("impersonated user %v", e.ImpersonatedUser)
		case e.Truth == nil || e.Truth.Context != "c1" || !e.Truth.Trigger:
			t.Errorf("truth %+v", e.Truth)
		case !e.RequestReceived.Equal(noon):
			t.Errorf("received %v, want %v", e.RequestReceived, noon)
		case string(e.Raw) != complete:
			t.Errorf("raw %s, want the last stage's", e.Raw)
		}
	}
}

// TestHeldMemory bounds what waits: a watch without an end must not collect the log behind it.
func TestHeldMemory(t *testing.T) {
	var b strings.Builder
	for i := range 2000 {
		fmt.Fprintln(&b, newRequest(fmt.Sprint(i), time.Duration(i)*time.Millisecond).done())
	}
	r := NewReader(strings.NewReader(b.String()), "audit.log", Options{MaxHeld: 100_000})
	most := 0
	for {
		if _, err := r.Next(); err != nil {
			break
		}
		most = max(most, r.merger.size)
	}
	if most > 110_000 || most < 50_000 {
		t.Errorf("%d bytes were held at most, want about 100,000", most)
	}
	if s := r.Summary(); s.Hurried < 1900 || s.Events != 2000 || s.OutOfOrder != 0 {
		t.Errorf("summary:\n%s", s)
	}
}

// TestForgetting: the memory of unfinished events is bounded too, and forgets the oldest.
func TestForgetting(t *testing.T) {
	m := newMerger(Options{}.withDefaults(), newTally())
	for i := range maxReleased + 10 {
		m.remember(identity{received: int64(i)})
		m.remember(identity{received: int64(i)})
	}
	if len(m.released) != maxReleased || len(m.oldest) != maxReleased {
		t.Errorf("%d and %d remembered, want %d", len(m.released), len(m.oldest), maxReleased)
	}
	for i, want := range map[int64]bool{9: false, 10: true, maxReleased + 9: true} {
		if _, ok := m.released[identity{received: i}]; ok != want {
			t.Errorf("event %d remembered: %v, want %v", i, ok, want)
		}
	}
}

func TestDigest(t *testing.T) {
	r := newRequest("a", 0)
	one := func(lines ...string) *Event {
		t.Helper()
		res := read(t, Options{}, strings.Join(lines, "\n"))
		if len(res.events) != 1 {
			t.Fatalf("%d events, want 1", len(res.events))
		}
		return res.events[0]
	}
	e := one(r.stage(stageReceived, 0), r.done())
	for name, same := range map[string]*Event{
		"other order of lines": one(r.done(), r.stage(stageReceived, 0)),
		"with truth":           one(r.with(`"context":"c1"`).stage(stageReceived, 0), r.with(`"context":"c1"`).done()),
		"with a body":          one(r.stage(stageReceived, 0), r.with(`"responseObject":{}`).done()),
		"line delivered twice": one(r.stage(stageReceived, 0), r.done(), r.done()),
	} {
		if same.Digest() != e.Digest() {
			t.Errorf("%s: another digest", name)
		}
	}
	bob, uri, verb, id := r, r, r, r
	bob.user, uri.uri, verb.verb, id.id = "bob", "/x", "get", "b"
	for name, other := range map[string]*Event{
		"user": one(bob.stage(stageReceived, 0), bob.done()),
		"uri":  one(uri.stage(stageReceived, 0), uri.done()),
		"verb": one(verb.stage(stageReceived, 0), verb.done()),
		"id":   one(id.stage(stageReceived, 0), id.done()),
		"end":  one(r.stage(stageReceived, 0)),
		"time": one(r.stage(stageReceived, 0), r.stage(stageComplete, 2e6)),
	} {
		if other.Digest() == e.Digest() {
			t.Errorf("another %s, the same digest", name)
		}
	}
}
