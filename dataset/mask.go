package dataset

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// What stands in the place of a secret. Each keeps the form of what was there, never a part of it.
const (
	maskedText  = "MASKED"
	maskedData  = "TUFTS0VE" // base64 of maskedText, where the API wants base64
	maskedToken = "MASKED.TOKEN"
)

// Masker removes from audit lines what must not be published and leaves every other byte as it is.
//
// Replaced, wherever in a line it stands, also inside JSON within strings (last-applied-configuration)
// and inside base64:
//
//   - all values of data and stringData of Secrets, in lists, patches and error messages too;
//   - JSON web tokens, bearer tokens, access keys of well-known services, passwords in URLs and in
//     NAME=VALUE texts;
//   - strings under keys that hold a credential by name (token, password, client-key-data, auth, ...)
//     and values of environment variables with such a name;
//   - the body of every PEM block and every DER structure in base64: keys, certificates, requests;
//   - credentials in kubeconfig texts;
//   - the names of machines that leader election and leases tell, unless a machine is a node of the
//     cluster, whose name is that of an object: they become host-1, host-2, ...
//
// The names of machines must be known before the first line is masked: show every line to
// [Masker.Observe] first. Masking what is masked changes nothing.
type Masker struct {
	hosts     []string // in order of appearance
	nodes     map[string]bool
	neutral   map[string]string
	reporters map[string]bool // who reports events: some append their machine
	names     *regexp.Regexp  // the texts that name a machine; nil: to be made anew
	counts    Masked
}

// Masked counts what a [Masker] replaced.
type Masked struct {
	SecretValues int `toml:"secret_values" json:"secret_values"` // values of Secrets
	Tokens       int `toml:"tokens" json:"tokens"`               // tokens and access keys
	Credentials  int `toml:"credentials" json:"credentials"`     // values recognised by their key's name
	PEM          int `toml:"pem" json:"pem"`                     // PEM blocks and DER structures
	Hosts        int `toml:"hosts" json:"hosts"`                 // strings with a machine's name
}

// NewMasker returns a masker that knows no machine yet.
func NewMasker() *Masker {
	return &Masker{nodes: make(map[string]bool), neutral: make(map[string]string), reporters: make(map[string]bool)}
}

// Counts tells how much was replaced so far.
func (m *Masker) Counts() Masked { return m.counts }

// Observe learns the machines that a line names. A line that is not JSON is an error.
func (m *Masker) Observe(line []byte) error {
	root, err := parseNode(line)
	if err != nil {
		return err
	}
	m.observe(root, 0)
	m.names = nil
	return nil
}

func (m *Masker) observe(n *node, depth int) {
	if s := n.string(); strings.Contains(s, "holderIdentity") && depth < maxDepth {
		if inside, err := parseNode([]byte(s)); err == nil {
			m.observe(inside, depth+1)
		}
	}

	kind := n.member("kind").string()
	for _, c := range n.children {
		switch s := c.string(); {
		case s == "":
		case c.key == "holderIdentity":
			if parts := holder.FindStringSubmatch(s); parts != nil && parts[0] == s {
				m.addHost(parts[1])
			} else if bareHost.MatchString(s) {
				m.addHost(s)
			}
		case c.key == "username":
			if name, ok := strings.CutPrefix(s, "system:node:"); ok {
				m.nodes[name] = true
			}
		case c.key == "reportingInstance":
			m.reporters[s] = true
		}
		if kind == "Lease" && c.key == "metadata" {
			m.addHost(c.member("labels").member("kubernetes.io/hostname").string())
		}
		m.observe(c, depth)
	}
}

func (m *Masker) addHost(host string) {
	if host == "" || neutralHost.MatchString(host) || m.neutral[host] != "" || strings.HasPrefix(host, "apiserver-") {
		return
	}
	m.hosts = append(m.hosts, host)
	m.neutral[host] = fmt.Sprintf("host-%d", len(m.hosts))
}

