// Package experiments runs what a TOML file describes: it plans trials, trains and scores each one,
// keeps one record file per trial, and builds the report from those files.
package experiments

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"

	"k8ntext/dataset"
	"k8ntext/model"
	"k8ntext/model/device"
	"k8ntext/suggest"
)

// Config is one file of configs/: a named set of experiments whose results share a folder.
type Config struct {
	// Name of the set; its results lie in results/<name>.
	Name string `toml:"name"`
	// Base is another file, relative to this one, whose keys hold where this file does not give them, or a
	// list of files, of which a later one goes before. Experiments of one name are put together key by key;
	// the name is not inherited.
	Base Files `toml:"base,omitempty"`
	// Corpus that every experiment uses unless it names its own: an embedded corpus or a path, or a list
	// of them.
	Corpus Corpora `toml:"corpus"`
	// Seed from which the seed of every repetition is derived.
	Seed uint64 `toml:"seed"`
	// Workers is how many trials run side by side on the processor, one thread each; 0: one for each core.
	Workers int `toml:"workers"`
	// MemoryMB bounds the memory that trials on the processor may need together by their estimates, in
	// MiB; a trial that needs more runs alone. 0: what the system has free when the run starts.
	MemoryMB int `toml:"memory_mb"`
	// Device is where networks are trained and used: "cpu", "openblas", "opencl", "opencl:N" or "auto",
	// the first GPU, else the processor (docs/devices.md); "" is "cpu".
	Device string `toml:"device"`
	// Devices in place of Device: several, each of which runs one trial at a time, the processor Workers.
	Devices []string `toml:"devices"`
	// Final marks the evaluation of recordings that no choice may be made on, those whose name ends in
	// -final: each use is logged in uses.jsonl of the results folder, and the same one is made once.
	Final bool `toml:"final"`
	// WholePaper makes a report of the whole paper: with what needs no results, and a word for every table and
	// figure of it that is missing. Without, it has what its experiments are meant to give.
	WholePaper bool `toml:"whole_paper"`
	// Experiments in the order of plan and report. They are run in turns, see breadthFirst.
	Experiments []Experiment `toml:"experiment"`

	source source
	locate func(error) error // see [Config.located]; nil: not read from a file
}

// source is where a config was read from: what reads it again.
type source struct {
	File   string   `json:"file,omitempty"`   // as it was given
	Set    []string `json:"set,omitempty"`    // overrides KEY=VALUE
	Corpus string   `json:"corpus,omitempty"` // see [Config.SetCorpus]
}

// Experiment is one question: one model setting, or a grid of them, under one protocol.
type Experiment struct {
	// Name, unique in the file; the report finds its records by it.
	Name string `toml:"name"`
	// Corpus in place of the file's. Several are trained on together.
	Corpus Corpora `toml:"corpus"`
	// Test lists the corpora that are tested, each by itself, under the protocol cross.
	Test Corpora `toml:"test"`
	// Protocol: "paper" (shuffled overlapping windows, for comparison only), "blocked" (contiguous folds),
	// "unseen" (the same folds, with actions that training never shows), "cross" (train on some
	// recordings, test on others) or "query" (nothing is trained: the time of the paper's queries over the
	// contexts of the corpus).
	Protocol string `toml:"protocol"`
	// LeaveOut says what each fold of the protocol unseen leaves out of training: random groups of "action"
	// or of "scenario" (dataset.SplitUnseen); "": action. There are as many groups as folds.
	LeaveOut string `toml:"leave_out"`
	// Abstain lists thresholds of the network's confidence, 0 to 1: at each is scored how much is answered,
	// and how much of that is right; none: it is not.
	Abstain []float64 `toml:"abstain"`
	// Folds of the protocols blocked and unseen; 0: 5.
	Folds int `toml:"folds"`
	// TestShare and ValidationShare of the paper protocol; 0: a tenth each.
	TestShare       float64 `toml:"test_share"`
	ValidationShare float64 `toml:"validation_share"`
	// TrainShare is how much of the training part is trained on, the beginning of each of its pieces; 0: all.
	TrainShare float64 `toml:"train_share"`
	// Level blanks what a log of that audit level would not have, "Request" or "Metadata"; "": as recorded.
	Level string `toml:"level"`
	// TestLevel does so for the tested events alone.
	TestLevel string `toml:"test_level"`
	// Repetitions with different seeds; 0: 1.
	Repetitions int `toml:"repetitions"`
	// Methods that are scored: "network" and the baselines; none: the network alone.
	Methods []string `toml:"methods"`
	// Explain imitates each trained network by decision trees on its test events, see package explain. It
	// goes with one setting: no grid.
	Explain bool `toml:"explain"`
	// Votes are ways to label with one trained network, each scored; none: every window's vote, summed up.
	Votes []Vote `toml:"votes"`
	// Model: key "preset" ("default" or "paper") and any key of the model's configuration.
	Model map[string]any `toml:"model"`
	// Grid maps a key to the values that it takes; every combination is a setting. A key is "model.KEY", or
	// one of folds, test_share, validation_share, train_share, level and test_level.
	Grid map[string][]any `toml:"grid"`
	// Settings lists settings one by one, tables of keys as Grid has them; with a Grid each takes all of it.
	Settings []setting `toml:"settings"`
	// Sample is how many of the settings are drawn at random, by Seed of the file: random search; 0: all. A
	// larger sample holds the smaller ones.
	Sample int `toml:"sample"`

	seed  uint64 // of the file
	final bool   // the file says so
}

