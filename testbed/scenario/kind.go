package scenario

import (
	"fmt"
	"slices"
	"strings"
	"text/template"
)

// Kind is one kind of object that scenarios may work on.
type Kind struct {
	// Name is its key in kinds.toml, as scenarios write it: "deployment".
	Name string `toml:"-"`
	// Resource is the plural in URLs: "deployments".
	Resource string `toml:"resource"`
	// API is the group and version: "apps/v1"; the core group is "v1".
	API string `toml:"api"`
	// Kind is the kind in manifests: "Deployment".
	Kind string `toml:"kind"`
	// Namespaced tells whether objects live in a namespace.
	Namespaced bool `toml:"namespaced"`
	// Workload marks kinds whose changes make others work for seconds: pods start, objects are collected.
	Workload bool `toml:"workload"`
	// Pods marks kinds whose body holds a pod: they have the parameters of all pods.
	Pods bool `toml:"pods"`
	// Subresources that get and patch may name: "status", "scale".
	Subresources []string `toml:"subresources"`
	// Without lists verbs of the vocabulary that this kind does not offer.
	Without []Verb `toml:"without"`
	// Bare marks kinds whose objects are questions: they have no name.
	Bare bool `toml:"bare"`
	// Suffix ends the name of every object, for kinds whose names must have a certain form.
	Suffix string `toml:"suffix"`
	// Prefix begins it.
	Prefix string `toml:"prefix"`
	// Logical replaces the drawn name where the name is bound to something else.
	Logical string `toml:"logical"`
	// Draw gives the parameters of the body: one value each, or a list of which one is drawn.
	Draw map[string]any `toml:"draw"`
	// Patch is the default merge patch, a template; without one a label is changed.
	Patch string `toml:"patch"`
	// Body is the manifest without apiVersion, kind and metadata: a template that gives YAML.
	Body string `toml:"body"`

	body, patch *template.Template
}

// Group is the API group; "" is the core group.
func (k *Kind) Group() string {
	group, _, found := strings.Cut(k.API, "/")
	if !found {
		return ""
	}
	return group
}

// qualified is the resource as kubectl understands it without doubt: "deployments.v1.apps".
func (k *Kind) qualified() string {
	group, version, found := strings.Cut(k.API, "/")
	if !found {
		return k.Resource
	}
	return k.Resource + "." + version + "." + group
}

// path is the URL of the collection, of one object (name not empty) or of its subresource.
func (k *Kind) path(namespace, name, sub string) string {
	var b strings.Builder
	if k.Group() == "" {
		b.WriteString("/api/")
	} else {
		b.WriteString("/apis/")
	}
	b.WriteString(k.API)
	if k.Namespaced && namespace != "" {
		b.WriteString("/namespaces/" + namespace)
	}
	b.WriteString("/" + k.Resource)
	if name != "" {
		b.WriteString("/" + name)
	}
	if sub != "" {
		b.WriteString("/" + sub)
	}
	return b.String()
}

// offers tells whether the kind has what the verb needs.
func (k *Kind) offers(v Verb) bool {
	spec := verbs[v]
	switch {
	case slices.Contains(k.Without, v):
		return false
	case spec.sub != "" && spec.kindSub && !slices.Contains(k.Subresources, spec.sub):
		return false
	case spec.all && !k.Namespaced:
		return false
	}
	return true
}

// compile parses the templates. Every body may use the partials.
func (k *Kind) compile(partials *template.Template) error {
	var err error
	if k.body, err = parse(partials, k.Name, k.Body); err != nil {
		return fmt.Errorf("kind %q: body: %w", k.Name, err)
	}
	if k.patch, err = parse(partials, k.Name+" patch", k.Patch); err != nil {
		return fmt.Errorf("kind %q: patch: %w", k.Name, err)
	}
	return nil
}

func parse(partials *template.Template, name, text string) (*template.Template, error) {
	t, err := partials.Clone()
	if err != nil {
		return nil, err
	}
	return t.New(name).Option("missingkey=error").Parse(text)
}
