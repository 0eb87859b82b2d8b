package device

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// each runs a test on every implementation that this processor has.
func each(t *testing.T, test func(t *testing.T, k Kernels)) {
	for _, name := range Available() {
		t.Run(name, func(t *testing.T) {
			k, err := Select(name)
			if err != nil {
				t.Fatal(err)
			}
			test(t, k)
		})
	}
}

// bench makes the inputs and outputs of one kernel call: fenced, with values before them that must stay.
type bench struct {
	t      testing.TB
	rng    *rand.Rand
	inputs []input
	fences [][]float32
}

type input struct{ now, before []float32 }

const (
	fence  = 37 // values before a slice; odd, so that slices are not aligned
	canary = 12345.678
)

func newBench(t testing.TB, seed uint64) *bench {
	return &bench{t: t, rng: rand.New(rand.NewPCG(seed, 1))}
}

// output is n values, NaN until they are written.
func (b *bench) output(n int) []float32 {
	all := fenced(b.t, fence, n)
	for i := range fence {
		all[i] = canary
	}
	b.fences = append(b.fences, all[:fence])
	s := all[fence:]
	for i := range s {
		s[i] = float32(math.NaN())
	}
	return s
}

// values is n random values that the kernel may change.
func (b *bench) values(n int, scale float64) []float32 {
	s := b.output(n)
	for i := range s {
		s[i] = float32(b.rng.NormFloat64() * scale)
	}
	return s
}

// input is n random values that the kernel must leave as they are.
func (b *bench) input(n int, scale float64) []float32 {
	s := b.values(n, scale)
	b.inputs = append(b.inputs, input{s, slices.Clone(s)})
	return s
}

// check fails the test if a fence or an input was written.
func (b *bench) check() {
	b.t.Helper()
	for i, f := range b.fences {
		for j, v := range f {
			if v != canary {
				b.t.Fatalf("slice %d: the value %d places before its start was overwritten by %g", i, fence-j, v)
			}
		}
	}
	for i, in := range b.inputs {
		if !same(in.now, in.before) {
			b.t.Fatalf("input %d was changed", i)
		}
	}
}

// same reports whether two slices have the same bits.
func same(a, b []float32) bool {
	return slices.EqualFunc(a, b, func(x, y float32) bool { return math.Float32bits(x) == math.Float32bits(y) })
}

// near fails the test where got differs from want by more than tolerance(i).
func near(t testing.TB, what string, got []float32, want []float64, tolerance func(i int) float64) {
	t.Helper()
	for i, w := range want {
		if d := math.Abs(float64(got[i]) - w); !(d <= tolerance(i)) {
			t.Fatalf("%s[%d] = %g, want %g within %.3g", what, i, got[i], w, tolerance(i))
		}
	}
}

// relative is a tolerance of r times (1 + the wanted value's size).
func relative(want []float64, r float64) func(int) float64 {
	return func(i int) float64 { return r * (1 + math.Abs(want[i])) }
}

const ulp = 1.0 / (1 << 24) // half the distance from 1 to the next float32

func wide(s []float32) []float64 {
	w := make([]float64, len(s))
	for i, v := range s {
		w[i] = float64(v)
	}
	return w
}

// product is one matrix product to test.
type product struct {
	m, n, k    int
	k0, k1     int
	transposed bool // A is stored by columns
	acc        bool
	gap        int // values between the rows of A and of C
}

func (p product) String() string {
	return fmt.Sprintf("%dx%dx%d k%d-%d transposed=%t acc=%t gap=%d", p.m, p.n, p.k, p.k0, p.k1, p.transposed, p.acc, p.gap)
}

func products() []product {
	var all []product
	for m := 1; m <= 13; m++ { // every micro-kernel and every row remainder
		for _, n := range []int{1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 39, 63, 64, 65, 70} {
			k := 1 + (m*31+n*7)%130
			all = append(all, product{m: m, n: n, k: k, k1: k, acc: (m+n)%2 == 0, transposed: (m+n)%3 == 0, gap: (m * n) % 4})
		}
	}
	for n := 1; n <= 70; n++ {
		all = append(all, product{m: 7, n: n, k: 5, k1: 5, acc: n%2 == 0})
	}
	for k := 1; k <= 130; k++ {
		all = append(all, product{m: 5, n: 19, k: k, k0: k / 3, k1: k, transposed: k%2 == 0, gap: 1})
	}
	return append(all,
		product{m: 13, n: 40, k: 9, k0: 4, k1: 4, acc: true}, // an empty range of k leaves C
		product{m: 13, n: 40, k: 9, k0: 4, k1: 4},            // or clears it
		product{m: 250, n: 37, k: 50, k1: 50, gap: 3},        // several blocks of rows
		product{m: 199, n: 100, k: 64, k0: 1, k1: 63, transposed: true, acc: true},
	)
}

// run makes the product's operands, multiplies, and returns all that is needed to check it.
func (p product) run(b *bench, k Kernels, transposedB bool) (a []float32, rs, cs int, bm []float32, packed *Packed, before, c []float32, ldc int) {
	inner := p.k1 - p.k0
	rs, cs = inner+p.gap, 1
	size := (p.m-1)*rs + inner
	if p.transposed {
		rs, cs = 1, p.m+p.gap
		size = max(0, (inner-1)*cs+p.m)
	}
	a = b.input(size, 1)
	bm = b.input(p.k*p.n, 1)
	packed = &Packed{}
	if transposedB {
		k.Pack(packed, p.k, p.n, bm, 1, p.k)
	} else {
		k.Pack(packed, p.k, p.n, bm, p.n, 1)
	}
	ldc = p.n + p.gap
	c = b.values((p.m-1)*ldc+p.n, 1)
	before = slices.Clone(c)
	k.Gemm(p.m, a, rs, cs, packed, p.k0, p.k1, c, ldc, p.acc)
	return
}

