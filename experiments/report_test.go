package experiments

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"k8ntext/metrics"
	"k8ntext/model"
	"k8ntext/plots"
)

const hostileName = "\x1b[31m<script>alert(1)</script>\"onload=x 'q' & =1+1 $(reboot)"

// synthetic are the results of a plan as a good run leaves them. Corpus and labels have hostile names.
func synthetic(t *testing.T) ([]Trial, []*Result) {
	t.Helper()
	c := parse(t, `
name = "synthetic"
corpus = "x"
[[experiment]]
name = "window-size"
protocol = "paper"
repetitions = 2
[experiment.model]
preset = "paper"
[experiment.grid]
"model.window" = [5, 20, 60]
[[experiment]]
name = "protocol-paper"
protocol = "paper"
methods = ["network", "own-label"]
[experiment.model]
interleave = 1
[[experiment]]
name = "protocol-blocked"
protocol = "blocked"
folds = 3
methods = ["network", "own-label", "tree"]
[[experiment]]
name = "protocol-cross"
protocol = "cross"
test = ["elsewhere"]
methods = ["network", "own-label"]
[experiment.grid]
"model.dropout" = [0.0, 0.5]
[[experiment]]
name = "ablation-linked"
protocol = "cross"
test = ["elsewhere"]
methods = ["network", "own-label"]
[experiment.model]
features = "linked"
[experiment.grid]
"model.copy" = [true, false]
[[experiment]]
name = "feature-removal"
protocol = "paper"
repetitions = 6
[experiment.model]
preset = "paper"
max_epochs = 7
[experiment.grid]
"model.without" = [[], ["verb"], ["objectRef.namespace"], ["responseStatus.code"]]
[[experiment]]
name = "splits"
protocol = "paper"
[experiment.model]
interleave = 1
[experiment.grid]
test_share = [0.1, 0.3]
validation_share = [0.1, 0.5]
[[experiment]]
name = "kfold"
protocol = "blocked"
[experiment.grid]
folds = [2, 6]
[[experiment]]
name = "votes"
protocol = "blocked"
folds = 2
votes = [{ rule = "sum", look_ahead = 0 }, { rule = "sum", look_ahead = 20 }, { rule = "majority" }]
[[experiment]]
name = "queries"
protocol = "query"
repetitions = 2
`)
	c.SetCorpus(hostileName)
	trials, err := c.trials(func(Corpora) (string, error) { return "digest", nil })
	if err != nil {
		t.Fatal(err)
	}
	var results []*Result
	for i, trial := range trials {
		r := &Result{
			Trial: trial, Protocol: trial.experiment.Protocol, Config: trial.model,
			Sizes:      Sizes{TrainEvents: 7000 + i, TestEvents: 1000, SharedEvents: 990, TrainWindows: 6900, Steps: 900, Batch: 32},
			Cost:       Cost{TrainSeconds: 10 + float64(trial.model.Window) + float64(trial.Repetition), InferSeconds: 1 + float64(trial.model.Window)/100, InferEvents: 1000, PeakMemoryMB: 512},
			History:    &model.History{Best: 1, Epochs: []model.Epoch{{Loss: .5, ValidationLoss: .4, ValidationAccuracy: .5}, {Loss: .1, ValidationLoss: float64(i % 2), ValidationAccuracy: .75}, {}}},
			Training:   map[string]string{"tree": fmt.Sprintf("trained on %d events", 6000+i)},
			Provenance: Provenance{Commit: "abc", Go: "go1.26", CPU: "a processor", Cores: 2, Kernels: "generic", Threads: 1, Workers: 2},
		}
		if r.Protocol == ProtocolQuery {
			r.History, r.Training = nil, nil
			for _, q := range []string{"", "username == \"" + hostileName + "\"", "size > 3", "verb == \"get\""} {
				r.Asked = append(r.Asked, Asked{Expression: q, Contexts: 40, Events: 1000, Found: 4, MS: []float64{.5, .25, float64(i)}})
			}
			results = append(results, r)
			continue
		}
		methods := trial.experiment.Methods
		for i, v := range trial.experiment.Votes {
			if i == 0 {
				methods = nil
			}
			methods = append(methods, v.name())
		}
		for m, method := range methods {
			add := func(subset, metric string, value float64, n int) {
				r.Records = append(r.Records, metrics.Record{
					Corpus: hostileName, Protocol: r.Protocol, Fold: trial.Fold, Method: method, Subset: subset, Metric: metric,
					Value: value, Low: value, High: value, N: n, Seed: trial.Seed,
				})
			}
			// Seeds matter a little, and the third feature left out much.
			level := 0.9 - float64(m)/10 + float64(trial.model.Window)/1000 - float64(trial.Fold)/50 + float64(trial.Repetition)/1000 - float64(i%7)/1e5
			if without(trial.Setting) == "objectRef.namespace" {
				level -= .1
			}
			if r.Protocol == ProtocolPaper {
				for _, metric := range []string{metrics.Accuracy, metrics.F1Macro, metrics.F1MacroUnion, metrics.PrecisionMacroUnion} {
					add(metrics.SubsetWindows, metric, level, 40_000)
				}
				continue
			}
			for _, subset := range []string{metrics.SubsetAll, metrics.SubsetOwnWrong, metrics.SubsetUser, metrics.SubsetNonTrigger, metrics.SubsetByRule} {
				add(subset, metrics.Accuracy, level, 1000)
			}
			add(metrics.SubsetOwnWrong+metrics.Seen, metrics.Accuracy, level, 700)
			add(metrics.SubsetNonTrigger+metrics.Seen, metrics.Accuracy, level, 600)
			add(metrics.SubsetNonTrigger+metrics.Unseen, metrics.Accuracy, level, 100)
			add(metrics.SubsetUser, metrics.F1Macro, level, 1000)
			if r.Protocol == ProtocolCross {
				add(metrics.SubsetOwnWrong+metrics.Unseen, metrics.Accuracy, level, 300)
				add(metrics.SubsetBackground, metrics.Accuracy, level, 500)
			}
		}
		r.Confusion = Cells{{True: 1, Predicted: 1, Count: 90}, {True: 1, Predicted: 2, Count: 9}, {True: 2, Predicted: -1, Count: 1}, {True: 70048, Predicted: 70048, Count: 5}}
		if r.Protocol != ProtocolPaper {
			r.Margins = new(Margins)
			for i := range marginBins {
				r.Margins.Events[i], r.Margins.Right[i], r.Margins.Second[i] = 10, i/2, 1
			}
		}
		if trial.Experiment == windowExperiment {
			r.Classes = []Class{
				{Label: 1, Name: "create " + hostileName, Weight: 20_000, Accuracy: 1},
				{Label: 2, Name: "=cmd()", Weight: 30, Accuracy: 0.5},
				{Label: 3, Name: "delete pods", Weight: 1, Accuracy: 0},
			}
		}
		results = append(results, r)
	}
	return trials, results
}

