package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd/api"
)

// The components, as Kill and Start name them. A node is "node/NUMBER".
const (
	etcd              = "etcd"
	apiServer         = "kube-apiserver"
	controllerManager = "kube-controller-manager"
	scheduler         = "kube-scheduler"
	nodeArgs          = "node"
)

// Addresses inside a namespace: of ranges for documentation, and those that kubeadm's examples use.
const (
	controlPlane   = "192.0.2.1"
	nodeNetwork    = "192.0.2.0"    // node N has .(100+N)
	userNetwork    = "198.51.100.0" // users from .1
	podNetwork     = "10.244.0.0/16"
	serviceNetwork = "10.96.0.0/16"
	firstService   = "10.96.0.1"
)

// provisionerFolder is where the controller manager's host-path provisioner makes volumes.
const provisionerFolder = "/tmp/hostpath_pv"

// maxUserAddresses is how many users have addresses of their own; later ones share theirs.
const maxUserAddresses = 254

// userAddress is where user number n, from 0 on, sits in a namespace.
func userAddress(n int) string {
	a := netip.MustParseAddr(userNetwork).As4()
	a[3] = byte(1 + n%maxUserAddresses)
	return netip.AddrFrom4(a).String()
}

// ports of a cluster's servers.
type ports struct{ etcd, etcdPeer, api, manager, scheduler int }

// choosePorts takes the usual ports in a namespace and free ones elsewhere.
func choosePorts(o Options) (ports, error) {
	if o.Network == Namespace {
		p := ports{2379, 2380, 6443, 10257, 10259}
		if o.APIPort != 0 {
			p.api = o.APIPort
		}
		return p, nil
	}
	if o.APIPort != 0 {
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(o.APIPort)))
		if err != nil {
			return ports{}, fmt.Errorf("port of the API server is taken: %w", err)
		}
		l.Close()
	}
	free, err := freePorts(5)
	if err != nil {
		return ports{}, err
	}
	p := ports{free[0], free[1], free[2], free[3], free[4]}
	if o.APIPort != 0 {
		p.api = o.APIPort
	}
	return p, nil
}

// freePorts finds ports of the loopback device that nobody listens at.
func freePorts(n int) ([]int, error) {
	var out []int
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("no free port: %w", err)
		}
		defer l.Close() // all together, so that no port comes twice
		out = append(out, l.Addr().(*net.TCPAddr).Port)
	}
	return out, nil
}

// writeFiles makes the keys, credentials and configuration files of the control plane.
func (c *Cluster) writeFiles() error {
	c.server = fmt.Sprintf("https://127.0.0.1:%d", c.ports.api)
	if c.options.Network == Namespace {
		c.server = fmt.Sprintf("https://%s:%d", controlPlane, c.ports.api)
	}
	var err error
	if c.ca, err = newAuthority("kubernetes"); err != nil {
		return err
	}
	front, err := newAuthority("front-proxy-ca")
	if err != nil {
		return err
	}
	private, public, err := serviceAccountKeys()
	if err != nil {
		return err
	}
	caKey, err := encodeKey(c.ca.key)
	if err != nil {
		return err
	}
	pairs := map[string]pair{"ca": {c.ca.pem, caKey}}
	hosts := []string{
		serverName, "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local", "localhost", "127.0.0.1", controlPlane, firstService,
	}
	for n := range maxUserAddresses { // kubeconfigs name the server, but not every client reads that
		hosts = append(hosts, userAddress(n))
	}
	if pairs["apiserver"], err = c.ca.server("kube-apiserver", nil, hosts); err != nil {
		return err
	}
	if pairs["apiserver-kubelet-client"], err = c.ca.client("kube-apiserver-kubelet-client", []string{AdminGroup}, lifetime); err != nil {
		return err
	}
	if pairs["front-proxy-client"], err = front.client("front-proxy-client", nil, lifetime); err != nil {
		return err
	}
	for name, p := range pairs {
		if err := p.write(c.path("pki", name)); err != nil {
			return err
		}
	}
	for name, text := range map[string][]byte{
		"pki/front-proxy-ca.crt": front.pem,
		"pki/sa.key":             private,
		"pki/sa.pub":             public,
		"audit-policy.yaml":      []byte(auditPolicy(c.options.Level)),
		"egress.yaml":            []byte(egressConfiguration(c.path("egress"))),
	} {
		if err := os.WriteFile(c.path(name), text, 0o600); err != nil {
			return err
		}
	}
	for _, name := range []string{controllerManager, scheduler} {
		if _, err := c.credentials("system:"+name, nil, lifetime, c.server); err != nil {
			return err
		}
	}
	return os.Symlink(c.options.Binary, c.Kubectl())
}

