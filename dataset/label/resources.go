package label

// resource is a row of the label table: a kind of object that requests speak of.
type resource struct {
	id      int
	group   string // "core" for the group that has no name
	version string // the one version that the paper's table knows; empty: not in that table
	name    string
	scope   scope
	verbs   verbSet
	subs    []subresource
}

// subresource is a subresource of a row. Ids are the row's own: 2 is scale here and token there.
type subresource struct {
	id    int
	name  string
	verbs verbSet
	newer bool // not in the paper's table
}

// scope is where objects of a resource live.
type scope uint8

const (
	cluster          scope = iota
	namespaced             //
	namespaceItself        // namespaces: the API server fills in objectRef.namespace with the name
	foreign                // a foreign group: both, we do not know which
	foreignBare            // foreign requests that name no namespace
	foreignNamespace       // foreign requests that name one
)

// verbSet is a set of merged verbs, bit v for verb v.
type verbSet uint8

const (
	cr verbSet = 1 << create
	de verbSet = 1 << deletion
	ge verbSet = 1 << get
	up verbSet = 1 << update
	wa verbSet = 1 << watch

	everyVerb = cr | de | ge | up | wa
)

// Ids that do not stand for a built-in resource.
const (
	externalCluster    = 666  // objects of a foreign group, no namespace named
	externalNamespaced = 667  // the same, namespace named
	firstCRDGroup      = 200  // default space: one id per foreign group, 200..599
	lastCRDGroup       = 599  //
	nonResource        = 1000 // default space: requests without an objectRef
)

// Subresources of a foreign group's pseudo resource. A custom resource has status and scale; an
// aggregated API server may have any, and those share one id.
const (
	externalStatus = 1
	externalScale  = 2
	externalOther  = 12
	anyOther       = "*" // its name in texts
)

