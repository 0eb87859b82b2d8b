// Package foreign runs Kubernetes' own end-to-end tests against a cluster: work that nobody planned for
// the testbed, done by code that the testbed's authors have not written.
//
// Every test is a process of its own under a name of its own, so that the log says which test a request
// belongs to. Tests that wait for what only real containers do run into their time limit, and are recorded
// like the others: failing work is work.
package foreign

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"k8ntext/testbed/cluster"
)

// User is who the tests are.
const User = "e2e-runner"

// Skip leaves out what no cluster of hollow nodes can do, what turns the cluster itself upside down, and what
// waits by design.
const Skip = `\[Slow\]|\[Serial\]|\[Disruptive\]|\[Flaky\]|\[Feature:|OffByDefault|AdmissionWebhook|Aggregator|ConversionWebhook` +
	`|sig-storage|Connectivity|DNS|Networking|LoadBalancer|NetworkPolicy between|Conntrack|Traffic Distribution|Probing|Security Context|InPlace`

// Options say which tests are run, and how.
type Options struct {
	Binary string         // the built tests
	Dir    string         // of the recording
	Focus  *regexp.Regexp // tests that are run; nil: all
	Skip   *regexp.Regexp // tests that are not; nil: none
	Seed   uint64         // of the order
	Lanes  int            // tests at a time
	For    time.Duration  // no test is started later; 0: until all have run
	Limit  time.Duration  // of one test
	// Progress is told what happens, when it is not nil.
	Progress func(format string, args ...any)
}

// Result counts what ran.
type Result struct {
	Chosen int `json:"chosen"`
	Done   int `json:"done"`
	Passed int `json:"passed"`
}

// entry is a line of the journal: a test as one command of a person. See the journal of a recording.
type entry struct {
	ID       string    `json:"id"`
	Scenario string    `json:"scenario"`
	Step     int       `json:"step"`
	Action   string    `json:"action"`
	Actor    string    `json:"actor"`
	User     string    `json:"user"`
	Tool     string    `json:"tool"`
	Stamp    string    `json:"stamp"`
	Argv     []string  `json:"argv"`
	Start    time.Time `json:"start"`
	End      time.Time `json:"end"`
	Exit     int       `json:"exit"`
	Expect   string    `json:"expect"` // the code that the test ended with: whether it passes here is not known before
}

// phase is a line of the journal that says when the work began and ended.
type phase struct {
	Kind string    `json:"kind"`
	Name string    `json:"name"`
	At   time.Time `json:"at"`
}

// Run runs tests and writes the journal. It ends early, without an error, when o.For is over.
func Run(ctx context.Context, c *cluster.Cluster, o Options) (Result, error) {
	if o.Progress == nil {
		o.Progress = func(string, ...any) {}
	}
	all, err := List(ctx, o.Binary)
	if err != nil {
		return Result{}, err
	}
	tests := choose(all, o.Focus, o.Skip, o.Seed)
	if len(tests) == 0 {
		return Result{}, fmt.Errorf("none of %d tests is chosen: change focus and skip", len(all))
	}
	kubeconfig, err := c.Kubeconfig(User, []string{cluster.AdminGroup}, 0)
	if err != nil {
		return Result{}, err
	}
	file, err := os.OpenFile(filepath.Join(o.Dir, "journal.jsonl"), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return Result{}, fmt.Errorf("journal: %w", err)
	}
	logs := filepath.Join(o.Dir, "logs", "tests")
	if err := errors.Join(os.MkdirAll(logs, 0o755), json.NewEncoder(file).Encode(phase{"phase", "started", time.Now().UTC()})); err != nil {
		return Result{}, errors.Join(err, file.Close())
	}
	r := &runner{options: o, cluster: c, kubeconfig: kubeconfig, logs: logs, tests: tests, journal: json.NewEncoder(file), result: Result{Chosen: len(tests)}}
	if o.For > 0 {
		r.until = time.Now().Add(o.For)
	}
	var wait sync.WaitGroup
	for range max(1, o.Lanes) {
		wait.Go(func() { r.lane(ctx) })
	}
	wait.Wait()
	if err := c.Err(); err != nil {
		r.err = errors.Join(r.err, err)
	}
	r.err = errors.Join(r.err, ctx.Err(), json.NewEncoder(file).Encode(phase{"phase", "ended", time.Now().UTC()}), file.Close())
	return r.result, r.err
}

// List names all tests that a binary has, sorted.
func List(ctx context.Context, binary string) ([]string, error) {
	folder, err := os.MkdirTemp("", "testbed-e2e-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	report := filepath.Join(folder, "report.json")
	out, err := exec.CommandContext(ctx, binary, "--provider=skeleton", "--ginkgo.dry-run", "--ginkgo.json-report="+report).CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("listing the tests of %s: %w: %s", binary, err, bytes.TrimSpace(out))
	}
	text, err := os.ReadFile(report)
	if err != nil {
		return nil, err
	}
	return parseReport(text)
}

