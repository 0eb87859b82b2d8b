package truth

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
)

// Journal is what was done while a recording was made.
type Journal struct {
	Commands []*Command // by start
	Faults   []Fault    // by time
	Harness  []string   // stamps of the recording's own look-ups

	Started time.Time // what came before belongs to the start of the control plane
	Ended   time.Time // zero: not told

	byID map[string]*Command
}

// Command is one process that a person started, or one run of a client.
type Command struct {
	ID       string    `json:"id"`
	Scenario string    `json:"scenario"`
	Step     int       `json:"step"`
	Action   string    `json:"action"`
	Actor    string    `json:"actor"`
	User     string    `json:"user"`
	Tool     string    `json:"tool"`
	Stamp    string    `json:"stamp"` // in the user agent of its requests
	Argv     []string  `json:"argv"`
	Token    string    `json:"token"` // in the names of the objects that it made; may be empty
	Names    []Name    `json:"names"`
	Start    time.Time `json:"start"`
	End      time.Time `json:"end"`
	Quiet    time.Time `json:"quiet"` // when the log had fallen quiet after it; zero in concurrent recordings
	Exit     int       `json:"exit"`
	Expect   string    `json:"expect"` // ok or fail

	text string // its line
}

// Name is an object's name while recording and in the published log.
type Name struct {
	Recorded string `json:"recorded"`
	Logical  string `json:"logical"`
}

// Fault is something that was done to the cluster other than by a request.
type Fault struct {
	Component string    `json:"component"` // kube-scheduler, kube-controller-manager, node/N
	What      string    `json:"what"`      // kill, start, expire, renew, add, remove
	At        time.Time `json:"at"`
	ID        string    `json:"id"` // of the command that did it; may be empty
}

// Sequential tells whether every command ran alone until the log was quiet.
func (j *Journal) Sequential() bool {
	for i, c := range j.Commands {
		if c.Quiet.IsZero() || i > 0 && c.Start.Before(j.Commands[i-1].Quiet) {
			return false
		}
	}
	return len(j.Commands) > 0
}

// Command is the command with an id; nil if there is none.
func (j *Journal) Command(id string) *Command { return j.byID[id] }

// isPerson tells whether commands ran under a user's name.
func (j *Journal) isPerson(user string) bool {
	return slices.ContainsFunc(j.Commands, func(c *Command) bool { return c.User == user })
}

// ranOut tells whether a request of which the server does not know the user is a component's whose credentials
// a fault let run out.
func (j *Journal) ranOut(q *Request) bool {
	program, _, _ := strings.Cut(q.Agent, "/")
	return slices.ContainsFunc(j.Faults, func(f Fault) bool {
		return f.What == "expire" && f.Component == program && f.At.UnixNano() <= q.Received
	})
}

// at is the last command that had started at a time; nil before the first.
func (j *Journal) at(t int64) *Command {
	i, _ := slices.BinarySearchFunc(j.Commands, t, func(c *Command, t int64) int {
		if c.Start.UnixNano() <= t {
			return -1
		}
		return 1
	})
	if i == 0 {
		return nil
	}
	return j.Commands[i-1]
}

// ReadJournal reads a journal file. A line that is no journal line is an error that names it, but for
// a last line without an end, which is what a recording that was cut off leaves.
func ReadJournal(file string) (*Journal, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("read journal: %w", err)
	}
	defer f.Close()
	j, err := readJournal(f)
	if err != nil {
		return nil, fmt.Errorf("read journal %s: %w", file, err)
	}
	return j, nil
}

func readJournal(r io.Reader) (*Journal, error) {
	j := &Journal{byID: make(map[string]*Command)}
	b := bufio.NewReaderSize(r, 1<<20)
	for n := 1; ; n++ {
		line, err := b.ReadBytes('\n')
		last := err == io.EOF
		if err != nil && !last {
			return nil, err
		}
		if line = bytes.TrimSpace(line); len(line) > 0 {
			if err := j.add(line); err != nil && !last {
				return nil, fmt.Errorf("line %d: %w", n, err)
			}
		}
		if last {
			break
		}
	}
	if len(j.Commands) == 0 {
		return nil, errors.New("no command in it: was anything recorded?")
	}
	slices.SortStableFunc(j.Commands, func(a, b *Command) int { return a.Start.Compare(b.Start) })
	slices.SortStableFunc(j.Faults, func(a, b Fault) int { return a.At.Compare(b.At) })
	if j.Started.IsZero() {
		j.Started = j.Commands[0].Start
	}
	return j, nil
}

func (j *Journal) add(line []byte) error {
	var head struct {
		Kind  string    `json:"kind"`
		Name  string    `json:"name"`
		Stamp string    `json:"stamp"`
		At    time.Time `json:"at"`
		Start time.Time `json:"start"`
	}
	if err := json.Unmarshal(line, &head); err != nil {
		return err
	}
	at := head.At
	if at.IsZero() {
		at = head.Start
	}
	switch head.Kind {
	case "", "command":
		c := &Command{text: string(line)}
		if err := json.Unmarshal(line, c); err != nil {
			return err
		}
		switch {
		case c.ID == "":
			return errors.New("a command without id")
		case c.Start.IsZero():
			return fmt.Errorf("command %s has no start", c.ID)
		case j.byID[c.ID] != nil:
			return fmt.Errorf("command %s comes twice", c.ID)
		}
		if c.Stamp == "" {
			c.Stamp = c.ID
		}
		j.byID[c.ID] = c
		j.Commands = append(j.Commands, c)
	case "harness":
		if head.Stamp != "" {
			j.Harness = append(j.Harness, head.Stamp)
		}
	case "phase":
		switch {
		case strings.HasPrefix(head.Name, "started"):
			j.Started = at
		case strings.HasPrefix(head.Name, "ended"):
			j.Ended = at
		}
	case "fault":
		var f Fault
		if err := json.Unmarshal(line, &f); err != nil {
			return err
		}
		f.At = at
		j.Faults = append(j.Faults, f)
	}
	return nil // kinds that a later version adds
}
