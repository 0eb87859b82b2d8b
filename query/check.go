package query

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/agext/levenshtein"
	"github.com/alecthomas/participle/v2/lexer"

	"k8ntext/dataset/label"
	"k8ntext/suggest"
)

// checker turns a syntax tree into conditions, or says what is wrong with it.
type checker struct {
	now     time.Time
	space   *label.Space
	fields  []field
	aliases map[string]string

	terms        int // so far
	instructions int // of regular expressions, so far
	within       string
}

func (c *checker) expression(x *expression) (condition, error) {
	var either disjoined
	for _, t := range x.Terms {
		var both conjoined
		for _, f := range t.Factors {
			cond, err := c.factor(f)
			if err != nil {
				return nil, err
			}
			both = append(both, cond)
		}
		either = append(either, both.simplified())
	}
	if len(either) == 1 {
		return either[0], nil
	}
	return either, nil
}

func (c *checker) factor(f *factor) (condition, error) {
	var cond condition
	var err error
	if f.Group != nil {
		cond, err = c.expression(f.Group)
	} else {
		cond, err = c.comparison(f.Condition)
	}
	if err == nil && len(f.Nots)%2 == 1 {
		cond = negated{cond}
	}
	return cond, err
}

func (c *checker) comparison(x *comparison) (condition, error) {
	if c.terms++; c.terms > MaxTerms {
		return nil, errorAt(x.First.Pos, "", "more than %d comparisons and functions", MaxTerms)
	}
	if len(x.Rest) == 0 {
		return c.alone(x.First)
	}
	operands := make([]term, 1, 3)
	var err error
	if operands[0], err = c.operand(x.First); err != nil {
		return nil, err
	}
	for _, l := range x.Rest {
		o, err := c.operand(l.Operand)
		if err != nil {
			return nil, err
		}
		operands = append(operands, o)
	}
	switch len(x.Rest) {
	case 1:
		return c.compare(operands[0], x.Rest[0], operands[1])
	case 2:
		return c.between(operands, x.Rest)
	}
	return nil, errorAt(x.Rest[2].Pos, "join comparisons with and", "a chain of more than two comparisons")
}

// alone checks a condition that is no comparison.
func (c *checker) alone(o *operand) (condition, error) {
	if o.Call != nil {
		switch o.Call.Function {
		case "exists":
			p := o.Call.only().path()
			if p == nil {
				return nil, errorAt(o.Pos, "write exists(objectRef.namespace)", "exists asks for a path")
			}
			t, err := c.path(o.Call.only().Pos, p)
			if err != nil {
				return nil, err
			}
			return existing{t.from}, nil
		case "any", "all":
			inner, err := c.each(o)
			if err != nil {
				return nil, err
			}
			if o.Call.Function == "any" {
				return some{inner}, nil
			}
			return every{inner}, nil
		}
	}
	t, err := c.operand(o)
	if err != nil {
		return nil, err
	}
	hint := "compare it, as in " + t.source + ` == "..."`
	switch {
	case o.Call != nil && o.Call.Function == "count":
		hint = "compare it, as in count(...) > 3"
	case t.pattern != nil:
		hint = "write PATH == regexp(...)"
	case t.constant():
		hint = "compare it with a path"
	case t.kind == dynamic || t.kind == object:
		hint = fmt.Sprintf("write exists(%s), or compare it", t.source)
	case t.kind == number:
		hint = fmt.Sprintf("compare it, as in %s > 3", t.source)
	case t.kind == moment:
		hint = fmt.Sprintf("compare it, as in %s >= now-1h", t.source)
	}
	return nil, errorAt(o.Pos, hint, "%s alone is no condition", t.source)
}

// only is the operand that an argument consists of, nil if it is more than that.
func (x *call) only() *operand {
	if len(x.Argument.Terms) == 1 && len(x.Argument.Terms[0].Factors) == 1 {
		if f := x.Argument.Terms[0].Factors[0]; len(f.Nots) == 0 && f.Condition != nil && len(f.Condition.Rest) == 0 {
			return f.Condition.First
		}
	}
	return nil
}

