package main

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"k8ntext/contexts"
	"k8ntext/dataset"
	"k8ntext/dataset/audit"
	"k8ntext/dataset/label"
	"k8ntext/model"
)

func (a *app) contextsCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "contexts",
		Short: "Show actions instead of lines; score and compare the rebuilt contexts",
		Long: `A context is the event that started something and all that it caused. Contexts are
rebuilt from any audit log, at one of three levels:

  identity  no network: what events say about objects and clients, and what the
            components of Kubernetes are known to do
  full      that, and the labels of a model where it is unsure
  paper     the paper's way: the labels of a model, dealt by weights`,
		Example: `  k8ntext contexts show audit.log
  k8ntext contexts show --tree c1042 audit.log
  k8ntext contexts score base-dev --labels true
  k8ntext contexts compare one.jsonl two.jsonl`,
	}
	c.AddCommand(a.contextsShowCommand(), a.contextsScoreCommand(), a.contextsCompareCommand(), a.contextsHTMLCommand(), a.contextsDrawCommand())
	return c
}

// rebuilding are the flags of commands that rebuild contexts of logs.
type rebuilding struct {
	level string
	model string
	sure  float64
	e     engine

	space *label.Space // of the labels of the contexts that are given
}

func (r *rebuilding) add(c *cobra.Command) {
	c.Flags().StringVar(&r.level, "level", string(contexts.Identity), "what contexts are rebuilt from: paper, identity or full")
	c.Flags().StringVarP(&r.model, "model", "m", "", "model file, at level paper or full; none: the model in this program")
	c.Flags().Float64Var(&r.sure, "sure", defaultSure, "at level full, labels that won their vote by less than this margin are not believed")
	r.e.flags(c.Flags())
	r.e.deviceFlag(c.Flags())
	_ = c.RegisterFlagCompletionFunc("level", cobra.FixedCompletions([]string{"paper", "identity", "full"}, cobra.ShellCompDirectiveNoFileComp))
}

// defaultSure is the margin below which a label is not believed.
const defaultSure = 0.9

// numbered is an event with its label, or [label.Unknown].
type numbered struct {
	event *audit.Event
	label label.Label
}

// source gives the events of logs in order of time.
type source struct {
	space *label.Space
	next  func() (*audit.Event, error) // io.EOF after the last
	close func()
}

// openSource opens a corpus by its name, or log files together.
func (a *app) openSource(cmd *cobra.Command, names []string) (*source, error) {
	if len(names) == 1 && names[0] != "-" && slices.Contains(dataset.Names(), names[0]) {
		c, err := dataset.Load(cmd.Context(), names[0], nil)
		if err != nil {
			return nil, err
		}
		return sourceOf(c), nil
	}
	return a.openEvents(cmd, names, heldBytes)
}

// openEvents opens log files together, with a bound on the events that wait for their stages.
func (a *app) openEvents(cmd *cobra.Command, names []string, held int) (*source, error) {
	r, err := a.openLogs(cmd, names, audit.Options{MaxHeld: held, Decoders: runtime.GOMAXPROCS(0)})
	if err != nil {
		return nil, err
	}
	batches, stop := readAhead(r)
	s := &source{space: label.Default(), close: stop}
	var batch []audit.Record
	s.next = func() (*audit.Event, error) {
		for {
			if len(batch) == 0 {
				b, ok := <-batches
				if !ok {
					a.reportSkipped(r.Summary())
					return nil, io.EOF
				}
				if b.err != nil {
					return nil, b.err
				}
				batch = b.records
			}
			rec := batch[0]
			batch = batch[1:]
			if rec.Event != nil {
				return rec.Event, nil
			}
			a.remark(rec.Problem.Error())
		}
	}
	return s, nil
}

// sourceOf gives the events of a corpus.
func sourceOf(c *dataset.Corpus) *source {
	i := 0
	return &source{space: c.Space, close: func() {}, next: func() (*audit.Event, error) {
		if i == len(c.Events) {
			return nil, io.EOF
		}
		i++
		return c.Events[i-1], nil
	}}
}

// readRecords is what was read ahead: records, or what ended the reading.
type readRecords struct {
	records []audit.Record
	err     error
}

