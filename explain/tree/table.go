package tree

import (
	"errors"
	"fmt"
	"slices"
)

// maxCodes is how many different values a feature may have: a code has 16 bits.
const maxCodes = 1 << 16

// Table holds rows of whole numbers by column, each value replaced by its rank in its column: two
// bytes a value. It does not change and may be used by several goroutines.
type Table struct {
	rows   int
	codes  []uint16  // feature by feature
	values [][]int32 // of each feature the distinct values, ascending: a code is an index
}

// NewTable makes a table of rows x features. column is called once for every feature, in order, and
// writes the feature's value in each row to dst.
//
// It fails for no rows or no features, and for a feature of more than 65,536 different values.
func NewTable(rows, features int, column func(feature int, dst []int32)) (*Table, error) {
	if rows < 1 || features < 1 {
		return nil, fmt.Errorf("make a table of %d rows and %d features: give at least one of each", rows, features)
	}
	t := &Table{rows: rows, codes: make([]uint16, rows*features), values: make([][]int32, features)}
	values := make([]int32, rows)
	var r ranker
	for f := range features {
		column(f, values)
		var err error
		if t.values[f], err = r.rank(values, t.column(f)); err != nil {
			return nil, fmt.Errorf("make a table: feature %d: %w", f, err)
		}
	}
	return t, nil
}

// Rows is the number of rows.
func (t *Table) Rows() int { return t.rows }

// Features is the number of features.
func (t *Table) Features() int { return len(t.values) }

// Value is the value of a feature in a row.
func (t *Table) Value(row, feature int) int32 {
	return t.values[feature][t.codes[feature*t.rows+row]]
}

// Values are the different values of a feature, ascending. The slice is shared: do not change it.
func (t *Table) Values(feature int) []int32 { return t.values[feature] }

// Row writes all values of a row to dst and returns it; dst nil makes a new one.
func (t *Table) Row(row int, dst []int32) []int32 {
	if dst == nil {
		dst = make([]int32, t.Features())
	}
	for f := range dst {
		dst[f] = t.Value(row, f)
	}
	return dst
}

// Gather writes all values of rows to dst, one slice for each of them, which it makes where dst has
// none. For many rows it is far faster than Row: it goes through the table a few columns at a time.
func (t *Table) Gather(rows []int32, dst [][]int32) [][]int32 {
	for len(dst) < len(rows) {
		dst = append(dst, make([]int32, t.Features()))
	}
	dst = dst[:len(rows)]
	// A few columns at a time: what is read and what is written then stays in the cache.
	const together = 16
	for from := 0; from < len(t.values); from += together {
		to := min(from+together, len(t.values))
		for i, r := range rows {
			row := dst[i][from:to]
			for j := range row {
				row[j] = t.values[from+j][t.codes[(from+j)*t.rows+int(r)]]
			}
		}
	}
	return dst
}

func (t *Table) column(feature int) []uint16 { return t.codes[feature*t.rows : (feature+1)*t.rows] }

func (t *Table) maxCodes() int {
	n := 0
	for _, v := range t.values {
		n = max(n, len(v))
	}
	return n
}

// ranker ranks columns. Its table of seen values is used again for the next column.
type ranker struct {
	codes []int32
}

// rank writes the rank of each value to dst and returns the distinct values.
func (r *ranker) rank(values []int32, dst []uint16) ([]int32, error) {
	low, high := slices.Min(values), slices.Max(values)
	if width := int64(high) - int64(low) + 1; width > 4*maxCodes {
		return rankSparse(values, dst)
	} else if int(width) > len(r.codes) {
		r.codes = make([]int32, width)
	}
	seen := r.codes[:high-low+1]
	clear(seen)
	for _, v := range values {
		seen[v-low] = 1
	}
	var distinct []int32
	for i, s := range seen {
		if s != 0 {
			seen[i] = int32(len(distinct))
			distinct = append(distinct, low+int32(i))
		}
	}
	if len(distinct) > maxCodes {
		return nil, tooMany(len(distinct))
	}
	for i, v := range values {
		dst[i] = uint16(seen[v-low])
	}
	return slices.Clip(distinct), nil
}

// rankSparse is rank for values that lie far apart.
func rankSparse(values []int32, dst []uint16) ([]int32, error) {
	distinct := slices.Clone(values)
	slices.Sort(distinct)
	distinct = slices.Compact(distinct)
	if len(distinct) > maxCodes {
		return nil, tooMany(len(distinct))
	}
	for i, v := range values {
		code, _ := slices.BinarySearch(distinct, v)
		dst[i] = uint16(code)
	}
	return slices.Clip(distinct), nil
}

func tooMany(n int) error {
	return fmt.Errorf("%d different values: at most %d can be told apart, put some together", n, maxCodes)
}

// checkLabels tells whether labels and weights fit to the table, and gives the sum of the weights.
func (t *Table) checkLabels(labels []int32, classes int, weights []int32) (int64, error) {
	switch {
	case classes < 1 || classes > maxCodes:
		return 0, fmt.Errorf("%d classes: give 1 to %d", classes, maxCodes)
	case len(labels) != t.rows:
		return 0, fmt.Errorf("%d labels for %d rows: give one for each row", len(labels), t.rows)
	case weights != nil && len(weights) != t.rows:
		return 0, fmt.Errorf("%d weights for %d rows: give one for each row, or none", len(weights), t.rows)
	}
	var total int64
	for i, l := range labels {
		w := int32(1)
		if weights != nil {
			w = weights[i]
		}
		switch {
		case w < 0:
			return 0, fmt.Errorf("row %d has the weight %d: a row counts zero times or more", i, w)
		case w > 0 && (l < 0 || int(l) >= classes):
			return 0, fmt.Errorf("row %d has the class %d: classes are 0 to %d", i, l, classes-1)
		}
		total += int64(w)
	}
	switch {
	case total == 0:
		return 0, errors.New("no row counts: all weights are 0")
	case total > maxWeight:
		return 0, fmt.Errorf("the weights sum to %d: at most %d can be counted", total, int64(maxWeight))
	}
	return total, nil
}

// maxWeight bounds the sum of all weights, so that sums of squared counts stay below 2^62.
const maxWeight = 1<<31 - 1
