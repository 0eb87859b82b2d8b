// Command alerts counts how often the conditions of alert rules hold in labelled logs: for single events, as a
// line-by-line monitor would alert, and for the contexts and commands to which these events belong.
//
//	go run ./examples/alerts busy-dev
//	go run ./examples/alerts -where 'operation == "a01049"' busy-dev
//
// A rule is a file NAME.query with an expression of the query language (k8ntext query --help), asked of every
// event as if it were alone. With -where, only contexts that this expression finds are looked at. docs/stories.md
// shows tables made with it, and says where the rules come from.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"

	"k8ntext/dataset"
	"k8ntext/dataset/audit"
	"k8ntext/query"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintf(os.Stderr, "alerts: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("alerts", flag.ContinueOnError)
	flags.SetOutput(stderr)
	folder := flags.String("rules", filepath.Join("docs", "stories", "rules"), "folder with a file NAME.query for each rule")
	where := flags.String("where", "", "look only at the contexts that this expression finds")
	flags.Usage = func() {
		fmt.Fprintln(stderr, "usage: alerts [-rules FOLDER] [-where EXPRESSION] CORPUS...")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() == 0 {
		return errors.New("which logs? Name a labelled corpus or more (k8ntext corpus list)")
	}
	rules, err := readRules(*folder)
	if err != nil {
		return err
	}
	asked, err := query.Compile(*where, query.Options{})
	if err != nil {
		return fmt.Errorf("-where: %w", err)
	}
	for i, name := range flags.Args() {
		corpus, err := dataset.Load(ctx, name, nil)
		if err != nil {
			return err
		}
		found, err := count(corpus, asked, rules)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if i > 0 {
			fmt.Fprintln(stdout)
		}
		if err := found.print(stdout, name, rules); err != nil {
			return err
		}
	}
	return nil
}

// rule is a condition on one event.
type rule struct {
	name  string
	query *query.Query
}

// readRules compiles the rules of a folder, by name.
func readRules(folder string) ([]rule, error) {
	files, err := filepath.Glob(filepath.Join(folder, "*.query"))
	if err != nil {
		return nil, fmt.Errorf("read rules: %w", err)
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("read rules: no file NAME.query in %s", folder)
	}
	var rules []rule
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("read rules: %w", err)
		}
		q, err := query.Compile(string(text), query.Options{})
		if err != nil {
			return nil, fmt.Errorf("read rules: %s: %w", file, err)
		}
		rules = append(rules, rule{strings.TrimSuffix(filepath.Base(file), ".query"), q})
	}
	return rules, nil
}

// tally is what one rule, or all together, found.
type tally struct {
	events   int
	contexts map[string]bool // by id
	commands map[string]bool // by operation; a context without one stands for itself
}

func newTally() tally { return tally{contexts: map[string]bool{}, commands: map[string]bool{}} }

func (t *tally) add(c *query.Context) {
	t.events++
	t.contexts[c.ID] = true
	t.commands[cmp.Or(c.Operation, c.ID)] = true
}

// result is what the rules found in a log.
type result struct {
	byRule []tally
	any    tally // of events that fit some rule
	alerts int   // over all rules: an event that fits two makes two
	lines  int   // raw lines of all that were asked
	all    tally // of all that were asked
}

// count asks the rules of every event of the contexts that the expression finds.
func count(corpus *dataset.Corpus, where *query.Query, rules []rule) (result, error) {
	contexts, err := query.Contexts(corpus)
	if err != nil {
		return result{}, err
	}
	r := result{any: newTally(), all: newTally()}
	for range rules {
		r.byRule = append(r.byRule, newTally())
	}
	for i := range contexts {
		ok, err := where.Match(&contexts[i])
		if err != nil {
			return result{}, fmt.Errorf("-where: %w", err)
		}
		if !ok {
			continue
		}
		for _, e := range contexts[i].Events {
			r.lines += len(e.Stages)
			r.all.add(&contexts[i])
			alone := query.Context{ID: contexts[i].ID, Trigger: e, Events: []*audit.Event{e}}
			fits := false
			for n, rule := range rules {
				ok, err := rule.query.Match(&alone)
				if err != nil {
					return result{}, fmt.Errorf("rule %s: %w", rule.name, err)
				}
				if ok {
					r.byRule[n].add(&contexts[i])
					r.alerts++
					fits = true
				}
			}
			if fits {
				r.any.add(&contexts[i])
			}
		}
	}
	return r, nil
}

// print writes a Markdown table of the rules that held at least once, the most frequent first.
func (r result) print(w io.Writer, name string, rules []rule) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %d raw lines, %d events, %d contexts, %d commands\n", name, r.lines, r.all.events, len(r.all.contexts), len(r.all.commands))
	fmt.Fprintf(&b, "%d alerts of %d rules, on %d events of %d contexts, of %d commands\n\n",
		r.alerts, len(rules), r.any.events, len(r.any.contexts), len(r.any.commands))
	b.WriteString("| rule | alerts | contexts | commands |\n|---|---|---|---|\n")
	order := make([]int, len(rules))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(x, y int) int { return cmp.Compare(r.byRule[y].events, r.byRule[x].events) })
	for _, i := range order {
		if t := r.byRule[i]; t.events > 0 {
			fmt.Fprintf(&b, "| %s | %d | %d | %d |\n", rules[i].name, t.events, len(t.contexts), len(t.commands))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
