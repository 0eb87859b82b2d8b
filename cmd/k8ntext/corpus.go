package main

import (
	"bufio"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"k8ntext/dataset"
)

func (a *app) corpusCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "corpus",
		Short: "List, show, check, import, anonymise and export labelled recordings",
		Long: `A corpus is a recorded audit log together with the truth about it: which event
started each context, and which events it caused. Some are part of the program and
known by name; wherever a corpus is asked for, the path of a log file does too
(JSON lines, plain, gzip or zstd).`,
		Example: `  k8ntext corpus list
  k8ntext corpus show sequential-1.34
  k8ntext corpus verify
  k8ntext corpus import recording.jsonl --name mine -o corpora
  k8ntext corpus export sequential-1.34 sequential.jsonl`,
	}
	c.AddCommand(a.corpusListCommand(), a.corpusShowCommand(), a.corpusVerifyCommand(), a.corpusImportCommand(), a.corpusCostCommand(), a.corpusActionsCommand(), a.corpusAnonymiseCommand(), a.corpusExportCommand())
	return c
}

func (a *app) corpusListCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List the corpora that are part of the program",
		Example: "  k8ntext corpus list\n  k8ntext corpus list -o json",
		Args:    exactArgs(0),
		RunE: func(cmd *cobra.Command, args []string) error {
			var manifests []*dataset.Manifest
			for _, name := range dataset.Names() {
				m, err := dataset.Describe(cmd.Context(), name)
				if err != nil {
					return err
				}
				manifests = append(manifests, m)
			}
			if a.output == "json" {
				return a.writeJSON(manifests)
			}
			w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "NAME\tKUBERNETES\tLEVEL\tEVENTS\tUSERS' CONTEXTS\tLABELS\tTITLE")
			for _, m := range manifests {
				fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\t%d\t%s\n", m.Name, strings.Join(m.Kubernetes, " "), strings.Join(m.Levels, " "),
					m.Counts.Events, m.Counts.UserContexts, m.Counts.Labels, m.Title)
			}
			return w.Flush()
		},
	}
}

func (a *app) corpusShowCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "show CORPUS",
		Short: "Say what a corpus is, how it was made and how much is in it",
		Long: `Say what a corpus is, how it was made, what in it is real and what is not, and
how much is in it. For a log file without a manifest the counts are measured.`,
		Example: "  k8ntext corpus show sequential-1.34\n  k8ntext corpus show audit.log -o json",
		Args:    exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			m, err := dataset.Describe(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if a.output == "json" {
				return a.writeJSON(m)
			}
			return a.showManifest(m)
		},
	}
}

func (a *app) showManifest(m *dataset.Manifest) error {
	out := bufio.NewWriter(a.stdout)
	fmt.Fprintln(out, printable(m.Name))
	if m.Title != "" {
		fmt.Fprintln(out, m.Title)
	}
	if m.Made != "" {
		fmt.Fprintf(out, "\n%s\n", m.Made)
	}
	for _, list := range []struct {
		head  string
		items []string
	}{{"Real:", m.Real}, {"Not real:", m.NotReal}} {
		if len(list.items) > 0 {
			fmt.Fprintf(out, "\n%s\n", list.head)
			for _, item := range list.items {
				fmt.Fprintf(out, "  - %s\n", item)
			}
		}
	}
	fmt.Fprintln(out)

	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	n := m.Counts
	for _, row := range []struct {
		name  string
		value any
	}{
		{"Kubernetes", printable(strings.Join(m.Kubernetes, " "))},
		{"kubectl", printable(strings.Join(m.Clients, " "))},
		{"audit level", printable(strings.Join(m.Levels, " "))},
		{"from", m.From.Format("2006-01-02 15:04:05 MST")},
		{"to", m.To.Format("2006-01-02 15:04:05 MST")},
		{"raw lines", n.RawLines},
		{"events left out: before the first action", n.DroppedStart},
		{"events left out: of the recording itself", n.DroppedHarness},
		{"events", n.Events},
		{"  caused by users", n.UserEvents},
		{"    without the triggers", n.NonTriggerEvents},
		{"  background", n.BackgroundEvents},
		{"    decided by rule", n.ByRuleEvents},
		{"  ambiguous", n.AmbiguousEvents},
		{"events without objectRef", n.NonResourceEvents},
		{"events whose own label is wrong", n.OwnWrongEvents},
		{"labels", n.Labels},
		{"contexts", n.Contexts},
		{"  started by users", n.UserContexts},
		{"licence", m.Licence},
		{"digest", m.Digest},
		{"sha256 of the file", m.SHA256},
		{"sha256 of the raw lines", m.ContentSHA256},
	} {
		if row.value != "" {
			fmt.Fprintf(w, "%s\t%v\n", row.name, row.value)
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return out.Flush()
}

func (a *app) corpusVerifyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "verify [CORPUS...]",
		Short: "Compare corpora with their manifests and scan them for secrets",
		Long: `Compare corpora with their manifests (digests, counts, versions) and scan them for
secrets. Without a name all corpora of the program are checked; the path of an
imported corpus needs its manifest beside it. Fails if any check fails.`,
		Example: "  k8ntext corpus verify\n  k8ntext corpus verify corpora/mine.jsonl.zst",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				args = dataset.Names()
			}
			type result struct {
				Corpus string `json:"corpus"`
				Check  string `json:"check"`
				OK     bool   `json:"ok"`
				Detail string `json:"detail,omitzero"`
			}
			var results []result
			failed := 0
			for _, name := range args {
				checks, err := dataset.Verify(cmd.Context(), name)
				if err != nil {
					return err
				}
				for _, c := range checks {
					r := result{Corpus: name, Check: c.Name, OK: c.Err == nil}
					if c.Err != nil {
						r.Detail = c.Err.Error()
						failed++
					}
					results = append(results, r)
				}
			}
			if a.output == "json" {
				if err := a.writeJSON(results); err != nil {
					return err
				}
			} else {
				w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
				for _, r := range results {
					verdict := "ok"
					if !r.OK {
						verdict = "FAILED: " + printable(r.Detail)
					}
					fmt.Fprintf(w, "%s\t%s\t%s\n", printable(r.Corpus), r.Check, verdict)
				}
				if err := w.Flush(); err != nil {
					return err
				}
			}
			if failed > 0 {
				return fmt.Errorf("%d of %d checks failed", failed, len(results))
			}
			return nil
		},
	}
}

