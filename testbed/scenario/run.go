package scenario

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"text/template"

	"sigs.k8s.io/yaml"
)

// run is one run of a scenario. It grows action by action, since the names that it may take depend on
// what lives when its turn comes.
type run struct {
	planner  *planner
	scenario *Scenario
	kind     *Kind // of a scenario for several kinds
	rng      *rand.Rand
	number   int
	lane     int
	user     string
	vars     map[string]string
	objects  map[string]*object
	groups   map[string][]*object // charts
	charts   map[string]*release
	team     string // the namespace, unless it is its own
	own      *object
	steps    []Step
	at       int
	began    bool
}

// object is one object that a run works on.
type object struct {
	id        string
	kind      *Kind
	params    map[string]any
	namespace string
	logical   string // the name that remains when tokens are taken away
	recorded  string
	base      string // the recorded name without the kind's prefix and suffix
	word      string
	token     string
	taint     string // token of the last action that changed the pod template
	made      bool
	alive     bool
}

// release is a chart that was installed.
type release struct {
	name    *object
	version int
}

func (pl *planner) newRun(v variant, number, lane int, user string) *run {
	return &run{
		planner: pl, scenario: v.scenario, kind: v.kind, number: number, lane: lane, user: user,
		rng:  rand.New(rand.NewPCG(pl.seed, uint64(number))),
		vars: map[string]string{}, objects: map[string]*object{}, groups: map[string][]*object{}, charts: map[string]*release{},
	}
}

// owns tells whether the namespace was made for this run alone.
func (r *run) owns(namespace string) bool { return r.own != nil && r.own.recorded == namespace }

// namespace in which the run works.
func (r *run) namespace() string {
	if r.own != nil {
		return r.own.recorded
	}
	return r.team
}

// begin draws the variables and lays out the steps.
func (r *run) begin() error {
	r.began = true
	pl, s := r.planner, r.scenario
	for _, name := range slices.Sorted(maps.Keys(s.Draw)) {
		r.vars[name] = text(draw(r.rng, s.Draw[name]))
	}
	r.vars["node"] = fmt.Sprintf("node-%d", 1+r.rng.IntN(pl.profile.Nodes))
	switch s.Namespace {
	case "own":
		r.own = &object{id: "ns", kind: pl.lib.Kinds["namespace"], params: map[string]any{}}
		r.objects["ns"] = r.own
	case "team":
		r.team = pl.profile.Teams[r.rng.IntN(len(pl.profile.Teams))]
	default:
		r.team = s.Namespace
	}
	if r.own == nil {
		r.vars["ns"] = r.team // as the object of that id names a namespace of the run's own
	}
	for _, id := range slices.Sorted(maps.Keys(s.Objects)) {
		params := s.Objects[id]
		name, isChart := params["chart"].(string)
		if !isChart {
			o, err := r.declare(id, params)
			if err != nil {
				return err
			}
			r.objects[id] = o
			continue
		}
		r.charts[id] = &release{name: &object{id: id, kind: pl.lib.Kinds["secret"], params: map[string]any{}}}
		for _, member := range pl.lib.Charts[name].Objects {
			o, err := r.declare(text(member["id"]), member)
			if err != nil {
				return err
			}
			r.groups[id] = append(r.groups[id], o)
		}
	}
	if r.own != nil {
		tool := words{ToolKubectl, ToolClient}
		r.steps = append(r.steps, Step{Do: "create", On: words{"ns"}, Tool: tool})
	}
	for _, st := range s.Steps {
		times := 1
		if len(st.Times) == 1 {
			times = st.Times[0]
		} else if len(st.Times) > 1 {
			times = st.Times[0] + r.rng.IntN(st.Times[1]-st.Times[0]+1)
		}
		for range times {
			if st.Chance == 0 || r.rng.Float64() < st.Chance {
				r.steps = append(r.steps, r.choose(st))
			}
		}
	}
	if r.own != nil {
		r.steps = append(r.steps, Step{Do: "delete", On: words{"ns"}, Wait: "gone"})
	}
	return nil
}

// choose draws the verb of a step that leaves a choice, among those that the kind offers.
func (r *run) choose(st Step) Step {
	if len(st.Any) == 0 {
		return st
	}
	kind := r.kindOperand(&st)
	if objects := r.operands(st.On); kind == nil && len(objects) > 0 {
		kind = objects[0].kind
	}
	var offered []Verb
	for _, v := range st.Any {
		if kind == nil || kind.offers(v) {
			offered = append(offered, v)
		}
	}
	if len(offered) == 0 {
		offered = st.Any
	}
	st.Do, st.Any = offered[r.rng.IntN(len(offered))], nil
	return st
}

