//go:build linux || darwin

package device

import (
	"syscall"
	"testing"
	"unsafe"
)

// fenced returns n values that end where the process may not read or write, after `before` values to
// check for stray writes: a kernel that reaches past its slices crashes the test.
func fenced(t testing.TB, before, n int) []float32 {
	page := syscall.Getpagesize()
	size := (4*(before+n) + page - 1) / page * page
	memory, err := syscall.Mmap(-1, 0, size+page, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Munmap(memory); err != nil {
			t.Error(err)
		}
	})
	if err := syscall.Mprotect(memory[size:], syscall.PROT_NONE); err != nil {
		t.Fatal(err)
	}
	all := unsafe.Slice((*float32)(unsafe.Pointer(&memory[0])), size/4)
	return all[len(all)-n-before:]
}
