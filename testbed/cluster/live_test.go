package cluster

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// liveVariable names the minor of Kubernetes that the tests of this file start; it has to be built.
// Without it they are skipped: CI has no built Kubernetes. `make test-testbed` sets it.
const liveVariable = "K8NTEXT_TESTBED_LIVE"

// networkVariable is the network they run in, auto without it.
const networkVariable = "K8NTEXT_TESTBED_NETWORK"

var liveNetwork Network

func TestMain(m *testing.M) {
	if os.Getenv(liveVariable) != "" {
		want := Auto
		if n := os.Getenv(networkVariable); n != "" {
			want = Network(n)
		}
		var err error
		liveNetwork, err = Enter(context.Background(), want)
		var inner InnerExit
		if errors.As(err, &inner) {
			os.Exit(inner.Code)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// live starts a cluster for a test.
func live(t *testing.T, o Options) *Cluster {
	t.Helper()
	if o.Minor = os.Getenv(liveVariable); o.Minor == "" {
		t.Skipf("no cluster: set %s to a built minor of Kubernetes", liveVariable)
	}
	o.Name = strings.ToLower(strings.ReplaceAll(t.Name(), "/", "-"))
	o.Dir, o.Network, o.Progress = t.TempDir(), liveNetwork, t.Logf
	c, err := Up(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Err(); err != nil {
			t.Errorf("the cluster failed: %v", err)
		}
		if err := c.Down(); err != nil {
			t.Error(err)
		}
		for name, one := range c.components {
			if one.started.alive() {
				t.Errorf("%s is left running", name)
			}
		}
		records, err := Records(c.options.Cache)
		for _, r := range records {
			if r.Name == c.options.Name {
				t.Errorf("a record is left: %+v", r)
			}
		}
		if _, e := os.Stat(c.state); err != nil || !errors.Is(e, os.ErrNotExist) {
			t.Errorf("state is left: %v, %v", err, e)
		}
	})
	return c
}

// eventually asks every quarter of a second.
func eventually(t *testing.T, limit time.Duration, what string, ok func() (bool, string)) {
	t.Helper()
	begun := time.Now()
	for {
		yes, state := ok()
		if yes {
			t.Logf("%s after %v", what, time.Since(begun).Round(100*time.Millisecond))
			return
		}
		if time.Since(begun) > limit {
			t.Fatalf("not after %v: %s: %s", limit, what, state)
		}
		time.Sleep(250 * time.Millisecond)
	}
}

// kubectl runs it as the named user and returns what it says.
func kubectl(t *testing.T, c *Cluster, kubeconfig string, stdin string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	cmd := c.Command(ctx, append([]string{"kubectl", "--kubeconfig=" + kubeconfig}, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func mustKubectl(t *testing.T, c *Cluster, kubeconfig, stdin string, args ...string) string {
	t.Helper()
	out, err := kubectl(t, c, kubeconfig, stdin, args...)
	if err != nil {
		t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func admin(t *testing.T, c *Cluster) string {
	t.Helper()
	path, err := c.Kubeconfig("admin", []string{AdminGroup}, 0)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func TestLiveWorkloads(t *testing.T) {
	c := live(t, Options{})
	a := admin(t, c)
	mustKubectl(t, c, a, workloads, "apply", "-f", "-")
	mustKubectl(t, c, a, "", "wait", "--for=condition=Available", "--timeout=60s", "deployment/web")
	mustKubectl(t, c, a, "", "wait", "--for=condition=Complete", "--timeout=60s", "job/good")
	mustKubectl(t, c, a, "", "wait", "--for=condition=Failed", "--timeout=60s", "job/bad")
	mustKubectl(t, c, a, "", "rollout", "status", "--timeout=60s", "statefulset/store")
	mustKubectl(t, c, a, "", "rollout", "status", "--timeout=60s", "daemonset/agent")
	mustKubectl(t, c, a, "", "set", "image", "statefulset/store", "main=redis:8")
	mustKubectl(t, c, a, "", "rollout", "status", "--timeout=60s", "statefulset/store")
	eventually(t, 30*time.Second, "an image cannot be pulled", func() (bool, string) {
		out, err := kubectl(t, c, a, "", "get", "pod", "nopull")
		return err == nil && strings.Contains(out, "ImagePullBackOff"), out
	})
	eventually(t, 60*time.Second, "a container crashes again and again", func() (bool, string) {
		// Kubelets from 1.35 on sleep through the back-off, and their pods seldom show it.
		out, err := kubectl(t, c, a, "", "get", "pod", "crash", "-o", "jsonpath={.status.containerStatuses[0].restartCount}")
		return err == nil && out >= "2", out
	})

	pod := strings.TrimPrefix(strings.Fields(mustKubectl(t, c, a, "", "get", "pods", "-l", "app=web", "-o", "name"))[0], "pod/")
	for _, q := range []struct {
		want string
		args []string
	}{
		{"hello from nginx", []string{"logs", pod}},
		{"a b", []string{"exec", pod, "--", "echo", "a", "b"}},
		{"attached", []string{"attach", pod}},
		{"ok", []string{"get", "--raw", "/api/v1/namespaces/default/pods/" + pod + "/proxy/"}},
		{"ok", []string{"get", "--raw", "/api/v1/namespaces/default/services/web/proxy/"}},

		{"", []string{"cp", pod + ":/etc/file", "fetched"}},
		{"", []string{"cp", a, pod + ":/tmp/"}},
		{"", []string{"debug", pod, "--image=busybox", "--target=nginx", "--", "sleep", "1"}},
		{"", []string{"debug", "node/node-1", "--image=busybox", "--", "true"}},
		{"pod \"once\" deleted", []string{"run", "once", "--rm", "-i", "--restart=Never", "--image=busybox", "--", "sh"}},
	} {
		if out := mustKubectl(t, c, a, "", q.args...); !strings.Contains(out, q.want) {
			t.Errorf("kubectl %s says %q, want %q in it", strings.Join(q.args, " "), out, q.want)
		}
	}
	out, err := kubectl(t, c, a, "", "get", "--raw", "/api/v1/nodes/node-1/proxy/healthz")
	if answers := err == nil && out == "ok"; answers != (c.Network() == Namespace) {
		t.Errorf("a proxied node in a %s says %q, %v", c.Network(), out, err)
	}
	if out, err := kubectl(t, c, a, "", "exec", pod, "--", "sh", "-c", "exit 3"); err == nil || !strings.Contains(out, "exit code 3") {
		t.Errorf("exec of a failing command: %v, %q", err, out)
	}
	portForward(t, c, a, pod)
}

// portForward fetches a page through kubectl port-forward.
func portForward(t *testing.T, c *Cluster, kubeconfig, pod string) {
	t.Helper()
	free, err := freePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cmd := c.Command(ctx, "kubectl", "--kubeconfig="+kubeconfig, "port-forward", pod, fmt.Sprintf("%d:80", free[0]))
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { cancel(); cmd.Wait() }()
	eventually(t, 20*time.Second, "a forwarded port answers", func() (bool, string) {
		answer, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/", free[0]))
		if err != nil {
			return false, err.Error()
		}
		answer.Body.Close()
		return answer.StatusCode == http.StatusOK, answer.Status
	})
}

const workloads = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: nginx
        image: nginx:1.27
        ports: [{containerPort: 8080}]
        readinessProbe: {httpGet: {path: /ready, port: 8080}, periodSeconds: 1}
        livenessProbe: {exec: {command: [cat, /alive]}}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: batch/v1
kind: Job
metadata: {name: good}
spec:
  completions: 2
  parallelism: 2
  template: {spec: {restartPolicy: Never, containers: [{name: main, image: "exit/0:1s"}]}}
---
apiVersion: batch/v1
kind: Job
metadata: {name: bad}
spec:
  backoffLimit: 0
  template: {spec: {restartPolicy: Never, containers: [{name: main, image: busybox, command: [sh, -c, "sleep 1; exit 3"]}]}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: store}
spec:
  replicas: 2
  serviceName: store
  selector: {matchLabels: {app: store}}
  template:
    metadata: {labels: {app: store}}
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{name: main, image: "redis:7", volumeMounts: [{name: data, mountPath: /data}]}]
  volumeClaimTemplates:
  - metadata: {name: data}
    spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec:
      hostNetwork: true
      containers: [{name: main, image: agent}]
---
apiVersion: v1
kind: Pod
metadata: {name: nopull}
spec: {containers: [{name: main, image: "registry.example/does-not-exist:1"}]}
---
apiVersion: v1
kind: Pod
metadata: {name: crash}
spec: {containers: [{name: main, image: "crash:500ms"}]}
`

func TestLiveFaults(t *testing.T) {
	c := live(t, Options{Level: Metadata})
	ctx, a := t.Context(), admin(t, c)

	// A user whose certificate expires.
	brief, err := c.Kubeconfig("brief", []string{AdminGroup}, 4*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	mustKubectl(t, c, brief, "", "get", "nodes")
	eventually(t, 15*time.Second, "expired credentials", func() (bool, string) {
		out, err := kubectl(t, c, brief, "", "get", "nodes")
		return err != nil && (strings.Contains(out, "Unauthorized") || strings.Contains(out, "must be logged in")), out
	})

	// Without a scheduler pods wait.
	if err := c.Kill(scheduler); err != nil {
		t.Fatal(err)
	}
	mustKubectl(t, c, a, "", "create", "deployment", "web", "--image=nginx", "--replicas=3")
	time.Sleep(2 * time.Second)
	if out := mustKubectl(t, c, a, "", "get", "pods"); strings.Contains(out, "Running") {
		t.Errorf("pods run without a scheduler:\n%s", out)
	}
	if err := c.Start(scheduler); err != nil {
		t.Fatal(err)
	}
	mustKubectl(t, c, a, "", "wait", "--for=condition=Available", "--timeout=60s", "deployment/web")

	// A controller manager whose certificate expires gets 401 and loses its lease.
	if err := c.Reissue(controllerManager, 20*time.Second); err != nil {
		t.Fatal(err)
	}
	eventually(t, 90*time.Second, "the controller manager has given up", func() (bool, string) {
		one, err := c.component(controllerManager)
		if err != nil {
			t.Fatal(err)
		}
		one.mu.Lock()
		defer one.mu.Unlock()
		return !one.running(), "it runs"
	})
	if !strings.Contains(readFile(t, c.AuditLog()), `"code":401`) {
		t.Error("no request was refused for expired credentials")
	}
	if err := c.Reissue(controllerManager, 0); err != nil {
		t.Fatal(err)
	}
	mustKubectl(t, c, a, "", "scale", "deployment/web", "--replicas=6")
	mustKubectl(t, c, a, "", "wait", "--for=jsonpath={.status.availableReplicas}=6", "--timeout=90s", "deployment/web")

	// A further node, and one that dies.
	name, err := c.AddNode()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.WaitNodes(ctx); err != nil {
		t.Fatal(err)
	}
	if err := c.Kill("node/node-1"); err != nil {
		t.Fatal(err)
	}
	eventually(t, 2*time.Minute, "the pods of a dead node are replaced", func() (bool, string) {
		out, err := kubectl(t, c, a, "", "get", "pods", "-o", "jsonpath={range .items[?(@.metadata.deletionTimestamp)]}{.metadata.name} {end}")
		return err == nil && strings.TrimSpace(out) != "", out
	})
	if err := c.Start("node/1"); err != nil {
		t.Fatal(err)
	}
	if err := c.WaitNodes(ctx); err != nil {
		t.Fatal(err)
	}
	if err := c.RemoveNode(name); err != nil {
		t.Fatal(err)
	}
	mustKubectl(t, c, a, "", "delete", "node", name)
	if err := c.Start("node/" + name); err == nil {
		t.Error("a removed node can be started")
	}

	// The API server and etcd come back.
	for _, one := range []string{apiServer, etcd} {
		if err := c.Kill(one); err != nil {
			t.Fatal(err)
		}
	}
	for _, one := range []string{etcd, apiServer} {
		if err := c.Start(one); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.WaitAPI(ctx); err != nil {
		t.Fatal(err)
	}
	mustKubectl(t, c, a, "", "get", "deployment/web")
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestLiveWebhook(t *testing.T) {
	c := live(t, Options{Nodes: 1})
	certificate, key, ca, err := c.ServingCertificate("gatekeeper", "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	free, err := freePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(certificate, key)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{
		Addr: fmt.Sprintf("127.0.0.1:%d", free[0]), TLSConfig: &tls.Config{Certificates: []tls.Certificate{pair}},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			var review admissionv1.AdmissionReview
			if err := json.NewDecoder(q.Body).Decode(&review); err != nil {
				t.Error(err)
			}
			review.Response = &admissionv1.AdmissionResponse{
				UID: review.Request.UID, Allowed: review.Request.Name != "bad",
				Result: &metav1.Status{Message: "the gatekeeper says no"},
			}
			json.NewEncoder(w).Encode(review)
		}),
	}
	go server.ListenAndServeTLS("", "")
	defer server.Close()

	url, none, fail := "https://"+server.Addr+"/", admissionregistrationv1.SideEffectClassNone, admissionregistrationv1.Fail
	_, err = c.Client().AdmissionregistrationV1().ValidatingWebhookConfigurations().Create(t.Context(), &admissionregistrationv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "gatekeeper"},
		Webhooks: []admissionregistrationv1.ValidatingWebhook{{
			Name: "gatekeeper.example.org", ClientConfig: admissionregistrationv1.WebhookClientConfig{URL: &url, CABundle: ca},
			Rules: []admissionregistrationv1.RuleWithOperations{{
				Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create},
				Rule:       admissionregistrationv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"configmaps"}},
			}},
			SideEffects: &none, FailurePolicy: &fail, AdmissionReviewVersions: []string{"v1"},
		}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	create := func(name string) error {
		_, err := c.Client().CoreV1().ConfigMaps("default").Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
		return err
	}
	eventually(t, 20*time.Second, "the webhook refuses", func() (bool, string) {
		err := create("bad")
		if err == nil {
			c.Client().CoreV1().ConfigMaps("default").Delete(t.Context(), "bad", metav1.DeleteOptions{})
		}
		return err != nil && strings.Contains(err.Error(), "the gatekeeper says no"), fmt.Sprint(err)
	})
	if err := create("good"); err != nil {
		t.Error(err)
	}
}

// A cluster that cannot start leaves nothing and says why.
func TestLiveBrokenStart(t *testing.T) {
	if os.Getenv(liveVariable) == "" {
		t.Skipf("no cluster: set %s to a built minor of Kubernetes", liveVariable)
	}
	o := Options{
		Name: "broken", Minor: os.Getenv(liveVariable), Dir: t.TempDir(), Network: liveNetwork,
		Args: map[string][]string{apiServer: {"--no-such-flag"}},
	}
	_, err := Up(t.Context(), o)
	if err == nil || !strings.Contains(err.Error(), "kube-apiserver died") || !strings.Contains(err.Error(), "no-such-flag") {
		t.Errorf("a component that cannot start: %v", err)
	}
	cache, err := DefaultCache()
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{recordPath(cache, "broken"), stateFolder(cache, "broken")} {
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is left: %v", path, err)
		}
	}
}

// A component that dies fails the cluster, with the end of its log.
func TestLiveDeath(t *testing.T) {
	if os.Getenv(liveVariable) == "" {
		t.Skipf("no cluster: set %s to a built minor of Kubernetes", liveVariable)
	}
	c, err := Up(t.Context(), Options{Name: "death", Minor: os.Getenv(liveVariable), Dir: t.TempDir(), Network: liveNetwork, Nodes: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Down()
	one, err := c.component(scheduler)
	if err != nil {
		t.Fatal(err)
	}
	if err := one.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-c.Failed():
	case <-time.After(10 * time.Second):
		t.Fatal("nobody noticed")
	}
	if err := c.Err(); err == nil || !strings.Contains(err.Error(), "kube-scheduler died") {
		t.Error(err)
	}
	if err := c.Down(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(c.logs(), "kube-scheduler.log")); err != nil {
		t.Error("logs do not stay:", err)
	}
}

// Service accounts authenticate with tokens.
func TestLiveToken(t *testing.T) {
	c := live(t, Options{Nodes: -1, Level: Request})
	token := mustKubectl(t, c, admin(t, c), "", "create", "token", "default", "--duration=10m")
	path, err := c.TokenKubeconfig("default", strings.TrimSpace(token))
	if err != nil {
		t.Fatal(err)
	}
	config, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		t.Fatal(err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.AppsV1().Deployments("default").Create(t.Context(), &appsv1.Deployment{}, metav1.CreateOptions{})
	if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "system:serviceaccount:default:default") {
		t.Errorf("create as a service account: %v", err)
	}
}
