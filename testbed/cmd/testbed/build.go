package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"k8ntext/testbed/cluster"
)

func (a *app) buildCommand() *cobra.Command {
	var minors []string
	var source, cache string
	var tests bool
	c := &cobra.Command{
		Use:   "build",
		Short: "Build etcd, control plane, kubectl and node of Kubernetes from Go modules",
		Long: `build compiles one binary per Kubernetes minor and keeps it in the cache folder.
The first build takes some ten minutes on two cores and 3 GB of Go's build
cache; later ones take seconds.`,
		Example: `  testbed build
  testbed build --minor 1.34,1.35
  testbed build --minor 1.34 --tests`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.build(cmd, minors, source, cache, tests)
		},
	}
	c.Flags().StringSliceVar(&minors, "minor", cluster.Minors(), "minors of Kubernetes")
	c.Flags().StringVar(&source, "source", "", "folder testbed/kube (default: looked for from here upward)")
	c.Flags().BoolVar(&tests, "tests", false, "Kubernetes' own end-to-end tests too, for testbed foreign")
	cacheFlag(c, &cache)
	return c
}

func cacheFlag(c *cobra.Command, cache *string) {
	c.Flags().StringVar(cache, "cache", "", "folder of built binaries and running clusters (default: k8ntext-testbed in the user's cache folder)")
}

func (a *app) build(cmd *cobra.Command, minors []string, source, cache string, tests bool) error {
	var releases []cluster.Release
	for _, m := range minors {
		r, err := cluster.FindRelease(m)
		if err != nil {
			return usageError{err}
		}
		releases = append(releases, r)
	}
	var err error
	if source == "" {
		if source, err = cluster.FindSource("."); err != nil {
			return err
		}
	}
	if cache == "" {
		if cache, err = cluster.DefaultCache(); err != nil {
			return err
		}
	}
	for _, r := range releases {
		builds := []func(context.Context, cluster.Release, string, string, io.Writer) (string, time.Duration, error){cluster.Build}
		if tests {
			builds = append(builds, cluster.BuildTests)
		}
		a.note("building Kubernetes %s", r.Version)
		for _, build := range builds {
			path, took, err := build(cmd.Context(), r, source, cache, a.stderr)
			if err != nil {
				return err
			}
			if err := a.print(struct {
				Version string  `json:"version"`
				Path    string  `json:"path"`
				Seconds float64 `json:"seconds"`
			}{r.Version, path, took.Seconds()}, fmt.Sprintf("%s\t%s\t%s", r.Version, path, took.Round(time.Second))); err != nil {
				return err
			}
		}
	}
	return nil
}
