package model

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"k8ntext/dataset"
	"k8ntext/dataset/audit"
	"k8ntext/dataset/feature"
	"k8ntext/dataset/label"
)

// Tagger is a trained model with all that it needs to label events: the encoder with its
// vocabularies, the label space, the weights, and where they came from.
type Tagger struct {
	Config     Config
	Encoder    *feature.Encoder
	Space      *label.Space
	Weights    Weights
	Provenance Provenance
}

// Digest identifies an event, see [audit.Event.Digest].
type Digest = [16]byte

// Provenance says how a model was made. It holds no time and no place, so that the same training
// gives the same bytes.
type Provenance struct {
	Corpus       string `json:"corpus"`        // name
	CorpusDigest string `json:"corpus_digest"` // see [dataset.Corpus]
	Protocol     string `json:"protocol"`      // how the corpus was cut
	Fold         int    `json:"fold"`          // -1: the protocol has no folds
	Seed         uint64 `json:"seed"`
	// Kernels is the engine that trained, or several in order, joined by ", then ": equal bits are
	// promised on one engine only. See [Network.Engine].
	Kernels   string `json:"kernels"`
	Commit    string `json:"commit"`     // of the program that trained; may be empty
	Epochs    int    `json:"epochs"`     // completed
	BestEpoch int    `json:"best_epoch"` // whose weights these are; from 1, 0: untrained
	// Loss is the monitored loss of that epoch.
	Loss float64 `json:"loss"`
	// Labels are those of the training windows' events, validation not counted: the seen labels.
	Labels []label.Label `json:"labels"` // distinct, ascending

	// TrainingEvents are the events that the training saw, in training or validation windows:
	// distinct and ascending.
	TrainingEvents []Digest `json:"-"`
}

// SeenInTraining tells whether the model was trained on the event.
func (p *Provenance) SeenInTraining(e *audit.Event) bool {
	d := e.Digest()
	_, found := slices.BinarySearchFunc(p.TrainingEvents, d, compareDigests)
	return found
}

// tiedLabels are the own labels of the events that event e is tied to.
func tiedLabels(tied feature.Matrix, own []label.Label, e int32) []label.Label {
	labels := make([]label.Label, tied.Fields)
	for k, x := range tied.Row(int(e)) {
		labels[k] = label.Unknown
		if x >= 0 {
			labels[k] = own[x]
		}
	}
	return labels
}

func compareDigests(a, b Digest) int { return bytes.Compare(a[:], b[:]) }

// Network is the shape of the tagger's network.
func (t *Tagger) Network() NetworkConfig {
	return t.Config.Network(t.Encoder.Sizes(), t.Space.M())
}

// LabelWindows gives what every single window says, without voting: for window i and position j the
// label at i*W+j that the most likely value of each component makes, as the paper scores windows.
// Positions behind the end of a short window are [label.Unknown], and so are impossible labels.
// Of o, Rule and Stride have no meaning here.
func (t *Tagger) LabelWindows(ctx context.Context, c *dataset.Corpus, split *dataset.Split, windows []dataset.Window, o VoteOptions) ([]label.Label, error) {
	o, err := o.withDefaults(t.Config.Window)
	if err != nil {
		return nil, fmt.Errorf("label windows: %w", err)
	}
	if split.Length != t.Config.Window {
		return nil, fmt.Errorf("label windows: the split has windows of %d events, the model of %d: cut the corpus for this model", split.Length, t.Config.Window)
	}
	network, err := NewNetwork(t.Network(), t.Weights, o.Batch, NetworkOptions{
		Kernels: o.Kernels, Device: o.Device, FallBack: o.FallBack, Threads: o.Threads, Frozen: true,
	})
	if err != nil {
		return nil, fmt.Errorf("label windows: %w", err)
	}
	defer network.Close()

	l := newLayout(t.Network(), t.Encoder.Sizes(), o.Batch)
	ids, tied := t.Encoder.Parts(c.Events, split.Sequences)
	s := newSamples(l, split, view{ids: ids, tied: tied}, nil, nil, t.Space)
	batch := l.newBatch()
	out := make([]label.Label, len(windows)*l.window)
	poll := newPoll(RuleMajority, t.Space, t.Config.ties())
	width := l.outputs * t.Space.M()
	for from := 0; from < len(windows); from += o.Batch {
		if ctx.Err() != nil {
			return nil, fmt.Errorf("label windows: %w", ended(ctx))
		}
		part := windows[from:min(from+o.Batch, len(windows))]
		s.gather(batch, part, nil)
		logp, err := network.Infer(batch)
		if err != nil {
			return nil, fmt.Errorf("label windows: %w", err)
		}
		for slot := range part {
			for pos := range l.window {
				row := pos*l.batch + slot
				lb := label.Unknown
				if batch.Present[row] != 0 {
					lb = poll.likeliest(logp[row*width:(row+1)*width], tiedLabels(tied, c.Own, split.Events(part[slot])[pos]))
				}
				out[(from+slot)*l.window+pos] = lb
			}
		}
	}
	return out, nil
}
