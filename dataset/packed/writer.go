package packed

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"runtime"

	"golang.org/x/sync/errgroup"
)

// Writer packs a log. It is an io.Writer of the log's bytes; Close completes the file. What it writes
// depends on the bytes alone, not on how they are cut or on the number of processors.
//
// It holds a segment in memory, as a tree in which equal parts are one.
type Writer struct {
	w       io.Writer
	offset  int64
	chunks  []chunk
	partial []byte // of a line
	long    bool   // it is being written in pieces
	seg     segment
	parser  parser
	next    int // number of the next line
	o       Options
	err     error
}

// Options say how a log is packed. The zero value does.
type Options struct {
	Workers    int // how many blocks are packed at a time; 0: as many as processors
	BlockLines int // lines of a block: more make a smaller file, of which one line takes longer to read; 0: 128
}

// NewWriter writes to w.
func NewWriter(w io.Writer, o Options) *Writer {
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	if o.BlockLines <= 0 {
		o.BlockLines = blockLines
	}
	o.BlockLines = min(o.BlockLines, segmentLines)
	return &Writer{w: w, o: o}
}

// Write takes the next bytes of the log.
func (w *Writer) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 && w.err == nil {
		end := bytes.IndexByte(p, '\n')
		if end < 0 {
			w.partial = append(w.partial, p...)
			if len(w.partial) > plainLine {
				w.piece(false)
			}
			break
		}
		if w.long {
			w.partial = append(w.partial, p[:end]...)
			w.piece(true)
		} else if len(w.partial) > 0 {
			w.partial = append(w.partial, p[:end]...)
			w.line(w.partial, true)
			w.partial = w.partial[:0]
		} else {
			w.line(p[:end], true)
		}
		p = p[end+1:]
	}
	if w.err != nil {
		return 0, w.err
	}
	return n, nil
}

// line takes a whole line. Ends tells that a newline follows; the last may have none.
func (w *Writer) line(text []byte, ends bool) {
	if w.parser.nodes == nil {
		w.parser = parser{shapes: make(shapes), nodes: make(map[uint64]*node)}
	}
	l := line{size: len(text)}
	if len(text) <= plainLine {
		l.root = w.parser.parse(string(text))
		if l.root != nil && l.root.kind == scalar {
			l.root = nil // a word by itself is told better as one
		}
	}
	switch {
	case l.root != nil:
	case len(text) > plainText:
		w.partial = append(w.partial[:0], text...)
		w.piece(ends)
		return
	default:
		l.text = string(text)
	}
	w.seg.lines = append(w.seg.lines, l)
	w.seg.bytes += len(text) + 1
	if len(w.seg.lines) == segmentLines || w.seg.bytes >= segmentBytes {
		w.segment(false)
	}
}

// piece writes a part of a line, or its end, without a model.
func (w *Writer) piece(ends bool) {
	if w.segment(false); w.err != nil {
		return
	}
	rest := w.partial
	if ends {
		rest = append(rest, '\n')
	}
	for len(rest) > 0 && w.err == nil {
		part := rest[:min(len(rest), plainBytes)]
		rest = rest[len(part):]
		lines := 0
		if ends && len(rest) == 0 {
			lines = 1
		}
		z, err := squeeze(part)
		if err != nil {
			w.err = fmt.Errorf("pack a log: %w", err)
			return
		}
		var f fields
		f.put(w.next, lines, len(part))
		f.b = append(f.b, z...)
		w.emit(chunk{kind: plainChunk, first: w.next, lines: lines, bytes: len(part)}, f.b)
		w.next += lines
	}
	w.partial, w.long = w.partial[:0], !ends
}

