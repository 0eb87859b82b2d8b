package packed

import "math/bits"

// coder is an adaptive binary arithmetic coder that goes both ways: while encoding, bit takes the bit
// that it is given; while decoding, it ignores it and returns the one that was encoded. So one function
// describes a format, and writer and reader cannot differ.
//
// The arithmetic is that of the carry-less coder of lpaq and its relatives: an interval of 64 bits, of
// which a byte leaves as soon as both ends agree on it.
type coder struct {
	encoding bool
	low, hi  uint64
	x        uint64 // decoding: what was read, aligned with the interval
	coded    []byte // written, or what is left to read
	raw      []byte // bytes that no model can foresee, beside the coded ones
	overrun  int    // decoding: bytes asked for beyond the end
}

func newEncoder() coder { return coder{encoding: true, hi: 1<<64 - 1} }

func newDecoder(coded, raw []byte) coder {
	c := coder{hi: 1<<64 - 1, coded: coded, raw: raw}
	for range 8 {
		c.x = c.x<<8 | uint64(c.take())
	}
	c.overrun = 0 // the encoder leaves out what it can at the end
	return c
}

// slack is how many bytes a decoder may ask for beyond the end of intact data.
const slack = 16

func (c *coder) take() byte {
	if len(c.coded) == 0 {
		c.overrun++
		return 0
	}
	b := c.coded[0]
	c.coded = c.coded[1:]
	return b
}

// spoilt tells that what is being decoded was not written by this coder.
func (c *coder) spoilt() bool { return c.overrun > slack }

// spoil says so.
func (c *coder) spoil() { c.overrun = slack + 1 }

// prob is the probability that a bit is 1, in the upper 22 bits, and how often it was asked, below. The
// first bit is turned round, so that zero is an even chance.
type prob uint32

const (
	evens     = 1 << 31
	askedMask = 1<<10 - 1
	// memory bounds how long a probability remembers: the higher, the nearer to the mean of all it saw.
	memory = 50
)

func (c *coder) bit(p *prob, b int) int {
	one := uint64(*p^evens) >> 16
	if one == 0 {
		one = 1
	}
	mid := c.low + (c.hi-c.low)>>16*one
	if !c.encoding {
		b = 0
		if c.x <= mid {
			b = 1
		}
	}
	if b == 1 {
		c.hi = mid
	} else {
		c.low = mid + 1
	}
	p.update(b)
	c.settle()
	return b
}

// both codes a bit by two probabilities: the surer counts the more.
func (c *coder) both(p, q *prob, b int) int {
	one, two := int64((*p^evens)>>10), int64((*q^evens)>>10)
	const half = 1 << 21
	d, e := max(one-half, half-one)>>4+1, max(two-half, half-two)>>4+1
	d, e = d*d>>8+1, e*e>>8+1
	joint := prob((one*d+two*e)/(d+e))<<10 ^ evens
	b = c.bit(&joint, b)
	p.update(b)
	q.update(b)
	return b
}

func (p *prob) update(b int) {
	asked := uint32(*p) & askedMask
	share := uint32(*p^evens) >> 10
	if b == 1 {
		share += uint32(uint64(1<<22-1-share) * 2 / uint64(2*asked+3))
	} else {
		share -= share * 2 / (2*asked + 3)
	}
	if asked < memory {
		asked++
	}
	*p = prob(share<<10|asked) ^ evens
}

// settle moves bytes that are decided out of, or into, the interval.
func (c *coder) settle() {
	for (c.low^c.hi)>>56 == 0 {
		if c.encoding {
			c.coded = append(c.coded, byte(c.hi>>56))
		} else {
			c.x = c.x<<8 | uint64(c.take())
		}
		c.low <<= 8
		c.hi = c.hi<<8 | 255
	}
}

// plain codes the lower n bits of v, each as likely 0 as 1.
func (c *coder) plain(n int, v uint64) uint64 {
	var got uint64
	for i := n - 1; i >= 0; i-- {
		mid := c.low + (c.hi-c.low)>>1
		b := v >> i & 1
		if !c.encoding {
			b = 0
			if c.x <= mid {
				b = 1
			}
		}
		if b == 1 {
			c.hi = mid
		} else {
			c.low = mid + 1
		}
		got = got<<1 | b
		c.settle()
	}
	return got
}

