// Package operator is a small real controller of a custom resource, so that recordings hold what
// operators do: it makes a Deployment and a ConfigMap of each WebApp, keeps its status, and takes its
// finaliser away when it is deleted. It runs as a process of its own under its own service account.
package operator

import (
	"context"
	"fmt"
	"os"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/client-go/util/workqueue"
)

const (
	// Group of the custom resource.
	Group = "platform.example.org"
	// Namespace in which the operator's account and lease live.
	Namespace = "platform-system"
	// Account is its service account.
	Account = "webapp-operator"

	appLabel  = Group + "/app"
	finalizer = Group + "/tidy"
	agent     = "webapp-operator/v0.3.0"
)

var (
	webapps     = schema.GroupVersionResource{Group: Group, Version: "v1", Resource: "webapps"}
	deployments = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}
	configmaps  = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}
)

// controller reconciles WebApps.
type controller struct {
	client dynamic.Interface
	apps   cache.GenericLister
	owned  map[schema.GroupVersionResource]cache.GenericLister
	queue  workqueue.TypedRateLimitingInterface[string]
}

// Run is the operator until the context ends.
func Run(ctx context.Context, kubeconfig string) error {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return fmt.Errorf("operator: read credentials: %w", err)
	}
	config.UserAgent = agent
	lock, err := newLock(config)
	if err != nil {
		return fmt.Errorf("operator: %w", err)
	}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("operator: %w", err)
	}
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock: lock, LeaseDuration: 30 * time.Second, RenewDeadline: 20 * time.Second, RetryPeriod: 8 * time.Second,
		ReleaseOnCancel: true, Name: Account,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(ctx context.Context) { newController(ctx, client).work(ctx) },
			OnStoppedLeading: func() {},
		},
	})
	if err != nil {
		return fmt.Errorf("operator: %w", err)
	}
	for ctx.Err() == nil {
		elector.Run(ctx)
	}
	return nil
}

func newLock(config *rest.Config) (resourcelock.Interface, error) {
	k, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	host, err := os.Hostname()
	if err != nil {
		host = Account
	}
	return resourcelock.New(resourcelock.LeasesResourceLock, Namespace, Account, k.CoreV1(), k.CoordinationV1(),
		resourcelock.ResourceLockConfig{Identity: host})
}

func newController(ctx context.Context, client dynamic.Interface) *controller {
	c := &controller{
		client: client, owned: map[schema.GroupVersionResource]cache.GenericLister{},
		queue: workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[string]()),
	}
	all := dynamicinformer.NewDynamicSharedInformerFactory(client, 0)
	mine := dynamicinformer.NewFilteredDynamicSharedInformerFactory(client, 0, metav1.NamespaceAll, func(o *metav1.ListOptions) { o.LabelSelector = appLabel })
	c.apps = all.ForResource(webapps).Lister()
	c.listen(all.ForResource(webapps).Informer(), func(o *unstructured.Unstructured) string { return o.GetNamespace() + "/" + o.GetName() })
	for _, r := range []schema.GroupVersionResource{deployments, configmaps} {
		c.owned[r] = mine.ForResource(r).Lister()
		c.listen(mine.ForResource(r).Informer(), func(o *unstructured.Unstructured) string { return o.GetNamespace() + "/" + o.GetLabels()[appLabel] })
	}
	all.Start(ctx.Done())
	mine.Start(ctx.Done())
	all.WaitForCacheSync(ctx.Done())
	mine.WaitForCacheSync(ctx.Done())
	return c
}

// listen puts the WebApp that an object belongs to into the queue whenever the object changes.
func (c *controller) listen(informer cache.SharedIndexInformer, key func(*unstructured.Unstructured) string) {
	add := func(x any) {
		if gone, ok := x.(cache.DeletedFinalStateUnknown); ok {
			x = gone.Obj
		}
		if o, ok := x.(*unstructured.Unstructured); ok {
			c.queue.Add(key(o))
		}
	}
	// Only a stopped informer refuses a handler; this one has not been started.
	_, _ = informer.AddEventHandler(cache.ResourceEventHandlerFuncs{AddFunc: add, UpdateFunc: func(_, x any) { add(x) }, DeleteFunc: add})
}

func (c *controller) work(ctx context.Context) {
	go func() {
		<-ctx.Done()
		c.queue.ShutDown()
	}()
	for {
		key, stop := c.queue.Get()
		if stop {
			return
		}
		if err := c.reconcile(ctx, key); err != nil {
			c.queue.AddRateLimited(key)
		} else {
			c.queue.Forget(key)
		}
		c.queue.Done(key)
	}
}

// reconcile brings one WebApp's objects and status to what its spec says.
func (c *controller) reconcile(ctx context.Context, key string) error {
	namespace, name, err := cache.SplitMetaNamespaceKey(key)
	if err != nil {
		return nil //nolint:nilerr // a key that is none will not become one
	}
	found, err := c.apps.ByNamespace(namespace).Get(name)
	if apierrors.IsNotFound(err) {
		return nil
	} else if err != nil {
		return err
	}
	app := found.(*unstructured.Unstructured).DeepCopy()
	mine := c.client.Resource(webapps).Namespace(namespace)
	if app.GetDeletionTimestamp() != nil {
		if len(app.GetFinalizers()) == 0 {
			return nil
		}
		app.SetFinalizers(nil)
		_, err := mine.Update(ctx, app, metav1.UpdateOptions{})
		return ignoreMissing(err)
	}
	if len(app.GetFinalizers()) == 0 {
		app.SetFinalizers([]string{finalizer})
		_, err := mine.Update(ctx, app, metav1.UpdateOptions{})
		return ignoreMissing(err) // the change comes back through the watch
	}
	for _, want := range []struct {
		resource schema.GroupVersionResource
		object   *unstructured.Unstructured
	}{{configmaps, configOf(app)}, {deployments, deploymentOf(app)}} {
		if err := c.ensure(ctx, want.resource, want.object); err != nil {
			return err
		}
	}
	return c.status(ctx, app)
}

