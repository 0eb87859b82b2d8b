package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"k8ntext/contexts"
	"k8ntext/contexts/store"
	"k8ntext/dataset"
	"k8ntext/dataset/audit"
	"k8ntext/dataset/label"
	"k8ntext/dataset/packed"
)

// stored are the contexts that are in a file beside its lines, or, of a stripped log, in them.
type stored struct {
	level    string // at which they were rebuilt; empty: a stripped log does not say
	space    *label.Space
	contexts []*contexts.Context
	stripped *dataset.Corpus // nil: it is no stripped log
}

// readStored reads the contexts of a store or of a stripped log; nil: the file is neither.
func readStored(ctx context.Context, name string) (*stored, error) {
	if name == "-" || slices.Contains(dataset.Names(), name) || !isPacked(name) {
		return nil, nil
	}
	f, closeFile, err := openStore(name)
	if err != nil {
		return nil, nil // too damaged for an index: its lines may still be read
	}
	defer closeFile()
	if dropped, err := store.ReadDropped(f); err == nil && dropped != nil {
		return readStripped(ctx, name)
	}
	h, list, err := store.Read(f)
	if errors.Is(err, store.ErrNone) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("store %s: %w", name, err)
	}
	s := &stored{level: h.Level}
	if s.space, err = h.LabelSpace(); err != nil {
		return nil, fmt.Errorf("store %s: %w", name, err)
	}
	for _, e := range list {
		s.contexts = append(s.contexts, &contexts.Context{
			ID: e.ID, Label: e.Label, User: e.User, Operation: e.Operation, Parent: e.Parent, Trigger: e.Trigger, Members: e.Members,
		})
	}
	return s, nil
}

// isPacked tells whether a file begins as a packed log does. What cannot be read is not one: who reads it says why.
func isPacked(name string) bool {
	f, err := os.Open(name)
	if err != nil {
		return false
	}
	defer f.Close()
	magic := make([]byte, len(packed.Magic))
	_, err = io.ReadFull(f, magic)
	return err == nil && bytes.Equal(magic, []byte(packed.Magic))
}

// readStripped makes contexts of what the lines of a stripped log say of theirs.
func readStripped(ctx context.Context, name string) (*stored, error) {
	c, err := dataset.Load(ctx, name, nil)
	if err != nil {
		return nil, err
	}
	s := &stored{space: c.Space, stripped: c}
	for _, t := range c.Contexts {
		x := &contexts.Context{ID: t.ID, Label: label.Unknown, User: t.User, Operation: t.Operation, Parent: t.Parent, Trigger: contexts.Trigger{Event: -1, Line: -1}}
		for _, e := range t.Events {
			x.Members = append(x.Members, contexts.Member{Event: int(e), Line: lineOf(c.Events[e]), Reason: contexts.Told, Confidence: 1})
		}
		if t.Trigger >= 0 {
			x.Label = c.Own[t.Trigger]
			x.Trigger = contexts.Trigger{Event: int(t.Trigger), Line: lineOf(c.Events[t.Trigger])}
		}
		s.contexts = append(s.contexts, x)
	}
	return s, nil
}

// lineOf is the line in which an event ends.
func lineOf(e *audit.Event) int {
	if n := len(e.Stages); n > 0 {
		return e.Stages[n-1].Position.Line
	}
	return -1
}

// rebuilt says what the contexts are of, for a remark.
func (s *stored) rebuilt() string {
	if s.level == "" {
		return "that its lines name"
	}
	return "that were packed with it (level " + printable(s.level) + ")"
}

// of numbers the events as they are in a log that was read; false: they are not all there.
func (s *stored) of(events []*audit.Event) bool {
	f := contexts.NewFiller(s.contexts)
	for _, e := range events {
		f.Push(e)
	}
	return f.Missing() == 0
}

// errUnfit is what a store is whose contexts are of other events than its lines.
var errUnfit = errors.New("lines may be lost, see store verify; or rebuild the contexts with --level identity")
