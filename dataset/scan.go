package dataset

import (
	"bufio"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
)

// Finding is something in a corpus that looks like a secret. It does not repeat the secret.
type Finding struct {
	Line int    // raw line, from 1
	Path string // dotted path of the value
	Kind string // what it looks like
}

func (f Finding) String() string {
	return fmt.Sprintf("line %d: %s looks like %s", f.Line, f.Path, f.Kind)
}

// maxScanLine bounds a raw line of a corpus; a longer one ends the scan with an error.
const maxScanLine = 64 << 20

// ScanSecrets looks for secrets in JSON lines. It is the proof of [Masker] and shares nothing with it
// but the placeholders: it decodes lines instead of cutting them, judges Secrets by what may stand in
// them instead of what must not, and beside the known forms (web tokens by their decoded header, PEM by
// what follows its first line, DER by its first bytes) reports any long text that is too random to be
// a name. It returns all findings, in order.
func ScanSecrets(ctx context.Context, r io.Reader) ([]Finding, error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 1<<20), maxScanLine)
	var s scan
	for s.line = 1; lines.Scan(); s.line++ {
		if s.line%256 == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if len(lines.Bytes()) == 0 {
			continue
		}
		var v any
		if err := json.Unmarshal(lines.Bytes(), &v); err != nil {
			s.report([]string{"the line"}, "something that is not JSON, so that nobody can tell")
			continue
		}
		s.value(v, nil, false)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("scan for secrets: line %d: %w", s.line, err)
	}
	return s.findings, nil
}

type scan struct {
	line     int
	findings []Finding
}

func (s *scan) report(path []string, kind string) {
	s.findings = append(s.findings, Finding{s.line, strings.Join(path, "."), kind})
}

// value scans what stands at path. Within a Secret, or a request about Secrets, inSecret is true.
func (s *scan) value(v any, path []string, inSecret bool) {
	switch v := v.(type) {
	case string:
		s.text(v, path)
	case []any:
		for _, x := range v {
			s.value(x, path, inSecret)
		}
	case map[string]any:
		if kind, _ := v["kind"].(string); strings.HasPrefix(kind, "Secret") {
			inSecret = true
		}
		if ref, _ := v["objectRef"].(map[string]any); ref["resource"] == "secrets" {
			inSecret = true
		}
		for _, key := range sortedMap(v) {
			x, here := v[key], append(path[:len(path):len(path)], key)
			switch {
			case inSecret && (strings.EqualFold(key, "data") || strings.EqualFold(key, "stringData")):
				if !onlyPlaceholders(x) {
					s.report(here, "data of a Secret")
				}
				continue
			case inSecret && key == "value" && v["op"] != nil && strings.Contains(strings.ToLower(fmt.Sprint(v["path"])), "data/") &&
				!strings.HasPrefix(fmt.Sprint(v["path"]), "/metadata"):
				if !onlyPlaceholders(x) {
					s.report(here, "a patch of a Secret's data")
				}
				continue
			case key == "holderIdentity":
				if id, _ := x.(string); namesMachine(id) {
					s.report(here, "the name of the recording machine")
					continue
				}
			case key == "token" || strings.EqualFold(key, "password") || key == "client-key-data":
				if text, ok := x.(string); ok && text != "" && !onlyPlaceholders(text) {
					s.report(here, "a credential by its key")
					continue
				}
			}
			s.value(x, here, inSecret)
		}
	}
}

func sortedMap(m map[string]any) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func onlyPlaceholders(v any) bool {
	switch v := v.(type) {
	case string:
		return v == "" || v == maskedText || v == maskedData || v == maskedToken
	case float64:
		return v == 0
	case []any:
		return !slices.ContainsFunc(v, func(x any) bool { return !onlyPlaceholders(x) })
	case map[string]any:
		for _, x := range v {
			if !onlyPlaceholders(x) {
				return false
			}
		}
	}
	return true
}

// namesMachine tells whether a lease's holder is MACHINE_UUID with a name that was not made neutral. A
// node of the cluster, which keeps its name, renews its lease under the bare name.
func namesMachine(id string) bool {
	machine, _, ok := strings.Cut(id, "_")
	return ok && !strings.HasPrefix(machine, "host-") && !strings.HasPrefix(machine, "apiserver-")
}

