package cluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
)

// Level is how much of a request the audit log keeps.
type Level string

const (
	RequestResponse Level = "RequestResponse"
	Request         Level = "Request"
	Metadata        Level = "Metadata"
)

// HarnessUser is who the testbed itself is in an audit log, in user name and user agent.
const HarnessUser = "testbed-harness"

// AdminGroup is the group whose members may do everything, by a binding as kubeadm makes it.
const AdminGroup = "kubeadm:cluster-admins"

// DefaultNodes is the number of nodes of a cluster that asks for none.
const DefaultNodes = 3

// MaxNodes is how many nodes a cluster can have.
const MaxNodes = 100

// Options say what to start.
type Options struct {
	Name    string  // of the cluster: one is alive under a name at a time; "testbed" when empty
	Minor   string  // of Kubernetes, as "1.34"
	Cache   string  // folder of built binaries and of running clusters' state; DefaultCache() when empty
	Binary  string  // the built binary, when it is not the cache's
	Dir     string  // where audit.log and the components' logs go; is made
	Network Network // as Enter returned it
	Nodes   int     // DefaultNodes when 0, none when negative
	Level   Level   // of the audit log; RequestResponse when empty
	APIPort int     // of the API server; 6443 in a namespace and a free one elsewhere when 0

	// Args are further arguments, by component: "kube-controller-manager" and so on, "node" for all nodes.
	Args map[string][]string

	// Progress is told what happens, when it is not nil.
	Progress func(format string, args ...any)
}

// Cluster is a running control plane with its nodes. Its methods may be called side by side, but not two
// for the same component.
type Cluster struct {
	options Options
	release Release
	state   string // folder
	ports   ports
	ca      *authority
	server  string // URL for those that share the control plane's address

	client  *kubernetes.Clientset // the harness's
	config  *rest.Config
	record  Record
	lock    *nameLock
	egress  *egress // on plain loopback, else nil
	failed  chan struct{}
	stopped chan struct{} // closed by Down

	mu         sync.Mutex
	failure    error
	components map[string]*component
	nodes      map[string]int    // number of every node there is
	users      map[string]string // address of every user's machine
	files      int               // kubeconfigs written for users
	down       bool
}

// Up starts a cluster and returns when its nodes are ready and pods can be created. When something goes
// wrong, it has stopped whatever it had started.
func Up(ctx context.Context, o Options) (*Cluster, error) {
	c, err := prepare(o)
	if err != nil {
		return nil, err
	}
	if err := c.up(ctx); err != nil {
		return nil, errors.Join(err, c.Down())
	}
	return c, nil
}

// prepare checks the options and the machine, and makes the folders.
func prepare(o Options) (*Cluster, error) {
	if o.Name == "" {
		o.Name = "testbed"
	}
	if o.Nodes == 0 {
		o.Nodes = DefaultNodes
	}
	if o.Level == "" {
		o.Level = RequestResponse
	}
	if o.Progress == nil {
		o.Progress = func(string, ...any) {}
	}
	var err error
	if o.Cache == "" {
		if o.Cache, err = DefaultCache(); err != nil {
			return nil, err
		}
	}
	if err := o.check(); err != nil {
		return nil, err
	}
	release, err := FindRelease(o.Minor)
	if err != nil {
		return nil, err
	}
	if o.Binary == "" {
		o.Binary = release.Binary(o.Cache)
	}
	if _, err := os.Stat(o.Binary); err != nil {
		return nil, fmt.Errorf("no built Kubernetes %s: %w (build it: testbed build --minor %s)", release.Version, err, o.Minor)
	}
	if o.Dir, err = filepath.Abs(o.Dir); err != nil {
		return nil, err
	}
	c := &Cluster{
		options: o, release: release, state: stateFolder(o.Cache, o.Name),
		failed: make(chan struct{}), stopped: make(chan struct{}),
		components: map[string]*component{}, nodes: map[string]int{}, users: map[string]string{},
	}
	if err := c.claim(); err != nil {
		return nil, err
	}
	return c, nil
}

