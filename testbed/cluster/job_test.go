package cluster

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// submittedJob is what k8ntext experiment submit writes, as the golden file of its tests has it.
func submittedJob(t *testing.T) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "experiments", "testdata", "cluster", "job.json"))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestSubmittedJob decodes the Job with the API's own types: no member is unknown to them, and the ones
// that matter say what they should.
func TestSubmittedJob(t *testing.T) {
	var job batchv1.Job
	if err := yaml.UnmarshalStrict(submittedJob(t), &job); err != nil {
		t.Fatal(err)
	}
	if job.APIVersion != "batch/v1" || job.Kind != "Job" {
		t.Errorf("it is a %s of %s", job.Kind, job.APIVersion)
	}
	spec := job.Spec
	if spec.CompletionMode == nil || *spec.CompletionMode != batchv1.IndexedCompletion || spec.BackoffLimitPerIndex == nil || *spec.BackoffLimitPerIndex != 3 {
		t.Errorf("completion mode %v, backoff limit per index %v", spec.CompletionMode, spec.BackoffLimitPerIndex)
	}
	pod := spec.Template.Spec
	if pod.RestartPolicy != corev1.RestartPolicyNever { // with a pod failure policy the API takes no other
		t.Errorf("restart policy %s", pod.RestartPolicy)
	}
	action := func(code int32) batchv1.PodFailurePolicyAction {
		for _, r := range spec.PodFailurePolicy.Rules {
			if e := r.OnExitCodes; e != nil && *e.ContainerName == pod.Containers[0].Name && e.Operator == batchv1.PodFailurePolicyOnExitCodesOpIn && slices.Contains(e.Values, code) {
				return r.Action
			}
		}
		return ""
	}
	for code, want := range map[int32]batchv1.PodFailurePolicyAction{
		1: batchv1.PodFailurePolicyActionFailIndex, 2: batchv1.PodFailurePolicyActionFailIndex,
		3: batchv1.PodFailurePolicyActionCount, 130: batchv1.PodFailurePolicyActionCount, 137: batchv1.PodFailurePolicyActionCount, 143: batchv1.PodFailurePolicyActionCount,
	} {
		if got := action(code); got != want {
			t.Errorf("exit code %d: action %q, want %q", code, got, want)
		}
	}
	if first := spec.PodFailurePolicy.Rules[0]; first.Action != batchv1.PodFailurePolicyActionIgnore || len(first.OnPodConditions) != 1 || first.OnPodConditions[0].Type != corev1.DisruptionTarget {
		t.Errorf("a pod that the cluster takes away: %+v", first)
	}
}

// TestLiveSubmittedJob has a real API server judge it.
func TestLiveSubmittedJob(t *testing.T) {
	c := live(t, Options{})
	config := admin(t, c)
	mustKubectl(t, c, config, "", "create", "namespace", "research")
	out := mustKubectl(t, c, config, string(submittedJob(t)), "apply", "--dry-run=server", "--validate=strict", "--filename=-")
	if !strings.Contains(out, "job.batch/k8ntext-toy-sweep-0123abcd created (server dry run)") {
		t.Errorf("kubectl says %q", out)
	}
	// And it keeps what was asked for.
	mustKubectl(t, c, config, string(submittedJob(t)), "apply", "--validate=strict", "--filename=-")
	out = mustKubectl(t, c, config, "", "--namespace=research", "get", "job", "k8ntext-toy-sweep-0123abcd", "--output=jsonpath={.spec.completions} {.spec.parallelism} {.spec.backoffLimitPerIndex}")
	if out != "5 2 3" {
		t.Errorf("the API server has %q", out)
	}
}
