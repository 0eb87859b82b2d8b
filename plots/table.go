package plots

import (
	"encoding/csv"
	"fmt"
	"io"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// Table is a table of a report: text in cells, ready for every format.
type Table struct {
	ID      string // file name without extension
	Title   string
	Note    string // what the reader must know to read the numbers: corpus, protocol, n, machine
	Columns []string
	Rows    [][]string
}

// WriteText writes the table for a terminal.
func (t *Table) WriteText(w io.Writer) error {
	p := t.pretty()
	p.SetStyle(table.StyleLight)
	p.Style().Format.Header = text.FormatDefault
	_, err := fmt.Fprintf(w, "%s\n%s\n%s\n", t.Title, p.Render(), t.Note)
	return err
}

// WriteMarkdown writes the table as GitHub Markdown.
func (t *Table) WriteMarkdown(w io.Writer) error {
	_, err := fmt.Fprintf(w, "### %s\n\n%s\n\n%s\n", t.Title, t.pretty().RenderMarkdown(), t.Note)
	return err
}

func (t *Table) pretty() table.Writer {
	p := table.NewWriter()
	p.AppendHeader(row(t.Columns))
	for _, r := range t.Rows {
		p.AppendRow(row(r))
	}
	return p
}

func row(cells []string) table.Row {
	r := make(table.Row, len(cells))
	for i, c := range cells {
		r[i] = printable(c)
	}
	return r
}

// printable drops control characters: a log's text must not reach the terminal as an escape sequence.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, s)
}

// WriteCSV writes header and rows. A cell that a spreadsheet would take for a formula gets a leading quote.
func (t *Table) WriteCSV(w io.Writer) error {
	c := csv.NewWriter(w)
	rows := append([][]string{t.Columns}, t.Rows...)
	for _, r := range rows {
		safe := make([]string, len(r))
		for i, cell := range r {
			cell = printable(cell)
			if cell != "" && strings.ContainsRune("=+-@", rune(cell[0])) {
				cell = "'" + cell
			}
			safe[i] = cell
		}
		if err := c.Write(safe); err != nil {
			return err
		}
	}
	c.Flush()
	return c.Error()
}

// WriteLaTeX writes a tabular environment with its caption.
func (t *Table) WriteLaTeX(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "\\begin{table}\n\\caption{%s. %s}\n\\begin{tabular}{l%s}\n\\hline\n", latex(t.Title), latex(t.Note), strings.Repeat("r", len(t.Columns)-1))
	for i, r := range append([][]string{t.Columns}, t.Rows...) {
		for j, cell := range r {
			if j > 0 {
				b.WriteString(" & ")
			}
			b.WriteString(latex(cell))
		}
		b.WriteString(" \\\\\n")
		if i == 0 {
			b.WriteString("\\hline\n")
		}
	}
	b.WriteString("\\hline\n\\end{tabular}\n\\end{table}\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// latex escapes what LaTeX would act on.
func latex(s string) string {
	return strings.NewReplacer(
		`\`, `\textbackslash{}`, `{`, `\{`, `}`, `\}`, `$`, `\$`, `&`, `\&`, `#`, `\#`, `_`, `\_`, `%`, `\%`,
		`^`, `\textasciicircum{}`, `~`, `\textasciitilde{}`, `±`, `$\pm$`, `–`, `--`,
	).Replace(printable(s))
}
