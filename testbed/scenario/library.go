package scenario

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"text/template"

	"github.com/BurntSushi/toml"
)

// Library is everything that plans are made of.
type Library struct {
	Kinds     map[string]*Kind
	Charts    map[string]*Chart
	Roles     map[string]*Role
	Scenarios []*Scenario
	// Pods are the parameters that all kinds with pods share.
	Pods map[string]any
	// Words are the logical names that objects get, Notes the texts of annotations.
	Words, Notes []string
}

// Chart is a set of objects that are installed together.
type Chart struct {
	// Objects in the order of installation. Keys as in a scenario's objects, and "id", which ends the name.
	Objects []map[string]any `toml:"objects"`
}

// Role is what a person may do and with which tools.
type Role struct {
	// Users who have the role.
	Users []string `toml:"users"`
	// Group that all of them are in; it is bound to ClusterRole.
	Group string `toml:"group"`
	// ClusterRole bound to the group: the name of an existing one.
	ClusterRole string `toml:"clusterrole"`
	// Rules make a cluster role of their own instead, as RBAC rules.
	Rules []map[string]any `toml:"rules"`
	// Agents are the user agents of the role's client programs.
	Agents []string `toml:"agents"`
	// Expired makes the credentials run out before the recording starts.
	Expired bool `toml:"expired"`
}

// Scenario is one story: objects and the steps that work on them.
type Scenario struct {
	// ID, unique over all files: "D2".
	ID string `toml:"id"`
	// About says in one sentence what happens.
	About string `toml:"about"`
	// Differs says what differs from the reference's scenario of the same ID.
	Differs string `toml:"differs"`
	// Tags select scenarios in profiles.
	Tags []string `toml:"tags"`
	// Roles of which one is drawn for each run; none: admin.
	Roles []string `toml:"roles"`
	// Namespace: "own" (made for the run and deleted at its end), "team" (one that lives throughout),
	// "" (cluster-scoped), or the name of an existing one.
	Namespace string `toml:"namespace"`
	// Kinds makes a scenario of its own for each of these kinds, or for "all"; steps that a kind does not
	// offer are left out. Write "$kind" for the kind.
	Kinds []string `toml:"kinds"`
	// Except takes kinds out of "all".
	Except []string `toml:"except"`
	// Every is how many rounds lie between runs; 0 and 1: each round has one.
	Every int `toml:"every"`
	// Alone keeps other people's actions away while it runs: it disturbs everybody.
	Alone bool `toml:"alone"`
	// Draw gives variables: one value each, or a list of which one is drawn for each run.
	Draw map[string]any `toml:"draw"`
	// Objects by their id in the steps: "kind" or "chart", and parameters of the kind.
	Objects map[string]map[string]any `toml:"objects"`
	// Steps in their order.
	Steps []Step `toml:"steps"`

	file string
}