// ensure creates an object or brings its wanted fields in line.
func (c *controller) ensure(ctx context.Context, r schema.GroupVersionResource, want *unstructured.Unstructured) error {
	into := c.client.Resource(r).Namespace(want.GetNamespace())
	found, err := c.owned[r].ByNamespace(want.GetNamespace()).Get(want.GetName())
	if apierrors.IsNotFound(err) {
		_, err := into.Create(ctx, want, metav1.CreateOptions{})
		if apierrors.IsAlreadyExists(err) {
			return nil
		}
		return err
	} else if err != nil {
		return err
	}
	have := found.(*unstructured.Unstructured).DeepCopy()
	if !adopt(have.Object, want.Object) {
		return nil
	}
	_, err = into.Update(ctx, have, metav1.UpdateOptions{})
	return ignoreMissing(err)
}

// adopt copies the fields that are wanted and tells whether any was different. Containers are compared by
// their image, since the server fills in the rest.
func adopt(have, want map[string]any) bool {
	changed := false
	set := func(path ...string) {
		w, ok, _ := unstructured.NestedFieldNoCopy(want, path...)
		if !ok {
			return
		}
		h, _, _ := unstructured.NestedFieldNoCopy(have, path...)
		if fmt.Sprint(h) != fmt.Sprint(w) {
			changed = unstructured.SetNestedField(have, w, path...) == nil || changed
		}
	}
	set("data", "greeting")
	set("spec", "replicas")
	hs, _, _ := unstructured.NestedSlice(have, "spec", "template", "spec", "containers")
	ws, _, _ := unstructured.NestedSlice(want, "spec", "template", "spec", "containers")
	if len(hs) == 1 && len(ws) == 1 {
		h, w := hs[0].(map[string]any), ws[0].(map[string]any)
		if h["image"] != w["image"] {
			h["image"] = w["image"]
			changed = unstructured.SetNestedSlice(have, hs, "spec", "template", "spec", "containers") == nil || changed
		}
	}
	return changed
}

// status writes what the deployment has come to, if that is new.
func (c *controller) status(ctx context.Context, app *unstructured.Unstructured) error {
	ready, replicas := int64(0), int64(0)
	if found, err := c.owned[deployments].ByNamespace(app.GetNamespace()).Get(app.GetName()); err == nil {
		d := found.(*unstructured.Unstructured)
		ready, _, _ = unstructured.NestedInt64(d.Object, "status", "readyReplicas")
		replicas, _, _ = unstructured.NestedInt64(d.Object, "status", "replicas")
	}
	next := map[string]any{"observedGeneration": app.GetGeneration(), "readyReplicas": ready, "replicas": replicas}
	old, _, _ := unstructured.NestedMap(app.Object, "status")
	if fmt.Sprint(old) == fmt.Sprint(next) {
		return nil
	}
	app.Object["status"] = next
	_, err := c.client.Resource(webapps).Namespace(app.GetNamespace()).UpdateStatus(ctx, app, metav1.UpdateOptions{})
	return ignoreMissing(err)
}

// ignoreMissing forgives what happens when an object goes while one works on it.
func ignoreMissing(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

func owned(app *unstructured.Unstructured, api, kind string) *unstructured.Unstructured {
	yes := true
	o := &unstructured.Unstructured{Object: map[string]any{"apiVersion": api, "kind": kind}}
	o.SetNamespace(app.GetNamespace())
	o.SetName(app.GetName())
	o.SetLabels(map[string]string{"app": app.GetName(), appLabel: app.GetName()})
	o.SetOwnerReferences([]metav1.OwnerReference{{
		APIVersion: Group + "/v1", Kind: "WebApp", Name: app.GetName(), UID: app.GetUID(), Controller: &yes, BlockOwnerDeletion: &yes,
	}})
	return o
}

func configOf(app *unstructured.Unstructured) *unstructured.Unstructured {
	o := owned(app, "v1", "ConfigMap")
	greeting, _, _ := unstructured.NestedString(app.Object, "spec", "greeting")
	o.Object["data"] = map[string]any{"greeting": greeting}
	return o
}

func deploymentOf(app *unstructured.Unstructured) *unstructured.Unstructured {
	o := owned(app, "apps/v1", "Deployment")
	image, _, _ := unstructured.NestedString(app.Object, "spec", "image")
	taint, _, _ := unstructured.NestedString(app.Object, "spec", "taint")
	replicas, found, _ := unstructured.NestedInt64(app.Object, "spec", "replicas")
	if !found {
		replicas = 1
	}
	labels := map[string]any{"app": app.GetName(), appLabel: app.GetName()}
	o.Object["spec"] = map[string]any{
		"replicas": replicas,
		"selector": map[string]any{"matchLabels": map[string]any{"app": app.GetName()}},
		"template": map[string]any{
			"metadata": map[string]any{"labels": labels, "annotations": map[string]any{"testbed/taint": taint}},
			"spec": map[string]any{
				"terminationGracePeriodSeconds": int64(1),
				"containers":                    []any{map[string]any{"name": "main", "image": image}},
			},
		},
	}
	return o
}
