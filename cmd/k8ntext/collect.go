package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"k8ntext/collect"
)

// collectFlags are the flags of collect.
type collectFlags struct {
	file     string
	from     string
	webhook  string
	cert     string
	key      string
	clientCA string
	maxBody  string
	maxSize  string
	length   time.Duration
	stall    time.Duration
	once     bool
	mask     bool
}

func (a *app) collectCommand() *cobra.Command {
	var f collectFlags
	c := &cobra.Command{
		Use:   "collect [AUDITLOG] -o FILE",
		Short: "Gather a corpus from a running cluster: follow an audit log, or receive the audit webhook",
		Long: `Follows an audit log through its rotations (renamed, copied and truncated,
compressed), or receives the batches of the API server's audit webhook, and writes
their lines to FILE: JSON lines, zstd. Ends with Ctrl-C, after --for, or with --once
when everything is read that is there.

Started again with the same FILE it goes on where it was: every line of a followed
log is written once, whatever ended the collector, as long as rotation has not
deleted it. A webhook batch is answered 200 when it is on disk. FILE.position is
part of this; keep it with FILE until the collection is over.

--mask removes secrets before a line is written. The names of machines can only be
masked when all lines are known: until the end the file is called FILE.part.`,
		Example: `  k8ntext collect /var/log/kubernetes/audit.log -o mine.jsonl.zst
  k8ntext collect /var/log/kubernetes/audit.log -o mine.jsonl.zst --from oldest --mask --for 8h --max-size 200MB
  k8ntext collect --webhook :9443 --tls-cert tls.crt --tls-key tls.key --client-ca ca.crt -o mine.jsonl.zst`,
		Args: argsError(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case f.file == "":
				return usagef("collect needs a file to write: -o FILE")
			case f.webhook == "" && len(args) == 0:
				return usagef("collect needs an audit log, or an address for the webhook: usage: %s", cmd.UseLine())
			case f.webhook != "" && (len(args) > 0 || f.once || f.from != ""):
				return usagef("--webhook receives: it goes with no audit log, no --from and no --once")
			case f.from != "" && f.from != string(collect.FromOldest) && f.from != string(collect.FromEnd):
				return usagef("--from %q: use oldest or end", f.from)
			case (f.cert == "") != (f.key == "") || f.clientCA != "" && f.cert == "":
				return usagef("--tls-cert and --tls-key are needed together, and with --client-ca")
			}
			maxSize, err := parseSize("--max-size", f.maxSize)
			if err != nil {
				return err
			}
			maxBody, err := parseSize("--max-body", f.maxBody)
			if err != nil {
				return err
			}
			return a.collect(cmd.Context(), args, &f, maxSize, maxBody)
		},
	}
	fl := c.Flags()
	// This hides the output format: the command makes files, and -o says where, as everywhere.
	fl.StringVarP(&f.file, "output", "o", "", "file to write, for example mine.jsonl.zst")
	fl.StringVar(&f.from, "from", "", "where a first collection begins: oldest (rotated files too) or end (only what comes); none: at the log's first line")
	fl.StringVar(&f.webhook, "webhook", "", "receive the audit webhook on this address, for example :9443")
	fl.StringVar(&f.cert, "tls-cert", "", "certificate of the webhook's server, PEM")
	fl.StringVar(&f.key, "tls-key", "", "its key, PEM")
	fl.StringVar(&f.clientCA, "client-ca", "", "accept only senders with a certificate of this authority, PEM")
	fl.StringVar(&f.maxBody, "max-body", "64MB", "largest webhook batch")
	fl.StringVar(&f.maxSize, "max-size", "0", "begin a further file, FILE.2, at this size (compressed); 0: never")
	fl.DurationVar(&f.length, "for", 0, "how long to collect; 0: until it is interrupted")
	fl.DurationVar(&f.stall, "stall", 5*time.Minute, "say so when there is no new line for this long")
	fl.BoolVar(&f.once, "once", false, "end when everything is read that is there")
	fl.BoolVar(&f.mask, "mask", false, "mask secrets, tokens, keys and machines' names")
	return c
}

