package experiments

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"k8ntext/metrics"
	"k8ntext/plots"
)

// A reading says in words what an artefact's numbers show, beside the paper's. Every sentence is made
// from the numbers, so that none can claim what the table does not show; a sentence whose numbers are
// missing is left out.

// sentences joins what is not empty.
func sentences(s ...string) string {
	return strings.Join(slices.DeleteFunc(s, func(s string) bool { return s == "" }), " ")
}

// level is the mean of a row's F1 with its deviation, which a single training does not have.
type level struct {
	length     int
	mean, std  float64
	paper      *plots.PaperWindow
	n          int
	timeToFit  float64 // mean seconds of a training
	timeToRead float64 // mean milliseconds per event
}

func levels(rows []plots.WindowRow, paper plots.Paper) []level {
	var all []level
	for _, r := range rows {
		if len(r.F1) == 0 || len(r.InferMS) == 0 {
			continue
		}
		l := level{length: r.Length, n: len(r.F1), paper: paper.Window(r.Length)}
		l.mean, l.std = metrics.MeanStd(r.F1)
		l.timeToFit, _ = metrics.MeanStd(r.TrainSeconds)
		l.timeToRead, _ = metrics.MeanStd(r.InferMS)
		all = append(all, l)
	}
	return all
}

func readTraining(rows []plots.WindowRow, paper plots.Paper, results []*Result) string {
	all := levels(rows, paper)
	if len(all) < 2 {
		return "Fewer than two window lengths have a result: nothing to compare."
	}
	first, last := all[0], all[len(all)-1]
	best := slices.MaxFunc(all, func(a, b level) int { return int(math.Copysign(1, a.mean-b.mean)) })
	ours := fmt.Sprintf("On our corpora F1 %s from %.4f at W = %d to %.4f at W = %d; the highest mean is at W = %d (%.4f).",
		trend(first, last), first.mean, first.length, last.mean, last.length, best.length, best.mean)
	return sentences(ours, readPaperWindows(all), readBest(all, best), readGrowth("A training", all, func(l level) float64 { return l.timeToFit },
		func(p *plots.PaperWindow) float64 { return p.TrainSeconds[0] }), readCutShort(results))
}

// trend is the verb for the way from one mean to another, with the larger deviation as the smallest step.
func trend(from, to level) string {
	spread := 0.0
	for _, s := range []float64{from.std, to.std} {
		if !math.IsNaN(s) {
			spread = max(spread, s)
		}
	}
	switch {
	case math.Abs(to.mean-from.mean) <= spread:
		return "changes by no more than a standard deviation,"
	case to.mean > from.mean:
		return "rises"
	}
	return "falls"
}

// readPaperWindows says the same of the paper's values at the same lengths.
func readPaperWindows(all []level) string {
	var in []*plots.PaperWindow
	for _, l := range all {
		if l.paper != nil {
			in = append(in, l.paper)
		}
	}
	if len(in) < 2 {
		return ""
	}
	first, last := in[0], in[len(in)-1]
	best := slices.MaxFunc(in, func(a, b *plots.PaperWindow) int { return int(math.Copysign(1, a.F1[0]-b.F1[0])) })
	return fmt.Sprintf("The paper's goes from %.4f at W = %d to %.4f at W = %d, highest at W = %d (%.4f).",
		first.F1[0], first.Length, last.F1[0], last.Length, best.Length, best.F1[0])
}

// readBest says how sure the best length is.
func readBest(all []level, best level) string {
	var close []string
	for _, l := range all {
		if l.length == best.length {
			continue
		}
		if math.IsNaN(best.std) || math.IsNaN(l.std) {
			return "Which length is best is not decided: with a single training of a length no deviation is known."
		}
		if best.mean-l.mean <= best.std+l.std {
			close = append(close, fmt.Sprint(l.length))
		}
	}
	if len(close) == 0 {
		return "No other length comes within their standard deviations."
	}
	return fmt.Sprintf("Which length is best is not decided: W = %s within the standard deviations.", strings.Join(close, ", ")+verb(len(close), " lies", " lie"))
}

func verb(n int, one, more string) string {
	if n == 1 {
		return one
	}
	return more
}

