package scenario_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"k8ntext/testbed/scenario"
	"k8ntext/testbed/scenarios"
)

var update = flag.Bool("update", false, "write the golden files anew")

// profiles that recordings are made with.
var profiles = []string{"base", "busy", "other-version", "metadata", "metadata-check", "work", "all", "story-expired", "story-chart", "story-stolen"}

func library(t testing.TB) *scenario.Library {
	t.Helper()
	lib, err := scenario.Load(scenarios.FS)
	if err != nil {
		t.Fatal(err)
	}
	return lib
}

func plan(t testing.TB, lib *scenario.Library, profile string, seed uint64, change func(*scenario.Profile)) *scenario.Plan {
	t.Helper()
	p, err := scenario.LoadProfile(scenarios.FS, profile)
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(p)
	}
	out, err := lib.Plan(p, seed)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestSameSeedSamePlan(t *testing.T) {
	lib := library(t)
	text := func(profile string, seed uint64) string {
		b, err := json.Marshal(plan(t, lib, profile, seed, func(p *scenario.Profile) { p.Rounds = 1 }))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	for _, profile := range []string{"all", "busy"} {
		if first, second := text(profile, 1), text(profile, 1); first != second {
			t.Errorf("%s: two plans of one seed differ", profile)
		}
		if text(profile, 1) == text(profile, 2) {
			t.Errorf("%s: plans of two seeds are the same", profile)
		}
	}
}

// The plan of a seed must be the same on every machine and must not change by accident: recordings name
// their seed as what they were made of.
func TestGolden(t *testing.T) {
	p := plan(t, library(t), "metadata-check", 7, func(p *scenario.Profile) { p.Only = []string{"N1", "D2", "helm-app"} })
	var b strings.Builder
	for _, a := range p.Actions {
		fmt.Fprintf(&b, "%s %s %s %s %s wait=%s %s\n", a.ID, a.Scenario, a.Name, a.User, a.Tool, a.Wait, strings.Join(a.Argv, " "))
		for _, q := range a.Requests {
			path, _, _ := strings.Cut(q.Path, "?")
			fmt.Fprintf(&b, "  %s %s\n", q.Verb, path)
		}
	}
	file := filepath.Join("testdata", "plan.golden")
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), b.String()); d != "" {
		t.Errorf("the plan changed (write it anew with -update):\n%s", d)
	}
}

// object is what a manifest tells of an object.
type object struct {
	Kind     string `json:"kind"`
	Metadata struct {
		Name      string `json:"name"`
		Namespace string `json:"namespace"`
	} `json:"metadata"`
}

// manifests are the objects that an action sends to be created.
func manifests(t *testing.T, a *scenario.Action) []object {
	t.Helper()
	var texts []string
	if a.Stdin != "" && a.Tool == scenario.ToolKubectl && len(a.Argv) > 0 && (a.Argv[0] == "create" || a.Argv[0] == "apply") &&
		!slices.Contains(a.Argv, "--dry-run=server") {
		texts = strings.Split(a.Stdin, "\n---\n")
	}
	for _, q := range a.Requests {
		if q.Verb == "POST" && q.Body != "" && !strings.Contains(q.Path, "dryRun") {
			texts = append(texts, q.Body)
		}
	}
	var out []object
	for _, text := range texts {
		var o object
		if err := json.Unmarshal([]byte(text), &o); err != nil {
			t.Fatalf("%s: manifest: %v\n%s", a.ID, err, text)
		}
		out = append(out, o)
	}
	return out
}

// Published names are used again, but never by two objects of one kind that live in one namespace. The
// check does not use what the planner knows: it reads manifests and names.
func TestLivingNamesAreUnique(t *testing.T) {
	lib := library(t)
	seeds := uint64(3)
	if testing.Short() {
		seeds = 1
	}
	for _, profile := range profiles {
		for seed := range seeds {
			p := plan(t, lib, profile, seed, nil)
			living := map[string]string{}  // kind, namespace, logical name: recorded name
			logical := map[string]string{} // by recorded name
			tokens := map[string]string{}
			for _, a := range p.Actions {
				if a.Token != "" {
					if other := tokens[a.Token]; other != "" {
						t.Fatalf("%s seed %d: %s and %s have the same token", profile, seed, other, a.ID)
					}
					tokens[a.Token] = a.ID
				}
				for _, n := range a.Names {
					logical[n.Recorded] = n.Logical
				}
				for _, o := range manifests(t, a) {
					word, named := logical[o.Metadata.Name]
					if !named || a.Expect == "fail" || o.Kind == "Namespace" && p.Lanes > 1 {
						continue
					}
					key := o.Kind + "|" + o.Metadata.Namespace + "|" + word
					if other, there := living[key]; there && other != o.Metadata.Name {
						t.Fatalf("%s seed %d: %s makes %s %s while %s lives", profile, seed, a.ID, o.Kind, o.Metadata.Name, other)
					}
					living[key] = o.Metadata.Name
				}
				verb, _, _ := strings.Cut(a.Name, "-")
				if verb == "delete" || verb == "cleanup" || verb == "uninstall" || verb == "prune" || verb == "drain" || verb == "wait" {
					for _, n := range a.Names {
						for key, recorded := range living {
							if recorded == n.Recorded || strings.Contains(key, "|"+n.Recorded+"|") {
								delete(living, key)
							}
						}
					}
					if verb == "cleanup" || strings.HasPrefix(a.Name, "delete") {
						line := strings.Join(a.Argv, " ")
						for key, recorded := range living {
							if strings.Contains(line, "/"+recorded) || strings.Contains(a.Name, "delete-") && len(a.Names) == 0 && strings.Contains(key, "|"+a.Namespace+"|") {
								delete(living, key)
							}
						}
					}
				}
			}
		}
	}
}

