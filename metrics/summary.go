package metrics

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"golang.org/x/perf/benchmath"
	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"
)

const confidence = .95

// Suffixes of the metrics that [OverTrainings] adds beside the median.
const (
	MeanOf = "/mean"
	StdOf  = "/std" // of the sample: divided by n-1
)

// MergeFolds puts the records of the folds of one protocol together: for each corpus, protocol,
// method, subset, metric and seed the mean over the folds that have it, N summed, the worst fold
// (lowest value, first of equals) named in the note, counted from 1 as people do. Records that already speak of all folds are
// left out. higherIsWorse names metrics for which the worst fold has the highest value (times).
//
// The interval is [CorrectedT] with the test part taken as 1/(k-1) of the training part, cut at the
// bounds of the metric where it has some (accuracy, F1, precision and recall 0 to 1, kappa -1 to 1).
func MergeFolds(records []Record, higherIsWorse ...string) []Record {
	single := slices.DeleteFunc(slices.Clone(records), func(r Record) bool { return r.Fold < 0 })
	var merged []Record
	for _, folds := range groupBy(single, func(g *group) { g.fold = AllFolds }) {
		slices.SortStableFunc(folds, func(a, b Record) int { return a.Fold - b.Fold })
		r := folds[0]
		worst := folds[0]
		values := make([]float64, len(folds))
		r.N = 0
		for i, f := range folds {
			values[i] = f.Value
			r.N += f.N
			if slices.Contains(higherIsWorse, r.Metric) && f.Value > worst.Value ||
				!slices.Contains(higherIsWorse, r.Metric) && f.Value < worst.Value {
				worst = f
			}
		}
		r.Fold = AllFolds
		k := len(folds)
		r.Value, r.Low, r.High = CorrectedT(values, 1/float64(k-1))
		if k < 2 {
			r.Note = fmt.Sprintf("fold %d only: no interval", worst.Fold+1)
		} else {
			least, most := bounds(r.Metric)
			r.Low, r.High = max(r.Low, least), min(r.High, most)
			r.Note = fmt.Sprintf("mean of %d folds, worst fold %d: %.4g; 95 %% corrected resampled t over folds", k, worst.Fold+1, worst.Value)
		}
		merged = append(merged, r)
	}
	return merged
}

// bounds returns the range of a metric, infinite for one that this package does not know.
func bounds(metric string) (least, most float64) {
	switch {
	case strings.HasPrefix(metric, Kappa):
		return -1, 1
	case strings.HasPrefix(metric, Accuracy), strings.HasPrefix(metric, F1Macro), strings.HasPrefix(metric, PrecisionMacro),
		metric == RecallMacro, strings.HasPrefix(metric, Predicted), strings.HasPrefix(metric, Coverage),
		metric == AUROCUnseen, metric == AUROCWrong:
		return 0, 1
	}
	return math.Inf(-1), math.Inf(1)
}

// CorrectedT returns the mean of the values of k trainings whose training parts overlap, with the
// 95 % interval of the corrected resampled t statistic:
//
//	mean ± t(0.975, k-1) · sqrt((1/k + testToTrain) · s²)
//
// where s² is the sample variance and testToTrain the size of a test part over that of a training
// part. The plain 1/k would take the trainings for independent and make the interval too narrow.
// The interval is symmetric and may pass the bounds of the metric. With one value low and high are
// the value, with none all are NaN.
//
// Source: C. Nadeau and Y. Bengio, Inference for the Generalization Error, Machine Learning 52, 2003,
// 239-281; for k folds: R. Bouckaert and E. Frank, Evaluating the Replicability of Significance Tests
// for Comparing Learning Algorithms, PAKDD 2004.
func CorrectedT(values []float64, testToTrain float64) (mean, low, high float64) {
	k := float64(len(values))
	mean, std := MeanStd(values)
	if k < 2 {
		return mean, mean, mean
	}
	t := distuv.StudentsT{Mu: 0, Sigma: 1, Nu: k - 1}.Quantile(1 - (1-confidence)/2)
	half := t * math.Sqrt((1/k+testToTrain)*std*std)
	return mean, mean - half, mean + half
}

// OverTrainings puts records together that differ only in seed: several trainings with one setting.
// For each corpus, protocol, fold, method, subset and metric it returns the median with its exact
// non-parametric interval ([benchmath.AssumeNothing]), from n = 6 on, below which a 95 % interval does
// not exist and the note says "n too small"; and the mean and, from n = 2 on, the standard deviation,
// under the metric's name with [MeanOf] and [StdOf] appended. N is the number of trainings.
func OverTrainings(records []Record) []Record {
	var merged []Record
	for _, trainings := range groupBy(records, func(g *group) { g.seed = 0 }) {
		values := make([]float64, len(trainings))
		for i, r := range trainings {
			values[i] = r.Value
		}
		slices.Sort(values) // sums must not depend on which training came first
		r := trainings[0]
		r.Seed = 0
		r.N = len(values)
		r.Value, r.Low, r.High, r.Note = MedianInterval(values)
		merged = append(merged, r)

		mean, std := MeanStd(values)
		note := fmt.Sprintf("over %d trainings", len(values))
		merged = appendPlain(merged, r, r.Subset, r.Metric+MeanOf, mean, len(values), note)
		merged = appendPlain(merged, r, r.Subset, r.Metric+StdOf, std, len(values), note)
	}
	return merged
}

// MedianInterval returns the median of the values of several trainings with its exact non-parametric
// interval ([benchmath.AssumeNothing]) and what it covers; below n = 6, where none exists at 95 %, low and
// high are the median and the note says "n too small".
func MedianInterval(values []float64) (median, low, high float64, note string) {
	thresholds := benchmath.DefaultThresholds
	s := benchmath.AssumeNothing.Summary(benchmath.NewSample(slices.Clone(values), &thresholds), confidence)
	if math.IsInf(s.Lo, 0) || math.IsInf(s.Hi, 0) {
		return s.Center, s.Center, s.Center, fmt.Sprintf("median of %d trainings; n too small for an interval", len(values))
	}
	return s.Center, s.Lo, s.Hi, fmt.Sprintf("median of %d trainings; %.1f %% interval of the median over trainings", len(values), 100*s.Confidence)
}

// MeanStd returns the mean and the standard deviation of the sample (divided by n-1; NaN if there
// are fewer than two values).
func MeanStd(values []float64) (mean, std float64) {
	if len(values) < 2 {
		return stat.Mean(values, nil), math.NaN()
	}
	return stat.MeanStdDev(values, nil)
}
