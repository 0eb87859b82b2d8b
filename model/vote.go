package model

import (
	"fmt"
	"math"

	"k8ntext/dataset/label"
	"k8ntext/model/device"
	"k8ntext/model/device/opencl"
)

// The rules by which the windows that cover an event agree on its label.
const (
	// RuleSum adds up the log-probabilities of all windows for each of the five components and takes
	// the valid label of the space with the largest total. The default.
	RuleSum = "sum"
	// RuleMajority lets every window vote for the label that its five most likely components make,
	// valid or not; the most votes win, on ties the label that was voted for first. The paper's rule.
	RuleMajority = "majority"
	// RuleCentre is RuleMajority with weights that fall linearly from the window's centre to its
	// edges. The reference's code does this with weight 0 for the first position and 2/W for the last
	// (REFERENCE 6.4, 13 I); here position j of L weighs min(j+1, L-j), so both edges count, equally.
	RuleCentre = "centre"
)

// VoteOptions says how events are labelled. The zero value is the default.
type VoteOptions struct {
	// Rule is RuleSum, RuleMajority or RuleCentre; "" is RuleSum.
	Rule string
	// Stride is the distance between the starts of consecutive windows, 1 to W; 0 is a quarter of W, at
	// which no accuracy was lost where it was measured (bench/README.md), and online 1. Whatever the
	// stride, one more window ends at the last event, so that every event lies in at least one.
	Stride int
	// Online labels each event by the windows that end at most LookAhead events after it, so that a
	// label is certain that soon: 0 asks for it at once, by what came before. LookAhead is at least
	// Stride-1, or no window would end in time. At the beginning of a log such windows are short.
	Online    bool
	LookAhead int
	// Batch is how many windows go through the network at once; 0 is 32. A [Labeler] holds events
	// back until it has that many windows: 1 gives each event as early as it can be known.
	Batch int
	// Threads is how many batches are computed at a time; 0 is 1. It changes no bit of the result.
	Threads int
	// Kernels does the arithmetic; nil is the best that this machine has.
	Kernels device.Kernels
	// Device, where not nil, runs the network instead of the processor. With FallBack the processor
	// takes over where the device fails.
	Device   *opencl.Device
	FallBack bool
}

func (o VoteOptions) withDefaults(window int) (VoteOptions, error) {
	switch o.Rule {
	case "":
		o.Rule = RuleSum
	case RuleSum, RuleMajority, RuleCentre:
	default:
		return o, fmt.Errorf("unknown vote rule %q: use %s, %s or %s", o.Rule, RuleSum, RuleMajority, RuleCentre)
	}
	switch {
	case o.Stride == 0 && o.Online:
		o.Stride = 1
	case o.Stride == 0:
		o.Stride = max(1, window/4)
	}
	if o.Stride < 1 || o.Stride > window {
		return o, fmt.Errorf("stride %d: must be from 1 to the model's window of %d events, or events would be skipped", o.Stride, window)
	}
	switch {
	case o.Online && o.LookAhead < o.Stride-1:
		return o, fmt.Errorf("look-ahead of %d events: must be at least %d with stride %d, or no window would end in time for some events", o.LookAhead, o.Stride-1, o.Stride)
	case !o.Online && o.LookAhead != 0:
		return o, fmt.Errorf("look-ahead of %d events: is for online labelling: set Online", o.LookAhead)
	}
	o.LookAhead = min(o.LookAhead, window-1) // no window that holds the event ends later
	if o.Batch == 0 {
		o.Batch = 32
	}
	if o.Batch < 1 || o.Batch > maxBatch {
		return o, fmt.Errorf("batch of %d windows: must be from 1 to %d", o.Batch, maxBatch)
	}
	if o.Threads == 0 {
		o.Threads = 1
	}
	if o.Threads < 1 || o.Threads > 1024 {
		return o, fmt.Errorf("%d threads: must be from 1 to 1024", o.Threads)
	}
	return o, nil
}

