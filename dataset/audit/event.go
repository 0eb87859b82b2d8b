// Package audit reads Kubernetes audit logs: files, streams and batches in, events and problems out.
//
// A raw line is one line of a file. An event is one request: all stages that the API server logged
// for it, merged. Everything above this package counts in events.
package audit

import (
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
	Stages          []Stage   // in the order they were logged

	Truth *Truth // what a labelled corpus says of the event; nil: not a corpus

	// Raw is the last stage's JSON object as it was read; nil unless the reader was asked to keep it.
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
	File string
	Line int
}

// User is who asked.
type User struct {
	Username string
	UID      string
	Groups   []string
	Extra    map[string][]string
}

// ObjectRef is the object that a request is about. Empty strings stand for absent fields.
type ObjectRef struct {
	APIGroup        string
	APIVersion      string
	Resource        string
	Subresource     string
	Namespace       string
	Name            string
	UID             string
	ResourceVersion string
}

// ResponseStatus is the outcome of a request.
type ResponseStatus struct {
	Code    int
	Status  string
	Reason  string
	Message string
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
}
