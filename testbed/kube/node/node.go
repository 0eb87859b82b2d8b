// Package node is a node without a container engine: the real kubelet and the real informers of
// kube-proxy over a fake container runtime.
//
// It differs from the hollow node of k8s.io/kubernetes/cmd/kubemark so that an audit log looks like that
// of a normal node: events are really sent; user agents are those of kubelet and kube-proxy; the kubelet
// serves TLS and asks the API server who may use it; exec, attach, port-forward and logs are answered;
// probes are made; containers exit, and images cannot be pulled, where their names say so; every pod has
// an address of its own in the node's range, at which something answers; ClusterDNS and the size of the
// image file system are set (else the kubelet complains in events).
package node

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/moby/sys/userns"
	"github.com/spf13/cobra"
	"go.opentelemetry.io/otel/trace/noop"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	clientset "k8s.io/client-go/kubernetes"
	restclient "k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/events"
	kubeletapp "k8s.io/kubernetes/cmd/kubelet/app"
	"k8s.io/kubernetes/cmd/kubelet/app/options"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	kubeletconfig "k8s.io/kubernetes/pkg/kubelet/apis/config"
	"k8s.io/kubernetes/pkg/kubelet/cm"
	"k8s.io/kubernetes/pkg/kubemark"
	kubemarkproxy "k8s.io/kubernetes/pkg/proxy/kubemark"
)

// settings are the flags of a node.
type settings struct {
	name            string
	kubeconfig      string
	proxyKubeconfig string
	address         string
	port            int
	root            string
	nodeIP          string
	clientCA        string
	certificate     string
	key             string
	answerPods      bool
}

// NewCommand is the command "node".
func NewCommand() *cobra.Command {
	var s settings
	c := &cobra.Command{
		Use:          "node",
		Short:        "A kubelet and a kube-proxy over a fake container runtime",
		Args:         cobra.NoArgs,
		SilenceUsage: true,
		RunE:         func(cmd *cobra.Command, _ []string) error { return run(cmd.Context(), s) },
	}
	f := c.Flags()
	f.StringVar(&s.name, "name", "", "name of the node")
	f.StringVar(&s.kubeconfig, "kubeconfig", "", "credentials of the kubelet")
	f.StringVar(&s.proxyKubeconfig, "proxy-kubeconfig", "", "credentials of kube-proxy; without them there is none")
	f.StringVar(&s.address, "address", "127.0.0.1", "address that the kubelet serves at")
	f.IntVar(&s.port, "port", 10250, "port that the kubelet serves at")
	f.StringVar(&s.root, "root", "", "folder of the kubelet")
	f.StringVar(&s.nodeIP, "node-ip", "", "address of the node; without it the kubelet finds one")
	f.StringVar(&s.clientCA, "client-ca", "", "authority of those who may ask the kubelet")
	f.StringVar(&s.certificate, "tls-cert", "", "certificate that the kubelet serves with")
	f.StringVar(&s.key, "tls-key", "", "its key")
	f.BoolVar(&s.answerPods, "answer-pods", false, "answer HTTP requests at the addresses of pods")
	return c
}

func run(ctx context.Context, s settings) error {
	config, err := clientConfig(s.kubeconfig, "kubelet", 50, 100)
	if err != nil {
		return fmt.Errorf("kubelet of %s: %w", s.name, err)
	}
	client, err := clientset.NewForConfig(config)
	if err != nil {
		return err
	}
	heartbeat := restclient.CopyConfig(config)
	heartbeat.QPS, heartbeat.Timeout = -1, 10*time.Second
	heartbeatClient, err := clientset.NewForConfig(heartbeat)
	if err != nil {
		return err
	}
	eventClient, err := clientset.NewForConfig(config)
	if err != nil {
		return err
	}
	if userns.RunningInUserNS() { // the kernel's messages, where the kubelet looks for lack of memory, are not to be had there
		if err := utilfeature.DefaultMutableFeatureGate.Set("KubeletInUserNamespace=true"); err != nil {
			return err
		}
	}
	flags, kubelet, err := kubeletConfig(s)
	if err != nil {
		return err
	}
	runtime, err := newRuntime(s.answerPods)
	if err != nil {
		return err
	}

	hollow := kubemark.NewHollowKubelet(flags, kubelet, client, heartbeatClient, newMachine(s.name), newImages(s.root), runtime, cm.NewStubContainerManager())
	deps := hollow.KubeletDeps
	deps.Recorder = nil // the kubelet then makes a real one over EventClient
	deps.EventClient = eventClient.CoreV1()
	deps.ProbeManager = noProbes{}
	if s.answerPods {
		deps.ProbeManager = nil // likewise a real one
	}
	deps.TracerProvider = noop.NewTracerProvider()
	if deps.TLSOptions, err = kubeletapp.InitializeTLS(ctx, flags, kubelet); err != nil {
		return fmt.Errorf("kubelet of %s: serving certificate: %w", s.name, err)
	}
	auth, watchCA, err := kubeletapp.BuildAuth(types.NodeName(s.name), client, *kubelet)
	if err != nil {
		return fmt.Errorf("kubelet of %s: authentication: %w", s.name, err)
	}
	deps.Auth = auth
	watchCA(ctx.Done())
	if s.proxyKubeconfig != "" {
		if err := startProxy(s); err != nil {
			return err
		}
	}
	hollow.Run(ctx)
	return nil
}

