package experiments

import (
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gonum.org/v1/plot/vg"

	"k8ntext/metrics"
	"k8ntext/plots"
)

//go:embed report.html.tmpl
var reportTemplate string

// Report is everything that a results folder shows, drawn from its trial records alone.
type Report struct {
	Name       string
	Command    string   // that makes the folder anew
	Facts      []string // about corpus and runs
	Missing    int      // planned trials without a result
	Artefacts  []Artefact
	Provenance [][2]string
}

// Artefact is one table or figure with its text.
type Artefact struct {
	ID, Title string
	Note      string // corpus, protocol, n, machine
	Reading   string // what it says beside the paper's
	Table     *plots.Table
	Figure    *plots.Figure
	SVG       template.HTML // of Figure
}

// NewReport builds the report of a config from the results in store. Experiments that the config
// lacks, and results that are missing, leave their artefact out or its cells empty.
func NewReport(ctx context.Context, c *Config, store Store, command string) (*Report, error) {
	corpora := newCorpora()
	trials, err := c.Plan(func(name string) (string, error) { return corpora.digest(ctx, name) })
	if err != nil {
		return nil, err
	}
	results, missing, err := store.LoadAll(trials)
	if err != nil {
		return nil, err
	}
	results = slices.DeleteFunc(results, func(r *Result) bool { return r.Error != "" })
	if len(results) == 0 {
		return nil, fmt.Errorf("report %s: no results under %s: run the experiments first", c.Name, store.Dir)
	}
	paper, err := plots.LoadPaper()
	if err != nil {
		return nil, err
	}
	rep := &Report{Name: c.Name, Command: command, Missing: len(missing)}
	if rep.Facts, err = facts(ctx, corpora, results); err != nil {
		return nil, err
	}
	rep.Provenance = provenance(results)
	for _, build := range []func(*Report, []*Result, plots.Paper) error{
		(*Report).addProtocols, (*Report).addWindows, (*Report).addClasses,
	} {
		if err := build(rep, results, paper); err != nil {
			return nil, fmt.Errorf("report %s: %w", c.Name, err)
		}
	}
	return rep, nil
}

// Write writes report.html, and under tables/ and figures/ every artefact in every format.
func (r *Report) Write(dir string) error {
	for _, sub := range []string{"tables", "figures"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return fmt.Errorf("write report: %w", err)
		}
	}
	write := func(name string, render func(io.Writer) error) error {
		var b bytes.Buffer
		if err := render(&b); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
		if err := writeDurably(filepath.Join(dir, name), b.Bytes()); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
		return nil
	}
	for i := range r.Artefacts {
		a := &r.Artefacts[i]
		if t := a.Table; t != nil {
			for suffix, render := range map[string]func(io.Writer) error{
				".md": t.WriteMarkdown, ".csv": t.WriteCSV, ".tex": t.WriteLaTeX,
			} {
				if err := write("tables/"+t.ID+suffix, render); err != nil {
					return err
				}
			}
		}
		if f := a.Figure; f != nil {
			for _, format := range plots.Formats() {
				if err := write("figures/"+f.ID+"."+format, func(w io.Writer) error { return f.Write(w, format) }); err != nil {
					return err
				}
			}
			var svg bytes.Buffer
			if err := f.Write(&svg, "svg"); err != nil {
				return fmt.Errorf("draw %s: %w", f.ID, err)
			}
			a.SVG = inlineSVG(svg.String())
		}
	}
	page, err := template.New("report").Parse(reportTemplate)
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return write("report.html", func(w io.Writer) error { return page.Execute(w, r) })
}

// inlineSVG cuts the XML prologue off a drawing of our own, so that it can stand in a page.
func inlineSVG(svg string) template.HTML {
	if i := strings.Index(svg, "<svg"); i > 0 {
		svg = svg[i:]
	}
	return template.HTML(svg)
}

// facts says what was measured, on what.
func facts(ctx context.Context, corpora *corpora, results []*Result) ([]string, error) {
	var lines []string
	names := make(map[string]bool)
	for _, r := range results {
		names[r.Trial.Corpus] = true
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		c, err := corpora.get(ctx, name, "default")
		if err != nil {
			return nil, err
		}
		contexts := 0
		for _, x := range c.Contexts {
			if x.User {
				contexts++
			}
		}
		lines = append(lines, fmt.Sprintf("Corpus %s: %d events in %d contexts, %d of which users started (digest %.12s).",
			c.Name, len(c.Events), len(c.Contexts), contexts, c.Digest))
	}
	steps := 0
	for _, r := range results {
		steps += r.Sizes.Steps
	}
	return append(lines, fmt.Sprintf("%d trials, %d optimiser steps in all. Short trainings: numbers say what these trainings reach, not what the method can.", len(results), steps)), nil
}

