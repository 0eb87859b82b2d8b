//go:build !(darwin || (linux && (amd64 || arm64)))

// Package dl opens shared libraries at run time, without cgo.
package dl

import (
	"fmt"
	"runtime"
)

// Open fails: how to do it here is not known.
func Open(name string) (handle uintptr, err error) {
	return 0, fmt.Errorf("open library %s: not supported on %s/%s", name, runtime.GOOS, runtime.GOARCH)
}

// Symbol finds nothing.
func Symbol(uintptr, string) uintptr { return 0 }

// Bind is never called: there is no address.
func Bind(any, uintptr) {}