// readAhead reads a log on a goroutine of its own, so that its lines are decoded while contexts are
// rebuilt of those before. The channel is closed at the end of the log. stop ends the reading, but does not
// wait for a line that may never come; the reader is closed by then or later.
func readAhead(r *audit.Reader) (batches <-chan readRecords, stop func()) {
	const size, most = 128, 4
	out, quit := make(chan readRecords, most), make(chan struct{})
	go func() {
		defer close(out)
		defer r.Close()
		send := func(b readRecords) bool {
			select {
			case out <- b:
				return true
			case <-quit:
				return false
			}
		}
		for {
			var b readRecords
			for len(b.records) < size && b.err == nil {
				var rec audit.Record
				if rec, b.err = r.Next(); b.err == nil {
					b.records = append(b.records, rec)
				}
			}
			if len(b.records) > 0 && !send(readRecords{records: b.records}) {
				return
			}
			if b.err != nil {
				if b.err != io.EOF {
					send(readRecords{err: b.err})
				}
				return
			}
		}
	}()
	return out, func() { close(quit) }
}

// heldBytes bounds the events that wait for their stages: contexts need the order of time, and a watch
// that leaves unfinished costs them nothing.
const heldBytes = 32 << 20

// rebuild rebuilds the contexts of logs and gives them as they are finished. seen is told of every event
// before it is in a context; nil: nobody is.
func (a *app) rebuild(cmd *cobra.Command, r *rebuilding, names []string, seen func(n int, e *audit.Event), given func(*contexts.Context) error) (contexts.Summary, *label.Space, error) {
	level, err := contexts.ParseLevel(r.level)
	if err != nil {
		return contexts.Summary{}, nil, usageError{err}
	}
	if len(names) == 1 {
		kept, err := readStored(cmd.Context(), names[0])
		if err != nil {
			return contexts.Summary{}, nil, err
		}
		if kept != nil && (!cmd.Flags().Changed("level") || kept.level == r.level) {
			return a.giveStored(cmd, r, names, kept, seen, given)
		}
	}
	s, err := a.openSource(cmd, names)
	if err != nil {
		return contexts.Summary{}, nil, err
	}
	defer s.close()
	// Nearly all that is read is soon garbage: let less of it gather than is usual.
	defer debug.SetGCPercent(debug.SetGCPercent(50))
	next := func() (numbered, error) {
		e, err := s.next()
		return numbered{e, label.Unknown}, err
	}
	if level != contexts.Identity {
		tagger, err := loadModel(r.model)
		if err != nil {
			return contexts.Summary{}, nil, err
		}
		s.space = tagger.Space
		labeler, err := r.labeler(tagger)
		if err != nil {
			return contexts.Summary{}, nil, err
		}
		defer labeler.Close()
		sure := r.sure
		if level == contexts.Paper {
			sure = 0
		}
		next = labelledEvents(s.next, labeler, sure)
	}
	r.space = s.space
	b := contexts.New(contexts.Options{Level: level, Space: s.space})
	give := func(list []*contexts.Context) error {
		for _, c := range list {
			if err := given(c); err != nil {
				return err
			}
		}
		return nil
	}
	p := a.newProgress()
	defer p.done()
	for n := 0; ; n++ {
		if n%1024 == 0 {
			if err := cmd.Context().Err(); err != nil {
				return b.Summary(), s.space, err
			}
			if n > 0 {
				p.show("%d events, %d contexts", n, b.Summary().Contexts)
			}
		}
		x, err := next()
		if err == io.EOF {
			err := give(b.Flush())
			return b.Summary(), s.space, err
		}
		if err != nil {
			return b.Summary(), s.space, err
		}
		if seen != nil {
			seen(n, x.event)
		}
		if err := give(b.Push(x.event, x.label)); err != nil {
			return b.Summary(), s.space, err
		}
	}
}

// giveStored is rebuild of a file that has contexts of its own.
func (a *app) giveStored(cmd *cobra.Command, r *rebuilding, names []string, kept *stored, seen func(n int, e *audit.Event), given func(*contexts.Context) error) (contexts.Summary, *label.Space, error) {
	r.space, r.level = kept.space, cmp.Or(kept.level, "stripped")
	sum := contexts.Summary{Contexts: len(kept.contexts)}
	var s *source
	var err error
	if c := kept.stripped; c != nil {
		s = sourceOf(c)
	} else if s, err = a.openEvents(cmd, names, audit.DefaultMaxHeld); err != nil { // events may be whole that were not when they were packed
		return sum, nil, err
	}
	defer s.close()
	if !a.quiet {
		fmt.Fprintf(a.stderr, "k8ntext: %s: the contexts %s\n", printable(names[0]), kept.rebuilt())
	}
	filler := contexts.NewFiller(kept.contexts)
	for {
		if err := cmd.Context().Err(); err != nil {
			return sum, kept.space, err
		}
		e, err := s.next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return sum, kept.space, err
		}
		if seen != nil {
			seen(sum.Events, e)
		}
		sum.Events++
		for _, c := range filler.Push(e) {
			if err := given(c); err != nil {
				return sum, kept.space, err
			}
			sum.Given++
		}
	}
	if filler.Missing() > 0 {
		err = fmt.Errorf("store %s: %d events of its contexts are not among its lines: %w", names[0], filler.Missing(), errUnfit)
	}
	return sum, kept.space, err
}

