package label

import (
	"fmt"
	"slices"
	"strings"

	"k8ntext/dataset/audit"
)

// Space is a set of labels with a meaning for each. It is immutable and safe for concurrent use.
type Space struct {
	name      string
	crdGroups []string
	lax       bool // the paper's: one version per resource, any (n, u), no pseudo labels of our own
	binary    bool // [ControlPlane]

	kinds      []kind          // by id, then subresource id
	byName     map[address]int // index into kinds
	byID       map[[2]int]int  // (r, s) to index into kinds
	groups     map[string]bool // built-in groups
	crdByGroup map[string]int  // foreign group to resource id
	labels     []Label         // ascending
	ids        []int           // the sorted id table; ids[0] is 0
	index      map[int]int     // inverse of ids
	rules      []rule          // as they are tried
}

// kind is one pair of resource and subresource.
type kind struct {
	address
	id, subID int
	version   string    // the only one accepted; empty: all
	shapes    [6]shapes // by merged verb; 0: the verb is not served
}

// address names a kind as an objectRef does.
type address struct{ group, resource, sub string }

// Paper returns the reference's label space (REFERENCE 3): 58 resource ids, one API version per
// resource, and every (n, u) for each pair of resource and verb, possible or not: 1,356 labels, m 59.
func Paper() *Space {
	s := &Space{name: "paper", lax: true}
	for _, r := range paperResources() {
		r.subs = slices.DeleteFunc(slices.Clone(r.subs), func(sub subresource) bool { return sub.newer })
		s.add(r)
	}
	for _, e := range externalResources() {
		s.add(resource{id: e.id, group: e.group, name: e.name, scope: foreign, verbs: everyVerb})
	}
	return s.finish()
}

// Default returns the label space of current Kubernetes: the paper's ids for the paper's resources,
// ids from 100 for the rest of Kubernetes 1.30 to 1.36 in all versions of their groups, one pseudo
// resource for each foreign API group given, a pseudo label for requests without objectRef, and only
// such (n, u) as a served request can have.
//
// Groups get ids by their sorted order, whatever the order given. A group that is built in, or no
// possible name of a custom resource's group, is left out; so is what exceeds 400 groups. Requests
// about groups left out or never seen get the paper's two external ids.
func Default(crdGroups ...string) *Space {
	groups := slices.Clone(crdGroups)
	slices.Sort(groups)
	s := &Space{name: "default"}
	for _, r := range paperResources() {
		r.version = ""
		s.add(r)
	}
	for _, r := range addedResources() {
		s.add(r)
	}
	subs := []subresource{
		{id: externalStatus, name: "status", verbs: ge | up},
		{id: externalScale, name: "scale", verbs: ge | up},
		{id: externalOther, name: anyOther, verbs: everyVerb},
	}
	for _, e := range externalResources() {
		s.add(resource{id: e.id, group: e.group, name: e.name, scope: e.scope, verbs: everyVerb, subs: subs})
	}
	s.crdByGroup = make(map[string]int)
	for _, g := range slices.Compact(groups) {
		id := firstCRDGroup + len(s.crdGroups)
		if id > lastCRDGroup {
			break
		}
		if s.groups[g] || !groupName(g) {
			continue
		}
		s.crdGroups = append(s.crdGroups, g)
		s.crdByGroup[g] = id
		s.add(resource{id: id, group: g, name: anyOther, scope: foreign, verbs: everyVerb, subs: subs})
	}
	return s.finish()
}

// ByName returns the space "paper", "default" or "controlplane".
func ByName(name string, crdGroups []string) (*Space, error) {
	switch name {
	case "paper":
		return Paper(), nil
	case "default":
		return Default(crdGroups...), nil
	case controlPlaneName:
		return ControlPlane(), nil
	}
	return nil, fmt.Errorf("unknown label space %q: use paper, default or controlplane", name)
}

