package query

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8ntext/dataset"
	"k8ntext/dataset/label"
)

var update = flag.Bool("update", false, "write what queries give to testdata/*.txt")

// bench is a log to ask and the time to ask it at.
type bench struct {
	contexts []Context
	space    *label.Space
	now      time.Time
}

func load(t testing.TB, path string) bench {
	t.Helper()
	c, err := dataset.Load(t.Context(), path, nil)
	if err != nil {
		t.Fatal(err)
	}
	contexts, err := Contexts(c)
	if err != nil {
		t.Fatal(err)
	}
	return bench{contexts, c.Space, c.Events[len(c.Events)-1].RequestReceived}
}

func (b *bench) compile(text string) (*Query, error) {
	return Compile(text, Options{Now: b.now, Space: b.space})
}

// found gives the ids of the contexts that a query finds, in one line; "none".
func (b *bench) found(t testing.TB, q *Query) string {
	t.Helper()
	var ids []string
	for i := range b.contexts {
		ok, err := q.Match(&b.contexts[i])
		if err != nil {
			t.Fatal(err)
		}
		if ok {
			ids = append(ids, b.contexts[i].ID)
		}
	}
	if ids == nil {
		return "none"
	}
	return strings.Join(ids, " ")
}

func (b *bench) answer(t *testing.T, text string) string {
	q, err := b.compile(text)
	if err != nil {
		return err.Error()
	}
	answer := b.found(t, q)
	again, err := b.compile(q.String())
	if err != nil {
		t.Errorf("%s\nprints as\n%s\nwhich does not compile: %v", text, q, err)
	} else if a := b.found(t, again); a != answer {
		t.Errorf("%s\nfinds %s, and as it is printed\n%s\nit finds %s", text, answer, q, a)
	}
	return answer
}

// TestLanguage runs testdata/*.txt. Their lines: "load FILE" and "now TIME" set the log and its time;
// "eval EXPRESSION" is followed by an indented line, the contexts found, none, or the error. Lines that
// begin with # and empty ones are for people.
func TestLanguage(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no tests", err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".test"), func(t *testing.T) { runLanguageTest(t, name) })
	}
}

func runLanguageTest(t *testing.T, name string) {
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var b bench
	var out strings.Builder
	lines := bufio.NewScanner(strings.NewReader(string(text)))
	for n := 1; lines.Scan(); n++ {
		line := lines.Text()
		out.WriteString(line + "\n")
		command, argument, _ := strings.Cut(line, " ")
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case command == "load":
			b = load(t, filepath.Join("testdata", argument))
		case command == "now":
			if b.now, err = time.Parse(time.RFC3339, argument); err != nil {
				t.Fatalf("%s:%d: %v", name, n, err)
			}
		case command == "eval":
			lines.Scan()
			want, ok := strings.CutPrefix(lines.Text(), "\t")
			if !ok && !*update {
				t.Fatalf("%s:%d: an eval needs an indented line below", name, n)
			}
			got := b.answer(t, argument)
			if got != want && !*update {
				t.Errorf("%s:%d: %s\ngives %s\nwant  %s", name, n, argument, got, want)
			}
			fmt.Fprintf(&out, "\t%s\n", got)
			n++
		default:
			t.Fatalf("%s:%d: unknown command %q", name, n, command)
		}
	}
	if *update {
		if err := os.WriteFile(name, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
