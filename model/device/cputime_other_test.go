//go:build !linux && !darwin

package device

import "time"

var start = time.Now()

// cpuTime is the time that has passed, for want of a better clock.
func cpuTime() time.Duration { return time.Since(start) }