func TestGemm(t *testing.T) {
	each(t, testGemm)
}

func testGemm(t *testing.T, k Kernels) {
	for i, p := range products() {
		t.Run(p.String(), func(t *testing.T) {
			b := newBench(t, uint64(i))
			transposedB := i%2 == 1
			a, rs, cs, bm, _, before, c, ldc := p.run(b, k, transposedB)
			b.check()
			brs, bcs := p.n, 1
			if transposedB {
				brs, bcs = 1, p.k
			}
			want, bound := wide(before), make([]float64, len(before))
			for i := range p.m {
				for j := range p.n {
					var sum, size float64
					for l := p.k0; l < p.k1; l++ {
						v := float64(a[i*rs+(l-p.k0)*cs]) * float64(bm[l*brs+j*bcs])
						sum += v
						size += math.Abs(v)
					}
					if p.acc {
						sum += want[i*ldc+j]
						size += math.Abs(want[i*ldc+j])
					}
					want[i*ldc+j] = sum
					bound[i*ldc+j] = float64(p.k1-p.k0+2) * ulp * size // the textbook bound of a sum of products
				}
			}
			near(t, "c", c, want, func(i int) float64 { return bound[i] }) // a bound of 0 between the rows: unchanged
		})
	}
}

// TestPack multiplies by the identity, which must give back every element of B, whatever its strides.
func TestPack(t *testing.T) {
	each(t, func(t *testing.T, k Kernels) {
		b := newBench(t, 5)
		var packed Packed // reused: what an earlier matrix left in the buffer must not show
		for _, rows := range []int{40, 1, 3, 7, 8, 9, 16, 23} {
			identity := make([]float32, rows*rows)
			for i := range rows {
				identity[i*rows+i] = 1
			}
			for _, n := range []int{1, 7, 8, 9, 15, 16, 31, 32, 33, 40, 70} {
				for _, stride := range [][2]int{{n, 1}, {n + 3, 1}, {1, rows}, {1, rows + 5}, {2, 2 * rows}, {2 * n, 2}, {0, 1}, {1, 0}} {
					rs, cs := stride[0], stride[1]
					from := b.input((rows-1)*rs+(n-1)*cs+1, 1)
					k.Pack(&packed, rows, n, from, rs, cs)
					c := b.output(rows * n)
					k.Gemm(rows, identity, rows, 1, &packed, 0, rows, c, n, false)
					for i, v := range c {
						if want := from[i/n*rs+i%n*cs]; v != want {
							t.Fatalf("%d x %d, strides %d and %d: element (%d, %d) is %g, want %g", rows, n, rs, cs, i/n, i%n, v, want)
						}
					}
				}
			}
		}
		b.check()
	})
}

// TestRowSplit demands that a row's result does not depend on the rows computed with it.
func TestRowSplit(t *testing.T) {
	each(t, func(t *testing.T, k Kernels) {
		for seed := range uint64(30) {
			b := newBench(t, seed)
			rows, n, inner := 1+b.rng.IntN(40), 1+b.rng.IntN(70), 1+b.rng.IntN(90)
			var packed Packed
			k.Pack(&packed, inner, n, b.input(inner*n, 1), n, 1)
			a, bias, gateBias := b.input(rows*inner, 1), b.input(n, 1), b.input(4*n, 1)
			x, y, z := b.input(rows*n, 2), b.input(rows*n, 1), b.input(rows*4*n, 1)
			ids := make([]int32, rows*3)
			for i := range ids {
				ids[i] = int32(b.rng.IntN(inner))
			}
			table := b.input(inner*n, 1)
			// Everything that is computed row by row, for rows r0 to r1 of the outputs.
			type outputs struct{ product, gates, cell, tanh, out, dz, dc, p, logZ, relu, affine, affine2, gathered []float32 }
			compute := func(o *outputs, r0, r1 int) {
				r := r1 - r0
				part := func(s []float32, n int) []float32 { return s[r0*n : r1*n] }
				k.Gemm(r, part(a, inner), inner, 1, &packed, 0, inner, part(o.product, n), n, true)
				k.LSTMForward(r, n, part(o.gates, 4*n), gateBias, part(x, n), part(o.cell, n), part(o.tanh, n), part(o.out, n), n)
				k.LSTMBackward(r, n, part(o.dz, 4*n), part(x, n), n, part(y, n), part(x, n), part(y, n), part(o.dc, n))
				k.Softmax(r, n, part(x, n), part(o.p, n), part(o.logZ, 1))
				k.AddBiasReLU(r, n, part(o.relu, n), bias)
				k.Affine(r, n, part(x, n), bias, gateBias, part(o.affine, n))
				k.Affine2(r, n, part(x, n), part(y, n), bias, gateBias, gateBias[n:], part(o.affine2, n))
				k.Gather(r, 3, n, ids[3*r0:3*r1], table, part(o.gathered, n))
			}
			fresh := func() *outputs {
				return &outputs{
					product: slices.Clone(y), gates: slices.Clone(z), cell: make([]float32, rows*n), tanh: make([]float32, rows*n), out: make([]float32, rows*n),
					dz: slices.Clone(z), dc: slices.Clone(x), p: make([]float32, rows*n), logZ: make([]float32, rows), relu: slices.Clone(y),
					affine: make([]float32, rows*n), affine2: make([]float32, rows*n), gathered: make([]float32, rows*n),
				}
			}
			whole, parts := fresh(), fresh()
			compute(whole, 0, rows)
			for r := 0; r < rows; {
				next := min(rows, r+1+b.rng.IntN(14))
				compute(parts, r, next)
				r = next
			}
			for _, c := range []struct {
				name string
				a, b []float32
			}{
				{"Gemm", whole.product, parts.product},
				{"LSTMForward gates", whole.gates, parts.gates},
				{"LSTMForward c", whole.cell, parts.cell},
				{"LSTMForward tanhC", whole.tanh, parts.tanh},
				{"LSTMForward y", whole.out, parts.out},
				{"LSTMBackward z", whole.dz, parts.dz},
				{"LSTMBackward dc", whole.dc, parts.dc},
				{"Softmax p", whole.p, parts.p},
				{"Softmax logZ", whole.logZ, parts.logZ},
				{"AddBiasReLU", whole.relu, parts.relu},
				{"Affine", whole.affine, parts.affine},
				{"Affine2", whole.affine2, parts.affine2},
				{"Gather", whole.gathered, parts.gathered},
			} {
				if !same(c.a, c.b) {
					t.Errorf("seed %d, %d x %d: %s depends on how the rows are split", seed, rows, n, c.name)
				}
			}
		}
	})
}

