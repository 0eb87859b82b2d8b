package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"k8ntext/experiments"
)

func (a *app) experimentSubmitCommand() *cobra.Command {
	var (
		f      experimentFlags
		s      experiments.Submission
		engine string
		apply  bool
	)
	c := &cobra.Command{
		Use:   "submit [FILE]",
		Short: "Write, or submit, the missing trials as tasks of a cluster",
		Long: `Writes below results/<name>/submit a manifest of the trials that have no result
yet, and what runs them, one task a trial: batch scripts of Slurm arrays, or a
Kubernetes Indexed Job. With --apply it submits them, by sbatch or kubectl.

A task that fails for a reason that may pass, as a full disk, is tried again by the
cluster; a trial that fails for its own reason is not. Run submit again for what is
missing then. All tasks must see the corpora, the manifest and the results folder
under the same paths: docs/cluster.md.`,
		Example: `  k8ntext experiment submit configs/quick.toml --engine slurm --at-once 20 --apply
  k8ntext experiment submit configs/quick.toml --engine kubernetes --image registry.example/k8ntext:1 --claim experiments`,
		Args: argsError(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if engine != "slurm" && engine != "kubernetes" {
				return usagef("--engine %q: use slurm or kubernetes", engine)
			}
			if s.AtOnce < 0 || s.MemoryMB < 0 || s.MaxArray < 0 {
				return usagef("--at-once %d, --memory %d, --max-array %d: none can be negative", s.AtOnce, s.MemoryMB, s.MaxArray)
			}
			m, store, _, err := f.planned(cmd, args)
			if err != nil {
				return err
			}
			left, err := m.Left(store)
			if err != nil {
				return err
			}
			p := a.newProgress()
			if s.Trials = len(left.Trials()); s.Trials == 0 {
				p.note("%s: no trial is missing", m.Name())
				return nil
			}
			if s.MemoryMB == 0 {
				if s.MemoryMB, err = left.MemoryMB(); err != nil {
					return err
				}
			}
			folder := filepath.Join(store.Dir, "submit")
			key, err := left.Key()
			if err != nil {
				return err
			}
			s.Manifest, s.Results, s.Logs = filepath.Join(folder, key+".jsonl"), f.results, folder
			if s.Program == "" {
				if s.Program, err = os.Executable(); err != nil {
					return fmt.Errorf("find this program: %w: name it with --program", err)
				}
			}
			written, err := writeSubmission(s, engine, left.Name(), key)
			if err != nil {
				return err
			}
			if err := left.Write(s.Manifest); err != nil {
				return err
			}
			p.note("%s: %d trials in %s", m.Name(), s.Trials, strings.Join(written, ", "))
			return a.submit(cmd.Context(), engine, written, apply)
		},
	}
	f.addManifest(c)
	flags := c.Flags()
	flags.StringVar(&engine, "engine", "", "slurm or kubernetes")
	flags.BoolVar(&apply, "apply", false, "submit what was written")
	flags.IntVar(&s.AtOnce, "at-once", 0, "tasks at a time at most; 0: no limit but the cluster's")
	flags.IntVar(&s.MemoryMB, "memory", 0, "MiB that a task may need; 0: an estimate from the largest trial")
	flags.StringVar(&s.Program, "program", "", "Slurm: this program where tasks find it (default: where it is here)")
	flags.StringVar(&s.Partition, "partition", "", "Slurm: partition")
	flags.StringVar(&s.Time, "time", "", "Slurm: time limit of a task")
	flags.IntVar(&s.MaxArray, "max-array", 0, "Slurm: tasks of one array at most; 0: 1000")
	flags.StringVar(&s.Image, "image", "", "Kubernetes: image of Containerfile")
	flags.StringVar(&s.Claim, "claim", "", "Kubernetes: PersistentVolumeClaim with corpora, manifest and results")
	flags.StringVar(&s.Namespace, "namespace", "", "Kubernetes: namespace (default: kubectl's)")
	return c
}

// writeSubmission writes the scripts or the Job beside the manifest and gives their paths in order.
func writeSubmission(s experiments.Submission, engine, name, key string) ([]string, error) {
	var texts [][]byte
	var suffix string
	switch engine {
	case "slurm":
		scripts, err := s.SlurmScripts(name)
		if err != nil {
			return nil, usageError{err}
		}
		texts, suffix = scripts, ".sbatch"
	default:
		job, err := s.KubernetesJob(name, key)
		if err != nil {
			return nil, usageError{err}
		}
		texts, suffix = [][]byte{job}, ".json"
	}
	if err := os.MkdirAll(s.Logs, 0o755); err != nil {
		return nil, fmt.Errorf("write the tasks: %w", err)
	}
	var paths []string
	for i, text := range texts {
		path := filepath.Join(s.Logs, fmt.Sprintf("%s-%d%s", key, i+1, suffix))
		if err := os.WriteFile(path, text, 0o644); err != nil {
			return nil, fmt.Errorf("write the tasks: %w", err)
		}
		paths = append(paths, path)
	}
	return paths, nil
}

// submit gives what was written to the cluster, or prints how to.
func (a *app) submit(ctx context.Context, engine string, paths []string, apply bool) error {
	job := "" // that the next array waits for
	for _, path := range paths {
		command := []string{"kubectl", "apply", "--filename", path}
		if engine == "slurm" {
			command = []string{"sbatch", "--parsable", path}
			if job != "" {
				command = []string{"sbatch", "--parsable", "--dependency=afterany:" + job, path}
			}
		}
		if !apply {
			fmt.Fprintln(a.stdout, strings.Join(command, " "))
			job = "JOB" // the number that the command before it prints
			continue
		}
		c := exec.CommandContext(ctx, command[0], command[1:]...)
		var out bytes.Buffer
		c.Stdout, c.Stderr = &out, a.stderr
		if err := c.Run(); err != nil {
			return fmt.Errorf("submit %s: %s: %w", path, command[0], err)
		}
		text := strings.TrimSpace(out.String())
		job, _, _ = strings.Cut(text, ";") // of several clusters: JOB;CLUSTER
		fmt.Fprintln(a.stdout, printable(text))
	}
	return nil
}
