package baseline

import (
	"context"
	"slices"

	"k8ntext/dataset/label"
	cart "k8ntext/explain/tree"
)

// windowTreeReach is how many events on either side the tree sees: eleven in sum, as the paper's shortest
// windows have and no more columns than a fit of some seconds allows.
const windowTreeReach = 5

// windowTree is a decision tree (Gini, grown until pure) on the feature ids of an event and of those around
// it in its part of the log. Ids have no order: a question is whether one is a certain value.
type windowTree tree

// WindowTree is the tree that sees an event's neighbours. It is not among [All]: of a recording's whole
// training part its fit takes longer than all of those.
func WindowTree(o Options) Baseline {
	return windowTree(newTree(o))
}

func (windowTree) Name() string { return "window-tree" }

func (t windowTree) Fit(_ context.Context, d Data) (Predictor, error) {
	events, note, err := tree(t).sample(d)
	if err != nil {
		return nil, err
	}
	var classes []label.Label
	for _, e := range events {
		classes = append(classes, d.Corpus.Labels[e])
	}
	slices.Sort(classes)
	classes = slices.Compact(classes)
	labels := make([]int32, len(events))
	for i, e := range events {
		k, _ := slices.BinarySearch(classes, d.Corpus.Labels[e])
		labels[i] = int32(k)
	}
	around := newSurroundings(d)
	table, err := cart.NewTable(len(events), around.columns(), func(column int, dst []int32) {
		for i, e := range events {
			dst[i] = around.value(e, column)
		}
	})
	if err != nil {
		return nil, err
	}
	nominal := make([]bool, around.columns())
	for i := range nominal {
		nominal[i] = true
	}
	fitted, err := cart.Fit(table, labels, len(classes), cart.Options{Nominal: nominal, Workers: 1})
	if err != nil {
		return nil, err
	}
	return &fittedWindowTree{around, fitted, classes, note}, nil
}

// surroundings are the feature ids around each event, column by column: those of the event furthest before
// it first.
type surroundings struct {
	data     Data
	sequence [][]int32
	place    map[int32][2]int32 // of an event: its sequence, and where in it
}

func newSurroundings(d Data) *surroundings {
	s := &surroundings{data: d, sequence: d.Split.Sequences, place: make(map[int32][2]int32)}
	for i, events := range s.sequence {
		for j, e := range events {
			s.place[e] = [2]int32{int32(i), int32(j)}
		}
	}
	return s
}

func (s *surroundings) columns() int { return (2*windowTreeReach + 1) * s.data.Features.Fields }

// value is the id in a column of an event; -1 where its part of the log has no such neighbour.
func (s *surroundings) value(event int32, column int) int32 {
	field, offset := column%s.data.Features.Fields, column/s.data.Features.Fields-windowTreeReach
	if offset != 0 {
		at, ok := s.place[event]
		j := int(at[1]) + offset
		if !ok || j < 0 || j >= len(s.sequence[at[0]]) {
			return -1
		}
		event = s.sequence[at[0]][j]
	}
	return s.data.Features.Row(int(event))[field]
}

type fittedWindowTree struct {
	around  *surroundings
	tree    *cart.Tree
	classes []label.Label
	note    string
}

func (t *fittedWindowTree) Note() string { return t.note }

func (t *fittedWindowTree) Predict(ctx context.Context, events []int32) ([]label.Label, error) {
	labels := make([]label.Label, len(events))
	for i, e := range events {
		if i%1024 == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		n := &t.tree.Nodes[0]
		for n.Feature != cart.Leaf {
			next := n.Right
			if n.GoesLeft(t.around.value(e, int(n.Feature))) {
				next = n.Left
			}
			n = &t.tree.Nodes[next]
		}
		labels[i] = t.classes[n.Class]
	}
	return labels, nil
}
