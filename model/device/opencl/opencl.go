// Package opencl finds OpenCL devices and runs kernels on them. The system's OpenCL library is opened
// when it is first asked for (dlopen through purego): nothing of it is needed to build or to start
// the program, and where there is none the error says so.
//
// Only what a network needs is bound: one in-order queue per [Session], buffers, one program. All
// calls of OpenCL 1.1 at most, so that old drivers will do. A Session may be used from several
// goroutines, one at a time; separate sessions, also on one device, are independent.
package opencl

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"unsafe"
)

// Device is one device of one platform.
type Device struct {
	Index     int    `json:"index"` // place in the list of [Devices]
	Name      string `json:"name"`
	Vendor    string `json:"vendor"`
	Platform  string `json:"platform"`
	Driver    string `json:"driver"`
	Version   string `json:"version"` // of OpenCL
	Type      string `json:"type"`    // TypeGPU, TypeCPU, TypeAccelerator or "other"
	Units     int    `json:"compute_units"`
	Memory    int64  `json:"memory"`         // bytes
	MaxBuffer int64  `json:"max_allocation"` // bytes of one buffer
	MaxGroup  int    `json:"max_work_group"` // work items
	Library   string `json:"library"`        // that was opened

	lib *library
	id  uintptr
}

// The types of a device.
const (
	TypeGPU         = "gpu"
	TypeCPU         = "cpu"
	TypeAccelerator = "accelerator"
)

// String names the device for people.
func (d *Device) String() string { return fmt.Sprintf("%s (%s, %s)", d.Name, d.Type, d.Platform) }

// Devices lists the devices of all platforms, GPUs first. The error is an [ErrUnavailable] where the
// system has no OpenCL library or the library no device.
func Devices() ([]*Device, error) { return devices(libraries()) }

// devices asks the named libraries in order until one has a device.
func devices(names []string) ([]*Device, error) {
	var tried []string
	for _, name := range names {
		lib, err := load(name)
		if err == nil {
			var found []*Device
			if found, err = lib.devices(); len(found) > 0 {
				return found, nil
			}
		}
		tried = append(tried, err.Error())
	}
	return nil, fmt.Errorf("%w: %s", ErrUnavailable, strings.Join(tried, "; "))
}

// ErrUnavailable is the kind of error that another machine, or this one later, may not give: there is
// no device, it has too little memory left, or it was lost at work.
var ErrUnavailable = errors.New("no OpenCL device can be used")

// Error is a call of OpenCL that failed.
type Error struct {
	Attempt string // what was attempted, and on what
	Code    Code
	Detail  string // such as the compiler's messages
}

func (e *Error) Error() string {
	text := fmt.Sprintf("opencl: %s: %v", e.Attempt, e.Code)
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	return text
}

// Is makes errors.Is(e, ErrUnavailable) tell whether the device, and not the call, is to blame.
func (e *Error) Is(target error) bool {
	return target == ErrUnavailable && slices.Contains([]Code{
		-1, -2, -4, -5, -6, -14, // device not found or available, out of memory, failed commands
		-34, -36, // context or queue became invalid: what some drivers say of a lost device
		-61,         // more than the device can allocate
		-1001,       // no platform
		-9999, -255, // NVIDIA's and AMD's codes for a device that failed
	}, e.Code)
}

// Code is an error code of OpenCL.
type Code int32

func (c Code) String() string {
	if name, ok := codeNames[c]; ok {
		return name
	}
	return fmt.Sprintf("error %d", int32(c))
}

// Memory of buffers that a device can hold is not all that it has: drivers keep some.
const usable = .95

func (l *library) devices() ([]*Device, error) {
	platforms, err := l.platforms()
	if err != nil {
		return nil, err
	}
	var list []*Device
	var problems []error
	for _, p := range platforms {
		found, err := l.devicesOf(p)
		list = append(list, found...)
		problems = append(problems, err)
	}
	if err := errors.Join(problems...); len(list) == 0 && err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("opencl: %s has %d platforms and no device: install a driver (for NVIDIA the same version as the kernel's; pocl-opencl-icd for a CPU)", l.name, len(platforms))
	}
	rank := func(d *Device) int { return slices.Index([]string{TypeGPU, TypeAccelerator, TypeCPU, "other"}, d.Type) }
	slices.SortStableFunc(list, func(a, b *Device) int { return rank(a) - rank(b) })
	for i, d := range list {
		d.Index = i
	}
	return list, nil
}

