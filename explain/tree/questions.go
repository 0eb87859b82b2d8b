package tree

import (
	"math/bits"
	"slices"
)

// A feature of few values is not searched value by value: each question about it is a column of bits, one
// for each row of the part, set where the row goes left. How many rows of a class go left is then a count
// of the bits that the column and the rows of the class have in common, 64 rows at a time.
//
// Two questions that divide a part's rows in the same way, whichever side is called left, do so in every
// node below and are as good as each other: only the first is kept.

// listed is the code of a candidate that stands for all questions about its feature.
const listed = -1

// worthwhile is the most values that a feature may have to be searched by bits: above, listing its rows is
// cheaper, at about the price of a count a row.
func (p *part) worthwhile() int {
	if p.weight != nil {
		return 0 // a bit has no weight
	}
	counts := wordsOf(len(p.rows))
	for i, k := range p.class {
		if i > 0 && k == p.class[i-1] && (i == 1 || k != p.class[i-2]) {
			counts++ // a class of more than one row
		}
	}
	return 1 + len(p.rows)/counts
}

// wordsOf is the number of words with a bit for each row.
func wordsOf(rows int) int { return (rows + 63) / 64 }

// asker turns the values of features into questions. Its memory is used again for every part.
type asker struct {
	number []int32  // of each code among those met; -1: not met
	met    []uint16 // codes
	masks  []uint64 // of each code met, the rows that have it
	seen   []int32  // a hash table of the part's columns, counted from 1; 0: none
	shift  int      // of a hash to a place in seen
}

func newAsker(codes int) *asker {
	a := &asker{number: make([]int32, codes)}
	for i := range a.number {
		a.number[i] = -1
	}
	return a
}

// begin makes room for a part of at most so many questions.
func (a *asker) begin(questions int) {
	size := bits.Len(uint(2 * questions))
	a.shift = 64 - size
	a.seen = sized(a.seen, 1<<size)
	clear(a.seen)
}

// expand adds the questions about a feature to a part, unless the feature has more than so many values in
// it: then it adds nothing and says false. from has the feature's codes, those of the part's rows at the
// given places. Of a constant feature there is no question.
func (a *asker) expand(p *part, list []candidate, feature int32, from []uint16, places []int32, nominal bool, most int) ([]candidate, bool) {
	words := wordsOf(len(places))
	a.met = a.met[:0]
	masks, few := a.masks, true
	for i, place := range places {
		code := from[place]
		n := a.number[code]
		if n < 0 {
			if few = len(a.met) < most; !few {
				break
			}
			n = int32(len(a.met))
			a.number[code] = n
			a.met = append(a.met, code)
			if to := len(a.met) * words; to > len(masks) {
				masks = slices.Grow(masks, words)[:to]
			}
			clear(masks[int(n)*words : (int(n)+1)*words])
		}
		masks[int(n)*words+i>>6] |= 1 << (i & 63)
	}
	a.masks = masks
	if few {
		slices.Sort(a.met)
		questions := a.met[:len(a.met)-1]
		if nominal && len(a.met) > 2 { // of two values, one against the other
			questions = a.met
		}
		var before []uint64
		for _, code := range questions {
			mask := masks[int(a.number[code])*words:][:words]
			if !nominal {
				for i, b := range before {
					mask[i] |= b
				}
				before = mask
			}
			list = a.add(p, list, candidate{feature: feature, code: int32(code)}, mask)
		}
	}
	for _, code := range a.met {
		a.number[code] = -1
	}
	return list, few
}

// add adds a question that tells rows apart to a part, unless another divides them in the same way.
func (a *asker) add(p *part, list []candidate, c candidate, column []uint64) []candidate {
	last := len(column) - 1
	tail := ^uint64(0) >> (-len(p.rows) & 63) // the bits of the last word that stand for rows
	flip := -(column[0] & 1)                  // so that the first row goes right
	h := uint64(0)
	for _, x := range column[:last] {
		h = bits.RotateLeft64((h^x^flip)*0x9e3779b97f4a7c15, 29)
	}
	h = (h ^ (column[last]^flip)&tail) * 0x9e3779b97f4a7c15
	h ^= h >> 32
	for at := h * 0xff51afd7ed558ccd >> a.shift; ; at = (at + 1) & uint64(len(a.seen)-1) {
		n := int(a.seen[at])
		if n == 0 {
			p.bits = append(p.bits, column...)
			c.column = int32(len(p.bits)/len(column)) - 1
			a.seen[at] = c.column + 1
			return append(list, c)
		}
		other := p.bits[(n-1)*len(column) : n*len(column)]
		if sameSides(column, other, tail) {
			return list
		}
	}
}

// sameSides tells whether two columns divide the rows in the same way.
func sameSides(a, b []uint64, tail uint64) bool {
	swapped := -((a[0] ^ b[0]) & 1)
	last := len(a) - 1
	b = b[:len(a)]
	for i, x := range a[:last] {
		if x^b[i] != swapped {
			return false
		}
	}
	return (a[last]^b[last]^swapped)&tail == 0
}

// squeeze moves the bits of a word that a mask names side by side, to its low end.
//
// Source: H. Warren, Hacker's Delight, section 7-4 (compress).
type squeeze struct {
	word  int32
	to    int32 // the bit of the target that the first one becomes
	count int32
	mask  uint64
	moves [6]uint64 // which bits move by 1, 2, 4 ... places
}

