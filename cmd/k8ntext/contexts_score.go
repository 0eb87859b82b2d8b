package main

import (
	"bufio"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"k8ntext/contexts"
	"k8ntext/contexts/page"
	"k8ntext/contexts/score"
	"k8ntext/dataset"
	"k8ntext/dataset/identity"
	"k8ntext/dataset/label"
	"k8ntext/experiments"
	"k8ntext/metrics"
	"k8ntext/model"
)

func (a *app) contextsScoreCommand() *cobra.Command {
	var (
		r      rebuilding
		levels []string
		labels string
		parts  bool
		seed   uint64
		models []string
		unseen bool
		final  finalUse
	)
	c := &cobra.Command{
		Use:   "score CORPUS...",
		Short: "Measure how right rebuilt contexts are, against the true ones of labelled logs",
		Long: `Rebuilds the contexts of labelled logs at each level and compares them with the true
ones, beside two baselines: a new context after each pause of the log, or of the user.

  pairwise_f1   pairs of events that are together, found against true
  bcubed_f1     the same seen from each event
  ari, ami      adjusted Rand index, adjusted mutual information
  exact         share of the contexts that were found with just their events
  trigger_found share of them whose trigger is called that

Scores are of users' contexts (scope users), and of all, where every event of the
background is trivially its own. Intervals: 95 % bootstrap over contexts. --parts adds
the scores by size, by action, and by the route by which the truth was found: only
events whose route is independent of the identity of objects support a claim about
the level identity. With -o json the lines at the end, those with "than", are what the
level full gains over identity and over paper, with paired intervals.

Of several models (-m A,B,C) each labels the events that it was not trained on, the
first of them where there are several: with the models of train --fold 0 to 4 no
label of the corpus is by a model that knows its event. --unseen scores only
contexts of which no event was known to a model that labels it: with the model of
train --fold 0 those of the first fifth.

Final recordings, which no choice may be made on, are scored only with --final FOLDER:
it logs the use in the folder, and scores the same once.`,
		Example: `  k8ntext contexts score base-dev --labels true
  k8ntext contexts score busy-dev --labels predicted -m my.k8ntext --parts
  k8ntext contexts score base-dev --labels predicted -m without-0.k8ntext,without-1.k8ntext
  k8ntext contexts score metadata-dev --labels none -o json`,
		Args:              argsError(cobra.MinimumNArgs(1)),
		ValidArgsFunction: completeLogs,
		RunE: func(cmd *cobra.Command, args []string) error {
			o := score.Options{Name: labels, Parts: parts, Seed: seed}
			for _, name := range levels {
				level, err := contexts.ParseLevel(name)
				if err != nil {
					return usageError{err}
				}
				o.Levels = append(o.Levels, level)
			}
			if !slices.Contains([]string{"true", "predicted", "none"}, labels) {
				return usagef("--labels %q: use true, predicted or none", labels)
			}
			if unseen && labels != "predicted" {
				return usagef("--unseen is about what a model was trained on: it goes with --labels predicted")
			}
			var taggers []*model.Tagger
			if labels == "predicted" {
				if len(models) == 0 {
					models = []string{""}
				}
				for _, path := range models {
					tagger, err := loadModel(path)
					if err != nil {
						return err
					}
					taggers = append(taggers, tagger)
					if s := taggers[0].Space; s.Name() != tagger.Space.Name() || !slices.Equal(s.CRDGroups(), tagger.Space.CRDGroups()) {
						return usagef("the labels of %s are of another space than those of %s: give models trained on the same corpora", path, models[0])
					}
				}
			}
			asked := fmt.Sprint(labels, o.Levels, parts, seed, unseen, r.sure, args)
			if err := final.check(asked, taggers, args, func(text string) {
				if !a.quiet {
					fmt.Fprintf(a.stderr, "k8ntext: %s\n", printable(text))
				}
			}); err != nil {
				return err
			}
			out := bufio.NewWriter(a.stdout)
			for _, name := range args {
				report, err := a.scoreContexts(cmd, name, taggers, unseen, o, &r)
				if err != nil {
					return fmt.Errorf("score %s: %w", printable(name), err)
				}
				if a.output == "json" {
					err = errors.Join(writeLines(out, report.Rows), writeLines(out, report.Differences))
				} else {
					writeScores(out, report)
				}
				if err != nil {
					return err
				}
			}
			if err := out.Flush(); err != nil {
				return fmt.Errorf("write scores: %w", err)
			}
			return nil
		},
	}
	c.Flags().StringSliceVar(&levels, "level", nil, "levels to score: paper, identity, full; none: all that the labels allow")
	c.Flags().StringVar(&labels, "labels", "true", "labels of the events: true, predicted (by a model) or none")
	c.Flags().StringSliceVarP(&models, "model", "m", nil, "model files for --labels predicted; none: the model in this program")
	c.Flags().Float64Var(&r.sure, "sure", defaultSure, "at level full, predicted labels that won their vote by less than this margin are not believed")
	c.Flags().BoolVar(&parts, "parts", false, "also by size, action and route of the truth")
	c.Flags().BoolVar(&unseen, "unseen", false, "score only contexts of which the models know no event")
	c.Flags().Uint64Var(&seed, "seed", 1, "seed of the bootstrap")
	c.Flags().StringVar(&final.dir, "final", "", "score final recordings, and log the use in this results folder")
	c.Flags().BoolVar(&final.again, "again", false, "with --final: once more what is logged as done")
	r.e.flags(c.Flags())
	r.e.deviceFlag(c.Flags())
	return c
}

