package dataset

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// recording is the scenario with a Secret and a token in it.
func recording() string {
	text := logOf(scenario()...)
	text = strings.Replace(text, `"requestURI":"/apis/apps`, `"requestObject":{"kind":"Secret","data":{"a":"Yg=="}},"requestURI":"/apis/apps`, 1)
	text = strings.Replace(text, `"requestURI":"/apis/coord`, `"responseObject":{"spec":{"holderIdentity":"box_a7b4f8fb-14cf-483b-be7d-a2ab66d06ceb"},"status":{"token":"`+fakeToken+`"}},"requestURI":"/apis/coord`, 1)
	return text
}

func TestImport(t *testing.T) {
	ctx, dir := context.Background(), t.TempDir()
	made, err := Import(ctx, write(t, "rec.jsonl", recording()+"garbage\n"), "mine", dir)
	if err != nil {
		t.Fatal(err)
	}
	if made.Skipped != 1 || made.Manifest.Masked != (Masked{SecretValues: 1, Credentials: 1, Hosts: 1}) || made.Manifest.Counts.Events != 6 {
		t.Errorf("%+v, %+v", made, made.Manifest)
	}

	var out bytes.Buffer
	if err := Export(ctx, made.File, &out); err != nil {
		t.Fatal(err)
	}
	want := strings.NewReplacer("Yg==", "TUFTS0VE", fakeToken, "MASKED.TOKEN", "box_", "host-1_").Replace(recording())
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("everything but the secrets must stay: %s", diff)
	}

	// The corpus is read by its path, and what a person says survives the next import.
	m, err := Describe(ctx, made.File)
	if err != nil {
		t.Fatal(err)
	}
	m.About = About{Title: `A "title"`, Licence: "none", Made: "by hand\nwith \\ and \"\"\" and \u00fc", Real: []string{"nothing"}, NotReal: []string{"all of it", "a \"b\""}}
	text, err := m.encode()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(made.About, text, 0o644); err != nil {
		t.Fatal(err)
	}
	again, err := Import(ctx, write(t, "rec.jsonl", recording()), "mine", dir)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(m, again.Manifest); diff != "" {
		t.Errorf("imported again: %s", diff)
	}
	if stored, err := Describe(ctx, made.File); err != nil || !cmp.Equal(stored, again.Manifest) {
		t.Errorf("stored %+v (%v)", stored, err)
	}
	checks, err := Verify(ctx, made.File)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range checks {
		if c.Err != nil {
			t.Errorf("%s: %v", c.Name, c.Err)
		}
	}
	if names := dirNames(t, dir); !cmp.Equal(names, []string{"mine.jsonl.zst", "mine.toml"}) {
		t.Errorf("left in the folder: %q", names)
	}
}

func dirNames(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestImportRefuses(t *testing.T) {
	unlabelled := scenario()
	for i := range unlabelled {
		unlabelled[i].truth = ""
	}
	for _, test := range []struct{ name, corpus, text, want string }{
		{"a bad name", "../mine", recording(), "no corpus name"},
		{"no labels", "mine", logOf(unlabelled...), "known label"},
		{"no events", "mine", "{}\n", "no valid audit event"},
		{"nothing", "mine", "", "no valid audit event"},
		{"a line that is no event", "mine", recording() + `{"kind":"Pod"}` + "\n", "remove the line"},
		{"a secret that no rule knows", "mine", strings.Replace(recording(), `"verb"`, `"x":"q8Zt0XbW1mK9vR4sPj7LcYd2HgFnTe6UoAiBx3Cz","verb"`, 1), "line 1: x looks like a random text"},
	} {
		dir := t.TempDir()
		_, err := Import(context.Background(), write(t, "rec.jsonl", test.text), test.corpus, dir)
		if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "rec.jsonl") {
			t.Errorf("%s: %v, want ... %s", test.name, err, test.want)
		}
		if names := dirNames(t, dir); len(names) > 0 {
			t.Errorf("%s: left in the folder: %q", test.name, names)
		}
	}
	if _, err := Import(context.Background(), filepath.Join(t.TempDir(), "none"), "mine", t.TempDir()); err == nil {
		t.Error("a recording that is not there was imported")
	}
	if _, err := Import(context.Background(), write(t, "rec.jsonl", recording()), "mine", filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("imported to a folder that is not there")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "mine.toml"), []byte("titel = \"x\"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Import(context.Background(), write(t, "rec.jsonl", recording()), "mine", dir); err == nil || !strings.Contains(err.Error(), `unknown key "titel"`) {
		t.Errorf("a manifest with a wrong key: %v", err)
	}
}

