package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process names a process for ever: ids are used again, pairs of id and start time are not (within one
// start of the machine, which Record notes).
type process struct {
	Pid   int    `json:"pid"`
	Start uint64 `json:"start"` // clock ticks since the machine's start
}

// processOf reads the start time of a living process.
func processOf(pid int) (process, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return process{}, err
	}
	start, err := startTime(string(text))
	return process{pid, start}, err
}

// startTime is field 22 of /proc/PID/stat; see proc(5). Field 2, the name, may hold spaces and brackets.
func startTime(stat string) (uint64, error) {
	after := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(after) < 20 {
		return 0, fmt.Errorf("process status of %d fields", len(after)+2)
	}
	return strconv.ParseUint(after[19], 10, 64)
}

// alive tells whether this very process still runs. A dead one that nobody has waited for does not.
func (p process) alive() bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.Pid))
	if err != nil {
		return false
	}
	start, err := startTime(string(text))
	return err == nil && start == p.Start && !strings.Contains(string(text[strings.LastIndexByte(string(text), ')'):]), " Z ")
}

// end asks a process to end, waits, and kills it when it has not.
func (p process) end(wait time.Duration) error {
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		if !p.alive() {
			return nil
		}
		if err := syscall.Kill(p.Pid, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("ending process %d: %w", p.Pid, err)
		}
		for deadline := time.Now().Add(wait); p.alive() && time.Now().Before(deadline); {
			time.Sleep(20 * time.Millisecond)
		}
	}
	if p.alive() {
		return fmt.Errorf("process %d does not end", p.Pid)
	}
	return nil
}

// Record is what is written down about a running cluster, so that another process can find and end it.
type Record struct {
	Name      string    `json:"name"`
	Minor     string    `json:"minor"`
	Network   Network   `json:"network"`
	Dir       string    `json:"dir"`
	Started   time.Time `json:"started"`
	Boot      string    `json:"boot"`      // which start of the machine the processes belong to
	Processes []process `json:"processes"` // the program that started the cluster first
}

// recordPath is the file of a cluster's record; its state lies beside it in a folder of its name.
func recordPath(cache, name string) string { return filepath.Join(runFolder(cache), name+".json") }

func stateFolder(cache, name string) string { return filepath.Join(runFolder(cache), name) }

func runFolder(cache string) string { return filepath.Join(cache, "run") }

func bootID() string {
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// write replaces the record in one step.
func (r Record) write(cache string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	path := recordPath(cache, r.Name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", append(text, '\n'), 0o644); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// Alive tells whether any process of the cluster still runs. The program that started it holds its lock as
// long as it lives, in whichever namespace.
func (r Record) Alive(cache string) (bool, error) {
	l, err := lockName(cache, r.Name)
	if errors.Is(err, errLocked) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	defer l.release()
	return r.Boot == bootID() && slices.ContainsFunc(r.Processes, process.alive), nil
}

// nameLock keeps a name for one cluster.
type nameLock struct{ file *os.File }

// errLocked says that a name is another's.
var errLocked = errors.New("the name is taken")

// lockName takes a name, or fails with errLocked. The kernel gives it back when the process ends.
func lockName(cache, name string) (*nameLock, error) {
	path := filepath.Join(runFolder(cache), name+".lock")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	for {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
		if err != nil {
			return nil, err
		}
		if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
			f.Close()
			if errors.Is(err, syscall.EWOULDBLOCK) {
				return nil, errLocked
			}
			return nil, fmt.Errorf("locking %s: %w", path, err)
		}
		// Between the opening and the locking, the holder before may have removed the file.
		mine, err1 := f.Stat()
		current, err2 := os.Stat(path)
		if err1 == nil && err2 == nil && os.SameFile(mine, current) {
			return &nameLock{f}, nil
		}
		f.Close()
	}
}

// release gives the name back and removes its file.
func (l *nameLock) release() {
	os.Remove(l.file.Name()) // a file that stays is no harm
	l.file.Close()
}

// Records lists the clusters that were started from a cache folder and not taken down, by name.
func Records(cache string) ([]Record, error) {
	paths, err := filepath.Glob(filepath.Join(runFolder(cache), "*.json"))
	if err != nil {
		return nil, err
	}
	slices.Sort(paths)
	var out []Record
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) {
			continue // taken down meanwhile
		}
		if err != nil {
			return out, err
		}
		var r Record
		if err := json.Unmarshal(text, &r); err != nil || r.Name != strings.TrimSuffix(filepath.Base(path), ".json") {
			return out, fmt.Errorf("%s is no record of a cluster: remove it", path)
		}
		out = append(out, r)
	}
	return out, nil
}

// End ends what is left of a cluster and removes its state. Logs and recordings stay.
func (r Record) End(cache string) error {
	if r.Boot == bootID() {
		for _, p := range r.Processes {
			if err := p.end(patience); err != nil {
				return fmt.Errorf("cluster %s: %w", r.Name, err)
			}
		}
	}
	return forget(cache, r.Name)
}

// forget removes a cluster's state and record.
func forget(cache, name string) error {
	if err := os.RemoveAll(stateFolder(cache, name)); err != nil {
		return err
	}
	if err := os.Remove(recordPath(cache, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
