package audit

import (
	"bufio"
	"bytes"
	"container/heap"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"k8ntext/dataset/packed"
)

// source turns one input into entries.
type source struct {
	name  string
	open  func() (io.ReadCloser, error)
	opts  Options
	tally *tally

	file  io.Closer // nil until the first entry is asked for
	plain io.Closer // the decompressor
	lines lineReader
	dec   decoder
	taken int // of dec.out

	line     int // lines begun so far
	items    int // items of documents so far
	doc      *document
	finished bool

	// For the merge of several sources.
	head   entry // what comes next
	primed bool  // head is set
	at     time.Time
	order  int // ties: in the order of the command line

	// For decoding on other goroutines.
	decoding *decoding // nil: lines are decoded when they are asked for
	ahead    *ahead
	total    *tally // of the reader, while tally is that of the batch
	batch    *batch // that is being cut; nil: lines are decoded at once
}

func newSource(name string, open func() (io.ReadCloser, error), opts Options, t *tally) *source {
	t.sum.Files++
	return &source{name: name, open: open, opts: opts, tally: t, dec: decoder{opts: opts, tally: t}}
}

// openSource makes a source of a file. When there are others too, it looks up the file's first stage
// time, so that a regular file need not stay open until its turn comes.
func openSource(name string, opts Options, t *tally, merging bool) (*source, error) {
	if name == "-" {
		return newSource(name, func() (io.ReadCloser, error) { return io.NopCloser(os.Stdin), nil }, opts, t), nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("audit log: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("audit log: %w", err), f.Close())
	}
	if info.IsDir() {
		return nil, errors.Join(fmt.Errorf("audit log %s is a folder: name its files, for example with the pattern %s/*", name, name), f.Close())
	}
	if !merging || !info.Mode().IsRegular() {
		s := newSource(name, func() (io.ReadCloser, error) { return f, nil }, opts, t)
		s.file = f
		return s, nil
	}
	if err := f.Close(); err != nil {
		return nil, fmt.Errorf("audit log: %w", err)
	}
	reopen := func() (io.ReadCloser, error) { return os.Open(name) }
	s := newSource(name, reopen, opts, t)
	s.at = firstStageTime(name, reopen, opts)
	return s, nil
}

// firstStageTime looks for a time among the first entries of a file; the zero time if there is none.
func firstStageTime(name string, open func() (io.ReadCloser, error), opts Options) time.Time {
	s := newSource(name, open, opts, newTally())
	defer s.close()
	for range 100 {
		x, ok := s.next()
		if !ok {
			break
		}
		if x.event != nil && !x.event.Stages[0].Time.IsZero() {
			return x.event.Stages[0].Time
		}
	}
	return time.Time{}
}

// next gives the next entry; false at the end.
func (s *source) next() (entry, bool) {
	if s.decoding != nil {
		return s.nextAhead()
	}
	if s.lines.r == nil && !s.finished {
		s.start()
	}
	for s.taken == len(s.dec.out) {
		if s.finished {
			s.close()
			return entry{}, false
		}
		s.taken, s.dec.out = 0, s.dec.out[:0]
		if s.doc != nil {
			s.readDocument()
		} else {
			s.readLine()
		}
	}
	x := s.dec.out[s.taken]
	s.dec.out[s.taken] = entry{}
	s.taken++
	return x, true
}

func (s *source) close() error {
	if s.ahead != nil {
		s.stop()
		return nil // the files are closed when nothing is read from them any more
	}
	return s.closeFiles()
}

func (s *source) closeFiles() error {
	s.finished = true
	var err error
	if s.plain != nil {
		err = s.plain.Close()
	}
	if s.file != nil {
		err = errors.Join(err, s.file.Close())
	}
	s.file, s.plain = nil, nil
	return err
}

func (s *source) position() Position { return Position{File: s.name, Line: max(s.line, 1)} }

func (s *source) report(skipped bool, kind, format string, args ...any) {
	s.dec.pos = s.position()
	if skipped {
		s.dec.skip(kind, format, args...)
	} else {
		s.dec.note(kind, format, args...)
	}
}

func (s *source) start() {
	f, err := s.open()
	if err != nil {
		s.finished = true
		s.report(false, unreadable, "%v", err)
		return
	}
	s.file = f
	in, plain, err := decompress(f)
	if err != nil {
		s.finished = true
		s.report(false, unreadable, "%v", err)
		return
	}
	s.plain = plain
	s.lines = lineReader{r: bufio.NewReaderSize(in, 256<<10), limit: s.opts.MaxLine}
}

// Plain gives the bytes of a log as it was before it was compressed or packed, whichever of the kinds
// that a [Reader] knows; those of another as they are. Closing it does not close r.
func Plain(r io.Reader) (io.ReadCloser, error) {
	in, closer, err := decompress(r)
	if err != nil {
		return nil, err
	}
	return struct {
		io.Reader
		io.Closer
	}{in, closer}, nil
}

// decompress tells gzip, zstd (RFC 1952; RFC 8878, 3.1.1 and 3.1.2) and packed logs by their first bytes.
func decompress(r io.Reader) (io.Reader, io.Closer, error) {
	br := bufio.NewReaderSize(r, 256<<10)
	magic, err := br.Peek(len(packed.Magic))
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, nil, err
	}
	switch {
	case string(magic) == packed.Magic:
		p := packed.NewReader(br)
		return p, p, nil
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(br)
		if err != nil {
			return nil, nil, fmt.Errorf("gzip: %w", err)
		}
		return z, z, nil
	case bytes.HasPrefix(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}),
		len(magic) >= 4 && magic[0]&0xf0 == 0x50 && bytes.Equal(magic[1:4], []byte{0x2a, 0x4d, 0x18}):
		// 128 MiB of window is what zstd --long takes; a frame that wants more is refused.
		z, err := zstd.NewReader(br, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(128<<20))
		if err != nil {
			return nil, nil, fmt.Errorf("zstd: %w", err)
		}
		return z, z.IOReadCloser(), nil
	default:
		return br, io.NopCloser(br), nil
	}
}