func (o *operand) path() *path {
	if o == nil {
		return nil
	}
	return o.Path
}

// each checks the argument of any, all and count.
func (c *checker) each(o *operand) (condition, error) {
	if c.within != "" {
		return nil, errorAt(o.Pos, "take it out, and join both with and", "%s(...) inside %s(...): both speak of each event of the same context",
			o.Call.Function, c.within)
	}
	c.within = o.Call.Function
	defer func() { c.within = "" }()
	return c.expression(o.Call.Argument)
}

// term is a checked operand: a constant, a pattern, or something to read.
type term struct {
	pos     lexer.Position
	source  string // as it is named in messages
	kind    kind
	value   value // a constant
	pattern *pattern
	from    operandReader // nil: a constant or a pattern
	label   bool
}

func (t term) constant() bool { return t.from == nil && t.pattern == nil }

func (c *checker) operand(o *operand) (term, error) {
	t := term{pos: o.Pos}
	fail := func(hint, format string, args ...any) (term, error) {
		return term{}, errorAt(o.Pos, hint, format, args...)
	}
	switch {
	case o.Text != nil:
		s, err := unquote(*o.Text)
		if err != nil {
			return fail("write \\\\ for a backslash, or quote with ` instead", "a text with an unknown escape")
		}
		t.source, t.kind, t.value = shown(s), text, value{kind: text, text: s}
	case o.Number != nil:
		f, err := strconv.ParseFloat(*o.Number, 64)
		if err != nil {
			return fail("", "%s is out of range", shown(*o.Number))
		}
		t.source, t.kind, t.value = *o.Number, number, value{kind: number, number: f}
	case o.Bool != nil:
		t.source, t.kind, t.value = *o.Bool, boolean, value{kind: boolean, truth: *o.Bool == "true"}
	case o.Time != nil:
		at, err := parseTime(*o.Time, c.now)
		if err != nil {
			return fail("", "%v", err)
		}
		t.source, t.kind, t.value = withoutSpace(*o.Time), moment, value{kind: moment, time: at}
	case o.Path != nil:
		return c.path(o.Pos, o.Path)
	default:
		return c.call(o)
	}
	return t, nil
}

func (c *checker) call(o *operand) (term, error) {
	name := o.Call.Function
	t := term{pos: o.Pos, source: name + "(...)"}
	switch name {
	case "count":
		inner, err := c.each(o)
		t.kind, t.from = number, counted{inner}
		return t, err
	case "regexp":
		arg := o.Call.only()
		if arg == nil || arg.Text == nil {
			return t, errorAt(o.Pos, `write regexp(".*controller.*")`, "regexp asks for one text")
		}
		s, err := unquote(*arg.Text)
		if err != nil {
			return t, errorAt(arg.Pos, "write \\\\ for a backslash, or quote the pattern with `", "a text with an unknown escape")
		}
		p, err := compilePattern(s, MaxRegexp-c.instructions)
		if err != nil {
			return t, errorAt(arg.Pos, "", "%v", err)
		}
		c.instructions += int(p.cost)
		t.kind, t.pattern = text, p
		return t, nil
	case "any", "all", "exists":
		return t, errorAt(o.Pos, fmt.Sprintf("write %s, or not %s", t.source, t.source), "%s is a condition and cannot be compared", t.source)
	}
	return t, errorAt(o.Pos, fmt.Sprintf("did you mean %q?", suggest.Nearest(strings.ToLower(name), Functions())), "unknown function %s", shown(name))
}

