package main

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/spf13/pflag"

	"k8ntext/model/device"
	"k8ntext/model/device/opencl"
)

// TestDeviceList compares both forms of the list with what the packages find.
func TestDeviceList(t *testing.T) {
	found, err := opencl.Devices()
	if err != nil {
		t.Logf("no OpenCL device here: %v", err)
	}
	list := func(output string) (stdout, stderr string) {
		t.Helper()
		var out, errs bytes.Buffer
		a := &app{stdout: &out, stderr: &errs, output: output}
		c := a.deviceCommand()
		c.SetArgs([]string{"list"})
		if err := c.ExecuteContext(context.Background()); err != nil {
			t.Fatal(err)
		}
		return out.String(), errs.String()
	}

	var got deviceList
	text, _ := list("json")
	if err := json.Unmarshal([]byte(text), &got, json.RejectUnknownMembers(true)); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	if len(got.OpenCL) != len(found) || len(got.Kernels) != len(device.Available()) || got.Auto == "" {
		t.Errorf("list %+v, want %d OpenCL devices and the kernels %v", got, len(found), device.Available())
	}
	if len(found) == 0 && len(got.Missing) == 0 {
		t.Error("no OpenCL device, and no reason")
	}
	text, remarks := list("text")
	if !strings.Contains(text, "kernels "+strings.Join(device.Available(), ", ")) || !strings.HasSuffix(text, "auto is "+got.Auto+"\n") {
		t.Errorf("printed %s", text)
	}
	for i, d := range found {
		if !strings.Contains(text, fmt.Sprintf("opencl:%d", i)) || !strings.Contains(text, d.Name) {
			t.Errorf("device %d, %s, is not printed in %s", i, d.Name, text)
		}
	}
	if len(found) == 0 && !strings.Contains(remarks, "OpenCL") {
		t.Errorf("no OpenCL device, and stderr says %q", remarks)
	}
}

// TestDeviceFlag: what the flag gives, and the exit code where the device is not there.
func TestDeviceFlag(t *testing.T) {
	for _, c := range []struct {
		device string
		code   int
	}{{"", exitOK}, {"cpu", exitOK}, {"auto", exitOK}, {"gpu", exitUsage}, {"opencl:x", exitUsage}, {"opencl:999", exitRetryable}} {
		var e engine
		f := pflag.NewFlagSet("test", pflag.ContinueOnError)
		e.flags(f)
		e.deviceFlag(f)
		if c.device != "" {
			if err := f.Parse([]string{"--device", c.device}); err != nil {
				t.Fatal(err)
			}
		}
		target, threads, err := e.target()
		code := exitOK
		if err != nil {
			code = exitCode(context.Background(), fmt.Errorf("train: %w", err))
		}
		if code != c.code {
			t.Errorf("--device %q: exit code %d (%v), want %d", c.device, code, err, c.code)
		}
		if err == nil && (target.Kernels == nil || threads < 1) {
			t.Errorf("--device %q: %+v on %d threads", c.device, target, threads)
		}
	}
}
