package audit

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// wire is an audit event as it is written: audit.k8s.io/v1 (KEP-22), the keys in which v1beta1 and
// v1alpha1 differ, and the truth of labelled corpora. Bodies stay unparsed.
type wire struct {
	Kind             string            `json:"kind"`
	APIVersion       string            `json:"apiVersion"`
	Level            string            `json:"level"`
	AuditID          string            `json:"auditID"`
	Stage            string            `json:"stage"`
	RequestURI       string            `json:"requestURI"`
	Verb             string            `json:"verb"`
	User             User              `json:"user"`
	ImpersonatedUser *User             `json:"impersonatedUser"`
	SourceIPs        []string          `json:"sourceIPs"`
	UserAgent        string            `json:"userAgent"`
	ObjectRef        *ObjectRef        `json:"objectRef"`
	ResponseStatus   *ResponseStatus   `json:"responseStatus"`
	RequestObject    jsontext.Value    `json:"requestObject"`
	ResponseObject   jsontext.Value    `json:"responseObject"`
	Received         time.Time         `json:"requestReceivedTimestamp"`
	StageTime        time.Time         `json:"stageTimestamp"`
	Annotations      map[string]string `json:"annotations"`

	// v1beta1 and v1alpha1: when the request came, and when the stage was written.
	Timestamp time.Time `json:"timestamp"`
	Metadata  struct {
		CreationTimestamp time.Time `json:"creationTimestamp"`
	} `json:"metadata"`

	Context     jsontext.Value `json:"context"` // a string, null, or absent: all three differ
	Trigger     bool           `json:"trigger"`
	Attribution string         `json:"attribution"`
	Operation   string         `json:"operation"`
	Parent      string         `json:"parent"`
	Candidates  []string       `json:"candidates"`
	Label       *int64         `json:"label"`
	CPLabel     jsontext.Value `json:"cplabel"`

	Unknown jsontext.Value `json:",unknown"`
}

// envelopeKeys are the keys of an event proper. A key that differs from one only in case is not it
// (the API server's own decoder is strict too), but is worth a word.
var envelopeKeys = [...]string{
	"apiVersion", "level", "auditID", "stage", "requestURI", "verb", "user", "impersonatedUser", "sourceIPs",
	"userAgent", "objectRef", "responseStatus", "requestObject", "responseObject", "requestReceivedTimestamp",
	"stageTimestamp", "annotations",
}

// isEvent tells an audit event from the rest of the world's JSON. The kind is not asked for: the
// reference's reduced files and some collectors leave it out.
func (w *wire) isEvent() bool {
	return w.Verb != "" && (w.RequestURI != "" || w.ObjectRef != nil)
}

func (w *wire) event(pos Position) *Event {
	e := &Event{
		AuditID:          w.AuditID,
		Level:            w.Level,
		Verb:             w.Verb,
		RequestURI:       w.RequestURI,
		User:             w.User,
		ImpersonatedUser: w.ImpersonatedUser,
		SourceIPs:        w.SourceIPs,
		UserAgent:        w.UserAgent,
		ObjectRef:        w.ObjectRef,
		ResponseStatus:   w.ResponseStatus,
		RequestObject:    notNull(w.RequestObject),
		ResponseObject:   notNull(w.ResponseObject),
		Annotations:      w.Annotations,
		RequestReceived:  firstTime(w.Received, w.Timestamp).UTC(),
		Truth:            w.truth(),
	}
	stage := firstTime(w.StageTime, w.Metadata.CreationTimestamp, e.RequestReceived)
	e.Stages = []Stage{{Name: w.Stage, Time: stage.UTC(), Position: pos}}
	if o := e.ObjectRef; o != nil {
		if i := strings.LastIndexByte(o.APIVersion, '/'); i >= 0 && o.APIGroup == "" {
			// v1alpha1 had group and version in one field: "apps/v1".
			o.APIGroup, o.APIVersion = o.APIVersion[:i], o.APIVersion[i+1:]
		}
		if o.APIGroup == "core" {
			o.APIGroup = "" // the reference's labeller writes "core" where the API server writes nothing
		}
	}
	return e
}

func (w *wire) truth() *Truth {
	if w.Context == nil && w.Label == nil && w.Attribution == "" {
		return nil
	}
	t := &Truth{
		Trigger: w.Trigger, Attribution: w.Attribution, Operation: w.Operation,
		Parent: w.Parent, Candidates: w.Candidates, Label: w.Label, ControlPlane: w.CPLabel.Kind() == 't',
	}
	if w.Context.Kind() == '"' {
		t.Context = unquote(w.Context)
	}
	return t
}

func notNull(v jsontext.Value) jsontext.Value {
	if v.Kind() == 'n' {
		return nil
	}
	return v
}

