package main

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"k8ntext/contexts"
)

func (a *app) summaryCommand() *cobra.Command {
	var (
		r    rebuilding
		most int
	)
	c := &cobra.Command{
		Use:   "summary FILE...",
		Short: "A page about a log: who did what, where, what failed, what was big",
		Long: `Rebuilds the contexts of a log, or of several files of one log together (or of a
corpus, by its name), and counts the actions of persons and CI accounts: by who, by
what and by namespace, those that failed, and the biggest; and in one line what
nobody asked for. See k8ntext contexts show for the actions themselves.`,
		Example: `  k8ntext summary audit.log
  k8ntext summary /var/log/kubernetes/audit*.log.gz -o json
  k8ntext summary --most 20 sequential-1.34`,
		Args:              argsError(cobra.MinimumNArgs(1)),
		ValidArgsFunction: completeLogs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if most < 1 {
				return usagef("--most %d: write 1 or more", most)
			}
			s := newSummary()
			sum, _, err := a.rebuild(cmd, &r, args, nil, func(c *contexts.Context) error {
				s.add(c)
				return nil
			})
			if err != nil {
				return err
			}
			page := s.page(sum, most)
			if a.output == "json" {
				return a.writeJSON(page)
			}
			out := bufio.NewWriter(a.stdout)
			page.print(out)
			if err := out.Flush(); err != nil {
				return fmt.Errorf("write summary: %w", err)
			}
			return nil
		},
	}
	r.add(c)
	c.Flags().IntVar(&most, "most", 10, "rows of each table")
	return c
}

// summary counts contexts while they come.
type summary struct {
	first, last       time.Time
	actions, failures int
	caused            int // events of actions
	background        int // contexts that nobody asked for
	who, where        map[string]*tallied
	what, failed      map[string]*tallied
	biggest           map[string]*big
}

// tallied is a row that is being counted.
type tallied struct{ actions, events, failures int }

// big is an action among the biggest.
type big struct {
	ID     string    `json:"id"`
	Who    string    `json:"who"`
	What   string    `json:"what"`
	On     string    `json:"on"`
	Code   int       `json:"code"`
	Events int       `json:"events"`
	First  time.Time `json:"first"`
}

func newSummary() *summary {
	return &summary{
		who: make(map[string]*tallied), where: make(map[string]*tallied), what: make(map[string]*tallied),
		failed: make(map[string]*tallied), biggest: make(map[string]*big),
	}
}

// maxRows bounds the rows that are counted of one table; what comes later is counted as others.
const maxRows = 1 << 16

func (s *summary) add(c *contexts.Context) {
	if s.first.IsZero() || c.First.Before(s.first) {
		s.first = c.First
	}
	if c.Last.After(s.last) {
		s.last = c.Last
	}
	if !c.User {
		if !c.Continued {
			s.background++
		}
		return
	}
	s.caused += len(c.Members)
	failed := c.Outcome >= 400
	where := cmp.Or(c.Object.Namespace, "(no namespace)")
	if c.Object.Resource == "namespaces" && c.Object.Namespace == "" && c.Object.Name != "" {
		where = c.Object.Name
	}
	count := func(table map[string]*tallied, key string) {
		t := table[key]
		if t == nil {
			if len(table) >= maxRows {
				key = "(others)"
			}
			if t = table[key]; t == nil {
				t = &tallied{}
				table[key] = t
			}
		}
		t.events += len(c.Members)
		if !c.Continued {
			t.actions++
			if failed {
				t.failures++
			}
		}
	}
	count(s.who, who(c))
	count(s.what, what(c))
	count(s.where, printable(where))
	if failed {
		count(s.failed, fmt.Sprintf("%d %s by %s", c.Outcome, what(c), who(c)))
	}
	if !c.Continued {
		s.actions++
		if failed {
			s.failures++
		}
	}
	if b := s.biggest[c.ID]; b != nil {
		b.Events += len(c.Members)
	} else if len(s.biggest) < maxRows {
		s.biggest[c.ID] = &big{c.ID, who(c), what(c), onWhat(c), c.Outcome, len(c.Members), c.First}
	}
}

// summaryPage is what summary -o json writes.
type summaryPage struct {
	First      time.Time    `json:"first"`
	Last       time.Time    `json:"last"`
	Events     int          `json:"events"`
	Actions    int          `json:"actions"`
	Caused     int          `json:"events_of_actions"`
	Failures   int          `json:"failures"`
	Background int          `json:"background"`
	Who        []summaryRow `json:"who"`
	What       []summaryRow `json:"what"`
	Where      []summaryRow `json:"where"`
	Failed     []summaryRow `json:"failed"`
	Biggest    []*big       `json:"biggest"`
}

type summaryRow struct {
	Name     string `json:"name"`
	Actions  int    `json:"actions"`
	Events   int    `json:"events"`
	Failures int    `json:"failures"`
}

func (s *summary) page(sum contexts.Summary, most int) *summaryPage {
	p := &summaryPage{
		First: s.first, Last: s.last, Events: sum.Events, Actions: s.actions, Caused: s.caused, Failures: s.failures, Background: s.background,
		Who: rows(s.who, most), What: rows(s.what, most), Where: rows(s.where, most), Failed: rows(s.failed, most), Biggest: []*big{},
	}
	for _, b := range s.biggest {
		p.Biggest = append(p.Biggest, b)
	}
	slices.SortFunc(p.Biggest, func(a, b *big) int {
		return cmp.Or(cmp.Compare(b.Events, a.Events), a.First.Compare(b.First), cmp.Compare(a.ID, b.ID))
	})
	p.Biggest = p.Biggest[:min(most, len(p.Biggest))]
	return p
}

// rows are the most frequent of a table.
func rows(table map[string]*tallied, most int) []summaryRow {
	out := make([]summaryRow, 0, len(table))
	for name, t := range table {
		out = append(out, summaryRow{name, t.actions, t.events, t.failures})
	}
	slices.SortFunc(out, func(a, b summaryRow) int {
		return cmp.Or(cmp.Compare(b.Actions, a.Actions), cmp.Compare(b.Events, a.Events), cmp.Compare(a.Name, b.Name))
	})
	return out[:min(most, len(out))]
}

func (p *summaryPage) print(out io.Writer) {
	if p.Events == 0 {
		fmt.Fprintln(out, "no events")
		return
	}
	fmt.Fprintf(out, "%s to %s (%s): %d events\n", p.First.UTC().Format(time.RFC3339), p.Last.UTC().Format(time.RFC3339), p.Last.Sub(p.First).Round(time.Second), p.Events)
	fmt.Fprintf(out, "%d actions of persons and CI accounts with %d events, %d of them failed; %d times something that nobody asked for\n",
		p.Actions, p.Caused, p.Failures, p.Background)
	for _, t := range []struct {
		head string
		rows []summaryRow
	}{{"who", p.Who}, {"what", p.What}, {"where", p.Where}, {"failed", p.Failed}} {
		if len(t.rows) == 0 {
			continue
		}
		fmt.Fprintf(out, "\n%-60s %8s %8s %8s\n", t.head, "actions", "events", "failed")
		for _, r := range t.rows {
			fmt.Fprintf(out, "%-60s %8d %8d %8d\n", r.Name, r.Actions, r.Events, r.Failures)
		}
	}
	if len(p.Biggest) > 0 {
		fmt.Fprintln(out, "\nthe biggest")
	}
	for _, b := range p.Biggest {
		fmt.Fprintf(out, "%7d events  %s  %s %s by %s (%s)\n", b.Events, b.First.UTC().Format(time.RFC3339), b.What, b.On, b.Who, b.ID)
	}
}
