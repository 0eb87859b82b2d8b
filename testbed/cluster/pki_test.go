package cluster

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
)

func parse(t *testing.T, p pair) *x509.Certificate {
	t.Helper()
	if _, err := tls.X509KeyPair(p.certificate, p.key); err != nil {
		t.Fatalf("certificate and key: %v", err)
	}
	block, _ := pem.Decode(p.certificate)
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestClientCertificate(t *testing.T) {
	ca, err := newAuthority("kubernetes")
	if err != nil {
		t.Fatal(err)
	}
	other, err := newAuthority("another")
	if err != nil {
		t.Fatal(err)
	}
	p, err := ca.client("alice", []string{"dev", "ops"}, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	c := parse(t, p)
	if c.Subject.CommonName != "alice" || !slices.Equal(c.Subject.Organization, []string{"dev", "ops"}) {
		t.Errorf("subject %v", c.Subject)
	}
	verify := func(a *authority, at time.Time) error {
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(a.pem)
		_, err := c.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
		return err
	}
	for _, q := range []struct {
		name string
		ca   *authority
		at   time.Time
		ok   bool
	}{
		{"now", ca, time.Now(), true},
		{"by a clock that is a little late", ca, time.Now().Add(-time.Minute), true},
		{"expired", ca, time.Now().Add(2 * time.Minute), false},
		{"of another authority", other, time.Now(), false},
	} {
		if err := verify(q.ca, q.at); (err == nil) != q.ok {
			t.Errorf("%s: %v", q.name, err)
		}
	}
}

func TestServerCertificate(t *testing.T) {
	ca, err := newAuthority("kubernetes")
	if err != nil {
		t.Fatal(err)
	}
	p, err := ca.server("kube-apiserver", nil, []string{"kubernetes", "192.0.2.1"})
	if err != nil {
		t.Fatal(err)
	}
	c := parse(t, p)
	for host, ok := range map[string]bool{"kubernetes": true, "192.0.2.1": true, "192.0.2.2": false, "example.org": false} {
		if err := c.VerifyHostname(host); (err == nil) != ok {
			t.Errorf("%s: %v", host, err)
		}
	}
}

func TestKubeconfig(t *testing.T) {
	path := filepath.Join(t.TempDir(), "alice.kubeconfig")
	if err := writeKubeconfig(path, kubeconfig("alice", "https://192.0.2.1:6443", []byte("authority"), api.AuthInfo{Token: "token"})); err != nil {
		t.Fatal(err)
	}
	c, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		t.Fatal(err)
	}
	if c.Host != "https://192.0.2.1:6443" || c.BearerToken != "token" || c.ServerName != serverName || string(c.CAData) != "authority" {
		t.Errorf("kubeconfig gives %+v", c)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("credentials that others can read: %v, %v", info, err)
	}
}
