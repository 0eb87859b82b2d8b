package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"sync"
	"syscall"

	"github.com/spf13/cobra"

	"k8ntext/experiments"
	"k8ntext/model/device"
)

// sweepFlags say how trials are run.
type sweepFlags struct {
	engine
	workers  int
	memory   int
	failFast bool
}

func (s *sweepFlags) add(c *cobra.Command) {
	s.flags(c.Flags())
	c.Flags().IntVar(&s.workers, "workers", 0, "trials side by side on the processor; 0: the file's, else one for each core")
	c.Flags().IntVar(&s.memory, "memory", 0, "MiB that trials may need together; 0: the file's, else what is free")
	c.Flags().BoolVar(&s.failFast, "fail-fast", false, "end with the first trial that fails")
}

func (a *app) experimentRunCommand() *cobra.Command {
	var (
		f       experimentFlags
		s       sweepFlags
		devices []string
		index   int
		again   bool
		only    []string
	)
	c := &cobra.Command{
		Use:   "run [FILE]",
		Short: "Run all trials of a file, or of a manifest, that have no result yet",
		Long: `Runs all trials that have no result yet, several side by side with one thread
each: the first repetition and fold of every setting before the second of any, the
experiments in turn, so that a run that is stopped half way has something of
everything. --only runs some of the experiments. Interrupt it once, and running trials are finished; twice, and it stops at
once. Whatever ends it, finished trials are kept, and the same command goes on. A
trial that fails is recorded and does not stop the others; experiment rerun
tries it again. A result file that was cut or edited is set aside, and its trial
run again.

Networks are trained on the file's device or devices: the processor runs as many
trials at a time as it has workers and memory, every other device one. A device
that is lost gets no more trials; the others go on.

A file with final = true evaluates recordings that no choice may be made on: the run
is logged in uses.jsonl of the results folder, and the same one is made only once.

With --manifest the trials, the arithmetic and the digests of the corpora are
those of the manifest; it is an error if the file has changed since. --index runs
one of its trials, beside others that do the same: see experiment submit. It ends
with exit code 1 where another try would fail the same way, and with 3 where not.`,
		Example: `  k8ntext experiment run configs/quick.toml
  k8ntext experiment run configs/quick.toml --workers 1 --corpus recorded.jsonl.zst
  k8ntext experiment run configs/standard.toml --only window-size,kfold-paper
  k8ntext experiment run configs/quick.toml --set name=short --set experiment.repetitions=1 --set model.max_epochs=2
  k8ntext experiment run configs/quick.toml --device opencl:0,opencl:1
  k8ntext experiment run --manifest results/quick/manifest.jsonl --index 7`,
		Args: argsError(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if (f.manifest == "") == (len(args) == 0) {
				return usagef("name an experiment file or a --manifest, one of them: usage: %s", cmd.UseLine())
			}
			if index >= 0 && f.manifest == "" {
				return usagef("--index counts the trials of a --manifest")
			}
			if index >= 0 && len(only) > 0 {
				return usagef("--index names one trial: leave --only out")
			}
			if f.manifest == "" {
				config, store, err := f.load(args[0])
				if err != nil {
					return err
				}
				on, err := openFor(config, devices, s.engine)
				if err != nil {
					return err
				}
				return a.sweep(cmd.Context(), config.Name, store, on, s, func(ctx context.Context, o experiments.RunOptions) error {
					o.FinalAgain, o.Only = again && config.Final, only
					return usage(experiments.Run(ctx, config, o))
				})
			}
			if cmd.Flags().Changed("kernels") || len(devices) > 0 {
				return usagef("--manifest is frozen: --kernels and --device belong to experiment plan")
			}
			m, store, err := f.frozen()
			if err != nil {
				return err
			}
			on, err := m.OpenDevices()
			if err != nil {
				return err
			}
			return a.sweep(cmd.Context(), m.Name(), store, on, s, func(ctx context.Context, o experiments.RunOptions) error {
				if index >= 0 {
					return m.RunOne(ctx, index, o)
				}
				o.Only = only
				return usage(m.Run(ctx, o))
			})
		},
	}
	f.addManifest(c)
	s.add(c)
	devicesFlag(c, &devices)
	c.Flags().StringSliceVar(&only, "only", nil, "run these experiments of the file alone, by their names")
	_ = c.RegisterFlagCompletionFunc("only", completeExperiments)
	c.Flags().BoolVar(&again, "again", false, "make a final evaluation once more that is logged as made")
	c.Flags().IntVar(&index, "index", -1, "run only the trial of this number in the manifest, from 0")
	return c
}

// usage makes the name of no experiment, and a setting that no corpus can be cut by, wrong usage.
func usage(err error) error {
	if errors.Is(err, experiments.ErrNoExperiment) || errors.Is(err, experiments.ErrCut) {
		return usageError{err}
	}
	return err
}

