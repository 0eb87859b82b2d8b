package main

import (
	"github.com/spf13/cobra"

	"k8ntext/experiments"
)

func (a *app) experimentRungCommand() *cobra.Command {
	var (
		f experimentFlags
		o experiments.RungOptions
	)
	c := &cobra.Command{
		Use:   "rung FILE",
		Short: "Write the next rung of a search: its best settings, to be trained longer",
		Long: `Reads the results of a finished search and prints the file of its next rung: of every
experiment the settings with the smallest validation loss, mean over folds and seeds, to
be trained longer (successive halving). The test parts decide nothing. Each rung has a
plan and a results folder of its own.`,
		Example: `  k8ntext experiment run configs/search.toml
  k8ntext experiment rung configs/search.toml > search-rung2.toml
  k8ntext experiment run search-rung2.toml
  k8ntext experiment rung search-rung2.toml --keep 0.5 --longer 2 > search-rung3.toml`,
		Args: exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			config, store, err := f.load(args[0])
			if err != nil {
				return err
			}
			text, err := experiments.NextRung(cmd.Context(), config, store, o)
			if err != nil {
				return err
			}
			_, err = a.stdout.Write(text)
			return err
		},
	}
	f.add(c)
	c.Flags().Float64Var(&o.Keep, "keep", 1./3, "share of the settings that goes on")
	c.Flags().IntVar(&o.Longer, "longer", 3, "how many times as many epochs they get")
	return c
}
