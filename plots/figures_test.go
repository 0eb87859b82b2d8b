package plots

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gonum.org/v1/plot/cmpimg"
)

// must fails the test where a figure cannot be drawn.
func must(t *testing.T) func(f *Figure, err error) *Figure {
	t.Helper()
	return func(f *Figure, err error) *Figure {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
}

// trainings are values as trainings with different seeds leave them.
func trainings(rng *rand.Rand, n int, mean, spread float64) []float64 {
	values := make([]float64, n)
	for i := range values {
		values[i] = min(1, mean+spread*rng.NormFloat64())
	}
	return values
}

func syntheticRemovals() (all []float64, removals []Removal) {
	rng := rand.New(rand.NewPCG(6, 6))
	all = trainings(rng, 6, .9921, .004)
	for _, f := range []string{
		"objectRef.namespace", "objectRef.subresource", "verb", "user.groups[0]", "userAgent.tool", "responseObject.metadata.namespace",
		"requestObject.metadata.ownerReferences.controller", "responseObject.involvedObject.kind", "requestObject.volumeBindingMode",
		"responseStatus.code", "userAgent.extra", "annotations.authorization.k8s.io/decision", "responseObject.count",
	} {
		removals = append(removals, Removal{f, trainings(rng, 6, .985+.008*rng.Float64(), .003)})
	}
	return all, removals
}

func syntheticFolds() []FoldRow {
	rng := rand.New(rand.NewPCG(8, 8))
	var rows []FoldRow
	for k := 2; k <= 20; k++ {
		r := FoldRow{}
		for i := range k {
			r.Accuracy = append(r.Accuracy, .93-.06*rng.Float64()-.25*math.Pow(float64(i)/float64(k-1), 6))
		}
		rows = append(rows, r)
	}
	rows[12].Accuracy[5] = math.NaN()
	return rows
}

func syntheticConfusion(labels int32) (cells []ConfusionCell, name func(int32) string) {
	rng := rand.New(rand.NewPCG(7, 7))
	for l := range labels {
		n := math.Ceil(math.Exp(8 * rng.Float64()))
		wrong := math.Floor(n * .3 * rng.Float64() * rng.Float64())
		cells = append(cells, ConfusionCell{l, l, n - wrong})
		for ; wrong > 0; wrong = math.Floor(wrong / 2) {
			cells = append(cells, ConfusionCell{l, rng.Int32N(labels + 2), math.Ceil(wrong / 2)})
		}
	}
	return cells, func(l int32) string { return fmt.Sprintf("delete apps/replicasets (one, namespaced) %d<b>", l) }
}

// deployment is a line as an API server writes it, made up.
var deployment = `{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"RequestResponse","auditID":"0b1c","stage":"ResponseComplete",` +
	strings.Repeat(`"requestURI":"/apis/apps/v1/namespaces/shop/deployments?fieldManager=kubectl-create","verb":"create","user":{"username":"alice","groups":["system:authenticated"]},`, 9) +
	`"quote":"\": no name","end":[1,2]}`

// drawnFigures are all figures with synthetic values.
func drawnFigures(t *testing.T) map[string]*Figure {
	p, ok := paperValues(t), must(t)
	all, removals := syntheticRemovals()
	rng := rand.New(rand.NewPCG(5, 5))
	var losses, validation [][]float64
	for n := range 3 {
		var a, b []float64
		for e := range 20 + 4*n {
			a = append(a, .3*math.Exp(-float64(e)/5)+.002+.001*rng.Float64())
			b = append(b, .25*math.Exp(-float64(e)/6)+.012+.004*rng.Float64())
		}
		losses, validation = append(losses, a), append(validation, b)
	}
	var effects []Effect
	for i := range 12 {
		mean, half := (float64(i)-7)/900, .001+.004*rng.Float64()
		e := Effect{Name: "without " + removals[i].Feature, Mean: mean, Low: mean - half, High: mean + half, N: 6, Verdict: "within noise"}
		if e.Beyond = math.Abs(mean) > half; e.Beyond {
			e.Verdict = "beyond noise"
		}
		effects = append(effects, e)
	}
	effects[3] = Effect{Name: "without user.groups[0]", Mean: -.0044, Low: -.0044, High: -.0044, N: 1, Verdict: "n too small"}
	var bins []MarginBin
	for i := range 10 {
		n := 20 + 30*i*i
		bins = append(bins, MarginBin{float64(i) / 10, float64(i+1) / 10, n, int(float64(n) * (.35 + .065*float64(i)))})
	}
	bins[4].N, bins[4].Right = 0, 0
	cells, name := syntheticConfusion(120)
	top, shown, of, err := Confusion("confusion", "", "", cells, name, .2)
	if err != nil || shown != 24 || of != 120 {
		t.Fatalf("%d of %d labels, %v", shown, of, err)
	}
	whole, shown, _, err := Confusion("confusion-whole", "", "", cells, name, 0)
	if err != nil || shown != 120 {
		t.Fatalf("%d labels, %v", shown, err)
	}
	var ours []SplitCell
	for _, test := range []float64{.1, .2, .3} {
		for _, v := range []float64{.1, .4, .7} {
			if test < .3 || v < .7 {
				ours = append(ours, SplitCell{test, v, .97 - .2*test*v - .1*v*v, 2})
			}
		}
	}
	folds := syntheticFolds()
	layers := []NetworkLayer{
		{"one number per field", "39", 0, 0},
		{"bidirectional LSTM", "2 × 156", 244_608, 0},
		{"batch normalisation", "312", 624, 624},
		{"bidirectional LSTM", "2 × 117", 402_480, 0},
		{"dropout", "234", 0, 0},
		{"dense, ReLU", "5 × 59", 69_325, 0},
		{"one softmax per component", "5 × 59", 0, 0},
	}
	return map[string]*Figure{
		"figure1.png":         ok(RawEvent("figure1", "", "", deployment)),
		"figure2.png":         Overview(),
		"figure4.png":         Architecture(),
		"figure5.png":         ok(Layers("figure5", "", "", "window of 60 events", layers)),
		"figure6.png":         ok(FeatureRemoval("figure6", "", "precision", "", all, removals, p)),
		"figure6-few.png":     ok(FeatureRemoval("figure6", "", "F1", "", all[:1], []Removal{{"verb", []float64{.61}}, {"user.groups[0]", nil}}, p)),
		"effects.png":         ok(Effects("effects", "", "difference of macro F1 from all features", "", effects, .006)),
		"figure7-paper.png":   ok(SplitGrid("figure7-paper", "", "", PaperSplitCells(p))),
		"figure7.png":         ok(SplitGrid("figure7", "", "", ours)),
		"figure8.png":         ok(Folds("figure8", "", "", folds[3:9], FoldsRelative)),
		"figure8-all.png":     ok(Folds("figure8-all", "", "", folds[8:13], FoldsAbsolute)),
		"losses.png":          ok(Curves("losses", "", "loss", "", true, []Curve{{"training", losses}, {"validation", validation}})),
		"shares.png":          ok(Curves("shares", "", "share right", "", false, []Curve{{"one", [][]float64{{.6, .9, .99, 1}, {.7, .02, .9, .9}}}, {"other", [][]float64{{.5, .6, .7}}}})),
		"losses-one.png":      ok(Curves("losses", "", "loss", "", false, []Curve{{"training", [][]float64{{.5}}}})),
		"confusion.png":       top,
		"confusion-whole.png": whole,
		"abstention.png": ok(Abstention("abstention", "", "", []AbstentionCurve{
			{"network, busy-dev", []float64{1, .97, .92, .84, .6, 0}, []float64{.94, .95, .97, .985, .995, math.NaN()}, []float64{0, .3, .55, .72, .9, 1}},
			{hostile[0] + " foreign-dev", []float64{1, .9, .7, .5, .2, 0}, []float64{.5, .55, .6, .7, .9, math.NaN()}, []float64{0, .2, .3, .5, .8, 1}},
		})),
		"calibration.png": ok(Calibration("calibration", "", "", bins)),
		"corpora.png": ok(CorpusBars("corpora", "", "", []CorpusRow{
			{Name: "sequential-1.34", Triggers: 1006, NonTriggers: 5000, ByRule: 3000, Others: 796},
			{Name: "busy-dev", Triggers: 2566, NonTriggers: 18000, ByRule: 5000, Others: 1898},
			{Name: hostile[0] + " empty"},
		})),
	}
}

// TestFigures compares every figure with its golden picture. Look at the pictures after -update.
func TestFigures(t *testing.T) {
	serial(t)
	for name, f := range drawnFigures(t) {
		t.Run(name, func(t *testing.T) {
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
			var svg bytes.Buffer
			if err := f.Write(&svg, "svg"); err != nil {
				t.Fatal(err)
			}
			if strings.Contains(svg.String(), "<b>") || strings.Contains(svg.String(), "\x1b") {
				t.Error("text of a log is markup in the SVG")
			}
			if err := f.Write(&bytes.Buffer{}, "pdf"); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestFiguresRefuse(t *testing.T) {
	p, nan := paperValues(t), math.NaN()
	third := func(f *Figure, _, _ int, err error) error { return err }
	name := func(int32) string { return "" }
	for what, err := range map[string]error{
		"an empty line":           second(RawEvent("x", "", "", "\x1b")),
		"a long line":             second(RawEvent("x", "", "", strings.Repeat("x", 30_000))),
		"no layers":               second(Layers("x", "", "", "", nil)),
		"no removals":             second(FeatureRemoval("x", "", "", "", []float64{1}, []Removal{{"a", nil}}, p)),
		"nothing to compare with": second(FeatureRemoval("x", "", "", "", nil, []Removal{{"a", []float64{1}}}, p)),
		"a removal of NaN":        second(FeatureRemoval("x", "", "", "", []float64{1}, []Removal{{"a", []float64{nan}}}, p)),
		"no effects":              second(Effects("x", "", "", "", nil, 0)),
		"an endless effect":       second(Effects("x", "", "", "", []Effect{{High: math.Inf(1)}}, 0)),
		"no splits":               second(SplitGrid("x", "", "", nil)),
		"a split of NaN":          second(SplitGrid("x", "", "", []SplitCell{{F1: nan}})),
		"no folds":                second(Folds("x", "", "", []FoldRow{{}, {[]float64{nan}}}, FoldsRelative)),
		"a fold of 2":             second(Folds("x", "", "", []FoldRow{{[]float64{2}}}, FoldsRelative)),
		"no values":               second(Curves("x", "", "", "", false, []Curve{{"a", [][]float64{nil}}})),
		"more than all":           second(Curves("x", "", "", "", false, []Curve{{"a", [][]float64{{1.5}}}})),
		"logarithm of zero":       second(Curves("x", "", "", "", true, []Curve{{"a", [][]float64{{0}}}})),
		"no cells":                third(Confusion("x", "", "", nil, name, 0)),
		"a negative cell":         third(Confusion("x", "", "", []ConfusionCell{{Count: -1}}, name, 0)),
		"no curves":               second(Abstention("x", "", "", nil)),
		"lists of two lengths":    second(Abstention("x", "", "", []AbstentionCurve{{"a", []float64{1}, nil, nil}})),
		"a share of 2":            second(Abstention("x", "", "", []AbstentionCurve{{"a", []float64{1}, []float64{2}, []float64{0}}})),
		"no events":               second(Calibration("x", "", "", []MarginBin{{Low: 0, High: 1}})),
		"more right than events":  second(Calibration("x", "", "", []MarginBin{{Low: 0, High: 1, N: 1, Right: 2}})),
		"no corpora":              second(CorpusBars("x", "", "", nil)),
		"negative counts":         second(CorpusBars("x", "", "", []CorpusRow{{Others: -1}})),
	} {
		if err == nil || !strings.Contains(err.Error(), "draw x") {
			t.Errorf("%s: error %v", what, err)
		}
	}
}
