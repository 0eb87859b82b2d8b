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

// TestLockOfRemovedFile: a lock on a file that its last holder has removed since keeps nobody off.
func TestLockOfRemovedFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), ".lock")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if !current(f, path) {
		t.Error("a file that is there counts as removed")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if current(f, path) {
		t.Error("a removed file counts as there")
	}
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if current(f, path) {
		t.Error("another file of the same name counts as the same")
	}
}

// TestSaveReplaces: a result is never written over, so that whoever reads the old file reads it whole.
func TestSaveReplaces(t *testing.T) {
	s := Store{Dir: t.TempDir()}
	r := &Result{Trial: Trial{ID: "0123456789abcdef"}, Error: "first"}
	if err := s.Save(r); err != nil {
		t.Fatal(err)
	}
	old := filepath.Join(s.Dir, "old")
	if err := os.Link(s.trialPath(r.Trial.ID), old); err != nil {
		t.Skip(err)
	}
	before := readFile(t, old)
	r.Error = "second"
	if err := s.Save(r); err != nil {
		t.Fatal(err)
	}
	if readFile(t, old) != before {
		t.Error("the old file was written over")
	}
	if got, err := s.Load(r.Trial.ID); err != nil || got.Error != "second" {
		t.Errorf("loaded %+v, %v", got, err)
	}
}
