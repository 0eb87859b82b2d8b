package tree

import "slices"

// Leaf is the feature of a node that asks nothing.
const Leaf = -1

// Node is one node of a tree.
type Node struct {
	// Feature is what the node asks for; [Leaf]: nothing.
	Feature int32 `json:"feature"`
	// Equal makes rows whose value is Threshold go left; otherwise those whose value is at most that.
	Equal bool `json:"equal,omitempty"`
	// Threshold is a value of the feature with Equal, otherwise halfway between two neighbouring ones.
	Threshold float64 `json:"threshold,omitzero"`
	Left      int32   `json:"left,omitzero"` // numbers of the children; 0 in a leaf
	Right     int32   `json:"right,omitzero"`

	Depth   int32    `json:"depth"`   // 0: the root
	Weight  int64    `json:"weight"`  // training rows that come here, each as often as it counts
	Gini    float64  `json:"gini"`    // impurity, 0 to 1
	Class   int32    `json:"class"`   // the most frequent, the lowest of equals
	Classes []Weight `json:"classes"` // those that occur, ascending
}

// Weight is how often a class occurs.
type Weight struct {
	Class  int32 `json:"class"`
	Weight int32 `json:"weight"`
}

// GoesLeft tells to which side a value goes.
func (n *Node) GoesLeft(value int32) bool {
	v := float64(value)
	return v == n.Threshold || v < n.Threshold && !n.Equal
}

// Purity is the share of the node's class among its rows.
func (n *Node) Purity() float64 {
	for _, w := range n.Classes {
		if w.Class == n.Class {
			return float64(w.Weight) / float64(n.Weight)
		}
	}
	return 0
}

// Tree is a decision tree. Node 0 is the root; a node comes before its children, left before right.
type Tree struct {
	Nodes []Node `json:"nodes"`
}

// Leaves is the number of leaves.
func (t *Tree) Leaves() int { return (len(t.Nodes) + 1) / 2 }

// Depth is the number of questions on the longest path.
func (t *Tree) Depth() int {
	d := int32(0)
	for i := range t.Nodes {
		d = max(d, t.Nodes[i].Depth)
	}
	return int(d)
}

// Find is the number of the leaf that a row of the tree's features comes to.
func (t *Tree) Find(row []int32) int {
	n := &t.Nodes[0]
	at := int32(0)
	for n.Feature != Leaf {
		at = n.next(row[n.Feature])
		n = &t.Nodes[at]
	}
	return int(at)
}

// FindRow is Find for a row of a table, not necessarily the one that the tree was grown on.
func (t *Tree) FindRow(table *Table, row int) int {
	n := &t.Nodes[0]
	at := int32(0)
	for n.Feature != Leaf {
		at = n.next(table.Value(row, int(n.Feature)))
		n = &t.Nodes[at]
	}
	return int(at)
}

func (n *Node) next(value int32) int32 {
	if n.GoesLeft(value) {
		return n.Left
	}
	return n.Right
}

// Class is the class that the tree gives a row of a table.
func (t *Tree) Class(table *Table, row int) int32 { return t.Nodes[t.FindRow(table, row)].Class }

// Path lists the nodes from the root to a node, both included.
func (t *Tree) Path(node int) []int {
	path := []int{node}
	parents := t.Parents()
	for parents[node] >= 0 {
		node = int(parents[node])
		path = append(path, node)
	}
	slices.Reverse(path)
	return path
}

// Parents gives for each node the number of its parent, -1 for the root.
func (t *Tree) Parents() []int32 {
	parents := make([]int32, len(t.Nodes))
	parents[0] = -1
	for i, n := range t.Nodes {
		if n.Feature != Leaf {
			parents[n.Left], parents[n.Right] = int32(i), int32(i)
		}
	}
	return parents
}