func (r *rebuilding) labeler(t *model.Tagger) (*model.Labeler, error) {
	on, threads, err := r.e.target()
	if err != nil {
		return nil, err
	}
	return t.Labeler(model.VoteOptions{Batch: 32, Threads: threads, Kernels: on.Kernels, Device: on.OpenCL, FallBack: on.FallBack})
}

// labelledEvents puts a labeler behind a source of events.
func labelledEvents(next func() (*audit.Event, error), l *model.Labeler, sure float64) func() (numbered, error) {
	var ready []numbered
	ended := false
	take := func(done []model.Labelled) {
		for _, d := range done {
			x := numbered{d.Event, d.Label}
			if d.Margin < sure {
				x.label = label.Unknown
			}
			ready = append(ready, x)
		}
	}
	return func() (numbered, error) {
		for len(ready) == 0 {
			if ended {
				return numbered{}, io.EOF
			}
			e, err := next()
			var done []model.Labelled
			switch {
			case err == io.EOF:
				ended = true
				done, err = l.Flush()
			case err == nil:
				done, err = l.Push(e)
			}
			if err != nil {
				return numbered{}, err
			}
			take(done)
		}
		x := ready[0]
		ready = ready[1:]
		return x, nil
	}
}

// filters choose contexts.
type filters struct {
	user, namespace, verb, label string
	since, until                 string
	from, to                     time.Time
	least                        int
	background                   bool
}

func (f *filters) add(c *cobra.Command) {
	c.Flags().StringVar(&f.user, "user", "", "only what this user started, or who was impersonated")
	c.Flags().StringVar(&f.namespace, "namespace", "", "only what is about this namespace, or in it")
	c.Flags().StringVar(&f.verb, "verb", "", "only what was started by a request with this verb")
	c.Flags().StringVar(&f.label, "label", "", "only contexts with this label, in words")
	c.Flags().StringVar(&f.since, "since", "", "only what began at this time or later, as 2026-11-22T05:04:03Z")
	c.Flags().StringVar(&f.until, "until", "", "only what began before this time")
	c.Flags().IntVar(&f.least, "min-events", 0, "only contexts with so many events")
	c.Flags().BoolVar(&f.background, "background", false, "also what nobody asked for")
}

func (f *filters) check() error {
	for _, t := range []struct {
		flag, text string
		to         *time.Time
	}{{"since", f.since, &f.from}, {"until", f.until, &f.to}} {
		if t.text == "" {
			continue
		}
		var err error
		if *t.to, err = time.Parse(time.RFC3339, t.text); err != nil {
			return usagef("--%s %q is no time: write it as 2026-11-22T05:04:03Z", t.flag, t.text)
		}
	}
	if f.least < 0 {
		return usagef("--min-events %d: write 0 or more", f.least)
	}
	return nil
}

func (f *filters) keep(c *contexts.Context, space *label.Space) bool {
	switch {
	case !f.background && !c.User,
		f.user != "" && c.Actor.User != f.user && c.Actor.Impersonated != f.user,
		f.namespace != "" && c.Object.Namespace != f.namespace && !(c.Object.Resource == "namespaces" && c.Object.Name == f.namespace),
		f.verb != "" && c.Verb != f.verb,
		f.label != "" && space.Describe(c.Label) != f.label,
		!f.from.IsZero() && c.First.Before(f.from),
		!f.to.IsZero() && !c.First.Before(f.to),
		len(c.Members) < f.least:
		return false
	}
	return true
}

