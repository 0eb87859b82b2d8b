package label

import (
	"testing"

	"k8ntext/dataset/audit"
)

func TestControlPlane(t *testing.T) {
	s, err := ByName("controlplane", nil)
	if err != nil {
		t.Fatal(err)
	}
	if s.M() != 2 || s.Parts() != 1 || len(s.Labels()) != 2 || s.NonResource() != Unknown {
		t.Errorf("m %d, %d parts, labels %d, nonresource %d", s.M(), s.Parts(), s.Labels(), s.NonResource())
	}
	for user, want := range map[string]Label{
		"system:kube-scheduler":                            ControlPlaneEvent,
		"system:serviceaccount:kube-system:ttl-controller": ControlPlaneEvent,
		"kubernetes-admin":                                 UserAction,
		"":                                                 UserAction,
	} {
		if got := s.Own(&audit.Event{User: audit.User{Username: user}, Verb: "get", RequestURI: "/healthz"}); got != want {
			t.Errorf("user %q: %s, want %s", user, s.Describe(got), s.Describe(want))
		}
	}
	for _, l := range s.Labels() {
		if got := s.FromComponents(s.Components(l)); got != l {
			t.Errorf("%d encoded and decoded is %d", l, got)
		}
		if got, err := s.Parse(s.Describe(l)); err != nil || got != l {
			t.Errorf("%q is read as %d: %v", s.Describe(l), got, err)
		}
	}
	if _, err := s.Parse("create core/pods (one, namespaced)"); err == nil {
		t.Error("a label of another space is accepted")
	}
	lease := &audit.Event{
		Verb: "update", RequestURI: "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/n",
		User:      audit.User{Username: "system:node:n", Groups: []string{"system:nodes"}},
		ObjectRef: &audit.ObjectRef{APIGroup: "coordination.k8s.io", APIVersion: "v1", Resource: "leases", Namespace: "kube-node-lease", Name: "n"},
	}
	if l, rule := s.Rule(lease); l != ControlPlaneEvent || rule == "" {
		t.Errorf("a node's lease: %s by rule %q", s.Describe(l), rule)
	}
}
