package experiments

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"k8ntext/dataset/label"
	"k8ntext/metrics"
	"k8ntext/model"
	"k8ntext/plots"
)

// varying are the results of experiments whose settings have these keys and no others, by experiment, in
// the order of their names' appearance.
func varying(results []*Result, keys ...string) (names []string, byName map[string][]*Result) {
	byName = make(map[string][]*Result)
	for _, r := range results {
		if got := slices.Sorted(maps.Keys(r.Trial.Setting)); !slices.Equal(got, keys) {
			continue
		}
		name := r.Trial.Experiment
		if byName[name] == nil {
			names = append(names, name)
		}
		byName[name] = append(byName[name], r)
	}
	return names, byName
}

// figureID is the id of a figure of the paper, or of a further one of its kind.
func figureID(id, experiment string, further bool) string {
	if further {
		return id + "-" + experiment
	}
	return id
}

// paperFirst puts the experiments under the paper's protocol first: they are what a figure of the paper shows.
func paperFirst(names []string, byName map[string][]*Result) []string {
	slices.SortStableFunc(names, func(a, b string) int {
		other := func(name string) int {
			if byName[name][0].Protocol == ProtocolPaper {
				return 0
			}
			return 1
		}
		return cmp.Compare(other(a), other(b))
	})
	return names
}

// removalArtefacts are Figure 6, as the paper has it and as it should be, of experiments that leave out
// features one by one.
func removalArtefacts(ev evidence) ([]Artefact, error) {
	names, byName := varying(ev.results, "model.without")
	var artefacts []Artefact
	for i, name := range paperFirst(names, byName) {
		a, err := removal(figureID("figure6", name, i > 0), name, byName[name], ev)
		if err != nil {
			return nil, err
		}
		if a != nil {
			artefacts = append(artefacts, *a)
		}
	}
	return artefacts, nil
}

// without is the left-out features of a setting, in words.
func without(s setting) string {
	list, _ := s["model.without"].([]any)
	var names []string
	for _, x := range list {
		names = append(names, fmt.Sprint(x))
	}
	return strings.Join(names, " and ")
}

func removal(id, name string, results []*Result, ev evidence) (*Artefact, error) {
	type measured struct {
		title, axis string
		subset      string
		metric      string
	}
	show := []measured{
		{"the paper's way: mean precision, though its axis and title say F1", "macro precision", metrics.SubsetWindows, metrics.PrecisionMacroUnion},
		{"macro F1", "macro F1", metrics.SubsetWindows, metrics.F1MacroUnion},
	}
	if results[0].Protocol != ProtocolPaper {
		show = []measured{{"accuracy where the own label is wrong", "accuracy, own label wrong", metrics.SubsetOwnWrong, metrics.Accuracy}}
	}
	a := Artefact{ID: id, Title: "Figure 6: what leaving out a feature changes", experiments: []string{name}, Section: sectionFigures}
	if id != "figure6" {
		a.Title += " (" + name + ")"
		a.Section = sectionFurther
	}
	for i, m := range show {
		var all []float64
		byFeature := make(map[string]*plots.Removal)
		var order []*plots.Removal
		for _, r := range results {
			v, ok := value(r, MethodNetwork, m.subset, m.metric)
			if !ok {
				continue
			}
			f := without(r.Trial.Setting)
			if f == "" {
				all = append(all, v)
				continue
			}
			if byFeature[f] == nil {
				byFeature[f] = &plots.Removal{Feature: f}
				order = append(order, byFeature[f])
			}
			byFeature[f].Values = append(byFeature[f].Values, v)
		}
		if len(all) == 0 || len(order) == 0 {
			return nil, nil
		}
		var removals []plots.Removal
		for _, r := range order {
			removals = append(removals, *r)
		}
		figureID := id
		if i > 0 {
			figureID += "-f1"
		}
		f, err := plots.FeatureRemoval(figureID, a.Title+": "+m.title, m.axis, "", all, removals, ev.paper)
		if err != nil {
			return nil, err
		}
		a.Figures = append(a.Figures, f)
	}
	var compared *comparison
	for _, c := range comparisons(results) {
		compared = c
	}
	if compared == nil {
		return nil, nil
	}
	t := removalTable(id, compared)
	a.Table = t
	a.Note = fmt.Sprintf("Corpus %s, protocol %s, %s; n: trainings of a bar, pairs of a row. \"Removal\" is training anew without the feature. "+
		"Average: everything but the five highest, the lowest five included, as the paper has it. The table pairs trainings of the same seed, which draws the same split; p after Holm over all features. Paper: %s.",
		strings.Join(corpusNames(results), ", "), results[0].Protocol, training(results), ev.paper.Removal.Trainings)
	a.Reading = readRemoval(compared, ev, results)
	return &a, nil
}

