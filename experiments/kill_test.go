package experiments

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	// killsVariable is how many runs TestKilledRuns kills in place of 20; make kill-resume has 100.
	killsVariable = "K8NTEXT_KILLS"
	// childVariable is the folder in which a process that is to be killed works.
	childVariable = "K8NTEXT_KILLED_CHILD"
)

// TestKilledChild is the program that TestKilledRuns kills: it runs the sweep in its folder.
func TestKilledChild(t *testing.T) {
	dir := os.Getenv(childVariable)
	if dir == "" {
		t.Skip("only as a child of TestKilledRuns")
	}
	c, err := LoadConfig(filepath.Join(dir, "toy.toml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := Run(t.Context(), c, RunOptions{Store: Store{Dir: filepath.Join(dir, "toy")}, Devices: on(portable(t)), Workers: 2}); err != nil {
		t.Fatal(err)
	}
}

// TestKilledRuns kills runs at random moments with SIGKILL and runs the same again, until the sweep is
// whole: the results are those of a run that nobody killed, no result is ever computed a second time,
// and nothing else is left in the folder.
func TestKilledRuns(t *testing.T) {
	kills, repetitions := 20, 4
	if testing.Short() {
		kills, repetitions = 3, 1
	}
	if text := os.Getenv(killsVariable); text != "" {
		var err error
		if kills, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	corpus := writeCorpus(t, toyLines(60, 1))
	text := fmt.Sprintf(`
name = "toy"
corpus = %q
[[experiment]]
name = "a"
protocol = "paper"
repetitions = %d
[experiment.model]%s
[[experiment]]
name = "b"
protocol = "blocked"
folds = 2
repetitions = %d
methods = ["network", "own-label"]
[experiment.model]%s
`, corpus, 2*repetitions, toyModel, repetitions, toyModel)
	trials := 4 * repetitions
	folder := func() string {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "toy.toml"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	start := func(dir string) *exec.Cmd {
		child := exec.Command(os.Args[0], "-test.run=^TestKilledChild$")
		child.Env = append(os.Environ(), childVariable+"="+dir)
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		return child
	}

	began := time.Now()
	whole := folder()
	if err := start(whole).Wait(); err != nil {
		t.Fatal(err)
	}
	length := time.Since(began)
	want := measured(t, Store{Dir: filepath.Join(whole, "toy")})
	if len(want) != trials {
		t.Fatalf("%d results, want %d", len(want), trials)
	}

	seed := uint64(time.Now().UnixNano())
	rng := rand.New(rand.NewPCG(seed, 1))
	t.Logf("seed %d; the whole sweep takes %v", seed, length)
	dir, before, idle := folder(), map[string]string{}, 0
	sweeps := 0
	for killed := 0; killed < kills || len(before) > 0; {
		child := start(dir)
		ended := make(chan error, 1)
		go func() { ended <- child.Wait() }()
		patience := time.Duration(rng.Int64N(int64(length / 3)))
		if idle > 5 || killed >= kills {
			patience = 10 * time.Minute // to the end, now
		}
		var err error
		finished := false
		select {
		case err = <-ended:
			finished = true
		case <-time.After(patience):
			if err := child.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			<-ended
			killed++
		}
		if err != nil {
			t.Fatalf("seed %d: after %d kills a run failed: %v", seed, killed, err)
		}
		s := Store{Dir: filepath.Join(dir, "toy")}
		after := resultFiles(t, s)
		for id, text := range before {
			if after[id] != text {
				t.Fatalf("seed %d: after %d kills the result of trial %s was computed again or lost", seed, killed, id)
			}
		}
		for id := range after {
			if state, err := s.State(id); err != nil || state != Done {
				t.Fatalf("seed %d: after %d kills trial %s is %v, %v", seed, killed, id, state, err)
			}
		}
		idle++
		if len(after) > len(before) {
			idle = 0
		}
		before = after
		if !finished {
			continue
		}
		if diff := cmp.Diff(want, measured(t, s)); diff != "" {
			t.Fatalf("seed %d: results of killed runs differ (-whole +killed):\n%s", seed, diff)
		}
		for _, pattern := range []string{".*", "trials/.*"} {
			if left, err := filepath.Glob(filepath.Join(s.Dir, pattern)); err != nil || len(left) > 0 {
				t.Fatalf("seed %d: left in the folder: %v, %v", seed, left, err)
			}
		}
		sweeps++
		dir, before, idle = folder(), map[string]string{}, 0
	}
	t.Logf("%d kills in %d sweeps of %d trials", kills, sweeps, trials)
}

// resultFiles reads the result files by trial.
func resultFiles(t *testing.T, s Store) map[string]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(s.Dir, trialsFolder, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	texts := make(map[string]string)
	for _, f := range files {
		texts[strings.TrimSuffix(filepath.Base(f), ".json")] = readFile(t, f)
	}
	return texts
}
