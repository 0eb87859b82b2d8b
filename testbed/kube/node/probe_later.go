//go:build !kube1.34

package node

import (
	"context"

	corev1 "k8s.io/api/core/v1"
)

func (noProbes) UpdatePodStatus(_ context.Context, _ *corev1.Pod, s *corev1.PodStatus) {
	wellIfRunning(s)
}
