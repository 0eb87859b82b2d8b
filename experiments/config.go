// Package experiments runs what a TOML file describes: it plans trials, trains and scores each one,
// keeps one record file per trial, and builds the report from those files.
package experiments

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"

	"k8ntext/model"
	"k8ntext/suggest"
)

// Config is one file of configs/: a named set of experiments whose results share a folder.
type Config struct {
	// Name of the set; its results lie in results/<name>.
	Name string `toml:"name"`
	// Corpus that every experiment uses unless it names its own: an embedded corpus or a path.
	Corpus string `toml:"corpus"`
	// Seed from which the seed of every repetition is derived.
	Seed uint64 `toml:"seed"`
	// Workers is how many trials run side by side, one thread each; 0: one for each core.
	Workers int `toml:"workers"`
	// Experiments in the order in which they run.
	Experiments []Experiment `toml:"experiment"`
}

// Experiment is one question: one model setting, or a grid of them, under one protocol.
type Experiment struct {
	// Name, unique in the file; the report finds its records by it.
	Name string `toml:"name"`
	// Corpus in place of the file's.
	Corpus string `toml:"corpus"`
	// Protocol: "paper" (shuffled overlapping windows, for comparison only) or "blocked" (contiguous folds).
	Protocol string `toml:"protocol"`
	// Folds of the blocked protocol; 0: 5.
	Folds int `toml:"folds"`
	// TestShare and ValidationShare of the paper protocol; 0: a tenth each.
	TestShare       float64 `toml:"test_share"`
	ValidationShare float64 `toml:"validation_share"`
	// Repetitions with different seeds; 0: 1.
	Repetitions int `toml:"repetitions"`
	// Methods that are scored: "network" and the baselines; none: the network alone.
	Methods []string `toml:"methods"`
	// Model: key "preset" ("default" or "paper") and any key of the model's configuration.
	Model map[string]any `toml:"model"`
	// Grid maps "model.KEY" to the values that KEY takes; every combination is a setting.
	Grid map[string][]any `toml:"grid"`
}

// LoadConfig reads the TOML file at path and checks it whole: an unknown key, a wrong type or a
// setting that no trial could run is an error that names the file, the line where one is known, and the key.
func LoadConfig(path string) (*Config, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read experiment config: %w", err)
	}
	c, err := ParseConfig(path, text)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// ParseConfig is [LoadConfig] for text that was read from the file called name.
func ParseConfig(name string, text []byte) (*Config, error) {
	c := new(Config)
	if err := decodeStrict(name, text, c); err != nil {
		return nil, err
	}
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return c, nil
}

