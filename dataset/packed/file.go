package packed

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"sort"
	"sync"
)

// Damage is a part of a file that cannot be read.
type Damage struct {
	Offset      int64  // in the file
	First, Last int    // the lines that are lost, from 1; 0: none, or it is not known which
	What        string // in words
}

func (d Damage) String() string {
	if d.First == 0 {
		return fmt.Sprintf("at byte %d: %s", d.Offset, d.What)
	}
	return fmt.Sprintf("at byte %d: %s: lines %d to %d are lost", d.Offset, d.What, d.First, d.Last)
}

// File is a packed log of which any line can be read. It is safe for concurrent use.
type File struct {
	r      io.ReaderAt
	size   int64
	chunks []chunk // of lines, and sections, by offset
	lines  int
	damage []Damage

	mu    sync.Mutex
	bases map[int]*model // by index of the chunk
	bad   map[int]bool   // chunks that were tried in vain
	held  [heldBlocks]held
	next  int // of held, which is given up next
}

// held is a block that was read, by its index among the chunks; without lines: none.
type held struct {
	index int
	lines []line
}

// heldBlocks is how many blocks are held: lines of one context end by turns in neighbouring ones.
const heldBlocks = 4

// ErrNotPacked is in the error of a file that is none.
var ErrNotPacked = errors.New("not a packed log")

