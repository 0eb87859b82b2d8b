package model

import (
	"math/rand/v2"

	"k8ntext/dataset"
	"k8ntext/dataset/feature"
	"k8ntext/dataset/label"
)

// The seeded streams of a training. Each use of chance draws from a stream of its own, so that how
// much one draws never moves another.
const (
	streamOrder   = 1 // which windows an epoch takes and in which order; one stream per epoch
	streamAugment = 2 // what is hidden in a window; one stream per epoch and place in its order
	streamDropout = 3
	streamBodies  = 4 // which windows are shown without bodies; as streamAugment
)

// DropoutSeed is the seed of the dropout in a training with the given seed, see [NetworkOptions].
func DropoutSeed(seed uint64) uint64 { return stream(seed, streamDropout, 0).Uint64() }

// stream is generator number n of a kind.
func stream(seed uint64, kind, n uint64) *rand.Rand {
	return rand.New(rand.NewPCG(seed, kind<<56|n))
}

// layout is the shape of a batch: row t*batch+slot holds event t of window slot (time-major), for
// that is the order in which a recurrent layer walks through it.
type layout struct {
	window, batch, fields int
	outputs               int     // softmaxes: targets of an event
	offsets               []int32 // of each field's ids in the one embedding table; nil for input "ids"
}

func newLayout(c NetworkConfig, sizes []int, batch int) layout {
	l := layout{window: c.Window, batch: batch, fields: len(sizes), outputs: c.Components}
	if c.Input == InputEmbedding {
		l.offsets = make([]int32, len(sizes))
		for f := 1; f < len(sizes); f++ {
			l.offsets[f] = l.offsets[f-1] + int32(sizes[f-1])
		}
	}
	return l
}

// newBatch is a batch of padding only.
func (l layout) newBatch() *Batch {
	rows := l.window * l.batch
	b := &Batch{
		IDs:     make([]int32, rows*l.fields),
		Targets: make([]int32, rows*l.outputs),
		Weight:  make([]float32, rows),
		Present: make([]float32, rows),
	}
	for slot := range l.batch {
		l.pad(b, slot, 0)
	}
	return b
}

// put writes an event at place t of a window and gives its row.
func (l layout) put(b *Batch, t, slot int, ids []int32) int {
	row := t*l.batch + slot
	dst := b.IDs[row*l.fields : (row+1)*l.fields]
	copy(dst, ids)
	for f, o := range l.offsets {
		dst[f] += o
	}
	b.Present[row] = 1
	b.Weight[row] = 0
	return row
}

// pad makes places from on of a window absent: the network's state stays zero there, batch
// statistics and loss leave them out. Their ids are valid, for they are looked up all the same.
func (l layout) pad(b *Batch, slot, from int) {
	for t := from; t < l.window; t++ {
		row := t*l.batch + slot
		dst := b.IDs[row*l.fields : (row+1)*l.fields]
		clear(dst)
		copy(dst, l.offsets)
		clear(b.Targets[row*l.outputs : (row+1)*l.outputs])
		b.Present[row] = 0
		b.Weight[row] = 0
	}
}

// samples are a split's events, encoded once, from which batches are gathered by (sequence, start).
type samples struct {
	layout
	split   *dataset.Split
	logged  view       // the events as they were logged
	bare    *view      // as level Metadata would log them; nil: never shown
	bodies  float64    // probability with which a window is shown bare
	scored  []bool     // false: cause not sure or not in the space; input only
	augment *augmenter // nil: nothing is hidden
}

// view is what a log shows of the events of a corpus.
type view struct {
	ids     feature.Matrix // row per event
	tied    feature.Matrix // likewise, see [feature.Encoder.Parts]
	targets []int32        // rows x outputs
}

// newSamples makes samples of events whose labels and own labels are given; none for inference.
func newSamples(l layout, split *dataset.Split, logged view, labels, own []label.Label, space labelSpace) *samples {
	s := &samples{layout: l, split: split, logged: logged, scored: make([]bool, logged.ids.Rows)}
	for i, lb := range labels {
		s.scored[i] = lb >= 0
	}
	s.logged.aim(l, labels, own, space)
	return s
}

// showBare shows training windows with a probability as a log without bodies would have them.
func (s *samples) showBare(bare view, probability float64, labels, own []label.Label, space labelSpace) {
	bare.aim(s.layout, labels, own, space)
	s.bare, s.bodies = &bare, probability
}

// aim sets the targets: the parts of each label, and which tie has it.
func (v *view) aim(l layout, labels, own []label.Label, space labelSpace) {
	v.targets = make([]int32, v.ids.Rows*l.outputs)
	for i, lb := range labels {
		if lb < 0 {
			continue
		}
		target := v.targets[i*l.outputs : (i+1)*l.outputs]
		parts := space.Components(lb)
		for k, c := range parts[:min(l.outputs, components)] {
			target[k] = int32(c)
		}
		if l.outputs <= components {
			continue
		}
		for k, x := range v.tied.Row(i) {
			if x >= 0 && own[x] == lb {
				target[components] = int32(k) + 1 // the first that has it; 0: none
				break
			}
		}
	}
}

