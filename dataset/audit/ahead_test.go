package audit

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A line that has come is given, though the input goes on and may never say anything again.
func TestAheadHoldsNothingBack(t *testing.T) {
	in, out := io.Pipe()
	r := NewReader(in, "pipe", Options{Decoders: 2, ReorderWindow: time.Nanosecond})
	go func() {
		for i := range 3 {
			fmt.Fprintln(out, newRequest(fmt.Sprint(i), time.Duration(i)*time.Second).done())
		}
	}()
	rec, err := r.Next()
	if err != nil || rec.Event == nil || rec.Event.AuditID != "0" {
		t.Errorf("first record %+v, %v", rec, err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	out.Close()
}

// A long log in several files, with what is no line in between, is read alike by any number of decoders.
func TestAheadOfFiles(t *testing.T) {
	var files []string
	for n := range 3 {
		var text strings.Builder
		for i := range 400 {
			r := newRequest(fmt.Sprint(n, "-", i), time.Duration(3*i+n)*time.Second)
			r.body = `,"requestObject":{"text":"` + strings.Repeat("x", i*n) + `"}`
			fmt.Fprintln(&text, r.done())
			switch i % 100 {
			case 50:
				fmt.Fprintf(&text, "{\n \"items\": [\n%s,\n%s\n]}\n", whole("a"), whole("bb"))
			case 70:
				fmt.Fprintln(&text, r.done()[:100])
			case 80:
				fmt.Fprintln(&text, strings.Repeat("y", 3000))
			}
		}
		path := filepath.Join(t.TempDir(), fmt.Sprint(n))
		if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		files = append(files, path)
	}
	read := func(decoders int) result {
		r, err := Open(t.Context(), Options{Decoders: decoders, MaxLine: 2000, KeepRaw: true}, files...)
		if err != nil {
			t.Fatal(err)
		}
		return drain(t, r)
	}
	one := read(1)
	if len(one.events) < 1200 || len(one.problems) < 12 {
		t.Fatalf("%d events, %d problems", len(one.events), len(one.problems))
	}
	for _, decoders := range []int{2, 5} {
		if many := read(decoders); !reflect.DeepEqual(one, many) {
			t.Errorf("%d decoders:\n%s", decoders, cmp.Diff(one, many, cmp.AllowUnexported(result{})))
		}
	}
}

// Who gives up waiting is not kept waiting.
func TestAheadEnds(t *testing.T) {
	in, out := io.Pipe()
	defer out.Close()
	path := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(path, []byte(whole("a")), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	r, err := Open(ctx, Options{Decoders: 2}, path)
	if err != nil {
		t.Fatal(err)
	}
	r.inputs = nil // the file's; the pipe's in its place
	src := newSource("pipe", func() (io.ReadCloser, error) { return in, nil }, r.merger.opts, r.tally)
	src.decoding = newDecoding(ctx, 2)
	r.inputs.add(src)
	time.AfterFunc(10*time.Millisecond, cancel)
	if _, err := r.Next(); err == nil || !strings.Contains(err.Error(), "canceled") {
		t.Errorf("Next gives %v", err)
	}
}
