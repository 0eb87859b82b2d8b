package audit

import "bytes"

// maxDepth is the deepest nesting that an event may have; jsontext goes no deeper.
const maxDepth = 10_000

// containerKeys are the keys of a top-level object whose array holds the items: EventList and webhook
// batches, CloudWatch Logs (API and subscription), Azure Event Hubs.
var containerKeys = [...]string{"items", "events", "logEvents", "records"}

// splitter cuts a stream of text into items without holding more than one of them: top-level values,
// the elements of a top-level array, or the elements of a container in a top-level object. It follows
// strings and brackets only; whether an item is JSON is for the decoder to say.
type splitter struct {
	limit int                           // bytes of one item
	emit  func(item []byte, whole bool) // item is valid until the next call; not whole: longer than limit
	flat  bool                          // count values only: no containers, no items

	depth  int    // open brackets
	base   int    // the depth at which items stand
	values int    // top-level values that ended
	junk   bool   // something at the top level that is neither object nor array: nothing more is read
	lists  int    // lists whose elements were items
	buf    []byte // the current item so far
	taking bool   // an item is open
	scalar bool   // it is neither object nor array
	over   bool   // it is longer than limit

	inString, escaped bool

	// A container is recognised by the tokens string, colon, bracket at depth 1.
	name  []byte
	token tokenKind
}

type tokenKind uint8

const (
	tokenOther tokenKind = iota
	tokenString
	tokenColon
)

// feed reads on. It may be called with any cut of the text.
func (s *splitter) feed(chunk []byte) {
	from := 0 // start of what the item has in this chunk
	for i := 0; i < len(chunk); i++ {
		if s.junk {
			return
		}
		c := chunk[i]
		if s.inString {
			switch {
			case s.escaped:
				s.escaped = false
			case c == '\\':
				s.escaped = true
			case c == '"':
				s.inString = false
			}
			if s.inString && s.depth == 1 && len(s.name) < 16 {
				s.name = append(s.name, c)
			}
			continue
		}
		switch c {
		case ' ', '\t', '\r', '\n', 0:
			if s.scalar {
				s.end(chunk[from:i])
			}
			continue
		case ',':
			if s.scalar {
				s.end(chunk[from:i])
			}
			s.token = tokenOther
			continue
		}
		if closing := c == '}' || c == ']'; closing {
			if s.scalar {
				s.end(chunk[from:i])
			}
			s.close(chunk, &from, i)
			continue
		}
		if !s.taking && (s.depth == s.base && (s.depth > 0 || c == '{')) {
			s.taking, s.scalar, s.over = true, c != '{' && c != '[', false
			s.buf = s.buf[:0]
			from = i
		}
		s.open(c)
		if !s.taking {
			from = i + 1
		}
	}
	if s.taking {
		s.take(chunk[from:])
	}
}

// open handles any character that starts something.
func (s *splitter) open(c byte) {
	switch c {
	case '"':
		if s.depth == 0 {
			s.junk = true
			return
		}
		s.inString = true
		s.name = s.name[:0]
		s.token = tokenString
		return
	case ':':
		if s.token == tokenString {
			s.token = tokenColon
			return
		}
	case '{':
		s.depth++
	case '[':
		s.depth++
		if s.flat {
			break
		}
		if s.depth == 1 { // a top-level array
			s.base = 1
			s.lists++
		} else if s.depth == 2 && s.base == 0 && s.token == tokenColon && isContainer(s.name) {
			s.base, s.taking = 2, false
			s.lists++
		}
	default:
		if s.depth == 0 {
			s.junk = true
		}
	}
	s.token = tokenOther
}

// close handles the bracket chunk[i].
func (s *splitter) close(chunk []byte, from *int, i int) {
	s.token = tokenOther
	if s.depth == 0 {
		s.junk = true
		return
	}
	s.depth--
	switch {
	case s.taking && s.depth == s.base:
		s.end(chunk[*from : i+1])
		*from = i + 1
	case s.depth < s.base: // the list ended
		// In an object other members may follow, even a second container; nothing of it is an item.
		s.base = 0
	}
	if s.depth == 0 {
		s.values++
		s.base = 0
	}
}

func isContainer(name []byte) bool {
	for _, k := range containerKeys {
		if string(name) == k {
			return true
		}
	}
	return false
}

