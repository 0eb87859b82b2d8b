package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"k8ntext/experiments"
)

// slurmVariable is the program that TestSlurm's tasks run; make test-slurm sets it. Without it there may be
// no Slurm here.
const slurmVariable = "K8NTEXT_SLURM"

// TestSlurm starts munge, slurmctld and slurmd on loopback and runs a sweep of small trainings as arrays:
// the results are those of the local pool, to the bit.
func TestSlurm(t *testing.T) {
	program := os.Getenv(slurmVariable)
	if program == "" {
		t.Skipf("no program for the tasks: run make test-slurm, which sets %s", slurmVariable)
	}
	slurm := startSlurm(t)
	dir := t.TempDir()
	t.Chdir(dir)
	var whole bytes.Buffer
	if code := run(t.Context(), []string{"corpus", "export", "sequential-1.34"}, nil, &whole, os.Stderr); code != exitOK {
		t.Fatalf("exporting the corpus: exit code %d", code)
	}
	if err := os.WriteFile("part.jsonl", wholeRequests(bytes.SplitAfter(whole.Bytes(), []byte("\n")), 8000, 8800), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("sweep.toml", []byte(`
name = "sweep"
corpus = "part.jsonl"
seed = 5
[[experiment]]
name = "a"
protocol = "paper"
repetitions = 3
[experiment.model]
units1 = 8
units2 = 8
embedding = 8
interleave = 1
max_epochs = 2
windows_per_epoch = 256
validation_stride = 8
[experiment.grid]
"model.window" = [5, 10]
[[experiment]]
name = "b"
protocol = "blocked"
folds = 2
[experiment.model]
units1 = 8
units2 = 8
embedding = 8
max_epochs = 1
[experiment.grid]
"model.learning_rate" = [0.001, 1e30]
`), 0o644); err != nil {
		t.Fatal(err)
	}
	const trials, failing = 10, 2
	command := func(want int, args ...string) string {
		t.Helper()
		var out bytes.Buffer
		if code := run(t.Context(), append([]string{"experiment"}, args...), nil, &out, &out); code != want {
			t.Fatalf("experiment %s: exit code %d, want %d:\n%s", strings.Join(args, " "), code, want, &out)
		}
		return out.String()
	}
	command(exitFailure, "run", "sweep.toml", "--results", "local") // trainings that diverge fail
	command(exitOK, "plan", "sweep.toml", "--results", "cluster")
	submit := func(wantTrials int) {
		t.Helper()
		text := command(exitOK, "submit", "--manifest", "cluster/sweep/manifest.jsonl", "--results", "cluster",
			"--engine", "slurm", "--program", program, "--at-once", "2", "--max-array", "6", "--memory", "500", "--apply")
		if want := fmt.Sprintf("%d trials", wantTrials); !strings.Contains(text, want) {
			t.Fatalf("submit says %q, want %q", text, want)
		}
		slurm.wait(t, 3*time.Minute)
	}
	start := time.Now()
	submit(trials)
	t.Logf("%d trials by Slurm in %v", trials, time.Since(start).Round(time.Second))
	m, err := experiments.LoadManifest("cluster/sweep/manifest.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	same := func() {
		t.Helper()
		done := 0
		for _, trial := range m.Trials() {
			local, err := experiments.Store{Dir: "local/sweep"}.Load(trial.ID)
			if err != nil {
				t.Fatal(err)
			}
			task, err := experiments.Store{Dir: "cluster/sweep"}.Load(trial.ID)
			if err != nil {
				logs, _ := filepath.Glob("cluster/sweep/submit/*.log")
				for _, l := range logs {
					text, _ := os.ReadFile(l)
					t.Logf("%s: %s", l, text)
				}
				t.Fatal(err)
			}
			if different, err := experiments.Differences(local, task); err != nil || len(different) > 0 {
				t.Errorf("trial %s: %v, %v", trial.ID, different, err)
			}
			if task.Error == "" {
				done++
			}
		}
		if done != trials-failing {
			t.Errorf("%d trials have records, want %d", done, trials-failing)
		}
	}
	same()

	// Only what is missing is submitted again, and neither what has a result nor what failed by itself.
	for _, trial := range m.Trials()[:2] {
		if err := os.Remove(filepath.Join("cluster/sweep/trials", trial.ID+".json")); err != nil {
			t.Fatal(err)
		}
	}
	submit(2)
	same()
	command(exitOK, "submit", "--manifest", "cluster/sweep/manifest.jsonl", "--results", "cluster", "--engine", "slurm", "--program", program, "--apply")
}

// slurmd is a cluster of this one machine.
type slurmCluster struct{ dir string }

// startSlurm starts the daemons in the foreground, as this user, on free ports of loopback, with nothing
// outside a temporary folder; the test's end stops them. Processes are tracked by /proc and not bound to
// cores: that needs neither control groups nor systemd.
func startSlurm(t *testing.T) *slurmCluster {
	t.Helper()
	dir, err := os.MkdirTemp("", "slurm") // short: it holds a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	host, _, _ = strings.Cut(host, ".")
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	for _, sub := range []string{"state", "spool"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	key := make([]byte, 1024)
	rand.Read(key)
	if err := os.WriteFile(filepath.Join(dir, "key"), key, 0o600); err != nil {
		t.Fatal(err)
	}
	config := strings.NewReplacer("DIR", dir, "HOST", host, "USER", me.Username, "PORT1", freePort(t), "PORT2", freePort(t)).Replace(`ClusterName=k8ntext
SlurmctldHost=HOST(127.0.0.1)
SlurmctldPort=PORT1
SlurmdPort=PORT2
AuthType=auth/munge
AuthInfo=socket=DIR/munge.socket
SlurmUser=USER
SlurmdUser=USER
StateSaveLocation=DIR/state
SlurmdSpoolDir=DIR/spool
SlurmctldPidFile=DIR/slurmctld.pid
SlurmdPidFile=DIR/slurmd.pid
SlurmctldLogFile=DIR/slurmctld.log
SlurmdLogFile=DIR/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=batch_sched_delay=1,sched_min_interval=100000
ReturnToService=2
MinJobAge=10
SlurmdParameters=config_overrides
NodeName=HOST NodeAddr=127.0.0.1 CPUs=2 RealMemory=4000
PartitionName=local Nodes=HOST Default=YES MaxTime=INFINITE State=UP
`)
	path := filepath.Join(dir, "slurm.conf")
	if err := os.WriteFile(path, []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SLURM_CONF", path)
	s := &slurmCluster{dir}
	s.daemon(t, "munged", "--foreground", "--force", "--key-file="+dir+"/key", "--socket="+dir+"/munge.socket",
		"--pid-file="+dir+"/munge.pid", "--log-file="+dir+"/munge.log", "--seed-file="+dir+"/munge.seed")
	s.until(t, time.Minute, func() bool { _, err := os.Stat(dir + "/munge.socket"); return err == nil })
	s.daemon(t, "slurmctld", "-D", "-c")
	s.daemon(t, "slurmd", "-D", "-N", host)
	s.until(t, time.Minute, func() bool {
		out, err := exec.Command("sinfo", "--noheader", "--format=%T").Output()
		return err == nil && strings.HasPrefix(string(out), "idle")
	})
	return s
}

// freePort is one that nobody listens on.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// daemon starts a process and ends it with the test.
func (s *slurmCluster) daemon(t *testing.T, name string, args ...string) {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		path = filepath.Join("/usr/sbin", name) // not in everybody's PATH
	}
	c := exec.CommandContext(context.Background(), path, args...)
	out, err := os.Create(filepath.Join(s.dir, name+".out"))
	if err != nil {
		t.Fatal(err)
	}
	c.Stdout, c.Stderr = out, out
	if err := c.Start(); err != nil {
		t.Fatalf("start %s: %v: make test-slurm installs it", name, err)
	}
	t.Cleanup(func() {
		_ = c.Process.Signal(syscall.SIGTERM)
		ended := make(chan struct{})
		go func() { _ = c.Wait(); close(ended) }()
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			_ = c.Process.Kill()
			<-ended
		}
		out.Close()
	})
}

// wait waits until no task is in the queue.
func (s *slurmCluster) wait(t *testing.T, limit time.Duration) {
	t.Helper()
	s.until(t, limit, func() bool {
		out, err := exec.Command("squeue", "--noheader").Output()
		return err == nil && len(bytes.TrimSpace(out)) == 0
	})
}

// until waits for something; when it does not come, the daemons' logs are shown.
func (s *slurmCluster) until(t *testing.T, limit time.Duration, is func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		if is() {
			return
		}
	}
	logs, _ := filepath.Glob(filepath.Join(s.dir, "*.[lo][ou][gt]"))
	for _, l := range logs {
		text, _ := os.ReadFile(l)
		t.Logf("%s:\n%s", filepath.Base(l), text[max(0, len(text)-3000):])
	}
	t.Fatalf("Slurm: not in %v", limit)
}
