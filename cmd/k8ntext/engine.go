package main

import (
	"os"
	"runtime"
	"strings"

	"github.com/spf13/pflag"

	"k8ntext/experiments"
	"k8ntext/model/device"
)

// engine says where the network is computed: flags that several commands share.
type engine struct {
	kernels string
	device  string // only where deviceFlag was called
	threads int
}

func (e *engine) flags(f *pflag.FlagSet) {
	f.StringVar(&e.kernels, "kernels", os.Getenv("K8NTEXT_KERNELS"),
		"arithmetic: "+strings.Join(device.Available(), ", ")+"; empty: the fastest (default from K8NTEXT_KERNELS)")
	f.IntVar(&e.threads, "threads", 0, "threads; 0: one for each core. Results do not depend on it")
}

// deviceFlag is for commands that can compute on a device.
func (e *engine) deviceFlag(f *pflag.FlagSet) {
	f.StringVar(&e.device, "device", "cpu", "where to compute: cpu, openblas, opencl, opencl:N (see device list), or auto: the first GPU, else cpu")
}

// target gives the device and the number of threads.
func (e *engine) target() (device.Target, int, error) {
	_, threads, err := e.selected()
	if err != nil {
		return device.Target{}, 0, err
	}
	if err := device.CheckName(e.device); err != nil {
		return device.Target{}, 0, usageError{err}
	}
	t, err := device.Open(e.device, e.kernels)
	return t, threads, err
}

// selected gives the kernels and the number of threads.
func (e *engine) selected() (device.Kernels, int, error) {
	k, err := device.Select(e.kernels)
	if err != nil {
		return nil, 0, usageError{err}
	}
	if e.threads < 0 {
		return nil, 0, usagef("--threads %d is negative: use 0 for one for each core", e.threads)
	}
	if e.threads == 0 {
		return k, runtime.NumCPU(), nil
	}
	return k, e.threads, nil
}

// provenance says which program runs on which machine. Where a trial runs is not known yet.
func provenance() experiments.Provenance {
	v := buildVersion()
	return experiments.Provenance{
		Commit: v.Commit, Dirty: v.Dirty, Go: v.Go, CPU: processor(), Cores: runtime.NumCPU(),
	}
}

// processor names the CPU where the system tells, else the architecture.
func processor() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}
