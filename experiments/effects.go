package experiments

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"k8ntext/metrics"
	"k8ntext/plots"
)

// A measure is a number that settings are compared by.
type measure struct{ subset, metric, name string }

// measures are what trials of a protocol are compared by: macro F1 as the paper counts it, else accuracy
// where the own label is wrong.
func measures(protocol string) []measure {
	if protocol == ProtocolPaper {
		return []measure{{metrics.SubsetWindows, metrics.F1MacroUnion, "macro F1"}}
	}
	return []measure{{metrics.SubsetOwnWrong, metrics.Accuracy, "accuracy, own label wrong"}}
}

// place is what two trainings must have in common to be a pair, beside the experiment.
type place struct {
	corpus string
	seed   uint64
	fold   int
}

// variant is one setting of the network in an experiment, or one vote of it, with its values.
type variant struct {
	name   string // as [settingName] has it
	base   bool   // the one that the others are compared with
	values map[place]float64
	tested map[place]float64 // the size of the test part over that of the training part
}

// comparison is an experiment's variants by one measure.
type comparison struct {
	experiment, protocol, corpus string
	measure                      measure
	variants                     []*variant // in order of appearance
	cut                          bool       // some trainings ended before early stopping
}

// comparisons gathers what can be compared: by experiment, measure and tested corpus, the variants of the
// network that have values.
func comparisons(results []*Result) []*comparison {
	type key struct {
		experiment, corpus string
		measure            measure
	}
	index := make(map[key]*comparison)
	var all []*comparison
	for _, r := range results {
		for _, m := range measures(r.Protocol) {
			for _, rec := range r.Records {
				if !strings.HasPrefix(rec.Method, MethodNetwork) || rec.Subset != m.subset || rec.Metric != m.metric {
					continue
				}
				k := key{r.Trial.Experiment, rec.Corpus, m}
				c := index[k]
				if c == nil {
					c = &comparison{experiment: k.experiment, protocol: r.Protocol, corpus: rec.Corpus, measure: m}
					index[k] = c
					all = append(all, c)
				}
				c.cut = c.cut || cutShort(r)
				name := settingName(r, rec.Method)
				i := slices.IndexFunc(c.variants, func(v *variant) bool { return v.name == name })
				if i < 0 {
					i = len(c.variants)
					c.variants = append(c.variants, &variant{name: name, values: make(map[place]float64), tested: make(map[place]float64)})
				}
				at := place{rec.Corpus, rec.Seed, rec.Fold}
				v := c.variants[i]
				v.base = v.base || baseSetting(r.Trial.Setting)
				v.values[at] = rec.Value
				if r.Sizes.TrainEvents > 0 {
					v.tested[at] = testToTrain(r)
				}
			}
		}
	}
	for _, c := range all {
		if !slices.ContainsFunc(c.variants, func(v *variant) bool { return v.base }) {
			c.variants[0].base = true
		}
	}
	return all
}

// settingName is a setting in words; what varies nothing is "as configured".
func settingName(r *Result, method string) string {
	if s := r.Trial.Setting; len(s) == 1 && s["model.without"] != nil {
		if f := without(s); f != "" {
			return "without " + f
		}
		return "all features"
	}
	vote := strings.TrimPrefix(strings.TrimPrefix(method, MethodNetwork), ", ")
	return cmp.Or(strings.Trim(strings.Join([]string{vote, settingText(r.Trial.Setting)}, "; "), "; "), "as configured")
}

// baseSetting tells whether others are compared with a setting: all features, or the paper's window. Where
// neither varies, the first setting of an experiment is.
func baseSetting(s setting) bool {
	if len(s) != 1 {
		return false
	}
	if without, ok := s["model.without"]; ok {
		list, _ := without.([]any)
		return len(list) == 0
	}
	w, ok := s["model.window"]
	return ok && fmt.Sprint(w) == "60"
}