// completeExperiments offers the names of the experiments of the file that is the first argument.
func completeExperiments(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	c, err := experiments.LoadConfig(args[0])
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, e := range c.Experiments {
		names = append(names, e.Name)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

func (a *app) experimentRerunCommand() *cobra.Command {
	var (
		f      experimentFlags
		s      sweepFlags
		failed bool
		only   []string
	)
	c := &cobra.Command{
		Use:   "rerun [FILE] [TRIAL...]",
		Short: "Run trials again that have a result",
		Long: `Runs the named trials again, or with --failed all that have failed, or with --only
all of some experiments, or with both what has failed of those. A trial is
named by its id or the beginning of it, as experiment plan lists them. The old
result stays until the new one is whole.`,
		Example: `  k8ntext experiment rerun configs/quick.toml --failed
  k8ntext experiment rerun configs/quick.toml --only window-size
  k8ntext experiment rerun configs/quick.toml 1309b715
  k8ntext experiment rerun --manifest sweep.jsonl 1309b715 9b0e`,
		RunE: func(cmd *cobra.Command, args []string) error {
			m, store, names, err := f.planned(cmd, args)
			if err != nil {
				return err
			}
			if (failed || len(only) > 0) == (len(names) > 0) {
				return usagef("name trials, or give --failed or --only, one of them: usage: %s", cmd.UseLine())
			}
			var again []string
			if len(names) > 0 {
				again, err = m.Pick(names)
			} else {
				again, err = m.Of(only...)
			}
			if err != nil {
				return usageError{err}
			}
			if failed {
				wrong, err := m.InState(store, experiments.Failed, experiments.Retry)
				if err != nil {
					return err
				}
				again = slices.DeleteFunc(again, func(id string) bool { return !slices.Contains(wrong, id) })
			}
			if len(again) == 0 {
				a.newProgress().note("%s: no trial has failed", m.Name())
				return nil
			}
			on, err := m.OpenDevices()
			if err != nil {
				return err
			}
			return a.sweep(cmd.Context(), m.Name(), store, on, s, func(ctx context.Context, o experiments.RunOptions) error {
				o.Again = again
				return m.Run(ctx, o)
			})
		},
	}
	f.addManifest(c)
	s.add(c)
	c.Flags().BoolVar(&failed, "failed", false, "all trials that have failed")
	c.Flags().StringSliceVar(&only, "only", nil, "all trials of these experiments of the file, by their names")
	_ = c.RegisterFlagCompletionFunc("only", completeExperiments)
	return c
}

// sweep runs trials and shows how far they are.
func (a *app) sweep(ctx context.Context, name string, store experiments.Store, on []device.Target, s sweepFlags, do func(context.Context, experiments.RunOptions) error) error {
	if s.workers < 0 || s.memory < 0 {
		return usagef("--workers %d, --memory %d: neither can be negative", s.workers, s.memory)
	}
	if _, _, err := s.selected(); err != nil {
		return err
	}
	workers := s.workers
	if workers == 0 {
		workers = s.threads // --threads bounds the cores that are used
	}
	p := a.newProgress()
	ctx, drain, stop := a.drainable(ctx, p)
	defer stop()
	err := do(ctx, experiments.RunOptions{
		Store: store, Devices: on, Workers: workers, MemoryMB: s.memory, FailFast: s.failFast, Provenance: provenance(), Drain: drain,
		Progress: func(s experiments.Progress) {
			switch {
			case s.Last == nil && s.Done == s.Total:
				return
			case s.Last == nil:
				p.show("%s: %d of %d trials", name, s.Done, s.Total)
				return
			case s.Last.Error != "":
				p.note("trial %s (%s, %s) failed: %s", s.Last.Trial.ID, s.Last.Trial.Experiment, s.Last.Trial.Describe(), s.Last.Error)
			}
			p.show("%s: %d of %d trials, about %v left", name, s.Done, s.Total, roundETA(s.Remaining))
		},
		Remark: func(text string) { p.note("%s", text) },
	})
	p.done()
	switch {
	case errors.Is(err, context.Canceled) && ctx.Err() != nil:
		err = fmt.Errorf("interrupted: finished trials are kept under %s; run the same command to go on: %w", store.Dir, errors.Join(experiments.ErrDrained, err))
	case errors.Is(err, experiments.ErrDrained):
		err = fmt.Errorf("interrupted: %w; finished trials are kept under %s; run the same command to go on", err, store.Dir)
	case err == nil:
		p.note("%s: all trials that were asked for have results under %s", name, store.Dir)
	}
	return err
}

// drainable makes the first interrupt close drain, which lets running trials end, and the second end the
// context. SIGTERM ends it at once: who sends that will not wait for a training.
func (a *app) drainable(parent context.Context, p *progress) (ctx context.Context, drain <-chan struct{}, stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(parent)) // the parent ends with the first signal
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	asked := make(chan struct{})
	var once sync.Once
	var waiting sync.WaitGroup
	waiting.Go(func() {
		ended := parent.Done()
		for interrupts := 0; ; {
			select {
			case s := <-signals:
				if interrupts++; s == syscall.SIGTERM || interrupts > 1 {
					cancel()
					return
				}
				p.note("interrupted: running trials are finished; interrupt again to stop at once")
				once.Do(func() { close(asked) })
			case <-ended:
				ended = nil
				once.Do(func() { close(asked) })
			case <-ctx.Done():
				return
			}
		}
	})
	return ctx, asked, func() {
		signal.Stop(signals)
		cancel()
		waiting.Wait()
	}
}
