package query

import (
	"cmp"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"k8ntext/dataset/audit"
)

// env is what conditions look at while one context is asked.
type env struct {
	context *Context
	event   *audit.Event // the trigger; inside any, all and count each event in turn; may be nil
	budget  int64
	left    value // the left side of a pair
}

func (e *env) spend(units int64) { e.budget -= units }

// exhausted tells that the budget is spent. Then conditions hold or not as it falls, and Match fails.
func (e *env) exhausted() bool { return e.budget < 0 }

// condition is a compiled expression.
type condition interface{ holds(e *env) bool }

type (
	conjoined []condition
	disjoined []condition
	negated   struct{ of condition }
	some      struct{ of condition } // of the context's events
	every     struct{ of condition }
	existing  struct{ from operandReader }
)

func (c conjoined) simplified() condition {
	if len(c) == 1 {
		return c[0]
	}
	return c
}

func (c conjoined) holds(e *env) bool {
	for _, x := range c {
		if !x.holds(e) {
			return false
		}
	}
	return true
}

func (c disjoined) holds(e *env) bool {
	for _, x := range c {
		if x.holds(e) {
			return true
		}
	}
	return false
}

func (c negated) holds(e *env) bool { return !c.of.holds(e) }

func (c some) holds(e *env) bool { return count(e, c.of, true, 1) > 0 }

func (c every) holds(e *env) bool { return count(e, c.of, false, 1) == 0 }

// count tells for how many events of the context the condition gives the answer, at most so many;
// 0: all.
func count(e *env, of condition, answer bool, most int) int {
	outer := e.event
	defer func() { e.event = outer }()
	n := 0
	for _, ev := range e.context.Events {
		if e.exhausted() {
			break
		}
		e.event = ev
		e.spend(1) // a condition may cost nothing itself
		if of.holds(e) == answer {
			if n++; n == most {
				break
			}
		}
	}
	return n
}

func (c existing) holds(e *env) bool {
	e.spend(1)
	if t, ok := c.from.(eventText); ok {
		return e.event != nil && t.get(e.event) != ""
	}
	return c.from.visit(e, presence{})
}

// presence accepts everything that is not empty.
type presence struct{}

func (presence) accept(_ *env, v value) bool {
	switch {
	case v.json != nil:
		return v.json.Kind() != 'n'
	case v.kind == text:
		return v.text != ""
	}
	return true
}

// value is a constant or what was read.
type value struct {
	kind   kind // dynamic: json
	text   string
	number float64
	time   time.Time
	truth  bool
	json   jsontext.Value
}

// operandReader reads the values of an operand, until the visitor accepts one.
type operandReader interface {
	visit(e *env, v visitor) bool
}

type visitor interface {
	accept(e *env, v value) bool
}

type (
	contextText struct{ get func(*Context) string }
	eventText   struct{ get func(*audit.Event) string }
	eventTime   struct {
		get func(*audit.Event) time.Time
	}
	numberOf struct {
		get func(*env) (float64, bool)
	}
	listOf   struct{ get func(*audit.Event) []string }
	objectOf struct{ there func(*audit.Event) bool }
	mapEntry struct {
		entry func(ev *audit.Event, key string, keyed bool) mapValue
		key   string
		keyed bool
	}
	counted struct{ of condition }
)

func (o contextText) visit(e *env, v visitor) bool {
	return v.accept(e, value{kind: text, text: o.get(e.context)})
}

func (o eventText) visit(e *env, v visitor) bool {
	return e.event != nil && v.accept(e, value{kind: text, text: o.get(e.event)})
}

func (o eventTime) visit(e *env, v visitor) bool {
	if e.event == nil {
		return false
	}
	t := o.get(e.event)
	return !t.IsZero() && v.accept(e, value{kind: moment, time: t})
}

func (o numberOf) visit(e *env, v visitor) bool {
	f, ok := o.get(e)
	return ok && v.accept(e, value{kind: number, number: f})
}

func (o listOf) visit(e *env, v visitor) bool {
	return e.event != nil && acceptAny(e, o.get(e.event), v)
}

func acceptAny(e *env, texts []string, v visitor) bool {
	for _, s := range texts {
		e.spend(1)
		if v.accept(e, value{kind: text, text: s}) {
			return true
		}
		if e.exhausted() {
			return false
		}
	}
	return false
}

func (o objectOf) visit(e *env, v visitor) bool {
	return e.event != nil && o.there(e.event) && v.accept(e, value{kind: object})
}

func (o mapEntry) visit(e *env, v visitor) bool {
	if e.event == nil {
		return false
	}
	m := o.entry(e.event, o.key, o.keyed)
	switch {
	case !m.ok:
		return false
	case !o.keyed:
		return v.accept(e, value{kind: object})
	case m.list != nil:
		return acceptAny(e, m.list, v)
	}
	return v.accept(e, value{kind: text, text: m.text})
}

func (o counted) visit(e *env, v visitor) bool {
	return v.accept(e, value{kind: number, number: float64(count(e, o.of, true, 0))})
}

// operator is a comparison. != is the negation of ==.
type operator uint8

const (
	equal operator = iota
	unequal
	less
	lessOrEqual
	greater
	greaterOrEqual
)

