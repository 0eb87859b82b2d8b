package experiments

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"k8ntext/model/device"
)

// Manifest is a plan that does not change any more: JSON lines, the first about the whole, then one for
// each trial. Whoever runs a trial of it needs no other file than the corpora.
type Manifest struct {
	path    string // where it was read from; "" if it was made here
	head    head
	trials  []Trial
	config  *Config
	corpora *corpora
}

// manifestVersion is that of the format.
const manifestVersion = 1

// head is a manifest's first line.
type head struct {
	Version  int               `json:"k8ntext_manifest"`
	Name     string            `json:"name"`
	Source   source            `json:"source"`
	Numerics int               `json:"numerics"` // see numericsVersion
	Identity int               `json:"identity"` // see identityVersion
	Devices  []string          `json:"devices"`  // as [device.Target.Device] names them: never "auto"
	Kernels  []string          `json:"kernels"`  // of each device, as [device.Target.Name] does: equal bits are promised on these
	Digest   string            `json:"digest"`   // of the config: SHA-256 of its canonical JSON
	Config   map[string]any    `json:"config"`   // whole, with defaults, without what does not change results
	Corpora  map[string]string `json:"corpora"`  // digests by the joined names that experiments use
	Trials   int               `json:"trials"`
	Sum      string            `json:"sum"` // SHA-256 of the lines that follow
}

// line is one of the others.
type line struct {
	Index int `json:"index"`
	Trial
}

// Freeze plans the config's trials for the devices, which it reads the corpora for. It fails with an [ErrCut]
// for a setting that they cannot be cut by.
func Freeze(ctx context.Context, c *Config, on []device.Target) (*Manifest, error) {
	m := &Manifest{config: c, corpora: newCorpora(), head: head{
		Version: manifestVersion, Name: c.Name, Source: c.source, Numerics: numericsVersion, Identity: identityVersion, Corpora: make(map[string]string),
	}}
	for _, d := range on {
		m.head.Devices = append(m.head.Devices, d.Device())
		m.head.Kernels = append(m.head.Kernels, d.Name())
	}
	var err error
	if m.head.Config, m.head.Digest, err = c.canonical(); err != nil {
		return nil, fmt.Errorf("plan %s: %w", c.Name, err)
	}
	m.trials, err = c.trials(func(names Corpora) (string, error) {
		d, err := m.corpora.digest(ctx, names)
		m.head.Corpora[names.String()] = d
		return d, err
	})
	if err == nil {
		err = m.checkCuts(ctx)
	}
	return m, err
}

// Name is that of the config.
func (m *Manifest) Name() string { return m.head.Name }

// Trials are the planned ones in their order.
func (m *Manifest) Trials() []Trial { return m.trials }

// Source is the config file that the manifest was planned from, as it was named then; "" if there was none.
func (m *Manifest) Source() string { return m.head.Source.File }

// encode gives the manifest's text.
func (m *Manifest) encode() ([]byte, error) {
	var lines bytes.Buffer
	for i, t := range m.trials {
		text, err := json.Marshal(line{i, t}, json.Deterministic(true))
		if err != nil {
			return nil, fmt.Errorf("encode trial %s: %w", t.ID, err)
		}
		lines.Write(text)
		lines.WriteByte('\n')
	}
	h := m.head
	sum := sha256.Sum256(lines.Bytes())
	h.Trials, h.Sum = len(m.trials), hex.EncodeToString(sum[:])
	text, err := json.Marshal(h, json.Deterministic(true))
	if err != nil {
		return nil, fmt.Errorf("encode manifest of %s: %w", h.Name, err)
	}
	return append(append(text, '\n'), lines.Bytes()...), nil
}

// Key tells the manifest from others of the same name: 8 hex digits of a hash of it.
func (m *Manifest) Key() (string, error) {
	text, err := m.encode()
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:4]), nil
}

// Write writes the manifest at path, whole or not at all.
func (m *Manifest) Write(path string) error {
	text, err := m.encode()
	if err != nil {
		return err
	}
	if err := writeDurably(path, text); err != nil {
		return fmt.Errorf("write manifest: %w", err)
	}
	return nil
}

// LoadManifest reads what [Manifest.Write] wrote. It fails if the file was cut or edited, and if this
// program would compute other numbers than the one that planned.
func LoadManifest(path string) (*Manifest, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read manifest: %w", err)
	}
	m, err := parseManifest(text)
	if err != nil {
		return nil, fmt.Errorf("read manifest %s: %w", path, err)
	}
	m.path = path
	return m, nil
}