func firstTime(ts ...time.Time) time.Time {
	for _, t := range ts {
		if !t.IsZero() {
			return t
		}
	}
	return time.Time{}
}

// unquote gives the text of a JSON string that is known to be valid.
func unquote(v []byte) string {
	b, err := jsontext.AppendUnquote(nil, v)
	if err != nil {
		return ""
	}
	return string(b)
}

// entry is one decoded stage, or one problem.
type entry struct {
	event    *Event // with one stage
	received bool   // the line told when the request came
	problem  *Problem
}

// decoder turns the text of one item into entries: usually one, more for a list on one line.
type decoder struct {
	opts  Options
	tally *tally
	pos   Position
	out   []entry // to be taken by the caller
	wire  wire    // reused from line to line
}

// maxNest bounds envelopes in envelopes: an Event Hub batch, its record, the text in that, one to spare.
const maxNest = 4

// item decodes one item of the input: a line, or one element of a document.
func (d *decoder) item(data []byte, pos Position) {
	d.pos = pos
	d.decode(data, 0)
}

func (d *decoder) decode(data []byte, nest int) {
	w := &d.wire
	*w = wire{}
	switch err := json.Unmarshal(data, w); {
	case err != nil:
		d.tolerate(data, err, nest)
	case w.isEvent():
		d.accept(w, data)
	default:
		d.unwrap(data, nest)
	}
}

func (d *decoder) accept(w *wire, raw []byte) {
	d.tally.sum.Items++
	if w.Unknown != nil {
		d.checkCase(w.Unknown)
	}
	if w.Context != nil && w.Context.Kind() != '"' && w.Context.Kind() != 'n' {
		d.note(wrongType, "context is neither a string nor null: ignored")
		w.Context = nil
	}
	e := w.event(d.pos)
	if d.opts.KeepRaw {
		v := jsontext.Value(bytes.Clone(raw))
		if bytes.IndexByte(v, '\n') >= 0 || v[0] != '{' {
			// A pretty-printed document: one event is one line everywhere above.
			if err := v.Compact(lenient); err != nil {
				d.note(badUTF8, "the raw line could not be kept")
				v = nil
			}
		}
		e.Raw = v
	}
	d.out = append(d.out, entry{event: e, received: !e.RequestReceived.IsZero()})
	if e.RequestReceived.IsZero() {
		e.RequestReceived = e.Stages[0].Time
	}
}

func (d *decoder) checkCase(unknown jsontext.Value) {
	_ = Members(unknown, func(name, _ []byte) bool {
		for _, k := range envelopeKeys {
			if n := unquote(name); strings.EqualFold(n, k) {
				d.note(keyCase, "%s is not %s: ignored", n, k)
			}
		}
		return true
	})
}

// note reports a problem that costs no item.
func (d *decoder) note(kind, format string, args ...any) { d.report(false, kind, format, args...) }

// skip reports a problem that costs the item.
func (d *decoder) skip(kind, format string, args ...any) {
	d.tally.sum.Items++
	d.report(true, kind, format, args...)
}

func (d *decoder) report(skipped bool, kind, format string, args ...any) {
	p := &Problem{Position: d.pos, Kind: kind, Detail: shorten(fmt.Sprintf(format, args...)), Skipped: skipped}
	d.tally.problem(p)
	d.out = append(d.out, entry{problem: p})
}

// lenient accepts what RFC 8259 does: a patch body is logged as the client sent it, and a key named
// twice in it must not hide the event.
var lenient = jsontext.AllowDuplicateNames(true)

// maxRepairs bounds how many fields one item may lose.
const maxRepairs = 32

// tolerate decodes what the strict decoder refused with err: fields of a wrong type and bodies that
// no decoder would take are left out, broken text is mended, values that share a line are parted.
func (d *decoder) tolerate(data []byte, err error, nest int) {
	raw := data
	type note struct{ kind, detail string }
	var notes []note
	var w wire
repair:
	for range maxRepairs {
		var semantic *json.SemanticError
		var syntactic *jsontext.SyntacticError
		switch {
		case err == nil:
			if !w.isEvent() {
				d.unwrap(raw, nest)
				return
			}
			if !jsontext.Value(raw).IsValid(lenient) {
				raw = data // the member of a wrong type was not JSON at all
			}
			for _, n := range notes {
				d.note(n.kind, "%s", n.detail)
			}
			d.accept(&w, raw)
			return

		case errors.As(err, &semantic):
			key := firstToken(semantic.JSONPointer)
			if key == "" { // not an object at all
				break repair
			}
			notes = append(notes, note{wrongType, key + " left out"})
			if data = without(data, key); data == nil {
				break repair
			}

		case errors.Is(err, jsontext.ErrDuplicateName):
			errors.As(err, &syntactic)
			key := firstToken(syntactic.JSONPointer)
			if !isBody(key) || strings.Count(string(syntactic.JSONPointer), "/") < 2 {
				d.skip(duplicateKey, "%s is there twice: no telling which one is meant", key)
				return
			}
			notes = append(notes, note{bodyDropped, key + " names a key twice"})
			if data = without(data, key); data == nil {
				break repair
			}

		case !jsontext.Value(data).IsValid(lenient) && jsontext.Value(data).IsValid(lenient, jsontext.AllowInvalidUTF8(true)):
			v := jsontext.Value(bytes.Clone(data))
			if v.Format(lenient, jsontext.AllowInvalidUTF8(true)) != nil {
				break repair
			}
			notes = append(notes, note{badUTF8, "replaced by U+FFFD"})
			data, raw = v, v

		case depth(data) > maxDepth:
			shallow, lost := withoutDeep(data)
			if len(lost) == 0 {
				d.skip(tooDeep, "more than %d levels", maxDepth)
				return
			}
			for _, key := range lost {
				notes = append(notes, note{bodyDropped, fmt.Sprintf("%s is nested deeper than %d", key, maxDepth)})
			}
			data, raw = shallow, shallow

		default:
			break repair
		}
		w = wire{}
		err = json.Unmarshal(data, &w)
	}
	d.split(raw, err, nest)
}

