package packed

import (
	"strconv"
	"strings"
)

// text codes a string as words, runs of letters and digits, and the signs between them. A word is
// foreseen by the two before it, and by where the string that it is like goes on.
func (m *model) text(s, like string, path uint32) string {
	var out []byte
	one, two := uint32(0), path|1 // the words before
	ahead := splitWords(like)
	next := 0 // in ahead
	missed := uint32(0)
	for at := 0; !m.spoilt(); {
		w, ended := "", false
		if m.encoding {
			if at == len(s) {
				ended = true
			} else {
				w = s[at : at+wordLength(s[at:])]
			}
		}
		// 0: as in the string that it is like; 1: as after the same two words; 2: another; 3: the end; 4: as after
		// the same word
		slot, slot1 := mix(one*31+two, 0x51)>>(32-afterBits), mix(one, path)>>(32-afterBits)
		likely, likely1 := m.wordAt(m.after[slot]), m.wordAt(m.after[slot1])
		similar := ""
		if next < len(ahead) {
			similar = ahead[next]
		}
		state := missed
		if similar != "" {
			state |= 4
		}
		if likely != "" {
			state |= 8
		}
		if likely == similar {
			state |= 16
		}
		if likely1 != "" && likely1 != likely && likely1 != similar {
			state |= 32
		}
		choice := 2
		if m.encoding {
			switch {
			case ended:
				choice = 3
			case w == similar:
				choice = 0
			case w == likely:
				choice = 1
			case w == likely1:
				choice = 4
			}
		}
		choice = m.pick(mix(path^forWord, state), 3, choice)
		switch choice {
		case 3:
			return string(out)
		case 0:
			w = similar
		case 1:
			w = likely
		case 4:
			w = likely1
		default:
			w = m.word(w, one, path)
		}
		if w == "" {
			m.spoil()
			break
		}
		missed = missed<<1&3 | uint32(b2i(choice == 2))
		if next < len(ahead) {
			next++
			if w != similar { // look where it goes on
				for j := max(0, next-3); j < min(len(ahead), next+4); j++ {
					if ahead[j] == w {
						next = j + 1
						break
					}
				}
			}
		}
		no, ok := m.wordNo.get(w)
		if !ok {
			no = uint32(m.words.len())
			m.wordNo.set(w, no)
			m.words.push(w)
		}
		m.after[slot], m.after[slot1] = no+1, no+1
		two, one = one, no+1
		out = append(out, w...)
		at += len(w)
		if m.budget -= len(w); m.budget < 0 {
			m.spoil()
		}
	}
	return string(out)
}

// wordAt is the word of a number, from 1; 0: none.
func (m *model) wordAt(no uint32) string {
	if no == 0 {
		return ""
	}
	return m.words.at(int(no - 1))
}

func alphanumeric(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c >= 'A' && c <= 'Z'
}

// wordLength is the length of the first word of s.
func wordLength(s string) int {
	if !alphanumeric(s[0]) {
		n := 1
		for n < len(s) && n < 8 && s[n] == s[0] {
			n++
		}
		return n
	}
	n := 1
	for n < len(s) && n < 32 && alphanumeric(s[n]) {
		n++
	}
	return n
}

func splitWords(s string) []string {
	var out []string
	for len(s) > 0 {
		n := wordLength(s)
		out = append(out, s[:n])
		s = s[n:]
	}
	return out
}

// nanosOf is the time that a word tells in nanoseconds: 16 digits of base 16, which client-go puts after
// the name of an Event's object.
func nanosOf(w string) (int64, bool) {
	if len(w) != 16 || w[0] < '1' || w[0] > '7' {
		return 0, false
	}
	var v int64
	for i := range len(w) {
		d := strings.IndexByte(hexDigits, w[i])
		if d < 0 {
			return 0, false
		}
		v = v<<4 | int64(d)
	}
	return v, true
}

func nanosText(v int64) string { return strconv.FormatInt(v, 16) }

// word codes a word that was not foreseen: by its number, or by its letters.
func (m *model) word(w string, before, path uint32) string {
	no := uint64(0)
	if m.encoding {
		if x, ok := m.wordNo.get(w); ok {
			no = uint64(x) + 1
		}
	}
	if no = m.ordinal(mixWord, [mixed]uint32{mix(path^forWordNo, 3), mix(forWordNo, before), forWordNo + 1, mix(path^forWordNo, m.kindOf)}, no); no > 0 {
		if no > uint64(m.words.len()) {
			m.spoil()
			return ""
		}
		return m.words.at(int(no - 1))
	}
	if v, is := nanosOf(w); m.flag(mix(path^forNanos, before), is) {
		now := m.clock * 1000
		return nanosText(now + m.signed(&m.probs, path^forNanos+1, v-now))
	}
	n := m.pick(mix(path^forWordLength, 5), 6, len(w)&63)
	out := make([]byte, 0, n)
	a, b := uint32(0), uint32(0)
	for i := range n {
		var c byte
		if m.encoding {
			c = w[i]
		}
		at := uint32(min(n, 12))
		c = byte(m.symbols(mixLetter, [mixed]uint32{
			forLetter ^ mix(path, at), forLetter + 1 ^ mix(b, at&^3), forLetter + 2 ^ mix(a<<8|b, at&^3), forLetter + 3 ^ mix(b<<8|uint32(i), path),
		}, 8, uint32(c)))
		a, b = b, uint32(c)
		out = append(out, c)
	}
	return string(out)
}
