package device

import (
	"errors"
	"strings"
	"testing"

	"k8ntext/model/device/opencl"
)

func TestOpen(t *testing.T) {
	pocl := &opencl.Device{Name: "pocl", Type: opencl.TypeCPU}
	gpu := &opencl.Device{Name: "gpu", Type: opencl.TypeGPU}
	second := &opencl.Device{Name: "second", Type: opencl.TypeGPU, Index: 1}
	best := Available()[0]
	for _, c := range []struct {
		name, kernels string
		devices       []*opencl.Device
		want          string // name of the target, or part of the error
		wrong         bool
		unavailable   bool // the error is of that kind
	}{
		{name: "", want: best},
		{name: "auto", want: best},
		{name: "auto", devices: []*opencl.Device{pocl}, want: best},
		{name: "auto", devices: []*opencl.Device{gpu, second, pocl}, want: "opencl: gpu"},
		{name: "cpu", devices: []*opencl.Device{gpu}, want: best},
		{name: "cpu", kernels: "generic", devices: []*opencl.Device{gpu}, want: "generic"},
		{name: "opencl", devices: []*opencl.Device{pocl}, want: "opencl: pocl"},
		{name: "opencl:1", devices: []*opencl.Device{gpu, second}, want: "opencl: second"},
		{name: "opencl:2", devices: []*opencl.Device{gpu, second}, want: "devices 0 to 1", wrong: true, unavailable: true},
		{name: "opencl", want: "none today", wrong: true, unavailable: true},
		{name: "opencl:-1", devices: []*opencl.Device{gpu}, want: "index", wrong: true},
		{name: "opencl:x", devices: []*opencl.Device{gpu}, want: "index", wrong: true},
		{name: "cuda", want: "want auto", wrong: true},
		{name: "cpu", kernels: "sse", want: "sse", wrong: true},
		{name: "openblas", kernels: "generic", want: "not both", wrong: true},
	} {
		list := func() ([]*opencl.Device, error) {
			if len(c.devices) == 0 {
				return nil, errors.Join(opencl.ErrUnavailable, errors.New("none today"))
			}
			return c.devices, nil
		}
		got, err := openTarget(c.name, c.kernels, list)
		if err := CheckName(c.name); (err != nil) != (c.wrong && !c.unavailable && c.kernels == "") {
			t.Errorf("check %q: %v", c.name, err)
		}
		if c.wrong {
			if err == nil || !strings.Contains(err.Error(), c.want) || errors.Is(err, opencl.ErrUnavailable) != c.unavailable {
				t.Errorf("%q with kernels %q: error %v, want one with %q, unavailable: %v", c.name, c.kernels, err, c.want, c.unavailable)
			}
			continue
		}
		if err != nil || got.Name() != c.want || got.FallBack != (c.name == "auto" || c.name == "") {
			t.Errorf("%q with kernels %q: %s, fall back %v, %v; want %s", c.name, c.kernels, got.Name(), got.FallBack, err, c.want)
			continue
		}
		again, err := openTarget(got.Device(), c.kernels, list)
		if err != nil || again.Name() != got.Name() || again.FallBack {
			t.Errorf("%q is %q, which is %s, fall back %v, %v", c.name, got.Device(), again.Name(), again.FallBack, err)
		}
	}
	if got, err := Open("openblas", ""); err == nil && (got.Name() != "openblas" || got.Device() != "openblas") {
		t.Errorf("openblas gives %s on %s", got.Name(), got.Device())
	}
}