// Corpora are the names or paths of corpora: in TOML one string or a list.
type Corpora []string

// UnmarshalTOML takes a string or a list of strings.
func (c *Corpora) UnmarshalTOML(v any) error {
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	*c = nil
	for _, x := range list {
		name, ok := x.(string)
		if !ok {
			return fmt.Errorf("%v is no name of a corpus: write a string or a list of strings", x)
		}
		*c = append(*c, name)
	}
	return nil
}

// Files are paths: in TOML one string or a list.
type Files []string

// UnmarshalTOML takes a string or a list of strings.
func (f *Files) UnmarshalTOML(v any) error {
	var c Corpora
	if err := c.UnmarshalTOML(v); err != nil {
		return fmt.Errorf("%v is no path of a file: write a string or a list of strings", v)
	}
	*f = Files(c)
	return nil
}

// String joins the names as [dataset.Join] does.
func (c Corpora) String() string { return strings.Join(c, "+") }

// LoadConfig reads the TOML file at path, with the files that it is based on, lays the overrides
// KEY=VALUE over it in their order, and checks the whole: an unknown key, a wrong type or a setting that
// no trial could run is an error that names the file and the line, or the override, and the key.
//
// KEY is a key of the file ("seed"); "model.KEY" or "experiment.KEY", which stand for that key of every
// experiment; or "NAME.KEY" of the experiment of that name ("window-size.grid.model.window"). VALUE is
// TOML, and a bare word is a string.
func LoadConfig(path string, set ...string) (*Config, error) {
	layers, err := readLayers(path)
	if err != nil {
		return nil, err
	}
	var tree map[string]any
	for _, l := range layers {
		tree = lay(tree, l.tree)
	}
	for _, s := range set {
		l, err := setLayer(s, tree)
		if err != nil {
			return nil, err
		}
		layers = append(layers, l)
		tree = lay(tree, l.tree)
	}
	c, err := build(layers)
	if err != nil {
		return nil, err
	}
	c.source = source{File: filepath.ToSlash(path), Set: set}
	return c, nil
}

// ParseConfig is [LoadConfig] for text that was read from the file called name. It has no base.
func ParseConfig(name string, text []byte) (*Config, error) {
	l, base, err := parseLayer(name, text)
	if err != nil {
		return nil, err
	}
	if len(base) > 0 {
		return nil, fmt.Errorf("%s:%d: key base: only a file can have one", name, lineOf(l.text, 0, "base"))
	}
	return build([]layer{l})
}

// keyError is what is wrong with the value of one key.
type keyError struct {
	key        string // as in the file, with its tables, without experiment
	experiment int    // the number of its [[experiment]], from 1; 0: at the top of the file
	err        error
}

func badKey(key, format string, args ...any) *keyError {
	return &keyError{key: key, err: fmt.Errorf(format, args...)}
}

