package actor

import (
	"context"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"k8ntext/testbed/operator"
	"k8ntext/testbed/scenario"
)

// people hands out credentials.
type people struct {
	cluster Cluster
	library *scenario.Library

	mu    sync.Mutex
	files map[string]string // kubeconfig by user or token
}

func newPeople(c Cluster, lib *scenario.Library) *people {
	return &people{cluster: c, library: lib, files: map[string]string{}}
}

// kubeconfig is the file of a user, or of the bearer of a token.
func (p *people) kubeconfig(user, token string) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	key := user + "\x00" + token
	if f := p.files[key]; f != "" {
		return f, nil
	}
	var f string
	var err error
	if token != "" {
		f, err = p.cluster.TokenKubeconfig(user, token)
	} else {
		_, role := p.library.RoleOf(user)
		if role == nil {
			return "", fmt.Errorf("user %q has no role", user)
		}
		valid := time.Duration(0)
		if role.Expired {
			valid = time.Second
		}
		f, err = p.cluster.Kubeconfig(user, []string{role.Group}, valid)
	}
	if err != nil {
		return "", fmt.Errorf("credentials of %q: %w", user, err)
	}
	p.files[key] = f
	return f, nil
}

// bearer is the token that an action stole or was given.
func (r *runner) bearer(a *scenario.Action) string {
	if a.With == "" {
		return ""
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	token := strings.TrimSpace(r.saved[a.With])
	if token == "" {
		token = "none" // the step before failed; this one then fails too
	}
	return token
}

var runtimeName = regexp.MustCompile(`\$\{(pod|out):([^}]*)\}`)

// fillIn replaces what could not be known when the plan was made.
func (r *runner) fillIn(ctx context.Context, s string) string {
	if !strings.Contains(s, "${") {
		return s
	}
	return runtimeName.ReplaceAllStringFunc(s, func(m string) string {
		parts := runtimeName.FindStringSubmatch(m)
		if parts[1] == "out" {
			r.mu.Lock()
			defer r.mu.Unlock()
			return strings.TrimSpace(r.saved[parts[2]])
		}
		ns, selector, _ := strings.Cut(parts[2], "/")
		return r.somePod(ctx, ns, selector)
	})
}

// somePod looks up a running pod: the newest, so that repeated evictions meet others.
func (r *runner) somePod(ctx context.Context, ns, selector string) string {
	r.journal.write(mark{Kind: "harness", Name: "list pods", Namespace: ns, At: time.Now()})
	list, err := r.cluster.Client().CoreV1().Pods(ns).List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return "no-pod"
	}
	best := ""
	var newest time.Time
	for _, p := range list.Items {
		if p.Status.Phase != corev1.PodRunning || p.DeletionTimestamp != nil {
			continue
		}
		if at := p.CreationTimestamp.Time; best == "" || at.After(newest) {
			best, newest = p.Name, at
		}
	}
	if best == "" {
		return "no-pod"
	}
	return best
}

// furnish makes what must be there before the recording starts: rights, namespaces, the operator.
func (r *runner) furnish(ctx context.Context) error {
	if err := writeEditor(r.options.Dir); err != nil {
		return err
	}
	k := r.cluster.Client()
	for _, name := range slices.Sorted(maps.Keys(r.options.Library.Roles)) {
		role := r.options.Library.Roles[name]
		bound := role.ClusterRole
		if len(role.Rules) > 0 {
			bound = "testbed:" + name
			rules, err := rulesOf(role.Rules)
			if err != nil {
				return fmt.Errorf("role %q: %w", name, err)
			}
			_, err = k.RbacV1().ClusterRoles().Create(ctx, &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: bound}, Rules: rules}, metav1.CreateOptions{})
			if err != nil && !apierrors.IsAlreadyExists(err) {
				return err
			}
		}
		for _, user := range role.Users {
			if _, err := r.people.kubeconfig(user, ""); err != nil {
				return err
			}
		}
		if bound == "" {
			continue
		}
		_, err := k.RbacV1().ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: "testbed:" + name},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: bound},
			Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "Group", Name: role.Group}},
		}, metav1.CreateOptions{})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return err
		}
	}
	for _, team := range r.plan.Teams {
		_, err := k.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: team}}, metav1.CreateOptions{})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return err
		}
	}
	return operator.Install(ctx, r.cluster)
}

// rulesOf reads the RBAC rules of a role.
func rulesOf(source []map[string]any) ([]rbacv1.PolicyRule, error) {
	var out []rbacv1.PolicyRule
	for _, m := range source {
		var rule rbacv1.PolicyRule
		for key, v := range m {
			var list []string
			items, ok := v.([]any)
			if !ok {
				return nil, fmt.Errorf("%s: a list is needed", key)
			}
			for _, x := range items {
				list = append(list, fmt.Sprint(x))
			}
			switch key {
			case "apiGroups":
				rule.APIGroups = list
			case "resources":
				rule.Resources = list
			case "verbs":
				rule.Verbs = list
			case "nonResourceURLs":
				rule.NonResourceURLs = list
			default:
				return nil, fmt.Errorf("unknown key %q of a rule", key)
			}
		}
		out = append(out, rule)
	}
	return out, nil
}

func readerOf(s string) io.Reader { return strings.NewReader(s) }

// limitedBuffer keeps the first part of an output.
type limitedBuffer struct{ b strings.Builder }

func (l *limitedBuffer) Write(p []byte) (int, error) {
	if room := 1<<16 - l.b.Len(); room > 0 {
		l.b.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}

func (l *limitedBuffer) String() string { return l.b.String() }
