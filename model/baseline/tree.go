package baseline

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/sjwhitworth/golearn/base"
	"github.com/sjwhitworth/golearn/trees"

	"k8ntext/dataset/feature"
	"k8ntext/dataset/label"
)

// defaultTreeRows keeps one fit to a few seconds; the embedded corpora are smaller.
const defaultTreeRows = 10_000

// tree is golearn's CART (Gini, grown until pure) on the feature ids of single events. Ids are taken
// as numbers, as the reference feeds them to its network. Of golearn's learners of trees it is the one
// whose result does not depend on map order or on the global random source.
type tree struct {
	rows int
	seed uint64
}

func newTree(o Options) tree {
	if o.TreeRows <= 0 {
		o.TreeRows = defaultTreeRows
	}
	return tree{o.TreeRows, o.Seed}
}

func (tree) Name() string { return "tree" }

func (t tree) Fit(ctx context.Context, d Data) (Predictor, error) {
	events, note, err := t.sample(d)
	if err != nil {
		return nil, err
	}

	classes := make([]label.Label, len(events))
	counts := make(map[label.Label]int)
	for i, e := range events {
		classes[i] = d.Corpus.Labels[e]
		counts[classes[i]]++
	}
	slices.Sort(classes)
	classes = slices.Compact(classes)
	usual := constant{mostFrequent(counts), len(events)}
	if len(classes) == 1 {
		return noted{usual, note}, nil // golearn would answer class 0 of the list it is given, or 0
	}

	// golearn takes labels that its list lacks for 0, and starts its search for the most frequent one
	// at 0: dense numbers from 0 avoid both.
	numbers := make([]int64, len(classes))
	for i := range numbers {
		numbers[i] = int64(i)
	}
	grid, err := newGrid(d.Features, events, func(i int) int {
		k, _ := slices.BinarySearch(classes, d.Corpus.Labels[events[i]])
		return k
	})
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil { // the fit cannot be interrupted
		return nil, err
	}
	cart := trees.NewDecisionTreeClassifier(trees.GINI, -1, numbers)
	if err := cart.Fit(grid); err != nil {
		return nil, fmt.Errorf("fit golearn's tree to %d events: %w", len(events), err)
	}
	// A root that found no split answers 0 for everything. Real thresholds lie between two ids, above 0.
	if cart.RootNode.Threshold == 0 {
		return noted{usual, note}, nil
	}
	return &fittedTree{d.Features, cart, classes, note}, nil
}

// sample draws the training events that a tree is fitted to, in order, and says of how many.
func (t tree) sample(d Data) (events []int32, note string, err error) {
	if err := d.check(); err != nil {
		return nil, "", err
	}
	if events, err = d.training(); err != nil {
		return nil, "", err
	}
	all := len(events)
	if all <= t.rows {
		return events, trainedOn(all), nil
	}
	rand.New(rand.NewPCG(t.seed, uint64(all))).Shuffle(all, func(i, j int) { events[i], events[j] = events[j], events[i] })
	events = events[:t.rows]
	slices.Sort(events)
	return events, fmt.Sprintf("trained on %d of %d events, drawn at random: it is slow", t.rows, all), nil
}

// noted is a predictor with another note.
type noted struct {
	Predictor
	note string
}

func (n noted) Note() string { return n.note }

type fittedTree struct {
	features feature.Matrix
	cart     *trees.CARTDecisionTreeClassifier
	classes  []label.Label
	note     string
}

func (t *fittedTree) Note() string { return t.note }

func (t *fittedTree) Predict(ctx context.Context, events []int32) ([]label.Label, error) {
	if len(events) == 0 {
		return nil, nil
	}
	grid, err := newGrid(t.features, events, func(int) int { return 0 })
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	labels := make([]label.Label, len(events))
	for i, k := range t.cart.Predict(grid) {
		labels[i] = t.classes[k]
	}
	return labels, nil
}

// newGrid copies the feature rows of events into golearn's form, all columns numbers, with the class
// last.
func newGrid(features feature.Matrix, events []int32, class func(i int) int) (*base.DenseInstances, error) {
	grid := base.NewDenseInstances()
	specs := make([]base.AttributeSpec, features.Fields+1)
	for f := range features.Fields {
		specs[f] = grid.AddAttribute(base.NewFloatAttribute(fmt.Sprintf("f%03d", f)))
	}
	classAttribute := base.NewFloatAttribute("label")
	specs[features.Fields] = grid.AddAttribute(classAttribute)
	if err := grid.AddClassAttribute(classAttribute); err != nil {
		return nil, fmt.Errorf("lay out golearn's grid: %w", err)
	}
	if err := grid.Extend(len(events)); err != nil {
		return nil, fmt.Errorf("lay out golearn's grid for %d events: %w", len(events), err)
	}
	for i, e := range events {
		for f, id := range features.Row(int(e)) {
			grid.Set(specs[f], i, base.PackFloatToBytes(float64(id)))
		}
		grid.Set(specs[features.Fields], i, base.PackFloatToBytes(float64(class(i))))
	}
	return grid, nil
}
