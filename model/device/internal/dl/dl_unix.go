//go:build darwin || (linux && (amd64 || arm64))

// Package dl opens shared libraries at run time, without cgo.
package dl

import (
	"fmt"

	"github.com/ebitengine/purego"
)

// Open opens the library, which stays open.
func Open(name string) (handle uintptr, err error) {
	handle, err = purego.Dlopen(name, purego.RTLD_NOW|purego.RTLD_LOCAL)
	if err != nil {
		return 0, fmt.Errorf("open library %s: %w", name, err)
	}
	return handle, nil
}

// Symbol is the address of an exported function; 0 if there is none.
func Symbol(handle uintptr, name string) uintptr {
	address, err := purego.Dlsym(handle, name)
	if err != nil {
		return 0
	}
	return address
}

// Bind makes the function variable to which field points the C function at address.
func Bind(field any, address uintptr) { purego.RegisterFunc(field, address) }
