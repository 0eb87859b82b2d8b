package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// gemm emits the micro-kernels of the matrix product, one for each number of rows. A kernel keeps rows x
// 2 registers of sums, reads two registers of the panel and broadcasts one value of A for each row: with
// 12 rows of AVX-512 that is 24 multiply-adds for 14 loads, so the two arithmetic units never wait.
// Every sum takes its terms in the order of k in all kernels, so a row's result does not depend on
// which kernel it meets.
func (g *generator) gemm() {
	rows := 6
	if g.wide {
		rows = 12
	}
	for r := 1; r <= rows; r++ {
		g.gemmRows(r)
	}
	g.packRows()
	g.packColumns()
	g.peak()
}

// panelRegisters is the width of a packed panel in registers.
const panelRegisters = 2

// gemmRows emits the micro-kernel of a number of rows. It passes over all panels, so that its rows of A
// stay in the first-level cache and the panels flow through it.
func (g *generator) gemmRows(rows int) {
	g.function(fmt.Sprintf("Gemm%d", rows), "n, k int, a *float32, rs, cs int, b *float32, panel int, c *float32, ldc int, acc bool",
		fmt.Sprintf("multiplies %d rows of A by k > 0 packed rows of n > 0 columns, whose panels are `panel` values apart:", rows),
		"C = A*B, or C += A*B if acc. A's element (i, j) is a[i*rs+j*cs].")
	t := &tile{generator: g, rows: rows, n: g.arg("n"), a: g.arg("a"), rs: g.arg("rs"), cs: g.arg("cs"), b: g.arg("b"), c: g.arg("c")}
	g.float4(t.rs, t.cs)
	for range rows {
		t.accumulators = append(t.accumulators, [panelRegisters]reg.VecVirtual{g.vec(), g.vec()})
	}
	panel, half, done := g.label("panel"), g.label("half"), g.label("done")
	g.Label(panel)
	g.CMPQ(t.n, operand.Imm(uint64(g.lanes)))
	g.JLE(operand.LabelRef(half))
	sums := t.sums(panelRegisters)
	narrow := g.label("narrow")
	g.CMPQ(t.n, operand.U32(uint32(panelRegisters*g.lanes)))
	g.JLT(operand.LabelRef(narrow))
	t.write(sums, make([]*mask, panelRegisters))
	stride := g.arg("panel")
	g.LEAQ(operand.Mem{Base: t.b, Index: stride, Scale: 4}, t.b)
	g.ADDQ(operand.U32(uint32(panelRegisters*g.size())), t.c)
	g.SUBQ(operand.U32(uint32(panelRegisters*g.lanes)), t.n)
	g.JNZ(operand.LabelRef(panel))
	g.JMP(operand.LabelRef(done))

	g.Label(narrow)
	masks := g.panelMasks(t.n)
	t.write(sums, masks[:])
	g.JMP(operand.LabelRef(done))

	// One register covers the rest.
	g.Label(half)
	t.write(t.sums(1), []*mask{g.firstLanes(t.n)})
	g.Label(done)
	g.end()
}

// tile computes rows x one panel of C. The kernel moves b, c and n on from panel to panel.
type tile struct {
	*generator
	rows               int
	n, a, rs, cs, b, c reg.GPVirtual
	accumulators       [][panelRegisters]reg.VecVirtual
}

