package experiments

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8ntext/metrics"
	"k8ntext/plots"
)

// The report finds the results of its artefacts by the names of their experiments.
const (
	windowExperiment   = "window-size" // varies model.window: Tables 5 and 6, Figure 9
	ablationExperiment = "ablation"    // begins the names of those that compare choices of a model
	protocolExperiment = "protocol-"   // begins the names of those whose methods stand in one table for each protocol
)

// of returns the results of one experiment.
func of(results []*Result, experiment string) []*Result {
	return slices.DeleteFunc(slices.Clone(results), func(r *Result) bool { return r.Trial.Experiment != experiment })
}

// evidence is what artefacts are drawn from.
type evidence struct {
	results []*Result // without failed ones, in the order of the plan
	planned []Trial   // those without a result too
	paper   plots.Paper
}

// tableArtefact is a table as an artefact of the results that it shows.
func tableArtefact(t *plots.Table, reading string, results []*Result) Artefact {
	a := Artefact{ID: t.ID, Title: t.Title, Note: t.Note, Reading: reading, Table: t}
	for _, r := range results {
		if !slices.Contains(a.experiments, r.Trial.Experiment) {
			a.experiments = append(a.experiments, r.Trial.Experiment)
		}
	}
	return a
}

// windowArtefacts are Tables 5 and 6.
func windowArtefacts(ev evidence) ([]Artefact, error) {
	results, paper := ev.results, ev.paper
	results = of(results, windowExperiment)
	if len(results) == 0 {
		return nil, nil
	}
	for _, r := range results {
		if len(r.Trial.Setting) > 1 || r.Protocol != ProtocolPaper {
			return nil, fmt.Errorf("experiment %q varies more than model.window or is not of protocol %s, so Tables 5 and 6 cannot be drawn from it: rename it", windowExperiment, ProtocolPaper)
		}
	}
	byLength := make(map[int]*plots.WindowRow)
	for _, r := range results {
		row := byLength[r.Config.Window]
		if row == nil {
			row = &plots.WindowRow{Length: r.Config.Window}
			byLength[r.Config.Window] = row
		}
		if f1, ok := value(r, MethodNetwork, metrics.SubsetWindows, metrics.F1MacroUnion); ok {
			row.F1 = append(row.F1, f1)
		}
		row.TrainSeconds = append(row.TrainSeconds, r.Cost.TrainSeconds)
		row.Steps = append(row.Steps, float64(r.Sizes.Steps))
		row.TrainEvents = append(row.TrainEvents, float64(r.Sizes.TrainEvents))
		if n := r.Cost.InferEvents; n > 0 {
			row.InferMS = append(row.InferMS, 1000*r.Cost.InferSeconds/float64(n))
			row.TestWindows = append(row.TestWindows, float64(n))
		}
	}
	for _, t := range ev.planned {
		if t.Experiment == windowExperiment && byLength[t.model.Window] == nil {
			byLength[t.model.Window] = &plots.WindowRow{Length: t.model.Window}
		}
	}
	var rows []plots.WindowRow
	for _, w := range slices.Sorted(maps.Keys(byLength)) {
		row := byLength[w]
		if len(row.F1) > 0 {
			median, low, high, _ := metrics.MedianInterval(row.F1)
			row.Interval = fmt.Sprintf("%.4f\nn too small", median)
			if low < high {
				row.Interval = fmt.Sprintf("%.4f\n%.4f to %.4f", median, low, high)
			}
		}
		rows = append(rows, *row)
	}
	t5 := plots.WindowTraining(rows, paper, fmt.Sprintf("Ours: corpus %s, protocol paper (shuffled overlapping windows: leaks, for comparison only); "+
		"mean ± standard deviation over n trainings of %s, as the paper has it, and the median with its interval over trainings (exact, at least 95 %%; none below n = 6); %s. F1 is the reference's: macro over (window, position) pairs, classes of truth or prediction. Paper: %s, %s.",
		strings.Join(corpusNames(results), ", "), training(results), machines(results), paper.Trainings, paper.Device))
	t6 := plots.WindowInference(rows, paper, fmt.Sprintf("Ours: corpus %s, wall time from the windows of the test part to their labels, decoding included, divided by the windows: at stride 1 a log has about as many windows as events; "+
		"mean ± standard deviation over n trainings; %s. The network's size, not its training, decides the time. Paper: model and label decoding, %s.",
		strings.Join(corpusNames(results), ", "), machines(results), paper.Device))
	return []Artefact{
		tableArtefact(t5, readTraining(rows, paper, results), results),
		tableArtefact(t6, readInference(rows, paper), results),
	}, nil
}

