package store

import (
	"os"
	"strings"
	"testing"
	"time"
)

func TestProbe(t *testing.T) {
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
	for _, size := range []int{1024} {
		at := time.Now()
		base := s.base(size)
		m := newModel(newEncoder())
		coded, raw := s.encode(m, base)
		var bc, br, nb int
		var slow time.Duration
		var total time.Duration
		var d *model
		at2 := time.Now()
		d = newModel(newDecoder(coded, raw))
		for range base {
			d.line("", nil)
		}
		baseTook := time.Since(at2)
		for from := 0; from < len(lines); from += size {
			var idx []int
			for i := from; i < min(from+size, len(lines)); i++ {
				idx = append(idx, i)
			}
			x := m.over(newEncoder())
			c, r := s.encode(x, idx)
			bc += len(c)
			br += len(r)
			nb++
			if nb%8 == 1 {
				at := time.Now()
				y := d.over(newDecoder(c, r))
				for _, i := range idx {
					text, root := y.line("", nil)
					if root != nil {
						text = string(root.append(nil))
					}
					if text != lines[i] {
						t.Fatalf("line %d", i)
					}
				}
				slow = max(slow, time.Since(at))
				total += time.Since(at)
			}
		}
		t.Logf("block %d: base %d lines %d+%d (decoded in %v), %d blocks %d+%d, sum %d, decode max %v total %v; in %v", size, len(base), len(coded), len(raw), baseTook, nb, bc, br, bc+br+len(coded)+len(raw), slow, total, time.Since(at))
	}
}