var (
	uuid        = `[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`
	holder      = regexp.MustCompile(`([A-Za-z0-9][A-Za-z0-9.-]*)_` + uuid)
	bareHost    = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.-]*$`) // some programs lead by the machine's name alone
	neutralHost = regexp.MustCompile(`^host-[0-9]+$`)
)

// Mask returns the line with everything replaced that must not be published; the line itself where
// there is nothing. A line that is not one JSON value is an error: it cannot be masked surely.
func (m *Masker) Mask(line []byte) ([]byte, error) {
	out, err := m.maskJSON(line, false, 0)
	if err != nil {
		return nil, fmt.Errorf("mask: %w", err)
	}
	return out, nil
}

// maskJSON masks one JSON value and the space around it.
func (m *Masker) maskJSON(text []byte, secret bool, depth int) ([]byte, error) {
	root, err := parseNode(text)
	if err != nil {
		return nil, err
	}
	w := maskWalk{masker: m, depth: depth}
	w.value(root, secret)
	if len(w.edits) == 0 {
		return text, nil
	}
	var out []byte
	last := 0
	for _, e := range w.edits {
		out = append(out, text[last:e.from]...)
		out = append(out, e.text...)
		last = e.to
	}
	return append(out, text[last:]...), nil
}

// edit replaces a range of the text. Edits are gathered in order, for values are walked in order.
type edit struct {
	from, to int
	text     []byte
}

type maskWalk struct {
	masker *Masker
	depth  int // how many JSON texts and base64 codes this one is inside of
	edits  []edit
}

func (w *maskWalk) replace(n *node, with string) {
	if n.string() == with {
		return
	}
	quoted, err := jsontext.AppendQuote(nil, with)
	if err != nil {
		panic(err) // with is valid UTF-8: it is made from such
	}
	w.edits = append(w.edits, edit{n.from, n.to, quoted})
}

// value masks a value. In secret everything belongs to a Secret.
func (w *maskWalk) value(n *node, secret bool) {
	switch n.kind {
	case '"':
		w.text(n, secret)
	case '[':
		for _, c := range n.children {
			w.value(c, secret)
		}
	case '{':
		w.object(n, secret)
	}
}

func (w *maskWalk) object(n *node, secret bool) {
	switch strings.ToLower(n.member("kind").string()) {
	case "secret", "secretlist":
		secret = true
	}
	ofSecret := n.member("objectRef").member("resource").string() == "secrets"
	path := n.member("path").string() // of an operation of a JSON patch
	isPatch := path != "" && n.member("op").string() != ""
	credential := credentialName(n.member("name").string()) // an environment variable
	for _, c := range n.children {
		key := strings.ToLower(c.key)
		switch {
		case secret && (key == "data" || key == "stringdata"):
			w.all(c, key == "data")
		case isPatch && key == "value" && secret && !harmlessPatch.MatchString(path):
			w.all(c, !strings.HasPrefix(strings.ToLower(path), "/stringdata"))
		case c.kind == '"' && c.string() != "" &&
			(credentialName(c.key) || key == "value" && (credential || isPatch && credentialName(path[strings.LastIndexByte(path, '/')+1:]))):
			w.credential(c)
		case ofSecret && (key == "requestobject" || key == "responseobject" || key == "responsestatus"):
			w.value(c, true)
		case key == "kubernetes.io/hostname" || key == "host" || key == "hostname" || key == "holderidentity" && bareHost.MatchString(c.string()):
			w.host(c, secret)
		case key == "cells" && len(c.children) > 1: // a row of a table; the first is the object's own name
			w.value(c.children[0], secret)
			for _, cell := range c.children[1:] {
				w.host(cell, secret)
			}
		default:
			w.value(c, secret)
		}
	}
}

// harmlessPatch are the paths of a Secret under which no data lies.
var harmlessPatch = regexp.MustCompile(`(?i)^/(metadata|type|immutable|kind|apiVersion)(/|$)`)

// credentialNames are the names, in lower case and without punctuation, under which a string is a
// credential whatever it looks like.
var credentialNames = regexp.MustCompile(`^(auth|authorization|clientcertificatedata|clientkeydata|dockerconfigjson|dockercfg|` +
	`[a-z]*(token|password|passwd|passphrase|secretkey|accesskey|secretaccesskey|apikey|privatekey|clientsecret))$`)

var punctuation = strings.NewReplacer("-", "", "_", "", ".", "")

func credentialName(name string) bool {
	return len(name) < 64 && credentialNames.MatchString(punctuation.Replace(strings.ToLower(name)))
}

func (w *maskWalk) credential(n *node) {
	before := n.string()
	with := maskedText
	switch {
	case strings.HasPrefix(before, "eyJ"):
		with = maskedToken
	case strings.HasPrefix(before, "LS0tLS1CRUdJTi") || strings.HasSuffix(strings.ToLower(n.key), "-data"):
		with = maskedData
	}
	if before == maskedText || before == maskedToken || before == maskedData {
		return
	}
	w.masker.counts.Credentials++
	w.replace(n, with)
}

// all masks every leaf of a value, whatever it is.
func (w *maskWalk) all(n *node, base64 bool) {
	for _, c := range n.children {
		w.all(c, base64)
	}
	with := maskedText
	if base64 {
		with = maskedData
	}
	switch n.kind {
	case '"':
		if s := n.string(); s != "" && s != with {
			w.masker.counts.SecretValues++
			w.replace(n, with)
		}
	case '0':
		if n.to-n.from > 1 {
			w.masker.counts.SecretValues++
			w.edits = append(w.edits, edit{n.from, n.to, []byte("0")})
		}
	}
}

// host masks a string that is the name of a machine.
func (w *maskWalk) host(n *node, secret bool) {
	host := n.string()
	if with := w.masker.neutral[host]; with != "" && !w.masker.nodes[host] {
		w.masker.counts.Hosts++
		w.replace(n, with)
		return
	}
	w.value(n, secret)
}

func (w *maskWalk) text(n *node, secret bool) {
	before := n.string()
	if after := w.masker.maskText(before, secret, w.depth); after != before {
		w.replace(n, after)
	}
}

// maxDepth bounds JSON in strings in JSON, and base64 in base64.
const maxDepth = 6

// maskText masks a string by what it looks like.
func (m *Masker) maskText(s string, secret bool, depth int) string {
	if len(s) < 8 {
		return s
	}
	if t := strings.TrimSpace(s); t != "" && (t[0] == '{' || t[0] == '[') {
		if depth == maxDepth {
			m.counts.Credentials++
			return maskedText
		}
		if out, err := m.maskJSON([]byte(s), secret, depth+1); err == nil {
			return string(out)
		}
	}
	s = pemBlock.ReplaceAllStringFunc(s, func(block string) string {
		name := pemBlock.FindStringSubmatch(block)[1]
		masked := "-----BEGIN " + name + "-----\n" + maskedData + "\n-----END " + name + "-----"
		if block != masked {
			m.counts.PEM++
		}
		return masked
	})
	s = base64Run.ReplaceAllStringFunc(s, func(run string) string { return m.maskBase64(run, depth) })
	s = m.replaceText(s, webToken, &m.counts.Tokens, maskedToken)
	s = m.replaceText(s, bearer, &m.counts.Tokens, maskedToken)
	s = m.replaceText(s, serviceKey, &m.counts.Tokens, maskedText)
	s = m.replaceText(s, urlPassword, &m.counts.Credentials, maskedText)
	s = m.replaceText(s, assignment, &m.counts.Credentials, maskedText)
	s = m.replaceText(s, kubeconfigData, &m.counts.Credentials, maskedData)
	if strings.Contains(s, "\n") {
		s = m.replaceText(s, yamlCredential, &m.counts.Credentials, maskedText)
	}
	if secret {
		s = m.replaceText(s, invalidValue, &m.counts.SecretValues, maskedText)
	}
	return m.maskNames(s)
}

// In these, group 1 is the secret.
var (
	webToken       = regexp.MustCompile(`(?:^|[^A-Za-z0-9+/_-])(eyJ[A-Za-z0-9_-]{6,}(?:\.[A-Za-z0-9_-]*)*)`)
	bearer         = regexp.MustCompile(`(?i)\bbearer\s+([A-Za-z0-9._~+/=-]{16,})`)
	serviceKey     = regexp.MustCompile(`\b((?:AKIA|ASIA)[A-Z0-9]{16}|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}|glpat-[A-Za-z0-9_-]{16,}|xox[abeprs]-[A-Za-z0-9-]{10,}|AIza[A-Za-z0-9_-]{35})`)
	urlPassword    = regexp.MustCompile(`://[^/\s:@"]+:([^/\s@"]+)@`)
	assignment     = regexp.MustCompile(`(?i)(?:password|passwd|passphrase|token|api[_-]?key|access[_-]?key|client[_-]?secret|secret[_-]?key)(?:=|%3d)([^\s&"',;%]{1,})`)
	kubeconfigData = regexp.MustCompile(`(?:client-key-data|client-certificate-data|certificate-authority-data)"?:\s*"?([A-Za-z0-9+/=]+)`)
	yamlCredential = regexp.MustCompile(`(?im)^\s*(?:-\s+)?"?(?:[a-z-]*token|password|client-secret|access-key|secret-key)"?:[ \t]+["']?([^\s"'<{]+)`)
	invalidValue   = regexp.MustCompile(`Invalid value: "((?:[^"\\]|\\.)*)"`)

	pemBlock  = regexp.MustCompile(`(?s)-----BEGIN ([^\n-]+)-----.*?(?:-----END [^\n-]+-----|\z)`)
	base64Run = regexp.MustCompile(`[A-Za-z0-9+/_-]{16,}={0,2}`)
)

