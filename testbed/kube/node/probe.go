package node

import (
	corev1 "k8s.io/api/core/v1"
	probetest "k8s.io/kubernetes/pkg/kubelet/prober/testing"
)

// noProbes makes no probes and finds all well that runs. It is for nodes whose pods have addresses at which
// nothing answers, and which may even be somebody else's. UpdatePodStatus is in a file per minor, since
// its signature changed.
type noProbes struct{ probetest.FakeManager }

// wellIfRunning is what probes would find.
func wellIfRunning(s *corev1.PodStatus) {
	for i := range s.ContainerStatuses {
		c := &s.ContainerStatuses[i]
		runs := c.State.Running != nil
		c.Started, c.Ready = &runs, runs
	}
	for i := range s.InitContainerStatuses {
		c := &s.InitContainerStatuses[i]
		started := c.State.Running != nil
		c.Started = &started
		c.Ready = started || c.State.Terminated != nil && c.State.Terminated.ExitCode == 0
	}
}
