package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"k8ntext/contexts"
	"k8ntext/contexts/score"
	"k8ntext/dataset"
	"k8ntext/dataset/audit"
	"k8ntext/dataset/label"
	"k8ntext/model"
	"k8ntext/query"
)

func (a *app) queryCommand() *cobra.Command {
	var (
		now string
		r   rebuilding
	)
	c := &cobra.Command{
		Use:   "query EXPRESSION FILE...",
		Short: "Find contexts by what started them",
		Long: `Finds contexts: conditions speak of the event that started a context, its trigger,
and the answer is whole contexts, one a line. The empty expression finds all.

FILE is an audit log, or the name of a corpus (k8ntext corpus list); each is a log of
its own, and held in memory. In a labelled log, whose lines have the keys context and
trigger, the true contexts are asked; in a file of store pack those that were packed
with it; in any other they are rebuilt first, see k8ntext contexts. --level says
which.

  and or not ( )                in order of binding: not, and, or
  == != < <= > >=               also in chains: 2 <= size < 10
  exists(PATH)                  there, and not empty
  regexp("...")                 beside == and !=: RE2, found anywhere in the text
  any(E) all(E) count(E)        E speaks of each event of the context in turn
  user.username  objectRef.name  responseStatus.code  requestObject.spec.replicas
                                the audit event's fields; annotations["a/b"]
  username verb resource subresource namespace name code uid ownerReferences
  involvedObject claimRef reason requesttime completiontime stagetimestamp
                                short names, in any case
  size label id operation parent
                                of the context; size is its number of events
  "text"  3  true  2026-11-22T05:04:03Z  2026-11-22  now-1h30m
                                values; texts always in quotes

Of a list, one element that fits is enough. Texts that are absent are empty; what
else is absent satisfies nothing but !=. Bodies of requests may hold secrets and are
asked, but not shown.`,
		Example: `  k8ntext query 'username == "alice" and verb == "delete"' sequential-1.34
  k8ntext query 'any(code == 403) and size > 1' labelled.jsonl
  k8ntext query '(username == "alice" and exists(namespace)) or stagetimestamp >= now-1h' labelled.jsonl
  k8ntext query -o json 'resource == "deployments" and 2 <= requestObject.spec.replicas < 5' sequential-1.34
  k8ntext query 'label == "create apps/deployments (one, namespaced)"' sequential-1.34
  k8ntext query --level identity 'size > 100' audit.log`,
		Args:              argsError(cobra.MinimumNArgs(2)),
		ValidArgsFunction: completeQuery,
		RunE: func(cmd *cobra.Command, args []string) error {
			var o query.Options
			if now != "" {
				var err error
				if o.Now, err = time.Parse(time.RFC3339, now); err != nil {
					return usagef("--now %q is no time: write it as 2026-11-22T05:04:03Z", now)
				}
			} else {
				o.Now = time.Now() // the same for all files
			}
			if err := checkQueryLevel(r.level); err != nil {
				return err
			}
			if _, err := query.Compile(args[0], o); err != nil {
				return expressionError(args[0], err) // before reading anything
			}
			out := bufio.NewWriterSize(a.stdout, 1<<16)
			err := a.query(cmd, &r, args[0], args[1:], o, out)
			if flushErr := out.Flush(); err == nil && flushErr != nil {
				err = fmt.Errorf("write contexts: %w", flushErr)
			}
			return err
		},
	}
	r.add(c)
	level := c.Flags().Lookup("level")
	level.DefValue, level.Usage = levelAuto, "whose contexts are asked: true, paper, identity or full; auto: the true ones where the log has them, else those of a store, else identity"
	r.level = levelAuto
	c.Flags().StringVar(&now, "now", "", "the time that now means, as 2026-11-22T05:04:03Z; none: this moment")
	return c
}

// Levels of a query beside those of package contexts.
const (
	levelAuto = "auto"
	levelTrue = "true"
)

