package collect

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// WebhookOptions say how batches are received.
type WebhookOptions struct {
	MaxBody   int64         // bytes of one batch; 0 means 64 MiB
	MaxAtOnce int           // batches in memory at once; 0 means 4
	MaxWait   time.Duration // for a place among them, before the API server is told to try again; 0 means 10 seconds
}

// maxBatches is how many batches are remembered, to know those that are sent again.
const maxBatches = 256

// Webhook receives the batches of an API server's audit webhook (EventList of audit.k8s.io) and
// answers 200 when they are durable. It answers 400 to what is no batch and 413 to one that is too
// large, which the API server then drops, and 429 or 503 where it should try again. Memory is bounded
// by MaxBody times MaxAtOnce.
type Webhook struct {
	out    *Output
	opts   WebhookOptions
	places chan struct{}
	queue  chan *batch
}

// batch is one request's events, and where its outcome is told.
type batch struct {
	digest string
	lines  []jsontext.Value
	done   chan error
}

// NewWebhook returns a handler that writes into out, once Run runs.
func NewWebhook(out *Output, o WebhookOptions) *Webhook {
	if o.MaxBody <= 0 {
		o.MaxBody = 64 << 20
	}
	if o.MaxAtOnce <= 0 {
		o.MaxAtOnce = 4
	}
	if o.MaxWait <= 0 {
		o.MaxWait = 10 * time.Second
	}
	return &Webhook{out: out, opts: o, places: make(chan struct{}, o.MaxAtOnce), queue: make(chan *batch, o.MaxAtOnce)}
}

// Run writes and commits what the handler received, until the context ends; then, or at an error of
// the output, it answers what is left and returns. Batches that wait together are committed together.
func (w *Webhook) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return w.drain(nil)
		case b := <-w.queue:
			if err := w.store(w.waiting(b)); err != nil {
				return errors.Join(err, w.drain(err))
			}
		}
	}
}

// waiting adds to b what else is in the queue.
func (w *Webhook) waiting(b *batch) []*batch {
	batches := []*batch{b}
	for {
		select {
		case b := <-w.queue:
			batches = append(batches, b)
		default:
			return batches
		}
	}
}

// drain stores what is in the queue, or refuses it with the error given.
func (w *Webhook) drain(refuse error) error {
	for {
		select {
		case b := <-w.queue:
			if refuse != nil {
				b.done <- refuse
				continue
			}
			if refuse = w.store([]*batch{b}); refuse != nil {
				return errors.Join(refuse, w.drain(refuse))
			}
		default:
			return nil
		}
	}
}

// store writes batches, commits once, and tells their senders.
func (w *Webhook) store(batches []*batch) (err error) {
	defer func() {
		for _, b := range batches {
			b.done <- err
		}
	}()
	known := slices.Clone(w.out.batches())
	for _, b := range batches {
		w.out.began()
		if slices.Contains(known, b.digest) {
			w.out.remark(batchRepeated, fmt.Sprintf("%d events, written before", len(b.lines)))
			continue
		}
		for _, line := range b.lines {
			if err := w.out.write(line); err != nil {
				return err
			}
		}
		known = append(known, b.digest)
	}
	known = slices.Delete(known, 0, max(0, len(known)-maxBatches))
	return w.out.commit(func(p *position) { p.Batches = known })
}

// ServeHTTP takes in one batch.
func (w *Webhook) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	refuse := func(code int, format string, args ...any) {
		text := fmt.Sprintf(format, args...)
		w.out.remark(batchRefused, fmt.Sprintf("%d: %s", code, text))
		if code == http.StatusTooManyRequests || code == http.StatusServiceUnavailable {
			rw.Header().Set("Retry-After", "1")
		}
		http.Error(rw, text, code)
	}
	if r.Method != http.MethodPost {
		rw.Header().Set("Allow", http.MethodPost)
		refuse(http.StatusMethodNotAllowed, "audit events are posted")
		return
	}
	if coding := r.Header.Get("Content-Encoding"); coding != "" && coding != "identity" {
		refuse(http.StatusUnsupportedMediaType, "audit batches are read uncompressed, as the API server sends them")
		return
	}
	wait := time.NewTimer(w.opts.MaxWait)
	defer wait.Stop()
	select {
	case w.places <- struct{}{}:
		defer func() { <-w.places }()
	case <-wait.C:
		refuse(http.StatusTooManyRequests, "%d batches are being written: try again", w.opts.MaxAtOnce)
		return
	case <-r.Context().Done():
		return
	}

	body, err := io.ReadAll(http.MaxBytesReader(rw, r.Body, w.opts.MaxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		refuse(http.StatusRequestEntityTooLarge, "a batch of more than %d bytes: set --audit-webhook-truncate-enabled or a smaller --audit-webhook-batch-max-size", w.opts.MaxBody)
		return
	case err != nil:
		refuse(http.StatusBadRequest, "the batch was not received whole")
		return
	}
	lines, err := eventLines(body)
	if err != nil {
		refuse(http.StatusBadRequest, "%v", err)
		return
	}
	sum := sha256.Sum256(body)
	b := &batch{digest: hex.EncodeToString(sum[:]), lines: lines, done: make(chan error, 1)}
	select {
	case w.queue <- b: // it has room for every place
	case <-r.Context().Done():
		return
	}
	select {
	case err := <-b.done:
		if err != nil {
			refuse(http.StatusServiceUnavailable, "the corpus cannot be written")
			return
		}
		rw.WriteHeader(http.StatusOK)
	case <-r.Context().Done(): // the sender does not wait: it will send the batch again
	}
}

// eventLines takes a batch apart: each event as one line of JSON, otherwise as it was sent.
func eventLines(body []byte) ([]jsontext.Value, error) {
	lenient := []json.Options{jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)}
	var list struct {
		Kind  string           `json:"kind"`
		Items []jsontext.Value `json:"items"`
	}
	if err := json.Unmarshal(body, &list, lenient...); err != nil {
		return nil, errors.New("no JSON object of kind EventList")
	}
	switch list.Kind {
	case "EventList":
	case "Event":
		list.Items = []jsontext.Value{body}
	default:
		return nil, errors.New("of another kind than EventList of audit.k8s.io")
	}
	for i, item := range list.Items {
		if item.Kind() != '{' {
			return nil, fmt.Errorf("item %d is no object", i)
		}
		if slices.Contains(item, '\n') || slices.Contains(item, '\r') {
			if err := list.Items[i].Compact(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)); err != nil {
				return nil, fmt.Errorf("item %d is no JSON", i)
			}
		}
	}
	return list.Items, nil
}
