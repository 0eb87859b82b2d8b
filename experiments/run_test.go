package experiments

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// measured reads all results of a folder without what may differ between runs: cost and provenance.
func measured(t *testing.T, s Store) map[string]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(s.Dir, trialsFolder, "*"))
	if err != nil {
		t.Fatal(err)
	}
	results := make(map[string]string)
	for _, f := range files {
		r, err := s.Load(strings.TrimSuffix(filepath.Base(f), ".json"))
		if err != nil {
			t.Fatal(err)
		}
		text, err := r.values()
		if err != nil {
			t.Fatal(err)
		}
		results[r.Trial.ID] = string(text)
	}
	return results
}

// TestRunIsResumable compares a run at one go with runs that were stopped in several ways and gone on
// with, and with one of several workers.
func TestRunIsResumable(t *testing.T) {
	c := sweep(t, writeCorpus(t, toyLines(blocks(120), 1)))
	const trials = 2 + 2
	whole := Store{Dir: t.TempDir()}
	if err := Run(t.Context(), c, RunOptions{Store: whole, Devices: on(portable(t)), Workers: 1}); err != nil {
		t.Fatal(err)
	}
	want := measured(t, whole)
	if len(want) != trials {
		t.Fatalf("%d results, want %d", len(want), trials)
	}
	for id, text := range want {
		if !strings.Contains(text, `"records"`) || strings.Contains(text, `"records": []`) {
			t.Errorf("trial %s has no records", id)
		}
	}

	t.Run("stopped after the first result", func(t *testing.T) {
		s := Store{Dir: t.TempDir()}
		ctx, cancel := context.WithCancel(t.Context())
		err := Run(ctx, c, RunOptions{Store: s, Devices: on(portable(t)), Workers: 1, Progress: func(p Progress) {
			if p.Last != nil {
				cancel()
			}
		}})
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("the stopped run gives %v", err)
		}
		if got := measured(t, s); len(got) != 1 {
			t.Fatalf("the stopped run left %d results, want 1", len(got))
		}
		skipped := resume(t, c, s)
		if skipped != 1 {
			t.Errorf("the second run skipped %d trials, want 1", skipped)
		}
		if diff := cmp.Diff(want, measured(t, s)); diff != "" {
			t.Errorf("resumed results differ (-whole +resumed):\n%s", diff)
		}
	})
	t.Run("stopped inside a training", func(t *testing.T) {
		s := Store{Dir: t.TempDir()}
		ctx, cancel := context.WithCancel(t.Context())
		err := Run(ctx, c, RunOptions{Store: s, Devices: on(&tripwire{portable(t), cancel}), Workers: 1})
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("the stopped run gives %v", err)
		}
		if got := measured(t, s); len(got) != 0 {
			t.Fatalf("the stopped training left a result: %v", got)
		}
		resume(t, c, s)
		if diff := cmp.Diff(want, measured(t, s)); diff != "" {
			t.Errorf("resumed results differ (-whole +resumed):\n%s", diff)
		}
	})
	t.Run("stopped before it began", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := Run(ctx, c, RunOptions{Store: Store{Dir: t.TempDir()}, Devices: on(portable(t))}); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("three workers", func(t *testing.T) {
		s := Store{Dir: t.TempDir()}
		if err := Run(t.Context(), c, RunOptions{Store: s, Devices: on(portable(t)), Workers: 3}); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, measured(t, s)); diff != "" {
			t.Errorf("results depend on the number of workers (-1 +3):\n%s", diff)
		}
	})
	t.Run("nothing left to do", func(t *testing.T) {
		if skipped := resume(t, c, whole); skipped != trials {
			t.Errorf("%d trials skipped, want all %d", skipped, trials)
		}
		_, states := statusOf(t, c, whole)
		if slices.ContainsFunc(states, func(s State) bool { return s != Done }) {
			t.Errorf("status %v", states)
		}
	})
}

