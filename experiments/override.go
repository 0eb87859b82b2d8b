package experiments

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"

	"k8ntext/suggest"
)

// layer is one source of a config: a file, or one override.
type layer struct {
	name string // of the file, or "--set KEY=VALUE"
	text string // of the file; "" for an override
	tree map[string]any
}

// maxBases is how long a chain of base files may be, and maxLayers how many files there may be in all.
const maxBases, maxLayers = 8, 100

// readLayers reads a config file and the files that it is based on, the lowest first.
func readLayers(path string) ([]layer, error) { return appendLayers(nil, path, 0) }

// appendLayers is readLayers of a file that lies on top of depth others.
func appendLayers(layers []layer, path string, depth int) ([]layer, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read experiment config: %w", err)
	}
	l, bases, err := parseLayer(path, text)
	if err != nil {
		return nil, err
	}
	if len(bases) > 0 && (depth >= maxBases || len(layers) >= maxLayers) {
		return nil, fmt.Errorf("%s:%d: key base: more than %d files on top of each other: does one of them name itself?", path, lineOf(l.text, 0, "base"), maxBases)
	}
	for _, base := range bases {
		if layers, err = appendLayers(layers, filepath.Join(filepath.Dir(path), filepath.FromSlash(base)), depth+1); err != nil {
			return nil, err
		}
	}
	return append(layers, l), nil
}

// parseLayer decodes one file by itself, so that what is wrong with a key is said with its line.
func parseLayer(name string, text []byte) (l layer, bases Files, err error) {
	var c Config
	if err := decodeStrict(name, text, &c); err != nil {
		return layer{}, nil, err
	}
	l = layer{name: name, text: string(text)}
	if _, err := toml.Decode(l.text, &l.tree); err != nil {
		return layer{}, nil, fmt.Errorf("%s: %w", name, err)
	}
	delete(l.tree, "base")
	return l, c.Base, nil
}

// setLayer makes a layer of an override KEY=VALUE. KEY is a key of the file, "model.KEY" or
// "experiment.KEY" of every experiment below, or "NAME.KEY" of the one of that name. VALUE is TOML; a
// bare word is a string.
func setLayer(set string, below map[string]any) (layer, error) {
	l := layer{name: "--set " + set}
	key, value, ok := strings.Cut(set, "=")
	if !ok {
		return l, fmt.Errorf("%s: write KEY=VALUE", l.name)
	}
	key = strings.TrimSpace(key)
	var parsed map[string]any
	if _, err := toml.Decode("v = "+value, &parsed); err != nil || len(parsed) != 1 {
		parsed = map[string]any{"v": value}
	}
	first, rest, _ := strings.Cut(key, ".")
	names := experimentNames(below)
	top := knownKeys(reflect.TypeFor[Config](), "")
	switch {
	case rest == "name":
		return l, fmt.Errorf("%s: results are found by the names of experiments: change it in a file", l.name)
	case slices.Contains(names, first) && rest != "" && first != "experiment" && first != "model":
		l.tree = map[string]any{"experiment": []any{withName(first, nested(rest, parsed["v"]))}}
	case first == "model" || first == "experiment" && rest != "":
		if first == "model" {
			rest = key
		}
		var all []any
		for _, e := range tables(below["experiment"]) {
			name, named := e["name"].(string)
			if !named || e["protocol"] == ProtocolQuery && strings.HasPrefix(rest, "model.") { // nothing is trained there
				continue
			}
			all = append(all, withName(name, nested(rest, parsed["v"])))
		}
		l.tree = map[string]any{"experiment": all}
	case slices.Contains(top, first) && first != "base":
		l.tree = nested(key, parsed["v"])
	default:
		known := slices.DeleteFunc(top, func(k string) bool { return k == "base" })
		for _, name := range names {
			known = append(known, knownKeys(reflect.TypeFor[Experiment](), name+".")...)
		}
		return l, fmt.Errorf("%s: unknown key %q: did you mean %q?", l.name, key, suggest.Nearest(key, known))
	}
	text, err := encodeTree(l.tree)
	if err != nil {
		return l, fmt.Errorf("%s: %w", l.name, err)
	}
	if err := decodeStrict("set", text, new(Config)); err != nil {
		_, message, _ := strings.Cut(err.Error(), ": ") // without the line, which nobody wrote
		return l, fmt.Errorf("%s: %s", l.name, message)
	}
	return l, nil
}