// provenance lists the distinct values of each fact about how results were made.
func provenance(results []*Result) [][2]string {
	var rows [][2]string
	for _, f := range []struct {
		name string
		of   func(*Provenance) string
	}{
		{"commit", func(p *Provenance) string {
			if p.Dirty {
				return p.Commit + " with local changes"
			}
			return p.Commit
		}},
		{"Go", func(p *Provenance) string { return p.Go }},
		{"processor", func(p *Provenance) string { return fmt.Sprintf("%s, %d cores", p.CPU, p.Cores) }},
		{"kernels", func(p *Provenance) string { return p.Kernels }},
		{"trials side by side", func(p *Provenance) string { return fmt.Sprint(p.Workers) }},
	} {
		values := make(map[string]bool)
		for _, r := range results {
			values[f.of(&r.Provenance)] = true
		}
		rows = append(rows, [2]string{f.name, strings.Join(slices.Sorted(maps.Keys(values)), "; ")})
	}
	return rows
}

// of returns the results of one experiment.
func of(results []*Result, experiment string) []*Result {
	return slices.DeleteFunc(slices.Clone(results), func(r *Result) bool { return r.Trial.Experiment != experiment })
}

// training is how far a set of trainings went, in words.
func training(results []*Result) string {
	var steps, windows, events []float64
	for _, r := range results {
		steps = append(steps, float64(r.Sizes.Steps))
		windows = append(windows, float64(r.Sizes.TrainWindows))
		events = append(events, float64(r.Sizes.TrainEvents))
	}
	return fmt.Sprintf("%s steps of batch %d, drawn from %s windows over %s events",
		span(steps), results[0].Sizes.Batch, span(windows), span(events))
}

// span is the range of some whole numbers.
func span(x []float64) string {
	low, high := slices.Min(x), slices.Max(x)
	if low == high {
		return fmt.Sprintf("%.0f", low)
	}
	return fmt.Sprintf("%.0f–%.0f", low, high)
}

// addWindows adds Tables 5 and 6 from the experiment "window-size".
func (rep *Report) addWindows(results []*Result, paper plots.Paper) error {
	results = of(results, "window-size")
	if len(results) == 0 {
		return nil
	}
	byLength := make(map[int]*plots.WindowRow)
	for _, r := range results {
		row := byLength[r.Config.Window]
		if row == nil {
			row = &plots.WindowRow{Length: r.Config.Window}
			byLength[r.Config.Window] = row
		}
		for _, rec := range r.Records {
			if rec.Method == MethodNetwork && rec.Subset == metrics.SubsetWindows && rec.Metric == metrics.F1MacroUnion {
				row.F1 = append(row.F1, rec.Value)
			}
		}
		row.Steps = append(row.Steps, float64(r.Sizes.Steps))
		row.TrainSeconds = append(row.TrainSeconds, r.Cost.TrainSeconds)
		row.InferMS = append(row.InferMS, 1000*r.Cost.InferSeconds/float64(r.Cost.InferEvents))
	}
	var rows []plots.WindowRow
	for _, w := range slices.Sorted(maps.Keys(byLength)) {
		rows = append(rows, *byLength[w])
	}
	p := results[0].Provenance
	note := fmt.Sprintf("Ours: corpus %s, protocol paper (shuffled overlapping windows: leaks, for comparison only), mean ± standard deviation over n trainings; %s; "+
		"%s, %s kernels, %d trainings side by side, one thread each. F1 is the reference's: macro over (window, position) pairs, classes of truth or prediction. "+
		"Paper: 20 trainings of up to 130 epochs on an NVIDIA A5000.",
		results[0].Records[0].Corpus, training(results), p.CPU, p.Kernels, p.Workers)
	reading := "Both rise with the window's length and level off. Our trainings are cut short, so the heights are not comparable; which length is best is not decided by differences within a deviation."
	if f := rows[0].F1; len(f) > 0 && len(rows) > 1 {
		last := rows[len(rows)-1].F1
		first, _ := metrics.MeanStd(f)
		end, _ := metrics.MeanStd(last)
		if !(end > first) {
			reading = "In these short trainings F1 does not rise with the window's length, unlike the paper's: longer windows are longer to learn and got as many steps."
		}
	}
	t5 := plots.WindowTraining(rows, paper, note)
	t6 := plots.WindowInference(rows, paper, fmt.Sprintf("Ours: wall time of the network over the test windows at stride 1, where windows are about as many as events, divided by the windows; "+
		"batches of 32, one thread beside %d trials, %s, %s kernels; decoding included. Paper: NVIDIA A5000, model and label decoding.", p.Workers, p.CPU, p.Kernels))
	rep.Artefacts = append(rep.Artefacts,
		Artefact{ID: t5.ID, Title: t5.Title, Note: t5.Note, Table: t5, Reading: reading},
		Artefact{ID: t6.ID, Title: t6.Title, Note: t6.Note, Table: t6, Reading: "Different machines: read how the time grows with the window, not which is faster."})
	return nil
}

