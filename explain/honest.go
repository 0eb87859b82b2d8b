package explain

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"k8ntext/explain/tree"
)

// HonestOptions are the parameters of [Honest]. The zero value is the default.
type HonestOptions struct {
	Cut Cut `json:"cut"`
	// Parts, where not nil, are used as they are, instead of a cut.
	Parts *Parts `json:"-"`
	// Bootstraps is how many trees are grown on resampled training groups, beside the one of all
	// training rows; 0: 10, negative: none.
	Bootstraps int `json:"bootstraps"`
	// MaxLeaves bounds the size of the tree; 0: no limit but the one-standard-error rule.
	MaxLeaves int `json:"max_leaves"`
	// Features are the ones that the tree may ask for; nil: all.
	Features []int `json:"-"`
	// Seed seeds resampling, ties, and the cut of a table without time.
	Seed uint64 `json:"seed"`
	// Workers is the number of threads; 0: one for each core. The result does not depend on it.
	Workers int `json:"-"`
}

const defaultBootstraps = 10

// HonestResult is what [Honest] found.
type HonestResult struct {
	Tree   *tree.Tree `json:"-"` // the explanation
	Full   *tree.Tree `json:"-"` // what it was cut from
	Parts  Parts      `json:"parts"`
	Leaves int        `json:"leaves"` // of the explanation

	// Sizes is how the tree of all training rows fares on the selecting rows by size, thinned.
	Sizes []Size `json:"sizes"`
	// Best is the size of largest agreement; Leaves is the smallest within one standard error of it.
	Best Size `json:"best"`

	// Candidates are the trees that were compared, cut to size; the first was grown on all training rows.
	Candidates []Candidate `json:"candidates"`
	Chosen     int         `json:"chosen"`

	// Fidelity is that of the explanation on the reporting rows, which nothing else has looked at.
	Fidelity Fidelity `json:"fidelity"`
}

// Size is how a tree of some leaves agrees with the teacher on the selecting rows.
type Size struct {
	Leaves    int     `json:"leaves"`
	Agreement float64 `json:"agreement"`
	Error     float64 `json:"error"` // standard error of it, over groups
}

// Candidate is a tree that may be the explanation.
type Candidate struct {
	Tree *tree.Tree `json:"-"`
	full *tree.Tree
	// Agreement is the mean share of selecting rows on which another candidate gives the same class.
	Agreement float64 `json:"agreement"`
	Teacher   float64 `json:"teacher"` // the same with the teacher
	Bootstrap bool    `json:"bootstrap"`
}

// Honest imitates the teacher by one tree. The rows are cut into three parts. A tree is grown on the
// training rows, the smallest one whose agreement with the teacher on the selecting rows is within a
// standard error of the best decides the size, and among that tree and such of resampled training
// groups the one that agrees most with the others on the selecting rows is the explanation. Last, its
// fidelity is measured on the reporting rows.
//
// It fails with options out of range, where the rows are too few for three parts, if the teacher
// fails, and if ctx ends.
func Honest(ctx context.Context, p *Problem, o HonestOptions) (*HonestResult, error) {
	return honest(ctx, p, newAsker(p), o)
}

