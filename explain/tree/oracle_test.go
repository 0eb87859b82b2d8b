package tree

import (
	"fmt"
	"math"
	"os"
	"reflect"
	"strconv"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/sjwhitworth/golearn/base"
	"github.com/sjwhitworth/golearn/trees"
)

// mix draws what bench/peers/tree_golden.py draws.
type mix struct{ state uint64 }

func (m *mix) below(n int) int {
	m.state += 0x9e3779b97f4a7c15
	x := m.state
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return int((x ^ x>>31) % uint64(n))
}

func drawn(rows, features, classes, values int, seed uint64) sample {
	m := mix{seed}
	own := make([][]int32, classes)
	for k := range own {
		for range features {
			own[k] = append(own[k], int32(m.below(values)))
		}
	}
	s := sample{classes: classes}
	for range rows {
		k := min(m.below(classes), m.below(classes))
		row := make([]int32, features)
		for f := range row {
			row[f] = own[k][f]
			if m.below(2) != 0 {
				row[f] = int32(m.below(values))
			}
		}
		s.rows = append(s.rows, row)
		s.labels = append(s.labels, int32(k))
	}
	return s
}

// question is a node of somebody else's tree; nil: a leaf.
type question struct {
	feature     int
	threshold   float64
	left, right *question
}

// compare goes through somebody else's tree and asks at each node for our split of that node's rows.
// It has to be the same, or exactly as good. The number of nodes with the same and with another
// question are returned.
func (s *sample) compare(t *testing.T, root *question) (same, other int) {
	t.Helper()
	table := tableOf(t, s.rows)
	var walk func(q *question, rows []int)
	walk = func(q *question, rows []int) {
		o := s.options
		o.MaxDepth, o.Workers = 1, 1
		o.Weights = make([]int32, len(s.rows))
		for _, i := range rows {
			o.Weights[i] = 1
		}
		ours, err := Fit(table, s.labels, s.classes, o)
		if err != nil {
			t.Fatal(err)
		}
		n := ours.Nodes[0]
		switch {
		case q == nil && n.Feature == Leaf:
			return
		case q == nil && s.score(s.divide(rows, &n)) == float64(ours.Nodes[0].Weight)*(1-ours.Nodes[0].Gini):
			return // golearn stops where nothing is gained
		case q == nil:
			t.Fatalf("%d rows are a leaf of theirs; ours asks whether feature %d is at most %g", len(rows), n.Feature, n.Threshold)
		case n.Feature == Leaf:
			t.Fatalf("%d rows are a leaf of ours; theirs asks whether feature %d is at most %g", len(rows), q.feature, q.threshold)
		}
		theirs := Node{Feature: int32(q.feature), Threshold: q.threshold}
		left, right := s.divide(rows, &theirs)
		if n.Feature == theirs.Feature && n.Threshold == theirs.Threshold {
			same++
		} else {
			other++
			got, want := s.score(s.divide(rows, &n)), s.score(left, right)
			if math.Abs(got-want) > 1e-12*want {
				t.Fatalf("of %d rows ours asks for feature %d at %g (score %v), theirs for %d at %g (%v)", len(rows), n.Feature, n.Threshold, got, q.feature, q.threshold, want)
			}
		}
		walk(q.left, left)
		walk(q.right, right)
	}
	all := make([]int, len(s.rows))
	for i := range all {
		all[i] = i
	}
	walk(root, all)
	return same, other
}

// golden is testdata/sklearn.json, written by bench/peers/tree_golden.py.
type golden struct {
	Cases []struct {
		Name        string             `json:"name"`
		Rows        int                `json:"rows"`
		Features    int                `json:"features"`
		Classes     int                `json:"classes"`
		Values      int                `json:"values"`
		MinLeaf     int                `json:"min_leaf"`
		Seed        uint64             `json:"seed"`
		Feature     []int              `json:"feature"`
		Threshold   []float64          `json:"threshold"`
		Left        []int              `json:"left"`
		Right       []int              `json:"right"`
		Unique      bool               `json:"unique"` // no ties
		Alphas      []float64          `json:"alphas"`
		Impurities  []float64          `json:"impurities"`
		BestFirst   map[string][]int32 `json:"best_first"`   // by leaves, the classes of the rows
		AlphaLeaves []int              `json:"alpha_leaves"` // at .001, .005 and .02
	} `json:"cases"`
}