// finalUse is the use of final recordings that a command was asked for.
type finalUse struct {
	dir   string // results folder that logs it; "": none is to be used
	again bool
}

// check logs the use of the final ones among corpora, and refuses those that are not to be used. What was asked,
// and of which models, tells one use from another.
func (f finalUse) check(asked string, taggers []*model.Tagger, corpora []string, remark func(string)) error {
	finals := slices.DeleteFunc(slices.Clone(corpora), func(name string) bool { return !experiments.IsFinal(name) })
	switch {
	case f.dir == "" && f.again:
		return usagef("--again goes with --final")
	case f.dir == "" && len(finals) > 0:
		return usagef("%s is for the final evaluation alone: use a dev recording, or --final results/final, which logs the use", printable(finals[0]))
	case f.dir == "":
		return nil
	case len(finals) < len(corpora):
		return usagef("--final is of final recordings alone, whose names end in -final")
	}
	by := provenance()
	sum := sha256.New()
	fmt.Fprintln(sum, "contexts score", asked)
	for _, t := range taggers {
		if err := t.Write(sum); err != nil {
			return fmt.Errorf("log the final evaluation: %w", err)
		}
	}
	return experiments.Store{Dir: f.dir}.LogUse(experiments.Use{
		Date: time.Now().UTC().Format(time.DateTime), Commit: by.Commit, Dirty: by.Dirty,
		Config: hex.EncodeToString(sum.Sum(nil)[:8]), Corpora: finals,
	}, f.again, remark)
}

func (a *app) scoreContexts(cmd *cobra.Command, name string, taggers []*model.Tagger, unseen bool, o score.Options, r *rebuilding) (*score.Report, error) {
	var space *label.Space
	if len(taggers) > 0 {
		space = taggers[0].Space
	}
	c, err := dataset.Load(cmd.Context(), name, space)
	if err != nil {
		return nil, err
	}
	a.reportSkipped(c.Read)
	switch o.Name {
	case "true":
		o.Labels = c.Labels
	case "predicted":
		on, threads, err := r.e.target()
		if err != nil {
			return nil, err
		}
		votes := model.VoteOptions{Threads: threads, Kernels: on.Kernels, Device: on.OpenCL, FallBack: on.FallBack}
		fresh := freshEvents(c, taggers)
		switch {
		case !unseen:
		case !slices.Contains(fresh, true):
			return nil, fmt.Errorf("the models were trained on every event: give one of train --fold, or score without --unseen")
		default:
			o.Fresh = fresh
		}
		if err := a.labelUnseen(cmd, c, taggers, votes, r.sure, &o); err != nil {
			return nil, err
		}
	}
	return score.Corpus(cmd.Context(), c, o)
}

