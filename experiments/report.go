package experiments

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"

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
	Resume     []string // the commands that go on with what is missing
	Gaps       []string // what is not in the report: trials without a result, failed ones, foreign files
	Artefacts  []Artefact
	Provenance [][2]string // name and value

	records []metrics.Record
}

// Artefact is one table, or figures, or figures with their table, and the text about it.
type Artefact struct {
	ID, Title string
	Section   string
	Note      string // corpus, protocol, n, training, machine
	Reading   string // what the numbers say beside the paper's
	Differs   string // what is not as in the paper, and why
	Missing   string // what it needs, where nothing was measured for it
	Redo      string // the command that measures it again; "": it needs no results
	Source    string // the config whose results it shows; "": none
	Table     *plots.Table
	Figures   []*plots.Figure
	// Sample is the same from the report's own results, where they are fewer or shorter than the ones shown.
	Sample *Artefact

	experiments []string // whose results it shows
}

// SVG is a figure as a part of a page.
func (a Artefact) SVG(f *plots.Figure) (template.HTML, error) {
	var b bytes.Buffer
	if err := f.Write(&b, "svg"); err != nil {
		return "", err
	}
	_, svg, _ := strings.Cut(b.String(), "<svg") // the XML prologue has no place in a page
	return template.HTML("<svg" + svg), nil
}

// Look is how the page shows the table: "prose" where its cells are words, "words" where those of the first
// column are, else "".
func (a Artefact) Look() string {
	switch {
	case a.Redo == "" && a.ID != "corpora":
		return "prose"
	case slices.Contains([]string{"W", "K"}, a.Table.Columns[0]):
		return ""
	}
	return "words"
}

// Source is a config with the folder of its results.
type Source struct {
	Config *Config
	Store  Store
	// Command is what a reader types to make the results.
	Command string
}

// ReportOptions say what a report shows beside the results of its config.
type ReportOptions struct {
	// Fuller are results of longer trainings of experiments with the same names: an artefact that they have is
	// drawn from them, and the config's own stands behind it as a sample.
	Fuller *Source
}

// NewReport builds the report of a source's results. An artefact of the paper without any result says so;
// what is missing is said in Gaps. It fails if there is no result at all, and if a result cannot be read.
func NewReport(ctx context.Context, s Source, o ReportOptions) (*Report, error) {
	rep := &Report{Name: s.Config.Name, Command: s.Command}
	fail := func(err error) (*Report, error) { return nil, fmt.Errorf("report %s: %w", s.Config.Name, err) }
	paper, err := plots.LoadPaper()
	if err != nil {
		return fail(err)
	}
	sources := []Source{s}
	if o.Fuller != nil {
		sources = append(sources, *o.Fuller)
	}
	var all []*Result
	var planned []Experiment
	names := make(map[string]bool)
	for _, source := range sources {
		trials, corpora, err := source.Config.plan(ctx)
		if err != nil {
			return fail(err)
		}
		loaded, missing, err := source.Store.LoadAll(trials)
		if err != nil {
			return fail(err)
		}
		strangers, err := source.Store.Strangers(trials)
		if err != nil {
			return fail(err)
		}
		found := gaps(trials, loaded, missing, strangers)
		if len(sources) > 1 {
			for i := range found {
				found[i] = source.Config.Name + ", " + found[i]
			}
		}
		rep.Gaps = append(rep.Gaps, found...)
		if len(found) > 0 {
			rep.Resume = append(rep.Resume, source.Command)
		}
		results := slices.DeleteFunc(loaded, func(r *Result) bool { return r.Error != "" })
		if err := rep.draw(results, trials, paper, source); err != nil {
			return fail(err)
		}
		if len(results) > 0 {
			about := aboutTrainings(results)
			if len(sources) > 1 {
				about = source.Config.Name + ": " + about
			}
			rep.Facts = append(rep.Facts, about)
		}
		all = append(all, results...)
		planned = append(planned, source.Config.Experiments...)
		for _, e := range source.Config.Experiments {
			for _, name := range e.recordings() {
				if names[name] {
					continue
				}
				names[name] = true
				corpus, err := corpora.get(ctx, Corpora{name}, "default")
				if err != nil {
					return fail(err)
				}
				rep.Facts = append(rep.Facts, aboutCorpus(corpus))
			}
		}
	}
	if len(all) == 0 {
		return fail(fmt.Errorf("no results under %s: run the experiments first", s.Store.Dir))
	}
	if checked, err := verified(s.Store); err != nil {
		return fail(err)
	} else if checked != "" {
		rep.Facts = append(rep.Facts, checked)
	}
	rep.Provenance = provenance(all)
	rep.records = allRecords(all)
	if s.Config.WholePaper {
		fixed, err := fixedArtefacts(ctx, all, paper)
		if err != nil {
			return fail(err)
		}
		rep.Artefacts = append(rep.Artefacts, fixed...)
	}
	overview, err := corpusArtefact(ctx, slices.Sorted(maps.Keys(names)), paper)
	if err != nil {
		return fail(err)
	}
	rep.Artefacts = append(rep.Artefacts, *overview)
	rep.arrange(s.Config.WholePaper, planned)
	return rep, nil
}