// readGrowth says how a time grows from the shortest to the longest window.
func readGrowth(what string, all []level, ours func(level) float64, theirs func(*plots.PaperWindow) float64) string {
	first, last := all[0], all[len(all)-1]
	if !(ours(first) > 0) {
		return ""
	}
	text := fmt.Sprintf("%s at W = %d takes %.1f times as long as at W = %d", what, last.length, ours(last)/ours(first), first.length)
	if first.paper != nil && last.paper != nil {
		text += fmt.Sprintf(" (the paper's: %.1f)", theirs(last.paper)/theirs(first.paper))
	}
	return text + "."
}

func readCutShort(results []*Result) string {
	cut := 0
	for _, r := range results {
		if cutShort(r) {
			cut++
		}
	}
	if cut == 0 {
		return ""
	}
	return fmt.Sprintf("%d of %s ended at the last allowed epoch, before early stopping, so heights are not comparable with the paper's.", cut, count(len(results), "training"))
}

func readInference(rows []plots.WindowRow, paper plots.Paper) string {
	all := levels(rows, paper)
	if len(all) < 2 {
		return "Fewer than two window lengths have a result: nothing to compare."
	}
	return sentences(readGrowth("Labelling an event", all, func(l level) float64 { return l.timeToRead }, func(p *plots.PaperWindow) float64 { return p.InferMS }),
		"The machines differ: compare how the times grow, not their heights.")
}

func readClasses(points []plots.ClassPoint, paper plots.Paper) string {
	perfect, below := 0, 0
	var heavy, light plots.ClassPoint // sums
	heavies := 0
	for _, c := range points {
		if c.Accuracy == 1 {
			perfect++
		}
		if c.Accuracy < paper.Classes.RedBelowAccuracy {
			below++
		}
		sum := &light
		if c.Weight > paper.Classes.RedAboveWeight {
			sum = &heavy
			heavies++
		}
		sum.Weight += c.Weight
		sum.Accuracy += c.Weight * c.Accuracy
	}
	text := fmt.Sprintf("Of %s, %d %s always right and %d below %.2f.", count(len(points), "label"), perfect, verb(perfect, "is", "are"), below, paper.Classes.RedBelowAccuracy)
	compare := ""
	if heavies > 0 && heavies < len(points) {
		h, l := heavy.Accuracy/heavy.Weight, light.Accuracy/light.Weight
		compare = fmt.Sprintf("The %s heavier than %s %s right in %.3f of their positions, the others in %.3f.",
			count(heavies, "label"), number(int(paper.Classes.RedAboveWeight)), verb(heavies, "is", "are"), h, l)
	}
	var named []string
	for _, c := range paper.Classes.Named {
		named = append(named, fmt.Sprintf("%s %.2f", c.Name, c.Accuracy))
	}
	return sentences(text, compare, fmt.Sprintf("The paper names %s.", strings.Join(named, ", ")))
}

// readPaperProtocol says how much of the test part was trained on, and what is left of the scores
// where nothing was.
func readPaperProtocol(rows, blocked []protocolRow, results []*Result) string {
	shared, tested := 0, 0
	for _, r := range results {
		shared += r.Sizes.SharedEvents
		tested += r.Sizes.TestEvents
	}
	var text []string
	if tested > 0 {
		text = append(text, fmt.Sprintf("%.1f %% of the test events lie in training windows too, with their labels: memory counts here.", 100*float64(shared)/float64(tested)))
	}
	if top := highest(rows, windowsAccuracy.Key, func(protocolRow) bool { return true }); top != nil {
		text = append(text, fmt.Sprintf("The highest accuracy is that of %s (%.3f).", top.Method, top.Scores[windowsAccuracy.Key].Value))
	}
	for _, r := range rows {
		i := slices.IndexFunc(blocked, func(b protocolRow) bool { return b.method == r.method })
		if !r.network || i < 0 {
			continue
		}
		here, there := r.Scores[windowsAccuracy.Key], blocked[i].Scores[allAccuracy.Key]
		if here != nil && there != nil {
			text = append(text, fmt.Sprintf("For %s it is %.3f here and %.3f of all events under the blocked protocol.", r.Method, here.Value, there.Value))
		}
	}
	return sentences(append(text, readUnequal(rows, windowsAccuracy.Key))...)
}

