package main

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"k8ntext/dataset/audit"
)

// gigabyte is how long the benchmark's log is.
const gigabyte = 1_000_000_000

// BenchmarkGigabyte rebuilds the contexts of a log of a gigabyte: base-dev again and again, each time a day
// later and with other uids. The program runs on its own, so that its memory is its own:
//
//	go test -run '^$' -bench Gigabyte -benchtime 1x ./cmd/k8ntext
func BenchmarkGigabyte(b *testing.B) {
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	log := filepath.Join(b.TempDir(), "audit.jsonl")
	if err := writeGigabyte(self, log); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(gigabyte)
	b.ResetTimer()
	var cpu time.Duration
	var peak int64
	for range b.N {
		c := exec.Command(self, "summary", "--quiet", log)
		c.Args[0] = "k8ntext" // the program, not its tests
		c.Stderr = os.Stderr
		if err := c.Run(); err != nil {
			b.Fatal(err)
		}
		cpu += c.ProcessState.UserTime() + c.ProcessState.SystemTime()
		if u, ok := c.ProcessState.SysUsage().(*syscall.Rusage); ok {
			peak = max(peak, u.Maxrss)
		}
	}
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "wall-s")
	b.ReportMetric(cpu.Seconds()/float64(b.N), "cpu-s")
	b.ReportMetric(float64(peak)/1024, "peak-MiB")
}

// writeGigabyte writes the log. It lets the program export the corpus, for what this process holds counts as
// what its children held.
func writeGigabyte(program, path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	out := bufio.NewWriterSize(f, 1<<20)
	for copied, day := 0, 0; copied < gigabyte; day++ {
		c := exec.Command(program, "corpus", "export", "base-dev")
		c.Args[0] = "k8ntext"
		c.Dir = "../.." // where the corpora are
		c.Stderr = os.Stderr
		pipe, err := c.StdoutPipe()
		if err != nil {
			return err
		}
		if err := c.Start(); err != nil {
			return err
		}
		lines := bufio.NewReaderSize(pipe, audit.DefaultMaxLine)
		for copied < gigabyte {
			line, err := lines.ReadSlice('\n')
			if err == io.EOF {
				break
			}
			if err != nil {
				return err
			}
			postpone(line, day)
			copied += len(line)
			if _, err := out.Write(line); err != nil {
				return err
			}
		}
		_, _ = io.Copy(io.Discard, pipe)
		if err := c.Wait(); err != nil {
			return err
		}
	}
	if err := out.Flush(); err != nil {
		return err
	}
	return f.Close()
}

// postpone moves every time of a line by days, and makes every uuid another.
func postpone(line []byte, days int) {
	digits := func(s []byte, hex bool) bool {
		for _, c := range s {
			if (c < '0' || c > '9') && !(hex && c >= 'a' && c <= 'f') {
				return false
			}
		}
		return true
	}
	for i := 8; i+28 <= len(line); i++ {
		switch {
		case line[i] == 'T' && i >= 10 && line[i-3] == '-' && line[i-6] == '-' && digits(line[i-10:i-6], false) && digits(line[i-2:i], false):
			if t, err := time.Parse(time.DateOnly, string(line[i-10:i])); err == nil {
				copy(line[i-10:i], t.AddDate(0, 0, days).Format(time.DateOnly))
			}
		case line[i] == '-' && line[i+5] == '-' && line[i+10] == '-' && line[i+15] == '-' && digits(line[i-8:i], true) && digits(line[i+16:i+28], true):
			const hex = "0123456789abcdef"
			c := line[i-8] - '0'
			if c > 9 {
				c = line[i-8] - 'a' + 10
			}
			line[i-8] = hex[(int(c)+days)%16]
			i += 27
		}
	}
}
