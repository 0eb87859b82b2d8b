package scenario

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"slices"
)

// helm makes the requests of a release as Helm 3 makes them: it looks for the release's secrets, writes
// a secret for the new version, then each object in order, then the secret's final status.
func (r *run) helm(a *Action, st *Step, objects []*object) error {
	rel := r.charts[st.On[0]]
	if rel == nil {
		return fmt.Errorf("%q is not a chart", st.On[0])
	}
	ns := r.namespace()
	a.Namespace = ns
	secrets := "/api/v1/namespaces/" + ns + "/secrets"
	find := url.Values{"labelSelector": {"name=" + rel.name.recorded + ",owner=helm"}}
	add := func(q Request) { a.Requests = append(a.Requests, q) }
	add(Request{Verb: "GET", Path: "/version"})
	add(Request{Verb: "GET", Path: secrets + "?" + find.Encode()})
	if st.Do == "releases" {
		return nil
	}
	write := func(verb string, version int, status string) error {
		body, err := r.releaseSecret(rel, objects, version, status)
		if err != nil {
			return err
		}
		path := secrets
		if verb == "PUT" {
			path += "/" + secretName(rel, version)
		}
		add(Request{Verb: verb, Path: path, Body: body})
		return nil
	}
	by := "?fieldManager=helm"
	manifest := func(o *object) (string, error) {
		m, err := r.manifest(o)
		return compact(m), err
	}
	switch st.Do {
	case "install":
		rel.version = 1
		for _, o := range objects {
			add(Request{Verb: "GET", Path: o.kind.path(o.namespace, o.recorded, ""), MayFail: true})
		}
		if err := write("POST", 1, "pending-install"); err != nil {
			return err
		}
		for _, o := range objects {
			body, err := manifest(o)
			if err != nil {
				return err
			}
			add(Request{Verb: "POST", Path: o.kind.path(o.namespace, "", "") + by, Body: body})
		}
		return write("PUT", 1, "deployed")
	case "upgrade", "rollback":
		old := rel.version
		rel.version++
		pending := map[Verb]string{"upgrade": "pending-upgrade", "rollback": "pending-rollback"}[st.Do]
		if err := write("POST", rel.version, pending); err != nil {
			return err
		}
		for _, o := range objects {
			body, err := manifest(o)
			if err != nil {
				return err
			}
			path := o.kind.path(o.namespace, o.recorded, "")
			add(Request{Verb: "GET", Path: path})
			// Helm patches only what its three-way merge finds different.
			if changes(o, st) {
				add(Request{Verb: "PATCH", Path: path + by, Body: body, Type: patchTypes["merge"]})
			}
		}
		if err := write("PUT", old, "superseded"); err != nil {
			return err
		}
		return write("PUT", rel.version, "deployed")
	case "uninstall":
		if err := write("PUT", rel.version, "uninstalling"); err != nil {
			return err
		}
		for _, o := range slices.Backward(objects) {
			add(Request{Verb: "DELETE", Path: o.kind.path(o.namespace, o.recorded, ""), Body: `{"kind":"DeleteOptions","apiVersion":"v1","propagationPolicy":"Background"}`, MayFail: true})
		}
		for v := 1; v <= rel.version; v++ {
			add(Request{Verb: "DELETE", Path: secrets + "/" + secretName(rel, v)})
		}
		return nil
	}
	return fmt.Errorf("helm cannot do it")
}

// changes tells whether a step changes an object of a chart.
func changes(o *object, st *Step) bool {
	if o.kind.Name == "job" {
		return false
	}
	for key := range st.Set {
		if _, known := o.kind.Draw[key]; known {
			return true
		}
	}
	return false
}

func secretName(rel *release, version int) string {
	return fmt.Sprintf("sh.helm.release.v1.%s.v%d", rel.name.recorded, version)
}

// releaseSecret is the record of a release. Helm packs the manifests; here their beginning stands for them.
func (r *run) releaseSecret(rel *release, objects []*object, version int, status string) (string, error) {
	all, err := r.manifests(objects)
	if err != nil {
		return "", err
	}
	if len(all) > 3000 {
		all = all[:3000]
	}
	return compact(map[string]any{
		"apiVersion": "v1", "kind": "Secret", "type": "helm.sh/release.v1",
		"metadata": map[string]any{
			"name": secretName(rel, version), "namespace": r.namespace(),
			"labels": map[string]any{"name": rel.name.recorded, "owner": "helm", "status": status, "version": fmt.Sprint(version)},
		},
		"data": map[string]any{"release": base64.StdEncoding.EncodeToString([]byte(all))},
	}), nil
}

// gitops makes the requests of one reconciliation: every object is read and applied by the server; a
// prune deletes what is no longer wanted.
func (r *run) gitops(a *Action, st *Step, objects []*object) error {
	apply := url.Values{"fieldManager": {"argocd-controller"}, "force": {"true"}}
	for _, o := range objects {
		path := o.kind.path(o.namespace, o.recorded, "")
		switch st.Do {
		case "sync":
			m, err := r.manifest(o)
			if err != nil {
				return err
			}
			a.Requests = append(a.Requests,
				Request{Verb: "GET", Path: path, MayFail: true},
				Request{Verb: "PATCH", Path: path + "?" + apply.Encode(), Body: compact(m), Type: applyPatch})
		case "prune":
			a.Requests = append(a.Requests, Request{Verb: "DELETE", Path: path, Body: `{"kind":"DeleteOptions","apiVersion":"v1","propagationPolicy":"Foreground"}`, MayFail: true})
		default:
			return fmt.Errorf("the reconciler cannot do it")
		}
	}
	return nil
}