// sums emits the sums over k in the given number of registers a row.
func (t *tile) sums(registers int) [][]reg.VecVirtual {
	// C may be far from the processor, as in gradients of weights: let it come while the sums are taken.
	row, ldc := t.GP64(), t.arg("ldc")
	t.float4(ldc)
	t.MOVQ(t.c, row)
	for r := range t.rows {
		for v := range registers {
			t.PREFETCHT0(t.part(row, v))
		}
		t.PREFETCHT0(operand.Mem{Base: row, Disp: registers*t.size() - 4})
		if r < t.rows-1 {
			t.ADDQ(ldc, row)
		}
	}
	// A's rows are addressed by a pointer for each three of them.
	var pointers []reg.GPVirtual
	rs3 := t.GP64()
	t.LEAQ(operand.Mem{Base: t.rs, Index: t.rs, Scale: 2}, rs3)
	for r := 0; r < t.rows; r += 3 {
		p := t.GP64()
		if r == 0 {
			t.MOVQ(t.a, p)
		} else {
			t.LEAQ(operand.Mem{Base: pointers[len(pointers)-1], Index: rs3, Scale: 1}, p)
		}
		pointers = append(pointers, p)
	}
	sums := make([][]reg.VecVirtual, t.rows)
	for r := range sums {
		sums[r] = t.accumulators[r][:registers]
		for _, s := range sums[r] {
			t.clear(s)
		}
	}
	panel, left := t.GP64(), t.arg("k")
	t.MOVQ(t.b, panel)
	twoSteps := t.GP64()
	t.LEAQ(operand.Mem{Base: t.cs, Index: t.cs, Scale: 1}, twoSteps)
	step := func(row int) {
		right := make([]reg.VecVirtual, registers)
		for v := range right {
			right[v] = t.load(t.part(panel, row*panelRegisters+v), nil)
		}
		for r, row := range sums {
			left := operand.Mem{Base: pointers[r/3]}
			if r%3 > 0 {
				left.Index, left.Scale = t.rs, uint8(r%3)
			}
			value := t.vec()
			t.VBROADCASTSS(left, value)
			for v, s := range row {
				t.VFMADD231PS(right[v], value, s)
			}
		}
		// If A is stored by columns no processor foresees where the next ones are, 16 steps ahead. Their
		// first and last rows cover all.
		for _, p := range []reg.GPVirtual{pointers[0], pointers[len(pointers)-1]} {
			t.PREFETCHT0(operand.Mem{Base: p, Index: twoSteps, Scale: 8})
		}
		for _, p := range pointers {
			t.ADDQ(t.cs, p)
		}
	}
	// Unrolling further gains nothing with AVX-512, whose instructions are longer.
	unroll := 4
	if t.wide {
		unroll = 2
	}
	advance := func(rows int) { t.ADDQ(operand.U32(uint32(rows*panelRegisters*t.size())), panel) }
	loop, last, rest, end := t.label("loop"), t.label("last"), t.label("rest"), t.label("end")
	t.SUBQ(operand.Imm(uint64(unroll)), left)
	t.JLT(operand.LabelRef(last))
	t.Label(loop)
	for i := range unroll {
		step(i)
	}
	advance(unroll)
	t.SUBQ(operand.Imm(uint64(unroll)), left)
	t.JGE(operand.LabelRef(loop))
	t.Label(last)
	t.ADDQ(operand.Imm(uint64(unroll)), left)
	t.JZ(operand.LabelRef(end))
	t.Label(rest)
	step(0)
	advance(1)
	t.DECQ(left)
	t.JNZ(operand.LabelRef(rest))
	t.Label(end)
	return sums
}

// write emits the storing of sums, or their addition to C.
func (t *tile) write(sums [][]reg.VecVirtual, masks []*mask) {
	acc := t.GP32()
	t.Load(t.Param("acc"), acc)
	plain, done := t.label("plain"), t.label("done")
	store := func(add bool) {
		row, ldc := t.GP64(), t.arg("ldc")
		t.float4(ldc)
		t.MOVQ(t.c, row)
		for _, s := range sums {
			for v, s := range s {
				to := t.part(row, v)
				if add {
					t.VADDPS(t.load(to, masks[v]), s, s)
				}
				t.store(s, to, masks[v])
			}
			t.ADDQ(ldc, row)
		}
	}
	t.TESTL(acc, acc)
	t.JZ(operand.LabelRef(plain))
	store(true)
	t.JMP(operand.LabelRef(done))
	t.Label(plain)
	store(false)
	t.Label(done)
}

// panelMasks are the masks of the first columns of a panel's row: min(columns, lanes) lanes and
// max(columns-lanes, 0) lanes.
func (g *generator) panelMasks(columns reg.GPVirtual) [panelRegisters]*mask {
	first, second, none := g.GP64(), g.GP64(), g.GP64()
	g.MOVQ(operand.U32(uint32(g.lanes)), first)
	g.CMPQ(columns, first)
	g.CMOVQLT(columns, first)
	g.XORQ(none, none)
	g.MOVQ(columns, second)
	g.SUBQ(operand.Imm(uint64(g.lanes)), second)
	g.CMOVQLT(none, second)
	return [panelRegisters]*mask{g.firstLanes(first), g.firstLanes(second)}
}

// peakSums is the number of independent sums in peak: more than the two units' latency needs.
const peakSums = 12

// peak emits the yardstick of the benchmarks: nothing but multiply-adds.
func (g *generator) peak() {
	g.function("Peak", "n int", fmt.Sprintf("does n x %d x %d multiply-adds in registers.", peakSums, g.lanes))
	n := g.arg("n")
	var sums []reg.VecVirtual
	for range peakSums {
		sums = append(sums, g.zero())
	}
	x := g.zero()
	loop := g.label("loop")
	g.Label(loop)
	for _, s := range sums {
		g.VFMADD231PS(x, x, s)
	}
	g.DECQ(n)
	g.JNZ(operand.LabelRef(loop))
	g.end()
}