// declare draws the parameters of an object.
func (r *run) declare(id string, params map[string]any) (*object, error) {
	name := text(params["kind"])
	kind := r.planner.lib.Kinds[name]
	if name == "$kind" {
		kind = r.kind
	}
	if kind == nil {
		return nil, fmt.Errorf("object %q: kind %q is not known", id, name)
	}
	o := &object{id: id, kind: kind, params: map[string]any{}}
	for _, source := range []map[string]any{kind.Draw, params} {
		for _, key := range slices.Sorted(maps.Keys(source)) {
			if !slices.Contains([]string{"kind", "id"}, key) {
				o.params[key] = draw(r.rng, source[key])
			}
		}
	}
	if name, ok := params["exists"].(string); ok {
		o.word = r.expandNames(name)
		o.logical, o.recorded, o.base, o.made = o.word, o.word, o.word, true
		o.namespace = ""
		if kind.Namespaced {
			o.namespace = r.namespace()
		}
	}
	return o, nil
}

// next gives the next action; nil where a step is left out. done tells that it was the last.
func (r *run) next() (a *Action, done bool, err error) {
	if !r.began {
		if err := r.begin(); err != nil {
			return nil, false, err
		}
	}
	if r.at < len(r.steps) {
		st := r.steps[r.at]
		r.at++
		a, err = r.action(&st)
		if err != nil {
			return nil, false, fmt.Errorf("step %d: %w", r.at, err)
		}
		if r.at < len(r.steps) || r.own != nil {
			return a, r.at >= len(r.steps), nil
		}
		if a != nil {
			return a, len(r.left()) == 0, nil
		}
	}
	left := r.left()
	if len(left) == 0 {
		return nil, true, nil
	}
	a, err = r.cleanup(left)
	return a, true, err
}

