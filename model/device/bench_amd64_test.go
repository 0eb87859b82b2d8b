package device

import "testing"

// BenchmarkPeak measures what the processor can do at most: independent multiply-adds in registers.
// The rates of BenchmarkGemm are to be read against it.
func BenchmarkPeak(b *testing.B) {
	const (
		n    = 1000
		sums = 12 // of the kernels
	)
	for _, k := range accelerated() {
		b.Run("kernels="+k.Name(), func(b *testing.B) {
			lanes, peak := 16, avx512Peak
			if k.Name() == "avx2" {
				lanes, peak = 8, avx2Peak
			}
			measure(b, float64(2*n*sums*lanes), "GFLOP/s", func() { peak(n) })
		})
	}
}
