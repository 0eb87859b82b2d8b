package audit

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

// FuzzReader reads anything. drain checks that every item is accounted for; here, that every line and
// byte is, that what comes out is fit for the rest of the program, and that compression is no part of it.
func FuzzReader(f *testing.F) {
	data, err := os.ReadFile("testdata/audit.jsonl")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte(`{"items":[` + whole("a") + `,{"x":`))
	f.Add([]byte("[\n" + whole("a") + ",\n" + whole("bb")[:100] + "\n" + whole("ccc")))
	f.Add([]byte(`{"records":[{"properties":{"log":"{\"verb\":\"get\",\"requestURI\":\"/\"}"}}]}`))
	f.Add([]byte(whole("a") + whole("bb")[:50] + whole("ccc") + "\x00\x00\n\xef\xbb\xbf" + whole("d")))
	f.Fuzz(func(t *testing.T, data []byte) {
		opts := Options{KeepRaw: true, MaxLine: 2000}
		res := read(t, opts, string(data))
		for _, e := range res.events {
			if len(e.Stages) == 0 || e.Verb == "" || e.RequestURI == "" && e.ObjectRef == nil {
				t.Errorf("an event without substance: %+v", e)
			}
			for _, body := range []jsontext.Value{e.RequestObject, e.ResponseObject} {
				if body != nil && (!body.IsValid() || body.Kind() == 'n') {
					t.Errorf("body is no valid JSON: %q", body)
				}
			}
			if !e.Raw.IsValid(lenient) || bytes.ContainsRune(e.Raw, '\n') {
				t.Errorf("raw is no line of JSON: %q", e.Raw)
			}
			out, err := AppendJSON(nil, e, "verb", e.Verb)
			if err != nil || !jsontext.Value(out).IsValid(lenient) {
				t.Errorf("%q with a member more: %q, %v", e.Raw, out, err)
			}
			e.Digest()
		}
		for _, p := range res.problems {
			if text := p.Error(); strings.ContainsFunc(text, func(c rune) bool { return c < ' ' || c == 0x7f }) || len(text) > 2000 {
				t.Errorf("problem reads %q", text)
			}
		}
		if bytes.HasPrefix(data, []byte{0x1f, 0x8b}) || bytes.HasPrefix(data, []byte{0x28, 0xb5}) || len(data) > 4 && string(data[1:4]) == "\x2a\x4d\x18" {
			return // compressed itself
		}
		lines := int64(bytes.Count(data, []byte("\n")))
		if len(data) > 0 && data[len(data)-1] != '\n' {
			lines++
		}
		if s := res.summary; s.Lines != lines || s.Bytes != int64(len(data)) {
			t.Errorf("%d lines, %d bytes read of %d and %d", s.Lines, s.Bytes, lines, len(data))
		}
		packed := drain(t, NewReader(strings.NewReader(zip(t, string(data))), "fuzz", opts))
		if render(packed.events) != render(res.events) || packed.kinds() != res.kinds() {
			t.Errorf("compressed: problems %q, plain: %q", packed.kinds(), res.kinds())
		}
	})
}

// FuzzSplitter: where the text is cut into pieces makes no difference to the items.
func FuzzSplitter(f *testing.F) {
	f.Add([]byte(`{"items":[{"a":"]\"}"},2,[3]],"x":1}`), 5)
	f.Add([]byte(`[{"a":1},"b" 3 , {}]{}x`), 9)
	f.Add([]byte(`{"a":{"items":[1]}}{"items":[1,{"items":[2]}]}`), 20)
	f.Fuzz(func(t *testing.T, text []byte, cut int) {
		items := func(pieces ...[]byte) (all []string, end splitter) {
			s := splitter{limit: 100}
			s.emit = func(item []byte, whole bool) {
				if len(item) > 100 || !whole && len(item) > 0 {
					t.Errorf("item of %d bytes, whole: %v", len(item), whole)
				}
				all = append(all, string(item))
			}
			for _, p := range pieces {
				s.feed(p)
			}
			return all, s
		}
		want, atOnce := items(text)
		cut = min(max(cut, 0), len(text))
		got, pieces := items(text[:cut], text[cut:])
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("cut at %d: items %q, at once %q", cut, got, want)
		}
		if atOnce.depth != pieces.depth || atOnce.values != pieces.values || atOnce.junk != pieces.junk {
			t.Errorf("cut at %d: depth %d, values %d; at once %d, %d", cut, pieces.depth, pieces.values, atOnce.depth, atOnce.values)
		}
		// A single valid object is its own item, whole, unless it is a list.
		if v := jsontext.Value(bytes.Trim(text, " \t\r\n")); len(v) > 0 && len(v) <= 100 && v[0] == '{' && v.IsValid(lenient) && atOnce.lists == 0 {
			if len(want) != 1 || want[0] != string(v) {
				t.Errorf("items %q of the object %s", want, v)
			}
		}
		// members finds what jsontext does.
		if v := jsontext.Value(text); v.Kind() == '{' && v.IsValid() {
			dec := jsontext.NewDecoder(bytes.NewReader(text))
			if _, err := dec.ReadToken(); err != nil {
				t.Fatal(err)
			}
			ok := Members(text, func(name, value []byte) bool {
				n, err := dec.ReadValue()
				if err != nil || string(n) != string(name) {
					t.Fatalf("name %s, want %s (%v)", name, n, err)
				}
				w, err := dec.ReadValue()
				if err != nil || string(w) != string(value) {
					t.Fatalf("value %s, want %s (%v)", value, w, err)
				}
				return true
			})
			if !ok || dec.PeekKind() != '}' {
				t.Errorf("members stopped early in %s", text)
			}
		}
	})
}
