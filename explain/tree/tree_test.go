package tree

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// tableOf makes a table of rows.
func tableOf(t interface{ Fatal(...any) }, rows [][]int32) *Table {
	table, err := NewTable(len(rows), len(rows[0]), func(f int, dst []int32) {
		for i := range dst {
			dst[i] = rows[i][f]
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// sample is a drawn problem.
type sample struct {
	rows    [][]int32
	labels  []int32
	classes int
	options Options
}

func samples(maxRows int) *rapid.Generator[sample] {
	return rapid.Custom(func(t *rapid.T) sample {
		features := rapid.IntRange(1, 6).Draw(t, "features")
		s := sample{classes: rapid.SampledFrom([]int{1, 2, 3, 9, 500}).Draw(t, "classes")}
		values := rapid.SliceOfN(rapid.SampledFrom([]int32{-1 << 31, -7, 0, 1, 2, 3, 40, 1<<31 - 1}), 1, 8).Draw(t, "values")
		n := rapid.IntRange(1, maxRows).Draw(t, "rows")
		// One number seeds the rows: drawing every value makes failures no easier to read, and slow.
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		weighted := rapid.Bool().Draw(t, "weighted")
		for range n {
			row := make([]int32, features)
			for f := range row {
				row[f] = values[rng.IntN(len(values))]
			}
			s.rows = append(s.rows, row)
			s.labels = append(s.labels, int32(rng.IntN(s.classes)))
			if weighted {
				s.options.Weights = append(s.options.Weights, int32(rng.IntN(4)))
			}
		}
		if weighted {
			s.options.Weights[rng.IntN(n)] = 1 // some row must count
		}
		if rapid.Bool().Draw(t, "some nominal") {
			for range features {
				s.options.Nominal = append(s.options.Nominal, rng.IntN(2) == 0)
			}
		}
		s.options.MaxDepth = rapid.SampledFrom([]int{0, 0, 1, 3}).Draw(t, "depth")
		s.options.MinLeaf = rapid.SampledFrom([]int{0, 0, 2, 5}).Draw(t, "leaf")
		s.options.Seed = rapid.SampledFrom([]uint64{0, 7}).Draw(t, "tie seed")
		s.options.Workers = 1
		return s
	})
}

func (s *sample) weight(i int) int64 {
	if s.options.Weights == nil {
		return 1
	}
	return int64(s.options.Weights[i])
}

// check compares a tree with what a slow and simple reading of the rules gives.
func (s *sample) check(t interface {
	Errorf(string, ...any)
	Fatalf(string, ...any)
}, tree *Tree,
) {
	var walk func(node int32, rows []int, depth int32)
	visited := 0
	walk = func(node int32, rows []int, depth int32) {
		if int(node) != visited {
			t.Fatalf("node %d comes as number %d from the root, left before right", node, visited)
		}
		visited++
		n := tree.Nodes[node]
		counts := make([]int64, s.classes)
		var weight, squares int64
		for _, i := range rows {
			counts[s.labels[i]] += s.weight(i)
			weight += s.weight(i)
		}
		var classes []Weight
		for k, c := range counts {
			squares += c * c
			if c > 0 {
				classes = append(classes, Weight{int32(k), int32(c)})
			}
		}
		class := slices.Index(counts, slices.Max(counts))
		gini := 1 - float64(squares)/float64(weight*weight)
		if n.Weight != weight || int(n.Class) != class || n.Depth != depth || math.Abs(n.Gini-gini) > 1e-12 || !slices.Equal(n.Classes, classes) {
			t.Fatalf("node %d is %+v, its rows weigh %d with impurity %g and classes %v", node, n, weight, gini, classes)
		}
		best := s.best(rows)
		mayStop := squares == weight*weight || s.options.MaxDepth > 0 && depth >= int32(s.options.MaxDepth)
		if n.Feature == Leaf {
			if !mayStop && !math.IsInf(best, -1) {
				t.Fatalf("node %d of %d rows is a leaf, but a split of score %g is left", node, len(rows), best)
			}
			return
		}
		if mayStop {
			t.Fatalf("node %d of %d rows is pure or at the limit and split all the same", node, len(rows))
		}
		left, right := s.divide(rows, &n)
		if got := s.score(left, right); math.Abs(got-best) > 1e-9*math.Abs(best) {
			t.Fatalf("node %d asks for feature %d (equal %v, threshold %g) with score %g, the best has %g", node, n.Feature, n.Equal, n.Threshold, got, best)
		}
		walk(n.Left, left, depth+1)
		walk(n.Right, right, depth+1)
	}
	var all []int
	for i := range s.rows {
		if s.weight(i) > 0 {
			all = append(all, i)
		}
	}
	walk(0, all, 0)
	if visited != len(tree.Nodes) {
		t.Errorf("the tree has %d nodes, %d can be reached", len(tree.Nodes), visited)
	}
}

func (s *sample) divide(rows []int, n *Node) (left, right []int) {
	for _, i := range rows {
		if n.GoesLeft(s.rows[i][n.Feature]) {
			left = append(left, i)
		} else {
			right = append(right, i)
		}
	}
	return left, right
}

// score is the sum over both sides of squared class weights over the side's weight; minus infinity if
// a side is too light.
func (s *sample) score(left, right []int) float64 {
	sum := 0.0
	for _, side := range [][]int{left, right} {
		counts := make(map[int32]int64)
		var weight, squares int64
		for _, i := range side {
			counts[s.labels[i]] += s.weight(i)
			weight += s.weight(i)
		}
		for _, c := range counts {
			squares += c * c
		}
		if weight < max(1, int64(s.options.MinLeaf)) {
			return math.Inf(-1)
		}
		sum += float64(squares) / float64(weight)
	}
	return sum
}

// best is the score of the best split of rows, minus infinity if there is none.
func (s *sample) best(rows []int) float64 {
	best := math.Inf(-1)
	for f := range s.rows[0] {
		values := make([]int32, 0, len(rows))
		for _, i := range rows {
			values = append(values, s.rows[i][f])
		}
		slices.Sort(values)
		for _, v := range slices.Compact(values) {
			n := Node{Feature: int32(f), Threshold: float64(v), Equal: s.options.Nominal != nil && s.options.Nominal[f]}
			best = max(best, s.score(s.divide(rows, &n)))
		}
	}
	return best
}

func TestFitIsGreedy(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := samples(60).Draw(t, "sample")
		tree, err := Fit(tableOf(t, s.rows), s.labels, s.classes, s.options)
		if err != nil {
			t.Fatal(err)
		}
		s.check(t, tree)
	})
}

// Enough rows and features that subtrees get parts of their own and large nodes are shared out.
func TestFitOnAnyNumberOfWorkers(t *testing.T) {
	for _, nominal := range []bool{false, true} {
		for _, weighted := range []bool{false, true} {
			table, labels := planted(2000, 140, 40, 3)
			o := Options{Workers: 1, Seed: 5}
			if nominal {
				o.Nominal = make([]bool, 140)
				for f := range o.Nominal {
					o.Nominal[f] = f%3 != 0
				}
			}
			if weighted {
				rng := rand.New(rand.NewPCG(1, 1))
				for range labels {
					o.Weights = append(o.Weights, int32(rng.IntN(3)))
				}
			}
			want, err := Fit(table, labels, 40, o)
			if err != nil {
				t.Fatal(err)
			}
			if want.Leaves() < 200 {
				t.Fatalf("only %d leaves: the problem is too easy to show anything", want.Leaves())
			}
			for _, workers := range []int{2, 5} {
				o.Workers = workers
				got, err := Fit(table, labels, 40, o)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Fatalf("nominal %v, weighted %v: %d workers grow another tree than one (-one +many):\n%s", nominal, weighted, workers, diff)
				}
			}
		}
	}
}

// A row that counts n times is n rows.
func TestWeightsAreCopies(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := samples(40).Draw(t, "sample")
		copies := s
		copies.rows, copies.labels, copies.options.Weights = nil, nil, nil
		for i := range s.rows {
			for range s.weight(i) {
				copies.rows = append(copies.rows, s.rows[i])
				copies.labels = append(copies.labels, s.labels[i])
			}
		}
		want, err := Fit(tableOf(t, copies.rows), copies.labels, s.classes, copies.options)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Fit(tableOf(t, s.rows), s.labels, s.classes, s.options)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("copies give another tree than weights (-copies +weights):\n%s", diff)
		}
	})
}

