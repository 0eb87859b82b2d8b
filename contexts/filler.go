package contexts

import (
	"slices"

	"k8ntext/dataset/audit"
	"k8ntext/dataset/identity"
)

// Filler completes contexts that are known already, as a store keeps them, by what the events of their log
// say: actor, object, outcome, span, and the objects that they changed. It gives each when it has seen its
// last event. It does what a [Builder] does after it has decided where an event belongs.
//
// Events are found by the lines in which they end, and numbered anew: what reads a log may leave events
// out, or bring them in another order.
type Filler struct {
	tracker *identity.Tracker
	at      map[int][]spot // by line: the members that end there
	list    []*Context
	numbers [][]int // of the members' events, by context
	left    []int   // members that are still to come
	next    int     // number of the next event
	out     []*Context
}

// spot is a member of a context, by their numbers.
type spot struct{ context, member int32 }

// NewFiller fills in contexts, whole ones, of which ID, Label, User, Operation, Parent, Trigger and Members
// are known. The contexts are changed.
func NewFiller(list []*Context) *Filler {
	f := &Filler{tracker: identity.NewTracker(identity.Options{}), at: make(map[int][]spot), list: list, left: make([]int, len(list)), numbers: make([][]int, len(list))}
	for i, c := range list {
		f.left[i] = len(c.Members)
		f.numbers[i] = make([]int, len(c.Members))
		for j, m := range c.Members {
			f.at[m.Line] = append(f.at[m.Line], spot{int32(i), int32(j)})
		}
	}
	for _, of := range f.at { // several events of one line, in their order
		slices.SortStableFunc(of, func(a, b spot) int {
			return list[a.context].Members[a.member].Event - list[b.context].Members[b.member].Event
		})
	}
	return f
}

// Push takes the next event and gives the context whose last event it is, if it is.
func (f *Filler) Push(e *audit.Event) []*Context {
	n := f.next
	f.next++
	x := &event{Event: e, View: f.tracker.Observe(e)}
	of, line := f.find(e)
	if len(of) == 0 {
		return nil
	}
	f.at[line] = of[1:]
	c := f.list[of[0].context]
	if old := c.Members[of[0].member].Event; c.Trigger.Event == old {
		estimated := c.Trigger.Estimated
		c.fill(e, old, line, objectOf(f.tracker, x))
		c.Trigger.Estimated = estimated
	}
	if c.First.IsZero() || e.RequestReceived.Before(c.First) {
		c.First = e.RequestReceived
	}
	if e.RequestReceived.After(c.Last) {
		c.Last = e.RequestReceived
	}
	if x.Changed && x.Object != 0 && !isEvent(x) {
		c.note(objectOf(f.tracker, x))
	}
	f.numbers[of[0].context][of[0].member] = n
	if f.left[of[0].context]--; f.left[of[0].context] > 0 {
		return nil
	}
	c.renumber(f.numbers[of[0].context])
	f.out = append(f.out[:0], c)
	return f.out
}

// find finds the member that an event is, and its line. An event may have ended earlier for who read the log
// then, in less memory: before the stages that came late.
func (f *Filler) find(e *audit.Event) ([]spot, int) {
	for _, s := range slices.Backward(e.Stages) {
		if of := f.at[s.Position.Line]; len(of) > 0 {
			return of, s.Position.Line
		}
	}
	return nil, -1
}

// renumber gives the members' events other numbers.
func (c *Context) renumber(numbers []int) {
	members := slices.Clone(c.Members)
	trigger := slices.IndexFunc(members, func(m Member) bool { return m.Event == c.Trigger.Event })
	for i := range members {
		members[i].Event = numbers[i]
	}
	if c.Trigger.Event = -1; trigger >= 0 {
		c.Trigger.Event = numbers[trigger]
	}
	sortMembers(members)
	c.Members = members
}

// Missing is how many events of contexts have not come.
func (f *Filler) Missing() int {
	n := 0
	for _, left := range f.left {
		n += left
	}
	return n
}
