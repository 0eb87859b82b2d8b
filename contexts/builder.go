package contexts

import (
	"cmp"
	"container/list"
	"fmt"
	"slices"
	"time"

	"k8ntext/dataset/audit"
	"k8ntext/dataset/identity"
	"k8ntext/dataset/label"
)

// Level says what contexts are rebuilt from.
type Level string

const (
	// Paper is the reference's algorithm: the events of one label, dealt to its triggers by weights.
	Paper Level = "paper"
	// Identity uses no network: what the events say about objects and clients, own labels, and what
	// Kubernetes' components are known to do.
	Identity Level = "identity"
	// Full is Identity, and the labels of a network where that says nothing or is not sure.
	Full Level = "full"
)

// Levels are all levels.
func Levels() []Level { return []Level{Paper, Identity, Full} }

// ParseLevel finds a level by its name.
func ParseLevel(name string) (Level, error) {
	for _, l := range Levels() {
		if string(l) == name {
			return l, nil
		}
	}
	return "", fmt.Errorf("unknown level %q: use paper, identity or full", name)
}

// Options say how contexts are rebuilt. The zero value rebuilds at level Full, in a bounded memory.
type Options struct {
	Level Level // empty: Full

	// Space numbers the labels; nil: [label.Default].
	Space *label.Space

	// MaxObjects bounds the instances of objects that are remembered; 0: 65,536. What happens to one
	// that was forgotten is a context of its own.
	MaxObjects int

	// MaxOpen bounds the contexts that are still open, and MaxMembers their events; 0: 131,072 and
	// 4,194,304. Above them the context that was quiet for longest is given provisionally. The level
	// paper keeps all events up to MaxMembers, and then deals those that it has.
	MaxOpen, MaxMembers int

	// Quiet is how long, in the log's own time, a context waits for more events when there may be some;
	// then it is given provisionally. 0: one hour. One that cannot grow any more waits a minute.
	Quiet time.Duration
}

func (o Options) withDefaults() Options {
	if o.Level == "" {
		o.Level = Full
	}
	if o.Space == nil {
		o.Space = label.Default()
	}
	if o.MaxOpen <= 0 {
		o.MaxOpen = 1 << 17
	}
	if o.MaxMembers <= 0 {
		o.MaxMembers = 1 << 22
	}
	if o.Quiet <= 0 {
		o.Quiet = time.Hour
	}
	return o
}

// settled is how long a context waits that nothing remembered refers to any more: an Event or a look-up
// may still come late.
const settled = time.Minute

// Summary counts what a builder did.
type Summary struct {
	Events      int // taken
	Contexts    int // begun
	Given       int // parts of contexts given, whole ones included
	Provisional int // of these: provisional
	Pressed     int // of these: because there were too many open contexts or members
}

// Builder rebuilds the contexts of one log. Each event is in exactly one context. It is deterministic
// and not for use by several goroutines at once. See [New].
//
// Memory is bounded by Options, not by the log: an event is not kept, only what the rules need of it.
type Builder struct {
	o       Options
	sum     Summary
	now     time.Time // the latest receive time so far
	tracker *identity.Tracker
	things  map[identity.ID]*thing
	wiped   map[int]mark // deletions of whole collections, by event
	wipes   []int        // the same in order
	open    *list.List   // of *group, longest quiet first
	members int          // of all open groups
	clients map[client]*command
	recent  *list.List // of *command, longest quiet first
	flight  []flight   // requests that are being served
	nodes   map[string]*node
	places  map[identity.ID]*place
	groups  map[string]*definition // of the API
	rounds  map[roundKey]*round    // of clocks

	passed  []mark // changes that the search for a cause passed by
	byLabel map[label.Label][]*group
	paper   paper // the level of that name, which needs nothing else

	operators map[string]identity.ID // the custom resource that an account worked on last
	out       []*Context
}