func (l *library) platforms() ([]uintptr, error) {
	var n uint32
	attempt := "list the platforms of " + l.name
	if code := l.getPlatformIDs(0, nil, &n); code != 0 {
		return nil, &Error{Attempt: attempt, Code: code, Detail: "no driver is registered with it"}
	}
	if n == 0 {
		return nil, nil
	}
	ids := make([]uintptr, n)
	if code := l.getPlatformIDs(n, &ids[0], &n); code != 0 {
		return nil, &Error{Attempt: attempt, Code: code}
	}
	return ids[:n], nil
}

func (l *library) devicesOf(platform uintptr) ([]*Device, error) {
	const all = 0xFFFFFFFF
	name := l.platformName(platform)
	var n uint32
	code := l.getDeviceIDs(platform, all, 0, nil, &n)
	if code == deviceNotFound || code == 0 && n == 0 {
		return nil, nil
	}
	ids := make([]uintptr, max(n, 1))
	if code == 0 {
		code = l.getDeviceIDs(platform, all, n, &ids[0], &n)
	}
	if code != 0 {
		return nil, &Error{Attempt: fmt.Sprintf("list the devices of %s", name), Code: code}
	}
	var list []*Device
	for _, id := range ids[:n] {
		d := &Device{
			Name: l.text(id, 0x102B), Vendor: l.text(id, 0x102C), Platform: name,
			Driver: l.text(id, 0x102D), Version: l.text(id, 0x102F), Type: "other",
			Units: int(l.number(id, 0x1002)), Memory: int64(l.number(id, 0x101F)),
			MaxBuffer: int64(l.number(id, 0x1010)), MaxGroup: int(l.number(id, 0x1004)),
			Library: l.name, lib: l, id: id,
		}
		switch kind := l.number(id, 0x1000); {
		case kind&4 != 0:
			d.Type = TypeGPU
		case kind&2 != 0:
			d.Type = TypeCPU
		case kind&8 != 0:
			d.Type = TypeAccelerator
		}
		list = append(list, d)
	}
	return list, nil
}

func (l *library) platformName(platform uintptr) string {
	return query(func(size uintptr, to *byte, needed *uintptr) Code {
		return l.getPlatformInfo(platform, 0x0902, size, to, needed)
	})
}

func (l *library) text(device uintptr, what uint32) string {
	return query(func(size uintptr, to *byte, needed *uintptr) Code {
		return l.getDeviceInfo(device, what, size, to, needed)
	})
}

// query reads a text of any length; "" where it cannot.
func query(get func(size uintptr, to *byte, needed *uintptr) Code) string {
	var size uintptr
	if get(0, nil, &size) != 0 || size == 0 {
		return ""
	}
	text := make([]byte, size)
	if get(size, &text[0], &size) != 0 {
		return ""
	}
	text, _, _ = bytes.Cut(text, []byte{0})
	return strings.TrimSpace(strings.ToValidUTF8(string(text), "?"))
}

// number reads an unsigned integer of 4 or 8 bytes; 0 where it cannot.
func (l *library) number(device uintptr, what uint32) uint64 {
	var b [8]byte
	var size uintptr
	if l.getDeviceInfo(device, what, uintptr(len(b)), &b[0], &size) != 0 {
		return 0
	}
	return binary.LittleEndian.Uint64(b[:])
}

// Session is a device at work: a context, an in-order queue and a compiled program.
//
// Its first error stays: it makes every later call do nothing, and [Session.Err] and
// [Session.Finish] return it. So a sequence of calls is checked once, at its end.
type Session struct {
	device  *Device
	context uintptr
	queue   uintptr
	program uintptr
	used    int64
	err     error
	buffers []*Buffer
	kernels []*Kernel
}

