// Package score measures rebuilt contexts against the true ones of a labelled corpus.
package score

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"k8ntext/contexts"
	"k8ntext/dataset"
	"k8ntext/dataset/label"
	"k8ntext/metrics"
)

// The baselines, beside the levels of package contexts.
const (
	TimeGap = "time-gap" // a new context after each pause of the whole log
	OwnUser = "own-user" // and of each user
)

// baselinePause ends a context of a baseline: what the features of package feature call one burst of a
// client.
const baselinePause = 500 * time.Millisecond

// Units of what is scored.
const (
	Contexts   = "context"
	Operations = "operation" // the contexts of one command taken together
)

// Scopes of what is scored.
const (
	Users = "users" // contexts that a person or a CI account started: the headline
	All   = "all"   // every event of the background beside them, which is trivially its own
)

// Row is one line of the score table.
type Row struct {
	Corpus string `json:"corpus"`
	Level  string `json:"level"`  // of package contexts, or a baseline
	Labels string `json:"labels"` // what was given as labels: true, predicted or none
	Unit   string `json:"unit"`
	Scope  string `json:"scope"`
	By     string `json:"by,omitempty"` // what the row is a part by: size, action or route; empty: it is the whole
	Part   string `json:"part,omitempty"`

	metrics.ClusterScores `json:",inline"`

	ARI          float64 `json:"ari"`
	AMI          float64 `json:"ami"`
	TriggerFound float64 `json:"trigger_found"` // share of the triggers in the log that were called that

	// 95 % bootstrap intervals over contexts, of rows that are the whole of users' contexts; else 0.
	PairwiseLow  float64 `json:"pairwise_f1_low"`
	PairwiseHigh float64 `json:"pairwise_f1_high"`
	ExactLow     float64 `json:"exact_low"`
	ExactHigh    float64 `json:"exact_high"`

	SeenInTraining int `json:"seen_in_training"` // events that the model of the predicted labels was trained on
}

// Difference is what a level gains over another, on the same contexts.
type Difference struct {
	Corpus string  `json:"corpus"`
	Better string  `json:"level"`
	Than   string  `json:"than"`
	Labels string  `json:"labels"` // of the better one's, see [Row]
	Metric string  `json:"metric"`
	Value  float64 `json:"difference"`
	Low    float64 `json:"low"` // paired 95 % bootstrap interval over contexts
	High   float64 `json:"high"`
}

// Sure tells that the interval of the difference is above 0.
func (d Difference) Sure() bool { return d.Low > 0 }

// Report is the score of one corpus.
type Report struct {
	Rows        []Row
	Differences []Difference // of users' contexts: full against identity and paper
	Summaries   map[contexts.Level]contexts.Summary
}

// Options say what is scored.
type Options struct {
	Levels []contexts.Level // nil: all that the labels allow
	// Labels are those given to the builder, one an event; nil: none are known.
	Labels []label.Label
	Sure   []bool // whether the label of an event is to be believed at level full; nil: all
	Name   string // of the labels: true, predicted, none
	Seen   int    // events that the labels' model was trained on
	// Fresh says of each event that no model of the labels knew it: only contexts all of whose events are
	// fresh are scored, and commands all of whose contexts are. nil: all are scored.
	Fresh []bool

	Parts     bool // rows by size, action and route too
	Resamples int  // 0: 1000
	Seed      uint64
}

// errNoTruth is what a log is that says nothing of its contexts.
var errNoTruth = errors.New("none of its events says which context it belongs to (the keys context and trigger): " +
	"scores need a labelled corpus, see k8ntext corpus list")

