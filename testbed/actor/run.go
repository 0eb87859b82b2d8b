package actor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"k8s.io/client-go/kubernetes"

	"k8ntext/testbed/scenario"
)

// Cluster is what a recording needs of a cluster.
type Cluster interface {
	Kubeconfig(user string, groups []string, valid time.Duration) (string, error)
	TokenKubeconfig(name, token string) (string, error)
	Command(ctx context.Context, argv ...string) *exec.Cmd
	Client() kubernetes.Interface
	Kill(component string) error
	Start(component string) error
	Reissue(component string, valid time.Duration) error
	AddNode() (string, error)
	RemoveNode(name string) error
	WaitNodes(ctx context.Context) error
	AuditLog() string
	Version() string
	Failed() <-chan struct{}
	Err() error
}

// Options say how to execute a plan.
type Options struct {
	// Dir is the folder of the recording.
	Dir string
	// Library that the plan was made of: who the people are.
	Library *scenario.Library
	// For ends the recording after this time; 0: when the plan is done.
	For time.Duration
	// Progress is told what happens.
	Progress func(format string, args ...any)
}

// Result is what a recording came to.
type Result struct {
	Planned    int    `json:"planned"`
	Done       int    `json:"done"`
	Unexpected int    `json:"unexpected"`
	Events     int    `json:"events"`
	Lines      int    `json:"lines"`
	Took       string `json:"took"`
	Missing    string `json:"missing,omitempty"` // what was not done, in words
}

// runner executes one plan.
type runner struct {
	cluster Cluster
	plan    *scenario.Plan
	options Options
	tail    *tail
	journal *journal
	people  *people
	client  *client

	mu         sync.Mutex
	saved      map[string]string // outputs of commands
	done       int
	unexpected int
}

var errTimeUp = errors.New("time is up")

// Run executes the plan. When the context ends, or time is up, it ends cleanly and says what is missing;
// the recording remains readable in any case.
func Run(outer context.Context, c Cluster, plan *scenario.Plan, o Options) (result Result, err error) {
	began := time.Now()
	j, err := newJournal(filepath.Join(o.Dir, JournalFile))
	if err != nil {
		return Result{}, err
	}
	defer func() { err = errors.Join(err, j.close()) }()
	r := &runner{
		cluster: c, plan: plan, options: o, tail: newTail(), journal: j,
		saved: map[string]string{},
	}
	r.people = newPeople(c, o.Library)
	r.client = newClient(r.people)
	ctx, cancel := context.WithCancelCause(outer)
	defer cancel(nil)
	follow, stop := context.WithCancel(context.WithoutCancel(ctx))
	var following sync.WaitGroup
	following.Go(func() {
		if err := r.tail.follow(follow, c.AuditLog()); err != nil {
			cancel(err)
		}
	})
	defer following.Wait()
	defer stop()
	go func() {
		select {
		case <-c.Failed():
			cancel(fmt.Errorf("the cluster failed: %w", c.Err()))
		case <-follow.Done():
		}
	}()
	if err := r.furnish(ctx); err != nil {
		return Result{}, fmt.Errorf("prepare the recording: %w", errors.Join(err, context.Cause(ctx)))
	}
	if err := r.keepResources(); err != nil {
		return Result{}, fmt.Errorf("prepare the recording: %w", err)
	}
	quietly := scenario.Wait{Quiet: 3 * time.Second, Most: 30 * time.Second}
	r.tail.settle(ctx, quietly, time.Now(), "")
	j.write(mark{Kind: "phase", Name: "started", At: time.Now(), Detail: map[string]any{
		"profile": plan.Profile, "seed": plan.Seed, "mode": plan.Mode, "actions": len(plan.Actions),
	}})
	if o.For > 0 {
		timer := time.AfterFunc(o.For, func() { cancel(errTimeUp) })
		defer timer.Stop()
	}
	report := r.reporter(ctx, began)
	r.lanes(ctx)
	report()
	r.tail.settle(context.WithoutCancel(ctx), quietly, time.Now(), "")
	cause := context.Cause(ctx)
	result = r.result(began)
	j.write(mark{Kind: "phase", Name: "ended", At: time.Now(), Detail: result})
	if outer.Err() != nil {
		cause = outer.Err() // whatever ended it, the caller knows
	}
	if cause != nil && !errors.Is(cause, errTimeUp) {
		return result, fmt.Errorf("recorded %d of %d actions: %w", result.Done, result.Planned, cause)
	}
	return result, nil
}

