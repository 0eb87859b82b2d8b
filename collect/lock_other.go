//go:build !(darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd)

package collect

import (
	"fmt"
	"os"
)

// lockFile keeps a second collector off by a file that must not be there. A killed process leaves it.
func lockFile(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("another collector writes it, or was killed: remove %s if none is running: %w", name, err)
	}
	return f, nil
}

func unlockFile(f *os.File) {
	f.Close()
	os.Remove(f.Name())
}
