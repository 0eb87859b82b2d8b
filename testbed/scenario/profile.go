package scenario

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
)

// Profile says what kind of recording a plan is for.
type Profile struct {
	// Name is the name of its file.
	Name string `toml:"-" json:"-"`
	// About says in one sentence what the recording is for.
	About string `toml:"about"`
	// Minor is the version of Kubernetes: "1.34".
	Minor string `toml:"minor"`
	// Nodes of the cluster.
	Nodes int `toml:"nodes"`
	// Level of the audit log.
	Level string `toml:"level"`
	// Mode is "sequential" (one action at a time, each until the log is quiet) or "concurrent".
	Mode string `toml:"mode"`
	// Rounds is how often every scenario runs, spread over the recording.
	Rounds int `toml:"rounds"`
	// Neighbours bounds how many runs are open at a time, their actions mixed: the least and the most.
	Neighbours [2]int `toml:"neighbours"`
	// Actions ends the plan when it has so many; 0: no bound.
	Actions int `toml:"actions"`
	// Think bounds the seconds between actions: the least and the most.
	Think [2]float64 `toml:"think"`
	// Overlap is the chance that a person does not wait until the work on an object is done.
	Overlap float64 `toml:"overlap"`
	// Teams are the namespaces that live throughout.
	Teams []string `toml:"teams"`
	// Only names the tags or IDs of the scenarios that take part; none: all.
	Only []string `toml:"only"`
	// Except takes scenarios out, by tag or ID.
	Except []string `toml:"except"`
	// Every makes scenarios of a tag rarer: one run in so many rounds, beside what the scenario says itself.
	Every map[string]int `toml:"every"`
	// Repeat makes scenarios of a tag more frequent: so many runs in each round.
	Repeat map[string]int `toml:"repeat"`
	// Share is the share of a matrix scenario's kinds that a round draws; 0: all.
	Share float64 `toml:"share"`
	// Lanes are the people who work at the same time.
	Lanes []string `toml:"lanes"`
	// Seeds of the recordings: "dev" and "final".
	Seeds map[string]uint64 `toml:"seeds"`
	// Final is the size of the final recording as a share of the other; 0: the same.
	Final float64 `toml:"final"`
}

// Modes of a profile.
const (
	Sequential = "sequential"
	Concurrent = "concurrent"
)

func (p *Profile) check() error {
	switch {
	case p.Mode != Sequential && p.Mode != Concurrent:
		return unknown("mode", p.Mode, []string{Sequential, Concurrent})
	case p.Mode == Concurrent && len(p.Lanes) < 2:
		return errors.New(`mode "concurrent" needs two or more users in "lanes"`)
	case p.Rounds < 1:
		return errors.New(`"rounds" must be 1 or more`)
	case p.Neighbours[0] < 1 || p.Neighbours[1] < p.Neighbours[0]:
		return errors.New(`"neighbours" must be the least and the most, from 1 on`)
	case p.Nodes < 1:
		return errors.New(`"nodes" must be 1 or more`)
	case p.Think[0] < 0 || p.Think[1] < p.Think[0]:
		return errors.New(`"think" must be the least and the most, in seconds`)
	case len(p.Teams) == 0:
		return errors.New(`"teams" must name a namespace or more`)
	}
	for _, v := range []float64{p.Overlap, p.Share, p.Final} {
		if v < 0 || v > 1 || math.IsNaN(v) {
			return fmt.Errorf(`%v is not between 0 and 1: check "overlap", "share" and "final"`, v)
		}
	}
	return nil
}

// Part is the seed and the profile of one of its recordings: "dev" or "final".
func (p *Profile) Part(part string) (uint64, *Profile, error) {
	seed, known := p.Seeds[part]
	if !known {
		return 0, nil, unknown("recording", part, slices.Collect(maps.Keys(p.Seeds)))
	}
	q := *p
	if part == "final" && p.Final > 0 {
		q.Rounds = max(1, int(math.Round(float64(p.Rounds)*p.Final)))
		q.Actions = int(math.Round(float64(p.Actions) * p.Final))
	}
	return seed, &q, nil
}