// nested is a tree with one value. A key of a table of free keys, as a grid's "model.window", is not cut.
func nested(key string, v any) map[string]any {
	first, rest, more := strings.Cut(key, ".")
	switch {
	case !more:
		return map[string]any{first: v}
	case first == "grid" || first == "model":
		return map[string]any{first: map[string]any{rest: v}}
	}
	return map[string]any{first: nested(rest, v)}
}

func withName(name string, tree map[string]any) map[string]any {
	tree["name"] = name
	return tree
}

// tables are the elements of an array of tables, however the decoder gave it.
func tables(v any) []map[string]any {
	switch list := v.(type) {
	case []map[string]any:
		return list
	case []any:
		var all []map[string]any
		for _, x := range list {
			if t, ok := x.(map[string]any); ok {
				all = append(all, t)
			}
		}
		return all
	}
	return nil
}

// experimentNames lists the experiments of a tree.
func experimentNames(tree map[string]any) []string {
	var names []string
	for _, e := range tables(tree["experiment"]) {
		if name, ok := e["name"].(string); ok {
			names = append(names, name)
		}
	}
	return names
}

// lay puts one tree over another: tables are put together key by key, experiments of one name too, and
// every other value is replaced.
func lay(below, above map[string]any) map[string]any {
	all := maps.Clone(below)
	if all == nil {
		all = make(map[string]any)
	}
	for k, v := range above {
		under, isTable := all[k].(map[string]any)
		over, overTable := v.(map[string]any)
		switch {
		case k == "experiment" && tables(v) != nil:
			all[k] = layExperiments(tables(all[k]), tables(v))
		case isTable && overTable:
			all[k] = lay(under, over)
		default:
			all[k] = v
		}
	}
	return all
}

func layExperiments(below, above []map[string]any) []map[string]any {
	all := slices.Clone(below)
	for _, e := range above {
		i := slices.IndexFunc(below, func(b map[string]any) bool { return b["name"] == e["name"] })
		if i < 0 {
			all = append(all, e)
			continue
		}
		all[i] = lay(all[i], e)
	}
	return all
}

// build lays the layers over each other and checks the whole.
func build(layers []layer) (*Config, error) {
	top := ""
	var tree map[string]any
	for _, l := range layers {
		if l.text != "" {
			top = l.name
			delete(tree, "name") // results of two files do not share a folder by accident
		}
		tree = lay(tree, l.tree)
	}
	if _, ok := tree["name"]; !ok {
		return nil, fmt.Errorf("%s: key name: none is given, and a base does not give its own: the results folder is called by it", top)
	}
	text, err := encodeTree(tree)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", top, err)
	}
	c := new(Config)
	if err := decodeStrict(top, text, c); err != nil {
		return nil, err
	}
	c.locate = func(err error) error { return locate(layers, top, c, err) }
	if err := c.check(); err != nil {
		return nil, c.locate(err)
	}
	return c, nil
}

// locate adds to an error about a config where its key is: in the last of the layers that gives it.
func locate(layers []layer, top string, c *Config, err error) error {
	var k *keyError
	if !errors.As(err, &k) {
		return fmt.Errorf("%s: %w", top, err)
	}
	experiment := ""
	if k.experiment > 0 {
		experiment = c.Experiments[k.experiment-1].Name
	}
	for _, l := range slices.Backward(layers) {
		number := 0
		for i, name := range experimentNames(l.tree) {
			if experiment != "" && name == experiment {
				number = i + 1 // the last, where a file uses a name twice
			}
		}
		if experiment != "" && number == 0 {
			continue
		}
		if l.text == "" {
			if sets(l.tree, number, k.key) {
				return fmt.Errorf("%s: %w", l.name, err)
			}
			continue
		}
		if line := lineOf(l.text, number, k.key); line > 0 {
			return fmt.Errorf("%s:%d: %w", l.name, line, err)
		}
	}
	return fmt.Errorf("%s: %w", top, err)
}

// sets tells whether an override gives the key of its experiment of that number, or of the file for 0.
func sets(tree map[string]any, number int, key string) bool {
	if number > 0 {
		tree = tables(tree["experiment"])[number-1]
	}
	table, rest, more := strings.Cut(key, ".")
	if inner, ok := tree[table].(map[string]any); ok && more {
		_, ok := inner[rest]
		return ok
	}
	_, ok := tree[key]
	return ok
}

// encodeTree writes a tree as TOML.
func encodeTree(tree map[string]any) ([]byte, error) {
	var text bytes.Buffer
	if err := toml.NewEncoder(&text).Encode(tree); err != nil {
		return nil, err
	}
	return text.Bytes(), nil
}
