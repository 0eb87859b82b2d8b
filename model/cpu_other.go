//go:build !unix

package model

// cpuSeconds is 0: the system does not tell.
func cpuSeconds() float64 { return 0 }
