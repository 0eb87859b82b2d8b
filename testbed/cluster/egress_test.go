package cluster

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

func TestEgress(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "egress")
	e, err := startEgress(socket)
	if err != nil {
		t.Fatal(err)
	}
	defer e.close()
	node, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "a node") })}
	go server.Serve(node)
	defer server.Close()
	port := node.Addr().(*net.TCPAddr).Port
	e.addNode(port)

	for address, want := range map[string]string{
		fmt.Sprintf("node-1:%d", port):    "a node",
		fmt.Sprintf("127.0.0.1:%d", port): "a node",
		"10.244.3.7:8080":                 "ok\n",
		"example.org:80":                  "502 Bad Gateway",
		"192.0.2.9:80":                    "502 Bad Gateway",
		"127.0.0.1:1":                     "502 Bad Gateway",
	} {
		if got := through(t, socket, address); got != want {
			t.Errorf("%s answers %q, want %q", address, got, want)
		}
	}
}

// through asks for a page by way of CONNECT; it is the status when there is no way.
func through(t *testing.T, socket, address string) string {
	t.Helper()
	c, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", address, address)
	r := bufio.NewReader(c)
	connect, err := http.NewRequest(http.MethodConnect, "http://"+address, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.ReadResponse(r, connect)
	if err != nil {
		t.Fatal(err)
	}
	if answer.StatusCode != http.StatusOK {
		return answer.Status
	}
	fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", address)
	page, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer page.Body.Close()
	var text strings.Builder
	if _, err := bufio.NewReader(page.Body).WriteTo(&text); err != nil {
		t.Fatal(err)
	}
	return text.String()
}