// finish ends encoding with as few bytes as decide the interval: the decoder reads zeros after them.
func (c *coder) finish() []byte {
	for n := 0; n <= 8; n++ {
		v := c.hi
		if n < 8 {
			v = c.hi &^ (1<<(64-8*n) - 1)
		}
		if v < c.low {
			continue
		}
		for i := range n {
			c.coded = append(c.coded, byte(v>>(56-8*i)))
		}
		break
	}
	return c.coded
}

// bytes passes b by the coder; while decoding it returns n bytes.
func (c *coder) bytes(n int, b []byte) []byte {
	if c.encoding {
		c.raw = append(c.raw, b...)
		return b
	}
	if n > len(c.raw) {
		c.spoil()
		return make([]byte, n)
	}
	b, c.raw = c.raw[:n], c.raw[n:]
	return b
}

// tableBits is the size of a table of probabilities. Contexts share its entries by their hash.
const tableBits = 21

// near is how many probabilities share a cache line, so that four bits of a tree cost one look.
const near = 16

// table holds the probabilities of all contexts. One may lie over another that no longer changes: it has for itself
// only the lines that it was asked for, so that a block does not begin by copying all of them.
type table struct {
	own, under []prob
	has        []uint64 // a bit a line: whether it is in own; nil: all are
}

func newTable() table { return table{own: make([]prob, 1<<tableBits)} }

// lay puts t over another, which must have all its lines itself.
func (t *table) lay(under *table) {
	if t.own == nil {
		t.own, t.has = make([]prob, 1<<tableBits), make([]uint64, 1<<tableBits/near/64)
	}
	clear(t.has)
	t.under = under.own
}

// lineOf is the line of probabilities in which a place is.
func (t *table) lineOf(place uint32) []prob {
	at := place &^ (near - 1)
	own := t.own[at:][:near]
	if t.has != nil {
		no := place / near
		if bit := uint64(1) << (no & 63); t.has[no>>6]&bit == 0 {
			t.has[no>>6] |= bit
			copy(own, t.under[at:][:near])
		}
	}
	return own
}

// line is the probabilities of the next four bits under a context and the bits before.
func (t *table) line(context, prefix uint32) []prob { return t.lineOf(t.place(context, prefix)) }

// at is a probability of a context by itself.
func (t *table) at(context uint32) *prob {
	place := t.place(context, 0)
	return &t.lineOf(place)[place&(near-1)]
}

func (*table) place(context, prefix uint32) uint32 {
	h := (context + prefix*0x9e3779b1) * 0x85ebca6b
	h ^= h >> 16
	h *= 0xc2b2ae35
	return h >> (32 - tableBits)
}

// symbol codes v < 1<<n under a context.
func (c *coder) symbol(t *table, context uint32, n int, v uint32) uint32 {
	got := uint32(0)
	for n > 0 {
		step := min(n, 4)
		line := t.line(context, got+uint32(n)<<16)
		node := uint32(1)
		for i := n - 1; i >= n-step; i-- {
			node = node<<1 | uint32(c.bit(&line[node&(near-1)], int(v>>i&1)))
		}
		got = got<<step | node&^(1<<step)
		n -= step
	}
	return got
}

// number codes any v under a context: its length, its leading bits under the length, the rest plainly.
func (c *coder) number(t *table, context uint32, v uint64) uint64 {
	n := int(c.symbol(t, context, 7, uint32(bits.Len64(v))))
	if n <= 1 {
		return uint64(n)
	}
	if n > 64 {
		c.spoil()
		return 0
	}
	rest := n - 1
	lead := min(rest, 4)
	top := c.symbol(t, context^uint32(n)*0x2545f491, lead, uint32(v>>(rest-lead))&(1<<lead-1))
	got := uint64(1)<<lead | uint64(top)
	if more := rest - lead; more > 0 {
		got = got<<more | c.plain(more, v&(1<<more-1))
	}
	return got
}

// signed codes any v under a context.
func (c *coder) signed(t *table, context uint32, v int64) int64 {
	u := c.number(t, context, uint64(v)<<1^uint64(v>>63))
	return int64(u>>1) ^ -int64(u&1)
}

func mix(a, b uint32) uint32 {
	h := (a ^ b*0xcc9e2d51) * 0x1b873593
	return h ^ h>>15
}
