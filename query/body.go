package query

import (
	"bytes"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"k8ntext/dataset/audit"
)

// step is one step into a body: to a member, or where index is not negative to an element.
type step struct {
	name  string
	index int
}

// bodyMember reads a member of a body where it lies in the text, without decoding the body.
type bodyMember struct {
	body  func(*audit.Event) jsontext.Value
	steps []step
}

func (o bodyMember) visit(e *env, v visitor) bool {
	if e.event == nil {
		return false
	}
	raw := o.body(e.event)
	return len(raw) > 0 && walk(e, raw, o.steps, v, 0)
}

// maxLists bounds lists in lists that are stepped through without being named.
const maxLists = 32

// walk visits what the steps lead to. A list is visited itself, for exists, and then each element.
func walk(e *env, raw []byte, steps []step, v visitor, lists int) bool {
	e.spend(1 + int64(len(raw))/64)
	if e.exhausted() || len(raw) == 0 {
		return false
	}
	if len(steps) == 0 && v.accept(e, value{kind: dynamic, json: raw}) {
		return true
	}
	switch {
	case raw[0] == '{' && len(steps) > 0 && steps[0].index < 0:
		for at := 1; ; {
			key, member, next := nextMember(raw, at)
			if next < 0 {
				return false
			}
			if sameName(key, steps[0].name) {
				return walk(e, member, steps[1:], v, lists)
			}
			at = next
		}
	case raw[0] == '[' && len(steps) > 0 && steps[0].index >= 0:
		at := 1
		for i := 0; ; i++ {
			element, next := nextValue(raw, at)
			if next < 0 {
				return false
			}
			if i == steps[0].index {
				return walk(e, element, steps[1:], v, lists)
			}
			at = separator(raw, next)
		}
	case raw[0] == '[' && lists < maxLists:
		for at := 1; ; {
			element, next := nextValue(raw, at)
			if next < 0 || e.exhausted() {
				return false
			}
			if walk(e, element, steps, v, lists+1) {
				return true
			}
			at = separator(raw, next)
		}
	}
	return false
}

// The functions below move through the text of valid JSON. In text that is not, they end early: they
// give a negative position and never leave it.

// nextMember gives the quoted key and the value of the member at a place in an object, and where the
// next one is.
func nextMember(b []byte, at int) (key, member []byte, next int) {
	key, at = nextValue(b, at)
	if at < 0 || key[0] != '"' {
		return nil, nil, -1
	}
	at = blank(b, at)
	if at >= len(b) || b[at] != ':' {
		return nil, nil, -1
	}
	member, at = nextValue(b, at+1)
	if at < 0 {
		return nil, nil, -1
	}
	return key, member, separator(b, at)
}

// separator skips a comma.
func separator(b []byte, at int) int {
	if at = blank(b, at); at < len(b) && b[at] == ',' {
		at++
	}
	return at
}

// nextValue gives the value at a place, and where it ends; -1: there is none.
func nextValue(b []byte, at int) ([]byte, int) {
	at = blank(b, at)
	if at >= len(b) {
		return nil, -1
	}
	end := -1
	switch b[at] {
	case '"':
		end = textEnd(b, at)
	case '{', '[':
		end = bracketEnd(b, at)
	case '}', ']', ',', ':':
		return nil, -1
	default:
		end = at + 1
		for end < len(b) && !delimits(b[end]) {
			end++
		}
	}
	if end < 0 {
		return nil, -1
	}
	return b[at:end], end
}

// delimits tells whether a number, true, false or null ends before the character.
func delimits(c byte) bool {
	switch c {
	case ' ', '\t', '\r', '\n', ',', ':', ']', '}':
		return true
	}
	return false
}

func blank(b []byte, at int) int {
	for at < len(b) && (b[at] == ' ' || b[at] == '\t' || b[at] == '\r' || b[at] == '\n') {
		at++
	}
	return at
}

// textEnd finds the end of the JSON string that begins at a place.
func textEnd(b []byte, at int) int {
	for i := at + 1; ; {
		n := bytes.IndexByte(b[i:], '"')
		if n < 0 {
			return -1
		}
		i += n
		escapes := 0
		for b[i-1-escapes] == '\\' { // ends at the opening quote
			escapes++
		}
		if i++; escapes%2 == 0 {
			return i
		}
	}
}

func bracketEnd(b []byte, at int) int {
	depth := 0
	for i := at; i < len(b); i++ {
		switch b[i] {
		case '"':
			if i = textEnd(b, i) - 1; i < 0 {
				return -1
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return -1
}

func sameName(key []byte, name string) bool {
	if bytes.IndexByte(key, '\\') < 0 {
		return string(key[1:len(key)-1]) == name
	}
	s, ok := stringOf(key)
	return ok && string(s) == name
}

// stringOf gives the text of a JSON string.
func stringOf(raw jsontext.Value) ([]byte, bool) {
	if len(raw) < 2 || raw[0] != '"' {
		return nil, false
	}
	if bytes.IndexByte(raw, '\\') < 0 {
		return raw[1 : len(raw)-1], true
	}
	s, err := jsontext.AppendUnquote(nil, raw)
	return s, err == nil
}

// scalar decodes a JSON text, number, true or false. What is none has no kind.
func scalar(raw jsontext.Value) value {
	if len(raw) == 0 {
		return value{}
	}
	switch raw[0] {
	case '"':
		if s, ok := stringOf(raw); ok {
			return value{kind: text, text: string(s)}
		}
	case 't', 'f':
		return value{kind: boolean, truth: raw[0] == 't'}
	case '{', '[', 'n':
	default:
		if f, err := strconv.ParseFloat(string(raw), 64); err == nil {
			return value{kind: number, number: f}
		}
	}
	return value{}
}
