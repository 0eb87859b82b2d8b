// Package packed keeps a log in a small file that gives every raw line back as it was, byte for byte,
// whatever is in it, and any part of it without the rest.
//
// Audit lines are compact JSON whose parts repeat: the same clients ask the same of the same objects,
// and an answer is the object as it was last seen but for a version and some times. A line is therefore
// told as a tree that differs from one that came before it: from the latest line of the same request,
// client and stage; its bodies from the latest state of the same object. Which line it is like is foreseen
// by the one, two and three lines before it. What differs is told by what it is:
//
//	a time                    its distance from the request's, or from the line before where it tells no more than seconds
//	a uuid                    16 bytes; of a random one the 122 bits that are not known
//	a number                  its distance from the one in the other line, of a resourceVersion from the highest so far
//	a value that was said     how many values ago, or that it stands where the one that it was like stood
//	another text              as words, each the one that followed the same word or two words, or that stands in the other
//	                          line's text; or by its number; or by its letters
//	the name of an Event      its end, which client-go makes of the time, by its distance in nanoseconds
//	an object's other members the shape that came last in place of the one expected, or by its number, or by their names
//
// All goes through an adaptive binary arithmetic coder. Where several things foretell a bit (which line follows,
// letters, numbers of words and of shapes) their probabilities are weighed by how right they were before (logistic
// mixing). Lines that are no compact JSON are kept as words; very long ones by zstd.
//
// A file is a row of chunks, each with a checksum and a mark that finds it where the row is broken:
//
//	base     lines of a segment (65,536 lines, or 128 MiB) to which several of its blocks have likenesses
//	block    128 lines, which need nothing but their base; of a line that is in the base it only says so
//	plain    bytes of very long lines
//	section  named data of other packages
//	index    where the others are
//
// Damage is found by checksum, chunk by chunk, and again on the lines that come out. It costs the lines
// of its chunk; that of a base costs its segment.
package packed

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/klauspost/compress/zstd"
)

// Magic are the first bytes of a packed log of any version of the format. The next byte tells the version.
const Magic = "k8ntlog"

const (
	version = 2
	begin   = Magic + string(rune(version))
)

const (
	blockLines   = 128
	segmentLines = 1 << 16
	segmentBytes = 128 << 20
	plainLine    = 4 << 20  // a line that is longer is plain
	plainText    = 64 << 10 // and one that is no JSON
	plainBytes   = 4 << 20  // in one chunk
	maxChunk     = 512 << 20
)

// mark begins every chunk. No text has it.
const mark = "\xff\xfek\x8b"

const headSize = len(mark) + 1 + 4 + 4

const (
	baseChunk    = 'B'
	blockChunk   = 'L'
	plainChunk   = 'P'
	sectionChunk = 'S'
	indexChunk   = 'I'
)

// chunk is where a chunk is and what it has.
type chunk struct {
	kind   byte
	offset int64
	first  int // its first line, from 0
	lines  int // of a plain chunk: how many end in it
	bytes  int // of the lines
	base   int // of a block: index of its base among the chunks
	name   string
}

func appendChunk(dst []byte, kind byte, payload []byte) []byte {
	dst = append(dst, mark...)
	start := len(dst)
	dst = append(dst, kind)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(payload)))
	sum := crc32.Update(crc32.Checksum(dst[start:], castagnoli()), castagnoli(), payload)
	dst = binary.LittleEndian.AppendUint32(dst, sum)
	return append(dst, payload...)
}

func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

var errDamaged = errors.New("damaged")

// readHead takes a chunk's head apart.
func readHead(b []byte) (kind byte, size int, err error) {
	if len(b) < headSize || string(b[:len(mark)]) != mark {
		return 0, 0, errDamaged
	}
	size = int(binary.LittleEndian.Uint32(b[len(mark)+1:]))
	if size > maxChunk {
		return 0, 0, errDamaged
	}
	return b[len(mark)], size, nil
}

// checked tells whether a chunk is as it was written.
func checked(head, payload []byte) bool {
	sum := crc32.Update(crc32.Checksum(head[len(mark):len(mark)+5], castagnoli()), castagnoli(), payload)
	return binary.LittleEndian.Uint32(head[len(mark)+5:]) == sum
}

// fields writes and reads numbers and texts of payloads.
type fields struct {
	b   []byte
	bad bool
}

func (f *fields) put(vs ...int) {
	for _, v := range vs {
		f.b = binary.AppendUvarint(f.b, uint64(v))
	}
}

func (f *fields) putBytes(b []byte) {
	f.put(len(b))
	f.b = append(f.b, b...)
}

func (f *fields) get() int {
	v, n := binary.Uvarint(f.b)
	if n <= 0 || v > 1<<48 {
		f.bad = true
		return 0
	}
	f.b = f.b[n:]
	return int(v)
}

func (f *fields) getBytes() []byte {
	n := f.get()
	if n > len(f.b) {
		f.bad = true
		return nil
	}
	b := f.b[:n]
	f.b = f.b[n:]
	return b
}

func squeeze(b []byte) ([]byte, error) {
	level := zstd.SpeedBestCompression
	if len(b) < 1<<12 {
		level = zstd.SpeedDefault // the best takes some dozen MB of tables
	}
	z, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(level), zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return nil, fmt.Errorf("zstd: %w", err)
	}
	return z.EncodeAll(b, nil), nil
}

func unsqueeze(b []byte, limit int) ([]byte, error) {
	z, err := zstd.NewReader(bytes.NewReader(b), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(uint64(limit)+1<<20), zstd.WithDecoderMaxWindow(128<<20))
	if err != nil {
		return nil, fmt.Errorf("zstd: %w", err)
	}
	defer z.Close()
	var out bytes.Buffer
	if _, err := out.ReadFrom(z); err != nil {
		return nil, fmt.Errorf("zstd: %w", err)
	}
	return out.Bytes(), nil
}
