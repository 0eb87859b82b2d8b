package dataset

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"k8ntext/dataset/audit"
	"k8ntext/dataset/label"
)

// Corpus is a recording with what is known of it: events in time order and, by event index, labels,
// contexts and classes.
type Corpus struct {
	Name     string    // of a corpus that is known by name, else the path
	Digest   string    // hex sha256 over the events' digests and their truth, in order
	Manifest *Manifest // nil for a bare path
	Space    *label.Space

	Events  []*audit.Event // by request time, without the [Dropped] ones
	Labels  []label.Label  // label of the event; [label.Unknown] where it is ambiguous, absent or not in the space
	Own     []label.Label  // own label of the event
	Context []int32        // index into Contexts; -1 where there is none or it is not sure
	Class   []Class

	Contexts []Context // in the order of their first events

	// Recordings are the parts of a corpus that [Join] made of several; nil: it is one recording.
	Recordings []Recording

	Dropped Dropped
	Read    audit.Summary // what the reader met, skipped lines among it
}

// Recording is what a joined corpus has of one of those that it was made of.
type Recording struct {
	Name     string
	From, To int // its events: From up to, not including To
}

// recordings are the corpus's, one if it was not joined.
func (c *Corpus) recordings() []Recording {
	if c.Recordings != nil {
		return c.Recordings
	}
	return []Recording{{c.Name, 0, len(c.Events)}}
}

// Context is the event that started something and all that it caused.
type Context struct {
	ID        string
	Operation string  // the command that several contexts share; may be empty
	Parent    string  // ID of the context whose clock or threshold started this one; may be empty
	Trigger   int32   // event index; -1 where the trigger is not in the log
	User      bool    // started by a person or a CI account: it has an operation, or its trigger's user is none of system:
	Events    []int32 // event indices, ascending
}

// Dropped counts the events that are left out of a corpus, because they belong to the recording and
// not to what was recorded.
type Dropped struct {
	BeforeStart int // the control plane starting up, before the first action
	Harness     int // the recording's own look-ups
}

// Class is a set of facts about an event, by which scores are split.
type Class uint8

const (
	User        Class = 1 << iota // its context was started by a person or a CI account
	Trigger                       // it started its context
	Ambiguous                     // its cause is not sure
	NonResource                   // it has no objectRef
	ByRule                        // background whose label a control-plane rule gives
)

// Has tells whether all facts of f are in c.
func (c Class) Has(f Class) bool { return c&f == f }

// errUnlabelled is returned where a corpus needs labels and has none.
var errUnlabelled = errors.New("none of its events has a known label (by the keys context and trigger, or by a numeric label): " +
	"use a labelled corpus, see k8ntext corpus list")

// Labelled tells whether the label of any event is known. Otherwise the corpus cannot be split.
func (c *Corpus) Labelled() bool {
	return slices.ContainsFunc(c.Labels, func(l label.Label) bool { return l != label.Unknown })
}

// Load reads a corpus by its name (see [Names]), or a log file by its path: JSON lines in the format of
// this package or of the reference (numeric labels, no contexts), plain, gzip or zstd. A name that is
// both is the corpus; write ./NAME for the file.
//
// Labels are in space; nil means the default space with the custom groups that the corpus has.
// Unreadable lines of a file are counted in Read; in a corpus of a known name they are an error. A log
// without labels loads with all labels unknown; see [Corpus.Labelled].
func Load(ctx context.Context, nameOrPath string, space *label.Space) (*Corpus, error) {
	if m, file, err := named(nameOrPath); !errors.Is(err, errNoCorpus) {
		if err != nil {
			return nil, err
		}
		c, problem, err := load(ctx, audit.NewReader(bytes.NewReader(file), m.Name, audit.Options{}), m.Name, space)
		if err == nil && problem != nil {
			err = fmt.Errorf("the corpus is damaged: %w: restore its file", problem)
		}
		if err != nil {
			return nil, fmt.Errorf("load corpus %s: %w", m.Name, err)
		}
		c.Manifest = m
		return c, nil
	}
	if _, err := os.Stat(nameOrPath); err != nil {
		return nil, unknownCorpus(nameOrPath, err)
	}
	r, err := audit.Open(ctx, audit.Options{}, nameOrPath)
	if err != nil {
		return nil, fmt.Errorf("load corpus %s: %w", nameOrPath, err)
	}
	defer r.Close()
	c, _, err := load(ctx, r, nameOrPath, space)
	if err != nil {
		return nil, fmt.Errorf("load corpus %s: %w", nameOrPath, err)
	}
	return c, nil
}