func checkQueryLevel(level string) error {
	if level == levelAuto || level == levelTrue {
		return nil
	}
	if _, err := contexts.ParseLevel(level); err != nil {
		return usagef("unknown level %q: use auto, true, paper, identity or full", level)
	}
	return nil
}

// contextsOf are the contexts of a log that a query asks: the true ones, those of a store, or rebuilt ones.
func (a *app) contextsOf(cmd *cobra.Command, r *rebuilding, name string, c *dataset.Corpus) ([]query.Context, error) {
	if r.level == levelTrue || r.level == levelAuto && len(c.Contexts) > 0 {
		return query.Contexts(c)
	}
	kept, err := readStored(cmd.Context(), name)
	switch {
	case err != nil:
		return nil, err
	case kept != nil && (r.level == levelAuto || r.level == kept.level) && kept.of(c.Events):
		if !a.quiet {
			fmt.Fprintf(a.stderr, "k8ntext: %s: the contexts %s\n", printable(name), kept.rebuilt())
		}
		c.Space = kept.space
		return query.Rebuilt(kept.contexts, c.Events, kept.space), nil
	case kept != nil && r.level == levelAuto && !a.quiet:
		fmt.Fprintf(a.stderr, "k8ntext: %s: its contexts are rebuilt: %v\n", printable(name), errUnfit)
	}
	level := contexts.Identity
	if r.level != levelAuto {
		level = contexts.Level(r.level)
	}
	var labels []label.Label
	if level != contexts.Identity {
		tagger, err := loadModel(r.model)
		if err != nil {
			return nil, err
		}
		on, threads, err := r.e.target()
		if err != nil {
			return nil, err
		}
		predicted, err := tagger.Label(cmd.Context(), c.Events, model.VoteOptions{Threads: threads, Kernels: on.Kernels, Device: on.OpenCL, FallBack: on.FallBack})
		if err != nil {
			return nil, err
		}
		for _, p := range predicted {
			if level == contexts.Full && p.Margin < r.sure {
				p.Label = label.Unknown
			}
			labels = append(labels, p.Label)
		}
		c.Space = tagger.Space
	}
	list, _, err := score.Rebuild(cmd.Context(), c, level, labels)
	if err != nil {
		return nil, err
	}
	return query.Rebuilt(list, c.Events, c.Space), nil
}

// query asks each log in turn.
func (a *app) query(cmd *cobra.Command, r *rebuilding, expression string, logs []string, o query.Options, out io.Writer) error {
	found, all := 0, 0
	for _, name := range logs {
		corpus, err := dataset.Load(cmd.Context(), name, nil)
		if err != nil {
			return err
		}
		a.reportSkipped(corpus.Read)
		asked, err := a.contextsOf(cmd, r, name, corpus)
		if err != nil {
			return fmt.Errorf("query %s: %w", name, err)
		}
		o.Space = corpus.Space
		q, err := query.Compile(expression, o)
		if err != nil {
			return expressionError(expression, err)
		}
		all += len(asked)
		for i := range asked {
			if i%1024 == 0 && cmd.Context().Err() != nil {
				return cmd.Context().Err()
			}
			ok, err := q.Match(&asked[i])
			if err != nil {
				return fmt.Errorf("query %s: %w", name, err)
			}
			if !ok {
				continue
			}
			found++
			if err := a.writeContext(out, name, &asked[i]); err != nil {
				return err
			}
		}
		if n := withoutContext(corpus); n > 0 && !a.quiet && len(corpus.Contexts) > 0 && (r.level == levelAuto || r.level == levelTrue) {
			fmt.Fprintf(a.stderr, "k8ntext: %s: %d of %d events belong to no context for sure and were not asked\n", printable(name), n, len(corpus.Events))
		}
	}
	if !a.quiet {
		fmt.Fprintf(a.stderr, "k8ntext: %d of %d contexts\n", found, all)
	}
	return nil
}

func withoutContext(c *dataset.Corpus) int {
	n := 0
	for _, x := range c.Context {
		if x < 0 {
			n++
		}
	}
	return n
}

