package explain

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"

	"k8ntext/explain/tree"
)

// TrusteeOptions are the parameters of [Trustee]. Zero values are the published defaults.
type TrusteeOptions struct {
	TopK        int     `json:"top_k"`        // branches that pruning keeps; 0: 10
	TrainShare  float64 `json:"train_share"`  // of all rows; 0: 0.7
	Iterations  int     `json:"iterations"`   // inner loop; 0: 50
	Stability   int     `json:"stability"`    // outer loop; 0: 5
	Samples     int     `json:"samples"`      // rows drawn in an iteration; 0: 2000
	SampleShare float64 `json:"sample_share"` // the same as a share of the training rows; 0: Samples counts
	MaxLeaves   int     `json:"max_leaves"`   // of a student; 0: no limit
	MaxDepth    int     `json:"max_depth"`    // of a student; 0: no limit
	Alpha       float64 `json:"alpha"`        // cost-complexity price of a leaf of a student
	NoAggregate bool    `json:"no_aggregate"` // do not add the rows that the teacher was asked about
	Seed        uint64  `json:"seed"`         // of every draw
	Workers     int     `json:"-"`            // threads; 0: one for each core
}

// Trustee's constants.
const (
	growShare   = .7  // of a draw; the rest is what the teacher is asked about
	pruneAtGini = .10 // inner nodes at most this impure become leaves
)

func (o TrusteeOptions) withDefaults() (TrusteeOptions, error) {
	for _, d := range []struct {
		name  string
		value *int
		usual int
	}{{"top-k", &o.TopK, 10}, {"iterations", &o.Iterations, 50}, {"stability iterations", &o.Stability, 5}, {"samples", &o.Samples, 2000}, {"leaves", &o.MaxLeaves, 0}, {"depth", &o.MaxDepth, 0}} {
		if *d.value < 0 {
			return o, fmt.Errorf("%s of %d: give 0 (the default, %d) or more", d.name, *d.value, d.usual)
		}
		if *d.value == 0 {
			*d.value = d.usual
		}
	}
	if o.TrainShare == 0 {
		o.TrainShare = .7
	}
	if !(o.TrainShare > 0 && o.TrainShare < 1) || !(o.SampleShare >= 0 && o.SampleShare <= 1) || !(o.Alpha >= 0) || math.IsInf(o.Alpha, 1) {
		return o, fmt.Errorf("a training share of %v, a sample share of %v and a price of %v: give shares between 0 and 1 and a finite price", o.TrainShare, o.SampleShare, o.Alpha)
	}
	return o, nil
}

// TrusteeResult is what [Trustee] found.
type TrusteeResult struct {
	Full   *tree.Tree `json:"-"`
	Pruned *tree.Tree `json:"-"` // the explanation

	// Agreement is the mean macro F1 between this pruned tree's answers for the test rows and those of
	// every outer iteration's, its own included, which is part of the method.
	Agreement float64 `json:"agreement"`
	// Reward is the macro F1 between teacher and student on the rows that the student was kept for. It
	// is too high as a measure of fidelity: the student may have seen copies of those rows.
	Reward float64 `json:"reward"`

	Students []Student `json:"students"` // kept by each outer iteration
	Chosen   int       `json:"chosen"`   // which is the explanation
	Size     int       `json:"size"`     // rows of a draw
	Test     []int32   `json:"-"`        // rows of which no student was grown, ascending
	Notes    []string  `json:"notes,omitempty"`
}

// Student is what one outer iteration kept.
type Student struct {
	Iteration    int     `json:"iteration"` // of the inner loop, from 0
	Reward       float64 `json:"reward"`
	Leaves       int     `json:"leaves"`
	PrunedLeaves int     `json:"pruned_leaves"`
	Agreement    float64 `json:"agreement"`
}

// Trustee imitates the teacher by the published method: students grown on ever new draws of the
// training rows, the rows held back in each draw put to the teacher and added with its answers, the
// student of largest reward kept; of several such, pruned to their top branches, the one that the
// others agree with most. rows are those to work on; nil: all.
//
// Where the data set is fixed, the added rows are copies, so the reward sees what was grown on: use
// [Honest] for what to believe. Copies are counted here, not kept: memory does not grow with the
// iterations. A draw of more rows than there are takes all of them, and a note says so.
//
// It fails with options out of range, with fewer than four rows, if the teacher fails, and if ctx ends.
func Trustee(ctx context.Context, p *Problem, rows []int32, o TrusteeOptions) (*TrusteeResult, error) {
	return trustee(ctx, p, newAsker(p), rows, o)
}

