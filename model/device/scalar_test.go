package device

import (
	"math"
	"testing"
)

// TestScalarFunctions measures the elementary functions over a fine grid against float64.
func TestScalarFunctions(t *testing.T) {
	for _, f := range []struct {
		name     string
		got      func(float32) float32
		want     func(float64) float64
		low, hi  float64
		relative float64
	}{
		{"exp", exp, math.Exp, expLow, expHigh, 1.5e-7},
		{"sigmoid", sigmoid, func(x float64) float64 { return 1 / (1 + math.Exp(-x)) }, expLow, 100, 2.5e-7},
		{"tanh", tanh, math.Tanh, -50, 50, 3.5e-7},
		{"logNormaliser", func(x float32) float32 { return logNormaliser(0, x) }, math.Log, 1, 1e6, 7e-8},
	} {
		worst, at := 0.0, 0.0
		try := func(x float32) {
			got, want := float64(f.got(x)), f.want(float64(x))
			if diff := math.Abs(got - want); diff > worst*math.Abs(want) {
				worst, at = diff/math.Abs(want), float64(x)
			}
		}
		const steps = 1 << 19
		for i := range steps {
			try(float32(f.low + (f.hi-f.low)*float64(i)/steps))
		}
		for x := 1e-30; x < f.hi; x *= 1.001 { // small arguments, where tanh might cancel
			if x >= f.low {
				try(float32(x))
			}
			if -x >= f.low {
				try(float32(-x))
			}
		}
		if worst > f.relative {
			t.Errorf("%s(%g): relative error %.3g, want at most %.3g", f.name, at, worst, f.relative)
		}
		t.Logf("%s: relative error at most %.3g, at %g", f.name, worst, at)
		if v := f.got(float32(math.NaN())); v == v {
			t.Errorf("%s(NaN) = %g, want NaN", f.name, v)
		}
	}
}
