package node

import (
	"archive/tar"
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path"
	"strings"
	"time"

	"k8s.io/client-go/tools/remotecommand"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/kubelet/pkg/cri/streaming"
	utilexec "k8s.io/utils/exec"
)

// streamServer is the CRI's server of exec, attach and port-forward.
type streamServer interface {
	GetExec(*runtimeapi.ExecRequest) (*runtimeapi.ExecResponse, error)
	GetAttach(*runtimeapi.AttachRequest) (*runtimeapi.AttachResponse, error)
	GetPortForward(*runtimeapi.PortForwardRequest) (*runtimeapi.PortForwardResponse, error)
}

// startStreams serves at a free port of the loopback device, as containerd does.
func startStreams(r *runtimeService) (streamServer, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("streams of containers: %w", err)
	}
	config := streaming.DefaultConfig
	config.Addr = l.Addr().String()
	server, err := streaming.NewServer(config, streams{r})
	if err != nil {
		return nil, fmt.Errorf("streams of containers: %w", err)
	}
	go func() {
		err := http.Serve(l, server)
		fmt.Fprintf(os.Stderr, "streams of containers: %v\n", err)
		os.Exit(1)
	}()
	return server, nil
}

// streams answers what is asked of containers.
type streams struct{ runtime *runtimeService }

func (s streams) Exec(_ context.Context, id string, command []string, in io.Reader, out, stderr io.WriteCloser, _ bool, _ <-chan remotecommand.TerminalSize) error {
	if len(command) > 0 && path.Base(command[0]) == "tar" { // kubectl cp
		return archive(command[1:], in, out)
	}
	if in != nil {
		io.Copy(io.Discard, in) // a shell reads its script to the end; a broken stream ends it too
	}
	output, code := s.runtime.execute(id, command)
	if out != nil {
		if _, err := io.WriteString(out, output); err != nil {
			return err
		}
	}
	if code != 0 {
		return &utilexec.CodeExitError{Err: fmt.Errorf("command %q exited with %d", command, code), Code: code}
	}
	return nil
}

// archive is tar inside a container: it swallows what it unpacks and packs one small file.
func archive(args []string, in io.Reader, out io.Writer) error {
	if len(args) == 0 {
		return nil
	}
	if strings.Contains(args[0], "x") {
		if in != nil {
			io.Copy(io.Discard, in)
		}
		return nil
	}
	if out == nil {
		return nil
	}
	const content = "content\n"
	name := strings.TrimPrefix(path.Clean(args[len(args)-1]), "/")
	w := tar.NewWriter(out)
	if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content)), ModTime: time.Now()}); err != nil {
		return err
	}
	if _, err := io.WriteString(w, content); err != nil {
		return err
	}
	return w.Close()
}

func (s streams) Attach(_ context.Context, id string, in io.Reader, out, _ io.WriteCloser, _ bool, _ <-chan remotecommand.TerminalSize) error {
	if out != nil {
		if _, err := io.WriteString(out, "attached\n"); err != nil {
			return err
		}
	}
	if in != nil {
		io.Copy(io.Discard, in)
		if p := s.runtime.process(id); p != nil && p.oneShot {
			s.runtime.exit(id, 0)
		}
	}
	return nil
}

// PortForward answers one HTTP request, whatever it asks for.
func (s streams) PortForward(_ context.Context, _ string, _ int32, stream io.ReadWriteCloser) error {
	defer stream.Close()
	q, err := http.ReadRequest(bufio.NewReader(stream))
	if err != nil {
		return nil // it does not speak HTTP, or has gone
	}
	q.Body.Close()
	_, err = io.WriteString(stream, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\nok\n")
	return err
}
