package baseline

import (
	"context"

	"k8ntext/dataset"
	"k8ntext/dataset/audit"
	"k8ntext/dataset/feature"
	"k8ntext/dataset/label"
)

// propagation gives an event the own label of the event that it goes back to by identity: by uid, owner,
// name and namespace, and for what people read by the client's other requests. [feature.Causes] says how;
// a network that sees the profile linked is told nearly as much, so it has to add to this. What a
// control-plane rule decides (leases, say) has the rule's label. It needs no training.
type propagation struct{}

func (propagation) Name() string { return "identity" }

func (propagation) Fit(_ context.Context, d Data) (Predictor, error) {
	return propagator{d.Corpus}, nil
}

type propagator struct{ corpus *dataset.Corpus }

func (propagator) Note() string { return "" }

// Predict sees nothing before the first of the events: like every running state it starts anew with
// the part that it is asked about.
func (p propagator) Predict(ctx context.Context, events []int32) ([]label.Label, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	log := make([]*audit.Event, len(events))
	for i, e := range events {
		log[i] = p.corpus.Events[e]
	}
	labels := make([]label.Label, len(events))
	for i, cause := range feature.Causes(log) {
		labels[i] = p.corpus.Own[events[cause]]
		if l, _ := p.corpus.Space.Rule(log[i]); l != label.Unknown {
			labels[i] = l
		}
	}
	return labels, nil
}
