package truth

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
)

// Invariant is something that must hold of every labelled recording.
type Invariant struct {
	Name     string   `json:"name"`
	Checked  int      `json:"checked"`
	Broken   int      `json:"broken"`
	Examples []string `json:"examples,omitempty"`
}

func (i *Invariant) check(holds bool, format string, args ...any) {
	i.Checked++
	if !holds {
		i.Broken++
		if len(i.Examples) < 5 {
			i.Examples = append(i.Examples, fmt.Sprintf(format, args...))
		}
	}
}

// reach is how far a clock of a client may lie beside that of the server, both of one machine, with the
// time that a process takes to start and end.
const reach = int64(2 * time.Second)

// Check checks the invariants of the recording, and of its labelled file if it was written.
func (r *Recording) Check() ([]Invariant, error) {
	var (
		one     = Invariant{Name: "every context has exactly one trigger, of its own"}
		before  = Invariant{Name: "no effect comes before its trigger, or an attempt before it that failed"}
		person  = Invariant{Name: "every request of a person belongs to a command"}
		inside  = Invariant{Name: "every request of a command lies in the command's time"}
		parents = Invariant{Name: "a parent is older than what its clock started"}
		known   = Invariant{Name: "every candidate is a context"}
		sent    = Invariant{Name: "every command sent a request, or was meant to fail"}
	)
	ids := make(map[string]*Context)
	commands := make(map[*Command]int)
	for _, c := range r.Contexts {
		one.check(c.ID != "" && ids[c.ID] == nil && c.Trigger != nil && slices.Contains(c.Requests, c.Trigger), "%s", c.ID)
		ids[c.ID] = c
		begin := c.begin()
		for _, q := range c.Requests {
			// What a clock's component looks at first comes before its trigger, as with people.
			if q.command == nil && c.Trigger != nil && c.clock == "" {
				before.check(q.Received >= begin-slack, "%s %s %s of %s", q.ID, q.Verb, q.URI, c.ID)
			}
		}
		if c.Parent != nil && c.Parent.Trigger != nil && c.Trigger != nil {
			parents.check(c.Parent.Trigger.Received <= c.Trigger.Received, "%s of %s", c.ID, c.Parent.ID)
		}
	}
	start := r.Journal.Started.UnixNano()
	for _, q := range r.Log.Requests {
		if q.command != nil {
			commands[q.command]++
			s, e := q.command.Start.UnixNano(), q.command.End.UnixNano()
			inside.check(q.Received >= s-reach && q.Received <= e+reach, "%s %s %s at %s of %s", q.ID, q.Verb, q.URI, clock(q.Received), q.command.ID)
		}
		if q.Received >= start && !q.harness && (q.User == "" && !r.Journal.ranOut(q) || r.Journal.isPerson(q.User)) {
			person.check(q.command != nil, "%s %s %s by %q, %q", q.ID, q.Verb, q.URI, q.User, q.Agent)
		}
		if !q.verdict.sure() {
			for _, id := range candidates(q.verdict) {
				known.check(ids[id] != nil, "%s of %s", id, q.ID)
			}
		}
	}
	for _, c := range r.Journal.Commands {
		if c.Tool != "cluster" {
			sent.check(commands[c] > 0 || c.Exit != 0, "%s %s", c.ID, strings.Join(c.Argv, " "))
		}
	}
	list := []Invariant{one, before, person, inside, parents, known, sent}
	file := filepath.Join(r.Dir, LabelledFile)
	written, err := CheckFile(file, r.Journal)
	if errors.Is(err, fs.ErrNotExist) {
		return list, nil
	}
	return append(list, written...), err
}

// begin is when the context's command first tried to change something, or asked for what it is about.
func (c *Context) begin() int64 {
	begin := int64(0)
	if c.Trigger != nil {
		begin = c.Trigger.Received
	}
	for _, q := range c.directs {
		if q.changes() && !isReview(q) {
			begin = min(begin, q.Received)
		}
	}
	return begin
}

func clock(t int64) string { return time.Unix(0, t).UTC().Format("15:04:05.000000") }

// CheckFile checks what can be checked of a labelled file by itself.
func CheckFile(file string, j *Journal) ([]Invariant, error) {
	var (
		agree = Invariant{Name: "all lines of one request say the same"}
		sole  = Invariant{Name: "every context has lines of exactly one trigger"}
		clean = Invariant{Name: "no stamp or token is left in a line"}
	)
	norm := newNormaliser(j)
	type told struct{ context, attribution, operation, parent string }
	requests := make(map[string]told)
	triggers := make(map[string][]string)
	n := 0
	err := EachLine(file, func(line []byte) error {
		n++
		var l struct {
			AuditID     string    `json:"auditID"`
			Received    time.Time `json:"requestReceivedTimestamp"`
			Context     string    `json:"context"`
			Trigger     bool      `json:"trigger"`
			Operation   string    `json:"operation"`
			Parent      string    `json:"parent"`
			Attribution string    `json:"attribution"`
		}
		if err := json.Unmarshal(line, &l, lenient); err != nil {
			return err
		}
		key := l.AuditID + l.Received.String()
		t := told{l.Context, l.Attribution, l.Operation, l.Parent}
		if was, seen := requests[key]; seen {
			agree.check(was == t, "line %d: %v, before %v", n, t, was)
		}
		requests[key] = t
		if l.Context != "" {
			list := triggers[l.Context]
			if l.Trigger && !slices.Contains(list, key) {
				list = append(list, key)
			}
			triggers[l.Context] = list
		}
		left := norm.left(line[:max(0, strings.LastIndex(string(line), `,"context":`))])
		clean.check(len(left) == 0, "line %d: %s", n, strings.Join(left, " "))
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("check labelled lines: %w", err)
	}
	for id, list := range triggers {
		sole.check(len(list) == 1, "%s has %d", id, len(list))
	}
	return []Invariant{agree, sole, clean}, nil
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}
