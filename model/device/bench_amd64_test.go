package device

import "testing"

// peak is a run of independent multiply-adds in registers, the most that the processor can do on a path,
// and the number of its operations; nil where none is known.
func peak(kernels string) (run func(), operations float64) {
	const (
		n    = 1000
		sums = 12 // of the kernels
	)
	switch kernels {
	case "avx512":
		return func() { avx512Peak(n) }, 2 * n * sums * 16
	case "avx2":
		return func() { avx2Peak(n) }, 2 * n * sums * 8
	}
	return nil, 0
}

func BenchmarkPeak(b *testing.B) {
	for _, k := range accelerated() {
		b.Run("kernels="+k.Name(), func(b *testing.B) {
			run, operations := peak(k.Name())
			measure(b, operations, "GFLOP/s", run)
		})
	}
}
