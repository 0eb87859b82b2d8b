package experiments

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"k8ntext/metrics"
)

// TestUnseen: what is left out is scored as unseen, abstention is scored for the network alone, under unseen
// and across recordings, and the report has table and curve.
func TestUnseen(t *testing.T) {
	home, foreign := writeCorpus(t, toyLines(160, 1)), writeCorpus(t, toyLines(60, 2))
	c := parse(t, fmt.Sprintf(`
name = "toy"
corpus = %q
[[experiment]]
name = "unseen-actions"
protocol = "unseen"
folds = 2
abstain = [0.0, 0.5, 0.9]
methods = ["network", "identity"]
[experiment.model]%s
[[experiment]]
name = "unseen-foreign"
protocol = "cross"
test = [%q]
abstain = [0.0, 0.5]
[experiment.model]%s
`, home, toyModel, foreign, toyModel))
	s := Store{Dir: t.TempDir()}
	if err := Run(t.Context(), c, RunOptions{Store: s, Devices: on(portable(t))}); err != nil {
		t.Fatal(err)
	}
	trials, _ := statusOf(t, c, s)
	results, _, err := s.LoadAll(trials)
	if err != nil {
		t.Fatal(err)
	}
	n := make(map[string]int)
	for _, r := range results {
		for _, rec := range r.Records {
			id := rec.Protocol + " " + rec.Method + " " + rec.Subset + " " + rec.Metric
			n[id] += rec.N
			if strings.HasPrefix(rec.Metric, metrics.Coverage+"0") && rec.Metric == metrics.Coverage+"0" && rec.Value != 1 {
				t.Errorf("%s is %v", id, rec.Value)
			}
		}
	}
	for _, want := range []string{
		"unseen network user/unseen coverage@0.9", "unseen network user/seen accuracy@0", "unseen network user auroc-unseen",
		"unseen identity user/unseen accuracy", "cross network user/seen coverage@0.5",
	} {
		if n[want] == 0 {
			t.Errorf("no record %s", want)
		}
	}
	for id := range n {
		if strings.HasPrefix(id, "unseen identity") && strings.Contains(id, "@") {
			t.Errorf("record %s of a method that is never unsure", id)
		}
	}
	if a, b := n["unseen network user/unseen accuracy"], n["unseen network user/unseen coverage@0"]; a != b {
		t.Errorf("%d unseen events are scored, of %d their confidence", a, b)
	}
	rep, err := NewReport(t.Context(), Source{Config: c, Store: s, Command: "make"}, ReportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"abstain-unseen-actions", "abstain-unseen-foreign"} {
		i := slices.IndexFunc(rep.Artefacts, func(a Artefact) bool { return a.ID == id })
		if i < 0 || len(rep.Artefacts[i].Figures) == 0 || len(rep.Artefacts[i].Table.Rows) < 2 || !strings.Contains(rep.Artefacts[i].Reading, "seen work") {
			t.Errorf("artefact %s: %d", id, i)
		}
	}
}

func TestUnseenConfig(t *testing.T) {
	for _, test := range []struct{ keys, want string }{
		{"protocol = \"blocked\"\nleave_out = \"action\"", `toy.toml:6: experiment "x": key leave_out: has a meaning under protocol "unseen" only`},
		{"protocol = \"unseen\"\nleave_out = \"verb\"", `toy.toml:6: experiment "x": key leave_out: "verb" is not known: use "action" or "scenario"`},
		{"protocol = \"unseen\"\ntest = [\"b\"]", `key test: has a meaning under protocol "cross" only`},
		{"protocol = \"paper\"\nabstain = [0.5]", `key abstain: protocol "paper" scores the positions of windows`},
		{"protocol = \"blocked\"\nabstain = [0.5, 0.5]", `key abstain: 0.5: give thresholds from 0 to 1, each above the one before`},
		{"protocol = \"blocked\"\nabstain = [1.5]", `key abstain: 1.5: give thresholds`},
	} {
		_, err := ParseConfig("toy.toml", []byte("name = \"toy\"\ncorpus = \"a\"\n[[experiment]]\nname = \"x\"\n"+test.keys+"\n"))
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s:\n error %v\n want %s", test.keys, err, test.want)
		}
	}
}
