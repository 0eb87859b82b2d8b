package device

// avx2 is the implementation in AVX2 assembly, with FMA.
type avx2 struct{}

func (avx2) Name() string { return "avx2" }

// avx2Panel is the width of a packed panel: two registers.
const avx2Panel = 16

var avx2Gemm = []gemmRows{nil, avx2Gemm1, avx2Gemm2, avx2Gemm3, avx2Gemm4, avx2Gemm5, avx2Gemm6}

func (avx2) Pack(p *Packed, k, n int, b []float32, rs, cs int) {
	if !p.resize(avx2Panel, k, n) {
		return
	}
	if cs == 1 {
		avx2PackRows(k, n, &b[0], rs, &p.buf[0], k*avx2Panel)
		return
	}
	k0, n0 := 0, 0 // packed by blocks; the rest one by one
	if rs == 1 && k >= 8 {
		k0, n0 = k&^7, n&^7
	}
	for j := 0; j < n0; j += 8 {
		avx2PackColumns(k0/8, &b[j*cs], cs, &p.buf[p.at(0, j)], avx2Panel)
	}
	p.packRest(k0, n0, b, rs, cs)
}

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

func (avx2) Softmax(rows, n int, x, p, logZ []float32) {
	var sums [64]float32
	for r := 0; r < rows; r += len(sums) {
		block := min(len(sums), rows-r)
		logZ := logZ[r : r+block]
		avx2Softmax(block, n, &x[r*n], &p[r*n], &logZ[0], &sums[0])
		for i, top := range logZ {
			logZ[i] = logNormaliser(top, sums[i])
		}
	}
}

func (avx2) AddBiasReLU(rows, n int, y, bias []float32) {
	avx2AddBiasReLU(rows, n, &y[0], &bias[0])
}

func (avx2) ReLUBackward(rows, n int, y, dy, dz, dBias []float32) {
	for r := 0; r < rows; r += sumBlock {
		block := min(sumBlock, rows-r)
		avx2ReLUMask(block*n, &y[r*n], &dy[r*n], &dz[r*n])
		avx2ColumnSums(block, n, &dz[r*n], &dBias[0])
	}
}

func (avx2) ColumnSums(rows, n int, x, q, sum, dot []float32) {
	for r := 0; r < rows; r += sumBlock {
		block := min(sumBlock, rows-r)
		if q == nil {
			avx2ColumnSums(block, n, &x[r*n], &sum[0])
		} else {
			avx2ColumnDots(block, n, &x[r*n], &q[r*n], &sum[0], &dot[0])
		}
	}
}

func (avx2) Affine(rows, n int, x, a, b, y []float32) {
	avx2Affine(rows, n, &x[0], &a[0], &b[0], &y[0])
}

func (avx2) Affine2(rows, n int, x, y, a, b, c, z []float32) {
	avx2Affine2(rows, n, &x[0], &y[0], &a[0], &b[0], &c[0], &z[0])
}

func (avx2) Mul(x, y, z []float32) { avx2Mul(len(z), &x[0], &y[0], &z[0]) }

func (avx2) Add(x, y, z []float32) { avx2Add(len(z), &x[0], &y[0], &z[0]) }

func (avx2) Gather(rows, f, d int, ids []int32, table, y []float32) {
	avx2Gather(rows, f, d, &ids[0], &table[0], &y[0])
}

func (avx2) Scatter(rows, f, d int, ids []int32, dy, dTable []float32) {
	avx2Scatter(rows, f, d, &ids[0], &dy[0], &dTable[0])
}

func (avx2) Adam(w, g, m, v []float32, step, scale, b1, b2, eps float32) {
	avx2Adam(len(w), &w[0], &g[0], &m[0], &v[0], step, scale, b1, 1-b1, b2, 1-b2, eps)
}
