// Package coverage says which of a server's operations the people of a recording asked for.
package coverage

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"k8ntext/testbed/actor"
)

// Operation is a verb on a resource, and how often a person asked for it.
type Operation struct {
	Group       string `json:"group"`
	Resource    string `json:"resource"`
	Subresource string `json:"subresource,omitempty"`
	Verb        string `json:"verb"`
	Count       int    `json:"count"`
}

// Label is an action label: what a request is, not whom it meets. Verbs are merged as in the corpus.
type Label struct {
	Group       string `json:"group"`
	Resource    string `json:"resource"`
	Subresource string `json:"subresource,omitempty"`
	Verb        string `json:"verb"`
	Namespaced  bool   `json:"namespaced"`
	Single      bool   `json:"single"`
}

// Report is the coverage of one or more recordings.
type Report struct {
	Recordings []string    `json:"recordings"`
	Events     int         `json:"events"`
	Direct     int         `json:"direct"` // events that carry a stamp
	Operations []Operation `json:"operations"`
	// Labels of all stamped events, and of those that a labelled recording calls triggers.
	Labels        int `json:"labels"`
	TriggerLabels int `json:"triggerLabels,omitempty"`
	// Rare are the labels that fewer than six events have, by what is counted: triggers where known.
	Rare []RareLabel `json:"rare,omitempty"`
}

// RareLabel is a label and how often it occurs.
type RareLabel struct {
	Label
	Count int `json:"count"`
}

// event is what matters of a line.
type event struct {
	Stage      string `json:"stage"`
	Verb       string `json:"verb"`
	UserAgent  string `json:"userAgent"`
	RequestURI string `json:"requestURI"`
	ObjectRef  *struct {
		APIGroup    string `json:"apiGroup"`
		Resource    string `json:"resource"`
		Subresource string `json:"subresource"`
		Namespace   string `json:"namespace"`
		Name        string `json:"name"`
	} `json:"objectRef"`
	Context json.RawMessage `json:"context"`
	Trigger bool            `json:"trigger"`
}

var stamp = regexp.MustCompile(`(^|[- /])a\d{5}($|[ /])`)

// rarely is below how many occurrences a label counts as rare.
const rarely = 6

// Of reads recordings: what their servers offered, and what was asked for.
func Of(dirs ...string) (*Report, error) {
	r := &Report{Recordings: dirs}
	counts := map[Operation]int{}
	labels, triggers := map[Label]int{}, map[Label]int{}
	for _, dir := range dirs {
		if err := offered(dir, counts); err != nil {
			return nil, err
		}
		err := scan(filepath.Join(dir, "audit.log"), func(e *event) {
			r.Events++
			if !stamp.MatchString(e.UserAgent) {
				return
			}
			r.Direct++
			if e.ObjectRef == nil {
				return
			}
			o := e.ObjectRef
			counts[Operation{Group: o.APIGroup, Resource: o.Resource, Subresource: o.Subresource, Verb: e.Verb}]++
			labels[labelOf(e)]++
		})
		if err != nil {
			return nil, err
		}
		err = scan(filepath.Join(dir, "labelled.jsonl"), func(e *event) {
			if e.Trigger && e.ObjectRef != nil && strings.HasPrefix(string(e.Context), `"a`) {
				triggers[labelOf(e)]++
			}
		})
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
	}
	for o, n := range counts {
		o.Count = n
		r.Operations = append(r.Operations, o)
	}
	slices.SortFunc(r.Operations, func(a, b Operation) int {
		return cmp.Or(cmp.Compare(a.Group, b.Group), cmp.Compare(a.Resource, b.Resource), cmp.Compare(a.Subresource, b.Subresource), cmp.Compare(a.Verb, b.Verb))
	})
	r.Labels, r.TriggerLabels = len(labels), len(triggers)
	counted := labels
	if len(triggers) > 0 {
		counted = triggers
	}
	for l, n := range counted {
		if n < rarely {
			r.Rare = append(r.Rare, RareLabel{l, n})
		}
	}
	slices.SortFunc(r.Rare, func(a, b RareLabel) int {
		return cmp.Or(cmp.Compare(a.Count, b.Count), cmp.Compare(a.String(), b.String()))
	})
	return r, nil
}

// String is a label on one line.
func (l Label) String() string {
	name := l.Resource
	if l.Subresource != "" {
		name += "/" + l.Subresource
	}
	if l.Group != "" {
		name += "." + l.Group
	}
	return fmt.Sprintf("%s %s namespaced=%t single=%t", l.Verb, name, l.Namespaced, l.Single)
}

// merged verbs: the corpus does not tell a get from a list by its verb.
var merged = map[string]string{"list": "get", "update": "patch", "deletecollection": "delete"}

func labelOf(e *event) Label {
	o := e.ObjectRef
	return Label{
		Group: o.APIGroup, Resource: o.Resource, Subresource: o.Subresource,
		Verb: cmp.Or(merged[e.Verb], e.Verb), Namespaced: o.Namespace != "", Single: o.Name != "",
	}
}

// offered adds what a server offers, with no count yet. Versions of a group are one.
func offered(dir string, counts map[Operation]int) error {
	text, err := os.ReadFile(filepath.Join(dir, actor.ResourcesFile))
	if err != nil {
		return fmt.Errorf("coverage of %s: %w", dir, err)
	}
	var list []actor.Resource
	if err := json.Unmarshal(text, &list); err != nil {
		return fmt.Errorf("coverage of %s: %s: %w", dir, actor.ResourcesFile, err)
	}
	for _, x := range list {
		for _, verb := range x.Verbs {
			counts[Operation{Group: x.Group, Resource: x.Resource, Subresource: x.Subresource, Verb: verb}] += 0
		}
	}
	return nil
}

// scan reads the final line of every event. A last line that is cut off is left out.
func scan(path string, use func(*event)) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	b := bufio.NewReaderSize(f, 1<<20)
	for n := 1; ; n++ {
		line, err := b.ReadBytes('\n')
		if err != nil {
			if err == io.EOF {
				return nil
			}
			return fmt.Errorf("read %s: %w", path, err)
		}
		var e event
		if err := json.Unmarshal(line, &e); err != nil {
			return fmt.Errorf("read %s: line %d: %w", path, n, err)
		}
		if e.Stage == "ResponseComplete" || e.Stage == "Panic" {
			use(&e)
		}
	}
}
