package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/BurntSushi/toml"
	"github.com/spf13/cobra"

	"k8ntext/testbed/actor"
	"k8ntext/testbed/cluster"
	"k8ntext/testbed/operator"
	"k8ntext/testbed/scenario"
)

// recordingFile says what a recording is: options, seed, versions, times.
const recordingFile = "recording.toml"

// planFile is the plan, as testbed plan -o json prints it.
const planFile = "plan.json"

// recording is the content of recording.toml.
type recording struct {
	Profile    string    `toml:"profile"`
	Part       string    `toml:"part"`
	Seed       uint64    `toml:"seed"`
	Mode       string    `toml:"mode"`
	Kubernetes string    `toml:"kubernetes"`
	Nodes      int       `toml:"nodes"`
	Level      string    `toml:"level"`
	Network    string    `toml:"network"`
	Started    time.Time `toml:"started"`
	Ended      time.Time `toml:"ended"`
	Planned    int       `toml:"actions_planned"`
	Done       int       `toml:"actions_done"`
	Unexpected int       `toml:"actions_unexpected"`
	Events     int       `toml:"events"`
	Lines      int       `toml:"raw_lines"`
	Missing    string    `toml:"missing,omitempty"`
	Error      string    `toml:"error,omitempty"`
}

func (a *app) runCommand() *cobra.Command {
	var flags planFlags
	var o cluster.Options
	var network string
	var limit time.Duration
	cmd := &cobra.Command{
		Use:   "run DIR",
		Short: "Start a cluster, do what a profile says, and record it",
		Long: `run makes a recording in the folder DIR, which must not exist or be empty: audit.log,
journal.jsonl (what was done, when, with which stamp and token) and recording.toml.
Interrupted, it ends cleanly and says what is missing; what was recorded remains
usable. The profile gives version, nodes and audit level unless flags do.`,
		Example: `  testbed run recordings/base-dev --profile base
  testbed run recordings/busy-final --profile busy --part final --name busy
  testbed run recordings/try --only D1,D2 --rounds 1 --for 5m`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			// Everything that can be wrong without a cluster is found before one starts.
			lib, plan, err := flags.plan(cmd)
			if err != nil {
				return err
			}
			if o.Network, err = cluster.Enter(cmd.Context(), cluster.Network(network)); err != nil {
				return err
			}
			changed := cmd.Flags().Changed
			if !changed("minor") {
				o.Minor = plan.Minor
			}
			if !changed("nodes") {
				o.Nodes = plan.Nodes
			}
			if !changed("level") && plan.Level != "" {
				o.Level = cluster.Level(plan.Level)
			}
			plan.Minor, plan.Nodes, plan.Level = o.Minor, o.Nodes, string(o.Level)
			o.Dir = args[0]
			if err := emptyFolder(o.Dir); err != nil {
				return err
			}
			if err := writePlan(filepath.Join(o.Dir, planFile), plan); err != nil {
				return err
			}
			out := recording{
				Profile: plan.Profile, Part: flags.part, Seed: plan.Seed, Mode: plan.Mode, Nodes: o.Nodes, Level: string(o.Level),
				Network: string(o.Network), Started: time.Now().UTC(), Planned: len(plan.Actions),
			}
			c, err := cluster.Up(cmd.Context(), o)
			if err != nil {
				return err
			}
			out.Kubernetes = c.Version()
			a.note("%s with %d nodes: %d actions by %d people at a time", c.Version(), o.Nodes, len(plan.Actions), plan.Lanes)
			result, err := actor.Run(cmd.Context(), c, plan, actor.Options{Dir: o.Dir, Library: lib, For: limit, Progress: a.note})
			err = errors.Join(err, c.Down())
			out.Ended = time.Now().UTC()
			out.Done, out.Unexpected, out.Events, out.Lines, out.Missing = result.Done, result.Unexpected, result.Events, result.Lines, result.Missing
			if err != nil {
				out.Error = err.Error()
			}
			err = errors.Join(err, writeRecording(filepath.Join(o.Dir, recordingFile), out))
			if a.output == "json" {
				err = errors.Join(err, json.NewEncoder(a.stdout).Encode(result))
			} else {
				fmt.Fprintf(a.stdout, "%d of %d actions in %s, %d of them ended otherwise than expected; %d events in %d lines\n",
					result.Done, result.Planned, result.Took, result.Unexpected, result.Events, result.Lines)
				if result.Missing != "" {
					fmt.Fprintf(a.stdout, "missing: %s\n", result.Missing)
				}
			}
			return err
		},
	}
	a.clusterFlags(cmd, &o, &network)
	cmd.Flags().Lookup("dir").Hidden = true
	flags.register(cmd)
	cmd.Flags().DurationVar(&limit, "for", 0, "end the recording after this time, as 45m (default: when the plan is done)")
	return cmd
}

// emptyFolder makes the folder of a recording; one that holds anything is refused.
func emptyFolder(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	if len(entries) > 0 {
		return usagef("the folder %s is not empty: a recording needs one of its own", dir)
	}
	return os.MkdirAll(dir, 0o755)
}

// writePlan keeps what was to be done beside what was done.
func writePlan(path string, plan *scenario.Plan) error {
	text, err := json.Marshal(plan)
	if err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o644)
}

func writeRecording(path string, r recording) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(toml.NewEncoder(f).Encode(r), f.Close())
}

// operatorCommand is the process beside a recording; nobody types it.
func (a *app) operatorCommand() *cobra.Command {
	var kubeconfig string
	cmd := &cobra.Command{
		Use:    "operator",
		Short:  "Be the operator of the recording's custom resource",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE:   func(cmd *cobra.Command, _ []string) error { return operator.Run(cmd.Context(), kubeconfig) },
	}
	cmd.Flags().StringVar(&kubeconfig, "kubeconfig", "", "its credentials")
	return cmd
}
