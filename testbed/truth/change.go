package truth

import (
	"cmp"
	"slices"
	"strings"
)

// change is a request that gives the controllers of a tree of objects something to do, made by
// somebody else than these controllers.
type change struct {
	at      int64 // received
	done    int64
	request *Request
	on      *instance
	end     bool // of the root itself, or of all in its namespace
}

// time is when the change came; 0 where there is none.
func (c *change) time() int64 {
	if c == nil {
		return 0
	}
	return c.at
}

// tree is an object that nothing owns, with all that it owns directly or indirectly. Controllers work
// on a tree because it was changed.
type tree struct {
	root    *instance
	changes []*change // by time
	work    []int64   // when a controller's request about it ended
	still   []int8    // by change: was all work done when it came; 0 not asked yet, 1 yes, 2 no
}

// root climbs from an object to what the controllers' work on it is for, at a time. Objects that a
// clock makes are roots of their own, and so is what is owned but driven by itself.
func (a *attribution) root(i *instance, t int64) *instance {
	for depth := 0; depth < 16; depth++ {
		if i.resource == "jobs.batch" || i.resource == "endpointslices.discovery.k8s.io" || i.resource == "nodes" {
			return i
		}
		owner := a.objects.byUID[i.owner(t)]
		if owner == nil || owner.resource == "nodes" {
			return i
		}
		i = owner
	}
	return i
}

func (a *attribution) tree(root *instance) *tree {
	t := a.trees[root]
	if t == nil {
		t = &tree{root: root}
		a.trees[root] = t
	}
	return t
}

// isWorker tells of components whose writes about a tree are answers to changes, never causes.
func (a *attribution) isExternal(q *Request) bool {
	if q.command != nil {
		return true
	}
	switch q.worker() {
	case "horizontal-pod-autoscaler":
		return q.Subresource == "scale"
	case "node-controller": // it says of pods on a dead node that they are not ready
		return q.Verb == "delete" || q.Resource == "pods" && q.Subresource == "status"
	case "kube-scheduler", "taint-eviction-controller", "pod-garbage-collector", "ttl-after-finished-controller":
		return q.Verb == "delete"
	case "cronjob-controller":
		return strings.HasPrefix(q.Resource, "jobs.") && (q.Verb == "create" || q.Verb == "delete")
	}
	return false
}

// gather finds all changes and the work on every tree.
func (a *attribution) gather() {
	// A change without effect answers with a version that was there before it came.
	type stored struct{ uid, version string }
	versionOf := func(q *Request) stored {
		if q.instance == nil || q.answer == nil || !q.ok() || q.answer.Kind == "Status" {
			return stored{}
		}
		return stored{q.instance.uid, q.answer.Metadata.Version}
	}
	seen := make(map[stored]int64) // since when
	for _, q := range a.log.Requests {
		if v := versionOf(q); v.version != "" {
			if at, ok := seen[v]; !ok || q.Ended < at {
				seen[v] = q.Ended
			}
		}
	}
	for _, q := range a.log.Requests {
		i := q.instance
		if i == nil {
			continue
		}
		if q.took() && a.isExternal(q) && (answersWithObject(q.Subresource) || q.Subresource == "scale" || q.Subresource == "eviction") {
			deletes := q.Verb == "delete" || q.Subresource == "eviction"
			switch {
			case (q.Verb == "patch" || q.Verb == "update") && versionOf(q).version != "" && seen[versionOf(q)] < q.Received:
			case deletes && i.asked(q.Received) != q: // it was already being deleted
			default:
				i.changes = append(i.changes, &change{at: q.Received, done: q.Ended, request: q, on: i, end: q.Verb == "delete"})
			}
		}
	}
	for _, q := range a.log.Requests {
		if q.Verb == "deletecollection" && q.took() && q.command != nil {
			for _, i := range a.objects.byKind[objectKind{q.Resource, q.Namespace}] {
				if i.asked(q.Received) == q {
					i.changes = append(i.changes, &change{at: q.Received, done: q.Ended, request: q, on: i, end: true})
				}
			}
		}
	}

	for _, i := range sortedInstances(a.objects.byUID) {
		for _, c := range i.changes {
			root := a.root(i, c.at)
			t := a.tree(root)
			own := *c
			own.end = c.end && root == i
			t.changes = append(t.changes, &own)
		}
		if i.resource == "namespaces" {
			a.endNamespace(i)
		}
	}
	a.nodeChanges()
	for _, t := range a.trees {
		slices.SortStableFunc(t.changes, func(x, y *change) int { return cmp.Compare(x.at, y.at) })
		t.still = make([]int8, len(t.changes))
	}

	for _, q := range a.log.Requests {
		if q.command != nil || q.Verb == "watch" || !isTreeWorker(q) || a.isExternal(q) {
			continue
		}
		i := q.instance
		if isTransient(q.Resource) && q.changes() {
			i, _ = a.aboutObject(q)
		}
		if i == nil && q.Verb == "create" && q.sent != nil {
			for _, o := range q.sent.Metadata.Owners {
				if i == nil {
					i = a.objects.byUID[o.UID]
				}
			}
		}
		if i != nil {
			if t := a.trees[a.root(i, q.Received)]; t != nil {
				t.work = append(t.work, q.Ended)
			}
		}
	}
	for _, t := range a.trees {
		slices.Sort(t.work)
	}
}

