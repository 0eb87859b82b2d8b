package experiments

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"k8ntext/metrics"
	"k8ntext/model"
	"k8ntext/model/device"
)

// frozenSweep writes the config of sweep as a file and freezes it.
func frozenSweep(t *testing.T) (m *Manifest, config string) {
	t.Helper()
	dir := t.TempDir()
	config = filepath.Join(dir, "toy.toml")
	text := fmt.Sprintf("name = \"toy\"\ncorpus = %q\n[[experiment]]\nname = \"a\"\nprotocol = \"blocked\"\nfolds = 2\nmethods = [\"own-label\"]\n"+
		"settings = [{\"model.window\" = 5, \"model.dropout\" = 0.0}, {\"model.window\" = 6, \"model.dropout\" = 1e-1}]\n[experiment.model]\nunits1 = 8\n",
		writeCorpus(t, toyLines(80, 1)))
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	c, err := LoadConfig(config, "model.units2=8")
	if err != nil {
		t.Fatal(err)
	}
	m, err = Freeze(t.Context(), c, on(portable(t)))
	if err != nil {
		t.Fatal(err)
	}
	return m, config
}

// TestManifest: what is read back plans the same trials, and runs them to the results of the config.
func TestManifest(t *testing.T) {
	m, config := frozenSweep(t)
	path := filepath.Join(t.TempDir(), "m.jsonl")
	if err := m.Write(path); err != nil {
		t.Fatal(err)
	}
	read, err := LoadManifest(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(read.trials) != 4 {
		t.Fatalf("%d trials, want 4", len(read.trials))
	}
	again, err := read.encode()
	if err != nil || string(again) != readFile(t, path) {
		t.Errorf("written again it differs: %v", err)
	}
	for i := range read.trials {
		if err := read.resolve(&read.trials[i]); err != nil {
			t.Error(err)
		}
		if read.trials[i].model.Units2 != 8 {
			t.Errorf("trial %d has lost an override", i)
		}
	}
	devices, err := read.OpenDevices()
	if err != nil || len(devices) != 1 || devices[0].Name() != "generic" {
		t.Fatalf("devices %v, %v", devices, err)
	}
	one, all := Store{Dir: t.TempDir()}, Store{Dir: t.TempDir()}
	for i := range read.trials {
		if err := read.RunOne(t.Context(), i, RunOptions{Store: one, Devices: devices}); err != nil {
			t.Error(err)
		}
	}
	if err := Run(t.Context(), m.config, RunOptions{Store: all, Devices: devices}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(measured(t, all), measured(t, one)); diff != "" {
		t.Errorf("one by one the results differ (-together +one by one):\n%s", diff)
	}
	if readFile(t, all.ManifestPath()) != readFile(t, path) {
		t.Error("run keeps another manifest than plan writes")
	}
	if left, err := read.Left(all); err != nil || len(left.trials) != 0 {
		t.Errorf("%d trials left, %v", len(left.trials), err)
	}

	if err := read.CheckConfig(); err != nil {
		t.Errorf("nothing has changed: %v", err)
	}
	text := readFile(t, config)
	for change, want := range map[string]string{
		"folds = 2|folds = 3": "toy.toml has changed since it was planned (key a.folds: 2 then, 3 now): plan again",
		`settings = [{"model.window" = 5,|settings = [{"model.window" = 7,`: "key a.settings: ",
		"units1 = 8|units1 = 9\nstride = 2":                                 "key a.model.stride: none then, 2 now; key a.model.units1: 8 then, 9 now",
		"[[experiment]]|workers = 3\n[[experiment]]":                        "", // changes no result
		"methods|repetitions = 1\nmethods":                                  "", // the default
		"folds|flods":                                                       `unknown key "experiment.flods"`,
	} {
		old, changed, _ := strings.Cut(change, "|")
		if err := os.WriteFile(config, []byte(strings.Replace(text, old, changed, 1)), 0o644); err != nil {
			t.Fatal(err)
		}
		err := read.CheckConfig()
		if (want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", change, err, want)
		}
	}
	if err := os.Remove(config); err != nil {
		t.Fatal(err)
	}
	if err := read.CheckConfig(); err != nil {
		t.Errorf("a worker without the config: %v", err)
	}
}

func TestDamagedManifest(t *testing.T) {
	m, _ := frozenSweep(t)
	encoded, err := m.encode()
	if err != nil {
		t.Fatal(err)
	}
	text := string(encoded)
	other := *m
	other.trials = slices.Clone(m.trials)
	other.trials[0].ID = "0123456789abcdef"
	foreign, err := other.encode()
	if err != nil {
		t.Fatal(err)
	}
	other.head.Kernels = []string{"quantum"}
	elsewhere, err := other.encode()
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ text, want string }{
		"empty":            {"", "experiment plan writes one"},
		"a config":         {"name = 1\n", "experiment plan writes one"},
		"cut":              {text[:len(text)-2], "cut or edited"},
		"a line is gone":   {text[:strings.LastIndex(text[:len(text)-1], "\n")+1], "cut or edited"},
		"an edited seed":   {strings.Replace(text, `"repetition":0`, `"repetition":1`, 1), "cut or edited"},
		"other numerics":   {strings.Replace(text, `"numerics":`, `"numerics":9`, 1), "gives other numbers"},
		"another format":   {strings.Replace(text, `"k8ntext_manifest":1`, `"k8ntext_manifest":9`, 1), "version 9"},
		"a name as a path": {strings.Replace(text, `"name":"toy"`, `"name":"../x"`, 2), "../x"},
		"an unknown key":   {strings.Replace(text, `"seed":0`, `"sed":0`, 1), "sed"},
		"another trial":    {string(foreign), "another version of it planned"},
		"other kernels":    {string(elsewhere), "planned for other machines"},
	} {
		if c.text == text {
			t.Fatalf("%s: the change changes nothing", name)
		}
		m, err := parseManifest([]byte(c.text))
		for i := 0; err == nil && i < len(m.trials); i++ {
			err = m.resolve(&m.trials[i])
		}
		if name == "other kernels" {
			_, err = m.OpenDevices()
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", name, err, c.want)
		}
	}
}

// FuzzParseManifest: any text is a manifest or an error.
func FuzzParseManifest(f *testing.F) {
	c, err := ParseConfig("f.toml", []byte(valid))
	if err != nil {
		f.Fatal(err)
	}
	m := &Manifest{config: c, head: head{Version: manifestVersion, Name: c.Name, Numerics: numericsVersion, Identity: identityVersion, Corpora: map[string]string{}}}
	if m.head.Config, m.head.Digest, err = c.canonical(); err != nil {
		f.Fatal(err)
	}
	if m.trials, err = c.trials(func(Corpora) (string, error) { return "digest", nil }); err != nil {
		f.Fatal(err)
	}
	text, err := m.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(text))
	f.Add(`{"k8ntext_manifest":1}`)
	f.Add("{}\n{}")
	f.Fuzz(func(t *testing.T, text string) {
		m, err := parseManifest([]byte(text))
		if err != nil {
			return
		}
		if _, err := m.encode(); err != nil {
			t.Error(err)
		}
		for i := range m.trials {
			_ = m.resolve(&m.trials[i]) // may fail, not panic
		}
	})
}

