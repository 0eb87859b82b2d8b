package main

import (
	"math"
	"testing"

	"k8ntext/bench/problem"
	"k8ntext/model"
)

// The contestant must compute what ours computes: the loss before the first step and after it. With
// 10 positions of 32 windows, rows beyond 255 take part (see build).
func TestLossesAreOurs(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles an unrolled graph, which takes minutes under the race detector")
	}
	p, err := problem.New(t.Context(), 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	got := losses(p, 2)
	if got.Error != "" || len(got.Losses) != 2 {
		t.Fatalf("got %+v", got)
	}
	c := p.Config
	c.Dropout = 0
	n, err := model.NewNetwork(c, p.Weights.Clone(), p.Size, model.NetworkOptions{Training: true})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	n.SetLearningRate(problem.LearningRate)
	for i, loss := range got.Losses {
		want, err := n.TrainStep(p.Batches[i])
		if err != nil {
			t.Fatal(err)
		}
		if !(math.Abs(loss-want) < 1e-5*want) {
			t.Errorf("loss %d is %v, ours %v", i+1, loss, want)
		}
	}
}
