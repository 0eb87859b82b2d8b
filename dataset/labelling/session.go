// Package labelling is labelling by hand: a session that shows one event after the other between its
// neighbours, proposes labels, takes answers and keeps each on disk before it counts. It knows no
// terminal: it gives text and takes lines of text.
package labelling

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"k8ntext/dataset/audit"
	"k8ntext/dataset/label"
)

// Origin says where an event's label comes from.
type Origin string

// The origins.
const (
	Nowhere Origin = ""        // it has none yet
	Given   Origin = "input"   // the log told it
	Rule    Origin = "rule"    // a control-plane rule
	Hand    Origin = "hand"    // an answer
	Skipped Origin = "skipped" // an answer: it shall have none
)

// How far the proposals look ahead, in events, as in the reference (REFERENCE 4.2).
const (
	reachNext = 20
	reachUser = 40
)

// Session labels the events of a log, in their order.
type Session struct {
	space   *label.Space
	events  []*audit.Event
	own     []label.Label
	labels  []label.Label
	origins []Origin
	rules   []string
	order   []int // events to be asked for
	answers []Entry
	journal *journal
}

// Entry is an answer, as the journal keeps it.
type Entry struct {
	Event int         `json:"event"` // index
	Label label.Label `json:"label"` // label.Unknown: skipped
	By    string      `json:"by"`    // what was typed
	Undo  bool        `json:"undo,omitzero"`
}

// New begins a session over events in the order of their time. What the log tells or a control-plane
// rule decides has its label at once and is not asked for.
func New(events []*audit.Event, space *label.Space) *Session {
	n := len(events)
	s := &Session{
		space: space, events: events, own: make([]label.Label, n), labels: make([]label.Label, n),
		origins: make([]Origin, n), rules: make([]string, n),
	}
	triggers := make(map[string]label.Label) // by context
	for i, e := range events {
		s.own[i] = space.Own(e)
		if t := e.Truth; t != nil && t.Trigger && t.Context != "" {
			if _, ok := triggers[t.Context]; !ok {
				triggers[t.Context] = s.own[i]
			}
		}
	}
	for i, e := range events {
		s.labels[i] = label.Unknown
		if l := given(e, space, triggers); l >= 0 {
			s.labels[i], s.origins[i] = l, Given
		} else if l, rule := space.Rule(e); rule != "" {
			s.labels[i], s.origins[i], s.rules[i] = l, Rule, rule
		} else {
			s.order = append(s.order, i)
		}
	}
	return s
}

// given is the label that the log itself tells: by its context's trigger, or as a number of the
// reference's space.
func given(e *audit.Event, space *label.Space, triggers map[string]label.Label) label.Label {
	switch t := e.Truth; {
	case t == nil:
	case t.Context != "":
		if l, ok := triggers[t.Context]; ok {
			return l
		}
	case t.Label != nil && int64(label.Label(*t.Label)) == *t.Label:
		return translate(label.Label(*t.Label), label.Paper(), space)
	}
	return label.Unknown
}

// translate is the label with the same words in another space.
func translate(l label.Label, from, to *label.Space) label.Label {
	if !from.Valid(l) {
		return label.Unknown
	}
	if from.Name() == to.Name() {
		return l
	}
	l, err := to.Parse(from.Describe(l))
	if err != nil {
		return label.Unknown
	}
	return l
}

// Progress counts events.
type Progress struct {
	Events, Given, ByRule int // all; not asked for
	Asked, Answered       int // Answered of Asked
}

// Progress says how far the session is.
func (s *Session) Progress() Progress {
	p := Progress{Events: len(s.events), Asked: len(s.order), Answered: len(s.answers)}
	for _, o := range s.origins {
		switch o {
		case Given:
			p.Given++
		case Rule:
			p.ByRule++
		}
	}
	return p
}

// Current is the event that is asked for; false when all are answered.
func (s *Session) Current() (int, bool) {
	if len(s.answers) == len(s.order) {
		return 0, false
	}
	return s.order[len(s.answers)], true
}