func (a *app) corpusImportCommand() *cobra.Command {
	var name, dir string
	c := &cobra.Command{
		Use:   "import RECORDING --name NAME -o DIR",
		Short: "Make a corpus of a labelled recording, its secrets masked",
		Long: `Make a corpus of a labelled recording: values of Secrets, tokens, keys,
certificates, credentials and the names of recording machines are masked, the rest
is kept byte for byte. Writes DIR/NAME.jsonl.zst and its manifest DIR/NAME.toml,
where a person says what the recording is; importing again keeps that. Refuses if
a scan still finds something that looks like a secret.`,
		Example: `  k8ntext corpus import recording.jsonl --name mine -o corpora
  k8ntext corpus verify corpora/mine.jsonl.zst`,
		Args: exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if name == "" {
				return usagef("corpus import needs a name for the corpus: --name NAME")
			}
			made, err := dataset.Import(cmd.Context(), args[0], name, dir)
			if err != nil {
				return err
			}
			if made.Skipped > 0 && !a.quiet {
				fmt.Fprintf(a.stderr, "k8ntext: %d lines are not JSON and were left out\n", made.Skipped)
			}
			n, m := made.Manifest.Counts, made.Manifest.Masked
			_, err = fmt.Fprintf(a.stdout, `%s: %d events, %d contexts, %d of them users'
masked: %d values of Secrets, %d tokens, %d credentials, %d keys and certificates, %d names of machines
now say in %s what the recording is
`, printable(made.File), n.Events, n.Contexts, n.UserContexts, m.SecretValues, m.Tokens, m.Credentials, m.PEM, m.Hosts, printable(made.About))
			return err
		},
	}
	c.Flags().StringVar(&name, "name", "", "name of the corpus: lower case letters, digits, dots, hyphens")
	// This hides the output format: the command makes files, and -o says where, as everywhere.
	c.Flags().StringVarP(&dir, "output", "o", ".", "folder to write to")
	return c
}

func (a *app) corpusExportCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "export CORPUS [FILE]",
		Short: "Write the raw lines of a corpus, to a file or to standard output",
		Long: `Write the raw lines of a corpus as JSON lines, with the truth on each line. A file
appears only when it is complete.`,
		Example: "  k8ntext corpus export sequential-1.34 sequential.jsonl\n  k8ntext corpus export sequential-1.34 | head -1",
		Args:    argsError(cobra.RangeArgs(1, 2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 2 && args[1] != "-" {
				return dataset.ExportFile(cmd.Context(), args[0], args[1])
			}
			return dataset.Export(cmd.Context(), args[0], a.stdout)
		},
	}
}
