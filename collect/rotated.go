package collect

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// fingerprint knows a log file by how it begins, whatever its name, its inode or its compression: an
// audit line tells its auditID and times in its first bytes.
type fingerprint struct {
	Length int    `json:"length"` // bytes, at most headLength
	SHA256 string `json:"sha256"` // of them
}

// headLength is how much of a file its fingerprint covers, if that much of it was read.
const headLength = 1024

func fingerprintOf(head []byte) fingerprint {
	if len(head) == 0 {
		return fingerprint{}
	}
	head = head[:min(len(head), headLength)]
	sum := sha256.Sum256(head)
	return fingerprint{len(head), hex.EncodeToString(sum[:])}
}

// matches tells whether a file that begins with head is the one; no file is known by nothing.
func (p fingerprint) matches(head []byte) bool {
	return p.Length > 0 && len(head) >= p.Length && fingerprintOf(head[:p.Length]) == p
}

// rotated is a file of a log: the log itself or what rotation made of it.
type rotated struct {
	path string
	info os.FileInfo
	hole int64  // NULs before its text (see read)
	head []byte // its first headLength bytes of text, decompressed; empty: nothing in it
	err  error  // it cannot be read

	compressed bool
}

// family lists the files of the log at path, oldest first; the log itself is the last, if it is there.
// Rotated files are known by the names that the API server (audit-2026-11-22T04-16-40.123.log) and
// logrotate (audit.log.1, audit.log-20261122) give them, with .gz or .zst behind it. Where a file is
// there with and without compression it is being compressed, and the plain one counts.
func family(path string) ([]rotated, error) {
	// A rotation between the listing and the opening would mix up names: then everything once more.
	for range 20 {
		names, err := familyNames(path)
		if err != nil {
			return nil, err
		}
		files := make([]rotated, 0, len(names))
		for _, name := range names {
			r := rotated{path: name}
			if err := r.read(); errors.Is(err, os.ErrNotExist) {
				continue
			} else {
				r.err = err
			}
			files = append(files, r)
		}
		again, err := familyNames(path)
		if err != nil {
			return nil, err
		}
		if slices.Equal(names, again) && unmoved(files) {
			return files, nil
		}
	}
	return nil, fmt.Errorf("the files of %s are renamed faster than they can be listed", path)
}

// unmoved tells whether the names still mean the files that were opened.
func unmoved(files []rotated) bool {
	return !slices.ContainsFunc(files, func(r rotated) bool {
		if r.info == nil {
			return false
		}
		now, err := os.Stat(r.path)
		return err != nil || !os.SameFile(now, r.info)
	})
}

func familyNames(path string) ([]string, error) {
	folder, base := filepath.Split(path)
	if folder == "" {
		folder = "."
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, fmt.Errorf("look for rotated files of %s: %w", path, err)
	}
	type member struct {
		name   string
		stamp  string // a time in the name; empty: a number
		number uint64 // the larger the older
		plain  bool
	}
	var members []member
	here := false
	for _, e := range entries {
		name := e.Name()
		here = here || name == base
		bare := name
		for _, ext := range compressions {
			if b, ok := strings.CutSuffix(name, ext); ok {
				bare = b
				break
			}
		}
		suffix := rotationSuffix(base, bare)
		if suffix == "" || e.IsDir() {
			continue
		}
		m := member{name: name, plain: bare == name}
		if n, err := strconv.ParseUint(suffix, 10, 32); err == nil && strings.HasPrefix(bare, base+".") {
			m.number = n
		} else {
			m.stamp = suffix
		}
		members = append(members, m)
	}
	slices.SortFunc(members, func(a, b member) int {
		return cmp.Or(
			-cmp.Compare(min(len(a.stamp), 1), min(len(b.stamp), 1)), // dated before numbered
			cmp.Compare(a.stamp, b.stamp),
			-cmp.Compare(a.number, b.number),
			cmp.Compare(a.name, b.name), // the plain one first
		)
	})
	members = slices.CompactFunc(members, func(a, b member) bool { return a.stamp == b.stamp && a.number == b.number && (a.plain || b.plain) })
	var names []string
	for _, m := range members {
		names = append(names, filepath.Join(folder, m.name))
	}
	if here {
		names = append(names, path)
	}
	return names, nil
}

// compressions are the endings of compressed files. Only the first two can be read.
var compressions = []string{".gz", ".zst", ".bz2", ".xz"}

// rotationSuffix is what rotation put into the log's name to make bare, "" if bare is no such name.
func rotationSuffix(base, bare string) string {
	ext := filepath.Ext(base)
	suffix := ""
	if rest, ok := strings.CutPrefix(bare, base); ok && rest != "" && (rest[0] == '.' || rest[0] == '-') {
		suffix = rest[1:]
	} else if rest, ok := strings.CutPrefix(bare, strings.TrimSuffix(base, ext)+"-"); ok && strings.HasSuffix(rest, ext) {
		suffix = strings.TrimSuffix(rest, ext)
	}
	if suffix == "" || suffix[0] < '0' || suffix[0] > '9' || strings.Trim(suffix, "0123456789-_.:TZ") != "" {
		return ""
	}
	return suffix
}

// read reads how a file begins. A log that was truncated while its writer went on at its old place
// begins with a hole, which reads as NULs; its text is what comes behind.
func (r *rotated) read() error {
	f, err := os.Open(r.path)
	if err != nil {
		return err
	}
	defer f.Close()
	if r.info, err = f.Stat(); err != nil {
		return err
	}
	text, err := decompressed(f)
	if err != nil {
		return err
	}
	defer text.Close()
	_, plain := text.(plainText)
	r.compressed = !plain
	b := bufio.NewReaderSize(text, 64<<10)
	for {
		have, err := b.Peek(1)
		if err != nil || have[0] != 0 {
			break
		}
		have, _ = b.Peek(b.Buffered())
		n, _ := b.Discard(len(have) - len(bytes.TrimLeft(have, "\x00")))
		r.hole += int64(n)
	}
	head := make([]byte, headLength)
	n, err := io.ReadFull(b, head)
	r.head = head[:n]
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) && n > 0 {
		return nil
	}
	return err
}

// decompressed reads gzip and zstd by their first bytes and everything else as it is.
func decompressed(f io.Reader) (io.ReadCloser, error) {
	b := bufio.NewReaderSize(f, 64<<10)
	magic, _ := b.Peek(6)
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(b)
		if err != nil {
			return nil, fmt.Errorf("decompress gzip: %w", err)
		}
		return z, nil
	case bytes.HasPrefix(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := zstd.NewReader(b, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(128<<20))
		if err != nil {
			return nil, fmt.Errorf("decompress zstd: %w", err)
		}
		return z.IOReadCloser(), nil
	case bytes.HasPrefix(magic, []byte("BZh")), bytes.HasPrefix(magic, []byte("\xfd7zXZ\x00")):
		return nil, errors.New("compressed by bzip2 or xz: k8ntext reads gzip and zstd")
	}
	return plainText{b}, nil
}

// plainText is what was not compressed.
type plainText struct{ io.Reader }

func (plainText) Close() error { return nil }
