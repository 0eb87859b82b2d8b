package page

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8ntext/explain"
	"k8ntext/explain/tree"
)

type rule struct{}

func (rule) Predict(_ context.Context, rows [][]int32) ([]int32, error) {
	out := make([]int32, len(rows))
	for i, r := range rows {
		out[i] = r[1] % 3
	}
	return out, nil
}

const hostile = `<script>alert("x")</script>` + "\x1b[31m"

func problem(t *testing.T) *explain.Problem {
	t.Helper()
	rng := rand.New(rand.NewPCG(1, 1))
	rows := 400
	if testing.Short() {
		rows = 120
	}
	table, err := tree.NewTable(rows, 3, func(_ int, dst []int32) {
		for i := range dst {
			dst[i] = int32(rng.IntN(6))
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	p := &explain.Problem{
		Name: hostile, Teacher: rule{}, Table: table, Classes: []string{"a", hostile, "c"}, Seen: true, Reach: 3,
		Decode: func(_ int, v int32) string { return hostile + fmt.Sprint(v) },
		Where:  func(row int) string { return hostile },
	}
	for o := range 3 {
		p.Features = append(p.Features, explain.Feature{Field: hostile, Offset: o - 1, Nominal: true})
	}
	for i := range rows {
		p.Time = append(p.Time, int32(i))
		p.Truth = append(p.Truth, int32(i%3))
	}
	return p
}

// constant is a teacher of one class.
type constant struct{}

func (constant) Predict(_ context.Context, rows [][]int32) ([]int32, error) {
	return make([]int32, len(rows)), nil
}

// What has nothing to draw or to count leaves no picture and no number that is none.
func TestPageOfLittle(t *testing.T) {
	p := problem(t)
	p.Teacher = constant{}
	e, err := explain.Explain(t.Context(), p, explain.Options{Probes: -1, Single: -1, Honest: explain.HonestOptions{Bootstraps: -1}, Trustee: explain.TrusteeOptions{Iterations: 1, Stability: 1}})
	if err != nil {
		t.Fatal(err)
	}
	figures, err := Figures(e)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := HTML(&b, e, figures); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"NaN", "Inf", "<no value>"} {
		if strings.Contains(b.String(), bad) {
			t.Errorf("the page contains %q", bad)
		}
	}
}

func TestPageIsHarmless(t *testing.T) {
	e, err := explain.Explain(t.Context(), problem(t), explain.Options{Probes: 10, Folds: 1, Honest: explain.HonestOptions{Bootstraps: 2}, Trustee: explain.TrusteeOptions{Iterations: 2, Stability: 2}})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	paths, err := Write(dir, e)
	if err != nil {
		t.Fatal(err)
	}
	if paths[0] != filepath.Join(dir, "explain.html") {
		t.Errorf("the first file is %s", paths[0])
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if len(text) == 0 {
			t.Errorf("%s is empty", path)
		}
		switch filepath.Ext(path) {
		case ".html", ".svg":
			for _, bad := range []string{"<script", "\x1b", "http://www.example", "NaN", "<no value>"} {
				if strings.Contains(string(text), bad) {
					t.Errorf("%s contains %q", path, bad)
				}
			}
		}
	}
	page, err := os.ReadFile(paths[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"SEEN IN TRAINING", "What the tree does not explain", "Other cuts", "&lt;script&gt;"} {
		if !strings.Contains(string(page), want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if _, err := Write(filepath.Join(paths[0], "below-a-file"), e); err == nil {
		t.Error("a folder below a file could be written")
	}
}