// readLine reads one raw line.
func (s *source) readLine() {
	nuls := s.lines.skipNULs()
	text, more, err := s.lines.next()
	s.tally.sum.Bytes += int64(nuls + s.lines.taken)
	if nuls+s.lines.taken > 0 {
		s.line++
		s.tally.sum.Lines++
	}
	if nuls > 0 {
		s.report(false, nulBytes, "%d at the start of the line ignored", nuls)
	}
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	trimmed := bytes.Trim(text, " \t\r")
	switch {
	case more:
		// The line may be a list whose items are short enough.
		s.doc = newDocument(s, true)
		s.doc.cut.feed(text)
	case len(trimmed) == 0:
		if s.lines.taken > 0 || nuls > 0 {
			s.tally.sum.Blank++
		}
	case err == nil && s.opensDocument(&trimmed):
		s.doc = newDocument(s, false)
		s.doc.cut.feed(trimmed)
		s.doc.atStart = true
	case s.batch != nil:
		s.handOver()
		s.batch.line(trimmed, s.position())
	default:
		s.dec.item(trimmed, s.position())
	}
	s.ended(err)
}

// ended notes the end of the input.
func (s *source) ended(err error) {
	if err == nil {
		return
	}
	if s.doc != nil {
		s.doc.end()
		s.doc = nil
	}
	s.finished = true
	switch {
	case errors.Is(err, io.EOF):
	case errors.Is(err, io.ErrUnexpectedEOF):
		s.report(false, cutInput, "the compressed data ends in the middle: what came before is kept")
	default:
		s.report(false, unreadable, "%v: what came before is kept", err)
	}
}