// auditPolicy writes down every request in all its stages.
func auditPolicy(level Level) string {
	return "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: " + string(level) + "\n"
}

// arguments of a component of the control plane.
func (c *Cluster) arguments(name string) []string {
	pki := func(file string) string { return c.path("pki", file) }
	own := func() []string {
		k := pki("system-" + name + ".kubeconfig")
		return []string{
			"--kubeconfig=" + k, "--authentication-kubeconfig=" + k, "--authorization-kubeconfig=" + k,
			"--bind-address=127.0.0.1", "--leader-elect=true",
		}
	}
	var args []string
	switch name {
	case etcd:
		client, peer := fmt.Sprintf("http://127.0.0.1:%d", c.ports.etcd), fmt.Sprintf("http://127.0.0.1:%d", c.ports.etcdPeer)
		args = []string{
			"--name=cp-1", "--data-dir=" + c.path("etcd"),
			"--listen-client-urls=" + client, "--advertise-client-urls=" + client,
			"--listen-peer-urls=" + peer, "--initial-advertise-peer-urls=" + peer, "--initial-cluster=cp-1=" + peer,
			"--unsafe-no-fsync", "--log-level=warn",
		}
	case apiServer:
		args = []string{
			fmt.Sprintf("--etcd-servers=http://127.0.0.1:%d", c.ports.etcd),
			"--bind-address=" + c.bindAddress(), "--advertise-address=" + controlPlane, fmt.Sprintf("--secure-port=%d", c.ports.api),
			"--service-cluster-ip-range=" + serviceNetwork,
			"--tls-cert-file=" + pki("apiserver.crt"), "--tls-private-key-file=" + pki("apiserver.key"), "--client-ca-file=" + pki("ca.crt"),
			"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction", "--enable-bootstrap-token-auth=true", "--allow-privileged=true",
			"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
			"--service-account-key-file=" + pki("sa.pub"), "--service-account-signing-key-file=" + pki("sa.key"),
			"--kubelet-client-certificate=" + pki("apiserver-kubelet-client.crt"), "--kubelet-client-key=" + pki("apiserver-kubelet-client.key"),
			"--kubelet-certificate-authority=" + pki("ca.crt"),
			"--requestheader-client-ca-file=" + pki("front-proxy-ca.crt"), "--requestheader-allowed-names=front-proxy-client",
			"--requestheader-extra-headers-prefix=X-Remote-Extra-", "--requestheader-group-headers=X-Remote-Group", "--requestheader-username-headers=X-Remote-User",
			"--proxy-client-cert-file=" + pki("front-proxy-client.crt"), "--proxy-client-key-file=" + pki("front-proxy-client.key"),
			// A dead node's pods go within a minute, not in five.
			"--default-not-ready-toleration-seconds=20", "--default-unreachable-toleration-seconds=20",
			"--audit-policy-file=" + c.path("audit-policy.yaml"), "--audit-log-path=" + c.AuditLog(), "--audit-log-format=json",
			// Batches would delay lines by half a minute; the size is in MB, and far beyond any recording's.
			"--audit-log-mode=blocking", "--audit-log-maxsize=100000",
		}
		if c.options.Network == Namespace {
			args = append(args, "--kubelet-preferred-address-types=InternalIP")
		} else {
			args = append(args, "--kubelet-preferred-address-types=Hostname", "--egress-selector-config-file="+c.path("egress.yaml"))
		}
	case controllerManager:
		args = append(own(),
			fmt.Sprintf("--secure-port=%d", c.ports.manager),
			"--use-service-account-credentials=true", "--service-account-private-key-file="+pki("sa.key"), "--root-ca-file="+pki("ca.crt"),
			"--client-ca-file="+pki("ca.crt"), "--requestheader-client-ca-file="+pki("front-proxy-ca.crt"),
			"--cluster-signing-cert-file="+pki("ca.crt"), "--cluster-signing-key-file="+pki("ca.key"),
			"--allocate-node-cidrs=true", "--cluster-cidr="+podNetwork, "--service-cluster-ip-range="+serviceNetwork,
			"--controllers=*,bootstrapsigner,tokencleaner",
			"--node-monitor-grace-period=30s", "--terminated-pod-gc-threshold=500", "--enable-hostpath-provisioner=true",
		)
	case scheduler:
		args = append(own(), fmt.Sprintf("--secure-port=%d", c.ports.scheduler))
	}
	if name != etcd {
		args = append(args, "--v=1")
	}
	return slices.Concat([]string{name}, args, c.options.Args[name])
}

