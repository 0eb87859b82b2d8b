package main

import (
	"bytes"
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
	folder := filepath.Join("..", "results")
	if err := run(copied, folder, filepath.Dir(copied)); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(copied)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(page) {
		t.Error("bench/README.md is not what bench/results says: run go run ./bench/tables")
	}
	for _, figure := range []string{"loss.svg", "loss.png"} {
		committed, err := os.ReadFile(filepath.Join(folder, figure))
		if err != nil {
			t.Fatal(err)
		}
		drawn, err := os.ReadFile(filepath.Join(filepath.Dir(copied), figure))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(drawn, committed) {
			t.Errorf("bench/results/%s is not what bench/results says: run go run ./bench/tables", figure)
		}
	}
	if strings.Contains(string(got), "NaN") {
		t.Error("a table holds NaN: some result is missing")
	}
}
