package plots

import "strconv"

// FeatureRow is one feature of the paper's network.
type FeatureRow struct {
	Path, Meaning, Encoding string
	Values                  int  // distinct values in the corpus, 0: not counted
	Dead                    bool // the same for every event
}

// Features is the paper's Table 2, which shows a part of its features; here are all.
func Features(rows []FeatureRow, note string) *Table {
	t := &Table{
		ID: "table2", Title: "Table 2: features", Note: note,
		Columns: []string{"feature", "number", "meaning", "encoding", "values"},
	}
	for i, r := range rows {
		values := none
		if r.Values > 0 {
			values = thousands(float64(r.Values))
		}
		if r.Dead {
			values += "\nnever varies"
		}
		t.Rows = append(t.Rows, []string{r.Path, strconv.Itoa(i + 1), r.Meaning, r.Encoding, values})
	}
	return t
}
