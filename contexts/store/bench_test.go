package store

import (
	"bytes"
	"context"
	"os/exec"
	"testing"
	"time"

	"k8ntext/contexts"
	"k8ntext/contexts/score"
	"k8ntext/dataset"
	"k8ntext/dataset/packed"
)

// BenchmarkStore is the table of docs/store.md: how small a log is with its contexts and index, beside
// zstd -19 --long on the raw lines where that program is installed, and how long it takes to read one context.
//
//	go test -run '^$' -bench Store -benchtime 1x ./contexts/store
func BenchmarkStore(b *testing.B) {
	for _, name := range []string{"sequential-1.34", "base-dev", "busy-dev", "metadata-dev"} {
		b.Run(name, func(b *testing.B) { benchmarkStore(b, name) })
	}
}

func benchmarkStore(b *testing.B, name string) {
	b.Chdir("../..") // where the corpora are
	var raw bytes.Buffer
	if err := dataset.Export(b.Context(), name, &raw); err != nil {
		b.Skip(err)
	}
	c, err := dataset.Load(b.Context(), name, nil)
	if err != nil {
		b.Fatal(err)
	}
	list, _, err := score.Rebuild(b.Context(), c, contexts.Identity, nil)
	if err != nil {
		b.Fatal(err)
	}
	h := Header{Level: string(contexts.Identity), Space: c.Space.Name(), Groups: c.Space.CRDGroups(), Events: len(c.Events)}
	store := write(b, packed.Options{}, func(w *packed.Writer) error {
		if _, err := w.Write(raw.Bytes()); err != nil {
			return err
		}
		return Write(w, h, list)
	})
	var light Stripped
	for _, e := range c.Events {
		light.See(e)
	}
	stripped := write(b, packed.Options{BlockLines: 1 << 14}, func(w *packed.Writer) error {
		_, err := light.Write(w, list)
		return err
	})
	zstd := compressed(b.Context(), raw.Bytes())

	var users []*contexts.Context
	for _, x := range list {
		if x.User {
			users = append(users, x)
		}
	}
	var slowest time.Duration
	n, read := 0, 0
	b.ResetTimer()
	for b.Loop() {
		for range 100 { // some hundred contexts, each from a file that was not open
			n = (n + 7919) % len(users)
			read++
			from := time.Now()
			readOne(b, store, users[n])
			slowest = max(slowest, time.Since(from))
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/1000/float64(read), "ms/context")
	b.ReportMetric(float64(slowest.Microseconds())/1000, "ms-slowest")
	b.ReportMetric(float64(raw.Len()), "raw-B")
	b.ReportMetric(float64(len(store)), "store-B")
	if zstd > 0 {
		b.ReportMetric(float64(zstd), "zstd-B")
		b.ReportMetric(float64(len(store))/float64(zstd), "of-zstd")
	}
	b.ReportMetric(float64(len(stripped)), "stripped-B")
	b.ReportMetric(float64(len(c.Events)), "events")
}

// readOne opens a store and reads one context: the index, the contexts, and the blocks of its lines.
func readOne(b *testing.B, store []byte, want *contexts.Context) {
	f, err := packed.Open(bytes.NewReader(store), int64(len(store)))
	if err != nil {
		b.Fatal(err)
	}
	_, list, err := Read(f)
	if err != nil {
		b.Fatal(err)
	}
	for _, e := range list {
		if e.ID != want.ID {
			continue
		}
		for _, m := range e.Members {
			if line, err := f.Line(m.Line - 1); err != nil || len(line) == 0 {
				b.Fatal(err)
			}
		}
		return
	}
	b.Fatal("no such context")
}

func write(b *testing.B, o packed.Options, fill func(*packed.Writer) error) []byte {
	var out bytes.Buffer
	w := packed.NewWriter(&out, o)
	if err := fill(w); err != nil {
		b.Fatal(err)
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
	return out.Bytes()
}

// compressed is the size that zstd gives; 0: it is not installed.
func compressed(ctx context.Context, text []byte) int {
	c := exec.CommandContext(ctx, "zstd", "-19", "--long", "--stdout", "--quiet")
	c.Stdin = bytes.NewReader(text)
	out, err := c.Output()
	if err != nil {
		return 0
	}
	return len(out)
}
