// Package results is what the benchmarks have measured: the files of this folder, their form, and how
// they are read and written.
package results

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"k8ntext/bench/contest"
	"k8ntext/bench/host"
)

// Folder is this folder, from the repository's root.
const Folder = "bench/results"

// Speed is the folder of what depends on the machine: a folder for each, named by its processor.
const Speed = "speed"

// Here is the folder of this machine's speeds, which it makes.
func Here() (string, error) {
	folder := filepath.Join(Folder, Speed, host.Describe().Name())
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return "", fmt.Errorf("make a folder for this machine's results: %w", err)
	}
	return folder, nil
}

// Read reads a file into v, a pointer; a file that is not there leaves v as it is.
func Read(path string, v any) error {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read results: %w", err)
	}
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("read results of %s: %w", filepath.Base(path), err)
	}
	return nil
}

// Write writes v to a file, over what was there.
func Write(path string, v any) error {
	text, err := json.Marshal(v, json.Deterministic(true), jsontext.WithIndent(" "))
	if err != nil {
		return fmt.Errorf("write results: %w", err)
	}
	if err := os.WriteFile(path, append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("write results: %w", err)
	}
	return nil
}

// Peers is the file peers.json of a machine, of bench/peers.
type Peers struct {
	Machine  host.Machine      `json:"machine"`
	Versions map[string]string `json:"versions"`
	Losses   []Losses          `json:"losses"`
	Results  []contest.Result  `json:"results"`
}

// Losses says how far a contestant's losses over the first steps are from ours.
type Losses struct {
	Window     int     `json:"window"`
	Batch      int     `json:"batch"`
	Name       string  `json:"name"`
	Setting    string  `json:"setting,omitempty"`
	Threads    int     `json:"threads"`
	Steps      int     `json:"steps"`
	Difference float64 `json:"difference"` // the largest, relative
}

// Training is the file training.json of a machine, of bench/training.
type Training struct {
	Machine host.Machine `json:"machine"`
	Memory  Memory       `json:"memory"`
	Pair    Pair         `json:"pair"`
	Graph   Graph        `json:"graph"`
	Profile []Part       `json:"profile"`
}

// Memory is what a training took.
type Memory struct {
	Events int   `json:"events"`
	Window int   `json:"window"`
	Batch  int   `json:"batch"`
	Steps  int   `json:"steps"`
	Loaded int64 `json:"loaded"` // peak when the corpus was loaded and cut, bytes
	Peak   int64 `json:"peak"`   // peak at the end, bytes
}

// Pair compares one single-threaded training with two at a time, milliseconds per step.
type Pair struct {
	One    float64 `json:"one"`    // best round of one alone
	Two    float64 `json:"two"`    // best round of two: time in which both did a step
	Gain   float64 `json:"gain"`   // steps per second of two over those of one, best rounds
	Median float64 `json:"median"` // the same ratio, median over rounds of neighbours
	Rounds int     `json:"rounds"`
	Load   float64 `json:"load"`
}

// Graph is what Gorgonia takes of a step.
type Graph struct {
	Micros float64 `json:"micros"` // per step of a network without arithmetic to speak of
	Step   float64 `json:"step"`   // per step of the paper's network at batch 32, CPU microseconds
	Share  float64 `json:"share"`
}

// Part is a share of a step's CPU time.
type Part struct {
	Part  string  `json:"part"`
	Share float64 `json:"share"`
}

// Accuracy is the file accuracy.json, of bench/accuracy.
type Accuracy struct {
	Machine   host.Machine `json:"machine"`
	Corpus    string       `json:"corpus"`
	Training  []Trained    `json:"training"`
	Inference []Labelled   `json:"inference"`
}

// Score is what a model's labels of the fold are worth.
type Score struct {
	Accuracy float64 `json:"accuracy"`       // of all labelled events
	F1       float64 `json:"f1"`             // macro, over them
	OwnWrong float64 `json:"own_wrong"`      // accuracy where the event's own label is wrong
	N        int     `json:"n"`              // events scored
	Load     float64 `json:"load,omitempty"` // of the machine
}

// Trained is one training with what it cost.
type Trained struct {
	Stride    int    `json:"stride"`
	Windows   int    `json:"windows"` // shown in all
	Epochs    int    `json:"epochs"`
	BestEpoch int    `json:"best_epoch"`
	Seed      uint64 `json:"seed"`
	Steps     int    `json:"steps"` // the compute: a step's time does not depend on the stride
	Score
}

// Labelled is one way to label the fold with one model.
type Labelled struct {
	Model     string  `json:"model"`
	Window    int     `json:"window"`
	Rule      string  `json:"rule"`
	Stride    int     `json:"stride"`
	Online    bool    `json:"online,omitempty"`
	LookAhead int     `json:"look_ahead,omitempty"`
	Batch     int     `json:"batch"`
	Seed      uint64  `json:"seed"`
	CPUMicros float64 `json:"cpu_micros"` // per event: encoding, network and vote
	Score
}

// Loss is the file loss.json, of bench/loss: trainings from equal weights on equal batches.
type Loss struct {
	Machine host.Machine `json:"machine"`
	PyTorch string       `json:"pytorch,omitempty"` // its version
	First   Trainings    `json:"first"`             // the first steps on every engine
	Slow    Trainings    `json:"slow"`              // the same at a small learning rate
	Whole   Trainings    `json:"whole"`             // whole trainings by the paper's rules
}

// Trainings are several of the same training, of the paper's network.
type Trainings struct {
	Corpus     string  `json:"corpus"`
	Window     int     `json:"window"`
	Batch      int     `json:"batch"`
	Stride     int     `json:"stride"`
	Seed       uint64  `json:"seed"`
	Rate       float64 `json:"learning_rate"` // at the start
	Windows    int     `json:"windows"`       // of an epoch
	Steps      int     `json:"steps"`         // of an epoch
	Validation int     `json:"validation_windows"`
	Curves     []Curve `json:"curves"` // the first is what the others are compared with
}

// Curve is one training's losses.
type Curve struct {
	Program    string    `json:"program"`          // "k8ntext" or "pytorch"
	Engine     string    `json:"engine,omitempty"` // of ours
	Epochs     []Epoch   `json:"epochs"`
	Best       int       `json:"best"` // epoch, from 1
	Steps      []float64 `json:"steps,omitempty"`
	Seconds    float64   `json:"seconds"`
	CPUSeconds float64   `json:"cpu_seconds"` // of all threads
	Load       float64   `json:"load"`        // of the machine at the end
}

// Epoch is the losses of an epoch.
type Epoch struct {
	Loss         float64 `json:"loss"`
	Validation   float64 `json:"validation"`
	LearningRate float64 `json:"learning_rate"`
}