// check finds what no cluster could be started with.
func (o Options) check() error {
	switch {
	case strings.ContainsFunc(o.Name, func(r rune) bool { return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789-.", r) }) || o.Name[0] == '.' || len(o.Name) > 40:
		return fmt.Errorf("cluster name %q: use up to 40 lower-case letters, digits, '-' and '.'", o.Name)
	case o.Dir == "":
		return errors.New("no folder for the audit log")
	case o.Nodes > MaxNodes:
		return fmt.Errorf("%d nodes: at most %d", o.Nodes, MaxNodes)
	case o.Level != RequestResponse && o.Level != Request && o.Level != Metadata:
		return fmt.Errorf("unknown audit level %q: use %s, %s or %s", o.Level, RequestResponse, Request, Metadata)
	case o.Network != Namespace && o.Network != Loopback:
		return fmt.Errorf("network %q is none that Enter returned", o.Network)
	case o.APIPort < 0 || o.APIPort > 65535:
		return fmt.Errorf("port %d of the API server", o.APIPort)
	}
	for name := range o.Args {
		if !slices.Contains([]string{etcd, apiServer, controllerManager, scheduler, nodeArgs}, name) {
			return fmt.Errorf("arguments for the unknown component %q", name)
		}
	}
	return nil
}

// claim takes the cluster's name, and writes down who to end to free it.
func (c *Cluster) claim() error {
	lock, err := lockName(c.options.Cache, c.options.Name)
	if errors.Is(err, errLocked) {
		return fmt.Errorf("a cluster named %s runs: choose another name, or end it with: testbed down %s", c.options.Name, c.options.Name)
	}
	if err != nil {
		return err
	}
	if err := c.occupy(); err != nil {
		lock.release()
		return err
	}
	c.lock = lock
	return nil
}

// occupy makes the folders of a cluster whose name is taken, and its record; where it fails, it leaves no state.
func (c *Cluster) occupy() error {
	records, err := Records(c.options.Cache)
	if err != nil {
		return err
	}
	for _, r := range records {
		if r.Name != c.options.Name {
			continue
		}
		if err := r.End(c.options.Cache); err != nil {
			return fmt.Errorf("clearing what an earlier cluster left: %w", err)
		}
	}
	if err := c.furnishState(); err != nil {
		return errors.Join(err, forget(c.options.Cache, c.options.Name))
	}
	return nil
}

// furnishState makes the folders and writes the record.
func (c *Cluster) furnishState() error {
	for _, folder := range []string{c.options.Dir, c.logs(), c.state, c.path("pki"), c.path("bin"), c.path("home"), c.path("volumes")} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return err
		}
	}
	for _, folder := range []string{c.options.Dir, c.state} {
		if err := checkDisk(folder, minFree); err != nil {
			return err
		}
	}
	var err error
	if c.ports, err = choosePorts(c.options); err != nil {
		return err
	}
	p, err := maker()
	if err != nil {
		return fmt.Errorf("who runs this cluster: %w", err)
	}
	c.record = Record{
		Name: c.options.Name, Minor: c.options.Minor, Network: c.options.Network, Dir: c.options.Dir,
		Started: time.Now(), Boot: bootID(), Processes: []process{p},
	}
	return c.record.write(c.options.Cache)
}

const (
	minFree  = 2 << 30   // bytes of disk to start with
	lowDisk  = 512 << 20 // bytes of disk to stop at
	diskWait = 10 * time.Second
)

// checkDisk wants some free bytes where a folder lies.
func checkDisk(folder string, want uint64) error {
	var s unix.Statfs_t
	if err := unix.Statfs(folder, &s); err != nil {
		return fmt.Errorf("free disk at %s: %w", folder, err)
	}
	if free := s.Bavail * uint64(s.Bsize); free < want {
		return fmt.Errorf("%d MiB of disk free at %s, %d MiB needed: %w", free>>20, folder, want>>20, syscall.ENOSPC)
	}
	return nil
}

func (c *Cluster) path(parts ...string) string {
	return filepath.Join(append([]string{c.state}, parts...)...)
}

func (c *Cluster) logs() string { return filepath.Join(c.options.Dir, "logs") }

// AuditLog is the file that the API server writes.
func (c *Cluster) AuditLog() string { return filepath.Join(c.options.Dir, "audit.log") }

// Version is the exact version of Kubernetes, as "v1.34.4".
func (c *Cluster) Version() string { return c.release.Version }

// Network is what keeps the cluster apart.
func (c *Cluster) Network() Network { return c.options.Network }

// Server is the URL of the API server.
func (c *Cluster) Server() string { return c.server }

// Client is the testbed's own, which may do everything. What it does is the harness's in the audit log.
func (c *Cluster) Client() kubernetes.Interface { return c.client }

// Config is the testbed's own access, to be copied and not changed.
func (c *Cluster) Config() *rest.Config { return rest.CopyConfig(c.config) }

// Failed is closed when a component has died that should run, or the disk is nearly full. Err then says
// what happened.
func (c *Cluster) Failed() <-chan struct{} { return c.failed }

// Err is why the cluster failed, or nil.
func (c *Cluster) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failure
}

// fail notes the first failure.
func (c *Cluster) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failure == nil && !c.down {
		c.failure = err
		close(c.failed)
	}
}