// startProxy starts a kube-proxy that watches what a real one watches and programs nothing.
func startProxy(s settings) error {
	config, err := clientConfig(s.proxyKubeconfig, "kube-proxy", 5, 10)
	if err != nil {
		return fmt.Errorf("kube-proxy of %s: %w", s.name, err)
	}
	client, err := clientset.NewForConfig(config)
	if err != nil {
		return err
	}
	broadcaster := events.NewBroadcaster(&events.EventSinkImpl{Interface: client.EventsV1()})
	recorder := broadcaster.NewRecorder(legacyscheme.Scheme, "kube-proxy")
	proxy := kubemarkproxy.NewHollowProxy(s.name, client, client.CoreV1(), broadcaster, recorder)
	go func() {
		if err := proxy.Run(); err != nil {
			fmt.Fprintf(os.Stderr, "kube-proxy of %s: %v\n", s.name, err)
			os.Exit(1)
		}
	}()
	return nil
}

// clientConfig reads a kubeconfig as the named component does.
func clientConfig(path, component string, qps float32, burst int) (*restclient.Config, error) {
	config, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		return nil, err
	}
	config.ContentType = "application/vnd.kubernetes.protobuf"
	config.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	config.QPS, config.Burst = qps, burst
	agent := restclient.DefaultKubernetesUserAgent()
	config.UserAgent = component + agent[strings.Index(agent, "/"):]
	return config, nil
}

// kubeletConfig is the configuration of a kubelet as kubeadm would have it, as far as there is a machine
// under it.
func kubeletConfig(s settings) (*options.KubeletFlags, *kubeletconfig.KubeletConfiguration, error) {
	static, logs := filepath.Join(s.root, "static-pods"), filepath.Join(s.root, "pod-logs")
	for _, folder := range []string{static, logs} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return nil, nil, err
		}
	}
	flags := options.NewKubeletFlags()
	flags.RootDirectory, flags.CertDirectory = s.root, s.root
	flags.HostnameOverride = s.name
	flags.NodeIP = s.nodeIP
	flags.MinimumGCAge = metav1.Duration{Duration: time.Minute}
	flags.MaxContainerCount = 100
	flags.MaxPerPodContainerCount = 2

	c, err := options.NewKubeletConfiguration()
	if err != nil {
		return nil, nil, fmt.Errorf("defaults of the kubelet: %w", err)
	}
	c.ContainerRuntimeEndpoint = "unix:///run/containerd/containerd.sock" // named, never opened
	c.ImageServiceEndpoint = c.ContainerRuntimeEndpoint
	c.EnableServer, c.EnableDebuggingHandlers = true, true
	c.Address, c.Port, c.ReadOnlyPort, c.HealthzPort = s.address, int32(s.port), 0, 0
	c.StaticPodPath, c.PodLogsDir = static, logs
	c.ClusterDNS, c.ClusterDomain, c.ResolverConfig = []string{"10.96.0.10"}, "cluster.local", ""
	c.ProviderID = "testbed://" + s.name
	c.RegisterNode = true
	c.EnableControllerAttachDetach = true
	c.CgroupRoot, c.CgroupsPerQOS, c.ProtectKernelDefaults = "", false, false
	c.EnforceNodeAllocatable = nil
	c.MakeIPTablesUtilChains = false
	c.MaxOpenFiles = 65536
	c.Authentication.X509.ClientCAFile = s.clientCA
	c.Authentication.Webhook.Enabled = true
	c.Authorization.Mode = kubeletconfig.KubeletAuthorizationModeWebhook
	c.TLSCertFile, c.TLSPrivateKeyFile = s.certificate, s.key
	if net.ParseIP(s.address) == nil {
		return nil, nil, fmt.Errorf("--address %q is no address", s.address)
	}
	return flags, c, nil
}
