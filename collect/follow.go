package collect

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/fsnotify/fsnotify"
)

// Start says where a collection that goes on from no earlier one begins.
type Start string

// The starts.
const (
	FromLog    Start = ""       // the log as it is now, from its first line
	FromOldest Start = "oldest" // its rotated files first
	FromEnd    Start = "end"    // only what comes from now on
)

// FollowOptions say how a log is followed.
type FollowOptions struct {
	Start Start
	Once  bool          // end when everything is read that is there
	Look  time.Duration // between looks if nobody gives notice of changes; 0 means one second
	Stall time.Duration // without a new line after which the log is said to have stopped growing; 0 means 5 minutes

	// MaxLine bounds a line, in bytes; 0 means 64 MiB. What is longer is left out and counted.
	MaxLine int
}

// cursor is a place in the files of a log.
type cursor struct {
	Head     fingerprint   `json:"head"`     // of the file read last; nothing: none of it was read
	Offset   int64         `json:"offset"`   // bytes of it that were dealt with, decompressed
	Skipping bool          `json:"skipping"` // they end inside a line that is too long
	Finished []fingerprint `json:"finished"` // files that are done with, the latest last
}

// maxFinished bounds the files that are remembered. The latest alone would do, but retention may
// have deleted it.
const maxFinished = 16

// Follow reads the audit log at path into out until the context ends; that is no error. Whatever it
// returns, everything written is committed, unless committing itself failed.
func Follow(ctx context.Context, path string, out *Output, o FollowOptions) error {
	if o.Look <= 0 {
		o.Look = time.Second
	}
	f, err := newFollower(path, out, o)
	if err != nil {
		return err
	}
	defer f.close()
	notice, stop := f.notices()
	defer stop()
	looks := time.NewTicker(o.Look)
	defer looks.Stop()
	committed := time.Now()
	for {
		more, err := f.poll(ctx)
		if err != nil {
			return errors.Join(err, f.commit())
		}
		if ctx.Err() != nil || o.Once && !more {
			return f.commit()
		}
		if time.Since(committed) >= out.opts.Every {
			if err := f.commit(); err != nil {
				return err
			}
			committed = time.Now()
		}
		if more {
			continue
		}
		f.checkGrowth()
		select {
		case <-ctx.Done():
		case <-looks.C:
		case <-notice:
		}
	}
}

// follower knows where reading stands. Only whole lines count as read: a line without its end is read
// again when there is more of it.
type follower struct {
	path string
	out  *Output
	opts FollowOptions

	at       cursor
	file     *os.File        // being read; nil: to be found
	stream   io.ReadCloser   // its text, if it is compressed
	hole     int64           // NULs before its text
	head     []byte          // the first bytes of its text, as far as they were dealt with
	space    []byte          // for buf
	buf      []byte          // text behind at.Offset
	moved    bool            // at is not committed
	drained  bool            // the last read came to the end of the file
	ended    bool            // the stream did, for ever
	missing  bool            // said that the log is not there
	stalled  bool            // said that it stopped growing
	refused  map[string]bool // files that were said to be unreadable
	lastLine time.Time
}

func newFollower(path string, out *Output, o FollowOptions) (*follower, error) {
	if o.MaxLine <= 0 {
		o.MaxLine = 64 << 20
	}
	if o.Stall <= 0 {
		o.Stall = 5 * time.Minute
	}
	f := &follower{path: path, out: out, opts: o, refused: make(map[string]bool), lastLine: time.Now()}
	if at := out.cursor(); at != nil {
		f.at = *at
		f.at.Finished = slices.Clone(at.Finished)
		return f, nil
	}
	return f, f.begin()
}

// begin sets the start of a new collection: what is not to be read counts as done with.
func (f *follower) begin() error {
	files, err := family(f.path)
	if err != nil {
		return err
	}
	f.moved = true
	if f.opts.Start == FromOldest {
		return nil
	}
	for _, r := range files {
		if r.path != f.path && len(r.head) > 0 {
			f.finished(fingerprintOf(r.head))
		}
	}
	if n := len(files); f.opts.Start == FromEnd && n > 0 && files[n-1].path == f.path {
		return f.toEnd(files[n-1])
	}
	return nil
}

// toEnd goes behind the last whole line of the log.
func (f *follower) toEnd(log rotated) error {
	file, err := os.Open(f.path)
	if err != nil {
		return fmt.Errorf("follow %s: %w", f.path, err)
	}
	defer file.Close()
	buf := make([]byte, chunk)
	for at := int64(0); ; {
		n, err := file.ReadAt(buf, at)
		if i := bytes.LastIndexByte(buf[:n], '\n'); i >= 0 {
			f.at.Offset = at + int64(i) + 1
		}
		at += int64(n)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("follow %s: %w", f.path, err)
		}
	}
	f.at.Head = fingerprintOf(log.dealtWith(f.at.Offset))
	return nil
}