// anyScored tells whether the windows hold an event with a label.
func (s *samples) anyScored(windows []dataset.Window) bool {
	for _, w := range windows {
		for _, e := range s.split.Events(w) {
			if s.scored[e] {
				return true
			}
		}
	}
	return false
}

// gather fills b with up to batch windows; the rest is padding. rng gives the generator of a
// stream that decides what to hide in the i-th of the windows; nil hides nothing. The loss weights' sum is returned: 0
// means that the batch has nothing to learn from.
func (s *samples) gather(b *Batch, windows []dataset.Window, rng func(kind uint64, i int) *rand.Rand) (weight float64) {
	for slot := range s.batch {
		if slot >= len(windows) {
			s.pad(b, slot, 0)
			continue
		}
		shown := &s.logged
		if s.bare != nil && rng != nil && rng(streamBodies, slot).Float64() < s.bodies {
			shown = s.bare
		}
		events := s.split.Events(windows[slot])
		for t, e := range events {
			row := s.put(b, t, slot, shown.ids.Row(int(e)))
			copy(b.Targets[row*s.outputs:(row+1)*s.outputs], shown.targets[int(e)*s.outputs:])
			if s.scored[e] {
				b.Weight[row] = 1
				weight++
			}
		}
		s.pad(b, slot, len(events))
		if s.augment != nil && rng != nil {
			s.augment.hide(b, s.layout, slot, len(events), rng(streamAugment, slot))
		}
	}
	return weight
}

// augmenter hides from training windows what a foreign log may lack.
type augmenter struct {
	dropUserAgent float64
	dropValue     float64
	userAgent     []int   // fields
	unknown       []int32 // per field
	absent        []int32
}

func newAugmenter(c Config, e *feature.Encoder) *augmenter {
	if c.DropUserAgent == 0 && c.DropValue == 0 {
		return nil
	}
	a := &augmenter{dropUserAgent: c.DropUserAgent, dropValue: c.DropValue, userAgent: e.UserAgentFields()}
	for f := range e.Sizes() {
		a.unknown = append(a.unknown, e.UnknownID(f))
		a.absent = append(a.absent, e.AbsentID(f))
	}
	return a
}

// hide changes the first length places of a window.
func (a *augmenter) hide(b *Batch, l layout, slot, length int, rng *rand.Rand) {
	// The draws come first and are always the same number, so that one probability does not move the
	// outcomes of the other.
	agentDraw, agentKind, key := rng.Float64(), rng.Uint64(), rng.Uint64()
	if a.dropValue > 0 {
		threshold := uint64(a.dropValue * (1 << 63) * 2)
		for t := range length {
			row := t*l.batch + slot
			for f, id := range b.IDs[row*l.fields : (row+1)*l.fields] {
				shift := l.offset(f)
				// A value that a vocabulary lacks is lacking wherever it occurs, so the fate of a value
				// is drawn once per window: by a hash of it instead of a table of draws.
				if id != shift+a.absent[f] && mix(key^uint64(f)<<32^uint64(uint32(id))) < threshold {
					b.IDs[row*l.fields+f] = shift + a.unknown[f]
				}
			}
		}
	}
	if agentDraw < a.dropUserAgent {
		as := a.absent
		if agentKind&1 == 1 {
			as = a.unknown
		}
		for t := range length {
			row := t*l.batch + slot
			for _, f := range a.userAgent {
				b.IDs[row*l.fields+f] = l.offset(f) + as[f]
			}
		}
	}
}

func (l layout) offset(field int) int32 {
	if l.offsets == nil {
		return 0
	}
	return l.offsets[field]
}

// mix is the finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): every input bit moves
// every output bit.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// EpochWindows are the training windows of an epoch, from 1, in the order in which [Train] shows them, for
// a program that is to repeat a training.
func EpochWindows(c Config, split *dataset.Split, seed uint64, epoch int) []dataset.Window {
	rng := stream(seed, streamOrder, uint64(epoch))
	windows := strided(split, c.Stride, rng.IntN(c.Stride))
	rng.Shuffle(len(windows), func(i, j int) { windows[i], windows[j] = windows[j], windows[i] })
	if c.WindowsPerEpoch > 0 && len(windows) > c.WindowsPerEpoch {
		windows = windows[:c.WindowsPerEpoch]
	}
	return windows
}

// strided picks every stride-th training window from the offset-th on, and every padded one, which no
// neighbour can stand in for. It counts windows instead of looking at their starts, so that it also
// thins windows that are not one event apart.
func strided(split *dataset.Split, stride, offset int) []dataset.Window {
	picked := make([]dataset.Window, 0, len(split.Train)/stride+1)
	n := 0
	for _, w := range split.Train {
		if len(split.Sequences[w.Sequence]) <= split.Length {
			picked = append(picked, w)
			continue
		}
		if n%stride == offset {
			picked = append(picked, w)
		}
		n++
	}
	if len(picked) == 0 { // fewer windows than the offset
		return append(picked, split.Train...)
	}
	return picked
}

// validationWindows are every n-th of the split's.
func validationWindows(c Config, split *dataset.Split) []dataset.Window {
	var out []dataset.Window
	for i := 0; i < len(split.Validation); i += c.ValidationStride {
		out = append(out, split.Validation[i])
	}
	return out
}