// firstToken is the first name in a pointer, "" for the root.
func firstToken(p jsontext.Pointer) string {
	for t := range p.Tokens() {
		return t
	}
	return ""
}

func isBody(key string) bool { return key == "requestObject" || key == "responseObject" }

// eventStart is how the API server begins every line: kind and version come first in its encoding.
// It cannot lie inside a JSON string (its quotes would be escaped).
var eventStart = []byte(`{"kind":"Event","apiVersion":"audit.k8s.io/`)

// split handles text that is not one JSON object: several values on one line, a torn line with a
// whole one behind it (a writer killed and started again), text before the event (a log prefix),
// an array, or nothing of use.
func (d *decoder) split(data []byte, err error, nest int) {
	text := bytes.TrimSpace(data)
	if len(text) > 0 && text[0] == '[' && jsontext.Value(text).IsValid(lenient) {
		d.unwrap(text, nest)
		return
	}
	if nest >= maxNest {
		d.skip(notJSON, "%s", syntaxDetail(err))
		return
	}
	if n, end := values(text); n > 1 && end == len(text) {
		d.each(text, nest)
		return
	}
	if i := bytes.LastIndex(text, eventStart); i > 0 && jsontext.Value(text[i:]).IsValid(lenient) {
		if head := bytes.TrimSpace(text[:i]); bytes.IndexByte(head, '{') < 0 {
			d.note(foreignText, "%d bytes before the event ignored", i)
		} else {
			d.fragment(head, err, nest)
		}
		d.decode(text[i:], nest+1)
		return
	}
	if i := bytes.IndexByte(text, '{'); i > 0 && text[0] != '[' && jsontext.Value(text[i:]).IsValid(lenient) {
		d.note(foreignText, "%d bytes before the value ignored", i)
		d.decode(text[i:], nest+1)
		return
	}
	d.fragment(text, err, nest)
}

// fragment decodes the whole values at the start of text that does not end well, and reports the rest.
func (d *decoder) fragment(text []byte, err error, nest int) {
	n, end := values(text)
	if n == 1 && end == len(text) || n > 0 && text[0] == '[' && !jsontext.Value(text[:end]).IsValid(lenient) {
		d.skip(notJSON, "%s", syntaxDetail(err))
		return
	}
	if n > 0 {
		d.each(text[:end], nest)
	}
	rest := bytes.Trim(text[end:], ", \t\r\n\x00")
	switch {
	case len(rest) == 0 && n > 0:
	case len(rest) > 0 && (rest[0] == '{' || rest[0] == '['):
		d.skip(cutJSON, "the text ends inside a value")
	default:
		d.skip(notJSON, "%s", syntaxDetail(err))
	}
}

// each decodes the top-level values of text.
func (d *decoder) each(text []byte, nest int) {
	s := splitter{limit: len(text)}
	s.emit = func(item []byte, _ bool) { d.decode(item, nest+1) }
	s.feed(text)
	d.tally.sum.Lists += int64(s.lists)
}

// values counts the whole objects and arrays at the start of text, and says where the last one ends.
func values(text []byte) (n, end int) {
	s := splitter{flat: true}
	for i := range text {
		s.feed(text[i : i+1])
		if s.junk {
			break
		}
		if s.values > n {
			n, end = s.values, i+1
		}
	}
	return n, end
}

// syntaxDetail says where JSON stopped being JSON, without quoting the log.
func syntaxDetail(err error) string {
	var s *jsontext.SyntacticError
	if errors.As(err, &s) {
		return fmt.Sprintf("at byte %d", s.ByteOffset)
	}
	return "neither an object nor a list"
}
