package packed

import (
	"slices"
	"strings"
)

// node is a JSON value as it was written: numbers and strings by their text, quotes and escapes
// included. Nodes do not change, since lines share them.
type node struct {
	kind   kind
	text   string  // of a scalar
	shape  *shape  // of an object
	values []*node // of an object, by its shape; of an array
	sum    uint64  // of what it holds
}

type kind uint8

const (
	scalar kind = iota
	object
	array
)

// shape is the names of an object's members, in order, as written.
type shape struct {
	key   string // the names joined
	sum   uint64 // of the key
	names []string
	paths []uint32 // by name: its sum
}

// summed sets the sums of s, whose key and names are set.
func (s *shape) summed() *shape {
	s.sum = sumText(s.key)
	s.paths = make([]uint32, len(s.names))
	for i, n := range s.names {
		s.paths[i] = uint32(sumText(n))
	}
	return s
}

func (s *shape) index(name string) int { return slices.Index(s.names, name) }

// member is the value under a name, nil where there is none.
func (n *node) member(name string) *node {
	if n == nil || n.kind != object {
		return nil
	}
	if i := n.shape.index(name); i >= 0 {
		return n.values[i]
	}
	return nil
}

// word is the text of a scalar member.
func (n *node) word(name string) string {
	if m := n.member(name); m != nil && m.kind == scalar {
		return m.text
	}
	return ""
}

// append writes the value as it was. It gives up where dst gets longer than limit: what comes of a
// damaged file may be short to say and long to write.
func (n *node) append(dst []byte, limit int) []byte {
	if len(dst) > limit {
		return dst
	}
	switch n.kind {
	case scalar:
		return append(dst, n.text...)
	case array:
		dst = append(dst, '[')
		for i, v := range n.values {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = v.append(dst, limit)
		}
		return append(dst, ']')
	}
	dst = append(dst, '{')
	for i, v := range n.values {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, '"')
		dst = append(dst, n.shape.names[i]...)
		dst = append(dst, '"', ':')
		dst = v.append(dst, limit)
	}
	return append(dst, '}')
}

// equal compares by content. Sums differ for nearly all that differs; the rest is compared.
func (n *node) equal(o *node) bool {
	if n == o {
		return true
	}
	if n == nil || o == nil || n.sum != o.sum || n.kind != o.kind || n.text != o.text || n.shape != o.shape || len(n.values) != len(o.values) {
		return false
	}
	for i := range n.values {
		if !n.values[i].equal(o.values[i]) {
			return false
		}
	}
	return true
}

// summed sets the sum of n, whose members have theirs.
func (n *node) summed() *node {
	h := uint64(n.kind)*0x9e3779b97f4a7c15 + sumText(n.text)
	if n.shape != nil {
		h += n.shape.sum * 0xd6e8feb86659fd93
	}
	for _, v := range n.values {
		h = (h ^ v.sum) * 0xff51afd7ed558ccd
		h ^= h >> 32
	}
	n.sum = h
	return n
}

// maxDepth bounds nesting; what is deeper is kept as text.
const maxDepth = 100

// parser reads compact JSON. It accepts more than JSON, for what it accepts it gives back as it was:
// a text that it cannot give back exactly is refused.
type parser struct {
	text   string
	at     int
	shapes shapes
	nodes  map[uint64]*node // equal values are one node, which saves memory and makes comparing quick
}

func (p *parser) parse(text string) *node {
	p.text, p.at = text, 0
	n := p.value(0)
	if n == nil || p.at != len(text) {
		return nil
	}
	return n
}

func (p *parser) peek() byte {
	if p.at < len(p.text) {
		return p.text[p.at]
	}
	return 0
}

