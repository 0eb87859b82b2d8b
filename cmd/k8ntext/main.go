// Command k8ntext makes Kubernetes audit logs understandable: it labels every event with the kind of
// action that caused it, and measures how well it does so.
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

	"k8ntext/experiments"
)

// Exit codes, the same for every command.
const (
	exitOK          = 0   // done; skipped lines, if any, are counted on stderr
	exitFailure     = 1   // the command could not do its work
	exitUsage       = 2   // wrong flags or arguments
	exitRetryable   = 3   // the same command may succeed later
	exitInterrupted = 130 // stopped by a signal
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is the whole program as a function, so that tests can call it.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	a := &app{stdin: stdin, stdout: stdout, stderr: stderr}
	root := a.rootCommand()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	fmt.Fprintf(stderr, "k8ntext: %v\n", err)
	return exitCode(ctx, err)
}

// app is what every command needs of the outside world.
type app struct {
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
	output string // -o: text or json
	quiet  bool   // --quiet: no progress, no remarks

	remarks int // made so far
}

func (a *app) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "k8ntext",
		Short: "Make Kubernetes audit logs understandable",
		Long: `k8ntext reads Kubernetes audit logs and tells for every event which kind of
action caused it. It is an independent reimplementation of the system of the
paper "Sharpening Kubernetes Audit Logs with Context Awareness".`,
		Example: `  k8ntext predict audit.log > labelled.jsonl
  k8ntext label decode 70048
  k8ntext evaluate --corpus sequential-1.34 --protocol blocked`,
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
	root.PersistentFlags().BoolVar(&a.quiet, "quiet", false, "no progress and no remarks on stderr")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return usagef("%v (see %s --help)", err, cmd.CommandPath()) })
	root.AddCommand(a.commands()...)
	requireSubcommands(root)
	return root
}

// requireSubcommands makes a command that only groups others refuse unknown words with a usage error.
func requireSubcommands(c *cobra.Command) {
	for _, s := range c.Commands() {
		requireSubcommands(s)
	}
	if c.HasSubCommands() && c.RunE == nil && c.Run == nil {
		c.RunE = func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("unknown command %q for %q (see %s --help)", args[0], cmd.CommandPath(), cmd.CommandPath())
			}
			return cmd.Help()
		}
		c.Args = cobra.ArbitraryArgs
	}
}

// usageError is wrong use of the command line: exit code 2.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// exactArgs, like cobra's, but as a usage error that shows how the command is called.
func exactArgs(n int) cobra.PositionalArgs { return argsError(cobra.ExactArgs(n)) }

func argsError(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return usagef("%v: usage: %s", err, cmd.UseLine())
		}
		return nil
	}
}

func exitCode(ctx context.Context, err error) int {
	var usage usageError
	switch {
	case errors.As(err, &usage):
		return exitUsage
	case errors.Is(err, context.Canceled) && ctx.Err() != nil, errors.Is(err, experiments.ErrDrained):
		return exitInterrupted
	case experiments.Retryable(err):
		return exitRetryable
	}
	return exitFailure
}