// bindAddress is where servers listen that others reach by several addresses.
func (c *Cluster) bindAddress() string {
	if c.options.Network == Namespace {
		return "0.0.0.0"
	}
	return "127.0.0.1"
}

// launch starts a component of the control plane for the first time.
func (c *Cluster) launch(name string) error {
	return c.add(&component{name: name, args: c.arguments(name), log: filepath.Join(c.logs(), name+".log")})
}

// add starts a component and keeps it.
func (c *Cluster) add(one *component) error {
	one.binary = c.options.Binary
	one.env = []string{"HOME=" + c.path("home"), "TMPDIR=" + c.path("home")}
	one.onDeath = c.fail
	c.mu.Lock()
	if c.down {
		c.mu.Unlock()
		return fmt.Errorf("starting %s: the cluster is down", one.name)
	}
	c.components[one.name] = one
	c.mu.Unlock()
	return c.run(one)
}

// run starts a component and writes down its process.
func (c *Cluster) run(one *component) error {
	if err := one.start(); err != nil {
		return err
	}
	if c.options.Network == Namespace {
		return nil // it ends with the namespace
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.record.Processes = append(c.record.Processes[:1:1], c.living()...)
	return c.record.write(c.options.Cache)
}

// living lists the components' processes. It is called with the lock held.
func (c *Cluster) living() []process {
	var out []process
	for _, one := range c.components {
		one.mu.Lock()
		if one.running() {
			out = append(out, one.started)
		}
		one.mu.Unlock()
	}
	slices.SortFunc(out, func(a, b process) int { return a.Pid - b.Pid })
	return out
}

// component finds a component by name; nodes also by the name of the node.
func (c *Cluster) component(name string) (*component, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	one, ok := c.components[strings.Replace(name, "node/node-", "node/", 1)]
	if !ok {
		return nil, fmt.Errorf("no component %q: there are %s, %s, %s, %s and node/NUMBER", name, etcd, apiServer, controllerManager, scheduler)
	}
	return one, nil
}

// Kill ends a component at once, as a crash does, and waits until it is gone.
func (c *Cluster) Kill(name string) error { return c.halt(name, syscall.SIGKILL) }

// Stop asks a component to end, as a shutdown does, and waits until it is gone.
func (c *Cluster) Stop(name string) error { return c.halt(name, syscall.SIGTERM) }

func (c *Cluster) halt(name string, signal syscall.Signal) error {
	one, err := c.component(name)
	if err != nil {
		return err
	}
	return one.end(signal, 15*time.Second)
}

// Start starts a component again that Kill or Stop has ended. It does not wait until it is ready.
func (c *Cluster) Start(name string) error {
	one, err := c.component(name)
	if err != nil {
		return err
	}
	return c.run(one)
}

// Reissue gives the scheduler, the controller manager or a node other credentials, valid for the given
// time (0: as long as the cluster), and restarts it with them. Once they have expired, the API server
// answers it with 401 until it gets new ones; the scheduler and the controller manager then lose their
// lease and end, which counts as no failure: their keeper calls Start.
func (c *Cluster) Reissue(name string, valid time.Duration) error {
	one, err := c.component(name)
	if err != nil {
		return err
	}
	mortal := valid != 0
	if !mortal {
		valid = lifetime
	}
	switch {
	case name == controllerManager || name == scheduler:
		_, err = c.credentials("system:"+name, nil, valid, c.server)
	case strings.HasPrefix(name, "node/"):
		c.mu.Lock()
		n := c.nodes[one.name]
		c.mu.Unlock()
		err = c.nodeCredentials(n, valid)
	default:
		err = fmt.Errorf("%s has no credentials of its own", name)
	}
	if err != nil {
		return err
	}
	if err := one.end(syscall.SIGTERM, 15*time.Second); err != nil {
		return err
	}
	one.mu.Lock()
	one.mortal = mortal
	one.mu.Unlock()
	return c.run(one)
}

func nodeName(n int) string { return fmt.Sprintf("node-%d", n) }

// nodeAddress is a node's own address, which the kubelet finds by itself where there is no namespace.
func (c *Cluster) nodeAddress(n int) string {
	if c.options.Network != Namespace {
		return ""
	}
	return strings.TrimSuffix(nodeNetwork, "0") + strconv.Itoa(100+n)
}

// nodeCredentials writes the kubelet's kubeconfig.
func (c *Cluster) nodeCredentials(n int, valid time.Duration) error {
	url := c.server
	if a := c.nodeAddress(n); a != "" {
		url = fmt.Sprintf("https://%s:%d", a, c.ports.api)
	}
	_, err := c.credentials("system:node:"+nodeName(n), []string{"system:nodes"}, valid, url)
	return err
}

// AddNode starts a further node under the lowest free number and returns its name. It does not wait
// until the node is ready: WaitNodes does.
func (c *Cluster) AddNode() (string, error) {
	c.mu.Lock()
	n := 1
	for c.components[fmt.Sprintf("node/%d", n)] != nil {
		n++
	}
	c.mu.Unlock()
	if n > MaxNodes {
		return "", fmt.Errorf("at most %d nodes", MaxNodes)
	}
	return c.addNode(n)
}

func (c *Cluster) addNode(n int) (string, error) {
	name := nodeName(n)
	if err := c.startNode(n); err != nil {
		return "", fmt.Errorf("adding %s: %w", name, err)
	}
	return name, nil
}

func (c *Cluster) startNode(n int) error {
	name, address, port := nodeName(n), c.nodeAddress(n), 10250
	hosts := []string{name}
	bind := address
	proxyURL := c.server
	if address == "" {
		free, err := freePorts(1)
		if err != nil {
			return err
		}
		bind, port = "127.0.0.1", free[0]
		c.egress.addNode(port)
		hosts = append(hosts, bind)
	} else {
		if err := addAddress(netip.MustParsePrefix(address + "/32")); err != nil {
			return err
		}
		hosts = append(hosts, address)
		proxyURL = fmt.Sprintf("https://%s:%d", address, c.ports.api)
	}
	serving, err := c.ca.server("system:node:"+name, []string{"system:nodes"}, hosts)
	if err != nil {
		return err
	}
	if err := serving.write(c.path("pki", name)); err != nil {
		return err
	}
	if err := c.nodeCredentials(n, lifetime); err != nil {
		return err
	}
	proxy := c.path("pki", name+"-proxy.kubeconfig")
	if err := writeKubeconfig(proxy, kubeconfig("kube-proxy", proxyURL, c.ca.pem, api.AuthInfo{TokenFile: c.path("pki", "kube-proxy.token")})); err != nil {
		return err
	}
	one := &component{
		name:   fmt.Sprintf("node/%d", n),
		asRoot: c.options.Network == Loopback && !kernelMessages(),
		log:    filepath.Join(c.logs(), name+".log"),
		args: slices.Concat([]string{
			"node", "--name=" + name, "--kubeconfig=" + c.path("pki", "system-node-"+name+".kubeconfig"), "--proxy-kubeconfig=" + proxy,
			"--address=" + bind, fmt.Sprintf("--port=%d", port), "--node-ip=" + address, "--root=" + c.path("nodes", strconv.Itoa(n)),
			"--client-ca=" + c.path("pki", "ca.crt"), "--tls-cert=" + c.path("pki", name+".crt"), "--tls-key=" + c.path("pki", name+".key"),
			fmt.Sprintf("--answer-pods=%v", address != ""),
		}, c.options.Args[nodeArgs]),
	}
	c.mu.Lock()
	c.nodes[one.name] = n
	c.mu.Unlock()
	return c.add(one)
}

// kernelMessages tells whether this process may read them, which the kubelet insists on: outside a user
// namespace it does not start without.
func kernelMessages() bool {
	f, err := os.Open("/dev/kmsg")
	if err != nil {
		return false
	}
	return f.Close() == nil
}

// RemoveNode ends a node's process and forgets the node. Its object in the API is somebody else's to
// delete.
func (c *Cluster) RemoveNode(name string) error {
	one, err := c.component("node/" + strings.TrimPrefix(name, "node/"))
	if err != nil {
		return err
	}
	if err := one.end(syscall.SIGKILL, 15*time.Second); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.nodes[one.name]
	delete(c.components, one.name)
	delete(c.nodes, one.name)
	return os.RemoveAll(c.path("nodes", strconv.Itoa(n)))
}

// WaitNodes waits until every node whose process runs is ready.
func (c *Cluster) WaitNodes(ctx context.Context) error {
	return c.waitFor(ctx, startLimit, "nodes", func(ctx context.Context) (bool, error) {
		list, err := c.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
		if err != nil {
			return false, err
		}
		ready := map[string]bool{}
		for _, n := range list.Items {
			for _, condition := range n.Status.Conditions {
				ready[n.Name] = ready[n.Name] || condition.Type == corev1.NodeReady && condition.Status == corev1.ConditionTrue
			}
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		for key, n := range c.nodes {
			one := c.components[key]
			one.mu.Lock()
			runs := one.running()
			one.mu.Unlock()
			if runs && !ready[nodeName(n)] {
				return false, fmt.Errorf("%s is not ready", nodeName(n))
			}
		}
		return true, nil
	})
}

// etcdReady tells whether etcd takes connections. An API server that starts earlier waits for it too, but
// fills its log.
func (c *Cluster) etcdReady(ctx context.Context) (bool, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(c.ports.etcd)))
	if err != nil {
		return false, err
	}
	return true, conn.Close()
}

