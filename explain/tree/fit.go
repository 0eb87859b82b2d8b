package tree

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
)

// Options say how a tree is grown. The zero value grows a full tree of all features, ordered splits,
// every row counting once.
type Options struct {
	// Weights says how often each row of the table counts, 0: not at all; nil: each once.
	Weights []int32
	// Nominal marks the features whose values have no order: they are split by one value against all
	// others instead of by a threshold. nil: none.
	Nominal []bool
	// Features are the ones that may be asked for; nil: all.
	Features []int
	// MaxDepth is the most questions on a path; 0: no limit.
	MaxDepth int
	// MinLeaf is the least weight of a leaf; 0: 1.
	MinLeaf int
	// Seed decides between splits that are exactly as good: 0 takes the first feature in the order of
	// Features, any other number the first in an order drawn by it. Within a feature the lowest value
	// is taken.
	Seed uint64
	// Workers is how many threads are used; 0: one for each core. The tree does not depend on it.
	Workers int
}

// Fit grows a tree until every leaf is pure or no feature tells its rows apart, but for the limits of
// the options. labels has the class of each row, 0 to classes-1. Of all splits a node takes the one
// with the lowest Gini impurity of its two sides, even where that is no lower than its own.
//
// It fails if table, labels and options do not fit together, and if no row counts.
func Fit(t *Table, labels []int32, classes int, o Options) (*Tree, error) {
	fail := func(err error) (*Tree, error) {
		return nil, fmt.Errorf("fit a tree to %d rows and %d features: %w", t.rows, t.Features(), err)
	}
	if _, err := t.checkLabels(labels, classes, o.Weights); err != nil {
		return fail(err)
	}
	features, err := o.features(t)
	if err != nil {
		return fail(err)
	}
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	f := &fitter{
		table: t, nominal: o.Nominal, maxDepth: int32(max(o.MaxDepth, 0)), minLeaf: int64(max(o.MinLeaf, 1)),
		workers: make([]*worker, o.Workers),
	}
	root := newPart(labels, classes, o.Weights)
	for i := range f.workers {
		f.workers[i] = newWorker(root, t.maxCodes())
	}
	candidates := f.open(root, features)
	return &Tree{Nodes: flatten(f.grow(root, candidates))}, nil
}

// candidate is a question that may still be asked, or all of those about a feature.
type candidate struct {
	feature int32
	column  int32 // where the part at hand has its bits, or the codes of a listed one
	code    int32 // of a question: the value that goes left; listed: the candidate is a feature
}

// features are those of a fit in the order in which the first of equal splits is taken.
func (o *Options) features(t *Table) ([]int32, error) {
	switch {
	case o.Nominal != nil && len(o.Nominal) != t.Features():
		return nil, fmt.Errorf("%d nominal marks for %d features: give one for each, or none", len(o.Nominal), t.Features())
	case o.MaxDepth < 0 || o.MinLeaf < 0:
		return nil, fmt.Errorf("a depth of at most %d and leaves of at least %d: give 0 or more", o.MaxDepth, o.MinLeaf)
	}
	list := make([]int32, 0, t.Features())
	if o.Features == nil {
		for f := range t.Features() {
			list = append(list, int32(f))
		}
	}
	for _, f := range o.Features {
		if f < 0 || f >= t.Features() {
			return nil, fmt.Errorf("feature %d: the table has 0 to %d", f, t.Features()-1)
		}
		list = append(list, int32(f))
	}
	if o.Seed != 0 {
		rand.New(rand.NewPCG(o.Seed, 0)).Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	}
	return list, nil
}

// fitter is one fit.
type fitter struct {
	table    *Table
	nominal  []bool
	maxDepth int32
	minLeaf  int64
	workers  []*worker
}

func (f *fitter) isNominal(feature int32) bool { return f.nominal != nil && f.nominal[feature] }

// part is the rows of a subtree: a row's place in it is what columns and index count by. A subtree with far
// fewer rows than its part gets a part of its own, with columns of its rows alone and without the questions
// that no longer tell anything or the same as others, and in which classes are numbered without gaps.
type part struct {
	rows   []int32  // of the table, by place; ordered by class
	bits   []uint64 // of the questions, column by column, wordsOf(rows) each
	codes  []uint16 // of the listed candidates, column by column
	index  []int32  // places, in the order into which the splits so far have put them; in a node ascending
	class  []uint16 // of each of those
	weight []int32  // of each of those; nil: 1
	names  []int32  // of each class, what the fit's labels call it
}

// newPart is the part of all rows that count, with the classes that occur, without columns. Its rows are ordered
// by class, and so are those of every node below: no split puts rows of one side out of order. A row that counts
// more than once is there as often, unless that makes far more rows.
func newPart(labels []int32, classes int, weights []int32) *part {
	rows, total := 0, int64(0)
	for i := range labels {
		w := weightOf(weights, i)
		total += int64(w)
		rows += min(int(w), 1)
	}
	p := &part{}
	copies := total <= 2*int64(rows)
	times := func(row int) int {
		w := int(weightOf(weights, row))
		if !copies {
			w = min(w, 1)
		}
		return w
	}
	numbers := make([]uint16, classes)
	for i, l := range labels {
		if times(i) > 0 {
			numbers[l] = 1
		}
	}
	for l, occurs := range numbers {
		if occurs != 0 {
			numbers[l] = uint16(len(p.names))
			p.names = append(p.names, int32(l))
		}
	}
	starts := make([]int, len(p.names)+1) // where the rows of each class begin
	for i, l := range labels {
		if n := times(i); n > 0 {
			starts[numbers[l]+1] += n
		}
	}
	for k := range p.names {
		starts[k+1] += starts[k]
	}
	n := starts[len(p.names)]
	p.rows, p.index, p.class = make([]int32, n), make([]int32, n), make([]uint16, n)
	if !copies {
		p.weight = make([]int32, n)
	}
	for i, l := range labels {
		for range times(i) {
			k := numbers[l]
			at := starts[k]
			starts[k]++
			p.rows[at], p.index[at], p.class[at] = int32(i), int32(at), k
			if !copies {
				p.weight[at] = weights[i]
			}
		}
	}
	return p
}

