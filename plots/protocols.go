package plots

import (
	"fmt"
	"strconv"
)

// Score is one method's value on one subset, as a cell needs it.
type Score struct {
	Value, Low, High float64
	N                int
	Interval         bool // Low and High are an interval
}

// ProtocolRow is one method under one protocol.
type ProtocolRow struct {
	Method   string
	Training string            // what it was trained on, in short; empty: nothing
	Scores   map[string]*Score // by column key
}

// ProtocolColumn is one column of scores.
type ProtocolColumn struct{ Key, Title string }

// Protocols is the table of methods under a protocol: every score with its interval and n.
func Protocols(id, title string, columns []ProtocolColumn, rows []ProtocolRow, note string) *Table {
	t := &Table{ID: id, Title: title, Note: note, Columns: []string{"method", "trained on"}}
	for _, c := range columns {
		t.Columns = append(t.Columns, c.Title)
	}
	for _, r := range rows {
		cells := []string{r.Method, r.Training}
		for _, c := range columns {
			cells = append(cells, r.Scores[c.Key].cell())
		}
		t.Rows = append(t.Rows, cells)
	}
	return t
}

// cell is the value with its interval and the number of events behind it.
func (s *Score) cell() string {
	if s == nil {
		return "–"
	}
	if !s.Interval {
		return fmt.Sprintf("%.3f (n %s)", s.Value, strconv.Itoa(s.N))
	}
	return fmt.Sprintf("%.3f [%.3f, %.3f] (n %d)", s.Value, s.Low, s.High, s.N)
}
