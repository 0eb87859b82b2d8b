package packed

import (
	"bytes"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func cpu() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func TestZZPack(t *testing.T) {
	for _, n := range strings.Fields(os.Getenv("CO")) {
		log, err := os.ReadFile("/tmp/store5/" + n + ".raw")
		if err != nil {
			t.Skip()
		}
		c := cpu()
		var out bytes.Buffer
		bl, _ := strconv.Atoi(os.Getenv("BL"))
		w := NewWriter(&out, Options{Workers: 1, BlockLines: bl})
		w.Write(log)
		w.Close()
		file := out.Bytes()
		t.Logf("%s %d -> %d, %v cpu, %.1f MB/s", n, len(log), len(file), cpu()-c, float64(len(log))/1e6/(cpu()-c).Seconds())
		os.WriteFile("/tmp/store5/"+n+".k8nt", file, 0o644)
	}
}

func TestZZRead(t *testing.T) {
	for _, n := range strings.Fields(os.Getenv("CO")) {
		file, err := os.ReadFile("/tmp/store5/" + n + ".k8nt")
		if err != nil {
			t.Skip()
		}
		f := open(t, file)
		c := cpu()
		f.Line(0)
		t.Log(n, "first", cpu()-c)
		var took []time.Duration
		for i := range f.chunks {
			if f.chunks[i].kind != blockChunk || i%3 != 0 {
				continue
			}
			best := time.Hour
			for range 4 {
				f.block.index = -1
				s := cpu()
				if _, err := f.Line(f.chunks[i].first + 5); err != nil {
					t.Fatal(err)
				}
				best = min(best, cpu()-s)
			}
			took = append(took, best)
		}
		slices.Sort(took)
		t.Log(n, len(took), "median", took[len(took)/2], "p90", took[len(took)*9/10], "max", took[len(took)-1])
	}
}
