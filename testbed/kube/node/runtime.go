package node

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	apitest "k8s.io/cri-api/pkg/apis/testing"
	"k8s.io/klog/v2"
	utilexec "k8s.io/utils/exec"

	"k8ntext/testbed/kube/container"
)

// What things take on a machine with a container engine, roughly.
const (
	sandboxTime = 150 * time.Millisecond
	stopTime    = 200 * time.Millisecond
)

// runtimeService is a container runtime that keeps books and runs nothing.
type runtimeService struct {
	*apitest.FakeRuntimeService
	streams streamServer
	answer  bool // HTTP requests at the addresses of pods

	mu         sync.Mutex // after the fake's own lock, where both are held
	network    netip.Prefix
	addresses  map[string]netip.Addr     // of sandboxes
	servers    map[string][]net.Listener // of sandboxes
	containers map[string]*process       // by id
}

// process is what the fake keeps of a container beyond the CRI's own record.
type process struct {
	plan    container.Plan
	log     string // file, or empty
	mounts  []container.Mount
	oneShot bool // ends with its first attachment
}

func newRuntime(answerPods bool) (*runtimeService, error) {
	r := &runtimeService{
		FakeRuntimeService: apitest.NewFakeRuntimeService(),
		answer:             answerPods,
		addresses:          map[string]netip.Addr{},
		servers:            map[string][]net.Listener{},
		containers:         map[string]*process{},
	}
	r.FakeStatus = status(false)
	var err error
	r.streams, err = startStreams(r)
	return r, err
}

// status tells whether the network is ready, which it is once the node has got its range of addresses.
func status(network bool) *runtimeapi.RuntimeStatus {
	n := &runtimeapi.RuntimeCondition{Type: runtimeapi.NetworkReady, Status: network}
	if !network {
		n.Reason, n.Message = "NetworkPluginNotReady", "Network plugin returns error: cni plugin not initialized"
	}
	return &runtimeapi.RuntimeStatus{Conditions: []*runtimeapi.RuntimeCondition{{Type: runtimeapi.RuntimeReady, Status: true}, n}}
}

