package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden file anew")

// TestAlerts asks the committed rules of a small log: every rule compiles, and the counts are right.
func TestAlerts(t *testing.T) {
	var out, errs bytes.Buffer
	args := []string{
		"-rules", filepath.Join("..", "..", "docs", "stories", "rules"), "-where", `username != regexp("^system:node:")`, filepath.Join("testdata", "shop.jsonl"),
	}
	if err := run(t.Context(), args, &out, &errs); err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "shop.golden")
	if *update {
		if err := os.WriteFile(golden, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), out.String()); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

func TestAlertsRefuse(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "wrong.query"), []byte("usernme == 'a'"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "which logs?"},
		{[]string{"-rules", t.TempDir(), "x"}, "no file NAME.query"},
		{[]string{"-rules", filepath.Join("..", "..", "docs", "stories", "rules"), "-where", "size", "x"}, "-where: line 1"},
		{[]string{"-rules", dir, "x"}, `wrong.query: line 1, column 1: unknown name "usernme"`},
		{[]string{"-rules", filepath.Join("..", "..", "docs", "stories", "rules"), "no-such-corpus"}, "no-such-corpus"},
	} {
		var errs bytes.Buffer
		if err := run(t.Context(), c.args, &errs, &errs); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v, want %q", c.args, err, c.want)
		}
	}
}
