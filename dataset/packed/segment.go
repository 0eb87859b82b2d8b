package packed

// segment is a run of lines that share a base: lines of it that several of its blocks have likenesses
// to. Each block can be read with nothing but its base.
type segment struct {
	lines []line
	bytes int
}

// line is a raw line without its newline: a tree, or else a text.
type line struct {
	root   *node
	text   string
	size   int
	shared bool // it is in the base
}

func (l line) append(dst []byte) []byte {
	if l.root != nil {
		return l.root.append(dst, len(dst)+l.size)
	}
	return append(dst, l.text...)
}

// base marks the lines of which more than one block of that many lines has some use, and gives them in order.
func (s *segment) base(blockLines int) []line {
	type use struct{ line, latest, blocks int }
	uses := make(map[uint64]*use)
	marked := make([]bool, len(s.lines))
	note := func(key uint64, at int) {
		u := uses[key]
		if u == nil {
			u = &use{line: at, latest: -1}
			uses[key] = u
		}
		if block := at / blockLines; block != u.latest {
			u.latest = block
			if u.blocks++; u.blocks == 2 {
				marked[u.line] = true
			}
		}
	}
	object := func(n *node, at int) {
		if u := n.member("metadata").word("uid"); u != "" {
			note(hashAll("object", u), at)
		}
	}
	for i, l := range s.lines {
		n := l.root
		if n == nil {
			continue
		}
		stage := n.word("stage")
		note(keyOf(n, stage), i)
		note(kindKey(n, stage), i)
		if key := requestKey(n); key != 0 {
			note(key, i)
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
	// A request's first line is told by its later ones, and they by it.
	for i, m := range marked {
		if !m {
			continue
		}
		if u := uses[requestKey(s.lines[i].root)]; u != nil {
			marked[u.line] = true
		}
	}
	var base []line
	for i, m := range marked {
		if m {
			base = append(base, s.lines[i])
			s.lines[i].shared = true
		}
	}
	return base
}

// requestKey is the same for the lines of one request; 0: it is not told.
func requestKey(n *node) uint64 {
	if id := n.word("auditID"); id != "" {
		return hashAll("request", id)
	}
	return 0
}

// encode codes lines after what m knows, and gives their number of bytes with newlines.
func encode(m *model, lines []line) (coded, raw []byte) {
	for _, l := range lines {
		m.line(l.text, l.root, l.shared)
	}
	return m.finish(), m.raw
}

// bytesOf is the size of lines with their newlines.
func bytesOf(lines []line) int {
	n := 0
	for _, l := range lines {
		n += l.size + 1
	}
	return n
}

// decode reads that many lines, of which size bytes are there in all, with newlines.
func decode(m *model, lines, size int) ([]line, error) {
	m.budget = size
	out := make([]line, 0, min(lines, 1<<12))
	for range lines {
		text, root := m.line("", nil, false)
		if m.spoilt() {
			return nil, errDamaged
		}
		out = append(out, line{root: root, text: text, size: size})
	}
	return out, nil
}
