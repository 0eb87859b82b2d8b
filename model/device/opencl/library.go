package opencl

import (
	"fmt"
	"unsafe"

	"k8ntext/model/device/internal/dl"
)

// library is an OpenCL library that was opened. Its fields are the functions of the same names, less
// the prefix "cl". Handles are uintptrs; a cl_bool is a uint32.
type library struct {
	name string

	getPlatformIDs  func(n uint32, to *uintptr, found *uint32) Code
	getPlatformInfo func(platform uintptr, what uint32, size uintptr, to *byte, needed *uintptr) Code
	getDeviceIDs    func(platform uintptr, kind uint64, n uint32, to *uintptr, found *uint32) Code
	getDeviceInfo   func(device uintptr, what uint32, size uintptr, to *byte, needed *uintptr) Code

	createContext       func(properties uintptr, n uint32, devices *uintptr, notify, data uintptr, code *Code) uintptr
	releaseContext      func(uintptr) Code
	createCommandQueue  func(context, device uintptr, properties uint64, code *Code) uintptr
	releaseCommandQueue func(uintptr) Code
	finish              func(queue uintptr) Code

	createProgramWithSource func(context uintptr, n uint32, texts unsafe.Pointer, lengths uintptr, code *Code) uintptr
	buildProgram            func(program uintptr, n uint32, devices *uintptr, options *byte, notify, data uintptr) Code
	getProgramBuildInfo     func(program, device uintptr, what uint32, size uintptr, to *byte, needed *uintptr) Code
	releaseProgram          func(uintptr) Code

	createKernel         func(program uintptr, name *byte, code *Code) uintptr
	setKernelArg         func(kernel uintptr, i uint32, size uintptr, value unsafe.Pointer) Code
	enqueueNDRangeKernel func(queue, kernel uintptr, dimensions uint32, offset, global, local *uintptr, n uint32, wait, event *uintptr) Code
	releaseKernel        func(uintptr) Code

	createBuffer       func(context uintptr, flags uint64, size uintptr, host unsafe.Pointer, code *Code) uintptr
	enqueueReadBuffer  func(queue, buffer uintptr, blocking uint32, offset, size uintptr, to unsafe.Pointer, n uint32, wait, event *uintptr) Code
	enqueueWriteBuffer func(queue, buffer uintptr, blocking uint32, offset, size uintptr, from unsafe.Pointer, n uint32, wait, event *uintptr) Code
	releaseMemObject   func(uintptr) Code
}

// function is one field of a library. A driver's own library, without a loader in front of it, exports
// hardly any function; they stand in a table to which every object points, at fixed places (Khronos,
// OpenCL-Headers, cl_icd.h).
type function struct {
	name  string
	field any // pointer to the field
	place int // in the table
}

func (l *library) functions() []function {
	return []function{
		{"clGetPlatformInfo", &l.getPlatformInfo, 1},
		{"clGetDeviceIDs", &l.getDeviceIDs, 2},
		{"clGetDeviceInfo", &l.getDeviceInfo, 3},
		{"clCreateContext", &l.createContext, 4},
		{"clReleaseContext", &l.releaseContext, 7},
		{"clCreateCommandQueue", &l.createCommandQueue, 9},
		{"clReleaseCommandQueue", &l.releaseCommandQueue, 11},
		{"clCreateBuffer", &l.createBuffer, 14},
		{"clReleaseMemObject", &l.releaseMemObject, 18},
		{"clCreateProgramWithSource", &l.createProgramWithSource, 26},
		{"clReleaseProgram", &l.releaseProgram, 29},
		{"clBuildProgram", &l.buildProgram, 30},
		{"clGetProgramBuildInfo", &l.getProgramBuildInfo, 33},
		{"clCreateKernel", &l.createKernel, 34},
		{"clReleaseKernel", &l.releaseKernel, 37},
		{"clSetKernelArg", &l.setKernelArg, 38},
		{"clFinish", &l.finish, 47},
		{"clEnqueueReadBuffer", &l.enqueueReadBuffer, 48},
		{"clEnqueueWriteBuffer", &l.enqueueWriteBuffer, 49},
		{"clEnqueueNDRangeKernel", &l.enqueueNDRangeKernel, 59},
	}
}

// load opens a library and finds its functions.
func load(name string) (*library, error) {
	handle, err := dl.Open(name)
	if err != nil {
		return nil, fmt.Errorf("opencl: %w", err)
	}
	l := &library{name: name}
	if address := dl.Symbol(handle, "clGetPlatformIDs"); address != 0 {
		dl.Bind(&l.getPlatformIDs, address)
		for _, f := range l.functions() {
			address := dl.Symbol(handle, f.name)
			if address == 0 {
				return nil, fmt.Errorf("opencl: %s has no function %s: it is no OpenCL 1.1 library", name, f.name)
			}
			dl.Bind(f.field, address)
		}
		return l, nil
	}
	return l, l.loadDriver(handle)
}

// loadDriver binds the functions of a driver that expects a loader in front of it (cl_khr_icd).
func (l *library) loadDriver(handle uintptr) error {
	address := dl.Symbol(handle, "clGetExtensionFunctionAddress")
	if address == 0 {
		return fmt.Errorf("opencl: %s is neither an OpenCL loader nor a driver", l.name)
	}
	var extension func(name *byte) uintptr
	dl.Bind(&extension, address)
	text := []byte("clIcdGetPlatformIDsKHR\x00")
	if address = extension(&text[0]); address == 0 {
		return fmt.Errorf("opencl: the driver %s does not give its platforms", l.name)
	}
	dl.Bind(&l.getPlatformIDs, address)
	platforms, err := l.platforms()
	if err != nil || len(platforms) == 0 {
		return fmt.Errorf("opencl: the driver %s has no platform: %w", l.name, err)
	}
	table := *(**[60]uintptr)(*(*unsafe.Pointer)(unsafe.Pointer(&platforms[0])))
	for _, f := range l.functions() {
		if table[f.place] == 0 {
			return fmt.Errorf("opencl: the driver %s has no function %s", l.name, f.name)
		}
		dl.Bind(f.field, table[f.place])
	}
	return nil
}