// drawn is the report of some of the synthetic results.
func drawn(t *testing.T, trials []Trial, results []*Result, strangers ...string) *Report {
	t.Helper()
	var missing []Trial
	for _, trial := range trials {
		if !slices.ContainsFunc(results, func(r *Result) bool { return r.Trial.ID == trial.ID }) {
			missing = append(missing, trial)
		}
	}
	rep := &Report{Name: "synthetic", Command: "make reproduce PROFILE=synthetic CORPUS=" + hostileName, Gaps: gaps(trials, results, missing, strangers)}
	results = slices.DeleteFunc(slices.Clone(results), func(r *Result) bool { return r.Error != "" })
	rep.Facts = []string{aboutTrainings(results)}
	rep.Provenance, rep.records = provenance(results), allRecords(results)
	paper, err := plots.LoadPaper()
	if err != nil {
		t.Fatal(err)
	}
	if err := rep.draw(results, trials, paper, syntheticSource(rep.Command)); err != nil {
		t.Fatal(err)
	}
	rep.arrange(true, syntheticSource("").Config.Experiments)
	return rep
}

func syntheticSource(command string) Source {
	return Source{Config: &Config{Name: "synthetic"}, Store: Store{Dir: filepath.Join("results", "synthetic")}, Command: command}
}

