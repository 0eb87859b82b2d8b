// Package device holds the arithmetic of the network: matrix products and the fused element-wise
// loops of each layer, in portable Go and in assembly, chosen at run time.
//
// All matrices are row-major float32. No kernel allocates (Pack alone grows its buffer), keeps state
// or starts goroutines, so one Kernels may be used from several goroutines; every kernel gives the
// same bits for the same input on one path, however the caller splits the rows. The portable path
// gives the same bits on every architecture.
//
// NaN in an input reaches every output computed from it, also through maxima: training detects a lost
// network by its loss. Infinities follow IEEE 754. The assembly paths read subnormal numbers as zero
// and write zero for them, because processors take a hundred times longer over them; Adam's moments
// do so on every path.
//
// A slice too short for the stated shape, an id outside its table or a Packed made by another path is
// a programmer's error and panics before anything is written. Outputs must not overlap inputs unless
// they are the same elements.
package device

import (
	"fmt"
	"strings"
)

// Kernels is one implementation of the arithmetic. Implementations differ in the last bits.
type Kernels interface {
	// Name is "generic", "avx2" or "avx512".
	Name() string

	// Pack lays out B [k x n], whose element (i, j) is b[i*rs+j*cs], for Gemm. p's buffer is reused.
	Pack(p *Packed, k, n int, b []float32, rs, cs int)

	// Gemm computes C [m x p.N] (row stride ldc) = A*B, or C += A*B if acc, over the packed rows k0
	// to k1 of B. A's element (i, k) is a[i*rs+(k-k0)*cs]. Every element of the product is summed in
	// the order of k before it meets C. B is best packed in parts of some 200 rows where k is large.
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
	// of the normaliser, max + log(sum), to logZ [rows]. p may be x. Values below exp(-87) times the
	// largest are 0.
	Softmax(rows, n int, x, p, logZ []float32)

	// AddBiasReLU computes y = max(y+bias, 0) in place for rows x n values.
	AddBiasReLU(rows, n int, y, bias []float32)

	// ReLUBackward computes dz = dy where y > 0 (or is NaN), else 0, and adds the column sums of dz to
	// dBias. dz may be dy.
	ReLUBackward(rows, n int, y, dy, dz, dBias []float32)

	// ColumnSums adds to sum[j] the sum over rows of x[:, j] (row stride n), and where q is not nil
	// adds the sum of x*q to dot (q == x gives sums of squares). Sums are taken over blocks of rows,
	// so that their rounding error does not grow with the number of rows.
	ColumnSums(rows, n int, x, q, sum, dot []float32)

	// Affine computes y = a[j]*x + b[j] per column. y may be x.
	Affine(rows, n int, x, a, b, y []float32)

	// Affine2 computes z = a[j]*x + b[j]*y + c[j] per column. z may be x or y.
	Affine2(rows, n int, x, y, a, b, c, z []float32)

	// Mul computes z = x*y, element by element, for len(z) elements. z may be x or y.
	Mul(x, y, z []float32)

	// Add computes z = x+y, element by element, for len(z) elements. z may be x or y.
	Add(x, y, z []float32)

	// Gather writes to each of rows vectors y [rows x d] the sum of the table rows that its ids name:
	// ids [rows x f], table [v x d]. The table rows are added in the order of the ids.
	Gather(rows, f, d int, ids []int32, table, y []float32)

	// Scatter adds dy [rows x d] to the rows of dTable [v x d] that ids [rows x f] name.
	Scatter(rows, f, d int, ids []int32, dy, dTable []float32)

	// Adam updates w with gradient g and moments m, v: m = b1*m+(1-b1)*g, v = b2*v+(1-b2)*g*g,
	// w -= step*m/(sqrt(v)*scale+eps). The caller folds the bias corrections into step and scale.
	// Moments that decay into the subnormal range become 0 instead of staying there for ever.
	Adam(w, g, m, v []float32, step, scale, b1, b2, eps float32)
}

// Packed is a matrix B [K x N] laid out for one implementation's Gemm. The zero value is ready for Pack.
type Packed struct {
	K, N int

	// buf holds panels of nr columns, one after the other, each K x nr and padded with zeros.
	buf []float32
	nr  int
}

// Available lists the names that Select knows on this processor, fastest first; "generic" is last.
func Available() []string {
	var names []string
	for _, k := range accelerated() {
		names = append(names, k.Name())
	}
	return append(names, generic{}.Name())
}

// Select returns the named implementation; "" and "auto" mean the fastest that this processor runs.
func Select(name string) (Kernels, error) {
	for _, k := range append(accelerated(), generic{}) {
		if name == k.Name() || name == "" || name == "auto" {
			return checked{k}, nil
		}
	}
	return nil, fmt.Errorf("device: select kernels %q: this processor runs %s (or \"auto\" for the first of them)",
		name, strings.Join(Available(), ", "))
}
