//go:build !unix

package host

import "time"

// CPUTime is 0: the system does not tell.
func CPUTime() time.Duration { return 0 }
