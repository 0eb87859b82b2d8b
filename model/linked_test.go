package model

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"k8ntext/dataset"
	"k8ntext/dataset/audit"
	"k8ntext/dataset/feature"
	"k8ntext/dataset/label"
)

// errands is a log in which a person creates an object of one of the resources and a controller then
// changes it; a lease is renewed in between. The label of the controller's request is the person's.
func errands(n int, seed uint64, resources ...string) *dataset.Corpus {
	rng := rand.New(rand.NewPCG(seed, 1))
	c := &dataset.Corpus{Name: "errands", Digest: fmt.Sprint(n, seed, resources), Space: label.Paper()}
	add := func(user, verb, resource, name string, cause int) {
		e := &audit.Event{
			AuditID: fmt.Sprintf("id-%d-%d", seed, len(c.Events)), Level: "RequestResponse", Verb: verb, User: audit.User{Username: user},
			ObjectRef:       &audit.ObjectRef{APIVersion: "v1", Resource: resource, Namespace: "default", Name: name},
			RequestURI:      "/api/v1/namespaces/default/" + resource,
			RequestReceived: time.Unix(1700000000+int64(len(c.Events)), 0).UTC(),
			ResponseStatus:  &audit.ResponseStatus{Code: 200},
			ResponseObject:  []byte(`{"kind":"Any"}`),
		}
		if resource == "leases" {
			e.ObjectRef.APIGroup, e.RequestURI = "coordination.k8s.io", "/apis/coordination.k8s.io/v1/leases"
		}
		c.Events = append(c.Events, e)
		c.Own = append(c.Own, c.Space.Own(e))
		c.Labels = append(c.Labels, c.Own[cause])
		c.Class = append(c.Class, dataset.User)
	}
	for i := range n {
		resource, name := resources[rng.IntN(len(resources))], fmt.Sprint("thing-", i)
		cause := len(c.Events)
		add("alice", "create", resource, name, cause)
		if rng.IntN(2) == 0 {
			add("system:node:n1", "update", "leases", "n1", cause+1)
		}
		add("system:kube-controller-manager", "update", resource, name, cause)
	}
	c.Context = make([]int32, len(c.Events))
	return c
}

func errandConfig() Config {
	c := toyConfig()
	c.Features, c.Copy = "linked", true
	c.Without = allBut(feature.Linked(), "user.class", "verb", "objectRef.resource", "choice.by", "cause.age", "level", "responseObject.kind")
	c.MaxEpochs = 15
	return c
}

// What was never a label in training can be one all the same: the network points at it.
func TestCopyGivesLabelsThatTrainingNeverHad(t *testing.T) {
	corpus := errands(60, 1, "services", "configmaps", "secrets", "pods")
	foreign := errands(40, 2, "endpoints", "persistentvolumeclaims", "limitranges")
	right := func(c Config) float64 {
		tagger, _, err := Train(context.Background(), c, corpus, toySplit(corpus, c.Window), TrainOptions{Seed: 1, Kernels: portable(t)})
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := tagger.Write(&b); err != nil {
			t.Fatal(err)
		}
		if tagger, err = Read(&b); err != nil {
			t.Fatal(err)
		}
		n, good := 0, 0
		for _, o := range []VoteOptions{{}, {Rule: RuleMajority, Stride: 2}} {
			o.Kernels = portable(t)
			got, err := tagger.Label(context.Background(), foreign.Events, o)
			if err != nil {
				t.Fatal(err)
			}
			for i, p := range got {
				n++
				if p.Label == foreign.Labels[i] {
					good++
				}
			}
		}
		return float64(good) / float64(n)
	}
	c := errandConfig()
	if share := right(c); share < .9 {
		t.Errorf("%.3f of the events right", share)
	}
	c.Copy = false
	if share := right(c); share > .5 {
		t.Errorf("%.3f right without: the test shows nothing", share)
	}
}

// Windows show bodies or none, whole windows and by chance of their own.
func TestBodyDropout(t *testing.T) {
	c := errandConfig()
	c.BodyDropout = 0.5
	corpus := errands(40, 1, "services", "pods")
	split := toySplit(corpus, c.Window)
	bare := bareEvents(corpus.Events)
	p, err := c.profile()
	if err != nil {
		t.Fatal(err)
	}
	e := fitEncoder(p, corpus.Events, bare, split)
	l := newLayout(c.Network(e.Sizes(), corpus.Space.M()), e.Sizes(), 1)
	encode := func(events []*audit.Event) view {
		ids, tied := e.Parts(events, split.Sequences)
		return view{ids: ids, tied: tied}
	}
	s := newSamples(l, split, encode(corpus.Events), corpus.Labels, corpus.Own, corpus.Space)
	s.showBare(encode(bare), c.BodyDropout, corpus.Labels, corpus.Own, corpus.Space)

	shown := func(v view, w dataset.Window) []int32 {
		b := l.newBatch()
		for i, x := range split.Events(w) {
			l.put(b, i, 0, v.ids.Row(int(x)))
		}
		return b.IDs
	}
	b := l.newBatch()
	logged, without := 0, 0
	for i, w := range split.Train {
		s.gather(b, []dataset.Window{w}, func(kind uint64, _ int) *rand.Rand { return stream(3, kind, uint64(i)) })
		switch {
		case slices.Equal(b.IDs, shown(s.logged, w)):
			logged++
		case slices.Equal(b.IDs, shown(*s.bare, w)):
			without++
		default:
			t.Fatalf("window %d is neither as logged nor without bodies", i)
		}
		s.gather(b, []dataset.Window{w}, nil)
		if !slices.Equal(b.IDs, shown(s.logged, w)) {
			t.Fatal("without chance a window is not shown as logged")
		}
	}
	if share := float64(without) / float64(logged+without); share < .35 || share > .65 {
		t.Errorf("%d windows as logged, %d without bodies", logged, without)
	}
}

