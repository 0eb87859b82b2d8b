package cluster

import (
	"fmt"
	"os"

	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
)

// serverName is the name that the API server proves to have, under whichever address it is reached.
const serverName = "kubernetes"

// kubeconfig makes the file of one user of the server at url.
func kubeconfig(user, url string, ca []byte, who api.AuthInfo) *api.Config {
	c := api.NewConfig()
	c.Clusters["testbed"] = &api.Cluster{Server: url, TLSServerName: serverName, CertificateAuthorityData: ca}
	c.AuthInfos[user] = &who
	c.Contexts["testbed"] = &api.Context{Cluster: "testbed", AuthInfo: user}
	c.CurrentContext = "testbed"
	return c
}

// writeKubeconfig replaces a kubeconfig in one step, so that a component that reads it again never finds
// half of it.
func writeKubeconfig(path string, c *api.Config) error {
	text, err := clientcmd.Write(*c)
	if err != nil {
		return fmt.Errorf("kubeconfig %s: %w", path, err)
	}
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