// resume runs to the end and returns how many trials had a result.
func resume(t *testing.T, c *Config, s Store) int {
	t.Helper()
	var last Progress
	err := Run(t.Context(), c, RunOptions{Store: s, Devices: on(portable(t)), Workers: 2, Progress: func(p Progress) { last = p }})
	if err != nil {
		t.Fatal(err)
	}
	if last.Done != last.Total || last.Failed != 0 {
		t.Errorf("the last progress is %+v", last)
	}
	return last.Skipped
}

// TestFailedTrials has trials that diverge and that panic beside one that succeeds.
func TestFailedTrials(t *testing.T) {
	c := parse(t, fmt.Sprintf(`
name = "toy"
corpus = %q
[[experiment]]
name = "a"
protocol = "paper"
repetitions = 2
[experiment.model]%s
[experiment.grid]
"model.learning_rate" = [0.004, 1e38]
`, writeCorpus(t, toyLines(80, 1)), toyModel))
	s := Store{Dir: t.TempDir()}
	kernels := &tripwire{portable(t), func() { panic("a bug in a kernel") }}
	err := Run(t.Context(), c, RunOptions{Store: s, Devices: on(kernels), Workers: 1})
	if err == nil || !strings.Contains(err.Error(), "3 of 4 trials failed") {
		t.Fatalf("error %v, want 3 of 4 failed", err)
	}
	trials, states := statusOf(t, c, s)
	for i, trial := range trials {
		r, err := s.Load(trial.ID)
		if err != nil {
			t.Fatal(err)
		}
		want := ""
		switch {
		case trial.Setting["model.learning_rate"] == 1e38:
			want = "diverged"
		case trial.Repetition == 0:
			want = "panic: a bug in a kernel, at k8ntext/"
		}
		if (states[i] == Done) != (want == "") || !strings.Contains(r.Error, want) || (want == "") != (r.Error == "") {
			t.Errorf("trial %s (%s): %v, error %q, want %q", trial.ID, trial.Describe(), states[i], r.Error, want)
		}
		if folder, _ := os.Getwd(); strings.Contains(r.Error, filepath.Dir(folder)) {
			t.Errorf("trial %s: the error holds a path of this machine: %s", trial.ID, r.Error)
		}
		if r.Error != "" && len(r.Records) > 0 {
			t.Errorf("trial %s failed and has records", trial.ID)
		}
	}
	// A failure of the trial itself is a result: the next run does not try again.
	before := measured(t, s)
	err = Run(t.Context(), c, RunOptions{Store: s, Devices: on(kernels), Workers: 2})
	if err == nil || !strings.Contains(err.Error(), "3 of 4 trials failed") || !strings.Contains(err.Error(), "rerun --failed") {
		t.Errorf("second run: error %v, want 3 of 4 failed", err)
	}
	if diff := cmp.Diff(before, measured(t, s)); diff != "" {
		t.Errorf("the second run changed results:\n%s", diff)
	}
	// One of the machine is no result.
	r, err := s.Load(trials[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	r.Error, r.Retry = "disk full", true
	if err := s.Save(r); err != nil {
		t.Fatal(err)
	}
	if state, err := s.State(r.Trial.ID); err != nil || state != Retry {
		t.Errorf("state %v, %v, want retry", state, err)
	}
	err = Run(t.Context(), c, RunOptions{Store: s, Devices: on(kernels), Workers: 2})
	if err == nil || !strings.Contains(err.Error(), "2 of 4 trials failed") {
		t.Errorf("third run: error %v, want 2 of 4 failed", err)
	}
}

// quick is a config of a single trial that trains nothing.
func quick(t *testing.T) *Config {
	t.Helper()
	return parse(t, fmt.Sprintf(`
name = "toy"
corpus = %q
[[experiment]]
name = "a"
protocol = "paper"
methods = ["own-label"]
[experiment.model]%s
`, writeCorpus(t, toyLines(80, 1)), toyModel))
}

// TestSameTrialTwice: two experiments may plan the same trial; it is measured once and found by both.
func TestSameTrialTwice(t *testing.T) {
	c := quick(t)
	c.Experiments = append(c.Experiments, c.Experiments[0])
	c.Experiments[1].Name = "b"
	s := Store{Dir: t.TempDir()}
	var last Progress
	if err := Run(t.Context(), c, RunOptions{Store: s, Devices: on(portable(t)), Progress: func(p Progress) { last = p }}); err != nil {
		t.Fatal(err)
	}
	if last.Total != 1 {
		t.Errorf("%d trials, want 1", last.Total)
	}
	trials, _ := statusOf(t, c, s)
	results, missing, err := s.LoadAll(trials)
	if err != nil || len(missing) > 0 || len(results) != 2 {
		t.Fatalf("%d results, %d missing, %v", len(results), len(missing), err)
	}
	for i, want := range []string{"a", "b"} {
		if got := results[i].Trial.Experiment; got != want {
			t.Errorf("result %d is of experiment %q, want %q", i, got, want)
		}
	}
	if n := len(allRecords(results)); n != len(results[0].Records) {
		t.Errorf("%d records, want those of one trial, %d", n, len(results[0].Records))
	}
}

// TestDamagedResult: a result that was cut or edited is never believed; the next run keeps the file
// under another name and computes the trial again.
func TestDamagedResult(t *testing.T) {
	c := quick(t)
	s := Store{Dir: t.TempDir()}
	if err := Run(t.Context(), c, RunOptions{Store: s, Devices: on(portable(t))}); err != nil {
		t.Fatal(err)
	}
	want := measured(t, s)
	id := slices.Collect(maps.Keys(want))[0]
	path := s.trialPath(id)
	whole := readFile(t, path)
	for name, text := range map[string]string{
		"empty":              "",
		"cut":                whole[:len(whole)/2],
		"cut at the end":     whole[:len(whole)-1],
		"without its sum":    whole[:strings.LastIndex(whole, ",\n")] + unsealed,
		"NULs":               strings.Repeat("\x00", len(whole)),
		"one digit":          strings.Replace(whole, `"value": 0.`, `"value": 1.`, 1),
		"unknown member":     strings.Replace(whole, `"protocol"`, `"protokol"`, 1),
		"of another trial":   strings.Replace(whole, id, "0123456789abcdef", 1),
		"a number as string": strings.Replace(whole, `"test_events": `, `"test_events": "x`, 1),
		"with more after it": whole + "\n",
	} {
		if text == whole {
			t.Fatalf("%s: the change changes nothing", name)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, states := statusOf(t, c, s); states[0] != Damaged {
			t.Errorf("%s: status %v", name, states)
		}
		if _, err := NewReport(t.Context(), Source{Config: c, Store: s, Command: "make"}, ReportOptions{}); !errors.Is(err, errDamaged) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: report: error %v does not name the file and what to do", name, err)
		}
		var remarks []string
		err := Run(t.Context(), c, RunOptions{Store: s, Devices: on(portable(t)), Remark: func(text string) { remarks = append(remarks, text) }})
		if err != nil || len(remarks) != 1 || !strings.Contains(remarks[0], id) {
			t.Errorf("%s: run: %v, remarks %q", name, err, remarks)
		}
		if left := readFile(t, path+".damaged"); left != text {
			t.Errorf("%s: the damaged file was changed", name)
		}
		if err := os.Remove(path + ".damaged"); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, measured(t, s)); diff != "" {
			t.Errorf("%s: computed again it differs:\n%s", name, diff)
		}
	}
	// A whole file of another trial or of another version of the program is for a person to judge.
	for name, text := range map[string]string{
		"of another trial": strings.Replace(whole, id, "0123456789abcdef", 1),
		"unknown member":   strings.Replace(whole, `"protocol"`, `"protokol"`, 1),
	} {
		text = string(seal([]byte(text[:strings.LastIndex(text, ",\n")] + unsealed)))
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := NewReport(t.Context(), Source{Config: c, Store: s, Command: "make"}, ReportOptions{}); err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "delete the file") {
			t.Errorf("%s: report: error %v does not name the file and what to do", name, err)
		}
	}
}

