package plots

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gonum.org/v1/plot/cmpimg"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden returns the file of that name, after writing got to it where -update says so.
func golden(t *testing.T, name string, got []byte) []byte {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v: go test -update writes it", err)
	}
	return want
}

func paperValues(t *testing.T) Paper {
	t.Helper()
	p, err := LoadPaper()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// syntheticClasses are labels as a good training leaves them: many light ones, some of them often
// wrong, and a few heavy ones that are nearly always right.
func syntheticClasses() []ClassPoint {
	rng := rand.New(rand.NewPCG(9, 9))
	points := []ClassPoint{
		{Name: "heaviest", Weight: 98_000, Accuracy: 1},
		{Name: "lightest", Weight: 0.5, Accuracy: 1},
		{Name: "<script>\x1b[31m", Weight: 5, Accuracy: 0.62},
	}
	for i := range 200 {
		weight := math.Exp(rng.Float64() * 10)
		accuracy := 1.0
		if rng.Float64() < 0.4 {
			accuracy -= min(0.35, rng.ExpFloat64()/(2+weight/40))
		}
		points = append(points, ClassPoint{Name: fmt.Sprint(i), Weight: weight, Accuracy: accuracy})
	}
	return points
}

// serial leaves out pictures under -short: short tests are those under the race detector, and a picture is
// drawn by one goroutine.
func serial(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("one goroutine: nothing for the race detector")
	}
}

