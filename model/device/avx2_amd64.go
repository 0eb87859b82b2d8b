package device

// avx2 is the implementation in AVX-2 assembly.
type avx2 struct{ generic }

func (avx2) Name() string { return "avx2" }

// avx2Panel is the width of a packed panel: two registers.
const avx2Panel = 16

var avx2Gemm = []gemmRows{nil, avx2Gemm1, avx2Gemm2, avx2Gemm3, avx2Gemm4, avx2Gemm5, avx2Gemm6}

func (avx2) Pack(p *Packed, k, n int, b []float32, rs, cs int) { p.pack(avx2Panel, k, n, b, rs, cs) }

func (avx2) Gemm(m int, a []float32, rs, cs int, p *Packed, k0, k1 int, c []float32, ldc int, acc bool) {
	p.panels("avx2", avx2Panel)
	gemmPanels(avx2Gemm, avx2Panel, m, a, rs, cs, p, k0, k1, c, ldc, acc)
}

func (avx2) LSTMForward(rows, h int, z, bias, cPrev, c, tanhC, y []float32, ldy int) {
	avx2LSTMForward(rows, h, &z[0], &bias[0], &cPrev[0], &c[0], &tanhC[0], &y[0], ldy)
}

func (avx2) LSTMBackward(rows, h int, z, dy []float32, lddy int, dh, cPrev, tanhC, dc []float32) {
	avx2LSTMBackward(rows, h, &z[0], &dy[0], lddy, &dh[0], &cPrev[0], &tanhC[0], &dc[0])
}

func (avx2) Adam(w, g, m, v []float32, step, scale, b1, b2, eps float32) {
	avx2Adam(len(w), &w[0], &g[0], &m[0], &v[0], step, scale, b1, 1-b1, b2, 1-b2, eps)
}