// addClasses adds Figure 9 from the longest windows of the experiment "window-size".
func (rep *Report) addClasses(results []*Result, paper plots.Paper) error {
	results = of(results, "window-size")
	longest := 0
	for _, r := range results {
		longest = max(longest, r.Config.Window)
	}
	results = slices.DeleteFunc(results, func(r *Result) bool { return r.Config.Window != longest || len(r.Classes) == 0 })
	if len(results) == 0 {
		return nil
	}
	type sum struct {
		name          string
		weight, right float64
	}
	sums := make(map[int32]*sum)
	for _, r := range results {
		for _, c := range r.Classes {
			s := sums[c.Label]
			if s == nil {
				s = &sum{name: c.Name}
				sums[c.Label] = s
			}
			s.weight += float64(c.Weight)
			s.right += float64(c.Weight) * c.Accuracy
		}
	}
	n := float64(len(results))
	var points []plots.ClassPoint
	table := &plots.Table{ID: "figure9-classes", Title: "Heaviest and least accurate labels", Columns: []string{"label", "weight", "accuracy"}}
	total, perfect := 0.0, 0
	for _, l := range slices.Sorted(maps.Keys(sums)) {
		s := sums[l]
		points = append(points, plots.ClassPoint{Name: s.name, Weight: s.weight / n, Accuracy: s.right / s.weight})
		total += s.weight / n
		if s.right == s.weight {
			perfect++
		}
	}
	f, err := plots.ClassAccuracy(points, paper)
	if err != nil {
		return err
	}
	note := fmt.Sprintf("Ours: corpus %s, protocol paper, W = %d, mean over %d trainings (%s); %d labels with %.0f window positions in each test part, %d of them always right. "+
		"Red triangles by the paper's rule: weight above %.0f or accuracy below %.2f.",
		results[0].Records[0].Corpus, longest, len(results), training(results), len(points), total, perfect, paper.Classes.RedAboveWeight, paper.Classes.RedBelowAccuracy)
	figure := &plots.Figure{ID: "figure9", Title: "Figure 9: class accuracy against weight", Note: note, Plot: f, Width: 7 * vg.Inch, Height: 4 * vg.Inch}

	slices.SortStableFunc(points, func(a, b plots.ClassPoint) int { return sign(b.Weight - a.Weight) })
	shown := slices.Clone(points[:min(5, len(points))])
	rest := slices.Clone(points[min(5, len(points)):])
	slices.SortStableFunc(rest, func(a, b plots.ClassPoint) int { return sign(a.Accuracy - b.Accuracy) })
	for _, c := range append(shown, rest[:min(10, len(rest))]...) {
		table.Rows = append(table.Rows, []string{c.Name, fmt.Sprintf("%.0f", c.Weight), fmt.Sprintf("%.3f", c.Accuracy)})
	}
	table.Note = "The five heaviest labels, then the ten least accurate of the others. " + note
	rep.Artefacts = append(rep.Artefacts, Artefact{
		ID: figure.ID, Title: figure.Title, Note: note, Figure: figure, Table: table,
		Reading: "The paper: heavy classes (lease updates, pod creation) reach 1.0; its lowest are list limitranges (.95) and update of a replicaset (.96). The table names ours.",
	})
	return nil
}

func sign(x float64) int {
	switch {
	case x < 0:
		return -1
	case x > 0:
		return 1
	}
	return 0
}

