package experiments

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// errLocked is why a lock cannot be had.
var errLocked = errors.New("another run works on this folder")

// lock keeps other runs off the folder until release is called. Two runs would do no harm to the
// results, which are replaced whole; they would do every trial twice.
func (s Store) lock() (release func(), err error) {
	fail := func(err error) error { return fmt.Errorf("lock results folder %s: %w", s.Dir, err) }
	if err := os.MkdirAll(s.Dir, 0o755); err != nil {
		return nil, fail(err)
	}
	path := filepath.Join(s.Dir, ".lock")
	release, err = lockFile(path)
	if errors.Is(err, errLocked) {
		if text, readErr := os.ReadFile(path); readErr == nil && len(text) > 0 {
			err = fmt.Errorf("%w (process %s)", err, strings.TrimSpace(string(text[:min(len(text), 200)])))
		}
		return nil, fail(fmt.Errorf("%w: wait for it to end%s", err, lockRemedy(path)))
	}
	if err != nil {
		return nil, fail(err)
	}
	return release, nil
}

// holder says who has the lock.
func holder() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown host"
	}
	return fmt.Sprintf("%d on %s\n", os.Getpid(), host)
}