// testToTrain is the size of the test part over that of the training part, by which the protocol's repeated
// trainings depend on each other; 0 where nothing is cut anew.
func testToTrain(r *Result) float64 {
	switch e := r.Trial.experiment; {
	case e == nil:
		return 0
	case r.Protocol == ProtocolPaper:
		return e.TestShare / ((1 - e.TestShare) * (1 - e.ValidationShare))
	case r.Protocol == ProtocolBlocked:
		return 1 / float64(e.Folds-1)
	}
	return 0
}

func (c *comparison) base() *variant {
	return c.variants[slices.IndexFunc(c.variants, func(v *variant) bool { return v.base })]
}

// pairs are the values of the base and of another variant at the places that both have: by seed, or by
// fold with the mean over seeds.
func (c *comparison) pairs(v *variant) (base, other []float64, ratio float64) {
	b := c.base()
	type sums struct {
		base, other float64
		n           int
	}
	byPair := make(map[place]*sums)
	for at, x := range v.values {
		y, ok := b.values[at]
		if !ok {
			continue
		}
		ratio = max(ratio, v.tested[at], b.tested[at])
		pair := at
		if c.protocol == ProtocolBlocked {
			pair.seed = 0
		}
		if byPair[pair] == nil {
			byPair[pair] = new(sums)
		}
		s := byPair[pair]
		s.base, s.other, s.n = s.base+y, s.other+x, s.n+1
	}
	for _, at := range slices.SortedFunc(maps.Keys(byPair), func(a, b place) int {
		return cmp.Or(cmp.Compare(a.fold, b.fold), cmp.Compare(a.seed, b.seed))
	}) {
		s := byPair[at]
		base, other = append(base, s.base/float64(s.n)), append(other, s.other/float64(s.n))
	}
	return base, other, ratio
}

// folds tells whether pairs are folds.
func (c *comparison) folds() bool { return c.protocol == ProtocolBlocked }

// differences compares every variant with the base, corrected together; nil for the base itself.
func (c *comparison) differences() map[*variant]*metrics.Difference {
	var order []*variant
	var together []metrics.Difference
	ratio := 0.0
	for _, v := range c.variants {
		if v.base {
			continue
		}
		base, other, r := c.pairs(v)
		ratio = max(ratio, r)
		order = append(order, v)
		together = append(together, metrics.Paired(base, other, r))
	}
	metrics.Holm(together, ratio)
	out := make(map[*variant]*metrics.Difference, len(order))
	for i, v := range order {
		out[v] = &together[i]
	}
	return out
}

// verdict says in words what a comparison may be taken for.
func (c *comparison) verdict(d *metrics.Difference) string {
	switch {
	case d.N == 0:
		return "no pair"
	case !d.Enough(c.folds()):
		return "n too small"
	case !d.Beyond(c.folds()):
		return "not told from noise"
	case d.Mean > 0:
		return "higher, beyond noise"
	}
	return "lower, beyond noise"
}

// effectArtefacts are the comparisons of settings with repetitions, one table and figure for each
// experiment, and the noise between runs.
func effectArtefacts(ev evidence) ([]Artefact, error) {
	var artefacts []Artefact
	var experiments []string
	byExperiment := make(map[string][]*comparison)
	all := comparisons(ev.results)
	for _, c := range all {
		if len(c.variants) < 2 {
			continue
		}
		if byExperiment[c.experiment] == nil {
			experiments = append(experiments, c.experiment)
		}
		byExperiment[c.experiment] = append(byExperiment[c.experiment], c)
	}
	for _, name := range experiments {
		a, err := effects(name, byExperiment[name], of(ev.results, name))
		if err != nil {
			return nil, err
		}
		if a != nil {
			artefacts = append(artefacts, *a)
		}
	}
	if a := noise(all, ev); a != nil {
		artefacts = append(artefacts, *a)
	}
	return artefacts, nil
}