// up does what Up promises, leaving to it to clean up.
func (c *Cluster) up(ctx context.Context) error {
	progress := c.options.Progress
	if err := shareFolder(provisionerFolder); err != nil {
		progress("claims will not get volumes: %v", err)
	}
	var err error
	if c.options.Network == Namespace {
		err = c.furnish()
	} else {
		c.egress, err = startEgress(c.path("egress"))
	}
	if err != nil {
		return err
	}
	if err := c.writeFiles(); err != nil {
		return err
	}
	go c.watchDisk()
	if err := c.launch(etcd); err != nil {
		return err
	}
	if err := c.waitFor(ctx, startLimit, etcd, c.etcdReady); err != nil {
		return err
	}
	if err := c.launch(apiServer); err != nil {
		return err
	}
	if err := c.connect(); err != nil {
		return err
	}
	progress("%s started, waiting for the API server", c.release.Version)
	if err := c.waitFor(ctx, startLimit, "the API server", c.apiReady); err != nil {
		return err
	}
	if err := c.furnishAPI(ctx); err != nil {
		return err
	}
	for _, name := range []string{controllerManager, scheduler} {
		if err := c.launch(name); err != nil {
			return err
		}
	}
	if err := c.waitFor(ctx, startLimit, "the default service accounts", c.accountsReady); err != nil {
		return err
	}
	if err := c.proxyCredentials(ctx); err != nil {
		return err
	}
	progress("control plane ready, starting %d nodes", max(0, c.options.Nodes))
	for n := 1; n <= c.options.Nodes; n++ {
		if _, err := c.addNode(n); err != nil {
			return err
		}
	}
	return c.WaitNodes(ctx)
}

// furnish gives the namespace its addresses and a place for volumes.
func (c *Cluster) furnish() error {
	for _, p := range []string{controlPlane + "/32", podNetwork} {
		if err := addAddress(netip.MustParsePrefix(p)); err != nil {
			return err
		}
	}
	if err := unix.Mount(c.path("volumes"), provisionerFolder, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("a place for volumes: %w", err)
	}
	return nil
}

// shareFolder makes a folder that, as the one for temporary files, everybody may use.
func shareFolder(path string) error {
	if err := os.Mkdir(path, 0o777); err == nil {
		return os.Chmod(path, 0o777|os.ModeSticky)
	} else if !errors.Is(err, os.ErrExist) {
		return err
	}
	if err := unix.Access(path, unix.W_OK); err != nil {
		return fmt.Errorf("writing to %s: %w", path, err)
	}
	return nil
}

// watchDisk fails the cluster before the disk is full.
func (c *Cluster) watchDisk() {
	for {
		select {
		case <-c.stopped:
			return
		case <-time.After(diskWait):
		}
		for _, folder := range []string{c.options.Dir, c.state} {
			if err := checkDisk(folder, lowDisk); err != nil {
				c.fail(err)
			}
		}
	}
}

// startLimit is how long a part of the control plane may take to be ready: seconds on an idle machine.
const startLimit = 3 * time.Minute