// Open reads where things are. Of a file without a readable index the chunks are looked for, and what
// is missing is in Damage.
func Open(r io.ReaderAt, size int64) (*File, error) {
	f := &File{r: r, size: size, bases: make(map[int]*model), bad: make(map[int]bool)}
	magic := make([]byte, len(begin))
	if _, err := r.ReadAt(magic, 0); err != nil {
		return nil, ErrNotPacked
	}
	if err := known(magic); err != nil {
		return nil, err
	}
	if err := f.readIndex(); err != nil {
		f.damage = append(f.damage, Damage{Offset: size, What: "the index is missing or damaged; chunks were looked for"})
		if err := f.scan(); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// known tells whether a file that begins so is a packed log, of the version that is read here.
func known(first []byte) error {
	switch {
	case len(first) < len(begin) || string(first[:len(Magic)]) != Magic:
		return ErrNotPacked
	case first[len(Magic)] != version:
		return fmt.Errorf("%w that this program knows: version %d of the format, not %d: pack the log again", ErrNotPacked, first[len(Magic)], version)
	}
	return nil
}

func (f *File) readIndex() error {
	tail := make([]byte, 8)
	if f.size < int64(len(begin)+8) {
		return errDamaged
	}
	if _, err := f.r.ReadAt(tail, f.size-8); err != nil {
		return err
	}
	at := int64(binary.LittleEndian.Uint64(tail))
	if at < int64(len(begin)) || at > f.size {
		return errDamaged
	}
	kind, payload, _, err := f.readChunk(at)
	if err != nil || kind != indexChunk {
		return errDamaged
	}
	in := fields{b: payload}
	size := in.get()
	text, err := unsqueeze(in.b, maxChunk)
	if err != nil || len(text) != size || in.bad {
		return errDamaged
	}
	in = fields{b: text}
	n, lines := in.get(), in.get()
	offset := int64(0)
	for range n {
		if len(in.b) == 0 {
			return errDamaged
		}
		c := chunk{kind: in.b[0]}
		in.b = in.b[1:]
		offset += int64(in.get())
		c.offset = offset
		c.first, c.lines, c.bytes, c.base = in.get(), in.get(), in.get(), in.get()
		c.name = string(in.getBytes())
		if in.bad || c.base >= n || c.offset > f.size {
			return errDamaged
		}
		f.chunks = append(f.chunks, c)
	}
	f.lines = lines
	return nil
}

// readChunk gives a chunk's payload and where the next one begins.
func (f *File) readChunk(at int64) (kind byte, payload []byte, next int64, err error) {
	head := make([]byte, headSize)
	if _, err := f.r.ReadAt(head, at); err != nil {
		return 0, nil, 0, errDamaged
	}
	kind, size, err := readHead(head)
	if err != nil || int64(size) > f.size-at {
		return 0, nil, 0, errDamaged
	}
	payload = make([]byte, size)
	if _, err := f.r.ReadAt(payload, at+headSize64); err != nil || !checked(head, payload) {
		return 0, nil, 0, errDamaged
	}
	return kind, payload, at + headSize64 + int64(size), nil
}

const headSize64 = int64(headSize)

// scan looks for chunks where there is no index.
func (f *File) scan() error {
	f.chunks = nil
	at := int64(len(begin))
	base := -1
	var lost int64 // where what is lost began
	for at < f.size {
		kind, payload, next, err := f.readChunk(at)
		if err != nil {
			if lost == 0 {
				lost = at
			}
			if at, err = f.find(at + 1); err != nil {
				return err
			}
			continue
		}
		c := chunk{kind: kind, offset: at}
		in := fields{b: payload}
		switch kind {
		case baseChunk:
			c.first = in.get()
			base = len(f.chunks)
		case blockChunk:
			c.first, c.lines, c.bytes = in.get(), in.get(), in.get()
			c.base = base
			in.get()
			if base < 0 || f.chunks[base].first != c.first-in.get() {
				c.base = -1 // its own is lost
			}
		case plainChunk:
			c.first, c.lines, c.bytes = in.get(), in.get(), in.get()
		case sectionChunk:
			c.first = f.lines
			c.name = string(in.getBytes())
		}
		if kind != sectionChunk && kind != indexChunk {
			if lost > 0 {
				f.damage = append(f.damage, f.missing(lost, f.lines, c.first))
			}
			f.lines = max(f.lines, c.first+c.lines)
		}
		if kind != indexChunk && !in.bad {
			f.chunks = append(f.chunks, c)
			lost = 0
		}
		at = next
	}
	if lost > 0 {
		f.damage = append(f.damage, Damage{Offset: lost, What: "the end is missing or damaged"})
	}
	return nil
}

func (f *File) missing(offset int64, from, to int) Damage {
	if to <= from {
		return Damage{Offset: offset, What: "a chunk is damaged"}
	}
	return Damage{Offset: offset, First: from + 1, Last: to, What: "chunks are damaged"}
}

// find gives the next place that may be a chunk.
func (f *File) find(at int64) (int64, error) {
	buf := make([]byte, 1<<16)
	for at < f.size {
		n, err := f.r.ReadAt(buf[:min(int64(len(buf)), f.size-at)], at)
		if n == 0 {
			return f.size, nil
		}
		if i := bytes.Index(buf[:n], []byte(mark)); i >= 0 {
			return at + int64(i), nil
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, fmt.Errorf("read a packed log: %w", err)
		}
		at += int64(max(1, n-len(mark)+1))
	}
	return f.size, nil
}

// Lines is the number of raw lines, the last without a newline among them.
func (f *File) Lines() int {
	n := f.lines
	for _, c := range f.chunks { // the last line may end without newline in a plain chunk
		if c.kind == plainChunk && c.first+c.lines == n && c.lines == 0 {
			return n + 1
		}
	}
	return n
}

// Bytes is the size of the log. A last line without a newline counts with one.
func (f *File) Bytes() int64 {
	var n int64
	for _, c := range f.chunks {
		if c.kind == blockChunk || c.kind == plainChunk {
			n += int64(c.bytes)
		}
	}
	return n
}

// Damage is what was found to be damaged so far: [File.Verify] looks at everything.
func (f *File) Damage() []Damage {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.damage)
}

// Line is a raw line, counted from 0, without its newline.
func (f *File) Line(n int) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if n < 0 || n >= f.Lines() {
		return nil, fmt.Errorf("line %d of a packed log of %d", n+1, f.Lines())
	}
	i := sort.Search(len(f.chunks), func(i int) bool {
		c := f.chunks[i]
		return c.kind == sectionChunk || c.first+c.lines > n || c.kind == plainChunk && c.first == n
	})
	for ; i < len(f.chunks); i++ {
		switch c := f.chunks[i]; {
		case c.kind == sectionChunk || c.first > n:
			return nil, fmt.Errorf("line %d: %w", n+1, errDamaged)
		case c.kind == blockChunk && c.first <= n && n < c.first+c.lines:
			lines, err := f.hold(i)
			if err != nil {
				return nil, err
			}
			return lines[n-c.first].append(nil), nil
		case c.kind == plainChunk && c.first == n:
			return f.plainLine(i)
		}
	}
	return nil, fmt.Errorf("line %d: %w", n+1, errDamaged)
}

