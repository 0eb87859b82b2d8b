// Package device holds the arithmetic of the network: matrix products and the fused element-wise
// loops of each layer, in portable Go and in assembly, chosen at run time.
//
// All matrices are row-major float32. No kernel allocates, keeps state or starts goroutines; every
// kernel gives the same bits for the same input on one path, however the caller splits the rows.
package device

// Kernels is one implementation of the arithmetic. Implementations differ in the last bits.
type Kernels interface {
	// Name is "generic", "avx2" or "avx512".
	Name() string

	// Pack lays out B [k x n], whose element (i, j) is b[i*rs+j*cs], for Gemm. p's buffer is reused.
	Pack(p *Packed, k, n int, b []float32, rs, cs int)

	// Gemm computes C [m x p.N] (row stride ldc) = A*B, or C += A*B if acc, over the packed rows k0
	// to k1 of B. A's element (i, k) is a[i*rs+(k-k0)*cs].
	Gemm(m int, a []float32, rs, cs int, p *Packed, k0, k1 int, c []float32, ldc int, acc bool)

	// LSTMForward turns rows x 4h pre-activations z (order i, f, g, o) plus bias [4h] into gates, in
	// place, and computes c = f*cPrev + i*g, tanhC = tanh(c) [rows x h each] and
	// y = o*tanhC [rows x h, row stride ldy].
	LSTMForward(rows, h int, z, bias, cPrev, c, tanhC, y []float32, ldy int)

	// LSTMBackward turns gates z [rows x 4h] into gradients of the pre-activations, in place, from
	// dy [rows x h, row stride lddy] and the recurrent gradients dh and dc [rows x h]; dc is updated
	// for the step before.
	LSTMBackward(rows, h int, z, dy []float32, lddy int, dh, cPrev, tanhC, dc []float32)

	// Softmax writes exp(x-max(x)) / sum to p for each of rows vectors of n values and the logarithm
	// of the normaliser, max + log(sum), to logZ [rows].
	Softmax(rows, n int, x, p, logZ []float32)

	// AddBiasReLU computes y = max(y+bias, 0) in place for rows x n values.
	AddBiasReLU(rows, n int, y, bias []float32)

	// ReLUBackward computes dz = dy where y > 0, else 0, and adds the column sums of dz to dBias.
	ReLUBackward(rows, n int, y, dy, dz, dBias []float32)

	// ColumnSums adds to sum[j] the sum over rows of x[:, j] (row stride n), and where q is not nil
	// adds the sum of x*q to dot (q == x gives sums of squares).
	ColumnSums(rows, n int, x, q, sum, dot []float32)

	// Affine computes y = a[j]*x + b[j] per column.
	Affine(rows, n int, x, a, b, y []float32)

	// Affine2 computes z = a[j]*x + b[j]*y + c[j] per column.
	Affine2(rows, n int, x, y, a, b, c, z []float32)

	// Mul computes z = x*y, element by element.
	Mul(x, y, z []float32)

	// Add computes z = x+y, element by element.
	Add(x, y, z []float32)

	// Gather writes to each of rows vectors y [rows x d] the sum of the table rows that its ids name:
	// ids [rows x f], table [v x d].
	Gather(rows, f, d int, ids []int32, table, y []float32)

	// Scatter adds dy [rows x d] to the rows of dTable [v x d] that ids [rows x f] name.
	Scatter(rows, f, d int, ids []int32, dy, dTable []float32)

	// Adam updates w with gradient g and moments m, v: m = b1*m+(1-b1)*g, v = b2*v+(1-b2)*g*g,
	// w -= step*m/(sqrt(v)*scale+eps). The caller folds the bias corrections into step and scale.
	Adam(w, g, m, v []float32, step, scale, b1, b2, eps float32)
}

// Packed is a matrix B [K x N] laid out for one implementation's Gemm. The zero value is ready for Pack.
type Packed struct {
	K, N int
	buf  []float32
}
