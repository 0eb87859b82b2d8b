package baseline

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"k8ntext/dataset"
	"k8ntext/dataset/audit"
	"k8ntext/dataset/feature"
	"k8ntext/dataset/label"
)

// event is one event of a made-up corpus. The first events of it are the training part.
type event struct {
	own, label label.Label
	ids        []int32
}

const (
	a = label.Label(16)
	b = label.Label(32)
	c = label.Label(48)
	d = label.Label(64)
)

// data makes a corpus of training and other events, whose split has the former as its training part.
func data(training, others []event) Data {
	corpus := &dataset.Corpus{Space: label.Default()}
	all := slices.Concat(training, others)
	m := feature.Matrix{Rows: len(all), Fields: 1}
	split := &dataset.Split{Length: 1, Sequences: [][]int32{{}}}
	for i, e := range all {
		corpus.Events = append(corpus.Events, &audit.Event{})
		corpus.Own = append(corpus.Own, e.own)
		corpus.Labels = append(corpus.Labels, e.label)
		if len(e.ids) > 0 {
			m.Fields = len(e.ids)
			m.IDs = append(m.IDs, e.ids...)
		} else {
			m.IDs = append(m.IDs, 0)
		}
		split.Sequences[0] = append(split.Sequences[0], int32(i))
		window := dataset.Window{Start: int32(i)}
		if i < len(training) {
			split.Train = append(split.Train, window)
		} else {
			split.Test = append(split.Test, window)
		}
	}
	return Data{Corpus: corpus, Split: split, Features: m}
}

// run fits a baseline and returns its answers for the test part.
func run(t interface{ Fatal(...any) }, m Baseline, d Data) ([]label.Label, string) {
	p, err := m.Fit(context.Background(), d)
	if err != nil {
		t.Fatal(m.Name(), err)
	}
	labels, err := p.Predict(context.Background(), d.Split.TestEvents())
	if err != nil {
		t.Fatal(m.Name(), err)
	}
	return labels, p.Note()
}

func TestBaselines(t *testing.T) {
	ids := func(ids ...int32) []int32 { return ids }
	for _, test := range []struct {
		name             string
		baseline         Baseline
		training, others []event
		want             []label.Label
		note             string
	}{
		{
			name: "own label", baseline: ownLabel{},
			others: []event{{own: a, label: b}, {own: label.Unknown, label: b}},
			want:   []label.Label{a, label.Unknown},
		},
		{
			name: "majority, the lowest of equals, ambiguous events not counted", baseline: majority{},
			training: []event{{label: b}, {label: a}, {label: b}, {label: a}, {label: label.Unknown}, {label: label.Unknown}, {label: label.Unknown}},
			others:   []event{{label: c}, {own: b, label: c}},
			want:     []label.Label{a, a},
			note:     "trained on 4 events",
		},
		{
			name: "majority per own label", baseline: perOwn{},
			training: []event{{own: a, label: b}, {own: a, label: b}, {own: a, label: a}, {own: b, label: d}, {own: b, label: c}, {own: c, label: label.Unknown}},
			others:   []event{{own: a}, {own: b}, {own: c}, {own: label.Unknown}},
			want:     []label.Label{b, c, c, label.Unknown},
			note:     "trained on 5 events",
		},
		{
			name: "tree", baseline: newTree(Options{}),
			training: []event{
				{label: c, ids: ids(1, 0)},
				{label: c, ids: ids(1, 4)},
				{label: c, ids: ids(1, 5)},
				{label: b, ids: ids(2, 4)},
				{label: b, ids: ids(2, 5)},
				{label: a, ids: ids(3, 6)},
			},
			others: []event{{ids: ids(1, 9)}, {ids: ids(2, 0)}, {ids: ids(3, 1)}},
			want:   []label.Label{c, b, a},
			note:   "trained on 6 events",
		},
		{
			name: "tree of one label", baseline: newTree(Options{}),
			training: []event{{label: d, ids: ids(1)}, {label: d, ids: ids(2)}},
			others:   []event{{ids: ids(1)}, {ids: ids(7)}},
			want:     []label.Label{d, d},
			note:     "trained on 2 events",
		},
		{
			name: "tree without a split", baseline: newTree(Options{}),
			training: []event{{label: c, ids: ids(4)}, {label: d, ids: ids(4)}, {label: d, ids: ids(4)}, {label: a, ids: ids(4)}},
			others:   []event{{ids: ids(0)}, {ids: ids(4)}},
			want:     []label.Label{d, d},
			note:     "trained on 4 events",
		},
		{
			name: "tree, drawn", baseline: newTree(Options{TreeRows: 2}),
			training: []event{{label: c, ids: ids(1)}, {label: c, ids: ids(1)}, {label: c, ids: ids(1)}},
			others:   []event{{ids: ids(0)}},
			want:     []label.Label{c},
			note:     "trained on 2 of 3 events, drawn at random: it is slow",
		},
		{
			name: "naive Bayes", baseline: naiveBayes{},
			training: []event{
				{label: b, ids: ids(1, 7)},
				{label: b, ids: ids(1, 8)},
				{label: b, ids: ids(1, 9)},
				{label: a, ids: ids(2, 7)},
				{label: a, ids: ids(2, 8)},
				{label: a, ids: ids(2, 9)},
			},
			// The last two have no id of training, or one that both classes have: a tie.
			others: []event{{ids: ids(1, 7)}, {ids: ids(2, 5)}, {ids: ids(3, 5)}, {ids: ids(3, 7)}},
			want:   []label.Label{b, a, a, a},
			note:   "trained on 6 events",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, note := run(t, test.baseline, data(test.training, test.others))
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("labels (-want +got):\n%s", diff)
			}
			if note != test.note {
				t.Errorf("the note is %q, want %q", note, test.note)
			}
		})
	}
}

