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

// gemmRows multiplies r rows of A by packed panels, where r is the place of the function in its table.
type gemmRows func(n, k int, a *float32, rs, cs int, b *float32, panel int, c *float32, ldc int, acc bool)

// gemmPanels runs a matrix product by micro-kernels: kernels[r] takes r rows and panels of nr columns.
func gemmPanels(kernels []gemmRows, nr, m int, a []float32, rs, cs int, p *Packed, k0, k1 int, c []float32, ldc int, acc bool) {
	most := len(kernels) - 1
	// Spread the rows evenly over the calls: kernels of few rows wait for their own sums. The first
	// `longer` calls take one row more.
	calls := (m + most - 1) / most
	short, longer := m/calls, m%calls
	i := 0
	for call := range calls {
		rows := short
		if call < longer {
			rows++
		}
		kernels[rows](p.N, k1-k0, &a[i*rs], rs, cs, &p.buf[k0*nr], p.K*nr, &c[i*ldc], ldc, acc)
		i += rows
	}
}
