// Package suggest finds the known word that a misspelt one was meant to be.
package suggest

import "github.com/agext/levenshtein"

// longest bounds the words that are compared: the distance of two costs the product of their lengths.
const longest = 256

// Nearest returns the known word with the fewest insertions, deletions and substitutions of
// characters to word, the first of equals; "" if none is known. It always names one: whether it is
// near enough to be meant is for people to see. Only the first 256 bytes of word count.
func Nearest(word string, known []string) string {
	word = word[:min(len(word), longest)]
	best, least := "", -1
	for _, k := range known {
		if d := levenshtein.Distance(word, k, nil); least < 0 || d < least {
			best, least = k, d
		}
	}
	return best
}
