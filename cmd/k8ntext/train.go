package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strings"

	"github.com/BurntSushi/toml"
	"github.com/spf13/cobra"

	"k8ntext/dataset"
	"k8ntext/experiments"
	"k8ntext/explain"
	"k8ntext/explain/windows"
	"k8ntext/model"
)

// modelFlags choose a model's configuration.
type modelFlags struct {
	preset string
	set    []string
	keys   map[string]any // preset and set, parsed by config
}

func (m *modelFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&m.preset, "preset", "default", "model preset: default or paper")
	c.Flags().StringArrayVar(&m.set, "set", nil, "set one key of the model, for example --set window=20 (repeatable; see model show)")
}

// config applies --set KEY=VALUE over the preset.
func (m *modelFlags) config() (model.Config, error) {
	m.keys = map[string]any{"preset": m.preset}
	for _, s := range m.set {
		key, value, ok := strings.Cut(s, "=")
		if !ok {
			return model.Config{}, usagef("--set %s: write KEY=VALUE", s)
		}
		var parsed map[string]any
		if _, err := toml.Decode("v = "+value, &parsed); err != nil { // a bare word is a string
			parsed = map[string]any{"v": value}
		}
		m.keys[strings.TrimSpace(key)] = parsed["v"]
	}
	c, err := experiments.ModelConfig(m.keys)
	if err != nil {
		return c, usageError{err}
	}
	return c, nil
}

func (a *app) trainCommand() *cobra.Command {
	var (
		m          modelFlags
		e          engine
		corpora    []string
		out        string
		checkpoint string
		target     string
		seed       uint64
		explained  string
		unseen     []string
		fold       int
		folds      int
	)
	c := &cobra.Command{
		Use:   "train",
		Short: "Train a model on labelled corpora",
		Long: `Trains on whole corpora, the last tenth in time of each kept back for validation, and
writes the weights of the best epoch. To measure a setting, use evaluate: a model
knows the events that it was trained on and is not scored on them.

With --target controlplane the model says whose doing an event is, the control
plane's or a user's, in place of the kind of action (the reference's binary mode).

Interrupted with --checkpoint, the same command goes on where it was, to the bit.
It may go on on another device or on other kernels: the result then differs in its
last bits, and the model file names both.

--fold K leaves the K-th of --folds parts of every corpus out, cut in time as the
protocol blocked cuts it: that part can then be scored.

With --explain FOLDER the trained model is explained as explain report does, on the
windows of --explain-corpus; without that on those of its training, and the report
says so.`,
		Example: `  k8ntext train --corpus sequential-1.34 -m my.k8ntext
  k8ntext train --corpus sequential-1.34,busy.jsonl.zst --set features=linked --set copy=true -m both.k8ntext
  k8ntext train --corpus base-dev --target controlplane -m whose.k8ntext
  k8ntext train --corpus base-dev -m base.k8ntext --explain explained --explain-corpus busy-dev
  k8ntext train --corpus base-dev,busy-dev --fold 0 -m without-0.k8ntext
  k8ntext train --corpus recorded.jsonl.zst --preset paper --set window=20 -m w20.k8ntext --checkpoint w20.checkpoint`,
		Args: exactArgs(0),
		RunE: func(cmd *cobra.Command, args []string) error {
			if out == "" {
				return usagef("no model file: name it with -m FILE")
			}
			switch target {
			case "action":
			case "controlplane":
				m.set = append(m.set, "labels=controlplane", "copy=false")
			default:
				return usagef("unknown target %q: use action or controlplane", target)
			}
			if explained == "" && unseen != nil {
				return usagef("--explain-corpus says on what to explain: name a folder for the report with --explain")
			}
			if folds < 2 || fold < -1 || fold >= folds {
				return usagef("--fold %d of --folds %d: folds are numbered from 0, and there are 2 or more", fold, folds)
			}
			config, err := m.config()
			if err != nil {
				return err
			}
			on, threads, err := e.target()
			if err != nil {
				return err
			}
			corpus, err := experiments.LoadCorpus(cmd.Context(), corpora, config.Labels)
			if err != nil {
				return err
			}
			a.reportSkipped(corpus.Read)
			split, err := cutForTraining(corpus, config.Window, fold, folds)
			if err != nil {
				return err
			}
			p := a.newProgress()
			tagger, history, err := model.Train(cmd.Context(), config, corpus, split, model.TrainOptions{
				Seed: seed, Kernels: on.Kernels, Device: on.OpenCL, FallBack: on.FallBack, Threads: threads, Checkpoint: checkpoint,
				Commit: buildVersion().Commit, Hooks: []model.Hook{trainingProgress(p)}, Log: a.log(),
			})
			p.done()
			switch {
			case errors.Is(err, context.Canceled) && checkpoint != "":
				return fmt.Errorf("interrupted: the state is kept in %s; run the same command to go on: %w", checkpoint, err)
			case err != nil:
				return err
			}
			if err := tagger.Save(out); err != nil {
				return err
			}
			if err := a.reportTraining(out, tagger, history); err != nil || explained == "" {
				return err
			}
			if unseen != nil {
				if corpus, err = experiments.LoadCorpus(cmd.Context(), unseen, config.Labels); err != nil {
					return err
				}
				a.reportSkipped(corpus.Read)
			}
			x := explainFlags{engine: e, component: windows.Label, seed: seed}
			p = a.newProgress()
			defer p.done()
			found, paths, err := x.report(cmd.Context(), p, tagger, corpus, windows.Options{Seen: unseen == nil}, explain.Options{}, explained)
			if err != nil || a.output == "json" {
				return err
			}
			return reportExplained(a.stdout, found, paths[0], len(paths))
		},
	}
	m.add(c)
	e.flags(c.Flags())
	e.deviceFlag(c.Flags())
	c.Flags().StringSliceVar(&corpora, "corpus", []string{"sequential-1.34"}, "labelled corpus: a name of corpus list, or a path; several are trained on together")
	c.Flags().StringVarP(&out, "model", "m", "", "model file to write")
	c.Flags().StringVar(&checkpoint, "checkpoint", "", "file that keeps the state after every epoch, to go on from")
	c.Flags().StringVar(&target, "target", "action", "what the model says of an event: action, its kind, or controlplane, whose doing it is")
	c.Flags().Uint64Var(&seed, "seed", 1, "seed of weights, order and dropout: same seed, same bits")
	c.Flags().IntVar(&fold, "fold", -1, "leave this part in time of each corpus out, from 0; -1: train on all")
	c.Flags().IntVar(&folds, "folds", 5, "parts that --fold counts")
	c.Flags().StringVar(&explained, "explain", "", "folder for a trust report of the trained model, see explain report")
	c.Flags().StringSliceVar(&unseen, "explain-corpus", nil, "corpus whose windows the trust report explains; none: those of the training")
	return c
}