// Overlays are shown, but the model's papers speak of the corpus.
func TestTrainWithOverlays(t *testing.T) {
	c := errandConfig()
	c.MaxEpochs, c.Interleave, c.BodyDropout = 2, 3, .3
	corpus := errands(40, 1, "services", "pods")
	split := toySplit(corpus, c.Window)
	train := func(c Config) (*Tagger, *History) {
		tagger, history, err := Train(context.Background(), c, corpus, split, TrainOptions{Seed: 1, Kernels: portable(t)})
		if err != nil {
			t.Fatal(err)
		}
		return tagger, history
	}
	tagger, history := train(c)
	if got, want := tagger.Provenance.TrainingEvents, trainingEvents(corpus, split); !slices.Equal(got, want) {
		t.Errorf("the model says that it was trained on %d events, not the %d of the corpus", len(got), len(want))
	}
	again, _ := train(c)
	if !slices.Equal(fileBytes(t, tagger), fileBytes(t, again)) {
		t.Error("the same seed gives another model")
	}
	c.Interleave = 0
	if _, plain := train(c); history.Epochs[0].Windows < 2*plain.Epochs[0].Windows {
		t.Errorf("%d windows of an epoch with overlays, %d without", history.Epochs[0].Windows, plain.Epochs[0].Windows)
	}
}

// What looks ahead makes events wait; each comes out once, in order, and as without streaming.
func TestLinkedStreamsAsItLabels(t *testing.T) {
	c := errandConfig()
	c.MaxEpochs = 2
	corpus := errands(40, 1, "services", "pods")
	tagger, _, err := Train(context.Background(), c, corpus, toySplit(corpus, c.Window), TrainOptions{Seed: 1, Kernels: portable(t)})
	if err != nil {
		t.Fatal(err)
	}
	events := errands(30, 5, "services", "secrets").Events
	for i := 0; i < len(events); i += 4 { // what a person reads waits for what follows
		events[i].Verb, events[i].User.Username = "get", "bob"
	}
	want, err := tagger.Label(t.Context(), events, VoteOptions{Kernels: portable(t)})
	if err != nil {
		t.Fatal(err)
	}
	l, err := tagger.Labeler(VoteOptions{Kernels: portable(t), Batch: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for range 2 { // a flush ends the log: the next one starts anew
		out, _ := labelStream(t, l, events)
		if len(out) != len(events) {
			t.Fatalf("%d of %d events came out", len(out), len(events))
		}
		for i, p := range out {
			if p.Event != events[i] || p.Label != want[i].Label || math.Abs(p.Margin-want[i].Margin) > 1e-9 {
				t.Fatalf("event %d: %+v, want %+v", i, p.Prediction, want[i])
			}
		}
	}
}

func TestChooseAmongTies(t *testing.T) {
	space := label.Paper()
	a, b, c := space.Labels()[10], space.Labels()[200], space.Labels()[700]
	for _, test := range []struct {
		name   string
		parts  label.Label
		scores []float64 // of the tie softmax, as probabilities: none, then the ties
		tied   []label.Label
		want   label.Label
	}{
		{"none of them", a, []float64{.9, .1, 0}, []label.Label{b, label.Unknown}, a},
		{"one of them", a, []float64{.1, .9, 0}, []label.Label{b, label.Unknown}, b},
		{"two that agree outweigh the third", a, []float64{.1, .4, .25, .25}, []label.Label{b, c, c}, c},
		{"one that is not there has no say", a, []float64{.1, .2, .7}, []label.Label{b, label.Unknown}, b},
		{"a tie and the parts agree", a, []float64{.4, .35, .25}, []label.Label{b, a}, a},
	} {
		for _, rule := range []string{RuleSum, RuleMajority} {
			if rule == RuleMajority && test.name != "none of them" && test.name != "one of them" {
				continue // it looks at the likeliest tie alone
			}
			p := newPoll(rule, space, len(test.tied))
			logp := append(logits(space, test.parts), make([]float32, p.m)...)
			for k := range p.m {
				logp[components*p.m+k] = -30
				if k < len(test.scores) {
					logp[components*p.m+k] = float32(math.Log(max(test.scores[k], 1e-9)))
				}
			}
			tally := p.newTally()
			p.add(tally, logp, test.tied, 0, 3)
			p.add(tally, logp, test.tied, 1, 3)
			if got := p.result(tally, test.tied); got.Label != test.want || got.Margin < 0 || got.Confidence < got.Margin-1e-9 || got.Confidence > 1 {
				t.Errorf("%s, %s: %d with margin %v and confidence %v, want %d", rule, test.name, got.Label, got.Margin, got.Confidence, test.want)
			}
		}
	}
}