// removalTable has every removed feature by its effect, largest loss first.
func removalTable(id string, c *comparison) *plots.Table {
	found := c.differences()
	var rows []plots.Comparison
	for _, v := range c.variants {
		if d := found[v]; d != nil && d.N > 0 {
			rows = append(rows, plots.Comparison{
				Setting: v.name, Against: "all features", Metric: c.measure.name, N: d.N, Mean: d.Mean, Low: d.Low, High: d.High, P: d.Adjusted, Detectable: d.Detectable, Verdict: c.verdict(d),
			})
		}
	}
	slices.SortStableFunc(rows, func(a, b plots.Comparison) int { return cmp.Compare(a.Mean, b.Mean) })
	return plots.Comparisons(id+"-effects", "Every feature left out", "", rows)
}

func readRemoval(c *comparison, ev evidence, results []*Result) string {
	var lower, higher []string
	n, small := 0, 0
	found := c.differences()
	for _, v := range c.variants {
		d := found[v]
		if d == nil || d.N == 0 {
			continue
		}
		n++
		switch {
		case !d.Enough(c.folds()):
			small++
		case d.Beyond(c.folds()) && d.Mean < 0:
			lower = append(lower, v.name)
		case d.Beyond(c.folds()):
			higher = append(higher, v.name)
		}
	}
	var text []string
	list := func(names []string) string {
		if len(names) == 0 {
			return "none"
		}
		return strings.Join(names, ", ")
	}
	switch {
	case small == n:
		text = append(text, fmt.Sprintf("With fewer than %d pairs no feature's effect is called.", metrics.MinTrainings))
	default:
		text = append(text, fmt.Sprintf("On our corpora, beyond noise: worse %s; better %s.", list(lower), list(higher)))
	}
	if s := c.spread(); !math.IsNaN(s.Std) {
		text = append(text, fmt.Sprintf("Trainings of one setting alone differ by a standard deviation of %.4f.", s.Std))
	}
	p := ev.paper.Removal
	text = append(text, fmt.Sprintf("The paper finds it worst to leave out %s, and slightly better without %s; its single trainings of one setting range from %.3f to %.3f, so that the second lies within its noise.",
		strings.Join(p.Worst, ", "), strings.Join(p.BetterWithout, ", "), p.RunToRun[0], p.RunToRun[1]))
	return sentences(text...) + readReduced(results)
}

// splitArtefacts is Figure 7.
func splitArtefacts(ev evidence) ([]Artefact, error) {
	names, byName := varying(ev.results, "test_share", "validation_share")
	var artefacts []Artefact
	for i, name := range names {
		results := byName[name]
		if results[0].Protocol != ProtocolPaper {
			continue
		}
		type at struct{ test, validation float64 }
		values := make(map[at][]float64)
		for _, r := range results {
			if v, ok := value(r, MethodNetwork, metrics.SubsetWindows, metrics.F1MacroUnion); ok {
				k := at{r.Trial.experiment.TestShare, r.Trial.experiment.ValidationShare}
				values[k] = append(values[k], v)
			}
		}
		var cells []plots.SplitCell
		for _, k := range slices.SortedFunc(maps.Keys(values), func(a, b at) int {
			return cmp.Or(cmp.Compare(a.test, b.test), cmp.Compare(a.validation, b.validation))
		}) {
			mean, _ := metrics.MeanStd(values[k])
			cells = append(cells, plots.SplitCell{Test: k.test, Validation: k.validation, F1: mean, N: len(values[k])})
		}
		if len(cells) == 0 {
			continue
		}
		id := figureID("figure7", name, i > 0)
		title := "Figure 7: F1 by the shares of test and validation part"
		ours, err := plots.SplitGrid(id, title+", ours", "", cells)
		if err != nil {
			return nil, err
		}
		a := Artefact{
			ID: id, Title: title, Section: sectionFigures, Figures: []*plots.Figure{ours}, experiments: []string{name},
			Note: fmt.Sprintf("Corpus %s, protocol paper (leaks, for comparison only): %s. Mean macro F1 over n trainings. "+
				"The paper's caption calls its figure a truncated confusion matrix, which it is not; ours stands under \"Confusion matrix\".", strings.Join(corpusNames(results), ", "), training(results)),
			Reading: readSplits(cells, ev.paper) + readReduced(results),
		}
		if id == "figure7" {
			paper, err := plots.SplitGrid("figure7-paper", title+", the paper's", "", plots.PaperSplitCells(ev.paper))
			if err != nil {
				return nil, err
			}
			a.Figures = append(a.Figures, paper)
		} else {
			a.Section = sectionFurther
		}
		artefacts = append(artefacts, a)
	}
	return artefacts, nil
}

