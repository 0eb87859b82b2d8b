package cluster

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// component is one process of a cluster. It is started and ended by one goroutine at a time.
type component struct {
	name    string
	binary  string
	args    []string // args[0] names the part of the binary
	env     []string
	log     string // file, appended to
	onDeath func(error)
	asRoot  bool // in a user namespace in which this user is root

	mu      sync.Mutex
	cmd     *exec.Cmd
	started process
	wanted  bool          // that it runs: a death is then reported
	mortal  bool          // it may end by itself: its credentials expire
	ended   chan struct{} // closed once the process is gone
}

// start starts the process. It ends when this program does, however that ends.
func (c *component) start() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.running() {
		return fmt.Errorf("starting %s: it runs already", c.name)
	}
	log, err := os.OpenFile(c.log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("starting %s: %w", c.name, err)
	}
	defer log.Close()
	cmd := exec.Command(c.binary)
	cmd.Args = c.args
	cmd.Env = append(environment(), c.env...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if c.asRoot {
		mapToRoot(cmd.SysProcAttr)
	}
	ended := make(chan struct{})
	begun := make(chan error)
	go func() {
		// The kernel sends Pdeathsig at the end of the thread that started a process: this one stays.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		begun <- err
		if err != nil {
			return
		}
		err = cmd.Wait()
		close(ended)
		c.died(cmd, err)
	}()
	if err := <-begun; err != nil {
		return fmt.Errorf("starting %s: %w", c.name, err)
	}
	c.cmd, c.ended, c.wanted = cmd, ended, true
	c.started, _ = processOf(cmd.Process.Pid) // it may have died already, which died reports
	return nil
}

// running is called with the lock held.
func (c *component) running() bool {
	if c.cmd == nil {
		return false
	}
	select {
	case <-c.ended:
		return false
	default:
		return true
	}
}

// died reports the end of a process that nobody asked for.
func (c *component) died(cmd *exec.Cmd, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if cmd != c.cmd || !c.wanted {
		return
	}
	c.wanted = false
	if c.mortal {
		return
	}
	how := "it ended by itself"
	if err != nil {
		how = err.Error()
	}
	c.onDeath(fmt.Errorf("%s died: %s; its log %s ends:\n%s", c.name, how, c.log, tail(c.log, 15)))
}

// end sends a signal, waits, and kills the process when it has not ended by then.
func (c *component) end(signal syscall.Signal, wait time.Duration) error {
	c.mu.Lock()
	if !c.running() {
		c.wanted = false
		c.mu.Unlock()
		return nil
	}
	c.wanted = false
	cmd, ended := c.cmd, c.ended
	c.mu.Unlock()
	for _, s := range []syscall.Signal{signal, syscall.SIGKILL} {
		if err := cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return fmt.Errorf("ending %s: %w", c.name, err)
		}
		select {
		case <-ended:
			return nil
		case <-time.After(wait):
		}
	}
	return fmt.Errorf("%s does not end", c.name)
}

// tail is the last lines of a file, as far as they can be had.
func tail(path string, lines int) string {
	f, err := os.Open(path)
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil {
		f.Seek(max(0, info.Size()-16<<10), io.SeekStart)
	}
	text, err := io.ReadAll(f)
	if err != nil {
		return err.Error()
	}
	all := bytes.Split(bytes.TrimRight(text, "\n"), []byte("\n"))
	return string(bytes.Join(all[max(0, len(all)-lines):], []byte("\n")))
}
