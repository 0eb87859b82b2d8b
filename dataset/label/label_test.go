package label

import (
	"testing"

	"pgregory.net/rapid"
)

func TestPacking(t *testing.T) {
	for _, c := range []struct {
		tuple Tuple
		want  Label
	}{
		{Tuple{Resource: 17, Verb: 2, Namespaced: true, Single: true}, 70048},
		{Tuple{}, 0},
		{Tuple{Resource: 1023, Subresource: 127, Verb: 7, Namespaced: true, Single: true}, 1<<22 - 1},
		{Tuple{Resource: 1, Subresource: 8, Verb: 3, Namespaced: true, Single: true}, 4096 + 256 + 128 + 48 + 1}, // s>>3 in the lowest bits
		{Tuple{Resource: 1, Subresource: 12}, 4096 + 4<<9 + 1},
		{Tuple{Resource: 1024}, Unknown},
		{Tuple{Resource: -1}, Unknown},
		{Tuple{Subresource: 128}, Unknown},
		{Tuple{Subresource: -1}, Unknown},
		{Tuple{Verb: 8}, Unknown},
		{Tuple{Verb: -1}, Unknown},
	} {
		got := c.tuple.Label()
		if got != c.want {
			t.Errorf("%+v packs to %d, want %d", c.tuple, got, c.want)
		}
		if c.want != Unknown && got.Tuple() != c.tuple {
			t.Errorf("%d unpacks to %+v, want %+v", got, got.Tuple(), c.tuple)
		}
	}
	for _, l := range []Label{Unknown, Ignore, -1 << 31, 1 << 22, 1<<31 - 1} {
		if l.Tuple() != (Tuple{}) {
			t.Errorf("%d is no packed label, but unpacks to %+v", l, l.Tuple())
		}
	}
}

// Every number of 22 bits is the packing of exactly one tuple.
func TestPackingIsBijective(t *testing.T) {
	for l := Label(0); l < 1<<22; l++ {
		if back := l.Tuple().Label(); back != l {
			t.Fatalf("%d unpacks to %+v, which packs to %d", l, l.Tuple(), back)
		}
	}
}

func TestComponentsRoundTrip(t *testing.T) {
	for _, s := range spaces() {
		seen := make(map[[5]int]Label)
		for _, l := range s.Labels() {
			c := s.Components(l)
			if other, ok := seen[c]; ok {
				t.Errorf("%s: %d and %d have the same components %v", s.Name(), other, l, c)
			}
			seen[c] = l
			if back := s.FromComponents(c); back != l {
				t.Errorf("%s: components %v of %d give %d", s.Name(), c, l, back)
			}
		}
		for _, l := range []Label{Unknown, Ignore, 0, 1<<22 - 1} {
			if c := s.Components(l); c != [5]int{} {
				t.Errorf("%s: components of %d are %v, want zeros", s.Name(), l, c)
			}
		}
		if l := s.FromComponents([5]int{}); l != Unknown {
			t.Errorf("%s: zeros give %d, want unknown", s.Name(), l)
		}
	}
}

// Whatever five numbers the network says, the answer is a label of the space or Unknown.
func TestFromComponentsIsTotal(t *testing.T) {
	all := spaces()
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.SampledFrom(all).Draw(t, "space")
		var c [5]int
		for i, high := range [5]int{s.M() + 1, 14, 3, 3, 7} { // the interesting values of r, s, n, u, v
			c[i] = rapid.OneOf(rapid.IntRange(-1, high), rapid.IntRange(-1, s.M())).Draw(t, "component")
		}
		l := s.FromComponents(c)
		switch {
		case l == Unknown:
		case !s.Valid(l):
			t.Fatalf("%v gives %d, no label of %s", c, l, s.Name())
		case s.Components(l) != c:
			t.Fatalf("%v gives %d, whose components are %v", c, l, s.Components(l))
		}
	})
}

// FuzzPacking: a number either is the packing of its tuple or has none.
func FuzzPacking(f *testing.F) {
	f.Add(int32(70048))
	f.Add(int32(-1))
	f.Fuzz(func(t *testing.T, n int32) {
		l := Label(n)
		if inside := n >= 0 && n < 1<<22; inside && l.Tuple().Label() != l || !inside && l.Tuple() != (Tuple{}) {
			t.Errorf("%d unpacks to %+v", n, l.Tuple())
		}
	})
}

// FuzzParse: no text is a panic, and what is understood is understood the same way again.
func FuzzParse(f *testing.F) {
	all := spaces()
	for _, s := range all {
		for i, l := range s.Labels() {
			if i%97 == 0 {
				f.Add(s.Describe(l))
			}
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, s := range all {
			l, err := s.Parse(text)
			if err != nil {
				if l != Unknown {
					t.Errorf("%s: %q fails but gives %d", s.Name(), text, l)
				}
				continue
			}
			if again, err := s.Parse(s.Describe(l)); err != nil || again != l {
				t.Errorf("%s: %q is %d, described as %q, which is %d, %v", s.Name(), text, l, s.Describe(l), again, err)
			}
		}
	})
}

// spaces are the spaces under test, the default one with foreign groups.
func spaces() []*Space {
	return []*Space{Paper(), Default(), Default("widgets.example.org", "cert-manager.io")}
}
