package collect

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/klauspost/compress/zstd"

	"k8ntext/dataset"
)

// OutputOptions say how a corpus is written.
type OutputOptions struct {
	// Mask removes secrets (see dataset.Masker) before a line reaches the disk. The names of machines
	// can only be masked when all lines are known: until Close the corpus stands under its name with
	// ".part" behind it, free of secrets but with these names, and Close goes over it once more. Lines
	// that are not JSON cannot be masked surely and are left out.
	Mask bool

	// MaxSize begins a further file, FILE.2.jsonl.zst and so on, when one has reached this many bytes;
	// 0 means never.
	MaxSize int64

	// Every is the least time between two commits of a followed log; 0 means one second.
	Every time.Duration

	// Remark, if not nil, is called with what is worth a word, one call at a time.
	Remark func(kind, detail string)
}

// Output is a corpus in the making. Its methods are safe for concurrent use.
type Output struct {
	name string // as given: the first file
	opts OutputOptions
	journal

	mu      sync.Mutex
	lock    *os.File // the folder's lock file
	file    *os.File
	frame   *zstd.Encoder
	open    bool // a frame is open
	masker  *dataset.Masker
	pos     position
	written int64 // of the open file, committed or not
	changed bool  // something to commit
	last    time.Time
	stats   Stats
}

// position is the position file: the length of the corpus and the place in the source that belong
// together.
type position struct {
	Version int      `json:"version"`
	Source  string   `json:"source"`            // what is collected: another source must not go on here
	Masked  bool     `json:"masked"`            // written with Mask
	First   int      `json:"first"`             // first file that is not finished (masked); from 1
	File    int      `json:"file"`              // number of the file being written
	Size    int64    `json:"size"`              // bytes of it that count
	Naming  bool     `json:"naming,omitempty"`  // finished files only wait for their names
	Lines   int64    `json:"lines"`             // in all files
	Follow  *cursor  `json:"follow,omitempty"`  // place in a followed log
	Batches []string `json:"batches,omitempty"` // digests of the webhook's last batches, oldest first
}

const (
	positionSuffix  = ".position"
	partSuffix      = ".part"
	maskedSuffix    = ".masked"
	positionVersion = 1
)

// OpenOutput opens the corpus file, or goes on with it where the last commit ended. Source says what
// is collected, in words; a corpus of another source is refused.
func OpenOutput(file, source string, o OutputOptions) (*Output, error) {
	if o.Every <= 0 {
		o.Every = time.Second
	}
	out := &Output{name: file, opts: o, journal: journal{tell: o.Remark}}
	fail := func(err error) (*Output, error) {
		out.release()
		return nil, fmt.Errorf("collect into %s: %w", file, err)
	}
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return fail(err)
	}
	out.frame = enc
	if o.Mask {
		out.masker = dataset.NewMasker() // knows no machine: it masks everything else
	}
	if out.lock, err = lockFile(file + positionSuffix + ".lock"); err != nil {
		return fail(err)
	}
	out.pos = position{Version: positionVersion, Source: source, Masked: o.Mask, First: 1, File: 1}
	switch text, err := os.ReadFile(out.positionFile()); {
	case errors.Is(err, fs.ErrNotExist):
		for _, name := range []string{out.path(1), file} {
			if _, err := os.Lstat(name); err == nil {
				return fail(fmt.Errorf("%s is there already, without %s to go on from: choose another name or move it away", name, out.positionFile()))
			}
		}
		if err := out.savePosition(); err != nil {
			return fail(err)
		}
	case err != nil:
		return fail(err)
	default:
		if err := out.resume(text, source); err != nil {
			return fail(err)
		}
	}
	if err := out.openFile(); err != nil {
		return fail(err)
	}
	return out, nil
}

// resume takes up the position of an earlier run.
func (o *Output) resume(text []byte, source string) error {
	var p position
	if err := json.Unmarshal(text, &p, json.RejectUnknownMembers(true)); err != nil {
		return fmt.Errorf("position file %s: %w: it is damaged; move it and the corpus away to begin anew", o.positionFile(), err)
	}
	switch {
	case p.Version != positionVersion:
		return fmt.Errorf("position file %s is of version %d, this program knows %d", o.positionFile(), p.Version, positionVersion)
	case p.Source != source:
		return fmt.Errorf("it is a collection of %q, not of %q: choose another file", p.Source, source)
	case p.Masked != o.opts.Mask:
		return fmt.Errorf("it was begun with masking %v: go on with it so, or choose another file", p.Masked)
	case p.First < 1 || p.File < p.First || p.Size < 0:
		return fmt.Errorf("position file %s is damaged: move it and the corpus away to begin anew", o.positionFile())
	}
	o.pos = p
	o.stats.Resuming = true
	if p.Naming {
		return o.nameFinished()
	}
	return nil
}

// path is the name of a file of the corpus while it is being written.
func (o *Output) path(number int) string {
	if o.opts.Mask {
		return o.finished(number) + partSuffix
	}
	return o.finished(number)
}

// finished is the name of a finished file.
func (o *Output) finished(number int) string {
	if number == 1 {
		return o.name
	}
	const ext = ".jsonl.zst"
	stem, had := strings.CutSuffix(o.name, ext)
	if !had {
		return fmt.Sprintf("%s.%d", o.name, number)
	}
	return fmt.Sprintf("%s.%d%s", stem, number, ext)
}

func (o *Output) positionFile() string { return o.name + positionSuffix }

