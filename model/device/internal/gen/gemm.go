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

// gemmRows emits the micro-kernel of a number of rows.
func (g *generator) gemmRows(rows int) {
	g.function(fmt.Sprintf("Gemm%d", rows), "blocks, k int, a *float32, rs, cs int, b, c *float32, ldc int, acc bool, width int",
		fmt.Sprintf("multiplies blocks x %d rows of A by a packed panel of k rows: C = A*B, or C += A*B if acc,", rows),
		"over the panel's first width columns. A's element (i, j) is a[i*rs+j*cs].")
	blocks, k, a, rs, cs := g.arg("blocks"), g.arg("k"), g.arg("a"), g.arg("rs"), g.arg("cs")
	b, c := g.arg("b"), g.arg("c")
	g.float4(rs, cs)

	var sums [][panelRegisters]reg.VecVirtual
	for range rows {
		sums = append(sums, [panelRegisters]reg.VecVirtual{g.vec(), g.vec()})
	}

	block := g.label("block")
	g.Label(block)
	// A's rows are addressed by a pointer for each three of them.
	var pointers []reg.GPVirtual
	rs3 := g.GP64()
	if rows > 3 {
		g.LEAQ(operand.Mem{Base: rs, Index: rs, Scale: 2}, rs3)
	}
	for r := 0; r < rows; r += 3 {
		p := g.GP64()
		if r == 0 {
			g.MOVQ(a, p)
		} else {
			g.LEAQ(operand.Mem{Base: pointers[len(pointers)-1], Index: rs3, Scale: 1}, p)
		}
		pointers = append(pointers, p)
	}
	for _, row := range sums {
		for _, s := range row {
			g.clear(s)
		}
	}
	panel, left := g.GP64(), g.GP64()
	g.MOVQ(b, panel)
	step := func(offset int) {
		var right [panelRegisters]reg.VecVirtual
		for v := range right {
			right[v] = g.load(operand.Mem{Base: panel, Disp: offset + v*g.size()}, nil)
		}
		for r, row := range sums {
			left := operand.Mem{Base: pointers[r/3]}
			if r%3 > 0 {
				left.Index, left.Scale = rs, uint8(r%3)
			}
			value := g.vec()
			g.VBROADCASTSS(left, value)
			for v, s := range row {
				g.VFMADD231PS(right[v], value, s)
			}
		}
		for _, p := range pointers {
			g.ADDQ(cs, p)
		}
	}
	// Unrolling further gains nothing with AVX-512, whose instructions are longer.
	unroll := uint64(4)
	if g.wide {
		unroll = 2
	}
	loop, last, rest, store := g.label("loop"), g.label("last"), g.label("rest"), g.label("store")
	g.MOVQ(k, left)
	g.SUBQ(operand.Imm(unroll), left)
	g.JLT(operand.LabelRef(last))
	g.Label(loop)
	for i := range unroll {
		step(int(i) * panelRegisters * g.size())
	}
	g.ADDQ(operand.U32(uint32(unroll)*panelRegisters*uint32(g.size())), panel)
	g.SUBQ(operand.Imm(unroll), left)
	g.JGE(operand.LabelRef(loop))
	g.Label(last)
	g.ADDQ(operand.Imm(unroll), left)
	g.JZ(operand.LabelRef(store))
	g.Label(rest)
	step(0)
	g.ADDQ(operand.U32(panelRegisters*uint32(g.size())), panel)
	g.DECQ(left)
	g.JNZ(operand.LabelRef(rest))
	g.Label(store)

	next := g.label("next")
	ldc, acc := g.arg("ldc"), g.GP32()
	g.float4(ldc)
	g.Load(g.Param("acc"), acc)
	write := func(add bool, masks [panelRegisters]*mask) {
		for _, row := range sums {
			for v, s := range row {
				m := operand.Mem{Base: c, Disp: v * g.size()}
				if add {
					g.VADDPS(g.load(m, masks[v]), s, s)
				}
				g.store(s, m, masks[v])
			}
			g.ADDQ(ldc, c)
		}
		g.JMP(operand.LabelRef(next))
	}
	both := func(masks [panelRegisters]*mask) {
		plain := g.label("plain")
		g.TESTL(acc, acc)
		g.JZ(operand.LabelRef(plain))
		write(true, masks)
		g.Label(plain)
		write(false, masks)
	}
	narrow := g.label("narrow")
	width := g.arg("width")
	g.CMPQ(width, operand.U32(uint32(panelRegisters*g.lanes)))
	g.JNE(operand.LabelRef(narrow))
	both([panelRegisters]*mask{})
	g.Label(narrow)
	both(g.panelMasks(width))

	g.Label(next)
	for range rows {
		g.ADDQ(rs, a)
	}
	g.DECQ(blocks)
	g.JNZ(operand.LabelRef(block))
	g.end()
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