// Name is the name under which [ByName] gives the space.
func (s *Space) Name() string { return s.name }

// CRDGroups are the foreign groups that have an id of their own, sorted. Default(CRDGroups()...)
// is the same space again.
func (s *Space) CRDGroups() []string { return slices.Clone(s.crdGroups) }

// External reports whether an API group is not one of Kubernetes' own in this space, so that
// requests about it can only get a pseudo resource.
func (s *Space) External(group string) bool { return !s.groups[groupOrCore(group)] }

// NonResource is the label of requests without objectRef; [Unknown] where they have none of their own.
func (s *Space) NonResource() Label {
	if s.lax || s.binary {
		return Unknown
	}
	return Tuple{Resource: nonResource}.Label()
}

// Own returns the label that the event gives by itself. It is [Unknown] for an unknown verb, an
// unknown resource of a built-in group and for a request that no API server serves (create of a log,
// update without a name); in the paper's space also for another version than the table's and without
// objectRef (the reference's parser removes such lines), and [Ignore] for what its proposer ignores:
// the namespaces falco and kube-flannel, and URIs that are not of an API.
func (s *Space) Own(e *audit.Event) Label {
	if s.binary {
		return sender(e)
	}
	ref := e.ObjectRef
	if ref == nil {
		return s.NonResource()
	}
	if s.lax && ignored(e) {
		return Ignore
	}
	t := Tuple{Verb: mergedVerb(e.Verb), Namespaced: ref.Namespace != "", Single: ref.Name != ""}
	k := s.find(ref)
	if k == nil || !k.shapes[t.Verb].has(t.Namespaced, t.Single) {
		return Unknown
	}
	t.Resource, t.Subresource = k.id, k.subID
	return t.Label()
}

// ignored are the reference's rules for the label -2 (REFERENCE 3.5). An absent URI is no reason.
func ignored(e *audit.Event) bool {
	if e.ObjectRef.Namespace == "falco" || e.ObjectRef.Namespace == "kube-flannel" {
		return true
	}
	if e.RequestURI == "" {
		return false
	}
	path, _, _ := strings.Cut(e.RequestURI, "?")
	segments := strings.Split(strings.Trim(path, "/"), "/")
	return segments[0] != "api" && segments[0] != "apis" || len(segments) <= 2
}

// find returns the kind that an objectRef speaks of; nil: none.
func (s *Space) find(ref *audit.ObjectRef) *kind {
	group := groupOrCore(ref.APIGroup)
	if s.groups[group] {
		i, ok := s.byName[address{group, ref.Resource, ref.Subresource}]
		if !ok || s.kinds[i].version != "" && s.kinds[i].version != ref.APIVersion {
			return nil
		}
		return &s.kinds[i]
	}
	id, ok := s.crdByGroup[group]
	switch {
	case ok:
	case ref.Namespace != "":
		id = externalNamespaced
	default:
		id = externalCluster
	}
	sub := 0
	if !s.lax {
		sub = externalSub(ref.Subresource)
	}
	return &s.kinds[s.byID[[2]int{id, sub}]]
}

func externalSub(name string) int {
	switch name {
	case "":
		return 0
	case "status":
		return externalStatus
	case "scale":
		return externalScale
	}
	return externalOther
}

// Valid reports whether l is one of the space's labels.
func (s *Space) Valid(l Label) bool {
	_, ok := slices.BinarySearch(s.labels, l)
	return ok
}

// Labels are all labels of the space, ascending. The special labels are none.
func (s *Space) Labels() []Label { return slices.Clone(s.labels) }

// M is the number of values that one component can take in the network: the size of the sorted table
// of all resource ids and 0, through which the reference sends all five components (REFERENCE 3.6).
func (s *Space) M() int { return len(s.ids) }

// Parts is how many of the components vary, the first ones: all five, or the one of [ControlPlane].
func (s *Space) Parts() int {
	if s.binary {
		return 1
	}
	return 5
}

