package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"k8ntext/dataset"
	"k8ntext/experiments"
	"k8ntext/explain"
	"k8ntext/explain/page"
	"k8ntext/explain/windows"
	"k8ntext/model"
)

func (a *app) explainCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "explain",
		Short: "Imitate a model by decision trees and say how far they may be believed",
		Example: `  k8ntext explain report --corpus sequential-1.34 --fold 3
  k8ntext explain line audit.log:1042`,
	}
	c.AddCommand(a.explainReportCommand(), a.explainLineCommand())
	return c
}

// explainFlags choose what is explained.
type explainFlags struct {
	engine
	model     string
	component string
	position  int
	rows      int
	maxLeaves int
	seed      uint64
}

func (x *explainFlags) add(c *cobra.Command) {
	x.flags(c.Flags())
	x.deviceFlag(c.Flags())
	c.Flags().StringVarP(&x.model, "model", "m", "", "model file; none: the model in this program")
	c.Flags().StringVar(&x.component, "component", windows.Label, "what is explained: "+strings.Join(windows.Components(), ", "))
	c.Flags().IntVar(&x.rows, "rows", 0, "windows at most, evenly over time; 0: 4000, negative: all")
	c.Flags().IntVar(&x.maxLeaves, "max-leaves", 0, "leaves of the tree at most; 0: what the one-standard-error rule chooses")
	c.Flags().Uint64Var(&x.seed, "seed", 1, "seed of all that is drawn: same seed, same report")
}

// windows takes the rows to explain.
func (x *explainFlags) windows(t *model.Tagger, c *dataset.Corpus, o windows.Options) (*windows.Rows, error) {
	if !slices.Contains(windows.Components(), x.component) {
		return nil, usagef("unknown component %q: use one of %s", x.component, strings.Join(windows.Components(), ", "))
	}
	on, threads, err := x.target()
	if err != nil {
		return nil, err
	}
	o.Component, o.Rows = x.component, x.rows
	if o.Position == 0 {
		o.Position = x.position
	}
	o.Vote = model.VoteOptions{Threads: threads, Kernels: on.Kernels, Device: on.OpenCL, FallBack: on.FallBack}
	return windows.New(t, c, o)
}

func (a *app) explainReportCommand() *cobra.Command {
	var (
		x          explainFlags
		o          explain.Options
		m          modelFlags
		corpusName string
		out        string
		fold       int
		seen       bool
	)
	c := &cobra.Command{
		Use:   "report",
		Short: "Write a trust report: trees, rules, fidelity on unseen rows, what the network rests on",
		Long: `Asks a model about windows of a corpus that it was not trained on, imitates its label
of the event at each window's centre by a decision tree, and writes a folder with one
self-contained page (explain.html), the report as JSON, figures as SVG, PNG and PDF, and
the trees as text, rules, DOT, JSON and Go code.

With --fold N a network is trained first on all but the N-th of 5 contiguous parts of the
corpus, and explained on that part.`,
		Example: `  k8ntext explain report --corpus sequential-1.34 --fold 3 --out explained
  k8ntext explain report -m my.k8ntext --corpus other.jsonl.zst --component verb
  k8ntext explain report --include-seen --rows 1500`,
		Args: exactArgs(0),
		RunE: func(cmd *cobra.Command, args []string) error {
			if fold < 0 || fold > 5 {
				return usagef("--fold %d: the blocked protocol has folds 1 to 5; 0 trains nothing", fold)
			}
			if fold > 0 && (cmd.Flags().Changed("model") || seen) {
				return usagef("--fold trains a model of its own: it goes with neither -m nor --include-seen")
			}
			if _, err := m.config(); err != nil {
				return err
			}
			p := a.newProgress()
			defer p.done()
			tagger, corpus, w, err := a.explained(cmd.Context(), p, &x, &m, corpusName, fold)
			if err != nil {
				return err
			}
			w.Seen = seen
			e, paths, err := x.report(cmd.Context(), p, tagger, corpus, w, o, out)
			if err != nil {
				return err
			}
			if a.output == "json" {
				return e.Report.WriteJSON(a.stdout)
			}
			return reportExplained(a.stdout, e, paths[0], len(paths))
		},
	}
	x.add(c)
	m.add(c)
	c.Flags().IntVar(&x.position, "position", 0, "place of the explained event in its window, from 1; 0: the centre")
	c.Flags().StringVar(&corpusName, "corpus", "sequential-1.34", "corpus: a name of corpus list, or a path")
	c.Flags().StringVar(&out, "out", "explained", "folder to write")
	c.Flags().IntVar(&fold, "fold", 0, "train on all but this fold, from 1, and explain it; 0: explain -m")
	c.Flags().BoolVar(&seen, "include-seen", false, "use windows of the model's training too, marked in the report")
	c.Flags().IntVar(&o.Honest.Cut.Blocks, "blocks", 0, "contiguous blocks of time that take turns in the three parts; 0: 10")
	c.Flags().IntVar(&o.Honest.Bootstraps, "bootstraps", 0, "trees of resampled contexts beside the one of all rows; 0: 10, negative: none")
	c.Flags().IntVar(&o.Folds, "folds", 0, "compare both modes on so many cuts, at most 5")
	c.Flags().IntVar(&o.Probes, "probes", 0, "rows that the network is asked again with something changed; 0: 150, negative: none")
	c.Flags().IntVar(&o.Single, "single", 0, "classes that get a tree of their own; 0: 10, negative: none")
	c.Flags().IntVar(&o.Trustee.Iterations, "iterations", 10, "mode trustee: inner iterations")
	c.Flags().IntVar(&o.Trustee.Stability, "stability", 3, "mode trustee: outer iterations")
	c.Flags().Float64Var(&o.Trustee.SampleShare, "sample", .5, "mode trustee: share of the rows in a draw")
	c.Flags().IntVar(&o.Trustee.TopK, "top-k", 10, "mode trustee: branches that pruning keeps")
	return c
}

