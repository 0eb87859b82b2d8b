package feature

import (
	"net/url"
	"strings"
)

// request is what the fields want of a request URI.
type request struct {
	class string // of the path; only meaningful for non-resource requests

	watch, fieldSelector, labelSelector, limit   value
	resourceVersion, dryRun, force, validation   value
	fieldManager, propagation, bookmarks, follow value
}

// maxQuery bounds the parameters that are looked at.
const maxQuery = 64

func parseRequest(uri string) request {
	path, query, _ := strings.Cut(uri, "?")
	r := request{class: pathClass(path)}
	continued := false
	for n := 0; query != "" && n < maxQuery; n++ {
		var pair string
		pair, query, _ = strings.Cut(query, "&")
		key, raw, _ := strings.Cut(pair, "=")
		switch key {
		case "watch":
			r.watch = parameter(raw).class(boolean)
		case "fieldSelector":
			r.fieldSelector = parameter(raw).class(selectorClass)
		case "labelSelector":
			r.labelSelector = parameter(raw).class(constant)
		case "limit":
			r.limit = parameter(raw).class(func(string) string { return "first" })
		case "continue":
			continued = raw != ""
		case "resourceVersion":
			r.resourceVersion = parameter(raw).class(func(v string) string {
				if v == "0" {
					return "0"
				}
				return yes
			})
		case "dryRun":
			r.dryRun = parameter(raw).class(constant)
		case "force":
			r.force = parameter(raw).class(boolean)
		case "fieldValidation":
			r.validation = parameter(raw).class(oneOf("Strict", "Warn", "Ignore"))
		case "fieldManager":
			r.fieldManager = parameter(raw).class(managerClass)
		case "propagationPolicy":
			r.propagation = parameter(raw).class(propagationClass)
		case "allowWatchBookmarks":
			r.bookmarks = parameter(raw).class(boolean)
		case "follow":
			r.follow = parameter(raw).class(boolean)
		}
	}
	if continued {
		r.limit = just("continued")
	}
	return r
}

func parameter(raw string) value {
	if raw == "" {
		return value{state: empty}
	}
	if text, err := url.QueryUnescape(raw); err == nil {
		raw = text
	}
	return just(raw)
}

// pathClass is the kind of a non-resource path: its first segment if the API server is known to serve
// it, and for discovery and OpenAPI how deep the path goes. Names in a path are never kept.
func pathClass(path string) string {
	segments := strings.Split(strings.Trim(path, "/"), "/")
	depth := min(len(segments), 4)
	switch segments[0] {
	case "":
		return "/"
	case "api":
		return [...]string{"", "/api", "/api/version", other, other}[depth]
	case "apis":
		return [...]string{"", "/apis", "/apis/group", "/apis/group/version", other}[depth]
	case "openapi":
		if depth == 1 {
			return "/openapi"
		}
		switch segments[1] {
		case "v2":
			return "/openapi/v2"
		case "v3":
			return "/openapi/v3"
		}
		return other
	case "healthz", "readyz", "livez", "version", "metrics", "logs", "debug", "statusz", "flagz",
		".well-known", "openid", "swagger.json", "swagger-ui", "ui", "favicon.ico", "robots.txt":
		return "/" + segments[0]
	}
	return other
}

// selectorClass names the fields that a field selector asks for; their values are names.
func selectorClass(selector string) string {
	var known [len(selectorFields)]bool
	rest, more := selector, true
	for n := 0; more && n < 8; n++ {
		var term string
		term, rest, more = strings.Cut(rest, ",")
		field := term
		if i := strings.IndexAny(term, "=!"); i >= 0 {
			field = term[:i]
		}
		found := false
		for i, name := range selectorFields {
			if name == field {
				known[i], found = true, true
			}
		}
		if !found {
			return other
		}
	}
	var names []string
	for i, name := range selectorFields {
		if known[i] {
			names = append(names, name)
		}
	}
	return strings.Join(names, ",")
}

var selectorFields = [...]string{
	"metadata.name", "metadata.namespace", "spec.nodeName", "status.phase",
	"involvedObject.kind", "involvedObject.name", "involvedObject.namespace", "involvedObject.uid",
	"type", "reason",
}
