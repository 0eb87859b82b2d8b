package truth

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// normaliser takes away what the recording put into the log to know its truth: stamps in user agents,
// and tokens in names, labels and annotations.
type normaliser struct {
	words   map[string]word
	phrases [][2][]byte
}

type word struct {
	stamp bool
	value string // what stands for a token that is a value of its own
}

// taintKey is the annotation by which a change of a pod template carries its token onward, and what is
// published in its place.
const (
	taintKey     = "testbed/taint"
	publishedKey = "example.org/revision"
)

// taintValue is what comes before the token in the annotation's value.
var taintValue = []byte(`"t-`)

// newNormaliser knows the stamps and tokens of a journal. paths are folders of the recording machine
// that may show in the log.
func newNormaliser(j *Journal, paths ...string) *normaliser {
	n := &normaliser{words: make(map[string]word)}
	for k, c := range j.Commands {
		if c.Token != "" {
			// A rollout must show another value than the one before, but not which rollout it was.
			n.words[c.Token] = word{value: fmt.Sprintf("r%d", k%10)}
		}
		for _, name := range c.Names {
			if token := tokenOf(name); token != "" {
				n.words[token] = word{value: fmt.Sprintf("r%d", k%10)}
			}
		}
	}
	for _, c := range j.Commands {
		n.words[c.Stamp] = word{stamp: true}
	}
	for _, s := range j.Harness {
		n.words[s] = word{stamp: true}
	}
	for _, pair := range [][2]string{
		{taintKey, publishedKey},
		{strings.ReplaceAll(taintKey, "/", "~1"), strings.ReplaceAll(publishedKey, "/", "~1")},
	} {
		n.phrases = append(n.phrases, [2][]byte{[]byte(pair[0]), []byte(pair[1])})
	}
	for _, p := range paths {
		if p != "" {
			n.phrases = append(n.phrases, [2][]byte{[]byte(p), []byte("/var/lib/kubelet")})
		}
	}
	return n
}

// machine takes the recording machine's name out of the leases of what ran beside the cluster: in a
// cluster an operator would lead under the name of its pod. The name is known from the control plane's
// own leases, which the import masks.
func (n *normaliser) machine(log *Log) {
	type lease struct {
		Holder string `json:"holderIdentity"`
	}
	machines := make(map[string]bool)
	holders := make(map[[2]string]bool) // and whose lease it is
	for _, q := range log.Requests {
		if !strings.HasPrefix(q.Resource, "leases.") || q.answer == nil {
			continue
		}
		var l lease
		decodeInto(q.answer.Spec, &l)
		if m := leader.FindStringSubmatch(l.Holder); m != nil {
			machines[m[1]] = true
		} else if isOperator(q) {
			holders[[2]string{l.Holder, q.worker()}] = true
		}
	}
	for h := range holders {
		if machines[h[0]] {
			n.phrases = append(n.phrases, [2][]byte{[]byte(`"holderIdentity":"` + h[0] + `"`), []byte(`"holderIdentity":"` + h[1] + `-0"`)})
		}
	}
}

var leader = regexp.MustCompile(`^(.+)_[0-9a-f]{8}-[0-9a-f-]{27}$`)

// tokenOf is what a recorded name has more than the logical one: "-" and the token, at its end or before
// a suffix of its kind. Empty: nothing.
func tokenOf(n Name) string {
	more := len(n.Recorded) - len(n.Logical)
	for at := 0; more > 1 && at <= len(n.Logical); at++ {
		if n.Recorded[at] == '-' && n.Recorded[:at] == n.Logical[:at] && n.Recorded[at+more:] == n.Logical[at:] {
			if token := n.Recorded[at+1 : at+more]; !strings.ContainsFunc(token, func(r rune) bool { return !isWordByte(byte(r)) }) {
				return token
			}
		}
	}
	return ""
}

// appendLine appends a line of the log without stamps and tokens.
func (n *normaliser) appendLine(dst, line []byte) []byte {
	for _, p := range n.phrases {
		if bytes.Contains(line, p[0]) {
			line = bytes.ReplaceAll(line, p[0], p[1])
		}
	}
	for i := 0; i < len(line); {
		if !isWordByte(line[i]) {
			dst = append(dst, line[i])
			i++
			continue
		}
		end := i
		for end < len(line) && isWordByte(line[end]) {
			end++
		}
		w, known := n.words[string(line[i:end])]
		switch before := lastByte(dst); {
		case !known:
			dst = append(dst, line[i:end]...)
		case !w.stamp && bytes.HasSuffix(dst, taintValue):
			dst = append(dst[:len(dst)-len("t-")], w.value...)
		case before == '-' || w.stamp && before == ' ':
			dst = dst[:len(dst)-1]
		case w.stamp:
			dst = append(dst, line[i:end]...) // not where stamps are put: it is something else
		default:
			dst = append(dst, w.value...)
		}
		i = end
	}
	return dst
}

func isWordByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c >= 'A' && c <= 'Z'
}

func lastByte(b []byte) byte {
	if len(b) == 0 {
		return 0
	}
	return b[len(b)-1]
}

// left are the tokens and stamps that still show in a line, sorted.
func (n *normaliser) left(line []byte) []string {
	var found []string
	eachWord(line, func(word []byte) {
		if _, ok := n.words[string(word)]; ok && !slices.Contains(found, string(word)) {
			found = append(found, string(word))
		}
	})
	slices.Sort(found)
	return found
}

// eachWord calls f with every longest run of letters and digits.
func eachWord(line []byte, f func(word []byte)) {
	for i := 0; i < len(line); i++ {
		if !isWordByte(line[i]) {
			continue
		}
		end := i
		for end < len(line) && isWordByte(line[end]) {
			end++
		}
		f(line[i:end])
		i = end
	}
}