func sortedInstances(of map[string]*instance) []*instance {
	list := make([]*instance, 0, len(of))
	for _, i := range of {
		list = append(list, i)
	}
	slices.SortFunc(list, byCreation)
	return list
}

func isTreeWorker(q *Request) bool {
	switch q.worker() {
	case "deployment-controller", "replicaset-controller", "replication-controller", "statefulset-controller", "daemon-set-controller",
		"job-controller", "cronjob-controller", "generic-garbage-collector", "kubelet", "kube-scheduler":
		return true
	}
	return isOperator(q)
}

// isOperator tells of controllers that somebody installed.
func isOperator(q *Request) bool {
	return q.command == nil && strings.HasPrefix(q.User, "system:serviceaccount:") && !strings.HasPrefix(q.User, "system:serviceaccount:kube-system:")
}

// endNamespace makes the deletion of a namespace a change of all trees in it.
func (a *attribution) endNamespace(n *instance) {
	k := slices.IndexFunc(n.changes, func(c *change) bool { return c.end })
	if k < 0 {
		return
	}
	c := n.changes[k]
	a.ending[n] = c.request
	next := int64(1<<63 - 1)
	for _, later := range a.objects.byName[objectName{n.resource, "", n.name}] {
		if later.created > n.created {
			next = min(next, later.created)
		}
	}
	for kind, list := range a.objects.byKind {
		if kind.namespace != n.name {
			continue
		}
		for _, i := range list {
			if i.created >= n.created-slack && i.created < next && (i.gone == 0 || i.gone >= c.at) && a.root(i, c.at) == i {
				t := a.tree(i)
				t.changes = append(t.changes, &change{at: c.at, done: c.done, request: c.request, on: n, end: true})
			}
		}
	}
}

// nodeChanges makes changes of nodes changes of the daemon sets, which follow them.
func (a *attribution) nodeChanges() {
	for kind, sets := range a.objects.byKind {
		if kind.resource != "daemonsets.apps" {
			continue
		}
		for _, set := range sets {
			root := a.root(set, set.created)
			t := a.tree(root)
			for _, node := range a.objects.byKind[objectKind{"nodes", ""}] {
				if node.creator != nil && node.created > set.created {
					t.changes = append(t.changes, &change{at: node.creator.Received, done: node.creator.Ended, request: node.creator, on: node})
				}
				for _, c := range node.changes {
					if c.at > set.created && c.request != node.creator && !onlyCordons(node, c) {
						t.changes = append(t.changes, &change{at: c.at, done: c.done, request: c.request, on: node})
					}
				}
			}
		}
	}
}

// onlyCordons tells whether a change of a node is one that daemon sets do not care for.
func onlyCordons(node *instance, c *change) bool {
	return c.request.Verb == "patch" && c.request.sent != nil && len(c.request.sent.Metadata.Labels) == 0 &&
		strings.Contains(string(c.request.sent.Spec), "unschedulable") && !strings.Contains(string(c.request.sent.Spec), "taints")
}

// deletion is the request that asked for the end of a namespace before t; nil if it was not ending.
func (a *attribution) deletion(namespace string, t int64) *Request {
	n := a.objects.at("namespaces", "", namespace, t, t)
	if n == nil {
		return nil
	}
	if q := a.ending[n]; q != nil && q.Received <= t+slack {
		return q
	}
	return nil
}

// How long nothing may have happened on a tree before a change, so that what follows is the change's.
// The controllers' work queues answer within milliseconds, but for pods that start or stop, which
// complete() knows, and for retries after failures, which double from 5 ms on.
const (
	pauseOfWork  = int64(900_000_000)
	pauseOfRest  = int64(500_000_000)
	pauseOfStuck = int64(25_000_000_000)
)

