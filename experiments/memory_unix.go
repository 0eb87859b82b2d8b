//go:build darwin || linux

package experiments

import (
	"runtime"
	"syscall"
)

// peakMemoryMB is the most memory that the process has held so far; 0 if the system does not tell.
func peakMemoryMB() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	if runtime.GOOS == "darwin" { // bytes there, kibibytes elsewhere
		return float64(u.Maxrss) / (1 << 20)
	}
	return float64(u.Maxrss) / (1 << 10)
}
