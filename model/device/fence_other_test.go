//go:build !linux && !darwin

package device

import "testing"

// fenced returns before+n values.
func fenced(_ testing.TB, before, n int) []float32 { return make([]float32, before+n) }
