package metrics

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"k8ntext/dataset/label"
)

// values returns the values and counts of one metric by subset, and fails on a doubled record.
func values(t *testing.T, records []Record, metric string) map[string]string {
	t.Helper()
	got := make(map[string]string)
	for _, r := range records {
		if r.Metric != metric {
			continue
		}
		if _, ok := got[r.Subset]; ok {
			t.Errorf("%s has two records for %s", r.Subset, r.Metric)
		}
		got[r.Subset] = fmt.Sprintf("%.4g of %d", r.Value, r.N)
	}
	return got
}

func TestSubsets(t *testing.T) {
	const a, b, c = 16, 32, 48
	outcomes := []Outcome{
		{True: a, Predicted: a, Own: a, Context: 0, Class: User | Trigger, Seen: true},
		{True: a, Predicted: a, Own: b, Context: 0, Class: User, Seen: true},
		{True: a, Predicted: b, Own: b, Context: 0, Class: User, Seen: true},
		{True: c, Predicted: a, Own: c, Context: 1, Class: User | Trigger},
		{True: c, Predicted: a, Own: b, Context: 1, Class: User},
		{True: b, Predicted: b, Own: b, Context: 2, Class: ByRule, Seen: true},
		{True: b, Predicted: a, Own: a, Context: -1, Seen: true},
		// Requests without objectRef count only under all, whatever else is said of them.
		{True: b, Predicted: b, Own: a, Context: -1, Class: NonResource | User, Seen: true},
		// Ambiguous: user-caused for sure, right by its candidates; and of unknown cause, wrong by them.
		{True: label.Unknown, Predicted: a, Own: a, Candidates: []label.Label{b, a}, Context: -1, Class: Ambiguous | User},
		{True: label.Unknown, Predicted: a, Own: a, Candidates: []label.Label{b, c}, Context: -1, Class: Ambiguous},
		// No label: not scored at all.
		{True: label.Unknown, Predicted: label.Unknown, Own: label.Unknown, Context: -1, Class: User},
	}
	records := Score(outcomes, Options{Resamples: -1})

	want := map[string]string{
		"all":        "0.5 of 8",
		"all/seen":   "0.6667 of 6",
		"all/unseen": "0 of 2",

		"user":        "0.4 of 5",
		"user/seen":   "0.6667 of 3",
		"user/unseen": "0 of 2",

		"nontrigger":        "0.3333 of 3",
		"nontrigger/seen":   "0.5 of 2",
		"nontrigger/unseen": "0 of 1",

		"own-wrong":        "0.25 of 4",
		"own-wrong/seen":   "0.3333 of 3",
		"own-wrong/unseen": "0 of 1",

		"by-rule":      "1 of 1",
		"by-rule/seen": "1 of 1",

		"background":      "0.5 of 2",
		"background/seen": "0.5 of 2",
	}
	if diff := cmp.Diff(want, values(t, records, Accuracy)); diff != "" {
		t.Errorf("accuracy (-want +got):\n%s", diff)
	}
	want = map[string]string{"all": "0.5 of 10", "user": "0.5 of 6", "nontrigger": "0.5 of 4"}
	if diff := cmp.Diff(want, values(t, records, AccuracyCandidates)); diff != "" {
		t.Errorf("right if among the candidates (-want +got):\n%s", diff)
	}
	want = map[string]string{"all": "0.4 of 10", "user": "0.3333 of 6", "nontrigger": "0.25 of 4"}
	if diff := cmp.Diff(want, values(t, records, AccuracyAmbiguous)); diff != "" {
		t.Errorf("ambiguous all wrong (-want +got):\n%s", diff)
	}
}

func TestScoreKeepsIdentity(t *testing.T) {
	id := Record{Corpus: "c", Protocol: "blocked", Fold: 3, Method: "own-label", Seed: 9}
	records := Score([]Outcome{{True: 16, Predicted: 16, Own: 16, Context: -1}}, Options{ID: id})
	got := records[0]
	want := id
	want.Subset, want.Metric, want.N, want.Value, want.Low, want.High = "all", "accuracy", 1, 1, 1, 1
	want.Note = "one context only: no interval"
	if got != want {
		t.Errorf("got\n%+v, want\n%+v", got, want)
	}
}

