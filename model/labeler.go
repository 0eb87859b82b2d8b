package model

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"k8ntext/dataset/audit"
	"k8ntext/dataset/feature"
	"k8ntext/dataset/label"
)

// Labelled is an event with its prediction.
type Labelled struct {
	Event *audit.Event
	Prediction
}

// Label labels the events of one log, which are in time order, and gives one prediction for each.
// A log shorter than the model's window is padded.
func (t *Tagger) Label(ctx context.Context, events []*audit.Event, o VoteOptions) ([]Prediction, error) {
	o, err := o.withDefaults(t.Config.Window)
	if err != nil {
		return nil, fmt.Errorf("label events: %w", err)
	}
	// A network for more windows than there are would mostly compute padding.
	windows := max(len(events)-t.Config.Window, 0)/o.Stride + 2
	if o.Online { // short windows at the beginning
		windows = len(events)/o.Stride + 2
	}
	o.Batch = min(o.Batch, windows)
	o.Threads = min(o.Threads, (windows+o.Batch-1)/o.Batch)

	l, err := t.Labeler(o)
	if err != nil {
		return nil, err
	}
	defer l.Close()
	out := make([]Prediction, 0, len(events))
	take := func(done []Labelled, err error) error {
		for _, d := range done {
			out = append(out, d.Prediction)
		}
		return err
	}
	for _, e := range events {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("label events: %w", ended(ctx))
		}
		if err := take(l.Push(e)); err != nil {
			return nil, err
		}
	}
	if err := take(l.Flush()); err != nil {
		return nil, err
	}
	return out, nil
}

// Labeler labels a stream of events. It holds an event until no later window can cover it, which with
// stride S, batch B and T threads is at most W + S*B*T events long; nothing else grows with the
// stream. Online, with batch 1 on one thread, an event waits for LookAhead others. Features that look ahead
// add what they wait for: those of [feature.Linked] at most 64 events. It is not safe for concurrent use.
type Labeler struct {
	tagger  *Tagger
	o       VoteOptions
	layout  layout
	poll    *poll
	engines []engine

	stream *feature.Stream
	row    []int32 // of the event at hand
	tags   []int32 // of what it is tied to: own labels
	plan   windowPlan
	queue  []span // windows that are due and not yet computed

	base   int // number of the first held event
	given  int // events that were given; online some of them are held as input of windows to come
	events []*audit.Event
	ids    []int32       // fields per held event
	tied   []label.Label // likewise ties
	tally  []*tally
	spare  []*tally

	err error // what ended the stream; every later call gives it again
}

// engine is one network for inference and its input.
type engine struct {
	network inferrer
	batch   *Batch
	logp    []float32
}

// inferrer is what a Labeler needs of a [Network].
type inferrer interface {
	Infer(b *Batch) ([]float32, error)
	Close() error
}

// Labeler starts a stream. Close it when done.
func (t *Tagger) Labeler(o VoteOptions) (*Labeler, error) {
	o, err := o.withDefaults(t.Config.Window)
	if err != nil {
		return nil, fmt.Errorf("label events: %w", err)
	}
	shape := t.Network()
	return newLabeler(t, o, func() (inferrer, error) {
		return NewNetwork(shape, t.Weights, o.Batch, NetworkOptions{Kernels: o.Kernels, Device: o.Device, FallBack: o.FallBack, Frozen: true})
	})
}

func newLabeler(t *Tagger, o VoteOptions, network func() (inferrer, error)) (*Labeler, error) {
	l := &Labeler{
		tagger: t,
		o:      o,
		layout: newLayout(t.Network(), t.Encoder.Sizes(), o.Batch),
		poll:   newPoll(o.Rule, t.Space, t.Config.ties()),
		stream: t.Encoder.Stream(),
		row:    make([]int32, len(t.Encoder.Sizes())),
		tags:   make([]int32, t.Encoder.Ties()),
		plan:   windowPlan{length: t.Config.Window, stride: o.Stride, online: o.Online, lookAhead: o.LookAhead},
	}
	for range o.Threads {
		n, err := network()
		if err != nil {
			return nil, errors.Join(fmt.Errorf("label events: %w", err), l.Close())
		}
		l.engines = append(l.engines, engine{network: n, batch: l.layout.newBatch()})
	}
	return l, nil
}

