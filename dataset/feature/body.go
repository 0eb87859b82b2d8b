package feature

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// slot is what a body has at one path.
type slot struct {
	kind  jsontext.Kind // 0: nothing there; else the first byte of the JSON value, '0' for numbers
	text  string        // a scalar's text, strings unquoted; empty for containers and null
	count int           // the members of a container
	depth int           // how many containers the value lies in
}

func (s slot) container() bool { return s.kind == '{' || s.kind == '[' }

// tree is a set of flat paths. It picks their values out of a body in one pass and skips everything
// else unread.
//
// A flat path is a place as the reference writes it: members joined by dots, elements as [i]. Dots in
// keys are not escaped, so the member "a.b" and the member b of a have the same path; the value in
// more containers wins, and of equals the later, as in the reference's breadth-first walk. Beyond
// the reference, a path may end in a container, and [last] is the last element of an array.
type tree struct {
	root  node
	paths []string
}

type node struct {
	slot    int // index into the slots; -1: not asked for
	members map[string]*node
	elems   map[int]*node
	last    *node
	below   []int // every slot at and under this node
}

func newTree() *tree { return &tree{root: node{slot: -1}} }

// add asks for a path and returns its slot. The paths come from the field tables, never from input.
func (t *tree) add(path string) int {
	if i := slices.Index(t.paths, path); i >= 0 {
		return i
	}
	slot := len(t.paths)
	t.paths = append(t.paths, path)
	n := &t.root
	n.below = append(n.below, slot)
	for _, name := range strings.Split(path, ".") {
		name, index, _ := strings.Cut(name, "[")
		n = n.member(name)
		n.below = append(n.below, slot)
		if index == "" {
			continue
		}
		index = strings.TrimSuffix(index, "]")
		if index == "last" {
			if n.last == nil {
				n.last = &node{slot: -1}
			}
			n = n.last
		} else {
			i, err := strconv.Atoi(index)
			if err != nil {
				panic(fmt.Sprintf("feature: bad path %q in a field table", path))
			}
			if n.elems == nil {
				n.elems = map[int]*node{}
			}
			if n.elems[i] == nil {
				n.elems[i] = &node{slot: -1}
			}
			n = n.elems[i]
		}
		n.below = append(n.below, slot)
	}
	n.slot = slot
	return slot
}

func (n *node) member(name string) *node {
	if n.members == nil {
		n.members = map[string]*node{}
	}
	if n.members[name] == nil {
		n.members[name] = &node{slot: -1}
	}
	return n.members[name]
}

// find is the node of the member key of n, or nil.
func (n *node) find(key []byte) *node {
	if n.members == nil {
		return nil
	}
	if m := n.members[string(key)]; m != nil {
		return m
	}
	if bytes.IndexByte(key, '.') < 0 {
		return nil
	}
	for len(key) > 0 && n != nil {
		name, rest, dotted := bytes.Cut(key, []byte("."))
		n, key = n.members[string(name)], rest
		if dotted && len(rest) == 0 && n != nil {
			return n.members[""] // the key ends in a dot
		}
	}
	return n
}

// picker holds what a pass over a body needs, for use again.
type picker struct {
	dec   *jsontext.Decoder
	buf   bytes.Buffer
	slots []slot
	key   []byte
}

func newPicker(slots int) *picker {
	return &picker{dec: jsontext.NewDecoder(new(bytes.Buffer)), slots: make([]slot, slots)}
}

// clear empties all slots.
func (p *picker) clear() { clear(p.slots) }

// pick fills the slots of t from body, which is called name. A body that is cut off or is no JSON
// gives what was read up to there. It never recurses deeper than the deepest path; jsontext bounds
// the nesting of what is skipped.
func (p *picker) pick(t *tree, name string, body jsontext.Value) {
	if len(body) == 0 || len(t.paths) == 0 {
		return
	}
	n := t.root.members[name]
	if n == nil {
		return
	}
	// A bytes.Buffer is parsed in place, without a copy.
	p.buf = *bytes.NewBuffer(body)
	p.dec.Reset(&p.buf, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	_ = p.value(n, 1) // the error means only that there is no more to read
	p.dec.Reset(new(bytes.Buffer))
	p.buf = bytes.Buffer{} // do not hold the body
}

func (p *picker) value(n *node, depth int) error {
	if n == nil {
		_, err := p.dec.ReadValue()
		return err
	}
	switch p.dec.PeekKind() {
	case '{':
		return p.object(n, depth)
	case '[':
		return p.array(n, depth)
	}
	v, err := p.dec.ReadValue()
	if err != nil {
		return err
	}
	p.set(n, slot{kind: v.Kind(), text: scalarText(v), depth: depth})
	return nil
}

func (p *picker) object(n *node, depth int) error {
	if _, err := p.dec.ReadToken(); err != nil {
		return err
	}
	// Set before the members are read: a body cut off inside still has the container.
	p.set(n, slot{kind: '{', depth: depth})
	for count := 1; ; count++ {
		if p.dec.PeekKind() == '}' {
			_, err := p.dec.ReadToken()
			return err
		}
		key, err := p.dec.ReadValue()
		if err != nil {
			return err
		}
		p.count(n, '{', depth, count)
		name := key[1 : len(key)-1]
		if bytes.IndexByte(name, '\\') >= 0 {
			p.key, _ = jsontext.AppendUnquote(p.key[:0], key)
			name = p.key
		}
		if err := p.value(n.find(name), depth+1); err != nil {
			return err
		}
	}
}

func (p *picker) array(n *node, depth int) error {
	if _, err := p.dec.ReadToken(); err != nil {
		return err
	}
	p.set(n, slot{kind: '[', depth: depth})
	for i := 0; ; i++ {
		if p.dec.PeekKind() == ']' {
			_, err := p.dec.ReadToken()
			return err
		}
		elem := n.elems[i]
		if n.last != nil {
			elem = n.last
			for _, s := range elem.below {
				p.slots[s] = slot{}
			}
		}
		if err := p.value(elem, depth+1); err != nil {
			return err
		}
		p.count(n, '[', depth, i+1)
	}
}

// set writes a value to the slot of n. A container never replaces a scalar: it has no value of its
// own in a flat event.
func (p *picker) set(n *node, s slot) {
	if n.slot < 0 {
		return
	}
	old := &p.slots[n.slot]
	switch {
	case old.kind == 0:
	case s.container() && !old.container():
		return
	case s.container() == old.container() && s.depth < old.depth:
		return
	}
	*old = s
}

func (p *picker) count(n *node, kind jsontext.Kind, depth, count int) {
	if n.slot < 0 {
		return
	}
	if s := &p.slots[n.slot]; s.kind == kind && s.depth == depth {
		s.count = count
	}
}

// scalarText is a string's content and any other scalar's JSON text; empty for null.
func scalarText(v jsontext.Value) string {
	switch v.Kind() {
	case 'n':
		return ""
	case '"':
		if inner := v[1 : len(v)-1]; bytes.IndexByte(inner, '\\') < 0 {
			return string(inner)
		}
		text, _ := jsontext.AppendUnquote(nil, v) // invalid UTF-8 becomes U+FFFD
		return string(text)
	}
	return string(v)
}
