package experiments

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"golang.org/x/sync/errgroup"

	"k8ntext/metrics"
	"k8ntext/model"
)

// Result is what one trial left: one file, written whole or not at all.
type Result struct {
	Trial      Trial             `json:"trial"`
	Error      string            `json:"error,omitempty"` // why the trial has no records
	Retry      bool              `json:"retry,omitempty"` // the error may pass: the next run tries again
	Protocol   string            `json:"protocol"`
	Config     model.Config      `json:"config"`
	Sizes      Sizes             `json:"sizes"`
	Records    []metrics.Record  `json:"records"`
	Classes    []Class           `json:"classes,omitempty"`
	Confusion  Cells             `json:"confusion,omitempty"` // of the network: window positions under the paper protocol, else events
	Margins    *Margins          `json:"margins,omitempty"`   // of the network's votes; nil under the paper protocol
	History    *model.History    `json:"history,omitempty"`   // of the network; its seconds are cost
	Training   map[string]string `json:"training,omitempty"`  // what each baseline that learns was trained on
	Asked      []Asked           `json:"asked,omitempty"`     // under the protocol query
	Cost       Cost              `json:"cost"`
	Provenance Provenance        `json:"provenance"`

	page []byte // of an explained network
}

// Sizes says how much a trial was trained and tested on.
type Sizes struct {
	TrainEvents      int `json:"train_events"`
	ValidationEvents int `json:"validation_events"`
	TestEvents       int `json:"test_events"`
	SharedEvents     int `json:"shared_events"` // of the test events: lie in training windows too
	TrainWindows     int `json:"train_windows"` // that could be drawn
	Steps            int `json:"steps"`         // optimiser steps taken
	Batch            int `json:"batch"`
	Purged           int `json:"purged"` // events of contexts that lie on both sides of a cut
	Gap              int `json:"gap"`    // events left out at the cuts
}

// Class is one label's part in the test windows: what Figure 9 plots.
type Class struct {
	Label    int32   `json:"label"`
	Name     string  `json:"name"`
	Weight   int     `json:"weight"`   // window positions with this true label
	Accuracy float64 `json:"accuracy"` // share of them that were predicted right
}

// Cost is what a trial took. Speeds are of one machine under one load: compare only within a run.
type Cost struct {
	TrainSeconds float64 `json:"train_seconds"`  // wall
	InferSeconds float64 `json:"infer_seconds"`  // wall, the network and its vote over the test windows
	InferEvents  int     `json:"infer_events"`   // events labelled in that time
	PeakMemoryMB float64 `json:"peak_memory_mb"` // of the process until the trial's end, the trials beside it included; 0: not known
}

// Provenance says which program on which machine made a result.
type Provenance struct {
	Commit  string `json:"commit"`
	Dirty   bool   `json:"dirty"`
	Go      string `json:"go"`
	CPU     string `json:"cpu"`
	Cores   int    `json:"cores"`
	Device  string `json:"device,omitempty"` // that was asked for: "cpu", "openblas" or "opencl:N"; never "auto"
	Kernels string `json:"kernels"`          // that computed, see [model.Provenance]
	Threads int    `json:"threads"`
	Workers int    `json:"workers"` // trials side by side, on all devices together
}

// Store is a results folder: results/<name>/trials holds one file for each trial.
type Store struct{ Dir string }

// trialsFolder holds the result files in a results folder.
const trialsFolder = "trials"

// trialPath is the file of one trial.
func (s Store) trialPath(id string) string { return filepath.Join(s.Dir, trialsFolder, id+".json") }

// State is what a results folder holds of one trial.
type State int

const (
	Missing State = iota // no result
	Done                 // a whole result
	Failed               // a result that says why there are no records; it is not run again unless asked
	Retry                // the same, for a reason that may pass: run again as if it were missing
	Damaged              // a result file that was cut or edited
)

// String is the state in one word.
func (s State) String() string {
	return [...]string{"missing", "done", "failed", "retry", "damaged"}[s]
}

// State tells what the folder has of a trial. It reads the file and checks its sum, and does not decode it.
func (s Store) State(id string) (State, error) {
	body, err := s.read(id)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Missing, nil
	case errors.Is(err, errDamaged):
		return Damaged, nil
	case err != nil:
		return 0, err
	}
	// One space of indentation is a member of the result itself; no string holds a raw line end.
	switch {
	case bytes.Contains(body, []byte("\n \"retry\": true")):
		return Retry, nil
	case bytes.Contains(body, []byte("\n \"error\": ")):
		return Failed, nil
	}
	return Done, nil
}

