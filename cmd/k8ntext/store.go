package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"k8ntext/contexts"
	"k8ntext/contexts/store"
	"k8ntext/dataset"
	"k8ntext/dataset/audit"
	"k8ntext/dataset/packed"
)

func (a *app) storeCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "store",
		Short: "Keep a log in a small file with its contexts, and get every line back",
		Long: `A store is a small file that gives back every raw line of a log as it was, with the
log's contexts. Every command that reads logs reads it as it is, without unpacking it
to disk. Damage is found by checksums; what is intact can be read.

A stripped log is smaller still, and is not the log: of what persons and CI accounts
started it keeps who did what to what, with which result, to the second; what the
control plane does of itself is counted and left out, as are bodies, addresses and
user agents.`,
		Example: `  k8ntext store pack audit.log audit.k8nt
  k8ntext store info audit.k8nt
  k8ntext store context audit.k8nt c1042
  k8ntext contexts show audit.k8nt
  k8ntext store unpack audit.k8nt audit.log
  k8ntext store pack --stripped audit.log stripped.k8nt
  k8ntext query 'username == "alice"' stripped.k8nt`,
	}
	c.AddCommand(a.storePackCommand(), a.storeUnpackCommand(), a.storeInfoCommand(), a.storeVerifyCommand(), a.storeContextCommand())
	return c
}

func (a *app) storePackCommand() *cobra.Command {
	var (
		r        rebuilding
		stripped bool
		without  bool
	)
	c := &cobra.Command{
		Use:   "pack LOG FILE",
		Short: "Pack a log and its contexts",
		Long: `Packs a log: an audit log, plain, gzip or zstd, or a corpus by its name. Compressed
logs are packed as what is in them. The log is read twice, for its lines and for its
contexts; FILE appears when it is complete.`,
		Example: `  k8ntext store pack audit.log audit.k8nt
  k8ntext store pack --stripped sequential-1.34 stripped.k8nt
  k8ntext store pack --no-contexts anything.txt anything.k8nt`,
		Args:              exactArgs(2),
		ValidArgsFunction: completeLogs,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case args[0] == "-":
				return usagef("store pack reads the log twice, so it cannot come from standard input: write it to a file first")
			case stripped && without:
				return usagef("--stripped keeps the events of contexts: it does not go with --no-contexts")
			}
			return a.pack(cmd, &r, args[0], args[1], stripped, without)
		},
	}
	r.add(c)
	c.Flags().BoolVar(&stripped, "stripped", false, "the stripped form: not the log, only who did what to what")
	c.Flags().BoolVar(&without, "no-contexts", false, "only the lines")
	return c
}

// rawLog opens the raw lines of a log or of a corpus.
func rawLog(ctx context.Context, name string) (io.ReadCloser, int64, error) {
	if slices.Contains(dataset.Names(), name) {
		r, w := io.Pipe()
		go func() { w.CloseWithError(dataset.Export(ctx, name, w)) }()
		return r, 0, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, 0, fmt.Errorf("audit log: %w", err)
	}
	in, err := audit.Plain(f)
	if err != nil {
		return nil, 0, errors.Join(fmt.Errorf("audit log %s: %w", name, err), f.Close())
	}
	size := int64(0)
	if info, err := f.Stat(); err == nil {
		size = info.Size()
	}
	return &plainLog{in, f}, size, nil
}

type plainLog struct {
	io.ReadCloser
	file io.Closer
}

func (l *plainLog) Close() error { return errors.Join(l.ReadCloser.Close(), l.file.Close()) }

