package contexts

import (
	"container/list"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8ntext/dataset/audit"
	"k8ntext/dataset/identity"
)

// A command is what one client of a person does without a pause: kubectl looks the API up, asks for the
// object and changes it; a chart asks for 28 objects and makes them. Each object that it changes is a
// context; what it only looks at belongs to the object, or to the one that comes next.
type command struct {
	client   client
	requests []request
	changes  []*group // in the order of their first attempts
	byObject map[identity.ID]*group
	one      *group // a drain or another command that is one context whatever it changes
	node     *group // the change of a node, with which a drain begins
	end      time.Time
	last     request
	elem     *list.Element
}

// client is a person at a terminal, or a CI job.
type client struct {
	source               uint32
	user, as, agent, via string
}

// request is one of a command's.
type request struct {
	event  *event
	group  *group // nil: a look-up, see [Builder.finish]
	joined bool   // the group already
	object identity.ID
	is     attempt
}

// attempt ranks what a request does; the best of a context's is its trigger (the earliest of equals).
type attempt uint8

const (
	nothing   attempt = iota
	looked            // at what the API offers
	read              // something
	watched           // it, after kubectl had listed it: that is what --watch asks for
	connected         // to something, or asked a question
	tried             // to change something
	changed           // it
)

// How long a pause is that ends a command. Clients that are told what to do send one request after the
// other; a person needs longer for the next command (measured on the development recordings: within a
// command 99 of 100 pauses are under 0.2 s, between two commands of a client 99 of 100 above 0.25 s).
// What kubectl knows of the API it looks up before it reads its input and plans, which takes longer.
const (
	pause     = 200 * time.Millisecond
	planning  = 2 * time.Second
	polling   = 6 * time.Second // a drain waits for the pods that it evicted
	maxBurst  = 4096            // requests of one command; more begin another
	maxClient = 4096            // commands at once
)

func isPerson(e *audit.Event) bool { return !strings.HasPrefix(e.User.Username, "system:") }

func clientOf(e *audit.Event) client {
	c := client{source: e.Source, user: e.User.Username, agent: e.UserAgent}
	if e.ImpersonatedUser != nil {
		c.as = e.ImpersonatedUser.Username
	}
	if len(e.SourceIPs) > 0 {
		c.via = e.SourceIPs[0]
	}
	return c
}

func attemptOf(x *event) attempt {
	if x.ObjectRef == nil {
		if x.Verb == "get" || x.Verb == "head" || x.Verb == "options" {
			return looked
		}
		return tried
	}
	switch x.ObjectRef.Subresource {
	case "exec", "attach", "portforward", "proxy":
		return connected
	}
	switch x.Verb {
	case "get", "list", "watch":
		return read
	}
	if isQuestion(x.Event) {
		return connected
	}
	if !x.Changed {
		return tried
	}
	return changed
}

// follows tells whether kubectl goes on to watch what it listed: that is what --watch asks for. A command
// that waits for one object lists and watches that, by its name.
func follows(before, x *event) bool {
	return before != nil && before.Verb == "list" && x.Verb == "watch" && strings.HasPrefix(x.UserAgent, "kubectl/") &&
		!strings.Contains(x.RequestURI, "fieldSelector=") && before.ObjectRef != nil && before.ObjectRef.Resource == x.ObjectRef.Resource && before.ObjectRef.Namespace == x.ObjectRef.Namespace
}

// connects tells requests that a kubelet or a backend serves, not the API server.
func connects(x *event) bool {
	if x.ObjectRef == nil {
		return false
	}
	switch x.ObjectRef.Subresource {
	case "exec", "attach", "portforward", "proxy", "log":
		return true
	}
	return false
}

// isQuestion tells reviews: they are created, and nothing comes to be.
func isQuestion(e *audit.Event) bool {
	o := e.ObjectRef
	return o.Subresource == "" && e.Verb == "create" && strings.HasSuffix(o.Resource, "reviews") &&
		(o.APIGroup == "authorization.k8s.io" || o.APIGroup == "authentication.k8s.io")
}

// continues tells whether a request belongs to a command that the client is at.
func (c *command) continues(x *event) bool {
	gap := x.RequestReceived.Sub(c.end)
	kubectl := strings.HasPrefix(x.UserAgent, "kubectl/")
	switch {
	case len(c.requests) >= maxBurst:
		return false
	case kubectl && strings.HasPrefix(x.RequestURI, "/api?") && c.last.is > looked:
		return false // that is how it begins
	case gap < pause:
		return true
	case kubectl && c.last.is == looked && succeeded(c.last.event.Event):
		return gap < planning && plans(c.last.event.Event, x)
	case c.one != nil && c.one == c.node && x.ObjectRef != nil && x.ObjectRef.Resource == "pods":
		return gap < polling && (x.ObjectRef.Subresource == "eviction" || c.byObject[x.Object] != nil)
	}
	return false
}

