package main

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"k8ntext/experiments"
)

func (a *app) experimentStatusCommand() *cobra.Command {
	var f experimentFlags
	c := &cobra.Command{
		Use:   "status [FILE]",
		Short: "Tell how many trials of a file have a result",
		Long: `Counts result files, whoever runs the trials and wherever. It reads nothing else
where experiment plan or run has left a manifest of the same file.`,
		Example: "  k8ntext experiment status configs/quick.toml\n  k8ntext experiment status --manifest results/quick/manifest.jsonl -o json",
		Args:    argsError(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			m, store, _, err := f.planned(cmd, args)
			if err != nil {
				return err
			}
			status, err := m.Status(store)
			if err != nil {
				return err
			}
			if a.output == "json" {
				return a.writeJSON(status)
			}
			return writeStatus(a.stdout, status)
		},
	}
	f.addManifest(c)
	return c
}

func writeStatus(w io.Writer, s *experiments.Status) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "planned\tdone\tfailed\tdamaged\tto run\t  experiment")
	total := s.Total
	total.Experiment = s.Name + ", all"
	for _, x := range append(s.Experiments, total) {
		fmt.Fprintf(t, "%d\t%d\t%d\t%d\t%d\t  %s\n", x.Planned, x.Done, x.Failed, x.Damaged, x.Left(), printable(x.Experiment))
	}
	return t.Flush()
}

func (a *app) experimentWatchCommand() *cobra.Command {
	var (
		f     experimentFlags
		every time.Duration
	)
	c := &cobra.Command{
		Use:   "watch [FILE]",
		Short: "Show status until all trials have a result",
		Long: `Looks at the results folder again and again, whoever fills it: a run on this
machine, or the tasks of a cluster. Ends when no trial is left to run, and may be
interrupted at any time: it runs nothing.`,
		Example: "  k8ntext experiment watch configs/quick.toml\n  k8ntext experiment watch configs/quick.toml --every 1m",
		Args:    argsError(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if every <= 0 {
				return usagef("--every %v: give more than nothing", every)
			}
			m, store, _, err := f.planned(cmd, args)
			if err != nil {
				return err
			}
			p := a.newProgress()
			p.every = 0 // every change is worth a line
			status, err := watch(cmd.Context(), m, store, every, p)
			p.done()
			if err != nil {
				return err
			}
			return writeStatus(a.stdout, status)
		},
	}
	f.addManifest(c)
	c.Flags().DurationVar(&every, "every", 2*time.Second, "how often to look")
	return c
}

// watch shows how the counts change until no trial is left.
func watch(ctx context.Context, m *experiments.Manifest, store experiments.Store, every time.Duration, p *progress) (*experiments.Status, error) {
	start, first, last := time.Now(), -1, -1
	for {
		s, err := m.Status(store)
		if err != nil {
			return nil, err
		}
		left := s.Total.Left()
		if left == 0 {
			return s, nil
		}
		if first < 0 {
			first = left
		}
		text := fmt.Sprintf("%s: %d of %d trials, %d failed", s.Name, s.Total.Planned-left, s.Total.Planned, s.Total.Failed)
		if left < first {
			text += fmt.Sprintf(", about %v left", roundETA(time.Since(start)*time.Duration(left)/time.Duration(first-left)))
		}
		if p.terminal || left != last {
			p.show("%s", text)
		}
		last = left
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(every):
		}
	}
}
