package main

import (
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