// verifiedFile in a results folder is what experiment verify said, as JSON, of the trials that a report is
// drawn from.
const verifiedFile = "verified.json"

// verified says how many trials were computed again, and with what outcome; "" if none was.
func verified(s Store) (string, error) {
	path := filepath.Join(s.Dir, verifiedFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(bytes.TrimSpace(text)) == 0 {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	var checks []struct {
		Trial struct {
			ID string `json:"id"`
		} `json:"trial"`
		Same bool `json:"same"`
	}
	if err := json.Unmarshal(text, &checks); err != nil {
		return "", fmt.Errorf("read %s: %w: delete it, or verify again", path, err)
	}
	var same, other []string
	for _, c := range checks {
		if c.Same {
			same = append(same, c.Trial.ID)
		} else {
			other = append(other, c.Trial.ID)
		}
	}
	said := fmt.Sprintf("Drawn at random and computed again: %s, %d the same to the bit", count(len(checks), "trial"), len(same))
	if len(other) > 0 {
		said += "; not the same, or of arithmetic that this machine has not got: " + strings.Join(other, ", ")
	}
	return said + ".", nil
}

// draw adds what follows from results. Of an artefact that is there already, the one there becomes the
// sample of the new one.
func (rep *Report) draw(results []*Result, planned []Trial, paper plots.Paper, s Source) error {
	for _, build := range []func(evidence) ([]Artefact, error){
		windowArtefacts, removalArtefacts, splitArtefacts, foldArtefacts, classArtefacts, effectArtefacts,
		protocolArtefacts, abstainArtefacts, finalArtefacts, ablationArtefacts, curveArtefacts, accuracyArtefacts, confusionArtefacts, marginArtefacts, lookAheadArtefacts, explainArtefacts, queryArtefacts,
	} {
		artefacts, err := build(evidence{results, planned, paper})
		if err != nil {
			return err
		}
		for _, a := range artefacts {
			a.Redo, a.Source = s.redo(a.experiments), s.Config.Name
			if i := slices.IndexFunc(rep.Artefacts, func(b Artefact) bool { return b.ID == a.ID }); i >= 0 {
				sample := rep.Artefacts[i]
				a.Sample = &sample
				rep.Artefacts[i] = a
				continue
			}
			rep.Artefacts = append(rep.Artefacts, a)
		}
	}
	return nil
}

// redo is the command that measures the trials of some experiments anew and draws them.
func (s Source) redo(experiments []string) string {
	from := s.Config.source
	file := from.File
	if file == "" {
		file = s.Config.Name + ".toml"
	}
	words := []string{"k8ntext experiment rerun", shellWord(file), "--only", strings.Join(experiments, ",")}
	if from.Corpus != "" {
		words = append(words, "--corpus", shellWord(from.Corpus))
	}
	for _, set := range from.Set {
		words = append(words, "--set", shellWord(set))
	}
	return strings.Join(words, " ") + " && " + s.Command
}

// plainWord is what no shell acts on.
var plainWord = regexp.MustCompile(`^[A-Za-z0-9_./=,:+-]+$`)

// shellWord writes s so that a shell takes it for one word, whatever it holds.
func shellWord(s string) string {
	if plainWord.MatchString(s) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
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
		if err := a.write("", write); err != nil {
			return err
		}
		if a.Sample != nil {
			if err := a.Sample.write("sample/", write); err != nil {
				return err
			}
		}
	}
	if err := write("records.jsonl", func(w io.Writer) error { return metrics.WriteJSONL(w, rep.records) }); err != nil {
		return err
	}
	return write("report.html", rep.page)
}

// page writes report.html.
func (rep *Report) page(w io.Writer) error {
	page, err := template.New("report").Funcs(template.FuncMap{"lines": func(s string) []string { return strings.Split(s, "\n") }}).Parse(reportTemplate)
	if err != nil {
		return err
	}
	var b strings.Builder
	if err := page.Execute(&b, rep); err != nil {
		return err
	}
	_, err = io.WriteString(w, plots.Printable(b.String())) // the template lets control characters pass
	return err
}

// write writes the table and the figures in every format, under folders that begin with prefix.
func (a *Artefact) write(prefix string, write func(name string, render func(io.Writer) error) error) error {
	if t := a.Table; t != nil {
		for _, f := range []struct {
			suffix string
			render func(io.Writer) error
		}{{".md", t.WriteMarkdown}, {".csv", t.WriteCSV}, {".tex", t.WriteLaTeX}} {
			if err := write(prefix+"tables/"+t.ID+f.suffix, f.render); err != nil {
				return err
			}
		}
	}
	for _, f := range a.Figures {
		for _, format := range plots.Formats() {
			if err := write(prefix+"figures/"+f.ID+"."+format, func(w io.Writer) error { return f.Write(w, format) }); err != nil {
				return err
			}
		}
	}
	return nil
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
