package query

import (
	"regexp"
	"testing"

	"pgregory.net/rapid"
)

// TestPatternsAreRegexps: what a pattern is simplified to finds what Go's regexp finds.
func TestPatternsAreRegexps(t *testing.T) {
	for _, test := range []struct {
		pattern string
		literal bool
	}{
		{".*controller.*", true},
		{"^system:", true},
		{"system$", true},
		{"^alice$", true},
		{"", true},
		{"^$", true},
		{".*", true},
		{"(?i)alice", false},
		{"^.*alice", false},
		{"a|b", false},
		{"(?m)^alice", false},
	} {
		p, err := compilePattern(test.pattern, MaxRegexp)
		if err != nil {
			t.Fatal(err)
		}
		if (p.re == nil) != test.literal {
			t.Errorf("%q is a literal: %t, want %t", test.pattern, p.re == nil, test.literal)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		pattern := ""
		for _, part := range rapid.SliceOfN(rapid.SampledFrom([]string{"^", "$", ".*", "a*", "a", "b", "ab", ".", "(?:ab)?", `\b`, "b*?", "(?s).", "(a)"}), 0, 6).Draw(t, "parts") {
			pattern += part
		}
		re, err := regexp.Compile(pattern)
		p, err2 := compilePattern(pattern, MaxRegexp)
		if (err == nil) != (err2 == nil) {
			t.Fatalf("%q: %v, %v", pattern, err, err2)
		}
		if err != nil {
			return
		}
		s := rapid.StringOfN(rapid.SampledFrom([]rune("ab \n")), 0, 6, -1).Draw(t, "text")
		if got, want := p.matches(&env{budget: DefaultBudget}, s), re.MatchString(s); got != want {
			t.Fatalf("%q in %q: %t, want %t", pattern, s, got, want)
		}
		if got, want := p.matchesBytes(&env{budget: DefaultBudget}, []byte(s)), re.MatchString(s); got != want {
			t.Fatalf("%q in the bytes %q: %t, want %t", pattern, s, got, want)
		}
	})
}