// dealtWith is the part of the head that lies before an offset.
func (r *rotated) dealtWith(offset int64) []byte {
	return r.head[:max(0, min(int64(len(r.head)), offset-r.hole))]
}

func (f *follower) finished(p fingerprint) {
	if p.Length == 0 {
		return
	}
	f.at.Finished = append(f.at.Finished, p)
	if n := len(f.at.Finished) - maxFinished; n > 0 {
		f.at.Finished = slices.Delete(f.at.Finished, 0, n)
	}
}

// commit makes what was read durable.
func (f *follower) commit() error {
	if !f.moved {
		return nil
	}
	at := f.at
	at.Finished = slices.Clone(at.Finished)
	if err := f.out.commit(func(p *position) { p.Follow = &at }); err != nil {
		return err
	}
	f.moved = false
	return nil
}

func (f *follower) close() {
	if f.stream != nil {
		f.stream.Close()
	}
	if f.file != nil {
		f.file.Close()
	}
	f.file, f.stream = nil, nil
}

// poll reads a piece and says whether there may be more at once.
//
// A file is left for the next one only when that holds text and the file was read to its end after
// that was seen: a writer that has begun another file writes no more into the old one.
func (f *follower) poll(ctx context.Context) (more bool, err error) {
	if f.file == nil || f.drained && !f.isLog() {
		successor, err := f.look()
		if err != nil || f.file == nil {
			return false, err
		}
		if successor {
			if err := f.readToEnd(ctx); err != nil || ctx.Err() != nil || f.file == nil {
				return true, err
			}
			return true, f.leave()
		}
	}
	n, err := f.read()
	if err != nil {
		return false, err
	}
	return n || !f.drained, nil
}

// isLog tells whether the file being read still has the log's name. A file of which nothing was read
// must be looked for anew: another one may have come before it.
func (f *follower) isLog() bool {
	if len(f.head) == 0 {
		return false
	}
	now, err := os.Stat(f.path)
	if err != nil {
		return false
	}
	then, err := f.file.Stat()
	return err == nil && os.SameFile(now, then)
}

// look finds the file to read, and says whether a later one with text in it is there.
func (f *follower) look() (successor bool, err error) {
	files, err := family(f.path)
	if err != nil {
		return false, err
	}
	f.checkPresence(files)
	files = slices.DeleteFunc(files, func(r rotated) bool {
		if r.err != nil {
			f.unreadable(r)
		}
		return r.err != nil
	})

	current, known := -1, -1 // the latest file that is being read, and that is done with
	for i, r := range files {
		switch {
		case f.begunIn(r), f.holds(r):
			current = i
		case slices.ContainsFunc(f.at.Finished, func(p fingerprint) bool { return p.matches(r.head) }):
			known = i
		}
	}
	if current < 0 && f.at.Head.Length > 0 {
		switch {
		case f.file != nil: // deleted, but we hold it: the rest of it can still be read
			for _, r := range files[known+1:] {
				if len(r.head) > 0 {
					return true, nil
				}
			}
			return false, nil
		case len(files) > 0 && files[len(files)-1].path == f.path && known == len(files)-2:
			f.out.remark(logTruncated, fmt.Sprintf("%s: what stood behind byte %d is lost", f.path, f.at.Offset))
		default:
			f.out.remark(logLost, fmt.Sprintf("of the files of %s none begins like the one read last: what stood behind byte %d of that is lost", f.path, f.at.Offset))
		}
		if err := f.leave(); err != nil {
			return false, err
		}
	}
	if current < 0 || f.at.Head.Length == 0 {
		// Nothing was read of any file behind the known ones: the first with text is next. An empty
		// log is waited for.
		next := -1
		for i := known + 1; i < len(files) && next < 0; i++ {
			if len(files[i].head) > 0 || files[i].path == f.path {
				next = i
			}
		}
		if next < 0 {
			f.close()
			return false, nil
		}
		current = next
	}
	if !f.holds(files[current]) {
		if err := f.open(files[current]); err != nil {
			return false, err
		}
		if f.file == nil { // renamed since
			return false, nil
		}
		if current < len(files)-1 {
			f.out.remark(logsCaughtUp, filepath.Base(files[current].path))
		}
	}
	for _, r := range files[current+1:] {
		successor = successor || len(r.head) > 0
	}
	return successor, nil
}

// begunIn tells whether r is the file read last, or a copy that reaches as far.
func (f *follower) begunIn(r rotated) bool {
	return f.at.Head.matches(r.head) && (r.compressed || r.info.Size() >= f.at.Offset)
}

// holds tells whether r is the file that is open.
func (f *follower) holds(r rotated) bool {
	if f.file == nil || r.info == nil {
		return false
	}
	info, err := f.file.Stat()
	return err == nil && os.SameFile(info, r.info)
}

