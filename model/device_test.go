package model

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"k8ntext/model/device"
	"k8ntext/model/device/opencl"
	"k8ntext/model/rnn"
)

// devices are the OpenCL devices of this machine.
func devices(t testing.TB) []*opencl.Device {
	t.Helper()
	list, err := opencl.Devices()
	if err != nil {
		t.Logf("no OpenCL device here: %v", err)
		if !errors.Is(err, opencl.ErrUnavailable) {
			t.Errorf("%v is not ErrUnavailable", err)
		}
	}
	return list
}

// testEngine is something that a network can run on here.
type testEngine struct {
	name    string
	options NetworkOptions
}

// engines are all kernels of the processor, OpenBLAS and every OpenCL device that this machine has.
func engines(t testing.TB) []testEngine {
	t.Helper()
	var all []testEngine
	for _, name := range device.Available() {
		all = append(all, testEngine{name, NetworkOptions{Kernels: kernels(t, name), Threads: 2}})
	}
	if k, err := device.OpenBLAS(); err == nil {
		all = append(all, testEngine{"openblas", NetworkOptions{Kernels: k, Threads: 2}})
	} else {
		t.Logf("no OpenBLAS here: %v", err)
	}
	for _, d := range devices(t) {
		all = append(all, testEngine{d.Name, NetworkOptions{Device: d}})
	}
	return all
}

func eachDevice(t *testing.T, f func(t *testing.T, d *opencl.Device)) {
	for _, d := range devices(t) {
		t.Run(d.Name, func(t *testing.T) { f(t, d) })
	}
}

// agree fails the test where two losses differ by more than a ten-thousandth, or by more than some
// bits at the first step, where no difference has grown yet.
func agree(t *testing.T, got, want []float64) {
	t.Helper()
	worst := 0.
	for i := range want {
		off := math.Abs(got[i]-want[i]) / want[i]
		worst = max(worst, off)
		if !(off < 1e-4) || i == 0 && !(off < 1e-6) {
			t.Errorf("loss %d is %v, want %v", i, got[i], want[i])
		}
	}
	t.Logf("%d losses from %.6f to %.6f; largest relative difference %.2g", len(want), want[0], want[len(want)-1], worst)
}

// TestDeviceTraining trains on the device and on the processor from equal weights, with dropout and
// padding, and compares losses in training and evaluation and the weights. The paper's network takes few
// steps: from some 20 at its learning rate on, differences of rounding have grown to that of any two engines
// (bench/README.md).
func TestDeviceTraining(t *testing.T) {
	paper := paperConfig()
	paper.Window = 12
	for _, c := range []struct {
		name  string
		shape NetworkConfig
		batch int
		steps uint64
	}{{"small", smallConfig(), 5, 60}, {"paper's widths", paper, 4, 6}, {"paper's network", paperConfig(), 2, 6}} {
		t.Run(c.name, func(t *testing.T) {
			train := func(o NetworkOptions) (losses []float64, w Weights) {
				o.Training, o.Seed = true, 3
				w = NewWeights(c.shape, 1)
				n := newNetwork(t, c.shape, w, c.batch, o)
				losses = trainSteps(t, n, c.shape, 0, c.steps)
				loss, _, err := n.Evaluate(randomBatch(c.shape, c.batch, 77))
				if err := errors.Join(err, n.Sync()); err != nil {
					t.Fatal(err)
				}
				return append(losses, loss), w
			}
			want, wantWeights := train(NetworkOptions{})
			eachDevice(t, func(t *testing.T, d *opencl.Device) {
				got, weights := train(NetworkOptions{Device: d})
				agree(t, got, want)
				for i, w := range weights {
					closeTo(t, w.Name, w.Data, wantWeights[i].Data, 1e-2)
				}
			})
		})
	}
}

// closeTo compares by the norm of the difference.
func closeTo(t *testing.T, what string, got, want []float32, tolerance float64) {
	t.Helper()
	var square, norm float64
	for i, v := range want {
		square += math.Pow(float64(got[i]-v), 2)
		norm += float64(v) * float64(v)
	}
	if !(math.Sqrt(square) <= tolerance*math.Sqrt(norm)) {
		t.Errorf("%s differs by %.2g of its norm", what, math.Sqrt(square/norm))
	}
}