// openFile opens the file being written and cuts off what stands behind the last commit.
func (o *Output) openFile() error {
	name := o.path(o.pos.File)
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600) // an audit log holds secrets
	if err != nil {
		return err
	}
	o.file, o.written = f, o.pos.Size
	info, err := f.Stat()
	if err != nil {
		return err
	}
	switch size := info.Size(); {
	case size < o.pos.Size:
		return fmt.Errorf("%s has %d bytes, but %s counts on %d: it was changed by someone else; move both away to begin anew", name, size, o.positionFile(), o.pos.Size)
	case size > o.pos.Size:
		o.remark(outputCut, fmt.Sprintf("%d bytes of %s, which are gathered again", size-o.pos.Size, name))
		if err := f.Truncate(o.pos.Size); err != nil {
			return err
		}
	}
	if _, err := f.Seek(o.pos.Size, 0); err != nil {
		return err
	}
	o.stats.Written = append(o.stats.Written, o.finished(o.pos.File))
	return syncFolder(filepath.Dir(name))
}

// write appends one line, without its newline, to be committed later.
func (o *Output) write(line []byte) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.last = time.Now()
	if o.masker != nil {
		masked, err := o.masker.Mask(line)
		if err != nil {
			o.stats.LeftOut++
			o.remark(lineNotJSON, fmt.Sprintf("%d bytes left out", len(line)))
			return nil
		}
		line = masked
	}
	if !o.open {
		o.frame.Reset(o.file)
		o.open = true
	}
	if _, err := o.frame.Write(line); err != nil {
		return o.failed(err)
	}
	if _, err := o.frame.Write([]byte{'\n'}); err != nil {
		return o.failed(err)
	}
	o.pos.Lines++
	o.stats.Lines++
	o.stats.Bytes += int64(len(line)) + 1
	o.changed = true
	return nil
}

func (o *Output) failed(err error) error {
	return fmt.Errorf("write corpus %s: %w", o.path(o.pos.File), err)
}

// leaveOut counts a line that is not written.
func (o *Output) leaveOut() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.stats.LeftOut++
}

// began counts a log file or a batch.
func (o *Output) began() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.stats.Files++
}

// commit makes everything written durable, together with what set changes in the position.
func (o *Output) commit(set func(*position)) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	set(&o.pos)
	if o.open {
		o.open = false
		if err := o.frame.Close(); err != nil {
			return o.failed(err)
		}
		if err := o.file.Sync(); err != nil {
			return o.failed(err)
		}
		size, err := o.file.Seek(0, 1)
		if err != nil {
			return o.failed(err)
		}
		o.pos.Size = size
	}
	if err := o.savePosition(); err != nil {
		return err
	}
	o.changed = false
	if o.opts.MaxSize > 0 && o.pos.Size >= o.opts.MaxSize {
		return o.nextFile()
	}
	return nil
}

// nextFile begins a further file. The position names it before it is there: it then counts as empty.
func (o *Output) nextFile() error {
	if err := o.file.Close(); err != nil {
		return o.failed(err)
	}
	o.pos.File, o.pos.Size = o.pos.File+1, 0
	if err := o.savePosition(); err != nil {
		return err
	}
	return o.openFile()
}

func (o *Output) savePosition() error {
	text, err := json.Marshal(&o.pos, json.Deterministic(true), jsontext.WithIndent(" "))
	if err == nil {
		err = replaceFile(o.positionFile(), append(text, '\n'))
	}
	if err != nil {
		return fmt.Errorf("write position %s: %w", o.positionFile(), err)
	}
	return nil
}

// cursor is the place in a followed log, nil at the very start.
func (o *Output) cursor() *cursor {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.pos.Follow
}

// batches are the digests of the webhook's last batches.
func (o *Output) batches() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.pos.Batches
}

// Stats says what was done so far.
func (o *Output) Stats() Stats {
	remarks := o.list()
	o.mu.Lock()
	defer o.mu.Unlock()
	s := o.stats
	s.Last, s.Remarks = o.last, remarks
	s.Written = append([]string(nil), s.Written...)
	return s
}

// Close ends the corpus; with Mask it masks the names of machines and gives the files their names.
// What was not committed is not part of it. A corpus that was closed can be opened again to go on.
func (o *Output) Close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	defer o.release()
	if err := o.file.Close(); err != nil {
		return o.failed(err)
	}
	// Lines without a commit are not part of the corpus, and without one there is no file either.
	last := o.path(o.pos.File)
	if o.pos.Size == 0 {
		o.stats.Written = o.stats.Written[:len(o.stats.Written)-1]
		if err := os.Remove(last); err != nil {
			return o.failed(err)
		}
	} else if err := os.Truncate(last, o.pos.Size); err != nil {
		return o.failed(err)
	}
	if o.opts.Mask {
		return o.finish()
	}
	return nil
}

// release lets go of everything without finishing it.
func (o *Output) release() {
	if o.file != nil {
		o.file.Close()
	}
	if o.lock != nil {
		unlockFile(o.lock)
		o.lock = nil
	}
}

// replaceFile writes a file so that a reader finds the old one or the new one, whole.
func replaceFile(name string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // fails after the rename, as it should
	_, err = bytes.NewReader(text).WriteTo(f)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), name); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(name))
}

// syncFolder makes names in a folder durable. Not every system can.
func syncFolder(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	_ = d.Sync()
	return d.Close()
}
