package rnn

import (
	"testing"
	"unsafe"

	"gorgonia.org/tensor"
)

// TestMemory takes buffers of all kinds of sizes, which must be zero, apart from one another and begin at
// cache lines.
func TestMemory(t *testing.T) {
	var m memory
	var buffers [][]float32
	for _, n := range []int{0, 1, 15, 16, 17, 1000, firstPiece, 3, firstPiece + 1, 1 << 20, 5, 5 << 20, 1} {
		b := m.floats(n)
		if len(b) != n || cap(b) != n {
			t.Fatalf("asked for %d values: length %d, capacity %d", n, len(b), cap(b))
		}
		for i, v := range b {
			if v != 0 {
				t.Fatalf("value %d of %d is %g", i, n, v)
			}
			b[i] = float32(len(buffers))
		}
		if at := uintptr(unsafe.Pointer(unsafe.SliceData(b))); at%(4*cacheLine) != 0 {
			t.Errorf("%d values begin at %#x, not at a cache line", n, at)
		}
		buffers = append(buffers, b)
	}
	for i, b := range buffers {
		for _, v := range b {
			if v != float32(i) {
				t.Fatalf("buffer %d shares memory with buffer %g", i, v)
			}
		}
	}
	value, data := m.dense(3, 4)
	if !value.Shape().Eq(tensor.Shape{3, 4}) || len(data) != 12 || &value.Float32s()[0] != &data[0] {
		t.Errorf("a tensor of shape %v over %d values", value.Shape(), len(data))
	}
}