// states are those of many trials. Of 10,000 most of the time goes into opening files, so several are
// opened at a time.
func (s Store) states(trials []Trial) ([]State, error) {
	states := make([]State, len(trials))
	var group errgroup.Group
	group.SetLimit(4)
	const batch = 64
	for from := 0; from < len(trials); from += batch {
		group.Go(func() error {
			for i := from; i < min(from+batch, len(trials)); i++ {
				var err error
				if states[i], err = s.State(trials[i].ID); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return states, group.Wait()
}

// Save writes a result so that a reader finds it whole or not at all, whatever ends the program.
func (s Store) Save(r *Result) error {
	text, err := r.encode()
	if err != nil {
		return err
	}
	if err := s.savePage(r); err != nil {
		return err
	}
	if err := writeDurably(s.trialPath(r.Trial.ID), seal(text)); err != nil {
		return fmt.Errorf("save result of trial %s: %w", r.Trial.ID, err)
	}
	return nil
}

// encode fails for a number that is not finite: JSON has none.
func (r *Result) encode() ([]byte, error) {
	text, err := json.Marshal(r, json.Deterministic(true), jsontext.WithIndent(" "))
	if err != nil {
		return nil, fmt.Errorf("encode result of trial %s: %w", r.Trial.ID, err)
	}
	return append(text, '\n'), nil
}

// A result file is one JSON object whose last member is the SHA-256 of the bytes before it. It is no
// signature: it tells accidents, not enemies.
const (
	sealStart = ",\n \"checksum\": \"sha256:"
	sealEnd   = "\"\n}\n"
	unsealed  = "\n}\n" // how an object ends that has no checksum
)

// seal puts the checksum into an encoded object.
func seal(text []byte) []byte {
	body := bytes.TrimSuffix(text, []byte(unsealed))
	return fmt.Appendf(bytes.Clone(body), "%s%x%s", sealStart, sha256.Sum256(body), sealEnd)
}

// unseal gives back the encoded object; false if it is not as it was sealed.
func unseal(text []byte) ([]byte, bool) {
	i := bytes.LastIndex(text, []byte(sealStart))
	if i < 0 || string(text[i:]) != fmt.Sprintf("%s%x%s", sealStart, sha256.Sum256(text[:i]), sealEnd) {
		return nil, false
	}
	return append(text[:i:i], unsealed...), true
}

// errDamaged is why a result file is not believed.
var errDamaged = errors.New("the file was cut or edited since it was written: experiment run sets it aside and computes the trial again")

// read gives the encoded result of a trial: fs.ErrNotExist, or errDamaged, if there is no valid one.
func (s Store) read(id string) ([]byte, error) {
	path := s.trialPath(id)
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	body, ok := unseal(text)
	if !ok {
		return nil, fmt.Errorf("read result %s: %w", path, errDamaged)
	}
	return body, nil
}

// Load reads the result of one trial; fs.ErrNotExist if there is none yet.
func (s Store) Load(id string) (*Result, error) {
	body, err := s.read(id)
	if err != nil {
		return nil, err
	}
	path := s.trialPath(id)
	r := new(Result)
	if err := json.Unmarshal(body, r, json.RejectUnknownMembers(true)); err != nil {
		return nil, fmt.Errorf("read result %s: %w: another version of the program wrote it: delete the file to run the trial again", path, err)
	}
	if r.Trial.ID != id {
		return nil, fmt.Errorf("read result %s: it is of trial %q: delete the file to run the trial again", path, r.Trial.ID)
	}
	return r, nil
}

// setAside renames a damaged result, so that nothing that somebody may want to look at is lost.
func (s Store) setAside(id string) (path string, err error) {
	path = s.trialPath(id) + ".damaged"
	if err := os.Rename(s.trialPath(id), path); err != nil {
		return "", fmt.Errorf("set a damaged result aside: %w", err)
	}
	return path, nil
}

// tidy removes what killed runs left in the making. Only whoever has the folder to himself may.
func (s Store) tidy() error {
	for _, pattern := range []string{temporary, filepath.Join(trialsFolder, temporary), filepath.Join(trialsFolder, ".*.lock")} {
		left, err := filepath.Glob(filepath.Join(s.Dir, pattern))
		if err != nil {
			return err
		}
		for _, f := range left {
			if err := os.Remove(f); err != nil {
				return fmt.Errorf("remove what a killed run left: %w", err)
			}
		}
	}
	return nil
}

// LoadAll reads the results of the given trials in their order, failed ones too. Missing lists the
// trials without one. A result tells the trial as planned: JSON would have made its numbers floats.
func (s Store) LoadAll(trials []Trial) (results []*Result, missing []Trial, err error) {
	for _, t := range trials {
		r, err := s.Load(t.ID)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			missing = append(missing, t)
		case err != nil:
			return nil, nil, err
		default:
			r.Trial = t
			results = append(results, r)
		}
	}
	return results, missing, nil
}

// Strangers lists the result files that belong to none of the trials: left from another version of the config.
func (s Store) Strangers(trials []Trial) ([]string, error) {
	files, err := filepath.Glob(filepath.Join(s.Dir, trialsFolder, "*.json"))
	if err != nil {
		return nil, err
	}
	planned := make(map[string]bool, len(trials))
	for _, t := range trials {
		planned[t.ID] = true
	}
	var left []string
	for _, f := range files {
		if !planned[strings.TrimSuffix(filepath.Base(f), ".json")] {
			left = append(left, f)
		}
	}
	return left, nil
}

// temporary is the pattern of files that are being written.
const temporary = ".tmp-*"

// writeDurably replaces the file at path by write, fsync and rename, and makes its folder.
func writeDurably(path string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), temporary)
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // fails after the rename, as it should
	if _, err := f.Write(text); err != nil {
		f.Close()
		return err
	}
	if err := f.Chmod(0o644); err != nil {
		f.Close()
		return err
	}
	if err := f.Sync(); err != nil {
		f.Close()
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	if d, err := os.Open(filepath.Dir(path)); err == nil { // the new name survives a power cut too, where a folder can be synced
		_ = d.Sync()
		d.Close()
	}
	return nil
}
