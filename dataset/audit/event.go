// Package audit reads Kubernetes audit logs: files, streams and batches in, events and problems out.
//
// A raw line is one line of a file. An event is one request: all stages that the API server logged
// for it, merged. Everything above this package counts in events.
package audit

import (
	"crypto/sha256"
	"encoding/binary"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// Event is one request to the API server, its stages merged: bodies and status of the last stage,
// receive time of the first. Fields carry the names of audit.k8s.io/v1 (KEP-22).
type Event struct {
	AuditID          string // chosen by the client: never the only key
	Level            string
	Verb             string
	RequestURI       string
	User             User
	ImpersonatedUser *User
	SourceIPs        []string
	UserAgent        string
	ObjectRef        *ObjectRef      // nil: a non-resource request
	ResponseStatus   *ResponseStatus // nil: no answer was logged
	RequestObject    jsontext.Value  // nil below level Request
	ResponseObject   jsontext.Value  // nil below level RequestResponse
	Annotations      map[string]string

	RequestReceived time.Time // requestReceivedTimestamp; a stage's own time where that is missing
	Stages          []Stage   // RequestReceived first, the end last; doubled ones by time

	// Source tells the logs apart that were overlaid to make one: objects and clients of two sources
	// are never the same. 0: the log is as it was read.
	Source uint32

	Truth *Truth // what a labelled corpus says of the event; nil: not a corpus

	// Raw is the last stage's JSON object on one line: as it was read where that was valid JSON,
	// mended where it was not; nil unless the reader was asked to keep it.
	Raw jsontext.Value
}

// Stage is one logged stage of a request.
type Stage struct {
	Name     string    // RequestReceived, ResponseStarted, ResponseComplete, Panic
	Time     time.Time // stageTimestamp
	Position Position
}

// Position is a place in the input. Line counts from 1; in a file that is one JSON document it is
// the item's number.
type Position struct {
	File string `json:"file"`
	Line int    `json:"line"`
}

// User is who asked.
type User struct {
	Username string              `json:"username"`
	UID      string              `json:"uid"`
	Groups   []string            `json:"groups"`
	Extra    map[string][]string `json:"extra"`
}

// ObjectRef is the object that a request is about. Empty strings stand for absent fields.
type ObjectRef struct {
	APIGroup        string `json:"apiGroup"` // empty: the core group
	APIVersion      string `json:"apiVersion"`
	Resource        string `json:"resource"`
	Subresource     string `json:"subresource"`
	Namespace       string `json:"namespace"`
	Name            string `json:"name"`
	UID             string `json:"uid"`
	ResourceVersion string `json:"resourceVersion"`
}

// ResponseStatus is the outcome of a request.
type ResponseStatus struct {
	Code    int    `json:"code"`
	Status  string `json:"status"`
	Reason  string `json:"reason"`
	Message string `json:"message"`
}

// Truth is what a labelled corpus knows of an event: the keys that a recording adds to each line.
type Truth struct {
	Context     string   // context id; empty: the cause is not sure (the event is ambiguous)
	Trigger     bool     // this event started its context
	Attribution string   // how the event was tied to its context
	Operation   string   // the command that several contexts share; may be empty
	Parent      string   // the context whose clock or threshold started this one; may be empty
	Candidates  []string // possible contexts of an ambiguous event

	// Label is the numeric label of the reference's format, which has no contexts; nil elsewhere.
	Label *int64
	// ControlPlane is set where a rule gave that label (the reference's cplabel).
	ControlPlane bool
}

// Digest identifies the event: equal for the same request read from another copy of the log, with
// or without truth, bodies, status and annotations. It covers auditID, receive time, verb, request
// URI, the user's name and uid, and the names and times of the stages, so an event whose end was not
// yet logged has another digest than the finished one.
func (e *Event) Digest() [16]byte {
	b := make([]byte, 0, 512)
	text := func(s string) {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	moment := func(t time.Time) {
		b = binary.BigEndian.AppendUint64(b, uint64(t.Unix()))
		b = binary.BigEndian.AppendUint32(b, uint32(t.Nanosecond()))
	}
	text(e.AuditID)
	moment(e.RequestReceived)
	text(e.Verb)
	text(e.RequestURI)
	text(e.User.Username)
	text(e.User.UID)
	for _, s := range e.Stages {
		text(s.Name)
		moment(s.Time)
	}
	sum := sha256.Sum256(b)
	return [16]byte(sum[:16])
}
