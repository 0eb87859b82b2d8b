package scenario_test

import (
	"encoding/json"
	"testing"

	"k8ntext/testbed/scenario"
	"k8ntext/testbed/scenarios"
)

func plan(t *testing.T, profile string, seed uint64) *scenario.Plan {
	t.Helper()
	lib, err := scenario.Load(scenarios.FS)
	if err != nil {
		t.Fatal(err)
	}
	p, err := scenario.LoadProfile(scenarios.FS, profile)
	if err != nil {
		t.Fatal(err)
	}
	out, err := lib.Plan(p, seed)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestSameSeedSamePlan(t *testing.T) {
	text := func(seed uint64) string {
		b, err := json.Marshal(plan(t, "base", seed))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	if text(1) != text(1) {
		t.Error("two plans of one seed differ")
	}
	if text(1) == text(2) {
		t.Error("plans of two seeds are the same")
	}
}
