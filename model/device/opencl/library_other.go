//go:build !linux && !darwin

package opencl

// libraries are the names to try: none is known here.
func libraries() []string { return []string{"OpenCL"} }
