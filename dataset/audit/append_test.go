package audit

import (
	"bytes"
	"encoding/json"
	"maps"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

func TestAppendJSON(t *testing.T) {
	value := map[string]any{"label": 70048, "candidates": nil, "b": true}
	const added = `"k8ntext":{"b":true,"candidates":null,"label":70048}`
	for _, tc := range []struct{ raw, want string }{
		{`{}`, `{` + added + `}`},
		{`{"a":1}`, `{"a":1,` + added + `}`},
		{` { "a" : [ 1 , {} ] , "b":"}\"{" } `, `{"a":[ 1 , {} ],"b":"}\"{",` + added + `}`},
		{`{"k8ntext":{"old":1},"a":1}`, `{"a":1,` + added + `}`},
		{`{"a":1,"k8ntext":"old"}`, `{"a":1,` + added + `}`},
		{`{"k8\u006etext":1}`, `{` + added + `}`},
		{`{"a":{"k8ntext":1}}`, `{"a":{"k8ntext":1},` + added + `}`},
		{`{"a":-1.5e3,"b":true,"c":null,"d":""}`, `{"a":-1.5e3,"b":true,"c":null,"d":"",` + added + `}`},
	} {
		got, err := AppendJSON([]byte("before "), &Event{Raw: jsontext.Value(tc.raw)}, "k8ntext", value)
		if err != nil || string(got) != "before "+tc.want {
			t.Errorf("%s: %s, error %v; want %s", tc.raw, got, err, tc.want)
		}
	}
	for _, tc := range []struct {
		e     *Event
		key   string
		value any
		want  string
	}{
		{&Event{AuditID: "x"}, "k", 1, "KeepRaw"},
		{&Event{Raw: jsontext.Value(`[1]`)}, "k", 1, "no JSON object"},
		{&Event{Raw: jsontext.Value(`{"a"`)}, "k", 1, "no JSON object"},
		{&Event{Raw: jsontext.Value(`{}`)}, "k", math.NaN(), "adding"},
		{&Event{Raw: jsontext.Value(`{}`)}, "k\xff", 1, "adding"},
	} {
		got, err := AppendJSON([]byte("before"), tc.e, tc.key, tc.value)
		if err == nil || !strings.Contains(err.Error(), tc.want) || string(got) != "before" {
			t.Errorf("%s: %q, error %v; want one that says %q", tc.e.Raw, got, err, tc.want)
		}
	}
}

// TestAppendJSONOracle: encoding/json reads the same object, one member more.
func TestAppendJSONOracle(t *testing.T) {
	data, err := os.ReadFile("testdata/audit.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	res := read(t, Options{KeepRaw: true}, string(data))
	for _, e := range res.events {
		out, err := AppendJSON(nil, e, "k8ntext", []int{1})
		if err != nil {
			t.Fatal(err)
		}
		if bytes.ContainsRune(out, '\n') {
			t.Errorf("more than one line: %s", out)
		}
		var want, got map[string]json.RawMessage
		if err := json.Unmarshal(e.Raw, &want); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(out, &got); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if string(got["k8ntext"]) != "[1]" {
			t.Errorf("added %s", got["k8ntext"])
		}
		delete(got, "k8ntext")
		if !maps.EqualFunc(want, got, slices.Equal) {
			t.Errorf("members changed: %s", out)
		}
	}
}
