package explain

import (
	"math"

	"k8ntext/dataset/label"
	"k8ntext/explain/tree"
	"k8ntext/metrics"
)

// Interval is a value with its 95 % interval.
type Interval struct {
	Value float64 `json:"value"`
	Low   float64 `json:"low"`
	High  float64 `json:"high"`
}

// Fidelity is how far two classifiers say the same.
type Fidelity struct {
	Rows      int      `json:"rows"`
	Groups    int      `json:"groups"`    // that the rows come from: the number of independent observations
	Agreement Interval `json:"agreement"` // share of rows with the same class
	// MacroF1 is the mean F1 over all classes that either gives, by scikit-learn's rules. Its interval
	// need not hold the value: resamples miss classes.
	MacroF1 Interval `json:"macro_f1"`
}

// fidelity compares answers for rows; want is what got imitates. Intervals are percentile bootstrap
// intervals over groups.
func (p *Problem) fidelity(rows []int32, want, got []int32) Fidelity {
	f := Fidelity{Rows: len(rows)}
	if len(rows) == 0 {
		return f
	}
	numbers := make(map[int32]int32)
	outcomes := make([]metrics.Outcome, len(rows))
	for i, r := range rows {
		g := p.group(r)
		n, ok := numbers[g]
		if !ok {
			n = int32(len(numbers))
			numbers[g] = n
		}
		outcomes[i] = metrics.Outcome{
			True: label.Label(want[i]), Predicted: label.Label(got[i]), Own: label.Unknown,
			Context: n, Class: metrics.NonResource, // such rows are scored once, as a whole
		}
	}
	f.Groups = len(numbers)
	for _, r := range metrics.Score(outcomes, metrics.Options{BootstrapSeed: 1}) {
		if r.Subset != metrics.SubsetAll {
			continue
		}
		switch r.Metric {
		case metrics.Accuracy:
			f.Agreement = Interval{r.Value, r.Low, r.High}
		case metrics.F1MacroUnion:
			f.MacroF1 = Interval{r.Value, r.Low, r.High}
		}
	}
	return f
}

// wilson is the Wilson score interval of a share that was seen in rows of so many independent groups.
// Rows of a group depend on each other, and groups are what there are many of: taking them for the
// number of trials is on the safe side.
//
// Source: E. Wilson, Probable inference, the law of succession, and statistical inference, 1927.
func wilson(share float64, groups int) Interval {
	if groups == 0 {
		return Interval{0, 0, 1}
	}
	const z = 1.959963984540054
	n := float64(groups)
	centre := share + z*z/(2*n)
	half := z * math.Sqrt(share*(1-share)/n+z*z/(4*n*n))
	scale := 1 + z*z/n
	return Interval{share, max(0, (centre-half)/scale), min(1, (centre+half)/scale)}
}

// agreement is the share of places with the same class; 0 of none.
func agreement(a, b []int32) float64 {
	if len(a) == 0 {
		return 0
	}
	same := 0
	for i := range a {
		if a[i] == b[i] {
			same++
		}
	}
	return float64(same) / float64(len(a))
}

// scorer counts F1 scores. Its counts are used again.
type scorer struct {
	both, first, second []int64
	classes             []int32 // those counted
}

func newScorer(classes int) *scorer {
	return &scorer{both: make([]int64, classes), first: make([]int64, classes), second: make([]int64, classes)}
}

// macroF1 is the mean F1 over the classes that occur in a or b, 0 of none; weights, where not nil,
// say how often each place counts.
func (s *scorer) macroF1(a, b, weights []int32) float64 {
	for i := range a {
		w := int64(1)
		if weights != nil {
			w = int64(weights[i])
		}
		if w == 0 {
			continue
		}
		for _, c := range [2]int32{a[i], b[i]} {
			if s.first[c]+s.second[c] == 0 {
				s.classes = append(s.classes, c)
			}
		}
		s.first[a[i]] += w
		s.second[b[i]] += w
		if a[i] == b[i] {
			s.both[a[i]] += w
		}
	}
	sum, n := 0.0, len(s.classes)
	for _, c := range s.classes {
		if s.first[c]+s.second[c] == 0 { // listed twice
			n--
			continue
		}
		sum += 2 * float64(s.both[c]) / float64(s.first[c]+s.second[c])
		s.both[c], s.first[c], s.second[c] = 0, 0, 0
	}
	s.classes = s.classes[:0]
	if n == 0 {
		return 0
	}
	return sum / float64(n)
}

// classes are a tree's answers for rows.
func classesOf(t *tree.Tree, table *tree.Table, rows []int32) []int32 {
	out := make([]int32, len(rows))
	for i, r := range rows {
		out[i] = t.Class(table, int(r))
	}
	return out
}

// pick is the elements of all that rows name.
func pick(all, rows []int32) []int32 {
	out := make([]int32, len(rows))
	for i, r := range rows {
		out[i] = all[r]
	}
	return out
}