// Components are the places of r, s, n, u and v, in this order, in the id table: 0 to M-1. A label
// that is not valid is all zeros.
func (s *Space) Components(l Label) [5]int {
	if !s.Valid(l) {
		return [5]int{}
	}
	t := l.Tuple()
	return [5]int{s.index[t.Resource], s.index[t.Subresource], s.index[bit(t.Namespaced)], s.index[bit(t.Single)], s.index[t.Verb]}
}

// FromComponents is the label whose [Space.Components] are c; [Unknown] if the space has none.
func (s *Space) FromComponents(c [5]int) Label {
	var v [5]int
	for i, place := range c {
		if place < 0 || place >= len(s.ids) {
			return Unknown
		}
		v[i] = s.ids[place]
	}
	if v[2] > 1 || v[3] > 1 {
		return Unknown
	}
	l := Tuple{Resource: v[0], Subresource: v[1], Namespaced: v[2] == 1, Single: v[3] == 1, Verb: v[4]}.Label()
	if !s.Valid(l) {
		return Unknown
	}
	return l
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

// externalResources are the two pseudo resources for foreign groups without an id of their own.
func externalResources() []resource {
	return []resource{
		{id: externalCluster, group: "external", name: "cluster", scope: foreignBare},
		{id: externalNamespaced, group: "external", name: "namespaced", scope: foreignNamespace},
	}
}

// add enters a row, its subresources included.
func (s *Space) add(r resource) {
	if s.byName == nil {
		s.byName, s.byID, s.groups = make(map[address]int), make(map[[2]int]int), make(map[string]bool)
	}
	if r.group != "external" && r.name != anyOther {
		s.groups[r.group] = true
	}
	for _, sub := range append([]subresource{{verbs: r.verbs}}, r.subs...) {
		k := kind{address: address{r.group, r.name, sub.name}, id: r.id, subID: sub.id, version: r.version}
		for v := create; v <= watch; v++ {
			switch {
			case sub.verbs>>v&1 == 0:
			case s.lax:
				k.shapes[v] = anyShape
			default:
				k.shapes[v] = possibleShapes(r.scope, v, sub.id != 0)
			}
		}
		s.byName[k.address] = len(s.kinds)
		s.byID[[2]int{k.id, k.subID}] = len(s.kinds)
		s.kinds = append(s.kinds, k)
	}
}

// finish enumerates the labels and the id table.
func (s *Space) finish() *Space {
	s.ids = []int{0}
	for _, k := range s.kinds {
		s.ids = append(s.ids, k.id)
		for v, allowed := range k.shapes {
			for shape := range 4 {
				if allowed>>shape&1 == 1 {
					s.labels = append(s.labels, Tuple{k.id, k.subID, v, shape&2 != 0, shape&1 != 0}.Label())
				}
			}
		}
	}
	if l := s.NonResource(); l != Unknown {
		s.ids = append(s.ids, nonResource)
		s.labels = append(s.labels, l)
	}
	slices.Sort(s.labels)
	slices.Sort(s.ids)
	s.ids = slices.Compact(s.ids)
	s.rules = controlPlaneRules()
	s.index = make(map[int]int, len(s.ids))
	for i, id := range s.ids {
		s.index[id] = i
	}
	return s
}

func groupOrCore(group string) string {
	if group == "" {
		return "core"
	}
	return group
}

// groupName reports whether a custom resource's group may have this name: a DNS name of at least two
// parts (apiextensions' validation). It keeps hostile text of a log out of the space's names.
func groupName(g string) bool {
	if len(g) > 253 || !strings.Contains(g, ".") {
		return false
	}
	for part := range strings.SplitSeq(g, ".") {
		if part == "" || len(part) > 63 || strings.HasPrefix(part, "-") || strings.HasSuffix(part, "-") ||
			strings.Trim(part, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return false
		}
	}
	return true
}
