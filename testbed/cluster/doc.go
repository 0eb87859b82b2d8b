// Package cluster starts and stops a real Kubernetes control plane with hollow nodes as plain processes.
package cluster