func (c *Cluster) apiReady(ctx context.Context) (bool, error) {
	answer, err := c.client.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(ctx)
	return string(answer) == "ok", err
}

// WaitAPI waits until the API server answers, for instance after it was started again.
func (c *Cluster) WaitAPI(ctx context.Context) error {
	return c.waitFor(ctx, startLimit, "the API server", c.apiReady)
}

// accountsReady tells whether pods can be created in the namespaces that are there from the start.
func (c *Cluster) accountsReady(ctx context.Context) (bool, error) {
	for _, namespace := range []string{"default", "kube-system"} {
		if _, err := c.client.CoreV1().ServiceAccounts(namespace).Get(ctx, "default", metav1.GetOptions{}); err != nil {
			return false, err
		}
		if _, err := c.client.CoreV1().ConfigMaps(namespace).Get(ctx, "kube-root-ca.crt", metav1.GetOptions{}); err != nil {
			return false, err
		}
	}
	return true, nil
}

// furnishAPI creates what kubeadm and most distributions create: the administrators' binding and a
// default storage class.
func (c *Cluster) furnishAPI(ctx context.Context) error {
	_, err := c.client.RbacV1().ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: AdminGroup},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: AdminGroup}},
	}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("binding of the administrators: %w", err)
	}
	_, err = c.client.StorageV1().StorageClasses().Create(ctx, &storagev1.StorageClass{
		ObjectMeta:  metav1.ObjectMeta{Name: "standard", Annotations: map[string]string{"storageclass.kubernetes.io/is-default-class": "true"}},
		Provisioner: "kubernetes.io/host-path",
	}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("default storage class: %w", err)
	}
	return nil
}

