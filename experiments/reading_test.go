package experiments

import (
	"math"
	"strings"
	"testing"

	"k8ntext/model"
	"k8ntext/plots"
)

func paperValues(t *testing.T) plots.Paper {
	t.Helper()
	p, err := plots.LoadPaper()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// says checks that a text has some parts and lacks others.
func says(t *testing.T, text string, parts, not []string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("%q does not say %q", text, p)
		}
	}
	for _, p := range not {
		if strings.Contains(text, p) {
			t.Errorf("%q says %q", text, p)
		}
	}
	if strings.Contains(text, "NaN") || strings.Contains(text, "Inf") {
		t.Errorf("%q speaks of numbers that are none", text)
	}
}

func TestReadTraining(t *testing.T) {
	row := func(length int, seconds float64, f1 ...float64) plots.WindowRow {
		return plots.WindowRow{Length: length, F1: f1, TrainSeconds: []float64{seconds}, InferMS: []float64{seconds / 100}}
	}
	cut := []*Result{{Config: model.Config{MaxEpochs: 2}, History: &model.History{Epochs: make([]model.Epoch, 2)}}}
	for _, test := range []struct {
		name       string
		rows       []plots.WindowRow
		results    []*Result
		parts, not []string
	}{
		{
			"rises",
			[]plots.WindowRow{row(5, 10, 0.5, 0.51), row(60, 50, 0.9, 0.91)},
			cut,
			[]string{"F1 rises from 0.5050 at W = 5 to 0.9050 at W = 60", "W = 60 (0.9050)", "paper's goes from 0.8103 at W = 5 to 0.9820", "No other length", "5.0 times as long", "(the paper's: 1.8)", "1 of 1 training ended"},
			[]string{"falls", "not decided"},
		},
		{
			"falls",
			[]plots.WindowRow{row(5, 10, 0.9, 0.91), row(60, 5, 0.5, 0.51)},
			nil,
			[]string{"F1 falls from 0.9050", "highest mean is at W = 5", "0.5 times as long"},
			[]string{"rises", "last allowed epoch"},
		},
		{
			"flat, best in the middle",
			[]plots.WindowRow{row(5, 10, 0.5, 0.6), row(20, 10, 0.6, 0.7), row(60, 10, 0.55, 0.6)},
			nil,
			[]string{"changes by no more than a standard deviation", "highest mean is at W = 20", "not decided: W = 5, 60 lie within"},
			[]string{"rises", "falls"},
		},
		{
			"one of several is near",
			[]plots.WindowRow{row(5, 10, 0.1, 0.11), row(20, 10, 0.7, 0.8), row(60, 10, 0.75, 0.8)},
			nil,
			[]string{"W = 20 lies within"},
			nil,
		},
		{
			"single trainings",
			[]plots.WindowRow{row(5, 10, 0.5), row(60, 10, 0.6)},
			nil,
			[]string{"rises", "no deviation is known"},
			[]string{"standard deviations"},
		},
		{
			"lengths that the paper lacks",
			[]plots.WindowRow{row(6, 10, 0.5), row(7, 10, 0.6)},
			nil,
			[]string{"rises"},
			[]string{"paper"},
		},
		{"one length", []plots.WindowRow{row(5, 10, 0.5)}, cut, []string{"nothing to compare"}, []string{"rises", "best"}},
		{"no times", []plots.WindowRow{row(5, 0, 0.5), row(60, 0, 0.6)}, nil, []string{"rises"}, []string{"times as long"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			says(t, readTraining(test.rows, paperValues(t), test.results), test.parts, test.not)
		})
	}
	says(t, readInference([]plots.WindowRow{row(5, 10, 0.5), row(60, 20, 0.6)}, paperValues(t)),
		[]string{"W = 60 takes 2.0 times as long as at W = 5 (the paper's: 5.0)"}, []string{"F1"})
	says(t, readInference([]plots.WindowRow{row(5, 10, 0.5), {Length: 60}}, paperValues(t)), []string{"nothing to compare"}, []string{"times as long"})
}

func TestReadClasses(t *testing.T) {
	says(t, readClasses([]plots.ClassPoint{{Weight: 4000, Accuracy: 1}, {Weight: 10, Accuracy: 0.5}, {Weight: 30, Accuracy: 1}}, paperValues(t)),
		[]string{"Of 3 labels, 2 are always right and 1 below 0.96", "1 label heavier than 3,000 is right in 1.000", "the others in 0.875", "list limitranges 0.95"}, nil)
	says(t, readClasses([]plots.ClassPoint{{Weight: 4, Accuracy: 1}}, paperValues(t)), []string{"Of 1 label, 1 is always right"}, []string{"heavier"})
	says(t, readClasses([]plots.ClassPoint{{Weight: 4000, Accuracy: 1}}, paperValues(t)), nil, []string{"the others"})
}

