package query

import (
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"k8ntext/dataset/audit"
)

// kind is the type of an operand.
type kind uint8

const (
	text    kind = 1 + iota
	number       // float64
	moment       // time.Time
	boolean      // only in bodies
	dynamic      // a member of a body: what it is, the log says
	object       // has members, and is no value itself
)

func (k kind) String() string {
	return [...]string{
		text: "a text", number: "a number", moment: "a time", boolean: "true or false", dynamic: "a member of a body", object: "an object",
	}[k]
}

// field is a name of the language and how to read it. Exactly one of the functions is set.
type field struct {
	name  string
	kind  kind // of a list: of its elements
	label bool // its texts are labels

	ofContext func(*Context) string
	number    func(*env) (float64, bool) // false: absent
	text      func(*audit.Event) string  // empty: absent
	time      func(*audit.Event) time.Time
	list      func(*audit.Event) []string
	entry     func(ev *audit.Event, key string, keyed bool) mapValue
	body      func(*audit.Event) jsontext.Value
	there     func(*audit.Event) bool // of an object
}

// mapValue is what a map has under a key, or without a key whether it has anything.
type mapValue struct {
	ok   bool
	text string   // where texts is nil
	list []string // of a map of lists
}

// fields are the names, sorted.
func fields() []field {
	ofContext := func(name string, get func(*Context) string) field {
		return field{name: name, kind: text, ofContext: get}
	}
	ofEvent := func(name string, get func(*audit.Event) string) field {
		return field{name: name, kind: text, text: get}
	}
	ofTime := func(name string, get func(*audit.Event) time.Time) field {
		return field{name: name, kind: moment, time: get}
	}
	ofRef := func(name string, get func(*audit.ObjectRef) string) field {
		return ofEvent("objectRef."+name, func(ev *audit.Event) string {
			if ev.ObjectRef == nil {
				return ""
			}
			return get(ev.ObjectRef)
		})
	}
	ofStatus := func(name string, get func(*audit.ResponseStatus) string) field {
		return ofEvent("responseStatus."+name, func(ev *audit.Event) string {
			if ev.ResponseStatus == nil {
				return ""
			}
			return get(ev.ResponseStatus)
		})
	}
	user := func(prefix string, get func(*audit.Event) *audit.User) []field {
		return []field{
			{name: prefix, kind: object, there: func(ev *audit.Event) bool {
				u := get(ev)
				return u != nil && (u.Username != "" || u.UID != "" || len(u.Groups) > 0)
			}},
			ofEvent(prefix+".username", func(ev *audit.Event) string {
				if u := get(ev); u != nil {
					return u.Username
				}
				return ""
			}),
			ofEvent(prefix+".uid", func(ev *audit.Event) string {
				if u := get(ev); u != nil {
					return u.UID
				}
				return ""
			}),
			{name: prefix + ".groups", kind: text, list: func(ev *audit.Event) []string {
				if u := get(ev); u != nil {
					return u.Groups
				}
				return nil
			}},
			{name: prefix + ".extra", kind: text, entry: func(ev *audit.Event, key string, keyed bool) mapValue {
				u := get(ev)
				if u == nil || !keyed {
					return mapValue{ok: u != nil && len(u.Extra) > 0}
				}
				list, ok := u.Extra[key]
				return mapValue{ok: ok, list: list}
			}},
		}
	}

	label := ofContext("label", func(c *Context) string { return c.Label })
	label.label = true
	all := []field{
		label,
		ofContext("id", func(c *Context) string { return c.ID }),
		ofContext("operation", func(c *Context) string { return c.Operation }),
		ofContext("parent", func(c *Context) string { return c.Parent }),
		{name: "size", kind: number, number: func(e *env) (float64, bool) { return float64(len(e.context.Events)), true }},

		ofEvent("auditID", func(ev *audit.Event) string { return ev.AuditID }),
		ofEvent("level", func(ev *audit.Event) string { return ev.Level }),
		ofEvent("verb", func(ev *audit.Event) string { return ev.Verb }),
		ofEvent("requestURI", func(ev *audit.Event) string { return ev.RequestURI }),
		ofEvent("userAgent", func(ev *audit.Event) string { return ev.UserAgent }),
		ofEvent("stage", func(ev *audit.Event) string {
			if len(ev.Stages) == 0 {
				return ""
			}
			return ev.Stages[len(ev.Stages)-1].Name
		}),
		ofTime("requestReceivedTimestamp", func(ev *audit.Event) time.Time { return ev.RequestReceived }),
		ofTime("stageTimestamp", func(ev *audit.Event) time.Time {
			if len(ev.Stages) == 0 {
				return time.Time{}
			}
			return ev.Stages[len(ev.Stages)-1].Time
		}),
		{name: "sourceIPs", kind: text, list: func(ev *audit.Event) []string { return ev.SourceIPs }},
		{name: "annotations", kind: text, entry: func(ev *audit.Event, key string, keyed bool) mapValue {
			if !keyed {
				return mapValue{ok: len(ev.Annotations) > 0}
			}
			one, ok := ev.Annotations[key]
			return mapValue{ok: ok, text: one}
		}},

		{name: "objectRef", kind: object, there: func(ev *audit.Event) bool { return ev.ObjectRef != nil }},
		ofRef("apiGroup", func(o *audit.ObjectRef) string { return o.APIGroup }),
		ofRef("apiVersion", func(o *audit.ObjectRef) string { return o.APIVersion }),
		ofRef("resource", func(o *audit.ObjectRef) string { return o.Resource }),
		ofRef("subresource", func(o *audit.ObjectRef) string { return o.Subresource }),
		ofRef("namespace", func(o *audit.ObjectRef) string { return o.Namespace }),
		ofRef("name", func(o *audit.ObjectRef) string { return o.Name }),
		ofRef("uid", func(o *audit.ObjectRef) string { return o.UID }),
		ofRef("resourceVersion", func(o *audit.ObjectRef) string { return o.ResourceVersion }),

		{name: "responseStatus", kind: object, there: func(ev *audit.Event) bool { return ev.ResponseStatus != nil }},
		{name: "responseStatus.code", kind: number, number: func(e *env) (float64, bool) {
			if e.event == nil || e.event.ResponseStatus == nil {
				return 0, false
			}
			return float64(e.event.ResponseStatus.Code), true
		}},
		ofStatus("status", func(s *audit.ResponseStatus) string { return s.Status }),
		ofStatus("reason", func(s *audit.ResponseStatus) string { return s.Reason }),
		ofStatus("message", func(s *audit.ResponseStatus) string { return s.Message }),

		{name: "requestObject", kind: dynamic, body: func(ev *audit.Event) jsontext.Value { return ev.RequestObject }},
		{name: "responseObject", kind: dynamic, body: func(ev *audit.Event) jsontext.Value { return ev.ResponseObject }},
	}
	all = append(all, user("user", func(ev *audit.Event) *audit.User { return &ev.User })...)
	all = append(all, user("impersonatedUser", func(ev *audit.Event) *audit.User { return ev.ImpersonatedUser })...)
	slices.SortFunc(all, func(a, b field) int { return strings.Compare(a.name, b.name) })
	return all
}

// aliases are the paper's short names (REFERENCE 10) and what they stand for. They are written in any
// case, as are the names of single words that audit events and contexts have.
func aliases() map[string]string {
	return map[string]string{
		"username":        "user.username",
		"resource":        "objectRef.resource",
		"subresource":     "objectRef.subresource",
		"namespace":       "objectRef.namespace",
		"name":            "objectRef.name",
		"code":            "responseStatus.code",
		"requestTime":     "requestReceivedTimestamp",
		"completionTime":  "stageTimestamp",
		"uid":             "responseObject.metadata.uid",
		"ownerReferences": "responseObject.metadata.ownerReferences",
		"involvedObject":  "responseObject.involvedObject",
		"claimRef":        "responseObject.spec.claimRef",
		"reason":          "responseObject.reason",
	}
}

// Names are the names of the language, short ones included, sorted.
func Names() []string {
	var names []string
	for _, f := range fields() {
		names = append(names, f.name)
	}
	for name := range aliases() {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Functions are the names of the functions, sorted.
func Functions() []string { return []string{"all", "any", "count", "exists", "regexp"} }
