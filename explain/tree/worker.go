package tree

import (
	"math/bits"
	"slices"
)

// worker is a thread of a fit with the memory that it works in, which is used again for every node.
type worker struct {
	head  []int32  // of a list of rows for each code; -1: none
	next  []int32  // in that list
	codes []uint64 // the codes that occur, as a set of bits
	table []int32  // code x class counts
	side  []int32  // class counts of one side of a split
	total []int32  // class counts of the node

	asker    *asker
	squeezes []squeeze // from a part to the one being made
	squeezed []uint64  // a column of that
	layout   layout    // of the node

	divisions [256]uint64 // some of those that questions have made of a few rows

	moved  buffers // what partition puts aside
	levels []*level
	kept   []candidate // a stack: of each node above, what its search has kept
	nodes  []growing   // unused ones
	shares []Weight    // unused ones
}

// buffers are the columns of a part that splits reorder.
type buffers struct {
	index  []int32
	class  []uint16
	weight []int32
}

// level is the memory of one part. Parts lie within parts, so that a worker needs one of each level.
type level struct {
	part       part
	numbers    []uint16 // of each class of the part around it, its number in this one
	candidates []candidate
}

func newWorker(root *part, codes int) *worker {
	n := len(root.index)
	w := &worker{
		asker: newAsker(codes),
		head:  make([]int32, codes), next: make([]int32, n), codes: make([]uint64, (codes+63)/64),
		side: make([]int32, len(root.names)), total: make([]int32, len(root.names)),
		moved: buffers{index: make([]int32, n), class: make([]uint16, n)},
	}
	if root.weight != nil {
		w.moved.weight = make([]int32, n)
	}
	for i := range w.head {
		w.head[i] = -1
	}
	return w
}

// A part is made anew for a subtree with at most a quarter of the rows, but not for a handful.
const (
	compactShare = 4
	compactRows  = 16
)

// subtree grows a subtree of a part. depth counts the parts between this one and the root's.
func (w *worker) subtree(f *fitter, p *part, t task, depth int) {
	n := t.rows.to - t.rows.from
	if n*compactShare <= len(p.rows) && n >= compactRows {
		p, t = w.compact(f, p, t, depth)
		depth++
	}
	s, more := w.begin(f, p, t)
	if !more {
		return
	}
	top := len(w.kept)
	defer func() { w.kept = w.kept[:top] }()
	best, keep := w.search(f, s, t.candidates)
	if !best.found {
		return
	}
	middle := w.partition(f, p, t, best)
	t.node.left, t.node.right = w.newNode(t.node.Depth+1), w.newNode(t.node.Depth+1)
	w.subtree(f, p, task{t.node.left, span{t.rows.from, middle}, keep}, depth)
	w.subtree(f, p, task{t.node.right, span{middle, t.rows.to}, keep}, depth)
}

// open makes the columns of features for a part of the table's rows, and lists the candidates.
func (w *worker) open(f *fitter, p *part, features []int32) []candidate {
	most := p.worthwhile()
	questions, room := 0, 0
	for _, feature := range features {
		values := len(f.table.values[feature])
		questions += min(values, most)
		if values <= most {
			room += values - 1
		}
	}
	w.asker.begin(questions)
	p.bits = make([]uint64, 0, room*wordsOf(len(p.rows)))
	var list []candidate
	for _, feature := range features {
		list = w.take(f, p, list, feature, f.table.column(int(feature)), p.rows, most)
	}
	return list
}

// take adds a feature to a part: as questions if that is worthwhile, or as a listed candidate. from has its
// codes, those of the part's rows at the given places.
func (w *worker) take(f *fitter, p *part, list []candidate, feature int32, from []uint16, places []int32, most int) []candidate {
	list, few := w.asker.expand(p, list, feature, from, places, f.isNominal(feature), most)
	if few {
		return list
	}
	for _, place := range places {
		p.codes = append(p.codes, from[place])
	}
	return append(list, candidate{feature, int32(len(p.codes)/len(places)) - 1, listed})
}

