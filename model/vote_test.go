package model

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"k8ntext/dataset/label"
)

// brute scores every label of the space on its own.
func brute(space labelSpace, sum []float64, windows int) (best, second label.Label, margin float64) {
	type scored struct {
		label label.Label
		score float64
	}
	var all []scored
	m := space.M()
	for _, l := range space.Labels() {
		c := space.Components(l)
		all = append(all, scored{l, sum[c[0]] + sum[m+c[1]] + (sum[2*m+c[2]] + sum[3*m+c[3]] + sum[4*m+c[4]])})
	}
	slices.SortStableFunc(all, func(a, b scored) int {
		switch {
		case a.score > b.score:
			return -1
		case a.score < b.score:
			return 1
		}
		return 0
	})
	mass := 0.0
	for _, s := range all {
		mass += math.Exp((s.score - all[0].score) / float64(windows))
	}
	return all[0].label, all[1].label, (1 - math.Exp((all[1].score-all[0].score)/float64(windows))) / mass
}

func TestJointScorerAgreesWithBruteForce(t *testing.T) {
	for _, space := range []*label.Space{label.Paper(), label.Default("cert-manager.io", "example.org")} {
		j := newJointScorer(space)
		rapid.Check(t, func(t *rapid.T) {
			windows := rapid.IntRange(1, 60).Draw(t, "windows")
			spread := rapid.Float64Range(0.01, 50).Draw(t, "spread")
			rng := stream(rapid.Uint64().Draw(t, "seed"), 0, 0)
			sum := make([]float64, components*space.M())
			for i := range sum {
				sum[i] = -spread * float64(windows) * rng.Float64()
			}
			best, second, margin := j.best(sum, windows)
			wantBest, wantSecond, wantMargin := brute(space, sum, windows)
			if best != wantBest || second != wantSecond || math.Abs(margin-wantMargin) > 1e-9 {
				t.Fatalf("got %d, %d, %v, want %d, %d, %v", best, second, margin, wantBest, wantSecond, wantMargin)
			}
		})
	}
}

// Each component alone prefers an impossible combination; the joint choice must be a valid label.
func TestSumGivesOnlyValidLabels(t *testing.T) {
	space := label.Default()
	j := newJointScorer(space)
	rapid.Check(t, func(t *rapid.T) {
		sum := make([]float64, components*space.M())
		for i := range sum {
			sum[i] = rapid.Float64Range(-1e3, 0).Draw(t, "logp")
		}
		best, second, margin := j.best(sum, 1)
		if !space.Valid(best) || !space.Valid(second) || best == second {
			t.Fatalf("got %d before %d", best, second)
		}
		if !(margin >= 0 && margin <= 1) {
			t.Fatalf("margin %v", margin)
		}
	})
}

func TestJointScorerOnValuesThatAreNoNumbers(t *testing.T) {
	space := label.Paper()
	j := newJointScorer(space)
	for _, v := range []float64{math.NaN(), math.Inf(-1)} {
		sum := make([]float64, components*space.M())
		for i := range sum {
			sum[i] = v
		}
		if best, second, margin := j.best(sum, 1); best != label.Unknown || second != label.Unknown || margin != 0 {
			t.Errorf("all %v: got %d, %d, %v", v, best, second, margin)
		}
		// One good label among them is found.
		want := label.Tuple{Resource: 17, Verb: 2, Namespaced: true, Single: true}.Label()
		for k, c := range space.Components(want) {
			sum[k*space.M()+c] = -1
		}
		if best, _, margin := j.best(sum, 1); best != want || margin != 1 {
			t.Errorf("all but one %v: got %d with margin %v, want %d with 1", v, best, margin, want)
		}
	}
}

// logits are log-probabilities that say l without doubt.
func logits(space labelSpace, l label.Label) []float32 {
	x := make([]float32, components*space.M())
	for i := range x {
		x[i] = -10
	}
	for k, c := range space.Components(l) {
		x[k*space.M()+c] = -.1
	}
	return x
}

