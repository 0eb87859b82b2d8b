package feature

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"pgregory.net/rapid"

	"k8ntext/dataset/audit"
)

// jsonNode is a JSON value with its members in order, for the oracle.
type jsonNode struct {
	kind    jsontext.Kind
	text    string // of scalars
	keys    []string
	members []jsonNode // of objects, by keys; of arrays
}

func parseNode(dec *jsontext.Decoder) (jsonNode, error) {
	n := jsonNode{kind: dec.PeekKind()}
	if n.kind != '{' && n.kind != '[' {
		t, err := dec.ReadToken()
		if err == nil && n.kind != 'n' {
			n.text = t.String()
		}
		return n, err
	}
	if _, err := dec.ReadToken(); err != nil {
		return n, err
	}
	for dec.PeekKind() != '}' && dec.PeekKind() != ']' {
		if n.kind == '{' {
			key, err := dec.ReadToken()
			if err != nil {
				return n, err
			}
			n.keys = append(n.keys, key.String())
		}
		m, err := parseNode(dec)
		if err != nil {
			return n, err
		}
		n.members = append(n.members, m)
	}
	_, err := dec.ReadToken()
	return n, err
}

// flatten is the reference's rule, written down as it is stated: breadth first, dict child parent.child,
// list element parent[i], scalars and null are leaves, empty containers vanish. Null leaves are left
// out: a null and a missing feature are the same category.
func flatten(root jsonNode) map[string]string {
	type item struct {
		path string
		node jsonNode
	}
	flat := map[string]string{}
	queue := []item{{"", root}}
	for len(queue) > 0 {
		it := queue[0]
		queue = queue[1:]
		switch it.node.kind {
		case '{':
			for i, key := range it.node.keys {
				path := key
				if it.path != "" {
					path = it.path + "." + key
				}
				queue = append(queue, item{path, it.node.members[i]})
			}
		case '[':
			for i, m := range it.node.members {
				queue = append(queue, item{fmt.Sprintf("%s[%d]", it.path, i), m})
			}
		case 'n':
			delete(flat, it.path)
		default:
			flat[it.path] = it.node.text
		}
	}
	return flat
}

// oracle is the paper's features of a raw line by the rules of REFERENCE 2, without any code under test.
func oracle(t testing.TB, raw []byte) map[string]string {
	t.Helper()
	root, err := parseNode(jsontext.NewDecoder(bytes.NewReader(raw), jsontext.AllowDuplicateNames(true)))
	if err != nil {
		t.Fatalf("oracle: %v", err)
	}
	flat := flatten(root)
	binarise := func(path string, null bool) {
		if text, ok := flat[path]; ok {
			flat[path] = "1"
			if text == "" {
				flat[path] = "0"
			}
		} else if null {
			flat[path] = "0"
		}
	}
	binarise("objectRef.namespace", false)
	binarise("responseObject.metadata.namespace", nullAt(root, "responseObject", "metadata", "namespace"))
	binarise("responseObject.involvedObject.namespace", nullAt(root, "responseObject", "involvedObject", "namespace"))
	verbs := map[string]string{
		"create": "1", "delete": "2", "deletecollection": "2", "get": "3", "list": "3", "update": "4", "patch": "4", "watch": "5",
	}
	if id, ok := verbs[flat["verb"]]; ok {
		flat["verb"] = id
	} else {
		delete(flat, "verb")
	}
	if ua, ok := flat["userAgent"]; ok {
		parts := strings.Split(ua, " ")
		name, version, _ := strings.Cut(parts[0], "/")
		flat["userAgent.tool"], flat["userAgent.version"] = name, version
		if len(parts) == 3 {
			if meta := strings.Split(parts[2], "/"); len(meta) == 3 {
				flat["userAgent.extra"] = meta[2]
			}
		}
	}
	return flat
}

func nullAt(n jsonNode, path ...string) bool {
	for _, key := range path {
		i := slices.Index(n.keys, key)
		if i < 0 {
			return false
		}
		n = n.members[i]
	}
	return n.kind == 'n'
}

