package collect

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// authority signs certificates for tests.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string // its certificate, PEM
}

func newAuthority(t *testing.T, dir, name string) *authority {
	t.Helper()
	a := &authority{t: t, dir: dir}
	a.file, _ = a.issue(name, func(c *x509.Certificate) {
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign
	})
	return a
}

// issue writes a certificate and its key; without a certificate of its own the authority signs itself.
func (a *authority) issue(name string, change func(*x509.Certificate)) (certificate, key string) {
	a.t.Helper()
	check := func(err error) {
		if err != nil {
			a.t.Fatal(err)
		}
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(err)
	c := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	change(c)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = c, private
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &private.PublicKey, signer)
	check(err)
	if a.cert == nil {
		a.key = private
		a.cert, err = x509.ParseCertificate(der)
		check(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	check(err)
	certificate, key = filepath.Join(a.dir, name+".crt"), filepath.Join(a.dir, name+".key")
	check(os.WriteFile(certificate, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	check(os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), 0o600))
	return certificate, key
}

func same(*x509.Certificate) {}

func expired(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Hour) }

// sender is an API server's client: it trusts an authority, and shows a certificate if it has one.
func sender(t *testing.T, trusts, certificate, key string) *http.Client {
	t.Helper()
	text, err := os.ReadFile(trusts)
	if err != nil {
		t.Fatal(err)
	}
	config := &tls.Config{RootCAs: x509.NewCertPool()}
	config.RootCAs.AppendCertsFromPEM(text)
	if certificate != "" {
		pair, err := tls.LoadX509KeyPair(certificate, key)
		if err != nil {
			t.Fatal(err)
		}
		// As a client that does not ask whether the server will like it.
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	}
	transport := &http.Transport{TLSClientConfig: config}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 10 * time.Second}
}

// TestWebhookTLS: who gets through the handshake, and that nobody else's batch is written.
func TestWebhookTLS(t *testing.T) {
	dir := t.TempDir()
	ours, others := newAuthority(t, dir, "ours"), newAuthority(t, dir, "others")
	serverCert, serverKey := ours.issue("collector", same)
	good, goodKey := ours.issue("api-server", same)
	foreign, foreignKey := others.issue("stranger", same)
	old, oldKey := ours.issue("expired", expired)
	serving, servingKey := ours.issue("server-only", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} })
	both := filepath.Join(dir, "both.crt") // an authority that is being replaced
	var bundle []byte
	for _, a := range []*authority{others, ours} {
		text, err := os.ReadFile(a.file)
		if err != nil {
			t.Fatal(err)
		}
		bundle = append(bundle, text...)
	}
	if err := os.WriteFile(both, bundle, 0o600); err != nil {
		t.Fatal(err)
	}

	for _, c := range []struct {
		what             string
		clientCA         string
		trusts           string
		certificate, key string
		lets             bool
		remark           string // a word of the receiver's; none where the sender turns away
	}{
		{what: "certificates that fit", clientCA: ours.file, trusts: ours.file, certificate: good, key: goodKey, lets: true},
		{what: "no certificate asked for", trusts: ours.file, lets: true},
		{what: "a certificate that is not asked for", trusts: ours.file, certificate: foreign, key: foreignKey, lets: true},
		{what: "two authorities", clientCA: both, trusts: ours.file, certificate: foreign, key: foreignKey, lets: true},
		{what: "the sender shows none", clientCA: ours.file, trusts: ours.file, remark: "didn't provide a certificate"},
		{what: "the sender's is another authority's", clientCA: ours.file, trusts: ours.file, certificate: foreign, key: foreignKey, remark: "unknown authority"},
		{what: "the sender's has expired", clientCA: ours.file, trusts: ours.file, certificate: old, key: oldKey, remark: "expired"},
		{what: "the sender's is for servers", clientCA: ours.file, trusts: ours.file, certificate: serving, key: servingKey, remark: "incompatible key usage"},
		{what: "the sender trusts another authority", trusts: others.file, remark: "certificate"},
	} {
		t.Run(c.what, func(t *testing.T) {
			config, err := ServerTLS(serverCert, serverKey, c.clientCA)
			if err != nil {
				t.Fatal(err)
			}
			w, url, stop := securely(t, config)
			r, err := sender(t, c.trusts, c.certificate, c.key).Post(url, "application/json", strings.NewReader(list(1)))
			if err == nil {
				_, _ = io.Copy(io.Discard, r.Body)
				r.Body.Close()
			}
			if lets := err == nil && r.StatusCode == http.StatusOK; lets != c.lets {
				t.Errorf("let in: %t, want %t: %v", lets, c.lets, err)
			}
			stop()
			if got := w.out.Stats().Lines; got != map[bool]int64{true: 1}[c.lets] {
				t.Errorf("%d lines written", got)
			}
			if said := w.said(senderRefused); (c.remark != "") != (said != "") || !strings.Contains(said, c.remark) {
				t.Errorf("remarks %q, want %q", said, c.remark)
			}
		})
	}
}