// plainName is safe as the name of a folder and in a command line.
var plainName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]*$`)

func (c *Config) check() error {
	if !plainName.MatchString(c.Name) {
		return fmt.Errorf("key name: %q cannot name a results folder: use letters, digits and hyphens", c.Name)
	}
	if len(c.Experiments) == 0 {
		return errors.New("no [[experiment]]: add at least one")
	}
	if c.Workers < 0 {
		return fmt.Errorf("key workers: %d is negative: use 0 for one worker for each core", c.Workers)
	}
	seen := make(map[string]bool)
	for i := range c.Experiments {
		e := &c.Experiments[i]
		if !plainName.MatchString(e.Name) || seen[e.Name] {
			return fmt.Errorf("key experiment.name: %q of experiment %d is used twice or has other than letters, digits and hyphens", e.Name, i+1)
		}
		seen[e.Name] = true
		if e.Corpus == "" {
			e.Corpus = c.Corpus
		}
		if err := e.check(); err != nil {
			return fmt.Errorf("experiment %q: %w", e.Name, err)
		}
	}
	return nil
}

func (e *Experiment) check() error {
	if e.Corpus == "" {
		return errors.New("key corpus: none given, here or at the top of the file")
	}
	switch e.Protocol {
	case ProtocolPaper, ProtocolBlocked:
	default:
		return fmt.Errorf("key protocol: %q is not known: use %q or %q", e.Protocol, ProtocolPaper, ProtocolBlocked)
	}
	if e.Folds == 0 {
		e.Folds = 5
	}
	if e.Folds < 2 {
		return fmt.Errorf("key folds: %d: at least 2 are needed", e.Folds)
	}
	if e.Repetitions == 0 {
		e.Repetitions = 1
	}
	if e.Repetitions < 0 {
		return fmt.Errorf("key repetitions: %d is negative", e.Repetitions)
	}
	for key, share := range map[string]*float64{"test_share": &e.TestShare, "validation_share": &e.ValidationShare} {
		if *share == 0 {
			*share = 0.1
		}
		if *share < 0 || *share >= 1 {
			return fmt.Errorf("key %s: %g is not a share between 0 and 1", key, *share)
		}
	}
	if len(e.Methods) == 0 {
		e.Methods = []string{MethodNetwork}
	}
	for _, m := range e.Methods {
		if !slices.Contains(Methods(), m) {
			return fmt.Errorf("key methods: %q is not known: use some of %s", m, strings.Join(Methods(), ", "))
		}
	}
	for _, s := range e.settings() {
		if _, err := e.modelConfig(s); err != nil {
			return err
		}
	}
	return nil
}

// setting is one point of an experiment's grid: key to value.
type setting map[string]any

// settings lists the points of the grid, the last key varying fastest, keys in order of name.
func (e *Experiment) settings() []setting {
	keys := make([]string, 0, len(e.Grid))
	for k := range e.Grid {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	all := []setting{{}}
	for _, k := range keys {
		var next []setting
		for _, s := range all {
			for _, v := range e.Grid[k] {
				t := setting{k: v}
				for k0, v0 := range s {
					t[k0] = v0
				}
				next = append(next, t)
			}
		}
		all = next
	}
	return all
}

// modelConfig is the model's configuration at one point of the grid.
func (e *Experiment) modelConfig(s setting) (model.Config, error) {
	keys := make(map[string]any, len(e.Model)+len(s))
	for k, v := range e.Model {
		keys[k] = v
	}
	for k, v := range s {
		name, ok := strings.CutPrefix(k, "model.")
		if !ok {
			return model.Config{}, fmt.Errorf("key grid.%q: a grid varies keys of the model: write \"model.KEY\"", k)
		}
		keys[name] = v
	}
	return ModelConfig(keys)
}

// ModelConfig is the model preset named by keys["preset"] (default: "default") with every other key
// of the map set over it. An unknown key is an error that names the nearest known one.
func ModelConfig(keys map[string]any) (model.Config, error) {
	name, rest := "default", make(map[string]any, len(keys))
	for k, v := range keys {
		if k != "preset" {
			rest[k] = v
			continue
		}
		s, ok := v.(string)
		if !ok {
			return model.Config{}, fmt.Errorf("key model.preset: %v is not a string", v)
		}
		name = s
	}
	c, err := model.Preset(name)
	if err != nil {
		return model.Config{}, fmt.Errorf("key model.preset: %w", err)
	}
	var text bytes.Buffer
	if err := toml.NewEncoder(&text).Encode(rest); err != nil {
		return model.Config{}, fmt.Errorf("keys of model: %w", err)
	}
	if err := decodeStrict("model", text.Bytes(), &c); err != nil {
		return model.Config{}, err
	}
	if err := c.Validate(); err != nil {
		return model.Config{}, err
	}
	return c, nil
}

// decodeStrict decodes TOML into v and refuses keys that v does not have.
func decodeStrict(name string, text []byte, v any) error {
	meta, err := toml.NewDecoder(bytes.NewReader(text)).Decode(v)
	var syntax toml.ParseError
	switch {
	case errors.As(err, &syntax):
		return fmt.Errorf("%s:%d: %s (key %q)", name, syntax.Position.Line, syntax.Message, syntax.LastKey)
	case err != nil:
		return fmt.Errorf("%s: %w", name, err)
	}
	unknown := meta.Undecoded()
	if len(unknown) == 0 {
		return nil
	}
	key, at := unknown[0], name // one at a time: the next shows when this one is mended
	if line := lineOf(string(text), key); line > 0 {
		at = fmt.Sprintf("%s:%d", name, line)
	}
	return fmt.Errorf("%s: unknown key %q: did you mean %q?", at, key.String(), suggest.Nearest(key.String(), knownKeys(reflect.TypeOf(v), "")))
}

// knownKeys lists the dotted TOML keys of a struct type.
func knownKeys(t reflect.Type, prefix string) []string {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return nil
	}
	var keys []string
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("toml"), ",")
		if name == "" || name == "-" {
			continue
		}
		keys = append(keys, prefix+name)
		keys = append(keys, knownKeys(t.Field(i).Type, prefix+name+".")...)
	}
	return keys
}

// lineOf finds the line on which a key is set: the decoder keeps positions of syntax errors only.
func lineOf(text string, key toml.Key) int {
	table := ""
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			table = strings.Trim(strings.SplitN(line, "#", 2)[0], "[] ")
			if table == key.String() {
				return i + 1
			}
			continue
		}
		name, _, ok := strings.Cut(line, "=")
		if !ok {
			continue
		}
		name = strings.Trim(strings.TrimSpace(name), `"'`)
		if table != "" {
			name = table + "." + name
		}
		if name == strings.Join(key, ".") {
			return i + 1
		}
	}
	return 0
}

// SetCorpus makes every experiment use the corpus called name.
func (c *Config) SetCorpus(name string) {
	c.Corpus = name
	for i := range c.Experiments {
		c.Experiments[i].Corpus = name
	}
}
