package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/BurntSushi/toml"
	"github.com/google/go-cmp/cmp"

	"k8ntext/testbed/cluster"
)

// liveVariable names the minor of Kubernetes that the tests of this file record; it has to be built.
// Without it they are skipped. `make test-testbed` sets it.
const liveVariable = "K8NTEXT_TESTBED_LIVE"

// commandVariable makes this test binary the command itself: a recording runs the program again inside
// a namespace, starts it as an operator, and can only be interrupted and seen to its end as a process.
const commandVariable = "K8NTEXT_TESTBED_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(commandVariable) != "" {
		main()
	}
	os.Exit(m.Run())
}

// liveCommand is testbed with arguments, as a process.
func liveCommand(ctx context.Context, t *testing.T, args ...string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	if os.Getenv(liveVariable) == "" {
		t.Skipf("no cluster: set %s to a built minor of Kubernetes", liveVariable)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Env = append(os.Environ(), commandVariable+"=1")
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 2 * time.Minute
	out := new(bytes.Buffer)
	cmd.Stdout, cmd.Stderr = out, out
	return cmd, out
}

// liveProfile writes scenarios of a minute: a namespace, a deployment that is scaled, a look, a refusal.
func liveProfile(t *testing.T) (folder string) {
	t.Helper()
	folder = t.TempDir()
	for name, text := range map[string]string{
		"scenarios.toml": liveScenarios,
		"profiles/live.toml": `
about = "A minute, to test recording itself."
minor = "` + os.Getenv(liveVariable) + `"
nodes = 2
level = "RequestResponse"
mode = "sequential"
rounds = 2
neighbours = [1, 2]
think = [0, 0.05]
teams = ["team"]
seeds = { dev = 7 }
`,
	} {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

const liveScenarios = `
words = ["web", "api", "cart", "orders"]
notes = ["note"]

[role.admin]
users = ["anna", "olaf"]
group = "testbed:admins"
clusterrole = "cluster-admin"
agents = ["client-go/v0.34.4"]

[role.guest]
users = ["mallory"]
group = "testbed:guests"
rules = [{ apiGroups = [""], resources = ["pods"], verbs = ["get", "list"] }]
agents = ["curl/8.11.0"]

[kind.namespace]
resource = "namespaces"
api = "v1"
kind = "Namespace"
body = "{}"

[kind.pod]
resource = "pods"
api = "v1"
kind = "Pod"
namespaced = true
body = 'spec: {containers: [{name: main, image: "nginx:1.27"}]}'

[kind.secret]
resource = "secrets"
api = "v1"
kind = "Secret"
namespaced = true
body = 'stringData: {password: "changeme"}'

[kind.deployment]
resource = "deployments"
api = "apps/v1"
kind = "Deployment"
namespaced = true
workload = true
subresources = ["scale"]
draw = { replicas = [1, 2] }
body = '''
spec:
  replicas: {{.replicas}}
  selector: {matchLabels: {app: "{{.name}}"}}
  template:
    metadata: {labels: {app: "{{.name}}"}, annotations: {testbed/taint: "t-{{.taint}}"}}
    spec: {terminationGracePeriodSeconds: 1, containers: [{name: main, image: "nginx:1.27"}]}
'''

[[scenario]]
id = "work"
about = "A deployment in a namespace of its own, scaled."
namespace = "own"
objects.web = { kind = "deployment" }
steps = [
  { do = "create", on = "web" },
  { do = "scale", on = "web", count = "3" },
  { kubectl = "get deployments" },
]

[[scenario]]
id = "peek"
about = "A guest looks for secrets, and an administrator makes one."
roles = ["guest"]
namespace = "team"
objects.key = { kind = "secret" }
steps = [
  { kubectl = "get pods" },
  { do = "list", on = "secret", tool = "client", expect = "fail" },
  { do = "create", on = "key", by = "admin" },
  { do = "delete", on = "key", by = "admin" },
]
`

// TestLiveProfile: the profile that the live tests record can be planned, which needs no cluster.
func TestLiveProfile(t *testing.T) {
	code, out, stderr := command(t, "plan", "--profile", "live", "--scenarios", liveProfile(t), "--summary")
	if code != exitOK || !strings.Contains(out, "2 scale-deployment") {
		t.Errorf("exit %d: %s%s", code, out, stderr)
	}
}

// doings are the journal's commands in their order: who did what, without times and what only a run knows.
func doings(t *testing.T, dir string) []string {
	t.Helper()
	f, err := os.Open(filepath.Join(dir, "journal.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []string
	s := bufio.NewScanner(f)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		var e struct {
			ID, Kind, Scenario, Action, User, Tool, Token string
			Argv                                          []string
			Exit                                          int
		}
		if err := json.Unmarshal(s.Bytes(), &e); err != nil {
			t.Fatal(err)
		}
		if e.Kind == "" {
			out = append(out, fmt.Sprintf("%s %s %s %s %s %s %s exit %d", e.ID, e.Scenario, e.Action, e.User, e.Tool, strings.Join(e.Argv, " "), e.Token, e.Exit))
		}
	}
	return out
}

// TestLiveRun records a short profile twice, judges the truth, and compares the two.
func TestLiveRun(t *testing.T) {
	folder := liveProfile(t)
	var recorded [2][]string
	for n := range recorded {
		dir := filepath.Join(t.TempDir(), "recording")
		cmd, out := liveCommand(t.Context(), t, "run", dir, "--profile", "live", "--scenarios", folder, "--name", "live-run")
		if err := cmd.Run(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		nothingLeft(t, "live-run")
		recorded[n] = doings(t, dir)

		var r recording
		if _, err := toml.DecodeFile(filepath.Join(dir, recordingFile), &r); err != nil {
			t.Fatal(err)
		}
		if r.Done != r.Planned || r.Done != len(recorded[n]) || r.Unexpected != 0 || r.Missing != "" || r.Error != "" || r.Events < 300 {
			t.Errorf("recording %d: %+v, %d commands in the journal\n%s", n, r, len(recorded[n]), out)
		}
		for _, args := range [][]string{{"label", dir}, {"audit", dir}} {
			cmd, out := liveCommand(t.Context(), t, args...)
			if err := cmd.Run(); err != nil {
				t.Errorf("%s: %v\n%s", args[0], err, out)
			}
		}
		if text, err := os.ReadFile(filepath.Join(dir, "labelled.jsonl")); err != nil || !bytes.Contains(text, []byte(`"attribution":"owner-chain`)) {
			t.Errorf("labelled lines: %d bytes, %v", len(text), err)
		}
	}
	if d := cmp.Diff(recorded[0], recorded[1]); d != "" {
		t.Errorf("two recordings of one seed did other things (-first +second):\n%s", d)
	}
}

// TestLiveInterrupted: a recording that is ended from outside says what is missing, and can be labelled.
func TestLiveInterrupted(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "recording")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cmd, out := liveCommand(ctx, t, "run", dir, "--profile", "live", "--scenarios", liveProfile(t), "--name", "live-interrupted")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	waitForCommands(t, dir, 3)
	cancel()
	cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != exitInterrupted {
		t.Errorf("exit %d, want %d\n%s", code, exitInterrupted, out)
	}
	if !strings.Contains(out.String(), "missing: the last ") {
		t.Errorf("nothing is said to be missing:\n%s", out)
	}
	nothingLeft(t, "live-interrupted")
	again, text := liveCommand(t.Context(), t, "label", dir)
	if err := again.Run(); err != nil {
		t.Errorf("label: %v\n%s", err, text)
	}
}

// TestLiveDeadComponent: a component that dies in the middle ends the recording with the reason.
func TestLiveDeadComponent(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "recording")
	// On plain loopback, since the processes of a namespace cannot be seen from here.
	cmd, out := liveCommand(t.Context(), t, "run", dir, "--profile", "live", "--scenarios", liveProfile(t), "--name", "live-dead", "--network", "loopback")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	waitForCommands(t, dir, 2)
	record := recordOf(t, "live-dead")
	killed := 0
	for _, p := range record.Processes {
		if text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.Pid)); err == nil && bytes.HasPrefix(text, []byte("kube-scheduler\x00")) {
			if err := syscall.Kill(p.Pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			killed++
		}
	}
	if killed != 1 {
		t.Errorf("%d schedulers among %+v", killed, record.Processes)
		cmd.Process.Signal(syscall.SIGTERM)
	}
	cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != exitFailure || !strings.Contains(out.String(), "kube-scheduler died") {
		t.Errorf("exit %d, want %d and the reason\n%s", code, exitFailure, out)
	}
	var r recording
	if _, err := toml.DecodeFile(filepath.Join(dir, recordingFile), &r); err != nil || !strings.Contains(r.Error, "kube-scheduler died") || r.Missing == "" {
		t.Errorf("%v, %+v", err, r)
	}
	nothingLeft(t, "live-dead")
}

// TestLiveTakenPort: a port that is another's is said before anything starts.
func TestLiveTakenPort(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := fmt.Sprint(l.Addr().(*net.TCPAddr).Port)
	cmd, out := liveCommand(t.Context(), t, "up", "--dir", t.TempDir(), "--name", "live-port", "--network", "loopback", "--api-port", port, "--", "true")
	err = cmd.Run()
	if code := cmd.ProcessState.ExitCode(); code != exitRetryable || !strings.Contains(out.String(), port) {
		t.Errorf("exit %d, want %d and the port %s: %v\n%s", code, exitRetryable, port, err, out)
	}
	nothingLeft(t, "live-port")
}

// TestLiveShortDisk: a folder on a disk that is nearly full is refused, and nothing is left.
func TestLiveShortDisk(t *testing.T) {
	if os.Getenv(liveVariable) == "" {
		t.Skipf("no cluster: set %s to a built minor of Kubernetes", liveVariable)
	}
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=64m"); err != nil {
		t.Skipf("no small disk to be had: %v", err)
	}
	defer func() {
		if err := syscall.Unmount(disk, 0); err != nil {
			t.Error(err)
		}
	}()
	cmd, out := liveCommand(t.Context(), t, "run", filepath.Join(disk, "recording"), "--profile", "live", "--scenarios", liveProfile(t), "--name", "live-disk")
	err := cmd.Run()
	if code := cmd.ProcessState.ExitCode(); code != exitRetryable || !strings.Contains(out.String(), "MiB of disk free") {
		t.Errorf("exit %d, want %d and how much is free: %v\n%s", code, exitRetryable, err, out)
	}
	nothingLeft(t, "live-disk")
}

// waitForCommands waits until a recording's journal has so many commands.
func waitForCommands(t *testing.T, dir string, n int) {
	t.Helper()
	for deadline := time.Now().Add(3 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		text, _ := os.ReadFile(filepath.Join(dir, "journal.jsonl"))
		if bytes.Count(text, []byte(`"scenario":`)) >= n {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("no %d commands after three minutes; the journal:\n%s", n, text)
		}
	}
}

func recordOf(t *testing.T, name string) cluster.Record {
	t.Helper()
	cache, err := cluster.DefaultCache()
	if err != nil {
		t.Fatal(err)
	}
	records, err := cluster.Records(cache)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(records, func(r cluster.Record) bool { return r.Name == name })
	if i < 0 {
		return cluster.Record{}
	}
	return records[i]
}

// nothingLeft fails if anything of a cluster runs or lies about.
func nothingLeft(t *testing.T, name string) {
	t.Helper()
	if r := recordOf(t, name); r.Name != "" {
		t.Errorf("a record is left: %+v", r)
	}
	cache, err := cluster.DefaultCache()
	if err != nil {
		t.Fatal(err)
	}
	state := filepath.Join(cache, "run", name)
	if _, err := os.Stat(state); !os.IsNotExist(err) {
		t.Errorf("state is left in %s: %v", state, err)
	}
	all, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range all {
		if text, err := os.ReadFile(path); err == nil && bytes.Contains(text, []byte(state+"/")) {
			t.Errorf("a process is left: %s", bytes.ReplaceAll(text, []byte{0}, []byte(" ")))
		}
	}
}
