package main

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// layers emits the element-wise kernels of the other layers.
func (g *generator) layers() {
	g.softmax()
	g.biasReLU()
	g.reluBackward()
	g.columnSums("ColumnSums", false)
	g.columnSums("ColumnDots", true)
	g.affine()
	g.elementwise("Mul", "z = x*y", g.VMULPS)
	g.elementwise("Add", "z = x+y", g.VADDPS)
	g.gather()
	g.scatter()
}

// acrossLanes combines the lanes of v by op; the result stands in the first lane.
func (g *generator) acrossLanes(v reg.VecVirtual, op func(...operand.Op)) reg.VecVirtual {
	y := v.AsY()
	if g.wide {
		half := g.YMM()
		g.VEXTRACTF64X4(operand.Imm(1), v, half)
		op(half, y, y)
	}
	half := g.XMM()
	x := v.AsX()
	g.VEXTRACTF128(operand.Imm(1), y, half)
	op(half, x, x)
	g.VPERMILPS(operand.Imm(0b1110), x, half)
	op(half, x, x)
	g.VPERMILPS(operand.Imm(0b0001), x, half)
	op(half, x, x)
	return v
}

// accumulate emits acc = op(acc, x) for the lanes of m and leaves the others. With AVX2 these take part
// with the constant fill ("" for 0), which op must ignore; x is lost.
func (g *generator) accumulate(x, acc reg.VecVirtual, m *mask, fill string, op func(...operand.Op)) {
	switch {
	case m == nil:
		op(x, acc, acc)
	case g.wide:
		op(x, acc, m.k, acc)
	case fill == "":
		g.VANDPS(m.y, x, x)
		op(x, acc, acc)
	default:
		g.VBLENDVPS(m.y, x, g.register(fill), x)
		op(x, acc, acc)
	}
}

func (g *generator) softmax() {
	g.function("Softmax", "rows, n int, x, p, top, sum *float32",
		"writes each row's exp(x-max(x))/sum to p, its maximum to top and its sum to sum, for at least one",
		"row and column.")
	g.use(exponentials...)
	g.use("lowest")
	rows, n := g.arg("rows"), g.arg("n")
	x, p, tops, sums := g.arg("x"), g.arg("p"), g.arg("top"), g.arg("sum")
	full, rest := g.GP64(), g.GP64()
	g.MOVQ(n, rest)
	g.ANDQ(operand.Imm(uint64(g.lanes-1)), rest)
	last := g.firstLanes(rest)
	g.MOVQ(n, full)
	g.SUBQ(rest, full)
	g.float4(full, n)

	// pass repeats body along the row, with the offset in bytes.
	offset := g.GP64()
	pass := func(body func(offset reg.GPVirtual, m *mask)) {
		loop, tail, done := g.label("loop"), g.label("tail"), g.label("done")
		g.XORQ(offset, offset)
		g.Label(loop)
		g.CMPQ(offset, full)
		g.JGE(operand.LabelRef(tail))
		body(offset, nil)
		g.ADDQ(operand.Imm(uint64(g.size())), offset)
		g.JMP(operand.LabelRef(loop))
		g.Label(tail)
		g.TESTQ(rest, rest)
		g.JZ(operand.LabelRef(done))
		body(offset, last)
		g.Label(done)
	}
	in := func(p reg.GPVirtual) operand.Mem { return operand.Mem{Base: p, Index: offset, Scale: 1} }

	row := g.label("row")
	g.Label(row)
	// A NaN may get lost in the maximum; its exponential brings it into the sum.
	top := g.copied("lowest")
	pass(func(offset reg.GPVirtual, m *mask) {
		g.accumulate(g.load(in(x), m), top, m, "lowest", g.VMAXPS)
	})
	g.acrossLanes(top, g.VMAXPS)
	g.VMOVSS(top.AsX(), at(tops))
	g.VBROADCASTSS(top.AsX(), top)

	sum := g.zero()
	pass(func(offset reg.GPVirtual, m *mask) {
		v := g.load(in(x), m)
		g.VSUBPS(top, v, v)
		// Below the range of exponent the result is 0.
		var inRange operand.Op = g.YMM()
		if g.wide {
			inRange = g.K()
		}
		const notLess = 5 // unordered: NaN passes
		g.VCMPPS(operand.Imm(notLess), g.constant("low"), v, inRange)
		g.VMAXPS(v, g.register("low"), v)
		s, e := g.exponent(v, false)
		if g.wide {
			g.VFMADD213PS_Z(s, s, inRange, e)
		} else {
			g.VFMADD213PS(s, s, e)
			g.VANDPS(inRange, e, e)
		}
		g.store(e, in(p), m)
		g.accumulate(e, sum, m, "", g.VADDPS)
	})
	g.acrossLanes(sum, g.VADDPS)
	g.VMOVSS(sum.AsX(), at(sums))
	g.VBROADCASTSS(sum.AsX(), sum)
	inverse := g.vec()
	g.VDIVPS(sum, g.register("one"), inverse)
	pass(func(offset reg.GPVirtual, m *mask) {
		v := g.load(in(p), m)
		g.VMULPS(inverse, v, v)
		g.store(v, in(p), m)
	})
	g.ADDQ(n, x)
	g.ADDQ(n, p)
	g.ADDQ(operand.Imm(4), tops)
	g.ADDQ(operand.Imm(4), sums)
	g.DECQ(rows)
	g.JNZ(operand.LabelRef(row))
	g.end()
}