func (r *runner) result(began time.Time) Result {
	r.mu.Lock()
	defer r.mu.Unlock()
	lines, events := r.tail.counts()
	out := Result{
		Planned: len(r.plan.Actions), Done: r.done, Unexpected: r.unexpected, Lines: lines, Events: events,
		Took: time.Since(began).Round(time.Second).String(),
	}
	if out.Done < out.Planned {
		out.Missing = fmt.Sprintf("the last %d actions of the plan", out.Planned-out.Done)
	}
	return out
}

// reporter tells the progress once a minute until it is called.
func (r *runner) reporter(ctx context.Context, began time.Time) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var done sync.WaitGroup
	done.Go(func() {
		tick := time.NewTicker(time.Minute)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				s := r.result(began)
				r.options.Progress("%s: %d of %d actions, %d events, %d ended otherwise than expected", s.Took, s.Done, s.Planned, s.Events, s.Unexpected)
			}
		}
	})
	return func() { cancel(); done.Wait() }
}

// lanes lets everybody work at the same time, each one action after the other.
func (r *runner) lanes(ctx context.Context) {
	queues := make([][]*scenario.Action, r.plan.Lanes)
	for _, a := range r.plan.Actions {
		queues[a.Lane] = append(queues[a.Lane], a)
	}
	var all sync.WaitGroup
	for _, queue := range queues {
		all.Go(func() {
			for _, a := range queue {
				select {
				case <-ctx.Done():
					return
				case <-time.After(a.Think):
				}
				if ctx.Err() != nil {
					return // both were ready
				}
				r.act(ctx, a)
			}
		})
	}
	all.Wait()
}

// act executes one action, waits as it says, and writes it down.
func (r *runner) act(ctx context.Context, a *scenario.Action) {
	e := entry{
		ID: a.ID, Scenario: a.Scenario, Run: a.Run, Step: a.Step, Action: a.Name, Actor: a.User, User: a.User,
		Tool: a.Tool, Stamp: a.ID, Token: a.Token, Names: a.Names, Expect: a.Expect,
	}
	limited, cancel := context.WithTimeout(ctx, a.Timeout)
	defer cancel()
	e.Start = time.Now()
	var output string
	switch a.Tool {
	case scenario.ToolKubectl:
		e.Argv, e.Exit, output = r.kubectl(limited, a)
	case scenario.ToolCluster:
		r.fault(ctx, a)
	default:
		e.Argv, e.Exit, output = r.requests(limited, a)
	}
	e.End = time.Now()
	if a.Save != "" {
		r.mu.Lock()
		if _, there := r.saved[a.Save]; !there {
			r.saved[a.Save] = output
		}
		r.mu.Unlock()
	}
	wait := a.WaitOf()
	if r.plan.Mode == scenario.Sequential {
		at, _ := r.tail.settle(ctx, wait, e.End, a.Namespace)
		e.Quiet = &at
	} else if !a.Hasty {
		if !wait.Gone {
			wait.Most = min(wait.Most, 15*time.Second)
		}
		r.tail.still(ctx, wait, e.End, a.Namespace)
	}
	if ctx.Err() != nil && e.Exit != 0 {
		e.Expect = "any" // ended by us
	}
	r.mu.Lock()
	r.done++
	if e.unexpected() {
		r.unexpected++
		e.Output = lastPart(output, 300)
	}
	r.mu.Unlock()
	if a.Tool != scenario.ToolCluster {
		r.journal.write(e)
	}
	if e.unexpected() {
		r.options.Progress("%s %s %s: exit %d, expected %s: %s", a.ID, a.Scenario, a.Name, e.Exit, e.Expect, e.Output)
	}
}

func lastPart(s string, n int) string {
	if len(s) > n {
		s = s[len(s)-n:]
	}
	return s
}

