package experiments

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"

	"k8ntext/model"
)

// setting is one point of an experiment: key to value. Keys of the model begin with "model.".
type setting map[string]any

// checkSettings tells what is wrong with the lists of settings as lists.
func (e *Experiment) checkSettings() error {
	for _, k := range slices.Sorted(maps.Keys(e.Grid)) {
		if len(e.Grid[k]) == 0 {
			return badKey("grid."+k, "no values: give at least one")
		}
		if name, ok := strings.CutPrefix(k, "model."); ok && e.Model[name] != nil {
			return badKey("grid."+k, "the same experiment sets %s: leave one of them out, or give the grid the one value", k)
		}
		for _, s := range e.Settings {
			if _, ok := s[k]; ok {
				return badKey("grid."+k, "the list of settings has this key too: give it in one place")
			}
		}
	}
	if n := e.points(); e.Sample < 0 || float64(e.Sample) > n {
		return badKey("sample", "%d of %.0f settings: give at most as many as there are", e.Sample, n)
	}
	return nil
}

// points is how many settings there are before any are drawn.
func (e *Experiment) points() float64 {
	n := float64(max(1, len(e.Settings)))
	for _, values := range e.Grid {
		n *= float64(len(values))
	}
	return n
}

// settings lists the points: the listed ones in their order, and for each those of the grid, the last key
// varying fastest, keys in order of name; or those drawn, in the order in which they were.
func (e *Experiment) settings() []setting {
	if e.Sample > 0 {
		return e.drawn()
	}
	all := make([]setting, int(e.points()))
	for i := range all {
		all[i] = e.point(uint64(i))
	}
	return all
}

// point is the setting of that number, which counts through the listed settings and the grid.
func (e *Experiment) point(n uint64) setting {
	s := make(setting)
	keys := slices.Sorted(maps.Keys(e.Grid))
	for _, k := range slices.Backward(keys) {
		values := e.Grid[k]
		s[k] = values[n%uint64(len(values))]
		n /= uint64(len(values))
	}
	if len(e.Settings) > 0 {
		maps.Copy(s, e.Settings[n])
	}
	return s
}

// drawn are Sample different points, each as likely as any other.
func (e *Experiment) drawn() []setting {
	rng := rand.New(rand.NewPCG(e.seed, 0x73616d706c65)) // the stream "sample"
	seen := make(map[uint64]bool)
	var all []setting
	for len(all) < e.Sample {
		n := rng.Uint64N(uint64(e.points()))
		if !seen[n] {
			seen[n] = true
			all = append(all, e.point(n))
		}
	}
	return all
}

// gridKeys are the keys of an experiment that a setting may have, besides those of its model.
func gridKeys() []string {
	return []string{"folds", "level", "test_level", "test_share", "train_share", "validation_share"}
}

// at is the experiment and its model's configuration at one point.
func (e *Experiment) at(s setting) (*Experiment, model.Config, error) {
	x := *e
	keys := maps.Clone(e.Model)
	if keys == nil {
		keys = make(map[string]any)
	}
	for _, k := range slices.Sorted(maps.Keys(s)) {
		if name, ok := strings.CutPrefix(k, "model."); ok {
			keys[name] = s[k]
			continue
		}
		if !slices.Contains(gridKeys(), k) {
			return nil, model.Config{}, badKey(e.settingKey(k), "a grid varies keys of the model: write \"model.KEY\", or one of %s", strings.Join(gridKeys(), ", "))
		}
		if err := setKey(&x, k, s[k]); err != nil {
			return nil, model.Config{}, badKey(e.settingKey(k), "%w", err)
		}
	}
	locate := func(err error) error {
		var k *keyError
		if errors.As(err, &k) {
			if _, ok := s[k.key]; ok {
				k.key = e.settingKey(k.key)
			}
		}
		return err
	}
	if err := x.checkCut(); err != nil {
		return nil, model.Config{}, locate(err)
	}
	m, err := ModelConfig(keys)
	if _, given := keys["interleave"]; !given && x.Protocol == ProtocolPaper {
		m.Interleave = 0 // a preset's overlays have no meaning there: see check
	}
	return &x, m, locate(err)
}

// settingKey is where the file has the key of a setting.
func (e *Experiment) settingKey(key string) string {
	if _, ok := e.Grid[key]; ok {
		return "grid." + key
	}
	return "settings"
}

// setKey sets the key of a struct that is decoded from TOML.
func setKey(to any, key string, value any) error {
	var text bytes.Buffer
	if err := toml.NewEncoder(&text).Encode(map[string]any{key: value}); err != nil {
		return err
	}
	if _, err := toml.Decode(text.String(), to); err != nil {
		return fmt.Errorf("%v: %s", value, typeError.ReplaceAllString(err.Error(), "$3"))
	}
	return nil
}

// Vote is one way to label a log with a trained network, see [model.VoteOptions].
type Vote struct {
	// Rule: "sum", "majority" or "centre".
	Rule string `toml:"rule" json:"rule"`
	// Stride between windows; 0: 1.
	Stride int `toml:"stride" json:"stride,omitzero"`
	// LookAhead, where given, labels online: by windows that end at most so many events later.
	LookAhead *int `toml:"look_ahead" json:"look_ahead,omitempty"`
}

func (v Vote) check() error {
	rules := []string{model.RuleSum, model.RuleMajority, model.RuleCentre}
	stride := cmp.Or(v.Stride, 1)
	switch {
	case !slices.Contains(rules, v.Rule):
		return fmt.Errorf("rule %q is not known: use one of %s", v.Rule, strings.Join(rules, ", "))
	case v.Stride < 0:
		return fmt.Errorf("stride %d: give 1 or more", v.Stride)
	case v.LookAhead != nil && *v.LookAhead < stride-1:
		return fmt.Errorf("look_ahead %d with stride %d: give at least %d, or no window would end in time", *v.LookAhead, stride, stride-1)
	}
	return nil
}

// name is the method's in records.
func (v Vote) name() string {
	name := fmt.Sprintf("%s, %s vote, stride %d", MethodNetwork, v.Rule, cmp.Or(v.Stride, 1))
	if v.LookAhead != nil {
		name += fmt.Sprintf(", look-ahead %d", *v.LookAhead)
	}
	return name
}

// options are the vote's, over those of where it is computed.
func (v Vote) options(o model.VoteOptions) model.VoteOptions {
	o.Rule, o.Stride = v.Rule, cmp.Or(v.Stride, 1)
	if v.LookAhead != nil {
		o.Online, o.LookAhead = true, *v.LookAhead
	}
	return o
}
