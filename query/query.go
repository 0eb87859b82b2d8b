package query

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"k8ntext/dataset/audit"
	"k8ntext/dataset/label"
)

// Limits of an expression. None is near what people write; together they keep a hostile one cheap to
// refuse.
const (
	MaxLength = 16 << 10 // bytes
	MaxDepth  = 64       // parentheses in parentheses
	MaxTerms  = 1000     // comparisons and functions
	MaxRegexp = 20_000   // instructions of all regular expressions together, repeats multiplied out
)

// DefaultBudget is the work that one context may cost: see [Options].
const DefaultBudget = 1 << 25

// Options say how an expression is understood. The zero value does for a log of any labels.
type Options struct {
	// Now is what now means; zero: the moment of compiling.
	Now time.Time

	// Space checks and normalises the labels in the expression; nil: they are compared as they stand.
	Space *label.Space

	// Budget bounds the work of evaluating one context: 1 for a condition on an event, 1 more for 64
	// bytes of a body, and for a regular expression its instructions times the bytes it reads, over 8.
	// 0: DefaultBudget, some seconds at the most.
	Budget int64
}

// Context is what a query asks: an event and all that it caused.
type Context struct {
	ID        string
	Label     string // the label of its events in words; empty where it is not known
	Operation string // the command that several contexts share; may be empty
	Parent    string // ID of the context whose clock or threshold started this one; may be empty

	Trigger *audit.Event   // nil where it is not in the log
	Events  []*audit.Event // in time order, the trigger among them
}

// Query is a compiled expression. It is immutable and safe for concurrent use.
type Query struct {
	tree   *expression // nil: the empty expression
	root   condition
	budget int64
	envs   sync.Pool // of *env
}

// Compile parses and checks an expression. Every error about the expression is an [*Error].
func Compile(text string, o Options) (*Query, error) {
	if o.Now.IsZero() {
		o.Now = time.Now()
	}
	if o.Budget == 0 {
		o.Budget = DefaultBudget
	}
	q := &Query{root: conjoined(nil), budget: o.Budget}
	q.envs.New = func() any { return new(env) }
	tree, err := parse(text)
	if err != nil || tree == nil {
		return q.orError(err)
	}
	c := checker{now: o.Now, space: o.Space, fields: fields(), aliases: aliases()}
	q.root, err = c.expression(tree)
	q.tree = tree
	return q.orError(err)
}

func (q *Query) orError(err error) (*Query, error) {
	if err != nil {
		return nil, err
	}
	return q, nil
}

// String is the expression in its canonical form, which compiles to the same query: now stays now.
func (q *Query) String() string {
	if q.tree == nil {
		return ""
	}
	var b strings.Builder
	q.tree.print(&b)
	return b.String()
}

// ErrBudget is in the error of a context that costs more than [Options] allow.
var ErrBudget = errors.New("the query costs too much")

// Match tells whether the query finds c. The only error is one with [ErrBudget].
func (q *Query) Match(c *Context) (bool, error) {
	e := q.envs.Get().(*env)
	*e = env{context: c, event: c.Trigger, budget: q.budget}
	found := q.root.holds(e)
	exhausted := e.exhausted()
	*e = env{} // the pool must not keep a log alive
	q.envs.Put(e)
	if exhausted {
		return false, fmt.Errorf("context %.80q of %d events: %w: ask for less, or put the cheap conditions before body members, "+
			"any(...) and regexp(...)", c.ID, len(c.Events), ErrBudget)
	}
	return found, nil
}

// Error is what is wrong with an expression, and where.
type Error struct {
	Line, Column int    // from 1; columns count characters
	Message      string // on one line, without control characters
	Hint         string // what to write instead; may be empty
}

func (e *Error) Error() string {
	text := fmt.Sprintf("line %d, column %d: %s", e.Line, e.Column, e.Message)
	if e.Hint != "" {
		text += ": " + e.Hint
	}
	return text
}
