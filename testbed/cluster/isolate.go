package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Network is what keeps a cluster apart from the machine it runs on.
type Network string

const (
	// Auto is Namespace where it can be had, else Loopback.
	Auto Network = "auto"
	// Namespace is a network, process and mount namespace of its own: no packet can leave it, its ports
	// are nobody else's, nodes and users have addresses of their own, and whatever runs in it ends with
	// the process that made it, however that ends. Root, or a kernel that lets users make namespaces.
	Namespace Network = "namespace"
	// Loopback is the machine's own loopback device with free ports.
	Loopback Network = "loopback"
)

// insideVariable tells a process that it is the first one of a namespace, and who made that: the process
// id and start time, as seen from outside.
const insideVariable = "K8NTEXT_TESTBED_INSIDE"

// InnerExit is how the command ended that Enter ran again inside a namespace, and already reported there.
type InnerExit struct{ Code int }

func (e InnerExit) Error() string { return fmt.Sprintf("ended with code %d", e.Code) }

// Enter brings the calling program into the network that it asks for, and returns which one that is. A
// program has to be in it before it calls Up. Where a namespace is wanted, Enter runs the same command
// line again inside a new one, waits for it, passes on the end of ctx as SIGTERM, and returns its end as
// InnerExit: the caller then has nothing left to do.
func Enter(ctx context.Context, want Network) (Network, error) {
	if os.Getenv(insideVariable) != "" {
		return Namespace, furnish()
	}
	switch want {
	case Loopback:
		return Loopback, nil
	case Auto, Namespace:
	default:
		return "", fmt.Errorf("unknown network %q: use %s, %s or %s", want, Auto, Namespace, Loopback)
	}
	c, err := startInside()
	if err != nil {
		if want == Auto {
			return Loopback, nil
		}
		return "", fmt.Errorf("making a network namespace: %w (run as root, or use the network %s)", err, Loopback)
	}
	return "", await(ctx, c)
}

// startInside starts this program again inside new namespaces: as they are for root, and inside a user
// namespace for others.
func startInside() (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	me, err := processOf(os.Getpid())
	if err != nil {
		return nil, err
	}
	start := func(attributes syscall.SysProcAttr) (*exec.Cmd, error) {
		c := exec.Command(self, os.Args[1:]...)
		c.Args[0] = os.Args[0]
		c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
		c.Env = append(os.Environ(), fmt.Sprintf("%s=%d:%d", insideVariable, me.Pid, me.Start))
		// A group of its own, so that ^C reaches the inner program once, through us.
		attributes.Setpgid = true
		attributes.Pdeathsig = syscall.SIGKILL
		c.SysProcAttr = &attributes
		return c, c.Start()
	}
	// The kernel watches the thread that started a child, not its process.
	runtime.LockOSThread()
	const spaces = syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID
	c, err := start(syscall.SysProcAttr{Cloneflags: spaces})
	if errors.Is(err, syscall.EPERM) {
		attributes := syscall.SysProcAttr{Cloneflags: spaces}
		mapToRoot(&attributes)
		c, err = start(attributes)
	}
	return c, err
}

// mapToRoot makes a process root in a user namespace of its own, in which there is nobody else.
func mapToRoot(a *syscall.SysProcAttr) {
	a.Cloneflags |= syscall.CLONE_NEWUSER
	a.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
	a.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
}

// patience is how long a program gets to end by itself once it was asked to.
const patience = 90 * time.Second

func await(ctx context.Context, c *exec.Cmd) error {
	ended := make(chan struct{})
	go func() {
		select {
		case <-ended:
			return
		case <-ctx.Done():
			c.Process.Signal(syscall.SIGTERM)
		}
		select {
		case <-ended:
		case <-time.After(patience):
			c.Process.Kill()
		}
	}()
	err := c.Wait()
	close(ended)
	var exit *exec.ExitError
	switch {
	case err == nil:
		return InnerExit{0}
	case errors.As(err, &exit) && exit.Exited():
		return InnerExit{exit.ExitCode()}
	}
	return fmt.Errorf("inside the namespace: %w", err)
}

// maker is the process that made this namespace, as seen from outside, or this process itself.
func maker() (process, error) {
	pid, start, ok := strings.Cut(os.Getenv(insideVariable), ":")
	if !ok {
		return processOf(os.Getpid())
	}
	var p process
	var err1, err2 error
	p.Pid, err1 = strconv.Atoi(pid)
	p.Start, err2 = strconv.ParseUint(start, 10, 64)
	return p, errors.Join(err1, err2)
}

// environment is this program's, for others: they are not the first program of a namespace.
func environment() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, insideVariable+"=") })
}

// furnish gives a fresh namespace what a machine has: its own view of its processes, and a loopback device
// that is up.
func furnish() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making mounts private: %w", err)
	}
	// Inside some containers /proc cannot be mounted again. Components then read figures about themselves
	// that are another process's, which no audit log shows.
	_ = unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
	if err := linkUp("lo"); err != nil {
		return fmt.Errorf("starting the loopback device: %w", err)
	}
	return nil
}
