package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"k8ntext/testbed/cluster"
)

func (a *app) upCommand() *cobra.Command {
	var o cluster.Options
	var network string
	c := &cobra.Command{
		Use:   "up [-- COMMAND ...]",
		Short: "Start a cluster and keep it until interrupted",
		Long: `up starts a control plane and its nodes, prints the administrator's kubeconfig,
and takes everything down when it is interrupted. In a network namespace only
commands inside it reach the cluster: name one behind "--" (a shell, say), and
the cluster lives as long as it does.`,
		Example: `  testbed up
  testbed up --minor 1.35 --nodes 5 --level Metadata -- kubectl get nodes
  testbed up --network loopback --api-port 6443`,
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if o.Network, err = cluster.Enter(cmd.Context(), cluster.Network(network)); err != nil {
				return err
			}
			return a.up(cmd, o, args)
		},
	}
	a.clusterFlags(c, &o, &network)
	return c
}

// clusterFlags are the flags of every command that starts a cluster.
func (a *app) clusterFlags(c *cobra.Command, o *cluster.Options, network *string) {
	f := c.Flags()
	f.StringVar(&o.Name, "name", "testbed", "name of the cluster; several may run side by side")
	f.StringVar(&o.Minor, "minor", "1.34", "minor of Kubernetes")
	f.StringVar(&o.Dir, "dir", filepath.Join("recordings", "up"), "folder of the audit log")
	f.StringVar(&o.Binary, "binary", "", "built binary (default: the cache's)")
	f.IntVar(&o.Nodes, "nodes", cluster.DefaultNodes, "number of nodes")
	f.StringVar((*string)(&o.Level), "level", string(cluster.RequestResponse), "audit level: RequestResponse, Request or Metadata")
	f.IntVar(&o.APIPort, "api-port", 0, "port of the API server (default: 6443 in a namespace, else a free one)")
	f.StringVar(network, "network", string(cluster.Auto), "namespace, loopback, or auto: namespace where possible")
	cacheFlag(c, &o.Cache)
	o.Progress = a.note
}

func (a *app) up(cmd *cobra.Command, o cluster.Options, command []string) (err error) {
	ctx := cmd.Context()
	c, err := cluster.Up(ctx, o)
	if err != nil {
		return err
	}
	defer func() {
		a.note("taking the cluster down")
		if e := c.Down(); err == nil {
			err = e
		}
	}()
	admin, err := c.Kubeconfig("admin", []string{cluster.AdminGroup}, 0)
	if err != nil {
		return err
	}
	if err := a.print(struct {
		Version    string          `json:"version"`
		Network    cluster.Network `json:"network"`
		Kubeconfig string          `json:"kubeconfig"`
		Kubectl    string          `json:"kubectl"`
		AuditLog   string          `json:"auditLog"`
	}{c.Version(), c.Network(), admin, c.Kubectl(), c.AuditLog()}, "KUBECONFIG="+admin); err != nil {
		return err
	}
	if len(command) == 0 {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-c.Failed():
			return c.Err()
		}
	}
	one := c.Command(ctx, command...)
	one.Env = append(one.Env, "KUBECONFIG="+admin, "PATH="+filepath.Dir(c.Kubectl())+string(os.PathListSeparator)+os.Getenv("PATH"))
	one.Stdin, one.Stdout, one.Stderr = os.Stdin, a.stdout, a.stderr
	one.Dir = ""
	if err := one.Run(); err != nil {
		return fmt.Errorf("%s: %w", command[0], err)
	}
	return c.Err()
}

// print writes one result: a JSON value on a line, or text.
func (a *app) print(value any, text string) error {
	if a.output == "json" {
		return json.NewEncoder(a.stdout).Encode(value)
	}
	_, err := fmt.Fprintln(a.stdout, text)
	return err
}