// opensDocument says whether the line begins a JSON value that goes on over the next lines: a
// pretty-printed document, or a list with an item a line. A torn line of JSONL looks like one too, but
// the line after it begins with a brace, where a document has an indent, a quote or a bracket.
func (s *source) opensDocument(line *[]byte) bool {
	text := *line
	switch text[0] {
	case '[':
		if rest := bytes.TrimLeft(text[1:], " \t"); len(rest) > 0 && rest[0] != '{' {
			return false
		}
	case '{':
		if last := text[len(text)-1]; last != '{' && last != '[' && last != ',' {
			return false
		}
	default:
		return false
	}
	probe := splitter{limit: len(text), emit: func([]byte, bool) {}}
	probe.feed(text)
	if probe.depth == 0 || probe.inString || probe.junk {
		return false
	}
	*line = bytes.Clone(text) // looking ahead moves what is under it
	return probe.lists > 0 || bytes.IndexByte([]byte(" \t\r\n\"}]"), s.lines.peek()) >= 0
}

// document is a JSON value that is read in pieces because it spans lines, or is longer than a line may be.
type document struct {
	src     *source
	cut     splitter
	oneLine bool // the value ends with its line, whatever it says
	atStart bool // of a line
	lost    bool // torn inside a string: skip to a line that begins a value
	found   int  // items so far
}

func newDocument(s *source, oneLine bool) *document {
	d := &document{src: s, oneLine: oneLine}
	d.cut = splitter{limit: s.opts.MaxLine, emit: d.item}
	return d
}

func (d *document) item(text []byte, whole bool) {
	pos := d.position()
	if !whole {
		d.src.dec.pos = pos
		d.src.dec.skip(tooLong, "more than %d bytes", d.src.opts.MaxLine)
		return
	}
	d.src.dec.item(text, pos)
}

// position counts an item and says where it is.
func (d *document) position() Position {
	d.found++
	pos := d.src.position()
	if !d.oneLine {
		d.src.items++
		pos.Line = d.src.items
	}
	return pos
}

// readDocument reads a piece of the open document, at most one line.
func (s *source) readDocument() {
	d := s.doc
	text, eol, err := s.lines.piece()
	s.tally.sum.Bytes += int64(s.lines.taken)
	if d.atStart && len(text) > 0 {
		s.line++
		s.tally.sum.Lines++
		d.startLine(text[0])
	}
	if !d.lost {
		d.cut.feed(text)
		if eol && d.cut.inString && !d.oneLine {
			d.tear()
			d.lost = true
		}
	}
	d.atStart = eol && !d.oneLine
	if eol && (d.oneLine || d.cut.junk || d.cut.depth == 0 && !d.lost) {
		d.end()
		s.doc = nil
	}
	s.ended(err)
}

// startLine looks for signs of a torn item in how a line begins.
func (d *document) startLine(c byte) {
	switch {
	case d.lost:
		d.lost = c != '{' && c != '[' && c != '}' && c != ']'
	case c == '{' && d.cut.depth > d.cut.base:
		// Inside an item only an indented brace is its own: this is the next value.
		d.tear()
	}
}

func (d *document) tear() {
	if d.cut.taking {
		d.src.dec.pos = d.position()
		d.src.dec.skip(cutJSON, "the item is torn")
	}
	d.cut.tear()
}

// end reports what is left of a document that does not go on.
func (d *document) end() {
	s := d.src
	s.tally.sum.Lists += int64(d.cut.lists)
	switch {
	case d.cut.taking && d.cut.over, d.oneLine && d.found == 0:
		s.dec.pos = d.position()
		s.dec.skip(tooLong, "more than %d bytes", s.opts.MaxLine)
	case d.cut.taking:
		s.dec.pos = d.position()
		s.dec.skip(cutJSON, "the document ends inside an item")
	case d.cut.junk:
		s.report(true, notJSON, "text after a value")
	case d.cut.depth > 0:
		s.report(false, cutDocument, "the document ends inside a list")
	}
}

