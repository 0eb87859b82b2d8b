package main

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// gates addresses the four gates i, f, g, o of a row, h values apart.
type gates struct{ p, h, h3 reg.GPVirtual }

func (a gates) at(gate int) operand.Mem {
	switch gate {
	case 0:
		return operand.Mem{Base: a.p}
	case 3:
		return operand.Mem{Base: a.p, Index: a.h3, Scale: 1}
	}
	return operand.Mem{Base: a.p, Index: a.h, Scale: uint8(gate)}
}

// lstm emits the recurrent layer's gates, forward and backward.
func (g *generator) lstm() {
	g.function("LSTMForward", "rows, h int, z, bias, cPrev, c, tanhC, y *float32, ldy int",
		"is Kernels.LSTMForward for at least one row and column.")
	g.use(exponentials...)
	g.use("two")
	rows, n := g.arg("rows"), g.arg("h")
	h, h3, back, skip := g.GP64(), g.GP64(), g.back(n), g.arg("ldy")
	g.SUBQ(n, skip)
	g.float4(skip)
	g.MOVQ(n, h)
	g.float4(h)
	g.LEAQ(operand.Mem{Base: h, Index: h, Scale: 2}, h3)
	z, bias := gates{g.arg("z"), h, h3}, gates{g.arg("bias"), h, h3}
	cPrev, c, tanhC, y := g.arg("cPrev"), g.arg("c"), g.arg("tanhC"), g.arg("y")
	streams := []stream{{z.p, h3}, {bias.p, back}, {p: cPrev}, {p: c}, {p: tanhC}, {y, skip}}
	g.eachRow(rows, n, streams, func(m *mask) {
		gate := func(i int, squash func(reg.VecVirtual)) reg.VecVirtual {
			x := g.load(z.at(i), m)
			g.VADDPS(g.load(bias.at(i), m), x, x)
			squash(x)
			g.store(x, z.at(i), m)
			return x
		}
		f := gate(1, g.sigmoid)
		cell := g.load(at(cPrev), m)
		g.VMULPS(f, cell, cell)
		i, candidate := gate(0, g.sigmoid), gate(2, g.tanh)
		g.VFMADD231PS(i, candidate, cell)
		g.store(cell, at(c), m)
		o := gate(3, g.sigmoid)
		g.tanh(cell)
		g.store(cell, at(tanhC), m)
		g.VMULPS(o, cell, cell)
		g.store(cell, at(y), m)
	})
	g.end()

	g.function("LSTMBackward", "rows, h int, z, dy *float32, lddy int, dh, cPrev, tanhC, dc *float32",
		"is Kernels.LSTMBackward for at least one row and column.")
	g.use("one")
	rows, n = g.arg("rows"), g.arg("h")
	h, h3, skip = g.GP64(), g.GP64(), g.arg("lddy")
	g.SUBQ(n, skip)
	g.float4(skip)
	g.MOVQ(n, h)
	g.float4(h)
	g.LEAQ(operand.Mem{Base: h, Index: h, Scale: 2}, h3)
	z = gates{g.arg("z"), h, h3}
	dy, dh, dc := g.arg("dy"), g.arg("dh"), g.arg("dc")
	cPrev, tanhC = g.arg("cPrev"), g.arg("tanhC")
	streams = []stream{{z.p, h3}, {dy, skip}, {p: dh}, {p: cPrev}, {p: tanhC}, {p: dc}}
	g.eachRow(rows, n, streams, func(m *mask) {
		// oneMinus returns 1 - x*y.
		oneMinus := func(x, y reg.VecVirtual) reg.VecVirtual {
			v := g.copied("one")
			g.VFNMADD231PS(x, y, v)
			return v
		}
		// through multiplies the gradient by the slope x*(1-x) of a sigmoid of value x.
		through := func(gradient, x reg.VecVirtual) {
			slope := g.vec()
			g.VSUBPS(x, g.register("one"), slope)
			g.VMULPS(x, slope, slope)
			g.VMULPS(slope, gradient, gradient)
		}
		d := g.load(at(dy), m)
		g.VADDPS(g.load(at(dh), m), d, d)
		o, t := g.load(z.at(3), m), g.load(at(tanhC), m)
		cell, part := g.load(at(dc), m), g.vec()
		g.VMULPS(o, d, part)
		g.VFMADD231PS(oneMinus(t, t), part, cell)
		g.VMULPS(t, d, d)
		through(d, o)
		g.store(d, z.at(3), m)

		i, candidate := g.load(z.at(0), m), g.load(z.at(2), m)
		gradient := g.vec()
		g.VMULPS(candidate, cell, gradient)
		through(gradient, i)
		g.store(gradient, z.at(0), m)
		g.VMULPS(i, cell, gradient)
		g.VMULPS(oneMinus(candidate, candidate), gradient, gradient)
		g.store(gradient, z.at(2), m)

		f := g.load(z.at(1), m)
		g.VMULPS(g.load(at(cPrev), m), cell, gradient)
		through(gradient, f)
		g.store(gradient, z.at(1), m)
		g.VMULPS(f, cell, cell)
		g.store(cell, at(dc), m)
	})
	g.end()
}