// Corpus scores the levels and the baselines on a corpus.
func Corpus(ctx context.Context, c *dataset.Corpus, o Options) (*Report, error) {
	if len(c.Contexts) == 0 {
		return nil, errNoTruth
	}
	if o.Resamples == 0 {
		o.Resamples = 1000
	}
	if o.Levels == nil {
		o.Levels = contexts.Levels()
	}
	r := &Report{Summaries: make(map[contexts.Level]contexts.Summary)}
	whole := make(map[contexts.Level][]metrics.ClusterScore)
	truth := truthOf(c, o.Fresh)
	for _, level := range o.Levels {
		labels, name := o.Labels, o.Name
		if level == contexts.Identity {
			labels, name = nil, "none"
		} else if labels == nil {
			continue
		}
		if level == contexts.Full && o.Sure != nil {
			labels = slices.Clone(labels)
			for i, sure := range o.Sure {
				if !sure {
					labels[i] = label.Unknown
				}
			}
		}
		list, sum, err := Rebuild(ctx, c, level, labels)
		if err != nil {
			return nil, err
		}
		r.Summaries[level] = sum
		g := groupingOf(c, list)
		g.level, g.labels = string(level), name
		if level != contexts.Identity {
			g.seen = o.Seen
		}
		r.Rows = append(r.Rows, truth.rows(g, o)...)
		whole[level] = metrics.CompareClusters(truth.contexts, g.contexts, truth.user).Of
	}
	for _, g := range []grouping{pauses(c, false), pauses(c, true)} {
		r.Rows = append(r.Rows, truth.rows(g, o)...)
	}
	for _, than := range []contexts.Level{contexts.Identity, contexts.Paper} {
		r.Differences = append(r.Differences, differences(c.Name, contexts.Full, than, whole, o)...)
	}
	slices.SortStableFunc(r.Rows, func(a, b Row) int { // the headline first
		return cmp.Or(cmp.Compare(a.By, b.By), cmp.Compare(b.Scope, a.Scope), cmp.Compare(a.Unit, b.Unit))
	})
	return r, nil
}

// differences compares two levels on the same users' contexts; none where one of them was not scored.
func differences(corpus string, better, than contexts.Level, whole map[contexts.Level][]metrics.ClusterScore, o Options) []Difference {
	if len(whole[better]) == 0 || len(whole[than]) == 0 {
		return nil
	}
	values := func(s []metrics.ClusterScores) []float64 {
		return []float64{s[0].PairwiseF1 - s[1].PairwiseF1, s[0].Exact - s[1].Exact}
	}
	value := values([]metrics.ClusterScores{metrics.Scores(whole[better]), metrics.Scores(whole[than])})
	intervals := metrics.Resampled([][]metrics.ClusterScore{whole[better], whole[than]}, values, o.Resamples, o.Seed)
	var out []Difference
	for i, name := range []string{"pairwise_f1", "exact"} {
		d := Difference{Corpus: corpus, Labels: o.Name, Better: string(better), Than: string(than), Metric: name, Value: value[i], Low: math.NaN(), High: math.NaN()}
		if intervals != nil {
			d.Low, d.High = intervals[i][0], intervals[i][1]
		}
		out = append(out, d)
	}
	return out
}

// Rebuild gives the contexts of a corpus's events, those that were given in parts put together, in the
// order of their first events.
func Rebuild(ctx context.Context, c *dataset.Corpus, level contexts.Level, labels []label.Label) ([]*contexts.Context, contexts.Summary, error) {
	b := contexts.New(contexts.Options{Level: level, Space: c.Space, Quiet: math.MaxInt64})
	var parts []*contexts.Context
	for i, e := range c.Events {
		if i%1024 == 0 && ctx.Err() != nil {
			return nil, b.Summary(), ctx.Err()
		}
		l := label.Unknown
		if labels != nil {
			l = labels[i]
		}
		parts = append(parts, b.Push(e, l)...)
	}
	parts = append(parts, b.Flush()...)
	return contexts.Whole(parts), b.Summary(), nil
}

// grouping is what a method made of the events of a corpus.
type grouping struct {
	level, labels        string
	seen                 int
	contexts, operations []int32
	triggers             []int // by number of the context: the event; -1: it is not in the log
}

func groupingOf(c *dataset.Corpus, list []*contexts.Context) grouping {
	g := grouping{contexts: make([]int32, len(c.Events)), operations: make([]int32, len(c.Events))}
	commands := make(map[string]int32)
	for n, x := range list {
		name := cmp.Or(x.Operation, "\x00"+x.ID)
		command, ok := commands[name]
		if !ok {
			command = int32(len(commands))
			commands[name] = command
		}
		for _, m := range x.Members {
			g.contexts[m.Event], g.operations[m.Event] = int32(n), command
		}
		g.triggers = append(g.triggers, x.Trigger.Event)
	}
	return g
}

// pauses is a baseline: events belong together until a pause, of the whole log or of their user.
func pauses(c *dataset.Corpus, byUser bool) grouping {
	g := grouping{level: TimeGap, labels: "none", contexts: make([]int32, len(c.Events))}
	if byUser {
		g.level = OwnUser
	}
	type run struct {
		at    time.Time
		group int32
	}
	runs := make(map[string]run)
	for i, e := range c.Events {
		key := ""
		if byUser {
			key = e.User.Username
		}
		r, ok := runs[key]
		if !ok || e.RequestReceived.Sub(r.at) > baselinePause {
			r.group = int32(len(g.triggers))
			g.triggers = append(g.triggers, i)
		}
		r.at = e.RequestReceived
		runs[key] = r
		g.contexts[i] = r.group
	}
	g.operations = g.contexts
	return g
}