// path finds what a path reads.
func (c *checker) path(pos lexer.Position, p *path) (term, error) {
	source := p.String()
	fail := func(at lexer.Position, hint, format string, args ...any) (term, error) {
		return term{}, errorAt(at, hint, format, args...)
	}
	// A short name may stand for a member of a body: a field and rest.
	words, steps := c.expand(p.Name), p.Steps
	n := len(words)
	f := c.field(strings.Join(words, "."))
	for f == nil && n > 1 {
		n--
		f = c.field(strings.Join(words[:n], "."))
	}
	known, rest := strings.Join(words[:n], "."), words[n:]
	for len(steps) > 0 && steps[0].Name != nil && len(rest) == 0 {
		longer := c.field(known + "." + *steps[0].Name)
		if longer == nil {
			break
		}
		f, known, steps = longer, longer.name, steps[1:]
	}
	switch {
	case f == nil && len(p.Steps) == 0 && len(source) <= 80:
		hint := fmt.Sprintf("a text is written in quotes, %q", source)
		if name := c.nearest(source); levenshtein.Distance(source, name, nil) <= len(source)/2 {
			hint = fmt.Sprintf("did you mean %q? Else, %s", name, hint)
		}
		return fail(pos, hint, "unknown name %s", shown(source))
	case f == nil:
		return fail(pos, c.meant(source), "unknown name %s", shown(source))
	case f.kind == object && len(steps) > 0:
		return fail(steps[0].Pos, c.meant(source), "%s has no member %s", known, shown(lastName(steps[0])))
	}
	t := term{pos: pos, source: source, kind: f.kind, label: f.label}
	if r := []rune(source); len(r) > 60 {
		t.source = string(r[:60]) + "..."
	}
	switch {
	case f.body != nil:
		member := bodyMember{body: f.body}
		for _, name := range rest {
			member.steps = append(member.steps, step{name: name, index: -1})
		}
		for _, s := range steps {
			b := step{index: -1}
			switch {
			case s.Name != nil:
				b.name = *s.Name
			case s.Key != nil:
				key, err := unquote(*s.Key)
				if err != nil {
					return fail(s.Pos, "write \\\\ for a backslash", "a key with an unknown escape")
				}
				b.name = key
			default:
				n, err := strconv.ParseUint(*s.Index, 10, 31)
				if err != nil {
					return fail(s.Pos, "indices are 0, 1, 2 and so on", "%s is no index", shown(*s.Index))
				}
				b.index = int(n)
			}
			member.steps = append(member.steps, b)
		}
		t.from = member
	case f.entry != nil:
		m := mapEntry{entry: f.entry}
		switch {
		case len(steps) > 1:
			return fail(steps[1].Pos, "", "%s has no members below its keys", known)
		case len(steps) == 1 && steps[0].Index != nil:
			return fail(steps[0].Pos, fmt.Sprintf(`write %s["KEY"]`, known), "%s is asked for by a key, not by a number", known)
		case len(steps) == 1 && steps[0].Name != nil:
			m.key, m.keyed = *steps[0].Name, true
		case len(steps) == 1:
			key, err := unquote(*steps[0].Key)
			if err != nil {
				return fail(steps[0].Pos, "write \\\\ for a backslash", "a key with an unknown escape")
			}
			m.key, m.keyed = key, true
		default:
			t.kind = object
		}
		t.from = m
	case len(steps) > 0:
		return fail(steps[0].Pos, "", "%s is %v and has no members", known, f.kind)
	case f.list != nil:
		t.from = listOf{f.list}
	case f.there != nil:
		t.from = objectOf{f.there}
	case f.text != nil:
		t.from = eventText{f.text}
	case f.time != nil:
		t.from = eventTime{f.time}
	case f.number != nil:
		t.from = numberOf{f.number}
	default:
		t.from = contextText{f.ofContext}
	}
	return t, nil
}

// expand gives the words that the first word of a path stands for.
func (c *checker) expand(name string) []string {
	if c.field(name) != nil {
		return []string{name}
	}
	for short, long := range c.aliases {
		if strings.EqualFold(short, name) {
			return strings.Split(long, ".")
		}
	}
	for _, f := range c.fields {
		if strings.EqualFold(f.name, name) && f.kind != object && f.body == nil {
			return []string{f.name}
		}
	}
	return []string{name}
}