func (a *app) pack(cmd *cobra.Command, r *rebuilding, log, file string, stripped, without bool) (err error) {
	out, err := os.CreateTemp(filepath.Dir(file), "."+strings.TrimPrefix(filepath.Base(file), ".")+".*")
	if err != nil {
		return fmt.Errorf("pack %s: %w", log, err)
	}
	defer func() {
		if err != nil {
			out.Close()
			os.Remove(out.Name())
		}
	}()
	buffered := bufio.NewWriterSize(out, 1<<20)
	var o packed.Options
	if stripped {
		o.BlockLines = store.StrippedBlock
	}
	w := packed.NewWriter(buffered, o)
	var raw int64
	if !stripped {
		if raw, err = a.packLines(cmd.Context(), w, log); err != nil {
			return fmt.Errorf("pack %s: %w", log, err)
		}
	}
	if !without {
		if err := a.packContexts(cmd, r, w, log, stripped); err != nil {
			return fmt.Errorf("pack %s: %w", log, err)
		}
	}
	if err := errors.Join(w.Close(), buffered.Flush(), out.Sync(), out.Chmod(0o644)); err != nil {
		return fmt.Errorf("pack %s: %w", log, err)
	}
	info, err := out.Stat()
	if err != nil {
		return fmt.Errorf("pack %s: %w", log, err)
	}
	if err := out.Close(); err != nil {
		return fmt.Errorf("pack %s: %w", log, err)
	}
	if err := os.Rename(out.Name(), file); err != nil {
		return fmt.Errorf("pack %s: %w", log, err)
	}
	if !a.quiet && raw > 0 {
		fmt.Fprintf(a.stderr, "k8ntext: %d bytes packed into %d\n", raw, info.Size())
	}
	return nil
}

func (a *app) packLines(ctx context.Context, w *packed.Writer, log string) (int64, error) {
	in, _, err := rawLog(ctx, log)
	if err != nil {
		return 0, err
	}
	defer in.Close()
	p := a.newProgress()
	defer p.done()
	buf := make([]byte, 1<<20)
	var total int64
	for {
		if err := ctx.Err(); err != nil {
			return total, err
		}
		n, err := in.Read(buf)
		if _, err := w.Write(buf[:n]); err != nil {
			return total, err
		}
		total += int64(n)
		p.show("packing: %d MB", total>>20)
		if err == io.EOF {
			return total, nil
		}
		if err != nil {
			return total, err
		}
	}
}

func (a *app) packContexts(cmd *cobra.Command, r *rebuilding, w *packed.Writer, log string, stripped bool) error {
	var light store.Stripped
	var seen func(int, *audit.Event)
	if stripped {
		seen = func(_ int, e *audit.Event) { light.See(e) }
	}
	var parts []*contexts.Context
	sum, space, err := a.rebuild(cmd, r, []string{log}, seen, func(c *contexts.Context) error {
		parts = append(parts, c)
		return nil
	})
	if err != nil {
		return err
	}
	whole := contexts.Whole(parts)
	if stripped {
		d, err := light.Write(w, whole)
		if err == nil && !a.quiet {
			fmt.Fprintf(a.stderr, "k8ntext: %d of %d events kept; %d of the control plane's own contexts left out\n", sum.Events-d.Events, sum.Events, d.Contexts)
		}
		return err
	}
	return store.Write(w, store.Header{Level: r.level, Space: space.Name(), Groups: space.CRDGroups(), Events: sum.Events}, whole)
}

func (a *app) storeUnpackCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "unpack FILE [LOG]",
		Short: "Write the raw lines, to a file or to standard output",
		Long: `Writes the raw lines as they were. Of a damaged store, lines that are lost are left
empty so that the others keep their numbers, and the command fails after the rest.`,
		Example: "  k8ntext store unpack audit.k8nt audit.log\n  k8ntext store unpack audit.k8nt | head -1",
		Args:    argsError(cobra.RangeArgs(1, 2)),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			in, err := os.Open(args[0])
			if err != nil {
				return fmt.Errorf("store: %w", err)
			}
			defer in.Close()
			out := io.Writer(a.stdout)
			if len(args) == 2 && args[1] != "-" {
				f, err := os.Create(args[1])
				if err != nil {
					return fmt.Errorf("unpack %s: %w", args[0], err)
				}
				defer func() {
					if closeErr := f.Close(); err == nil && closeErr != nil {
						err = fmt.Errorf("unpack %s: %w", args[0], closeErr)
					}
				}()
				out = f
			}
			if _, err := io.Copy(out, stopped{cmd.Context(), packed.NewReader(in)}); err != nil {
				return fmt.Errorf("unpack %s: %w", args[0], err)
			}
			return nil
		},
	}
}

// stopped is a reader that ends when the command is interrupted.
type stopped struct {
	ctx context.Context
	r   io.Reader
}

func (s stopped) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	return s.r.Read(p)
}

