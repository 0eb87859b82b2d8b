package pseudonym

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"

	"k8ntext/dataset"
)

// Report says what Rewrite did.
type Report struct {
	Lines   int // written
	Skipped int // left out, because they are not JSON and nothing in them can be found surely
	Masked  dataset.Masked
}

// Rewrite reads the raw lines of an audit log or a corpus, masks their secrets (see dataset.Masker),
// replaces the names and writes the lines to out. It reads three times: to learn, to replace and to
// look at the result, byte by byte and without knowing JSON, for any name that was listed. One that is
// still there is an error that tells the line and the name's kind; then out must not be used.
func (n *Names) Rewrite(ctx context.Context, log string, out io.ReadWriteSeeker) (Report, error) {
	var report Report
	fail := func(err error) (Report, error) { return report, fmt.Errorf("anonymise %s: %w", log, err) }
	masker := dataset.NewMasker()
	err := eachLine(ctx, log, func(line []byte) error {
		if err := masker.Observe(line); err != nil {
			report.Skipped++
			return nil
		}
		return n.Learn(line)
	})
	if err != nil {
		return fail(err)
	}
	w := bufio.NewWriterSize(out, 1<<20)
	err = eachLine(ctx, log, func(line []byte) error {
		masked, err := masker.Mask(line)
		if err != nil {
			return nil // counted above
		}
		replaced, err := n.Replace(masked)
		if err != nil {
			return err
		}
		report.Lines++
		_, err = w.Write(append(replaced, '\n'))
		return err
	})
	if err := errors.Join(err, w.Flush()); err != nil {
		return fail(err)
	}
	report.Masked = masker.Counts()
	if _, err := out.Seek(0, io.SeekStart); err != nil {
		return fail(err)
	}
	number := 0
	err = dataset.EachLine(ctx, out, func(line []byte) error {
		number++
		if name, found := n.remains(line); found {
			return fmt.Errorf("line %d of the result still has %q, a name of kind %s: if it is not one of yours, keep it by --keep", number, name, n.listed[name])
		}
		return nil
	})
	if err != nil {
		return fail(err)
	}
	return report, nil
}

// eachLine calls f with every line of a log, or of a corpus known by name, that is not empty.
func eachLine(ctx context.Context, log string, f func(line []byte) error) error {
	r, w := io.Pipe()
	go func() { w.CloseWithError(dataset.Export(ctx, log, w)) }()
	defer r.Close()
	return dataset.EachLine(ctx, r, f)
}