// Rows are grouped as the ids were given (REFERENCE 3.4). Verbs and subresources are those that an
// API server of Kubernetes 1.28 serves, the version that the paper pinned: its discovery documents
// give 329 pairs of resource and merged verb for these rows; with the two external rows 339, the
// paper's 1,356 / 4. Two ids are ours: the published csv gives pods/eviction the id of pods and
// replicationcontrollers/scale that of replicationcontrollers, and its later loader refuses such
// doubles. They are 9, the first free one, and 2, as every other scale.
func paperResources() []resource {
	status := subresource{id: 1, name: "status", verbs: ge | up}
	scale := subresource{id: 2, name: "scale", verbs: ge | up}
	sub := func(id int, name string, verbs verbSet) subresource {
		return subresource{id: id, name: name, verbs: verbs}
	}
	subs := func(s ...subresource) []subresource { return s }
	return []resource{
		{1, "core", "v1", "pods", namespaced, everyVerb, subs(
			status,
			sub(2, "attach", cr|ge),
			sub(3, "binding", cr),
			sub(4, "exec", cr|ge),
			sub(5, "log", ge),
			sub(6, "portforward", cr|ge),
			sub(7, "ephemeralcontainers", ge|up),
			sub(8, "proxy", cr|de|ge|up),
			sub(9, "eviction", cr),
			subresource{id: 10, name: "resize", verbs: ge | up, newer: true},
		)},
		{2, "core", "v1", "secrets", namespaced, everyVerb, nil},
		{3, "core", "v1", "configmaps", namespaced, everyVerb, nil},
		{4, "core", "v1", "serviceaccounts", namespaced, everyVerb, subs(sub(2, "token", cr))},
		{5, "rbac.authorization.k8s.io", "v1", "roles", namespaced, everyVerb, nil},
		{6, "rbac.authorization.k8s.io", "v1", "rolebindings", namespaced, everyVerb, nil},
		{7, "rbac.authorization.k8s.io", "v1", "clusterroles", cluster, everyVerb, nil},
		{8, "rbac.authorization.k8s.io", "v1", "clusterrolebindings", cluster, everyVerb, nil},
		{9, "certificates.k8s.io", "v1", "certificatesigningrequests", cluster, everyVerb, subs(status, sub(2, "approval", ge|up))},
		{10, "core", "v1", "namespaces", namespaceItself, everyVerb, subs(status, sub(2, "finalize", up))},
		{11, "core", "v1", "resourcequotas", namespaced, everyVerb, subs(status)},
		{12, "authentication.k8s.io", "v1", "selfsubjectreviews", cluster, cr, nil},
		{13, "authorization.k8s.io", "v1", "selfsubjectaccessreviews", cluster, cr, nil},
		{14, "authorization.k8s.io", "v1", "selfsubjectrulesreviews", cluster, cr, nil},
		{15, "core", "v1", "nodes", cluster, everyVerb, subs(status, sub(8, "proxy", cr|de|ge|up))},
		{16, "apps", "v1", "deployments", namespaced, everyVerb, subs(status, scale)},
		{17, "apps", "v1", "replicasets", namespaced, everyVerb, subs(status, scale)},
		{18, "apps", "v1", "statefulsets", namespaced, everyVerb, subs(status, scale)},
		{19, "batch", "v1", "cronjobs", namespaced, everyVerb, subs(status)},
		{20, "batch", "v1", "jobs", namespaced, everyVerb, subs(status)},
		{21, "core", "v1", "persistentvolumeclaims", namespaced, everyVerb, subs(status)},
		{22, "core", "v1", "persistentvolumes", cluster, everyVerb, subs(status)},
		{23, "discovery.k8s.io", "v1", "endpointslices", namespaced, everyVerb, nil},
		{24, "networking.k8s.io", "v1", "ingressclasses", cluster, everyVerb, nil},
		{25, "networking.k8s.io", "v1", "ingresses", namespaced, everyVerb, subs(status)},
		{26, "core", "v1", "services", namespaced, everyVerb, subs(status, sub(8, "proxy", cr|de|ge|up))},
		{27, "authorization.k8s.io", "v1", "localsubjectaccessreviews", namespaced, cr, nil},
		{28, "authorization.k8s.io", "v1", "subjectaccessreviews", cluster, cr, nil},
		{29, "coordination.k8s.io", "v1", "leases", namespaced, everyVerb, nil},
		{30, "storage.k8s.io", "v1", "csidrivers", cluster, everyVerb, nil},
		{31, "storage.k8s.io", "v1", "csinodes", cluster, everyVerb, nil},
		{32, "storage.k8s.io", "v1", "csistoragecapacities", namespaced, everyVerb, nil},
		{33, "core", "v1", "limitranges", namespaced, everyVerb, nil},
		{34, "networking.k8s.io", "v1", "networkpolicies", namespaced, everyVerb, nil},
		{35, "core", "v1", "podtemplates", namespaced, everyVerb, nil},
		{36, "scheduling.k8s.io", "v1", "priorityclasses", cluster, everyVerb, nil},
		{37, "storage.k8s.io", "v1", "storageclasses", cluster, everyVerb, nil},
		{38, "storage.k8s.io", "v1", "volumeattachments", cluster, everyVerb, subs(status)},
		{39, "apps", "v1", "controllerrevisions", namespaced, everyVerb, nil},
		{40, "core", "v1", "events", namespaced, everyVerb, nil},
		{41, "admissionregistration.k8s.io", "v1", "mutatingwebhookconfigurations", cluster, everyVerb, nil},
		{42, "admissionregistration.k8s.io", "v1", "validatingwebhookconfigurations", cluster, everyVerb, nil},
		{43, "node.k8s.io", "v1", "runtimeclasses", cluster, everyVerb, nil},
		// The published csv has daemonsets as 16 too; label 180624 of the paper's metrics is id 44.
		{44, "apps", "v1", "daemonsets", namespaced, everyVerb, subs(status)},

		{800, "apiregistration.k8s.io", "v1", "apiservices", cluster, everyVerb, subs(status)},
		{801, "apiextensions.k8s.io", "v1", "customresourcedefinitions", cluster, everyVerb, subs(status)},
		{802, "flowcontrol.apiserver.k8s.io", "v1beta3", "flowschemas", cluster, everyVerb, subs(status)},
		{803, "autoscaling", "v2", "horizontalpodautoscalers", namespaced, everyVerb, subs(status)},
		{804, "policy", "v1", "poddisruptionbudgets", namespaced, everyVerb, subs(status)},
		{805, "flowcontrol.apiserver.k8s.io", "v1beta3", "prioritylevelconfigurations", cluster, everyVerb, subs(status)},
		{806, "authentication.k8s.io", "v1", "tokenreviews", cluster, cr, nil},

		{900, "core", "v1", "bindings", namespaced, cr, nil},
		{901, "core", "v1", "componentstatuses", cluster, ge, nil},
		{902, "core", "v1", "endpoints", namespaced, everyVerb, nil},
		{903, "events.k8s.io", "v1", "events", namespaced, everyVerb, nil},
		{904, "core", "v1", "replicationcontrollers", namespaced, everyVerb, subs(status, scale)},
	}
}