// load reads all events and derives everything else from them. It also returns the first problem.
func load(ctx context.Context, r *audit.Reader, name string, space *label.Space) (c *Corpus, first *audit.Problem, err error) {
	c = &Corpus{Name: name}
	for n := 0; ; n++ {
		if n%1024 == 0 && ctx.Err() != nil {
			return nil, first, ctx.Err()
		}
		rec, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, first, err
		}
		if rec.Event == nil {
			if first == nil {
				first = rec.Problem
			}
			continue
		}
		if t := rec.Event.Truth; t != nil {
			switch t.Attribution {
			case "before-start":
				c.Dropped.BeforeStart++
				continue
			case "harness":
				c.Dropped.Harness++
				continue
			}
		}
		c.Events = append(c.Events, rec.Event)
	}
	c.Read = r.Summary()
	if len(c.Events) == 0 {
		if first != nil {
			return nil, first, fmt.Errorf("no valid audit event in it, the first problem being: %w: give an audit log as JSON lines", first)
		}
		return nil, nil, errors.New("no valid audit event in it: give an audit log as JSON lines")
	}
	slices.SortStableFunc(c.Events, func(a, b *audit.Event) int { return a.RequestReceived.Compare(b.RequestReceived) })
	for i, e := range c.Events {
		c.Events[i] = withoutInjected(e)
	}
	if space == nil {
		space = label.Default(customGroups(c.Events)...)
	}
	c.Space = space
	c.Digest = digest(c.Events)
	c.gather()
	c.label()
	c.classify()
	return c, first, nil
}

// withoutInjected undoes what the reference's labelling tool wrote into the events: a raw log never
// says the group "core" (REFERENCE 13 D).
func withoutInjected(e *audit.Event) *audit.Event {
	if e.Truth == nil || e.Truth.Label == nil || e.ObjectRef == nil || e.ObjectRef.APIGroup != "core" {
		return e
	}
	copied, ref := *e, *e.ObjectRef
	ref.APIGroup = ""
	copied.ObjectRef = &ref
	return &copied
}

// customGroups are the API groups that are not Kubernetes' own, sorted.
func customGroups(events []*audit.Event) []string {
	builtin := label.Default()
	groups := make(map[string]bool)
	for _, e := range events {
		if e.ObjectRef != nil && builtin.External(e.ObjectRef.APIGroup) {
			groups[e.ObjectRef.APIGroup] = true
		}
	}
	return sortedKeys(groups)
}

