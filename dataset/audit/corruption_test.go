package audit

import (
	"bytes"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

// TestCorruption says for each kind of damage which events survive, in order, and which problems are
// told, as "line kind".
func TestCorruption(t *testing.T) {
	a, b, c := whole("a"), whole("bb"), whole("ccc")
	cut := func(s string, n int) string { return s[:len(s)-n] }
	deepBody := newRequest("bb", 0).with(`"requestObject":` + strings.Repeat(`{"x":`, 200_000) + "1" + strings.Repeat("}", 200_000)).done()

	for _, tc := range []struct {
		name, text, events, problems string
	}{
		{"nothing wrong", a + "\n" + b + "\n" + c + "\n", "a bb ccc", ""},
		{"no newline at the end", a + "\n" + b, "a bb", ""},
		{"CRLF", a + "\r\n" + b + "\r\n", "a bb", ""},
		{"blank lines", "\n\n" + a + "\n \t \n" + b + "\n\n", "a bb", ""},
		{"nothing", "", "", ""},

		{"last line cut", a + "\n" + cut(b, 10), "a", "2 cut JSON"},
		{"last line cut to one byte", a + "\n{", "a", "2 cut JSON"},
		{"first line's head missing", b[30:] + "\n" + a + "\n", "a", "1 not JSON"},
		{"garbage in the middle", a + "\nE0301 12:00:00 panic!\n" + b + "\n", "a bb", "2 not JSON"},
		{"binary garbage", a + "\n\x00\x01\xff\xfe\x80{\x07\n" + b + "\n", "a bb", "2 NUL bytes, 2 not JSON"},
		{"bracketed log line", "[INFO] starting\n" + a + "\n", "a", "1 not JSON"},
		{"torn line, newline after a comma", a + "\n" + a[:strings.Index(a, `"level"`)] + "\n" + b + "\n", "a bb", "2 cut JSON"},
		{"torn first line, newline after a comma", a[:strings.Index(a, `"level"`)] + "\n" + b + "\n", "bb", "1 cut JSON"},
		{"torn line, newline after a brace", a[:strings.Index(a, `"username"`)] + "\n" + b + "\n", "bb", "1 cut JSON"},
		{"torn line, newline in a string", a[:strings.Index(a, `alice`)+2] + "\n" + b + "\n", "bb", "1 cut JSON"},
		{"torn line glued to the next", a + "\n" + cut(b, 40) + c + "\n", "a ccc", "2 cut JSON"},
		{"torn inside a string, glued", a[:strings.Index(a, `alice`)+2] + b + "\n" + c + "\n", "bb ccc", "1 cut JSON"},
		{"whole line, torn line, whole line glued", a + cut(b, 40) + c + "\n", "a ccc", "1 cut JSON"},
		{"three on one line", a + b + c + "\n", "a bb ccc", ""},
		{"comma at the end of the line", a + ",\n" + b + "\n", "a bb", ""},
		{"closing brace too many", a + "}\n" + b + "\n", "a bb", "1 not JSON"},
		{"unquoted key", strings.Replace(a, `"verb"`, `verb`, 1) + "\n" + b + "\n", "bb", "1 not JSON"},

		{"byte order mark", "\xef\xbb\xbf" + a + "\n" + b + "\n", "a bb", ""},
		{"NULs at the start", strings.Repeat("\x00", 300_000) + a + "\n" + b + "\n", "a bb", "1 NUL bytes"},
		{"nothing but NULs", strings.Repeat("\x00", 300_000), "", "1 NUL bytes"},
		{"NULs in the middle", a + "\n\x00\x00\x00" + b + "\n", "a bb", "2 NUL bytes"},

		{"bad UTF-8 in a name", strings.Replace(a, "alice", "al\xff\xfeice", 1) + "\n" + b + "\n", "a bb", "1 bad UTF-8"},
		{"lone surrogate", strings.Replace(a, "alice", `al\ud800ice`, 1) + "\n" + b + "\n", "a bb", "1 bad UTF-8"},
		{"UTF-16", "\xff\xfe{\x00\"\x00\n" + a + "\n", "a", "1 not JSON"},

		{"key twice", strings.Replace(a, `"verb":"create"`, `"verb":"get","verb":"create"`, 1) + "\n" + b + "\n", "bb", "1 duplicate key"},
		{"key twice in the user", strings.Replace(a, `"username":`, `"username":"bob","username":`, 1) + "\n" + b + "\n", "bb", "1 duplicate key"},
		{"key twice in a body", newRequest("a", 0).with(`"requestObject":{"spec":1,"spec":2}`).done() + "\n" + b + "\n", "a bb", "1 body left out"},
		{"AUDITID beside auditID", newRequest("a", 0).with(`"AUDITID":"evil"`).done() + "\n" + b + "\n", "a bb", "1 key in other case"},
		{"AUDITID for auditID", strings.Replace(whole("a"), `"auditID"`, `"AUDITID"`, 1) + "\n" + b + "\n", " bb", "1 key in other case"},

		{"status as a string", newRequest("a", 0).with(`"responseStatus":"Success"`).done() + "\n" + b + "\n", "a bb", "1 wrong type"},
		{"code as a string", newRequest("a", 0).with(`"responseStatus":{"code":"200"}`).done() + "\n" + b + "\n", "a bb", "1 wrong type"},
		{"wrong type that is no JSON either", newRequest("a", 0).with(`"responseStatus":[nonsense]`).done() + "\n" + b + "\n", "a bb", "1 wrong type"},
		{"two fields of a wrong type", newRequest("a", 0).with(`"responseStatus":7,"annotations":[1]`).done() + "\n", "a", "1 wrong type, 1 wrong type"},
		{"time that is none", strings.Replace(a, stamp(noon.Add(1e9)), "yesterday", 1) + "\n", "a", "1 wrong type"},
		{"context of a foreign key", newRequest("a", 0).with(`"context":{"cluster":"x"}`).done() + "\n", "a", "1 wrong type"},

		{"200k deep", strings.Repeat("[", 200_000) + "\n" + a + "\n", "a", "1 cut JSON"},
		{"200k deep and closed", strings.Repeat("[", 200_000) + strings.Repeat("]", 200_000) + "\n" + a + "\n", "a", "1 not JSON"},
		{"200k deep body", deepBody + "\n" + a + "\n", "bb a", "1 body left out"},
		{"200k deep and cut", `{"verb":"get","x":` + strings.Repeat("[", 200_000) + "\n" + a + "\n", "a", "1 nested too deep"},
		{"200k deep object", `{"x":` + strings.Repeat("[", 200_000) + strings.Repeat("]", 200_000) + "}\n" + a + "\n", "a", "1 not an audit event"},

		{"valid JSON, no event", "{\"a\":1}\n42\n\"text\"\nnull\n{}\n" + a + "\n", "a", "1 not an audit event, 2 not JSON, 3 not JSON, 4 not an audit event, 5 not an audit event"},
		{"core event, not audit event", `{"kind":"Event","apiVersion":"v1","involvedObject":{"kind":"Pod"},"reason":"Killing"}` + "\n" + a + "\n", "a", "1 not an audit event"},
		{"log prefix", "2026-03-01T12:00:00.1Z stdout F " + a + "\n" + b + "\n", "a bb", "1 text around JSON"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			res := read(t, Options{KeepRaw: true}, tc.text)
			if got := res.ids(); got != tc.events {
				t.Errorf("events %q, want %q", got, tc.events)
			}
			if got := res.kinds(); got != tc.problems {
				t.Errorf("problems %q, want %q", got, tc.problems)
			}
			if want := int64(strings.Count(tc.text, "\n")); res.summary.Lines != want && res.summary.Lines != want+1 {
				t.Errorf("%d lines, want %d", res.summary.Lines, want)
			}
			if res.summary.Bytes != int64(len(tc.text)) {
				t.Errorf("%d bytes, want %d", res.summary.Bytes, len(tc.text))
			}
			for _, e := range res.events {
				if !e.Raw.IsValid() && !strings.Contains(tc.name, "twice in a body") {
					t.Errorf("raw is no valid JSON: %s", shorten(string(e.Raw)))
				}
			}
		})
	}
}