func TestPaperIsTheFlattenedEvent(t *testing.T) {
	lines, events := sample(t)
	for i, raw := range lines {
		want := oracle(t, raw)
		got := read(Paper(), events[i])
		for _, f := range Paper().fields {
			w, ok := want[f.Path]
			if !ok {
				w = "(null)"
			}
			if got[f.Path] != w {
				t.Errorf("event %d, %s: got %q, want %q", i+1, f.Path, got[f.Path], w)
			}
		}
	}
}

// Keys that collide with the wanted paths in every way, and some that do not.
var bodyKeys = []string{
	"kind", "apiVersion", "metadata", "namespace", "ownerReferences", "controller", "spec", "volumeMode", "involvedObject",
	"source", "component", "source.component", "metadata.namespace", "metadata.ownerReferences", "spec.volumeMode.", ".",
	"reason", "count", "type", "managedFields", "manager", "fieldsV1", "items", "", "a.b.c", "finalizers", "replicas", "ké\"y",
}

func drawJSON(t *rapid.T, b *strings.Builder, depth int) {
	choice := rapid.IntRange(0, 9).Draw(t, "kind")
	if depth == 0 {
		choice = rapid.IntRange(4, 9).Draw(t, "leaf")
	}
	space := rapid.SampledFrom([]string{"", "", " ", "\n\t"}).Draw(t, "space")
	switch choice {
	case 0, 1, 2: // an object
		b.WriteString("{" + space)
		keys := rapid.SliceOfNDistinct(rapid.SampledFrom(bodyKeys), 0, 6, rapid.ID).Draw(t, "keys")
		for i, key := range keys {
			if i > 0 {
				b.WriteString("," + space)
			}
			b.WriteString(quote(t, key) + space + ":" + space)
			drawJSON(t, b, depth-1)
		}
		b.WriteString("}")
	case 3:
		b.WriteString("[" + space)
		for i := range rapid.IntRange(0, 3).Draw(t, "elements") {
			if i > 0 {
				b.WriteString("," + space)
			}
			drawJSON(t, b, depth-1)
		}
		b.WriteString("]")
	case 4:
		b.WriteString("null")
	case 5:
		b.WriteString(rapid.SampledFrom([]string{"0", "-1.5e3", "17", "true", "false"}).Draw(t, "scalar"))
	default:
		b.WriteString(quote(t, rapid.SampledFrom([]string{"", "x", "Pod", "kube-system", "a\\\"b", "é\u2028\x00"}).Draw(t, "text")))
	}
}

// quote is a JSON string, sometimes with an escape that is not needed.
func quote(t *rapid.T, text string) string {
	q, _ := jsontext.AppendQuote(nil, text)
	if len(text) > 0 && text[0] >= 'a' && text[0] <= 'z' && rapid.Bool().Draw(t, "escape") {
		return fmt.Sprintf(`"\u%04x%s`, text[0], q[2:])
	}
	return string(q)
}

// The one-pass picker and the stated flattening agree on any body, whatever its shape.
func TestPickEqualsFlatten(t *testing.T) {
	tr := newTree()
	for _, p := range []Profile{Paper(), Honest()} {
		for _, f := range p.fields {
			for _, path := range f.needs {
				if !strings.Contains(path, "[last]") {
					tr.add(path)
				}
			}
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		var b strings.Builder
		drawJSON(t, &b, 6)
		checkPick(t, tr, []byte(b.String()))
	})
}

func checkPick(t interface{ Fatalf(string, ...any) }, tr *tree, body jsontext.Value) {
	p := newPicker(len(tr.paths))
	p.pick(tr, "responseObject", body)
	raw := append(append([]byte(`{"responseObject":`), body...), '}')
	root, err := parseNode(jsontext.NewDecoder(bytes.NewReader(raw), jsontext.AllowDuplicateNames(true)))
	if err != nil {
		t.Fatalf("body %s: %v", body, err)
	}
	want := flatten(root)
	for i, path := range tr.paths {
		got := leaf(p.slots[i])
		w, ok := want[path]
		if (got.state == present) != ok || got.text != w {
			t.Fatalf("body %s\n%s: got %+v, flattening says %q %v", body, path, got, w, ok)
		}
	}
}

