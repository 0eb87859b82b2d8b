package experiments

import (
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"k8ntext/metrics"
	"k8ntext/plots"
)

//go:embed report.html.tmpl
var reportTemplate string

// Report is everything that a results folder shows, drawn from its trial records alone.
type Report struct {
	Name       string
	Command    string   // that makes the folder anew
	Facts      []string // about corpora and trainings
	Gaps       []string // what is not in the report: trials without a result, failed ones, foreign files
	Artefacts  []Artefact
	Provenance [][2]string // name and value

	records []metrics.Record
}

// Artefact is one table or figure, or a figure with its table, and the text about it.
type Artefact struct {
	ID, Title string
	Note      string // corpus, protocol, n, training, machine
	Reading   string // what the numbers say beside the paper's
	Redo      string // the command that measures them again
	Table     *plots.Table
	Figure    *plots.Figure

	experiments []string // whose results it shows
}

// SVG is the figure as a part of a page; empty if there is none.
func (a Artefact) SVG() (template.HTML, error) {
	if a.Figure == nil {
		return "", nil
	}
	var b bytes.Buffer
	if err := a.Figure.Write(&b, "svg"); err != nil {
		return "", err
	}
	_, svg, _ := strings.Cut(b.String(), "<svg") // the XML prologue has no place in a page
	return template.HTML("<svg" + svg), nil
}

