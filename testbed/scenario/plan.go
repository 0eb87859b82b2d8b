package scenario

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"
)

// defaultTimeout ends a command that hangs.
const defaultTimeout = 25 * time.Second

// Plan expands the library: the same profile and seed give the same actions in the same order.
func (lib *Library) Plan(p *Profile, seed uint64) (*Plan, error) {
	if err := p.check(); err != nil {
		return nil, fmt.Errorf("profile %q: %w", p.Name, err)
	}
	pl := &planner{
		lib: lib, profile: p, rng: rand.New(rand.NewPCG(seed, 0)), seed: seed,
		living: map[string]bool{}, tokens: map[string]bool{},
	}
	plan := &Plan{
		Profile: p.Name, Seed: seed, Mode: p.Mode, Minor: p.Minor, Nodes: p.Nodes, Level: p.Level,
		Overlap: p.Overlap, Teams: p.Teams, Lanes: max(1, len(p.Lanes)),
	}
	if p.Mode == Sequential {
		plan.Lanes = 1
	}
	queues, err := pl.queues(plan.Lanes)
	if err != nil {
		return nil, err
	}
	budget := 0
	if p.Actions > 0 {
		budget = p.Actions / plan.Lanes
	}
	var lanes [][]*Action
	for lane, queue := range queues {
		actions, err := pl.lane(lane, queue, budget)
		if err != nil {
			return nil, err
		}
		lanes = append(lanes, actions)
	}
	plan.Actions = merge(lanes)
	return plan, nil
}

// planner holds what is known while a plan grows.
type planner struct {
	lib     *Library
	profile *Profile
	rng     *rand.Rand
	seed    uint64
	runs    int
	living  map[string]bool // kind, namespace and logical name of objects that live
	tokens  map[string]bool // given out
}

// variant is a scenario, for one kind if it is for several.
type variant struct {
	scenario *Scenario
	kind     *Kind
}

// queues distributes the runs of all rounds over the lanes.
func (pl *planner) queues(lanes int) ([][]*run, error) {
	variants, err := pl.variants()
	if err != nil {
		return nil, err
	}
	out := make([][]*run, lanes)
	for round := range pl.profile.Rounds {
		var order []int
		for i, v := range variants {
			times := 1
			for _, tag := range v.scenario.Tags {
				times = max(times, pl.profile.Repeat[tag])
			}
			order = append(order, slices.Repeat([]int{i}, times)...)
		}
		pl.rng.Shuffle(len(order), func(a, b int) { order[a], order[b] = order[b], order[a] })
		for _, i := range order {
			v := variants[i]
			every := max(1, v.scenario.Every)
			if every > pl.profile.Rounds {
				every = 1 // else it might never run
			}
			for _, tag := range v.scenario.Tags {
				every = max(every, pl.profile.Every[tag])
			}
			if (round+i)%every != 0 {
				continue
			}
			if v.kind != nil && pl.profile.Share > 0 && pl.rng.Float64() > pl.profile.Share {
				continue
			}
			lane, user := pl.assign(v, out)
			if user == "" {
				continue // nobody in this profile has the role
			}
			pl.runs++
			out[lane] = append(out[lane], pl.newRun(v, pl.runs, lane, user))
		}
	}
	return out, nil
}

// variants are the scenarios that take part, in the order of the files.
func (pl *planner) variants() ([]variant, error) {
	selects := func(list []string, s *Scenario) bool {
		return slices.ContainsFunc(list, func(w string) bool { return w == s.ID || slices.Contains(s.Tags, w) })
	}
	for _, w := range slices.Concat(pl.profile.Only, pl.profile.Except) {
		if !slices.ContainsFunc(pl.lib.Scenarios, func(s *Scenario) bool { return selects([]string{w}, s) }) {
			var known []string
			for _, s := range pl.lib.Scenarios {
				known = append(append(known, s.ID), s.Tags...)
			}
			if id, kind, one := strings.Cut(w, ":"); one && pl.lib.Kinds[kind] != nil && slices.Contains(known, id) {
				continue // one kind of a scenario
			}
			return nil, fmt.Errorf("profile %q: %w", pl.profile.Name, unknown("scenario or tag", w, known))
		}
	}
	var out []variant
	for _, s := range pl.lib.Scenarios {
		if len(pl.profile.Only) > 0 && !selects(pl.profile.Only, s) || selects(pl.profile.Except, s) {
			continue
		}
		if len(s.Kinds) == 0 {
			out = append(out, variant{s, nil})
			continue
		}
		kinds := s.Kinds
		if slices.Contains(kinds, "all") {
			kinds = slices.Sorted(maps.Keys(pl.lib.Kinds))
		}
		for _, k := range kinds {
			if !slices.Contains(s.Except, k) && !slices.Contains(pl.profile.Except, s.ID+":"+k) {
				out = append(out, variant{s, pl.lib.Kinds[k]})
			}
		}
	}
	return out, nil
}

// assign draws who does a run. With lanes it is one whose user has the role and who has little to do.
func (pl *planner) assign(v variant, queues [][]*run) (lane int, user string) {
	roles := v.scenario.Roles
	if len(roles) == 0 {
		roles = []string{"admin"}
	}
	if len(queues) == 1 && pl.profile.Mode == Sequential {
		users := pl.lib.Roles[roles[pl.rng.IntN(len(roles))]].Users
		return 0, users[pl.rng.IntN(len(users))]
	}
	var fitting []int
	for i, u := range pl.profile.Lanes {
		if name, _ := pl.lib.RoleOf(u); slices.Contains(roles, name) {
			fitting = append(fitting, i)
		}
	}
	if len(fitting) == 0 {
		return 0, ""
	}
	lane = slices.MinFunc(fitting, func(a, b int) int { return cmp.Compare(weight(queues[a]), weight(queues[b])) })
	return lane, pl.profile.Lanes[lane]
}

