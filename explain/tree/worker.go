package tree

// worker is a thread of a fit with the memory that it works in, which is used again for every node.
type worker struct {
	head  []int32  // of a list of rows for each code; -1: none
	next  []int32  // in that list
	codes []uint64 // the codes that occur, as a set of bits
	table []int32  // code x class counts
	side  []int32  // class counts of one side of a split
	total []int32  // class counts of the node
	runs  []run    // rows of a class in the node

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
	own        buffers
	codes      []uint16
	names      []int32
	numbers    []uint16 // of each class of the part around it, its number in this one
	candidates []candidate
}

func newWorker(root *part, codes int) *worker {
	n := len(root.index)
	w := &worker{
		head: make([]int32, codes), next: make([]int32, n), codes: make([]uint64, (codes+63)/64),
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

// subtree grows a subtree of a part. depth counts the parts around this one.
func (w *worker) subtree(f *fitter, p *part, t task, depth int) {
	n := t.rows.to - t.rows.from
	if n*compactShare <= p.stride && n >= compactRows {
		p, t = w.compact(p, t, depth)
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

// compact copies the rows of a task into a part of their own.
func (w *worker) compact(p *part, t task, depth int) (*part, task) {
	if depth == len(w.levels) {
		w.levels = append(w.levels, &level{})
	}
	l := w.levels[depth]
	from, n := t.rows.from, t.rows.to-t.rows.from
	index := p.index[from : from+n]

	l.codes = sized(l.codes, n*len(t.candidates))
	l.candidates = sized(l.candidates, len(t.candidates))
	for i, c := range t.candidates {
		source, target := p.column(c), l.codes[i*n:(i+1)*n]
		for j, r := range index {
			target[j] = source[r]
		}
		l.candidates[i] = candidate{c.feature, int32(i)}
	}

	l.numbers = sized(l.numbers, len(p.names))
	clear(l.numbers)
	for _, k := range p.class[from : from+n] {
		l.numbers[k] = 1
	}
	l.names = l.names[:0]
	for k, occurs := range l.numbers {
		if occurs != 0 {
			l.numbers[k] = uint16(len(l.names))
			l.names = append(l.names, p.names[k])
		}
	}

	l.own.index, l.own.class = sized(l.own.index, n), sized(l.own.class, n)
	for i := range n {
		l.own.index[i] = int32(i)
		l.own.class[i] = l.numbers[p.class[from+i]]
	}
	l.part = part{codes: l.codes, stride: n, index: l.own.index, class: l.own.class, names: l.names}
	if p.weight != nil {
		l.own.weight = append(l.own.weight[:0], p.weight[from:from+n]...)
		l.part.weight = l.own.weight
	}
	return &l.part, task{t.node, span{0, n}, l.candidates}
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
	w.runs = w.runs[:0]
	for i, k := range s.class {
		if i == 0 || k != s.class[i-1] {
			w.runs = append(w.runs, run{total: int64(s.total[k])})
		}
		w.runs[len(w.runs)-1].end = i + 1
	}
	s.runs = w.runs
	return s, true
}

// partition makes the node ask for the split and moves its rows: those that go left first, each side
// in the order in which it was. It returns where the right side begins.
func (w *worker) partition(f *fitter, p *part, t task, s split) int {
	n := &t.node.Node
	values := f.table.values[s.feature]
	n.Feature, n.Equal = s.feature, s.equal
	n.Threshold = float64(values[s.code])
	if !s.equal {
		n.Threshold = (n.Threshold + float64(values[s.after])) / 2
	}
	column := p.column(candidate{s.feature, s.column})
	to, aside := t.rows.from, 0
	for i := t.rows.from; i < t.rows.to; i++ {
		code := column[p.index[i]]
		if code == s.code || code < s.code && !s.equal {
			p.index[to], p.class[to] = p.index[i], p.class[i]
			if p.weight != nil {
				p.weight[to] = p.weight[i]
			}
			to++
			continue
		}
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
