package experiments

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A trial that explains its network leaves the trees' records, a page and a table in the report.
func TestExplain(t *testing.T) {
	serial(t)
	corpus := writeCorpus(t, toyLines(blocks(160), 1))
	c := parse(t, fmt.Sprintf(`
name = "toy"
corpus = %q
seed = 7
[[experiment]]
name = "explain"
protocol = "blocked"
folds = 2
explain = true
[experiment.model]%s
`, corpus, toyModel))
	store := Store{Dir: t.TempDir()}
	if err := Run(t.Context(), c, RunOptions{Store: store, Devices: on(portable(t)), Workers: 1}); err != nil {
		t.Fatal(err)
	}
	rep, err := NewReport(t.Context(), Source{Config: c, Store: store, Command: "make"}, ReportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(rep.Artefacts, func(a Artefact) bool { return a.ID == "explanations" })
	if i < 0 {
		t.Fatal("the report has no table of explanations")
	}
	a := rep.Artefacts[i]
	var methods []string
	for _, row := range a.Table.Rows {
		method, _, _ := strings.Cut(row[0], "\n")
		methods = append(methods, method)
	}
	if want := []string{treeHonest, treeTrustee, treeEqual}; !slices.Equal(methods, want) {
		t.Errorf("rows %q, want %q", methods, want)
	}
	if !strings.Contains(a.Reading, "agree with the network") {
		t.Errorf("the table reads %q", a.Reading)
	}
	pages, err := filepath.Glob(filepath.Join(store.Dir, explainFolder, "*.html"))
	if err != nil || len(pages) != 2 {
		t.Fatalf("pages %q, %v; want one for each fold", pages, err)
	}
	if page, err := os.ReadFile(pages[0]); err != nil || !strings.Contains(string(page), "What the tree does not explain") {
		t.Errorf("%s is no page of an explanation: %v", pages[0], err)
	}
}

func TestExplainChecks(t *testing.T) {
	for _, bad := range []string{`protocol = "paper"`, "protocol = \"blocked\"\nmethods = [\"majority\"]", "protocol = \"blocked\"\n[experiment.grid]\n\"model.window\" = [5, 6]"} {
		_, err := ParseConfig("toy.toml", fmt.Appendf(nil, "name = \"toy\"\ncorpus = \"x\"\n[[experiment]]\nname = \"e\"\nexplain = true\n%s\n", bad))
		if err == nil || !strings.Contains(err.Error(), "key explain") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}
