package coverage_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"k8ntext/testbed/coverage"
)

const resources = `[
 {"group":"","version":"v1","resource":"pods","namespaced":true,"verbs":["create","get","list"]},
 {"group":"","version":"v1","resource":"pods","subresource":"log","namespaced":true,"verbs":["get"]},
 {"group":"autoscaling","version":"v1","resource":"horizontalpodautoscalers","namespaced":true,"verbs":["get"]},
 {"group":"autoscaling","version":"v2","resource":"horizontalpodautoscalers","namespaced":true,"verbs":["get"]}
]`

func line(stage, verb, agent, ref, more string) string {
	return fmt.Sprintf(`{"stage":%q,"verb":%q,"userAgent":%q,"objectRef":{%s}%s}`, stage, verb, agent, ref, more)
}

func recording(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestOf(t *testing.T) {
	pod := `"resource":"pods","namespace":"shop","name":"web"`
	log := strings.Join([]string{
		line("RequestReceived", "get", "kubectl-a00001/v1.34.4 (linux/amd64)", pod, ""),
		line("ResponseComplete", "get", "kubectl-a00001/v1.34.4 (linux/amd64)", pod, ""),
		line("ResponseComplete", "list", "Lens/1.0 a00002", `"resource":"pods"`, ""),
		line("ResponseComplete", "list", "kube-scheduler/v1.34.4", `"resource":"pods"`, ""),
		line("ResponseComplete", "get", "beta00003/1.0", `"resource":"pods"`, ""), // no stamp
		`{"stage":"ResponseComplete","verb":"get","userAgent":"curl a00004","requestURI":"/metrics"}`,
		`{"stage":"ResponseComp`,
	}, "\n")
	labelled := line("ResponseComplete", "get", "kubectl/v1.34.4", pod, `,"context":"a00001","trigger":true`) + "\n" +
		line("ResponseComplete", "get", "kubelet/v1.34.4", pod, `,"context":"bg-00001","trigger":true`) + "\n" +
		line("ResponseComplete", "list", "Lens/1.0", `"resource":"pods"`, `,"context":null`) + "\n"
	one := recording(t, map[string]string{"resources.json": resources, "audit.log": log, "labelled.jsonl": labelled})
	two := recording(t, map[string]string{"resources.json": resources, "audit.log": line("ResponseComplete", "get", "curl/8 a00009", `"resource":"pods","subresource":"log","namespace":"shop","name":"web"`, "") + "\n"})
	got, err := coverage.Of(one, two)
	if err != nil {
		t.Fatal(err)
	}
	want := &coverage.Report{
		Recordings: []string{one, two}, Events: 6, Direct: 4, Labels: 3, TriggerLabels: 1,
		Operations: []coverage.Operation{
			{Resource: "pods", Verb: "create"},
			{Resource: "pods", Verb: "get", Count: 1},
			{Resource: "pods", Verb: "list", Count: 1},
			{Resource: "pods", Subresource: "log", Verb: "get", Count: 1},
			{Group: "autoscaling", Resource: "horizontalpodautoscalers", Verb: "get"},
		},
		Rare: []coverage.RareLabel{{Label: coverage.Label{Resource: "pods", Verb: "get", Namespaced: true, Single: true}, Count: 1}},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestOfUnusable(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		want  string
	}{
		"no resources":  {map[string]string{"audit.log": ""}, "resources.json: no such file"},
		"bad resources": {map[string]string{"resources.json": "{", "audit.log": ""}, "resources.json: "},
		"no log":        {map[string]string{"resources.json": "[]"}, "audit.log: no such file"},
		"bad line":      {map[string]string{"resources.json": "[]", "audit.log": "{}\n{\n"}, "line 2: "},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := coverage.Of(recording(t, c.files))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q in it", err, c.want)
			}
		})
	}
}
