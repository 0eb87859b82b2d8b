package model

import (
	"testing"

	"k8ntext/model/device/opencl"
)

// devices are the OpenCL devices of this machine.
func devices(t testing.TB) []*opencl.Device {
	t.Helper()
	list, err := opencl.Devices()
	if err != nil {
		t.Logf("no OpenCL device here: %v", err)
	}
	return list
}
