//go:build darwin || (linux && (amd64 || arm64))

package opencl

import (
	"fmt"

	"github.com/ebitengine/purego"
)

func open(name string) (uintptr, error) {
	handle, err := purego.Dlopen(name, purego.RTLD_NOW|purego.RTLD_LOCAL)
	if err != nil {
		return 0, fmt.Errorf("opencl: open %s: %w", name, err)
	}
	return handle, nil
}

// symbol is the address of an exported function; 0 if there is none.
func symbol(handle uintptr, name string) uintptr {
	address, err := purego.Dlsym(handle, name)
	if err != nil {
		return 0
	}
	return address
}

// bind makes the function variable at field call the C function at address.
func bind(field any, address uintptr) { purego.RegisterFunc(field, address) }
