package windows

import (
	"slices"
	"strings"
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
	c, err := dataset.Load(t.Context(), "sequential-1.34", nil)
	if err != nil {
		t.Fatal(err)
	}
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