func readSplits(cells []plots.SplitCell, p plots.Paper) string {
	extremes := func(cells []plots.SplitCell) (low, high plots.SplitCell) {
		by := func(a, b plots.SplitCell) int { return cmp.Compare(a.F1, b.F1) }
		return slices.MinFunc(cells, by), slices.MaxFunc(cells, by)
	}
	low, high := extremes(cells)
	theirLow, theirHigh := extremes(plots.PaperSplitCells(p))
	say := func(c plots.SplitCell) string {
		return fmt.Sprintf("%.4f (test %g, validation %g)", c.F1, c.Test, c.Validation)
	}
	return fmt.Sprintf("Ours goes from %s to %s, the paper's from %s to %s. Under this protocol a larger test or validation part mostly means fewer windows to learn from; it does not make the test more honest.",
		say(low), say(high), say(theirLow), say(theirHigh))
}

// foldArtefacts is Figure 8: contiguous folds by their number.
func foldArtefacts(ev evidence) ([]Artefact, error) {
	names, byName := varying(ev.results, "folds")
	var artefacts []Artefact
	for i, name := range names {
		results := slices.DeleteFunc(slices.Clone(byName[name]), func(r *Result) bool { return r.Protocol != ProtocolBlocked })
		rows := foldRows(results, metrics.SubsetAll)
		if len(rows) == 0 {
			continue
		}
		id := figureID("figure8", name, i > 0)
		a := Artefact{
			ID: id, Title: "Figure 8: accuracy of contiguous folds", Section: sectionFigures, experiments: []string{name},
			Note: fmt.Sprintf("Corpus %s, protocol blocked: K contiguous folds with gaps, contexts on both sides of a cut purged from training, which the paper does neither; %s. Accuracy of all events of a fold by the vote of its windows, "+
				"mean over seeds. Dashed: not measured.", strings.Join(corpusNames(results), ", "), training(results)),
			Table: foldTable(id, rows, ev.paper), Reading: readFolds(rows, ev.paper) + readReduced(results),
		}
		shown := slices.DeleteFunc(slices.Clone(rows), func(r plots.FoldRow) bool { return !slices.Contains(ev.paper.Folds.Shown, len(r.Accuracy)) })
		if len(shown) > 0 {
			f, err := plots.Folds(id, "Figure 8: accuracy of contiguous folds, as many as the paper shows, on its relative scale", "", shown, plots.FoldsRelative)
			if err != nil {
				return nil, err
			}
			a.Figures = append(a.Figures, f)
		}
		f, err := plots.Folds(id+"-all", "Figure 8: every number of folds, on an absolute scale", "", rows, plots.FoldsAbsolute)
		if err != nil {
			return nil, err
		}
		a.Figures = append(a.Figures, f)
		if i > 0 {
			a.Section = sectionFurther
		}
		artefacts = append(artefacts, a)
	}
	return artefacts, nil
}

