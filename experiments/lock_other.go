//go:build !(darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd)

package experiments

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// lockFile makes the file, which must not be there. A process that is killed leaves it behind. A shared
// lock is none here: workers of single trials keep off one another by the locks of their trials alone.
func lockFile(path string, shared bool) (release func(), err error) {
	if shared {
		return func() {}, nil
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("%w: %w", errLocked, err)
	}
	if err != nil {
		return nil, err
	}
	_, err = f.WriteString(holder())
	if err := errors.Join(err, f.Close()); err != nil {
		os.Remove(path)
		return nil, err
	}
	return func() { os.Remove(path) }, nil
}

func lockRemedy(path string) string {
	return fmt.Sprintf(", or delete %s if no such process is running", path)
}