func honest(ctx context.Context, p *Problem, a *asker, o HonestOptions) (*HonestResult, error) {
	fail := func(err error) (*HonestResult, error) { return nil, fmt.Errorf("explain %s: %w", p.Name, err) }
	if o.MaxLeaves < 0 {
		return fail(fmt.Errorf("at most %d leaves: give 0 (no limit) or more", o.MaxLeaves))
	}
	if o.Bootstraps == 0 {
		o.Bootstraps = defaultBootstraps
	}
	parts, err := o.parts(p)
	if err != nil {
		return fail(err)
	}
	for _, rows := range [][]int32{parts.Train, parts.Select, parts.Report} {
		if err := a.rows(ctx, rows); err != nil {
			return fail(err)
		}
	}

	r := &HonestResult{Parts: parts}
	g := grower{p: p, answers: a.of, o: o}
	whole, err := g.grow(parts.Train, nil, 0)
	if err != nil {
		return fail(err)
	}
	curve := p.sizes(whole, parts.Select, a.of)
	r.Best, r.Leaves = chooseSize(curve, o.MaxLeaves)
	r.Sizes = thin(curve, r.Leaves, r.Best.Leaves)

	r.Candidates = []Candidate{{Tree: whole.MaxLeaves(r.Leaves), full: whole}}
	for i := range max(o.Bootstraps, 0) {
		if err := ctx.Err(); err != nil {
			return fail(err)
		}
		rng := rand.New(rand.NewPCG(o.Seed, 0x626f6f74<<16|uint64(i))) // the streams "boot"
		full, err := g.grow(parts.Train, p.resample(rng, parts.Train), rng.Uint64()|1)
		if err != nil {
			return fail(err)
		}
		r.Candidates = append(r.Candidates, Candidate{Tree: full.MaxLeaves(r.Leaves), full: full, Bootstrap: true})
	}
	r.choose(p, pick(a.of, parts.Select))
	r.Tree, r.Full = r.Candidates[r.Chosen].Tree, r.Candidates[r.Chosen].full
	r.Leaves = r.Tree.Leaves()
	r.Fidelity = p.fidelity(parts.Report, pick(a.of, parts.Report), classesOf(r.Tree, p.Table, parts.Report))
	return r, nil
}

// parts are the parts to work on.
func (o *HonestOptions) parts(p *Problem) (Parts, error) {
	if o.Parts == nil {
		return p.Cut(o.Cut)
	}
	if err := p.check(); err != nil {
		return Parts{}, err
	}
	for _, rows := range [][]int32{o.Parts.Train, o.Parts.Select, o.Parts.Report} {
		if len(rows) == 0 {
			return Parts{}, errors.New("a part has no rows: give some in each")
		}
		if slices.Min(rows) < 0 || int(slices.Max(rows)) >= p.Table.Rows() {
			return Parts{}, fmt.Errorf("a part has rows that the table of %d lacks", p.Table.Rows())
		}
	}
	return *o.Parts, nil
}

// grower grows trees on the teacher's answers.
type grower struct {
	p       *Problem
	answers []int32
	o       HonestOptions
}

// grow grows a full tree on rows, each counting as often as times says; nil: once.
func (g *grower) grow(rows, times []int32, seed uint64) (*tree.Tree, error) {
	weights := make([]int32, g.p.Table.Rows())
	for i, r := range rows {
		weights[r] = 1
		if times != nil {
			weights[r] = times[i]
		}
	}
	return tree.Fit(g.p.Table, g.answers, len(g.p.Classes), tree.Options{
		Weights: weights, Nominal: g.p.nominal(), Features: g.o.Features, Seed: seed, Workers: g.o.Workers,
	})
}

// resample says how often each row comes in a draw, with putting back, of as many groups as there are.
func (p *Problem) resample(rng *rand.Rand, rows []int32) []int32 {
	numbers := make(map[int32]int)
	for _, r := range rows {
		if g := p.group(r); numbers[g] == 0 {
			numbers[g] = len(numbers) + 1
		}
	}
	drawn := make([]int32, len(numbers))
	for range drawn {
		drawn[rng.IntN(len(drawn))]++
	}
	times := make([]int32, len(rows))
	for i, r := range rows {
		times[i] = drawn[numbers[p.group(r)]-1]
	}
	return times
}

