package metrics

import (
	"cmp"
	"math"
	"slices"
	"strconv"

	"k8ntext/dataset/label"
)

// Confusion counts how often which label was predicted for which. It keeps one number per pair that
// occurs, however much is added, so that all positions of all windows need not be stored. The zero
// value is empty and ready. Counts are integers: the order of adding never shows.
type Confusion struct {
	counts map[pair]int64
}

type pair struct{ truth, predicted label.Label }

func comparePairs(a, b pair) int {
	return cmp.Or(cmp.Compare(a.truth, b.truth), cmp.Compare(a.predicted, b.predicted))
}

// Cell is one pair of labels with its count.
type Cell struct {
	True, Predicted label.Label
	Count           int64
}

// Add counts count more predictions of predicted where truth is right. Negative labels are counted
// as any other; leave rows without a truth out. A count of zero or less is ignored.
func (c *Confusion) Add(truth, predicted label.Label, count int64) {
	if count <= 0 {
		return
	}
	if c.counts == nil {
		c.counts = make(map[pair]int64)
	}
	c.counts[pair{truth, predicted}] += count
}

// Merge adds all that other has counted.
func (c *Confusion) Merge(other *Confusion) {
	for p, n := range other.counts {
		c.Add(p.truth, p.predicted, n)
	}
}

// Total returns the number of predictions counted.
func (c *Confusion) Total() int64 {
	var n int64
	for _, k := range c.counts {
		n += k
	}
	return n
}

// Cells returns the pairs that occur, by true and then predicted label.
func (c *Confusion) Cells() []Cell {
	cells := make([]Cell, 0, len(c.counts))
	for p, n := range c.counts {
		cells = append(cells, Cell{p.truth, p.predicted, n})
	}
	slices.SortFunc(cells, func(a, b Cell) int {
		return comparePairs(pair{a.True, a.Predicted}, pair{b.True, b.Predicted})
	})
	return cells
}

// ClassScore is how one label of the truth fared.
type ClassScore struct {
	Label    label.Label
	Weight   int64   // how often it is the truth (the reference's weight)
	Accuracy float64 // share of those that were predicted right
}

// Classes returns the score of each label of the truth, by label.
func (c *Confusion) Classes() []ClassScore {
	var scores []ClassScore
	for _, cell := range c.Cells() {
		if len(scores) == 0 || scores[len(scores)-1].Label != cell.True {
			scores = append(scores, ClassScore{Label: cell.True})
		}
		s := &scores[len(scores)-1]
		s.Weight += cell.Count
		if cell.True == cell.Predicted {
			s.Accuracy = float64(cell.Count)
		}
	}
	for i := range scores {
		scores[i].Accuracy /= float64(scores[i].Weight)
	}
	return scores
}

// Metric returns the value of one metric by its name (see [Accuracy] and those below it), or NaN if
// it is not defined: nothing counted, an unknown name, or kappa where truth and prediction are
// constant and equal.
func (c *Confusion) Metric(name string) float64 {
	cells := c.Cells()
	pairs := make([]pair, len(cells))
	weights := make([]int64, len(cells))
	for i, cell := range cells {
		pairs[i] = pair{cell.True, cell.Predicted}
		weights[i] = cell.Count
	}
	for _, v := range newViews(pairs) {
		for _, m := range v.metrics {
			if m.name == name {
				v.count(weights)
				return m.of(&v.tally)
			}
		}
	}
	return math.NaN()
}

// WindowRecords returns the metrics over (window, position) pairs as the paper counts them, subset
// [SubsetWindows]. They carry no interval: overlapping windows repeat the same events.
func (c *Confusion) WindowRecords(id Record) []Record {
	const note = "over (window, position) pairs; overlapping windows repeat events, so no interval is given"
	n := int(c.Total())
	var records []Record
	for _, name := range []string{Accuracy, F1Macro, F1MacroUnion, PrecisionMacro, PrecisionMacroUnion, RecallMacro, Kappa} {
		records = appendPlain(records, id, SubsetWindows, name, c.Metric(name), n, note)
	}
	return records
}

// ClassRecords returns, for each label of the truth, its accuracy with its weight as n (Figure 9),
// subset [SubsetClass] with the label's number appended.
func (c *Confusion) ClassRecords(id Record) []Record {
	var records []Record
	for _, s := range c.Classes() {
		records = appendPlain(records, id, classSubset(s.Label), Accuracy, s.Accuracy, int(s.Weight), "n is the class's weight")
	}
	return records
}

// ConfusionRecords returns the confusion matrix, each row as shares that sum to 1, zeros left out.
// Rows are the labels of the truth.
func (c *Confusion) ConfusionRecords(id Record) []Record {
	var records []Record
	cells := c.Cells()
	classes := c.Classes()
	for _, cell := range cells {
		for classes[0].Label != cell.True {
			classes = classes[1:]
		}
		records = appendPlain(records, id, classSubset(cell.True), Predicted+labelText(cell.Predicted),
			float64(cell.Count)/float64(classes[0].Weight), int(classes[0].Weight), "share of the row; n is the row's weight")
	}
	return records
}

func classSubset(l label.Label) string { return SubsetClass + labelText(l) }

func labelText(l label.Label) string { return strconv.Itoa(int(l)) }

// appendPlain appends a record without an interval; an undefined value gives none.
func appendPlain(records []Record, id Record, subset, metric string, value float64, n int, note string) []Record {
	if math.IsNaN(value) {
		return records
	}
	id.Subset, id.Metric, id.Value, id.Low, id.High, id.N, id.Note = subset, metric, value, value, value, n, note
	return append(records, id)
}