// plans tells whether kubectl may have thought for a while after a look at the API, before a request:
// the schemas are what it needs to change something, and what it lists does not need them.
func plans(looked *audit.Event, x *event) bool {
	path, _, _ := strings.Cut(looked.RequestURI, "?")
	switch {
	case x.ObjectRef == nil:
		return strings.HasPrefix(path, "/openapi/v3") && strings.HasPrefix(x.RequestURI, "/openapi/v3/")
	case path == "/apis":
		return strings.Contains(looked.RequestURI, "timeout=") // else it was asked for itself
	case path == "/openapi/v2":
		return x.ObjectRef.Resource == "customresourcedefinitions"
	case strings.HasPrefix(path, "/openapi/v3"):
		return x.Verb != "list" && x.Verb != "watch"
	}
	return false
}

// succeeded tells a request that was answered as asked; 304 says that the client knows the answer.
func succeeded(e *audit.Event) bool {
	s := e.ResponseStatus
	return s == nil || s.Code == 0 || s.Code >= 200 && s.Code <= 299 || s.Code == 304
}

// request takes a request of a person.
func (b *Builder) request(x *event) {
	key := clientOf(x.Event)
	c := b.clients[key]
	if c != nil && !c.continues(x) {
		b.finish(c)
		c = nil
	}
	if c == nil {
		if len(b.clients) >= maxClient {
			b.finish(b.recent.Front().Value.(*command))
		}
		c = &command{client: key, byObject: make(map[identity.ID]*group)}
		c.elem = b.recent.PushBack(c)
		b.clients[key] = c
	} else {
		b.recent.MoveToBack(c.elem)
	}
	r := request{event: x, object: x.Object, is: attemptOf(x)}
	if r.is == read && follows(c.last.event, x) {
		r.is = watched
	}
	if r.is >= tried || connects(x) {
		r.group, r.joined = b.change(c, x, r.is), true
		b.board(r.group, x)
		if x.ObjectRef != nil {
			b.after(r.group, x)
		}
	}
	x.Event, x.seen = withoutBodies(x.Event), nil
	c.requests = append(c.requests, r)
	c.last = r
	c.end = x.RequestReceived
	if n := len(x.Stages); n > 0 && x.Verb != "watch" && r.is != connected {
		c.end = later2(c.end, x.Stages[n-1].Time)
	}
}

func later2(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// change finds the context of a request that changes something, or tried to.
func (b *Builder) change(c *command, x *event, is attempt) *group {
	g := c.one
	evicts := x.ObjectRef != nil && x.ObjectRef.Subresource == "eviction"
	switch {
	case g != nil:
	case evicts && c.node != nil:
		g, c.one = c.node, c.node
	case x.Object != 0:
		g = c.byObject[x.Object]
	}
	if g == nil {
		g = b.begin(x, c)
		c.changes = append(c.changes, g)
		if x.Object != 0 {
			c.byObject[x.Object] = g
		}
		if evicts {
			c.one = g
		}
		if x.ObjectRef != nil && x.ObjectRef.Resource == "nodes" && x.ObjectRef.Subresource == "" {
			c.node = g
		}
	}
	if evicts && x.Object != 0 {
		c.byObject[x.Object] = g
	}
	b.trigger(g, x, is)
	reason := SameUser
	if g.Trigger.Event == x.number {
		reason = Own
	}
	b.join(g, x, reason)
	if is == changed {
		b.affect(g, x)
	}
	return g
}

// endCommands ends the commands whose clients are silent for long enough; at the end of the log all.
func (b *Builder) endCommands(all bool) {
	for el := b.recent.Front(); el != nil; el = b.recent.Front() {
		c := el.Value.(*command)
		if !all && b.now.Sub(c.end) <= polling {
			return
		}
		b.finish(c)
	}
}

// finish ends a command: what it looked at goes to the object that it was about, or else to the one that
// came next; a command that changed nothing is one context.
func (b *Builder) finish(c *command) {
	delete(b.clients, c.client)
	b.recent.Remove(c.elem)
	if len(c.changes) == 0 {
		g := b.begin(c.requests[0].event, c)
		for _, r := range c.requests {
			b.trigger(g, r.event, r.is)
		}
		c.changes = append(c.changes, g)
		c.one = g
	}
	next := c.changes[len(c.changes)-1] // what comes after all changes belongs to the last
	for i, r := range slices.Backward(c.requests) {
		if r.group == nil {
			r.group = c.one
			if r.group == nil && r.object != 0 {
				r.group = c.byObject[r.object]
			}
			if r.group == nil {
				r.group = next
			}
			c.requests[i].group = r.group
		}
		next = r.group
	}
	for _, r := range c.requests {
		if r.joined {
			continue
		}
		reason := Preliminary
		switch trigger := r.group.Trigger.Event; {
		case r.event.number == trigger:
			reason = Own
		case r.event.number > trigger:
			reason = SameUser
		}
		b.join(r.group, r.event, reason)
	}
	for _, g := range c.changes {
		g.command = nil
		if len(c.changes) > 1 {
			g.Operation = "o" + strconv.Itoa(c.requests[0].event.number)
		}
	}
}

// withoutBodies is an event as far as a command needs it later.
func withoutBodies(e *audit.Event) *audit.Event {
	if e.RequestObject == nil && e.ResponseObject == nil && e.Raw == nil {
		return e
	}
	light := *e
	light.RequestObject, light.ResponseObject, light.Raw = nil, nil, nil
	return &light
}
