package device

import "math"

// generic is the portable implementation.
//
// Products are converted to float32 before they are added: the language lets a compiler fuse x*y+z,
// and on arm64 it does, which would give other bits than on amd64.
type generic struct{}

func (generic) Name() string { return "generic" }

// genericPanel is the width of a packed panel: 2 rows by 4 columns of sums stay in registers.
const genericPanel = 4

func (generic) Pack(p *Packed, k, n int, b []float32, rs, cs int) {
	if p.resize(genericPanel, k, n) {
		p.packRest(0, 0, b, rs, cs)
	}
}

// resize makes room for k rows of n values in panels of nr columns, and reports whether there are any.
func (p *Packed) resize(nr, k, n int) bool {
	size := (n + nr - 1) / nr * nr * k
	if cap(p.buf) < size {
		p.buf = make([]float32, size)
	}
	p.K, p.N, p.nr, p.buf = k, n, nr, p.buf[:size]
	return size > 0
}

// at is the place of element (i, j) in the panels.
func (p *Packed) at(i, j int) int {
	return j/p.nr*p.nr*p.K + i*p.nr + j%p.nr
}

// packRest lays out b, but for its first k0 rows of the first n0 columns, and fills the last panel with
// zeros.
func (p *Packed) packRest(k0, n0 int, b []float32, rs, cs int) {
	for j0 := 0; j0 < p.N; j0 += p.nr {
		panel := p.buf[j0*p.K : (j0+p.nr)*p.K]
		w := min(p.nr, p.N-j0)
		for i := range p.K {
			j := 0
			if i < k0 {
				j = min(max(n0-j0, 0), w)
			}
			row := panel[i*p.nr : (i+1)*p.nr]
			for from := i*rs + (j0+j)*cs; j < w; j++ {
				row[j] = b[from]
				from += cs
			}
			clear(row[w:])
		}
	}
}

func (generic) Gemm(m int, a []float32, rs, cs int, p *Packed, k0, k1 int, c []float32, ldc int, acc bool) {
	p.panels("generic", genericPanel)
	const block = 64 // rows of A that stay in the cache while the panels pass
	for i0 := 0; i0 < m; i0 += block {
		i1 := min(m, i0+block)
		for j := 0; j < p.N; j += genericPanel {
			panel := p.buf[j*p.K+k0*genericPanel : j*p.K+k1*genericPanel]
			w := min(genericPanel, p.N-j)
			i := i0
			for ; i+2 <= i1; i += 2 {
				r0, r1 := genericRows2(a[i*rs:], a[(i+1)*rs:], cs, panel)
				genericStore(c[i*ldc+j:i*ldc+j+w], &r0, acc)
				genericStore(c[(i+1)*ldc+j:(i+1)*ldc+j+w], &r1, acc)
			}
			if i < i1 {
				r := genericRows1(a[i*rs:], cs, panel)
				genericStore(c[i*ldc+j:i*ldc+j+w], &r, acc)
			}
		}
	}
}

// genericRows2 multiplies two rows of A by a panel of B.
func genericRows2(a0, a1 []float32, cs int, panel []float32) (r0, r1 [genericPanel]float32) {
	var s00, s01, s02, s03, s10, s11, s12, s13 float32
	for i := 0; len(panel) >= genericPanel; i += cs {
		x, y := a0[i], a1[i]
		b := panel[0]
		s00 += float32(x * b)
		s10 += float32(y * b)
		b = panel[1]
		s01 += float32(x * b)
		s11 += float32(y * b)
		b = panel[2]
		s02 += float32(x * b)
		s12 += float32(y * b)
		b = panel[3]
		s03 += float32(x * b)
		s13 += float32(y * b)
		panel = panel[genericPanel:]
	}
	return [...]float32{s00, s01, s02, s03}, [...]float32{s10, s11, s12, s13}
}

// genericRows1 is genericRows2 for a last odd row: the same sums in the same order.
func genericRows1(a []float32, cs int, panel []float32) [genericPanel]float32 {
	var s0, s1, s2, s3 float32
	for i := 0; len(panel) >= genericPanel; i += cs {
		x := a[i]
		s0 += float32(x * panel[0])
		s1 += float32(x * panel[1])
		s2 += float32(x * panel[2])
		s3 += float32(x * panel[3])
		panel = panel[genericPanel:]
	}
	return [...]float32{s0, s1, s2, s3}
}

func genericStore(c []float32, r *[genericPanel]float32, acc bool) {
	if acc {
		for j := range c {
			c[j] += r[j]
		}
		return
	}
	copy(c, r[:])
}

func (generic) LSTMForward(rows, h int, z, bias, cPrev, c, tanhC, y []float32, ldy int) {
	bi, bf, bg, bo := bias[:h], bias[h:2*h], bias[2*h:3*h], bias[3*h:4*h]
	for r := range rows {
		z := z[r*4*h : (r+1)*4*h]
		zi, zf, zg, zo := z[:h], z[h:2*h], z[2*h:3*h], z[3*h:]
		cPrev, c, tanhC, y := cPrev[r*h:(r+1)*h], c[r*h:(r+1)*h], tanhC[r*h:(r+1)*h], y[r*ldy:r*ldy+h]
		for j := range zi {
			i, f := sigmoid(zi[j]+bi[j]), sigmoid(zf[j]+bf[j])
			g, o := tanh(zg[j]+bg[j]), sigmoid(zo[j]+bo[j])
			zi[j], zf[j], zg[j], zo[j] = i, f, g, o
			cell := float32(f*cPrev[j]) + float32(i*g)
			t := tanh(cell)
			c[j], tanhC[j], y[j] = cell, t, o*t
		}
	}
}