// TestElementSplit demands the same of the kernels without rows, for single elements.
func TestElementSplit(t *testing.T) {
	each(t, func(t *testing.T, k Kernels) {
		b := newBench(t, 3)
		const n = 75
		x, y := b.input(n, 1), b.input(n, 1)
		sum, product, w, m, v := b.output(n), b.output(n), b.values(n, 1), b.values(n, 1), b.values(n, 1)
		for i := range v {
			v[i] *= v[i]
		}
		w1, m1, v1 := slices.Clone(w), slices.Clone(m), slices.Clone(v)
		k.Add(x, y, sum)
		k.Mul(x, y, product)
		k.Adam(w, x, m, v, .01, 1.2, .9, .999, 1e-7)
		for i := range n {
			var s, p [1]float32
			k.Add(x[i:], y[i:], s[:])
			k.Mul(x[i:], y[i:], p[:])
			k.Adam(w1[i:i+1], x[i:], m1[i:], v1[i:], .01, 1.2, .9, .999, 1e-7)
			if s[0] != sum[i] || p[0] != product[i] {
				t.Fatalf("element %d: sum %g and %g, product %g and %g", i, s[0], sum[i], p[0], product[i])
			}
		}
		if !same(w, w1) || !same(m, m1) || !same(v, v1) {
			t.Error("Adam's result depends on where its slices are cut")
		}
		b.check()
	})
}

// shapes are rows and columns around the sizes of registers and of the blocks of column sums.
func shapes() [][2]int {
	var all [][2]int
	for n := 1; n <= 70; n++ {
		all = append(all, [2]int{1 + n%5, n})
	}
	return append(all, [2]int{127, 3}, [2]int{128, 17}, [2]int{129, 33}, [2]int{300, 59}, [2]int{20, 156}, [2]int{7, 295})
}

// eachShape runs a test on every implementation and every shape.
func eachShape(t *testing.T, test func(b *bench, k Kernels, rows, n int)) {
	each(t, func(t *testing.T, k Kernels) {
		for i, s := range shapes() {
			t.Run(fmt.Sprintf("%dx%d", s[0], s[1]), func(t *testing.T) {
				b := newBench(t, uint64(i))
				test(b, k, s[0], s[1])
				b.check()
			})
		}
	})
}

func TestLSTMForward(t *testing.T) {
	logistic := func(x float64) float64 { return 1 / (1 + math.Exp(-x)) }
	eachShape(t, func(b *bench, k Kernels, rows, h int) {
		ldy := h + rows%3
		z, bias, cPrev := b.values(rows*4*h, 3), b.input(4*h, 1), b.input(rows*h, 1)
		c, tanhC, y := b.output(rows*h), b.output(rows*h), b.values((rows-1)*ldy+h, 1)
		before, wantY := slices.Clone(z), wide(y)
		k.LSTMForward(rows, h, z, bias, cPrev, c, tanhC, y, ldy)
		wantZ, wantC, wantT := make([]float64, rows*4*h), make([]float64, rows*h), make([]float64, rows*h)
		for r := range rows {
			for j := range h {
				var gate [4]float64
				for g := range gate {
					x := float64(before[(r*4+g)*h+j]) + float64(bias[g*h+j])
					gate[g] = logistic(x)
					if g == 2 {
						gate[g] = math.Tanh(x)
					}
					wantZ[(r*4+g)*h+j] = gate[g]
				}
				cell := gate[1]*float64(cPrev[r*h+j]) + gate[0]*gate[2]
				wantC[r*h+j], wantT[r*h+j] = cell, math.Tanh(cell)
				wantY[r*ldy+j] = gate[3] * math.Tanh(cell)
			}
		}
		near(b.t, "gates", z, wantZ, relative(wantZ, 5e-7))
		near(b.t, "c", c, wantC, relative(wantC, 5e-7))
		near(b.t, "tanhC", tanhC, wantT, relative(wantT, 5e-7))
		near(b.t, "y", y, wantY, relative(wantY, 5e-7))
	})
}

