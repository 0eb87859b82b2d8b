package tree

import (
	"math"
	"math/bits"
)

// state is a node whose split is being searched for.
type state struct {
	part      *part
	index     []int32
	class     []uint16
	weight    []int32 // nil: 1
	total     []int32 // weight of each class
	weightSum int64
	squares   int64 // sum of the squares of total
	minLeaf   int64
	layout    *layout // for questions
	rows      uint64  // the bits of a few rows in a column of one word; 0: the rows are not so
}

// split is a question and how good it is.
type split struct {
	found   bool
	equal   bool
	feature int32
	code    uint16 // the value; of an ordered split, one that goes left where all larger ones go right
	// score is the sum over both sides of squared class weights divided by the side's weight. The
	// impurity of the sides, weighed by their shares, is 1 - score / weight of the node: the largest
	// score is the best, and it cannot exceed that weight.
	score float64
}

// search finds the first of the best splits among the candidates, and keeps those candidates that tell
// the node's rows apart on top of w.kept: a feature that is constant here is so in the whole subtree.
// It ends early at a split into two pure sides, below which there is nothing to search for.
func (w *worker) search(f *fitter, s *state, candidates []candidate) (best split, keep []candidate) {
	best.score = math.Inf(-1)
	first := len(w.kept)
	perfect := float64(s.weightSum)
	words := wordsOf(len(s.part.rows))
	if s.rows != 0 {
		clear(w.divisions[:])
	}
	for _, c := range candidates {
		nominal := f.isNominal(c.feature)
		before := best.score
		varies := true
		if c.code != listed {
			column := s.part.bits[int(c.column)*words:][:words]
			if s.rows != 0 && w.repeats(column[0], s.rows) {
				continue
			}
			x := s.layout.ask(column)
			if varies = x.left > 0 && x.left < s.weightSum; varies {
				s.offer(&best, x, int(c.code))
			}
		} else if codes := len(f.table.values[c.feature]); codes*len(s.total) <= 2*len(s.index) {
			varies = w.searchTable(s, s.part.column(c), codes, nominal, &best)
		} else {
			varies = w.searchLists(s, s.part.column(c), codes, nominal, &best)
		}
		if varies {
			w.kept = append(w.kept, c)
		}
		if best.score > before {
			best.found, best.equal, best.feature = true, nominal, c.feature
			if best.score == perfect {
				break
			}
		}
	}
	return best, w.kept[first:len(w.kept):len(w.kept)]
}

// sums are what the score of a split is made of.
type sums struct {
	left    int64 // weight of the left side
	squares int64 // sum over classes of its weight there, squared
	cross   int64 // sum over classes of its weight there times its weight in the node
}

// offer takes a split into account.
func (s *state) offer(best *split, x sums, code int) {
	right := s.weightSum - x.left
	if x.left < s.minLeaf || right < s.minLeaf {
		return
	}
	rightSquares := s.squares - 2*x.cross + x.squares
	if score := float64(x.squares)/float64(x.left) + float64(rightSquares)/float64(right); score > best.score {
		best.score, best.code = score, uint16(code)
	}
}

// searchTable searches one feature by counting code x class, which is best where rows are many and
// classes few. It tells whether the feature has more than one value here.
func (w *worker) searchTable(s *state, column []uint16, codes int, nominal bool, best *split) (varies bool) {
	classes := len(s.total)
	w.table = sized(w.table, codes*classes)
	table := w.table
	clear(table)
	// Slices are taken out of the structures: a loop that writes would load them anew each time.
	index := s.index
	class := s.class[:len(index)]
	if s.weight == nil {
		for i, r := range index {
			table[int(column[r])*classes+int(class[i])]++
		}
	} else {
		weight := s.weight[:len(index)]
		for i, r := range index {
			table[int(column[r])*classes+int(class[i])] += weight[i]
		}
	}
	counts := func(code int) []int32 { return table[code*classes : (code+1)*classes] }

	if nominal {
		for code := range codes {
			x := countsAgainst(counts(code), s.total)
			switch x.left {
			case 0:
			case s.weightSum:
				return false
			default:
				varies = true
				s.offer(best, x, code)
			}
		}
		return varies
	}
	side := w.side[:classes]
	clear(side)
	var x sums
	previous := 0
	for code := range codes {
		before := x
		x = moveCounts(x, counts(code), side, s.total)
		if x.left == before.left {
			continue // the code does not occur here
		}
		if before.left > 0 {
			varies = true
			s.offer(best, before, previous)
		}
		previous = code
	}
	return varies
}