// machines says where times were measured.
func machines(results []*Result) string {
	distinct := make(map[string]bool)
	for _, r := range results {
		p := r.Provenance
		distinct[fmt.Sprintf("%s, %s kernels, %s for each of %s side by side", p.CPU, p.Kernels, count(p.Threads, "thread"), count(p.Workers, "trial"))] = true
	}
	names := slices.Sorted(maps.Keys(distinct))
	if len(names) > 1 {
		return "times of unlike runs are mixed here: " + strings.Join(names, "; ")
	}
	return names[0]
}

// value finds one measured number of a result.
func value(r *Result, method, subset, metric string) (float64, bool) {
	i := slices.IndexFunc(r.Records, func(rec metrics.Record) bool {
		return rec.Method == method && rec.Subset == subset && rec.Metric == metric
	})
	if i < 0 {
		return 0, false
	}
	return r.Records[i].Value, true
}

// classArtefacts is Figure 9, from the longest windows.
func classArtefacts(ev evidence) ([]Artefact, error) {
	results, paper := ev.results, ev.paper
	results = slices.DeleteFunc(of(results, windowExperiment), func(r *Result) bool { return len(r.Classes) == 0 })
	longest := 0
	for _, r := range results {
		longest = max(longest, r.Config.Window)
	}
	results = slices.DeleteFunc(results, func(r *Result) bool { return r.Config.Window != longest })
	if len(results) == 0 {
		return nil, nil
	}
	points := classPoints(results)
	figure, err := plots.ClassAccuracy(points, paper)
	if err != nil {
		return nil, err
	}
	positions := 0.0
	for _, c := range points {
		positions += c.Weight
	}
	figure.Note = fmt.Sprintf("Ours: corpus %s, protocol paper (leaks, for comparison only), W = %d; weight: mean over %s of %s; accuracy: over all of them. "+
		"%s with %s window positions in a test part. Red triangles by the paper's rule.",
		strings.Join(corpusNames(results), ", "), longest, count(len(results), "training"), training(results), count(len(points), "label"), number(int(positions+0.5)))

	const heavy, wrong = 5, 10 // rows of the table
	byWeight := slices.SortedStableFunc(slices.Values(points), func(a, b plots.ClassPoint) int { return cmp.Compare(b.Weight, a.Weight) })
	rest := slices.Clone(byWeight[min(heavy, len(byWeight)):])
	slices.SortStableFunc(rest, func(a, b plots.ClassPoint) int { return cmp.Compare(a.Accuracy, b.Accuracy) })
	table := &plots.Table{
		ID: "figure9-classes", Title: "Heaviest and least accurate labels", Columns: []string{"label", "n (weight)", "accuracy"},
		Note: fmt.Sprintf("The heaviest labels (at most %d), then the least accurate of the others (at most %d). %s", heavy, wrong, figure.Note),
	}
	for _, c := range append(byWeight[:min(heavy, len(byWeight)):min(heavy, len(byWeight))], rest[:min(wrong, len(rest))]...) {
		table.Rows = append(table.Rows, []string{c.Name, number(int(c.Weight + 0.5)), fmt.Sprintf("%.3f", c.Accuracy)})
	}
	a := tableArtefact(table, readClasses(points, paper), results)
	a.ID, a.Title, a.Figures = figure.ID, figure.Title, []*plots.Figure{figure}
	return []Artefact{a}, nil
}

// classPoints averages the classes of several trainings, by label.
func classPoints(results []*Result) []plots.ClassPoint {
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
	var points []plots.ClassPoint
	for _, l := range slices.Sorted(maps.Keys(sums)) {
		s := sums[l]
		points = append(points, plots.ClassPoint{Name: s.name, Weight: s.weight / float64(len(results)), Accuracy: min(s.right/s.weight, 1)})
	}
	return points
}

