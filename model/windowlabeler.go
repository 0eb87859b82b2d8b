package model

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"k8ntext/dataset/label"
)

// WindowLabeler says what single windows make of one of their events. Windows are given as feature ids,
// so that it can also be asked about windows that no log holds. It is not safe for concurrent use.
type WindowLabeler struct {
	tagger  *Tagger
	layout  layout
	engines []engine
	polls   []*poll // one per engine: they have scratch memory
}

// WindowLabeler makes one. Of o, Stride and the online fields have no meaning here. Close it when done.
func (t *Tagger) WindowLabeler(o VoteOptions) (*WindowLabeler, error) {
	o, err := o.withDefaults(t.Config.Window)
	if err != nil {
		return nil, fmt.Errorf("label single windows: %w", err)
	}
	w := &WindowLabeler{tagger: t, layout: newLayout(t.Network(), t.Encoder.Sizes(), o.Batch)}
	for range o.Threads {
		n, err := NewNetwork(t.Network(), t.Weights, o.Batch, NetworkOptions{Kernels: o.Kernels, Device: o.Device, FallBack: o.FallBack, Frozen: true})
		if err != nil {
			return nil, errors.Join(fmt.Errorf("label single windows: %w", err), w.Close())
		}
		w.engines = append(w.engines, engine{network: n, batch: w.layout.newBatch()})
		w.polls = append(w.polls, newPoll(o.Rule, t.Space, t.Config.ties()))
	}
	return w, nil
}

// Close frees the networks.
func (w *WindowLabeler) Close() error {
	var errs []error
	for _, e := range w.engines {
		errs = append(errs, e.network.Close())
	}
	w.engines = nil
	return errors.Join(errs...)
}

// Ties is how many events a label can be copied from, see [feature.Encoder.Ties]; 0: the model copies none.
func (w *WindowLabeler) Ties() int { return w.tagger.Config.ties() }

// Label gives what each window says of its event at position, from 0. A window has the ids of W events,
// event by event. Where the model copies labels, tied has for each window the own labels of the Ties events
// that the event at position is tied to, [label.Unknown] where there is none; else it is not looked at.
func (w *WindowLabeler) Label(ctx context.Context, windows [][]int32, tied [][]label.Label, position int) ([]Prediction, error) {
	l := w.layout
	switch {
	case len(w.engines) == 0:
		return nil, errors.New("label single windows: the labeler is closed")
	case position < 0 || position >= l.window:
		return nil, fmt.Errorf("label single windows: position %d of windows of %d events", position, l.window)
	}
	for i, ids := range windows {
		if len(ids) != l.window*l.fields {
			return nil, fmt.Errorf("label single windows: window %d has %d ids, want %d events of %d", i, len(ids), l.window, l.fields)
		}
	}
	ties := w.Ties()
	if ties == 0 {
		tied = make([][]label.Label, len(windows))
	}
	if len(tied) != len(windows) {
		return nil, fmt.Errorf("label single windows: ties of %d windows for %d", len(tied), len(windows))
	}
	for i, labels := range tied {
		if len(labels) != ties {
			return nil, fmt.Errorf("label single windows: window %d has the labels of %d ties, want %d", i, len(labels), ties)
		}
	}
	out := make([]Prediction, len(windows))
	for done := 0; done < len(windows); {
		if ctx.Err() != nil {
			return nil, fmt.Errorf("label single windows: %w", ended(ctx))
		}
		var group errgroup.Group
		for i := range w.engines {
			from, to := done, min(done+l.batch, len(windows))
			if from == to {
				break
			}
			done = to
			group.Go(func() error { return w.part(i, windows[from:to], tied[from:to], position, out[from:to]) })
		}
		if err := group.Wait(); err != nil {
			return nil, fmt.Errorf("label single windows: %w", err)
		}
	}
	return out, nil
}

// part labels up to a batch of windows on one engine.
func (w *WindowLabeler) part(engine int, windows [][]int32, tied [][]label.Label, position int, out []Prediction) error {
	l, e, poll := w.layout, &w.engines[engine], w.polls[engine]
	for slot := range l.batch {
		if slot >= len(windows) {
			l.pad(e.batch, slot, 0)
			continue
		}
		for t := range l.window {
			l.put(e.batch, t, slot, windows[slot][t*l.fields:(t+1)*l.fields])
		}
	}
	logp, err := e.network.Infer(e.batch)
	if err != nil {
		return err
	}
	width := poll.width()
	tally := poll.newTally()
	for slot := range windows {
		tally.reset()
		row := position*l.batch + slot
		poll.add(tally, logp[row*width:(row+1)*width], tied[slot], position, l.window)
		out[slot] = poll.result(tally, tied[slot])
	}
	return nil
}