func (e *keyError) Error() string { return fmt.Sprintf("key %s: %v", e.key, e.err) }
func (e *keyError) Unwrap() error { return e.err }

// maxTrials of one experiment. A year of minutes has five times as many.
const maxTrials = 100_000

// plainName is safe as the name of a folder and in a command line.
var plainName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]*$`)

func (c *Config) check() error {
	if !plainName.MatchString(c.Name) {
		return badKey("name", "%q cannot name a results folder: use letters, digits and hyphens", c.Name)
	}
	if len(c.Experiments) == 0 {
		return errors.New("no [[experiment]]: add at least one")
	}
	if c.Workers < 0 {
		return badKey("workers", "%d is negative: use 0 for one worker for each core", c.Workers)
	}
	if c.MemoryMB < 0 {
		return badKey("memory_mb", "%d is negative: use 0 for what the system has free", c.MemoryMB)
	}
	if c.Device != "" && len(c.Devices) > 0 {
		return badKey("devices", "device = %q is given too: put all of them into devices", c.Device)
	}
	for key, names := range map[string][]string{"device": {c.Device}, "devices": c.Devices} {
		for _, name := range names {
			if err := device.CheckName(name); err != nil {
				return badKey(key, "%w", err)
			}
		}
	}
	seen := make(map[string]bool)
	for i := range c.Experiments {
		e := &c.Experiments[i]
		e.seed, e.final = c.Seed, c.Final
		if !plainName.MatchString(e.Name) || seen[e.Name] {
			return &keyError{"name", i + 1, fmt.Errorf("%q of experiment %d is used twice or has other than letters, digits and hyphens", e.Name, i+1)}
		}
		seen[e.Name] = true
		if len(e.Corpus) == 0 {
			e.Corpus = c.Corpus
		}
		if err := e.check(); err != nil {
			var k *keyError
			if errors.As(err, &k) {
				k.experiment = i + 1
			}
			return fmt.Errorf("experiment %q: %w", e.Name, err)
		}
	}
	return nil
}

func (e *Experiment) check() error {
	if len(e.Corpus) == 0 {
		return badKey("corpus", "none given, here or at the top of the file")
	}
	for key, names := range map[string]Corpora{"corpus": e.Corpus, "test": e.Test} {
		if slices.Contains(names, "") {
			return badKey(key, "an empty name: give the name of a corpus or a path")
		}
	}
	for i, name := range e.recordings() {
		if slices.Contains(e.recordings()[:i], name) {
			return badKey("corpus", "%q is named twice, here or under test", name)
		}
	}
	switch e.Protocol {
	case ProtocolPaper, ProtocolBlocked, ProtocolUnseen, ProtocolQuery:
		if len(e.Test) > 0 {
			return badKey("test", "has a meaning under protocol %q only: leave it out", ProtocolCross)
		}
	case ProtocolCross:
		if len(e.Test) == 0 {
			return badKey("protocol", "%q needs corpora to test: give their names as test", ProtocolCross)
		}
	default:
		return badKey("protocol", "%q is not known: use %q, %q, %q, %q or %q", e.Protocol, ProtocolPaper, ProtocolBlocked, ProtocolUnseen, ProtocolCross, ProtocolQuery)
	}
	if e.Protocol == ProtocolQuery {
		if err := e.checkQuery(); err != nil {
			return err
		}
	}
	if err := e.checkFinal(); err != nil {
		return err
	}
	if err := e.checkUnseen(); err != nil {
		return err
	}
	if e.Repetitions == 0 {
		e.Repetitions = 1
	}
	if e.Repetitions < 0 {
		return badKey("repetitions", "%d is negative", e.Repetitions)
	}
	if err := e.checkCut(); err != nil {
		return err
	}
	if len(e.Methods) == 0 && e.Protocol != ProtocolQuery {
		e.Methods = []string{MethodNetwork}
	}
	for _, m := range e.Methods {
		if !slices.Contains(Methods(), m) {
			return badKey("methods", "%q is not known: use some of %s", m, strings.Join(Methods(), ", "))
		}
	}
	if e.Explain && (e.Protocol == ProtocolPaper || !slices.Contains(e.Methods, MethodNetwork)) {
		return badKey("explain", "needs a network that did not see its test events: use another protocol than %q and the method %q", ProtocolPaper, MethodNetwork)
	}
	if e.Explain && (len(e.Grid) > 0 || len(e.Settings) > 0) {
		return badKey("explain", "explains one setting of the network: leave grid and settings out, or write an experiment for each setting")
	}
	for _, v := range e.Votes {
		if err := v.check(); err != nil {
			return badKey("votes", "%w", err)
		}
	}
	if len(e.Votes) > 0 && e.Protocol == ProtocolPaper {
		return badKey("votes", "protocol %q scores the positions of windows, without a vote: use another protocol", e.Protocol)
	}
	if err := e.checkSettings(); err != nil {
		return err
	}
	points := e.points()
	if e.Sample > 0 {
		points = float64(e.Sample)
	}
	trials := float64(e.Repetitions) * points
	if trials*float64(e.folds()) > maxTrials {
		return fmt.Errorf("grid, folds and repetitions make %.0f trials: at most %d can be planned", trials*float64(e.folds()), maxTrials)
	}
	trials = 0
	for _, s := range e.settings() {
		x, m, err := e.at(s)
		if err != nil {
			return err
		}
		if m.Interleave > 1 && e.Protocol == ProtocolPaper && slices.Contains(e.Methods, MethodNetwork) {
			return badKey("model.interleave", "%d: under protocol %q training shares its events with the test part, so they cannot be overlaid: use another protocol", m.Interleave, e.Protocol)
		}
		for _, v := range x.Votes {
			if v.Stride > m.Window {
				return badKey("votes", "stride %d with windows of %d events would skip events: use a smaller one", v.Stride, m.Window)
			}
		}
		trials += float64(e.Repetitions) * float64(x.folds())
	}
	if trials > maxTrials {
		return fmt.Errorf("grid, folds and repetitions make %.0f trials: at most %d can be planned", trials, maxTrials)
	}
	return nil
}

// checkCut sets and checks how the corpus is cut: what a grid may vary besides the model.
func (e *Experiment) checkCut() error {
	if e.Folds == 0 {
		e.Folds = 5
	}
	if e.Folds < 2 {
		return badKey("folds", "%d: at least 2 are needed", e.Folds)
	}
	for _, share := range []struct {
		key   string
		value *float64
		none  float64
		most  bool // 1 is allowed
	}{
		{"test_share", &e.TestShare, 0.1, false},
		{"validation_share", &e.ValidationShare, 0.1, false},
		{"train_share", &e.TrainShare, 1, true},
	} {
		if *share.value == 0 {
			*share.value = share.none
		}
		if !(*share.value > 0 && *share.value < 1 || share.most && *share.value == 1) { // also refuses NaN, which TOML has
			return badKey(share.key, "%g is not a share between 0 and 1", *share.value)
		}
	}
	for _, level := range []struct{ key, value string }{{"level", e.Level}, {"test_level", e.TestLevel}} {
		if level.value != "" && !slices.Contains(dataset.Levels(), level.value) {
			return badKey(level.key, "%q is not known: use one of %s", level.value, strings.Join(dataset.Levels(), ", "))
		}
	}
	if e.TestLevel != "" && e.Protocol == ProtocolPaper {
		return badKey("test_level", "under protocol %q training shares its events with the test part: use level, or another protocol", e.Protocol)
	}
	return nil
}

// checkUnseen checks what is asked about work that training never shows.
func (e *Experiment) checkUnseen() error {
	switch {
	case e.LeaveOut != "" && e.Protocol != ProtocolUnseen:
		return badKey("leave_out", "has a meaning under protocol %q only: leave it out", ProtocolUnseen)
	case e.Protocol != ProtocolUnseen:
	case e.LeaveOut == "":
		e.LeaveOut = dataset.LeaveAction
	case e.LeaveOut != dataset.LeaveAction && e.LeaveOut != dataset.LeaveScenario:
		return badKey("leave_out", "%q is not known: use %q or %q", e.LeaveOut, dataset.LeaveAction, dataset.LeaveScenario)
	}
	if len(e.Abstain) > 0 && e.Protocol == ProtocolPaper {
		return badKey("abstain", "protocol %q scores the positions of windows, without a vote: use another protocol", e.Protocol)
	}
	for i, t := range e.Abstain {
		if !(t >= 0 && t <= 1) || i > 0 && t <= e.Abstain[i-1] {
			return badKey("abstain", "%g: give thresholds from 0 to 1, each above the one before", t)
		}
	}
	return nil
}

// recordings are all corpora of the experiment, those for training first.
func (e *Experiment) recordings() Corpora { return append(slices.Clone(e.Corpus), e.Test...) }

// ModelConfig is the model preset named by keys["preset"] (default: "default") with every other key
// of the map set over it. An unknown key is an error that names the nearest known one.
func ModelConfig(keys map[string]any) (model.Config, error) {
	name := "default"
	if v, ok := keys["preset"]; ok {
		if name, ok = v.(string); !ok {
			return model.Config{}, badKey("model.preset", "%v is not a string", v)
		}
	}
	c, err := model.Preset(name)
	if err != nil {
		return model.Config{}, badKey("model.preset", "%w", err)
	}
	known := append(knownKeys(reflect.TypeOf(c), ""), "preset")
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		if key == "preset" {
			continue
		}
		if !slices.Contains(known, key) {
			return model.Config{}, badKey("model."+key, "%q is not known: did you mean %q?", key, suggest.Nearest(key, known))
		}
		if err := setKey(&c, key, keys[key]); err != nil {
			return model.Config{}, badKey("model."+key, "%w", err)
		}
	}
	if err := c.Validate(); err != nil {
		return model.Config{}, err
	}
	return c, nil
}

// typeError is how the decoder says that a value is of the wrong type: line, key, message.
var typeError = regexp.MustCompile(`(?s)^toml: line (\d+) \(last key "(.*)"\): (.*)$`)

// decodeStrict decodes TOML into v and refuses keys that v does not have.
func decodeStrict(name string, text []byte, v any) error {
	meta, err := toml.NewDecoder(bytes.NewReader(text)).Decode(v)
	var syntax toml.ParseError
	switch {
	case errors.As(err, &syntax):
		return fmt.Errorf("%s:%d: %s (key %q)", name, syntax.Position.Line, syntax.Message, syntax.LastKey)
	case err != nil:
		if m := typeError.FindStringSubmatch(err.Error()); m != nil {
			return fmt.Errorf("%s:%s: key %s: %s", name, m[1], m[2], m[3])
		}
		return fmt.Errorf("%s: %w", name, err)
	}
	unknown := meta.Undecoded()
	if len(unknown) == 0 {
		return nil
	}
	key, at := unknown[0], name // one at a time: the next shows when this one is mended
	if line := lineOf(string(text), 0, key.String()); line > 0 {
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

// lineOf finds the line on which a key is set; 0 if it is not found. The decoder keeps positions of
// syntax errors only. In the experiment of that number, from 1, the key is without its table's name;
// with 0 it is looked for from the top.
func lineOf(text string, experiment int, key string) int {
	table, number := "", 0
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			table = strings.Trim(strings.SplitN(line, "#", 2)[0], "[] ")
			if strings.HasPrefix(line, "[[experiment]]") {
				number++
			}
			if experiment > 0 {
				table = strings.TrimPrefix(strings.TrimPrefix(table, "experiment"), ".")
			}
			if table == key && number >= experiment {
				return i + 1
			}
			continue
		}
		name, _, ok := strings.Cut(line, "=")
		if !ok || experiment > 0 && number != experiment {
			continue
		}
		name = strings.Trim(strings.TrimSpace(name), `"'`)
		if table != "" {
			name = table + "." + name
		}
		if name == key {
			return i + 1
		}
	}
	return 0
}

// SetCorpus makes every experiment use the corpus called name, for training under the protocol cross. A config of
// the whole paper loses those of protocol unseen, which leave out actions by their contexts: logs in the
// reference's format have none, and the rest is not to fail for that.
func (c *Config) SetCorpus(name string) {
	c.source.Corpus = name
	c.Corpus = Corpora{name}
	if c.WholePaper {
		c.Experiments = slices.DeleteFunc(c.Experiments, func(e Experiment) bool { return e.Protocol == ProtocolUnseen })
	}
	for i := range c.Experiments {
		c.Experiments[i].Corpus = Corpora{name}
	}
}
