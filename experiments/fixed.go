package experiments

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json"

	"k8ntext/dataset"
	"k8ntext/dataset/audit"
	"k8ntext/dataset/feature"
	"k8ntext/dataset/label"
	"k8ntext/model"
	"k8ntext/plots"
)

// publishedCorpus is the recording that is part of the program: what a report may show lines of, since its
// secrets are masked and everybody has it.
const publishedCorpus = "sequential-1.34"

// fixedArtefacts are those of the whole paper that need no results: its symbols, features, label fields and
// hyperparameters, its drawings, and its contexts; and what actions cost in a log.
func fixedArtefacts(ctx context.Context, results []*Result, paper plots.Paper) ([]Artefact, error) {
	corpus, err := dataset.Load(ctx, publishedCorpus, nil)
	if err != nil {
		return nil, err
	}
	table := func(t *plots.Table, reading string) Artefact {
		return Artefact{ID: t.ID, Title: t.Title, Note: t.Note, Table: t, Reading: reading}
	}
	figure := func(f *plots.Figure) Artefact {
		return Artefact{ID: f.ID, Title: f.Title, Note: f.Note, Figures: []*plots.Figure{f}}
	}
	features, reading := featureTable(corpus)
	line, about, err := exampleLine(ctx)
	if err != nil {
		return nil, err
	}
	event, err := plots.RawEvent("figure1", "Figure 1: one line of an audit log", about, line)
	if err != nil {
		return nil, err
	}
	layers, err := layerFigures()
	if err != nil {
		return nil, err
	}
	hyper, err := hyperparameters(results, paper)
	if err != nil {
		return nil, err
	}
	stack := figure(layers[0])
	stack.Figures = layers
	stack.Note = "Parameters as the program counts them, for 39 and " + strconv.Itoa(len(feature.Honest().Fields())) + " features; vocabularies, which embeddings need, come from a training."
	stack.Reading = "The paper's network has about 718,000 parameters in the paper (with the running statistics of its normalisations 718,841); ours has as many."
	artefacts := []Artefact{
		table(plots.Symbols(), ""), table(features, reading), table(plots.LabelFields(labelSpaces(), paper), ""), table(hyper, ""),
		figure(event), figure(plots.Overview()), figure(plots.Architecture()), stack,
	}
	contexts, err := contextArtefacts(ctx, paper)
	if err != nil {
		return nil, err
	}
	return append(artefacts, contexts...), nil
}

// featureTable is Table 2 with the values of each feature in a corpus.
func featureTable(c *dataset.Corpus) (*plots.Table, string) {
	profile := feature.Paper()
	encoder := feature.Fit(profile, c.Events)
	sizes := encoder.Sizes()
	var rows []plots.FeatureRow
	dead := 0
	for i, f := range profile.Fields() {
		// One id more than values: that of what was never seen.
		row := plots.FeatureRow{Path: f.Path, Meaning: f.Meaning, Encoding: f.Encoding, Values: sizes[i] - 1}
		if row.Values <= 1 {
			row.Dead = true
			dead++
		}
		rows = append(rows, row)
	}
	return plots.Features(rows, fmt.Sprintf("Values: distinct ones in corpus %s (n %s), null among them.", c.Name, count(len(c.Events), "event"))),
		fmt.Sprintf("%d of %d features never vary in our corpus.", dead, len(rows))
}

func labelSpaces() []plots.LabelSpace {
	var spaces []plots.LabelSpace
	for _, s := range []*label.Space{label.Paper(), label.Default()} {
		resources, subresources := make(map[int]bool), make(map[[2]int]bool)
		for _, l := range s.Labels() {
			t := l.Tuple()
			resources[t.Resource], subresources[[2]int{t.Resource, t.Subresource}] = true, true
		}
		spaces = append(spaces, plots.LabelSpace{Name: s.Name(), Resources: len(resources), Subresources: len(subresources), Labels: len(s.Labels()), Classes: s.M()})
	}
	return spaces
}