func (a *app) contextsShowCommand() *cobra.Command {
	var (
		r    rebuilding
		f    filters
		tree string
	)
	c := &cobra.Command{
		Use:   "show FILE...",
		Short: "Show the actions of a log: who did what to what, the result, and how much it caused",
		Long: `Rebuilds the contexts of a log, or of several files of one log together (or of a
corpus, by its name), and shows one a line: what persons and CI accounts started.

With -o json each line is a context with its trigger and its events, each with the
reason why it is there. A context is given when it cannot grow any more; one that is
given before is "provisional", and what still comes for it follows under the same id
as "continued". Memory does not grow with the log.

A file of store pack has its contexts in it: these are shown, unless --level names
another level than theirs. So are those of a stripped log.

--tree shows the events of one context, and what belongs to it otherwise.`,
		Example: `  k8ntext contexts show audit.log
  k8ntext contexts show --user alice --min-events 20 /var/log/kubernetes/audit*.log.gz
  k8ntext contexts show --since 2026-11-22T05:00:00Z --verb delete audit.log
  k8ntext contexts show --tree c1042 audit.log
  k8ntext contexts show -o json audit.log > contexts.jsonl
  k8ntext contexts show --level full sequential-1.34`,
		Args:              argsError(cobra.MinimumNArgs(1)),
		ValidArgsFunction: completeLogs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.check(); err != nil {
				return err
			}
			if tree != "" {
				return a.showTree(cmd, &r, args, tree)
			}
			out := bufio.NewWriterSize(a.stdout, 1<<16)
			err := a.showContexts(cmd, &r, &f, args, out)
			if flushErr := out.Flush(); err == nil && flushErr != nil {
				err = fmt.Errorf("write contexts: %w", flushErr)
			}
			return err
		},
	}
	r.add(c)
	f.add(c)
	c.Flags().StringVar(&tree, "tree", "", "show the events of the context with this id")
	return c
}

// completeLogs completes names of corpora, and files.
func completeLogs(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return dataset.Names(), cobra.ShellCompDirectiveDefault
}

func (a *app) showContexts(cmd *cobra.Command, r *rebuilding, f *filters, names []string, out io.Writer) error {
	shown := 0
	if a.output == "json" {
		sum, _, err := a.rebuild(cmd, r, names, nil, func(c *contexts.Context) error {
			if !f.keep(c, r.space) {
				return nil
			}
			shown++
			line, err := json.Marshal(viewContext(c, r.space), jsontext.AllowInvalidUTF8(true))
			if err != nil {
				return fmt.Errorf("write context %s: %w", c.ID, err)
			}
			_, err = out.Write(append(line, '\n'))
			return err
		})
		a.sayShown(shown, sum)
		return err
	}
	var parts []*contexts.Context
	sum, space, err := a.rebuild(cmd, r, names, nil, func(c *contexts.Context) error {
		if f.background || c.User {
			parts = append(parts, c)
		}
		return nil
	})
	if err != nil {
		return err
	}
	whole := contexts.Whole(parts)
	slices.SortStableFunc(whole, func(a, b *contexts.Context) int { return a.First.Compare(b.First) })
	fmt.Fprintf(out, "%-24s %6s %9s %4s  %-14s %-44s %-40s %s\n", "BEGAN", "EVENTS", "SPAN", "CODE", "WHO", "WHAT", "ON WHAT", "ID")
	for _, c := range whole {
		if !f.keep(c, space) {
			continue
		}
		shown++
		code := "-"
		if c.Outcome != 0 {
			code = fmt.Sprint(c.Outcome)
		}
		fmt.Fprintf(out, "%-24s %6d %9s %4s  %-14s %-44s %-40s %s\n", c.First.UTC().Format("2006-01-02T15:04:05.000Z"), len(c.Members),
			span(c), code, who(c), what(c), onWhat(c), c.ID)
	}
	a.sayShown(shown, sum)
	return nil
}

func (a *app) sayShown(shown int, s contexts.Summary) {
	if a.quiet {
		return
	}
	fmt.Fprintf(a.stderr, "k8ntext: %d of %d contexts, of %d events", shown, s.Contexts, s.Events)
	if s.Pressed > 0 {
		fmt.Fprintf(a.stderr, "; %d were given early to bound memory", s.Pressed)
	}
	fmt.Fprintln(a.stderr)
}

func who(c *contexts.Context) string {
	name := c.Actor.User
	if name == "" {
		name = "(nobody)"
	}
	if c.Actor.Impersonated != "" {
		name += " as " + c.Actor.Impersonated
	}
	return printable(name)
}

