package metrics

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/stat"
)

// defaultResamples is the usual size for percentile intervals at 95 %.
const defaultResamples = 1000

// bootstrap resamples whole contexts with replacement and returns the percentile interval of each
// metric, in the order of values, and what it covers. No intervals: the note says why.
//
// Source: B. Efron and R. Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13; resampling
// whole groups: A. Davison and D. Hinkley, Bootstrap Methods and their Application, 1997, section 3.8.
func (s *sample) bootstrap(o Options) ([]interval, string) {
	resamples := o.Resamples
	switch {
	case resamples < 0:
		return nil, "no interval was asked for"
	case len(s.units) < 2:
		return nil, "one context only: no interval"
	case resamples == 0:
		resamples = defaultResamples
	}

	random := rand.New(rand.NewPCG(o.BootstrapSeed, uint64(len(s.units))))
	times := make([]int64, len(s.patterns))
	weights := make([]int64, len(s.counts))
	var values []float64
	var drawn [][]float64 // per metric, the resamples in which it is defined
	for range resamples {
		clear(times)
		for range s.units {
			times[s.units[random.IntN(len(s.units))]]++
		}
		clear(weights)
		for p, n := range times {
			if n == 0 {
				continue
			}
			for _, c := range s.patterns[p] {
				weights[c.pair] += n * c.count
			}
		}
		values = s.values(weights, values)
		if drawn == nil {
			drawn = make([][]float64, len(values))
		}
		for i, x := range values {
			if !math.IsNaN(x) {
				drawn[i] = append(drawn[i], x)
			}
		}
	}

	intervals := make([]interval, len(drawn))
	whole := s.values(s.counts, values)
	for i, xs := range drawn {
		intervals[i] = interval{whole[i], whole[i], resamples - len(xs)}
		if len(xs) > 0 {
			slices.Sort(xs)
			intervals[i].low = stat.Quantile(.025, stat.LinInterp, xs, nil)
			intervals[i].high = stat.Quantile(.975, stat.LinInterp, xs, nil)
		}
	}
	return intervals, fmt.Sprintf("95 %% percentile bootstrap over %d contexts, %d resamples; one training", len(s.units), resamples)
}
