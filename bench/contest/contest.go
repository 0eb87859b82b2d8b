// Package contest lets programs that compute the same thing run in turns, in small rounds, so that
// whatever else the machine does meanwhile falls on all of them alike.
//
// A contestant is a process of its own. It reads requests, one JSON object a line, from its standard
// input and answers each with one line: first {} when it is ready, then for {"do": TASK, "n": N} the
// result of N runs of the task. It must not use the processor while it waits.
package contest

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"time"

	"github.com/go-json-experiment/json"

	"k8ntext/bench/host"
)

// Request asks for N runs of a task.
type Request struct {
	Do string `json:"do"`
	N  int    `json:"n"`
}

// Answer is what the runs took, in milliseconds, and what they computed.
type Answer struct {
	Wall   []float64 `json:"wall,omitempty"` // of each run
	CPU    float64   `json:"cpu,omitempty"`  // mean over the runs, all threads
	Losses []float64 `json:"losses,omitempty"`
	Error  string    `json:"error,omitempty"`
}

// Serve answers requests until the input ends. do runs a task n times.
func Serve(in io.Reader, out io.Writer, do func(task string, n int) Answer) error {
	if _, err := io.WriteString(out, "{}\n"); err != nil {
		return fmt.Errorf("contestant: say ready: %w", err)
	}
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		var r Request
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return fmt.Errorf("contestant: read request: %w", err)
		}
		text, err := json.Marshal(do(r.Do, r.N))
		if err != nil {
			return fmt.Errorf("contestant: answer: %w", err)
		}
		if _, err := out.Write(append(text, '\n')); err != nil {
			return fmt.Errorf("contestant: answer: %w", err)
		}
	}
	return lines.Err()
}

// Time runs f n times and fills an answer.
func Time(n int, f func() error) Answer {
	var a Answer
	var cpu float64
	for range n {
		var err error
		e := host.Measure(func() { err = f() })
		if err != nil {
			return Answer{Error: err.Error()}
		}
		a.Wall = append(a.Wall, e.Wall.Seconds()*1e3)
		cpu += e.CPU.Seconds() * 1e3
	}
	a.CPU = cpu / float64(n)
	return a
}

// Contestant is a running process.
type Contestant struct {
	Name    string // of the program
	Setting string // how it was set, such as "avx512" or "compiled"
	Threads int

	process *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Reader
}

// Start starts a contestant and waits until it is ready. env is added to this process' environment,
// less every variable in unset.
func Start(c Contestant, env, unset []string, command string, args ...string) (*Contestant, error) {
	c.process = exec.Command(command, args...)
	c.process.Stderr = os.Stderr
	c.process.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool {
		return slices.ContainsFunc(unset, func(name string) bool {
			return len(v) > len(name) && v[:len(name)+1] == name+"="
		})
	}), env...)
	var err error
	if c.in, err = c.process.StdinPipe(); err != nil {
		return nil, fmt.Errorf("start %s: %w", c.Name, err)
	}
	out, err := c.process.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", c.Name, err)
	}
	c.out = bufio.NewReader(out)
	if err := c.process.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", c.Name, err)
	}
	if _, err := c.answer(); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s %s: %w", c.Name, c.Setting, err), c.Close())
	}
	return &c, nil
}

// Ask has a task run n times.
func (c *Contestant) Ask(task string, n int) (Answer, error) {
	text, err := json.Marshal(Request{Do: task, N: n})
	if err != nil {
		return Answer{}, fmt.Errorf("ask %s: %w", c.Name, err)
	}
	if _, err := c.in.Write(append(text, '\n')); err != nil {
		return Answer{}, fmt.Errorf("ask %s: %w", c.Name, err)
	}
	a, err := c.answer()
	if err != nil {
		return Answer{}, fmt.Errorf("%s %s: %d times %q: %w", c.Name, c.Setting, n, task, err)
	}
	return a, nil
}

func (c *Contestant) answer() (Answer, error) {
	var a Answer
	line, err := c.out.ReadBytes('\n')
	if err != nil {
		return a, fmt.Errorf("no answer: %w", err)
	}
	if err := json.Unmarshal(line, &a); err != nil {
		return a, fmt.Errorf("read answer %q: %w", line, err)
	}
	if a.Error != "" {
		return a, errors.New(a.Error)
	}
	return a, nil
}

// Close ends the process.
func (c *Contestant) Close() error {
	c.in.Close()
	if err := c.process.Wait(); err != nil {
		return fmt.Errorf("%s %s: %w", c.Name, c.Setting, err)
	}
	return nil
}

// Result is what a contestant's runs of one task took, in milliseconds.
type Result struct {
	Task    string `json:"task"`
	Window  int    `json:"window"`
	Batch   int    `json:"batch"`
	Name    string `json:"name"`
	Setting string `json:"setting,omitempty"`
	Threads int    `json:"threads"`
	Against string `json:"against,omitempty"` // which contest it was, where a size had several

	N          int     `json:"n"` // runs
	WallMin    float64 `json:"wall_min"`
	WallMedian float64 `json:"wall_median"`
	CPUMin     float64 `json:"cpu_min"` // the best round's mean
	CPUMedian  float64 `json:"cpu_median"`
	Load       float64 `json:"load"` // of the machine when the rounds ended; the contest itself makes up to Threads of it
}

// leastRounds are made whatever they take.
const leastRounds = 3

// Rounds has every contestant run the task n times, one after the other, and that rounds times, or
// until limit has passed if that is earlier, but three times at least. The first round is warming up
// and does not count.
func Rounds(contestants []*Contestant, task string, rounds, n int, limit time.Duration) ([]Result, error) {
	wall, cpu := make([][][]float64, len(contestants)), make([][]float64, len(contestants))
	start := time.Now()
	for round := range rounds + 1 {
		if round > leastRounds && time.Since(start) > limit {
			break
		}
		for i, c := range contestants {
			a, err := c.Ask(task, n)
			if err != nil {
				return nil, err
			}
			if round == 0 {
				continue
			}
			wall[i] = append(wall[i], a.Wall)
			cpu[i] = append(cpu[i], a.CPU)
		}
	}
	results := make([]Result, len(contestants))
	for i, c := range contestants {
		results[i] = Summary(task, wall[i], cpu[i])
		results[i].Name, results[i].Setting, results[i].Threads = c.Name, c.Setting, c.Threads
	}
	return results, nil
}

// Summary is the result of rounds: the wall time of each run and the mean CPU time of each round.
func Summary(task string, wall [][]float64, cpu []float64) Result {
	runs := slices.Concat(wall...)
	return Result{
		Task: task, N: len(runs), Load: host.Load(),
		WallMin: slices.Min(runs), WallMedian: Median(runs), CPUMin: slices.Min(cpu), CPUMedian: Median(cpu),
	}
}

// Median is the middle value, the lower of two. s must not be empty.
func Median[T cmp.Ordered](s []T) T {
	s = slices.Sorted(slices.Values(s))
	return s[(len(s)-1)/2]
}