// TestDocuments covers values that are no lines.
func TestDocuments(t *testing.T) {
	a, b, c := whole("a"), whole("bb"), whole("ccc")
	list := func(items ...string) string {
		return `{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{},"items":[` + strings.Join(items, ",") + `]}`
	}
	indent := func(s string) string {
		v := jsontext.Value(s)
		if err := v.Indent(jsontext.WithIndent("  ")); err != nil {
			t.Fatal(err)
		}
		return string(v)
	}
	for _, tc := range []struct {
		name, text, events, problems string
	}{
		{"webhook batch", list(a, b) + "\n" + list(c) + "\n", "a bb ccc", ""},
		{"batch among lines", a + "\n" + list(b) + "\n" + c + "\n", "a bb ccc", ""},
		{"empty list", list() + "\n" + a + "\n", "a", ""},
		{"list with members behind the items", `{"items":[` + a + `],"kind":"EventList","x":{"items":[1]}}` + "\n", "a", ""},
		{"pretty list", indent(list(a, b, c)) + "\n", "a bb ccc", ""},
		{"pretty list without newline at the end", indent(list(a, b, c)), "a bb ccc", ""},
		{"list, one item a line", `{"kind":"EventList","items":[` + "\n" + a + ",\n" + b + "\n]}\n" + c + "\n", "a bb ccc", ""},
		{"array", "[" + a + "," + b + "]\n" + c + "\n", "a bb ccc", ""},
		{"pretty array", indent("[" + a + "," + b + "," + c + "]"), "a bb ccc", ""},
		{"array, one item a line", "[\n" + a + ",\n" + b + "\n]\n" + c + "\n", "a bb ccc", ""},
		{"array, first item on the bracket's line", "[" + a + ",\n" + b + "]\n", "a bb", ""},
		{"empty array", "[]\n[\n]\n" + a + "\n", "a", ""},
		{"pretty events, one after the other", indent(a) + "\n" + indent(b) + "\n" + c + "\n", "a bb ccc", ""},
		{"lines, then a pretty list", a + "\n" + indent(list(b, c)) + "\n", "a bb ccc", ""},

		{"scalars in an array", `[1,"x",null,` + a + "]\n", "a", "1 not JSON, 1 not JSON, 1 not an audit event"},
		{"one item bad", "[\n" + a + ",\n" + `{"x":nonsense}` + ",\n" + b + "\n]\n", "a bb", "2 not JSON"},
		{"array cut after an item", "[\n" + a + ",\n" + b, "a bb", "3 cut document"},
		{"array cut in an item", "[\n" + a + ",\n" + b[:len(b)-5], "a", "2 cut JSON"},
		{"item torn between tokens", "[\n" + a[:strings.Index(a, `"level"`)] + "\n" + b + ",\n" + c + "\n]\n", "bb ccc", "1 cut JSON"},
		{"item torn in a string", "[\n" + a[:strings.Index(a, "alice")+2] + "\n" + b + ",\n" + c + "\n]\n", "bb ccc", "1 cut JSON"},
		{"pretty list cut", indent(list(a, b, c))[:2*len(indent(list(a, b, c)))/3], "a", "2 cut JSON"},
		{"pretty event torn, lines after it", indent(a)[:60] + "\n" + b + "\n" + c + "\n", "bb ccc", "1 cut JSON"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			res := read(t, Options{KeepRaw: true}, tc.text)
			if got := res.ids(); got != tc.events {
				t.Errorf("events %q, want %q", got, tc.events)
			}
			if got := res.kinds(); got != tc.problems {
				t.Errorf("problems %q, want %q", got, tc.problems)
			}
			if res.summary.Bytes != int64(len(tc.text)) {
				t.Errorf("%d bytes, want %d", res.summary.Bytes, len(tc.text))
			}
			for _, e := range res.events {
				if bytes.ContainsRune(e.Raw, '\n') || !e.Raw.IsValid() {
					t.Errorf("raw is no line of JSON: %s", e.Raw)
				}
			}
		})
	}
}

