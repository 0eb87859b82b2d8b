package actor

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"k8ntext/testbed/scenario"
)

// stalled is after how long without a new line the audit log counts as dead: leases alone make several a
// second.
const stalled = 45 * time.Second

// tail follows the audit log and knows when it was last written to by anything but background.
type tail struct {
	patience   time.Duration // without growth; stalled but in tests
	mu         sync.Mutex
	lines      int
	events     int // lines of the last stage
	grown      time.Time
	foreground time.Time
	namespaces map[string]time.Time // last foreground in each
	finalised  map[string]time.Time
}

func newTail() *tail {
	now := time.Now()
	return &tail{patience: stalled, grown: now, foreground: now, namespaces: map[string]time.Time{}, finalised: map[string]time.Time{}}
}

// follow reads until the context ends. An audit log that stops growing or cannot be read is an error.
func (t *tail) follow(ctx context.Context, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("follow the audit log: %w", err)
	}
	defer f.Close()
	chunk := make([]byte, 1<<20)
	var rest []byte
	tick := time.NewTicker(40 * time.Millisecond)
	defer tick.Stop()
	for {
		n, err := f.Read(chunk)
		if n > 0 {
			rest = t.take(append(rest, chunk[:n]...))
			continue
		}
		if err != nil && err != io.EOF {
			return fmt.Errorf("follow the audit log: %w", err)
		}
		t.mu.Lock()
		silent := time.Since(t.grown)
		t.mu.Unlock()
		if silent > t.patience {
			return fmt.Errorf("the audit log %s has not grown for %s: the API server is gone, or cannot write it (see its log, and the disk)", path, silent.Round(time.Second))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// take handles whole lines and returns what is left.
func (t *tail) take(data []byte) []byte {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.grown = now
	for {
		i := bytes.IndexByte(data, '\n')
		if i < 0 {
			return bytes.Clone(data)
		}
		line := data[:i]
		data = data[i+1:]
		t.lines++
		// What tells background stands before the bodies, which can be large.
		head := line[:min(len(line), 2600)]
		if bytes.Contains(head, []byte(`"stage":"ResponseComplete"`)) {
			t.events++
		}
		if background(head) {
			continue
		}
		t.foreground = now
		if ns := between(head, `"namespace":"`); ns != "" {
			t.namespaces[ns] = now
			if bytes.Contains(head, []byte(`"subresource":"finalize"`)) && bytes.Contains(head, []byte(`"stage":"ResponseComplete"`)) {
				t.finalised[ns] = now
			}
		}
	}
}

// backgroundMarks are parts of lines that nobody's action causes.
var backgroundMarks = [][]byte{
	[]byte(`"verb":"watch"`), []byte(`"resource":"leases"`), []byte(`"username":"system:apiserver"`),
	[]byte(`"requestURI":"/readyz`), []byte(`"requestURI":"/livez`), []byte(`"requestURI":"/healthz`),
	[]byte(`"requestURI":"/openapi`), []byte(`"requestURI":"/apis?`), []byte(`"requestURI":"/api?`),
	[]byte(`"username":"testbed-harness"`), []byte(`"userAgent":"testbed-harness`),
	[]byte(`"requestURI":"/api/v1/nodes?`), []byte(`"requestURI":"/metrics`), []byte(`"requestURI":"/version`),
}

func background(head []byte) bool {
	for _, m := range backgroundMarks {
		if bytes.Contains(head, m) {
			return true
		}
	}
	// A node reads itself and writes its state every few seconds.
	return bytes.Contains(head, []byte(`"username":"system:node:`)) && bytes.Contains(head, []byte(`"resource":"nodes"`))
}

func between(line []byte, before string) string {
	i := bytes.Index(line, []byte(before))
	if i < 0 {
		return ""
	}
	rest := line[i+len(before):]
	j := bytes.IndexByte(rest, '"')
	if j < 0 {
		return ""
	}
	return string(rest[:j])
}

// settle waits until the log has been quiet for long enough after an action that ended at the given time.
// It tells when that was, and whether it came to that.
func (t *tail) settle(ctx context.Context, w scenario.Wait, ended time.Time, namespace string) (time.Time, bool) {
	return t.wait(ctx, w, func() time.Time {
		last := ended
		if t.foreground.After(last) {
			last = t.foreground
		}
		if w.Gone && t.finalised[namespace].IsZero() {
			last = time.Now() // not yet
		}
		return last
	})
}

// still waits until a namespace has been quiet for long enough.
func (t *tail) still(ctx context.Context, w scenario.Wait, ended time.Time, namespace string) {
	t.wait(ctx, w, func() time.Time {
		last := ended
		if seen := t.namespaces[namespace]; seen.After(last) {
			last = seen
		}
		if w.Gone && t.finalised[namespace].IsZero() {
			last = time.Now()
		}
		return last
	})
}

func (t *tail) wait(ctx context.Context, w scenario.Wait, last func() time.Time) (time.Time, bool) {
	limit := time.Now().Add(w.Most)
	for {
		t.mu.Lock()
		quiet := time.Since(last()) >= w.Quiet
		t.mu.Unlock()
		if quiet || !time.Now().Before(limit) {
			return time.Now(), quiet
		}
		select {
		case <-ctx.Done():
			return time.Now(), false
		case <-time.After(25 * time.Millisecond):
		}
	}
}

func (t *tail) counts() (lines, events int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.lines, t.events
}
