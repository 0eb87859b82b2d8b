package model

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/go-json-experiment/json"
)

// A checkpoint is a container of the sections "state" (JSON), "weights" (all tensors), "best" (those
// of the best epoch; empty before one was completed), "first" and "second" (the optimizer's moments
// of the trainable tensors; empty before the first step).
var checkpointFile = kind{magic: "k8ntextC", version: 2, noun: "checkpoint"}

// checkpointState is the JSON part of a checkpoint.
type checkpointState struct {
	Identity      string    `json:"identity"` // of the training, see trainingIdentity
	Loop          loopState `json:"loop"`
	OptimizerStep uint64    `json:"optimizer_step"`
}

// save writes the checkpoint, if one is wanted.
func (l *Loop) save() error {
	path := l.options.Checkpoint
	if path == "" {
		return nil
	}
	if err := l.network.Sync(); err != nil {
		return fmt.Errorf("save checkpoint %s: %w", path, err)
	}
	o := l.network.OptimizerState()
	text, err := json.Marshal(checkpointState{l.identity, l.state, o.Step}, json.Deterministic(true))
	if err != nil {
		return fmt.Errorf("save checkpoint %s: %w", path, err)
	}
	data := checkpointFile.encode([]section{
		{"state", text},
		{"weights", l.weights.bytes()},
		{"best", l.best.bytes()},
		{"first", o.First.bytes()},
		{"second", o.Second.bytes()},
	})
	if err := writeFile(path, data); err != nil {
		return fmt.Errorf("save checkpoint %s: %w", path, err)
	}
	return nil
}

// resume takes up the state of the checkpoint file, if there is one.
func (l *Loop) resume() error {
	path := l.options.Checkpoint
	if path == "" {
		return nil
	}
	err := l.load(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("resume from checkpoint %s: %w; remove it to begin anew", path, err)
	}
	l.log.Info("resumed", "from", path, "epoch", l.state.Epoch, "step", l.state.Step)
	if before, now := l.state.Engines[len(l.state.Engines)-1], l.network.Engine(); before != now && l.state.History.Stopped == "" {
		l.log.Warn("the training goes on on another engine: the result differs in its last bits from that of either", "before", before, "now", now)
		l.state.Engines = append(l.state.Engines, now)
	}
	return nil
}

// load changes nothing unless the whole checkpoint is good.
func (l *Loop) load(path string) error {
	sections, err := checkpointFile.readFile(path)
	if err != nil {
		return err
	}
	data, err := checkpointFile.expect(sections, "state", "weights", "best", "first", "second")
	if err != nil {
		return err
	}
	var s checkpointState
	if err := json.Unmarshal(data[0], &s, json.RejectUnknownMembers(true)); err != nil {
		return checkpointFile.errorf("state: %v", err)
	}
	if s.Identity != l.identity {
		return errors.New("it belongs to another training (other config, corpus, split or seed)")
	}
	if len(s.Loop.Engines) == 0 {
		return checkpointFile.errorf("state: it does not say on what it was computed")
	}
	specs := l.specs
	weights, err := takeWeights(specs, data[1])
	if err != nil {
		return checkpointFile.errorf("weights: %v", err)
	}
	var best Weights
	if s.Loop.History.Best > 0 {
		if best, err = takeWeights(specs, data[2]); err != nil {
			return checkpointFile.errorf("best weights: %v", err)
		}
	}
	o := OptimizerState{Step: s.OptimizerStep, LearningRate: s.Loop.LearningRate}
	if o.Step > 0 {
		var trainable []tensorSpec
		for _, spec := range specs {
			if spec.trainable {
				trainable = append(trainable, spec)
			}
		}
		if o.First, err = takeWeights(trainable, data[3]); err != nil {
			return checkpointFile.errorf("first moments: %v", err)
		}
		if o.Second, err = takeWeights(trainable, data[4]); err != nil {
			return checkpointFile.errorf("second moments: %v", err)
		}
	}
	if err := l.network.SetOptimizerState(o); err != nil {
		return err
	}
	if err := l.weights.CopyFrom(weights); err != nil {
		return err
	}
	l.state, l.best = s.Loop, best
	return nil
}
