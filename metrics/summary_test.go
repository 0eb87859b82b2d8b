package metrics

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestCorrectedT(t *testing.T) {
	for _, c := range readGolden(t).Corrected {
		mean, low, high := CorrectedT(c.Values, c.Ratio)
		if got := [3]float64{mean, low, high}; !cmp.Equal(got, c.Want, cmpopts.EquateApprox(0, 1e-9)) {
			t.Errorf("%v at ratio %v: %v, SciPy has %v", c.Values, c.Ratio, got, c.Want)
		}
	}
	if mean, low, high := CorrectedT([]float64{.7}, 1); mean != .7 || low != .7 || high != .7 {
		t.Errorf("one value: %v, %v to %v, want .7 alone", mean, low, high)
	}
	if mean, _, _ := CorrectedT(nil, 1); !math.IsNaN(mean) {
		t.Errorf("no values: %v, want NaN", mean)
	}
}

func TestMergeFolds(t *testing.T) {
	record := func(fold int, method, metric string, value float64, n int) Record {
		return Record{Corpus: "c", Protocol: "blocked", Fold: fold, Method: method, Subset: "all", Metric: metric, Value: value, N: n, Low: value, High: value, Seed: 1}
	}
	records := []Record{
		record(1, "network", "accuracy", .82, 20), // folds out of order
		record(0, "network", "accuracy", .8, 10),
		record(0, "network", "seconds", 5, 10),
		record(3, "network", "accuracy", .9, 10),
		record(2, "network", "accuracy", .78, 10),
		record(4, "network", "accuracy", .7, 10),
		record(1, "network", "seconds", 7, 10),
		record(2, "majority", "accuracy", .5, 3),
		record(AllFolds, "majority", "accuracy", .99, 3), // is a result already
	}
	want := []Record{
		{
			Corpus: "c", Protocol: "blocked", Fold: AllFolds, Method: "network", Subset: "all", Metric: "accuracy", Seed: 1,
			Value: .8, N: 60, Low: .665693503627361, High: .9343064963726391,
			Note: "mean of 5 folds, worst fold 5: 0.7; 95 % corrected resampled t over folds",
		},
		{
			Corpus: "c", Protocol: "blocked", Fold: AllFolds, Method: "network", Subset: "all", Metric: "seconds", Seed: 1,
			// t(.975, 1) = 12.7062, s² = 2: 12.7062 * sqrt((1/2 + 1) * 2) = 22.007792
			Value: 6, N: 20, Low: 6 - 22.007792, High: 6 + 22.007792,
			Note: "mean of 2 folds, worst fold 2: 7; 95 % corrected resampled t over folds",
		},
		{
			Corpus: "c", Protocol: "blocked", Fold: AllFolds, Method: "majority", Subset: "all", Metric: "accuracy", Seed: 1,
			Value: .5, N: 3, Low: .5, High: .5, Note: "fold 3 only: no interval",
		},
	}
	if diff := cmp.Diff(want, MergeFolds(records, "seconds"), cmpopts.EquateApprox(0, 1e-6)); diff != "" {
		t.Errorf("merged (-want +got):\n%s", diff)
	}
}

// The intervals of two values far apart pass every bound.
func TestMergeFoldsBounds(t *testing.T) {
	for _, c := range []struct {
		metric    string
		low, high float64
	}{
		{Accuracy, 0, 1},
		{AccuracyCandidates, 0, 1},
		{F1MacroUnion, 0, 1},
		{PrecisionMacro, 0, 1},
		{RecallMacro, 0, 1},
		{Predicted + "16", 0, 1},
		{Kappa, -1, 1},
		{KappaVerb, -1, 1},
		{"seconds", -10.503896, 11.503896}, // .5 ± 12.7062 * sqrt((1/2 + 1) / 2)
	} {
		got := MergeFolds([]Record{{Metric: c.metric, Fold: 0, Value: 0}, {Metric: c.metric, Fold: 1, Value: 1}})
		if len(got) != 1 || !cmp.Equal([]float64{got[0].Low, got[0].High}, []float64{c.low, c.high}, cmpopts.EquateApprox(0, 1e-6)) {
			t.Errorf("%s: %v, want one record with %v to %v", c.metric, got, c.low, c.high)
		}
	}
}

func TestOverTrainings(t *testing.T) {
	trainings := func(values ...float64) []Record {
		var records []Record
		for i, v := range values {
			records = append(records, Record{Corpus: "c", Protocol: "paper", Method: "network", Subset: "windows", Metric: "f1-macro", Value: v, N: 100, Seed: uint64(i)})
		}
		return records
	}
	record := func(metric string, value float64, n int, low, high float64, note string) Record {
		return Record{Corpus: "c", Protocol: "paper", Method: "network", Subset: "windows", Metric: metric, Value: value, N: n, Low: low, High: high, Note: note}
	}
	std := math.Sqrt((190 - 100./6) / 5) // of 6, 2, 3, 4, 5 and -10
	for _, c := range []struct {
		name    string
		records []Record
		want    []Record
	}{
		{"none", nil, nil},
		{"one", trainings(.9), []Record{
			record("f1-macro", .9, 1, .9, .9, "median of 1 trainings; n too small for an interval"),
			record("f1-macro/mean", .9, 1, .9, .9, "over 1 trainings"),
		}},
		{"five", trainings(1, 2, 3, 4, 10), []Record{
			record("f1-macro", 3, 5, 3, 3, "median of 5 trainings; n too small for an interval"),
			record("f1-macro/mean", 4, 5, 4, 4, "over 5 trainings"),
			record("f1-macro/std", math.Sqrt(12.5), 5, math.Sqrt(12.5), math.Sqrt(12.5), "over 5 trainings"),
		}},
		// From six on the smallest and largest value enclose the median with 1 - 2/64.
		{"six", trainings(6, 2, 3, 4, 5, -10), []Record{
			record("f1-macro", 3.5, 6, -10, 6, "median of 6 trainings; 96.9 % interval of the median over trainings"),
			record("f1-macro/mean", 10./6, 6, 10./6, 10./6, "over 6 trainings"),
			record("f1-macro/std", std, 6, std, std, "over 6 trainings"),
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, OverTrainings(c.records), cmpopts.EquateApprox(0, 1e-6)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
