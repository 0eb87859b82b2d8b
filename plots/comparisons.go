package plots

import (
	"fmt"
	"math"
	"strconv"
)

// Comparison is one setting beside another that it was paired with.
type Comparison struct {
	Experiment, Setting, Against string
	Metric                       string
	N                            int
	Mean, Low, High              float64 // of the difference; Low = High: no interval
	P                            float64 // after Holm's correction; NaN: none
	Detectable                   float64 // NaN: none
	Verdict                      string
}

// Comparisons is the table of paired comparisons.
func Comparisons(id, title, note string, rows []Comparison) *Table {
	t := &Table{
		ID: id, Title: title, Note: note,
		Columns: []string{"setting", "against", "metric", "n pairs", "difference", "95 % interval", "p (Holm)", "found in 4 of 5 from", "verdict"},
	}
	number := func(format string, x float64) string {
		if math.IsNaN(x) {
			return none
		}
		return fmt.Sprintf(format, x)
	}
	for _, r := range rows {
		interval := none
		if r.Low < r.High {
			interval = fmt.Sprintf("%+.4f to %+.4f", r.Low, r.High)
		}
		p := number("%.3f", r.P)
		if r.P < .001 {
			p = "< 0.001"
		}
		t.Rows = append(t.Rows, []string{
			r.Setting, r.Against, r.Metric, strconv.Itoa(r.N), number("%+.4f", r.Mean), interval, p, number("%.4f", r.Detectable), r.Verdict,
		})
	}
	return t
}

// NoiseRow is how far trainings of one experiment differ by their seeds alone.
type NoiseRow struct {
	Experiment, Metric  string
	Settings, Trainings int
	Std, Low, High      float64 // pooled over settings, with its 95 % interval
	Widest              float64
}

// Noise is the table of run-to-run noise, what the paper's runs show in the last row.
func Noise(rows []NoiseRow, p Paper, note string) *Table {
	t := &Table{
		ID: "noise", Title: "Run-to-run noise: how far trainings differ by their seeds alone", Note: note,
		Columns: []string{"experiment", "metric", "n settings", "n trainings", "standard deviation", "95 % interval", "widest distance of two"},
	}
	for _, r := range rows {
		t.Rows = append(t.Rows, []string{
			r.Experiment, r.Metric, strconv.Itoa(r.Settings), strconv.Itoa(r.Trainings), fmt.Sprintf("%.4f", r.Std),
			fmt.Sprintf("%.4f to %.4f", r.Low, r.High), fmt.Sprintf("%.4f", r.Widest),
		})
	}
	t.Rows = append(t.Rows, []string{
		"the paper's runs with all features (of its plot script)", "macro F1", "1", none, fmt.Sprintf("about %.3f", p.Removal.RunToRunStd), none,
		fmt.Sprintf("%.3f (%.3f to %.3f)", p.Removal.RunToRun[1]-p.Removal.RunToRun[0], p.Removal.RunToRun[0], p.Removal.RunToRun[1]),
	})
	return t
}
