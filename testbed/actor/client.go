package actor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"k8ntext/testbed/scenario"
)

// watching is how long a client program watches before it turns away.
const watching = 350 * time.Millisecond

// client sends requests as programs do, with client-go's transport.
type client struct {
	people *people

	mu      sync.Mutex
	configs map[string]*rest.Config // by kubeconfig
}

func newClient(p *people) *client { return &client{people: p, configs: map[string]*rest.Config{}} }

// open gives an HTTP client with somebody's credentials and a user agent.
func (c *client) open(kubeconfig, agent string) (*http.Client, string, error) {
	c.mu.Lock()
	config := c.configs[kubeconfig]
	c.mu.Unlock()
	if config == nil {
		var err error
		if config, err = clientcmd.BuildConfigFromFlags("", kubeconfig); err != nil {
			return nil, "", err
		}
		c.mu.Lock()
		c.configs[kubeconfig] = config
		c.mu.Unlock()
	}
	one := rest.CopyConfig(config)
	one.UserAgent = agent
	h, err := rest.HTTPClientFor(one)
	return h, strings.TrimSuffix(one.Host, "/"), err
}

// requests sends the requests of an action in order, until one is refused.
func (r *runner) requests(ctx context.Context, a *scenario.Action) (argv []string, exit int, output string) {
	for _, q := range a.Requests {
		path, _, _ := strings.Cut(q.Path, "?")
		argv = append(argv, q.Verb+" "+path)
	}
	config, err := r.people.kubeconfig(a.User, r.bearer(a))
	if err != nil {
		return argv, 1, err.Error()
	}
	h, host, err := r.client.open(config, a.Agent+" "+a.ID)
	if err != nil {
		return argv, 1, err.Error()
	}
	version := ""
	for _, q := range a.Requests {
		path := r.fillIn(ctx, q.Path)
		if q.Resume && version != "" {
			path += "&resourceVersion=" + url.QueryEscape(version)
		}
		body := r.fillIn(ctx, q.Body)
		var answer []byte
		if q.Verb == "UPDATE" {
			answer, err = update(ctx, h, host+path, body)
		} else {
			answer, err = send(ctx, h, q.Verb, host+path, q.Type, body)
		}
		if err != nil && !q.MayFail {
			return argv, 1, err.Error()
		}
		output = string(answer)
		version = listVersion(answer)
	}
	return argv, 0, output
}

// refusal is an answer of the server that is not a success.
type refusal struct {
	status int
	text   string
}

func (e refusal) Error() string { return fmt.Sprintf("HTTP %d: %s", e.status, e.text) }

func send(ctx context.Context, h *http.Client, method, address, contentType, body string) ([]byte, error) {
	watch := strings.Contains(address, "watch=true")
	if watch {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, watching)
		defer cancel()
	}
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	q, err := http.NewRequestWithContext(ctx, method, address, reader)
	if err != nil {
		return nil, err
	}
	q.Header.Set("Accept", "application/json, */*")
	if body != "" {
		if contentType == "" {
			contentType = "application/json"
		}
		q.Header.Set("Content-Type", contentType)
	}
	answer, err := h.Do(q)
	if err != nil {
		if watch && errors.Is(err, context.DeadlineExceeded) {
			return nil, nil
		}
		return nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, 64<<20))
	if watch && errors.Is(err, context.DeadlineExceeded) {
		err = nil
	}
	if err != nil {
		return nil, err
	}
	if answer.StatusCode >= 300 {
		return text, refusal{answer.StatusCode, lastPart(string(text), 300)}
	}
	return text, nil
}

// update reads an object, merges a change into it and writes it back, again if somebody else was faster.
func update(ctx context.Context, h *http.Client, address, change string) (answer []byte, err error) {
	read, _, _ := strings.Cut(address, "?")
	for range 4 {
		old, err := send(ctx, h, "GET", read, "", "")
		if err != nil {
			return old, err
		}
		var object, patch map[string]any
		if err := errors.Join(json.Unmarshal(old, &object), json.Unmarshal([]byte(change), &patch)); err != nil {
			return nil, err
		}
		merged, err := json.Marshal(merge(object, patch))
		if err != nil {
			return nil, err
		}
		answer, err = send(ctx, h, "PUT", address, "", string(merged))
		var no refusal
		if !errors.As(err, &no) || no.status != http.StatusConflict {
			return answer, err
		}
	}
	return answer, err
}

// merge is RFC 7386.
func merge(object, patch map[string]any) map[string]any {
	if object == nil {
		object = map[string]any{}
	}
	for key, v := range patch {
		switch v := v.(type) {
		case nil:
			delete(object, key)
		case map[string]any:
			inner, _ := object[key].(map[string]any)
			object[key] = merge(inner, v)
		default:
			object[key] = v
		}
	}
	return object
}

// listVersion is the resource version of a list.
func listVersion(answer []byte) string {
	if !bytes.Contains(answer[:min(len(answer), 4096)], []byte("List")) {
		return ""
	}
	var head struct {
		Metadata struct {
			ResourceVersion string `json:"resourceVersion"`
		} `json:"metadata"`
	}
	if json.Unmarshal(answer, &head) != nil {
		return ""
	}
	return head.Metadata.ResourceVersion
}
