package scenario

import "time"

// Plan is everything that one recording asks of a cluster.
type Plan struct {
	Profile string   `json:"profile"`
	Seed    uint64   `json:"seed"`
	Mode    string   `json:"mode"`
	Minor   string   `json:"minor"`
	Nodes   int      `json:"nodes"`
	Level   string   `json:"level"`
	Overlap float64  `json:"overlap,omitempty"`
	Teams   []string `json:"teams"`
	// Lanes is the number of people who act at the same time; 1 if one after the other.
	Lanes   int       `json:"lanes"`
	Actions []*Action `json:"actions"`
}

// Action is one command of one person.
type Action struct {
	// ID is unique in the plan: "a00012".
	ID string `json:"id"`
	// Lane is the person's place among those who act at the same time, from 0.
	Lane int `json:"lane"`
	// Scenario, the number of its run in the plan and the number of the step in the run.
	Scenario string `json:"scenario"`
	Run      int    `json:"run"`
	Step     int    `json:"step"`
	// Name tells what kind of action it is: "scale-deployment".
	Name string `json:"action"`
	User string `json:"user"`
	Tool string `json:"tool"`
	// Agent is the user agent of a client program, without the stamp.
	Agent string `json:"agent,omitempty"`
	// Namespace in which it acts; "" for cluster-scoped ones.
	Namespace string `json:"namespace,omitempty"`
	// Argv are kubectl's arguments; for the cluster tool the operation and its operands.
	Argv  []string `json:"argv,omitempty"`
	Stdin string   `json:"stdin,omitempty"`
	// Requests of a client program, in order.
	Requests []Request `json:"requests,omitempty"`
	// Token marks what this action creates; names maps recorded names to what they stand for.
	Token string `json:"token,omitempty"`
	Names []Name `json:"names,omitempty"`
	// Expect is "ok", "fail" or "any".
	Expect string `json:"expect"`
	// Wait says when the action counts as done: a key of Waits.
	Wait string `json:"wait"`
	// Think is how long the person waits before it.
	Think time.Duration `json:"think"`
	// Hasty people do not wait until the work is done; only where several act at a time.
	Hasty bool `json:"hasty,omitempty"`
	// Timeout ends a command that hangs.
	Timeout time.Duration `json:"timeout"`
	// Save keeps the output under this key; With takes such an output as bearer token.
	Save string `json:"save,omitempty"`
	With string `json:"with,omitempty"`
}

// Name is a name in the recording and the name that it stands for.
type Name struct {
	Recorded string `json:"recorded"`
	Logical  string `json:"logical"`
}

// Request is one request of a client program.
type Request struct {
	// Verb is the HTTP method, or UPDATE: read the object, merge Body into it, and PUT it.
	Verb string `json:"verb"`
	// Path with its query. "${pod:NAMESPACE/SELECTOR}" stands for a running pod, "${out:KEY}" for a saved output.
	Path string `json:"path"`
	Type string `json:"type,omitempty"` // content type of a patch
	Body string `json:"body,omitempty"`
	// Resume continues a watch from the resource version of the list before it.
	Resume bool `json:"resume,omitempty"`
	// MayFail tells that the program goes on if this request is refused.
	MayFail bool `json:"mayFail,omitempty"`
}

// Wait is how long the log must be quiet for an action to be done, and how long one waits at most.
type Wait struct {
	Quiet, Most time.Duration
	// Gone waits until the namespace that the action deletes is finalised.
	Gone bool
}

var waits = map[string]Wait{
	"none":  {},
	"read":  {Quiet: 200 * time.Millisecond, Most: 4 * time.Second},
	"write": {Quiet: 450 * time.Millisecond, Most: 10 * time.Second},
	"work":  {Quiet: 1500 * time.Millisecond, Most: 40 * time.Second},
	"long":  {Quiet: 3 * time.Second, Most: 75 * time.Second},
	"gone":  {Quiet: 900 * time.Millisecond, Most: 60 * time.Second, Gone: true},
}

// WaitOf gives the meaning of an action's Wait.
func (a *Action) WaitOf() Wait { return waits[a.Wait] }