func TestPickContainers(t *testing.T) {
	for _, c := range []struct {
		path, body string
		want       slot
	}{
		{"requestObject", `{"a":1}`, slot{kind: '{', count: 1, depth: 1}},
		{"requestObject", ` [ 1 , {} ] `, slot{kind: '[', count: 2, depth: 1}},
		{"requestObject", `"text"`, slot{kind: '"', text: "text", depth: 1}},
		{"requestObject", ``, slot{}},
		{"requestObject.items", `{"items":[]}`, slot{kind: '[', depth: 2}},
		{"requestObject.items", `{"items":[{},{"x":[1,2]},3]}`, slot{kind: '[', count: 3, depth: 2}},
		{"requestObject.items", `{"items":[1,2`, slot{kind: '[', count: 2, depth: 2}}, // cut off
		{"requestObject.a[1].b", `{"a":[{"b":1},{"b":2}]}`, slot{kind: '0', text: "2", depth: 4}},
		{"requestObject.a[last].b", `{"a":[{"b":1},{"b":2},{"b":3}]}`, slot{kind: '0', text: "3", depth: 4}},
		{"requestObject.a[last].b", `{"a":[{"b":1},{"c":2}]}`, slot{}}, // not the element before
		{"requestObject.a[last].b", `{"a":[]}`, slot{}},
		{"requestObject.a[0]", `{"a":{"0":1}}`, slot{}},
		{"requestObject.a", `{"a":"x","a":{"b":1}}`, slot{kind: '"', text: "x", depth: 2}},
		{"requestObject.a.b", `{"a.b":1,"a":{"b":2}}`, slot{kind: '0', text: "2", depth: 3}},
		{"requestObject.a.b", `{"a":{"b":2},"a.b":1}`, slot{kind: '0', text: "2", depth: 3}},
		{"requestObject.a.b", `{"a":{"b":2,`, slot{kind: '0', text: "2", depth: 3}},
		{"requestObject.a.b", `}{`, slot{}},
		{"requestObject.a", `{"a":"` + "\xff" + `\n"}`, slot{kind: '"', text: "\uFFFD\n", depth: 2}},
	} {
		tr := newTree()
		p := newPicker(1)
		if got := tr.add(c.path); got != 0 {
			t.Fatal(got)
		}
		p.pick(tr, "requestObject", jsontext.Value(c.body))
		if p.slots[0] != c.want {
			t.Errorf("%s of %s: got %+v, want %+v", c.path, c.body, p.slots[0], c.want)
		}
	}
}

// Bodies from hostile clients: no panic, ids in range, and the same as the stated flattening where it is JSON.
func FuzzBody(f *testing.F) {
	_, events := sample(f)
	for _, ev := range events {
		f.Add([]byte(ev.RequestObject))
		f.Add([]byte(ev.ResponseObject))
	}
	f.Add([]byte(strings.Repeat(`{"metadata":`, 200_000)))
	f.Add([]byte(strings.Repeat(`[`, 200_000)))
	f.Add([]byte(`{"metadata":{"ownerReferences":[{"kind":"Pod","controller":"x"},`))
	f.Add([]byte(`{"count":1e999,"spec":{"replicas":-0.0}}`))
	encoders := []*Encoder{Fit(Paper(), events), Fit(Honest(), events)}
	f.Fuzz(func(t *testing.T, body []byte) {
		ev := &audit.Event{Verb: "create", RequestObject: body, ResponseObject: body}
		for _, e := range encoders {
			row := e.Matrix([]*audit.Event{ev}).Row(0)
			for field, size := range e.Sizes() {
				if row[field] < 0 || int(row[field]) >= size {
					t.Fatalf("%s: id %d of %d", e.profile.fields[field].Path, row[field], size)
				}
			}
		}
		// A key with a bracket in it flattens like an element; such keys are not told apart here.
		if v := jsontext.Value(body); v.IsValid() && !bytes.Contains(body, []byte("[")) {
			checkPick(t, encoders[0].bodies, v)
		}
	})
}