// freshEvents says of each event whether some model was not trained on it.
func freshEvents(c *dataset.Corpus, taggers []*model.Tagger) []bool {
	fresh := make([]bool, len(c.Events))
	for i, e := range c.Events {
		fresh[i] = slices.ContainsFunc(taggers, func(t *model.Tagger) bool { return !t.Provenance.SeenInTraining(e) })
	}
	return fresh
}

// labelUnseen labels each event by the first model that was not trained on it. Those of which there is none,
// which the first model labels, are counted if they are scored.
func (a *app) labelUnseen(cmd *cobra.Command, c *dataset.Corpus, taggers []*model.Tagger, votes model.VoteOptions, sure float64, o *score.Options) error {
	o.Labels, o.Sure = make([]label.Label, len(c.Events)), make([]bool, len(c.Events))
	of := make([]int, len(c.Events)) // whose label an event gets
	for i, e := range c.Events {
		of[i] = slices.IndexFunc(taggers, func(t *model.Tagger) bool { return !t.Provenance.SeenInTraining(e) })
		if of[i] < 0 {
			of[i] = 0
			if o.Fresh == nil {
				o.Seen++
			}
		}
	}
	for n, t := range taggers {
		if !slices.Contains(of, n) {
			continue
		}
		if !a.quiet {
			fmt.Fprintf(a.stderr, "k8ntext: model %d of %d labels %d events\n", n+1, len(taggers), len(c.Events))
		}
		predicted, err := t.Label(cmd.Context(), c.Events, votes)
		if err != nil {
			return err
		}
		for i, p := range predicted {
			if of[i] == n {
				o.Labels[i], o.Sure[i] = p.Label, p.Margin >= sure
			}
		}
	}
	return nil
}

// writeLines writes one object a line; what is not defined is null.
func writeLines[T any](out io.Writer, rows []T) error {
	orNull := json.WithMarshalers(json.MarshalToFunc(func(e *jsontext.Encoder, f float64) error {
		if math.IsNaN(f) {
			return e.WriteToken(jsontext.Null)
		}
		return json.SkipFunc
	}))
	for i := range rows {
		line, err := json.Marshal(&rows[i], orNull)
		if err != nil {
			return fmt.Errorf("write scores: %w", err)
		}
		if _, err := out.Write(append(line, '\n')); err != nil {
			return fmt.Errorf("write scores: %w", err)
		}
	}
	return nil
}

// writeScores writes the report as a page.
func writeScores(out io.Writer, r *score.Report) {
	fmt.Fprintf(out, "%s\n", printable(r.Rows[0].Corpus))
	fmt.Fprint(out, r.Verdict())
	if n := r.Rows[0].SeenInTraining; n > 0 {
		fmt.Fprintf(out, "SEEN IN TRAINING: the model was trained on %d of these events\n", n)
	}
	head := ""
	for i := range r.Rows {
		x := &r.Rows[i]
		if h := title(x); h != head {
			head = h
			fmt.Fprintf(out, "\n%s\n%-10s %-10s %-26s %6s %7s  %-22s %6s %6s %6s  %-22s %7s %6s %6s %6s\n", h, "level", "labels", "", "n", "events",
				"pairwise F1", "B3 F1", "ARI", "AMI", "exact", "trigger", "right", "splits", "merges")
		}
		fmt.Fprintf(out, "%-10s %-10s %-26s %6s %7d  %-22s %6s %6s %6s  %-22s %7s %6s %6d %6d\n", x.Level, x.Labels, printable(cut(x.Part, 26)), count(x.Clusters), x.Items,
			ranged(x.PairwiseF1, x.PairwiseLow, x.PairwiseHigh), share3(x.BCubedF1), share3(x.ARI), share3(x.AMI),
			ranged(x.Exact, x.ExactLow, x.ExactHigh), share3(x.TriggerFound), share3(x.Right), x.Split+x.Both, x.Merged+x.Both)
	}
	fmt.Fprintln(out)
}

