// Package host tells what machine a benchmark runs on, how busy it is, and what a process has used of
// it. What a system does not tell is zero.
package host

import (
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Machine is what a table of measurements has to say about where it was made.
type Machine struct {
	CPU   string `json:"cpu"` // the processor's name
	Cores int    `json:"cores"`
	OS    string `json:"os"` // system and architecture
	Go    string `json:"go"`
}

// Describe describes this machine.
func Describe() Machine {
	m := Machine{CPU: runtime.GOARCH, Cores: runtime.NumCPU(), OS: runtime.GOOS + "/" + runtime.GOARCH, Go: runtime.Version()}
	info := fields("/proc/cpuinfo")
	if name := info["model name"]; name != "" {
		m.CPU = name
	}
	// A virtual machine may hide the name; family and model still tell the generation.
	if family, model := info["cpu family"], info["model"]; family != "" && model != "" {
		m.CPU += " (family " + family + ", model " + model + ")"
	}
	return m
}

// Name is the processor's name as a folder's, like intel-xeon-6-167.
func (m Machine) Name() string {
	words := strings.FieldsFunc(strings.ToLower(m.CPU), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	words = slices.DeleteFunc(words, func(w string) bool {
		return slices.Contains([]string{"r", "tm", "processor", "cpu", "family", "model"}, w)
	})
	return strings.Join(words, "-")
}

// Load is how many processes wanted to run, on average over the last minute.
func Load() float64 {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 0
	}
	first, _, _ := strings.Cut(string(text), " ")
	load, err := strconv.ParseFloat(first, 64)
	if err != nil {
		return 0
	}
	return load
}

// PeakMemory is the most memory that this process has ever had resident, in bytes.
func PeakMemory() int64 {
	number, unit, _ := strings.Cut(fields("/proc/self/status")["VmHWM"], " ")
	kib, err := strconv.ParseInt(number, 10, 64)
	if err != nil || unit != "kB" {
		return 0
	}
	return kib << 10
}

// Elapsed is what something took.
type Elapsed struct {
	Wall time.Duration
	CPU  time.Duration // all threads of this process together
}

// Measure runs f.
func Measure(f func()) Elapsed {
	wall, cpu := time.Now(), CPUTime()
	f()
	return Elapsed{Wall: time.Since(wall), CPU: CPUTime() - cpu}
}

// fields reads a file of lines "key: value"; the first line of a key counts.
func fields(path string) map[string]string {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	m := make(map[string]string)
	for line := range strings.Lines(string(text)) {
		key, value, found := strings.Cut(line, ":")
		if key = strings.TrimSpace(key); found && m[key] == "" {
			m[key] = strings.TrimSpace(value)
		}
	}
	return m
}
