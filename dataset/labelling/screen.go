package labelling

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"k8ntext/dataset/audit"
	"k8ntext/dataset/identity"
)

// neighbours is how many events are shown before and behind the current one.
const neighbours = 4

// Screen shows the current event between its neighbours, with what can be answered, in lines of at
// most so many characters. Nothing in it steers a terminal, whatever the log holds; emphasis is called
// with the lines of the current event.
func (s *Session) Screen(columns int, emphasis func(string) string) string {
	var b strings.Builder
	line := func(format string, args ...any) { b.WriteString(fit(fmt.Sprintf(format, args...), columns) + "\n") }
	p := s.Progress()
	line("%d of %d answered; %d by rule, %d given, %d events in all", p.Answered, p.Asked, p.ByRule, p.Given, p.Events)
	at, ok := s.Current()
	if !ok {
		line("every event has an answer: u takes the last one back, q writes the log")
		return b.String()
	}
	line("")
	for i := max(0, at-neighbours); i < at; i++ {
		line("%s", s.neighbour(i, at))
	}
	for _, text := range s.details(at) {
		b.WriteString(emphasis(fit(text, columns)) + "\n")
	}
	for i := at + 1; i < len(s.events) && i <= at+neighbours; i++ {
		line("%s", s.neighbour(i, at))
	}
	line("")
	line("last: %s", s.lastLabels())
	for _, p := range s.Proposals() {
		line("%3s  %-59s %s", p.Key, s.describe(p.Label), p.What)
	}
	return b.String()
}

// neighbour is an event on one line: its distance in time, its request, its label so far.
func (s *Session) neighbour(i, at int) string {
	e := s.events[i]
	mark := ""
	switch {
	case s.origins[i] == Rule:
		mark = "rule"
	case s.origins[i] == Skipped:
		mark = "skipped"
	case s.labels[i] >= 0:
		mark = fmt.Sprint(int(s.labels[i]))
	}
	return fmt.Sprintf("  %9s %-7s %-7s %s by %s", delta(e.RequestReceived.Sub(s.events[at].RequestReceived)), mark, e.Verb, what(e), account(e.User.Username))
}

// account is a user's name without what all accounts of the cluster have in common.
func account(user string) string {
	return strings.TrimPrefix(strings.TrimPrefix(user, "system:"), "serviceaccount:kube-system:")
}

// delta shows a distance in time in a few characters.
func delta(d time.Duration) string {
	switch {
	case d > 100*time.Hour || d < -100*time.Hour:
		return fmt.Sprintf("%+.0fh", d.Hours())
	case d >= time.Minute || d <= -time.Minute:
		return fmt.Sprintf("%+.1fmin", d.Minutes())
	}
	return fmt.Sprintf("%+.3fs", d.Seconds())
}

// what names what a request is about.
func what(e *audit.Event) string {
	o := e.ObjectRef
	if o == nil {
		return e.RequestURI
	}
	text := o.Resource
	if o.Subresource != "" {
		text += "/" + o.Subresource
	}
	switch {
	case o.Namespace != "" && o.Name != "":
		return text + " " + o.Namespace + "/" + o.Name
	case o.Name != "":
		return text + " " + o.Name
	case o.Namespace != "":
		return text + " in " + o.Namespace
	}
	return text
}

// details are the lines about the current event (the reference's informative dict, REFERENCE 1).
func (s *Session) details(at int) []string {
	e := s.events[at]
	status := "no answer logged"
	if e.ResponseStatus != nil {
		status = strings.TrimSpace(fmt.Sprintf("%d %s", e.ResponseStatus.Code, e.ResponseStatus.Reason))
	}
	path, _, _ := strings.Cut(e.RequestURI, "?")
	user := e.User.Username
	if e.ImpersonatedUser != nil {
		user += " as " + e.ImpersonatedUser.Username
	}
	lines := []string{
		fmt.Sprintf("> %s %s", e.Verb, what(e)),
		fmt.Sprintf("  at     %s, status %s", e.RequestReceived.UTC().Format("15:04:05.000000"), status),
		"  user   " + user,
		"  agent  " + e.UserAgent,
		"  uri    " + path,
	}
	for i, link := range identity.Extract(e).Links {
		if i == 3 {
			break
		}
		lines = append(lines, fmt.Sprintf("  %-6s %s %s", relation(link.Relation), link.To.Resource, link.To.Name))
	}
	return lines
}

func relation(r identity.Relation) string {
	if r == identity.Involved {
		return "about"
	}
	return r.String()
}

// lastLabels lists the labels of the last five answers, the latest first.
func (s *Session) lastLabels() string {
	var texts []string
	for i := len(s.answers) - 1; i >= 0 && len(texts) < 5; i-- {
		if l := s.answers[i].Label; l >= 0 {
			texts = append(texts, fmt.Sprint(int(l)))
		} else {
			texts = append(texts, "skipped")
		}
	}
	if len(texts) == 0 {
		return "none"
	}
	return strings.Join(texts, ", ")
}

// fit makes a line harmless and cuts it to a number of columns.
func fit(text string, columns int) string {
	var b strings.Builder
	n := 0
	for _, r := range text {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			r = '?'
		}
		if n++; n > columns {
			return strings.TrimRight(string([]rune(b.String())[:max(0, columns-1)]), " ") + "~"
		}
		b.WriteRune(r)
	}
	return strings.TrimRight(b.String(), " ")
}
