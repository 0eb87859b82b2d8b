package feature

import (
	"strconv"
	"strings"
)

// The functions here fold text into small sets: what Kubernetes itself writes is kept, what an
// environment may have invented becomes a class. All are total, and give the same for the same text.

func constant(string) string { return yes }

func boolean(text string) string {
	switch text {
	case "true", "1":
		return "true"
	case "false", "0":
		return "false"
	}
	return other
}

func oneOf(words ...string) func(string) string {
	return func(text string) string {
		for _, w := range words {
			if w == text {
				return text
			}
		}
		return other
	}
}

var propagationClass = oneOf("Background", "Foreground", "Orphan")

// bucket is the class of a count: exact where one more matters, coarse above.
func bucket(text string) string {
	n, err := strconv.ParseFloat(text, 64)
	switch {
	case err != nil || n < 0 || n != n:
		return other
	case n > 64:
		return "65+"
	case n > 16:
		return "17-64"
	case n > 8:
		return "9-16"
	case n > 4:
		return "5-8"
	case n > 2:
		return "3-4"
	}
	return strconv.Itoa(int(n))
}

// lower keeps a word of small letters, digits and hyphens, as resources and verbs are.
func lower(text string) string {
	if len(text) > 63 {
		return other
	}
	for i := range len(text) {
		if c := text[i]; !('a' <= c && c <= 'z' || '0' <= c && c <= '9' && i > 0 || c == '-' && i > 0) {
			return other
		}
	}
	return text
}

// camel keeps a word in CamelCase, as kinds and reasons are.
func camel(text string) string {
	if len(text) > 63 || text == "" || text[0] < 'A' || text[0] > 'Z' {
		return other
	}
	for i := range len(text) {
		if c := text[i]; !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9') {
			return other
		}
	}
	return text
}

// builtIn tells whether an API group is Kubernetes' own or of a project under k8s.io: custom groups
// must have a dot and another domain.
func builtIn(group string) bool {
	return !strings.Contains(group, ".") || strings.HasSuffix(group, ".k8s.io")
}

const custom = "custom"

// groupClass is an API group; "" is core, which the reference's labelling tool also writes out.
func groupClass(group string) string {
	switch {
	case group == "":
		return "core"
	case !builtIn(group):
		return custom
	}
	for i := range len(group) {
		if c := group[i]; !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '.' || c == '-') {
			return other
		}
	}
	if len(group) > 63 {
		return other
	}
	return group
}

// versionClass is an API version without its group: v1, v2beta1, __internal.
func versionClass(version string) string {
	if version == "__internal" {
		return version
	}
	rest, ok := strings.CutPrefix(version, "v")
	rest = strings.TrimLeft(rest, "0123456789")
	if !ok || len(version) > 12 || len(rest) == len(version)-1 {
		return other
	}
	for _, stage := range [...]string{"", "alpha", "beta"} {
		if tail, ok := strings.CutPrefix(rest, stage); ok && strings.Trim(tail, "0123456789") == "" && (tail == "") == (stage == "") {
			return version
		}
	}
	return other
}

// apiVersionClass is an object's apiVersion, group/version or version.
func apiVersionClass(text string) string {
	group, version, grouped := strings.Cut(text, "/")
	if !grouped {
		return versionClass(text)
	}
	switch g, v := groupClass(group), versionClass(version); {
	case group == "" || g == other || v == other:
		return other
	case g == custom:
		return custom
	default:
		return g + "/" + v
	}
}

// kindClass is an object's kind; the kinds of custom resources are one class.
func kindClass(kind, apiVersion slot) value {
	return scalar(kind).class(func(text string) string {
		if group, _, grouped := strings.Cut(apiVersion.text, "/"); grouped && !builtIn(group) {
			return custom
		}
		return camel(text)
	})
}

// namespaceClass keeps the namespaces that every cluster has.
func namespaceClass(namespace string) string {
	switch namespace {
	case "kube-system", "kube-node-lease", "kube-public", "default":
		return namespace
	}
	return other
}

// fieldPathClass is the kind of thing that an Event's fieldPath points at: spec.containers{name} without the name.
func fieldPathClass(path string) string {
	path, _, _ = strings.Cut(path, "{")
	return oneOf("spec.containers", "spec.initContainers", "spec.ephemeralContainers")(path)
}

