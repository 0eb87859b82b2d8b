package store

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"k8ntext/contexts"
	"k8ntext/dataset/audit"
	"k8ntext/dataset/packed"
)

// droppedSection names the counts of what a stripped log leaves out.
const droppedSection = "dropped"

// StrippedBlock is how many lines of a stripped log, which are short, are in a block: the block of a [packed.Writer]
// to which one is written.
const StrippedBlock = 1 << 16

// Stripped makes the stripped form of a log: of every event of a context that a person or a CI account
// started, who did what to what, with which result, when (to the second), and in which context. Events
// of other contexts, those of the control plane's own business, are counted and left out; so are bodies,
// addresses, user agents, groups, URIs and annotations. Names are kept.
//
// What comes out is an audit log, packed: its lines have the keys of audit events, those of a
// recording's truth for the context, and as auditID their number. Contexts and operations are numbered
// anew, for their old names say nothing without the log.
//
// It holds some hundred bytes of each event of the log.
type Stripped struct {
	events []light
	same   map[string]string
}

// light is what is kept of an event.
type light struct {
	at                             int64 // Unix seconds
	verb, user                     string
	group, resource, sub, ns, name string
	uri                            string // of a request that is about no object
	code                           int
}

// Dropped counts what a stripped log left out.
type Dropped struct {
	Events   int            `json:"events"`
	Contexts int            `json:"contexts"`
	Of       map[string]int `json:"of"` // events, by verb and resource
}

// See takes the next event, in the order of their numbers.
func (s *Stripped) See(e *audit.Event) {
	if s.same == nil {
		s.same = make(map[string]string)
	}
	one := func(t string) string {
		if o, ok := s.same[t]; ok {
			return o
		}
		s.same[t] = t
		return t
	}
	l := light{at: e.RequestReceived.Unix(), verb: one(e.Verb), user: one(e.User.Username)}
	if o := e.ObjectRef; o != nil {
		l.group, l.resource, l.sub, l.ns, l.name = one(o.APIGroup), one(o.Resource), one(o.Subresource), one(o.Namespace), one(o.Name)
	} else {
		path, _, _ := strings.Cut(e.RequestURI, "?")
		l.uri = one(path)
	}
	if e.ResponseStatus != nil {
		l.code = e.ResponseStatus.Code
	}
	s.events = append(s.events, l)
}

// strippedLine is an event of a stripped log, in the order in which its keys are written.
type strippedLine struct {
	AuditID   string          `json:"auditID"`
	Stage     string          `json:"stage"`
	Time      string          `json:"stageTimestamp"`
	Verb      string          `json:"verb"`
	URI       string          `json:"requestURI,omitzero"`
	User      strippedUser    `json:"user"`
	ObjectRef *strippedObject `json:"objectRef,omitzero"`
	Status    *strippedStatus `json:"responseStatus,omitzero"`
	Context   string          `json:"context"`
	Trigger   bool            `json:"trigger,omitzero"`
	Operation string          `json:"operation,omitzero"`
	Parent    string          `json:"parent,omitzero"`
}

type (
	strippedUser struct {
		Name string `json:"username"`
	}
	strippedObject struct {
		Resource  string `json:"resource"`
		Namespace string `json:"namespace,omitzero"`
		Name      string `json:"name,omitzero"`
		Group     string `json:"apiGroup,omitzero"`
		Sub       string `json:"subresource,omitzero"`
	}
	strippedStatus struct {
		Code int `json:"code"`
	}
)

// Write writes the stripped log of the contexts, whole ones, and what was dropped.
func (s *Stripped) Write(w *packed.Writer, list []*contexts.Context) (Dropped, error) {
	fail := func(err error) (Dropped, error) { return Dropped{}, fmt.Errorf("strip a log: %w", err) }
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b *contexts.Context) int { return cmp.Compare(firstEvent(a), firstEvent(b)) })
	kept := make([]bool, len(s.events))
	number := make(map[string]string)
	operations := make(map[string]string)
	for _, c := range list {
		if c.User {
			number[c.ID] = strconv.Itoa(len(number) + 1)
		}
	}
	d := Dropped{Of: make(map[string]int)}
	n := 0
	for _, c := range list {
		if !c.User {
			d.Contexts++
			continue
		}
		operation := ""
		if c.Operation != "" {
			if operations[c.Operation] == "" {
				operations[c.Operation] = strconv.Itoa(len(operations) + 1)
			}
			operation = operations[c.Operation]
		}
		for _, m := range c.Members {
			if m.Event < 0 || m.Event >= len(s.events) {
				return fail(fmt.Errorf("event %d of %d", m.Event, len(s.events)))
			}
			e := &s.events[m.Event]
			kept[m.Event] = true
			n++
			l := strippedLine{
				AuditID: strconv.Itoa(n), Stage: "ResponseComplete", Time: time.Unix(e.at, 0).UTC().Format(time.RFC3339), Verb: e.verb, URI: e.uri, User: strippedUser{e.user},
				Context: number[c.ID], Trigger: m.Event == c.Trigger.Event,
			}
			if l.Trigger {
				l.Operation, l.Parent = operation, number[c.Parent]
			}
			if e.resource != "" {
				l.ObjectRef = &strippedObject{e.resource, e.ns, e.name, e.group, e.sub}
			}
			if e.code != 0 {
				l.Status = &strippedStatus{e.code}
			}
			b, err := json.Marshal(l, jsontext.AllowInvalidUTF8(true))
			if err != nil {
				return fail(err)
			}
			if _, err := w.Write(append(b, '\n')); err != nil {
				return fail(err)
			}
		}
	}
	for i, e := range s.events {
		if kept[i] {
			continue
		}
		d.Events++
		what := e.verb + " " + e.resource
		if e.sub != "" {
			what += "/" + e.sub
		}
		if e.resource == "" {
			what = e.verb + " (no object)"
		}
		d.Of[what]++
	}
	b, err := json.Marshal(d, json.Deterministic(true), jsontext.AllowInvalidUTF8(true))
	if err != nil {
		return fail(err)
	}
	return d, w.Section(droppedSection, b)
}

// ReadDropped reads what a stripped log left out; nil: it is not stripped.
func ReadDropped(f *packed.File) (*Dropped, error) {
	b, err := f.Section(droppedSection)
	if b == nil || err != nil {
		return nil, err
	}
	d := new(Dropped)
	if err := json.Unmarshal(b, d, jsontext.AllowInvalidUTF8(true)); err != nil {
		return nil, fmt.Errorf("read what was dropped: %w", err)
	}
	return d, nil
}