func (f *follower) unreadable(r rotated) {
	if !f.refused[r.path] {
		f.refused[r.path] = true
		f.out.remark(logUnreadable, fmt.Sprintf("%s: %v", r.path, r.err))
	}
}

// open opens a file at the place where reading stands.
func (f *follower) open(r rotated) error {
	f.close()
	file, err := os.Open(r.path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("follow %s: %w", f.path, err)
	}
	info, err := file.Stat()
	if err != nil || !os.SameFile(info, r.info) {
		file.Close()
		return nil
	}
	if f.at.Head.Length == 0 {
		f.at.Offset = 0 // nothing but NULs was read, perhaps of another file
	}
	f.file, f.buf, f.drained, f.ended = file, nil, false, false
	f.hole, f.head = min(r.hole, f.at.Offset), slices.Clone(r.dealtWith(f.at.Offset))
	if f.at.Offset == 0 {
		f.out.began()
	}
	if !r.compressed {
		return nil
	}
	if f.stream, err = decompressed(file); err == nil {
		_, err = io.CopyN(io.Discard, f.stream, f.at.Offset)
	}
	if err != nil {
		r.err = err
		f.unreadable(r)
		return f.leave()
	}
	return nil
}

// leave is done with the file being read, if there is one, or gives up the place in a lost one.
func (f *follower) leave() error {
	if f.file != nil && len(f.buf) > 0 && !f.at.Skipping {
		if err := f.torn(); err != nil {
			return err
		}
	}
	f.finished(f.at.Head)
	f.at = cursor{Finished: f.at.Finished}
	f.head, f.buf, f.drained, f.moved = nil, nil, false, true
	f.close()
	return nil
}

// torn writes a line that will get no end: what can be made of it is for the reader of the corpus.
func (f *follower) torn() error {
	line := bytes.Trim(f.buf, "\x00")
	if len(line) == 0 {
		return nil
	}
	f.out.remark(lineTorn, fmt.Sprintf("%d bytes of %s, kept", len(line), f.file.Name()))
	if f.at.Head.Length == 0 {
		f.at.Head = fingerprintOf(line)
	}
	return f.out.write(line)
}

// readToEnd reads until the file has no more, or turns out to be another.
func (f *follower) readToEnd(ctx context.Context) error {
	f.drained = false
	for ctx.Err() == nil && f.file != nil && !f.drained {
		if _, err := f.read(); err != nil {
			return err
		}
	}
	return nil
}

// chunk is how much is read at once, for a start.
const chunk = 256 << 10

// read reads a piece of the file and writes the whole lines in it; it says whether there were any.
func (f *follower) read() (lines bool, err error) {
	if f.stream != nil {
		return f.readStream()
	}
	// The unfinished line is read again: it may have been torn off, and the file begun anew.
	for size := chunk; ; size *= 2 {
		if len(f.space) < size {
			f.space = make([]byte, size)
		}
		n, err := f.file.ReadAt(f.space[:size], f.at.Offset)
		f.buf = f.space[:n]
		if err != nil && !errors.Is(err, io.EOF) {
			return false, fmt.Errorf("follow %s: read at byte %d: %w", f.path, f.at.Offset, err)
		}
		f.drained = n < size
		if f.drained || bytes.IndexByte(f.buf, '\n') >= 0 || n > f.opts.MaxLine || f.at.Skipping || f.buf[0] == 0 {
			break
		}
	}
	same, err := f.same()
	if err != nil {
		return false, err
	}
	if !same {
		// Truncated, or overwritten: the place is looked for in the copy that rotation made.
		f.close()
		f.head, f.buf, f.drained = nil, nil, false
		return true, nil
	}
	return f.take()
}

// same tells whether what was read is still the file that was begun. The check comes after the read:
// a file that was truncated before it begins otherwise now.
func (f *follower) same() (bool, error) {
	want := f.head
	if len(want) < headLength && f.hole+int64(len(want)) == f.at.Offset {
		want = append(want[:len(want):len(want)], f.buf[:min(len(f.buf), headLength-len(want))]...)
	}
	got := make([]byte, len(want))
	n, err := f.file.ReadAt(got, f.hole)
	if err != nil && !errors.Is(err, io.EOF) {
		return false, fmt.Errorf("follow %s: %w", f.path, err)
	}
	if !bytes.Equal(got[:n], want) {
		return false, nil
	}
	if len(f.head) > 0 || len(f.buf) == 0 {
		info, err := f.file.Stat()
		return err == nil && info.Size() >= f.at.Offset, err
	}
	return f.first()
}

