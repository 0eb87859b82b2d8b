package cluster

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
)

// egress is how an API server on plain loopback reaches nodes and pods, whose names and addresses nothing
// there knows: it asks for a way by HTTP CONNECT over a Unix socket (KEP-1281). Nodes are told apart by
// their ports; something answers HTTP for every pod; nothing but the loopback device is ever dialled.
type egress struct {
	listener net.Listener
	pods     *http.Server
	podsAt   string

	mu    sync.Mutex
	nodes map[int]bool // ports
}

// startEgress listens at a socket. It ends with close.
func startEgress(socket string) (*egress, error) {
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return nil, fmt.Errorf("way of the API server to its nodes: %w", err)
	}
	pods, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		listener.Close()
		return nil, fmt.Errorf("answers for pods: %w", err)
	}
	e := &egress{listener: listener, podsAt: pods.Addr().String(), nodes: map[int]bool{}, pods: &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") }),
	}}
	go e.pods.Serve(pods) // until close
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return // closed
			}
			go e.connect(c)
		}
	}()
	return e, nil
}

// egressConfiguration sends what goes to nodes, pods and services through the socket.
func egressConfiguration(socket string) string {
	return `apiVersion: apiserver.k8s.io/v1beta1
kind: EgressSelectorConfiguration
egressSelections:
- name: cluster
  connection:
    proxyProtocol: HTTPConnect
    transport:
      uds:
        udsName: ` + strconv.Quote(socket) + "\n"
}

func (e *egress) close() error {
	return errors.Join(e.listener.Close(), e.pods.Close())
}

// addNode makes a port one of a node's.
func (e *egress) addNode(port int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.nodes[port] = true
}

// target is what is dialled for an address that the API server asks for.
func (e *egress) target(address string) (string, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", err
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		return "", err
	}
	e.mu.Lock()
	node := e.nodes[number]
	e.mu.Unlock()
	ip, err := netip.ParseAddr(host)
	switch {
	case node:
		return net.JoinHostPort("127.0.0.1", port), nil
	case err == nil && netip.MustParsePrefix(podNetwork).Contains(ip):
		return e.podsAt, nil
	case err == nil && ip.IsLoopback(), host == "localhost":
		return address, nil
	}
	return "", fmt.Errorf("%s is neither a node, a pod nor this machine", address)
}

// connect serves one connection of the API server.
func (e *egress) connect(c net.Conn) {
	defer c.Close()
	r := bufio.NewReader(c)
	q, err := http.ReadRequest(r)
	if err != nil || q.Method != http.MethodConnect {
		return
	}
	address, err := e.target(q.Host)
	var far net.Conn
	if err == nil {
		far, err = net.Dial("tcp", address)
	}
	if err != nil {
		fmt.Fprintf(c, "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
		return
	}
	defer far.Close()
	if _, err := io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n"); err != nil {
		return
	}
	// The end of either direction ends both: what the API server speaks here closes as a whole.
	done := make(chan struct{}, 2)
	go func() { io.Copy(far, r); done <- struct{}{} }()
	go func() { io.Copy(c, far); done <- struct{}{} }()
	<-done
}
