package packed

import (
	"math"
	"math/bits"
	"strconv"
	"strings"
	"sync"
	"time"
)

// model is what writer and reader know alike while they go through the lines, and by which they
// foresee the next one. Every decision in it is made of what both have.
type model struct {
	coder
	*tables

	lines   layered[uint64, *node]  // the last line of a key: see keys
	states  layered[uint64, *node]  // the last state of an object, by uid and by name
	order   layers[*node]           // states as they came, to be counted back
	places  layered[*node, int]     // encoding: index into order
	known   layered[uint64, uint32] // encoding: number of a key
	keyed   layers[uint64]          // keys by number
	follow  layered[uint64, [followers]uint32]
	shapeNo layered[string, uint32]
	shapes  layers[*shape]
	nameNo  layered[string, uint32]
	names   layers[string]
	waiting layers[*node] // requests that have begun, latest last; nil: ended
	waits   layered[string, int]

	recent layers[string] // scalars that were not foreseen, to be counted back
	placed layered[string, int]

	words  layers[string]
	wordNo layered[string, uint32]

	version int64     // the highest resourceVersion
	clock   int64     // microseconds: when the request came, or the previous line
	kindOf  uint32    // of the line
	run     uint32    // whether the latest values were as foreseen
	trail   [3]uint64 // keys of the lines before, the latest first; see learn
	context *node     // that the line before names; nil: none
	same    bool      // the line is of that context
	first   *node     // the first line of that context
	latest  *node     // the line before
	length  int       // lines of the context so far

	curves *curves
	spare  *sync.Pool // of tables of models that went on from the same

	base      []line // lines of the segment that all its blocks know, in order
	nextBase  int    // of them, which comes next
	wasShared bool   // the line before was one

	budget int // values and bytes of text that may still come: those of intact lines are fewer
	slab   []node
	links  []*node
}

// tables are the parts of a model that are of one size.
type tables struct {
	probs   table
	last    []*node  // by path: the last value there
	origins []uint32 // by text: the path where it was said last
	sources []uint32 // by path and kind of line: the path where its values come from
	after   []uint32 // the word after two others, and after one; 1 + its number
	turned  []uint32 // by path and shape: the other shape that came there last; 1 + its number
	history []uint8  // by path: whether the latest values were as foreseen
	mixers  [mixers]mixer
}

const (
	afterBits   = 17
	historyBits = 16
	lastBits    = 14
	originBits  = 14
	sourceBits  = 13
	turnedBits  = 13
)

// set makes t as from is.
func (t *tables) set(from *tables) {
	t.probs.lay(&from.probs)
	t.last = append(t.last[:0], from.last...)
	t.origins = append(t.origins[:0], from.origins...)
	t.sources = append(t.sources[:0], from.sources...)
	t.after = append(t.after[:0], from.after...)
	t.turned = append(t.turned[:0], from.turned...)
	t.history = append(t.history[:0], from.history...)
	t.mixers = from.mixers
}

func newModel(c coder) *model {
	t := &tables{
		probs: newTable(), after: make([]uint32, 1<<afterBits), history: make([]uint8, 1<<historyBits),
		last: make([]*node, 1<<lastBits), origins: make([]uint32, 1<<originBits), sources: make([]uint32, 1<<sourceBits),
		turned: make([]uint32, 1<<turnedBits),
	}
	m := &model{coder: c, tables: t, curves: newCurves(), spare: new(sync.Pool)}
	for i := range m.mixers {
		m.mixers[i] = mixer{evenWeight, evenWeight, evenWeight, evenWeight}
	}
	return m
}

// Sets of weights.
const (
	mixContext = 0
	mixKey     = 1 // by rank
	mixLetter  = mixKey + candidates
	mixWord    = mixLetter + setSize
	mixShape   = mixWord + 2*setSize
	mixers     = mixShape + 2*setSize
)

