// Package explain imitates a classifier that nobody can read by a decision tree that anybody can, and
// measures how far the tree may be believed.
//
// It knows no network: a [Teacher] answers for rows of whole numbers, a [Problem] says what the
// numbers mean. [Honest] is the default way to a tree: parts of the rows for growing, for choosing and
// for reporting, the teacher asked once per distinct row, the size by the one-standard-error rule.
// [Trustee] is the published method, step by step, for comparison. [Explain] makes the whole report.
//
// Source of the method and of the report's outline: A. Jacobs, R. Beltiukov, W. Willinger, R. Ferreira,
// A. Gupta and L. Granville, AI/ML for Network Security: The Emperor has no Clothes, CCS 2022.
package explain

import (
	"context"
	"errors"
	"fmt"

	"k8ntext/explain/tree"
)

// Teacher is the classifier that is explained.
type Teacher interface {
	// Predict gives the class of each row. A row has one value for each feature; the same row gets the
	// same class whenever it is asked. The rows are the caller's.
	Predict(ctx context.Context, rows [][]int32) ([]int32, error)
}

// Feature is one input of the teacher.
type Feature struct {
	Field   string `json:"field"`            // what it says of an event, "verb"
	Offset  int    `json:"offset"`           // of which event: 0 the explained one, -1 the one before it
	Single  bool   `json:"single,omitempty"` // the table has one place only: no offsets
	Nominal bool   `json:"nominal"`          // its values have no order
	// Kin is what the field belongs to, such as an event that several fields tell of; "": to nothing.
	// All that belongs to one thing is also exchanged as a whole.
	Kin string `json:"kin,omitempty"`
}

// Name is "verb@-1", or "verb" where there are no offsets.
func (f Feature) Name() string {
	if f.Single {
		return f.Field
	}
	return fmt.Sprintf("%s@%d", f.Field, f.Offset)
}

// Problem is a teacher with the rows about which it is asked and what is known of them. Slices by row
// may be nil where nothing is known.
type Problem struct {
	Name     string // of the teacher and the data, for people
	Teacher  Teacher
	Table    *tree.Table
	Features []Feature
	Classes  []string // names of the teacher's classes

	// Decode names a value of a feature; nil: values are numbers. Names may hold anything.
	Decode func(feature int, value int32) string
	// Unknown is a value of the feature that says nothing, by which it is hidden from the teacher; nil:
	// the feature's most frequent value.
	Unknown func(feature int) int32
	// Where says where a row comes from, such as FILE:LINE; nil: rows have numbers only.
	Where func(row int) string

	Truth []int32 // right class of each row; -1: not known
	Own   []int32 // class that the row's own event has by itself; -1: none
	Group []int32 // rows with the same number depend on each other; -1: on none

	// Time is the place of each row in time, ascending, and Reach how far a row reaches: rows less than
	// Reach apart have seen parts of each other. nil: the rows have no order.
	Time  []int32
	Reach int

	// Seen says that the teacher was trained on these rows.
	Seen bool
}

// check tells whether the parts of the problem fit together.
func (p *Problem) check() error {
	if p.Teacher == nil || p.Table == nil {
		return errors.New("no teacher or no rows: give both")
	}
	rows := p.Table.Rows()
	switch {
	case len(p.Features) != p.Table.Features():
		return fmt.Errorf("%d features are named and the table has %d: name each", len(p.Features), p.Table.Features())
	case len(p.Classes) == 0:
		return errors.New("no classes: name those of the teacher")
	case p.Time != nil && p.Reach < 1:
		return fmt.Errorf("a reach of %d events: with times, a row reaches 1 or more", p.Reach)
	}
	for name, column := range map[string][]int32{"truths": p.Truth, "own classes": p.Own, "groups": p.Group, "times": p.Time} {
		if column != nil && len(column) != rows {
			return fmt.Errorf("%d %s for %d rows: give one for each, or none", len(column), name, rows)
		}
	}
	for i := 1; i < len(p.Time); i++ {
		if p.Time[i] < p.Time[i-1] {
			return fmt.Errorf("row %d lies before the row in front of it: order the rows by time", i)
		}
	}
	return nil
}

// nominal marks the nominal features.
func (p *Problem) nominal() []bool {
	marks := make([]bool, len(p.Features))
	for f := range marks {
		marks[f] = p.Features[f].Nominal
	}
	return marks
}

// value names a value of a feature.
func (p *Problem) value(feature int, value int32) string {
	if p.Decode == nil {
		return fmt.Sprint(value)
	}
	return p.Decode(feature, value)
}

// where names a row.
func (p *Problem) where(row int) string {
	if p.Where == nil {
		return fmt.Sprintf("row %d", row)
	}
	return p.Where(row)
}

// group is what a row depends on; rows that depend on nothing get a number of their own.
func (p *Problem) group(row int32) int32 {
	if p.Group == nil || p.Group[row] < 0 {
		return -1 - row
	}
	return p.Group[row]
}