// Proposal is an answer that can be given with a key.
type Proposal struct {
	Key   string
	Label label.Label
	What  string // what it is the label of
}

// Proposals are the answers that make sense for the current event.
func (s *Session) Proposals() []Proposal {
	at, ok := s.Current()
	if !ok {
		return nil
	}
	var list []Proposal
	for _, key := range []string{"a", "b", "nc", "nw", "np", "nd", "ec", "ew", "ep", "ed", "m"} {
		if l, what, err := s.propose(at, key); err == nil {
			list = append(list, Proposal{key, l, what})
		}
	}
	return list
}

// propose gives the label that a key stands for at an event.
func (s *Session) propose(at int, key string) (l label.Label, what string, err error) {
	none := func(format string, args ...any) (label.Label, string, error) {
		return label.Unknown, "", fmt.Errorf(format, args...)
	}
	switch {
	case key == "a":
		for _, a := range slices.Backward(s.answers) {
			if a.Label >= 0 {
				return a.Label, "as before", nil
			}
		}
		return none("there is no last answer yet")
	case key == "b":
		if s.own[at] < 0 {
			return none("this event has no own label in the %s space", s.space.Name())
		}
		return s.own[at], "its own", nil
	case key == "m":
		for i := at + 1; i < len(s.events) && i <= at+reachUser; i++ {
			if s.own[i] >= 0 && s.origins[i] != Rule && !strings.HasPrefix(s.events[i].User.Username, "system:") {
				return s.own[i], fmt.Sprintf("a user, in %d", i-at), nil
			}
		}
		return none("no user asks for anything in the next %d events", reachUser)
	}
	verb := map[byte]int{'c': verbCreate, 'w': verbWatch, 'p': verbUpdate, 'd': verbDelete}[key[len(key)-1]]
	if key[0] == 'e' {
		if s.own[at] < 0 {
			return none("this event has no own label in the %s space", s.space.Name())
		}
		t := s.own[at].Tuple()
		t.Verb = verb
		if l := t.Label(); s.space.Valid(l) && l != s.own[at] {
			return l, "this object", nil
		}
		return none("there is no other such request about this object")
	}
	for i := at + 1; i < len(s.events) && i <= at+reachNext; i++ {
		if s.own[i] >= 0 && s.own[i].Tuple().Verb == verb {
			return s.own[i], fmt.Sprintf("in %d", i-at), nil
		}
	}
	return none("no such event among the next %d", reachNext)
}

// The merged verbs that shortcuts name (REFERENCE 3.3).
const (
	verbCreate = 1
	verbDelete = 2
	verbUpdate = 4
	verbWatch  = 5
)

// ErrQuit is returned by Answer for q: the session can be gone on with later.
var ErrQuit = errors.New("the labelling session was ended")

// Answer takes a line that was typed: a shortcut, a label as number or in words, s, u or q. It returns
// what to say about it. After an error, other than ErrQuit, the same event is asked for again, unless
// the answer could not be kept; that error ends the session.
func (s *Session) Answer(line string) (said string, err error) {
	text := strings.TrimSpace(line)
	at, asked := s.Current()
	switch {
	case text == "q":
		return "", ErrQuit
	case text == "u":
		return s.undo()
	case strings.HasPrefix(text, "/"):
		return s.search(text[1:]), nil
	case text == "?":
		return help, nil
	case !asked:
		return "", errors.New("every event has an answer: u takes the last one back, q ends")
	}
	e := Entry{Event: at, Label: label.Unknown, By: text}
	switch text {
	case "":
		e.By = "a"
		e.Label, _, err = s.propose(at, "a")
	case "s":
	case "a", "b", "nc", "nw", "np", "nd", "ec", "ew", "ep", "ed", "m":
		e.Label, _, err = s.propose(at, text)
	default:
		e.Label, err = s.parse(text)
	}
	if err != nil {
		return "", err
	}
	if err := s.keep(e); err != nil {
		return "", err
	}
	if e.Label < 0 {
		return "skipped", nil
	}
	return s.describe(e.Label), nil
}