// take adds text to the item.
func (s *splitter) take(text []byte) {
	if s.flat || s.over {
		return
	}
	if len(s.buf)+len(text) > s.limit {
		s.over = true
		s.buf = s.buf[:0]
		return
	}
	s.buf = append(s.buf, text...)
}

// end completes the item with text.
func (s *splitter) end(text []byte) {
	s.take(text)
	s.taking, s.scalar = false, false
	if !s.flat {
		s.emit(s.buf, !s.over)
	}
}

// tear gives up the item, as if it had never begun; what comes next may be a new one.
func (s *splitter) tear() {
	s.depth = s.base
	s.taking, s.scalar, s.inString, s.escaped = false, false, false, false
	s.token = tokenOther
}

// Members walks the members of a JSON object without a bound on nesting: name quoted, value raw, both as
// they stand in text. It stops when yield says so. It reports whether the text is an object as far as it
// went; values are not checked, so text should be known to be valid JSON, as the bodies of events are.
func Members(text []byte, yield func(name, value []byte) bool) bool {
	i := skipSpace(text, 0)
	if i >= len(text) || text[i] != '{' {
		return false
	}
	i = skipSpace(text, i+1)
	if i < len(text) && text[i] == '}' {
		return skipSpace(text, i+1) == len(text)
	}
	for {
		start := i
		if i >= len(text) || text[i] != '"' {
			return false
		}
		i = skipValue(text, i)
		name := text[start:i]
		i = skipSpace(text, i)
		if i >= len(text) || text[i] != ':' {
			return false
		}
		start = skipSpace(text, i+1)
		i = skipValue(text, start)
		value := bytes.TrimRight(text[start:i], " \t\r\n")
		if len(value) == 0 {
			return false
		}
		if !yield(name, value) {
			return true
		}
		i = skipSpace(text, i)
		if i >= len(text) {
			return false
		}
		switch text[i] {
		case '}':
			return skipSpace(text, i+1) == len(text)
		case ',':
			i = skipSpace(text, i+1)
		default:
			return false
		}
	}
}

func skipSpace(text []byte, i int) int {
	for i < len(text) && (text[i] == ' ' || text[i] == '\t' || text[i] == '\r' || text[i] == '\n') {
		i++
	}
	return i
}

// skipValue gives the end of the value that starts at i.
func skipValue(text []byte, i int) int {
	depth := 0
	for i < len(text) {
		switch text[i] {
		case '"':
			i = skipString(text, i)
			if depth == 0 {
				return i
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case ',':
			if depth == 0 {
				return i
			}
		}
		i++
	}
	return len(text)
}

// skipString gives the end of the string whose opening quote is at i.
func skipString(text []byte, i int) int {
	for i++; i < len(text); {
		n := bytes.IndexByte(text[i:], '"')
		if n < 0 {
			break
		}
		escapes := 0
		for escapes < n && text[i+n-1-escapes] == '\\' {
			escapes++
		}
		if i += n + 1; escapes%2 == 0 {
			return i
		}
	}
	return len(text)
}

// depth is the deepest nesting of text.
func depth(text []byte) int {
	deepest, now := 0, 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			for i++; i < len(text) && text[i] != '"'; i++ {
				if text[i] == '\\' {
					i++
				}
			}
		case '{', '[':
			now++
			deepest = max(deepest, now)
		case '}', ']':
			now--
		}
	}
	return deepest
}

// object writes an object of the members of text that keep wants; nil if text is no object.
func object(dst, text []byte, keep func(name, value []byte) bool) []byte {
	dst = append(dst, '{')
	empty := true
	ok := Members(text, func(name, value []byte) bool {
		if keep(name, value) {
			if !empty {
				dst = append(dst, ',')
			}
			empty = false
			dst = append(dst, name...)
			dst = append(dst, ':')
			dst = append(dst, value...)
		}
		return true
	})
	if !ok {
		return nil
	}
	return append(dst, '}')
}

// without gives text less the member key.
func without(text []byte, key string) []byte {
	return object(nil, text, func(name, _ []byte) bool { return unquote(name) != key })
}

// withoutDeep gives text less the members that are nested too deep, and their keys.
func withoutDeep(text []byte) (shallow []byte, lost []string) {
	shallow = object(nil, text, func(name, value []byte) bool {
		if depth(value)+1 <= maxDepth {
			return true
		}
		lost = append(lost, printable(unquote(name)))
		return false
	})
	if shallow == nil {
		return nil, nil
	}
	return shallow, lost
}
