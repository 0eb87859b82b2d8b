package device

import (
	"fmt"
	"slices"
)

// checked verifies shapes once per call, so that the implementation behind it, which may be assembly,
// sees only slices that are long enough, and at least one row and one column.
type checked struct{ raw Kernels }

func (c checked) Name() string { return c.raw.Name() }

// need panics unless s holds rows vectors of n values, stride apart.
func need(kernel, slice string, s []float32, rows, n, stride int) {
	if want := (rows-1)*stride + n; len(s) < want {
		panic(fmt.Sprintf("device: %s: %s holds %d values, %d rows of %d (stride %d) need %d", kernel, slice, len(s), rows, n, stride, want))
	}
}

// shape panics if a dimension is negative and reports whether there is any element to compute.
func shape(kernel string, dims ...int) bool {
	some := true
	for _, d := range dims {
		if d < 0 {
			panic(fmt.Sprintf("device: %s: negative dimension in %d", kernel, slices.Clone(dims))) // the clone alone escapes
		}
		some = some && d > 0
	}
	return some
}

func (c checked) Pack(p *Packed, k, n int, b []float32, rs, cs int) {
	shape("Pack", rs, cs)
	if shape("Pack", k, n) {
		need("Pack", "b", b, k, (n-1)*cs+1, rs)
	}
	c.raw.Pack(p, k, n, b, rs, cs)
}

func (c checked) Gemm(m int, a []float32, rs, cs int, p *Packed, k0, k1 int, out []float32, ldc int, acc bool) {
	shape("Gemm", rs, cs)
	if !shape("Gemm", m, p.N) {
		return
	}
	if k0 < 0 || k1 < k0 || k1 > p.K {
		panic(fmt.Sprintf("device: Gemm: rows %d to %d of a packed matrix of %d rows", k0, k1, p.K))
	}
	if ldc < p.N {
		panic(fmt.Sprintf("device: Gemm: row stride %d of c is less than its %d columns", ldc, p.N))
	}
	need("Gemm", "c", out, m, p.N, ldc)
	if k0 == k1 {
		if !acc {
			for i := range m {
				clear(out[i*ldc : i*ldc+p.N])
			}
		}
		return
	}
	need("Gemm", "a", a, m, (k1-k0-1)*cs+1, rs)
	c.raw.Gemm(m, a, rs, cs, p, k0, k1, out, ldc, acc)
}

// panels panics unless p was packed by an implementation whose panels have nr columns.
func (p *Packed) panels(kernels string, nr int) {
	if p.nr != nr {
		panic(fmt.Sprintf("device: Gemm: %s kernels take panels of %d columns, this matrix was packed in panels of %d by others", kernels, nr, p.nr))
	}
}

func (c checked) LSTMForward(rows, h int, z, bias, cPrev, cell, tanhC, y []float32, ldy int) {
	if !shape("LSTMForward", rows, h) {
		return
	}
	if ldy < h {
		panic(fmt.Sprintf("device: LSTMForward: row stride %d of y is less than its %d columns", ldy, h))
	}
	need("LSTMForward", "z", z, rows, 4*h, 4*h)
	need("LSTMForward", "bias", bias, 1, 4*h, 0)
	need("LSTMForward", "cPrev", cPrev, rows, h, h)
	need("LSTMForward", "c", cell, rows, h, h)
	need("LSTMForward", "tanhC", tanhC, rows, h, h)
	need("LSTMForward", "y", y, rows, h, ldy)
	c.raw.LSTMForward(rows, h, z, bias, cPrev, cell, tanhC, y, ldy)
}

func (c checked) LSTMBackward(rows, h int, z, dy []float32, lddy int, dh, cPrev, tanhC, dc []float32) {
	shape("LSTMBackward", lddy)
	if !shape("LSTMBackward", rows, h) {
		return
	}
	need("LSTMBackward", "z", z, rows, 4*h, 4*h)
	need("LSTMBackward", "dy", dy, rows, h, lddy)
	need("LSTMBackward", "dh", dh, rows, h, h)
	need("LSTMBackward", "cPrev", cPrev, rows, h, h)
	need("LSTMBackward", "tanhC", tanhC, rows, h, h)
	need("LSTMBackward", "dc", dc, rows, h, h)
	c.raw.LSTMBackward(rows, h, z, dy, lddy, dh, cPrev, tanhC, dc)
}

func (c checked) Softmax(rows, n int, x, p, logZ []float32) {
	if !shape("Softmax", rows, n) {
		return
	}
	need("Softmax", "x", x, rows, n, n)
	need("Softmax", "p", p, rows, n, n)
	need("Softmax", "logZ", logZ, 1, rows, 0)
	c.raw.Softmax(rows, n, x, p, logZ)
}