// removeVolumes removes what the provisioner has made on the machine.
func (c *Cluster) removeVolumes() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	list, err := c.client.CoreV1().PersistentVolumes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("volumes may be left in %s: %w", provisionerFolder, err)
	}
	for _, v := range list.Items {
		if v.Spec.HostPath != nil && filepath.Dir(v.Spec.HostPath.Path) == provisionerFolder {
			err = errors.Join(err, os.RemoveAll(v.Spec.HostPath.Path))
		}
	}
	return err
}

// proxyCredentials makes kube-proxy's service account, as kubeadm does, and a token of it for the nodes.
func (c *Cluster) proxyCredentials(ctx context.Context) error {
	accounts := c.client.CoreV1().ServiceAccounts("kube-system")
	_, err := accounts.Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "kube-proxy"}}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("service account of kube-proxy: %w", err)
	}
	_, err = c.client.RbacV1().ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "kubeadm:node-proxier"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "system:node-proxier"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: "kube-system", Name: "kube-proxy"}},
	}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("rights of kube-proxy: %w", err)
	}
	seconds := int64((24 * time.Hour).Seconds())
	token, err := accounts.CreateToken(ctx, "kube-proxy", &authenticationv1.TokenRequest{
		Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &seconds},
	}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("token of kube-proxy: %w", err)
	}
	if token.Status.Token == "" {
		return errors.New("token of kube-proxy is empty")
	}
	return os.WriteFile(c.path("pki", "kube-proxy.token"), []byte(token.Status.Token), 0o600)
}