// cutForTraining cuts a corpus for a model of all of it (fold -1), or of all but one of its parts in time.
func cutForTraining(c *dataset.Corpus, window, fold, folds int) (*dataset.Split, error) {
	if fold < 0 {
		return dataset.SplitAll(c, dataset.AllOptions{Length: window})
	}
	splits, err := dataset.SplitBlocked(c, dataset.BlockedOptions{Length: window, Folds: folds})
	if err != nil {
		return nil, err
	}
	return splits[fold], nil
}

// log is where a training says what it does: nowhere under --quiet.
func (a *app) log() *slog.Logger {
	if a.quiet {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(a.stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

// trainingProgress shows a training's course.
func trainingProgress(p *progress) model.Hook {
	show := func(l *model.Loop) error {
		s := l.Progress()
		text := fmt.Sprintf("epoch %d of at most %d, step %d of %d, loss %.4f", s.Epoch, s.MaxEpochs, s.Step, s.Steps, s.Loss)
		if s.BestEpoch > 0 {
			text += fmt.Sprintf(", best epoch %d (%.4f)", s.BestEpoch, s.BestLoss)
		}
		if s.Remaining > 0 {
			text += fmt.Sprintf(", at most %v left", roundETA(s.Remaining))
		}
		p.show("%s", text)
		return nil
	}
	return model.Hook{Name: "progress", Step: show}
}

// reportTraining says what was made.
func (a *app) reportTraining(path string, t *model.Tagger, h *model.History) error {
	trainable, statistics := t.Network().Parameters()
	if a.output == "json" {
		return a.writeJSON(map[string]any{
			"file": path, "parameters": trainable, "statistics": statistics, "history": h, "provenance": t.Provenance,
		})
	}
	seconds := 0.0
	for _, e := range h.Epochs {
		seconds += e.Seconds
	}
	_, err := fmt.Fprintf(a.stdout, "%s: %d parameters, %d epochs in %.0f s, best epoch %d with %s loss %.5f (stopped: %s)\n",
		path, trainable, len(h.Epochs), math.Ceil(seconds), h.Best, h.Monitored, t.Provenance.Loss, h.Stopped)
	return err
}