// segment packs the lines that were collected. Open tells that the last of them has no newline.
func (w *Writer) segment(open bool) {
	s := w.seg
	w.seg, w.parser = segment{}, parser{}
	if len(s.lines) == 0 || w.err != nil {
		return
	}
	var shared []line
	size := w.o.BlockLines
	if len(s.lines) > size {
		shared = s.base(size)
	}
	m := newModel(newEncoder())
	m.budget = math.MaxInt
	coded, raw := encode(m, shared)
	m.base = shared
	var f fields
	f.put(w.next, len(shared), bytesOf(shared))
	f.putBytes(coded)
	f.b = append(f.b, raw...)
	base := len(w.chunks)
	w.emit(chunk{kind: baseChunk, first: w.next, bytes: bytesOf(shared)}, f.b)

	blocks := (len(s.lines) + size - 1) / size
	payloads := make([][]byte, blocks)
	nextBase := make([]int, blocks+1) // lines of the base before each block
	for i, l := range s.lines {
		if l.shared {
			nextBase[i/size+1]++
		}
	}
	g, ctx := errgroup.WithContext(context.Background())
	g.SetLimit(w.o.Workers)
	for i := range blocks {
		nextBase[i+1] += nextBase[i]
		g.Go(func() error {
			lines := s.lines[i*size : min((i+1)*size, len(s.lines))]
			last := open && i == blocks-1
			payloads[i] = block(m, lines, w.next, w.next+i*size, nextBase[i], last)
			return ctx.Err()
		})
	}
	if err := g.Wait(); err != nil {
		w.err = fmt.Errorf("pack a log: %w", err)
		return
	}
	for i, p := range payloads {
		lines := s.lines[i*size : min((i+1)*size, len(s.lines))]
		w.emit(chunk{kind: blockChunk, first: w.next, lines: len(lines), bytes: bytesOf(lines), base: base}, p)
		w.next += len(lines)
	}
}

// block is the payload of a block of the segment that begins with that line, after its base, of which nextBase
// lines come before the block.
func block(base *model, lines []line, segment, first, nextBase int, open bool) []byte {
	m := base.over(newEncoder(), nextBase)
	m.budget = math.MaxInt
	coded, raw := encode(m, lines)
	m.release()
	var f fields
	flags := 0
	if open {
		flags = 1
	}
	f.put(first, len(lines), bytesOf(lines), flags, first-segment, nextBase)
	var text []byte
	for _, l := range lines {
		text = append(l.append(text), '\n')
	}
	f.b = binary.LittleEndian.AppendUint32(f.b, crc32.Checksum(text, castagnoli()))
	f.putBytes(coded)
	f.b = append(f.b, raw...)
	return f.b
}

// Section adds data under a name, which a [File] gives back. It comes after the log's bytes.
func (w *Writer) Section(name string, data []byte) error {
	w.end()
	z, err := squeeze(data)
	if err != nil {
		return fmt.Errorf("pack a log: %w", err)
	}
	var f fields
	f.putBytes([]byte(name))
	f.put(len(data))
	f.b = append(f.b, z...)
	w.emit(chunk{kind: sectionChunk, first: w.next, bytes: len(data), name: name}, f.b)
	return w.err
}

// end packs what is left of the log.
func (w *Writer) end() {
	if w.offset == 0 && w.err == nil {
		w.write([]byte(begin))
	}
	switch {
	case w.long && len(w.partial) > 0:
		w.piece(false)
	case len(w.partial) > 0:
		text := w.partial
		w.partial = nil
		w.line(text, false)
		w.segment(true)
		return
	}
	w.segment(false)
}

func (w *Writer) emit(c chunk, payload []byte) {
	if w.offset == 0 {
		w.write([]byte(begin))
	}
	c.offset = w.offset
	w.chunks = append(w.chunks, c)
	w.write(appendChunk(nil, c.kind, payload))
}

func (w *Writer) write(b []byte) {
	if w.err != nil {
		return
	}
	n, err := w.w.Write(b)
	w.offset += int64(n)
	if err != nil {
		w.err = fmt.Errorf("write a packed log: %w", err)
	}
}

// Close completes the file. It does not close the writer below.
func (w *Writer) Close() error {
	w.end()
	var f fields
	f.put(len(w.chunks), w.next)
	at := int64(0)
	for _, c := range w.chunks {
		f.b = append(f.b, c.kind)
		f.put(int(c.offset-at), c.first, c.lines, c.bytes, c.base)
		f.putBytes([]byte(c.name))
		at = c.offset
	}
	z, err := squeeze(f.b)
	if err != nil {
		return fmt.Errorf("pack a log: %w", err)
	}
	index := w.offset
	var g fields
	g.put(len(f.b))
	w.write(appendChunk(nil, indexChunk, append(g.b, z...)))
	w.write(binary.LittleEndian.AppendUint64(nil, uint64(index)))
	return w.err
}