// lineReader cuts a stream into lines of bounded length.
type lineReader struct {
	r     *bufio.Reader
	limit int
	buf   []byte
	taken int  // bytes that the last call took from the stream
	atEnd bool // of a line that next gave as too long
}

// next gives a line without its newline, valid until the next call. If more is true it is the first
// part, longer than limit, of a line whose rest piece gives.
func (l *lineReader) next() (line []byte, more bool, err error) {
	l.buf, l.taken = l.buf[:0], 0
	for {
		part, err := l.r.ReadSlice('\n')
		l.taken += len(part)
		whole := err == nil
		if whole {
			part = part[:len(part)-1]
			if len(l.buf) == 0 {
				l.atEnd = len(part) > l.limit
				return part, l.atEnd, nil
			}
		}
		l.buf = append(l.buf, part...)
		more := len(l.buf) > l.limit
		if whole || more || !errors.Is(err, bufio.ErrBufferFull) {
			if errors.Is(err, bufio.ErrBufferFull) {
				err = nil
			}
			l.atEnd = whole && more
			return l.buf, more, err
		}
	}
}

// piece gives the next part of a line, its newline included.
func (l *lineReader) piece() (text []byte, eol bool, err error) {
	l.taken = 0
	if l.atEnd {
		l.atEnd = false
		return nil, true, nil
	}
	text, err = l.r.ReadSlice('\n')
	l.taken = len(text)
	if errors.Is(err, bufio.ErrBufferFull) {
		err = nil
	}
	return text, bytes.HasSuffix(text, []byte("\n")), err
}

// ready tells that a whole line can be had without waiting for the input.
func (l *lineReader) ready() bool {
	b, _ := l.r.Peek(l.r.Buffered())
	return bytes.IndexByte(b, '\n') >= 0
}

// peek gives the next byte; 0 at the end.
func (l *lineReader) peek() byte {
	if b, err := l.r.Peek(1); err == nil {
		return b[0]
	}
	return 0
}

// skipNULs skips the hole that a rotated or copied file may begin with (copytruncate while the writer
// goes on writing at its old offset), and says how long it was.
func (l *lineReader) skipNULs() (n int) {
	for {
		if b, err := l.r.Peek(1); err != nil || b[0] != 0 {
			return n
		}
		b, err := l.r.Peek(l.r.Buffered())
		if err != nil {
			return n
		}
		zeros := len(b) - len(bytes.TrimLeft(b, "\x00"))
		if _, err := l.r.Discard(zeros); err != nil {
			return n
		}
		n += zeros
	}
}

// inputs merges sources by the times of their lines.
type inputs []*source

func (in *inputs) add(s *source) {
	s.order = len(*in)
	heap.Push(in, s)
}

// next gives the earliest entry; false when all sources are at their ends.
func (in *inputs) next() (entry, bool) {
	for len(*in) > 0 {
		s := (*in)[0]
		if s.primed {
			x := s.head
			s.head, s.primed = entry{}, false
			return x, true
		}
		x, ok := s.next()
		if !ok {
			heap.Pop(in)
			continue
		}
		s.head, s.primed = x, true
		if x.event != nil && !x.event.Stages[0].Time.IsZero() {
			s.at = x.event.Stages[0].Time
		}
		heap.Fix(in, 0)
	}
	return entry{}, false
}

func (in *inputs) close() error {
	var err error
	for _, s := range *in {
		err = errors.Join(err, s.close())
	}
	*in = nil
	return err
}

func (in inputs) Len() int { return len(in) }

func (in inputs) Less(i, j int) bool {
	if c := in[i].at.Compare(in[j].at); c != 0 {
		return c < 0
	}
	return in[i].order < in[j].order
}

func (in inputs) Swap(i, j int) { in[i], in[j] = in[j], in[i] }
func (in *inputs) Push(x any)   { *in = append(*in, x.(*source)) }

func (in *inputs) Pop() any {
	old := *in
	s := old[len(old)-1]
	*in = old[:len(old)-1]
	return s
}
