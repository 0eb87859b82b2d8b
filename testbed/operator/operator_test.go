package operator

import (
	"context"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic/fake"
)

func webapp(name string, replicas int64) *unstructured.Unstructured {
	o := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": Group + "/v1", "kind": "WebApp",
		"spec": map[string]any{"image": "nginx:1", "greeting": "hello", "replicas": replicas, "taint": "t-abc123"},
	}}
	o.SetNamespace("shop")
	o.SetName(name)
	o.SetUID("uid-" + "1")
	return o
}

func TestController(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	client := fake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), map[schema.GroupVersionResource]string{
		webapps: "WebAppList", deployments: "DeploymentList", configmaps: "ConfigMapList",
	})
	c := newController(ctx, client)
	done := make(chan struct{})
	go func() { c.work(ctx); close(done) }()

	get := func(r schema.GroupVersionResource, name string) *unstructured.Unstructured {
		o, err := client.Resource(r).Namespace("shop").Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return nil
		}
		return o
	}
	until := func(what string, holds func() bool) {
		t.Helper()
		for range 500 {
			if holds() {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		t.Fatalf("never came true: %s", what)
	}
	number := func(o *unstructured.Unstructured, path ...string) int64 {
		if o == nil {
			return -1
		}
		n, _, _ := unstructured.NestedInt64(o.Object, path...)
		return n
	}

	apps := client.Resource(webapps).Namespace("shop")
	if _, err := apps.Create(ctx, webapp("web", 2), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	until("the finaliser is set", func() bool { return len(get(webapps, "web").GetFinalizers()) == 1 })
	until("the deployment has two replicas", func() bool { return number(get(deployments, "web"), "spec", "replicas") == 2 })
	until("the configuration is there", func() bool { return get(configmaps, "web") != nil })
	d := get(deployments, "web")
	if refs := d.GetOwnerReferences(); len(refs) != 1 || refs[0].Kind != "WebApp" || refs[0].Name != "web" || !*refs[0].Controller {
		t.Errorf("owners of the deployment: %v", refs)
	}
	if taint, _, _ := unstructured.NestedString(d.Object, "spec", "template", "metadata", "annotations", "testbed/taint"); taint != "t-abc123" {
		t.Errorf("the mark of the action is not carried on: %q", taint)
	}

	// What the deployment comes to stands in the status.
	if err := unstructured.SetNestedField(d.Object, int64(2), "status", "readyReplicas"); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Resource(deployments).Namespace("shop").Update(ctx, d, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	until("the status says two ready", func() bool { return number(get(webapps, "web"), "status", "readyReplicas") == 2 })

	// A change of the spec reaches the deployment; one that was deleted is made again.
	app := get(webapps, "web")
	if err := unstructured.SetNestedField(app.Object, int64(3), "spec", "replicas"); err != nil {
		t.Fatal(err)
	}
	if _, err := apps.Update(ctx, app, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	until("the deployment has three replicas", func() bool { return number(get(deployments, "web"), "spec", "replicas") == 3 })
	if err := client.Resource(deployments).Namespace("shop").Delete(ctx, "web", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	until("the deployment is there again", func() bool { return get(deployments, "web") != nil })

	// One that is being deleted loses its finaliser.
	gone := webapp("gone", 1)
	now := metav1.Now()
	gone.SetDeletionTimestamp(&now)
	gone.SetFinalizers([]string{finalizer})
	if _, err := apps.Create(ctx, gone, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	until("the finaliser is gone", func() bool { return len(get(webapps, "gone").GetFinalizers()) == 0 })
	if get(deployments, "gone") != nil {
		t.Error("a deployment was made for a WebApp that is being deleted")
	}
	cancel()
	<-done
}
