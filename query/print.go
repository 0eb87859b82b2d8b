package query

import (
	"strconv"
	"strings"
)

// print writes the canonical form: single spaces, double quotes, the parentheses that were written.
func (x *expression) print(b *strings.Builder) {
	for i, t := range x.Terms {
		if i > 0 {
			b.WriteString(" or ")
		}
		for j, f := range t.Factors {
			if j > 0 {
				b.WriteString(" and ")
			}
			f.print(b)
		}
	}
}

func (f *factor) print(b *strings.Builder) {
	for range f.Nots {
		b.WriteString("not ")
	}
	if f.Group != nil {
		b.WriteByte('(')
		f.Group.print(b)
		b.WriteByte(')')
		return
	}
	f.Condition.First.print(b)
	for _, l := range f.Condition.Rest {
		b.WriteString(" " + l.Op + " ")
		l.Operand.print(b)
	}
}

func (o *operand) print(b *strings.Builder) {
	switch {
	case o.Text != nil:
		b.WriteString(quoted(*o.Text))
	case o.Number != nil:
		b.WriteString(*o.Number)
	case o.Time != nil:
		b.WriteString(withoutSpace(*o.Time))
	case o.Bool != nil:
		b.WriteString(*o.Bool)
	case o.Call != nil:
		b.WriteString(o.Call.Function)
		b.WriteByte('(')
		o.Call.Argument.print(b)
		b.WriteByte(')')
	default:
		o.Path.print(b)
	}
}

func (p *path) print(b *strings.Builder) {
	b.WriteString(p.Name)
	for _, s := range p.Steps {
		switch {
		case s.Name != nil:
			b.WriteString("." + *s.Name)
		case s.Key != nil:
			b.WriteString("[" + quoted(*s.Key) + "]")
		default:
			b.WriteString("[" + *s.Index + "]")
		}
	}
}

func (p *path) String() string {
	var b strings.Builder
	p.print(&b)
	return b.String()
}

func quoted(raw string) string {
	text, err := unquote(raw)
	if err != nil {
		return raw
	}
	return strconv.Quote(text)
}

// unquote gives the text that a quoted token stands for.
func unquote(raw string) (string, error) {
	quote, rest := raw[0], raw[1:len(raw)-1]
	if quote == '`' {
		return rest, nil
	}
	var b strings.Builder
	for rest != "" {
		r, multibyte, tail, err := strconv.UnquoteChar(rest, quote)
		if err != nil {
			return "", err
		}
		if multibyte {
			b.WriteRune(r)
		} else {
			b.WriteByte(byte(r))
		}
		rest = tail
	}
	return b.String(), nil
}

func withoutSpace(s string) string { return strings.Join(strings.Fields(s), "") }