// exampleLine is the line of the published corpus that Figure 1 shows, without the keys that are the truth
// about it, and what to say of it: of the lines that create a Deployment with bodies, the one whose length
// is nearest to the paper's.
func exampleLine(ctx context.Context) (line, about string, err error) {
	var b bytes.Buffer
	if err := dataset.Export(ctx, publishedCorpus, &b); err != nil {
		return "", "", err
	}
	const theirs = 4700 // characters of the paper's
	best := -1
	lines := bufio.NewScanner(&b)
	lines.Buffer(nil, audit.DefaultMaxLine)
	for lines.Scan() {
		text := lines.Text()
		if !strings.Contains(text, `"verb":"create"`) || !strings.Contains(text, `"objectRef":{"resource":"deployments"`) || !strings.Contains(text, `"responseObject":`) {
			continue
		}
		text = withoutTruth(text)
		if n := utf8.RuneCountInString(text); best < 0 || distance(n, theirs) < best {
			best, line = distance(n, theirs), text
		}
	}
	if err := lines.Err(); err != nil {
		return "", "", fmt.Errorf("read corpus %s: %w", publishedCorpus, err)
	}
	if line == "" {
		return "", "", errors.New("corpus " + publishedCorpus + " has no line that creates a Deployment")
	}
	return line, fmt.Sprintf("Corpus %s, %s characters. Secrets are masked; names of members are blue.", publishedCorpus, number(utf8.RuneCountInString(line))), nil
}

// withoutTruth is a corpus' line without the keys that corpora add; the line as it is where it is none.
func withoutTruth(line string) string {
	at := strings.LastIndex(line, `,"context":`)
	if at < 0 {
		return line
	}
	short := line[:at] + "}"
	var any map[string]any
	if json.Unmarshal([]byte(short), &any) != nil {
		return line
	}
	return short
}

func distance(a, b int) int { return max(a-b, b-a) }

// layerFigures are Figure 5 for the paper's network and the shipped one.
func layerFigures() ([]*plots.Figure, error) {
	var figures []*plots.Figure
	for _, preset := range []struct{ id, title, name string }{
		{"figure5", "Figure 5: layers of the paper's network", "paper"},
		{"figure5-default", "Figure 5: layers of the network that this program ships", "default"},
	} {
		n, c, err := presetNetwork(preset.name)
		if err != nil {
			return nil, err
		}
		var layers []plots.NetworkLayer
		for _, l := range n.Layers() {
			output := number(l.Output) + " values per event"
			switch {
			case strings.Contains(l.Kind, "bidirectional"):
				output = "2 × " + number(l.Output/2) + " units"
			case strings.Contains(l.Kind, "softmax"), strings.Contains(l.Kind, "dense"):
				output = fmt.Sprintf("%d × %d", n.Components, n.Classes)
			}
			layers = append(layers, plots.NetworkLayer{Kind: l.Kind, Output: output, Parameters: l.Trainable, Statistics: l.Statistics})
		}
		f, err := plots.Layers(preset.id, preset.title, "", fmt.Sprintf("window of %d events with %d features", c.Window, n.Fields), layers)
		if err != nil {
			return nil, err
		}
		figures = append(figures, f)
	}
	return figures, nil
}

// presetNetwork is a preset's network without vocabularies.
func presetNetwork(name string) (model.NetworkConfig, model.Config, error) {
	c, err := model.Preset(name)
	if err != nil {
		return model.NetworkConfig{}, c, err
	}
	n, err := network(c)
	return n, c, err
}

// network is the shape of a config's network, for vocabularies of no size.
func network(c model.Config) (model.NetworkConfig, error) {
	profile, err := feature.ByName(c.Features)
	if err == nil && len(c.Without) > 0 {
		profile, err = profile.Without(c.Without...)
	}
	if err != nil {
		return model.NetworkConfig{}, err
	}
	space, err := label.ByName(c.Labels, nil)
	if err != nil {
		return model.NetworkConfig{}, err
	}
	return c.Network(make([]int, len(profile.Fields())), space.M()), nil
}