// foldRows is the accuracy of the network on the folds of each K, ascending.
func foldRows(results []*Result, subset string) []plots.FoldRow {
	type fold struct{ k, i int }
	values := make(map[fold][]float64)
	ks := make(map[int]bool)
	for _, r := range results {
		if v, ok := value(r, MethodNetwork, subset, metrics.Accuracy); ok {
			k := r.Trial.experiment.Folds
			ks[k] = true
			values[fold{k, r.Trial.Fold}] = append(values[fold{k, r.Trial.Fold}], v)
		}
	}
	var rows []plots.FoldRow
	for _, k := range slices.Sorted(maps.Keys(ks)) {
		row := plots.FoldRow{Accuracy: make([]float64, k)}
		for i := range k {
			row.Accuracy[i] = math.NaN()
			if v := values[fold{k, i}]; len(v) > 0 {
				row.Accuracy[i], _ = metrics.MeanStd(v)
			}
		}
		rows = append(rows, row)
	}
	return rows
}

// foldSummary is what a row of folds comes to; n is the folds measured.
func foldSummary(r plots.FoldRow) (mean, low, high, last float64, n int) {
	values := slices.DeleteFunc(slices.Clone(r.Accuracy), math.IsNaN)
	mean, _ = metrics.MeanStd(values)
	return mean, slices.Min(values), slices.Max(values), r.Accuracy[len(r.Accuracy)-1], len(values)
}

func foldTable(id string, rows []plots.FoldRow, p plots.Paper) *plots.Table {
	t := &plots.Table{ID: id + "-folds", Title: "Accuracy by the number of folds", Columns: []string{"K", "n folds", "mean", "95 % interval", "lowest", "highest", "last", "paper (one run)"}}
	number := func(x float64) string {
		if math.IsNaN(x) {
			return "–"
		}
		return fmt.Sprintf("%.3f", x)
	}
	for _, r := range rows {
		k := len(r.Accuracy)
		mean, low, high, last, n := foldSummary(r)
		interval := "–"
		if n > 1 {
			_, from, to := metrics.CorrectedT(slices.DeleteFunc(slices.Clone(r.Accuracy), math.IsNaN), 1/float64(k-1))
			interval = fmt.Sprintf("%.3f to %.3f", max(from, 0), min(to, 1))
		}
		paper := "–"
		for _, l := range p.Folds.Logged {
			if l.Folds == k {
				paper = fmt.Sprintf("mean %.3f\n%.3f to %.3f", l.Mean, l.Lowest, l.Highest)
			}
		}
		if p.Folds.Best.Folds == k {
			paper = fmt.Sprintf("%.2f in fold %d\nlast %.2f to %.2f", p.Folds.Best.Accuracy, p.Folds.Best.Fold, p.Folds.Last[0], p.Folds.Last[1])
		}
		t.Rows = append(t.Rows, []string{fmt.Sprint(k), fmt.Sprint(n), number(mean), interval, number(low), number(high), number(last), paper})
	}
	return t
}

func readFolds(rows []plots.FoldRow, p plots.Paper) string {
	complete := slices.DeleteFunc(slices.Clone(rows), func(r plots.FoldRow) bool { _, _, _, _, n := foldSummary(r); return n < len(r.Accuracy) })
	var text []string
	if len(complete) > 0 {
		first, last := complete[0], complete[len(complete)-1]
		m1, _, _, _, _ := foldSummary(first)
		m2, low, high, _, _ := foldSummary(last)
		text = append(text, fmt.Sprintf("Ours: mean accuracy %.3f with K = %d and %.3f with K = %d, whose folds go from %.3f to %.3f.", m1, len(first.Accuracy), m2, len(last.Accuracy), low, high))
		lowest := 0
		for _, r := range complete {
			if _, low, _, end, _ := foldSummary(r); low == end {
				lowest++
			}
		}
		text = append(text, fmt.Sprintf("The last fold is the lowest for %d of %d numbers of folds.", lowest, len(complete)))
	}
	text = append(text, fmt.Sprintf("In the paper the last fold is always the lowest (%.2f to %.2f), since its storage and custom-resource scenarios stand at the end of its log and nowhere else; its best is fold %d of %d (%.2f).",
		p.Folds.Last[0], p.Folds.Last[1], p.Folds.Best.Fold, p.Folds.Best.Folds, p.Folds.Best.Accuracy))
	return sentences(text...)
}