func TestScikitLearn(t *testing.T) {
	text, err := os.ReadFile("testdata/sklearn.json")
	if err != nil {
		t.Fatal(err)
	}
	var g golden
	if err := json.Unmarshal(text, &g); err != nil {
		t.Fatal(err)
	}
	unique := 0
	for _, c := range g.Cases {
		t.Run(c.Name, func(t *testing.T) {
			s := drawn(c.Rows, c.Features, c.Classes, c.Values, c.Seed)
			s.options.MinLeaf = c.MinLeaf
			var build func(node int) *question
			build = func(node int) *question {
				if c.Feature[node] < 0 {
					return nil
				}
				return &question{c.Feature[node], c.Threshold[node], build(c.Left[node]), build(c.Right[node])}
			}
			same, other := s.compare(t, build(0))
			if 4*same < other {
				t.Errorf("only %d of %d questions are the same: too many ties to show anything", same, same+other)
			}
			if !c.Unique {
				return
			}
			unique++
			if other > 0 {
				t.Errorf("there are no ties, but %d questions of %d differ", other, same+other)
			}
			table := tableOf(t, s.rows)
			full, err := Fit(table, s.labels, s.classes, s.options)
			if err != nil {
				t.Fatal(err)
			}
			if len(full.Nodes) != len(c.Feature) {
				t.Errorf("the tree has %d nodes, theirs %d", len(full.Nodes), len(c.Feature))
			}
			var alphas, impurities []float64
			for _, step := range full.CostComplexity() {
				alphas, impurities = append(alphas, step.Alpha), append(impurities, step.Impurity)
			}
			near := cmpopts.EquateApprox(0, 1e-9)
			if diff := cmp.Diff(c.Alphas, alphas, near); diff != "" {
				t.Errorf("prices of the cost-complexity path (-theirs +ours):\n%s", diff)
			}
			if diff := cmp.Diff(c.Impurities, impurities, near); diff != "" {
				t.Errorf("impurities of the cost-complexity path (-theirs +ours):\n%s", diff)
			}
			for i, alpha := range []float64{.001, .005, .02} {
				if got := full.Alpha(alpha).Leaves(); got != c.AlphaLeaves[i] {
					t.Errorf("at price %g the tree has %d leaves, theirs %d", alpha, got, c.AlphaLeaves[i])
				}
			}
			for text, want := range c.BestFirst {
				leaves, err := strconv.Atoi(text)
				if err != nil {
					t.Fatal(err)
				}
				cut := full.MaxLeaves(leaves)
				got := make([]int32, len(s.rows))
				for i := range got {
					got[i] = cut.Class(table, i)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("classes by the best %d leaves (-theirs +ours):\n%s", leaves, diff)
				}
			}
		})
	}
	if unique < 2 {
		t.Errorf("only %d cases have no ties", unique)
	}
}

func TestGolearn(t *testing.T) {
	for _, c := range []struct{ rows, features, classes, values int }{{300, 10, 4, 6}, {700, 39, 20, 20}} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			s := drawn(c.rows, c.features, c.classes, c.values, 9)
			cart := trees.NewDecisionTreeClassifier(trees.GINI, -1, s.numbers())
			if err := cart.Fit(s.grid(t)); err != nil {
				t.Fatal(err)
			}
			same, other := s.compare(t, golearnQuestion(reflect.ValueOf(cart.RootNode)))
			if same < other {
				t.Errorf("only %d of %d questions are the same: too many ties to show anything", same, same+other)
			}
		})
	}
}

// golearnQuestion reads a node, whose type golearn does not export.
func golearnQuestion(node reflect.Value) *question {
	if node.IsNil() {
		return nil
	}
	n := node.Elem()
	return &question{
		int(n.FieldByName("Feature").Int()), n.FieldByName("Threshold").Float(),
		golearnQuestion(n.FieldByName("Left")), golearnQuestion(n.FieldByName("Right")),
	}
}

func (s *sample) numbers() []int64 {
	var numbers []int64
	for k := range s.classes {
		numbers = append(numbers, int64(k))
	}
	return numbers
}

// grid is the sample as golearn takes it.
func (s *sample) grid(t *testing.T) *base.DenseInstances {
	t.Helper()
	grid := base.NewDenseInstances()
	var specs []base.AttributeSpec
	for f := range s.rows[0] {
		specs = append(specs, grid.AddAttribute(base.NewFloatAttribute(fmt.Sprintf("f%03d", f))))
	}
	class := base.NewFloatAttribute("class")
	specs = append(specs, grid.AddAttribute(class))
	if err := grid.AddClassAttribute(class); err != nil {
		t.Fatal(err)
	}
	if err := grid.Extend(len(s.rows)); err != nil {
		t.Fatal(err)
	}
	for i, row := range s.rows {
		for f, v := range row {
			grid.Set(specs[f], i, base.PackFloatToBytes(float64(v)))
		}
		grid.Set(specs[len(row)], i, base.PackFloatToBytes(float64(s.labels[i])))
	}
	return grid
}