// Open starts a session on the device and compiles source, OpenCL C 1.2.
func (d *Device) Open(source string) (*Session, error) {
	s := &Session{device: d}
	var code Code
	if s.context = d.lib.createContext(0, 1, &d.id, 0, 0, &code); code != 0 {
		s.fail(code, "open a context on %s", d)
	} else if s.queue = d.lib.createCommandQueue(s.context, d.id, 0, &code); code != 0 {
		s.fail(code, "open a queue on %s", d)
	} else {
		s.build(source)
	}
	if s.err != nil {
		return nil, errors.Join(s.err, s.Close())
	}
	return s, nil
}

func (s *Session) build(source string) {
	lib, d := s.device.lib, s.device
	text := append([]byte(source), 0)
	at := &text[0]
	var code Code
	if s.program = lib.createProgramWithSource(s.context, 1, unsafe.Pointer(&at), 0, &code); code != 0 {
		s.fail(code, "create a program on %s", d)
		return
	}
	options := []byte("-cl-std=CL1.2\x00")
	if code = lib.buildProgram(s.program, 1, &d.id, &options[0], 0, 0); code != 0 {
		s.fail(code, "compile kernels for %s", d)
		s.err.(*Error).Detail = query(func(size uintptr, to *byte, needed *uintptr) Code {
			return lib.getProgramBuildInfo(s.program, d.id, 0x1183, size, to, needed)
		})
	}
}

// fail notes the first error.
func (s *Session) fail(code Code, format string, args ...any) {
	if s.err == nil {
		s.err = &Error{Attempt: fmt.Sprintf(format, args...), Code: code}
	}
}

// Device is where the session runs.
func (s *Session) Device() *Device { return s.device }

// Err is the session's first error.
func (s *Session) Err() error { return s.err }

// Finish waits until the device has done everything, and returns the session's first error.
func (s *Session) Finish() error {
	if s.err == nil {
		if code := s.device.lib.finish(s.queue); code != 0 {
			s.fail(code, "finish the work queued on %s", s.device)
		}
	}
	return s.err
}

// Used is the number of bytes of all buffers.
func (s *Session) Used() int64 { return s.used }

// Close frees everything. The session cannot be used afterwards.
func (s *Session) Close() error {
	lib := s.device.lib
	var codes []error
	release := func(what string, handle *uintptr, f func(uintptr) Code) {
		if *handle == 0 {
			return
		}
		// On a lost device nothing can be released, which was said already.
		if code := f(*handle); code != 0 && s.err == nil {
			codes = append(codes, &Error{Attempt: fmt.Sprintf("release a %s on %s", what, s.device), Code: code})
		}
		*handle = 0
	}
	for _, k := range s.kernels {
		release("kernel", &k.handle, lib.releaseKernel)
	}
	for _, b := range s.buffers {
		release("buffer", &b.handle, lib.releaseMemObject)
	}
	release("program", &s.program, lib.releaseProgram)
	release("queue", &s.queue, lib.releaseCommandQueue)
	release("context", &s.context, lib.releaseContext)
	if s.err == nil {
		s.err = &Error{Attempt: fmt.Sprintf("use the session on %s", s.device), Code: invalidContext, Detail: "it is closed"}
	}
	return errors.Join(codes...)
}

// Buffer is memory of the device. Its first contents are undefined.
type Buffer struct {
	session *Session
	handle  uintptr
	size    int
}

// Buffer allocates room for n numbers of 4 bytes, at least one and at most as many as kernels can
// count in int.
func (s *Session) Buffer(n int) *Buffer {
	b := &Buffer{session: s, size: 4 * max(n, 1)}
	if s.err != nil {
		return b
	}
	d := s.device
	if most := int64(usable * float64(d.Memory)); n > math.MaxInt32 || s.used+int64(b.size) > most || int64(b.size) > d.MaxBuffer {
		s.fail(memAllocationFailure, "allocate %d bytes beside %d on %s, which has %d bytes and allows %d for one buffer: use a smaller batch or window, or another device",
			b.size, s.used, d, d.Memory, d.MaxBuffer)
		return b
	}
	const readWrite = 1
	var code Code
	if b.handle = d.lib.createBuffer(s.context, readWrite, uintptr(b.size), nil, &code); code != 0 {
		b.handle = 0
		s.fail(code, "allocate %d bytes beside %d on %s", b.size, s.used, d)
		return b
	}
	s.used += int64(b.size)
	s.buffers = append(s.buffers, b)
	return b
}

