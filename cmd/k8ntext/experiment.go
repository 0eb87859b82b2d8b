package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"k8ntext/experiments"
	"k8ntext/model/device"
)

func (a *app) experimentCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "experiment",
		Short: "Run what a TOML file of configs/ describes, and report it",
		Long: `An experiment file names a corpus, protocols, model settings and grids of them.
Every trial (one training with one setting and one seed) leaves one record file
under results/<name>/trials. A run that was stopped goes on where it was; the
report is drawn from the record files alone.`,
		Example: `  k8ntext experiment plan configs/quick.toml
  k8ntext experiment run configs/quick.toml
  k8ntext experiment report configs/quick.toml`,
	}
	c.AddCommand(a.experimentPlanCommand(), a.experimentRunCommand(), a.experimentReportCommand(), a.experimentRungCommand())
	return c
}

// experimentFlags are what every experiment command needs.
type experimentFlags struct {
	corpus  string
	results string
}

func (f *experimentFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.corpus, "corpus", "", "use this corpus (name or path) in place of the file's")
	c.Flags().StringVar(&f.results, "results", "results", "folder of all results")
}

// load reads the config and finds its results folder.
func (f *experimentFlags) load(path string) (*experiments.Config, experiments.Store, error) {
	c, err := experiments.LoadConfig(path)
	if err != nil {
		return nil, experiments.Store{}, usageError{err}
	}
	if f.corpus != "" {
		c.SetCorpus(f.corpus)
	}
	return c, experiments.Store{Dir: filepath.Join(f.results, c.Name)}, nil
}

func (a *app) experimentPlanCommand() *cobra.Command {
	var f experimentFlags
	c := &cobra.Command{
		Use:     "plan FILE",
		Short:   "List the trials that a file asks for, and which of them have a result",
		Example: "  k8ntext experiment plan configs/quick.toml\n  k8ntext experiment plan -o json configs/quick.toml",
		Args:    exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			config, store, err := f.load(args[0])
			if err != nil {
				return err
			}
			trials, states, err := experiments.Status(cmd.Context(), config, store)
			if err != nil {
				return err
			}
			if a.output == "json" {
				return a.writeJSON(trials)
			}
			for i, t := range trials {
				mark := map[experiments.State]string{experiments.Done: "x", experiments.Failed: "!", experiments.Damaged: "?"}[states[i]]
				fmt.Fprintf(a.stdout, "[%1s] %s  %s  %s\n", mark, t.ID, t.Experiment, t.Describe())
			}
			return nil
		},
	}
	f.add(c)
	return c
}

func (a *app) experimentRunCommand() *cobra.Command {
	var (
		f       experimentFlags
		e       engine
		workers int
		devices []string
	)
	c := &cobra.Command{
		Use:   "run FILE",
		Short: "Run all trials of a file that have no result yet",
		Long: `Runs all trials that have no result yet, several side by side with one thread
each. Interrupt it at any time: finished trials are kept, and the same command
goes on. A trial that fails is recorded and does not stop the others.

Networks are trained on the file's device or devices: the processor runs as many
trials at a time as it has workers, every other device one. A device that is lost
gets no more trials; the others go on.`,
		Example: `  k8ntext experiment run configs/quick.toml
  k8ntext experiment run configs/quick.toml --workers 1 --corpus recorded.jsonl.zst
  k8ntext experiment run configs/quick.toml --device opencl:0,opencl:1`,
		Args: exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			config, store, err := f.load(args[0])
			if err != nil {
				return err
			}
			if _, _, err := e.selected(); err != nil {
				return err
			}
			for _, d := range devices {
				if err := device.CheckName(d); err != nil {
					return usageError{err}
				}
			}
			on, err := config.OpenDevices(devices, e.kernels)
			if err != nil {
				return err
			}
			if workers == 0 {
				workers = e.threads // --threads bounds the cores that are used
			}
			p := a.newProgress()
			err = experiments.Run(cmd.Context(), config, experiments.RunOptions{
				Store: store, Devices: on, Workers: workers, Provenance: provenance(),
				Progress: func(s experiments.Progress) {
					if s.Last == nil {
						return
					}
					state := fmt.Sprintf("%d of %d trials, about %v left", s.Done, s.Total, roundETA(s.Remaining))
					if s.Last.Error != "" {
						p.note("trial %s (%s, %s) failed: %s", s.Last.Trial.ID, s.Last.Trial.Experiment, s.Last.Trial.Describe(), s.Last.Error)
					}
					p.show("%s: %s", config.Name, state)
				},
				Remark: func(text string) { p.note("%s", text) },
			})
			p.done()
			if errors.Is(err, context.Canceled) && cmd.Context().Err() != nil {
				return fmt.Errorf("interrupted: finished trials are kept under %s; run the same command to go on: %w", store.Dir, err)
			}
			if err != nil {
				return err
			}
			p.note("%s: all trials have results under %s", config.Name, store.Dir)
			return nil
		},
	}
	f.add(c)
	e.flags(c.Flags())
	c.Flags().IntVar(&workers, "workers", 0, "trials side by side on the processor; 0: the file's, else one for each core")
	c.Flags().StringSliceVar(&devices, "device", nil, "where to compute in place of the file's devices (default cpu): one of cpu, openblas, opencl, opencl:N and auto, or several")
	return c
}

func (a *app) experimentReportCommand() *cobra.Command {
	var f experimentFlags
	c := &cobra.Command{
		Use:     "report FILE",
		Short:   "Draw tables, figures and report.html from the results of a file",
		Example: "  k8ntext experiment report configs/quick.toml",
		Args:    exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			config, store, err := f.load(args[0])
			if err != nil {
				return err
			}
			command := "make reproduce PROFILE=" + strings.TrimSuffix(filepath.Base(args[0]), ".toml")
			if f.corpus != "" {
				command += " CORPUS=" + shellQuoted(f.corpus)
			}
			report, err := experiments.NewReport(cmd.Context(), config, store, command)
			if err != nil {
				return err
			}
			if err := report.Write(store.Dir); err != nil {
				return err
			}
			for _, x := range report.Artefacts {
				if x.Table != nil {
					if err := x.Table.WriteText(a.stdout); err != nil {
						return err
					}
					fmt.Fprintln(a.stdout)
				}
			}
			_, err = fmt.Fprintf(a.stdout, "report: %s\n", filepath.Join(store.Dir, "report.html"))
			return err
		},
	}
	f.add(c)
	return c
}

// shellQuoted writes s so that a shell takes it for one word, whatever it holds.
func shellQuoted(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