func TestVoteRules(t *testing.T) {
	space := label.Paper()
	a := label.Tuple{Resource: 16, Verb: 1, Namespaced: true}.Label()
	b := label.Tuple{Resource: 17, Verb: 1, Namespaced: true}.Label()
	c := label.Tuple{Resource: 1, Verb: 1, Namespaced: true}.Label()
	type vote struct {
		label  label.Label
		pos, w int // position in a window of w
	}
	for _, test := range []struct {
		name   string
		rule   string
		votes  []vote
		want   label.Label
		runner label.Label
		margin float64
	}{
		{"one window", RuleMajority, []vote{{a, 0, 5}}, a, label.Unknown, 1},
		{"most votes", RuleMajority, []vote{{a, 0, 5}, {b, 1, 5}, {b, 2, 5}}, b, a, 1. / 3},
		{"first on ties", RuleMajority, []vote{{b, 0, 5}, {a, 1, 5}, {a, 2, 5}, {b, 3, 5}}, b, a, 0},
		{"runner-up is the first of equals", RuleMajority, []vote{{c, 0, 5}, {a, 1, 5}, {b, 2, 5}, {b, 3, 5}}, b, c, 1. / 4},
		{"majority ignores places", RuleMajority, []vote{{a, 2, 5}, {b, 0, 5}, {b, 4, 5}}, b, a, 1. / 3},
		// Weights in a window of 5 are 1 2 3 2 1.
		{"the centre outweighs both edges", RuleCentre, []vote{{b, 0, 5}, {a, 2, 5}, {b, 4, 5}}, a, b, 1. / 5},
		{"edges are equal and count", RuleCentre, []vote{{b, 4, 5}, {a, 0, 5}}, b, a, 0},
		{"even window", RuleCentre, []vote{{a, 1, 4}, {b, 2, 4}, {b, 0, 4}}, b, a, 1. / 5},
		{"sum", RuleSum, []vote{{a, 0, 5}, {b, 1, 5}, {b, 2, 5}}, b, a, -1},
	} {
		p := newPoll(test.rule, space, 0)
		tally := p.newTally()
		for _, v := range test.votes {
			p.add(tally, logits(space, v.label), nil, v.pos, v.w)
		}
		got := p.result(tally, nil)
		if got.Label != test.want || got.RunnerUp != test.runner || got.Windows != len(test.votes) {
			t.Errorf("%s: got %d before %d of %d windows, want %d before %d", test.name, got.Label, got.RunnerUp, got.Windows, test.want, test.runner)
		}
		if test.margin >= 0 && math.Abs(got.Margin-test.margin) > 1e-12 {
			t.Errorf("%s: margin %v, want %v", test.name, got.Margin, test.margin)
		}
	}
}

// An impossible tuple is a vote of its own under the paper's rule, as in the reference.
func TestMajorityCountsImpossibleLabels(t *testing.T) {
	space := label.Paper()
	good := label.Tuple{Resource: 16, Verb: 1, Namespaced: true}.Label()
	p := newPoll(RuleMajority, space, 0)
	tally := p.newTally()
	impossible := logits(space, good)
	impossible[0] = 0 // resource 0
	p.add(tally, impossible, nil, 0, 3)
	p.add(tally, impossible, nil, 1, 3)
	p.add(tally, logits(space, good), nil, 2, 3)
	if got := p.result(tally, nil); got.Label != label.Unknown || got.RunnerUp != good {
		t.Errorf("got %d before %d", got.Label, got.RunnerUp)
	}
}

func TestVoteOptions(t *testing.T) {
	for _, o := range []VoteOptions{
		{Rule: "most"}, {Stride: -1}, {Stride: 11}, {Batch: -1}, {Batch: 1 << 20}, {Threads: -1}, {Threads: 4096},
	} {
		if _, err := o.withDefaults(10); err == nil {
			t.Errorf("%+v was accepted", o)
		}
	}
	for _, c := range []struct {
		o              VoteOptions
		window, stride int
	}{
		{VoteOptions{}, 40, 10},
		{VoteOptions{}, 3, 1},
		{VoteOptions{Stride: 1}, 40, 1},
		{VoteOptions{Online: true}, 40, 1},
	} {
		if o, err := c.o.withDefaults(c.window); err != nil || o.Rule != RuleSum || o.Stride != c.stride {
			t.Errorf("%+v with windows of %d events: %+v, %v, want stride %d", c.o, c.window, o, err, c.stride)
		}
	}
}
