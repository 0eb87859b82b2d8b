package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// DefaultCache is where built binaries and the state of running clusters go.
func DefaultCache() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no cache folder (name one): %w", err)
	}
	return filepath.Join(dir, "k8ntext-testbed"), nil
}

// Release is one version of Kubernetes that can be built here.
type Release struct {
	Minor   string // "1.34"
	Version string // "v1.34.4"
}

// releases are the versions whose pins lie in the module kube, newest first. A test holds them together.
func releases() []Release {
	return []Release{{"1.35", "v1.35.4"}, {"1.34", "v1.34.4"}}
}

// Minors lists what can be built, newest first.
func Minors() []string {
	var out []string
	for _, r := range releases() {
		out = append(out, r.Minor)
	}
	return out
}

// FindRelease is the release of a minor version.
func FindRelease(minor string) (Release, error) {
	for _, r := range releases() {
		if r.Minor == minor {
			return r, nil
		}
	}
	return Release{}, fmt.Errorf("no Kubernetes %q here: use one of %s", minor, strings.Join(Minors(), ", "))
}

// Binary is where the built release lies in a cache folder.
func (r Release) Binary(cache string) string {
	return filepath.Join(cache, "kube-"+strings.TrimPrefix(r.Version, "v"))
}

// FindSource looks for the source of the module kube in a folder and those above it.
func FindSource(from string) (string, error) {
	from, err := filepath.Abs(from)
	if err != nil {
		return "", err
	}
	for dir := from; ; dir = filepath.Dir(dir) {
		for _, candidate := range []string{"kube", filepath.Join("testbed", "kube")} {
			path := filepath.Join(dir, candidate)
			if _, err := os.Stat(filepath.Join(path, releases()[0].Minor+".mod")); err == nil {
				return path, nil
			}
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("the source testbed/kube is not in %s or above it: name it", from)
		}
	}
}

// Tests is where the built end-to-end tests of the release lie in a cache folder.
func (r Release) Tests(cache string) string {
	return filepath.Join(cache, "e2e-"+strings.TrimPrefix(r.Version, "v"))
}

// Build compiles a release into the cache folder and returns the binary's path and how long it took. What
// the Go compiler says goes to w. Nothing is compiled again that Go's build cache has.
func Build(ctx context.Context, r Release, source, cache string, w io.Writer) (string, time.Duration, error) {
	return compile(ctx, r, source, ".", r.Binary(cache), w)
}

// BuildTests compiles the release's end-to-end tests, like Build.
func BuildTests(ctx context.Context, r Release, source, cache string, w io.Writer) (string, time.Duration, error) {
	return compile(ctx, r, source, "./e2e", r.Tests(cache), w)
}

func compile(ctx context.Context, r Release, source, of, path string, w io.Writer) (string, time.Duration, error) {
	cache := filepath.Dir(path)
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", 0, err
	}
	if err := checkDisk(cache, minFree); err != nil {
		return "", 0, err
	}
	begun := time.Now()
	c := exec.CommandContext(ctx, "go", buildArguments(r, of, path+".new")...)
	c.Dir = source
	c.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "GOFLAGS=") }), "CGO_ENABLED=0", "GOWORK=off")
	c.Stdout, c.Stderr = w, w
	if err := c.Run(); err != nil {
		if errors.Is(ctx.Err(), context.Canceled) {
			err = ctx.Err()
		}
		return "", 0, fmt.Errorf("building Kubernetes %s in %s: %w", r.Version, source, err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return "", 0, err
	}
	return path, time.Since(begun), nil
}

// buildArguments of go. Without the versions, user agents would say v0.0.0-master.
func buildArguments(r Release, of, output string) []string {
	versions := "-s -w"
	for _, name := range []string{"k8s.io/component-base/version", "k8s.io/client-go/pkg/version"} {
		versions += fmt.Sprintf(" -X %s.gitVersion=%s", name, r.Version)
	}
	return []string{"build", "-modfile=" + r.Minor + ".mod", "-tags", "kube" + r.Minor, "-buildvcs=false", "-trimpath", "-ldflags", versions, "-o", output, of}
}
