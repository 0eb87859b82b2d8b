package cluster

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestBadOptions(t *testing.T) {
	good := func() Options {
		return Options{Minor: "1.34", Cache: t.TempDir(), Binary: "/dev/null", Dir: t.TempDir(), Network: Loopback}
	}
	for _, c := range []struct {
		name   string
		change func(*Options)
		want   string
	}{
		{"no folder", func(o *Options) { o.Dir = "" }, "folder"},
		{"minor", func(o *Options) { o.Minor = "1.2" }, `"1.2"`},
		{"level", func(o *Options) { o.Level = "None" }, `"None"`},
		{"network", func(o *Options) { o.Network = Auto }, "Enter"},
		{"nodes", func(o *Options) { o.Nodes = 101 }, "101 nodes"},
		{"name", func(o *Options) { o.Name = "../escape" }, "../escape"},
		{"name with a dot first", func(o *Options) { o.Name = ".." }, `".."`},
		{"port", func(o *Options) { o.APIPort = 70000 }, "70000"},
		{"arguments", func(o *Options) { o.Args = map[string][]string{"kubelet": nil} }, "kubelet"},
		{"not built", func(o *Options) { o.Binary = "" }, "testbed build --minor 1.34"},
	} {
		o := good()
		c.change(&o)
		if _, err := prepare(o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q in it", c.name, err, c.want)
		}
		if records, err := Records(o.Cache); err != nil || len(records) != 0 {
			t.Errorf("%s: leaves %v, %v", c.name, records, err)
		}
	}
}

// A taken port is found before anything starts, and the name is free again.
func TestTakenPort(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	o := Options{Minor: "1.34", Cache: t.TempDir(), Binary: "/dev/null", Dir: t.TempDir(), Network: Loopback, APIPort: l.Addr().(*net.TCPAddr).Port}
	for range 2 {
		if _, err := Up(t.Context(), o); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("a taken port: %v", err)
		}
	}
	if left, err := filepath.Glob(filepath.Join(runFolder(o.Cache), "*")); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// What is no Kubernetes ends at once: the error says so with the end of its log, and nothing stays.
func TestNoKubernetes(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "kube")
	if err := os.WriteFile(binary, []byte("#!/bin/sh\necho something went wrong\nexit 7\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	o := Options{Minor: "1.34", Cache: t.TempDir(), Binary: binary, Dir: t.TempDir(), Network: Loopback}
	_, err := Up(t.Context(), o)
	if err == nil || !strings.Contains(err.Error(), "etcd died") || !strings.Contains(err.Error(), "something went wrong") {
		t.Errorf("error %v", err)
	}
	left, err := filepath.Glob(filepath.Join(runFolder(o.Cache), "*"))
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// Interrupted while starting, a cluster ends what runs.
func TestInterruptedStart(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "kube")
	if err := os.WriteFile(binary, []byte("#!/bin/sh\nexec sleep 60\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	o := Options{Minor: "1.34", Cache: t.TempDir(), Binary: binary, Dir: t.TempDir(), Network: Loopback}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(300*time.Millisecond, cancel)
	if _, err := Up(ctx, o); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	left, err := filepath.Glob(filepath.Join(runFolder(o.Cache), "*"))
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestCheckDisk(t *testing.T) {
	if err := checkDisk(t.TempDir(), 1); err != nil {
		t.Error(err)
	}
	if err := checkDisk(t.TempDir(), 1<<62); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("a disk of 4 EiB: %v", err)
	}
}

// The versions in the table are those that the module kube pins.
func TestReleases(t *testing.T) {
	source, err := FindSource(".")
	if err != nil {
		t.Fatal(err)
	}
	pin := regexp.MustCompile(`(?m)^\tk8s.io/kubernetes (v\S+)$`)
	for _, r := range releases() {
		text, err := os.ReadFile(filepath.Join(source, r.Minor+".mod"))
		if err != nil {
			t.Fatal(err)
		}
		m := pin.FindSubmatch(text)
		if m == nil || string(m[1]) != r.Version {
			t.Errorf("%s.mod pins %q, the table says %s", r.Minor, m, r.Version)
		}
		staging := strings.TrimPrefix(r.Version, "v1")
		for _, line := range strings.Split(string(text), "\n") {
			if strings.Contains(line, "=> k8s.io/") && !strings.HasSuffix(line, " v0"+staging) {
				t.Errorf("%s.mod: a staging module of another release:%s", r.Minor, line)
			}
		}
	}
}

func TestBuildFails(t *testing.T) {
	if _, err := FindSource(t.TempDir()); err == nil {
		t.Error("a source where there is none")
	}
	cache := t.TempDir()
	r := releases()[0]
	if _, _, err := Build(t.Context(), r, t.TempDir(), cache, io.Discard); err == nil || !strings.Contains(err.Error(), r.Version) {
		t.Errorf("building nothing: %v", err)
	}
	if _, err := os.Stat(r.Binary(cache)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a failed build leaves a binary: %v", err)
	}
}

func TestArguments(t *testing.T) {
	c := &Cluster{options: Options{Dir: "/rec", Network: Namespace, Args: map[string][]string{scheduler: {"--v=9"}}}, state: "/state", ports: ports{1, 2, 3, 4, 5}}
	for name, want := range map[string][]string{
		apiServer:         {"--audit-log-mode=blocking", "--audit-log-path=/rec/audit.log", "--authorization-mode=Node,RBAC", "--secure-port=3"},
		controllerManager: {"--use-service-account-credentials=true", "--kubeconfig=/state/pki/system-kube-controller-manager.kubeconfig"},
		scheduler:         {"--v=9"},
		etcd:              {"--data-dir=/state/etcd"},
	} {
		got := c.arguments(name)
		for _, w := range want {
			if !slices.Contains(got, w) {
				t.Errorf("%s: no %s in %q", name, w, got)
			}
		}
		if got[0] != name {
			t.Errorf("%s is started as %q", name, got[0])
		}
	}
	if got := c.arguments(scheduler); got[len(got)-1] != "--v=9" {
		t.Error("a caller's arguments do not come last, where they would win")
	}
}

func TestAddressRequest(t *testing.T) {
	// ip address add 192.0.2.1/24 dev lo, as strace shows it on a little-endian machine.
	got := addressRequest(netip.MustParsePrefix("192.0.2.1/24"), 1)
	if len(got) != 40 || got[0] != 40 || got[17] != 24 || !slices.Equal(got[28:32], []byte{192, 0, 2, 1}) || !slices.Equal(got[36:40], []byte{192, 0, 2, 1}) {
		t.Errorf("request % x", got)
	}
	if err := addAddress(netip.MustParsePrefix("2001:db8::1/128")); err == nil {
		t.Error("an IPv6 address is accepted")
	}
}

func TestTail(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(path, []byte(strings.Repeat("x", 20<<10)+"\nlast but one\nlast\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := tail(path, 2); got != "last but one\nlast" {
		t.Errorf("tail %q", got)
	}
	if got := tail(path+".none", 2); !strings.Contains(got, "no such file") {
		t.Errorf("tail of no file: %q", got)
	}
}
