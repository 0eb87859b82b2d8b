package model

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
)

// Model files and checkpoints share one layout. All numbers are little-endian.
//
//	 0  magic      8 bytes, which of the two it is
//	 8  version    uint32
//	12  sections   uint32, n
//	16  size       uint64, of the whole file
//	24  table      n times: name [8]byte, length uint64
//	..  sections   back to back, in the table's order
//	..  checksum   SHA-256 of everything before it
//
// Every byte is covered by the checksum, and every length is checked against the file's size before
// anything is allocated for it.
const (
	magicSize    = 8
	headSize     = 24
	entrySize    = 16
	maxSections  = 16
	maxFileSize  = 1 << 30
	maxHeader    = 64 << 20 // bytes of a JSON section
	checksumSize = sha256.Size
)

// kind is what a container holds.
type kind struct {
	magic   string // magicSize bytes
	version uint32
	noun    string // for errors
}

// section is one part of a container.
type section struct {
	name string // at most 8 bytes, ASCII
	data []byte
}

// FormatError says why a model file or a checkpoint cannot be used.
type FormatError struct {
	Noun   string // "model file" or "checkpoint"
	Reason string
}

func (e *FormatError) Error() string { return "not a usable " + e.Noun + ": " + e.Reason }

func (k kind) errorf(format string, args ...any) error {
	return &FormatError{Noun: k.noun, Reason: fmt.Sprintf(format, args...)}
}

// encode lays the sections out. Equal sections give equal bytes.
func (k kind) encode(sections []section) []byte {
	size := headSize + checksumSize
	for _, s := range sections {
		size += entrySize + len(s.data)
	}
	b := make([]byte, 0, size)
	b = append(b, k.magic...)
	b = binary.LittleEndian.AppendUint32(b, k.version)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(sections)))
	b = binary.LittleEndian.AppendUint64(b, uint64(size))
	for _, s := range sections {
		var name [8]byte
		copy(name[:], s.name)
		b = append(b, name[:]...)
		b = binary.LittleEndian.AppendUint64(b, uint64(len(s.data)))
	}
	for _, s := range sections {
		b = append(b, s.data...)
	}
	sum := sha256.Sum256(b)
	return append(b, sum[:]...)
}

// read takes one container from r, which must end where the container does. It allocates in
// proportion to what r really holds, whatever the head claims.
func (k kind) read(r io.Reader) ([]section, error) {
	var head [headSize]byte
	if n, err := io.ReadFull(r, head[:]); err != nil {
		if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, err
		}
		return nil, k.errorf("it ends after %d bytes", n)
	}
	if string(head[:magicSize]) != k.magic {
		return nil, k.errorf("it does not begin as one")
	}
	if v := binary.LittleEndian.Uint32(head[8:]); v != k.version {
		return nil, k.errorf("it has format version %d, this program reads version %d", v, k.version)
	}
	count := binary.LittleEndian.Uint32(head[12:])
	size := binary.LittleEndian.Uint64(head[16:])
	if count > maxSections {
		return nil, k.errorf("it claims %d sections, at most %d are possible", count, maxSections)
	}
	if size > maxFileSize || size < headSize+uint64(count)*entrySize+checksumSize {
		return nil, k.errorf("it claims a size of %d bytes, which cannot be", size)
	}

	var buf bytes.Buffer // grows with what arrives, not with what is claimed
	buf.Write(head[:])
	if _, err := io.Copy(&buf, io.LimitReader(r, int64(size)-headSize+1)); err != nil {
		return nil, err
	}
	b := buf.Bytes()
	if uint64(len(b)) < size {
		return nil, k.errorf("it is cut off: %d of %d bytes", len(b), size)
	}
	if uint64(len(b)) > size {
		return nil, k.errorf("bytes follow its end at %d", size)
	}
	body, sum := b[:size-checksumSize], b[size-checksumSize:]
	if got := sha256.Sum256(body); !bytes.Equal(got[:], sum) {
		return nil, k.errorf("its checksum does not match: it was damaged or changed")
	}

	rest := body[headSize+count*entrySize:]
	sections := make([]section, count)
	for i := range sections {
		entry := body[headSize+i*entrySize:]
		length := binary.LittleEndian.Uint64(entry[8:])
		if length > uint64(len(rest)) {
			return nil, k.errorf("section %d claims %d bytes, %d are left", i, length, len(rest))
		}
		sections[i] = section{name: string(bytes.TrimRight(entry[:8], "\x00")), data: rest[:length:length]}
		rest = rest[length:]
	}
	if len(rest) != 0 {
		return nil, k.errorf("%d bytes belong to no section", len(rest))
	}
	return sections, nil
}

// expect checks that the sections are exactly the named ones, in this order, and gives their bytes.
func (k kind) expect(sections []section, names ...string) ([][]byte, error) {
	if len(sections) != len(names) {
		return nil, k.errorf("it has %d sections instead of %d", len(sections), len(names))
	}
	data := make([][]byte, len(names))
	for i, s := range sections {
		if s.name != names[i] {
			return nil, k.errorf("section %d is %q instead of %q", i, s.name, names[i])
		}
		data[i] = s.data
	}
	return data, nil
}

// readFile reads the container at path.
func (k kind) readFile(path string) ([]section, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return k.read(f)
}

// writeFile puts data at path so that at any moment, also after a power cut, path holds either what
// it held before or all of data.
func writeFile(path string, data []byte) (err error) {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	if _, err = f.Write(data); err != nil {
		return err
	}
	if err = f.Chmod(0o644); err != nil {
		return err
	}
	if err = f.Sync(); err != nil {
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	// The rename itself is durable once the folder is; some file systems cannot sync a folder.
	if d, openErr := os.Open(dir); openErr == nil {
		d.Sync()
		d.Close()
	}
	return nil
}

// appendFloats appends x as little-endian float32.
func appendFloats(b []byte, x []float32) []byte {
	for _, v := range x {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	return b
}

// takeFloats fills x from the front of b, which holds at least 4*len(x) bytes, and gives the rest.
func takeFloats(b []byte, x []float32) []byte {
	for i := range x {
		x[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return b[4*len(x):]
}
