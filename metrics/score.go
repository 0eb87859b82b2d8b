package metrics

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"k8ntext/dataset/label"
)

// Class is what is known of an event's role, as bits. The bits are those of the corpus.
type Class uint8

// The bits of a Class.
const (
	User        Class = 1 << iota // its context was started by a person or CI account
	Trigger                       // it started its context
	Ambiguous                     // its cause is not sure
	NonResource                   // a request without objectRef
	ByRule                        // background, and a control-plane rule gives its label
)

// Outcome is one event with what a method made of it.
type Outcome struct {
	True      label.Label // negative: the event has no label
	Predicted label.Label // negative: the method gave none, which is wrong
	Own       label.Label // the event's own label

	// Candidates are the labels that an ambiguous event may have.
	Candidates []label.Label

	Context int32 // events with the same number depend on each other; negative: on none
	Class   Class
	Seen    bool // True occurs in the training part, validation not counted

	// Confidence is how sure the method is of Predicted, 0 to 1, for [Abstain].
	Confidence float64
}

// Options is what a score needs beside the outcomes.
type Options struct {
	// ID is the record to fill: its corpus, protocol, fold, method and seed are taken over.
	ID Record

	// Resamples is the number of bootstrap samples behind an interval: 0 is 1000, negative is none.
	Resamples int
	// BootstrapSeed seeds the resampling.
	BootstrapSeed uint64
}

// Score measures one method on one part of a corpus: every metric on every subset, and on each
// subset's seen and unseen events.
//
// Events without a label are not scored. Ambiguous events are left out, and additionally counted in
// by [AccuracyCandidates] and [AccuracyAmbiguous] of the subsets that their bits name (their own
// label is never known to be wrong, nor their label seen). Requests without objectRef count only
// under [SubsetAll]. A subset without events, or a metric that is not defined on it, gives no record.
//
// Intervals are 95 % percentile bootstrap intervals over contexts, since the events of one context
// depend on each other. They say how the value would vary over other events of this kind, not over
// other trainings. They need not hold the value itself: a macro average is biased in resamples that
// miss a class.
//
// The result depends on neither the order of outcomes nor the numbers of the contexts.
func Score(outcomes []Outcome, o Options) []Record {
	var records []Record
	for _, s := range subsets {
		members := filter(outcomes, s.holds)
		sure := filter(members, func(e *Outcome) bool { return e.Class&Ambiguous == 0 && e.True >= 0 })
		records = append(records, scoreSubset(s.name, sure, o)...)
		records = append(records, scoreAmbiguous(s.name, sure, members, o.ID)...)
		if s.name == SubsetAll || s.name == SubsetNonTrigger {
			records = append(records, scoreWorst(s.name, sure, o.ID)...)
		}
		records = append(records, scoreSubset(s.name+Seen, filter(sure, func(e *Outcome) bool { return e.Seen }), o)...)
		records = append(records, scoreSubset(s.name+Unseen, filter(sure, func(e *Outcome) bool { return !e.Seen }), o)...)
	}
	return records
}

var subsets = []struct {
	name  string
	holds func(*Outcome) bool
}{
	{SubsetAll, func(*Outcome) bool { return true }},
	{SubsetUser, func(e *Outcome) bool { return e.resource() && e.Class&User != 0 }},
	{SubsetNonTrigger, func(e *Outcome) bool { return e.resource() && e.Class&(User|Trigger) == User }},
	{SubsetOwnWrong, func(e *Outcome) bool { return e.resource() && e.sure() && e.Own != e.True }},
	{SubsetByRule, func(e *Outcome) bool { return e.background() && e.Class&ByRule != 0 }},
	{SubsetBackground, (*Outcome).background},
}

func (e *Outcome) resource() bool   { return e.Class&NonResource == 0 }
func (e *Outcome) sure() bool       { return e.Class&Ambiguous == 0 }
func (e *Outcome) background() bool { return e.resource() && e.sure() && e.Class&User == 0 }

func filter(outcomes []Outcome, keep func(*Outcome) bool) []Outcome {
	var kept []Outcome
	for i := range outcomes {
		if keep(&outcomes[i]) {
			kept = append(kept, outcomes[i])
		}
	}
	return kept
}

// scoreSubset returns every metric over outcomes, all of which have a label.
func scoreSubset(name string, outcomes []Outcome, o Options) []Record {
	if len(outcomes) == 0 {
		return nil
	}
	s := newSample(outcomes)
	intervals, note := s.bootstrap(o)

	var records []Record
	i := 0
	for v := range s.views {
		view := &s.views[v]
		view.count(s.counts)
		for _, m := range view.metrics {
			before := len(records)
			records = appendPlain(records, o.ID, name, m.name, m.of(&view.tally), len(outcomes), note)
			if len(records) > before && intervals != nil {
				r := &records[before]
				r.Low, r.High = intervals[i].low, intervals[i].high
				if u := intervals[i].undefined; u > 0 {
					r.Note = fmt.Sprintf("%s; %d resamples in which it is not defined are left out", note, u)
				}
			}
			i++
		}
	}
	return records
}