func (c checked) AddBiasReLU(rows, n int, y, bias []float32) {
	if !shape("AddBiasReLU", rows, n) {
		return
	}
	need("AddBiasReLU", "y", y, rows, n, n)
	need("AddBiasReLU", "bias", bias, 1, n, 0)
	c.raw.AddBiasReLU(rows, n, y, bias)
}

func (c checked) ReLUBackward(rows, n int, y, dy, dz, dBias []float32) {
	if !shape("ReLUBackward", rows, n) {
		return
	}
	need("ReLUBackward", "y", y, rows, n, n)
	need("ReLUBackward", "dy", dy, rows, n, n)
	need("ReLUBackward", "dz", dz, rows, n, n)
	need("ReLUBackward", "dBias", dBias, 1, n, 0)
	c.raw.ReLUBackward(rows, n, y, dy, dz, dBias)
}

func (c checked) ColumnSums(rows, n int, x, q, sum, dot []float32) {
	if !shape("ColumnSums", rows, n) {
		return
	}
	need("ColumnSums", "x", x, rows, n, n)
	need("ColumnSums", "sum", sum, 1, n, 0)
	if q != nil {
		need("ColumnSums", "q", q, rows, n, n)
		need("ColumnSums", "dot", dot, 1, n, 0)
	}
	c.raw.ColumnSums(rows, n, x, q, sum, dot)
}

func (c checked) Affine(rows, n int, x, a, b, y []float32) {
	if !shape("Affine", rows, n) {
		return
	}
	need("Affine", "x", x, rows, n, n)
	need("Affine", "a", a, 1, n, 0)
	need("Affine", "b", b, 1, n, 0)
	need("Affine", "y", y, rows, n, n)
	c.raw.Affine(rows, n, x, a, b, y)
}

func (c checked) Affine2(rows, n int, x, y, a, b, cc, z []float32) {
	if !shape("Affine2", rows, n) {
		return
	}
	need("Affine2", "x", x, rows, n, n)
	need("Affine2", "y", y, rows, n, n)
	need("Affine2", "a", a, 1, n, 0)
	need("Affine2", "b", b, 1, n, 0)
	need("Affine2", "c", cc, 1, n, 0)
	need("Affine2", "z", z, rows, n, n)
	c.raw.Affine2(rows, n, x, y, a, b, cc, z)
}

func (c checked) Mul(x, y, z []float32) {
	if len(z) == 0 {
		return
	}
	need("Mul", "x", x, 1, len(z), 0)
	need("Mul", "y", y, 1, len(z), 0)
	c.raw.Mul(x, y, z)
}

func (c checked) Add(x, y, z []float32) {
	if len(z) == 0 {
		return
	}
	need("Add", "x", x, 1, len(z), 0)
	need("Add", "y", y, 1, len(z), 0)
	c.raw.Add(x, y, z)
}

// ids panics unless there are rows x f ids and each names one of the v rows of a table.
func ids(kernel string, rows, f, v int, ids []int32) {
	if len(ids) < rows*f {
		panic(fmt.Sprintf("device: %s: %d ids, %d rows of %d need %d", kernel, len(ids), rows, f, rows*f))
	}
	for i, id := range ids[:rows*f] {
		if uint(id) >= uint(v) {
			panic(fmt.Sprintf("device: %s: id %d of row %d, field %d is outside the table of %d rows", kernel, id, i/f, i%f, v))
		}
	}
}

func (c checked) Gather(rows, f, d int, id []int32, table, y []float32) {
	shape("Gather", rows, f, d)
	if rows == 0 || d == 0 {
		return
	}
	need("Gather", "y", y, rows, d, d)
	if f == 0 {
		clear(y[:rows*d])
		return
	}
	ids("Gather", rows, f, len(table)/d, id)
	c.raw.Gather(rows, f, d, id, table, y)
}

func (c checked) Scatter(rows, f, d int, id []int32, dy, dTable []float32) {
	if !shape("Scatter", rows, f, d) {
		return
	}
	need("Scatter", "dy", dy, rows, d, d)
	ids("Scatter", rows, f, len(dTable)/d, id)
	c.raw.Scatter(rows, f, d, id, dy, dTable)
}

func (c checked) Adam(w, g, m, v []float32, step, scale, b1, b2, eps float32) {
	if len(w) == 0 {
		return
	}
	need("Adam", "g", g, 1, len(w), 0)
	need("Adam", "m", m, 1, len(w), 0)
	need("Adam", "v", v, 1, len(w), 0)
	c.raw.Adam(w, g, m, v, step, scale, b1, b2, eps)
}
