package metrics

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"
)

// power is how often a comparison should find a difference that is there.
const power = .8

// MinTrainings is how many trainings are needed before an effect of a setting is called: the smallest
// number for which a 95 % interval of the median exists without assumptions.
const MinTrainings = 6

// Difference is what pairs of trainings say of two settings that differ in one thing.
type Difference struct {
	N         int     // pairs
	Mean, Std float64 // of second minus first; Std is NaN below two pairs
	Low, High float64 // 95 % interval of the mean; both Mean where there is none
	// P is the two-sided probability of a mean difference at least as far from 0 if there is none; NaN
	// where the pairs do not tell: fewer than two, or all different from 0 by the very same.
	P float64
	// Adjusted is P corrected for all comparisons that were made together, see [Holm].
	Adjusted float64
	// Detectable is the smallest true difference that such a comparison finds in four of five cases; NaN
	// below two pairs.
	Detectable float64
}

// Paired compares two settings by trainings that have everything else in common: first[i] and second[i]
// are of the same seed, or of the same fold. The interval and P are those of the t statistic of the
// differences, which takes them for roughly normal; testToTrain is 0 for trainings that differ in seed,
// and for k folds 1/(k-1), since their training parts overlap (see [CorrectedT]). It panics if the slices
// differ in length.
func Paired(first, second []float64, testToTrain float64) Difference {
	if len(first) != len(second) {
		panic(fmt.Sprintf("metrics: pairs of %d and %d values", len(first), len(second)))
	}
	differences := make([]float64, len(first))
	for i := range first {
		differences[i] = second[i] - first[i]
	}
	slices.Sort(differences) // sums must not depend on the order of the pairs
	d := Difference{N: len(differences), P: math.NaN(), Adjusted: math.NaN(), Detectable: math.NaN()}
	d.Mean, d.Std = MeanStd(differences)
	d.Low, d.High = d.Mean, d.Mean
	if d.N < 2 {
		return d
	}
	_, d.Low, d.High = CorrectedT(differences, testToTrain)
	d.Detectable = d.detectable(1-confidence, testToTrain)
	switch error := d.standardError(testToTrain); {
	case error > 0:
		d.P = 2 * d.student().Survival(math.Abs(d.Mean)/error)
	case d.Mean == 0:
		d.P = 1
	}
	d.Adjusted = d.P
	return d
}

func (d *Difference) standardError(testToTrain float64) float64 {
	return d.Std * math.Sqrt(1/float64(d.N)+testToTrain)
}

func (d *Difference) student() distuv.StudentsT {
	return distuv.StudentsT{Mu: 0, Sigma: 1, Nu: float64(d.N - 1)}
}

// detectable solves for the difference at which a two-sided test at the level finds it with the power
// asked for, the spread being the one seen. Source: J. Cohen, Statistical Power Analysis for the
// Behavioral Sciences, 1988, chapter 2, with Student's quantiles for the normal ones.
func (d *Difference) detectable(level, testToTrain float64) float64 {
	t := d.student()
	return (t.Quantile(1-level/2) + t.Quantile(power)) * d.standardError(testToTrain)
}

// Holm corrects the comparisons that are made together, in place, so that the chance of calling even
// one effect that is not there stays at 5 %: Adjusted is set from P, and Detectable to the difference
// that would be found in four of five cases if it were the first to be tested. Comparisons without P do
// not count.
//
// Source: S. Holm, A Simple Sequentially Rejective Multiple Test Procedure, Scandinavian Journal of
// Statistics 6, 1979.
func Holm(together []Difference, testToTrain float64) {
	var order []int
	for i, d := range together {
		if !math.IsNaN(d.P) {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(together[a].P, together[b].P) })
	least := 0.0
	for rank, i := range order {
		least = max(least, min(1, together[i].P*float64(len(order)-rank)))
		together[i].Adjusted = least
		together[i].Detectable = together[i].detectable((1-confidence)/float64(len(order)), testToTrain)
	}
}

// Beyond tells whether the difference is beyond noise: enough pairs, and a corrected probability below
// 5 %. Over folds, whose number is given by the protocol, pairs are enough from two on.
func (d *Difference) Beyond(folds bool) bool {
	return d.Enough(folds) && d.Adjusted < 1-confidence
}

// Enough tells whether there are enough pairs to call an effect.
func (d *Difference) Enough(folds bool) bool { return d.N >= MinTrainings || folds && d.N >= 2 }

// Spread is how much trainings of one setting differ by their seeds alone.
type Spread struct {
	Std       float64 // pooled over the settings; NaN if no setting has two trainings
	Low, High float64 // 95 % interval of it, for values that are roughly normal
	Widest    float64 // the largest distance between two trainings of one setting
	Settings  int     // with at least two trainings
	Trainings int     // of those settings
}

// RunToRun pools the spread of several settings, each with the values of its trainings.
func RunToRun(settings [][]float64) Spread {
	s := Spread{Std: math.NaN(), Low: math.NaN(), High: math.NaN()}
	sum := 0.0
	for _, values := range settings {
		if len(values) < 2 {
			continue
		}
		values = slices.Sorted(slices.Values(values))
		s.Settings++
		s.Trainings += len(values)
		s.Widest = max(s.Widest, values[len(values)-1]-values[0])
		sum += stat.Variance(values, nil) * float64(len(values)-1)
	}
	freedom := float64(s.Trainings - s.Settings)
	if freedom < 1 {
		return s
	}
	s.Std = math.Sqrt(sum / freedom)
	chi := distuv.ChiSquared{K: freedom}
	s.Low = math.Sqrt(sum / chi.Quantile(1-(1-confidence)/2))
	s.High = math.Sqrt(sum / chi.Quantile((1-confidence)/2))
	return s
}