// over continues from what m knows, before the base line of that number. m must not change any more.
func (m *model) over(c coder, nextBase int) *model {
	if m.keyed.len() == 0 && m.words.len() == 0 {
		return newModel(c)
	}
	t, _ := m.spare.Get().(*tables)
	if t == nil {
		t = new(tables)
	}
	t.set(m.tables)
	o := &model{
		coder: c, tables: t, spare: m.spare, curves: m.curves,
		lines: m.lines.over(), states: m.states.over(), order: m.order.over(), places: m.places.over(),
		known: m.known.over(), keyed: m.keyed.over(), follow: m.follow.over(), shapeNo: m.shapeNo.over(), shapes: m.shapes.over(),
		nameNo: m.nameNo.over(), names: m.names.over(), waiting: m.waiting.over(), waits: m.waits.over(), recent: m.recent.over(),
		placed: m.placed.over(), words: m.words.over(), wordNo: m.wordNo.over(), version: m.version, clock: m.clock,
		base: m.base, nextBase: nextBase,
	}
	// Where in the base's time and versions its lines are is told by those before.
	for i := min(nextBase, len(m.base)) - 1; i >= 0; i-- {
		if v := versionOf(m.base[i].root); v > 0 {
			o.version = v
			break
		}
	}
	if nextBase > 0 && nextBase <= len(m.base) {
		o.clock = microsOr(m.base[nextBase-1].root.word("stageTimestamp"), o.clock)
	}
	return o
}

// release ends the use of m, whose tables serve the next one that goes on from the same.
func (m *model) release() {
	m.spare.Put(m.tables)
	m.tables = nil
}

// versionOf is the resourceVersion of what a line answers; 0: it says none.
func versionOf(root *node) int64 {
	v, err := strconv.ParseInt(strings.Trim(root.member("responseObject").member("metadata").word("resourceVersion"), `"`), 10, 64)
	if err != nil || v < 0 {
		return 0
	}
	return v
}

// Contexts of decisions, mixed with paths and what else is known.
const (
	forForm = 0x1000 + iota
	forSame
	forKind
	forShape
	forShapeNo
	forName
	forNameNo
	forLength
	forSkip
	forState
	forStateBack
	forScalar
	forBack
	forSecond
	forMicro
	forInt
	forVersion
	forWord
	forWordNo
	forWordLength
	forLetter
	forChoice
	forOpen
	forKey
	forKeyNo
	forText
	forUUID
	forNanos
	forContext
	forTurn
	forBase
)

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (m *model) flag(context uint32, b bool) bool {
	v := 0
	if b {
		v = 1
	}
	return m.bit(m.probs.at(context), v) == 1
}

func (m *model) pick(context uint32, n int, v int) int {
	return int(m.symbol(&m.probs, context, n, uint32(v)))
}

func (m *model) count(context uint32, v int) int {
	n := m.number(&m.probs, context, uint64(v))
	if n > 1<<30 {
		m.spoil()
		return 0
	}
	return int(n)
}

const (
	rootPath    = uint32(0x811c9dc5 ^ 0x811c9dc5>>15)
	elementName = "[]"
)

// pathOf is the path of a member, by the sum of its name.
func pathOf(parent, name uint32) uint32 {
	h := (parent*0x01000193 ^ name) * 0x85ebca6b
	return h ^ h>>15
}

// value codes n, which is foreseen to be like guess. While decoding n is nil and comes back.
func (m *model) value(n, guess *node, path uint32, name string, depth int) *node {
	if m.budget--; m.budget < 0 || m.spoilt() || depth > maxDepth+8 {
		m.spoil()
		return &node{text: "0"}
	}
	if guess == nil {
		guess = m.last[path>>(32-lastBits)]
	}
	if guess != nil {
		h := &m.history[mix(path, m.kindOf)>>(32-historyBits)]
		b := 0
		if m.encoding && n.equal(guess) {
			b = 1
		}
		one := m.probs.at(mix(mix(path^forSame, m.kindOf), uint32(*h&7)))
		two := m.probs.at(mix(path^forSame+0x77, m.run&15|uint32(*h&1)<<8))
		same := m.both(one, two, b) == 1
		m.run = m.run<<1 | uint32(b2i(same))
		*h <<= 1
		if same {
			*h |= 1
			m.last[path>>(32-lastBits)] = guess
			return guess
		}
	}
	like := 3
	if guess != nil {
		like = int(guess.kind)
	}
	var k kind
	if m.encoding {
		k = n.kind
	}
	k = kind(m.pick(mix(path^forKind, uint32(like)), 2, int(k)))
	if !m.encoding {
		n = m.fresh(k)
	}
	switch k {
	case scalar:
		m.scalar(n, guess, path, name)
	case object:
		m.object(n, guess, path, depth)
	case array:
		m.array(n, guess, path, depth)
	default:
		m.spoil()
	}
	if !m.encoding {
		n.summed()
	}
	m.last[path>>(32-lastBits)] = n
	return n
}