func (g *generator) biasReLU() {
	g.function("AddBiasReLU", "rows, n int, y, bias *float32", "is Kernels.AddBiasReLU for at least one row and column.")
	rows, n, y, bias := g.arg("rows"), g.arg("n"), g.arg("y"), g.arg("bias")
	zero := g.zero()
	g.eachRow(rows, n, []stream{{p: y}, {bias, g.back(n)}}, func(m *mask) {
		v := g.load(at(y), m)
		g.VADDPS(g.load(at(bias), m), v, v)
		g.VMAXPS(v, zero, v) // its second source if either is NaN
		g.store(v, at(y), m)
	})
	g.end()
}

func (g *generator) reluBackward() {
	g.function("ReLUMask", "n int, y, dy, dz *float32", "computes dz = dy where y > 0 or is NaN, else 0, for n > 0 values.")
	n, y, dy, dz := g.arg("n"), g.arg("y"), g.arg("dy"), g.arg("dz")
	zero := g.zero()
	g.flat(n, []stream{{p: y}, {p: dy}, {p: dz}}, func(m *mask) {
		v, d := g.load(at(y), m), g.load(at(dy), m)
		const notLessOrEqual = 6 // unordered: NaN passes
		if g.wide {
			k := g.K()
			g.VCMPPS(operand.Imm(notLessOrEqual), zero, v, k)
			g.VMOVAPS_Z(d, k, d)
		} else {
			g.VCMPPS(operand.Imm(notLessOrEqual), zero, v, v)
			g.VANDPS(v, d, d)
		}
		g.store(d, at(dz), m)
	})
	g.end()
}

// flat is eachRow for a single row.
func (g *generator) flat(n reg.GPVirtual, streams []stream, body func(m *mask)) {
	one := g.GP64()
	g.MOVQ(operand.U32(1), one)
	g.eachRow(one, n, streams, body)
}

