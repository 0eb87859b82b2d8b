package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/spf13/cobra"

	"k8ntext/dataset/audit"
	"k8ntext/dataset/label"
)

func (a *app) labelCommand() *cobra.Command {
	var flags labelFlags
	c := &cobra.Command{
		Use:   "label",
		Short: "Explain action labels, give those of events, and label by hand",
		Long: `An action label is the type of a request: resource r, subresource s, verb v,
whether a namespace is named (n) and whether an object is named (u), packed into
one number. Verbs merge: get is get or list, update is update or patch, delete is
delete or deletecollection. In words: "delete apps/replicasets (one, namespaced)".`,
		Example: `  k8ntext label decode 70048
  k8ntext label encode "delete apps/replicasets (one, namespaced)"
  k8ntext label of audit.log
  k8ntext label space --space paper`,
	}
	c.PersistentFlags().StringVar(&flags.space, "space", "default", "label space: paper or default")
	c.PersistentFlags().StringSliceVar(&flags.crdGroups, "crd-group", nil, "API group of custom resources that gets a label of its own (default space; may be repeated)")
	c.AddCommand(a.labelDecodeCommand(&flags), a.labelEncodeCommand(&flags), a.labelOfCommand(&flags), a.labelSpaceCommand(&flags), a.labelRulesCommand(&flags), a.labelEditCommand(&flags))
	return c
}

type labelFlags struct {
	space     string
	crdGroups []string
}

func (f *labelFlags) load() (*label.Space, error) {
	s, err := label.ByName(f.space, f.crdGroups)
	if err != nil {
		return nil, usagef("%v", err)
	}
	if f.space == "default" {
		given := make(map[string]bool)
		for _, g := range s.CRDGroups() {
			given[g] = true
		}
		for _, g := range f.crdGroups {
			if !given[g] {
				return nil, usagef("--crd-group %q: built in, or no name of a custom resource's API group", g)
			}
		}
	}
	return s, nil
}

// labelView is a label as the commands show it.
type labelView struct {
	Label       label.Label `json:"label"`
	Name        string      `json:"name"`
	Valid       bool        `json:"valid"`
	Resource    int         `json:"r"`
	Subresource int         `json:"s"`
	Namespaced  bool        `json:"n"`
	Single      bool        `json:"u"`
	Verb        int         `json:"v"`
}

func viewLabel(s *label.Space, l label.Label) labelView {
	t := l.Tuple()
	return labelView{l, s.Describe(l), s.Valid(l), t.Resource, t.Subresource, t.Namespaced, t.Single, t.Verb}
}

// writeLabels prints labels as a table or as one JSON array.
func (a *app) writeLabels(views []labelView) error {
	if a.output == "json" {
		return a.writeJSON(views)
	}
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "LABEL\tR\tS\tN\tU\tV\tNAME")
	digit := map[bool]int{true: 1}
	for _, v := range views {
		fmt.Fprintf(w, "%d\t%d\t%d\t%d\t%d\t%d\t%s\n", v.Label, v.Resource, v.Subresource, digit[v.Namespaced], digit[v.Single], v.Verb, v.Name)
	}
	return w.Flush()
}

func (a *app) labelDecodeCommand(flags *labelFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "decode LABEL...",
		Short: "Take labels apart",
		Long: `Take labels apart: the five components, and the words of the label space. A number
that is no label of the space is shown as invalid, and the command fails.`,
		Example: `  k8ntext label decode 70048
  k8ntext label decode 70048 119232 --space paper -o json`,
		Args: argsError(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := flags.load()
			if err != nil {
				return err
			}
			var views []labelView
			var invalid []string
			for _, arg := range args {
				n, err := strconv.ParseInt(arg, 10, 32)
				if err != nil {
					return usagef("label %q is no number: labels in words are for k8ntext label encode", arg)
				}
				l := label.Label(n)
				views = append(views, viewLabel(s, l))
				if l != label.Unknown && l != label.Ignore && !s.Valid(l) {
					invalid = append(invalid, arg)
				}
			}
			if err := a.writeLabels(views); err != nil {
				return err
			}
			if len(invalid) > 0 {
				return fmt.Errorf("no label of the %s space: %s (k8ntext label space lists them)", s.Name(), strings.Join(invalid, ", "))
			}
			return nil
		},
	}
}

func (a *app) labelEncodeCommand(flags *labelFlags) *cobra.Command {
	var verb, group, resource, subresource string
	var namespaced, one bool
	c := &cobra.Command{
		Use:   "encode [TEXT...]",
		Short: "Give the number of a label",
		Long: `Give the number of a label, told in words as arguments (quoted), or by flags.
Any verb of Kubernetes will do.`,
		Example: `  k8ntext label encode "delete apps/replicasets (one, namespaced)"
  k8ntext label encode --verb patch --group apps --resource statefulsets --subresource scale --namespaced --one
  k8ntext label encode --crd-group cert-manager.io "create cert-manager.io/* (one, namespaced)"`,
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := flags.load()
			if err != nil {
				return err
			}
			switch byFlags := verb != "" || resource != ""; {
			case byFlags && len(args) > 0:
				return usagef("a label is told in words or by flags, not both (see %s --help)", cmd.CommandPath())
			case byFlags && (verb == "" || resource == ""):
				return usagef("--verb and --resource are needed together (see %s --help)", cmd.CommandPath())
			case byFlags:
				args = []string{labelText(verb, group, resource, subresource, namespaced, one)}
			case len(args) == 0:
				return usagef("no label given: usage: %s", cmd.UseLine())
			}
			var views []labelView
			for _, text := range args {
				l, err := s.Parse(text)
				if err != nil {
					return err
				}
				views = append(views, viewLabel(s, l))
			}
			return a.writeLabels(views)
		},
	}
	f := c.Flags()
	f.StringVar(&verb, "verb", "", "verb of the request")
	f.StringVar(&group, "group", "core", "API group")
	f.StringVar(&resource, "resource", "", "resource, in the plural")
	f.StringVar(&subresource, "subresource", "", "subresource")
	f.BoolVar(&namespaced, "namespaced", false, "the request names a namespace")
	f.BoolVar(&one, "one", false, "the request names an object")
	return c
}

