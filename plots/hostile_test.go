package plots

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// hostile is text that a log or a file name may bring along.
var hostile = []string{
	// terminal escapes
	"\x1b[31mred\x1b]0;title\x07",
	// the same as one control character
	"c1 \u009b31m",
	// text that reads other than it is
	"bidi \u202egnp.exe\u2066 zero\u200bwidth",
	"not \xff UTF-8",
	// formulas
	`=HYPERLINK("http://x","y")`,
	"+1+cmd|' /C calc'!A0",
	"@SUM(A1)",
	"-2+3",
	"\t=1+1",
	// HTML
	`<script>alert(1)</script><img src=x>`,
	// Markdown
	"![i](http://x/y.png) [l](javascript:a) `c`",
	"a | b **bold** _it_ | \\",
	// LaTeX
	`\input{/etc/passwd} $x$ %c {} ~^_& "q" #1`,
	`[c] \\[1em]`,
	// DOT
	`"]; node [label="`,
	"two\nlines",
}

func hostileTable() *Table {
	t := &Table{ID: "hostile", Title: "A <b>title</b> $x$", Note: "A note\x1b[2J with <i>", Columns: []string{"name", "=value"}}
	for _, h := range hostile {
		t.Rows = append(t.Rows, []string{h, "-0.5"})
	}
	return t
}

func render(t *testing.T, write func(io.Writer) error) string {
	t.Helper()
	var b bytes.Buffer
	if err := write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestHostileCells(t *testing.T) {
	table := hostileTable()
	formats := map[string]string{
		"text": render(t, table.WriteText), "markdown": render(t, table.WriteMarkdown),
		"csv": render(t, table.WriteCSV), "latex": render(t, table.WriteLaTeX),
	}
	for name, text := range formats {
		if !utf8.ValidString(text) {
			t.Errorf("%s: not UTF-8", name)
		}
		for _, bad := range []string{"\x1b", "\u009b", "\a", "\u202e", "\u2066", "\u200b", "\t"} {
			if strings.Contains(text, bad) {
				t.Errorf("%s: %q is left", name, bad)
			}
		}
	}
	for _, bad := range []string{"<script", "<img", "<b>", "<i>", "](", " `c`", "**bold**", " _it_"} {
		if strings.Contains(formats["markdown"], bad) {
			t.Errorf("markdown: %q is left", bad)
		}
	}
	for _, bad := range []string{`\input`, "$x$", " %c", " {} ", `~^`, `\\[`, "<b>"} {
		if strings.Contains(formats["latex"], bad) {
			t.Errorf("latex: %q is left", bad)
		}
	}
	rows, err := csv.NewReader(strings.NewReader(formats["csv"])).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != len(hostile)+1 || rows[0][1] != "'=value" {
		t.Fatalf("csv: %d rows, header %q", len(rows), rows[0])
	}
	for _, r := range rows[1:] {
		if slices.Contains([]byte("=+-@"), r[0][0]) {
			t.Errorf("csv: a spreadsheet would compute %q", r[0])
		}
		if r[1] != "-0.5" {
			t.Errorf("csv: the number -0.5 became %q", r[1])
		}
	}
	if got := strings.Count(formats["latex"], `\\`+"\n"); got != len(hostile)+1 {
		t.Errorf("latex: %d rows, want %d", got, len(hostile)+1)
	}
}

// TestMarkdownRowsStayRows: a cell cannot break out of its row or column.
func TestMarkdownRowsStayRows(t *testing.T) {
	text := render(t, hostileTable().WriteMarkdown)
	rows := 0
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "|") {
			continue
		}
		rows++
		bars := strings.ReplaceAll(line, `\\`, "")
		bars = strings.ReplaceAll(bars, `\|`, "")
		if got := strings.Count(bars, "|"); got != 3 {
			t.Errorf("%d column bars in %q", got, line)
		}
	}
	if want := len(hostile) + 2; rows != want {
		t.Errorf("%d rows, want %d", rows, want)
	}
}

type failingWriter struct{ after int }

var errFull = errors.New("disk full")

func (w *failingWriter) Write(p []byte) (int, error) {
	if w.after -= len(p); w.after < 0 {
		return 0, errFull
	}
	return len(p), nil
}

func TestWritersReportFailure(t *testing.T) {
	table := hostileTable()
	f, err := ClassAccuracy(syntheticClasses(), paperValues(t))
	if err != nil {
		t.Fatal(err)
	}
	for name, write := range map[string]func(io.Writer) error{
		"text": table.WriteText, "markdown": table.WriteMarkdown, "csv": table.WriteCSV, "latex": table.WriteLaTeX,
		"svg": func(w io.Writer) error { return f.Write(w, "svg") },
		"png": func(w io.Writer) error { return f.Write(w, "png") },
		"pdf": func(w io.Writer) error { return f.Write(w, "pdf") },
	} {
		if err := write(&failingWriter{after: 100}); !errors.Is(err, errFull) {
			t.Errorf("%s: error %v does not say that the disk is full", name, err)
		}
	}
}