// compact copies the rows of a task into a part of their own.
func (w *worker) compact(f *fitter, p *part, t task, depth int) (*part, task) {
	if depth == len(w.levels) {
		w.levels = append(w.levels, &level{})
	}
	l := w.levels[depth]
	from, n := t.rows.from, t.rows.to-t.rows.from
	places := p.index[from : from+n]
	q := &l.part

	l.numbers = sized(l.numbers, len(p.names))
	clear(l.numbers)
	for _, k := range p.class[from : from+n] {
		l.numbers[k] = 1
	}
	q.names = q.names[:0]
	for k, occurs := range l.numbers {
		if occurs != 0 {
			l.numbers[k] = uint16(len(q.names))
			q.names = append(q.names, p.names[k])
		}
	}
	q.rows, q.index, q.class = sized(q.rows, n), sized(q.index, n), sized(q.class, n)
	for i, place := range places {
		q.rows[i], q.index[i] = p.rows[place], int32(i)
		q.class[i] = l.numbers[p.class[from+i]]
	}
	if p.weight != nil {
		q.weight = append(q.weight[:0], p.weight[from:from+n]...)
	}

	most := q.worthwhile()
	questions := 0
	for _, c := range t.candidates {
		if c.code == listed {
			questions += most
		} else {
			questions++
		}
	}
	w.asker.begin(questions)
	w.squeezes, w.squeezed = squeezes(places, w.squeezes), sized(w.squeezed, wordsOf(n))
	q.bits, q.codes = slices.Grow(q.bits[:0], questions*wordsOf(n)), q.codes[:0]
	l.candidates = l.candidates[:0]
	for _, c := range t.candidates {
		if c.code == listed {
			l.candidates = w.take(f, q, l.candidates, c.feature, p.column(c), places, most)
			continue
		}
		clear(w.squeezed)
		apply(w.squeezes, p.question(c), w.squeezed)
		ones := 0
		for _, x := range w.squeezed {
			ones += bits.OnesCount64(x)
		}
		if ones > 0 && ones < n {
			l.candidates = w.asker.add(q, l.candidates, c, w.squeezed)
		}
	}
	return q, task{t.node, span{0, n}, l.candidates}
}

// sized is s with n elements, of any content.
func sized[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}

// begin fills in what a node is and prepares the search for its split. more is false if it is to
// stay a leaf.
func (w *worker) begin(f *fitter, p *part, t task) (s *state, more bool) {
	from, to := t.rows.from, t.rows.to
	s = &state{part: p, index: p.index[from:to], class: p.class[from:to], total: w.total[:len(p.names)], minLeaf: f.minLeaf}
	clear(s.total)
	if p.weight == nil {
		for _, k := range s.class {
			s.total[k]++
		}
		s.weightSum = int64(len(s.class))
	} else {
		s.weight = p.weight[from:to]
		for i, k := range s.class {
			s.total[k] += s.weight[i]
			s.weightSum += int64(s.weight[i])
		}
	}

	n := &t.node.Node
	n.Feature, n.Weight = Leaf, s.weightSum
	first := len(w.shares)
	best := int32(-1)
	for k, c := range s.total {
		if c == 0 {
			continue
		}
		s.squares += int64(c) * int64(c)
		w.shares = append(w.shares, Weight{p.names[k], c})
		if c > best {
			best, n.Class = c, p.names[k]
		}
	}
	n.Classes = w.shares[first:len(w.shares):len(w.shares)]
	if cap(w.shares)-len(w.shares) < len(s.total) {
		w.shares = make([]Weight, 0, 1<<12+len(s.total))
	}
	n.Gini = 1 - float64(s.squares)/(float64(s.weightSum)*float64(s.weightSum))
	pure := len(n.Classes) == 1
	deep := f.maxDepth > 0 && n.Depth >= f.maxDepth
	if pure || deep {
		return s, false
	}
	if len(p.bits) > 0 {
		w.layout.of(s.index, s.class)
		s.layout = &w.layout
		if len(p.rows) <= 64 && len(s.index) <= fewRows {
			for _, place := range s.index {
				s.rows |= 1 << place
			}
		}
	}
	return s, true
}

// partition makes the node ask for the split and moves its rows: those that go left first, each side
// in the order in which it was. It returns where the right side begins.
func (w *worker) partition(f *fitter, p *part, t task, s split) int {
	column := f.table.column(int(s.feature))
	low, high := uint16(0), uint16(maxCodes-1) // the largest code that goes left, the smallest that goes right
	to, aside := t.rows.from, 0
	for i := t.rows.from; i < t.rows.to; i++ {
		code := column[p.rows[p.index[i]]]
		if code == s.code || code < s.code && !s.equal {
			low = max(low, code)
			p.index[to], p.class[to] = p.index[i], p.class[i]
			if p.weight != nil {
				p.weight[to] = p.weight[i]
			}
			to++
			continue
		}
		high = min(high, code)
		w.moved.index[aside], w.moved.class[aside] = p.index[i], p.class[i]
		if p.weight != nil {
			w.moved.weight[aside] = p.weight[i]
		}
		aside++
	}
	copy(p.index[to:], w.moved.index[:aside])
	copy(p.class[to:], w.moved.class[:aside])
	if p.weight != nil {
		copy(p.weight[to:], w.moved.weight[:aside])
	}
	values := f.table.values[s.feature]
	n := &t.node.Node
	n.Feature, n.Equal, n.Threshold = s.feature, s.equal, float64(values[low])
	if !s.equal {
		n.Threshold = (n.Threshold + float64(values[high])) / 2
	}
	return to
}

func (w *worker) newNode(depth int32) *growing {
	if len(w.nodes) == 0 {
		w.nodes = make([]growing, 256)
	}
	n := &w.nodes[0]
	w.nodes = w.nodes[1:]
	n.Depth = depth
	return n
}