func TestLSTMBackward(t *testing.T) {
	eachShape(t, func(b *bench, k Kernels, rows, h int) {
		lddy := h + rows%3
		z, dy, dh := b.output(rows*4*h), b.input((rows-1)*lddy+h, 1), b.input(rows*h, 1)
		cPrev, tanhC, dc := b.input(rows*h, 1), b.output(rows*h), b.values(rows*h, 1)
		for i := range z {
			z[i] = b.rng.Float32()
		}
		for i := range tanhC {
			tanhC[i] = 2*b.rng.Float32() - 1
		}
		before, wantDC := wide(z), wide(dc)
		k.LSTMBackward(rows, h, z, dy, lddy, dh, cPrev, tanhC, dc)
		want := make([]float64, rows*4*h)
		for r := range rows {
			for j := range h {
				at := func(g int) int { return (r*4+g)*h + j }
				i, f, g, o := before[at(0)], before[at(1)], before[at(2)], before[at(3)]
				d, tc := float64(dy[r*lddy+j])+float64(dh[r*h+j]), float64(tanhC[r*h+j])
				cell := wantDC[r*h+j] + d*o*(1-tc*tc)
				want[at(0)] = cell * g * i * (1 - i)
				want[at(1)] = cell * float64(cPrev[r*h+j]) * f * (1 - f)
				want[at(2)] = cell * i * (1 - g*g)
				want[at(3)] = d * tc * o * (1 - o)
				wantDC[r*h+j] = cell * f
			}
		}
		near(b.t, "z", z, want, relative(want, 1e-6))
		near(b.t, "dc", dc, wantDC, relative(wantDC, 1e-6))
	})
}

func TestSoftmax(t *testing.T) {
	eachShape(t, func(b *bench, k Kernels, rows, n int) {
		x, p, logZ := b.input(rows*n, 10), b.output(rows*n), b.output(rows)
		k.Softmax(rows, n, x, p, logZ)
		want, wantZ := make([]float64, rows*n), make([]float64, rows)
		for r := range rows {
			var sum float64
			for j := range n {
				sum += math.Exp(float64(x[r*n+j]))
			}
			wantZ[r] = math.Log(sum)
			for j := range n {
				want[r*n+j] = math.Exp(float64(x[r*n+j])) / sum
			}
		}
		near(b.t, "p", p, want, func(i int) float64 { return 3e-6*want[i] + 1e-30 })
		near(b.t, "logZ", logZ, wantZ, relative(wantZ, 2e-7))

		inPlace := slices.Clone(x)
		k.Softmax(rows, n, inPlace, inPlace, logZ)
		if !same(inPlace, p) {
			b.t.Error("in place, the result differs")
		}
	})
}

// TestSoftmaxExtremes has values whose exponentials would overflow or vanish.
func TestSoftmaxExtremes(t *testing.T) {
	minus := float32(math.Inf(-1))
	each(t, func(t *testing.T, k Kernels) {
		x := []float32{1e30, 1e30, 0, -1e30, minus, minus, minus, minus, minus, minus, minus, minus, minus, minus, minus, minus, minus, 1e30 - 200e24}
		p, logZ := make([]float32, len(x)), make([]float32, 1)
		k.Softmax(1, len(x), x, p, logZ)
		want := make([]float32, len(x))
		want[0], want[1] = .5, .5
		if !same(p, want) || logZ[0] != 1e30 {
			t.Errorf("p = %g, logZ = %g", p, logZ)
		}
	})
}

func TestAddBiasReLU(t *testing.T) {
	eachShape(t, func(b *bench, k Kernels, rows, n int) {
		y, bias := b.values(rows*n, 1), b.input(n, 1)
		before := slices.Clone(y)
		k.AddBiasReLU(rows, n, y, bias)
		for i, v := range before {
			if want := max(v+bias[i%n], 0); y[i] != want {
				b.t.Fatalf("y[%d] = %g, want %g", i, y[i], want)
			}
		}
	})
}

func TestReLUBackward(t *testing.T) {
	eachShape(t, func(b *bench, k Kernels, rows, n int) {
		y, dy, dz, dBias := b.values(rows*n, 1), b.input(rows*n, 1), b.output(rows*n), b.values(n, 1)
		for i := range y {
			y[i] = max(y[i], 0)
		}
		want, bound := wide(dBias), make([]float64, n)
		k.ReLUBackward(rows, n, y, dy, dz, dBias)
		for i, d := range dy {
			if y[i] == 0 {
				d = 0
			}
			if dz[i] != d {
				b.t.Fatalf("dz[%d] = %g, want %g", i, dz[i], d)
			}
			want[i%n] += float64(d)
			bound[i%n] += math.Abs(float64(d))
		}
		near(b.t, "dBias", dBias, want, func(i int) float64 { return sumBound(rows) * (bound[i] + 3) })
	})
}

// sumBound is the rounding error of a sum over rows in blocks, as a share of its terms.
func sumBound(rows int) float64 { return float64(sumBlock+rows/sumBlock+2) * ulp }

