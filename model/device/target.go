package device

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"k8ntext/model/device/opencl"
)

// Target is where a network is computed.
type Target struct {
	Kernels Kernels        // of the processor; never nil
	OpenCL  *opencl.Device // that runs the network instead; or nil
	// FallBack is whether the processor may take over where the device fails: it was not asked for.
	FallBack bool
}

// Name is the name of the kernels, or "opencl: " and the device's. Equal bits are promised on one
// name only.
func (t Target) Name() string {
	if t.OpenCL != nil {
		return "opencl: " + t.OpenCL.Name
	}
	return t.Kernels.Name()
}

// Open finds the device of the given name:
//
//	"auto", ""   the first GPU that OpenCL knows, else the processor
//	"cpu"        the processor
//	"openblas"   the processor with the matrix product of the system's OpenBLAS
//	"opencl"     the first OpenCL device, of whatever type, GPUs first
//	"opencl:2"   the one with that index in the list of opencl.Devices
//
// kernels chooses the processor's arithmetic as in [Select]. The error is an opencl.ErrUnavailable
// where there is no such device.
func Open(name, kernels string) (Target, error) {
	return openTarget(name, kernels, opencl.Devices)
}

func openTarget(name, kernels string, list func() ([]*opencl.Device, error)) (Target, error) {
	k, err := Select(kernels)
	if err != nil {
		return Target{}, err
	}
	t := Target{Kernels: k}
	kind, number, numbered := strings.Cut(name, ":")
	switch {
	case name == "cpu":
		return t, nil
	case name == "openblas":
		if kernels != "" && kernels != "auto" {
			return t, fmt.Errorf("device: open openblas with kernels %q: choose the device or the kernels, not both", kernels)
		}
		t.Kernels, err = OpenBLAS()
		return t, err
	case name == "auto" || name == "":
		t.FallBack = true
		devices, _ := list() // none is no error here
		for _, d := range devices {
			// A driver that computes on the processor is slower than our own kernels.
			if d.Type == opencl.TypeGPU || d.Type == opencl.TypeAccelerator {
				t.OpenCL = d
				break
			}
		}
		return t, nil
	case kind == "opencl":
		index := 0
		if numbered {
			if index, err = strconv.Atoi(number); err != nil || index < 0 {
				return t, fmt.Errorf("device: open %q: the number after opencl: must be an index of the list of devices", name)
			}
		}
		devices, err := list()
		if err != nil {
			return t, fmt.Errorf("device: open %q: %w", name, err)
		}
		if index >= len(devices) {
			return t, fmt.Errorf("device: open %q: %w", name, errors.Join(opencl.ErrUnavailable, fmt.Errorf("this machine has devices 0 to %d", len(devices)-1)))
		}
		t.OpenCL = devices[index]
		return t, nil
	}
	return t, fmt.Errorf("device: open %q: want auto, cpu, openblas, opencl or opencl:N", name)
}