// Resources that the default space adds: what the API servers of Kubernetes 1.30 to 1.36 serve in
// any version, alpha ones included, and the paper's table does not have. Ids are never given anew:
// a later resource takes the next free one.
func addedResources() []resource {
	status := []subresource{{id: 1, name: "status", verbs: ge | up}}
	return []resource{
		{100, "admissionregistration.k8s.io", "", "mutatingadmissionpolicies", cluster, everyVerb, nil},
		{101, "admissionregistration.k8s.io", "", "mutatingadmissionpolicybindings", cluster, everyVerb, nil},
		{102, "admissionregistration.k8s.io", "", "validatingadmissionpolicies", cluster, everyVerb, status},
		{103, "admissionregistration.k8s.io", "", "validatingadmissionpolicybindings", cluster, everyVerb, nil},
		{104, "certificates.k8s.io", "", "clustertrustbundles", cluster, everyVerb, nil},
		{105, "certificates.k8s.io", "", "podcertificaterequests", namespaced, everyVerb, status},
		{106, "coordination.k8s.io", "", "leasecandidates", namespaced, everyVerb, nil},
		{107, "internal.apiserver.k8s.io", "", "storageversions", cluster, everyVerb, status},
		{108, "networking.k8s.io", "", "ipaddresses", cluster, everyVerb, nil},
		{109, "networking.k8s.io", "", "servicecidrs", cluster, everyVerb, status},
		{110, "resource.k8s.io", "", "deviceclasses", cluster, everyVerb, nil},
		{111, "resource.k8s.io", "", "devicetaintrules", cluster, everyVerb, status},
		{112, "resource.k8s.io", "", "podschedulingcontexts", namespaced, everyVerb, status},
		{113, "resource.k8s.io", "", "resourceclaimparameters", namespaced, everyVerb, nil},
		{114, "resource.k8s.io", "", "resourceclaims", namespaced, everyVerb, status},
		{115, "resource.k8s.io", "", "resourceclaimtemplates", namespaced, everyVerb, nil},
		{116, "resource.k8s.io", "", "resourceclasses", cluster, everyVerb, nil},
		{117, "resource.k8s.io", "", "resourceclassparameters", namespaced, everyVerb, nil},
		{118, "resource.k8s.io", "", "resourcepoolstatusrequests", cluster, everyVerb, status},
		{119, "resource.k8s.io", "", "resourceslices", cluster, everyVerb, nil},
		{120, "scheduling.k8s.io", "", "podgroups", namespaced, everyVerb, status},
		{121, "scheduling.k8s.io", "", "workloads", namespaced, everyVerb, nil},
		{122, "storage.k8s.io", "", "volumeattributesclasses", cluster, everyVerb, nil},
		{123, "storagemigration.k8s.io", "", "storageversionmigrations", cluster, everyVerb, status},
	}
}

// shapes is a set of (n, u) pairs, bit 2n+u.
type shapes uint8

const (
	neither  shapes = 1 << iota // no namespace, no name
	nameOnly                    // no namespace, name
	inside                      // namespace, no name
	both                        // namespace and name

	anyShape = neither | nameOnly | inside | both
)

func (s shapes) has(namespaced, single bool) bool {
	bit := 0
	if namespaced {
		bit |= 2
	}
	if single {
		bit |= 1
	}
	return s>>bit&1 == 1
}

// possibleShapes tells which (n, u) an API server writes into the objectRef of a request that it
// serves. Its sources: the request's path; a field selector on metadata.name, which names the object
// of a list, watch or deletecollection; and the body of a create or update, from which the audit
// code fills in a missing name and namespace, a useless namespace of a cluster-scoped object
// included (k8s.io/apiserver/pkg/endpoints/request/requestinfo.go, pkg/audit/request.go).
func possibleShapes(where scope, verb int, sub bool) shapes {
	switch {
	case where == foreign || where == foreignBare || where == foreignNamespace:
		s := anyShape
		if sub {
			s &= nameOnly | both
		}
		if where == foreignBare {
			s &= neither | nameOnly
		}
		if where == foreignNamespace {
			s &= inside | both
		}
		return s
	case where == namespaced && sub, where == namespaceItself && sub:
		return both
	case where == namespaced:
		switch verb {
		case create, deletion:
			return inside | both
		case update:
			return both
		}
		return anyShape // over all namespaces, with or without a field selector
	case where == namespaceItself:
		switch verb {
		case create:
			return anyShape
		case get, watch:
			return neither | nameOnly | both
		}
		return both
	}
	named, unnamed := nameOnly, neither
	if verb == create || verb == update {
		named, unnamed = nameOnly|both, neither|inside
	}
	if sub || verb == update {
		return named
	}
	return named | unnamed
}
