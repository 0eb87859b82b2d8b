package metrics

import (
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"
	"github.com/sjwhitworth/golearn/evaluation"
	"pgregory.net/rapid"

	"k8ntext/dataset/label"
)

// golden is testdata/sklearn.json, written by bench/peers/metrics_golden.py.
type golden struct {
	Sklearn string `json:"sklearn"`
	Cases   []struct {
		Name      string              `json:"name"`
		True      []label.Label       `json:"true"`
		Predicted []label.Label       `json:"predicted"`
		Want      map[string]*float64 `json:"want"` // null: not defined
	} `json:"cases"`
	Corrected []struct {
		Values []float64  `json:"values"`
		Ratio  float64    `json:"ratio"`
		Want   [3]float64 `json:"want"`
	} `json:"corrected"`
}

func readGolden(t *testing.T) golden {
	t.Helper()
	data, err := os.ReadFile("testdata/sklearn.json")
	if err != nil {
		t.Fatal(err)
	}
	var g golden
	if err := json.Unmarshal(data, &g); err != nil {
		t.Fatal(err)
	}
	return g
}

func confusionOf(truth, predicted []label.Label) *Confusion {
	var c Confusion
	for i := range truth {
		c.Add(truth[i], predicted[i], 1)
	}
	return &c
}

func near(a, b float64) bool { return math.Abs(a-b) < 1e-12 }

func TestSklearn(t *testing.T) {
	for _, c := range readGolden(t).Cases {
		t.Run(c.Name, func(t *testing.T) {
			if len(c.Want) != 12 {
				t.Fatalf("the golden file has %d metrics, want 12", len(c.Want))
			}
			confusion := confusionOf(c.True, c.Predicted)
			for name, want := range c.Want {
				got := confusion.Metric(name)
				switch {
				case want == nil && !math.IsNaN(got):
					t.Errorf("%s is %v, want it undefined", name, got)
				case want != nil && !near(got, *want):
					t.Errorf("%s is %v, want %v", name, got, *want)
				}
			}
		})
	}
}