// hyperparameters is Table 4: the presets and, where it differs, what the window sizes were trained with.
func hyperparameters(results []*Result, paper plots.Paper) (*plots.Table, error) {
	var columns []plots.Hyperparameters
	add := func(name string, c model.Config, test, validation float64) error {
		n, err := network(c)
		if err != nil {
			return err
		}
		trainable, _ := n.Parameters()
		input := "one number per feature"
		if c.Input == model.InputEmbedding {
			input = "a learned vector per value, " + number(c.Embedding) + " long"
		}
		columns = append(columns, plots.Hyperparameters{
			Name: name, Window: c.Window, Features: n.Fields, MaxEpochs: c.MaxEpochs, Patience: c.Patience, ReducePatience: c.ReducePatience,
			Batch: c.Batch, Stride: c.Stride, WindowsPerEpoch: c.WindowsPerEpoch, Parameters: trainable, Units1: n.Units1, Units2: n.Units2,
			LearningRate: c.LearningRate, ReduceFactor: c.ReduceFactor, Dropout: c.Dropout, TestShare: test, ValidationShare: validation, Input: input,
		})
		return nil
	}
	const share = .1
	if err := add("preset paper", model.PaperConfig(), share, share); err != nil {
		return nil, err
	}
	if err := add("preset default", model.DefaultConfig(), 0, 0); err != nil {
		return nil, err
	}
	var last *Result
	for _, r := range of(results, windowExperiment) {
		if last == nil || r.Config.Window > last.Config.Window {
			last = r
		}
	}
	if last != nil && last.Trial.experiment != nil {
		if err := add("Tables 5 and 6 here, the longest window", last.Config, last.Trial.experiment.TestShare, last.Trial.experiment.ValidationShare); err != nil {
			return nil, err
		}
	}
	return plots.HyperparameterTable(columns, paper, "The parameters of an embedding depend on the vocabularies that a training finds, and are not counted here."), nil
}

// corpusArtefact is the overview of the corpora of a report and of those of the program.
func corpusArtefact(ctx context.Context, names []string, paper plots.Paper) (*Artefact, error) {
	distinct := make(map[string]bool)
	for _, n := range append(dataset.Names(), names...) {
		distinct[n] = true
	}
	var rows []plots.CorpusRow
	for _, n := range slices.Sorted(maps.Keys(distinct)) {
		m, err := dataset.Describe(ctx, n)
		if err != nil {
			return nil, err
		}
		c := m.Counts
		triggers := c.UserEvents - c.NonTriggerEvents
		rows = append(rows, plots.CorpusRow{
			Name: m.Name, Kubernetes: strings.Join(m.Kubernetes, ", "), Level: strings.Join(m.Levels, ", "),
			Events: c.Events, Labels: c.Labels, UserContexts: c.UserContexts, OwnWrong: c.OwnWrongEvents, Ambiguous: c.AmbiguousEvents,
			Triggers: triggers, NonTriggers: c.NonTriggerEvents, ByRule: c.ByRuleEvents, Others: max(0, c.Events-c.UserEvents-c.ByRuleEvents),
		})
	}
	t := plots.Corpora(rows, paper, "Counts are of events, requests with their stages merged; the paper counts lines of its log. Other background in the figure holds the ambiguous events.")
	f, err := plots.CorpusBars("corpora", "Corpora: what caused their events", "", rows)
	if err != nil {
		return nil, err
	}
	a := Artefact{ID: "corpora", Title: "Corpora", Section: sectionFurther, Note: t.Note, Table: t, Figures: []*plots.Figure{f}}
	a.Reading = fmt.Sprintf("%s. The paper's dataset has %s lines of one cluster with one person at work, %s kinds of actions done %s times.",
		number(len(rows))+" corpora of ours are listed", number(paper.Corpus.Lines), number(paper.Corpus.Actions), number(paper.Corpus.Executions))
	return &a, nil
}