// TestVerify: the same to the bit, a changed value, a result of other arithmetic.
func TestVerify(t *testing.T) {
	c := sweep(t, writeCorpus(t, toyLines(blocks(120), 1)))
	s := Store{Dir: t.TempDir()}
	if err := Run(t.Context(), c, RunOptions{Store: s, Devices: on(portable(t)), Workers: 2}); err != nil {
		t.Fatal(err)
	}
	m, err := LoadManifest(s.ManifestPath())
	if err != nil {
		t.Fatal(err)
	}
	ids, err := m.InState(s, Done)
	if err != nil || len(ids) != 4 {
		t.Fatalf("%d done, %v", len(ids), err)
	}
	change := func(id string, do func(*Result)) {
		r, err := s.Load(id)
		if err != nil {
			t.Fatal(err)
		}
		do(r)
		if err := s.Save(r); err != nil {
			t.Fatal(err)
		}
	}
	told, err := s.Load(ids[0])
	if err != nil || !told.tellsAccuracy() {
		t.Fatalf("history %+v, %v", told.History, err)
	}
	change(ids[0], func(r *Result) { *r = *r.withoutAccuracy() }) // as results from before it was measured
	other := *told
	other.History = &model.History{Monitored: told.History.Monitored, Best: told.History.Best, Stopped: told.History.Stopped, Epochs: slices.Clone(told.History.Epochs)}
	other.History.Epochs[0].ValidationAccuracy += 1e-9
	if different, err := Differences(told, &other); err != nil || len(different) != 1 || !strings.Contains(different[0], "validation_accuracy") {
		t.Errorf("another accuracy: %q, %v", different, err)
	}
	change(ids[1], func(r *Result) { r.Records[0].Value += 1e-15; r.Cost.TrainSeconds = 7 })
	change(ids[2], func(r *Result) { r.Provenance.Kernels = "quantum" })
	change(ids[3], func(r *Result) { r.Records = r.Records[1:] })
	if within, err := s.TookAtMost(ids, 6*time.Second); err != nil || len(within) != 3 || slices.Contains(within, ids[1]) {
		t.Errorf("at most 6 s: %q, %v", within, err)
	}
	before := resultFiles(t, s)
	verdicts, err := m.Verify(t.Context(), ids, VerifyOptions{Store: s, Workers: 2})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"same", "records[0].value: ", "skipped quantum", "records: "} {
		v := verdicts[i]
		got := strings.Join(v.Differences, "; ")
		switch {
		case v.Same:
			got = "same"
		case v.Skipped != "":
			got = "skipped"
			if strings.Contains(v.Skipped, "quantum") {
				got += " quantum"
			}
		}
		if !strings.HasPrefix(got, want) {
			t.Errorf("trial %d: %q, want %q", i, got, want)
		}
	}
	if diff := cmp.Diff(before, resultFiles(t, s)); diff != "" {
		t.Errorf("verify has written:\n%s", diff)
	}
	for _, c := range []struct{ text, want string }{{ids[0][:14], ""}, {"", "no trial"}, {"zz", "no trial"}} {
		if _, err := m.Pick([]string{c.text}); (c.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("pick %q: %v", c.text, err)
		}
	}
}