func what(c *contexts.Context) string {
	if c.Object.Resource == "" {
		return printable(c.Verb + " " + c.URI)
	}
	what := c.Verb + " " + c.Object.Resource
	if c.Sub != "" {
		what += "/" + c.Sub
	}
	if c.Object.Group != "" {
		what += "." + c.Object.Group
	}
	return printable(what)
}

func onWhat(c *contexts.Context) string {
	name := strings.TrimPrefix(c.Object.Namespace+"/"+c.Object.Name, "/")
	if name == "" || strings.HasSuffix(name, "/") {
		name += "*"
	}
	if c.Object.Resource == "" {
		name = "-"
	}
	return printable(name)
}

func span(c *contexts.Context) string {
	switch d := c.Last.Sub(c.First); {
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return d.Round(10 * time.Millisecond).String()
	default:
		return d.Round(time.Second).String()
	}
}

// showTree shows one context: the log is read twice, for events are not kept.
func (a *app) showTree(cmd *cobra.Command, r *rebuilding, names []string, id string) error {
	if slices.Contains(names, "-") {
		return usagef("--tree reads the log twice, so it cannot come from standard input: write it to a file first")
	}
	var parts []*contexts.Context
	_, space, err := a.rebuild(cmd, r, names, nil, func(c *contexts.Context) error {
		parts = append(parts, c)
		return nil
	})
	if err != nil {
		return err
	}
	whole := contexts.Whole(parts)
	at := slices.IndexFunc(whole, func(c *contexts.Context) bool { return c.ID == id })
	if at < 0 {
		return fmt.Errorf("the log has no context %q at level %s: see k8ntext contexts show", printable(id), r.level)
	}
	c := whole[at]
	views, err := a.readMembers(cmd, names, c.Members)
	if err != nil {
		return err
	}
	if a.output == "json" {
		v := viewContext(c, space)
		for i := range v.Events {
			v.Events[i].View = &views[i]
		}
		return a.writeJSON(v)
	}
	out := bufio.NewWriter(a.stdout)
	fmt.Fprintf(out, "%s  %s %s %s\n", c.ID, who(c), what(c), onWhat(c))
	fmt.Fprintf(out, "label %s, %d events in %s", space.Describe(c.Label), len(c.Members), span(c))
	if c.Parent != "" {
		fmt.Fprintf(out, ", set off by a clock or threshold of %s", c.Parent)
	}
	fmt.Fprintln(out)
	for i, m := range c.Members {
		v := &views[i]
		branch := "+-"
		if m.Event == c.Trigger.Event {
			branch = "*-"
		}
		code := "-"
		if v.Code != 0 {
			code = fmt.Sprint(v.Code)
		}
		fmt.Fprintf(out, "  %s %+9.3fs  %4s %-10s %-60s %s  (%s)\n", branch, v.Time.Sub(c.First).Seconds(), code, printable(v.Verb),
			printable(shortURI(v.RequestURI)), printable(v.User), m.Reason)
	}
	for _, other := range whole {
		switch {
		case other.Parent == c.ID:
			fmt.Fprintf(out, "  later, by a clock: %s  %s %s, %d events\n", other.ID, what(other), onWhat(other), len(other.Members))
		case c.Operation != "" && other.Operation == c.Operation && other != c:
			fmt.Fprintf(out, "  same command: %s  %s %s, %d events\n", other.ID, what(other), onWhat(other), len(other.Members))
		}
	}
	return out.Flush()
}

func shortURI(uri string) string {
	path, _, _ := strings.Cut(uri, "?")
	return path
}

// readMembers reads a log again for the events of a context.
func (a *app) readMembers(cmd *cobra.Command, names []string, members []contexts.Member) ([]eventView, error) {
	quiet := *a
	quiet.quiet = true // it was said before
	s, err := quiet.openSource(cmd, names)
	if err != nil {
		return nil, err
	}
	defer s.close()
	views := make([]eventView, 0, len(members))
	for n := 0; len(views) < len(members); n++ {
		e, err := s.next()
		if err == io.EOF {
			return nil, fmt.Errorf("the log changed while it was read: %d of %d events are there", len(views), len(members))
		}
		if err != nil {
			return nil, err
		}
		if n == members[len(views)].Event {
			views = append(views, viewEvent(e))
		}
	}
	return views, nil
}