func title(x *score.Row) string {
	scope := "users' contexts"
	if x.Scope == score.All {
		scope = "all contexts"
	}
	if x.Unit == score.Operations {
		scope = strings.Replace(scope, "contexts", "operations", 1)
	}
	return cmp.Or(map[string]string{"": scope, "route": "events of " + scope + " by route of the truth"}[x.By], scope+" by "+x.By)
}

func cut(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}

func count(n int) string {
	if n == 0 {
		return "-"
	}
	return strconv.Itoa(n)
}

func share3(f float64) string {
	if math.IsNaN(f) {
		return "-"
	}
	return fmt.Sprintf("%.3f", f)
}

func ranged(f, low, high float64) string {
	if low == 0 && high == 0 || math.IsNaN(low) {
		return share3(f)
	}
	return fmt.Sprintf("%.4f (%.4f-%.4f)", f, low, high)
}

func (a *app) contextsCompareCommand() *cobra.Command {
	var (
		most int
		html string
	)
	c := &cobra.Command{
		Use:   "compare A B",
		Short: "Compare two groupings of one log: what is split, what is merged",
		Long: `Compares what contexts show -o json wrote of the same log at two levels, or by two
models: how far they agree, how the sizes are distributed, and which contexts of A
are spread over several of B, or share one with others. --html writes it as a page
that needs no network: splits, merges, and a curve of the sizes.`,
		Example: `  k8ntext contexts show -o json --background --level identity audit.log > one.jsonl
  k8ntext contexts show -o json --background --level full audit.log > two.jsonl
  k8ntext contexts compare one.jsonl two.jsonl
  k8ntext contexts compare one.jsonl two.jsonl --html compared.html`,
		Args: exactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			of, list, err := readContexts(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			other, otherList, err := readContexts(cmd.Context(), args[1])
			if err != nil {
				return err
			}
			return a.compareContexts(args, of, other, list, otherList, most, html)
		},
	}
	c.Flags().IntVar(&most, "most", 20, "contexts to show that differ, the largest first")
	c.Flags().StringVar(&html, "html", "", "write a page to this file too")
	return c
}

// grouping is what a page shows of contexts.
func grouping(name string, list []*rebuiltView) page.Grouping {
	g := page.Grouping{Name: name}
	for _, v := range list {
		c := contexts.Context{
			Actor: contexts.Actor{User: v.User, Impersonated: v.Impersonated}, Verb: v.Verb, Sub: v.Object.Subresource, URI: v.URI,
			Object: identity.Object{Group: v.Object.Group, Resource: v.Object.Resource, Namespace: v.Object.Namespace, Name: v.Object.Name},
		}
		x := page.Group{ID: v.ID, Who: who(&c), What: what(&c), On: onWhat(&c)}
		for _, e := range v.Events {
			x.Events = append(x.Events, e.Event)
		}
		g.Contexts = append(g.Contexts, x)
	}
	return g
}

// comparison is what contexts compare -o json writes.
type comparison struct {
	A, B   string
	Events int `json:"events"` // in both
	OnlyA  int `json:"only_a"`
	OnlyB  int `json:"only_b"`

	metrics.ClusterScores `json:",inline"`

	ARI    float64    `json:"ari"`
	AMI    float64    `json:"ami"`
	SizesA []sizeView `json:"sizes_a"`
	SizesB []sizeView `json:"sizes_b"`
	Differ []differ   `json:"differ"`
}

