package main

import "github.com/mmcloughlin/avo/operand"

// adam emits the optimiser's update.
func (g *generator) adam() {
	g.function("Adam", "n int, w, gradient, m, v *float32, step, scale, b1, c1, b2, c2, eps float32",
		"is Kernels.Adam for n > 0 values, with c1 = 1-b1 and c2 = 1-b2.")
	n := g.arg("n")
	w, gradient, first, second := g.arg("w"), g.arg("gradient"), g.arg("m"), g.arg("v")
	step, scale, eps := g.scalar("step"), g.scalar("scale"), g.scalar("eps")
	b1, c1, b2, c2 := g.scalar("b1"), g.scalar("c1"), g.scalar("b2"), g.scalar("c2")
	one := g.GP64()
	g.MOVQ(operand.U32(1), one)
	g.eachRow(one, n, []stream{{p: w}, {p: gradient}, {p: first}, {p: second}}, func(mask *mask) {
		d, m, v := g.load(at(gradient), mask), g.load(at(first), mask), g.load(at(second), mask)
		g.VMULPS(b1, m, m)
		g.VFMADD231PS(c1, d, m)
		g.store(m, at(first), mask)
		g.VMULPS(d, d, d)
		g.VMULPS(b2, v, v)
		g.VFMADD231PS(c2, d, v)
		g.store(v, at(second), mask)
		g.VSQRTPS(v, v)
		g.VFMADD213PS(eps, scale, v)
		g.VMULPS(step, m, m)
		g.VDIVPS(v, m, m)
		x := g.load(at(w), mask)
		g.VSUBPS(m, x, x)
		g.store(x, at(w), mask)
	})
	g.end()
}
