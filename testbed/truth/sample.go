package truth

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// Sampled is an effect with the facts by which a person can judge its attribution.
type Sampled struct {
	ID          string   `json:"auditID"`
	At          string   `json:"at"`
	Event       string   `json:"event"`
	Attribution string   `json:"attribution"`
	Context     string   `json:"context"`
	Cause       string   `json:"cause"` // the command and the trigger
	Facts       []string `json:"facts"`
}

// Sample draws n effects by a seed, as many of each attribution class as of the others as far as it
// has them: else nearly all would be of two or three classes.
func (r *Recording) Sample(n int, seed uint64) []Sampled {
	rng := rand.New(rand.NewPCG(seed, 1))
	byClass := make(map[string][]*Request)
	for _, q := range r.Log.Requests {
		c := q.verdict.context()
		if c == nil || q.command != nil || c.dropped || c.Command == nil && c.clock == "" && len(c.Requests) == 1 {
			continue
		}
		class := strings.TrimSuffix(q.verdict.class, "+window")
		byClass[class] = append(byClass[class], q)
	}
	var classes []string
	for class, list := range byClass {
		classes = append(classes, class)
		_ = list
	}
	slices.Sort(classes)
	for _, class := range classes {
		list := byClass[class]
		rng.Shuffle(len(list), func(i, k int) { list[i], list[k] = list[k], list[i] })
	}
	var drawn []*Request
	for round := 0; len(drawn) < n; round++ {
		before := len(drawn)
		for _, class := range classes {
			if round < len(byClass[class]) && len(drawn) < n {
				drawn = append(drawn, byClass[class][round])
			}
		}
		if len(drawn) == before {
			break
		}
	}
	slices.SortFunc(drawn, func(a, b *Request) int { return cmp.Compare(a.Received, b.Received) })
	out := make([]Sampled, len(drawn))
	for i, q := range drawn {
		out[i] = r.facts(q)
	}
	return out
}

// Find is the sample of the requests with an audit id.
func (r *Recording) Find(id string) []Sampled {
	var out []Sampled
	for _, q := range r.Log.Requests {
		if q.ID == id {
			out = append(out, r.facts(q))
		}
	}
	return out
}

func (r *Recording) facts(q *Request) Sampled {
	s := Sampled{ID: q.ID, At: clock(q.Received), Event: q.describe(), Attribution: q.verdict.class}
	if c := q.verdict.context(); c != nil {
		s.Context = c.ID
		if c.Command != nil {
			s.Cause = fmt.Sprintf("%s %s: ", c.Command.Tool, strings.Join(c.Command.Argv, " "))
		} else if c.clock != "" {
			s.Cause = c.clock + ": "
		}
		if c.Trigger != nil {
			s.Cause += fmt.Sprintf("%s at %s, %.3f s before", c.Trigger.describe(), clock(c.Trigger.Received), float64(q.Received-c.Trigger.Received)/1e9)
		}
	} else {
		s.Context = "one of " + strings.Join(candidates(q.verdict), ", ")
	}
	add := func(format string, args ...any) { s.Facts = append(s.Facts, fmt.Sprintf(format, args...)) }
	i := q.instance
	if isTransient(q.Resource) {
		about, e := r.found.aboutObject(q)
		if e != nil {
			add("Event %s: %s%s", e.Reason, e.Message, e.Note)
		}
		i = about
	}
	if i == nil && q.sent != nil {
		for _, o := range q.sent.Metadata.Owners {
			add("names its owner %s %s", o.Kind, o.Name)
			i = r.found.objects.byUID[o.UID]
		}
	}
	for depth := 0; i != nil && depth < 4; depth++ {
		add("%s %s/%s %s", i.resource, i.namespace, i.name, i.life(q.Received))
		for _, c := range i.changes {
			if c.at <= q.Received+slack && c.request != i.creator {
				add("  changed by %s of %s at %s", c.request.describe(), contextID(c.request), clock(c.at))
			}
		}
		owner := r.found.objects.byUID[i.owner(q.Received)]
		if owner == nil {
			if d := r.found.deletion(i.namespace, q.Received); d != nil {
				add("namespace %s being deleted by %s since %s", i.namespace, contextID(d), clock(d.Received))
			}
		}
		i = owner
	}
	if at := r.Journal.at(q.Received); at != nil {
		add("the last command that had started is %s, %.3f s before: %s", at.ID, float64(q.Received-at.Start.UnixNano())/1e9, strings.Join(at.Argv, " "))
	}
	return s
}

func (i *instance) life(t int64) string {
	var b strings.Builder
	if i.creator != nil {
		fmt.Fprintf(&b, "made by %s (%s) at %s", i.creator.worker(), contextID(i.creator), clock(i.created))
	} else {
		b.WriteString("was there before")
	}
	if up := i.readySince(t); i.resource == "pods" && up != 0 {
		fmt.Fprintf(&b, ", up at %s", clock(up))
	}
	if d := i.asked(t); d != nil {
		fmt.Fprintf(&b, ", deletion asked by %s (%s) at %s", d.worker(), contextID(d), clock(d.Received))
	}
	return b.String()
}

func contextID(q *Request) string {
	if c := q.verdict.context(); c != nil {
		return c.ID
	}
	return "ambiguous"
}

func (q *Request) describe() string {
	uri, _, _ := strings.Cut(q.URI, "?")
	return fmt.Sprintf("%s %s %s %d", q.worker(), q.Verb, uri, q.Code)
}