func (s *scan) text(text string, path []string) {
	if len(text) < 12 {
		return
	}
	if text[0] == '{' || text[0] == '[' {
		var v any
		if json.Unmarshal([]byte(text), &v) == nil {
			s.value(v, path, false)
			return
		}
	}
	for rest := text; ; {
		_, after, ok := strings.Cut(rest, "-----BEGIN ")
		if !ok {
			break
		}
		_, body, _ := strings.Cut(after, "-----")
		if letters := strings.Map(dropSpace, body[:min(len(body), 64)]); !strings.HasPrefix(letters, maskedData+"-----END") {
			s.report(path, "a PEM block")
		}
		rest = after
	}
	lower := strings.ToLower(text)
	for _, mark := range []string{"-key-data:", "akia", "ghp_", "glpat-", "xoxb-", "bearer "} {
		_, after, ok := strings.Cut(lower, mark)
		after = strings.TrimLeft(after, ` "`)
		if !ok || len(after) < 16 || strings.HasPrefix(after, strings.ToLower(maskedText)) || strings.HasPrefix(after, strings.ToLower(maskedData)) {
			continue
		}
		if !strings.Contains(after[:16], " ") { // else it is a sentence
			s.report(path, "a credential after "+mark)
		}
	}
	for from := 0; from < len(text); from++ {
		to := from
		for to < len(text) && isCode(text[to]) {
			to++
		}
		s.word(text[from:to], path)
		from = to
	}
}

func dropSpace(r rune) rune {
	if r == ' ' || r == '\n' || r == '\r' || r == '\t' || r == '\\' {
		return -1
	}
	return r
}

// isCode tells whether a byte occurs in base64, base64url or a web token.
func isCode(b byte) bool {
	switch {
	case 'a' <= b && b <= 'z', 'A' <= b && b <= 'Z', '0' <= b && b <= '9':
		return true
	}
	return b == '+' || b == '/' || b == '_' || b == '-' || b == '.' || b == '='
}

// word scans one run of base64-like letters.
func (s *scan) word(word string, path []string) {
	if len(word) < 16 {
		return
	}
	for part := range strings.SplitSeq(word, ".") {
		switch inside := decodeAny(part); {
		case strings.Contains(inside, `"alg"`) || strings.Contains(inside, `"iss"`) || strings.Contains(inside, `"kid"`):
			s.report(path, "a web token")
			return
		case len(inside) >= 12 && isText(inside):
			s.text(inside, path)
			return
		case len(inside) > 64 && inside[0] == 0x30 && (inside[1] == 0x81 || inside[1] == 0x82):
			s.report(path, "a key or certificate")
			return
		}
	}
	if strings.HasPrefix(word, "eyJ") {
		s.report(path, "a web token")
		return
	}
	if len(word) >= 40 && random(word) {
		s.report(path, "a random text")
	}
}

func isText(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) && !unicode.IsSpace(r) })
}

// decodeAny is the text that a base64 word stands for, or nothing.
func decodeAny(word string) string {
	word = strings.TrimRight(word, "=")
	for _, coding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		if b, err := coding.DecodeString(word); err == nil {
			return string(b)
		}
	}
	return ""
}

// random tells whether a word has all three kinds of letters and an entropy above that of names, paths
// and hex digests: 40 letters of base64 have about 4.8 bits each, paths of the API about 4.
func random(word string) bool {
	var upper, lower, digit, slash bool
	var count [256]int
	for i := range len(word) {
		b := word[i]
		count[b]++
		upper = upper || 'A' <= b && b <= 'Z'
		lower = lower || 'a' <= b && b <= 'z'
		digit = digit || '0' <= b && b <= '9'
		slash = slash || b == '/' || b == '-'
	}
	entropy := 0.0
	for _, n := range count {
		if n > 0 {
			p := float64(n) / float64(len(word))
			entropy -= p * math.Log2(p)
		}
	}
	limit := 4.5
	if slash { // perhaps a path or a name of several words
		limit = 4.9
	}
	return upper && lower && digit && entropy > limit
}
