package score

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8ntext/contexts"
	"k8ntext/dataset"
)

// TestEmbedded guards the level identity on the corpus in the program, and what a report is made of.
func TestEmbedded(t *testing.T) {
	c, err := dataset.Load(context.Background(), "sequential-1.34", nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := Corpus(context.Background(), c, Options{Labels: c.Labels, Name: "true", Parts: true, Resamples: 20})
	if err != nil {
		t.Fatal(err)
	}
	whole := make(map[string]Row)
	parts := make(map[string]int)
	for _, x := range r.Rows {
		if x.By == "" && x.Unit == Contexts && x.Scope == Users {
			whole[x.Level] = x
		} else if x.By != "" && x.Level == string(contexts.Identity) {
			parts[x.By]++
			if x.By == "size" {
				parts["contexts"] += x.Clusters
			}
		}
	}
	if x := whole[string(contexts.Identity)]; x.PairwiseF1 < .985 || x.Exact < .97 || x.TriggerFound < .99 || x.Clusters != 1006 || x.Labels != "none" {
		t.Errorf("identity: %+v", x)
	}
	if x := whole[string(contexts.Full)]; x.PairwiseF1 < whole[string(contexts.Identity)].PairwiseF1 || x.Labels != "true" {
		t.Errorf("full: %+v", x)
	}
	for _, level := range []string{string(contexts.Paper), TimeGap, OwnUser} {
		if x := whole[level]; x.PairwiseF1 > .9 || x.PairwiseF1 < .01 || x.PairwiseLow > x.PairwiseF1 || x.PairwiseHigh < x.PairwiseF1 {
			t.Errorf("%s: %+v", level, x)
		}
	}
	if parts["contexts"] != 1006 || parts["action"] == 0 || parts["route"] == 0 || parts["size"] != len(Sizes()) {
		t.Errorf("parts: %v", parts)
	}
	if len(r.Differences) != 4 || !strings.Contains(r.Verdict(), "full beats paper") {
		t.Errorf("%s%+v", r.Verdict(), r.Differences)
	}
	if x := r.Rows[0]; x.By != "" || x.Scope != Users || x.Unit != Contexts {
		t.Errorf("the first row is no headline: %+v", x)
	}
}

func TestNoTruth(t *testing.T) {
	file := filepath.Join(t.TempDir(), "log")
	line := `{"verb":"get","requestURI":"/version","user":{"username":"a"},"stageTimestamp":"2026-11-20T10:00:00Z"}`
	if err := os.WriteFile(file, []byte(line+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := dataset.Load(context.Background(), file, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Corpus(context.Background(), c, Options{}); !errors.Is(err, errNoTruth) {
		t.Error(err)
	}
}
