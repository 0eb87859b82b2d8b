package rnn

import (
	"embed"
	"fmt"
	"io/fs"
	"strings"

	"k8ntext/model/device/opencl"
)

// kernelFiles are the kernels, OpenCL C 1.2.
//
//go:embed kernels/*.cl
var kernelFiles embed.FS

// Accelerator runs the layers of graphs on an OpenCL device. Activations, gradients and weights stay
// there: each slice of the host that a graph works on (of a Floats or Ints node, a layer's output, a
// moment) has a counterpart on the device. Data that the host changed must be pushed before a run,
// results pulled after it.
//
// An error of the device stays: every later call does nothing, and [Accelerator.Err] returns it. It
// is an opencl.ErrUnavailable where the device was lost or has too little memory.
//
// All graphs of one Accelerator share the counterparts and must not run at the same time.
type Accelerator struct {
	session *opencl.Session
	floats  map[*float32]*opencl.Buffer // by the first value of the host's slice
	ints    map[*int32]*opencl.Buffer
	adam    *opencl.Kernel
}

// NewAccelerator compiles the kernels for a device.
func NewAccelerator(d *opencl.Device) (*Accelerator, error) {
	if d.MaxGroup < 256 {
		return nil, fmt.Errorf("rnn: the kernels need groups of 256 work items, %s allows %d: use another device", d, d.MaxGroup)
	}
	source, err := kernelSource()
	if err != nil {
		return nil, err
	}
	s, err := d.Open(source)
	if err != nil {
		return nil, fmt.Errorf("rnn: %w", err)
	}
	a := &Accelerator{
		session: s, floats: make(map[*float32]*opencl.Buffer), ints: make(map[*int32]*opencl.Buffer), adam: s.Kernel("adam"),
	}
	return a, a.Err()
}

func kernelSource() (string, error) {
	var source strings.Builder
	err := fs.WalkDir(kernelFiles, ".", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := kernelFiles.ReadFile(path)
		source.Write(text)
		return err
	})
	return source.String(), err
}

// Device is where the accelerator runs.
func (a *Accelerator) Device() *opencl.Device { return a.session.Device() }

// Err is the first error of the device.
func (a *Accelerator) Err() error { return a.session.Err() }

// Finish waits until the device has done all that was asked of it, and returns its first error.
func (a *Accelerator) Finish() error { return a.session.Finish() }

// Used is the number of bytes allocated on the device.
func (a *Accelerator) Used() int64 { return a.session.Used() }

// Close frees the device. Graphs of the accelerator cannot run afterwards.
func (a *Accelerator) Close() error { return a.session.Close() }

// Push copies data to the device.
func (a *Accelerator) Push(data ...[]float32) {
	for _, d := range data {
		opencl.Write(a.of(d), d)
	}
}

// PushInts copies data to the device.
func (a *Accelerator) PushInts(data []int32) { opencl.Write(a.ofInts(data), data) }

// Pull waits for the device and copies data from there.
func (a *Accelerator) Pull(data ...[]float32) {
	for _, d := range data {
		opencl.Read(a.of(d), d)
	}
}

// of is the counterpart of data, which is not empty.
func (a *Accelerator) of(data []float32) *opencl.Buffer {
	b := a.floats[&data[0]]
	if b == nil {
		b = a.session.Buffer(len(data))
		a.floats[&data[0]] = b
	}
	return b
}

func (a *Accelerator) ofInts(data []int32) *opencl.Buffer {
	b := a.ints[&data[0]]
	if b == nil {
		b = a.session.Buffer(len(data))
		a.ints[&data[0]] = b
	}
	return b
}

// The shapes of work groups: for elements, for matrices of elements, and those that kernels require.
var (
	lineGroup   = []int{64}
	planeGroup  = []int{32, 4}
	squareGroup = []int{16, 16}
)

// operand is a matrix in a buffer: element (i, j) is at + i*rs + j*cs.
type operand struct {
	in     *opencl.Buffer
	at     int
	rs, cs int
}

// gemm computes C [m x n] (at c.at, row stride c.rs) = A*B, or C += A*B, over k products each.
func gemm(kernel *opencl.Kernel, m, n, k int, a, b, c operand, add bool) {
	const tile, group = 64, 16
	kernel.Run([]int{(n + tile - 1) / tile * group, (m + tile - 1) / tile * group}, squareGroup,
		int32(m), int32(n), int32(k), a.in, int32(a.at), int32(a.rs), int32(a.cs),
		b.in, int32(b.at), int32(b.rs), int32(b.cs), c.in, int32(c.at), int32(c.rs), truth(add))
}

func truth(b bool) int32 {
	if b {
		return 1
	}
	return 0
}

// columnSums writes the sums of the columns of the rows x n values of x from place at.
func columnSums(kernel *opencl.Kernel, rows, n int, x *opencl.Buffer, at int, sum *opencl.Buffer) {
	kernel.Run([]int{n, 16}, squareGroup, int32(rows), int32(n), x, int32(at), sum)
}
