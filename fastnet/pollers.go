package fastnet

import (
	"runtime"
	"sync"

	"github.com/fastnet-go/fastnet/internal/bubble"
	"github.com/fastnet-go/fastnet/stack"
)

// pollers is the process's own poller: networks that bring none share it. It has
// a goroutine for each queue of a network, and at most GOMAXPROCS-1, for hot
// pollers on all processors would starve Go's network poller, and at least one.
// It ends with the last of its networks. A network that is made in a bubble of
// testing/synctest gets one of its own there.
var pollers struct {
	sync.Mutex
	shared *sharedPoller
}

type sharedPoller struct {
	*stack.Poller
	networks int
}

// acquirePoller returns the poller of the process.
func acquirePoller() *sharedPoller {
	pollers.Lock()
	defer pollers.Unlock()
	if bubble.Inside() {
		return &sharedPoller{Poller: stack.NewPoller(stack.PollerConfig{}), networks: 1}
	}
	if pollers.shared == nil {
		n := max(runtime.GOMAXPROCS(0)-1, 1)
		pollers.shared = &sharedPoller{Poller: stack.NewPoller(stack.PollerConfig{Goroutines: n})}
	}
	pollers.shared.networks++
	return pollers.shared
}

// release gives the poller back, which no longer drives the network's host.
func (p *sharedPoller) release() {
	pollers.Lock()
	p.networks--
	last := p.networks == 0
	if last && pollers.shared == p {
		pollers.shared = nil
	}
	pollers.Unlock()
	if last {
		p.Close()
	}
}
