package audit

import (
	"bytes"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// unwrap decodes what a JSON value that is no audit event itself holds: the items of a list, or the
// one event in an envelope. These envelopes are known:
//
//	message, @message       CloudWatch Logs (EKS): one log event, one row of Insights
//	properties.log, log_s   Azure Monitor (AKS): a diagnostic record, a row of AzureDiagnostics
//	log                     Docker's json-file
//	textPayload, jsonPayload   Cloud Logging, of an API server that logs to standard output
//	protoPayload            Cloud Logging's audit entry (GKE): another schema, see googleEvent
func (d *decoder) unwrap(data []byte, nest int) {
	if nest >= maxNest {
		d.skip(notAnEvent, "envelopes in envelopes: more than %d levels", maxNest)
		return
	}
	s := splitter{limit: len(data)}
	s.emit = func(item []byte, _ bool) {
		if s.lists > 0 {
			d.decode(item, nest+1)
		}
	}
	s.feed(data)
	if s.lists > 0 {
		d.tally.sum.Lists++
		return
	}
	var inner []byte
	var google jsontext.Value
	Members(data, func(name, value []byte) bool {
		switch unquote(name) {
		case "message", "@message", "log", "log_s", "textPayload":
			inner = objectIn(value)
		case "jsonPayload":
			inner = value
		case "properties":
			Members(value, func(name, value []byte) bool {
				if unquote(name) == "log" {
					inner = objectIn(value)
				}
				return inner == nil
			})
		case "protoPayload":
			google = value
		}
		return inner == nil && google == nil
	})
	switch {
	case google != nil:
		d.google(data)
	case inner != nil:
		d.decode(inner, nest+1)
	default:
		d.skip(notAnEvent, "no verb and requestURI, and no known envelope")
	}
}

// objectIn gives the JSON object that a JSON string holds, nil if it holds something else.
func objectIn(value []byte) []byte {
	if value[0] != '"' {
		return nil
	}
	text := bytes.TrimSpace([]byte(unquote(value)))
	if len(text) == 0 || text[0] != '{' {
		return nil
	}
	return text
}

// googleEntry is the part of a Cloud Logging audit entry that has a counterpart in an audit event.
// Source: cloud.google.com/logging/docs/reference/audit/auditlog, cloud.google.com/kubernetes-engine/docs/how-to/audit-logging.
type googleEntry struct {
	Timestamp time.Time         `json:"timestamp"`
	Labels    map[string]string `json:"labels"`
	Operation struct {
		ID    string `json:"id"`
		First bool   `json:"first"`
		Last  bool   `json:"last"`
	} `json:"operation"`
	Payload struct {
		ServiceName        string `json:"serviceName"`
		MethodName         string `json:"methodName"`
		ResourceName       string `json:"resourceName"`
		AuthenticationInfo struct {
			PrincipalEmail string `json:"principalEmail"`
		} `json:"authenticationInfo"`
		RequestMetadata struct {
			CallerIP        string `json:"callerIp"`
			CallerUserAgent string `json:"callerSuppliedUserAgent"`
		} `json:"requestMetadata"`
		Status *struct {
			Code    int    `json:"code"`
			Message string `json:"message"`
		} `json:"status"`
		Request  jsontext.Value `json:"request"`
		Response jsontext.Value `json:"response"`
	} `json:"protoPayload"`
}

// google converts a GKE entry. Its schema has no request URI, no stages and no groups, and tells
// gRPC codes instead of HTTP's: the URI is rebuilt without its query, a success counts as 200.
func (d *decoder) google(data []byte) {
	var g googleEntry
	if err := json.Unmarshal(data, &g, lenient); err != nil {
		d.skip(notAnEvent, "a Cloud Logging entry in an unknown form")
		return
	}
	p := &g.Payload
	ref, uri := googleObject(p.ResourceName)
	verb := p.MethodName[strings.LastIndexByte(p.MethodName, '.')+1:]
	if p.ServiceName != "k8s.io" || verb == "" || ref == nil {
		d.skip(notAnEvent, "a Cloud Logging entry of another service")
		return
	}
	w := wire{
		AuditID: g.Operation.ID, Verb: verb, RequestURI: uri, ObjectRef: ref,
		Stage:     "ResponseComplete",
		User:      User{Username: p.AuthenticationInfo.PrincipalEmail},
		UserAgent: p.RequestMetadata.CallerUserAgent,
		Received:  g.Timestamp, StageTime: g.Timestamp, Annotations: g.Labels,
		RequestObject: p.Request, ResponseObject: p.Response,
		ResponseStatus: &ResponseStatus{Code: 200},
	}
	if g.Operation.First && !g.Operation.Last {
		w.Stage = "ResponseStarted"
	}
	if ip := p.RequestMetadata.CallerIP; ip != "" {
		w.SourceIPs = []string{ip}
	}
	if s := p.Status; s != nil {
		w.ResponseStatus = &ResponseStatus{Code: httpCode(s.Code), Message: s.Message}
	}
	d.accept(&w, data)
}

// googleObject reads a resource name: group/version[/namespaces/NS]/resource[/name[/subresource]],
// where "core" stands for the group without a name.
func googleObject(name string) (ref *ObjectRef, uri string) {
	part := strings.Split(name, "/")
	if len(part) < 3 {
		return nil, ""
	}
	ref = &ObjectRef{APIGroup: part[0], APIVersion: part[1]}
	uri = "/apis/" + name
	if part[0] == "core" {
		ref.APIGroup = ""
		uri = "/api/" + strings.TrimPrefix(name, "core/")
	}
	part = part[2:]
	if part[0] == "namespaces" && len(part) >= 2 {
		ref.Namespace = part[1] // the API server does so for the namespace itself too
		if len(part) >= 3 && part[2] != "status" && part[2] != "finalize" {
			part = part[2:]
		}
	}
	ref.Resource = part[0]
	if len(part) > 1 {
		ref.Name = part[1]
	}
	if len(part) > 2 {
		ref.Subresource = part[2]
	}
	return ref, uri
}

// httpCode gives the HTTP status that the API server maps to a gRPC code (google.rpc.Code).
func httpCode(code int) int {
	switch code {
	case 0:
		return 200
	case 3, 9, 11: // INVALID_ARGUMENT, FAILED_PRECONDITION, OUT_OF_RANGE
		return 400
	case 16: // UNAUTHENTICATED
		return 401
	case 7: // PERMISSION_DENIED
		return 403
	case 5: // NOT_FOUND
		return 404
	case 6, 10: // ALREADY_EXISTS, ABORTED
		return 409
	case 8: // RESOURCE_EXHAUSTED
		return 429
	case 12: // UNIMPLEMENTED
		return 501
	case 14: // UNAVAILABLE
		return 503
	case 4: // DEADLINE_EXCEEDED
		return 504
	default:
		return 500
	}
}
