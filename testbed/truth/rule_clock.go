package truth

import (
	"fmt"
	"net/url"
	"strings"

	"k8s.io/apimachinery/pkg/labels"
)

func unescape(s string) string {
	if u, err := url.QueryUnescape(s); err == nil {
		return u
	}
	return s
}

// roundLength is how far the requests of one look of the autoscaler lie apart at most; it looks at
// every autoscaler each 15 s.
const roundLength = int64(4_000_000_000)

// autoscaler is a request of the horizontal pod autoscaler: for which autoscaler, and in which of its
// rounds. The first round after a person's change of the autoscaler belongs to that change, each later
// one is a context of its own that a clock started.
func (a *attribution) autoscaler(q *Request) verdict {
	const class = "hpa"
	if strings.HasPrefix(q.Resource, "horizontalpodautoscalers.") {
		if q.instance == nil {
			return a.soughtBefore(q)
		}
		return a.round(q, q.instance)
	}
	var found []*instance
	for _, h := range a.objects.byKind[objectKind{"horizontalpodautoscalers.autoscaling", q.Namespace}] {
		if h.created > q.Received || h.gone != 0 && h.gone < q.Received {
			continue
		}
		if a.scales(h, q) {
			found = append(found, h)
		}
	}
	if len(found) == 0 {
		return verdict{class: class}
	}
	var causes []verdict
	for _, h := range found {
		causes = append(causes, a.round(q, h))
	}
	return either(class, causes...)
}

// scales tells whether a request is about what an autoscaler scales: the target, or its pods.
func (a *attribution) scales(h *instance, q *Request) bool {
	o := h.object(q.Received)
	if o == nil {
		if o = h.first(); o == nil {
			return false
		}
	}
	var spec struct {
		Target reference `json:"scaleTargetRef"`
	}
	decodeInto(o.Spec, &spec)
	if q.Subresource == "scale" || q.Name != "" && !strings.HasPrefix(q.Resource, "pods") {
		return spec.Target.Name == q.Name
	}
	_, query, _ := strings.Cut(q.URI, "?")
	for _, part := range strings.Split(query, "&") {
		if value, ok := strings.CutPrefix(part, "labelSelector="); ok {
			s, err := labels.Parse(unescape(value))
			target := a.objects.at(a.objects.kinds[spec.Target.Kind], q.Namespace, spec.Target.Name, q.Received, q.Received)
			if err != nil || target == nil {
				return false
			}
			if t := target.object(q.Received); t != nil {
				return s.Matches(labels.Set(templateLabels(t)))
			}
		}
	}
	return false
}

// round is the round of an autoscaler in which a request lies.
func (a *attribution) round(q *Request, h *instance) verdict {
	const class = "hpa"
	t := q.Received
	if dying(h, t) {
		return a.ended(h, t, class)
	}
	c := h.lastChange(t)
	starts := a.roundsOf(h)
	begin := int64(0)
	for _, s := range starts {
		if s > t+slack {
			break
		}
		begin = s
	}
	if c != nil {
		first := int64(0)
		for _, s := range starts {
			if s >= c.at {
				first = s
				break
			}
		}
		if begin < c.at || begin == first {
			return a.attribute(c.request).as(class)
		}
	}
	if begin == 0 {
		return a.made(h, class)
	}
	return a.clock(fmt.Sprintf("hpa %s %d", h.uid, begin), a.work(h, t, ""), "clock:hpa")
}

// roundsOf are the times at which the autoscaler controller began to look at h.
func (a *attribution) roundsOf(h *instance) []int64 {
	if starts, ok := a.rounds[h]; ok {
		return starts
	}
	var starts []int64
	last := int64(0)
	for _, q := range a.byWorker["system:serviceaccount:kube-system:horizontal-pod-autoscaler"] {
		if q.Namespace != h.namespace || q.Received < h.created {
			continue
		}
		mine := q.instance == h || isTransient(q.Resource) && a.eventOf(q) == h || !strings.HasPrefix(q.Resource, "horizontalpod") && !isTransient(q.Resource) && a.scales(h, q)
		if !mine {
			continue
		}
		if last == 0 || q.Received-last > roundLength {
			starts = append(starts, q.Received)
		}
		last = q.Received
	}
	if a.rounds == nil {
		a.rounds = make(map[*instance][]int64)
	}
	a.rounds[h] = starts
	return starts
}

func (a *attribution) eventOf(q *Request) *instance {
	i, _ := a.aboutObject(q)
	return i
}

// cronJob is the cron job controller's work: each job that its clock starts begins a context, which
// the later work on the cron job belongs to as far as it is about that job.
func (a *attribution) cronJob(q *Request) verdict {
	t, i := q.Received, q.instance
	if strings.HasPrefix(q.Resource, "jobs.") {
		switch {
		case q.Verb == "create":
			key := q.Name
			var parent verdict
			if q.sent != nil {
				for _, o := range q.sent.Metadata.Owners {
					if owner := a.objects.byUID[o.UID]; owner != nil {
						key, parent = o.UID+" "+key, a.work(owner, t, "")
					}
				}
			}
			return a.clock("cron "+key, parent, "clock:cronjob")
		case i == nil:
			return a.soughtBefore(q)
		case q.Verb == "delete": // old jobs go when a new one is over
			if newest := a.newestJob(i.owner(t), t); newest != nil && newest != i {
				return a.made(newest, "job-history")
			}
			return a.work(i, t, "owner-chain")
		}
		return a.made(i, "owner-chain")
	}
	if i == nil {
		return a.soughtBefore(q)
	}
	// What happened last to the cron job or to one of its jobs.
	v, at := a.work(i, t, "owner-chain").or(a.made(i, "owner-chain")), i.created
	if c := i.lastChange(t); c != nil {
		at = c.at
	}
	for _, job := range i.children {
		if job.resource != "jobs.batch" {
			continue
		}
		if job.created <= t+slack && job.created > at && job.creator != nil {
			v, at = a.made(job, "cronjob-status"), job.created
		}
		if d := job.asked(t); d != nil && d.Received > at && d.worker() != "cronjob-controller" {
			v, at = a.ended(job, t, "cronjob-status"), d.Received
		}
		for _, state := range job.versions {
			if state.at > at && state.at <= t && state.object != nil && decodeWorkload(state.object.State).finished() {
				v, at = a.made(job, "cronjob-status"), state.at
				break // it was not over before
			}
		}
	}
	return v
}

func (w workload) finished() bool {
	return w.Completed != "" || w.holds("Complete") || w.holds("Failed")
}

// newestJob is the job that the clock of a cron job started last before t.
func (a *attribution) newestJob(owner string, t int64) *instance {
	cron := a.objects.byUID[owner]
	if cron == nil {
		return nil
	}
	var newest *instance
	for _, job := range cron.children {
		if job.created <= t+slack && job.resource == "jobs.batch" && job.creator != nil && job.creator.worker() == "cronjob-controller" {
			newest = job
		}
	}
	return newest
}
