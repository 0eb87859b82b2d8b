package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
)

// runModel calls the command as the program does, whether or not it is among the verbs yet.
func runModel(t *testing.T, args ...string) (stdout string, err error) {
	t.Helper()
	var out, errs bytes.Buffer
	a := &app{stdin: strings.NewReader(""), stdout: &out, stderr: &errs}
	root := a.rootCommand()
	for _, c := range root.Commands() {
		if c.Name() == "model" {
			root.RemoveCommand(c)
		}
	}
	root.AddCommand(a.modelCommand())
	root.SetArgs(append([]string{"model"}, args...))
	root.SetOut(&out)
	root.SetErr(&errs)
	err = root.ExecuteContext(context.Background())
	return out.String(), err
}

// The line that the paper's number is checked against.
func TestModelShowPaper(t *testing.T) {
	out, err := runModel(t, "show", "--preset", "paper")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"717,627 trainable parameters + 1,214 batch-norm statistics = 718,841 (2.74 MiB)",
		"window = 60", "39 features of profile paper", "1,356 labels of space paper",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
}

func TestModelShowJSON(t *testing.T) {
	out, err := runModel(t, "show", "--preset", "paper", "-o", "json")
	if err != nil {
		t.Fatal(err)
	}
	var v modelView
	if err := json.Unmarshal([]byte(out), &v, json.RejectUnknownMembers(true)); err != nil {
		t.Fatal(err)
	}
	if v.Trainable != 717627 || v.Statistics != 1214 || v.Total != 718841 || v.Config.Window != 60 || len(v.Layers) != 8 {
		t.Errorf("got %+v", v)
	}
}

func TestModelShowRefuses(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "bad.model")
	if err := os.WriteFile(bad, []byte("not a model"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"show", "--preset", "pepper"}, exitUsage, "paper or default"},
		{[]string{"show", "--preset", "paper", bad}, exitUsage, "one of them"},
		{[]string{"show", bad, bad}, exitUsage, "usage"},
		{[]string{"show", bad}, exitFailure, bad},
		{[]string{"show", bad + ".none"}, exitFailure, "no such file"},
	} {
		_, err := runModel(t, test.args...)
		if err == nil || !strings.Contains(err.Error(), test.want) || exitCode(context.Background(), err) != test.code {
			t.Errorf("%v: want code %d and %q, got %v", test.args, test.code, test.want, err)
		}
	}
}

func TestThousands(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 718841: "718,841", -1234567: "-1,234,567", -123: "-123"} {
		if got := thousands(n); got != want {
			t.Errorf("%d: got %s, want %s", n, got, want)
		}
	}
}
