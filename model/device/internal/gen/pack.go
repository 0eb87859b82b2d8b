package main

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// packRows emits the copy of a matrix into panels. It reads along the rows, which the processor
// foresees, and writes whole cache lines to all panels in turn.
func (g *generator) packRows() {
	g.function("PackRows", "k, n int, b *float32, rs int, to *float32, panel int",
		"copies k > 0 rows of n > 0 values, rs apart, into panels that are `panel` values apart, and fills",
		"the last one with zeros.")
	k, n, b, rs, to, panel := g.arg("k"), g.arg("n"), g.arg("b"), g.arg("rs"), g.arg("to"), g.arg("panel")
	g.float4(rs, panel)
	width := panelRegisters * g.lanes
	rest := g.GP64()
	g.MOVQ(n, rest)
	g.ANDQ(operand.Imm(uint64(width-1)), rest)
	masks := g.panelMasks(rest)
	rs3 := g.GP64()
	g.LEAQ(operand.Mem{Base: rs, Index: rs, Scale: 2}, rs3)

	from, left, panels := g.GP64(), g.GP64(), g.GP64()
	for _, rows := range []int{4, 1} {
		block, loop, tail, next, fewer := g.label("block"), g.label("loop"), g.label("tail"), g.label("next"), g.label("fewer")
		g.Label(block)
		g.CMPQ(k, operand.Imm(uint64(rows)))
		g.JLT(operand.LabelRef(fewer))
		g.MOVQ(b, from)
		g.MOVQ(to, panels)
		g.MOVQ(n, left)
		copyRows := func(masks [panelRegisters]*mask) {
			var values []reg.VecVirtual
			for r := range rows {
				row := operand.Mem{Base: from}
				switch r {
				case 1, 2:
					row.Index, row.Scale = rs, uint8(r)
				case 3:
					row.Index, row.Scale = rs3, 1
				}
				for v, m := range masks {
					values = append(values, g.load(row.Offset(v*g.size()), m))
				}
			}
			for i, v := range values {
				g.store(v, g.part(panels, i), nil)
			}
		}
		g.Label(loop)
		g.SUBQ(operand.Imm(uint64(width)), left)
		g.JLT(operand.LabelRef(tail))
		copyRows([panelRegisters]*mask{})
		g.ADDQ(operand.U32(uint32(4*width)), from)
		g.ADDQ(panel, panels)
		g.JMP(operand.LabelRef(loop))
		g.Label(tail)
		g.TESTQ(rest, rest)
		g.JZ(operand.LabelRef(next))
		copyRows(masks)
		g.Label(next)
		for range rows {
			g.ADDQ(rs, b)
		}
		g.ADDQ(operand.U32(uint32(4*width*rows)), to)
		g.SUBQ(operand.Imm(uint64(rows)), k)
		g.JMP(operand.LabelRef(block))
		g.Label(fewer)
	}
	g.end()
}

// packColumns emits the packing of a transposed matrix, whose columns are contiguous: blocks of 8 x 8
// values are read by columns and written by rows. Both instruction sets use registers of 8 values, for
// which few instructions transpose a block.
func (g *generator) packColumns() {
	g.function("PackColumns", "blocks int, b *float32, cs int, to *float32, stride int",
		"copies 8 columns of blocks x 8 values, cs apart, to rows of 8 values that are stride apart.")
	blocks, b, cs, to, stride := g.arg("blocks"), g.arg("b"), g.arg("cs"), g.arg("to"), g.arg("stride")
	g.float4(cs, stride)
	b4, to4, cs3, stride3 := g.GP64(), g.GP64(), g.GP64(), g.GP64()
	triple := func(x, x3 reg.GPVirtual) { g.LEAQ(operand.Mem{Base: x, Index: x, Scale: 2}, x3) }
	triple(cs, cs3)
	triple(stride, stride3)
	// place is the i-th of 8 rows from p; p4 is the fourth.
	place := func(p, p4, stride, stride3 reg.GPVirtual, i int) operand.Mem {
		m := operand.Mem{Base: p}
		if i >= 4 {
			m.Base = p4
		}
		switch i % 4 {
		case 1, 2:
			m.Index, m.Scale = stride, uint8(i%4)
		case 3:
			m.Index, m.Scale = stride3, 1
		}
		return m
	}
	loop := g.label("loop")
	g.Label(loop)
	g.LEAQ(operand.Mem{Base: b, Index: cs, Scale: 4}, b4)
	var columns [8]reg.VecVirtual
	for i := range columns {
		columns[i] = g.YMM()
		g.VMOVUPS(place(b, b4, cs, cs3, i), columns[i])
	}
	g.LEAQ(operand.Mem{Base: to, Index: stride, Scale: 4}, to4)
	for i, row := range g.transpose(columns) {
		g.VMOVUPS(row, place(to, to4, stride, stride3, i))
	}
	g.ADDQ(operand.Imm(32), b)
	g.LEAQ(operand.Mem{Base: to, Index: stride, Scale: 8}, to)
	g.DECQ(blocks)
	g.JNZ(operand.LabelRef(loop))
	g.end()
}

// transpose exchanges the rows and columns of a block: pairs of values are interleaved within halves of
// registers, then pairs of pairs, then the halves are put together.
func (g *generator) transpose(x [8]reg.VecVirtual) (rows [8]reg.VecVirtual) {
	var pairs, quads [8]reg.VecVirtual
	for i := range 4 {
		low, high := g.YMM(), g.YMM()
		g.VUNPCKLPS(x[2*i+1], x[2*i], low)
		g.VUNPCKHPS(x[2*i+1], x[2*i], high)
		pairs[2*i], pairs[2*i+1] = low, high
	}
	for i := range 8 { // quads[4*h+r]: row r (and 4+r in the high half) of columns 4h to 4h+3
		h, r := i/4, i%4
		const firstPairs, secondPairs = 0x44, 0xee
		select2 := operand.U8(firstPairs)
		if r%2 == 1 {
			select2 = secondPairs
		}
		quads[i] = g.YMM()
		g.VSHUFPS(select2, pairs[4*h+2+r/2], pairs[4*h+r/2], quads[i])
	}
	for i := range rows {
		const lowHalves, highHalves = 0x20, 0x31
		halves := operand.U8(lowHalves)
		if i >= 4 {
			halves = highHalves
		}
		rows[i] = g.YMM()
		g.VPERM2F128(halves, quads[4+i%4], quads[i%4], rows[i])
	}
	return rows
}
