package truth

import (
	"cmp"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Route compares the identity of objects, which gave the truth, with another way to find the command
// that caused an event. Only events that identity ties to a person's command, and that this person's
// process did not send itself, are compared.
type Route struct {
	Name    string      `json:"name"`
	About   string      `json:"about"`
	Classes []Agreement `json:"classes"` // by attribution
}

// Agreement is how often a route and identity agree on the events of one attribution class.
type Agreement struct {
	Class    string   `json:"class"`
	Events   int      `json:"events"`
	Agree    int      `json:"agree"`
	Disagree int      `json:"disagree"`
	Silent   int      `json:"silent"` // the route says nothing
	Examples []string `json:"examples,omitempty"`
}

// Sum adds up all classes.
func (r *Route) Sum() Agreement {
	sum := Agreement{Class: "all"}
	for _, c := range r.Classes {
		sum.Events += c.Events
		sum.Agree += c.Agree
		sum.Disagree += c.Disagree
		sum.Silent += c.Silent
	}
	return sum
}

// route compares with what says of a request which command caused it. ok is false where it is silent.
func (r *Recording) route(name, about string, says func(q *Request, truth *Command) (agrees, ok bool)) Route {
	byClass := make(map[string]*Agreement)
	for _, q := range r.Log.Requests {
		c := q.verdict.context()
		if c == nil || c.Command == nil || q.command != nil {
			continue
		}
		class := strings.TrimSuffix(q.verdict.class, "+window")
		a := byClass[class]
		if a == nil {
			a = &Agreement{Class: class}
			byClass[class] = a
		}
		a.Events++
		switch agrees, ok := says(q, c.Command); {
		case !ok:
			a.Silent++
		case agrees:
			a.Agree++
		default:
			a.Disagree++
			if len(a.Examples) < 5 {
				a.Examples = append(a.Examples, q.ID)
			}
		}
	}
	out := Route{Name: name, About: about}
	for _, a := range byClass {
		out.Classes = append(out.Classes, *a)
	}
	slices.SortFunc(out.Classes, func(a, b Agreement) int {
		return cmp.Or(cmp.Compare(b.Events, a.Events), cmp.Compare(a.Class, b.Class))
	})
	return out
}

// schedule is the route of sequential recordings: an event belongs to the command that ran last, as
// long as the log had not fallen quiet after it.
func (r *Recording) schedule() Route {
	return r.route("schedule", "the command that ran when the event came, alone, until the log was quiet; reads the journal and the time of the event",
		func(q *Request, truth *Command) (bool, bool) {
			c := r.Journal.at(q.Received)
			if c == nil || q.Received > c.Quiet.UnixNano() {
				return false, false // after all was quiet: neither of them
			}
			return c == truth, true
		})
}

// taints are the tokens that show in the lines of each request.
func (r *Recording) taints() (map[*Request][]string, error) {
	words := r.Journal.knownTokens()
	byLine := make(map[int]*Request, r.Log.Lines)
	for _, q := range r.Log.Requests {
		for _, n := range q.Lines {
			byLine[n] = q
		}
	}
	found := make(map[*Request][]string)
	n := -1
	err := EachLine(r.auditFile(), func(line []byte) error {
		n++
		q := byLine[n]
		if q == nil {
			return nil
		}
		eachWord(line, func(word []byte) {
			if words[string(word)] && !slices.Contains(found[q], string(word)) {
				found[q] = append(found[q], string(word))
			}
		})
		return nil
	})
	return found, err
}

func (r *Recording) auditFile() string {
	file := filepath.Join(r.Dir, AuditFile)
	if !exists(file) && exists(file+".zst") {
		return file + ".zst"
	}
	return file
}

// tokens are those of the objects that a command made, or named: by its journal entry and its
// arguments, but for the namespace in which it worked.
func (c *Command) tokens(known map[string]bool) []string {
	var list []string
	add := func(token string) {
		if known[token] && !slices.Contains(list, token) {
			list = append(list, token)
		}
	}
	add(c.Token)
	for _, n := range c.Names {
		add(tokenOf(n))
	}
	for k, arg := range c.Argv {
		if k > 0 && (c.Argv[k-1] == "-n" || c.Argv[k-1] == "--namespace") || strings.HasPrefix(arg, "--namespace=") {
			continue
		}
		eachWord([]byte(inNamespace.ReplaceAllString(arg, "$1")), func(word []byte) { add(string(word)) })
	}
	return list
}

// inNamespace is the part of a path that says where an object lies.
var inNamespace = regexp.MustCompile(`/namespaces/[^/ ]+(/[^/ ]+)`)

// knownTokens are all tokens of the journal.
func (j *Journal) knownTokens() map[string]bool {
	known := make(map[string]bool)
	for _, c := range j.Commands {
		if c.Token != "" {
			known[c.Token] = true
		}
		for _, n := range c.Names {
			if token := tokenOf(n); token != "" {
				known[token] = true
			}
		}
	}
	return known
}

// taint are two routes over the tokens that travelled through names, labels and annotations into an
// event's lines: whether the command that caused the event, by identity, handled any of the objects
// whose tokens show; and whether it was the last one that did and that changed anything.
func (r *Recording) taint() ([]Route, error) {
	found, err := r.taints()
	if err != nil {
		return nil, err
	}
	changed := make(map[*Command]bool)
	for _, q := range r.Log.Requests {
		if q.command != nil && q.changes() && q.ok() {
			changed[q.command] = true
		}
	}
	known := r.Journal.knownTokens()
	handlers := make(map[string][]*Command) // by start
	for _, c := range r.Journal.Commands {
		for _, token := range c.tokens(known) {
			handlers[token] = append(handlers[token], c)
		}
	}
	places := make(map[string][]string) // tokens in the names of namespaces
	for _, q := range r.Log.Requests {
		if _, seen := places[q.Namespace]; !seen {
			places[q.Namespace] = []string{}
			eachWord([]byte(q.Namespace), func(word []byte) { places[q.Namespace] = append(places[q.Namespace], string(word)) })
		}
	}
	// A command such as "delete pods --all" or a drain names nothing of what it does.
	nameless := func(c *Command) bool { return len(c.tokens(known)) == 0 || isOne(c) }
	any := r.route("taint", "the command handled an object of which the token shows in the event; reads the journal and the text of the lines; silent on commands that do not name what they change",
		func(q *Request, truth *Command) (bool, bool) {
			if nameless(truth) {
				return false, false
			}
			said := false
			for _, token := range found[q] {
				if slices.Contains(handlers[token], truth) {
					return true, true
				}
				said = said || !slices.Contains(places[q.Namespace], token)
			}
			return false, said // the namespace's own token alone tells nothing of what is in it
		})
	last := r.route("taint-last", "and no later command changed any such object before the event came; reads the time of the event too",
		func(q *Request, truth *Command) (bool, bool) {
			if nameless(truth) {
				return false, false
			}
			var last *Command
			for _, token := range found[q] {
				for _, c := range handlers[token] {
					if changed[c] && c.Start.UnixNano() <= q.Received && (last == nil || c.Start.After(last.Start)) {
						last = c
					}
				}
			}
			if last != truth && !slices.ContainsFunc(found[q], func(token string) bool { return !slices.Contains(places[q.Namespace], token) }) {
				return false, false
			}
			return last == truth, last != nil
		})
	return []Route{any, last}, nil
}

// Routes compares identity with all routes that the recording allows.
func (r *Recording) Routes() ([]Route, error) {
	routes, err := r.taint()
	if err != nil {
		return nil, err
	}
	if r.Journal.Sequential() {
		routes = append([]Route{r.schedule()}, routes...)
	}
	return routes, nil
}
