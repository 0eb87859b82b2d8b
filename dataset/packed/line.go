package packed

import (
	"math/bits"
	"slices"
	"strings"
)

// line codes one line, without its newline. root is its parsed form, nil where it is kept as text. Shared
// tells that it is the next line of the base.
func (m *model) line(text string, root *node, shared bool) (string, *node) {
	if m.shared(shared) {
		root = m.base[m.nextBase].root
		m.nextBase++
		m.clock = microsOr(root.word("stageTimestamp"), m.clock)
		m.version = max(m.version, versionOf(root))
		m.learn(root)
		return "", root
	}
	if !m.flag(forForm, root != nil) {
		return m.text(text, "", forText), nil
	}
	return "", m.event(root)
}

// shared codes whether a line is the base's next. Lines come by the time of their stages, nearly.
func (m *model) shared(is bool) bool {
	if m.nextBase >= len(m.base) {
		return false
	}
	until := microsOr(m.base[m.nextBase].root.word("stageTimestamp"), 0) - m.clock
	near := uint32(bits.Len64(uint64(max(until, 0)))) << 1
	if m.wasShared {
		near++
	}
	m.wasShared = m.flag(mix(forBase, near), is)
	return m.wasShared
}

// event codes a line that is a JSON value.
func (m *model) event(root *node) *node {
	// Which request of those that have begun it belongs to, counted back; 0: none.
	back := 0
	if m.encoding {
		if x, ok := m.waits.get(root.word("auditID")); ok && m.waiting.at(x).word("requestURI") == root.word("requestURI") {
			back = m.waiting.len() - x
		}
	}
	back = m.count(forOpen, back)
	var begun, guess *node
	var key uint64
	if back > 0 {
		if back > m.waiting.len() {
			m.spoil()
			return &node{text: "0"}
		}
		begun = m.waiting.at(m.waiting.len() - back)
		m.clock = microsOr(begun.word("requestReceivedTimestamp"), m.clock)
		stage := 0
		stages := []string{`"ResponseComplete"`, `"ResponseStarted"`, `"RequestReceived"`, ``}
		if m.encoding {
			stage = 3
			for i, s := range stages {
				if root.word("stage") == s {
					stage = i
				}
			}
		}
		verb := begun.word("verb")
		stage = m.pick(mix(forChoice, uint32(sumText(verb))), 2, stage)
		key = keyOf(begun, stages[stage])
		guess = m.like(begun, stages[stage], key)
		m.same = false
	} else {
		m.inContext(root)
		key = m.key(root)
		guess, _ = m.lines.get(key)
	}
	root = m.root(root, guess, begun)
	m.learn(root)
	return root
}

// microsOr is the time that a quoted text tells, with microseconds or without.
func microsOr(text string, otherwise int64) int64 {
	if len(text) == 29 || len(text) == 22 {
		if at := microsOf(text); at >= 0 {
			return at
		}
	}
	return otherwise
}

// keyOf is what lines have in common that are much alike: all but the times and what the request is
// about, exactly.
func keyOf(n *node, stage string) uint64 {
	uri, _, _ := strings.Cut(n.word("requestURI"), "?")
	if uri == "" {
		o := n.member("objectRef")
		uri = o.word("resource") + o.word("subresource")
	}
	return hashAll("line", stage, n.word("verb"), uri, n.member("user").word("username"), n.word("userAgent"))
}

// kindKey is the same for requests of one kind.
func kindKey(n *node, stage string) uint64 {
	o := n.member("objectRef")
	return hashAll("kind", stage, n.word("verb"), o.word("apiGroup"), o.word("resource"), o.word("subresource"), n.member("user").word("username"))
}

func stageKey(n *node, stage string) uint64 { return hashAll("stage", stage, n.word("verb")) }

func hashAll(parts ...string) uint64 {
	h := uint64(0x9e3779b97f4a7c15)
	for _, p := range parts {
		h = (h ^ sumText(p)) * 0xff51afd7ed558ccd
		h ^= h >> 32
	}
	return h
}

// like is the line that one of a stage of a request is likely to resemble.
func (m *model) like(n *node, stage string, key uint64) *node {
	for _, k := range [...]uint64{key, kindKey(n, stage), stageKey(n, stage)} {
		if g, ok := m.lines.get(k); ok {
			return g
		}
	}
	return nil
}

