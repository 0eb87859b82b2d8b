package metrics

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gonum.org/v1/gonum/integrate"
	"gonum.org/v1/gonum/stat"
	"pgregory.net/rapid"

	"k8ntext/dataset/label"
)

// byMetric maps subset and metric to the value.
func byMetric(records []Record) map[string]float64 {
	m := make(map[string]float64)
	for _, r := range records {
		m[r.Subset+" "+r.Metric] = r.Value
	}
	return m
}

func TestAbstain(t *testing.T) {
	outcome := func(confidence float64, right, seen bool) Outcome {
		o := Outcome{True: 16, Predicted: 16, Own: 16, Seen: seen, Confidence: confidence, Context: -1}
		if !right {
			o.Predicted = 32
		}
		return o
	}
	outcomes := []Outcome{
		outcome(.9, true, true), outcome(.8, true, true), outcome(.6, false, true), outcome(.4, true, true),
		outcome(.7, false, false), outcome(.3, true, false),
		{True: label.Unknown, Confidence: 1},
		{True: 16, Class: Ambiguous, Confidence: 1},
	}
	got := byMetric(Abstain(outcomes, []float64{0, .65, 1}, Options{Resamples: -1}))
	want := map[string]float64{
		"all coverage@0": 1, "all accuracy@0": 4. / 6, "all/seen coverage@0": 1, "all/seen accuracy@0": .75, "all/unseen coverage@0": 1, "all/unseen accuracy@0": .5,
		"all coverage@0.65": .5, "all accuracy@0.65": 2. / 3, "all/seen coverage@0.65": .5, "all/seen accuracy@0.65": 1, "all/unseen coverage@0.65": .5, "all/unseen accuracy@0.65": 0,
		"all coverage@1": 0, "all/seen coverage@1": 0, "all/unseen coverage@1": 0,
		"all auroc-unseen": 6. / 8, // seen .9 .8 above both, .6 .4 above .3 alone
		"all auroc-wrong":  4. / 8, // right .9 .8 above .6 and .7, .4 and .3 above none
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The areas are gonum's, and neither they nor the intervals depend on the order of the outcomes.
func TestAbstainOracle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var outcomes []Outcome
		for range rapid.IntRange(2, 40).Draw(t, "n") {
			outcomes = append(outcomes, Outcome{
				True: label.Label(16 * rapid.IntRange(1, 3).Draw(t, "true")), Predicted: label.Label(16 * rapid.IntRange(1, 3).Draw(t, "predicted")),
				Own: 16, Class: User, Context: int32(rapid.IntRange(-1, 9).Draw(t, "context")), Seen: rapid.Bool().Draw(t, "seen"),
				Confidence: float64(rapid.IntRange(0, 8).Draw(t, "confidence")) / 8,
			})
		}
		thresholds := []float64{0, .25, .5, 1}
		records := Abstain(outcomes, thresholds, Options{Resamples: 20})
		got := byMetric(records)
		sorted := slices.Clone(outcomes)
		slices.SortStableFunc(sorted, func(a, b Outcome) int { return int(8*a.Confidence) - int(8*b.Confidence) })
		var y []float64
		var seen []bool
		for _, o := range sorted {
			y = append(y, o.Confidence)
			seen = append(seen, o.Seen)
		}
		if slices.Contains(seen, true) && slices.Contains(seen, false) {
			tpr, fpr, _ := stat.ROC(nil, y, seen, nil)
			if want := integrate.Trapezoidal(fpr, tpr); math.Abs(got["all "+AUROCUnseen]-want) > 1e-9 {
				t.Fatalf("area %v, gonum has %v", got["all "+AUROCUnseen], want)
			}
		} else if _, ok := got["all "+AUROCUnseen]; ok {
			t.Fatal("an area of one class")
		}
		for i, threshold := range thresholds {
			n, right := 0, 0
			for _, o := range outcomes {
				if o.Confidence >= threshold {
					n++
					right += bit(o.True == o.Predicted)
				}
			}
			at := fmt.Sprint(thresholds[i])
			if want := float64(n) / float64(len(outcomes)); got["all "+Coverage+at] != want {
				t.Fatalf("coverage at %s is %v, want %v", at, got["all "+Coverage+at], want)
			}
			if v, ok := got["all "+AccuracyAbove+at]; ok != (n > 0) || ok && v != float64(right)/float64(n) {
				t.Fatalf("accuracy at %s is %v of %d events", at, v, n)
			}
		}
		for _, r := range records {
			if r.Low > r.High || r.Low < 0 || r.High > 1+1e-12 {
				t.Fatalf("interval of %+v", r)
			}
		}
		slices.Reverse(outcomes)
		if diff := cmp.Diff(records, Abstain(outcomes, thresholds, Options{Resamples: 20})); diff != "" {
			t.Fatalf("in another order:\n%s", diff)
		}
	})
}
