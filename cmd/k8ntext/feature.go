package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/spf13/cobra"

	"k8ntext/dataset/audit"
	"k8ntext/dataset/feature"
)

func (a *app) featureCommand() *cobra.Command {
	var flags featureFlags
	c := &cobra.Command{
		Use:   "feature",
		Short: "Show what a model sees of an event",
		Long: `A model does not see events but features: fields of the event, each with one of a
few values. Profile paper has the 39 of the reference, dead ones included; profile
honest (the default) has the same information soundly read and more, but no names;
profile linked adds how an event lies to others of its log.`,
		Example: `  k8ntext feature list
  k8ntext feature list --profile paper -o json
  k8ntext feature of audit.log -n 3`,
	}
	c.PersistentFlags().StringVar(&flags.profile, "profile", "honest", "feature profile: "+strings.Join(feature.Names(), " or "))
	c.PersistentFlags().StringSliceVar(&flags.without, "without", nil, "field to leave out, by its path (may be repeated)")
	c.AddCommand(a.featureListCommand(&flags), a.featureOfCommand(&flags))
	return c
}

type featureFlags struct {
	profile string
	without []string
}

func (f *featureFlags) load() (feature.Profile, error) {
	p, err := feature.ByName(f.profile)
	if err != nil {
		return p, usagef("%v", err)
	}
	if p, err = p.Without(f.without...); err != nil {
		return p, usagef("%v", err)
	}
	return p, nil
}

// fieldView is a field as feature list shows it.
type fieldView struct {
	Path     string `json:"path"`
	Meaning  string `json:"meaning"`
	Encoding string `json:"encoding"`
	Source   string `json:"source"`
}

func (a *app) featureListCommand(flags *featureFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the fields of a feature profile, as a Markdown table",
		Long: `List the fields of a feature profile in the order of the columns. Source paper: a
feature of the reference, or the same information soundly read; honest: added here;
linked: of other events.`,
		Example: `  k8ntext feature list
  k8ntext feature list --profile paper -o json`,
		Args: exactArgs(0),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := flags.load()
			if err != nil {
				return err
			}
			if a.output == "json" {
				var views []fieldView
				for _, f := range p.Fields() {
					views = append(views, fieldView{f.Path, f.Meaning, f.Encoding, f.Source})
				}
				return a.writeJSON(views)
			}
			_, err = io.WriteString(a.stdout, p.Table())
			return err
		},
	}
}

// featuresOf is one event of feature of.
type featuresOf struct {
	File     string            `json:"file"`
	Line     int               `json:"line"`
	AuditID  string            `json:"auditID"`
	Received time.Time         `json:"requestReceivedTimestamp"`
	Verb     string            `json:"verb"`
	URI      string            `json:"requestURI"`
	Features map[string]string `json:"features"`
}

func (a *app) featureOfCommand(flags *featureFlags) *cobra.Command {
	var most int
	var all bool
	c := &cobra.Command{
		Use:   "of FILE...",
		Short: "Show the features of each event of an audit log",
		Long: `Show the value of each feature of each event, in the order in which their requests
came in. Fields that the event does not have are left out unless --all is given. No
vocabulary applies: a value that a model does not know reaches it as unknown. -o json
writes one JSON object per line. FILE may be a pattern, gzip, zstd, or - for standard
input. Bad lines are told on stderr and skipped. Profile paper shows text of the log
as it is: names of namespaces, groups and users' own programs.`,
		Example: `  k8ntext feature of audit.log -n 3
  k8ntext feature of --profile paper --all audit.log -n 1
  k8ntext feature of audit-*.log.gz -o json -n 0 > features.jsonl`,
		Args: argsError(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := flags.load()
			if err != nil {
				return err
			}
			if most < 0 {
				return usagef("-n %d: use a number of events, or 0 for all", most)
			}
			r, err := audit.Open(cmd.Context(), audit.Options{}, args...)
			if err != nil {
				return err
			}
			defer r.Close()
			out := bufio.NewWriter(a.stdout)
			return errors.Join(a.writeFeatures(out, p, r, most, all), out.Flush())
		},
	}
	c.Flags().IntVarP(&most, "number", "n", 10, "events to show; 0: all")
	c.Flags().BoolVar(&all, "all", false, "also show fields that the event does not have")
	return c
}

// writeFeatures shows at most most events (0: all). It holds a few at a time.
func (a *app) writeFeatures(out *bufio.Writer, p feature.Profile, r *audit.Reader, most int, all bool) error {
	stream := p.Stream()
	shown := 0
	show := func() error {
		for most == 0 || shown < most {
			ev, values := stream.NextText()
			if ev == nil {
				break
			}
			if err := a.writeFeatureRow(out, p, ev, values, all); err != nil {
				return err
			}
			shown++
		}
		return nil
	}
	for most == 0 || shown < most {
		record, err := r.Next()
		switch {
		case err == io.EOF:
			stream.End()
			if err := show(); err != nil {
				return err
			}
			a.reportSkipped(r.Summary())
			if shown == 0 {
				return errors.New("no audit event in the input")
			}
			return nil
		case err != nil:
			return err
		case record.Problem != nil:
			a.remark(record.Problem.Error())
		default:
			stream.Push(record.Event, 0)
			if err := show(); err != nil {
				return err
			}
		}
	}
	a.reportSkipped(r.Summary())
	return nil
}

func (a *app) writeFeatureRow(out *bufio.Writer, p feature.Profile, ev *audit.Event, values []string, all bool) error {
	v := featuresOf{AuditID: ev.AuditID, Received: ev.RequestReceived, Verb: ev.Verb, URI: ev.RequestURI, Features: map[string]string{}}
	if len(ev.Stages) > 0 {
		v.File, v.Line = ev.Stages[0].Position.File, ev.Stages[0].Position.Line
	}
	if a.output == "text" {
		fmt.Fprintf(out, "# %s %s %s (%s:%d)\n", v.Received.UTC().Format(time.RFC3339Nano), printable(v.Verb), printable(v.URI), printable(v.File), v.Line)
	}
	for f, field := range p.Fields() {
		switch {
		case p.Absent(values[f]) && !all:
		case a.output == "text":
			fmt.Fprintf(out, "%s = %s\n", field.Path, printable(values[f]))
		default:
			v.Features[field.Path] = values[f]
		}
	}
	if a.output == "json" {
		if err := json.MarshalWrite(out, v, json.Deterministic(true)); err != nil {
			return fmt.Errorf("write JSON: %w", err)
		}
	}
	return out.WriteByte('\n')
}
