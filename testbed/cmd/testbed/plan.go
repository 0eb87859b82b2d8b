package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"k8ntext/testbed/scenario"
	"k8ntext/testbed/scenarios"
)

// planFlags choose what a plan is made of. Several commands share them.
type planFlags struct {
	profile string
	part    string
	seed    uint64
	folder  string
	only    []string
	rounds  int
	actions int
	file    string // a plan that was kept
}

func (f *planFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.profile, "profile", "base", "kind of recording: base, busy, other-version, metadata, ...")
	cmd.Flags().StringVar(&f.part, "part", "dev", "which recording of the profile: dev or final (its seed and size)")
	cmd.Flags().Uint64Var(&f.seed, "seed", 0, "seed in place of the part's")
	cmd.Flags().StringVar(&f.folder, "scenarios", "", "folder of scenarios and profiles in place of the built-in ones")
	cmd.Flags().StringSliceVar(&f.only, "only", nil, "scenarios or tags that take part, in place of the profile's")
	cmd.Flags().IntVar(&f.rounds, "rounds", 0, "rounds in place of the profile's")
	cmd.Flags().IntVar(&f.actions, "actions", 0, "most actions in place of the profile's")
	cmd.Flags().StringVar(&f.file, "plan", "", "a kept plan (plan.json of a recording), in place of all the others")
}

// plan loads the library and expands it. What is wrong in the files is wrong use.
func (f *planFlags) plan(cmd *cobra.Command) (*scenario.Library, *scenario.Plan, error) {
	var fsys fs.FS = scenarios.FS
	if f.folder != "" {
		fsys = os.DirFS(f.folder)
	}
	lib, err := scenario.Load(fsys)
	if err != nil {
		return nil, nil, usageError{err}
	}
	if f.file != "" {
		plan, err := keptPlan(f.file)
		return lib, plan, err
	}
	profile, err := scenario.LoadProfile(fsys, f.profile)
	if err != nil {
		return nil, nil, usageError{err}
	}
	seed, profile, err := profile.Part(f.part)
	if err != nil {
		return nil, nil, usageError{err}
	}
	if cmd.Flags().Changed("seed") {
		seed = f.seed
	}
	if len(f.only) > 0 {
		profile.Only = f.only
	}
	if f.rounds > 0 {
		profile.Rounds = f.rounds
	}
	if f.actions > 0 {
		profile.Actions = f.actions
	}
	plan, err := lib.Plan(profile, seed)
	if err != nil {
		return nil, nil, usageError{err}
	}
	return lib, plan, nil
}

// keptPlan reads a plan that an earlier run kept: scenarios may have changed since.
func keptPlan(path string) (*scenario.Plan, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, usageError{err}
	}
	defer f.Close()
	plan := new(scenario.Plan)
	d := json.NewDecoder(f)
	d.DisallowUnknownFields()
	if err := d.Decode(plan); err != nil {
		return nil, usagef("read plan %s: %v", path, err)
	}
	for _, a := range plan.Actions {
		if a.Lane < 0 || a.Lane >= plan.Lanes {
			return nil, usagef("read plan %s: action %s: there is no lane %d", path, a.ID, a.Lane)
		}
	}
	return plan, nil
}

func (a *app) planCommand() *cobra.Command {
	var flags planFlags
	var summary bool
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "Print what a recording would do, without a cluster",
		Long: `plan expands the scenarios under a profile and a seed. The same profile and seed give the
same actions in the same order, on every machine.`,
		Example: `  testbed plan --profile base --part dev
  testbed plan --profile busy --seed 7 --summary
  testbed plan --only D1,D2 --rounds 1 -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, plan, err := flags.plan(cmd)
			if err != nil {
				return err
			}
			switch {
			case a.output == "json":
				return json.NewEncoder(a.stdout).Encode(plan)
			case summary:
				return printSummary(a.stdout, plan)
			}
			return printPlan(a.stdout, plan)
		},
	}
	flags.register(cmd)
	cmd.Flags().BoolVar(&summary, "summary", false, "how often each action occurs, in place of the actions")
	return cmd
}

func printPlan(w io.Writer, plan *scenario.Plan) error {
	b := bufio.NewWriter(w)
	for _, x := range plan.Actions {
		fmt.Fprintf(b, "%s %-18s %-14s %-7s %s\n", x.ID, x.Scenario, x.User, x.Tool, describe(x))
	}
	return b.Flush()
}

// describe says on one line what an action does.
func describe(x *scenario.Action) string {
	line := strings.Join(x.Argv, " ")
	if x.Tool == scenario.ToolKubectl && x.Namespace != "" {
		line = "-n " + x.Namespace + " " + line
	}
	for i, q := range x.Requests {
		if i == 3 {
			line += fmt.Sprintf(" ... (%d requests)", len(x.Requests))
			break
		}
		path, _, _ := strings.Cut(q.Path, "?")
		line += strings.TrimLeft(" "+q.Verb+" "+path, " ") + " "
	}
	if x.Expect != "ok" {
		line += " (" + x.Expect + ")"
	}
	return strings.TrimSpace(line)
}

func printSummary(w io.Writer, plan *scenario.Plan) error {
	counts := map[string]int{}
	var least time.Duration
	for _, x := range plan.Actions {
		counts[x.Name]++
		least += x.Think + x.WaitOf().Quiet
	}
	b := bufio.NewWriter(w)
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		fmt.Fprintf(b, "%5d %s\n", counts[name], name)
	}
	fmt.Fprintf(b, "%d actions of %d kinds by %d people at a time; waiting alone takes %s for each\n",
		len(plan.Actions), len(counts), plan.Lanes, (least / time.Duration(plan.Lanes)).Round(time.Second))
	return b.Flush()
}