// fresh is a new node. They are made by the hundred: a block has many, and they go together.
func (m *model) fresh(k kind) *node {
	if len(m.slab) == 0 {
		m.slab = make([]node, 512)
	}
	n := &m.slab[0]
	m.slab = m.slab[1:]
	n.kind = k
	return n
}

func (m *model) several(n int) []*node {
	if n > len(m.links) {
		m.links = make([]*node, max(n, 2048))
	}
	s := m.links[:n:n]
	m.links = m.links[n:]
	return s
}

func (m *model) object(n, guess *node, path uint32, depth int) {
	var like *shape
	if guess != nil && guess.kind == object {
		like = guess.shape
	}
	if shape := m.shape(n.shape, like, path); !m.encoding {
		n.shape = shape
		n.values = m.several(len(shape.names))
	}
	for i, name := range n.shape.names {
		var g *node
		switch {
		case n.shape == like:
			g = guess.values[i]
		case like != nil:
			g = guess.member(name)
		}
		if v := m.value(n.values[i], g, pathOf(path, n.shape.paths[i]), name, depth+1); !m.encoding {
			n.values[i] = v
		}
	}
}

// shape codes the names of an object: those that are foreseen, some that were met, or new ones.
func (m *model) shape(s, like *shape, path uint32) *shape {
	turn := path
	if like != nil {
		if m.flag(path^forShape, s == like) {
			return like
		}
		turn = mix(path, uint32(like.sum))
	}
	turned := &m.turned[turn>>(32-turnedBits)]
	if *turned > 0 {
		if other := m.shapes.at(int(*turned) - 1); m.flag(mix(path, forTurn), s == other) {
			return other
		}
	}
	var no uint32
	if m.encoding {
		if x, ok := m.shapeNo.get(s.key); ok {
			no = x + 1
		}
	}
	no = uint32(m.ordinal(mixShape, [mixed]uint32{path ^ forShapeNo, mix(path^forShapeNo, m.kindOf), forShapeNo + 1, turn ^ forShapeNo + 2}, uint64(no)))
	if no > 0 {
		if int(no) > m.shapes.len() {
			m.spoil()
			return &shape{}
		}
		*turned = no
		return m.shapes.at(int(no) - 1)
	}
	size := 0
	if m.encoding {
		size = len(s.names)
	}
	size = m.count(path^forName, size)
	got := &shape{}
	at := 0 // in like
	for i := 0; i < size && !m.spoilt(); i++ {
		var name string
		if m.encoding {
			name = s.names[i]
		}
		guess := ""
		if like != nil && at < len(like.names) {
			guess = like.names[at]
		}
		if guess != "" && m.flag(mix(path^forName, 7), name == guess) {
			got.names = append(got.names, guess)
			at++
			continue
		}
		name = m.memberName(name, path)
		got.names = append(got.names, name)
		if like != nil {
			if j := like.index(name); j >= 0 {
				at = j + 1
			}
		}
	}
	got.key = strings.Join(got.names, `","`)
	got.summed()
	if m.encoding {
		got = s
	}
	if x, ok := m.shapeNo.get(got.key); ok {
		return m.shapes.at(int(x))
	}
	m.shapeNo.set(got.key, uint32(m.shapes.len()))
	m.shapes.push(got)
	*turned = uint32(m.shapes.len())
	return got
}

func (m *model) memberName(name string, path uint32) string {
	var no uint32
	if m.encoding {
		if x, ok := m.nameNo.get(name); ok && x < 1<<13-1 {
			no = x + 1
		}
	}
	no = uint32(m.pick(path^forNameNo, 13, int(no)))
	if no > 0 {
		if int(no) > m.names.len() {
			m.spoil()
			return ""
		}
		return m.names.at(int(no) - 1)
	}
	name = m.text(name, "", forNameNo)
	if _, ok := m.nameNo.get(name); !ok {
		m.nameNo.set(name, uint32(m.names.len()))
		m.names.push(name)
	}
	return name
}

