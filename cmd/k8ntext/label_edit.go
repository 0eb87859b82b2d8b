package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"k8ntext/dataset/audit"
	"k8ntext/dataset/label"
	"k8ntext/dataset/labelling"
)

func (a *app) labelEditCommand(flags *labelFlags) *cobra.Command {
	var file, journal, format, answers string
	c := &cobra.Command{
		Use:   "edit LOG -o FILE",
		Short: "Label a log by hand",
		Long: `Asks for the label of each event that the log does not tell and no control-plane
rule decides: the kind of action that caused it. Shows the event between its
neighbours and proposes labels:

  Enter, a      the label of the last answer
  b             the event's own label
  nc nw np nd   that of the next create, watch, patch/update, delete (20 events)
  ec ew ep ed   create, watch, patch/update, delete of the same object
  m             that of the next thing a user asks for (40 events)
  NUMBER        a label by its number, or in words
  /TEXT         labels with these words
  s             skip: no label     u  take the last answer back     q  end

Each answer is on disk, in FILE.journal, before the next question; called again the
session goes on there. FILE is written at the end and on q.`,
		Example: `  k8ntext label edit audit.jsonl -o labelled.jsonl
  k8ntext label edit audit.jsonl -o labelled.jsonl --format k8ntext
  k8ntext label edit audit.jsonl -o labelled.jsonl --answers answers.txt`,
		Args: exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if file == "" {
				return usagef("label edit needs a file to write: -o FILE")
			}
			if f := labelling.Format(format); f != labelling.Reference && f != labelling.Ours {
				return usagef("--format %q: use %s or %s", format, labelling.Reference, labelling.Ours)
			}
			if journal == "" {
				journal = file + ".journal"
			}
			space, err := flags.load()
			if err != nil {
				return err
			}
			events, err := a.readEvents(cmd, args[0])
			if err != nil {
				return err
			}
			s := labelling.New(events, space)
			resumed, err := s.Keep(journal)
			if err != nil {
				return err
			}
			defer s.Close()
			if resumed > 0 && !a.quiet {
				fmt.Fprintf(a.stderr, "k8ntext: %d answers taken up from %s\n", resumed, printable(journal))
			}
			in := a.stdin
			if answers != "" {
				f, err := os.Open(answers)
				if err != nil {
					return fmt.Errorf("answers: %w", err)
				}
				defer f.Close()
				in = f
			}
			d := dialogue{s: s, out: a.stdout, columns: 80, emphasis: func(s string) string { return s }}
			if f, ok := a.stdout.(*os.File); ok && answers == "" && term.IsTerminal(int(f.Fd())) {
				d.terminal = true
				d.emphasis = func(s string) string { return "\x1b[1m" + s + "\x1b[0m" }
				if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 20 {
					d.columns = width
				}
			}
			if err := d.run(cmd.Context(), in); err != nil {
				return fmt.Errorf("%w (the answers so far are in %s)", err, printable(journal))
			}
			return a.writeLabelled(s, file, labelling.Format(format))
		},
	}
	// This hides the output format: the command makes files, and -o says where, as everywhere.
	c.Flags().StringVarP(&file, "output", "o", "", "file to write the labelled log to")
	c.Flags().StringVar(&journal, "journal", "", "file that keeps the answers (default FILE.journal)")
	c.Flags().StringVar(&format, "format", string(labelling.Reference), "of the labelled log: reference (a numeric label, -1 for none) or k8ntext (as predict writes)")
	c.Flags().StringVar(&answers, "answers", "", "take the answers from a file, one a line, instead of asking")
	return c
}

// readEvents reads a whole log; labelling by hand is for logs that fit in memory.
func (a *app) readEvents(cmd *cobra.Command, path string) ([]*audit.Event, error) {
	r, err := audit.Open(cmd.Context(), audit.Options{KeepRaw: true}, path)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	var events []*audit.Event
	for {
		rec, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		if rec.Problem != nil {
			a.remark(rec.Problem.Error())
			continue
		}
		events = append(events, rec.Event)
	}
	a.reportSkipped(r.Summary())
	if len(events) == 0 {
		return nil, errors.New("no audit event in the input: k8ntext reads audit.k8s.io JSON, as kube-apiserver --audit-log-path writes it")
	}
	return events, nil
}

func (a *app) writeLabelled(s *labelling.Session, file string, format labelling.Format) (err error) {
	f, err := os.CreateTemp(filepath.Dir(file), ".label-*")
	if err != nil {
		return fmt.Errorf("write labelled log: %w", err)
	}
	defer os.Remove(f.Name()) // fails after the rename, as it should
	foreign, err := s.Write(f, format)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), file); err != nil {
		return fmt.Errorf("write labelled log: %w", err)
	}
	if foreign > 0 && !a.quiet {
		fmt.Fprintf(a.stderr, "k8ntext: %d labels are not in the paper's space and became %d: --format k8ntext keeps them\n", foreign, label.Unknown)
	}
	p := s.Progress()
	_, err = fmt.Fprintf(a.stdout, "%s: %d events, %d by rule, %d given, %d of %d answered\n", printable(file), p.Events, p.ByRule, p.Given, p.Answered, p.Asked)
	return err
}

// dialogue asks for one event after the other.
type dialogue struct {
	s        *labelling.Session
	out      io.Writer
	terminal bool
	columns  int
	emphasis func(string) string
}

// run ends when every event has an answer, on q, and at the end of the input.
func (d *dialogue) run(ctx context.Context, in io.Reader) error {
	// Reading a line cannot be interrupted; a signal must end the session all the same.
	lines := make(chan string)
	ended := make(chan error, 1)
	go func() {
		r := bufio.NewScanner(in)
		for r.Scan() {
			select {
			case lines <- r.Text():
			case <-ctx.Done():
				return
			}
		}
		ended <- r.Err()
	}()
	show := true
	for {
		if _, open := d.s.Current(); !open && !d.terminal {
			return nil
		}
		if show {
			if d.terminal {
				fmt.Fprint(d.out, "\x1b[2J\x1b[H")
			}
			fmt.Fprint(d.out, d.s.Screen(d.columns, d.emphasis))
		}
		fmt.Fprint(d.out, "label (? for help): ")
		select {
		case <-ctx.Done():
			fmt.Fprintln(d.out)
			return ctx.Err()
		case err := <-ended:
			fmt.Fprintln(d.out)
			return err
		case line := <-lines:
			if !d.terminal {
				fmt.Fprintln(d.out, printable(line))
			}
			said, err := d.s.Answer(line)
			var lost *labelling.JournalError
			switch {
			case errors.Is(err, labelling.ErrQuit):
				return nil
			case errors.As(err, &lost):
				return err
			case err != nil:
				said = err.Error()
			}
			// What was asked for stays on the screen, an answer brings the next event.
			text := strings.TrimSpace(line)
			show = err == nil && text != "?" && !strings.HasPrefix(text, "/")
			if said != "" && (!show || !d.terminal) {
				for part := range strings.SplitSeq(said, "\n") {
					fmt.Fprintln(d.out, printable(part))
				}
			}
		}
	}
}
