package plots

import "fmt"

// CostRow is what actions of one kind leave in a log.
type CostRow struct {
	Action                    string // the label in words
	N                         int    // actions
	Events                    int    // of all of them
	Median                    float64
	Largest                   int // events of one
	RawLines                  int // of all of them
	Bytes                     int64
	MedianBytes, LargestBytes int64 // of one action
}

// ActionCosts is the table of what one action of each kind costs in events and bytes, beside the paper's
// counts of two kinds.
func ActionCosts(rows []CostRow, paper Paper, note string) *Table {
	t := &Table{
		ID: "action-cost", Title: "What an action costs in the log", Note: note,
		Columns: []string{"action", "n", "events: mean", "median", "largest", "raw lines: mean", "kB: mean", "kB: median", "kB: largest", "paper: lines"},
	}
	for _, r := range rows {
		n := float64(max(1, r.N))
		kB := func(bytes float64) string { return fmt.Sprintf("%.1f", bytes/1000) }
		beside := none
		if p := paper.Cost(r.Action); p != nil {
			beside = fmt.Sprintf("%.1f\n%s of %s", float64(p.Lines)/float64(p.N), thousands(float64(p.Lines)), thousands(float64(p.N)))
		}
		t.Rows = append(t.Rows, []string{
			r.Action, thousands(float64(r.N)), fmt.Sprintf("%.1f", float64(r.Events)/n), fmt.Sprintf("%g", r.Median), thousands(float64(r.Largest)),
			fmt.Sprintf("%.1f", float64(r.RawLines)/n), kB(float64(r.Bytes) / n), kB(float64(r.MedianBytes)), kB(float64(r.LargestBytes)), beside,
		})
	}
	return t
}