// NewReport builds the report of a config from the results in store; command is what a reader types
// to make them. An artefact without any result is left out; what is missing is said in Gaps. It
// fails if there is no result at all, and if a result cannot be read.
func NewReport(ctx context.Context, c *Config, store Store, command string) (*Report, error) {
	trials, corpora, err := c.plan(ctx)
	if err != nil {
		return nil, err
	}
	all, missing, err := store.LoadAll(trials)
	if err != nil {
		return nil, err
	}
	strangers, err := store.Strangers(trials)
	if err != nil {
		return nil, err
	}
	rep := &Report{Name: c.Name, Command: command, Gaps: gaps(trials, all, missing, strangers)}
	results := slices.DeleteFunc(slices.Clone(all), func(r *Result) bool { return r.Error != "" })
	if len(results) == 0 {
		return nil, fmt.Errorf("report %s: no results under %s: run the experiments first", c.Name, store.Dir)
	}
	var about []string
	names := make(map[string]bool)
	for _, e := range c.Experiments {
		for _, name := range e.recordings() {
			names[name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		corpus, err := corpora.get(ctx, Corpora{name}, "default")
		if err != nil {
			return nil, err
		}
		about = append(about, aboutCorpus(corpus))
	}
	rep.Facts = append(about, aboutTrainings(results))
	if err := rep.draw(results, store); err != nil {
		return nil, fmt.Errorf("report %s: %w", c.Name, err)
	}
	return rep, nil
}

// draw fills what follows from results alone.
func (rep *Report) draw(results []*Result, store Store) error {
	paper, err := plots.LoadPaper()
	if err != nil {
		return err
	}
	rep.Provenance = provenance(results)
	rep.records = allRecords(results)
	for _, build := range []func([]*Result, plots.Paper) ([]Artefact, error){
		protocolArtefacts, ablationArtefacts, windowArtefacts, classArtefacts, explainArtefacts,
	} {
		artefacts, err := build(results, paper)
		if err != nil {
			return err
		}
		for _, a := range artefacts {
			a.Redo = rep.redo(a.experiments, store)
			rep.Artefacts = append(rep.Artefacts, a)
		}
	}
	return nil
}

// redo is the command that measures the trials of some experiments anew.
func (rep *Report) redo(experiments []string, store Store) string {
	var patterns []string
	for _, e := range experiments {
		patterns = append(patterns, fmt.Sprintf(`-e '"experiment": "%s"'`, e))
	}
	return fmt.Sprintf("rm $(grep -l %s %s/*.json) && %s", strings.Join(patterns, " "), filepath.Join(store.Dir, trialsFolder), rep.Command)
}

// Write writes report.html, records.jsonl, and under tables/ and figures/ every artefact in every format.
func (rep *Report) Write(dir string) error {
	write := func(name string, render func(io.Writer) error) error {
		var b bytes.Buffer
		if err := render(&b); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
		if err := writeDurably(filepath.Join(dir, filepath.FromSlash(name)), b.Bytes()); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
		return nil
	}
	for _, a := range rep.Artefacts {
		if t := a.Table; t != nil {
			for _, f := range []struct {
				suffix string
				render func(io.Writer) error
			}{{".md", t.WriteMarkdown}, {".csv", t.WriteCSV}, {".tex", t.WriteLaTeX}} {
				if err := write("tables/"+t.ID+f.suffix, f.render); err != nil {
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
		}
	}
	if err := write("records.jsonl", func(w io.Writer) error { return metrics.WriteJSONL(w, rep.records) }); err != nil {
		return err
	}
	page, err := template.New("report").Funcs(template.FuncMap{"lines": func(s string) []string { return strings.Split(s, "\n") }}).Parse(reportTemplate)
	if err != nil {
		return fmt.Errorf("write report.html: %w", err)
	}
	return write("report.html", func(w io.Writer) error {
		var b strings.Builder
		if err := page.Execute(&b, rep); err != nil {
			return err
		}
		_, err := io.WriteString(w, plots.Printable(b.String())) // the template lets control characters pass
		return err
	})
}

// allRecords are the records of all results in the order of the plan. The method says which setting
// of the network it is, as the tables do, and the note which trial has the rest.
func allRecords(results []*Result) []metrics.Record {
	var records []metrics.Record
	listed := make(map[string]bool)
	for _, r := range results {
		if listed[r.Trial.ID] { // planned by two experiments, measured once
			continue
		}
		listed[r.Trial.ID] = true
		for _, rec := range r.Records {
			rec.Method = methodName(r, rec.Method)
			rec.Note = strings.TrimPrefix(fmt.Sprintf("%s; experiment %s, trial %s", rec.Note, r.Trial.Experiment, r.Trial.ID), "; ")
			records = append(records, rec)
		}
	}
	return records
}

// methodName is a record's method with the setting that only the network has.
func methodName(r *Result, method string) string {
	s := r.Trial.Setting
	if !strings.HasPrefix(method, MethodNetwork) { // no baseline depends on the model's keys but its features
		s = maps.Clone(s)
		maps.DeleteFunc(s, func(k string, _ any) bool { return strings.HasPrefix(k, "model.") && k != "model.features" })
	}
	if text := settingText(s); text != "" {
		return method + " (" + text + ")"
	}
	return method
}

// settingText is a point of a grid in words: only what varies.
func settingText(s setting) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(s)) {
		parts = append(parts, fmt.Sprintf("%s %v", strings.TrimPrefix(k, "model."), s[k]))
	}
	return strings.Join(parts, ", ")
}

func corpusNames(results []*Result) []string {
	names := make(map[string]bool)
	for _, r := range results {
		names[r.Trial.Corpus] = true
	}
	return slices.Sorted(maps.Keys(names))
}

// provenance lists the distinct values of each fact about how results were made.
func provenance(results []*Result) [][2]string {
	rows := [][2]string{}
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
		{"processor", func(p *Provenance) string { return fmt.Sprintf("%s, %s", p.CPU, count(p.Cores, "core")) }},
		{"kernels", func(p *Provenance) string { return p.Kernels }},
		{"trials side by side", func(p *Provenance) string {
			return fmt.Sprintf("%d, with %s each", p.Workers, count(p.Threads, "thread"))
		}},
	} {
		values := make(map[string]bool)
		for _, r := range results {
			values[f.of(&r.Provenance)] = true
		}
		rows = append(rows, [2]string{f.name, strings.Join(slices.Sorted(maps.Keys(values)), "; ")})
	}
	var seconds, peak float64
	for _, r := range results {
		seconds += r.Cost.TrainSeconds + r.Cost.InferSeconds
		peak = max(peak, r.Cost.PeakMemoryMB)
	}
	rows = append(rows, [2]string{"training and labelling", fmt.Sprintf("%.0f s in all trials together", seconds)})
	if peak > 0 {
		rows = append(rows, [2]string{"peak memory", fmt.Sprintf("%.0f MiB, all trials side by side", peak)})
	}
	return rows
}