// addProtocols adds the tables of methods under both protocols.
func (rep *Report) addProtocols(results []*Result, _ plots.Paper) error {
	for _, p := range []struct {
		protocol, id, title, note, reading string
		columns                            []plots.ProtocolColumn
	}{
		{
			ProtocolPaper, "protocol-paper", "Network and baselines, paper protocol",
			"Shuffled overlapping windows: nearly every test position was trained on with its label. Over (window, position) pairs; no interval, since overlapping windows repeat events.",
			"These numbers mostly measure memory. They stand here because the paper's do.",
			[]plots.ProtocolColumn{column(metrics.SubsetWindows, metrics.Accuracy, "accuracy"), column(metrics.SubsetWindows, metrics.F1MacroUnion, "macro F1 (reference's)"), column(metrics.SubsetWindows, metrics.F1Macro, "macro F1 (true classes)")},
		},
		{
			ProtocolBlocked, "protocol-blocked", "Network and baselines, blocked protocol",
			"Contiguous folds with gaps, contexts on both sides of a cut purged from training, vocabularies from training events only. Mean over folds of the accuracy on each subset, with the 95 % corrected resampled t interval over folds (of one training per fold), and the number of events.",
			"The headline is own label wrong: the events that a rule reading only the event itself cannot get right.",
			[]plots.ProtocolColumn{
				column(metrics.SubsetAll, metrics.Accuracy, "all"),
				column(metrics.SubsetOwnWrong, metrics.Accuracy, "own label wrong"),
				column(metrics.SubsetOwnWrong+metrics.Seen, metrics.Accuracy, "own label wrong, seen"),
				column(metrics.SubsetUser, metrics.Accuracy, "user-caused"),
				column(metrics.SubsetNonTrigger, metrics.Accuracy, "non-trigger"),
				column(metrics.SubsetNonTrigger+metrics.Seen, metrics.Accuracy, "non-trigger, seen"),
				column(metrics.SubsetNonTrigger+metrics.Unseen, metrics.Accuracy, "non-trigger, unseen"),
				column(metrics.SubsetByRule, metrics.Accuracy, "decided by rule"),
				column(metrics.SubsetUser, metrics.F1Macro, "user-caused, macro F1"),
			},
		},
	} {
		rows := protocolRows(slices.DeleteFunc(slices.Clone(results), func(r *Result) bool {
			return r.Protocol != p.protocol || !strings.HasPrefix(r.Trial.Experiment, "protocol-")
		}))
		if len(rows) == 0 {
			continue
		}
		t := plots.Protocols(p.id, p.title, p.columns, rows, "Corpus "+corpusOf(results)+". "+p.note)
		rep.Artefacts = append(rep.Artefacts, Artefact{ID: t.ID, Title: t.Title, Note: t.Note, Table: t, Reading: p.reading})
	}
	return nil
}

// column is the column of one metric on one subset.
func column(subset, metric, title string) plots.ProtocolColumn {
	return plots.ProtocolColumn{Key: subset + " " + metric, Title: title}
}

func corpusOf(results []*Result) string {
	names := make(map[string]bool)
	for _, r := range results {
		names[r.Trial.Corpus] = true
	}
	return strings.Join(slices.Sorted(maps.Keys(names)), ", ")
}

// protocolRows has one row for each method and model setting, folds merged, in order of appearance.
func protocolRows(results []*Result) []plots.ProtocolRow {
	type key struct{ method, setting string }
	var keys []key
	records := make(map[key][]metrics.Record)
	trained := make(map[key][]*Result)
	for _, r := range results {
		for _, rec := range r.Records {
			k := key{method: rec.Method}
			if rec.Method == MethodNetwork {
				k.setting = settingText(r.Trial.Setting)
			}
			if !slices.Contains(keys, k) {
				keys = append(keys, k)
			}
			records[k] = append(records[k], rec)
			if t := trained[k]; len(t) == 0 || t[len(t)-1] != r {
				trained[k] = append(t, r)
			}
		}
	}
	var rows []plots.ProtocolRow
	for _, k := range keys {
		row := plots.ProtocolRow{Method: k.method, Scores: make(map[string]*plots.Score)}
		if k.setting != "" {
			row.Method += " (" + k.setting + ")"
		}
		if k.method == MethodNetwork {
			row.Training = training(trained[k])
		}
		merged := records[k]
		if merged[0].Protocol == ProtocolBlocked {
			merged = metrics.MergeFolds(merged)
		}
		for _, rec := range metrics.OverTrainings(merged) {
			if strings.HasSuffix(rec.Metric, metrics.MeanOf) || strings.HasSuffix(rec.Metric, metrics.StdOf) {
				continue
			}
			row.Scores[rec.Subset+" "+rec.Metric] = &plots.Score{Value: rec.Value, N: rec.N}
		}
		if seeds(merged) == 1 { // one repetition: the interval over folds stands
			for _, rec := range merged {
				row.Scores[rec.Subset+" "+rec.Metric] = &plots.Score{Value: rec.Value, Low: rec.Low, High: rec.High, N: rec.N, Interval: rec.Low != rec.High && !math.IsNaN(rec.Low)}
			}
		}
		rows = append(rows, row)
	}
	return rows
}

func seeds(records []metrics.Record) int {
	distinct := make(map[uint64]bool)
	for _, r := range records {
		distinct[r.Seed] = true
	}
	return len(distinct)
}

// settingText is a point of a grid in words: only what varies.
func settingText(s setting) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(s)) {
		parts = append(parts, fmt.Sprintf("%s %v", strings.TrimPrefix(k, "model."), s[k]))
	}
	return strings.Join(parts, ", ")
}