// accuracyArtefacts are the accuracies on the validation windows over the epochs, of one setting for each
// protocol. They stand beside each other, for a validation part that shares events with the training windows
// says less than it seems to.
func accuracyArtefacts(ev evidence) ([]Artefact, error) {
	measured := func(r *Result) bool {
		return r.History != nil && len(r.History.Epochs) > 1 && slices.ContainsFunc(r.History.Epochs, func(e model.Epoch) bool { return e.ValidationAccuracy > 0 })
	}
	var curves []plots.Curve
	var settings, names []string
	var all []*Result
	for _, protocol := range []string{ProtocolPaper, ProtocolBlocked, ProtocolCross} {
		results := mostDetailed(ev.results, protocol, measured)
		if len(results) == 0 {
			continue
		}
		curve := plots.Curve{Name: "protocol " + protocol}
		for _, r := range results {
			var values []float64
			for _, e := range r.History.Epochs {
				values = append(values, e.ValidationAccuracy)
			}
			curve.Values = append(curve.Values, values)
		}
		curves, all = append(curves, curve), append(all, results...)
		experiment := results[0].Trial.Experiment
		names = append(names, experiment)
		settings = append(settings, fmt.Sprintf("%s: experiment %s, %s, corpus %s, %s of %s", protocol, experiment, settingName(results[0], MethodNetwork),
			strings.Join(corpusNames(results), ", "), count(len(results), "training"), training(results)))
	}
	if len(curves) == 0 {
		return nil, nil
	}
	f, err := plots.Curves("validation-accuracy", "Validation accuracy over the epochs", "share of positions right", "", false, curves)
	if err != nil {
		return nil, err
	}
	return []Artefact{{
		ID: "validation-accuracy", Title: f.Title, Section: sectionFurther, Figures: []*plots.Figure{f}, experiments: names,
		Note: fmt.Sprintf("%s. Share of the labelled positions of the validation windows whose five label components are all right, of one window, before windows vote and before a tie is followed. "+
			"Mean by epoch; band: a standard deviation to both sides; dashed: the last epoch of a training.", strings.Join(settings, "; ")),
		Reading: strings.TrimSpace("A validation part is cut as the test part is: under the protocol paper it shares events with the training windows, under blocked it lies apart from them and is one short stretch of the log." + readReduced(all)),
	}}, nil
}

// curveArtefacts are the losses over the epochs of one setting.
func curveArtefacts(ev evidence) ([]Artefact, error) {
	var results []*Result
	for _, protocol := range []string{ProtocolPaper, ProtocolBlocked, ProtocolCross} {
		if len(results) == 0 {
			results = mostDetailed(ev.results, protocol, func(r *Result) bool { return r.History != nil && len(r.History.Epochs) > 1 })
		}
	}
	if len(results) == 0 {
		return nil, nil
	}
	var losses, validation [][]float64
	validated := false
	for _, r := range results {
		var a, b []float64
		for _, e := range r.History.Epochs {
			a, b = append(a, positive(e.Loss)), append(b, positive(e.ValidationLoss))
			validated = validated || e.ValidationLoss > 0
		}
		losses, validation = append(losses, a), append(validation, b)
	}
	curves := []plots.Curve{{Name: "training", Values: losses}}
	if validated {
		curves = append(curves, plots.Curve{Name: "validation", Values: validation})
	}
	f, err := plots.Curves("losses", "Loss over the epochs", "loss", "", true, curves)
	if err != nil {
		return nil, err
	}
	note := fmt.Sprintf("Experiment %s, %s: corpus %s, protocol %s, %s of %s. Mean loss by epoch; band: a standard deviation to both sides; dashed: the last epoch of a training. "+
		"The loss of training is taken while the weights change and with dropout, that of validation without.",
		results[0].Trial.Experiment, settingName(results[0], MethodNetwork), strings.Join(corpusNames(results), ", "), results[0].Protocol, count(len(results), "training"), training(results))
	return []Artefact{{
		ID: "losses", Title: f.Title, Section: sectionFurther, Note: note, Figures: []*plots.Figure{f}, experiments: []string{results[0].Trial.Experiment},
		Reading: strings.TrimSpace(readLosses(results) + readReduced(results)),
	}}, nil
}

// positive is a loss that has a logarithm; NaN for one that was not measured, or is no more than 0.
func positive(loss float64) float64 {
	if loss > 0 {
		return loss
	}
	return math.NaN()
}

func readLosses(results []*Result) string {
	better, all := 0, 0
	for _, r := range results {
		if h := r.History; h.Best > 0 {
			all++
			if h.Best < len(h.Epochs) {
				better++
			}
		}
	}
	return fmt.Sprintf("The weights of the best epoch are kept; in %d of %s that was not the last.", better, count(all, "training"))
}

