package packed

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestCurves: a probability is the one that its stretched form stands for, as far as that can tell.
func TestCurves(t *testing.T) {
	c := newCurves()
	for i := range c.stretched {
		x := int(c.stretched[i])
		if i > 0 && x < int(c.stretched[i-1]) {
			t.Fatalf("stretched[%d] is %d, less than the one before", i, x)
		}
		if x == -reach || x == reach {
			continue
		}
		if p := squash(x) >> 4; p < i || squash(x-1)>>4 > i {
			t.Errorf("%d/4096 is stretched to %d, which stands for %d/4096", i, x, p)
		}
	}
	if c.stretched[2048] != 0 {
		t.Errorf("an even chance is stretched to %d", c.stretched[2048])
	}
	for _, x := range []int{-1 << 40, -reach - 1, reach + 1, 1 << 40} {
		if p := squash(x); p < 1 || p > 1<<16-1 {
			t.Errorf("squash(%d) = %d", x, p)
		}
	}
}

// TestBlend: bits come back, whatever the probabilities are of; where one of them knows, few bytes are needed.
func TestBlend(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bits := rapid.SliceOfN(rapid.IntRange(0, 1), 0, 500).Draw(t, "bits")
		code := func(c coder) ([]int, []byte) {
			k, w, table := newCurves(), mixer{evenWeight, evenWeight, evenWeight, evenWeight}, make([]prob, 64)
			var got []int
			last := 0
			for i, b := range bits {
				last = c.blend(k, &w, &[mixed]*prob{&table[0], &table[1+i%7], &table[8+last], &table[16+i%3]}, b)
				got = append(got, last)
			}
			if c.encoding {
				c.finish()
			}
			return got, c.coded
		}
		_, coded := code(newEncoder())
		if got, _ := code(newDecoder(coded, nil)); !slices.Equal(got, bits) {
			t.Fatalf("%v became %v", bits, got)
		}
	})
	c := newEncoder()
	k, w, table := newCurves(), mixer{evenWeight, evenWeight, evenWeight, evenWeight}, make([]prob, 8)
	for i := range 8000 {
		b := i >> 1 & 1
		c.blend(k, &w, &[mixed]*prob{&table[0], &table[1], &table[2+i&3], &table[6+i&1]}, b)
	}
	if n := len(c.finish()); n > 40 {
		t.Errorf("8000 bits that one probability knows take %d bytes", n)
	}
}
