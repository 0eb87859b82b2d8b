// Command testbed starts a real Kubernetes control plane as plain processes, lets scripted users work on
// it, and writes labelled audit logs of which the true cause of every event is known.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"k8ntext/testbed/cluster"
)

// Exit codes, the same for every command and the same as those of k8ntext.
const (
	exitOK          = 0
	exitFailure     = 1
	exitUsage       = 2   // wrong flags or arguments
	exitRetryable   = 3   // the same command may succeed later: a full disk, a taken port
	exitInterrupted = 130 // stopped by a signal
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is the whole program as a function, so that tests can call it.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	a := &app{stdout: stdout, stderr: stderr}
	root := a.rootCommand()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	var inner cluster.InnerExit // has reported itself
	if errors.As(err, &inner) {
		return inner.Code
	}
	fmt.Fprintf(stderr, "testbed: %v\n", err)
	return exitCode(ctx, err)
}

// app is what every command needs of the outside world.
type app struct {
	stdout io.Writer
	stderr io.Writer
	output string // -o: text or json
	quiet  bool   // --quiet: no progress
}

// commands lists the verbs. Each has a file of its own.
func (a *app) commands() []*cobra.Command {
	return []*cobra.Command{
		a.buildCommand(),
		a.planCommand(),
		a.runCommand(),
		a.foreignCommand(),
		a.operatorCommand(),
		a.coverageCommand(),
		a.upCommand(),
		a.downCommand(),
		a.labelCommand(),
		a.auditCommand(),
	}
}

func (a *app) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "testbed",
		Short: "Record labelled audit logs on a real Kubernetes control plane",
		Long: `testbed builds etcd, the control plane and nodes of Kubernetes from Go modules,
starts them on loopback only, and records audit logs of which the cause of every
event is known. The containers are not real; everything that writes the log is.`,
		Example: `  testbed build --minor 1.34
  testbed up --minor 1.34 --nodes 3`,
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRunE: func(cmd *cobra.Command, args []string) error {
			if a.output != "text" && a.output != "json" {
				return usagef("unknown output format %q: use -o text or -o json", a.output)
			}
			return nil
		},
	}
	root.PersistentFlags().StringVarP(&a.output, "output", "o", "text", "output format: text or json")
	root.PersistentFlags().BoolVar(&a.quiet, "quiet", false, "no progress on stderr")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return usagef("%v (see %s --help)", err, cmd.CommandPath()) })
	root.AddCommand(a.commands()...)
	return root
}

// note prints one line of progress on stderr.
func (a *app) note(format string, args ...any) {
	if !a.quiet {
		fmt.Fprintf(a.stderr, format+"\n", args...)
	}
}

// usageError is wrong use of the command line: exit code 2.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

func exitCode(ctx context.Context, err error) int {
	var usage usageError
	switch {
	case errors.As(err, &usage):
		return exitUsage
	case errors.Is(err, context.Canceled) && ctx.Err() != nil:
		return exitInterrupted
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.EADDRINUSE):
		return exitRetryable
	}
	return exitFailure
}
