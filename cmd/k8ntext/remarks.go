package main

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"k8ntext/dataset/audit"
)

// maxRemarks bounds the single remarks of one command; the summary counts them all.
const maxRemarks = 20

// remark says on stderr what was skipped, at most maxRemarks times.
func (a *app) remark(text string) {
	if a.quiet {
		return
	}
	a.remarks++
	switch {
	case a.remarks <= maxRemarks:
		fmt.Fprintf(a.stderr, "k8ntext: skipped: %s\n", printable(text))
	case a.remarks == maxRemarks+1:
		fmt.Fprintln(a.stderr, "k8ntext: skipped: more, see the counts at the end")
	}
}

// reportSkipped counts on stderr what a reader left out, if anything.
func (a *app) reportSkipped(s audit.Summary) {
	if a.quiet || len(s.Problems) == 0 && s.Late == 0 {
		return
	}
	var parts []string
	for _, c := range s.Problems {
		parts = append(parts, fmt.Sprintf("%d %s", c.Count, c.Name))
	}
	if s.Late > 0 {
		parts = append(parts, fmt.Sprintf("%d late stages", s.Late))
	}
	fmt.Fprintf(a.stderr, "k8ntext: %d lines read, %d events, %d items skipped: %s\n", s.Lines, s.Events, s.Skipped, strings.Join(parts, ", "))
}

// printable shows as escapes what a terminal would act on instead of showing: control
// characters and those that turn the direction of text. A log must not steer the screen.
func printable(s string) string {
	hostile := func(r rune) bool { return r != ' ' && !unicode.IsPrint(r) }
	if !strings.ContainsFunc(s, hostile) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if hostile(r) {
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}
