package experiments

import (
	"context"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"k8ntext/model/device"
)

// OpenDevices finds where the config's trials are to run: the devices of the given names, or the
// config's where there are none. "auto" becomes what this machine has. kernels chooses the processor's
// arithmetic as in [device.Select]. The error is an opencl.ErrUnavailable where a device that was asked
// for by name is not there.
func (c *Config) OpenDevices(names []string, kernels string) ([]device.Target, error) {
	if len(names) == 0 {
		names = c.Devices
	}
	if len(names) == 0 {
		names = []string{c.Device}
	}
	var targets []device.Target
	named := make(map[string]string)
	for _, name := range names {
		if name == "" {
			name = "cpu"
		}
		t, err := device.Open(name, kernels)
		if err != nil {
			return nil, fmt.Errorf("find devices for %s: %w", c.Name, err)
		}
		is := t.Device()
		if t.OpenCL == nil {
			is = "the processor" // openblas is no other one
		}
		if first, twice := named[is]; twice {
			return nil, fmt.Errorf("find devices for %s: %q and %q are both %s: name each device once; workers says how many trials share the processor", c.Name, first, name, is)
		}
		named[is] = name
		targets = append(targets, t)
	}
	return targets, nil
}

// schedule runs every trial once, in the order given, each at a place that is free. do tells whether its
// place was lost, which then gets no more trials. It ends with the first error, or where no place is left.
func schedule(ctx context.Context, trials []Trial, p *places, do func(ctx context.Context, t *Trial, on device.Target) (lost, err error)) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(p.count)
	for _, t := range trials {
		group.Go(func() error {
			on, giveBack, err := p.take(ctx, &t)
			if err != nil {
				return err
			}
			defer giveBack()
			lost, err := do(ctx, &t, on)
			switch {
			case err != nil:
				return err
			case lost != nil:
				return p.close(lost)
			}
			p.free <- on
			return nil
		})
	}
	return group.Wait()
}

// places are where trials run, one at a time in each: one for every device, and for the processor as
// many as it has workers. It is a semaphore for each device, of which a trial takes whichever is free,
// and one over memory, of which a trial takes its estimate.
type places struct {
	count  int // at the start
	free   chan device.Target
	memory *semaphore.Weighted // nil: nothing is known to be short
	budget int64               // of memory in MiB

	mu   sync.Mutex
	open int // not closed
}

func newPlaces(devices []device.Target, workers int) *places {
	var all []device.Target
	for _, d := range devices {
		n := 1
		if d.OpenCL == nil {
			n = workers
		}
		for range n {
			all = append(all, d)
		}
	}
	p := &places{count: len(all), open: len(all), free: make(chan device.Target, len(all))}
	for _, d := range all {
		p.free <- d
	}
	return p
}

// take waits for a free place, and for the memory that the trial needs; giveBack returns the memory.
func (p *places) take(ctx context.Context, t *Trial) (on device.Target, giveBack func(), err error) {
	giveBack = func() {}
	if err := ctx.Err(); err != nil { // even where a place is free
		return on, giveBack, err
	}
	if p.memory != nil {
		need := min(t.memoryMB(), p.budget) // who needs more than there is runs alone
		if err := p.memory.Acquire(ctx, need); err != nil {
			return on, giveBack, err
		}
		giveBack = func() { p.memory.Release(need) }
	}
	select {
	case on := <-p.free:
		return on, giveBack, nil
	case <-ctx.Done():
		giveBack()
		return on, func() {}, ctx.Err()
	}
}

// close takes a place that was lost out of use. The error, with the reason, says that it was the last.
func (p *places) close(reason error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open--; p.open > 0 {
		return nil
	}
	return fmt.Errorf("no device is left to run trials on: %w: finished trials are kept; run again to go on", reason)
}