// report explains windows of a corpus and writes the report to a folder.
func (x *explainFlags) report(ctx context.Context, p *progress, t *model.Tagger, c *dataset.Corpus, w windows.Options, o explain.Options, out string) (*explain.Explanation, []string, error) {
	rows, err := x.windows(t, c, w)
	if err != nil {
		return nil, nil, err
	}
	defer rows.Close()
	o.Honest.Seed, o.Trustee.Seed = x.seed, x.seed
	o.Honest.MaxLeaves, o.Honest.Workers, o.Trustee.Workers = x.maxLeaves, x.threads, x.threads
	o.Progress = func(step string) { p.show("%s", step) }
	e, err := explain.Explain(ctx, rows.Problem, o)
	if err != nil {
		return nil, nil, err
	}
	p.show("writing")
	paths, err := page.Write(out, e)
	p.done()
	return e, paths, err
}

// explained gives the model to explain, its corpus, and which events may be used: with a fold, a model
// that is trained now on the others.
func (a *app) explained(ctx context.Context, p *progress, x *explainFlags, m *modelFlags, corpusName string, fold int) (*model.Tagger, *dataset.Corpus, windows.Options, error) {
	var w windows.Options
	if fold == 0 {
		tagger, err := loadModel(x.model)
		if err != nil {
			return nil, nil, w, err
		}
		corpus, err := experiments.LoadCorpus(ctx, experiments.Corpora{corpusName}, tagger.Config.Labels)
		if err == nil {
			a.reportSkipped(corpus.Read)
		}
		return tagger, corpus, w, err
	}
	config, err := m.config()
	if err != nil {
		return nil, nil, w, err
	}
	on, threads, err := x.target()
	if err != nil {
		return nil, nil, w, err
	}
	corpus, err := experiments.LoadCorpus(ctx, experiments.Corpora{corpusName}, config.Labels)
	if err != nil {
		return nil, nil, w, err
	}
	a.reportSkipped(corpus.Read)
	splits, err := dataset.SplitBlocked(corpus, dataset.BlockedOptions{Length: config.Window})
	if err != nil {
		return nil, nil, w, err
	}
	split := splits[fold-1]
	tagger, _, err := model.Train(ctx, config, corpus, split, model.TrainOptions{
		Seed: x.seed, Kernels: on.Kernels, Device: on.OpenCL, FallBack: on.FallBack, Threads: threads,
		Commit: buildVersion().Commit, Hooks: []model.Hook{trainingProgress(p)}, Log: a.log(),
	})
	w.Events = split.TestEvents()
	return tagger, corpus, w, err
}

