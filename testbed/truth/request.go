package truth

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/klauspost/compress/zstd"
)

// Request is one request to the API server: the lines of all its stages.
type Request struct {
	ID       string
	Lines    []int // in the file, from 0
	Received int64 // nanoseconds since 1970
	Ended    int64 // stage time of its last line
	Stages   []string

	Verb, URI, User, Agent string
	Resource               string // with its group: deployments.apps; empty: not about a resource
	Subresource            string
	Namespace              string
	Name                   string // also of an object that the server named
	Code                   int
	Status                 string // reason of the response status

	sent   *object // request body; nil: none, or no object
	answer *object // response body; nil: none, or a list

	command  *Command // whose process sent it; nil: not a person's
	harness  bool
	instance *instance // that it is about; nil: none or unknown

	verdict verdict
	state   int8 // of its attribution: 0 to do, 1 under way, 2 done
}

func (q *Request) ok() bool  { return q.Code >= 200 && q.Code < 300 }
func (q *Request) dry() bool { return strings.Contains(q.URI, "dryRun=") }

// changes tells whether the request's verb changes things.
func (q *Request) changes() bool {
	switch q.Verb {
	case "create", "update", "patch", "delete", "deletecollection":
		return true
	}
	return false
}

// took tells whether the request changed what is stored.
func (q *Request) took() bool { return q.changes() && q.ok() && !q.dry() }

func (q *Request) node() string {
	name, _ := strings.CutPrefix(q.User, "system:node:")
	if name == q.User {
		return ""
	}
	return name
}

// worker is the name of the component that asks: the controller's account, kube-scheduler, kubelet,
// apiserver; else the user's name.
func (q *Request) worker() string {
	if q.node() != "" {
		return "kubelet"
	}
	if i := strings.LastIndexByte(q.User, ':'); i >= 0 && strings.HasPrefix(q.User, "system:") {
		return q.User[i+1:]
	}
	return q.User
}

// object is what of a body attribution needs.
type object struct {
	Kind     string `json:"kind"`
	Metadata meta   `json:"metadata"`

	Spec    jsontext.Value `json:"spec"`
	State   jsontext.Value `json:"status"` // a text in a Status
	Details *struct {
		UID string `json:"uid"`
	} `json:"details"` // of a Status

	Involved  *reference `json:"involvedObject"` // of an Event
	Regarding *reference `json:"regarding"`
	Reason    string     `json:"reason"`
	Message   string     `json:"message"`
	Note      string     `json:"note"`

	Target        *reference `json:"target"` // of a binding
	Preconditions *struct {
		UID string `json:"uid"`
	} `json:"preconditions"` // of a deletion
	Grace *int64 `json:"gracePeriodSeconds"`

	Endpoints []endpoint `json:"endpoints"` // of an EndpointSlice
	Subsets   []struct {
		Addresses []endpointAddress `json:"addresses"`
		NotReady  []endpointAddress `json:"notReadyAddresses"`
	} `json:"subsets"` // of Endpoints
}

type meta struct {
	Name         string            `json:"name"`
	GenerateName string            `json:"generateName"`
	Namespace    string            `json:"namespace"`
	UID          string            `json:"uid"`
	Version      string            `json:"resourceVersion"`
	Generation   int64             `json:"generation"`
	Deleting     *time.Time        `json:"deletionTimestamp"`
	Finalizers   []string          `json:"finalizers"`
	Labels       map[string]string `json:"labels"`
	Owners       []reference       `json:"ownerReferences"`
}

type reference struct {
	Kind       string `json:"kind"`
	Namespace  string `json:"namespace"`
	Name       string `json:"name"`
	UID        string `json:"uid"`
	Controller bool   `json:"controller"`
}

type endpoint struct {
	Addresses  []string       `json:"addresses"`
	Conditions jsontext.Value `json:"conditions"`
	Target     *reference     `json:"targetRef"`
}

type endpointAddress struct {
	IP     string     `json:"ip"`
	Target *reference `json:"targetRef"`
}

func (o *object) isList() bool { return strings.HasSuffix(o.Kind, "List") }

// lenient: clients write what they like into bodies; what the server stored is what counts.
var lenient = json.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))

// decodeObject reads a body; nil where it is no object, or of other types than these.
func decodeObject(body jsontext.Value) *object {
	if len(body) == 0 || body[0] != '{' {
		return nil
	}
	o := new(object)
	if err := json.Unmarshal(body, o, lenient); err != nil {
		// A patch or a custom resource may hold anything under these names: identity is enough.
		var least struct {
			Kind     string `json:"kind"`
			Metadata meta   `json:"metadata"`
		}
		if json.Unmarshal(body, &least, lenient) != nil {
			return nil
		}
		o = &object{Kind: least.Kind, Metadata: least.Metadata}
	}
	return o
}