// identity tells elements of an array apart; 0: nothing does.
func (n *node) identity() uint64 {
	if n.kind == scalar {
		return sumText(n.text) | 1
	}
	if n.kind != object {
		return 0
	}
	if u := n.member("metadata").word("uid"); u != "" {
		return sumText(u) | 1
	}
	var h uint64
	for i, name := range n.shape.names {
		switch name {
		case "name", "type", "manager", "operation", "subresource", "uid", "ip", "key", "port", "containerPort", "mountPath":
			if v := n.values[i]; v.kind == scalar {
				h = h*31 + sumText(v.text)
			}
		}
	}
	return h
}

func (m *model) array(n, guess *node, path uint32, depth int) {
	var like []*node
	if guess != nil && guess.kind == array {
		like = guess.values
	}
	size := int(m.signed(&m.probs, path^forLength, int64(len(n.values)-len(like)))) + len(like)
	if size < 0 || size > 1<<24 {
		m.spoil()
		return
	}
	at := 0
	inner := pathOf(path, uint32(sumText(elementName)))
	for i := 0; i < size && !m.spoilt(); i++ {
		var e *node
		if m.encoding {
			e = n.values[i]
		}
		skip := 0 // 0: of none; else 1 + how many of like are left out
		if at < len(like) {
			if m.encoding {
				if id := e.identity(); id == 0 {
					skip = 1
				} else {
					for j := at; j < len(like) && j < at+512; j++ {
						if like[j].identity() == id {
							skip = j - at + 1
							break
						}
					}
				}
			}
			skip = m.count(mix(path^forSkip, m.kindOf), skip)
		}
		var g *node
		switch {
		case skip > 0:
			at += skip - 1
			if at >= len(like) {
				m.spoil()
				return
			}
			g = like[at]
			at++
		default:
			g = m.stateOf(e, inner)
		}
		if g == nil && i > 0 {
			g = n.values[i-1]
		}
		v := m.value(e, g, inner, elementName, depth+1)
		if !m.encoding {
			n.values = append(n.values, v)
		}
	}
}

// stateOf codes which object an element is, of those met before; nil: none.
func (m *model) stateOf(e *node, path uint32) *node {
	back := 0
	if m.encoding {
		if u := e.member("metadata").word("uid"); u != "" {
			if s, ok := m.states.get(sumText(u)); ok {
				if x, ok := m.places.get(s); ok {
					back = m.order.len() - x
				}
			}
		}
	}
	if back = m.count(path^forStateBack, back); back == 0 {
		return nil
	}
	if back > m.order.len() {
		m.spoil()
		return nil
	}
	return m.order.at(m.order.len() - back)
}

// How a scalar is written.
const (
	asText   = iota // a string
	asBare          // neither string nor number
	asBack          // as one that came before
	asSecond        // a string "2006-01-02T15:04:05Z"
	asMicro         // a string "2006-01-02T15:04:05.000000Z"
	asUUID          // a string of a uuid in small letters
	asInt           // an integer
	asQuoted        // a string of an integer
	asOther         // as the latest value of another path, which is where it was before
)

// backMin is the length from which on a scalar can be one that came before.
const backMin = 5

