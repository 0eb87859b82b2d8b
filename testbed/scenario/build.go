package scenario

import (
	"cmp"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// action makes the action of a step; nil if the kind does not offer it.
func (r *run) action(st *Step) (*Action, error) {
	var a *Action
	var err error
	switch {
	case st.Kubectl != "":
		a, err = r.command(st)
	case slices.Contains(verbs[st.Do].tools, ToolCluster):
		a = r.fault(st)
	case verbs[st.Do].operand == onNothing:
		a, err = r.plain(st)
	default:
		a, err = r.verb(st)
	}
	if a == nil || err != nil {
		return nil, err
	}
	if st.By != "" {
		a.User = st.By
		if role := r.planner.lib.Roles[st.By]; role != nil {
			a.User = role.Users[r.rng.IntN(len(role.Users))]
		}
	}
	if a.Tool != ToolKubectl && a.Tool != ToolCluster {
		a.Agent = r.agent(a)
	}
	a.Expect = cmp.Or(st.Expect, a.Expect)
	a.Wait = cmp.Or(st.Wait, a.Wait)
	a.Name = cmp.Or(st.Action, a.Name)
	if st.Timeout > 0 {
		a.Timeout = time.Duration(st.Timeout) * time.Second
	}
	if st.Save != "" {
		a.Save = fmt.Sprintf("%d.%s", r.number, st.Save)
	}
	if st.With != "" {
		a.With = fmt.Sprintf("%d.%s", r.number, st.With)
	}
	return a, nil
}

// agent is the user agent of a client program.
func (r *run) agent(a *Action) string {
	switch a.Tool {
	case ToolHelm:
		return "Helm/3.16.3"
	case ToolGitOps:
		return "argocd-application-controller/v2.13.1"
	}
	_, role := r.planner.lib.RoleOf(a.User)
	if role == nil || len(role.Agents) == 0 {
		return "client-go/v0.34.4"
	}
	return role.Agents[r.rng.IntN(len(role.Agents))]
}

// manager is the field manager that a client program names.
func manager(agent string) string {
	name, _, _ := strings.Cut(agent, "/")
	return name
}

func (r *run) tool(st *Step, spec verbSpec) string {
	var tools []string
	for _, t := range st.Tool {
		if slices.Contains(spec.tools, t) {
			tools = append(tools, t)
		}
	}
	if len(tools) == 0 {
		tools = spec.tools
	}
	return tools[r.rng.IntN(len(tools))]
}

// verb makes the action of a verb of the vocabulary that works on objects, kinds or pods.
func (r *run) verb(st *Step) (*Action, error) {
	spec := verbs[st.Do]
	kind := r.kindOperand(st)
	objects := r.operands(st.On)
	if kind == nil && len(objects) > 0 {
		kind = objects[0].kind
	}
	if kind == nil {
		return nil, fmt.Errorf("verb %q: there is nothing called %v", st.Do, st.On)
	}
	if !kind.offers(st.Do) {
		if r.kind == nil {
			return nil, fmt.Errorf("verb %q: kind %q does not offer it", st.Do, kind.Name)
		}
		return nil, nil
	}
	name := kind.Name
	if _, isChart := r.groups[st.On[0]]; isChart {
		name = "chart"
	} else if len(objects) > 1 {
		name = "objects"
	}
	a := r.start(string(st.Do)+"-"+name, r.tool(st, spec))
	token := ""
	if spec.makes || len(st.Set) > 0 || strings.Contains(st.Patch, ".token") {
		token = r.planner.token(r.rng)
	}
	if spec.makes {
		if err := r.make(st.On, objects, token); err != nil {
			return nil, err
		}
	}
	for _, o := range objects {
		if !o.made && !spec.renders {
			return nil, fmt.Errorf("verb %q: no step before makes object %q", st.Do, o.id)
		}
	}
	if st.Do == "dry-run" {
		// Named like an object, but never there.
		token = r.planner.token(r.rng)
		for _, o := range objects {
			if !o.made {
				if err := r.allocate(o, token, ""); err != nil {
					return nil, err
				}
				r.drop(o)
				o.made = false
			}
		}
	}
	changed := map[string]bool{}
	for _, o := range objects {
		for key, v := range st.Set {
			if _, known := o.kind.Draw[key]; known {
				changed[key] = true
			} else if len(objects) == 1 {
				return nil, fmt.Errorf("set: kind %q has no parameter %q", o.kind.Name, key)
			}
			_ = v
		}
		r.set(o, objects, st, token)
	}
	if len(objects) > 0 && objects[0].namespace != "" {
		a.Namespace = objects[0].namespace
	}
	a.Wait = waitFor(st.Do, spec, kind, objects, changed)
	if r.own != nil && a.Namespace == "" {
		a.Namespace = r.own.recorded
	}
	if token != "" {
		a.Token = token
	}
	if err := r.fillIn(a, st, spec, kind, objects, token); err != nil {
		return nil, fmt.Errorf("verb %q: %w", st.Do, err)
	}
	for _, o := range objects {
		a.Names = append(a.Names, Name{o.recorded, o.logical})
		if spec.drops {
			r.drop(o)
			if o.kind.Name == "namespace" {
				a.Namespace = o.recorded // whose end one waits for
			}
		}
	}
	if rel := r.charts[st.On[0]]; rel != nil && spec.drops {
		r.drop(rel.name)
	}
	if spec.drops && spec.operand == onKind {
		for _, o := range r.left() {
			if o.kind == kind {
				r.drop(o)
			}
		}
	}
	if token != "" && !carries(a, token) {
		a.Token = ""
	}
	return a, nil
}

// kindOperand is the kind that a step names, if it names one.
func (r *run) kindOperand(st *Step) *Kind {
	id := st.On[0]
	if r.objects[id] != nil || r.groups[id] != nil {
		return nil
	}
	if id == "$kind" {
		return r.kind
	}
	return r.planner.lib.Kinds[id]
}

// make names the objects that a step creates; what lives already keeps its name.
func (r *run) make(ids []string, objects []*object, token string) error {
	release := ""
	if rel := r.charts[ids[0]]; rel != nil {
		if !rel.name.made {
			if err := r.allocate(rel.name, token, ""); err != nil {
				return err
			}
			r.objects["release:"+ids[0]] = rel.name
			rel.name.alive = false
		}
		release = rel.name.word
	}
	for _, o := range objects {
		if o.alive {
			continue
		}
		if err := r.allocate(o, token, release); err != nil {
			return err
		}
	}
	return nil
}

// set changes parameters, preferring values other than the present one.
func (r *run) set(o *object, objects []*object, st *Step, token string) {
	for key, v := range st.Set {
		if _, known := o.kind.Draw[key]; !known {
			continue
		}
		next := draw(r.rng, v)
		if list, ok := v.([]any); ok && len(list) > 1 && text(next) == text(o.params[key]) {
			i := slices.IndexFunc(list, func(x any) bool { return text(x) != text(next) })
			if i >= 0 {
				next = list[i]
			}
		}
		if o.kind.Name == "job" && len(objects) > 1 {
			continue // the template of a job cannot be changed: package managers leave it alone
		}
		o.params[key] = next
		if key != "replicas" {
			o.taint = token
		}
	}
}

// carries tells whether anything that an action sends holds the token.
func carries(a *Action, token string) bool {
	if strings.Contains(a.Stdin, token) || strings.Contains(strings.Join(a.Argv, " "), token) {
		return true
	}
	return slices.ContainsFunc(a.Requests, func(q Request) bool {
		return strings.Contains(q.Path, token) || strings.Contains(q.Body, token)
	})
}

// waitFor says until when the next action waits.
func waitFor(v Verb, spec verbSpec, kind *Kind, objects []*object, changed map[string]bool) string {
	switch {
	case spec.read:
		return "read"
	case v == "label" || v == "annotate" || v == "patch-status":
		return "write"
	case kind.Name == "namespace" && spec.drops:
		return "gone"
	case kind.Workload || spec.operand == onPod:
		return "work"
	case slices.ContainsFunc(objects, func(o *object) bool { return o.kind.Workload }):
		return "work"
	}
	return "write"
}

// fillIn writes the command line or the requests.
func (r *run) fillIn(a *Action, st *Step, spec verbSpec, kind *Kind, objects []*object, token string) error {
	switch a.Tool {
	case ToolKubectl:
		return r.kubectl(a, st, spec, kind, objects, token)
	case ToolHelm:
		return r.helm(a, st, objects)
	case ToolGitOps:
		return r.gitops(a, st, objects)
	}
	a.Agent = r.agent(a)
	return r.client(a, st, spec, kind, objects, token)
}

// patchOf is the patch that a step or a kind gives, and its type.
func (r *run) patchOf(st *Step, o *object, token string) (body, kind string, err error) {
	if st.Patch != "" {
		source, err := r.fill("patch", st.Patch, o, token)
		if err != nil {
			return "", "", err
		}
		body, err = toJSON(source)
		return body, cmp.Or(st.Type, "merge"), err
	}
	if o.kind.Patch != "" && st.Type == "" && st.Do != "patch-status" {
		data := r.data(o)
		data["token"] = token
		m, err := r.execute(o.kind.patch, data)
		return compact(m), "merge", err
	}
	value := []string{"gold", "silver", "bronze", "blue", "green", "canary"}[r.rng.IntN(6)]
	if st.Type == "json" {
		return compact([]any{map[string]any{"op": "add", "path": "/metadata/labels/x", "value": value}}), "json", nil
	}
	where := []string{"labels", "annotations"}[r.rng.IntN(2)]
	body = compact(map[string]any{"metadata": map[string]any{where: map[string]any{"track": value}}})
	return body, cmp.Or(st.Type, "merge"), nil
}

// kubectl makes the command line of a verb.
func (r *run) kubectl(a *Action, st *Step, spec verbSpec, kind *Kind, objects []*object, token string) error {
	var names []string
	for _, o := range objects {
		names = append(names, o.recorded)
	}
	res := kind.qualified()
	if kind.Group() != "" && r.rng.IntN(2) == 0 && kind.Name != "apievent" {
		res = kind.Resource + "." + kind.Group()
	}
	// Objects of several kinds are named one by one; of one kind, after it.
	operands := append([]string{res}, names...)
	if slices.ContainsFunc(objects, func(o *object) bool { return o.kind != kind }) {
		operands = nil
		for _, o := range objects {
			operands = append(operands, o.kind.qualified()+"/"+o.recorded)
		}
	}
	outputs := []string{"", "-o yaml", "-o json", "-o wide", "-o name"}
	if spec.renders {
		stdin, err := r.manifests(objects)
		if err != nil {
			return err
		}
		a.Stdin = stdin
	}
	switch st.Do {
	case "create":
		a.Argv = []string{"create", "-f", "-"}
	case "apply":
		a.Argv = []string{"apply", "-f", "-"}
	case "server-apply":
		a.Argv = []string{"apply", "--server-side", "--force-conflicts", "-f", "-"}
	case "dry-run":
		a.Argv = []string{"create", "--dry-run=server", "-f", "-"}
	case "replace":
		a.Argv = []string{"replace", "-f", "-"}
	case "get":
		a.Argv = slices.Concat([]string{"get"}, operands, fields(outputs[r.rng.IntN(len(outputs))]))
	case "describe":
		a.Argv = slices.Concat([]string{"describe"}, operands)
	case "label":
		a.Argv = slices.Concat([]string{"label", "--overwrite"}, operands, []string{"tier=" + r.pick("gold", "silver", "bronze"), "seen=" + r.pick("yes", "no")})
	case "annotate":
		notes := r.planner.lib.Notes
		a.Argv = slices.Concat([]string{"annotate", "--overwrite"}, operands, []string{"note=" + notes[r.rng.IntN(len(notes))]})
	case "edit":
		a.Argv = slices.Concat([]string{"edit"}, operands)
	case "patch", "patch-status":
		body, typ, err := r.patchOf(st, objects[0], token)
		if err != nil {
			return err
		}
		a.Argv = slices.Concat([]string{"patch", res}, names, []string{"--type=" + typ, "-p", body})
		if st.Do == "patch-status" {
			a.Argv = append(a.Argv, "--subresource=status")
		}
	case "get-status", "get-scale":
		a.Argv = slices.Concat([]string{"get", res}, names, []string{"--subresource=" + spec.sub, "-o", "yaml"})
	case "scale":
		a.Argv = slices.Concat([]string{"scale", res}, names, []string{"--replicas=" + r.number64(st.Count)})
	case "delete":
		a.Argv = slices.Concat([]string{"delete"}, operands, []string{"--wait=false"})
		if kind.Workload && r.rng.IntN(4) == 0 && kind.Name != "namespace" {
			a.Argv = append(a.Argv, "--cascade=foreground")
		}
	case "list":
		a.Argv = append([]string{"get", res}, fields(r.pick("", "-o wide", "-o json", "--show-labels", "-l tier=gold", "-o name"))...)
	case "list-all":
		a.Argv = append([]string{"get", res, "-A"}, fields(r.pick("", "-o wide", "-o yaml", "--show-labels"))...)
	case "follow":
		a.Argv = []string{"get", res, "-w", "--request-timeout=2s"}
		a.Expect = "any"
	case "get-pod":
		a.Argv = append([]string{"get", "pod", r.pod(objects[0])}, fields(outputs[r.rng.IntN(len(outputs))])...)
	case "logs":
		a.Argv = append([]string{"logs", r.pod(objects[0]), "-c", "main"}, fields(r.pick("", "--tail=5", "--timestamps"))...)
	case "resize":
		body, typ, err := r.patchOf(st, objects[0], token)
		if err != nil {
			return err
		}
		a.Argv = []string{"patch", "pod", r.pod(objects[0]), "--subresource=resize", "--type=" + typ, "-p", body}
	default:
		return fmt.Errorf("there is no kubectl command for it")
	}
	a.Argv = append(a.Argv, fields(st.Args)...)
	return nil
}

func fields(s string) []string { return strings.Fields(s) }

func (r *run) pick(words ...string) string { return words[r.rng.IntN(len(words))] }

// number64 is the number that a step's count means.
func (r *run) number64(count string) string {
	n := r.expandNames(count)
	if _, err := strconv.Atoi(n); err != nil {
		return strconv.Itoa(1 + r.rng.IntN(4))
	}
	return n
}

// pod stands for one running pod of an object until the action is executed.
func (r *run) pod(o *object) string {
	if o.kind.Name == "pod" {
		return o.recorded
	}
	return "${pod:" + o.namespace + "/app=" + labelValue(o.recorded) + "}"
}

// manifests are the objects as one stream.
func (r *run) manifests(objects []*object) (string, error) {
	var docs []string
	for _, o := range objects {
		m, err := r.manifest(o)
		if err != nil {
			return "", err
		}
		docs = append(docs, compact(m))
	}
	return strings.Join(docs, "\n---\n"), nil
}

// Content types of patches.
var patchTypes = map[string]string{
	"merge": "application/merge-patch+json", "json": "application/json-patch+json",
	"strategic": "application/strategic-merge-patch+json",
}

const applyPatch = "application/apply-patch+yaml"

// client makes the requests of a verb.
func (r *run) client(a *Action, st *Step, spec verbSpec, kind *Kind, objects []*object, token string) error {
	ns := a.Namespace
	add := func(verb, path string, query url.Values, body, typ string) {
		if len(query) > 0 {
			path += "?" + query.Encode()
		}
		a.Requests = append(a.Requests, Request{Verb: verb, Path: path, Body: body, Type: typ})
	}
	by := url.Values{"fieldManager": {manager(a.Agent)}}
	seconds := strconv.Itoa(1 + r.rng.IntN(2))
	switch st.Do {
	case "list", "list-all", "inform", "inform-all", "watch", "watch-all", "delete-all":
		if spec.all {
			ns = ""
		}
		path := kind.path(ns, "", "")
		watch := url.Values{"watch": {"true"}, "timeoutSeconds": {seconds}, "allowWatchBookmarks": {"true"}}
		switch st.Do {
		case "delete-all":
			add("DELETE", path, nil, "", "")
		case "watch", "watch-all":
			add("GET", path, watch, "", "")
		case "inform", "inform-all":
			add("GET", path, url.Values{"limit": {"500"}, "resourceVersion": {"0"}}, "", "")
			add("GET", path, watch, "", "")
			a.Requests[1].Resume = true
		default:
			q := url.Values{"limit": {"500"}}
			if r.rng.IntN(4) == 0 {
				q.Set("labelSelector", "tier="+r.pick("gold", "silver"))
			}
			add("GET", path, q, "", "")
		}
		return nil
	}
	for _, o := range objects {
		ns = o.namespace
		kind = o.kind
		one := kind.path
		body := ""
		if spec.renders {
			m, err := r.manifest(o)
			if err != nil {
				return err
			}
			body = compact(m)
		}
		switch st.Do {
		case "create":
			add("POST", one(ns, "", ""), by, body, "")
		case "server-apply":
			add("PATCH", one(ns, o.recorded, ""), url.Values{"fieldManager": by["fieldManager"], "force": {"true"}}, body, applyPatch)
		case "dry-run":
			add("POST", one(ns, "", ""), url.Values{"dryRun": {"All"}}, body, "")
		case "replace":
			add("UPDATE", one(ns, o.recorded, ""), by, body, "")
		case "update":
			patch, _, err := r.patchOf(st, o, token)
			if err != nil {
				return err
			}
			add("UPDATE", one(ns, o.recorded, ""), by, patch, "")
		case "get":
			add("GET", one(ns, o.recorded, ""), nil, "", "")
		case "get-status", "get-scale":
			add("GET", one(ns, o.recorded, spec.sub), nil, "", "")
		case "patch", "patch-status":
			patch, typ, err := r.patchOf(st, o, token)
			if err != nil {
				return err
			}
			add("PATCH", one(ns, o.recorded, spec.sub), by, patch, patchTypes[typ])
		case "scale":
			add("PATCH", one(ns, o.recorded, "scale"), by, `{"spec":{"replicas":`+r.number64(st.Count)+`}}`, patchTypes["merge"])
		case "watch-one":
			add("GET", one(ns, "", ""), url.Values{"watch": {"true"}, "timeoutSeconds": {seconds}, "fieldSelector": {"metadata.name=" + o.recorded}}, "", "")
		case "delete":
			if kind.Name == "namespace" {
				add("DELETE", one("", o.recorded, ""), nil, "", "")
				continue
			}
			add("DELETE", one(ns, o.recorded, ""), nil, `{"kind":"DeleteOptions","apiVersion":"v1","propagationPolicy":"`+r.pick("Background", "Background", "Foreground")+`"}`, "")
		case "delete-label":
			add("DELETE", one(ns, "", ""), url.Values{"labelSelector": {"app=" + labelValue(o.recorded)}}, "", "")
		case "evict":
			pod := r.pod(o)
			add("POST", "/api/v1/namespaces/"+ns+"/pods/"+pod+"/eviction", nil, `{"apiVersion":"policy/v1","kind":"Eviction","metadata":{"name":"`+pod+`","namespace":"`+ns+`"}}`, "")
		case "get-pod":
			add("GET", "/api/v1/namespaces/"+ns+"/pods/"+r.pod(o), nil, "", "")
		case "logs":
			add("GET", "/api/v1/namespaces/"+ns+"/pods/"+r.pod(o)+"/log", url.Values{"tailLines": {"20"}, "container": {"main"}}, "", "")
		case "proxy-pod":
			add("GET", "/api/v1/namespaces/"+ns+"/pods/"+r.pod(o)+"/proxy/", nil, "", "")
		case "resize":
			patch, typ, err := r.patchOf(st, o, token)
			if err != nil {
				return err
			}
			add("PATCH", "/api/v1/namespaces/"+ns+"/pods/"+r.pod(o)+"/resize", nil, patch, patchTypes[typ])
		default:
			return fmt.Errorf("there is no request for it")
		}
	}
	return nil
}

// plain makes the action of a verb without operands: a path that is asked for.
func (r *run) plain(st *Step) (*Action, error) {
	spec := verbs[st.Do]
	path, token, err := r.expand(st.Path)
	if err != nil {
		return nil, err
	}
	a := r.start(string(st.Do)+"-"+pathName(st.Path), r.tool(st, spec))
	a.Wait = "write"
	if spec.read {
		a.Wait = "read"
	}
	body := ""
	if st.Body != "" {
		if strings.Contains(st.Body, ".token") && token == "" {
			token = r.planner.token(r.rng)
		}
		source, err := r.fill("body", st.Body, nil, token)
		if err != nil {
			return nil, err
		}
		if body, err = toJSON(source); err != nil {
			return nil, err
		}
	}
	a.Token = token
	if a.Tool == ToolKubectl {
		a.Argv = append([]string{"get", "--raw", path}, fields(st.Args)...)
		return a, nil
	}
	q := Request{Verb: cmp.Or(st.Method, "GET"), Path: path, Body: body}
	if q.Verb == "PATCH" {
		q.Type = patchTypes[cmp.Or(st.Type, "merge")]
	}
	a.Requests = []Request{q}
	return a, nil
}

var pathWord = regexp.MustCompile(`[a-z]+`)

// pathName makes a name of the words of a path that are no variables.
func pathName(path string) string {
	path, _, _ = strings.Cut(path, "?")
	var out []string
	for _, part := range strings.Split(path, "/") {
		if w := pathWord.FindString(part); w != "" && !strings.HasPrefix(part, "$") && w != "api" && w != "apis" && w != "v" {
			out = append(out, w)
		}
	}
	return strings.Join(out, "-")
}

// fault makes an action on the cluster itself.
func (r *run) fault(st *Step) *Action {
	a := r.start(string(st.Do), ToolCluster)
	a.User = ""
	a.Wait = "work"
	operand := cmp.Or(st.Component, st.Count)
	operand, _, _ = r.expand(operand)
	a.Argv = []string{string(st.Do)}
	if operand != "" {
		a.Argv = append(a.Argv, operand)
		a.Name += "-" + strings.TrimRight(operand, "-0123456789/")
	}
	if st.Do == "expire" {
		a.Argv = append(a.Argv, cmp.Or(st.Count, "45"))
	}
	if st.Do == "sleep" {
		a.Name, a.Wait = "sleep", "none"
	}
	return a
}

// command makes the action of a kubectl command line.
func (r *run) command(st *Step) (*Action, error) {
	lib := r.planner.lib
	a := r.start("", ToolKubectl)
	made := r.operands(st.Makes)
	var token string
	if len(st.Makes) > 0 {
		token = r.planner.token(r.rng)
		if err := r.make(st.Makes, made, token); err != nil {
			return nil, err
		}
	}
	args, err := split(st.Kubectl)
	if err != nil {
		return nil, err
	}
	for i, w := range args {
		expanded, fresh, err := r.expandWith(w, token)
		if err != nil {
			return nil, err
		}
		token = cmp.Or(token, fresh)
		args[i] = expanded
	}
	if st.Stdin != "" {
		if strings.Contains(st.Stdin, ".token") && token == "" {
			token = r.planner.token(r.rng)
		}
		if a.Stdin, err = r.fill("stdin", st.Stdin, nil, token); err != nil {
			return nil, err
		}
	}
	a.Argv = append(args, fields(st.Args)...)
	a.Token = token
	a.Name = commandName(lib, st.Kubectl)
	command := kubectlCommands[args[0]]
	dropped := r.operands(st.Drops)
	for _, o := range slices.Concat(made, dropped) {
		a.Names = append(a.Names, Name{o.recorded, o.logical})
	}
	read := command.read || args[0] == "rollout" && (args[1] == "status" || args[1] == "history") || args[0] == "auth"
	working := slices.Contains([]string{"rollout", "set", "run", "debug", "drain", "taint"}, args[0]) ||
		slices.ContainsFunc(slices.Concat(made, dropped), func(o *object) bool { return o.kind.Workload })
	if command.resource && len(args) > 1 {
		word, _, _ := strings.Cut(args[1], "/")
		k := lib.kindOf(word)
		working = working || k != nil && k.Workload && !slices.Contains([]string{"label", "annotate"}, args[0])
	}
	switch {
	case read:
		a.Wait = "read"
	case slices.ContainsFunc(dropped, func(o *object) bool { return o.kind.Name == "namespace" }):
		a.Wait = "gone"
	case working:
		a.Wait = "work"
	default:
		a.Wait = "write"
	}
	for _, o := range dropped {
		r.drop(o)
	}
	return a, nil
}

// commandName names a command line by its command and the kind that it means.
func commandName(lib *Library, line string) string {
	args, err := split(line)
	if err != nil {
		return ""
	}
	name := args[0]
	for _, w := range args[1:] {
		if strings.HasPrefix(w, "-") {
			if strings.HasPrefix(w, "--raw") {
				name += "-raw"
			}
			continue
		}
		word, _, _ := strings.Cut(w, "/")
		if k := lib.kindOf(word); k != nil {
			return name + "-" + k.Name
		}
		if strings.ContainsAny(word, "$=:{") || word == "" || word == "." {
			break
		}
		switch args[0] {
		case "rollout", "set", "auth", "certificate", "top", "create", "cluster-info":
			name += "-" + word
		default:
			return name
		}
		if strings.Count(name, "-") > 2 {
			break
		}
	}
	return name
}

func (r *run) expand(s string) (string, string, error) { return r.expandWith(s, "") }

// expandWith replaces the references in a word of a command line. A token that it had to make is returned.
func (r *run) expandWith(s, token string) (out, fresh string, err error) {
	out = reference.ReplaceAllStringFunc(s, func(m string) string {
		parts := reference.FindStringSubmatch(m)
		name, arg := parts[1], parts[2]
		if arg != "" && name != "out" {
			o := r.objects[arg]
			if o == nil || !o.made {
				err = fmt.Errorf("%s: no step before makes object %q", m, arg)
				return m
			}
			switch name {
			case "pod":
				return r.pod(o)
			case "selector":
				return "app=" + labelValue(o.recorded)
			case "base":
				return o.base
			}
			return o.recorded + "(" + arg + ")"
		}
		switch name {
		case "ns":
			return r.namespace()
		case "user":
			return r.user
		case "kind", "resource":
			if r.kind != nil {
				return r.kind.qualified()
			}
		case "token":
			if token == "" {
				token = r.planner.token(r.rng)
				fresh = token
			}
			return token
		case "word":
			words := r.planner.lib.Words
			return words[r.rng.IntN(len(words))]
		case "note":
			notes := r.planner.lib.Notes
			return notes[r.rng.IntN(len(notes))]
		case "out":
			return fmt.Sprintf("${out:%d.%s}", r.number, arg)
		}
		if o := r.objects[name]; o != nil {
			if !o.made {
				err = fmt.Errorf("%s: no step before makes object %q", m, name)
			}
			return o.recorded
		}
		if rel := r.charts[name]; rel != nil {
			return rel.name.recorded
		}
		if v, ok := r.vars[name]; ok {
			return v
		}
		return m
	})
	return out, fresh, err
}