// replaceText replaces group 1 of every match.
func (m *Masker) replaceText(s string, pattern *regexp.Regexp, count *int, with string) string {
	matches := pattern.FindAllStringSubmatchIndex(s, -1)
	if matches == nil {
		return s
	}
	var b strings.Builder
	last := 0
	for _, at := range matches {
		old := s[at[2]:at[3]]
		b.WriteString(s[last:at[2]])
		if old == maskedText || old == maskedToken || old == maskedData {
			b.WriteString(old)
		} else {
			b.WriteString(with)
			*count++
		}
		last = at[3]
	}
	return b.String() + s[last:]
}

// maskBase64 masks what is inside a run of base64, if it is one. A DER structure is known by its
// outermost length, which must be that of the whole.
func (m *Masker) maskBase64(run string, depth int) string {
	coding := base64.RawStdEncoding
	if strings.ContainsAny(run, "-_") {
		coding = base64.RawURLEncoding
	}
	bare := strings.TrimRight(run, "=")
	data, err := coding.DecodeString(bare)
	if err != nil {
		return run
	}
	if isDER(data) {
		m.counts.PEM++
		return maskedData
	}
	if depth == maxDepth || !utf8.Valid(data) {
		return run
	}
	before := string(data)
	after := m.maskText(before, false, depth+1)
	if after == before {
		return run
	}
	if len(bare)%4 == 0 || len(run) > len(bare) {
		coding = coding.WithPadding(base64.StdPadding)
	}
	return coding.EncodeToString([]byte(after))
}

