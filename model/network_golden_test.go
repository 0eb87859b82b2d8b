package model

import (
	"fmt"
	"math"
	"os"
	"slices"
	"testing"

	"github.com/go-json-experiment/json"
	"gorgonia.org/tensor"

	"k8ntext/model/device"
)

// The golden file holds what Keras 3 computes in float64 from equal weights and data, see
// bench/peers/network_golden.py. What follows repeats its formulas.

type goldenCase struct {
	Name          string         `json:"name"`
	Window        int            `json:"window"`
	Batch         int            `json:"batch"`
	Fields        int            `json:"fields"`
	Classes       int            `json:"classes"`
	Vocabulary    int            `json:"vocabulary"`
	Dim           int            `json:"dim"`
	Units1        int            `json:"units1"`
	Units2        int            `json:"units2"`
	Padded        bool           `json:"padded"`
	Evaluate      float64        `json:"evaluate"`
	EvaluateAfter float64        `json:"evaluateAfter"`
	Losses        []float64      `json:"losses"`
	Gradients     []goldenTensor `json:"gradients"`
	Weights       []goldenTensor `json:"weights"`
}

// goldenTensor is a whole tensor (values), or its norm, a projection and some elements.
type goldenTensor struct {
	Name       string    `json:"name"`
	Values     []float64 `json:"values"`
	Norm       float64   `json:"norm"`
	Projection float64   `json:"projection"`
	Sample     []float64 `json:"sample"`
}

func goldenMix(index, stream int) uint32 {
	x := uint32(index)*0x9E3779B1 + uint32(stream+1)*0x85EBCA6B
	x ^= x >> 16
	x *= 0x7FEB352D
	x ^= x >> 15
	x *= 0x846CA68B
	return x ^ x>>16
}

func goldenUniform(i, stream int) float64 { return float64(goldenMix(i, stream))/(1<<31) - 1 }

func goldenWeights(c NetworkConfig) Weights {
	w := NewWeights(c, 0)
	trainable, statistics := 0, 100
	for i, s := range c.tensors() {
		stream := &trainable
		if !s.trainable {
			stream = &statistics
		}
		for j := range w[i].Data {
			u := goldenUniform(j, *stream)
			switch last := s.name[len(s.name)-4:]; {
			case last == "amma" || last == "ance":
				u = 1 + .1*u
			case last == "beta" || last == "mean" || last == "bias":
				u *= .1
			case last == "able":
				u *= .5
			default:
				u *= math.Sqrt(6 / float64(s.shape[0]+s.shape[1]))
			}
			w[i].Data[j] = float32(u)
		}
		*stream++
	}
	return w
}

func (g goldenCase) config() NetworkConfig {
	c := NetworkConfig{
		Window: g.Window, Fields: g.Fields, Components: 5, Classes: g.Classes,
		Input: InputIDs, Units1: g.Units1, Units2: g.Units2,
	}
	if g.Vocabulary > 0 {
		c.Input, c.Vocabulary, c.EmbeddingDim = InputEmbedding, g.Vocabulary, g.Dim
	}
	return c
}

func (g goldenCase) data() *Batch {
	rows := g.Window * g.Batch
	b := &Batch{
		IDs: make([]int32, rows*g.Fields), Targets: make([]int32, rows*5),
		Weight: make([]float32, rows), Present: make([]float32, rows),
	}
	values := 4
	if g.Vocabulary > 0 {
		values = g.Vocabulary / g.Fields
	}
	for i := range b.IDs {
		b.IDs[i] = int32(goldenMix(i, 1001) % uint32(values))
		if g.Vocabulary > 0 {
			b.IDs[i] += int32(i % g.Fields * values)
		}
	}
	for i := range b.Targets {
		b.Targets[i] = int32(goldenMix(i, 1002) % uint32(g.Classes))
	}
	for r := range rows {
		t, w := r/g.Batch, r%g.Batch
		b.Present[r], b.Weight[r] = 1, 1
		if !g.Padded {
			continue
		}
		switch {
		case t >= 3 && w == 1 || w == 3:
			b.Present[r] = 0
		case t == 1 && w == 0 || t == 0 && w == 1:
			b.Weight[r] = 0
		case t == 2 && w == 2:
			b.Weight[r] = .5
		}
	}
	return b
}

