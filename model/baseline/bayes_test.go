package baseline

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"testing"

	"github.com/sjwhitworth/golearn/base"
	"github.com/sjwhitworth/golearn/naive"
	"pgregory.net/rapid"

	"k8ntext/dataset/label"
)

// golearn's classifier must give the label that ours gives, or one with the same score.
func TestBayesGolearn(t *testing.T) {
	alone, tied := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		training, others := events(1).Draw(t, "training"), events(1).Draw(t, "others")
		d := data(training, others)
		p, err := naiveBayes{}.Fit(context.Background(), d)
		if err != nil {
			t.Fatal(err)
		}
		ours := p.(*fittedBayes)
		got, err := p.Predict(context.Background(), d.Split.TestEvents())
		if err != nil {
			t.Fatal(err)
		}
		theirs := golearnBayes(t, ours, training, others)
		for i, e := range others {
			var has []int
			for f, id := range e.ids {
				if c, ok := ours.columns[f][id]; ok {
					has = append(has, c)
				}
			}
			best := math.Inf(-1)
			for k := range ours.classes {
				best = max(best, ours.score(k, has))
			}
			var equal []label.Label
			for k, l := range ours.classes {
				if ours.score(k, has) >= best-1e-9*math.Abs(best) {
					equal = append(equal, l)
				}
			}
			if !slices.Contains(equal, theirs[i]) {
				t.Fatalf("row %v: golearn has %d, our best are %v", e.ids, theirs[i], equal)
			}
			if got[i] != equal[0] {
				t.Fatalf("row %v: %d, want the lowest of %v", e.ids, got[i], equal)
			}
			if len(equal) > 1 {
				tied++
			} else {
				alone++
			}
		}
	})
	if alone == 0 || tied == 0 {
		t.Errorf("%d rows with one best class and %d with several: both kinds were to be compared", alone, tied)
	}
}

// golearnBayes labels others with golearn's classifier, trained on the columns of ours.
func golearnBayes(t *rapid.T, ours *fittedBayes, training, others []event) []label.Label {
	grid := base.NewDenseInstances()
	type column struct {
		field int
		id    int32
	}
	var columns []column
	var attributes []base.Attribute
	var specs []base.AttributeSpec
	for f, ids := range ours.columns {
		for id := range ids {
			columns = append(columns, column{f, id})
			attributes = append(attributes, base.NewBinaryAttribute(fmt.Sprintf("%d=%d", f, id)))
			specs = append(specs, grid.AddAttribute(attributes[len(attributes)-1]))
		}
	}
	class := base.NewCategoricalAttribute()
	class.SetName("label")
	classSpec := grid.AddAttribute(class)
	if err := grid.AddClassAttribute(class); err != nil {
		t.Fatal(err)
	}
	fill := func(into *base.DenseInstances, specs []base.AttributeSpec, row int, e event) {
		for i, c := range columns {
			bit := byte(0)
			if e.ids[c.field] == c.id {
				bit = 1
			}
			into.Set(specs[i], row, []byte{bit})
		}
	}
	if err := grid.Extend(len(training)); err != nil {
		t.Fatal(err)
	}
	for row, e := range training {
		fill(grid, specs, row, e)
		grid.Set(classSpec, row, class.GetSysValFromString(strconv.Itoa(int(e.label))))
	}
	nb := naive.NewBernoulliNBClassifier()
	if err := nb.Fit(grid); err != nil {
		t.Fatal(err)
	}

	test := base.NewStructuralCopy(grid)
	specs = specs[:0]
	for _, at := range attributes {
		spec, err := test.GetAttribute(at)
		if err != nil {
			t.Fatal(err)
		}
		specs = append(specs, spec)
	}
	if err := test.Extend(len(others)); err != nil {
		t.Fatal(err)
	}
	for row, e := range others {
		fill(test, specs, row, e)
	}
	predicted, err := nb.Predict(test)
	if err != nil {
		t.Fatal(err)
	}
	labels := make([]label.Label, len(others))
	for row := range others {
		n, err := strconv.Atoi(base.GetClass(predicted, row))
		if err != nil {
			t.Fatal(err)
		}
		labels[row] = label.Label(n)
	}
	return labels
}
