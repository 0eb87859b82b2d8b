package experiments

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"k8ntext/contexts"
	"k8ntext/dataset"
	"k8ntext/dataset/label"
	"k8ntext/plots"
)

// contextCorpus is the recording whose contexts a report shows: one person at a time works in it, as in the
// paper's log, and does most kinds of actions several times. Where it is not at hand the published one serves.
const contextCorpus = "base-dev"

// contextArtefacts are Figures 3 and 10 and the costs of actions.
func contextArtefacts(ctx context.Context, paper plots.Paper) ([]Artefact, error) {
	name := publishedCorpus
	if slices.Contains(dataset.Names(), contextCorpus) {
		name = contextCorpus
	}
	corpus, err := dataset.Load(ctx, name, nil)
	if err != nil {
		return nil, err
	}
	example, err := exampleContext(corpus)
	if err != nil {
		return nil, err
	}
	sizes, err := contextSizes(corpus, paper)
	if err != nil {
		return nil, err
	}
	costs, err := dataset.ActionCosts(ctx, name, nil)
	if err != nil {
		return nil, err
	}
	return []Artefact{*example, *sizes, actionCosts(corpus, costs, paper)}, nil
}

// exampleContext is Figure 3: of the namespaces that people created, the one whose true context has the
// median of events, as it is rebuilt from the true labels.
func exampleContext(c *dataset.Corpus) (*Artefact, error) {
	var created []dataset.Context
	for _, x := range c.Contexts {
		if x.User && x.Trigger >= 0 {
			if e := c.Events[x.Trigger]; e.Verb == "create" && e.ObjectRef != nil && e.ObjectRef.Resource == "namespaces" && e.ObjectRef.Subresource == "" {
				created = append(created, x)
			}
		}
	}
	if len(created) == 0 {
		return nil, errors.New("draw Figure 3: corpus " + c.Name + " has no namespace that somebody created")
	}
	slices.SortStableFunc(created, func(a, b dataset.Context) int { return cmp.Compare(len(a.Events), len(b.Events)) })
	truth := created[(len(created)-1)/2]
	rebuilt := rebuilt(c)
	i := slices.IndexFunc(rebuilt, func(x *contexts.Context) bool { return x.Trigger.Event == int(truth.Trigger) })
	if i < 0 {
		return nil, errors.New("draw Figure 3: no context was rebuilt from event " + fmt.Sprint(truth.Trigger) + " of corpus " + c.Name)
	}
	var events []plots.ContextEvent
	right := 0
	for _, m := range rebuilt[i].Members {
		if slices.Contains(truth.Events, int32(m.Event)) {
			right++
		}
		e := c.Events[m.Event]
		d := plots.ContextEvent{
			Actor: e.User.Username, Verb: e.Verb, After: max(0, e.RequestReceived.Sub(rebuilt[i].First)), Trigger: m.Event == int(truth.Trigger),
		}
		if o := e.ObjectRef; o != nil {
			d.Resource, d.Namespace, d.Name = o.Resource, o.Namespace, o.Name
			if o.Subresource != "" {
				d.Resource += "/" + o.Subresource
			}
		} else {
			d.Name, _, _ = strings.Cut(e.RequestURI, "?")
		}
		events = append(events, d)
	}
	f, err := plots.ContextGraph("figure3", "Figure 3: a context as a graph", "", events)
	if err != nil {
		return nil, err
	}
	return &Artefact{
		ID: "figure3", Title: f.Title, Figures: []*plots.Figure{f},
		Note: fmt.Sprintf("Corpus %s: a person creates a namespace. Left who asked, right the objects by namespace and resource; an arrow's colour and text are its verbs, the thick one is the trigger. "+
			"Of %s of namespaces the one with the median of events, rebuilt from the true labels.", c.Name, count(len(created), "creation")),
		Reading: fmt.Sprintf("Rebuilt it has %s; its true context has %d, of which %d are in it.", count(len(events), "event"), len(truth.Events), right),
	}, nil
}

// rebuilt are the contexts of a corpus as its events and labels tell them, each whole.
func rebuilt(c *dataset.Corpus) []*contexts.Context {
	b := contexts.New(contexts.Options{Space: c.Space})
	var parts []*contexts.Context
	for i, e := range c.Events {
		parts = append(parts, b.Push(e, c.Labels[i])...)
	}
	return contexts.Whole(append(parts, b.Flush()...))
}

