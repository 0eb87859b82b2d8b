// Package scenarios holds the scenarios and profiles that come with the testbed.
package scenarios

import "embed"

// FS is the folder with its TOML files; profiles lie in profiles/.
//
//go:embed *.toml profiles/*.toml
var FS embed.FS