// left are the objects that live outside of an own namespace, in the order of their ids.
func (r *run) left() []*object {
	var out []*object
	for _, id := range slices.Sorted(maps.Keys(r.objects)) {
		if o := r.objects[id]; o.alive && o != r.own && !o.kind.Bare {
			out = append(out, o)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(r.groups)) {
		for _, o := range r.groups[id] {
			if o.alive {
				out = append(out, o)
			}
		}
	}
	return out
}

// cleanup deletes what the scenario left.
func (r *run) cleanup(left []*object) (*Action, error) {
	a := r.start("cleanup", ToolKubectl)
	a.Argv = []string{"delete", "--wait=false", "--ignore-not-found"}
	if ns := left[0].namespace; ns != "" {
		a.Namespace = ns
	}
	a.Wait = "write"
	for _, o := range left {
		a.Argv = append(a.Argv, o.kind.qualified()+"/"+o.recorded)
		if o.kind.Workload {
			a.Wait = "work"
		}
		if o.namespace != "" {
			a.Namespace = o.namespace
		}
		r.drop(o)
	}
	for _, rel := range r.charts {
		r.drop(rel.name)
	}
	return a, nil
}

// start makes an action with what all actions have.
func (r *run) start(name, tool string) *Action {
	return &Action{
		Scenario: r.scenarioID(), Run: r.number, Step: r.at, Name: name, User: r.user, Tool: tool,
		Namespace: r.namespace(), Expect: "ok", Timeout: defaultTimeout,
	}
}

func (r *run) scenarioID() string {
	if r.kind != nil {
		return r.scenario.ID + ":" + r.kind.Name
	}
	return r.scenario.ID
}

// allocate gives an object its name, marked with the token of the action that creates it.
func (r *run) allocate(o *object, token, release string) error {
	ns := r.namespace()
	if v, ok := o.params["namespace"].(string); ok {
		ns = r.expandNames(v)
	}
	if !o.kind.Namespaced {
		ns = ""
	}
	word, fixed := o.params["name"].(string)
	var err error
	switch {
	case release != "":
		word = release + "-" + o.id
	case !fixed:
		if word, err = r.planner.word(r, o.kind, ns); err != nil {
			return err
		}
	}
	k := o.kind
	o.word, o.token, o.taint, o.namespace = word, token, token, ns
	o.base = word + "-" + token
	o.logical = k.Prefix + word + k.Suffix
	o.recorded = k.Prefix + o.base + k.Suffix
	o.made, o.alive = true, true
	r.planner.living[key(k, ns, word)] = true
	return nil
}

// drop takes an object out of the living. The objects in a namespace die with it.
func (r *run) drop(o *object) {
	o.alive = false
	delete(r.planner.living, key(o.kind, o.namespace, o.word))
	if o != r.own {
		return
	}
	for _, other := range r.objects {
		if other.alive && other.namespace == o.recorded {
			r.drop(other)
		}
	}
	for _, group := range r.groups {
		for _, other := range group {
			if other.alive && other.namespace == o.recorded {
				r.drop(other)
			}
		}
	}
}

// operands gives the objects that the words mean; charts stand for all of theirs.
func (r *run) operands(ids []string) []*object {
	var out []*object
	for _, id := range ids {
		if group, ok := r.groups[id]; ok {
			out = append(out, group...)
		} else if o := r.objects[id]; o != nil {
			out = append(out, o)
		}
	}
	return out
}

// data is what templates see of an object.
func (r *run) data(o *object) map[string]any {
	out := map[string]any{"namespace": r.namespace(), "user": r.user, "node": r.vars["node"]}
	for name, v := range r.vars {
		out[name] = v
	}
	scope := r.objects
	for _, id := range slices.Sorted(maps.Keys(r.groups)) {
		if slices.Contains(r.groups[id], o) {
			scope = map[string]*object{}
			for _, member := range r.groups[id] {
				scope[member.id] = member
			}
		}
	}
	for id, other := range scope {
		out[id] = map[string]any{"name": other.recorded, "base": other.base, "namespace": other.namespace}
	}
	if o == nil {
		return out
	}
	for key, v := range o.params {
		if s, ok := v.(string); ok {
			v = expandIn(s, scope, r.vars)
		}
		out[key] = v
	}
	out["name"], out["base"], out["token"], out["taint"], out["namespace"] = o.recorded, o.base, o.token, o.taint, o.namespace
	if !o.kind.Namespaced {
		out["namespace"] = ""
	}
	return out
}

// expandIn replaces "$id" and "$variable" in a parameter; what is not known stays.
func expandIn(s string, scope map[string]*object, vars map[string]string) string {
	return reference.ReplaceAllStringFunc(s, func(m string) string {
		name := m[1:]
		if o := scope[name]; o != nil {
			return o.recorded
		}
		if v, ok := vars[name]; ok {
			return v
		}
		return m
	})
}

func (r *run) expandNames(s string) string { return expandIn(s, r.objects, r.vars) }

// manifest is the whole object.
func (r *run) manifest(o *object) (map[string]any, error) {
	body, err := r.execute(o.kind.body, r.data(o))
	if err != nil {
		return nil, fmt.Errorf("manifest of %s %q: %w", o.kind.Name, o.id, err)
	}
	labels := map[string]any{"app": labelValue(o.recorded)}
	// One in three has more labels, one in three a note: sizes differ as they do in practice.
	h := rand.New(rand.NewPCG(uint64(r.number), uint64(len(o.recorded))))
	if h.IntN(3) == 0 {
		labels["tier"] = []string{"gold", "silver", "bronze"}[h.IntN(3)]
		labels["app.kubernetes.io/managed-by"] = []string{"hand", "pipeline", "platform"}[h.IntN(3)]
	}
	meta := map[string]any{"name": o.recorded, "labels": labels}
	if notes := r.planner.lib.Notes; h.IntN(3) == 0 {
		meta["annotations"] = map[string]any{"example.org/note": notes[h.IntN(len(notes))]}
	}
	if o.namespace != "" {
		meta["namespace"] = o.namespace
	}
	for _, name := range []string{"labels", "annotations"} {
		extra, ok := o.params[name].(map[string]any)
		if !ok {
			continue
		}
		into, _ := meta[name].(map[string]any)
		if into == nil {
			into = map[string]any{}
		}
		for key, v := range extra {
			into[key] = r.expandNames(text(v))
		}
		meta[name] = into
	}
	if inner, ok := body["metadata"].(map[string]any); ok {
		for key, v := range inner {
			if m, ok := v.(map[string]any); ok && meta[key] != nil {
				maps.Copy(meta[key].(map[string]any), m)
			} else {
				meta[key] = v
			}
		}
	}
	if o.kind.Bare {
		meta = map[string]any{}
		if o.namespace != "" {
			meta["namespace"] = o.namespace
		}
	}
	body["apiVersion"], body["kind"], body["metadata"] = o.kind.API, o.kind.Kind, meta
	return body, nil
}

// labelValue cuts a name to what a label may hold.
func labelValue(name string) string {
	if len(name) > 63 {
		name = name[:63]
	}
	return strings.Trim(strings.ReplaceAll(name, ":", "."), "-.")
}

func (r *run) execute(t *template.Template, data map[string]any) (map[string]any, error) {
	var b bytes.Buffer
	if err := t.Execute(&b, data); err != nil {
		return nil, err
	}
	out := map[string]any{}
	if err := yaml.Unmarshal(b.Bytes(), &out); err != nil {
		return nil, fmt.Errorf("%w in\n%s", err, b.String())
	}
	return out, nil
}

// fill makes a text from a template that a step carries.
func (r *run) fill(name, source string, o *object, token string) (string, error) {
	t, err := template.New(name).Option("missingkey=error").Parse(source)
	if err != nil {
		return "", err
	}
	data := r.data(o)
	data["token"] = token
	var b strings.Builder
	if err := t.Execute(&b, data); err != nil {
		return "", err
	}
	return b.String(), nil
}

// toJSON turns a YAML or JSON text into compact JSON.
func toJSON(source string) (string, error) {
	out, err := yaml.YAMLToJSON([]byte(source))
	if err != nil {
		return "", err
	}
	return string(out), nil
}

func compact(v any) string {
	out, err := json.Marshal(v)
	if err != nil {
		return "{}"
	}
	return string(out)
}
