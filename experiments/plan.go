package experiments

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"

	"k8ntext/model"
)

// The protocols that corpora can be cut by (DESIGN section 4).
const (
	ProtocolPaper   = "paper"
	ProtocolBlocked = "blocked"
	ProtocolUnseen  = "unseen"
	ProtocolCross   = "cross"
	ProtocolQuery   = "query" // no cut: contexts are asked
)

// Versions enter the identity of the trials whose numbers they decide. Raise one when the same setting gives
// other numbers.
const (
	numericsVersion = 2 // of every trial
	identityVersion = 2 // of the baseline identity
)

// Trial is one training with one setting, one seed and one fold.
type Trial struct {
	ID         string  `json:"id"` // 16 hex digits of a hash over everything that decides the result
	Experiment string  `json:"experiment"`
	Corpus     string  `json:"corpus"` // several joined with +
	Test       string  `json:"test,omitempty"`
	Setting    setting `json:"setting,omitempty"` // the point of the grid
	Repetition int     `json:"repetition"`
	Fold       int     `json:"fold"` // 0 under the paper protocol
	Seed       uint64  `json:"seed"` // of the repetition: the same for every setting, so that settings compare in pairs

	experiment *Experiment
	model      model.Config
	digest     string // of its corpora, when it was planned
}

// trialID is what an identity looks like.
var trialID = regexp.MustCompile(`^[0-9a-f]{16}$`)

// plan lists the trials of the config and the corpora that they use.
func (c *Config) plan(ctx context.Context) ([]Trial, *corpora, error) {
	corpora := newCorpora()
	trials, err := c.trials(func(names Corpora) (string, error) { return corpora.digest(ctx, names) })
	return trials, corpora, err
}

// trials lists the trials of a config: by experiment, repetition, setting and fold; see [breadthFirst] for
// the order in which they run. digest gives a corpus's content
// digest, which is part of a trial's identity. Trials of two experiments that are the same trial are
// both listed; they share an identity and a result.
func (c *Config) trials(digest func(names Corpora) (string, error)) ([]Trial, error) {
	var trials []Trial
	for i := range c.Experiments {
		e := &c.Experiments[i]
		d, err := digest(e.recordings())
		if err != nil {
			return nil, fmt.Errorf("experiment %q: %w", e.Name, err)
		}
		for r := range e.Repetitions {
			for _, s := range e.settings() {
				x, m, err := e.at(s)
				if err != nil {
					return nil, fmt.Errorf("experiment %q: %w", e.Name, err)
				}
				for fold := range x.folds() {
					t := Trial{
						Experiment: e.Name, Corpus: e.Corpus.String(), Test: e.Test.String(), Setting: s,
						Repetition: r, Fold: fold, Seed: repetitionSeed(c.Seed, r),
						experiment: x, model: m, digest: d,
					}
					if t.ID, err = t.identity(d); err != nil {
						return nil, fmt.Errorf("experiment %q: %w", e.Name, err)
					}
					trials = append(trials, t)
				}
			}
		}
	}
	return trials, nil
}

// training is how many of the recordings are for training alone; 0: the protocol cuts every recording.
func (e *Experiment) training() int {
	if e.Protocol == ProtocolCross {
		return len(e.Corpus)
	}
	return 0
}

// folds is how many trials one setting and seed make.
func (e *Experiment) folds() int {
	if e.folded() {
		return e.Folds
	}
	return 1
}

// folded tells whether the protocol makes folds.
func (e *Experiment) folded() bool {
	return e.Protocol == ProtocolBlocked || e.Protocol == ProtocolUnseen
}

// identity hashes what decides a trial's result. The commit is provenance, not identity.
func (t *Trial) identity(corpusDigest string) (string, error) {
	e := t.experiment
	trainShare := e.TrainShare
	if trainShare == 1 {
		trainShare = 0 // as before there was this key
	}
	identity := 0
	if slices.Contains(e.Methods, "identity") {
		identity = identityVersion
	}
	text, err := json.Marshal(struct {
		Numerics        int
		Corpus          string
		Protocol        string
		Folds           int
		TestShare       float64
		ValidationShare float64
		Methods         []string
		Model           model.Config
		Fold            int
		Seed            uint64
		Training        int       `json:",omitzero"`
		TrainShare      float64   `json:",omitzero"`
		Level           string    `json:",omitzero"`
		TestLevel       string    `json:",omitzero"`
		Votes           []Vote    `json:",omitempty"`
		LeaveOut        string    `json:",omitzero"`
		Abstain         []float64 `json:",omitempty"`
		Explain         bool      `json:",omitzero"`
		Identity        int       `json:",omitzero"`
	}{
		numericsVersion, corpusDigest, e.Protocol, e.Folds, e.TestShare, e.ValidationShare, e.Methods, t.model, t.Fold, t.Seed, e.training(),
		trainShare, e.Level, e.TestLevel, e.Votes, e.LeaveOut, e.Abstain, e.Explain,
		identity,
	}, json.Deterministic(true))
	if err != nil {
		return "", fmt.Errorf("hash trial: %w", err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8]), nil
}

// repetitionSeed derives the seed of one repetition.
func repetitionSeed(base uint64, repetition int) uint64 {
	var text [16]byte
	binary.LittleEndian.PutUint64(text[:8], base)
	binary.LittleEndian.PutUint64(text[8:], uint64(repetition))
	sum := sha256.Sum256(text[:])
	return binary.LittleEndian.Uint64(sum[:8]) >> 11 // 53 bits: exact in JSON
}

// Describe is the trial's setting, fold and repetition in words.
func (t *Trial) Describe() string {
	parts := []string{fmt.Sprintf("seed %d", t.Seed)}
	if s := settingText(t.Setting); s != "" {
		parts = append([]string{s}, parts...)
	}
	if t.experiment != nil && t.experiment.folded() {
		parts = append(parts, fmt.Sprintf("fold %d of %d", t.Fold+1, t.experiment.Folds))
	}
	return strings.Join(parts, ", ")
}
