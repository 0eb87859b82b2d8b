package audit

import (
	"context"
	"slices"

	"golang.org/x/sync/errgroup"
)

// decoding decodes the lines of a reader's sources on goroutines of their own.
type decoding struct {
	ctx   context.Context
	group *errgroup.Group // bounds how many batches are decoded at once, of all sources together
	most  int
}

// newDecoding is nil where lines are decoded by who asks for them.
func newDecoding(ctx context.Context, decoders int) *decoding {
	if decoders <= 1 {
		return nil
	}
	d := &decoding{ctx: ctx, group: new(errgroup.Group), most: decoders}
	d.group.SetLimit(decoders)
	return d
}

// batchBytes is how much is cut before it is handed over: enough that handing over costs nothing, and
// little beside what a reader holds anyway.
const batchBytes = 256 << 10

// batch is a stretch of an input: lines that are still to be decoded, and entries between them.
type batch struct {
	text    []byte
	parts   []part
	tally   *tally
	out     []entry // in the order of the input, when decoded is closed
	decoded chan struct{}
}

// part is a line, text[from:to], or entries that need no decoding.
type part struct {
	from, to int
	pos      Position
	entries  []entry
}

// entries adds what was met outside of lines.
func (b *batch) entries(list []entry) {
	if len(list) > 0 {
		b.parts = append(b.parts, part{entries: slices.Clone(list)})
	}
}

// line adds a line.
func (b *batch) line(text []byte, pos Position) {
	from := len(b.text)
	b.text = append(b.text, text...)
	b.parts = append(b.parts, part{from: from, to: len(b.text), pos: pos})
}

func (b *batch) decode(opts Options) {
	d := decoder{opts: opts, tally: newTally(), out: make([]entry, 0, len(b.parts))}
	for _, p := range b.parts {
		if p.entries != nil {
			d.out = append(d.out, p.entries...)
		} else {
			d.item(b.text[p.from:p.to], p.pos)
		}
	}
	b.tally.add(d.tally)
	b.out = d.out
	close(b.decoded)
}

// ahead is a source that is cut into batches on a goroutine of its own. It has the source for itself: who
// asks for entries sees only batches.
type ahead struct {
	queue chan *batch   // in the order of the input; closed at its end
	free  chan []byte   // texts of batches that were taken
	quit  chan struct{} // closed by who asks, to end the cutting
	out   []entry       // of the batch that was taken last
	taken int           // of out
}

// readAhead starts to cut a source. Reading may wait for bytes that never come, so nothing waits for its end.
func (s *source) readAhead() {
	a := &ahead{queue: make(chan *batch, s.decoding.most+1), free: make(chan []byte, 2*s.decoding.most+2), quit: make(chan struct{})}
	s.ahead, s.total = a, s.tally
	go func() {
		defer close(a.queue)
		defer s.closeFiles()
		for !s.finished {
			b := s.cutBatch(a)
			select {
			case a.queue <- b:
			case <-a.quit:
				return
			}
			s.decoding.group.Go(func() error {
				b.decode(s.opts)
				return nil
			})
		}
	}()
}

// cutBatch reads on until there is enough for a batch, or until more would have to be waited for.
func (s *source) cutBatch(a *ahead) *batch {
	b := &batch{tally: newTally(), decoded: make(chan struct{})}
	select {
	case b.text = <-a.free:
	default:
		b.text = make([]byte, 0, batchBytes+batchBytes/8)
	}
	s.batch, s.tally, s.dec.tally = b, b.tally, b.tally
	if s.lines.r == nil {
		s.start()
	}
	for read := 0; !s.finished && (read == 0 || read < batchBytes && s.lines.ready()); read += max(s.lines.taken, 1) {
		if s.doc != nil {
			s.readDocument()
		} else {
			s.readLine()
		}
		s.handOver()
	}
	s.handOver()
	return b
}

// handOver moves to the batch what the source itself made.
func (s *source) handOver() {
	s.batch.entries(s.dec.out)
	clear(s.dec.out)
	s.dec.out = s.dec.out[:0]
}

// nextAhead is next of a source that is read ahead.
func (s *source) nextAhead() (entry, bool) {
	if s.ahead == nil {
		s.readAhead()
	}
	a := s.ahead
	for a.taken == len(a.out) {
		select {
		case b, ok := <-a.queue:
			if !ok {
				return entry{}, false
			}
			<-b.decoded
			s.total.add(b.tally)
			a.out, a.taken = b.out, 0
			if cap(b.text) <= 2*batchBytes {
				select {
				case a.free <- b.text[:0]:
				default:
				}
			}
		case <-s.decoding.ctx.Done():
			s.stop()
			return entry{}, false
		}
	}
	x := a.out[a.taken]
	a.out[a.taken] = entry{}
	a.taken++
	return x, true
}

// stop ends the reading ahead, if not at once then when the read returns that is waited for.
func (s *source) stop() {
	select {
	case <-s.ahead.quit:
	default:
		close(s.ahead.quit)
	}
}
