package rnn

import (
	"sync"
	"sync/atomic"
)

// Workers run the parts of a layer side by side. A nil *Workers runs them on the calling goroutine.
// One Workers serves one graph run at a time.
type Workers struct {
	threads int
	wake    chan struct{}

	// The work at hand; written before the helpers are woken, read by them.
	run   func(part int)
	parts int64
	next  atomic.Int64
	done  sync.WaitGroup
}

// NewWorkers starts threads-1 goroutines, which wait for work until Close; the caller's goroutine is
// the remaining thread.
func NewWorkers(threads int) *Workers {
	w := &Workers{threads: max(threads, 1)}
	w.wake = make(chan struct{}, w.threads-1)
	for range w.threads - 1 {
		go func() {
			for range w.wake {
				w.take()
				w.done.Done()
			}
		}()
	}
	return w
}

// Close ends the goroutines. The workers cannot be used afterwards.
func (w *Workers) Close() { close(w.wake) }

// do calls run for 0 to parts-1 and returns when all calls have.
func (w *Workers) do(parts int, run func(part int)) {
	helpers := min(w.count(), parts) - 1
	if helpers <= 0 {
		for part := range parts {
			run(part)
		}
		return
	}
	w.run, w.parts = run, int64(parts)
	w.next.Store(0)
	w.done.Add(helpers)
	for range helpers {
		w.wake <- struct{}{}
	}
	w.take()
	w.done.Wait()
}

// take runs parts until none is left.
func (w *Workers) take() {
	for {
		part := w.next.Add(1) - 1
		if part >= w.parts {
			return
		}
		w.run(int(part))
	}
}

func (w *Workers) count() int {
	if w == nil {
		return 1
	}
	return w.threads
}

// span is the range of the given part if n rows are cut into equal parts. Cuts are at multiples of
// 48 rows, a multiple of the rows that every matrix kernel takes at once.
func span(n, part, parts int) (from, to int) {
	const align = 48
	size := (n + parts - 1) / parts
	size = (size + align - 1) / align * align
	return min(part*size, n), min((part+1)*size, n)
}