// Close frees the networks. Events that were not flushed are lost.
func (l *Labeler) Close() error {
	var errs []error
	for _, e := range l.engines {
		errs = append(errs, e.network.Close())
	}
	l.engines = nil
	if l.err == nil {
		l.err = errors.New("label events: the labeler is closed")
	}
	return errors.Join(errs...)
}

// Push adds the next event of the stream and gives the events that are now certain, in order.
func (l *Labeler) Push(e *audit.Event) ([]Labelled, error) {
	if l.err != nil {
		return nil, l.err
	}
	l.stream.Push(e, int32(l.tagger.Space.Own(e)))
	if err := l.take(); err != nil {
		return nil, err
	}
	if len(l.queue) > 0 {
		return nil, nil // waiting windows may cover any held event
	}
	return l.release(l.plan.settled(), l.plan.needed()), nil
}

// take adds the events whose features are known to the windows.
func (l *Labeler) take() error {
	for e := l.stream.Next(l.row, l.tags); e != nil; e = l.stream.Next(l.row, l.tags) {
		l.events = append(l.events, e)
		l.ids = append(l.ids, l.row...)
		for _, tag := range l.tags {
			l.tied = append(l.tied, label.Label(tag))
		}
		l.tally = append(l.tally, l.freshTally())
		if w, due := l.plan.push(); due {
			l.queue = append(l.queue, w)
			if len(l.queue) == l.o.Batch*l.o.Threads {
				if err := l.compute(); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// Flush ends the stream and gives all events that are still held. The labeler is then ready for
// another stream, whose windows do not reach back into this one.
func (l *Labeler) Flush() ([]Labelled, error) {
	if l.err != nil {
		return nil, l.err
	}
	l.stream.End()
	if err := l.take(); err != nil {
		return nil, err
	}
	if w, due := l.plan.flush(); due {
		l.queue = append(l.queue, w)
	}
	if err := l.compute(); err != nil {
		return nil, err
	}
	out := l.release(l.plan.pushed, l.plan.pushed)
	l.plan = windowPlan{length: l.plan.length, stride: l.plan.stride, online: l.plan.online, lookAhead: l.plan.lookAhead}
	l.base, l.given = 0, 0
	l.stream = l.tagger.Encoder.Stream()
	return out, nil
}

// compute runs all queued windows and adds their outputs to the tallies in the windows' order, which
// makes the sums independent of batch and threads.
func (l *Labeler) compute() error {
	for len(l.queue) > 0 {
		size := l.layout.batch
		var group errgroup.Group
		used := 0
		for i := range l.engines {
			part := l.queue[min(i*size, len(l.queue)):min((i+1)*size, len(l.queue))]
			if len(part) == 0 {
				break
			}
			used += len(part)
			e := &l.engines[i]
			group.Go(func() (err error) {
				l.gather(e.batch, part)
				e.logp, err = e.network.Infer(e.batch)
				return err
			})
		}
		if err := group.Wait(); err != nil {
			l.err = fmt.Errorf("label events: %w", err)
			return l.err
		}
		width := l.poll.width()
		for i, w := range l.queue[:used] {
			e, slot := &l.engines[i/size], i%size
			for t := l.plan.firstCounted(w); t < w.length; t++ {
				row := t*size + slot
				i := w.start - l.base + t
				l.poll.add(l.tally[i], e.logp[row*width:(row+1)*width], l.tiedTo(i), t, w.length)
			}
		}
		l.queue = append(l.queue[:0], l.queue[used:]...)
	}
	return nil
}

func (l *Labeler) gather(b *Batch, windows []span) {
	f := l.layout.fields
	for slot := range l.layout.batch {
		length := 0
		if slot < len(windows) {
			w := windows[slot]
			length = w.length
			for t := range length {
				i := w.start - l.base + t
				l.layout.put(b, t, slot, l.ids[i*f:(i+1)*f])
			}
		}
		l.layout.pad(b, slot, length)
	}
}

// release gives the events before number end that were not given yet, and forgets those before number
// forget.
func (l *Labeler) release(end, forget int) []Labelled {
	var out []Labelled
	for ; l.given < end; l.given++ {
		i := l.given - l.base
		p := l.poll.result(l.tally[i], l.tiedTo(i))
		p.TriggerEstimated = p.Label >= 0 && p.Label == l.tagger.Space.Own(l.events[i])
		out = append(out, Labelled{Event: l.events[i], Prediction: p})
	}
	n := forget - l.base
	if n <= 0 {
		return out
	}
	l.spare = append(l.spare, l.tally[:n]...)
	// Copying down instead of reslicing lets the arrays stay as they are: the stream may be endless.
	l.events = dropFront(l.events, n)
	l.ids = dropFront(l.ids, n*l.layout.fields)
	l.tied = dropFront(l.tied, n*len(l.tags))
	l.tally = dropFront(l.tally, n)
	l.base = forget
	return out
}

// tiedTo are the own labels of what held event i is tied to.
func (l *Labeler) tiedTo(i int) []label.Label { return l.tied[i*len(l.tags) : (i+1)*len(l.tags)] }

func dropFront[T any](s []T, n int) []T {
	rest := copy(s, s[n:])
	clear(s[rest:]) // let go of what the tail points to
	return s[:rest]
}

func (l *Labeler) freshTally() *tally {
	if n := len(l.spare); n > 0 {
		t := l.spare[n-1]
		l.spare = l.spare[:n-1]
		t.reset()
		return t
	}
	return l.poll.newTally()
}

// span is a window of a stream: events start to start+length.
type span struct{ start, length int }

// windowPlan decides which windows a stream of unknown length is covered with: one every stride
// events, and one that ends with the last event. They are due as soon as their events are there. If
// online, they begin as short ones that end with the first event, and speak of their last events only.
type windowPlan struct {
	length, stride int
	online         bool
	lookAhead      int // online: events behind an event that a window that speaks of it may hold
	pushed         int // events so far
	next           int // start of the next regular window; online: its last event
}

// push counts an event and gives the regular window that it completes.
func (p *windowPlan) push() (span, bool) {
	p.pushed++
	last := p.next
	if !p.online {
		last += p.length - 1
	}
	if p.pushed <= last {
		return span{}, false
	}
	p.next += p.stride
	return p.ending(), true
}

// ending is the window that ends with the last event so far.
func (p *windowPlan) ending() span {
	length := min(p.length, p.pushed)
	return span{p.pushed - length, length}
}

// flush gives the window at the end of the stream where no regular one ends there. A stream that is
// shorter than a window is one short window.
func (p *windowPlan) flush() (span, bool) {
	if p.pushed == 0 || p.regularAtEnd() {
		return span{}, false
	}
	return p.ending(), true
}

// regularAtEnd tells whether a regular window ends with the last event so far.
func (p *windowPlan) regularAtEnd() bool {
	if p.online {
		return p.next-p.stride == p.pushed-1
	}
	return p.pushed >= p.length && p.next-p.stride == p.pushed-p.length
}

// firstCounted is the first position of a window of whose event it may speak.
func (p *windowPlan) firstCounted(w span) int {
	if !p.online {
		return 0
	}
	first := w.length - 1 - p.lookAhead
	if last := w.start + w.length - 1; last%p.stride != 0 {
		first++ // only the stream's end made this window, and by then that event's label was due
	}
	return max(0, first)
}

// settled is the number of events that no window to come can cover, neither a regular one nor the
// one at the end, wherever that may be. Online it is the number of those of which no window to come
// may speak.
func (p *windowPlan) settled() int {
	if p.online {
		return max(0, p.pushed-p.lookAhead)
	}
	if p.pushed < p.length {
		return 0
	}
	end := p.pushed - p.length // where the last window starts if the stream ends here
	if p.regularAtEnd() {
		end++ // it has been given; the next possible one starts an event later
	}
	return min(p.next, end)
}

// needed is the number of events that no window to come can hold.
func (p *windowPlan) needed() int {
	if p.online {
		return max(0, min(p.settled(), p.pushed-p.length))
	}
	return p.settled()
}