// squeezes are those that leave the bits of the given rows of a column, ascending.
func squeezes(rows []int32, list []squeeze) []squeeze {
	list = list[:0]
	for i, r := range rows {
		if len(list) == 0 || list[len(list)-1].word != r>>6 {
			list = append(list, squeeze{word: r >> 6, to: int32(i)})
		}
		q := &list[len(list)-1]
		q.mask |= 1 << (r & 63)
		q.count++
	}
	for i := range list {
		q := &list[i]
		mask := q.mask
		zeros := ^mask << 1 // below each bit; then: of those, the ones to count
		for step := range q.moves {
			odd := zeros
			for s := 1; s < 64; s *= 2 {
				odd ^= odd << s
			}
			move := odd & mask
			q.moves[step] = move
			mask = mask ^ move | move>>(1<<step)
			zeros &^= odd
		}
	}
	return list
}

// apply leaves of a column what the squeezes name. target is zero.
func apply(list []squeeze, column, target []uint64) {
	for i := range list {
		q := &list[i]
		x := column[q.word] & q.mask
		t := x & q.moves[0]
		x = x ^ t | t>>1
		t = x & q.moves[1]
		x = x ^ t | t>>2
		t = x & q.moves[2]
		x = x ^ t | t>>4
		t = x & q.moves[3]
		x = x ^ t | t>>8
		t = x & q.moves[4]
		x = x ^ t | t>>16
		t = x & q.moves[5]
		x = x ^ t | t>>32
		word, bit := q.to>>6, q.to&63
		target[word] |= x << bit
		if bit+q.count > 64 {
			target[word+1] |= x >> (64 - bit)
		}
	}
}

// layout is where the rows of a node lie in the columns of its part, by class.
type layout struct {
	loners  []piece // rows that are alone in their class; many at once
	pairs   []pairs // classes of two rows side by side; many at once
	pieces  []piece // other classes that lie in one word
	spreads []spread

	scattered []piece // of the spreads
}

// piece is rows in one word.
type piece struct {
	mask  uint64
	word  int32
	total int32 // rows of the class
}

// pairs are classes of two rows each in one word.
type pairs struct {
	mask   uint64
	firsts uint64 // the lower row of each
	word   int32
}

// spread is a class whose rows lie in several words.
type spread struct {
	pieces []piece
	total  int64
}

// of finds the layout of a node's rows, which are ordered by class and, within a class, by place.
func (l *layout) of(places []int32, class []uint16) {
	l.loners, l.pairs, l.pieces, l.spreads, l.scattered = l.loners[:0], l.pairs[:0], l.pieces[:0], l.spreads[:0], l.scattered[:0]
	for from := 0; from < len(places); {
		to := from + 1
		for to < len(places) && class[to] == class[from] {
			to++
		}
		total := int32(to - from)
		first, last := places[from], places[to-1]
		switch {
		case total == 1:
			if n := len(l.loners); n == 0 || l.loners[n-1].word != first>>6 {
				l.loners = append(l.loners, piece{word: first >> 6, total: 1})
			}
			l.loners[len(l.loners)-1].mask |= 1 << (first & 63)
		case total == 2 && last == first+1 && first&63 < 63:
			if n := len(l.pairs); n == 0 || l.pairs[n-1].word != first>>6 {
				l.pairs = append(l.pairs, pairs{word: first >> 6})
			}
			p := &l.pairs[len(l.pairs)-1]
			p.firsts |= 1 << (first & 63)
			p.mask |= 3 << (first & 63)
		default:
			start := len(l.scattered)
			for i, place := range places[from:to] {
				if i == 0 || place>>6 != l.scattered[len(l.scattered)-1].word {
					l.scattered = append(l.scattered, piece{word: place >> 6, total: total})
				}
				l.scattered[len(l.scattered)-1].mask |= 1 << (place & 63)
			}
			if end := len(l.scattered); end == start+1 {
				l.pieces, l.scattered = append(l.pieces, l.scattered[start]), l.scattered[:start]
			} else {
				l.spreads = append(l.spreads, spread{l.scattered[start:end:end], int64(total)})
			}
		}
		from = to
	}
}

// fewRows is the most rows of a node of which questions are told apart once more: so few can only be divided in
// few ways.
const fewRows = 24

// repeats tells whether a question tells nothing of a few rows, or surely the same as one before it in the same
// node. It forgets some of those.
func (w *worker) repeats(column, rows uint64) bool {
	x := column & rows
	if x == 0 || x == rows {
		return true
	}
	if x&(rows&-rows) != 0 { // so that the first row goes right
		x ^= rows
	}
	known := &w.divisions[x*0x9e3779b97f4a7c15>>56]
	if *known == x {
		return true
	}
	*known = x
	return false
}

// ask counts the split that a question makes.
func (l *layout) ask(column []uint64) sums {
	var x sums
	for _, p := range l.loners { // 1 of 1
		n := int64(bits.OnesCount64(column[p.word] & p.mask))
		x.left += n
		x.squares += n
		x.cross += n
	}
	for _, p := range l.pairs { // 1 or 2 of 2: the square is the number, and 2 more of both
		rows := column[p.word] & p.mask
		n := int64(bits.OnesCount64(rows))
		x.left += n
		x.squares += n + 2*int64(bits.OnesCount64(rows&(rows>>1)&p.firsts))
		x.cross += 2 * n
	}
	for _, p := range l.pieces {
		n := int64(bits.OnesCount64(column[p.word] & p.mask))
		x.left += n
		x.squares += n * n
		x.cross += n * int64(p.total)
	}
	for _, w := range l.spreads {
		n := int64(0)
		for _, p := range w.pieces {
			n += int64(bits.OnesCount64(column[p.word] & p.mask))
		}
		x.left += n
		x.squares += n * n
		x.cross += n * w.total
	}
	return x
}
