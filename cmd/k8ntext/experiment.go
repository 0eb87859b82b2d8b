package main

import (
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
under results/<name>/trials. A run that was stopped goes on where it was; status
and report are drawn from the record files alone. See docs/experiments.md.`,
		Example: `  k8ntext experiment plan configs/quick.toml
  k8ntext experiment run configs/quick.toml
  k8ntext experiment run configs/quick.toml --set name=wider --set protocol-blocked.model.units1=128
  k8ntext experiment status configs/quick.toml
  k8ntext experiment verify configs/quick.toml -n 2
  k8ntext experiment report configs/quick.toml`,
	}
	c.AddCommand(a.experimentPlanCommand(), a.experimentRunCommand(), a.experimentStatusCommand(), a.experimentWatchCommand(),
		a.experimentRerunCommand(), a.experimentVerifyCommand(), a.experimentReportCommand(), a.experimentSubmitCommand(), a.experimentRungCommand())
	return c
}

// experimentFlags are what every experiment command needs.
type experimentFlags struct {
	corpus   string
	results  string
	set      []string
	manifest string // only where addManifest was called
}

func (f *experimentFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.corpus, "corpus", "", "use this corpus (name or path) in place of the file's")
	c.Flags().StringVar(&f.results, "results", "results", "folder of all results")
	c.Flags().StringArrayVar(&f.set, "set", nil, "set a key of the file: seed=7, model.window=40 (every experiment), NAME.repetitions=5 (one); repeatable")
}

// addManifest is for commands that can do without the file.
func (f *experimentFlags) addManifest(c *cobra.Command) {
	f.add(c)
	c.Flags().StringVar(&f.manifest, "manifest", "", "take the trials from this manifest (of experiment plan) in place of a file")
}

// load reads the config and finds its results folder.
func (f *experimentFlags) load(path string) (*experiments.Config, experiments.Store, error) {
	c, err := experiments.LoadConfig(path, f.set...)
	if err != nil {
		return nil, experiments.Store{}, usageError{err}
	}
	if f.corpus != "" {
		c.SetCorpus(f.corpus)
	}
	return c, f.store(c.Name), nil
}

func (f *experimentFlags) store(name string) experiments.Store {
	return experiments.Store{Dir: filepath.Join(f.results, name)}
}

// frozen reads the manifest that --manifest names.
func (f *experimentFlags) frozen() (*experiments.Manifest, experiments.Store, error) {
	fail := func(err error) (*experiments.Manifest, experiments.Store, error) {
		return nil, experiments.Store{}, err
	}
	if f.corpus != "" || len(f.set) > 0 {
		return fail(usagef("--manifest is frozen: --corpus and --set belong to experiment plan"))
	}
	m, err := experiments.LoadManifest(f.manifest)
	if err != nil {
		return fail(err)
	}
	if err := m.CheckConfig(); err != nil {
		return fail(err)
	}
	return m, f.store(m.Name()), nil
}

// planned finds the trials of the file that is the first argument, or of --manifest, and gives the other
// arguments. A manifest in the results folder that was planned from the same file saves reading the corpora.
func (f *experimentFlags) planned(cmd *cobra.Command, args []string) (*experiments.Manifest, experiments.Store, []string, error) {
	if f.manifest != "" {
		m, store, err := f.frozen()
		return m, store, args, err
	}
	if len(args) == 0 {
		return nil, experiments.Store{}, nil, usagef("no experiment file and no --manifest: usage: %s", cmd.UseLine())
	}
	c, store, err := f.load(args[0])
	if err != nil {
		return nil, store, nil, err
	}
	m, err := experiments.Plan(cmd.Context(), c, store, func() ([]device.Target, error) { return c.OpenDevices(nil, "") })
	return m, store, args[1:], usage(err)
}

func (a *app) experimentPlanCommand() *cobra.Command {
	var (
		f       experimentFlags
		e       engine
		devices []string
		out     string
	)
	c := &cobra.Command{
		Use:   "plan FILE",
		Short: "Freeze the trials that a file asks for, and list them",
		Long: `Writes results/<name>/manifest.jsonl: one line about the file, the corpora and the
arithmetic, then one line for each trial. "auto" becomes the device and the
kernels that are here; give --kernels or --device what all machines have that
shall run the manifest.

Lists the trials: [x] has a result, [!] has failed, [?] has a damaged result, [ ] is to be run.`,
		Example: "  k8ntext experiment plan configs/quick.toml\n  k8ntext experiment plan -o json configs/quick.toml\n  k8ntext experiment plan configs/quick.toml --kernels avx2 --out sweep.jsonl",
		Args:    exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			config, store, err := f.load(args[0])
			if err != nil {
				return err
			}
			on, err := openFor(config, devices, e)
			if err != nil {
				return err
			}
			m, err := experiments.Freeze(cmd.Context(), config, on)
			if err != nil {
				return usage(err)
			}
			if out == "" {
				out = store.ManifestPath()
			}
			if err := m.Write(out); err != nil {
				return err
			}
			a.newProgress().note("%s: %d trials", out, len(m.Trials()))
			if a.output == "json" {
				return a.writeJSON(m.Trials())
			}
			status, err := m.Status(store)
			if err != nil {
				return err
			}
			for i, t := range m.Trials() {
				mark := map[experiments.State]string{experiments.Done: "x", experiments.Failed: "!", experiments.Damaged: "?"}[status.States[i]]
				fmt.Fprintf(a.stdout, "[%1s] %s  %s  %s\n", mark, t.ID, t.Experiment, t.Describe())
			}
			return nil
		},
	}
	f.add(c)
	e.flags(c.Flags())
	devicesFlag(c, &devices)
	c.Flags().StringVar(&out, "out", "", "manifest to write (default manifest.jsonl in the results folder)")
	return c
}

// devicesFlag names devices in place of the file's.
func devicesFlag(c *cobra.Command, devices *[]string) {
	c.Flags().StringSliceVar(devices, "device", nil, "where to compute in place of the file's devices (default cpu): one of cpu, openblas, opencl, opencl:N and auto, or several")
}

// openFor opens the devices that flags or the config name.
func openFor(c *experiments.Config, devices []string, e engine) ([]device.Target, error) {
	if _, _, err := e.selected(); err != nil {
		return nil, err
	}
	for _, d := range devices {
		if err := device.CheckName(d); err != nil {
			return nil, usageError{err}
		}
	}
	return c.OpenDevices(devices, e.kernels)
}

func (a *app) experimentReportCommand() *cobra.Command {
	var (
		f    experimentFlags
		full string
	)
	c := &cobra.Command{
		Use:   "report FILE",
		Short: "Draw tables, figures and report.html from the results of a file",
		Long: `Draws every table and figure from the results of a file, with report.html, which shows
them beside the paper's values. An artefact without results is in the page with a
word about what it needs.

With --full, artefacts are drawn from the results of that file where it has some: the
same experiments with longer trainings. Those of FILE then stand behind them as a
sample.`,
		Example: "  k8ntext experiment report configs/quick.toml\n  k8ntext experiment report configs/quick.toml --full configs/standard.toml",
		Args:    exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			source, err := f.source(args[0])
			if err != nil {
				return err
			}
			var o experiments.ReportOptions
			if full != "" {
				fuller, err := f.source(full)
				if err != nil {
					return err
				}
				o.Fuller = &fuller
			}
			report, err := experiments.NewReport(cmd.Context(), source, o)
			if err != nil {
				return err
			}
			if err := report.Write(source.Store.Dir); err != nil {
				return err
			}
			for _, x := range report.Artefacts {
				if x.Table != nil && x.Redo != "" {
					if err := x.Table.WriteText(a.stdout); err != nil {
						return err
					}
					fmt.Fprintln(a.stdout)
				}
			}
			_, err = fmt.Fprintf(a.stdout, "report: %s\n", filepath.Join(source.Store.Dir, "report.html"))
			return err
		},
	}
	f.add(c)
	c.Flags().StringVar(&full, "full", "", "draw artefacts from the results of this file where it has some")
	return c
}

// source is the file at path with its results and the command that makes them.
func (f *experimentFlags) source(path string) (experiments.Source, error) {
	config, store, err := f.load(path)
	if err != nil {
		return experiments.Source{}, err
	}
	command := "make reproduce PROFILE=" + strings.TrimSuffix(filepath.Base(path), ".toml")
	if f.corpus != "" {
		command += " CORPUS=" + shellQuoted(f.corpus)
	}
	if config.Final {
		command = "make final"
	}
	return experiments.Source{Config: config, Store: store, Command: command}, nil
}

// shellQuoted writes s so that a shell takes it for one word, whatever it holds.
func shellQuoted(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
