package collect

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// receiver is a webhook with its server; stop ends both and tells what Run returned.
func receiver(t *testing.T, file string, o WebhookOptions) (w *Webhook, url string, stop func() error) {
	t.Helper()
	out, err := OpenOutput(file, "webhook", OutputOptions{})
	if err != nil {
		t.Fatal(err)
	}
	w = NewWebhook(out, o)
	server := httptest.NewServer(w)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	return w, server.URL, func() error {
		server.Close()
		cancel()
		err := <-done
		if err == nil {
			err = out.Close()
		} else {
			out.release()
		}
		return err
	}
}

func post(t *testing.T, url, body string) int {
	t.Helper()
	r, err := http.Post(url, "application/json", strings.NewReader(body))
	if err != nil {
		t.Error(err)
		return 0
	}
	defer r.Body.Close()
	_, _ = io.Copy(io.Discard, r.Body)
	return r.StatusCode
}

func list(ids ...int) string {
	var items []string
	for _, id := range ids {
		items = append(items, fmt.Sprintf(`{"auditID":"%d"}`, id))
	}
	return `{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{},"items":[` + strings.Join(items, ",") + `]}`
}

func lines(t *testing.T, file string) []string {
	t.Helper()
	var got []string
	if err := eachLine(file, func(line []byte) error { got = append(got, string(line)); return nil }); err != nil {
		t.Fatal(err)
	}
	return got
}

// TestWebhookDurable: at the moment of its answer a batch is in the file, and a kill thereafter, or a
// batch that is sent again, changes nothing.
func TestWebhookDurable(t *testing.T) {
	file := filepath.Join(t.TempDir(), "c.jsonl.zst")
	_, url, stop := receiver(t, file, WebhookOptions{})
	for i := range 5 {
		if code := post(t, url, list(2*i, 2*i+1)); code != 200 {
			t.Fatalf("batch %d: code %d", i, code)
		}
		if got := lines(t, file); len(got) != 2*i+2 {
			t.Fatalf("%d lines on disk after batch %d", len(got), i)
		}
	}
	// A kill in the middle of the next batch.
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteString("\x28\xb5\x2f\xfd half a frame")
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	w, url, stop := receiver(t, file, WebhookOptions{})
	for _, batch := range []string{list(8, 9), list(10), list(10)} {
		if code := post(t, url, batch); code != 200 {
			t.Fatalf("code %d", code)
		}
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	var want []string
	for i := range 11 {
		want = append(want, fmt.Sprintf(`{"auditID":"%d"}`, i))
	}
	if got := lines(t, file); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	s := w.out.Stats()
	if !slices.Contains(s.Remarks, RemarkCount{batchRepeated, 2}) || !slices.Contains(s.Remarks, RemarkCount{outputCut, 1}) {
		t.Errorf("remarks %v", s.Remarks)
	}
}

// TestWebhookMany: senders side by side, every event once.
func TestWebhookMany(t *testing.T) {
	file := filepath.Join(t.TempDir(), "c.jsonl.zst")
	_, url, stop := receiver(t, file, WebhookOptions{MaxAtOnce: 3})
	var all sync.WaitGroup
	for i := range 40 {
		all.Go(func() {
			if code := post(t, url, list(i)); code != 200 {
				t.Errorf("batch %d: code %d", i, code)
			}
		})
	}
	all.Wait()
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	got := lines(t, file)
	slices.Sort(got)
	if got = slices.Compact(got); len(got) != 40 {
		t.Errorf("%d events of 40", len(got))
	}
}

// TestWebhookRefuses: what is no batch, too large, or cannot be written.
func TestWebhookRefuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "c.jsonl.zst")
	w, url, stop := receiver(t, file, WebhookOptions{MaxBody: 1000})
	for _, c := range []struct {
		body string
		code int
	}{
		{"", 400},
		{"{", 400},
		{`{"kind":"PodList","items":[]}`, 400},
		{`{"kind":"EventList","items":[1]}`, 400},
		{`{"kind":"EventList","items":"x"}`, 400},
		{list(slices.Repeat([]int{1}, 100)...), 413},
		{`{"kind":"EventList","items":[]}`, 200},
		{"{\"kind\":\"EventList\",\"items\":[{\n\"auditID\": \"a\",\r\n\"verb\":\"get\"}]}", 200},
		{`{"kind":"Event","auditID":"b"}`, 200},
	} {
		if code := post(t, url, c.body); code != c.code {
			t.Errorf("%.40s: code %d, want %d", c.body, code, c.code)
		}
	}
	r, err := http.Get(url)
	if err != nil || r.StatusCode != 405 {
		t.Errorf("GET: %v, %v", r, err)
	}
	r.Body.Close()

	// A disk that takes no more: the sender is told to try again, and Run ends with the reason.
	if err := w.out.file.Close(); err != nil {
		t.Fatal(err)
	}
	if code := post(t, url, list(1)); code != 503 {
		t.Errorf("a broken disk: code %d", code)
	}
	if err := stop(); err == nil {
		t.Error("Run did not fail")
	}
	if got := lines(t, file); !slices.Equal(got, []string{`{"auditID":"a","verb":"get"}`, `{"kind":"Event","auditID":"b"}`}) {
		t.Errorf("got %q", got)
	}
}

// TestWebhookBusy: who finds no place in time is told to try again.
func TestWebhookBusy(t *testing.T) {
	out, err := OpenOutput(filepath.Join(t.TempDir(), "c.jsonl.zst"), "webhook", OutputOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	w := NewWebhook(out, WebhookOptions{MaxAtOnce: 1, MaxWait: time.Millisecond}) // nobody runs Run
	ctx, cancel := context.WithCancel(context.Background())
	var first sync.WaitGroup
	first.Go(func() {
		w.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/", strings.NewReader(list(1))).WithContext(ctx))
	})
	for len(w.queue) == 0 {
		time.Sleep(time.Millisecond)
	}
	answer := httptest.NewRecorder()
	w.ServeHTTP(answer, httptest.NewRequest("POST", "/", strings.NewReader(list(2))))
	if answer.Code != 429 || answer.Header().Get("Retry-After") == "" {
		t.Errorf("code %d, headers %v", answer.Code, answer.Header())
	}
	cancel()
	first.Wait()
}

func FuzzEventLines(f *testing.F) {
	f.Add([]byte(list(1, 2)))
	f.Add([]byte(`{"kind":"Event","a":"` + "\xff" + `","a":1}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := eventLines(body)
		if err != nil {
			return
		}
		for _, line := range got {
			if bytes.ContainsAny(line, "\r\n") {
				t.Errorf("%q is not one line", line)
			}
		}
	})
}