// moveCounts moves class counts to the left side.
func moveCounts(x sums, counts, side, total []int32) sums {
	side, total = side[:len(counts)], total[:len(counts)]
	for k, c := range counts {
		if c == 0 {
			continue
		}
		n, l := int64(c), int64(side[k])
		side[k] += c
		x.left += n
		x.squares += n * (2*l + n)
		x.cross += n * int64(total[k])
	}
	return x
}

// countsAgainst is the split between class counts and all others.
func countsAgainst(counts, total []int32) sums {
	total = total[:len(counts)]
	var x sums
	for k, c := range counts {
		n := int64(c)
		x.left += n
		x.squares += n * n
		x.cross += n * int64(total[k])
	}
	return x
}

// searchLists searches one feature by listing the rows of each code: one pass over the rows to make
// the lists and one to move the rows in the order of their codes, whatever the number of classes.
func (w *worker) searchLists(s *state, column []uint16, codes int, nominal bool, best *split) bool {
	index := s.index
	head, next, set := w.head[:codes], w.next[:len(index)], w.codes[:(codes+63)/64]
	distinct := 0
	for i, r := range index {
		c := column[r]
		h := head[c]
		next[i] = h
		head[c] = int32(i)
		if h < 0 {
			set[c>>6] |= 1 << (c & 63)
			distinct++
		}
	}
	if distinct == 1 {
		c := column[s.index[0]]
		head[c] = -1
		set[c>>6] = 0
		return false
	}
	side := w.side[:len(s.total)]
	clear(side)
	var x sums
	previous := -1
	for i, word := range set {
		set[i] = 0
		for ; word != 0; word &= word - 1 {
			code := i<<6 + bits.TrailingZeros64(word)
			first := head[code]
			head[code] = -1
			if nominal {
				s.offer(best, w.listAgainst(s, first, side), code)
				continue
			}
			if previous >= 0 {
				s.offer(best, x, previous)
			}
			previous = code
			x = w.moveList(s, x, first, side)
		}
	}
	return true
}

// moveList moves the rows of a list to the left side.
func (w *worker) moveList(s *state, x sums, first int32, side []int32) sums {
	next, class, total := w.next, s.class, s.total[:len(side)]
	if s.weight == nil {
		for r := first; r >= 0; r = next[r] {
			k := class[r]
			l := side[k]
			side[k] = l + 1
			x.left++
			x.squares += 2*int64(l) + 1
			x.cross += int64(total[k])
		}
		return x
	}
	weight := s.weight
	for r := first; r >= 0; r = next[r] {
		k, n := class[r], int64(weight[r])
		l := side[k]
		side[k] = l + weight[r]
		x.left += n
		x.squares += n * (2*int64(l) + n)
		x.cross += n * int64(total[k])
	}
	return x
}

// listAgainst is the split between the rows of a list and all others. side is zero and stays so.
func (w *worker) listAgainst(s *state, first int32, side []int32) sums {
	var x sums
	next, class, weight, total := w.next, s.class, s.weight, s.total[:len(side)]
	for r := first; r >= 0; r = next[r] {
		k, c := class[r], int32(1)
		if weight != nil {
			c = weight[r]
		}
		n, l := int64(c), int64(side[k])
		side[k] += c
		x.left += n
		x.squares += n * (2*l + n)
		x.cross += n * int64(total[k])
	}
	for r := first; r >= 0; r = next[r] {
		side[class[r]] = 0
	}
	return x
}
