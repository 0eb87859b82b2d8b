package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"k8ntext/experiments"
)

func (a *app) experimentVerifyCommand() *cobra.Command {
	var (
		f       experimentFlags
		n       int
		seed    uint64
		workers int
		atMost  time.Duration
	)
	c := &cobra.Command{
		Use:   "verify [FILE] [TRIAL...]",
		Short: "Compute results again and compare every value, to the bit",
		Long: `Computes the named trials again, or -n of those with a result drawn at random,
from their corpora on, with the device and the kernels that the result names, and
compares every value with the stored one. Only times, memory and provenance may
differ. Nothing is written.

A result that was computed by arithmetic that this machine has not got is not
compared: if none could be, the exit code is 3.`,
		Example: `  k8ntext experiment verify configs/quick.toml -n 2
  k8ntext experiment verify configs/standard.toml -n 3 --at-most 2m
  k8ntext experiment verify configs/quick.toml 1309b715`,
		RunE: func(cmd *cobra.Command, args []string) error {
			m, store, names, err := f.planned(cmd, args)
			if err != nil {
				return err
			}
			if atMost < 0 || atMost > 0 && n == 0 {
				return usagef("--at-most limits what -n draws from, to a time above 0")
			}
			if (n > 0) == (len(names) > 0) || n < 0 {
				return usagef("name trials, or give -n how many to draw, one of them: usage: %s", cmd.UseLine())
			}
			var ids []string
			if n > 0 {
				if ids, err = m.InState(store, experiments.Done); err != nil {
					return err
				}
				if !cmd.Flags().Changed("seed") {
					seed = uint64(time.Now().UnixNano())
				}
				if atMost > 0 {
					if ids, err = store.TookAtMost(ids, atMost); err != nil {
						return err
					}
				}
				ids = experiments.Draw(ids, n, seed)
			} else if ids, err = m.Pick(names); err != nil {
				return usageError{err}
			}
			if len(ids) == 0 {
				return fmt.Errorf("verify %s: no trial has a result under %s%s: run the experiments first", m.Name(), store.Dir, within(atMost))
			}
			var verdicts []experiments.Verdict
			p := a.newProgress()
			p.show("%s: computing %d trials again", m.Name(), len(ids))
			verdicts, err = m.Verify(cmd.Context(), ids, experiments.VerifyOptions{
				Store: store, Workers: workers, Provenance: provenance(),
				Verdict: func(v experiments.Verdict) { p.show("%s: computed %s again", m.Name(), v.Trial.ID) },
			})
			p.done()
			if err != nil {
				return err
			}
			return a.reportVerdicts(verdicts)
		},
	}
	f.addManifest(c)
	c.Flags().IntVarP(&n, "random", "n", 0, "how many of the trials with a result to draw at random")
	c.Flags().Uint64Var(&seed, "seed", 0, "of the draw (default: another one every time)")
	c.Flags().DurationVar(&atMost, "at-most", 0, "draw among trials whose network took no longer than this to train and to label, where it was computed; 0: among all")
	c.Flags().IntVar(&workers, "workers", 0, "trials side by side; 0: one for each core")
	return c
}

// within says what a draw was limited to; "" for a draw among all.
func within(d time.Duration) string {
	if d <= 0 {
		return ""
	}
	return fmt.Sprintf(" that took at most %s", d)
}

func (a *app) reportVerdicts(verdicts []experiments.Verdict) error {
	different, compared := 0, 0
	if a.output == "json" {
		if err := a.writeJSON(verdicts); err != nil {
			return err
		}
	}
	for _, v := range verdicts {
		text := "the same to the bit"
		switch {
		case v.Skipped != "":
			text = "not compared: " + v.Skipped
		case !v.Same:
			text = "DIFFERENT: " + strings.Join(v.Differences, "; ")
			different++
		}
		if v.Skipped == "" {
			compared++
		}
		if a.output == "text" {
			fmt.Fprintln(a.stdout, printable(fmt.Sprintf("%s  %s  %s: %s", v.Trial.ID, v.Trial.Experiment, v.Trial.Describe(), text)))
		}
	}
	switch {
	case different > 0:
		return fmt.Errorf("%d of %d results are not what is computed now", different, compared)
	case compared == 0:
		return fmt.Errorf("verify: %w", experiments.ErrIncomparable)
	}
	return nil
}
