package experiments

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8ntext/plots"
	"k8ntext/query"
)

// Asked is what came of one query over a log's contexts.
type Asked struct {
	Expression string    `json:"expression"` // "": everything
	Contexts   int       `json:"contexts"`   // that were asked
	Events     int       `json:"events"`     // that they have
	Rebuilt    bool      `json:"rebuilt,omitzero"`
	Found      int       `json:"found"`
	MS         []float64 `json:"ms"` // wall milliseconds of each run over all contexts, a cost
}

// A query is run askedRuns times, the paper's number, after some that nobody counts.
const (
	askedRuns   = 20
	askedBefore = 3
)

// checkQuery refuses what has no meaning where nothing is trained.
func (e *Experiment) checkQuery() error {
	for _, k := range []struct {
		key   string
		given bool
	}{
		{"methods", len(e.Methods) > 0},
		{"model", len(e.Model) > 0},
		{"grid", len(e.Grid) > 0},
		{"settings", len(e.Settings) > 0},
		{"votes", len(e.Votes) > 0},
		{"abstain", len(e.Abstain) > 0},
		{"explain", e.Explain},
		{"level", e.Level != ""},
		{"test_level", e.TestLevel != ""},
	} {
		if k.given {
			return badKey(k.key, "under protocol %q nothing is trained or labelled: leave it out", ProtocolQuery)
		}
	}
	return nil
}

// ask measures the paper's four queries over the contexts of the corpus: the true ones, or where it has
// none those that are rebuilt from its labels.
func (t *Trial) ask(ctx context.Context, corpora *corpora, r *Result) error {
	corpus, err := t.corpus(ctx, corpora)
	if err != nil {
		return err
	}
	without := len(corpus.Contexts) == 0
	var asked []query.Context
	if without {
		asked = query.Rebuilt(rebuilt(corpus), corpus.Events, corpus.Space)
	} else if asked, err = query.Contexts(corpus); err != nil {
		return err
	}
	r.Sizes.TestEvents = len(corpus.Events)
	for _, text := range query.Table7(asked) {
		q, err := query.Compile(text, query.Options{})
		if err != nil {
			return err
		}
		a := Asked{Expression: text, Contexts: len(asked), Events: len(corpus.Events), Rebuilt: without}
		for run := range askedBefore + askedRuns {
			if err := ctx.Err(); err != nil {
				return err
			}
			start := time.Now()
			found := 0
			for i := range asked {
				ok, err := q.Match(&asked[i])
				if err != nil {
					return fmt.Errorf("ask %s: %w", text, err)
				}
				if ok {
					found++
				}
			}
			if a.Found = found; run >= askedBefore {
				a.MS = append(a.MS, time.Since(start).Seconds()*1000)
			}
		}
		r.Asked = append(r.Asked, a)
	}
	return nil
}

// queryArtefacts are Table 7, of the first corpus that was asked.
func queryArtefacts(ev evidence) ([]Artefact, error) {
	results := slices.DeleteFunc(slices.Clone(ev.results), func(r *Result) bool { return len(r.Asked) == 0 })
	if len(results) == 0 {
		return nil, nil
	}
	results = of(results, results[0].Trial.Experiment)
	first := results[0].Asked
	rows := make([]plots.QueryRow, len(first))
	for _, r := range results {
		for i, a := range r.Asked[:min(len(first), len(r.Asked))] {
			rows[i].MS = append(rows[i].MS, a.MS...)
		}
	}
	for i, a := range first {
		rows[i].Name, rows[i].Expression, rows[i].Found = fmt.Sprintf("Q%d", i), a.Expression, a.Found
	}
	kind := "true contexts"
	if first[0].Rebuilt {
		kind = "contexts, rebuilt from its labels,"
	}
	p := results[0].Provenance
	t := plots.QueryTimes(rows, fmt.Sprintf("Corpus %s: %s %s of %s events, in memory, one thread. n: runs over all of them, after %d that are not counted; mean ± standard deviation, and median, "+
		"of the wall time, on %s with up to %s beside it. The paper's log has %s lines; its times are mean ± standard deviation.",
		strings.Join(corpusNames(results), ", "), number(first[0].Contexts), kind, number(first[0].Events), askedBefore,
		p.CPU, count(p.Workers-1, "trial"), number(ev.paper.Corpus.Lines)))
	return []Artefact{tableArtefact(t, readQueries(first, ev.paper), results)}, nil
}

func readQueries(asked []Asked, paper plots.Paper) string {
	return fmt.Sprintf("The paper's queries, with a person and the middle third of the time of our log. It has %.1f times the events of the paper's; another program on another machine, so the times compare in their order of size at most.",
		float64(asked[0].Events)/float64(max(1, paper.Corpus.Lines)))
}
