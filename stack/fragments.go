package stack

import (
	"sync"
	"time"

	"github.com/fastnet-go/fastnet/stack/reassembly"
	"github.com/fastnet-go/fastnet/stack/timer"
)

// fragments holds datagrams that are being put together.
type fragments struct {
	host   *Host
	v4, v6 *reassembly.Table
	timer  timer.Timer
	mu     sync.Mutex
}

func (f *fragments) init(h *Host) {
	f.host = h
	f.v4 = reassembly.New(reassembly.DefaultIPv4())
	f.v6 = reassembly.New(reassembly.DefaultIPv6())
	f.timer.Init(f, 0)
}

// add takes a fragment and returns the datagram that it completes.
func (f *fragments) add(t *reassembly.Table, frag *reassembly.Fragment) (reassembly.Datagram, reassembly.Status) {
	h := f.host
	h.count.fragmentsIn.Add(1)
	d, status := t.Add(frag, h.now())
	if status == reassembly.Complete {
		h.count.reassembled.Add(1)
	}
	h.arm(&f.timer, min(f.v4.Next(), f.v6.Next()))
	return d, status
}

// Expire drops what was not completed in time and tells the sender.
func (f *fragments) Expire(_ int, now time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, e := range f.v4.Advance(now, nil) {
		f.host.reassemblyTimeout(e)
	}
	for _, e := range f.v6.Advance(now, nil) {
		f.host.reassemblyTimeout(e)
	}
	f.host.arm(&f.timer, min(f.v4.Next(), f.v6.Next()))
}

func (f *fragments) clear() {
	f.v4.Clear()
	f.v6.Clear()
	f.host.wheel.Stop(&f.timer)
}