func TestColumnSums(t *testing.T) {
	eachShape(t, func(b *bench, k Kernels, rows, n int) {
		x, q, sum, dot := b.input(rows*n, 1), b.input(rows*n, 1), b.values(n, 1), b.values(n, 1)
		alone := slices.Clone(sum)
		wantSum, wantDot := wide(sum), wide(dot)
		sizeSum, sizeDot := make([]float64, n), make([]float64, n)
		for i, v := range x {
			product := float64(v) * float64(q[i])
			wantSum[i%n] += float64(v)
			wantDot[i%n] += product
			sizeSum[i%n] += math.Abs(float64(v))
			sizeDot[i%n] += math.Abs(product)
		}
		k.ColumnSums(rows, n, x, q, sum, dot)
		near(b.t, "sum", sum, wantSum, func(i int) float64 { return sumBound(rows) * (sizeSum[i] + 3) })
		near(b.t, "dot", dot, wantDot, func(i int) float64 { return sumBound(rows) * (sizeDot[i] + 3) })
		k.ColumnSums(rows, n, x, nil, alone, nil)
		if !same(alone, sum) {
			b.t.Error("the sums differ without q")
		}
	})
}

// TestColumnSumsLong demands that errors do not grow with the number of rows: a running sum of ones
// would stop at 2^24.
func TestColumnSumsLong(t *testing.T) {
	each(t, func(t *testing.T, k Kernels) {
		const rows = 1<<24 + 1<<12
		x := make([]float32, rows)
		for i := range x {
			x[i] = 1
		}
		sum := make([]float32, 1)
		k.ColumnSums(rows, 1, x, nil, sum, nil)
		if sum[0] != rows {
			t.Errorf("the sum of %d ones is %.0f", rows, sum[0])
		}
	})
}

func TestAffine(t *testing.T) {
	eachShape(t, func(b *bench, k Kernels, rows, n int) {
		x, y, a, c, d := b.input(rows*n, 1), b.input(rows*n, 1), b.input(n, 1), b.input(n, 1), b.input(n, 1)
		one, two := b.output(rows*n), b.output(rows*n)
		k.Affine(rows, n, x, a, c, one)
		k.Affine2(rows, n, x, y, a, c, d, two)
		wantOne, wantTwo := make([]float64, rows*n), make([]float64, rows*n)
		for i := range x {
			j := i % n
			wantOne[i] = float64(a[j])*float64(x[i]) + float64(c[j])
			wantTwo[i] = float64(a[j])*float64(x[i]) + float64(c[j])*float64(y[i]) + float64(d[j])
		}
		near(b.t, "Affine", one, wantOne, relative(wantOne, 1e-6))
		near(b.t, "Affine2", two, wantTwo, relative(wantTwo, 2e-6))

		inPlace := slices.Clone(x)
		k.Affine(rows, n, inPlace, a, c, inPlace)
		if !same(inPlace, one) {
			b.t.Error("Affine in place differs")
		}
		inPlace = slices.Clone(y)
		k.Affine2(rows, n, x, inPlace, a, c, d, inPlace)
		if !same(inPlace, two) {
			b.t.Error("Affine2 in place differs")
		}
	})
}

func TestMulAdd(t *testing.T) {
	eachShape(t, func(b *bench, k Kernels, rows, n int) {
		x, y, product, sum := b.input(rows*n, 1), b.input(rows*n, 1), b.output(rows*n), b.output(rows*n)
		k.Mul(x, y, product)
		k.Add(x, y, sum)
		for i := range x {
			if product[i] != x[i]*y[i] || sum[i] != x[i]+y[i] {
				b.t.Fatalf("element %d: product %g, sum %g of %g and %g", i, product[i], sum[i], x[i], y[i])
			}
		}
		inPlace := slices.Clone(x)
		k.Add(inPlace, y, inPlace)
		if !same(inPlace, sum) {
			b.t.Error("Add in place differs")
		}
	})
}

func TestGatherScatter(t *testing.T) {
	eachShape(t, func(b *bench, k Kernels, rows, d int) {
		f, v := 1+d%7, 1+d%11 // few table rows: ids repeat, also within a row
		ids := make([]int32, rows*f)
		for i := range ids {
			ids[i] = int32(b.rng.IntN(v))
		}
		table, y := b.input(v*d, 1), b.output(rows*d)
		k.Gather(rows, f, d, ids, table, y)
		want := make([]float64, rows*d)
		for i, id := range ids {
			for j := range d {
				want[i/f*d+j] += float64(table[int(id)*d+j])
			}
		}
		near(b.t, "y", y, want, relative(want, 2e-6))

		dy, dTable := b.input(rows*d, 1), b.values(v*d, 1)
		wantTable, size := wide(dTable), make([]float64, v*d)
		for i, id := range ids {
			for j := range d {
				g := float64(dy[i/f*d+j])
				wantTable[int(id)*d+j] += g
				size[int(id)*d+j] += math.Abs(g)
			}
		}
		k.Scatter(rows, f, d, ids, dy, dTable)
		near(b.t, "dTable", dTable, wantTable, func(i int) float64 { return float64(rows*f) * ulp * (size[i] + 3) })
	})
}

func TestAdam(t *testing.T) {
	const step, scale, b1, b2, eps = .004, 3.5, .9, .999, 1e-7
	eachShape(t, func(b *bench, k Kernels, rows, n int) {
		w, g, m, v := b.values(rows*n, 1), b.input(rows*n, 1), b.values(rows*n, 1), b.values(rows*n, 1)
		for i := range v {
			v[i] *= v[i]
		}
		wantW, wantM, wantV := wide(w), wide(m), wide(v)
		for i, d := range wide(g) {
			wantM[i] = float64(float32(b1))*wantM[i] + float64(1-float32(b1))*d
			wantV[i] = float64(float32(b2))*wantV[i] + float64(1-float32(b2))*d*d
			wantW[i] -= step * wantM[i] / (math.Sqrt(wantV[i])*scale + eps)
		}
		k.Adam(w, g, m, v, step, scale, b1, b2, eps)
		near(b.t, "m", m, wantM, relative(wantM, 3e-7))
		near(b.t, "v", v, wantV, relative(wantV, 3e-7))
		near(b.t, "w", w, wantW, relative(wantW, 1e-6))
	})
}

