package labelling

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"k8ntext/dataset/audit"
	"k8ntext/dataset/label"
)

var update = flag.Bool("update", false, "write the golden files anew")

// load reads the events of a test log.
func load(t fataler, name string) []*audit.Event {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", name))
	if err != nil {
		t.Fatalf("%v", err)
	}
	defer f.Close()
	r := audit.NewReader(f, name, audit.Options{KeepRaw: true})
	var events []*audit.Event
	for {
		rec, err := r.Next()
		if err == io.EOF {
			return events
		}
		if err != nil || rec.Problem != nil {
			t.Fatalf("%v, %v", err, rec.Problem)
		}
		events = append(events, rec.Event)
	}
}

type fataler interface {
	Fatalf(format string, args ...any)
	Helper()
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-update writes it anew):\n%s", file, diff)
	}
}

// TestDialogue is a session as it is seen: every shortcut, refusals, undo, search.
func TestDialogue(t *testing.T) {
	s := New(load(t, "small.jsonl"), label.Default())
	var seen strings.Builder
	seen.WriteString(s.Screen(80, func(s string) string { return s }))
	for _, line := range []string{
		"a", "x", "-5", "999999999", "b", "", "nd", "u", "u", "b", "np", "ec", "s", "/pods binding", "/nothing of the kind", "/", "nc", "m",
		"create core/pods (one, namespaced)", "?", "b", "u", "70048", "b", "u", "q",
	} {
		said, err := s.Answer(line)
		if err != nil {
			said = "error: " + err.Error()
		}
		seen.WriteString("\n>>> " + line + "\n" + said + "\n\n")
		if err == nil {
			seen.WriteString(s.Screen(80, func(s string) string { return s }))
		}
	}
	for i, line := range strings.Split(seen.String(), "\n") {
		if utf8.RuneCountInString(line) > 80 && !strings.HasPrefix(line, "error: ") {
			t.Errorf("line %d has more than 80 columns: %s", i+1, line)
		}
	}
	golden(t, "dialogue.golden", seen.String())
	for _, format := range []Format{Reference, Ours} {
		var out bytes.Buffer
		foreign, err := s.Write(&out, format)
		if err != nil || foreign != 0 {
			t.Errorf("%s: %d foreign, %v", format, foreign, err)
		}
		golden(t, "written."+string(format)+".golden", out.String())
	}
	if _, err := s.Write(io.Discard, "other"); err == nil {
		t.Error("an unknown format was written")
	}
}

// TestWrittenIsRead: what was written in the reference's format is given to the next session.
func TestWrittenIsRead(t *testing.T) {
	s := New(load(t, "small.jsonl"), label.Default())
	for {
		if _, ok := s.Current(); !ok {
			break
		}
		if _, err := s.Answer("b"); err != nil {
			if _, err := s.Answer("s"); err != nil {
				t.Fatal(err)
			}
		}
	}
	var out bytes.Buffer
	if _, err := s.Write(&out, Reference); err != nil {
		t.Fatal(err)
	}
	r := audit.NewReader(&out, "written", audit.Options{KeepRaw: true})
	var events []*audit.Event
	for rec, err := r.Next(); err == nil; rec, err = r.Next() {
		events = append(events, rec.Event)
	}
	again := New(events, label.Default())
	if diff := cmp.Diff(s.labels, again.labels); diff != "" {
		t.Errorf("labels changed: %s", diff)
	}
}

