package dataset

import (
	"slices"

	"k8ntext/dataset/audit"
)

// Levels are the audit levels at which a log still has events, the richest first: with the bodies of
// request and response, without that of the response, without either.
func Levels() []string { return []string{"RequestResponse", "Request", "Metadata"} }

// AtLevel is the corpus as an audit policy of a lower level would have logged it: bodies are gone, and
// nothing else, since the API server fills in a request's objectRef at every level. events are those it
// is done to, nil all. An event of that level or a lower one stays as it is. The corpus itself does not
// change; labels and contexts are shared.
func (c *Corpus) AtLevel(level string, events []int32) *Corpus {
	low := *c
	low.Events = slices.Clone(c.Events)
	if events == nil {
		events = upTo(0, len(c.Events))
	}
	for _, i := range events {
		low.Events[i] = AtLevel(c.Events[i], level)
	}
	return &low
}

// AtLevel is one event as [Corpus.AtLevel] changes it.
func AtLevel(e *audit.Event, level string) *audit.Event {
	levels := Levels()
	to, is := slices.Index(levels, level), slices.Index(levels, e.Level)
	if to <= 0 || is >= to { // an event of no known level, -1, may have bodies
		return e
	}
	low := *e
	low.Level, low.ResponseObject = level, nil
	if level == "Metadata" {
		low.RequestObject = nil
	}
	return &low
}

// Shorter is the split with less to train on: of each sequence of the training part the first share of its
// events, at least one, and vocabularies are of those; under protocol paper, whose parts share sequences,
// the first share of its shuffled windows. The other parts are as they were.
func (s *Split) Shorter(share float64) *Split {
	if share >= 1 {
		return s
	}
	short := *s
	if s.Protocol == "paper" {
		short.Train = s.Train[:max(1, int(share*float64(len(s.Train))))]
		return &short
	}
	short.Sequences, short.Train, short.FitEvents = slices.Clone(s.Sequences), nil, nil
	cut := make(map[int32]bool)
	for _, w := range s.Train {
		if cut[w.Sequence] {
			continue
		}
		cut[w.Sequence] = true
		seq := s.Sequences[w.Sequence]
		short.Sequences[w.Sequence] = seq[:max(1, int(share*float64(len(seq))))]
		short.FitEvents = append(short.FitEvents, short.Sequences[w.Sequence]...)
		short.Train = slide(short.Train, short.Sequences, int(w.Sequence), s.Length, 1)
	}
	slices.Sort(short.FitEvents)
	return &short
}
