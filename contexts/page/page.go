// Package page writes rebuilt contexts as one self-contained page: who did what over time, a list to
// search, the graph of each context, and the raw lines beside the actions that they are. It needs no
// network and works from a file. Bodies, queries of URIs, annotations and addresses never reach it.
package page

import (
	_ "embed"
	"errors"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"
	"time"

	"k8ntext/contexts"
	"k8ntext/dataset/audit"
	"k8ntext/dataset/label"
	"k8ntext/plots"
)

//go:embed page.html.tmpl
var pageText string

//go:embed page.js
var script string

//go:embed page.css
var style string

// MaxEvents bounds the events of a page: browsers draw no more with ease. Contexts that persons and CI
// accounts started come first, in order of time.
const MaxEvents = 20_000

// Event is what a page shows of an event.
type Event struct {
	At                                        time.Time
	User, Verb, URI                           string // the URI without its query
	Group, Resource, Sub, Namespace, Name, UA string
	Code                                      int
	Own                                       label.Label // its own label
	Bodies                                    int         // bytes of its bodies
}

// Extract takes of an event what a page shows.
func Extract(e *audit.Event, space *label.Space) Event {
	path, _, _ := strings.Cut(e.RequestURI, "?")
	x := Event{
		At: e.RequestReceived, User: strings.Clone(e.User.Username), Verb: strings.Clone(e.Verb), URI: strings.Clone(path), UA: strings.Clone(e.UserAgent),
		Own: space.Own(e), Bodies: len(e.RequestObject) + len(e.ResponseObject),
	}
	if o := e.ObjectRef; o != nil {
		x.Group, x.Resource, x.Sub = strings.Clone(o.APIGroup), strings.Clone(o.Resource), strings.Clone(o.Subresource)
		x.Namespace, x.Name = strings.Clone(o.Namespace), strings.Clone(o.Name)
	}
	if e.ResponseStatus != nil {
		x.Code = e.ResponseStatus.Code
	}
	return x
}

// Log is what a page is about.
type Log struct {
	Name     string
	Level    string // of the reconstruction
	Space    *label.Space
	Contexts []*contexts.Context // whole ones
	Event    func(n int) *Event  // by its number; nil: it is not known
}

// view is the data of the page: texts by their number in Texts.
type view struct {
	Name     string        `json:"name"`
	Level    string        `json:"level"`
	From     int64         `json:"from"` // milliseconds of the epoch
	Texts    []string      `json:"texts"`
	Contexts []contextView `json:"contexts"`
	Left     int           `json:"left"` // contexts that are not shown
	Events   int           `json:"events"`
}

type contextView struct {
	ID, Label, Operation, Parent, Actor, As, Verb, Object int
	Group, Resource, Sub, Namespace, Name, URI            int
	Code                                                  int
	Person                                                bool
	Trigger                                               int      // index into Events; -1: not in the log
	Events                                                [][]int  // see eventColumns
	Objects                                               []int    // texts
	Provisional                                           bool     `json:",omitempty"`
	_                                                     struct{} // fields by name only
}

// eventColumns are, of each event: microseconds after From, user, verb, group, resource, subresource,
// namespace, name, URI, code, own label, reason, confidence in percent, line, bytes of bodies.
type eventColumns = []int

// HTML writes the page. It fails where there is no context.
func HTML(w io.Writer, l Log) error {
	v, err := newView(l)
	if err != nil {
		return fmt.Errorf("write the page of contexts: %w", err)
	}
	t, err := template.New("contexts").Funcs(template.FuncMap{"clean": plots.Printable}).Parse(pageText)
	if err != nil {
		return fmt.Errorf("read the page's template: %w", err)
	}
	err = t.Execute(w, map[string]any{"View": v, "Script": template.JS(script), "Style": template.CSS(style)})
	if err != nil {
		return fmt.Errorf("write the page of contexts: %w", err)
	}
	return nil
}

