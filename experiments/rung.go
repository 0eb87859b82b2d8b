package experiments

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"

	"github.com/BurntSushi/toml"

	"k8ntext/model"
)

// RungOptions say how a rung of a search leads to the next: successive halving (Jamieson and Talwalkar,
// 2016), by default into thirds.
type RungOptions struct {
	Keep   float64 // the share of each experiment's settings that goes on; 0: a third
	Longer int     // how many times as many epochs they get; 0: three times
}

// rungName is a config's name with the number of its rung.
var rungName = regexp.MustCompile(`^(.*)-rung([0-9]+)$`)

// NextRung writes the config of a search's next rung: the settings of every experiment that reached the
// smallest validation loss, mean over folds and repetitions, best first, to be trained longer. The test
// parts decide nothing. Settings with a failed trial come last.
//
// It fails if a trial has no result yet, if an experiment trains no network, if only one setting is left,
// and for a config whose losses do not compare: windows are of any length, but labels and copying are the
// same for all settings.
func NextRung(ctx context.Context, c *Config, s Store, o RungOptions) ([]byte, error) {
	fail := func(err error) ([]byte, error) { return nil, fmt.Errorf("next rung of %s: %w", c.Name, err) }
	keep, longer := o.Keep, cmp.Or(o.Longer, 3)
	if keep == 0 {
		keep = 1. / 3
	}
	if !(keep > 0 && keep < 1) || longer < 1 {
		return fail(fmt.Errorf("keep %g of the settings and train %d times as long: give a share between 0 and 1, and 1 or more", keep, longer))
	}
	trials, _, err := c.plan(ctx)
	if err != nil {
		return fail(err)
	}
	results, missing, err := s.LoadAll(trials)
	if err != nil {
		return fail(err)
	}
	if len(missing) > 0 {
		return fail(fmt.Errorf("%d of %d trials have no result yet: run them first", len(missing), len(trials)))
	}
	next := rung{Name: c.Name + "-rung2", Seed: c.Seed}
	if m := rungName.FindStringSubmatch(c.Name); m != nil {
		n, err := strconv.Atoi(m[2])
		if err != nil {
			return fail(err)
		}
		next.Name = fmt.Sprintf("%s-rung%d", m[1], n+1)
	}
	for i := range c.Experiments {
		e := &c.Experiments[i]
		ranked, err := e.ranked(of(results, e.Name))
		if err != nil {
			return fail(fmt.Errorf("experiment %q: %w", e.Name, err))
		}
		ranked = ranked[:max(1, int(keep*float64(len(ranked))+.5))]
		next.Experiments = append(next.Experiments, e.rung(ranked, longer))
	}
	var text bytes.Buffer
	fmt.Fprintf(&text, "# The settings of %s with the smallest validation loss, best first, trained %d times as long.\n", c.Name, longer)
	if err := toml.NewEncoder(&text).Encode(next); err != nil {
		return fail(err)
	}
	return text.Bytes(), nil
}

// ranked are the settings of an experiment by their mean validation loss.
func (e *Experiment) ranked(results []*Result) ([]setting, error) {
	type candidate struct {
		setting setting
		loss    float64
		n       int
	}
	var all []candidate
	var first *model.Config
	for _, r := range results {
		text := settingText(r.Trial.Setting)
		i := slices.IndexFunc(all, func(c candidate) bool { return settingText(c.setting) == text })
		if i < 0 {
			i = len(all)
			all = append(all, candidate{setting: r.Trial.Setting})
		}
		loss := math.Inf(1) // failed: a diverged training, for one
		if r.Error == "" {
			if r.History == nil || r.History.Best == 0 || r.History.Monitored != "validation" {
				return nil, fmt.Errorf("trial %s has no validation loss: a search is over networks with a validation part", r.Trial.ID)
			}
			if first == nil {
				first = &r.Config
			}
			if r.Config.Labels != first.Labels || r.Config.Copy != first.Copy {
				return nil, fmt.Errorf("settings differ in labels or copy, so that their losses do not compare: search with one of them at a time")
			}
			loss = r.History.Epochs[r.History.Best-1].ValidationLoss
		}
		all[i].loss += loss
		all[i].n++
	}
	if len(all) < 2 {
		return nil, fmt.Errorf("%d settings: the search is at its end", len(all))
	}
	slices.SortStableFunc(all, func(a, b candidate) int { return cmp.Compare(a.loss/float64(a.n), b.loss/float64(b.n)) })
	settings := make([]setting, len(all))
	for i, c := range all {
		settings[i] = c.setting
	}
	return settings, nil
}

// rung is a config as it is written.
type rung struct {
	Name        string           `toml:"name"`
	Seed        uint64           `toml:"seed"`
	Experiments []rungExperiment `toml:"experiment"`
}

type rungExperiment struct {
	Name            string         `toml:"name"`
	Corpus          []string       `toml:"corpus"`
	Test            []string       `toml:"test,omitempty"`
	Protocol        string         `toml:"protocol"`
	Folds           int            `toml:"folds"`
	TestShare       float64        `toml:"test_share"`
	ValidationShare float64        `toml:"validation_share"`
	TrainShare      float64        `toml:"train_share"`
	Level           string         `toml:"level,omitempty"`
	TestLevel       string         `toml:"test_level,omitempty"`
	Repetitions     int            `toml:"repetitions"`
	Settings        []setting      `toml:"settings"`
	Model           map[string]any `toml:"model"`
}

// rung is the experiment over these settings, trained longer.
func (e *Experiment) rung(settings []setting, longer int) rungExperiment {
	x := rungExperiment{
		Name: e.Name, Corpus: e.Corpus, Test: e.Test, Protocol: e.Protocol, Folds: e.Folds, TestShare: e.TestShare,
		ValidationShare: e.ValidationShare, TrainShare: e.TrainShare, Level: e.Level, TestLevel: e.TestLevel,
		Repetitions: e.Repetitions, Settings: settings, Model: make(map[string]any),
	}
	for k, v := range e.Model {
		x.Model[k] = v
	}
	epochs := model.DefaultConfig().MaxEpochs
	if _, m, err := e.at(settings[0]); err == nil { // they were checked
		epochs = m.MaxEpochs
	}
	x.Model["max_epochs"] = epochs * longer
	return x
}