// instant is a run option that makes every trial's result at once.
func instant(calls *atomic.Int64) func(context.Context, *Trial, device.Target) (*Result, error) {
	return func(_ context.Context, t *Trial, _ device.Target) (*Result, error) {
		calls.Add(1)
		return fakeResult(t), nil
	}
}

// fakeResult is as large as a usual one of the blocked protocol.
func fakeResult(t *Trial) *Result {
	r := &Result{Trial: *t, Protocol: ProtocolBlocked, Config: t.model}
	for i := range 60 {
		r.Records = append(r.Records, metrics.Record{Corpus: t.Corpus, Protocol: ProtocolBlocked, Method: MethodNetwork, Subset: metrics.SubsetAll, Metric: metrics.Accuracy, Value: float64(i) / 61, N: i, Note: "bootstrap over contexts"})
	}
	return r
}

// TestRunStops: a drained run ends running trials and starts none; failing fast ends with the first
// failure; naming trials runs these alone, whatever they have.
func TestRunStops(t *testing.T) {
	m, _ := frozenSweep(t)
	var calls atomic.Int64
	options := func() RunOptions {
		calls.Store(0)
		return RunOptions{Store: Store{Dir: t.TempDir()}, Devices: on(portable(t)), Workers: 1, do: instant(&calls)}
	}
	drain := make(chan struct{})
	o := options()
	o.Drain, o.Progress = drain, func(p Progress) {
		if p.Last != nil {
			close(drain)
		}
	}
	err := m.Run(t.Context(), o)
	if !errors.Is(err, ErrDrained) || !strings.Contains(err.Error(), "3 of 4 trials are left") || calls.Load() != 1 || len(resultFiles(t, o.Store)) != 1 {
		t.Errorf("drained: %v, %d trials run", err, calls.Load())
	}

	o = options()
	o.FailFast = true
	o.do = func(_ context.Context, t *Trial, _ device.Target) (*Result, error) {
		calls.Add(1)
		r := fakeResult(t)
		r.Error = "no luck"
		return r, errors.New("no luck")
	}
	if err := m.Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "no luck") || calls.Load() != 1 {
		t.Errorf("failing fast: %v, %d trials run", err, calls.Load())
	}

	o = options()
	for range 2 {
		calls.Store(0)
		o.Again = []string{m.trials[2].ID}
		if err := m.Run(t.Context(), o); err != nil || calls.Load() != 1 {
			t.Errorf("again: %v, %d trials run", err, calls.Load())
		}
	}

	// Less memory than any trial needs: one at a time.
	o = options()
	o.Workers, o.MemoryMB = 4, 1
	var running, most atomic.Int64
	o.do = func(_ context.Context, t *Trial, _ device.Target) (*Result, error) {
		most.Store(max(most.Load(), running.Add(1)))
		defer running.Add(-1)
		return fakeResult(t), nil
	}
	if err := m.Run(t.Context(), o); err != nil || most.Load() != 1 {
		t.Errorf("short of memory: %v, %d trials side by side", err, most.Load())
	}
}