// readBlockedProtocol compares the best network and the best baseline on the headline.
func readBlockedProtocol(rows []protocolRow) string {
	network := highest(rows, headline.Key, func(r protocolRow) bool { return r.network })
	other := highest(rows, headline.Key, func(r protocolRow) bool { return !r.network && (network == nil || r.corpus == network.corpus) })
	var text string
	switch {
	case network != nil && other != nil:
		text = sentences(
			fmt.Sprintf("Where the own label is wrong, %s gets %.3f and the best baseline, %s, %.3f.",
				network.Method, network.Scores[headline.Key].Value, other.Method, other.Scores[headline.Key].Value),
			readDifference(network.folds, other.folds))
	case network != nil:
		text = fmt.Sprintf("Where the own label is wrong, %s gets %.3f; no baseline was run.", network.Method, network.Scores[headline.Key].Value)
	case other != nil:
		text = fmt.Sprintf("Where the own label is wrong, the best baseline, %s, gets %.3f; no network was trained.", other.Method, other.Scores[headline.Key].Value)
	}
	return sentences(text, readUnequal(rows, headline.Key))
}

// readCrossProtocol says how far each network falls on recordings that it was not trained on.
func readCrossProtocol(rows, blocked []protocolRow, results []*Result) string {
	var text []string
	for _, r := range rows {
		score := r.Scores[allAccuracy.Key]
		if !r.network || score == nil {
			continue
		}
		said := fmt.Sprintf("Tested on %s, %s gets %.3f of all events", r.corpus, r.method, score.Value)
		if i := slices.IndexFunc(blocked, func(b protocolRow) bool { return b.method == r.method }); i >= 0 && blocked[i].Scores[allAccuracy.Key] != nil {
			said += fmt.Sprintf(", and %.3f under the blocked protocol", blocked[i].Scores[allAccuracy.Key].Value)
		}
		text = append(text, said+".")
	}
	return sentences(text...) + readReduced(results)
}

// readDifference compares two methods fold by fold: both were scored on the same events of a fold, so
// their difference varies less than either.
func readDifference(network, baseline map[int]float64) string {
	var differences []float64
	for _, fold := range slices.Sorted(maps.Keys(network)) {
		if b, ok := baseline[fold]; ok {
			differences = append(differences, network[fold]-b)
		}
	}
	k := len(differences)
	if k < 2 {
		return ""
	}
	mean, low, high := metrics.CorrectedT(differences, 1/float64(k-1))
	verdict := "which does not decide between them"
	switch {
	case low > 0:
		verdict = "in favour of the network"
	case high < 0:
		verdict = "in favour of the baseline"
	}
	return fmt.Sprintf("Fold by fold the network's lead is %+.3f on average (95 %% interval over %d folds: %+.3f to %+.3f), %s.", mean, k, low, high, verdict)
}

// readUnequal warns of rows that were not scored on the same things.
func readUnequal(rows []protocolRow, key string) string {
	var ns []int
	for _, r := range rows {
		if s := r.Scores[key]; s != nil {
			ns = append(ns, s.N)
		}
	}
	if len(ns) == 0 || slices.Min(ns) == slices.Max(ns) {
		return ""
	}
	return "Rows with another n were scored on other windows: compare them with care."
}

// highest is the first row with the highest score among those that are asked for; nil if none has one.
func highest(rows []protocolRow, key string, ask func(protocolRow) bool) *protocolRow {
	var best *protocolRow
	for i, r := range rows {
		if s := r.Scores[key]; s != nil && ask(r) && (best == nil || s.Value > best.Scores[key].Value) {
			best = &rows[i]
		}
	}
	return best
}

// readAblation names the setting that is best on each corpus where the own label is wrong.
func readAblation(rows []protocolRow) string {
	best := make(map[string]protocolRow)
	for _, r := range rows {
		score := r.Scores[headline.Key]
		if score == nil {
			continue
		}
		if b, ok := best[r.corpus]; !ok || score.Value > b.Scores[headline.Key].Value {
			best[r.corpus] = r
		}
	}
	if len(best) == 0 {
		return "No row has events whose own label is wrong: nothing to compare."
	}
	var text []string
	for _, corpus := range slices.Sorted(maps.Keys(best)) {
		score := best[corpus].Scores[headline.Key]
		text = append(text, fmt.Sprintf("On %s the highest accuracy where the own label is wrong is %.3f (%s; n %s).",
			corpus, score.Value, strings.TrimSuffix(best[corpus].Method, ", "+corpus), number(score.N)))
	}
	return sentences(text...)
}