func isDER(data []byte) bool {
	if len(data) < 40 || data[0] != 0x30 {
		return false
	}
	length, head := int(data[1]), 2
	if length >= 0x80 {
		size := length & 0x7f
		if size < 1 || size > 3 {
			return false
		}
		length = 0
		for _, b := range data[2 : 2+size] {
			length = length<<8 | int(b)
		}
		head += size
	}
	return head+length == len(data)
}

// maskNames masks HOST_UUID, which is how leader election names a process, and REPORTER-HOST, which is
// how some components name themselves in the events that they report. A machine's name by itself is
// too short a text to be masked wherever it occurs.
func (m *Masker) maskNames(s string) string {
	if !slices.ContainsFunc(m.hosts, func(host string) bool { return strings.Contains(s, host) }) {
		return s
	}
	if m.names == nil {
		m.names = m.namesPattern()
	}
	return m.names.ReplaceAllStringFunc(s, func(name string) string {
		for _, host := range m.hosts {
			if rest, ok := strings.CutPrefix(name, host+"_"); ok && !m.nodes[host] {
				m.counts.Hosts++
				return m.neutral[host] + "_" + rest
			}
		}
		reporter, host := m.reporter(name)
		m.counts.Hosts++
		return reporter + m.neutral[host]
	})
}