// effects is the artefact of one experiment; nil where nothing pairs.
func effects(name string, compared []*comparison, results []*Result) (*Artefact, error) {
	const most = 40 // bars of a figure
	var rows []plots.Comparison
	var bars []plots.Effect
	var beyond, not, small int
	var detectable []float64
	measures := make(map[string]bool)
	for _, c := range compared {
		found := c.differences()
		for _, v := range c.variants {
			d := found[v]
			if d == nil || d.N == 0 {
				continue
			}
			row := plots.Comparison{
				Setting: v.name, Against: c.base().name, Metric: c.measure.name, N: d.N, Mean: d.Mean, Low: d.Low, High: d.High,
				P: d.Adjusted, Detectable: d.Detectable, Verdict: c.verdict(d),
			}
			if len(compared) > 1 {
				row.Setting += "\ntested on " + c.corpus
			}
			rows = append(rows, row)
			measures[c.measure.name] = true
			switch {
			case !d.Enough(c.folds()):
				small++
			case d.Beyond(c.folds()):
				beyond++
			default:
				not++
			}
			if !math.IsNaN(d.Detectable) {
				detectable = append(detectable, d.Detectable)
			}
			bars = append(bars, plots.Effect{
				Name: strings.ReplaceAll(row.Setting, "\ntested on ", ", "), Mean: d.Mean, Low: d.Low, High: d.High, N: d.N,
				Verdict: row.Verdict, Beyond: d.Beyond(c.folds()),
			})
		}
	}
	if len(rows) == 0 {
		return nil, nil
	}
	first := compared[0]
	pairs := "trainings of the same seed"
	covers := "It covers other seeds; it says nothing of other corpora."
	switch first.protocol {
	case ProtocolPaper:
		pairs += " and so of the same split"
		covers = "It covers other splits and seeds of this corpus, the overlap of their training parts included (corrected resampled t)."
	case ProtocolBlocked:
		pairs = "the same folds, each the mean over its seeds"
		covers = "It covers other folds of this corpus, the overlap of their training parts included (corrected resampled t)."
	}
	t := plots.Comparisons("effects-"+name, "What the settings of "+name+" change", fmt.Sprintf(
		"Corpus %s, protocol %s, %s. Difference: setting minus the one it is set against, over pairs of %s; mean with 95 %% t interval. %s "+
			"p is corrected after Holm for the comparisons of one corpus; an effect is called from p < .05 on and, over seeds, from %d pairs on. "+
			"Found in 4 of 5: the smallest true difference that so many pairs, spread as these, would show in four of five cases.",
		strings.Join(corpusNames(results), ", "), first.protocol, training(results), pairs, covers, metrics.MinTrainings), rows)
	a := tableArtefact(t, readEffects(len(rows), beyond, not, small, detectable, first.folds())+readReduced(results), results)
	a.Section = sectionStatistics
	if len(bars) <= most {
		slices.SortStableFunc(bars, func(a, b plots.Effect) int { return cmp.Compare(a.Mean, b.Mean) })
		spread := first.spread().Std
		if math.IsNaN(spread) || first.folds() {
			spread = 0
		}
		f, err := plots.Effects(t.ID, t.Title, "difference of "+strings.Join(slices.Sorted(maps.Keys(measures)), ", ")+" from "+first.base().name, "", bars, spread)
		if err != nil {
			return nil, err
		}
		if spread > 0 {
			a.Note += " Grey in the figure: one standard deviation between trainings of one setting."
		}
		a.Figures = append(a.Figures, f)
	}
	return &a, nil
}

