// Command kube is etcd, the control plane, a node and kubectl of one Kubernetes minor in one binary. The
// component is named by the base name that the program was started under, so that a link
// "kube-scheduler" is the scheduler and "kubectl-anything" is kubectl, or else by the first argument.
//
// Nothing of Kubernetes is patched; only the node's container runtime is a fake (package node).
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	_ "k8s.io/client-go/plugin/pkg/client/auth" // what kubectl and the control plane register
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	kubectl "k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/util"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	manager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"

	"k8ntext/testbed/kube/node"
)

func main() {
	name := filepath.Base(os.Args[0])
	if component(name) == "" && len(os.Args) > 1 {
		name = os.Args[1]
		os.Args = os.Args[1:]
	}
	var command *cobra.Command
	switch component(name) {
	case "etcd":
		etcdmain.Main(append([]string{"etcd"}, os.Args[1:]...))
		return
	case "kube-apiserver":
		command = apiserver.NewAPIServerCommand()
	case "kube-controller-manager":
		command = manager.NewControllerManagerCommand()
	case "kube-scheduler":
		command = scheduler.NewSchedulerCommand()
	case "kubectl":
		if err := cli.RunNoErrOutput(kubectl.NewDefaultKubectlCommand()); err != nil {
			util.CheckErr(err) // prints it and exits with kubectl's code
		}
		return
	case "node":
		command = node.NewCommand()
	default:
		fmt.Fprintln(os.Stderr, "usage: kube etcd|kube-apiserver|kube-controller-manager|kube-scheduler|node|kubectl ARGUMENTS")
		os.Exit(2)
	}
	os.Exit(cli.Run(command))
}

// component is what a program name stands for, or nothing.
func component(name string) string {
	switch {
	case name == "kubectl" || strings.HasPrefix(name, "kubectl-"):
		return "kubectl"
	case name == "etcd" || name == "kube-apiserver" || name == "kube-controller-manager" || name == "kube-scheduler" || name == "node":
		return name
	}
	return ""
}
