package contexts

import (
	"strings"
	"time"

	"k8ntext/dataset/identity"
)

// node is what is remembered of a node.
type node struct {
	pods []identity.ID // that it was told to start, latest last
}

const (
	maxNodes   = 16384
	maxStarted = 64 // pods of a node that are looked back at
)

func (n *node) start(pod identity.ID) {
	if len(n.pods) >= maxStarted {
		n.pods = append(n.pods[:0], n.pods[1:]...)
	}
	n.pods = append(n.pods, pod)
}

func (b *Builder) nodeOf(name string) *node {
	n := b.nodes[name]
	if n == nil {
		n = &node{}
		if len(b.nodes) < maxNodes {
			b.nodes[name] = n
		}
	}
	return n
}

// How soon the node controller acts on a change of a node, and for how long a node that dies, or comes
// back, is busy with that.
const (
	reaction = 5 * time.Second
	recovery = 90 * time.Second
)

// node is a request for a node by a component. What a kubelet says of its own is background.
func (b *Builder) node(x *event, w string) cause {
	if x.Object == 0 || w == "kubelet" && x.Verb != "create" {
		return cause{}
	}
	m := b.worked(x.Object)
	if m.there() && x.RequestReceived.Sub(m.when) < reaction && w != "kubelet" {
		return m.because(ObjectRef)
	}
	switch w {
	case "node-controller", "ttl-controller", "kubelet":
		return cause{b.fault(x, x.Object), ObjectRef}
	}
	return m.because(ObjectRef)
}

// fault is the context of a node that died or came back: nobody's.
func (b *Builder) fault(x *event, id identity.ID) *group {
	g := b.round(x, id, "node", recovery, mark{}).group
	g.User = false
	return g
}

// nodeTold is an Event about a node.
func (b *Builder) nodeTold(x *event, name, reason string) cause {
	// A kubelet gives its name for the node's uid.
	id := b.latest(identity.Object{Resource: "nodes", Name: name})
	m := b.worked(id)
	switch reason {
	case "NodeNotSchedulable", "NodeSchedulable", "RemovingNode", "DeletingNode":
		return m.because(Involved)
	}
	if m.there() && x.RequestReceived.Sub(m.when) < reaction && worker(x) != "kubelet" {
		return m.because(Involved)
	}
	if r := b.rounds[roundKey{id, "node"}]; r != nil && x.RequestReceived.Sub(r.at) < recovery || reason == "NodeNotReady" || reason == "Starting" {
		return cause{b.fault(x, id), Involved}
	}
	return cause{}
}

// evicted is what the node controller does to pods of a node that died, or that a person tainted.
func (b *Builder) evicted(x *event, pod identity.ID) cause {
	t := b.thing(pod)
	id := b.latest(identity.Object{Resource: "nodes", Name: strings.TrimPrefix(t.node, "system:node:")})
	if id == 0 {
		return b.owned(x)
	}
	m := b.worked(id)
	if r := b.rounds[roundKey{id, "node"}]; r != nil && (!m.there() || r.group.opened > m.at) {
		m = mark{r.group, x.number, x.RequestReceived}
	}
	if !m.there() {
		return b.owned(x)
	}
	m.at, m.when = x.number, x.RequestReceived
	if x.Changed && pod == x.Object {
		b.spread(pod, m)
	}
	return m.because(Bound)
}
