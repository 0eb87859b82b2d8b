package feature

import (
	"slices"
	"strconv"
	"strings"
)

// paperFields is the reference's list of 39 features (its model_features.py, final version) in the order
// of its tensor's columns. Every value is what a breadth-first flattening of the event has at the path:
// null where there is nothing, null, or a container.
func paperFields() []Field {
	ev := func(path, meaning string, read func(r *row) value) Field {
		return Field{
			Path: path, Meaning: meaning, Encoding: encText, Source: fromPaper,
			read: func(r *row, _ []slot) value { return read(r) },
		}
	}
	body := func(path, meaning string) Field {
		return Field{
			Path: path, Meaning: meaning, Encoding: encText, Source: fromPaper, needs: []string{path},
			read: func(_ *row, in []slot) value { return leaf(in[0]) },
		}
	}
	binary := func(path, meaning string) Field {
		return Field{
			Path: path, Meaning: meaning, Encoding: encBinarised, Source: fromPaper, needs: []string{path},
			read: func(_ *row, in []slot) value { return binarised(in[0]) },
		}
	}
	group := func(i int) Field {
		return ev("user.groups["+strconv.Itoa(i)+"]", "the user's groups, by place", func(r *row) value {
			if i >= len(r.event.User.Groups) {
				return value{}
			}
			return just(r.event.User.Groups[i])
		})
	}
	fromAgent := func(f Field) Field { f.agent = true; return f }

	namespace := ev("objectRef.namespace", "whether the request names a namespace", func(r *row) value {
		if r.event.ObjectRef == nil || r.event.ObjectRef.Namespace == "" {
			return value{}
		}
		return just("1")
	})
	namespace.Encoding = encBinarised
	verb := ev("verb", "the verb, merged to five", func(r *row) value { return textOf(verbID(r.event.Verb)) })
	verb.Encoding = encVerb

	const dead = "always null: no such path in a flattened event"
	fields := []Field{
		ev("objectRef.apiGroup", "API group; null for core", func(r *row) value {
			if r.event.ObjectRef == nil || r.event.ObjectRef.APIGroup == "core" {
				return value{}
			}
			return textOf(r.event.ObjectRef.APIGroup)
		}),
		namespace,
		ev("objectRef.resource", "resource", func(r *row) value {
			if r.event.ObjectRef == nil {
				return value{}
			}
			return textOf(r.event.ObjectRef.Resource)
		}),
		ev("objectRef.subresource", "subresource", func(r *row) value {
			if r.event.ObjectRef == nil {
				return value{}
			}
			return textOf(r.event.ObjectRef.Subresource)
		}),
		group(0), group(1), group(2),
		fromAgent(ev("userAgent.extra", "part of the client that acts", func(r *row) value { return r.agent.extra })),
		fromAgent(ev("userAgent.tool", "client program", func(r *row) value { return r.agent.tool })),
		fromAgent(ev("userAgent.version", "version of the client program", func(r *row) value { return r.agent.version })),
		verb,
		body("requestObject.kind", "kind of the object sent"),
		body("requestObject.apiVersion", "API version of the object sent"),
		body("requestObject.metadata.namespace", "namespace of the object sent, by name"),
		body("requestObject.metadata.ownerReferences.apiVersion", dead),
		body("requestObject.metadata.ownerReferences.kind", dead),
		body("requestObject.metadata.ownerReferences.controller", dead),
		body("requestObject.metadata.ownerReferences.blockOwnerDeletion", dead),
		body("requestObject.volumeBindingMode", "of a StorageClass sent"),
		body("requestObject.spec.volumeMode", "of a volume or claim sent"),
		body("responseObject.spec.volumeMode", "of a volume or claim returned"),
		body("responseObject.kind", "kind of the object returned"),
		binary("responseObject.metadata.namespace", "whether the object returned has a namespace"),
		body("responseObject.metadata.ownerReferences.apiVersion", dead),
		body("responseObject.metadata.ownerReferences.kind", dead),
		body("responseObject.metadata.ownerReferences.controller", dead),
		body("responseObject.metadata.ownerReferences.blockOwnerDeletion", dead),
		body("responseObject.involvedObject.apiVersion", "API version of an Event's object"),
		body("responseObject.involvedObject.kind", "kind of an Event's object"),
		binary("responseObject.involvedObject.namespace", "whether an Event's object has a namespace"),
		body("responseObject.involvedObject.resource", dead),
		body("responseObject.involvedObject.subresource", dead),
		body("responseObject.reason", "an Event's reason, or why a request failed"),
		body("responseObject.count", "how often an Event happened"),
		body("responseObject.type", "an Event's or a Secret's type"),
		body("responseObject.reportingComponent", "who reports an Event"),
		body("responseObject.source.component", "who reports an Event, older field"),
		ev("annotations.authorization.k8s.io/decision", "allow or forbid", func(r *row) value {
			decision, ok := r.event.Annotations["authorization.k8s.io/decision"]
			if !ok {
				return value{}
			}
			return just(decision)
		}),
		ev("responseStatus.code", "HTTP status", func(r *row) value {
			if r.event.ResponseStatus == nil || r.event.ResponseStatus.Code == 0 {
				return value{}
			}
			return just(strconv.Itoa(r.event.ResponseStatus.Code))
		}),
	}
	slices.SortFunc(fields, func(a, b Field) int { return strings.Compare(a.Path, b.Path) })
	return fields
}

// leaf is a slot as the flattening has it. An empty string is a value like others here.
func leaf(s slot) value {
	if s.kind == 0 || s.kind == 'n' || s.container() {
		return value{}
	}
	return just(s.text)
}

func binarised(s slot) value {
	switch {
	case s.kind == 0 || s.container():
		return value{}
	case s.text == "": // null and ""
		return just("0")
	}
	return just("1")
}

// verbID is the reference's merged verb id; "" for a verb that it does not have.
func verbID(verb string) string {
	switch verb {
	case "create":
		return "1"
	case "delete", "deletecollection":
		return "2"
	case "get", "list":
		return "3"
	case "update", "patch":
		return "4"
	case "watch":
		return "5"
	}
	return ""
}