func (g *generator) affine() {
	g.function("Affine", "rows, n int, x, a, b, y *float32", "is Kernels.Affine for at least one row and column.")
	rows, n := g.arg("rows"), g.arg("n")
	x, a, b, y := g.arg("x"), g.arg("a"), g.arg("b"), g.arg("y")
	back := g.back(n)
	g.eachRow(rows, n, []stream{{p: x}, {a, back}, {b, back}, {p: y}}, func(m *mask) {
		v := g.load(at(x), m)
		g.VFMADD213PS(g.load(at(b), m), g.load(at(a), m), v)
		g.store(v, at(y), m)
	})
	g.end()

	g.function("Affine2", "rows, n int, x, y, a, b, c, z *float32", "is Kernels.Affine2 for at least one row and column.")
	rows, n = g.arg("rows"), g.arg("n")
	x, y, a, b = g.arg("x"), g.arg("y"), g.arg("a"), g.arg("b")
	c, z := g.arg("c"), g.arg("z")
	back = g.back(n)
	g.eachRow(rows, n, []stream{{p: x}, {p: y}, {a, back}, {b, back}, {c, back}, {p: z}}, func(m *mask) {
		v := g.load(at(y), m)
		g.VFMADD213PS(g.load(at(c), m), g.load(at(b), m), v)
		g.VFMADD231PS(g.load(at(a), m), g.load(at(x), m), v)
		g.store(v, at(z), m)
	})
	g.end()
}

func (g *generator) elementwise(name, formula string, op func(...operand.Op)) {
	g.function(name, "n int, x, y, z *float32", "computes "+formula+" for n > 0 values.")
	n, x, y, z := g.arg("n"), g.arg("x"), g.arg("y"), g.arg("z")
	g.flat(n, []stream{{p: x}, {p: y}, {p: z}}, func(m *mask) {
		v := g.load(at(x), m)
		op(g.load(at(y), m), v, v)
		g.store(v, at(z), m)
	})
	g.end()
}

// eachColumns repeats body for groups of columns that cover n: four registers, then one, then the rest
// with its mask. The streams walk along the columns. n is consumed.
func (g *generator) eachColumns(n reg.GPVirtual, streams []reg.GPVirtual, body func(registers int, m *mask)) {
	const several = 4
	done := g.label("done")
	for _, registers := range []int{several, 1} {
		loop, next := g.label("columns"), g.label("fewer")
		width := registers * g.lanes
		g.Label(loop)
		g.CMPQ(n, operand.U32(uint32(width)))
		g.JLT(operand.LabelRef(next))
		body(registers, nil)
		for _, p := range streams {
			g.ADDQ(operand.U32(uint32(4*width)), p)
		}
		g.SUBQ(operand.U32(uint32(width)), n)
		g.JMP(operand.LabelRef(loop))
		g.Label(next)
	}
	g.TESTQ(n, n)
	g.JZ(operand.LabelRef(done))
	body(1, g.firstLanes(n))
	g.float4(n)
	for _, p := range streams {
		g.ADDQ(n, p)
	}
	g.Label(done)
}

// part is the address of the i-th register from p.
func (g *generator) part(p reg.Register, i int) operand.Mem {
	return operand.Mem{Base: p, Disp: i * g.size()}
}

func (g *generator) columnSums(name string, dots bool) {
	parameters, doc := "rows, n int, x, sum *float32", "adds the column sums of x to sum, for at least one row and column."
	if dots {
		parameters, doc = "rows, n int, x, q, sum, dot *float32", "adds the column sums of x to sum and of x*q to dot, for at least one row and column."
	}
	g.function(name, parameters, doc)
	rows, n, x, sum := g.arg("rows"), g.arg("n"), g.arg("x"), g.arg("sum")
	streams := []reg.GPVirtual{x, sum}
	var q, dot reg.GPVirtual
	if dots {
		q, dot = g.arg("q"), g.arg("dot")
		streams = append(streams, q, dot)
	}
	stride := g.GP64()
	g.MOVQ(n, stride)
	g.float4(stride)
	g.eachColumns(n, streams, func(registers int, m *mask) {
		var sums, products []reg.VecVirtual
		for range registers {
			sums = append(sums, g.zero())
			if dots {
				products = append(products, g.zero())
			}
		}
		i, px, pq := g.GP64(), g.GP64(), g.GP64()
		g.MOVQ(rows, i)
		g.MOVQ(x, px)
		if dots {
			g.MOVQ(q, pq)
		}
		loop := g.label("loop")
		g.Label(loop)
		for r, s := range sums {
			v := g.load(g.part(px, r), m)
			g.VADDPS(v, s, s)
			if dots {
				g.VFMADD231PS(g.load(g.part(pq, r), m), v, products[r])
			}
		}
		g.ADDQ(stride, px)
		if dots {
			g.ADDQ(stride, pq)
		}
		g.DECQ(i)
		g.JNZ(operand.LabelRef(loop))
		for r, s := range sums {
			g.VADDPS(g.load(g.part(sum, r), m), s, s)
			g.store(s, g.part(sum, r), m)
			if dots {
				d := products[r]
				g.VADDPS(g.load(g.part(dot, r), m), d, d)
				g.store(d, g.part(dot, r), m)
			}
		}
	})
	g.end()
}

