package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"k8ntext/contexts"
	"k8ntext/contexts/page"
	"k8ntext/dataset/audit"
	"k8ntext/dataset/label"
	"k8ntext/plots"
)

// contextsHTMLCommand writes contexts as a page.
func (a *app) contextsHTMLCommand() *cobra.Command {
	var (
		r    rebuilding
		f    filters
		path string
	)
	c := &cobra.Command{
		Use:   "html FILE...",
		Short: "Write the contexts of a log as one page for a browser",
		Long: `Rebuilds the contexts of a log, or of several files of one log together (or of a
corpus, by its name), and writes them as one self-contained page: who did what over
time, a list to search, the graph of each context, and the lines of the log beside the
actions that they are. The page needs no network and works from a file. Bodies, queries
of URIs, annotations and addresses are never in it.`,
		Example: `  k8ntext contexts html audit.log -o page.html
  k8ntext contexts html --user alice --since 2026-11-22T05:00:00Z audit.log -o alice.html`,
		Args:              argsError(cobra.MinimumNArgs(1)),
		ValidArgsFunction: completeLogs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if path == "" {
				return usagef("contexts html needs a file to write: -o page.html")
			}
			if err := f.check(); err != nil {
				return err
			}
			return a.writePage(cmd, &r, &f, args, path)
		},
	}
	r.add(c)
	f.add(c)
	// This hides the output format: the command makes a file, and -o says where, as everywhere.
	c.Flags().StringVarP(&path, "output", "o", "", "file to write")
	return c
}

// gathered are the contexts of a log that filters keep, and what may be shown of their events.
type gathered struct {
	space    *label.Space
	contexts []*contexts.Context
	events   map[int]*page.Event
}

// gather rebuilds contexts and keeps of their events what may be shown.
func (a *app) gather(cmd *cobra.Command, r *rebuilding, names []string, keep func(*contexts.Context, *label.Space) bool) (*gathered, error) {
	events := make(map[int]*page.Event)
	var parts []*contexts.Context
	own := label.Default()
	_, space, err := a.rebuild(cmd, r, names, func(n int, e *audit.Event) {
		x := page.Extract(e, own)
		events[n] = &x
	}, func(c *contexts.Context) error {
		parts = append(parts, c)
		return nil
	})
	if err != nil {
		return nil, err
	}
	g := &gathered{space: space, events: events}
	for _, c := range contexts.Whole(parts) {
		if keep(c, space) {
			g.contexts = append(g.contexts, c)
		}
	}
	return g, nil
}

func (a *app) writePage(cmd *cobra.Command, r *rebuilding, f *filters, names []string, path string) error {
	g, err := a.gather(cmd, r, names, f.keep)
	if err != nil {
		return err
	}
	if len(g.contexts) == 0 {
		return fmt.Errorf("no context to show: give fewer filters, or --background for what nobody asked for")
	}
	return writeTo(path, func(out *bufio.Writer) error {
		return page.HTML(out, page.Log{
			Name: strings.Join(names, " "), Level: r.level, Space: g.space, Contexts: g.contexts,
			Event: func(n int) *page.Event { return g.events[n] },
		})
	})
}

// writeTo writes a file.
func writeTo(path string, write func(*bufio.Writer) error) error {
	file, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	out := bufio.NewWriter(file)
	err = write(out)
	if flushErr := out.Flush(); err == nil {
		err = flushErr
	}
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// contextsDrawCommand draws one context.
func (a *app) contextsDrawCommand() *cobra.Command {
	var (
		r        rebuilding
		path     string
		timeline bool
	)
	c := &cobra.Command{
		Use:   "draw ID FILE...",
		Short: "Draw one context as SVG, PNG or PDF",
		Long: `Draws one context: who acted on which objects of which namespaces, the start of the
context with a thick arrow; or, with --timeline, when. The ending of the file tells the
format.`,
		Example: `  k8ntext contexts draw c1042 audit.log -o c1042.svg
  k8ntext contexts draw --timeline c1042 audit.log -o c1042.png`,
		Args: argsError(cobra.MinimumNArgs(2)),
		ValidArgsFunction: func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
			if len(args) == 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return completeLogs(cmd, args, word)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			at := strings.LastIndexByte(path, '.')
			if at < 0 {
				return usagef("contexts draw needs a file to write that ends in .svg, .png or .pdf: -o %s.svg", printable(args[0]))
			}
			g, err := a.gather(cmd, &r, args[1:], func(c *contexts.Context, _ *label.Space) bool { return c.ID == args[0] })
			if err != nil {
				return err
			}
			if len(g.contexts) == 0 {
				return fmt.Errorf("the log has no context %q at level %s: see k8ntext contexts show", printable(args[0]), r.level)
			}
			x := g.contexts[0]
			draw := plots.ContextGraph
			if timeline {
				draw = plots.ContextTimeline
			}
			figure, err := draw("context", "Context "+x.ID, "", page.Drawn(x, func(n int) *page.Event { return g.events[n] }))
			if err != nil {
				return err
			}
			return writeTo(path, func(out *bufio.Writer) error { return figure.Write(out, path[at+1:]) })
		},
	}
	r.add(c)
	c.Flags().BoolVar(&timeline, "timeline", false, "draw when, not on what")
	c.Flags().StringVarP(&path, "output", "o", "", "file to write: .svg, .png or .pdf")
	return c
}
