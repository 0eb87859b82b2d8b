//go:build darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd

package experiments

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestLockOnUnix: a lock file that a killed process left is no obstacle, and a held lock is a reason
// to try again later.
func TestLockOnUnix(t *testing.T) {
	s := Store{Dir: t.TempDir()}
	if err := os.WriteFile(filepath.Join(s.Dir, ".lock"), []byte("1 on nowhere\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	release, err := s.lock()
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	if _, err := s.lock(); !errors.Is(err, syscall.EAGAIN) {
		t.Errorf("error %v is not EAGAIN, which the program's exit code for \"try again\" is made from", err)
	}
}