// The table, rows are truths: 10 | 3 1 0; 20 | 1 2 0; 30 | 0 1 0; and 40 is predicted once for 10.
func TestByHand(t *testing.T) {
	var c Confusion
	c.Add(10, 10, 3)
	c.Add(10, 20, 1)
	c.Add(10, 40, 1)
	c.Add(20, 10, 1)
	c.Add(20, 20, 2)
	c.Add(30, 20, 1)

	// f1: 10: 6/(5+4), 20: 4/(3+4), 30: 0/(1+0), 40: 0/(0+1).
	f10, f20 := 6./9, 4./7
	// Agreement 5 of 9; by chance (5*4 + 3*4 + 1*0 + 0*1)/81.
	chance := 32. / 81
	for name, want := range map[string]float64{
		Accuracy:            5. / 9,
		F1Macro:             (f10 + f20) / 3,
		F1MacroUnion:        (f10 + f20) / 4,
		PrecisionMacro:      (3./4 + 2./4 + 0) / 3,
		PrecisionMacroUnion: (3./4 + 2./4 + 0) / 3, // over 10, 20 and 40; 30 is never predicted
		RecallMacro:         (3./5 + 2./3 + 0) / 3,
		Kappa:               (5./9 - chance) / (1 - chance),
	} {
		if got := c.Metric(name); !near(got, want) {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	if got := c.Metric("no such metric"); !math.IsNaN(got) {
		t.Errorf("an unknown metric is %v, want NaN", got)
	}

	wantClasses := []ClassScore{{10, 5, 3. / 5}, {20, 3, 2. / 3}, {30, 1, 0}}
	if diff := cmp.Diff(wantClasses, c.Classes()); diff != "" {
		t.Errorf("classes (-want +got):\n%s", diff)
	}
	wantCells := []Cell{{10, 10, 3}, {10, 20, 1}, {10, 40, 1}, {20, 10, 1}, {20, 20, 2}, {30, 20, 1}}
	if diff := cmp.Diff(wantCells, c.Cells()); diff != "" {
		t.Errorf("cells (-want +got):\n%s", diff)
	}
}

func TestWindowRecords(t *testing.T) {
	var c Confusion
	c.Add(10, 10, 3)
	c.Add(10, 20, 1)
	c.Add(20, 20, 4)
	id := Record{Corpus: "c", Protocol: "paper", Fold: 2, Method: "network", Seed: 7}
	record := func(subset, metric string, value float64, n int, note string) Record {
		r := id
		r.Subset, r.Metric, r.Value, r.Low, r.High, r.N, r.Note = subset, metric, value, value, value, n, note
		return r
	}

	if got, want := c.WindowRecords(id)[0], record("windows", Accuracy, 7./8, 8,
		"over (window, position) pairs; overlapping windows repeat events, so no interval is given"); got != want {
		t.Errorf("first record\n%+v, want\n%+v", got, want)
	}
	wantClasses := []Record{
		record("windows/10", Accuracy, .75, 4, "n is the class's weight"),
		record("windows/20", Accuracy, 1, 4, "n is the class's weight"),
	}
	if diff := cmp.Diff(wantClasses, c.ClassRecords(id)); diff != "" {
		t.Errorf("class records (-want +got):\n%s", diff)
	}
	const share = "share of the row; n is the row's weight"
	wantCells := []Record{
		record("windows/10", "predicted/10", .75, 4, share),
		record("windows/10", "predicted/20", .25, 4, share),
		record("windows/20", "predicted/20", 1, 4, share),
	}
	if diff := cmp.Diff(wantCells, c.ConfusionRecords(id)); diff != "" {
		t.Errorf("confusion records (-want +got):\n%s", diff)
	}
}

func TestEmptyConfusion(t *testing.T) {
	var c Confusion
	c.Add(1, 1, 0)
	c.Add(1, 1, -3)
	if got := slices.Concat(c.WindowRecords(Record{}), c.ClassRecords(Record{}), c.ConfusionRecords(Record{})); len(got) != 0 {
		t.Errorf("nothing was counted, but there are records: %v", got)
	}
}

// labels draws labels whose components coincide often, and some special ones.
func labels() *rapid.Generator[label.Label] {
	return rapid.OneOf(
		rapid.Custom(func(t *rapid.T) label.Label {
			return label.Tuple{
				Resource: rapid.IntRange(1, 4).Draw(t, "r"), Subresource: rapid.SampledFrom([]int{0, 9}).Draw(t, "s"),
				Verb: rapid.IntRange(1, 3).Draw(t, "v"), Namespaced: rapid.Bool().Draw(t, "n"), Single: rapid.Bool().Draw(t, "u"),
			}.Label()
		}),
		rapid.SampledFrom([]label.Label{label.Unknown, label.Ignore}),
	)
}

// Where golearn is sane (no class without predictions, no spurious class) it must agree.
func TestGolearn(t *testing.T) {
	compared := 0
	rapid.Check(t, func(t *rapid.T) {
		truth := rapid.SliceOfN(rapid.SampledFrom([]label.Label{16, 32, 48}), 1, 60).Draw(t, "truth")
		predicted := slices.Clone(truth)
		for i := range predicted {
			if rapid.IntRange(0, 3).Draw(t, "wrong") == 0 {
				predicted[i] = rapid.SampledFrom(truth).Draw(t, "predicted")
			}
		}
		c := confusionOf(truth, predicted)
		theirs := make(evaluation.ConfusionMatrix)
		for _, cell := range c.Cells() {
			row := strconv.Itoa(int(cell.True))
			if theirs[row] == nil {
				theirs[row] = make(map[string]int)
			}
			theirs[row][strconv.Itoa(int(cell.Predicted))] = int(cell.Count)
		}
		if got, want := c.Metric(Accuracy), evaluation.GetAccuracy(theirs); !near(got, want) {
			t.Errorf("accuracy is %v, golearn has %v", got, want)
		}
		if got, want := c.Metric(RecallMacro), evaluation.GetMacroRecall(theirs); !near(got, want) {
			t.Errorf("macro recall is %v, golearn has %v", got, want)
		}
		// golearn's precision and F1 are NaN for a class without predictions (0/0).
		if want := evaluation.GetMacroPrecision(theirs); !math.IsNaN(want) {
			compared++
			if got := c.Metric(PrecisionMacro); !near(got, want) {
				t.Errorf("macro precision is %v, golearn has %v", got, want)
			}
		}
		f1, classes := 0., 0
		for _, s := range c.Classes() {
			f1 += evaluation.GetF1Score(strconv.Itoa(int(s.Label)), theirs)
			classes++
		}
		if got, want := c.Metric(F1Macro), f1/float64(classes); !math.IsNaN(want) && !near(got, want) {
			t.Errorf("macro F1 is %v, golearn's F1 scores average to %v", got, want)
		}
	})
	if compared == 0 {
		t.Error("golearn's precision was never defined: nothing was compared")
	}
}

func TestConfusionProperties(t *testing.T) {
	names := []string{
		Accuracy, F1Macro, F1MacroUnion, PrecisionMacro, PrecisionMacroUnion, RecallMacro,
		Kappa, KappaResource, KappaSubresource, KappaNamespaced, KappaSingle, KappaVerb,
	}
	rapid.Check(t, func(t *rapid.T) {
		truth := rapid.SliceOfN(labels(), 1, 40).Draw(t, "truth")
		predicted := rapid.SliceOfN(labels(), len(truth), len(truth)).Draw(t, "predicted")
		perfect := rapid.Bool().Draw(t, "perfect")
		if perfect {
			copy(predicted, truth)
		} else {
			perfect = slices.Equal(truth, predicted)
		}
		c := confusionOf(truth, predicted)

		order := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "order"), 0)).Perm(len(truth))
		var first, second Confusion
		for n, i := range order {
			into := &first
			if n%2 == 0 {
				into = &second
			}
			into.Add(truth[i], predicted[i], 1)
		}
		first.Merge(&second)

		for _, name := range names {
			value := c.Metric(name)
			if again := first.Metric(name); again != value && !(math.IsNaN(again) && math.IsNaN(value)) {
				t.Errorf("%s is %v in one order and %v in another", name, value, again)
			}
			low := 0.
			if name[0] == 'k' {
				low = -1
			} else if math.IsNaN(value) {
				t.Errorf("%s is not defined", name)
			}
			if value < low || value > 1 {
				t.Errorf("%s is %v, outside %v to 1", name, value, low)
			}
			if perfect && value != 1 && !math.IsNaN(value) {
				t.Errorf("%s of a perfect prediction is %v", name, value)
			}
		}
		if k := c.Metric(Kappa); (k == 1) != perfect && !math.IsNaN(k) {
			t.Errorf("kappa is %v, but perfect is %v", k, perfect)
		}
		if c.Metric(F1MacroUnion) > c.Metric(F1Macro) {
			t.Errorf("spurious classes raise the union's F1: %v > %v", c.Metric(F1MacroUnion), c.Metric(F1Macro))
		}
		weights := int64(0)
		for _, s := range c.Classes() {
			weights += s.Weight
		}
		if weights != c.Total() || weights != int64(len(truth)) {
			t.Errorf("the classes weigh %d, the total is %d, want %d", weights, c.Total(), len(truth))
		}
	})
}