// TestAdamDecay lets the moments of a weight without gradient decay: in round-to-nearest they would
// stay at a subnormal number for ever, which costs a hundred times a normal one.
func TestAdamDecay(t *testing.T) {
	each(t, func(t *testing.T, k Kernels) {
		w, g, m, v := make([]float32, 20), make([]float32, 20), make([]float32, 20), make([]float32, 20)
		for i := range m {
			m[i], v[i] = 1e-30, 1e-30
		}
		for range 1000 {
			k.Adam(w, g, m, v, .001, 1, .9, .5, 1e-7)
		}
		for i := range m {
			if m[i] != 0 || v[i] != 0 {
				t.Fatalf("moments %d are %g and %g, want 0", i, m[i], v[i])
			}
		}
	})
}

// TestSubnormals demands that the assembly, and nothing but the assembly, takes subnormal numbers for
// zero.
func TestSubnormals(t *testing.T) {
	runtime.LockOSThread() // the setting belongs to a thread
	defer runtime.UnlockOSThread()
	each(t, func(t *testing.T, k Kernels) {
		subnormal, half, out := []float32{1e-40}, []float32{.5}, []float32{1}
		var packed Packed
		k.Pack(&packed, 1, 1, half, 1, 1)
		for _, call := range []func(){
			func() { k.Mul(subnormal, half, out) },
			func() { k.Gemm(1, subnormal, 1, 1, &packed, 0, 1, out, 1, false) },
			func() { k.Affine(1, 1, subnormal, half, []float32{0}, out) },
		} {
			out[0] = 1
			call()
			if zero := out[0] == 0; zero != (k.Name() != "generic") {
				t.Errorf("half of 1e-40 is %g", out[0])
			}
			if subnormal[0]*half[0] == 0 {
				t.Fatal("the kernel left the thread with subnormal numbers disabled")
			}
		}
	})
}

// TestGenericBits demands that the portable path gives the same bits everywhere: that no compiler fuses
// a product and a sum.
func TestGenericBits(t *testing.T) {
	const want = 0x548981208f62d20a
	k, err := Select("generic")
	if err != nil {
		t.Fatal(err)
	}
	const rows, n = 9, 23
	rng := rand.New(rand.NewPCG(7, 7))
	values := func(n int) []float32 {
		s := make([]float32, n)
		for i := range s {
			s[i] = rng.Float32()*4 - 2
		}
		return s
	}
	h := fnv.New64a()
	record := func(outputs ...[]float32) {
		for _, s := range outputs {
			if err := binary.Write(h, binary.LittleEndian, s); err != nil {
				t.Fatal(err)
			}
		}
	}
	var packed Packed
	k.Pack(&packed, n, n, values(n*n), n, 1)
	c := values(rows * n)
	k.Gemm(rows, values(rows*n), n, 1, &packed, 0, n, c, n, true)
	z, cell, tanhC, y := values(rows*4*n), values(rows*n), values(rows*n), values(rows*n)
	k.LSTMForward(rows, n, z, values(4*n), values(rows*n), cell, tanhC, y, n)
	record(c, z, cell, tanhC, y)
	k.LSTMBackward(rows, n, z, values(rows*n), n, values(rows*n), values(rows*n), tanhC, cell)
	record(z, cell)
	p, logZ := values(rows*n), values(rows)
	k.Softmax(rows, n, values(rows*n), p, logZ)
	sum, dot := values(n), values(n)
	k.ColumnSums(rows, n, y, c, sum, dot)
	k.Affine(rows, n, y, values(n), values(n), c)
	k.Affine2(rows, n, y, p, values(n), values(n), values(n), z[:rows*n])
	record(p, logZ, sum, dot, c, z)
	w, m, v := values(n), values(n), values(n)
	k.Mul(v, v, v)
	k.Adam(w, values(n), m, v, .01, 1.5, .9, .999, 1e-7)
	record(w, m, v)
	if got := h.Sum64(); got != want {
		t.Errorf("hash of the results %#x, want %#x", got, uint64(want))
	}
}

