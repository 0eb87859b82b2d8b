//go:build darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd

package experiments

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// lockFile takes an advisory lock, which the system gives back when the process ends, however it
// does. Who had it alone removes the file, so that no empty file is left beside results.
func lockFile(path string, shared bool) (release func(), err error) {
	how := syscall.LOCK_EX
	if shared {
		how = syscall.LOCK_SH
	}
	for {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
		if err != nil {
			return nil, err
		}
		switch err := syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB); {
		case errors.Is(err, syscall.EWOULDBLOCK):
			f.Close()
			return nil, fmt.Errorf("%w: %w", errLocked, err)
		case errors.Is(err, syscall.ENOSYS), errors.Is(err, syscall.ENOTSUP), errors.Is(err, syscall.ENOLCK):
			// This file system has no locks, and results are safe without.
		case err != nil:
			f.Close()
			return nil, err
		}
		if !current(f, path) { // its last holder removed it between our open and our lock
			f.Close()
			continue
		}
		if err := f.Truncate(0); err != nil {
			f.Close()
			return nil, err
		}
		if _, err := f.WriteAt([]byte(holder()), 0); err != nil {
			f.Close()
			return nil, err
		}
		return func() {
			if !shared { // others may share it still: the next run of the whole sweep removes it
				os.Remove(path)
			}
			f.Close()
		}, nil
	}
}

// current tells whether path still names the open file.
func current(f *os.File, path string) bool {
	opened, err := f.Stat()
	if err != nil {
		return false
	}
	named, err := os.Stat(path)
	return err == nil && os.SameFile(opened, named)
}

// lockRemedy is what a person can do about a lock beside waiting: nothing, the system frees it.
func lockRemedy(string) string { return "" }