func parseManifest(text []byte) (*Manifest, error) {
	first, rest, _ := bytes.Cut(text, []byte("\n"))
	m := &Manifest{corpora: newCorpora()}
	if err := json.Unmarshal(first, &m.head, keepNumbers()); err != nil {
		return nil, fmt.Errorf("line 1: %w: it is no manifest; experiment plan writes one", err)
	}
	sum := sha256.Sum256(rest)
	switch h := m.head; {
	case h.Version != manifestVersion:
		return nil, fmt.Errorf("line 1: version %d of the format is not known: this program writes version %d: plan again", h.Version, manifestVersion)
	case h.Sum != hex.EncodeToString(sum[:]):
		return nil, errors.New("the lines of its trials were cut or edited since it was written: plan again")
	case h.Numerics != numericsVersion || h.Identity != identityVersion:
		return nil, fmt.Errorf("it was planned by a program whose numerics have version %d.%d, and this one's have %d.%d, which gives other numbers: plan again",
			h.Numerics, h.Identity, numericsVersion, identityVersion)
	case !plainName.MatchString(h.Name):
		return nil, fmt.Errorf("line 1: %q cannot name a results folder", h.Name)
	}
	var err error
	if m.config, err = configOf(m.head.Config); err != nil {
		return nil, fmt.Errorf("line 1: its config: %w", err)
	}
	m.config.source = m.head.Source
	for n := 2; len(rest) > 0; n++ {
		var text []byte
		text, rest, _ = bytes.Cut(rest, []byte("\n"))
		var l line
		if err := json.Unmarshal(text, &l, keepNumbers()); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		if !trialID.MatchString(l.ID) {
			return nil, fmt.Errorf("line %d: %q is no trial", n, l.ID)
		}
		m.trials = append(m.trials, l.Trial)
	}
	return m, nil
}

// keepNumbers makes numbers without a point integers again, as TOML has them.
func keepNumbers() json.Options {
	return json.WithUnmarshalers(json.UnmarshalFromFunc(func(d *jsontext.Decoder, v *any) error {
		if d.PeekKind() != '0' {
			return json.SkipFunc
		}
		text, err := d.ReadValue()
		if err != nil {
			return err
		}
		if n, err := strconv.ParseInt(string(text), 10, 64); err == nil {
			*v = n
			return nil
		}
		*v, err = strconv.ParseFloat(string(text), 64)
		return err
	}))
}

// canonical is the config as checked, without what does not change results, and its digest.
func (c *Config) canonical() (tree map[string]any, digest string, err error) {
	text := new(bytes.Buffer)
	if err := toml.NewEncoder(text).Encode(c); err != nil {
		return nil, "", err
	}
	if _, err := toml.Decode(text.String(), &tree); err != nil {
		return nil, "", err
	}
	for _, k := range []string{"base", "workers", "memory_mb", "whole_paper"} {
		delete(tree, k)
	}
	canonical, err := json.Marshal(tree, json.Deterministic(true))
	if err != nil {
		return nil, "", err
	}
	sum := sha256.Sum256(canonical)
	return tree, hex.EncodeToString(sum[:]), nil
}

// configOf is the config whose canonical tree it is.
func configOf(tree map[string]any) (*Config, error) {
	text, err := encodeTree(tree)
	if err != nil {
		return nil, err
	}
	c := new(Config)
	if err := decodeStrict("config", text, c); err != nil {
		return nil, err
	}
	return c, c.check()
}

// Changed lists the keys in which the config file differs from what was planned, each with both values;
// none if the file is not there: a worker needs the manifest alone.
func (m *Manifest) Changed() ([]string, error) {
	s := m.head.Source
	if s.File == "" {
		return nil, nil
	}
	c, err := LoadConfig(filepath.FromSlash(s.File), s.Set...)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("compare manifest %s with the config it was planned from: %w", m.path, err)
	}
	if s.Corpus != "" {
		c.SetCorpus(s.Corpus)
	}
	return m.differs(c)
}

// differs lists the keys in which a config is not the manifest's.
func (m *Manifest) differs(c *Config) ([]string, error) {
	tree, digest, err := c.canonical()
	if err != nil || digest == m.head.Digest {
		return nil, err
	}
	then, now := make(map[string]string), make(map[string]string)
	flatten(then, "", m.head.Config)
	flatten(now, "", tree)
	all := maps.Clone(then)
	maps.Copy(all, now)
	var keys []string
	for _, k := range slices.Sorted(maps.Keys(all)) {
		if then[k] != now[k] {
			keys = append(keys, fmt.Sprintf("key %s: %s then, %s now", k, orNone(then[k]), orNone(now[k])))
		}
	}
	if len(keys) == 0 { // nothing but the order
		keys = []string{"the order of the experiments"}
	}
	return keys, nil
}

func orNone(text string) string {
	if text == "" {
		return "none"
	}
	return text
}