// sizes follows best-first growth from the root to the whole tree: each split changes the answers of
// the rows in one leaf, so all sizes together cost little more than the last.
func (p *Problem) sizes(t *tree.Tree, rows, answers []int32) []Size {
	at := make([][]int, len(t.Nodes)) // places in rows that are at each leaf so far
	at[0] = make([]int, len(rows))
	group := make([]int, len(rows))
	numbers := make(map[int32]int)
	for i, r := range rows {
		at[0][i] = i
		g := p.group(r)
		if _, ok := numbers[g]; !ok {
			numbers[g] = len(numbers)
		}
		group[i] = numbers[g]
	}
	// The standard error of a share of clustered observations: the spread of the groups' sums of
	// deviations, sum over groups of (same - share * rows)^2 (W. Cochran, Sampling Techniques, 1977).
	same, many := make([]float64, len(numbers)), make([]float64, len(numbers))
	for _, g := range group {
		many[g]++
	}
	total := 0.0
	// The three sums of which the spread is made are kept up to date too.
	var same2, sameMany, many2 float64
	for _, n := range many {
		many2 += n * n
	}
	count := func(place int, class int32, by float64) {
		if answers[rows[place]] != class {
			return
		}
		g := group[place]
		same2 += 2*by*same[g] + 1
		sameMany += by * many[g]
		same[g] += by
		total += by
	}
	var curve []Size
	point := func() {
		n := float64(len(rows))
		share := total / n
		spread := same2 - 2*share*sameMany + share*share*many2
		groups := float64(len(numbers))
		e := 0.0
		if groups > 1 {
			e = math.Sqrt(max(spread, 0)*groups/(groups-1)) / n
		}
		curve = append(curve, Size{len(curve) + 1, share, e})
	}
	for _, place := range at[0] {
		count(place, t.Nodes[0].Class, 1)
	}
	point()
	for _, node := range t.BestFirst() {
		n := &t.Nodes[node]
		for _, place := range at[node] {
			next := n.Right
			if n.GoesLeft(p.Table.Value(int(rows[place]), int(n.Feature))) {
				next = n.Left
			}
			at[next] = append(at[next], place)
			if class := t.Nodes[next].Class; class != n.Class {
				count(place, n.Class, -1)
				count(place, class, 1)
			}
		}
		at[node] = nil
		point()
	}
	return curve
}

// chooseSize gives the size of largest agreement, the smallest of equals, and the smallest within one
// standard error of that.
//
// Source: Breiman et al., Classification and Regression Trees, 1984, section 3.4.3.
func chooseSize(curve []Size, limit int) (best Size, leaves int) {
	if limit > 0 {
		curve = curve[:min(limit, len(curve))]
	}
	best = slices.MaxFunc(curve, func(a, b Size) int { return cmp.Compare(a.Agreement, b.Agreement) })
	for _, s := range curve {
		if s.Agreement >= best.Agreement-best.Error {
			return best, s.Leaves
		}
	}
	return best, best.Leaves
}

// thin keeps the sizes that a picture needs: steps of about a twentieth, and the named ones.
func thin(curve []Size, named ...int) []Size {
	var kept []Size
	next := 1
	for _, s := range curve {
		if s.Leaves >= next || s.Leaves == len(curve) || slices.Contains(named, s.Leaves) {
			kept = append(kept, s)
			if s.Leaves >= next {
				next = s.Leaves + max(1, s.Leaves/20)
			}
		}
	}
	return kept
}

// choose finds the candidate that agrees most with the others on the selecting rows, the first of
// equals; want is the teacher's answers there.
func (r *HonestResult) choose(p *Problem, want []int32) {
	answers := make([][]int32, len(r.Candidates))
	for i := range r.Candidates {
		answers[i] = classesOf(r.Candidates[i].Tree, p.Table, r.Parts.Select)
		r.Candidates[i].Teacher = agreement(answers[i], want)
	}
	for i := range r.Candidates {
		c := &r.Candidates[i]
		if len(answers) == 1 {
			c.Agreement = 1
		}
		for j := range answers {
			if i != j {
				c.Agreement += agreement(answers[i], answers[j]) / float64(len(answers)-1)
			}
		}
		if c.Agreement > r.Candidates[r.Chosen].Agreement {
			r.Chosen = i
		}
	}
}

func upTo(n int) []int32 {
	out := make([]int32, n)
	for i := range out {
		out[i] = int32(i)
	}
	return out
}

func permutation(rng *rand.Rand, n int) []int32 {
	out := upTo(n)
	rng.Shuffle(n, func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

func sorted(rows []int32) []int32 {
	out := slices.Clone(rows)
	slices.Sort(out)
	return out
}
