package query

import (
	"errors"
	"os"
	"strings"
	"testing"
	"unicode"

	"github.com/go-json-experiment/json/jsontext"

	"k8ntext/dataset/audit"
)

// FuzzCompile: any text is refused at a place in it, or means what it prints as.
func FuzzCompile(f *testing.F) {
	b := load(f, "testdata/shop.jsonl")
	text, err := os.ReadFile("testdata/language.txt")
	if err != nil {
		f.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if expression, ok := strings.CutPrefix(line, "eval "); ok {
			f.Add(strings.TrimSuffix(expression, "\n"))
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		q, err := b.compile(text)
		if err != nil {
			var at *Error
			if !errors.As(err, &at) {
				t.Fatalf("%q: an error without a place: %v", text, err)
			}
			lines := strings.Split(text, "\n")
			if at.Line < 1 || at.Line > len(lines) || at.Column < 1 || at.Column > len([]rune(lines[at.Line-1]))+1 {
				t.Errorf("%q: %v: no such place", text, err)
			}
			if strings.ContainsFunc(err.Error(), unicode.IsControl) {
				t.Errorf("%q: %q has control characters", text, err)
			}
			return
		}
		again, err := b.compile(q.String())
		if err != nil {
			t.Fatalf("%q prints as %q, which does not compile: %v", text, q, err)
		}
		if again.String() != q.String() {
			t.Errorf("%q prints as %q, and that as %q", text, q, again)
		}
		if x, y := b.found(t, q), b.found(t, again); x != y {
			t.Errorf("%q finds %s, as %q %s", text, x, q, y)
		}
	})
}

// FuzzBody: a body is stepped through as a JSON decoder would, and what is no JSON does no harm.
func FuzzBody(f *testing.F) {
	f.Add([]byte(`{"a":{"b":[1,{"c":"x"}]},"d":null}`), "a", "b")
	f.Add([]byte(` { "a\u0062" : [ "\\" , "\"" ] } `), "ab", "x")
	f.Add([]byte(`{"a":[[["b"]]]`), "a", "")
	f.Add([]byte(`{"a"`), "a", "")
	f.Fuzz(func(t *testing.T, body []byte, one, two string) {
		trimmed := []byte(strings.TrimSpace(string(body)))
		e := &env{context: &Context{}, event: &audit.Event{RequestObject: trimmed}, budget: DefaultBudget}
		member := bodyMember{func(ev *audit.Event) jsontext.Value { return ev.RequestObject }, []step{{one, -1}, {two, -1}}}
		var got firstValue
		member.visit(e, &got)
		if !jsontext.Value(body).IsValid() {
			return
		}
		var want jsontext.Value
		if v := decodedMember(body, one); v.Kind() == '{' {
			want = decodedMember(v, two)
		} else if v.Kind() == '[' || jsontext.Value(trimmed).Kind() == '[' {
			return // lists have tests of their own
		}
		if string(got.value) != string(want) {
			t.Errorf("%q at %q, %q: got %q, want %q", body, one, two, got.value, want)
		}
	})
}

type firstValue struct{ value jsontext.Value }

func (f *firstValue) accept(_ *env, v value) bool {
	f.value = v.json
	return true
}

// decodedMember is the member of an object by the JSON library, nil where there is none.
func decodedMember(object jsontext.Value, name string) jsontext.Value {
	d := jsontext.NewDecoder(strings.NewReader(string(object)))
	if k := d.PeekKind(); k != '{' {
		return nil
	}
	if _, err := d.ReadToken(); err != nil {
		return nil
	}
	for d.PeekKind() == '"' {
		key, err := d.ReadToken()
		if err != nil {
			return nil
		}
		found := key.String() == name
		v, err := d.ReadValue()
		if err != nil {
			return nil
		}
		if found {
			return v.Clone()
		}
	}
	return nil
}