// flatten lists the values of a tree as JSON by their dotted keys, experiments by their names.
func flatten(to map[string]string, prefix string, v any) {
	switch v := v.(type) {
	case map[string]any:
		for k, x := range v {
			if prefix == "" && k == "experiment" {
				for _, e := range tables(x) {
					e = maps.Clone(e)
					name := fmt.Sprint(e["name"])
					delete(e, "name")
					to[name] = "planned"
					flatten(to, name+".", e)
				}
				continue
			}
			flatten(to, prefix+k+".", x)
		}
	default:
		text, err := json.Marshal(v, json.Deterministic(true))
		if err != nil {
			text = []byte(fmt.Sprint(v))
		}
		to[strings.TrimSuffix(prefix, ".")] = string(text)
	}
}

// CheckConfig fails if the config has changed since, and names the keys.
func (m *Manifest) CheckConfig() error {
	keys, err := m.Changed()
	if err != nil {
		return err
	}
	if len(keys) > 0 {
		return fmt.Errorf("manifest %s: %s has changed since it was planned (%s): plan again, or undo the change", m.path, m.head.Source.File, someOf(keys))
	}
	return nil
}

// someOf are the first few of a list, in words.
func someOf(items []string) string {
	const named = 5
	if n := len(items); n > named {
		items = append(slices.Clip(items[:named]), fmt.Sprintf("and %d more", n-named))
	}
	return strings.Join(items, "; ")
}

// OpenDevices opens the devices that the manifest was planned for. It fails where this machine has none
// that gives equal bits.
func (m *Manifest) OpenDevices() ([]device.Target, error) {
	var targets []device.Target
	for i, name := range m.head.Devices {
		t, err := openLike(name, m.head.Kernels[min(i, len(m.head.Kernels)-1)])
		if err != nil {
			return nil, fmt.Errorf("manifest %s was planned for other machines: %w: plan again with --kernels and --device that all of them have", m.path, err)
		}
		targets = append(targets, t)
	}
	return targets, nil
}

// openLike opens a device on which results have the bits of results from that device and kernels.
func openLike(name, kernels string) (device.Target, error) {
	of := kernels
	if name != "cpu" {
		of = ""
	}
	t, err := device.Open(name, of)
	if err != nil {
		return t, err
	}
	if t.Name() != kernels {
		return t, fmt.Errorf("%s computes with %q here, and with %q there", name, t.Name(), kernels)
	}
	return t, nil
}

// resolve gives a trial that was read what is needed to run it, and checks that it still is that trial.
func (m *Manifest) resolve(t *Trial) error {
	fail := func(err error) error { return fmt.Errorf("trial %s of experiment %q: %w", t.ID, t.Experiment, err) }
	i := slices.IndexFunc(m.config.Experiments, func(e Experiment) bool { return e.Name == t.Experiment })
	if i < 0 {
		return fail(errors.New("the manifest's config has no such experiment: plan again"))
	}
	e := &m.config.Experiments[i]
	t.digest = m.head.Corpora[e.recordings().String()]
	if t.experiment == nil {
		var err error
		if t.experiment, t.model, err = e.at(t.Setting); err != nil {
			return fail(err)
		}
	}
	id, err := t.identity(t.digest)
	switch {
	case err != nil:
		return fail(err)
	case id != t.ID:
		return fail(fmt.Errorf("to this program it is trial %s: another version of it planned: plan again", id))
	}
	return nil
}

// keep writes the manifest into the results folder and says what has changed since the one that is there.
func (m *Manifest) keep(s Store) (changed []string, err error) {
	path := s.ManifestPath()
	text, err := m.encode()
	if err != nil {
		return nil, err
	}
	old, err := os.ReadFile(path)
	if err == nil && bytes.Equal(old, text) {
		return nil, nil
	}
	if err == nil {
		if before, err := parseManifest(old); err == nil {
			if changed, err = before.differs(m.config); err != nil {
				return nil, err
			}
		}
	}
	return changed, m.Write(path)
}

// ManifestPath is where the plan of a results folder lies.
func (s Store) ManifestPath() string { return filepath.Join(s.Dir, "manifest.jsonl") }

// Plan gives the manifest that lies in the results folder if it was planned from this very config, and
// plans anew, without a file, if not.
func Plan(ctx context.Context, c *Config, s Store, on func() ([]device.Target, error)) (*Manifest, error) {
	if m, err := LoadManifest(s.ManifestPath()); err == nil {
		if changed, err := m.differs(c); err == nil && len(changed) == 0 {
			return m, nil
		}
	}
	targets, err := on()
	if err != nil {
		return nil, err
	}
	return Freeze(ctx, c, targets)
}
