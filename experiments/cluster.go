package experiments

import (
	"fmt"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Left is the manifest of the trials that the next run has to do, each once, numbered anew from 0 in the
// order in which a run takes them: a cluster that stops half way has something of everything too.
func (m *Manifest) Left(s Store) (*Manifest, error) {
	ids, err := m.InState(s, Missing, Retry, Damaged)
	if err != nil {
		return nil, err
	}
	left := *m
	left.path = ""
	left.trials = slices.DeleteFunc(distinct(breadthFirst(m.trials)), func(t Trial) bool { return !slices.Contains(ids, t.ID) })
	return &left, nil
}

// sharedMB is what a process needs beside its trial's estimate: the program and the largest corpora.
const sharedMB = 1024

// MemoryMB estimates what a process needs that runs any one of the trials, in MiB.
func (m *Manifest) MemoryMB() (int, error) {
	most := int64(0)
	for i := range m.trials {
		if err := m.resolve(&m.trials[i]); err != nil {
			return 0, err
		}
		most = max(most, m.trials[i].memoryMB())
	}
	return int(most) + sharedMB, nil
}

// Submission says how the trials of a manifest are run as tasks of a cluster, one task a trial.
type Submission struct {
	Manifest string // its path where the tasks run
	Results  string // the folder of all results there
	Trials   int    // in the manifest
	AtOnce   int    // tasks at a time at most; 0: no limit but the cluster's
	MemoryMB int    // that a task needs

	// For Slurm.
	Program   string // to be run; found by the tasks under this path
	Logs      string // folder of the tasks' output
	Partition string // ""; the default one
	Time      string // limit of a task as Slurm writes it; "": the partition's
	MaxArray  int    // tasks of one array at most, as MaxArraySize of slurm.conf; 0: 1000

	// For Kubernetes.
	Image     string // of the container
	Claim     string // the PersistentVolumeClaim that holds corpora, manifest and results
	Namespace string // ""; the one that kubectl uses
}

// retries is how often a task is tried again that failed for a reason that may pass.
const retries = 3

// The program's exit codes, as far as a cluster has to know them: see docs/experiments.md.
const (
	exitFailed      = 1   // the trial's own failure, or a folder that cannot be written
	exitUsage       = 2   // wrong flags
	exitRetryable   = 3   // worth another try
	exitInterrupted = 130 // stopped by a signal
)

// unfit are characters that a script, or Slurm's file names, give a meaning.
var unfit = regexp.MustCompile("[%\"'\\\\\n\r\x00`$]")

// SlurmScripts gives batch scripts for sbatch, each an array of tasks; name is the sweep's. Each is to
// wait for the one before it, or AtOnce would hold for each by itself.
func (s Submission) SlurmScripts(name string) ([][]byte, error) {
	for what, text := range map[string]string{"manifest": s.Manifest, "results folder": s.Results, "program": s.Program, "folder of logs": s.Logs} {
		if unfit.MatchString(text) {
			return nil, fmt.Errorf("write a Slurm script: the path of the %s, %q, has characters with a meaning in scripts: use another path", what, text)
		}
	}
	for what, text := range map[string]string{"partition": s.Partition, "time limit": s.Time} {
		if !slurmWord.MatchString(text) {
			return nil, fmt.Errorf("write a Slurm script: %s %q: use letters, digits, commas, colons and hyphens", what, text)
		}
	}
	most := s.MaxArray
	if most <= 0 {
		most = 1000
	}
	var scripts [][]byte
	for from := 0; from < s.Trials; from += most {
		scripts = append(scripts, s.slurmScript(name, from, min(most, s.Trials-from)))
	}
	return scripts, nil
}

var slurmWord = regexp.MustCompile(`^[A-Za-z0-9_,:.-]*$`)

func (s Submission) slurmScript(name string, from, tasks int) []byte {
	var b strings.Builder
	throttle := ""
	if s.AtOnce > 0 {
		throttle = fmt.Sprintf("%%%d", s.AtOnce)
	}
	fmt.Fprintf(&b, `#!/bin/bash
# Trials %d to %d of %s. Written by k8ntext experiment submit.
#SBATCH --job-name=k8ntext-%s
#SBATCH --array=0-%d%s
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=1
#SBATCH --mem=%dM
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output="%s/%%A_%%a.log"
`, from, from+tasks-1, s.Manifest, name, tasks-1, throttle, s.MemoryMB, s.Logs)
	if s.Partition != "" {
		fmt.Fprintf(&b, "#SBATCH --partition=%s\n", s.Partition)
	}
	if s.Time != "" {
		fmt.Fprintf(&b, "#SBATCH --time=%s\n", s.Time)
	}
	fmt.Fprintf(&b, `
"%s" experiment run --manifest "%s" --index $((SLURM_ARRAY_TASK_ID + %d)) --results "%s"
code=$?
# Worth another try, elsewhere perhaps: the task goes back into the queue, a few times.
if [ $code -eq %d ] && [ "${SLURM_RESTART_COUNT:-0}" -lt %d ]; then
	scontrol requeue "$SLURM_JOB_ID"
fi
exit $code
`, s.Program, s.Manifest, from, s.Results, exitRetryable, retries)
	return []byte(b.String())
}

// KubernetesJob gives an Indexed Job, as JSON, which kubectl takes like YAML; name is the sweep's, and
// key, of lower-case letters and digits, tells it from other Jobs of the sweep.
//
// An index whose trial fails for its own reason is given up at once, one that may succeed is tried
// again, and a pod that the cluster takes away does not count: KEP-3329 and KEP-3850.
func (s Submission) KubernetesJob(name, key string) ([]byte, error) {
	for what, text := range map[string]string{"claim": s.Claim, "namespace": s.Namespace} {
		if text != "" && !dnsLabel.MatchString(text) || text == "" && what == "claim" {
			return nil, fmt.Errorf("write a Kubernetes Job: %s %q: give the name of one, of lower-case letters, digits and hyphens", what, text)
		}
	}
	if s.Image == "" || strings.ContainsAny(s.Image, " \t\n") {
		return nil, fmt.Errorf("write a Kubernetes Job: image %q: give one that Containerfile makes", s.Image)
	}
	for what, p := range map[string]string{"manifest": s.Manifest, "results folder": s.Results} {
		if !filepath.IsLocal(p) {
			return nil, fmt.Errorf("write a Kubernetes Job: the %s, %s, is not below the folder that the volume holds: run submit from that folder and name it by a relative path", what, p)
		}
	}
	label := strings.Trim(strings.ToLower(strings.ReplaceAll(name, "_", "-")), "-")
	id := fmt.Sprintf("k8ntext-%.40s-%s", label, key)
	labels := map[string]string{"app.kubernetes.io/name": "k8ntext", "app.kubernetes.io/instance": id}
	need := map[string]string{"cpu": "1", "memory": fmt.Sprintf("%dMi", s.MemoryMB)}
	j := job{
		APIVersion: "batch/v1", Kind: "Job", Metadata: jobMeta{Name: id, Namespace: s.Namespace, Labels: labels},
		Spec: jobSpec{
			CompletionMode: "Indexed", Completions: s.Trials, Parallelism: s.Trials, BackoffLimitPerIndex: retries,
			PodFailurePolicy: podFailurePolicy{Rules: []podFailureRule{
				{Action: "Ignore", OnPodConditions: []podCondition{{Type: "DisruptionTarget", Status: "True"}}},
				{Action: "FailIndex", OnExitCodes: &exitCodes{ContainerName: containerName, Operator: "In", Values: []int{exitFailed, exitUsage}}},
				{Action: "Count", OnExitCodes: &exitCodes{ContainerName: containerName, Operator: "In", Values: []int{exitRetryable, exitInterrupted, 137, 143}}}, // killed: out of memory, or a lost node
			}},
			Template: podTemplate{
				Metadata: jobMeta{Labels: labels},
				Spec: podSpec{
					RestartPolicy: "Never", TerminationGracePeriodSeconds: 30,
					SecurityContext: podSecurity{RunAsNonRoot: true, RunAsUser: containerUser, RunAsGroup: containerUser, FSGroup: containerUser, SeccompProfile: seccomp{Type: "RuntimeDefault"}},
					Containers: []container{{
						Name: containerName, Image: s.Image, WorkingDir: mountPath,
						Args: []string{
							"experiment", "run", "--manifest", inPod(s.Manifest), "--index", "$(JOB_COMPLETION_INDEX)", "--results", inPod(s.Results),
						},
						Resources:       resources{Requests: need, Limits: map[string]string{"memory": need["memory"]}},
						SecurityContext: containerSecurity{ReadOnlyRootFilesystem: true, Capabilities: capabilities{Drop: []string{"ALL"}}},
						VolumeMounts:    []volumeMount{{Name: "work", MountPath: mountPath}},
					}},
					Volumes: []volume{{Name: "work", PersistentVolumeClaim: claim{ClaimName: s.Claim}}},
				},
			},
		},
	}
	if s.AtOnce > 0 {
		j.Spec.Parallelism = min(s.AtOnce, s.Trials)
	}
	text, err := json.Marshal(j, json.Deterministic(true), jsontext.WithIndent("  "))
	if err != nil {
		return nil, fmt.Errorf("write a Kubernetes Job: %w", err)
	}
	return append(text, '\n'), nil
}

const (
	containerName = "trial"
	containerUser = 65532 // as in Containerfile
	mountPath     = "/data"
)

var dnsLabel = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// inPod is a path below the working folder where a pod has it, written so that the kubelet expands nothing in it.
func inPod(p string) string {
	return strings.ReplaceAll(path.Join(mountPath, filepath.ToSlash(p)), "$(", "$$(")
}

// What of the Kubernetes API's batch/v1 a Job of ours needs. The testbed's tests decode the golden file with
// the API's own types, and an API server takes it.
type (
	job struct {
		APIVersion string  `json:"apiVersion"`
		Kind       string  `json:"kind"`
		Metadata   jobMeta `json:"metadata"`
		Spec       jobSpec `json:"spec"`
	}
	jobMeta struct {
		Name      string            `json:"name,omitempty"`
		Namespace string            `json:"namespace,omitempty"`
		Labels    map[string]string `json:"labels"`
	}
	jobSpec struct {
		CompletionMode       string           `json:"completionMode"`
		Completions          int              `json:"completions"`
		Parallelism          int              `json:"parallelism"`
		BackoffLimitPerIndex int              `json:"backoffLimitPerIndex"`
		PodFailurePolicy     podFailurePolicy `json:"podFailurePolicy"`
		Template             podTemplate      `json:"template"`
	}
	podFailurePolicy struct {
		Rules []podFailureRule `json:"rules"`
	}
	podFailureRule struct {
		Action          string         `json:"action"`
		OnExitCodes     *exitCodes     `json:"onExitCodes,omitempty"`
		OnPodConditions []podCondition `json:"onPodConditions,omitempty"`
	}
	exitCodes struct {
		ContainerName string `json:"containerName"`
		Operator      string `json:"operator"`
		Values        []int  `json:"values"`
	}
	podCondition struct {
		Type   string `json:"type"`
		Status string `json:"status"`
	}
	podTemplate struct {
		Metadata jobMeta `json:"metadata"`
		Spec     podSpec `json:"spec"`
	}
	podSpec struct {
		RestartPolicy                 string      `json:"restartPolicy"`
		TerminationGracePeriodSeconds int         `json:"terminationGracePeriodSeconds"`
		AutomountServiceAccountToken  bool        `json:"automountServiceAccountToken"` // a trial asks the API server nothing
		SecurityContext               podSecurity `json:"securityContext"`
		Containers                    []container `json:"containers"`
		Volumes                       []volume    `json:"volumes"`
	}
	podSecurity struct {
		RunAsNonRoot   bool    `json:"runAsNonRoot"`
		RunAsUser      int     `json:"runAsUser"`
		RunAsGroup     int     `json:"runAsGroup"`
		FSGroup        int     `json:"fsGroup"`
		SeccompProfile seccomp `json:"seccompProfile"`
	}
	seccomp struct {
		Type string `json:"type"`
	}
	container struct {
		Name            string            `json:"name"`
		Image           string            `json:"image"`
		Args            []string          `json:"args"`
		WorkingDir      string            `json:"workingDir"`
		Resources       resources         `json:"resources"`
		SecurityContext containerSecurity `json:"securityContext"`
		VolumeMounts    []volumeMount     `json:"volumeMounts"`
	}
	resources struct {
		Requests map[string]string `json:"requests"`
		Limits   map[string]string `json:"limits"`
	}
	containerSecurity struct {
		AllowPrivilegeEscalation bool         `json:"allowPrivilegeEscalation"`
		ReadOnlyRootFilesystem   bool         `json:"readOnlyRootFilesystem"`
		Capabilities             capabilities `json:"capabilities"`
	}
	capabilities struct {
		Drop []string `json:"drop"`
	}
	volumeMount struct {
		Name      string `json:"name"`
		MountPath string `json:"mountPath"`
	}
	volume struct {
		Name                  string `json:"name"`
		PersistentVolumeClaim claim  `json:"persistentVolumeClaim"`
	}
	claim struct {
		ClaimName string `json:"claimName"`
	}
)