// hold gives the lines of a block, and keeps them.
func (f *File) hold(i int) ([]line, error) {
	for _, h := range f.held {
		if h.index == i && h.lines != nil {
			return h.lines, nil
		}
	}
	lines, _, err := f.readBlock(i)
	if err != nil {
		return nil, err
	}
	f.held[f.next] = held{i, lines}
	f.next = (f.next + 1) % len(f.held)
	return lines, nil
}

// plainLine puts a long line together.
func (f *File) plainLine(i int) ([]byte, error) {
	var out []byte
	for ; i < len(f.chunks) && f.chunks[i].kind == plainChunk; i++ {
		_, payload, _, err := f.readChunk(f.chunks[i].offset)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", f.chunks[i].first+1, err)
		}
		text, err := plainOf(payload)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", f.chunks[i].first+1, err)
		}
		out = append(out, text...)
		if f.chunks[i].lines > 0 {
			break
		}
	}
	return bytes.TrimSuffix(out, []byte("\n")), nil
}

func plainOf(payload []byte) ([]byte, error) {
	in := fields{b: payload}
	in.get()
	in.get()
	size := in.get()
	text, err := unsqueeze(in.b, plainBytes)
	if err != nil || in.bad || len(text) != size {
		return nil, errDamaged
	}
	return text, nil
}

// readBlock reads a block's lines; open tells that the last has no newline.
func (f *File) readBlock(i int) (lines []line, open bool, err error) {
	c := f.chunks[i]
	fail := func() ([]line, bool, error) {
		f.bad[i] = true
		return nil, false, fmt.Errorf("lines %d to %d: %w", c.first+1, c.first+c.lines, errDamaged)
	}
	if c.base < 0 || f.bad[i] || f.bad[c.base] {
		return fail()
	}
	base := f.bases[c.base]
	if base == nil {
		_, payload, _, err := f.readChunk(f.chunks[c.base].offset)
		if err != nil {
			f.bad[c.base] = true
			return fail()
		}
		if base, err = decodeBase(payload); err != nil {
			f.bad[c.base] = true
			return fail()
		}
		if len(f.bases) >= 4 { // some dozens of MB each
			clear(f.bases)
		}
		f.bases[c.base] = base
	}
	_, payload, _, err := f.readChunk(c.offset)
	if err != nil {
		return fail()
	}
	if lines, _, open, err = decodeBlock(base, payload, false); err != nil {
		return fail()
	}
	return lines, open, nil
}

func decodeBase(payload []byte) (*model, error) {
	in := fields{b: payload}
	in.get()
	lines, size := in.get(), in.get()
	coded := in.getBytes()
	if in.bad || lines > segmentLines || size > maxChunk {
		return nil, errDamaged
	}
	m := newModel(newDecoder(coded, in.b))
	shared, err := decode(m, lines, size)
	if err != nil {
		return nil, err
	}
	for _, l := range shared {
		if l.root == nil {
			return nil, errDamaged // only trees are shared
		}
	}
	m.base = shared
	return m, nil
}

