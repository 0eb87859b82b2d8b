package experiments

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"k8ntext/explain"
	"k8ntext/explain/page"
	"k8ntext/explain/windows"
	"k8ntext/metrics"
	"k8ntext/model"
	"k8ntext/plots"
)

// What an explained network's records say. Methods are the trees; the accuracy is their agreement with the
// network on test events that they were neither grown nor chosen on.
const (
	SubsetExplained = "explained"
	metricLeaves    = "leaves"
	metricReward    = "reward" // mode trustee's own measure of itself

	treeHonest  = "tree, honest"
	treeTrustee = "tree, trustee"
	treeEqual   = "tree, honest at trustee's size"
)

var treeFidelity = column(SubsetExplained, metrics.Accuracy, "agreement")

// explainFolder holds the pages in a results folder.
const explainFolder = "explained"

// explainProbes is about how many events of a trial the network is asked again with something changed.
const explainProbes = 60

// imitate imitates a trained network by trees on the test events and adds their records and the page.
func (e *evaluation) imitate(ctx context.Context, t *model.Tagger, r *Result) error {
	rows, err := windows.New(t, e.corpus, windows.Options{
		Events: e.split.TestEvents(),
		Vote:   model.VoteOptions{Kernels: e.on.Kernels, Device: e.on.OpenCL, FallBack: e.on.FallBack, Threads: e.threads},
	})
	if err != nil {
		return err
	}
	defer rows.Close()
	x, err := explain.Explain(ctx, rows.Problem, explain.Options{
		Honest:  explain.HonestOptions{Seed: e.seed, Workers: e.threads},
		Trustee: explain.TrusteeOptions{Seed: e.seed, Workers: e.threads},
		Probes:  explainProbes,
	})
	if err != nil {
		return err
	}
	add := func(method, metric string, v explain.Interval) {
		r.Training[method] = fmt.Sprintf("trained on the network's answers for %d events", x.Report.Train+x.Report.Select)
		r.Records = append(r.Records, metrics.Record{
			Corpus: e.corpus.Name, Protocol: e.split.Protocol, Fold: e.split.Fold, Method: method, Subset: SubsetExplained, Metric: metric,
			Value: v.Value, Low: v.Low, High: v.High, N: x.Report.Report, Seed: e.seed,
		})
	}
	tree := func(method string, t explain.Summary) {
		add(method, metrics.Accuracy, t.Fidelity.Agreement)
		leaves := float64(t.Leaves)
		add(method, metricLeaves, explain.Interval{Value: leaves, Low: leaves, High: leaves})
	}
	tree(treeHonest, x.Report.Tree)
	if p := x.Report.Trustee; p != nil {
		tree(treeTrustee, p.Pruned)
		add(treeTrustee, metricReward, explain.Interval{Value: p.Reward, Low: p.Reward, High: p.Reward})
		tree(treeEqual, p.Equal)
	}
	figures, err := page.Figures(x)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := page.HTML(&b, x, figures); err != nil {
		return err
	}
	r.page = b.Bytes()
	return nil
}

// savePage writes the page of an explained network, if there is one.
func (s Store) savePage(r *Result) error {
	if r.page == nil {
		return nil
	}
	path := filepath.Join(s.Dir, explainFolder, r.Trial.ID+".html")
	if err := writeDurably(path, r.page); err != nil {
		return fmt.Errorf("save the explanation of trial %s: %w", r.Trial.ID, err)
	}
	return nil
}

// explainArtefacts is the table of how far trees agree with the networks that they imitate.
func explainArtefacts(ev evidence) ([]Artefact, error) {
	var explained []*Result
	for _, r := range ev.results {
		if !r.Trial.experiment.Explain {
			continue
		}
		trees := *r
		trees.Records = slices.DeleteFunc(slices.Clone(r.Records), func(rec metrics.Record) bool { return rec.Subset != SubsetExplained })
		explained = append(explained, &trees)
	}
	if len(explained) == 0 {
		return nil, nil
	}
	rows := protocolRows(explained)
	t := plots.Protocols("explanations", "Trees that imitate the network", []plots.ProtocolColumn{
		treeFidelity, column(SubsetExplained, metricLeaves, "leaves"), column(SubsetExplained, metricReward, "its own reward"),
	}, tableRows(rows), fmt.Sprintf("Corpus %s. Agreement with the network on test events that neither network nor tree has seen, n of them; of several folds the mean with the 95 %% corrected resampled t interval, "+
		"else a bootstrap interval over contexts. Network: %s. Mode trustee is the published method; its reward is measured on rows of which its trees may have seen copies. The pages lie under %s.",
		strings.Join(corpusNames(explained), ", "), training(explained), explainFolder))
	return []Artefact{tableArtefact(t, readExplained(rows), explained)}, nil
}

// readExplained says which mode agrees more at equal size, by row of the table.
func readExplained(rows []protocolRow) string {
	var said []string
	for _, r := range rows {
		for _, other := range rows {
			if !strings.HasPrefix(r.Method, treeEqual) || !strings.HasPrefix(other.Method, treeTrustee) || r.corpus != other.corpus {
				continue
			}
			a, b := r.Scores[treeFidelity.Key], other.Scores[treeFidelity.Key]
			said = append(said, fmt.Sprintf("On %s trees of equal size agree with the network on %.3f (honest) and %.3f (trustee) of the events.", r.corpus, a.Value, b.Value))
		}
	}
	return sentences(said...)
}