// waitFor asks until the answer is yes, the cluster fails, or the time is over.
func (c *Cluster) waitFor(ctx context.Context, limit time.Duration, what string, ready func(context.Context) (bool, error)) error {
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var last error
	for {
		ok, err := ready(limited)
		if ok {
			return nil
		}
		if err != nil && limited.Err() == nil {
			last = err
		}
		select {
		case <-c.failed:
			return c.Err()
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w", what, ctx.Err())
		case <-limited.Done():
			return fmt.Errorf("%s not ready after %v (logs in %s): %w", what, limit, c.logs(), errors.Join(last, limited.Err()))
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// connect makes the testbed's own client.
func (c *Cluster) connect() error {
	path, err := c.credentials(HarnessUser, []string{"system:masters"}, lifetime, c.server)
	if err != nil {
		return err
	}
	if c.config, err = clientcmd.BuildConfigFromFlags("", path); err != nil {
		return err
	}
	c.config.UserAgent = HarnessUser
	c.config.QPS, c.config.Burst = 50, 100
	c.client, err = kubernetes.NewForConfig(c.config)
	return err
}

// credentials writes a kubeconfig with a client certificate for a part of the cluster.
func (c *Cluster) credentials(user string, groups []string, valid time.Duration, url string) (string, error) {
	path := c.path("pki", strings.ReplaceAll(user, ":", "-")+".kubeconfig")
	return path, c.certify(path, user, groups, valid, url)
}

func (c *Cluster) certify(path, user string, groups []string, valid time.Duration, url string) error {
	p, err := c.ca.client(user, groups, valid)
	if err != nil {
		return err
	}
	return writeKubeconfig(path, kubeconfig(user, url, c.ca.pem, api.AuthInfo{ClientCertificateData: p.certificate, ClientKeyData: p.key}))
}

// Kubeconfig writes credentials of a user: a client certificate with the groups, valid for the given time
// (0: as long as the cluster). In a namespace every user has an address of their own, under which the
// audit log shows them.
func (c *Cluster) Kubeconfig(user string, groups []string, valid time.Duration) (string, error) {
	if valid == 0 {
		valid = lifetime
	}
	url, path, err := c.userPlace(user)
	if err != nil {
		return "", err
	}
	return path, c.certify(path, user, groups, valid, url)
}

// TokenKubeconfig writes credentials that are a bearer token, for instance one of a service account. The
// name stands for its bearer.
func (c *Cluster) TokenKubeconfig(name, token string) (string, error) {
	url, path, err := c.userPlace(name)
	if err != nil {
		return "", err
	}
	return path, writeKubeconfig(path, kubeconfig(name, url, c.ca.pem, api.AuthInfo{Token: token}))
}

// userPlace is the URL at which a user reaches the API server, and a new file for credentials. A
// connection to an address of this machine comes from that same address, so a user's URL gives them a
// source address.
func (c *Cluster) userPlace(user string) (url, path string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.files++
	path = c.path("home", fmt.Sprintf("%03d-%s.kubeconfig", c.files, fileName(user)))
	if c.options.Network != Namespace {
		return c.server, path, nil
	}
	address, ok := c.users[user]
	if !ok {
		address = userAddress(len(c.users))
		if err := addAddress(netip.MustParsePrefix(address + "/32")); err != nil {
			return "", "", err
		}
		c.users[user] = address
	}
	return fmt.Sprintf("https://%s:%d", address, c.ports.api), path, nil
}

// fileName is a user's name without what file names cannot have.
func fileName(user string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x80 && (r == '-' || r == '.' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z') {
			return r
		}
		return '-'
	}, user)
}

// Kubectl is the path of kubectl. It is kubectl under every name that begins with "kubectl", which shows
// in its user agent.
func (c *Cluster) Kubectl() string { return c.path("bin", "kubectl") }

// Command is a process inside the cluster's network. A first word "kubectl" or "kubectl-anything" is the
// cluster's kubectl, with that word as its name. Kubectl's cache and home folder are the cluster's own.
func (c *Cluster) Command(ctx context.Context, argv ...string) *exec.Cmd {
	path := argv[0]
	if argv[0] == "kubectl" || strings.HasPrefix(argv[0], "kubectl-") {
		path = c.Kubectl()
	}
	cmd := exec.CommandContext(ctx, path, argv[1:]...)
	cmd.Args[0] = argv[0]
	home := c.path("home")
	cmd.Env = append(environment(), "HOME="+home, "KUBECACHEDIR="+filepath.Join(home, "cache"), "KUBECONFIG=", "KUBECTL_KUBERC=false")
	cmd.Dir = home
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// ServingCertificate writes a certificate and key for a server inside the cluster's network, such as an
// admission webhook, and returns the authority that signed it, in PEM. The API server reaches a webhook
// by a URL with one of the hosts.
func (c *Cluster) ServingCertificate(name string, hosts ...string) (certificate, key string, ca []byte, err error) {
	p, err := c.ca.server(name, nil, hosts)
	if err != nil {
		return "", "", nil, err
	}
	path := c.path("pki", "server-"+fileName(name))
	return path + ".crt", path + ".key", c.ca.pem, p.write(path)
}

// Down stops everything and removes the cluster's state. The audit log and the components' logs stay. It
// may be called again.
func (c *Cluster) Down() error {
	c.mu.Lock()
	if c.down {
		c.mu.Unlock()
		return nil
	}
	c.down = true
	close(c.stopped)
	all := maps.Clone(c.components)
	c.mu.Unlock()

	// Those who talk to the API server first, then it, then etcd: nothing dies of what it needs.
	var errs []error
	var late []string
	var wait sync.WaitGroup
	var mu sync.Mutex
	for name, one := range all {
		if name == etcd || name == apiServer {
			late = append(late, name)
			continue
		}
		wait.Go(func() {
			err := one.end(syscall.SIGTERM, 5*time.Second)
			mu.Lock()
			defer mu.Unlock()
			errs = append(errs, err)
		})
	}
	wait.Wait()
	if manager, ok := all[controllerManager]; ok && c.options.Network != Namespace && manager.started.Pid != 0 {
		errs = append(errs, c.removeVolumes())
	}
	slices.SortFunc(late, func(a, b string) int { return strings.Compare(b, a) }) // kube-apiserver before etcd
	for _, name := range late {
		errs = append(errs, all[name].end(syscall.SIGTERM, 10*time.Second))
	}
	if c.options.Network == Namespace {
		if err := unix.Unmount(provisionerFolder, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
			errs = append(errs, fmt.Errorf("the place for volumes: %w", err))
		}
	}
	if c.egress != nil {
		errs = append(errs, c.egress.close())
	}
	errs = append(errs, forget(c.options.Cache, c.options.Name))
	c.lock.release()
	return errors.Join(errs...)
}
