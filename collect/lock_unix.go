//go:build darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd

package collect

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// lockFile keeps a second collector off. The system gives the lock back when the process ends,
// however it does; the file stays, for removing it would race with the next one's lock.
func lockFile(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		f.Close()
		return nil, fmt.Errorf("another collector writes it: wait for its end or choose another file: %w", err)
	}
	return f, nil // a file system without locks gives no protection
}

func unlockFile(f *os.File) { f.Close() }