// parse reads a label as number or in words.
func (s *Session) parse(text string) (label.Label, error) {
	if len(text) < 3 || text[0] == '-' {
		if _, err := strconv.Atoi(text); err != nil || text[0] == '-' {
			return label.Unknown, fmt.Errorf("%q is no shortcut and no label: ? lists the shortcuts", text)
		}
	}
	l, err := s.space.Parse(text)
	if err != nil {
		return label.Unknown, err
	}
	if l < 0 {
		return label.Unknown, errors.New("to give no label, skip the event: s")
	}
	return l, nil
}

// undo takes the last answer back.
func (s *Session) undo() (string, error) {
	if len(s.answers) == 0 {
		return "", errors.New("there is no answer to take back")
	}
	last := s.answers[len(s.answers)-1]
	if err := s.keep(Entry{Event: last.Event, Label: last.Label, Undo: true}); err != nil {
		return "", err
	}
	return "taken back: " + s.describe(last.Label), nil
}

// keep makes an entry durable, then lets it count.
func (s *Session) keep(e Entry) error {
	if s.journal != nil {
		if err := s.journal.append(e); err != nil {
			return &JournalError{err}
		}
	}
	return s.apply(e)
}

// JournalError says that an answer could not be kept. The session must end.
type JournalError struct{ err error }

func (e *JournalError) Error() string { return "keep the answer: " + e.err.Error() }
func (e *JournalError) Unwrap() error { return e.err }

// apply lets an entry count. An entry that does not fit the session is an error.
func (s *Session) apply(e Entry) error {
	if e.Undo {
		if len(s.answers) == 0 || s.answers[len(s.answers)-1].Event != e.Event {
			return fmt.Errorf("it takes back an answer to event %d, which is not the last one", e.Event)
		}
		s.answers = s.answers[:len(s.answers)-1]
		s.labels[e.Event], s.origins[e.Event] = label.Unknown, Nowhere
		return nil
	}
	at, ok := s.Current()
	if !ok || at != e.Event {
		return fmt.Errorf("it answers event %d out of turn", e.Event)
	}
	if e.Label >= 0 && !s.space.Valid(e.Label) {
		return fmt.Errorf("%d is no label of the %s space", e.Label, s.space.Name())
	}
	s.labels[at], s.origins[at] = e.Label, Hand
	if e.Label < 0 {
		s.origins[at] = Skipped
	}
	s.answers = append(s.answers, e)
	return nil
}

// maxFound bounds what a search lists.
const maxFound = 10

// search lists the labels whose words hold all the words of a text: those used in this log first.
func (s *Session) search(text string) string {
	want := strings.Fields(strings.ToLower(text))
	used := make(map[label.Label]int)
	for i := range s.events {
		used[s.own[i]]++
	}
	var found []label.Label
	for _, l := range s.space.Labels() {
		words := s.space.Describe(l)
		if !slices.ContainsFunc(want, func(w string) bool { return !strings.Contains(words, w) }) {
			found = append(found, l)
		}
	}
	slices.SortStableFunc(found, func(a, b label.Label) int { return used[b] - used[a] })
	var b strings.Builder
	for i, l := range found {
		if i == maxFound {
			fmt.Fprintf(&b, "  and %d more: add a word\n", len(found)-i)
			break
		}
		fmt.Fprintf(&b, "  %s\n", s.describe(l))
	}
	if len(found) == 0 {
		return fmt.Sprintf("no label has the words %q", text)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func (s *Session) describe(l label.Label) string {
	if l < 0 {
		return "no label"
	}
	return fmt.Sprintf("%d %s", l, s.space.Describe(l))
}

// help lists the shortcuts; 80 columns.
const help = `  Enter, a      the label of the last answer
  b             the event's own label
  nc nw np nd   that of the next create, watch, patch/update, delete (20 events)
  ec ew ep ed   create, watch, patch/update, delete of the same object
  m             that of the next thing a user asks for (40 events)
  NUMBER        a label by its number, or in words
  /TEXT         labels with these words
  s             skip: no label     u  take the last answer back     q  end`
