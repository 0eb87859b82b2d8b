package packed

import "math/bits"

// curves turn probabilities into what can be summed and back: the logistic function and its inverse, in whole
// numbers so that every processor gives the same.
type curves struct {
	stretched [4096]int16 // ln(p/(1-p)) in 1/256, by the upper 12 bits of p
}

// reach is how far from an even chance a sum counts, in 1/256.
const reach = 2047

func newCurves() *curves {
	c := new(curves)
	at := 0
	for x := -reach; x <= reach; x++ {
		for p := squash(x) >> 4; at <= p; at++ {
			c.stretched[at] = int16(x)
		}
	}
	for ; at < len(c.stretched); at++ {
		c.stretched[at] = reach
	}
	return c
}

// logistic is 65536/(1+exp(-x)) at x = -8, -7.5 and so on to 8.
var logistic = [...]int32{
	22, 36, 60, 98, 162, 267, 439, 720, 1179, 1921, 3108, 4971, 7812, 11955, 17625, 24743, 32768,
	40793, 47911, 53581, 57724, 60565, 62428, 63615, 64357, 64816, 65097, 65269, 65374, 65438, 65476, 65500, 65514,
}

// squash is 65536 times the chance that x, in 1/256, stands for.
func squash(x int) int {
	x = max(-reach, min(x, reach)) + 2048
	at, part := x>>7, int32(x&127)
	return int((logistic[at]*(128-part) + logistic[at+1]*part) >> 7)
}

// mixer weighs several probabilities of a bit by how right they were before.
type mixer [mixed]int32

// mixed is how many probabilities are weighed.
const mixed = 4

const (
	evenWeight = 1 << 14 // of 1 << 16: a third or so each, and a little more, for they are of different things
	haste      = 6       // the higher, the slower weights change
)

// blend codes a bit by several probabilities, weighed by w.
func (c *coder) blend(k *curves, w *mixer, ps *[mixed]*prob, b int) int {
	var s [mixed]int32
	sum := int64(0)
	for i, p := range ps {
		s[i] = int32(k.stretched[uint32(*p^evens)>>20])
		sum += int64(s[i]) * int64(w[i])
	}
	one := squash(int(sum >> 16))
	joint := prob(uint32(one)<<16) ^ evens
	b = c.bit(&joint, b)
	miss := int32(b<<16 - one) // 1<<16: all
	for i, p := range ps {
		w[i] += (s[i]*miss>>10 + 1<<(haste-1)) >> haste
		p.update(b)
	}
	return b
}

// symbols codes v < 1<<n under several contexts, weighed by the set of that number and those after it, one a bit.
func (m *model) symbols(set int, contexts [mixed]uint32, n int, v uint32) uint32 {
	got := uint32(0)
	var near [mixed][]prob
	var ps [mixed]*prob
	for i := n; i > 0; {
		step := min(i, 4)
		for j, x := range contexts {
			near[j] = m.probs.line(x, got+uint32(i)<<16)
		}
		node := uint32(1)
		for range step {
			for j := range ps {
				ps[j] = &near[j][node]
			}
			i--
			node = node<<1 | uint32(m.blend(m.curves, &m.mixers[set+min(n-1-i, setSize-1)], &ps, int(v>>i&1)))
		}
		got = got<<step | node&^(1<<step)
	}
	return got
}

// setSize is how many sets of weights symbols has for itself; the last is for all later bits.
const setSize = 8

// ordinal codes a number, of which some are much more frequent than others, under several contexts: its length and
// its bits.
func (m *model) ordinal(set int, contexts [mixed]uint32, v uint64) uint64 {
	n := int(m.symbols(set, contexts, 5, uint32(bits.Len64(v))))
	if n <= 1 {
		return uint64(n)
	}
	for i := range contexts {
		contexts[i] ^= uint32(n) * 0x2545f491
	}
	rest := n - 1
	return 1<<rest | uint64(m.symbols(set+setSize, contexts, rest, uint32(v)&(1<<rest-1)))
}
