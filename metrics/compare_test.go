package metrics

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"gonum.org/v1/gonum/stat/distuv"
	"pgregory.net/rapid"
)

// TestPaired compares with values worked out step by step, quantiles from a table.
func TestPaired(t *testing.T) {
	first := []float64{.973, .981, .990, .985, .978, .994}
	second := []float64{.975, .986, .989, .991, .985, .997}
	d := Paired(first, second, 0)
	near := func(what string, got, want float64) {
		t.Helper()
		if math.Abs(got-want) > 1e-4*max(1, math.Abs(want)) {
			t.Errorf("%s is %.6f, want %.6f", what, got, want)
		}
	}
	near("mean", d.Mean, .0036667)
	near("std", d.Std, .0029439)
	near("t", d.Mean/d.standardError(0), 3.05085)
	near("p", d.P, .028389)
	near("low", d.Low, .000577)
	near("high", d.High, .006756)
	near("detectable", d.Detectable, (2.570582+.919544)*.0029439/math.Sqrt(6))
	if !d.Beyond(false) {
		t.Error("p = .028 alone is called noise")
	}
	folds := Paired(first[:5], second[:5], .25)
	near("standard error over folds", folds.standardError(.25), folds.Std*math.Sqrt(.45))
	if folds.Beyond(false) || !folds.Enough(true) {
		t.Error("five pairs are enough over folds and too few over seeds")
	}
}

func TestPairedAtTheEdge(t *testing.T) {
	for name, test := range map[string]struct {
		first, second []float64
		p             float64
	}{
		"none":             {nil, nil, math.NaN()},
		"one pair":         {[]float64{1}, []float64{2}, math.NaN()},
		"the same":         {[]float64{1, 2, 3}, []float64{1, 2, 3}, 1},
		"no spread at all": {[]float64{1, 2, 3}, []float64{2, 3, 4}, math.NaN()},
	} {
		d := Paired(test.first, test.second, 0)
		if d.P != test.p && !(math.IsNaN(d.P) && math.IsNaN(test.p)) {
			t.Errorf("%s: P = %g, want %g", name, d.P, test.p)
		}
		if d.Beyond(true) {
			t.Errorf("%s is called an effect", name)
		}
	}
}

// TestHolm: four probabilities, in another order and with a comparison that has none.
func TestHolm(t *testing.T) {
	with := func(p float64) Difference { return Difference{N: 10, Std: 1, P: p, Adjusted: p} }
	all := []Difference{with(.04), with(.01), with(math.NaN()), with(.03), with(.02)}
	Holm(all, 0)
	for i, want := range []float64{.06, .04, math.NaN(), .06, .06} {
		if got := all[i].Adjusted; math.Abs(got-want) > 1e-12 || math.IsNaN(got) != math.IsNaN(want) {
			t.Errorf("comparison %d: adjusted %g, want %g", i, got, want)
		}
	}
	alone := with(.04)
	alone.Detectable = alone.detectable(.05, 0)
	if all[0].Detectable <= alone.Detectable {
		t.Error("a correction for four comparisons must raise the smallest difference that is found")
	}
}

// TestHolmProperties: never below P, never above 1, in the order of P, whatever the order given.
func TestHolmProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ps := rapid.SliceOfN(rapid.Float64Range(0, 1), 1, 30).Draw(t, "p")
		all := make([]Difference, len(ps))
		for i, p := range ps {
			all[i] = Difference{N: 8, Std: .1, P: p}
		}
		Holm(all, 0)
		for i, a := range all {
			if a.Adjusted < a.P || a.Adjusted > 1 {
				t.Fatalf("P %g is adjusted to %g", a.P, a.Adjusted)
			}
			for _, b := range all[i:] {
				if a.P < b.P && a.Adjusted > b.Adjusted {
					t.Fatalf("P %g and %g are adjusted to %g and %g", a.P, b.P, a.Adjusted, b.Adjusted)
				}
			}
		}
	})
}

// TestNoEffectIsSeldomCalled draws families of ten comparisons without any effect: Holm promises that at
// most one family in twenty has a false call. And a true difference of the size that Detectable names is
// found in about four of five.
func TestNoEffectIsSeldomCalled(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	normal := distuv.Normal{Mu: 0, Sigma: 1, Src: random}
	draw := func(mean float64) Difference {
		var a, b [8]float64
		for i := range a {
			a[i], b[i] = normal.Rand(), normal.Rand()+mean
		}
		return Paired(a[:], b[:], 0)
	}
	const families = 1000
	called := 0
	for range families {
		all := make([]Difference, 10)
		for i := range all {
			all[i] = draw(0)
		}
		Holm(all, 0)
		if slices.ContainsFunc(all, func(d Difference) bool { return d.Beyond(false) }) {
			called++
		}
	}
	if called > families*8/100 {
		t.Errorf("%d of %d families without an effect have one called", called, families)
	}
	found, size := 0, 0.0
	for range families {
		size += draw(0).Detectable / families
	}
	for range families {
		if d := draw(size); d.Beyond(false) {
			found++
		}
	}
	if share := float64(found) / families; share < .7 || share > .9 {
		t.Errorf("a difference of %.2f is found in %.2f of the comparisons, want about .8", size, share)
	}
}

func TestRunToRun(t *testing.T) {
	s := RunToRun([][]float64{{.98, .97, .99}, {.90}, {.95, .97}})
	if s.Settings != 2 || s.Trainings != 5 || math.Abs(s.Widest-.02) > 1e-12 {
		t.Errorf("%+v", s)
	}
	if want := math.Sqrt((2*.0001 + .0002) / 3); math.Abs(s.Std-want) > 1e-12 {
		t.Errorf("pooled deviation %g, want %g", s.Std, want)
	}
	if !(s.Low < s.Std && s.Std < s.High) {
		t.Errorf("interval %g to %g around %g", s.Low, s.High, s.Std)
	}
	if s := RunToRun([][]float64{{1}, nil}); !math.IsNaN(s.Std) {
		t.Errorf("no repetitions give %+v", s)
	}
}