// difference is the relative difference of got from what the file says of a tensor.
func (t goldenTensor) difference(got []float32) float64 {
	if t.Values != nil {
		if len(got) != len(t.Values) {
			return math.Inf(1)
		}
		var square, norm float64
		for i, v := range t.Values {
			square += (float64(got[i]) - v) * (float64(got[i]) - v)
			norm += v * v
		}
		return math.Sqrt(square / norm)
	}
	var norm, projection float64
	for i, v := range got {
		norm += float64(v) * float64(v)
		projection += float64(v) * goldenUniform(i, 1004)
	}
	worst := max(math.Abs(math.Sqrt(norm)-t.Norm), math.Abs(projection-t.Projection))
	for i, v := range t.Sample {
		worst = max(worst, math.Abs(float64(got[int(goldenMix(i, 1003))%len(got)])-v))
	}
	return worst / t.Norm
}

// TestNetworkGolden compares the whole network with Keras: losses, every gradient, and weights and
// statistics after three steps of Adam.
func TestNetworkGolden(t *testing.T) {
	const tolerance = 1e-5 // relative, of the Euclidean norm of a tensor
	data, err := os.ReadFile("testdata/network_golden.json")
	if err != nil {
		t.Fatal(err)
	}
	var golden struct {
		Cases []goldenCase `json:"cases"`
	}
	if err := json.Unmarshal(data, &golden); err != nil {
		t.Fatal(err)
	}
	if len(golden.Cases) != 3 {
		t.Fatalf("%d cases, want 3", len(golden.Cases))
	}
	for _, e := range engines(t) {
		for _, g := range golden.Cases {
			t.Run(e.name+"/"+g.Name, func(t *testing.T) { checkGolden(t, g, e.options, tolerance) })
		}
	}
}

func checkGolden(t *testing.T, g goldenCase, o NetworkOptions, tolerance float64) {
	c := g.config()
	w := goldenWeights(c)
	o.Training = true
	n, err := NewNetwork(c, w, g.Batch, o)
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	worst := 0.
	same := func(what string, difference float64) {
		t.Helper()
		worst = max(worst, difference)
		if !(difference < tolerance) {
			t.Errorf("%s: relative difference %.2g, want below %g", what, difference, tolerance)
		}
	}
	loss := func(what string, got float64, err error, want float64) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		same(what, math.Abs(got-want)/want)
	}

	batch := g.data()
	got, _, err := n.Evaluate(batch)
	loss("evaluation before training", got, err, g.Evaluate)
	for i, want := range g.Losses {
		got, err := n.TrainStep(batch)
		loss(fmt.Sprintf("loss of step %d", i+1), got, err, want)
		if i > 0 {
			continue
		}
		if len(n.model) != len(g.Gradients) {
			t.Fatalf("%d gradients, want %d", len(n.model), len(g.Gradients))
		}
		for j, want := range g.Gradients {
			grad, err := n.model[j].Grad()
			if err != nil {
				t.Fatal(err)
			}
			data := grad.(*tensor.Dense).Float32s()
			if n.accelerator != nil {
				n.accelerator.Pull(data)
			}
			same("gradient of "+want.Name, want.difference(data))
		}
	}
	if err := n.Sync(); err != nil {
		t.Fatal(err)
	}
	if len(w) != len(g.Weights) {
		t.Fatalf("%d tensors, want %d", len(w), len(g.Weights))
	}
	for _, want := range g.Weights {
		i := slices.IndexFunc(w, func(t Tensor) bool { return t.Name == want.Name })
		if i < 0 {
			t.Fatalf("no tensor %s", want.Name)
		}
		same("after three steps "+want.Name, want.difference(w[i].Data))
	}
	got, _, err = n.Evaluate(batch)
	loss("evaluation after training", got, err, g.EvaluateAfter)
	t.Logf("largest relative difference: %.2g", worst)
}

func kernels(t testing.TB, name string) device.Kernels {
	t.Helper()
	k, err := device.Select(name)
	if err != nil {
		t.Fatal(err)
	}
	return k
}
