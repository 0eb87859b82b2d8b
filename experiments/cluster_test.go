package experiments

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var updateCluster = flag.Bool("update-cluster", false, "write the golden files of cluster_test.go")

// TestSubmissions: the scripts and the Job to the byte. The testbed's tests read job.json too.
func TestSubmissions(t *testing.T) {
	s := Submission{
		Manifest: "results/toy/submit/0123abcd.jsonl", Results: "results", Trials: 5, AtOnce: 2, MemoryMB: 1500,
		Program: "/opt/k8ntext", Logs: "results/toy/submit", Partition: "short", Time: "01:00:00", MaxArray: 3,
		Image: "registry.example/k8ntext:1", Claim: "experiments", Namespace: "research",
	}
	scripts, err := s.SlurmScripts("toy")
	if err != nil || len(scripts) != 2 {
		t.Fatalf("%d scripts, %v", len(scripts), err)
	}
	golden(t, "array-1.sbatch", scripts[0])
	golden(t, "array-2.sbatch", scripts[1])
	job, err := s.KubernetesJob("Toy_sweep", "0123abcd")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "job.json", job)

	for _, c := range []struct {
		name   string
		change func(*Submission)
		want   string
	}{
		{"a quote in a path", func(s *Submission) { s.Results = `a"b` }, "results folder"},
		{"a command in a path", func(s *Submission) { s.Program = "$(reboot)" }, "program"},
		{"a line in the partition", func(s *Submission) { s.Partition = "a\n#SBATCH" }, "partition"},
		{"a space in the time", func(s *Submission) { s.Time = "1 h" }, "time limit"},
	} {
		x := s
		c.change(&x)
		if _, err := x.SlurmScripts("toy"); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v does not name the %s", c.name, err, c.want)
		}
	}
	for _, c := range []struct {
		name   string
		change func(*Submission)
		want   string
	}{
		{"no claim", func(s *Submission) { s.Claim = "" }, "claim"},
		{"no image", func(s *Submission) { s.Image = "" }, "Containerfile"},
		{"a namespace that is none", func(s *Submission) { s.Namespace = "A b" }, "namespace"},
		{"a path outside", func(s *Submission) { s.Results = "../results" }, "results folder"},
		{"an absolute path", func(s *Submission) { s.Manifest = "/m.jsonl" }, "manifest"},
	} {
		x := s
		c.change(&x)
		if _, err := x.KubernetesJob("toy", "0"); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v does not name the %s", c.name, err, c.want)
		}
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", "cluster", name)
	if *updateCluster {
		if err := writeDurably(path, got); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}
