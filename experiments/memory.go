package experiments

import (
	"bytes"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sync/semaphore"
)

// memoryBudget makes the semaphore over memory, in MiB; nil where nobody knows how much there is.
func memoryBudget(given int) (*semaphore.Weighted, int64) {
	budget := int64(given)
	if budget == 0 {
		budget = freeMemoryMB("/")
	}
	if budget <= 0 {
		return nil, 0
	}
	return semaphore.NewWeighted(budget), budget
}

// freeMemoryMB is how much memory the system can give, and the control group allows, in MiB; 0 where
// neither tells. root is where /proc and /sys are.
func freeMemoryMB(root string) int64 {
	free := int64(0)
	if text, err := os.ReadFile(root + "proc/meminfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if rest, ok := strings.CutPrefix(line, "MemAvailable:"); ok {
				kb, _ := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
				free = kb >> 10
			}
		}
	}
	if text, err := os.ReadFile(root + "sys/fs/cgroup/memory.max"); err == nil { // a container's own view; "max" is no number
		if limit, err := strconv.ParseInt(string(bytes.TrimSpace(text)), 10, 64); err == nil && (free == 0 || limit>>20 < free) {
			free = limit >> 20
		}
	}
	return free
}

// memoryMB estimates what a trial needs beside the corpora, which trials share: on the safe side of what
// was measured, 100 MiB for the default network with windows of 60 events in batches of 32, which grows
// with both and with the units. The decision tree and naive Bayes hold whole grids of the training part.
func (t *Trial) memoryMB() int64 {
	const fixed, perEvent, baseline = 64, 1.0 / 12, 768
	need := fixed + int64(perEvent*float64(t.model.Window*t.model.Batch)*max(1, float64(t.model.Units1+t.model.Units2)/256))
	if slices.Contains(t.experiment.Methods, "tree") || slices.Contains(t.experiment.Methods, "naive-bayes") {
		need += baseline
	}
	return need
}