// parseReport reads the names of tests from ginkgo's report.
func parseReport(text []byte) ([]string, error) {
	var suites []struct {
		SpecReports []struct {
			ContainerHierarchyTexts []string
			LeafNodeType            string
			LeafNodeText            string
		}
	}
	if err := json.Unmarshal(text, &suites); err != nil {
		return nil, fmt.Errorf("report of tests: %w", err)
	}
	var names []string
	for _, suite := range suites {
		for _, s := range suite.SpecReports {
			if s.LeafNodeType == "It" {
				names = append(names, strings.Join(append(s.ContainerHierarchyTexts, s.LeafNodeText), " "))
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// choose filters tests and puts them into an order drawn from the seed.
func choose(all []string, focus, skip *regexp.Regexp, seed uint64) []string {
	var tests []string
	for _, t := range all {
		if (focus == nil || focus.MatchString(t)) && (skip == nil || !skip.MatchString(t)) {
			tests = append(tests, t)
		}
	}
	random := rand.New(rand.NewPCG(seed, 0))
	random.Shuffle(len(tests), func(i, j int) { tests[i], tests[j] = tests[j], tests[i] })
	return tests
}

// runner is what the lanes share.
type runner struct {
	options    Options
	cluster    *cluster.Cluster
	kubeconfig string
	logs       string
	tests      []string
	until      time.Time // zero: no end

	mu      sync.Mutex
	next    int
	journal *json.Encoder
	result  Result
	err     error
}

// lane runs one test after the other.
func (r *runner) lane(ctx context.Context) {
	for {
		r.mu.Lock()
		n := r.next
		r.next++
		stop := n >= len(r.tests) || r.err != nil
		r.mu.Unlock()
		if stop || ctx.Err() != nil || r.cluster.Err() != nil || !r.until.IsZero() && time.Now().After(r.until) {
			return
		}
		e, err := r.test(ctx, n)
		r.mu.Lock()
		if err == nil {
			err = r.journal.Encode(e)
		}
		if err != nil {
			r.err = errors.Join(r.err, err)
			r.mu.Unlock()
			return
		}
		r.result.Done++
		if e.Exit == 0 {
			r.result.Passed++
		}
		r.options.Progress("%d of %d tests, %d passed; last: %s", r.result.Done, r.result.Chosen, r.result.Passed, e.Action)
		r.mu.Unlock()
	}
}

// test runs one test.
func (r *runner) test(ctx context.Context, n int) (entry, error) {
	id := fmt.Sprintf("a%05d", n+1)
	e := entry{
		ID: id, Stamp: id, Scenario: "e2e", Action: r.tests[n], Actor: User, User: User, Tool: "client", Expect: "ok",
		Argv: []string{"e2e.test", "--ginkgo.focus=" + r.tests[n]},
	}
	log, err := os.Create(filepath.Join(r.logs, id+".log"))
	if err != nil {
		return e, err
	}
	defer log.Close()
	kubectl := filepath.Join(filepath.Dir(r.cluster.Kubectl()), "kubectl-"+id)
	if err := os.Symlink(r.cluster.Kubectl(), kubectl); err != nil {
		return e, err
	}
	defer os.Remove(kubectl)
	// The suite ends a test at its own limit and cleans up; the process is ended when it does not.
	const grace = 20 * time.Second
	limited, cancel := context.WithTimeout(ctx, r.options.Limit+grace)
	defer cancel()
	cmd := r.cluster.Command(limited, r.options.Binary,
		"--provider=local", "--kubeconfig="+r.kubeconfig, "--kubectl-path="+kubectl, "--dump-logs-on-failure=false", "--num-nodes=-1",
		"--ginkgo.v", "--ginkgo.no-color", "--ginkgo.timeout="+r.options.Limit.String(), "--ginkgo.grace-period=5s",
		"--ginkgo.fail-on-empty", "--ginkgo.focus= "+regexp.QuoteMeta(r.tests[n])+"$")
	cmd.Args[0] = "e2e.test-" + id
	cmd.Stdout, cmd.Stderr = log, log
	e.Start = time.Now().UTC()
	if err := cmd.Start(); err != nil {
		return e, err
	}
	err = cmd.Wait()
	e.End = time.Now().UTC()
	// Some tests leave a kubectl behind that forwards a port: it is in their process group.
	if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return e, fmt.Errorf("what %s left running: %w", id, err)
	}
	e.Exit = cmd.ProcessState.ExitCode()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		e.Expect, err = "fail", nil
	case limited.Err() != nil:
		e.Expect, err = "fail", nil
	}
	if ctx.Err() != nil {
		return e, ctx.Err()
	}
	return e, err
}
