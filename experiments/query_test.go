package experiments

import (
	"slices"
	"strings"
	"testing"

	"k8ntext/plots"
)

// TestQueryTrial: contexts are the true ones, or rebuilt where a log has none; asked again, everything but
// the times is the same.
func TestQueryTrial(t *testing.T) {
	const config = `
name = "toy"
corpus = %q
[[experiment]]
name = "query"
protocol = "query"
`
	for name, lines := range map[string][][]byte{"true contexts": toyLines(80, 1), "rebuilt": referenceLines(toyLines(80, 1))} {
		t.Run(name, func(t *testing.T) {
			c := parse(t, strings.Replace(config, "%q", `"`+writeCorpus(t, lines)+`"`, 1))
			s := Store{Dir: t.TempDir()}
			if err := Run(t.Context(), c, RunOptions{Store: s, Devices: on(portable(t))}); err != nil {
				t.Fatal(err)
			}
			m, err := Freeze(t.Context(), c, on(portable(t)))
			if err != nil {
				t.Fatal(err)
			}
			id := m.Trials()[0].ID
			r, err := s.Load(id)
			if err != nil {
				t.Fatal(err)
			}
			for i, a := range r.Asked {
				if len(a.MS) != askedRuns || a.Contexts == 0 || a.Rebuilt != (name == "rebuilt") {
					t.Errorf("Q%d: %+v", i, a)
				}
			}
			if len(r.Asked) != 4 || r.Asked[0].Found != r.Asked[0].Contexts {
				t.Errorf("asked %+v", r.Asked)
			}
			verdicts, err := m.Verify(t.Context(), []string{id}, VerifyOptions{Store: s})
			if err != nil || len(verdicts) != 1 || !verdicts[0].Same {
				t.Errorf("verified: %+v, %v", verdicts, err)
			}
		})
	}
	for key, line := range map[string]string{"methods": `methods = ["identity"]`, "explain": "explain = true", "level": `level = "Metadata"`, "grid": "[experiment.grid]\nfolds = [2]"} {
		_, err := ParseConfig("toy.toml", []byte(strings.Replace(config, "%q", `"x"`, 1)+line))
		if err == nil || !strings.Contains(err.Error(), "key "+key) {
			t.Errorf("%s: error %v", key, err)
		}
	}
}

// TestContextArtefacts draws what a whole report shows of contexts.
func TestContextArtefacts(t *testing.T) {
	serial(t)
	paper, err := plots.LoadPaper()
	if err != nil {
		t.Fatal(err)
	}
	artefacts, err := contextArtefacts(t.Context(), paper)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, a := range artefacts {
		ids = append(ids, a.ID)
		if a.Note == "" || a.Reading == "" {
			t.Errorf("%s: note %q, reading %q", a.ID, a.Note, a.Reading)
		}
	}
	if want := []string{"figure3", "figure10", "action-cost"}; !slices.Equal(ids, want) {
		t.Errorf("artefacts %v, want %v", ids, want)
	}
	if costs := artefacts[2]; strings.Count(costs.Reading, "in the mean of the paper's") != 2 {
		t.Errorf("the paper's actions: %s", costs.Reading)
	}
}
