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

// Device is the name by which [Open] finds this device again: "cpu", "openblas" or "opencl:N". Of
// "auto" it is what was found.
func (t Target) Device() string {
	switch {
	case t.OpenCL != nil:
		return fmt.Sprintf("opencl:%d", t.OpenCL.Index)
	case t.Kernels.Name() == openBLASName:
		return openBLASName
	}
	return "cpu"
}

// Answers tells whether the device can be used now: one that was lost at work cannot, one that has too
// little memory for a network can.
func (t Target) Answers() bool {
	if t.OpenCL == nil {
		return true
	}
	s, err := t.OpenCL.Open("__kernel void nothing(void) {}")
	if err != nil {
		return false
	}
	return errors.Join(s.Finish(), s.Close()) == nil
}

// CheckName reports what is wrong with the name of a device, without looking for the device.
func CheckName(name string) error {
	kind, number, numbered := strings.Cut(name, ":")
	switch {
	case name == "", name == "auto", name == "cpu", name == openBLASName, name == "opencl":
		return nil
	case kind == "opencl" && numbered:
		if index, err := strconv.Atoi(number); err != nil || index < 0 {
			return fmt.Errorf("device %q: the number after opencl: must be an index of the list of devices", name)
		}
		return nil
	}
	return fmt.Errorf("device %q: want auto, cpu, openblas, opencl or opencl:N", name)
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
	if err := CheckName(name); err != nil {
		return t, err
	}
	switch name {
	case "cpu":
		return t, nil
	case openBLASName:
		if kernels != "" && kernels != "auto" {
			return t, fmt.Errorf("device: open openblas with kernels %q: choose the device or the kernels, not both", kernels)
		}
		t.Kernels, err = OpenBLAS()
		return t, err
	case "auto", "":
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
	}
	index := 0
	if _, number, numbered := strings.Cut(name, ":"); numbered {
		index, _ = strconv.Atoi(number) // CheckName has read it
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
