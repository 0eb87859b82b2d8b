package store

import (
	"os"
	"strings"
	"syscall"
	"testing"
)

func cpu() float64 {
	var r syscall.Rusage
	syscall.Getrusage(0, &r)
	return float64(r.Utime.Sec)*1e3 + float64(r.Utime.Usec)/1e3 + float64(r.Stime.Sec)*1e3 + float64(r.Stime.Usec)/1e3
}

func TestDecodeProbe(t *testing.T) {
	b, err := os.ReadFile(os.Getenv("PROBE"))
	if err != nil {
		t.Skip()
	}
	lines := strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
	p := &parser{shapes: shapes{}, nodes: map[uint64]*node{}}
	s := &segment{lines: lines}
	for _, l := range lines {
		s.roots = append(s.roots, p.parse(l))
	}
	size := 1024
	base := s.base(size)
	m := newModel(newEncoder())
	coded, raw := s.encode(m, base)
	at := cpu()
	d := newModel(newDecoder(coded, raw))
	for range base {
		d.line("", nil)
	}
	t.Log("base", cpu()-at)
	idx := []int{}
	for i := range size {
		idx = append(idx, 10000+i)
	}
	x := m.over(newEncoder())
	c, r := s.encode(x, idx)
	at = cpu()
	for range 40 {
		y := d.over(newDecoder(c, r))
		for range idx {
			_, root := y.line("", nil)
			_ = root.append(nil)
		}
	}
	t.Log("block", (cpu()-at)/40)
}