// Columns of the protocols' tables that readings speak of.
var (
	windowsAccuracy = column(metrics.SubsetWindows, metrics.Accuracy, "accuracy")
	allAccuracy     = column(metrics.SubsetAll, metrics.Accuracy, "all")
	headline        = column(metrics.SubsetOwnWrong, metrics.Accuracy, "own label wrong")
	headlineWorst   = column(metrics.SubsetOwnWrong, worstFold, "own label wrong, worst fold")
)

// worstFold stands for the accuracy of the worst fold among the metrics of a table's columns.
const worstFold = "accuracy/worst-fold"

// column is the column of one metric on one subset.
func column(subset, metric, title string) plots.ProtocolColumn {
	return plots.ProtocolColumn{Key: subset + " " + metric, Title: title}
}

// protocolArtefacts are the tables of methods, one for each protocol.
func protocolArtefacts(ev evidence) ([]Artefact, error) {
	results := ev.results
	byProtocol := make(map[string][]*Result)
	for _, r := range results {
		if strings.HasPrefix(r.Trial.Experiment, protocolExperiment) {
			byProtocol[r.Protocol] = append(byProtocol[r.Protocol], r)
		}
	}
	paper, blocked := protocolRows(byProtocol[ProtocolPaper]), protocolRows(byProtocol[ProtocolBlocked])
	var artefacts []Artefact
	if len(paper) > 0 {
		t := plots.Protocols("protocol-paper", "Network and baselines, paper protocol", []plots.ProtocolColumn{
			windowsAccuracy,
			column(metrics.SubsetWindows, metrics.F1MacroUnion, "macro F1, the reference's classes"),
			column(metrics.SubsetWindows, metrics.F1Macro, "macro F1, true classes"),
		}, tableRows(paper), fmt.Sprintf("Corpus %s, shuffled overlapping windows. n: (window, position) pairs of the test windows; no interval, since overlapping windows repeat events.",
			strings.Join(corpusNames(byProtocol[ProtocolPaper]), ", ")))
		artefacts = append(artefacts, tableArtefact(t, readPaperProtocol(paper, blocked, byProtocol[ProtocolPaper]), byProtocol[ProtocolPaper]))
	}
	if len(blocked) > 0 {
		t := plots.Protocols("protocol-blocked", "Network and baselines, blocked protocol", []plots.ProtocolColumn{
			allAccuracy, headline, headlineWorst,
			column(metrics.SubsetOwnWrong+metrics.Seen, metrics.Accuracy, "own label wrong, seen"),
			column(metrics.SubsetUser, metrics.Accuracy, "user-caused"),
			column(metrics.SubsetNonTrigger, metrics.Accuracy, "non-trigger"),
			column(metrics.SubsetNonTrigger+metrics.Seen, metrics.Accuracy, "non-trigger, seen"),
			column(metrics.SubsetNonTrigger+metrics.Unseen, metrics.Accuracy, "non-trigger, unseen"),
			column(metrics.SubsetByRule, metrics.Accuracy, "decided by rule"),
			column(metrics.SubsetUser, metrics.F1Macro, "user-caused, macro F1"),
		}, tableRows(blocked), fmt.Sprintf("Corpus %s in contiguous folds with gaps; contexts on both sides of a cut purged from training, vocabularies from training events only. "+
			"Accuracy, where no other metric is named: mean over folds with the 95 %% corrected resampled t interval over folds (it says nothing of other corpora), and n, the events of all folds. "+
			"Own label wrong: what a rule that reads only the event gets wrong. User-caused: contexts that a person or CI account started. Non-trigger: those without their first events. "+
			"Seen: the label occurs in the training part. Decided by rule: background whose label a control-plane rule gives.",
			strings.Join(corpusNames(byProtocol[ProtocolBlocked]), ", ")))
		artefacts = append(artefacts, tableArtefact(t, readBlockedProtocol(blocked), byProtocol[ProtocolBlocked]))
	}
	if cross := protocolRows(byProtocol[ProtocolCross]); len(cross) > 0 {
		t := plots.Protocols("protocol-cross", "Network and baselines, other recordings", []plots.ProtocolColumn{
			allAccuracy, headline,
			column(metrics.SubsetOwnWrong+metrics.Seen, metrics.Accuracy, "own label wrong, seen"),
			column(metrics.SubsetUser, metrics.Accuracy, "user-caused"),
			column(metrics.SubsetNonTrigger, metrics.Accuracy, "non-trigger"),
			column(metrics.SubsetBackground, metrics.Accuracy, "background"),
		}, tableRows(cross), fmt.Sprintf("Trained on %s, tested on recordings that share no event with it. Accuracy and n in events, 95 %% bootstrap interval over contexts: it says nothing of other trainings. "+
			"Seen: the label occurs in the training part.", strings.Join(corpusNames(byProtocol[ProtocolCross]), "; ")))
		artefacts = append(artefacts, tableArtefact(t, readCrossProtocol(cross, blocked, byProtocol[ProtocolCross]), byProtocol[ProtocolCross]))
	}
	return artefacts, nil
}

