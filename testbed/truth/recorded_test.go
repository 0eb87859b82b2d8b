package truth

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

// recorded are the small recordings in testdata.
func recorded(t *testing.T) []string {
	t.Helper()
	dirs, err := filepath.Glob("testdata/*/" + JournalFile)
	if err != nil || len(dirs) == 0 {
		t.Fatalf("no recordings in testdata: %v", err)
	}
	for i, f := range dirs {
		dirs[i] = filepath.Dir(f)
	}
	return dirs
}

// told is what attribution says of every request, one a line.
func told(r *Recording) string {
	var b strings.Builder
	for _, q := range r.Log.Requests {
		c := q.verdict.context()
		id, mark := "?", " "
		if c != nil {
			id = c.ID
			if c.Command == nil && c.clock == "" {
				id = "bg"
			} else if c.Trigger == q {
				mark = "*"
			}
		} else {
			id += strings.Join(candidates(q.verdict), ",")
		}
		fmt.Fprintf(&b, "%s%-9s %-28s %s\n", mark, id, q.verdict.class, q.describe())
	}
	return b.String()
}

// TestRecorded compares the attribution of recorded logs, request by request, with what was checked by
// hand.
func TestRecorded(t *testing.T) {
	for _, dir := range recorded(t) {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			r, err := Read(dir)
			if err != nil {
				t.Fatal(err)
			}
			got, file := told(r), filepath.Join(dir, "want.txt")
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			g, w := strings.Split(got, "\n"), strings.Split(string(want), "\n")
			if len(g) != len(w) {
				t.Errorf("%d requests, want %d", len(g)-1, len(w)-1)
			}
			for i := range min(len(g), len(w)) {
				if g[i] != w[i] {
					t.Errorf("request %d:\n  %s, want\n  %s", i+1, g[i], w[i])
				}
			}
			for _, route := range must(r.Routes()) {
				for _, c := range route.Classes {
					if c.Disagree > 0 && route.Name == "schedule" {
						t.Errorf("route %s differs on %d of %d events of %s: %v", route.Name, c.Disagree, c.Events, c.Class, c.Examples)
					}
				}
			}
			for _, i := range must(r.Check()) {
				if i.Broken > 0 {
					t.Errorf("%d of %d times it does not hold that %s: %v", i.Broken, i.Checked, i.Name, i.Examples)
				}
			}
		})
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// copyRecording copies a recording, its lines and journal changed by f.
func copyRecording(t *testing.T, dir string, f func(file string, text []byte) []byte) string {
	t.Helper()
	to := t.TempDir()
	var log bytes.Buffer
	r := &Recording{Dir: dir}
	if err := EachLine(r.auditFile(), func(line []byte) error {
		log.Write(line)
		log.WriteByte('\n')
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	journal, err := os.ReadFile(filepath.Join(dir, JournalFile))
	if err != nil {
		t.Fatal(err)
	}
	for file, text := range map[string][]byte{AuditFile: log.Bytes(), JournalFile: journal} {
		if err := os.WriteFile(filepath.Join(to, file), f(file, text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return to
}

// TestWithoutTokens: the tokens are a route of their own; identity must not need them.
func TestWithoutTokens(t *testing.T) {
	for _, dir := range recorded(t) {
		before := must(Read(dir))
		known := before.Journal.knownTokens()
		if len(known) == 0 {
			t.Errorf("%s has no tokens", dir)
		}
		other := func(_ string, text []byte) []byte {
			for token := range known {
				backwards := []byte(token)
				slices.Reverse(backwards)
				text = bytes.ReplaceAll(text, []byte(token), backwards)
			}
			return text
		}
		after := must(Read(copyRecording(t, dir, other)))
		for i, q := range before.Log.Requests {
			p := after.Log.Requests[i]
			if a, b := contextID(q), contextID(p); a != b || q.verdict.class != p.verdict.class {
				t.Errorf("%s: %s is %s of %s, with other tokens %s of %s", dir, q.describe(), q.verdict.class, a, p.verdict.class, b)
			}
		}
		without := func(file string, text []byte) []byte {
			for token := range known {
				text = bytes.ReplaceAll(text, []byte("-"+token), nil)
			}
			return text
		}
		after = must(Read(copyRecording(t, dir, without)))
		for i, q := range before.Log.Requests {
			p := after.Log.Requests[i]
			if a, b := contextID(q), contextID(p); a != b {
				t.Errorf("%s: %s is %s of %s, without tokens %s of %s", dir, q.describe(), q.verdict.class, a, p.verdict.class, b)
			}
		}
	}
}

// TestPlanted puts faults into recordings, which the invariants must find.
func TestPlanted(t *testing.T) {
	dir := recorded(t)[0]
	clean := must(Read(dir))
	var effect, direct *Request
	for _, q := range clean.Log.Requests {
		if c := q.verdict.context(); c != nil && c.Command != nil {
			if q.command == nil && effect == nil {
				effect = q
			}
			if q.command != nil && q.changes() {
				direct = q
			}
		}
	}
	in := func(id string, from, to string) func(string, []byte) []byte {
		return func(file string, text []byte) []byte {
			if file != AuditFile {
				return text
			}
			lines := strings.SplitAfter(string(text), "\n")
			changed := false
			for i, l := range lines {
				if strings.Contains(l, `"auditID":"`+id+`"`) && strings.Contains(l, from) {
					lines[i] = strings.ReplaceAll(l, from, to)
					changed = true
				}
			}
			if !changed {
				t.Fatalf("%q is not in the lines of %s", from, id)
			}
			return []byte(strings.Join(lines, ""))
		}
	}
	for _, c := range []struct {
		name, breaks string
		plant        func(file string, text []byte) []byte
	}{
		{"a stamp that is gone", "every request of a person belongs to a command", in(direct.ID, direct.command.Stamp, "xxxxxx")},
		{"a command at another time", "every request of a command lies in the command's time", func(file string, text []byte) []byte {
			if file != JournalFile {
				return text
			}
			start, end := direct.command.Start, direct.command.End
			for _, at := range []string{start.Format("2006-01-02T15:04:05"), end.Format("2006-01-02T15:04:05")} {
				text = bytes.ReplaceAll(text, []byte(`"`+at), []byte(`"2020`+at[4:]))
			}
			return text
		}},
		{"a command without requests", "every command sent a request, or was meant to fail", func(file string, text []byte) []byte {
			if file == JournalFile {
				text = append(text, `{"id":"a99999","stamp":"a99999","tool":"kubectl","argv":["kubectl","get","pods"],"start":"2030-01-01T00:00:00Z","end":"2030-01-01T00:00:01Z","quiet":"2030-01-01T00:00:01Z","exit":0,"expect":"ok"}`+"\n"...)
			}
			return text
		}},
	} {
		r := must(Read(copyRecording(t, dir, c.plant)))
		expectBroken(t, c.name, c.breaks, must(r.Check()))
	}

	// Faults in the labelled file.
	to := t.TempDir()
	file := filepath.Join(to, LabelledFile)
	if err := clean.WriteFile(file, LevelRequestResponse); err != nil {
		t.Fatal(err)
	}
	text := string(must(os.ReadFile(file)))
	for _, i := range must(CheckFile(file, clean.Journal)) {
		if i.Broken > 0 {
			t.Errorf("the file as written: %d times not: %s: %v", i.Broken, i.Name, i.Examples)
		}
	}
	token := ""
	for k := range clean.Journal.knownTokens() {
		token = max(token, k)
	}
	id := `"auditID":"` + effect.ID + `"`
	for _, c := range []struct{ name, breaks, from, to string }{
		{"a second trigger", "every context has lines of exactly one trigger", `"trigger":false`, `"trigger":true`},
		{"a token", "no stamp or token is left in a line", `"verb":"`, `"verb":"x-` + token + `-`},
		{"stages that differ", "all lines of one request say the same", `"attribution":"`, `"attribution":"x`},
	} {
		lines := strings.SplitAfter(text, "\n")
		for i, l := range lines {
			if strings.Contains(l, id) {
				lines[i] = strings.Replace(l, c.from, c.to, 1)
				if c.name == "stages that differ" {
					break
				}
			}
		}
		if err := os.WriteFile(file, []byte(strings.Join(lines, "")), 0o644); err != nil {
			t.Fatal(err)
		}
		expectBroken(t, c.name, c.breaks, must(CheckFile(file, clean.Journal)))
	}
}

func expectBroken(t *testing.T, name, breaks string, invariants []Invariant) {
	t.Helper()
	found := false
	for _, i := range invariants {
		if i.Name == breaks {
			found = true
			if i.Broken == 0 {
				t.Errorf("%s: %d times checked that %s, and nothing found", name, i.Checked, breaks)
			}
		}
	}
	if !found {
		t.Errorf("%s: nothing checks that %s", name, breaks)
	}
}