// TestFolderThatCannotBeWritten: the error says what and where, and keeps its cause for the exit code.
func TestFolderThatCannotBeWritten(t *testing.T) {
	c := quick(t)
	run := func(dir string) error {
		return Run(t.Context(), c, RunOptions{Store: Store{Dir: dir}, Devices: on(portable(t))})
	}
	t.Run("a file is in the way", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "results")
		if err := os.WriteFile(file, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		var path *fs.PathError
		if err := run(filepath.Join(file, "toy")); !errors.As(err, &path) || !strings.Contains(err.Error(), "lock results folder") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("no result can be saved", func(t *testing.T) {
		dir := t.TempDir()
		if err := os.Symlink("nowhere", filepath.Join(dir, trialsFolder)); err != nil {
			t.Skip(err)
		}
		err := run(dir)
		if !errors.Is(err, fs.ErrExist) || !strings.Contains(err.Error(), "save result of trial") {
			t.Errorf("error %v", err)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) != 2 { // the link and the manifest
			t.Errorf("files left: %v, %v", left, err)
		}
	})
	t.Run("read-only", func(t *testing.T) {
		dir := t.TempDir()
		if err := os.Chmod(dir, 0o555); err != nil {
			t.Fatal(err)
		}
		if f, err := os.Create(filepath.Join(dir, "probe")); err == nil {
			f.Close()
			t.Skip("this user may write everywhere")
		}
		if err := run(dir); !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), dir) {
			t.Errorf("error %v", err)
		}
	})
}