// worstFrom is how many events a label has at least to count for [WorstClass].
const worstFrom = 20

// scoreWorst returns the accuracy of the worst label, the lowest of equals, if any has events enough.
func scoreWorst(name string, sure []Outcome, id Record) []Record {
	type tally struct{ n, right int }
	tallies := make(map[label.Label]tally)
	for i := range sure {
		t := tallies[sure[i].True]
		t.n++
		t.right += bit(sure[i].True == sure[i].Predicted)
		tallies[sure[i].True] = t
	}
	worst := label.Unknown
	share := func(l label.Label) float64 { return float64(tallies[l].right) / float64(tallies[l].n) }
	for _, l := range slices.Sorted(maps.Keys(tallies)) {
		if tallies[l].n >= worstFrom && (worst < 0 || share(l) < share(worst)) {
			worst = l
		}
	}
	if worst < 0 {
		return nil
	}
	return appendPlain(nil, id, name, WorstClass, share(worst), tallies[worst].n, fmt.Sprintf("label %d; no interval: it was chosen for its value", worst))
}

// scoreAmbiguous returns the two columns that count ambiguous events in, where there are any.
func scoreAmbiguous(name string, sure, members []Outcome, id Record) []Record {
	ambiguous := filter(members, func(e *Outcome) bool { return e.Class&Ambiguous != 0 })
	if len(ambiguous) == 0 {
		return nil
	}
	right, possible := 0, 0
	for i := range sure {
		right += bit(sure[i].True == sure[i].Predicted)
	}
	for i := range ambiguous {
		possible += bit(slices.Contains(ambiguous[i].Candidates, ambiguous[i].Predicted))
	}
	n := len(sure) + len(ambiguous)
	note := fmt.Sprintf("%d ambiguous events counted in; no interval: their contexts are not known", len(ambiguous))
	records := appendPlain(nil, id, name, AccuracyCandidates, float64(right+possible)/float64(n), n, note)
	return appendPlain(records, id, name, AccuracyAmbiguous, float64(right)/float64(n), n, note)
}

// A sample is a set of outcomes reduced to what resampling contexts needs: the distinct pairs of
// labels, and for each context how often it holds which pair. Contexts that hold the same are one
// pattern (most background contexts are one event, so there are far fewer patterns than contexts).
type sample struct {
	views    []view
	counts   []int64    // of each pair, over all outcomes
	patterns [][]indexN // distinct contents of a context
	units    []int32    // the pattern of each context
}

// indexN is a pair's index and how often a context holds it.
type indexN struct {
	pair  int32
	count int64
}

func newSample(outcomes []Outcome) *sample {
	type unit struct {
		context int32
		pair    pair
	}
	all := make([]unit, len(outcomes))
	pairs := make([]pair, len(outcomes))
	alone := int32(-1)
	for i := range outcomes {
		e := &outcomes[i]
		pairs[i] = pair{e.True, e.Predicted}
		all[i] = unit{e.Context, pairs[i]}
		if e.Context < 0 {
			all[i].context = alone // its own context
			alone--
		}
	}
	slices.SortFunc(pairs, comparePairs)
	pairs = slices.Compact(pairs)
	slices.SortFunc(all, func(a, b unit) int {
		return cmp.Or(cmp.Compare(a.context, b.context), comparePairs(a.pair, b.pair))
	})

	s := &sample{views: newViews(pairs), counts: make([]int64, len(pairs))}
	var contents [][]indexN
	for i, u := range all {
		k, _ := slices.BinarySearchFunc(pairs, u.pair, comparePairs)
		s.counts[k]++
		if i == 0 || u.context != all[i-1].context {
			contents = append(contents, nil)
		}
		last := &contents[len(contents)-1]
		if n := len(*last); n > 0 && (*last)[n-1].pair == int32(k) {
			(*last)[n-1].count++
		} else {
			*last = append(*last, indexN{int32(k), 1})
		}
	}
	// Sorted by content, contexts come in an order that their numbers have no part in.
	compare := func(a, b []indexN) int {
		return slices.CompareFunc(a, b, func(x, y indexN) int {
			return cmp.Or(cmp.Compare(x.pair, y.pair), cmp.Compare(x.count, y.count))
		})
	}
	slices.SortFunc(contents, compare)
	s.units = make([]int32, len(contents))
	for i, c := range contents {
		if i == 0 || compare(c, contents[i-1]) != 0 {
			s.patterns = append(s.patterns, c)
		}
		s.units[i] = int32(len(s.patterns) - 1)
	}
	return s
}

// interval is a metric's interval; undefined counts the resamples that gave no value.
type interval struct {
	low, high float64
	undefined int
}

// values evaluates all metrics of all views on pairs taken weights[i] times each.
func (s *sample) values(weights []int64, dst []float64) []float64 {
	dst = dst[:0]
	for v := range s.views {
		s.views[v].count(weights)
		for _, m := range s.views[v].metrics {
			dst = append(dst, m.of(&s.views[v].tally))
		}
	}
	return dst
}