// TestNaN puts one NaN into an input and demands that it reaches what is computed from it, and only that.
func TestNaN(t *testing.T) {
	each(t, func(t *testing.T, k Kernels) {
		const rows, n = 3, 21
		nan := float32(math.NaN())
		zeros := func(n int) []float32 { return make([]float32, n) }
		isNaN := func(what string, s []float32, want func(i int) bool) {
			t.Helper()
			for i, v := range s {
				if (v != v) != want(i) {
					t.Errorf("%s[%d] = %g", what, i, v)
				}
			}
		}
		none := func(int) bool { return false }
		for _, at := range []int{0, 1, 15, 16, 19, 20} { // in the first register and in the rest
			here := func(i int) bool { return i == n+at } // row 1
			column := func(i int) bool { return i == at }
			row := func(i int) bool { return i/n == 1 }
			x := zeros(rows * n)
			x[n+at] = nan
			col := zeros(n)
			col[at] = nan

			y := zeros(rows * n)
			copy(y, x)
			k.AddBiasReLU(rows, n, y, zeros(n))
			isNaN("AddBiasReLU: y", y, here)
			y = zeros(rows * n)
			k.AddBiasReLU(rows, n, y, col)
			isNaN("AddBiasReLU: y", y, func(i int) bool { return i%n == at })

			p, logZ := zeros(rows*n), zeros(rows)
			k.Softmax(rows, n, x, p, logZ)
			isNaN("Softmax: p", p, row)
			isNaN("Softmax: logZ", logZ, func(i int) bool { return i == 1 })

			z, c, tc := zeros(rows*4*n), zeros(rows*n), zeros(rows*n)
			z[4*n+n+at] = nan // a forget gate of row 1
			k.LSTMForward(rows, n, z, zeros(4*n), zeros(rows*n), c, tc, y, n)
			isNaN("LSTMForward: z", z, func(i int) bool { return i == 4*n+n+at })
			isNaN("LSTMForward: c", c, here)
			isNaN("LSTMForward: tanhC", tc, here)
			isNaN("LSTMForward: y", y, here)

			dz, sum, dot := zeros(rows*n), zeros(n), zeros(n)
			ones := zeros(rows * n)
			for i := range ones {
				ones[i] = 1
			}
			k.ReLUBackward(rows, n, ones, x, dz, sum)
			isNaN("ReLUBackward: dz", dz, here)
			isNaN("ReLUBackward: dBias", sum, column)
			sum = zeros(n)
			k.ReLUBackward(rows, n, x, x, dz, sum)
			isNaN("ReLUBackward of NaN activations: dz", dz, here)

			sum = zeros(n)
			k.ColumnSums(rows, n, x, ones, sum, dot)
			isNaN("ColumnSums: sum", sum, column)
			isNaN("ColumnSums: dot", dot, column)

			var packed Packed
			k.Pack(&packed, n, 5, zeros(n*5), 5, 1)
			product := zeros(rows * 5)
			k.Gemm(rows, x, n, 1, &packed, 0, n, product, 5, false)
			isNaN("Gemm: c", product, func(i int) bool { return i/5 == 1 })

			w, m, v := zeros(n), zeros(n), zeros(n)
			k.Adam(w, col, m, v, .1, 1, .9, .99, 1e-7)
			isNaN("Adam: w", w, column)
			isNaN("Adam: m", m, column)
			isNaN("Adam: v", v, column)
			k.Adam(w, zeros(n), zeros(n), zeros(n), .1, 1, .9, .99, 1e-7)
			isNaN("Adam: w", w, column)

			k.Affine(rows, n, zeros(rows*n), zeros(n), zeros(n), y)
			isNaN("Affine: y", y, none)
		}
	})
}

// TestPanics demands that misuse is named before anything is written.
func TestPanics(t *testing.T) {
	s := func(n int) []float32 { return make([]float32, n) }
	each(t, func(t *testing.T, k Kernels) {
		var packed Packed
		k.Pack(&packed, 4, 6, s(24), 6, 1)
		for _, c := range []struct {
			want string
			call func()
		}{
			{"Pack: b holds 23 values", func() { k.Pack(&packed, 4, 6, s(23), 6, 1) }},
			{"Gemm: a holds 11 values", func() { k.Gemm(3, s(11), 4, 1, &packed, 0, 4, s(18), 6, false) }},
			{"Gemm: c holds 17 values", func() { k.Gemm(3, s(12), 4, 1, &packed, 0, 4, s(17), 6, false) }},
			{"Gemm: rows 0 to 5 of a packed matrix of 4", func() { k.Gemm(3, s(15), 5, 1, &packed, 0, 5, s(18), 6, false) }},
			{"Gemm: row stride 5 of c", func() { k.Gemm(3, s(15), 5, 1, &packed, 0, 4, s(18), 5, false) }},
			{"Gemm: negative dimension", func() { k.Gemm(-1, s(15), 5, 1, &packed, 0, 4, s(18), 6, false) }},
			{"LSTMForward: z holds 47", func() { k.LSTMForward(3, 4, s(47), s(16), s(12), s(12), s(12), s(12), 4) }},
			{"LSTMForward: bias holds 15", func() { k.LSTMForward(3, 4, s(48), s(15), s(12), s(12), s(12), s(12), 4) }},
			{"LSTMForward: row stride 3", func() { k.LSTMForward(3, 4, s(48), s(16), s(12), s(12), s(12), s(12), 3) }},
			{"LSTMBackward: dc holds 11", func() { k.LSTMBackward(3, 4, s(48), s(12), 4, s(12), s(12), s(12), s(11)) }},
			{"Softmax: logZ holds 2", func() { k.Softmax(3, 4, s(12), s(12), s(2)) }},
			{"AddBiasReLU: bias holds 3", func() { k.AddBiasReLU(3, 4, s(12), s(3)) }},
			{"ReLUBackward: dBias holds 3", func() { k.ReLUBackward(3, 4, s(12), s(12), s(12), s(3)) }},
			{"ColumnSums: dot holds 0", func() { k.ColumnSums(3, 4, s(12), s(12), s(4), nil) }},
			{"Affine: x holds 11", func() { k.Affine(3, 4, s(11), s(4), s(4), s(12)) }},
			{"Affine2: c holds 3", func() { k.Affine2(3, 4, s(12), s(12), s(4), s(4), s(3), s(12)) }},
			{"Mul: y holds 4", func() { k.Mul(s(5), s(4), s(5)) }},
			{"Add: x holds 4", func() { k.Add(s(4), s(5), s(5)) }},
			{"Gather: id 2 of row 1, field 0 is outside the table of 2 rows", func() { k.Gather(2, 1, 3, []int32{0, 2}, s(6), s(6)) }},
			{"Scatter: id -1 of row 0, field 0", func() { k.Scatter(2, 1, 3, []int32{-1, 0}, s(6), s(6)) }},
			{"Scatter: 1 ids", func() { k.Scatter(2, 1, 3, []int32{0}, s(6), s(6)) }},
			{"Adam: v holds 4", func() { k.Adam(s(5), s(5), s(5), s(4), 1, 1, 1, 1, 1) }},
		} {
			func() {
				defer func() {
					if got := fmt.Sprint(recover()); !strings.Contains(got, c.want) {
						t.Errorf("panic %q, want %q", got, c.want)
					}
				}()
				c.call()
			}()
		}
	})
}