// auditLine is a line of an audit log.
type auditLine struct {
	AuditID string `json:"auditID"`
	Stage   string `json:"stage"`
	URI     string `json:"requestURI"`
	Verb    string `json:"verb"`
	User    struct {
		Username string `json:"username"`
	} `json:"user"`
	Agent string `json:"userAgent"`
	Ref   struct {
		Group       string `json:"apiGroup"`
		Resource    string `json:"resource"`
		Subresource string `json:"subresource"`
		Namespace   string `json:"namespace"`
		Name        string `json:"name"`
		UID         string `json:"uid"`
	} `json:"objectRef"`
	Response struct {
		Code   int    `json:"code"`
		Reason string `json:"reason"`
	} `json:"responseStatus"`
	Sent     jsontext.Value `json:"requestObject"`
	Answer   jsontext.Value `json:"responseObject"`
	Received time.Time      `json:"requestReceivedTimestamp"`
	At       time.Time      `json:"stageTimestamp"`
}

// Log is an audit log, its lines put together to requests.
type Log struct {
	Requests []*Request // by the time they came
	Lines    int
	Skipped  []string // lines that are no audit events, with the reason
}

// ReadLog reads an audit log, plain or zstd. Bodies are kept only as far as attribution needs them.
// Lines that are no audit events are counted and left out.
func ReadLog(file string) (*Log, error) {
	log := new(Log)
	byID := make(map[string]*Request)
	n := 0
	err := EachLine(file, func(line []byte) error {
		n++
		if err := log.add(byID, n-1, line); err != nil && len(log.Skipped) < 100 {
			log.Skipped = append(log.Skipped, fmt.Sprintf("%s:%d: %v", file, n, err))
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read audit log: %w", err)
	}
	log.Lines = n
	if len(log.Requests) == 0 {
		return nil, fmt.Errorf("read audit log %s: no audit event in it", file)
	}
	slices.SortStableFunc(log.Requests, func(a, b *Request) int {
		if a.Received != b.Received {
			return int(max(-1, min(1, a.Received-b.Received)))
		}
		return a.Lines[0] - b.Lines[0]
	})
	return log, nil
}

func (log *Log) add(byID map[string]*Request, n int, text []byte) error {
	var l auditLine
	if err := json.Unmarshal(text, &l, lenient); err != nil {
		return err
	}
	if l.AuditID == "" || l.Stage == "" {
		return fmt.Errorf("no auditID or no stage")
	}
	// A client may choose the id, and choose one twice.
	key := l.AuditID + l.Received.Format(time.RFC3339Nano)
	q := byID[key]
	if q == nil {
		q = &Request{ID: l.AuditID, Received: l.Received.UnixNano()}
		byID[key] = q
		log.Requests = append(log.Requests, q)
	}
	q.Lines = append(q.Lines, n)
	q.Stages = append(q.Stages, l.Stage)
	q.Ended = l.At.UnixNano()
	q.Verb, q.URI, q.User, q.Agent = l.Verb, l.URI, l.User.Username, l.Agent
	q.Resource, q.Subresource, q.Namespace = l.Ref.Resource, l.Ref.Subresource, l.Ref.Namespace
	if l.Ref.Group != "" {
		q.Resource += "." + l.Ref.Group
	}
	q.Code, q.Status = l.Response.Code, l.Response.Reason
	if o := decodeObject(l.Sent); o != nil {
		q.sent = o
	}
	if o := decodeObject(l.Answer); o != nil && !o.isList() {
		q.answer = o
	}
	q.Name = l.Ref.Name
	if q.Name == "" && q.answer != nil && q.answer.Kind != "Status" {
		q.Name = q.answer.Metadata.Name
	}
	if q.Name == "" && q.sent != nil && q.Verb == "create" {
		q.Name = q.sent.Metadata.Name
	}
	return nil
}

// EachLine calls f with every line of a file, plain or zstd, without its end. f must not keep it.
func EachLine(file string, f func(line []byte) error) error {
	in, err := os.Open(file)
	if err != nil {
		return err
	}
	defer in.Close()
	b := bufio.NewReaderSize(in, 1<<20)
	if magic, _ := b.Peek(4); bytes.Equal(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}) {
		z, err := zstd.NewReader(b, zstd.WithDecoderConcurrency(1))
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		defer z.Close()
		b = bufio.NewReaderSize(z, 1<<20)
	}
	var long []byte
	for n := 1; ; n++ {
		line, err := b.ReadSlice('\n')
		if err == bufio.ErrBufferFull {
			long = append(long[:0], line...)
			for err == bufio.ErrBufferFull {
				line, err = b.ReadSlice('\n')
				long = append(long, line...)
			}
			line = long
		}
		if line = bytes.TrimRight(line, "\r\n"); len(line) > 0 {
			if err := f(line); err != nil {
				return fmt.Errorf("%s:%d: %w", file, n, err)
			}
		}
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return fmt.Errorf("%s:%d: %w", file, n, err)
		}
	}
}
