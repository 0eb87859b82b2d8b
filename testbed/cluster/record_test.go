package cluster

import (
	"errors"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestStartTime(t *testing.T) {
	for _, c := range []struct {
		name, stat string
		want       uint64
		fails      bool
	}{
		{"plain", "42 (sh) S 1 42 42 0 -1 4194304 100 0 0 0 0 0 0 0 20 0 1 0 98765 1000 10", 98765, false},
		{"a name with blanks and brackets", "42 (a) b (c) S 1 42 42 0 -1 4194304 100 0 0 0 0 0 0 0 20 0 1 0 7 1000 10", 7, false},
		{"cut off", "42 (sh) S 1 42", 0, true},
		{"empty", "", 0, true},
	} {
		got, err := startTime(c.stat)
		if got != c.want || (err != nil) != c.fails {
			t.Errorf("%s: %d, %v, want %d", c.name, got, err, c.want)
		}
	}
}

// sleeper is a child that would run for a minute.
func sleeper(t *testing.T) (process, *exec.Cmd) {
	t.Helper()
	c := exec.Command("sleep", "60")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Process.Kill(); c.Wait() })
	p, err := processOf(c.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	return p, c
}

func TestProcessEnds(t *testing.T) {
	p, _ := sleeper(t)
	if !p.alive() {
		t.Fatal("a running process is not alive")
	}
	if err := p.end(10 * time.Second); err != nil { // nobody has waited for it: a zombie is dead
		t.Fatal(err)
	}
	if p.alive() {
		t.Error("an ended process is alive")
	}
}

// A process id that has been given to another process is left alone.
func TestAnotherProcessIsLeftAlone(t *testing.T) {
	p, _ := sleeper(t)
	earlier := process{p.Pid, p.Start - 1}
	if earlier.alive() {
		t.Error("a process that started at another time is taken for the one on record")
	}
	if err := earlier.end(time.Second); err != nil {
		t.Fatal(err)
	}
	if !p.alive() {
		t.Error("the wrong process was ended")
	}
}

func TestRecords(t *testing.T) {
	cache := t.TempDir()
	if got, err := Records(cache); err != nil || len(got) != 0 {
		t.Errorf("an empty cache: %v, %v", got, err)
	}
	p, _ := sleeper(t)
	want := []Record{
		{Name: "a", Minor: "1.34", Network: Loopback, Dir: "/a", Started: time.Unix(1e9, 0).UTC(), Boot: bootID(), Processes: []process{p}},
		{Name: "b", Minor: "1.35", Network: Namespace, Dir: "/b", Started: time.Unix(2e9, 0).UTC(), Boot: "another start of the machine", Processes: []process{p}},
	}
	for _, r := range []Record{want[1], want[0]} {
		if err := r.write(cache); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(stateFolder(cache, r.Name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	got, err := Records(cache)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("records differ (-want +got):\n%s", diff)
	}
	for i, alive := range []bool{true, false} {
		if got, err := want[i].Alive(cache); err != nil || got != alive {
			t.Errorf("%s alive: %v, %v, want %v", want[i].Name, got, err, alive)
		}
	}
	if err := want[1].End(cache); err != nil {
		t.Fatal(err)
	}
	if !p.alive() {
		t.Error("a process of this start of the machine was ended for one of another")
	}
	if err := want[0].End(cache); err != nil {
		t.Fatal(err)
	}
	if p.alive() {
		t.Error("the process on record still runs")
	}
	if got, err := Records(cache); err != nil || len(got) != 0 {
		t.Errorf("records are left: %v, %v", got, err)
	}
	if _, err := os.Stat(stateFolder(cache, "a")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("state is left: %v", err)
	}
}

func TestForeignRecord(t *testing.T) {
	cache := t.TempDir()
	if err := (Record{Name: "a"}).write(cache); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"no JSON", `{"name":"another"}`} {
		if err := os.WriteFile(recordPath(cache, "a"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := Records(cache); err == nil {
			t.Errorf("a record %q is accepted", text)
		}
	}
}

func TestNameIsTakenOnce(t *testing.T) {
	cache := t.TempDir()
	first, err := lockName(cache, "a")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lockName(cache, "a"); !errors.Is(err, errLocked) {
		t.Errorf("a taken name: %v", err)
	}
	if alive, err := (Record{Name: "a"}).Alive(cache); err != nil || !alive {
		t.Errorf("a cluster whose name is held is alive: %v, %v", alive, err)
	}
	first.release()
	second, err := lockName(cache, "a")
	if err != nil {
		t.Fatalf("a name that was given back: %v", err)
	}
	second.release()
}
