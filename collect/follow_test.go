package collect

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"pgregory.net/rapid"
)

// world is a log with its writer and its rotation, and a collector that is stopped and killed.
type world struct {
	t    fataler
	log  string
	dest string

	pen   *os.File
	lines int
	maybe map[string]bool // what rotation may have lost
	must  []string        // whole lines, in order
	half  string          // the rest of a line that was begun

	follower *follower
	remarks  map[string]int
}

type fataler interface {
	Fatalf(format string, args ...any)
	Helper()
}

func newWorld(t fataler, dir string) *world {
	w := &world{t: t, log: filepath.Join(dir, "audit.log"), dest: filepath.Join(dir, "out", "c.jsonl.zst"), maybe: map[string]bool{}, remarks: map[string]int{}}
	w.check(os.Mkdir(filepath.Join(dir, "out"), 0o755))
	w.reopen()
	return w
}

func (w *world) check(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatalf("%v", err)
	}
}

// reopen makes the writer begin the file that has the log's name.
func (w *world) reopen() {
	w.end()
	if w.pen != nil {
		w.check(w.pen.Close())
	}
	var err error
	w.pen, err = os.OpenFile(w.log, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	w.check(err)
}

// next is a new line, of a length that depends on its number.
func (w *world) next() string {
	w.lines++
	return fmt.Sprintf(`{"auditID":"%06d","pad":"%s"}`, w.lines, strings.Repeat("x", w.lines*w.lines*37%700))
}

func (w *world) write() {
	w.end()
	line := w.next()
	_, err := w.pen.WriteString(line + "\n")
	w.check(err)
	w.must = append(w.must, line)
}

// begin writes the first part of a line.
func (w *world) begin() {
	w.end()
	line := w.next()
	_, err := w.pen.WriteString(line[:len(line)/2])
	w.check(err)
	w.must, w.half = append(w.must, line), line[len(line)/2:]
}

// end writes the rest of it.
func (w *world) end() {
	if w.half != "" {
		_, err := w.pen.WriteString(w.half + "\n")
		w.check(err)
		w.half = ""
	}
}

func (w *world) rotated(n int) string { return fmt.Sprintf("%s.%d", w.log, n) }

// shift makes room for audit.log.1.
func (w *world) shift() {
	for n := 30; n > 0; n-- {
		for _, ext := range compressions {
			_ = os.Rename(w.rotated(n)+ext, w.rotated(n+1)+ext)
		}
		_ = os.Rename(w.rotated(n), w.rotated(n+1))
	}
}

// rename rotates as logrotate does with create: the writer goes on in the old file until it reopens.
func (w *world) rename() {
	w.shift()
	if err := os.Rename(w.log, w.rotated(1)); err != nil {
		return
	}
	w.check(os.WriteFile(w.log, nil, 0o644))
}

// stamped rotates as the API server does: to a name with the time, and writes on in a new file.
func (w *world) stamped() {
	w.end()
	info, err := os.Stat(w.log)
	if err != nil || info.Size() == 0 {
		return
	}
	w.check(os.Rename(w.log, filepath.Join(filepath.Dir(w.log), fmt.Sprintf("audit-2026-11-22T04-16-%09d.log", w.lines))))
	w.reopen()
}

// copyTruncate rotates as logrotate does with copytruncate; what is written in between is lost unless
// the collector was there.
func (w *world) copyTruncate(between int) {
	w.reopen()
	w.shift()
	text, err := os.ReadFile(w.log)
	w.check(err)
	w.check(os.WriteFile(w.rotated(1), text, 0o644))
	for range between {
		w.write()
		w.maybe[w.must[len(w.must)-1]] = true
	}
	w.check(os.Truncate(w.log, 0))
}

// compress packs a rotated file that nobody writes.
func (w *world) compress(name, ext string) {
	text, err := os.ReadFile(name)
	if err != nil || w.writes(name) {
		return
	}
	f, err := os.Create(name + ext)
	w.check(err)
	var z io.WriteCloser = gzip.NewWriter(f)
	if ext == ".zst" {
		z, err = zstd.NewWriter(f)
		w.check(err)
	}
	_, err = z.Write(text)
	w.check(err)
	w.check(z.Close())
	w.check(f.Close())
	w.check(os.Remove(name))
}

func (w *world) writes(name string) bool {
	a, err := w.pen.Stat()
	w.check(err)
	b, err := os.Stat(name)
	return err == nil && os.SameFile(a, b)
}

// start starts the collector.
func (w *world) start(start Start) {
	if w.follower != nil {
		return
	}
	out, err := OpenOutput(w.dest, "test", OutputOptions{MaxSize: 600, Remark: func(kind, _ string) { w.remarks[kind]++ }})
	w.check(err)
	w.follower, err = newFollower(w.log, out, FollowOptions{Start: start})
	w.check(err)
}

// poll lets it take n looks.
func (w *world) poll(n int) {
	for range n {
		if w.follower != nil {
			_, err := w.follower.poll(context.Background())
			w.check(err)
		}
	}
}

func (w *world) commit() {
	if w.follower != nil {
		w.check(w.follower.commit())
	}
}

// kill ends it as a signal 9 does: the frame that was begun is on disk or not, the position is not.
func (w *world) kill(flushed bool) {
	if w.follower == nil {
		return
	}
	out := w.follower.out
	if flushed && out.open {
		w.check(out.frame.Flush())
	}
	w.follower.close()
	out.release()
	w.follower = nil
}

// killInCommit ends it between forcing the corpus to disk and replacing the position.
func (w *world) killInCommit() {
	if w.follower == nil || w.follower.out.pos.Size == 0 {
		return
	}
	before, err := os.ReadFile(w.dest + positionSuffix)
	w.check(err)
	w.commit()
	w.kill(false)
	w.check(os.WriteFile(w.dest+positionSuffix, before, 0o644))
}

func (w *world) stop() {
	if w.follower == nil {
		return
	}
	w.commit()
	w.follower.close()
	w.check(w.follower.out.Close())
	w.follower = nil
}

// finish reads everything that is left.
func (w *world) finish() {
	w.end()
	w.reopen()
	w.start(FromOldest)
	for range 200 {
		more, err := w.follower.poll(context.Background())
		w.check(err)
		if !more {
			break
		}
	}
	w.stop()
}

// collected are the lines of the corpus.
func (w *world) collected() []string {
	w.t.Helper()
	var lines []string
	for n := 1; ; n++ {
		name := (&Output{name: w.dest}).finished(n)
		if _, err := os.Stat(name); err != nil {
			return lines
		}
		w.check(eachLine(name, func(line []byte) error {
			lines = append(lines, string(line))
			return nil
		}))
	}
}

// verify compares the corpus with what was written.
func (w *world) verify() {
	w.t.Helper()
	got := w.collected()
	for i, line := range w.must {
		switch {
		case len(got) > 0 && got[0] == line:
			got = got[1:]
		case w.maybe[line]:
		default:
			next := "nothing"
			if len(got) > 0 {
				next = short(got[0])
			}
			w.t.Fatalf("line %d of %d: want %s..., got %s...; remarks %v", i+1, len(w.must), short(line), next, w.remarks)
		}
	}
	if len(got) > 0 {
		w.t.Fatalf("%d lines too many, the first %s; remarks %v", len(got), got[0], w.remarks)
	}
}

func short(line string) string { return line[:min(len(line), 20)] }

// TestFollow takes the ways of rotation one by one. In each the collector has read the first two
// lines, then does not look while things happen.
func TestFollow(t *testing.T) {
	for _, c := range []struct {
		what string
		do   func(w *world)
	}{
		{"more lines", func(w *world) { w.write() }},
		{"an unfinished line", func(w *world) { w.begin(); w.poll(3); w.end() }},
		{"renamed and begun anew", func(w *world) { w.write(); w.rename(); w.write(); w.reopen(); w.write() }},
		{"renamed, and the writer slow to follow", func(w *world) {
			w.rename()
			w.poll(3)
			w.write()
			w.poll(3)
			w.write()
			w.reopen()
			w.write()
		}},
		{"rotated by the API server", func(w *world) { w.write(); w.stamped(); w.write() }},
		{"rotated twice between looks", func(w *world) { w.write(); w.stamped(); w.write(); w.stamped(); w.write() }},
		{"rotated and compressed", func(w *world) { w.write(); w.rename(); w.reopen(); w.compress(w.rotated(1), ".gz"); w.write() }},
		{"rotated three times and compressed, collector down", func(w *world) {
			w.kill(false)
			for range 3 {
				w.write()
				w.rename()
				w.reopen()
				w.compress(w.rotated(1), ".zst")
			}
			w.write()
		}},
		{"copied and truncated", func(w *world) { w.write(); w.copyTruncate(0); w.write() }},
		{"copied and truncated twice", func(w *world) { w.write(); w.copyTruncate(0); w.write(); w.copyTruncate(0); w.write() }},
		{"copied, truncated, grown beyond", func(w *world) {
			w.copyTruncate(0)
			for range 20 {
				w.write()
			}
		}},
		{"copied and truncated, collector down", func(w *world) { w.kill(true); w.write(); w.copyTruncate(0); w.write() }},
		{"copied and truncated between look and read", func(w *world) {
			w.copyTruncate(0)
			w.poll(4)
			w.write()
			w.poll(1) // leaves the copy
			_, err := w.follower.look()
			w.check(err)
			w.copyTruncate(0)
			w.write()
			_, err = w.follower.read()
			w.check(err)
		}},
		{"lost between copy and truncation", func(w *world) { w.copyTruncate(3); w.write() }},
		{"truncated while the writer keeps its place", func(w *world) {
			w.check(w.pen.Close())
			var err error
			w.pen, err = os.OpenFile(w.log, os.O_WRONLY, 0o644) // as lumberjack opens a new file
			w.check(err)
			_, err = w.pen.Seek(0, io.SeekEnd)
			w.check(err)
			w.write()
			text, err := os.ReadFile(w.log)
			w.check(err)
			w.check(os.WriteFile(w.rotated(1), text, 0o644))
			w.check(os.Truncate(w.log, 0))
			w.write()
			w.poll(5)
			w.write()
		}},
		{"killed without a commit", func(w *world) { w.write(); w.poll(1); w.kill(true); w.write() }},
		{"killed in a commit", func(w *world) { w.write(); w.poll(1); w.killInCommit(); w.write() }},
		{"the log gone for a while", func(w *world) { w.write(); w.check(os.Remove(w.log)); w.poll(2); w.reopen(); w.write() }},
	} {
		t.Run(c.what, func(t *testing.T) {
			w := newWorld(t, t.TempDir())
			w.write()
			w.write()
			w.start(FromLog)
			w.poll(4)
			w.commit()
			c.do(w)
			w.finish()
			w.verify()
		})
	}
}

// TestFollowProperty: whatever a writer, rotation and the collector's own end do, every line is there
// once and in order, unless copytruncate lost it.
func TestFollowProperty(t *testing.T) {
	root := t.TempDir()
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		dir := filepath.Join(root, fmt.Sprint(n))
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		w := newWorld(t, dir)
		w.start(FromOldest)
		style := rapid.SampledFrom([]string{"rename", "stamped", "copytruncate"}).Draw(t, "style")
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			switch rapid.SampledFrom([]string{"write", "write", "write", "begin", "rotate", "rotate", "reopen", "compress", "poll", "poll", "poll", "commit", "kill", "kill in commit", "stop", "start", "start"}).Draw(t, "step") {
			case "write":
				w.write()
			case "begin":
				w.begin()
			case "rotate":
				switch style {
				case "rename":
					w.rename()
				case "stamped":
					w.stamped()
				default:
					w.copyTruncate(rapid.IntRange(0, 2).Draw(t, "lost"))
				}
			case "reopen":
				w.reopen()
			case "compress":
				w.compress(w.rotated(rapid.IntRange(1, 3).Draw(t, "number")), rapid.SampledFrom([]string{".gz", ".zst"}).Draw(t, "ending"))
			case "poll":
				w.poll(rapid.IntRange(1, 4).Draw(t, "looks"))
			case "commit":
				w.commit()
			case "kill":
				w.kill(rapid.Bool().Draw(t, "flushed"))
			case "kill in commit":
				w.killInCommit()
			case "stop":
				w.stop()
			case "start":
				w.start(FromOldest)
			}
		}
		w.finish()
		w.verify()
	})
}

