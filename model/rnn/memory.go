package rnn

import "gorgonia.org/tensor"

// memory hands out buffers from few large pieces. A step walks over some 50 MB in many buffers: in large
// pieces they can lie on large pages (advise), so that the processor looks up an address for every 2 MB
// and not for every 4 kB. A piece is freed by the garbage collector when none of its buffers is in use.
type memory struct {
	free []float32
	size int // of the last piece
}

const (
	cacheLine                = 64 / 4                     // values
	firstPiece, largestPiece = 64 << 10 / 4, 16 << 20 / 4 // values; each piece is twice the one before
)

// floats returns n zeros that begin at a cache line.
func (m *memory) floats(n int) []float32 {
	taken := (n + cacheLine - 1) / cacheLine * cacheLine
	if len(m.free) < taken {
		m.size = max(min(2*m.size, largestPiece), firstPiece)
		m.free = make([]float32, max(m.size, taken)) // large objects begin at a page
		advise(m.free)
	}
	data := m.free[:n:n]
	m.free = m.free[taken:]
	return data
}

// dense makes a tensor of zeros and returns its data too.
func (m *memory) dense(shape ...int) (*tensor.Dense, []float32) {
	data := m.floats(tensor.Shape(shape).TotalSize())
	return tensor.New(tensor.WithShape(shape...), tensor.WithBacking(data)), data
}
