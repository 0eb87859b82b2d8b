package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestClusterCommandsRefuse(t *testing.T) {
	cache := t.TempDir()
	for _, c := range []struct {
		name string
		args []string
		code int
		want string
	}{
		{"a minor that is not there", []string{"build", "--minor", "1.2"}, exitUsage, `"1.2"`},
		{"no source", []string{"build", "--source", cache, "--cache", cache}, exitFailure, "building Kubernetes"},
		{"a name that is not there", []string{"down", "nobody", "--cache", cache}, exitUsage, "nobody"},
		{"an unknown network", []string{"up", "--network", "wifi", "--cache", cache}, exitFailure, `"wifi"`},
		{"not built", []string{"up", "--network", "loopback", "--dir", t.TempDir(), "--cache", cache}, exitFailure, "testbed build --minor 1.34"},
		{"a bad expression", []string{"foreign", t.TempDir(), "--focus", "("}, exitUsage, "missing closing"},
		{"tests that are not built", []string{"foreign", t.TempDir(), "--cache", cache}, exitFailure, "--tests"},
		{"an unknown output", []string{"down", "-o", "xml"}, exitUsage, `"xml"`},
		{"an unknown flag", []string{"up", "--colour"}, exitUsage, "--colour"},
	} {
		code, _, stderr := command(t, c.args...)
		if code != c.code || !strings.Contains(stderr, c.want) {
			t.Errorf("%s: exit %d, want %d: %q, want %q in it", c.name, code, c.code, stderr, c.want)
		}
	}
}

func TestDownWithNothingRunning(t *testing.T) {
	cache := filepath.Join(t.TempDir(), "none")
	for _, args := range [][]string{{"down"}, {"down", "--all"}} {
		if code, stdout, stderr := command(t, append(args, "--cache", cache)...); code != exitOK || stdout != "" || stderr != "" {
			t.Errorf("%q: exit %d, %q, %q", args, code, stdout, stderr)
		}
	}
}

func TestCountLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	begin, end := `{"auditID":"a","stage":"RequestReceived"}`, `{"auditID":"a","stage":"ResponseComplete","responseObject":"`+strings.Repeat("x", 3<<20)+`"stage":"RequestReceived""}`
	if err := os.WriteFile(path, []byte(begin+"\n"+end+"\n"+begin+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if lines, requests, err := countLog(path); lines != 3 || requests != 2 || err != nil {
		t.Errorf("%d lines of %d requests, %v, want 3 of 2", lines, requests, err)
	}
	if _, _, err := countLog(path + ".none"); err == nil {
		t.Error("no log is counted")
	}
}
