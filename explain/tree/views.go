package tree

import (
	"cmp"
	"container/heap"
	"slices"
)

// Gain is how much a node's split lowers the impurity, in weighted rows: the node's impurity times
// its weight, less that of its children. A leaf gains nothing.
func (t *Tree) Gain(node int) float64 {
	n := &t.Nodes[node]
	if n.Feature == Leaf {
		return 0
	}
	gain := n.impurity()
	for _, c := range []int32{n.Left, n.Right} {
		gain -= t.Nodes[c].impurity()
	}
	return max(gain, 0) // rounding may leave less
}

func (n *Node) impurity() float64 { return float64(n.Weight) * n.Gini }

// MaxDepth is the tree that a fit with that limit would have grown: at most depth questions on a path.
func (t *Tree) MaxDepth(depth int) *Tree {
	return t.Cut(func(node int) bool { return int(t.Nodes[node].Depth) < depth })
}

// MaxLeaves is the tree that growing best node first would have reached with that many leaves; fewer
// than one counts as one.
func (t *Tree) MaxLeaves(leaves int) *Tree {
	split := make([]bool, len(t.Nodes))
	for _, node := range t.BestFirst() {
		if leaves--; leaves < 1 {
			break
		}
		split[node] = true
	}
	return t.Cut(func(node int) bool { return split[node] })
}

// BestFirst lists the nodes that ask something in the order in which growing best first splits them:
// of the nodes at hand always the one that gains most, of equals the one at hand for longest. The
// first k of them make the tree of k+1 leaves.
func (t *Tree) BestFirst() []int {
	order := make([]int, 0, len(t.Nodes)/2)
	var at open
	push := func(node int) {
		if t.Nodes[node].Feature != Leaf {
			heap.Push(&at, waiting{node, t.Gain(node), at.pushed})
		}
	}
	for push(0); len(at.nodes) > 0; {
		node := heap.Pop(&at).(waiting).node
		order = append(order, node)
		push(int(t.Nodes[node].Left))
		push(int(t.Nodes[node].Right))
	}
	return order
}

// waiting is a node that may be split next.
type waiting struct {
	node int
	gain float64
	turn int
}

// open is a heap of waiting nodes.
type open struct {
	nodes  []waiting
	pushed int
}

func (o *open) Len() int { return len(o.nodes) }
func (o *open) Less(i, j int) bool {
	a, b := o.nodes[i], o.nodes[j]
	return cmp.Or(-cmp.Compare(a.gain, b.gain), cmp.Compare(a.turn, b.turn)) < 0
}
func (o *open) Swap(i, j int) { o.nodes[i], o.nodes[j] = o.nodes[j], o.nodes[i] }
func (o *open) Push(x any) {
	o.nodes = append(o.nodes, x.(waiting))
	o.pushed++
}

func (o *open) Pop() any {
	last := len(o.nodes) - 1
	x := o.nodes[last]
	o.nodes = o.nodes[:last]
	return x
}

// Step is a tree of the cost-complexity path.
type Step struct {
	Alpha    float64 `json:"alpha"` // the least price of a leaf at which this tree is the best
	Leaves   int     `json:"leaves"`
	Impurity float64 `json:"impurity"` // of the leaves, weighed by their shares of the root's weight
}

// CostComplexity lists the trees that are the best for some price of a leaf, from the whole tree at
// price 0 to the root alone: of all trees that can be cut from this one, each has the lowest sum of
// impurity and alpha times leaves.
//
// Source: Breiman et al., chapter 3 (weakest link).
func (t *Tree) CostComplexity() []Step {
	leaves, impurity := t.Leaves(), 0.0
	total := float64(t.Nodes[0].Weight)
	for i := range t.Nodes {
		if t.Nodes[i].Feature == Leaf {
			impurity += t.Nodes[i].impurity() / total
		}
	}
	path := []Step{{0, leaves, impurity}}
	for _, c := range t.weakest() {
		leaves -= c.leaves
		impurity += c.impurity
		if last := &path[len(path)-1]; c.alpha <= last.Alpha { // as weak as the link before
			last.Leaves, last.Impurity = leaves, impurity
		} else {
			path = append(path, Step{c.alpha, leaves, impurity})
		}
	}
	return path
}

// Alpha is the tree of the cost-complexity path at a price of a leaf.
func (t *Tree) Alpha(alpha float64) *Tree {
	cut := make([]bool, len(t.Nodes))
	for _, c := range t.weakest() {
		if c.alpha > alpha {
			break
		}
		cut[c.node] = true
	}
	return t.Cut(func(node int) bool { return !cut[node] })
}