// rebuiltView is a context as contexts show -o json writes it, and contexts compare reads it.
type rebuiltView struct {
	ID           string       `json:"id"`
	Label        string       `json:"label"`
	Operation    string       `json:"operation,omitzero"`
	Parent       string       `json:"parent,omitzero"`
	User         string       `json:"user"`
	Impersonated string       `json:"impersonated,omitzero"`
	Agent        string       `json:"agent"`
	Person       bool         `json:"person"` // started by a person or a CI account
	Verb         string       `json:"verb"`
	Object       objectView   `json:"object"`
	URI          string       `json:"uri"`
	Code         int          `json:"code"`
	First        time.Time    `json:"first"`
	Last         time.Time    `json:"last"`
	Size         int          `json:"size"`
	Trigger      *triggerView `json:"trigger"` // null: not in the log
	Objects      []objectView `json:"objects"`
	MoreObjects  int          `json:"more_objects,omitzero"`
	Provisional  bool         `json:"provisional,omitzero"`
	Continued    bool         `json:"continued,omitzero"`
	Events       []memberView `json:"events"`
}

type objectView struct {
	Group       string `json:"group,omitzero"`
	Resource    string `json:"resource"`
	Subresource string `json:"subresource,omitzero"`
	Namespace   string `json:"namespace,omitzero"`
	Name        string `json:"name,omitzero"`
}

type triggerView struct {
	Event     int  `json:"event"`
	Line      int  `json:"line"`
	Estimated bool `json:"estimated,omitzero"`
}

type memberView struct {
	Event      int        `json:"event"`
	Line       int        `json:"line"`
	Reason     string     `json:"reason"`
	Confidence float32    `json:"confidence"`
	View       *eventView `json:"request,omitzero"`
}

func viewContext(c *contexts.Context, space *label.Space) *rebuiltView {
	v := &rebuiltView{
		ID: c.ID, Label: space.Describe(c.Label), Operation: c.Operation, Parent: c.Parent, User: c.Actor.User,
		Impersonated: c.Actor.Impersonated, Agent: c.Actor.Agent, Person: c.User, Verb: c.Verb, URI: c.URI, Code: c.Outcome,
		Object: objectView{c.Object.Group, c.Object.Resource, c.Sub, c.Object.Namespace, c.Object.Name},
		First:  c.First, Last: c.Last, Size: len(c.Members), MoreObjects: c.MoreObjects, Provisional: c.Provisional, Continued: c.Continued,
		Objects: []objectView{}, Events: make([]memberView, len(c.Members)),
	}
	if c.Trigger.Event >= 0 {
		v.Trigger = &triggerView{c.Trigger.Event, c.Trigger.Line, c.Trigger.Estimated}
	}
	for _, o := range c.Objects {
		v.Objects = append(v.Objects, objectView{o.Group, o.Resource, "", o.Namespace, o.Name})
	}
	for i, m := range c.Members {
		v.Events[i] = memberView{Event: m.Event, Line: m.Line, Reason: m.Reason.String(), Confidence: m.Confidence}
	}
	return v
}

// readContexts reads what contexts show -o json wrote, and gives the context of each event by its number.
func readContexts(ctx context.Context, path string) (map[int]int32, []*rebuiltView, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, fmt.Errorf("contexts: %w", err)
	}
	defer f.Close()
	of := make(map[int]int32)
	byID := make(map[string]int32)
	var list []*rebuiltView
	d := jsontext.NewDecoder(bufio.NewReaderSize(f, 1<<20), jsontext.AllowInvalidUTF8(true))
	for n := 1; ; n++ {
		if n%1024 == 0 && ctx.Err() != nil {
			return nil, nil, ctx.Err()
		}
		if d.PeekKind() == 0 {
			if _, err := d.ReadToken(); err == io.EOF {
				break
			}
		}
		v := new(rebuiltView)
		if err := json.UnmarshalDecode(d, v); err != nil || v.ID == "" || len(v.Events) == 0 {
			return nil, nil, fmt.Errorf("%s: value %d is no context (%v): give what contexts show -o json wrote", path, n, err)
		}
		id, ok := byID[v.ID]
		if !ok {
			id = int32(len(list))
			byID[v.ID] = id
			list = append(list, v)
		} else {
			list[id].Events = append(list[id].Events, v.Events...)
			list[id].Size += v.Size
		}
		for _, m := range v.Events {
			if _, twice := of[m.Event]; twice {
				return nil, nil, fmt.Errorf("%s: event %d is in two contexts", path, m.Event)
			}
			of[m.Event] = id
		}
	}
	if len(list) == 0 {
		return nil, nil, fmt.Errorf("%s holds no context: give what contexts show -o json wrote", path)
	}
	return of, list, nil
}
