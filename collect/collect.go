// Package collect gathers audit events where they come into being: it follows an audit log through
// its rotations, or receives the API server's webhook, and writes a corpus file that a kill at any
// moment leaves whole.
//
// # What is promised
//
// The corpus is JSON lines in zstd frames. A commit ends the frame, forces the file to disk, and then
// replaces the position file (FILE.position) by one that names the length of the corpus together with
// the place in the source. What a killed collector wrote behind its last commit is cut off at the next
// start and gathered again, so that the two never disagree.
//
// A followed log gives every line exactly once and in order, over any number of restarts and kills,
// as long as the file that holds the line is still there when the collector looks, under its own name
// or beside it as a rotated, perhaps compressed, file. What rotation with copytruncate loses between
// copying and truncating no reader can get. A kill loses nothing by itself: only where the log is
// deleted before the next start, the lines since the last commit are lost with it.
//
// A webhook's batch is answered 200 only after a commit. The API server sends a batch again whose
// answer it did not get; such a batch, equal in every byte to one of the last 256, is not written again,
// also after a restart. So every batch that was answered 200 is in the corpus, once.
package collect

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"
)

// Stats says what a collection did so far, this run only.
type Stats struct {
	Lines    int64         `json:"lines"`    // written, and committed unless the run was cut off
	Bytes    int64         `json:"bytes"`    // of them, before compression
	Files    int           `json:"files"`    // log files begun, or batches received
	Written  []string      `json:"written"`  // corpus files
	Last     time.Time     `json:"last"`     // when the last line came
	Remarks  []RemarkCount `json:"remarks"`  // by kind
	LeftOut  int64         `json:"left_out"` // lines that were not written: see Remarks
	Resuming bool          `json:"resuming"` // the run went on where an earlier one ended
}

// RemarkCount is how often something worth a word happened.
type RemarkCount struct {
	Kind  string `json:"kind"`
	Count int64  `json:"count"`
}

// The kinds of remarks.
const (
	logTruncated  = "log truncated, and no copy of it found"
	logLost       = "log file gone before it was read to its end"
	logMissing    = "log not there"
	logStalled    = "log stopped growing"
	logsCaughtUp  = "rotated file read late"
	logUnreadable = "log file unreadable"
	lineTorn      = "torn line at the end of a file"
	lineTooLong   = "line too long"
	lineNotJSON   = "line not JSON, cannot be masked"
	batchRefused  = "batch refused"
	batchRepeated = "batch sent again"
	senderRefused = "sender refused in the TLS handshake"
	watchFailed   = "no notice of changes, looking now and then"
	outputCut     = "corpus cut back to the last commit"

	serverComplains = "trouble with a connection"
)

// journal counts and passes on what is worth a word. It is safe for concurrent use.
type journal struct {
	mu     sync.Mutex
	counts map[string]int64
	tell   func(kind, detail string)
}

func (j *journal) remark(kind, detail string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.counts == nil {
		j.counts = make(map[string]int64)
	}
	j.counts[kind]++
	if j.tell != nil {
		j.tell(kind, detail)
	}
}

func (j *journal) list() []RemarkCount {
	j.mu.Lock()
	defer j.mu.Unlock()
	out := []RemarkCount{}
	for _, kind := range slices.Sorted(maps.Keys(j.counts)) {
		out = append(out, RemarkCount{kind, j.counts[kind]})
	}
	slices.SortStableFunc(out, func(a, b RemarkCount) int { return cmp.Compare(b.Count, a.Count) })
	return out
}
