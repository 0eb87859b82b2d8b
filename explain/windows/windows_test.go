package windows

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"

	"k8ntext/dataset"
	"k8ntext/explain"
	"k8ntext/model"
	"k8ntext/model/pretrained"
)

func part(t *testing.T, n int) (*model.Tagger, *dataset.Corpus) {
	t.Helper()
	tagger, err := pretrained.Default()
	if err != nil {
		t.Fatal(err)
	}
	whole, err := corpus()
	if err != nil {
		t.Fatal(err)
	}
	c := new(dataset.Corpus)
	*c = *whole
	c.Events, c.Labels, c.Own, c.Context = c.Events[:n], c.Labels[:n], c.Own[:n], c.Context[:n]
	return tagger, c
}

func TestTeacherIsTheNetwork(t *testing.T) {
	tagger, c := part(t, 120)
	r, err := New(tagger, c, Options{Seen: true})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if want := 120 - tagger.Config.Window + 1; r.Table.Rows() != want || !r.Problem.Seen {
		t.Errorf("%d rows, seen %v; want %d, true", r.Table.Rows(), r.Problem.Seen, want)
	}
	// A window that covers the whole log is all that votes for its centre.
	rows := [][]int32{r.Table.Row(7, nil), r.Table.Row(0, nil)}
	got, err := r.Teacher.Predict(t.Context(), rows)
	if err != nil {
		t.Fatal(err)
	}
	for i, start := range []int{7, 0} {
		events := c.Events[start : start+tagger.Config.Window]
		said, err := tagger.Label(t.Context(), events, model.VoteOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if want := tagger.Space.Describe(said[r.Position].Label); r.Classes[got[i]] != want {
			t.Errorf("the window at %d gives its centre %q, the network alone on it %q", start, r.Classes[got[i]], want)
		}
	}
	if name := r.Features[len(r.Features)/2+3].Name(); !strings.HasSuffix(name, "@0") {
		t.Errorf("a feature of the centre is called %s", name)
	}
	if !strings.HasPrefix(r.Where(0), "sequential-1.34:") {
		t.Errorf("row 0 is at %s", r.Where(0))
	}
}

// corpus is read once for all tests, which change no event of it.
var corpus = sync.OnceValues(func() (*dataset.Corpus, error) {
	return dataset.Load(context.Background(), "sequential-1.34", nil)
})

// copying is a small model that copies labels, trained on the first events of a corpus.
func copying(t *testing.T) (*model.Tagger, *dataset.Corpus) {
	t.Helper()
	_, c := part(t, 260)
	tagger, err := trained(c)
	if err != nil {
		t.Fatal(err)
	}
	return tagger, c
}

var trained = func() func(*dataset.Corpus) (*model.Tagger, error) {
	var once sync.Once
	var tagger *model.Tagger
	var err error
	return func(c *dataset.Corpus) (*model.Tagger, error) {
		once.Do(func() {
			config := model.DefaultConfig()
			config.Window, config.Features, config.Copy = 8, "linked", true
			config.BodyDropout, config.Interleave = .1, 2
			config.Embedding, config.Units1, config.Units2, config.MaxEpochs = 6, 6, 6, 2
			var split *dataset.Split
			if split, err = dataset.SplitAll(c, dataset.AllOptions{Length: config.Window}); err == nil {
				tagger, _, err = model.Train(context.Background(), config, c, split, model.TrainOptions{Seed: 1})
			}
		})
		return tagger, err
	}
}()

func TestTeacherCopies(t *testing.T) {
	tagger, c := copying(t)
	length := tagger.Config.Window
	ties := tagger.Encoder.TieNames()

	// A log of one window: all that votes for its events is that window. Relations start anew with a log.
	copied, step, least := 0, 12, 5
	if testing.Short() {
		step, least = 40, 2
	}
	for start := 0; start+length <= len(c.Events); start += step {
		short := *c
		short.Events, short.Labels = c.Events[start:start+length], c.Labels[start:start+length]
		short.Own, short.Context = c.Own[start:start+length], c.Context[start:start+length]
		said, err := tagger.Label(t.Context(), short.Events, model.VoteOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, position := range []int{1, length} {
			r, err := New(tagger, &short, Options{Seen: true, Position: position})
			if err != nil {
				t.Fatal(err)
			}
			row := r.Table.Row(0, nil)
			if want := length*len(tagger.Encoder.Sizes()) + len(ties); len(row) != want {
				t.Fatalf("a row has %d values, want %d", len(row), want)
			}
			got, err := r.Teacher.Predict(t.Context(), [][]int32{row})
			if err != nil {
				t.Fatal(err)
			}
			want := said[position-1].Label
			if r.Classes[got[0]] != tagger.Space.Describe(want) {
				t.Errorf("the window at %d gives its event %d %q, the network alone on it %q", start, position, r.Classes[got[0]], tagger.Space.Describe(want))
			}
			// Without the ties that have the label it is another, unless its parts make it too.
			for f := range ties {
				if at := len(row) - len(ties) + f; row[at] == int32(want) {
					row[at] = r.Unknown(at)
				}
			}
			without, err := r.Teacher.Predict(t.Context(), [][]int32{row})
			if err != nil {
				t.Fatal(err)
			}
			if without[0] != got[0] {
				copied++
			}
			r.Close()
		}
	}
	if copied < least {
		t.Errorf("%d of the labels were copied: the test shows little", copied)
	}
}

func TestTies(t *testing.T) {
	tagger, c := copying(t)
	r, err := New(tagger, c, Options{Seen: true, Component: Tie})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got, want := r.Classes, append([]string{"none of them"}, tagger.Encoder.TieNames()...); !slices.Equal(got, want) {
		t.Errorf("classes %q, want %q", got, want)
	}
	self := int32(slices.Index(r.Classes, "self"))
	if slices.ContainsFunc(r.Own, func(k int32) bool { return k != self && k >= 0 }) {
		t.Error("an event's own label is said to be another's")
	}
	features := r.Features[len(r.Features)-len(tagger.Encoder.TieNames()):]
	if name := features[6].Name(); name != "tie(cause)@0" || features[6].Kin != "cause" {
		t.Errorf("the seventh tie is feature %s of %s", name, features[6].Kin)
	}
	last := len(r.Features) - 1
	if got := r.Decode(last, -1); got != "(no such event)" {
		t.Errorf("no tie is shown as %s", got)
	}
	if got := r.Decode(last, int32(c.Own[0])); got != tagger.Space.Describe(c.Own[0]) {
		t.Errorf("label %q is shown as %s", tagger.Space.Describe(c.Own[0]), got)
	}
	plain, _ := part(t, 60)
	if _, err := New(plain, c, Options{Seen: true, Component: Tie}); plain.Config.Copy != (err == nil) {
		t.Errorf("ties of a model with copy = %v: %v", plain.Config.Copy, err)
	}
	if testing.Short() {
		return // under the race detector the tests of package explain suffice
	}
	e, err := explain.Explain(t.Context(), r.Problem, explain.Options{
		Honest: explain.HonestOptions{Cut: explain.Cut{Blocks: 5}, Bootstraps: 1}, Trustee: explain.TrusteeOptions{Iterations: 2, Stability: 1}, Probes: 5,
	})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(e.Report.Permuted, func(p explain.Permutation) bool { return p.What == "cause.*" }) {
		t.Error("what tells of one event is never exchanged as a whole")
	}
}

// Windows and relations end where a recording does.
func TestJoinedRecordings(t *testing.T) {
	tagger, c := copying(t)
	c.Recordings = []dataset.Recording{{Name: "a", From: 0, To: 100}, {Name: "b", From: 100, To: 260}}
	r, err := New(tagger, c, Options{Seen: true})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	length := tagger.Config.Window
	if want := 100 - length + 1 + 160 - length + 1; r.Table.Rows() != want {
		t.Errorf("%d windows, want %d", r.Table.Rows(), want)
	}
	second := *c
	second.Recordings = nil
	second.Events, second.Labels, second.Own, second.Context = c.Events[100:], c.Labels[100:], c.Own[100:], c.Context[100:]
	alone, err := New(tagger, &second, Options{Seen: true})
	if err != nil {
		t.Fatal(err)
	}
	defer alone.Close()
	for i := range alone.Table.Rows() {
		if !slices.Equal(alone.Table.Row(i, nil), r.Table.Row(100-length+1+i, nil)) {
			t.Fatalf("window %d of the second recording is another where it is joined to the first", i)
		}
	}
}

func TestComponents(t *testing.T) {
	tagger, c := part(t, 60)
	for component, want := range map[string]int{Verb: 8, Namespaced: 4, Single: 4} { // unknown and nonresource beside
		r, err := New(tagger, c, Options{Seen: true, Component: component})
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Classes) > want || len(r.Classes) < 3 {
			t.Errorf("%s has the classes %q", component, r.Classes)
		}
		r.Close()
	}
	for _, o := range []Options{{Component: "colour"}, {Position: 41}, {}, {Seen: true, Events: []int32{1, 2, 3}}} {
		if _, err := New(tagger, c, o); err == nil {
			t.Errorf("options %+v are no error", o)
		}
	}
	short, err := New(tagger, c, Options{Seen: true, Rows: 5})
	if err != nil {
		t.Fatal(err)
	}
	defer short.Close()
	if short.Table.Rows() != 5 {
		t.Errorf("%d rows, asked for 5", short.Table.Rows())
	}
	wanted := int32(tagger.Config.Window/2 + 3)
	with, err := New(tagger, c, Options{Seen: true, Rows: 2, Include: []int32{wanted}})
	if err != nil {
		t.Fatal(err)
	}
	defer with.Close()
	if !slices.Contains(with.Centre, wanted) {
		t.Errorf("event %d was asked for, the rows explain %v", wanted, with.Centre)
	}
	if _, err := explain.Honest(t.Context(), short.Problem, explain.HonestOptions{}); err == nil {
		t.Error("five windows that overlap are cut into three parts")
	}
}

func TestPrintable(t *testing.T) {
	for text, want := range map[string]string{
		"namespaces": "namespaces", "": `""`, "a b": "a b", "\x1b[31m": `"\x1b[31m"`, `quo"te`: `"quo\"te"`, strings.Repeat("x", 70): strings.Repeat("x", 60) + "…",
	} {
		if got := Printable(text); got != want {
			t.Errorf("%q is shown as %s, want %s", text, got, want)
		}
	}
}
