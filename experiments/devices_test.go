package experiments

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"k8ntext/model/device"
	"k8ntext/model/device/opencl"
)

func TestConfigDevices(t *testing.T) {
	text := func(keys string) string {
		return "name = \"a\"\n" + keys + "\n[[experiment]]\nname = \"b\"\nprotocol = \"blocked\"\ncorpus = \"sequential-1.34\"\n"
	}
	for _, c := range []struct{ keys, want string }{
		{`device = "gpu"`, `toy.toml:2: key device: device "gpu": want auto, cpu`},
		{`devices = ["cpu", "opencl:x"]`, `toy.toml:2: key devices: device "opencl:x": the number`},
		{"device = \"cpu\"\ndevices = [\"auto\"]", `toy.toml:3: key devices: device = "cpu" is given too`},
	} {
		if _, err := ParseConfig("toy.toml", []byte(text(c.keys))); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", c.keys, err, c.want)
		}
	}
	open := func(keys string, names ...string) (string, error) {
		t.Helper()
		targets, err := parse(t, text(keys)).OpenDevices(names, "generic")
		var got []string
		for _, d := range targets {
			got = append(got, d.Device()+" "+d.Name())
		}
		return strings.Join(got, ", "), err
	}
	for _, c := range []struct {
		keys  string
		names []string
	}{{"", nil}, {`device = "cpu"`, nil}, {`devices = ["opencl:999"]`, []string{"cpu"}}} {
		if got, err := open(c.keys, c.names...); err != nil || got != "cpu generic" {
			t.Errorf("%s with flags %q: %s, %v", c.keys, c.names, got, err)
		}
	}
	if _, err := open(`device = "opencl:999"`); !errors.Is(err, opencl.ErrUnavailable) {
		t.Errorf("a device that is not there: %v", err)
	}
	if _, err := open(`devices = ["cpu", "cpu"]`); err == nil || !strings.Contains(err.Error(), `"cpu" and "cpu" are both the processor`) {
		t.Errorf("the processor twice: %v", err)
	}
	if list, err := opencl.Devices(); err == nil {
		if got, err := open(`devices = ["opencl", "cpu"]`); err != nil || got != "opencl:0 opencl: "+list[0].Name+", cpu generic" {
			t.Errorf("a device and the processor: %s, %v", got, err)
		}
		if _, err := open("", "opencl", "opencl:0"); err == nil || !strings.Contains(err.Error(), "both opencl:0") {
			t.Errorf("a device twice: %v", err)
		}
	}
}

// TestSchedule: with devices that only have names, how many trials run on each at a time, and what
// happens when some or all are lost.
func TestSchedule(t *testing.T) {
	gone := errors.New("gone")
	for _, c := range []struct {
		name string
		lost []string // devices that fail their first trial
		want string   // part of the error
	}{
		{name: "all stay"},
		{name: "one is lost", lost: []string{"opencl:0"}},
		{name: "one worker's place is lost", lost: []string{"cpu"}},
		{name: "all are lost", lost: []string{"opencl:0", "opencl:1", "cpu"}, want: "no device is left to run trials on: gone"},
	} {
		t.Run(c.name, func(t *testing.T) {
			devices := []device.Target{
				{OpenCL: &opencl.Device{Index: 0}}, {OpenCL: &opencl.Device{Index: 1}}, {Kernels: portable(t)},
			}
			trials := make([]Trial, 100)
			for i := range trials {
				trials[i].ID = fmt.Sprint(i)
			}
			var mu sync.Mutex
			running, most, done := make(map[string]int), make(map[string]int), make(map[string]int)
			failed := make(map[string]bool)
			err := schedule(t.Context(), trials, newPlaces(devices, 3), func(_ context.Context, trial *Trial, on device.Target) (lost, err error) {
				name := on.Device()
				mu.Lock()
				defer mu.Unlock()
				running[name]++
				most[name] = max(most[name], running[name])
				mu.Unlock()
				runtime.Gosched() // it works, and others may
				mu.Lock()
				running[name]--
				done[trial.ID]++
				for _, l := range c.lost {
					if l == name && (!failed[name] || c.want != "") {
						failed[name] = true
						return gone, nil
					}
				}
				return nil, nil
			})
			if c.want != "" {
				if err == nil || !strings.Contains(err.Error(), c.want) || !errors.Is(err, gone) {
					t.Errorf("error %v", err)
				}
				if len(done) != 5 {
					t.Errorf("%d trials were tried on 5 places", len(done))
				}
				return
			}
			if err != nil || len(done) != len(trials) {
				t.Errorf("%d of %d trials, %v", len(done), len(trials), err)
			}
			for id, n := range done {
				if n != 1 {
					t.Errorf("trial %s ran %d times", id, n)
				}
			}
			for name, limit := range map[string]int{"opencl:0": 1, "opencl:1": 1, "cpu": 3} {
				if most[name] > limit {
					t.Errorf("%d trials at a time on %s", most[name], name)
				}
			}
		})
	}
}

// TestRunOnDevice runs a sweep on an OpenCL device, beside the processor's, and with too little memory.
func TestRunOnDevice(t *testing.T) {
	list, err := opencl.Devices()
	if err != nil {
		t.Skipf("no OpenCL device here: %v", err)
	}
	c := sweep(t, writeCorpus(t, toyLines(blocks(120), 1)))
	run := func(workers int, devices ...device.Target) (Store, error) {
		s := Store{Dir: t.TempDir()}
		return s, Run(t.Context(), c, RunOptions{Store: s, Devices: devices, Workers: workers})
	}
	results := func(s Store) []*Result {
		trials, _, err := c.plan(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		results, missing, err := s.LoadAll(distinct(trials))
		if err != nil || len(missing) > 0 {
			t.Fatalf("%d results are missing, %v", len(missing), err)
		}
		return results
	}
	processor := device.Target{Kernels: portable(t)}
	home, err := run(2, processor)
	if err != nil {
		t.Fatal(err)
	}
	want := results(home)

	s, err := run(1, device.Target{Kernels: portable(t), OpenCL: list[0]})
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range results(s) {
		if p := r.Provenance; p.Device != "opencl:0" || p.Kernels != "opencl: "+list[0].Name || p.Workers != 1 {
			t.Errorf("provenance %+v", p)
		}
		for j, e := range r.History.Epochs {
			w := want[i].History.Epochs[j]
			if off := e.ValidationLoss/w.ValidationLoss - 1; !(off < 1e-4 && off > -1e-4) {
				t.Errorf("trial %s: validation loss %v, on the processor %v", r.Trial.ID, e.ValidationLoss, w.ValidationLoss)
			}
		}
	}

	small := *list[0]
	small.Memory = 20000
	s, err = run(1, device.Target{Kernels: portable(t), OpenCL: &small})
	if !errors.Is(err, opencl.ErrUnavailable) || !strings.Contains(err.Error(), "4 of 4 trials failed") {
		t.Errorf("too little memory: %v", err)
	}
	for _, r := range results(s) {
		if !strings.Contains(r.Error, "smaller batch") || len(r.Records) > 0 {
			t.Errorf("too little memory: recorded %q", r.Error)
		}
	}

	s, err = run(1, device.Target{Kernels: portable(t), OpenCL: &small, FallBack: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results(s) {
		if p := r.Provenance; p.Kernels != "generic" {
			t.Errorf("fell back: provenance %+v", p)
		}
	}
	if diff := cmp.Diff(measured(t, home), measured(t, s)); diff != "" {
		t.Errorf("fell back to other results than the processor's (-processor +fallen back):\n%s", diff)
	}
}