// digest is the identity of a corpus: what its events are and what is known of them.
func digest(events []*audit.Event) string {
	h := sha256.New()
	var buf []byte
	text := func(s string) {
		buf = binary.AppendUvarint(buf, uint64(len(s)))
		buf = append(buf, s...)
	}
	for _, e := range events {
		d := e.Digest()
		buf = append(buf[:0], d[:]...)
		t := e.Truth
		if t == nil {
			t = &audit.Truth{}
		}
		text(t.Context)
		text(t.Attribution)
		text(t.Operation)
		text(t.Parent)
		buf = binary.AppendUvarint(buf, uint64(len(t.Candidates)))
		for _, id := range t.Candidates {
			text(id)
		}
		if t.Trigger {
			buf = append(buf, 1)
		} else {
			buf = append(buf, 0)
		}
		if t.Label != nil {
			known := byte(1)
			if t.ControlPlane {
				known = 2
			}
			buf = binary.AppendVarint(append(buf, known), *t.Label)
		} else {
			buf = append(buf, 0)
		}
		h.Write(buf)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// gather finds the contexts.
func (c *Corpus) gather() {
	c.Context = make([]int32, len(c.Events))
	byID := make(map[string]int32)
	for i, e := range c.Events {
		c.Context[i] = -1
		t := e.Truth
		if t == nil {
			continue
		}
		if t.Context == "" {
			continue
		}
		x, ok := byID[t.Context]
		if !ok {
			x = int32(len(c.Contexts))
			byID[t.Context] = x
			c.Contexts = append(c.Contexts, Context{ID: t.Context, Trigger: -1})
		}
		c.Context[i] = x
		context := &c.Contexts[x]
		context.Events = append(context.Events, int32(i))
		context.Operation = cmp.Or(context.Operation, t.Operation)
		context.Parent = cmp.Or(context.Parent, t.Parent)
		if t.Trigger && context.Trigger < 0 {
			context.Trigger = int32(i)
		}
	}
	for x := range c.Contexts {
		context := &c.Contexts[x]
		// Only commands of people and CI accounts have an operation, and a CI account is a service account:
		// its name says system:serviceaccount:... Logs without operations leave the name alone to go by; where there
		// is none, as of a component whose credentials have run out, it is nobody's.
		context.User = context.Operation != ""
		if context.Trigger >= 0 && !context.User {
			name := c.Events[context.Trigger].User.Username
			context.User = name != "" && !strings.HasPrefix(name, "system:")
		}
	}
}

// label gives every event its own label and that of its context's trigger, or the reference's number.
func (c *Corpus) label() {
	c.Own = make([]label.Label, len(c.Events))
	c.Labels = make([]label.Label, len(c.Events))
	for i, e := range c.Events {
		c.Own[i] = c.Space.Own(e)
	}
	paper := label.Paper()
	for i, e := range c.Events {
		c.Labels[i] = label.Unknown
		switch x := c.Context[i]; {
		case x >= 0 && c.Contexts[x].Trigger >= 0:
			c.Labels[i] = max(c.Own[c.Contexts[x].Trigger], label.Unknown) // Ignore is no label either
		case x < 0 && e.Truth != nil && e.Truth.Label != nil:
			c.Labels[i] = fromReference(paper, c.Space, e.Truth)
		}
	}
}

// fromReference reads what the reference's files say in another space: their number by name, for resource
// ids mean what their space says, and whose doing an event is by who labelled it, a rule or a person.
func fromReference(paper, space *label.Space, truth *audit.Truth) label.Label {
	l := label.Label(*truth.Label)
	switch {
	case truth.ControlPlane && space.Parts() == 1:
		return label.ControlPlaneEvent
	case int64(l) != *truth.Label || !paper.Valid(l):
		return label.Unknown
	case space.Name() == paper.Name():
		return l
	case space.Parts() == 1:
		return label.UserAction
	}
	l, err := space.Parse(paper.Describe(l))
	if err != nil {
		return label.Unknown
	}
	return l
}

func (c *Corpus) classify() {
	c.Class = make([]Class, len(c.Events))
	for i, e := range c.Events {
		var class Class
		if e.ObjectRef == nil {
			class |= NonResource
		}
		x := c.Context[i]
		if x >= 0 {
			if c.Contexts[x].User {
				class |= User
			}
			if c.Contexts[x].Trigger == int32(i) {
				class |= Trigger
			}
		} else if e.Truth != nil && e.Truth.Label == nil {
			class |= Ambiguous
		}
		if x >= 0 && class&User == 0 {
			if l, _ := c.Space.Rule(e); l != label.Unknown {
				class |= ByRule
			}
		}
		c.Class[i] = class
	}
}
