package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFeatureCommand(t *testing.T) {
	const line = `{"auditID":"1","stage":"ResponseComplete","verb":"get","requestURI":"/api/v1/namespaces/ns-1/pods/a",` +
		`"user":{"username":"alice"},"objectRef":{"resource":"pods","namespace":"ns-1","name":"a","apiVersion":"v1"},` +
		`"requestReceivedTimestamp":"2026-01-02T03:04:05Z","stageTimestamp":"2026-01-02T03:04:05Z"}` + "\n"
	log := line + strings.ReplaceAll(line, ":05Z", ":07Z")
	for _, c := range []struct {
		args   string
		output string
		log    string // content of FILE
		out    string // part of stdout
		err    string // part of the error; empty: none
	}{
		{"list", "text", "", "| `verb.merged` ", ""},
		{"list --profile paper", "json", "", `"path": "userAgent.extra"`, ""},
		{"list --profile papr", "text", "", "", "use one of honest, linked, paper"},
		{"list --without vreb", "text", "", "", `did you mean "verb"?`},
		{"of FILE", "text", log, "user.class = person\nobjectRef.apiGroup = core\n", ""},
		{"of FILE --profile paper --all", "text", "garbage\n" + log, "objectRef.apiGroup = (null)\nobjectRef.namespace = 1\n", ""},
		{"of FILE", "json", log, `"features":{"objectRef.apiGroup":"core",`, ""},
		{"of FILE --profile linked", "text", log, "previous.resource = pods\n", ""},
		{"of FILE --profile linked -n 1", "json", log, `"choice.by":"own"`, ""},
		{"of FILE -n -1", "text", log, "", "use a number of events"},
		{"of FILE", "text", "garbage\n", "", "no audit event in the input"},
		{"of", "text", "", "", "requires at least 1 arg"},
	} {
		var stdout, stderr bytes.Buffer
		a := &app{stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr, output: c.output}
		cmd := a.featureCommand()
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		file := filepath.Join(t.TempDir(), "audit.log")
		if err := os.WriteFile(file, []byte(c.log), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd.SetArgs(strings.Fields(strings.ReplaceAll(c.args, "FILE", file)))
		err := cmd.ExecuteContext(context.Background())
		if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("feature %s: error %v, want %q", c.args, err, c.err)
		}
		if !strings.Contains(stdout.String(), c.out) {
			t.Errorf("feature %s: stdout lacks %q:\n%s", c.args, c.out, stdout.String())
		}
	}
}