// Verify must fail for every way in which a corpus and its manifest can disagree.
func TestVerifyFails(t *testing.T) {
	ctx := context.Background()
	for _, test := range []struct {
		check    string
		manifest func(string) string
		file     func([]byte) []byte
		want     string
	}{
		{"manifest", func(s string) string { return s }, nil, "the key title is empty"},
		{"file", nil, func(b []byte) []byte { return append(b, 0) }, "sha256 of the file"},
		{"content", nil, func(b []byte) []byte { return b[:len(b)/2] }, ""},
		{"secrets", nil, func([]byte) []byte { return []byte(recording()) }, "3 texts look like secrets, the first: line 5"},
		{"content", nil, func([]byte) []byte { return []byte(logOf(scenario()...)) }, "sha256 of the raw lines"},
		{"digest", nil, func([]byte) []byte { return []byte(logOf(scenario()[1:]...) + logOf(scenario()[0])) }, "digest of the events"},
		{"counts", func(s string) string { return strings.Replace(s, "user_contexts = 2", "user_contexts = 3", 1) }, nil, "UserContexts:2"},
		{"counts", func(s string) string { return strings.Replace(s, "v1.33.1", "v1.33.2", 1) }, nil, "versions of the clients: [v1.33.1], but the manifest says [v1.33.2]"},
		{"counts", func(s string) string {
			return strings.Replace(s, "from = 2026-11-21T12:00:02Z", "from = 2026-11-21T12:00:01Z", 1)
		}, nil, "time of the first event"},
	} {
		made, err := Import(ctx, write(t, "rec.jsonl", recording()), "mine", t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		change := func(name string, f func([]byte) []byte) {
			before, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(name, f(before), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if test.manifest != nil {
			change(made.About, func(b []byte) []byte { return []byte(test.manifest(string(b))) })
		}
		if test.file != nil {
			change(made.File, test.file)
		}
		checks, err := Verify(ctx, made.File)
		if err != nil {
			t.Errorf("%s: %v", test.check, err)
			continue
		}
		found := false
		for _, c := range checks {
			found = found || c.Name == test.check && c.Err != nil && strings.Contains(c.Err.Error(), test.want)
		}
		if !found {
			t.Errorf("%s: %v, want ... %s", test.check, checks, test.want)
		}
	}
}

func TestExportErrors(t *testing.T) {
	ctx, dir := context.Background(), t.TempDir()
	file := filepath.Join(dir, "out.jsonl")
	if err := ExportFile(ctx, "nope", file); err == nil || !strings.Contains(err.Error(), "there are: sequential-1.34") {
		t.Errorf("an unknown corpus: %v", err)
	}
	if err := ExportFile(ctx, write(t, "cut.zst", "\x28\xb5\x2f\xfd\x00"), file); err == nil {
		t.Error("a cut file was exported")
	}
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	if err := ExportFile(cancelled, "sequential-1.34", file); err == nil {
		t.Error("a cancelled export went on")
	}
	if names := dirNames(t, dir); len(names) > 0 {
		t.Errorf("left in the folder: %q", names)
	}
	if err := ExportFile(ctx, write(t, "log", "a\nb"), file); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(file); err != nil || string(got) != "a\nb" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestDescribe(t *testing.T) {
	log := write(t, "log.jsonl", recording())
	m, err := Describe(context.Background(), log)
	if err != nil {
		t.Fatal(err)
	}
	if m.Name != log || m.Counts.Events != 6 || m.Title != "" {
		t.Errorf("%+v", m)
	}
	m, err = Describe(context.Background(), "sequential-1.34")
	if err != nil || m.Title == "" || m.Counts.Events != 9802 {
		t.Errorf("%+v, %v", m, err)
	}
}
