package audit

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestSummaryGolden reads a small log with everything in it, and prints all that comes out.
func TestSummaryGolden(t *testing.T) {
	f, err := NewFilter(Labelling, "all")
	if err != nil {
		t.Fatal(err)
	}
	r, err := Open(context.Background(), Options{Filter: f}, "testdata/audit.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	res := drain(t, r)
	var b strings.Builder
	for _, e := range res.events {
		decision, rule := f.Decide(e)
		fmt.Fprintf(&b, "%s %s %s %s %x %s %s\n", stamp(e.RequestReceived), e.AuditID, e.Verb, e.RequestURI, e.Digest(), decision, rule)
		for _, s := range e.Stages {
			fmt.Fprintf(&b, "  %s %s %s\n", s.Position, s.Name, stamp(s.Time))
		}
	}
	for _, p := range res.problems {
		fmt.Fprintln(&b, p)
	}
	fmt.Fprintf(&b, "\n%s\n", res.summary)
	data, err := json.MarshalIndent(res.summary, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "audit.golden", append([]byte(b.String()), data...))
}

// TestSummaryText: the text says every count that is not zero, and leaves out those that are.
func TestSummaryText(t *testing.T) {
	full := Summary{
		Files: 2, Bytes: 3, Lines: 4, Blank: 5, Lists: 6, Items: 7, Stages: 8, Repeated: 9, Late: 10, Skipped: 11, Events: 12,
		Unfinished: 13, Hurried: 14, OutOfOrder: 15, Background: 16, Removed: 17, Dropped: 18,
		Rules: []Count{{"a_rule", 19}}, Problems: []Count{{"a problem", 20}}, First: noon, Last: noon.Add(1e9),
	}
	const want = `files 2: 4 lines, 3 bytes, 7 items
  6 lists
  5 blank lines
events 12 of 8 stages
  received 2026-03-01T12:00:00Z to 2026-03-01T12:00:01Z
  13 without an end
  14 left early to bound memory
  15 out of order
repeated stages 9
late stages 10
filter: 16 background, 17 removed; 18 events dropped
  19 a_rule
problems, 11 items skipped
  20 a problem
`
	if got := full.String(); got != want {
		t.Errorf("summary reads\n%s\nwant\n%s", got, want)
	}
	const none = "files 0: 0 lines, 0 bytes, 0 items\nevents 0 of 0 stages\n"
	if got := (Summary{}).String(); got != none {
		t.Errorf("empty summary reads %q", got)
	}
}

func BenchmarkReader(b *testing.B) {
	data, err := os.ReadFile("testdata/audit.jsonl")
	if err != nil {
		b.Fatal(err)
	}
	lines := strings.Split(string(data), "\n")
	var text strings.Builder
	for i := range 2000 {
		// The namespace request, in full, then a lease renewal.
		for _, l := range []string{lines[2], lines[3], lines[16]} {
			text.WriteString(strings.Replace(l, `"auditID":"`, fmt.Sprintf(`"auditID":"%d-`, i), 1) + "\n")
		}
	}
	b.SetBytes(int64(text.Len()))
	b.ReportAllocs()
	for b.Loop() {
		r := NewReader(strings.NewReader(text.String()), "audit.log", Options{})
		events := 0
		for {
			rec, err := r.Next()
			if err != nil {
				break
			}
			if rec.Problem != nil {
				b.Fatal(rec.Problem)
			}
			events++
		}
		if events != 4000 {
			b.Fatalf("%d events, want 4000", events)
		}
	}
}