// Rows that count four times each are searched by lists, not by bits, and every score is exactly four times as
// high: the tree must be the same.
func TestBitsAndLists(t *testing.T) {
	for _, size := range []struct{ rows, features, classes int }{{63, 40, 7}, {65, 40, 40}, {700, 60, 5}, {900, 40, 120}, {3000, 25, 60}} {
		if testing.Short() && size.rows > 700 {
			continue
		}
		table, labels := planted(size.rows, size.features, size.classes, 11)
		o := Options{Workers: 1, Seed: 3, Nominal: make([]bool, size.features)}
		for f := range o.Nominal {
			o.Nominal[f] = f%2 == 0
		}
		for range 2 { // once as drawn; then with rows that count twice or not at all
			got, err := Fit(table, labels, size.classes, o)
			if err != nil {
				t.Fatal(err)
			}
			fourfold := o
			fourfold.Weights = make([]int32, size.rows)
			for i := range labels {
				fourfold.Weights[i] = 4 * weightOf(o.Weights, i)
			}
			if newPart(labels, size.classes, fourfold.Weights).worthwhile() > 0 || newPart(labels, size.classes, o.Weights).worthwhile() < 2 {
				t.Fatal("rows that count fourfold are to be listed, others not")
			}
			want, err := Fit(table, labels, size.classes, fourfold)
			if err != nil {
				t.Fatal(err)
			}
			for i := range want.Nodes {
				n := &want.Nodes[i]
				n.Weight /= 4
				n.Classes = slices.Clone(n.Classes)
				for k := range n.Classes {
					n.Classes[k].Weight /= 4
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("%+v: bits give another tree than lists (-lists +bits):\n%s", size, diff)
			}
			o.Weights = make([]int32, size.rows)
			for i := range o.Weights {
				o.Weights[i] = int32(i*i%7) % 3
			}
		}
	}
}

// Columns that say the same, or the opposite, are one question, and the first feature has it.
func TestSameQuestions(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	const rows = 130
	p := &part{rows: upTo(rows)}
	a := newAsker(2)
	a.begin(6)
	var list []candidate
	first := make([]uint16, rows)
	for i := range first {
		first[i] = uint16(rng.IntN(2))
	}
	opposite, other := slices.Clone(first), slices.Clone(first)
	for i := range opposite {
		opposite[i] ^= 1
	}
	other[rows-1] ^= 1 // in the last word, of two bits
	for f, codes := range [][]uint16{make([]uint16, rows), first, opposite, first, other} {
		list, _ = a.expand(p, list, int32(f), codes, p.rows, f%2 == 0, 3)
	}
	if want := []candidate{{1, 0, 0}, {4, 1, 0}}; !slices.Equal(list, want) {
		t.Errorf("the questions are %v, want %v", list, want)
	}
	kept := []int32{0, 1, 5, 63, 64, 77, 127, 128}
	got := make([]uint64, 1)
	apply(squeezes(kept, nil), p.question(list[0]), got)
	for i, place := range kept {
		if left := first[place] == 0; left != (got[0]>>i&1 == 1) {
			t.Errorf("row %d goes left: %v, and not so in a part of %v", place, left, kept)
		}
	}
}

func upTo(n int) []int32 {
	list := make([]int32, n)
	for i := range list {
		list[i] = int32(i)
	}
	return list
}

func TestFiveHundredClasses(t *testing.T) {
	table, labels := planted(2500, 20, 500, 2)
	tree, err := Fit(table, labels, 500, Options{})
	if err != nil {
		t.Fatal(err)
	}
	wrong := 0
	for i, l := range labels {
		if tree.Class(table, i) != l {
			wrong++
		}
	}
	if wrong > 0 { // no two rows are alike
		t.Errorf("%d of %d training rows get another class than they have", wrong, len(labels))
	}
}

func TestSeedOrdersTies(t *testing.T) {
	// Three features that say the same.
	table := tableOf(t, [][]int32{{1, 1, 1}, {2, 2, 2}})
	seen := make(map[int32]bool)
	for seed := range uint64(20) {
		tree, err := Fit(table, []int32{0, 1}, 2, Options{Seed: seed})
		if err != nil {
			t.Fatal(err)
		}
		if f := tree.Nodes[0].Feature; seed == 0 && f != 0 {
			t.Errorf("without a seed feature %d is taken, want the first", f)
		} else {
			seen[f] = true
		}
	}
	if len(seen) != 3 {
		t.Errorf("20 seeds choose only among %d of 3 equal features", len(seen))
	}
}

func TestFind(t *testing.T) {
	rows := [][]int32{{5, 0}, {5, 9}, {6, 0}, {7, 0}, {7, 9}}
	table := tableOf(t, rows)
	tree, err := Fit(table, []int32{0, 1, 2, 1, 0}, 3, Options{Nominal: []bool{true, false}})
	if err != nil {
		t.Fatal(err)
	}
	for i, row := range rows {
		leaf := tree.Find(row)
		if other := tree.FindRow(table, i); other != leaf {
			t.Errorf("row %v comes to node %d, by the table to %d", row, leaf, other)
		}
		if diff := cmp.Diff(row, table.Row(i, nil)); diff != "" {
			t.Errorf("row %d of the table (-want +got):\n%s", i, diff)
		}
		path := tree.Path(leaf)
		if path[0] != 0 || path[len(path)-1] != leaf || len(path) != int(tree.Nodes[leaf].Depth)+1 {
			t.Errorf("the path to leaf %d is %v", leaf, path)
		}
	}
	if diff := cmp.Diff([][]int32{rows[4], rows[0]}, table.Gather([]int32{4, 0}, make([][]int32, 0, 9))); diff != "" {
		t.Errorf("two rows of the table (-want +got):\n%s", diff)
	}
	if got := tree.Nodes[tree.Find([]int32{1000, -1000})].Feature; got != Leaf { // values never seen
		t.Errorf("an unknown row ends at a node that asks for feature %d", got)
	}
}

func TestErrors(t *testing.T) {
	table := tableOf(t, [][]int32{{1, 2}, {3, 4}})
	labels := []int32{0, 1}
	for _, c := range []struct {
		labels  []int32
		classes int
		o       Options
		want    string
	}{
		{labels[:1], 2, Options{}, "1 labels for 2 rows: give one for each row"},
		{labels, 0, Options{}, "0 classes: give 1 to 65536"},
		{labels, 1, Options{}, "row 1 has the class 1: classes are 0 to 0"},
		{[]int32{0, -1}, 2, Options{}, "row 1 has the class -1: classes are 0 to 1"},
		{labels, 2, Options{Weights: []int32{1}}, "1 weights for 2 rows: give one for each row, or none"},
		{labels, 2, Options{Weights: []int32{0, 0}}, "no row counts: all weights are 0"},
		{labels, 2, Options{Weights: []int32{0, -1}}, "row 1 has the weight -1: a row counts zero times or more"},
		{labels, 2, Options{Weights: []int32{1 << 30, 1 << 30}}, "the weights sum to 2147483648: at most 2147483647 can be counted"},
		{labels, 2, Options{Nominal: []bool{true}}, "1 nominal marks for 2 features: give one for each, or none"},
		{labels, 2, Options{Features: []int{2}}, "feature 2: the table has 0 to 1"},
		{labels, 2, Options{MaxDepth: -1}, "a depth of at most -1 and leaves of at least 0: give 0 or more"},
	} {
		_, err := Fit(table, c.labels, c.classes, c.o)
		if want := "fit a tree to 2 rows and 2 features: " + c.want; err == nil || err.Error() != want {
			t.Errorf("the error is %v, want %s", err, want)
		}
	}
	if _, err := NewTable(0, 3, nil); err == nil {
		t.Error("a table without rows is no error")
	}
	for name, step := range map[string]int32{"near": 1, "far": 1000} {
		_, err := NewTable(1<<16+1, 1, func(_ int, dst []int32) {
			for i := range dst {
				dst[i] = int32(i) * step
			}
		})
		if want := "make a table: feature 0: 65537 different values: at most 65536 can be told apart, put some together"; err == nil || err.Error() != want {
			t.Errorf("values that lie %s: the error is %v, want %s", name, err, want)
		}
	}
}

func TestViews(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := samples(80).Draw(t, "sample")
		s.options.MaxDepth, s.options.MinLeaf = 0, 0
		table := tableOf(t, s.rows)
		full, err := Fit(table, s.labels, s.classes, s.options)
		if err != nil {
			t.Fatal(err)
		}

		depth := rapid.IntRange(1, 8).Draw(t, "max depth")
		o := s.options
		o.MaxDepth = depth
		limited, err := Fit(table, s.labels, s.classes, o)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(limited, full.MaxDepth(depth)); diff != "" {
			t.Errorf("depth %d: fitted with the limit or cut to it differ (-fitted +cut):\n%s", depth, diff)
		}

		for leaves := range full.Leaves() + 3 {
			got := full.MaxLeaves(leaves)
			if want := min(max(leaves, 1), full.Leaves()); got.Leaves() != want {
				t.Errorf("at most %d leaves: the tree has %d, want %d", leaves, got.Leaves(), want)
			}
		}

		path := full.CostComplexity()
		if first := path[0]; first.Alpha != 0 {
			t.Errorf("the path begins at price %g", first.Alpha)
		}
		if last := path[len(path)-1]; last.Leaves != 1 || math.Abs(last.Impurity-full.Nodes[0].Gini) > 1e-9 {
			t.Errorf("the path ends at %+v, the root has impurity %g", last, full.Nodes[0].Gini)
		}
		for i, step := range path {
			if i > 0 && (step.Alpha <= path[i-1].Alpha || step.Leaves >= path[i-1].Leaves || step.Impurity < path[i-1].Impurity-1e-12) {
				t.Errorf("the path goes from %+v to %+v", path[i-1], step)
			}
			cut := full.Alpha(step.Alpha)
			if cut.Leaves() != step.Leaves {
				t.Errorf("at price %g the tree has %d leaves, by the path %d", step.Alpha, cut.Leaves(), step.Leaves)
			}
			// No tree of another view is better at this price.
			cost := func(t *Tree) float64 {
				sum := step.Alpha * float64(t.Leaves())
				for _, n := range t.Nodes {
					if n.Feature == Leaf {
						sum += n.Gini * float64(n.Weight) / float64(t.Nodes[0].Weight)
					}
				}
				return sum
			}
			for leaves := 1; leaves <= full.Leaves(); leaves++ {
				if other := full.MaxLeaves(leaves); cost(other) < cost(cut)-1e-9 {
					t.Errorf("at price %g the tree of %d leaves costs %g, one of %d leaves only %g", step.Alpha, cut.Leaves(), cost(cut), leaves, cost(other))
				}
			}
		}
	})
}