func TestReadProtocols(t *testing.T) {
	// row is a method with its score and its values by fold.
	row := func(method string, n int, value float64, folds ...float64) protocolRow {
		score := &plots.Score{Value: value, N: n}
		r := protocolRow{
			ProtocolRow: plots.ProtocolRow{Method: method, Scores: map[string]*plots.Score{headline.Key: score, allAccuracy.Key: score, windowsAccuracy.Key: score}},
			method:      method, network: strings.HasPrefix(method, MethodNetwork), folds: make(map[int]float64),
		}
		for i, f := range folds {
			r.folds[i] = f
		}
		return r
	}
	elsewhere := row("identity", 10, 0.99)
	elsewhere.corpus = "another"
	for _, test := range []struct {
		name       string
		rows       []protocolRow
		parts, not []string
	}{
		{
			"network ahead",
			[]protocolRow{row("network (a)", 10, 0.9), row("network (b)", 10, 0.95, 0.94, 0.96), row("tree", 10, 0.5, 0.5, 0.5)},
			[]string{"network (b) gets 0.950", "tree, 0.500", "lead is +0.450 on average", "2 folds", "in favour of the network"},
			[]string{"network (a)", "another n", "decide"},
		},
		{
			"network behind",
			[]protocolRow{row("network", 10, 0.5, 0.5, 0.51, 0.49), row("tree", 10, 0.6, 0.6, 0.61, 0.6), row("identity", 10, 0.4)},
			[]string{"network gets 0.500", "tree, 0.600", "lead is -0.103", "in favour of the baseline"},
			[]string{"identity", "decide"},
		},
		{
			"not decided",
			[]protocolRow{row("network", 10, 0.5, 0.1, 0.9, 0.5), row("tree", 10, 0.4, 0.5, 0.3, 0.4)},
			[]string{"lead is +0.100", "does not decide"},
			[]string{"favour"},
		},
		{
			"one fold in common",
			[]protocolRow{row("network", 10, 0.5, 0.5), row("tree", 10, 0.6, 0.6, 0.6)},
			[]string{"0.500", "0.600"},
			[]string{"lead", "favour", "decide"},
		},
		{"another corpus", []protocolRow{row("network", 10, 0.5), elsewhere, row("tree", 10, 0.6)}, []string{"tree, 0.600"}, []string{"identity"}},
		{"network alone", []protocolRow{row("network", 10, 0.5)}, []string{"no baseline was run"}, []string{"lead"}},
		{"baselines alone", []protocolRow{row("tree", 10, 0.5)}, []string{"tree, gets 0.500", "no network was trained"}, []string{"lead"}},
		{"no scores", []protocolRow{{ProtocolRow: plots.ProtocolRow{Method: "tree"}}}, nil, []string{"tree", "0."}},
		{"other events", []protocolRow{row("network", 10, 1), row("tree", 11, 1)}, []string{"another n"}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			says(t, readBlockedProtocol(test.rows), test.parts, test.not)
		})
	}

	results := []*Result{{Sizes: Sizes{SharedEvents: 990, TestEvents: 1000}}}
	paper := []protocolRow{row("network (a)", 10, 0.99), row("tree", 10, 0.95)}
	blocked := []protocolRow{row("network (a)", 10, 0.8), row("network (b)", 10, 0.7)}
	says(t, readPaperProtocol(paper, blocked, results), []string{"99.0 % of the test events", "highest accuracy is that of network (a) (0.990)", "For network (a) it is 0.990 here and 0.800 of all events"}, []string{"network (b)"})
	says(t, readPaperProtocol(paper, nil, results), []string{"99.0 %"}, []string{"blocked"})
	says(t, readPaperProtocol(paper, nil, []*Result{{}}), []string{"highest"}, []string{"%"})
}

func TestTrendIgnoresUnknownDeviations(t *testing.T) {
	nan := math.NaN()
	for _, test := range []struct {
		from, to level
		want     string
	}{
		{level{mean: 0.5, std: nan}, level{mean: 0.6, std: nan}, "rises"},
		{level{mean: 0.5, std: nan}, level{mean: 0.6, std: 0.2}, "changes by no more than a standard deviation,"},
		{level{mean: 0.6, std: 0.01}, level{mean: 0.5, std: 0.02}, "falls"},
		{level{mean: 0.6}, level{mean: 0.6}, "changes by no more than a standard deviation,"},
	} {
		if got := trend(test.from, test.to); got != test.want {
			t.Errorf("from %+v to %+v: %q, want %q", test.from, test.to, got, test.want)
		}
	}
}

// TestReadEffects: shares differ by 1 at most, so what needs more is not called a difference.
func TestReadEffects(t *testing.T) {
	for _, test := range []struct {
		detectable []float64
		parts, not []string
	}{
		{[]float64{.02, .1}, []string{"from 0.0200 (the best case) to 0.1000 (the worst)"}, nil},
		{[]float64{2.4, .3}, []string{"from 0.3000 on", "in the worst none"}, []string{"2.4"}},
		{[]float64{2.4, 20}, []string{"even the largest difference"}, []string{"2.4", "20"}},
		{nil, []string{"Of 2 comparisons 0 are beyond noise"}, []string{"best case"}},
	} {
		says(t, readEffects(2, 0, 2, 0, test.detectable, false), test.parts, test.not)
	}
}
