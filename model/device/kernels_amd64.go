//go:build amd64

package device

// accelerated returns the implementations in assembly that this processor runs: none yet.
func accelerated() []Kernels { return nil }