// TestWorkersShareAFolder: workers of single trials work side by side, not beside a run of all, and not
// two on one trial.
func TestWorkersShareAFolder(t *testing.T) {
	m, _ := frozenSweep(t)
	s := Store{Dir: t.TempDir()}
	var calls atomic.Int64
	o := RunOptions{Store: s, Devices: on(portable(t))}
	o.do = func(ctx context.Context, trial *Trial, on device.Target) (*Result, error) {
		inner := o
		inner.do = instant(&calls)
		if err := m.RunOne(ctx, 1, inner); err != nil {
			t.Errorf("beside another worker: %v", err)
		}
		if err := m.RunOne(ctx, 0, inner); !errors.Is(err, errLocked) || !Retryable(err) {
			t.Errorf("two on one trial: %v", err)
		}
		if err := m.Run(ctx, inner); !errors.Is(err, errLocked) {
			t.Errorf("a run of all beside a worker: %v", err)
		}
		return instant(&calls)(ctx, trial, on)
	}
	if err := m.RunOne(t.Context(), 0, o); err != nil {
		t.Fatal(err)
	}
	o.do = instant(&calls)
	if err := m.RunOne(t.Context(), 0, o); err != nil || calls.Load() != 2 {
		t.Errorf("a trial that has a result: %v, %d trials run", err, calls.Load())
	}
	if err := m.Run(t.Context(), o); err != nil || calls.Load() != 4 {
		t.Errorf("the rest: %v, %d trials run", err, calls.Load())
	}
	if left, err := filepath.Glob(filepath.Join(s.Dir, trialsFolder, ".*")); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// plannedMany is a manifest of n trials.
func plannedMany(b *testing.B, n int) *Manifest {
	b.Helper()
	path := filepath.Join(b.TempDir(), "toy.jsonl")
	var text []byte
	for _, l := range toyLines(80, 1) {
		text = append(append(text, l...), '\n')
	}
	if err := os.WriteFile(path, text, 0o644); err != nil {
		b.Fatal(err)
	}
	c, err := ParseConfig("many.toml", fmt.Appendf(nil, "name = \"many\"\ncorpus = %q\n[[experiment]]\nname = \"a\"\nprotocol = \"paper\"\nrepetitions = %d\n[experiment.model]\ninterleave = 1\n[experiment.grid]\n"+
		"\"model.window\" = [5, 6, 7, 8, 9, 10, 11, 12, 13, 14]\n\"model.dropout\" = [0.0, 0.1, 0.2, 0.3, 0.4]\n", path, n/50))
	if err != nil {
		b.Fatal(err)
	}
	k, err := device.Select("generic")
	if err != nil {
		b.Fatal(err)
	}
	m, err := Freeze(b.Context(), c, on(k))
	if err != nil {
		b.Fatal(err)
	}
	if len(m.trials) != n {
		b.Fatalf("%d trials, want %d", len(m.trials), n)
	}
	return m
}

// reportCPU reports the processor's time beside the wall's, which other programs lengthen.
func reportCPU(b *testing.B) func() {
	spent := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	before := spent()
	return func() { b.ReportMetric(float64((spent()-before).Milliseconds())/float64(b.N), "cpu-ms/op") }
}

// BenchmarkStatus is experiment status of 10,000 trials that all have a result: the manifest read, every
// result file opened and its sum checked. It must stay below a second.
func BenchmarkStatus(b *testing.B) {
	m := plannedMany(b, 10_000)
	s := Store{Dir: b.TempDir()}
	if err := os.Mkdir(filepath.Join(s.Dir, trialsFolder), 0o755); err != nil {
		b.Fatal(err)
	}
	for i := range m.trials {
		text, err := fakeResult(&m.trials[i]).encode()
		if err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(s.trialPath(m.trials[i].ID), seal(text), 0o644); err != nil {
			b.Fatal(err)
		}
	}
	if err := m.Write(s.ManifestPath()); err != nil {
		b.Fatal(err)
	}
	defer reportCPU(b)()
	for b.Loop() {
		m, err := LoadManifest(s.ManifestPath())
		if err != nil {
			b.Fatal(err)
		}
		status, err := m.Status(s)
		if err != nil || status.Total.Done != 10_000 {
			b.Fatal(status.Total, err)
		}
	}
}

// BenchmarkPlan freezes 10,000 trials.
func BenchmarkPlan(b *testing.B) {
	m := plannedMany(b, 10_000)
	for b.Loop() {
		if _, err := m.config.trials(func(Corpora) (string, error) { return "digest", nil }); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkOverhead is what the harness adds to a trial, one of a thousand: its place in the queue, its
// result encoded, written and synced.
func BenchmarkOverhead(b *testing.B) {
	m := plannedMany(b, 1000)
	var calls atomic.Int64
	k, err := device.Select("generic")
	if err != nil {
		b.Fatal(err)
	}
	defer reportCPU(b)()
	for b.Loop() {
		o := RunOptions{Store: Store{Dir: b.TempDir()}, Devices: on(k), Workers: 1, do: instant(&calls)}
		if err := m.Run(b.Context(), o); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/1000/float64(calls.Load()), "ms/trial")
}