func TestScoreNothing(t *testing.T) {
	if got := Score(nil, Options{}); len(got) != 0 {
		t.Errorf("no outcomes, but records: %v", got)
	}
}

func find(t *testing.T, records []Record, subset, metric string) Record {
	t.Helper()
	for _, r := range records {
		if r.Subset == subset && r.Metric == metric {
			return r
		}
	}
	t.Fatalf("no record for %s %s", subset, metric)
	return Record{}
}

// 400 independent events, 300 of them right: the share of right ones is binomial, with a standard
// deviation of sqrt(.75*.25/400) = .0217, so its 95 % interval is .7076 to .7924. In contexts of 20
// events that are all right or all wrong there are only 20 independent draws: by the quantiles of that
// binomial .55 to .9.
func TestBootstrapWidth(t *testing.T) {
	alone := make([]Outcome, 400)
	grouped := make([]Outcome, 400)
	for i := range alone {
		alone[i] = Outcome{True: 16, Predicted: 16, Context: -1}
		if i < 100 {
			alone[i].Predicted = 32
		}
		grouped[i] = alone[i]
		grouped[i].Context = int32(i / 20)
	}
	for _, c := range []struct {
		name      string
		outcomes  []Outcome
		low, high float64
		slack     float64
		note      string
	}{
		{"alone", alone, .7076, .7924, .008, "95 % percentile bootstrap over 400 contexts, 1000 resamples; one training"},
		{"grouped", grouped, .55, .9, .01, "95 % percentile bootstrap over 20 contexts, 1000 resamples; one training"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := find(t, Score(c.outcomes, Options{}), SubsetAll, Accuracy)
			if r.Value != .75 || r.Low < c.low-c.slack || r.Low > c.low+c.slack || r.High < c.high-c.slack || r.High > c.high+c.slack {
				t.Errorf("%v, %v to %v, want .75, %v to %v", r.Value, r.Low, r.High, c.low, c.high)
			}
			if r.Note != c.note {
				t.Errorf("the note is %q, want %q", r.Note, c.note)
			}
		})
	}
}

// Two contexts: a resample takes one of them twice a quarter of the time each, so that kappa, not
// defined on one class alone, is missing from half the resamples.
func TestBootstrapUndefined(t *testing.T) {
	outcomes := []Outcome{{True: 16, Predicted: 16, Context: 0}, {True: 32, Predicted: 32, Context: 1}}
	r := find(t, Score(outcomes, Options{Resamples: 400}), SubsetAll, Kappa)
	if r.Value != 1 || r.Low != 1 || r.High != 1 || !strings.Contains(r.Note, "resamples in which it is not defined are left out") {
		t.Errorf("kappa is %+v, want 1 with a note on undefined resamples", r)
	}
	if r := find(t, Score(outcomes, Options{Resamples: 400}), SubsetAll, Accuracy); strings.Contains(r.Note, "not defined") {
		t.Errorf("accuracy is always defined, but its note is %q", r.Note)
	}
}

func outcomes() *rapid.Generator[[]Outcome] {
	classes := []Class{0, ByRule, User, User | Trigger, NonResource, Ambiguous, Ambiguous | User}
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Outcome {
		o := Outcome{
			True:      labels().Draw(t, "true"),
			Predicted: labels().Draw(t, "predicted"),
			Own:       labels().Draw(t, "own"),
			Context:   rapid.Int32Range(-1, 6).Draw(t, "context"),
			Class:     rapid.SampledFrom(classes).Draw(t, "class"),
			Seen:      rapid.Bool().Draw(t, "seen"),
		}
		if o.Class&Ambiguous != 0 {
			o.Candidates = rapid.SliceOfN(labels(), 0, 3).Draw(t, "candidates")
		}
		return o
	}), 0, 30)
}

func TestScoreProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := outcomes().Draw(t, "outcomes")
		o := Options{Resamples: 20, BootstrapSeed: rapid.Uint64().Draw(t, "seed")}
		records := Score(all, o)

		// Neither the order of the events nor the numbers of their contexts may show.
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "order"), 0))
		names := random.Perm(7)
		other := make([]Outcome, len(all))
		for n, i := range random.Perm(len(all)) {
			other[n] = all[i]
			if all[i].Context >= 0 {
				other[n].Context = int32(10 * names[all[i].Context])
			}
		}
		if diff := cmp.Diff(records, Score(other, o)); diff != "" {
			t.Fatalf("another order or naming gives other records:\n%s", diff)
		}

		n := make(map[string]int)
		for _, r := range records {
			low := 0.
			if strings.HasPrefix(r.Metric, Kappa) {
				low = -1
			}
			if !(low <= r.Low && r.Low <= r.High && r.High <= 1 && low <= r.Value && r.Value <= 1) {
				t.Fatalf("%s %s is %v, %v to %v", r.Subset, r.Metric, r.Value, r.Low, r.High)
			}
			if r.N < 1 {
				t.Fatalf("%s %s has n %d", r.Subset, r.Metric, r.N)
			}
			if r.Metric == Accuracy {
				n[r.Subset] = r.N
			}
			if strings.HasPrefix(r.Subset, SubsetByRule) && r.N > n[strings.Replace(r.Subset, SubsetByRule, SubsetAll, 1)] {
				t.Fatalf("%s has %d events, all has fewer", r.Subset, r.N)
			}
		}
		for _, s := range subsets {
			if n[s.name] != n[s.name+Seen]+n[s.name+Unseen] {
				t.Fatalf("%s has %d events, %d seen and %d unseen", s.name, n[s.name], n[s.name+Seen], n[s.name+Unseen])
			}
		}
		if n[SubsetUser]+n[SubsetBackground] > n[SubsetAll] {
			t.Fatalf("%d user-caused and %d background events of %d", n[SubsetUser], n[SubsetBackground], n[SubsetAll])
		}
		for _, r := range records {
			if r.Metric == AccuracyAmbiguous && r.Value > find2(records, r.Subset, AccuracyCandidates) {
				t.Fatalf("%s: ambiguous all wrong scores above right by candidates", r.Subset)
			}
		}
	})
}

func find2(records []Record, subset, metric string) float64 {
	for _, r := range records {
		if r.Subset == subset && r.Metric == metric {
			return r.Value
		}
	}
	return -1
}

// A method that answers with the own label is right nowhere on own-wrong, and everywhere outside it.
func TestOwnLabelOnOwnWrong(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := outcomes().Draw(t, "outcomes")
		for i := range all {
			all[i].Predicted = all[i].Own
		}
		for _, r := range Score(all, Options{Resamples: -1}) {
			if strings.HasPrefix(r.Subset, SubsetOwnWrong) && r.Metric == Accuracy && r.Value != 0 {
				t.Fatalf("own label scores %v on %s", r.Value, r.Subset)
			}
		}
	})
}

// BenchmarkScore is one fold of a corpus of ten thousand events: mostly background, 120 contexts.
func BenchmarkScore(b *testing.B) {
	random := rand.New(rand.NewPCG(1, 1))
	all := make([]Outcome, 2000)
	for i := range all {
		o := &all[i]
		o.True = label.Label(16 * (1 + int(random.ExpFloat64()*20)))
		o.Predicted, o.Own = o.True, o.True
		if random.IntN(4) == 0 {
			o.Predicted = label.Label(16 * (1 + random.IntN(60)))
		}
		o.Context, o.Seen = -1, random.IntN(4) > 0
		if i%3 == 0 {
			o.Context, o.Class = int32(random.IntN(120)), User
			o.Own = 16
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		Score(all, Options{})
	}
}
