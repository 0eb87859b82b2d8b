package main

import (
	"fmt"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"

	"k8ntext/dataset"
)

// actionsCounted is what "corpus actions" prints as JSON.
type actionsCounted struct {
	Corpora []string              `json:"corpora"`
	Beside  []string              `json:"beside"` // counted after the corpora, and not in what follows
	Least   int                   `json:"least"`
	Enough  int                   `json:"enough"` // actions that the corpora hold at least so often together
	Rare    []dataset.ActionCount `json:"rare"`   // the others
}

func (a *app) corpusActionsCommand() *cobra.Command {
	var least int
	var beside []string
	c := &cobra.Command{
		Use:   "actions CORPUS...",
		Short: "Say which kinds of action corpora hold too seldom",
		Long: `Counts how often people and CI accounts did each kind of action in one or more corpora
together, and lists the kinds that they did less often than --least. With --beside the
actions of other corpora are listed too, so that it can be seen which ones are
missing: these corpora's counts stand beside and are not added.`,
		Example: `  k8ntext corpus actions base-dev
  k8ntext corpus actions base-dev repeat-dev --beside busy-dev,work-dev,metadata-dev
  k8ntext corpus actions base-dev --least 10 -o json`,
		Args: argsError(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if least < 1 {
				return usagef("--least %d: give 1 or more", least)
			}
			counts, err := dataset.CountActions(cmd.Context(), append(args[:len(args):len(args)], beside...), nil)
			if err != nil {
				return err
			}
			found := actionsCounted{Corpora: args, Beside: append([]string{}, beside...), Least: least, Rare: []dataset.ActionCount{}}
			for _, n := range counts {
				if n.Of(len(args)) < least {
					found.Rare = append(found.Rare, n)
				}
			}
			found.Enough = len(counts) - len(found.Rare)
			if a.output == "json" {
				return a.writeJSON(found)
			}
			return a.printActions(found)
		},
	}
	c.Flags().IntVar(&least, "least", 6, "list the actions that are done less often than this")
	c.Flags().StringSliceVar(&beside, "beside", nil, "corpora whose actions are listed too, without being counted")
	return c
}

func (a *app) printActions(found actionsCounted) error {
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.Style().Format.Header = text.FormatDefault
	head := table.Row{"action"}
	for _, name := range found.Corpora {
		head = append(head, printable(name))
	}
	for _, name := range found.Beside {
		head = append(head, "("+printable(name)+")")
	}
	t.AppendHeader(head)
	for _, n := range found.Rare {
		row := table.Row{printable(n.Action)}
		for _, count := range n.Counts {
			row = append(row, count)
		}
		t.AppendRow(row)
	}
	if len(found.Rare) > 0 {
		if _, err := fmt.Fprintln(a.stdout, t.Render()); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(a.stdout, "%d kinds of action, %d of them at least %d times, %d less often\n", found.Enough+len(found.Rare), found.Enough, found.Least, len(found.Rare))
	return err
}
