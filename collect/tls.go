package collect

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log"
	"os"
	"strings"
	"time"
)

// ServerTLS is how the webhook's server shows who it is, and whom it lets in: with an authority of the
// senders (PEM, may be several) only those with a valid certificate of it, without one everybody. A
// certificate that no API server would accept any more, or not yet, is an error: the API server would
// try in vain and drop its batches.
func ServerTLS(certificate, key, clientCA string) (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(certificate, key)
	if err != nil {
		return nil, fmt.Errorf("certificate %s and key %s: %w", certificate, key, err)
	}
	if pair.Leaf != nil { // always, unless GODEBUG asks otherwise
		if err := current(pair.Leaf, time.Now()); err != nil {
			return nil, fmt.Errorf("certificate %s: %w", certificate, err)
		}
	}
	c := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	if clientCA == "" {
		return c, nil
	}
	pem, err := os.ReadFile(clientCA)
	if err != nil {
		return nil, fmt.Errorf("authority of the senders: %w", err)
	}
	c.ClientCAs = x509.NewCertPool()
	if !c.ClientCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("authority of the senders: no PEM certificate in %s", clientCA)
	}
	c.ClientAuth = tls.RequireAndVerifyClientCert
	return c, nil
}

// current tells whether a certificate is valid at a time.
func current(c *x509.Certificate, now time.Time) error {
	switch {
	case now.After(c.NotAfter):
		return fmt.Errorf("it expired at %s: make a new one", c.NotAfter.UTC().Format(time.RFC3339))
	case now.Before(c.NotBefore):
		return fmt.Errorf("it is not valid before %s: is this machine's clock right?", c.NotBefore.UTC().Format(time.RFC3339))
	case len(c.DNSNames) == 0 && len(c.IPAddresses) == 0:
		return errors.New("it names no host: the API server looks for the host of its URL among the subject alternative names")
	}
	return nil
}

// ErrorLog is for the webhook's http.Server: what it says of senders that it could not talk to, such as
// those without a certificate of the right authority, becomes remarks of the output.
func (w *Webhook) ErrorLog() *log.Logger { return log.New(complaints{w.out}, "", 0) }

type complaints struct{ out *Output }

func (c complaints) Write(line []byte) (int, error) {
	text := strings.TrimPrefix(strings.TrimSpace(string(line)), "http: ")
	if rest, ok := strings.CutPrefix(text, "TLS handshake error "); ok {
		c.out.remark(senderRefused, rest)
	} else {
		c.out.remark(serverComplains, text)
	}
	return len(line), nil
}