// Prediction is what the windows that cover an event agreed on.
type Prediction struct {
	Label label.Label
	// RunnerUp is the second choice; [label.Unknown] where there is none.
	RunnerUp label.Label
	// Margin is how far ahead of the runner-up the label is, 0 (a tie) to 1. With RuleSum it is the
	// difference of their probabilities, where a label's probability is the geometric mean over the
	// windows, made to sum to 1 over the valid labels; with the other rules, of their vote shares.
	Margin float64
	// Confidence is how sure the label is, 0 to 1: with RuleSum its probability as in Margin, with the
	// other rules its share of the votes. By a threshold on it a caller may leave events unanswered.
	Confidence float64
	// Windows is how many windows took part.
	Windows int
	// TriggerEstimated is set where the event's own label is the assigned one: without truth, it is
	// taken to have started its context.
	TriggerEstimated bool
}

// labelSpace is the part of [label.Space] that voting needs.
type labelSpace interface {
	M() int
	Parts() int
	Labels() []label.Label
	Components(l label.Label) [5]int
	FromComponents(c [5]int) label.Label
}

// tally gathers what the windows say of one event.
type tally struct {
	windows int
	sum     []float64 // RuleSum: of each output
	votes   []ballot  // the other rules: in the order of the first vote
	total   int
}

type ballot struct {
	label  label.Label
	weight int
}

func (t *tally) reset() {
	t.windows, t.total, t.votes = 0, 0, t.votes[:0]
	clear(t.sum)
}

// poll adds windows' outputs to tallies and counts them.
type poll struct {
	rule  string
	m     int
	parts int // of a label that the network has softmaxes for
	space labelSpace
	ties  int          // what the last softmax chooses among, besides none of them; 0: there is no such softmax
	joint *jointScorer // RuleSum only
}

func newPoll(rule string, space labelSpace, ties int) *poll {
	p := &poll{rule: rule, m: space.M(), parts: space.Parts(), space: space, ties: ties}
	if rule == RuleSum {
		p.joint = newJointScorer(space)
	}
	return p
}

func (p *poll) newTally() *tally {
	t := new(tally)
	if p.rule == RuleSum {
		t.sum = make([]float64, max(p.width(), components*p.m)) // a part without a softmax has probability 1
	}
	return t
}

// width is the number of the network's outputs for an event.
func (p *poll) width() int {
	if p.ties > 0 {
		return (p.parts + 1) * p.m
	}
	return p.parts * p.m
}

// add counts the log-probabilities logp [width] that a window of length events gave to its event at
// position pos, which is tied to events with these own labels.
func (p *poll) add(t *tally, logp []float32, tied []label.Label, pos, length int) {
	t.windows++
	if p.rule == RuleSum {
		for i, v := range logp {
			t.sum[i] += float64(v)
		}
		return
	}
	weight := 1
	if p.rule == RuleCentre {
		weight = min(pos+1, length-pos)
	}
	l := p.likeliest(logp, tied)
	t.total += weight
	for i := range t.votes {
		if t.votes[i].label == l {
			t.votes[i].weight += weight
			return
		}
	}
	t.votes = append(t.votes, ballot{l, weight})
}

// result counts a tally to which at least one window was added. tied is as in add.
func (p *poll) result(t *tally, tied []label.Label) Prediction {
	r := Prediction{Label: label.Unknown, RunnerUp: label.Unknown, Windows: t.windows}
	if p.rule == RuleSum {
		r.Label, r.RunnerUp, r.Margin = p.joint.best(t.sum[:components*p.m], t.windows)
		if r.Label >= 0 {
			r.Confidence = min(1/p.joint.mass, 1)
		}
		if p.ties > 0 {
			p.choose(t, tied, &r)
		}
		return r
	}
	first, second := -1, -1
	for i, v := range t.votes {
		switch {
		case first < 0 || v.weight > t.votes[first].weight:
			first, second = i, first
		case second < 0 || v.weight > t.votes[second].weight:
			second = i
		}
	}
	if first < 0 {
		return r
	}
	r.Label = t.votes[first].label
	lead := t.votes[first].weight
	if second >= 0 {
		r.RunnerUp = t.votes[second].label
		lead -= t.votes[second].weight
	}
	r.Margin = float64(lead) / float64(t.total)
	r.Confidence = float64(t.votes[first].weight) / float64(t.total)
	return r
}