// Step is one action, or none where Chance or the kind leaves it out.
type Step struct {
	// Do is the verb; exactly one of Do, Any and Kubectl is there.
	Do Verb `toml:"do"`
	// Any are verbs of which one that the kind offers is drawn.
	Any []Verb `toml:"any"`
	// Kubectl is a command line without the program and the namespace; "$name" stands for objects and variables.
	Kubectl string `toml:"kubectl"`
	// On names the operands: objects, a chart, or a kind.
	On words `toml:"on"`
	// Makes and Drops tell which objects a command line creates and deletes.
	Makes words `toml:"makes"`
	Drops words `toml:"drops"`
	// Tool narrows the tools of which one is drawn.
	Tool words `toml:"tool"`
	// By is the role or user that acts, if not the scenario's.
	By string `toml:"by"`
	// Set changes parameters of the objects before their manifest is made: values, or lists to draw from.
	Set map[string]any `toml:"set"`
	// Patch is a template of a patch, Type its kind: "merge" (default), "json" or "strategic".
	Patch string `toml:"patch"`
	Type  string `toml:"type"`
	// Path of raw and request, Method and Body of request.
	Path   string `toml:"path"`
	Method string `toml:"method"`
	Body   string `toml:"body"`
	// Args are more flags for kubectl.
	Args string `toml:"args"`
	// Stdin of a kubectl command line, a template.
	Stdin string `toml:"stdin"`
	// Count is the number that scale sets, the seconds that sleep waits, or after which credentials expire: "$n"
	// or a number.
	Count string `toml:"count"`
	// Component that kill, start, expire and renew mean.
	Component string `toml:"component"`
	// Expect is "ok" (default), "fail" or "any".
	Expect string `toml:"expect"`
	// Wait overrides until when the next action waits: "none", "read", "write", "work", "long" or "gone".
	Wait string `toml:"wait"`
	// Timeout in seconds after which the command is ended; 0: 25.
	Timeout int `toml:"timeout"`
	// Chance that the step happens; 0: always.
	Chance float64 `toml:"chance"`
	// Times bounds how often it happens: one number, or the least and the most.
	Times []int `toml:"times"`
	// Save keeps the output under this name; With uses such an output as bearer token.
	Save string `toml:"save"`
	With string `toml:"with"`
	// Action overrides the name of the action.
	Action string `toml:"action"`
}

// words is one string or a list of them.
type words []string

func (w *words) UnmarshalTOML(v any) error {
	switch v := v.(type) {
	case string:
		*w = words{v}
	case []any:
		for _, x := range v {
			s, ok := x.(string)
			if !ok {
				return fmt.Errorf("%v is not a string", x)
			}
			*w = append(*w, s)
		}
	default:
		return fmt.Errorf("%v is neither a string nor a list of strings", v)
	}
	return nil
}

// file is the shape of every TOML file of a library.
type file struct {
	Partials  map[string]string `toml:"partials"`
	Words     []string          `toml:"words"`
	Notes     []string          `toml:"notes"`
	Pods      map[string]any    `toml:"pods"`
	Kinds     map[string]*Kind  `toml:"kind"`
	Charts    map[string]*Chart `toml:"chart"`
	Roles     map[string]*Role  `toml:"role"`
	Scenarios []*Scenario       `toml:"scenario"`
}