// TestRemarks: what cannot be mended is said, and counted.
func TestRemarks(t *testing.T) {
	for _, c := range []struct {
		what, want string
		do         func(w *world)
	}{
		{"truncated without a copy", logTruncated, func(w *world) { w.check(os.Truncate(w.log, 0)); w.write() }},
		{"deleted while the collector was down", logLost, func(w *world) {
			w.kill(false)
			w.stamped()
			files, err := filepath.Glob(filepath.Join(filepath.Dir(w.log), "audit-*"))
			w.check(err)
			w.check(os.Remove(files[0]))
			w.write()
			w.stamped()
			w.write()
		}},
		{"not there", logMissing, func(w *world) { w.check(os.Remove(w.log)); w.poll(3); w.reopen() }},
		{"rotated twice between looks", logsCaughtUp, func(w *world) { w.stamped(); w.write(); w.stamped(); w.write() }},
		{"compressed by something else", logUnreadable, func(w *world) {
			w.check(os.WriteFile(w.rotated(1)+".xz", []byte("\xfd7zXZ\x00..."), 0o644))
			w.stamped()
			w.write()
		}},
		{"a compressed file that is cut", logUnreadable, func(w *world) {
			w.kill(false)
			w.rename()
			w.reopen()
			w.compress(w.rotated(1), ".gz")
			info, err := os.Stat(w.rotated(1) + ".gz")
			w.check(err)
			w.check(os.Truncate(w.rotated(1)+".gz", info.Size()-9))
			w.write()
		}},
		{"a torn line", lineTorn, func(w *world) {
			_, err := w.pen.WriteString(`{"torn`)
			w.check(err)
			w.must = append(w.must, `{"torn`)
			w.stamped()
			w.write()
		}},
	} {
		t.Run(c.what, func(t *testing.T) {
			w := newWorld(t, t.TempDir())
			w.write()
			w.write()
			w.start(FromLog)
			w.poll(4)
			w.commit()
			c.do(w)
			w.finish()
			if w.remarks[c.want] != 1 {
				t.Errorf("remarks %v: want %q once", w.remarks, c.want)
			}
			w.verify()
		})
	}
}

