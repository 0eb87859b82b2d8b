package plots

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"gonum.org/v1/plot/cmpimg"
)

// namespaceContext is the creation of a namespace, as in the paper's Figure 3, and what a hostile log
// may add.
func namespaceContext() []ContextEvent {
	at := func(ms int) time.Duration { return time.Duration(ms) * time.Millisecond }
	kcm, api := "system:kube-controller-manager", "system:apiserver"
	return []ContextEvent{
		{Actor: "alice", Verb: "create", Resource: "namespaces", Name: "shop", After: 0, Trigger: true},
		{Actor: api, Verb: "list", Resource: "resourcequotas", Namespace: "shop", After: at(3)},
		{Actor: kcm, Verb: "get", Resource: "serviceaccounts", Namespace: "kube-system", Name: "root-ca-cert-publisher", After: at(9)},
		{Actor: kcm, Verb: "create", Resource: "serviceaccounts/token", Namespace: "kube-system", Name: "root-ca-cert-publisher", After: at(12)},
		{Actor: kcm, Verb: "create", Resource: "configmaps", Namespace: "shop", Name: "kube-root-ca.crt", After: at(20)},
		{Actor: kcm, Verb: "create", Resource: "serviceaccounts", Namespace: "shop", Name: "default", After: at(22)},
		{Actor: kcm, Verb: "update", Resource: "serviceaccounts", Namespace: "shop", Name: "default", After: at(25)},
		{Actor: kcm, Verb: "update", Resource: "serviceaccounts", Namespace: "shop", Name: "default", After: at(31)},
		{Actor: "<script>\x1b[31m", Verb: "frobnicate", Namespace: "shop\u202e", Resource: "x\x00y", Name: strings.Repeat("long-", 40), After: at(40)},
		{Actor: "nobody", Verb: "get"},
	}
}

func TestContextPictures(t *testing.T) {
	serial(t)
	for name, drawn := range map[string]func() (*Figure, error){
		"context-graph.png":    func() (*Figure, error) { return ContextGraph("context", "A context", "", namespaceContext()) },
		"context-timeline.png": func() (*Figure, error) { return ContextTimeline("context", "A context", "", namespaceContext()[:9]) },
		"context-one.png":      func() (*Figure, error) { return ContextTimeline("context", "A context", "", namespaceContext()[:1]) },
		"figure10.png": func() (*Figure, error) {
			return ContextSizes("", []float64{1, 1, 1.5, 4.99, 5, 8, 12, 19, 20, 60, 100, 300})
		},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := drawn()
			if err != nil {
				t.Fatal(err)
			}
			var got bytes.Buffer
			if err := f.Write(&got, "png"); err != nil {
				t.Fatal(err)
			}
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
			for _, format := range Formats() {
				var one, two bytes.Buffer
				if err := f.Write(&one, format); err != nil {
					t.Fatal(err)
				}
				if err := f.Write(&two, format); err != nil || !bytes.Equal(one.Bytes(), two.Bytes()) {
					t.Errorf("%s: drawn twice it differs, %v", format, err)
				}
				if strings.Contains(one.String(), "<script>") {
					t.Errorf("%s holds the text of a log", format)
				}
			}
		})
	}
}

// TestContextGraphIsBounded: a context of thousands of objects is a picture of a bounded size.
func TestContextGraphIsBounded(t *testing.T) {
	var events []ContextEvent
	for i := range 5000 {
		events = append(events, ContextEvent{Actor: fmt.Sprint(i % 9), Verb: "create", Resource: "pods", Name: fmt.Sprint(i), Namespace: fmt.Sprint(i % 70)})
	}
	edges, left := contextEdges(events)
	if len(edges) != graphRows || left != 5000-graphRows {
		t.Errorf("%d edges, %d left", len(edges), left)
	}
}

func TestContextPicturesRefuse(t *testing.T) {
	for _, drawn := range []func() (*Figure, error){
		func() (*Figure, error) { return ContextGraph("x", "", "", nil) },
		func() (*Figure, error) { return ContextTimeline("x", "", "", nil) },
		func() (*Figure, error) { return ContextSizes("", nil) },
		func() (*Figure, error) { return ContextSizes("", []float64{0}) },
	} {
		if _, err := drawn(); err == nil {
			t.Error("no error")
		}
	}
}

func TestQueryTimes(t *testing.T) {
	table := QueryTimes([]QueryRow{
		{Name: "Q0", Found: 1234, MS: []float64{.01, .02}},
		{Name: "Q1", Expression: `username == "u" or stagetimestamp >= now`, Found: 1, MS: []float64{.5}},
		{Name: "Q9", MS: nil},
	}, "Corpus x.")
	var got bytes.Buffer
	if err := table.WriteMarkdown(&got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(golden(t, "table7.md", got.Bytes())), got.String()); diff != "" {
		t.Errorf("testdata/table7.md (-want +got):\n%s", diff)
	}
}

func TestSizeTable(t *testing.T) {
	paper, err := LoadPaper()
	if err != nil {
		t.Fatal(err)
	}
	table := SizeTable([]float64{1, 1, 4.5, 5, 19, 60, 100, 300}, []float64{1, 60}, paper.Corpus, "Corpus x.")
	var got bytes.Buffer
	if err := table.WriteMarkdown(&got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(golden(t, "sizes.md", got.Bytes())), got.String()); diff != "" {
		t.Errorf("testdata/sizes.md (-want +got):\n%s", diff)
	}
}

func TestActionCosts(t *testing.T) {
	paper, err := LoadPaper()
	if err != nil {
		t.Fatal(err)
	}
	table := ActionCosts([]CostRow{
		{Action: "create apps/deployments (one, namespaced)", N: 2, Events: 33, Median: 16.5, Largest: 17, RawLines: 60, Bytes: 200_000, MedianBytes: 100_000, LargestBytes: 120_000},
		{Action: "=cmd()\x1b[31m", N: 1, Events: 1, Median: 1, Largest: 1, RawLines: 2, Bytes: 3000, MedianBytes: 3000, LargestBytes: 3000},
	}, paper, "Corpus x.")
	var got bytes.Buffer
	if err := table.WriteMarkdown(&got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(golden(t, "action-cost.md", got.Bytes())), got.String()); diff != "" {
		t.Errorf("testdata/action-cost.md (-want +got):\n%s", diff)
	}
}