func (m *Masker) namesPattern() *regexp.Regexp {
	choices := []string{`[^\x00-\x{10FFFF}]`} // nothing, where there is nothing to find
	for _, host := range m.hosts {
		if !m.nodes[host] {
			choices = append(choices, regexp.QuoteMeta(host)+"_"+uuid)
		}
	}
	for _, name := range sortedKeys(m.reporters) {
		if _, host := m.reporter(name); host != "" {
			choices = append(choices, regexp.QuoteMeta(name))
		}
	}
	return regexp.MustCompile(`\b(?:` + strings.Join(choices, "|") + `)\b`)
}

// reporter splits REPORTER-HOST after the hyphen; host is empty where it names no machine to mask.
func (m *Masker) reporter(name string) (reporter, host string) {
	for _, host := range m.hosts {
		if reporter, ok := strings.CutSuffix(name, host); ok && !m.nodes[host] && strings.HasSuffix(reporter, "-") {
			return reporter, host
		}
	}
	return name, ""
}

// node is a JSON value with its place in the text, so that a change leaves the rest byte for byte.
type node struct {
	kind     jsontext.Kind
	from, to int
	key      string // of an object's member
	text     string // of a string
	children []*node
}

func (n *node) member(key string) *node {
	if n != nil && n.kind == '{' {
		for _, c := range n.children {
			if c.key == key {
				return c
			}
		}
	}
	return nil
}

func (n *node) string() string {
	if n == nil || n.kind != '"' {
		return ""
	}
	return n.text
}

// parseNode parses a text that is one JSON value.
func parseNode(text []byte) (*node, error) {
	dec := jsontext.NewDecoder(bytes.NewBuffer(text))
	root, err := readNode(dec)
	if err != nil {
		return nil, err
	}
	if rest := bytes.TrimSpace(text[root.to:]); len(rest) > 0 {
		return nil, fmt.Errorf("more text after the JSON value at byte %d", root.to)
	}
	return root, nil
}

func readNode(dec *jsontext.Decoder) (*node, error) {
	n := &node{kind: dec.PeekKind()}
	switch n.kind {
	case '{', '[':
		if _, err := dec.ReadToken(); err != nil {
			return nil, err
		}
		n.from = int(dec.InputOffset()) - 1
		for dec.PeekKind() != '}' && dec.PeekKind() != ']' {
			var key string
			if n.kind == '{' {
				token, err := dec.ReadToken()
				if err != nil {
					return nil, err
				}
				key = token.String()
			}
			c, err := readNode(dec)
			if err != nil {
				return nil, err
			}
			c.key = key
			n.children = append(n.children, c)
		}
		if _, err := dec.ReadToken(); err != nil {
			return nil, err
		}
		n.to = int(dec.InputOffset())
	default:
		value, err := dec.ReadValue()
		if err != nil {
			return nil, err
		}
		n.to = int(dec.InputOffset())
		n.from = n.to - len(value)
		if n.kind == '"' {
			text, err := jsontext.AppendUnquote(nil, value)
			if err != nil {
				return nil, err
			}
			n.text = string(text)
		}
	}
	return n, nil
}