// New returns a builder that has seen nothing.
func New(o Options) *Builder {
	o = o.withDefaults()
	return &Builder{
		o: o, tracker: identity.NewTracker(identity.Options{MaxObjects: o.MaxObjects}),
		things: make(map[identity.ID]*thing), wiped: make(map[int]mark), open: list.New(),
		clients: make(map[client]*command), recent: list.New(),
		nodes: make(map[string]*node), places: make(map[identity.ID]*place),
		groups: make(map[string]*definition), rounds: make(map[roundKey]*round),
		operators: make(map[string]identity.ID), paper: paper{byLabel: make(map[label.Label][]*light)},
		byLabel: make(map[label.Label][]*group),
	}
}

// Summary counts what was done so far.
func (b *Builder) Summary() Summary { return b.sum }

// group is a context that is being built.
type group struct {
	Context
	opened  int       // number of the event that opened it
	at      time.Time // of its latest event
	tries   attempt   // what its trigger is
	refs    int       // marks that refer to it
	given   bool      // a part of it was given
	command *command  // nil: nobody's, or the command is over
	elem    *list.Element
}

// mark remembers that the context g did something to an object with the event numbered at.
type mark struct {
	g    *group
	at   int
	when time.Time
}

func (m mark) there() bool { return m.g != nil }

func later(a, b mark) mark {
	if b.g != nil && (a.g == nil || b.at > a.at) {
		return b
	}
	return a
}

// set replaces a mark.
func (m *mark) set(to mark) {
	if m.g != nil {
		m.g.refs--
	}
	if *m = to; to.g != nil {
		to.g.refs++
	}
}

// event is an event at hand, with what is known of its objects.
type event struct {
	*audit.Event
	identity.View
	number int
	line   int
	label  label.Label // of the network; Unknown: none
	own    label.Label
	person bool
	seen   *sight // what its bodies say, read when it is asked for
}

// Push takes the next event, in order of receive time, with its label if that is known, and gives the
// contexts that are finished, or provisional (see [Options]).
func (b *Builder) Push(e *audit.Event, l label.Label) []*Context {
	b.out = b.out[:0]
	if b.o.Level == Paper {
		b.paper.push(e, b.sum.Events, l, b.o.Space.Own(e))
		if b.sum.Events++; b.paper.held > b.o.MaxMembers {
			b.sum.Pressed++
			b.deal()
		}
		return b.out
	}
	if b.o.Level == Identity {
		l = label.Unknown
	}
	x := &event{Event: e, number: b.sum.Events, line: -1, label: l, own: b.o.Space.Own(e), person: isPerson(e)}
	if n := len(e.Stages); n > 0 {
		x.line = e.Stages[n-1].Position.Line
	}
	b.sum.Events++
	x.View = b.tracker.Observe(e)
	if e.RequestReceived.After(b.now) {
		b.now = e.RequestReceived
	}
	b.endCommands(false)
	if x.person {
		b.request(x)
	} else {
		b.effect(x)
	}
	b.prune()
	b.give()
	return b.out
}

// Flush ends the log and gives what is left, in the order in which it began.
func (b *Builder) Flush() []*Context {
	b.out = b.out[:0]
	if b.o.Level == Paper {
		b.deal()
		return b.out
	}
	b.endCommands(true)
	for b.open.Len() > 0 {
		b.close(b.open.Front().Value.(*group), false)
	}
	return b.out
}

// deal gives the contexts of the level paper.
func (b *Builder) deal() {
	b.out = append(b.out, b.paper.flush()...)
	b.sum.Contexts += len(b.out)
	b.sum.Given += len(b.out)
}

// begin opens a context with an event as what it is known by.
func (b *Builder) begin(x *event, c *command) *group {
	g := &group{opened: x.number, command: c}
	g.ID = id(x.number)
	g.Label, g.User = label.Unknown, x.person
	g.Trigger = Trigger{Event: -1, Line: -1}
	g.First = x.RequestReceived
	g.elem = b.open.PushBack(g)
	b.sum.Contexts++
	return g
}

