package device

import "golang.org/x/sys/cpu"

//go:generate go -C internal/gen run . -dir ../..

// accelerated returns the implementations in assembly that this processor (and its operating system)
// runs, fastest first.
func accelerated() []Kernels {
	var kernels []Kernels
	x := &cpu.X86
	if x.HasAVX512F && x.HasAVX512DQ && x.HasAVX512BW && x.HasAVX512VL {
		kernels = append(kernels, avx512{})
	}
	if x.HasAVX2 && x.HasFMA {
		kernels = append(kernels, avx2{})
	}
	return kernels
}

// gemmRows multiplies blocks x r rows of A by a packed panel, where r is the place of the function in
// its table.
type gemmRows func(blocks, k int, a *float32, rs, cs int, b, c *float32, ldc int, acc bool, width int)

// gemmPanels runs a matrix product by micro-kernels: kernels[r] takes r rows and panels of nr columns.
func gemmPanels(kernels []gemmRows, nr, m int, a []float32, rs, cs int, p *Packed, k0, k1 int, c []float32, ldc int, acc bool) {
	most := len(kernels) - 1
	// A few blocks of rows share a panel of B while it is in the first-level cache; more of them would
	// spread the writes of C over more pages than the processor keeps at hand.
	rows := 4 * most
	for i0 := 0; i0 < m; i0 += rows {
		n := min(rows, m-i0)
		// Spread the rows evenly over blocks: kernels of few rows wait for their own sums. The first
		// `longer` blocks have one row more.
		blocks := (n + most - 1) / most
		short, longer := n/blocks, n%blocks
		for j := 0; j < p.N; j += nr {
			panel := &p.buf[j*p.K+k0*nr]
			width := min(nr, p.N-j)
			i := i0
			if longer > 0 {
				kernels[short+1](longer, k1-k0, &a[i*rs], rs, cs, panel, &c[i*ldc+j], ldc, acc, width)
				i += longer * (short + 1)
			}
			kernels[short](blocks-longer, k1-k0, &a[i*rs], rs, cs, panel, &c[i*ldc+j], ldc, acc, width)
		}
	}
}