func (m *model) scalar(n, guess *node, path uint32, name string) {
	form, back, text := asText, 0, n.text
	here := mix(path, m.kindOf)
	from := m.sources[here>>(32-sourceBits)]
	other := m.valueAt(from)
	like := ""
	if guess != nil && guess.kind == scalar {
		like = guess.text
	}
	if m.encoding {
		form = formOf(text)
		if len(text) >= backMin {
			if x, ok := m.placed.get(text); ok {
				if back = m.recent.len() - x; back < 1<<16 {
					form = asBack
				}
			}
			if text == other {
				form = asOther
			}
			if form == asBack {
				if near, d := m.near(text, like, name, path); bits.Len64(d)+nearer < bits.Len(uint(back)) {
					form = near
				}
			}
		}
	}
	form = m.pick(mix(here^forScalar, uint32(len(other)+1)>>5), 4, form)
	switch form {
	case asBack:
		back = m.count(mix(path^forBack, m.kindOf), back)
		if back < 1 || back > m.recent.len() {
			m.spoil()
			return
		}
		text = m.recent.at(m.recent.len() - back)
	case asOther:
		text = other
	case asSecond:
		var at int64
		if m.encoding {
			at = microsOf(text) / 1e6
		}
		now := m.clock / 1e6
		text = secondText(now + m.signed(&m.probs, mix(path^forSecond, m.kindOf), at-now))
	case asMicro:
		var at int64
		if m.encoding {
			at = microsOf(text)
		}
		text = microText(m.clock + m.signed(&m.probs, mix(path^forMicro, m.kindOf), at-m.clock))
	case asUUID:
		text = m.uuid(text, path)
	case asInt, asQuoted:
		digits := text
		if form == asQuoted && m.encoding {
			digits = text[1 : len(text)-1]
		}
		var v, base int64
		if m.encoding {
			v, _ = strconv.ParseInt(digits, 10, 64)
		}
		version := name == "resourceVersion"
		if version {
			base = m.version
		} else {
			base, _ = strconv.ParseInt(strings.Trim(like, `"`), 10, 64)
			if latest, err := strconv.ParseInt(strings.Trim(m.valueAt(path), `"`), 10, 64); err == nil && latest != base &&
				m.flag(here^forInt+0x33, m.encoding && distant(v, latest) < distant(v, base)) {
				base = latest
			}
		}
		v = base + m.signed(&m.probs, mix(path^forInt, m.kindOf), v-base)
		if version && v > m.version {
			m.version = v
		}
		text = strconv.FormatInt(v, 10)
		if form == asQuoted {
			text = `"` + text + `"`
		}
	case asBare:
		text = m.text(text, like, path)
	default:
		if m.encoding {
			text = `"` + m.text(text[1:len(text)-1], strings.Trim(like, `"`), path) + `"`
		} else {
			text = `"` + m.text("", strings.Trim(like, `"`), path) + `"`
		}
	}
	if !m.encoding {
		n.text = text
	}
	m.remember(text, path, here)
}

// near is how far a time or number is from what it is told from; of another text the distance is the greatest.
func (m *model) near(text, like, name string, path uint32) (form int, d uint64) {
	switch form = formOf(text); form {
	case asSecond:
		return form, 2 * distant(microsOf(text)/1e6, m.clock/1e6)
	case asMicro:
		return form, 2 * distant(microsOf(text), m.clock)
	case asInt, asQuoted:
		v, _ := strconv.ParseInt(strings.Trim(text, `"`), 10, 64)
		if name == "resourceVersion" {
			return form, 2 * distant(v, m.version)
		}
		base, _ := strconv.ParseInt(strings.Trim(like, `"`), 10, 64)
		d = 2 * distant(v, base)
		if latest, err := strconv.ParseInt(strings.Trim(m.valueAt(path), `"`), 10, 64); err == nil {
			d = min(d, 2*distant(v, latest))
		}
		return form, d
	}
	return form, math.MaxUint64
}

// nearer is how many bits a distance must be shorter than the way back to where a text was said last.
const nearer = 2

// valueAt is the latest value at a path.
func (m *model) valueAt(path uint32) string {
	if path == 0 {
		return ""
	}
	if n := m.last[path>>(32-lastBits)]; n != nil && n.kind == scalar {
		return n.text
	}
	return ""
}

func (m *model) remember(text string, path, here uint32) {
	if len(text) < backMin {
		return
	}
	h := sumText(text) >> (64 - originBits)
	if from := m.origins[h]; from != 0 {
		m.sources[here>>(32-sourceBits)] = from
	}
	m.origins[h] = path
	if m.encoding {
		m.placed.set(text, m.recent.len())
	}
	m.recent.push(text)
}

func distant(a, b int64) uint64 {
	if a < b {
		a, b = b, a
	}
	return uint64(a - b)
}

// uuid codes a uuid. Of a random one, of version 4 (RFC 9562), six bits are known.
func (m *model) uuid(text string, path uint32) string {
	var b [16]byte
	if m.encoding {
		fromUUID(text[1:len(text)-1], &b)
	}
	if !m.flag(path^forUUID, b[6]>>4 == 4 && b[8]>>6 == 2) {
		return `"` + uuidText(m.bytes(16, b[:])) + `"`
	}
	half := m.plain(4, uint64(b[6]&15))
	rest := m.plain(6, uint64(b[8]&63))
	var known [16]byte
	known[6], known[8] = 4<<4|byte(half), 2<<6|byte(rest)
	copy(known[:6], m.bytes(6, b[:6]))
	known[7] = m.bytes(1, b[7:8])[0]
	copy(known[9:], m.bytes(7, b[9:]))
	return `"` + uuidText(known[:]) + `"`
}