// reportExplained says the main points of a report.
func reportExplained(w io.Writer, e *explain.Explanation, path string, files int) error {
	r := e.Report
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %d windows, %d classes given", printable(r.Name), r.Rows, r.Classes)
	if r.Seen {
		b.WriteString(", SEEN IN TRAINING")
	}
	f := r.Tree.Fidelity.Agreement
	fmt.Fprintf(&b, "\nhonest:  %4d leaves, fidelity %.3f [%.3f, %.3f] on %d unseen rows\n", r.Tree.Leaves, f.Value, f.Low, f.High, r.Report)
	if t := r.Trustee; t != nil {
		g, q := t.Pruned.Fidelity.Agreement, t.Equal.Fidelity.Agreement
		fmt.Fprintf(&b, "trustee: %4d leaves, fidelity %.3f [%.3f, %.3f] (its own reward: %.3f); honest at equal leaves %.3f [%.3f, %.3f]\n",
			t.Pruned.Leaves, g.Value, g.Low, g.High, t.Reward, q.Value, q.Low, q.High)
	}
	fmt.Fprintf(&b, "not explained: %d rows; the first rules:\n", r.Unexplained.Rows)
	for _, l := range r.Leaves[:min(5, len(r.Leaves))] {
		fmt.Fprintf(&b, "  %s (%d rows; on unseen ones %.2f)\n", printable(l.Text), l.Weight, l.Fidelity.Value)
	}
	fmt.Fprintf(&b, "%s and %d more files\n", path, files-1)
	_, err := io.WriteString(w, b.String())
	return err
}

// lineView is an explained line.
type lineView struct {
	Where       string             `json:"where"`
	Request     string             `json:"request"`
	Label       string             `json:"label"`
	RunnerUp    string             `json:"runner_up"`
	Margin      float64            `json:"margin"`
	Windows     int                `json:"windows"` // that voted
	Position    int                `json:"position"`
	Fidelity    explain.Fidelity   `json:"tree_fidelity"`
	Explanation *explain.RowReport `json:"explanation"`
}

func (a *app) explainLineCommand() *cobra.Command {
	var x explainFlags
	c := &cobra.Command{
		Use:   "line FILE:N",
		Short: "Say why the event of a raw line gets its label",
		Long: `Labels the log in FILE, imitates the model by a decision tree grown on the log's own windows,
and says of the event that the N-th raw line belongs to: its label and how the windows voted,
the path in the tree, the values and the neighbouring events without which the network answers
otherwise (each is hidden and the network asked again), and the smallest change that would lead
to another label. FILE may be the name of a corpus.`,
		Example: `  k8ntext explain line audit.log:1042
  k8ntext explain line sequential-1.34:3000 -o json`,
		Args: exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			file, line, err := fileLine(args[0])
			if err != nil {
				return err
			}
			tagger, err := loadModel(x.model)
			if err != nil {
				return err
			}
			corpus, err := experiments.LoadCorpus(cmd.Context(), experiments.Corpora{file}, tagger.Config.Labels)
			if err != nil {
				return err
			}
			a.reportSkipped(corpus.Read)
			event, err := eventAt(corpus, line)
			if err != nil {
				return err
			}
			p := a.newProgress()
			defer p.done()
			v, err := explainLine(cmd.Context(), &x, tagger, corpus, event, func(step string) { p.show("%s", step) })
			if err != nil {
				return err
			}
			p.done()
			if a.output == "json" {
				return a.writeJSON(v)
			}
			return v.write(a.stdout)
		},
	}
	x.add(c)
	return c
}

// fileLine splits FILE:N.
func fileLine(arg string) (string, int, error) {
	i := strings.LastIndexByte(arg, ':')
	if i < 1 {
		return "", 0, usagef("%q: write FILE:N, N being the number of a raw line", arg)
	}
	n, err := strconv.Atoi(arg[i+1:])
	if err != nil || n < 1 {
		return "", 0, usagef("%q: %q is no line number: write FILE:N, N from 1", arg, arg[i+1:])
	}
	return arg[:i], n, nil
}

// eventAt is the event that a raw line is a stage of.
func eventAt(c *dataset.Corpus, line int) (int, error) {
	for i, e := range c.Events {
		for _, s := range e.Stages {
			if s.Position.Line == line {
				return i, nil
			}
		}
	}
	return 0, fmt.Errorf("explain line %d of %s: no event of the %d in it was read from that line", line, filepath.Base(c.Name), len(c.Events))
}