func (c *checker) field(name string) *field {
	i, ok := slices.BinarySearchFunc(c.fields, name, func(f field, name string) int { return strings.Compare(f.name, name) })
	if !ok {
		return nil
	}
	return &c.fields[i]
}

func (c *checker) nearest(name string) string { return suggest.Nearest(name, Names()) }

func (c *checker) meant(name string) string { return fmt.Sprintf("did you mean %q?", c.nearest(name)) }

func lastName(s *pathStep) string {
	switch {
	case s.Name != nil:
		return *s.Name
	case s.Key != nil:
		return *s.Key
	}
	return *s.Index
}

// compare checks a comparison of two operands.
func (c *checker) compare(left term, l *link, right term) (condition, error) {
	op, negate := operators()[l.Op], false
	if op == unequal {
		op, negate = equal, true
	}
	var cond condition
	switch {
	case left.from == nil && right.from == nil:
		return nil, errorAt(left.pos, "name a field on one side, such as username", "both sides of %s are constants", l.Op)
	case left.from != nil && right.from != nil:
		if err := comparable(left, l, right); err != nil {
			return nil, err
		}
		cond = newPair(left.from, op, right.from)
	default:
		if left.from == nil {
			left, right, op = right, left, op.turned()
		}
		t, err := c.test(left, l, op, right)
		if err != nil {
			return nil, err
		}
		cond = newTested(left.from, t)
	}
	if negate {
		cond = negated{cond}
	}
	return cond, nil
}

// between checks a chain a < b < c.
func (c *checker) between(o []term, l []*link) (condition, error) {
	first, second := operators()[l[0].Op], operators()[l[1].Op]
	if !first.less() && !first.greater() || first.less() != second.less() || first.greater() != second.greater() {
		return nil, errorAt(l[1].Pos, "write a <= x < b, or join comparisons with and", "%s and %s make no range", l[0].Op, l[1].Op)
	}
	if o[0].constant() && o[1].from != nil && o[2].constant() {
		// Of a list, the same element has to be in the range.
		low, err := c.test(o[1], l[0], first.turned(), o[0])
		if err != nil {
			return nil, err
		}
		high, err := c.test(o[1], l[1], second, o[2])
		if err != nil {
			return nil, err
		}
		return newTested(o[1].from, low, high), nil
	}
	low, err := c.compare(o[0], l[0], o[1])
	if err != nil {
		return nil, err
	}
	high, err := c.compare(o[1], l[1], o[2])
	if err != nil {
		return nil, err
	}
	return conjoined{low, high}, nil
}

// comparable checks two operands that are both read.
func comparable(left term, l *link, right term) error {
	for _, t := range []term{left, right} {
		if t.kind == object {
			return objectError(t)
		}
	}
	if left.kind != right.kind && left.kind != dynamic && right.kind != dynamic {
		return errorAt(l.Pos, "", "%s is %v, %s is %v", left.source, left.kind, right.source, right.kind)
	}
	return nil
}

func objectError(t term) error {
	return errorAt(t.pos, fmt.Sprintf("write exists(%s), or compare one of its members", t.source), "%s has members and cannot be compared itself", t.source)
}

