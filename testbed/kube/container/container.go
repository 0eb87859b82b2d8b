// Package container decides what the containers of a node without a container engine do: how long each
// runs and with which code it exits, whether its image can be pulled, and what a command run in it prints.
package container

import (
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Annotations of a pod that choose what its containers do: "CODE" or "CODE:DURATION", or "never". With
// "." and the name of a container behind it, an annotation speaks of that container alone.
const ExitAnnotation = "testbed/exit"

// Plan is what a container does once it has started.
type Plan struct {
	Exits bool // false: it runs until it is stopped
	Code  int32
	After time.Duration // from its start to its exit
}

// Spec is what a plan is made from.
type Spec struct {
	Name        string            // of the container
	Image       string            // as the pod names it
	Command     []string          // command and arguments, expanded
	Annotations map[string]string // of the pod
}

// soon is how long a command runs that names no time.
const soon = time.Second

var (
	exitImage   = regexp.MustCompile(`(?:^|/)exit/(\d+)(?::([0-9a-z.]+))?$`)
	crashImage  = regexp.MustCompile(`(?:^|/)crash(?::([0-9a-z.]+))?$`)
	exitWord    = regexp.MustCompile(`\bexit (\d+)`)
	sleepWord   = regexp.MustCompile(`\bsleep (\d+(?:\.\d+)?)`)
	endlessWord = regexp.MustCompile(`\bwhile\b|\buntil\b|\binfinity\b|\bfor *\(\(|tail -f|\bwait\b|\bserve\b|\bserver\b|\blisten\b`)
)

// PlanOf is, in this order, what the annotation says, what the image says ("exit/CODE:DURATION",
// "crash:DURATION"), and what the command would do ("sleep 5", a shell's script, a tool that ends by
// itself). Everything else is a server that runs until it is stopped.
func PlanOf(s Spec) Plan {
	for _, key := range []string{ExitAnnotation + "." + s.Name, ExitAnnotation} {
		if p, ok := parse(s.Annotations[key]); ok {
			return p
		}
	}
	if m := exitImage.FindStringSubmatch(s.Image); m != nil {
		return Plan{Exits: true, Code: code(m[1]), After: duration(m[2])}
	}
	if m := crashImage.FindStringSubmatch(s.Image); m != nil {
		return Plan{Exits: true, Code: 1, After: duration(m[1])}
	}
	return ofCommand(s)
}

func ofCommand(s Spec) Plan {
	if len(s.Command) == 0 {
		// What these images start by default ends at once when there is no terminal.
		switch Repository(s.Image) {
		case "busybox", "alpine", "bash", "debian", "ubuntu", "hello-world":
			return Plan{Exits: true, After: soon}
		}
		return Plan{}
	}
	all := strings.Join(s.Command, " ")
	if endlessWord.MatchString(all) {
		return Plan{}
	}
	p := Plan{Exits: true, After: soon}
	if m := exitWord.FindStringSubmatch(all); m != nil {
		p.Code = code(m[1])
	}
	var slept time.Duration
	for _, m := range sleepWord.FindAllStringSubmatch(all, -1) {
		seconds, err := strconv.ParseFloat(m[1], 64)
		if err == nil {
			slept += time.Duration(min(seconds, 1e6) * float64(time.Second))
		}
	}
	p.After = max(p.After, slept)
	switch path.Base(s.Command[0]) {
	case "sh", "bash", "ash":
		p.Exits = len(s.Command) > 1
	case "false":
		p.Code = 1
	case "sleep", "true", "echo", "printf", "date", "env", "ls", "cat", "perl", "test", "expr", "wget", "curl", "kubectl", "tar", "cp", "touch", "mkdir", "pg_dump":
	default:
		p.Exits = exitWord.MatchString(all)
	}
	return p
}

// parse reads the value of an annotation.
func parse(value string) (Plan, bool) {
	if value == "never" {
		return Plan{}, true
	}
	number, after, _ := strings.Cut(value, ":")
	n, err := strconv.ParseUint(number, 10, 8)
	if err != nil {
		return Plan{}, false
	}
	return Plan{Exits: true, Code: int32(n), After: duration(after)}, true
}

func code(digits string) int32 {
	n, err := strconv.ParseUint(digits, 10, 8)
	if err != nil {
		return 255
	}
	return int32(n)
}

func duration(text string) time.Duration {
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return d
	}
	return soon
}

// Repository is the last part of an image's name, without tag and digest: "nginx" of
// "registry.example/library/nginx:1.27".
func Repository(image string) string {
	image, _, _ = strings.Cut(image, "@")
	name := path.Base(image)
	name, _, _ = strings.Cut(name, ":")
	return name
}

// PullError says why an image cannot be had, or is empty: images with "does-not-exist" or "no-such" in
// their names are not found, those with "private" are refused.
func PullError(image string) string {
	switch {
	case strings.Contains(image, "does-not-exist"), strings.Contains(image, "no-such"):
		return "failed to resolve reference: " + image + ": not found"
	case strings.Contains(image, "private"):
		return "pull access denied, repository does not exist or may require authorization: authorization failed: no basic auth credentials"
	}
	return ""
}

// Mount is a folder or file of the node that a container sees under a name of its own.
type Mount struct {
	Inside  string // path in the container
	Outside string // path on the node
}

// Cat is the node's file that "cat FILE" prints when it runs in a container with these mounts, and empty
// for every other command and for files that lie in no mount. What the kubelet has put into a volume, an
// account's token for one, is real although the container is not.
func Cat(command []string, mounts []Mount) string {
	if len(command) != 2 || path.Base(command[0]) != "cat" || !path.IsAbs(command[1]) {
		return ""
	}
	file := path.Clean(command[1])
	for _, m := range mounts {
		if file == m.Inside {
			return m.Outside
		}
		if rest, ok := strings.CutPrefix(file, strings.TrimSuffix(m.Inside, "/")+"/"); ok {
			return path.Join(m.Outside, rest)
		}
	}
	return ""
}

// Exec is what a command run inside a container gives: its output and its exit code. Commands that fail
// in every container are "false" and whatever says "exit N".
func Exec(command []string) (output string, exit int) {
	all := strings.Join(command, " ")
	if m := exitWord.FindStringSubmatch(all); m != nil {
		return "", int(code(m[1]))
	}
	if len(command) == 0 {
		return "", 0
	}
	switch path.Base(command[0]) {
	case "false":
		return "", 1
	case "hostname":
		return "localhost\n", 0
	case "date":
		return time.Now().UTC().Format(time.UnixDate) + "\n", 0
	case "ls":
		return "bin\netc\nhome\ntmp\nusr\nvar\n", 0
	case "cat":
		return "content\n", 0
	case "env":
		return "PATH=/usr/local/bin:/usr/bin:/bin\nHOME=/root\n", 0
	case "echo":
		return strings.Join(command[1:], " ") + "\n", 0
	}
	return "ok\n", 0
}
