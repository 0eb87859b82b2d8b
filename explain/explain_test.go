package explain

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"k8ntext/dataset/label"
	"k8ntext/explain/tree"
	"k8ntext/metrics"
)

// toy is a teacher with rules that a tree can find: the class is the first field at the centre, but for
// 9 there, where the field of the event before decides.
type toy struct {
	asked int
	fail  int // fail when that many rows have been asked about; 0: never
	rule  func(row []int32) int32
}

func (t *toy) Predict(_ context.Context, rows [][]int32) ([]int32, error) {
	t.asked += len(rows)
	if t.fail > 0 && t.asked > t.fail {
		return nil, errors.New("the network has caught fire")
	}
	out := make([]int32, len(rows))
	for i, row := range rows {
		out[i] = t.rule(row)
	}
	return out, nil
}

// toyProblem has rows of three events (offsets -1, 0, 1) with four fields each, in time.
func toyProblem(t interface{ Fatal(...any) }, rows, classes int) (*Problem, *toy) {
	rng := rand.New(rand.NewPCG(7, 7))
	const fields = 4
	events := make([][fields]int32, rows+2)
	for i := range events {
		for f := range fields {
			events[i][f] = int32(rng.IntN(10))
		}
	}
	table, err := tree.NewTable(rows, 3*fields, func(f int, dst []int32) {
		for i := range dst {
			dst[i] = events[i+f/fields][f%fields]
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	teacher := &toy{rule: func(row []int32) int32 {
		k := row[fields] // field 0 at the centre
		if k == 9 {
			k = row[0] // field 0 of the event before
		}
		return k * 53 % int32(classes)
	}}
	p := &Problem{Name: "toy", Teacher: teacher, Table: table, Reach: 3}
	for f := range 3 * fields {
		p.Features = append(p.Features, Feature{Field: fmt.Sprintf("f%d", f%fields), Offset: f/fields - 1, Nominal: true})
	}
	for k := range classes {
		p.Classes = append(p.Classes, fmt.Sprintf("class %d", k))
	}
	for i := range rows {
		p.Time = append(p.Time, int32(i))
		p.Group = append(p.Group, int32(i/4))
	}
	return p, teacher
}

func TestHonestFindsTheRule(t *testing.T) {
	p, teacher := toyProblem(t, 1500, 10)
	r, err := Honest(t.Context(), p, HonestOptions{Seed: 1, Workers: 2})
	if err != nil {
		t.Fatal(err)
	}
	if r.Fidelity.Agreement.Value < .97 {
		t.Errorf("on unseen rows tree and teacher agree in %.3f, the rule is simple", r.Fidelity.Agreement.Value)
	}
	for _, n := range r.Tree.Nodes {
		if n.Feature >= 0 && p.Features[n.Feature].Field != "f0" {
			t.Errorf("the tree asks for %s, which the teacher does not look at", p.Features[n.Feature].Name())
		}
	}
	if rows := p.Table.Rows(); teacher.asked > rows {
		t.Errorf("the teacher was asked about %d rows, there are %d", teacher.asked, rows)
	}
	again, err := Honest(t.Context(), p, HonestOptions{Seed: 1, Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(r.Tree, again.Tree); diff != "" {
		t.Errorf("the same seed on another number of threads gives another tree:\n%s", diff)
	}
}

func TestTrusteeIsSeeded(t *testing.T) {
	p, _ := toyProblem(t, 600, 10)
	o := TrusteeOptions{Iterations: 4, Stability: 3, SampleShare: .5, Seed: 3}
	a, err := Trustee(t.Context(), p, nil, o)
	if err != nil {
		t.Fatal(err)
	}
	b, err := Trustee(t.Context(), p, nil, o)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(a, b); diff != "" {
		t.Errorf("two runs of one seed differ:\n%s", diff)
	}
	if len(a.Students) != 3 || len(a.Test) != 180 || a.Size != 210 {
		t.Errorf("%d students, %d test rows, draws of %d; want 3, 180 and 210", len(a.Students), len(a.Test), a.Size)
	}
	if a.Pruned.Leaves() > a.Full.Leaves() || a.Agreement < 1./3 || a.Agreement > 1 || a.Reward <= 0 || a.Reward > 1 {
		t.Errorf("agreement %g, reward %g, %d leaves of %d", a.Agreement, a.Reward, a.Pruned.Leaves(), a.Full.Leaves())
	}
	o.MaxLeaves = 3
	small, err := Trustee(t.Context(), p, nil, o)
	if err != nil {
		t.Fatal(err)
	}
	if got := small.Full.Leaves(); got != 3 {
		t.Errorf("students of at most 3 leaves have %d", got)
	}
}

// What is bad about the input is said, or the answer is a plain one; never is a number missing.
func TestBadInput(t *testing.T) {
	ctx := t.Context()
	t.Run("one class only", func(t *testing.T) {
		p, teacher := toyProblem(t, 400, 3)
		teacher.rule = func([]int32) int32 { return 2 }
		h, err := Honest(ctx, p, HonestOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if h.Leaves != 1 || h.Fidelity.Agreement.Value != 1 || h.Fidelity.MacroF1.Value != 1 {
			t.Errorf("a constant teacher is imitated with %d leaves, agreement %v", h.Leaves, h.Fidelity)
		}
		r, err := Trustee(ctx, p, nil, TrusteeOptions{Iterations: 2, Stability: 2})
		if err != nil {
			t.Fatal(err)
		}
		if r.Agreement != 1 || r.Reward != 1 || len(r.Notes) != 1 {
			t.Errorf("by trustee: agreement %g, reward %g, notes %q (draws of 2000 of 280 rows need one)", r.Agreement, r.Reward, r.Notes)
		}
	})
	t.Run("500 classes", func(t *testing.T) {
		p, teacher := toyProblem(t, 700, 500)
		teacher.rule = func(row []int32) int32 { return (row[4]*100 + row[5]*10 + row[6]) % 500 }
		h, err := Honest(ctx, p, HonestOptions{Bootstraps: 2})
		if err != nil {
			t.Fatal(err)
		}
		if f := h.Fidelity; math.IsNaN(f.MacroF1.Value) || f.Rows == 0 {
			t.Errorf("fidelity %+v", f)
		}
	})
	t.Run("constant features", func(t *testing.T) {
		p, _ := toyProblem(t, 200, 3)
		table, err := tree.NewTable(200, len(p.Features), func(_ int, dst []int32) { clear(dst) })
		if err != nil {
			t.Fatal(err)
		}
		p.Table = table
		h, err := Honest(ctx, p, HonestOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if h.Leaves != 1 {
			t.Errorf("rows that are all alike are told apart by %d leaves", h.Leaves)
		}
	})
	t.Run("a teacher that fails in the middle", func(t *testing.T) {
		p, teacher := toyProblem(t, 900, 3)
		teacher.fail = 500
		_, err := Honest(ctx, p, HonestOptions{})
		const want = "explain toy: ask the teacher about 256 rows, 326 distinct ones having been answered: the network has caught fire"
		if err == nil || !strings.HasPrefix(err.Error(), "explain toy: ask the teacher about ") || !strings.HasSuffix(err.Error(), "the network has caught fire") {
			t.Errorf("the error is %v, want one such as %s", err, want)
		}
		p, teacher = toyProblem(t, 300, 3)
		teacher.fail = 310 // when rows are put to it again
		if e, err := Explain(ctx, p, Options{Honest: HonestOptions{Bootstraps: -1}}); e != nil || err == nil || !strings.HasPrefix(err.Error(), "explain toy: fields exchanged between rows: ask the teacher about ") {
			t.Errorf("the report is %v, the error %v", e, err)
		}
	})
	t.Run("fewer rows than asked", func(t *testing.T) {
		p, _ := toyProblem(t, 150, 3)
		e, err := Explain(ctx, p, Options{Probes: 5000, Single: 50, Trustee: TrusteeOptions{Iterations: 2, Stability: 1, Samples: 9000}, Honest: HonestOptions{MaxLeaves: 9000, Bootstraps: 1}})
		if err != nil {
			t.Fatal(err)
		}
		if n := e.Report.Trustee.Notes; len(n) != 1 || !strings.Contains(n[0], "all there are, instead of 9000") {
			t.Errorf("notes %q", n)
		}
		if x := e.Report.Permuted[0]; x.Rows != e.Report.Report {
			t.Errorf("%d rows were asked again, there are %d", x.Rows, e.Report.Report)
		}
	})
	t.Run("a teacher that answers nonsense", func(t *testing.T) {
		p, teacher := toyProblem(t, 200, 3)
		teacher.rule = func([]int32) int32 { return 3 }
		if _, err := Trustee(ctx, p, nil, TrusteeOptions{}); err == nil || !strings.Contains(err.Error(), "it gave the class 3: the problem names 0 to 2") {
			t.Errorf("the error is %v", err)
		}
	})
	t.Run("interrupted", func(t *testing.T) {
		p, _ := toyProblem(t, 200, 3)
		ended, cancel := context.WithCancel(ctx)
		cancel()
		if _, err := Honest(ended, p, HonestOptions{}); !errors.Is(err, context.Canceled) {
			t.Errorf("the error is %v", err)
		}
	})
	t.Run("too few rows", func(t *testing.T) {
		p, _ := toyProblem(t, 3, 3)
		if _, err := Trustee(ctx, p, nil, TrusteeOptions{}); err == nil || !strings.Contains(err.Error(), "3 rows cannot be cut twice: give four or more") {
			t.Errorf("trustee: the error is %v", err)
		}
		if _, err := Honest(ctx, p, HonestOptions{}); err == nil || !strings.Contains(err.Error(), "give more rows, fewer blocks or a shorter reach") {
			t.Errorf("honest: the error is %v", err)
		}
	})
}

func TestCutProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rows := rapid.IntRange(150, 400).Draw(t, "rows")
		p, _ := toyProblem(t, rows, 3)
		p.Reach = rapid.IntRange(1, 5).Draw(t, "reach")
		timed := rapid.Bool().Draw(t, "timed")
		if !timed {
			p.Time = nil
		}
		blocks := rapid.SampledFrom([]int{0, 5, 10, 15}).Draw(t, "blocks")
		reported := make([]int, rows)
		for fold := range Folds {
			parts, err := p.Cut(Cut{Blocks: blocks, Fold: fold, Seed: 2})
			if err != nil {
				t.Fatal(err)
			}
			part := make([]int, rows)
			for is, list := range [][]int32{parts.Train, parts.Select, parts.Report} {
				for _, r := range list {
					if part[r] != 0 {
						t.Fatalf("row %d is in two parts", r)
					}
					part[r] = is + 1
				}
			}
			for _, r := range parts.Report {
				reported[r]++
			}
			if used := len(parts.Train) + len(parts.Select) + len(parts.Report); used+parts.Gap+parts.Purged != rows {
				t.Errorf("%d rows used, %d in gaps, %d purged, of %d", used, parts.Gap, parts.Purged, rows)
			}
			for i := range rows {
				for j := max(0, i-20); timed && j < i; j++ {
					if part[i] == 0 || part[j] == 0 || part[i] == part[j] {
						continue
					}
					if i-j < p.Reach || p.Group[i] == p.Group[j] {
						t.Fatalf("rows %d and %d, of groups %d and %d, are in parts %d and %d with a reach of %d", j, i, p.Group[j], p.Group[i], part[j], part[i], p.Reach)
					}
				}
			}
		}
		for r, n := range reported {
			if n != 1 {
				t.Errorf("over all folds row %d is reported %d times", r, n)
			}
		}
	})
}

// Equal rows of a table without time are in one part: else they would be known when reported.
func TestCutKeepsEqualRowsTogether(t *testing.T) {
	p, _ := toyProblem(t, 100, 3)
	p.Time, p.Group = nil, nil
	table, err := tree.NewTable(100, len(p.Features), func(_ int, dst []int32) {
		for i := range dst {
			dst[i] = int32(i / 2)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	p.Table = table
	parts, err := p.Cut(Cut{})
	if err != nil {
		t.Fatal(err)
	}
	for _, list := range [][]int32{parts.Train, parts.Select, parts.Report} {
		for _, r := range list {
			if !slices.Contains(list, r^1) {
				t.Errorf("row %d is in a part that its twin %d is not in", r, r^1)
			}
		}
	}
}

// All sizes at once are what each size by itself gives.
func TestSizes(t *testing.T) {
	p, teacher := toyProblem(t, 500, 10)
	rng := rand.New(rand.NewPCG(1, 2))
	teacher.rule = func(row []int32) int32 { return (row[4] + int32(rng.IntN(2))) % 10 } // some noise
	a := newAsker(p)
	rows := upTo(500)
	if err := a.rows(t.Context(), rows); err != nil {
		t.Fatal(err)
	}
	g := grower{p: p, answers: a.of}
	full, err := g.grow(rows[:300], nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	curve := p.sizes(full, rows[300:], a.of)
	if len(curve) != full.Leaves() {
		t.Fatalf("%d sizes for %d leaves", len(curve), full.Leaves())
	}
	for _, leaves := range []int{1, 2, 7, 30, full.Leaves()} {
		got := curve[leaves-1]
		want := agreement(classesOf(full.MaxLeaves(leaves), p.Table, rows[300:]), a.of[300:])
		if math.Abs(got.Agreement-want) > 1e-12 || got.Leaves != leaves {
			t.Errorf("%d leaves: agreement %g (of %d leaves), want %g", leaves, got.Agreement, got.Leaves, want)
		}
		// The standard error, the slow way.
		deviations := make(map[int32]float64)
		same := classesOf(full.MaxLeaves(leaves), p.Table, rows[300:])
		for i, r := range rows[300:] {
			x := 0.
			if same[i] == a.of[r] {
				x = 1
			}
			deviations[p.Group[r]] += x - want
		}
		sum := 0.
		for _, d := range deviations {
			sum += d * d
		}
		n := float64(len(deviations))
		if e := math.Sqrt(sum*n/(n-1)) / 200; math.Abs(got.Error-e) > 1e-9 {
			t.Errorf("%d leaves: standard error %g, want %g", leaves, got.Error, e)
		}
	}
}

func TestChooseSize(t *testing.T) {
	curve := []Size{{1, .5, .1}, {2, .7, .05}, {3, .78, .05}, {4, .8, .03}, {5, .8, .03}, {6, .79, .03}}
	for _, c := range []struct{ limit, best, leaves int }{{0, 4, 3}, {2, 2, 2}, {1, 1, 1}, {99, 4, 3}} {
		if best, leaves := chooseSize(curve, c.limit); best.Leaves != c.best || leaves != c.leaves {
			t.Errorf("at most %d leaves: the best has %d, chosen are %d; want %d and %d", c.limit, best.Leaves, leaves, c.best, c.leaves)
		}
	}
}

func TestMacroF1(t *testing.T) {
	s := newScorer(6)
	rapid.Check(t, func(t *rapid.T) {
		a := rapid.SliceOfN(rapid.Int32Range(0, 5), 0, 30).Draw(t, "a")
		b := rapid.SliceOfN(rapid.Int32Range(0, 5), len(a), len(a)).Draw(t, "b")
		w := rapid.SliceOfN(rapid.Int32Range(0, 3), len(a), len(a)).Draw(t, "weights")
		var c metrics.Confusion
		for i := range a {
			c.Add(label.Label(a[i]), label.Label(b[i]), int64(w[i]))
		}
		want := c.Metric(metrics.F1MacroUnion)
		if c.Total() == 0 {
			want = 0
		}
		if got := s.macroF1(a, b, w); math.Abs(got-want) > 1e-12 {
			t.Errorf("macro F1 is %g, want %g", got, want)
		}
	})
}

func TestBag(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 50).Draw(t, "n")
		b := newBag(n)
		counts := make([]int, n)
		for i := range counts {
			counts[i] = 1
		}
		total := n
		for range rapid.IntRange(0, 20).Draw(t, "copies") {
			i := rapid.IntRange(0, n-1).Draw(t, "copy")
			b.add(int32(i), 1)
			counts[i]++
			total++
		}
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		for range 2 { // a draw leaves the bag as it was
			left := slices.Clone(counts)
			for _, i := range b.draw(rng, total, nil) {
				left[i]--
			}
			if slices.ContainsFunc(left, func(c int) bool { return c != 0 }) {
				t.Errorf("drawing everything leaves %v of %v", left, counts)
			}
		}
	})
	// Every copy has the same chance.
	b := newBag(3)
	b.add(2, 2)
	rng := rand.New(rand.NewPCG(1, 1))
	times := make([]int, 3)
	for range 5000 {
		times[b.draw(rng, 1, nil)[0]]++
	}
	for i, want := range []int{1000, 1000, 3000} {
		if math.Abs(float64(times[i]-want)) > 150 {
			t.Errorf("of 5000 draws %d is drawn %d times, want about %d", i, times[i], want)
		}
	}
}

func TestWilson(t *testing.T) {
	for _, c := range []struct {
		share     float64
		groups    int
		low, high float64
	}{{0, 0, 0, 1}, {1, 10, .722, 1}, {.5, 20, .299, .701}, {0, 4, 0, .490}} {
		got := wilson(c.share, c.groups)
		if math.Abs(got.Low-c.low) > .001 || math.Abs(got.High-c.high) > .001 || got.Value != c.share {
			t.Errorf("share %g of %d groups: %+v, want %g to %g", c.share, c.groups, got, c.low, c.high)
		}
	}
}

func TestExplain(t *testing.T) {
	for name, change := range map[string]func(*Problem, *toy){
		"as it is":  func(*Problem, *toy) {},
		"one class": func(_ *Problem, teacher *toy) { teacher.rule = func([]int32) int32 { return 1 } },
		"never predicted": func(p *Problem, teacher *toy) { // nor by the tree, which is too small for class 7
			p.Classes = append(p.Classes, "a class that nobody gives")
			teacher.rule = func(row []int32) int32 {
				if row[5] == 3 && row[6] == 3 {
					return 7
				}
				return row[4] / 5
			}
		},
		"constant features": func(p *Problem, _ *toy) {
			table, err := tree.NewTable(p.Table.Rows(), len(p.Features), func(_ int, dst []int32) { clear(dst) })
			if err != nil {
				t.Fatal(err)
			}
			p.Table = table
		},
		"without time":  func(p *Problem, _ *toy) { p.Time, p.Group = nil, nil },
		"truth and own": func(p *Problem, _ *toy) { p.Truth, p.Own = make([]int32, 800), make([]int32, 800); p.Truth[3] = -1 },
		"500 classes": func(p *Problem, teacher *toy) {
			for k := range 500 {
				p.Classes = append(p.Classes, fmt.Sprint(k))
			}
			teacher.rule = func(row []int32) int32 { return row[4]*50 + row[5]*3 + row[6] }
		},
	} {
		t.Run(name, func(t *testing.T) {
			p, teacher := toyProblem(t, 800, 10)
			change(p, teacher)
			o := Options{Probes: 20, Single: 3, Folds: 2, Honest: HonestOptions{Bootstraps: 3}}
			if testing.Short() { // the students of mode trustee take most of the time and show nothing here
				o.Folds, o.Honest.Bootstraps, o.Trustee = 1, 1, TrusteeOptions{Iterations: 3, Stability: 2}
			}
			e, err := Explain(t.Context(), p, o)
			if err != nil {
				t.Fatal(err)
			}
			// JSON knows no NaN.
			if _, err := json.Marshal(e.Report); err != nil {
				t.Errorf("the report cannot be written: %v", err)
			}
			if e.Report.Asked != teacher.asked {
				t.Errorf("the teacher was asked about %d rows, the report says %d", teacher.asked, e.Report.Asked)
			}
			if u := e.Report.Unexplained; math.Abs(u.Share.Value+e.Report.Tree.Fidelity.Agreement.Value-1) > 1e-9 {
				t.Errorf("unexplained are %g, explained %g", u.Share.Value, e.Report.Tree.Fidelity.Agreement.Value)
			}
			if name != "as it is" {
				return
			}
			if got := e.Report.Top[0].Feature; got != "f0@0" {
				t.Errorf("the most important feature is %s, want f0@0", got)
			}
			if first := e.Report.Permuted[0].What; first != "f0" && first != "@0" {
				t.Errorf("exchanging %s changes most, want f0 or @0", first)
			}
			for _, x := range e.Report.Permuted {
				if x.What == "f3" && x.Teacher.Value != 0 {
					t.Errorf("exchanging f3, which the teacher does not look at, changes %g of its answers", x.Teacher.Value)
				}
			}
			if c := e.Report.Confirmed; c == nil || c.Value < .9 {
				t.Errorf("of the counterfactuals %+v are confirmed, the tree knows the rule", c)
			}
		})
	}
}
