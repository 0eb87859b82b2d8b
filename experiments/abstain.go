package experiments

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"k8ntext/metrics"
	"k8ntext/plots"
)

// abstainArtefacts are, for each experiment that scores abstention, a table of some thresholds and the
// curve of all of them.
func abstainArtefacts(ev evidence) ([]Artefact, error) {
	var names []string
	byName := make(map[string][]*Result)
	for _, r := range ev.results {
		if r.Trial.experiment == nil || len(r.Trial.experiment.Abstain) == 0 {
			continue
		}
		name := r.Trial.Experiment
		if byName[name] == nil {
			names = append(names, name)
		}
		byName[name] = append(byName[name], r)
	}
	var artefacts []Artefact
	for _, name := range names {
		a, err := abstainArtefact(name, byName[name])
		if err != nil {
			return nil, err
		}
		if a != nil {
			artefacts = append(artefacts, *a)
		}
	}
	return artefacts, nil
}

// tableThresholds are those of a table; the curve has all.
var tableThresholds = []float64{0, .5, .8, .9, .95, .99}

// abstainArtefact is nil if no network was scored.
func abstainArtefact(name string, results []*Result) (*Artefact, error) {
	thresholds := results[0].Trial.experiment.Abstain
	shown := slices.DeleteFunc(slices.Clone(thresholds), func(t float64) bool { return !slices.Contains(tableThresholds, t) })
	if len(shown) == 0 {
		shown = thresholds
	}
	at := func(metric string, t float64) string { return metric + strconv.FormatFloat(t, 'g', -1, 64) }
	key := func(part, metric string) string { return metrics.SubsetUser + part + " " + metric }

	var curves []plots.AbstentionCurve
	var rows [][]string
	var reading []string
	for _, row := range protocolRows(results) {
		value := func(key string) float64 {
			if s := row.Scores[key]; s != nil {
				return s.Value
			}
			return math.NaN()
		}
		cell := func(key string, of func(float64) float64) string {
			s := row.Scores[key]
			if s == nil {
				return "–"
			}
			low, high := of(s.Low), of(s.High)
			text := fmt.Sprintf("%.3f", of(s.Value))
			if low != high {
				text += fmt.Sprintf("\n%.3f to %.3f", min(low, high), max(low, high))
			}
			return text
		}
		same := func(v float64) float64 { return v }
		rest := func(v float64) float64 { return 1 - v }
		if row.Scores[key("", at(metrics.Coverage, thresholds[0]))] == nil { // a baseline: it answers all
			rows = append(rows, []string{row.Method, "–", "1.000", cell(key(metrics.Seen, metrics.Accuracy), same), "0.000", cell(key(metrics.Unseen, metrics.Accuracy), same)})
			continue
		}
		curve := plots.AbstentionCurve{Name: row.Method}
		for _, t := range thresholds {
			curve.Answered = append(curve.Answered, value(key(metrics.Seen, at(metrics.Coverage, t))))
			curve.Right = append(curve.Right, value(key(metrics.Seen, at(metrics.AccuracyAbove, t))))
			curve.Unseen = append(curve.Unseen, 1-value(key(metrics.Unseen, at(metrics.Coverage, t))))
		}
		curves = append(curves, curve)
		for _, t := range shown {
			rows = append(rows, []string{
				row.Method,
				strconv.FormatFloat(t, 'g', -1, 64),
				cell(key(metrics.Seen, at(metrics.Coverage, t)), same),
				cell(key(metrics.Seen, at(metrics.AccuracyAbove, t)), same),
				cell(key(metrics.Unseen, at(metrics.Coverage, t)), rest),
				cell(key(metrics.Unseen, at(metrics.AccuracyAbove, t)), same),
			})
		}
		n := func(part string) string {
			if s := row.Scores[key(part, at(metrics.Coverage, thresholds[0]))]; s != nil {
				return number(s.N)
			}
			return "0"
		}
		area := func(metric string) string {
			return strings.ReplaceAll(cell(key("", metric), same), "\n", ", ")
		}
		reading = append(reading, fmt.Sprintf("%s: n %s events of seen work and %s of unseen work; area under the curve of seen against unseen %s, of right against wrong answers %s.",
			row.Method, n(metrics.Seen), n(metrics.Unseen), area(metrics.AUROCUnseen), area(metrics.AUROCWrong)))
	}
	if len(curves) == 0 {
		return nil, nil
	}
	x := results[0].Trial.experiment
	interval := "95 % bootstrap interval over contexts"
	if x.folded() {
		interval = "mean over folds with the 95 % corrected resampled t interval over folds"
	}
	unseen := "its label does not occur in the training part"
	if x.Protocol == ProtocolUnseen {
		unseen = fmt.Sprintf("its %s is left out of the training part, or its label does not occur there", cmp.Or(x.LeaveOut, "action"))
	}
	id := "abstain-" + strings.TrimPrefix(name, "abstain-")
	t := &plots.Table{
		ID: id, Title: "Leaving unanswered what is not sure, " + name,
		Columns: []string{"method", "confidence needed", "seen work answered", "right of that", "unseen work not answered", "right of the unseen work answered"},
		Rows:    rows,
		Note: fmt.Sprintf("Protocol %s, trained on %s. User-caused events with an object; work is unseen if %s. Confidence: the probability of the label, the geometric mean over the windows that hold the event; of a vote that counts windows, their share. %s.",
			x.Protocol, strings.Join(corpusNames(results), "; "), unseen, interval),
	}
	a := tableArtefact(t, strings.Join(reading, " "), results)
	if len(curves) <= 4 {
		figure, err := plots.Abstention(id, t.Title, t.Note, curves)
		if err != nil {
			return nil, err
		}
		a.Figures = []*plots.Figure{figure}
	}
	return &a, nil
}