// test checks the comparison of something read with a constant.
func (c *checker) test(read term, l *link, op operator, right term) (test, error) {
	fail := func(hint, format string, args ...any) (test, error) {
		return test{}, errorAt(right.pos, hint, format, args...)
	}
	if read.kind == object {
		return test{}, objectError(read)
	}
	if right.pattern != nil {
		switch {
		case op != equal:
			return test{}, errorAt(l.Pos, "write == or != before regexp(...)", "%s cannot be used with regexp(...)", l.Op)
		case read.kind != text && read.kind != dynamic:
			return fail("", "%s is %v: regexp(...) is for texts", read.source, read.kind)
		}
		return test{op: equal, pattern: right.pattern}, nil
	}
	v := right.value
	switch {
	case read.label:
		name, err := c.label(right, v)
		if err != nil {
			return test{}, err
		}
		v = value{kind: text, text: name}
	case read.kind == moment && v.kind == text:
		at, err := parseTime(v.text, c.now)
		if err != nil {
			return fail("", "%s is a time: %v", read.source, err)
		}
		v = value{kind: moment, time: at}
	case read.kind == text && v.kind == number:
		return fail(fmt.Sprintf("write %q", right.source), "%s is a text, %s is a number", read.source, right.source)
	case read.kind == number && v.kind == text:
		hint := "write a number without quotes"
		if _, err := strconv.ParseFloat(v.text, 64); err == nil {
			hint = "write " + v.text
		}
		return fail(hint, "%s is a number, %s is a text", read.source, right.source)
	case read.kind != v.kind && read.kind != dynamic:
		return fail("", "%s is %v, %s is %v", read.source, read.kind, right.source, v.kind)
	}
	if v.kind == boolean && op != equal {
		return test{}, errorAt(l.Pos, "write == or !=", "%s cannot be used with %s", l.Op, right.source)
	}
	return test{op: op, value: v}, nil
}

// label gives the words of a label that is written as words or as a number.
func (c *checker) label(t term, v value) (string, error) {
	written := v.text
	switch {
	case v.kind == number:
		written = t.source
	case v.kind != text:
		return "", errorAt(t.pos, `write it as in "delete core/pods (one, namespaced)"`, "%s is no label", t.source)
	}
	if c.space == nil {
		return written, nil
	}
	l, err := c.space.Parse(written)
	if err != nil {
		var names []string
		for _, l := range c.space.Labels() {
			names = append(names, c.space.Describe(l))
		}
		return "", errorAt(t.pos, fmt.Sprintf("did you mean %q?", suggest.Nearest(written, names)), "%s is no label of the log", t.source)
	}
	return c.space.Describe(l), nil
}

// parseTime reads a time of the language.
func parseTime(s string, now time.Time) (time.Time, error) {
	s = withoutSpace(s)
	if rest, ok := strings.CutPrefix(s, "now"); ok {
		d, err := parseOffset(rest)
		if err != nil {
			return time.Time{}, fmt.Errorf("%s is no time: %w", shown(s), err)
		}
		return now.Add(d), nil
	}
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly, "2/1/2006"} {
		if t, err := time.Parse(layout, strings.ToUpper(s)); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%s is no time: write 2026-11-22T05:04:03Z, 2026-11-22, 22/11/2026 or now-1h", shown(s))
}

// maxOffset keeps now-... within the years that a time can be written in.
const maxOffset = 200 * 365 * 24 * time.Hour

// parseOffset reads +1h30m, with days and weeks beside Go's units.
func parseOffset(s string) (time.Duration, error) {
	if s == "" {
		return 0, nil
	}
	sign, rest := 1.0, s[1:]
	switch s[0] {
	case '-':
		sign = -1
	case '+':
	default:
		return 0, fmt.Errorf("write now-1h or now+1h")
	}
	sum := 0.0
	for rest != "" {
		n := len(rest) - len(strings.TrimLeft(rest, "0123456789."))
		unit := rest[n:]
		if i := strings.IndexAny(unit, "0123456789."); i >= 0 {
			unit = unit[:i]
		}
		f, err := strconv.ParseFloat(rest[:n], 64)
		size, ok := map[string]time.Duration{
			"ns": 1, "us": time.Microsecond, "ms": time.Millisecond, "s": time.Second, "m": time.Minute, "h": time.Hour,
			"d": 24 * time.Hour, "w": 7 * 24 * time.Hour,
		}[unit]
		if err != nil || !ok {
			return 0, fmt.Errorf("units are ns, us, ms, s, m, h, d and w")
		}
		sum += f * float64(size)
		rest = rest[n+len(unit):]
	}
	if sum > float64(maxOffset) {
		return 0, fmt.Errorf("more than 200 years from now")
	}
	return time.Duration(sign * sum), nil
}