// confusionArtefacts are the confusion matrices, the heaviest fifth of the labels as the reference shows
// them and all, and the most frequent mistakes: under the paper protocol and under the blocked one.
func confusionArtefacts(ev evidence) ([]Artefact, error) {
	var artefacts []Artefact
	for _, p := range []struct{ protocol, id, title, unit string }{
		{ProtocolPaper, "confusion", "Confusion matrix, paper protocol", "window positions"},
		{ProtocolBlocked, "confusion-blocked", "Confusion matrix, blocked protocol", "events"},
	} {
		results := mostDetailed(ev.results, p.protocol, func(r *Result) bool { return len(r.Confusion) > 0 })
		if len(results) == 0 {
			continue
		}
		counts := make(map[[2]int32]float64)
		total, wrong := 0.0, 0.0
		for _, r := range results {
			for _, c := range r.Confusion {
				counts[[2]int32{int32(c.True), int32(c.Predicted)}] += float64(c.Count)
				total += float64(c.Count)
				if c.True != c.Predicted {
					wrong += float64(c.Count)
				}
			}
		}
		var cells []plots.ConfusionCell
		for _, k := range slices.SortedFunc(maps.Keys(counts), func(a, b [2]int32) int { return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1])) }) {
			cells = append(cells, plots.ConfusionCell{True: k[0], Predicted: k[1], Count: counts[k]})
		}
		name := labelNames(results)
		const heaviest = .2
		cut, shown, of, err := plots.Confusion(p.id, p.title+", the heaviest labels", "", cells, name, heaviest)
		if err != nil {
			return nil, err
		}
		whole, _, _, err := plots.Confusion(p.id+"-whole", p.title+", all labels", "", cells, name, 0)
		if err != nil {
			return nil, err
		}
		slices.SortStableFunc(cells, func(a, b plots.ConfusionCell) int { return cmp.Compare(b.Count, a.Count) })
		t := &plots.Table{ID: p.id + "-mistakes", Title: "Most frequent mistakes", Columns: []string{"label", "taken for", "n (" + p.unit + ")", "share of the label"}}
		weight := make(map[int32]float64)
		for _, c := range cells {
			weight[c.True] += c.Count
		}
		for _, c := range cells {
			if c.True != c.Predicted && len(t.Rows) < 12 {
				t.Rows = append(t.Rows, []string{name(c.True), name(c.Predicted), number(int(c.Count)), fmt.Sprintf("%.3f", c.Count/weight[c.True])})
			}
		}
		a := Artefact{
			ID: p.id, Title: p.title, Section: sectionFurther, Table: t, Figures: []*plots.Figure{cut, whole},
			Note: fmt.Sprintf("Experiment %s, %s: corpus %s, %s of %s, n %s %s. The first figure shows the %d heaviest of %d labels (the reference's fifth), what they are taken for beside each other in the column \"other\". Shades: share of the row.",
				results[0].Trial.Experiment, settingName(results[0], MethodNetwork), strings.Join(corpusNames(results), ", "), count(len(results), "training"), training(results), number(int(total)), p.unit, shown, of),
			Reading:     fmt.Sprintf("%.2f %% of the %s get another label.", 100*wrong/total, p.unit) + readReduced(results),
			experiments: []string{results[0].Trial.Experiment},
		}
		artefacts = append(artefacts, a)
	}
	return artefacts, nil
}

// mostDetailed are the results of one setting under a protocol that tell what is asked for: the longest
// window of the paper's sweep, else a setting of the protocol's table, else of any experiment; of several
// the one with the most results, of equals the last.
func mostDetailed(results []*Result, protocol string, tells func(*Result) bool) []*Result {
	var settings [][]*Result
	for _, r := range results {
		if r.Protocol != protocol || !tells(r) {
			continue
		}
		same := func(s []*Result) bool {
			return s[0].Trial.Experiment == r.Trial.Experiment && settingName(s[0], MethodNetwork) == settingName(r, MethodNetwork)
		}
		if i := slices.IndexFunc(settings, same); i >= 0 {
			settings[i] = append(settings[i], r)
		} else {
			settings = append(settings, []*Result{r})
		}
	}
	rank := func(s []*Result) []int {
		switch name := s[0].Trial.Experiment; {
		case name == windowExperiment:
			return []int{2, s[0].Config.Window, len(s)}
		case strings.HasPrefix(name, protocolExperiment):
			return []int{1, 0, len(s)}
		}
		return []int{0, 0, len(s)}
	}
	var best []*Result
	for _, s := range settings {
		if best == nil || slices.Compare(rank(s), rank(best)) >= 0 {
			best = s
		}
	}
	return best
}

