package plots

import (
	"fmt"
	"slices"
)

// QueryRow is what one of the paper's queries took.
type QueryRow struct {
	Name       string // as the paper numbers them: Q0 to Q3
	Expression string
	Found      int       // contexts
	MS         []float64 // wall milliseconds of each run over all contexts
}

// QueryTimes is the paper's Table 7: the time of four queries over a whole log, beside the paper's.
func QueryTimes(rows []QueryRow, note string) *Table {
	t := &Table{
		ID: "table7", Title: "Table 7: query times", Note: note,
		Columns: []string{"query", "expression", "contexts found", "n", "ms", "ms, median", "paper: ms"},
	}
	// Mean and standard deviation on 18,478 lines (the paper's Table 7).
	paper := map[string][2]float64{"Q0": {.073, .008}, "Q1": {51.072, 1.364}, "Q2": {92.800, 4.480}, "Q3": {134.558, 4.309}}
	for _, r := range rows {
		cells := []string{r.Name, r.Expression, thousands(float64(r.Found)), fmt.Sprint(len(r.MS)), meanDeviation(r.MS, 3), median(r.MS), none}
		if p, ok := paper[r.Name]; ok {
			cells[6] = fmt.Sprintf("%.3f ± %.3f", p[0], p[1])
		}
		t.Rows = append(t.Rows, cells)
	}
	return t
}

// median of some times, as text.
func median(ms []float64) string {
	if len(ms) == 0 {
		return none
	}
	sorted := slices.Sorted(slices.Values(ms))
	return fmt.Sprintf("%.3f", (sorted[(len(ms)-1)/2]+sorted[len(ms)/2])/2)
}