func formOf(text string) int {
	if text[0] != '"' {
		if v, err := strconv.ParseInt(text, 10, 64); err == nil && strconv.FormatInt(v, 10) == text && v > -1<<53 && v < 1<<53 {
			return asInt
		}
		return asBare
	}
	inner := text[1 : len(text)-1]
	switch len(inner) {
	case 20:
		if at := microsOf(text); at >= 0 && secondText(at/1e6) == text {
			return asSecond
		}
	case 27:
		if at := microsOf(text); at >= 0 && microText(at) == text {
			return asMicro
		}
	case 36:
		var b [16]byte
		if fromUUID(inner, &b) {
			return asUUID
		}
	}
	if len(inner) > 0 && len(inner) < 17 {
		if v, err := strconv.ParseInt(inner, 10, 64); err == nil && strconv.FormatInt(v, 10) == inner {
			return asQuoted
		}
	}
	return asText
}

// microsOf is the time in a quoted text that is as long as one with or without microseconds; -1: it is
// none.
func microsOf(text string) int64 {
	var parts [7]int
	limits := [...]int{9999, 12, 31, 23, 59, 59}
	at := 1
	for i, size := range [...]int{4, 2, 2, 2, 2, 2} {
		for range size {
			d := int(text[at]) - '0'
			if d < 0 || d > 9 {
				return -1
			}
			parts[i] = parts[i]*10 + d
			at++
		}
		if text[at] != "--T::"[min(i, 4)] && i < 5 || parts[i] > limits[i] {
			return -1
		}
		if i < 5 {
			at++
		}
	}
	if text[at] == '.' && len(text) == 29 {
		at++
		for range 6 {
			d := int(text[at]) - '0'
			if d < 0 || d > 9 {
				return -1
			}
			parts[6] = parts[6]*10 + d
			at++
		}
	}
	if text[at] != 'Z' || parts[0] < 1970 {
		return -1
	}
	return time.Date(parts[0], time.Month(parts[1]), parts[2], parts[3], parts[4], parts[5], parts[6]*1000, time.UTC).UnixMicro()
}

func secondText(s int64) string {
	t := time.Unix(bounded(s), 0).UTC()
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	b := append(make([]byte, 0, 22), '"', byte('0'+year/1000), byte('0'+year/100%10))
	for i, v := range [...]int{year % 100, int(month), day, hour, minute, second} {
		b = append(b, byte('0'+v/10), byte('0'+v%10), "--T::Z"[i])
	}
	return string(append(b, '"'))
}

func microText(us int64) string {
	us = max(us, 0)
	b := append(make([]byte, 0, 29), secondText(us / 1e6)[:20]...)
	b = append(b, '.')
	for rest, unit := us%1e6, int64(1e5); unit > 0; unit /= 10 {
		b = append(b, byte('0'+rest/unit%10))
	}
	return string(append(b, 'Z', '"'))
}

// bounded keeps what a damaged file says within the years that are written with four digits.
func bounded(s int64) int64 { return max(0, min(s, 253402300799)) }

const hexDigits = "0123456789abcdef"

func uuidText(b []byte) string {
	out := make([]byte, 0, 36)
	for i, c := range b {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			out = append(out, '-')
		}
		out = append(out, hexDigits[c>>4], hexDigits[c&15])
	}
	return string(out)
}

func fromUUID(s string, b *[16]byte) bool {
	if len(s) != 36 {
		return false
	}
	j := 0
	for i := 0; i < 36; i++ {
		if i == 8 || i == 13 || i == 18 || i == 23 {
			if s[i] != '-' {
				return false
			}
			continue
		}
		d := strings.IndexByte(hexDigits, s[i])
		if d < 0 {
			return false
		}
		b[j/2] = b[j/2]<<4 | byte(d)
		j++
	}
	return true
}