// TestWebhookPlainToTLS: who speaks HTTP to the port is told so, and it is no reason to stop.
func TestWebhookPlainToTLS(t *testing.T) {
	ours := newAuthority(t, t.TempDir(), "ours")
	certificate, key := ours.issue("collector", same)
	config, err := ServerTLS(certificate, key, "")
	if err != nil {
		t.Fatal(err)
	}
	w, url, stop := securely(t, config)
	if r, err := http.Post("http"+strings.TrimPrefix(url, "https"), "application/json", strings.NewReader(list(1))); err == nil {
		if r.Body.Close(); r.StatusCode != http.StatusBadRequest {
			t.Errorf("code %d", r.StatusCode)
		}
	}
	if r, err := sender(t, ours.file, "", "").Post(url, "application/json", strings.NewReader(list(2))); err != nil {
		t.Error(err)
	} else if r.Body.Close(); r.StatusCode != http.StatusOK {
		t.Errorf("code %d", r.StatusCode)
	}
	stop()
	if got := w.out.Stats().Lines; got != 1 {
		t.Errorf("%d lines written", got)
	}
}

// TestServerTLSRefuses: files that cannot serve are found before anybody is told to connect.
func TestServerTLSRefuses(t *testing.T) {
	dir := t.TempDir()
	ours := newAuthority(t, dir, "ours")
	good, goodKey := ours.issue("good", same)
	_, otherKey := ours.issue("other", same)
	old, oldKey := ours.issue("old", expired)
	young, youngKey := ours.issue("young", func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Now().Add(time.Hour), time.Now().Add(2*time.Hour)
	})
	nameless, namelessKey := ours.issue("nameless", func(c *x509.Certificate) { c.IPAddresses = nil })
	for _, c := range []struct{ what, certificate, key, clientCA, want string }{
		{"no such file", dir + "/none.crt", goodKey, "", "none.crt"},
		{"another's key", good, otherKey, "", "private key does not match"},
		{"expired", old, oldKey, "", "it expired at "},
		{"not yet valid", young, youngKey, "", "not valid before "},
		{"without a host", nameless, namelessKey, "", "names no host"},
		{"no authority", good, goodKey, dir + "/none.crt", "authority of the senders"},
		{"an authority that is none", good, goodKey, goodKey, "no PEM certificate"},
	} {
		if _, err := ServerTLS(c.certificate, c.key, c.clientCA); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.what, err, c.want)
		}
	}
}

// overheard is a webhook whose remarks are kept.
type overheard struct {
	*Webhook
	remarks *[]string
}

// said are the details of one kind of remark.
func (o overheard) said(kind string) string {
	var out []string
	for _, r := range *o.remarks {
		if detail, ok := strings.CutPrefix(r, kind+": "); ok {
			out = append(out, detail)
		}
	}
	return strings.Join(out, "\n")
}

// securely is a receiver behind TLS, as the command serves it; stop waits until everything is said.
func securely(t *testing.T, config *tls.Config) (w overheard, url string, stop func()) {
	t.Helper()
	w.remarks = new([]string)
	out, err := OpenOutput(filepath.Join(t.TempDir(), "c.jsonl.zst"), "webhook", OutputOptions{
		Remark: func(kind, detail string) { *w.remarks = append(*w.remarks, kind+": "+detail) },
	})
	if err != nil {
		t.Fatal(err)
	}
	w.Webhook = NewWebhook(out, WebhookOptions{})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: w.Webhook, ErrorLog: w.ErrorLog(), TLSConfig: config}
	running, end := context.WithCancel(context.Background())
	served, wrote := make(chan error, 1), make(chan error, 1)
	go func() { served <- server.ServeTLS(listener, "", "") }()
	go func() { wrote <- w.Run(running) }()
	return w, "https://" + listener.Addr().String() + "/", func() {
		// The server tells of a handshake after the sender has turned away.
		for range 200 {
			if w.out.Stats().Lines > 0 || slices.ContainsFunc(w.out.Stats().Remarks, func(r RemarkCount) bool { return r.Kind == senderRefused }) {
				break
			}
			time.Sleep(5 * time.Millisecond)
		}
		if err := server.Shutdown(running); err != nil {
			t.Error(err)
		}
		<-served
		end()
		if err := <-wrote; err != nil {
			t.Error(err)
		}
		if err := out.Close(); err != nil {
			t.Error(err)
		}
	}
}
