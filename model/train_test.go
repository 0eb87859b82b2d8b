package model

import (
	"bytes"
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8ntext/dataset"
	"k8ntext/dataset/label"
)

func toyTrain(t testing.TB, c Config, o TrainOptions) (*Tagger, *History, error) {
	t.Helper()
	corpus := toyCorpus(60, 1)
	o.Kernels = portable(t)
	return Train(context.Background(), c, corpus, toySplit(corpus, c.Window), o)
}

// The label of a Pod depends on what came before it: a network that learned only what an event says
// itself gets every Pod of one of the two kinds wrong.
func TestTrainLearnsToLookBack(t *testing.T) {
	c := toyConfig()
	c.MaxEpochs = 40
	tagger, history, err := toyTrain(t, c, TrainOptions{Seed: 2, Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	if history.Best == 0 || history.Stopped == "" || tagger.Provenance.BestEpoch != history.Best {
		t.Errorf("history %+v", history)
	}
	if first, best := history.Epochs[0].ValidationAccuracy, history.Epochs[history.Best-1].ValidationAccuracy; best <= first || best > 1 {
		t.Errorf("validation accuracy %g after the first epoch, %g after the best", first, best)
	}
	unseen := toyCorpus(80, 99)
	for _, o := range []VoteOptions{{}, {Stride: 3}, {Rule: RuleMajority}, {Rule: RuleCentre, Stride: 2}} {
		o.Kernels = portable(t)
		got, err := tagger.Label(context.Background(), unseen.Events, o)
		if err != nil {
			t.Fatal(err)
		}
		right, n, ownRight := 0, 0, 0
		for i, p := range got {
			if unseen.Labels[i] == label.Unknown {
				continue
			}
			n++
			if p.Label == unseen.Labels[i] {
				right++
			}
			if unseen.Own[i] == unseen.Labels[i] {
				ownRight++
			}
		}
		if share := float64(right) / float64(n); share < .9 {
			t.Errorf("%+v: %.3f of the events right, own labels %.3f", o, share, float64(ownRight)/float64(n))
		}
	}
	corpus := toyCorpus(60, 1)
	if !tagger.Provenance.SeenInTraining(corpus.Events[0]) || tagger.Provenance.SeenInTraining(unseen.Events[0]) {
		t.Error("the tagger does not know what it was trained on")
	}
	if n := len(tagger.Provenance.TrainingEvents); n != len(corpus.Events) {
		t.Errorf("%d training events of %d", n, len(corpus.Events))
	}
}

func TestSameSeedSameBits(t *testing.T) {
	c := toyConfig()
	c.MaxEpochs = 3
	var want []byte
	for _, threads := range []int{1, 2, 3} {
		tagger, _, err := toyTrain(t, c, TrainOptions{Seed: 5, Threads: threads})
		if err != nil {
			t.Fatal(err)
		}
		got := fileBytes(t, tagger)
		if want == nil {
			want = got
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%d threads give other bits than one", threads)
		}
	}
	tagger, _, err := toyTrain(t, c, TrainOptions{Seed: 6})
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(fileBytes(t, tagger), want) {
		t.Error("another seed gives the same bits")
	}
}

// A training that is interrupted after any step and resumed, again and again, gives the bits of one
// that was not.
func TestResumeEqualsUninterrupted(t *testing.T) {
	c := toyConfig()
	c.MaxEpochs, c.Patience, c.ReducePatience = 4, 2, 1
	c.LearningRate = .2 // rough enough for worse epochs, and a lower rate, on the way
	whole, wholeHistory, err := toyTrain(t, c, TrainOptions{Seed: 3})
	if err != nil {
		t.Fatal(err)
	}
	if last := wholeHistory.Epochs[len(wholeHistory.Epochs)-1]; last.LearningRate == c.LearningRate {
		t.Error("the learning rate was never lowered, so its resume is not tested")
	}

	corpus := toyCorpus(60, 1)
	split := toySplit(corpus, c.Window)
	path := filepath.Join(t.TempDir(), "train.ckpt")
	var tagger *Tagger
	var history *History
	runs := 0
	for {
		runs++
		ctx, cancel := context.WithCancel(context.Background())
		steps := 0
		interrupt := Hook{Name: "interrupt", Step: func(*Loop) error {
			if steps++; steps == 4 { // with 6 steps an epoch, sometimes just before validation
				cancel()
			}
			return nil
		}}
		tagger, history, err = Train(ctx, c, corpus, split, TrainOptions{
			Seed: 3, Kernels: portable(t), Checkpoint: path, Threads: 1 + runs%2, Hooks: []Hook{interrupt},
		})
		cancel()
		if err == nil {
			break
		}
		if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), path) {
			t.Fatal(err)
		}
		if (tagger != nil) != (history.Best > 0) {
			t.Errorf("run %d: tagger %v with best epoch %d", runs, tagger != nil, history.Best)
		}
		if runs > 100 {
			t.Fatal("the training never ends")
		}
	}
	if runs < 4 {
		t.Fatalf("only %d runs: nothing was interrupted", runs)
	}
	if !bytes.Equal(fileBytes(t, tagger), fileBytes(t, whole)) {
		t.Errorf("%d runs give other bits than one", runs)
	}
	withoutTime := func(h *History) History {
		out := *h
		out.Epochs = slices.Clone(h.Epochs)
		for i := range out.Epochs {
			out.Epochs[i].Seconds, out.Epochs[i].CPUSeconds = 0, 0
		}
		return out
	}
	a, b := withoutTime(history), withoutTime(wholeHistory)
	if !slices.Equal(a.Epochs, b.Epochs) || a.Best != b.Best || a.Stopped != b.Stopped {
		t.Errorf("history %+v, uninterrupted %+v", a, b)
	}

	// A finished training resumes to its result without another step.
	again, _, err := Train(context.Background(), c, corpus, split, TrainOptions{
		Seed: 3, Kernels: portable(t), Checkpoint: path,
		Hooks: []Hook{{Name: "none", Step: func(*Loop) error { return errors.New("a step was made") }}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(fileBytes(t, again), fileBytes(t, whole)) {
		t.Error("a finished training resumed to other bits")
	}
}

func TestResumeRefusesWhatIsNotItsCheckpoint(t *testing.T) {
	c := toyConfig()
	c.MaxEpochs = 1
	path := filepath.Join(t.TempDir(), "train.ckpt")
	if _, _, err := toyTrain(t, c, TrainOptions{Seed: 1, Checkpoint: path}); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	other := func(change func(*Config)) Config {
		c := c
		change(&c)
		return c
	}
	for _, test := range []struct {
		name string
		c    Config
		seed uint64
	}{
		{"seed", c, 2},
		{"learning rate", other(func(c *Config) { c.LearningRate = .1 }), 1},
		{"epochs", other(func(c *Config) { c.MaxEpochs = 2 }), 1},
		{"window", other(func(c *Config) { c.Window = 5 }), 1},
	} {
		_, _, err := toyTrain(t, test.c, TrainOptions{Seed: test.seed, Checkpoint: path})
		if err == nil || !strings.Contains(err.Error(), "another training") || !strings.Contains(err.Error(), path) {
			t.Errorf("other %s: got %v", test.name, err)
		}
	}
	for _, bad := range [][]byte{nil, []byte("k8ntextC"), good[:len(good)-1], append(slices.Clone(good), 0), flipped(good, len(good)/2)} {
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		_, _, err := toyTrain(t, c, TrainOptions{Seed: 1, Checkpoint: path})
		var format *FormatError
		if !errors.As(err, &format) || !strings.Contains(err.Error(), path) {
			t.Errorf("%d of %d bytes: got %v", len(bad), len(good), err)
		}
	}
	if _, _, err := toyTrain(t, c, TrainOptions{Seed: 1, Checkpoint: filepath.Join(path, "no", "folder")}); err == nil {
		t.Error("a checkpoint that cannot be written is no error")
	}
}

func flipped(b []byte, i int) []byte {
	b = slices.Clone(b)
	b[i] ^= 1
	return b
}

// script is a learner whose validation losses are given. Its weights are one number, the steps done.
type script struct {
	weights    Weights
	losses     []float64 // per epoch
	evaluated  int
	perEpoch   int
	rates      []float64
	nanAtStep  int
	nanWeights int
	steps      int
}

func (s *script) TrainStep(*Batch) (float64, error) {
	s.steps++
	s.weights[0].Data[0] = float32(s.steps)
	if s.steps == s.nanWeights {
		s.weights[0].Data[0] = float32(math.Inf(1))
	}
	if s.steps == s.nanAtStep {
		return math.NaN(), ErrNotFinite
	}
	return 1, nil
}

func (s *script) Evaluate(*Batch) (float64, int, error) {
	s.evaluated++
	return s.losses[(s.evaluated-1)/s.perEpoch], 0, nil
}
func (s *script) SetLearningRate(r float64)              { s.rates = append(s.rates, r) }
func (s *script) OptimizerState() OptimizerState         { return OptimizerState{} }
func (s *script) SetOptimizerState(OptimizerState) error { return nil }
func (s *script) Sync() error                            { return nil }
func (s *script) Engine() string                         { return "script" }

// scripted is a loop over a script; an epoch has 5 steps and 2 validation batches.
func scripted(t *testing.T, c Config, s *script, o TrainOptions) *Loop {
	t.Helper()
	c.Batch, c.Stride, c.ValidationStride, c.WindowsPerEpoch = 4, 1, 1, 20
	data, _, _ := toySamples(t, c, 40)
	data.split.Validation = data.split.Validation[:8]
	s.weights = Weights{{Name: "w", Shape: []int{1}, Data: make([]float32, 1)}}
	s.perEpoch = 2
	return newLoop(c, o, data, s, s.weights, []tensorSpec{{name: "w", shape: []int{1}, trainable: true}})
}

func TestCallbacks(t *testing.T) {
	for _, test := range []struct {
		name    string
		losses  []float64
		change  func(*Config)
		epochs  int
		best    int
		rates   []float64 // at the start and on each change
		stopped string
	}{
		{
			name: "falls all the way", losses: []float64{5, 4, 3, 2},
			epochs: 4, best: 4, rates: []float64{1}, stopped: "max_epochs reached",
		},
		{
			name: "patience 3", losses: []float64{5, 4, 4, 6, 5, 1},
			change: func(c *Config) { c.MaxEpochs, c.Patience = 6, 3 },
			epochs: 5, best: 2, rates: []float64{1}, stopped: "validation loss did not fall for 3 epochs",
		},
		{
			name: "a better epoch resets patience", losses: []float64{5, 6, 6, 4, 6, 6, 6, 9},
			change: func(c *Config) { c.MaxEpochs, c.Patience = 8, 3 },
			epochs: 7, best: 4, rates: []float64{1}, stopped: "validation loss did not fall for 3 epochs",
		},
		{
			name: "no patience, no early stop", losses: []float64{5, 6, 7, 8, 9},
			change: func(c *Config) { c.MaxEpochs, c.Patience = 5, 0 },
			epochs: 5, best: 1, rates: []float64{1}, stopped: "max_epochs reached",
		},
		{
			name: "plateau of 2, twice", losses: []float64{5, 5, 5, 5, 5, 5},
			change: func(c *Config) { c.MaxEpochs, c.Patience, c.ReducePatience, c.ReduceFactor = 6, 0, 2, .5 },
			epochs: 6, best: 1, rates: []float64{1, .5, .25}, stopped: "max_epochs reached",
		},
		{ // Keras: falling by less than 1e-4 is better for early stopping, and a plateau for the rate
			name: "hardly falling", losses: []float64{5, 5 - 5e-5, 5 - 9e-5, 4},
			change: func(c *Config) { c.ReducePatience, c.ReduceFactor = 2, .5 },
			epochs: 4, best: 4, rates: []float64{1, .5}, stopped: "max_epochs reached",
		},
	} {
		c := toyConfig()
		c.MaxEpochs, c.LearningRate, c.ReducePatience, c.Patience = 4, 1, 0, 0
		if test.change != nil {
			test.change(&c)
		}
		s := &script{losses: test.losses}
		l := scripted(t, c, s, TrainOptions{})
		if err := l.run(context.Background()); err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		h := l.History()
		if len(h.Epochs) != test.epochs || h.Best != test.best || h.Stopped != test.stopped {
			t.Errorf("%s: %d epochs, best %d, %q; want %d, %d, %q", test.name, len(h.Epochs), h.Best, h.Stopped, test.epochs, test.best, test.stopped)
		}
		if !slices.Equal(s.rates, test.rates) {
			t.Errorf("%s: rates %v, want %v", test.name, s.rates, test.rates)
		}
		if got, want := l.best[0].Data[0], float32(5*test.best); got != want {
			t.Errorf("%s: kept the weights of step %v, want %v", test.name, got, want)
		}
	}
}

func TestNotANumberKeepsTheBestWeights(t *testing.T) {
	for _, test := range []struct {
		name   string
		script script
		want   DivergedError
	}{
		{"in a step", script{losses: []float64{5, 4, 3, 2}, nanAtStep: 12}, DivergedError{Epoch: 3, Step: 2, What: "training loss"}},
		{"in validation", script{losses: []float64{5, 4, math.NaN()}}, DivergedError{Epoch: 3, What: "validation loss"}},
		{"in the weights", script{losses: []float64{5, 4, 3, 2}, nanWeights: 15}, DivergedError{Epoch: 3, What: "weights of w"}},
	} {
		c := toyConfig()
		c.LearningRate = .5
		test.want.LearningRate = .5
		l := scripted(t, c, &test.script, TrainOptions{})
		err := l.run(context.Background())
		var got *DivergedError
		if !errors.As(err, &got) || *got != test.want {
			t.Errorf("%s: got %v, want %v", test.name, err, &test.want)
			continue
		}
		if h := l.History(); h.Best != 2 || len(h.Epochs) != 2 || l.best[0].Data[0] != 10 {
			t.Errorf("%s: best epoch %d of %d, weights %v", test.name, h.Best, len(h.Epochs), l.best[0].Data)
		}
	}
}

// The real network with a rate that must overflow: the error says where, and what to do.
func TestTrainDiverges(t *testing.T) {
	c := toyConfig()
	c.LearningRate = 1e38
	tagger, history, err := toyTrain(t, c, TrainOptions{Seed: 1})
	var diverged *DivergedError
	if !errors.As(err, &diverged) || !strings.Contains(err.Error(), "lower learning_rate") {
		t.Fatalf("got %v", err)
	}
	if (tagger != nil) != (history.Best > 0) {
		t.Errorf("tagger %v with best epoch %d", tagger != nil, history.Best)
	}
}

func TestHooksRunInOrder(t *testing.T) {
	var calls []string
	hook := func(name string, order int) Hook {
		at := func(point string) func(*Loop) error {
			return func(l *Loop) error {
				if p := l.Progress(); p.Epoch == 1 && p.Step <= 1 || point == "epoch" || point == "end" {
					calls = append(calls, name+" "+point)
				}
				return nil
			}
		}
		return Hook{Name: name, Order: order, Start: at("start"), Step: at("step"), Epoch: at("epoch"), End: at("end")}
	}
	c := toyConfig()
	c.MaxEpochs = 1
	l := scripted(t, c, &script{losses: []float64{1}}, TrainOptions{Hooks: []Hook{hook("b", 5), hook("a", -5), hook("c", 5)}})
	if err := l.run(context.Background()); err != nil {
		t.Fatal(err)
	}
	want := "a start,b start,c start,a step,b step,c step,a epoch,b epoch,c epoch,a end,b end,c end"
	if got := strings.Join(calls, ","); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}

	boom := errors.New("boom")
	l = scripted(t, c, &script{losses: []float64{1}}, TrainOptions{Hooks: []Hook{{Name: "mine", Epoch: func(*Loop) error { return boom }}}})
	if err := l.run(context.Background()); !errors.Is(err, boom) || !strings.Contains(err.Error(), "hook mine") {
		t.Errorf("got %v", err)
	}

	c.MaxEpochs = 10
	l = scripted(t, c, &script{losses: []float64{5, 4, 3, 2, 1}}, TrainOptions{Hooks: []Hook{{Epoch: func(l *Loop) error {
		if len(l.History().Epochs) == 3 {
			l.Stop("enough")
		}
		return nil
	}}}})
	if err := l.run(context.Background()); err != nil || len(l.History().Epochs) != 3 || l.History().Stopped != "enough" {
		t.Errorf("%v, %+v", err, l.History())
	}
}

func TestProgress(t *testing.T) {
	c := toyConfig()
	c.MaxEpochs = 2
	var seen []Progress
	l := scripted(t, c, &script{losses: []float64{3, 2}}, TrainOptions{Hooks: []Hook{{Step: func(l *Loop) error {
		seen = append(seen, l.Progress())
		return nil
	}}}})
	if err := l.run(context.Background()); err != nil {
		t.Fatal(err)
	}
	for i, p := range seen {
		if p.Epoch != i/5+1 || p.Step != i%5+1 || p.Steps != 5 || p.MaxEpochs != 2 || p.Loss != 1 {
			t.Errorf("step %d: %+v", i, p)
		}
		if i == len(seen)-1 && p.Remaining != 0 || i < len(seen)-1 && p.Remaining <= 0 {
			t.Errorf("step %d: %v remain", i, p.Remaining)
		}
		if i >= 5 && (p.BestEpoch != 1 || p.BestLoss != 3) {
			t.Errorf("step %d: %+v", i, p)
		}
	}
}

func TestTrainRefuses(t *testing.T) {
	good := toyConfig()
	corpus := toyCorpus(20, 1)
	for _, test := range []struct {
		want   string
		change func(*Config, *dataset.Split)
	}{
		{"batch = 0", func(c *Config, _ *dataset.Split) { c.Batch = 0 }},
		{"windows of 5 events", func(_ *Config, s *dataset.Split) { s.Length = 5 }},
		{`labels = "default"`, func(c *Config, _ *dataset.Split) { c.Labels = "default" }},
		{"no training windows", func(_ *Config, s *dataset.Split) { s.Train = nil }},
	} {
		c, split := good, toySplit(corpus, good.Window)
		test.change(&c, split)
		tagger, history, err := Train(context.Background(), c, corpus, split, TrainOptions{})
		if err == nil || tagger != nil || history != nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "corpus toy") {
			t.Errorf("want an error with %q, got %v", test.want, err)
		}
	}
}

// A corpus without labels for the training part has nothing to teach; one without labels for the
// validation part is judged by its training loss.
func TestTrainWithoutLabels(t *testing.T) {
	c := toyConfig()
	c.MaxEpochs = 1
	corpus := toyCorpus(20, 1)
	split := toySplit(corpus, c.Window)
	for _, e := range split.ValidationEvents() {
		corpus.Labels[e] = label.Unknown
	}
	_, h, err := Train(context.Background(), c, corpus, split, TrainOptions{Kernels: portable(t)})
	if err != nil || h.Monitored != "training" {
		t.Errorf("%+v, %v", h, err)
	}
	for i := range corpus.Labels {
		corpus.Labels[i] = label.Unknown
	}
	if _, _, err := Train(context.Background(), c, corpus, split, TrainOptions{Kernels: portable(t)}); err == nil || !strings.Contains(err.Error(), "labelled corpus") {
		t.Errorf("got %v", err)
	}
}

// An interrupt is told as such, with what caused it, and keeps what was computed.
func TestInterruptWithoutCheckpoint(t *testing.T) {
	signal := errors.New("a signal came")
	ctx, cancel := context.WithCancelCause(context.Background())
	c := toyConfig()
	corpus := toyCorpus(60, 1)
	tagger, h, err := Train(ctx, c, corpus, toySplit(corpus, c.Window), TrainOptions{
		Kernels: portable(t),
		Hooks: []Hook{{Step: func(l *Loop) error {
			if p := l.Progress(); p.Epoch == 2 && p.Step == 3 {
				cancel(signal)
			}
			return nil
		}}},
	})
	if !errors.Is(err, context.Canceled) || !errors.Is(err, signal) || !strings.Contains(err.Error(), "epoch 2 after step 3 of") {
		t.Errorf("got %v", err)
	}
	if tagger == nil || h.Best != 1 || len(h.Epochs) != 1 {
		t.Errorf("the first epoch is lost: %+v", h)
	}
}

// Without validation windows the training loss decides, as in the reference's k-fold mode.
func TestTrainWithoutValidation(t *testing.T) {
	c := toyConfig()
	c.MaxEpochs = 2
	corpus := toyCorpus(20, 1)
	split := toySplit(corpus, c.Window)
	split.Validation = nil
	_, h, err := Train(context.Background(), c, corpus, split, TrainOptions{Kernels: portable(t)})
	if err != nil {
		t.Fatal(err)
	}
	if h.Monitored != "training" || h.Best == 0 {
		t.Errorf("%+v", h)
	}
}