// typeClass is the type of an Event or a Secret.
func typeClass(text string) string {
	switch text {
	case "Normal", "Warning", "Opaque", "helm.sh/release.v1", "bootstrap.kubernetes.io/token",
		"kubernetes.io/service-account-token", "kubernetes.io/dockercfg", "kubernetes.io/dockerconfigjson",
		"kubernetes.io/basic-auth", "kubernetes.io/ssh-auth", "kubernetes.io/tls":
		return text
	}
	return other
}

// finalizerClass keeps the finalizers that Kubernetes defines.
func finalizerClass(text string) string {
	switch text {
	case "foregroundDeletion", "orphan", "kubernetes", "kubernetes.io/pv-protection", "kubernetes.io/pvc-protection",
		"kubernetes.io/vac-protection", "batch.kubernetes.io/job-tracking", "customresourcecleanup.apiextensions.k8s.io",
		"service.kubernetes.io/load-balancer-cleanup", "networking.k8s.io/service-cidr-finalizer",
		"resource.kubernetes.io/delete-protection":
		return text
	}
	return other
}

// userClass says who asks: a controller of Kubernetes by its name, else a class. Names of people,
// nodes and of service accounts that are not Kubernetes' own are not kept.
func userClass(name string) string {
	rest, system := strings.CutPrefix(name, "system:")
	if !system {
		return "person" // or a CI account: the log does not tell them apart
	}
	if account, ok := strings.CutPrefix(rest, "serviceaccount:"); ok {
		namespace, account, _ := strings.Cut(account, ":")
		switch {
		case namespace != "kube-system":
			return "serviceaccount"
		case controllers(account):
			return account
		}
		return "serviceaccount:kube-system"
	}
	switch rest {
	case "apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "cloud-controller-manager",
		"aggregator", "kube-aggregator", "anonymous", "unsecured", "monitoring":
		return rest
	}
	switch prefix, _, _ := strings.Cut(rest, ":"); prefix {
	case "node", "bootstrap":
		return prefix
	}
	return "system"
}

// groupSet is the set of well-known groups among a user's, in one text; "other" stands for all others.
func groupSet(groups []string) value {
	if groups == nil {
		return value{}
	}
	known := [...]string{
		"system:masters", "kubeadm:cluster-admins", "system:nodes", "system:bootstrappers", "system:monitoring",
		"system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated", "system:unauthenticated",
	}
	var has [len(known)]bool
	var others bool
next:
	for _, g := range groups {
		for i, name := range known {
			if g == name {
				has[i] = true
				continue next
			}
		}
		// Every service account has the group of its namespace, which tells nothing new.
		others = others || !strings.HasPrefix(g, "system:serviceaccounts:")
	}
	var names []string
	for i, name := range known {
		if has[i] {
			names = append(names, strings.TrimPrefix(name, "system:"))
		}
	}
	if others {
		names = append(names, other)
	}
	if len(names) == 0 {
		return value{state: empty}
	}
	return just(strings.Join(names, "+"))
}

// controllers tells whether a name is that of a controller or add-on that Kubernetes ships: the service
// accounts of kube-system in plugin/pkg/auth/authorizer/rbac/bootstrappolicy/controller_policy.go, and
// the add-ons that installers bring along.
func controllers(name string) bool {
	switch name {
	case "attachdetach-controller", "bootstrap-signer", "certificate-controller", "cloud-node-controller",
		"cloud-node-lifecycle-controller", "cloud-provider", "clusterrole-aggregation-controller",
		"cronjob-controller", "daemon-set-controller", "deployment-controller", "device-taint-eviction-controller",
		"disruption-controller", "endpoint-controller", "endpointslice-controller", "endpointslicemirroring-controller",
		"ephemeral-volume-controller", "expand-controller", "generic-garbage-collector", "horizontal-pod-autoscaler",
		"job-controller", "kube-apiserver-serving-clustertrustbundle-publisher", "legacy-service-account-token-cleaner",
		"namespace-controller", "node-controller", "persistent-volume-binder", "pod-garbage-collector",
		"podcertificaterequest-cleaner", "pv-protection-controller", "pvc-protection-controller",
		"replicaset-controller", "replication-controller", "resource-claim-controller", "resourcequota-controller",
		"root-ca-cert-publisher", "route-controller", "selinux-warning-controller", "service-account-controller",
		"service-ca-cert-publisher", "service-cidrs-controller", "service-controller", "statefulset-controller",
		"storage-version-garbage-collector", "storage-version-migrator-controller", "taint-eviction-controller",
		"token-cleaner", "tokens-controller", "ttl-after-finished-controller", "ttl-controller",
		"vac-protection-controller", "validatingadmissionpolicy-status-controller",
		"volumeattributesclass-protection-controller",
		// add-ons
		"coredns", "kube-dns", "kube-proxy", "metrics-server", "cluster-autoscaler":
		return true
	}
	return false
}