// Load reads all TOML files in the root of fsys. Anything unknown in them is an error that names the
// file, the line and the nearest known word.
func Load(fsys fs.FS) (*Library, error) {
	names, err := fs.Glob(fsys, "*.toml")
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, errors.New("read scenarios: there is no TOML file in the folder")
	}
	lib := &Library{Kinds: map[string]*Kind{}, Charts: map[string]*Chart{}, Roles: map[string]*Role{}}
	sources := map[string]string{}
	partials := template.New("")
	for _, name := range names {
		text, err := fs.ReadFile(fsys, name)
		if err != nil {
			return nil, fmt.Errorf("read scenarios: %w", err)
		}
		sources[name] = string(text)
		f, err := decode[file](name, string(text))
		if err != nil {
			return nil, err
		}
		if err := lib.add(name, f, partials); err != nil {
			return nil, fmt.Errorf("read scenarios: %s: %w", name, err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(lib.Kinds)) {
		k := lib.Kinds[name]
		if k.Pods {
			own := k.Draw
			k.Draw = maps.Clone(lib.Pods)
			maps.Copy(k.Draw, own)
		}
		if err := k.compile(partials); err != nil {
			return nil, fmt.Errorf("read scenarios: %w", err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(lib.Roles)) {
		if len(lib.Roles[name].Users) == 0 {
			return nil, fmt.Errorf("read scenarios: role %q has no users", name)
		}
	}
	for _, s := range lib.Scenarios {
		if err := lib.check(s); err != nil {
			return nil, locate(s, sources[s.file], err)
		}
	}
	if len(lib.Words) == 0 || len(lib.Notes) == 0 {
		return nil, errors.New(`read scenarios: no file has "words" and "notes", of which names and texts are drawn`)
	}
	return lib, nil
}

func (lib *Library) add(name string, f *file, partials *template.Template) error {
	lib.Words = append(lib.Words, f.Words...)
	lib.Notes = append(lib.Notes, f.Notes...)
	for _, key := range slices.Sorted(maps.Keys(f.Partials)) {
		if _, err := partials.New(key).Option("missingkey=error").Parse(f.Partials[key]); err != nil {
			return fmt.Errorf("partial %q: %w", key, err)
		}
	}
	for key, k := range f.Kinds {
		if lib.Kinds[key] != nil {
			return fmt.Errorf("kind %q is there twice", key)
		}
		k.Name = key
		lib.Kinds[key] = k
	}
	if f.Pods != nil {
		lib.Pods = f.Pods
	}
	maps.Copy(lib.Charts, f.Charts)
	maps.Copy(lib.Roles, f.Roles)
	for _, s := range f.Scenarios {
		s.file = name
		if slices.ContainsFunc(lib.Scenarios, func(o *Scenario) bool { return o.ID == s.ID }) {
			return fmt.Errorf("scenario %q is there twice", s.ID)
		}
		lib.Scenarios = append(lib.Scenarios, s)
	}
	return nil
}

// decode reads one strict TOML file.
func decode[T any](name, text string) (*T, error) {
	out := new(T)
	meta, err := toml.Decode(text, out)
	if err != nil {
		var parse toml.ParseError
		line := 0
		if errors.As(err, &parse) {
			line = parse.Position.Line
		}
		// The decoder forgets which element of an array it is in: find the word itself.
		if m := quoted.FindStringSubmatch(err.Error()); m != nil {
			if n := lineOf(text, 0, `"`+m[1]+`"`); n > 0 {
				line = n
			}
		}
		message := err.Error()
		if i := strings.Index(message, "unknown "); i > 0 {
			message = message[i:] // ours, without the decoder's idea of the line
		}
		return nil, fmt.Errorf("%s:%d: %s", name, line, message)
	}
	for _, path := range meta.Undecoded() {
		// What lies in tables of free form is checked against the kinds later.
		if slices.ContainsFunc(path[:len(path)-1], func(w string) bool { return slices.Contains(free, w) }) {
			continue
		}
		key := path[len(path)-1]
		return nil, fmt.Errorf("%s:%d: %w", name, lineOfKey(text, key), unknown("key", key, keys))
	}
	return out, nil
}

// free are the tables whose keys are not the schema's.
var free = []string{"objects", "draw", "set", "rules", "pods", "every", "repeat"}

var quoted = regexp.MustCompile(`unknown \w+ "([^"]+)"`)

// keys are all keys of the schema, for suggestions.
var keys = []string{
	"repeat", "bare", "any", "pods", "exists", "partials", "words", "notes", "kind", "chart", "role", "scenario", "resource", "api", "namespaced", "workload",
	"subresources", "without", "suffix", "prefix", "logical", "draw", "patch", "body", "objects", "users", "group",
	"clusterrole", "rules", "agents", "expired", "id", "about", "differs", "tags", "roles", "namespace", "kinds",
	"except", "every", "alone", "steps", "do", "kubectl", "on", "makes", "drops", "tool", "by", "set", "type", "path",
	"method", "args", "stdin", "count", "component", "expect", "wait", "timeout", "chance", "times", "save", "with",
	"action", "name", "minor", "nodes", "level", "mode", "rounds", "neighbours", "actions", "think", "overlap",
	"lanes", "seeds", "final", "dev", "only", "share",
}

// lineOf is the first line from the given one on that contains the text; 0 if none.
func lineOf(source string, from int, text string) int {
	for i, line := range strings.Split(source, "\n") {
		if i+1 >= from && strings.Contains(line, text) {
			return i + 1
		}
	}
	return 0
}

func lineOfKey(source, key string) int {
	re := regexp.MustCompile(`(^|[\s{,.\[])` + regexp.QuoteMeta(key) + `("?\s*=|\])`)
	for i, line := range strings.Split(source, "\n") {
		if re.MatchString(line) {
			return i + 1
		}
	}
	return 0
}

// wordError is an error about one word of a scenario, which can be found in its file.
type wordError struct {
	word string
	err  error
}

func (e wordError) Error() string { return e.err.Error() }
func (e wordError) Unwrap() error { return e.err }

// locate adds file and line to an error of check.
func locate(s *Scenario, source string, err error) error {
	line := lineOf(source, 0, `id = "`+s.ID+`"`)
	var w wordError
	if errors.As(err, &w) {
		if n := lineOf(source, line, w.word); n > 0 {
			line = n
		}
	}
	return fmt.Errorf("%s:%d: scenario %q: %w", s.file, line, s.ID, err)
}

// check finds everything that can be found without a seed.
func (lib *Library) check(s *Scenario) error {
	if s.ID == "" || s.About == "" || len(s.Steps) == 0 {
		return errors.New(`"id", "about" and "steps" are needed`)
	}
	if len(s.Roles) == 0 && lib.Roles["admin"] == nil {
		return errors.New(`it names no roles, and there is no role "admin"`)
	}
	if s.Namespace == "own" && lib.Kinds["namespace"] == nil {
		return errors.New(`its namespace is its own, but there is no kind "namespace"`)
	}
	for _, r := range s.Roles {
		if lib.Roles[r] == nil {
			return wordError{r, unknown("role", r, slices.Collect(maps.Keys(lib.Roles)))}
		}
	}
	for _, k := range slices.Concat(s.Kinds, s.Except) {
		if k != "all" && lib.Kinds[k] == nil {
			return wordError{`"` + k + `"`, unknown("kind", k, slices.Collect(maps.Keys(lib.Kinds)))}
		}
	}
	for id, params := range s.Objects {
		if err := lib.checkObject(s, id, params); err != nil {
			return err
		}
	}
	for i := range s.Steps {
		if err := lib.checkStep(s, &s.Steps[i]); err != nil {
			return fmt.Errorf("step %d: %w", i+1, err)
		}
	}
	return nil
}

func (lib *Library) checkObject(s *Scenario, id string, params map[string]any) error {
	if name, ok := params["chart"].(string); ok {
		c := lib.Charts[name]
		if lib.Kinds["secret"] == nil {
			return errors.New(`it has a chart, but there is no kind "secret" for its releases`)
		}
		if c == nil {
			return wordError{name, unknown("chart", name, slices.Collect(maps.Keys(lib.Charts)))}
		}
		for _, o := range c.Objects {
			if err := lib.checkObject(s, fmt.Sprint(o["id"]), o); err != nil {
				return fmt.Errorf("chart %q: %w", name, err)
			}
		}
		return nil
	}
	kind, _ := params["kind"].(string)
	if kind == "$kind" && len(s.Kinds) > 0 {
		return nil
	}
	k := lib.Kinds[kind]
	if k == nil {
		return wordError{`"` + kind + `"`, fmt.Errorf("object %q: %w", id, unknown("kind", kind, slices.Collect(maps.Keys(lib.Kinds))))}
	}
	for key := range params {
		if _, known := k.Draw[key]; !known && !slices.Contains(objectKeys, key) {
			return wordError{key, fmt.Errorf("object %q: kind %q: %w", id, kind, unknown("parameter", key, slices.Concat(objectKeys, slices.Collect(maps.Keys(k.Draw)))))}
		}
	}
	return nil
}

// objectKeys are the keys of an object besides the parameters of its kind.
var objectKeys = []string{"kind", "chart", "exists", "name", "namespace", "id", "labels", "annotations"}

func (lib *Library) checkStep(s *Scenario, st *Step) error {
	ways := 0
	for _, there := range []bool{st.Do != "", len(st.Any) > 0, st.Kubectl != ""} {
		if there {
			ways++
		}
	}
	if ways != 1 {
		return errors.New(`exactly one of "do", "any" and "kubectl" is needed`)
	}
	if name, _ := lib.RoleOf(st.By); st.By != "" && lib.Roles[st.By] == nil && name == "" {
		return wordError{st.By, unknown("role or user", st.By, slices.Collect(maps.Keys(lib.Roles)))}
	}
	if !slices.Contains([]string{"", "ok", "fail", "any"}, st.Expect) {
		return wordError{st.Expect, unknown("expectation", st.Expect, []string{"ok", "fail", "any"})}
	}
	if _, known := waits[st.Wait]; !known && st.Wait != "" {
		return wordError{st.Wait, unknown("wait", st.Wait, slices.Collect(maps.Keys(waits)))}
	}
	if len(st.Times) > 2 || len(st.Times) == 2 && st.Times[1] < st.Times[0] || slices.ContainsFunc(st.Times, func(n int) bool { return n < 0 || n > 1000 }) {
		return fmt.Errorf(`"times" is %v: use one number, or the least and the most, up to 1000`, st.Times)
	}
	if !slices.Contains([]string{"", "merge", "json", "strategic"}, st.Type) {
		return wordError{st.Type, unknown("patch type", st.Type, []string{"merge", "json", "strategic"})}
	}
	for _, id := range slices.Concat(st.Makes, st.Drops) {
		if s.Objects[id] == nil {
			return wordError{id, unknown("object", id, slices.Collect(maps.Keys(s.Objects)))}
		}
	}
	if st.Kubectl != "" {
		return lib.checkCommand(s, st)
	}
	if len(st.Any) > 0 {
		for _, v := range st.Any {
			one := *st
			one.Do, one.Any = v, nil
			if err := lib.checkStep(s, &one); err != nil {
				return err
			}
		}
		return nil
	}
	spec := verbs[st.Do]
	for _, tool := range st.Tool {
		if len(s.Kinds) == 0 && !slices.Contains(spec.tools, tool) {
			return wordError{tool, fmt.Errorf("verb %q: %w", st.Do, unknown("tool", tool, spec.tools))}
		}
	}
	if spec.operand == onNothing {
		if len(st.On) > 0 {
			return fmt.Errorf("verb %q works on nothing, but \"on\" is set", st.Do)
		}
		return nil
	}
	if len(st.On) == 0 {
		return fmt.Errorf("verb %q needs \"on\"", st.Do)
	}
	for _, id := range st.On {
		if id == "ns" && s.Namespace == "own" || s.Objects[id] != nil || spec.operand == onKind && (lib.Kinds[id] != nil || id == "$kind") {
			continue
		}
		known := slices.Collect(maps.Keys(s.Objects))
		if spec.operand == onKind {
			known = slices.AppendSeq(known, maps.Keys(lib.Kinds))
		}
		return wordError{`"` + id + `"`, unknown("object or resource", id, known)}
	}
	return nil
}

var reference = regexp.MustCompile(`\$([a-zA-Z]\w*)(?:\(([\w-]+)\))?`)

// builtin variables of command lines.
var builtin = []string{"base", "ns", "node", "token", "user", "kind", "resource", "word", "note", "pod", "out", "selector", "csr"}

func (lib *Library) checkCommand(s *Scenario, st *Step) error {
	args, err := split(st.Kubectl)
	if err != nil {
		return wordError{st.Kubectl[:min(20, len(st.Kubectl))], err}
	}
	command, known := kubectlCommands[args[0]]
	if !known {
		return wordError{args[0], unknown("kubectl command", args[0], slices.Collect(maps.Keys(kubectlCommands)))}
	}
	if command.resource && len(args) > 1 && !strings.HasPrefix(args[1], "-") && !strings.Contains(args[1], "$kind") {
		word, _, _ := strings.Cut(args[1], "/")
		for _, w := range strings.Split(word, ",") {
			if args[0] == "explain" {
				w, _, _ = strings.Cut(w, ".")
			}
			if lib.kindOf(w) == nil && w != "all" {
				return wordError{w, unknown("resource", w, lib.resources())}
			}
		}
	}
	for _, m := range reference.FindAllStringSubmatch(st.Kubectl, -1) {
		_, drawn := s.Draw[m[1]]
		if s.Objects[m[1]] == nil && !drawn && !slices.Contains(builtin, m[1]) {
			return wordError{m[0], unknown("variable or object", m[1],
				slices.Concat(builtin, slices.Collect(maps.Keys(s.Objects)), slices.Collect(maps.Keys(s.Draw))))}
		}
		if m[2] != "" && m[1] != "out" && s.Objects[m[2]] == nil {
			return wordError{m[0], unknown("object", m[2], slices.Collect(maps.Keys(s.Objects)))}
		}
	}
	return nil
}

// shortNames of resources that command lines use.
var shortNames = map[string]string{
	"ns": "namespace", "po": "pod", "deploy": "deployment", "rs": "replicaset", "sts": "statefulset", "ds": "daemonset",
	"svc": "service", "cm": "configmap", "sa": "serviceaccount", "pvc": "persistentvolumeclaim", "pv": "persistentvolume",
	"sc": "storageclass", "pdb": "poddisruptionbudget", "hpa": "horizontalpodautoscaler", "ing": "ingress",
	"ep": "endpoints", "crd": "customresourcedefinition", "crds": "customresourcedefinition", "csr": "certificatesigningrequest", "no": "node",
	"quota": "resourcequota", "limits": "limitrange", "rc": "replicationcontroller", "cj": "cronjob", "netpol": "networkpolicy",
	"pc": "priorityclass", "cs": "componentstatus", "ev": "event",
}

// kindOf finds a kind by what one types: its name, resource, qualified resource or short name.
func (lib *Library) kindOf(word string) *Kind {
	if k := lib.Kinds[word]; k != nil {
		return k
	}
	if k := lib.Kinds[shortNames[word]]; k != nil {
		return k
	}
	for _, name := range slices.Sorted(maps.Keys(lib.Kinds)) {
		k := lib.Kinds[name]
		if word == k.Resource || word == k.Resource+"."+k.Group() || word == k.qualified() {
			return k
		}
	}
	return nil
}

func (lib *Library) resources() []string {
	var out []string
	for _, k := range lib.Kinds {
		out = append(out, k.Name, k.Resource)
	}
	return slices.AppendSeq(out, maps.Keys(shortNames))
}

// RoleOf finds the role of a user and its name; nil and "" if there is none.
func (lib *Library) RoleOf(user string) (string, *Role) {
	for _, name := range slices.Sorted(maps.Keys(lib.Roles)) {
		if r := lib.Roles[name]; slices.Contains(r.Users, user) {
			return name, r
		}
	}
	return "", nil
}

// split cuts a command line at spaces; single and double quotes keep words together.
func split(line string) ([]string, error) {
	var out []string
	var word strings.Builder
	var quote rune
	open := false
	for _, r := range line {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '\'' || r == '"':
			quote, open = r, true
		case r == ' ':
			if open {
				out = append(out, word.String())
				word.Reset()
				open = false
			}
		default:
			word.WriteRune(r)
			open = true
		}
	}
	if quote != 0 {
		return nil, fmt.Errorf("command line %q: a quote is not closed", line)
	}
	if open {
		out = append(out, word.String())
	}
	if len(out) == 0 {
		return nil, errors.New("the command line is empty")
	}
	return out, nil
}

// LoadProfile reads a profile by its name from the folder "profiles" of fsys.
func LoadProfile(fsys fs.FS, name string) (*Profile, error) {
	file := path.Join("profiles", name+".toml")
	text, err := fs.ReadFile(fsys, file)
	if err != nil {
		var names []string
		all, _ := fs.Glob(fsys, "profiles/*.toml")
		for _, f := range all {
			names = append(names, strings.TrimSuffix(path.Base(f), ".toml"))
		}
		return nil, unknown("profile", name, names)
	}
	p, err := decode[Profile](file, string(text))
	if err != nil {
		return nil, err
	}
	p.Name = name
	if err := p.check(); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return p, nil
}
