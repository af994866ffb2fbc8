package stack

import (
	"errors"
	"sync"
	"time"
)

// PollerConfig says how a Poller spends the processor. The zero value of a
// field takes its default.
type PollerConfig struct {
	// Goroutines that poll, at the most; default 1. The queues of a device go to
	// one each, as far as there are any; one to which nothing went does not run.
	// On a machine with n processors at most n-1 should be hot, or Go's own
	// network poller starves.
	Goroutines int

	// IdleRounds is how many rounds without work a goroutine makes, each
	// after yielding, before it sleeps; default 2, negative: none.
	IdleRounds int

	// Look is how often, while there is work for many goroutines at once, a
	// goroutine makes Go's scheduler look at its network poller, so that
	// sockets of the kernel's are not starved; default 10 us, negative:
	// never. It costs a system call.
	Look time.Duration

	// Busy makes the goroutines poll for ever, on a processor each.
	Busy bool
}

// Poller drives hosts: it polls their queues and advances their timers, on
// goroutines that sleep while there is nothing to do. A poller serves many
// hosts.
type Poller struct {
	cfg     PollerConfig
	workers []*worker
	done    sync.WaitGroup

	mu     sync.Mutex
	hosts  map[*Host]struct{}
	closed bool
}

// NewPoller starts a poller.
func NewPoller(cfg PollerConfig) *Poller {
	setDefault(&cfg.Goroutines, 1)
	setDefault(&cfg.IdleRounds, 2)
	setDefault(&cfg.Look, 10*time.Microsecond)
	p := &Poller{cfg: cfg, hosts: make(map[*Host]struct{})}
	for i := range max(cfg.Goroutines, 1) {
		w := &worker{poller: p, index: i, wakeup: make(chan struct{}, 1)}
		w.queues.Store(&[]*queue{})
		w.hosts.Store(&[]*Host{})
		p.workers = append(p.workers, w)
	}
	return p
}

// begin starts w if it is not running, unless the poller is closed. The poller's
// mutex is held.
func (p *Poller) begin(w *worker) {
	if !w.begun && !p.closed {
		w.begun = true
		p.done.Add(1)
		go w.run()
	}
}

// Add makes the poller drive h. A host has one poller at a time.
func (p *Poller) Add(h *Host) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.closed.Load():
		return ErrClosed
	case h.poller != nil:
		return errors.New("stack: the host has a poller already")
	}
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return ErrClosed
	}
	p.hosts[h] = struct{}{}
	w := p.workers[0]
	for _, o := range p.workers {
		if len(*o.hosts.Load()) < len(*w.hosts.Load()) {
			w = o
		}
	}
	p.begin(w)
	hosts := append([]*Host{h}, *w.hosts.Load()...)
	w.hosts.Store(&hosts)
	p.mu.Unlock()
	h.parkUntil.Store(int64(Never)) // if w sleeps, it is for as long as it likes
	h.driver.Store(w)
	h.poller = p
	w.wake() // h may have timers
	for _, i := range h.interfaces() {
		p.assign(i)
	}
	return nil
}

// assign shares the queues of an interface among the workers, from the one on
// that has the host's timers: what has one queue is all of one worker's. The
// host's mutex is held.
func (p *Poller) assign(i *Interface) {
	p.mu.Lock()
	defer p.mu.Unlock()
	first := i.host.driver.Load().index
	for n, q := range i.queues {
		w := p.workers[(first+n)%len(p.workers)]
		p.begin(w)
		q.worker.Store(w)
		qs := append([]*queue{q}, *w.queues.Load()...)
		w.queues.Store(&qs)
		w.wake()
	}
}

// Remove ends the poller's work for h. When it returns no goroutine of the
// poller is in the host's code.
func (p *Poller) Remove(h *Host) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.poller != p {
		return
	}
	h.poller = nil
	h.driver.Store(nil)
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.hosts, h)
	for _, w := range p.workers {
		qs := []*queue{}
		for _, q := range *w.queues.Load() {
			if q.host != h {
				qs = append(qs, q)
			} else {
				q.worker.Store(nil)
			}
		}
		hs := []*Host{}
		for _, o := range *w.hosts.Load() {
			if o != h {
				hs = append(hs, o)
			}
		}
		w.queues.Store(&qs)
		w.hosts.Store(&hs)
		w.awaitRound()
	}
	h.waiters.deliver()
}

// Close ends the poller's goroutines and returns when they have ended. Hosts
// that it drove stand still.
func (p *Poller) Close() error {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return ErrClosed
	}
	p.closed = true
	p.mu.Unlock()
	for _, w := range p.workers {
		w.stop.Store(true)
		w.wake()
	}
	p.done.Wait()
	return nil
}
