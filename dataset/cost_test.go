package dataset

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestActionCosts(t *testing.T) {
	line := func(id, stage, context string, trigger bool, user, verb, group, resource string) string {
		return fmt.Sprintf(`{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"%s","stage":"%s","requestURI":"/x","verb":"%s",`+
			`"user":{"username":"%s"},"objectRef":{"resource":"%s","namespace":"n","name":"x","apiGroup":"%s","apiVersion":"v1"},`+
			`"requestReceivedTimestamp":"2024-05-28T00:00:0%s.000000Z","stageTimestamp":"2024-05-28T00:00:0%s.000000Z","context":"%s","trigger":%t,"attribution":"direct"}`,
			id, stage, verb, user, resource, group, id, id, context, trigger)
	}
	const done = "ResponseComplete"
	lines := []string{
		line("1", done, "a", true, "alice", "create", "apps", "deployments"),
		line("2", "ResponseStarted", "a", false, "system:x", "create", "apps", "replicasets"),
		line("2", done, "a", false, "system:x", "create", "apps", "replicasets"),
		line("3", done, "b", true, "bob", "create", "apps", "deployments"),
		line("4", done, "c", true, "bob", "delete", "", "configmaps"),
		line("5", done, "d", true, "system:node:n", "update", "coordination.k8s.io", "leases"),
	}
	path := filepath.Join(t.TempDir(), "log.jsonl")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")), 0o644); err != nil {
		t.Fatal(err)
	}
	got, err := ActionCosts(t.Context(), path, nil)
	if err != nil {
		t.Fatal(err)
	}
	size := func(which ...int) (n int64) {
		for _, i := range which {
			n += int64(len(lines[i]))
		}
		return n
	}
	want := []ActionCost{
		{Label: got[0].Label, Action: "create apps/deployments (one, namespaced)", Contexts: 2, Events: 3, Median: 1.5, Largest: 2, RawLines: 4, Bytes: size(0, 1, 2, 3), MedianBytes: size(0, 1, 2, 3) / 2, LargestBytes: size(0, 1, 2)},
		{Label: got[1].Label, Action: "delete core/configmaps (one, namespaced)", Contexts: 1, Events: 1, Median: 1, Largest: 1, RawLines: 1, Bytes: size(4), MedianBytes: size(4), LargestBytes: size(4)},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("costs (-want +got):\n%s", diff)
	}

	counts, err := CountActions(t.Context(), []string{path, path}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]ActionCount{
		{Action: want[1].Action, Counts: []int{1, 1}},
		{Action: want[0].Action, Counts: []int{2, 2}},
	}, counts); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
}
