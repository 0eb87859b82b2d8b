package model

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"k8ntext/dataset"
	"k8ntext/dataset/audit"
	"k8ntext/dataset/feature"
	"k8ntext/dataset/label"
	"k8ntext/model/device"
)

// toyCorpus is a log of blocks: a person creates a Deployment and controllers create its ReplicaSet
// and Pod; a controller creates a Job and its Pod; a lease is renewed. So what caused a Pod can only
// be told from the events before it. Every ninth block's last event has no sure cause.
func toyCorpus(blocks int, seed uint64) *dataset.Corpus {
	rng := rand.New(rand.NewPCG(seed, 0))
	space := label.Paper()
	c := &dataset.Corpus{Name: "toy", Digest: fmt.Sprintf("toy-%d-%d", blocks, seed), Space: space}
	add := func(verb, group, resource, name, user, agent string) {
		i := len(c.Events)
		e := &audit.Event{
			AuditID: fmt.Sprintf("id-%d-%d", seed, i), Level: "Metadata", Verb: verb, UserAgent: agent,
			RequestURI: "/apis/" + group + "/v1/namespaces/default/" + resource + "/" + name,
			User:       audit.User{Username: user},
			ObjectRef: &audit.ObjectRef{
				APIGroup: group, APIVersion: "v1", Resource: resource, Namespace: "default", Name: name,
			},
			RequestReceived: time.Unix(1700000000+int64(i), 0).UTC(),
		}
		c.Events = append(c.Events, e)
		c.Own = append(c.Own, space.Own(e))
	}
	const manager = "kube-controller-manager/v1.34.4 (linux/amd64) kubernetes/abc"
	for b := range blocks {
		first := len(c.Events)
		switch rng.IntN(3) {
		case 0:
			add("create", "apps", "deployments", "", "alice", "kubectl/v1.34.4 (linux/amd64) kubernetes/abc")
			add("create", "apps", "replicasets", "", "system:serviceaccount:kube-system:deployment-controller", manager)
			add("create", "", "pods", "", "system:serviceaccount:kube-system:replicaset-controller", manager)
		case 1:
			add("create", "batch", "jobs", "", "system:serviceaccount:kube-system:cronjob-controller", manager)
			add("create", "", "pods", "", "system:serviceaccount:kube-system:replicaset-controller", manager)
		case 2:
			add("update", "coordination.k8s.io", "leases", "node-1", "system:node:node-1", "kubelet/v1.34.4 (linux/amd64) kubernetes/abc")
		}
		for range len(c.Events) - first {
			c.Labels = append(c.Labels, c.Own[first])
		}
		if b%9 == 8 {
			c.Labels[len(c.Labels)-1] = label.Unknown
		}
	}
	c.Context = make([]int32, len(c.Events))
	c.Class = make([]dataset.Class, len(c.Events))
	return c
}

// toySplit takes all windows of the first four fifths for training and those of the rest for
// validation.
func toySplit(c *dataset.Corpus, length int) *dataset.Split {
	cut := len(c.Events) * 4 / 5
	s := &dataset.Split{Protocol: "toy", Fold: -1, Length: length, Sequences: [][]int32{nil, nil}}
	for i := range int32(len(c.Events)) {
		part := 0
		if int(i) >= cut {
			part = 1
		}
		s.Sequences[part] = append(s.Sequences[part], i)
	}
	s.FitEvents = s.Sequences[0]
	for i := range max(len(s.Sequences[0])-length, 0) + 1 {
		s.Train = append(s.Train, dataset.Window{Sequence: 0, Start: int32(i)})
	}
	for i := range max(len(s.Sequences[1])-length, 0) + 1 {
		s.Validation = append(s.Validation, dataset.Window{Sequence: 1, Start: int32(i)})
	}
	return s
}

// toyConfig is a network of a few units over four fields.
func toyConfig() Config {
	c := PaperConfig()
	c.Window = 6
	c.Features = "honest"
	c.Without = allBut(feature.Honest(), "verb", "user.class", "userAgent.tool", "objectRef.resource")
	c.Input, c.Embedding = InputEmbedding, 8
	c.Units1, c.Units2, c.Dropout = 8, 8, 0.1
	c.Batch, c.MaxEpochs, c.LearningRate = 8, 12, 0.02
	c.Stride, c.ValidationStride = 2, 2
	c.DropUserAgent, c.DropValue = 0.2, 0.02
	return c
}

func allBut(p feature.Profile, keep ...string) []string {
	var out []string
	for _, f := range p.Fields() {
		if !slices.Contains(keep, f.Path) {
			out = append(out, f.Path)
		}
	}
	return out
}

// toyTagger is an untrained tagger, small enough to flip every byte of its file.
func toyTagger(t testing.TB, window int) *Tagger {
	t.Helper()
	c := toyConfig()
	c.Window, c.Embedding, c.Units1, c.Units2 = window, 2, 1, 1
	p, err := c.profile()
	if err != nil {
		t.Fatal(err)
	}
	corpus := toyCorpus(20, 1)
	tagger := &Tagger{
		Config: c, Encoder: feature.Fit(p, corpus.Events), Space: corpus.Space,
		Provenance: Provenance{
			Corpus: "toy", CorpusDigest: corpus.Digest, Protocol: "toy", Fold: -1, Seed: 1, Kernels: "generic",
			TrainingEvents: trainingEvents(corpus, toySplit(corpus, window)),
		},
	}
	tagger.Weights = NewWeights(tagger.Network(), 1)
	return tagger
}

// portable are the kernels whose bits the same on every machine.
func portable(t testing.TB) device.Kernels {
	t.Helper()
	k, err := device.Select("generic")
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func fileBytes(t testing.TB, tagger *Tagger) []byte {
	t.Helper()
	var b strings.Builder
	if err := tagger.Write(&b); err != nil {
		t.Fatal(err)
	}
	return []byte(b.String())
}