// key codes which line that came before this one is like, by its key.
func (m *model) key(root *node) uint64 {
	var key uint64
	var no uint32
	if m.encoding {
		stage := root.word("stage")
		for _, k := range [...]uint64{keyOf(root, stage), kindKey(root, stage), stageKey(root, stage)} {
			if x, ok := m.known.get(k); ok && x < 1<<20 {
				key, no = k, x+1
				break
			}
		}
	}
	found := false
	list, of := m.likely()
	hs := m.trails()
	for i := 0; i < candidates && list[i] > 0 && !found; i++ {
		x := list[i]
		ps := [mixed]*prob{
			m.probs.at(mix(forKey, uint32(i)<<4|of[i])),
			m.probs.at(mix(forKey+uint32(hs[0]), x)), m.probs.at(mix(forKey+uint32(hs[1]), x)), m.probs.at(mix(forKey+uint32(hs[2]), x)),
		}
		if found = m.blend(m.curves, &m.mixers[mixKey+i], &ps, b2i(x == no)) == 1; found {
			no = x
		}
	}
	if !found {
		back := 0
		if no > 0 {
			back = m.keyed.len() - int(no) + 1
		}
		back = m.count(forKeyNo, back)
		no = 0
		if back > 0 && back <= m.keyed.len() {
			no = uint32(m.keyed.len() - back + 1)
		}
	}
	if no > 0 && int(no) <= m.keyed.len() {
		key = m.keyed.at(int(no) - 1)
	}
	return key
}

// inContext codes whether a line that begins a request is of the context of the line before, where that named one,
// as the lines of a stripped log and of a recording do.
func (m *model) inContext(root *node) {
	m.same = false
	if m.context == nil {
		return
	}
	is := m.encoding && root.member("context") != nil && root.member("context").equal(m.context)
	hs := m.trails()
	ps := [mixed]*prob{
		m.probs.at(mix(forContext, uint32(min(m.length, 40)))), m.probs.at(mix(forContext, uint32(hs[0]))),
		m.probs.at(mix(forContext, uint32(hs[1]))), m.probs.at(mix(forContext, uint32(hs[2]))),
	}
	m.same = m.blend(m.curves, &m.mixers[mixContext], &ps, b2i(is)) == 1
	if m.same {
		return
	}
	// What comes now may follow what came at the beginning of the other context.
	if timed := m.latest.member("requestReceivedTimestamp") != nil; !timed {
		m.latest = m.first
		m.clock = microsOr(m.first.word("stageTimestamp"), m.clock)
		first := keyOf(m.first, m.first.word("stage"))
		m.trail = [3]uint64{first ^ 1, 0, 0}
	}
}

// followers is how many of those lines that came after the same ones before are known; candidates how many of them
// are asked for.
const (
	followers  = 4
	candidates = 6
)

// trails are the latest line before, the latest two and the latest three, as one.
func (m *model) trails() (hs [3]uint64) {
	h := uint64(0)
	for i, k := range m.trail {
		h = (h*0x9e3779b97f4a7c15 ^ k) * 0xff51afd7ed558ccd
		h ^= h >> 32
		hs[i] = h
	}
	return hs
}

// likely are the numbers of the lines that came after the ones before, the likeliest first; of tells for each after
// how many of them it did.
func (m *model) likely() (list [candidates]uint32, of [candidates]uint32) {
	n := 0
	hs := m.trails()
	for order := len(hs) - 1; order >= 0; order-- {
		next, _ := m.follow.get(hs[order])
		for _, x := range next {
			if x == 0 {
				break
			}
			at := slices.Index(list[:n], x)
			if at < 0 {
				if n == candidates {
					continue
				}
				at = n
				list[n] = x
				n++
			}
			of[at] |= 1 << order
		}
	}
	return list, of
}

// root codes the members of a line: first when it was, then the others in their order.
func (m *model) root(n, guess, begun *node) *node {
	if guess == nil {
		guess = begun
	}
	kindOf := uint32(0)
	if guess != nil {
		o := guess.member("objectRef")
		kindOf = uint32(hashAll(guess.word("stage"), guess.word("verb"), o.word("resource"), o.word("subresource")))
	}
	m.kindOf = kindOf
	isObject := m.flag(forForm+0x100, m.encoding && n.kind == object)
	if !isObject {
		return m.value(n, nil, rootPath, "", 0)
	}
	if !m.encoding {
		n = m.fresh(object)
	}
	var like *shape
	if guess != nil && guess.kind == object {
		like = guess.shape
	}
	if shape := m.shape(n.shape, like, rootPath); !m.encoding {
		n.shape = shape
		n.values = m.several(len(shape.names))
	}
	received := n.shape.index("requestReceivedTimestamp") >= 0
	done := make([]bool, len(n.shape.names))
	code := func(i int) {
		name := n.shape.names[i]
		done[i] = true
		path := pathOf(rootPath, n.shape.paths[i])
		g := begun.member(name)
		switch name {
		case "stage", "stageTimestamp", "annotations", "responseStatus":
			g = nil
		}
		if g == nil {
			g = guess.member(name)
		}
		switch name {
		case "context":
			if m.same {
				if !m.encoding {
					n.values[i] = m.context
				}
				return
			}
			if !received && m.context != nil {
				g = m.context
			}
		case "stageTimestamp":
			if !received && m.latest != nil {
				g = m.latest.member(name)
			}
		case "requestObject", "responseObject":
			g = m.body(n, name, g, n.values[i])
		}
		if v := m.value(n.values[i], g, path, name, 1); !m.encoding {
			n.values[i] = v
		}
		if name == "requestReceivedTimestamp" {
			m.clock = microsOr(n.values[i].text, m.clock)
		}
	}
	for _, name := range [...]string{"requestReceivedTimestamp", "stageTimestamp", "verb", "objectRef"} {
		if i := n.shape.index(name); i >= 0 && !done[i] {
			code(i)
			if name == "stageTimestamp" && !received {
				m.clock = microsOr(n.values[i].text, m.clock)
			}
		}
	}
	for i := range n.shape.names {
		if !done[i] {
			code(i)
		}
	}
	m.clock = microsOr(n.word("stageTimestamp"), m.clock)
	if !m.encoding {
		n.summed()
	}
	return n
}

