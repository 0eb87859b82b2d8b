package dataset

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
	"github.com/go-json-experiment/json/jsontext"

	"k8ntext/dataset/audit"
	"k8ntext/dataset/label"
	"k8ntext/suggest"
)

// corpora holds the embedded corpora: NAME.jsonl.zst beside its manifest NAME.toml. The other recordings
// in the folder are too much for every copy of the program; see folders.
//
//go:embed corpora/sequential-1.34.jsonl.zst corpora/sequential-1.34.toml
var corpora embed.FS

// Manifest says what a corpus is, how it was made and what its file must be. [Import] writes it as
// TOML beside the file.
type Manifest struct {
	About
	Measured
}

// About is what only a person can say of a recording. It is kept when that is imported again.
type About struct {
	Title   string   `toml:"title" json:"title"`
	Licence string   `toml:"licence" json:"licence"`
	Made    string   `toml:"made" json:"made"`         // how it was recorded
	Real    []string `toml:"real" json:"real"`         // what in it is as in production
	NotReal []string `toml:"not_real" json:"not_real"` // and what is not
}

// Measured is what follows from the file; [Verify] measures it anew.
type Measured struct {
	Name          string    `toml:"name" json:"name"`
	SHA256        string    `toml:"sha256" json:"sha256"`                 // of the file
	ContentSHA256 string    `toml:"content_sha256" json:"content_sha256"` // of the raw lines in it
	Digest        string    `toml:"digest" json:"digest"`                 // [Corpus.Digest]
	Kubernetes    []string  `toml:"kubernetes" json:"kubernetes"`         // versions of the API servers
	Clients       []string  `toml:"clients" json:"clients"`               // versions of kubectl
	Levels        []string  `toml:"levels" json:"levels"`                 // audit levels
	From          time.Time `toml:"from" json:"from"`                     // request time of the first event
	To            time.Time `toml:"to" json:"to"`                         // and of the last
	Counts        Counts    `toml:"counts" json:"counts"`
	Masked        Masked    `toml:"masked" json:"masked"` // told by the import: what is gone cannot be measured
}

// Counts are the sizes of a corpus. Events, and all that follows, are without the dropped ones.
type Counts struct {
	RawLines          int `toml:"raw_lines" json:"raw_lines"`
	DroppedStart      int `toml:"dropped_before_start" json:"dropped_before_start"`
	DroppedHarness    int `toml:"dropped_harness" json:"dropped_harness"`
	Events            int `toml:"events" json:"events"`
	Labels            int `toml:"labels" json:"labels"` // distinct known labels, in the default space
	Contexts          int `toml:"contexts" json:"contexts"`
	UserContexts      int `toml:"user_contexts" json:"user_contexts"`
	UserEvents        int `toml:"user_events" json:"user_events"`
	NonTriggerEvents  int `toml:"nontrigger_events" json:"nontrigger_events"` // user-caused without the triggers
	BackgroundEvents  int `toml:"background_events" json:"background_events"` // neither user-caused nor ambiguous
	ByRuleEvents      int `toml:"by_rule_events" json:"by_rule_events"`       // background that a rule decides
	AmbiguousEvents   int `toml:"ambiguous_events" json:"ambiguous_events"`
	NonResourceEvents int `toml:"nonresource_events" json:"nonresource_events"`
	OwnWrongEvents    int `toml:"own_wrong_events" json:"own_wrong_events"` // known label, and it is not the own label
}

// Count measures a corpus.
func (c *Corpus) Count() Counts {
	n := Counts{
		RawLines:       int(c.Read.Lines),
		DroppedStart:   c.Dropped.BeforeStart,
		DroppedHarness: c.Dropped.Harness,
		Events:         len(c.Events),
		Contexts:       len(c.Contexts),
	}
	for _, x := range c.Contexts {
		if x.User {
			n.UserContexts++
		}
	}
	labels := make(map[label.Label]bool)
	for i, class := range c.Class {
		if c.Labels[i] != label.Unknown {
			labels[c.Labels[i]] = true
			if c.Own[i] != c.Labels[i] {
				n.OwnWrongEvents++
			}
		}
		switch {
		case class.Has(User):
			n.UserEvents++
			if !class.Has(Trigger) {
				n.NonTriggerEvents++
			}
		case class.Has(Ambiguous):
			n.AmbiguousEvents++
		case c.Context[i] >= 0:
			n.BackgroundEvents++
		}
		if class.Has(ByRule) {
			n.ByRuleEvents++
		}
		if class.Has(NonResource) {
			n.NonResourceEvents++
		}
	}
	n.Labels = len(labels)
	return n
}

const (
	corpusSuffix   = ".jsonl.zst"
	manifestSuffix = ".toml"
)

var nameForm = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)

// Names are the corpora that [Load] knows by name, sorted: the embedded ones, and those in the folder
// dataset/corpora, as in a checkout, or corpora beside the program.
func Names() []string {
	return namesIn(folders())
}