// weightOf is how often a row counts.
func weightOf(weights []int32, row int) int32 {
	if weights == nil {
		return 1
	}
	return weights[row]
}

// question is the bits of a candidate.
func (p *part) question(c candidate) []uint64 {
	words := wordsOf(len(p.rows))
	return p.bits[int(c.column)*words:][:words]
}

// column is the codes of a listed candidate.
func (p *part) column(c candidate) []uint16 {
	return p.codes[int(c.column)*len(p.rows):][:len(p.rows)]
}

// open gives the root its columns, each worker those of a share of the features.
func (f *fitter) open(root *part, features []int32) []candidate {
	shares := make([]part, len(f.workers))
	lists := make([][]candidate, len(f.workers))
	var group sync.WaitGroup
	for i, w := range f.workers {
		group.Go(func() {
			shares[i] = *root
			n := len(features)
			lists[i] = w.open(f, &shares[i], features[n*i/len(f.workers):n*(i+1)/len(f.workers)])
		})
	}
	group.Wait()
	root.bits, root.codes = shares[0].bits, shares[0].codes
	list := lists[0]
	for i := 1; i < len(shares); i++ {
		bits, codes := len(root.bits)/wordsOf(len(root.rows)), len(root.codes)/len(root.rows)
		for _, c := range lists[i] {
			if c.code == listed {
				c.column += int32(codes)
			} else {
				c.column += int32(bits)
			}
			list = append(list, c)
		}
		root.bits, root.codes = append(root.bits, shares[i].bits...), append(root.codes, shares[i].codes...)
	}
	return list
}

// growing is a node of a tree that is being grown.
type growing struct {
	Node
	left, right *growing
}

// span is a range of a part's index.
type span struct{ from, to int }

// task is a subtree that one worker grows alone.
type task struct {
	node       *growing
	rows       span
	candidates []candidate
}

// shareSearch is the work of one node, in rows times candidates, above which its features are shared
// out: below, starting the workers costs more than they save.
const shareSearch = 1 << 21

// grow grows the whole tree: large nodes one after the other, each by all workers, then the subtrees
// below, each by one.
func (f *fitter) grow(p *part, candidates []candidate) *growing {
	root := &growing{}
	if len(f.workers) == 1 {
		f.workers[0].subtree(f, p, task{root, span{0, len(p.index)}, candidates}, 0)
		return root
	}
	var tasks []task
	f.shared(p, task{root, span{0, len(p.index)}, candidates}, &tasks)
	queue := make(chan task, len(tasks))
	for _, t := range tasks {
		queue <- t
	}
	close(queue)
	var group sync.WaitGroup
	for _, w := range f.workers {
		group.Go(func() {
			for t := range queue {
				w.subtree(f, p, t, 0)
			}
		})
	}
	group.Wait()
	return root
}

// shared grows the nodes of a subtree that are worth sharing out, and lists the subtrees below.
func (f *fitter) shared(p *part, t task, tasks *[]task) {
	if (t.rows.to-t.rows.from)*len(t.candidates) < shareSearch {
		*tasks = append(*tasks, t)
		return
	}
	main := f.workers[0]
	s, more := main.begin(f, p, t)
	if !more {
		return
	}
	found := make([]split, len(f.workers))
	kept := make([][]candidate, len(f.workers))
	var group sync.WaitGroup
	for i, w := range f.workers {
		group.Go(func() {
			n := len(t.candidates)
			part := t.candidates[n*i/len(f.workers) : n*(i+1)/len(f.workers)]
			found[i], kept[i] = w.search(f, s, part)
		})
	}
	group.Wait()
	best := found[0]
	var keep []candidate
	for i := range found {
		if found[i].score > best.score { // the shares are in order: the first of equals stays
			best = found[i]
		}
		keep = append(keep, kept[i]...)
		f.workers[i].kept = f.workers[i].kept[:0]
	}
	if !best.found {
		return
	}
	middle := main.partition(f, p, t, best)
	t.node.left, t.node.right = &growing{Node: Node{Depth: t.node.Depth + 1}}, &growing{Node: Node{Depth: t.node.Depth + 1}}
	f.shared(p, task{t.node.left, span{t.rows.from, middle}, keep}, tasks)
	f.shared(p, task{t.node.right, span{middle, t.rows.to}, keep}, tasks)
}

// flatten numbers the nodes, each before its children and left before right.
func flatten(root *growing) []Node {
	var nodes []Node
	var walk func(g *growing) int32
	walk = func(g *growing) int32 {
		id := int32(len(nodes))
		nodes = append(nodes, g.Node)
		if g.left != nil {
			left := walk(g.left)
			nodes[id].Left, nodes[id].Right = left, walk(g.right)
		}
		return id
	}
	walk(root)
	return nodes
}
