package actor

import (
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"time"

	"k8ntext/testbed/scenario"
)

// JournalFile is the name of the journal in a recording's folder.
const JournalFile = "journal.jsonl"

// entry is one command that was executed.
type entry struct {
	ID       string          `json:"id"`
	Scenario string          `json:"scenario"`
	Run      int             `json:"run"`
	Step     int             `json:"step"`
	Action   string          `json:"action"`
	Actor    string          `json:"actor"`
	User     string          `json:"user"`
	Tool     string          `json:"tool"`
	Stamp    string          `json:"stamp"`
	Argv     []string        `json:"argv"`
	Token    string          `json:"token,omitempty"`
	Names    []scenario.Name `json:"names,omitempty"`
	Start    time.Time       `json:"start"`
	End      time.Time       `json:"end"`
	Quiet    *time.Time      `json:"quiet,omitempty"`
	Exit     int             `json:"exit"`
	Expect   string          `json:"expect"`
	Output   string          `json:"output,omitempty"` // the end of it, where the exit was not the expected one
}

// unexpected tells whether a command ended otherwise than the scenario says.
func (e *entry) unexpected() bool {
	return e.Expect == "ok" && e.Exit != 0 || e.Expect == "fail" && e.Exit == 0
}

// mark is any other line of the journal.
type mark struct {
	Kind      string    `json:"kind"` // phase, fault, harness
	Name      string    `json:"name,omitempty"`
	Component string    `json:"component,omitempty"`
	What      string    `json:"what,omitempty"`
	ID        string    `json:"id,omitempty"`
	Stamp     string    `json:"stamp,omitempty"`
	Namespace string    `json:"namespace,omitempty"`
	At        time.Time `json:"at"`
	Detail    any       `json:"detail,omitempty"`
}

// journal writes lines as they happen; several people may write at a time.
type journal struct {
	mu   sync.Mutex
	file *os.File
	err  error
}

func newJournal(path string) (*journal, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return nil, fmt.Errorf("start journal: %w", err)
	}
	return &journal{file: f}, nil
}

func (j *journal) write(v any) {
	line, err := json.Marshal(v)
	j.mu.Lock()
	defer j.mu.Unlock()
	if err == nil {
		_, err = j.file.Write(append(line, '\n'))
	}
	if j.err == nil && err != nil {
		j.err = fmt.Errorf("write journal: %w", err)
	}
}

func (j *journal) close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.file.Close(); j.err == nil && err != nil {
		j.err = err
	}
	return j.err
}