// A tally is what every metric needs to know: how often each class is true, predicted, and both.
// Classes are dense indices, in ascending order of what they stand for, so that sums over them
// round the same whatever the order of the data.
type tally struct {
	both, truth, predicted []int64
	total                  int64
}

func (t *tally) accuracy() float64 {
	return float64(t.agree()) / float64(t.total) // 0/0 is NaN
}

func (t *tally) agree() int64 {
	var n int64
	for _, k := range t.both {
		n += k
	}
	return n
}

// mean averages value over the classes for which it is defined.
func (t *tally) mean(value func(class int) (float64, bool)) float64 {
	sum, n := 0.0, 0
	for k := range t.both {
		if x, ok := value(k); ok {
			sum += x
			n++
		}
	}
	return sum / float64(n)
}

func (t *tally) f1(k int) float64 {
	return 2 * float64(t.both[k]) / float64(t.truth[k]+t.predicted[k])
}

func (t *tally) f1Macro() float64 {
	return t.mean(func(k int) (float64, bool) {
		if t.truth[k] == 0 {
			return 0, false
		}
		return t.f1(k), true
	})
}

func (t *tally) f1MacroUnion() float64 {
	return t.mean(func(k int) (float64, bool) {
		if t.truth[k]+t.predicted[k] == 0 {
			return 0, false
		}
		return t.f1(k), true
	})
}

func (t *tally) precisionMacro() float64 {
	return t.mean(func(k int) (float64, bool) {
		switch {
		case t.truth[k] == 0:
			return 0, false
		case t.predicted[k] == 0:
			return 0, true
		}
		return float64(t.both[k]) / float64(t.predicted[k]), true
	})
}

func (t *tally) precisionMacroUnion() float64 {
	return t.mean(func(k int) (float64, bool) {
		if t.predicted[k] == 0 {
			return 0, false
		}
		return float64(t.both[k]) / float64(t.predicted[k]), true
	})
}

func (t *tally) recallMacro() float64 {
	return t.mean(func(k int) (float64, bool) {
		if t.truth[k] == 0 {
			return 0, false
		}
		return float64(t.both[k]) / float64(t.truth[k]), true
	})
}

// kappa is Cohen's kappa, (po-pe)/(1-pe), multiplied out so that full agreement gives exactly 1.
// Source: J. Cohen, A coefficient of agreement for nominal scales, 1960.
func (t *tally) kappa() float64 {
	chance := 0.0
	for k := range t.both {
		chance += float64(t.truth[k]) * float64(t.predicted[k])
	}
	n := float64(t.total)
	return (n*float64(t.agree()) - chance) / (n*n - chance)
}

// A view is one way to look at pairs of labels as pairs of classes (the whole label, or one
// component of it), with the metrics that are taken of it.
type view struct {
	pairs   [][2]int32 // class indices of the truth and the prediction of each pair
	metrics []metric
	tally
}

type metric struct {
	name string
	of   func(*tally) float64
}

// newViews returns the views of pairs: the whole label first, then its components.
func newViews(pairs []pair) []view {
	kappa := (*tally).kappa
	return []view{
		newView(pairs, func(l label.Label) int { return int(l) },
			metric{Accuracy, (*tally).accuracy},
			metric{F1Macro, (*tally).f1Macro},
			metric{F1MacroUnion, (*tally).f1MacroUnion},
			metric{PrecisionMacro, (*tally).precisionMacro},
			metric{PrecisionMacroUnion, (*tally).precisionMacroUnion},
			metric{RecallMacro, (*tally).recallMacro},
			metric{Kappa, kappa}),
		newView(pairs, component(func(t label.Tuple) int { return t.Resource }), metric{KappaResource, kappa}),
		newView(pairs, component(func(t label.Tuple) int { return t.Subresource }), metric{KappaSubresource, kappa}),
		newView(pairs, component(func(t label.Tuple) int { return bit(t.Namespaced) }), metric{KappaNamespaced, kappa}),
		newView(pairs, component(func(t label.Tuple) int { return bit(t.Single) }), metric{KappaSingle, kappa}),
		newView(pairs, component(func(t label.Tuple) int { return t.Verb }), metric{KappaVerb, kappa}),
	}
}

// component reads one part of a label; the special labels are a class of their own in each.
func component(part func(label.Tuple) int) func(label.Label) int {
	return func(l label.Label) int {
		if l < 0 {
			return -1
		}
		return part(l.Tuple())
	}
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

func newView(pairs []pair, class func(label.Label) int, metrics ...metric) view {
	values := make([]int, 0, 2*len(pairs))
	for _, p := range pairs {
		values = append(values, class(p.truth), class(p.predicted))
	}
	distinct := slices.Clone(values)
	slices.Sort(distinct)
	distinct = slices.Compact(distinct)

	v := view{pairs: make([][2]int32, len(pairs)), metrics: metrics}
	for i := range pairs {
		for side := range 2 {
			k, _ := slices.BinarySearch(distinct, values[2*i+side])
			v.pairs[i][side] = int32(k)
		}
	}
	n := len(distinct)
	v.both, v.truth, v.predicted = make([]int64, n), make([]int64, n), make([]int64, n)
	return v
}

// count sets the tally to the pairs taken weights[i] times each.
func (v *view) count(weights []int64) {
	clear(v.both)
	clear(v.truth)
	clear(v.predicted)
	v.total = 0
	for i, p := range v.pairs {
		w := weights[i]
		v.total += w
		v.truth[p[0]] += w
		v.predicted[p[1]] += w
		if p[0] == p[1] {
			v.both[p[0]] += w
		}
	}
}