// TestDeviceResume moves a training from the device to another network there, and on to the processor:
// the first must give the same bits as going on, the second nearly the same losses.
func TestDeviceResume(t *testing.T) {
	eachDevice(t, func(t *testing.T, d *opencl.Device) {
		c := smallConfig()
		o := NetworkOptions{Device: d, Training: true, Seed: 3, Adam: rnn.AdamOptions{LearningRate: .01}}
		w := NewWeights(c, 1)
		before := w.Clone()
		n := newNetwork(t, c, w, 5, o)
		trainSteps(t, n, c, 0, 5)
		sameWeights(t, "before Sync", w, before)
		state := n.OptimizerState() // which brings the weights, too
		saved := w.Clone()
		if state.Step != 5 || len(state.First) == 0 || state.First[0].Data[0] == 0 && state.First[0].Data[1] == 0 {
			t.Errorf("optimizer state at step %d with %d tensors of moments", state.Step, len(state.First))
		}
		want := trainSteps(t, n, c, 5, 10)
		if err := n.Close(); err != nil {
			t.Fatal(err)
		}

		resume := func(o NetworkOptions) (losses []float64, w Weights) {
			w = NewWeights(c, 9)
			n := newNetwork(t, c, w, 5, o)
			trainSteps(t, n, c, 0, 1) // something that resuming must undo
			if err := errors.Join(n.Sync(), w.CopyFrom(saved), n.SetOptimizerState(state)); err != nil {
				t.Fatal(err)
			}
			losses = trainSteps(t, n, c, 5, 10)
			if err := n.Sync(); err != nil {
				t.Fatal(err)
			}
			return losses, w
		}
		again, weights := resume(o)
		sameWeights(t, "resumed", weights, w)
		if fmt.Sprint(again) != fmt.Sprint(want) {
			t.Errorf("resumed losses %v, want %v", again, want)
		}
		o.Device = nil
		there, _ := resume(o)
		agree(t, there, want)
	})
}

// TestResumeOnAnotherEngine interrupts a training in the middle of its second epoch and goes on on another
// engine, from the portable kernels to every other and back.
func TestResumeOnAnotherEngine(t *testing.T) {
	c, corpus := toyConfig(), toyCorpus(60, 1)
	c.MaxEpochs, c.Patience = 3, 0
	train := func(ctx context.Context, o NetworkOptions, path string, hooks ...Hook) (*Tagger, []float64, error) {
		tagger, h, err := Train(ctx, c, corpus, toySplit(corpus, c.Window), TrainOptions{
			Seed: 3, Kernels: o.Kernels, Device: o.Device, Checkpoint: path, Hooks: hooks,
		})
		var losses []float64
		for _, e := range h.Epochs {
			losses = append(losses, e.Loss, e.ValidationLoss)
		}
		return tagger, losses, err
	}
	home := testEngine{"generic", NetworkOptions{Kernels: portable(t)}}
	_, want, err := train(t.Context(), home.options, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, other := range engines(t) {
		if other.name == home.name {
			continue
		}
		for _, way := range [][2]testEngine{{home, other}, {other, home}} {
			t.Run(way[0].name+" to "+way[1].name, func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "train.ckpt")
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				_, _, err := train(ctx, way[0].options, path, Hook{Name: "interrupt", Step: func(l *Loop) error {
					if l.state.Epoch == 2 && l.state.Step == 2 {
						cancel()
					}
					return nil
				}})
				if !errors.Is(err, context.Canceled) {
					t.Fatalf("interrupted: %v", err)
				}
				tagger, got, err := train(t.Context(), way[1].options, path)
				if err != nil {
					t.Fatal(err)
				}
				agree(t, got, want)
				engine := func(e testEngine) string {
					return device.Target{Kernels: e.options.Kernels, OpenCL: e.options.Device}.Name()
				}
				if k := engine(way[0]) + ", then " + engine(way[1]); tagger.Provenance.Kernels != k {
					t.Errorf("provenance: kernels %q, want %q", tagger.Provenance.Kernels, k)
				}
				// What is finished is nobody else's work.
				again, _, err := train(t.Context(), way[0].options, path)
				if err != nil {
					t.Fatal(err)
				}
				if again.Provenance.Kernels != tagger.Provenance.Kernels {
					t.Errorf("a finished training taken up: kernels %q", again.Provenance.Kernels)
				}
			})
		}
	}
}

// TestDeviceInference: with and without frozen weights, several networks at once on one device.
func TestDeviceInference(t *testing.T) {
	eachDevice(t, func(t *testing.T, d *opencl.Device) {
		c := smallConfig()
		w := NewWeights(c, 1)
		b := randomBatch(c, 5, 2)
		want, err := newNetwork(t, c, w, 5, NetworkOptions{}).Infer(b)
		if err != nil {
			t.Fatal(err)
		}
		var wait sync.WaitGroup
		for i := range 3 {
			wait.Go(func() {
				n := newNetwork(t, c, w, 5, NetworkOptions{Device: d, Frozen: i > 0})
				if n.Engine() != "opencl: "+d.Name {
					t.Errorf("runs on %s", n.Engine())
				}
				for range 3 {
					got, err := n.Infer(b)
					if err != nil {
						t.Error(err)
						return
					}
					for r, present := range b.Present {
						width := c.Components * c.Classes
						if present != 0 {
							closeTo(t, fmt.Sprintf("row %d", r), got[r*width:(r+1)*width], want[r*width:(r+1)*width], 1e-5)
						}
					}
				}
			})
		}
		wait.Wait()

		// Weights that are not frozen may change between batches.
		n := newNetwork(t, c, w, 5, NetworkOptions{Device: d})
		first, _, err := n.Evaluate(b)
		if err != nil {
			t.Fatal(err)
		}
		w[len(w)-5].Data[0] += 10
		second, _, err := n.Evaluate(b)
		if err != nil {
			t.Fatal(err)
		}
		if first == second {
			t.Error("a changed weight changed nothing")
		}
	})
}

