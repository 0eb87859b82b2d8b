package suggest

import (
	"strings"
	"testing"
)

func TestNearest(t *testing.T) {
	for _, test := range []struct {
		name, word string
		known      []string
		want       string
	}{
		{"one letter", "corpsu", []string{"name", "corpus", "seed"}, "corpus"},
		{"missing letter", "widow", []string{"embedding", "window"}, "window"},
		{"case counts", "Window", []string{"wind", "window"}, "window"},
		{"first of equals", "ab", []string{"ac", "bb"}, "ac"},
		{"empty word", "", []string{"window", "seed"}, "seed"},
		{"nothing known", "window", nil, ""},
		{"characters, not bytes", "größe", []string{"gro", "groesse", "große"}, "große"},
		{"not UTF-8", "win\xffdow", []string{"seed", "window"}, "window"},
		{"the known word may be empty", "", []string{"a", ""}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := Nearest(test.word, test.known); got != test.want {
				t.Errorf("Nearest(%q, %q) = %q, want %q", test.word, test.known, got, test.want)
			}
		})
	}
}

// TestNearestOfHugeWord would take minutes if the whole word were compared.
func TestNearestOfHugeWord(t *testing.T) {
	known := []string{"seed", "windows" + strings.Repeat("x", 200)}
	if got := Nearest("windows"+strings.Repeat("x", 1<<24), known); got != known[1] {
		t.Errorf("got %q", got)
	}
}
