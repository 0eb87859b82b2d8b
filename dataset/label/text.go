package label

import (
	"fmt"
	"strconv"
	"strings"
)

// What Describe writes for labels that are no request to a resource.
const (
	unknownText     = "unknown"
	ignoreText      = "ignored"
	nonResourceText = "nonresource"
)

// Describe says a label in words: "delete apps/replicasets (one, namespaced)". The parts are the
// merged verb, group/resource/subresource ("core" for the group without a name, "example.org/*" for
// any resource of a foreign group), "one" if an object is named, else "unnamed", and "namespaced" if
// a namespace is named, else "cluster". A number that is no label of the space is "invalid N".
func (s *Space) Describe(l Label) string {
	switch {
	case l == Unknown:
		return unknownText
	case l == Ignore:
		return ignoreText
	case !s.Valid(l):
		return "invalid " + strconv.Itoa(int(l))
	case l == s.NonResource():
		return nonResourceText
	}
	if s.binary {
		return describeSender(l)
	}
	t := l.Tuple()
	k := s.kinds[s.byID[[2]int{t.Resource, t.Subresource}]]
	text := verbNames()[t.Verb] + " " + k.group + "/" + k.resource
	if k.sub != "" {
		text += "/" + k.sub
	}
	return text + " (" + singleWord(t.Single) + ", " + namespacedWord(t.Namespaced) + ")"
}

func singleWord(single bool) string {
	if single {
		return "one"
	}
	return "unnamed"
}

func namespacedWord(namespaced bool) string {
	if namespaced {
		return "namespaced"
	}
	return "cluster"
}

// Parse is the inverse of [Space.Describe]; it also takes the number, and any verb that merges into
// one of the five. An error says which part of the text the space does not have.
func (s *Space) Parse(text string) (Label, error) {
	text = strings.TrimSpace(text)
	fail := func(format string, args ...any) (Label, error) {
		return Unknown, fmt.Errorf("label %q: %s", text, fmt.Sprintf(format, args...))
	}
	switch text {
	case "":
		return fail("empty: use a number, or words like %q", "delete apps/replicasets (one, namespaced)")
	case unknownText:
		return Unknown, nil
	case ignoreText:
		return Ignore, nil
	case nonResourceText:
		if s.NonResource() == Unknown {
			return fail("the %s space has no such label", s.name)
		}
		return s.NonResource(), nil
	}
	if n, err := strconv.ParseInt(text, 10, 32); err == nil {
		l := Label(n)
		if l != Unknown && l != Ignore && !s.Valid(l) {
			return fail("no label of the %s space", s.name)
		}
		return l, nil
	}

	if s.binary {
		return parseSender(text)
	}
	head, shape, _ := strings.Cut(text, "(")
	words := strings.Fields(head)
	if len(words) != 2 || !strings.HasSuffix(shape, ")") {
		return fail("want VERB GROUP/RESOURCE[/SUBRESOURCE] (one|unnamed, namespaced|cluster)")
	}
	t := Tuple{Verb: mergedVerb(words[0])}
	if t.Verb == 0 {
		return fail("unknown verb %q: use create, delete, get, update or watch", words[0])
	}
	parts := strings.SplitN(words[1], "/", 3)
	if len(parts) < 2 {
		return fail("%q names no group: write core/%s for a resource of the core group", words[1], words[1])
	}
	a := address{group: parts[0], resource: parts[1]}
	if len(parts) == 3 {
		a.sub = parts[2]
	}
	i, ok := s.byName[a]
	if !ok {
		return fail("the %s space has no resource %q", s.name, words[1])
	}
	t.Resource, t.Subresource = s.kinds[i].id, s.kinds[i].subID
	single, scope, _ := strings.Cut(strings.TrimSuffix(shape, ")"), ",")
	switch single = strings.TrimSpace(single); single {
	case "one":
		t.Single = true
	case "unnamed":
	default:
		return fail("%q is neither one nor unnamed", single)
	}
	switch scope = strings.TrimSpace(scope); scope {
	case "namespaced":
		t.Namespaced = true
	case "cluster":
	default:
		return fail("%q is neither namespaced nor cluster", scope)
	}
	if l := t.Label(); s.Valid(l) {
		return l, nil
	}
	return fail("no API server serves such a request, and the %s space has no label for it", s.name)
}
