package audit

import (
	"fmt"
	"strings"
	"unicode"
)

// Problem is something wrong with the input. It costs at most the item it speaks of.
type Problem struct {
	Position
	Kind    string `json:"kind"`    // one of a fixed set, for counting
	Detail  string `json:"detail"`  // for people: never holds contents of the log beyond a field's name
	Skipped bool   `json:"skipped"` // the item was left out; else it was kept without the part that Detail names
}

// Error gives file:line: kind: detail.
func (p *Problem) Error() string {
	return fmt.Sprintf("%s: %s: %s", p.Position, p.Kind, p.Detail)
}

// String gives file:line, with anything that is not printable escaped.
func (p Position) String() string {
	return fmt.Sprintf("%s:%d", printable(p.File), p.Line)
}

// Kinds of problems that cost an item.
const (
	notJSON      = "not JSON"
	cutJSON      = "cut JSON"
	tooLong      = "line too long"
	notAnEvent   = "not an audit event"
	duplicateKey = "duplicate key"
	tooDeep      = "nested too deep"
)

// Kinds of problems that cost a part of an item, or of the input.
const (
	wrongType   = "wrong type"
	badUTF8     = "bad UTF-8"
	keyCase     = "key in other case"
	bodyDropped = "body left out"
	foreignText = "text around JSON"
	nulBytes    = "NUL bytes"
	cutDocument = "cut document"
	cutInput    = "cut input"
	unreadable  = "unreadable input"
)

// printable makes text from the input safe to show on a terminal.
func printable(s string) string {
	var b strings.Builder
	for _, c := range s {
		if unicode.IsPrint(c) {
			b.WriteRune(c)
		} else {
			fmt.Fprintf(&b, `\u%04x`, c)
		}
	}
	return b.String()
}

// shorten makes text safe and bounds it: a hostile key must not fill the screen.
func shorten(s string) string {
	const limit = 200
	if len(s) > limit {
		s = s[:limit] + "..."
	}
	return printable(s)
}