// labelText is what label.Space.Parse reads.
func labelText(verb, group, resource, subresource string, namespaced, one bool) string {
	text := verb + " " + group + "/" + resource
	if subresource != "" {
		text += "/" + subresource
	}
	single, scope := "unnamed", "cluster"
	if one {
		single = "one"
	}
	if namespaced {
		scope = "namespaced"
	}
	return text + " (" + single + ", " + scope + ")"
}

func (a *app) labelSpaceCommand(flags *labelFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "space",
		Short: "List all labels of a label space",
		Example: `  k8ntext label space
  k8ntext label space --space paper -o json
  k8ntext label space --crd-group cert-manager.io`,
		Args: exactArgs(0),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := flags.load()
			if err != nil {
				return err
			}
			var views []labelView
			for _, l := range s.Labels() {
				views = append(views, viewLabel(s, l))
			}
			if err := a.writeLabels(views); err != nil {
				return err
			}
			if a.output == "text" && !a.quiet {
				fmt.Fprintf(a.stderr, "%d labels; %d values for each component\n", len(views), s.M())
			}
			return nil
		},
	}
}

func (a *app) labelRulesCommand(flags *labelFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "rules",
		Short: "List the rules that label what control-plane components do unasked",
		Example: `  k8ntext label rules
  k8ntext label rules -o json`,
		Args: exactArgs(0),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := flags.load()
			if err != nil {
				return err
			}
			if a.output == "json" {
				return a.writeJSON(s.Rules())
			}
			w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "RULE\tREASON")
			for _, r := range s.Rules() {
				fmt.Fprintf(w, "%s\t%s\n", r.Name, r.Reason)
			}
			return w.Flush()
		},
	}
}

// labelledEvent is one event of label of.
type labelledEvent struct {
	File     string      `json:"file"`
	Line     int         `json:"line"`
	AuditID  string      `json:"auditID"`
	Received time.Time   `json:"requestReceivedTimestamp"`
	User     string      `json:"user"`
	Label    label.Label `json:"label"` // own label
	Name     string      `json:"name"`
	Rule     string      `json:"rule,omitempty"`       // control-plane rule that applies
	ByRule   label.Label `json:"rule_label,omitempty"` // the label it gives
}

func (a *app) labelOfCommand(flags *labelFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "of FILE...",
		Short: "Give the own label of each event of an audit log",
		Long: `Give the own label of each event: the one that the event gives by itself, whatever
caused it. Events come in the order in which their requests came in. -o json writes
one JSON object per line. FILE may be a pattern, gzip, zstd, or - for standard input.
Bad lines are told on stderr and skipped.`,
		Example: `  k8ntext label of audit.log
  zcat audit-*.gz | k8ntext label of - -o json
  k8ntext label of --space paper audit.log`,
		Args: argsError(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := flags.load()
			if err != nil {
				return err
			}
			r, err := audit.Open(cmd.Context(), audit.Options{}, args...)
			if err != nil {
				return err
			}
			defer r.Close()
			out := bufio.NewWriter(a.stdout)
			if err := a.labelEvents(out, s, r); err != nil {
				return errors.Join(err, out.Flush())
			}
			return out.Flush()
		},
	}
}

func (a *app) labelEvents(out *bufio.Writer, s *label.Space, r *audit.Reader) error {
	if a.output == "text" {
		fmt.Fprintln(out, "RECEIVED\tLABEL\tNAME\tUSER\tRULE\tPLACE")
	}
	for {
		record, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if record.Problem != nil {
			a.remark(record.Problem.Error())
			continue
		}
		e := record.Event
		own := s.Own(e)
		byRule, rule := s.Rule(e)
		v := labelledEvent{AuditID: e.AuditID, Received: e.RequestReceived, User: e.User.Username, Label: own, Name: s.Describe(own), Rule: rule}
		if rule != "" {
			v.ByRule = byRule
		}
		if len(e.Stages) > 0 {
			v.File, v.Line = e.Stages[0].Position.File, e.Stages[0].Position.Line
		}
		if a.output == "json" {
			if err := json.MarshalWrite(out, v, json.Deterministic(true)); err != nil {
				return fmt.Errorf("write JSON: %w", err)
			}
			if err := out.WriteByte('\n'); err != nil {
				return err
			}
			continue
		}
		if _, err := fmt.Fprintf(out, "%s\t%d\t%s\t%s\t%s\t%s:%d\n",
			v.Received.UTC().Format(time.RFC3339Nano), v.Label, v.Name, printable(v.User), v.Rule, printable(v.File), v.Line); err != nil {
			return err
		}
	}
	summary := r.Summary()
	a.reportSkipped(summary)
	if summary.Events == 0 {
		return errors.New("no audit event in the input: k8ntext reads audit.k8s.io JSON, as kube-apiserver --audit-log-path writes it")
	}
	return nil
}