// componentClass is the part of a program that acts: a user agent's extra part or an Event's reporter.
func componentClass(text string) string {
	if account, ok := strings.CutPrefix(text, "system:serviceaccount:"); ok {
		namespace, name, _ := strings.Cut(account, ":")
		if namespace == "kube-system" && controllers(name) {
			return name
		}
		return "serviceaccount"
	}
	if controllers(text) {
		return text
	}
	switch text {
	case "leader-election", "shared-informers", "metadata-informers", "controller-discovery", "scheduler",
		"kubelet", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "cloud-controller-manager",
		"default-scheduler", "controllermanager", "daemonset-controller", "persistentvolume-controller",
		"endpoint-slice-controller", "endpoint-slice-mirroring-controller", "taint_manager", "node-lifecycle-controller",
		"nodelifecycle", "node-ipam-controller", "cloudnodelifecycle", "garbage-collector-controller",
		"serviceaccount-controller", "ephemeral_volume", "volume_expand", "resource_claim", "clusterroleaggregation",
		"ipallocator-repair-controller", "service-ip-repair-controller", "ipaddress-repair-controller",
		"portallocator-repair-controller", "podautoscaler", "dynamic-resource-allocation", "dra-controller",
		"leader-migration":
		return text
	}
	return other
}

// toolClass is a client program, if it is one that many clusters see.
func toolClass(name string) string {
	switch name {
	case "kubectl", "kubectl-dispatcher", "kubectl.exe", "kubelet", "kubeadm", "kube-apiserver",
		"kube-controller-manager", "kube-scheduler", "kube-proxy", "cloud-controller-manager", "coredns",
		"metrics-server", "cluster-autoscaler", "kubemark", "e2e.test", "oc",
		"Helm", "helm", "argocd-application-controller", "argocd-server", "argocd-controller", "source-controller",
		"kustomize-controller", "helm-controller", "notification-controller", "Terraform", "terraform", "HashiCorp", "pulumi",
		"Go-http-client", "OpenAPI-Generator", "python-requests", "python-urllib3", "curl", "Wget", "Mozilla",
		"okhttp", "k9s", "Lens", "dashboard", "rancher", "manager", "operator",
		"Prometheus", "prometheus", "kube-state-metrics", "PrometheusOperator", "node-problem-detector",
		"cilium-agent", "cilium-operator", "cilium-operator-generic", "calico-node", "calico-kube-controllers",
		"flanneld", "multus", "csi-attacher", "csi-provisioner", "csi-resizer", "csi-snapshotter", "snapshot-controller",
		"csi-node-driver-registrar", "local-path-provisioner", "controller", "cainjector", "webhook",
		"nginx-ingress-controller", "velero", "karpenter", "istiod", "pilot-discovery":
		return name
	}
	return other
}

// managerClass is a field manager: by default the name of the client program, or what it calls itself.
func managerClass(name string) string {
	switch name {
	case "kubectl-create", "kubectl-client-side-apply", "kubectl-last-applied", "kubectl-label", "kubectl-annotate",
		"kubectl-patch", "kubectl-edit", "kubectl-replace", "kubectl-expose", "kubectl-set", "kubectl-rollout",
		"kubectl-run", "kubectl-taint", "kubectl-autoscale", "kubectl-scale", "kubectl-debug", "kubectl-apply",
		"before-first-apply", "kube-apiserver-bootstrap", "api-priority-and-fairness-config-producer-v1",
		"api-priority-and-fairness-config-consumer-v1", "clusterrole-aggregation-controller",
		"validatingadmissionpolicy-status", "service-cidr-controller", "kubernetes-service-cidr-controller",
		"StorageVersionMigration", "ResourceClaimController":
		return name
	}
	return toolClass(name)
}
