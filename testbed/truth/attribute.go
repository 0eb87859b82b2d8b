package truth

import (
	"fmt"
	"strings"
)

// attribution is the work of tying requests to contexts.
type attribution struct {
	journal *Journal
	log     *Log
	objects *objects

	contexts []*Context
	trees    map[*instance]*tree
	ending   map[*instance]*Request // namespaces, and what asked for their deletion
	events   map[objectName]*object // Events that were created, for patches that found nothing
	clocks   map[string]*Context    // contexts that a clock, a threshold or a fault started

	byNamespace map[string][]*Request    // changes in a namespace by others than the API server itself, by time
	connects    []*Request               // people's requests that reach a kubelet
	bound       map[string][]binding     // by node
	statuses    map[*instance][]*Request // status patches of a pod by its kubelet, by time
	byWorker    map[string][]*Request    // all requests of a system's user but watches, by time
	rounds      map[*instance][]int64    // of the autoscaler, when they began
}

type binding struct {
	at  int64
	pod *instance
}

// attribute ties every request of a log to the context that it belongs to.
func attribute(log *Log, journal *Journal) *attribution {
	a := &attribution{
		journal: journal, log: log,
		trees:       make(map[*instance]*tree),
		ending:      make(map[*instance]*Request),
		events:      make(map[objectName]*object),
		clocks:      make(map[string]*Context),
		byNamespace: make(map[string][]*Request),
		bound:       make(map[string][]binding),
		statuses:    make(map[*instance][]*Request),
		byWorker:    make(map[string][]*Request),
	}
	a.stamps()
	a.objects = index(log.Requests)
	a.lists()
	a.people()
	a.gather()
	for _, q := range log.Requests {
		a.attribute(q)
	}
	a.exchanges()
	a.finish()
	return a
}

// stamps finds whose process sent a request.
func (a *attribution) stamps() {
	commands := make(map[string]*Command)
	for _, c := range a.journal.Commands {
		commands[c.Stamp] = c
	}
	harness := make(map[string]bool)
	for _, s := range a.journal.Harness {
		harness[s] = true
	}
	for _, q := range a.log.Requests {
		for _, word := range strings.FieldsFunc(q.Agent, func(r rune) bool { return strings.ContainsRune("-/ ().,", r) }) {
			if c := commands[word]; c != nil {
				q.command = c
			}
			q.harness = q.harness || harness[word] || word == "harness"
		}
	}
}

// lists gathers what the rules look up.
func (a *attribution) lists() {
	for _, q := range a.log.Requests {
		if isTransient(q.Resource) && q.Verb == "create" {
			o := q.answer
			if o == nil || o.Kind != "Event" {
				o = q.sent
			}
			if o != nil && (o.Involved != nil || o.Regarding != nil) {
				a.events[objectName{"events", q.Namespace, q.Name}] = o
			}
		}
		if q.changes() && q.User != "system:apiserver" {
			a.byNamespace[q.Namespace] = append(a.byNamespace[q.Namespace], q)
		}
		switch q.Subresource {
		case "exec", "log", "attach", "portforward", "proxy":
			if q.User != "system:apiserver" {
				a.connects = append(a.connects, q)
			}
		case "binding":
			if q.ok() && q.instance != nil && q.sent != nil && q.sent.Target != nil {
				a.bound[q.sent.Target.Name] = append(a.bound[q.sent.Target.Name], binding{q.Received, q.instance})
			}
		case "status":
			if q.Resource == "pods" && q.Verb == "patch" && q.instance != nil && q.node() != "" {
				a.statuses[q.instance] = append(a.statuses[q.instance], q)
			}
		}
		if q.command == nil && q.Verb != "watch" {
			a.byWorker[q.User] = append(a.byWorker[q.User], q)
		}
	}
}

// attribute finds the cause of a request, and remembers it.
func (a *attribution) attribute(q *Request) verdict {
	switch q.state {
	case 1:
		return verdict{class: "circular"}
	case 2:
		return q.verdict
	}
	q.state = 1
	v := a.refine(q, a.rule(q))
	// What belongs to the start of the control plane causes nothing in the recording.
	if c := v.context(); c != nil && c.dropped && c.Trigger != q {
		v = a.background(q, "background:"+v.class)
	}
	q.verdict, q.state = v, 2
	return v
}

// background makes a request a context of its own.
func (a *attribution) background(q *Request, class string) verdict {
	c := &Context{Trigger: q}
	c.dropped = class == "before-start" || class == "harness"
	return verdict{[]*Context{c}, class}
}

// clock is the context that a clock, a threshold or a fault started. Its first request is its trigger.
func (a *attribution) clock(key string, parent verdict, class string) verdict {
	c := a.clocks[key]
	if c == nil {
		c = &Context{clock: key, Parent: parent.context()}
		a.clocks[key] = c
	}
	return verdict{[]*Context{c}, class}
}

// fault is the context of the last fault of a node before t, if there was one.
func (a *attribution) fault(node string, t int64, class string) (verdict, bool) {
	last := -1
	for n, f := range a.journal.Faults {
		if f.At.UnixNano() <= t && isNode(f.Component, node) {
			last = n
		}
	}
	if last < 0 {
		return verdict{}, false
	}
	return a.clock(fmt.Sprintf("fault %d", last), verdict{}, class), true
}

// isNode tells whether a component of a fault is a node: node/3, node/node-3 and node-3 are node-3.
func isNode(component, node string) bool {
	name := strings.TrimPrefix(component, "node/")
	return node != "" && (name == node || component != name && "node-"+name == node)
}

// exchanges ties what is left: a component that reads something before it writes reads for the sake of
// what it writes.
func (a *attribution) exchanges() {
	const within = int64(1_000_000_000)
	for _, requests := range a.byWorker {
		for n, q := range requests {
			if q.verdict.sure() || len(q.verdict.of) > 0 || q.changes() && !isReview(q) {
				continue
			}
			for _, next := range requests[n+1:] {
				if next.Received-q.Ended > within {
					break
				}
				if len(next.verdict.of) == 0 {
					continue
				}
				if next.verdict.sure() && next.Namespace == q.Namespace && !strings.HasPrefix(next.verdict.class, "background") {
					q.verdict = next.verdict.as("exchange")
				}
				break
			}
		}
	}
}

// finish gives the contexts their requests, triggers and names.
func (a *attribution) finish() {
	requests := make(map[*Context][]*Request)
	for _, q := range a.log.Requests {
		if c := q.verdict.context(); c != nil {
			requests[c] = append(requests[c], q)
		}
	}
	people := a.contexts
	a.contexts = nil
	for _, c := range people {
		c.Requests = requests[c]
		a.contexts = append(a.contexts, c)
	}
	background, ticks := 0, 0
	done := make(map[*Context]bool)
	for _, q := range a.log.Requests {
		c := q.verdict.context()
		if c == nil || c.Command != nil || done[c] {
			continue
		}
		done[c] = true
		c.Requests = requests[c]
		if c.clock == "" {
			background++
			c.ID = fmt.Sprintf("bg-%05d", background)
		} else {
			ticks++
			c.ID = fmt.Sprintf("ck-%05d", ticks)
			c.Trigger = tickTrigger(c.Requests)
		}
		a.contexts = append(a.contexts, c)
	}
}

// tickTrigger is what a clock did first: as with people, what its component looked at before is not
// what the context is about; nor is a report of it.
func tickTrigger(requests []*Request) *Request {
	for _, own := range []bool{true, false} {
		for _, q := range requests {
			if q.took() && (!own || q.User == requests[0].User) && !isTransient(q.Resource) {
				return q
			}
		}
	}
	return requests[0]
}
