package scenario

import (
	"fmt"
	"maps"
	"slices"
)

// Verb is what a step does, by the name that scenarios use.
type Verb string

// UnmarshalText makes an unknown verb an error while the file is read.
func (v *Verb) UnmarshalText(text []byte) error {
	if _, known := verbs[Verb(text)]; !known {
		return unknown("verb", string(text), slices.Collect(maps.Keys(verbs)))
	}
	*v = Verb(text)
	return nil
}

// Tools that execute actions.
const (
	ToolKubectl = "kubectl" // the real program
	ToolClient  = "client"  // requests through client-go
	ToolHelm    = "helm"    // the same, with release secrets
	ToolGitOps  = "gitops"  // the same, server-side apply of everything
	ToolCluster = "cluster" // not a request: a component of the cluster dies or starts
)

// operand is what a verb works on.
type operand int

const (
	onNothing operand = iota
	onObject          // one or more objects of the scenario, or a chart
	onKind            // a kind, or the kind of an object
	onPod             // one running pod of an object
)

// verbSpec says what a verb needs and does.
type verbSpec struct {
	operand operand
	tools   []string
	sub     string // subresource that the request names
	kindSub bool   // the kind must list that subresource
	all     bool   // over all namespaces
	makes   bool   // the objects live afterwards
	drops   bool   // the objects are gone afterwards
	read    bool   // changes nothing
	renders bool   // sends the manifest
}

var both = []string{ToolKubectl, ToolClient}

// verbs is the vocabulary. Everything else that kubectl can do is written as a command line.
var verbs = map[Verb]verbSpec{
	"create":       {operand: onObject, tools: both, makes: true, renders: true},
	"apply":        {operand: onObject, tools: []string{ToolKubectl}, makes: true, renders: true},
	"server-apply": {operand: onObject, tools: both, makes: true, renders: true},
	"dry-run":      {operand: onObject, tools: both, read: true, renders: true},
	"replace":      {operand: onObject, tools: both, renders: true},
	"update":       {operand: onObject, tools: []string{ToolClient}},
	"get":          {operand: onObject, tools: both, read: true},
	"describe":     {operand: onObject, tools: []string{ToolKubectl}, read: true},
	"label":        {operand: onObject, tools: []string{ToolKubectl}},
	"annotate":     {operand: onObject, tools: []string{ToolKubectl}},
	"edit":         {operand: onObject, tools: []string{ToolKubectl}},
	"patch":        {operand: onObject, tools: both},
	"get-status":   {operand: onObject, tools: both, sub: "status", kindSub: true, read: true},
	"patch-status": {operand: onObject, tools: both, sub: "status", kindSub: true},
	"get-scale":    {operand: onObject, tools: both, sub: "scale", kindSub: true, read: true},
	"scale":        {operand: onObject, tools: both, sub: "scale", kindSub: true},
	"delete":       {operand: onObject, tools: both, drops: true},

	"list":         {operand: onKind, tools: both, read: true},
	"list-all":     {operand: onKind, tools: both, read: true, all: true},
	"watch":        {operand: onKind, tools: []string{ToolClient}, read: true},
	"watch-all":    {operand: onKind, tools: []string{ToolClient}, read: true, all: true},
	"watch-one":    {operand: onObject, tools: []string{ToolClient}, read: true},
	"follow":       {operand: onKind, tools: []string{ToolKubectl}, read: true},
	"inform":       {operand: onKind, tools: []string{ToolClient}, read: true},
	"inform-all":   {operand: onKind, tools: []string{ToolClient}, read: true, all: true},
	"delete-all":   {operand: onKind, tools: []string{ToolClient}, drops: true},
	"delete-label": {operand: onObject, tools: []string{ToolClient}, drops: true},

	"evict":     {operand: onPod, tools: []string{ToolClient}, sub: "eviction"},
	"get-pod":   {operand: onPod, tools: both, read: true},
	"logs":      {operand: onPod, tools: both, sub: "log", read: true},
	"proxy-pod": {operand: onPod, tools: []string{ToolClient}, sub: "proxy", read: true},
	"resize":    {operand: onPod, tools: both, sub: "resize"},

	"raw":     {tools: both, read: true},
	"request": {tools: []string{ToolClient}},

	"install":   {operand: onObject, tools: []string{ToolHelm}, makes: true, renders: true},
	"upgrade":   {operand: onObject, tools: []string{ToolHelm}, renders: true},
	"rollback":  {operand: onObject, tools: []string{ToolHelm}, renders: true},
	"uninstall": {operand: onObject, tools: []string{ToolHelm}, drops: true},
	"releases":  {operand: onObject, tools: []string{ToolHelm}, read: true},

	"sync":  {operand: onObject, tools: []string{ToolGitOps}, makes: true, renders: true},
	"prune": {operand: onObject, tools: []string{ToolGitOps}, drops: true},

	"kill":        {tools: []string{ToolCluster}},
	"start":       {tools: []string{ToolCluster}},
	"expire":      {tools: []string{ToolCluster}},
	"renew":       {tools: []string{ToolCluster}},
	"add-node":    {tools: []string{ToolCluster}},
	"remove-node": {tools: []string{ToolCluster}},
	"sleep":       {tools: []string{ToolCluster}},
}

// kubectlCommands are the commands that a step's command line may begin with; the value tells whether
// the command takes a resource, and whether it changes anything.
var kubectlCommands = map[string]struct{ resource, read bool }{
	"annotate": {resource: true}, "api-resources": {read: true}, "api-versions": {read: true},
	"apply": {}, "attach": {read: true}, "auth": {read: true}, "autoscale": {resource: true},
	"certificate": {}, "cluster-info": {read: true}, "cordon": {}, "cp": {read: true}, "create": {},
	"debug": {}, "delete": {resource: true}, "describe": {resource: true, read: true}, "diff": {read: true},
	"drain": {}, "edit": {resource: true}, "events": {read: true}, "exec": {read: true},
	"explain": {resource: true, read: true}, "expose": {resource: true}, "get": {resource: true, read: true},
	"label": {resource: true}, "logs": {read: true}, "patch": {resource: true},
	"port-forward": {read: true}, "proxy": {read: true}, "replace": {}, "rollout": {}, "run": {},
	"scale": {resource: true}, "set": {}, "taint": {resource: true}, "top": {read: true},
	"uncordon": {}, "version": {read: true}, "wait": {read: true},
}

// unknown says that a word is not in the vocabulary and which one is nearest.
func unknown(what, got string, known any) error {
	var words []string
	switch known := known.(type) {
	case []string:
		words = slices.Clone(known)
	case []Verb:
		for _, v := range known {
			words = append(words, string(v))
		}
	}
	slices.Sort(words)
	if best := nearest(got, words); best != "" {
		return fmt.Errorf("unknown %s %q: did you mean %q?", what, got, best)
	}
	return fmt.Errorf("unknown %s %q", what, got)
}

// nearest gives the word with the smallest edit distance, "" if none is near.
func nearest(got string, words []string) string {
	best, least := "", len(got)/2+2
	for _, w := range words {
		if d := distance(got, w); d < least {
			best, least = w, d
		}
	}
	return best
}

func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}
