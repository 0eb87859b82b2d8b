package metrics

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/go-json-experiment/json"
)

// maxLine bounds one line of a records file; a record takes a few hundred bytes.
const maxLine = 1 << 20

// WriteJSONL writes one record per line. A value that JSON cannot hold (NaN, an infinity) is an
// error, and nothing of that record is written.
func WriteJSONL(w io.Writer, records []Record) error {
	b := bufio.NewWriter(w)
	for i, r := range records {
		if err := r.check(); err != nil {
			return errors.Join(fmt.Errorf("write record %d: %w", i+1, err), b.Flush())
		}
		line, err := json.Marshal(r)
		if err != nil {
			return errors.Join(fmt.Errorf("write record %d (%s): %w", i+1, r.key(), err), b.Flush())
		}
		b.Write(append(line, '\n')) // the error stays until Flush
	}
	if err := b.Flush(); err != nil {
		return fmt.Errorf("write records: %w", err)
	}
	return nil
}

// ReadJSONL reads what [WriteJSONL] wrote; name stands for the file in errors. Empty lines are
// skipped. At the first bad line it returns the records before it and an error that names the line.
func ReadJSONL(r io.Reader, name string) ([]Record, error) {
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 0, 4096), maxLine)
	var records []Record
	line := 0
	for s.Scan() {
		line++
		if len(bytes.TrimSpace(s.Bytes())) == 0 {
			continue
		}
		var rec Record
		if err := json.Unmarshal(s.Bytes(), &rec, json.RejectUnknownMembers(true)); err != nil {
			return records, fmt.Errorf("%s:%d: not a record: %w; one JSON object per line is expected", name, line, err)
		}
		records = append(records, rec)
	}
	if err := s.Err(); err != nil {
		return records, fmt.Errorf("%s:%d: read records: %w", name, line+1, err)
	}
	return records, nil
}

// check refuses what the files cannot hold.
func (r *Record) check() error {
	for _, f := range []float64{r.Value, r.Low, r.High} {
		if math.IsNaN(f) || math.IsInf(f, 0) {
			return fmt.Errorf("%s has the value %v, interval %v to %v; only finite numbers can be recorded", r.key(), r.Value, r.Low, r.High)
		}
	}
	return nil
}

func (r *Record) key() string {
	return fmt.Sprintf("%q %q fold %d %q %q %q", r.Corpus, r.Protocol, r.Fold, r.Method, r.Subset, r.Metric)
}

func csvHeader() []string {
	return []string{"corpus", "protocol", "fold", "method", "subset", "metric", "value", "n", "low", "high", "seed", "note"}
}

// WriteCSV writes records with a header line, for spreadsheets. Text that a spreadsheet would take
// for a formula gets a leading ' (taken off again by [ReadCSV]), control characters become spaces,
// and bytes that are no UTF-8 become U+FFFD. Values are written with all their digits.
func WriteCSV(w io.Writer, records []Record) error {
	c := csv.NewWriter(w)
	c.Write(csvHeader()) // errors stay until Flush
	for i := range records {
		r := &records[i]
		if err := r.check(); err != nil {
			c.Flush()
			return errors.Join(fmt.Errorf("write record %d: %w", i+1, err), c.Error())
		}
		c.Write([]string{
			cellText(r.Corpus), cellText(r.Protocol), strconv.Itoa(r.Fold), cellText(r.Method),
			cellText(r.Subset), cellText(r.Metric), number(r.Value), strconv.Itoa(r.N),
			number(r.Low), number(r.High), strconv.FormatUint(r.Seed, 10), cellText(r.Note),
		})
	}
	c.Flush()
	if err := c.Error(); err != nil {
		return fmt.Errorf("write records: %w", err)
	}
	return nil
}

// ReadCSV reads what [WriteCSV] wrote; name stands for the file in errors. At the first bad line it
// returns the records before it and an error that names the line.
func ReadCSV(r io.Reader, name string) ([]Record, error) {
	c := csv.NewReader(r)
	header, err := c.Read()
	if err != nil {
		return nil, fmt.Errorf("%s: read the header: %w", name, err)
	}
	if !slices.Equal(header, csvHeader()) {
		return nil, fmt.Errorf("%s:1: the columns are %q, expected %q", name, header, csvHeader())
	}
	var records []Record
	for {
		row, err := c.Read()
		if err == io.EOF {
			return records, nil
		}
		if err != nil {
			return records, fmt.Errorf("%s: %w", name, err) // a csv.ParseError names the line
		}
		rec, column, err := parseRow(row)
		if err != nil {
			line, _ := c.FieldPos(column)
			return records, fmt.Errorf("%s:%d: column %s: %w", name, line, header[column], err)
		}
		records = append(records, rec)
	}
}

// parseRow turns one line's cells into a record; on an error column is the cell at fault.
func parseRow(row []string) (r Record, column int, err error) {
	parse := func(i int, into func(string) error) {
		if err == nil {
			column, err = i, into(row[i])
		}
	}
	text := func(s *string) func(string) error {
		return func(cell string) error { *s = strings.TrimPrefix(cell, "'"); return nil }
	}
	whole := func(n *int) func(string) error {
		return func(cell string) (err error) { *n, err = strconv.Atoi(cell); return err }
	}
	decimal := func(f *float64) func(string) error {
		return func(cell string) (err error) {
			*f, err = strconv.ParseFloat(cell, 64)
			if err == nil && (math.IsNaN(*f) || math.IsInf(*f, 0)) {
				err = fmt.Errorf("%q is not a finite number", cell)
			}
			return err
		}
	}
	parse(0, text(&r.Corpus))
	parse(1, text(&r.Protocol))
	parse(2, whole(&r.Fold))
	parse(3, text(&r.Method))
	parse(4, text(&r.Subset))
	parse(5, text(&r.Metric))
	parse(6, decimal(&r.Value))
	parse(7, whole(&r.N))
	parse(8, decimal(&r.Low))
	parse(9, decimal(&r.High))
	parse(10, func(cell string) (err error) { r.Seed, err = strconv.ParseUint(cell, 10, 64); return err })
	parse(11, text(&r.Note))
	return r, column, err
}

// cellText makes text safe for a spreadsheet. The starts are those of OWASP's page on CSV injection;
// the quote itself is among them so that it survives the way back.
func cellText(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s)
	if strings.IndexAny(s, "=+-@'＝＋－＠") == 0 {
		return "'" + s
	}
	return s
}

// number writes the shortest text that reads back as the same value.
func number(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }
