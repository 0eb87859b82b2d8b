package truth

import (
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/labels"
)

// The rules in this file ask what changed in an object that sums up others, and what changed in these.

// lag is how late a controller may see a change: what it had not seen when it wrote last may have been
// stored before.
const lag = int64(1_000_000_000)

// endpoints is the work on the addresses of a service: of the pods that came, went or changed.
func (a *attribution) endpoints(q *Request) verdict {
	t := q.Received
	service := a.serviceOf(q)
	if service == nil { // addresses that a person wrote: the controller looks for their service
		if q.instance == nil {
			return a.soughtBefore(q)
		}
		return a.work(q.instance, t, "endpoints-of-nothing")
	}
	if q.Verb == "delete" || q.Verb == "get" {
		return a.ended(service, t, "service-endpoints").or(a.work(service, t, "service-endpoints"))
	}
	if q.Verb == "create" {
		if v := a.ended(service, t, "service-endpoints"); len(v.of) > 0 {
			return v
		}
		if !slices.ContainsFunc(a.endpointsOf(q, service), func(r *Request) bool { return r.Received < q.Received }) {
			return a.made(service, "service-endpoints")
		}
	}
	if q.sent == nil {
		return verdict{class: "endpoints"}
	}
	now := endpointStates(q.sent)
	if q.answer != nil && q.answer.Kind != "Status" {
		now = endpointStates(q.answer)
	}
	var before map[string]string
	var since int64
	switch i := q.instance; {
	case i == nil || q.Verb == "create":
		before = map[string]string{}
	default:
		o := i.ofVersion(q.sent.Metadata.Version)
		if o == nil {
			o, _ = i.before(q)
		}
		if o == nil {
			return verdict{class: "endpoints-unknown-base"}
		}
		before = endpointStates(o)
		for _, v := range i.versions {
			if v.object == o {
				since = v.request.Received
			}
		}
	}
	change := service.lastChange(t)
	if change != nil && (change.request == service.creator || change.done < since-lag) {
		change = nil
	}
	var causes []verdict
	for _, uid := range changedKeys(before, now) {
		if p := a.objects.byUID[uid]; p != nil {
			by := a.lastOf(p, since-lag, t)
			if by == nil && change == nil {
				by = a.lastOf(p, 0, t)
			}
			if by != nil {
				causes = append(causes, a.attribute(by))
				if change == nil {
					continue
				}
			}
		}
		if change != nil { // the service looks for other pods now, or in another way
			causes = append(causes, a.attribute(change.request))
		} else {
			causes = append(causes, a.work(service, t, ""))
		}
	}
	if len(causes) == 0 {
		if c := service.lastChange(t); c != nil && c.at > since {
			return a.attribute(c.request).as("service-endpoints")
		}
		return verdict{class: "endpoints-no-change"}
	}
	return either("endpoints-diff", causes...)
}

// lastChange is the last change of i itself before t.
func (i *instance) lastChange(t int64) *change {
	var last *change
	for _, c := range i.changes {
		if c.at <= t+slack {
			last = c
		}
	}
	return last
}

// lastOf is the last request that changed what others see of a pod, between two times: that it is up,
// going, or gone.
func (a *attribution) lastOf(p *instance, from, to int64) *Request {
	var last *Request
	up, seen := false, false
	for _, v := range p.versions {
		if v.at > to+slack {
			break
		}
		if v.object == nil {
			continue
		}
		w := decodeWorkload(v.object.State)
		r := w.holds("Ready")
		if (!seen || r != up || v.object.Metadata.Deleting != nil && last != nil && !isEnd(last)) && v.at > from {
			last = v.request
		}
		up, seen = r, true
	}
	for _, d := range p.deletes {
		if d.Received <= to+slack && d.Received > from && !isKubelets(d) && (last == nil || d.Received >= last.Received) {
			last = d
		}
	}
	if last == nil { // its end may have been asked for before, and be over now
		for _, d := range p.deletes {
			if d.Received <= to+slack && d.Ended > from {
				last = d
			}
		}
	}
	return last
}

func isEnd(q *Request) bool {
	return q.Verb == "delete" || q.Verb == "deletecollection" || q.Subresource == "eviction"
}

func (a *attribution) serviceOf(q *Request) *instance {
	if q.Resource == "endpoints" {
		return a.objects.at("services", q.Namespace, q.Name, q.Received, q.Ended)
	}
	for _, o := range []*object{q.answer, q.sent} {
		if o == nil {
			continue
		}
		for _, owner := range o.Metadata.Owners {
			if s := a.objects.byUID[owner.UID]; s != nil {
				return s
			}
		}
		if name := o.Metadata.Labels["kubernetes.io/service-name"]; name != "" {
			return a.objects.at("services", q.Namespace, name, q.Received, q.Ended)
		}
	}
	if q.instance != nil {
		return a.objects.byUID[q.instance.owner(q.Received)]
	}
	return nil
}

// endpointsOf are the requests that made addresses of the same kind for a service.
func (a *attribution) endpointsOf(q *Request, service *instance) []*Request {
	var list []*Request
	for _, i := range a.objects.byKind[objectKind{q.Resource, q.Namespace}] {
		if i.creator != nil && i.creator.User == q.User && i.created >= service.created && (i.name == service.name || i.owner(q.Received) == service.uid) {
			list = append(list, i.creator)
		}
	}
	return list
}

// endpointStates are the pods in a set of addresses by uid, with what is said of each.
func endpointStates(o *object) map[string]string {
	states := make(map[string]string)
	for _, e := range o.Endpoints {
		key := strings.Join(e.Addresses, ",")
		if e.Target != nil && e.Target.UID != "" {
			key = e.Target.UID
		}
		states[key] = string(e.Conditions)
	}
	for _, s := range o.Subsets {
		for n, list := range [][]endpointAddress{s.Addresses, s.NotReady} {
			for _, e := range list {
				key := e.IP
				if e.Target != nil && e.Target.UID != "" {
					key = e.Target.UID
				}
				states[key] = strconv.Itoa(n)
			}
		}
	}
	return states
}

func changedKeys(before, now map[string]string) []string {
	var keys []string
	for k, v := range now {
		if w, ok := before[k]; !ok || w != v {
			keys = append(keys, k)
		}
	}
	for k := range before {
		if _, ok := now[k]; !ok {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	return keys
}

// selector reads a label selector of the JSON form; ok is false where there is none.
func selectorOf(o *object) (labels.Selector, bool) {
	var spec struct {
		Selector struct {
			Match       map[string]string `json:"matchLabels"`
			Expressions []struct {
				Key      string   `json:"key"`
				Operator string   `json:"operator"`
				Values   []string `json:"values"`
			} `json:"matchExpressions"`
		} `json:"selector"`
	}
	decodeInto(o.Spec, &spec)
	if len(spec.Selector.Match) == 0 || len(spec.Selector.Expressions) > 0 {
		return nil, false
	}
	return labels.SelectorFromSet(spec.Selector.Match), true
}

// selects tells whether a request for a collection means an object.
func selects(uri string, i *instance, t int64) bool {
	_, query, _ := strings.Cut(uri, "?")
	for _, part := range strings.Split(query, "&") {
		value, ok := strings.CutPrefix(part, "labelSelector=")
		if !ok {
			continue
		}
		s, err := labels.Parse(unescape(value))
		o := i.object(t)
		if err != nil || o == nil {
			return true
		}
		return s.Matches(labels.Set(o.Metadata.Labels))
	}
	return true
}

// budget is the work on a PodDisruptionBudget, which counts pods: of the pods that changed since it
// counted last, of the workload that says how many there should be, or of the budget itself.
func (a *attribution) budget(q *Request) verdict {
	const class = "pdb-counts"
	i, t := q.instance, q.Received
	if i == nil {
		return a.soughtBefore(q)
	}
	if dying(i, t) {
		return a.ended(i, t, class)
	}
	base, by := i.before(q)
	if !q.ok() && q.sent != nil {
		base = i.ofVersion(q.sent.Metadata.Version)
	}
	if base == nil {
		return verdict{class: class}
	}
	var since int64
	for _, v := range i.versions {
		if v.object == base {
			by = v.request
		}
	}
	for _, v := range i.versions {
		if v.request.Subresource == "status" && v.request.User == q.User && v.request.Received < t && v.request.ok() {
			since = max(since, v.request.Received)
		}
	}
	if since == 0 {
		return a.made(i, "pdb-first-status")
	}
	var causes []verdict
	if by != nil && by.User != q.User {
		causes = append(causes, a.attribute(by)) // the budget was changed, or an eviction noted in it
	} else if c := i.lastChange(t); c != nil && c.done > since {
		causes = append(causes, a.attribute(c.request))
	}
	s, ok := selectorOf(base)
	if !ok {
		return either(class, append(causes, verdict{})...)
	}
	counted := a.counted(q, s, since)
	if len(causes)+len(counted) == 0 {
		counted = a.counted(q, s, since-lag) // it had not seen it yet
	}
	if causes = append(causes, counted...); len(causes) == 0 {
		return verdict{class: class}
	}
	return either(class, causes...)
}

// counted are the causes of what changed, since a time, in the pods that a selector means, and in the
// number that their workloads ask for.
func (a *attribution) counted(q *Request, s labels.Selector, since int64) []verdict {
	var causes []verdict
	for _, p := range a.objects.byKind[objectKind{"pods", q.Namespace}] {
		o := p.object(q.Received)
		if o == nil || !s.Matches(labels.Set(o.Metadata.Labels)) {
			continue
		}
		if r := a.lastOf(p, since, q.Received); r != nil {
			causes = append(causes, a.attribute(r))
		}
	}
	for _, kind := range []string{"deployments.apps", "replicasets.apps", "statefulsets.apps", "replicationcontrollers"} {
		for _, w := range a.objects.byKind[objectKind{kind, q.Namespace}] {
			o := w.object(q.Received)
			if o == nil || !s.Matches(labels.Set(templateLabels(o))) {
				continue
			}
			for _, c := range w.changes {
				if c.done > since && c.at <= q.Received {
					causes = append(causes, a.attribute(c.request))
				}
			}
		}
	}
	return causes
}

func templateLabels(o *object) map[string]string {
	var spec struct {
		Template struct {
			Metadata meta `json:"metadata"`
		} `json:"template"`
	}
	decodeInto(o.Spec, &spec)
	return spec.Template.Metadata.Labels
}

type quotaStatus struct {
	Used map[string]string `json:"used"`
	Hard map[string]string `json:"hard"`
}

// quotaResources are the kinds of objects that a quota's key counts.
func quotaResource(key string) string {
	if name, ok := strings.CutPrefix(key, "count/"); ok {
		return name
	}
	switch key {
	case "configmaps", "secrets", "services", "persistentvolumeclaims", "replicationcontrollers", "resourcequotas":
		return key
	case "pods", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory", "cpu", "memory":
		return "pods"
	case "services.nodeports", "services.loadbalancers":
		return "services"
	case "requests.storage":
		return "persistentvolumeclaims"
	}
	return ""
}

// quotaChange is the kind of the objects whose number a status of a quota changes; empty: not known.
func (a *attribution) quotaChange(q *Request) string {
	kinds := a.quotaChanges(q)
	if len(kinds) != 1 {
		return ""
	}
	for kind := range kinds {
		return kind
	}
	return ""
}

// quotaChanges are the kinds whose use a status changes, and by how much more or less.
func (a *attribution) quotaChanges(q *Request) map[string]int {
	if q.instance == nil || q.sent == nil || q.Subresource != "status" {
		return nil
	}
	base := q.instance.ofVersion(q.sent.Metadata.Version)
	if base == nil {
		if base, _ = q.instance.before(q); base == nil {
			return nil
		}
	}
	var before, now quotaStatus
	decodeInto(base.State, &before)
	decodeInto(q.sent.State, &now)
	kinds := make(map[string]int)
	for key, used := range now.Used {
		was, err1 := resource.ParseQuantity(before.Used[key])
		is, err2 := resource.ParseQuantity(used)
		if err1 != nil || err2 != nil {
			continue
		}
		if c := is.Cmp(was); c != 0 {
			kinds[quotaResource(key)] = c
		}
	}
	return kinds
}

// quota is the quota controller's count: of what was deleted or created since the count before.
func (a *attribution) quota(q *Request) verdict {
	const class = "quota-counts"
	i, t := q.instance, q.Received
	if i == nil {
		return a.soughtBefore(q)
	}
	if dying(i, t) {
		return a.ended(i, t, class)
	}
	var since int64
	for _, v := range i.versions {
		if v.request.Subresource == "status" && v.request.ok() && v.request.Received < t {
			since = max(since, v.request.Received)
		}
	}
	if since == 0 {
		return a.made(i, "quota-first-status")
	}
	var causes []verdict
	if c := i.lastChange(t); c != nil && c.done > since {
		causes = append(causes, a.attribute(c.request))
	}
	used := a.used(q, since)
	if len(causes)+len(used) == 0 {
		used = a.used(q, since-lag) // it had not seen it yet
	}
	causes = append(causes, used...)
	if len(causes) == 0 {
		return verdict{class: class}
	}
	return either(class, causes...)
}

// used are the causes of what came and went since a time, of the kinds whose count changed.
func (a *attribution) used(q *Request, since int64) []verdict {
	var causes []verdict
	t := q.Received
	for kind, direction := range a.quotaChanges(q) {
		for _, o := range a.objects.byKind[objectKind{kind, q.Namespace}] {
			switch {
			case direction < 0 && o.gone > since && o.gone <= t+slack, direction < 0 && kind == "pods" && finished(o, since, t):
				causes = append(causes, a.ended(o, t, "").or(a.made(o, "")))
			case direction > 0 && o.created > since && o.created <= t:
				causes = append(causes, a.made(o, ""))
			}
		}
	}
	return causes
}

// finished tells whether a pod came to its end by itself between two times.
func finished(p *instance, from, to int64) bool {
	for _, v := range p.versions {
		if v.object != nil && v.at > from && v.at <= to {
			if w := decodeWorkload(v.object.State); w.Phase == "Succeeded" || w.Phase == "Failed" {
				return true
			}
		}
	}
	return false
}

// volume is work on a claim or a volume. A binding needs both: the later of the two caused it.
func (a *attribution) volume(q *Request, worker string) verdict {
	const class = "volume"
	i, t := q.instance, q.Received
	if worker == "statefulset-controller" && (i == nil || q.Verb == "create") {
		if before := a.lastBefore(q.Resource, q.Namespace, q.Name, t); before != nil && before.asked(t) != nil {
			return a.ended(before, t, "restored") // somebody took the claim away
		}
		for _, set := range a.objects.byKind[objectKind{"statefulsets.apps", q.Namespace}] {
			if n := strings.LastIndex(q.Name, "-"+set.name+"-"); n > 0 && set.created <= t && (set.gone == 0 || set.gone > t) {
				return a.work(set, t, "owner-chain")
			}
		}
	}
	if q.sent != nil && q.Verb == "create" && len(q.sent.Metadata.Owners) > 0 {
		return a.owned(q)
	}
	if i == nil {
		return a.soughtBefore(q)
	}
	if worker == "kube-scheduler" { // it binds for the pod that waits
		var causes []verdict
		for kind, pods := range a.objects.byKind {
			if kind.resource != "pods" {
				continue
			}
			for _, p := range pods {
				claim := i.name
				if q.Resource == "persistentvolumes" {
					claim = a.claimOf(q)
				}
				if o := p.first(); o != nil && p.created <= t && p.readySince(t) == 0 && claim != "" && strings.Contains(string(o.Spec), `"`+claim+`"`) &&
					(q.Resource != "persistentvolumeclaims" || p.namespace == q.Namespace) {
					causes = append(causes, a.made(p, ""))
				}
			}
		}
		if len(causes) > 0 {
			return either(class, causes...)
		}
	}
	claim, volume := i, i
	if q.Resource == "persistentvolumes" {
		claim = a.claimInstance(q)
	} else {
		volume = a.volumeInstance(q)
	}
	// Whatever was done last to either of the two.
	var last verdict
	var at int64
	for _, x := range []*instance{claim, volume} {
		if x == nil {
			continue
		}
		if x.created <= t && x.creator != nil && x.creator != q && x.created > at {
			if v := a.made(x, class); len(v.of) > 0 {
				last, at = v, x.created
			}
		}
		if d := x.asked(t); d != nil && d.Received > at {
			last, at = a.ended(x, t, class), d.Received
		}
		if c := x.lastChange(t); c != nil && c.at > at {
			last, at = a.attribute(c.request).as(class), c.at
		}
	}
	// What the protection of claims let go is gone because of that.
	for _, x := range []*instance{claim, volume} {
		if x == nil {
			continue
		}
		for _, v := range x.versions {
			if by := v.request; strings.HasSuffix(by.User, "-protection-controller") && by != q && by.Received <= t && by.Received > at && dying(x, t) {
				last, at = a.attribute(by).as(class), by.Received
			}
		}
	}
	// A claim that is being deleted stays as long as a pod uses it.
	if worker == "pvc-protection-controller" && claim != nil {
		for _, p := range a.objects.byKind[objectKind{"pods", claim.namespace}] {
			if o := p.first(); o != nil && p.gone > at && p.gone <= t && strings.Contains(string(o.Spec), `"claimName":"`+claim.name+`"`) {
				last, at = a.ended(p, t, class), p.gone
			}
		}
	}
	return last
}

// lastBefore is the newest instance of a name that began before t.
func (a *attribution) lastBefore(resource, namespace, name string, t int64) *instance {
	var last *instance
	for _, i := range a.objects.byName[objectName{resource, namespace, name}] {
		if i.created < t-slack {
			last = i
		}
	}
	return last
}

func (a *attribution) claimReference(q *Request) *reference {
	for _, o := range []*object{q.answer, q.sent, q.instance.object(q.Received)} {
		if o == nil {
			continue
		}
		var spec struct {
			Claim *reference `json:"claimRef"`
		}
		decodeInto(o.Spec, &spec)
		if spec.Claim != nil {
			return spec.Claim
		}
	}
	return nil
}

func (a *attribution) claimOf(q *Request) string {
	if r := a.claimReference(q); r != nil {
		return r.Name
	}
	return ""
}

func (a *attribution) claimInstance(q *Request) *instance {
	r := a.claimReference(q)
	if r == nil {
		return nil
	}
	if i := a.objects.byUID[r.UID]; i != nil {
		return i
	}
	return a.objects.at("persistentvolumeclaims", r.Namespace, r.Name, q.Received, q.Received)
}

func (a *attribution) volumeInstance(q *Request) *instance {
	for _, o := range []*object{q.answer, q.sent, q.instance.object(q.Received)} {
		if o == nil {
			continue
		}
		var spec struct {
			Volume string `json:"volumeName"`
		}
		decodeInto(o.Spec, &spec)
		if spec.Volume != "" {
			return a.objects.at("persistentvolumes", "", spec.Volume, q.Received, q.Received)
		}
	}
	return nil
}