// fault does something to the cluster itself.
func (r *runner) fault(ctx context.Context, a *scenario.Action) {
	m := mark{Kind: "fault", ID: a.ID, What: a.Argv[0], At: time.Now()}
	if len(a.Argv) > 1 {
		m.Component = r.fillIn(ctx, a.Argv[1])
	}
	var err error
	switch m.What {
	case "kill":
		err = r.cluster.Kill(component(m.Component))
	case "start":
		err = r.cluster.Start(component(m.Component))
	case "expire":
		var valid time.Duration
		if valid, err = time.ParseDuration(a.Argv[len(a.Argv)-1] + "s"); err == nil {
			err = r.cluster.Reissue(component(m.Component), valid)
		}
	case "renew":
		err = r.cluster.Reissue(component(m.Component), 0)
	case "add-node":
		m.What = "add"
		var name string
		if name, err = r.cluster.AddNode(); err == nil {
			m.Component = name
			r.mu.Lock()
			r.saved[a.Save] = name
			r.mu.Unlock()
			ready, cancel := context.WithTimeout(ctx, 60*time.Second)
			err = r.cluster.WaitNodes(ready)
			cancel()
		}
	case "remove-node":
		m.What = "remove"
		err = r.cluster.RemoveNode(m.Component)
	case "sleep":
		seconds, _ := time.ParseDuration(m.Component + "s")
		select {
		case <-ctx.Done():
		case <-time.After(seconds):
		}
		return
	}
	if err != nil {
		r.mu.Lock()
		r.unexpected++
		r.mu.Unlock()
		m.Detail = err.Error()
		r.options.Progress("%s %s %s: %v", a.ID, m.What, m.Component, err)
	}
	r.journal.write(m)
}

// component is the cluster's word for one: the node of node-3 is node/3.
func component(name string) string {
	const prefix = "node/node-"
	if len(name) > len(prefix) && name[:len(prefix)] == prefix {
		return "node/" + name[len(prefix):]
	}
	return name
}

// kubectl starts the real program under a name that carries the stamp.
func (r *runner) kubectl(ctx context.Context, a *scenario.Action) (argv []string, exit int, output string) {
	config, err := r.people.kubeconfig(a.User, r.bearer(a))
	if err != nil {
		return a.Argv, 1, err.Error()
	}
	args := make([]string, 0, len(a.Argv)+3)
	for _, w := range a.Argv {
		args = append(args, r.fillIn(ctx, w))
	}
	argv = append([]string{"kubectl"}, args...)
	full := []string{"kubectl-" + a.ID, "--kubeconfig=" + config}
	if a.Namespace != "" {
		full = append(full, "--namespace="+a.Namespace)
	}
	cmd := r.cluster.Command(ctx, append(full, args...)...)
	cmd.Env = append(cmd.Env, "KUBE_EDITOR="+filepath.Join(r.options.Dir, editorFile), fmt.Sprintf("EDITED=%d", a.Step))
	if a.Stdin != "" {
		cmd.Stdin = readerOf(a.Stdin)
	}
	var stdout, stderr limitedBuffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	output = stdout.String()
	var ended *exec.ExitError
	switch {
	case ctx.Err() != nil && errors.Is(ctx.Err(), context.DeadlineExceeded):
		return argv, 124, output + stderr.String() + " (ended by the time limit)"
	case errors.As(err, &ended):
		return argv, max(1, ended.ExitCode()), output + stderr.String()
	case err != nil:
		return argv, 1, err.Error()
	}
	return argv, 0, output
}

// editorFile is a program that edits as a person would: it sets a label.
const editorFile = "editor.sh"

const editor = `#!/bin/sh
if grep -q '^    edited: ' "$1"; then
  sed -i "s/^    edited: .*/    edited: \"$EDITED\"/" "$1"
else
  sed -i "0,/^  labels:\$/s//  labels:\n    edited: \"$EDITED\"/" "$1"
fi
`

func writeEditor(dir string) error {
	return os.WriteFile(filepath.Join(dir, editorFile), []byte(editor), 0o755)
}
