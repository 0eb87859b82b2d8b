package plots

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

// Table is a table of a report: text in cells, ready for every format. A cell may have several lines,
// the first of which is the value. Text may come from a log: every format makes it harmless.
type Table struct {
	ID      string // file name without extension
	Title   string
	Note    string // what the reader must know to read the numbers: corpus, protocol, n, machine
	Columns []string
	Rows    [][]string
}

// none stands in a cell that has no value.
const none = "–"

// WriteText writes the table for a terminal.
func (t *Table) WriteText(w io.Writer) error {
	p := t.pretty(Printable)
	p.SetStyle(table.StyleLight)
	p.Style().Format.Header = text.FormatDefault
	p.Style().Options.SeparateRows = strings.Contains(fmt.Sprint(t.Rows), "\n")
	_, err := fmt.Fprintf(w, "%s\n%s\n%s\n", Printable(t.Title), p.Render(), Printable(t.Note))
	return err
}

// WriteMarkdown writes the table as GitHub Markdown.
func (t *Table) WriteMarkdown(w io.Writer) error {
	_, err := fmt.Fprintf(w, "### %s\n\n%s\n\n%s\n", markdown(t.Title), t.pretty(markdown).RenderMarkdown(), markdown(t.Note))
	return err
}

// pretty is the table for go-pretty, its text made safe.
func (t *Table) pretty(safe func(string) string) table.Writer {
	row := func(cells []string) table.Row {
		r := make(table.Row, len(cells))
		for i, c := range cells {
			r[i] = safe(c)
		}
		return r
	}
	p := table.NewWriter()
	p.AppendHeader(row(t.Columns))
	for _, r := range t.Rows {
		p.AppendRow(row(r))
	}
	return p
}

// Printable drops what a terminal acts on (control characters, among them the start of escape
// sequences) and what makes text read other than it is (directions, zero widths). Line breaks stay.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029') {
			return -1
		}
		return r // what is not UTF-8 arrives, and leaves, as U+FFFD
	}, s)
}

// markdown keeps text from becoming HTML, a link, an image or a style. go-pretty takes care of "|".
func markdown(s string) string {
	return strings.NewReplacer(
		`\`, `\\`, "`", "\\`", "*", `\*`, "$", `\$`, "_", `\_`, "<", "&lt;", ">", "&gt;", "&", "&amp;", "](", `]\(`, "][", `]\[`, "://", `:\//`,
	).Replace(Printable(s))
}

// WriteCSV writes header and rows. A cell that a spreadsheet would take for a formula gets a leading
// quote, unless it is a number; the lines of a cell become one.
func (t *Table) WriteCSV(w io.Writer) error {
	c := csv.NewWriter(w)
	for _, r := range append([][]string{t.Columns}, t.Rows...) {
		safe := make([]string, len(r))
		for i, cell := range r {
			safe[i] = spreadsheet(cell)
		}
		if err := c.Write(safe); err != nil {
			return err
		}
	}
	c.Flush()
	return c.Error()
}

// spreadsheet makes a cell that no spreadsheet computes (OWASP, CSV injection).
func spreadsheet(s string) string {
	s = oneLine(s)
	if _, err := strconv.ParseFloat(s, 64); err != nil && strings.IndexAny(s, "=+-@＝＋－＠") == 0 {
		return "'" + s
	}
	return s
}

// oneLine puts the lines of a cell, each of which is a statement, side by side.
func oneLine(s string) string { return strings.ReplaceAll(Printable(s), "\n", "; ") }

// WriteLaTeX writes a table environment with its caption.
func (t *Table) WriteLaTeX(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "\\begin{table}\n\\caption{%s. %s}\n\\begin{tabular}{l%s}\n\\hline\n",
		latex(t.Title), latex(t.Note), strings.Repeat("r", max(len(t.Columns)-1, 0)))
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

// latex escapes what LaTeX would act on. The brackets stand in braces because one after \\ or a
// command would be taken for its argument.
func latex(s string) string {
	return strings.NewReplacer(
		`\`, `\textbackslash{}`, `{`, `\{`, `}`, `\}`, `$`, `\$`, `&`, `\&`, `#`, `\#`, `_`, `\_`, `%`, `\%`,
		`^`, `\textasciicircum{}`, `~`, `\textasciitilde{}`, `[`, `{[}`, `]`, `{]}`, `<`, `\textless{}`, `>`, `\textgreater{}`,
		`|`, `\textbar{}`, `"`, `\textquotedbl{}`, `±`, `$\pm$`, `×`, `$\times$`, `–`, `--`,
	).Replace(oneLine(s))
}

// thousands writes a number of things the way that people read it: 12,345; fractions only where there
// is nothing else.
func thousands(x float64) string {
	if x == float64(int64(x)) {
		return message.NewPrinter(language.English).Sprintf("%d", int64(x))
	}
	return strconv.FormatFloat(x, 'g', 3, 64)
}