// weight is roughly how many seconds a queue takes: every action waits until its work is done.
func weight(queue []*run) float64 {
	const think, read, work, namespace = 1.3, 0.3, 2.5, 8.0
	sum := 0.0
	for _, r := range queue {
		if r.scenario.Namespace == "own" {
			sum += namespace
		}
		for _, st := range r.scenario.Steps {
			command, _, _ := strings.Cut(st.Kubectl, " ")
			v := st.Do
			if len(st.Any) > 0 {
				v = st.Any[0]
			}
			sum += think + read
			if !verbs[v].read && !kubectlCommands[command].read {
				sum += work
			}
		}
	}
	return sum
}

// lane mixes the actions of neighbouring runs of one queue.
func (pl *planner) lane(lane int, queue []*run, budget int) ([]*Action, error) {
	var actions []*Action
	var open []*run
	want := 1
	for len(queue) > 0 || len(open) > 0 {
		if budget > 0 && len(actions) >= budget {
			queue = nil
		}
		for len(queue) > 0 && len(open) < want && !(len(open) > 0 && (queue[0].scenario.Alone || open[0].scenario.Alone)) {
			open = append(open, queue[0])
			queue = queue[1:]
			want = pl.profile.Neighbours[0] + pl.rng.IntN(pl.profile.Neighbours[1]-pl.profile.Neighbours[0]+1)
		}
		if len(open) == 0 {
			break
		}
		i := pl.rng.IntN(len(open))
		for range 1 + pl.rng.IntN(4) {
			a, done, err := open[i].next()
			if err != nil {
				return nil, fmt.Errorf("plan scenario %q (run %d): %w", open[i].scenario.ID, open[i].number, err)
			}
			if a != nil {
				a.Lane = lane
				a.Think = pl.think()
				a.Hasty = pl.profile.Overlap > 0 && pl.rng.Float64() < pl.profile.Overlap
				actions = append(actions, a)
			}
			if done {
				open = slices.Delete(open, i, i+1)
				break
			}
		}
	}
	return actions, nil
}

func (pl *planner) think() time.Duration {
	low, high := pl.profile.Think[0], pl.profile.Think[1]
	return time.Duration((low + (high-low)*pl.rng.Float64()) * float64(time.Second)).Round(time.Millisecond)
}

// merge puts the lanes' actions in the order in which they are expected and numbers them.
func merge(lanes [][]*Action) []*Action {
	type planned struct {
		*Action
		at time.Duration
	}
	var all []planned
	for _, actions := range lanes {
		at := time.Duration(0)
		for _, a := range actions {
			at += a.Think + a.WaitOf().Quiet + 300*time.Millisecond
			all = append(all, planned{a, at})
		}
	}
	slices.SortStableFunc(all, func(a, b planned) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.Lane, b.Lane)) })
	out := make([]*Action, len(all))
	for i, p := range all {
		p.ID = fmt.Sprintf("a%05d", i+1)
		out[i] = p.Action
	}
	return out
}

// token is six letters and digits that no other action has, beginning with a letter.
func (pl *planner) token(rng *rand.Rand) string {
	// Without vowels, so that no token is a word that occurs elsewhere.
	const letters, signs = "bcdfghjkmnpqrstvwxz", "bcdfghjkmnpqrstvwxz23456789"
	for {
		b := []byte{letters[rng.IntN(len(letters))]}
		digit := false
		for range 5 {
			c := signs[rng.IntN(len(signs))]
			digit = digit || c <= '9'
			b = append(b, c)
		}
		if t := string(b); digit && !pl.tokens[t] {
			pl.tokens[t] = true
			return t
		}
	}
}

// word draws a logical name that no living object of the kind has in the namespace. Lanes draw from
// disjoint words where they could meet, since nobody knows in which order they will act.
func (pl *planner) word(r *run, k *Kind, namespace string) (string, error) {
	shared := pl.profile.Mode == Concurrent && (!k.Namespaced || slices.Contains(pl.profile.Teams, namespace) || !r.owns(namespace))
	words := pl.lib.Words
	if shared {
		words = nil
		for i, w := range pl.lib.Words {
			if i%len(pl.profile.Lanes) == r.lane {
				words = append(words, w)
			}
		}
	}
	for _, i := range r.rng.Perm(len(words)) {
		if !pl.living[key(k, namespace, words[i])] {
			return words[i], nil
		}
	}
	return "", fmt.Errorf("all %d names for a %s in namespace %q are living: add words or open fewer runs", len(words), k.Name, namespace)
}

func key(k *Kind, namespace, logical string) string {
	if !k.Namespaced {
		namespace = ""
	}
	return k.Resource + "." + k.Group() + "|" + namespace + "|" + logical
}

// draw gives a value itself, or one of a list.
func draw(rng *rand.Rand, v any) any {
	if list, ok := v.([]any); ok && len(list) > 0 {
		return list[rng.IntN(len(list))]
	}
	return v
}

// text is a drawn value as it stands in a command line.
func text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	default:
		return strings.TrimSpace(fmt.Sprint(v))
	}
}
