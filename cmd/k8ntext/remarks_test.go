package main

import "testing"

func TestPrintable(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"", ""},
		{"plain text, größer, 日本", "plain text, größer, 日本"},
		{"al\x1b[31mice", `al\x1b[31mice`},
		{"two\nlines\tand\rmore", `two\nlines\tand\rmore`},
		{"user\u202egnp.exe", `user\u202egnp.exe`}, // shown reversed by a terminal
		{"zero\u200bwidth\u2028line", `zero\u200bwidth\u2028line`},
		{"c1 \u009b31m", `c1 \u009b31m`},
		{"a 'quote' and \\x1b", "a 'quote' and \\x1b"},
	} {
		if got := printable(test.text); got != test.want {
			t.Errorf("printable(%q) = %q, want %q", test.text, got, test.want)
		}
	}
}
