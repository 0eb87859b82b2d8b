package main

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var updateDocs = flag.Bool("update-docs", false, "write what the commands in the documents print into them")

// console is a fenced block of commands, each after "$ " and followed by what it prints.
var console = regexp.MustCompile("(?s)\n```console\n(.*?)```\n")

// TestDocumented runs every command that a document shows with its output, from the top of the repository, as a reader would,
// and compares what it prints with what is written there.
func TestDocumented(t *testing.T) {
	if testing.Short() {
		t.Skip("whole corpora, again and again")
	}
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	for page, least := range map[string]int{"docs/stories.md": 15, "testbed/README.md": 1} {
		t.Run(page, func(t *testing.T) {
			path := filepath.Join(root, filepath.FromSlash(page))
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			commands := 0
			got := console.ReplaceAllStringFunc(string(text), func(block string) string {
				var out strings.Builder
				out.WriteString("\n```console\n")
				for _, line := range strings.Split(console.FindStringSubmatch(block)[1], "\n") {
					command, is := strings.CutPrefix(line, "$ ")
					if !is {
						continue
					}
					commands++
					cmd := exec.CommandContext(t.Context(), "sh", "-c", command) // k8ntext is this test: see TestMain
					cmd.Dir = root
					printed, err := cmd.CombinedOutput()
					if err != nil {
						t.Errorf("%s: %v\n%s", command, err, printed)
					}
					out.WriteString(line + "\n" + string(printed))
				}
				return out.String() + "```\n"
			})
			if commands < least {
				t.Errorf("%d commands, at least %d were there", commands, least)
			}
			if *updateDocs && !t.Failed() {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if d := cmp.Diff(string(text), got); d != "" {
				t.Errorf("-written +printed (go test ./cmd/k8ntext -run TestDocumented -update-docs writes it anew):\n%s", d)
			}
		})
	}
}