func TestErrors(t *testing.T) {
	unlabelled := data([]event{{label: label.Unknown}}, []event{{own: a}})
	mismatched := data([]event{{label: a}}, nil)
	mismatched.Features.Rows++
	for _, m := range All(Options{}) {
		trains := m.Name() != "own-label" && m.Name() != "identity"
		if _, err := m.Fit(context.Background(), unlabelled); errors.Is(err, errNoTraining) != trains {
			t.Errorf("%s without labelled training events: the error is %v", m.Name(), err)
		}
		usesFeatures := m.Name() == "tree" || m.Name() == "naive-bayes"
		_, err := m.Fit(context.Background(), mismatched)
		if usesFeatures != (err != nil && strings.Contains(err.Error(), "the feature matrix has 2 rows for 1 events")) {
			t.Errorf("%s with a matrix of another corpus: the error is %v", m.Name(), err)
		}
	}
}

func TestCancel(t *testing.T) {
	stopped, cancel := context.WithCancel(context.Background())
	cancel()
	d := data([]event{{label: a, ids: []int32{1}}, {label: b, ids: []int32{2}}}, []event{{ids: []int32{1}}})
	for _, m := range []Baseline{newTree(Options{}), naiveBayes{}, propagation{}} {
		if m.Name() != "identity" {
			if _, err := m.Fit(stopped, d); !errors.Is(err, context.Canceled) {
				t.Errorf("%s: the fit's error is %v, want %v", m.Name(), err, context.Canceled)
			}
		}
		p, err := m.Fit(context.Background(), d)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Predict(stopped, d.Split.TestEvents()); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: the prediction's error is %v, want %v", m.Name(), err, context.Canceled)
		}
	}
}

func TestNames(t *testing.T) {
	var names []string
	for _, m := range All(Options{}) {
		names = append(names, m.Name())
	}
	want := []string{"majority", "own-label", "majority-per-own-label", "identity", "naive-bayes", "tree"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("the baselines (-want +got):\n%s", diff)
	}
}

// events draws events with few labels and ids, so that rows and labels coincide often.
func events(minimum int) *rapid.Generator[[]event] {
	return rapid.Custom(func(t *rapid.T) []event {
		n := rapid.IntRange(minimum, 25).Draw(t, "n")
		all := make([]event, n)
		someLabel := rapid.SampledFrom([]label.Label{a, b, c, d})
		for i := range all {
			all[i] = event{
				own:   someLabel.Draw(t, "own"),
				label: someLabel.Draw(t, "label"),
				ids:   rapid.SliceOfN(rapid.Int32Range(0, 3), 3, 3).Draw(t, "ids"),
			}
		}
		return all
	})
}

// No baseline may look at a label outside the training part, and each gives the same answer twice.
func TestOnlyTraining(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		training, others := events(1).Draw(t, "training"), events(1).Draw(t, "others")
		first := data(training, others)
		for i := range others {
			others[i].label = rapid.SampledFrom([]label.Label{a, b, c, d, label.Unknown}).Draw(t, "other label")
		}
		second := data(training, others)
		o := Options{TreeRows: rapid.IntRange(1, 30).Draw(t, "rows"), Seed: rapid.Uint64().Draw(t, "seed")}
		for i, m := range All(o) {
			one, _ := run(t, m, first)
			two, _ := run(t, All(o)[i], second)
			if diff := cmp.Diff(one, two); diff != "" {
				t.Fatalf("%s changes with the labels of the test part:\n%s", m.Name(), diff)
			}
			if len(one) != len(others) {
				t.Fatalf("%s gives %d labels for %d events", m.Name(), len(one), len(others))
			}
		}
	})
}

// A tree that is grown until pure knows its training rows, as far as equal rows have equal labels.
func TestTreeKnowsTraining(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		training := events(1).Draw(t, "training")
		// The label is a weighted sum of the ids, so that there is always a split that helps.
		for i := range training {
			training[i].label = label.Label(16 * (1 + training[i].ids[0] + 4*training[i].ids[1]))
		}
		got, _ := run(t, newTree(Options{}), data(training, training))
		for i := range training {
			if got[i] != training[i].label {
				t.Fatalf("row %v is %d, want %d", training[i].ids, got[i], training[i].label)
			}
		}
	})
}

// The drawing depends on the seed alone.
func TestTreeDrawing(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	training := make([]event, 60)
	for i := range training {
		training[i] = event{label: label.Label(16 * (1 + random.IntN(4))), ids: []int32{random.Int32N(20), random.Int32N(20)}}
	}
	d := data(training, training)
	one, _ := run(t, newTree(Options{TreeRows: 20, Seed: 1}), d)
	again, _ := run(t, newTree(Options{TreeRows: 20, Seed: 1}), d)
	other, _ := run(t, newTree(Options{TreeRows: 20, Seed: 2}), d)
	if !slices.Equal(one, again) {
		t.Error("the same seed gives another tree")
	}
	if slices.Equal(one, other) {
		t.Error("another seed draws the same events: the labels are random, so the trees should differ")
	}
}
