package dataset

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"k8ntext/dataset/audit"
)

// Imported is what [Import] made.
type Imported struct {
	Manifest *Manifest
	File     string // the corpus
	About    string // its manifest
	Skipped  int    // lines left out because they are not JSON and cannot be masked surely
}

// Import makes a corpus of a recording: it masks its secrets, compresses it and measures it. In dir it
// writes NAME.jsonl.zst and NAME.toml; what a person wrote in an earlier NAME.toml stays.
//
// The recording is JSON lines, plain, gzip or zstd, with the keys of a labelled corpus. All stages and
// all other bytes are kept. It fails for a recording without labels, with a line longer than 64 MiB,
// or in which a scan still finds secrets; then nothing is written.
func Import(ctx context.Context, recording, name, dir string) (*Imported, error) {
	fail := func(err error) (*Imported, error) { return nil, fmt.Errorf("import %s: %w", recording, err) }
	if !nameForm.MatchString(name) {
		return fail(fmt.Errorf("%q is no corpus name: use lower case letters, digits, dots and hyphens", name))
	}
	out := &Imported{File: filepath.Join(dir, name+corpusSuffix), About: filepath.Join(dir, name+manifestSuffix)}

	m := &Manifest{Measured: Measured{Name: name}}
	if text, err := os.ReadFile(out.About); err == nil {
		before, err := parseManifest(text, out.About)
		if err != nil {
			return fail(err)
		}
		m.About = before.About
	} else if !errors.Is(err, os.ErrNotExist) {
		return fail(err)
	}

	masker := NewMasker()
	var file bytes.Buffer // the compressed corpus
	enc, err := zstd.NewWriter(&file, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(32<<20))
	if err != nil {
		return fail(err)
	}
	err = eachLine(ctx, recording, func(line []byte) error {
		if masker.Observe(line) != nil {
			out.Skipped++
		}
		return nil
	})
	if err != nil {
		return fail(err)
	}
	err = eachLine(ctx, recording, func(line []byte) error {
		masked, err := masker.Mask(line)
		if err != nil {
			return nil // counted above
		}
		if _, err = enc.Write(masked); err == nil {
			_, err = enc.Write([]byte{'\n'})
		}
		return err
	})
	if err == nil {
		err = enc.Close()
	}
	if err != nil {
		return fail(err)
	}

	c, problem, err := load(ctx, audit.NewReader(bytes.NewReader(file.Bytes()), name, audit.Options{}), name, nil)
	if err != nil {
		return fail(err)
	}
	if problem != nil {
		return fail(fmt.Errorf("%w: remove the line", problem))
	}
	if !c.Labelled() {
		return fail(errUnlabelled)
	}
	if err := m.measure(c, file.Bytes()); err != nil {
		return fail(err)
	}
	m.Masked = masker.Counts()
	found, err := scanFile(ctx, file.Bytes())
	if err != nil {
		return fail(err)
	}
	if len(found) > 0 {
		return fail(fmt.Errorf("%d texts still look like secrets after masking, the first: %v: remove them from the recording", len(found), found[0]))
	}
	text, err := m.encode()
	if err != nil {
		return fail(err)
	}
	if err := writeFile(out.File, file.Bytes()); err != nil {
		return fail(err)
	}
	if err := writeFile(out.About, text); err != nil {
		return fail(err)
	}
	out.Manifest = m
	return out, nil
}

// Export writes the raw lines of a corpus, by name or a file, to w.
func Export(ctx context.Context, nameOrPath string, w io.Writer) error {
	fail := func(err error) error { return fmt.Errorf("export corpus %s: %w", nameOrPath, err) }
	_, file, err := named(nameOrPath)
	if errors.Is(err, errNoCorpus) {
		if file, err = os.ReadFile(nameOrPath); err != nil {
			return unknownCorpus(nameOrPath, err)
		}
	}
	if err != nil {
		return fail(err)
	}
	r, err := decompressed(bytes.NewReader(file))
	if err != nil {
		return fail(err)
	}
	defer r.Close()
	if _, err := io.Copy(w, contextReader{ctx, r}); err != nil {
		return fail(err)
	}
	return nil
}

// ExportFile writes the raw lines of a corpus to a file, which appears only when it is complete.
func ExportFile(ctx context.Context, nameOrPath, file string) error {
	return replaceFile(file, func(w io.Writer) error { return Export(ctx, nameOrPath, w) })
}

type contextReader struct {
	ctx context.Context
	io.Reader
}

func (r contextReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(p)
}

// eachLine calls f with every line of a recording that is not empty.
func eachLine(ctx context.Context, recording string, f func(line []byte) error) error {
	file, err := os.Open(recording)
	if err != nil {
		return err
	}
	defer file.Close()
	r, err := decompressed(file)
	if err != nil {
		return err
	}
	defer r.Close()
	return EachLine(ctx, r, f)
}

// EachLine calls f with every line of r that is not empty, without the space around it; the line is f's
// until it returns. It ends with f's error, and with one that names the line if that is longer than 64 MiB.
func EachLine(ctx context.Context, r io.Reader, f func(line []byte) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 1<<20), maxScanLine)
	n := 1
	for ; lines.Scan(); n++ {
		if n%256 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if line := bytes.TrimSpace(lines.Bytes()); len(line) > 0 {
			if err := f(line); err != nil {
				return err
			}
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("line %d: %w", n, err)
	}
	return nil
}

// decompressed reads gzip and zstd by their magic bytes and everything else as it is.
func decompressed(r io.Reader) (io.ReadCloser, error) {
	b := bufio.NewReader(r)
	magic, _ := b.Peek(4)
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(b)
		if err != nil {
			return nil, fmt.Errorf("decompress gzip: %w", err)
		}
		return z, nil
	case bytes.Equal(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := zstd.NewReader(b, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(1<<30))
		if err != nil {
			return nil, fmt.Errorf("decompress zstd: %w", err)
		}
		return z.IOReadCloser(), nil
	}
	return io.NopCloser(b), nil
}

func writeFile(name string, data []byte) error {
	return replaceFile(name, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
}

// replaceFile writes a file beside its place and moves it there when it is safely on disk.
func replaceFile(name string, write func(io.Writer) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(name), "."+strings.TrimPrefix(filepath.Base(name), ".")+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	w := bufio.NewWriterSize(f, 1<<20)
	if err := write(w); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Chmod(0o644); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}
