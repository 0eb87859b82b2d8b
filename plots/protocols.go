package plots

import "fmt"

// Score is one method's value on one subset, as a cell needs it.
type Score struct {
	Value     float64
	Low, High float64 // an interval, if they differ
	N         int     // what the value is over: events or window positions
	Note      string  // in a few words, what else a reader must know of this value
}

// ProtocolRow is one method under one protocol.
type ProtocolRow struct {
	Method   string
	Training string            // what it was trained on, in short
	Scores   map[string]*Score // by column key
}

// ProtocolColumn is one column of scores.
type ProtocolColumn struct{ Key, Title string }

// Protocols is the table of methods under a protocol: every score with its interval and n.
func Protocols(id, title string, columns []ProtocolColumn, rows []ProtocolRow, note string) *Table {
	t := &Table{ID: id, Title: title, Note: note, Columns: []string{"method, training"}}
	for _, c := range columns {
		t.Columns = append(t.Columns, c.Title)
	}
	for _, r := range rows {
		cells := []string{r.Method + "\ntrained on " + r.Training}
		for _, c := range columns {
			cells = append(cells, r.Scores[c.Key].cell())
		}
		t.Rows = append(t.Rows, cells)
	}
	return t
}

// cell is the value, its interval and the number of things behind it, each on a line.
func (s *Score) cell() string {
	if s == nil {
		return none
	}
	text := fmt.Sprintf("%.3f", s.Value)
	if s.Low != s.High {
		text += fmt.Sprintf("\n%.3f to %.3f", s.Low, s.High)
	}
	text += "\nn " + thousands(float64(s.N))
	if s.Note != "" {
		text += "\n" + s.Note
	}
	return text
}