// truth is what is known of a corpus.
type truth struct {
	corpus               *dataset.Corpus
	contexts, operations []int32
	users                []bool // of operations
	left, leftCommands   []bool // contexts, and operations, that are not scored
}

func truthOf(c *dataset.Corpus, fresh []bool) *truth {
	t := &truth{corpus: c, contexts: c.Context, operations: make([]int32, len(c.Events)), left: make([]bool, len(c.Contexts))}
	for i, x := range c.Context {
		if x >= 0 && fresh != nil && !fresh[i] {
			t.left[x] = true
		}
	}
	commands := make(map[string]int32)
	of := make([]int32, len(c.Contexts))
	for n, x := range c.Contexts {
		name := cmp.Or(x.Operation, "\x00"+x.ID)
		command, ok := commands[name]
		if !ok {
			command = int32(len(commands))
			commands[name] = command
			t.users = append(t.users, false)
			t.leftCommands = append(t.leftCommands, false)
		}
		t.users[command] = t.users[command] || x.User
		t.leftCommands[command] = t.leftCommands[command] || t.left[n]
		of[n] = command
	}
	for i, x := range c.Context {
		t.operations[i] = -1
		if x >= 0 {
			t.operations[i] = of[x]
		}
	}
	return t
}

func (t *truth) user(x int) bool { return t.corpus.Contexts[x].User && !t.left[x] }

// rows scores a grouping.
func (t *truth) rows(g grouping, o Options) []Row {
	var rows []Row
	row := func(unit, scope string) Row {
		return Row{Corpus: t.corpus.Name, Level: g.level, Labels: g.labels, Unit: unit, Scope: scope, SeenInTraining: g.seen}
	}
	for _, unit := range []string{Contexts, Operations} {
		truth, found, users := t.contexts, g.contexts, t.user
		all := func(x int) bool { return !t.left[x] }
		if unit == Operations {
			truth, found = t.operations, g.operations
			users = func(x int) bool { return t.users[x] && !t.leftCommands[x] }
			all = func(x int) bool { return !t.leftCommands[x] }
		}
		for _, scope := range []string{Users, All} {
			scored := users
			if scope == All {
				scored = all
			}
			clusters := metrics.CompareClusters(truth, found, scored)
			r := row(unit, scope)
			r.ClusterScores = metrics.Scores(clusters.Of)
			r.ARI, r.AMI = clusters.AdjustedRand(), clusters.AdjustedMutualInformation()
			if scope == Users {
				r.bound(metrics.Resampled([][]metrics.ClusterScore{clusters.Of}, func(s []metrics.ClusterScores) []float64 {
					return []float64{s[0].PairwiseF1, s[0].Exact}
				}, o.Resamples, o.Seed))
			}
			if unit == Contexts {
				r.TriggerFound = t.triggersFound(clusters.Of, g)
			} else {
				r.TriggerFound = math.NaN()
			}
			rows = append(rows, r)
			if unit == Contexts && scope == Users && o.Parts {
				rows = append(rows, t.parts(row(unit, scope), clusters.Of, g)...)
			}
		}
	}
	return rows
}

// bound sets the intervals of a row: of pairwise F1 and of exact.
func (r *Row) bound(intervals [][2]float64) {
	if len(intervals) == 2 {
		r.PairwiseLow, r.PairwiseHigh = intervals[0][0], intervals[0][1]
		r.ExactLow, r.ExactHigh = intervals[1][0], intervals[1][1]
	}
}

// triggersFound is the share of contexts whose trigger is what their rebuilt context calls its own.
func (t *truth) triggersFound(of []metrics.ClusterScore, g grouping) float64 {
	found, all := 0, 0
	for i := range of {
		trigger := t.corpus.Contexts[of[i].Cluster].Trigger
		if trigger < 0 {
			continue
		}
		all++
		if g.triggers[of[i].Best] == int(trigger) {
			found++
		}
	}
	if all == 0 {
		return math.NaN()
	}
	return float64(found) / float64(all)
}

// Sizes are the names of the size classes, as in the paper's Figure 10.
func Sizes() []string { return []string{"1-4", "5-19", "20-49", "50-99", "100+"} }

