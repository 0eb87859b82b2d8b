package collect

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/zstd"

	"k8ntext/dataset"
)

// finish masks the names of machines in all files that are not finished: one pass learns them, a
// second replaces them. The masked files get their names only when all of them are complete, and the
// position says so first: a kill leaves either all of the one or all of the other.
func (o *Output) finish() error {
	fail := func(err error) error { return fmt.Errorf("mask the machines' names in %s: %w", o.name, err) }
	masker := dataset.NewMasker()
	if o.pos.Size == 0 { // the last file was never begun
		o.pos.File--
	}
	if o.pos.File < o.pos.First {
		o.pos.File = o.pos.First
		return nil
	}
	for n := o.pos.First; n <= o.pos.File; n++ {
		if err := eachLine(o.path(n), masker.Observe); err != nil {
			return fail(err)
		}
	}
	for n := o.pos.First; n <= o.pos.File; n++ {
		if err := o.maskFile(masker, n); err != nil {
			return fail(err)
		}
	}
	o.pos.Naming = true
	if err := o.savePosition(); err != nil {
		return fail(err)
	}
	return o.nameFinished()
}

func (o *Output) maskFile(masker *dataset.Masker, n int) (err error) {
	f, err := os.OpenFile(o.finished(n)+maskedSuffix, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	enc, err := zstd.NewWriter(f, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return err
	}
	err = eachLine(o.path(n), func(line []byte) error {
		masked, err := masker.Mask(line)
		if err == nil {
			_, err = enc.Write(append(masked[:len(masked):len(masked)], '\n'))
		}
		return err
	})
	if err := errors.Join(err, enc.Close()); err != nil {
		return err
	}
	return f.Sync()
}

// nameFinished gives the masked files their names. It may be called again after a kill.
func (o *Output) nameFinished() error {
	for n := o.pos.First; n <= o.pos.File; n++ {
		err := os.Rename(o.finished(n)+maskedSuffix, o.finished(n))
		if err != nil && !errors.Is(err, os.ErrNotExist) { // else it has its name already
			return fmt.Errorf("name the masked corpus: %w", err)
		}
		if err := os.Remove(o.path(n)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("remove the corpus with machines' names: %w", err)
		}
	}
	if err := syncFolder(filepath.Dir(o.name)); err != nil {
		return err
	}
	o.pos.Naming, o.pos.First, o.pos.File, o.pos.Size = false, o.pos.File+1, o.pos.File+1, 0
	return o.savePosition()
}

// eachLine calls f with every line of a zstd file that this package wrote.
func eachLine(name string, f func(line []byte) error) error {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	dec, err := zstd.NewReader(file, zstd.WithDecoderConcurrency(1))
	if err != nil {
		return err
	}
	defer dec.Close()
	r := bufio.NewReaderSize(dec, 1<<20)
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF) && len(line) == 0:
			return nil
		case err != nil:
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := f(line[:len(line)-1]); err != nil {
			return err
		}
		line = line[:0]
	}
}