// choose puts the softmax over the ties and those over the parts of a label together: a label is as
// likely as the ties that have it are together, and as the parts make it where no tie is chosen. r is what
// the parts say alone, and becomes the answer. All probabilities are geometric means over the windows.
func (p *poll) choose(t *tally, tied []label.Label, r *Prediction) {
	n := float64(t.windows)
	scores := t.sum[components*p.m:][:p.ties+1]
	top := scores[0]
	for k, l := range tied {
		if l >= 0 {
			top = max(top, scores[k+1])
		}
	}
	type candidate struct {
		label label.Label
		mass  float64
	}
	var candidates []candidate
	add := func(l label.Label, mass float64) {
		for i := range candidates {
			if candidates[i].label == l {
				candidates[i].mass += mass
				return
			}
		}
		candidates = append(candidates, candidate{l, mass})
	}
	none := math.Exp((scores[0] - top) / n)
	total := none
	for _, l := range []label.Label{r.Label, r.RunnerUp} {
		if l >= 0 {
			add(l, 0)
		}
	}
	for k, l := range tied {
		if l >= 0 && p.space.FromComponents(p.space.Components(l)) == l {
			mass := math.Exp((scores[k+1] - top) / n)
			total += mass
			add(l, mass)
		}
	}
	if !(total > 0) || r.Label < 0 { // scores that are not numbers
		return
	}
	first, second := label.Unknown, label.Unknown
	var lead, runner float64
	for _, c := range candidates {
		v := (c.mass + none*p.joint.probability(p.space, t.sum, c.label, t.windows)) / total
		switch {
		case first < 0 || v > lead:
			first, second, lead, runner = c.label, first, v, lead
		case second < 0 || v > runner:
			second, runner = c.label, v
		}
	}
	r.Label, r.RunnerUp, r.Margin, r.Confidence = first, second, min(max(lead-runner, 0), 1), min(lead, 1)
}

// likeliest is the label that the most likely value of each component makes on its own, as the paper
// decodes, or that of the most likely tie; [label.Unknown] where that is no label.
func (p *poll) likeliest(logp []float32, tied []label.Label) label.Label {
	m := p.m
	if p.ties > 0 {
		row := logp[components*m:]
		best, l := row[0], label.Unknown
		for k, own := range tied {
			if own >= 0 && row[k+1] > best {
				best, l = row[k+1], own
			}
		}
		if l >= 0 {
			return l
		}
	}
	var c [components]int
	for k := range p.parts {
		row := logp[k*m : (k+1)*m]
		for i, v := range row {
			if v > row[c[k]] {
				c[k] = i
			}
		}
	}
	return p.space.FromComponents(c)
}

// jointScorer finds the likeliest labels of a space, where a label's score is the sum of its five
// components' scores. Labels come in pairs (r, s) times tails (n, u, v), and few different sets of
// tails occur, so it scores each tail set once and each pair once instead of every label.
type jointScorer struct {
	m     int
	tails [][]tail // distinct sets
	pairs []pair
	top   []topTails // scratch, one per tail set

	score, mass float64 // of the last best: the largest total, and the sum of all probabilities relative to its
}

// tail is (n, u, v) as offsets into the components x m scores.
type tail [3]int

type pair struct {
	r, s   int // offsets into the scores
	set    int // index of its tail set
	labels []label.Label
}

// topTails are the two best tails of a set.
type topTails struct {
	best, second  int // index into the set; second is -1 in a set of one
	score, runner float64
	mass          float64 // sum over the set of exp(score of tail - score)
}

