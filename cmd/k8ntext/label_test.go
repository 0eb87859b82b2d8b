package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLabelCommand(t *testing.T) {
	const log = `{"auditID":"1","stage":"ResponseComplete","verb":"get","requestURI":"/apis/example.org/v1/namespaces/ns-1/widgets/a",` +
		`"user":{"username":"ali\u001b[31mce"},"objectRef":{"apiGroup":"example.org","apiVersion":"v1","resource":"widgets","namespace":"ns-1","name":"a"},` +
		`"requestReceivedTimestamp":"2026-01-02T03:04:05Z","stageTimestamp":"2026-01-02T03:04:05Z"}` + "\n" +
		`{"auditID":"2","stage":"ResponseComplete","verb":"watch","requestURI":"/api/v1/pods?watch=true",` +
		`"user":{"username":"system:kube-scheduler"},"objectRef":{"apiVersion":"v1","resource":"pods"},` +
		`"requestReceivedTimestamp":"2026-01-02T03:04:06Z","stageTimestamp":"2026-01-02T03:04:07Z"}` + "\n"
	for _, c := range []struct {
		args   []string // FILE is a file with log
		output string
		log    string
		out    string // part of stdout
		stderr string // part of stderr
		err    string // part of the error; empty: none
		code   int
	}{
		{args: []string{"decode", "70048"}, out: "70048  17  0  1  1  2  delete apps/replicasets (one, namespaced)\n"},
		{args: []string{"decode", "70048"}, output: "json", out: `"name": "delete apps/replicasets (one, namespaced)"`},
		{args: []string{"decode", "70048", "70049"}, out: "invalid 70049", err: "no label of the default space: 70049", code: exitFailure},
		{args: []string{"decode", "pods"}, err: `label "pods" is no number`, code: exitUsage},
		{args: []string{"decode"}, err: "requires at least 1 arg", code: exitUsage},
		{args: []string{"decode", "1", "--space", "papper"}, err: "use paper, default or controlplane", code: exitUsage},
		{args: []string{"encode", "delete apps/replicasets (one, namespaced)"}, out: "70048"},
		{args: strings.Fields("encode --verb patch --group apps --resource statefulsets --subresource scale --namespaced --one"), out: "75200"},
		{args: strings.Fields("encode --verb list --resource pods --namespaced"), out: "4400"},
		{args: []string{"encode", "--crd-group", "cert-manager.io", "create cert-manager.io/* (one, namespaced)"}, out: "819600"},
		{args: strings.Fields("encode --crd-group apps 1"), err: "built in", code: exitUsage},
		{args: strings.Fields("encode --verb get"), err: "needed together", code: exitUsage},
		{args: strings.Fields("encode --verb get --resource pods 70048"), err: "not both", code: exitUsage},
		{args: []string{"encode"}, err: "no label given", code: exitUsage},
		{args: []string{"encode", "eat apps/replicasets (one, namespaced)"}, err: `unknown verb "eat"`, code: exitFailure},
		{args: strings.Fields("space --space paper"), out: "2727984  666  0  0  0  3  get external/cluster (unnamed, cluster)\n", stderr: "1356 labels; 59 values"},
		{args: []string{"space"}, out: "nonresource\n"},
		{args: []string{"rules"}, out: "node-lease "},
		{args: []string{"rules"}, output: "json", out: `"name": "node-lease"`},
		{args: []string{"of", "FILE"}, log: "garbage\n" + log, out: "\tget external/namespaced (one, namespaced)\tali\\x1b[31mce\t\t", stderr: "1 not JSON"},
		{args: strings.Fields("of FILE --crd-group example.org"), log: log, out: "\tget example.org/* (one, namespaced)\t"},
		{args: []string{"of", "FILE"}, output: "json", log: log, out: `"name":"watch core/pods (unnamed, cluster)","rule":"scheduler-watch","rule_label":4176}` + "\n"},
		{args: []string{"of", "FILE"}, log: "garbage\n", err: "no audit event in the input", code: exitFailure},
		{args: []string{"of", "FILE.gone"}, err: "no such file", code: exitFailure},
	} {
		var stdout, stderr bytes.Buffer
		a := &app{stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr, output: c.output}
		if a.output == "" {
			a.output = "text"
		}
		cmd := a.labelCommand()
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		file := filepath.Join(t.TempDir(), "audit.log")
		if err := os.WriteFile(file, []byte(c.log), 0o600); err != nil {
			t.Fatal(err)
		}
		name := strings.Join(c.args, " ")
		args := make([]string, len(c.args))
		for i, arg := range c.args {
			args[i] = strings.ReplaceAll(arg, "FILE", file)
		}
		cmd.SetArgs(args)
		err := cmd.ExecuteContext(context.Background())
		switch {
		case c.err == "" && err != nil, c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)):
			t.Errorf("label %s: error %v, want %q", name, err, c.err)
		case err != nil && exitCode(context.Background(), err) != c.code:
			t.Errorf("label %s: exit code %d, want %d", name, exitCode(context.Background(), err), c.code)
		}
		if !strings.Contains(stdout.String(), c.out) {
			t.Errorf("label %s: stdout lacks %q:\n%.2000s", name, c.out, stdout.String())
		}
		if !strings.Contains(stderr.String(), c.stderr) {
			t.Errorf("label %s: stderr lacks %q:\n%.2000s", name, c.stderr, stderr.String())
		}
		if strings.Contains(stdout.String()+stderr.String(), "\x1b") {
			t.Errorf("label %s: a terminal escape of the log was printed", name)
		}
	}
}
