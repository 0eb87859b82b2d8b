// Package problem is what the benchmarks measure: the paper's network with its first weights, and
// batches of windows of a real corpus. A problem can be written to files, so that programs in other
// languages compute the very same.
package problem

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-json-experiment/json"

	"k8ntext/dataset"
	"k8ntext/dataset/feature"
	"k8ntext/dataset/label"
	"k8ntext/model"
)

// Corpus is the embedded corpus that the batches are of.
const Corpus = "sequential-1.34"

// Batches is how many batches a problem has: enough for a few steps of training.
const Batches = 4

// LearningRate of the measured trainings. It is the paper's over forty: time does not depend on it,
// and losses of programs that round differently stay together for longer.
const LearningRate = 1e-4

// Problem is a network and data for it.
type Problem struct {
	Size    int // windows of a batch
	Config  model.NetworkConfig
	Weights model.Weights
	Batches []*model.Batch
}

// New makes the paper's network for windows of the given number of events, and batches of size
// windows from random places of the corpus. The same arguments give the same problem. Events whose
// label is not sure count as class 0 of each component, so that all rows weigh the same.
func New(ctx context.Context, window, size int) (*Problem, error) {
	corpus, err := dataset.Load(ctx, Corpus, label.Paper())
	if err != nil {
		return nil, fmt.Errorf("make a benchmark's problem: %w", err)
	}
	encoder := feature.Fit(feature.Paper(), corpus.Events)
	config := model.PaperConfig()
	config.Window = window
	p := &Problem{Size: size, Config: config.Network(encoder.Sizes(), corpus.Space.M())}
	if last := len(corpus.Events) - window; size < 1 || window < 1 || last < 0 {
		return nil, fmt.Errorf("make a benchmark's problem: %d windows of %d events: give at least one of 1 to %d events", size, window, len(corpus.Events))
	}
	p.Weights = model.NewWeights(p.Config, 1)
	ids := encoder.Matrix(corpus.Events)
	rng := rand.New(rand.NewPCG(1, 2))
	for range Batches {
		p.Batches = append(p.Batches, p.batch(corpus, ids, rng))
	}
	return p, nil
}

func (p *Problem) batch(corpus *dataset.Corpus, ids feature.Matrix, rng *rand.Rand) *model.Batch {
	c := p.Config
	b := &model.Batch{
		IDs:     make([]int32, 0, c.Window*p.Size*c.Fields),
		Targets: make([]int32, 0, c.Window*p.Size*c.Components),
	}
	starts := make([]int, p.Size)
	for i := range starts {
		starts[i] = rng.IntN(len(corpus.Events) - c.Window + 1)
	}
	for t := range c.Window {
		for _, start := range starts {
			b.IDs = append(b.IDs, ids.Row(start+t)...)
			for _, v := range corpus.Space.Components(corpus.Labels[start+t]) {
				b.Targets = append(b.Targets, int32(v))
			}
		}
	}
	return b
}

// Write writes the problem to a folder: config.json, ids-N.npy and targets-N.npy for each batch
// [window, batch, ...] int32, and each tensor as weights-NAME.npy with "/" of its name as "-".
func (p *Problem) Write(dir string) error {
	config, err := json.Marshal(map[string]int{
		"window": p.Config.Window, "batch": p.Size, "fields": p.Config.Fields, "batches": len(p.Batches),
		"components": p.Config.Components, "classes": p.Config.Classes, "units1": p.Config.Units1, "units2": p.Config.Units2,
	}, json.Deterministic(true))
	if err != nil {
		return fmt.Errorf("write problem: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "config.json"), append(config, '\n'), 0o644); err != nil {
		return fmt.Errorf("write problem: %w", err)
	}
	for i, b := range p.Batches {
		for name, a := range map[string][]int32{"ids": b.IDs, "targets": b.Targets} {
			path := filepath.Join(dir, fmt.Sprintf("%s-%d.npy", name, i))
			if err := writeNPY(path, "<i4", a, p.Config.Window, p.Size, len(a)/p.Config.Window/p.Size); err != nil {
				return err
			}
		}
	}
	return writeWeights(dir, p.Weights)
}

func writeWeights(dir string, weights model.Weights) error {
	for _, t := range weights {
		path := filepath.Join(dir, "weights-"+strings.ReplaceAll(t.Name, "/", "-")+".npy")
		if err := writeNPY(path, "<f4", t.Data, t.Shape...); err != nil {
			return err
		}
	}
	return nil
}

// writeNPY writes an array in NumPy's format, version 1.0:
// https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
func writeNPY(path, dtype string, data any, shape ...int) error {
	var dims strings.Builder
	for _, d := range shape {
		fmt.Fprintf(&dims, "%d, ", d)
	}
	header := fmt.Sprintf("{'descr': '%s', 'fortran_order': False, 'shape': (%s), }", dtype, dims.String())
	const before = len("\x93NUMPY\x01\x00") + 2
	header += strings.Repeat(" ", 63-(before+len(header))%64) + "\n" // the data begins at a multiple of 64

	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("write problem: %w", err)
	}
	defer f.Close()
	w := bufio.NewWriter(f)
	w.WriteString("\x93NUMPY\x01\x00")
	binary.Write(w, binary.LittleEndian, uint16(len(header)))
	w.WriteString(header)
	binary.Write(w, binary.LittleEndian, data)
	if err := w.Flush(); err != nil {
		return fmt.Errorf("write problem: %s: %w", path, err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("write problem: %w", err)
	}
	return nil
}
