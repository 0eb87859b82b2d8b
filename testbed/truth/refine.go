package truth

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// refine looks closer where a workload was changed again before the controllers were done with the
// change before: a write says which generation of the workload it has seen, a new replica set which
// template it is of, and pods are made and removed one for one as they are missing or too many. The
// answer counts only if it is one of those that were possible.
func (a *attribution) refine(q *Request, v verdict) verdict {
	if v.sure() || len(v.of) < 2 {
		return v
	}
	var closer verdict
	i := q.instance
	switch worker := q.worker(); {
	case isTransient(q.Resource):
		if about, _ := a.aboutObject(q); about != nil && !a.ends(about, q.Received) {
			closer = a.scalingEvent(q)
		}
	case q.Resource == "pods" && (q.Verb == "create" || q.Verb == "delete") && strings.HasSuffix(worker, "-controller"):
		closer = a.replica(q)
	case i == nil:
	case i.resource == "pods" && isTreeWorker(q) && i.lastChange(q.Received) != nil && worker != "kubelet": // it was changed itself
		closer = a.attribute(i.lastChange(q.Received).request)
	case q.Subresource == "status" && q.Verb != "get" && isTreeWorker(q):
		closer = a.observed(q, i)
	case q.Resource == "replicasets.apps" && worker == "deployment-controller" && !a.ends(i, q.Received):
		closer = a.replicaSet(q, i)
	}
	if closer.sure() && slices.Contains(v.of, closer.of[0]) {
		return closer.as(v.class + "-refined")
	}
	return v
}

// ends tells whether the end of the tree of i, or of its namespace, was asked for before t: then a
// rollout may go on because pods go.
func (a *attribution) ends(i *instance, t int64) bool {
	tree := a.trees[a.root(i, t)]
	return tree != nil && slices.ContainsFunc(tree.changes, func(c *change) bool { return c.end && c.at <= t })
}

// observed is the cause of a status: the changes of the spec that it is the first to have seen, else
// what changed below since the status before.
func (a *attribution) observed(q *Request, i *instance) verdict {
	if q.sent == nil {
		return verdict{}
	}
	base := i.ofVersion(q.sent.Metadata.Version)
	if base == nil {
		if base, _ = i.before(q); base == nil {
			return verdict{}
		}
	}
	was, now := decodeWorkload(base.State).Observed, decodeWorkload(q.sent.State).Observed
	var causes []verdict
	if now > was {
		for _, by := range i.generations(was, now) {
			causes = append(causes, a.attribute(by))
		}
		return either("", causes...)
	}
	since := int64(0)
	for _, v := range i.versions {
		if r := v.request; r.User == q.User && r.Subresource == "status" && r.ok() && r.Received < q.Received {
			since = max(since, r.Received)
		}
	}
	for _, child := range i.children {
		switch child.resource {
		case "pods":
			if by := a.lastOf(child, since, q.Received); by != nil {
				causes = append(causes, a.attribute(by))
			}
		case "replicasets.apps":
			for _, v := range child.versions {
				if r := v.request; r.Subresource == "status" && r.ok() && r.Ended > since && r.Received < q.Received {
					causes = append(causes, a.attribute(r))
				}
			}
		}
	}
	return either("", causes...)
}

// history are the states of i in the order in which they were stored. A request for another scale
// answers with the number alone: its state is the one before with that number.
func (i *instance) history() []version {
	list := slices.DeleteFunc(slices.Clone(i.versions), func(v version) bool {
		return v.object == nil && (v.request.answer == nil || v.request.Subresource != "scale")
	})
	stored := func(v version) int64 {
		if v.object == nil {
			return revision(v.request.answer)
		}
		return revision(v.object)
	}
	slices.SortStableFunc(list, func(x, y version) int { return cmp.Compare(stored(x), stored(y)) })
	for n, v := range list {
		if v.object != nil || n == 0 || list[n-1].object == nil {
			continue
		}
		number, ok := replicas(v.request.answer)
		o := *list[n-1].object
		if before, _ := replicas(&o); ok && before != number && len(o.Spec) > 2 {
			o.Spec = append(slices.Clone(o.Spec[:len(o.Spec)-1]), fmt.Sprintf(`,"replicas":%d}`, number)...) // the later one counts
			o.Metadata.Generation++
		}
		o.Metadata.Version = v.request.answer.Metadata.Version
		list[n].object = &o
	}
	return slices.DeleteFunc(list, func(v version) bool { return v.object == nil })
}

// generations are the requests that made the generations of i from after one to another.
func (i *instance) generations(after, to int64) []*Request {
	var by []*Request
	for _, v := range i.history() {
		if g := v.object.Metadata.Generation; g > after && g <= to {
			after = g
			by = append(by, v.request)
		}
	}
	return by
}

// replicas is the number that the spec of an object asks for; ok is false where it is not told.
func replicas(o *object) (n int64, ok bool) {
	if o == nil {
		return 0, false
	}
	if w := decodeWorkload(o.Spec); w.Replicas != nil {
		return *w.Replicas, true
	}
	return 0, false
}

// template is the pod template of a workload as its text.
func template(o *object) string {
	var spec struct {
		Template struct {
			Spec any `json:"spec"`
			Meta struct {
				Annotations map[string]string `json:"annotations"`
			} `json:"metadata"`
		} `json:"template"`
	}
	decodeInto(o.Spec, &spec)
	return canonical(spec.Template)
}

// altered are the changes of i up to t that changed what f tells of it, its creation the first. Where
// f says nothing, nothing is changed.
func (i *instance) altered(t int64, f func(*object) string) []*Request {
	var by []*Request
	last := ""
	for _, v := range i.history() {
		if v.request.Received > t {
			continue
		}
		if text := f(v.object); text != last && text != "" {
			last = text
			by = append(by, v.request)
		}
	}
	return by
}

// replicaSet is the deployment controller's work on a replica set: made for a template, grown and
// shrunk for a number of replicas, or in the course of a rollout.
func (a *attribution) replicaSet(q *Request, i *instance) verdict {
	d := a.objects.byUID[i.owner(q.Received)]
	if d == nil || d.resource != "deployments.apps" {
		return verdict{}
	}
	templates := d.altered(q.Received, func(o *object) string {
		if spec := decodeWorkload(o.Spec); spec.Paused {
			return "" // it counts from the moment of resuming
		}
		return template(o)
	})
	if len(templates) == 0 {
		return verdict{}
	}
	rollout := templates[len(templates)-1]
	if q.Verb == "create" {
		return a.attribute(rollout)
	}
	before, _ := i.before(q)
	was, ok1 := replicas(before)
	is, ok2 := replicas(q.sent)
	if !ok1 || !ok2 || was == is {
		return verdict{}
	}
	sizes := d.altered(q.Received, func(o *object) string {
		n, _ := replicas(o)
		return strconv.FormatInt(n, 10)
	})
	alone := true
	for _, other := range d.children {
		if n, ok := replicas(other.object(q.Received)); other != i && other.resource == "replicasets.apps" && other.created <= q.Received && (!ok || n > 0) {
			alone = false
		}
	}
	last := sizes[len(sizes)-1]
	switch {
	case alone && last.Received > rollout.Received:
		return a.attribute(last)
	case last.Received <= rollout.Received:
		return a.attribute(rollout)
	}
	return verdict{}
}

var scaledSet = regexp.MustCompile(`replica set (\S+?)(?: from \d+)? to (\d+)`)

// scalingEvent is the Event of what the deployment controller did to a replica set.
func (a *attribution) scalingEvent(q *Request) verdict {
	i, e := a.aboutObject(q)
	if i == nil || e == nil || i.resource != "deployments.apps" {
		return verdict{}
	}
	m := scaledSet.FindStringSubmatch(e.Message + e.Note)
	if m == nil {
		return verdict{}
	}
	set := a.objects.at("replicasets.apps", i.namespace, m[1], q.Received, q.Received)
	if set == nil {
		return verdict{}
	}
	var last *Request
	for _, v := range set.versions {
		r := v.request
		if n, ok := replicas(v.object); ok && strconv.FormatInt(n, 10) == m[2] && r.worker() == "deployment-controller" && r.Subresource == "" &&
			r.changes() && r.Received <= q.Received && (last == nil || r.Received > last.Received) {
			last = r
		}
	}
	if last == nil {
		return verdict{}
	}
	return a.attribute(last)
}

// replica is a pod that a controller makes or removes. Each stands for one that was missing, or was
// too many, since a request that changed the number, or removed a pod.
func (a *attribution) replica(q *Request) verdict {
	var w *instance
	if q.Verb == "create" && q.sent != nil {
		for _, o := range q.sent.Metadata.Owners {
			w = a.objects.byUID[o.UID]
		}
	} else if q.instance != nil {
		w = a.objects.byUID[q.instance.owner(q.Received)]
	}
	if w == nil {
		return verdict{}
	}
	switch w.resource {
	case "replicasets.apps", "replicationcontrollers", "statefulsets.apps":
	default:
		return verdict{}
	}
	if w.resource == "statefulsets.apps" && q.Verb == "create" { // its pods have names for life
		if before := a.lastBefore("pods", q.Namespace, q.Name, q.Received); before != nil && before.asked(q.Received) != nil {
			return a.ended(before, q.Received, "")
		}
	}
	type step struct {
		at      int64
		missing int64 // pods; negative: too many
		by      *Request
	}
	var steps []step
	number := int64(0)
	for _, v := range w.history() {
		if n, ok := replicas(v.object); ok && n != number && v.request.changes() {
			steps = append(steps, step{v.request.Received, n - number, v.request})
			number = n
		}
	}
	for _, p := range w.children {
		if p.resource != "pods" {
			continue
		}
		if p.creator != nil && p.creator != q && p.creator.User == q.User {
			steps = append(steps, step{p.created, -1, p.creator})
		}
		if d := p.asked(q.Received); d != nil && d != q {
			steps = append(steps, step{d.Received, 1, d})
		}
		for _, o := range p.owners { // a changed label sets a pod free
			if c := p.lastChange(o.at); o.uid == "" && c != nil && p.owners[0].uid == w.uid {
				steps = append(steps, step{c.at, 1, c.request})
				break
			}
		}
	}
	slices.SortStableFunc(steps, func(x, y step) int { return cmp.Compare(x.at, y.at) })
	var open []step // what is missing or too many, and since which request
	for _, s := range steps {
		if s.at > q.Received || s.at == q.Received && s.by.User == q.User {
			break
		}
		for s.missing != 0 {
			if len(open) == 0 || open[0].missing > 0 == (s.missing > 0) {
				open = append(open, s)
				break
			}
			n := min(abs(open[0].missing), abs(s.missing))
			if open[0].missing > 0 {
				n = -n
			}
			open[0].missing += n
			s.missing -= n
			if open[0].missing == 0 {
				open = open[1:]
			}
		}
	}
	var causes []verdict
	for _, s := range open {
		if (s.missing > 0) == (q.Verb == "create") {
			causes = append(causes, a.attribute(s.by))
		}
	}
	return either("", causes...)
}

func abs(n int64) int64 { return max(n, -n) }
