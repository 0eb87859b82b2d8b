package store

import (
	"bytes"
	"context"
	"os/exec"
	"slices"
	"testing"
	"time"

	"k8ntext/contexts"
	"k8ntext/contexts/score"
	"k8ntext/dataset"
	"k8ntext/dataset/packed"
)

// BenchmarkStore is the table of docs/store.md: how small a log is with its contexts and index, beside
// zstd -19 --long on the raw lines where that program is installed, and how long it takes to read one context:
// the first, for which what the lines of a segment have in common is read too, and later ones.
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
	began := time.Now()
	store := write(b, packed.Options{}, func(w *packed.Writer) error {
		if _, err := w.Write(raw.Bytes()); err != nil {
			return err
		}
		return Write(w, h, list)
	})
	packing := time.Since(began)
	var light Stripped
	for _, e := range c.Events {
		light.See(e)
	}
	stripped := write(b, packed.Options{BlockLines: StrippedBlock}, func(w *packed.Writer) error {
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
	open := openStore(b, store)
	from := time.Now()
	readOne(b, open, users[0]) // and the base of its segment
	first := time.Since(from)
	for _, x := range users {
		if x.Members[0].Line > packedSegment { // the next segment's too
			readOne(b, open, x)
			break
		}
	}
	// Contexts all over the log, so that no block is known from the one before. Each is read several times and
	// the best counts: other programs use the machine too.
	took := make([]time.Duration, min(40, len(users)))
	for i := range took {
		took[i] = time.Hour
	}
	b.ResetTimer()
	for b.Loop() {
		for range 8 {
			for i := range took {
				from := time.Now()
				readOne(b, open, users[i*7919%len(users)])
				took[i] = min(took[i], time.Since(from))
			}
		}
	}
	slices.Sort(took)
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	b.ReportMetric(ms(took[len(took)/2]), "ms-median")
	b.ReportMetric(ms(took[len(took)*9/10]), "ms-90%")
	b.ReportMetric(ms(first), "ms-first")
	b.ReportMetric(float64(raw.Len()), "raw-B")
	b.ReportMetric(float64(len(store)), "store-B")
	if zstd > 0 {
		b.ReportMetric(float64(zstd), "zstd-B")
		b.ReportMetric(float64(len(store))/float64(zstd), "of-zstd")
	}
	b.ReportMetric(float64(len(stripped)), "stripped-B")
	b.ReportMetric(float64(len(stripped))*paperEvents/float64(len(c.Events)), "stripped-B/18478-events")
	b.ReportMetric(float64(len(c.Events)), "events")
	b.ReportMetric(float64(raw.Len())/1e6/packing.Seconds(), "pack-MB/s")
}

// paperEvents are in the log that the paper strips (its section 7.3).
const paperEvents = 18478

// packedSegment is how many lines have a base in common.
const packedSegment = 1 << 16

type opened struct {
	file *packed.File
	of   map[string]*Entry
}

func openStore(b *testing.B, store []byte) opened {
	f, err := packed.Open(bytes.NewReader(store), int64(len(store)))
	if err != nil {
		b.Fatal(err)
	}
	_, list, err := Read(f)
	if err != nil {
		b.Fatal(err)
	}
	o := opened{f, make(map[string]*Entry)}
	for i := range list {
		o.of[list[i].ID] = &list[i]
	}
	return o
}

// readOne reads the raw lines of one context.
func readOne(b *testing.B, o opened, c *contexts.Context) {
	e := o.of[c.ID]
	if e == nil {
		b.Fatal("no such context")
	}
	for _, m := range e.Members {
		if line, err := o.file.Line(m.Line - 1); err != nil || len(line) == 0 {
			b.Fatal(err)
		}
	}
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
