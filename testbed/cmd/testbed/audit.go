package main

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"k8ntext/testbed/truth"
)

// audited is what "testbed audit" finds.
type audited struct {
	Stats      truth.Stats       `json:"stats"`
	Routes     []truth.Route     `json:"routes"`
	Invariants []truth.Invariant `json:"invariants"`
	Sample     []truth.Sampled   `json:"sample"`
}

// auditCommand is "testbed audit": is the truth of a recording true?
func (a *app) auditCommand() *cobra.Command {
	var sample int
	var seed uint64
	var find string
	cmd := &cobra.Command{
		Use:   "audit RECORDING",
		Short: "Judge the truth of a recording by other routes, invariants and a sample",
		Long: `audit compares the causes that object identity gives with what other routes say that
do not read identity: the tokens in names, labels and annotations, and the schedule
of recordings in which one command ran at a time. It checks what must hold of every
recording, and prints a random sample of effects with the facts that decide, for
checking by hand.

It exits with 1 if an invariant is broken.`,
		Example: `  testbed audit recordings/base
  testbed audit recordings/base --sample 90 --seed 7
  testbed audit recordings/base --event 5c0c83c7-1d6a-4f7e-a9c2-5e4f0f7a2c11`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := truth.Read(args[0])
			if err != nil {
				return err
			}
			if find != "" {
				return a.printSample(r.Find(find))
			}
			found := audited{Stats: r.Stats(), Sample: r.Sample(sample, seed)}
			if found.Routes, err = r.Routes(); err != nil {
				return err
			}
			if found.Invariants, err = r.Check(); err != nil {
				return err
			}
			if err := a.printAudited(found); err != nil {
				return err
			}
			for _, i := range found.Invariants {
				if i.Broken > 0 {
					return fmt.Errorf("audit %s: %d times it does not hold that %s", args[0], i.Broken, i.Name)
				}
			}
			return nil
		},
	}
	cmd.Flags().IntVar(&sample, "sample", 0, "effects to print for checking by hand")
	cmd.Flags().Uint64Var(&seed, "seed", 1, "seed of the sample")
	cmd.Flags().StringVar(&find, "event", "", "print the facts of the event with this auditID only")
	return cmd
}

func (a *app) printAudited(found audited) error {
	if a.output == "json" {
		return json.NewEncoder(a.stdout).Encode(found)
	}
	p := &printer{w: a.stdout}
	for _, r := range found.Routes {
		p.f("route %s: %s\n", r.Name, r.About)
		p.f("  %8s %8s %8s %8s %8s  %s\n", "events", "agree", "differ", "silent", "share", "attribution")
		for _, c := range append(r.Classes, r.Sum()) {
			share := "-"
			if said := c.Agree + c.Disagree; said > 0 {
				share = fmt.Sprintf("%.4f", float64(c.Agree)/float64(said))
			}
			p.f("  %8d %8d %8d %8d %8s  %s\n", c.Events, c.Agree, c.Disagree, c.Silent, share, c.Class)
		}
		for _, c := range r.Classes {
			for _, id := range c.Examples {
				p.f("  differs: %s %s\n", c.Class, id)
			}
		}
		p.f("\n")
	}
	p.f("invariants\n")
	for _, i := range found.Invariants {
		p.f("  %8d checked, %d broken: %s\n", i.Checked, i.Broken, i.Name)
		for _, e := range i.Examples {
			p.f("           %s\n", e)
		}
	}
	if p.err != nil || len(found.Sample) == 0 {
		return p.err
	}
	p.f("\n")
	return a.printSample(found.Sample)
}

func (a *app) printSample(sample []truth.Sampled) error {
	if a.output == "json" {
		return json.NewEncoder(a.stdout).Encode(sample)
	}
	p := &printer{w: a.stdout}
	for n, s := range sample {
		p.f("%d. %s %s\n   %s\n   %s of %s\n   %s\n", n+1, s.At, s.ID, s.Event, s.Attribution, s.Context, s.Cause)
		for _, fact := range s.Facts {
			p.f("     %s\n", fact)
		}
	}
	return p.err
}

// printer writes until the first error.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) f(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format, args...)
	}
}
