package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func command(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), args, &out, &errs)
	return code, out.String(), errs.String()
}

func TestPlan(t *testing.T) {
	code, first, stderr := command(t, "plan", "--only", "N1,D2", "--rounds", "1", "-o", "json")
	if code != exitOK {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	kept := filepath.Join(t.TempDir(), "plan.json")
	if err := os.WriteFile(kept, []byte(first), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, second, stderr := command(t, "plan", "--plan", kept, "-o", "json"); code != exitOK || second != first {
		t.Errorf("a kept plan reads otherwise (exit %d: %s)", code, stderr)
	}
	if code, text, _ := command(t, "plan", "--only", "N1", "--rounds", "1"); code != exitOK || !strings.Contains(text, "a00001 N1") {
		t.Errorf("exit %d, printed %q", code, text)
	}
	if code, text, _ := command(t, "plan", "--only", "N1", "--rounds", "1", "--summary"); code != exitOK || !strings.Contains(text, "1 delete-namespace") {
		t.Errorf("exit %d, printed %q", code, text)
	}
}

func TestPlanWrongUse(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"junk.json": "{", "key.json": `{"lans":1}`, "lane.json": `{"lanes":1,"actions":[{"id":"a00001","lane":3}]}`,
		"bad.toml": "[[scenario]]\nid = \"x\"\nabout = \"X.\"\nsteps = [\n  { do = \"crate\", on = \"y\" },\n]\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	resource := t.TempDir()
	if err := os.WriteFile(filepath.Join(resource, "bad.toml"), []byte(`
words = ["web"]
notes = ["note"]
role.admin = { users = ["anna"] }
kind.configmap = { resource = "configmaps", api = "v1", kind = "ConfigMap", namespaced = true }
scenario = [{ id = "x", about = "X.", namespace = "team", steps = [{ kubectl = "get confgmaps" }] }]
`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"plan", "--profile", "bsae"}, `unknown profile "bsae": did you mean "base"?`},
		{[]string{"plan", "--part", "devel"}, `unknown recording "devel": did you mean "dev"?`},
		{[]string{"plan", "--only", "N11"}, `unknown scenario or tag "N11": did you mean "N1"?`},
		{[]string{"plan", "--scenarios", dir}, `bad.toml:5: unknown verb "crate": did you mean "create"?`},
		{[]string{"plan", "--plan", filepath.Join(dir, "junk.json")}, "read plan"},
		{[]string{"plan", "--plan", filepath.Join(dir, "key.json")}, `unknown field "lans"`},
		{[]string{"plan", "--plan", filepath.Join(dir, "lane.json")}, "action a00001: there is no lane 3"},
		{[]string{"run", filepath.Join(dir, "new"), "--only", "none-such"}, `unknown scenario or tag "none-such"`},
		{[]string{"run", filepath.Join(dir, "new"), "--scenarios", dir}, `bad.toml:5: unknown verb "crate": did you mean "create"?`},
		{[]string{"run", filepath.Join(dir, "new"), "--scenarios", resource}, `bad.toml:6: scenario "x": step 1: unknown resource "confgmaps": did you mean "configmaps"?`},
		{[]string{"run"}, "accepts 1 arg"},
		{[]string{"coverage", dir}, "resources.json"},
	} {
		code, _, stderr := command(t, c.args...)
		if code == exitOK || !strings.Contains(stderr, c.want) {
			t.Errorf("%v: exit %d, %q; want %q in it", c.args, code, stderr, c.want)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "new")); err == nil {
		t.Error("a recording that cannot be planned left a folder")
	}
}