// body codes what a body is like: the one of the line before, the object as it was last seen, or the
// request of the same line.
func (m *model) body(root *node, name string, before, n *node) *node {
	choices := [4]*node{before}
	if s, ok := m.states.get(nameKey(root.member("objectRef"))); ok {
		choices[1] = s
	}
	if name == "responseObject" {
		choices[2] = root.member("requestObject")
	}
	best := 0
	if m.encoding {
		least := 1 << 30
		for i, c := range choices {
			if c == nil && i > 0 {
				continue
			}
			if d := distance(n, c, 400); d < least {
				best, least = i, d
			}
		}
	}
	return choices[m.pick(mix(forChoice+0x200, m.kindOf^uint32(len(name))), 2, best)]
}

// distance estimates how much must be said to make b of a, up to a limit.
func distance(a, b *node, limit int) int {
	if a.equal(b) {
		return 0
	}
	if a.kind == scalar {
		return 2
	}
	if limit <= 0 {
		return 1
	}
	d := 1
	if b != nil && a.kind == b.kind && a.kind == object {
		if a.shape != b.shape {
			d += 2
		}
		for i, v := range a.values {
			if d > limit {
				break
			}
			var o *node
			if a.shape == b.shape {
				o = b.values[i]
			} else {
				o = b.member(a.shape.names[i])
			}
			d += distance(v, o, limit-d)
		}
		return d
	}
	for i, v := range a.values {
		if d > limit {
			break
		}
		var o *node
		if b != nil && b.kind == array && i < len(b.values) {
			o = b.values[i]
		}
		d += distance(v, o, limit-d)
	}
	return d
}

func nameKey(ref *node) uint64 {
	if ref == nil || ref.word("name") == "" {
		return 0
	}
	return hashAll("name", ref.word("resource"), ref.word("namespace"), ref.word("name"))
}

// learn takes a whole line into account.
func (m *model) learn(n *node) {
	stage := n.word("stage")
	key := keyOf(n, stage)
	for _, k := range [...]uint64{key, kindKey(n, stage), stageKey(n, stage)} {
		m.lines.set(k, n)
		if _, ok := m.known.get(k); !ok {
			m.known.set(k, uint32(m.keyed.len()))
			m.keyed.push(k)
		}
	}
	no, _ := m.known.get(key)
	no++
	for _, h := range m.trails() {
		likely, _ := m.follow.get(h)
		if likely[0] == no {
			continue
		}
		at := len(likely) - 1
		for i, x := range likely {
			if x == no {
				at = i
			}
		}
		copy(likely[1:at+1], likely[:at])
		likely[0] = no
		m.follow.set(h, likely)
	}
	m.trail = [3]uint64{key, m.trail[0], m.trail[1]}
	m.latest = n
	if !m.same {
		m.first, m.context, m.length = n, n.member("context"), 0
	}
	m.length++
	if id := n.word("auditID"); id != "" && stage == `"RequestReceived"` {
		m.waits.set(id, m.waiting.len())
		m.waiting.push(n)
	}
	ref := n.member("objectRef")
	if ref.word("subresource") == "" || ref.word("subresource") == `"status"` {
		m.see(n.member("requestObject"), ref)
		m.see(n.member("responseObject"), ref)
	}
	if items := n.member("responseObject").member("items"); items != nil && items.kind == array {
		for _, it := range items.values {
			m.see(it, nil)
		}
	}
}

// see takes the state of an object into account.
func (m *model) see(o, ref *node) {
	meta := o.member("metadata")
	if meta == nil {
		return
	}
	fresh := false
	if u := meta.word("uid"); u != "" {
		h := sumText(u)
		if was, ok := m.states.get(h); !ok || was.sum != o.sum {
			fresh = true
			m.states.set(h, o)
		}
	}
	if ref != nil {
		if k := nameKey(ref); k != 0 {
			m.states.set(k, o)
		} else if name := meta.word("name"); name != "" {
			m.states.set(hashAll("name", ref.word("resource"), meta.word("namespace"), name), o)
		}
	}
	if fresh {
		if m.encoding {
			m.places.set(o, m.order.len())
		}
		m.order.push(o)
	}
}
