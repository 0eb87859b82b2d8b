package experiments

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"k8ntext/dataset"
)

// ErrCut is a setting that the corpora cannot be cut by: a window longer than a fold, a part left empty.
var ErrCut = errors.New("the corpus cannot be cut so")

// cut is what decides how a corpus is cut, but for seeds: they move no part's size.
type cut struct {
	recordings         string
	protocol, leaveOut string
	window             int
	folds, training    int
	test, validation   float64
}

// checkCuts cuts the corpora by every setting once, so that what no trial can be run with is known before
// the first is. The error is an [ErrCut] and says in which file, line and key.
func (m *Manifest) checkCuts(ctx context.Context) error {
	checked := make(map[cut]bool)
	for i := range m.config.Experiments {
		e := &m.config.Experiments[i]
		if e.Protocol == ProtocolQuery {
			continue
		}
		for _, s := range e.settings() {
			x, config, err := e.at(s)
			if err != nil {
				return err
			}
			key := cut{e.recordings().String(), x.Protocol, x.LeaveOut, config.Window, x.folds(), x.training(), x.TestShare, x.ValidationShare}
			if checked[key] {
				continue
			}
			checked[key] = true
			corpus, err := m.corpora.get(ctx, e.recordings(), "default")
			if err != nil {
				return err
			}
			t := Trial{Setting: s, experiment: x, model: config, Seed: repetitionSeed(m.config.Seed, 0)}
			if err := t.checkCut(corpus); err != nil {
				k := badKey(e.cutKey(s), "%w: %w", ErrCut, err)
				k.experiment = i + 1
				return m.config.located(fmt.Errorf("experiment %q: %w", e.Name, k))
			}
		}
	}
	return nil
}

// checkCut cuts a corpus as the trial would.
func (t *Trial) checkCut(c *dataset.Corpus) error {
	recordings := c.Recordings
	if recordings == nil {
		recordings = []dataset.Recording{{Name: c.Name, To: len(c.Events)}}
	}
	for _, r := range recordings {
		n, what := r.To-r.From, "the whole recording"
		if t.experiment.folded() {
			n, what = n/t.experiment.Folds, fmt.Sprintf("a fold of %d", t.experiment.Folds)
		}
		if t.model.Window > n {
			return fmt.Errorf("windows of %s events are longer than %s of %s, which has %s: use a shorter window, fewer folds or a longer log",
				number(t.model.Window), what, r.Name, number(n))
		}
	}
	_, err := t.split(c)
	return err
}

// cutKey is the key that decides how the corpus is cut at a setting: one that varies, or the window.
func (e *Experiment) cutKey(s setting) string {
	for _, key := range []string{"model.window", "folds", "test_share", "validation_share"} {
		if _, ok := s[key]; ok {
			return e.settingKey(key)
		}
	}
	if e.Model["window"] == nil && slices.Contains([]string{ProtocolBlocked, ProtocolUnseen}, e.Protocol) {
		return "folds"
	}
	return "model.window"
}

// located says in which file and line the key of a keyError is, where the config came from files.
func (c *Config) located(err error) error {
	if c.locate == nil {
		return err
	}
	return c.locate(err)
}