// readEffects says what the repetitions can and cannot resolve.
func readEffects(n, beyond, not, small int, detectable []float64, folds bool) string {
	var text []string
	text = append(text, fmt.Sprintf("Of %s %d %s beyond noise and %d %s not told from it.", count(n, "comparison"), beyond, verb(beyond, "is", "are"), not, verb(not, "is", "are")))
	if small > 0 {
		text = append(text, fmt.Sprintf("For %d there are fewer than %d pairs, so none is called, whatever its size.", small, metrics.MinTrainings))
	}
	if len(detectable) > 0 {
		slices.Sort(detectable)
		unit := "seeds"
		if folds {
			unit = "folds"
		}
		switch best, worst := detectable[0], detectable[len(detectable)-1]; {
		case best > 1: // scores are shares
			text = append(text, fmt.Sprintf("So few %s would not show in four of five cases even the largest difference that there can be.", unit))
		case worst > 1:
			text = append(text, fmt.Sprintf("So many %s would show true differences from %.4f on in four of five cases in the best case, and in the worst none.", unit, best))
		default:
			text = append(text, fmt.Sprintf("So many %s would show true differences from %.4f (the best case) to %.4f (the worst) and more in four of five cases: what is smaller they cannot tell from none.", unit, best, worst))
		}
	}
	return sentences(text...)
}

// readReduced warns of trainings that were cut short; it begins with a space.
func readReduced(results []*Result) string {
	cut, all := 0, 0
	steps := []int{}
	for _, r := range results {
		if r.History == nil {
			continue
		}
		all++
		steps = append(steps, r.Sizes.Steps)
		if cutShort(r) {
			cut++
		}
	}
	if cut == 0 {
		return ""
	}
	return fmt.Sprintf(" Reduced training: %d of %s ended at the last allowed epoch (%s steps), so no verdict about the paper is drawn from these numbers.", cut, count(all, "training"), span(steps))
}

// spread is the run-to-run noise: how far trainings with one setting on one part differ by their seeds. Under
// the paper protocol a seed is another split too.
func (c *comparison) spread() metrics.Spread {
	var settings [][]float64
	for _, v := range c.variants {
		byPart := make(map[int][]float64)
		for at, x := range v.values {
			byPart[at.fold] = append(byPart[at.fold], x)
		}
		for _, part := range slices.Sorted(maps.Keys(byPart)) {
			settings = append(settings, byPart[part])
		}
	}
	return metrics.RunToRun(settings)
}

// noise is the table of run-to-run noise; nil where no setting was repeated.
func noise(all []*comparison, ev evidence) *Artefact {
	var rows []plots.NoiseRow
	names := make(map[string]bool)
	var widest, deviation float64
	for _, c := range all {
		s := c.spread()
		if math.IsNaN(s.Std) {
			continue
		}
		name := c.experiment + ", " + c.protocol
		if c.protocol == ProtocolCross {
			name += ", tested on " + c.corpus
		}
		rows = append(rows, plots.NoiseRow{Experiment: name, Metric: c.measure.name, Settings: s.Settings, Trainings: s.Trainings, Std: s.Std, Low: s.Low, High: s.High, Widest: s.Widest})
		names[c.experiment] = true
		if c.protocol == ProtocolPaper && s.Std > deviation {
			widest, deviation = s.Widest, s.Std
		}
	}
	if len(rows) == 0 {
		return nil
	}
	results := slices.DeleteFunc(slices.Clone(ev.results), func(r *Result) bool { return !names[r.Trial.Experiment] || r.History == nil })
	t := plots.Noise(rows, ev.paper, fmt.Sprintf("Corpora: %s; %s. Standard deviation between trainings that have everything but the seed in common (under the paper protocol the seed also draws the split), pooled over settings; "+
		"its interval takes values of one setting for normal.", strings.Join(corpusNames(results), ", "), training(results)))
	reading := ""
	if deviation > 0 {
		reading = fmt.Sprintf("Under the paper protocol two trainings of one setting differ by up to %.4f in macro F1 (standard deviation up to %.4f). In the paper's own runs of one setting it is %.3f to %.3f, "+
			"nearly the whole axis of its Figure 6 (%.2f to %.2f): differences of that size there may be noise.",
			widest, deviation, ev.paper.Removal.RunToRun[0], ev.paper.Removal.RunToRun[1], ev.paper.Removal.Axis[0], ev.paper.Removal.Axis[1])
	}
	a := tableArtefact(t, sentences(reading, "A difference between two settings means nothing until it is larger than this allows for their n.")+readReduced(results), results)
	a.Section = sectionStatistics
	return &a
}
