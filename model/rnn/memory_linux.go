package rnn

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// largePage is the size of amd64's and most arm64's large pages.
const largePage = 2 << 20

// advise asks for large pages where whole ones fit into data, which is zero. A system that has none
// (errors mean no more) gives small ones.
func advise(data []float32) {
	at := uintptr(unsafe.Pointer(unsafe.SliceData(data)))
	bytes := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(data))), 4*len(data))
	from := int(-at & (largePage - 1))
	to := len(bytes) - int((at+uintptr(len(bytes)))&(largePage-1))
	if from < to {
		// Pages that the runtime used before are small ones already: collapse copies them together.
		_ = unix.Madvise(bytes[from:to], unix.MADV_HUGEPAGE)
		clear(bytes[from:to])
		_ = unix.Madvise(bytes[from:to], unix.MADV_COLLAPSE)
	}
}
