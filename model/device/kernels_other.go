//go:build !amd64

package device

// accelerated returns the implementations in assembly that this processor runs: there are none for this
// architecture.
func accelerated() []Kernels { return nil }
