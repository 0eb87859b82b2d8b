package dataset

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"k8ntext/dataset/audit"
)

// MaxTracks is the most pieces of recordings that [Interleave] overlays.
const MaxTracks = 64

// restart is the time between two pieces of recordings on one track of an overlay.
const restart = time.Minute

// Interleave makes concurrency out of recordings that have little: it returns the corpus and its split with
// overlays added to the training part, one each of 2, 3, ... and tracks pieces of recording at a time.
//
// For an overlay of n the training sequences, laid end to end and turned by a random number of events, are
// cut into n tracks of equal numbers of events, which start together and run side by side at the speed
// they were recorded with. So each overlay shows every event of the training part at most once, and its
// truth stays what it was.
//
// A cluster has one background: of all tracks but the first only user-caused events are taken. Objects
// and clients of two pieces are never the same, whatever their names: a piece has its own
// [audit.Event.Source]. Only the namespaces default, kube-system, kube-public and kube-node-lease are
// one. A piece that is cut within a context shows the rest of it without its beginning.
//
// The events of overlays follow those of c in the corpus that is returned, moved in time; their contexts
// are those of their originals, which list the originals alone. It fails if the training part shares a
// sequence with another part, as under the protocol paper.
func Interleave(c *Corpus, s *Split, tracks int, seed uint64) (*Corpus, *Split, error) {
	if tracks < 2 {
		return c, s, nil
	}
	if tracks > MaxTracks {
		return nil, nil, fmt.Errorf("interleave %d tracks: at most %d", tracks, MaxTracks)
	}
	inTraining := make([]bool, len(s.Sequences))
	for _, w := range s.Train {
		inTraining[w.Sequence] = true
	}
	for _, windows := range [][]Window{s.Validation, s.Test} {
		for _, w := range windows {
			if inTraining[w.Sequence] {
				return nil, nil, errors.New("interleave: the training part shares its events with others: use another protocol than " + s.Protocol)
			}
		}
	}
	var line []place
	for i, seq := range s.Sequences {
		if inTraining[i] {
			for _, e := range seq {
				line = append(line, place{int32(i), e})
			}
		}
	}
	if len(line) < tracks {
		return nil, nil, fmt.Errorf("interleave: %d events of training are fewer than %d tracks: use a longer log", len(line), tracks)
	}

	wide, split := *c, *s
	wide.Events, wide.Labels, wide.Own = slices.Clone(c.Events), slices.Clone(c.Labels), slices.Clone(c.Own)
	wide.Context, wide.Class = slices.Clone(c.Context), slices.Clone(c.Class)
	split.Sequences, split.Train, split.FitEvents = slices.Clone(s.Sequences), slices.Clone(s.Train), slices.Clone(s.FitEvents)
	rng := rand.New(rand.NewPCG(seed, 0x6f7665726c6179)) // the stream "overlay"
	var source uint32
	for n := 2; n <= tracks; n++ {
		turn := rng.IntN(len(line))
		turned := append(slices.Clone(line[turn:]), line[:turn]...)
		var overlay []moved
		for track := range n {
			overlay = append(overlay, layTrack(c, turned[len(line)*track/n:len(line)*(track+1)/n], track, &source)...)
		}
		slices.SortStableFunc(overlay, func(a, b moved) int { return a.copy.RequestReceived.Compare(b.copy.RequestReceived) })
		seq := make([]int32, len(overlay))
		for i, m := range overlay {
			seq[i] = int32(len(wide.Events))
			wide.Events = append(wide.Events, m.copy)
			wide.Labels, wide.Own = append(wide.Labels, c.Labels[m.event]), append(wide.Own, c.Own[m.event])
			wide.Context, wide.Class = append(wide.Context, c.Context[m.event]), append(wide.Class, c.Class[m.event])
		}
		split.Sequences = append(split.Sequences, seq)
		split.FitEvents = append(split.FitEvents, seq...)
		split.Train = slide(split.Train, split.Sequences, len(split.Sequences)-1, s.Length, 1)
	}
	return &wide, &split, nil
}

// place is an event of a training sequence.
type place struct{ sequence, event int32 }

// moved is an event of an overlay.
type moved struct {
	event int32 // of which it is a copy
	copy  *audit.Event
}

// layTrack moves the pieces of one track, one after the other, to where the overlay begins.
func layTrack(c *Corpus, track []place, number int, source *uint32) []moved {
	var out []moved
	clock := time.Unix(0, 0).UTC()
	var shift time.Duration
	for i, p := range track {
		e := c.Events[p.event]
		if i == 0 || p.sequence != track[i-1].sequence || p.event < track[i-1].event {
			*source++
			if i > 0 {
				clock = clock.Add(restart)
			}
			shift = clock.Sub(e.RequestReceived)
		}
		clock = e.RequestReceived.Add(shift)
		if number > 0 && !c.Class[p.event].Has(User) {
			continue
		}
		moving := *e
		moving.RequestReceived, moving.Source = clock, *source
		out = append(out, moved{p.event, &moving})
	}
	return out
}
