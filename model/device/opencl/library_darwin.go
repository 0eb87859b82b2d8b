package opencl

// libraries are the names to try, in order.
func libraries() []string {
	return []string{"/System/Library/Frameworks/OpenCL.framework/OpenCL"}
}
