package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Defaults of Options.
const (
	DefaultMaxLine       = 8 << 20
	DefaultReorderWindow = 15 * time.Minute
	DefaultMaxHeld       = 128 << 20
)

// Options say how a log is read. The zero value reads everything that Kubernetes writes.
type Options struct {
	// MaxLine bounds one raw line, and one item of a document, in bytes after decompression;
	// 0 means DefaultMaxLine. What is longer is dropped and counted, and never held in memory.
	MaxLine int

	// ReorderWindow is how long an event waits, in the log's own time, for its further stages and
	// for events received before it that are logged after it; 0 means DefaultReorderWindow. Events
	// leave in order of RequestReceived if no stage is logged later than this after its request came.
	//
	// The default holds a watch of client-go (5 to 10 minutes) until its end. Live reading wants
	// seconds: such a watch then leaves unfinished, and its end is counted as a late stage.
	ReorderWindow time.Duration

	// MaxHeld bounds the events that wait, in bytes (estimated); 0 means DefaultMaxHeld. Above it the
	// earliest leave before the window has passed, counted as Summary.Hurried.
	MaxHeld int

	// Decoders is on how many goroutines lines are decoded, ahead of what was asked for; what is read is
	// the same for any number. 0 or 1: on that of who asks. Reading ahead never holds back a line that has
	// come. A reader that is not read to its end must then be closed, or it stays.
	Decoders int

	// KeepRaw fills Event.Raw.
	KeepRaw bool

	// Filter leaves events out; the zero value keeps all.
	Filter Filter
}

func (o Options) withDefaults() Options {
	if o.MaxLine <= 0 {
		o.MaxLine = DefaultMaxLine
	}
	if o.ReorderWindow <= 0 {
		o.ReorderWindow = DefaultReorderWindow
	}
	if o.MaxHeld <= 0 {
		o.MaxHeld = DefaultMaxHeld
	}
	return o
}

// Record is what a Reader yields: exactly one of the two is set.
type Record struct {
	Event   *Event
	Problem *Problem
}

// Reader yields the events of a log in order of RequestReceived (see Options.ReorderWindow), and the
// problems where they are met. One bad line never ends it. Memory is bounded by Options and by the
// number of files that overlap in time, not by their size.
//
// # What is read
//
// One JSON event per line; EventList documents, webhook batches and JSON arrays, on one line or
// pretty-printed, one item at a time; several values on one line; each plain, gzip or zstd (known by
// their first bytes, any number of members). Envelopes are unwrapped: CloudWatch Logs (EKS), Azure
// Monitor (AKS), container logs (CRI, Docker). Log entries of Google Cloud (GKE) are another schema
// and are converted as far as they go. audit.k8s.io/v1, v1beta1 and v1alpha1 are understood.
//
// # How stages merge
//
// Stages belong to one request if auditID, requestReceivedTimestamp, verb, requestURI, user name,
// user uid and user agent agree: the client chooses the auditID, so it alone says nothing. Lines that
// have neither auditID nor receive time never merge. The same stage with the same stage time is a
// line that was delivered twice: counted as Repeated, otherwise ignored. A second RequestReceived,
// ResponseComplete or Panic with another time is another request; a second ResponseStarted is kept
// in the stage list.
//
// A request without an end leaves when the window has passed, or at the end of the input (counted as
// Unfinished). If its end still comes, that line is counted as Late and dropped: it never makes a
// second event, as long as it is among the latest 65,536 that left unfinished.
//
// A Reader is for one goroutine.
type Reader struct {
	ctx    context.Context
	inputs inputs
	merger *merger
	tally  *tally
	done   bool
}

// Open reads the files named, merged in time order by their lines' stage times. A path may be a
// pattern (filepath.Match); "-" is standard input. It fails if a file cannot be opened or a pattern
// matches nothing. Files that do not overlap in time are held open one after the other.
//
// The context ends reading: Next then returns its error. It is looked at between lines.
func Open(ctx context.Context, opts Options, paths ...string) (*Reader, error) {
	names, err := expand(paths)
	if err != nil {
		return nil, err
	}
	r := newReader(ctx, opts)
	decoding := newDecoding(ctx, opts.Decoders)
	for _, name := range names {
		src, err := openSource(name, r.merger.opts, r.tally, len(names) > 1)
		if err != nil {
			return nil, errors.Join(err, r.inputs.close())
		}
		src.decoding = decoding
		r.inputs.add(src)
	}
	return r, nil
}

// NewReader reads one stream; name stands for it in positions.
func NewReader(in io.Reader, name string, opts Options) *Reader {
	r := newReader(context.Background(), opts)
	open := func() (io.ReadCloser, error) { return io.NopCloser(in), nil }
	src := newSource(name, open, r.merger.opts, r.tally)
	src.decoding = newDecoding(r.ctx, opts.Decoders)
	r.inputs.add(src)
	return r
}

func newReader(ctx context.Context, opts Options) *Reader {
	t := newTally()
	return &Reader{ctx: ctx, tally: t, merger: newMerger(opts.withDefaults(), t)}
}

// Next returns the next event or problem; io.EOF after the last. Any other error is the context's.
func (r *Reader) Next() (Record, error) {
	for {
		if err := r.ctx.Err(); err != nil {
			return Record{}, fmt.Errorf("reading audit log: %w", err)
		}
		if e := r.merger.pop(r.done); e != nil {
			if r.tally.decide(r.merger.opts.Filter, e) {
				return Record{Event: e}, nil
			}
			continue
		}
		if r.done {
			return Record{}, io.EOF
		}
		switch x, ok := r.inputs.next(); {
		case !ok:
			r.done = true
		case x.problem != nil:
			return Record{Problem: x.problem}, nil
		default:
			r.merger.add(x)
		}
	}
}

// Summary says what was read so far, and what was left out and why. With Options.Decoders so far is up to
// some lines after the last record that was given.
func (r *Reader) Summary() Summary { return r.tally.summary() }

// Close closes the files that are still open. Reading to io.EOF closes them too.
func (r *Reader) Close() error { return r.inputs.close() }

// expand replaces patterns by the files they match, in lexical order.
func expand(paths []string) ([]string, error) {
	if len(paths) == 0 {
		return nil, errors.New(`no audit log named: give files, patterns, or "-" for standard input`)
	}
	var names []string
	stdin := false
	for _, p := range paths {
		if p == "-" {
			if stdin {
				return nil, errors.New(`standard input ("-") can be read only once`)
			}
			stdin = true
			names = append(names, p)
			continue
		}
		_, err := os.Stat(p)
		if err != nil && strings.ContainsAny(p, `*?[`) {
			matches, err := filepath.Glob(p)
			if err != nil {
				return nil, fmt.Errorf("audit log pattern %q: %w", p, err)
			}
			if len(matches) == 0 {
				return nil, fmt.Errorf("audit log pattern %q matches no file", p)
			}
			names = append(names, matches...)
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("audit log: %w", err)
		}
		names = append(names, p)
	}
	return names, nil
}
