package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"k8ntext/testbed/coverage"
)

func (a *app) coverageCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "coverage RECORDING...",
		Short: "Tell which of the server's operations a person asked for, and how often",
		Long: `coverage compares the requests that people sent in one or more recordings with what the
server offered (its discovery). A number stands for how often, "-" for never, and nothing for a
verb that the resource does not have. Labels are counted as the corpus has them, with merged
verbs; where a recording is labelled, those of the triggers too.`,
		Example: `  testbed coverage recordings/base-dev
  testbed coverage recordings/*-dev -o json`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			r, err := coverage.Of(args...)
			if err != nil {
				return err
			}
			if a.output == "json" {
				return json.NewEncoder(a.stdout).Encode(r)
			}
			return a.printCoverage(r)
		},
	}
}

// coverageVerbs are the columns of the table.
var coverageVerbs = []string{"create", "get", "list", "watch", "update", "patch", "delete", "deletecollection"}

func (a *app) printCoverage(r *coverage.Report) error {
	b := bufio.NewWriter(a.stdout)
	fmt.Fprintf(b, "%-64s", "resource")
	for _, v := range coverageVerbs {
		fmt.Fprintf(b, "%8.8s", v)
	}
	fmt.Fprintln(b)
	used, offered := 0, 0
	for i := 0; i < len(r.Operations); {
		first := r.Operations[i]
		cells := map[string]string{}
		for ; i < len(r.Operations); i++ {
			o := r.Operations[i]
			if o.Group != first.Group || o.Resource != first.Resource || o.Subresource != first.Subresource {
				break
			}
			offered++
			cells[o.Verb] = "-"
			if o.Count > 0 {
				used++
				cells[o.Verb] = fmt.Sprint(o.Count)
			}
		}
		name := first.Resource
		if first.Subresource != "" {
			name += "/" + first.Subresource
		}
		if first.Group != "" {
			name += "." + first.Group
		}
		var line strings.Builder
		fmt.Fprintf(&line, "%-64s", name)
		for _, v := range coverageVerbs {
			fmt.Fprintf(&line, "%8s", cells[v])
		}
		fmt.Fprintln(b, strings.TrimRight(line.String(), " "))
	}
	fmt.Fprintf(b, "%d of %d operations asked for; %d events, %d of them sent by people; %d distinct labels", used, offered, r.Events, r.Direct, r.Labels)
	if r.TriggerLabels > 0 {
		fmt.Fprintf(b, ", %d of them of triggers", r.TriggerLabels)
	}
	fmt.Fprintf(b, "; %d occur fewer than 6 times\n", len(r.Rare))
	return b.Flush()
}