// ablationArtefacts are the tables of what each choice of a model gives, one for each protocol: a row for
// each setting of each experiment and each corpus that it was tested on.
func ablationArtefacts(ev evidence) ([]Artefact, error) {
	results := ev.results
	var names []string
	byName := make(map[string][]*Result)
	for _, r := range results {
		if name := r.Trial.Experiment; strings.HasPrefix(name, ablationExperiment) {
			if byName[name] == nil {
				names = append(names, name)
			}
			byName[name] = append(byName[name], r)
		}
	}
	var artefacts []Artefact
	for _, p := range []struct{ protocol, title, note string }{
		{ProtocolBlocked, "Choices of the model, blocked protocol", "Folds of each corpus, trained on all of them together: mean over folds with the 95 % corrected resampled t interval over folds."},
		{ProtocolCross, "Choices of the model, other recordings", "Trained on some recordings, tested on others that share no event with them: 95 % bootstrap interval over contexts; it says nothing of other trainings."},
	} {
		var rows []protocolRow
		var behind []*Result
		for _, name := range names {
			of := slices.DeleteFunc(slices.Clone(byName[name]), func(r *Result) bool { return r.Protocol != p.protocol })
			for _, row := range protocolRows(of) {
				row.Method = strings.TrimPrefix(strings.TrimPrefix(name, ablationExperiment), "-") + ": " + row.Method
				rows = append(rows, row)
			}
			behind = append(behind, of...)
		}
		if len(rows) == 0 {
			continue
		}
		t := plots.Protocols("ablation-"+p.protocol, p.title, []plots.ProtocolColumn{
			allAccuracy, headline,
			column(metrics.SubsetOwnWrong+metrics.Seen, metrics.Accuracy, "own label wrong, seen"),
			column(metrics.SubsetOwnWrong+metrics.Unseen, metrics.Accuracy, "own label wrong, unseen"),
			column(metrics.SubsetNonTrigger, metrics.Accuracy, "non-trigger"),
			column(metrics.SubsetBackground, metrics.Accuracy, "background"),
		}, tableRows(rows), fmt.Sprintf("%s Trained on %s. Accuracy and n in events. Seen: the label occurs in the training part.",
			p.note, strings.Join(corpusNames(behind), "; ")))
		artefacts = append(artefacts, tableArtefact(t, readAblation(rows), behind))
	}
	return artefacts, nil
}

// protocolRow is a row with what its cells do not show.
type protocolRow struct {
	plots.ProtocolRow
	corpus  string
	method  string // without the corpus
	network bool
	folds   map[int]float64 // the headline by fold, mean over seeds
}

func tableRows(rows []protocolRow) []plots.ProtocolRow {
	var plain []plots.ProtocolRow
	for _, r := range rows {
		plain = append(plain, r.ProtocolRow)
	}
	return plain
}