// TestHostile: nothing in a log steers a terminal or breaks the columns.
func TestHostile(t *testing.T) {
	evil := "\x1b[31m\x9b2J\a\r\n\u202e" + strings.Repeat("w", 300)
	events := []*audit.Event{
		{
			Verb: evil, RequestURI: evil, UserAgent: evil, User: audit.User{Username: evil}, ImpersonatedUser: &audit.User{Username: evil},
			ObjectRef:      &audit.ObjectRef{Resource: evil, Namespace: evil, Name: evil},
			ResponseStatus: &audit.ResponseStatus{Code: 200, Reason: evil},
			RequestObject:  []byte(`{"kind":"Binding","target":{"kind":"Node\u001b[2J","name":"\u001b[31m"}}`),
		},
		{Verb: "get", RequestURI: evil},
	}
	s := New(events, label.Default())
	for _, columns := range []int{10, 80} {
		for i, line := range strings.Split(s.Screen(columns, func(s string) string { return s }), "\n") {
			if fit(line, columns) != line {
				t.Errorf("line %d at %d columns: %q", i, columns, line)
			}
		}
	}
}

// TestResumeProperty: a session that is killed after any answer, with the start of the next one on
// disk, and gone on with, is the session that was never killed.
func TestResumeProperty(t *testing.T) {
	events := load(t, "small.jsonl")
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		file := filepath.Join(dir, "journal")
		if err := os.RemoveAll(file); err != nil {
			t.Fatal(err)
		}
		open := func() *Session {
			s := New(events, label.Default())
			if _, err := s.Keep(file); err != nil {
				t.Fatal(err)
			}
			return s
		}
		whole, killed := New(events, label.Default()), open()
		for _, line := range rapid.SliceOfN(rapid.SampledFrom([]string{"", "a", "b", "nc", "ew", "m", "s", "u", "u", "4496", "zz", "kill", "kill torn"}), 1, 30).Draw(t, "lines") {
			if rest, ok := strings.CutPrefix(line, "kill"); ok {
				if err := killed.Close(); err != nil {
					t.Fatal(err)
				}
				if rest != "" {
					f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
					if err != nil {
						t.Fatal(err)
					}
					_, err = f.WriteString(`{"event":1,"la`)
					if err := errors.Join(err, f.Close()); err != nil {
						t.Fatal(err)
					}
				}
				killed = open()
				continue
			}
			saidA, errA := whole.Answer(line)
			saidB, errB := killed.Answer(line)
			if saidA != saidB || (errA == nil) != (errB == nil) {
				t.Fatalf("%q: %q, %v and %q, %v", line, saidA, errA, saidB, errB)
			}
		}
		if err := killed.Close(); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(whole.labels, killed.labels) + cmp.Diff(whole.origins, killed.origins) + cmp.Diff(whole.Progress(), killed.Progress()); diff != "" {
			t.Fatal(diff)
		}
	})
}

// TestJournalRefuses: a journal of something else, or one that was changed.
func TestJournalRefuses(t *testing.T) {
	events := load(t, "small.jsonl")
	file := filepath.Join(t.TempDir(), "journal")
	s := New(events, label.Default())
	if _, err := s.Keep(file); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Answer("b"); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ what, text, want string }{
		{"another log", string(good), "another log"},
		{"no journal", "hello\n", "no journal"},
		{"an answer out of turn", string(good) + `{"event":999,"label":1,"by":"b"}` + "\n", "line 3"},
		{"an undo of nothing", string(good) + `{"event":999,"label":1,"by":"b","undo":true}` + "\n", "line 3"},
		{"an impossible label", string(good) + `{"event":1,"label":15,"by":"15"}` + "\n", "line 3"},
		{"garbage", string(good) + "\x00\n", "line 3"},
	} {
		if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		use := events
		if c.what == "another log" {
			use = events[1:]
		}
		if _, err := New(use, label.Default()).Keep(file); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v does not say %q", c.what, err, c.want)
		}
	}

	// A disk that takes no more ends the session, and the answer does not count.
	s = New(events, label.Default())
	if _, err := s.Keep(filepath.Join(t.TempDir(), "journal")); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	var lost *JournalError
	if _, err := s.Answer("b"); !errors.As(err, &lost) {
		t.Errorf("error %v", err)
	}
	if s.Progress().Answered != 0 {
		t.Error("an answer that was not kept counts")
	}
}