// tableRow computes the address of the columns at `columns` of the row that the next id names.
func (g *generator) tableRow(id, stride, columns reg.GPVirtual) reg.GPVirtual {
	row := g.GP64()
	g.MOVLQSX(at(id), row)
	g.IMULQ(stride, row)
	g.ADDQ(columns, row)
	g.ADDQ(operand.Imm(4), id)
	return row
}

func (g *generator) gather() {
	g.function("Gather", "rows, f, d int, ids *int32, table, y *float32", "is Kernels.Gather for at least one row, id and column.")
	rows, f, d, ids, y := g.arg("rows"), g.arg("f"), g.arg("d"), g.arg("ids"), g.arg("y")
	stride := g.GP64()
	g.MOVQ(d, stride)
	g.float4(stride)
	row := g.label("row")
	g.Label(row)
	left, table := g.GP64(), g.arg("table")
	g.MOVQ(d, left)
	g.eachColumns(left, []reg.GPVirtual{table, y}, func(registers int, m *mask) {
		i, id := g.GP64(), g.GP64()
		g.MOVQ(f, i)
		g.MOVQ(ids, id)
		var sums []reg.VecVirtual
		from := g.tableRow(id, stride, table)
		for r := range registers {
			sums = append(sums, g.load(g.part(from, r), m))
		}
		loop, done := g.label("loop"), g.label("done")
		g.DECQ(i)
		g.JZ(operand.LabelRef(done))
		g.Label(loop)
		from = g.tableRow(id, stride, table)
		for r, s := range sums {
			g.VADDPS(g.load(g.part(from, r), m), s, s)
		}
		g.DECQ(i)
		g.JNZ(operand.LabelRef(loop))
		g.Label(done)
		for r, s := range sums {
			g.store(s, g.part(y, r), m)
		}
	})
	g.LEAQ(operand.Mem{Base: ids, Index: f, Scale: 4}, ids)
	g.DECQ(rows)
	g.JNZ(operand.LabelRef(row))
	g.end()
}

func (g *generator) scatter() {
	g.function("Scatter", "rows, f, d int, ids *int32, dy, dTable *float32", "is Kernels.Scatter for at least one row, id and column.")
	rows, f, d, ids, dy := g.arg("rows"), g.arg("f"), g.arg("d"), g.arg("ids"), g.arg("dy")
	stride := g.GP64()
	g.MOVQ(d, stride)
	g.float4(stride)
	row := g.label("row")
	g.Label(row)
	left, table := g.GP64(), g.arg("dTable")
	g.MOVQ(d, left)
	g.eachColumns(left, []reg.GPVirtual{table, dy}, func(registers int, m *mask) {
		i, id := g.GP64(), g.GP64()
		g.MOVQ(f, i)
		g.MOVQ(ids, id)
		var gradients []reg.VecVirtual
		for r := range registers {
			gradients = append(gradients, g.load(g.part(dy, r), m))
		}
		loop := g.label("loop")
		g.Label(loop)
		to := g.tableRow(id, stride, table)
		for r, v := range gradients {
			sum := g.load(g.part(to, r), m)
			g.VADDPS(v, sum, sum)
			g.store(sum, g.part(to, r), m)
		}
		g.DECQ(i)
		g.JNZ(operand.LabelRef(loop))
	})
	g.LEAQ(operand.Mem{Base: ids, Index: f, Scale: 4}, ids)
	g.DECQ(rows)
	g.JNZ(operand.LabelRef(row))
	g.end()
}
