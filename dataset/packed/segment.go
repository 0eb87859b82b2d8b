package store

import (
	"hash/crc32"
)

// segment is a run of lines that share a base: lines of it that several of its blocks are alike to.
// Each block can be read with nothing but its base.
type segment struct {
	lines []string
	roots []*node // nil where a line is kept as text
}

// base are the lines of which more than one block has some use, in order.
func (s *segment) base(blockLines int) []int {
	type use struct {
		line, block int
		marked      bool
	}
	uses := make(map[uint64]*use)
	marked := make([]bool, len(s.lines))
	note := func(key uint64, line int) {
		u := uses[key]
		if u == nil {
			uses[key] = &use{line: line, block: line / blockLines}
			return
		}
		if !u.marked && u.block != line/blockLines {
			u.marked, marked[u.line] = true, true
		}
	}
	object := func(n *node, line int) {
		if u := n.member("metadata").word("uid"); u != "" {
			note(hashAll("object", u), line)
		}
	}
	for i, n := range s.roots {
		if n == nil {
			continue
		}
		note(keyOf(n, n.word("stage")), i)
		note(kindKey(n, n.word("stage")), i)
		if id := n.word("auditID"); id != "" {
			note(hashAll("request", id), i)
		}
		for _, name := range [...]string{"requestObject", "responseObject"} {
			b := n.member(name)
			object(b, i)
			if items := b.member("items"); items != nil && items.kind == array {
				for _, it := range items.values {
					object(it, i)
				}
			}
		}
	}
	var base []int
	for i, m := range marked {
		if m {
			base = append(base, i)
		}
	}
	return base
}

// encode codes the lines of that number after what m knows.
func (s *segment) encode(m *model, lines []int) (coded, raw []byte) {
	for _, i := range lines {
		m.line(s.lines[i], s.roots[i])
	}
	return m.finish(), m.coder.raw
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)