// protocolRows has one row for each method and setting of the network, folds and seeds merged, in
// order of appearance. With results of several corpora each has its own rows.
func protocolRows(results []*Result) []protocolRow {
	type key struct{ corpus, method string }
	var keys []key
	records := make(map[key][]metrics.Record)
	behind := make(map[key][]*Result)
	// A baseline is scored again beside every setting of the network, and a trial may be in two experiments.
	type score struct {
		key
		trial, subset, metric string
		fold                  int
		seed                  uint64
	}
	counted := make(map[score]bool)
	for _, r := range results {
		for _, rec := range r.Records {
			k := key{rec.Corpus, methodName(r, rec.Method)}
			s := score{key: k, subset: rec.Subset, metric: rec.Metric, fold: rec.Fold, seed: rec.Seed}
			if rec.Method == MethodNetwork {
				s.trial = r.Trial.ID
			}
			if counted[s] {
				continue
			}
			counted[s] = true
			if _, ok := records[k]; !ok {
				keys = append(keys, k)
			}
			records[k] = append(records[k], rec)
			if b := behind[k]; len(b) == 0 || b[len(b)-1] != r {
				behind[k] = append(b, r)
			}
		}
	}
	several := slices.ContainsFunc(keys, func(k key) bool { return k.corpus != keys[0].corpus })
	var rows []protocolRow
	for _, k := range keys {
		method := records[k][0].Method
		row := protocolRow{
			ProtocolRow: plots.ProtocolRow{Method: k.method, Training: rowTraining(behind[k], method), Scores: scores(records[k])},
			corpus:      k.corpus, method: k.method, network: method == MethodNetwork, folds: headlineByFold(records[k]),
		}
		if several {
			row.Method += ", " + k.corpus
		}
		rows = append(rows, row)
	}
	return rows
}

// headlineByFold is the accuracy where the own label is wrong, of each fold, mean over seeds.
func headlineByFold(records []metrics.Record) map[int]float64 {
	values := make(map[int][]float64)
	for _, r := range records {
		if r.Subset+" "+r.Metric == headline.Key {
			values[r.Fold] = append(values[r.Fold], r.Value)
		}
	}
	means := make(map[int]float64, len(values))
	for fold, v := range values {
		means[fold], _ = metrics.MeanStd(v)
	}
	return means
}

// rowTraining says what a method was trained on, and if a part of its trials is missing.
func rowTraining(results []*Result, method string) string {
	text := "nothing"
	if method == MethodNetwork {
		text = training(results)
	} else {
		var notes []string
		for _, r := range results {
			if note, ok := r.Training[method]; ok {
				notes = append(notes, strings.TrimPrefix(note, "trained on "))
			}
		}
		text = cmp.Or(merge(notes), text)
	}
	e := results[0].Trial.experiment
	if planned := e.folds() * e.Repetitions; len(results) < planned {
		text += fmt.Sprintf("\nonly %d of %s", len(results), count(planned, "trial"))
	}
	return text
}

// scores puts the folds and then the seeds of one method together, by column key.
func scores(records []metrics.Record) map[string]*plots.Score {
	scores := make(map[string]*plots.Score)
	worst := make(map[string]metrics.Record)
	for _, r := range records {
		if w, ok := worst[r.Subset]; r.Metric == metrics.Accuracy && r.Fold != metrics.AllFolds && (!ok || r.Value < w.Value) {
			worst[r.Subset] = r
		}
	}
	for subset, r := range worst {
		scores[subset+" "+worstFold] = &plots.Score{Value: r.Value, N: r.N, Note: fmt.Sprintf("fold %d", r.Fold+1)}
	}
	if p := records[0].Protocol; p == ProtocolBlocked || p == ProtocolUnseen {
		records = metrics.MergeFolds(records)
	}
	events := make(map[string]int)
	for _, r := range records {
		key := r.Subset + " " + r.Metric
		events[key] = max(events[key], r.N)
		scores[key] = &plots.Score{Value: r.Value, Low: r.Low, High: r.High, N: r.N}
	}
	if seeds(records) > 1 {
		for _, r := range metrics.OverTrainings(records) {
			if key := r.Subset + " " + r.Metric; events[key] > 0 {
				scores[key] = &plots.Score{Value: r.Value, Low: r.Low, High: r.High, N: events[key], Note: fmt.Sprintf("median of %d", r.N)}
			}
		}
	}
	return scores
}

func seeds(records []metrics.Record) int {
	distinct := make(map[uint64]bool)
	for _, r := range records {
		distinct[r.Seed] = true
	}
	return len(distinct)
}