// trigger makes an event the trigger of a context, if it is a better one than what there is.
func (b *Builder) trigger(g *group, x *event, is attempt) {
	if g.tries >= is {
		return
	}
	if g.tries == nothing && is >= tried && b.o.Level == Full {
		alike := b.byLabel[x.own]
		if len(alike) >= maxAlike {
			alike = append(alike[:0], alike[1:]...)
		}
		b.byLabel[x.own] = append(alike, g)
	}
	g.tries = is
	g.fill(x.Event, x.number, x.line, objectOf(b.tracker, x))
	g.Label = x.own
}

func objectOf(t *identity.Tracker, x *event) identity.Object {
	if o, ok := t.Instance(x.Object); ok {
		return o.Object
	}
	if x.ObjectRef == nil {
		return identity.Object{}
	}
	return identity.Object{Group: x.ObjectRef.APIGroup, Resource: x.ObjectRef.Resource, Namespace: x.ObjectRef.Namespace, Name: x.ObjectRef.Name}
}

// over tells that a context was given as a whole: nothing may be added.
func (b *Builder) over(g *group) bool { return g.given && !g.Provisional }

// join adds an event to a context.
func (b *Builder) join(g *group, x *event, r Reason) {
	if g.elem == nil { // a part of it was given
		g.Members, g.Objects, g.MoreObjects = nil, nil, 0
		g.Continued = true
		g.First = x.RequestReceived
		g.elem = b.open.PushBack(g)
	} else {
		b.open.MoveToBack(g.elem)
	}
	g.at = b.now
	g.Members = append(g.Members, Member{Event: x.number, Line: x.line, Reason: r, Confidence: r.confidence()})
	b.members++
	if x.RequestReceived.Before(g.First) {
		g.First = x.RequestReceived
	}
	if x.RequestReceived.After(g.Last) {
		g.Last = x.RequestReceived
	}
	if x.Changed && x.Object != 0 && !isEvent(x) {
		g.note(objectOf(b.tracker, x))
	}
}

// note adds an object to those that a context changed.
func (c *Context) note(o identity.Object) {
	if slices.Contains(c.Objects, o) {
		return
	}
	if len(c.Objects) < MaxObjects {
		c.Objects = append(c.Objects, o)
	} else {
		c.MoreObjects++
	}
}

// alone makes a context of one event that nobody asked for.
func (b *Builder) alone(x *event) *group {
	g := b.begin(x, nil)
	b.trigger(g, x, changed)
	b.join(g, x, Own)
	return g
}

// give closes what is due.
func (b *Builder) give() {
	for el := b.open.Front(); el != nil; el = b.open.Front() {
		g := el.Value.(*group)
		quiet := b.now.Sub(g.at)
		switch {
		case g.command != nil: // its command is the only one that ends
			if b.open.Len() <= b.o.MaxOpen && b.members <= b.o.MaxMembers {
				return
			}
			b.finish(g.command)
		case quiet > b.o.Quiet:
			b.close(g, g.refs > 0)
		case b.open.Len() > b.o.MaxOpen || b.members > b.o.MaxMembers:
			b.sum.Pressed++
			b.close(g, g.refs > 0)
		case quiet > settled && g.refs == 0:
			b.close(g, false)
		default:
			return
		}
	}
}

func (b *Builder) close(g *group, provisional bool) {
	b.open.Remove(g.elem)
	g.elem = nil
	b.members -= len(g.Members)
	if len(g.Members) == 0 {
		return
	}
	g.Provisional = provisional
	c := g.Context
	if c.Trigger.Event < 0 {
		c.Trigger.Estimated = true
	}
	sortMembers(c.Members)
	g.given = true
	b.sum.Given++
	if provisional {
		b.sum.Provisional++
	}
	b.out = append(b.out, &c)
}

func sortMembers(m []Member) {
	slices.SortFunc(m, func(a, b Member) int { return cmp.Compare(a.Event, b.Event) })
}
