package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"github.com/spf13/cobra"

	"k8ntext/testbed/cluster"
	"k8ntext/testbed/foreign"
)

func (a *app) foreignCommand() *cobra.Command {
	var o cluster.Options
	var f foreign.Options
	var network, focus, skip string
	c := &cobra.Command{
		Use:   "foreign DIR",
		Short: "Start a cluster and record Kubernetes' own end-to-end tests on it",
		Long: `foreign makes a recording in the folder DIR, which must not exist or be empty, of the
end-to-end tests of Kubernetes: those that need no real containers, and those that
wait for them in vain until their time is over. Every test is one command of the
journal, under the test's name. Build the tests first: testbed build --tests.`,
		Example: `  testbed foreign recordings/foreign --for 20m
  testbed foreign recordings/apps --focus 'sig-apps' --lanes 1`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var err1, err2 error
			f.Focus, err1 = regexp.Compile(focus)
			f.Skip, err2 = regexp.Compile(skip)
			if err := errors.Join(err1, err2); err != nil {
				return usageError{err}
			}
			release, err := cluster.FindRelease(o.Minor)
			if err != nil {
				return usageError{err}
			}
			cache := o.Cache
			if cache == "" {
				if cache, err = cluster.DefaultCache(); err != nil {
					return err
				}
			}
			f.Binary = release.Tests(cache)
			if _, err := os.Stat(f.Binary); err != nil {
				return fmt.Errorf("no built tests of Kubernetes %s: %w (build them: testbed build --minor %s --tests)", release.Version, err, release.Minor)
			}
			if o.Network, err = cluster.Enter(cmd.Context(), cluster.Network(network)); err != nil {
				return err
			}
			o.Dir, f.Dir = args[0], args[0]
			if err := emptyFolder(o.Dir); err != nil {
				return err
			}
			f.Progress = a.note
			return a.foreign(cmd, o, f)
		},
	}
	a.clusterFlags(c, &o, &network)
	c.Flags().Lookup("dir").Hidden = true
	c.Flags().StringVar(&focus, "focus", `sig-(api-machinery|apps|auth|cli|instrumentation|network|node|scheduling)`, "tests that are run, by a regular expression over their names")
	c.Flags().StringVar(&skip, "skip", foreign.Skip, "tests that are not run")
	c.Flags().Uint64Var(&f.Seed, "seed", 1, "of the order of the tests")
	c.Flags().IntVar(&f.Lanes, "lanes", 2, "tests at a time")
	c.Flags().DurationVar(&f.For, "for", 0, "start no test after this time, as 20m (default: until all have run)")
	c.Flags().DurationVar(&f.Limit, "limit", time.Minute, "time of one test")
	return c
}

func (a *app) foreign(cmd *cobra.Command, o cluster.Options, f foreign.Options) error {
	out := recording{
		Profile: "foreign", Seed: f.Seed, Mode: "concurrent", Nodes: o.Nodes, Level: string(o.Level),
		Network: string(o.Network), Started: time.Now().UTC(),
	}
	c, err := cluster.Up(cmd.Context(), o)
	if err != nil {
		return err
	}
	out.Kubernetes = c.Version()
	result, err := foreign.Run(cmd.Context(), c, f)
	err = errors.Join(err, c.Down())
	out.Ended, out.Planned, out.Done, out.Unexpected = time.Now().UTC(), result.Chosen, result.Done, result.Done-result.Passed
	var counting error
	out.Lines, out.Events, counting = countLog(c.AuditLog())
	if err = errors.Join(err, counting); err != nil {
		out.Error = err.Error()
	}
	err = errors.Join(err, writeRecording(filepath.Join(o.Dir, recordingFile), out))
	if a.output == "json" {
		return errors.Join(err, json.NewEncoder(a.stdout).Encode(result))
	}
	fmt.Fprintf(a.stdout, "%d of %d tests run, %d of them passed\n", result.Done, result.Chosen, result.Passed)
	return err
}

// countLog counts the lines of an audit log and the requests in it: each begins with one line.
func countLog(path string) (lines, requests int, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	r := bufio.NewReaderSize(f, 1<<20)
	for begins := true; ; {
		part, err := r.ReadSlice('\n')
		if begins && bytes.Contains(part, []byte(`"stage":"RequestReceived"`)) {
			requests++
		}
		begins = err == nil // else the rest of a long line follows
		switch {
		case err == nil:
			lines++
		case errors.Is(err, io.EOF):
			return lines, requests, nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return lines, requests, err
		}
	}
}