// averageSizes are the mean numbers of events of the contexts of each label, those of the labels' triggers.
func averageSizes(c *dataset.Corpus, user bool) []float64 {
	events, n := make(map[label.Label]int), make(map[label.Label]int)
	var labels []label.Label
	for _, x := range c.Contexts {
		if x.Trigger < 0 || c.Own[x.Trigger] < 0 || user && !x.User {
			continue
		}
		l := c.Own[x.Trigger]
		if n[l] == 0 {
			labels = append(labels, l)
		}
		events[l] += len(x.Events)
		n[l]++
	}
	slices.Sort(labels)
	var sizes []float64
	for _, l := range labels {
		sizes = append(sizes, float64(events[l])/float64(n[l]))
	}
	return sizes
}

// contextSizes is Figure 10 with a table of the paper's words about it.
func contextSizes(c *dataset.Corpus, paper plots.Paper) (*Artefact, error) {
	all, user := averageSizes(c, false), averageSizes(c, true)
	f, err := plots.ContextSizes("", all)
	if err != nil {
		return nil, err
	}
	t := plots.SizeTable(all, user, paper.Corpus, "")
	return &Artefact{
		ID: "figure10", Title: f.Title, Figures: []*plots.Figure{f}, Table: t,
		Note: fmt.Sprintf("Corpus %s, its true contexts: of each label the mean number of events of the contexts whose trigger has it; n: %s, of which %s people and CI accounts started. "+
			"Labels of custom resources are counted. The paper counts raw lines of its log.", c.Name, count(len(all), "label"), number(len(user))),
		Reading: fmt.Sprintf("%.0f %% of our labels have contexts of less than five events on average, and %.0f %% of the paper's; %d have 50 or more, %d a hundred or more (the paper's: %d and %d).",
			100*below(all, 5), 100*paper.Corpus.Sizes[0].Share, atLeast(all, 50), atLeast(all, 100), paper.Corpus.LabelsOf50, paper.Corpus.LabelsOf100),
	}, nil
}

func below(sizes []float64, limit float64) float64 {
	return float64(len(sizes)-atLeast(sizes, limit)) / float64(max(1, len(sizes)))
}

func atLeast(sizes []float64, limit float64) int {
	n := 0
	for _, s := range sizes {
		if s >= limit {
			n++
		}
	}
	return n
}

// actionCosts is what each kind of action leaves in the log, the kinds that the paper counts and those with
// the most events.
func actionCosts(c *dataset.Corpus, costs []dataset.ActionCost, paper plots.Paper) Artefact {
	const shown = 25
	var rows []plots.CostRow
	n := 0
	for i, x := range costs {
		n += x.Contexts
		row := plots.CostRow{Action: x.Action, N: x.Contexts, Events: x.Events, Median: x.Median, Largest: x.Largest, RawLines: x.RawLines, Bytes: x.Bytes, LargestBytes: x.LargestBytes, MedianBytes: x.MedianBytes}
		if i < shown || paper.Cost(x.Action) != nil {
			rows = append(rows, row)
		}
	}
	t := plots.ActionCosts(rows, paper, fmt.Sprintf("Corpus %s: %s of %s that people and CI accounts did; shown are the %d kinds with the most events and those that the paper counts. "+
		"n: actions. Bytes are those of the raw lines, one for each stage of a request, with bodies (level RequestResponse) and the keys that a corpus adds. The paper counts lines, of which one that creates a Deployment has %s characters.",
		c.Name, count(n, "action"), count(len(costs), "kind"), min(shown, len(costs)), number(paper.Corpus.LineCharacters)))
	a := Artefact{ID: t.ID, Title: t.Title, Section: sectionFurther, Note: t.Note, Table: t}
	var said []string
	for _, x := range costs {
		if p := paper.Cost(x.Action); p != nil {
			said = append(said, fmt.Sprintf("%s: %.1f events in the mean of %d, and %.1f lines in the mean of the paper's %d", x.Action, float64(x.Events)/float64(x.Contexts), x.Contexts, float64(p.Lines)/float64(p.N), p.N))
		}
	}
	a.Reading = strings.Join(said, "; ")
	if a.Reading != "" {
		a.Reading += "."
	}
	return a
}
