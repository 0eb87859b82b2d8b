package opencl

// libraries are the names to try, in order: the usual loader, and NVIDIA's driver, which containers
// often have without a loader.
func libraries() []string {
	return []string{"libOpenCL.so.1", "libOpenCL.so", "libnvidia-opencl.so.1"}
}
