package experiments

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestFinal(t *testing.T) {
	dev := writeCorpus(t, toyLines(blocks(120), 1))
	tested := filepath.Join(t.TempDir(), "toy-final.jsonl")
	if err := os.Rename(writeCorpus(t, toyLines(80, 2)), tested); err != nil {
		t.Fatal(err)
	}
	config := func(seed int) *Config {
		return parse(t, fmt.Sprintf("name = \"final\"\nfinal = true\ncorpus = %q\nseed = %d\n[[experiment]]\nname = \"final\"\nprotocol = \"cross\"\ntest = [%q]\nmethods = [\"own-label\", \"identity\"]\n[experiment.model]\nwindow = 5\n",
			dev, seed, tested))
	}
	s := Store{Dir: t.TempDir()}
	var remarks []string
	o := RunOptions{
		Store: s, Devices: on(portable(t)), Provenance: Provenance{Commit: "abc"},
		Remark: func(text string) { remarks = append(remarks, text) },
	}
	logged := func(n int) []Use {
		t.Helper()
		uses, err := s.Uses()
		if err != nil || len(uses) != n {
			t.Fatalf("uses %v, %v; want %d", uses, err, n)
		}
		return uses
	}
	run := func(seed int) error { return Run(t.Context(), config(seed), o) }

	logged(0)
	if err := run(1); err != nil {
		t.Fatal(err)
	}
	if u := logged(1)[0]; u.Commit != "abc" || len(u.Config) != 16 || u.Date == "" || !slices.Equal(u.Corpora, []string{tested}) {
		t.Errorf("logged %+v", u)
	}
	if err := run(1); !errors.Is(err, ErrUsed) || !strings.Contains(err.Error(), "by commit abc") || !strings.Contains(err.Error(), "--again") {
		t.Errorf("made twice: %v", err)
	}
	logged(1)

	// One that was stopped goes on under its line.
	trials, _ := statusOf(t, config(1), s)
	if err := os.Remove(s.trialPath(trials[0].ID)); err != nil {
		t.Fatal(err)
	}
	if err := run(1); err != nil {
		t.Fatal(err)
	}
	logged(1)

	o.FinalAgain = true
	if err := run(1); err != nil || len(remarks) != 1 {
		t.Fatal(err, remarks)
	}
	logged(2)
	o.FinalAgain = false
	if err := run(2); err != nil || !strings.Contains(strings.Join(remarks, " "), "2 evaluations of final recordings before this one") {
		t.Fatal(err, remarks)
	}
	if uses := logged(3); uses[0].Config != uses[1].Config || uses[0].Config == uses[2].Config {
		t.Errorf("digests %v", uses)
	}

	rep, err := NewReport(t.Context(), Source{Config: config(1), Store: s, Command: "make final"}, ReportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(rep.Artefacts, func(a Artefact) bool { return a.ID == "final" })
	if i < 0 || len(rep.Artefacts[i].Table.Rows) != 2 {
		t.Fatalf("artefacts %v", rep.Artefacts)
	}
	if row := strings.Join(rep.Artefacts[i].Table.Rows[1], "|"); !strings.Contains(row, "identity") || strings.Contains(row, "–") {
		t.Errorf("row %q", row)
	}

	log := filepath.Join(s.Dir, usesFile)
	if err := os.WriteFile(log, []byte("{}\n<<<<<<< HEAD\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := run(3); err == nil || !strings.Contains(err.Error(), usesFile+":2: no line of a log of final evaluations") {
		t.Errorf("a log with a conflict in it: %v", err)
	}
}

// Final recordings are neither trained on nor tested in passing.
func TestFinalConfig(t *testing.T) {
	for _, test := range []struct{ top, keys, want string }{
		{"", `protocol = "blocked"` + "\ncorpus = \"busy-final\"", `key corpus: "busy-final" is for the final evaluation alone: use a dev recording`},
		{"", `protocol = "cross"` + "\ntest = [\"a/busy-final.jsonl.zst\"]", `"a/busy-final.jsonl.zst" is for the final evaluation alone`},
		{"final = true\n", `protocol = "cross"` + "\ncorpus = [\"a\", \"busy-final\"]\ntest = [\"base-final\"]", "nothing is trained on it"},
		{"final = true\n", `protocol = "blocked"`, `key protocol: "blocked" in a file with final = true: use "cross"`},
	} {
		_, err := ParseConfig("toy.toml", []byte("name = \"toy\"\n"+test.top+"corpus = \"a\"\n[[experiment]]\nname = \"x\"\n"+test.keys+"\n"))
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s:\n error %v\n want %s", test.keys, err, test.want)
		}
	}
}
