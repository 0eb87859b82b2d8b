//go:build !(darwin || (linux && (amd64 || arm64)))

package opencl

import (
	"fmt"
	"runtime"
)

func open(name string) (uintptr, error) {
	return 0, fmt.Errorf("opencl: open %s: this program was built without it for %s/%s", name, runtime.GOOS, runtime.GOARCH)
}

func symbol(uintptr, string) uintptr { return 0 }

func bind(any, uintptr) {}
