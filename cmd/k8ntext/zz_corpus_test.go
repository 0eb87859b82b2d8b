package main

import (
	"bytes"
	"context"
	"os"
	"strings"
	"testing"
)

func TestZZ(t *testing.T) {
	for _, line := range strings.Split(os.Getenv("ZZ"), ";") {
		var out, errs bytes.Buffer
		a := &app{stdout: &out, stderr: &errs}
		root := a.rootCommand()
		root.AddCommand(a.corpusCommand())
		requireSubcommands(root)
		root.SetArgs(strings.Fields(line))
		root.SetOut(&out)
		err := root.ExecuteContext(context.Background())
		t.Logf("%s\n%s%s\nerr=%v", line, out.String()[:min(out.Len(), 6000)], errs.String(), err)
	}
}