// shown are the artefacts that results made.
func shown(rep *Report) []Artefact {
	return slices.DeleteFunc(slices.Clone(rep.Artefacts), func(a Artefact) bool { return a.Missing != "" })
}

// written is the folder that the report is written to.
func written(t *testing.T, rep *Report) string {
	t.Helper()
	dir := t.TempDir()
	if err := rep.Write(dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

func pageOf(t *testing.T, rep *Report) string {
	t.Helper()
	var b strings.Builder
	if err := rep.page(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func readFile(t *testing.T, parts ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(parts...))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestReportPage: the page is well formed, loads nothing and holds hostile names as text alone.
func TestReportPage(t *testing.T) {
	serial(t)
	trials, results := synthetic(t)
	page := pageOf(t, drawn(t, trials, results))

	ids := make(map[string]bool)
	var open []string
	decoder := xml.NewDecoder(strings.NewReader(page)) // every element must be closed, but for HTML's void ones
	decoder.Strict, decoder.AutoClose, decoder.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("not well formed: %v", err)
		}
		switch e := token.(type) {
		case xml.StartElement:
			open = append(open, e.Name.Local)
			if slices.Contains([]string{"script", "iframe", "img", "link", "object", "embed", "base", "form"}, e.Name.Local) {
				t.Errorf("the page has an element <%s>", e.Name.Local)
			}
			for _, a := range e.Attr {
				switch name := strings.ToLower(a.Name.Local); {
				case name == "src", strings.HasPrefix(name, "on"):
					t.Errorf("<%s> has an attribute %s", e.Name.Local, name)
				case name == "href" && !strings.HasPrefix(a.Value, "#"):
					t.Errorf("<%s> refers to %s", e.Name.Local, a.Value)
				case name == "id":
					if ids[a.Value] {
						t.Errorf("id %q stands twice", a.Value)
					}
					ids[a.Value] = true
				}
			}
		case xml.EndElement:
			if len(open) == 0 || open[len(open)-1] != e.Name.Local {
				t.Fatalf("</%s> closes %v", e.Name.Local, open)
			}
			open = open[:len(open)-1]
		}
	}
	for _, m := range regexp.MustCompile(`href="#([^"]+)"`).FindAllStringSubmatch(page, -1) {
		if !ids[m[1]] {
			t.Errorf("the page refers to #%s, which is not in it", m[1])
		}
	}
	for _, bad := range []string{"url(", "@import", "javascript:"} {
		if strings.Contains(page, bad) {
			t.Errorf("the page holds %q", bad)
		}
	}
	for _, m := range regexp.MustCompile(`https?://[^"' <]*`).FindAllString(page, -1) {
		if !strings.HasPrefix(m, "http://www.w3.org/") { // names of XML's kinds of elements
			t.Errorf("the page names the address %s", m)
		}
	}
	if !strings.Contains(page, "&lt;script&gt;alert(1)&lt;/script&gt;") {
		t.Error("the corpus' name is not on the page as text")
	}
}

// TestReportNumbersCarryN: no score without what it is over and what was trained on.
func TestReportNumbersCarryN(t *testing.T) {
	serial(t)
	trials, results := synthetic(t)
	rep := drawn(t, trials, results)
	dir := written(t, rep)
	var ids []string
	for _, a := range shown(rep) {
		ids = append(ids, a.ID)
		if !strings.Contains(a.Note, hostileName) || a.Reading == "" || !strings.HasPrefix(a.Redo, "k8ntext experiment rerun synthetic.toml --only ") {
			t.Errorf("%s: note %q, reading %q, redo %q", a.ID, a.Note, a.Reading, a.Redo)
		}
		if a.Table == nil {
			continue
		}
		columns := a.Table.Columns
		for _, row := range a.Table.Rows {
			if len(row) != len(columns) {
				t.Errorf("%s: %d cells in %d columns", a.ID, len(row), len(columns))
			}
			for i, cell := range row {
				switch {
				case strings.Contains(row[0], "the paper's"):
				case columns[i] == "n", strings.HasPrefix(columns[i], "n "), columns[i] == "steps", columns[i] == "train events":
					if cell == "" || cell == "–" {
						t.Errorf("%s, row %q: no %s", a.ID, row[0], columns[i])
					}
				case columns[0] == "method, training" && i == 0:
					if !strings.Contains(cell, "\ntrained on ") {
						t.Errorf("%s: row %q has no training", a.ID, cell)
					}
				case columns[0] == "method, training" && !strings.Contains(cell, "\nn "):
					t.Errorf("%s, row %q: %s has no n: %q", a.ID, row[0], columns[i], cell)
				}
			}
		}
	}
	want := []string{
		"table5", "table6", "table7", "figure6", "figure7", "figure8", "figure9",
		"effects-window-size", "effects-protocol-cross", "effects-ablation-linked", "effects-feature-removal", "effects-splits", "effects-kfold", "effects-votes", "noise",
		"protocol-paper", "protocol-blocked", "protocol-cross", "ablation-cross", "losses", "validation-accuracy", "confusion", "confusion-blocked", "calibration", "look-ahead",
	}
	if diff := cmp.Diff(want, ids); diff != "" {
		t.Errorf("artefacts (-want +got):\n%s", diff)
	}
	for _, name := range []string{
		"records.jsonl", "figures/figure9.svg", "figures/figure9.png", "figures/figure9.pdf",
		"tables/table5.md", "tables/table6.csv", "tables/protocol-blocked.tex", "tables/figure9-classes.csv",
		"figures/figure6.pdf", "figures/figure6-f1.svg", "tables/figure6-effects.csv", "figures/figure7.png", "figures/figure7-paper.png", "figures/figure8-all.svg",
		"tables/noise.md", "figures/confusion-whole.png", "figures/abstain.svg",
	} {
		if readFile(t, dir, name) == "" {
			t.Errorf("%s is empty", name)
		}
	}
	if len(rep.Gaps) > 0 {
		t.Errorf("a complete report says of gaps: %v", rep.Gaps)
	}
}

// TestReportSaysWhatIsMissing: missing and failed trials and foreign files are on the page, and rows
// of fewer trials say so.
func TestReportSaysWhatIsMissing(t *testing.T) {
	trials, results := synthetic(t)
	results = slices.DeleteFunc(results, func(r *Result) bool {
		return r.Config.Window == 60 && r.Trial.Experiment == windowExperiment && r.Trial.Repetition == 1 ||
			r.Trial.Experiment == "protocol-blocked" && r.Trial.Fold == 2
	})
	results[0].Error = "disk on fire"
	rep := drawn(t, trials, results, "trials/feedfeedfeedfeed.json")
	page := pageOf(t, rep)
	for i, want := range [][]string{
		{"window-size: 1 of 6 trials without a result yet: window 60, seed"},
		{"window-size: 1 of 6 trials failed: window 5, seed", "disk on fire"},
		{"protocol-blocked: 1 of 3 trials without a result yet:", "fold 3 of 3"},
		{"1 result file of no planned trial", "feedfeedfeedfeed.json"},
	} {
		if i >= len(rep.Gaps) {
			t.Fatalf("gaps %q", rep.Gaps)
		}
		for _, part := range want {
			if !strings.Contains(rep.Gaps[i], part) {
				t.Errorf("gap %q does not say %q", rep.Gaps[i], part)
			}
		}
		if !strings.Contains(page, strings.SplitN(rep.Gaps[i], ":", 2)[0]) {
			t.Errorf("%q is not on the page", rep.Gaps[i])
		}
	}
	table := func(id string) *plots.Table {
		return rep.Artefacts[slices.IndexFunc(rep.Artefacts, func(a Artefact) bool { return a.ID == id })].Table
	}
	for i, want := range [][2]string{{"5", "1"}, {"20", "2"}, {"60", "1"}} {
		if got := table("table5").Rows[i]; got[0] != want[0] || got[1] != want[1] {
			t.Errorf("Table 5, row %d is of W %s and n %s, want %v", i, got[0], got[1], want)
		}
	}
	for _, row := range table("protocol-blocked").Rows {
		if !strings.Contains(row[0], "only 2 of 3 trials") {
			t.Errorf("row of a fold less says %q", row[0])
		}
	}
}

// TestReportOfAQuestion: a report of some experiments speaks of the paper's artefacts that they give, of a whole
// paper's of all.
func TestReportOfAQuestion(t *testing.T) {
	c := parse(t, `
name = "some"
corpus = "x"
[[experiment]]
name = "window-size"
protocol = "paper"
[experiment.grid]
"model.window" = [5]
[experiment.model]
preset = "paper"
[[experiment]]
name = "some-folds"
protocol = "blocked"
[experiment.grid]
folds = [2, 3]
[[experiment]]
name = "others"
protocol = "unseen"
`)
	missing := func(whole bool) (ids []string) {
		rep := new(Report)
		rep.arrange(whole, c.Experiments)
		for _, a := range rep.Artefacts {
			ids = append(ids, a.ID)
			if a.ID == "figure8" && !strings.Contains(a.Missing, "some-folds") {
				t.Errorf("figure8 is missing and says %q", a.Missing)
			}
		}
		return ids
	}
	if got, want := missing(false), []string{"table5", "table6", "figure8", "figure9"}; !slices.Equal(got, want) {
		t.Errorf("missing %v, want %v", got, want)
	}
	if got := missing(true); len(got) != len(slots()) {
		t.Errorf("missing %v, want all", got)
	}
}

// TestRedo: the command of an artefact measures what it shows, and a shell takes hostile words for words.
func TestRedo(t *testing.T) {
	s := Source{Config: &Config{Name: "x", source: source{File: "configs/x.toml", Corpus: "a b'$(c)", Set: []string{"seed=7"}}}, Command: "make reproduce PROFILE=x"}
	if got, want := s.redo([]string{"a", "b"}), `k8ntext experiment rerun configs/x.toml --only a,b --corpus 'a b'\''$(c)' --set seed=7 && make reproduce PROFILE=x`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestReportOfParts: any subset of the results makes a report.
func TestReportOfParts(t *testing.T) {
	serial(t)
	trials, results := synthetic(t)
	all := len(shown(drawn(t, trials, results)))
	for i, r := range results {
		rep := drawn(t, trials, []*Result{r})
		if len(rep.Artefacts) < len(slots()) || len(rep.Gaps) == 0 {
			t.Errorf("result %d alone: %d artefacts, %d gaps", i, len(rep.Artefacts), len(rep.Gaps))
		}
		if r.Trial.Experiment == "protocol-paper" {
			continue // the only trial of its table
		}
		without := slices.Delete(slices.Clone(results), i, i+1)
		if rep := drawn(t, trials, without); len(shown(rep)) < all-1 || len(rep.Gaps) != 1 {
			t.Errorf("all but result %d: %d artefacts, %d gaps", i, len(shown(rep)), len(rep.Gaps))
		}
	}
}

// TestReportIsDeterministic: committed results must not change by themselves. The page holds every table and
// figure.
func TestReportIsDeterministic(t *testing.T) {
	serial(t)
	trials, results := synthetic(t)
	if a, b := pageOf(t, drawn(t, trials, results)), pageOf(t, drawn(t, trials, results)); a != b {
		t.Error("two reports of the same results differ")
	}
}

// TestRecordsFile reads the records back.
func TestRecordsFile(t *testing.T) {
	_, results := synthetic(t)
	var file bytes.Buffer
	if err := metrics.WriteJSONL(&file, allRecords(results)); err != nil {
		t.Fatal(err)
	}
	got, err := metrics.ReadJSONL(&file, "records.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(allRecords(results), got); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
	want := 0
	for _, r := range results {
		want += len(r.Records)
	}
	if len(got) != want {
		t.Errorf("%d records, want %d", len(got), want)
	}
	if first := got[0]; first.Method != "network (window 5)" || !strings.Contains(first.Note, "experiment window-size, trial "+results[0].Trial.ID) {
		t.Errorf("the first record is %+v", first)
	}
}

// TestReportFromFolder goes the whole way: run, report, page.
func TestReportFromFolder(t *testing.T) {
	serial(t)
	c := sweep(t, writeCorpus(t, toyLines(blocks(120), 1)))
	c.Experiments[0].Grid = map[string][]any{"model.window": {int64(5), int64(6)}}
	s := Store{Dir: filepath.Join(t.TempDir(), "toy")}
	from := Source{Config: c, Store: s, Command: "make reproduce"}
	if _, err := NewReport(t.Context(), from, ReportOptions{}); err == nil || !strings.Contains(err.Error(), "run the experiments first") {
		t.Errorf("a report of nothing gives %v", err)
	}
	if err := Run(t.Context(), c, RunOptions{Store: s, Devices: on(portable(t))}); err != nil {
		t.Fatal(err)
	}
	rep, err := NewReport(t.Context(), from, ReportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := rep.Write(s.Dir); err != nil {
		t.Fatal(err)
	}
	page := readFile(t, s.Dir, "report.html")
	for _, part := range []string{"events in", "network", "naive-bayes", `id="figure9"`, "make reproduce", `<svg`, "steps of 16 windows"} {
		if !strings.Contains(page, part) {
			t.Errorf("the page does not say %q", part)
		}
	}
	if left, err := filepath.Glob(filepath.Join(s.Dir, "*", ".tmp-*")); err != nil || len(left) > 0 {
		t.Errorf("temporary files left: %v, %v", left, err)
	}
}

// TestTable5NeedsItsGrid: a grid over more than the window cannot stand in Tables 5 and 6.
func TestTable5NeedsItsGrid(t *testing.T) {
	_, results := synthetic(t)
	results[0].Trial.Setting = setting{"model.window": 5, "model.dropout": 0.1}
	if _, err := windowArtefacts(evidence{results: results}); err == nil || !strings.Contains(err.Error(), windowExperiment) {
		t.Errorf("error %v", err)
	}
}

func TestMerge(t *testing.T) {
	for _, test := range []struct {
		texts []string
		want  string
	}{
		{nil, ""},
		{[]string{"10000 events", "10000 events"}, "10,000 events"},
		{[]string{"5 of 7 events", "4 of 9 events"}, "4 to 5 of 7 to 9 events"},
		{[]string{"5 events", "nothing"}, "5 events; nothing"},
		{[]string{"99999999999999999999 events"}, "99999999999999999999 events"},
	} {
		if got := merge(test.texts); got != test.want {
			t.Errorf("merge(%q) = %q, want %q", test.texts, got, test.want)
		}
	}
}

// TestReportOfTwo: what longer trainings show stands in front, the short ones behind it, and what only those
// have stands for itself.
func TestReportOfTwo(t *testing.T) {
	trials, results := synthetic(t)
	short := drawn(t, trials, results)
	paper, err := plots.LoadPaper()
	if err != nil {
		t.Fatal(err)
	}
	longer := of(results, windowExperiment)
	fuller := Source{Config: &Config{Name: "longer"}, Store: Store{Dir: filepath.Join("results", "longer")}, Command: "make longer"}
	if err := short.draw(longer, trials, paper, fuller); err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string][2]string{"table5": {"longer", "synthetic"}, "figure7": {"synthetic", ""}} {
		a := short.Artefacts[slices.IndexFunc(short.Artefacts, func(a Artefact) bool { return a.ID == id })]
		sample := ""
		if a.Sample != nil {
			sample = a.Sample.Source
		}
		if got := [2]string{a.Source, sample}; got != want {
			t.Errorf("%s is of %q, want %q", id, got, want)
		}
	}
	if page := pageOf(t, short); !strings.Contains(page, "from the short trainings of synthetic") {
		t.Error("the page has no sample")
	}
}

func TestVerified(t *testing.T) {
	s := Store{Dir: t.TempDir()}
	path := filepath.Join(s.Dir, verifiedFile)
	for _, test := range []struct{ text, want string }{
		{"", ""},
		{`[{"trial": {"id": "aa"}, "same": true}, {"trial": {"id": "bb"}, "same": false}]`, "2 trials, 1 the same to the bit; not the same, or of arithmetic that this machine has not got: bb."},
		{`[{"trial": {"id": "aa", "seed": 1}, "same": true}]`, "1 trial, 1 the same to the bit."},
	} {
		if got, err := verified(s); test.text == "" && (got != "" || err != nil) {
			t.Errorf("no file: %q, %v", got, err)
		}
		if err := os.WriteFile(path, []byte(test.text), 0o644); err != nil {
			t.Fatal(err)
		}
		if got, err := verified(s); err != nil || !strings.HasSuffix(got, test.want) {
			t.Errorf("%s: %q, %v", test.text, got, err)
		}
	}
	if err := os.WriteFile(path, []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := verified(s); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("a broken file gives %v", err)
	}
}

// TestEffects: an effect far beyond the spread of seeds is called, and nothing without enough pairs.
func TestEffects(t *testing.T) {
	_, results := synthetic(t)
	all := comparisons(of(results, "feature-removal"))
	if len(all) != 1 || all[0].base().name != "all features" {
		t.Fatalf("%d comparisons", len(all))
	}
	found := all[0].differences()
	for _, v := range all[0].variants[1:] {
		d, harmful := found[v], v.name == "without objectRef.namespace"
		if d.N != 6 || harmful != (math.Abs(d.Mean) > .05) || harmful && all[0].verdict(d) != "lower, beyond noise" {
			t.Errorf("%s: %+v, %s", v.name, d, all[0].verdict(d))
		}
	}
	few := comparisons(slices.DeleteFunc(of(results, "feature-removal"), func(r *Result) bool { return r.Trial.Repetition > 1 }))[0]
	for v, d := range few.differences() {
		if got := few.verdict(d); got != "n too small" {
			t.Errorf("%s with 2 pairs: %s", v.name, got)
		}
	}
}

// TestBaselinesCountOnce: beside two settings of a network stands a baseline of the same events twice.
func TestBaselinesCountOnce(t *testing.T) {
	_, results := synthetic(t)
	rows := protocolRows(of(results, "protocol-cross"))
	var names []string
	for _, r := range rows {
		names = append(names, r.method)
	}
	if want := []string{"network (dropout 0)", "own-label", "network (dropout 0.5)"}; !slices.Equal(names, want) {
		t.Fatalf("rows %q, want %q", names, want)
	}
	twice := append(of(results, "protocol-blocked"), of(results, "protocol-blocked")...)
	for i, r := range protocolRows(twice) {
		if once := protocolRows(of(results, "protocol-blocked"))[i]; r.Scores[allAccuracy.Key].N != once.Scores[allAccuracy.Key].N || r.Training != once.Training {
			t.Errorf("%s: n %d and trained on %q of the results twice, %d and %q of them once", r.Method, r.Scores[allAccuracy.Key].N, r.Training, once.Scores[allAccuracy.Key].N, once.Training)
		}
	}
	if own := rows[1].Scores[allAccuracy.Key]; own.N != 1000 {
		t.Errorf("own-label beside two settings has n %d, want 1000", own.N)
	}
	if said := readCrossProtocol(rows, nil, nil); !strings.Contains(said, "network (dropout 0.5) gets 0.940 of all events.") {
		t.Errorf("reading %q", said)
	}
}
