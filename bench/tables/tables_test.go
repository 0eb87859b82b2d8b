package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReplace(t *testing.T) {
	const page = "a\n<!-- x -->\nold\n<!-- end of x -->\nb\n"
	got, err := replace(page, "x", "new\n")
	if want := "a\n<!-- x -->\nnew\n<!-- end of x -->\nb\n"; err != nil || got != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	for _, broken := range []string{"", "<!-- x -->\n", "<!-- end of x -->\n<!-- x -->\n"} {
		if _, err := replace(broken, "x", "new\n"); err == nil {
			t.Errorf("%q: no error", broken)
		}
	}
}

// The committed page must be what the committed results say.
func TestTablesAreUpToDate(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(t.TempDir(), "README.md")
	if err := os.WriteFile(copied, page, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := run(copied, filepath.Join("..", "results")); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(copied)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(page) {
		t.Error("bench/README.md is not what bench/results says: run go run ./bench/tables")
	}
	if strings.Contains(string(got), "NaN") {
		t.Error("a table holds NaN: some result is missing")
	}
}