// decodeBlock reads the lines of a block; with whole also its text, whose checksum it then checks.
func decodeBlock(base *model, payload []byte, whole bool) (lines []line, text []byte, open bool, err error) {
	in := fields{b: payload}
	in.get()
	n, size, flags := in.get(), in.get(), in.get()
	in.get()
	nextBase := in.get()
	if in.bad || len(in.b) < 4 || n > segmentLines || size > maxChunk {
		return nil, nil, false, errDamaged
	}
	sum := binary.LittleEndian.Uint32(in.b)
	in.b = in.b[4:]
	coded := in.getBytes()
	if in.bad {
		return nil, nil, false, errDamaged
	}
	m := base.over(newDecoder(coded, in.b), nextBase)
	lines, err = decode(m, n, size)
	m.release()
	if err != nil {
		return nil, nil, false, err
	}
	if whole {
		text = make([]byte, 0, size)
		for _, l := range lines {
			if l.root != nil {
				text = l.root.append(text, size)
			} else {
				text = append(text, l.text...)
			}
			if text = append(text, '\n'); len(text) > size {
				return nil, nil, false, errDamaged
			}
		}
		if crc32.Checksum(text, castagnoli()) != sum {
			return nil, nil, false, errDamaged
		}
	}
	return lines, text, flags&1 != 0, nil
}

// Section is the data under a name; nil: there is none.
func (f *File) Section(name string) ([]byte, error) {
	for _, c := range f.chunks {
		if c.kind != sectionChunk || c.name != name {
			continue
		}
		_, payload, _, err := f.readChunk(c.offset)
		if err != nil {
			return nil, fmt.Errorf("section %s of a packed log: %w", name, err)
		}
		in := fields{b: payload}
		in.getBytes()
		size := in.get()
		data, err := unsqueeze(in.b, maxChunk)
		if err != nil || in.bad || len(data) != size {
			return nil, fmt.Errorf("section %s of a packed log: %w", name, errDamaged)
		}
		return data, nil
	}
	return nil, nil
}

// Verify reads everything and returns all damage.
func (f *File) Verify() []Damage {
	r := NewReader(io.NewSectionReader(f.r, 0, f.size))
	_, _ = io.Copy(io.Discard, r)
	damage := r.Damage()
	for _, c := range f.chunks {
		if c.kind != sectionChunk {
			continue
		}
		if _, err := f.Section(c.name); err != nil {
			damage = append(damage, Damage{Offset: c.offset, What: err.Error()})
		}
	}
	for _, d := range f.Damage() {
		if d.First == 0 {
			damage = append(damage, d)
		}
	}
	return damage
}

// DamageError ends the reading of a log of which not all could be read.
type DamageError struct{ Damage []Damage }

func (e *DamageError) Error() string {
	if n := len(e.Damage); n > 1 {
		return fmt.Sprintf("packed log damaged in %d places, first %v", n, e.Damage[0])
	}
	return fmt.Sprintf("packed log damaged %v", e.Damage[0])
}

// Reader gives a packed log's bytes from a stream, without its index. In the place of lines that are
// lost it gives empty ones, so that the others keep their numbers, and at the end a [DamageError].
type Reader struct {
	r      *bufio.Reader
	offset int64
	out    []byte
	base   *model
	first  int // of the base
	next   int // number of the next line
	begun  bool
	lost   int64 // where what is lost began; 0: nothing is
	damage []Damage
	err    error
}

// NewReader reads a packed log from r.
func NewReader(r io.Reader) *Reader { return &Reader{r: bufio.NewReaderSize(r, 1<<16)} }

// Damage is what was lost so far.
func (r *Reader) Damage() []Damage { return slices.Clone(r.damage) }

// Read gives the log's bytes.
func (r *Reader) Read(p []byte) (int, error) {
	for len(r.out) == 0 {
		if r.err != nil {
			return 0, r.err
		}
		r.err = r.advance()
	}
	n := copy(p, r.out)
	r.out = r.out[n:]
	return n, nil
}