// SizeClass is the size class of a context of so many events.
func SizeClass(n int) string {
	switch {
	case n < 5:
		return "1-4"
	case n < 20:
		return "5-19"
	case n < 50:
		return "20-49"
	case n < 100:
		return "50-99"
	}
	return "100+"
}

// The routes by which truth was found, put together: those of which a reconstructor sees nothing, and
// those by the identity of objects, which it may use too.
const (
	Independent = "independent"   // the stamp of the process that sent it, or the schedule of the recording agrees
	SameFacts   = "identity only" // nothing but the identity of objects
)

// parts scores a grouping by size, by action and by the route of the truth.
func (t *truth) parts(like Row, of []metrics.ClusterScore, g grouping) []Row {
	var rows []Row
	by := make(map[[2]string][]metrics.ClusterScore)
	right := make(map[int]int) // true cluster to found one, where they stand for each other
	for i := range of {
		c := &of[i]
		by[[2]string{"size", SizeClass(c.Size)}] = append(by[[2]string{"size", SizeClass(c.Size)}], *c)
		if trigger := t.corpus.Contexts[c.Cluster].Trigger; trigger >= 0 {
			action := [2]string{"action", t.corpus.Space.Describe(t.corpus.Own[trigger])}
			by[action] = append(by[action], *c)
		}
		right[c.Cluster] = -1
		if c.Right > 0 {
			right[c.Cluster] = c.Best
		}
	}
	keys := make([][2]string, 0, len(by))
	for k := range by {
		keys = append(keys, k)
	}
	order := func(k [2]string) int { return slices.Index(Sizes(), k[1]) }
	slices.SortFunc(keys, func(a, b [2]string) int {
		return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(order(a), order(b)), cmp.Compare(len(by[b]), len(by[a])), cmp.Compare(a[1], b[1]))
	})
	for _, k := range keys {
		r := like
		r.By, r.Part = k[0], k[1]
		r.ClusterScores = metrics.Scores(by[k])
		r.TriggerFound = t.triggersFound(by[k], g)
		r.ARI, r.AMI = math.NaN(), math.NaN()
		rows = append(rows, r)
	}
	return append(rows, t.routes(like, right, g)...)
}

// routes is the share of events that are where they belong, by the route of their truth.
func (t *truth) routes(like Row, right map[int]int, g grouping) []Row {
	type count struct{ events, right int }
	counts := make(map[string]*count)
	add := func(name string, ok bool) {
		c := counts[name]
		if c == nil {
			c = &count{}
			counts[name] = c
		}
		c.events++
		if ok {
			c.right++
		}
	}
	for i, e := range t.corpus.Events {
		x := t.contexts[i]
		if x < 0 || !t.user(int(x)) || e.Truth == nil {
			continue
		}
		ok := right[int(x)] == int(g.contexts[i])
		class, agreed := strings.CutSuffix(e.Truth.Attribution, "+window")
		add(class, ok)
		if agreed || class == "direct" {
			add(Independent, ok)
		} else {
			add(SameFacts, ok)
		}
	}
	var names []string
	for name := range counts {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		first := func(s string) bool { return s == Independent || s == SameFacts }
		if first(a) != first(b) {
			if first(a) {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(counts[b].events, counts[a].events), cmp.Compare(a, b))
	})
	var rows []Row
	for _, name := range names {
		r := like
		r.By, r.Part = "route", name
		undefined := math.NaN()
		r.ClusterScores = metrics.ClusterScores{
			Items: counts[name].events, Right: float64(counts[name].right) / float64(counts[name].events),
			PairwisePrecision: undefined, PairwiseRecall: undefined, PairwiseF1: undefined,
			BCubedPrecision: undefined, BCubedRecall: undefined, BCubedF1: undefined, Exact: undefined, Jaccard: undefined,
		}
		r.ARI, r.AMI, r.TriggerFound = undefined, undefined, undefined
		rows = append(rows, r)
	}
	return rows
}

// Verdict says on the first page whether a network earns its place.
func (r *Report) Verdict() string {
	var b strings.Builder
	for _, than := range []string{string(contexts.Identity), string(contexts.Paper)} {
		for _, d := range r.Differences {
			if d.Than != than || d.Metric != "pairwise_f1" {
				continue
			}
			says := "does not beat"
			if d.Sure() {
				says = "beats"
			} else if d.High < 0 {
				says = "is worse than"
			}
			fmt.Fprintf(&b, "full %s %s: %+.4f pairwise F1 (95 %% paired bootstrap over contexts %+.4f to %+.4f)\n", says, d.Than, d.Value, d.Low, d.High)
		}
	}
	return b.String()
}