type sizeView struct {
	Events   string `json:"events"`
	Contexts int    `json:"contexts"`
}

type differ struct {
	ID     string `json:"id"`
	Label  string `json:"label"`
	Size   int    `json:"size"`
	Parts  int    `json:"parts"`
	Merged bool   `json:"merged"`
}

func (a *app) compareContexts(names []string, of, other map[int]int32, list, otherList []*rebuiltView, most int, html string) error {
	v := comparison{A: names[0], B: names[1]}
	var events []int
	for e := range of {
		if _, ok := other[e]; ok {
			events = append(events, e)
		}
	}
	slices.Sort(events)
	v.Events, v.OnlyA, v.OnlyB = len(events), len(of)-len(events), len(other)-len(events)
	if len(events) == 0 {
		return fmt.Errorf("%s and %s have no event in common: they are not of one log", names[0], names[1])
	}
	one, two := make([]int32, len(events)), make([]int32, len(events))
	for i, e := range events {
		one[i], two[i] = of[e], other[e]
	}
	clusters := metrics.CompareClusters(one, two, nil)
	v.ClusterScores = metrics.Scores(clusters.Of)
	v.ARI, v.AMI = clusters.AdjustedRand(), clusters.AdjustedMutualInformation()
	v.SizesA, v.SizesB = sizesOf(list), sizesOf(otherList)
	slices.SortStableFunc(clusters.Of, func(a, b metrics.ClusterScore) int { return cmp.Compare(b.Size, a.Size) })
	for i := range clusters.Of {
		if x := &clusters.Of[i]; !x.Exact() && len(v.Differ) < most {
			c := list[x.Cluster]
			v.Differ = append(v.Differ, differ{c.ID, c.Label, x.Size, x.Parts, x.Merged})
		}
	}
	if html != "" {
		err := writeTo(html, func(out *bufio.Writer) error {
			return page.Compare(out, page.Comparison{
				A: grouping(names[0], list), B: grouping(names[1], otherList), Scores: v.ClusterScores, ARI: v.ARI, AMI: v.AMI, Most: max(most, 100),
			})
		})
		if err != nil {
			return err
		}
	}
	if a.output == "json" {
		return a.writeJSON(v)
	}
	out := bufio.NewWriter(a.stdout)
	fmt.Fprintf(out, "A %s: %d contexts\nB %s: %d contexts\n%d events in both, %d only in A, %d only in B\n", printable(v.A), len(list), printable(v.B), len(otherList), v.Events, v.OnlyA, v.OnlyB)
	fmt.Fprintf(out, "pairwise F1 %.4f, B-cubed F1 %.4f, ARI %.4f, AMI %.4f\n", v.PairwiseF1, v.BCubedF1, v.ARI, v.AMI)
	fmt.Fprintf(out, "of A: %.4f the same in B, %d split, %d merged with others, %d both\n\n", v.Exact, v.Split, v.Merged, v.Both)
	fmt.Fprintf(out, "%-8s %8s %8s\n", "events", "A", "B")
	for i, s := range v.SizesA {
		fmt.Fprintf(out, "%-8s %8d %8d\n", s.Events, s.Contexts, v.SizesB[i].Contexts)
	}
	if len(v.Differ) > 0 {
		fmt.Fprintln(out, "\nthe largest of A that differ:")
	}
	for _, d := range v.Differ {
		shares := ""
		if d.Merged {
			shares = ", shared with others"
		}
		fmt.Fprintf(out, "  %-10s %5d events in %d contexts of B%s: %s\n", printable(d.ID), d.Size, d.Parts, shares, printable(d.Label))
	}
	return out.Flush()
}

func sizesOf(list []*rebuiltView) []sizeView {
	var out []sizeView
	for _, class := range score.Sizes() {
		n := 0
		for _, c := range list {
			if score.SizeClass(c.Size) == class {
				n++
			}
		}
		out = append(out, sizeView{class, n})
	}
	return out
}
