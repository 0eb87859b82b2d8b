package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"k8ntext": func() { os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) },
	})
}

// TestScripts runs the program as its users do. A small model is trained once for all scripts.
func TestScripts(t *testing.T) {
	small := filepath.Join(t.TempDir(), "small.k8ntext")
	args := []string{
		"train", "--quiet", "-m", small, "--set", "window=8", "--set", "units1=8", "--set", "units2=8", "--set", "embedding=8",
		"--set", "max_epochs=1", "--set", "windows_per_epoch=128", "--set", "validation_stride=64",
	}
	if code := run(context.Background(), args, nil, os.Stderr, os.Stderr); code != exitOK {
		t.Fatalf("training the scripts' model: exit code %d", code)
	}
	var whole bytes.Buffer
	if code := run(context.Background(), []string{"corpus", "export", "sequential-1.34"}, nil, &whole, os.Stderr); code != exitOK {
		t.Fatalf("exporting the corpus: exit code %d", code)
	}
	part := wholeRequests(bytes.SplitAfter(whole.Bytes(), []byte("\n")), 8000, 8400) // the model was trained on these
	repository, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireUniqueNames:  true,
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			if err := os.WriteFile(filepath.Join(e.WorkDir, "part.jsonl"), part, 0o644); err != nil {
				return err
			}
			e.Setenv("MODEL", small)
			e.Setenv("REPOSITORY", repository)
			e.Setenv("K8NTEXT_KERNELS", "")
			e.Setenv("GORACE", "atexit_sleep_ms=0") // a second for each of some 200 programs
			return nil
		},
	})
}

// wholeRequests gives the lines from to to, without those of requests that have lines outside.
func wholeRequests(lines [][]byte, from, to int) []byte {
	id := regexp.MustCompile(`"auditID":"[^"]*"`)
	outside := make(map[string]bool)
	for i, line := range lines {
		if i < from || i >= to {
			outside[string(id.Find(line))] = true
		}
	}
	var part []byte
	for _, line := range lines[from:to] {
		if !outside[string(id.Find(line))] {
			part = append(part, line...)
		}
	}
	return part
}
