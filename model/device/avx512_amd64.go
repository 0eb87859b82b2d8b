package device

// avx512 is the implementation in AVX-512 assembly.
type avx512 struct{ generic }

func (avx512) Name() string { return "avx512" }

// avx512Panel is the width of a packed panel: two registers.
const avx512Panel = 32

var avx512Gemm = []gemmRows{nil, avx512Gemm1, avx512Gemm2, avx512Gemm3, avx512Gemm4, avx512Gemm5, avx512Gemm6, avx512Gemm7, avx512Gemm8, avx512Gemm9, avx512Gemm10, avx512Gemm11, avx512Gemm12}

func (avx512) Pack(p *Packed, k, n int, b []float32, rs, cs int) {
	p.pack(avx512Panel, k, n, b, rs, cs)
}

func (avx512) Gemm(m int, a []float32, rs, cs int, p *Packed, k0, k1 int, c []float32, ldc int, acc bool) {
	p.panels("avx512", avx512Panel)
	gemmPanels(avx512Gemm, avx512Panel, m, a, rs, cs, p, k0, k1, c, ldc, acc)
}

func (avx512) LSTMForward(rows, h int, z, bias, cPrev, c, tanhC, y []float32, ldy int) {
	avx512LSTMForward(rows, h, &z[0], &bias[0], &cPrev[0], &c[0], &tanhC[0], &y[0], ldy)
}

func (avx512) LSTMBackward(rows, h int, z, dy []float32, lddy int, dh, cPrev, tanhC, dc []float32) {
	avx512LSTMBackward(rows, h, &z[0], &dy[0], lddy, &dh[0], &cPrev[0], &tanhC[0], &dc[0])
}

func (avx512) Adam(w, g, m, v []float32, step, scale, b1, b2, eps float32) {
	avx512Adam(len(w), &w[0], &g[0], &m[0], &v[0], step, scale, b1, 1-b1, b2, 1-b2, eps)
}
