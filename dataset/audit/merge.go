package audit

import (
	"container/heap"
	"slices"
	"time"
)

// The stages of audit.k8s.io/v1. A watch and other long-running requests have ResponseStarted too.
const (
	stageReceived = "RequestReceived"
	stageStarted  = "ResponseStarted"
	stageComplete = "ResponseComplete"
	stagePanic    = "Panic"
)

// stageRank orders the stages of one request; a stage that we do not know lies between the ends.
func stageRank(name string) int {
	switch name {
	case stageReceived:
		return 0
	case stageComplete:
		return 2
	case stagePanic:
		return 3
	default:
		return 1
	}
}

// identity tells requests apart. Not in it, because they are not yet known when RequestReceived is
// logged: impersonated user, objectRef's name and uid. sourceIPs do not change, but add nothing.
type identity struct {
	auditID, verb, uri, user, uid, agent string
	received                             int64 // nanoseconds; meaningless if unknown
	unknown                              bool  // the line told no receive time
}

// held is an event that waits for its further stages and its turn.
type held struct {
	event    *Event
	identity identity
	order    time.Time // RequestReceived, or a guess for an event without any time
	seq      int64     // ties leave in the order in which they were read
	size     int
	index    int // in the queue
}

// maxReleased bounds the memory of unfinished events that left: some 300 bytes each.
const maxReleased = 1 << 16

// merger joins the stages of requests and puts events in order.
type merger struct {
	opts  Options
	tally *tally

	queue queue
	open  map[identity]*held // the latest event of its identity that is still in the queue
	size  int                // of all events in the queue
	seq   int64

	// newest and clock are the two latest stage times read so far. The clock is the earlier one, so
	// that a single line with a time in the future does not send every waiting event away.
	newest, clock time.Time
	left          time.Time // order of the last event that left

	released map[identity]struct{} // left unfinished: their further stages are late
	oldest   []identity            // the same, as a ring
	next     int
}

func newMerger(opts Options, t *tally) *merger {
	return &merger{
		opts: opts, tally: t,
		open: map[identity]*held{}, released: map[identity]struct{}{},
	}
}

// add takes in one stage.
func (m *merger) add(x entry) {
	e := x.event
	stage := e.Stages[0]
	m.advance(stage.Time)

	id := identity{
		auditID: e.AuditID, verb: e.Verb, uri: e.RequestURI,
		user: e.User.Username, uid: e.User.UID, agent: e.UserAgent,
		received: e.RequestReceived.UnixNano(), unknown: !x.received,
	}
	if id.unknown {
		id.received = 0
	}
	anonymous := id.unknown && id.auditID == ""
	if h := m.open[id]; h != nil && !anonymous {
		switch h.event.fit(stage, id.unknown) {
		case fits:
			m.tally.sum.Stages++
			m.size -= h.size
			h.event = join(h.event, e)
			h.size = h.event.footprint()
			m.size += h.size
			if id.unknown && h.event.RequestReceived.Before(h.order) {
				h.order = h.event.RequestReceived
				heap.Fix(&m.queue, h.index)
			}
			return
		case repeats:
			m.tally.sum.Repeated++
			return
		}
	} else if _, gone := m.released[id]; gone && !anonymous && (stage.Name != stageReceived || !id.unknown) {
		m.tally.sum.Late++
		return
	}

	m.tally.sum.Stages++
	h := &held{event: e, identity: id, order: e.RequestReceived, seq: m.seq, size: e.footprint()}
	if h.order.IsZero() {
		h.order = m.clock
	}
	m.seq++
	m.size += h.size
	heap.Push(&m.queue, h)
	if !anonymous {
		m.open[id] = h
	}
}

func (m *merger) advance(t time.Time) {
	switch {
	case t.After(m.newest):
		m.clock, m.newest = m.newest, t
	case t.After(m.clock):
		m.clock = t
	}
}

// pop gives the next event that need not wait any more; all of them at the end.
func (m *merger) pop(end bool) *Event {
	if len(m.queue) == 0 {
		return nil
	}
	due := !m.queue[0].order.After(m.clock.Add(-m.opts.ReorderWindow))
	full := m.size > m.opts.MaxHeld
	if !due && !full && !end {
		return nil
	}
	h := heap.Pop(&m.queue).(*held)
	m.size -= h.size
	if m.open[h.identity] == h {
		delete(m.open, h.identity)
	}
	sum := &m.tally.sum
	if !due && !end {
		sum.Hurried++
	}
	if h.order.Before(m.left) {
		sum.OutOfOrder++
	} else {
		m.left = h.order
	}
	if !h.event.finished() {
		sum.Unfinished++
		m.remember(h.identity)
	}
	return h.event
}