// parseSize reads a number of bytes such as 64MB.
func parseSize(flag, text string) (int64, error) {
	var n int64
	var unit string
	_, err := fmt.Sscanf(text+" .", "%d%s", &n, &unit)
	factor, ok := map[string]int64{".": 1, "B": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9, "KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30}[strings.ToUpper(unit)]
	if err != nil || !ok || n < 0 || n > 1<<40 {
		return 0, usagef("%s %q: use a number of bytes, or one with KB, MB or GB", flag, text)
	}
	return n * factor, nil
}

func (a *app) collect(ctx context.Context, args []string, f *collectFlags, maxSize, maxBody int64) (err error) {
	interrupted := ctx
	if f.length > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, f.length)
		defer cancel()
	}
	source := "webhook"
	if len(args) == 1 {
		path, err := filepath.Abs(args[0])
		if err != nil {
			return fmt.Errorf("collect: %w", err)
		}
		source = "log " + path
	}
	p := a.newProgress()
	out, err := collect.OpenOutput(f.file, source, collect.OutputOptions{
		Mask: f.mask, MaxSize: maxSize, Remark: func(kind, detail string) {
			if !a.quiet {
				p.note("k8ntext: %s: %s", kind, printable(detail))
			}
		},
	})
	if err != nil {
		return err
	}

	// The status must not outlive the work, nor hold it up.
	showing, hide := context.WithCancel(ctx)
	var status errgroup.Group
	status.Go(func() error {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-showing.Done():
				return nil
			case <-tick.C:
				p.show("%s", collectStatus(out.Stats()))
			}
		}
	})
	if len(args) == 1 {
		err = collect.Follow(ctx, args[0], out, collect.FollowOptions{Start: collect.Start(f.from), Once: f.once, Stall: f.stall})
	} else {
		err = a.receive(ctx, out, f, maxBody)
	}
	hide()
	err = errors.Join(err, status.Wait(), out.Close())
	p.done()
	s := out.Stats()
	if !a.quiet {
		fmt.Fprintf(a.stderr, "k8ntext: %s\n", collectSummary(s))
	}
	switch {
	case err != nil:
		return err
	case f.length > 0 && interrupted.Err() != nil:
		return fmt.Errorf("interrupted before --for had passed; what came is kept: %w", interrupted.Err())
	case f.once && s.Lines == 0 && !s.Resuming:
		return fmt.Errorf("nothing to collect in %s: is it the audit log (--audit-log-path of the API server)?", printable(args[0]))
	}
	for _, name := range s.Written {
		fmt.Fprintln(a.stdout, printable(name))
	}
	return nil
}

func collectStatus(s collect.Stats) string {
	age := "none yet"
	if !s.Last.IsZero() {
		age = time.Since(s.Last).Round(time.Second).String() + " ago"
	}
	return fmt.Sprintf("%d lines, %.1f MB, the last %s", s.Lines, float64(s.Bytes)/1e6, age)
}

func collectSummary(s collect.Stats) string {
	text := fmt.Sprintf("%d lines collected, %.1f MB before compression", s.Lines, float64(s.Bytes)/1e6)
	if s.Resuming {
		text += ", going on from an earlier run"
	}
	for _, r := range s.Remarks {
		text += fmt.Sprintf("; %d %s", r.Count, r.Kind)
	}
	return text
}

// receive serves the webhook until the context ends, and answers what was begun.
func (a *app) receive(ctx context.Context, out *collect.Output, f *collectFlags, maxBody int64) error {
	fail := func(err error) error { return fmt.Errorf("receive the webhook on %s: %w", f.webhook, err) }
	listener, err := net.Listen("tcp", f.webhook)
	if err != nil {
		return fail(err)
	}
	hook := collect.NewWebhook(out, collect.WebhookOptions{MaxBody: maxBody})
	server := &http.Server{Handler: hook, ErrorLog: hook.ErrorLog(), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 2 * time.Minute, IdleTimeout: 5 * time.Minute, MaxHeaderBytes: 64 << 10}
	scheme := "https"
	if f.cert == "" {
		scheme = "http"
		if host, _, _ := net.SplitHostPort(listener.Addr().String()); !a.quiet && !net.ParseIP(host).IsLoopback() {
			fmt.Fprintln(a.stderr, "k8ntext: plain HTTP: whoever can listen on the way reads the secrets in the log; --tls-cert and --tls-key mend that")
		}
	} else if server.TLSConfig, err = collect.ServerTLS(f.cert, f.key, f.clientCA); err != nil {
		listener.Close()
		return fail(err)
	}
	if !a.quiet {
		fmt.Fprintf(a.stderr, "k8ntext: receiving on %s://%s/\n", scheme, listener.Addr())
	}

	// The server ends first, so that no batch is left without the writer that answers it.
	writing, stopWriting := context.WithCancel(context.Background())
	defer stopWriting()
	group, broken := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer stopWriting()
		<-broken.Done()
		grace, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := server.Shutdown(grace); err != nil {
			return server.Close()
		}
		return nil
	})
	group.Go(func() error {
		var err error
		if f.cert == "" {
			err = server.Serve(listener)
		} else {
			err = server.ServeTLS(listener, "", "")
		}
		if errors.Is(err, http.ErrServerClosed) {
			return nil
		}
		return fail(err)
	})
	group.Go(func() error { return hook.Run(writing) })
	return group.Wait()
}
