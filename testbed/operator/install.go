package operator

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"time"

	authv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/yaml"
)

// Cluster is where an operator is installed.
type Cluster interface {
	Client() kubernetes.Interface
	TokenKubeconfig(name, token string) (string, error)
	Command(ctx context.Context, argv ...string) *exec.Cmd
}

// definition is the custom resource's.
const definition = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: webapps.platform.example.org}
spec:
  group: platform.example.org
  scope: Namespaced
  names: {plural: webapps, singular: webapp, kind: WebApp, shortNames: [wa]}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}, scale: {specReplicasPath: .spec.replicas, statusReplicasPath: .status.replicas}}
    additionalPrinterColumns: [{name: Ready, type: integer, jsonPath: .status.readyReplicas}]
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            properties: {image: {type: string}, replicas: {type: integer}, greeting: {type: string}, taint: {type: string}}
          status:
            type: object
            properties: {observedGeneration: {type: integer}, replicas: {type: integer}, readyReplicas: {type: integer}}
`

// Install makes the definition, the account and its rights, and starts the operator as a process beside:
// this program with the argument "operator". It ends with the context.
func Install(ctx context.Context, c Cluster) error {
	k := c.Client()
	crd, err := yaml.YAMLToJSON([]byte(definition))
	if err != nil {
		return fmt.Errorf("install operator: %w", err)
	}
	const path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
	err = k.CoreV1().RESTClient().Post().AbsPath(path).SetHeader("Content-Type", "application/json").Body(crd).Do(ctx).Error()
	if err := made("definition", err); err != nil {
		return err
	}
	_, err = k.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: Namespace}}, metav1.CreateOptions{})
	if err := made("namespace", err); err != nil {
		return err
	}
	_, err = k.CoreV1().ServiceAccounts(Namespace).Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: Account}}, metav1.CreateOptions{})
	if err := made("account", err); err != nil {
		return err
	}
	_, err = k.RbacV1().ClusterRoles().Create(ctx, &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: Account},
		Rules: []rbacv1.PolicyRule{
			{APIGroups: []string{Group}, Resources: []string{"*"}, Verbs: []string{"*"}},
			{APIGroups: []string{"apps"}, Resources: []string{"deployments"}, Verbs: []string{"*"}},
			{APIGroups: []string{""}, Resources: []string{"configmaps", "events"}, Verbs: []string{"*"}},
			{APIGroups: []string{"coordination.k8s.io"}, Resources: []string{"leases"}, Verbs: []string{"*"}},
		},
	}, metav1.CreateOptions{})
	if err := made("role", err); err != nil {
		return err
	}
	_, err = k.RbacV1().ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: Account},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: Account},
		Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Name: Account, Namespace: Namespace}},
	}, metav1.CreateOptions{})
	if err := made("binding", err); err != nil {
		return err
	}
	day := int64((24 * time.Hour).Seconds())
	token, err := k.CoreV1().ServiceAccounts(Namespace).CreateToken(ctx, Account, &authv1.TokenRequest{Spec: authv1.TokenRequestSpec{ExpirationSeconds: &day}}, metav1.CreateOptions{})
	if err := made("token", err); err != nil {
		return err
	}
	return start(ctx, c, token.Status.Token)
}

func start(ctx context.Context, c Cluster, token string) error {
	kubeconfig, err := c.TokenKubeconfig(Account, token)
	if err != nil {
		return fmt.Errorf("install operator: %w", err)
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("install operator: %w", err)
	}
	cmd := c.Command(ctx, self, "operator", "--kubeconfig", kubeconfig)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("install operator: start it: %w", err)
	}
	go func() { _ = cmd.Wait() }() // it is ended through the context
	return nil
}

func made(what string, err error) error {
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("install operator: make its %s: %w", what, err)
	}
	return nil
}
