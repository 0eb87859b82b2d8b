// Package pseudonym replaces the names in audit logs, consistently: users, groups, namespaces,
// objects, addresses, hosts, images and URLs. What Kubernetes itself calls things stays, so that
// labels, control-plane rules and object identity come out as before.
package pseudonym

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"unicode"

	_ "embed"
)

// Names knows the names of a log and what stands for each. Show it every line with Learn, then
// replace with Replace; a name that was not learned stays.
//
// A name is replaced word by word: "web-6549f4f78d-2lpsv" becomes the pseudonyms of its three words
// with the same hyphens. So a name that begins with another one still does, and what a controller
// appended is still an appendix. A word that the API server or a controller drew at random (5 or 8 to
// 10 letters of their alphabet) becomes another such word. Numbers, versions and the words of
// Kubernetes itself stay: "kube-proxy-x7k2p" changes in its last word only.
//
// Pseudonyms follow from the key: the same word gets the same one in every log that is treated with
// it. Who has the key can find out a guessed name; without it, a pseudonym says nothing but where else
// the word stands.
type Names struct {
	key    []byte
	known  map[string]bool   // words that stay
	listed map[string]Kind   // names that are replaced
	kept   map[string]bool   // names that are not: API groups, kinds and resources of the log
	ips    map[string]string // addresses that were replaced
	longer map[string]int    // by first word: words of the longest listed name
	words  map[string]string // pseudonyms
	taken  map[string]string // and back
	clash  error
}

// Kind says what a name names.
type Kind string

// The kinds of names.
const (
	User   Kind = "user"
	Group  Kind = "group"
	Object Kind = "object" // and namespaces
	Label  Kind = "label"  // of an object: key or value
	Host   Kind = "host"
	Image  Kind = "image"
	Agent  Kind = "agent" // a program

	Address Kind = "address" // on the network
)

//go:embed words.txt
var knownWords string

// New returns a Names without any name. Logs that are to match each other need the same key.
func New(key []byte) *Names {
	n := &Names{
		key: slices.Clone(key), known: make(map[string]bool), listed: make(map[string]Kind), kept: make(map[string]bool), ips: make(map[string]string),
		longer: make(map[string]int), words: make(map[string]string), taken: make(map[string]string),
	}
	for _, line := range strings.Split(knownWords, "\n") {
		if !strings.HasPrefix(line, "#") {
			for _, w := range strings.Fields(line) {
				n.known[w] = true
			}
		}
	}
	return n
}

// Pair is a name with what stands for it.
type Pair struct {
	Kind      Kind   `json:"kind"`
	Name      string `json:"name"`
	Pseudonym string `json:"pseudonym"`
}

// Keep lets words stay, for example the product that everybody knows the log to be about.
func (n *Names) Keep(words ...string) {
	for _, text := range words {
		for _, w := range split(text) {
			n.known[strings.ToLower(text[w.from:w.to])] = true
		}
	}
}

// Mapping lists all names that are replaced, sorted.
func (n *Names) Mapping() []Pair {
	var pairs []Pair
	for name, kind := range n.listed {
		if p := n.addresses(n.text(name)); p != name {
			pairs = append(pairs, Pair{kind, name, p})
		}
	}
	for ip, p := range n.ips {
		pairs = append(pairs, Pair{Address, ip, p})
	}
	slices.SortFunc(pairs, func(a, b Pair) int { return strings.Compare(a.Name, b.Name) })
	return pairs
}

// Err tells whether two words got the same pseudonym, which one in 10^12 pairs does: then another key
// must be taken.
func (n *Names) Err() error { return n.clash }

// list learns a name. Names of known words alone stay, and so do uids and single letters, which say
// nothing and stand everywhere.
func (n *Names) list(kind Kind, name string) {
	name = strings.TrimFunc(name, func(r rune) bool { return !wordRune(r) })
	if len(name) < 2 || len(name) > 1024 || n.listed[name] != "" || uuid.MatchString(name) {
		return
	}
	words := split(name)
	if !slices.ContainsFunc(words, func(w span) bool { return !n.stays(name[w.from:w.to]) }) {
		return
	}
	n.listed[name] = kind
	first := name[words[0].from:words[0].to]
	n.longer[first] = max(n.longer[first], len(words))
}

// text replaces the listed names in a text, at each place the longest.
func (n *Names) text(s string) string {
	words := split(s)
	var b strings.Builder
	last := 0
	for i := 0; i < len(words); {
		count := n.listedAt(s, words[i:])
		if count == 0 {
			i++
			continue
		}
		for _, w := range words[i : i+count] {
			b.WriteString(s[last:w.from])
			b.WriteString(n.word(s[w.from:w.to]))
			last = w.to
		}
		i += count
	}
	if last == 0 {
		return s
	}
	return b.String() + s[last:]
}

