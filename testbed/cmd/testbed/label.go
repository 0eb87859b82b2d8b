package main

import (
	"encoding/json"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"k8ntext/testbed/truth"
)

// labelCommand is "testbed label": the cause of every event of a recording.
func (a *app) labelCommand() *cobra.Command {
	var level, to string
	cmd := &cobra.Command{
		Use:   "label RECORDING",
		Short: "Tie every event of a recording to what caused it",
		Long: `label reads audit.log and journal.jsonl of a recording and writes every line with
its truth: the context that it belongs to, whether it started it, the command, and
how it was tied. What is not sure gets no context but its candidates. What the
recording put into the log to know its truth (stamps in user agents, tokens in
names) is taken away. The file is what k8ntext corpus import reads.

With --level Metadata or Request the lines are written as the API server writes
them at that level; their truth is that of the full recording.`,
		Example: `  testbed label recordings/base
  testbed label recordings/base --level Metadata --to base-metadata.jsonl`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !slices.Contains([]string{truth.LevelRequestResponse, truth.LevelRequest, truth.LevelMetadata}, level) {
				return usagef("unknown level %q: use %s, %s or %s", level, truth.LevelRequestResponse, truth.LevelRequest, truth.LevelMetadata)
			}
			if to == "" {
				to = filepath.Join(args[0], truth.LabelledFile)
			}
			r, err := truth.Read(args[0])
			if err != nil {
				return err
			}
			for _, s := range r.Log.Skipped {
				a.note("skipped: %s", s)
			}
			if err := r.WriteFile(to, level); err != nil {
				return err
			}
			return a.printStats(r.Stats(), to)
		},
	}
	cmd.Flags().StringVar(&level, "level", truth.LevelRequestResponse, "audit level of the lines that are written: RequestResponse, Request or Metadata")
	cmd.Flags().StringVar(&to, "to", "", "file to write (default RECORDING/"+truth.LabelledFile+")")
	return cmd
}

func (a *app) printStats(s truth.Stats, to string) error {
	if a.output == "json" {
		return json.NewEncoder(a.stdout).Encode(s)
	}
	p := &printer{w: a.stdout}
	inside := s.Requests - s.Dropped
	p.f("%d lines, %d events, %d of them in the recording proper, %d contexts of people\n", s.Lines, s.Requests, inside, s.Contexts)
	p.f("  people's own     %6d\n  caused by them   %6d\n  background       %6d\n  ambiguous        %6d (%.2f %%)\n",
		s.Direct, s.Caused, s.Background, s.Ambiguous, 100*float64(s.Ambiguous)/float64(max(1, inside)))
	p.f("\n%-12s %6s %6s %6s %6s %6s events\n", "", "1-4", "5-19", "20-49", "50-99", "100+")
	for _, l := range []struct {
		name  string
		sizes truth.Sizes
	}{{"contexts", s.ContextSizes}, {"operations", s.OperationSizes}} {
		p.f("%-12s %6d %6d %6d %6d %6d\n", l.name, l.sizes.Of1, l.sizes.Of5, l.sizes.Of20, l.sizes.Of50, l.sizes.Of100)
	}
	p.f("\nhow events were tied\n")
	for _, c := range s.Classes {
		p.f("  %6d  %s\n", c.N, c.What)
	}
	if len(s.Unsure) > 0 {
		p.f("\nambiguous\n")
	}
	for _, c := range s.Unsure {
		p.f("  %6d  %s\n", c.N, c.What)
	}
	p.f("\nwritten to %s\n", to)
	return p.err
}