// openStore opens a store; the function closes it.
func openStore(path string) (*packed.File, func(), error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, fmt.Errorf("store: %w", err)
	}
	info, err := f.Stat()
	if err == nil {
		var p *packed.File
		if p, err = packed.Open(f, info.Size()); err == nil {
			return p, func() { f.Close() }, nil
		}
	}
	f.Close()
	return nil, nil, fmt.Errorf("store %s: %w", path, err)
}

func (a *app) storeInfoCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "info FILE",
		Short:   "Say what is in a store",
		Example: "  k8ntext store info audit.k8nt\n  k8ntext store info -o json audit.k8nt",
		Args:    exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			f, closeFile, err := openStore(args[0])
			if err != nil {
				return err
			}
			defer closeFile()
			size, err := os.Stat(args[0])
			if err != nil {
				return fmt.Errorf("store: %w", err)
			}
			v := struct {
				Lines    int            `json:"lines"`
				Bytes    int64          `json:"bytes"`
				Size     int64          `json:"size"`
				Contexts int            `json:"contexts"`
				Header   *store.Header  `json:"rebuilt,omitzero"`
				Dropped  *store.Dropped `json:"dropped,omitzero"`
			}{Lines: f.Lines(), Bytes: f.Bytes(), Size: size.Size()}
			h, list, err := store.Read(f)
			switch {
			case err == nil:
				v.Contexts, v.Header = len(list), &h
			case !errors.Is(err, store.ErrNone):
				return fmt.Errorf("store %s: %w", args[0], err)
			}
			if v.Dropped, err = store.ReadDropped(f); err != nil {
				return fmt.Errorf("store %s: %w", args[0], err)
			}
			if a.output == "json" {
				return a.writeJSON(v)
			}
			w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
			fmt.Fprintf(w, "raw lines\t%d\nbytes of them\t%d\nsize of the file\t%d\n", v.Lines, v.Bytes, v.Size)
			if v.Header != nil {
				fmt.Fprintf(w, "events\t%d\ncontexts\t%d, rebuilt at level %s\n", v.Header.Events, v.Contexts, printable(v.Header.Level))
			}
			if d := v.Dropped; d != nil {
				fmt.Fprintf(w, "stripped\t%d events of %d contexts of the control plane were left out\n", d.Events, d.Contexts)
			}
			return w.Flush()
		},
	}
}

func (a *app) storeVerifyCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "verify FILE...",
		Short:   "Read stores completely and say which lines are lost, if any",
		Example: "  k8ntext store verify audit.k8nt",
		Args:    argsError(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			bad := 0
			for _, path := range args {
				f, closeFile, err := openStore(path)
				if err != nil {
					return err
				}
				damage := f.Verify()
				closeFile()
				if len(damage) == 0 {
					fmt.Fprintf(a.stdout, "%s: %d lines, all intact\n", printable(path), f.Lines())
					continue
				}
				bad++
				for _, d := range damage {
					fmt.Fprintf(a.stdout, "%s: %v\n", printable(path), d)
				}
			}
			if bad > 0 {
				return fmt.Errorf("%d of %d stores are damaged: store unpack and the other commands read what is intact", bad, len(args))
			}
			return nil
		},
	}
}

func (a *app) storeContextCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "context FILE ID",
		Short: "Write the raw lines of one context",
		Long: `Writes the raw lines in which the events of a context end, in the order of the
events, without reading the rest of the store. Bodies of requests may hold secrets.`,
		Example: "  k8ntext store context audit.k8nt c1042",
		Args:    exactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			f, closeFile, err := openStore(args[0])
			if err != nil {
				return err
			}
			defer closeFile()
			_, list, err := store.Read(f)
			if err != nil {
				return fmt.Errorf("store %s: %w", args[0], err)
			}
			at := slices.IndexFunc(list, func(e store.Entry) bool { return e.ID == args[1] })
			if at < 0 {
				return fmt.Errorf("store %s has no context %q: see k8ntext contexts show", args[0], printable(args[1]))
			}
			out := bufio.NewWriter(a.stdout)
			for _, m := range list[at].Members {
				line, err := f.Line(m.Line - 1)
				if err != nil {
					return errors.Join(fmt.Errorf("store %s: %w", args[0], err), out.Flush())
				}
				out.Write(append(line, '\n'))
			}
			return out.Flush()
		},
	}
}
