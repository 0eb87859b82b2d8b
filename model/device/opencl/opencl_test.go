package opencl

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// eachDevice runs f on every device; where there is none it checks the error that says so.
func eachDevice(t *testing.T, f func(t *testing.T, d *Device)) {
	t.Helper()
	list, err := Devices()
	if err != nil {
		t.Logf("no OpenCL device here, only the error is tested: %v", err)
		if !errors.Is(err, ErrUnavailable) {
			t.Errorf("%v is not ErrUnavailable", err)
		}
		return
	}
	for _, d := range list {
		t.Run(d.Name, func(t *testing.T) { f(t, d) })
	}
}

const addSource = `
__kernel void add(int n, float a, ulong b, __global const float *x, __global const int *i, __global float *y) {
	int at = get_global_id(0);
	if (at < n) y[at] = a*x[at] + (float)i[at] + (float)(b >> 32);
}`

func openSession(t *testing.T, d *Device, source string) *Session {
	t.Helper()
	s, err := d.Open(source)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestDevices(t *testing.T) {
	eachDevice(t, func(t *testing.T, d *Device) {
		if d.Name == "" || d.Platform == "" || d.Driver == "" || !strings.HasPrefix(d.Version, "OpenCL ") || d.Units < 1 || d.Memory < 1<<20 || d.MaxBuffer < 1<<20 || d.MaxGroup < 1 {
			t.Errorf("unlikely facts: %+v", d)
		}
		if !slices.Contains([]string{TypeCPU, TypeGPU, TypeAccelerator}, d.Type) {
			t.Errorf("type %q", d.Type)
		}
	})
}

// TestKernel passes every kind of argument and changes single ones between runs.
func TestKernel(t *testing.T) {
	eachDevice(t, func(t *testing.T, d *Device) {
		s := openSession(t, d, addSource)
		const n = 1000 // not a multiple of the group
		x, ids, y := make([]float32, n), make([]int32, n), make([]float32, n)
		for i := range x {
			x[i], ids[i] = float32(i), int32(-2*i)
		}
		bx, bi, by := s.Buffer(n), s.Buffer(n), s.Buffer(n)
		Write(bx, x)
		Write(bi, ids)
		k := s.Kernel("add")
		for _, c := range []struct {
			a float32
			b uint64
		}{{1, 0}, {3, 0}, {3, 5 << 32}} {
			k.Run([]int{n}, []int{64}, int32(n), c.a, c.b, bx, bi, by)
			Read(by, y)
			if err := s.Finish(); err != nil {
				t.Fatal(err)
			}
			for i := range y {
				if want := c.a*x[i] + float32(ids[i]) + float32(c.b>>32); y[i] != want {
					t.Fatalf("a %v, b %d: element %d is %v, want %v", c.a, c.b, i, y[i], want)
				}
			}
		}
		if s.Used() != 3*4*n {
			t.Errorf("used %d bytes, want %d", s.Used(), 3*4*n)
		}
	})
}

// TestDriver opens a driver's library without a loader in front, as in containers that have only that.
func TestDriver(t *testing.T) {
	list, err := devices([]string{"libnvidia-opencl.so.1", "libpocl.so.2"})
	if err != nil {
		t.Logf("no driver that could be opened directly: %v", err)
		if !errors.Is(err, ErrUnavailable) {
			t.Errorf("%v is not ErrUnavailable", err)
		}
		return
	}
	s := openSession(t, list[0], addSource)
	x, ids, y := s.Buffer(1), s.Buffer(1), s.Buffer(1)
	Write(x, []float32{7})
	Write(ids, []int32{-1})
	s.Kernel("add").Run([]int{1}, []int{1}, int32(1), float32(2), uint64(0), x, ids, y)
	var got [1]float32
	Read(y, got[:])
	if err := s.Finish(); err != nil || got[0] != 13 {
		t.Errorf("got %v, %v, want 13", got[0], err)
	}
}

// TestLost makes a driver fail at work: the error stays, names the attempt and is of the right kind.
func TestLost(t *testing.T) {
	eachDevice(t, func(t *testing.T, d *Device) {
		lib := *d.lib
		lib.enqueueNDRangeKernel = func(uintptr, uintptr, uint32, *uintptr, *uintptr, *uintptr, uint32, *uintptr, *uintptr) Code {
			return outOfResources
		}
		broken := *d
		broken.lib = &lib
		s := openSession(t, &broken, addSource)
		x, ids, y := s.Buffer(1), s.Buffer(1), s.Buffer(1)
		s.Kernel("add").Run([]int{1}, []int{1}, int32(1), float32(2), uint64(0), x, ids, y)
		got := []float32{5}
		Read(y, got)
		err := s.Finish()
		if !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "run kernel add") || !strings.Contains(err.Error(), "CL_OUT_OF_RESOURCES") {
			t.Errorf("error %v, want one that says which kernel could not run", err)
		}
		if got[0] != 5 {
			t.Error("a read after the error gave a value")
		}
	})
}

func TestErrors(t *testing.T) {
	_, err := devices([]string{"libnosuch-opencl.so"})
	if !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "libnosuch-opencl.so") {
		t.Errorf("missing library: %v", err)
	}
	_, err = devices([]string{"libc.so.6"})
	if !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "neither an OpenCL loader nor a driver") && !strings.Contains(err.Error(), "open library libc.so.6") {
		t.Errorf("another library: %v", err)
	}
	lost := &Error{Attempt: "run kernel x", Code: -5}
	if !errors.Is(lost, ErrUnavailable) || lost.Error() != "opencl: run kernel x: CL_OUT_OF_RESOURCES" {
		t.Error(lost)
	}
	if odd := (&Error{Attempt: "do", Code: -777, Detail: "so"}); errors.Is(odd, ErrUnavailable) || odd.Error() != "opencl: do: error -777: so" {
		t.Error(odd)
	}

	eachDevice(t, func(t *testing.T, d *Device) {
		_, err := d.Open("__kernel void broken(int n) { undeclared = n; }")
		if err == nil || !strings.Contains(err.Error(), "CL_BUILD_PROGRAM_FAILURE") || !strings.Contains(err.Error(), "undeclared") || errors.Is(err, ErrUnavailable) {
			t.Errorf("a program that does not compile: %v", err)
		}
		s := openSession(t, d, addSource)
		s.Kernel("nothing")
		if err := s.Err(); err == nil || !strings.Contains(err.Error(), "create kernel nothing") || !strings.Contains(err.Error(), "CL_INVALID_KERNEL_NAME") {
			t.Errorf("no such kernel: %v", err)
		}
		// The first error stays, and nothing that follows does harm.
		first := s.Err()
		b := s.Buffer(1 << 60)
		Write(b, []float32{1})
		s.Kernel("add").Run([]int{1}, []int{1}, int32(1))
		if s.Finish() != first {
			t.Errorf("the first error was replaced by %v", s.Finish())
		}

		s = openSession(t, d, addSource)
		s.Buffer(int(d.Memory / 4))
		if err := s.Err(); !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "smaller batch") {
			t.Errorf("too little memory: %v", err)
		}
	})
}
