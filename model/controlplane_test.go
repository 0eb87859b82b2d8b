package model

import (
	"bytes"
	"testing"

	"k8ntext/dataset/audit"
	"k8ntext/dataset/label"
)

// TestControlPlane trains the reference's binary mode: one softmax of two classes, voted by every rule.
func TestControlPlane(t *testing.T) {
	c := toyConfig()
	c.Labels, c.MaxEpochs, c.Stride = label.ControlPlane().Name(), 20, 1
	corpus := toyCorpus(120, 1)
	deployment := corpus.Space.Own(&audit.Event{
		Verb: "create", RequestURI: "/apis/apps/v1/namespaces/default/deployments",
		ObjectRef: &audit.ObjectRef{APIGroup: "apps", APIVersion: "v1", Resource: "deployments", Namespace: "default"},
	})
	corpus.Space = label.ControlPlane()
	for i, e := range corpus.Events {
		corpus.Own[i] = corpus.Space.Own(e)
		switch corpus.Labels[i] {
		case label.Unknown:
		case deployment:
			corpus.Labels[i] = label.UserAction
		default:
			corpus.Labels[i] = label.ControlPlaneEvent
		}
	}
	tagger, _, err := Train(t.Context(), c, corpus, toySplit(corpus, c.Window), TrainOptions{Seed: 1, Kernels: kernels(t, "generic")})
	if err != nil {
		t.Fatal(err)
	}
	if n := tagger.Network(); n.Components != 1 || n.Classes != 2 {
		t.Fatalf("the network has %d softmaxes of %d classes, want one of two", n.Components, n.Classes)
	}
	read, err := Read(bytes.NewReader(fileBytes(t, tagger)))
	if err != nil {
		t.Fatal(err)
	}
	for _, rule := range []string{RuleSum, RuleMajority, RuleCentre} {
		predictions, err := read.Label(t.Context(), corpus.Events, VoteOptions{Rule: rule, Kernels: kernels(t, "generic")})
		if err != nil {
			t.Fatal(err)
		}
		right, known := 0, 0
		for i, p := range predictions {
			if corpus.Labels[i] != label.Unknown {
				known++
			}
			if p.Label == corpus.Labels[i] {
				right++
			}
			if p.Margin < 0 || p.Margin > 1 {
				t.Fatalf("rule %s: margin %g", rule, p.Margin)
			}
		}
		if share := float64(right) / float64(known); share < .95 {
			t.Errorf("rule %s: %.2f of the events are right; the events before them tell", rule, share)
		}
	}

	c.Copy, c.Features = true, "linked"
	if err := c.Validate(); err == nil {
		t.Error("copying labels is accepted where there are two")
	}
}