func TestLock(t *testing.T) {
	s := Store{Dir: filepath.Join(t.TempDir(), "new")}
	release, err := s.lock()
	if err != nil {
		t.Fatal(err)
	}
	c := sweep(t, writeCorpus(t, toyLines(80, 1)))
	err = Run(t.Context(), c, RunOptions{Store: s, Devices: on(portable(t))})
	if !errors.Is(err, errLocked) || !strings.Contains(err.Error(), s.Dir) || !strings.Contains(err.Error(), fmt.Sprintf("process %d", os.Getpid())) {
		t.Errorf("the second run gives %v", err)
	}
	release()
	if left, err := os.ReadDir(s.Dir); err != nil || len(left) != 0 {
		t.Errorf("after the lock: %v, %v", left, err)
	}
	release, err = s.lock()
	if err != nil {
		t.Fatal(err)
	}
	release()
}

// TestLockExcludes has many takers; the file is made and removed all the time.
func TestLockExcludes(t *testing.T) {
	s := Store{Dir: t.TempDir()}
	const takers, turns = 4, 50
	inside := make(chan struct{}, 1)
	failed := make(chan error, takers)
	for range takers {
		go func() {
			for done := 0; done < turns; {
				release, err := s.lock()
				if errors.Is(err, errLocked) {
					continue
				}
				if err != nil {
					failed <- err
					return
				}
				select {
				case inside <- struct{}{}:
				default:
					failed <- errors.New("two hold the lock")
					release()
					return
				}
				<-inside
				release()
				done++
			}
			failed <- nil
		}()
	}
	for range takers {
		if err := <-failed; err != nil {
			t.Error(err)
		}
	}
}

func TestStrangers(t *testing.T) {
	s := Store{Dir: t.TempDir()}
	for _, id := range []string{"1111111111111111", "2222222222222222"} {
		if err := s.Save(&Result{Trial: Trial{ID: id}}); err != nil {
			t.Fatal(err)
		}
	}
	got, err := s.Strangers([]Trial{{ID: "1111111111111111"}})
	if want := []string{s.trialPath("2222222222222222")}; err != nil || !slices.Equal(got, want) {
		t.Errorf("strangers %v, %v, want %v", got, err, want)
	}
	if _, err := s.Load("2222222222222222"); err != nil {
		t.Errorf("the stranger is gone: %v", err)
	}
}