// Write copies data to the start of b and returns when it may be changed again.
func Write[T float32 | int32](b *Buffer, data []T) {
	if b.check("write", len(data)*4) {
		if code := b.session.device.lib.enqueueWriteBuffer(b.session.queue, b.handle, 1, 0, uintptr(len(data)*4), unsafe.Pointer(&data[0]), 0, nil, nil); code != 0 {
			b.session.fail(code, "write %d bytes to %s", len(data)*4, b.session.device)
		}
	}
}

// Read waits for all work queued before and copies the start of b to data.
func Read[T float32 | int32](b *Buffer, data []T) {
	if b.check("read", len(data)*4) {
		if code := b.session.device.lib.enqueueReadBuffer(b.session.queue, b.handle, 1, 0, uintptr(len(data)*4), unsafe.Pointer(&data[0]), 0, nil, nil); code != 0 {
			b.session.fail(code, "read %d bytes from %s", len(data)*4, b.session.device)
		}
	}
}

func (b *Buffer) check(verb string, bytes int) bool {
	if bytes > b.size {
		panic(fmt.Sprintf("opencl: %s %d bytes, the buffer has %d", verb, bytes, b.size))
	}
	return b.session.err == nil && bytes > 0
}

// Kernel is a function of the session's program with arguments of its own.
type Kernel struct {
	session *Session
	name    string
	handle  uintptr
	args    []any // as set
}

// Kernel looks up a function of the program.
func (s *Session) Kernel(name string) *Kernel {
	k := &Kernel{session: s, name: name}
	if s.err != nil {
		return k
	}
	text := append([]byte(name), 0)
	var code Code
	if k.handle = s.device.lib.createKernel(s.program, &text[0], &code); code != 0 {
		k.handle = 0
		s.fail(code, "create kernel %s on %s", name, s.device)
		return k
	}
	s.kernels = append(s.kernels, k)
	return k
}

// Run queues the kernel for global work items in groups of local, in up to three dimensions; global
// is rounded up to whole groups. Arguments are of type *Buffer, int32, float32 or uint64, as the
// kernel declares them; those that did not change since the last run are not set again.
func (k *Kernel) Run(global, local []int, args ...any) {
	s := k.session
	if s.err != nil {
		return
	}
	for i, a := range args {
		if i < len(k.args) && k.args[i] == a {
			continue
		}
		if code := k.set(i, a); code != 0 {
			s.fail(code, "set argument %d of kernel %s to %v", i, k.name, a)
			return
		}
	}
	k.args = append(k.args[:0], args...)
	var size, group [3]uintptr
	for i := range global {
		size[i], group[i] = uintptr((global[i]+local[i]-1)/local[i]*local[i]), uintptr(local[i])
		if size[i] == 0 {
			return
		}
	}
	if code := s.device.lib.enqueueNDRangeKernel(s.queue, k.handle, uint32(len(global)), nil, &size[0], &group[0], 0, nil, nil); code != 0 {
		s.fail(code, "run kernel %s in %v work items on %s", k.name, global, s.device)
	}
}

func (k *Kernel) set(i int, arg any) Code {
	set := k.session.device.lib.setKernelArg
	switch v := arg.(type) {
	case *Buffer:
		return set(k.handle, uint32(i), unsafe.Sizeof(v.handle), unsafe.Pointer(&v.handle))
	case int32:
		return set(k.handle, uint32(i), 4, unsafe.Pointer(&v))
	case float32:
		return set(k.handle, uint32(i), 4, unsafe.Pointer(&v))
	case uint64:
		return set(k.handle, uint32(i), 8, unsafe.Pointer(&v))
	}
	panic(fmt.Sprintf("opencl: kernel %s: argument %d is a %T", k.name, i, arg))
}
