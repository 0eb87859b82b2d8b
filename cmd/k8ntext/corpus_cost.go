package main

import (
	"fmt"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"

	"k8ntext/dataset"
	"k8ntext/plots"
)

func (a *app) corpusCostCommand() *cobra.Command {
	var most int
	c := &cobra.Command{
		Use:   "cost CORPUS",
		Short: "Count the events and bytes that each kind of action leaves in the log",
		Long: `Counts, for each kind of action that people and CI accounts did, the events and raw
lines of its contexts and the bytes of those lines (with the keys that a corpus adds).
The paper's counts stand beside the two kinds that it gives (section 1).`,
		Example: "  k8ntext corpus cost sequential-1.34\n  k8ntext corpus cost base-dev --most 50\n  k8ntext corpus cost base-dev -o json",
		Args:    exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if most < 0 {
				return usagef("--most %d: give 0 for all kinds, or more", most)
			}
			costs, err := dataset.ActionCosts(cmd.Context(), args[0], nil)
			if err != nil {
				return err
			}
			if a.output == "json" {
				return a.writeJSON(costs)
			}
			return a.printCosts(args[0], costs, most)
		},
	}
	c.Flags().IntVar(&most, "most", 25, "print so many kinds of action, those with the most events; 0: all")
	return c
}

func (a *app) printCosts(corpus string, costs []dataset.ActionCost, most int) error {
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.Style().Format.Header = text.FormatDefault
	t.AppendHeader(table.Row{"action", "n", "events", "events of one: mean", "median", "largest", "paper's mean", "raw lines of one", "kB of one: mean", "median", "largest", "bytes of a line"})
	paper, err := plots.LoadPaper()
	if err != nil {
		return err
	}
	contexts, events, left := 0, 0, 0
	for i, c := range costs {
		contexts, events = contexts+c.Contexts, events+c.Events
		beside := ""
		if p := paper.Cost(c.Action); p != nil {
			beside = fmt.Sprintf("%.0f (%d of %d)", float64(p.Lines)/float64(p.N), p.Lines, p.N)
		} else if most > 0 && i >= most {
			left++
			continue
		}
		n := float64(c.Contexts)
		t.AppendRow(table.Row{
			printable(c.Action), c.Contexts, c.Events, fmt.Sprintf("%.1f", float64(c.Events)/n), c.Median, c.Largest, beside,
			fmt.Sprintf("%.1f", float64(c.RawLines)/n), fmt.Sprintf("%.1f", float64(c.Bytes)/n/1000),
			fmt.Sprintf("%.1f", float64(c.MedianBytes)/1000), fmt.Sprintf("%.1f", float64(c.LargestBytes)/1000), c.Bytes / int64(max(c.RawLines, 1)),
		})
	}
	if _, err := fmt.Fprintf(a.stdout, "corpus %s: %d contexts of %d kinds that people and CI accounts started, %d events\n%s\n",
		printable(corpus), contexts, len(costs), events, t.Render()); err != nil {
		return err
	}
	if left > 0 {
		_, err := fmt.Fprintf(a.stdout, "%d more kinds: --most 0\n", left)
		return err
	}
	return nil
}
