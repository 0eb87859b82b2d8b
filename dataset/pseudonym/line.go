package pseudonym

import (
	"bytes"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// placeholder stands for text that is nobody's name and may hold anything: data of ConfigMaps, values
// of environment variables, commands, annotations of unknown tools, continuation tokens of lists.
const placeholder = "ANONYMISED"

// maxDepth bounds JSON in strings in JSON.
const maxDepth = 4

// nameKeys are the keys under which objects, hosts and such are named.
var nameKeys = map[string]Kind{
	"name": Object, "generateName": Object, "namespace": Object, "serviceAccountName": Object, "serviceAccount": Object,
	"claimName": Object, "secretName": Object, "volumeName": Object, "storageClassName": Object, "priorityClassName": Object,
	"runtimeClassName": Object, "ingressClassName": Object, "serviceName": Object, "subdomain": Object, "resourceNames": Object,
	"schedulerName": Object, "containerName": Object, "mountPath": Object, "fieldPath": Object,
	"nodeName": Host, "hostname": Host, "host": Host, "hosts": Host, "address": Host, "reportingInstance": Host, "holderIdentity": Host,
	"image": Image, "imageID": Image, "username": User, "groups": Group,
}

// structural are the keys whose values say what a request is, and never whose.
var structural = map[string]bool{
	"kind": true, "apiVersion": true, "verb": true, "verbs": true, "level": true, "stage": true, "auditID": true, "apiGroup": true,
	"apiGroups": true, "resource": true, "resources": true, "subresource": true, "requestReceivedTimestamp": true,
	"stageTimestamp": true, "fieldsType": true, "time": true, "creationTimestamp": true, "resourceVersion": true, "decision": true,
	"context": true, "attribution": true, "parent": true, "candidates": true, "operation": true, "op": true,
}

// labelMaps are the keys of objects whose members people name.
var labelMaps = map[string]bool{
	"labels": true, "annotations": true, "matchLabels": true, "nodeSelector": true, "selector": true, "data": true,
	"binaryData": true, "stringData": true, "extra": true, "disruptedPods": true,
}

var (
	uuid      = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)
	webURL    = regexp.MustCompile(`https?://[^\s"'<>\\]+`)
	holder    = regexp.MustCompile(`_[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)
	kubeOwned = regexp.MustCompile(`(^|\.)(kubernetes|k8s)\.io/`)
)

// visit is called with every string of a line; what it returns takes its place.
type visit func(p place, s string) string

// place says where a string stands.
type place struct {
	key     string   // of the nearest member; the elements of an array have the array's
	parents []string // the keys above
	isKey   bool     // the string is a member's name
	depth   int      // of JSON in strings
	kinds   []string // the kind of each object around, "" where it has none
}

func (p place) parent() string {
	if len(p.parents) == 0 {
		return ""
	}
	return p.parents[len(p.parents)-1]
}

// Learn lists the names in a line. A line that is not JSON is an error.
func (n *Names) Learn(line []byte) error {
	_, err := rewrite(line, 0, func(p place, s string) string {
		n.learn(p, s)
		return s
	})
	if err != nil {
		return fmt.Errorf("learn names: %w", err)
	}
	return nil
}

// Replace returns the line with the pseudonyms in the names' places, as compact JSON. Numbers, and
// the order of members, stay as they are.
func (n *Names) Replace(line []byte) ([]byte, error) {
	out, err := rewrite(line, 0, n.replace)
	if err != nil {
		return nil, fmt.Errorf("replace names: %w", err)
	}
	return out, n.clash
}

func (n *Names) learn(p place, s string) {
	if p.isKey {
		if labelMaps[p.parent()] && p.parent() != "extra" {
			n.list(Label, s)
			if domain, _, ok := strings.Cut(s, "/"); ok {
				n.list(Label, domain)
			}
		}
		return
	}
	for _, u := range webURL.FindAllString(s, -1) {
		if parsed, err := url.Parse(u); err == nil {
			n.list(Host, parsed.Hostname())
			n.list(Host, strings.TrimPrefix(u, parsed.Scheme+"://"))
		}
	}
	switch parent := p.parent(); {
	case p.key == "apiGroup" || p.key == "apiGroups" || p.key == "apiVersion" || p.key == "kind" || p.key == "resource" || p.key == "resources":
		// What custom resources are called stays, and so does whatever is called the same.
		group, _, _ := strings.Cut(s, "/")
		n.kept[group] = true
	case p.key == "uid" && !uuid.MatchString(s):
		n.list(User, s)
	case parent == "labels" || parent == "matchLabels" || parent == "nodeSelector" || parent == "selector" || p.key == "values":
		n.list(Label, s)
	case parent == "extra":
		if !strings.Contains(s, "=") { // else a credential's number
			n.list(User, s)
		}
	case p.key == "userAgent":
		for _, part := range strings.Fields(s) {
			program, _, _ := strings.Cut(part, "/")
			if !strings.HasPrefix(program, "(") {
				n.list(Agent, program)
			}
		}
	case p.key == "username":
		n.user(User, s)
	case p.key == "groups":
		n.user(Group, s)
	case p.key == "holderIdentity":
		n.list(Host, holder.ReplaceAllString(s, ""))
	case p.key == "image" || p.key == "imageID" || p.key == "names" && parent == "images":
		n.image(s)
	case strings.HasPrefix(p.key, "kubernetes.io/hostname"):
		n.list(Host, s)
	default:
		if kind := nameKeys[p.key]; kind != "" {
			n.user(kind, s)
		}
	}
}

// user lists who somebody is. Kubernetes' own users stay, but for what they are called after.
func (n *Names) user(kind Kind, s string) {
	own, ok := strings.CutPrefix(s, "system:")
	if !ok {
		n.list(kind, s)
		return
	}
	sort, rest, ok := strings.Cut(own, ":")
	if !ok {
		return
	}
	switch sort {
	case "node", "bootstrap":
		n.list(kind, rest)
	case "serviceaccount", "serviceaccounts":
		namespace, name, _ := strings.Cut(rest, ":")
		n.list(Object, namespace)
		n.list(Object, name)
	}
}

// image lists an image with and without its tag; the project's own registry stays.
func (n *Names) image(s string) {
	s, _, _ = strings.Cut(s, "@")
	s = strings.TrimPrefix(strings.TrimPrefix(s, "docker-pullable://"), "docker.io/")
	if strings.HasPrefix(s, "registry.k8s.io/") || strings.HasPrefix(s, "sha256:") {
		return
	}
	n.list(Image, s)
	if i := strings.LastIndexByte(s, ':'); i > strings.LastIndexByte(s, '/') {
		n.list(Image, s[:i])
	}
	if registry, _, ok := strings.Cut(s, "/"); ok {
		n.list(Image, registry)
	}
}

func (n *Names) replace(p place, s string) string {
	if p.isKey {
		if labelMaps[p.parent()] || strings.HasPrefix(s, "f:") || strings.HasPrefix(s, "k:") || strings.HasPrefix(s, "v:") {
			return n.addresses(n.text(s))
		}
		return s
	}
	switch {
	case structural[p.key], p.key == "uid" && uuid.MatchString(s):
		return s
	case s == "":
		return s
	case p.key == "continue", p.key == "command", p.key == "args":
		return placeholder
	case p.key == "value" && p.parent() == "env":
		return placeholder
	case (p.parent() == "data" || p.parent() == "binaryData") && len(p.kinds) > 1 && p.kinds[len(p.kinds)-2] == "ConfigMap":
		return placeholder
	case p.parent() == "annotations" && !kubeOwned.MatchString(p.key):
		return placeholder
	case p.key == "requestURI" || p.key == "selfLink":
		return n.uri(s)
	}
	return n.addresses(n.text(s))
}

// uri replaces in the parts of a request's URI, each as it is without its escapes.
func (n *Names) uri(s string) string {
	part := func(text string, unescape func(string) (string, error), escape func(string) string) string {
		plain, err := unescape(text)
		if err != nil {
			plain = text
		}
		if after := n.addresses(n.text(plain)); after != plain {
			return escape(after)
		}
		return text
	}
	path, query, asked := strings.Cut(s, "?")
	parts := strings.Split(path, "/")
	for i := range parts {
		parts[i] = part(parts[i], url.PathUnescape, url.PathEscape)
	}
	s = strings.Join(parts, "/")
	if !asked {
		return s
	}
	pairs := strings.Split(query, "&")
	for i, pair := range pairs {
		key, value, ok := strings.Cut(pair, "=")
		switch {
		case !ok || value == "":
		case key == "continue" || key == "command":
			pairs[i] = key + "=" + placeholder
		default:
			pairs[i] = key + "=" + part(value, url.QueryUnescape, url.QueryEscape)
		}
	}
	return s + "?" + strings.Join(pairs, "&")
}

// rewrite copies a JSON value as compact JSON and lets f replace its strings.
func rewrite(text []byte, depth int, f visit) ([]byte, error) {
	lenient := []jsontext.Options{jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)}
	var out bytes.Buffer
	c := copier{
		in:    jsontext.NewDecoder(bytes.NewReader(text), lenient...),
		out:   jsontext.NewEncoder(&out, lenient...),
		visit: f, depth: depth, text: text,
	}
	if err := c.value(place{depth: depth}); err != nil {
		return nil, err
	}
	if rest := bytes.TrimSpace(text[c.in.InputOffset():]); len(rest) > 0 {
		return nil, fmt.Errorf("more text after the JSON value at byte %d", c.in.InputOffset())
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}

type copier struct {
	in    *jsontext.Decoder
	out   *jsontext.Encoder
	visit visit
	depth int
	text  []byte
}

func (c *copier) value(p place) error {
	switch c.in.PeekKind() {
	case '{':
		return c.object(p)
	case '[':
		return c.array(p)
	case '"':
		s, err := c.in.ReadToken()
		if err != nil {
			return err
		}
		return c.out.WriteToken(jsontext.String(c.string(p, s.String())))
	}
	v, err := c.in.ReadValue()
	if err != nil {
		return err
	}
	return c.out.WriteValue(v)
}

// string visits a string, or what is in it if that is JSON.
func (c *copier) string(p place, s string) string {
	if t := strings.TrimSpace(s); c.depth < maxDepth && len(t) > 1 && (t[0] == '{' || t[0] == '[') {
		if inside, err := rewrite([]byte(s), c.depth+1, c.visit); err == nil {
			return string(inside)
		}
	}
	return c.visit(p, s)
}

func (c *copier) array(p place) error {
	for first := true; ; first = false {
		end := !first && c.in.PeekKind() == ']'
		if first || end {
			t, err := c.in.ReadToken()
			if err != nil {
				return err
			}
			if err := c.out.WriteToken(t); err != nil {
				return err
			}
			if end {
				return nil
			}
			continue
		}
		if err := c.value(p); err != nil {
			return err
		}
	}
}

func (c *copier) object(p place) error {
	inner := place{parents: append(p.parents[:len(p.parents):len(p.parents)], p.key), depth: p.depth}
	inner.kinds = append(p.kinds[:len(p.kinds):len(p.kinds)], c.kindAhead())
	t, err := c.in.ReadToken()
	if err != nil {
		return err
	}
	if err := c.out.WriteToken(t); err != nil {
		return err
	}
	for c.in.PeekKind() != '}' {
		name, err := c.in.ReadToken()
		if err != nil {
			return err
		}
		inner.key = name.String()
		key := inner
		key.isKey = true
		if err := c.out.WriteToken(jsontext.String(c.visit(key, inner.key))); err != nil {
			return err
		}
		if err := c.value(inner); err != nil {
			return err
		}
	}
	t, err = c.in.ReadToken()
	if err != nil {
		return err
	}
	return c.out.WriteToken(t)
}

// kindAhead is the member kind of the object that comes next. Kubernetes writes it first; where
// another writer did not, the object counts as of no kind.
func (c *copier) kindAhead() string {
	rest := bytes.TrimLeft(c.text[c.in.InputOffset():], " \t\r\n,:")
	after, ok := bytes.CutPrefix(rest, []byte(`{"kind":"`))
	if !ok {
		return ""
	}
	kind, _, ok := bytes.Cut(after[:min(len(after), 100)], []byte(`"`))
	if !ok {
		return ""
	}
	return string(kind)
}

// remains finds listed names in a line that was replaced. It knows no JSON: it looks at the bytes.
func (n *Names) remains(line []byte) (name string, found bool) {
	s := string(line)
	words := split(s)
	for i := range words {
		if count := n.listedAt(s, words[i:]); count > 0 {
			return s[words[i].from:words[i+count-1].to], true
		}
	}
	return "", false
}