func newView(l Log) (*view, error) {
	if len(l.Contexts) == 0 {
		return nil, errors.New("the log has no contexts")
	}
	order := slices.Clone(l.Contexts)
	slices.SortStableFunc(order, func(a, b *contexts.Context) int {
		if a.User != b.User {
			if a.User {
				return -1
			}
			return 1
		}
		return a.First.Compare(b.First)
	})
	v := &view{Name: plots.Printable(l.Name), Level: l.Level, Texts: []string{""}}
	numbers := map[string]int{"": 0}
	text := func(s string) int {
		n, ok := numbers[s]
		if !ok {
			n = len(v.Texts)
			numbers[s] = n
			v.Texts = append(v.Texts, plots.Printable(shortened(s)))
		}
		return n
	}
	first := order[0].First
	for _, c := range order {
		if c.First.Before(first) {
			first = c.First
		}
	}
	v.From = first.UnixMilli()
	first = time.UnixMilli(v.From)
	for i, c := range order {
		if v.Events+len(c.Members) > MaxEvents && i > 0 {
			v.Left = len(order) - i
			break
		}
		x := contextView{
			ID: text(c.ID), Label: text(l.Space.Describe(c.Label)), Operation: text(c.Operation), Parent: text(c.Parent), Actor: text(c.Actor.User), As: text(c.Actor.Impersonated),
			Verb: text(c.Verb), Group: text(c.Object.Group), Resource: text(c.Object.Resource), Sub: text(c.Sub), Namespace: text(c.Object.Namespace),
			Name: text(c.Object.Name), URI: text(withoutQuery(c.URI)), Code: c.Outcome, Person: c.User, Trigger: -1, Provisional: c.Provisional,
			Events: [][]int{}, Objects: []int{},
		}
		for _, o := range c.Objects {
			x.Objects = append(x.Objects, text(strings.TrimPrefix(o.Namespace+"/"+o.Name, "/")))
		}
		for _, m := range c.Members {
			e := l.Event(m.Event)
			if e == nil {
				continue
			}
			if m.Event == c.Trigger.Event {
				x.Trigger = len(x.Events)
			}
			x.Events = append(x.Events, eventColumns{
				int(e.At.Sub(first).Microseconds()), text(e.User), text(e.Verb), text(e.Group), text(e.Resource), text(e.Sub), text(e.Namespace), text(e.Name),
				text(e.URI), e.Code, text(l.Space.Describe(e.Own)), text(m.Reason.String()), int(m.Confidence*100 + .5), m.Line, e.Bodies, text(e.UA),
			})
		}
		v.Events += len(x.Events)
		v.Contexts = append(v.Contexts, x)
	}
	slices.SortStableFunc(v.Contexts, func(a, b contextView) int { return began(a) - began(b) })
	return v, nil
}

func began(c contextView) int {
	if len(c.Events) == 0 {
		return 0
	}
	return c.Events[0][0]
}

func withoutQuery(uri string) string {
	path, _, _ := strings.Cut(uri, "?")
	return path
}

// shortened bounds a text of a log.
func shortened(s string) string {
	if r := []rune(s); len(r) > 300 {
		return string(r[:300]) + "…"
	}
	return s
}

// Drawn are the events of a context for a picture: see [plots.ContextGraph].
func Drawn(c *contexts.Context, event func(n int) *Event) []plots.ContextEvent {
	var out []plots.ContextEvent
	for _, m := range c.Members {
		e := event(m.Event)
		if e == nil {
			continue
		}
		d := plots.ContextEvent{
			Actor: e.User, Verb: e.Verb, Resource: e.Resource, Namespace: e.Namespace, Name: e.Name,
			After: max(0, e.At.Sub(c.First)), Trigger: m.Event == c.Trigger.Event,
		}
		if e.Sub != "" {
			d.Resource += "/" + e.Sub
		}
		if e.Resource == "" {
			d.Name = e.URI
		}
		out = append(out, d)
	}
	return out
}