// What an action sends carries its token, or it has none.
func TestTokensTravel(t *testing.T) {
	for _, a := range plan(t, library(t), "all", 3, nil).Actions {
		if a.Token == "" {
			continue
		}
		sent := strings.Join(a.Argv, " ") + a.Stdin
		for _, q := range a.Requests {
			sent += q.Path + q.Body
		}
		if !strings.Contains(sent, a.Token) {
			t.Errorf("%s %s: token %s is nowhere in what it sends", a.ID, a.Name, a.Token)
		}
	}
}

// Every verb of the vocabulary and every scenario occurs in the profile that is there to show them all.
func TestAllScenariosRun(t *testing.T) {
	lib := library(t)
	seen := map[string]bool{}
	for _, a := range plan(t, lib, "all", 1, nil).Actions {
		id, _, _ := strings.Cut(a.Scenario, ":")
		seen[id] = true
	}
	for _, s := range lib.Scenarios {
		if !seen[s.ID] {
			t.Errorf("scenario %s never runs", s.ID)
		}
	}
}

func TestStrict(t *testing.T) {
	const kinds = `
words = ["web"]
notes = ["note"]
[kind.configmap]
resource = "configmaps"
api = "v1"
kind = "ConfigMap"
namespaced = true
draw = { level = ["info"] }
[role.admin]
users = ["anna"]
`
	const good = `
[[scenario]]
id = "one"
about = "One."
namespace = "team"
objects.config = { kind = "configmap" }
steps = [
  { do = "create", on = "config" },
  { kubectl = "get configmap $config" },
]
`
	load := func(text string) error {
		_, err := scenario.Load(fstest.MapFS{"kinds.toml": {Data: []byte(kinds)}, "s.toml": {Data: []byte(text)}})
		return err
	}
	if err := load(good); err != nil {
		t.Fatalf("the unchanged file: %v", err)
	}
	for _, c := range []struct{ name, old, new, want string }{
		{"verb", `do = "create"`, `do = "crate"`, `s.toml:8: unknown verb "crate": did you mean "create"?`},
		{"key", `about =`, `abuot =`, `s.toml:4: unknown key "abuot": did you mean "about"?`},
		{"key of a step", `on = "config" }`, `onn = "config" }`, `s.toml:8: unknown key "onn": did you mean "on"?`},
		{"kind", `kind = "configmap" }`, `kind = "confgmap" }`, `s.toml:6: scenario "one": object "config": unknown kind "confgmap": did you mean "configmap"?`},
		{"parameter", `kind = "configmap" }`, `kind = "configmap", levl = "x" }`, `s.toml:6: scenario "one": object "config": kind "configmap": unknown parameter "levl": did you mean "level"?`},
		{"operand", `on = "config" }`, `on = "confg" }`, `s.toml:8: scenario "one": step 1: unknown object or resource "confg": did you mean "config"?`},
		{"resource", `get configmap $config`, `get confgmaps $config`, `s.toml:9: scenario "one": step 2: unknown resource "confgmaps": did you mean "configmaps"?`},
		{"command", `kubectl = "get`, `kubectl = "gte`, `s.toml:9: scenario "one": step 2: unknown kubectl command "gte": did you mean "get"?`},
		{"variable", `$config"`, `$confg"`, `s.toml:9: scenario "one": step 2: unknown variable or object "confg": did you mean "config"?`},
		{"expectation", `on = "config" }`, `on = "config", expect = "okay" }`, `unknown expectation "okay": did you mean "ok"?`},
		{"wait", `on = "config" }`, `on = "config", wait = "wrk" }`, `unknown wait "wrk": did you mean "work"?`},
		{"role", `namespace = "team"`, `roles = ["admn"]`, `unknown role "admn": did you mean "admin"?`},
		{"tool", `on = "config" }`, `on = "config", tool = "helm" }`, `verb "create": unknown tool "helm"`},
		{"two ways", `{ kubectl = "get`, `{ do = "get", kubectl = "get`, `exactly one of "do", "any" and "kubectl" is needed`},
		{"syntax", `steps = [`, `steps = `, `s.toml:7: `},
		{"quote", `$config"`, `'$config"`, `a quote is not closed`},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := strings.Replace(good, c.old, c.new, 1)
			if text == good {
				t.Fatal("nothing was changed")
			}
			err := load(text)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
		})
	}
}

func FuzzLoad(f *testing.F) {
	for _, name := range []string{"more.toml", "faults.toml", "charts.toml"} {
		text, err := scenarios.FS.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text[:min(len(text), 4000)]))
	}
	kinds, err := scenarios.FS.ReadFile("kinds.toml")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		lib, err := scenario.Load(fstest.MapFS{"kinds.toml": {Data: kinds}, "x.toml": {Data: []byte(text)}})
		if err != nil {
			return
		}
		p := &scenario.Profile{Name: "fuzz", Mode: scenario.Sequential, Rounds: 1, Neighbours: [2]int{1, 2}, Nodes: 1, Teams: []string{"team"}}
		_, _ = lib.Plan(p, 1) // must not panic
	})
}