func newID() string {
	b := make([]byte, 32)
	rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

func (r *runtimeService) Version(context.Context, string) (*runtimeapi.VersionResponse, error) {
	return &runtimeapi.VersionResponse{Version: "0.1.0", RuntimeName: "containerd", RuntimeVersion: "v2.1.4", RuntimeApiVersion: "v1"}, nil
}

// UpdateRuntimeConfig is how the kubelet passes on the node's range of pod addresses.
func (r *runtimeService) UpdateRuntimeConfig(_ context.Context, c *runtimeapi.RuntimeConfig) error {
	first, _, _ := strings.Cut(c.GetNetworkConfig().GetPodCidr(), ",")
	if first == "" {
		return nil
	}
	network, err := netip.ParsePrefix(first)
	if err != nil {
		return fmt.Errorf("range of pod addresses: %w", err)
	}
	r.Lock()
	r.FakeStatus = status(true)
	r.Unlock()
	r.mu.Lock()
	r.network = network.Masked()
	r.mu.Unlock()
	return nil
}

// newAddress takes the lowest address of the node's range that no sandbox has, after the last one given.
func (r *runtimeService) newAddress(id string) (netip.Addr, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.network.IsValid() {
		return netip.Addr{}, fmt.Errorf("no range of pod addresses yet: cni plugin not initialized")
	}
	used := map[netip.Addr]bool{}
	for _, a := range r.addresses {
		used[a] = true
	}
	for a := r.network.Addr().Next().Next(); r.network.Contains(a); a = a.Next() {
		if !used[a] {
			r.addresses[id] = a
			return a, nil
		}
	}
	return netip.Addr{}, fmt.Errorf("no free address in %v", r.network)
}

func (r *runtimeService) RunPodSandbox(_ context.Context, c *runtimeapi.PodSandboxConfig, handler string) (string, error) {
	time.Sleep(sandboxTime)
	id := newID()
	options := c.GetLinux().GetSecurityContext().GetNamespaceOptions()
	network := &runtimeapi.PodSandboxNetworkStatus{}
	if options.GetNetwork() != runtimeapi.NamespaceMode_NODE {
		a, err := r.newAddress(id)
		if err != nil {
			return "", err
		}
		network.Ip = a.String()
		if r.answer {
			r.serve(id, a, c.PortMappings)
		}
	}
	r.Lock()
	defer r.Unlock()
	r.Sandboxes[id] = &apitest.FakePodSandbox{RuntimeHandler: handler, PodSandboxStatus: runtimeapi.PodSandboxStatus{
		Id: id, Metadata: c.Metadata, State: runtimeapi.PodSandboxState_SANDBOX_READY, CreatedAt: time.Now().UnixNano(),
		Network: network,
		Linux:   &runtimeapi.LinuxPodSandboxStatus{Namespaces: &runtimeapi.Namespace{Options: options}},
		Labels:  c.Labels, Annotations: c.Annotations, RuntimeHandler: handler,
	}}
	return id, nil
}

// serve answers HTTP requests at a pod's address: on the ports that its containers name, and on port 80.
func (r *runtimeService) serve(id string, address netip.Addr, ports []*runtimeapi.PortMapping) {
	numbers := map[uint16]bool{80: true}
	for _, p := range ports {
		if p.Protocol == runtimeapi.Protocol_TCP {
			numbers[uint16(p.ContainerPort)] = true
		}
	}
	var servers []net.Listener
	for port := range numbers {
		l, err := net.Listen("tcp", netip.AddrPortFrom(address, port).String())
		if err != nil {
			klog.ErrorS(err, "Pod does not answer", "address", address, "port", port)
			continue
		}
		servers = append(servers, l)
		go http.Serve(l, http.HandlerFunc(respond)) // until the listener is closed
	}
	r.mu.Lock()
	r.servers[id] = servers
	r.mu.Unlock()
}

// respond is the one HTTP server of all pods. Paths with "fail" in them fail.
func respond(w http.ResponseWriter, q *http.Request) {
	if strings.Contains(q.URL.Path, "fail") {
		http.Error(w, "failed", http.StatusInternalServerError)
		return
	}
	fmt.Fprintln(w, "ok")
}

func (r *runtimeService) closeServers(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range r.servers[id] {
		l.Close()
	}
	delete(r.servers, id)
}

func (r *runtimeService) StopPodSandbox(ctx context.Context, id string) error {
	r.closeServers(id)
	return r.FakeRuntimeService.StopPodSandbox(ctx, id)
}

func (r *runtimeService) RemovePodSandbox(ctx context.Context, id string) error {
	r.closeServers(id)
	r.mu.Lock()
	delete(r.addresses, id)
	r.mu.Unlock()
	return r.FakeRuntimeService.RemovePodSandbox(ctx, id)
}

func (r *runtimeService) CreateContainer(_ context.Context, sandbox string, c *runtimeapi.ContainerConfig, pod *runtimeapi.PodSandboxConfig) (string, error) {
	id := newID()
	p := &process{
		oneShot: c.Stdin && c.StdinOnce,
		plan: container.PlanOf(container.Spec{
			Name: c.GetMetadata().GetName(), Image: userImage(c), Command: append(append([]string{}, c.Command...), c.Args...),
			Annotations: pod.GetAnnotations(),
		}),
	}
	for _, m := range c.Mounts {
		p.mounts = append(p.mounts, container.Mount{Inside: m.ContainerPath, Outside: m.HostPath})
	}
	if c.Stdin || c.Tty {
		p.plan.Exits = false // waits for its terminal
	}
	if pod.GetLogDirectory() != "" && c.LogPath != "" {
		p.log = filepath.Join(pod.LogDirectory, c.LogPath)
	}
	r.mu.Lock()
	r.containers[id] = p
	r.mu.Unlock()
	r.Lock()
	defer r.Unlock()
	r.Containers[id] = &apitest.FakeContainer{SandboxID: sandbox, LinuxResources: c.GetLinux().GetResources(), ContainerStatus: runtimeapi.ContainerStatus{
		Id: id, Metadata: c.Metadata, Image: c.Image, ImageRef: c.Image.Image, CreatedAt: time.Now().UnixNano(),
		State: runtimeapi.ContainerState_CONTAINER_CREATED, Labels: c.Labels, Annotations: c.Annotations, LogPath: p.log,
	}}
	return id, nil
}

// userImage is the image as the pod names it.
func userImage(c *runtimeapi.ContainerConfig) string {
	if i := c.GetImage().GetUserSpecifiedImage(); i != "" {
		return i
	}
	return c.GetImage().GetImage()
}

func (r *runtimeService) process(id string) *process {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.containers[id]
}

func (r *runtimeService) StartContainer(_ context.Context, id string) error {
	p := r.process(id)
	r.Lock()
	defer r.Unlock()
	c, ok := r.Containers[id]
	if !ok || p == nil {
		return fmt.Errorf("container %s not found", id)
	}
	c.State = runtimeapi.ContainerState_CONTAINER_RUNNING
	c.StartedAt = time.Now().UnixNano()
	p.write("hello from " + c.Metadata.Name)
	if p.plan.Exits {
		time.AfterFunc(p.plan.After, func() { r.exit(id, p.plan.Code) })
	}
	return nil
}

// write appends a line to the container's log, in the format of the CRI.
func (p *process) write(line string) {
	if p.log == "" {
		return
	}
	err := os.MkdirAll(filepath.Dir(p.log), 0o755)
	if err == nil {
		var f *os.File
		if f, err = os.OpenFile(p.log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644); err == nil {
			_, err = fmt.Fprintf(f, "%s stdout F %s\n", time.Now().Format(time.RFC3339Nano), line)
			f.Close()
		}
	}
	if err != nil {
		klog.ErrorS(err, "Log of a container", "path", p.log)
	}
}

func (r *runtimeService) exit(id string, code int32) {
	r.Lock()
	defer r.Unlock()
	c, ok := r.Containers[id]
	if !ok || c.State != runtimeapi.ContainerState_CONTAINER_RUNNING {
		return
	}
	c.State = runtimeapi.ContainerState_CONTAINER_EXITED
	c.FinishedAt = time.Now().UnixNano()
	c.ExitCode = code
	c.Reason = "Completed"
	if code != 0 {
		c.Reason = "Error"
	}
	if p := r.process(id); p != nil {
		p.write("ends with " + strconv.Itoa(int(code)))
	}
}

func (r *runtimeService) StopContainer(_ context.Context, id string, _ int64) error {
	time.Sleep(stopTime)
	r.exit(id, 0)
	return nil
}

func (r *runtimeService) RemoveContainer(ctx context.Context, id string) error {
	r.mu.Lock()
	if p := r.containers[id]; p != nil && p.log != "" {
		os.Remove(p.log)
	}
	delete(r.containers, id)
	r.mu.Unlock()
	return r.FakeRuntimeService.RemoveContainer(ctx, id)
}

// ReopenContainerLog starts the log anew after the kubelet has moved it away.
func (r *runtimeService) ReopenContainerLog(_ context.Context, id string) error {
	if p := r.process(id); p != nil {
		p.write("log rotated")
	}
	return nil
}

// ExecSync is how exec probes and hooks are run.
func (r *runtimeService) ExecSync(_ context.Context, id string, command []string, _ time.Duration) (stdout, stderr []byte, err error) {
	output, code := r.execute(id, command)
	if code != 0 {
		return []byte(output), nil, &utilexec.CodeExitError{Err: fmt.Errorf("command %q exited with %d", command, code), Code: code}
	}
	return []byte(output), nil, nil
}

// execute is what a command run in a container gives.
func (r *runtimeService) execute(id string, command []string) (output string, code int) {
	if p := r.process(id); p != nil {
		if file := container.Cat(command, p.mounts); file != "" {
			if text, err := os.ReadFile(file); err == nil {
				return string(text), 0
			}
			return "", 1
		}
	}
	return container.Exec(command)
}

func (r *runtimeService) Exec(_ context.Context, q *runtimeapi.ExecRequest) (*runtimeapi.ExecResponse, error) {
	return r.streams.GetExec(q)
}

func (r *runtimeService) Attach(_ context.Context, q *runtimeapi.AttachRequest) (*runtimeapi.AttachResponse, error) {
	return r.streams.GetAttach(q)
}

func (r *runtimeService) PortForward(_ context.Context, q *runtimeapi.PortForwardRequest) (*runtimeapi.PortForwardResponse, error) {
	return r.streams.GetPortForward(q)
}
