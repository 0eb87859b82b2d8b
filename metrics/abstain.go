package metrics

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"

	"gonum.org/v1/gonum/stat"
)

// Abstain measures a method that leaves events unanswered where it is less confident than a threshold:
// on each of some subsets, and on its seen and unseen events, the share that is answered ([Coverage]) and how
// much of that is right ([AccuracyAbove]), at every threshold; and on each subset the areas under two
// receiver operating characteristics, [AUROCUnseen] and [AUROCWrong]. What is unseen and left unanswered is
// recognised as unseen: 1 less the coverage.
//
// Thresholds are from 0, at which all is answered, to 1. An accuracy of no events and an area of one
// class give no record. N is the events of the subset, answered or not. Which events are scored, and the
// intervals, are as in [Score].
func Abstain(outcomes []Outcome, thresholds []float64, o Options) []Record {
	var records []Record
	for _, s := range subsets {
		if s.name != SubsetAll && s.name != SubsetUser && s.name != SubsetOwnWrong {
			continue
		}
		events := filter(outcomes, func(e *Outcome) bool { return s.holds(e) && e.sure() && e.True >= 0 })
		if len(events) == 0 {
			continue
		}
		a := newAbstention(events, thresholds)
		intervals, note := a.bootstrap(o)
		whole := a.values(func(int) float64 { return 1 })
		for i, q := range a.quantities {
			before := len(records)
			records = appendPlain(records, o.ID, s.name+q.suffix, q.metric, whole[i], a.count(q.suffix), note)
			if len(records) > before && intervals != nil {
				records[before].Low, records[before].High = intervals[i].low, intervals[i].high
			}
		}
	}
	return records
}

// abstention is a set of events, the least confident first, with what is measured on it.
type abstention struct {
	events     []Outcome
	contexts   []int // of each event, from 0
	n          int   // contexts
	thresholds []float64
	from       []int // of each threshold: the first event that is answered
	quantities []quantity
}

type quantity struct{ suffix, metric string }

// parts are the subsets' suffixes.
var parts = [...]string{"", Seen, Unseen}

func newAbstention(events []Outcome, thresholds []float64) *abstention {
	// Sorted by all that counts, so that the result does not depend on the order of equals.
	slices.SortStableFunc(events, func(a, b Outcome) int {
		return cmp.Or(cmp.Compare(a.Confidence, b.Confidence), cmp.Compare(a.Context, b.Context),
			cmp.Compare(a.True, b.True), cmp.Compare(a.Predicted, b.Predicted), cmp.Compare(bit(a.Seen), bit(b.Seen)))
	})
	a := &abstention{events: events, thresholds: thresholds}
	index := make(map[int32]int)
	for i := range events {
		x := events[i].Context
		c, ok := index[x]
		if !ok || x < 0 {
			c = a.n
			a.n++
			index[x] = c
		}
		a.contexts = append(a.contexts, c)
	}
	for _, t := range thresholds {
		first, _ := slices.BinarySearchFunc(events, t, func(e Outcome, t float64) int { return cmp.Compare(e.Confidence, t) })
		a.from = append(a.from, first)
		for _, suffix := range parts {
			at := strconv.FormatFloat(t, 'g', -1, 64)
			a.quantities = append(a.quantities, quantity{suffix, Coverage + at}, quantity{suffix, AccuracyAbove + at})
		}
	}
	a.quantities = append(a.quantities, quantity{"", AUROCUnseen}, quantity{"", AUROCWrong})
	return a
}

// count is the number of events of a part.
func (a *abstention) count(suffix string) int {
	n := 0
	for i := range a.events {
		if suffix == "" || a.events[i].Seen == (suffix == Seen) {
			n++
		}
	}
	return n
}

// values are the quantities with each event taken so many times; NaN where one is not defined.
func (a *abstention) values(weight func(context int) float64) []float64 {
	out := make([]float64, 0, len(a.quantities))
	// Sums over the events that are left, by part: all, seen, unseen.
	type sums struct{ all, right [len(parts)]float64 }
	after := make([]sums, len(a.thresholds)+1) // of each threshold, and of all events
	order := make([]int, len(a.thresholds))    // thresholds, the latest first
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(x, y int) int { return cmp.Compare(a.from[y], a.from[x]) })
	var s sums
	next := 0
	for i := len(a.events); i >= 0; i-- {
		if i < len(a.events) {
			e := &a.events[i]
			w := weight(a.contexts[i])
			part := 2 - bit(e.Seen)
			for _, p := range [...]int{0, part} {
				s.all[p] += w
				if e.True == e.Predicted {
					s.right[p] += w
				}
			}
		}
		for next < len(order) && a.from[order[next]] == i {
			after[order[next]] = s
			next++
		}
	}
	for t := range a.thresholds {
		for p := range parts {
			out = append(out, after[t].all[p]/s.all[p], after[t].right[p]/after[t].all[p])
		}
	}
	return append(out,
		a.auroc(weight, func(e *Outcome) bool { return e.Seen }),
		a.auroc(weight, func(e *Outcome) bool { return e.True == e.Predicted }))
}

// auroc is the probability that an event of the class has a higher confidence than one that is not,
// equals counted half: the area under the receiver operating characteristic.
//
// Source: J. Hanley and B. McNeil, The Meaning and Use of the Area under a ROC Curve, Radiology 143, 1982.
func (a *abstention) auroc(weight func(context int) float64, class func(*Outcome) bool) float64 {
	var below, in, out, area float64 // below: of those not in the class, with a lower confidence
	for i := 0; i < len(a.events); {
		var tiedIn, tiedOut float64
		level := a.events[i].Confidence
		for ; i < len(a.events) && a.events[i].Confidence == level; i++ {
			if w := weight(a.contexts[i]); class(&a.events[i]) {
				tiedIn += w
			} else {
				tiedOut += w
			}
		}
		area += tiedIn * (below + tiedOut/2)
		below += tiedOut
		in += tiedIn
		out += tiedOut
	}
	return area / (in * out)
}

// bootstrap is as that of a sample.
func (a *abstention) bootstrap(o Options) ([]interval, string) {
	resamples := cmp.Or(o.Resamples, defaultResamples)
	switch {
	case resamples < 0:
		return nil, "no interval was asked for"
	case a.n < 2:
		return nil, "one context only: no interval"
	}
	random := rand.New(rand.NewPCG(o.BootstrapSeed, uint64(a.n)))
	times := make([]float64, a.n)
	drawn := make([][]float64, len(a.quantities))
	for range resamples {
		clear(times)
		for range a.n {
			times[random.IntN(a.n)]++
		}
		for i, v := range a.values(func(context int) float64 { return times[context] }) {
			if !math.IsNaN(v) {
				drawn[i] = append(drawn[i], v)
			}
		}
	}
	intervals := make([]interval, len(drawn))
	whole := a.values(func(int) float64 { return 1 })
	for i, xs := range drawn {
		intervals[i] = interval{whole[i], whole[i], resamples - len(xs)}
		if len(xs) > 0 {
			slices.Sort(xs)
			intervals[i].low = stat.Quantile(.025, stat.LinInterp, xs, nil)
			intervals[i].high = stat.Quantile(.975, stat.LinInterp, xs, nil)
		}
	}
	return intervals, fmt.Sprintf("95 %% percentile bootstrap over %d contexts, %d resamples; one training", a.n, resamples)
}