func TestItemNumbersInDocuments(t *testing.T) {
	res := read(t, Options{}, "[\n"+whole("a")+",\n"+whole("bb")+"\n]\n"+whole("ccc")+"\n")
	var got []string
	for _, e := range res.events {
		got = append(got, e.Stages[0].Position.String())
	}
	want := "audit.log:1 audit.log:2 audit.log:5" // two items, then a line
	if strings.Join(got, " ") != want {
		t.Errorf("positions %v, want %s", got, want)
	}
}

// TestLongLines keeps the limit: what is longer is dropped, and only that.
func TestLongLines(t *testing.T) {
	a, b := whole("a"), whole("bb")
	limit := len(b) + 20
	filler := strings.Repeat("x", 1000)
	long := newRequest("long", 0).with(`"requestObject":{"data":"` + filler + `"}`).done()
	for _, tc := range []struct {
		name, text, events, problems string
	}{
		{"between others", a + "\n" + long + "\n" + b + "\n", "a bb", "2 line too long"},
		{"longer than the buffer", a + "\n" + strings.Repeat(filler, 1000) + "\n" + b + "\n", "a bb", "2 line too long"},
		{"an event longer than the buffer", newRequest("x", 0).with(`"requestObject":"`+strings.Repeat(filler, 600)+`"`).done() + "\n" + b + "\n", "bb", "1 line too long"},
		{"open brackets", strings.Repeat("[{", 1000) + "\n" + b + "\n", "bb", "1 line too long"},
		{"at the end", a + "\n" + filler, "a", "2 line too long"},
		{"a list of short items", `{"items":[` + a + "," + b + "," + a + "]}\n" + whole("ccc") + "\n", "a bb ccc", ""},
		{"a list with one long item", "[" + a + "," + long + "," + b + "]\n", "a bb", "1 line too long"},
		{"a list longer than the buffer", "[" + strings.Repeat(a+",", 2000) + b + "]\n" + whole("ccc") + "\n", "a bb ccc", ""},
		{"a pretty list with one long item", "[\n" + a + ",\n" + long + ",\n" + b + "\n]\n", "a bb", "2 line too long"},
		{"a list of items, cut", `[` + a + "," + b + "," + a[:len(a)-9] + "\n" + whole("ccc") + "\n", "a bb ccc", "1 cut JSON"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			res := read(t, Options{MaxLine: limit}, tc.text)
			if got := res.ids(); got != tc.events {
				t.Errorf("events %q, want %q", got, tc.events)
			}
			if got := res.kinds(); got != tc.problems {
				t.Errorf("problems %q, want %q", got, tc.problems)
			}
		})
	}
}

// endless gives n bytes of c, then text.
type endless struct {
	n    int
	c    byte
	tail io.Reader
}

func (e *endless) Read(p []byte) (int, error) {
	if e.n == 0 {
		return e.tail.Read(p)
	}
	p = p[:min(len(p), e.n)]
	for i := range p {
		p[i] = e.c
	}
	e.n -= len(p)
	return len(p), nil
}

// TestHugeLineIsNotHeld reads a line of 16 MiB and counts what was allocated on the way.
func TestHugeLineIsNotHeld(t *testing.T) {
	for _, c := range []byte{'x', '[', '{', '"', 0} {
		t.Run(fmt.Sprintf("%q", c), func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			in := &endless{n: 16 << 20, c: c, tail: strings.NewReader("\n" + whole("a") + "\n")}
			res := drain(t, NewReader(in, "audit.log", Options{MaxLine: 128 << 10}))
			runtime.ReadMemStats(&after)
			if res.ids() != "a" {
				t.Errorf("events %q, want a", res.ids())
			}
			if got := (after.TotalAlloc - before.TotalAlloc) >> 10; got > 2048 {
				t.Errorf("%d KiB allocated for a line of 16 MiB with a limit of 128 KiB", got)
			}
		})
	}
}