// TestForeignPanels demands that a matrix packed by one path is refused by another.
func TestForeignPanels(t *testing.T) {
	names := Available()
	for i, name := range names {
		mine, _ := Select(name)
		other, _ := Select(names[(i+1)%len(names)])
		var packed Packed
		other.Pack(&packed, 2, 2, make([]float32, 4), 2, 1)
		func() {
			defer func() {
				if r := recover(); (r != nil) != (len(names) > 1) {
					t.Errorf("%s multiplied panels of %s: %v", name, other.Name(), r)
				}
			}()
			mine.Gemm(1, make([]float32, 2), 2, 1, &packed, 0, 2, make([]float32, 2), 2, false)
		}()
	}
}

// TestEmpty demands that empty shapes touch nothing, not even nil slices.
func TestEmpty(t *testing.T) {
	each(t, func(t *testing.T, k Kernels) {
		var packed Packed
		k.Pack(&packed, 0, 3, nil, 1, 1)
		c := []float32{1, 1, 1}
		k.Gemm(1, nil, 1, 1, &packed, 0, 0, c, 3, true)
		if c[0] != 1 {
			t.Error("an empty product was not added as 0")
		}
		k.Gemm(1, nil, 1, 1, &packed, 0, 0, c, 3, false)
		if c[0] != 0 || c[2] != 0 {
			t.Error("an empty product is not 0")
		}
		k.Pack(&packed, 3, 0, nil, 0, 1)
		k.Gemm(0, nil, 1, 1, &packed, 0, 3, nil, 0, false)
		k.Gemm(2, make([]float32, 6), 3, 1, &packed, 0, 3, nil, 0, false)
		k.LSTMForward(0, 4, nil, nil, nil, nil, nil, nil, 4)
		k.LSTMBackward(4, 0, nil, nil, 0, nil, nil, nil, nil)
		k.Softmax(0, 4, nil, nil, nil)
		k.AddBiasReLU(0, 4, nil, nil)
		k.ReLUBackward(0, 4, nil, nil, nil, nil)
		k.ColumnSums(0, 4, nil, nil, nil, nil)
		k.Affine(0, 4, nil, nil, nil, nil)
		k.Affine2(4, 0, nil, nil, nil, nil, nil, nil)
		k.Mul(nil, nil, nil)
		k.Add(nil, nil, nil)
		k.Scatter(4, 0, 3, nil, nil, nil)
		k.Adam(nil, nil, nil, nil, 1, 1, 1, 1, 1)
		y := []float32{1, 1}
		k.Gather(1, 0, 2, nil, nil, y)
		if y[0] != 0 || y[1] != 0 {
			t.Errorf("a row without ids is %g, want zeros", y)
		}
	})
}

// TestNoAllocation demands that a step allocates nothing once the panels have their size.
func TestNoAllocation(t *testing.T) {
	each(t, func(t *testing.T, k Kernels) {
		const rows, n = 30, 40
		s, packed := make([]float32, rows*4*n), &Packed{}
		o := make([]float32, rows*4*n)
		ids := make([]int32, rows)
		if got := testing.AllocsPerRun(10, func() {
			k.Pack(packed, n, n, s, n, 1)
			k.Gemm(rows, s, n, 1, packed, 0, n, o, n, false)
			k.LSTMForward(rows, n, o, s, s, o, o, o, n)
			k.LSTMBackward(rows, n, o, s, n, s, s, s, o)
			k.Softmax(rows, n, s, o, o)
			k.ReLUBackward(rows, n, s, s, o, o)
			k.ColumnSums(rows, n, s, s, o, o)
			k.Gather(rows, 1, n, ids, s, o)
			k.Scatter(rows, 1, n, ids, s, o)
			k.Adam(o, s, o, o, 1, 1, 1, 1, 1)
		}); got != 0 {
			t.Errorf("%g allocations", got)
		}
	})
}

func TestSelect(t *testing.T) {
	names := Available()
	if names[len(names)-1] != "generic" {
		t.Errorf("Available() = %q, want the portable path last", names)
	}
	for _, name := range []string{"", "auto"} {
		if k, err := Select(name); err != nil || k.Name() != names[0] {
			t.Errorf("Select(%q) = %v, %v, want %s", name, k, err, names[0])
		}
	}
	if _, err := Select("mmx"); err == nil || !strings.Contains(err.Error(), `"mmx"`) || !strings.Contains(err.Error(), "generic") {
		t.Errorf("Select of an unknown name: %v", err)
	}
}