// collapse is a node that becomes a leaf.
type collapse struct {
	node     int
	alpha    float64
	leaves   int     // how many fewer the tree has
	impurity float64 // how much more the tree has, by share
}

// weakest lists the nodes that weakest-link pruning makes leaves, in order, to the root. Alphas never
// fall: a link that rounding makes weaker than the one before has that one's.
func (t *Tree) weakest() []collapse {
	total := float64(t.Nodes[0].Weight)
	parents := t.Parents()
	leaves := make([]int, len(t.Nodes))       // below the node
	impurity := make([]float64, len(t.Nodes)) // of those leaves
	for i := len(t.Nodes) - 1; i >= 0; i-- {
		n := &t.Nodes[i]
		if n.Feature == Leaf {
			leaves[i], impurity[i] = 1, n.impurity()/total
			continue
		}
		leaves[i] = leaves[n.Left] + leaves[n.Right]
		impurity[i] = impurity[n.Left] + impurity[n.Right]
	}
	strength := func(node int) float64 {
		return (t.Nodes[node].impurity()/total - impurity[node]) / float64(leaves[node]-1)
	}

	// A node's link changes whenever something below it goes: the heap then has it twice, and the
	// outdated one is told by its turn.
	var links open
	turn := make([]int, len(t.Nodes))
	push := func(node int) {
		turn[node] = links.pushed
		heap.Push(&links, waiting{node, -strength(node), links.pushed})
	}
	for i := len(t.Nodes) - 1; i >= 0; i-- {
		if t.Nodes[i].Feature != Leaf {
			push(i)
		}
	}
	gone := make([]bool, len(t.Nodes))
	var list []collapse
	alpha := 0.0
	for links.Len() > 0 {
		w := heap.Pop(&links).(waiting)
		if gone[w.node] || turn[w.node] != w.turn {
			continue
		}
		alpha = max(alpha, -w.gain)
		c := collapse{w.node, alpha, leaves[w.node] - 1, t.Nodes[w.node].impurity()/total - impurity[w.node]}
		list = append(list, c)
		t.below(w.node, func(n int) { gone[n] = true })
		for p := int32(w.node); p >= 0; p = parents[p] {
			leaves[p] -= c.leaves
			impurity[p] += c.impurity
			if int(p) != w.node {
				push(int(p))
			}
		}
	}
	return list
}

// below visits a node and all nodes under it.
func (t *Tree) below(node int, visit func(node int)) {
	// Nodes come before their children, left before right: a subtree is a range.
	end := int32(node)
	for t.Nodes[end].Feature != Leaf {
		end = t.Nodes[end].Right
	}
	for n := node; n <= int(end); n++ {
		visit(n)
	}
}

// TopBranches keeps the inner nodes on the k heaviest paths to leaves whose impurity is above
// gini, and makes leaves of all others: Trustee's pruning.
//
// Source: A. Jacobs et al., AI/ML for Network Security: The Emperor has no Clothes, CCS 2022.
func (t *Tree) TopBranches(k int, gini float64) *Tree {
	var leaves []int
	for i := range t.Nodes {
		if t.Nodes[i].Feature == Leaf {
			leaves = append(leaves, i)
		}
	}
	slices.SortStableFunc(leaves, func(a, b int) int { return cmp.Compare(t.Nodes[b].Weight, t.Nodes[a].Weight) })
	keep := make([]bool, len(t.Nodes))
	parents := t.Parents()
	for _, l := range leaves[:min(max(k, 0), len(leaves))] {
		for n := parents[l]; n >= 0; n = parents[n] {
			keep[n] = t.Nodes[n].Gini > gini
		}
	}
	return t.Cut(func(node int) bool { return keep[node] })
}

// Cut is the tree in which every node that keep refuses has become a leaf. keep is asked from the
// root on, for nodes that ask something and whose parents were kept.
func (t *Tree) Cut(keep func(node int) bool) *Tree {
	cut := &Tree{}
	var walk func(node int32) int32
	walk = func(node int32) int32 {
		id := int32(len(cut.Nodes))
		cut.Nodes = append(cut.Nodes, t.Nodes[node])
		if t.Nodes[node].Feature == Leaf {
			return id
		}
		if !keep(int(node)) {
			n := &cut.Nodes[id]
			n.Feature, n.Equal, n.Threshold, n.Left, n.Right = Leaf, false, 0, 0, 0
			return id
		}
		left := walk(t.Nodes[node].Left)
		cut.Nodes[id].Left, cut.Nodes[id].Right = left, walk(t.Nodes[node].Right)
		return id
	}
	walk(0)
	return cut
}