// explainLine explains one event of a corpus.
func explainLine(ctx context.Context, x *explainFlags, t *model.Tagger, c *dataset.Corpus, event int, step func(string)) (*lineView, error) {
	length := t.Config.Window
	if len(c.Events) < length {
		return nil, fmt.Errorf("explain event %d of %s: it has %d events and the model's window %d: give a longer log", event+1, c.Name, len(c.Events), length)
	}
	// Near an end of the log no window has the event at its centre.
	start := min(max(event-length/2, 0), len(c.Events)-length)
	step("asking the network about the log's windows")
	rows, err := x.windows(t, c, windows.Options{Position: event - start + 1, Seen: true, Include: []int32{int32(event)}})
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	row := slices.Index(rows.Centre, int32(event))
	if row < 0 {
		return nil, fmt.Errorf("explain event %d of %s: no window has it at place %d", event+1, c.Name, event-start+1)
	}
	step("growing a tree")
	h, err := explain.Honest(ctx, rows.Problem, explain.HonestOptions{MaxLeaves: x.maxLeaves, Bootstraps: -1, Seed: x.seed, Workers: x.threads})
	if err != nil {
		return nil, err
	}
	step("hiding one value after the other")
	r, err := explain.Row(ctx, rows.Problem, h, row)
	if err != nil {
		return nil, err
	}
	// All windows that cover the event. Relations to others reach through the whole log.
	from, to := max(0, event-length+1), min(len(c.Events), event+length)
	if t.Encoder.Ties() > 0 {
		from, to = 0, len(c.Events)
	}
	said, err := t.Label(ctx, c.Events[from:to], model.VoteOptions{Threads: max(x.threads, 1)})
	if err != nil {
		return nil, err
	}
	if len(said) <= event-from {
		return nil, errors.New("label the event: the network gave no answer")
	}
	s, e := said[event-from], c.Events[event]
	return &lineView{
		Where: r.Where, Request: e.Verb + " " + e.RequestURI + " by " + e.User.Username, Label: t.Space.Describe(s.Label), RunnerUp: t.Space.Describe(s.RunnerUp),
		Margin: s.Margin, Windows: s.Windows, Position: event - start + 1, Fidelity: h.Fidelity, Explanation: r,
	}, nil
}

// write prints the view for people. Text of a log is made printable.
func (v *lineView) write(w io.Writer) error {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintln(&b, printable(fmt.Sprintf(format, args...))) }
	line("%s: %s", v.Where, v.Request)
	line("label: %s (margin %.2f before %s; %d windows voted)", v.Label, v.Margin, v.RunnerUp, v.Windows)
	e := v.Explanation
	line("alone, the window that has it at place %d says: %s", v.Position, e.Teacher)
	line("")
	f := v.Fidelity.Agreement
	line("The tree (fidelity %.2f [%.2f, %.2f] on %d windows of this log that it was not grown on) says: %s", f.Value, f.Low, f.High, v.Fidelity.Rows, e.Tree)
	for _, s := range e.Path {
		answer := "no, it is " + s.Value
		if s.Yes {
			answer = "yes"
		}
		line("  %s? %s", s.Question, answer)
	}
	if e.Tree != e.Teacher {
		line("  The tree does not explain this event.")
	}
	line("")
	line("Hidden alone, of %d values these change the network's answer:", e.Hidden)
	for _, o := range e.Features[:min(20, len(e.Features))] {
		line("  %s = %s: then %s", o.What, o.Value, o.Then)
	}
	if len(e.Features) == 0 {
		line("  none")
	}
	line("Hidden as a whole, these do (@0 is the event itself, NAME.*@0 all that is told of one thing):")
	for _, o := range e.Events[:min(20, len(e.Events))] {
		line("  %s: then %s", o.What, o.Then)
	}
	if len(e.Events) == 0 {
		line("  none")
	}
	if n := e.Nearest; n != nil {
		line("")
		line("The smallest change for which the tree says %s (the network then says %s: %s):", n.To, n.Teacher, n.Outcome)
		for _, c := range n.Changes {
			line("  %s: %s instead of %s", c.Feature, c.To, c.From)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