// first tells whether a file of which nothing was dealt with yet is still the next one, now that a
// piece of it was read. If the log was copied away and truncated before that, the copy is.
func (f *follower) first() (bool, error) {
	files, err := family(f.path)
	if err != nil {
		return false, err
	}
	next := true
	for _, r := range files {
		switch {
		case f.holds(r):
			return next, nil
		case slices.ContainsFunc(f.at.Finished, func(p fingerprint) bool { return p.matches(r.head) }):
			next = true
		case len(r.head) > 0 && r.err == nil:
			next = false
		}
	}
	return true, nil // deleted, but we hold it
}

// readStream reads a piece of a compressed file, which is complete.
func (f *follower) readStream() (bool, error) {
	if f.drained = f.ended; f.ended {
		return false, nil
	}
	have := copy(f.space, f.buf)
	if len(f.space) < have+chunk {
		f.space = append(f.space[:have], make([]byte, have+chunk)...)
	}
	n, err := io.ReadFull(f.stream, f.space[have:])
	f.buf = f.space[:have+n]
	if err != nil {
		f.drained, f.ended = true, true
		// ReadFull turns the end into ErrUnexpectedEOF, as the stream itself calls a cut.
		if _, again := f.stream.Read(make([]byte, 1)); !errors.Is(again, io.EOF) {
			f.out.remark(logUnreadable, fmt.Sprintf("%s: %v: what came before is kept", f.file.Name(), again))
		}
	}
	return f.take()
}

// take writes the whole lines of the buffer and leaves the rest in it.
func (f *follower) take() (lines bool, err error) {
	for {
		// A writer that went on at its old place in a truncated file left a hole of NULs.
		if n := len(f.buf) - len(bytes.TrimLeft(f.buf, "\x00")); n > 0 && !f.at.Skipping {
			f.advance(n)
			lines = true
		}
		end := bytes.IndexByte(f.buf, '\n')
		switch {
		case end < 0 && (len(f.buf) > f.opts.MaxLine || f.at.Skipping && len(f.buf) > 0):
			f.tooLong()
			f.advance(len(f.buf))
			f.at.Skipping = true
			return true, nil
		case end < 0:
			return lines, nil
		case f.at.Skipping:
			f.at.Skipping = false
		case end > f.opts.MaxLine:
			f.tooLong()
		default:
			if line := bytes.TrimSpace(f.buf[:end]); len(line) > 0 {
				if err := f.out.write(line); err != nil {
					return lines, err
				}
			}
		}
		lines = true
		f.lastLine, f.stalled = time.Now(), false
		f.advance(end + 1)
	}
}

func (f *follower) tooLong() {
	if !f.at.Skipping {
		f.out.leaveOut()
		f.out.remark(lineTooLong, fmt.Sprintf("%s: more than %d bytes at byte %d, left out", f.path, f.opts.MaxLine, f.at.Offset))
	}
}

// advance deals with n bytes of the buffer.
func (f *follower) advance(n int) {
	text := f.buf[:n]
	if len(f.head) == 0 {
		text = bytes.TrimLeft(text, "\x00")
		f.hole += int64(n - len(text))
	}
	if len(text) > 0 && len(f.head) < headLength {
		f.head = append(f.head, text[:min(len(text), headLength-len(f.head))]...)
		f.at.Head = fingerprintOf(f.head)
	}
	f.buf = f.buf[n:]
	f.at.Offset += int64(n)
	f.moved = true
}

// checkGrowth says once that the log has stopped growing.
func (f *follower) checkGrowth() {
	if quiet := time.Since(f.lastLine); quiet >= f.opts.Stall && !f.stalled {
		f.stalled = true
		f.out.remark(logStalled, fmt.Sprintf("%s: no new line for %s: is the API server running, and does it write there?", f.path, quiet.Round(time.Second)))
	}
}

// checkPresence says once that the log has no file of its name.
func (f *follower) checkPresence(files []rotated) {
	here := len(files) > 0 && files[len(files)-1].path == f.path
	if !here && !f.missing {
		f.out.remark(logMissing, fmt.Sprintf("%s: waiting for it", f.path))
	}
	f.missing = !here
}

// notices wakes the loop when something changes in the log's folder. Where the system cannot watch
// it (a network file system, no watches left) looking now and then is enough.
func (f *follower) notices() (<-chan struct{}, func()) {
	w, err := fsnotify.NewWatcher()
	if err == nil {
		if err = w.Add(filepath.Dir(f.path)); err != nil {
			w.Close()
		}
	}
	if err != nil {
		f.out.remark(watchFailed, err.Error())
		return nil, func() {}
	}
	wake := make(chan struct{}, 1)
	go func() {
		events, errs := w.Events, w.Errors
		for {
			select {
			case _, ok := <-events:
				if !ok {
					return
				}
			case _, ok := <-errs: // an overflow is a change too
				if !ok {
					return
				}
			}
			select {
			case wake <- struct{}{}:
			default:
			}
		}
	}()
	return wake, func() { w.Close() }
}
