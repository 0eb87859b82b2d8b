package experiments

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"k8ntext/suggest"
)

// breadthFirst puts trials into the order in which they are run: rounds, of which the first has one trial of
// every setting of every experiment, its first repetition and fold, the second the next one of each, and so
// on; within a round the experiments take turns, each with its next setting. A sweep that ends early then
// has something of everything, and no experiment waits for another's repetitions. The order depends on the
// plan alone, which has the trials of each setting by repetition, then fold.
func breadthFirst(planned []Trial) []Trial {
	type place struct{ round, turn, experiment int }
	type of struct{ experiment, setting string }
	var (
		experiments = make(map[string]int) // the number of each, by appearance
		turns       = make(map[of]int)     // the number of each setting in its experiment
		settings    = make(map[string]int) // how many each experiment has
		rounds      = make(map[of]int)     // trials of each setting so far
		places      = make([]place, len(planned))
		order       = make([]int, len(planned))
		trials      = make([]Trial, len(planned))
	)
	for i, t := range planned {
		s := of{t.Experiment, settingText(t.Setting)}
		if _, ok := experiments[t.Experiment]; !ok {
			experiments[t.Experiment] = len(experiments)
		}
		if _, ok := turns[s]; !ok {
			turns[s] = settings[t.Experiment]
			settings[t.Experiment]++
		}
		places[i] = place{rounds[s], turns[s], experiments[t.Experiment]}
		order[i] = i
		rounds[s]++
	}
	slices.SortStableFunc(order, func(i, j int) int {
		a, b := places[i], places[j]
		return cmp.Or(cmp.Compare(a.round, b.round), cmp.Compare(a.turn, b.turn), cmp.Compare(a.experiment, b.experiment))
	})
	for to, from := range order {
		trials[to] = planned[from]
	}
	return trials
}

// ErrNoExperiment is a name that no experiment of the config has.
var ErrNoExperiment = errors.New("there is no such experiment")

// checkNames fails with an [ErrNoExperiment] for a name that is not of one of the experiments.
func (c *Config) checkNames(names []string) error {
	var known []string
	for _, e := range c.Experiments {
		known = append(known, e.Name)
	}
	for _, name := range names {
		if !slices.Contains(known, name) {
			return fmt.Errorf("%w in %s: %q: did you mean %q? It has %s", ErrNoExperiment, c.Name, name, suggest.Nearest(name, known), strings.Join(known, ", "))
		}
	}
	return nil
}

// Of gives the ids of the trials of the named experiments, each once, in the order of the plan. The error for
// a name that is none is an [ErrNoExperiment].
func (m *Manifest) Of(names ...string) ([]string, error) {
	if err := m.config.checkNames(names); err != nil {
		return nil, err
	}
	ids := []string{}
	for _, t := range distinct(ofExperiments(m.trials, names)) {
		ids = append(ids, t.ID)
	}
	return ids, nil
}

// ofExperiments leaves the trials of the named experiments; all where no name is given.
func ofExperiments(planned []Trial, names []string) []Trial {
	if len(names) == 0 {
		return planned
	}
	return slices.DeleteFunc(slices.Clone(planned), func(t Trial) bool { return !slices.Contains(names, t.Experiment) })
}