// settled tells whether all that earlier changes caused was done when the k-th change came.
func (a *attribution) settled(t *tree, k int) bool {
	if k == 0 {
		return true
	}
	if t.still[k] == 0 {
		t.still[k] = 2
		if a.isSettled(t, k) {
			t.still[k] = 1
		}
	}
	return t.still[k] == 1
}

func (a *attribution) isSettled(t *tree, k int) bool {
	c, earlier := t.changes[k], t.changes[k-1]
	if earlier.end {
		return false // the end goes on, whatever comes
	}
	gap := c.at - earlier.done
	if n, _ := slices.BinarySearch(t.work, c.at); n > 0 {
		gap = min(gap, c.at-t.work[n-1])
	}
	switch t.root.resource {
	case "deployments.apps", "replicasets.apps", "statefulsets.apps", "daemonsets.apps", "replicationcontrollers", "jobs.batch", "pods":
		return gap >= pauseOfWork && a.complete(t.root, c.at) || gap >= pauseOfStuck
	}
	if len(t.root.children) > 0 {
		return gap >= pauseOfWork && a.complete(t.root, c.at) || gap >= pauseOfStuck
	}
	return gap >= pauseOfRest
}

// complete tells whether the controllers had nothing left to do on i and what it owns, as far as its
// stored state at t says.
func (a *attribution) complete(i *instance, t int64) bool {
	t -= slack + 1 // the change itself came at t
	o := i.object(t)
	if o == nil {
		return false
	}
	spec, status := decodeWorkload(o.Spec), decodeWorkload(o.State)
	want := int64(1)
	if spec.Replicas != nil {
		want = *spec.Replicas
	}
	have := int64(0)
	if status.Replicas != nil {
		have = *status.Replicas
	}
	switch i.resource {
	case "deployments.apps":
		if spec.Paused {
			return status.Observed == o.Metadata.Generation // it rests, whatever its state
		}
		if have != want || status.Updated != want || status.Avail != want {
			return false
		}
	case "replicasets.apps", "replicationcontrollers":
		if have != want || status.Avail != want {
			return false
		}
	case "statefulsets.apps":
		if have != want || status.Ready != want || status.Revision != status.Update {
			return false
		}
	case "daemonsets.apps":
		if w := status.Desired; status.Scheduled != w || status.Available != w || status.Current != w {
			return false
		}
	case "jobs.batch":
		return status.finished() || spec.Suspend != nil && *spec.Suspend
	case "pods":
		return i.asked(t) == nil && ready(o)
	default:
		if status.Observed != 0 && status.Observed != o.Metadata.Generation {
			return false
		}
		for _, child := range i.children {
			if child.created < t && child.asked(t) == nil && child.resource != i.resource && !a.complete(child, t) {
				return false
			}
		}
		return true
	}
	if status.Observed != o.Metadata.Generation {
		return false
	}
	return !slices.ContainsFunc(descendants(i, nil), func(p *instance) bool {
		return p.resource == "pods" && p.created < t && p.asked(t) != nil && (p.gone == 0 || p.gone > t)
	})
}

func descendants(i *instance, list []*instance) []*instance {
	for _, c := range i.children {
		if !slices.Contains(list, c) {
			list = descendants(c, append(list, c))
		}
	}
	return list
}

// work is the change that the controllers' work on i at t comes from. Where the last change came
// before all work of the one before it was done, it may come from either.
func (a *attribution) work(i *instance, t int64, class string) verdict {
	tree := a.trees[a.root(i, t)]
	if tree == nil {
		return verdict{class: class}
	}
	last := -1
	for k, c := range tree.changes {
		if c.at <= t+slack {
			last = k
		}
	}
	if last < 0 {
		return verdict{class: class}
	}
	first := last
	for first > 0 && !a.settled(tree, first) {
		first--
	}
	var causes []verdict
	for _, c := range tree.changes[first : last+1] {
		causes = append(causes, a.attribute(c.request))
	}
	return either(class, causes...)
}

// made is the cause of i's creation.
func (a *attribution) made(i *instance, class string) verdict {
	if i == nil || i.creator == nil {
		return verdict{class: class}
	}
	return a.attribute(i.creator).as(class)
}

// ended is the cause of the end of i that was asked for before t.
func (a *attribution) ended(i *instance, t int64, class string) verdict {
	if i == nil {
		return verdict{class: class}
	}
	if q := i.asked(t); q != nil {
		return a.attribute(q).as(class)
	}
	if i.namespace != "" {
		if q := a.deletion(i.namespace, t); q != nil {
			return a.attribute(q).as(class)
		}
	}
	return verdict{class: class}
}

// dying tells whether the end of i was asked for before t.
func dying(i *instance, t int64) bool { return i.asked(t) != nil }