// advance reads a chunk.
func (r *Reader) advance() error {
	if !r.begun {
		r.begun = true
		magic, err := r.r.Peek(len(begin))
		if err != nil {
			return ErrNotPacked
		}
		if err := known(magic); err != nil {
			return err
		}
		r.skip(len(begin))
	}
	head, err := r.r.Peek(headSize)
	if errors.Is(err, io.EOF) && len(head) <= 8 { // where the index is
		if r.lost > 0 {
			r.damage = append(r.damage, Damage{Offset: r.lost, What: "the end is missing or damaged"})
			r.lost = 0
		}
		if len(r.damage) > 0 {
			return &DamageError{r.damage}
		}
		return io.EOF
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read a packed log: %w", err)
	}
	kind, size, err := readHead(head)
	if err != nil {
		return r.seek(1)
	}
	head = slices.Clone(head)
	at := r.offset
	r.skip(headSize)
	payload, err := io.ReadAll(io.LimitReader(r.r, int64(size)))
	r.offset += int64(len(payload))
	if err != nil {
		return fmt.Errorf("read a packed log: %w", err)
	}
	if len(payload) != size || !checked(head, payload) {
		if r.lost == 0 {
			r.lost = at
		}
		if kind == baseChunk {
			r.base = nil
		}
		// Its length may be what is damaged: what was taken for its payload may hold whole chunks.
		if i := bytes.Index(payload, []byte(mark)); i >= 0 {
			r.r = bufio.NewReaderSize(io.MultiReader(bytes.NewReader(payload[i:]), r.r), 1<<16)
			r.offset -= int64(len(payload) - i)
		}
		return nil
	}
	return r.take(kind, payload, at)
}

// take uses an intact chunk.
func (r *Reader) take(kind byte, payload []byte, at int64) error {
	in := fields{b: payload}
	first := in.get()
	switch kind {
	case baseChunk:
		r.fill(first)
		r.base, r.first = nil, first
		if base, err := decodeBase(payload); err == nil {
			r.base = base
		} else {
			r.lose(at)
		}
	case blockChunk:
		in.get()
		in.get()
		in.get()
		if r.base == nil || first-in.get() != r.first { // its own is lost
			r.lose(at)
			return nil
		}
		lines, text, open, err := decodeBlock(r.base, payload, true)
		if err != nil {
			r.lose(at)
			return nil
		}
		r.fill(first)
		if open {
			text = text[:len(text)-1]
		}
		r.out = append(r.out, text...)
		r.next = first + len(lines)
	case plainChunk:
		lines := in.get()
		text, err := plainOf(payload)
		if err != nil {
			r.lose(at)
			return nil
		}
		r.fill(first)
		r.out = append(r.out, text...)
		r.next = first + lines
	}
	return nil
}

func (r *Reader) lose(at int64) {
	if r.lost == 0 {
		r.lost = at
	}
}

// fill puts empty lines in the place of those before first that are lost.
func (r *Reader) fill(first int) {
	if r.lost > 0 {
		d := Damage{Offset: r.lost, What: "damaged"}
		if first > r.next {
			d.First, d.Last = r.next+1, first
		}
		r.damage = append(r.damage, d)
		r.lost = 0
	}
	if n := first - r.next; n > 0 && n <= 1<<28 {
		if len(r.damage) == 0 || r.damage[len(r.damage)-1].Last != first {
			r.damage = append(r.damage, Damage{Offset: r.offset, First: r.next + 1, Last: first, What: "chunks are missing"})
		}
		r.out = append(r.out, bytes.Repeat([]byte{'\n'}, n)...)
		r.next = first
	}
}

// seek skips to what may be the next chunk.
func (r *Reader) seek(n int) error {
	r.lose(r.offset)
	r.skip(n)
	for {
		b, err := r.r.Peek(r.r.Size())
		if i := bytes.Index(b, []byte(mark)); i >= 0 {
			r.skip(i)
			return nil
		}
		if err != nil {
			r.skip(len(b))
			if errors.Is(err, io.EOF) {
				return nil
			}
			return fmt.Errorf("read a packed log: %w", err)
		}
		r.skip(len(b) - len(mark) + 1)
	}
}

func (r *Reader) skip(n int) {
	n, _ = r.r.Discard(n)
	r.offset += int64(n)
}

// Close ends reading. It does not close the stream below.
func (r *Reader) Close() error { return nil }
