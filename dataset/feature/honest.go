package feature

import (
	"strconv"
	"strings"

	"k8ntext/dataset/audit"
)

// honestFields is the default feature set, from the event's head to its bodies.
//
// Left out on purpose: names, uids, addresses, times and versions; the number of stages and other
// things that an audit policy decides; the reason of an authorisation, which quotes the names of bindings.
func honestFields() []Field {
	const (
		paper  = fromPaper
		honest = fromHonest
	)
	var fields []Field
	add := func(f Field) { fields = append(fields, f) }
	meta := func(source, encoding, path, meaning string, read func(r *row) value) {
		add(Field{
			Path: path, Meaning: meaning, Encoding: encoding, Source: source,
			read: func(r *row, _ []slot) value { return read(r) },
		})
	}
	body := func(source, encoding, path, meaning string, read func(in []slot) value, needs ...string) {
		if len(needs) == 0 {
			needs = []string{path}
		}
		add(Field{
			Path: path, Meaning: meaning, Encoding: encoding, Source: source, needs: needs,
			read: func(_ *row, in []slot) value { return read(in) },
		})
	}
	is := func(in []slot) value { return presence(in[0]) }
	size := func(in []slot) value { return members(in[0]) }
	number := func(in []slot) value { return scalar(first(in)).class(bucket) }
	word := func(f func(string) string) func(in []slot) value {
		return func(in []slot) value { return scalar(first(in)).class(f) }
	}
	kind := func(in []slot) value { // in is pairs of kind and apiVersion; the first kind that is there counts
		for i := 0; i+1 < len(in); i += 2 {
			if in[i].kind != 0 {
				return kindClass(in[i], in[i+1])
			}
		}
		return value{}
	}
	ref := func(source, encoding, path, meaning string, read func(o *audit.ObjectRef) value) {
		meta(source, encoding, path, meaning, func(r *row) value {
			if r.event.ObjectRef == nil {
				return value{}
			}
			return read(r.event.ObjectRef)
		})
	}
	annotation := func(source, path, meaning string, class func(string) string) {
		name := strings.TrimPrefix(path, "annotations.")
		meta(source, encClass, path, meaning, func(r *row) value {
			text, ok := r.event.Annotations[name]
			switch {
			case !ok:
				return value{}
			case text == "":
				return value{state: empty}
			}
			return just(class(text))
		})
	}

	// The request.
	meta(honest, encClass, "level", "audit level: how much of the event was logged", func(r *row) value {
		return textOf(r.event.Level).class(oneOf("Metadata", "Request", "RequestResponse"))
	})
	meta(honest, encClass, "stage.last", "last stage that was logged", func(r *row) value {
		if len(r.event.Stages) == 0 {
			return value{}
		}
		return textOf(r.event.Stages[len(r.event.Stages)-1].Name).class(
			oneOf("RequestReceived", "ResponseStarted", "ResponseComplete", "Panic"))
	})
	meta(honest, encPresence, "stage.started", "the answer was a stream: watch, log, exec", func(r *row) value {
		for _, s := range r.event.Stages {
			if s.Name == "ResponseStarted" {
				return bit(true)
			}
		}
		return bit(false)
	})
	meta(honest, encClass, "verb", "the verb", func(r *row) value { return textOf(r.event.Verb).class(lower) })
	meta(paper, encVerb, "verb.merged", "the verb, merged to five as in the labels", func(r *row) value {
		if r.event.Verb == "" {
			return value{}
		}
		if id := verbID(r.event.Verb); id != "" {
			return just(id)
		}
		return just(other)
	})
	meta(honest, encClass, "url.class", "kind of non-resource URL; absent for requests about objects", func(r *row) value {
		if r.event.ObjectRef != nil || r.event.RequestURI == "" {
			return value{}
		}
		return just(r.request.class)
	})
	query := func(encoding, name, meaning string, read func(q *request) value) {
		meta(honest, encoding, "query."+name, meaning, func(r *row) value { return read(&r.request) })
	}
	query(encClass, "watch", "a watch, or a list that says it is none", func(q *request) value { return q.watch })
	query(encClass, "allowWatchBookmarks", "informers ask for bookmarks, people do not", func(q *request) value { return q.bookmarks })
	query(encClass, "resourceVersion", "0: from cache; yes: from a known version on", func(q *request) value { return q.resourceVersion })
	query(encClass, "limit", "list in pages: the first or one of the others", func(q *request) value { return q.limit })
	query(encClass, "fieldSelector", "fields that are selected on, without values", func(q *request) value { return q.fieldSelector })
	query(encPresence, "labelSelector", "selects by label", func(q *request) value { return q.labelSelector })
	query(encPresence, "dryRun", "a trial without effect", func(q *request) value { return q.dryRun })
	query(encClass, "force", "server-side apply takes over conflicts", func(q *request) value { return q.force })
	query(encClass, "fieldValidation", "what unknown fields do", func(q *request) value { return q.validation })
	query(encClass, "fieldManager", "who claims the fields, if well known", func(q *request) value { return q.fieldManager })
	query(encClass, "follow", "log that is followed", func(q *request) value { return q.follow })

	// Who asks.
	meta(paper, encClass, "user.class", "controller by name, node, system component, service account or person", func(r *row) value {
		return textOf(r.event.User.Username).class(userClass)
	})
	meta(paper, encClass, "user.groups", "the well-known groups of the user, as a set", func(r *row) value {
		return groupSet(r.event.User.Groups)
	})
	meta(honest, encClass, "impersonatedUser", "class of the user in whose name the user asks", func(r *row) value {
		if r.event.ImpersonatedUser == nil {
			return value{}
		}
		if r.event.ImpersonatedUser.Username == "" {
			return value{state: empty}
		}
		return just(userClass(r.event.ImpersonatedUser.Username))
	})
	for _, a := range []struct {
		path, meaning string
		read          func(r *row) value
	}{
		{"userAgent.tool", "client program, if well known", func(r *row) value { return r.agent.tool }},
		{"userAgent.extra", "part of the client that acts, if Kubernetes' own", func(r *row) value { return r.agent.extra }},
	} {
		meta(paper, encClass, a.path, a.meaning, a.read)
		fields[len(fields)-1].agent = true
	}

	// What it is about.
	ref(paper, encClass, "objectRef.apiGroup", "API group; core, or custom for custom resources", func(o *audit.ObjectRef) value {
		if o.APIGroup == "" && o.Resource == "" {
			return value{}
		}
		return just(groupClass(o.APIGroup))
	})
	ref(honest, encClass, "objectRef.apiVersion", "API version", func(o *audit.ObjectRef) value {
		return textOf(o.APIVersion).class(versionClass)
	})
	ref(paper, encClass, "objectRef.resource", "resource; custom for custom resources", func(o *audit.ObjectRef) value {
		return textOf(o.Resource).class(func(resource string) string {
			if !builtIn(o.APIGroup) {
				return custom
			}
			return lower(resource)
		})
	})
	ref(paper, encClass, "objectRef.subresource", "subresource", func(o *audit.ObjectRef) value {
		return textOf(o.Subresource).class(lower)
	})
	ref(paper, encClass, "objectRef.namespace", "one of the namespaces that every cluster has, or other", func(o *audit.ObjectRef) value {
		return textOf(o.Namespace).class(namespaceClass)
	})
	ref(honest, encPresence, "objectRef.name", "one object, by name", func(o *audit.ObjectRef) value { return bit(o.Name != "") })
	ref(honest, encPresence, "objectRef.uid", "the object sent has a uid: it was read before", func(o *audit.ObjectRef) value { return bit(o.UID != "") })
	ref(honest, encPresence, "objectRef.resourceVersion", "the object sent has a version: an update of what was read", func(o *audit.ObjectRef) value {
		return bit(o.ResourceVersion != "")
	})

	// How it ended.
	meta(paper, encClass, "responseStatus.code", "HTTP status", func(r *row) value {
		s := r.event.ResponseStatus
		switch {
		case s == nil || s.Code == 0:
			return value{}
		case s.Code < 100 || s.Code > 599:
			return just(other)
		}
		return just(strconv.Itoa(s.Code))
	})
	meta(paper, encClass, "responseStatus.reason", "why it failed", func(r *row) value {
		if r.event.ResponseStatus == nil {
			return value{}
		}
		return textOf(r.event.ResponseStatus.Reason).class(camel)
	})
	annotation(paper, "annotations.authorization.k8s.io/decision", "allow or forbid", oneOf("allow", "forbid"))
	annotation(honest, "annotations.k8s.io/deprecated", "the API version is deprecated", boolean)

	// The object sent: for patches only what changes, so that what is there tells what is done.
	body(honest, encClass, "requestObject", "shape of the body; an array is a JSON patch", func(in []slot) value {
		switch s := in[0]; {
		case s.kind == '{' && s.count > 0:
			return just("object")
		case s.kind == '[' && s.count > 0:
			return just("array")
		case s.kind != 0 && !s.container() && s.kind != 'n':
			return just("scalar")
		default:
			return presence(s)
		}
	})
	for _, which := range []string{"requestObject", "responseObject"} {
		sent := which == "requestObject"
		at := func(path string) string { return which + "." + path }
		what := "object returned: "
		if sent {
			what = "object sent: "
		}
		body(paper, encClass, at("kind"), what+"kind", kind, at("kind"), at("apiVersion"))
		body(paper, encClass, at("apiVersion"), what+"API version", word(apiVersionClass))
		body(paper, encClass, at("metadata.namespace"), what+"namespace class", word(namespaceClass))
		body(honest, encPresence, at("metadata.generateName"), what+"the API server makes up its name", is)
		body(honest, encPresence, at("metadata.deletionTimestamp"), what+"it is being deleted", is)
		body(honest, encClass, at("metadata.finalizers[0]"), what+"first finalizer, if Kubernetes' own", func(in []slot) value {
			if in[0].kind == 0 { // none: is the list empty or null, as in a patch that removes it?
				if v := presence(in[1]); v.state == empty {
					return v
				}
				return value{}
			}
			return scalar(in[0]).class(finalizerClass)
		}, at("metadata.finalizers[0]"), at("metadata.finalizers"))
		body(honest, encBucket, at("metadata.ownerReferences"), what+"number of owners", size)
		body(paper, encClass, at("metadata.ownerReferences[0].apiVersion"), what+"first owner's API version", word(apiVersionClass))
		body(paper, encClass, at("metadata.ownerReferences[0].kind"), what+"first owner's kind", kind,
			at("metadata.ownerReferences[0].kind"), at("metadata.ownerReferences[0].apiVersion"))
		body(paper, encClass, at("metadata.ownerReferences[0].controller"), what+"first owner manages it", word(boolean))
		body(paper, encClass, at("metadata.ownerReferences[0].blockOwnerDeletion"), what+"first owner waits for its deletion", word(boolean))
		body(honest, encPresence, at("metadata.annotations.kubectl.kubernetes.io/last-applied-configuration"), what+"made by kubectl apply", is)
		body(honest, encPresence, at("spec"), what+"has a spec", is)
		body(honest, encPresence, at("spec.nodeName"), what+"bound to a node", is)
		body(honest, encBucket, at("spec.replicas"), what+"replicas wanted", number)
		body(paper, encClass, at("spec.volumeMode"), what+"mode of a volume or claim", word(camel))
		body(honest, encPresence, at("spec.claimRef"), what+"volume is claimed", is)
		body(honest, encClass, at("status"), what+"has a status; Success or Failure of a request", func(in []slot) value {
			if in[0].kind == '"' && in[0].text != "" {
				return just(oneOf("Success", "Failure")(in[0].text))
			}
			return presence(in[0])
		})
		body(honest, encClass, at("status.phase"), what+"phase", word(camel))
		if sent {
			body(honest, encPresence, at("metadata.uid"), what+"has a uid", is)
			body(honest, encPresence, at("metadata.labels"), what+"has labels", is)
			body(honest, encPresence, at("metadata.annotations"), what+"has annotations", is)
			body(honest, encPresence, at("spec.template.metadata.annotations.kubectl.kubernetes.io/restartedAt"), what+"kubectl rollout restart", is)
			body(honest, encClass, at("spec.unschedulable"), what+"node is cordoned", word(boolean))
			body(honest, encClass, at("spec.suspend"), what+"job is suspended", word(boolean))
			body(honest, encClass, at("spec.boundObjectRef.kind"), what+"kind that a token is bound to", kind,
				at("spec.boundObjectRef.kind"), at("spec.boundObjectRef.apiVersion"))
			body(paper, encClass, at("volumeBindingMode"), what+"of a StorageClass", word(camel))
			body(honest, encBucket, at("gracePeriodSeconds"), what+"grace of a deletion", number)
			body(honest, encPresence, at("preconditions"), what+"deletes only if unchanged", is)
			continue
		}
		body(honest, encBucket, at("items"), what+"length of a list", size)
		body(honest, encBucket, at("status.replicas"), what+"replicas there are", number)
		body(honest, encClass, at("metadata.managedFields[last].manager"), what+"last manager, if well known", word(managerClass))
		body(honest, encClass, at("metadata.managedFields[last].operation"), what+"last manager's operation", word(oneOf("Update", "Apply")))
		body(honest, encClass, at("metadata.managedFields[last].subresource"), what+"last manager's subresource", word(lower))
	}
	add(Field{
		Path: "delete.propagationPolicy", Meaning: "what happens to dependents, from the body or the query",
		Encoding: encClass, Source: honest, needs: []string{"requestObject.propagationPolicy"},
		read: func(r *row, in []slot) value {
			if v := scalar(in[0]); v.state != absent {
				return v.class(propagationClass)
			}
			return r.request.propagation
		},
	})

	// An Event of v1 or of events.k8s.io, sent or else returned.
	either := func(paths ...string) []string {
		var out []string
		for _, which := range []string{"requestObject.", "responseObject."} {
			for _, p := range paths {
				out = append(out, which+p)
			}
		}
		return out
	}
	about := func(names ...string) []string { // the object that an Event is about, in both APIs
		var paths []string
		for _, object := range []string{"involvedObject.", "regarding."} {
			for _, name := range names {
				paths = append(paths, object+name)
			}
		}
		return either(paths...)
	}
	body(paper, encClass, "event.object.kind", "Event: kind of its involvedObject or regarding", kind, about("kind", "apiVersion")...)
	body(paper, encClass, "event.object.apiVersion", "Event: API version of the object", word(apiVersionClass), about("apiVersion")...)
	body(paper, encClass, "event.object.namespace", "Event: namespace class of the object", word(namespaceClass), about("namespace")...)
	body(honest, encClass, "event.object.fieldPath", "Event: kind of container that it is about", word(fieldPathClass), about("fieldPath")...)
	body(honest, encClass, "event.related.kind", "Event: kind of a second object", kind, either("related.kind", "related.apiVersion")...)
	body(paper, encClass, "event.reason", "Event: reason", func(in []slot) value {
		if in[2].text == "Status" { // a refusal's reason is responseStatus.reason
			in = in[:1]
		}
		return scalar(first(in[:min(len(in), 2)])).class(camel)
	}, "requestObject.reason", "responseObject.reason", "responseObject.kind")
	body(honest, encClass, "event.action", "Event: what was done", word(camel), either("action")...)
	body(paper, encClass, "event.type", "Event: Normal or Warning; also a Secret's type", word(typeClass), either("type")...)
	body(paper, encBucket, "event.count", "Event: how often it happened", number, either("count", "series.count", "deprecatedCount")...)
	body(paper, encClass, "event.reporter", "Event: who reports, if Kubernetes' own", word(componentClass), either("reportingComponent", "reportingController")...)
	body(paper, encClass, "event.source", "Event: who reports, older field", word(componentClass), either("source.component", "deprecatedSource.component")...)
	return fields
}