// contextView is a context as query -o json shows it.
type contextView struct {
	ID        string      `json:"id"`
	File      string      `json:"file"`
	Label     string      `json:"label"`
	Operation string      `json:"operation,omitzero"`
	Parent    string      `json:"parent,omitzero"`
	Size      int         `json:"size"`
	Trigger   *eventView  `json:"trigger"` // null: not in the log
	Events    []eventView `json:"events"`
}

// eventView is an event without its bodies, and where it is in the log.
type eventView struct {
	AuditID    string          `json:"auditID"`
	Time       time.Time       `json:"requestReceivedTimestamp"`
	Verb       string          `json:"verb"`
	RequestURI string          `json:"requestURI"`
	User       string          `json:"username"`
	Code       int             `json:"code,omitzero"`
	Place      *audit.Position `json:"place,omitzero"`
}

func viewEvent(e *audit.Event) eventView {
	v := eventView{AuditID: e.AuditID, Time: e.RequestReceived, Verb: e.Verb, RequestURI: e.RequestURI, User: e.User.Username}
	if e.ResponseStatus != nil {
		v.Code = e.ResponseStatus.Code
	}
	if n := len(e.Stages); n > 0 {
		v.Place = &e.Stages[n-1].Position
	}
	return v
}

func (a *app) writeContext(out io.Writer, file string, c *query.Context) error {
	var line []byte
	if a.output == "json" {
		v := contextView{ID: c.ID, File: file, Label: c.Label, Operation: c.Operation, Parent: c.Parent, Size: len(c.Events)}
		if c.Trigger != nil {
			t := viewEvent(c.Trigger)
			v.Trigger = &t
		}
		for _, e := range c.Events {
			v.Events = append(v.Events, viewEvent(e))
		}
		var err error
		if line, err = json.Marshal(v, jsontext.AllowInvalidUTF8(true)); err != nil {
			return fmt.Errorf("write context %q: %w", c.ID, err)
		}
	} else {
		first := c.Trigger
		what := c.Label
		if first == nil {
			first, what = c.Events[0], "(its start is not in the log)"
		}
		object, code := first.RequestURI, "-"
		if o := first.ObjectRef; o != nil && o.Name != "" {
			object = strings.TrimPrefix(o.Namespace+"/"+o.Name, "/")
		}
		if first.ResponseStatus != nil {
			code = fmt.Sprint(first.ResponseStatus.Code)
		}
		line = fmt.Appendf(line, "%s %4d %3s %-48s %s by %s %s", first.RequestReceived.UTC().Format("2006-01-02T15:04:05.000Z"), len(c.Events), code,
			what, printable(object), printable(first.User.Username), printable(c.ID))
	}
	if _, err := out.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("write contexts: %w", err)
	}
	return nil
}

// expressionError shows the place of an error below the expression.
func expressionError(expression string, err error) error {
	var at *query.Error
	if !errors.As(err, &at) {
		return err
	}
	lines := strings.Split(expression, "\n")
	line := []rune(lines[min(at.Line, len(lines))-1])
	column := min(at.Column-1, len(line))
	from := max(0, column-60) // of a long line, the part around the place
	return usagef("query: %v\n  %s\n  %s^", err, printable(string(line[from:min(len(line), column+60)])),
		strings.Repeat(" ", len([]rune(printable(string(line[from:column]))))))
}

// completeQuery completes the last word of an expression with the names and functions of the language,
// and what follows it with corpora and files.
func completeQuery(_ *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return dataset.Names(), cobra.ShellCompDirectiveDefault
	}
	cut := 1 + strings.LastIndexFunc(word, func(r rune) bool {
		return r != '.' && r != '_' && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9')
	})
	before, last := word[:cut], word[cut:]
	var out []string
	for _, name := range query.Names() {
		if strings.HasPrefix(name, last) {
			out = append(out, before+name)
		}
	}
	for _, name := range query.Functions() {
		if strings.HasPrefix(name, last) {
			out = append(out, before+name+"(")
		}
	}
	return out, cobra.ShellCompDirectiveNoSpace | cobra.ShellCompDirectiveNoFileComp
}