// TestDeviceFailures: too little memory, and a device lost at work.
func TestDeviceFailures(t *testing.T) {
	eachDevice(t, func(t *testing.T, d *opencl.Device) {
		c := smallConfig()
		w := NewWeights(c, 1)
		b := randomBatch(c, 5, 2)
		small := *d
		small.Memory = 20000
		o := NetworkOptions{Device: &small, Training: true}
		if _, err := NewNetwork(c, w, 5, o); !errors.Is(err, opencl.ErrUnavailable) || !strings.Contains(err.Error(), "allocate") || !strings.Contains(err.Error(), "smaller batch") {
			t.Errorf("too little memory: error %v", err)
		}
		o.FallBack = true
		n := newNetwork(t, c, w, 5, o)
		if n.Engine() != device.Available()[0] {
			t.Errorf("fell back to %s", n.Engine())
		}
		if _, err := n.TrainStep(b); err != nil {
			t.Errorf("train after falling back: %v", err)
		}

		o.Device = d
		n = newNetwork(t, c, w, 5, o)
		n.accelerator.Close()
		for range 2 {
			if _, err := n.TrainStep(b); !errors.Is(err, opencl.ErrUnavailable) {
				t.Errorf("train on a lost device: error %v", err)
			}
		}
		if err := n.Sync(); !errors.Is(err, opencl.ErrUnavailable) {
			t.Errorf("fetch weights from a lost device: error %v", err)
		}

		want, _, err := newNetwork(t, c, w, 5, NetworkOptions{}).Evaluate(b)
		if err != nil {
			t.Fatal(err)
		}
		for _, fallBack := range []bool{false, true} {
			n = newNetwork(t, c, w, 5, NetworkOptions{Device: d, FallBack: fallBack})
			if _, _, err := n.Evaluate(b); err != nil {
				t.Fatal(err)
			}
			n.accelerator.Close()
			got, _, err := n.Evaluate(b)
			if !fallBack && !errors.Is(err, opencl.ErrUnavailable) {
				t.Errorf("evaluate on a lost device: error %v", err)
			}
			if fallBack && (err != nil || got != want || n.Engine() != device.Available()[0]) {
				t.Errorf("evaluate after falling back: %v, %v on %s; want %v", got, err, n.Engine(), want)
			}
		}
	})
}

// TestTrainOnDevice trains taggers: on a device, and on one that fails in the second epoch, where the
// processor takes over if it may.
func TestTrainOnDevice(t *testing.T) {
	c, corpus := toyConfig(), toyCorpus(60, 1)
	c.MaxEpochs, c.Patience = 3, 0
	train := func(o TrainOptions) (*Tagger, []float64, error) {
		o.Kernels, o.Seed = portable(t), 3
		tagger, h, err := Train(context.Background(), c, corpus, toySplit(corpus, c.Window), o)
		var losses []float64
		for _, e := range h.Epochs {
			losses = append(losses, e.Loss, e.ValidationLoss)
		}
		return tagger, losses, err
	}
	_, want, err := train(TrainOptions{})
	if err != nil {
		t.Fatal(err)
	}
	eachDevice(t, func(t *testing.T, d *opencl.Device) {
		tagger, got, err := train(TrainOptions{Device: d})
		if err != nil {
			t.Fatal(err)
		}
		agree(t, got, want)
		if tagger.Provenance.Kernels != "opencl: "+d.Name {
			t.Errorf("provenance: kernels %q", tagger.Provenance.Kernels)
		}
		there, err := tagger.Label(context.Background(), corpus.Events, VoteOptions{Device: d})
		if err != nil {
			t.Fatal(err)
		}
		here, err := tagger.Label(context.Background(), corpus.Events, VoteOptions{Kernels: portable(t)})
		if err != nil {
			t.Fatal(err)
		}
		differ := 0
		for i := range here {
			if here[i].Label != there[i].Label {
				differ++
			}
		}
		if differ > len(here)/100 {
			t.Errorf("%d of %d events get another label than on the processor", differ, len(here))
		}

		steps := 0
		lose := Hook{Name: "lose", Step: func(l *Loop) error {
			if steps++; l.state.Epoch == 2 && l.state.Step == 2 {
				if n := l.network.(*Network); n.accelerator != nil {
					n.accelerator.Close()
				}
			}
			return nil
		}}
		if _, _, err := train(TrainOptions{Device: d, Hooks: []Hook{lose}}); !errors.Is(err, opencl.ErrUnavailable) || !strings.Contains(err.Error(), "epoch 2, step 3") {
			t.Errorf("device lost: error %v", err)
		}
		tagger, got, err = train(TrainOptions{Device: d, FallBack: true, Hooks: []Hook{lose}})
		if err != nil {
			t.Fatalf("device lost, falling back: %v", err)
		}
		agree(t, got, want)
		if k := tagger.Provenance.Kernels; k != "opencl: "+d.Name+", then generic" {
			t.Errorf("provenance: kernels %q", k)
		}
	})
}
