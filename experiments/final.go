package experiments

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"k8ntext/metrics"
	"k8ntext/plots"
)

// usesFile of a results folder is the log of final evaluations, to be committed: JSON lines.
const usesFile = "uses.jsonl"

// Use is one final evaluation: that recordings which no choice may be made on were scored.
type Use struct {
	Date    string   `json:"date"`    // UTC
	Commit  string   `json:"commit"`  // of the program
	Dirty   bool     `json:"dirty"`   // with changes that are in no commit
	Config  string   `json:"config"`  // digest of what was asked for: settings, seeds, corpora, numerics
	Corpora []string `json:"corpora"` // tested
}

// ErrUsed is why a final evaluation is not run a second time.
var ErrUsed = errors.New("this final evaluation has been made")

// Uses are the final evaluations that the results folder has logged, the oldest first.
func (s Store) Uses() ([]Use, error) {
	name := filepath.Join(s.Dir, usesFile)
	text, err := os.ReadFile(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read the log of final evaluations: %w", err)
	}
	var uses []Use
	for i, line := range bytes.Split(text, []byte("\n")) {
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		var u Use
		if err := json.Unmarshal(line, &u, json.RejectUnknownMembers(true)); err != nil {
			return nil, fmt.Errorf("%s:%d: no line of a log of final evaluations: %w: restore the file from its repository", name, i+1, err)
		}
		uses = append(uses, u)
	}
	return uses, nil
}

// IsFinal tells whether a corpus, by name or path, is a final recording.
func IsFinal(corpus string) bool {
	name, _, _ := strings.Cut(path.Base(filepath.ToSlash(corpus)), ".jsonl")
	return strings.HasSuffix(name, "-final")
}

// checkFinal keeps final recordings from being trained on, and from being tested without being logged.
func (e *Experiment) checkFinal() error {
	if i := slices.IndexFunc(e.Corpus, IsFinal); i >= 0 && e.Protocol == ProtocolCross {
		return badKey("corpus", "%q is for the final evaluation alone: nothing is trained on it", e.Corpus[i])
	}
	i := slices.IndexFunc(e.recordings(), IsFinal)
	switch {
	case e.final && e.Protocol != ProtocolCross:
		return badKey("protocol", "%q in a file with final = true: use %q, which trains on some recordings and tests others", e.Protocol, ProtocolCross)
	case !e.final && i >= 0:
		return badKey("corpus", "%q is for the final evaluation alone: use a dev recording, or set final = true at the top of the file, which logs the use", e.recordings()[i])
	}
	return nil
}

// tested are the corpora that are tested, in order.
func (c *Config) tested() []string {
	var names []string
	for _, e := range c.Experiments {
		for _, name := range e.Test {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

// use logs the final evaluation of these trials before it begins, so that one that is stopped is logged too.
// It is [ErrUsed] if it is logged and complete, unless it is to be made again.
func (c *Config) use(o RunOptions, trials []Trial) error {
	uses, err := o.Store.Uses()
	if err != nil {
		return err
	}
	sum := sha256.New()
	complete := true
	for _, t := range trials {
		fmt.Fprintln(sum, t.ID)
		state, err := o.Store.State(t.ID)
		if err != nil {
			return err
		}
		complete = complete && state == Done
	}
	u := Use{
		Date: time.Now().UTC().Format(time.DateTime), Commit: o.Provenance.Commit, Dirty: o.Provenance.Dirty,
		Config: hex.EncodeToString(sum.Sum(nil)[:8]), Corpora: c.tested(),
	}
	log := filepath.Join(o.Store.Dir, usesFile)
	again := o.FinalAgain || o.Again != nil
	i := logged(uses, u)
	switch {
	case i >= 0 && !again && complete:
		return fmt.Errorf("%w on %s UTC, by commit %s, and stands in %s: its results are under %s, and experiment report draws them; experiment run --again makes and logs it once more",
			ErrUsed, uses[i].Date, plots.Printable(uses[i].Commit), log, o.Store.Dir)
	case i >= 0 && !again:
		return nil // goes on where it was stopped
	}
	return o.Store.log(uses, u, o.Remark)
}

// LogUse logs a final evaluation that is not of trials, before it begins. It is [ErrUsed] if the same one is logged,
// unless it is to be made again. The remark, which may be nil, hears of others that were made.
func (s Store) LogUse(u Use, again bool, remark func(string)) error {
	uses, err := s.Uses()
	if err != nil {
		return err
	}
	if i := logged(uses, u); i >= 0 && !again {
		return fmt.Errorf("%w on %s UTC, by commit %s, and stands in %s", ErrUsed, uses[i].Date, plots.Printable(uses[i].Commit), filepath.Join(s.Dir, usesFile))
	}
	return s.log(uses, u, remark)
}

// logged is the place of a use of the same config among uses; -1: there is none.
func logged(uses []Use, u Use) int {
	return slices.IndexFunc(uses, func(earlier Use) bool { return earlier.Config == u.Config })
}

// log adds a use to those that are logged.
func (s Store) log(uses []Use, u Use, remark func(string)) error {
	log := filepath.Join(s.Dir, usesFile)
	if len(uses) > 0 && remark != nil {
		remark(fmt.Sprintf("%s logs %s of final recordings before this one: the more there are, the less each says", log, count(len(uses), "evaluation")))
	}
	var text []byte
	for _, x := range append(uses, u) {
		line, err := json.Marshal(x, json.Deterministic(true))
		if err != nil {
			return fmt.Errorf("log the final evaluation: %w", err)
		}
		text = append(append(text, line...), '\n')
	}
	if err := writeDurably(log, text); err != nil {
		return fmt.Errorf("log the final evaluation: %w", err)
	}
	return nil
}

// finalArtefacts are the tables of final evaluations.
func finalArtefacts(ev evidence) ([]Artefact, error) {
	results := slices.DeleteFunc(slices.Clone(ev.results), func(r *Result) bool {
		return r.Trial.experiment == nil || !r.Trial.experiment.final
	})
	if len(results) == 0 {
		return nil, nil
	}
	t := plots.Protocols("final", "Final recordings", []plots.ProtocolColumn{
		allAccuracy,
		column(metrics.SubsetNonTrigger, metrics.Accuracy, "non-trigger"),
		headline,
		column(metrics.SubsetAll, metrics.WorstClass, "worst label of 20 and more events"),
		column(metrics.SubsetBackground, metrics.Accuracy, "background"),
	}, tableRows(protocolRows(results)), fmt.Sprintf("Trained on %s; tested on recordings of other seeds and orders, on which no choice was made. "+
		"Accuracy in events with 95 %% bootstrap interval over contexts. Non-trigger: what people caused without their own requests. "+
		"Every use of these recordings is logged in %s.", strings.Join(corpusNames(results), "; "), usesFile))
	return []Artefact{tableArtefact(t, "", results)}, nil
}