// labelNames gives labels in words: as the results tell them, else as the label spaces do.
func labelNames(results []*Result) func(int32) string {
	names := make(map[int32]string)
	space := label.Default()
	for _, r := range results {
		if r.Config.Labels == "paper" {
			space = label.Paper()
		}
		for _, c := range r.Classes {
			names[c.Label] = c.Name
		}
	}
	return func(l int32) string {
		if n, ok := names[l]; ok {
			return n
		}
		if l < 0 {
			return "no label of the space"
		}
		if !space.Valid(label.Label(l)) {
			return fmt.Sprintf("custom resource, label %d", l)
		}
		return space.Describe(label.Label(l))
	}
}

// marginArtefacts are calibration and indecision: how often a label is right by the margin at which it won,
// and what is gained where the network may abstain.
func marginArtefacts(ev evidence) ([]Artefact, error) {
	results := mostDetailed(ev.results, ProtocolBlocked, func(r *Result) bool { return r.Margins != nil })
	if len(results) == 0 {
		return nil, nil
	}
	var sum Margins
	for _, r := range results {
		for i := range marginBins {
			sum.Events[i] += r.Margins.Events[i]
			sum.Right[i] += r.Margins.Right[i]
			sum.Second[i] += r.Margins.Second[i]
		}
	}
	var bins []plots.MarginBin
	events, right, second := 0, 0, 0
	for i := 0; i < marginBins; i += 2 {
		b := plots.MarginBin{Low: float64(i) / marginBins, High: float64(i+2) / marginBins}
		b.N, b.Right = sum.Events[i]+sum.Events[i+1], sum.Right[i]+sum.Right[i+1]
		bins = append(bins, b)
	}
	for i := range marginBins {
		events, right, second = events+sum.Events[i], right+sum.Right[i], second+sum.Second[i]
	}
	if events == 0 {
		return nil, nil
	}
	f, err := plots.Calibration("calibration", "Calibration: how often a label is right by its margin", "", bins)
	if err != nil {
		return nil, err
	}
	t := &plots.Table{ID: "abstain", Title: "What is gained by abstaining", Columns: []string{"labels with a margin from", "n events labelled", "share labelled", "share of them right", "n events left", "of those, second choice right"}}
	var coverage, accuracy []float64
	kept, good, left, leftSecond := events, right, 0, 0
	for i := range marginBins {
		if kept == 0 {
			break
		}
		coverage, accuracy = append(coverage, float64(kept)/float64(events)), append(accuracy, float64(good)/float64(kept))
		if i%2 == 0 || i == marginBins-1 {
			secondShare := "–"
			if left > 0 {
				secondShare = fmt.Sprintf("%.3f", float64(leftSecond)/float64(left))
			}
			t.Rows = append(t.Rows, []string{
				fmt.Sprintf("%.2f", float64(i)/marginBins), number(kept), fmt.Sprintf("%.3f", float64(kept)/float64(events)),
				fmt.Sprintf("%.3f", float64(good)/float64(kept)), number(left), secondShare,
			})
		}
		left, leftSecond = left+sum.Events[i], leftSecond+sum.Second[i]
		kept, good = kept-sum.Events[i], good-sum.Right[i]
	}
	curve, err := plots.Lines("abstain", "Accuracy of what is labelled, if labels with a small margin are left out", "", "share of the events that are labelled", "share of them right", false,
		[]plots.Line{{Name: "all events", X: coverage, Y: accuracy}})
	if err != nil {
		return nil, err
	}
	indecision := fmt.Sprintf("Of %s whose label is wrong, the second choice is right for %s (indecision: %.1f %% of all events).",
		count(events-right, "event"), number(second), 100*float64(second)/float64(events))
	return []Artefact{{
		ID: "calibration", Title: "Calibration, indecision and abstaining", Section: sectionFurther, Table: t, Figures: []*plots.Figure{f, curve},
		Note: fmt.Sprintf("Experiment %s, %s: corpus %s, protocol blocked, %s of %s, n %s (an event counts once for each training that tests it). "+
			"Margin: how far the probability of the label, as the windows' vote has it, lies ahead of the second's. No interval is given.",
			results[0].Trial.Experiment, settingName(results[0], MethodNetwork), strings.Join(corpusNames(results), ", "), count(len(results), "training"), training(results), count(events, "event")),
		Reading:     indecision + readReduced(results),
		experiments: []string{results[0].Trial.Experiment},
	}}, nil
}

