package label

import (
	"fmt"
	"strings"

	"k8ntext/dataset/audit"
)

// The labels of [ControlPlane].
const (
	ControlPlaneEvent Label = 0                  // a component's own doing
	UserAction        Label = 1 << resourceShift // done by a person or a CI account, or caused by one
)

const (
	controlPlaneName      = "controlplane"
	controlPlaneEventText = "control plane"
	userActionText        = "user action"
)

// ControlPlane returns the space of the reference's binary mode (REFERENCE 6.1, model version 1): does an
// event belong to the control plane, or to somebody's action? Its own label says who sent the event, so the
// label of an event, its trigger's, says who started what it is part of. m is 2, and only the first of the
// five components varies.
func ControlPlane() *Space {
	return &Space{
		name: controlPlaneName, binary: true,
		labels: []Label{ControlPlaneEvent, UserAction}, ids: []int{0, 1}, index: map[int]int{0: 0, 1: 1}, rules: controlPlaneRules(),
	}
}

// sender is the own label of an event in that space. Kubernetes' components and service accounts are
// called system:; who impersonates them is not.
func sender(e *audit.Event) Label {
	if strings.HasPrefix(e.User.Username, "system:") {
		return ControlPlaneEvent
	}
	return UserAction
}

func describeSender(l Label) string {
	if l == ControlPlaneEvent {
		return controlPlaneEventText
	}
	return userActionText
}

func parseSender(text string) (Label, error) {
	switch text {
	case controlPlaneEventText:
		return ControlPlaneEvent, nil
	case userActionText:
		return UserAction, nil
	}
	return Unknown, fmt.Errorf("label %q: the %s space has %q and %q", text, controlPlaneName, controlPlaneEventText, userActionText)
}
