package main

import (
	"fmt"
	"math"

	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// generator builds the kernels of one instruction set.
type generator struct {
	*build.Context

	path  string
	wide  bool // AVX-512: 32 registers of 16 values, opmasks; else AVX2: 16 of 8, vector masks
	lanes int  // values in a register

	globals   map[string]operand.Mem // constants in memory, by name
	constants map[string]operand.Op  // of the function being built: registers (AVX-512) or memory
	saved     operand.Mem            // the caller's MXCSR
	labels    int
}

func newGenerator(path string, wide bool) *generator {
	g := &generator{Context: build.NewContext(), path: path, wide: wide, lanes: 8, globals: map[string]operand.Mem{}}
	if wide {
		g.lanes = 16
	}
	return g
}

// size is a register's size in bytes.
func (g *generator) size() int { return 4 * g.lanes }

// function begins a kernel: its name after the instruction set's, parameters and documentation. It
// sets the processor to read and write subnormal numbers as zero; end restores the caller's setting.
// That is safe because the scheduler never interrupts assembly.
func (g *generator) function(name, params string, doc ...string) {
	g.Function(g.path + name)
	g.Attributes(attr.NOSPLIT)
	g.SignatureExpr("func(" + params + ")")
	g.Pragma("noescape")
	doc[0] = g.path + name + " " + doc[0]
	g.Doc(doc...)
	g.constants = map[string]operand.Op{}

	g.saved = g.AllocLocal(8)
	g.STMXCSR(g.saved)
	flush, ok := g.globals["flush"]
	if !ok {
		const masked, flushToZero, denormalsAreZero = 0x1f80, 0x8000, 0x0040
		flush = g.StaticGlobal("flush")
		g.DataAttributes(attr.RODATA | attr.NOPTR)
		g.AppendDatum(operand.U32(masked | flushToZero | denormalsAreZero))
		g.globals["flush"] = flush
	}
	g.LDMXCSR(flush)
}

func (g *generator) end() {
	g.LDMXCSR(g.saved)
	g.VZEROUPPER()
	g.RET()
}

// label makes a name that is unique in the file.
func (g *generator) label(what string) string {
	g.labels++
	return fmt.Sprintf("%s%d", what, g.labels)
}

// arg loads an argument of 8 bytes.
func (g *generator) arg(name string) reg.GPVirtual {
	r := g.GP64()
	g.Load(g.Param(name), r)
	return r
}

// scalar loads a float32 argument into every lane.
func (g *generator) scalar(name string) reg.VecVirtual {
	v := g.vec()
	m, err := g.Param(name).Resolve()
	if err != nil {
		panic(err)
	}
	g.VBROADCASTSS(m.Addr, v)
	return v
}

// float4 scales a count of values to bytes, in place.
func (g *generator) float4(r ...reg.GPVirtual) {
	for _, r := range r {
		g.SHLQ(operand.Imm(2), r)
	}
}

func (g *generator) vec() reg.VecVirtual {
	if g.wide {
		return g.ZMM()
	}
	return g.YMM()
}

func (g *generator) zero() reg.VecVirtual {
	v := g.vec()
	g.clear(v)
	return v
}

func (g *generator) clear(v reg.VecVirtual) {
	if g.wide {
		g.VPXORD(v, v, v)
	} else {
		g.VXORPS(v, v, v)
	}
}

// The constants of the elementary functions; see scalar.go of package device.
var floats = map[string]float32{
	"low": -87, "high": 87, "one": 1, "two": 2, "lowest": float32(math.Inf(-1)),
	"log2e": math.Log2E, "rounds": 3 << 22, "ln2hi": 0.693359375, "ln2lo": -2.12194440e-4,
	"c2": 0.4999999403953552, "c3": 0.1666652113199234, "c4": 0.04166838899254799,
	"c5": 0.00836874544620514, "c6": 0.0013814540579915047,
}

// use makes constants ready as operands of the function: in registers with AVX-512, else in memory.
func (g *generator) use(names ...string) {
	for _, name := range names {
		m, ok := g.globals[name]
		if !ok {
			m = g.StaticGlobal(name)
			g.DataAttributes(attr.RODATA | attr.NOPTR)
			n := 1
			if !g.wide {
				n = g.lanes
			}
			for range n {
				g.AppendDatum(operand.U32(math.Float32bits(floats[name])))
			}
			g.globals[name] = m
		}
		if !g.wide {
			g.constants[name] = m
			continue
		}
		v := g.vec()
		g.VBROADCASTSS(m, v)
		g.constants[name] = v
	}
}

// constant is the operand that use made.
func (g *generator) constant(name string) operand.Op {
	c, ok := g.constants[name]
	if !ok {
		panic("constant " + name + " is not in use")
	}
	return c
}

// register is the constant in a register.
func (g *generator) register(name string) reg.Register {
	if r, ok := g.constant(name).(reg.Register); ok {
		return r
	}
	v := g.vec()
	g.VMOVUPS(g.constant(name), v)
	return v
}

// copied is the constant in a register of its own.
func (g *generator) copied(name string) reg.VecVirtual {
	v := g.vec()
	g.VMOVUPS(g.constant(name), v)
	return v
}

// mask selects the first lanes of a register; nil selects all.
type mask struct {
	k reg.OpmaskVirtual
	y reg.VecVirtual
}

// firstLanes is the mask of the first n lanes, 0 <= n <= lanes.
func (g *generator) firstLanes(n reg.GPVirtual) *mask {
	m := &mask{}
	if g.wide {
		bits := g.GP64()
		g.MOVQ(n, reg.RCX)
		g.MOVQ(operand.U32(1), bits)
		g.SHLQ(reg.CL, bits)
		g.DECQ(bits)
		m.k = g.K()
		g.KMOVW(bits.As32(), m.k)
		return m
	}
	table, ok := g.globals["lanes"]
	if !ok {
		table = g.StaticGlobal("lanes")
		g.DataAttributes(attr.RODATA | attr.NOPTR)
		for i := range 2 * g.lanes {
			g.AppendDatum(operand.U32(map[bool]uint32{true: math.MaxUint32}[i < g.lanes]))
		}
		g.globals["lanes"] = table
	}
	base, back := g.GP64(), g.GP64()
	g.LEAQ(table, base)
	g.MOVQ(n, back)
	g.NEGQ(back)
	m.y = g.YMM()
	g.VMOVUPS(operand.Mem{Base: base, Index: back, Scale: 4, Disp: g.size()}, m.y)
	return m
}

// load reads the lanes of m; the others are zero.
func (g *generator) load(from operand.Mem, m *mask) reg.VecVirtual {
	v := g.vec()
	switch {
	case m == nil:
		g.VMOVUPS(from, v)
	case g.wide:
		g.VMOVUPS_Z(from, m.k, v)
	default:
		g.VMASKMOVPS(from, m.y, v)
	}
	return v
}

// store writes the lanes of m.
func (g *generator) store(v reg.VecVirtual, to operand.Mem, m *mask) {
	switch {
	case m == nil:
		g.VMOVUPS(v, to)
	case g.wide:
		g.VMOVUPS(v, m.k, to)
	default:
		g.VMASKMOVPS(v, m.y, to)
	}
}

// stream is a pointer that walks along the columns of each row. After a row it moves on by skip bytes
// (nil: it already stands at the next row).
type stream struct {
	p    reg.GPVirtual
	skip operand.Op
}

func at(p reg.Register) operand.Mem { return operand.Mem{Base: p} }

// eachRow repeats body for every register of every row of n values: once for full registers and once
// for the rest of the row, with its mask. rows must be positive; rows and n are consumed.
func (g *generator) eachRow(rows, n reg.GPVirtual, streams []stream, body func(m *mask)) {
	rest, full, i := g.GP64(), g.GP64(), g.GP64()
	g.MOVQ(n, rest)
	g.ANDQ(operand.Imm(uint64(g.lanes-1)), rest)
	m := g.firstLanes(rest)
	g.float4(rest)
	g.MOVQ(n, full)
	g.SHRQ(operand.Imm(map[int]uint64{8: 3, 16: 4}[g.lanes]), full)

	row, loop, tail, next := g.label("row"), g.label("loop"), g.label("tail"), g.label("next")
	g.Label(row)
	g.MOVQ(full, i)
	g.TESTQ(i, i)
	g.JZ(operand.LabelRef(tail))
	g.Label(loop)
	body(nil)
	for _, s := range streams {
		g.ADDQ(operand.Imm(uint64(g.size())), s.p)
	}
	g.DECQ(i)
	g.JNZ(operand.LabelRef(loop))
	g.Label(tail)
	g.TESTQ(rest, rest)
	g.JZ(operand.LabelRef(next))
	body(m)
	for _, s := range streams {
		g.ADDQ(rest, s.p)
	}
	g.Label(next)
	for _, s := range streams {
		if s.skip != nil {
			g.ADDQ(s.skip, s.p)
		}
	}
	g.DECQ(rows)
	g.JNZ(operand.LabelRef(row))
}

// back is a stream's skip of -n values: the stream passes the same n values in each row.
func (g *generator) back(n reg.GPVirtual) reg.GPVirtual {
	b := g.GP64()
	g.MOVQ(n, b)
	g.NEGQ(b)
	g.float4(b)
	return b
}

// exponentials are the constants that exponent needs.
var exponentials = []string{"low", "high", "log2e", "rounds", "ln2hi", "ln2lo", "c2", "c3", "c4", "c5", "c6", "one"}

// clamp limits x to low...high. NaN passes: minimum and maximum return their second source, here x,
// if either is NaN.
func (g *generator) clamp(x reg.VecVirtual) {
	g.VMAXPS(x, g.register("low"), x)
	g.VMINPS(x, g.register("high"), x)
}

// exponent returns scale and q with exp(±x) = scale + scale*q, for a clamped x, which is lost.
func (g *generator) exponent(x reg.VecVirtual, negative bool) (scale, q reg.VecVirtual) {
	t, n := g.copied("rounds"), g.vec()
	if negative {
		g.VFNMADD231PS(g.constant("log2e"), x, t)
	} else {
		g.VFMADD231PS(g.constant("log2e"), x, t)
	}
	g.VSUBPS(g.constant("rounds"), t, n)
	if negative {
		g.VFNMSUB231PS(g.constant("ln2hi"), n, x)
	} else {
		g.VFNMADD231PS(g.constant("ln2hi"), n, x)
	}
	g.VFNMADD231PS(g.constant("ln2lo"), n, x)
	g.VPSLLD(operand.Imm(23), t, t)
	g.VPADDD(g.constant("one"), t, t)
	p := g.copied("c6")
	for _, c := range []string{"c5", "c4", "c3", "c2"} {
		g.VFMADD213PS(g.constant(c), x, p)
	}
	g.VMULPS(x, x, n)
	g.VFMADD213PS(x, n, p)
	return t, p
}

// sigmoid replaces x by 1/(1+exp(-x)).
func (g *generator) sigmoid(x reg.VecVirtual) {
	g.clamp(x)
	s, q := g.exponent(x, true)
	g.VFMADD213PS(s, s, q)
	g.VADDPS(g.constant("one"), q, q)
	g.VDIVPS(q, g.register("one"), x)
}

// tanh replaces x by its hyperbolic tangent.
func (g *generator) tanh(x reg.VecVirtual) {
	g.VADDPS(x, x, x)
	g.clamp(x)
	s, q := g.exponent(x, false)
	less := g.vec()
	g.VSUBPS(g.constant("one"), s, less)
	g.VFMADD213PS(less, s, q)
	g.VADDPS(g.constant("two"), q, less)
	g.VDIVPS(less, q, x)
}