// listedAt is the number of words of the longest listed name that begins with the first word.
func (n *Names) listedAt(s string, words []span) int {
	for count := min(n.longer[s[words[0].from:words[0].to]], len(words)); count > 0; count-- {
		if name := s[words[0].from:words[count-1].to]; n.listed[name] != "" && !n.kept[name] {
			return count
		}
	}
	return 0
}

// span is a word's place in a text.
type span struct{ from, to int }

// split finds the words of a text: runs of letters and digits.
func split(s string) []span {
	var words []span
	from := -1
	for i, r := range s {
		switch {
		case wordRune(r) && from < 0:
			from = i
		case !wordRune(r) && from >= 0:
			words = append(words, span{from, i})
			from = -1
		}
	}
	if from >= 0 {
		words = append(words, span{from, len(s)})
	}
	return words
}

func wordRune(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }

// stays tells whether a word is not replaced: a number, a version, a word of Kubernetes.
func (n *Names) stays(w string) bool {
	bare := strings.TrimPrefix(w, "v")
	if strings.Trim(bare, "0123456789") == "" {
		return true
	}
	if v := strings.FieldsFunc(bare, unicode.IsDigit); len(v) == 1 && (v[0] == "alpha" || v[0] == "beta") && bare != w {
		return true // v1beta1
	}
	return n.known[strings.ToLower(w)]
}

// word is the pseudonym of a word.
func (n *Names) word(w string) string {
	if p, ok := n.words[w]; ok {
		return p
	}
	p := w
	switch {
	case n.stays(w):
	case generated(w):
		for p = n.shuffle(w); n.stays(p); {
			p = n.shuffle(p)
		}
	default:
		p = n.spoken(w)
	}
	n.words[w] = p
	if other, ok := n.taken[p]; ok && other != w {
		n.clash = fmt.Errorf("two words got the pseudonym %q: take another key", p)
	}
	n.taken[p] = w
	return p
}

func (n *Names) mac(purpose byte, text string) []byte {
	h := hmac.New(sha256.New, n.key)
	h.Write([]byte{purpose})
	h.Write([]byte(text))
	return h.Sum(nil)
}

// spoken makes a word of six syllables, one of 10^12.
func (n *Names) spoken(w string) string {
	const consonants, vowels = "bcdfghjklmnpqrstvwxz", "aeiou"
	number := binary.BigEndian.Uint64(n.mac('w', w))
	var b [12]byte
	for i := 0; i < len(b); i += 2 {
		b[i], b[i+1] = consonants[number%20], vowels[number/20%5]
		number /= 100
	}
	return string(b[:])
}

// alphabet is what Kubernetes draws generated names from (apimachinery, util/rand).
const alphabet = "bcdfghjklmnpqrstvwxz2456789"

// generated tells whether a word looks drawn by Kubernetes: the 5 letters of generateName, the up to
// 10 of a template's hash.
func generated(w string) bool {
	switch len(w) {
	case 5, 8, 9, 10:
		return strings.Trim(w, alphabet) == ""
	}
	return false
}

// shuffle is a keyed permutation of the words of w's length over the alphabet: one of the next even
// number of bits, repeated until the result is such a word (cycle walking: Black and Rogaway, Ciphers
// with arbitrary finite domains, 2002).
func (n *Names) shuffle(w string) string {
	size, value := uint64(1), uint64(0)
	for i := range len(w) {
		size *= uint64(len(alphabet))
		value = value*uint64(len(alphabet)) + uint64(strings.IndexByte(alphabet, w[i]))
	}
	bits := uint(2)
	for uint64(1)<<bits < size {
		bits += 2
	}
	for again := true; again; again = value >= size {
		value = n.permute(byte(len(w)), value, bits)
	}
	b := make([]byte, len(w))
	for i := len(b) - 1; i >= 0; i-- {
		b[i] = alphabet[value%uint64(len(alphabet))]
		value /= uint64(len(alphabet))
	}
	return string(b)
}

// permute is a keyed permutation of the numbers of an even count of bits: a Feistel network of eight
// rounds.
func (n *Names) permute(purpose byte, value uint64, bits uint) uint64 {
	half := bits / 2
	mask := uint64(1)<<half - 1
	left, right := value>>half, value&mask
	for round := range byte(8) {
		sum := n.mac('p', string([]byte{purpose, byte(bits), round})+string(binary.BigEndian.AppendUint64(nil, right)))
		left, right = right, left^binary.BigEndian.Uint64(sum)&mask
	}
	return left<<half | right
}
