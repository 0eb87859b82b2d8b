package query

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"
)

// pattern is what regexp(...) asks of a text. Most patterns that people write are a literal in a
// disguise (".*controller.*", "^system:"), which is found many times faster than by an automaton.
type pattern struct {
	re         *regexp.Regexp // nil: the literal says all
	literal    string
	bytes      []byte // the literal
	begin, end bool   // the literal is anchored
	cost       int64  // instructions
}

// compilePattern compiles a regular expression of at most so many instructions, estimated before they
// are made: (a{1000}){...} is short to write.
func compilePattern(s string, most int) (*pattern, error) {
	tree, err := syntax.Parse(s, syntax.Perl)
	if err != nil {
		var e *syntax.Error
		if errors.As(err, &e) {
			return nil, fmt.Errorf("no regular expression: %s: %s", e.Code, shown(e.Expr))
		}
		return nil, fmt.Errorf("no regular expression: %s", shown(err.Error()))
	}
	p := &pattern{cost: int64(instructions(tree))}
	if p.cost > int64(most) {
		return nil, fmt.Errorf("the regular expressions of a query are larger than %d instructions: repeat less", MaxRegexp)
	}
	rest := p.simplify(tree)
	switch {
	case len(rest) == 0:
		return p, nil
	case len(rest) == 1 && rest[0].Op == syntax.OpLiteral && rest[0].Flags&syntax.FoldCase == 0:
		p.literal = string(rest[0].Rune)
		p.bytes = []byte(p.literal)
		return p, nil
	}
	if p.re, err = regexp.Compile(s); err != nil {
		return nil, fmt.Errorf("no regular expression: %s", shown(err.Error()))
	}
	return p, nil
}

// simplify takes anchors from the ends of a sequence, and repetitions that may be empty from ends that
// are not anchored: the search begins and ends anywhere. It gives the rest of the sequence.
func (p *pattern) simplify(tree *syntax.Regexp) []*syntax.Regexp {
	parts := []*syntax.Regexp{tree}
	switch tree.Op {
	case syntax.OpConcat:
		parts = tree.Sub
	case syntax.OpEmptyMatch:
		return nil
	}
	if parts[0].Op == syntax.OpBeginText {
		p.begin, parts = true, parts[1:]
	}
	if n := len(parts); n > 0 && parts[n-1].Op == syntax.OpEndText {
		p.end, parts = true, parts[:n-1]
	}
	for !p.begin && len(parts) > 0 && parts[0].Op == syntax.OpStar {
		parts = parts[1:]
	}
	for !p.end && len(parts) > 0 && parts[len(parts)-1].Op == syntax.OpStar {
		parts = parts[:len(parts)-1]
	}
	return parts
}

// matches pays for a search and makes it; it does not where the budget does not reach.
func (p *pattern) matches(e *env, s string) bool {
	switch {
	case !p.afford(e, len(s)):
		return false
	case p.re != nil:
		return p.re.MatchString(s)
	}
	if p.end && !p.begin {
		return p.placed(strings.LastIndex(s, p.literal), len(s))
	}
	return p.placed(strings.Index(s, p.literal), len(s))
}

// matchesBytes is matches, for texts in a body.
func (p *pattern) matchesBytes(e *env, s []byte) bool {
	switch {
	case !p.afford(e, len(s)):
		return false
	case p.re != nil:
		return p.re.Match(s)
	}
	if p.end && !p.begin {
		return p.placed(bytes.LastIndex(s, p.bytes), len(s))
	}
	return p.placed(bytes.Index(s, p.bytes), len(s))
}

// placed tells whether the literal, found at a place in so many bytes, lies where the anchors say.
func (p *pattern) placed(at, n int) bool {
	return at >= 0 && (!p.begin || at == 0) && (!p.end || at+len(p.literal) == n)
}

func (p *pattern) afford(e *env, n int) bool {
	cost := int64(1)
	if p.re != nil {
		cost = p.cost
	}
	e.spend(1 + int64(n)*cost/8)
	return !e.exhausted()
}

// instructions estimates the size of a compiled expression, and never less than 1.
func instructions(re *syntax.Regexp) int {
	n := 1 + len(re.Rune)
	for _, sub := range re.Sub {
		n += instructions(sub)
	}
	if re.Op == syntax.OpRepeat {
		n *= max(re.Min, re.Max, 1)
	}
	return min(n, 1<<20) // the product of two stays in an int
}
