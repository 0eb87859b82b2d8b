//go:build !(darwin || linux)

package experiments

// peakMemoryMB is not known here.
func peakMemoryMB() float64 { return 0 }