// remember notes an event that left unfinished, and forgets the oldest of them if need be.
func (m *merger) remember(id identity) {
	if _, ok := m.released[id]; ok {
		return
	}
	m.released[id] = struct{}{}
	if len(m.oldest) < maxReleased {
		m.oldest = append(m.oldest, id)
		return
	}
	delete(m.released, m.oldest[m.next])
	m.oldest[m.next] = id
	m.next = (m.next + 1) % maxReleased
}

// finished says whether no further stage is to be expected. A failed authentication is logged as
// ResponseStarted only (k8s.io/apiserver, WithFailedAuthenticationAudit).
func (e *Event) finished() bool {
	last := e.Stages[len(e.Stages)-1].Name
	return last == stageComplete || last == stagePanic ||
		last == stageStarted && e.User.Username == "" && e.ResponseStatus != nil && e.ResponseStatus.Code == 401
}

type fitness int

const (
	fits    fitness = iota
	repeats         // the event has this stage already
	another         // the same identity, yet another request
)

// fit says whether stage s, of the same identity, belongs to the event.
func (e *Event) fit(s Stage, unknown bool) fitness {
	for _, have := range e.Stages {
		switch {
		case have.Name != s.Name:
		case have.Time.Equal(s.Time):
			return repeats
		case s.Name != stageStarted:
			return another
		}
	}
	if unknown && s.Name == stageReceived && e.finished() && s.Time.After(e.Stages[len(e.Stages)-1].Time) {
		return another
	}
	return fits
}

// join merges two parts of one request. The part with the last stage gives the event; what it lacks
// comes from the other.
func join(a, b *Event) *Event {
	stages := append(slices.Clone(a.Stages), b.Stages...)
	slices.SortStableFunc(stages, func(x, y Stage) int {
		if d := stageRank(x.Name) - stageRank(y.Name); d != 0 {
			return d
		}
		return x.Time.Compare(y.Time)
	})
	e, earlier := a, b
	if b.Stages[0] == stages[len(stages)-1] {
		e, earlier = b, a
	}
	e.Stages = stages
	if earlier.RequestReceived.Before(e.RequestReceived) && !earlier.RequestReceived.IsZero() {
		e.RequestReceived = earlier.RequestReceived
	}
	if e.ImpersonatedUser == nil {
		e.ImpersonatedUser = earlier.ImpersonatedUser
	}
	if e.ObjectRef == nil {
		e.ObjectRef = earlier.ObjectRef
	}
	if e.ResponseStatus == nil {
		e.ResponseStatus = earlier.ResponseStatus
	}
	if e.RequestObject == nil {
		e.RequestObject = earlier.RequestObject
	}
	if e.ResponseObject == nil {
		e.ResponseObject = earlier.ResponseObject
	}
	if e.Annotations == nil {
		e.Annotations = earlier.Annotations
	}
	if e.Truth == nil {
		e.Truth = earlier.Truth
	}
	return e
}

// footprint estimates the memory that the event holds.
func (e *Event) footprint() int {
	n := 1024 // the struct, its strings' and slices' heads, its places in queue and map
	n += len(e.RequestURI) + len(e.UserAgent) + len(e.User.Username)
	n += len(e.RequestObject) + len(e.ResponseObject) + len(e.Raw)
	n += 128 * len(e.Stages)
	for _, g := range e.User.Groups {
		n += 16 + len(g)
	}
	for k, v := range e.Annotations {
		n += 64 + len(k) + len(v)
	}
	return n
}

// queue is a heap: the earliest request first.
type queue []*held

func (q queue) Len() int { return len(q) }
func (q queue) Less(i, j int) bool {
	if c := q[i].order.Compare(q[j].order); c != 0 {
		return c < 0
	}
	return q[i].seq < q[j].seq
}

func (q queue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i, j
}

func (q *queue) Push(x any) {
	h := x.(*held)
	h.index = len(*q)
	*q = append(*q, h)
}

func (q *queue) Pop() any {
	old := *q
	h := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	return h
}