// lookAheadArtefacts is accuracy by how many later events a label may wait for.
func lookAheadArtefacts(ev evidence) ([]Artefact, error) {
	type key struct{ experiment, corpus, subset string }
	byKey := make(map[key]map[int][]float64)
	var order []key
	behind := make(map[string][]*Result)
	for _, r := range ev.results {
		if r.Trial.experiment == nil {
			continue
		}
		found := false
		for _, v := range r.Trial.experiment.Votes {
			if v.LookAhead == nil || cmp.Or(v.Stride, 1) != 1 {
				continue
			}
			for _, rec := range r.Records {
				if rec.Method != v.name() || rec.Metric != metrics.Accuracy || rec.Subset != metrics.SubsetAll && rec.Subset != metrics.SubsetOwnWrong {
					continue
				}
				k := key{r.Trial.Experiment, rec.Corpus, rec.Subset}
				if byKey[k] == nil {
					byKey[k] = make(map[int][]float64)
					order = append(order, k)
				}
				byKey[k][*v.LookAhead] = append(byKey[k][*v.LookAhead], rec.Value)
				found = true
			}
		}
		if found {
			behind[r.Trial.Experiment] = append(behind[r.Trial.Experiment], r)
		}
	}
	var lines []plots.Line
	t := &plots.Table{ID: "look-ahead", Title: "Accuracy by look-ahead", Columns: []string{"corpus, events", "look-ahead", "n trainings", "mean accuracy", "standard deviation"}}
	var results []*Result
	var names []string
	for _, k := range order {
		if len(byKey[k]) < 2 || len(lines) == 4 {
			continue
		}
		if !slices.Contains(names, k.experiment) {
			names = append(names, k.experiment)
			results = append(results, behind[k.experiment]...)
		}
		what := k.corpus + ", " + map[string]string{metrics.SubsetAll: "all", metrics.SubsetOwnWrong: "own label wrong"}[k.subset]
		l := plots.Line{Name: what}
		for _, ahead := range slices.Sorted(maps.Keys(byKey[k])) {
			mean, std := metrics.MeanStd(byKey[k][ahead])
			l.X, l.Y = append(l.X, float64(ahead)+1), append(l.Y, mean)
			deviation := "–"
			if !math.IsNaN(std) {
				deviation = fmt.Sprintf("%.3f", std)
			}
			t.Rows = append(t.Rows, []string{what, number(ahead), fmt.Sprint(len(byKey[k][ahead])), fmt.Sprintf("%.3f", mean), deviation})
		}
		lines = append(lines, l)
	}
	if len(lines) == 0 {
		return nil, nil
	}
	f, err := plots.Lines("look-ahead", "Accuracy by look-ahead", "", "1 + later events that a label waits for", "accuracy", true, lines)
	if err != nil {
		return nil, err
	}
	a := tableArtefact(t, "", results)
	a.Figures, a.Section, a.ID = []*plots.Figure{f}, sectionFurther, "look-ahead"
	a.Note = fmt.Sprintf("Experiment %s: corpus %s, protocol %s, %s; labelled online at stride 1, so that an event's label is sure that many events later. n: folds and seeds together; the deviation is over both.",
		strings.Join(names, ", "), strings.Join(corpusNames(results), ", "), results[0].Protocol, training(results))
	first := lines[0]
	a.Reading = fmt.Sprintf("%s: %.3f without waiting, %.3f with the longest wait measured (%s).", first.Name, first.Y[0], first.Y[len(first.Y)-1], count(int(first.X[len(first.X)-1])-1, "event")) + readReduced(results)
	return []Artefact{a}, nil
}