// TestClassAccuracyPicture compares Figure 9 with its golden picture. Look at the picture after -update.
func TestClassAccuracyPicture(t *testing.T) {
	serial(t)
	for name, change := range map[string]func([]ClassPoint) []ClassPoint{
		"figure9.png":      func(p []ClassPoint) []ClassPoint { return p },
		"figure9-zero.png": func(p []ClassPoint) []ClassPoint { p[2].Accuracy = 0; return p[:20] },
		"figure9-one.png":  func(p []ClassPoint) []ClassPoint { return p[:1] },
	} {
		t.Run(name, func(t *testing.T) {
			f, err := ClassAccuracy(change(syntheticClasses()), paperValues(t))
			if err != nil {
				t.Fatal(err)
			}
			var got bytes.Buffer
			if err := f.Write(&got, "png"); err != nil {
				t.Fatal(err)
			}
			// Text and curves differ by a shade where processors round differently.
			same, err := cmpimg.EqualApprox("png", got.Bytes(), golden(t, name, got.Bytes()), 0.1)
			if err != nil {
				t.Fatal(err)
			}
			if !same {
				path := filepath.Join(t.ArtifactDir(), name)
				if err := os.WriteFile(path, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
				t.Errorf("the picture differs from testdata/%s: see %s (go test -artifacts keeps it)", name, path)
			}
		})
	}
}

// TestFigureFormats draws twice in every format: results are committed, so bytes must not change by themselves.
func TestFigureFormats(t *testing.T) {
	serial(t)
	starts := map[string]string{"svg": "<?xml", "png": "\x89PNG", "pdf": "%PDF"}
	for _, format := range Formats() {
		var drawn [2]bytes.Buffer
		for i := range drawn {
			f, err := ClassAccuracy(syntheticClasses(), paperValues(t))
			if err != nil {
				t.Fatal(err)
			}
			if err := f.Write(&drawn[i], format); err != nil {
				t.Fatal(err)
			}
		}
		if !strings.HasPrefix(drawn[0].String(), starts[format]) {
			t.Errorf("%s begins with %q", format, drawn[0].String()[:8])
		}
		if !bytes.Equal(drawn[0].Bytes(), drawn[1].Bytes()) {
			t.Errorf("%s: drawn twice it differs", format)
		}
		if dates := strings.Count(drawn[0].String(), "(D:"); format == "pdf" && dates != strings.Count(drawn[0].String(), "(D:20000101000000") {
			t.Errorf("the PDF has dates of its drawing")
		}
		if strings.Contains(drawn[0].String(), "<script>") {
			t.Errorf("%s holds the text of a label", format)
		}
	}
	f, err := ClassAccuracy(syntheticClasses(), paperValues(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Write(io.Discard, "gif"); err == nil || !strings.Contains(err.Error(), `figure9 as gif`) {
		t.Errorf("an unknown format gives %v", err)
	}
}

func TestClassAccuracyRefuses(t *testing.T) {
	for name, points := range map[string][]ClassPoint{
		"no labels":          nil,
		"no weight":          {{Name: "x", Accuracy: 1}},
		"infinite weight":    {{Name: "x", Weight: math.Inf(1), Accuracy: 1}},
		"NaN weight":         {{Name: "x", Weight: math.NaN(), Accuracy: 1}},
		"NaN accuracy":       {{Name: "x", Weight: 1, Accuracy: math.NaN()}},
		"accuracy above one": {{Name: "x", Weight: 1, Accuracy: 1.01}},
	} {
		if _, err := ClassAccuracy(points, paperValues(t)); err == nil || !strings.Contains(err.Error(), "draw class accuracy") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestTicks(t *testing.T) {
	for _, test := range []struct{ low, high float64 }{{0, 1}, {0.95, 1}, {0.9, 1}, {0.75, 1}, {0.6, 1}, {0.35, 1}, {0.05, 1}} {
		ticks := evenTicks(test.low, test.high)
		if len(ticks) < 4 || len(ticks) > 12 {
			t.Errorf("from %g to %g: %d ticks", test.low, test.high, len(ticks))
		}
		seen := make(map[string]bool)
		for _, tick := range ticks {
			if seen[tick.Label] {
				t.Errorf("from %g to %g: label %s stands twice", test.low, test.high, tick.Label)
			}
			seen[tick.Label] = true
			if got := fmt.Sprintf("%.6f", tick.Value); !strings.HasPrefix(got, tick.Label) {
				t.Errorf("from %g to %g: label %s at %s", test.low, test.high, tick.Label, got)
			}
		}
		if !seen["1.0"] && !seen["1.00"] {
			t.Errorf("from %g to %g: no tick at 1: %v", test.low, test.high, ticks)
		}
	}
	var labels []string
	for _, tick := range powersOfTen(math.Log10(0.4), math.Log10(130_000)) {
		if tick.Label != "" {
			labels = append(labels, tick.Label)
		}
	}
	if diff := cmp.Diff([]string{"1", "10", "100", "1,000", "10,000", "100,000"}, labels); diff != "" {
		t.Errorf("labels of powers of ten (-want +got):\n%s", diff)
	}
}

// goldenTables is every kind of table with ordinary and hostile cells.
func goldenTables(t *testing.T) []*Table {
	p := paperValues(t)
	windows := []WindowRow{
		{Length: 5, F1: []float64{0.61, 0.63}, TrainSeconds: []float64{10, 11}, InferMS: []float64{0.2, 0.22}, Steps: []float64{900, 900}, TrainEvents: []float64{9801, 9802}, TestWindows: []float64{981, 981}, Interval: "0.6200\nn too small"},
		{Length: 60, F1: []float64{0.9}, TrainSeconds: []float64{100}, InferMS: []float64{1.25}, Steps: []float64{900}, TrainEvents: []float64{9802}, TestWindows: []float64{975}},
		{Length: 61}, // not in the paper, and no trial has ended
	}
	return []*Table{
		WindowTraining(windows, p, "Ours: n trainings."),
		WindowInference(windows, p, "Ours: n trainings."),
		Protocols("protocol-blocked", "Network and baselines", []ProtocolColumn{{"all accuracy", "all"}, {"own-wrong accuracy", "own label wrong"}},
			[]ProtocolRow{
				{Method: "network", Training: "900 steps on 7,400 events", Scores: map[string]*Score{
					"all accuracy":       {Value: 0.84123, Low: 0.8, High: 0.9, N: 9783},
					"own-wrong accuracy": {Value: 0.7, Low: 0.7, High: 0.7, N: 4731, Note: "median of 3"},
				}},
				{Method: "own-label", Training: "nothing", Scores: map[string]*Score{"own-wrong accuracy": {N: 4731}}},
			}, "Corpus x."),
		hostileTable(),
		Symbols(),
		Features([]FeatureRow{{"verb", "the verb, merged to five", "verb id", 5, false}, {"responseObject.involvedObject.resource", "always null", "text", 1, true}, {"x", "", "text", 0, false}}, "Corpus x."),
		LabelFields([]LabelSpace{{"paper", 58, 100, 1356, 59}, {"default", 90, 150, 900, 91}}, p),
		HyperparameterTable([]Hyperparameters{{
			Name: "ours", Window: 40, Features: 60, MaxEpochs: 40, Patience: 8, ReducePatience: 3, Batch: 32, Stride: 4, WindowsPerEpoch: 2400, Parameters: 400_000,
			Units1: 128, Units2: 96, LearningRate: .004, ReduceFactor: .3, Dropout: .4, Input: "embedding",
		}}, p, "A note."),
		Comparisons("effects", "Effects", "A note.", []Comparison{
			{"x", "without verb", "all features", "macro F1", 6, -.01, -.015, -.005, .0004, .004, "lower, beyond noise"},
			{"x", "without _x_", "all features", "macro F1", 1, .01, .01, .01, math.NaN(), math.NaN(), "n too small"},
		}),
		Noise([]NoiseRow{{"window-size", "macro F1", 7, 14, .004, .003, .008, .012}}, p, "A note."),
		Corpora([]CorpusRow{{Name: "x", Kubernetes: "v1.34.4", Level: "Metadata", Events: 9802, Labels: 393, UserContexts: 1006, NonTriggers: 5000, OwnWrong: 4731, Ambiguous: 12}}, p, "Counts are of events."),
	}
}

func TestGoldenTables(t *testing.T) {
	for _, table := range goldenTables(t) {
		for suffix, write := range map[string]func(io.Writer) error{
			".md": table.WriteMarkdown, ".csv": table.WriteCSV, ".tex": table.WriteLaTeX, ".txt": table.WriteText,
		} {
			var got bytes.Buffer
			if err := write(&got); err != nil {
				t.Fatal(err)
			}
			name := table.ID + suffix
			if diff := cmp.Diff(string(golden(t, name, got.Bytes())), got.String()); diff != "" {
				t.Errorf("testdata/%s (-want +got):\n%s", name, diff)
			}
		}
	}
}