func operators() map[string]operator {
	return map[string]operator{"==": equal, "!=": unequal, "<": less, "<=": lessOrEqual, ">": greater, ">=": greaterOrEqual}
}

func (o operator) less() bool    { return o == less || o == lessOrEqual }
func (o operator) greater() bool { return o == greater || o == greaterOrEqual }

// turned is the operator with its sides exchanged.
func (o operator) turned() operator {
	switch o {
	case less:
		return greater
	case lessOrEqual:
		return greaterOrEqual
	case greater:
		return less
	case greaterOrEqual:
		return lessOrEqual
	}
	return o
}

// allows tells whether the operator holds for sides that compare so.
func (o operator) allows(order int) bool {
	switch o {
	case equal:
		return order == 0
	case unequal:
		return order != 0
	case less:
		return order < 0
	case lessOrEqual:
		return order <= 0
	case greater:
		return order > 0
	}
	return order >= 0
}

// test is one side of a comparison: an operator and a constant.
type test struct {
	op      operator
	value   value
	pattern *pattern
}

// tested is the condition that one value of an operand passes all tests.
type tested struct {
	from  operandReader
	tests []test
}

func newTested(from operandReader, tests ...test) condition {
	switch from := from.(type) {
	case eventText:
		return &testedText{from, tests}
	case eventTime:
		return &testedTime{from, tests}
	}
	return &tested{from, tests}
}

func (c *tested) holds(e *env) bool {
	e.spend(1)
	return c.from.visit(e, c)
}

func (c *tested) accept(e *env, v value) bool {
	for i := range c.tests {
		if !c.tests[i].passes(e, v) {
			return false
		}
	}
	return true
}

// testedText and testedTime are tested, of what most conditions speak of.
type testedText struct {
	from  eventText
	tests []test
}

func (c *testedText) holds(e *env) bool {
	e.spend(1)
	if e.event == nil {
		return false
	}
	s := c.from.get(e.event)
	for i := range c.tests {
		if !c.tests[i].passesText(e, s) {
			return false
		}
	}
	return true
}

type testedTime struct {
	from  eventTime
	tests []test
}

func (c *testedTime) holds(e *env) bool {
	e.spend(1)
	if e.event == nil {
		return false
	}
	at := c.from.get(e.event)
	if at.IsZero() {
		return false
	}
	for i := range c.tests {
		if t := &c.tests[i]; !t.op.allows(at.Compare(t.value.time)) {
			return false
		}
	}
	return true
}

func (t *test) passes(e *env, v value) bool {
	switch v.kind {
	case dynamic:
		return t.passesJSON(e, v.json)
	case text:
		return t.passesText(e, v.text)
	}
	order, ok := compareValues(v, t.value)
	return ok && t.op.allows(order)
}

func (t *test) passesText(e *env, s string) bool {
	switch {
	case t.pattern != nil:
		return t.pattern.matches(e, s)
	case t.op == equal:
		return s == t.value.text
	}
	return t.op.allows(strings.Compare(s, t.value.text))
}

func (t *test) passesJSON(e *env, raw jsontext.Value) bool {
	switch {
	case t.pattern != nil:
		s, ok := stringOf(raw)
		return ok && t.pattern.matchesBytes(e, s)
	case t.value.kind == text:
		s, ok := stringOf(raw)
		if !ok {
			return false
		}
		if t.op == equal {
			return string(s) == t.value.text
		}
		return t.op.allows(strings.Compare(string(s), t.value.text))
	}
	order, ok := compareValues(scalar(raw), t.value)
	return ok && t.op.allows(order)
}

// pair is the condition that some value of the left operand compares so with some value of the right.
type pair struct {
	left, right operandReader
	op          operator
	inner       visitor
}

func newPair(left operandReader, op operator, right operandReader) *pair {
	return &pair{left, right, op, pairRight{op}}
}

func (c *pair) holds(e *env) bool {
	e.spend(1)
	return c.left.visit(e, c)
}

func (c *pair) accept(e *env, v value) bool {
	e.spend(1)
	if e.exhausted() {
		return false
	}
	if v.kind == dynamic {
		v = scalar(v.json)
	}
	e.left = v
	return c.right.visit(e, c.inner)
}

type pairRight struct{ op operator }

func (c pairRight) accept(e *env, v value) bool {
	e.spend(1)
	if v.kind == dynamic {
		v = scalar(v.json)
	}
	order, ok := compareValues(e.left, v)
	return ok && c.op.allows(order)
}

// compareValues orders two values; false: they are not of one kind. A text beside a time is read as
// one. Of true and false, false is less, which only == can see.
func compareValues(a, b value) (int, bool) {
	switch {
	case a.kind == text && b.kind == moment:
		t, err := time.Parse(time.RFC3339Nano, a.text)
		return t.Compare(b.time), err == nil
	case a.kind == moment && b.kind == text:
		t, err := time.Parse(time.RFC3339Nano, b.text)
		return a.time.Compare(t), err == nil
	case a.kind != b.kind:
		return 0, false
	}
	switch a.kind {
	case text:
		return strings.Compare(a.text, b.text), true
	case number:
		return cmp.Compare(a.number, b.number), true
	case moment:
		return a.time.Compare(b.time), true
	case boolean:
		if a.truth == b.truth {
			return 0, true
		}
		if b.truth {
			return -1, true
		}
		return 1, true
	}
	return 0, false
}