// TestStalled: a log that stops growing is said once, and again when it stops again.
func TestStalled(t *testing.T) {
	w := newWorld(t, t.TempDir())
	w.write()
	w.start(FromLog)
	w.follower.opts.Stall = time.Nanosecond
	w.poll(3)
	w.follower.checkGrowth()
	w.follower.checkGrowth()
	if w.remarks[logStalled] != 1 {
		t.Errorf("remarks %v", w.remarks)
	}
	w.write()
	w.poll(3)
	w.follower.checkGrowth()
	if w.remarks[logStalled] != 2 {
		t.Errorf("remarks %v", w.remarks)
	}
	w.kill(false)
}

// TestStart: where a first collection begins.
func TestStart(t *testing.T) {
	for start, want := range map[Start]int{FromLog: 2, FromOldest: 3, FromEnd: 1} {
		w := newWorld(t, t.TempDir())
		w.write()
		w.stamped()
		w.write()
		w.start(start)
		w.commit()
		w.stop() // a start is remembered
		w.write()
		w.start(start)
		w.finish()
		if got := w.collected(); len(got) != want {
			t.Errorf("start %q: %d lines, want %d", start, len(got), want)
		}
	}
}

// TestLongLine: a line beyond the limit is left out wherever it is cut, also by a restart.
func TestLongLine(t *testing.T) {
	w := newWorld(t, t.TempDir())
	w.write()
	w.start(FromLog)
	w.follower.opts.MaxLine = 2000
	w.poll(2)
	for range 5 {
		_, err := w.pen.WriteString(strings.Repeat("y", 1500))
		w.check(err)
		w.poll(2)
	}
	w.commit()
	w.kill(false)
	_, err := w.pen.WriteString(strings.Repeat("z", 5000) + "\n")
	w.check(err)
	w.write()
	w.finish()
	w.verify()
	if w.remarks[lineTooLong] != 1 {
		t.Errorf("remarks %v", w.remarks)
	}
}

// TestFollowRuns drives the loop itself: notices or looks, a commit at the end, and going on.
func TestFollowRuns(t *testing.T) {
	w := newWorld(t, t.TempDir())
	w.write()
	out, err := OpenOutput(w.dest, "test", OutputOptions{})
	w.check(err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- Follow(ctx, w.log, out, FollowOptions{Start: FromOldest, Look: time.Millisecond}) }()
	for i := range 3 {
		w.write()
		w.stamped()
		for tries := 0; out.Stats().Lines < int64(i+2); tries++ {
			if tries == 5000 {
				t.Fatalf("stats %+v", out.Stats())
			}
			time.Sleep(time.Millisecond)
		}
	}
	cancel()
	w.check(<-done)
	w.check(out.Close())
	w.verify()

	w.write()
	out, err = OpenOutput(w.dest, "test", OutputOptions{})
	w.check(err)
	w.check(Follow(context.Background(), w.log, out, FollowOptions{Once: true}))
	w.check(out.Close())
	w.verify()
	if s := out.Stats(); !s.Resuming || s.Lines != 1 {
		t.Errorf("stats %+v", s)
	}
}