func TestTopBranches(t *testing.T) {
	table, labels := planted(400, 10, 5, 4)
	full, err := Fit(table, labels, 5, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := full.TopBranches(full.Leaves(), -1); len(got.Nodes) != len(full.Nodes) {
		t.Errorf("all branches, whatever their impurity, leave %d of %d nodes", len(got.Nodes), len(full.Nodes))
	}
	for _, k := range []int{-1, 0} {
		if got := full.TopBranches(k, .1); got.Leaves() != 1 {
			t.Errorf("%d branches leave a tree of %d leaves", k, got.Leaves())
		}
	}
	// One branch, whatever its impurity: all inner nodes lie on the path to the heaviest leaf.
	top := full.TopBranches(1, -1)
	heaviest := Node{}
	for _, n := range full.Nodes {
		if n.Feature == Leaf && n.Weight > heaviest.Weight {
			heaviest = n
		}
	}
	inner := 0
	for _, n := range top.Nodes {
		if n.Feature != Leaf {
			inner++
		}
	}
	if inner != int(heaviest.Depth) || !slices.ContainsFunc(top.Nodes, func(n Node) bool { return n.Depth == heaviest.Depth && n.Weight == heaviest.Weight }) {
		t.Errorf("the tree of the heaviest branch, %d questions long, asks %d", heaviest.Depth, inner)
	}
	for _, n := range full.TopBranches(10, .1).Nodes {
		if n.Feature != Leaf && n.Gini <= .1 {
			t.Errorf("a node of impurity %g asks, none should of .1 or less", n.Gini)
		}
	}
}

func FuzzFit(f *testing.F) {
	f.Add([]byte{1, 2, 3, 0, 1, 2, 3, 1}, uint8(3), uint8(0), uint8(2))
	f.Add([]byte{0, 0, 0, 0, 0, 0}, uint8(2), uint8(255), uint8(1))
	f.Add([]byte("every row its own class, and some of them twice"), uint8(4), uint8(5), uint8(60))
	f.Fuzz(func(t *testing.T, data []byte, features, nominal, classes uint8) {
		width := int(features)%7 + 1
		s := sample{classes: int(classes) + 1, options: Options{Workers: 1 + int(nominal)%3}}
		for ; len(data) > width && len(s.rows) < 200; data = data[width+1:] {
			row := make([]int32, width)
			for i := range row {
				row[i] = int32(data[i]) % 9
			}
			s.rows = append(s.rows, row)
			s.labels = append(s.labels, int32(int(data[width])%s.classes))
			s.options.Weights = append(s.options.Weights, int32(data[0]%3))
		}
		for i := range width {
			s.options.Nominal = append(s.options.Nominal, nominal>>i&1 == 1)
		}
		if len(s.rows) == 0 || !slices.ContainsFunc(s.options.Weights, func(w int32) bool { return w > 0 }) {
			return
		}
		tree, err := Fit(tableOf(t, s.rows), s.labels, s.classes, s.options)
		if err != nil {
			t.Fatal(err)
		}
		s.check(t, tree)
	})
}
