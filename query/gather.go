package query

import "k8ntext/dataset/audit"

// gather moves the triggers of contexts side by side in memory, and makes texts that are the same one. A
// query spends most of its time on fetching triggers from where the reader left them, between bodies:
// that makes it several times as fast. The triggers become copies; bodies and other events do not.
func gather(contexts []Context) {
	n, stages, objects, statuses := 0, 0, 0, 0
	for i := range contexts {
		if e := contexts[i].Trigger; e != nil {
			n++
			stages += len(e.Stages)
			if e.ObjectRef != nil {
				objects++
			}
			if e.ResponseStatus != nil {
				statuses++
			}
		}
	}
	g := gatherer{
		events: make([]audit.Event, 0, n), stages: make([]audit.Stage, 0, stages), objects: make([]audit.ObjectRef, 0, objects),
		statuses: make([]audit.ResponseStatus, 0, statuses), same: make(map[string]string),
	}
	for i := range contexts {
		c := &contexts[i]
		g.text(&c.Label)
		g.text(&c.Operation)
		if c.Trigger != nil {
			c.Trigger = g.event(c.Trigger)
		}
	}
}

// gatherer has room for all that it takes.
type gatherer struct {
	events   []audit.Event
	stages   []audit.Stage
	objects  []audit.ObjectRef
	statuses []audit.ResponseStatus
	same     map[string]string
}

func (g *gatherer) text(s *string) {
	if one, ok := g.same[*s]; ok {
		*s = one
		return
	}
	g.same[*s] = *s
}

func (g *gatherer) event(from *audit.Event) *audit.Event {
	g.events = append(g.events, *from)
	e := &g.events[len(g.events)-1]
	for _, s := range [...]*string{&e.Level, &e.Verb, &e.User.Username, &e.UserAgent} {
		g.text(s)
	}
	at := len(g.stages)
	g.stages = append(g.stages, from.Stages...)
	e.Stages = g.stages[at:len(g.stages):len(g.stages)]
	if o := from.ObjectRef; o != nil {
		g.objects = append(g.objects, *o)
		e.ObjectRef = &g.objects[len(g.objects)-1]
		for _, s := range [...]*string{&e.ObjectRef.APIGroup, &e.ObjectRef.Resource, &e.ObjectRef.Subresource, &e.ObjectRef.Namespace} {
			g.text(s)
		}
	}
	if s := from.ResponseStatus; s != nil {
		g.statuses = append(g.statuses, *s)
		e.ResponseStatus = &g.statuses[len(g.statuses)-1]
	}
	return e
}