func (p *parser) value(depth int) *node {
	if depth > maxDepth {
		return nil
	}
	n := &node{}
	switch p.peek() {
	case '{':
		p.at++
		n.kind = object
		var names []string
		for p.peek() != '}' {
			if len(names) > 0 {
				if p.peek() != ',' {
					return nil
				}
				p.at++
			}
			name := p.quoted()
			if name == "" || p.peek() != ':' {
				return nil
			}
			p.at++
			v := p.value(depth + 1)
			if v == nil {
				return nil
			}
			names, n.values = append(names, name[1:len(name)-1]), append(n.values, v)
		}
		p.at++
		n.shape = p.shapes.of(names)
	case '[':
		p.at++
		n.kind = array
		for p.peek() != ']' {
			if len(n.values) > 0 {
				if p.peek() != ',' {
					return nil
				}
				p.at++
			}
			v := p.value(depth + 1)
			if v == nil {
				return nil
			}
			n.values = append(n.values, v)
		}
		p.at++
	case '"':
		if n.text = p.quoted(); n.text == "" {
			return nil
		}
	default:
		start := p.at
		for p.at < len(p.text) && strings.IndexByte(",]}:{[\" \t\r\n", p.text[p.at]) < 0 {
			p.at++
		}
		if start == p.at {
			return nil
		}
		n.text = p.text[start:p.at]
	}
	return p.one(n)
}

func (p *parser) quoted() string {
	if p.peek() != '"' {
		return ""
	}
	for i := p.at + 1; i < len(p.text); i++ {
		switch p.text[i] {
		case '\\':
			i++
		case '"':
			s := p.text[p.at : i+1]
			p.at = i + 1
			return s
		}
	}
	return ""
}

// one gives the node that stands for all equal ones.
func (p *parser) one(n *node) *node {
	h := n.summed().sum
	if o := p.nodes[h]; o != nil {
		if o.equal(n) {
			return o
		}
		return n
	}
	n.text = strings.Clone(n.text) // or the whole line would stay
	p.nodes[h] = n
	return n
}

func sumText(s string) uint64 {
	const odd = 0xff51afd7ed558ccd
	h := uint64(len(s)) * 0x9e3779b97f4a7c15
	for ; len(s) >= 8; s = s[8:] {
		v := uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 | uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
		h = (h ^ v) * odd
		h ^= h >> 32
	}
	v := uint64(0)
	for i := 0; i < len(s); i++ {
		v = v<<8 | uint64(s[i])
	}
	h = (h ^ v) * odd
	h ^= h >> 29
	h *= 0xc4ceb9fe1a85ec53
	return h ^ h>>32
}

// shapes are the shapes met, by their key.
type shapes map[string]*shape

func (s shapes) of(names []string) *shape {
	key := strings.Join(names, `","`)
	if x, ok := s[key]; ok {
		return x
	}
	x := &shape{key: strings.Clone(key), names: make([]string, len(names))}
	for i, n := range names {
		x.names[i] = strings.Clone(n)
	}
	s[x.key] = x.summed()
	return x
}

// layered is a map over one that no longer changes.
type layered[K comparable, V any] struct{ under, own map[K]V }

func (l *layered[K, V]) get(k K) (V, bool) {
	if v, ok := l.own[k]; ok {
		return v, true
	}
	v, ok := l.under[k]
	return v, ok
}

func (l *layered[K, V]) set(k K, v V) {
	if l.own == nil {
		l.own = make(map[K]V)
	}
	l.own[k] = v
}

// over starts a layer over l, which must not change any more and must have no layer below.
func (l *layered[K, V]) over() layered[K, V] { return layered[K, V]{under: l.own} }

// layers is a slice over one that no longer changes.
type layers[T any] struct{ under, own []T }

func (l *layers[T]) len() int { return len(l.under) + len(l.own) }

func (l *layers[T]) at(i int) T {
	if i < len(l.under) {
		return l.under[i]
	}
	return l.own[i-len(l.under)]
}

func (l *layers[T]) push(v T) { l.own = append(l.own, v) }

func (l *layers[T]) over() layers[T] { return layers[T]{under: l.own} }