func (generic) LSTMBackward(rows, h int, z, dy []float32, lddy int, dh, cPrev, tanhC, dc []float32) {
	for r := range rows {
		z := z[r*4*h : (r+1)*4*h]
		zi, zf, zg, zo := z[:h], z[h:2*h], z[2*h:3*h], z[3*h:]
		dy, dh, dc := dy[r*lddy:r*lddy+h], dh[r*h:(r+1)*h], dc[r*h:(r+1)*h]
		cPrev, tanhC := cPrev[r*h:(r+1)*h], tanhC[r*h:(r+1)*h]
		for j := range zi {
			i, f, g, o, t := zi[j], zf[j], zg[j], zo[j], tanhC[j]
			d := dy[j] + dh[j]
			cell := dc[j] + float32(float32(d*o)*(1-float32(t*t)))
			zi[j] = cell * g * i * (1 - i)
			zf[j] = cell * cPrev[j] * f * (1 - f)
			zg[j] = cell * i * (1 - float32(g*g))
			zo[j] = d * t * o * (1 - o)
			dc[j] = cell * f
		}
	}
}

func (generic) Softmax(rows, n int, x, p, logZ []float32) {
	for r := range rows {
		x, p := x[r*n:(r+1)*n], p[r*n:(r+1)*n]
		top := x[0]
		for _, v := range x {
			top = max(top, v)
		}
		var sum float32
		for j, v := range x {
			e := exp(v - top)
			p[j] = e
			sum += e
		}
		inverse := 1 / sum
		for j := range p {
			p[j] *= inverse
		}
		logZ[r] = logNormaliser(top, sum)
	}
}

func (generic) AddBiasReLU(rows, n int, y, bias []float32) {
	bias = bias[:n]
	for r := range rows {
		y := y[r*n : (r+1)*n]
		for j := range y {
			v := y[j] + bias[j]
			if v < 0 { // so written, NaN stays NaN
				v = 0
			}
			y[j] = v
		}
	}
}

func (generic) ReLUBackward(rows, n int, y, dy, dz, dBias []float32) {
	for r := range rows {
		y, dy, dz := y[r*n:(r+1)*n], dy[r*n:(r+1)*n], dz[r*n:(r+1)*n]
		for j := range dz {
			d := dy[j]
			if y[j] <= 0 {
				d = 0
			}
			dz[j] = d
		}
	}
	generic{}.ColumnSums(rows, n, dz, nil, dBias, nil)
}

// sumBlock is the number of rows that column sums take together before they are added to the rest.
const sumBlock = 128

func (generic) ColumnSums(rows, n int, x, q, sum, dot []float32) {
	const wide = 8 // columns side by side
	for r0 := 0; r0 < rows; r0 += sumBlock {
		r1 := min(rows, r0+sumBlock)
		for j0 := 0; j0 < n; j0 += wide {
			w := min(wide, n-j0)
			var s, d [wide]float32
			for r := r0; r < r1; r++ {
				x := x[r*n+j0 : r*n+j0+w]
				for j, v := range x {
					s[j] += v
				}
				if q == nil {
					continue
				}
				q := q[r*n+j0 : r*n+j0+w]
				for j, v := range x {
					d[j] += float32(v * q[j])
				}
			}
			for j := range w {
				sum[j0+j] += s[j]
				if q != nil {
					dot[j0+j] += d[j]
				}
			}
		}
	}
}

func (generic) Affine(rows, n int, x, a, b, y []float32) {
	a, b = a[:n], b[:n]
	for r := range rows {
		x, y := x[r*n:(r+1)*n], y[r*n:(r+1)*n]
		for j := range y {
			y[j] = float32(a[j]*x[j]) + b[j]
		}
	}
}

func (generic) Affine2(rows, n int, x, y, a, b, c, z []float32) {
	a, b, c = a[:n], b[:n], c[:n]
	for r := range rows {
		x, y, z := x[r*n:(r+1)*n], y[r*n:(r+1)*n], z[r*n:(r+1)*n]
		for j := range z {
			z[j] = float32(a[j]*x[j]) + (float32(b[j]*y[j]) + c[j])
		}
	}
}

func (generic) Mul(x, y, z []float32) {
	x, y = x[:len(z)], y[:len(z)]
	for i := range z {
		z[i] = x[i] * y[i]
	}
}

func (generic) Add(x, y, z []float32) {
	x, y = x[:len(z)], y[:len(z)]
	for i := range z {
		z[i] = x[i] + y[i]
	}
}

func (generic) Gather(rows, f, d int, ids []int32, table, y []float32) {
	for r := range rows {
		y := y[r*d : (r+1)*d]
		for i, id := range ids[r*f : (r+1)*f] {
			row := table[int(id)*d : (int(id)+1)*d]
			if i == 0 {
				copy(y, row)
				continue
			}
			for j, v := range row {
				y[j] += v
			}
		}
	}
}

func (generic) Scatter(rows, f, d int, ids []int32, dy, dTable []float32) {
	for r := range rows {
		dy := dy[r*d : (r+1)*d]
		for _, id := range ids[r*f : (r+1)*f] {
			row := dTable[int(id)*d : (int(id)+1)*d]
			for j, v := range dy {
				row[j] += v
			}
		}
	}
}

func (generic) Adam(w, g, m, v []float32, step, scale, b1, b2, eps float32) {
	g, m, v = g[:len(w)], m[:len(w)], v[:len(w)]
	c1, c2 := 1-b1, 1-b2
	for i := range w {
		d := g[i]
		first := flush(float32(b1*m[i]) + float32(c1*d))
		second := flush(float32(b2*v[i]) + float32(c2*float32(d*d)))
		m[i], v[i] = first, second
		root := float32(math.Sqrt(float64(second)))
		w[i] -= float32(step*first) / (float32(root*scale) + eps)
	}
}
