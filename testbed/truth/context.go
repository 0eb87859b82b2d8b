package truth

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Context is what one request started: that request and all that it caused.
type Context struct {
	ID       string
	Command  *Command // that a person ran; nil: nobody asked for it
	Parent   *Context // whose clock or threshold started it; nil: none
	Trigger  *Request
	Requests []*Request // by time
	directs  []*Request // that the command sent
	dropped  bool       // its trigger is no part of the recording proper
	clock    string     // what ticked, where no person and no single request started it
}

// Operation is the command that the context shares with the others that it started; empty: none.
func (c *Context) Operation() string {
	if c.Command == nil {
		return ""
	}
	return c.Command.ID
}

// contexts of people: one for each object that a command changed, in the order of the requests.
func (a *attribution) people() {
	sent := make(map[*Command][]*Request)
	for _, q := range a.log.Requests {
		if q.command != nil {
			sent[q.command] = append(sent[q.command], q)
		}
	}
	for _, c := range a.journal.Commands {
		for n, requests := range split(c, sent[c]) {
			x := &Context{ID: c.ID, Command: c, directs: requests, Trigger: trigger(c, requests)}
			if n > 0 || len(requests) < len(sent[c]) {
				x.ID = fmt.Sprintf("%s.%d", c.ID, n+1)
			}
			for _, q := range requests {
				q.verdict, q.state = verdict{[]*Context{x}, "direct"}, 2
			}
			a.contexts = append(a.contexts, x)
		}
	}
}

// split parts the requests of a command by the object that it changed. A look-up of an object belongs
// to that object; any other belongs to the object that comes next, or last.
func split(c *Command, requests []*Request) [][]*Request {
	if len(requests) == 0 {
		return nil
	}
	key := func(q *Request) objectName { return objectName{q.Resource, namespaceOf(q), q.Name} }
	var order []objectName
	for _, q := range requests {
		if q.changes() && q.Name != "" && !isReview(q) && !slices.Contains(order, key(q)) {
			order = append(order, key(q))
		}
	}
	if len(order) < 2 || isOne(c) {
		return [][]*Request{requests}
	}
	// The objects in the order in which they are first looked at.
	var seen []objectName
	for _, q := range requests {
		if slices.Contains(order, key(q)) && !slices.Contains(seen, key(q)) {
			seen = append(seen, key(q))
		}
	}
	parts := make([][]*Request, len(seen))
	for n, q := range requests {
		part := slices.Index(seen, key(q))
		for _, later := range requests[n:] {
			if part < 0 {
				part = slices.Index(seen, key(later))
			}
		}
		if part < 0 {
			part = len(seen) - 1
		}
		parts[part] = append(parts[part], q)
	}
	return parts
}

// isOne tells of commands that are one action, however many objects they change.
func isOne(c *Command) bool {
	return slices.Contains(c.Argv, "drain") || strings.HasPrefix(c.Action, "drain")
}

// isReview tells of requests that ask a question by creating it.
func isReview(q *Request) bool {
	name, _, _ := strings.Cut(q.Resource, ".")
	return strings.HasSuffix(name, "reviews")
}

// trigger is the request that a context of a command is about: the first that changed something, else
// that tried to, else that connected to something or asked a question, else the first that read
// something; where the command is to watch, the first watch.
func trigger(c *Command, requests []*Request) *Request {
	watches := strings.HasPrefix(c.Action, "watch") ||
		slices.ContainsFunc(c.Argv, func(arg string) bool { return arg == "-w" || strings.HasPrefix(arg, "--watch") })
	rank := func(q *Request) int {
		switch {
		case q.Resource == "":
			return 6
		case q.took() && !isReview(q):
			return 0
		case q.changes() && !isReview(q):
			return 1
		case slices.Contains([]string{"exec", "attach", "portforward", "log", "proxy"}, q.Subresource):
			return 2
		case isReview(q):
			return 3
		case watches && q.Verb == "watch":
			return 4
		}
		return 5
	}
	return slices.MinFunc(requests, func(a, b *Request) int { return cmp.Compare(rank(a), rank(b)) })
}

// verdict is the set of contexts of which one is a request's true one. Empty: nothing is known.
type verdict struct {
	of    []*Context
	class string // how it was found
}

func (v verdict) sure() bool { return len(v.of) == 1 }

// context is the one that is sure; nil where none is.
func (v verdict) context() *Context {
	if !v.sure() {
		return nil
	}
	return v.of[0]
}

// as gives the verdict another name.
func (v verdict) as(class string) verdict { return verdict{v.of, class} }

// or is v where anything is known, else w.
func (v verdict) or(w verdict) verdict {
	if len(v.of) == 0 {
		return w
	}
	return v
}

// either is the union: the true cause is among those of any of them. With an unknown one among them
// nothing is known but candidates, of which there are then two at least, or none.
func either(class string, vs ...verdict) verdict {
	var of []*Context
	unknown := len(vs) == 0
	for _, v := range vs {
		unknown = unknown || len(v.of) == 0
		for _, c := range v.of {
			if !slices.Contains(of, c) {
				of = append(of, c)
			}
		}
	}
	if unknown {
		if len(of) == 1 {
			return verdict{append(of, nil), class} // nil: something else
		}
		return verdict{of, class}
	}
	return verdict{of, class}
}