func namesIn(folders []fs.FS) []string {
	var names []string
	for _, folder := range folders {
		entries, _ := fs.ReadDir(folder, ".") // one that is not there has none
		for _, e := range entries {
			if name, ok := strings.CutSuffix(e.Name(), corpusSuffix); ok && nameForm.MatchString(name) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// folders are where corpora are looked up by name, the first one that has it counts.
func folders() []fs.FS {
	inside, err := fs.Sub(corpora, "corpora")
	if err != nil {
		panic(err) // the folder is compiled in
	}
	list := []fs.FS{inside, os.DirFS(filepath.Join("dataset", "corpora"))}
	if program, err := os.Executable(); err == nil {
		list = append(list, os.DirFS(filepath.Join(filepath.Dir(program), "corpora")))
	}
	return list
}

var (
	errNoCorpus   = errors.New("no such corpus")
	errNoManifest = errors.New("no manifest beside it")
)

// named finds a corpus by its name, and its file.
func named(name string) (*Manifest, []byte, error) {
	return namedIn(folders(), name)
}

func namedIn(folders []fs.FS, name string) (*Manifest, []byte, error) {
	if !nameForm.MatchString(name) {
		return nil, nil, errNoCorpus
	}
	for _, folder := range folders {
		file, err := fs.ReadFile(folder, name+corpusSuffix)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, nil, fmt.Errorf("read corpus %s: %w", name, err)
		}
		text, err := fs.ReadFile(folder, name+manifestSuffix)
		if err != nil {
			return nil, nil, fmt.Errorf("corpus %s has no manifest: %w", name, err)
		}
		m, err := parseManifest(text, name+manifestSuffix)
		if err != nil {
			return nil, nil, err
		}
		return m, file, nil
	}
	return nil, nil, errNoCorpus
}

// Describe gives the manifest of a corpus, by name or a file with one beside it. For any other log it
// measures one, in which nobody has said what the log is.
func Describe(ctx context.Context, nameOrPath string) (*Manifest, error) {
	m, _, err := open(nameOrPath)
	if !errors.Is(err, errNoManifest) {
		return m, err
	}
	c, err := Load(ctx, nameOrPath, nil)
	if err != nil {
		return nil, err
	}
	file, err := os.ReadFile(nameOrPath)
	if err != nil {
		return nil, fmt.Errorf("describe corpus: %w", err)
	}
	m = &Manifest{Measured: Measured{Name: nameOrPath}}
	if err := m.measure(c, file); err != nil {
		return nil, fmt.Errorf("describe corpus %s: %w", nameOrPath, err)
	}
	return m, nil
}

// open finds a corpus with a manifest: by name, or a file.
func open(nameOrPath string) (*Manifest, []byte, error) {
	m, file, err := named(nameOrPath)
	if !errors.Is(err, errNoCorpus) {
		return m, file, err
	}
	file, err = os.ReadFile(nameOrPath)
	if err != nil {
		return nil, nil, unknownCorpus(nameOrPath, err)
	}
	name := strings.TrimSuffix(nameOrPath, corpusSuffix) + manifestSuffix
	text, err := os.ReadFile(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil, fmt.Errorf("corpus %s: %w: k8ntext corpus import makes a corpus with one", nameOrPath, errNoManifest)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("manifest of corpus %s: %w", nameOrPath, err)
	}
	m, err = parseManifest(text, name)
	return m, file, err
}

// unknownCorpus says that neither a corpus nor a file of that name exists.
func unknownCorpus(name string, cause error) error {
	if !os.IsNotExist(cause) || strings.ContainsAny(name, `/\`) {
		return fmt.Errorf("open corpus: %w", cause)
	}
	names := Names()
	return fmt.Errorf("%q is neither a corpus nor a file: the nearest is %s; there are: %s", name, suggest.Nearest(name, names), strings.Join(names, ", "))
}

func parseManifest(text []byte, file string) (*Manifest, error) {
	var m Manifest
	meta, err := toml.Decode(string(text), &m)
	if err != nil {
		return nil, fmt.Errorf("manifest %s: %w", file, err)
	}
	if unknown := meta.Undecoded(); len(unknown) > 0 {
		return nil, fmt.Errorf("manifest %s: unknown key %q", file, unknown[0].String())
	}
	if want := strings.TrimSuffix(filepath.Base(file), manifestSuffix); m.Name != want {
		return nil, fmt.Errorf("manifest %s: its name is %q, not %q", file, m.Name, want)
	}
	return &m, nil
}

// encode writes the part for people the way that people write it; the encoder would not.
func (m *Manifest) encode() ([]byte, error) {
	var b bytes.Buffer
	var failed error
	quote := func(s string) string { // a JSON string is a TOML string
		q, err := jsontext.AppendQuote(nil, s)
		failed = cmp.Or(failed, err)
		return string(q)
	}
	fmt.Fprintf(&b, "title = %s\nlicence = %s\nmade = \"\"\"\n", quote(m.Title), quote(m.Licence))
	for i, line := range strings.Split(m.Made, "\n") {
		if i > 0 {
			b.WriteByte('\n')
		}
		q := quote(line)
		b.WriteString(q[1 : len(q)-1])
	}
	b.WriteString("\"\"\"\n")
	for _, list := range []struct {
		key   string
		items []string
	}{{"real", m.Real}, {"not_real", m.NotReal}} {
		fmt.Fprintf(&b, "%s = [\n", list.key)
		for _, item := range list.items {
			fmt.Fprintf(&b, "  %s,\n", quote(item))
		}
		b.WriteString("]\n")
	}
	b.WriteByte('\n')
	enc := toml.NewEncoder(&b)
	enc.Indent = ""
	if err := cmp.Or(failed, enc.Encode(m.Measured)); err != nil {
		return nil, fmt.Errorf("write manifest of corpus %s: %w", m.Name, err)
	}
	return b.Bytes(), nil
}

// measure fills in everything but the name and what was masked.
func (m *Measured) measure(c *Corpus, file []byte) error {
	content := sha256.New()
	r, err := decompressed(bytes.NewReader(file))
	if err != nil {
		return err
	}
	defer r.Close()
	if _, err := io.Copy(content, r); err != nil {
		return fmt.Errorf("decompress: %w", err)
	}
	sum := sha256.Sum256(file)
	m.SHA256 = hex.EncodeToString(sum[:])
	m.ContentSHA256 = hex.EncodeToString(content.Sum(nil))
	m.Digest = c.Digest
	m.From, m.To = c.Events[0].RequestReceived.UTC(), c.Events[len(c.Events)-1].RequestReceived.UTC()
	m.Counts = c.Count()

	servers, clients, levels := make(map[string]bool), make(map[string]bool), make(map[string]bool)
	for _, e := range c.Events {
		levels[e.Level] = true
		program, rest, _ := strings.Cut(e.UserAgent, "/")
		version, _, _ := strings.Cut(rest, " ")
		switch program {
		case "kube-apiserver":
			servers[version] = true
		case "kubectl":
			clients[version] = true
		}
	}
	m.Kubernetes, m.Clients, m.Levels = sortedKeys(servers), sortedKeys(clients), sortedKeys(levels)
	return nil
}

func sortedKeys(set map[string]bool) []string {
	keys := make([]string, 0, len(set))
	for k := range set {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// Check is one thing that [Verify] looked at.
type Check struct {
	Name string // file, content, digest, counts, manifest, secrets
	Err  error  // nil: as it should be
}

// Verify compares a corpus, by name or a file with its manifest beside it, with what its manifest
// says, and scans it for secrets. It returns every check it made; an error means that it made none.
func Verify(ctx context.Context, nameOrPath string) ([]Check, error) {
	m, file, err := open(nameOrPath)
	if err != nil {
		return nil, err
	}
	var checks []Check
	check := func(name string, errs ...error) {
		i := slices.IndexFunc(errs, func(err error) bool { return err != nil })
		if i < 0 {
			checks = append(checks, Check{Name: name})
			return
		}
		checks = append(checks, Check{name, errs[i]})
	}
	same := func(what string, want, got any) error {
		if w, g := fmt.Sprint(want), fmt.Sprint(got); w != g {
			return fmt.Errorf("%s: %s, but the manifest says %s", what, g, w)
		}
		return nil
	}

	check("manifest", m.described())
	sum := sha256.Sum256(file)
	check("file", same("sha256 of the file", m.SHA256, hex.EncodeToString(sum[:])))

	secrets, err := scanFile(ctx, file)
	if err == nil && len(secrets) > 0 {
		err = fmt.Errorf("%d texts look like secrets, the first: %v", len(secrets), secrets[0])
	}
	check("secrets", err)

	c, problem, err := load(ctx, audit.NewReader(bytes.NewReader(file), m.Name, audit.Options{}), m.Name, nil)
	if err == nil && problem != nil {
		err = problem
	}
	got := m.Measured
	if err == nil {
		err = got.measure(c, file)
	}
	if err != nil {
		check("content", err)
		return checks, ctx.Err()
	}
	check("content", same("sha256 of the raw lines", m.ContentSHA256, got.ContentSHA256))
	check("digest", same("digest of the events", m.Digest, got.Digest))
	check("counts",
		same("counts", fmt.Sprintf("%+v", m.Counts), fmt.Sprintf("%+v", got.Counts)),
		same("versions of the API servers", m.Kubernetes, got.Kubernetes),
		same("versions of the clients", m.Clients, got.Clients),
		same("audit levels", m.Levels, got.Levels),
		same("time of the first event", m.From, got.From),
		same("time of the last event", m.To, got.To))
	return checks, nil
}

func scanFile(ctx context.Context, file []byte) ([]Finding, error) {
	r, err := decompressed(bytes.NewReader(file))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return ScanSecrets(ctx, r)
}

// described tells whether a person has said what the corpus is.
func (m *Manifest) described() error {
	for _, f := range []struct {
		key   string
		empty bool
	}{
		{"title", m.Title == ""},
		{"licence", m.Licence == ""},
		{"made", m.Made == ""},
		{"real", len(m.Real) == 0},
		{"not_real", len(m.NotReal) == 0},
	} {
		if f.empty {
			return fmt.Errorf("the key %s is empty: say it in %s%s", f.key, m.Name, manifestSuffix)
		}
	}
	return nil
}
