package main

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"

	"k8ntext/bench/contest"
	"k8ntext/bench/results"
)

// summary is the mean of a setting's scores over the seeds, and the smallest time.
type summary struct {
	stride, lookAhead, batch int
	accuracy, f1, ownWrong   float64
	low, high                float64 // accuracy of the worst and of the best seed
	micros                   float64 // CPU per event, best
	first                    float64 // that of stride 1
	n                        int     // seeds
}

func mean(scores []results.Score) summary {
	s := summary{n: len(scores), low: 1}
	for _, v := range scores {
		s.accuracy += v.Accuracy / float64(s.n)
		s.f1 += v.F1 / float64(s.n)
		s.ownWrong += v.OwnWrong / float64(s.n)
		s.low, s.high = min(s.low, v.Accuracy), max(s.high, v.Accuracy)
	}
	return s
}

// labelled sums up the ways to label, over the seeds, in ascending order of look-ahead, stride and batch.
func labelled(m *measurements, keep func(results.Labelled) bool) []summary {
	type key struct{ lookAhead, stride, batch int }
	scores := make(map[key][]results.Score)
	micros := make(map[key][]float64)
	var keys []key
	for _, l := range m.accuracy.Inference {
		if !keep(l) {
			continue
		}
		k := key{l.LookAhead, l.Stride, l.Batch}
		if scores[k] == nil {
			keys = append(keys, k)
		}
		scores[k] = append(scores[k], l.Score)
		micros[k] = append(micros[k], l.CPUMicros)
	}
	slices.SortFunc(keys, func(a, b key) int {
		return cmp.Or(cmp.Compare(a.lookAhead, b.lookAhead), cmp.Compare(a.stride, b.stride), cmp.Compare(a.batch, b.batch))
	})
	var out []summary
	for _, k := range keys {
		s := mean(scores[k])
		s.lookAhead, s.stride, s.batch, s.micros = k.lookAhead, k.stride, k.batch, slices.Min(micros[k])
		out = append(out, s)
	}
	return out
}

func offline(model, rule string) func(results.Labelled) bool {
	return func(l results.Labelled) bool { return !l.Online && l.Model == model && l.Rule == rule }
}

// chosen is the largest stride up to which every stride's accuracy is within 0.1 points of that of
// stride 1, by the default rule: a stride beyond one that is further off, up or down, is luck.
func chosen(m *measurements, model string) (summary, bool) {
	ways := labelled(m, offline(model, "sum"))
	if len(ways) == 0 {
		return summary{}, false
	}
	c := ways[0]
	for _, s := range ways[1:] {
		if math.Abs(s.accuracy-ways[0].accuracy) > .001 {
			break
		}
		c = s
	}
	c.first = ways[0].micros
	return c, true
}

func points(x float64) string { return fmt.Sprintf("%.2f", 100*x) }

func stridesTable(w io.Writer, m *measurements) {
	type key struct{ steps, stride int }
	scores := make(map[key][]results.Score)
	steps := make(map[key][]int)
	most := 0
	for _, t := range m.accuracy.Training {
		most = max(most, t.Windows)
	}
	for _, t := range m.accuracy.Training {
		k := key{0, t.Stride}
		if t.Windows > most/2 {
			k.steps = 1
		}
		scores[k] = append(scores[k], t.Score)
		steps[k] = append(steps[k], t.Steps)
	}
	head(w, 0, "stride", "steps", "epochs of stride 1", "accuracy", "worst to best seed", "macro F1", "accuracy where the own label is wrong", "n")
	for budget, epochs := range []string{"1", "4"} {
		for _, stride := range []int{1, 2, 4, 8, 16} {
			k := key{budget, stride}
			if scores[k] == nil {
				continue
			}
			s := mean(scores[k])
			row(w, strconv.Itoa(stride), strconv.Itoa(contest.Median(steps[k])), epochs, points(s.accuracy), points(s.low)+" to "+points(s.high), points(s.f1), points(s.ownWrong), strconv.Itoa(s.n))
		}
	}
}

func inferenceTable(w io.Writer, m *measurements) {
	for _, model := range []struct{ name, title string }{
		{"paper", "The paper's network and features, W=60"},
		{"default", "The default model, W=40"},
	} {
		sum := labelled(m, offline(model.name, "sum"))
		if len(sum) == 0 {
			continue
		}
		majority, centre := labelled(m, offline(model.name, "majority")), labelled(m, offline(model.name, "centre"))
		fmt.Fprintf(w, "\n%s (%d trainings; CPU time per event, the rule sum, best of them):\n\n", model.title, sum[0].n)
		head(w, 0, "stride", "µs per event", "accuracy, sum", "against stride 1", "majority", "centre", "macro F1, sum")
		for i, s := range sum {
			row(w, strconv.Itoa(s.stride), fmt.Sprintf("%.0f", s.micros), points(s.accuracy), fmt.Sprintf("%+.2f", 100*(s.accuracy-sum[0].accuracy)),
				points(majority[i].accuracy), points(centre[i].accuracy), points(s.f1))
		}
	}
}

func onlineTable(w io.Writer, m *measurements) {
	for _, model := range []struct{ name, title string }{
		{"paper", "The paper's network and features, W=60"},
		{"default", "The default model, W=40 (a look-ahead above 39 changes nothing)"},
	} {
		ways := labelled(m, func(l results.Labelled) bool { return l.Online && l.Model == model.name })
		if len(ways) == 0 {
			continue
		}
		fmt.Fprintf(w, "\n%s:\n\n", model.title)
		head(w, 0, "look-ahead, events", "accuracy", "worst to best seed", "accuracy where the own label is wrong", "µs per event, batch 1", "µs per event, batch 32")
		for i := 0; i+1 < len(ways); i += 2 { // batch 1 and 32
			a, b := ways[i], ways[i+1]
			row(w, strconv.Itoa(a.lookAhead), points(a.accuracy), points(a.low)+" to "+points(a.high), points(a.ownWrong), fmt.Sprintf("%.0f", a.micros), fmt.Sprintf("%.0f", b.micros))
		}
	}
}
