package experiments

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"k8ntext/plots"
)

// errLocked is why a lock cannot be had.
var errLocked = errors.New("another run works on it")

// lock keeps every other run off the folder until release is called. Two runs would do no harm to the
// results, which are replaced whole; they would do every trial twice.
func (s Store) lock() (release func(), err error) {
	return s.lockFolder(false)
}

// share keeps runs of a whole sweep off the folder and lets other workers of single trials in: they
// keep each other off with lockTrial.
func (s Store) share() (release func(), err error) {
	return s.lockFolder(true)
}

func (s Store) lockFolder(shared bool) (release func(), err error) {
	release, err = lockPath(filepath.Join(s.Dir, ".lock"), shared)
	if err != nil {
		return nil, fmt.Errorf("lock results folder %s: %w", s.Dir, err)
	}
	return release, nil
}

// lockTrial keeps other workers off one trial.
func (s Store) lockTrial(id string) (release func(), err error) {
	release, err = lockPath(filepath.Join(s.Dir, trialsFolder, "."+id+".lock"), false)
	if err != nil {
		return nil, fmt.Errorf("lock trial %s in %s: %w", id, s.Dir, err)
	}
	return release, nil
}

// lockPath makes the lock's folder and takes it, or says who has it.
func lockPath(path string, shared bool) (release func(), err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	release, err = lockFile(path, shared)
	if errors.Is(err, errLocked) {
		if text, readErr := os.ReadFile(path); readErr == nil && len(text) > 0 {
			err = fmt.Errorf("%w (process %s)", err, plots.Printable(strings.TrimSpace(string(text[:min(len(text), 200)]))))
		}
		return nil, fmt.Errorf("%w: wait for it to end%s", err, lockRemedy(path))
	}
	return release, err
}

// holder says who has the lock.
func holder() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown host"
	}
	return fmt.Sprintf("%d on %s\n", os.Getpid(), host)
}