func trustee(ctx context.Context, p *Problem, a *asker, rows []int32, o TrusteeOptions) (*TrusteeResult, error) {
	fail := func(err error) (*TrusteeResult, error) {
		return nil, fmt.Errorf("explain %s by trustee: %w", p.Name, err)
	}
	if err := p.check(); err != nil {
		return fail(err)
	}
	o, err := o.withDefaults()
	if err != nil {
		return fail(err)
	}
	if rows == nil {
		rows = upTo(p.Table.Rows())
	}
	if len(rows) < 4 {
		return fail(fmt.Errorf("%d rows cannot be cut twice: give four or more", len(rows)))
	}
	rng := rand.New(rand.NewPCG(o.Seed, 0x74727573)) // the stream "trus"
	order := pick(rows, permutation(rng, len(rows)))
	// scikit-learn's split: the test part is rounded up.
	test := min(int(math.Ceil((1-o.TrainShare)*float64(len(rows))-1e-9)), len(rows)-2)
	r := &TrusteeResult{Test: sorted(order[:test])}
	train := sorted(order[test:])
	if err := a.rows(ctx, train); err != nil {
		return fail(err)
	}

	s := &school{p: p, o: o, answers: a.of, table: p.Table, rows: train, bag: newBag(len(train)), scorer: newScorer(len(p.Classes)), nominal: p.nominal()}
	r.Size = o.Samples
	if o.SampleShare > 0 {
		r.Size = int(float64(len(train)) * o.SampleShare)
	}
	if r.Size > len(train) {
		r.Notes = append(r.Notes, fmt.Sprintf("draws are of %d rows, all there are, instead of %d", len(train), r.Size))
		r.Size = len(train)
	}
	if r.Size < 2 {
		return fail(fmt.Errorf("draws of %d of %d training rows: give a larger sample", r.Size, len(train)))
	}

	var full, pruned []*tree.Tree
	var answers [][]int32 // of the pruned students for the test rows
	for range o.Stability {
		var kept *tree.Tree
		best := Student{Reward: math.Inf(-1)}
		for i := range o.Iterations {
			if err := ctx.Err(); err != nil {
				return fail(err)
			}
			student, reward, err := s.iterate(rng, r.Size)
			if err != nil {
				return fail(err)
			}
			if reward > best.Reward {
				kept, best = student, Student{Iteration: i, Reward: reward}
			}
		}
		cut := kept.TopBranches(o.TopK, pruneAtGini)
		best.Leaves, best.PrunedLeaves = kept.Leaves(), cut.Leaves()
		full, pruned = append(full, kept), append(pruned, cut)
		r.Students = append(r.Students, best)
		answers = append(answers, classesOf(cut, p.Table, r.Test))
	}
	for i := range r.Students {
		for j := range answers {
			r.Students[i].Agreement += s.scorer.macroF1(answers[j], answers[i], nil) / float64(len(answers))
		}
		if r.Students[i].Agreement > r.Students[r.Chosen].Agreement {
			r.Chosen = i
		}
	}
	r.Full, r.Pruned = full[r.Chosen], pruned[r.Chosen]
	r.Agreement, r.Reward = r.Students[r.Chosen].Agreement, r.Students[r.Chosen].Reward
	return r, nil
}

// school is where students are grown.
type school struct {
	p       *Problem
	o       TrusteeOptions
	answers []int32 // of the teacher, by row of the table
	table   *tree.Table
	rows    []int32 // training rows
	bag     *bag    // of places in rows, with all copies so far
	scorer  *scorer
	nominal []bool

	drawn   []int32 // places, in the order of the draw
	weights []int32 // by row of the table
}

// iterate grows one student and gives its reward.
func (s *school) iterate(rng *rand.Rand, size int) (*tree.Tree, float64, error) {
	s.drawn = s.bag.draw(rng, size, s.drawn[:0])
	held := int(math.Ceil((1-growShare)*float64(size) - 1e-9)) // scikit-learn's split
	held = min(max(held, 1), size-1)
	grown, asked := s.drawn[:size-held], s.drawn[size-held:]

	if s.weights == nil {
		s.weights = make([]int32, s.table.Rows())
	}
	clear(s.weights)
	for _, place := range grown {
		s.weights[s.rows[place]]++
	}
	student, err := tree.Fit(s.table, s.answers, len(s.p.Classes), tree.Options{
		Weights: s.weights, Nominal: s.nominal, MaxDepth: s.o.MaxDepth, Seed: rng.Uint64() | 1, Workers: s.o.Workers,
	})
	if err != nil {
		return nil, 0, err
	}
	if s.o.MaxLeaves > 0 {
		student = student.MaxLeaves(s.o.MaxLeaves)
	}
	if s.o.Alpha > 0 {
		student = student.Alpha(s.o.Alpha)
	}

	expert, got := make([]int32, len(asked)), make([]int32, len(asked))
	for i, place := range asked {
		row := s.rows[place]
		expert[i], got[i] = s.answers[row], student.Class(s.table, int(row))
	}
	if !s.o.NoAggregate {
		for _, place := range asked {
			s.bag.add(place, 1)
		}
	}
	return student, s.scorer.macroF1(expert, got, nil), nil
}

var errEmptyBag = errors.New("explain: more was drawn from a bag than it holds")

// bag holds numbers, each any number of times, and draws from them without putting back. It keeps
// counts in a Fenwick tree (P. Fenwick, 1994): a draw takes the logarithm of the number of numbers.
type bag struct {
	sums  []int64 // from 1
	top   int     // largest power of two in it
	total int64
}

// newBag holds 0 to n-1 once each.
func newBag(n int) *bag {
	b := &bag{sums: make([]int64, n+1), top: 1}
	for b.top*2 <= n {
		b.top *= 2
	}
	for i := range n {
		b.add(int32(i), 1)
	}
	return b
}

func (b *bag) add(number int32, times int64) {
	b.total += times
	for i := int(number) + 1; i < len(b.sums); i += i & -i {
		b.sums[i] += times
	}
}

// draw appends n numbers in the order in which they are drawn, and then puts them back.
func (b *bag) draw(rng *rand.Rand, n int, dst []int32) []int32 {
	if int64(n) > b.total {
		panic(errEmptyBag)
	}
	for range n {
		left := rng.Int64N(b.total)
		at := 0
		for step := b.top; step > 0; step /= 2 {
			if next := at + step; next < len(b.sums) && b.sums[next] <= left {
				at = next
				left -= b.sums[next]
			}
		}
		dst = append(dst, int32(at))
		b.add(int32(at), -1)
	}
	for _, number := range dst[len(dst)-n:] {
		b.add(number, 1)
	}
	return dst
}