func newJointScorer(space labelSpace) *jointScorer {
	j := &jointScorer{m: space.M()}
	type rs struct{ r, s int }
	index := make(map[rs]int)
	tails := make([][]tail, 0)
	for _, l := range space.Labels() {
		c := space.Components(l)
		key := rs{c[0], j.m + c[1]}
		i, ok := index[key]
		if !ok {
			i = len(j.pairs)
			index[key] = i
			j.pairs = append(j.pairs, pair{r: key.r, s: key.s})
			tails = append(tails, nil)
		}
		j.pairs[i].labels = append(j.pairs[i].labels, l)
		tails[i] = append(tails[i], tail{2*j.m + c[2], 3*j.m + c[3], 4*j.m + c[4]})
	}
	sets := make(map[string]int)
	for i := range j.pairs {
		key := fmt.Sprint(tails[i])
		set, ok := sets[key]
		if !ok {
			set = len(j.tails)
			sets[key] = set
			j.tails = append(j.tails, tails[i])
		}
		j.pairs[i].set = set
	}
	j.top = make([]topTails, len(j.tails))
	return j
}

// negligible is a difference of log-probabilities below which a label adds nothing to a float64 sum.
const negligible = -40

// best gives the two labels of the largest total log-probability and the difference of their
// probabilities. sum holds totals over windows and is left as it is. Scores that are not numbers give
// [label.Unknown]: a label is only made of finite evidence.
func (j *jointScorer) best(sum []float64, windows int) (first, second label.Label, margin float64) {
	for i, set := range j.tails {
		j.top[i] = bestTails(set, sum)
	}
	score, runner := math.Inf(-1), math.Inf(-1)
	first, second = label.Unknown, label.Unknown
	for i := range j.pairs {
		p := &j.pairs[i]
		t := &j.top[p.set]
		if t.best < 0 {
			continue
		}
		head := sum[p.r] + sum[p.s]
		if v := head + t.score; v > score {
			score, runner = v, score
			first, second = p.labels[t.best], first
		} else if v > runner {
			runner, second = v, p.labels[t.best]
		}
		if t.second >= 0 {
			if v := head + t.runner; v > runner {
				runner, second = v, p.labels[t.second]
			}
		}
	}
	if first == label.Unknown {
		return first, second, 0
	}
	// Probabilities are geometric means over the windows: the totals divided by their number.
	n := float64(windows)
	mass := 0.0
	for i, set := range j.tails {
		j.top[i].mass = 0
		for _, t := range set {
			if d := (t.score(sum) - j.top[i].score) / n; d > negligible {
				j.top[i].mass += math.Exp(d)
			}
		}
	}
	for i := range j.pairs {
		p := &j.pairs[i]
		t := &j.top[p.set]
		if d := (sum[p.r] + sum[p.s] + t.score - score) / n; d > negligible {
			mass += math.Exp(d) * t.mass
		}
	}
	j.score, j.mass = score, mass
	margin = (1 - math.Exp((runner-score)/n)) / mass
	return first, second, min(max(margin, 0), 1)
}

// probability is a label's by the scores of the last call of best, which found one.
func (j *jointScorer) probability(space labelSpace, sum []float64, l label.Label, windows int) float64 {
	total := 0.0
	for k, c := range space.Components(l) {
		total += sum[k*j.m+c]
	}
	return math.Exp((total-j.score)/float64(windows)) / j.mass
}

func (t tail) score(sum []float64) float64 { return sum[t[0]] + sum[t[1]] + sum[t[2]] }

func bestTails(set []tail, sum []float64) topTails {
	top := topTails{best: -1, second: -1, score: math.Inf(-1), runner: math.Inf(-1)}
	for i, t := range set {
		v := t.score(sum)
		switch {
		case v > top.score:
			top.best, top.second = i, top.best
			top.score, top.runner = v, top.score
		case v > top.runner:
			top.second, top.runner = i, v
		}
	}
	return top
}
